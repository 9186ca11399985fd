//! How versions come in, whoever brings them: checks, signatures, order, standing.
//!
//! The order of checks is the order of `spec/04-merge.md`, section 2. What follows from them is in `batch.rs`.

mod settling;
mod waiting;

use std::collections::BTreeMap;

use prost::Message;

use super::batch::{Batch, Source};
use super::output::{Outcome, Output};
use super::redacting::named_in;
use super::{Node, Peer, Reject, Unverified, VerifiedVersion};
use crate::canary::{Canary, is_out};
use crate::id::Vid;
use crate::key::PublicKey;
use crate::kind::Kind;
use crate::network::members::Standing;
use crate::network::statement::{Statement, StatementError};
use crate::network::succession::Bearing;
use crate::order::Precedence;
use crate::overlay;
use crate::set::{SetKey, Slot};
use crate::time::UnixMillis;
use crate::v1;
use crate::version::SignedVersion;

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
    /// This node, which needs no answer.
    Own,
    Quarantine,
    /// What was held back for a head and did not fit it. The permits of its frames were given back before.
    Held {
        route: overlay::Source,
        peer: Peer,
        link: u64,
        is_asked: bool,
        held_bytes: usize,
    },
    /// What was handed out to be audited, of the organisation with this key.
    Audit {
        prefix: [u8; 8],
        vids: BTreeMap<Slot, Vid>,
    },
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
        if self.is_mirror {
            let refusal = Outcome::Rejected(Node::refused_by_mirror());
            outputs.push(Output::Published { ticket, outcomes: vec![refusal; envelopes.len()] });
            return;
        }
        let Examined { outcomes, verify, .. } = self.take_in(now, envelopes, Source::Admin, outputs);
        if verify.is_empty() {
            outputs.push(Output::Published { ticket, outcomes: settled(outcomes) });
            return;
        }
        let positions = verify.iter().map(|(position, ..)| *position).collect();
        self.request(PendingSource::Admin { ticket, outcomes, positions }, verify, outputs);
    }

    /// Takes in what the driver signed with the node's key.
    pub(super) fn on_signed(&mut self, now: UnixMillis, envelope: Vec<u8>, outputs: &mut Vec<Output>) {
        let Examined { verify, .. } = self.take_in(now, vec![envelope], Source::Admin, outputs);
        if !verify.is_empty() {
            self.request(PendingSource::Own, verify, outputs);
        }
    }

    /// Takes in what a peer sent and returns the keys of what came. The frame's permit is given back when all is done.
    pub(super) fn on_versions(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        envelopes: Vec<Vec<u8>>,
        route: overlay::Source,
        is_asked: bool,
        outputs: &mut Vec<Output>,
    ) -> Vec<SetKey> {
        let link = self.links.get(&peer).map_or(0, |link| link.number);
        let source = Source::Peer { route, peer, link, is_asked };
        let Examined { verify, keys, .. } = self.take_in(now, envelopes, source, outputs);
        if verify.is_empty() {
            outputs.push(Output::Processed { peer });
        } else {
            if let Some(link) = self.link_of(source) {
                link.in_work += 1;
            }
            self.request(PendingSource::Peer { route, peer, link, is_asked }, verify, outputs);
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
            PendingSource::Peer { route, peer, link, is_asked }
            | PendingSource::Held { route, peer, link, is_asked, .. } => {
                Source::Peer { route: *route, peer: *peer, link: *link, is_asked: *is_asked }
            }
            PendingSource::Admin { .. } | PendingSource::Own => Source::Admin,
            PendingSource::Quarantine => Source::Quarantine,
            PendingSource::Audit { prefix, vids } => return self.on_audited(now, *prefix, vids, versions, outputs),
        };
        let mut batch = Batch::default();
        let mut results = Vec::with_capacity(versions.len());
        for version in versions {
            let outcome = match version {
                Ok(version) => self.accept(now, source, version, &mut batch),
                Err((version, why)) => {
                    self.give_pace_back(source, &version);
                    let named = Some((version.header().org, version.header().record));
                    self.refuse(now, source, named, why, &mut batch, outputs)
                }
            };
            results.push(outcome);
        }
        self.finish(now, batch, outputs);
        match pending {
            PendingSource::Peer { peer, .. } | PendingSource::Held { peer, .. } => {
                if let PendingSource::Held { held_bytes, .. } = pending {
                    self.held.bytes = self.held.bytes.saturating_sub(held_bytes);
                } else {
                    outputs.push(Output::Processed { peer });
                }
                if let Some(link) = self.link_of(source) {
                    link.in_work = link.in_work.saturating_sub(1);
                }
                self.ask_for_more(now, peer, outputs);
            }
            PendingSource::Quarantine | PendingSource::Own | PendingSource::Audit { .. } => {}
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
        let keys: Vec<SetKey> = read.iter().map(|(_, version)| Slot::of(version.header()).key).collect();
        let named = named_in(read.iter().map(|(_, version)| version));
        read.sort_by_cached_key(|(_, version)| match version.header().kind {
            // A card follows the one before it, whatever order they came in.
            Kind::CARD => (0, card_sequence(version.body())),
            kind if !kind.is_content() => (1, 0),
            _ if named.contains(&version.vid()) => (2, 0),
            Kind::REDACTION => (3, 0),
            _ if version.is_withdrawal() => (4, 0),
            _ => (5, 0),
        });
        let content = read.split_off(read.partition_point(|(_, version)| !version.header().kind.is_content()));
        let mut learnt = Vec::new();
        for (position, version) in read {
            // The rest of a frame that cost its link is worth no signatures.
            if source.peer().is_some() && self.link_of(source).is_none() {
                break;
            }
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
            if source.peer().is_some() && self.link_of(source).is_none() {
                break;
            }
            let named = Some((version.header().org, version.header().record));
            match self.examine_content(now, source, version, &mut batch) {
                Ok(Intake::Outcome(outcome)) => outcomes[position] = Some(outcome),
                Ok(Intake::Held) => {}
                Ok(Intake::Verify(version, key)) => {
                    let kept = self.hold_back(now, source, version, key);
                    verify.extend(kept.map(|(version, key)| (position, version, key)));
                }
                Err(reject) => {
                    outcomes[position] = Some(self.refuse(now, source, named, reject, &mut batch, outputs));
                }
            }
        }
        let unfit = self.settle_held(now, source, &keys, &mut batch);
        self.finish(now, batch, outputs);
        self.check_unfit(unfit, outputs);
        Examined { outcomes, verify, keys }
    }

    pub(super) fn request(
        &mut self,
        source: PendingSource,
        verify: Vec<(usize, SignedVersion, PublicKey)>,
        outputs: &mut Vec<Output>,
    ) {
        let ticket = self.expect(source);
        let versions = verify.into_iter().map(|(_, version, key)| (version, key)).collect();
        outputs.push(Output::Verify { ticket, versions });
    }

    /// The ticket of an answer that is waited for.
    pub(super) fn expect(&mut self, source: PendingSource) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.pending.insert(ticket, source);
        ticket
    }

    /// Checks that are the same for every version.
    fn examine(&self, version: &SignedVersion) -> Result<(), Reject> {
        let header = version.header();
        if header.network != self.network() && !is_out(Canary::Network) {
            return Err(Reject::WrongNetwork { found: header.network, expected: self.network() });
        }
        self.check_kept(&Slot::of(header))?;
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
        self.check_day(now, &version)?;
        self.check_pace(now, source, &version)?;
        if version.check_signature(&key).is_err() {
            self.give_pace_back(source, &version);
            return Err(Reject::BadSignature);
        }
        self.use_allowance(now, &version);
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
        if source == Source::Admin && self.waits_for_peers() {
            let reason = "this home is a copy or was restored from a backup, and asks other nodes first what it lacks";
            return Err(Reject::ReadOnly { reason: format!("{reason}; try again in a minute") });
        }
        let slot = Slot::of(&header);
        if self.put_back(source, &version, batch) {
            return Ok(Intake::Outcome(Outcome::Published { concurrent: false }));
        }
        let precedence = Precedence::of(&version);
        if let Some(known) = self.known(&slot).filter(|known| known.holds_against(&precedence)) {
            self.note_known(source, slot, known, &precedence, batch);
            self.note_losing_head(&slot, &version);
            let is_same = known.vid == precedence.vid;
            return Ok(Intake::Outcome(if is_same { Outcome::Duplicate } else { Outcome::Superseded }));
        }
        self.check_length(&version)?;
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
        self.check_room(now, source, &version)?;
        self.check_pace(now, source, &version)?;
        Ok(Intake::Verify(version, key))
    }
}
