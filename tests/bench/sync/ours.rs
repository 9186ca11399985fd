//! Two real nodes that exchange frames in memory, over a link on which every frame takes half a round trip.
//!
//! In: versions, the first state of both. Out: [`Costs`] of each session.
//! Always: whatever the nodes say to each other is counted, by decoding each frame; after a session the sets are equal.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use fingerpost_proto::compression::decompress;
use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::limits::FRAME_BYTES_MAX;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::node::{Input, Node, Operation, Outcome, Output, Peer, versions_frames};
use fingerpost_proto::set::Slot;
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::SignedVersion;
use prost::Message;

use super::measure::{ASKER, Costs, HOLDER, Heap, timed};
use crate::Failure;

/// Envelopes handed in at once.
const PUBLISHED_AT_ONCE: usize = 256;
/// An answer to one request is cut off after so many bytes, as the daemon's driver does.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Seconds until a link that a node ended is dialled again.
const REDIAL_SECONDS: u64 = 2;
/// Seconds that a link is followed after it came to rest, for whatever the nodes say to each other a little later.
const SECONDS_AFTER: u64 = 5;
/// Seconds within which a node compares sets with somebody, whatever happened.
const COMPARE_SECONDS_MAX: u64 = 301;

/// Versions by slot: those that both sides began with, shared, and what came since.
#[derive(Clone)]
pub(super) struct Versions {
    base: Rc<BTreeMap<Slot, Vec<u8>>>,
    since: BTreeMap<Slot, Vec<u8>>,
    /// False for a side of which only the set is looked at.
    is_kept: bool,
}

impl Versions {
    pub(super) fn new(versions: impl IntoIterator<Item = SignedVersion>) -> Versions {
        let row = |version: SignedVersion| (Slot::of(version.header()), version.envelope().to_vec());
        Versions { base: Rc::new(versions.into_iter().map(row).collect()), since: BTreeMap::new(), is_kept: true }
    }

    fn none() -> Versions {
        Versions { base: Rc::default(), since: BTreeMap::new(), is_kept: false }
    }

    fn get(&self, slot: &Slot) -> Option<&Vec<u8>> {
        self.since.get(slot).or_else(|| self.base.get(slot))
    }

    fn put(&mut self, slot: Slot, envelope: Vec<u8>) {
        if self.is_kept {
            self.since.insert(slot, envelope);
        }
    }

    /// In slot order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.base.iter().map(|(slot, envelope)| self.since.get(slot).unwrap_or(envelope))
    }
}

struct Side {
    node: Node,
    peer: Peer,
    versions: Versions,
    bookkeeping: Duration,
    everything: Duration,
}

/// A frame under way: when it arrives, in halves of a round trip, and at which side.
struct Flight {
    at: u32,
    to: usize,
    frame: Vec<u8>,
    is_versions: bool,
}

/// Asker and holder.
pub(super) struct Pair {
    charter: Charter,
    sides: [Side; 2],
    flights: VecDeque<Flight>,
    now: UnixMillis,
    /// Halves of a round trip since the link came up.
    at: u32,
    is_linked: bool,
    /// When the sets were equal.
    equal_at: Option<u32>,
    /// When the asker was last told something, before that.
    told_at: u32,
    costs: Costs,
    seed: u64,
}

impl Pair {
    /// Both sides have all versions. `peers` are the transport keys of the first two organisations' nodes.
    pub(super) fn new(
        charter: &Charter,
        versions: Versions,
        peers: [Peer; 2],
        now: UnixMillis,
    ) -> Result<Pair, Failure> {
        let side = |which: usize| -> Result<Side, Failure> {
            let node = restored(charter, &versions, peers[which], which as u64)?;
            Ok(Side {
                node,
                peer: peers[which],
                versions: versions.clone(),
                bookkeeping: Duration::ZERO,
                everything: Duration::ZERO,
            })
        };
        Ok(Pair {
            charter: charter.clone(),
            sides: [side(ASKER)?, side(HOLDER)?],
            flights: VecDeque::new(),
            now,
            at: 0,
            is_linked: false,
            equal_at: None,
            told_at: 0,
            costs: Costs::default(),
            seed: 2,
        })
    }

    /// A time that no version was signed at.
    pub(super) fn later(&mut self) -> UnixMillis {
        self.now += 1_000;
        self.now
    }

    pub(super) fn versions(&self, which: usize) -> &Versions {
        &self.sides[which].versions
    }

    /// First bytes of the name of the version that the holder has in a slot; zero without one.
    pub(super) fn prefix_of(&self, slot: &Slot) -> [u8; 8] {
        self.sides[HOLDER].versions.get(slot).map_or([0; 8], |envelope| Vid::of_envelope(envelope).prefix())
    }

    /// Publishes at the holder, while nobody is linked to it.
    pub(super) fn publish(&mut self, versions: &[SignedVersion]) -> Result<(), Failure> {
        for part in versions.chunks(PUBLISHED_AT_ONCE) {
            let envelopes: Vec<Vec<u8>> = part.iter().map(|version| version.envelope().to_vec()).collect();
            let mut outputs = self.sides[HOLDER].node.handle(self.now, Input::Published { ticket: 0, envelopes });
            let mut published = 0;
            while !outputs.is_empty() {
                for output in std::mem::take(&mut outputs) {
                    match output {
                        Output::Verify { ticket, versions } => {
                            let input = Input::verified(ticket, versions);
                            outputs.extend(self.sides[HOLDER].node.handle(self.now, input));
                        }
                        Output::Published { outcomes, .. } => {
                            let is_new = |outcome: &&Outcome| matches!(outcome, Outcome::Published { .. });
                            published += outcomes.iter().filter(is_new).count();
                        }
                        other => self.perform(HOLDER, other)?,
                    }
                }
            }
            if published != part.len() {
                return Err(format!("{published} of {} changes were accepted", part.len()).into());
            }
        }
        Ok(())
    }

    /// The asker starts again from its store: it remembers nothing of the holder.
    pub(super) fn restart_asker(&mut self) -> Result<(), Failure> {
        self.seed += 1;
        let node = restored(&self.charter, &self.sides[ASKER].versions, self.sides[ASKER].peer, self.seed)?;
        self.sides[ASKER].node = node;
        Ok(())
    }

    /// The asker loses everything.
    pub(super) fn empty_asker(&mut self) {
        self.sides[ASKER].node = Node::new(self.charter.clone(), self.sides[ASKER].peer, self.seed);
        self.sides[ASKER].versions = Versions::none();
    }

    /// The asker dials. Returns what it cost until both are at rest with equal sets.
    pub(super) fn meet(&mut self) -> Result<Costs, Failure> {
        self.begin();
        let heap = Heap::watch();
        let [asker, holder] = [self.sides[ASKER].peer, self.sides[HOLDER].peer];
        let mut seconds = 0;
        let mut dials_at = Some(0);
        // A node may want to look again, or to go on, a little later; a link that a node ended is dialled again.
        while seconds < SECONDS_AFTER || (self.equal_at.is_none() && seconds < COMPARE_SECONDS_MAX) {
            if dials_at == Some(seconds) {
                (dials_at, self.is_linked) = (None, true);
                self.handle(HOLDER, Input::Connected { peer: asker, outbound: false }, true)?;
                self.handle(ASKER, Input::Connected { peer: holder, outbound: true }, true)?;
                self.run()?;
            }
            self.tick()?;
            seconds += 1;
            if !self.is_linked && dials_at.is_none() {
                dials_at = Some(seconds + REDIAL_SECONDS);
            }
        }
        let Some(equal_at) = self.equal_at else {
            let counts = self.sides.each_ref().map(|side| side.node.set(Audience::Public).len());
            return Err(format!("the sets are not equal after {seconds} s: {counts:?} versions").into());
        };
        let mut costs = self.end(heap);
        // The greeting takes the first half; what follows it is a question and its answer.
        let round_trips = |at: u32| f64::from(at.saturating_sub(1)) / 2.0;
        costs.round_trips_to_know = round_trips(self.told_at);
        costs.round_trips_to_have = Some(round_trips(equal_at));
        Ok(costs)
    }

    /// One of the comparisons that nodes make now and then on a link that is up.
    pub(super) fn compare(&mut self) -> Result<Costs, Failure> {
        for _ in 0..COMPARE_SECONDS_MAX {
            self.begin();
            let heap = Heap::watch();
            self.tick()?;
            let costs = self.end(heap);
            if costs.frames > 0 {
                return Ok(costs);
            }
        }
        Err(format!("no comparison within {COMPARE_SECONDS_MAX} s").into())
    }

    /// The link ends.
    pub(super) fn part(&mut self) -> Result<(), Failure> {
        let [asker, holder] = [self.sides[ASKER].peer, self.sides[HOLDER].peer];
        self.handle(HOLDER, Input::Disconnected { peer: asker }, true)?;
        self.handle(ASKER, Input::Disconnected { peer: holder }, true)?;
        self.flights.clear();
        self.is_linked = false;
        Ok(())
    }

    fn begin(&mut self) {
        (self.costs, self.at, self.equal_at, self.told_at) = (Costs::default(), 0, None, 0);
        self.sides.iter_mut().for_each(|side| (side.bookkeeping, side.everything) = (Duration::ZERO, Duration::ZERO));
    }

    fn end(&mut self, heap: Heap) -> Costs {
        Costs {
            heap_bytes: heap.risen(),
            bookkeeping: self.sides.each_ref().map(|side| side.bookkeeping),
            everything: self.sides.each_ref().map(|side| side.everything),
            ..self.costs
        }
    }

    /// A second passes. Its processor time is that of all the node's deadlines, and not counted.
    fn tick(&mut self) -> Result<(), Failure> {
        self.now += 1_000;
        for which in [ASKER, HOLDER] {
            let outputs = self.sides[which].node.handle(self.now, Input::Tick);
            outputs.into_iter().try_for_each(|output| self.perform(which, output))?;
        }
        self.run()
    }

    /// Until nothing is under way.
    fn run(&mut self) -> Result<(), Failure> {
        self.note_equality();
        while let Some(Flight { at, to, frame, is_versions }) = self.flights.pop_front() {
            self.at = at;
            if to == ASKER && !is_versions && self.equal_at.is_none() {
                self.told_at = at;
            }
            let peer = self.sides[1 - to].peer;
            self.handle(to, Input::Received { peer, frame }, !is_versions)?;
            self.note_equality();
        }
        Ok(())
    }

    fn note_equality(&mut self) {
        let [asker, holder] = self.sides.each_ref().map(|side| side.node.set(Audience::Public).total());
        if self.equal_at.is_none() && asker == holder {
            self.equal_at = Some(self.at);
        }
    }

    fn handle(&mut self, which: usize, input: Input, is_bookkeeping: bool) -> Result<(), Failure> {
        let side = &mut self.sides[which];
        let (outputs, time) = timed(|| side.node.handle(self.now, input));
        side.everything += time;
        if is_bookkeeping {
            side.bookkeeping += time;
        }
        outputs.into_iter().try_for_each(|output| self.perform(which, output))
    }

    fn perform(&mut self, which: usize, output: Output) -> Result<(), Failure> {
        match output {
            Output::Verify { ticket, versions } => {
                let (input, time) = timed(|| Input::verified(ticket, versions));
                self.sides[which].everything += time;
                self.handle(which, input, false)?;
            }
            Output::Persist { operations, .. } => {
                for operation in operations {
                    if let Operation::Put { slot, envelope, .. } = operation {
                        self.sides[which].versions.put(slot, envelope);
                    }
                }
            }
            Output::Send { frame, .. } => self.send(which, frame)?,
            Output::SendVersions { want, slots, mut more, .. } => {
                let versions = &self.sides[which].versions;
                let mut envelopes = Vec::with_capacity(slots.len());
                let mut bytes = 0;
                for slot in &slots {
                    if bytes >= ANSWER_BYTES_MAX {
                        more = true;
                        break;
                    }
                    let envelope = versions.get(slot).ok_or("a version is asked for that is not there")?.clone();
                    bytes += envelope.len();
                    envelopes.push(envelope);
                }
                let (frames, time) = timed(|| versions_frames(want, envelopes, more));
                self.sides[which].everything += time;
                frames.into_iter().try_for_each(|frame| self.send(which, frame))?;
            }
            Output::Disconnect { message, .. } => {
                eprintln!("a node ended the link: {message}");
                self.costs.links_lost += 1;
                self.is_linked = false;
                self.flights.clear();
                let peer = self.sides[which].peer;
                self.handle(1 - which, Input::Disconnected { peer }, true)?;
            }
            Output::Close { .. } => return Err("a node ended the link without a word".into()),
            Output::Processed { .. }
            | Output::Published { .. }
            | Output::Sign { .. }
            | Output::Audit { .. }
            | Output::Notice(_)
            | Output::Dial { .. } => {}
        }
        Ok(())
    }

    fn send(&mut self, from: usize, frame: Vec<u8>) -> Result<(), Failure> {
        let bytes = frame.len() as u64;
        let (version_bytes, is_versions) = match v1::Frame::decode(frame.as_slice())?.content {
            // Greetings, and what is said on every link whether sets differ or not.
            Some(Content::Hello(_) | Content::Ping(_) | Content::Pong(_) | Content::Neighbours(_)) => (bytes, false),
            Some(Content::Versions(versions)) => (envelope_bytes(&versions), true),
            Some(Content::Compressed(compressed)) => {
                let v1::Compressed { dictionary, payload_bytes, data, .. } = compressed;
                let payload = decompress(dictionary, payload_bytes as usize, &data, FRAME_BYTES_MAX)?;
                // All but the envelopes is counted as if it had not been compressed.
                let around = payload.len() as u64 - envelope_bytes(&v1::Versions::decode(payload.as_slice())?);
                (bytes.saturating_sub(around), true)
            }
            _ => (0, false),
        };
        if is_versions {
            self.costs.version_bytes[from] += version_bytes;
        }
        self.costs.bookkeeping_bytes[from] += bytes - version_bytes;
        self.costs.frames += u64::from(is_versions || version_bytes == 0);
        if !self.is_linked {
            return Ok(());
        }
        self.flights.push_back(Flight { at: self.at + 1, to: 1 - from, frame, is_versions });
        Ok(())
    }
}

fn envelope_bytes(versions: &v1::Versions) -> u64 {
    versions.envelopes.iter().map(|envelope| envelope.len() as u64).sum()
}

fn restored(charter: &Charter, versions: &Versions, own: Peer, seed: u64) -> Result<Node, Failure> {
    let mut node = Node::new(charter.clone(), own, seed);
    for envelope in versions.iter() {
        node.restore(SignedVersion::read(envelope.clone())?, false);
    }
    match node.restored().into_iter().find(|output| matches!(output, Output::Persist { .. })) {
        Some(output) => Err(format!("the store's content does not belong together: {output:?}").into()),
        None => Ok(node),
    }
}
