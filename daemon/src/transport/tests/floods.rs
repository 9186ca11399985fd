//! Floods of HTTP/2 frames by an admitted peer: each is cut off, or held up by what it does not read.
//!
//! Frames are written by hand: libraries do not send what is wrong. Which of this h2 does by itself, and which our settings
//! and deadlines do, stands at each test.

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

use super::super::tls::client_config;
use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// Flag of answers to SETTINGS and PING.
const ACK: u8 = 1;
/// A peer that takes nothing for so long is held up.
const STALL: Duration = Duration::from_secs(2);
/// What sockets and TLS hold of a flood that nobody reads, in bytes; what a node holds must be far less.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One frame of HTTP/2. RFC 9113, section 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a call of `Link`, in HPACK without compression.
fn link_headers() -> Vec<u8> {
    let literal = |name: &[u8], value: &[u8]| {
        let length = |text: &[u8]| u8::try_from(text.len()).unwrap();
        [&[0, length(name)], name, &[length(value)], value].concat()
    };
    [
        // :method POST, :scheme http
        vec![0x83, 0x86],
        literal(b":path", b"/fingerpost.v1.Peer/Link"),
        literal(b":authority", b"x"),
        literal(b"content-type", b"application/grpc"),
        literal(b"te", b"trailers"),
    ]
    .concat()
}

type Ends = (ReadHalf<TlsStream<TcpStream>>, WriteHalf<TlsStream<TcpStream>>);

/// TLS to the host as guest 2, with the beginning of HTTP/2 sent.
async fn begun(host: &Host) -> Ends {
    let config = client_config(&identity(2), public(1), false);
    let socket = TcpStream::connect(host.address).await.unwrap();
    let name = ServerName::try_from("node.fingerpost.invalid").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    let (reader, mut writer) = tokio::io::split(stream);
    writer.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat()).await.unwrap();
    (reader, writer)
}

/// How a flood ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The node closed the connection.
    Cut,
    /// The node reads no more for now.
    HeldUp,
    /// All of it was sent.
    Sent,
}

/// Sends frames until the node ends it. With `reads` the peer takes what the node says, and else nothing. Returns how it
/// ended, after how many bytes, and what the node said.
async fn flood(
    (mut reader, mut writer): Ends,
    reads: bool,
    frames: impl Iterator<Item = Vec<u8>>,
) -> (End, usize, Vec<u8>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (heard, (done, is_done)) = (Arc::clone(&said), oneshot::channel::<()>());
    let listening = tokio::spawn(async move {
        let mut buffer = [0; 16 * 1024];
        while reads && let Ok(count @ 1..) = reader.read(&mut buffer).await {
            heard.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
        if !reads {
            let _ = is_done.await;
        }
    });
    let (mut sent, mut end, mut frames) = (0, End::Sent, frames.peekable());
    while frames.peek().is_some() {
        let batch: Vec<u8> = frames.by_ref().take(64).flatten().collect();
        match timeout(STALL, writer.write_all(&batch)).await {
            Ok(Ok(())) => sent += batch.len(),
            Ok(Err(_)) => end = End::Cut,
            Err(_) => end = End::HeldUp,
        }
        if end != End::Sent || reads && listening.is_finished() {
            break;
        }
    }
    if reads
        && end == End::Sent
        && timeout(STALL, async {
            while !listening.is_finished() {
                tokio::task::yield_now().await
            }
        })
        .await
        .is_ok()
    {
        end = End::Cut;
    }
    drop(done);
    listening.abort();
    let said = said.lock().unwrap().clone();
    (end, sent, said)
}

async fn host(limits: ListenerLimits, reads_nothing: bool) -> Host {
    let host = Host::start_with(limits, identity(1), Mirror { reads_nothing, ..Mirror::default() }).await;
    host.invite(2, Admitted::Member);
    host
}

async fn assert_seat_is_free(host: &Host) {
    until("the seat is free", || host.control.connections() == 0).await;
}

/// Frames of this kind in what the node said.
fn frames_of(mut said: &[u8], kind: u8) -> usize {
    let mut found = 0;
    while let Some((head, rest)) = said.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        found += usize::from(head[3] == kind);
        said = rest.get(length..).unwrap_or_default();
    }
    found
}

// h2, with our PENDING_RESET_STREAMS_MAX.
#[tokio::test]
async fn a_flood_of_opened_and_reset_streams_costs_the_connection() {
    let host = host(ListenerLimits::default(), true).await;
    let headers = link_headers();
    let resets = (0..50_000).map(|number| {
        let stream = 2 * number + 1;
        [frame(HEADERS, END_HEADERS, stream, &headers), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    });
    let (end, ..) = flood(begun(&host).await, true, resets).await;
    assert_eq!(end, End::Cut);
    assert_seat_is_free(&host).await;
    assert!(host.calls() < 1_000, "{} calls reached a handler", host.calls());
}

// h2, by our HEADER_LIST_BYTES_MAX: it allows only so many pieces as a list of that size can need.
#[tokio::test]
async fn headers_that_never_end_cost_the_connection() {
    for piece in [vec![], vec![0; 1], [&[0, 1, b'x', 100], [b'v'; 100].as_slice()].concat()] {
        let host = host(ListenerLimits::default(), true).await;
        let first = frame(HEADERS, 0, 1, &link_headers());
        let more = (0..400_000).map(|_| frame(CONTINUATION, 0, 1, &piece));
        let (end, sent, _) = flood(begun(&host).await, true, std::iter::once(first).chain(more)).await;
        assert_eq!(end, End::Cut, "pieces of {} bytes", piece.len());
        assert!(sent < HELD_BYTES_MAX, "{sent} bytes of pieces of {}", piece.len());
        assert_seat_is_free(&host).await;
        assert_eq!(host.calls(), 0);
    }
}

// h2, by our HEADER_LIST_BYTES_MAX.
#[tokio::test]
async fn a_list_of_headers_beyond_its_limit_reaches_no_handler() {
    let host = host(ListenerLimits::default(), true).await;
    let field = [&[0, 1, b'x', 100], [b'v'; 100].as_slice()].concat();
    let of = |fields: usize, stream: u32| {
        frame(HEADERS, END_HEADERS, stream, &[link_headers(), field.repeat(fields)].concat())
    };
    // A field counts 32 bytes beyond its name and value.
    let fields = HEADER_LIST_BYTES_MAX as usize / 133;
    let (.., said) = flood(begun(&host).await, true, [of(fields - 4, 1)].into_iter()).await;
    assert_eq!((host.calls(), frames_of(&said, RST_STREAM)), (1, 0), "within the limit");
    let (.., said) = flood(begun(&host).await, true, [of(fields + 1, 1)].into_iter()).await;
    assert_eq!(host.calls(), 1, "beyond the limit: {said:?}");
}

// h2 answers one at a time and reads no more until its answer is written; our STALL_DEADLINE then cuts what never reads.
// Keepalive gives it up as well, but its farewell would wait behind the answers for ever.
#[tokio::test]
async fn settings_and_pings_whose_answers_nobody_reads_hold_up_the_peer_and_then_cut_it() {
    for endless in [frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]), frame(PING, 0, 0, &[7; 8])] {
        let stall_deadline = Duration::from_secs(1);
        let limits = ListenerLimits { idle_deadline: 10 * PATIENCE, stall_deadline, ..ListenerLimits::default() };
        let host = host(limits, true).await;
        let (reader, mut writer) = begun(&host).await;
        let started = Instant::now();
        let batch = endless.repeat(4_096);
        let mut sent = 0;
        while timeout(PATIENCE, writer.write_all(&batch)).await.unwrap().is_ok() {
            sent += batch.len();
            assert!(sent < HELD_BYTES_MAX, "{sent} bytes taken of a peer that reads nothing");
        }
        assert!(
            started.elapsed() < KEEPALIVE_INTERVAL + KEEPALIVE_TIMEOUT,
            "cut by what, after {:?}",
            started.elapsed()
        );
        assert_seat_is_free(&host).await;
        drop(reader);
    }
}

// Our IDLE_DEADLINE: a connection on which nothing is asked ends, whatever else goes over it.
#[tokio::test]
async fn settings_and_pings_without_a_call_end_at_the_idle_deadline() {
    for endless in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[7; 8]), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 0])] {
        let limits = ListenerLimits { idle_deadline: Duration::from_secs(1), ..ListenerLimits::default() };
        let host = host(limits, true).await;
        let started = Instant::now();
        let (end, ..) = flood(begun(&host).await, true, std::iter::repeat(endless)).await;
        assert_eq!(end, End::Cut);
        assert!(started.elapsed() < 10 * limits.idle_deadline, "{:?}", started.elapsed());
        assert_seat_is_free(&host).await;
    }
}

// h2, with our STREAMS_PER_CONNECTION_MAX: further streams are refused, and refusals beyond ERROR_RESET_STREAMS_MAX end it.
#[tokio::test]
async fn streams_beyond_the_limit_reach_no_handler_and_cost_the_connection() {
    let host = host(ListenerLimits::default(), true).await;
    let headers = link_headers();
    let opened = (0..20_000).map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, &headers));
    let (end, ..) = flood(begun(&host).await, true, opened).await;
    assert!(host.calls() <= u64::from(STREAMS_PER_CONNECTION_MAX), "{} calls", host.calls());
    assert_eq!(end, End::Cut);
    assert_seat_is_free(&host).await;
}

// h2 since 0.4.16.
#[tokio::test]
async fn empty_data_that_costs_no_window_does_not_pile_up() {
    let host = host(ListenerLimits::default(), true).await;
    let first = frame(HEADERS, END_HEADERS, 1, &link_headers());
    let empty = (0..4_000_000).map(|_| frame(DATA, 0, 1, &[]));
    let (end, sent, _) = flood(begun(&host).await, true, std::iter::once(first).chain(empty)).await;
    assert_ne!(end, End::Sent, "four million empty frames were taken");
    assert!(sent < HELD_BYTES_MAX, "{sent} bytes");
}
