//! Short names of entries, for telling which of a few entries differ, and of small ranges, for telling whether any does.
//!
//! Salted with the number of the session: two entries that happen, or are made, to have one digest in a session have
//! different ones in the next. SipHash takes a quarter of the time of a cryptographic hash on so few bytes, and nothing
//! here has to hold for longer than a session.
//! Spec: `spec/07-sync.md`, section 6.1. Tested: `sync/tests.rs`, `spec/vectors/ranges_valid.json`.

use siphasher::sip::SipHasher24;

use super::Pair;
use crate::canary::{Canary, is_out};
use crate::id::Vid;
use crate::limits::DIGESTS_PER_RANGE_MAX;

/// First four bytes of the salted hash of the vid.
pub type Digest = [u8; 4];

/// Salted hash of the vids of all entries of a range.
pub type ShortFingerprint = [u8; 8];

/// The digest of an entry with this vid in a session.
pub fn digest(session: u64, vid: &Vid) -> Digest {
    let [a, b, c, d, ..] = hash(session, &vid.0);
    [a, b, c, d]
}

/// The short fingerprint, in a session, of at most [`DIGESTS_PER_RANGE_MAX`] entries in order of their keys. What comes after
/// that many is left out.
pub fn short_fingerprint(session: u64, entries: &[Pair]) -> ShortFingerprint {
    let mut bytes = [0; DIGESTS_PER_RANGE_MAX * 16];
    let mut length = 0;
    for (place, (_, vid)) in bytes.chunks_exact_mut(16).zip(entries) {
        place.copy_from_slice(&vid.0);
        length += 16;
    }
    hash(session, &bytes[..length])
}

/// SipHash-2-4, little-endian, its key the session number (8 bytes, little-endian) and eight zeros.
fn hash(session: u64, bytes: &[u8]) -> [u8; 8] {
    let session = if is_out(Canary::DigestSalt) { 0 } else { session };
    SipHasher24::new_with_keys(session, 0).hash(bytes).to_le_bytes()
}
