//! What follows for the sets when a card or statement came: versions enter and leave with their organisation's standing and
//! with the devices on its effective card.
//!
//! Spec: `spec/04-merge.md`, section 5; `spec/05-network.md`, section 1.2. Tested: `node/tests/{membership,cards}.rs`.

use std::collections::BTreeSet;

use super::{Batch, Source};
use crate::canary::{Canary, is_out};
use crate::id::{OrgId, Vid};
use crate::kind::{Audience, Class};
use crate::network::members::Standing;
use crate::node::output::{Notice, Operation, Output};
use crate::node::{Node, trust};
use crate::set::{Entry, SetKey, Slot};
use crate::time::UnixMillis;
use crate::version::Header;

impl Node {
    /// Evaluates memberships and moves versions into and out of the sets accordingly.
    pub(in crate::node) fn settle(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let mut batch = Batch::default();
        self.settle_into(Source::Quarantine, &[], &mut batch);
        self.emit(now, batch, outputs);
    }

    /// `learnt` came from `source` just now; what else enters was remembered, and whoever brought the standing may lack it.
    pub(super) fn settle_into(&mut self, source: Source, learnt: &[(usize, Header, Vid)], batch: &mut Batch) {
        self.trust.follow_cards();
        let changes = self.trust.evaluate();
        let (leaving, rotated) = self.trust.turn();
        // First: a statement that counts may have come to the place of one that does not.
        for slot in leaving {
            self.lost.remove(&slot);
            if self.take_out(&slot).is_some() {
                batch.operations.push(Operation::Forget { slot });
            }
        }
        if changes.is_empty() && rotated.is_empty() {
            return;
        }
        batch.notices.push(Notice::MembersChanged);
        self.redactions.note_change();
        for trust::Change { org, before, after, entering } in changes {
            for version in entering {
                let is_learnt = learnt.iter().any(|(_, _, vid)| *vid == version.vid());
                self.put(if is_learnt { source } else { Source::Quarantine }, version, batch);
            }
            if before == Standing::Member && after != Standing::Member {
                self.expel(&org, Class::Upkeep, &mut batch.operations);
                self.expel(&org, Class::Record, &mut batch.operations);
            }
            if after == Standing::Stranger {
                self.expel(&org, Class::Network, &mut batch.operations);
            }
            if after == Standing::Member {
                batch.released.insert(org);
            }
        }
        for org in rotated {
            self.expel_not_borne_out(&org, &mut batch.operations);
        }
    }

    /// Takes out of the sets whatever of this organisation's is of this class.
    fn expel(&mut self, org: &OrgId, class: Class, operations: &mut Vec<Operation>) {
        self.expel_where(org, class, |_, _| true, operations);
    }

    /// Takes out of the sets the content that the organisation's effective card does not bear out. That card also decides
    /// what may come back to where the store lost something.
    fn expel_not_borne_out(&mut self, org: &OrgId, operations: &mut Vec<Operation>) {
        let Some(card) = self.trust.card(org).filter(|_| !is_out(Canary::Revocation)).cloned() else { return };
        for class in [Class::Upkeep, Class::Record] {
            let redactions: BTreeSet<Vid> = self.redactions.vids().collect();
            let leaves = |device: &_, entry: &Entry| {
                // A node's key signs upkeep, but no redaction.
                let signers = if redactions.contains(&entry.vid) { Class::Record } else { class };
                !card.bears_out(signers, device, entry.hlc, &entry.vid)
            };
            self.expel_where(org, class, leaves, operations);
            let prefix = SetKey::first_of(class, org).0;
            let is_own = |slot: &Slot| slot.key.0[..8] == prefix[..8];
            self.lost.retain(|slot, lost| !is_own(slot) || card.bears_out(class, &lost.device, lost.hlc, &lost.vid));
        }
    }

    fn expel_where(
        &mut self,
        org: &OrgId,
        class: Class,
        leaves: impl Fn(&[u8; 32], &Entry) -> bool,
        operations: &mut Vec<Operation>,
    ) {
        let first = SetKey::first_of(class, org);
        for audience in Audience::ALL {
            let goes = |(_, entry): &(SetKey, Entry)| {
                let (owner, device) = self.devices.device(entry.device);
                owner == org && leaves(device, entry)
            };
            let prefix = |(key, _): &(SetKey, Entry)| key.0[..8] == first.0[..8];
            let keys: Vec<SetKey> =
                self.set(audience).range(&first, None).take_while(prefix).filter(goes).map(|(key, _)| key).collect();
            for key in keys {
                let slot = Slot { audience, key };
                self.take_out(&slot);
                operations.push(Operation::Forget { slot });
            }
        }
    }
}
