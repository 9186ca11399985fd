//! What a new computer asks for: to be listed on its organisation's card. One line, carried by hand to the computer with the root key.
//!
//! `fpd1:` and base64url of the device's public key (32 bytes), the start of the OrgId (8) and a checksum (the first 4 bytes of BLAKE3 of
//! both). It holds no secret; whoever exchanged it on the way would get a device of their own listed, so people compare words.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::{KeyError, PublicKey};
use fingerpost_proto::network::words::words_of;

/// First characters of a request.
pub const REQUEST_PREFIX: &str = "fpd1:";
/// Longest text that is looked at, in bytes: a request has 64, mail programs add line breaks.
pub const REQUEST_CHARS_MAX: usize = 256;
const ORG_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;
const REQUEST_BYTES: usize = 32 + ORG_BYTES + CHECKSUM_BYTES;

/// A device that wants to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// Its public key.
    pub key: PublicKey,
    /// First bytes of the OrgId of its organisation: against adding it to the wrong one.
    pub org: [u8; ORG_BYTES],
}

/// Why a request cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceRequestError {
    /// Something else.
    #[error(
        "a device request begins with {REQUEST_PREFIX} and has at most {REQUEST_CHARS_MAX} characters; this is none"
    )]
    NotARequest,
    /// Characters are missing or changed.
    #[error("the request is damaged; copy the whole line again")]
    Damaged,
    /// A key that no node would accept.
    #[error("the key in the request is not acceptable: {0}")]
    Key(#[from] KeyError),
    /// For another organisation.
    #[error("the request is for another organisation: it begins with {}, this one with {}", hex(.found), hex(.expected))]
    AnotherOrganisation {
        /// Start of the OrgId found.
        found: [u8; ORG_BYTES],
        /// Start of the OrgId of this organisation.
        expected: [u8; ORG_BYTES],
    },
}

impl DeviceRequest {
    /// The request of a device with this key to be listed by `org`.
    pub fn new(key: &PublicKey, org: &OrgId) -> DeviceRequest {
        DeviceRequest { key: *key, org: start_of(org) }
    }

    /// As one line.
    pub fn encode(&self) -> String {
        let mut bytes = self.bytes();
        bytes.extend_from_slice(&blake3::hash(&bytes).as_bytes()[..CHECKSUM_BYTES]);
        format!("{REQUEST_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a pasted request; white space anywhere in it is ignored.
    pub fn decode(text: &str) -> Result<DeviceRequest, DeviceRequestError> {
        if text.len() > REQUEST_CHARS_MAX {
            return Err(DeviceRequestError::NotARequest);
        }
        let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
        let encoded = text.strip_prefix(REQUEST_PREFIX).ok_or(DeviceRequestError::NotARequest)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| DeviceRequestError::Damaged)?;
        let bytes: [u8; REQUEST_BYTES] = bytes.try_into().map_err(|_| DeviceRequestError::Damaged)?;
        let (said, checksum) = bytes.split_at(REQUEST_BYTES - CHECKSUM_BYTES);
        if blake3::hash(said).as_bytes()[..CHECKSUM_BYTES] != *checksum {
            return Err(DeviceRequestError::Damaged);
        }
        let (key, org) = said.split_at(32);
        let org = org.try_into().map_err(|_| DeviceRequestError::Damaged)?;
        Ok(DeviceRequest { key: PublicKey::from_bytes(key)?, org })
    }

    /// Errors: when it is meant for another organisation.
    pub fn check_organisation(&self, org: &OrgId) -> Result<(), DeviceRequestError> {
        let expected = start_of(org);
        if self.org == expected {
            return Ok(());
        }
        Err(DeviceRequestError::AnotherOrganisation { found: self.org, expected })
    }

    /// Four words to compare by phone: equal on both computers when nobody exchanged the request.
    pub fn check_words(&self) -> [&'static str; 4] {
        let digest = blake3::hash(&[b"fingerpost device words 1\n", self.bytes().as_slice()].concat());
        words_of(digest.as_bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        [self.key.as_bytes().as_slice(), &self.org].concat()
    }
}

fn start_of(org: &OrgId) -> [u8; ORG_BYTES] {
    std::array::from_fn(|at| org.0[at])
}

fn hex(bytes: &[u8; ORG_BYTES]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::Signer;

    fn request() -> DeviceRequest {
        DeviceRequest::new(Signer::from_seed(&[7; 32]).unwrap().public(), &OrgId([9; 32]))
    }

    #[test]
    fn a_request_reads_back_also_with_a_line_break_and_is_for_one_organisation() {
        let text = request().encode();
        assert!(text.len() <= 70, "{text}");
        let (a, b) = text.split_at(20);
        assert_eq!(DeviceRequest::decode(&format!(" {a}\n  {b}\n")), Ok(request()));
        assert!(request().check_organisation(&OrgId([9; 32])).is_ok());
        let other = request().check_organisation(&OrgId([8; 32])).unwrap_err().to_string();
        assert!(other.contains("0909") && other.contains("0808"), "{other}");
    }

    #[test]
    fn a_changed_cut_or_foreign_line_is_no_request() {
        let text = request().encode();
        for at in REQUEST_PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(DeviceRequest::decode(&String::from_utf8(changed).unwrap()).is_err(), "at {at}");
        }
        assert_eq!(DeviceRequest::decode(&text[..text.len() - 4]), Err(DeviceRequestError::Damaged));
        assert_eq!(DeviceRequest::decode("fp1:abc"), Err(DeviceRequestError::NotARequest));
    }

    #[test]
    fn a_request_is_read_up_to_256_characters_and_no_further() {
        let text = request().encode();
        let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
        assert_eq!(DeviceRequest::decode(&padded(REQUEST_CHARS_MAX)), Ok(request()));
        assert_eq!(DeviceRequest::decode(&padded(REQUEST_CHARS_MAX + 1)), Err(DeviceRequestError::NotARequest));
    }

    #[test]
    fn another_key_or_organisation_gives_other_words() {
        let other = DeviceRequest { org: [1; 8], ..request() };
        assert_ne!(request().check_words(), other.check_words());
    }
}
