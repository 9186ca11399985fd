//! Model: nodes that run [`Neighbours`] and [`Broadcast`] of the product in an invented world, without sockets.
//!
//! Modelled: one-way delays, dials that take six trips or time out, frames in order, announcements in batches, links
//! that break some time after a crash, and what a new link brings both sides by comparing sets. Not modelled: bandwidth,
//! processing time, and the comparison of sets every few minutes, so that nothing is healed but by the overlay itself.

mod frame;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use fingerpost_proto::id::{OrgId, Vid};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::WANTS_OPEN_MAX;
use fingerpost_proto::overlay::{
    Action, Broadcast, Candidate, Candidates, DialFailure, DropReason, Ended, Neighbours, Signal, Source, Spread,
};

use frame::Frame;

use super::tally::{Summary, Tally};
use super::world::{
    Agenda, CRASH_NOTICED_US, Cast, DIAL_TIMEOUT_US, FRAME_OVERHEAD_BYTES, PUBLISH_INTERVAL_US, Part, Plan, Random,
    TRIPS_TO_CONNECT, latency_us,
};

/// Announcements wait so long for others, microseconds.
const FLUSH_US: u64 = 100_000;
/// Between two ticks of a node, microseconds.
const TICK_US: u64 = 250_000;
/// Nodes start within so long, microseconds.
const START_US: usize = 5_000_000;
/// Between two pings on a link, microseconds (`spec/06-link.md`, section 5).
const PING_US: u64 = 30_000_000;
/// Between two keepalives of HTTP/2 on a link, seconds (`spec/06-link.md`, section 1.5).
const KEEPALIVE_SECONDS: f64 = 15.0;
/// A PING frame of HTTP/2, or its answer, in a TLS record.
const KEEPALIVE_BYTES: f64 = 39.0;
/// Protobuf of the greeting, and of the comparison of two sets that differ by little.
const GREETING_BYTES: u64 = 120;
/// The wall clock at the beginning, so that nothing relies on zero.
const EPOCH_MS: u64 = 1_800_000_000_000;

enum Event {
    Tick(u32),
    Flush(u32),
    Ping(u32),
    /// A dial reaches its target, or would.
    Arrives {
        from: u32,
        to: u32,
    },
    /// The dialler knows that the link is up.
    Up {
        from: u32,
        to: u32,
        link: u32,
    },
    DialFails {
        from: u32,
        to: u32,
    },
    Frame {
        from: u32,
        to: u32,
        link: u32,
        frame: Frame,
    },
    Down {
        node: u32,
        peer: u32,
        link: u32,
        how: Ended,
    },
}

struct Node {
    neighbours: Neighbours,
    broadcast: Broadcast,
    /// Peer and number of the link.
    links: BTreeMap<u32, u32>,
    dialling: BTreeSet<u32>,
    announcements: BTreeMap<u32, Vec<u32>>,
    is_up: bool,
}

/// A network under way.
pub(crate) struct Model {
    plan: Plan,
    keys: Vec<PublicKey>,
    numbers: BTreeMap<PublicKey, u32>,
    nodes: Vec<Node>,
    agenda: Agenda<Event>,
    tally: Tally,
    random: Random,
    links_made: u32,
    vids: Vec<Vid>,
    messages_by_vid: BTreeMap<Vid, u32>,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// First publishes, when all links are eager yet.
    pub(crate) warm_up: Summary,
    /// After them.
    pub(crate) stable: Summary,
    /// From the instant of the crash on, among the survivors.
    pub(crate) crash: Summary,
    /// Three minutes later, among the survivors.
    pub(crate) after: Summary,
    /// Links per node before the crash, mean.
    pub(crate) links: f64,
}

/// What a node sends in a day without publishes, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// Greetings, comparisons, shuffles, pings.
    pub(crate) frames: f64,
    /// Keepalive of HTTP/2.
    pub(crate) keepalive: f64,
}

/// Keys of nodes that do not exist.
pub(crate) fn node_keys(count: usize) -> Vec<PublicKey> {
    let key = |number: usize| {
        let mut seed = [9; 32];
        seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let key = SigningKey::from_bytes(&seed).verifying_key();
        PublicKey::from_bytes(key.as_bytes()).expect("a key made from a seed is fit")
    };
    (0..count).map(key).collect()
}

impl Model {
    /// All nodes know all others from cards, and none is linked.
    pub(crate) fn new(plan: Plan) -> Model {
        let keys = node_keys(plan.nodes);
        let org = |number: usize| OrgId(*keys[number].as_bytes());
        let all = keys.iter().enumerate().map(|(at, peer)| Candidate { peer: *peer, org: org(at), is_dialable: true });
        let candidates = Arc::new(Candidates::new(all, plan.seed));
        let mut random = Random(plan.seed);
        let mut agenda = Agenda::new();
        let nodes = (0..plan.nodes)
            .map(|at| {
                let mut neighbours = Neighbours::new(keys[at], random.next());
                neighbours.set_candidates(Arc::clone(&candidates));
                let mut broadcast = Broadcast::new(keys[at], random.next());
                broadcast.set_network_nodes(neighbours.network_nodes());
                let starts_at = random.below(START_US) as u64;
                agenda.plan(starts_at, Event::Tick(at as u32));
                agenda.plan(starts_at + random.below(PING_US as usize) as u64, Event::Ping(at as u32));
                let (links, dialling, announcements) = Default::default();
                Node { neighbours, broadcast, links, dialling, announcements, is_up: true }
            })
            .collect();
        let numbers = keys.iter().zip(0..).map(|(key, number)| (*key, number)).collect();
        let tally = Tally::new(&plan);
        let vids: Vec<Vid> = (0..plan.messages()).map(|message| Vid::of_envelope(&message.to_be_bytes())).collect();
        let messages_by_vid = vids.iter().zip(0..).map(|(vid, message)| (*vid, message)).collect();
        Model { plan, keys, numbers, nodes, agenda, tally, random, links_made: 0, vids, messages_by_vid }
    }

    /// Runs all parts.
    pub(crate) fn run(mut self) -> Outcome {
        let plan = self.plan;
        let cast = Cast::new(&plan);
        let mut links = 0.0;
        for part in Part::ALL {
            self.run_until(part.starts_at(&plan) - 1);
            if part == Part::Crash {
                links = self.nodes.iter().map(|node| node.links.len()).sum::<usize>() as f64 / plan.nodes as f64;
                self.crash(&cast);
            }
            self.tally.mark();
            for (number, message) in part.messages(&plan).enumerate() {
                self.run_until(part.starts_at(&plan) + number as u64 * PUBLISH_INTERVAL_US);
                self.publish(message, cast.publishers[message]);
            }
            self.run_until(part.ends_at(&plan));
            self.tally.mark();
        }
        let survives = |node: usize| !cast.crashes[node];
        Outcome {
            warm_up: self.tally.summary(&plan, Part::WarmUp, |_| true),
            stable: self.tally.summary(&plan, Part::Stable, |_| true),
            crash: self.tally.summary(&plan, Part::Crash, survives),
            after: self.tally.summary(&plan, Part::After, survives),
            links,
        }
    }

    /// Runs for two hours without a publish and measures the second.
    pub(crate) fn idle(mut self) -> Idle {
        const HOUR_US: u64 = 3_600_000_000;
        self.run_until(HOUR_US);
        let before = self.tally.control_bytes();
        self.run_until(2 * HOUR_US);
        let per_day = 24.0 / self.plan.nodes as f64;
        let links: usize = self.nodes.iter().map(|node| node.links.len()).sum();
        // One side of each link pings when it has read nothing for a while, the other answers.
        let pings = 3_600.0 / KEEPALIVE_SECONDS * links as f64;
        Idle {
            frames: (self.tally.control_bytes() - before) as f64 * per_day,
            keepalive: pings * KEEPALIVE_BYTES * per_day,
        }
    }

    fn run_until(&mut self, until_us: u64) {
        while let Some(event) = self.agenda.next(until_us) {
            self.handle(event);
        }
    }

    fn now_ms(&self) -> u64 {
        EPOCH_MS + self.agenda.now_us / 1_000
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick(node) => {
                if self.nodes[node as usize].is_up {
                    // The neighbours are asked once a second, and after each change.
                    if (self.agenda.now_us / TICK_US).is_multiple_of(4) {
                        self.act(node);
                    }
                    self.keep_tree(node);
                    self.agenda.plan(self.agenda.now_us + TICK_US, Event::Tick(node));
                }
            }
            Event::Flush(node) => self.flush(node),
            Event::Ping(node) => {
                if self.nodes[node as usize].is_up {
                    for (peer, link) in self.nodes[node as usize].links.clone() {
                        self.send(node, peer, link, Frame::Ping);
                    }
                    self.agenda.plan(self.agenda.now_us + PING_US, Event::Ping(node));
                }
            }
            Event::Arrives { from, to } => self.arrives(from, to),
            Event::Up { from, to, link } => {
                self.nodes[from as usize].dialling.remove(&to);
                if !self.nodes[from as usize].is_up {
                    return;
                }
                if self.nodes[to as usize].links.get(&from) == Some(&link) {
                    self.link_up(from, to, link, true);
                } else if self.nodes[to as usize].is_up && !self.nodes[from as usize].links.contains_key(&to) {
                    // It was taken and given up at once: there was no room.
                    let (now, peer) = (self.now_ms(), self.keys[to as usize]);
                    let neighbours = &mut self.nodes[from as usize].neighbours;
                    neighbours.connected(now, peer, true);
                    neighbours.disconnected(now, &peer, Ended::Elsewhere);
                    self.act(from);
                } else {
                    self.dial_failed(from, to);
                }
            }
            Event::DialFails { from, to } => {
                self.nodes[from as usize].dialling.remove(&to);
                self.dial_failed(from, to);
            }
            Event::Frame { from, to, link, frame } => {
                let receiver = &self.nodes[to as usize];
                if receiver.is_up && receiver.links.get(&from) == Some(&link) {
                    self.receive(from, to, link, frame);
                }
            }
            Event::Down { node, peer, link, how } => self.link_down(node, peer, link, how),
        }
    }

    fn dial_failed(&mut self, from: u32, to: u32) {
        let now = self.now_ms();
        let peer = self.keys[to as usize];
        self.nodes[from as usize].neighbours.dial_failed(now, &peer, DialFailure::Unreachable);
        self.act(from);
    }

    fn arrives(&mut self, from: u32, to: u32) {
        let trip_us = latency_us(self.plan.seed, from as usize, to as usize);
        let dialler_is_up = self.nodes[from as usize].is_up;
        let target = &self.nodes[to as usize];
        // Of two dials that cross, that of the lower key stays.
        let crosses = target.dialling.contains(&from) && self.keys[to as usize] < self.keys[from as usize];
        if !dialler_is_up {
            return;
        }
        if !target.is_up {
            self.agenda.plan(self.agenda.now_us + DIAL_TIMEOUT_US, Event::DialFails { from, to });
        } else if crosses || target.links.contains_key(&from) {
            self.agenda.plan(self.agenda.now_us + trip_us, Event::DialFails { from, to });
        } else {
            self.links_made += 1;
            let link = self.links_made;
            self.agenda.plan(self.agenda.now_us + trip_us, Event::Up { from, to, link });
            self.link_up(to, from, link, false);
        }
    }

    fn link_up(&mut self, node: u32, peer: u32, link: u32, outbound: bool) {
        let now = self.now_ms();
        let key = self.keys[peer as usize];
        let this = &mut self.nodes[node as usize];
        this.links.insert(peer, link);
        this.neighbours.connected(now, key, outbound);
        this.broadcast.link_up(key);
        self.tally.sent_control(node as usize, GREETING_BYTES + FRAME_OVERHEAD_BYTES);
        self.act(node);
        if outbound && self.nodes[node as usize].links.get(&peer) == Some(&link) {
            let held = self.held(node);
            self.send(node, peer, link, Frame::Held(held, true));
        }
    }

    fn link_down(&mut self, node: u32, peer: u32, link: u32, how: Ended) {
        let now = self.now_ms();
        let this = &mut self.nodes[node as usize];
        if !this.is_up || this.links.get(&peer) != Some(&link) {
            return;
        }
        let key = self.keys[peer as usize];
        this.links.remove(&peer);
        this.announcements.remove(&peer);
        this.neighbours.disconnected(now, &key, how);
        this.broadcast.link_down(&key);
        self.act(node);
        self.keep_tree(node);
    }

    /// Performs what the neighbours want.
    fn act(&mut self, node: u32) {
        let now = self.now_ms();
        let Node { neighbours, broadcast, .. } = &mut self.nodes[node as usize];
        for action in neighbours.tick(now, broadcast.is_before_beat(now)) {
            match action {
                Action::Dial { peer } => {
                    let to = self.numbers[&peer];
                    self.nodes[node as usize].dialling.insert(to);
                    let trip_us = latency_us(self.plan.seed, node as usize, to as usize);
                    let at_us = self.agenda.now_us + trip_us * (TRIPS_TO_CONNECT - 1);
                    self.agenda.plan(at_us, Event::Arrives { from: node, to });
                }
                Action::Drop { peer, why, instead } => {
                    let to = self.numbers[&peer];
                    let Some(link) = self.nodes[node as usize].links.get(&to).copied() else { continue };
                    self.send(node, to, link, Frame::Neighbours(instead));
                    let trip_us = latency_us(self.plan.seed, node as usize, to as usize);
                    let how = if why == DropReason::Misbehaved { Ended::Refused } else { Ended::Elsewhere };
                    self.agenda.plan(self.agenda.now_us + trip_us, Event::Down { node: to, peer: node, link, how });
                    self.agenda.plan(self.agenda.now_us, Event::Down { node, peer: to, link, how: Ended::Dropped });
                }
                Action::Shuffle { to, peers } => {
                    let to = self.numbers[&to];
                    if let Some(link) = self.nodes[node as usize].links.get(&to).copied() {
                        self.send(node, to, link, Frame::Neighbours(peers));
                    }
                }
            }
        }
    }

    /// Sends what keeps the tree.
    fn keep_tree(&mut self, node: u32) {
        let now = self.now_ms();
        for signal in self.nodes[node as usize].broadcast.tick(now, |_| WANTS_OPEN_MAX) {
            self.signal(node, signal);
        }
    }

    fn signal(&mut self, node: u32, signal: Signal) {
        let (to, frame) = match signal {
            Signal::Graft { to, missing } => {
                (to, Frame::Graft(missing.iter().map(|announced| self.messages_by_vid[&announced.vid]).collect()))
            }
            Signal::Prune { to } => (to, Frame::Prune),
            Signal::Beat { to, beat } => {
                to.iter().for_each(|peer| self.send_to(node, peer, Frame::Beat(beat)));
                return;
            }
        };
        self.send_to(node, &to, frame);
    }

    fn publish(&mut self, message: usize, node: usize) {
        self.tally.published(self.agenda.now_us, message, node);
        let now = self.now_ms();
        let this = &mut self.nodes[node];
        let reaches_everyone = this.neighbours.reaches_everyone(now);
        let spread = this.broadcast.accepted(now, Source::Published { reaches_everyone }, self.vids[message], |_| true);
        self.spread(node as u32, message as u32, spread);
    }

    fn spread(&mut self, node: u32, message: u32, spread: Spread) {
        let hops = self.tally.hops_to(message as usize, node as usize) + 1;
        for peer in spread.push {
            let frame = Frame::Versions { messages: vec![message], hops, route: Some(spread.route) };
            self.send_to(node, &peer, frame);
        }
        let this = &mut self.nodes[node as usize];
        if !spread.announce.is_empty() && this.announcements.is_empty() {
            self.agenda.plan(self.agenda.now_us + FLUSH_US, Event::Flush(node));
        }
        for peer in spread.announce {
            this.announcements.entry(self.numbers[&peer]).or_default().push(message);
        }
    }

    fn flush(&mut self, node: u32) {
        let waiting = std::mem::take(&mut self.nodes[node as usize].announcements);
        for (peer, mut messages) in waiting {
            let this = &self.nodes[node as usize];
            let Some(link) = this.links.get(&peer).copied() else { continue };
            messages.retain(|message| {
                !this.broadcast.is_known_to(&self.keys[peer as usize], &self.vids[*message as usize])
            });
            if !messages.is_empty() && this.is_up {
                self.send(node, peer, link, Frame::Announce(messages));
            }
        }
    }

    /// Some nodes fall silent; their peers notice later.
    fn crash(&mut self, cast: &Cast) {
        for node in (0..self.plan.nodes).filter(|node| cast.crashes[*node]) {
            self.nodes[node].is_up = false;
            let links = std::mem::take(&mut self.nodes[node].links);
            for (peer, link) in links {
                let at_us = self.agenda.now_us + self.random.within(CRASH_NOTICED_US);
                self.agenda.plan(at_us, Event::Down { node: peer, peer: node as u32, link, how: Ended::Lost });
            }
        }
    }
}
