//! The set of records of one audience, ordered by key, with a fingerprint of any range.
//!
//! Spec: `spec/07-sync.md`, sections 1 and 2. Tested: beside each file, `spec/vectors/set_*.json`.

mod entry;
mod index;
mod key;
mod summary;

pub use entry::Entry;
pub(crate) use index::shortest_between;
pub use index::{Bound, Entries, Index, Walk};
pub use key::{SetKey, Slot};
pub use summary::Summary;
