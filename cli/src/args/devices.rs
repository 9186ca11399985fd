//! Options of the commands about keys and cards.

use clap::{Args, Subcommand};

/// What to do with devices.
#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// List the devices on your organisation's card
    #[command(before_help = "Example:\n  fingerpost device list")]
    List,
    /// On a new computer: make a device key and print the line that asks for it to be listed
    #[command(before_help = "Example:\n  fingerpost device request \"Brushwood Refugee Forum\"")]
    Request(DeviceRequestArgs),
    /// On the computer with the root key: list the device that a request is from
    #[command(
        before_help = "Examples:\n  fingerpost device add fpd1:… --label \"front desk\"\n  fingerpost device add - < request.txt"
    )]
    Add(DeviceAddArgs),
    /// End the use of a device that is in honest hands: what it signed stays
    #[command(before_help = "Example:\n  fingerpost device remove \"front desk\"")]
    Remove(DeviceRemoveArgs),
}

/// `device request`.
#[derive(Args, Debug)]
pub struct DeviceRequestArgs {
    /// Your organisation, as the node knows it: its id, the first 8 or more characters of it, or its whole name [default: that of the home]
    pub org: Option<String>,
}

/// `device add`.
#[derive(Args, Debug)]
pub struct DeviceAddArgs {
    /// The request, fpd1:…; `-` reads it from standard input
    pub code: String,
    /// What to call the device
    #[arg(long, value_name = "TEXT", default_value = "admin")]
    pub label: String,
}

/// `device remove`.
#[derive(Args, Debug)]
pub struct DeviceRemoveArgs {
    /// The device: its key, the first 8 or more characters of it, or its label
    pub device: String,
}

/// `revoke`.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// The device: its key, the first 8 or more characters of it, or its label
    pub device: String,
    /// Sign what it published again, by this computer, so that it stays; look at it first
    #[arg(long)]
    pub republish: bool,
    /// Only what your node had when it signed this head and is as it was then; the rest goes. `fingerpost heads` lists them
    #[arg(long, value_name = "HEAD", requires = "republish")]
    pub last_good: Option<String>,
}

/// `recover`.
#[derive(Args, Debug)]
pub struct RecoverArgs {
    /// Your organisation, as the node knows it: its id, the first 8 or more characters of it, or its whole name [default: that of the home]
    pub org: Option<String>,
    /// Sign what is published now again, by the new device, so that it stays; look at it first
    #[arg(long)]
    pub republish: bool,
}
