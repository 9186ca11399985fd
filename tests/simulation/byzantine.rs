//! Machines that lie. Each runs a real node, so that it knows what to say, and says something else.

mod equivocating;
mod flooding;
mod forging;
mod hiding;
mod prying;
mod scheming;
mod surplus;
mod sybils;
mod thieving;

use std::rc::Rc;

use fingerpost_proto::node::{Peer, read_frame, versions_frames, write_frame};
use fingerpost_proto::v1::frame::Content;

use self::hiding::Hiding;
use self::scheming::Schemes;
use super::cast::Cast;
use super::invariants::read_versions;
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
    hiding: Option<Hiding>,
    schemes: Schemes,
    random: Random,
    remembered: Vec<Frame>,
}

impl Byzantine {
    pub(super) fn new(random: &mut Random, cast: &Cast, active_ms: u64) -> Byzantine {
        let mut random = random.fork();
        // From a source of their own, so that other habits stay what they are.
        let mut others = random.clone().fork().fork();
        let habits = Habits {
            withholds: random.percent(35),
            ignores: random.percent(15),
            stalls: random.percent(10),
            replays: random.percent(50),
            floods: random.percent(30),
            lies: random.percent(40),
            forges: random.percent(40),
        };
        let hiding = Hiding::drawn(&mut others, cast, active_ms);
        let schemes = Schemes::drawn(others);
        Byzantine { habits, hiding, schemes, random, remembered: Vec::new() }
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
            Some(byzantine) => {
                let told = byzantine.hiding.and_then(|hiding| hiding.tells(frame));
                byzantine.mangle(told.as_ref().unwrap_or(frame))
            }
            None => vec![Rc::clone(frame)],
        }
    }

    /// A frame that arrived: as it is, or what a liar listens to of it.
    pub(super) fn heard(&self, number: usize, frame: Frame) -> Frame {
        let hiding = self.machines[number].byzantine.as_ref().and_then(|byzantine| byzantine.hiding);
        hiding.and_then(|hiding| hiding.hears(self.now_us, &frame)).unwrap_or(frame)
    }

    /// Once a second a liar may do something by itself.
    pub(super) fn misbehave(&mut self, number: usize) -> Checked {
        self.scheme(number)?;
        self.act_up(number)
    }

    fn act_up(&mut self, number: usize) -> Checked {
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
}
