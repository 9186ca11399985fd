//! The command tree. Examples stand first in every help text.

mod devices;
mod hosting;
mod membership;
mod mirrors;
mod records;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

pub use devices::{DeviceAddArgs, DeviceCommand, DeviceRemoveArgs, DeviceRequestArgs, RecoverArgs, RevokeArgs};
pub use hosting::{HostCommand, HostStopArgs, MoveArgs};
pub use membership::{BlockArgs, LeaveArgs, ObjectArgs, VouchArgs, WhyArgs};
pub use mirrors::{MirrorAllowArgs, MirrorCodeArgs, MirrorCommand, MirrorForbidArgs};
pub use records::{ConfirmArgs, ImportArgs, ListArgs, ReceiptsArgs, RedactArgs, ShowArgs, WhoSeesArgs, WithdrawArgs};

use crate::output::{Colour, Format};
use crate::settings::HOME_VARIABLE;

/// Most one-time invites made at once.
pub const INVITES_MAX: u8 = 100;

const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Printed by `--help`, and compared with `failure.rs` by a test.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a check found differences, data is not valid, or some of it was rejected
  2  the command line is wrong, or a question could not be asked
  3  the node does not answer
  4  a key is missing or too widely readable, or access was denied
  5  somebody else changed the same thing, or it exists already
  6  a part was done before it broke off
  7  the node or the network does not allow it

Settings come from the command line, then the environment (FINGERPOST_HOME, NO_COLOR), then admin.toml in the home.";

fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        format!("{} (protocol level {})", env!("CARGO_PKG_VERSION"), fingerpost_proto::PROTOCOL_LEVEL)
    });
    &VERSION
}

/// Publish services and events of your organisation, and see what your network shares.
#[derive(Debug, Parser)]
#[command(
    name = "fingerpost",
    version = version(),
    help_template = TEMPLATE,
    before_help = "\
Examples:
  fingerpost init --name \"Brushwood Refugee Forum\"     make your organisation's keys
  fingerpost join fp1:…                                 join a network with an invite
  fingerpost import services.csv --check                see what an import would change
  fingerpost import services.csv                        sign and publish it
  fingerpost confirm --due 30                           say \"still correct\" for what ends soon
  fingerpost status                                     is everything all right?",
    after_help = EXIT_CODES,
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Folder with your keys and card [env: FINGERPOST_HOME] [default: ~/.fingerpost]
    #[arg(long, global = true, env = HOME_VARIABLE, hide_env = true, value_name = "DIR", help_heading = "Everywhere")]
    pub home: Option<PathBuf>,
    /// Socket of the node to talk to [default: `node` in admin.toml, else admin.sock in the home]
    #[arg(long, global = true, value_name = "SOCKET", help_heading = "Everywhere")]
    pub node: Option<PathBuf>,
    /// How results are written: table, or json, which is stable and documented
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "FORMAT",
        help_heading = "Everywhere"
    )]
    pub output: Format,
    /// Never ask; fail and name the option that answers instead
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub no_input: bool,
    /// Answer yes to every question
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub yes: bool,
    /// When to use colour: auto or never (also: NO_COLOR=1)
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        alias = "colour",
        hide_possible_values = true,
        value_name = "WHEN",
        help_heading = "Everywhere"
    )]
    pub color: Colour,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an organisation: its keys, its card and its recovery words
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost init --name \"Brushwood Refugee Forum\"
  fingerpost init --name \"Garden Group\" --hosted       no node of your own: a neighbour's carries your records"
    )]
    Init(InitArgs),
    /// Found a network
    #[command(help_template = TEMPLATE)]
    Network {
        /// What to do with it.
        #[command(subcommand)]
        command: NetworkCommand,
    },
    /// Invite an organisation: prints one line to send, and four words to compare by phone
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost invite
  fingerpost invite --count 5 --expires-days 30"
    )]
    Invite(InviteArgs),
    /// Join a network with an invite, or accept its charter and wait for vouches
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost join fp1:…
  fingerpost join fph1:…                                without a node of your own: the inviter's carries you
  fingerpost join                                       accept the charter of your node's network; members vouch
  fingerpost join - < invite.txt                        keeps the invite out of the shell's history"
    )]
    Join(JoinArgs),
    /// Carry organisations that have no node: print a code for one, list them, stop
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost host code                                  prints fph1:…, for one organisation without a node
  fingerpost host list
  fingerpost host stop \"Garden Group\""
    )]
    Host {
        /// What to do.
        #[command(subcommand)]
        command: HostCommand,
    },
    /// Let another node carry your organisation: keys, records and their ids stay
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost move fph1:…                                with the code of the new host; the old one may be gone
  fingerpost move - < code.txt                          keeps the code out of the shell's history"
    )]
    Move(MoveArgs),
    /// Publish records from spreadsheets (CSV) or HSDS JSON; publishes only what is new or changed
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost template > services.csv                    an empty table with every column
  fingerpost import services.csv --check                what would change? (exit 1: something)
  fingerpost import services.csv
  fingerpost import services.csv --withdraw-missing --confirm 2"
    )]
    Import(ImportArgs),
    /// Print the CSV template
    #[command(help_template = TEMPLATE, before_help = "Example:\n  fingerpost template > services.csv")]
    Template,
    /// List records
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost list --mine
  fingerpost list --mine --due 30                       whose lease ends within 30 days
  fingerpost list --kind service --org \"City Library\"
  fingerpost list -o json | jq '.records[].name'"
    )]
    List(ListArgs),
    /// Show everything about one record
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost show service:drop-in
  fingerpost show 3d2f8a51-9a1b-5a0e-8f43-0c9a66f2f1aa -o json"
    )]
    Show(ShowArgs),
    /// Who can read a record, or would, in plain words: before you publish, or after
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost who-sees --audience members                not published yet: who would read it?
  fingerpost who-sees service:drop-in"
    )]
    WhoSees(WhoSeesArgs),
    /// Take records back: they leave every feed and do not return
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost withdraw service:drop-in
  fingerpost withdraw service:drop-in event:choir --confirm 2"
    )]
    Withdraw(WithdrawArgs),
    /// Something must vanish from every node now: goes before everything else, and every node signs a receipt
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost redact location:refuge --urgent            the whole record
  fingerpost redact service:drop-in --field phones --urgent"
    )]
    Redact(RedactArgs),
    /// Which nodes have confirmed that they erased what you redacted, and which have not yet
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost receipts
  fingerpost receipts location:refuge --watch           until every node has confirmed"
    )]
    Receipts(ReceiptsArgs),
    /// Say that records are still correct: renews their lease, keeps their content
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost confirm service:drop-in
  fingerpost confirm --due 30                           all whose lease ends within 30 days
  fingerpost confirm --all"
    )]
    Confirm(ConfirmArgs),
    /// Is everything all right? Warnings first, then what to do next
    #[command(help_template = TEMPLATE, before_help = "Example:\n  fingerpost status")]
    Status,
    /// The nodes that this node talks to
    #[command(help_template = TEMPLATE, before_help = "Example:\n  fingerpost peers")]
    Peers,
    /// The states of your records that your node has signed: what was here when, for after a theft
    #[command(help_template = TEMPLATE, before_help = "Example:\n  fingerpost heads")]
    Heads,
    /// The organisations of the network, and who vouches for them
    #[command(help_template = TEMPLATE, before_help = "Example:\n  fingerpost members")]
    Members,
    /// Why an organisation is, or is not, a member: who vouches, who objects, what is missing
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost why \"City Library\"
  fingerpost why 8de86972 -o json"
    )]
    Why(WhyArgs),
    /// Vouch for an organisation: says to all members that it belongs here
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost vouch \"City Library\" --reason \"we work with them\"
  fingerpost vouch \"City Library\" --withdraw             takes it back, also what an invite said"
    )]
    Vouch(VouchArgs),
    /// Object to an organisation: enough objections put it out of the network
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost object \"Old Mill\" --reason \"publishes a refuge's address\"
  fingerpost object \"Old Mill\" --withdraw"
    )]
    Object(ObjectArgs),
    /// Leave the network: your records vanish from every feed
    #[command(help_template = TEMPLATE, before_help = "Example:\n  fingerpost leave --reason \"we close in March\"")]
    Leave(LeaveArgs),
    /// Do not show an organisation's records at this node, and do not link to its nodes; others see no difference
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost block \"Old Mill\"
  fingerpost block \"Old Mill\" --lift"
    )]
    Block(BlockArgs),
    /// Read-only mirrors: give a website its own copy of everything public
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost mirror code                                one line for whoever runs the mirror
  fingerpost mirror allow 1f3870be… --label \"Town website\"
  fingerpost mirror list
  fingerpost mirror forbid \"Town website\""
    )]
    Mirror {
        /// What to do with them.
        #[command(subcommand)]
        command: MirrorCommand,
    },
    /// The computers and nodes that act for your organisation: list, add and remove them
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost device list
  fingerpost device request \"Brushwood Refugee Forum\"    on the new computer: prints fpd1:…
  fingerpost device add fpd1:… --label \"front desk\"      on the computer with the root key
  fingerpost device remove \"front desk\"                 sold or replaced; what it signed stays"
    )]
    Device {
        /// What to do with them.
        #[command(subcommand)]
        command: DeviceCommand,
    },
    /// A device is lost or stolen: nothing that it ever signed counts any more
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost revoke \"front desk\"
  fingerpost revoke 1f3870be --republish                what it published stays, signed by this computer
  fingerpost revoke 1f3870be --republish --last-good 9f04ae11
                                                        only what was there at a head of fingerpost heads"
    )]
    Revoke(RevokeArgs),
    /// All keys are lost or stolen: the recovery words take your organisation back
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Examples:
  fingerpost recover                                    asks for the 24 words
  fingerpost recover \"Brushwood Refugee Forum\"          on a new computer"
    )]
    Recover(RecoverArgs),
    /// Your organisation's id and keys
    #[command(help_template = TEMPLATE, before_help = "Examples:\n  fingerpost id\n  fingerpost id --full")]
    Id(IdArgs),
    /// Print a completion script for a shell
    #[command(
        help_template = TEMPLATE,
        before_help = "Example:\n  fingerpost completions bash > ~/.local/share/bash-completion/completions/fingerpost"
    )]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// What to do with networks.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Found a network with your organisation as its first member
    #[command(
        help_template = TEMPLATE,
        before_help = "\
Example:
  fingerpost network create --name \"Midlands Asylum Directory\" \\
      --purpose \"Current information for people who seek refuge\" --principle \"Nobody owns the list\""
    )]
    Create(NetworkCreateArgs),
}

/// `init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// Name of your organisation, as others will read it
    #[arg(long)]
    pub name: String,
    /// Where your node can be reached, host:port; repeatable [default: what the node advertises]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "hosted")]
    pub endpoint: Vec<String>,
    /// Your organisation has no node of its own
    #[arg(long)]
    pub hosted: bool,
}

/// `network create`. The charter cannot be changed later.
#[derive(Args, Debug)]
pub struct NetworkCreateArgs {
    /// Name of the network
    #[arg(long)]
    pub name: String,
    /// What it is for
    #[arg(long)]
    pub purpose: String,
    /// Something that members sign up to; repeatable
    #[arg(long, value_name = "TEXT")]
    pub principle: Vec<String>,
    /// Members that must vouch for a newcomer
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub vouches_needed: u32,
    /// Members whose objection puts one out
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub objections_needed: u32,
    /// Days after which a record leaves the feeds unless somebody confirms it
    #[arg(long, default_value_t = fingerpost_proto::limits::LEASE_DAYS_DEFAULT, value_name = "DAYS")]
    pub lease_days: u32,
    /// Licence of the published data, a web address
    #[arg(long, value_name = "URL")]
    pub licence: Option<String>,
}

/// `invite`.
#[derive(Args, Debug)]
pub struct InviteArgs {
    /// Days until the invite ends
    #[arg(long, default_value_t = 14, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=365))]
    pub expires_days: u32,
    /// How many to make; each is for one organisation
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=INVITES_MAX as i64))]
    pub count: u8,
    /// Where your node can be reached, host:port; repeatable [default: what the node advertises]
    #[arg(long, value_name = "HOST:PORT")]
    pub address: Vec<String>,
}

/// `join`.
#[derive(Args, Debug)]
pub struct JoinArgs {
    /// The invite, fp1:…, or a host's code, fph1:…; `-` reads it from standard input [default: none, members vouch for you]
    pub code: Option<String>,
    /// Seconds to watch the first records arrive
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub wait: u64,
}

/// `id`.
#[derive(Args, Debug)]
pub struct IdArgs {
    /// Also keys, endpoints and network
    #[arg(long)]
    pub full: bool,
    /// The same as -o json
    #[arg(long, conflicts_with = "full")]
    pub json: bool,
}
