//! The card that is to follow another: what changes, and what it upholds.
//!
//! In: the card before, and what the organisation said so far. Out: the bytes of a card that every node would read. Always: what
//! counted and would stop counting only because its device is no longer listed goes on, but for a leave.
//! Pure but for the nonce, which is given. Spec: `spec/05-network.md`, sections 1, 1.1 and 1.2.

use std::collections::BTreeSet;

use fingerpost_proto::id::Vid;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::limits::UPHELD_MAX;
use fingerpost_proto::network::card::{CardError, OrgCard, upheld_name};
use fingerpost_proto::network::invite::Invitation;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use prost::Message;

/// Why there is no next card.
#[derive(Debug, thiserror::Error)]
pub enum NextCardError {
    /// No node would read it.
    #[error(transparent)]
    Card(#[from] CardError),
    /// More statements would lose their device than one card can uphold.
    #[error(
        "{found} statements were signed by devices that the card would no longer list; a card upholds at most {UPHELD_MAX}"
    )]
    TooManyUpheld {
        /// Statements found.
        found: usize,
    },
}

/// A card in the making.
#[derive(Clone, Debug)]
pub struct NextCard {
    before: OrgCard,
    card: v1::OrgCard,
}

/// A card that is ready to be signed, and what it means for what was said before.
#[derive(Clone, Debug)]
pub struct FinishedCard {
    /// The checked card.
    pub card: OrgCard,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Statements that it upholds.
    pub upheld: Vec<SignedVersion>,
    /// Invitations that it upholds.
    pub invitations: Vec<Invitation>,
    /// Statements that counted and no longer do: leaves.
    pub dropped: Vec<SignedVersion>,
}

impl NextCard {
    /// Begins with what the card before says. `before_bytes` are the bytes that were read as `before`.
    pub fn after(before: &OrgCard, before_bytes: &[u8], signed_by: &PublicKey, nonce: [u8; 16]) -> NextCard {
        let said = v1::OrgCard::decode(before_bytes).unwrap_or_default();
        let card = v1::OrgCard {
            sequence: before.sequence.saturating_add(1),
            previous: before.digest.to_vec(),
            signed_by: signed_by.as_bytes().to_vec(),
            nonce: nonce.to_vec(),
            upheld: Vec::new(),
            ..said
        };
        NextCard { before: before.clone(), card }
    }

    /// Lists another device.
    pub fn list(&mut self, key: &PublicKey, role: v1::DeviceRole, label: &str) {
        self.card.devices.push(v1::Device {
            key: key.as_bytes().to_vec(),
            roles: vec![role.into()],
            label: label.to_owned(),
            ..Default::default()
        });
    }

    /// Ends the use of a device: what it signed up to `at` stays.
    pub fn retire(&mut self, key: &PublicKey, at: Hlc) {
        let listed = self.card.devices.iter_mut().filter(|device| device.key == key.as_bytes());
        listed.for_each(|device| device.retired_at = at.0);
    }

    /// Takes devices off the card: all they signed leaves, unless it is upheld.
    pub fn revoke(&mut self, is_revoked: impl Fn(&[u8]) -> bool) {
        self.card.devices.retain(|device| !is_revoked(&device.key));
    }

    /// Puts another root key in the place of all, and another recovery key.
    pub fn change_keys(&mut self, root: &PublicKey, recovery_digest: [u8; 32]) {
        self.card.root_keys = vec![root.as_bytes().to_vec()];
        self.card.recovery_digest = recovery_digest.to_vec();
    }

    /// Decides what is upheld, and finishes. `now` is the card that counts as yet; `statements` are versions of network kinds
    /// of this organisation, `invitations` are those that others claimed. Signatures of statements are checked here.
    pub fn finish(
        self,
        now: &OrgCard,
        statements: Vec<SignedVersion>,
        invitations: Vec<Invitation>,
    ) -> Result<FinishedCard, NextCardError> {
        let NextCard { before, mut card } = self;
        let bare = OrgCard::read_any(&before.org, &card.encode_to_vec())?;
        let counts = |version: &SignedVersion| {
            let (header, vid) = (version.header(), version.vid());
            let key = now.signer_of(header.kind.class(), &header.device, header.hlc, &vid);
            key.is_some_and(|key| version.check_signature(&key).is_ok())
                && !bare.bears_out(header.kind.class(), &header.device, header.hlc, &vid)
        };
        let losing = statements.into_iter().filter(counts);
        // A leave by a device that is to be trusted no more must not put the organisation out for good.
        let (dropped, upheld): (Vec<_>, Vec<_>) = losing.partition(|version| version.header().kind == Kind::LEAVE);
        if upheld.len() > UPHELD_MAX {
            return Err(NextCardError::TooManyUpheld { found: upheld.len() });
        }
        let mut names: BTreeSet<Vid> = upheld.iter().map(SignedVersion::vid).collect();
        // An invitation that was used is a vouch of its own by now, as a rule; so these come after the statements.
        let is_losing = |invitation: &Invitation| {
            let signer = |card: &OrgCard| card.signer_of_invitation(&invitation.device, &invitation.signature);
            signer(now).is_some() && signer(&bare).is_none()
        };
        let mut invitations: Vec<Invitation> = invitations.into_iter().filter(is_losing).collect();
        invitations.truncate(UPHELD_MAX - names.len());
        names.extend(invitations.iter().map(|invitation| upheld_name(&invitation.signature)));
        // What the node asked has not heard of may count elsewhere.
        let room = UPHELD_MAX - names.len();
        let carried: Vec<Vid> = before.upheld.iter().filter(|name| !names.contains(name)).take(room).copied().collect();
        names.extend(carried.into_iter().filter(|name| dropped.iter().all(|version| version.vid() != *name)));
        card.upheld = names.iter().map(|name| name.0.to_vec()).collect();
        let bytes = card.encode_to_vec();
        let card = OrgCard::read_any(&before.org, &bytes)?;
        Ok(FinishedCard { card, bytes, upheld, invitations, dropped })
    }
}

#[cfg(test)]
mod tests;
