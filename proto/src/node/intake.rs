//! How versions come in, whoever brings them: checks, signatures, order, standing.
//!
//! The order of checks is the order of `spec/04-merge.md`, section 2.

mod settling;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use super::output::{Notice, Operation, Outcome, Output};
use super::spreading::Accepted;
use super::{Node, Peer, Reject, Unverified, VerifiedVersion};
use crate::canary::{Canary, is_out};
use crate::id::{OrgId, RecordId, Vid};
use crate::key::PublicKey;
use crate::kind::Kind;
use crate::network::members::Standing;
use crate::network::statement::{Statement, StatementError};
use crate::network::succession::Bearing;
use crate::order::{Precedence, is_concurrent};
use crate::overlay;
use crate::set::{SetKey, Slot};
use crate::time::UnixMillis;
use crate::v1;
use crate::version::SignedVersion;

/// Versions no honest node would send that a link survives.
const BREACHES_PER_LINK_MAX: u32 = 16;

/// Who brings a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A peer; by itself unless `is_asked`.
    Peer { route: overlay::Source, peer: Peer, is_asked: bool },
    /// An admin, or an organisation that joins here.
    Admin,
    /// The quarantine.
    Quarantine,
}

impl Source {
    fn peer(self) -> Option<Peer> {
        match self {
            Source::Peer { peer, .. } => Some(peer),
            Source::Admin | Source::Quarantine => None,
        }
    }
}

/// Versions whose bodies and signatures are being checked, and for whom.
#[derive(Debug)]
pub(super) enum PendingSource {
    /// The frame's permit is given back when it is done.
    Peer {
        route: overlay::Source,
        peer: Peer,
        /// Over which of its links they came.
        link: u64,
        is_asked: bool,
    },
    /// Outcomes known so far, and the positions of the others.
    Admin {
        ticket: u64,
        outcomes: Vec<Option<Outcome>>,
        positions: Vec<usize>,
    },
    Quarantine,
}

/// What the first checks of a batch leave.
struct Examined {
    /// By position; `None` where a signature is still to be checked or nothing is to be said.
    outcomes: Vec<Option<Outcome>>,
    /// With their positions.
    verify: Vec<(usize, SignedVersion, PublicKey)>,
    /// Keys of all that could be read.
    keys: Vec<SetKey>,
}

/// Every envelope of an admin's request has an outcome by now; one that was only held back is a duplicate of it.
fn settled(outcomes: Vec<Option<Outcome>>) -> Vec<Outcome> {
    outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Duplicate)).collect()
}

/// Sequence of the card in these bytes; whatever cannot be read is refused later.
fn card_sequence(body: &[u8]) -> u64 {
    v1::OrgCard::decode(body).map_or(0, |card| card.sequence)
}

/// What one batch of versions leads to.
#[derive(Debug, Default)]
struct Batch {
    operations: Vec<Operation>,
    durable: bool,
    /// Newly accepted versions with where each came from.
    accepted: Vec<Accepted>,
    /// Versions that a peer pushed although they are here.
    duplicates: Vec<(Peer, Vid, overlay::Route)>,
    /// Versions that lost against ours: the peer is sent ours.
    outdated: Vec<(Peer, Slot)>,
    /// Pairs that a peer now knows us to hold.
    acknowledged: Vec<(Peer, Slot, Vid)>,
    notices: Vec<Notice>,
    released: BTreeSet<OrgId>,
}

/// What the first checks say.
enum Intake {
    Outcome(Outcome),
    /// Waits for its turn in the quarantine; no answer is due to a peer.
    Held,
    /// Only body and signature are to be checked.
    Verify(SignedVersion, PublicKey),
}

impl Node {
    pub(super) fn on_published(
        &mut self,
        now: UnixMillis,
        ticket: u64,
        envelopes: Vec<Vec<u8>>,
        outputs: &mut Vec<Output>,
    ) {
        let Examined { outcomes, verify, .. } = self.take_in(now, envelopes, Source::Admin, outputs);
        if verify.is_empty() {
            outputs.push(Output::Published { ticket, outcomes: settled(outcomes) });
            return;
        }
        let positions = verify.iter().map(|(position, ..)| *position).collect();
        self.request(PendingSource::Admin { ticket, outcomes, positions }, verify, outputs);
    }

    /// Takes in what a peer sent and returns the keys of what came. The frame's permit is given back when all is done.
    pub(super) fn on_versions(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        envelopes: Vec<Vec<u8>>,
        route: overlay::Source,
        is_pushed: bool,
        outputs: &mut Vec<Output>,
    ) -> Vec<SetKey> {
        let source = Source::Peer { route, peer, is_asked: !is_pushed };
        let Examined { verify, keys, .. } = self.take_in(now, envelopes, source, outputs);
        if verify.is_empty() {
            outputs.push(Output::Processed { peer });
        } else {
            let link = self.links.get_mut(&peer).map_or(0, |link| {
                link.in_work += 1;
                link.number
            });
            self.request(PendingSource::Peer { route, peer, link, is_asked: !is_pushed }, verify, outputs);
        }
        keys
    }

    /// Tries versions again that were set aside.
    pub(super) fn retry(&mut self, now: UnixMillis, versions: Vec<SignedVersion>, outputs: &mut Vec<Output>) {
        if versions.is_empty() {
            return;
        }
        let envelopes = versions.into_iter().map(|version| version.envelope().to_vec()).collect();
        let Examined { verify, .. } = self.take_in(now, envelopes, Source::Quarantine, outputs);
        if !verify.is_empty() {
            self.request(PendingSource::Quarantine, verify, outputs);
        }
    }

    pub(super) fn on_verified(
        &mut self,
        now: UnixMillis,
        ticket: u64,
        versions: Vec<Result<VerifiedVersion, Unverified>>,
        outputs: &mut Vec<Output>,
    ) {
        let Some(pending) = self.pending.remove(&ticket) else { return };
        let source = match &pending {
            PendingSource::Peer { route, peer, is_asked, .. } => {
                Source::Peer { route: *route, peer: *peer, is_asked: *is_asked }
            }
            PendingSource::Admin { .. } => Source::Admin,
            PendingSource::Quarantine => Source::Quarantine,
        };
        let mut batch = Batch::default();
        let mut results = Vec::with_capacity(versions.len());
        for version in versions {
            let outcome = match version {
                Ok(version) => self.accept(now, source, version, &mut batch),
                Err((version, why)) => {
                    let named = Some((version.header().org, version.header().record));
                    self.refuse(now, source, named, why, &mut batch, outputs)
                }
            };
            results.push(outcome);
        }
        self.finish(now, batch, outputs);
        match pending {
            PendingSource::Peer { peer, link: number, .. } => {
                outputs.push(Output::Processed { peer });
                if let Some(link) = self.links.get_mut(&peer).filter(|link| link.number == number) {
                    link.in_work = link.in_work.saturating_sub(1);
                }
                self.ask_for_more(now, peer, outputs);
            }
            PendingSource::Quarantine => {}
            PendingSource::Admin { ticket, mut outcomes, positions } => {
                for (position, outcome) in positions.into_iter().zip(results) {
                    outcomes[position] = Some(outcome);
                }
                outputs.push(Output::Published { ticket, outcomes: settled(outcomes) });
            }
        }
    }

    /// First checks of a batch. Cards and statements are settled at once, cards first, whatever order they came in;
    /// content whose signature is still to be checked is returned with its position.
    fn take_in(
        &mut self,
        now: UnixMillis,
        envelopes: Vec<Vec<u8>>,
        source: Source,
        outputs: &mut Vec<Output>,
    ) -> Examined {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; envelopes.len()];
        let mut batch = Batch::default();
        let mut read = Vec::with_capacity(envelopes.len());
        for (position, envelope) in envelopes.into_iter().enumerate() {
            match SignedVersion::read(envelope) {
                Ok(version) => read.push((position, version)),
                Err(error) => {
                    outcomes[position] = Some(self.refuse(now, source, None, error.into(), &mut batch, outputs));
                }
            }
        }
        let keys = read.iter().map(|(_, version)| Slot::of(version.header()).key).collect();
        read.sort_by_cached_key(|(_, version)| match version.header().kind {
            // A card follows the one before it, whatever order they came in.
            Kind::CARD => (0, card_sequence(version.body())),
            kind if !kind.is_content() => (1, 0),
            _ => (2, 0),
        });
        let content = read.split_off(read.partition_point(|(_, version)| !version.header().kind.is_content()));
        let mut learnt = Vec::new();
        for (position, version) in read {
            let (header, vid) = (*version.header(), version.vid());
            if header.kind != Kind::CARD {
                self.trust.follow_cards();
            }
            match self.examine_statement(now, source, version, &mut batch) {
                Ok(None) => learnt.push((position, header, vid)),
                Ok(known) => outcomes[position] = known,
                Err(reject) => {
                    let named = Some((header.org, header.record));
                    outcomes[position] = Some(self.refuse(now, source, named, reject, &mut batch, outputs));
                }
            }
        }
        self.settle_into(source, &learnt, &mut batch);
        for (position, header, vid) in learnt {
            let winner = self.winner(&Slot::of(&header)).map(|(_, entry)| entry.vid);
            outcomes[position] = Some(if winner == Some(vid) {
                Outcome::Published { concurrent: false }
            } else if self.trust.standing(&header.org) == Standing::Stranger {
                // Remembered outside the set until its organisation gets standing.
                Outcome::Rejected(Reject::NotAMember { org: header.org })
            } else {
                // A better one came in the same batch.
                Outcome::Superseded
            });
        }
        let mut verify = Vec::new();
        for (position, version) in content {
            let named = Some((version.header().org, version.header().record));
            match self.examine_content(now, source, version, &mut batch) {
                Ok(Intake::Outcome(outcome)) => outcomes[position] = Some(outcome),
                Ok(Intake::Held) => {}
                Ok(Intake::Verify(version, key)) => verify.push((position, version, key)),
                Err(reject) => {
                    outcomes[position] = Some(self.refuse(now, source, named, reject, &mut batch, outputs));
                }
            }
        }
        self.finish(now, batch, outputs);
        Examined { outcomes, verify, keys }
    }

    fn request(
        &mut self,
        source: PendingSource,
        verify: Vec<(usize, SignedVersion, PublicKey)>,
        outputs: &mut Vec<Output>,
    ) {
        let ticket = self.next_ticket;
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.pending.insert(ticket, source);
        let versions = verify.into_iter().map(|(_, version, key)| (version, key)).collect();
        outputs.push(Output::Verify { ticket, versions });
    }

    /// Checks that are the same for every version.
    fn examine(&self, version: &SignedVersion) -> Result<(), Reject> {
        let header = version.header();
        if header.network != self.network() {
            return Err(Reject::WrongNetwork { found: header.network, expected: self.network() });
        }
        match &self.read_only {
            Some(reason) => Err(Reject::ReadOnly { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Learns a card or statement (`None`), or tells that it is no news.
    fn examine_statement(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: SignedVersion,
        batch: &mut Batch,
    ) -> Result<Option<Outcome>, Reject> {
        self.examine(&version)?;
        let header = *version.header();
        if self.put_back(source, &version, batch) {
            return Ok(Some(Outcome::Published { concurrent: false }));
        }
        let precedence = Precedence::of(&version);
        let known = self.trust.precedence(&header.org, &header.record);
        if let Some(known) = known.filter(|known| known.holds_against(&precedence)) {
            self.note_known(source, Slot::of(&header), known, &precedence, batch);
            return Ok(Some(if known.vid == precedence.vid { Outcome::Duplicate } else { Outcome::Superseded }));
        }
        let statement = Statement::read(&version)?;
        let key = match &statement {
            Statement::Card(card) => match self.trust.bearing(&header.org, card).map_err(StatementError::from)? {
                Bearing::Loses => {
                    self.note_better(source, card, batch);
                    return Ok(Some(Outcome::Superseded));
                }
                Bearing::Waits => {
                    let reject = Reject::UnknownPredecessor { org: header.org };
                    return Err(self.hold_statement(now, source, version, reject));
                }
                Bearing::Counts | Bearing::Rivals | Bearing::Known => {
                    card.signer(&header.device).ok_or(Reject::UnknownDevice { org: header.org })?
                }
            },
            _ => match self.signer_of(&version) {
                Ok(key) => key,
                Err(reject) => return Err(self.hold_statement(now, source, version, reject)),
            },
        };
        self.check_not_ahead(now, source, &version)?;
        version.check_signature(&key).map_err(|_| Reject::BadSignature)?;
        if matches!(statement, Statement::Card(_)) {
            batch.released.insert(header.org);
        }
        self.trust.learn(version, statement, false);
        Ok(None)
    }

    fn examine_content(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: SignedVersion,
        batch: &mut Batch,
    ) -> Result<Intake, Reject> {
        self.examine(&version)?;
        let header = *version.header();
        let slot = Slot::of(&header);
        if self.put_back(source, &version, batch) {
            return Ok(Intake::Outcome(Outcome::Published { concurrent: false }));
        }
        let precedence = Precedence::of(&version);
        if let Some(known) = self.known(&slot).filter(|known| known.holds_against(&precedence)) {
            self.note_known(source, slot, known, &precedence, batch);
            let is_same = known.vid == precedence.vid;
            return Ok(Intake::Outcome(if is_same { Outcome::Duplicate } else { Outcome::Superseded }));
        }
        if !is_out(Canary::TooOld) && version.forget_at().is_some_and(|forget_at| forget_at <= now) {
            return Err(Reject::TooOld);
        }
        let key = match self.signer_of(&version) {
            Ok(key) => key,
            Err(reject) => return self.wait_for(now, source, version, reject),
        };
        if self.trust.standing(&header.org) != Standing::Member {
            return self.wait_for(now, source, version, Reject::NotAMember { org: header.org });
        }
        self.check_not_ahead(now, source, &version)?;
        Ok(Intake::Verify(version, key))
    }

    /// A version that is no news: acknowledges it, or sends the peer the newer one.
    fn note_known(&mut self, source: Source, slot: Slot, known: Precedence, found: &Precedence, batch: &mut Batch) {
        // What a peer brought may not be on stable storage yet: the answer to an admin waits for it.
        batch.durable |= source == Source::Admin && known.vid == found.vid && !is_out(Canary::Durability);
        let Some(peer) = source.peer() else { return };
        if known.vid == found.vid {
            self.note_held(&found.vid, peer);
            if let Source::Peer { route, is_asked: false, .. } = source {
                batch.acknowledged.push((peer, slot, found.vid));
                if let overlay::Source::Pushed { route, .. } = route {
                    batch.duplicates.push((peer, found.vid, route));
                }
            }
        } else if known > *found
            && self.shares(&peer, slot.audience)
            && self.set(slot.audience).get(&slot.key).is_some()
        {
            batch.outdated.push((peer, slot));
        }
    }

    /// A version whose signature holds: it wins its slot, or a newer one came in meanwhile.
    fn accept(&mut self, now: UnixMillis, source: Source, version: VerifiedVersion, batch: &mut Batch) -> Outcome {
        let header = *version.header();
        let slot = Slot::of(&header);
        let known = self.known(&slot);
        let precedence = Precedence::of(&version);
        if let Some(known) = known.filter(|known| known.holds_against(&precedence)) {
            self.note_known(source, slot, known, &precedence, batch);
            return if known.vid == precedence.vid { Outcome::Duplicate } else { Outcome::Superseded };
        }
        // What it lost against may have been forgotten while the signature was being checked.
        if !is_out(Canary::TooOld) && version.forget_at().is_some_and(|forget_at| forget_at <= now) {
            return Outcome::Rejected(Reject::TooOld);
        }
        // Another card may count by now, and membership may have ended.
        if let Err(reject) = self.signer_of(&version) {
            return Outcome::Rejected(reject);
        }
        if self.trust.standing(&header.org) != Standing::Member {
            return Outcome::Rejected(Reject::NotAMember { org: header.org });
        }
        if let Some(reason) = &self.read_only {
            return Outcome::Rejected(Reject::ReadOnly { reason: reason.clone() });
        }
        let concurrent = known.is_some_and(|known| is_concurrent(&version, &known.vid));
        if concurrent {
            batch.notices.push(Notice::Concurrent { org: header.org, record: header.record, winner: version.vid() });
        }
        self.put(source, version.into_signed(), batch);
        Outcome::Published { concurrent }
    }

    /// Precedence of the version that wins a slot.
    fn known(&self, slot: &Slot) -> Option<Precedence> {
        let Some(entry) = self.set(slot.audience).get(&slot.key) else { return self.lost.get(slot).copied() };
        Some(entry.precedence(self.devices.device(entry.device).1))
    }

    /// Takes back the very version that the store lost: its name vouches for its bytes, which were checked before.
    fn put_back(&mut self, source: Source, version: &SignedVersion, batch: &mut Batch) -> bool {
        let slot = Slot::of(version.header());
        let is_it = self.lost.get(&slot).is_some_and(|lost| lost.vid == version.vid());
        if is_it {
            self.put(source, version.clone(), batch);
        }
        is_it
    }

    /// Enters a version into its set and notes what follows.
    fn put(&mut self, source: Source, version: SignedVersion, batch: &mut Batch) {
        let header = version.header();
        let (slot, kind, vid) = (Slot::of(header), header.kind, version.vid());
        self.enter(slot, &version, false);
        self.lost.remove(&slot);
        self.logs[usize::from(slot.audience.number())].push(slot.key);
        let own = source == Source::Admin;
        batch.durable |= own && !is_out(Canary::Durability);
        if own {
            self.follow_spread(slot.audience, vid);
        }
        if let Some(link) = source.peer().and_then(|peer| self.links.get_mut(&peer)) {
            link.accepted_versions += 1;
        }
        if let Source::Peer { peer, is_asked: false, .. } = source {
            batch.acknowledged.push((peer, slot, vid));
        }
        let envelope = version.envelope().to_vec();
        batch.operations.push(Operation::Put { slot, kind, vid, envelope: envelope.clone(), own });
        let source = match source {
            Source::Peer { route, .. } => Some(route),
            // Everybody else may have the same in its quarantine: the name is enough.
            Source::Quarantine => None,
            Source::Admin => Some(overlay::Source::Published { reaches_everyone: false }),
        };
        batch.accepted.push(Accepted { source, slot, vid, envelope });
    }

    /// Notes that a version is refused: the answer to an admin, a log line and perhaps the end of the link for a peer.
    fn refuse(
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
            if let Some(link) = self.links.get_mut(&peer).filter(|_| why.is_breach()) {
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
    fn finish(&mut self, now: UnixMillis, mut batch: Batch, outputs: &mut Vec<Output>) {
        let released = std::mem::take(&mut batch.released);
        let members_changed = batch.notices.contains(&Notice::MembersChanged);
        // Before anything is sent: who is out is still told why, but nothing of members any more.
        let were_members = if members_changed { self.match_links_to_members() } else { BTreeSet::new() };
        self.emit(now, batch, outputs);
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

    /// Persist first, then tell the peers.
    fn emit(&mut self, now: UnixMillis, mut batch: Batch, outputs: &mut Vec<Output>) {
        if !batch.operations.is_empty() || batch.durable {
            outputs.push(Output::Persist { operations: batch.operations, durable: batch.durable });
        }
        let reaches_everyone = self.neighbours.reaches_everyone(now);
        for accepted in &mut batch.accepted {
            if let Some(overlay::Source::Published { reaches_everyone: reaches }) = &mut accepted.source {
                *reaches = reaches_everyone;
            }
        }
        self.spread(now, batch.accepted, outputs);
        for (peer, vid, route) in batch.duplicates {
            self.on_duplicate(peer, &vid, route, outputs);
        }
        self.acknowledge(&batch.acknowledged, outputs);
        let mut outdated: BTreeMap<Peer, BTreeSet<Slot>> = BTreeMap::new();
        for (peer, slot) in batch.outdated.into_iter().filter(|(peer, slot)| self.shares(peer, slot.audience)) {
            outdated.entry(peer).or_default().insert(slot);
        }
        for (to, slots) in outdated {
            outputs.push(Output::SendVersions { to, want: 0, slots: slots.into_iter().collect(), more: false });
        }
        outputs.extend(batch.notices.into_iter().map(Output::Notice));
    }

    /// Something that a peer brought is not in the set: its log is not consumed until a comparison says so.
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
        if let Some(known) = self.known(&slot) {
            self.lost.insert(slot, known);
        }
        self.set_mut(slot.audience).remove(&slot.key);
        for link in self.links.values_mut() {
            link.compare_at[usize::from(slot.audience.number())] = now;
            link.in_sync[usize::from(slot.audience.number())] = false;
            link.differs[usize::from(slot.audience.number())] = true;
        }
    }
}
