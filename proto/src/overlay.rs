//! The overlay: whom a node is linked to, and over which of its links a new version goes.
//!
//! Pure. In: members' node keys, links that come and go, versions that were accepted or announced. Out: whom to dial or
//! drop, where to push and where only to announce.
//! Always: the same inputs and seed give the same outputs; every table has a limit; nothing here is needed for
//! correctness: what is lost on the way, comparison of sets brings back.
//! Spec: `spec/11-dissemination.md`. Tested: `overlay/*/tests.rs`, and at 10 to 10,000 nodes by `bench gossip`.
//!
//! ```text
//! members' cards -> Candidates -> Neighbours -> Dial, Drop, Shuffle
//!                                     | links
//!                                     v
//!      accepted, announced versions -> Broadcast -> push, announce, Graft, Prune, Beat
//! ```

pub mod broadcast;
pub mod candidates;
pub mod neighbours;
mod random;

#[cfg(test)]
mod tests;

pub use broadcast::{Announced, Beat, Broadcast, Route, Signal, Source, Spread};
pub use candidates::{Candidate, Candidates};
pub use neighbours::{Action, DialFailure, DropReason, Ended, Neighbours};
