//! Invites: a vouch signed in advance for whoever holds a one-time key, pasted as one string.
//!
//! Nothing here signs. The inviting admin signs [`Invitation::signing_message`], the joining admin signs
//! [`Invitation::claim_message`] with the one-time key, and everybody can check both.
//! Spec: `spec/05-network.md`, section 4.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::card::OrgCard;
use super::words::words_of;
use crate::id::{NetworkId, OrgId};
use crate::key::{Domain, KeyError, PublicKey, Reading, SIGNATURE_BYTES};
use crate::limits::{ENDPOINT_BYTES_MAX, ENDPOINTS_MAX, INVITE_CODE_CHARS_MAX, NAME_BYTES_MAX};
use crate::record::forbidden;
use crate::time::{Hlc, UnixHour, UnixMillis};
use crate::v1;

/// First characters of an invite code.
pub const INVITE_PREFIX: &str = "fp1:";
/// First characters of one whose node also promises to carry the organisation that uses it.
pub const HOSTING_PREFIX: &str = "fph1:";
const CHECKSUM_BYTES: usize = 4;

/// Why an invite is not accepted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InviteError {
    /// Not an invite code at all.
    #[error("this is not an invite: it must begin with {INVITE_PREFIX} or {HOSTING_PREFIX}; copy the whole line")]
    NotAnInvite,
    /// Characters are missing or changed.
    #[error("the invite is damaged: {reason}; copy the whole of it again")]
    Damaged {
        /// What does not fit.
        reason: &'static str,
    },
    /// A field has the wrong size.
    #[error("{field} in the invitation: found {found}, wanted {wanted}")]
    Field {
        /// Field name.
        field: &'static str,
        /// Bytes or entries found.
        found: usize,
        /// What would be right.
        wanted: &'static str,
    },
    /// A character that no text may contain.
    #[error("{field} in the invite contains the character U+{character:04X}, which is not allowed in a text")]
    Character {
        /// Field name.
        field: &'static str,
        /// Code point found.
        character: u32,
    },
    /// A weak or broken key.
    #[error("a key in the invitation is not acceptable: {0}")]
    Key(#[from] KeyError),
    /// Too late.
    #[error("the invite was valid until hour {expires:?} and is used at {at:?}; ask for a new one", expires = .expires.0, at = .at.0)]
    Stale {
        /// Last hour of validity.
        expires: UnixHour,
        /// Hour of use.
        at: UnixHour,
    },
    /// The claim is not signed by the one-time key for this organisation and network.
    #[error(
        "the claim does not hold: it is not signed by the invitation's one-time key for this organisation and network"
    )]
    BadClaim,
    /// The invitation is not signed by a device of the inviter.
    #[error("the invitation is not signed by a publishing device of the organisation that it names")]
    BadSignature,
}

/// A checked-shape invitation. Its signature is checked against the inviter's card by [`Invitation::check_signature`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Who vouches.
    pub inviter: OrgId,
    /// Key of the inviter's device that signs.
    pub device: [u8; 32],
    /// Whoever holds this key is vouched for.
    pub one_time_key: PublicKey,
    /// Last hour in which it may be claimed.
    pub expires: UnixHour,
    /// The device's signature.
    pub signature: [u8; SIGNATURE_BYTES],
}

impl Invitation {
    /// Reads the message and checks sizes and the one-time key.
    pub fn read(message: &v1::Invitation) -> Result<Invitation, InviteError> {
        Invitation::read_as(message, Reading::First)
    }

    pub(super) fn read_as(message: &v1::Invitation, reading: Reading) -> Result<Invitation, InviteError> {
        let field = |field, found: &[u8], wanted| InviteError::Field { field, found: found.len(), wanted };
        let inviter =
            OrgId::from_slice(&message.inviter).ok_or_else(|| field("inviter", &message.inviter, "32 bytes"))?;
        let device = message.device.as_slice().try_into().map_err(|_| field("device", &message.device, "32 bytes"))?;
        let signature =
            message.signature.as_slice().try_into().map_err(|_| field("signature", &message.signature, "64 bytes"))?;
        let one_time_key = reading.key(&message.one_time_key)?;
        Ok(Invitation { inviter, device, one_time_key, expires: UnixHour(message.expires_hour), signature })
    }

    /// The message, for an acceptance or an invite code.
    pub fn message(&self) -> v1::Invitation {
        v1::Invitation {
            inviter: self.inviter.0.to_vec(),
            device: self.device.to_vec(),
            one_time_key: self.one_time_key.as_bytes().to_vec(),
            expires_hour: self.expires.0,
            signature: self.signature.to_vec(),
        }
    }

    /// What the inviting device signs: network, inviter, one-time key, expiry (4 bytes, big-endian).
    pub fn signing_message(
        network: &NetworkId,
        inviter: &OrgId,
        one_time_key: &PublicKey,
        expires: UnixHour,
    ) -> Vec<u8> {
        [&network.0[..], &inviter.0, one_time_key.as_bytes(), &expires.0.to_be_bytes()].concat()
    }

    /// What the one-time key signs: network, joining organisation, the one-time key itself.
    pub fn claim_message(network: &NetworkId, joiner: &OrgId, one_time_key: &PublicKey) -> Vec<u8> {
        [&network.0[..], &joiner.0, one_time_key.as_bytes()].concat()
    }

    /// Checks that a device that the inviter's card bears out signed this invitation for this network.
    pub fn check_signature(&self, network: &NetworkId, inviter: &OrgCard) -> Result<(), InviteError> {
        let signer = inviter.signer_of_invitation(&self.device, &self.signature);
        let signer = signer.filter(|_| inviter.org == self.inviter).ok_or(InviteError::BadSignature)?;
        let message = Self::signing_message(network, &self.inviter, &self.one_time_key, self.expires);
        signer.verify(Domain::Invitation, &message, &self.signature).map_err(|_| InviteError::BadSignature)
    }

    /// Checks that the one-time key signed for this organisation, not after the invitation ran out.
    pub fn check_claim(&self, network: &NetworkId, joiner: &OrgId, hlc: Hlc, claim: &[u8]) -> Result<(), InviteError> {
        self.check_fresh(hlc.ms())?;
        let message = Self::claim_message(network, joiner, &self.one_time_key);
        self.one_time_key.verify(Domain::Claim, &message, claim).map_err(|_| InviteError::BadClaim)
    }

    /// Errors with [`InviteError::Stale`] after the last hour.
    pub fn check_fresh(&self, now: UnixMillis) -> Result<(), InviteError> {
        let at = UnixHour::containing(now);
        if at <= self.expires { Ok(()) } else { Err(InviteError::Stale { expires: self.expires, at }) }
    }
}

/// Everything in the pasted string. Holds a secret, the seed of the one-time key, which is wiped when this is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteCode {
    /// The network to join.
    pub network: NetworkId,
    /// The vouch.
    pub invitation: Invitation,
    /// Seed of the one-time key.
    pub one_time_seed: Zeroizing<[u8; 32]>,
    /// Transport key of the node that answers.
    pub node_key: PublicKey,
    /// Where it answers, tried in order.
    pub addresses: Vec<String>,
    /// For people.
    pub inviter_name: String,
    /// For people.
    pub network_name: String,
    /// The node that answers promises to carry the organisation that joins (`spec/14-hosting.md`).
    pub carries: bool,
}

impl std::fmt::Debug for InviteCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteCode")
            .field("network", &self.network)
            .field("invitation", &self.invitation)
            .finish_non_exhaustive()
    }
}

impl InviteCode {
    /// `fp1:` (`fph1:` of a host) and base64url of the protobuf message and the first four bytes of its BLAKE3. The result is secret, too.
    pub fn encode(&self) -> String {
        let mut message = v1::InviteCode {
            network: self.network.0.to_vec(),
            invitation: Some(self.invitation.message()),
            one_time_seed: self.one_time_seed.to_vec(),
            node_key: self.node_key.as_bytes().to_vec(),
            addresses: self.addresses.clone(),
            inviter_name: self.inviter_name.clone(),
            network_name: self.network_name.clone(),
        };
        // Of the right size from the start: a buffer that grew would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(message.encoded_len() + CHECKSUM_BYTES));
        message.encode_raw(&mut *bytes);
        message.one_time_seed.zeroize();
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(&checksum.as_bytes()[..CHECKSUM_BYTES]);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes));
        format!("{}{}", if self.carries { HOSTING_PREFIX } else { INVITE_PREFIX }, *text)
    }

    /// Reads a pasted code; white space anywhere in it is ignored. Errors: [`InviteError`]. Nothing is signed or dialled.
    pub fn decode(text: &str) -> Result<InviteCode, InviteError> {
        let found = text.len();
        if found > INVITE_CODE_CHARS_MAX {
            return Err(InviteError::Field { field: "code", found, wanted: "at most 8,192 characters" });
        }
        let mut pasted = Zeroizing::new(String::with_capacity(found));
        pasted.extend(text.chars().filter(|character| !character.is_whitespace()));
        let text = pasted;
        let (encoded, carries) = match (text.strip_prefix(INVITE_PREFIX), text.strip_prefix(HOSTING_PREFIX)) {
            (Some(encoded), _) => (encoded, false),
            (None, Some(encoded)) => (encoded, true),
            (None, None) => return Err(InviteError::NotAnInvite),
        };
        let damaged = |reason| InviteError::Damaged { reason };
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| damaged("a character does not belong there"))?;
        let bytes = Zeroizing::new(bytes);
        let length = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(damaged("it is too short"))?;
        let (bytes, checksum) = bytes.split_at(length);
        if blake3::hash(bytes).as_bytes()[..CHECKSUM_BYTES] != *checksum {
            return Err(damaged("its checksum does not fit"));
        }
        let mut code = v1::InviteCode::decode(bytes).map_err(|_| damaged("it cannot be read"))?;
        let seed = Zeroizing::new(std::mem::take(&mut code.one_time_seed));
        let invitation = Invitation::read(&code.invitation.ok_or(damaged("the invitation is missing"))?)?;
        let field = |field, found: usize, wanted| InviteError::Field { field, found, wanted };
        let addresses_fit = (1..=ENDPOINTS_MAX).contains(&code.addresses.len())
            && code.addresses.iter().all(|address| (1..=ENDPOINT_BYTES_MAX).contains(&address.len()));
        if !addresses_fit {
            return Err(field("addresses", code.addresses.len(), "1 to 8 addresses of at most 262 bytes"));
        }
        for name in [&code.inviter_name, &code.network_name] {
            if name.len() > NAME_BYTES_MAX {
                return Err(field("name", name.len(), "at most 200 bytes"));
            }
        }
        let texts = code.addresses.iter().map(|address| ("addresses", address));
        let texts = texts.chain([("name", &code.inviter_name), ("name", &code.network_name)]);
        for (field, text) in texts {
            if let Some(character) = forbidden(text, false) {
                return Err(InviteError::Character { field, character });
            }
        }
        Ok(InviteCode {
            network: NetworkId::from_slice(&code.network).ok_or(field("network", code.network.len(), "32 bytes"))?,
            invitation,
            one_time_seed: seed_of(&seed).ok_or(field("one_time_seed", seed.len(), "32 bytes"))?,
            node_key: PublicKey::from_bytes(&code.node_key)?,
            addresses: code.addresses,
            inviter_name: code.inviter_name,
            network_name: code.network_name,
            carries,
        })
    }

    /// Four words for both admins to compare by phone: equal when nobody exchanged network, inviter, key or node.
    ///
    /// Word `i` is entry `b` of the list in `spec/05-network.md`, where `b` is byte `i` of the BLAKE3 of
    /// `"fingerpost check words 1\n"`, network, inviter, one-time key and node key.
    pub fn check_words(&self) -> [&'static str; 4] {
        let parts: [&[u8]; 5] = [
            b"fingerpost check words 1\n",
            &self.network.0,
            &self.invitation.inviter.0,
            self.invitation.one_time_key.as_bytes(),
            self.node_key.as_bytes(),
        ];
        let digest = blake3::hash(&parts.concat());
        words_of(digest.as_bytes())
    }
}

fn seed_of(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    (bytes.len() == seed.len()).then(|| seed.copy_from_slice(bytes))?;
    Some(seed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ed25519_dalek::{Signer, SigningKey};

    use super::*;

    fn public(key: &SigningKey) -> PublicKey {
        PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap()
    }

    fn code() -> InviteCode {
        let (device, one_time) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let (network, inviter, expires) = (NetworkId([3; 32]), OrgId([4; 32]), UnixHour(500_000));
        let message = Invitation::signing_message(&network, &inviter, &public(&one_time), expires);
        let signature = device.sign(&Domain::Invitation.signing_bytes(&message)).to_bytes();
        InviteCode {
            network,
            invitation: Invitation {
                inviter,
                device: device.verifying_key().to_bytes(),
                one_time_key: public(&one_time),
                expires,
                signature,
            },
            one_time_seed: Zeroizing::new([2; 32]),
            node_key: public(&SigningKey::from_bytes(&[5; 32])),
            addresses: vec!["node.example:7474".into()],
            inviter_name: "Forum".into(),
            network_name: "City".into(),
            carries: false,
        }
    }

    #[test]
    fn a_pasted_code_reads_back_even_when_the_mail_program_broke_the_line() {
        let text = code().encode();
        assert_eq!(InviteCode::decode(&text), Ok(code()));
        let (a, b) = text.split_at(100);
        assert_eq!(InviteCode::decode(&format!(" {a}\r\n {b}\n")), Ok(code()));
    }

    #[test]
    fn a_code_of_a_host_differs_in_its_first_characters_only_and_reads_back() {
        let hosting = InviteCode { carries: true, ..code() };
        let text = hosting.encode();
        assert_eq!(InviteCode::decode(&text).as_ref(), Ok(&hosting));
        assert_eq!(text.strip_prefix(HOSTING_PREFIX), code().encode().strip_prefix(INVITE_PREFIX));
        assert_eq!(hosting.check_words(), code().check_words());
    }

    #[test]
    fn a_cut_or_changed_code_is_called_damaged() {
        let text = code().encode();
        assert!(matches!(InviteCode::decode(&text[..text.len() - 3]), Err(InviteError::Damaged { .. })));
        assert_eq!(InviteCode::decode("hello"), Err(InviteError::NotAnInvite));
        assert_eq!(InviteCode::decode("fp1:"), Err(InviteError::Damaged { reason: "it is too short" }));
    }

    #[test]
    fn a_claim_holds_for_its_organisation_and_network_until_the_last_hour() {
        let code = code();
        let joiner = OrgId([9; 32]);
        let message = Invitation::claim_message(&code.network, &joiner, &code.invitation.one_time_key);
        let claim = SigningKey::from_bytes(&code.one_time_seed).sign(&Domain::Claim.signing_bytes(&message)).to_bytes();
        let last = Hlc::new(UnixHour(500_001).start_ms() - 1, 0);
        let late = Hlc::new(UnixHour(500_001).start_ms(), 0);
        let check = |network, joiner, hlc| code.invitation.check_claim(network, joiner, hlc, &claim);
        assert_eq!(check(&code.network, &joiner, last), Ok(()));
        assert!(matches!(check(&code.network, &joiner, late), Err(InviteError::Stale { .. })));
        assert_eq!(check(&NetworkId([8; 32]), &joiner, last), Err(InviteError::BadClaim));
        assert_eq!(check(&code.network, &OrgId([8; 32]), last), Err(InviteError::BadClaim));
    }

    #[test]
    fn the_check_words_change_with_the_node_key() {
        let other = InviteCode { node_key: public(&SigningKey::from_bytes(&[6; 32])), ..code() };
        assert_ne!(code().check_words(), other.check_words());
        assert_eq!(code().check_words(), InviteCode::decode(&code().encode()).unwrap().check_words());
    }

    #[test]
    fn a_code_does_not_show_its_secret_in_a_log() {
        assert!(!format!("{:?}", code()).contains("seed"));
    }
}
