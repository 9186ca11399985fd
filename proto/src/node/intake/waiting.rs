//! Versions that come before what bears them out: a clock, a card, a membership.
//!
//! Spec: `spec/04-merge.md`, sections 2 and 3. Tested: `node/tests/{cards,membership,limits}.rs`.

use super::{Batch, Intake, Source};
use crate::canary::{Canary, is_out};
use crate::key::PublicKey;
use crate::kind::{Audience, Kind};
use crate::limits::CLOCK_AHEAD_MS_MAX;
use crate::network::card::{OrgCard, card_place};
use crate::node::{Node, Reject};
use crate::set::{SetKey, Slot};
use crate::time::UnixMillis;
use crate::version::SignedVersion;

impl Node {
    /// The key under which a version is to be checked. Errors: the publisher has no card here, or its effective card does not
    /// bear the version out.
    pub(in crate::node) fn signer_of(&self, version: &SignedVersion) -> Result<PublicKey, Reject> {
        let header = version.header();
        let card = self.trust.card(&header.org).ok_or(Reject::UnknownOrganisation { org: header.org })?;
        let key = card.signer_of(header.kind.signers(), &header.device, header.hlc, &version.vid());
        if key.is_none() && is_out(Canary::DeviceOnCard) {
            return PublicKey::from_bytes(&header.device).map_err(|_| Reject::BadSignature);
        }
        key.ok_or(Reject::UnknownDevice { org: header.org })
    }

    pub(super) fn check_not_ahead(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: &SignedVersion,
    ) -> Result<(), Reject> {
        let ahead_ms = version.header().hlc.ms().saturating_sub(now);
        if ahead_ms <= CLOCK_AHEAD_MS_MAX || is_out(Canary::FarAhead) {
            return Ok(());
        }
        if source != Source::Admin {
            let due = version.header().hlc.ms() - CLOCK_AHEAD_MS_MAX;
            self.quarantine.hold_until(now, due, version.clone(), source.peer());
        }
        Err(Reject::FromTheFuture { ahead_ms, max_ms: CLOCK_AHEAD_MS_MAX })
    }

    /// A peer may know more of the publisher than we do yet: its version waits. An admin is told at once, and a device that
    /// was revoked is not waited for.
    pub(super) fn wait_for(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: SignedVersion,
        reject: Reject,
    ) -> Result<Intake, Reject> {
        if source == Source::Admin || self.is_hopeless(&version, &reject) {
            return Err(reject);
        }
        let Some(peer) = source.peer() else {
            self.quarantine.hold_for(now, version.header().org, version, None);
            return Ok(Intake::Held);
        };
        self.note_not_held(&peer);
        if self.quarantine.hold_for(now, version.header().org, version, Some(peer)) {
            Ok(Intake::Held)
        } else {
            Err(Reject::QuarantineFull)
        }
    }

    /// As [`Node::wait_for`], for a card or statement: what is told is why it waits.
    pub(super) fn hold_statement(
        &mut self,
        now: UnixMillis,
        source: Source,
        version: SignedVersion,
        reject: Reject,
    ) -> Reject {
        // An admin may hand in an acceptance before the card.
        let is_final = source == Source::Admin && !matches!(reject, Reject::UnknownOrganisation { .. });
        if is_final || self.is_hopeless(&version, &reject) {
            return reject;
        }
        let is_held = self.quarantine.hold_for(now, version.header().org, version, source.peer());
        if is_held { reject } else { Reject::QuarantineFull }
    }

    /// A newer card may list a device that is not known here, but will not list again one that was taken off.
    fn is_hopeless(&self, version: &SignedVersion, reject: &Reject) -> bool {
        let (org, device) = (&version.header().org, &version.header().device);
        let is_listed = self.trust.card(org).is_some_and(|card| card.device(device).is_some());
        let is_revoked = self.trust.succession(org).is_some_and(|cards| cards.has_revoked(device));
        matches!(reject, Reject::UnknownDevice { .. }) && (is_listed || is_revoked)
    }

    /// A card that lost: the peer is sent the one that counts instead.
    pub(super) fn note_better(&mut self, source: Source, card: &OrgCard, batch: &mut Batch) {
        let Some(peer) = source.peer() else { return };
        self.note_not_held(&peer);
        let better = self.trust.succession(&card.org).and_then(|cards| cards.better_than(card));
        let Some(record) = better.map(|better| card_place(&card.org, &better.digest)) else { return };
        let slot = Slot { audience: Audience::Public, key: SetKey::derive(Kind::CARD, &card.org, &record) };
        if self.set(slot.audience).get(&slot.key).is_some() {
            batch.outdated.push((peer, slot));
        }
    }
}
