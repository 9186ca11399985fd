//! The sockets of the feed: how many, how long, and how much of a request before it is one.
//!
//! In: a bound socket and the routes. Out: answers, until told to stop; then those under way are finished.
//! Always: a connection holds one of a bounded number of places and gives it back in bounded time, whatever its reader
//! does; no error of `accept` ends the loop or makes it spin. Spec: `spec/10-feed.md`, section 9. Tested: below.

use fingerpost_proto::canary::{Canary, is_out};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::limits::{
    ACCEPT_PAUSE, ADDRESSES_REMEMBERED_MAX, CONNECTION_TIME_MAX, CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_FIELDS_MAX,
    HEAD_TIMEOUT, REQUESTS_AT_ONCE, REQUESTS_PER_SECOND, STOP_TIME_MAX,
};
use super::reply::Refusal;
use crate::rate::{Rate, Rates};
use crate::transport::network_of;

/// Limits of the feed's sockets. [`Default`] is what a node uses; tests use less.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connections_max: usize,
    head_timeout: Duration,
    connection_time_max: Duration,
    /// Of one address; `None`: requests are not counted.
    requests: Option<Rate>,
    /// Whose requests are counted.
    is_counted: fn(&IpAddr) -> bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: CONNECTIONS_MAX,
            head_timeout: HEAD_TIMEOUT,
            connection_time_max: CONNECTION_TIME_MAX,
            requests: Some(Rate::new(REQUESTS_AT_ONCE, REQUESTS_PER_SECOND)),
            // A web server on this machine asks for all its readers, and knows their addresses better.
            is_counted: |address| !address.to_canonical().is_loopback(),
        }
    }
}

/// Serves the routes until `stop` says true. `requests`: those of one address; `None`: as many as it likes.
pub(crate) async fn serve(socket: TcpListener, routes: Router, requests: Option<Rate>, stop: watch::Receiver<bool>) {
    serve_within(socket, routes, stop, Limits { requests, ..Limits::default() }).await;
}

/// Requests by address, where they are counted.
#[derive(Clone)]
struct Visitors {
    counted: Option<Arc<Mutex<Rates<IpAddr>>>>,
    is_counted: fn(&IpAddr) -> bool,
}

impl Visitors {
    fn new(limits: &Limits) -> Visitors {
        let counted = limits.requests.map(|rate| Arc::new(Mutex::new(Rates::new(rate, ADDRESSES_REMEMBERED_MAX))));
        Visitors { counted, is_counted: limits.is_counted }
    }

    /// Counts a request. `Some`: the answer to one too many.
    fn refusal(&self, address: IpAddr) -> Option<Response> {
        if is_out(Canary::ReaderLog) {
            tracing::info!(%address, "a reader asks");
        }
        if is_out(Canary::FeedPace) {
            return None;
        }
        let counted = self.counted.as_ref().filter(|_| (self.is_counted)(&address))?;
        // Every change is complete before anything that could panic.
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = counted.count(Instant::now(), network_of(address)).err()?;
        drop(counted);
        let seconds = wait.as_secs() + 1;
        let mut response = Refusal::TooMany { seconds }.into_json_reply().into_response();
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        Some(response)
    }
}

async fn serve_within(socket: TcpListener, routes: Router, mut stop: watch::Receiver<bool>, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let visitors = Visitors::new(&limits);
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_FIELDS_MAX);
    loop {
        // Without a place nothing is accepted: whoever comes then waits in the system's queue.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, remote)) => {
                let (routes, visitors) = (TowerToHyperService::new(routes.clone()), visitors.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let refusal = visitors.refusal(remote.ip());
                    let routes = routes.clone();
                    async move {
                        match refusal {
                            Some(refusal) => Ok(refusal),
                            None => routes.call(request).await,
                        }
                    }
                });
                let connection = graceful.watch(http.serve_connection(TokioIo::new(undelayed(stream)), service));
                tokio::spawn(async move {
                    // A reader who goes away, sends no request or takes too long is no news.
                    let _ = tokio::time::timeout(limits.connection_time_max, connection).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the feed cannot accept connections, trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    let _ = tokio::time::timeout(STOP_TIME_MAX, graceful.shutdown()).await;
}

/// Answers are written whole; waiting for more to send would only delay their ends.
fn undelayed(stream: TcpStream) -> TcpStream {
    let _ = stream.set_nodelay(true);
    stream
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    /// Longer than any test should take.
    const PATIENCE: Duration = Duration::from_secs(20);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    struct Feed {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        task: JoinHandle<()>,
    }

    async fn feed(limits: Limits) -> Feed {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "slow"
        });
        let routes = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/slow", slow)
            .route("/large", get(|| async { vec![b'x'; 64 * 1024 * 1024] }));
        let (stop, stopped) = watch::channel(false);
        Feed { address, stop, task: tokio::spawn(serve_within(socket, routes, stopped, limits)) }
    }

    fn limits() -> Limits {
        Limits {
            connections_max: 4,
            head_timeout: Duration::from_millis(500),
            connection_time_max: Duration::from_secs(2),
            ..Limits::default()
        }
    }

    /// Status and head of the answer to one request on a connection of its own.
    async fn asked(feed: &Feed) -> String {
        let mut stream = connect(feed).await;
        stream.write_all(REQUEST).await.unwrap();
        let mut buffer = [0; 4096];
        let count = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&buffer[..count]).to_lowercase()
    }

    #[tokio::test]
    async fn an_address_is_answered_as_often_as_its_limit_says_and_then_told_when_to_ask_again() {
        let rate = Rate::new(3, 1);
        let feed = feed(Limits { requests: Some(rate), is_counted: |_| true, ..limits() }).await;
        for _ in 0..3 {
            assert!(asked(&feed).await.starts_with("http/1.1 200"));
        }
        let refused = asked(&feed).await;
        assert!(refused.starts_with("http/1.1 429"), "{refused}");
        for line in ["retry-after: 1", "cache-control: no-store", "access-control-allow-origin: *", "\"status\":429"] {
            assert!(refused.contains(line), "{line}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_web_server_on_this_machine_and_who_switched_it_off_are_not_counted() {
        let rate = Some(Rate::new(1, 1));
        for limits in
            [Limits { requests: rate, ..limits() }, Limits { requests: None, is_counted: |_| true, ..limits() }]
        {
            let feed = feed(limits).await;
            for _ in 0..3 {
                assert!(asked(&feed).await.starts_with("http/1.1 200"));
            }
        }
        let is_counted = Limits::default().is_counted;
        for (address, counted) in
            [("127.0.0.1", false), ("::1", false), ("::ffff:127.0.0.1", false), ("192.0.2.1", true)]
        {
            assert_eq!(is_counted(&address.parse().unwrap()), counted, "{address}");
        }
    }

    async fn connect(feed: &Feed) -> TcpStream {
        TcpStream::connect(feed.address).await.unwrap()
    }

    /// How long until the connection is closed, reading what comes.
    async fn time_until_closed(stream: &mut TcpStream) -> Duration {
        let started = Instant::now();
        let mut buffer = [0; 4096];
        let closed = async { while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {} };
        timeout(PATIENCE, closed).await.expect("the connection stays open");
        started.elapsed()
    }

    async fn is_answered(stream: &mut TcpStream) -> bool {
        stream.write_all(REQUEST).await.unwrap();
        let mut buffer = [0; 4096];
        match timeout(Duration::from_millis(300), stream.read(&mut buffer)).await {
            Ok(Ok(count)) => buffer[..count].starts_with(b"HTTP/1.1 200"),
            _ => false,
        }
    }

    #[tokio::test]
    async fn a_connection_that_sends_nothing_half_a_request_or_no_second_one_is_closed_in_time() {
        let feed = feed(limits()).await;
        for beginning in [b"".as_slice(), b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n", REQUEST] {
            let mut stream = connect(&feed).await;
            stream.write_all(beginning).await.unwrap();
            let open = time_until_closed(&mut stream).await;
            assert!(open < Duration::from_secs(2), "{:?}: {open:?}", String::from_utf8_lossy(beginning));
        }
    }

    #[tokio::test]
    async fn a_request_that_trickles_in_is_cut_off() {
        let feed = feed(limits()).await;
        let mut stream = connect(&feed).await;
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let started = Instant::now();
        while stream.write_all(b"x: y\r\n").await.is_ok() {
            assert!(started.elapsed() < Duration::from_secs(3), "a request without an end is put up with");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    #[tokio::test]
    async fn a_reader_that_reads_nothing_gives_its_place_back() {
        let feed = feed(Limits { connections_max: 1, ..limits() }).await;
        let mut stalled = connect(&feed).await;
        stalled.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut next = connect(&feed).await;
        assert!(!is_answered(&mut next).await, "the only place is taken");
        let mut buffer = [0; 64];
        let count = timeout(PATIENCE, next.read(&mut buffer)).await.expect("the place is never free").unwrap();
        assert!(buffer[..count].starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn as_many_connections_as_there_are_places_are_served_and_the_next_waits_for_one() {
        let feed = feed(limits()).await;
        let mut open = Vec::new();
        for _ in 0..limits().connections_max {
            let mut stream = connect(&feed).await;
            assert!(is_answered(&mut stream).await);
            open.push(stream);
        }
        let mut waiting = connect(&feed).await;
        assert!(!is_answered(&mut waiting).await, "one more than there are places");
        drop(open.pop());
        let mut buffer = [0; 64];
        let count = timeout(PATIENCE, waiting.read(&mut buffer)).await.expect("never served").unwrap();
        assert!(buffer[..count].starts_with(b"HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn the_head_of_a_request_is_read_within_its_limits_and_refused_beyond() {
        let feed = feed(limits()).await;
        let request = |fields: usize, bytes: usize| {
            let fields = "x: y\r\n".repeat(fields);
            format!("GET / HTTP/1.1\r\nhost: x\r\n{fields}z: {}\r\n\r\n", "v".repeat(bytes))
        };
        let rest = request(0, 0).len();
        for (text, status) in [
            (request(HEAD_FIELDS_MAX - 2, 1), "200"),
            (request(HEAD_FIELDS_MAX - 1, 1), "431"),
            (request(0, HEAD_BYTES_MAX - rest), "200"),
            (request(0, HEAD_BYTES_MAX + 1), "431"),
        ] {
            let mut stream = connect(&feed).await;
            let _ = stream.write_all(text.as_bytes()).await;
            let mut buffer = [0; 64];
            let count = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
            let answer = String::from_utf8_lossy(&buffer[..count]).into_owned();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{} bytes: {answer}", text.len());
        }
    }

    #[tokio::test]
    async fn answers_under_way_are_finished_when_the_node_stops() {
        let feed = feed(limits()).await;
        let mut stream = connect(&feed).await;
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        feed.stop.send_replace(true);
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.ends_with("slow"), "{answer}");
        timeout(PATIENCE, feed.task).await.expect("serving ends").unwrap();
        assert!(TcpStream::connect(feed.address).await.is_err(), "the socket is closed");
    }
}
