//! A made-up network to measure with: organisations with keys, cards and acceptances, and services of about 1 KB.
//!
//! In: how many organisations and records. Out: signed versions that every node of the network accepts.
//! Always: the same numbers give the same keys, ids and texts; every signature is a real one.

use std::collections::{BTreeMap, HashMap};
use std::thread;

use ed25519_dalek::{Signer, SigningKey};
use fingerpost_proto::head::{Cover, HEAD_LEASE_DAYS, Head};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::key::{Domain, PublicKey};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::{FOUNDERS_MAX, LEASE_DAYS_MAX};
use fingerpost_proto::network::card::card_record_id;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::set::{Entry, SetKey, Slot};
use fingerpost_proto::time::{Hlc, UnixHour, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::Failure;

mod text;

/// Lease of all records: the longest that a charter of this network allows.
const LEASE_DAYS: u32 = LEASE_DAYS_MAX;

/// One organisation with its keys.
pub(crate) struct Organisation {
    pub(crate) id: OrgId,
    root: SigningKey,
    device: SigningKey,
    card: Vec<u8>,
}

/// A network whose first organisations are its founders; each of the others was invited by a founder.
pub(crate) struct Population {
    pub(crate) charter: Charter,
    pub(crate) charter_bytes: Vec<u8>,
    pub(crate) organisations: Vec<Organisation>,
    founders: usize,
    /// When the organisations joined.
    joined_at: UnixMillis,
}

/// A record by its numbers: which organisation, which of its records, which state of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) organisation: usize,
    pub(crate) record: usize,
    /// 0 for the first state.
    pub(crate) edition: u32,
}

impl Population {
    /// `node_keys` are the transport keys of the first organisations' nodes.
    pub(crate) fn new(count: usize, node_keys: &[PublicKey], joined_at: UnixMillis) -> Result<Population, Failure> {
        let organisation = |number: usize| Organisation::new(number, node_keys.get(number));
        let organisations: Vec<Organisation> = (0..count).map(organisation).collect();
        let founders = count.min(FOUNDERS_MAX);
        let mut ids: Vec<Vec<u8>> = organisations[..founders].iter().map(|founder| founder.id.0.to_vec()).collect();
        ids.sort();
        let charter_bytes = v1::Charter {
            name: "Measured network".to_owned(),
            founders: ids,
            vouches_needed: 1,
            objections_needed: 2,
            lease_days_default: LEASE_DAYS,
            lease_days_max: LEASE_DAYS,
            nonce: vec![0; 16],
            ..Default::default()
        }
        .encode_to_vec();
        let charter = Charter::read(&charter_bytes)?;
        Ok(Population { charter, charter_bytes, organisations, founders, joined_at })
    }

    fn network(&self) -> NetworkId {
        self.charter.network
    }

    /// Keys with which the organisations sign their records.
    pub(crate) fn devices(&self) -> Result<HashMap<OrgId, PublicKey>, Failure> {
        let device = |organisation: &Organisation| Ok((organisation.id, public(&organisation.device)?));
        self.organisations.iter().map(device).collect()
    }

    /// Card and acceptance of one organisation.
    pub(crate) fn entry(&self, number: usize) -> Result<[SignedVersion; 2], Failure> {
        let organisation = &self.organisations[number];
        let at = |counter| Hlc::new(self.joined_at, counter);
        let card_id = card_record_id(&organisation.id, &organisation.card);
        let header = self.header(organisation, Kind::CARD, card_id, &organisation.root, at(0));
        let card = sign(&organisation.root, &header, &organisation.card)?;
        let mut acceptance = v1::Acceptance { charter: self.network().0.to_vec(), ..Default::default() };
        if number >= self.founders {
            self.claim_invitation(number, &mut acceptance)?;
        }
        let record = statement_record_id(&organisation.id, Kind::ACCEPTANCE, None);
        let header = self.header(organisation, Kind::ACCEPTANCE, record, &organisation.device, at(1));
        Ok([card, sign(&organisation.device, &header, &acceptance.encode_to_vec())?])
    }

    fn claim_invitation(&self, number: usize, acceptance: &mut v1::Acceptance) -> Result<(), Failure> {
        let inviter = &self.organisations[number % self.founders];
        let one_time = key("one-time key", number);
        let one_time_key = public(&one_time)?;
        let expires = UnixHour::containing(self.joined_at).plus_days(14);
        let message = Invitation::signing_message(&self.network(), &inviter.id, &one_time_key, expires);
        let invitation = Invitation {
            inviter: inviter.id,
            device: inviter.device.verifying_key().to_bytes(),
            one_time_key,
            expires,
            signature: inviter.device.sign(&Domain::Invitation.signing_bytes(&message)).to_bytes(),
        };
        let claim = Invitation::claim_message(&self.network(), &self.organisations[number].id, &one_time_key);
        acceptance.claim = one_time.sign(&Domain::Claim.signing_bytes(&claim)).to_bytes().to_vec();
        acceptance.invitation = Some(invitation.message());
        Ok(())
    }

    /// Cards and acceptances of all organisations.
    pub(crate) fn entries(&self) -> Result<Vec<SignedVersion>, Failure> {
        let mut versions = Vec::with_capacity(2 * self.organisations.len());
        for number in 0..self.organisations.len() {
            versions.extend(self.entry(number)?);
        }
        Ok(versions)
    }

    /// The public service with these numbers, signed at `at`.
    pub(crate) fn service(&self, subject: Subject, at: Hlc, prev: [u8; 8]) -> Result<SignedVersion, Failure> {
        let (organisation, local_id, record) = self.place(subject);
        let mut header = self.header(organisation, Kind::SERVICE, record, &organisation.device, at);
        header.prev = prev;
        header.lease_until = UnixHour::containing(at.ms()).plus_days(LEASE_DAYS - 1);
        let body = text::service(subject, local_id, at.ms()).encode_to_vec();
        sign(&organisation.device, &header, &body)
    }

    /// A head of an organisation over these of its records, signed by its device.
    pub(crate) fn head(&self, number: usize, records: &[SignedVersion], at: Hlc) -> Result<SignedVersion, Failure> {
        let organisation = &self.organisations[number];
        let device = organisation.device.verifying_key().to_bytes();
        let record = Head::record_id(&organisation.id, &device, Audience::Public);
        let mut header = self.header(organisation, Kind::HEAD, record, &organisation.device, at);
        header.lease_until = UnixHour::containing(at.ms()).plus_days(HEAD_LEASE_DAYS);
        let entries = records
            .iter()
            .map(|version| (Slot::of(version.header()).key, Entry::of(version.header(), version.vid(), 0)));
        let entries: BTreeMap<SetKey, Entry> = entries.collect();
        let cover = Cover::of(entries.into_values(), Cover::from_hour(at), at);
        sign(&organisation.device, &header, &Head::body(&device, 0, number as u64, &cover))
    }

    /// Where it is.
    pub(crate) fn slot(&self, subject: Subject) -> Slot {
        let (organisation, _, record) = self.place(subject);
        let key = SetKey::derive(Kind::SERVICE, &organisation.id, &record);
        Slot { audience: Audience::Public, key }
    }

    fn place(&self, subject: Subject) -> (&Organisation, String, RecordId) {
        let organisation = &self.organisations[subject.organisation];
        let local_id = format!("service-{}", subject.record);
        let record = RecordId::derive(&organisation.id, Kind::SERVICE, Audience::Public, &local_id);
        (organisation, local_id, record)
    }

    /// First states of `count` services, as evenly over the organisations as possible, each organisation's together.
    /// Signed on all cores. `signed_at` gives the clock of each.
    pub(crate) fn services(
        &self,
        count: usize,
        signed_at: impl Fn(usize) -> UnixMillis + Sync,
    ) -> Result<Vec<SignedVersion>, Failure> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = count.div_ceil(threads).max(1);
        let part = |first: usize| -> Result<Vec<SignedVersion>, String> {
            let sign = |number: usize| {
                let at = Hlc::new(signed_at(number), 0);
                self.service(self.subject(number, count), at, [0; 8]).map_err(|error| error.to_string())
            };
            (first..count.min(first + share)).map(sign).collect()
        };
        thread::scope(|scope| {
            let part = &part;
            let parts: Vec<_> = (0..count).step_by(share).map(|first| scope.spawn(move || part(first))).collect();
            let mut versions = Vec::with_capacity(count);
            for part in parts {
                versions.extend(part.join().map_err(|_| "a signing thread panicked")??);
            }
            Ok(versions)
        })
    }

    /// Which record is the one with this number of `count`.
    pub(crate) fn subject(&self, number: usize, count: usize) -> Subject {
        let each = count.div_ceil(self.organisations.len()).max(1);
        Subject { organisation: number / each, record: number % each, edition: 0 }
    }

    fn header(
        &self,
        organisation: &Organisation,
        kind: Kind,
        record: RecordId,
        signer: &SigningKey,
        hlc: Hlc,
    ) -> Header {
        Header {
            audience: Audience::Public,
            kind,
            network: self.network(),
            org: organisation.id,
            record,
            device: signer.verifying_key().to_bytes(),
            hlc,
            prev: [0; 8],
            lease_until: UnixHour(0),
        }
    }
}

impl Organisation {
    fn new(number: usize, node_key: Option<&PublicKey>) -> Organisation {
        let (root, device) = (key("root key", number), key("device key", number));
        let device_entry = |key: &[u8; 32], role: v1::DeviceRole| v1::Device {
            key: key.to_vec(),
            roles: vec![role.into()],
            ..Default::default()
        };
        let mut devices = vec![device_entry(device.verifying_key().as_bytes(), v1::DeviceRole::Publish)];
        devices.extend(node_key.map(|key| device_entry(key.as_bytes(), v1::DeviceRole::Node)));
        let card = v1::OrgCard {
            root_keys: vec![root.verifying_key().to_bytes().to_vec()],
            recovery_digest: vec![0; 32],
            devices,
            name: format!("Measured organisation {number}"),
            nonce: bytes("nonce", number)[..16].to_vec(),
            ..Default::default()
        }
        .encode_to_vec();
        Organisation { id: OrgId::of_genesis_card(&card), root, device, card }
    }
}

/// A key that its name and number fix.
pub(crate) fn key(name: &str, number: usize) -> SigningKey {
    SigningKey::from_bytes(&bytes(name, number))
}

/// The public half, checked.
pub(crate) fn public(key: &SigningKey) -> Result<PublicKey, Failure> {
    Ok(PublicKey::from_bytes(key.verifying_key().as_bytes())?)
}

/// 32 bytes that look random and that name and number fix.
pub(crate) fn bytes(name: &str, number: usize) -> [u8; 32] {
    Sha256::new().chain_update(name).chain_update(number.to_le_bytes()).finalize().into()
}

fn sign(key: &SigningKey, header: &Header, body: &[u8]) -> Result<SignedVersion, Failure> {
    Ok(SignedVersion::assemble(header, body, &key.sign(&header.signing_bytes(body)).to_bytes())?)
}
