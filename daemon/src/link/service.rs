//! The `Peer` service: what others may call on this node.

use std::pin::Pin;
use std::task::{Context, Poll};

use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::network::statement::Statement;
use fingerpost_proto::node::{Outcome, Peer};
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{Ends, Outgoing, RawFrame, ends, pump};
use crate::clock;
use crate::driver::{Command, DriverHandle};
use crate::store::StoreReader;
use crate::transport::{Admitted, PeerIdentity};

/// Envelopes that a joining organisation hands in: its card and its acceptance.
const ADMIT_ENVELOPES_MAX: usize = 2;

/// Answers those who dial us.
pub(crate) struct PeerService {
    driver: DriverHandle,
    reader: std::sync::Arc<dyn StoreReader>,
}

impl PeerService {
    pub(crate) fn new(driver: DriverHandle, reader: std::sync::Arc<dyn StoreReader>) -> PeerService {
        PeerService { driver, reader }
    }

    fn identity<T>(request: &Request<T>) -> Result<PeerIdentity, Status> {
        request.extensions().get::<PeerIdentity>().copied().ok_or_else(|| Status::unauthenticated("no peer identity"))
    }
}

impl Stream for Outgoing {
    type Item = Result<RawFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_frame(context).map(|frame| frame.map(Ok))
    }
}

#[tonic::async_trait]
impl crate::rpc::peer_server::Peer for PeerService {
    type LinkStream = Outgoing;

    async fn link(&self, request: Request<Streaming<RawFrame>>) -> Result<Response<Outgoing>, Status> {
        let identity = Self::identity(&request)?;
        if identity.admitted != Admitted::Member {
            return Err(Status::permission_denied("a one-time key may only ask to be introduced and admitted"));
        }
        let Ends { queue, outgoing, ended } = ends();
        let incoming = request.into_inner();
        let peer: Peer = identity.key;
        tracing::info!(peer = %crate::driver::short(&peer), address = %identity.remote_address, "link accepted");
        tokio::spawn(pump(self.driver.clone(), peer, false, queue, ended, incoming));
        Ok(Response::new(outgoing))
    }

    async fn introduce(&self, request: Request<v1::IntroduceRequest>) -> Result<Response<v1::IntroduceReply>, Status> {
        Self::identity(&request)?;
        let charter = self.reader.meta("charter").map_err(|error| Status::unavailable(error.to_string()))?;
        let charter = charter.ok_or_else(|| Status::failed_precondition("this node has no network yet"))?;
        let key = Self::identity(&request)?.key;
        let slots = self.driver.look(move |view| {
            let Some(node) = view.node else { return Vec::new() };
            let Some(inviter) = view.inviter(&key) else { return Vec::new() };
            let first = SetKey::first_of(false, &inviter);
            let keys = node.set(Audience::Public).range(&first, None).take_while(|(key, _)| key.0[..8] == first.0[..8]);
            keys.map(|(key, _)| Slot { audience: Audience::Public, key: *key }).collect::<Vec<_>>()
        });
        let slots = slots.await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut inviter_card = Vec::new();
        for slot in slots {
            if let Ok(Some(row)) = self.reader.get(&slot.into()) {
                if row.kind == Kind::CARD {
                    inviter_card = row.envelope;
                }
            }
        }
        Ok(Response::new(v1::IntroduceReply { charter, inviter_card, clock_ms: clock::now_ms() }))
    }

    async fn admit(&self, request: Request<v1::AdmitRequest>) -> Result<Response<v1::AdmitReply>, Status> {
        let identity = Self::identity(&request)?;
        let envelopes = request.into_inner().envelopes;
        let refusal = |refusal: String| Ok(Response::new(v1::AdmitReply { refusal }));
        if envelopes.len() != ADMIT_ENVELOPES_MAX {
            return refusal(format!("hand in a card and an acceptance; found {} envelopes", envelopes.len()));
        }
        if let Err(why) = check_claim(&envelopes, &identity) {
            return refusal(why);
        }
        let outcomes = self.driver.publish(envelopes).await.map_err(|error| Status::unavailable(error.to_string()))?;
        let outcomes = outcomes.ok_or_else(|| Status::failed_precondition("this node has no network yet"))?;
        for outcome in outcomes {
            if let Outcome::Rejected(why) = outcome {
                tracing::warn!(name = why.name(), %why, "an organisation that knocked with an invite was not admitted");
                return refusal(why.to_string());
            }
        }
        let used = Command::InviteUsed { key: identity.key };
        self.driver.send(used).await.map_err(|error| Status::unavailable(error.to_string()))?;
        tracing::info!(address = %identity.remote_address, "an organisation joined with an invite");
        refusal(String::new())
    }
}

/// The acceptance must claim the very key that knocks, while it is fresh by this node's clock.
fn check_claim(envelopes: &[Vec<u8>], identity: &PeerIdentity) -> Result<(), String> {
    for envelope in envelopes {
        let version = SignedVersion::read(envelope.clone()).map_err(|error| error.to_string())?;
        if version.header().kind != Kind::ACCEPTANCE {
            continue;
        }
        return match Statement::read(&version).map_err(|error| error.to_string())? {
            Statement::Acceptance(Some(invitation)) if invitation.one_time_key == identity.key => {
                invitation.check_fresh(clock::now_ms()).map_err(|error| error.to_string())
            }
            _ => Err("the acceptance does not claim the invite whose key was shown".to_owned()),
        };
    }
    Err("there is no acceptance among the envelopes".to_owned())
}
