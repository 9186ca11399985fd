//! Checking what was taken for its organisation's head: bodies and signatures, afterwards and in the background.
//!
//! In: organisations that were vouched for, results. Out: [`Output::Audit`], a few at a time; what fails leaves the set.
//! Always: no record of an organisation is sent to anybody before its audit has ended, and the store says of which it has not;
//! what failed once is never again taken for its head.
//! Spec: `spec/15-heads.md`, section 5. Tested: `node/tests/vouching.rs`, the simulator.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::Batch;
use super::intake::PendingSource;
use super::output::{Notice, Operation, Output};
use super::{Node, Unverified, VerifiedVersion};
use crate::id::{OrgId, Vid};
use crate::kind::{Audience, Class};
use crate::set::{SetKey, Slot};
use crate::time::UnixMillis;

/// Versions that are audited at once: about 15 ms of one core.
pub(super) const AUDITED_AT_ONCE_MAX: usize = 256;
/// Such batches that wait at a time: what else is to be checked waits for so many.
pub(super) const AUDITS_OPEN_MAX: usize = 4;

/// First half of the keys of one organisation's records.
type Prefix = [u8; 8];

/// Organisations whose records were taken for a head.
#[derive(Debug, Default)]
pub(super) struct Audits {
    open: usize,
    audits: BTreeMap<Prefix, Audit>,
    /// Somebody asked for these.
    urgent: BTreeSet<Prefix>,
    /// A head of theirs vouched for what does not hold.
    failed: BTreeSet<OrgId>,
}

#[derive(Debug)]
struct Audit {
    org: OrgId,
    /// Where it goes on; `None`: everything is handed out.
    next: Option<SetKey>,
    open: usize,
}

fn prefix_of(key: &SetKey) -> Prefix {
    std::array::from_fn(|i| key.0[i])
}

impl Audits {
    /// True when nothing more is to be taken for a head of this organisation.
    pub(super) fn is_barred(&self, org: &OrgId) -> bool {
        let first = SetKey::first_of(Class::Record, org);
        self.failed.contains(org) || self.audits.contains_key(&prefix_of(&first))
    }

    /// Whether the record at this place is of an organisation whose audit has not ended.
    fn holds(&self, slot: &Slot) -> bool {
        slot.audience == Audience::Public && self.audits.contains_key(&prefix_of(&slot.key))
    }

    /// Notes, in the store before what follows in the batch, that an organisation's records are to be audited.
    pub(super) fn vouch(&mut self, org: OrgId, batch: &mut Batch) {
        self.begin(org);
        batch.operations.push(Operation::Vouched { org });
    }

    fn begin(&mut self, org: OrgId) {
        let first = SetKey::first_of(Class::Record, &org);
        self.audits.insert(prefix_of(&first), Audit { org, next: Some(first), open: 0 });
    }
}

impl Node {
    /// Takes in that an organisation's records are still to be audited, as kept by the last [`Operation::Vouched`]. Call before
    /// [`Node::restored`].
    pub fn restore_vouched(&mut self, org: OrgId) {
        self.audits.begin(org);
    }

    /// Number of organisations whose records are here and whose audit has not ended: nobody else is to see them yet.
    pub fn unaudited(&self) -> usize {
        self.audits.audits.len()
    }

    /// True for the place of a record that is still to be audited, or is of an organisation with such records.
    pub fn is_unaudited(&self, slot: &Slot) -> bool {
        self.audits.holds(slot)
    }

    /// Hands out what is to be checked next, those first that somebody asked for.
    pub(super) fn audit_on(&mut self, outputs: &mut Vec<Output>) {
        while self.audits.open < AUDITS_OPEN_MAX {
            let audits = &self.audits.audits;
            let is_waiting = |prefix: &&Prefix| audits.get(*prefix).is_some_and(|audit| audit.next.is_some());
            let urgent = self.audits.urgent.iter().find(is_waiting);
            let Some(prefix) = urgent.or_else(|| audits.keys().find(is_waiting)).copied() else { return };
            self.audit_part(prefix, outputs);
        }
    }

    fn audit_part(&mut self, prefix: Prefix, outputs: &mut Vec<Output>) {
        let Some((org, next)) = self.audits.audits.get(&prefix).and_then(|audit| Some((audit.org, audit.next?))) else {
            return;
        };
        let near = self.set(Audience::Public).range(&next, None).take_while(|(key, _)| prefix_of(key) == prefix);
        let part: Vec<_> = near.take(AUDITED_AT_ONCE_MAX).collect();
        let next = part.last().and_then(|(key, _)| key.next()).filter(|_| part.len() == AUDITED_AT_ONCE_MAX);
        let mut slots = Vec::with_capacity(part.len());
        let mut vids = BTreeMap::new();
        for (key, entry) in part {
            let (owner, device) = self.devices.device(entry.device);
            let card = self.trust.card(&org).filter(|_| *owner == org);
            let signer = card.and_then(|card| card.signer_of(Class::Record, device, entry.hlc, &entry.vid));
            if let Some(signer) = signer {
                let slot = Slot { audience: Audience::Public, key };
                slots.push((slot, signer));
                vids.insert(slot, entry.vid);
            }
        }
        let is_empty = slots.is_empty();
        if let Some(audit) = self.audits.audits.get_mut(&prefix) {
            audit.next = next;
            audit.open += usize::from(!is_empty);
        }
        if is_empty {
            self.end_audit(prefix, outputs);
            return;
        }
        self.audits.open += 1;
        let ticket = self.expect(PendingSource::Audit { prefix, vids });
        outputs.push(Output::Audit { ticket, slots });
    }

    /// A part was checked. What failed leaves set and store, unless something else stands there by now.
    pub(super) fn on_audited(
        &mut self,
        now: UnixMillis,
        prefix: Prefix,
        vids: &BTreeMap<Slot, Vid>,
        versions: Vec<Result<VerifiedVersion, Unverified>>,
        outputs: &mut Vec<Output>,
    ) {
        self.audits.open = self.audits.open.saturating_sub(1);
        let mut operations = Vec::new();
        let mut notices = Vec::new();
        for (version, why) in versions.into_iter().filter_map(Result::err) {
            let header = version.header();
            let (slot, vid) = (Slot::of(header), version.vid());
            let is_there = self.set(slot.audience).get(&slot.key).is_some_and(|entry| entry.vid == vid);
            // The store may have had something newer by then, which was checked under its own key.
            if !is_there || vids.get(&slot) != Some(&vid) {
                continue;
            }
            self.take_out(&slot);
            self.audits.failed.insert(header.org);
            operations.push(Operation::Forget { slot });
            notices.push(Output::Notice(Notice::AuditFailed { org: header.org, record: header.record, why }));
        }
        if !operations.is_empty() {
            outputs.push(Output::Persist { operations, durable: false });
            self.compare_soon(now, Audience::Public);
        }
        outputs.extend(notices);
        if let Some(audit) = self.audits.audits.get_mut(&prefix) {
            audit.open = audit.open.saturating_sub(1);
        }
        self.end_audit(prefix, outputs);
    }

    fn end_audit(&mut self, prefix: Prefix, outputs: &mut Vec<Output>) {
        let is_over = |audit: &Audit| audit.next.is_none() && audit.open == 0;
        if let Some(audit) = self.audits.audits.get(&prefix).filter(|audit| is_over(audit)) {
            let operations = vec![Operation::Audited { org: audit.org }];
            self.audits.audits.remove(&prefix);
            self.audits.urgent.remove(&prefix);
            outputs.push(Output::Persist { operations, durable: false });
        }
    }

    /// Leaves out of every answer what is still to be audited, and has it audited first.
    pub(super) fn withhold_unaudited(&mut self, outputs: &mut Vec<Output>) {
        if self.audits.audits.is_empty() {
            return;
        }
        for output in outputs.iter_mut() {
            if let Output::SendVersions { slots, .. } = output {
                let audits = &mut self.audits;
                slots.retain(|slot| {
                    let is_held = audits.holds(slot);
                    if is_held {
                        audits.urgent.insert(prefix_of(&slot.key));
                    }
                    !is_held
                });
            }
        }
        // Where nothing was asked for, nothing need be said.
        outputs.retain(|output| !matches!(output, Output::SendVersions { want: 0, slots, .. } if slots.is_empty()));
    }
}
