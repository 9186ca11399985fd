//! One machine: its process (a real node), its disk, its clock, its links.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::node::{Node, Peer};
use fingerpost_proto::version::SignedVersion;

use super::byzantine::Byzantine;
use super::invariants::Watch;
use super::store::{Cursors, Rows, Store};

pub(super) struct Machine {
    pub(super) key: Peer,
    pub(super) org: usize,
    /// `None` while the process does not run.
    pub(super) node: Option<Node>,
    pub(super) store: Store,
    /// Current link to each peer: number, and whether this machine dialled it.
    pub(super) links: BTreeMap<Peer, (usize, bool)>,
    /// Members' node keys as the node last said.
    pub(super) members: Vec<Peer>,
    pub(super) admitted: BTreeSet<Peer>,
    /// For each machine that was dialled lately: since when it is counted, in true milliseconds, and how often.
    pub(super) dials: BTreeMap<usize, (u64, u32)>,
    /// Counts processes, so that answers to an earlier one go nowhere.
    pub(super) incarnation: u64,
    /// Counts nodes built from the store, for their seeds.
    pub(super) builds: u64,
    /// This clock minus the true time, in milliseconds.
    pub(super) clock_ahead_ms: i64,
    pub(super) read_only: Option<&'static str>,
    /// The process dies right after its next commit.
    pub(super) dies_at_commit: bool,
    /// Own card and acceptance, handed in again at each start, and whom to dial first: set by joining.
    pub(super) entry: Vec<Rc<SignedVersion>>,
    pub(super) inviter: Option<usize>,
    /// Yesterday's disk.
    pub(super) snapshot: Option<(Rows, Cursors, BTreeSet<OrgId>)>,
    pub(super) byzantine: Option<Byzantine>,
    pub(super) watch: Watch,
    /// Publishes without an answer yet, by ticket.
    pub(super) asked: BTreeMap<u64, Vec<Rc<SignedVersion>>>,
    pub(super) next_ticket: u64,
}

impl Machine {
    pub(super) fn is_honest(&self) -> bool {
        self.byzantine.is_none()
    }
}
