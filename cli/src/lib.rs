//! The admin's side of Fingerpost: keys, signing and import. Asks its node over gRPC.

pub mod import;

/// Generated gRPC client stubs of the Admin service.
#[allow(missing_docs, clippy::unwrap_used, unreachable_pub)]
pub mod rpc {
    tonic::include_proto!("fingerpost.v1");
}
