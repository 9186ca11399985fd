//! What a batch of versions leads to: the sets, the store, what peers and people are told.
//!
//! In: versions that passed the checks of `intake.rs`, or did not. Out: what is persisted, then what is sent.
//! Always: persisted before it is told; a version enters its set only here, but for what the store restores.
//! Spec: `spec/04-merge.md`, sections 2 (the last step), 5 and 6. Tested: `node/tests/`.

use std::collections::{BTreeMap, BTreeSet};

use super::burden::{Burden, VERIFIED_BURDEN};
use super::link::Link;
use super::output::{Notice, Operation, Outcome, Output};
use super::spreading::Accepted;
use super::{Node, Peer, Reject, VerifiedVersion};
use crate::canary::{Canary, is_out};
use crate::id::{OrgId, RecordId, Vid};
use crate::kind::{Audience, Kind};
use crate::network::members::Standing;
use crate::order::{Precedence, is_concurrent};
use crate::overlay;
use crate::set::Slot;
use crate::time::UnixMillis;
use crate::version::SignedVersion;

/// With so many versions that no honest node would have sent a link ends.
pub(super) const BREACHES_PER_LINK_MAX: u32 = 16;

/// Who brings a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A peer, over the link with this number; by itself unless `is_asked`.
    Peer { route: overlay::Source, peer: Peer, link: u64, is_asked: bool },
    /// An admin, or an organisation that joins here.
    Admin,
    /// The quarantine.
    Quarantine,
}

impl Source {
    pub(super) fn peer(self) -> Option<Peer> {
        match self {
            Source::Peer { peer, .. } => Some(peer),
            Source::Admin | Source::Quarantine => None,
        }
    }
}

/// What one batch of versions leads to.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) operations: Vec<Operation>,
    durable: bool,
    /// Newly accepted versions with where each came from.
    accepted: Vec<Accepted>,
    /// Versions that a peer pushed although they are here.
    duplicates: Vec<(Peer, Vid, overlay::Route)>,
    /// Versions that lost against ours: the peer is sent ours.
    pub(super) outdated: Vec<(Peer, Slot)>,
    /// Pairs that a peer now knows us to hold.
    acknowledged: Vec<(Peer, Slot, Vid)>,
    pub(super) notices: Vec<Notice>,
    pub(super) released: BTreeSet<OrgId>,
    /// Work that came to nothing, with who caused it.
    wasted: Vec<(Peer, Burden, u64)>,
}

impl Batch {
    /// Notes work for nothing, unless this node asked for it.
    fn waste(&mut self, source: Source, what: Burden, units: u64) {
        if let Source::Peer { peer, is_asked: false, .. } = source {
            self.wasted.push((peer, what, units));
        }
    }

    /// Tells nobody of what this batch put into a slot.
    pub(super) fn leave_untold(&mut self, slot: &Slot) {
        self.accepted.retain(|accepted| accepted.slot != *slot);
        self.acknowledged.retain(|(_, acknowledged, _)| acknowledged != slot);
    }
}

impl Node {
    /// The link over which a version came, while it is up. A later link to the same peer is another one: nothing that is said or
    /// counted for the old one is for it.
    pub(super) fn link_of(&mut self, source: Source) -> Option<&mut Link> {
        let Source::Peer { peer, link: number, .. } = source else { return None };
        self.links.get_mut(&peer).filter(|link| link.number == number)
    }

    /// A version that is no news: acknowledges it, or sends the peer the newer one.
    pub(super) fn note_known(
        &mut self,
        source: Source,
        slot: Slot,
        known: Precedence,
        found: &Precedence,
        batch: &mut Batch,
    ) {
        // What a peer brought may not be on stable storage yet: the answer to an admin waits for it.
        batch.durable |= source == Source::Admin && known.vid == found.vid && !is_out(Canary::Durability);
        let Some(peer) = source.peer() else { return };
        batch.waste(source, Burden::Known, 1);
        if known.vid == found.vid {
            self.note_held(&found.vid, peer);
            if let Source::Peer { route, is_asked: false, .. } = source
                && self.link_of(source).is_some()
            {
                batch.acknowledged.push((peer, slot, found.vid));
                if let overlay::Source::Pushed { route, .. } = route {
                    batch.duplicates.push((peer, found.vid, route));
                }
            }
        } else if known > *found
            && self.link_of(source).is_some()
            && self.shares(&peer, slot.audience)
            && self.set(slot.audience).get(&slot.key).is_some()
        {
            batch.outdated.push((peer, slot));
        }
    }

    /// A version whose signature holds: it wins its slot, or a newer one came in meanwhile.
    pub(super) fn accept(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: VerifiedVersion,
        batch: &mut Batch,
    ) -> Outcome {
        match self.may_take(now, source, &version, batch) {
            Ok(concurrent) => {
                self.put(source, version.into_signed(), batch);
                Outcome::Published { concurrent }
            }
            Err(outcome) => outcome,
        }
    }

    /// A version that its organisation's head covers, before body and signature are checked: as [`Node::accept`], but nobody is
    /// told of it.
    pub(super) fn accept_vouched(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: SignedVersion,
        batch: &mut Batch,
    ) -> Outcome {
        match self.may_take(now, source, &version, batch) {
            Ok(concurrent) => {
                self.keep(source, version, batch);
                Outcome::Published { concurrent }
            }
            Err(outcome) => outcome,
        }
    }

    /// The last checks before a version enters its set. Gives back whether it replaces something else than its signer had seen.
    /// Errors: why it does not enter.
    fn may_take(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: &SignedVersion,
        batch: &mut Batch,
    ) -> Result<bool, Outcome> {
        let header = *version.header();
        let slot = Slot::of(&header);
        let known = self.known(&slot);
        let precedence = Precedence::of(version);
        if let Some(known) = known.filter(|known| known.holds_against(&precedence)) {
            self.note_known(source, slot, known, &precedence, batch);
            return Err(if known.vid == precedence.vid { Outcome::Duplicate } else { Outcome::Superseded });
        }
        // What it lost against may have been forgotten while the signature was being checked.
        if !is_out(Canary::TooOld) && version.forget_at().is_some_and(|forget_at| forget_at <= now) {
            return Err(Outcome::Rejected(Reject::TooOld));
        }
        // Another card may count by now, and membership may have ended.
        self.signer_of(version).map_err(Outcome::Rejected)?;
        if self.trust.standing(&header.org) != Standing::Member {
            return Err(Outcome::Rejected(Reject::NotAMember { org: header.org }));
        }
        if let Some(reason) = &self.read_only {
            return Err(Outcome::Rejected(Reject::ReadOnly { reason: reason.clone() }));
        }
        // Others of the batch, or another batch, may have taken the room.
        if let Err(reject) = self.check_room(now, source, version) {
            batch.waste(source, Burden::Refused, VERIFIED_BURDEN);
            return Err(self.defer(source, reject));
        }
        self.use_allowance(now, version);
        let concurrent = known.is_some_and(|known| is_concurrent(version, &known.vid));
        if concurrent {
            batch.notices.push(Notice::Concurrent { org: header.org, record: header.record, winner: version.vid() });
        }
        Ok(concurrent)
    }

    /// Precedence of the version that wins a slot.
    pub(super) fn known(&self, slot: &Slot) -> Option<Precedence> {
        let Some(entry) = self.set(slot.audience).get(&slot.key) else { return self.lost.get(slot).copied() };
        Some(entry.precedence(self.devices.device(entry.device).1))
    }

    /// Takes back the very version that the store lost: its name vouches for its bytes, which were checked before.
    pub(super) fn put_back(&mut self, source: Source, version: &SignedVersion, batch: &mut Batch) -> bool {
        let slot = Slot::of(version.header());
        let is_it = self.lost.get(&slot).is_some_and(|lost| lost.vid == version.vid());
        if is_it && self.check_quota(Source::Quarantine, version.header().org, &slot).is_err() {
            // Others have its room by now: it is like any other that was never here.
            self.lost.remove(&slot);
            return false;
        }
        if is_it {
            self.put(source, version.clone(), batch);
        }
        is_it
    }

    /// Enters a version into its set and notes what follows.
    pub(super) fn put(&mut self, source: Source, version: SignedVersion, batch: &mut Batch) {
        let (slot, vid, envelope) = (Slot::of(version.header()), version.vid(), version.envelope().to_vec());
        let route = match source {
            Source::Peer { route, .. } => Some(route),
            // Everybody else may have the same in its quarantine: the name is enough.
            Source::Quarantine => None,
            Source::Admin => Some(overlay::Source::Published { reaches_everyone: false }),
        };
        batch.accepted.push(Accepted { source: route, slot, vid, envelope, goes_first: false });
        self.keep(source, version, batch);
    }

    /// As [`Node::put`], but peers are not told.
    fn keep(&mut self, source: Source, version: SignedVersion, batch: &mut Batch) {
        let header = version.header();
        let (slot, kind, vid) = (Slot::of(header), header.kind, version.vid());
        self.enter(slot, &version, false);
        self.lost.remove(&slot);
        self.logs[usize::from(slot.audience.number())].push(slot.key);
        if kind == Kind::HEAD {
            self.note_head(&version, source == Source::Admin, &mut batch.notices);
        }
        self.follow_witness(slot, &version, &mut batch.notices);
        // Upkeep is made anew when it is lost, but for what a person signed.
        let own = source == Source::Admin && (!kind.is_upkeep() || kind == Kind::REDACTION);
        self.follow_redaction(slot, &version);
        batch.durable |= own && !is_out(Canary::Durability);
        if own {
            self.follow_spread(slot.audience, vid);
        }
        if let Some(link) = self.link_of(source) {
            link.accepted_versions += 1;
            if let Source::Peer { peer, is_asked: false, .. } = source {
                batch.acknowledged.push((peer, slot, vid));
            }
        }
        let envelope = version.envelope().to_vec();
        batch.operations.push(Operation::Put { slot, kind, vid, envelope, own });
        self.displace(&slot, batch);
    }

    /// Notes that a version is refused: the answer to an admin, a log line and perhaps the end of the link for a peer.
    pub(super) fn refuse(
        &mut self,
        now: UnixMillis,
        source: Source,
        record: Option<(OrgId, RecordId)>,
        why: Reject,
        batch: &mut Batch,
        outputs: &mut Vec<Output>,
    ) -> Outcome {
        if let Some(peer) = source.peer() {
            batch.notices.push(Notice::Rejected { peer, record, why: why.clone() });
            self.note_not_held(&peer);
            if !matches!(why, Reject::ReadOnly { .. }) {
                batch.waste(source, Burden::Refused, 1);
            }
            if let Some(link) = self.link_of(source).filter(|_| why.is_breach()) {
                link.breaches += 1;
                if link.breaches == BREACHES_PER_LINK_MAX {
                    let breach = super::Breach::Versions { found: link.breaches, last: why.to_string() };
                    self.break_off(now, peer, &breach, outputs);
                }
            }
        }
        Outcome::Rejected(why)
    }

    /// Hands out what a batch leads to, and tries again what waited for it.
    pub(super) fn finish(&mut self, now: UnixMillis, mut batch: Batch, outputs: &mut Vec<Output>) {
        let released = std::mem::take(&mut batch.released);
        let members_changed = batch.notices.contains(&Notice::MembersChanged);
        // Before anything is sent: who is out is still told why, but nothing of members any more.
        let were_members = if members_changed { self.match_links_to_members() } else { BTreeSet::new() };
        let wasted = std::mem::take(&mut batch.wasted);
        self.emit(now, batch, outputs);
        self.charge(now, wasted, outputs);
        if members_changed {
            self.choose_candidates();
            self.follow_members(now, &were_members, outputs);
            self.pull_where_due(now, outputs);
        }
        for org in released {
            let versions = self.quarantine.release(&org);
            self.retry(now, versions, outputs);
        }
    }

    /// Takes work for nothing from peers' budgets, and parts from those who used theirs up.
    fn charge(&mut self, now: UnixMillis, wasted: Vec<(Peer, Burden, u64)>, outputs: &mut Vec<Output>) {
        for (peer, what, units) in wasted {
            if let Err(breach) = self.burdens.add(now, peer, what, units)
                && self.links.contains_key(&peer)
            {
                self.break_off(now, peer, &breach, outputs);
            }
        }
    }

    /// Persist first, then tell the peers.
    pub(super) fn emit(&mut self, now: UnixMillis, mut batch: Batch, outputs: &mut Vec<Output>) {
        if is_out(Canary::Receipt) {
            self.mind_redactions(now, outputs);
        }
        if !batch.operations.is_empty() || batch.durable {
            outputs.push(Output::Persist { operations: batch.operations, durable: batch.durable });
        }
        let reaches_everyone = self.neighbours.reaches_everyone(now);
        for accepted in &mut batch.accepted {
            if let Some(overlay::Source::Published { reaches_everyone: reaches }) = &mut accepted.source {
                *reaches = reaches_everyone;
            }
        }
        // What a redaction orders does not wait for its turn.
        let mut lacking = Vec::new();
        for accepted in &mut batch.accepted {
            accepted.goes_first = self.goes_first(now, &accepted.slot, &accepted.vid);
            let from = accepted.source.and_then(overlay::Source::from);
            lacking.extend(from.zip(self.lacking_for(&accepted.slot)));
        }
        batch.accepted.sort_by_key(|accepted| !accepted.goes_first);
        self.spread(now, batch.accepted, outputs);
        for (from, announced) in lacking {
            self.broadcast.announced(now, &from, announced);
        }
        for (peer, vid, route) in batch.duplicates {
            self.on_duplicate(now, peer, &vid, route, outputs);
        }
        self.acknowledge(&batch.acknowledged, outputs);
        let mut outdated: BTreeMap<Peer, BTreeSet<Slot>> = BTreeMap::new();
        batch.outdated.retain(|(peer, slot)| !self.is_mirror && self.shares(peer, slot.audience));
        for (peer, slot) in batch.outdated {
            outdated.entry(peer).or_default().insert(slot);
        }
        for (to, slots) in outdated {
            outputs.push(Output::SendVersions { to, want: 0, slots: slots.into_iter().collect(), more: false });
        }
        outputs.extend(batch.notices.into_iter().map(Output::Notice));
    }

    /// Something that a peer brought, over this link or an earlier one, is not in the set: its log is not consumed until a comparison
    /// says so.
    pub(super) fn note_not_held(&mut self, peer: &Peer) {
        if let Some(link) = self.links.get_mut(peer) {
            (link.is_level, link.has_refused) = ([false; 2], [true; 2]);
        }
    }

    pub(super) fn note_held(&mut self, vid: &Vid, peer: Peer) {
        if let Some(holders) = self.spread.get_mut(vid).filter(|holders| !holders.contains(&peer)) {
            holders.push(peer);
        }
    }

    pub(super) fn on_lost(&mut self, now: UnixMillis, slot: Slot) {
        // Of what was never checked the name says nothing.
        if let Some(known) = self.known(&slot).filter(|_| !self.is_unaudited(&slot)) {
            self.lost.insert(slot, known);
        }
        self.take_out(&slot);
        self.compare_soon(now, slot.audience);
    }

    /// Something that was here is no longer: peers may have it.
    pub(super) fn compare_soon(&mut self, now: UnixMillis, audience: Audience) {
        let number = usize::from(audience.number());
        for link in self.links.values_mut() {
            (link.compare_at[number], link.in_sync[number], link.differs[number]) = (now, false, true);
        }
    }
}
