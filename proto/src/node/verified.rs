//! Checks of a content version that need nothing but its bytes and its publisher's key, so that any thread can do them.
//!
//! Spec: `spec/04-merge.md`, section 2. Tested: below, `spec/vectors/receipt_invalid.json`.

use super::intake::PendingSource;
use super::{Input, Node, Peer, Reject};
use crate::canary::{Canary, is_out};
use crate::key::PublicKey;
use crate::record;
use crate::version::SignedVersion;

/// A content version whose body follows the rules of its kind and whose signature holds under the device key in its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedVersion(SignedVersion);

/// The version as it was given, and what is wrong with it: [`Reject::Record`] or [`Reject::BadSignature`].
pub type Unverified = (SignedVersion, Reject);

impl VerifiedVersion {
    /// Checks body (a withdrawal has none) and signature, strictly. Takes some 60 microseconds.
    pub fn verify(version: SignedVersion, device: &PublicKey) -> Result<VerifiedVersion, Unverified> {
        if !version.is_withdrawal()
            && let Err(error) = record::check(version.header(), version.body())
        {
            return Err((version, error.into()));
        }
        match version.check_signature(device) {
            Ok(()) => Ok(VerifiedVersion(version)),
            Err(_) => Err((version, Reject::BadSignature)),
        }
    }

    /// The version without the proof.
    pub fn into_signed(self) -> SignedVersion {
        self.0
    }
}

impl std::ops::Deref for VerifiedVersion {
    type Target = SignedVersion;

    fn deref(&self) -> &SignedVersion {
        &self.0
    }
}

/// Who brought versions whose signatures are to be checked, so that a driver can have nobody wait for others' floods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bringer {
    /// An admin, a joining organisation, or this node itself.
    Here,
    /// A peer.
    Peer(Peer),
    /// Nobody waits for them: they were set aside and are tried again, or a head vouched for them and they are audited.
    Nobody,
}

impl Node {
    /// Who brought what [`Output::Verify`](super::Output::Verify) with this ticket is to check. Nobody waits for an unknown ticket.
    pub fn brought_by(&self, ticket: u64) -> Bringer {
        match self.pending.get(&ticket) {
            Some(PendingSource::Peer { peer, .. } | PendingSource::Held { peer, .. }) => Bringer::Peer(*peer),
            Some(PendingSource::Admin { .. } | PendingSource::Own) => Bringer::Here,
            Some(PendingSource::Quarantine | PendingSource::Audit { .. }) | None => Bringer::Nobody,
        }
    }
}

impl Input {
    /// What every driver does with [`Output::Verify`](super::Output::Verify): checks the versions one by one.
    pub fn verified(ticket: u64, versions: Vec<(SignedVersion, PublicKey)>) -> Input {
        let checked = versions.into_iter().map(|(version, key)| VerifiedVersion::verify(version, &key));
        let mut versions: Vec<Result<VerifiedVersion, Unverified>> = checked.collect();
        if is_out(Canary::OneByOne) && versions.iter().any(Result::is_err) {
            versions.iter_mut().for_each(|version| {
                if let Ok(verified) = version {
                    *version = Err((verified.0.clone(), Reject::BadSignature));
                }
            });
        }
        Input::Verified { ticket, versions }
    }
}
