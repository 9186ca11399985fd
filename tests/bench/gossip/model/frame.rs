//! Frames of the model: what they do to who gets them, and what they weigh.

use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::overlay::{Announced, Beat, Route, Signal, Source};
use fingerpost_proto::set::{SetKey, Slot};

use super::super::world::{FRAME_OVERHEAD_BYTES, PAYLOAD_BYTES, latency_us};
use super::{Event, GREETING_BYTES, Model};

/// Protobuf of a ping or pong.
const PING_BYTES: u64 = 16;
/// Protobuf of a frame with ids, without them.
const IDS_BYTES: u64 = 6;
/// Key and vid of an announced version.
const ANNOUNCED_BYTES: u64 = 32;
/// Protobuf of a beat: key, number, hops.
const BEAT_BYTES: u64 = 45;

/// What nodes say to each other.
pub(super) enum Frame {
    Versions {
        messages: Vec<u32>,
        hops: u8,
        route: Option<Route>,
    },
    Announce(Vec<u32>),
    Prune,
    Beat(Beat),
    Graft(Vec<u32>),
    Neighbours(Vec<PublicKey>),
    /// What the sender holds, for the comparison of sets on a new link; true when an answer is wanted.
    Held(Box<[bool]>, bool),
    Ping,
    Pong,
}

impl Model {
    pub(super) fn send_to(&mut self, node: u32, peer: &PublicKey, frame: Frame) {
        let to = self.numbers[peer];
        if let Some(link) = self.nodes[node as usize].links.get(&to).copied() {
            self.send(node, to, link, frame);
        }
    }

    pub(super) fn receive(&mut self, from: u32, to: u32, link: u32, frame: Frame) {
        let now = self.now_ms();
        let key = self.keys[from as usize];
        match frame {
            Frame::Versions { messages, hops, route } => {
                for message in messages {
                    let is_first = self.tally.copy(self.agenda.now_us, message as usize, to as usize, hops);
                    let broadcast = &mut self.nodes[to as usize].broadcast;
                    if is_first {
                        let source = match route {
                            Some(route) => Source::Pushed { from: key, route },
                            None => Source::Pulled { from: key },
                        };
                        let spread = broadcast.accepted(now, source, self.vids[message as usize], |_| true);
                        self.spread(to, message, spread);
                    } else if let Some(route) = route
                        && let Some(lazy) = broadcast.duplicate(now, &key, &self.vids[message as usize], route)
                    {
                        self.send_to(to, &lazy, Frame::Prune);
                    }
                }
            }
            Frame::Announce(messages) => {
                for message in messages {
                    let broadcast = &mut self.nodes[to as usize].broadcast;
                    if self.tally.is_at(message as usize, to as usize) {
                        broadcast.held_by(&key, &self.vids[message as usize]);
                    } else {
                        let vid = self.vids[message as usize];
                        let slot = Slot { audience: Audience::Public, key: SetKey(vid.0) };
                        broadcast.announced(now, &key, Announced { vid, slot });
                    }
                }
            }
            Frame::Prune => {
                for other in self.nodes[to as usize].broadcast.pruned(now, &key) {
                    self.send_to(to, &other, Frame::Prune);
                }
            }
            Frame::Beat(beat) => {
                if let Some((others, beat)) = self.nodes[to as usize].broadcast.beat(now, &key, beat) {
                    self.signal(to, Signal::Beat { to: others, beat });
                }
            }
            Frame::Graft(messages) => {
                self.nodes[to as usize].broadcast.grafted(&key);
                self.answer(to, from, link, &messages);
            }
            Frame::Neighbours(peers) => {
                self.nodes[to as usize].neighbours.shuffled(now, &key, &peers);
            }
            Frame::Held(theirs, wants_answer) => {
                let held = self.held(to);
                let lacking: Vec<u32> =
                    (0..held.len()).filter(|at| held[*at] && !theirs[*at]).map(|at| at as u32).collect();
                self.answer(to, from, link, &lacking);
                if wants_answer && held.iter().zip(&theirs).any(|(ours, theirs)| *theirs && !ours) {
                    self.send(to, from, link, Frame::Held(held, false));
                }
            }
            Frame::Ping => self.send(to, from, link, Frame::Pong),
            Frame::Pong => {}
        }
    }

    /// Sends versions that were asked for.
    fn answer(&mut self, node: u32, to: u32, link: u32, messages: &[u32]) {
        for message in messages
            .iter()
            .filter(|message| self.tally.is_at(**message as usize, node as usize))
            .copied()
            .collect::<Vec<u32>>()
        {
            let hops = self.tally.hops_to(message as usize, node as usize) + 1;
            self.send(node, to, link, Frame::Versions { messages: vec![message], hops, route: None });
        }
    }

    pub(super) fn held(&self, node: u32) -> Box<[bool]> {
        (0..self.plan.messages()).map(|message| self.tally.is_at(message, node as usize)).collect()
    }

    pub(super) fn send(&mut self, from: u32, to: u32, link: u32, frame: Frame) {
        let ids = |count: usize, bytes: u64| IDS_BYTES + count as u64 * bytes;
        let control = match &frame {
            Frame::Versions { messages, .. } => {
                let bytes = messages.len() as u64 * (PAYLOAD_BYTES as u64 + 4) + IDS_BYTES + 10;
                self.tally.sent_payload(from as usize, bytes + FRAME_OVERHEAD_BYTES);
                None
            }
            Frame::Announce(messages) => Some(ids(messages.len(), ANNOUNCED_BYTES)),
            Frame::Graft(messages) => Some(ids(messages.len(), 16)),
            Frame::Neighbours(peers) => Some(ids(peers.len(), 32)),
            Frame::Prune => Some(IDS_BYTES),
            Frame::Beat(_) => Some(BEAT_BYTES),
            Frame::Held(..) => Some(GREETING_BYTES),
            Frame::Ping | Frame::Pong => Some(PING_BYTES),
        };
        if let Some(bytes) = control {
            self.tally.sent_control(from as usize, bytes + FRAME_OVERHEAD_BYTES);
        }
        let at_us = self.agenda.now_us + latency_us(self.plan.seed, from as usize, to as usize);
        self.agenda.plan(at_us, Event::Frame { from, to, link, frame });
    }
}
