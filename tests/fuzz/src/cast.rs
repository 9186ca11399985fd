//! Four organisations with their keys, and versions that they signed: good ones, and ones that nobody may accept.

use std::sync::LazyLock;

use ed25519_dalek::{Signer, SigningKey};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::key::{Domain, PublicKey};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::network::card::card_record_id;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::time::{HOUR_MS, Hlc, UnixHour, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion, lease_until_max};
use prost::Message;

/// When every history begins, Unix milliseconds.
pub const NOW: UnixMillis = 1_790_000_000_000;
/// Organisations: the founder, two members, and one that nobody invited.
pub const ORGANISATIONS: usize = 4;

/// An organisation with its keys.
#[derive(Debug)]
pub struct Organisation {
    root: SigningKey,
    device: SigningKey,
    /// Name of its node on links.
    pub node: PublicKey,
    /// Its id.
    pub id: OrgId,
    card: Vec<u8>,
}

/// Everybody, and everything that they signed.
#[derive(Debug)]
pub struct Cast {
    /// The network's charter.
    pub charter: Charter,
    /// The organisations; the last is no member.
    pub organisations: Vec<Organisation>,
    /// Cards and acceptances of the members: what both nodes hold from the beginning.
    pub welcome: Vec<SignedVersion>,
    /// Records that both nodes hold from the beginning.
    pub shared: Vec<SignedVersion>,
    /// Further versions: some newer, some of members' records, some withdrawn, some lapsed, some that nobody may accept.
    pub pool: Vec<Vec<u8>>,
}

/// The one cast: making it takes some milliseconds.
pub static CAST: LazyLock<Cast> = LazyLock::new(Cast::new);

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().as_bytes()).expect("a fresh key is not weak")
}

impl Organisation {
    fn new(seed: u8) -> Organisation {
        let key = |purpose: u8| SigningKey::from_bytes(&std::array::from_fn(|i| if i == 0 { purpose } else { seed }));
        let (root, device, node) = (key(1), key(2), key(3));
        let listed = |key: &SigningKey, role| v1::Device {
            key: public(key).as_bytes().to_vec(),
            roles: vec![role],
            ..Default::default()
        };
        let card = v1::OrgCard {
            root_keys: vec![public(&root).as_bytes().to_vec()],
            recovery_digest: vec![0; 32],
            devices: vec![listed(&device, 1), listed(&node, 2)],
            endpoints: vec![format!("node{seed}.example:7474")],
            name: format!("Organisation {seed}"),
            nonce: vec![seed; 16],
            ..Default::default()
        }
        .encode_to_vec();
        Organisation { id: OrgId::of_genesis_card(&card), node: public(&node), root, device, card }
    }

    fn sign(&self, key: &SigningKey, header: &Header, body: &[u8]) -> SignedVersion {
        let header = Header { org: self.id, device: key.verifying_key().to_bytes(), ..*header };
        let signature = key.sign(&header.signing_bytes(body)).to_bytes();
        SignedVersion::assemble(&header, body, &signature).expect("a header that may be")
    }

    fn statement(
        &self,
        network: NetworkId,
        kind: Kind,
        subject: Option<&OrgId>,
        hlc: Hlc,
        body: &[u8],
    ) -> SignedVersion {
        let record = statement_record_id(&self.id, kind, subject);
        self.sign(&self.device, &blank(network, kind, record, hlc), body)
    }

    fn card(&self, network: NetworkId) -> SignedVersion {
        let record = card_record_id(&self.id, &self.card);
        self.sign(&self.root, &blank(network, Kind::CARD, record, Hlc::new(NOW, 0)), &self.card)
    }

    fn acceptance(&self, network: NetworkId, inviter: Option<&Organisation>) -> SignedVersion {
        let mut acceptance = v1::Acceptance::default();
        if let Some(inviter) = inviter {
            let one_time = SigningKey::from_bytes(&std::array::from_fn(|i| self.id.0[i] ^ inviter.id.0[i]));
            let expires = UnixHour::containing(NOW).plus_days(14);
            let message = Invitation::signing_message(&network, &inviter.id, &public(&one_time), expires);
            let invitation = Invitation {
                inviter: inviter.id,
                device: inviter.device.verifying_key().to_bytes(),
                one_time_key: public(&one_time),
                expires,
                signature: inviter.device.sign(&Domain::Invitation.signing_bytes(&message)).to_bytes(),
            };
            let claim = Invitation::claim_message(&network, &self.id, &public(&one_time));
            acceptance.claim = one_time.sign(&Domain::Claim.signing_bytes(&claim)).to_bytes().to_vec();
            acceptance.invitation = Some(invitation.message());
        }
        self.statement(network, Kind::ACCEPTANCE, None, Hlc::new(NOW, 1), &acceptance.encode_to_vec())
    }

    /// A service, or with no name its withdrawal.
    fn service(&self, network: NetworkId, audience: Audience, local_id: &str, name: &str, hlc: Hlc) -> SignedVersion {
        let record = RecordId::derive(&self.id, Kind::SERVICE, audience, local_id);
        let service = v1::Service { local_id: local_id.into(), name: name.into(), ..Default::default() };
        let body = if name.is_empty() { Vec::new() } else { service.encode_to_vec() };
        let lease_until = if name.is_empty() { UnixHour(0) } else { lease_until_max(hlc) };
        self.sign(&self.device, &Header { audience, lease_until, ..blank(network, Kind::SERVICE, record, hlc) }, &body)
    }
}

/// A public header without lease; publisher and device are set when it is signed.
fn blank(network: NetworkId, kind: Kind, record: RecordId, hlc: Hlc) -> Header {
    Header {
        audience: Audience::Public,
        kind,
        network,
        org: OrgId([0; 32]),
        record,
        device: [0; 32],
        hlc,
        prev: [0; 8],
        lease_until: UnixHour(0),
    }
}

impl Cast {
    fn new() -> Cast {
        let organisations: Vec<Organisation> = (1..).take(ORGANISATIONS).map(Organisation::new).collect();
        let charter = v1::Charter {
            name: "City".into(),
            founders: vec![organisations[0].id.0.to_vec()],
            vouches_needed: 1,
            objections_needed: 2,
            lease_days_default: 180,
            lease_days_max: 400,
            nonce: vec![0; 16],
            ..Default::default()
        };
        let charter = Charter::read(&charter.encode_to_vec()).expect("a charter that may be");
        let network = charter.network;
        let mut welcome = vec![organisations[0].card(network), organisations[0].acceptance(network, None)];
        for org in &organisations[1..ORGANISATIONS - 1] {
            welcome.extend([org.card(network), org.acceptance(network, Some(&organisations[0]))]);
        }
        let shared = (0..24).map(|number| {
            let audience = if number % 6 == 5 { Audience::Members } else { Audience::Public };
            let at = Hlc::new(NOW - number * HOUR_MS * 24 * 20, 0);
            organisations[number as usize % 3].service(network, audience, &format!("shared-{number}"), "Shared", at)
        });
        let shared = shared.collect();
        let pool = pool(&organisations, network);
        Cast { charter, organisations, welcome, shared, pool }
    }
}

fn pool(organisations: &[Organisation], network: NetworkId) -> Vec<Vec<u8>> {
    let mut pool = Vec::new();
    let [founder, _, member, stranger] = organisations else { panic!("{ORGANISATIONS} organisations") };
    for (number, org) in organisations.iter().enumerate() {
        for audience in Audience::ALL {
            for step in 0..4_u64 {
                let name = if step == 3 { "" } else { "Newer" };
                let at = Hlc::new(NOW + step * 1_000, 0);
                pool.push(org.service(network, audience, &format!("shared-{number}"), name, at));
                pool.push(org.service(
                    network,
                    audience,
                    &format!("pool-{step}"),
                    "New",
                    Hlc::new(NOW - step * HOUR_MS, 3),
                ));
            }
        }
    }
    // Ahead of the clock by minutes, an hour, days, years; long past its lease; from before everything.
    for at in [NOW + 300_000, NOW + HOUR_MS, NOW + 100 * HOUR_MS, NOW * 2, NOW - 9_700 * HOUR_MS, 1] {
        pool.push(member.service(network, Audience::Public, "odd-time", "Odd", Hlc::new(at, 0)));
    }
    pool.extend([
        stranger.card(network),
        stranger.acceptance(network, None),
        stranger.acceptance(network, Some(member)),
    ]);
    let vouch = v1::Vouch { subject: stranger.id.0.to_vec(), ..Default::default() }.encode_to_vec();
    let objection = v1::Objection { subject: member.id.0.to_vec(), ..Default::default() }.encode_to_vec();
    for step in 0..2 {
        let at = Hlc::new(NOW + step, 0);
        pool.push(founder.statement(network, Kind::VOUCH, Some(&stranger.id), at, &vouch));
        pool.push(founder.statement(network, Kind::OBJECTION, Some(&member.id), at, &objection));
        pool.push(member.statement(network, Kind::LEAVE, None, at, &v1::Leave::default().encode_to_vec()));
        pool.push(member.statement(network, Kind(0x8777), None, at, b"from a later schema"));
    }
    let mut envelopes: Vec<Vec<u8>> = pool.iter().map(|version| version.envelope().to_vec()).collect();
    // Of another network; with a signature that does not hold; cut short.
    envelopes
        .push(member.service(NetworkId([9; 32]), Audience::Public, "x", "X", Hlc::new(NOW, 0)).envelope().to_vec());
    for (at, place) in [(0, 5), (1, 80), (2, 205)] {
        let mut broken = envelopes[at].clone();
        broken[place] ^= 1;
        envelopes.push(broken);
    }
    envelopes.push(envelopes[0][..150].to_vec());
    envelopes
}
