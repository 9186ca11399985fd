//! The organisation's cards, as this home knows them: the first one, and those that followed it in its network.
//!
//! Files in the home: `org.card` (bytes of the first card; their digest is the OrgId) and `org.cards` (the versions of all
//! cards that count, as a `Versions` message; public). Always: what is read from the node or the file is proven by the first card, and
//! the file holds what the succession rules chose. Spec: `spec/05-network.md`, section 1.1.

use std::collections::BTreeMap;
use std::path::Path;

use fingerpost_proto::id::{NetworkId, OrgId};
use fingerpost_proto::kind::Kind;
use fingerpost_proto::limits::{CARD_BYTES_MAX, CARD_SEQUENCE_MAX};
use fingerpost_proto::network::card::{CardDigest, OrgCard};
use fingerpost_proto::network::succession::Succession;
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use prost::Message;

use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::{CARD_FILE, keep_file, load_charter, read_file};

/// File with the versions of all cards that count.
pub const CARDS_FILE: &str = "org.cards";
/// More than the longest chain of the largest cards needs, with 1 KiB for header, signature and framing of each; in bytes.
const CARDS_FILE_BYTES_MAX: usize = (CARD_SEQUENCE_MAX as usize + 1) * (CARD_BYTES_MAX + 1_024);

/// The cards of one organisation.
#[derive(Clone, Debug)]
pub struct Cards {
    first: Vec<u8>,
    org: OrgId,
    succession: Succession,
    /// Versions of cards in the organisation's network, by digest of the card.
    versions: BTreeMap<CardDigest, SignedVersion>,
}

impl Cards {
    /// Starts with the bytes of the first card. Errors: permission, when they are none; `place` is named.
    pub fn of(first: Vec<u8>, place: &Path) -> Result<Cards, Failure> {
        let card = OrgCard::read(&first).map_err(|error| {
            Failure::new(Exit::Permission, format!("{} is not a card", place.display()))
                .caused_by(&error)
                .hint("restore it from your backup; a node of your network has a copy, too")
        })?;
        let (org, mut succession) = (card.org, Succession::default());
        succession.take(card).map_err(|error| {
            Failure::new(Exit::Permission, format!("{} is not a first card", place.display())).caused_by(&error)
        })?;
        Ok(Cards { first, org, succession, versions: BTreeMap::new() })
    }

    /// Reads what the home knows. Errors: permission, when there is no organisation or its card is broken.
    pub fn load(home: &Path) -> Result<Cards, Failure> {
        let path = home.join(CARD_FILE);
        let Some(first) = read_file(&path, CARD_BYTES_MAX)? else {
            return Err(Failure::new(Exit::Permission, format!("there is no organisation in {}", home.display()))
                .hint("make one: fingerpost init --name NAME; or name its home: --home DIR"));
        };
        let mut cards = Cards::of(first, &path)?;
        let path = home.join(CARDS_FILE);
        if let Some(charter) = load_charter(home)?
            && let Some(bytes) = read_file(&path, CARDS_FILE_BYTES_MAX)?
        {
            let versions = v1::Versions::decode(bytes.as_slice()).map_err(|error| {
                Failure::new(Exit::Permission, format!("{} cannot be read", path.display()))
                    .caused_by(&error)
                    .hint("move it away: the node has the cards, too")
            })?;
            cards.learn(&charter.network, versions.envelopes);
        }
        Ok(cards)
    }

    /// All that the node knows of an organisation's cards, for a home that has none yet: the OrgId is the digest of the first card.
    /// Errors: when the node does not have that one.
    pub async fn at<A: Admin>(node: &A, org: &OrgId, network: &NetworkId) -> Result<Cards, Failure> {
        let envelopes = Cards::list(node, org).await?;
        let bodies = envelopes.iter().filter_map(|envelope| SignedVersion::read(envelope.clone()).ok());
        let first = bodies.map(|version| version.body().to_vec()).find(|body| OrgId::of_genesis_card(body) == *org);
        let first = first.ok_or_else(|| {
            Failure::new(Exit::Invalid, "the node does not have the first card of this organisation")
                .because(format!("organisation {org}"))
                .hint("copy org.card and org.cards from another computer or a backup into this home; or ask another node: --node SOCKET")
        })?;
        let mut cards = Cards::of(first, Path::new("what the node sent"))?;
        cards.learn(network, envelopes);
        Ok(cards)
    }

    async fn list<A: Admin>(node: &A, org: &OrgId) -> Result<Vec<Vec<u8>>, Failure> {
        let request = v1::ListRequest { organisation: org.0.to_vec(), kind: Kind::CARD.0.into(), ..Default::default() };
        Ok(node.entries(request).await?.into_iter().map(|entry| entry.envelope).collect())
    }

    /// Learns what the node knows of this organisation's cards, and keeps it in the home if it is news. Before the organisation
    /// has a network there is nothing to learn.
    pub async fn refresh<A: Admin>(&mut self, home: &Path, node: &A) -> Result<(), Failure> {
        let Some(charter) = load_charter(home)? else { return Ok(()) };
        let envelopes = Cards::list(node, &self.org).await?;
        if self.learn(&charter.network, envelopes) { self.keep(home) } else { Ok(()) }
    }

    /// Takes in versions of cards in one network, whatever their order. What proves nothing is left out. True when there was news.
    pub fn learn(&mut self, network: &NetworkId, envelopes: impl IntoIterator<Item = Vec<u8>>) -> bool {
        let before = (self.succession.clone(), self.versions.len());
        for version in self.succession.learn(&self.org, network, envelopes) {
            self.versions.entry(*blake3::hash(version.body()).as_bytes()).or_insert(version);
        }
        (&before.0, before.1) != (&self.succession, self.versions.len())
    }

    /// Writes the versions of the cards that count into the home.
    pub fn keep(&self, home: &Path) -> Result<(), Failure> {
        let versions = v1::Versions { envelopes: self.envelopes(), ..Default::default() };
        keep_file(&home.join(CARDS_FILE), &versions.encode_to_vec())
    }

    /// The organisation.
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// Bytes of the first card.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// The card that counts now.
    pub fn effective(&self) -> &OrgCard {
        self.succession.effective().expect("a succession that began with a first card keeps one")
    }

    /// All cards that count or counted, and those that lost against one of them.
    pub fn succession(&self) -> &Succession {
        &self.succession
    }

    /// Bytes of a card of the chain. `None`: no version of it was seen.
    pub fn body(&self, card: &OrgCard) -> Option<&[u8]> {
        match card.origin {
            None => Some(&self.first),
            Some(_) => self.versions.get(&card.digest).map(SignedVersion::body),
        }
    }

    /// Versions of the cards of the chain, first to last, as far as they were seen.
    pub fn envelopes(&self) -> Vec<Vec<u8>> {
        let seen = self.succession.chain().iter().filter_map(|card| self.versions.get(&card.digest));
        seen.map(|version| version.envelope().to_vec()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_proto::time::Hlc;

    use super::*;
    use crate::identity::{Identity, keep_card, keep_charter};
    use crate::keys::Signer;
    use crate::next_card::NextCard;
    use crate::statements::{card_version, next_card_version};

    fn signer(seed: u8) -> Signer {
        Signer::from_seed(&[seed; 32]).unwrap()
    }

    fn first() -> Cards {
        let bytes = v1::OrgCard {
            root_keys: vec![signer(1).public().as_bytes().to_vec()],
            recovery_digest: vec![9; 32],
            devices: vec![v1::Device {
                key: signer(2).public().as_bytes().to_vec(),
                roles: vec![v1::DeviceRole::Publish.into()],
                ..Default::default()
            }],
            name: "Forum".into(),
            nonce: vec![0; 16],
            ..Default::default()
        }
        .encode_to_vec();
        Cards::of(bytes, Path::new("org.card")).unwrap()
    }

    fn charter() -> (Vec<u8>, NetworkId) {
        let bytes = v1::Charter {
            name: "City".into(),
            founders: vec![vec![1; 32]],
            vouches_needed: 1,
            objections_needed: 2,
            lease_days_default: 180,
            lease_days_max: 400,
            nonce: vec![0; 16],
            ..Default::default()
        }
        .encode_to_vec();
        let network = NetworkId::of_charter(&bytes);
        (bytes, network)
    }

    /// A card after the effective one that lists a device, signed by `root`.
    fn next(cards: &Cards, root: u8, device: u8, network: NetworkId) -> Vec<u8> {
        let before = cards.effective();
        let mut next = NextCard::after(before, cards.body(before).unwrap(), signer(root).public(), [device; 16]);
        next.list(signer(device).public(), v1::DeviceRole::Publish, "desk");
        let bytes = next.finish(before, Vec::new(), Vec::new()).unwrap().bytes;
        let version = next_card_version(&signer(root), &cards.org(), network, Hlc(9), &bytes).unwrap();
        version.envelope().to_vec()
    }

    #[test]
    fn cards_that_were_learnt_are_there_again_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let (charter, network) = charter();
        let mut cards = first();
        keep_card(home.path(), cards.first()).unwrap();
        keep_charter(home.path(), &charter).unwrap();
        let second = next(&cards, 1, 3, network);
        assert!(cards.learn(&network, [second.clone()]));
        assert!(!cards.learn(&network, [second]), "no news");
        let third = next(&cards, 1, 4, network);
        cards.learn(&network, [third]);
        cards.keep(home.path()).unwrap();
        let loaded = Cards::load(home.path()).unwrap();
        assert_eq!((loaded.effective().sequence, loaded.envelopes().len()), (2, 2));
        assert_eq!(loaded.effective(), cards.effective());
        // The first card's version joins them when a node shows it, and goes before them.
        let identity = Identity::signing_with(first(), signer(2));
        let version = card_version(&signer(1), &identity, network, Hlc(5)).unwrap();
        assert!(cards.learn(&network, [version.envelope().to_vec()]));
        assert_eq!(cards.envelopes()[0], version.envelope());
    }

    #[test]
    fn what_the_first_card_does_not_prove_changes_nothing() {
        let (_, network) = charter();
        let mut cards = first();
        let other_network = next(&cards, 1, 3, NetworkId([8; 32]));
        let other_key = next(&cards, 5, 3, network);
        let mut damaged = next(&cards, 1, 3, network);
        damaged[3] ^= 1;
        assert!(!cards.learn(&network, [other_network, other_key, damaged, Vec::new()]));
        assert_eq!(cards.effective().sequence, 0);
    }

    #[test]
    fn the_file_of_cards_is_read_at_its_limit_and_refused_beyond() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(CARDS_FILE);
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(CARDS_FILE_BYTES_MAX as u64).unwrap();
        assert_eq!(read_file(&path, CARDS_FILE_BYTES_MAX).unwrap().unwrap().len(), CARDS_FILE_BYTES_MAX);
        file.set_len(CARDS_FILE_BYTES_MAX as u64 + 1).unwrap();
        assert_eq!(read_file(&path, CARDS_FILE_BYTES_MAX).unwrap_err().exit(), Exit::Permission);
    }
}
