//! Options of the commands about records.

use std::path::PathBuf;

use clap::Args;

/// `import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// CSV files in the layout of `fingerpost template`, or HSDS JSON
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Change nothing, only say what would change
    #[arg(long)]
    pub check: bool,
    /// Also withdraw records of the same kinds that are not in the files
    #[arg(long)]
    pub withdraw_missing: bool,
    /// How many records `--withdraw-missing` will withdraw; must be right
    #[arg(long, value_name = "N", requires = "withdraw_missing")]
    pub confirm: Option<usize>,
    /// Language of rows that name none
    #[arg(long, default_value = "en", value_name = "TAG")]
    pub language: String,
    /// Time zone of rows that name none
    #[arg(long, default_value = "Europe/London", value_name = "ZONE")]
    pub timezone: String,
    /// Country of phone numbers and addresses that name none
    #[arg(long, default_value = "GB", value_name = "CODE")]
    pub country: String,
    /// Local id of the organisation that provides services whose row names none
    #[arg(long, value_name = "LOCAL_ID")]
    pub organisation: Option<String>,
    /// Days that records stay in the feeds without being confirmed [default: the network's]
    #[arg(long, value_name = "DAYS")]
    pub lease_days: Option<u32>,
    /// Also write every problem into a CSV file, for colleagues
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Repair phone numbers that lost their leading 0
    #[arg(long)]
    pub fix_phones: bool,
}

/// `list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only this kind: organisation, service, location, event
    #[arg(long)]
    pub kind: Option<String>,
    /// Only what your organisation publishes
    #[arg(long, conflicts_with = "org")]
    pub mine: bool,
    /// Only what this organisation publishes: its id, the start of its id, or its name
    #[arg(long, value_name = "ID")]
    pub org: Option<String>,
    /// Withdrawn records, too
    #[arg(long)]
    pub withdrawn: bool,
    /// Only records whose lease ends within so many days, or has ended; of your organisation unless --org is given
    #[arg(long, value_name = "DAYS")]
    pub due: Option<u32>,
    /// At most so many; 0: all [default: 200 in a table, all in JSON]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// `show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// Record id, local id or kind:local-id
    pub id: String,
    /// Publisher of the local id: its id, the start of its id, or its name [default: your organisation]
    #[arg(long, value_name = "ID")]
    pub org: Option<String>,
}

/// `who-sees`.
#[derive(Args, Debug)]
#[group(id = "what", required = true, multiple = false, args = ["id", "audience"])]
pub struct WhoSeesArgs {
    /// Record id, local id or kind:local-id
    pub id: Option<String>,
    /// Publisher of the local id: its id, the start of its id, or its name [default: your organisation]
    #[arg(long, value_name = "ID", requires = "id")]
    pub org: Option<String>,
    /// Before you publish: who would see a record of this audience, public or members
    #[arg(long, value_name = "AUDIENCE", value_parser = ["public", "members"])]
    pub audience: Option<String>,
}

/// `withdraw`.
#[derive(Args, Debug)]
pub struct WithdrawArgs {
    /// Record ids, local ids or kind:local-id
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// How many records will go; must be right
    #[arg(long, value_name = "N")]
    pub confirm: Option<usize>,
}

/// `confirm`.
#[derive(Args, Debug)]
#[group(id = "which", required = true, multiple = false, args = ["ids", "all", "due"])]
pub struct ConfirmArgs {
    /// Record ids, local ids or kind:local-id; the only way to bring back a lapsed record
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Everything that readers can see now
    #[arg(long)]
    pub all: bool,
    /// What ends within so many days
    #[arg(long, value_name = "DAYS")]
    pub due: Option<u32>,
}

/// `redact`.
#[derive(Args, Debug)]
pub struct RedactArgs {
    /// Record id, local id or kind:local-id; a withdrawn one by its id
    #[arg(value_name = "RECORD")]
    pub id: String,
    /// Only this field, as `fingerpost show` names it, with its translations; repeatable [default: the whole record]
    #[arg(long = "field", value_name = "NAME")]
    pub fields: Vec<String>,
    /// Do not ask
    #[arg(long)]
    pub urgent: bool,
}

/// `receipts`.
#[derive(Args, Debug)]
pub struct ReceiptsArgs {
    /// Record id, the start of it, local id or kind:local-id [default: all that you redacted]
    #[arg(value_name = "RECORD")]
    pub record: Option<String>,
    /// Print it again whenever a node has confirmed, until all have
    #[arg(long)]
    pub watch: bool,
    /// The same as -o json
    #[arg(long)]
    pub json: bool,
}
