//! Which of two versions of one record wins.
//!
//! The greatest (clock, device key, vid) wins, whole records at a time. The order is total, so taking the greatest is
//! commutative, associative and idempotent: nodes that saw the same versions in any order keep the same one.
//! Spec: `spec/04-merge.md`. Tested: below, and by every run of the simulator.

use crate::canary::{Canary, is_out};
use crate::id::Vid;
use crate::time::Hlc;
use crate::version::SignedVersion;

/// Place of a version among the versions of its record. The greatest wins.
///
/// Equal clocks and devices happen when a key was copied or a clock restored: the vid then decides, the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence {
    /// When it was signed.
    pub hlc: Hlc,
    /// Key of the device that signed it.
    pub device: [u8; 32],
    /// Its name.
    pub vid: Vid,
}

impl Precedence {
    /// The precedence of a version.
    pub fn of(version: &SignedVersion) -> Precedence {
        Precedence { hlc: version.header().hlc, device: version.header().device, vid: version.vid() }
    }
}

impl Precedence {
    /// True when a known version with this precedence stays, whatever comes with that one.
    pub(crate) fn holds_against(&self, found: &Precedence) -> bool {
        if is_out(Canary::MergeRule) {
            return self.vid == found.vid;
        }
        if is_out(Canary::MergeTie) && self.hlc == found.hlc {
            return true;
        }
        self >= found
    }
}

/// True when `version` replaces something else than what its signer had seen: two people edited at once.
///
/// `known` is the winner that it replaces here. Both versions are kept for the organisation's admins to compare.
pub fn is_concurrent(version: &SignedVersion, known: &Vid) -> bool {
    version.header().prev != known.prefix()
}
