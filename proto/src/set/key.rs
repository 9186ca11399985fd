//! Place of a record in its set.

use std::fmt;

use crate::id::{OrgId, RecordId};
use crate::kind::{Audience, Class, Kind};
use crate::version::Header;

/// Key of a record in the set of its audience, 16 bytes, ordered as bytes.
///
/// One byte for the class (0 network kinds, 1 upkeep, 2 records), the first seven bytes of the OrgId, the first eight bytes
/// of BLAKE3 of OrgId and record id. So cards and statements come before heads, heads before records, and an organisation's
/// records stand together. Source: `spec/07-sync.md`, section 1.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey(pub [u8; 16]);

impl SetKey {
    /// Length in bytes.
    pub const BYTES: usize = 16;

    /// The key of a record.
    pub fn derive(kind: Kind, org: &OrgId, record: &RecordId) -> SetKey {
        let mut key = Self::first_of(kind.class(), org).0;
        let digest = blake3::hash(&[&org.0[..], &record.0].concat());
        key[8..].copy_from_slice(&digest.as_bytes()[..8]);
        SetKey(key)
    }

    /// The lowest key that a record of this organisation and class can have.
    pub fn first_of(class: Class, org: &OrgId) -> SetKey {
        let mut key = [0; 16];
        key[0] = class.number();
        key[1..8].copy_from_slice(&org.0[..7]);
        SetKey(key)
    }

    /// The key that follows this one; `None` for the greatest.
    pub fn next(self) -> Option<SetKey> {
        u128::from_be_bytes(self.0).checked_add(1).map(|next| SetKey(next.to_be_bytes()))
    }

    /// The class of the kinds that can stand here; what no version can have counts as a record.
    pub fn class(&self) -> Class {
        match self.0[0] {
            0 => Class::Network,
            1 => Class::Upkeep,
            _ => Class::Record,
        }
    }

    /// True for a key of a content kind, upkeep or record, false for one of a network kind.
    pub fn is_content(&self) -> bool {
        self.class() != Class::Network
    }

    /// The key in these bytes; `None` unless there are 16.
    pub fn from_slice(bytes: &[u8]) -> Option<SetKey> {
        bytes.try_into().ok().map(SetKey)
    }
}

impl AsRef<[u8]> for SetKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key and the audience whose set it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Whose set.
    pub audience: Audience,
    /// Where in it.
    pub key: SetKey,
}

impl Slot {
    /// The slot of the record that a header describes.
    pub fn of(header: &Header) -> Slot {
        Slot { audience: header.audience, key: SetKey::derive(header.kind, &header.org, &header.record) }
    }
}
