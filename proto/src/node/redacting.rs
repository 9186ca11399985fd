//! Redactions: which versions are urgent, and what this node signs once it has erased what a redaction orders.
//!
//! In: redactions and receipts that entered a set, time. Out: what goes first, [`Output::Sign`].
//! Always: a receipt is signed only after an [`Output::Persist`] that made the erasure durable, and names only records
//! of which nothing older than the named version is in the set; one receipt for each audience.
//! Spec: `spec/13-redaction.md`. Tested: `node/tests/redacting.rs`, the simulator in `tests/simulation`.

use std::collections::{BTreeMap, BTreeSet};

use super::Node;
use super::output::Output;
use super::upkeep::is_ahead;
use crate::canary::{Canary, is_out};
use crate::id::{OrgId, RecordId, Vid};
use crate::kind::{Audience, Kind};
use crate::limits::{RECEIPT_ERASURES_MAX, REDACTION_LEASE_DAYS_MAX};
use crate::overlay::Announced;
use crate::redaction::{Erasure, Receipt, Redaction};
use crate::set::{SetKey, Slot};
use crate::time::{DAY_MS, Hlc, UnixHour, UnixMillis};
use crate::version::{Header, SignedVersion};

/// Between two looks at what is to be confirmed, in milliseconds.
pub(super) const RECEIPT_LOOK_MS: u64 = 1_000;
/// A receipt waits so long for further redactions, in milliseconds.
pub(super) const RECEIPT_DELAY_MS: u64 = 2_000;
/// And up to so long for each member more, so that 10,000 nodes sign some 30 receipts a second, in milliseconds.
pub(super) const RECEIPT_DELAY_PER_MEMBER_MS: u64 = 30;
/// A signature that was asked for and does not come is asked for again after so long, in milliseconds.
pub(super) const SIGNATURE_WAIT_MS: u64 = 10_000;
/// Versions of one organisation that go first in one hour.
pub(super) const URGENT_PER_HOUR_MAX: u32 = 64;

/// Redactions in the sets, and what this node has said of them.
#[derive(Debug, Default)]
pub(super) struct Redactions {
    /// By their own place.
    followed: BTreeMap<Slot, Followed>,
    /// Versions that they name.
    named: BTreeSet<Vid>,
    /// This node's receipts, by audience number.
    said: [Said; 2],
    /// Something may be to be confirmed.
    is_due: bool,
    looked_at: UnixMillis,
    /// What went first in this hour.
    urgent: BTreeMap<OrgId, (UnixHour, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Followed {
    vid: Vid,
    org: OrgId,
    redaction: Redaction,
}

/// This node's receipt for one audience.
#[derive(Debug, Default)]
struct Said {
    vid: Option<Vid>,
    clock: Hlc,
    erasures: Vec<Erasure>,
    /// When the next one is to be signed; `None`: nothing is to be said.
    sign_at: Option<UnixMillis>,
}

impl Redactions {
    /// True for the place of a redaction.
    pub(super) fn contains(&self, slot: &Slot) -> bool {
        self.followed.contains_key(slot)
    }

    /// Vids of the redactions themselves.
    pub(super) fn vids(&self) -> impl Iterator<Item = Vid> + '_ {
        self.followed.values().map(|followed| followed.vid)
    }

    /// True for the vid of a version that a redaction names.
    pub(super) fn names(&self, vid: &Vid) -> bool {
        self.named.contains(vid)
    }

    /// Something entered or left the sets.
    pub(super) fn note_change(&mut self) {
        self.is_due = !self.followed.is_empty() || self.said.iter().any(|said| !said.erasures.is_empty());
    }

    /// Takes from the organisation's share of what goes first. False when it is used up.
    fn may_go_first(&mut self, now: UnixMillis, org: OrgId) -> bool {
        let hour = UnixHour::containing(now);
        self.urgent.retain(|_, (in_hour, _)| *in_hour == hour);
        let (_, count) = self.urgent.entry(org).or_insert((hour, 0));
        *count += 1;
        *count <= URGENT_PER_HOUR_MAX
    }

    /// All instants from which something is counted.
    pub(super) fn instants(&mut self) -> impl Iterator<Item = &mut UnixMillis> {
        self.said.iter_mut().filter_map(|said| said.sign_at.as_mut()).chain([&mut self.looked_at])
    }
}

/// Vids that redactions among these versions name. Nothing about the redactions is checked.
pub(super) fn named_in<'a>(versions: impl Iterator<Item = &'a SignedVersion>) -> BTreeSet<Vid> {
    let redactions = versions.filter(|version| version.header().kind == Kind::REDACTION);
    let read = redactions.filter_map(|version| Redaction::read(version.header(), version.body()).ok());
    read.map(|redaction| redaction.replaced_by).collect()
}

impl Node {
    /// Follows a redaction or receipt that entered its set.
    pub(super) fn follow_redaction(&mut self, slot: Slot, version: &SignedVersion) {
        let (header, vid) = (version.header(), version.vid());
        match header.kind {
            Kind::REDACTION => {
                self.redactions.followed.remove(&slot);
                // A withdrawn one orders nothing any more.
                if let Ok(redaction) = Redaction::read(header, version.body()) {
                    self.redactions.named.insert(redaction.replaced_by);
                    self.redactions.followed.insert(slot, Followed { vid, org: header.org, redaction });
                }
            }
            Kind::RECEIPT if header.device == *self.own.as_bytes() => {
                let said = &mut self.redactions.said[usize::from(header.audience.number())];
                let erasures = Receipt::read(header, version.body()).map(|receipt| receipt.erasures);
                *said =
                    Said { vid: Some(vid), clock: header.hlc, erasures: erasures.unwrap_or_default(), sign_at: None };
            }
            _ => {}
        }
        self.redactions.note_change();
    }

    /// True when a version that entered its set is to go first: a redaction or what one names, as long as the organisation
    /// has not had more of them in this hour than anybody needs.
    pub(super) fn goes_first(&mut self, now: UnixMillis, slot: &Slot, vid: &Vid) -> bool {
        if !self.redactions.contains(slot) && !self.redactions.names(vid) {
            return false;
        }
        self.winner(slot).is_some_and(|(org, _)| self.redactions.may_go_first(now, org))
    }

    /// What a redaction at this place names, if it is not here.
    pub(super) fn lacking_for(&self, slot: &Slot) -> Option<Announced> {
        let Followed { org, redaction, .. } = self.redactions.followed.get(slot)?;
        let place = redaction.place(org, slot.audience);
        (!self.is_erased(&place, redaction)).then_some(Announced { vid: redaction.replaced_by, slot: place })
    }

    /// True when the place holds the named version or a later one.
    fn is_erased(&self, place: &Slot, redaction: &Redaction) -> bool {
        let entry = self.set(place.audience).get(&place.key);
        entry.is_some_and(|entry| entry.vid == redaction.replaced_by || entry.hlc > redaction.clock)
    }

    /// Looks whether there is something to confirm, and asks for the signature when it is time.
    pub(super) fn mind_redactions(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let is_waiting = self.redactions.said.iter().any(|said| said.sign_at.is_some());
        let is_early = now.saturating_sub(self.redactions.looked_at) < RECEIPT_LOOK_MS && !is_out(Canary::Receipt);
        if is_early || !(self.redactions.is_due || is_waiting) {
            return;
        }
        // A store that takes no writes may take them again without anything coming in.
        (self.redactions.is_due, self.redactions.looked_at) = (self.read_only.is_some(), now);
        self.forget_redactions();
        let member = self.member_nodes().find(|(key, ..)| *key == self.own).map(|(_, org, _)| org);
        let Some(org) = member.filter(|_| self.read_only.is_none()) else { return };
        let members = self.trust.standings().iter().count() as u64;
        for (number, audience) in Audience::ALL.into_iter().enumerate() {
            let erasures = self.to_confirm(now, audience);
            let wait_ms = RECEIPT_DELAY_MS + self.random_below(members * RECEIPT_DELAY_PER_MEMBER_MS);
            let key = SetKey::derive(Kind::RECEIPT, &org, &Receipt::id_of(&org, audience, &self.own));
            let there = self.set(audience).get(&key).map(|entry| entry.vid);
            let said = &mut self.redactions.said[number];
            // An organisation that left and came back has lost its receipts.
            let is_there = erasures.is_empty() || there == said.vid;
            let is_said = is_there && erasures.iter().eq(said.erasures.iter().filter(|erasure| !is_old(now, erasure)));
            match said.sign_at {
                _ if is_said => said.sign_at = None,
                None if !is_out(Canary::Receipt) => said.sign_at = Some(now + wait_ms),
                Some(at) if at > now => {}
                _ => {
                    said.sign_at = Some(now + SIGNATURE_WAIT_MS);
                    self.sign_receipt(now, org, audience, erasures, outputs);
                }
            }
        }
    }

    /// Persist first: what is replaced is erased once its replacement is on stable storage.
    fn sign_receipt(
        &self,
        now: UnixMillis,
        org: OrgId,
        audience: Audience,
        erasures: Vec<Erasure>,
        outputs: &mut Vec<Output>,
    ) {
        let said = &self.redactions.said[usize::from(audience.number())];
        let hlc = Some(said.clock).filter(|clock| !is_ahead(now, *clock)).unwrap_or(Hlc(0)).next(now);
        let header = Header {
            audience,
            kind: Kind::RECEIPT,
            network: self.network(),
            org,
            record: Receipt::id_of(&org, audience, &self.own),
            device: *self.own.as_bytes(),
            hlc,
            prev: said.vid.map_or([0; 8], |vid| vid.prefix()),
            lease_until: UnixHour::containing(hlc.ms()).plus_days(REDACTION_LEASE_DAYS_MAX),
        };
        let body = Receipt { node: header.device, erasures }.write();
        if !is_out(Canary::Receipt) {
            outputs.push(Output::Persist { operations: Vec::new(), durable: true });
        }
        outputs.push(Output::Sign { header: Box::new(header), body });
    }

    /// Drops redactions that are in their sets no more.
    fn forget_redactions(&mut self) {
        let mut redactions = std::mem::take(&mut self.redactions);
        redactions.followed.retain(|slot, followed| {
            let entry = self.set(slot.audience).get(&slot.key);
            entry.map_or_else(|| self.lost.contains_key(slot), |entry| entry.vid == followed.vid)
        });
        redactions.named = redactions.followed.values().map(|followed| followed.redaction.replaced_by).collect();
        self.redactions = redactions;
    }

    /// What a receipt for this audience should say now: what it says already and still holds, and what was erased since.
    fn to_confirm(&self, now: UnixMillis, audience: Audience) -> Vec<Erasure> {
        let said = &self.redactions.said[usize::from(audience.number())];
        // A redaction that left with its organisation or device leaves nothing to promise: older versions may come back with them.
        let here = self.redactions.followed.iter().filter(|(slot, _)| slot.audience == audience);
        let here: BTreeSet<_> = here.map(|(_, followed)| (followed.org, followed.redaction.record)).collect();
        let kept = said.erasures.iter().filter(|erasure| !is_old(now, erasure) && here.contains(&erasure.key()));
        // Noted by a clock that was ahead: a receipt confirms nothing of its future.
        let kept = kept.map(|erasure| Erasure { erased_ms: erasure.erased_ms.min(now), ..*erasure });
        let mut erasures: BTreeMap<(OrgId, RecordId), (Hlc, Erasure)> =
            kept.map(|erasure| (erasure.key(), (Hlc::new(erasure.erased_ms, 0), erasure))).collect();
        let hour = UnixHour::containing(now);
        for (slot, Followed { org, redaction, .. }) in &self.redactions.followed {
            let entry = self.set(slot.audience).get(&slot.key);
            if slot.audience != audience || entry.is_none_or(|entry| entry.has_lapsed_by(hour)) {
                continue;
            }
            let key = (*org, redaction.record);
            let known = erasures.remove(&key).filter(|(_, known)| known.replaced_by == redaction.replaced_by);
            if self.is_erased(&redaction.place(org, audience), redaction) {
                let Redaction { record, replaced_by, clock, .. } = *redaction;
                let erasure = Erasure { org: *org, record, replaced_by, erased_ms: now };
                erasures.insert(key, (clock, known.map_or(erasure, |(_, known)| known)));
            }
        }
        while erasures.len() > RECEIPT_ERASURES_MAX {
            drop_one(&mut erasures);
        }
        erasures.into_values().map(|(_, erasure)| erasure).collect()
    }
}

/// Drops the erasure with the oldest clock of the organisation that has the most: nobody's pushes out another's.
fn drop_one(erasures: &mut BTreeMap<(OrgId, RecordId), (Hlc, Erasure)>) {
    let mut counts: BTreeMap<OrgId, usize> = BTreeMap::new();
    erasures.keys().for_each(|(org, _)| *counts.entry(*org).or_default() += 1);
    let most = counts.into_iter().max_by_key(|(org, count)| (*count, *org)).map(|(org, _)| org);
    let of_most = erasures.iter().filter(|((org, _), _)| Some(*org) == most);
    let oldest = of_most.min_by_key(|((_, record), (clock, _))| (*clock, *record)).map(|(key, _)| *key);
    oldest.map(|key| erasures.remove(&key));
}

fn is_old(now: UnixMillis, erasure: &Erasure) -> bool {
    now.saturating_sub(erasure.erased_ms) >= u64::from(REDACTION_LEASE_DAYS_MAX) * DAY_MS
}
