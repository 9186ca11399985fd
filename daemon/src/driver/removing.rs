//! What the store is told when the node lets go of a version, so that readers of change lists hear of it.

use fingerpost_proto::kind::{Audience, Class};
use fingerpost_proto::node::Operation;
use fingerpost_proto::set::Slot;
use fingerpost_proto::version::SignedVersion;

use super::restoring::{CURSORS, unaudited};
use super::{Driver, cursors};
use crate::catalogue::Removal;
use crate::clock;
use crate::store::{self, Durability};

/// Removals that are cleared up at a time.
const CLEARED_AT_ONCE_MAX: usize = 4_096;

impl Driver {
    pub(super) fn to_store(&self, operation: Operation) -> store::Operation {
        match operation {
            Operation::Put { slot, kind, vid, envelope, own } => {
                store::Operation::Put { slot, kind, vid, envelope, own }
            }
            Operation::Lapse { slot, has_lapsed } => store::Operation::Lapse { slot, has_lapsed },
            Operation::Forget { slot } => self.removal(slot).unwrap_or(store::Operation::Forget { slot }),
            Operation::Vouched { org } => store::Operation::PutMeta { name: unaudited(&org), value: Vec::new() },
            Operation::Audited { org } => store::Operation::RemoveMeta { name: unaudited(&org) },
            Operation::Cursors { places } => {
                store::Operation::PutMeta { name: CURSORS.to_owned(), value: cursors::write(&places) }
            }
        }
    }

    /// In place of the version that was shown, or whose end is not long ago: that it is gone. `None`: nobody needs to know, or
    /// the store takes nothing new.
    fn removal(&self, slot: Slot) -> Option<store::Operation> {
        // What nobody was shown is not gone for anybody.
        if self.catalogue.is_held_back(&slot) {
            return None;
        }
        if slot.audience != Audience::Public || slot.key.class() != Class::Record || self.read_only.is_some() {
            return None;
        }
        let row = self.reader.get(&slot).ok().flatten()?;
        let (kind, lapsed, now) = (row.kind, row.lapsed, clock::now_ms());
        let version = SignedVersion::read(row.envelope).ok()?;
        let header = version.header();
        let at_ms = match (version.is_withdrawal(), lapsed) {
            (true, _) => header.hlc.ms(),
            (false, true) => header.lease_until.start_ms(),
            (false, false) => now,
        };
        if Removal::is_over(at_ms, now) {
            return None;
        }
        let envelope = Removal { record: header.record, at_ms }.write();
        let vid = fingerpost_proto::id::Vid::of_envelope(&envelope);
        Some(store::Operation::Put { slot, kind, vid, envelope, own: false })
    }

    /// Lists the removal that the store now has in this slot, if it has one.
    pub(super) fn show_removal(&self, slot: &Slot) {
        if let Ok(Some(row)) = self.reader.get(slot)
            && let Some(removal) = Removal::read(&row.envelope)
        {
            self.catalogue.put_removal(*slot, row.kind, &removal);
        }
    }

    /// Forgets removals that were listed long enough.
    pub(super) fn clear_removals(&mut self) {
        let over = self.catalogue.removals_over(clock::now_ms(), CLEARED_AT_ONCE_MAX);
        if over.is_empty() || self.read_only.is_some() {
            return;
        }
        let operations = over.iter().map(|slot| store::Operation::Forget { slot: *slot }).collect();
        match self.store.commit(operations, Durability::WithinASecond) {
            Ok(_) => over.iter().for_each(|slot| self.catalogue.forget(slot)),
            // Nothing relies on it; the next round finds the same.
            Err(error) => tracing::warn!(%error, "old removals could not be cleared up"),
        }
    }
}
