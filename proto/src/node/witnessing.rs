//! Two heads of one device and one moment: who meets both keeps them as a proof that everybody can check.
//!
//! In: heads as they enter their sets or lose against others, proofs as they come and go, time. Out: [`Output::Sign`] for own proofs, a notice for people.
//! Always: of one device and audience one witness is enough, so a node that knows a proof makes none.
//! Nothing is accepted or refused because of a proof. Spec: `spec/15-heads.md`, section 6. Tested: `node/tests/witnessing.rs`,
//! the simulator.

use std::collections::BTreeMap;

use super::{Node, Notice, Output};
use crate::canary::{Canary, is_out};
use crate::equivocation::Equivocation;
use crate::id::OrgId;
use crate::kind::{Audience, Kind};
use crate::network::members::Standing;
use crate::set::Slot;
use crate::time::{Hlc, UnixMillis};
use crate::version::SignedVersion;

/// Proofs that wait to be signed; what comes beyond is found again when the two heads meet again, or by others.
pub(super) const PROOFS_WAITING_MAX: usize = 64;
/// Heads that lose by their vid alone and whose signature is checked between two ticks: each costs some 60 microseconds.
pub(super) const LOSING_HEADS_CHECKED_MAX: u32 = 16;
/// A witness signs within this time, in milliseconds, each at another moment of it: the first proof keeps the others from signing.
pub(super) const WITNESS_WAIT_MS_MAX: u64 = 20_000;

/// Heads that were met, proofs that are in the sets, and those that are to be signed.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// The head in each slot: the other one may come later.
    heads: BTreeMap<Slot, SignedVersion>,
    proven: BTreeMap<Slot, Proven>,
    waiting: BTreeMap<Accused, (Equivocation, UnixMillis)>,
    checked: u32,
}

/// Of whom a proof is.
type Accused = (Audience, OrgId, [u8; 32]);

/// A proof in a set, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Whose device said two things.
    pub org: OrgId,
    /// The device.
    pub device: [u8; 32],
    /// Of whose records both spoke.
    pub audience: Audience,
    /// The one moment.
    pub hlc: Hlc,
    /// Who published the proof.
    pub witness: OrgId,
}

impl Node {
    /// Proofs against devices that are, or were, on a card of their organisation. What is proven of others accuses nobody.
    pub fn equivocations(&self) -> impl Iterator<Item = &Proven> {
        self.witness.proven.values().filter(|proven| self.is_device_of(&proven.org, &proven.device))
    }

    fn is_device_of(&self, org: &OrgId, device: &[u8; 32]) -> bool {
        let cards = self.trust.succession(org).map_or(&[][..], |cards| cards.chain());
        cards.iter().any(|card| card.device(device).is_some())
    }

    /// A head or proof came into its set, whose signature holds.
    pub(super) fn follow_witness(&mut self, slot: Slot, version: &SignedVersion, notices: &mut Vec<Notice>) {
        match version.header().kind {
            Kind::HEAD => {
                let before = self.witness.heads.insert(slot, version.clone());
                if let Some(before) = before {
                    self.compare_heads(before, version.clone());
                }
            }
            Kind::EQUIVOCATION => {
                self.witness.proven.remove(&slot);
                // A withdrawn one proves nothing any more; all others were checked.
                let Ok(said) = Equivocation::read_again(version.header(), version.body()) else { return };
                let Equivocation { org, device, audience, hlc, .. } = said;
                self.witness.waiting.remove(&(audience, org, device));
                let is_first = !self.witness.knows(&(audience, org, device));
                let witness = version.header().org;
                self.witness.proven.insert(slot, Proven { org, device, audience, hlc, witness });
                if is_first && self.is_device_of(&org, &device) {
                    notices.push(Notice::Equivocation { org, device });
                }
            }
            _ => {}
        }
    }

    /// A head came that loses against the one here; its signature is not checked yet.
    pub(super) fn note_losing_head(&mut self, slot: &Slot, version: &SignedVersion) {
        let Some(known) = self.witness.heads.get(slot) else { return };
        let (one, other) = (known.header(), version.header());
        if one.hlc != other.hlc || known.vid() == version.vid() || self.witness.checked >= LOSING_HEADS_CHECKED_MAX {
            return;
        }
        self.witness.checked += 1;
        self.compare_heads(known.clone(), version.clone());
    }

    pub(super) fn compare_heads(&mut self, one: SignedVersion, other: SignedVersion) {
        let header = one.header();
        let accused = (header.audience, header.org, header.device);
        let is_own = header.device == *self.own.as_bytes();
        if header.hlc != other.header().hlc || is_own || self.witness.knows(&accused) || is_out(Canary::Witness) {
            return;
        }
        let is_waiting = self.witness.waiting.contains_key(&accused);
        if is_waiting || self.witness.waiting.len() >= PROOFS_WAITING_MAX {
            return;
        }
        if let Ok(proof) = Equivocation::of(one, other) {
            let drawn = blake3::hash(&[&self.own.as_bytes()[..], &accused.2].concat());
            let drawn = u64::from_le_bytes(std::array::from_fn(|i| drawn.as_bytes()[i]));
            let due = self.ticked_at.saturating_add(drawn % WITNESS_WAIT_MS_MAX);
            self.witness.waiting.insert(accused, (proof, due));
        }
    }

    /// Number of proofs that are to be signed.
    #[cfg(test)]
    pub(super) fn proofs_waiting(&self) -> usize {
        self.witness.waiting.len()
    }

    /// An entry left its set.
    pub(super) fn forget_witness(&mut self, slot: &Slot) {
        self.witness.heads.remove(slot);
        self.witness.proven.remove(slot);
    }

    /// Signs what is due.
    pub(super) fn mind_witness(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        self.witness.checked = 0;
        let Some(org) = self.own_organisation().filter(|org| self.standing(org) == Standing::Member) else { return };
        if self.read_only.is_some() || !self.signs_heads() {
            return;
        }
        let own = *self.own.as_bytes();
        let due = self.witness.waiting.iter_mut().filter(|(_, (_, due))| *due <= now);
        let mut signed = Vec::new();
        for (_, (proof, due)) in due {
            // Until it has come back as a version of the set.
            *due = now.saturating_add(WITNESS_WAIT_MS_MAX);
            signed.push(proof.clone());
        }
        for proof in signed {
            // Its place is new, or holds one that has lapsed or was withdrawn.
            let slot = Slot::of(&proof.header(&org, own, Hlc(0)));
            let before = self.set(slot.audience).get(&slot.key).map_or(Hlc(0), |entry| entry.hlc);
            let header = Box::new(proof.header(&org, own, before.next(now)));
            outputs.push(Output::Sign { header, body: proof.write() });
        }
    }

    /// After a leap of the clock.
    pub(super) fn shift_witness(&mut self, shift: impl Fn(&mut UnixMillis)) {
        self.witness.waiting.values_mut().for_each(|(_, due)| shift(due));
    }
}

impl Witness {
    fn knows(&self, accused: &Accused) -> bool {
        let (audience, org, device) = accused;
        self.proven.values().any(|proven| (&proven.audience, &proven.org, &proven.device) == (audience, org, device))
    }
}
