//! Options of the commands about who is in the network.

use clap::Args;

/// `why`.
#[derive(Args, Debug)]
pub struct WhyArgs {
    /// The organisation: its id, the first 8 or more characters of it, or its whole name
    pub org: String,
}

/// `vouch`.
#[derive(Args, Debug)]
pub struct VouchArgs {
    /// The organisation: its id, the first 8 or more characters of it, or its whole name
    pub org: String,
    /// Why, for every member to read
    #[arg(long, value_name = "TEXT", conflicts_with = "withdraw")]
    pub reason: Option<String>,
    /// Take your vouch back
    #[arg(long)]
    pub withdraw: bool,
}

/// `object`.
#[derive(Args, Debug)]
pub struct ObjectArgs {
    /// The organisation: its id, the first 8 or more characters of it, or its whole name
    pub org: String,
    /// Why, for every member to read; required
    #[arg(long, value_name = "TEXT", required_unless_present = "withdraw", conflicts_with = "withdraw")]
    pub reason: Option<String>,
    /// Take your objection back
    #[arg(long)]
    pub withdraw: bool,
}

/// `leave`.
#[derive(Args, Debug)]
pub struct LeaveArgs {
    /// Why, for every member to read
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `block`.
#[derive(Args, Debug)]
pub struct BlockArgs {
    /// The organisation: its id, the first 8 or more characters of it, or its whole name
    pub org: String,
    /// Show it again
    #[arg(long)]
    pub lift: bool,
}
