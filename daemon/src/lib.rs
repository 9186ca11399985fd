//! The Fingerpost node: performs what `fingerpost-proto` decides.
//!
//! | module | what it does |
//! |---|---|
//! | [`daemon`] | starts and stops everything: the one place where the parts meet |
//! | `driver` | the loop between the pure node and the world |
//! | [`store`] | stable storage: sled, journal, erasure |
//! | [`transport`] | TLS, listener, dialling |
//! | `link` | gRPC streams between nodes, joining |
//! | `admin` | what admins ask over the unix socket |
//! | `incarnation` | which copy of a home this is |
//! | `catalogue`, [`feed`] | what the public may see, and the HTTP feed that shows it |
//! | [`demo`] | three nodes and an invented city |
//! | [`mirror`] | the home of a read-only mirror |
//! | [`config`] | the strict configuration file |
//! | [`rate`] | how often something may be done in somebody's name |
//! | [`log`] | one harmless line for each event |

pub mod admin;
mod catalogue;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod demo;
mod driver;
pub mod feed;
mod incarnation;
pub mod link;
pub mod log;
pub mod mirror;
pub mod rate;
pub mod store;
pub mod transport;
mod verifier;

/// Generated gRPC service stubs.
#[allow(missing_docs, clippy::unwrap_used, unreachable_pub)]
pub mod rpc {
    tonic::include_proto!("fingerpost.v1");
}
