//! Making an organisation: fresh keys, recovery words and the genesis card. Nothing is written until it is kept.
//!
//! Spec: `spec/05-network.md`, section 1. Used by `init` and by the daemon's demo.

use std::path::Path;

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::network::card::OrgCard;

use crate::failure::{Exit, Failure};
use crate::identity::{GenesisCard, keep_card};
use crate::keys::{self, KeyPurpose, Seed, Signer};
use crate::recovery::RecoveryPhrase;

/// A new organisation that exists in memory only.
pub struct Founding {
    /// The words that outrank every key; to be shown once.
    pub phrase: RecoveryPhrase,
    /// The checked card.
    pub card: OrgCard,
    card_bytes: Vec<u8>,
    root_seed: Seed,
    device_seed: Seed,
}

impl Founding {
    /// Draws keys and writes the card. `node` is the transport key of the organisation's own node, if it has one;
    /// `endpoints` are the `host:port` at which that node answers.
    pub fn draft(name: &str, endpoints: Vec<String>, node: Option<&PublicKey>) -> Result<Founding, Failure> {
        let (root_seed, device_seed) = (keys::fresh_seed()?, keys::fresh_seed()?);
        let phrase = RecoveryPhrase::fresh()?;
        let unfit =
            |error| Failure::new(Exit::Permission, "the fresh key is unfit; run the command again").caused_by(&error);
        let root = Signer::from_seed(&root_seed).map_err(unfit)?;
        let device = Signer::from_seed(&device_seed).map_err(unfit)?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| keys::KeyFileError::Randomness)?;
        let card_bytes = GenesisCard {
            name: name.trim(),
            root: root.public(),
            recovery_digest: phrase.digest().map_err(unfit)?,
            device: device.public(),
            node,
            endpoints,
            nonce,
        }
        .encode();
        let card = OrgCard::read(&card_bytes)
            .map_err(|error| Failure::new(Exit::Usage, "this organisation cannot be described").caused_by(&error))?;
        Ok(Founding { phrase, card, card_bytes, root_seed, device_seed })
    }

    /// Writes keys and card into `home`. Errors: when there is an organisation already.
    pub fn keep(&self, home: &Path) -> Result<(), Failure> {
        keys::keep(home, KeyPurpose::Root, &self.root_seed)?;
        keys::keep(home, KeyPurpose::Device, &self.device_seed)?;
        keep_card(home, &self.card_bytes)
    }
}
