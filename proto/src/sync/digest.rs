//! Short names of entries, for telling which of a few entries differ.
//!
//! Salted with the number of the session: two entries that happen, or are made, to have one digest in a session have
//! different ones in the next.
//! Spec: `spec/07-sync.md`, section 6.1. Tested: `sync/tests.rs`, `spec/vectors/ranges_valid.json`.

use crate::id::Vid;
use crate::set::SetKey;

/// First four bytes of BLAKE3 of session number (8 bytes, little-endian), key and vid.
pub type Digest = [u8; 4];

/// The digest of an entry in a session.
pub fn digest(session: u64, key: &SetKey, vid: &Vid) -> Digest {
    let mut bytes = [0; 40];
    bytes[..8].copy_from_slice(&session.to_le_bytes());
    bytes[8..24].copy_from_slice(&key.0);
    bytes[24..].copy_from_slice(&vid.0);
    let mut digest = [0; 4];
    digest.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..4]);
    digest
}
