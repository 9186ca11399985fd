//! The set of records of one audience, ordered by key, with a fingerprint of any range.
//!
//! Spec: `spec/07-sync.md`, sections 1 and 2. Tested: beside each file, `spec/vectors/set_*.json`.

mod index;
mod key;

pub use index::{Entry, Index, Summary};
pub use key::{SetKey, Slot};
