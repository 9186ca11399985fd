//! Records that were taken for their publisher's head: nobody is shown any of them before all are checked.
//!
//! In: organisations that are vouched for, audited. Out: records to be listed once they are.
//! Always: of a publisher that is held back nothing is listed, and a change list ends before its first record.
//! Spec: `spec/15-heads.md`, section 5. Tested: below, `driver/tests/vouching.rs`.

use std::collections::{BTreeMap, HashMap};

use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::set::{SetKey, Slot};

use super::{Catalogue, Listing, State};

/// First half of the keys of a publisher's records.
type Prefix = [u8; 8];

/// What the catalogue needs to know of a version to list it.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) org: OrgId,
    pub(super) kind: Kind,
    pub(super) id: RecordId,
    pub(super) is_withdrawal: bool,
    pub(super) lapsed: bool,
}

/// Publishers that are held back, with what they will show.
#[derive(Default)]
pub(super) struct HeldBack {
    publishers: HashMap<Prefix, BTreeMap<Slot, Record>>,
}

fn prefix_of(key: &SetKey) -> Prefix {
    std::array::from_fn(|i| key.0[i])
}

impl HeldBack {
    fn of(&mut self, slot: &Slot) -> Option<&mut BTreeMap<Slot, Record>> {
        self.publishers.get_mut(&prefix_of(&slot.key)).filter(|_| is_public(slot))
    }

    /// True when the record in this slot is held back.
    pub(super) fn holds(&self, slot: &Slot) -> bool {
        is_public(slot) && self.publishers.contains_key(&prefix_of(&slot.key))
    }

    /// Keeps what a slot will show. False when its publisher is not held back.
    pub(super) fn keep(&mut self, slot: Slot, record: Record) -> bool {
        self.of(&slot).map(|records| records.insert(slot, record)).is_some()
    }

    /// Notes that a slot's lease ran out. False when its publisher is not held back.
    pub(super) fn lapse(&mut self, slot: &Slot) -> bool {
        let records = self.of(slot);
        records.map(|records| records.get_mut(slot).map(|record| record.lapsed = true)).is_some()
    }

    /// Drops a slot. False when its publisher is not held back.
    pub(super) fn forget(&mut self, slot: &Slot) -> bool {
        self.of(slot).map(|records| records.remove(slot)).is_some()
    }
}

impl Listing {
    /// A version now wins its slot, and may be shown.
    pub(super) fn list(&mut self, slot: Slot, record: Record) {
        let Record { org, kind, id, is_withdrawal, lapsed } = record;
        let state = match (is_withdrawal, lapsed) {
            (true, _) => State::Withdrawn,
            (false, true) => State::Lapsed,
            (false, false) => State::Live,
        };
        let is_public = is_public(&slot);
        let is_hidden = is_public && matches!(state, State::Live) && self.blocked.contains_key(&org);
        self.set_state(slot, Some(if is_hidden { State::Hidden } else { state }));
        if !is_public {
            return;
        }
        self.remove(&slot);
        if is_withdrawal || lapsed || is_hidden {
            self.gone.insert(id, kind);
        } else {
            self.gone.remove(&id);
            self.live.entry(kind).or_default().insert(id, slot);
            self.records.insert(slot, (kind, id));
        }
    }

    /// True when nothing of this publisher is to be shown yet.
    pub(super) fn is_held_back(&self, org: &OrgId) -> bool {
        self.held_back.publishers.contains_key(&prefix_of(&SetKey::first_of(Class::Record, org)))
    }
}

impl Catalogue {
    /// Lists nothing of this publisher from now on. Nothing of it may be listed.
    pub(crate) fn hold_back(&self, org: &OrgId) {
        let prefix = prefix_of(&SetKey::first_of(Class::Record, org));
        self.write().held_back.publishers.entry(prefix).or_default();
    }

    /// Lists what was held back of this publisher.
    pub(crate) fn release(&self, org: &OrgId) {
        let prefix = prefix_of(&SetKey::first_of(Class::Record, org));
        let mut listing = self.write();
        let records = listing.held_back.publishers.remove(&prefix).unwrap_or_default();
        records.into_iter().for_each(|(slot, record)| listing.list(slot, record));
    }

    /// True when the record in this slot is here and nobody may see it yet.
    pub(crate) fn is_held_back(&self, slot: &Slot) -> bool {
        self.read().held_back.holds(slot)
    }
}

/// Whether readers may see what is at this slot.
pub(super) fn is_public(slot: &Slot) -> bool {
    slot.audience == Audience::Public || is_out(Canary::PublicFeed)
}
