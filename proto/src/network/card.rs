//! The organisation card: keys, devices and endpoints of an organisation, as one card states them.
//!
//! Which of an organisation's cards counts is told by [`Succession`](super::succession::Succession).
//! Spec: `spec/05-network.md`, section 1.

use std::collections::BTreeSet;

use prost::Message;

use crate::id::{OrgId, RecordId, Vid};
use crate::key::{KeyError, PublicKey, Reading};
use crate::kind::{Audience, Class, Kind};
use crate::limits::{
    CARD_BYTES_MAX, CARD_SEQUENCE_MAX, DEVICES_MAX, ENDPOINT_BYTES_MAX, ENDPOINTS_MAX, NAME_BYTES_MAX, ROOT_KEYS_MAX,
    UPHELD_MAX,
};
use crate::record::forbidden;
use crate::time::Hlc;
use crate::v1;

/// Why bytes are not an acceptable card.
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
    /// A later card where the first is wanted.
    #[error("card {sequence} is a successor; the first card of an organisation has sequence 0 and nothing before it")]
    NotGenesis {
        /// Sequence number found.
        sequence: u64,
    },
    /// More cards than an organisation may have.
    #[error(
        "the card has sequence {found}, the highest allowed is {max}; recover on an earlier card, or found a new organisation"
    )]
    Sequence {
        /// Sequence number found.
        found: u64,
        /// Highest allowed.
        max: u64,
    },
    /// A field that belongs to successors only, or that is reserved.
    #[error("{field} must be empty here")]
    NotEmpty {
        /// Field name.
        field: &'static str,
    },
    /// The list of what is upheld is not ascending.
    #[error("what is upheld must be named by 16 bytes each, ascending, none twice")]
    Upheld,
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
    /// Is the transport key of a node, which signs upkeep.
    pub is_node: bool,
    /// Versions with an earlier clock are not accepted from it.
    pub not_before: Hlc,
    /// It was taken out of use: versions with a later clock are not accepted from it.
    pub retired_at: Option<Hlc>,
    /// For people.
    pub label: String,
}

impl Device {
    /// True when its versions of this class with this clock are accepted: a node's key signs upkeep only.
    pub fn signs_at(&self, class: Class, hlc: Hlc) -> bool {
        let may_sign = self.publishes || self.is_node && class == Class::Upkeep;
        may_sign && self.not_before <= hlc && self.retired_at.is_none_or(|retired_at| hlc <= retired_at)
    }
}

/// A checked card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrgCard {
    /// The organisation that it describes.
    pub org: OrgId,
    /// BLAKE3 of its bytes: what a successor names as `previous`.
    pub digest: CardDigest,
    /// How many cards stand before it.
    pub sequence: u64,
    /// Which card it follows and by whom; `None`: it is the first.
    pub origin: Option<Origin>,
    /// Keys that may sign the next card, and the first card's version; first has priority.
    pub root_keys: Vec<PublicKey>,
    /// BLAKE3 of the recovery public key.
    pub recovery_digest: [u8; 32],
    /// Its devices.
    pub devices: Vec<Device>,
    /// `host:port` of its nodes.
    pub endpoints: Vec<String>,
    /// Its name.
    pub name: String,
    /// What counts although its device is not listed: vids of versions, names of invitations ([`upheld_name`]).
    pub upheld: BTreeSet<Vid>,
}

/// BLAKE3 of a card's bytes.
pub type CardDigest = [u8; 32];

/// Where a card that is not the first comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The card before.
    pub previous: CardDigest,
    /// The key that signs the version: a root key of the card before, or its recovery key.
    pub signed_by: PublicKey,
}

impl OrgCard {
    /// Reads and checks the first card of an organisation. Errors: [`CardError`]; the answer depends on the bytes alone.
    pub fn read(bytes: &[u8]) -> Result<OrgCard, CardError> {
        match OrgCard::read_any(&OrgId::of_genesis_card(bytes), bytes) {
            Ok(OrgCard { sequence, origin: Some(_), .. }) => Err(CardError::NotGenesis { sequence }),
            read => read,
        }
    }

    /// Reads and checks any card of `org`. Whether a first card is that organisation's own is not checked.
    /// Errors: [`CardError`]; the answer depends on the bytes alone.
    pub fn read_any(org: &OrgId, bytes: &[u8]) -> Result<OrgCard, CardError> {
        OrgCard::read_as(org, bytes, Reading::First)
    }

    pub(super) fn read_as(org: &OrgId, bytes: &[u8], reading: Reading) -> Result<OrgCard, CardError> {
        if bytes.len() > CARD_BYTES_MAX {
            return Err(CardError::TooLarge { found: bytes.len(), max: CARD_BYTES_MAX });
        }
        let card = v1::OrgCard::decode(bytes).map_err(|error| CardError::Undecodable { reason: error.to_string() })?;
        let origin = origin(&card, reading)?;
        let upheld = upheld(&card.upheld)?;
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
        let root_keys = keys(reading, "root_keys", card.root_keys.iter().map(Vec::as_slice))?;
        let device_keys = keys(reading, "devices", card.devices.iter().map(|device| device.key.as_slice()))?;
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
                retired_at: (device.retired_at != 0).then_some(Hlc(device.retired_at)),
                label: device.label,
            });
        }
        Ok(OrgCard {
            org: *org,
            digest: *blake3::hash(bytes).as_bytes(),
            sequence: card.sequence,
            origin,
            root_keys,
            recovery_digest,
            devices,
            endpoints: card.endpoints,
            name: card.name,
            upheld,
        })
    }

    /// The device with this key.
    pub fn device(&self, key: &[u8; 32]) -> Option<&Device> {
        self.devices.iter().find(|device| device.key.as_bytes() == key)
    }

    /// The device with this key, if it may sign records and statements with this clock.
    pub fn publisher(&self, key: &[u8; 32], hlc: Hlc) -> Option<&Device> {
        self.device(key).filter(|device| device.signs_at(Class::Record, hlc))
    }

    /// True when a version of this class by this device counts: the device may sign with this clock, or the version is upheld
    /// by name.
    pub fn bears_out(&self, class: Class, device: &[u8; 32], hlc: Hlc, vid: &Vid) -> bool {
        self.device(device).is_some_and(|device| device.signs_at(class, hlc)) || self.upheld.contains(vid)
    }

    /// The key under which a version that carries this card is to be checked, if `device` may sign it.
    pub fn signer(&self, device: &[u8; 32]) -> Option<PublicKey> {
        let signers =
            self.origin.as_ref().map_or(&self.root_keys[..], |origin| std::slice::from_ref(&origin.signed_by));
        signers.iter().find(|key| key.as_bytes() == device).copied()
    }

    /// The key under which a version is to be checked, if this card bears it out.
    pub fn signer_of(&self, class: Class, device: &[u8; 32], hlc: Hlc, vid: &Vid) -> Option<PublicKey> {
        if !self.bears_out(class, device, hlc, vid) {
            return None;
        }
        self.device(device).map(|device| device.key).or_else(|| PublicKey::from_bytes(device).ok())
    }

    /// The key under which an invitation with this signature is to be checked, if this card bears it out: that of a
    /// publishing device, whatever its clocks, for an invitation has none; or of any device when the invitation is upheld.
    pub fn signer_of_invitation(&self, device: &[u8; 32], signature: &[u8]) -> Option<PublicKey> {
        match self.device(device) {
            Some(listed) if listed.publishes => Some(listed.key),
            _ if self.upheld.contains(&upheld_name(signature)) => PublicKey::from_bytes(device).ok(),
            _ => None,
        }
    }

    /// Transport keys of its nodes that are in use.
    pub fn node_keys(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.devices.iter().filter(|device| device.is_node && device.retired_at.is_none()).map(|device| device.key)
    }
}

/// The name by which a card upholds an invitation: the first 16 bytes of BLAKE3 of its signature.
pub fn upheld_name(signature: &[u8]) -> Vid {
    Vid::of_envelope(signature)
}

fn origin(card: &v1::OrgCard, reading: Reading) -> Result<Option<Origin>, CardError> {
    if !card.revocations.is_empty() {
        return Err(CardError::NotEmpty { field: "revocations" });
    }
    if card.sequence == 0 {
        let successors_only = [
            ("previous", card.previous.is_empty()),
            ("signed_by", card.signed_by.is_empty()),
            ("upheld", card.upheld.is_empty()),
        ];
        return match successors_only.into_iter().find(|(_, is_empty)| !is_empty) {
            Some((field, _)) => Err(CardError::NotEmpty { field }),
            None => Ok(None),
        };
    }
    if card.sequence > CARD_SEQUENCE_MAX {
        return Err(CardError::Sequence { found: card.sequence, max: CARD_SEQUENCE_MAX });
    }
    let found = card.previous.len();
    let previous = card.previous.as_slice().try_into();
    let previous = previous.map_err(|_| CardError::Size { field: "previous", found, allowed: "32 bytes" })?;
    let signed_by = reading.key(&card.signed_by);
    let signed_by = signed_by.map_err(|source| CardError::Key { field: "signed_by", source })?;
    Ok(Some(Origin { previous, signed_by }))
}

fn upheld(names: &[Vec<u8>]) -> Result<BTreeSet<Vid>, CardError> {
    size("upheld", names.len(), 0, UPHELD_MAX, "at most 256 names")?;
    let read: Option<Vec<Vid>> = names.iter().map(|name| Vid::from_slice(name)).collect();
    let read = read.filter(|names| names.is_sorted_by(|a, b| a < b)).ok_or(CardError::Upheld)?;
    Ok(read.into_iter().collect())
}

/// Record id of the version that carries a card: derived from the card's digest, so that no card replaces another.
pub fn card_record_id(org: &OrgId, card: &[u8]) -> RecordId {
    card_place(org, blake3::hash(card).as_bytes())
}

/// As [`card_record_id`], of the card with this digest.
pub fn card_place(org: &OrgId, digest: &CardDigest) -> RecordId {
    RecordId::derive(org, Kind::CARD, Audience::Public, blake3::Hash::from(*digest).to_hex().as_str())
}

fn keys<'a>(
    reading: Reading,
    field: &'static str,
    list: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<PublicKey>, CardError> {
    let mut keys = Vec::new();
    for bytes in list {
        let key = reading.key(bytes).map_err(|source| CardError::Key { field, source })?;
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
            devices: vec![v1::Device { key: key(2), roles: vec![1, 2], not_before: 5, ..Default::default() }],
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
    fn a_card_out_of_the_own_store_is_read_alike_and_only_its_keys_are_not_checked_again() {
        let again = |card: &v1::OrgCard| OrgCard::read_as(&OrgId([5; 32]), &card.encode_to_vec(), Reading::Again);
        assert_eq!(again(&next()), read_any(next()));
        let weak = v1::OrgCard { root_keys: vec![vec![0; 32]], ..next() };
        assert!(read_any(weak.clone()).is_err() && again(&weak).is_ok());
        let short = v1::OrgCard { root_keys: vec![vec![0; 31]], ..next() };
        assert!(matches!(again(&short), Err(CardError::Key { source: KeyError::Length { found: 31 }, .. })));
    }

    #[test]
    fn root_keys_are_accepted_at_the_limit_and_refused_beyond() {
        let mut full = card();
        full.root_keys = (10..18).map(key).collect();
        assert!(read(full.clone()).is_ok());
        full.root_keys.push(key(18));
        assert!(matches!(read(full), Err(CardError::Size { field: "root_keys", found: 9, .. })));
    }

    fn next() -> v1::OrgCard {
        v1::OrgCard { sequence: 1, previous: vec![1; 32], signed_by: key(1), ..card() }
    }

    fn read_any(card: v1::OrgCard) -> Result<OrgCard, CardError> {
        OrgCard::read_any(&OrgId([5; 32]), &card.encode_to_vec())
    }

    #[test]
    fn a_successor_is_no_first_card() {
        assert_eq!(read(next()), Err(CardError::NotGenesis { sequence: 1 }));
        let card = read_any(next()).unwrap();
        assert_eq!((card.org, card.sequence), (OrgId([5; 32]), 1));
        assert_eq!(card.origin.unwrap().signed_by.as_bytes().to_vec(), key(1));
        assert_eq!(card.digest, *blake3::hash(&next().encode_to_vec()).as_bytes());
    }

    #[test]
    fn what_belongs_to_successors_is_refused_on_a_first_card_and_what_is_reserved_on_any() {
        let first = card();
        let wrong = [
            (v1::OrgCard { previous: vec![1; 32], ..first.clone() }, "previous"),
            (v1::OrgCard { signed_by: key(1), ..first.clone() }, "signed_by"),
            (v1::OrgCard { upheld: vec![vec![1; 16]], ..first }, "upheld"),
            (v1::OrgCard { revocations: vec![v1::Revocation::default()], ..next() }, "revocations"),
        ];
        for (card, field) in wrong {
            assert_eq!(read_any(card), Err(CardError::NotEmpty { field }));
        }
    }

    #[test]
    fn a_successor_names_one_card_and_one_acceptable_key() {
        let cut = v1::OrgCard { previous: vec![1; 31], ..next() };
        assert!(matches!(read_any(cut), Err(CardError::Size { field: "previous", found: 31, .. })));
        let unsigned = v1::OrgCard { signed_by: Vec::new(), ..next() };
        assert!(matches!(read_any(unsigned), Err(CardError::Key { field: "signed_by", .. })));
    }

    #[test]
    fn a_card_is_the_1023rd_successor_at_most() {
        assert!(read_any(v1::OrgCard { sequence: CARD_SEQUENCE_MAX, ..next() }).is_ok());
        let refused = read_any(v1::OrgCard { sequence: CARD_SEQUENCE_MAX + 1, ..next() });
        assert_eq!(refused, Err(CardError::Sequence { found: 1_024, max: 1_023 }));
    }

    #[test]
    fn a_card_upholds_256_names_in_ascending_order_and_no_more() {
        let names = |count: usize| (0..count).map(|n| [&n.to_be_bytes()[..], &[0; 8]].concat()).collect::<Vec<_>>();
        let upholding = |upheld| read_any(v1::OrgCard { upheld, ..next() });
        assert_eq!(upholding(names(UPHELD_MAX)).unwrap().upheld.len(), UPHELD_MAX);
        assert!(matches!(upholding(names(UPHELD_MAX + 1)), Err(CardError::Size { field: "upheld", found: 257, .. })));
        let wrong = [vec![vec![2; 16], vec![1; 16]], vec![vec![1; 16], vec![1; 16]], vec![vec![1; 15]]];
        for upheld in wrong {
            assert_eq!(upholding(upheld), Err(CardError::Upheld));
        }
    }

    #[test]
    fn a_retired_device_signs_up_to_the_clock_of_its_retirement_and_is_no_node() {
        let mut retired = card();
        retired.devices[0].retired_at = 9;
        let card = read(retired).unwrap();
        let device: [u8; 32] = key(2).try_into().unwrap();
        assert!(card.publisher(&device, Hlc(9)).is_some());
        assert!(card.publisher(&device, Hlc(10)).is_none());
        assert_eq!(card.node_keys().count(), 0);
        // An invitation has no clock: those that it signed while in use go on.
        assert!(card.signer_of_invitation(&device, &[1; 64]).is_some());
    }

    #[test]
    fn a_nodes_key_signs_upkeep_and_nothing_else() {
        let mut of_node = card();
        of_node.devices[0].roles = vec![v1::DeviceRole::Node as i32];
        let card = read(of_node).unwrap();
        let device: [u8; 32] = key(2).try_into().unwrap();
        let counts = |class| card.bears_out(class, &device, Hlc(9), &Vid([7; 16]));
        assert_eq!([Class::Network, Class::Upkeep, Class::Record].map(counts), [false, true, false]);
    }

    #[test]
    fn what_is_upheld_by_name_counts_without_its_device_and_nothing_else_of_it_does() {
        let (lost, kept, invitation) = (key(9).try_into().unwrap(), Vid([7; 16]), upheld_name(&[1; 64]));
        let mut upheld = vec![kept.0.to_vec(), invitation.0.to_vec()];
        upheld.sort();
        let card = read_any(v1::OrgCard { upheld, ..next() }).unwrap();
        assert_eq!(card.signer_of(Class::Record, &lost, Hlc(1), &kept).unwrap().as_bytes(), &lost);
        assert_eq!(card.signer_of(Class::Record, &lost, Hlc(1), &Vid([8; 16])), None);
        assert!(card.signer_of_invitation(&lost, &[1; 64]).is_some());
        assert!(card.signer_of_invitation(&lost, &[2; 64]).is_none());
    }

    #[test]
    fn one_key_twice_is_refused() {
        let mut twice = card();
        twice.root_keys.push(key(1));
        assert_eq!(read(twice), Err(CardError::DuplicateKey { field: "root_keys" }));
    }
}
