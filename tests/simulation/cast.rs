//! The people of a history: organisations with real keys, and what they sign.

use std::collections::BTreeMap;
use std::rc::Rc;

use ed25519_dalek::{Signer, SigningKey};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::key::{Domain, PublicKey};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::REDACTION_LEASE_DAYS_MAX;
use fingerpost_proto::network::card::card_record_id;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::node::Peer;
use fingerpost_proto::redaction::Redaction;
use fingerpost_proto::time::{Hlc, UnixHour, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use prost::Message;

use super::options::Options;
use super::random::Random;

/// Virtual time begins here, in milliseconds since the Unix epoch.
pub(super) const BEGIN_MS: UnixMillis = 1_790_000_000_000;

/// Longer histories have no quota, in virtual milliseconds.
const QUOTA_ACTIVE_MS_MAX: u64 = 600_000;

/// What an organisation is to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// In the charter.
    Founder,
    /// Invited by the organisation of this number, and in the network when the history begins.
    Invited(usize),
    /// Will be invited by it.
    Newcomer(usize),
    /// Never invited by anybody; its node tries to link all the same.
    Outsider,
}

pub(super) struct Organisation {
    pub(super) id: OrgId,
    pub(super) role: Role,
    pub(super) is_byzantine: bool,
    pub(super) root: SigningKey,
    pub(super) devices: [SigningKey; 2],
    /// Keys of its machines, in the same order.
    node_keys: Vec<SigningKey>,
    pub(super) machines: Vec<usize>,
    card: Vec<u8>,
}

/// A record that an organisation published at some time.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) org: usize,
    pub(super) audience: Audience,
    pub(super) local_id: String,
    pub(super) id: RecordId,
}

pub(super) struct Cast {
    pub(super) organisations: Vec<Organisation>,
    pub(super) charter: Charter,
    /// Organisation and key of each machine.
    pub(super) machines: Vec<(usize, Peer)>,
    pub(super) numbers: BTreeMap<Peer, usize>,
    pub(super) org_numbers: BTreeMap<OrgId, usize>,
}

pub(super) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().as_bytes()).expect("a fresh key is acceptable")
}

impl Cast {
    /// Organisations of one to three machines each. The first is honest, a founder, and stays.
    pub(super) fn new(random: &mut Random, options: &Options) -> Cast {
        let (nodes, byzantine_percent) = (options.nodes, options.byzantine_percent);
        let (has_memberships, rules) = (options.faults.memberships, options.rules);
        // A day's share of versions is enough for some minutes of work.
        let has_quota = options.active_ms <= QUOTA_ACTIVE_MS_MAX;
        let mut organisations: Vec<Organisation> = Vec::new();
        let mut machines = Vec::new();
        let mut byzantine_left = nodes as u64 * byzantine_percent / 100;
        let founders = random.within(1..5) as usize;
        while machines.len() < nodes {
            let number = organisations.len();
            let size = (*random.pick(&[1, 1, 2, 2, 3]).unwrap_or(&1)).min(nodes - machines.len());
            let is_byzantine = number > 0 && byzantine_left >= size as u64 && random.percent(byzantine_percent * 2);
            let role = if number < founders {
                Role::Founder
            } else if is_byzantine && random.percent(20) {
                Role::Outsider
            } else {
                let honest: Vec<usize> = (0..number)
                    .filter(|org| matches!(organisations[*org].role, Role::Founder | Role::Invited(_)))
                    .collect();
                let inviter = *random.pick(&honest).unwrap_or(&0);
                if has_memberships && random.percent(25) { Role::Newcomer(inviter) } else { Role::Invited(inviter) }
            };
            byzantine_left -= if is_byzantine { size as u64 } else { 0 };
            let keys: Vec<SigningKey> = (0..size).map(|_| SigningKey::from_bytes(&random.bytes())).collect();
            let own = (machines.len()..machines.len() + size).collect();
            let organisation = Organisation::new(random, number, role, is_byzantine, &keys, own);
            machines.extend(keys.iter().map(|key| (number, public(key))));
            organisations.push(organisation);
        }
        let founders = organisations.iter().filter(|organisation| organisation.role == Role::Founder);
        let mut founders: Vec<Vec<u8>> = founders.map(|organisation| organisation.id.0.to_vec()).collect();
        founders.sort();
        // A single founder could admit nobody.
        let vouches_needed = rules.vouches_needed.min(founders.len() as u32);
        let charter = v1::Charter {
            name: "Simulated".into(),
            founders,
            vouches_needed,
            objections_needed: 2,
            lease_days_default: 180,
            lease_days_max: 400,
            records_max: if has_quota { rules.records_max } else { 0 },
            version_bytes_max: rules.version_bytes_max,
            nonce: random.bytes::<16>().to_vec(),
            ..Default::default()
        };
        let charter = Charter::read(&charter.encode_to_vec()).expect("a good charter");
        let numbers = machines.iter().enumerate().map(|(number, (_, key))| (*key, number)).collect();
        let org_numbers = organisations.iter().enumerate().map(|(number, org)| (org.id, number)).collect();
        Cast { organisations, charter, machines, numbers, org_numbers }
    }

    pub(super) fn network(&self) -> NetworkId {
        self.charter.network
    }

    /// A version of anything, by a device of `org`. `lease_until` counts for content with a body.
    #[expect(clippy::too_many_arguments, reason = "a header has so many fields")]
    pub(super) fn sign(
        &self,
        org: usize,
        key: &SigningKey,
        (audience, kind): (Audience, Kind),
        record: RecordId,
        hlc: Hlc,
        prev: [u8; 8],
        lease_until: UnixHour,
        body: &[u8],
    ) -> Rc<SignedVersion> {
        let is_leased = kind.is_content() && !body.is_empty();
        let header = Header {
            audience,
            kind,
            network: self.network(),
            org: self.organisations[org].id,
            record,
            device: key.verifying_key().to_bytes(),
            hlc,
            prev,
            lease_until: if is_leased { lease_until } else { UnixHour(0) },
        };
        let signature = key.sign(&header.signing_bytes(body)).to_bytes();
        Rc::new(SignedVersion::assemble(&header, body, &signature).expect("a version within its rules"))
    }

    pub(super) fn card(&self, org: usize) -> Rc<SignedVersion> {
        let organisation = &self.organisations[org];
        let record = card_record_id(&organisation.id, &organisation.card);
        let at = Hlc::new(BEGIN_MS, 0);
        let what = (Audience::Public, Kind::CARD);
        self.sign(org, &organisation.root, what, record, at, [0; 8], UnixHour(0), &organisation.card)
    }

    /// Accepts the charter, by invitation of `inviter` if there is one.
    pub(super) fn acceptance(&self, org: usize, inviter: Option<usize>, hlc: Hlc) -> Rc<SignedVersion> {
        let organisation = &self.organisations[org];
        let mut acceptance = v1::Acceptance { charter: self.network().0.to_vec(), ..Default::default() };
        if let Some(inviter) = inviter {
            let inviter = &self.organisations[inviter];
            let seed = blake3::hash(&[&organisation.id.0[..], &inviter.id.0, &hlc.0.to_le_bytes()].concat());
            let one_time = SigningKey::from_bytes(seed.as_bytes());
            let expires = UnixHour::containing(hlc.ms()).plus_days(14);
            let message = Invitation::signing_message(&self.network(), &inviter.id, &public(&one_time), expires);
            let invitation = Invitation {
                inviter: inviter.id,
                device: inviter.devices[0].verifying_key().to_bytes(),
                one_time_key: public(&one_time),
                expires,
                signature: inviter.devices[0].sign(&Domain::Invitation.signing_bytes(&message)).to_bytes(),
            };
            let claim = Invitation::claim_message(&self.network(), &organisation.id, &public(&one_time));
            acceptance.claim = one_time.sign(&Domain::Claim.signing_bytes(&claim)).to_bytes().to_vec();
            acceptance.invitation = Some(invitation.message());
        }
        self.statement(org, Kind::ACCEPTANCE, None, hlc, &acceptance.encode_to_vec())
    }

    /// A liar's invention, which has no machines. Returns its number.
    pub(super) fn invent(&mut self, random: &mut Random) -> usize {
        let number = self.organisations.len();
        let organisation = Organisation::new(random, number, Role::Outsider, true, &[], Vec::new());
        self.org_numbers.insert(organisation.id, number);
        self.organisations.push(organisation);
        number
    }

    /// The card that follows the first one and lists the second device no more.
    pub(super) fn revocation(&self, org: usize, hlc: Hlc) -> Rc<SignedVersion> {
        let organisation = &self.organisations[org];
        let mut card = v1::OrgCard::decode(&organisation.card[..]).expect("a card that was made here");
        card.sequence = 1;
        card.previous = blake3::hash(&organisation.card).as_bytes().to_vec();
        card.signed_by = public(&organisation.root).as_bytes().to_vec();
        let revoked = organisation.devices[1].verifying_key().to_bytes();
        card.devices.retain(|device| device.key != revoked);
        let body = card.encode_to_vec();
        let record = card_record_id(&organisation.id, &body);
        let what = (Audience::Public, Kind::CARD);
        self.sign(org, &organisation.root, what, record, hlc, [0; 8], UnixHour(0), &body)
    }

    pub(super) fn vouch(&self, org: usize, subject: usize, hlc: Hlc) -> Rc<SignedVersion> {
        let subject = self.organisations[subject].id;
        let body = v1::Vouch { subject: subject.0.to_vec(), ..Default::default() }.encode_to_vec();
        self.statement(org, Kind::VOUCH, Some(&subject), hlc, &body)
    }

    pub(super) fn leave(&self, org: usize, hlc: Hlc) -> Rc<SignedVersion> {
        let body = v1::Leave { reason: "moving".into() }.encode_to_vec();
        self.statement(org, Kind::LEAVE, None, hlc, &body)
    }

    pub(super) fn objection(&self, org: usize, to: usize, hlc: Hlc, is_withdrawn: bool) -> Rc<SignedVersion> {
        let subject = self.organisations[to].id;
        let body = v1::Objection { subject: subject.0.to_vec(), reason: "lies".into() }.encode_to_vec();
        let body = if is_withdrawn { Vec::new() } else { body };
        self.statement(org, Kind::OBJECTION, Some(&subject), hlc, &body)
    }

    fn statement(&self, org: usize, kind: Kind, subject: Option<&OrgId>, hlc: Hlc, body: &[u8]) -> Rc<SignedVersion> {
        let organisation = &self.organisations[org];
        let record = statement_record_id(&organisation.id, kind, subject);
        let what = (Audience::Public, kind);
        self.sign(org, &organisation.devices[0], what, record, hlc, [0; 8], UnixHour(0), body)
    }

    /// A record of `org` with this local id; nothing is signed yet.
    pub(super) fn record(&self, org: usize, audience: Audience, local_id: String) -> Record {
        let id = RecordId::derive(&self.organisations[org].id, Kind::SERVICE, audience, &local_id);
        Record { org, audience, local_id, id }
    }

    /// The order to erase whatever was before this version, by one of the publisher's devices.
    pub(super) fn redaction(&self, org: usize, device: usize, hlc: Hlc, version: &SignedVersion) -> Rc<SignedVersion> {
        let of = version.header();
        let redaction = Redaction { record: of.record, kind: of.kind, replaced_by: version.vid(), clock: of.hlc };
        let organisation = &self.organisations[org];
        let id = Redaction::id_for(&organisation.id, of.audience, &of.record);
        let lease = UnixHour::containing(hlc.ms()).plus_days(REDACTION_LEASE_DAYS_MAX);
        let what = (of.audience, Kind::REDACTION);
        self.sign(org, &organisation.devices[device], what, id, hlc, [0; 8], lease, &redaction.write())
    }

    /// What a machine's driver signs with its node key.
    pub(super) fn signed_by(&self, machine: usize, header: &Header, body: &[u8]) -> Rc<SignedVersion> {
        let organisation = &self.organisations[self.machines[machine].0];
        let at =
            organisation.machines.iter().position(|number| *number == machine).expect("a machine of its organisation");
        let signature = organisation.node_keys[at].sign(&header.signing_bytes(body)).to_bytes();
        Rc::new(SignedVersion::assemble(header, body, &signature).expect("a version within its rules"))
    }

    /// A state of a record; without a name it is withdrawn.
    pub(super) fn content(
        &self,
        record: &Record,
        device: usize,
        hlc: Hlc,
        prev: [u8; 8],
        lease_until: UnixHour,
        name: Option<&str>,
    ) -> Rc<SignedVersion> {
        let service =
            |name: &str| v1::Service { local_id: record.local_id.clone(), name: name.into(), ..Default::default() };
        let body = name.map_or_else(Vec::new, |name| service(name).encode_to_vec());
        let key = &self.organisations[record.org].devices[device];
        self.sign(record.org, key, (record.audience, Kind::SERVICE), record.id, hlc, prev, lease_until, &body)
    }
}

impl Organisation {
    fn new(
        random: &mut Random,
        number: usize,
        role: Role,
        is_byzantine: bool,
        node_keys: &[SigningKey],
        machines: Vec<usize>,
    ) -> Organisation {
        let mut key = || SigningKey::from_bytes(&random.bytes());
        let (root, devices) = (key(), [key(), key()]);
        let device = |key: &SigningKey, role| v1::Device {
            key: public(key).as_bytes().to_vec(),
            roles: vec![role],
            ..Default::default()
        };
        let publishing = devices.iter().map(|key| device(key, v1::DeviceRole::Publish as i32));
        let nodes = node_keys.iter().map(|key| device(key, v1::DeviceRole::Node as i32));
        let card = v1::OrgCard {
            root_keys: vec![public(&root).as_bytes().to_vec()],
            recovery_digest: vec![0; 32],
            devices: publishing.chain(nodes).collect(),
            endpoints: vec![format!("org{number}.example:7474")],
            name: format!("Organisation {number}"),
            nonce: random.bytes::<16>().to_vec(),
            ..Default::default()
        }
        .encode_to_vec();
        let (id, node_keys) = (OrgId::of_genesis_card(&card), node_keys.to_vec());
        Organisation { id, role, is_byzantine, root, devices, node_keys, machines, card }
    }
}
