//! Links over real loopback sockets: who gets in, who does not, and what either side learns.
#![allow(clippy::unwrap_used)]

mod floods;
mod handshake;
mod hostile;
mod limits;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::v1::{AdmitReply, AdmitRequest, IntroduceReply, IntroduceRequest};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::node_key::public_half;
use super::*;
use crate::link::RawFrame;
use crate::rpc::peer_client::PeerClient;
use crate::rpc::peer_server::{Peer, PeerServer};

/// Longer than any test should take; a wait this long is a failure, never a pass.
const PATIENCE: Duration = Duration::from_secs(40);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    public_half(&key(seed))
}

fn identity(seed: u8) -> TlsIdentity {
    TlsIdentity::new(&key(seed)).unwrap()
}

/// An admission list that tests can change.
#[derive(Default)]
struct Guests(Mutex<HashMap<PublicKey, (Admitted, OrgId)>>);

impl Admission for Guests {
    fn admit(&self, key: &PublicKey) -> Option<Admitted> {
        self.0.lock().unwrap().get(key).map(|(admitted, _)| *admitted)
    }

    fn organisation(&self, key: &PublicKey) -> Option<OrgId> {
        self.0.lock().unwrap().get(key).map(|(_, org)| *org)
    }
}

/// Answers `Introduce` with who asked; `Link` echoes or, when told to, reads nothing.
#[derive(Default)]
struct Mirror {
    calls: Arc<AtomicU64>,
    reads_nothing: bool,
}

#[tonic::async_trait]
impl Peer for Mirror {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<RawFrame, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<RawFrame>>) -> Result<Response<Self::LinkStream>, Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let in_use = request.extensions().get::<Visitor>().unwrap().serve();
        let frames = request.into_inner().map(move |frame| {
            let _ = &in_use;
            frame
        });
        if self.reads_nothing {
            // Kept inside the reply, so that the stream of requests stays open and unread.
            return Ok(Response::new(Box::pin(tokio_stream::pending().map(move |reply| {
                let _ = &frames;
                reply
            }))));
        }
        Ok(Response::new(Box::pin(frames)))
    }

    async fn introduce(&self, request: Request<IntroduceRequest>) -> Result<Response<IntroduceReply>, Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let visitor = request.extensions().get::<Visitor>().ok_or_else(|| Status::internal("no identity"))?;
        let (peer, _in_use) = (visitor.identity(), visitor.serve());
        let charter = peer.key.as_bytes().to_vec();
        let clock_ms = if peer.admitted == Admitted::Member { 1 } else { 2 };
        Ok(Response::new(IntroduceReply { charter, clock_ms, ..Default::default() }))
    }

    async fn admit(&self, _: Request<AdmitRequest>) -> Result<Response<AdmitReply>, Status> {
        Ok(Response::new(AdmitReply::default()))
    }
}

/// A server on loopback with key 1.
struct Host {
    address: SocketAddr,
    control: ListenerControl,
    guests: Arc<Guests>,
    calls: Arc<AtomicU64>,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Host {
    async fn start(limits: ListenerLimits) -> Host {
        Host::start_with(limits, identity(1), Mirror::default()).await
    }

    async fn start_with(limits: ListenerLimits, identity: TlsIdentity, mirror: Mirror) -> Host {
        let guests = Arc::new(Guests::default());
        let admission: Arc<dyn Admission> = Arc::clone(&guests) as _;
        let listener =
            Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), identity, admission, limits).await.unwrap();
        let (address, control) = (listener.local_address(), listener.control());
        let calls = Arc::clone(&mirror.calls);
        let service = PeerServer::new(mirror).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (shutdown, when_shut_down) = oneshot::channel::<()>();
        let served = server_builder().add_service(service).serve_with_incoming_shutdown(listener.start(), async {
            let _ = when_shut_down.await;
        });
        Host { address, control, guests, calls, shutdown: Some(shutdown), task: tokio::spawn(served) }
    }

    fn invite(&self, seed: u8, admitted: Admitted) {
        self.invite_of(seed, admitted, OrgId([seed; 32]));
    }

    fn invite_of(&self, seed: u8, admitted: Admitted, org: OrgId) {
        self.guests.0.lock().unwrap().insert(public(seed), (admitted, org));
    }

    fn uninvite(&self, seed: u8) {
        self.guests.0.lock().unwrap().remove(&public(seed));
    }

    async fn dial(&self, seed: u8) -> Result<Channel, DialError> {
        dial(&self.address.to_string(), public(1), &identity(seed), PATIENCE).await
    }

    fn counts(&self) -> ListenerCounts {
        self.control.counters().counts()
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn who_am_i(channel: Channel) -> Result<(Vec<u8>, u64), Status> {
    let reply = PeerClient::new(channel).introduce(IntroduceRequest { level: 1 }).await?.into_inner();
    Ok((reply.charter.to_vec(), reply.clock_ms))
}

/// Waits until `reached` holds.
async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}
