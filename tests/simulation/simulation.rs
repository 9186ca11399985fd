//! The simulator: whole networks of real nodes in one thread, under one virtual clock, with every fault there is.
//!
//! In: [`Options`], drawn from a seed. Out: a [`Report`], or the [`Failure`] of an invariant with the seed's event log.
//! Always: one seed is one history; nothing but the seed, the number of nodes and the code decides what happens.
//! Spec: all of it; above all `spec/04-merge.md`, `spec/06-link.md` and `spec/07-sync.md`. Tested: `main.rs` beside
//! this file, and `canaries.rs`, which breaks rules on purpose and wants to see histories fail.

mod acts;
mod byzantine;
mod cast;
mod driver;
mod faults;
mod history;
mod invariants;
mod links;
mod machine;
mod network;
mod options;
mod random;
mod revoking;
mod settling;
mod store;
mod sweep;
mod world;

pub use history::{Counts, Recording};
pub use options::Options;
pub use sweep::{Sweep, sweep};
pub use world::{Failure, Report, run};
