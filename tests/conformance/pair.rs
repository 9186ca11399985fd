//! Two nodes joined by a link in memory, and the log of what they say. Performs outputs in order, like a driver.

use std::collections::{BTreeMap, VecDeque};

use fingerpost_proto::kind::Audience;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::node::{Input, Node, Operation, Outcome, Output, Peer, read_frame, versions_frames};
use fingerpost_proto::set::Slot;
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1::frame::Content;

/// A node with a store in memory.
pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) store: BTreeMap<Slot, Vec<u8>>,
}

impl Host {
    pub(crate) fn new(charter: &Charter, own: Peer, seed: u64) -> Host {
        Host { node: Node::new(charter.clone(), own, seed), store: BTreeMap::new() }
    }

    /// Hands in envelopes as an admin and returns what became of each.
    pub(crate) fn publish(&mut self, now: UnixMillis, envelopes: Vec<Vec<u8>>) -> Vec<Outcome> {
        let mut answer = Vec::new();
        let mut queue = VecDeque::from([Input::Published { ticket: 0, envelopes }]);
        while let Some(input) = queue.pop_front() {
            for output in self.node.handle(now, input) {
                match output {
                    Output::Verify { ticket, versions } => queue.push_back(Input::verified(ticket, versions)),
                    Output::Published { outcomes, .. } => answer = outcomes,
                    Output::Persist { operations, .. } => self.persist(operations),
                    _ => {}
                }
            }
        }
        answer
    }

    pub(crate) fn persist(&mut self, operations: Vec<Operation>) {
        for operation in operations {
            match operation {
                Operation::Put { slot, envelope, .. } => drop(self.store.insert(slot, envelope)),
                Operation::Forget { slot } => drop(self.store.remove(&slot)),
                Operation::Lapse { .. }
                | Operation::Cursors { .. }
                | Operation::Vouched { .. }
                | Operation::Audited { .. } => {}
            }
        }
    }
}

/// Two hosts; the first dials.
pub(crate) struct Pair {
    hosts: [Host; 2],
    keys: [Peer; 2],
    now: UnixMillis,
}

impl Pair {
    pub(crate) fn new(charter: &Charter, keys: [Peer; 2], now: UnixMillis, envelopes: [Vec<Vec<u8>>; 2]) -> Pair {
        let mut hosts = [Host::new(charter, keys[0], 1), Host::new(charter, keys[1], 2)];
        for (host, envelopes) in hosts.iter_mut().zip(envelopes) {
            host.publish(now, envelopes);
        }
        Pair { hosts, keys, now }
    }

    /// Links them and lets time pass in these steps. Returns every frame sent, in order, with its sender.
    pub(crate) fn run(&mut self, ticks_ms: &[u64]) -> Vec<(usize, Vec<u8>)> {
        let mut log = Vec::new();
        let [a, b] = self.keys;
        let connected =
            [(1, Input::Connected { peer: a, outbound: false }), (0, Input::Connected { peer: b, outbound: true })];
        self.settle(VecDeque::from(connected), &mut log);
        for tick_ms in ticks_ms {
            self.now += tick_ms;
            self.settle(VecDeque::from([(0, Input::Tick), (1, Input::Tick)]), &mut log);
        }
        log
    }

    /// Fingerprint and count of the public sets.
    pub(crate) fn fingerprints(&self) -> [([u8; 16], u64); 2] {
        [0, 1].map(|i| {
            let total = self.hosts[i].node.set(Audience::Public).total();
            (total.fingerprint(), total.count)
        })
    }

    fn settle(&mut self, mut queue: VecDeque<(usize, Input)>, log: &mut Vec<(usize, Vec<u8>)>) {
        while let Some((at, input)) = queue.pop_front() {
            let (me, other) = (self.keys[at], 1 - at);
            let mut send = |frame: Vec<u8>, queue: &mut VecDeque<(usize, Input)>| {
                log.push((at, frame.clone()));
                queue.push_back((other, Input::Received { peer: me, frame }));
            };
            for output in self.hosts[at].node.handle(self.now, input) {
                match output {
                    Output::Verify { ticket, versions } => queue.push_back((at, Input::verified(ticket, versions))),
                    Output::Persist { operations, .. } => self.hosts[at].persist(operations),
                    Output::Send { frame, .. } => send(frame, &mut queue),
                    Output::SendVersions { want, slots, more, .. } => {
                        let store = &self.hosts[at].store;
                        let envelopes: Vec<Vec<u8>> =
                            slots.iter().filter_map(|slot| store.get(slot).cloned()).collect();
                        versions_frames(want, envelopes, more).into_iter().for_each(|frame| send(frame, &mut queue));
                    }
                    Output::Disconnect { message, .. } => panic!("node {at} ends the link: {message}"),
                    Output::Published { .. }
                    | Output::Processed { .. }
                    | Output::Audit { .. }
                    | Output::Close { .. }
                    | Output::Dial { .. }
                    | Output::Sign { .. }
                    | Output::Notice(_) => {}
                }
            }
        }
    }
}

/// Name of what a frame carries.
pub(crate) fn kind_of(frame: &[u8]) -> &'static str {
    match read_frame(frame).expect("a node writes readable frames") {
        Content::Hello(_) => "hello",
        Content::Bye(_) => "bye",
        Content::Versions(_) => "versions",
        Content::Reconcile(_) => "reconcile",
        Content::Offer(_) => "offer",
        Content::Want(_) => "want",
        Content::Ping(_) => "ping",
        Content::Pong(_) => "pong",
        Content::CatchUp(_) => "catch-up",
        Content::Arrivals(_) => "arrivals",
        Content::Take(_) => "take",
        Content::Fetch(_) => "fetch",
        Content::Progress(_) => "progress",
        Content::Compressed(_) => "compressed",
        Content::Prune(_) => "prune",
        Content::Neighbours(_) => "neighbours",
        Content::Beat(_) => "beat",
    }
}
