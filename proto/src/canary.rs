//! Rules that tests take out, one at a time, to see whether anything notices.
//!
//! Only with the feature `canaries`, which nothing but tests switches on: without it every rule is in, and the compiler
//! removes the questions. One rule is out for a whole process, so tests that take one out run one after the other.
//! Tested: `tests/simulation/canaries.rs`.

#![cfg_attr(not(feature = "canaries"), allow(unreachable_pub, dead_code, reason = "only tests name rules"))]

#[cfg(feature = "canaries")]
use std::sync::atomic::{AtomicU32, Ordering};

/// A rule that can be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Canary {
    /// The greatest version wins: without it the one that comes last does.
    MergeRule = 1,
    /// Of equal clocks the greater device key wins: without it the one that comes first does.
    MergeTie = 2,
    /// Withdrawals, and what has lapsed, are kept as long as what they replaced could come back: without it, two days.
    Tombstone = 3,
    /// What is too old is refused.
    TooOld = 4,
    /// A version is taken only if its signature holds.
    Signature = 5,
    /// What an admin handed in is on stable storage before the answer.
    Durability = 6,
    /// Members' records go to members' nodes only.
    Audience = 7,
    /// What lapses is no longer shown.
    Lease = 8,
    /// A node confirms that it has erased something once that is on stable storage: without it, as soon as it hears of it.
    Receipt = 9,
    /// What a revoked device signed leaves: without it, what was there stays.
    Revocation = 40,
    /// Records beyond the charter's quota give way to those with lower keys: without it, none does.
    Quota = 41,
    /// As many participants vouch for a member as the charter wants: without it, one is enough.
    Admission = 42,
}

impl Canary {
    /// All of them.
    pub const ALL: [Canary; 12] = [
        Canary::MergeRule,
        Canary::MergeTie,
        Canary::Tombstone,
        Canary::TooOld,
        Canary::Signature,
        Canary::Durability,
        Canary::Audience,
        Canary::Lease,
        Canary::Receipt,
        Canary::Revocation,
        Canary::Quota,
        Canary::Admission,
    ];
}

#[cfg(feature = "canaries")]
static OUT: AtomicU32 = AtomicU32::new(0);

/// Whether this rule is out. Without the feature none ever is.
#[cfg(not(feature = "canaries"))]
pub(crate) const fn is_out(_: Canary) -> bool {
    false
}

/// Takes one rule out of this process, or with `None` puts all back.
#[cfg(feature = "canaries")]
pub fn take_out(canary: Option<Canary>) {
    OUT.store(canary.map_or(0, |canary| canary as u32), Ordering::SeqCst);
}

/// Whether this rule is out.
#[cfg(feature = "canaries")]
pub(crate) fn is_out(canary: Canary) -> bool {
    OUT.load(Ordering::Relaxed) == canary as u32
}
