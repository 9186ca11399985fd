//! Options of the commands about read-only mirrors.

use clap::{Args, Subcommand};

/// What to do with mirrors.
#[derive(Debug, Subcommand)]
pub enum MirrorCommand {
    /// Print one line that tells a mirror where your node is; it holds no secret
    #[command(help_template = super::TEMPLATE, before_help = "Example:\n  fingerpost mirror code")]
    Code(MirrorCodeArgs),
    /// Let a mirror with this key get everything public from your node
    #[command(
        help_template = super::TEMPLATE,
        before_help = "Example:\n  fingerpost mirror allow 1f3870be… --label \"Town website\""
    )]
    Allow(MirrorAllowArgs),
    /// The mirrors that your node allows
    #[command(help_template = super::TEMPLATE, before_help = "Example:\n  fingerpost mirror list")]
    List,
    /// Let a mirror in no more: its link ends at once
    #[command(help_template = super::TEMPLATE, before_help = "Example:\n  fingerpost mirror forbid \"Town website\"")]
    Forbid(MirrorForbidArgs),
}

/// `mirror code`.
#[derive(Args, Debug)]
pub struct MirrorCodeArgs {
    /// Where your node can be reached, host:port; repeatable [default: what the node advertises]
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Vec<String>,
}

/// `mirror allow`.
#[derive(Args, Debug)]
pub struct MirrorAllowArgs {
    /// The mirror's key, 64 hexadecimal digits: `fingerpostd mirror` printed it
    pub key: String,
    /// Whose mirror it is, for your own list
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub label: String,
}

/// `mirror forbid`.
#[derive(Args, Debug)]
pub struct MirrorForbidArgs {
    /// The mirror: its key, the first 8 or more characters of it, or its label
    pub key: String,
}
