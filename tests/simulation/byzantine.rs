//! Machines that lie. Each runs a real node, so that it knows what to say, and says something else.

use std::rc::Rc;

use fingerpost_proto::kind::Kind;
use fingerpost_proto::node::{Peer, read_frame, versions_frames, write_frame};
use fingerpost_proto::set::SetKey;
use fingerpost_proto::sync::{Range, RangeContent, write_ranges};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::{HEADER_BYTES, SignedVersion};
use prost::Message;

use super::invariants::{PRYING_WANT_MIN, read_versions};
use super::network::Frame;
use super::random::Random;
use super::world::{Checked, World};

/// Frames kept for replay.
const REMEMBERED_MAX: usize = 64;

/// What a liar is given to do.
#[derive(Clone, Copy, Debug)]
struct Habits {
    /// Claims to hold versions and never sends one.
    withholds: bool,
    /// Leaves requests without any answer.
    ignores: bool,
    /// Says nothing after Hello.
    stalls: bool,
    /// Sends old versions and old frames again.
    replays: bool,
    /// Sends garbage, and far too much of everything.
    floods: bool,
    /// Tells of fingerprints, counts, cursors and versions that are not so.
    lies: bool,
    /// Makes versions that are not signed by whom they say, or dated far ahead, or two at once.
    forges: bool,
}

pub(super) struct Byzantine {
    habits: Habits,
    random: Random,
    remembered: Vec<Frame>,
}

impl Byzantine {
    pub(super) fn new(random: &mut Random) -> Byzantine {
        let mut random = random.fork();
        let habits = Habits {
            withholds: random.percent(35),
            ignores: random.percent(15),
            stalls: random.percent(10),
            replays: random.percent(50),
            floods: random.percent(30),
            lies: random.percent(40),
            forges: random.percent(40),
        };
        Byzantine { habits, random, remembered: Vec::new() }
    }

    /// What is sent in place of a frame that the real node wanted to send.
    fn mangle(&mut self, frame: &Frame) -> Vec<Frame> {
        let Ok(content) = read_frame(frame) else { return vec![Rc::clone(frame)] };
        let is_hello = matches!(content, Content::Hello(_));
        if self.habits.stalls && !is_hello {
            return Vec::new();
        }
        if self.habits.replays && !is_hello {
            if self.remembered.len() >= REMEMBERED_MAX {
                let at = self.random.index(REMEMBERED_MAX);
                self.remembered.swap_remove(at);
            }
            self.remembered.push(Rc::clone(frame));
        }
        let mangled = match content {
            content @ (Content::Versions(_) | Content::Compressed(_))
                if self.habits.ignores || self.habits.withholds =>
            {
                let want = read_versions(content).unwrap_or_default().want;
                return match want {
                    0 if self.habits.ignores => vec![Rc::clone(frame)],
                    0 => Vec::new(),
                    _ if self.habits.ignores => Vec::new(),
                    _ => frames(versions_frames(want, [], self.random.percent(30))),
                };
            }
            Content::Arrivals(_) if self.habits.ignores => return Vec::new(),
            Content::Arrivals(mut arrivals) if self.habits.lies => {
                match self.random.below(4) {
                    0 => arrivals.through = self.random.next(),
                    1 => arrivals.fingerprint = self.random.bytes::<16>().to_vec(),
                    2 => arrivals.hints.iter_mut().rev().take(24).for_each(|byte| *byte ^= 1),
                    _ => arrivals.hints.clear(),
                }
                Content::Arrivals(arrivals)
            }
            Content::Progress(mut progress) if self.habits.lies => {
                match self.random.below(3) {
                    0 => progress.sequence = self.random.next(),
                    1 => progress.sequence += self.random.below(1_000),
                    _ => progress.consumed += self.random.below(1_000),
                }
                progress.level = self.random.percent(50);
                Content::Progress(progress)
            }
            Content::CatchUp(mut catch_up) if self.habits.lies => {
                match self.random.below(3) {
                    0 => catch_up.epoch = self.random.next(),
                    1 => catch_up.since = self.random.next(),
                    _ => catch_up.since = catch_up.since.wrapping_sub(self.random.below(100)),
                }
                Content::CatchUp(catch_up)
            }
            Content::Hello(mut hello) if self.habits.lies => {
                for set in &mut hello.sets {
                    match self.random.below(3) {
                        0 => set.fingerprint = self.random.bytes::<16>().to_vec(),
                        1 => set.count = self.random.next(),
                        _ => {}
                    }
                    match self.random.below(3) {
                        0 => set.log_epoch = self.random.next(),
                        1 => set.log_sequence = self.random.next(),
                        _ => set.log_sequence += self.random.below(100),
                    }
                }
                if self.random.percent(20) {
                    hello.clock_ms = self.random.next() >> 16;
                }
                Content::Hello(hello)
            }
            Content::Reconcile(mut reconcile) if self.habits.lies && self.random.percent(60) => {
                if let Some(byte) = (!reconcile.ranges.is_empty()).then(|| self.random.index(reconcile.ranges.len())) {
                    // Mostly inside a fingerprint or a vid: a lie that can be read.
                    reconcile.ranges[byte] ^= self.random.within(1..256) as u8;
                }
                Content::Reconcile(reconcile)
            }
            Content::Offer(mut offer) if self.habits.lies => {
                for pair in offer.pairs.chunks_exact_mut(32) {
                    pair[16..].copy_from_slice(&self.random.bytes::<16>());
                }
                Content::Offer(offer)
            }
            _ => return vec![Rc::clone(frame)],
        };
        vec![Rc::new(write_frame(mangled))]
    }
}

fn frames(bytes: Vec<Vec<u8>>) -> Vec<Frame> {
    bytes.into_iter().map(Rc::new).collect()
}

impl World {
    /// A frame on its way out: as it is, or what a liar makes of it.
    pub(super) fn mangled(&mut self, number: usize, frame: &Frame) -> Vec<Frame> {
        match &mut self.machines[number].byzantine {
            Some(byzantine) => byzantine.mangle(frame),
            None => vec![Rc::clone(frame)],
        }
    }

    /// Once a second a liar may do something by itself.
    pub(super) fn misbehave(&mut self, number: usize) -> Checked {
        let machine = &mut self.machines[number];
        let peers: Vec<Peer> = machine.links.keys().copied().collect();
        let Some(byzantine) = &mut machine.byzantine else { return Ok(()) };
        let habits = byzantine.habits;
        let mut random = byzantine.random.clone();
        let chance = if self.is_settling { 4 } else { 15 };
        let Some(peer) = random.pick(&peers).copied().filter(|_| random.clone().percent(chance)) else {
            random.next();
            if let Some(byzantine) = &mut self.machines[number].byzantine {
                byzantine.random = random;
            }
            return Ok(());
        };
        random.next();
        let kind = random.below(3);
        let frames = match kind {
            0 if habits.replays => self.old_frames(number, &mut random),
            1 if habits.floods => self.flood(&mut random),
            2 if habits.forges => self.forge(number, &mut random),
            _ => Vec::new(),
        };
        if let Some(byzantine) = &mut self.machines[number].byzantine {
            byzantine.random = random;
        }
        if frames.is_empty() {
            return Ok(());
        }
        self.history.counts.byzantine_acts += 1;
        let (count, to) = (frames.len(), self.cast.numbers[&peer]);
        self.history
            .line(self.now_us, Some(number), || format!("misbehaves towards n{to:03}: {count} frames of kind {kind}"));
        self.send_raw(number, &peer, frames)
    }

    /// Versions that were superseded or withdrawn long ago, and frames of other conversations.
    fn old_frames(&self, number: usize, random: &mut Random) -> Vec<Frame> {
        let count = random.within(1..30);
        let old =
            (0..count).filter_map(|_| random.pick(&self.made_in_order)).map(|version| version.envelope().to_vec());
        let mut replayed = frames(versions_frames(0, old.collect::<Vec<_>>(), false));
        if let Some(byzantine) = &self.machines[number].byzantine {
            replayed.extend((0..3).filter_map(|_| random.pick(&byzantine.remembered).cloned()));
        }
        replayed
    }

    fn flood(&self, random: &mut Random) -> Vec<Frame> {
        let keys =
            |random: &mut Random, count: usize| (0..count).flat_map(|_| random.bytes::<16>()).collect::<Vec<u8>>();
        let audience = random.below(3) as u32;
        match random.below(8) {
            0 => (0..20)
                .map(|_| {
                    let length = random.within(1..400) as usize;
                    Rc::new((0..length).map(|_| random.next() as u8).collect())
                })
                .collect(),
            1 => (0..50)
                .map(|n| Rc::new(write_frame(Content::Ping(v1::Ping { nonce: n, clock_ms: random.next() }))))
                .collect(),
            2 => (1..20)
                .map(|want| {
                    Rc::new(write_frame(Content::Want(v1::Want {
                        audience,
                        want,
                        keys: keys(random, 256),
                        ..Default::default()
                    })))
                })
                .collect(),
            3 => vec![Rc::new(write_frame(Content::Offer(v1::Offer {
                audience,
                pairs: keys(random, 2 * 4_096),
                ..Default::default()
            })))],
            4 => {
                let mut bounds: Vec<[u8; 16]> = (0..120).map(|_| random.bytes()).collect();
                bounds.sort_unstable();
                let content = |n: usize| match n % 4 {
                    0 => RangeContent::Fingerprint([7; 16]),
                    1 => RangeContent::ShortFingerprint([7; 8]),
                    2 => RangeContent::Digests(vec![[7; 4]; n % 33]),
                    _ => RangeContent::Lacking(vec![[7; 4]; n % 33]),
                };
                let range = |(n, bound): (usize, &[u8; 16])| Range { upper: Some(SetKey(*bound)), content: content(n) };
                let ranges: Vec<Range> = bounds.iter().enumerate().map(range).collect();
                let ranges = write_ranges(SetKey::default(), &ranges);
                let reconcile = v1::Reconcile { audience, session: 9, round: 0, lower: vec![0; 16], ranges };
                let frame = Rc::new(write_frame(Content::Reconcile(reconcile)));
                vec![frame; 8]
            }
            5 => {
                let fetch = |want| v1::Fetch { audience, want, lower: vec![0; 16], upper: None };
                (0..16).map(|n| Rc::new(write_frame(Content::Fetch(fetch(PRYING_WANT_MIN + n))))).collect()
            }
            6 => {
                let mut catch_up =
                    |want| v1::CatchUp { audience, want, epoch: random.next(), since: random.below(100) };
                let asked: Vec<Content> = (0..16).map(|n| Content::CatchUp(catch_up(PRYING_WANT_MIN + n))).collect();
                let take = v1::Take { want: PRYING_WANT_MIN, wanted: vec![255; 64] };
                asked.into_iter().chain([Content::Take(take)]).map(|content| Rc::new(write_frame(content))).collect()
            }
            _ => {
                let garbage: Vec<Vec<u8>> = (0..500).map(|_| random.bytes::<210>().to_vec()).collect();
                frames(versions_frames(random.below(3), garbage, false))
            }
        }
    }

    /// Versions that must not be believed, or that are valid and troublesome.
    fn forge(&mut self, number: usize, random: &mut Random) -> Vec<Frame> {
        let org = self.machines[number].org;
        let own: Vec<usize> = (0..self.made_in_order.len()).filter(|_| random.percent(5)).collect();
        let Some(victim) = random.pick(&own).map(|at| Rc::clone(&self.made_in_order[*at])) else { return Vec::new() };
        let mut versions = Vec::new();
        match random.below(4) {
            0 => {
                // Changed after signing.
                let mut envelope = victim.envelope().to_vec();
                let at = 64 + random.index(envelope.len() - 64);
                envelope[at] ^= 1 << random.below(8);
                versions.extend(self.forged(envelope));
            }
            1 => {
                // In another's name, later than what is there, under a key that is not on the other's card.
                let mut header = *victim.header();
                let key = &self.cast.organisations[org].devices[0];
                header.hlc = Hlc(header.hlc.0 + 1);
                if random.percent(50) {
                    header.device = key.verifying_key().to_bytes();
                }
                let signature = ed25519_dalek::Signer::sign(key, &header.signing_bytes(victim.body())).to_bytes();
                let envelope = [&signature[..], &header.write(), victim.body()].concat();
                if victim.header().org != self.cast.organisations[org].id {
                    versions.extend(self.forged(envelope));
                }
            }
            2 if !self.is_settling => {
                // Its own, dated ahead: minutes, days, years.
                // Far ahead only where no honest clock ever is: see "What it cannot do" in the tests' README.
                let far_ms = if self.options.faults.far_clocks { 650_000 } else { 1_000 * 86_400_000 };
                let ahead_ms = *random.pick(&[650_000, 86_400_000.min(far_ms), far_ms]).unwrap_or(&650_000);
                versions.extend(self.own_twice(number, random, ahead_ms).into_iter().take(1));
            }
            3 if !self.is_settling => {
                // Two truths of one instant, one for this peer and one for another.
                versions.extend(self.own_twice(number, random, 0));
                let other = versions.pop();
                let peers: Vec<Peer> = self.machines[number].links.keys().copied().collect();
                if let (Some(other), Some(peer)) = (other, random.pick(&peers).copied()) {
                    let frame = frames(versions_frames(0, [other.envelope().to_vec()], false));
                    // Its link may be full; then it has told only one.
                    let _ = self.send_raw(number, &peer, frame);
                }
            }
            _ => {}
        }
        if versions.is_empty() {
            return Vec::new();
        }
        frames(versions_frames(0, versions.iter().map(|version| version.envelope().to_vec()), false))
    }

    /// Puts a forgery on record, so that nobody may ever store it.
    fn forged(&mut self, envelope: Vec<u8>) -> Option<Rc<SignedVersion>> {
        let version = Rc::new(SignedVersion::read(envelope).ok()?);
        if !self.made.contains_key(&version.vid()) {
            self.forged.insert(version.vid());
            self.made.insert(version.vid(), Rc::clone(&version));
        }
        Some(version)
    }

    /// Two versions of one record of a liar's organisation with one clock.
    fn own_twice(&mut self, number: usize, random: &mut Random, ahead_ms: u64) -> Vec<Rc<SignedVersion>> {
        let org = self.machines[number].org;
        let audience = fingerpost_proto::kind::Audience::Public;
        let record = self.cast.record(org, audience, format!("lie{}", random.below(4)));
        let hlc = Hlc::new(self.true_ms() + ahead_ms, 0);
        let lease = UnixHour::containing(hlc.ms()).plus_days(30);
        let mut versions = Vec::new();
        for _ in 0..2 {
            let name = format!("Lie {}", random.next());
            let body = v1::Service { local_id: record.local_id.clone(), name, ..Default::default() }.encode_to_vec();
            let key = self.cast.organisations[org].devices[0].clone();
            let version = self.cast.sign(org, &key, (audience, Kind::SERVICE), record.id, hlc, [0; 8], lease, &body);
            debug_assert!(version.envelope().len() > HEADER_BYTES);
            versions.push(self.make(version));
        }
        versions
    }
}
