//! The dialling side of a node's port: TLS 1.3 with both keys pinned, HTTP/2 on top.
//!
//! In: an address, the key that must answer there, the key to show. Out: a gRPC channel over exactly one connection.
//! Always: no byte is sent to whoever has another key. The daemon dials with it, too, and listens by the same rules.
//! Spec: `spec/06-link.md`, section 1. Tested: `daemon/src/transport/tests.rs`, over loopback sockets.

mod dial;
pub mod tls;

use std::time::Duration;

pub use dial::{DIAL_DEADLINE, DialError, dial};
pub use tls::{TlsError, TlsIdentity};

/// Bytes that a peer may send on one stream before the handler has read them.
pub const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// Bytes that a peer may send on all streams of a connection before handlers have read them.
pub const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
/// Largest HTTP/2 frame accepted, in bytes. The lowest value that HTTP/2 allows; larger ones only cost buffers.
pub const HTTP2_FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Largest list of request or response headers, in bytes after decompression. gRPC's own take under 1 KiB.
pub const HEADER_LIST_BYTES_MAX: u32 = 8 * 1024;
/// Silence after which a peer is asked for a sign of life. At 5 s this was nearly all that an idle node sent and received, some
/// 80 MB a day among thirty.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Wait for that sign of life; a vanished peer is noticed after interval and timeout together.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams that this node had to reset because of a peer's errors before the connection is closed.
pub const ERROR_RESET_STREAMS_MAX: usize = 64;

const _: () = assert!(STREAM_WINDOW_BYTES <= CONNECTION_WINDOW_BYTES);
