//! What an organisation signs about itself and others: its card's version, acceptance, invitations and claims.
//!
//! Pure but for the keys. Spec: `spec/05-network.md`, sections 1, 3 and 4.

use fingerpost_proto::id::{NetworkId, OrgId};
use fingerpost_proto::key::{Domain, KeyError};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::network::card::{OrgCard, card_record_id};
use fingerpost_proto::network::invite::{Invitation, InviteCode, InviteError};
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::network::succession::Succession;
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion, VersionError};
use prost::Message;

use crate::failure::{Exit, Failure};
use crate::identity::Identity;
use crate::keys::Signer;

/// The version that carries the organisation's card in `network`, signed by a root key.
pub fn card_version(
    root: &Signer,
    identity: &Identity,
    network: NetworkId,
    hlc: Hlc,
) -> Result<SignedVersion, VersionError> {
    let record = card_record_id(&identity.org(), &identity.card_bytes);
    root.sign_version(&header(root, &identity.org(), network, Kind::CARD, record, hlc), &identity.card_bytes)
}

/// The version that carries a card after the first one, signed by the key that the card names.
pub fn next_card_version(
    signer: &Signer,
    org: &OrgId,
    network: NetworkId,
    hlc: Hlc,
    card: &[u8],
) -> Result<SignedVersion, VersionError> {
    let record = card_record_id(org, card);
    signer.sign_version(&header(signer, org, network, Kind::CARD, record, hlc), card)
}

/// The organisation's cards as envelopes, for a node of `network` that may not know them: those that were seen there, or the first one,
/// freshly signed. `root` is asked for only then.
pub fn card_envelopes(
    root: impl FnOnce() -> Result<Signer, Failure>,
    identity: &Identity,
    network: NetworkId,
    hlc: Hlc,
) -> Result<Vec<Vec<u8>>, Failure> {
    let is_of_network = |envelope: &Vec<u8>| {
        SignedVersion::read(envelope.clone()).is_ok_and(|version| version.header().network == network)
    };
    if !identity.envelopes.is_empty() && identity.envelopes.iter().all(is_of_network) {
        return Ok(identity.envelopes.clone());
    }
    let card = card_version(&root()?, identity, network, hlc)
        .map_err(|error| Failure::new(Exit::Invalid, "the card cannot be signed").caused_by(&error))?;
    Ok(vec![card.envelope().to_vec()])
}

/// The version that accepts the charter of `network`; `invite` when the organisation was invited.
pub fn acceptance_version(
    identity: &Identity,
    network: NetworkId,
    hlc: Hlc,
    invite: Option<&InviteCode>,
) -> Result<SignedVersion, AcceptanceError> {
    let mut acceptance = v1::Acceptance { charter: network.0.to_vec(), ..Default::default() };
    if let Some(code) = invite {
        let one_time = Signer::from_seed(&code.one_time_seed)?;
        let key = &code.invitation.one_time_key;
        if one_time.public() != key {
            return Err(AcceptanceError::Invite(InviteError::BadClaim));
        }
        let message = Invitation::claim_message(&network, &identity.org(), key);
        acceptance.invitation = Some(code.invitation.message());
        acceptance.claim = one_time.sign(Domain::Claim, &message).to_vec();
    }
    let record = statement_record_id(&identity.org(), Kind::ACCEPTANCE, None);
    let header = header(&identity.device, &identity.org(), network, Kind::ACCEPTANCE, record, hlc);
    Ok(identity.device.sign_version(&header, &acceptance.encode_to_vec())?)
}

/// What the organisation says about itself or `subject`: a vouch, an objection, a leave. An empty body takes it back.
pub fn statement_version(
    identity: &Identity,
    network: NetworkId,
    hlc: Hlc,
    kind: Kind,
    subject: Option<&OrgId>,
    body: &[u8],
) -> Result<SignedVersion, VersionError> {
    let record = statement_record_id(&identity.org(), kind, subject);
    identity.device.sign_version(&header(&identity.device, &identity.org(), network, kind, record, hlc), body)
}

/// Why an acceptance cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum AcceptanceError {
    /// The invite does not fit together.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// The invite's one-time key is unfit.
    #[error("the invite's one-time key is not acceptable: {0}")]
    Key(#[from] KeyError),
    /// The version could not be put together.
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// An invitation for whoever holds the one-time key, signed by this organisation's device.
pub fn invitation(identity: &Identity, network: &NetworkId, one_time: &Signer, expires: UnixHour) -> Invitation {
    let inviter = identity.org();
    let message = Invitation::signing_message(network, &inviter, one_time.public(), expires);
    Invitation {
        inviter,
        device: *identity.device.public().as_bytes(),
        one_time_key: *one_time.public(),
        expires,
        signature: identity.device.sign(Domain::Invitation, &message),
    }
}

/// Checks that the envelopes prove the inviter's card in this network and that it bears out the invitation.
pub fn check_inviter(envelopes: &[Vec<u8>], code: &InviteCode) -> Result<OrgCard, InviteError> {
    let proven = Succession::proven(&code.invitation.inviter, &code.network, envelopes.iter().cloned());
    let card = proven.effective().ok_or(InviteError::BadSignature)?;
    code.invitation.check_signature(&code.network, card)?;
    Ok(card.clone())
}

fn header(
    signer: &Signer,
    org: &OrgId,
    network: NetworkId,
    kind: Kind,
    record: fingerpost_proto::id::RecordId,
    hlc: Hlc,
) -> Header {
    Header {
        audience: Audience::Public,
        kind,
        network,
        org: *org,
        record,
        device: *signer.public().as_bytes(),
        hlc,
        prev: [0; 8],
        lease_until: UnixHour(0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_proto::network::statement::Statement;

    use super::*;

    const NETWORK: NetworkId = NetworkId([3; 32]);

    fn organisation(seed: u8) -> (Signer, Identity) {
        let (root, device) = (Signer::from_seed(&[seed; 32]).unwrap(), Signer::from_seed(&[seed + 1; 32]).unwrap());
        let card_bytes = v1::OrgCard {
            root_keys: vec![root.public().as_bytes().to_vec()],
            recovery_digest: vec![9; 32],
            devices: vec![v1::Device {
                key: device.public().as_bytes().to_vec(),
                roles: vec![v1::DeviceRole::Publish.into()],
                ..Default::default()
            }],
            name: "Forum".into(),
            nonce: vec![seed; 16],
            ..Default::default()
        }
        .encode_to_vec();
        let card = OrgCard::read(&card_bytes).unwrap();
        (root, Identity { card, card_bytes, envelopes: Vec::new(), device })
    }

    fn code(inviter: &Identity) -> InviteCode {
        let one_time = Signer::from_seed(&[77; 32]).unwrap();
        InviteCode {
            network: NETWORK,
            invitation: invitation(inviter, &NETWORK, &one_time, UnixHour(500_000)),
            one_time_seed: [77; 32].into(),
            node_key: *inviter.device.public(),
            addresses: vec!["node.example:7474".into()],
            inviter_name: "Forum".into(),
            network_name: "City".into(),
            carries: false,
        }
    }

    #[test]
    fn the_card_version_reads_as_the_organisations_card() {
        let (root, identity) = organisation(1);
        let version = card_version(&root, &identity, NETWORK, Hlc(5)).unwrap();
        assert!(matches!(Statement::read(&version), Ok(Statement::Card(card)) if card.org == identity.org()));
        assert!(version.check_signature(root.public()).is_ok());
    }

    #[test]
    fn an_acceptance_with_an_invite_holds_as_a_claim() {
        let ((_, inviter), (_, joiner)) = (organisation(1), organisation(10));
        let version = acceptance_version(&joiner, NETWORK, Hlc::new(1_000, 0), Some(&code(&inviter))).unwrap();
        assert!(matches!(Statement::read(&version), Ok(Statement::Acceptance(Some(_)))));
    }

    #[test]
    fn an_acceptance_without_an_invite_is_not_a_withdrawal() {
        let (_, founder) = organisation(1);
        let version = acceptance_version(&founder, NETWORK, Hlc(5), None).unwrap();
        assert_eq!(Statement::read(&version), Ok(Statement::Acceptance(None)));
    }

    #[test]
    fn an_invite_whose_seed_is_not_its_key_is_not_signed_with() {
        let ((_, inviter), (_, joiner)) = (organisation(1), organisation(10));
        let wrong = InviteCode { one_time_seed: [78; 32].into(), ..code(&inviter) };
        let refused = acceptance_version(&joiner, NETWORK, Hlc(5), Some(&wrong));
        assert!(matches!(refused, Err(AcceptanceError::Invite(InviteError::BadClaim))));
    }

    #[test]
    fn only_the_inviters_own_card_in_this_network_proves_an_invite() {
        let ((root, inviter), (other_root, other)) = (organisation(1), organisation(10));
        let card = |root: &Signer, identity: &Identity, network| {
            card_version(root, identity, network, Hlc(5)).unwrap().envelope().to_vec()
        };
        let code = code(&inviter);
        assert_eq!(check_inviter(&[card(&root, &inviter, NETWORK)], &code).unwrap().org, inviter.org());
        let wrong = [
            card(&other_root, &inviter, NETWORK),
            card(&other_root, &other, NETWORK),
            card(&root, &inviter, NetworkId([4; 32])),
            Vec::new(),
        ];
        for envelope in wrong {
            assert_eq!(check_inviter(&[envelope], &code).err(), Some(InviteError::BadSignature));
        }
    }
}
