//! Diallers against nodes that let them in and then open no link.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::pin::Pin;

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::v1;
use tokio_stream::Stream;
use tonic::{Response, Streaming};

use super::*;
use crate::driver::tests::{Rig, key, public};
use crate::link::RawFrame;
use crate::rpc::peer_server::{self, PeerServer};
use crate::transport::{Admission, Admitted, Listener, ListenerLimits, server_builder};

/// Longer than any test should take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Everyone;

impl Admission for Everyone {
    fn admit(&self, _: &PublicKey) -> Option<Admitted> {
        Some(Admitted::Member)
    }

    fn organisation(&self, _: &PublicKey) -> Option<fingerpost_proto::id::OrgId> {
        None
    }
}

/// Answers calls for a link with this status, or never.
struct Stubborn(Option<Status>);

#[tonic::async_trait]
impl peer_server::Peer for Stubborn {
    type LinkStream = Pin<Box<dyn Stream<Item = Result<RawFrame, Status>> + Send>>;

    async fn link(&self, _: Request<Streaming<RawFrame>>) -> Result<Response<Self::LinkStream>, Status> {
        match &self.0 {
            Some(status) => Err(status.clone()),
            None => std::future::pending().await,
        }
    }

    async fn introduce(&self, _: Request<v1::IntroduceRequest>) -> Result<Response<v1::IntroduceReply>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn admit(&self, _: Request<v1::AdmitRequest>) -> Result<Response<v1::AdmitReply>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// A node with key 1; returns its address.
async fn host(stubborn: Stubborn) -> String {
    let identity = TlsIdentity::new(&key(1)).unwrap();
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(loopback, identity, Arc::new(Everyone), ListenerLimits::default()).await.unwrap();
    let address = listener.local_address().to_string();
    tokio::spawn(server_builder().add_service(PeerServer::new(stubborn)).serve_with_incoming(listener.start()));
    address
}

/// How an attempt at the node with key 1 ends. It is reached under two addresses.
async fn outcome(stubborn: Stubborn) -> (DialFailure, DialState) {
    let address = host(stubborn).await;
    let Rig { driver, mut commands, handle, .. } = Rig::without_network();
    let (sender, for_driver) = DriverHandle::new();
    std::thread::spawn(move || driver.run(for_driver));
    let again = address.replace("127.0.0.1", "localhost");
    let configured = vec![(public(&key(1)), address), (public(&key(1)), again)];
    let identity = TlsIdentity::new(&key(2)).unwrap();
    let dialler = Dialler::with_wait(handle, identity, configured, Duration::from_millis(300));
    let attempting = dialler.clone();
    tokio::spawn(async move { attempting.attempt(public(&key(1))).await });
    let ended = async {
        loop {
            match commands.recv().await.unwrap() {
                Command::DialFailed { why, .. } => return why,
                command => sender.send(command).await.ok().unwrap(),
            }
        }
    };
    let why = tokio::time::timeout(PATIENCE, ended).await.expect("the node hears that the dial failed");
    (why, dialler.states()[&public(&key(1))].clone())
}

#[tokio::test]
async fn a_node_that_admits_and_opens_no_link_frees_its_dial_at_once() {
    let (why, state) = outcome(Stubborn(Some(Status::permission_denied("not you")))).await;
    assert_eq!((why, state.state), (DialFailure::Refused, "refused"));
    assert!(state.reason.contains("not you"), "{}", state.reason);
    let (why, _) = outcome(Stubborn(Some(Status::unavailable("later")))).await;
    assert_eq!(why, DialFailure::Unreachable);
    let started = std::time::Instant::now();
    let (why, state) = outcome(Stubborn(None)).await;
    assert_eq!((why, state.state), (DialFailure::Unreachable, "unreachable"));
    assert!(state.reason.contains("did not answer the call"), "{}", state.reason);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn addresses_are_taken_from_each_card_in_turn_so_that_none_crowds_out_another() {
    let card = |name: &str, count: usize| (0..count).map(|n| format!("{name}{n}:1")).collect::<Vec<String>>();
    let (first, second, honest) = (card("a", 8), card("b", 8), card("h", 1));
    let addresses = in_turn(&[&first, &second, &honest]);
    assert_eq!(addresses[..4], ["a0:1", "b0:1", "h0:1", "a1:1"]);
    assert_eq!(addresses.len(), ADDRESSES_PER_NODE_MAX);
}
