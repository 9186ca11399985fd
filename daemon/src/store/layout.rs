//! Keys and values inside the engine: one ordered map with a letter in front of each kind of entry.
//!
//! Pure. Whole numbers are big-endian, so that their order is that of the bytes. Documented in `daemon/STORE.md`,
//! section 3; a change here needs a new `FORMAT`.

use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::set::{SetKey, Slot};

use super::Arrival;

/// Bytes in front of the enciphered envelope in a row.
pub(super) const HEAD_BYTES: usize = 31;

const LAPSED: u8 = 1;
const OWN: u8 = 2;

/// Everything about a row except its envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) arrival: u64,
    pub(super) lapsed: bool,
    pub(super) own: bool,
    pub(super) key_place: u32,
    pub(super) vid: Vid,
}

impl Head {
    /// `flags(1) kind(2) arrival(8) key_place(4) vid(16) enciphered envelope`
    pub(super) fn write_row(&self, enciphered: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEAD_BYTES + enciphered.len());
        value.push(self.flags());
        value.extend(self.kind.0.to_be_bytes());
        value.extend(self.arrival.to_be_bytes());
        value.extend(self.key_place.to_be_bytes());
        value.extend(self.vid.0);
        value.extend(enciphered);
        value
    }

    /// Head and enciphered envelope; `None` for a value that is too short.
    pub(super) fn read_row(value: &[u8]) -> Option<(Head, &[u8])> {
        let (flags, rest) = value.split_first()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (arrival, rest) = rest.split_first_chunk()?;
        let (key_place, rest) = rest.split_first_chunk()?;
        let (vid, enciphered) = rest.split_first_chunk()?;
        let head = Head {
            kind: Kind(u16::from_be_bytes(*kind)),
            arrival: u64::from_be_bytes(*arrival),
            lapsed: flags & LAPSED != 0,
            own: flags & OWN != 0,
            key_place: u32::from_be_bytes(*key_place),
            vid: Vid(*vid),
        };
        Some((head, enciphered))
    }

    /// `slot key(16) flags(1) kind(2) key_place(4) envelope_bytes(4) vid(16)`
    pub(super) fn write_arrival(&self, slot: &Slot, envelope_bytes: usize) -> Vec<u8> {
        let mut value = Vec::with_capacity(43);
        value.extend(slot.key.0);
        value.push(self.flags());
        value.extend(self.kind.0.to_be_bytes());
        value.extend(self.key_place.to_be_bytes());
        value.extend((envelope_bytes as u32).to_be_bytes());
        value.extend(self.vid.0);
        value
    }

    fn flags(&self) -> u8 {
        (if self.lapsed { LAPSED } else { 0 }) | (if self.own { OWN } else { 0 })
    }
}

/// An entry of the arrival order as it is stored.
pub(super) struct StoredArrival {
    pub(super) arrival: Arrival,
    pub(super) own: bool,
    pub(super) key_place: u32,
    pub(super) envelope_bytes: u32,
}

impl StoredArrival {
    /// `key` is one of [`arrival_key`] or [`kind_arrival_key`]: both end with the number.
    pub(super) fn read(key: &[u8], value: &[u8]) -> Option<StoredArrival> {
        let audience = Audience::from_number(u32::from(*key.get(1)?))?;
        let number = u64::from_be_bytes(*key.last_chunk()?);
        let (slot_key, rest) = value.split_first_chunk()?;
        let (flags, rest) = rest.split_first()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (key_place, rest) = rest.split_first_chunk()?;
        let (envelope_bytes, vid) = rest.split_first_chunk()?;
        let arrival = Arrival {
            number,
            slot: Slot { audience, key: SetKey(*slot_key) },
            kind: Kind(u16::from_be_bytes(*kind)),
            lapsed: flags & LAPSED != 0,
            vid: Vid::from_slice(vid)?,
        };
        let key_place = u32::from_be_bytes(*key_place);
        let own = flags & OWN != 0;
        Some(StoredArrival { arrival, own, key_place, envelope_bytes: u32::from_be_bytes(*envelope_bytes) })
    }
}

/// First and last possible key of the rows.
pub(super) const ROWS: ([u8; 1], [u8; 1]) = (*b"r", *b"s");

/// `r audience(1) slot key(16)`
pub(super) fn row_key(slot: &Slot) -> [u8; 18] {
    let mut key = [0; 18];
    key[0] = b'r';
    key[1] = slot.audience.number();
    key[2..].copy_from_slice(&slot.key.0);
    key
}

/// The slot in a key made by [`row_key`].
pub(super) fn slot_of_row_key(key: &[u8]) -> Option<Slot> {
    let audience = Audience::from_number(u32::from(*key.get(1)?))?;
    Some(Slot { audience, key: SetKey::from_slice(key.get(2..)?)? })
}

/// `a audience(1) number(8)`
pub(super) fn arrival_key(audience: Audience, number: u64) -> [u8; 10] {
    let mut key = [0; 10];
    key[0] = b'a';
    key[1] = audience.number();
    key[2..].copy_from_slice(&number.to_be_bytes());
    key
}

/// `k audience(1) kind(2) number(8)`
pub(super) fn kind_arrival_key(audience: Audience, kind: Kind, number: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[0] = b'k';
    key[1] = audience.number();
    key[2..4].copy_from_slice(&kind.0.to_be_bytes());
    key[4..].copy_from_slice(&number.to_be_bytes());
    key
}

/// `m name`
pub(super) fn meta_key(name: &str) -> Vec<u8> {
    [b"m", name.as_bytes()].concat()
}

/// `identity(8) epoch(8)`: the store's number as in the marker, and that of the arrival order.
pub(super) const EPOCH_KEY: &[u8] = b"e";

/// `number(8)`: of the checkpoint that was written last.
pub(super) const CHECKPOINT_KEY: &[u8] = b"c";

/// `n audience(1)`: the greatest arrival number that may have been given out.
pub(super) fn ceiling_key(audience: Audience) -> [u8; 2] {
    [b'n', audience.number()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let slot = Slot { audience: Audience::Members, key: SetKey([7; 16]) };
        let head = Head { kind: Kind(0x8001), arrival: 77, lapsed: true, own: false, key_place: 9, vid: Vid([3; 16]) };
        let row = head.write_row(b"body");
        assert_eq!(Head::read_row(&row), Some((head, &b"body"[..])));
        assert_eq!(Head::read_row(&row[..HEAD_BYTES - 1]), None);
        assert_eq!(slot_of_row_key(&row_key(&slot)), Some(slot));
        let value = head.write_arrival(&slot, 4);
        for key in [&arrival_key(slot.audience, 77)[..], &kind_arrival_key(slot.audience, head.kind, 77)[..]] {
            let stored = StoredArrival::read(key, &value).unwrap();
            let wanted = Arrival { number: 77, slot, kind: head.kind, lapsed: true, vid: head.vid };
            assert_eq!((stored.arrival, stored.key_place, stored.envelope_bytes), (wanted, 9, 4));
        }
    }
}
