//! What the tests of the overlay share, and both machines together in a small network.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use ed25519_dalek::SigningKey;

use super::*;
use crate::id::{OrgId, Vid};
use crate::key::PublicKey;
use crate::kind::Audience;
use crate::limits::WANTS_OPEN_MAX;
use crate::node::Peer;
use crate::set::{SetKey, Slot};
use crate::time::UnixMillis;

/// A node key for every number. Kept, for making them takes longer than most tests.
pub(super) fn peer(number: u32) -> Peer {
    static KEYS: Mutex<Vec<Peer>> = Mutex::new(Vec::new());
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    for next in keys.len() as u32..=number {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&next.to_be_bytes());
        let key = SigningKey::from_bytes(&seed).verifying_key();
        keys.push(PublicKey::from_bytes(key.as_bytes()).expect("a key made from a seed is fit"));
    }
    keys[number as usize]
}

/// An organisation for every number.
pub(super) fn org(number: u32) -> OrgId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    OrgId(bytes)
}

/// A version as it is announced: its key is like its name.
pub(super) fn announced(vid: Vid) -> Announced {
    Announced { vid, slot: Slot { audience: Audience::Public, key: SetKey(vid.0) } }
}

/// Room for requests on a link on which nothing is asked for.
pub(super) fn wants_free(_: &Peer) -> usize {
    WANTS_OPEN_MAX
}

/// Milliseconds that a frame takes, and between two ticks.
const STEP_MS: u64 = 50;
const NOW: UnixMillis = 1_800_000_000_000;

enum Frame {
    Version(u32, Option<Route>),
    Announce(u32),
    Graft(Vec<u32>),
    Prune,
    Beat(Beat),
}

struct Node {
    neighbours: Neighbours,
    broadcast: Broadcast,
    held: BTreeSet<u32>,
    copies: usize,
    is_up: bool,
}

/// A network in which a frame, a dial and a goodbye take one step each.
struct Network {
    nodes: Vec<Node>,
    frames: Vec<(usize, usize, Frame)>,
    now: UnixMillis,
}

fn vid(message: u32) -> Vid {
    let mut vid = [0; 16];
    vid[..4].copy_from_slice(&message.to_be_bytes());
    Vid(vid)
}

fn message(vid: &Vid) -> u32 {
    u32::from_be_bytes([vid.0[0], vid.0[1], vid.0[2], vid.0[3]])
}

impl Network {
    fn new(count: u32) -> Network {
        let node = |number| Candidate { peer: peer(number), org: org(number), is_dialable: true };
        let candidates = Arc::new(Candidates::new((0..count).map(node), 1));
        let node = |number: u32| {
            let mut neighbours = Neighbours::new(peer(number), u64::from(number));
            neighbours.set_candidates(Arc::clone(&candidates));
            let mut broadcast = Broadcast::new(peer(number), u64::from(number) + 1_000_000);
            broadcast.set_network_nodes(neighbours.network_nodes());
            Node { neighbours, broadcast, held: BTreeSet::new(), copies: 0, is_up: true }
        };
        Network { nodes: (0..count).map(node).collect(), frames: Vec::new(), now: NOW }
    }

    fn number(&self, wanted: &Peer) -> usize {
        (0..self.nodes.len()).find(|number| peer(*number as u32) == *wanted).expect("one of the network")
    }

    fn run(&mut self, seconds: u64) {
        for step in 0..seconds * 1_000 / STEP_MS {
            self.now += STEP_MS;
            for (from, to, frame) in std::mem::take(&mut self.frames) {
                if self.nodes[to].is_up {
                    self.receive(from, to, frame);
                }
            }
            for number in 0..self.nodes.len() {
                if self.nodes[number].is_up {
                    if step % 20 == 0 {
                        self.act(number);
                    }
                    let signals = self.nodes[number].broadcast.tick(self.now, wants_free);
                    signals.into_iter().for_each(|signal| self.signal(number, signal));
                }
            }
        }
    }

    fn act(&mut self, number: usize) {
        let may_exchange = self.nodes[number].broadcast.is_before_beat(self.now);
        for action in self.nodes[number].neighbours.tick(self.now, may_exchange) {
            match action {
                Action::Dial { peer: other } => {
                    let to = self.number(&other);
                    if self.nodes[to].is_up {
                        self.link(number, &other, true);
                        self.link(to, &peer(number as u32), false);
                    } else {
                        self.nodes[number].neighbours.dial_failed(self.now, &other, DialFailure::Unreachable);
                    }
                }
                Action::Drop { peer: other, .. } => {
                    let to = self.number(&other);
                    self.unlink(number, &other, Ended::Dropped);
                    self.unlink(to, &peer(number as u32), Ended::Elsewhere);
                }
                Action::Shuffle { .. } => {}
            }
        }
    }

    fn link(&mut self, number: usize, other: &Peer, outbound: bool) {
        self.nodes[number].neighbours.connected(self.now, *other, outbound);
        self.nodes[number].broadcast.link_up(*other);
    }

    fn unlink(&mut self, number: usize, other: &Peer, how: Ended) {
        self.nodes[number].neighbours.disconnected(self.now, other, how);
        self.nodes[number].broadcast.link_down(other);
    }

    fn signal(&mut self, from: usize, signal: Signal) {
        match signal {
            Signal::Graft { to, missing } => {
                let to = self.number(&to);
                let messages = missing.iter().map(|announced| message(&announced.vid)).collect();
                self.frames.push((from, to, Frame::Graft(messages)));
            }
            Signal::Prune { to } => {
                let to = self.number(&to);
                self.frames.push((from, to, Frame::Prune));
            }
            Signal::Beat { to, beat } => {
                for to in to {
                    let to = self.number(&to);
                    self.frames.push((from, to, Frame::Beat(beat)));
                }
            }
        }
    }

    fn publish(&mut self, number: usize, message: u32) {
        let node = &mut self.nodes[number];
        node.held.insert(message);
        let reaches_everyone = node.neighbours.reaches_everyone(self.now);
        let spread = node.broadcast.accepted(self.now, Source::Published { reaches_everyone }, vid(message), |_| true);
        self.spread(number, message, spread);
    }

    fn spread(&mut self, from: usize, message: u32, spread: Spread) {
        for to in spread.push {
            let to = self.number(&to);
            self.frames.push((from, to, Frame::Version(message, Some(spread.route))));
        }
        for to in spread.announce {
            let to = self.number(&to);
            self.frames.push((from, to, Frame::Announce(message)));
        }
    }

    fn receive(&mut self, from: usize, to: usize, frame: Frame) {
        let sender = peer(from as u32);
        let node = &mut self.nodes[to];
        match frame {
            Frame::Version(message, route) => {
                node.copies += 1;
                if node.held.insert(message) {
                    let source = match route {
                        Some(route) => Source::Pushed { from: sender, route },
                        None => Source::Pulled { from: sender },
                    };
                    let spread = node.broadcast.accepted(self.now, source, vid(message), |_| true);
                    self.spread(to, message, spread);
                } else if let Some(lazy) =
                    route.and_then(|route| node.broadcast.duplicate(self.now, &sender, &vid(message), route))
                {
                    self.frames.push((to, self.number(&lazy), Frame::Prune));
                }
            }
            Frame::Announce(message) if node.held.contains(&message) => node.broadcast.held_by(&sender, &vid(message)),
            Frame::Announce(message) => node.broadcast.announced(self.now, &sender, announced(vid(message))),
            Frame::Graft(messages) => {
                node.broadcast.grafted(&sender);
                let held = messages.into_iter().filter(|message| node.held.contains(message));
                self.frames.extend(held.map(|message| (to, from, Frame::Version(message, None))));
            }
            Frame::Prune => {
                let others = node.broadcast.pruned(self.now, &sender);
                let others: Vec<usize> = others.iter().map(|other| self.number(other)).collect();
                self.frames.extend(others.into_iter().map(|other| (to, other, Frame::Prune)));
            }
            Frame::Beat(beat) => {
                if let Some((others, beat)) = node.broadcast.beat(self.now, &sender, beat) {
                    self.signal(to, Signal::Beat { to: others, beat });
                }
            }
        }
    }

    /// Publishes at nodes that are up, in turn, and returns copies per node and message.
    fn publish_some(&mut self, first: u32, count: u32) -> f64 {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|number| self.nodes[*number].is_up).collect();
        self.nodes.iter_mut().for_each(|node| node.copies = 0);
        for message in first..first + count {
            self.publish(up[message as usize * 7 % up.len()], message);
            self.run(2);
        }
        self.run(10);
        let copies: usize = up.iter().map(|number| self.nodes[*number].copies).sum();
        copies as f64 / (count as usize * (up.len() - 1)) as f64
    }

    fn all_hold(&self, messages: std::ops::Range<u32>) -> bool {
        self.nodes
            .iter()
            .filter(|node| node.is_up)
            .all(|node| messages.clone().all(|message| node.held.contains(&message)))
    }
}

#[test]
fn in_an_overlay_everybody_gets_everything_once_and_also_after_a_crash_of_a_third() {
    let mut network = Network::new(80);
    network.run(120);
    let copies = network.publish_some(0, 10);
    assert!(network.all_hold(0..10));
    assert!(copies < 1.1, "{copies} copies per node");
    for number in (0..80).step_by(3) {
        network.nodes[number].is_up = false;
    }
    // The survivors notice after five seconds, and publish meanwhile.
    let copies = network.publish_some(10, 3);
    assert!(copies < 1.5, "{copies} copies per node");
    for number in 0..80 {
        for dead in (0..80).step_by(3) {
            if network.nodes[number].is_up {
                network.unlink(number, &peer(dead as u32), Ended::Lost);
            }
        }
    }
    network.run(30);
    assert!(network.all_hold(10..13), "what was announced was asked for");
    network.run(120);
    let copies = network.publish_some(13, 10);
    assert!(network.all_hold(13..23));
    assert!(copies < 1.1, "{copies} copies per node");
}

#[test]
fn in_a_full_mesh_every_version_takes_one_hop_and_one_copy() {
    let mut network = Network::new(12);
    network.run(90);
    for message in 0..12 {
        network.publish(message as usize, message);
        network.run(1);
    }
    assert!(network.all_hold(0..12));
    assert!(network.nodes.iter().all(|node| node.copies == 11));
}

#[test]
fn in_a_small_network_where_many_can_only_dial_two_hubs_everybody_gets_everything_about_once() {
    let mut network = Network::new(12);
    let node = |number| Candidate { peer: peer(number), org: org(number), is_dialable: number < 2 };
    let candidates = Arc::new(Candidates::new((0..12).map(node), 1));
    network.nodes.iter_mut().for_each(|node| node.neighbours.set_candidates(Arc::clone(&candidates)));
    network.run(90);
    network.publish_some(0, 5);
    let copies = network.publish_some(5, 12);
    assert!(network.all_hold(0..17));
    assert!(copies < 1.3, "{copies} copies per node");
}
