//! Bodies of content records: what they may contain.
//!
//! In: a header and body bytes. Out: a [`Body`] that may be shown, or a [`RecordError`] that names the field.
//! Always: the answer depends on the bytes alone, so that every node gives the same one.
//! Spec: `spec/02-records.md`. Tested: `record/tests.rs`, `spec/vectors/record_*.json`.

mod body;
mod check;
mod text;

#[cfg(test)]
mod tests;

pub use body::Body;
pub use check::check;
pub use text::{LocalTime, forbidden, local_date, local_time};

use crate::id::RecordId;
use crate::kind::Kind;

/// Why a body is refused, at signing and at receipt alike. The publisher is at fault; a relayer is not.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Not a protobuf message of this kind.
    #[error("the body is not a readable {kind}: {reason}")]
    Undecodable {
        /// Kind in the header.
        kind: Kind,
        /// The decoder's words.
        reason: String,
    },
    /// The record id is not the one that the local id gives.
    #[error("record id {found} is not the one made from local id {local_id:?} ({expected}); sign it under its own id")]
    IdMismatch {
        /// Id in the header.
        found: RecordId,
        /// Id that the publisher, kind, audience and local id give.
        expected: RecordId,
        /// Local id in the body.
        local_id: String,
    },
    /// A text, or the local id, is longer than allowed.
    #[error("{field} has {found} bytes, the limit is {max}; shorten it")]
    TooLong {
        /// Field name, as in the schema.
        field: String,
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A list has more entries than allowed.
    #[error("{field} has {found} entries, the limit is {max}; leave some out")]
    TooMany {
        /// Field name.
        field: String,
        /// Entries found.
        found: usize,
        /// Entries allowed.
        max: usize,
    },
    /// A control or direction-override character.
    #[error("{field} contains the character U+{character:04X}, which is not allowed in a text; remove it")]
    ForbiddenCharacter {
        /// Field name.
        field: String,
        /// Code point found.
        character: u32,
    },
    /// Something that must be stated is not.
    #[error("{field} is missing; state it")]
    Missing {
        /// Field name.
        field: String,
    },
    /// Something has the wrong shape.
    #[error("{field} is {found:?}, which is not {wanted}")]
    Malformed {
        /// Field name.
        field: String,
        /// Start of what was found.
        found: String,
        /// What would be right.
        wanted: &'static str,
    },
    /// A withheld location says where it is.
    #[error("{field} is stated although the location is withheld; remove it: a secret address must not enter a record")]
    WithheldPlace {
        /// Field that gives it away.
        field: String,
    },
}

impl RecordError {
    /// The field that is wrong, as the schema names it; `None` when it is the body as a whole.
    pub fn field(&self) -> Option<&str> {
        match self {
            RecordError::Undecodable { .. } => None,
            RecordError::IdMismatch { .. } => Some("local_id"),
            RecordError::TooLong { field, .. }
            | RecordError::TooMany { field, .. }
            | RecordError::ForbiddenCharacter { field, .. }
            | RecordError::Missing { field }
            | RecordError::Malformed { field, .. }
            | RecordError::WithheldPlace { field } => Some(field),
        }
    }
}
