//! The Fingerpost node: performs what `fingerpost-proto` decides.

pub mod feed;

/// Generated gRPC service stubs.
#[allow(missing_docs, clippy::unwrap_used, unreachable_pub)]
pub mod rpc {
    tonic::include_proto!("fingerpost.v1");
}
