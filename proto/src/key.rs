//! Ed25519 public keys that were found fit to trust, and the domains that keep signatures apart.
//!
//! Spec: `spec/03-versions.md`, sections 3 and 4. Signing happens at the admin's side; only checking is here.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::canary::{Canary, is_out};
use crate::id::{IdError, parse_hex};

/// Length of an Ed25519 signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// What a signature is for. Its prefix stands before the signed bytes, so that no signature serves two purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A version: header and body.
    Version,
    /// An invitation: a vouch for whoever holds a one-time key.
    Invitation,
    /// The claim of an invitation by its one-time key.
    Claim,
}

impl Domain {
    /// The bytes before the signed message, with their final newline.
    pub fn prefix(self) -> &'static [u8] {
        match self {
            Domain::Version => b"fingerpost version 1\n",
            Domain::Invitation => b"fingerpost invitation 1\n",
            Domain::Claim => b"fingerpost claim 1\n",
        }
    }

    /// Prefix and message in one buffer: exactly what is signed.
    pub fn signing_bytes(self, message: &[u8]) -> Vec<u8> {
        [self.prefix(), message].concat()
    }
}

/// Why 32 bytes are not an acceptable public key.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not 32 bytes.
    #[error("a public key has 32 bytes, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// No point of the curve, or not its canonical encoding.
    #[error("these 32 bytes are not a canonical Ed25519 point")]
    NotAPoint,
    /// Of small order, or with a small-order part: signatures under it would be read differently by different software.
    #[error("this Ed25519 key is weak (small order or not torsion-free); make a new key")]
    Weak,
}

/// A signature that does not hold.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the signature does not hold for these bytes and this key")]
pub struct BadSignature;

/// Whether bytes that are read still have to prove what takes curve arithmetic: keys, and signatures inside bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// They come from somebody else.
    First,
    /// They come from the own store, into which nothing gets that was not read before.
    Again,
}

impl Reading {
    /// Reads a key. Errors: as [`PublicKey::from_bytes`]; read again, only for a wrong length.
    pub(crate) fn key(self, bytes: &[u8]) -> Result<PublicKey, KeyError> {
        match self {
            Reading::First => PublicKey::from_bytes(bytes),
            Reading::Again => bytes.try_into().map(PublicKey).map_err(|_| KeyError::Length { found: bytes.len() }),
        }
    }
}

/// An Ed25519 public key: canonical, torsion-free, not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Checks the bytes. Errors: [`KeyError`]; the same bytes always give the same answer.
    pub fn from_bytes(bytes: &[u8]) -> Result<PublicKey, KeyError> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Length { found: bytes.len() })?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAPoint)?;
        let point = key.to_edwards();
        // Decompression accepts y >= p; the canonical encoding of the point must be what was given.
        if point.compress().to_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        if !is_out(Canary::WeakKey) && (point.is_small_order() || !point.is_torsion_free()) {
            return Err(KeyError::Weak);
        }
        Ok(PublicKey(bytes))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks one signature with `verify_strict`; there is no other rule of acceptance.
    pub fn verify(&self, domain: Domain, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature)?;
        if is_out(Canary::StrictSignature) {
            return ed25519_dalek::Verifier::verify(&key, &domain.signing_bytes(message), &signature)
                .map_err(|_| BadSignature);
        }
        key.verify_strict(&domain.signing_bytes(message), &signature).map_err(|_| BadSignature)
    }
}

impl AsRef<[u8]> for PublicKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<PublicKey, IdError> {
        let error =
            || IdError { found: text.chars().take(100).collect(), wanted: "a public key (64 hexadecimal digits)" };
        let bytes: [u8; 32] = parse_hex(text).ok_or_else(error)?;
        PublicKey::from_bytes(&bytes).map_err(|_| error())
    }
}
