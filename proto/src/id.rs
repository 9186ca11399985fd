//! Names of organisations, networks, records and versions.
//!
//! All are fixed-size byte strings, ordered as bytes, printed as lower-case hexadecimal (record ids as UUIDs).
//! Spec: `spec/01-model.md`, section 2.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::canary::{Canary, is_out};
use crate::kind::{Audience, Kind};

/// A text that is not an identifier of the wanted type.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{found:?} is not {wanted}; copy the whole of it and try again")]
pub struct IdError {
    /// What was given.
    pub found: String,
    /// What would be right.
    pub wanted: &'static str,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $size:literal, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// Length in bytes.
            pub const BYTES: usize = $size;

            /// The id in these bytes; `None` when their number is not [`Self::BYTES`].
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError { found: text.chars().take(100).collect(), wanted: $wanted };
                parse_hex(text).map(Self).ok_or_else(error)
            }
        }
    };
}

byte_id!(
    /// Names an organisation for ever: BLAKE3 of its genesis card.
    OrgId, 32, "an organisation id (64 hexadecimal digits)"
);
byte_id!(
    /// Names a network for ever: BLAKE3 of its charter.
    NetworkId, 32, "a network id (64 hexadecimal digits)"
);
byte_id!(
    /// Names the exact bytes of one signed version: first 16 bytes of BLAKE3 of its envelope.
    Vid, 16, "a version id (32 hexadecimal digits)"
);

impl OrgId {
    /// The organisation whose genesis card has these bytes.
    pub fn of_genesis_card(card: &[u8]) -> OrgId {
        OrgId(*blake3::hash(card).as_bytes())
    }

    /// The first 16 hexadecimal digits, for tables and logs.
    pub fn short(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

impl NetworkId {
    /// The network whose charter has these bytes.
    pub fn of_charter(charter: &[u8]) -> NetworkId {
        NetworkId(*blake3::hash(charter).as_bytes())
    }
}

impl Vid {
    /// The name of these envelope bytes.
    pub fn of_envelope(envelope: &[u8]) -> Vid {
        let mut vid = [0; 16];
        vid.copy_from_slice(&blake3::hash(envelope).as_bytes()[..16]);
        Vid(vid)
    }

    /// The first eight bytes: what a later version carries as `prev`.
    pub fn prefix(&self) -> [u8; 8] {
        let mut prefix = [0; 8];
        prefix.copy_from_slice(&self.0[..8]);
        prefix
    }
}

/// Names a record: a UUID made from the publisher, kind, audience and the publisher's own name for it.
///
/// Because it is derived, no organisation can publish under another's record id. Source: `spec/01-model.md`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    /// UUIDv5 in the namespace of the first 16 bytes of `org`, over `"KIND/AUDIENCE/LOCAL_ID"`, where KIND is the kind
    /// number in decimal and AUDIENCE `public` or `members`.
    pub fn derive(org: &OrgId, kind: Kind, audience: Audience, local_id: &str) -> RecordId {
        let mut namespace = [0; 16];
        if !is_out(Canary::Owner) {
            namespace.copy_from_slice(&org.0[..16]);
        }
        let audience = if is_out(Canary::AudienceInId) { Audience::Public } else { audience };
        let name = format!("{}/{}/{}", kind.0, audience.name(), local_id);
        RecordId(Uuid::new_v5(&Uuid::from_bytes(namespace), name.as_bytes()).into_bytes())
    }

    /// The id in these bytes; `None` unless there are 16.
    pub fn from_slice(bytes: &[u8]) -> Option<RecordId> {
        bytes.try_into().ok().map(RecordId)
    }

    /// A UUID for a part of this record, stable as long as `path` is: UUIDv5 in this record's namespace.
    pub fn part(&self, path: &str) -> RecordId {
        RecordId(Uuid::new_v5(&Uuid::from_bytes(self.0), path.as_bytes()).into_bytes())
    }
}

impl AsRef<[u8]> for RecordId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0).hyphenated(), f)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RecordId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text)
            .map(|uuid| RecordId(uuid.into_bytes()))
            .map_err(|_| IdError { found: text.chars().take(100).collect(), wanted: "a record id (a UUID)" })
    }
}

pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(value(digits[0])? * 16 + value(digits[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let org = OrgId(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(org.to_string().parse(), Ok(org));
        let record = RecordId::derive(&org, Kind::SERVICE, Audience::Public, "drop-in");
        assert_eq!(record.to_string().parse(), Ok(record));
    }

    #[test]
    fn a_text_of_the_wrong_length_or_alphabet_is_no_id() {
        assert!("ab".parse::<Vid>().is_err());
        assert!("zz".repeat(16).parse::<Vid>().is_err());
        assert!("ab".repeat(16).parse::<Vid>().is_ok());
    }

    #[test]
    fn records_of_other_publishers_kinds_audiences_and_names_have_other_ids() {
        let a = OrgId([1; 32]);
        let base = RecordId::derive(&a, Kind::SERVICE, Audience::Public, "x");
        assert_ne!(base, RecordId::derive(&OrgId([2; 32]), Kind::SERVICE, Audience::Public, "x"));
        assert_ne!(base, RecordId::derive(&a, Kind::EVENT, Audience::Public, "x"));
        assert_ne!(base, RecordId::derive(&a, Kind::SERVICE, Audience::Members, "x"));
        assert_ne!(base, RecordId::derive(&a, Kind::SERVICE, Audience::Public, "y"));
    }
}
