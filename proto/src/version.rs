//! The signed version: fixed header, body, signature.
//!
//! In: envelope bytes. Out: a [`SignedVersion`] whose header and body were read and whose signature can be checked.
//! Always: the bytes kept are the bytes received; nothing is encoded again after signing.
//! Spec: `spec/03-versions.md`. Tested: below and `spec/vectors/version_*.json`.

use crate::canary::{Canary, is_out};
use crate::id::{NetworkId, OrgId, RecordId, Vid};
use crate::key::{BadSignature, Domain, PublicKey, SIGNATURE_BYTES};
use crate::kind::{Audience, Kind};
use crate::limits::{ENVELOPE_BYTES_MAX, LEASE_DAYS_MAX, RETENTION_MARGIN_HOURS};
use crate::time::{Hlc, UnixHour, UnixMillis};

/// First byte of every header.
pub const FORMAT: u8 = 1;
/// Length of the header, in bytes.
pub const HEADER_BYTES: usize = 136;

/// What is fixed about a version. All of it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who may receive it.
    pub audience: Audience,
    /// What it is about.
    pub kind: Kind,
    /// The network in which it counts.
    pub network: NetworkId,
    /// Its publisher.
    pub org: OrgId,
    /// The record of which it is a state.
    pub record: RecordId,
    /// Public key of the device that signed it.
    pub device: [u8; 32],
    /// When it was signed.
    pub hlc: Hlc,
    /// First eight bytes of the vid that it replaces; zero for a first version.
    pub prev: [u8; 8],
    /// Hour from which it is no longer shown; zero for withdrawals and network kinds.
    pub lease_until: UnixHour,
}

/// Why bytes are not a version that could be accepted by anyone.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum VersionError {
    /// Shorter than signature and header, or longer than an envelope may be.
    #[error("an envelope has {min} to {max} bytes, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
        /// Least allowed.
        min: usize,
        /// Most allowed.
        max: usize,
    },
    /// A later format, or no version at all.
    #[error("format {found} is not known here (this software reads format 1); upgrade the older side")]
    UnknownFormat {
        /// Format byte found.
        found: u8,
    },
    /// An audience number without meaning.
    #[error("audience {found} is not known; 0 is public, 1 is members")]
    UnknownAudience {
        /// Audience byte found.
        found: u8,
    },
    /// Kind zero.
    #[error("kind 0 is not a kind")]
    KindZero,
    /// A network kind outside the public set.
    #[error("{kind} belongs to the public audience only")]
    NetworkKindNotPublic {
        /// Kind found.
        kind: Kind,
    },
    /// A lease where none may be, or none where one must be.
    #[error("lease_until {found:?} is not allowed for a {what}: {rule}")]
    Lease {
        /// Hour found.
        found: UnixHour,
        /// Kind of version.
        what: &'static str,
        /// The rule it breaks.
        rule: &'static str,
    },
}

/// Envelope bytes with their header read. Nothing about the signature is known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedVersion {
    header: Header,
    envelope: Vec<u8>,
    vid: Vid,
}

impl SignedVersion {
    /// Reads the header and checks what the bytes alone can tell, except the body.
    ///
    /// Errors: [`VersionError`]. Source: `spec/03-versions.md`, sections 1 and 2.
    pub fn read(envelope: Vec<u8>) -> Result<SignedVersion, VersionError> {
        let (min, max) = (SIGNATURE_BYTES + HEADER_BYTES, ENVELOPE_BYTES_MAX);
        if envelope.len() < min || envelope.len() > max {
            return Err(VersionError::Length { found: envelope.len(), min, max });
        }
        let header = Header::read(&envelope[SIGNATURE_BYTES..])?;
        header.check_lease(envelope.len() == min)?;
        let vid = Vid::of_envelope(&envelope);
        Ok(SignedVersion { header, envelope, vid })
    }

    /// Puts header, body and signature together.
    pub fn assemble(
        header: &Header,
        body: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<SignedVersion, VersionError> {
        SignedVersion::read([signature.as_slice(), &header.write(), body].concat())
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The body; empty for a withdrawal.
    pub fn body(&self) -> &[u8] {
        &self.envelope[SIGNATURE_BYTES + HEADER_BYTES..]
    }

    /// The whole envelope: what is kept, hashed and relayed.
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.envelope[..SIGNATURE_BYTES]
    }

    /// Name of exactly these bytes.
    pub fn vid(&self) -> Vid {
        self.vid
    }

    /// True when the version has no body: the record is withdrawn.
    pub fn is_withdrawal(&self) -> bool {
        self.envelope.len() == SIGNATURE_BYTES + HEADER_BYTES
    }

    /// First instant at which this version may be forgotten; `None` for network kinds, which are kept.
    ///
    /// Everything it can have superseded is older, so it is refused by then wherever it comes from.
    /// Source: `spec/04-merge.md`, section 4.
    pub fn forget_at(&self) -> Option<UnixMillis> {
        self.header.kind.is_content().then(|| forget_at(self.header.hlc))
    }

    /// Checks the signature under `device`, which must be the header's.
    pub fn check_signature(&self, device: &PublicKey) -> Result<(), BadSignature> {
        if is_out(Canary::Signature) {
            return Ok(());
        }
        if device.as_bytes() != &self.header.device {
            return Err(BadSignature);
        }
        device.verify(Domain::Version, &self.envelope[SIGNATURE_BYTES..], self.signature())
    }
}

/// First instant at which a content version with this clock may be forgotten.
pub fn forget_at(hlc: Hlc) -> UnixMillis {
    UnixHour(UnixHour::containing(hlc.ms()).plus_days(LEASE_DAYS_MAX).0.saturating_add(RETENTION_MARGIN_HOURS))
        .start_ms()
}

/// Latest hour up to which a version signed at `hlc` may be shown.
pub fn lease_until_max(hlc: Hlc) -> UnixHour {
    UnixHour::containing(hlc.ms()).plus_days(LEASE_DAYS_MAX)
}

impl Header {
    /// The header's bytes, in the layout of `spec/03-versions.md`, section 1. Numbers are big-endian.
    pub fn write(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = FORMAT;
        bytes[1] = self.audience.number();
        bytes[2..4].copy_from_slice(&self.kind.0.to_be_bytes());
        bytes[4..36].copy_from_slice(&self.network.0);
        bytes[36..68].copy_from_slice(&self.org.0);
        bytes[68..84].copy_from_slice(&self.record.0);
        bytes[84..116].copy_from_slice(&self.device);
        bytes[116..124].copy_from_slice(&self.hlc.0.to_be_bytes());
        bytes[124..132].copy_from_slice(&self.prev);
        bytes[132..136].copy_from_slice(&self.lease_until.0.to_be_bytes());
        bytes
    }

    /// Bytes to sign: domain prefix, header, body.
    pub fn signing_bytes(&self, body: &[u8]) -> Vec<u8> {
        Domain::Version.signing_bytes(&[self.write().as_slice(), body].concat())
    }

    /// Reads the first [`HEADER_BYTES`] of `bytes`, which must be there.
    fn read(bytes: &[u8]) -> Result<Header, VersionError> {
        fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            let mut field = [0; N];
            field.copy_from_slice(&bytes[at..at + N]);
            field
        }
        if bytes[0] != FORMAT {
            return Err(VersionError::UnknownFormat { found: bytes[0] });
        }
        let audience =
            Audience::from_number(bytes[1].into()).ok_or(VersionError::UnknownAudience { found: bytes[1] })?;
        let kind = Kind(u16::from_be_bytes(take(bytes, 2)));
        if kind.0 == 0 {
            return Err(VersionError::KindZero);
        }
        if !kind.is_content() && audience != Audience::Public {
            return Err(VersionError::NetworkKindNotPublic { kind });
        }
        Ok(Header {
            audience,
            kind,
            network: NetworkId(take(bytes, 4)),
            org: OrgId(take(bytes, 36)),
            record: RecordId(take(bytes, 68)),
            device: take(bytes, 84),
            hlc: Hlc(u64::from_be_bytes(take(bytes, 116))),
            prev: take(bytes, 124),
            lease_until: UnixHour(u32::from_be_bytes(take(bytes, 132))),
        })
    }

    fn check_lease(&self, is_withdrawal: bool) -> Result<(), VersionError> {
        let found = self.lease_until;
        let error = |what, rule| Err(VersionError::Lease { found, what, rule });
        if !self.kind.is_content() {
            return if found.0 == 0 { Ok(()) } else { error("network kind", "it must be 0") };
        }
        if is_withdrawal {
            return if found.0 == 0 { Ok(()) } else { error("withdrawal", "it must be 0") };
        }
        if found <= UnixHour::containing(self.hlc.ms()) {
            return error("content version", "it must be after the hour of signing");
        }
        if found > lease_until_max(self.hlc) {
            return error("content version", "it must be at most 400 days after the hour of signing");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn header() -> Header {
        let hlc = Hlc::new(1_790_000_000_000, 3);
        Header {
            audience: Audience::Public,
            kind: Kind::SERVICE,
            network: NetworkId([1; 32]),
            org: OrgId([2; 32]),
            record: RecordId([3; 16]),
            device: key().verifying_key().to_bytes(),
            hlc,
            prev: [4; 8],
            lease_until: lease_until_max(hlc),
        }
    }

    fn sign(header: &Header, body: &[u8]) -> Result<SignedVersion, VersionError> {
        SignedVersion::assemble(header, body, &key().sign(&header.signing_bytes(body)).to_bytes())
    }

    fn device() -> PublicKey {
        PublicKey::from_bytes(key().verifying_key().as_bytes()).expect("a fresh key is not weak")
    }

    #[test]
    fn a_signed_version_reads_back_and_verifies() {
        let version = sign(&header(), b"body").expect("valid");
        assert_eq!(version.header(), &header());
        assert_eq!(version.body(), b"body");
        let read = SignedVersion::read(version.envelope().to_vec()).expect("valid");
        assert_eq!(read.vid(), version.vid());
        assert!(read.check_signature(&device()).is_ok());
    }

    #[test]
    fn every_flipped_bit_of_an_envelope_is_refused() {
        let version = sign(&header(), b"body").expect("valid");
        for byte in 0..version.envelope().len() {
            for bit in 0..8 {
                let mut envelope = version.envelope().to_vec();
                envelope[byte] ^= 1 << bit;
                let accepted =
                    SignedVersion::read(envelope).ok().is_some_and(|read| read.check_signature(&device()).is_ok());
                assert!(!accepted, "byte {byte}, bit {bit}");
            }
        }
    }

    #[test]
    fn an_envelope_is_accepted_at_the_size_limit_and_refused_beyond() {
        let largest = ENVELOPE_BYTES_MAX - HEADER_BYTES - SIGNATURE_BYTES;
        assert!(sign(&header(), &vec![1; largest]).is_ok());
        assert!(matches!(sign(&header(), &vec![1; largest + 1]), Err(VersionError::Length { .. })));
        assert!(matches!(SignedVersion::read(vec![0; 199]), Err(VersionError::Length { found: 199, .. })));
    }

    #[test]
    fn a_lease_ends_after_the_hour_of_signing_and_at_most_400_days_later() {
        let mut header = header();
        let hour = UnixHour::containing(header.hlc.ms());
        for (lease, good) in [(hour.0, false), (hour.0 + 1, true), (hour.0 + 9_600, true), (hour.0 + 9_601, false)] {
            header.lease_until = UnixHour(lease);
            assert_eq!(sign(&header, b"body").is_ok(), good, "lease {lease}");
        }
    }

    #[test]
    fn a_withdrawal_has_no_lease_and_no_body() {
        let mut header = header();
        assert!(matches!(sign(&header, b""), Err(VersionError::Lease { .. })));
        header.lease_until = UnixHour(0);
        assert!(sign(&header, b"").expect("valid").is_withdrawal());
        assert!(matches!(sign(&header, b"body"), Err(VersionError::Lease { .. })));
    }

    #[test]
    fn nothing_a_version_superseded_is_still_acceptable_when_it_is_forgotten() {
        let older = Hlc(header().hlc.0 - 1);
        assert!(lease_until_max(older).start_ms() < forget_at(header().hlc));
        assert!(forget_at(older) <= forget_at(header().hlc));
    }

    #[test]
    fn a_network_kind_is_public_and_without_lease() {
        let mut header = Header { kind: Kind::VOUCH, lease_until: UnixHour(0), ..header() };
        assert!(sign(&header, b"x").is_ok());
        header.audience = Audience::Members;
        assert!(matches!(sign(&header, b"x"), Err(VersionError::NetworkKindNotPublic { .. })));
        header.audience = Audience::Public;
        header.lease_until = UnixHour(1);
        assert!(matches!(sign(&header, b"x"), Err(VersionError::Lease { .. })));
    }
}
