//! The admin's side of Fingerpost: keys, signing and import. Asks its node over gRPC.
//!
//! | module | what it does |
//! |---|---|
//! | [`args`], [`commands`] | the command tree and what each command does |
//! | [`publish`] | decides what to sign, signs it, hands it in; usable without a terminal |
//! | [`import`] | reads spreadsheets and HSDS into drafts |
//! | [`founding`], [`keys`], [`recovery`], [`identity`], [`statements`] | this organisation, its keys and words on paper |
//! | [`cards`], [`next_card`], [`device_request`] | how its keys change |
//! | [`client`], [`host`] | the connection to the node: on this machine, or a neighbour's that carries our records |
//! | [`transport`], [`joining`] | dialling a node, and knocking at it with an invite |
//! | [`copies`] | what this organisation published over a host, kept at its own side |
//! | [`failure`], [`output`], [`progress`] | what people and scripts read |
//! | [`core_dump`] | keeps keys off the disk when a program crashes |

pub mod args;
pub mod cards;
pub mod client;
pub mod commands;
pub mod copies;
pub mod core_dump;
pub mod device_request;
pub mod failure;
pub mod founding;
pub mod host;
pub mod identity;
pub mod import;
pub mod joining;
pub mod keys;
pub mod next_card;
pub mod output;
pub mod progress;
pub mod publish;
pub mod recovery;
pub mod session;
pub mod settings;
pub mod statements;
pub mod transport;

/// Generated gRPC client stubs of a node's services.
#[allow(missing_docs, clippy::unwrap_used, unreachable_pub)]
pub mod rpc {
    tonic::include_proto!("fingerpost.v1");
}
