//! Where a read-only mirror finds its source, pasted as one string without secrets.
//!
//! Spec: `spec/06-link.md`, section 9.2.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use crate::id::NetworkId;
use crate::key::{KeyError, PublicKey};
use crate::limits::{ENDPOINT_BYTES_MAX, ENDPOINTS_MAX, INVITE_CODE_CHARS_MAX};
use crate::record::forbidden;
use crate::v1;

/// First characters of a mirror code.
pub const MIRROR_PREFIX: &str = "fpm1:";
const CHECKSUM_BYTES: usize = 4;

/// Why a mirror code cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MirrorCodeError {
    /// Something else.
    #[error(
        "this is no mirror code: it begins with {MIRROR_PREFIX} and has at most {INVITE_CODE_CHARS_MAX} characters; copy the whole line"
    )]
    NotAMirrorCode,
    /// Characters are missing or changed.
    #[error("the mirror code is damaged: {reason}; copy the whole line again")]
    Damaged {
        /// What does not fit.
        reason: &'static str,
    },
    /// A field has the wrong size or number, or a character that no text may contain.
    #[error("{field} in the mirror code: wanted {wanted}; ask for a new code")]
    Field {
        /// Field name.
        field: &'static str,
        /// What would be right.
        wanted: &'static str,
    },
    /// A weak or broken key.
    #[error("the node key in the mirror code is not acceptable: {0}")]
    Key(#[from] KeyError),
}

/// One node that a mirror may get the public set from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorCode {
    /// The network whose public set is mirrored.
    pub network: NetworkId,
    /// Transport key of the source.
    pub node_key: PublicKey,
    /// Where it answers, `host:port`, tried in order; 1 to 8.
    pub addresses: Vec<String>,
}

impl MirrorCode {
    /// `fpm1:` and base64url of the protobuf message and the first four bytes of its BLAKE3.
    pub fn encode(&self) -> String {
        let message = v1::MirrorCode {
            network: self.network.0.to_vec(),
            node_key: self.node_key.as_bytes().to_vec(),
            addresses: self.addresses.clone(),
        };
        let mut bytes = message.encode_to_vec();
        bytes.extend_from_slice(&blake3::hash(&bytes).as_bytes()[..CHECKSUM_BYTES]);
        format!("{MIRROR_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a pasted code; white space anywhere in it is ignored. Nothing is dialled.
    pub fn decode(text: &str) -> Result<MirrorCode, MirrorCodeError> {
        if text.len() > INVITE_CODE_CHARS_MAX {
            return Err(MirrorCodeError::NotAMirrorCode);
        }
        let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
        let encoded = text.strip_prefix(MIRROR_PREFIX).ok_or(MirrorCodeError::NotAMirrorCode)?;
        let damaged = |reason| MirrorCodeError::Damaged { reason };
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| damaged("a character does not belong there"))?;
        let length = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(damaged("it is too short"))?;
        let (said, checksum) = bytes.split_at(length);
        if blake3::hash(said).as_bytes()[..CHECKSUM_BYTES] != *checksum {
            return Err(damaged("its checksum does not fit"));
        }
        let code = v1::MirrorCode::decode(said).map_err(|_| damaged("it cannot be read"))?;
        let is_address =
            |address: &String| (1..=ENDPOINT_BYTES_MAX).contains(&address.len()) && forbidden(address, false).is_none();
        if !(1..=ENDPOINTS_MAX).contains(&code.addresses.len()) || !code.addresses.iter().all(is_address) {
            let wanted = "1 to 8 addresses of at most 262 bytes, each on one line";
            return Err(MirrorCodeError::Field { field: "addresses", wanted });
        }
        let network = NetworkId::from_slice(&code.network);
        Ok(MirrorCode {
            network: network.ok_or(MirrorCodeError::Field { field: "network", wanted: "32 bytes" })?,
            node_key: PublicKey::from_bytes(&code.node_key)?,
            addresses: code.addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ed25519_dalek::SigningKey;

    use super::*;

    fn code(addresses: usize) -> MirrorCode {
        let key = SigningKey::from_bytes(&[5; 32]).verifying_key();
        MirrorCode {
            network: NetworkId([3; 32]),
            node_key: PublicKey::from_bytes(key.as_bytes()).unwrap(),
            addresses: (0..addresses).map(|n| format!("node{n}.example:7474")).collect(),
        }
    }

    #[test]
    fn a_mirror_code_reads_back_also_with_a_line_break_and_a_changed_one_does_not() {
        let text = code(1).encode();
        let (a, b) = text.split_at(20);
        assert_eq!(MirrorCode::decode(&format!(" {a}\r\n {b}\n")), Ok(code(1)));
        for at in MIRROR_PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(MirrorCode::decode(&String::from_utf8(changed).unwrap()).is_err(), "at {at}");
        }
        assert_eq!(MirrorCode::decode("fp1:abc"), Err(MirrorCodeError::NotAMirrorCode));
        let padded = |length: usize| format!("{text}{}", " ".repeat(length - text.len()));
        assert_eq!(MirrorCode::decode(&padded(INVITE_CODE_CHARS_MAX)), Ok(code(1)));
        assert_eq!(MirrorCode::decode(&padded(INVITE_CODE_CHARS_MAX + 1)), Err(MirrorCodeError::NotAMirrorCode));
    }

    #[test]
    fn a_mirror_code_has_one_to_eight_addresses() {
        assert_eq!(MirrorCode::decode(&code(ENDPOINTS_MAX).encode()), Ok(code(ENDPOINTS_MAX)));
        for wrong in [0, ENDPOINTS_MAX + 1] {
            assert!(matches!(MirrorCode::decode(&code(wrong).encode()), Err(MirrorCodeError::Field { .. })));
        }
        let mut long = code(1);
        long.addresses = vec!["a".repeat(ENDPOINT_BYTES_MAX + 1)];
        assert!(MirrorCode::decode(&long.encode()).is_err());
        long.addresses = vec!["a\u{202e}b:1".to_owned()];
        assert!(MirrorCode::decode(&long.encode()).is_err());
    }
}
