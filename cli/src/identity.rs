//! The organisation that this home speaks for: its cards, its device key, and the network it has agreed to.
//!
//! Files in the home: `org.card` and `org.cards` (see `cards.rs`), `network.charter` (bytes of the charter that was
//! accepted, public), `keys/` (private). Always: a file written here is complete or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fingerpost_proto::id::{NetworkId, OrgId};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::CARD_BYTES_MAX;
use fingerpost_proto::network::card::OrgCard;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::v1;
use prost::Message;

use crate::cards::Cards;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::keys::{self, KeyPurpose, Signer};
use crate::output::moment::date;

/// File with the organisation's card.
pub const CARD_FILE: &str = "org.card";
/// File with the charter that this organisation accepted.
pub const CHARTER_FILE: &str = "network.charter";

/// An organisation and the key with which this home signs for it.
#[derive(Debug)]
pub struct Identity {
    /// Bytes of the first card: their digest is the OrgId.
    pub card_bytes: Vec<u8>,
    /// The card that counts, as far as this home knows.
    pub card: OrgCard,
    /// Versions of the cards that count, first to last, as far as the node showed them: for a node that does not know them.
    pub envelopes: Vec<Vec<u8>>,
    /// Signs records and statements.
    pub device: Signer,
}

impl Identity {
    /// Loads cards and device key without asking a node. Errors: as [`Identity::with`].
    pub fn load(home: &Path) -> Result<Identity, Failure> {
        Identity::with(home, Cards::load(home)?)
    }

    /// The same, with the cards that the node knows: another computer may have added this one, or revoked it.
    pub async fn load_at<A: Admin>(home: &Path, node: &A) -> Result<Identity, Failure> {
        let mut cards = Cards::load(home)?;
        cards.refresh(home, node).await?;
        Identity::with(home, cards)
    }

    /// With these cards and the device key in `home`. Errors: a failure of permission when the key is missing, broken, too widely
    /// readable, or not one that the card that counts lets sign.
    pub fn with(home: &Path, cards: Cards) -> Result<Identity, Failure> {
        let device = keys::load(home, KeyPurpose::Device)?;
        check_listed(&cards, &device)?;
        Ok(Identity::signing_with(cards, device))
    }

    /// With a device that is about to be listed.
    pub fn signing_with(cards: Cards, device: Signer) -> Identity {
        let card = cards.effective().clone();
        Identity { card_bytes: cards.first().to_vec(), card, envelopes: cards.envelopes(), device }
    }

    /// The organisation.
    pub fn org(&self) -> OrgId {
        self.card.org
    }
}

/// What a new organisation's card says.
#[derive(Clone, Debug)]
pub struct GenesisCard<'a> {
    /// The organisation's name.
    pub name: &'a str,
    /// Signs the card.
    pub root: &'a PublicKey,
    /// BLAKE3 of the recovery public key.
    pub recovery_digest: [u8; 32],
    /// Signs records.
    pub device: &'a PublicKey,
    /// The transport key of its node; `None` when a neighbour's node carries its records.
    pub node: Option<&'a PublicKey>,
    /// `host:port` of its nodes.
    pub endpoints: Vec<String>,
    /// Random bytes, so that two cards are never equal by accident.
    pub nonce: [u8; 16],
}

impl GenesisCard<'_> {
    /// The card's bytes: their digest is the OrgId. Nothing is checked; see [`OrgCard::read`].
    pub fn encode(self) -> Vec<u8> {
        let device = |key: &PublicKey, role: v1::DeviceRole, label: &str| v1::Device {
            key: key.as_bytes().to_vec(),
            roles: vec![role.into()],
            label: label.to_owned(),
            ..Default::default()
        };
        let publisher = device(self.device, v1::DeviceRole::Publish, "admin");
        let node = self.node.map(|node| device(node, v1::DeviceRole::Node, "node"));
        v1::OrgCard {
            root_keys: vec![self.root.as_bytes().to_vec()],
            recovery_digest: self.recovery_digest.to_vec(),
            devices: [publisher].into_iter().chain(node).collect(),
            endpoints: self.endpoints,
            name: self.name.to_owned(),
            protocol_level_min: fingerpost_proto::PROTOCOL_LEVEL,
            nonce: self.nonce.to_vec(),
            ..Default::default()
        }
        .encode_to_vec()
    }
}

/// Says whose turn it is when the device key does not sign for the organisation (any more).
fn check_listed(cards: &Cards, device: &Signer) -> Result<(), Failure> {
    let card = cards.effective();
    let (head, hint) = match card.device(device.public().as_bytes()) {
        Some(listed) if listed.publishes => match listed.retired_at {
            None => return Ok(()),
            Some(at) => (
                format!("the use of this computer's device key ended on {}", date(at.ms())),
                "make a new one: move keys/device.key away, then fingerpost device request",
            ),
        },
        _ if cards.succession().has_revoked(device.public().as_bytes()) => (
            "the device key of this computer was revoked".to_owned(),
            "if none of you did it: fingerpost recover; else make a new key: move keys/device.key away, then fingerpost device request",
        ),
        _ => (
            "the device key in this home is not on the organisation's card".to_owned(),
            "ask for it with fingerpost device request; or restore keys/device.key and org.card from the same backup",
        ),
    };
    Err(Failure::new(Exit::Permission, head)
        .because(format!("device {} does not sign for {}", device.public(), card.org))
        .hint(hint))
}

/// The card that counts, as far as this home knows: enough to read, not to sign.
pub fn load_card(home: &Path) -> Result<OrgCard, Failure> {
    Ok(Cards::load(home)?.effective().clone())
}

/// The network that this organisation agreed to; `None` before it created or joined one.
pub fn load_charter(home: &Path) -> Result<Option<Charter>, Failure> {
    let path = home.join(CHARTER_FILE);
    let Some(bytes) = read_file(&path, CARD_BYTES_MAX)? else { return Ok(None) };
    Charter::read(&bytes).map(Some).map_err(|error| {
        Failure::new(Exit::Permission, format!("{} is not a charter", path.display())).caused_by(&error)
    })
}

/// Remembers the charter that was accepted, so that nothing is ever signed for another network.
pub fn keep_charter(home: &Path, charter: &[u8]) -> Result<(), Failure> {
    keep_file(&home.join(CHARTER_FILE), charter)
}

/// Remembers the first card. The caller has made sure that there is none.
pub fn keep_card(home: &Path, card: &[u8]) -> Result<(), Failure> {
    keep_file(&home.join(CARD_FILE), card)
}

/// The network in which this home may sign, given the one the node is in. Errors: none yet, or another one.
///
/// A node that carries somebody else's records could claim to be in any network; the charter that was accepted decides.
pub fn agreed_network(home: &Path, node_network: &[u8]) -> Result<Charter, Failure> {
    let Some(charter) = load_charter(home)? else {
        return Err(Failure::new(Exit::Refused, "this organisation is in no network yet")
            .hint("paste an invite: fingerpost join CODE; or found a network: fingerpost network create --name NAME"));
    };
    match NetworkId::from_slice(node_network) {
        Some(network) if network == charter.network => Ok(charter),
        Some(network) => Err(Failure::new(Exit::Refused, "the node is in another network than this organisation")
            .because(format!("node: {network}"))
            .because(format!("organisation: {}", charter.network))
            .hint("talk to a node of your network: --node SOCKET")),
        None => Err(Failure::new(Exit::Refused, "the node is in no network")
            .hint("if it lost its data, let it join again with a new invite: fingerpost join CODE")),
    }
}

/// Reads a file of the home. `None`: there is none. Errors: permission, also when it has more than `bytes_max` bytes.
pub fn read_file(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, Failure> {
    let io = |error: io::Error| {
        Failure::new(Exit::Permission, format!("{} cannot be read", path.display())).caused_by(&error)
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > bytes_max as u64 => {
            Err(Failure::new(Exit::Permission, format!("{} has {} bytes", path.display(), metadata.len()))
                .because(format!("such a file has at most {bytes_max}")))
        }
        Ok(_) => fs::read(path).map(Some).map_err(io),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(error)),
    }
}

/// Writes a file of the home: complete or not at all.
pub fn keep_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    keep_with_mode(path, bytes, 0o644)
}

/// The same for what only the home's owner may read.
pub fn keep_private_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    keep_with_mode(path, bytes, 0o600)
}

fn keep_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let draft: PathBuf = path.with_extension(format!("new-{}", std::process::id()));
    let folder = path.parent().unwrap_or(Path::new("."));
    let kept = fs::create_dir_all(folder).and_then(|()| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(folder)?.sync_all()
    });
    kept.map_err(|error| {
        let _ = fs::remove_file(&draft);
        Failure::new(Exit::Permission, format!("{} cannot be written", path.display())).caused_by(&error)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn charter(name: &str) -> Vec<u8> {
        v1::Charter {
            name: name.into(),
            founders: vec![vec![1; 32]],
            vouches_needed: 1,
            objections_needed: 2,
            lease_days_default: 180,
            lease_days_max: 400,
            nonce: vec![0; 16],
            ..Default::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn nothing_is_signed_for_a_network_that_was_not_accepted() {
        let home = tempfile::tempdir().unwrap();
        let (ours, other) = (charter("ours"), charter("other"));
        let network = |charter: &[u8]| NetworkId::of_charter(charter).0.to_vec();
        assert_eq!(agreed_network(home.path(), &network(&ours)).unwrap_err().exit(), Exit::Refused);
        keep_charter(home.path(), &ours).unwrap();
        assert_eq!(agreed_network(home.path(), &network(&ours)).unwrap().text.name, "ours");
        assert_eq!(agreed_network(home.path(), &network(&other)).unwrap_err().exit(), Exit::Refused);
        assert_eq!(agreed_network(home.path(), &[]).unwrap_err().exit(), Exit::Refused);
    }

    #[test]
    fn a_genesis_card_with_and_without_a_node_is_acceptable_and_loads_with_its_key() {
        let home = tempfile::tempdir().unwrap();
        let seed = keys::fresh_seed().unwrap();
        let (root, device) = (Signer::from_seed(&[1; 32]).unwrap(), Signer::from_seed(&seed).unwrap());
        let node = Signer::from_seed(&[3; 32]).unwrap();
        let genesis = GenesisCard {
            name: "Forum",
            root: root.public(),
            recovery_digest: [9; 32],
            device: device.public(),
            node: None,
            endpoints: Vec::new(),
            nonce: [0; 16],
        };
        let with_node = GenesisCard { node: Some(node.public()), ..genesis.clone() }.encode();
        assert_eq!(OrgCard::read(&with_node).unwrap().node_keys().collect::<Vec<_>>(), [*node.public()]);
        let hosted = genesis.encode();
        assert_eq!(OrgCard::read(&hosted).unwrap().node_keys().count(), 0);
        keep_card(home.path(), &hosted).unwrap();
        keys::keep(home.path(), KeyPurpose::Device, &seed).unwrap();
        assert_eq!(Identity::load(home.path()).unwrap().org(), OrgId::of_genesis_card(&hosted));
    }

    #[test]
    fn a_device_key_that_is_not_on_the_card_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (root, device) = (Signer::from_seed(&[1; 32]).unwrap(), Signer::from_seed(&[2; 32]).unwrap());
        let card = GenesisCard {
            name: "Forum",
            root: root.public(),
            recovery_digest: [9; 32],
            device: device.public(),
            node: None,
            endpoints: Vec::new(),
            nonce: [0; 16],
        };
        keep_card(home.path(), &card.encode()).unwrap();
        keys::keep(home.path(), KeyPurpose::Device, &keys::fresh_seed().unwrap()).unwrap();
        assert_eq!(Identity::load(home.path()).unwrap_err().exit(), Exit::Permission);
    }

    #[test]
    fn a_home_without_a_card_says_how_to_make_one() {
        let home = tempfile::tempdir().unwrap();
        let failure = load_card(home.path()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Permission);
        assert!(failure.json()["hint"].as_str().unwrap().contains("fingerpost init"));
    }

    #[test]
    fn a_card_file_is_read_at_the_size_limit_and_refused_beyond() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(CARD_FILE);
        fs::write(&path, vec![0; CARD_BYTES_MAX]).unwrap();
        assert_eq!(read_file(&path, CARD_BYTES_MAX).unwrap().unwrap().len(), CARD_BYTES_MAX);
        fs::write(&path, vec![0; CARD_BYTES_MAX + 1]).unwrap();
        assert!(read_file(&path, CARD_BYTES_MAX).is_err());
    }
}
