//! What the driver knows of all content rows, as bytes: left at a clean stop, so that the next start need not read them.
//!
//! Written and read by the same build: a number in front tells another layout, which counts for nothing. Holds keys, hashes
//! and numbers, no text. Cards and statements are not in it: they are few, and the node needs all that they say.

use fingerpost_proto::id::{OrgId, RecordId, Vid};
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::node::Node;
use fingerpost_proto::set::{Entry, SetKey, Slot};
use fingerpost_proto::time::Hlc;

use crate::catalogue::{Catalogue, Listed};

/// Changes with every change of the layout.
const LAYOUT: u32 = 3;
/// `audience(1) key(16) vid(16) hlc(8) device(4) lease hours(2) lapsed(1)`
const ENTRY_BYTES: usize = 48;
/// `state(1) audience(1) key(16) kind(2) record(16)`; of a removal `at_ms(8)` and zeros stand in place of the record.
const LISTED_BYTES: usize = 36;
/// `publisher(32) key(32)`
const DEVICE_BYTES: usize = 64;

/// All content entries of both sets, and what the catalogue lists.
pub(super) fn write(node: &Node, catalogue: &Catalogue) -> Vec<u8> {
    let sets = Audience::ALL.map(|audience| (audience, node.set(audience)));
    let count = sets.iter().map(|(_, set)| set.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(16 + node.devices().len() * DEVICE_BYTES + count * (ENTRY_BYTES + LISTED_BYTES));
    bytes.extend(LAYOUT.to_be_bytes());
    bytes.extend((node.devices().len() as u32).to_be_bytes());
    for (org, device) in node.devices() {
        bytes.extend(org.0);
        bytes.extend(device);
    }
    let count_at = bytes.len();
    bytes.extend([0; 8]);
    let mut entries: u64 = 0;
    for (audience, set) in sets {
        for (key, entry) in set.range(&SetKey::first_of(Class::Upkeep, &OrgId([0; 32])), None) {
            entries += 1;
            bytes.push(audience.number());
            bytes.extend(key.0);
            bytes.extend(entry.vid.0);
            bytes.extend(entry.hlc.0.to_be_bytes());
            bytes.extend(entry.device.to_be_bytes());
            bytes.extend(entry.lease_hours.to_be_bytes());
            bytes.push(u8::from(entry.has_lapsed));
        }
    }
    bytes[count_at..count_at + 8].copy_from_slice(&entries.to_be_bytes());
    let nowhere = Slot { audience: Audience::Public, key: SetKey::default() };
    catalogue.each_listed(|listed| {
        let (state, slot, kind, record) = match listed {
            Listed::Live { slot, kind, record } => (0, slot, kind, record),
            Listed::Gone { kind, record } => (1, nowhere, kind, record),
            Listed::Withdrawn { slot } => (2, slot, Kind(0), RecordId::default()),
            Listed::Lapsed { slot } => (3, slot, Kind(0), RecordId::default()),
            Listed::LiveOfMembers { slot } => (4, slot, Kind(0), RecordId::default()),
            Listed::Hidden { slot } => (5, slot, Kind(0), RecordId::default()),
            Listed::Removed { slot, at_ms } => {
                let at = at_ms.to_be_bytes();
                (6, slot, Kind(0), RecordId(std::array::from_fn(|i| at.get(i).copied().unwrap_or(0))))
            }
        };
        bytes.extend([state, slot.audience.number()]);
        bytes.extend(slot.key.0);
        bytes.extend(kind.0.to_be_bytes());
        bytes.extend(record.0);
    });
    bytes
}

/// Fills node and catalogue. `None`: the bytes are of another layout; nothing was done.
///
/// The bytes are this node's own and their hash was checked; a mistake in them shows when sets are compared.
pub(super) fn read(bytes: &[u8], node: &mut Node, catalogue: &Catalogue) -> Option<()> {
    let mut rest = bytes;
    if number::<4>(&mut rest)? != u64::from(LAYOUT) {
        return None;
    }
    let devices = usize::try_from(number::<4>(&mut rest)?).ok()?;
    let (devices, after) = rest.split_at_checked(devices.checked_mul(DEVICE_BYTES)?)?;
    rest = after;
    let devices: Vec<(OrgId, [u8; 32])> = devices
        .as_chunks::<DEVICE_BYTES>()
        .0
        .iter()
        .map(|device| (OrgId(std::array::from_fn(|i| device[i])), std::array::from_fn(|i| device[32 + i])))
        .collect();
    let entries = usize::try_from(number::<8>(&mut rest)?).ok()?;
    let (entries, listed) = rest.split_at_checked(entries.checked_mul(ENTRY_BYTES)?)?;
    if !listed.len().is_multiple_of(LISTED_BYTES) {
        return None;
    }
    // Everything is looked at before anything is done.
    let entries: &[[u8; ENTRY_BYTES]] = entries.as_chunks().0;
    let device_of = |entry: &[u8; ENTRY_BYTES]| u32::from_be_bytes(std::array::from_fn(|i| entry[41 + i])) as usize;
    if entries.iter().any(|entry| entry[0] > 1 || device_of(entry) >= devices.len()) {
        return None;
    }
    for bytes in entries {
        let audience = Audience::from_number(bytes[0].into())?;
        let slot = Slot { audience, key: SetKey(std::array::from_fn(|i| bytes[1 + i])) };
        let entry = Entry {
            vid: Vid(std::array::from_fn(|i| bytes[17 + i])),
            hlc: Hlc(u64::from_be_bytes(std::array::from_fn(|i| bytes[33 + i]))),
            device: 0,
            lease_hours: u16::from_be_bytes([bytes[45], bytes[46]]),
            has_lapsed: bytes[47] == 1,
        };
        let (org, device) = devices[device_of(bytes)];
        node.restore_entry(slot, entry, org, device);
    }
    catalogue.list_all(listed.as_chunks::<LISTED_BYTES>().0.iter().filter_map(|bytes| {
        let audience = Audience::from_number(bytes[1].into())?;
        let slot = Slot { audience, key: SetKey(std::array::from_fn(|i| bytes[2 + i])) };
        let kind = Kind(u16::from_be_bytes([bytes[18], bytes[19]]));
        let record = RecordId(std::array::from_fn(|i| bytes[20 + i]));
        Some(match bytes[0] {
            0 => Listed::Live { slot, kind, record },
            1 => Listed::Gone { kind, record },
            2 => Listed::Withdrawn { slot },
            3 => Listed::Lapsed { slot },
            5 => Listed::Hidden { slot },
            6 => Listed::Removed { slot, at_ms: u64::from_be_bytes(std::array::from_fn(|i| record.0[i])) },
            _ => Listed::LiveOfMembers { slot },
        })
    }));
    Some(())
}

fn number<const N: usize>(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_proto::network::charter::Charter;
    use fingerpost_proto::v1;
    use prost::Message;

    use super::*;
    use crate::store::{MemoryStore, Store};

    fn empty() -> (Node, Catalogue) {
        let charter = v1::Charter {
            name: "City".to_owned(),
            founders: vec![vec![1; 32]],
            vouches_needed: 1,
            objections_needed: 1,
            lease_days_default: 180,
            lease_days_max: 400,
            nonce: vec![0; 16],
            ..Default::default()
        };
        let charter = Charter::read(&charter.encode_to_vec()).unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        let own = fingerpost_proto::key::PublicKey::from_bytes(key.as_bytes()).unwrap();
        let store = MemoryStore::new(1);
        (Node::new(charter, own, 1), Catalogue::new(store.reader(), |_| {}))
    }

    fn entry(n: u8) -> Entry {
        Entry {
            vid: Vid([n; 16]),
            hlc: Hlc(u64::from(n) << 40),
            device: 0,
            lease_hours: u16::from(n) * 30,
            has_lapsed: n.is_multiple_of(3),
        }
    }

    fn slot(n: u8) -> Slot {
        let mut key = SetKey::first_of(Class::Record, &OrgId([n % 4; 32]));
        key.0[9] = n;
        Slot { audience: if n.is_multiple_of(5) { Audience::Members } else { Audience::Public }, key }
    }

    fn filled() -> (Node, Catalogue) {
        let (mut node, catalogue) = empty();
        (1..100).for_each(|n| node.restore_entry(slot(n), entry(n), OrgId([n % 4; 32]), [n % 7; 32]));
        catalogue.list_all((1..100).map(|n| match n % 5 {
            1 if n % 2 == 0 => Listed::Hidden { slot: slot(n) },
            2 if n % 2 == 0 => Listed::Removed { slot: slot(n), at_ms: 1_790_000_000_000 + u64::from(n) },
            0 => Listed::LiveOfMembers { slot: slot(n) },
            1 => Listed::Withdrawn { slot: slot(n) },
            2 => Listed::Lapsed { slot: slot(n) },
            3 => Listed::Gone { kind: Kind::EVENT, record: RecordId([n; 16]) },
            _ => Listed::Live { slot: slot(n), kind: Kind::SERVICE, record: RecordId([n; 16]) },
        }));
        (node, catalogue)
    }

    fn listed(catalogue: &Catalogue) -> Vec<String> {
        let mut all = Vec::new();
        catalogue.each_listed(|listed| all.push(format!("{listed:?}")));
        all.sort();
        all
    }

    #[test]
    fn node_and_catalogue_are_read_back_as_they_were() {
        let (node, catalogue) = filled();
        let bytes = write(&node, &catalogue);
        let (mut again, catalogue_again) = empty();
        read(&bytes, &mut again, &catalogue_again).unwrap();
        for audience in Audience::ALL {
            let entries = |node: &Node| {
                let set = node.set(audience).range(&SetKey::default(), None);
                set.map(|(key, entry)| (key, Entry { device: 0, ..entry }, node.devices()[entry.device as usize]))
                    .collect::<Vec<_>>()
            };
            assert_eq!(entries(&again), entries(&node));
            assert_eq!(again.set(audience).total(), node.set(audience).total());
            assert_eq!(catalogue_again.counts(audience), catalogue.counts(audience));
        }
        assert_eq!(again.hlc_max(), node.hlc_max());
        assert_eq!(listed(&catalogue_again), listed(&catalogue));
    }

    #[test]
    fn bytes_of_another_layout_or_cut_off_fill_nothing() {
        let (node, catalogue) = filled();
        let bytes = write(&node, &catalogue);
        let other = [&(LAYOUT + 1).to_be_bytes()[..], &bytes[4..]].concat();
        let cuts = (0..bytes.len()).step_by(7).map(|length| bytes[..length].to_vec());
        for bytes in cuts.chain([other]) {
            let (mut node, catalogue) = empty();
            if read(&bytes, &mut node, &catalogue).is_none() {
                assert!(Audience::ALL.iter().all(|audience| node.set(*audience).is_empty()));
                assert_eq!(listed(&catalogue), Vec::<String>::new());
            } else {
                // Cut between two that are listed: the store's hash over all of it keeps that from happening.
                assert_eq!((bytes.len() - listed_at(&bytes)) % LISTED_BYTES, 0);
            }
        }
    }

    /// Where the catalogue's part begins.
    fn listed_at(bytes: &[u8]) -> usize {
        let devices = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize;
        let entries_at = 8 + devices * DEVICE_BYTES;
        let entries = u64::from_be_bytes(bytes[entries_at..entries_at + 8].try_into().unwrap()) as usize;
        entries_at + 8 + entries * ENTRY_BYTES
    }
}
