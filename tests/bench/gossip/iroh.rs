//! Model: nodes that run the protocol of `iroh-gossip` in the same invented world, without sockets.
//!
//! Its state machine as published, with its own defaults; only the largest message is raised where the payload needs it.
//! Modelled as for ours: delays, dials of six trips before the first frame to a new peer, frames in order, connections
//! that are noticed to be dead some time after a crash.

use std::collections::{BTreeSet, HashMap};

use iroh_gossip::proto::{Command, Config, Event as GossipEvent, InEvent, Message, OutEvent, PeerData, Scope, State};
use iroh_gossip::proto::{Timer, TopicId, state::MessageKind};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::{Duration, Instant};

use super::model::Outcome;
use super::tally::Tally;
use super::world::{
    Agenda, CRASH_NOTICED_US, Cast, DIAL_TIMEOUT_US, FRAME_OVERHEAD_BYTES, PAYLOAD_BYTES, PUBLISH_INTERVAL_US, Part,
    Plan, Random, TRIPS_TO_CONNECT, latency_us,
};

/// A key of 32 bytes, as on the wire.
type Id = [u8; 32];

/// Nodes join one after the other within so long, microseconds; each knows one that joined before.
const START_US: u64 = 30_000_000;

enum Event {
    Join(u32),
    /// With the number of the publish in it, when it has one and that is known.
    Receive {
        from: u32,
        to: u32,
        published: Option<u32>,
        message: Box<Message<Id>>,
    },
    Timer(u32, Timer<Id>),
    Disconnected {
        node: u32,
        peer: u32,
    },
}

/// A network under way.
pub(super) struct IrohModel {
    plan: Plan,
    topic: TopicId,
    nodes: Vec<State<Id, StdRng>>,
    is_up: Vec<bool>,
    /// Connections, lower number first, and since when frames pass.
    connections: HashMap<(u32, u32), u64>,
    agenda: Agenda<Event>,
    tally: Tally,
    start: Instant,
    random: Random,
}

fn id(number: u32) -> Id {
    let mut id = [5; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    id
}

fn number(id: &Id) -> u32 {
    u32::from_be_bytes([id[0], id[1], id[2], id[3]])
}

/// Which publish is in the payload: its fields are private, its serialised form is not.
fn content_number(message: &Message<Id>) -> u32 {
    let value = serde_json::to_value(message).unwrap_or_default();
    let content = &value["message"]["Gossip"]["Gossip"]["content"];
    (0..4).fold(0, |number, at| number << 8 | content[at].as_u64().unwrap_or(0) as u32)
}

fn pair(a: u32, b: u32) -> (u32, u32) {
    (a.min(b), a.max(b))
}

impl IrohModel {
    pub(super) fn new(plan: Plan) -> IrohModel {
        let mut random = Random(plan.seed);
        let mut agenda = Agenda::new();
        let config = Config { max_message_size: PAYLOAD_BYTES + 512, ..Config::default() };
        let nodes = (0..plan.nodes as u32)
            .map(|node| {
                let at_us = START_US * u64::from(node) / plan.nodes as u64;
                agenda.plan(at_us, Event::Join(node));
                State::new(id(node), PeerData::default(), config.clone(), StdRng::seed_from_u64(random.next()))
            })
            .collect();
        IrohModel {
            plan,
            topic: TopicId::from_bytes([1; 32]),
            nodes,
            is_up: vec![true; plan.nodes],
            connections: HashMap::new(),
            agenda,
            tally: Tally::new(&plan),
            start: Instant::now(),
            random,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        let plan = self.plan;
        let cast = Cast::new(&plan);
        let mut links = 0.0;
        for part in Part::ALL {
            self.run_until(part.starts_at(&plan) - 1);
            if part == Part::Crash {
                links = self.connections.len() as f64 * 2.0 / plan.nodes as f64;
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

    fn run_until(&mut self, until_us: u64) {
        while let Some(event) = self.agenda.next(until_us) {
            match event {
                Event::Join(node) => {
                    let known = if node == 0 { Vec::new() } else { vec![id(self.random.below(node as usize) as u32)] };
                    self.handle(node, InEvent::Command(self.topic, Command::Join(known)), None);
                }
                Event::Receive { from, to, published, message } => {
                    if !self.is_up[to as usize] {
                        continue;
                    }
                    let now_us = self.agenda.now_us;
                    self.connections.entry(pair(from, to)).or_insert(now_us);
                    let is_data = matches!(message.kind(), MessageKind::Data);
                    let published = is_data.then(|| published.unwrap_or_else(|| content_number(&message)));
                    if let Some(published) = published {
                        self.tally.received(published as usize, to as usize);
                    }
                    self.handle(to, InEvent::RecvMessage(id(from), *message), published);
                }
                Event::Timer(node, timer) => self.handle(node, InEvent::TimerExpired(timer), None),
                Event::Disconnected { node, peer } => {
                    // A connection that was made anew since is another one.
                    self.handle(node, InEvent::PeerDisconnected(id(peer)), None);
                }
            }
        }
    }

    /// `published` is what this event brings; what is pushed because of it is the same.
    fn handle(&mut self, node: u32, event: InEvent<Id>, published: Option<u32>) {
        if !self.is_up[node as usize] {
            return;
        }
        let now = self.start + Duration::from_micros(self.agenda.now_us);
        let effects: Vec<OutEvent<Id>> = self.nodes[node as usize].handle(event, now, None).collect();
        for effect in effects {
            match effect {
                OutEvent::SendMessage(to, message) => self.send(node, number(&to), published, message),
                OutEvent::EmitEvent(_, GossipEvent::Received(event)) => {
                    let Some(message) = published else { continue };
                    // The scope is `{"Swarm": n}`, with n from 0 for whoever got it from the publisher.
                    let scope = serde_json::to_value(event.scope).unwrap_or_default();
                    let hops = scope["Swarm"].as_u64().map_or(0, |round| round as u8 + 1);
                    self.tally.arrived(self.agenda.now_us, message as usize, node as usize, hops);
                }
                OutEvent::EmitEvent(..) | OutEvent::PeerData(..) => {}
                OutEvent::ScheduleTimer(after, timer) => {
                    self.agenda.plan(self.agenda.now_us + after.as_micros() as u64, Event::Timer(node, timer));
                }
                OutEvent::DisconnectPeer(peer) => {
                    let peer = number(&peer);
                    if self.connections.remove(&pair(node, peer)).is_some() {
                        let trip_us = latency_us(self.plan.seed, node as usize, peer as usize);
                        let gone = Event::Disconnected { node: peer, peer: node };
                        self.agenda.plan(self.agenda.now_us + trip_us + 1, gone);
                    }
                }
            }
        }
    }

    fn send(&mut self, from: u32, to: u32, published: Option<u32>, message: Message<Id>) {
        let bytes = message.size().unwrap_or(0) as u64 + FRAME_OVERHEAD_BYTES;
        match message.kind() {
            MessageKind::Data => self.tally.sent_payload(from as usize, bytes),
            MessageKind::Control => self.tally.sent_control(from as usize, bytes),
        }
        let trip_us = latency_us(self.plan.seed, from as usize, to as usize);
        let now_us = self.agenda.now_us;
        if !self.is_up[to as usize] && !self.connections.contains_key(&pair(from, to)) {
            self.agenda.plan(now_us + DIAL_TIMEOUT_US, Event::Disconnected { node: from, peer: to });
            return;
        }
        let open_us = *self.connections.entry(pair(from, to)).or_insert(now_us + (TRIPS_TO_CONNECT - 1) * trip_us);
        self.agenda
            .plan(open_us.max(now_us) + trip_us, Event::Receive { from, to, published, message: Box::new(message) });
    }

    fn publish(&mut self, message: usize, node: usize) {
        self.tally.published(self.agenda.now_us, message, node);
        let mut content = vec![0; PAYLOAD_BYTES];
        content[..4].copy_from_slice(&(message as u32).to_be_bytes());
        let command = Command::Broadcast(content.into(), Scope::Swarm);
        self.handle(node as u32, InEvent::Command(self.topic, command), Some(message as u32));
    }

    fn crash(&mut self, cast: &Cast) {
        let is_up: Vec<bool> = cast.crashes.iter().map(|crashes| !crashes).collect();
        let mut broken: Vec<(u32, u32)> = self.connections.keys().copied().collect();
        broken.retain(|(a, b)| is_up[*a as usize] != is_up[*b as usize]);
        broken.sort_unstable();
        self.is_up = is_up;
        self.connections.retain(|(a, b), _| self.is_up[*a as usize] && self.is_up[*b as usize]);
        let mut dead: BTreeSet<(u32, u32)> = BTreeSet::new();
        for (a, b) in broken {
            let (node, peer) = if self.is_up[a as usize] { (a, b) } else { (b, a) };
            dead.insert((node, peer));
        }
        for (node, peer) in dead {
            // Frames to it are lost meanwhile.
            self.connections.insert(pair(node, peer), self.agenda.now_us);
            let at_us = self.agenda.now_us + self.random.within(CRASH_NOTICED_US);
            self.agenda.plan(at_us, Event::Disconnected { node, peer });
        }
    }
}
