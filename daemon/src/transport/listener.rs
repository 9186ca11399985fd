//! The listener: accepts connections, has each prove an admitted key in time, and hands them on.
//!
//! In: a socket address, the node's identity, [`Admission`]. Out: [`Incoming`], a stream of [`PeerConnection`]s.
//! Always: every socket holds a seat or is closed at once; a handshake is over at its deadline; no error of `accept`
//! ends the loop or makes it spin.
//! Spec: `spec/06-link.md`, sections 1.4 to 1.6. Tested: `transport/tests.rs`.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;

use super::connection::PeerConnection;
use super::counters::{ListenerCounters, count};
use super::seats::{ACCEPTS_PER_ADDRESS, ACCEPTS_PER_KEY, Full, Seat, Seats};
use super::tls::{ALPN, Verdict, server_config};
use super::{Admission, PeerIdentity, TlsIdentity};
use crate::rate::Rate;
use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::limits::LINKS_MAX;

/// Open connections. Twice the links that a node keeps: room for invitees and for links made from both sides at once.
pub const CONNECTIONS_MAX: usize = 2 * LINKS_MAX;
/// Open connections of one key. One is enough; a redial may overlap with the connection that it replaces.
pub const CONNECTIONS_PER_KEY_MAX: usize = 4;
/// Open connections of one organisation. In a mesh of 30 others all of them may be one organisation's nodes, two of them
/// dialling anew; four times as many fit, so that no organisation keeps the others out.
pub const CONNECTIONS_PER_ORGANISATION_MAX: usize = 32;
/// Open connections of all organisations that this node carries: a quarter, so that guests never keep members' nodes out.
pub const CONNECTIONS_HOSTED_MAX: usize = 32;
/// Open connections of one organisation that this node carries. Commands run one after the other, on a few computers.
pub const CONNECTIONS_PER_HOSTED_MAX: usize = 4;
/// Sockets of one address (IPv6: one /64), handshakes included. Partners behind one NAT share it.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 32;
/// Handshakes in progress. At about 30 KiB each: 8 MiB; one address can hold an eighth of them.
pub const PENDING_HANDSHAKES_MAX: usize = 256;
/// From `accept` to a complete handshake, and from there to the start of HTTP/2: two round trips on the slowest link.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// A connection over which nothing is asked, from its start or the end of its last stream. Clients open one at once.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(10);
/// Something waits to be written and the peer takes none of it. Longer than keepalive waits for a sign of life; on the
/// slowest line some of it goes every second.
pub const STALL_DEADLINE: Duration = Duration::from_secs(20);

const _: () = assert!(CONNECTIONS_PER_ADDRESS_MAX * 8 <= PENDING_HANDSHAKES_MAX);
const _: () = assert!(CONNECTIONS_PER_KEY_MAX <= CONNECTIONS_PER_ADDRESS_MAX);
const _: () = assert!(CONNECTIONS_PER_KEY_MAX <= CONNECTIONS_PER_ORGANISATION_MAX);
const _: () = assert!(CONNECTIONS_PER_ORGANISATION_MAX * 4 <= CONNECTIONS_MAX);
const _: () = assert!(CONNECTIONS_HOSTED_MAX * 4 <= CONNECTIONS_MAX);
const _: () = assert!(CONNECTIONS_PER_HOSTED_MAX * 8 <= CONNECTIONS_HOSTED_MAX);

/// First pause after an error of `accept`; it doubles up to [`ACCEPT_PAUSE_MAX`].
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
/// Longest pause after an error of `accept`: how late a node is back once files can be opened again.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a refused client is given to read why, before its socket is closed.
const REFUSAL_LINGER: Duration = Duration::from_secs(1);
/// Bytes of a refused client that are read and dropped meanwhile.
const REFUSAL_LINGER_BYTES_MAX: usize = 64 * 1024;

/// Limits of a listener. [`Default`] is what a node uses; tests use less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// [`CONNECTIONS_MAX`].
    pub connections_max: usize,
    /// [`CONNECTIONS_PER_KEY_MAX`].
    pub connections_per_key_max: usize,
    /// [`CONNECTIONS_PER_ORGANISATION_MAX`].
    pub connections_per_organisation_max: usize,
    /// [`CONNECTIONS_HOSTED_MAX`].
    pub connections_hosted_max: usize,
    /// [`CONNECTIONS_PER_HOSTED_MAX`].
    pub connections_per_hosted_max: usize,
    /// [`CONNECTIONS_PER_ADDRESS_MAX`].
    pub connections_per_address_max: usize,
    /// [`PENDING_HANDSHAKES_MAX`].
    pub pending_handshakes_max: usize,
    /// [`ACCEPTS_PER_ADDRESS`].
    pub accepts_per_address: Rate,
    /// [`ACCEPTS_PER_KEY`].
    pub accepts_per_key: Rate,
    /// [`HANDSHAKE_DEADLINE`].
    pub handshake_deadline: Duration,
    /// [`IDLE_DEADLINE`].
    pub idle_deadline: Duration,
    /// [`STALL_DEADLINE`].
    pub stall_deadline: Duration,
}

impl Default for ListenerLimits {
    fn default() -> ListenerLimits {
        ListenerLimits {
            connections_max: CONNECTIONS_MAX,
            connections_per_key_max: CONNECTIONS_PER_KEY_MAX,
            connections_per_organisation_max: CONNECTIONS_PER_ORGANISATION_MAX,
            connections_hosted_max: CONNECTIONS_HOSTED_MAX,
            connections_per_hosted_max: CONNECTIONS_PER_HOSTED_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            pending_handshakes_max: PENDING_HANDSHAKES_MAX,
            accepts_per_address: ACCEPTS_PER_ADDRESS,
            accepts_per_key: ACCEPTS_PER_KEY,
            handshake_deadline: HANDSHAKE_DEADLINE,
            idle_deadline: IDLE_DEADLINE,
            stall_deadline: STALL_DEADLINE,
        }
    }
}

/// Why a node does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, not ours or not allowed.
    #[error("cannot listen on {address}: {source}; is another daemon running, or is the address not this machine's?")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound socket that accepts nothing until [`Listener::start`].
pub struct Listener {
    socket: TcpListener,
    local_address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

struct Shared {
    identity: TlsIdentity,
    admission: Arc<dyn Admission>,
    limits: ListenerLimits,
    seats: Seats,
    counters: Arc<ListenerCounters>,
}

impl Listener {
    /// Binds `address`; port 0 lets the system choose one.
    pub async fn bind(
        address: SocketAddr,
        identity: TlsIdentity,
        admission: Arc<dyn Admission>,
        limits: ListenerLimits,
    ) -> Result<Listener, ListenError> {
        let fault = |source| ListenError::Bind { address, source };
        let socket = TcpListener::bind(address).await.map_err(fault)?;
        let local_address = socket.local_addr().map_err(fault)?;
        let seats = Seats::new(limits);
        let counters = Arc::new(ListenerCounters::new());
        let shared = Arc::new(Shared { identity, admission, limits, seats, counters });
        Ok(Listener { socket, local_address, shared, stop: watch::Sender::new(false) })
    }

    /// The address that was bound, with its real port.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// A handle that stays of use after [`Listener::start`].
    pub fn control(&self) -> ListenerControl {
        ListenerControl { shared: Arc::clone(&self.shared), stop: self.stop.clone() }
    }

    /// Starts to accept, in a task of the current runtime, until stopped or until the stream is dropped.
    pub fn start(self) -> Incoming {
        let Listener { socket, shared, stop, .. } = self;
        start_with(socket, shared, &stop)
    }
}

fn start_with(socket: impl Accept, shared: Arc<Shared>, stop: &watch::Sender<bool>) -> Incoming {
    // The table of seats bounds what waits here; the channel needs no room of its own.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(accept_until_stopped(socket, shared, sender, stop.subscribe()));
    Incoming { receiver }
}

/// Stops a listener, rechecks its peers and reads its counters. Cheap to clone.
#[derive(Clone)]
pub struct ListenerControl {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl ListenerControl {
    /// Closes the socket, drops unfinished handshakes and ends [`Incoming`].
    ///
    /// A tonic server that is fed from it then finishes the calls in progress, takes no new ones, and returns.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Asks [`Admission`] about the key of every open connection again and cuts those refused now. Returns how many.
    ///
    /// To be called when the members or the registered invites changed.
    pub fn recheck(&self) -> usize {
        let cut = self.shared.seats.cut_unless(|key| self.shared.admission.admit(key).is_some());
        self.shared.counters.cut.fetch_add(cut as u64, std::sync::atomic::Ordering::Relaxed);
        cut
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.shared.seats.open()
    }

    /// What the listener has done so far.
    pub fn counters(&self) -> Arc<ListenerCounters> {
        Arc::clone(&self.shared.counters)
    }
}

/// Accepted connections, for `serve_with_incoming_shutdown`. Dropping it closes the listening socket.
pub struct Incoming {
    receiver: mpsc::Receiver<PeerConnection>,
}

impl Stream for Incoming {
    type Item = Result<PeerConnection, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

/// Where sockets come from; tests put errors in between.
trait Accept: Send + 'static {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>>;
}

impl Accept for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        TcpListener::poll_accept(self, cx)
    }
}

async fn accept_until_stopped(
    mut socket: impl Accept,
    shared: Arc<Shared>,
    sender: mpsc::Sender<PeerConnection>,
    mut stop: watch::Receiver<bool>,
) {
    // Dropped at the end, which aborts the handshakes in it.
    let mut handshakes = JoinSet::new();
    let mut pause = ACCEPT_PAUSE_MIN;
    loop {
        let accepted = tokio::select! {
            _ = stopped(&mut stop) => return,
            () = sender.closed() => return,
            Some(_) = handshakes.join_next() => continue,
            accepted = poll_fn(|cx| socket.poll_accept(cx)) => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                pause = ACCEPT_PAUSE_MIN;
                count(&shared.counters.accepted);
                match shared.seats.take(remote.ip()) {
                    Ok(seat) => {
                        handshakes.spawn(hand_on(stream, remote, seat, Arc::clone(&shared), sender.clone()));
                    }
                    // Closed without a word: a handshake is what there is no room for.
                    Err(full) => shared.on_full(full, remote),
                }
            }
            Err(error) if concerns_one_socket(&error) => count(&shared.counters.accept_errors),
            Err(_) if is_out(Canary::AcceptErrors) => return,
            Err(error) => {
                count(&shared.counters.accept_errors);
                tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept connections, trying again");
                tokio::select! {
                    _ = stopped(&mut stop) => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
    }
}

/// Resolves when the listener is to stop. A sender that is gone does not stop it; the end of [`Incoming`] does.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether `accept` failed only for the connection at the head of the queue. Waiting would then let strangers who hang
/// up early slow down everyone else; other errors (no file handles, no memory) last, and asking again at once would spin.
fn concerns_one_socket(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkDown,
        NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    )
}

async fn hand_on(
    stream: TcpStream,
    remote: SocketAddr,
    seat: Seat,
    shared: Arc<Shared>,
    sender: mpsc::Sender<PeerConnection>,
) {
    if let Some(connection) = shared.handshake(stream, remote, seat).await {
        count(&shared.counters.admitted);
        let identity = connection.identity();
        tracing::debug!(key = %identity.key, %remote, admitted = ?identity.admitted, "peer connected");
        // Fails only when the stream of connections was dropped, and then the loop ends as well.
        let _ = sender.send(connection).await;
    }
}

impl Shared {
    async fn handshake(&self, stream: TcpStream, remote: SocketAddr, mut seat: Seat) -> Option<PeerConnection> {
        let deadline = Instant::now() + self.limits.handshake_deadline;
        let verdict = Arc::new(OnceLock::new());
        // Small frames of a link must not wait for each other. Failing to ask for it is no reason to refuse.
        let _ = stream.set_nodelay(true);
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&self.identity, &self.admission, &verdict)));
        match timeout_at(deadline, acceptor.accept(stream).into_fallible()).await {
            Err(_) => {
                count(&self.counters.handshake_timeouts);
                self.log(|| tracing::info!(%remote, "closed: no complete handshake in time"));
                None
            }
            Ok(Err((error, stream))) => {
                self.on_failure(&error, verdict.get(), remote);
                linger(stream, deadline).await;
                None
            }
            Ok(Ok(stream)) => {
                let admitted = verdict.get().and_then(|verdict| Some((verdict.key, verdict.admitted?)));
                // No admitted key after a complete handshake cannot be: it is mandatory and never resumed.
                let (Some((key, admitted)), Some(ALPN)) = (admitted, stream.get_ref().1.alpn_protocol()) else {
                    count(&self.counters.handshake_failures);
                    self.log(|| tracing::info!(%remote, "closed: the client did not ask for h2"));
                    return None;
                };
                match seat.settle(key, self.admission.organisation(&key), admitted) {
                    Ok(when_cut) => {
                        let identity = PeerIdentity { key, admitted, remote_address: remote };
                        Some(PeerConnection::new(stream, identity, when_cut, &self.limits, seat))
                    }
                    Err(full) => {
                        self.on_full(full, remote);
                        None
                    }
                }
            }
        }
    }

    fn on_failure(&self, error: &io::Error, verdict: Option<&Verdict>, remote: SocketAddr) {
        if let Some(Verdict { key, admitted: None }) = verdict {
            count(&self.counters.refused_key);
            self.log(|| tracing::info!(%key, %remote, "refused: this key belongs to no member and no open invite"));
        } else {
            count(&self.counters.handshake_failures);
            self.log(|| tracing::info!(%remote, %error, "closed: the handshake failed"));
        }
    }

    fn on_full(&self, full: Full, remote: SocketAddr) {
        count(&self.counters.refused_limit);
        let limit = full.limit();
        self.log(|| tracing::info!(%remote, limit, "closed: a limit of connections is reached"));
    }

    fn log(&self, line: impl FnOnce()) {
        if self.counters.may_log(std::time::Instant::now()) {
            line();
        }
    }
}

/// Keeps a refused socket until the client has had time to read the alert. Closing it with unread bytes would make the
/// system reset the connection, and the client would see "connection reset" instead of why it was refused.
async fn linger(mut stream: TcpStream, deadline: Instant) {
    let deadline = deadline.min(Instant::now() + REFUSAL_LINGER);
    let drain = async {
        stream.shutdown().await?;
        let mut scratch = [0; 1024];
        let mut left = REFUSAL_LINGER_BYTES_MAX;
        while left > 0 {
            let found = stream.read(&mut scratch).await?;
            if found == 0 {
                break;
            }
            left = left.saturating_sub(found);
        }
        io::Result::Ok(())
    };
    // Whatever happens here, the socket is closed next.
    let _ = timeout_at(deadline, drain).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Fails `errors` times, then accepts.
    struct Failing {
        errors: Vec<io::Error>,
        asked: Arc<std::sync::atomic::AtomicU64>,
        socket: TcpListener,
    }

    impl Accept for Failing {
        fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
            count(&self.asked);
            match self.errors.pop() {
                Some(error) => Poll::Ready(Err(error)),
                None => self.socket.poll_accept(cx),
            }
        }
    }

    struct Nobody;

    impl Admission for Nobody {
        fn admit(&self, _: &fingerpost_proto::key::PublicKey) -> Option<super::super::Admitted> {
            None
        }

        fn organisation(&self, _: &fingerpost_proto::key::PublicKey) -> Option<fingerpost_proto::id::OrgId> {
            None
        }
    }

    async fn listener() -> Listener {
        let identity = TlsIdentity::new(&ed25519_dalek::SigningKey::from_bytes(&[1; 32])).unwrap();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Listener::bind(loopback, identity, Arc::new(Nobody), ListenerLimits::default()).await.unwrap()
    }

    #[tokio::test]
    async fn running_out_of_file_handles_slows_the_loop_down_and_does_not_end_it() {
        let Listener { socket, local_address, shared, stop } = listener().await;
        let errors = (0..5).map(|_| io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())).collect();
        let asked = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counters = Arc::clone(&shared.counters);
        let started = Instant::now();
        let _incoming = start_with(Failing { errors, asked: Arc::clone(&asked), socket }, shared, &stop);
        let _client = TcpStream::connect(local_address).await.unwrap();
        while counters.counts().accepted == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // 10 + 20 + 40 + 80 + 160 ms of pauses.
        assert!(started.elapsed() >= Duration::from_millis(310), "{:?}", started.elapsed());
        assert_eq!(counters.counts().accept_errors, 5);
        let asked = asked.load(std::sync::atomic::Ordering::Relaxed);
        assert!(asked < 20, "asked {asked} times: the loop spins");
    }

    #[tokio::test]
    async fn clients_that_hang_up_before_they_are_accepted_slow_nobody_down() {
        let Listener { socket, local_address, shared, stop } = listener().await;
        let errors = (0..200).map(|_| io::ErrorKind::ConnectionAborted.into()).collect();
        let counters = Arc::clone(&shared.counters);
        let started = Instant::now();
        let _incoming = start_with(Failing { errors, asked: Arc::default(), socket }, shared, &stop);
        let _client = TcpStream::connect(local_address).await.unwrap();
        while counters.counts().accepted == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert_eq!(counters.counts().accept_errors, 200);
    }

    #[tokio::test]
    async fn a_taken_address_is_named_in_the_error() {
        let first = listener().await;
        let identity = TlsIdentity::new(&ed25519_dalek::SigningKey::from_bytes(&[1; 32])).unwrap();
        let second = Listener::bind(first.local_address(), identity, Arc::new(Nobody), ListenerLimits::default()).await;
        let error = second.err().unwrap().to_string();
        assert!(error.contains(&first.local_address().to_string()), "{error}");
    }
}
