//! The organisations of the vectors: keys from seeds, cards, and versions signed with them.

use ed25519_dalek::{Signer, SigningKey};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::key::{Domain, PublicKey};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::network::card::card_record_id;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::time::{Hlc, UnixHour, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion, lease_until_max};
use prost::Message;

/// The instant of the vectors: 21 September 2026, 14:13:20 UTC.
pub(crate) const NOW: UnixMillis = 1_790_000_000_000;

/// A key whose seed is these two bytes, the second one repeated.
pub(crate) fn key(role: u8, seed: u8) -> SigningKey {
    SigningKey::from_bytes(&std::array::from_fn(|i| if i == 0 { role } else { seed }))
}

pub(crate) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap()
}

pub(crate) struct Org {
    pub(crate) root: SigningKey,
    pub(crate) device: SigningKey,
    pub(crate) node: SigningKey,
    pub(crate) card: Vec<u8>,
    pub(crate) id: OrgId,
}

pub(crate) fn card(seed: u8, name: &str) -> v1::OrgCard {
    let device = |role: u8, roles: Vec<i32>, label: &str| v1::Device {
        key: key(role, seed).verifying_key().to_bytes().to_vec(),
        roles,
        label: label.to_owned(),
        ..Default::default()
    };
    v1::OrgCard {
        root_keys: vec![key(1, seed).verifying_key().to_bytes().to_vec()],
        recovery_digest: vec![0xee; 32],
        devices: vec![device(2, vec![1], "office laptop"), device(3, vec![2], "node")],
        endpoints: vec![format!("node{seed}.example:7474")],
        name: name.to_owned(),
        nonce: vec![seed; 16],
        ..Default::default()
    }
}

impl Org {
    pub(crate) fn new(seed: u8, name: &str) -> Org {
        let card = card(seed, name).encode_to_vec();
        let (root, device, node) = (key(1, seed), key(2, seed), key(3, seed));
        Org { root, device, node, id: OrgId::of_genesis_card(&card), card }
    }

    pub(crate) fn header(&self, network: NetworkId, kind: Kind, audience: Audience, local_id: &str, at: Hlc) -> Header {
        Header {
            audience,
            kind,
            network,
            org: self.id,
            record: RecordId::derive(&self.id, kind, audience, local_id),
            device: self.device.verifying_key().to_bytes(),
            hlc: at,
            prev: [0; 8],
            lease_until: if kind.is_content() { UnixHour(lease_until_max(at).0 - 220 * 24) } else { UnixHour(0) },
        }
    }

    pub(crate) fn card_version(&self, network: NetworkId) -> SignedVersion {
        let header = Header {
            record: card_record_id(&self.id, &self.card),
            device: self.root.verifying_key().to_bytes(),
            ..self.header(network, Kind::CARD, Audience::Public, "", Hlc::new(NOW - 9_000, 0))
        };
        sign(&self.root, &header, &self.card)
    }

    /// The invitation that this organisation gives to the holder of the one-time key with this seed.
    pub(crate) fn invitation(&self, network: NetworkId, seed: u8, expires: UnixHour) -> Invitation {
        let one_time = public(&key(4, seed));
        let message = Invitation::signing_message(&network, &self.id, &one_time, expires);
        Invitation {
            inviter: self.id,
            device: self.device.verifying_key().to_bytes(),
            one_time_key: one_time,
            expires,
            signature: self.device.sign(&Domain::Invitation.signing_bytes(&message)).to_bytes(),
        }
    }

    pub(crate) fn acceptance_body(&self, network: NetworkId, inviter: Option<(&Org, u8)>) -> v1::Acceptance {
        let charter = network.0.to_vec();
        let Some((inviter, seed)) = inviter else { return v1::Acceptance { charter, ..Default::default() } };
        let invitation = inviter.invitation(network, seed, UnixHour::containing(NOW).plus_days(14));
        let claim = Invitation::claim_message(&network, &self.id, &invitation.one_time_key);
        v1::Acceptance {
            invitation: Some(invitation.message()),
            claim: key(4, seed).sign(&Domain::Claim.signing_bytes(&claim)).to_bytes().to_vec(),
            charter,
        }
    }

    pub(crate) fn acceptance(&self, network: NetworkId, inviter: Option<(&Org, u8)>) -> SignedVersion {
        let body = self.acceptance_body(network, inviter).encode_to_vec();
        self.statement(network, Kind::ACCEPTANCE, None, &body, Hlc::new(NOW - 8_000, 0))
    }

    pub(crate) fn statement(
        &self,
        network: NetworkId,
        kind: Kind,
        subject: Option<&OrgId>,
        body: &[u8],
        at: Hlc,
    ) -> SignedVersion {
        let record = statement_record_id(&self.id, kind, subject);
        let header = Header { record, ..self.header(network, kind, Audience::Public, "", at) };
        sign(&self.device, &header, body)
    }

    pub(crate) fn service(&self, network: NetworkId, local_id: &str, name: &str, at: Hlc) -> SignedVersion {
        let header = self.header(network, Kind::SERVICE, Audience::Public, local_id, at);
        let body = v1::Service { local_id: local_id.into(), name: name.into(), ..Default::default() };
        sign(&self.device, &header, &body.encode_to_vec())
    }

    pub(crate) fn withdrawal(&self, network: NetworkId, local_id: &str, at: Hlc) -> SignedVersion {
        let header = self.header(network, Kind::SERVICE, Audience::Public, local_id, at);
        sign(&self.device, &Header { lease_until: UnixHour(0), ..header }, b"")
    }
}

pub(crate) fn sign(key: &SigningKey, header: &Header, body: &[u8]) -> SignedVersion {
    SignedVersion::read(sign_unchecked(key, header, body)).unwrap()
}

/// An envelope that may break every rule but that of its signature.
pub(crate) fn sign_unchecked(key: &SigningKey, header: &Header, body: &[u8]) -> Vec<u8> {
    let signature = key.sign(&header.signing_bytes(body)).to_bytes();
    [signature.as_slice(), &header.write(), body].concat()
}

pub(crate) fn charter_message(founders: &[&Org]) -> v1::Charter {
    let mut founders: Vec<Vec<u8>> = founders.iter().map(|org| org.id.0.to_vec()).collect();
    founders.sort();
    v1::Charter {
        name: "Harbour City Help".into(),
        purpose: "Current information for people who need help.".into(),
        principles: vec!["Nobody owns the list.".into()],
        founders,
        vouches_needed: 1,
        objections_needed: 2,
        lease_days_default: 180,
        lease_days_max: 400,
        version_bytes_max: 65_536,
        records_max: 10_000,
        protocol_level_min: 1,
        licence_url: "https://creativecommons.org/licenses/by/4.0/".into(),
        nonce: vec![7; 16],
    }
}

pub(crate) struct City {
    pub(crate) forum: Org,
    pub(crate) council: Org,
    pub(crate) kitchen: Org,
    pub(crate) charter: Charter,
    pub(crate) charter_bytes: Vec<u8>,
    pub(crate) network: NetworkId,
}

impl City {
    /// Two founders and an organisation that was invited by the first.
    pub(crate) fn new() -> City {
        City::by(|_| ())
    }

    /// The same with another charter.
    pub(crate) fn by(change: impl Fn(&mut v1::Charter)) -> City {
        let (forum, council) = (Org::new(1, "Harbour Refugee Forum"), Org::new(2, "Harbour City Council"));
        let mut charter = charter_message(&[&forum, &council]);
        change(&mut charter);
        let charter_bytes = charter.encode_to_vec();
        let charter = Charter::read(&charter_bytes).unwrap();
        City { kitchen: Org::new(3, "Quay Kitchen"), network: charter.network, forum, council, charter, charter_bytes }
    }

    /// Cards and acceptances of all three, in an order in which a node can take them.
    pub(crate) fn welcome(&self) -> Vec<SignedVersion> {
        let network = self.network;
        vec![
            self.forum.card_version(network),
            self.forum.acceptance(network, None),
            self.council.card_version(network),
            self.council.acceptance(network, None),
            self.kitchen.card_version(network),
            self.kitchen.acceptance(network, Some((&self.forum, 9))),
        ]
    }
}
