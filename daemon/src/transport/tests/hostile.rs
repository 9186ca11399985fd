//! What an admitted but hostile peer can make this node hold in memory.

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tonic::codegen::http;

use super::super::tls::client_config;
use super::*;

/// Bare HTTP/2 to `host`, so that a test can break off messages where no gRPC client would.
async fn http2(host: &Host, seed: u8) -> SendRequest<Bytes> {
    let config = client_config(&identity(seed), public(1), false);
    let socket = TcpStream::connect(host.address).await.unwrap();
    let name = ServerName::try_from("node.fingerpost.invalid").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    // No stream before the server has said how many it allows.
    let (requests, connection) =
        h2::client::Builder::new().initial_max_send_streams(0).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

fn link_request() -> http::Request<()> {
    let request = http::Request::post("http://node.fingerpost.invalid/fingerpost.v1.Peer/Link");
    request.header("content-type", "application/grpc").header("te", "trailers").body(()).unwrap()
}

/// Asks for twice as many streams as allowed; each begins a message of `promised` bytes and pushes as much of it as the
/// server takes. Returns the number of streams that the server answered and the bytes that it took.
async fn push_unfinished_messages(host: &Host, promised: usize) -> (usize, usize) {
    let pause = Duration::from_millis(500);
    let mut requests = http2(host, 2).await;
    let mut pushes = tokio::task::JoinSet::new();
    for _ in 0..2 * STREAMS_PER_CONNECTION_MAX {
        let (response, mut body) = requests.send_request(link_request(), false).unwrap();
        requests = requests.ready().await.unwrap();
        pushes.spawn(async move {
            let answer = tokio::time::timeout(pause, response).await.ok();
            let header = [&[0], u32::try_from(promised).unwrap().to_be_bytes().as_slice()].concat();
            let mut left = Bytes::from([header, vec![0; promised - 1]].concat());
            let mut taken = 0;
            while answer.is_some() && !left.is_empty() {
                body.reserve_capacity(left.len());
                let granted = std::future::poll_fn(|cx| body.poll_capacity(cx));
                let Ok(Some(Ok(granted))) = tokio::time::timeout(pause, granted).await else { break };
                if body.send_data(left.split_to(granted), false).is_err() {
                    break;
                }
                taken += granted;
            }
            // Kept open to the end, or what they hold would be free for the next.
            (answer, body, taken)
        });
    }
    let mut held = Vec::new();
    while let Some(push) = pushes.join_next().await {
        held.push(push.unwrap());
    }
    let answered = held.iter().filter(|(answer, _, _)| answer.is_some()).count();
    (answered, held.iter().map(|(_, _, taken)| taken).sum())
}

async fn host(reads_nothing: bool) -> Host {
    let mirror = Mirror { reads_nothing, ..Mirror::default() };
    let host = Host::start_with(ListenerLimits::default(), identity(1), mirror).await;
    host.invite(2, Admitted::Member);
    host
}

#[tokio::test]
async fn what_handlers_do_not_read_is_bounded_by_the_window_of_the_connection() {
    let host = host(true).await;
    let (streams, taken) = push_unfinished_messages(&host, MESSAGE_BYTES_MAX).await;
    assert_eq!(streams, STREAMS_PER_CONNECTION_MAX as usize);
    assert!(taken <= CONNECTION_WINDOW_BYTES as usize, "{taken} bytes taken");
}

#[tokio::test]
async fn unfinished_messages_of_one_connection_are_bounded_by_streams_times_message_size() {
    let host = host(false).await;
    let (streams, taken) = push_unfinished_messages(&host, MESSAGE_BYTES_MAX).await;
    assert_eq!(streams, STREAMS_PER_CONNECTION_MAX as usize);
    let bound = streams * (MESSAGE_BYTES_MAX + 5) + CONNECTION_WINDOW_BYTES as usize;
    assert!(taken <= bound, "{taken} bytes taken, {bound} allowed");
}

#[tokio::test]
async fn a_message_of_the_largest_size_is_taken_and_one_byte_more_is_refused_before_it_is_read() {
    let host = host(false).await;
    let mut requests = http2(&host, 2).await;
    for (promised, refused) in [(MESSAGE_BYTES_MAX, false), (MESSAGE_BYTES_MAX + 1, true)] {
        let (response, mut body) = requests.send_request(link_request(), false).unwrap();
        requests = requests.ready().await.unwrap();
        let mut header = vec![0];
        header.extend(u32::try_from(promised).unwrap().to_be_bytes());
        body.send_data(header.into(), false).unwrap();
        let mut reply = response.await.unwrap().into_body();
        // Only the header of the message has been sent, so an answer now is a refusal.
        let ended = tokio::time::timeout(Duration::from_millis(500), reply.trailers()).await;
        assert_eq!(ended.is_ok(), refused, "{promised} bytes: {ended:?}");
        if let Ok(trailers) = ended {
            let trailers = trailers.unwrap().unwrap();
            assert_eq!(trailers["grpc-status"], "11", "OUT_OF_RANGE");
        }
    }
}
