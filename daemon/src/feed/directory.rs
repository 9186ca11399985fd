//! What the feed reads: the public, live records of one node.
//!
//! The feed holds no records itself. In: keys and ranges. Out: entries with their body and envelope bytes.
//! Always: whatever comes through [`Directory`] may be shown to anyone.
//! Spec: `spec/10-feed.md`, section 2. Tested with the in-memory directory in `feed/memory.rs`.

use std::sync::Arc;

use fingerpost_proto::id::{NetworkId, OrgId, RecordId, Vid};
use fingerpost_proto::kind::Kind;
use fingerpost_proto::node::Completeness;
use fingerpost_proto::time::{Hlc, UnixHour, UnixMillis};
use fingerpost_proto::v1;

/// One live record in its winning version.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The record.
    pub record: RecordId,
    /// Its publisher.
    pub org: OrgId,
    /// What it is about.
    pub kind: Kind,
    /// When the version was signed: the last time somebody said that it is correct.
    pub hlc: Hlc,
    /// Hour from which it is no longer shown.
    pub lease_until: UnixHour,
    /// Names the exact bytes of the version.
    pub vid: Vid,
    /// This node's arrival number of the version; at least 1.
    pub arrival: u64,
    /// Name on the publisher's card; may be empty.
    pub publisher_name: String,
    /// The body as signed: a protobuf message of this kind.
    pub body: Vec<u8>,
    /// The whole envelope as received: signature, header and body.
    pub envelope: Vec<u8>,
}

/// A record that was visible and is no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The record.
    pub record: RecordId,
    /// What it was about.
    pub kind: Kind,
    /// This node's arrival number of the removal.
    pub arrival: u64,
    /// When it ended: the withdrawal's clock, or the end of the lease.
    pub at_ms: UnixMillis,
}

/// The latest state of one record.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is visible.
    Updated(Box<Entry>),
    /// It was withdrawn, its lease ran out, or its publisher is no longer shown.
    Removed(Removed),
}

impl Change {
    /// This node's arrival number.
    pub fn arrival(&self) -> u64 {
        match self {
            Change::Updated(entry) => entry.arrival,
            Change::Removed(removed) => removed.arrival,
        }
    }
}

/// What anyone may know of the network: what its members signed up to, and who they are.
#[derive(Clone, Debug)]
pub struct Roll {
    /// Names the network: the digest of the charter.
    pub network: NetworkId,
    /// As signed.
    pub charter: v1::Charter,
    /// Members by OrgId. Whether this node shows their records plays no part.
    pub signatories: Vec<Signatory>,
}

/// A member of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatory {
    /// The organisation.
    pub org: OrgId,
    /// On its card; may be empty.
    pub name: String,
    /// Named in the charter.
    pub is_founder: bool,
    /// When it accepted the charter, if it did.
    pub since_ms: Option<UnixMillis>,
    /// Participants that vouch for it.
    pub vouched_by: Vec<OrgId>,
}

/// What is known about a record id.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// Visible now.
    Live(Box<Entry>),
    /// Visible once, and withdrawn or lapsed since, or its publisher is no longer shown.
    Gone {
        /// What it was about.
        kind: Kind,
    },
    /// Never visible here, or forgotten. A record for members only is unknown too.
    Unknown,
}

/// The store could not answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the directory could not be read: {reason}; see the log of this node")]
pub struct DirectoryError {
    /// What happened, for the log.
    pub reason: String,
}

/// The public view of one node's records.
///
/// Only records of the **public** audience, of members, live and with a lease that has not run out, are ever visible
/// through this trait: the feed adds no check of its own. Calls may block; the feed makes them on blocking threads.
pub trait Directory: Send + Sync + 'static {
    /// Changes whenever anything visible changes, a lapsed lease included. Need not rise.
    fn generation(&self) -> u64;

    /// This node's clock, Unix milliseconds.
    fn now_ms(&self) -> UnixMillis;

    /// Name of the network, for titles.
    fn network_name(&self) -> String;

    /// Absolute URL of the licence under which everything visible may be used.
    fn licence_url(&self) -> String;

    /// The network and its members; `None` before this node is in one.
    fn roll(&self) -> Option<Arc<Roll>>;

    /// How much of an organisation's public records is here, by its own signed summaries; `None` without one.
    fn completeness(&self, org: &OrgId) -> Option<Completeness>;

    /// Number of visible records of `kind`.
    fn count(&self, kind: Kind) -> usize;

    /// Visible records of `kind` by record id, from position `offset`, at most `limit` of them.
    fn page(&self, kind: Kind, offset: usize, limit: usize) -> Result<Vec<Entry>, DirectoryError>;

    /// What is known about one record.
    fn record(&self, id: &RecordId) -> Result<Lookup, DirectoryError>;

    /// Records of `kind` whose latest change arrived after `after`, ascending by arrival, at most `limit` of them.
    ///
    /// Each record is listed once, with its latest state. A lapse and the loss of a publisher are changes with an
    /// arrival number of their own. Removals stay listed for at least seven days.
    fn changes(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<Change>, DirectoryError>;

    /// Removals of `kind` that [`changes`](Directory::changes) still lists, newest first, at most `limit` of them.
    fn removed(&self, kind: Kind, limit: usize) -> Result<Vec<Removed>, DirectoryError>;
}
