//! How many versions of one organisation a node takes in a day.
//!
//! A bucket for each organisation, and a second one for its withdrawals, which no flood may hold back. Only defers: what is
//! beyond comes again by comparison, so nodes with other clocks agree in the end.
//! Spec: `spec/05-network.md`, section 2.1. Tested: below, `node/tests/quota.rs`.

use std::collections::BTreeMap;

use crate::id::OrgId;
use crate::time::{DAY_MS, UnixMillis};

/// Versions of one organisation in a day for each record that it may have in a set: each set twice, once when a node is new
/// and once when all is signed again.
pub(super) const VERSIONS_PER_RECORD_AND_DAY: u64 = 4;
/// Versions of one organisation in a day, at the least.
pub(super) const VERSIONS_PER_DAY_MIN: u64 = 1_024;

/// What an organisation used. A version owes [`DAY_MS`]; each millisecond pays back the number of versions in a day.
#[derive(Clone, Copy, Debug)]
struct Used {
    owed: u64,
    at: UnixMillis,
}

impl Used {
    fn owed_at(&self, now: UnixMillis, per_day: u64) -> u64 {
        self.owed.saturating_sub(now.saturating_sub(self.at).saturating_mul(per_day))
    }
}

/// What organisations have used of a day's versions. One or two entries for each that published within a day.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    used: BTreeMap<(OrgId, bool), Used>,
}

/// Versions in a day by a charter that allows so many records in each set.
pub(super) fn versions_per_day(records_max: usize) -> u64 {
    (records_max as u64).saturating_mul(VERSIONS_PER_RECORD_AND_DAY).max(VERSIONS_PER_DAY_MIN)
}

impl Allowances {
    /// Milliseconds until one more version of this organisation is taken; 0: now.
    pub(super) fn wait_ms(&self, now: UnixMillis, org: &OrgId, is_withdrawal: bool, per_day: u64) -> u64 {
        let owed = self.used.get(&(*org, is_withdrawal)).map_or(0, |used| used.owed_at(now, per_day));
        owed.saturating_add(DAY_MS).saturating_sub(per_day.saturating_mul(DAY_MS)).div_ceil(per_day)
    }

    /// Counts a version that was taken.
    pub(super) fn use_one(&mut self, now: UnixMillis, org: OrgId, is_withdrawal: bool, per_day: u64) {
        let used = self.used.entry((org, is_withdrawal)).or_insert(Used { owed: 0, at: now });
        *used = Used { owed: used.owed_at(now, per_day).saturating_add(DAY_MS), at: now };
    }

    /// Drops what is paid back.
    pub(super) fn settle(&mut self, now: UnixMillis, per_day: u64) {
        self.used.retain(|_, used| used.owed_at(now, per_day) > 0);
    }

    /// When each was last counted: moves with a clock that leaps.
    pub(super) fn instants(&mut self) -> impl Iterator<Item = &mut UnixMillis> {
        self.used.values_mut().map(|used| &mut used.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = 1_790_000_000_000;
    const ORG: OrgId = OrgId([1; 32]);

    #[test]
    fn a_days_versions_are_taken_at_once_and_one_more_when_its_share_of_a_day_is_over() {
        let per_day = versions_per_day(0);
        assert_eq!((per_day, versions_per_day(256), versions_per_day(257)), (1_024, 1_024, 1_028));
        let mut allowances = Allowances::default();
        for _ in 0..per_day {
            assert_eq!(allowances.wait_ms(NOW, &ORG, false, per_day), 0);
            allowances.use_one(NOW, ORG, false, per_day);
        }
        let wait_ms = allowances.wait_ms(NOW, &ORG, false, per_day);
        assert_eq!(wait_ms, DAY_MS.div_ceil(per_day));
        assert_eq!(allowances.wait_ms(NOW + wait_ms - 1, &ORG, false, per_day), 1);
        assert_eq!(allowances.wait_ms(NOW + wait_ms, &ORG, false, per_day), 0);
        assert_eq!(allowances.wait_ms(NOW, &ORG, true, per_day), 0, "withdrawals have their own");
        assert_eq!(allowances.wait_ms(NOW, &OrgId([2; 32]), false, per_day), 0, "so has everybody else");
    }

    #[test]
    fn what_is_paid_back_takes_no_memory() {
        let mut allowances = Allowances::default();
        allowances.use_one(NOW, ORG, false, 1_024);
        allowances.settle(NOW, 1_024);
        assert_eq!(allowances.used.len(), 1);
        allowances.settle(NOW + DAY_MS, 1_024);
        assert!(allowances.used.is_empty());
    }

    #[test]
    fn no_number_of_records_and_no_clock_overflows() {
        let per_day = versions_per_day(u32::MAX as usize);
        let mut allowances = Allowances::default();
        allowances.use_one(u64::MAX, ORG, false, per_day);
        assert_eq!(allowances.wait_ms(0, &ORG, false, per_day), 0);
        allowances.use_one(0, ORG, false, per_day);
        assert_eq!(allowances.wait_ms(u64::MAX, &ORG, false, per_day), 0);
    }
}
