//! The client against a node that is played here, over a real socket.

#![allow(clippy::unwrap_used)]

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status, Streaming};

use super::*;

#[allow(missing_docs, clippy::unwrap_used, unreachable_pub)]
mod server {
    include!(concat!(env!("OUT_DIR"), "/server/fingerpost.v1.rs"));
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers publish requests; everything else is unknown to it.
#[derive(Clone, Default)]
struct PlayedNode {
    /// Requests it answers before it breaks off; `None`: all.
    answers_max: Option<usize>,
    /// Results that it leaves out of each answer.
    results_missing: usize,
    /// Most requests that were ever waiting for an answer.
    waiting_max: Arc<AtomicUsize>,
}

fn unknown<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not played"))
}

#[tonic::async_trait]
impl server::admin_server::Admin for PlayedNode {
    type PublishStream = Replies<v1::PublishReply>;
    type ListStream = Replies<v1::ListReply>;

    async fn publish(
        &self,
        request: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let (mut requests, played) = (request.into_inner(), self.clone());
        let (replies, answers) = mpsc::channel(1);
        tokio::spawn(async move {
            let (mut waiting, mut answered, mut is_over) = (VecDeque::new(), 0, false);
            loop {
                // Takes in whatever comes before it answers, so that a sender without a window would fill it up.
                match tokio::time::timeout(Duration::from_millis(30), requests.message()).await {
                    Ok(Ok(Some(request))) => {
                        waiting.push_back(request);
                        played.waiting_max.fetch_max(waiting.len(), Ordering::SeqCst);
                        continue;
                    }
                    Ok(_) => is_over = true,
                    Err(_) => {}
                }
                let Some(request) = waiting.pop_front() else {
                    if is_over {
                        return;
                    }
                    continue;
                };
                if played.answers_max == Some(answered) {
                    let _ = replies.send(Err(Status::data_loss("disk on fire"))).await;
                    return;
                }
                answered += 1;
                // The first byte of an envelope comes back as its message: order can be seen.
                let result = |envelope: &Vec<u8>| v1::PublishResult {
                    message: envelope.first().map(u8::to_string).unwrap_or_default(),
                    ..Default::default()
                };
                let results = request.envelopes.iter().skip(played.results_missing).map(result).collect();
                if replies.send(Ok(v1::PublishReply { results })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        Ok(Response::new(v1::StatusReply { software: "played".into(), ..Default::default() }))
    }

    async fn list(&self, _: Request<v1::ListRequest>) -> Result<Response<Self::ListStream>, Status> {
        let reply = || Ok(v1::ListReply { entries: vec![v1::Entry::default(); 3] });
        Ok(Response::new(Box::pin(tokio_stream::iter([reply(), reply()]))))
    }

    async fn members(&self, _: Request<v1::MembersRequest>) -> Result<Response<v1::MembersReply>, Status> {
        unknown()
    }

    async fn why(&self, _: Request<v1::WhyRequest>) -> Result<Response<v1::WhyReply>, Status> {
        unknown()
    }

    async fn hosted(&self, _: Request<v1::HostedRequest>) -> Result<Response<v1::HostedReply>, Status> {
        unknown()
    }

    async fn stop_hosting(&self, _: Request<v1::StopHostingRequest>) -> Result<Response<v1::StopHostingReply>, Status> {
        unknown()
    }

    async fn block(&self, _: Request<v1::BlockRequest>) -> Result<Response<v1::BlockReply>, Status> {
        unknown()
    }

    async fn peers(&self, _: Request<v1::PeersRequest>) -> Result<Response<v1::PeersReply>, Status> {
        unknown()
    }

    async fn allow_mirror(&self, _: Request<v1::AllowMirrorRequest>) -> Result<Response<v1::AllowMirrorReply>, Status> {
        unknown()
    }

    async fn forbid_mirror(
        &self,
        _: Request<v1::ForbidMirrorRequest>,
    ) -> Result<Response<v1::ForbidMirrorReply>, Status> {
        unknown()
    }

    async fn mirrors(&self, _: Request<v1::MirrorsRequest>) -> Result<Response<v1::MirrorsReply>, Status> {
        unknown()
    }

    async fn create_network(
        &self,
        _: Request<v1::CreateNetworkRequest>,
    ) -> Result<Response<v1::CreateNetworkReply>, Status> {
        unknown()
    }

    async fn register_invite(
        &self,
        _: Request<v1::RegisterInviteRequest>,
    ) -> Result<Response<v1::RegisterInviteReply>, Status> {
        unknown()
    }

    async fn introduce(&self, _: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        unknown()
    }

    async fn join(&self, _: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        unknown()
    }

    async fn show(&self, _: Request<v1::ShowRequest>) -> Result<Response<v1::ShowReply>, Status> {
        unknown()
    }

    type ReceiptsStream = Replies<v1::RedactionState>;

    async fn receipts(&self, _: Request<v1::ReceiptsRequest>) -> Result<Response<Self::ReceiptsStream>, Status> {
        unknown()
    }

    async fn heads(&self, _: Request<v1::HeadsRequest>) -> Result<Response<v1::HeadsReply>, Status> {
        unknown()
    }
}

/// A client of `node`; the folder holds the socket.
async fn client_of(node: PlayedNode) -> (NodeClient, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("admin.sock");
    let listener = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
    let service = server::admin_server::AdminServer::new(node);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(listener));
    (NodeClient::connect(&socket, home.path()).await.unwrap(), home)
}

/// `count` requests of two envelopes each, numbered through.
fn requests(count: u8) -> Vec<v1::PublishRequest> {
    (0..count).map(|n| v1::PublishRequest { envelopes: vec![vec![2 * n], vec![2 * n + 1]] }).collect()
}

#[tokio::test]
async fn answers_come_in_order_and_at_most_four_are_ever_open() {
    let node = PlayedNode::default();
    let (client, _home) = client_of(node.clone()).await;
    let mut answered = 0;
    let delivery = client.publish(requests(12), |count| answered += count).await;
    assert_eq!(delivery.broken, None);
    let order: Vec<String> = delivery.results.iter().map(|result| result.message.clone()).collect();
    assert_eq!(order, (0..24).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(answered, 24);
    let waiting_max = node.waiting_max.load(Ordering::SeqCst);
    assert!(waiting_max <= REQUESTS_IN_FLIGHT_MAX, "{waiting_max} were open at once");
}

#[tokio::test]
async fn what_was_answered_before_it_broke_off_is_kept() {
    let (client, _home) = client_of(PlayedNode { answers_max: Some(3), ..Default::default() }).await;
    let delivery = client.publish(requests(12), |_| ()).await;
    assert_eq!(delivery.results.len(), 6);
    assert!(delivery.broken.unwrap().to_string().contains("disk on fire"));
}

#[tokio::test]
async fn an_answer_for_another_number_of_versions_is_not_believed() {
    let (client, _home) = client_of(PlayedNode { results_missing: 1, ..Default::default() }).await;
    let delivery = client.publish(requests(2), |_| ()).await;
    assert!(delivery.results.is_empty());
    assert_eq!(delivery.broken.unwrap().exit(), Exit::Partial);
}

#[tokio::test]
async fn publishing_nothing_is_done_at_once() {
    let (client, _home) = client_of(PlayedNode::default()).await;
    assert_eq!(client.publish(Vec::new(), |_| ()).await, Delivery::default());
}

#[tokio::test]
async fn several_requests_go_over_one_connection_and_lists_are_put_together() {
    let (client, _home) = client_of(PlayedNode::default()).await;
    assert_eq!(client.status().await.unwrap().software, "played");
    assert_eq!(client.entries(v1::ListRequest::default()).await.unwrap().len(), 6);
    let unknown = client.members().await.unwrap_err();
    assert_eq!(unknown.exit(), Exit::Refused, "an older node: {unknown}");
}

#[test]
fn a_socket_path_is_accepted_at_the_limit_and_refused_beyond() {
    assert!(check_path(Path::new(&"x".repeat(SOCKET_PATH_BYTES_MAX))).is_ok());
    let failure = check_path(Path::new(&"x".repeat(SOCKET_PATH_BYTES_MAX + 1))).unwrap_err();
    assert_eq!(failure.exit(), Exit::Usage);
}

#[tokio::test]
async fn a_node_that_does_not_run_is_named_with_the_command_that_starts_it() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("admin.sock");
    let missing = NodeClient::connect(&socket, home.path()).await.unwrap_err();
    assert_eq!(missing.exit(), Exit::NodeUnreachable);
    assert!(missing.json()["hint"].as_str().unwrap().contains("fingerpostd run --home"));
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let left_over = NodeClient::connect(&socket, home.path()).await.unwrap_err();
    assert_eq!(left_over.exit(), Exit::NodeUnreachable);
    assert!(left_over.to_string().contains("left over"), "{left_over}");
}
