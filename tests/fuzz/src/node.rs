//! Whole nodes: what peers, admins and the clock can make one do, in any order.
//!
//! Two honest nodes share a line; three more peers of the first one send whatever the bytes say. Between any two things that
//! happen, the promises of [`World::check`] hold.

mod machine;
mod said;

use std::collections::VecDeque;

use fingerpost_proto::kind::Audience;
use fingerpost_proto::limits::{FETCH_KEYS_MAX, FRAME_BYTES_MAX, QUARANTINE_VERSIONS_MAX};
use fingerpost_proto::node::{Input, Operation, Output, Peer, read_frame, versions_frames, write_frame};
use fingerpost_proto::overlay::DialFailure;
use fingerpost_proto::set::{Index, SetKey, Slot};
use fingerpost_proto::time::{HOUR_MS, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;

use super::cast::{CAST, NOW};
use super::input::Bytes;
use machine::{Machine, mirrored};

/// Things that happen in one run.
const STEPS_MAX: usize = 400;
/// Frames kept to be sent again by somebody else.
const SEEN_MAX: usize = 64;
/// Outputs of one input. More would be work out of all proportion to what came.
const OUTPUTS_MAX: usize = 2_000;

/// `bytes`: a list of things that happen, as [`World::step`] reads them.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let mut world = World::new();
    for _ in 0..STEPS_MAX {
        if world.step(&mut bytes).is_none() {
            break;
        }
        world.check();
    }
    world.settle();
}

struct World {
    now: UnixMillis,
    /// The one under test, and the one at the other end of its line.
    machines: [Machine; 2],
    /// Peers that say what they like.
    strangers: [Peer; 3],
    seen: VecDeque<Vec<u8>>,
    tickets: u64,
    restarts: u64,
}

impl World {
    fn new() -> World {
        let stranger = |place: usize| CAST.organisations[place].node;
        let nobody = CAST.organisations[0].id.0;
        let nobody = ed25519_dalek::SigningKey::from_bytes(&nobody).verifying_key().to_bytes();
        let nobody = Peer::from_bytes(&nobody).expect("a fresh key is not weak");
        let mut world = World {
            now: NOW,
            machines: [Machine::new(0), Machine::new(1)],
            strangers: [stranger(2), stranger(3), nobody],
            seen: VecDeque::new(),
            tickets: 0,
            restarts: 0,
        };
        for place in 0..2 {
            let outputs = world.machines[place].restore(place as u64);
            world.perform(place, outputs);
        }
        world
    }

    /// The next thing that happens; `None` when the bytes are at their end.
    fn step(&mut self, bytes: &mut Bytes<'_>) -> Option<()> {
        match bytes.index(18)? {
            0 => {
                let (peer, outbound) = (self.stranger(bytes)?, bytes.byte()? & 1 == 1);
                self.connect(0, peer, outbound);
            }
            1 => {
                let peer = self.stranger(bytes)?;
                self.disconnect(0, peer);
            }
            2 => {
                let (peer, frame) = (self.stranger(bytes)?, bytes.part()?.to_vec());
                self.receive(0, peer, frame);
            }
            3 => {
                let (peer, content) = (self.stranger(bytes)?, self.content(bytes)?);
                self.receive(0, peer, write_frame(content));
            }
            4 => {
                let machine = bytes.index(2)?;
                let count = bytes.index(6)?;
                let envelopes = (0..count).map(|_| self.envelope(bytes)).collect::<Option<Vec<_>>>()?;
                self.tickets += 1;
                self.machines[machine].asked.insert(self.tickets, count);
                self.handle(machine, Input::Published { ticket: self.tickets, envelopes });
            }
            5 => {
                self.now += u64::from(bytes.byte()?) * 250;
                self.tick();
            }
            6 => {
                let hours = i64::from(bytes.number()?.cast_signed());
                self.now = self.now.saturating_add_signed(hours * HOUR_MS as i64 / 8);
                self.tick();
            }
            7 => {
                let peer = self.stranger(bytes)?;
                self.handle(0, Input::Oversized { peer, message: "too large".to_owned() });
            }
            8 => {
                let machine = bytes.index(2)?;
                let lost = bytes.index(self.machines[machine].store.len())?;
                let slot = self.machines[machine].store.keys().nth(lost).copied();
                if let Some(slot) = slot {
                    self.lose(machine, slot);
                }
            }
            9 => {
                let (peer, why) = (self.anyone(bytes)?, bytes.byte()? & 1);
                let why = if why == 0 { DialFailure::Refused } else { DialFailure::Unreachable };
                self.handle(0, Input::DialFailed { peer, why });
            }
            10 => {
                let peer = self.anyone(bytes)?;
                self.handle(0, Input::Introduced { peer });
            }
            11 => self.bring(bytes.index(2)?),
            12 => (0..64).for_each(|turn| self.bring(turn % 2)),
            13 => self.verify_next(bytes.index(2)?),
            14 => {
                let reason = (bytes.byte()? & 1 == 1).then(|| "disk full".to_owned());
                self.machines[0].node.set_read_only(reason);
            }
            15 => self.restart(bytes.index(2)?),
            16 => {
                let (peer, which) = (self.stranger(bytes)?, bytes.index(self.seen.len())?);
                let (at, mask) = (bytes.number()?, bytes.byte()?);
                let mut frame = self.seen[which].clone();
                if let Some(at) = usize::from(at).checked_rem(frame.len()) {
                    frame[at] ^= mask;
                }
                self.receive(0, peer, frame);
            }
            _ => self.link(bytes.byte()? & 1 == 1),
        }
        Some(())
    }

    fn stranger(&self, bytes: &mut Bytes<'_>) -> Option<Peer> {
        bytes.index(self.strangers.len()).map(|place| self.strangers[place])
    }

    fn anyone(&self, bytes: &mut Bytes<'_>) -> Option<Peer> {
        let everyone = [self.machines[0].own, self.machines[1].own].into_iter().chain(self.strangers);
        let everyone: Vec<Peer> = everyone.collect();
        bytes.index(everyone.len()).map(|place| everyone[place])
    }

    /// A link to one of the other peers. A later one takes an earlier one's place, as in the driver.
    fn connect(&mut self, machine: usize, peer: Peer, outbound: bool) {
        self.disconnect(machine, peer);
        self.machines[machine].linked.insert(peer, outbound);
        self.handle(machine, Input::Connected { peer, outbound });
    }

    fn disconnect(&mut self, machine: usize, peer: Peer) {
        if self.machines[machine].linked.remove(&peer).is_some() {
            self.handle(machine, Input::Disconnected { peer });
        }
    }

    /// A new line between the two honest nodes, dialled by one of them.
    fn link(&mut self, by_first: bool) {
        self.cut();
        for machine in [1, 0] {
            let other = self.machines[1 - machine].own;
            self.machines[machine].linked.insert(other, (machine == 0) == by_first);
        }
        for machine in [1, 0] {
            let (peer, outbound) = (self.machines[1 - machine].own, (machine == 0) == by_first);
            if self.machines[machine].linked.contains_key(&peer) {
                self.handle(machine, Input::Connected { peer, outbound });
            }
        }
    }

    /// The line between the two breaks.
    fn cut(&mut self) {
        for machine in 0..2 {
            let other = self.machines[1 - machine].own;
            self.disconnect(machine, other);
            self.machines[machine].line.clear();
        }
        self.machines[0].line.clear();
    }

    fn receive(&mut self, machine: usize, peer: Peer, frame: Vec<u8>) {
        if self.machines[machine].linked.contains_key(&peer) {
            *self.machines[machine].in_work.entry(peer).or_default() += 1;
            self.handle(machine, Input::Received { peer, frame });
        }
    }

    /// The next frame on the line arrives.
    fn bring(&mut self, machine: usize) {
        let other = self.machines[1 - machine].own;
        if let Some(frame) = self.machines[machine].line.pop_front() {
            self.receive(machine, other, frame);
        }
        self.verify_next(machine);
    }

    fn verify_next(&mut self, machine: usize) {
        if let Some((ticket, versions)) = self.machines[machine].verify.pop_front() {
            self.handle(machine, Input::verified(ticket, versions));
        }
    }

    fn tick(&mut self) {
        self.handle(0, Input::Tick);
        self.handle(1, Input::Tick);
    }

    /// The store finds a row damaged.
    fn lose(&mut self, machine: usize, slot: Slot) {
        self.machines[machine].store.remove(&slot);
        self.machines[machine].mirror[usize::from(slot.audience.number())].remove(&slot.key);
        self.handle(machine, Input::Lost { slot });
    }

    fn restart(&mut self, machine: usize) {
        self.cut();
        self.restarts += 1;
        let outputs = self.machines[machine].restore(100 + self.restarts);
        self.perform(machine, outputs);
    }

    fn handle(&mut self, machine: usize, input: Input) {
        let outputs = self.machines[machine].node.handle(self.now, input);
        self.perform(machine, outputs);
    }

    fn perform(&mut self, machine: usize, outputs: Vec<Output>) {
        assert!(outputs.len() <= OUTPUTS_MAX, "{} outputs of one input", outputs.len());
        for output in outputs {
            self.perform_one(machine, output);
        }
    }

    fn perform_one(&mut self, machine: usize, output: Output) {
        let other = self.machines[1 - machine].own;
        match output {
            Output::Verify { ticket, versions } => self.machines[machine].verify.push_back((ticket, versions)),
            Output::Persist { operations, .. } => {
                operations.into_iter().for_each(|operation| self.store(machine, operation))
            }
            Output::Send { to, frame } => {
                for peer in to {
                    assert_ne!(peer, self.machines[machine].own, "nobody sends to itself");
                    self.send(machine, peer, &frame);
                }
            }
            Output::SendVersions { to, want, slots, more } => {
                assert!(slots.len() <= FETCH_KEYS_MAX, "{} versions in one answer", slots.len());
                let rows = slots.iter().filter_map(|slot| self.machines[machine].store.get(slot));
                let envelopes: Vec<Vec<u8>> = rows.map(|(version, _)| version.envelope().to_vec()).collect();
                for frame in versions_frames(want, envelopes, more) {
                    self.send(machine, to, &frame);
                }
            }
            Output::Disconnect { peer, code, message } => {
                let is_between_honest = peer == other;
                assert!(
                    !is_between_honest || code != v1::ByeCode::Breach,
                    "an honest node is said to have broken the rules: {message}"
                );
                self.part(machine, peer);
            }
            Output::Close { peer } => self.part(machine, peer),
            Output::Processed { peer } => {
                let in_work = self.machines[machine].in_work.entry(peer).or_default();
                *in_work = in_work.checked_sub(1).expect("a frame is done with once");
            }
            Output::Published { ticket, outcomes } => {
                let asked = self.machines[machine].asked.remove(&ticket).expect("an answer is given once");
                assert_eq!(outcomes.len(), asked, "each envelope has an outcome");
            }
            Output::Dial { peer } => assert_ne!(peer, self.machines[machine].own, "nobody dials itself"),
            // Who cannot sign is asked again.
            Output::Sign { .. } | Output::Notice(_) => {}
            // These nodes check everything at once.
            Output::Audit { .. } => unreachable!("nothing is taken for a head"),
        }
    }

    /// The node closed a link.
    fn part(&mut self, machine: usize, peer: Peer) {
        self.machines[machine].linked.remove(&peer);
        if peer == self.machines[1 - machine].own {
            self.machines[0].line.clear();
            self.machines[1].line.clear();
            let own = self.machines[machine].own;
            if self.machines[1 - machine].linked.remove(&own).is_some() {
                self.handle(1 - machine, Input::Disconnected { peer: own });
            }
        }
    }

    fn send(&mut self, machine: usize, peer: Peer, frame: &[u8]) {
        assert!(frame.len() <= FRAME_BYTES_MAX, "a frame of {} bytes", frame.len());
        if let Err(breach) = read_frame(frame) {
            panic!("a frame that nobody can read: {breach}");
        }
        if peer == self.machines[1 - machine].own && self.machines[machine].linked.contains_key(&peer) {
            self.machines[1 - machine].line.push_back(frame.to_vec());
        }
        self.seen.push_back(frame.to_vec());
        if self.seen.len() > SEEN_MAX {
            // The greetings at the front stay.
            self.seen.remove(2);
        }
    }

    fn store(&mut self, machine: usize, operation: Operation) {
        let Machine { store, mirror, cursors, .. } = &mut self.machines[machine];
        match operation {
            Operation::Put { slot, vid, envelope, kind, own: _ } => {
                let version = SignedVersion::read(envelope).expect("what is stored can be read");
                assert_eq!((Slot::of(version.header()), version.header().kind, version.vid()), (slot, kind, vid));
                mirror[usize::from(slot.audience.number())].insert(slot.key, mirrored(&version));
                store.insert(slot, (version, false));
            }
            Operation::Lapse { slot, has_lapsed } => {
                store.get_mut(&slot).expect("what lapses is in the store").1 = has_lapsed;
            }
            Operation::Forget { slot } => {
                mirror[usize::from(slot.audience.number())].remove(&slot.key);
                store.remove(&slot);
            }
            Operation::Cursors { places } => *cursors = places,
            Operation::Vouched { .. } | Operation::Audited { .. } => {}
        }
    }

    /// The sets are what was stored, in number and in sum; nothing is kept beyond its limit.
    fn check(&self) {
        for machine in &self.machines {
            for audience in Audience::ALL {
                let (set, mirror) = (machine.node.set(audience), &machine.mirror[usize::from(audience.number())]);
                assert_eq!(set.total(), mirror.total(), "the set is not what was stored");
                assert_eq!(set.total().count, set.len() as u64);
            }
            assert!(machine.node.quarantined() <= QUARANTINE_VERSIONS_MAX);
            assert!(machine.node.links().count() <= machine.linked.len(), "a link that is not there");
        }
    }

    /// Everything that waits is done, and nothing is left over.
    fn settle(&mut self) {
        for machine in 0..2 {
            while !self.machines[machine].verify.is_empty() {
                self.verify_next(machine);
            }
        }
        self.check();
        for machine in &self.machines {
            assert!(machine.asked.is_empty(), "{} requests without an answer", machine.asked.len());
            let left: u64 = machine.in_work.values().sum();
            assert_eq!(left, 0, "permits that were not given back");
            for audience in Audience::ALL {
                let mut afresh = Index::new();
                for (slot, (version, _)) in machine.store.iter().filter(|(slot, _)| slot.audience == audience) {
                    afresh.insert(slot.key, mirrored(version));
                }
                let set = machine.node.set(audience);
                assert_eq!(set.total(), afresh.total(), "the sum over the store");
                let keys = set.range(&SetKey::default(), None).map(|(key, entry)| (key, entry.vid));
                let held = machine.store.iter().filter(|(slot, _)| slot.audience == audience);
                assert!(keys.eq(held.map(|(slot, (version, _))| (slot.key, version.vid()))), "the rows of the store");
            }
        }
    }
}
