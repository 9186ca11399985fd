//! Options of the commands about organisations without a node.

use clap::{Args, Subcommand};

use super::InviteArgs;

/// What the operator of a node does for organisations without one.
#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Print the line with which one organisation joins and is carried by your node
    #[command(before_help = "Examples:\n  fingerpost host code\n  fingerpost host code --expires-days 30")]
    Code(InviteArgs),
    /// List the organisations that your node carries
    #[command(before_help = "Example:\n  fingerpost host list")]
    List,
    /// Carry an organisation no longer; its records stay, it can go to another host
    #[command(before_help = "Example:\n  fingerpost host stop \"Garden Group\"")]
    Stop(HostStopArgs),
}

/// `host stop`.
#[derive(Args, Debug)]
pub struct HostStopArgs {
    /// The organisation: its id, the first 8 or more characters of it, or its whole name
    pub org: String,
}

/// `move`.
#[derive(Args, Debug)]
pub struct MoveArgs {
    /// The code of the new host, fph1:…; `-` reads it from standard input
    pub code: String,
}
