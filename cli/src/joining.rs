//! Joining a network with an invite: asks the inviter's node what it is, then hands in card and acceptance.
//!
//! Spec: `spec/05-network.md`, section 6.

use std::future::Future;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use fingerpost_proto::PROTOCOL_LEVEL;
use fingerpost_proto::network::charter::{Charter, CharterError};
use fingerpost_proto::network::invite::{InviteCode, InviteError};
use fingerpost_proto::network::succession::Succession;
use fingerpost_proto::v1;
use tonic::transport::Channel;

use crate::output::moment::now_ms;
use crate::rpc::peer_client::PeerClient;
use crate::transport::{DIAL_DEADLINE, DialError, TlsError, TlsIdentity, dial};

/// Longest silence of the inviter's node. It puts card and acceptance on stable storage before it answers.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// Why joining failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The code.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// No certificate for the one-time key.
    #[error("cannot use the invite's one-time key: {0}")]
    Tls(#[from] TlsError),
    /// Nobody who is the inviter's node answers.
    #[error("no address on the invite could be reached; the last: {0}")]
    Dial(#[from] DialError),
    /// The node's own words, cut.
    #[error("the inviter's node answered: {0}")]
    Refused(String),
    /// The connection ended first. The request may have been carried out.
    #[error("the connection to the inviter's node ended before it had answered ({0}); try again")]
    NoAnswer(String),
    /// The charter breaks a rule.
    #[error("the inviter's node sent a charter that cannot be used: {0}")]
    Charter(#[from] CharterError),
    /// The charter is not the one of the invite.
    #[error(
        "the inviter's node sent the charter of another network ({found}); the invite is for {expected}. Do not join; ask the inviter"
    )]
    OtherNetwork {
        /// Digest of the charter that came.
        found: fingerpost_proto::id::NetworkId,
        /// The network of the invite.
        expected: fingerpost_proto::id::NetworkId,
    },
    /// No card that came proves the invitation.
    #[error("the cards that came are not signed cards of the inviter in this network. Do not join; ask the inviter")]
    ForeignCard,
}

/// What an introduction brought, checked against the invite.
pub struct Introduction {
    /// Bytes of the network's charter.
    pub charter: Vec<u8>,
    /// Envelopes that prove the inviter's card.
    pub inviter_cards: Vec<Vec<u8>>,
    /// The node's clock, Unix milliseconds.
    pub clock_ms: u64,
}

/// A connection to the inviter's node under the one-time key.
pub struct Joining {
    /// What was pasted.
    pub code: InviteCode,
    client: PeerClient<Channel>,
}

impl Joining {
    /// Reads the code and connects to the first address that answers.
    pub async fn start(code: &str) -> Result<Joining, JoinError> {
        let code = InviteCode::decode(code)?;
        code.invitation.check_fresh(now_ms())?;
        let identity = TlsIdentity::new(&SigningKey::from_bytes(&code.one_time_seed))?;
        let mut last = None;
        for address in &code.addresses {
            match dial(address, code.node_key, &identity, DIAL_DEADLINE).await {
                Ok(channel) => return Ok(Joining { client: PeerClient::new(channel), code }),
                Err(error) => last = Some(error),
            }
        }
        // An invite has at least one address: `InviteCode::decode` saw to it.
        Err(last.map_or(JoinError::Refused("no address".to_owned()), JoinError::Dial))
    }

    /// Fetches charter and inviter's card, and checks that they are those of the invite.
    pub async fn introduce(&mut self) -> Result<Introduction, JoinError> {
        let request = v1::IntroduceRequest { level: PROTOCOL_LEVEL };
        let reply = answer(self.client.introduce(request)).await?;
        let charter = Charter::read(&reply.charter)?;
        if charter.network != self.code.network {
            return Err(JoinError::OtherNetwork { found: charter.network, expected: self.code.network });
        }
        let (inviter, network) = (&self.code.invitation.inviter, &self.code.network);
        let proven = Succession::proven(inviter, network, reply.inviter_cards.iter().cloned());
        let card = proven.effective().ok_or(JoinError::ForeignCard)?;
        self.code.invitation.check_signature(network, card)?;
        Ok(Introduction { charter: reply.charter, inviter_cards: reply.inviter_cards, clock_ms: reply.clock_ms })
    }

    /// Hands in cards and acceptance. After [`JoinError::NoAnswer`] they may have been taken all the same.
    pub async fn admit(&mut self, envelopes: Vec<Vec<u8>>) -> Result<(), JoinError> {
        let reply = answer(self.client.admit(v1::AdmitRequest { envelopes })).await?;
        if reply.refusal.is_empty() {
            Ok(())
        } else {
            Err(JoinError::Refused(reply.refusal.chars().take(500).collect()))
        }
    }
}

async fn answer<T>(asked: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>) -> Result<T, JoinError> {
    match tokio::time::timeout(ANSWER_WAIT, asked).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(refused),
        Err(_) => Err(JoinError::NoAnswer(format!("it said nothing for {} s", ANSWER_WAIT.as_secs()))),
    }
}

fn refused(status: tonic::Status) -> JoinError {
    let words = status.message().chars().take(500).collect();
    // A status that a server sent has no source; one that the transport made up has.
    if std::error::Error::source(&status).is_some() { JoinError::NoAnswer(words) } else { JoinError::Refused(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_a_server_sent_is_a_refusal_and_a_broken_connection_is_none() {
        let sent = tonic::Status::permission_denied("the key is used up");
        assert!(matches!(refused(sent), JoinError::Refused(words) if words == "the key is used up"));
        let broken = tonic::Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
        assert!(matches!(refused(broken), JoinError::NoAnswer(_)));
    }
}
