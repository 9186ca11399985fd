//! The transport of links: mutual TLS 1.3 between nodes, pinned by key, with HTTP/2 on top.
//!
//! In: a node's key, the question "is this key admitted?" ([`Admission`]), addresses to dial. Out: accepted
//! [`PeerConnection`]s for a tonic server, and tonic channels to other nodes.
//! Always: no byte of HTTP/2 is read from a peer that has not proved a key that [`Admission`] admits; every socket has
//! a deadline until then and a seat in a bounded table from its first moment to its last.
//! Spec: `spec/06-link.md`, section 1. Tested: `transport/tests.rs`, over loopback sockets.

mod connection;
mod counters;
mod listener;
mod node_key;
mod seats;
mod streams;
mod tls;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::FRAME_BYTES_MAX;

pub use connection::PeerConnection;
pub use counters::{ListenerCounters, ListenerCounts};
pub use fingerpost_cli::transport::{
    CONNECTION_WINDOW_BYTES, DIAL_DEADLINE, DialError, ERROR_RESET_STREAMS_MAX, HEADER_LIST_BYTES_MAX,
    HTTP2_FRAME_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STREAM_WINDOW_BYTES, TlsError, TlsIdentity, dial,
};
pub use listener::{
    CONNECTIONS_HOSTED_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, CONNECTIONS_PER_HOSTED_MAX,
    CONNECTIONS_PER_KEY_MAX, CONNECTIONS_PER_ORGANISATION_MAX, HANDSHAKE_DEADLINE, IDLE_DEADLINE, Incoming,
    ListenError, Listener, ListenerControl, ListenerLimits, PENDING_HANDSHAKES_MAX, STALL_DEADLINE,
};
pub use node_key::{NODE_KEY_FILE, NodeKey, NodeKeyError};
pub(crate) use seats::network_of;
pub use seats::{ACCEPTS_PER_ADDRESS, ACCEPTS_PER_KEY, ACCEPTS_REMEMBERED_MAX};
pub use streams::{StreamInUse, Visitor};

/// HTTP/2 streams that one peer may have open at once. A link needs one; the rest is room for a redial that overlaps.
/// With [`MESSAGE_BYTES_MAX`] it bounds what unfinished messages of one connection can occupy: 8 MiB.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 32;
/// Streams that a peer may open and reset before a handler saw them (rapid reset) before the connection is closed.
pub const PENDING_RESET_STREAMS_MAX: usize = 16;
/// Largest gRPC message, in bytes; to be set on every service and client of a link (tonic's default is 4 MiB).
pub const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX;

const _: () = assert!(STREAMS_PER_CONNECTION_MAX as usize * MESSAGE_BYTES_MAX <= 8 * 1024 * 1024);

/// What a key is admitted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// A node of a member organisation.
    Member,
    /// The holder of a registered invite's one-time key. May only ask to be introduced and admitted.
    Invitee,
    /// A publishing device of an organisation that this node carries. May only call the service for those.
    Hosted,
    /// A read-only mirror that the operator allowed. May ask to be introduced, and link.
    Mirror,
}

/// Decides which keys may connect.
///
/// `admit` is asked in the middle of a TLS handshake, *before* the other side has proved that it holds the key: it must
/// be quick, must not block, and must have no effects.
pub trait Admission: Send + Sync {
    /// Returns what `key` is admitted as, or `None` to refuse the handshake.
    fn admit(&self, key: &PublicKey) -> Option<Admitted>;

    /// Whose key it is, for what one organisation may occupy: the member's whose node has it, the inviter's, that of the
    /// organisation that is carried, or for a mirror that of this node.
    fn organisation(&self, key: &PublicKey) -> Option<OrgId>;
}

/// Who is at the other end of an accepted connection. Handlers find it in the [`Visitor`] of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The key that the peer proved to hold.
    pub key: PublicKey,
    /// What the key was admitted as when the connection was made.
    pub admitted: Admitted,
    /// Where the connection came from. For logs; NAT and relays make it no identity.
    pub remote_address: SocketAddr,
}

/// Returns a gRPC server with limits for the open internet; tonic's own are meant for closed networks.
///
/// A connection has no greatest age: a peer that is no longer admitted is cut by [`ListenerControl::recheck`].
pub fn server_builder() -> tonic::transport::Server {
    let unless = |canary, limit: u32| if is_out(canary) { 1 << 20 } else { limit };
    let resets = |limit: usize| if is_out(Canary::ResetStreams) { usize::MAX } else { limit };
    tonic::transport::Server::builder()
        .accept_http1(false)
        .max_concurrent_streams(unless(Canary::Streams, STREAMS_PER_CONNECTION_MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_adaptive_window(Some(false))
        .max_frame_size(HTTP2_FRAME_BYTES_MAX)
        .http2_max_header_list_size(unless(Canary::HeaderList, HEADER_LIST_BYTES_MAX))
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(resets(PENDING_RESET_STREAMS_MAX)))
        .http2_max_local_error_reset_streams(Some(resets(ERROR_RESET_STREAMS_MAX)))
}
