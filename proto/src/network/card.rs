//! The organisation card: keys, devices and endpoints of an organisation.
//!
//! Only genesis cards are accepted at protocol level 1; succession has its place in the schema.
//! Spec: `spec/05-network.md`, section 1.

use prost::Message;

use crate::id::{OrgId, RecordId};
use crate::key::{KeyError, PublicKey};
use crate::kind::{Audience, Kind};
use crate::limits::{CARD_BYTES_MAX, DEVICES_MAX, ENDPOINT_BYTES_MAX, ENDPOINTS_MAX, NAME_BYTES_MAX, ROOT_KEYS_MAX};
use crate::record::forbidden;
use crate::time::Hlc;
use crate::v1;

/// Why bytes are not an acceptable genesis card.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CardError {
    /// Larger than a card may be.
    #[error("a card has at most {max} bytes, found {found}")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not a protobuf `OrgCard`.
    #[error("this is not a readable card: {reason}")]
    Undecodable {
        /// The decoder's words.
        reason: String,
    },
    /// A later card; this protocol level knows only the first.
    #[error("card {sequence} is a successor; protocol level 1 accepts only the first card")]
    NotGenesis {
        /// Sequence number found.
        sequence: u64,
    },
    /// A list is empty or too long, or a text too long or empty.
    #[error("{field}: found {found}, allowed {allowed}")]
    Size {
        /// Field name.
        field: &'static str,
        /// Entries or bytes found.
        found: usize,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A character that no text may contain: a control, or one that changes the direction of what follows.
    #[error("{field} contains the character U+{character:04X}, which is not allowed in a text")]
    Character {
        /// Field name.
        field: &'static str,
        /// Code point found.
        character: u32,
    },
    /// A key that must not be trusted.
    #[error("{field}: {source}")]
    Key {
        /// Field name.
        field: &'static str,
        /// What is wrong with it.
        source: KeyError,
    },
    /// One key listed twice.
    #[error("{field} lists one key twice")]
    DuplicateKey {
        /// Field name.
        field: &'static str,
    },
}

/// What a device may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its public key.
    pub key: PublicKey,
    /// May sign records and statements.
    pub publishes: bool,
    /// Is the transport key of a node.
    pub is_node: bool,
    /// Versions with an earlier clock are not accepted from it.
    pub not_before: Hlc,
    /// For people.
    pub label: String,
}

/// A checked card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgCard {
    /// The organisation that it describes.
    pub org: OrgId,
    /// Keys that may sign this card's version and the next card; first has priority.
    pub root_keys: Vec<PublicKey>,
    /// BLAKE3 of the recovery public key.
    pub recovery_digest: [u8; 32],
    /// Its devices.
    pub devices: Vec<Device>,
    /// `host:port` of its nodes.
    pub endpoints: Vec<String>,
    /// Its name.
    pub name: String,
}

impl OrgCard {
    /// Reads and checks a genesis card. Errors: [`CardError`]; the answer depends on the bytes alone.
    pub fn read(bytes: &[u8]) -> Result<OrgCard, CardError> {
        if bytes.len() > CARD_BYTES_MAX {
            return Err(CardError::TooLarge { found: bytes.len(), max: CARD_BYTES_MAX });
        }
        let card = v1::OrgCard::decode(bytes).map_err(|error| CardError::Undecodable { reason: error.to_string() })?;
        if card.sequence != 0 || !card.previous.is_empty() || !card.revocations.is_empty() {
            return Err(CardError::NotGenesis { sequence: card.sequence });
        }
        size("root_keys", card.root_keys.len(), 1, ROOT_KEYS_MAX, "1 to 8 keys")?;
        size("devices", card.devices.len(), 1, DEVICES_MAX, "1 to 64 devices")?;
        size("endpoints", card.endpoints.len(), 0, ENDPOINTS_MAX, "at most 8")?;
        size("name", card.name.trim().len(), 1, NAME_BYTES_MAX, "1 to 200 bytes")?;
        line("name", &card.name)?;
        size("nonce", card.nonce.len(), 16, 16, "16 bytes")?;
        for endpoint in &card.endpoints {
            size("endpoints", endpoint.len(), 1, ENDPOINT_BYTES_MAX, "1 to 262 bytes each")?;
            line("endpoints", endpoint)?;
        }
        let recovery_digest = card.recovery_digest.as_slice().try_into();
        let recovery_digest = recovery_digest.map_err(|_| CardError::Size {
            field: "recovery_digest",
            found: card.recovery_digest.len(),
            allowed: "32 bytes",
        })?;
        let root_keys = keys("root_keys", card.root_keys.iter().map(Vec::as_slice))?;
        let device_keys = keys("devices", card.devices.iter().map(|device| device.key.as_slice()))?;
        let mut devices = Vec::with_capacity(card.devices.len());
        for (device, key) in card.devices.into_iter().zip(device_keys) {
            size("devices.label", device.label.len(), 0, NAME_BYTES_MAX, "at most 200 bytes")?;
            line("devices.label", &device.label)?;
            size("devices.roles", device.roles.len(), 1, 8, "1 to 8 roles")?;
            devices.push(Device {
                key,
                publishes: device.roles.contains(&(v1::DeviceRole::Publish as i32)),
                is_node: device.roles.contains(&(v1::DeviceRole::Node as i32)),
                not_before: Hlc(device.not_before),
                label: device.label,
            });
        }
        let (org, name) = (OrgId::of_genesis_card(bytes), card.name);
        Ok(OrgCard { org, root_keys, recovery_digest, devices, endpoints: card.endpoints, name })
    }

    /// The device with this key, if it may sign a version with this clock.
    pub fn publisher(&self, key: &[u8; 32], hlc: Hlc) -> Option<&Device> {
        self.devices.iter().find(|device| device.publishes && device.key.as_bytes() == key && device.not_before <= hlc)
    }

    /// Transport keys of its nodes.
    pub fn node_keys(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.devices.iter().filter(|device| device.is_node).map(|device| device.key)
    }
}

/// Record id of the version that carries a card: derived from the card's digest, so that no card replaces another.
pub fn card_record_id(org: &OrgId, card: &[u8]) -> RecordId {
    RecordId::derive(org, Kind::CARD, Audience::Public, blake3::hash(card).to_hex().as_str())
}

fn keys<'a>(field: &'static str, list: impl Iterator<Item = &'a [u8]>) -> Result<Vec<PublicKey>, CardError> {
    let mut keys = Vec::new();
    for bytes in list {
        let key = PublicKey::from_bytes(bytes).map_err(|source| CardError::Key { field, source })?;
        if keys.contains(&key) {
            return Err(CardError::DuplicateKey { field });
        }
        keys.push(key);
    }
    Ok(keys)
}

fn size(field: &'static str, found: usize, min: usize, max: usize, allowed: &'static str) -> Result<(), CardError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(CardError::Size { field, found, allowed }) }
}

fn line(field: &'static str, text: &str) -> Result<(), CardError> {
    forbidden(text, false).map_or(Ok(()), |character| Err(CardError::Character { field, character }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ed25519_dalek::SigningKey;

    use super::*;

    fn key(seed: u8) -> Vec<u8> {
        SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes().to_vec()
    }

    fn card() -> v1::OrgCard {
        v1::OrgCard {
            root_keys: vec![key(1)],
            recovery_digest: vec![9; 32],
            devices: vec![v1::Device { key: key(2), roles: vec![1, 2], not_before: 5, label: String::new() }],
            endpoints: vec!["node.example:7474".into()],
            name: "Forum".into(),
            nonce: vec![0; 16],
            ..Default::default()
        }
    }

    fn read(card: v1::OrgCard) -> Result<OrgCard, CardError> {
        OrgCard::read(&card.encode_to_vec())
    }

    #[test]
    fn a_genesis_card_names_the_organisation_by_its_bytes() {
        let card = card();
        let read = read(card.clone()).unwrap();
        assert_eq!(read.org, OrgId::of_genesis_card(&card.encode_to_vec()));
        assert!(read.publisher(&key(2).try_into().unwrap(), Hlc(5)).is_some());
        assert!(read.publisher(&key(2).try_into().unwrap(), Hlc(4)).is_none());
        assert!(read.publisher(&key(1).try_into().unwrap(), Hlc(5)).is_none());
    }

    #[test]
    fn a_weak_or_mixed_order_key_is_refused_on_a_card() {
        let mut weak = card();
        let mut small_order = vec![0; 32];
        small_order[0] = 1;
        weak.devices[0].key = small_order;
        assert!(matches!(read(weak), Err(CardError::Key { field: "devices", source: KeyError::Weak })));
    }

    #[test]
    fn root_keys_are_accepted_at_the_limit_and_refused_beyond() {
        let mut full = card();
        full.root_keys = (10..18).map(key).collect();
        assert!(read(full.clone()).is_ok());
        full.root_keys.push(key(18));
        assert!(matches!(read(full), Err(CardError::Size { field: "root_keys", found: 9, .. })));
    }

    #[test]
    fn a_card_that_is_not_the_first_is_refused() {
        let next = v1::OrgCard { sequence: 1, previous: vec![1; 32], ..card() };
        assert_eq!(read(next), Err(CardError::NotGenesis { sequence: 1 }));
    }

    #[test]
    fn one_key_twice_is_refused() {
        let mut twice = card();
        twice.root_keys.push(key(1));
        assert_eq!(read(twice), Err(CardError::DuplicateKey { field: "root_keys" }));
    }
}
