//! A new mirror's first question: what its network is. Asked of its sources until one of them answers.
//!
//! Spec: `spec/06-link.md`, section 9.1.

use std::time::Duration;

use fingerpost_proto::PROTOCOL_LEVEL;
use fingerpost_proto::id::NetworkId;
use fingerpost_proto::network::charter::{Charter, CharterError};
use fingerpost_proto::network::mirror_code::MirrorCode;
use fingerpost_proto::v1;
use tokio::sync::{oneshot, watch};

use crate::driver::{Command, DriverHandle, short};
use crate::mirror::MirrorSources;
use crate::rpc::peer_client::PeerClient;
use crate::transport::{DIAL_DEADLINE, DialError, TlsIdentity, dial};

/// First pause after no source answered; doubles to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// Longest such pause: whoever allowed the mirror a moment ago waits no longer.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Why a source did not tell its charter.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("it does not let this mirror in; ask its operator to run: fingerpost mirror allow {own_key} ({refused})")]
    NotAllowed { own_key: String, refused: DialError },
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("it answered: {0}")]
    Refused(String),
    #[error("it sent a charter that cannot be used: {0}")]
    Charter(#[from] CharterError),
    #[error("it sent the charter of another network, {found}; the mirror code is for {expected}. Ask its operator")]
    OtherNetwork { found: NetworkId, expected: NetworkId },
}

/// Gets the charter from the first source that tells it, and gives the node its network. Ends then, or when `stop` is set.
pub(crate) async fn follow(
    driver: DriverHandle,
    identity: TlsIdentity,
    sources: MirrorSources,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = PAUSE_MIN;
    let mut said = String::new();
    loop {
        for source in &sources.sources {
            match charter(source, &identity).await {
                Ok(charter) => {
                    let (reply, answer) = oneshot::channel();
                    let found = Command::Found { charter, envelopes: Vec::new(), inviter: None, reply };
                    if driver.send(found).await.is_err() {
                        return;
                    }
                    match answer.await {
                        Ok(Ok(())) => tracing::info!(source = %short(&source.node_key), "the mirror has its network"),
                        Ok(Err(error)) => tracing::error!(error, "the mirror cannot enter its network"),
                        Err(_) => {}
                    }
                    return;
                }
                Err(error) => {
                    // Once for each reason: the operator may take days.
                    let error = error.to_string();
                    if said != error {
                        tracing::warn!(source = %short(&source.node_key), error, "this source gives no charter");
                        said = error;
                    }
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Asks one source, at the first of its addresses that answers.
async fn charter(source: &MirrorCode, identity: &TlsIdentity) -> Result<Vec<u8>, FollowError> {
    let mut last = None;
    for address in &source.addresses {
        match dial(address, source.node_key, identity, DIAL_DEADLINE).await {
            Ok(channel) => {
                let request = v1::IntroduceRequest { level: PROTOCOL_LEVEL };
                let reply = PeerClient::new(channel).introduce(request).await;
                let reply = reply.map_err(|status| FollowError::Refused(status.message().chars().take(500).collect()));
                let charter = reply?.into_inner().charter;
                let found = Charter::read(&charter)?.network;
                if found != source.network {
                    return Err(FollowError::OtherNetwork { found, expected: source.network });
                }
                return Ok(charter);
            }
            Err(refused @ DialError::RefusedByPeer { .. }) => {
                return Err(FollowError::NotAllowed { own_key: identity.public().to_string(), refused });
            }
            Err(error) => last = Some(error),
        }
    }
    // A code has at least one address: `MirrorCode::decode` saw to it.
    Err(last.map_or(FollowError::Refused("no address".to_owned()), FollowError::Dial))
}
