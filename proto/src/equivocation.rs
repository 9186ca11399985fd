//! Proofs that one device said two things of one moment: two heads with one clock that count different records.
//!
//! In: headers and bodies of kind 0x7f04, or two heads. Out: an [`Equivocation`], or the field that is wrong.
//! Always: whoever reads a proof needs nobody's word: both signatures were checked. Spec: `spec/15-heads.md`, section 6.
//! Tested: below, `spec/vectors/equivocation_*.json`, `node/tests/witnessing.rs`.

use prost::Message;

use crate::head::Head;
use crate::id::{OrgId, RecordId};
use crate::key::PublicKey;
use crate::kind::{Audience, Kind};
use crate::limits::PROVEN_HEAD_BYTES_MAX;
use crate::record::RecordError;
use crate::time::{Hlc, UnixHour};
use crate::v1;
use crate::version::{Header, SignedVersion};

/// Lease of a proof, in days: as long as a head's.
pub const EQUIVOCATION_LEASE_DAYS: u32 = 60;

/// Two heads of one device, one copy and one clock that do not count the same.
///
/// An honest node never signs two: under one incarnation a clock is used once, and a node that lost what it had signed, or never had it, has
/// another incarnation. Either somebody else uses the key, or its owner tells one half of the network something else than the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivocation {
    /// Whose device.
    pub org: OrgId,
    /// The device that signed both.
    pub device: [u8; 32],
    /// Of whose records both are.
    pub audience: Audience,
    /// The one moment.
    pub hlc: Hlc,
    /// The head with the lower vid.
    pub first: SignedVersion,
    /// The other one.
    pub second: SignedVersion,
}

impl Equivocation {
    /// What two envelopes prove. Errors: the field, `first` or `second`, that keeps them from it.
    pub fn of(first: SignedVersion, second: SignedVersion) -> Result<Equivocation, RecordError> {
        Equivocation::claimed_by(first, second)?.verified()
    }

    /// What two envelopes prove if their signatures hold.
    fn claimed_by(first: SignedVersion, second: SignedVersion) -> Result<Equivocation, RecordError> {
        let (first, second) = if first.vid() <= second.vid() { (first, second) } else { (second, first) };
        let (a, b) = (head("first", &first)?, head("second", &second)?);
        let said = |version: &SignedVersion| {
            let header = version.header();
            (header.network, header.org, header.device, header.audience, header.hlc)
        };
        if said(&first) != said(&second) || a.incarnation != b.incarnation {
            return Err(malformed("second", "another head", "a head of the same device, copy, audience and clock"));
        }
        if a.cover == b.cover {
            return Err(malformed("second", "the same cover", "a head that counts other records"));
        }
        Ok(Equivocation { org: a.org, device: a.device, audience: a.audience, hlc: a.hlc, first, second })
    }

    fn verified(self) -> Result<Equivocation, RecordError> {
        for (field, version) in [("first", &self.first), ("second", &self.second)] {
            let key = PublicKey::from_bytes(&self.device);
            if !key.is_ok_and(|key| version.check_signature(&key).is_ok()) {
                return Err(malformed(field, "a bad signature", "a head that its device signed"));
            }
        }
        Ok(self)
    }

    /// Reads the body of a proof and checks both signatures, which takes some 120 microseconds.
    /// Errors: the first field that is wrong. Source: `spec/15-heads.md`, section 6.
    pub fn read(header: &Header, body: &[u8]) -> Result<Equivocation, RecordError> {
        Equivocation::read_again(header, body)?.verified()
    }

    /// As [`Equivocation::read`], of a body that was checked before: signatures are not checked again.
    pub(crate) fn read_again(header: &Header, body: &[u8]) -> Result<Equivocation, RecordError> {
        let message = v1::Equivocation::decode(body)
            .map_err(|error| RecordError::Undecodable { kind: header.kind, reason: error.to_string() })?;
        let version = |field: &'static str, envelope: Vec<u8>| {
            let found = envelope.len();
            if found > PROVEN_HEAD_BYTES_MAX {
                return Err(malformed(field, &format!("{found} bytes"), "at most 1,024 bytes"));
            }
            SignedVersion::read(envelope).map_err(|error| malformed(field, &error.to_string(), "an envelope"))
        };
        let (first, second) = (version("first", message.first)?, version("second", message.second)?);
        if first.vid() >= second.vid() {
            return Err(malformed("second", "a lower or the same vid", "the head with the greater vid"));
        }
        let proven = Equivocation::claimed_by(first, second)?;
        if (proven.first.header().network, proven.audience) != (header.network, header.audience) {
            return Err(malformed(
                "first",
                "another network or audience",
                "a head of the proof's network and audience",
            ));
        }
        if message.local_id != hex(&proven.device) {
            let wanted = "the device that signed both, in 64 lower-case hexadecimal digits";
            return Err(malformed("local_id", &message.local_id, wanted));
        }
        Ok(proven)
    }

    /// The body to sign.
    pub fn write(&self) -> Vec<u8> {
        let [first, second] = [&self.first, &self.second].map(|version| version.envelope().to_vec());
        v1::Equivocation { local_id: hex(&self.device), first, second }.encode_to_vec()
    }

    /// The header under which a device of a witness signs it.
    pub fn header(&self, witness: &OrgId, device: [u8; 32], hlc: Hlc) -> Header {
        Header {
            audience: self.audience,
            kind: Kind::EQUIVOCATION,
            network: self.first.header().network,
            org: *witness,
            record: RecordId::derive(witness, Kind::EQUIVOCATION, self.audience, &hex(&self.device)),
            device,
            hlc,
            prev: [0; 8],
            lease_until: UnixHour::containing(hlc.ms()).plus_days(EQUIVOCATION_LEASE_DAYS),
        }
    }
}

fn head(field: &str, version: &SignedVersion) -> Result<Head, RecordError> {
    let header = version.header();
    let read = match header.kind {
        Kind::HEAD if !version.is_withdrawal() => Head::read(header, version.vid(), version.body()),
        kind => return Err(malformed(field, &format!("{kind}"), "a head")),
    };
    let head = read.map_err(|error| malformed(field, &error.to_string(), "a head"))?;
    if header.record == Head::record_id(&header.org, &header.device, header.audience) {
        return Ok(head);
    }
    Err(malformed(field, &header.record.to_string(), "a head in its own place"))
}

fn malformed(field: &str, found: &str, wanted: &'static str) -> RecordError {
    RecordError::Malformed { field: field.to_owned(), found: found.chars().take(100).collect(), wanted }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;
    use crate::head::Cover;
    use crate::id::{NetworkId, Vid};
    use crate::record;
    use crate::time::UnixMillis;

    const NOW: UnixMillis = 1_790_000_000_000;

    /// What a head is made of.
    #[derive(Clone, Copy)]
    struct Said {
        network: u8,
        org: u8,
        device: u8,
        audience: Audience,
        hlc: Hlc,
        incarnation: u64,
        count: u64,
    }

    const HONEST: Said = Said {
        network: 1,
        org: 2,
        device: 3,
        audience: Audience::Public,
        hlc: Hlc(NOW << 16),
        incarnation: 9,
        count: 4,
    };

    fn signed(header: &Header, body: &[u8], key: u8) -> SignedVersion {
        let key = SigningKey::from_bytes(&[key; 32]);
        let signature = key.sign(&header.signing_bytes(body)).to_bytes();
        SignedVersion::assemble(header, body, &signature).unwrap()
    }

    fn head_of(said: Said) -> SignedVersion {
        let device = SigningKey::from_bytes(&[said.device; 32]).verifying_key().to_bytes();
        let org = OrgId([said.org; 32]);
        let cover = Cover { from: Cover::from_hour(said.hlc), count: said.count, root: [7; 32] };
        let header = Header {
            audience: said.audience,
            kind: Kind::HEAD,
            network: NetworkId([said.network; 32]),
            org,
            record: Head::record_id(&org, &device, said.audience),
            device,
            hlc: said.hlc,
            prev: [0; 8],
            lease_until: UnixHour::containing(NOW).plus_days(60),
        };
        signed(&header, &Head::body(&device, 1, said.incarnation, &cover), said.device)
    }

    fn proof() -> Equivocation {
        Equivocation::of(head_of(HONEST), head_of(Said { count: 5, ..HONEST })).unwrap()
    }

    fn checked(proof: &Equivocation, change: impl Fn(&mut Header, &mut v1::Equivocation)) -> Result<(), RecordError> {
        let mut header = proof.header(&OrgId([8; 32]), [1; 32], Hlc::new(NOW + 5, 0));
        let mut body = v1::Equivocation::decode(proof.write().as_slice()).unwrap();
        change(&mut header, &mut body);
        header.record = RecordId::derive(&header.org, header.kind, header.audience, &body.local_id);
        record::check(&header, &body.encode_to_vec()).map(drop)
    }

    #[test]
    fn two_heads_of_one_device_copy_and_clock_that_count_other_records_prove_it_whichever_comes_first() {
        let (one, other) = (head_of(HONEST), head_of(Said { count: 5, ..HONEST }));
        assert_eq!(Equivocation::of(one.clone(), other.clone()), Equivocation::of(other, one));
        assert_eq!(checked(&proof(), |_, _| {}), Ok(()));
    }

    #[test]
    fn what_an_honest_device_says_proves_nothing() {
        let later = Hlc(HONEST.hlc.0 + 1);
        for (other, what) in [
            (Said { hlc: later, count: 5, ..HONEST }, "a later head"),
            (Said { incarnation: 10, count: 5, ..HONEST }, "another copy of the node"),
            (Said { audience: Audience::Members, count: 5, ..HONEST }, "another audience"),
            (Said { device: 4, count: 5, ..HONEST }, "another device"),
            (Said { org: 5, count: 5, ..HONEST }, "another organisation"),
            (Said { network: 5, count: 5, ..HONEST }, "another network"),
            (HONEST, "the same again"),
        ] {
            assert!(Equivocation::of(head_of(HONEST), head_of(other)).is_err(), "{what}");
        }
    }

    #[test]
    fn a_proof_is_refused_by_the_field_that_is_wrong() {
        let proof = proof();
        let field = |change: &dyn Fn(&mut Header, &mut v1::Equivocation)| {
            checked(&proof, change).unwrap_err().field().map(str::to_owned)
        };
        let refused = |change: &dyn Fn(&mut Header, &mut v1::Equivocation), wanted: &str| {
            assert_eq!(field(change).as_deref(), Some(wanted));
        };
        // Another signature gives another vid; one is taken that is still the lower one.
        let forged = (0..64).map(|at| {
            let mut envelope = proof.first.envelope().to_vec();
            envelope[at] ^= 1;
            envelope
        });
        let forged = forged.into_iter().find(|envelope| Vid::of_envelope(envelope) < proof.second.vid()).unwrap();
        refused(&|_, body| body.first.clone_from(&forged), "first");
        refused(&|_, body| std::mem::swap(&mut body.first, &mut body.second), "second");
        refused(&|_, body| body.first = vec![0; 20], "first");
        refused(&|_, body| body.local_id = hex(&[9; 32]), "local_id");
        refused(&|header, _| header.network = NetworkId([6; 32]), "first");
        refused(&|header, _| header.audience = Audience::Members, "first");
        let version = proof.second.clone();
        let service = Header { kind: Kind::SERVICE, ..*version.header() };
        let service = signed(&service, version.body(), HONEST.device).envelope().to_vec();
        refused(&|_, body| body.second.clone_from(&service), "second");
    }

    #[test]
    fn a_head_in_a_proof_is_read_at_its_limit_and_refused_beyond() {
        // An unknown field fills the body up.
        let long = |bytes: usize| {
            let head = head_of(Said { count: 5, ..HONEST });
            let filler = bytes - head.envelope().len() - 4;
            let mut body = head.body().to_vec();
            body.extend([0xfa, 0x7f]);
            prost::encode_length_delimiter(filler, &mut body).unwrap();
            body.resize(body.len() + filler, 0);
            signed(head.header(), &body, HONEST.device)
        };
        let at_limit = long(PROVEN_HEAD_BYTES_MAX);
        assert_eq!(at_limit.envelope().len(), PROVEN_HEAD_BYTES_MAX);
        assert_eq!(checked(&Equivocation::of(head_of(HONEST), at_limit).unwrap(), |_, _| {}), Ok(()));
        let beyond = Equivocation::of(head_of(HONEST), long(PROVEN_HEAD_BYTES_MAX + 1)).unwrap();
        assert!(
            matches!(checked(&beyond, |_, _| {}), Err(RecordError::Malformed { found, .. }) if found == "1025 bytes")
        );
    }
}
