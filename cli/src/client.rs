//! The line to the node: its Admin service on a unix socket, or the Host service of a neighbour's node.
//!
//! In: the socket's path, or who carries this organisation. Out: a [`NodeClient`]; errors say whether the node is not running, not ours, or unreachable
//! by its path. Always: what a node streams back is bounded before it is kept.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::failure::{Exit, Failure};
use crate::host::HostClient;
use crate::rpc::admin_client::AdminClient;

/// Longest path of a unix socket, in bytes: the kernel's `sun_path` without its final zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Largest message that is read from the node, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Entries that one list may have: four times the largest network planned for.
pub const ENTRIES_MAX: usize = 4_000_000;
/// Open redactions that one list may have.
pub const REDACTIONS_MAX: usize = 10_000;
/// Publish requests on their way whose answers are still missing.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 4;

/// What publishing asks of a node. The daemon's demo and the tests have their own.
pub trait Admin {
    /// The node's state: clocks, network, charter.
    fn status(&self) -> impl Future<Output = Result<v1::StatusReply, Failure>> + Send;

    /// The entries that the request selects. Errors: also when there are more than [`ENTRIES_MAX`].
    fn entries(&self, request: v1::ListRequest) -> impl Future<Output = Result<Vec<v1::Entry>, Failure>> + Send;

    /// Hands in `requests` in order, a few at a time, and calls `answered` with the number of envelopes each reply covers.
    fn publish(
        &self,
        requests: Vec<v1::PublishRequest>,
        answered: impl FnMut(usize) + Send,
    ) -> impl Future<Output = Delivery> + Send;
}

/// What became of publish requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// One for each envelope that the node answered for, in order.
    pub results: Vec<v1::PublishResult>,
    /// Why the rest was not answered for: it may or may not have arrived, and can be sent again without harm.
    pub broken: Option<Failure>,
}

/// A connection to one node, over which any number of requests may go. Commands do not care which way it goes.
#[derive(Clone, Debug)]
pub struct NodeClient {
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    /// The own node.
    Socket(AdminClient<Channel>),
    /// A neighbour's, which carries this organisation and answers less.
    Host(Box<HostClient>),
}

impl NodeClient {
    /// Connects to the node at `socket`. `home` is named in the hint on how to start one.
    pub async fn connect(socket: &Path, home: &Path) -> Result<NodeClient, Failure> {
        check_path(socket)?;
        let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(socket, home, &error))?;
        // The stream is handed over once. A node that restarts under a running command is a broken command, not a
        // reason to send half of it to another process.
        let stream = Arc::new(Mutex::new(Some(stream)));
        let connector = tower::service_fn(move |_| {
            let stream = stream.lock().ok().and_then(|mut stream| stream.take());
            async move { stream.map(TokioIo::new).ok_or(io::Error::from(io::ErrorKind::ConnectionReset)) }
        });
        let channel = Endpoint::from_static("http://node.invalid")
            .connect_with_connector(connector)
            .await
            .map_err(|error| unreachable(socket, home, &error))?;
        let client = AdminClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(NodeClient { way: Way::Socket(client) })
    }

    /// Goes over the node that carries this organisation.
    pub fn over(host: HostClient) -> NodeClient {
        NodeClient { way: Way::Host(Box::new(host)) }
    }

    /// The host; `None` when the node is the own one.
    pub fn host(&self) -> Option<&HostClient> {
        match &self.way {
            Way::Socket(_) => None,
            Way::Host(host) => Some(host),
        }
    }

    /// The Admin service. Errors: refused, where a host stands in between.
    fn admin(&self) -> Result<AdminClient<Channel>, Failure> {
        match &self.way {
            Way::Socket(client) => Ok(client.clone()),
            Way::Host(host) => {
                Err(Failure::new(Exit::Refused, "this command needs a node of your own, or its operator's word")
                    .because(format!(
                        "your records are carried by {:?}, which takes and lists them and says who is a member",
                        host.host().name
                    ))
                    .hint("ask its operator to run the command there"))
            }
        }
    }

    /// The links of the node.
    pub async fn peers(&self) -> Result<Vec<v1::PeerState>, Failure> {
        Ok(self.admin()?.peers(v1::PeersRequest {}).await?.into_inner().peers)
    }

    /// The organisations of the network.
    pub async fn members(&self) -> Result<Vec<v1::MemberState>, Failure> {
        match &self.way {
            Way::Socket(client) => Ok(client.clone().members(v1::MembersRequest {}).await?.into_inner().members),
            Way::Host(host) => host.members().await,
        }
    }

    /// Why an organisation has its standing.
    pub async fn why(&self, org: &OrgId) -> Result<v1::WhyReply, Failure> {
        let request = v1::WhyRequest { organisation: org.0.to_vec() };
        match &self.way {
            Way::Socket(client) => Ok(client.clone().why(request).await?.into_inner()),
            Way::Host(host) => host.why(request).await,
        }
    }

    /// Lets the node show an organisation's records no more, or again.
    pub async fn block(&self, request: v1::BlockRequest) -> Result<v1::BlockReply, Failure> {
        Ok(self.admin()?.block(request).await?.into_inner())
    }

    /// Lets a read-only mirror get the public set from the node.
    pub async fn allow_mirror(&self, request: v1::AllowMirrorRequest) -> Result<v1::AllowMirrorReply, Failure> {
        Ok(self.admin()?.allow_mirror(request).await?.into_inner())
    }

    /// Takes that back.
    pub async fn forbid_mirror(&self, request: v1::ForbidMirrorRequest) -> Result<v1::ForbidMirrorReply, Failure> {
        Ok(self.admin()?.forbid_mirror(request).await?.into_inner())
    }

    /// Read-only mirrors that the node allows.
    pub async fn mirrors(&self) -> Result<Vec<v1::MirrorState>, Failure> {
        Ok(self.admin()?.mirrors(v1::MirrorsRequest {}).await?.into_inner().mirrors)
    }

    /// Gives the node its network.
    pub async fn create_network(&self, request: v1::CreateNetworkRequest) -> Result<v1::CreateNetworkReply, Failure> {
        Ok(self.admin()?.create_network(request).await?.into_inner())
    }

    /// Lets the holder of an invite knock at the node.
    pub async fn register_invite(
        &self,
        request: v1::RegisterInviteRequest,
    ) -> Result<v1::RegisterInviteReply, Failure> {
        Ok(self.admin()?.register_invite(request).await?.into_inner())
    }

    /// Lets the node dial the inviter and fetch the charter.
    pub async fn introduce(&self, request: v1::JoinRequest) -> Result<v1::JoinReply, Failure> {
        Ok(self.admin()?.introduce(request).await?.into_inner())
    }

    /// Lets the node join.
    pub async fn join(&self, request: v1::JoinRequest) -> Result<v1::JoinReply, Failure> {
        Ok(self.admin()?.join(request).await?.into_inner())
    }

    /// Open redactions, and which nodes have confirmed them.
    pub async fn receipts(&self, request: v1::ReceiptsRequest) -> Result<Vec<v1::RedactionState>, Failure> {
        let mut replies = self.admin()?.receipts(request).await?.into_inner();
        let mut states = Vec::new();
        while let Some(state) = replies.message().await? {
            if states.len() == REDACTIONS_MAX {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("the node lists more than {REDACTIONS_MAX} redactions"),
                )
                .hint("ask for one: fingerpost receipts RECORD"));
            }
            states.push(state);
        }
        Ok(states)
    }

    /// Heads that the node signed, the newest first.
    pub async fn heads(&self) -> Result<Vec<v1::HeadState>, Failure> {
        Ok(self.admin()?.heads(v1::HeadsRequest {}).await?.into_inner().heads)
    }

    /// Organisations that the node carries.
    pub async fn hosted(&self) -> Result<v1::HostedReply, Failure> {
        Ok(self.admin()?.hosted(v1::HostedRequest {}).await?.into_inner())
    }

    /// Lets the node carry an organisation no longer.
    pub async fn stop_hosting(&self, org: &OrgId) -> Result<v1::StopHostingReply, Failure> {
        Ok(self.admin()?.stop_hosting(v1::StopHostingRequest { organisation: org.0.to_vec() }).await?.into_inner())
    }

    /// Every version of a record that the node has, the winning one first. A host shows the own organisation's only.
    pub async fn show(&self, request: v1::ShowRequest) -> Result<Vec<v1::Entry>, Failure> {
        let host = match &self.way {
            Way::Socket(client) => return Ok(client.clone().show(request).await?.into_inner().entries),
            Way::Host(host) => host,
        };
        let all = v1::ListRequest {
            organisation: request.organisation,
            include_withdrawn: true,
            include_lapsed: true,
            ..Default::default()
        };
        let is_asked_for = |entry: &v1::Entry| {
            let Ok(version) = SignedVersion::read(entry.envelope.clone()) else { return false };
            let header = version.header();
            match request.record_id.as_slice() {
                [] => RecordId::derive(&header.org, header.kind, header.audience, &request.local_id) == header.record,
                record => header.record.0 == record,
            }
        };
        Ok(host.entries(all).await?.into_iter().filter(is_asked_for).collect())
    }
}

impl Admin for NodeClient {
    async fn status(&self) -> Result<v1::StatusReply, Failure> {
        match &self.way {
            Way::Socket(client) => Ok(client.clone().status(v1::StatusRequest {}).await?.into_inner()),
            Way::Host(host) => host.status().await,
        }
    }

    async fn entries(&self, request: v1::ListRequest) -> Result<Vec<v1::Entry>, Failure> {
        match &self.way {
            Way::Socket(client) => collect(client.clone().list(request).await?.into_inner(), Duration::MAX).await,
            Way::Host(host) => host.entries(request).await,
        }
    }

    async fn publish(&self, requests: Vec<v1::PublishRequest>, mut answered: impl FnMut(usize) + Send) -> Delivery {
        let client = match &self.way {
            Way::Socket(client) => client,
            Way::Host(host) => return host.publish(requests, answered).await,
        };
        let mut sizes: VecDeque<usize> = requests.iter().map(|request| request.envelopes.len()).collect();
        let (sender, receiver) = mpsc::channel(REQUESTS_IN_FLIGHT_MAX);
        let window = Arc::new(tokio::sync::Semaphore::new(REQUESTS_IN_FLIGHT_MAX));
        let feed = {
            let window = window.clone();
            async move {
                for request in requests {
                    let Ok(permit) = window.acquire().await else { break };
                    permit.forget();
                    if sender.send(request).await.is_err() {
                        break;
                    }
                }
            }
        };
        let mut client = client.clone();
        let collect = async {
            let mut delivery = Delivery::default();
            let broken = |delivery, failure| Delivery { broken: Some(failure), ..delivery };
            let mut replies = match client.publish(ReceiverStream::new(receiver)).await {
                Ok(replies) => replies.into_inner(),
                Err(status) => return broken(delivery, Failure::from(status)),
            };
            while let Some(reply) = replies.next().await {
                match (reply, sizes.pop_front()) {
                    (Ok(reply), Some(size)) if reply.results.len() == size => {
                        answered(size);
                        delivery.results.extend(reply.results);
                        window.add_permits(1);
                    }
                    (Ok(_), _) => {
                        return broken(delivery, Failure::new(Exit::Partial, "the node answered for other versions"));
                    }
                    (Err(status), _) => return broken(delivery, Failure::from(status)),
                }
            }
            if sizes.is_empty() {
                return delivery;
            }
            broken(delivery, Failure::new(Exit::Partial, "the node closed before it had answered for all"))
        };
        // When collecting ends early the feed would wait for a permit for ever, so the first to end decides.
        tokio::pin!(feed, collect);
        tokio::select! {
            delivery = &mut collect => delivery,
            () = &mut feed => collect.await,
        }
    }
}

/// What a node answers. Errors: its own; unreachable, when it says nothing for `wait`.
pub(crate) async fn in_time<T>(
    wait: Duration,
    answer: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(wait, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::new(Exit::NodeUnreachable, format!("the node said nothing for {} s", wait.as_secs()))
            .hint("run the command again; whatever was sent already can be sent again without harm")),
    }
}

/// All entries of a list. Errors: refused, when there are more than [`ENTRIES_MAX`]; unreachable, when nothing more comes for `wait`.
pub(crate) async fn collect(
    mut replies: tonic::Streaming<v1::ListReply>,
    wait: Duration,
) -> Result<Vec<v1::Entry>, Failure> {
    let mut entries = Vec::new();
    while let Some(mut reply) = in_time(wait, replies.message()).await? {
        if entries.len() + reply.entries.len() > ENTRIES_MAX {
            return Err(Failure::new(Exit::Refused, format!("the node lists more than {ENTRIES_MAX} records"))
                .hint("ask for less: --limit N, --kind KIND or --org ID"));
        }
        entries.append(&mut reply.entries);
    }
    Ok(entries)
}

/// Says so when the kernel cannot take this path. Errors: a failure of usage.
pub fn check_path(socket: &Path) -> Result<(), Failure> {
    let found = socket.as_os_str().len();
    if found <= SOCKET_PATH_BYTES_MAX {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        format!("the socket's path has {found} bytes, a unix socket allows {SOCKET_PATH_BYTES_MAX}"),
    )
    .because(socket.display().to_string())
    .hint("use a shorter --home, or set a shorter socket path in the node's settings and give it here as --node"))
}

fn unreachable(socket: &Path, home: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let path: PathBuf = socket.to_owned();
    match kind {
        Some(io::ErrorKind::PermissionDenied) => {
            Failure::new(Exit::Permission, format!("this account may not talk to the node at {}", path.display()))
                .caused_by(error)
                .hint("run this command as the account that runs fingerpostd")
        }
        Some(io::ErrorKind::NotFound) => {
            Failure::new(Exit::NodeUnreachable, format!("no node is running: {} is not there", path.display())).hint(
                format!("start it: fingerpostd run --home {}; or name another with --node SOCKET", home.display()),
            )
        }
        Some(io::ErrorKind::ConnectionRefused) => {
            Failure::new(Exit::NodeUnreachable, format!("no node is running: nobody answers at {}", path.display()))
                .because("the socket is left over from a node that has stopped")
                .hint(format!("start it: fingerpostd run --home {}", home.display()))
        }
        _ => Failure::new(Exit::NodeUnreachable, format!("the node at {} does not answer", path.display()))
            .caused_by(error)
            .hint(format!("see whether it runs: fingerpostd run --home {}", home.display())),
    }
}

#[cfg(test)]
mod tests;
