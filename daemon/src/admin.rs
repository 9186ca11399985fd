//! What admins ask of their node, over a unix socket in its home.
//!
//! In: gRPC calls from processes of the same user (or root). Out: answers from the driver's state and the store.
//! Always: the node signs nothing here; it takes in what admins signed at their side.
//! Tested: `tests/cluster`.

mod heads;
mod hosting;
mod listing;
mod mirrors;
mod receipts;
mod socket;
mod standing;
mod warnings;

use std::pin::Pin;
use std::sync::Arc;

use fingerpost_cli::joining::{JoinError, Joining};
use fingerpost_proto::PROTOCOL_LEVEL;
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::limits::{ENVELOPE_BYTES_MAX, VERSIONS_PER_FRAME_MAX};
use fingerpost_proto::network::members::Standing;
use fingerpost_proto::node::{Outcome, Peer, Reject};
use fingerpost_proto::v1;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use hosting::HostService;
pub use socket::AdminSocketError;
pub(crate) use socket::{AdminSocket, SOCKET_FILE};

use crate::catalogue::Catalogue;
use crate::clock;
use crate::driver::{Command, DriverHandle, View};
use crate::link::Dialler;
use crate::store::StoreReader;

/// Largest admin message, in bytes: a full publish request.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Envelopes in one publish request.
const PUBLISH_ENVELOPES_MAX: usize = VERSIONS_PER_FRAME_MAX;
/// Publish requests of one call that are being worked on.
const PUBLISHES_AT_ONCE_MAX: usize = 8;

/// Answers admins.
pub(crate) struct AdminService {
    pub(crate) driver: DriverHandle,
    pub(crate) reader: Arc<dyn StoreReader>,
    pub(crate) catalogue: Catalogue,
    pub(crate) dialler: Dialler,
    pub(crate) about: Arc<About>,
}

/// What does not change while the daemon runs.
pub(crate) struct About {
    pub(crate) node_key: [u8; 32],
    pub(crate) started_ms: u64,
    pub(crate) peer_address: String,
    pub(crate) feed_url: String,
    /// `host:port` for cards and invites.
    pub(crate) addresses: Vec<String>,
    /// A read-only mirror.
    pub(crate) is_mirror: bool,
    /// What opening the store found, for the operator.
    pub(crate) warnings: Vec<String>,
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stopped(error: crate::driver::Stopped) -> Status {
    Status::unavailable(error.to_string())
}

fn no_network() -> Status {
    Status::failed_precondition("this node has no network yet; run: fingerpost network create, or fingerpost join")
}

#[tonic::async_trait]
impl crate::rpc::admin_server::Admin for AdminService {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        self.status_reply().await.map(Response::new)
    }

    async fn peers(&self, _: Request<v1::PeersRequest>) -> Result<Response<v1::PeersReply>, Status> {
        let dialled = self.dialler.states();
        let mut peers = self.driver.look(linked_peers).await.map_err(stopped)?;
        for peer in &mut peers {
            let key = fingerpost_proto::key::PublicKey::from_bytes(&peer.node_key).ok();
            if let Some(state) = key.and_then(|key| dialled.get(&key)) {
                peer.address = state.addresses.join(", ");
            }
        }
        for (key, state) in dialled {
            if peers.iter().any(|peer| peer.node_key == key.as_bytes()) {
                continue;
            }
            peers.push(v1::PeerState {
                node_key: key.as_bytes().to_vec(),
                address: state.addresses.join(", "),
                state: state.state.to_owned(),
                reason: state.reason,
                outbound: true,
                ..Default::default()
            });
        }
        let names = self.driver.look(node_names).await.map_err(stopped)?;
        for peer in &mut peers {
            if let Some((org, name)) = names.get(peer.node_key.as_slice()) {
                peer.organisation = org.to_vec();
                peer.name.clone_from(name);
            }
        }
        Ok(Response::new(v1::PeersReply { peers }))
    }

    async fn members(&self, _: Request<v1::MembersRequest>) -> Result<Response<v1::MembersReply>, Status> {
        let members = self.driver.look(standing::members).await.map_err(stopped)?;
        Ok(Response::new(v1::MembersReply { members }))
    }

    async fn why(&self, request: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        standing::why(self, request.into_inner()).await.map(Response::new)
    }

    async fn block(&self, request: Request<v1::BlockRequest>) -> Result<Response<v1::BlockReply>, Status> {
        standing::block(self, request.into_inner()).await.map(Response::new)
    }

    async fn allow_mirror(
        &self,
        request: Request<v1::AllowMirrorRequest>,
    ) -> Result<Response<v1::AllowMirrorReply>, Status> {
        mirrors::allow(self, request.into_inner()).await.map(Response::new)
    }

    async fn forbid_mirror(
        &self,
        request: Request<v1::ForbidMirrorRequest>,
    ) -> Result<Response<v1::ForbidMirrorReply>, Status> {
        mirrors::forbid(self, request.into_inner()).await.map(Response::new)
    }

    async fn mirrors(&self, _: Request<v1::MirrorsRequest>) -> Result<Response<v1::MirrorsReply>, Status> {
        let mirrors = self.driver.look(mirrors::list).await.map_err(stopped)?;
        Ok(Response::new(v1::MirrorsReply { mirrors }))
    }

    async fn create_network(
        &self,
        request: Request<v1::CreateNetworkRequest>,
    ) -> Result<Response<v1::CreateNetworkReply>, Status> {
        self.refuse_at_mirror("founds no network")?;
        let v1::CreateNetworkRequest { charter, envelopes } = request.into_inner();
        let network = fingerpost_proto::id::NetworkId::of_charter(&charter);
        self.found(charter, envelopes, None).await?;
        Ok(Response::new(v1::CreateNetworkReply { network: network.0.to_vec() }))
    }

    async fn register_invite(
        &self,
        request: Request<v1::RegisterInviteRequest>,
    ) -> Result<Response<v1::RegisterInviteReply>, Status> {
        use prost::Message;
        self.refuse_at_mirror("invites nobody")?;
        let v1::RegisterInviteRequest { invitation, carries, .. } = request.into_inner();
        let invitation = v1::Invitation::decode(invitation.as_slice())
            .map_err(|error| Status::invalid_argument(format!("not an invitation: {error}")))?;
        let (reply, answer) = oneshot::channel();
        self.driver.send(Command::RegisterInvite { invitation, carries, reply }).await.map_err(stopped)?;
        let answer = answer.await.map_err(|_| stopped(crate::driver::Stopped))?;
        answer.map_err(Status::failed_precondition)?;
        let reply =
            v1::RegisterInviteReply { node_key: self.about.node_key.to_vec(), addresses: self.about.addresses.clone() };
        Ok(Response::new(reply))
    }

    async fn hosted(&self, _: Request<v1::HostedRequest>) -> Result<Response<v1::HostedReply>, Status> {
        self.driver.look(hosting::hosted).await.map(Response::new).map_err(stopped)
    }

    async fn stop_hosting(
        &self,
        request: Request<v1::StopHostingRequest>,
    ) -> Result<Response<v1::StopHostingReply>, Status> {
        let org = standing::org(&request.into_inner().organisation)?;
        let (reply, answer) = oneshot::channel();
        self.driver.send(Command::StopHosting { org, reply }).await.map_err(stopped)?;
        let answer = answer.await.map_err(|_| stopped(crate::driver::Stopped))?;
        answer.map(|changed| Response::new(v1::StopHostingReply { changed })).map_err(Status::failed_precondition)
    }

    async fn introduce(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        self.refuse_at_mirror("joins no network")?;
        let mut joining = Joining::start(&request.into_inner().code).await.map_err(join_failed)?;
        let introduction = joining.introduce().await.map_err(join_failed)?;
        Ok(Response::new(v1::JoinReply {
            charter: introduction.charter,
            inviter_cards: introduction.inviter_cards,
            inviter_clock_ms: introduction.clock_ms,
        }))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        self.refuse_at_mirror("joins no network")?;
        let v1::JoinRequest { code, envelopes } = request.into_inner();
        let mut joining = Joining::start(&code).await.map_err(join_failed)?;
        let introduction = joining.introduce().await.map_err(join_failed)?;
        let own = self.driver.look(|view| view.node.map(|node| node.network())).await.map_err(stopped)?;
        if own.is_some_and(|network| network != joining.code.network) {
            return Err(Status::failed_precondition(
                "this node is in another network already; one node serves one network",
            ));
        }
        let (inviter, addresses) = (joining.code.node_key, joining.code.addresses.clone());
        match joining.admit(envelopes.clone()).await {
            // An admitted key is used up, and its connections are closed, perhaps before the answer is through.
            Err(JoinError::NoAnswer(_)) if self.dialler.is_admitted(inviter, &addresses).await => {}
            admitted => admitted.map_err(join_failed)?,
        }
        self.found(introduction.charter.clone(), envelopes, Some((inviter, addresses.clone()))).await?;
        let introduced = self.dialler.introduce(inviter, addresses).await;
        introduced.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(v1::JoinReply {
            charter: introduction.charter,
            inviter_cards: introduction.inviter_cards,
            inviter_clock_ms: introduction.clock_ms,
        }))
    }

    type PublishStream = Replies<v1::PublishReply>;

    async fn publish(
        &self,
        request: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let mut requests = request.into_inner();
        // Requests are handed in at once and answered in order, so that their commits can be shared.
        let (answers, mut waiting) = mpsc::channel(PUBLISHES_AT_ONCE_MAX);
        let driver = self.driver.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let answer = match request {
                    Ok(request) => hand_in(&driver, request.envelopes).await,
                    Err(status) => Err(status),
                };
                let is_over = answer.is_err();
                if answers.send(answer).await.is_err() || is_over {
                    return;
                }
            }
        });
        let (replies, stream) = mpsc::channel(PUBLISHES_AT_ONCE_MAX);
        tokio::spawn(async move {
            while let Some(answer) = waiting.recv().await {
                let reply = match answer {
                    Ok(outcomes) => outcomes.await.map(publish_reply).map_err(|_| no_network()),
                    Err(status) => Err(status),
                };
                if replies.send(reply).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    type ListStream = Replies<v1::ListReply>;

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let wanted = listing::Wanted::read(&request.into_inner())?;
        Ok(Response::new(Box::pin(ReceiverStream::new(listing::list(self, wanted).await?))))
    }

    async fn show(&self, request: Request<v1::ShowRequest>) -> Result<Response<v1::ShowReply>, Status> {
        listing::show(self, request.into_inner()).await.map(Response::new)
    }

    type ReceiptsStream = Replies<v1::RedactionState>;

    async fn receipts(&self, request: Request<v1::ReceiptsRequest>) -> Result<Response<Self::ReceiptsStream>, Status> {
        let states = receipts::receipts(self, request.into_inner()).await?;
        Ok(Response::new(Box::pin(tokio_stream::iter(states.into_iter().map(Ok)))))
    }

    async fn heads(&self, _: Request<v1::HeadsRequest>) -> Result<Response<v1::HeadsReply>, Status> {
        heads::heads(self).map(Response::new)
    }
}

impl AdminService {
    async fn status_reply(&self) -> Result<v1::StatusReply, Status> {
        let about = Arc::clone(&self.about);
        let charter = self.reader.meta("charter").map_err(|error| Status::unavailable(error.to_string()))?;
        let mut reply = self.driver.look(move |view| status(view, &about)).await.map_err(stopped)?;
        reply.charter = charter.unwrap_or_default();
        for set in &mut reply.sets {
            if let Some(audience) = Audience::from_number(set.audience) {
                let counts = self.catalogue.counts(audience);
                (set.live, set.withdrawn, set.lapsed) = (counts.live, counts.withdrawn, counts.lapsed);
            }
        }
        Ok(reply)
    }

    /// Errors: at a read-only mirror, in words.
    fn refuse_at_mirror(&self, what: &str) -> Result<(), Status> {
        if !self.about.is_mirror {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "this node is a read-only mirror, which {what}; an organisation needs a node with a home of its own"
        )))
    }

    async fn found(
        &self,
        charter: Vec<u8>,
        envelopes: Vec<Vec<u8>>,
        inviter: Option<(Peer, Vec<String>)>,
    ) -> Result<(), Status> {
        let (reply, answer) = oneshot::channel();
        self.driver.send(Command::Found { charter, envelopes, inviter, reply }).await.map_err(stopped)?;
        let answer = answer.await.map_err(|_| stopped(crate::driver::Stopped))?;
        answer.map_err(Status::failed_precondition)
    }
}

/// Hands envelopes to the driver and returns where their outcomes will arrive.
async fn hand_in(driver: &DriverHandle, envelopes: Vec<Vec<u8>>) -> Result<oneshot::Receiver<Vec<Outcome>>, Status> {
    if envelopes.len() > PUBLISH_ENVELOPES_MAX {
        return Err(Status::invalid_argument(format!(
            "{} envelopes in one request; at most {PUBLISH_ENVELOPES_MAX} are allowed",
            envelopes.len()
        )));
    }
    let (reply, outcomes) = oneshot::channel();
    driver.send(Command::Publish { envelopes, reply }).await.map_err(stopped)?;
    Ok(outcomes)
}

fn publish_reply(outcomes: Vec<Outcome>) -> v1::PublishReply {
    use v1::publish_result::Outcome as Name;
    let result = |outcome| match outcome {
        Outcome::Published { concurrent } => {
            v1::PublishResult { outcome: Name::Published.into(), concurrent, ..Default::default() }
        }
        Outcome::Duplicate => v1::PublishResult { outcome: Name::Duplicate.into(), ..Default::default() },
        Outcome::Superseded => v1::PublishResult {
            outcome: Name::Superseded.into(),
            message: "a newer version of this record is here already".to_owned(),
            ..Default::default()
        },
        Outcome::Rejected(why) => rejected(&why),
    };
    v1::PublishReply { results: outcomes.into_iter().map(result).collect() }
}

fn rejected(why: &Reject) -> v1::PublishResult {
    let outcome = v1::publish_result::Outcome::Rejected.into();
    v1::PublishResult { outcome, error: why.name().to_owned(), message: why.to_string(), concurrent: false }
}

fn join_failed(error: JoinError) -> Status {
    Status::failed_precondition(error.to_string())
}

fn status(view: &View<'_>, about: &About) -> v1::StatusReply {
    let mut reply = v1::StatusReply {
        software: concat!("fingerpostd ", env!("CARGO_PKG_VERSION")).to_owned(),
        protocol_level: PROTOCOL_LEVEL,
        clock_ms: clock::now_ms(),
        node_key: about.node_key.to_vec(),
        started_ms: about.started_ms,
        peer_address: about.peer_address.clone(),
        feed_url: about.feed_url.clone(),
        read_only_reason: view.read_only.unwrap_or_default().to_owned(),
        warnings: about.warnings.clone(),
        advertised_address: about.addresses.join(", "),
        mirror: about.is_mirror,
        ..Default::default()
    };
    if let Ok(usage) = view.store.usage() {
        reply.disk_bytes = usage.disk_bytes;
        reply.disk_free_bytes = usage.free_bytes;
        if usage.wants_compaction() {
            reply
                .warnings
                .push("the store takes four times the space of its records; run: fingerpostd compact".to_owned());
        }
    }
    let Some(node) = view.node else { return reply };
    reply.network = node.network().0.to_vec();
    reply.hlc_max = node.hlc_max().0;
    reply.links = node.links().count() as u32;
    reply.members = node.standings().iter().filter(|(_, standing)| *standing == Standing::Member).count() as u32;
    reply.quarantined = node.quarantined() as u64;
    reply.clock_ahead_ms = node.clock_ahead_ms().unwrap_or(0);
    if reply.clock_ahead_ms.abs() > 120_000 {
        reply.warnings.push(format!(
            "this node's clock is {} s {} those of its peers; set it right, or publishing may be refused",
            reply.clock_ahead_ms.abs() / 1_000,
            if reply.clock_ahead_ms > 0 { "behind" } else { "ahead of" }
        ));
    }
    reply.warnings.extend(warnings::of_copies(node));
    reply.warnings.extend(warnings::of_equivocations(node));
    reply.warnings.extend(warnings::of_what_lacks(node));
    reply.sets = Audience::ALL
        .map(|audience| {
            let total = node.set(audience).total();
            v1::SetState {
                audience: audience.number().into(),
                fingerprint: total.fingerprint().to_vec(),
                count: total.count,
                ..Default::default()
            }
        })
        .to_vec();
    reply
}

fn linked_peers(view: &View<'_>) -> Vec<v1::PeerState> {
    let Some(node) = view.node else { return Vec::new() };
    let state = |link: fingerpost_proto::node::LinkState| v1::PeerState {
        node_key: link.peer.as_bytes().to_vec(),
        state: "linked".to_owned(),
        name: view.mirrors.get(&link.peer).filter(|_| link.is_mirror).map_or_else(String::new, |mirror| {
            format!("{} (mirror)", if mirror.label.is_empty() { "no name" } else { &mirror.label })
        }),
        outbound: link.outbound,
        since_ms: link.connected_at,
        last_seen_ms: link.last_seen,
        clock_ahead_ms: link.clock_ahead_ms.unwrap_or(0),
        in_sync: link.in_sync,
        received_versions: link.received_versions,
        sent_versions: link.sent_versions,
        round_trip_us: link.round_trip_ms.unwrap_or(0) * 1_000,
        ..Default::default()
    };
    node.links().map(state).collect()
}

fn node_names(view: &View<'_>) -> std::collections::HashMap<Vec<u8>, ([u8; 32], String)> {
    let Some(node) = view.node else { return Default::default() };
    let name = |org| node.card(&org).map_or_else(String::new, |card| card.name.clone());
    node.member_nodes().map(|(key, org, _)| (key.as_bytes().to_vec(), (org.0, name(org)))).collect()
}

/// True for kinds that a listing without a kind shows.
fn is_listed(kind: Kind, wanted: Option<Kind>) -> bool {
    wanted.map_or(kind.class() == Class::Record, |wanted| wanted == kind)
}

const _: () = assert!(ENVELOPE_BYTES_MAX * 16 < MESSAGE_BYTES_MAX);
