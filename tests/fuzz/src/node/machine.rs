//! A node with its store and what waits for it: everything that a driver has, and nothing else.

use std::collections::{BTreeMap, VecDeque};

use fingerpost_proto::kind::Audience;
use fingerpost_proto::node::{LogPlace, Node, Output, Peer};
use fingerpost_proto::set::{Entry, Index, Slot};
use fingerpost_proto::version::SignedVersion;

use super::super::cast::CAST;

/// A node, its store, and what waits for either.
pub(super) struct Machine {
    pub(super) node: Node,
    pub(super) own: Peer,
    pub(super) store: BTreeMap<Slot, (SignedVersion, bool)>,
    pub(super) mirror: [Index; 2],
    pub(super) cursors: Vec<(Peer, Audience, LogPlace)>,
    /// Signatures to be checked.
    pub(super) verify: VecDeque<(u64, Vec<(SignedVersion, Peer)>)>,
    /// Frames on the line to this node.
    pub(super) line: VecDeque<Vec<u8>>,
    /// Frames that came, by peer, whose permit was not given back.
    pub(super) in_work: BTreeMap<Peer, u64>,
    pub(super) linked: BTreeMap<Peer, bool>,
    pub(super) asked: BTreeMap<u64, usize>,
}

impl Machine {
    pub(super) fn new(place: usize) -> Machine {
        let own = CAST.organisations[place].node;
        let mut machine = Machine {
            node: Node::new(CAST.charter.clone(), own, place as u64),
            own,
            store: BTreeMap::new(),
            mirror: [Index::new(), Index::new()],
            cursors: Vec::new(),
            verify: VecDeque::new(),
            line: VecDeque::new(),
            in_work: BTreeMap::new(),
            linked: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        let held = CAST.welcome.iter().chain(&CAST.shared);
        machine.store = held.map(|version| (Slot::of(version.header()), (version.clone(), false))).collect();
        machine
    }

    /// A node made from what the store has.
    pub(super) fn restore(&mut self, seed: u64) -> Vec<Output> {
        self.node = Node::new(CAST.charter.clone(), self.own, seed);
        self.mirror = [Index::new(), Index::new()];
        for (slot, (version, lapsed)) in &self.store {
            self.node.restore(version.clone(), *lapsed);
            self.mirror[usize::from(slot.audience.number())].insert(slot.key, mirrored(version));
        }
        for (peer, audience, place) in &self.cursors {
            self.node.restore_cursor(*peer, *audience, *place);
        }
        self.linked.clear();
        self.verify.clear();
        self.in_work.clear();
        self.asked.clear();
        self.node.restored()
    }
}

pub(super) fn mirrored(version: &SignedVersion) -> Entry {
    Entry::of(version.header(), version.vid(), 0)
}
