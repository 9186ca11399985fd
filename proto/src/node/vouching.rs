//! A start by heads: versions of an organisation of which nothing is here are held back until there are as many as its newest
//! head counts, and taken together when their hash is the head's.
//!
//! In: versions that passed every check but those of body and signature. Out: versions to be entered, or to be checked as ever.
//! Always: what does not fit its head exactly is checked one by one, like what came without a head; what is taken for its head is
//! audited (`auditing.rs`) before anybody else gets it; what is held stays within its limits.
//! Spec: `spec/15-heads.md`, section 5. Tested: `node/tests/vouching.rs`, `bench heads`, the simulator.

use std::collections::BTreeMap;

use super::batch::{Batch, Source};
use super::intake::PendingSource;
use super::{Node, Output, Peer};
use crate::head::{Cover, Head};
use crate::id::OrgId;
use crate::key::PublicKey;
use crate::kind::{Audience, Class};
use crate::set::{Entry, SetKey, Slot};
use crate::time::{UnixHour, UnixMillis};
use crate::version::SignedVersion;

/// Versions of one organisation that are held back; with a head of more they are checked one by one.
pub(super) const HELD_VERSIONS_MAX: usize = 4_096;
/// Bytes of one organisation's versions that are held back.
pub(super) const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that are held back of all organisations and peers, those included that did not fit their head and are being checked.
pub(super) const HELD_TOTAL_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Versions to which nothing was added for so long are checked one by one, in milliseconds.
pub(super) const HELD_MS_MAX: u64 = 2_000;

/// Versions with the keys under which they are to be checked.
type Unchecked = Vec<(SignedVersion, PublicKey)>;

/// What is held back.
#[derive(Debug, Default)]
pub(super) struct Held {
    groups: BTreeMap<(Peer, OrgId), Group>,
    /// Bytes of all groups, and of those that are being checked.
    pub(super) bytes: usize,
    /// Versions are held back at all.
    is_on: bool,
}

/// Versions of one organisation that one peer brought over one link.
#[derive(Debug)]
struct Group {
    source: Source,
    versions: BTreeMap<SetKey, (SignedVersion, PublicKey)>,
    bytes: usize,
    grown_at: UnixMillis,
}

impl Node {
    /// Takes what is new here of an organisation for its head, and checks body and signature of each version afterwards. Without
    /// this call they are checked at once. Spec: `spec/15-heads.md`, section 5.
    pub fn start_by_heads(&mut self) {
        self.held.is_on = true;
    }

    /// Holds back a version on which body and signature are still to be checked, or gives it back.
    pub(super) fn hold_back(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: SignedVersion,
        key: PublicKey,
    ) -> Option<(SignedVersion, PublicKey)> {
        let (header, bytes) = (version.header(), version.envelope().len());
        let (Source::Peer { peer, is_asked: true, .. }, true) = (source, self.held.is_on) else {
            return Some((version, key));
        };
        if header.kind.class() != Class::Record || header.audience != Audience::Public {
            return Some((version, key));
        }
        let at = (peer, header.org);
        let is_vouchable = self.held.groups.contains_key(&at) || self.is_vouchable(now, &header.org);
        let held = self.held.groups.get(&at);
        let is_same_link = held.is_none_or(|group| group.source == source);
        let (count, held_bytes) = held.map_or((0, 0), |group| (group.versions.len(), group.bytes));
        let has_room = count < HELD_VERSIONS_MAX
            && held_bytes + bytes <= HELD_BYTES_MAX
            && self.held.bytes + bytes <= HELD_TOTAL_BYTES_MAX;
        let place = Slot::of(header).key;
        let is_twice = held.is_some_and(|group| group.versions.contains_key(&place));
        if !is_vouchable || !is_same_link || !has_room || is_twice {
            return Some((version, key));
        }
        let new = || Group { source, versions: BTreeMap::new(), bytes: 0, grown_at: now };
        let group = self.held.groups.entry(at).or_insert_with(new);
        group.versions.insert(place, (version, key));
        (group.bytes, group.grown_at) = (group.bytes + bytes, now);
        self.held.bytes += bytes;
        None
    }

    /// After a frame of a peer with these keys: takes the groups that fit their heads. Returns what is to be checked one by one:
    /// what is asked for comes in the order of keys, so that a group below the last one grows no more.
    pub(super) fn settle_held(
        &mut self,
        now: UnixMillis,
        source: Source,
        keys: &[SetKey],
        batch: &mut Batch,
    ) -> Vec<(Source, Unchecked)> {
        let Source::Peer { peer, is_asked: true, .. } = source else { return Vec::new() };
        let last = keys.iter().filter(|key| key.class() == Class::Record).max().copied();
        let is_over =
            |org: &OrgId, _: &Group| last.is_some_and(|last| SetKey::first_of(Class::Record, org).0[..8] < last.0[..8]);
        self.settle_groups(now, Some(peer), is_over, batch)
    }

    /// Takes all groups of a peer that fit their heads, and has the others checked: nothing more is asked of it.
    pub(super) fn settle_all_held(&mut self, now: UnixMillis, peer: Peer, outputs: &mut Vec<Output>) {
        if self.held.groups.is_empty() {
            return;
        }
        let mut batch = Batch::default();
        let unfit = self.settle_groups(now, Some(peer), |_, _| true, &mut batch);
        self.finish(now, batch, outputs);
        self.check_unfit(unfit, outputs);
    }

    /// Has checked what waits for too long, or whose link is down.
    pub(super) fn mind_held(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        if self.held.groups.is_empty() {
            return;
        }
        let mut batch = Batch::default();
        // A clock that leapt must not keep them.
        let is_late = |_: &OrgId, group: &Group| now.abs_diff(group.grown_at) >= HELD_MS_MAX;
        let unfit = self.settle_groups(now, None, is_late, &mut batch);
        self.finish(now, batch, outputs);
        self.check_unfit(unfit, outputs);
    }

    pub(super) fn check_unfit(&mut self, unfit: Vec<(Source, Unchecked)>, outputs: &mut Vec<Output>) {
        for (source, versions) in unfit {
            let Source::Peer { route, peer, link, is_asked } = source else { continue };
            if let Some(link) = self.link_of(source) {
                link.in_work += 1;
            }
            let held_bytes = versions.iter().map(|(version, _)| version.envelope().len()).sum();
            let versions = versions.into_iter().map(|(version, key)| (0, version, key)).collect();
            self.request(PendingSource::Held { route, peer, link, is_asked, held_bytes }, versions, outputs);
        }
    }

    /// Whether a head of this organisation can vouch for its records: it has a current one, and none of them is here.
    fn is_vouchable(&self, now: UnixMillis, org: &OrgId) -> bool {
        let is_new = !self.audits.is_barred(org) && self.own_organisation() != Some(*org);
        is_new
            && self.vouching_head(now, org).is_some_and(|head| head.cover.count <= HELD_VERSIONS_MAX as u64)
            && self.records_of(Audience::Public, *org).next().is_none()
    }

    /// The organisation's newest head for the public, unless its lease is over.
    fn vouching_head(&self, now: UnixMillis, org: &OrgId) -> Option<&Head> {
        let head = self.newest_head(Audience::Public, org)?;
        let entry = self.set(Audience::Public).get(&head.slot().key)?;
        (entry.vid == head.vid && !entry.has_lapsed_by(UnixHour::containing(now))).then_some(head)
    }

    /// Takes, of a peer or of all, the groups that fit their heads; gives back those that do not and are over.
    fn settle_groups(
        &mut self,
        now: UnixMillis,
        of: Option<Peer>,
        is_over: impl Fn(&OrgId, &Group) -> bool,
        batch: &mut Batch,
    ) -> Vec<(Source, Unchecked)> {
        let groups = self.held.groups.iter().filter(|((peer, _), _)| of.is_none_or(|of| of == *peer));
        let at: Vec<(Peer, OrgId)> = groups.map(|(at, _)| *at).collect();
        let mut unfit = Vec::new();
        for at in at {
            let Some(group) = self.held.groups.get(&at) else { continue };
            let cover = self.vouching_head(now, &at.1).map(|head| (head.cover, head.hlc));
            // Counting costs little, hashing each time that a frame comes would not.
            let fits = cover.filter(|(cover, until)| {
                let entries =
                    || group.versions.values().map(|(version, _)| Entry::of(version.header(), version.vid(), 0));
                let covered = entries().filter(|entry| cover.covers(entry, *until)).count() as u64;
                covered == cover.count && Cover::of(entries(), cover.from, *until) == *cover
            });
            let is_full = group.versions.len() >= HELD_VERSIONS_MAX;
            if fits.is_none() && !is_full && !is_over(&at.1, group) {
                continue;
            }
            let Some(group) = self.held.groups.remove(&at) else { continue };
            // Others may have brought some of it meanwhile.
            let fits = fits.filter(|_| self.is_vouchable(now, &at.1));
            let Some((cover, until)) = fits else {
                unfit.push((group.source, group.versions.into_values().collect()));
                continue;
            };
            self.audits.vouch(at.1, batch);
            let mut rest = Vec::new();
            for (version, key) in group.versions.into_values() {
                if cover.covers(&Entry::of(version.header(), version.vid(), 0), until) {
                    self.held.bytes -= version.envelope().len();
                    self.accept_vouched(now, group.source, version, batch);
                } else {
                    rest.push((version, key));
                }
            }
            if !rest.is_empty() {
                unfit.push((group.source, rest));
            }
            self.leave_out_of_news(now, at.0);
        }
        unfit
    }

    /// Nobody is told of what nobody else may have yet: the others' sets are compared.
    fn leave_out_of_news(&mut self, now: UnixMillis, from: Peer) {
        let others: Vec<Peer> = self.links.keys().filter(|peer| **peer != from).copied().collect();
        others.into_iter().for_each(|peer| self.leave_out(now, peer, Audience::Public));
    }
}
