//! Dialling: one connection to the node that holds an expected key.
//!
//! In: an address, the expected key, the identity to show. Out: a tonic channel over exactly one connection, or why not.
//! Always: a returned channel belongs to a server that proved `expected` *and* has answered: in TLS 1.3 the client's
//! handshake is complete before the server has looked at the client's key, so a refusal comes later, as an alert in place
//! of the first HTTP/2 frame. The channel never connects again by itself; when it ends, dial again.
//! Spec: `spec/06-link.md`, sections 1.3, 1.4 and 1.7. Tested: `daemon/src/transport/tests.rs`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::ENDPOINT_BYTES_MAX;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::tls::{ALPN, KeyMismatch, TlsIdentity, client_config};
use super::{
    CONNECTION_WINDOW_BYTES, ERROR_RESET_STREAMS_MAX, HEADER_LIST_BYTES_MAX, HTTP2_FRAME_BYTES_MAX, KEEPALIVE_INTERVAL,
    KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES,
};

/// From the name look-up to the server's first answer. Longer than the server's deadline for the handshake.
pub const DIAL_DEADLINE: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried; what DNS says is not ours to trust.
const ADDRESSES_PER_NAME_MAX: usize = 8;
/// Head start of each address over the next: one that swallows packets must not cost the whole deadline.
const ADDRESS_HEAD_START: Duration = Duration::from_millis(250);
/// `:authority` of every request; the name that a certificate of this software carries. Servers ignore it.
const AUTHORITY: &str = "http://node.fingerpost.invalid";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The text is no `host:port`.
    #[error("\"{address}\" is not an address of a node; write host:port, for example node.example.org:7474")]
    BadAddress {
        /// What was given, escaped and shortened.
        address: String,
    },
    /// The name does not resolve, or nothing accepts connections there.
    #[error("cannot reach {address}: {source}; is the node running, and is its port open to the outside?")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system said about the last address tried.
        source: io::Error,
    },
    /// What answers there is no node.
    #[error("what answers at {address} is not a Fingerpost node: {found}; check host and port")]
    NotTls {
        /// Where.
        address: String,
        /// What it did instead.
        found: String,
    },
    /// A node answers, but it is another one.
    #[error(
        "the node at {address} has the key {found}, expected was {expected}; either it was set up anew (ask its people for the new key) or this is not the node that it claims to be"
    )]
    WrongKey {
        /// Where.
        address: String,
        /// The key that was asked for.
        expected: PublicKey,
        /// The key in the server's certificate. It was not proved.
        found: PublicKey,
    },
    /// The server does not admit the key of this side.
    #[error(
        "the node at {address} does not know this node's key {own}; ask them whether this organisation's card has reached them and names this key"
    )]
    RefusedByPeer {
        /// Where.
        address: String,
        /// The key that this side showed.
        own: PublicKey,
    },
    /// The server hung up without a reason.
    #[error(
        "the node at {address} closed the connection before it answered ({source}); it may have no room for more connections, try again later"
    )]
    Closed {
        /// Where.
        address: String,
        /// What was seen.
        source: io::Error,
    },
    /// The handshake failed in another way.
    #[error("no secure connection to {address}: {source}")]
    Handshake {
        /// Where.
        address: String,
        /// What TLS or HTTP/2 said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{address} did not answer within {} ms while {step}", after.as_millis())]
    Timeout {
        /// Where.
        address: String,
        /// The deadline.
        after: Duration,
        /// What was being waited for.
        step: &'static str,
    },
}

/// Connects to the node at `address` (`host:port`), which must hold the key `expected`.
///
/// `identity` is what this side shows: the node key, or an invite's one-time key. Returns only when the server has
/// admitted that key, and within `deadline` (usually [`DIAL_DEADLINE`]). When the channel's connection ends, its calls
/// fail with `Unavailable`; it does not connect again.
pub async fn dial(
    address: &str,
    expected: PublicKey,
    identity: &TlsIdentity,
    deadline: Duration,
) -> Result<Channel, DialError> {
    let until = Instant::now() + deadline;
    let host = host_of(address)?;
    let late = |step| move |_| DialError::Timeout { address: address.to_owned(), after: deadline, step };
    let unreachable = |source| DialError::Unreachable { address: address.to_owned(), source };

    let addresses = timeout_at(until, tokio::net::lookup_host(address))
        .await
        .map_err(late("looking up its name"))?
        .map_err(unreachable)?
        .take(ADDRESSES_PER_NAME_MAX)
        .collect();
    let socket = timeout_at(until, connect_first(addresses)).await.map_err(late("connecting"))?.map_err(unreachable)?;
    // Small frames of a link must not wait for each other. Failing to ask for it is no reason to give up.
    let _ = socket.set_nodelay(true);

    let fault = |error| fault_of(address, identity.public(), error);
    let (name, send_name) = server_name(host);
    let connector = TlsConnector::from(Arc::new(client_config(identity, expected, send_name)));
    let stream =
        timeout_at(until, connector.connect(name, socket)).await.map_err(late("shaking hands"))?.map_err(fault)?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(DialError::NotTls { address: address.to_owned(), found: "it does not speak HTTP/2".to_owned() });
    }

    let (verdict, when_answered) = oneshot::channel();
    let channel = timeout_at(until, channel_over(Answering { stream, verdict: Some(verdict) }))
        .await
        .map_err(late("starting HTTP/2"))?;
    let answered = timeout_at(until, when_answered).await.map_err(late("waiting for its first answer"))?;
    // The verdict comes first: when the server refused, HTTP/2 may have failed as well, and knows less about why.
    match (answered, channel) {
        (Ok(Ok(())), Ok(channel)) => Ok(channel),
        (Ok(Err(error)), _) => Err(fault(error)),
        (_, Err(error)) => Err(DialError::Handshake { address: address.to_owned(), source: error.into() }),
        (Err(_), Ok(_)) => Err(DialError::Closed {
            address: address.to_owned(),
            source: io::Error::new(io::ErrorKind::NotConnected, "HTTP/2 ended before the server answered"),
        }),
    }
}

/// Splits off the host. Addresses come from cards and invites, so they are foreign text.
fn host_of(address: &str) -> Result<&str, DialError> {
    let bad = || DialError::BadAddress { address: address.chars().take(100).flat_map(char::escape_debug).collect() };
    if address.len() > ENDPOINT_BYTES_MAX || !address.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad());
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let port: u16 = port.parse().map_err(|_| bad())?;
    if host.is_empty() || port == 0 {
        return Err(bad());
    }
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(bad),
        None if host.contains(':') => Err(bad()),
        None => Ok(host),
    }
}

/// The name for rustls, and whether to send it: names are sent, so that a relay that many nodes share can tell them
/// apart; addresses are not (RFC 6066 forbids it). What is checked is the key, never the name.
fn server_name(host: &str) -> (ServerName<'static>, bool) {
    match ServerName::try_from(host.to_owned()) {
        Ok(name @ ServerName::DnsName(_)) => (name, true),
        Ok(name) => (name, false),
        Err(_) => (ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into()), false),
    }
}

/// Connects to whichever address answers first; each has a head start over the next.
async fn connect_first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut addresses = addresses.into_iter();
    // Dropped on return, which gives up the slower attempts.
    let mut attempts = JoinSet::new();
    loop {
        match addresses.next() {
            Some(address) => _ = attempts.spawn(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let head_start = async {
            match addresses.len() {
                0 => std::future::pending().await,
                _ => tokio::time::sleep(ADDRESS_HEAD_START).await,
            }
        };
        tokio::select! {
            Some(attempt) = attempts.join_next() => match attempt {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(error) => last = io::Error::other(error),
            },
            () = head_start => {}
        }
    }
}

/// Says what an error of the TLS stream means to the one who dialled.
fn fault_of(address: &str, own: PublicKey, error: io::Error) -> DialError {
    let address = address.to_owned();
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        None if error.kind() == io::ErrorKind::InvalidData => DialError::NotTls { address, found: error.to_string() },
        None => DialError::Closed { address, source: error },
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
            match other.0.downcast_ref::<KeyMismatch>() {
                Some(KeyMismatch { expected, found }) => {
                    DialError::WrongKey { address, expected: *expected, found: *found }
                }
                None => DialError::Handshake { address, source: error.into() },
            }
        }
        Some(rustls::Error::AlertReceived(alert)) if is_refusal(*alert) => DialError::RefusedByPeer { address, own },
        Some(rustls::Error::InvalidMessage(_) | rustls::Error::PeerIncompatible(_)) => {
            DialError::NotTls { address, found: "it does not speak TLS 1.3".to_owned() }
        }
        Some(rustls::Error::AlertReceived(
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::NoApplicationProtocol,
        )) => DialError::NotTls { address, found: "it refuses TLS 1.3 with Ed25519 and h2".to_owned() },
        Some(_) => DialError::Handshake { address, source: error.into() },
    }
}

/// Alerts by which TLS stacks say "not with this certificate". Ours sends `access_denied`.
fn is_refusal(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
            | Alert::CertificateRequired
    )
}

/// Makes a channel whose one and only connection is `stream`.
async fn channel_over(stream: Answering) -> Result<Channel, tonic::transport::Error> {
    let stream = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = || io::Error::new(io::ErrorKind::NotConnected, "the link has ended; dial again");
        std::future::ready(stream.map(TokioIo::new).ok_or_else(ended))
    });
    // `http:` because TLS is the connector's business; tonic would want to add its own to `https:`.
    Endpoint::from_static(AUTHORITY)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_adaptive_window(false)
        .max_frame_size(HTTP2_FRAME_BYTES_MAX)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_max_local_error_reset_streams(ERROR_RESET_STREAMS_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
}

/// The TLS stream of a dialled connection, which tells the dialler what the server's first answer is.
struct Answering {
    stream: TlsStream<TcpStream>,
    verdict: Option<oneshot::Sender<io::Result<()>>>,
}

impl Answering {
    /// Tells the dialler, once. The error itself goes on to HTTP/2, so the dialler gets a copy.
    fn tell(&mut self, answer: Result<(), &io::Error>) {
        if let Some(verdict) = self.verdict.take() {
            // The dialler may have given up meanwhile; then nobody needs to know.
            let _ = verdict.send(answer.map_err(copy_of));
        }
    }

    /// A write can fail because the server has refused and closed; what it said before that is still to be read.
    fn tell_of_failed_write(&mut self, cx: &mut Context<'_>, error: &io::Error) {
        if self.verdict.is_none() {
            return;
        }
        let mut scratch = [0; 1024];
        match Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut scratch)) {
            Poll::Ready(Err(reason)) => self.tell(Err(&reason)),
            Poll::Ready(Ok(())) | Poll::Pending => self.tell(Err(error)),
        }
    }
}

fn copy_of(error: &io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => io::Error::new(error.kind(), tls.clone()),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl AsyncRead for Answering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if buffer.filled().len() > before => self.tell(Ok(())),
            Poll::Ready(Ok(())) if buffer.remaining() == 0 => {}
            Poll::Ready(Ok(())) => {
                self.tell(Err(&io::Error::new(io::ErrorKind::UnexpectedEof, "end of stream")));
            }
            Poll::Ready(Err(error)) => self.tell(Err(error)),
        }
        polled
    }
}

impl AsyncWrite for Answering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Err(error)) = &polled {
            self.tell_of_failed_write(cx, error);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if let Poll::Ready(Err(error)) = &polled {
            self.tell_of_failed_write(cx, error);
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Err(error)) = &polled {
            self.tell_of_failed_write(cx, error);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
