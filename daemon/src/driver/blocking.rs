//! The node's own say: organisations whose records it does not show, and to whose nodes it does not link.
//!
//! In: an admin's word. Out: a shorter view for readers, no links with nodes that only blocked organisations name.
//! Always: sets, standings and what is relayed stay as they are, so nobody else sees a difference.
//! Why: `spec/decisions/0012-a-block-acts-in-the-view.md`. Tested: `driver/tests.rs`, `tests/cluster`.

use std::collections::{BTreeMap, BTreeSet};

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::{Audience, Class};
use fingerpost_proto::node::{Input, Peer};
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1;

use super::Driver;
use crate::clock;
use crate::store::{self, BATCH_OPERATIONS_MAX, Durability, StoreError};

/// Organisations that one node blocks: what fits into one named value, and more than a person keeps an eye on.
pub(crate) const BLOCKED_MAX: usize = 1_024;
/// Name of the list in the store.
const BLOCKED: &str = "blocked";
/// `org(32) since_ms(8)`
const BLOCKED_BYTES: usize = 40;

const _: () = assert!(BLOCKED_MAX * BLOCKED_BYTES <= store::META_VALUE_BYTES_MAX);

/// Since when each is blocked.
pub(crate) type Blocked = BTreeMap<OrgId, UnixMillis>;

fn write(blocked: &Blocked) -> Vec<u8> {
    blocked.iter().flat_map(|(org, since)| org.0.into_iter().chain(since.to_be_bytes())).collect()
}

fn read(bytes: &[u8]) -> Blocked {
    let (entries, _) = bytes.as_chunks::<BLOCKED_BYTES>();
    let entry = |entry: &[u8; BLOCKED_BYTES]| {
        let since = u64::from_be_bytes(std::array::from_fn(|i| entry[32 + i]));
        (OrgId(std::array::from_fn(|i| entry[i])), since)
    };
    entries.iter().map(entry).collect()
}

impl Driver {
    /// Blocks an organisation, or lifts that. False when it was so already. Errors: in words; nothing is changed then.
    pub(super) fn block(&mut self, org: OrgId, lift: bool) -> Result<bool, String> {
        let node = self.node.as_ref().ok_or("this node has no network yet; there is nobody to block")?;
        if self.blocked.contains_key(&org) != lift {
            return Ok(false);
        }
        if !lift && node.member_nodes().any(|(key, owner, _)| key == self.own_key && owner == org) {
            return Err("this node belongs to that organisation; it cannot block itself".to_owned());
        }
        if !lift && self.blocked.len() >= BLOCKED_MAX {
            return Err(format!(
                "{BLOCKED_MAX} organisations are blocked at this node, which is the limit; lift one first"
            ));
        }
        let before = self.blocked.clone();
        if lift {
            self.blocked.remove(&org);
        } else {
            self.blocked.insert(org, clock::now_ms());
        }
        let slots = self.public_content(&org);
        self.show_as_blocked(&slots);
        // Readers of change lists are told by new arrival numbers, and last of all it is remembered: who is stopped in
        // between asks again.
        let kept = self.renumber(&slots).and_then(|()| self.keep(BLOCKED, write(&self.blocked)));
        if let Err(error) = kept {
            self.blocked = before;
            self.show_as_blocked(&slots);
            return Err(error.to_string());
        }
        self.refresh_members();
        self.part_from_blocked();
        tracing::info!(org = %org.short(), lift, records = slots.len(), "an admin changed what this node shows");
        Ok(true)
    }

    /// Reads the list, before anything is shown.
    pub(super) fn restore_blocked(&mut self) -> Result<(), StoreError> {
        self.blocked = self.reader.meta(BLOCKED)?.map(|bytes| read(&bytes)).unwrap_or_default();
        self.catalogue.set_blocked(self.blocked.clone());
        Ok(())
    }

    /// Nodes that no organisation but blocked ones calls its own. A card proves nothing about the node keys on it: who
    /// names another's node must not cut it off by being blocked.
    pub(super) fn nodes_of_blocked(&self) -> BTreeSet<Peer> {
        let Some(node) = &self.node else { return BTreeSet::new() };
        let of = |is_blocked: bool| {
            let nodes = node.member_nodes().filter(move |(_, org, _)| self.blocked.contains_key(org) == is_blocked);
            nodes.map(|(key, ..)| key).collect::<BTreeSet<Peer>>()
        };
        if self.blocked.is_empty() { BTreeSet::new() } else { of(true).difference(&of(false)).copied().collect() }
    }

    /// Ends links that are not to be.
    pub(super) fn part_from_blocked(&mut self) {
        let Some(node) = &self.node else { return };
        let linked: Vec<Peer> =
            node.links().map(|link| link.peer).filter(|peer| self.blocked_nodes.contains(peer)).collect();
        let mut outputs = Vec::new();
        for peer in linked {
            self.close_link(
                &peer,
                v1::ByeCode::Elsewhere,
                "this node's admin does not want links to your organisation",
            );
            self.handle(Input::Disconnected { peer }, &mut outputs);
        }
        self.perform(outputs);
    }

    fn show_as_blocked(&self, slots: &[Slot]) {
        self.catalogue.set_blocked(self.blocked.clone());
        slots.iter().for_each(|slot| self.show_again(slot));
    }

    fn public_content(&self, org: &OrgId) -> Vec<Slot> {
        let Some(node) = &self.node else { return Vec::new() };
        let first = SetKey::first_of(Class::Record, org);
        let keys = node.set(Audience::Public).range(&first, None).map(|(key, _)| key);
        let slots =
            keys.take_while(|key| key.0[..8] == first.0[..8]).map(|key| Slot { audience: Audience::Public, key });
        slots.filter(|slot| node.winner(slot).is_some_and(|(publisher, _)| publisher == *org)).collect()
    }

    /// Gives each row a new arrival number and changes nothing else.
    fn renumber(&mut self, slots: &[Slot]) -> Result<(), StoreError> {
        for part in slots.chunks(BATCH_OPERATIONS_MAX) {
            let mut operations = Vec::with_capacity(part.len());
            for slot in part {
                // A damaged row is on its way from other nodes and gets its number then.
                if let Ok(Some(row)) = self.reader.get(slot) {
                    operations.push(store::Operation::Lapse { slot: *slot, has_lapsed: row.lapsed });
                }
            }
            self.store.commit(operations, Durability::Now)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_blocked_organisations_reads_back_and_a_cut_one_loses_its_end_only() {
        let blocked: Blocked = (0..5).map(|n| (OrgId([n; 32]), u64::from(n) * 1_000)).collect();
        let bytes = write(&blocked);
        assert_eq!(read(&bytes), blocked);
        assert_eq!(read(&bytes[..bytes.len() - 1]).len(), 4);
    }
}
