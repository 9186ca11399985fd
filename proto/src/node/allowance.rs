//! How much of one organisation a node takes: in a day, and at once of what nobody asked for.
//!
//! A bucket for each organisation and share; no flood of one share holds back another, least of all withdrawals. Only defers: what
//! is beyond comes again by comparison, so nodes with other clocks agree in the end.
//! Spec: `spec/05-network.md`, section 2.1. Tested: below, `node/tests/{quota,pace}.rs`.

use std::collections::BTreeMap;

use crate::id::OrgId;
use crate::kind::Kind;
use crate::time::{DAY_MS, UnixMillis};
use crate::version::SignedVersion;

/// Versions of one organisation in a day for each record that it may have in a set: each set twice, once when a node is new
/// and once when all is signed again.
pub(super) const VERSIONS_PER_RECORD_AND_DAY: u64 = 4;
/// Versions of one organisation in a day, at the least.
pub(super) const VERSIONS_PER_DAY_MIN: u64 = 1_024;
/// Statements of one organisation in a day, cards apart: more than one vouch for each of ten thousand others.
pub(super) const STATEMENTS_PER_DAY: u64 = 16_384;
/// Versions of one organisation that are taken at once although nobody asked for them: a directory of some size.
pub(super) const PUSHED_VERSIONS_BURST: u64 = 4_096;
/// The same each second in the long run.
pub(super) const PUSHED_VERSIONS_PER_SECOND: u64 = 1_024;
/// As [`PUSHED_VERSIONS_BURST`], of statements and upkeep: people sign the first one by one, and nodes the second now and then.
pub(super) const PUSHED_STATEMENTS_BURST: u64 = 256;
/// As [`PUSHED_VERSIONS_PER_SECOND`], of statements and upkeep.
pub(super) const PUSHED_STATEMENTS_PER_SECOND: u64 = 16;

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    /// Records and upkeep of a day.
    Day,
    /// Withdrawals of a day.
    DayWithdrawals,
    /// Statements of a day, cards apart.
    DayStatements,
    /// Records that nobody asked for.
    Pushed,
    /// Withdrawals that nobody asked for.
    PushedWithdrawals,
    /// Upkeep that nobody asked for.
    PushedUpkeep,
    /// Statements that nobody asked for, cards apart.
    PushedStatements,
}

impl Share {
    /// What a version counts to in a day; `None`: a card, of which there are few.
    pub(super) fn of_day(version: &SignedVersion) -> Option<Share> {
        match version.header().kind {
            Kind::CARD => None,
            kind if !kind.is_content() => Some(Share::DayStatements),
            _ if version.is_withdrawal() => Some(Share::DayWithdrawals),
            _ => Some(Share::Day),
        }
    }

    /// What a version counts to that nobody asked for.
    pub(super) fn of_pushed(version: &SignedVersion) -> Option<Share> {
        Some(match Share::of_day(version)? {
            Share::DayStatements => Share::PushedStatements,
            _ if version.header().kind.is_upkeep() => Share::PushedUpkeep,
            Share::DayWithdrawals => Share::PushedWithdrawals,
            _ => Share::Pushed,
        })
    }

    /// How many are taken. Days of versions go by the charter; `None`: it says nothing.
    fn rate(self, versions_per_day: Option<u64>) -> Option<Rate> {
        let of_day = |per_day| Rate { burst: per_day, per_day };
        let pushed = |burst, per_second: u64| Rate { burst, per_day: per_second * DAY_MS / 1_000 };
        Some(match self {
            Share::Day | Share::DayWithdrawals => of_day(versions_per_day?),
            Share::DayStatements => of_day(STATEMENTS_PER_DAY),
            Share::Pushed | Share::PushedWithdrawals => pushed(PUSHED_VERSIONS_BURST, PUSHED_VERSIONS_PER_SECOND),
            Share::PushedUpkeep | Share::PushedStatements => {
                pushed(PUSHED_STATEMENTS_BURST, PUSHED_STATEMENTS_PER_SECOND)
            }
        })
    }
}

/// So many at once, and so many in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    burst: u64,
    per_day: u64,
}

/// What an organisation used. A version owes [`DAY_MS`]; each millisecond pays back the number of versions in a day.
#[derive(Clone, Copy, Debug)]
struct Used {
    owed: u64,
    at: UnixMillis,
}

impl Used {
    fn owed_at(&self, now: UnixMillis, rate: Rate) -> u64 {
        self.owed.saturating_sub(now.saturating_sub(self.at).saturating_mul(rate.per_day))
    }
}

/// What organisations have used. Some entries for each that published within a day.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    used: BTreeMap<(OrgId, Share), Used>,
    versions_per_day: Option<u64>,
}

/// Versions in a day by a charter that allows so many records in each set.
pub(super) fn versions_per_day(records_max: usize) -> u64 {
    (records_max as u64).saturating_mul(VERSIONS_PER_RECORD_AND_DAY).max(VERSIONS_PER_DAY_MIN)
}

impl Allowances {
    /// `versions_per_day`: by the charter; `None`: it says nothing.
    pub(super) fn new(versions_per_day: Option<u64>) -> Allowances {
        Allowances { used: BTreeMap::new(), versions_per_day }
    }

    /// Milliseconds until one more of this organisation is taken; 0: now.
    pub(super) fn wait_ms(&self, now: UnixMillis, org: &OrgId, share: Share) -> u64 {
        let Some(rate) = share.rate(self.versions_per_day) else { return 0 };
        let owed = self.used.get(&(*org, share)).map_or(0, |used| used.owed_at(now, rate));
        let full = rate.burst.saturating_mul(DAY_MS);
        owed.saturating_add(DAY_MS).saturating_sub(full).div_ceil(rate.per_day)
    }

    /// How many are taken in a day, and at once.
    pub(super) fn burst(&self, share: Share) -> u64 {
        share.rate(self.versions_per_day).map_or(u64::MAX, |rate| rate.burst)
    }

    /// Counts one.
    pub(super) fn use_one(&mut self, now: UnixMillis, org: OrgId, share: Share) {
        let Some(rate) = share.rate(self.versions_per_day) else { return };
        let used = self.used.entry((org, share)).or_insert(Used { owed: 0, at: now });
        *used = Used { owed: used.owed_at(now, rate).saturating_add(DAY_MS), at: now };
    }

    /// Takes back that one was counted: it was not the organisation's.
    pub(super) fn give_back(&mut self, org: OrgId, share: Share) {
        if let Some(used) = self.used.get_mut(&(org, share)) {
            used.owed = used.owed.saturating_sub(DAY_MS);
        }
    }

    /// Drops what is paid back.
    pub(super) fn settle(&mut self, now: UnixMillis) {
        let versions_per_day = self.versions_per_day;
        self.used
            .retain(|(_, share), used| share.rate(versions_per_day).is_some_and(|rate| used.owed_at(now, rate) > 0));
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
        assert_eq!((versions_per_day(256), versions_per_day(257)), (1_024, 1_028));
        let mut allowances = Allowances::new(Some(versions_per_day(0)));
        let per_day = VERSIONS_PER_DAY_MIN;
        for _ in 0..per_day {
            assert_eq!(allowances.wait_ms(NOW, &ORG, Share::Day), 0);
            allowances.use_one(NOW, ORG, Share::Day);
        }
        let wait_ms = allowances.wait_ms(NOW, &ORG, Share::Day);
        assert_eq!(wait_ms, DAY_MS.div_ceil(per_day));
        assert_eq!(allowances.wait_ms(NOW + wait_ms - 1, &ORG, Share::Day), 1);
        assert_eq!(allowances.wait_ms(NOW + wait_ms, &ORG, Share::Day), 0);
        assert_eq!(allowances.wait_ms(NOW, &ORG, Share::DayWithdrawals), 0, "withdrawals have their own");
        assert_eq!(allowances.wait_ms(NOW, &OrgId([2; 32]), Share::Day), 0, "so has everybody else");
    }

    #[test]
    fn of_each_share_as_many_are_taken_at_once_as_its_limit_says_and_then_so_many_a_second() {
        for (share, burst, per_second) in [
            (Share::Pushed, PUSHED_VERSIONS_BURST, PUSHED_VERSIONS_PER_SECOND),
            (Share::PushedWithdrawals, PUSHED_VERSIONS_BURST, PUSHED_VERSIONS_PER_SECOND),
            (Share::PushedUpkeep, PUSHED_STATEMENTS_BURST, PUSHED_STATEMENTS_PER_SECOND),
            (Share::PushedStatements, PUSHED_STATEMENTS_BURST, PUSHED_STATEMENTS_PER_SECOND),
        ] {
            let mut allowances = Allowances::new(None);
            let mut taken = |now: UnixMillis| {
                let mut count = 0;
                while allowances.wait_ms(now, &ORG, share) == 0 {
                    allowances.use_one(now, ORG, share);
                    count += 1;
                }
                count
            };
            assert_eq!((taken(NOW), taken(NOW), taken(NOW + 1_000)), (burst, 0, per_second), "{share:?}");
            allowances.give_back(ORG, share);
            assert_eq!(allowances.wait_ms(NOW + 1_000, &ORG, share), 0, "what is given back may be used");
        }
        let mut allowances = Allowances::new(None);
        (0..STATEMENTS_PER_DAY).for_each(|_| allowances.use_one(NOW, ORG, Share::DayStatements));
        assert_eq!(allowances.wait_ms(NOW, &ORG, Share::DayStatements), DAY_MS.div_ceil(STATEMENTS_PER_DAY));
    }

    #[test]
    fn what_is_paid_back_takes_no_memory() {
        let mut allowances = Allowances::new(Some(1_024));
        allowances.use_one(NOW, ORG, Share::Day);
        allowances.settle(NOW);
        assert_eq!(allowances.used.len(), 1);
        allowances.settle(NOW + DAY_MS);
        assert!(allowances.used.is_empty());
    }

    #[test]
    fn no_number_of_records_and_no_clock_overflows() {
        let mut allowances = Allowances::new(Some(versions_per_day(u32::MAX as usize)));
        allowances.use_one(u64::MAX, ORG, Share::Day);
        assert_eq!(allowances.wait_ms(0, &ORG, Share::Day), 0);
        allowances.use_one(0, ORG, Share::Day);
        assert_eq!(allowances.wait_ms(u64::MAX, &ORG, Share::Day), 0);
    }
}
