//! Sum and number of the entries of a range.
//!
//! Always: the sum does not depend on the order in which elements were added or taken away.
//! Spec: `spec/07-sync.md`, section 2. Tested: `set/index/tests.rs`, `spec/vectors/set_valid.json`.

use super::key::SetKey;
use crate::id::Vid;

/// Sum of the elements of a range modulo 2^256, and their number. Elements are BLAKE3 of key and vid, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    sum: [u64; 4],
    /// Number of entries.
    pub count: u64,
}

impl Summary {
    /// First 16 bytes of BLAKE3 of the sum (32 bytes, little-endian) and the count (8 bytes, little-endian).
    pub fn fingerprint(&self) -> [u8; 16] {
        let mut bytes = [0; 40];
        for (part, limb) in bytes.chunks_exact_mut(8).zip(self.sum.iter().chain([&self.count])) {
            part.copy_from_slice(&limb.to_le_bytes());
        }
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
        fingerprint
    }

    /// The summary of one entry. Costs one BLAKE3 of 32 bytes.
    pub(super) fn of(key: &SetKey, vid: &Vid) -> Summary {
        let mut element = [0; 32];
        element[..16].copy_from_slice(&key.0);
        element[16..].copy_from_slice(&vid.0);
        let digest = blake3::hash(&element);
        let mut sum = [0; 4];
        for (limb, bytes) in sum.iter_mut().zip(digest.as_bytes().chunks_exact(8)) {
            let mut little = [0; 8];
            little.copy_from_slice(bytes);
            *limb = u64::from_le_bytes(little);
        }
        Summary { sum, count: 1 }
    }

    /// Adds entries. Sum and count wrap around, so that a difference of two summaries can be added, too.
    pub(super) fn add(&mut self, other: &Summary) {
        let mut carry = false;
        for (limb, more) in self.sum.iter_mut().zip(other.sum) {
            let (sum, first) = limb.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first | second);
        }
        self.count = self.count.wrapping_add(other.count);
    }

    /// What came in since an `earlier` sum over part of the same entries.
    pub(super) fn since(mut self, earlier: &Summary) -> Summary {
        self.subtract(earlier);
        self
    }

    /// Takes entries away.
    pub(super) fn subtract(&mut self, other: &Summary) {
        let mut borrow = false;
        for (limb, less) in self.sum.iter_mut().zip(other.sum) {
            let (difference, first) = limb.overflowing_sub(less);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (difference, first | second);
        }
        self.count = self.count.wrapping_sub(other.count);
    }
}
