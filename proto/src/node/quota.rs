//! How many records an organisation may have in a set, and how long one version of them may be: what its charter says.
//!
//! Selects by key, never by arrival: of more places than the quota, every node keeps those with the lowest set keys.
//! Always: a set holds at most `records_max` records of one organisation.
//! Spec: `spec/05-network.md`, section 2.1. Tested: `node/tests/quota.rs`, `spec/vectors/receipt_{valid,invalid}.json`.

use super::allowance::Share;
use super::batch::{Batch, Source};
use super::output::{Operation, Outcome, Output};
use super::spreading::COMPARE_AFTER_DROP_MS;
use super::{Node, Reject};
use crate::canary::{Canary, is_out};
use crate::id::OrgId;
use crate::kind::{Audience, Class};
use crate::set::{Index, SetKey, Slot};
use crate::time::UnixMillis;
use crate::version::SignedVersion;

/// What a version counts to that a peer brought unasked.
fn pushed_share(source: Source, version: &SignedVersion) -> Option<Share> {
    matches!(source, Source::Peer { is_asked: false, .. }).then(|| Share::of_pushed(version)).flatten()
}

/// Where an organisation's records stand in a set: from here, up to but not including there.
#[derive(Clone, Copy, Debug)]
struct Places {
    first: SetKey,
    end: Option<SetKey>,
}

impl Places {
    /// Those of the organisation whose record has this key.
    fn around(key: &SetKey) -> Places {
        let (mut first, mut last) = (*key, *key);
        first.0[8..].fill(0);
        last.0[8..].fill(0xff);
        Places { first, end: last.next() }
    }

    fn held(&self, set: &Index) -> usize {
        self.end.map_or(set.len(), |end| set.rank(&end)) - set.rank(&self.first)
    }

    fn below(&self, set: &Index, key: &SetKey) -> usize {
        set.rank(key) - set.rank(&self.first)
    }

    /// The key of the place that has this many of the organisation's below it.
    fn nth(&self, set: &Index, number: usize) -> Option<SetKey> {
        set.at_rank(set.rank(&self.first) + number)
    }
}

impl Node {
    /// Records that an organisation may have in each set; `None`: the charter says nothing.
    pub(super) fn records_max(&self) -> Option<usize> {
        let max = self.charter().text.records_max as usize;
        (max > 0).then_some(max)
    }

    /// Errors: a record with a body whose envelope is longer than the charter allows.
    pub(super) fn check_length(&self, version: &SignedVersion) -> Result<(), Reject> {
        let (found, max) = (version.envelope().len(), self.charter().text.version_bytes_max as usize);
        let is_bounded = version.header().kind.class() == Class::Record && !version.is_withdrawal();
        if is_bounded && max > 0 && found > max { Err(Reject::VersionTooLong { found, max }) } else { Ok(()) }
    }

    /// Whether a version may come to this place. Errors: as many records of its organisation as its charter allows have lower
    /// keys, or, if an admin hands it in, have any: what is published is never given up for what is published later.
    pub(super) fn check_quota(&self, source: Source, org: OrgId, slot: &Slot) -> Result<(), Reject> {
        let set = self.set(slot.audience);
        let Some(max) = self.records_max() else { return Ok(()) };
        if slot.key.class() != Class::Record || set.get(&slot.key).is_some() {
            return Ok(());
        }
        let places = Places::around(&slot.key);
        let in_the_way = if source == Source::Admin { places.held(set) } else { places.below(set, &slot.key) };
        if in_the_way < max {
            return Ok(());
        }
        Err(Reject::OverQuota { org, audience: slot.audience, held: places.held(set), max })
    }

    /// Whether there is room for a version: a place, and a share of the day. Errors: [`Reject::OverQuota`], [`Reject::TooManyToday`].
    pub(super) fn check_room(&self, now: UnixMillis, source: Source, version: &SignedVersion) -> Result<(), Reject> {
        let header = version.header();
        self.check_quota(source, header.org, &Slot::of(header))?;
        self.check_day(now, version)
    }

    /// Errors: [`Reject::TooManyToday`].
    pub(super) fn check_day(&self, now: UnixMillis, version: &SignedVersion) -> Result<(), Reject> {
        let Some(share) = Share::of_day(version).filter(|_| !is_out(Canary::DayAllowance)) else { return Ok(()) };
        let org = version.header().org;
        match self.allowances.wait_ms(now, &org, share) {
            0 => Ok(()),
            wait_ms => Err(Reject::TooManyToday { org, max: self.allowances.burst(share), wait_ms }),
        }
    }

    /// Counts a version that is taken.
    pub(super) fn use_allowance(&mut self, now: UnixMillis, version: &SignedVersion) {
        if let Some(share) = Share::of_day(version) {
            self.allowances.use_one(now, version.header().org, share);
        }
    }

    /// Takes a version that nobody asked for from what its organisation may have pushed. Errors: [`Reject::TooManyAtOnce`];
    /// sets are compared with who brought it when the flood has passed.
    pub(super) fn check_pace(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: &SignedVersion,
    ) -> Result<(), Reject> {
        let header = version.header();
        let Some(share) = pushed_share(source, version).filter(|_| !is_out(Canary::PushPace)) else { return Ok(()) };
        if self.allowances.wait_ms(now, &header.org, share) == 0 {
            self.allowances.use_one(now, header.org, share);
            return Ok(());
        }
        let number = usize::from(header.audience.number());
        if let Some(link) = self.link_of(source) {
            link.compare_at[number] = link.compare_at[number].min(now.saturating_add(COMPARE_AFTER_DROP_MS));
        }
        Err(Reject::TooManyAtOnce { org: header.org, max: self.allowances.burst(share) })
    }

    /// A version whose signature does not hold was not the organisation's.
    pub(super) fn give_pace_back(&mut self, source: Source, version: &SignedVersion) {
        if let Some(share) = pushed_share(source, version) {
            self.allowances.give_back(version.header().org, share);
        }
    }

    /// Refuses for want of room what passed every other check: whoever brought it is not taken to be level.
    pub(super) fn defer(&mut self, source: Source, reject: Reject) -> Outcome {
        if let Some(peer) = source.peer() {
            self.note_not_held(&peer);
        }
        Outcome::Rejected(reject)
    }

    /// Takes the records with the highest keys out of a set until the quota of the organisation at this slot is kept.
    pub(super) fn displace(&mut self, slot: &Slot, batch: &mut Batch) {
        let Some(max) = self.records_max().filter(|_| slot.key.class() == Class::Record) else { return };
        let places = Places::around(&slot.key);
        while !is_out(Canary::Quota)
            && places.held(self.set(slot.audience)) > max
            && let Some(key) = places.nth(self.set(slot.audience), max)
        {
            let slot = Slot { audience: slot.audience, key };
            self.set_mut(slot.audience).remove(&key);
            batch.operations.push(Operation::Forget { slot });
            batch.leave_untold(&slot);
        }
    }

    /// Takes out of the sets what a store of an earlier version of this software holds beyond the quota.
    pub(super) fn restore_quotas(&mut self, outputs: &mut Vec<Output>) {
        let mut batch = Batch::default();
        for audience in Audience::ALL {
            let mut from = Some(SetKey::first_of(Class::Record, &OrgId([0; 32])));
            while let Some(lower) = from
                && let Some((key, _)) = self.set(audience).range(&lower, None).next()
            {
                self.displace(&Slot { audience, key }, &mut batch);
                from = Places::around(&key).end;
            }
        }
        if !batch.operations.is_empty() {
            outputs.push(Output::Persist { operations: batch.operations, durable: false });
        }
    }
}
