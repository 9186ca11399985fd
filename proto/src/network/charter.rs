//! The charter: what a network is for and who may join. Its digest is the network's name, so it never changes.
//!
//! Spec: `spec/05-network.md`, section 2.

use std::collections::BTreeSet;

use prost::Message;

use crate::id::{NetworkId, OrgId};
use crate::limits::{
    CARD_BYTES_MAX, FOUNDERS_MAX, LEASE_DAYS_MAX, NAME_BYTES_MAX, PRINCIPLE_BYTES_MAX, PRINCIPLES_MAX,
};
use crate::record::forbidden;
use crate::v1;

/// Why bytes are not a charter.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CharterError {
    /// Larger than a charter may be.
    #[error("a charter has at most {max} bytes, found {found}")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not a protobuf `Charter`.
    #[error("this is not a readable charter: {reason}")]
    Undecodable {
        /// The decoder's words.
        reason: String,
    },
    /// A field breaks its rule.
    #[error("{field} is {found}, allowed is {allowed}")]
    Field {
        /// Field name.
        field: &'static str,
        /// What was found.
        found: String,
        /// The rule.
        allowed: &'static str,
    },
    /// Founders must be ascending and distinct.
    #[error("founders must be OrgIds of 32 bytes, ascending, each once")]
    Founders,
    /// The charter asks for rules that this software does not have.
    #[error("the charter needs protocol level {needed}, this software speaks {ours}; upgrade it")]
    Level {
        /// Level the charter asks for.
        needed: u32,
        /// Level spoken here.
        ours: u32,
    },
}

/// A checked charter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charter {
    /// BLAKE3 of its bytes.
    pub network: NetworkId,
    /// Organisations that take part from the start.
    pub founders: BTreeSet<OrgId>,
    /// Vouches that let a signatory in; at least 1.
    pub vouches_needed: u32,
    /// Objections that put a member out; at least 1.
    pub objections_needed: u32,
    /// Everything else it says.
    pub text: v1::Charter,
}

impl Charter {
    /// Reads and checks a charter. Errors: [`CharterError`].
    pub fn read(bytes: &[u8]) -> Result<Charter, CharterError> {
        if bytes.len() > CARD_BYTES_MAX {
            return Err(CharterError::TooLarge { found: bytes.len(), max: CARD_BYTES_MAX });
        }
        let text =
            v1::Charter::decode(bytes).map_err(|error| CharterError::Undecodable { reason: error.to_string() })?;
        within("name", text.name.trim().len(), 1, NAME_BYTES_MAX, "1 to 200 bytes")?;
        characters("name", &text.name, false)?;
        within("purpose", text.purpose.len(), 0, PRINCIPLE_BYTES_MAX, "at most 4,000 bytes")?;
        characters("purpose", &text.purpose, true)?;
        within("principles", text.principles.len(), 0, PRINCIPLES_MAX, "at most 32")?;
        for principle in &text.principles {
            within("principles", principle.len(), 1, PRINCIPLE_BYTES_MAX, "1 to 4,000 bytes each")?;
            characters("principles", principle, true)?;
        }
        characters("licence_url", &text.licence_url, false)?;
        within("founders", text.founders.len(), 1, FOUNDERS_MAX, "1 to 256")?;
        within("nonce", text.nonce.len(), 16, 16, "16 bytes")?;
        within("vouches_needed", text.vouches_needed as usize, 1, FOUNDERS_MAX, "1 to 256")?;
        within("objections_needed", text.objections_needed as usize, 1, FOUNDERS_MAX, "1 to 256")?;
        let max = LEASE_DAYS_MAX as usize;
        within("lease_days_max", text.lease_days_max as usize, 1, max, "1 to 400 days")?;
        within(
            "lease_days_default",
            text.lease_days_default as usize,
            1,
            text.lease_days_max as usize,
            "1 to lease_days_max",
        )?;
        if text.protocol_level_min > crate::PROTOCOL_LEVEL {
            return Err(CharterError::Level { needed: text.protocol_level_min, ours: crate::PROTOCOL_LEVEL });
        }
        let founders: Vec<OrgId> = text.founders.iter().filter_map(|bytes| OrgId::from_slice(bytes)).collect();
        if founders.len() != text.founders.len() || !founders.is_sorted_by(|a, b| a < b) {
            return Err(CharterError::Founders);
        }
        Ok(Charter {
            network: NetworkId::of_charter(bytes),
            founders: founders.into_iter().collect(),
            vouches_needed: text.vouches_needed,
            objections_needed: text.objections_needed,
            text,
        })
    }
}

fn within(
    field: &'static str,
    found: usize,
    min: usize,
    max: usize,
    allowed: &'static str,
) -> Result<(), CharterError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(CharterError::Field { field, found: found.to_string(), allowed })
}

fn characters(field: &'static str, text: &str, is_running_text: bool) -> Result<(), CharterError> {
    let Some(character) = forbidden(text, is_running_text) else { return Ok(()) };
    let found = format!("a text with the character U+{character:04X}");
    Err(CharterError::Field { field, found, allowed: "text without control characters and direction overrides" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn charter() -> v1::Charter {
        v1::Charter {
            name: "City".into(),
            founders: vec![vec![1; 32], vec![2; 32]],
            vouches_needed: 1,
            objections_needed: 2,
            lease_days_default: 180,
            lease_days_max: 400,
            nonce: vec![0; 16],
            ..Default::default()
        }
    }

    fn read(charter: v1::Charter) -> Result<Charter, CharterError> {
        Charter::read(&charter.encode_to_vec())
    }

    #[test]
    fn a_charter_is_named_by_its_bytes() {
        let read = read(charter()).unwrap();
        assert_eq!(read.network, NetworkId::of_charter(&charter().encode_to_vec()));
        assert_eq!(read.founders.len(), 2);
    }

    #[test]
    fn founders_out_of_order_or_twice_are_refused() {
        for founders in [vec![vec![2; 32], vec![1; 32]], vec![vec![1; 32], vec![1; 32]], vec![vec![1; 31]]] {
            assert_eq!(read(v1::Charter { founders, ..charter() }), Err(CharterError::Founders));
        }
    }

    #[test]
    fn leases_are_at_most_400_days() {
        assert!(read(v1::Charter { lease_days_max: 400, ..charter() }).is_ok());
        assert!(read(v1::Charter { lease_days_max: 401, ..charter() }).is_err());
        assert!(read(v1::Charter { lease_days_default: 401, ..charter() }).is_err());
    }

    #[test]
    fn a_charter_that_needs_a_later_protocol_is_refused_by_name() {
        assert!(matches!(read(v1::Charter { protocol_level_min: 2, ..charter() }), Err(CharterError::Level { .. })));
    }
}
