//! The invented world of the models: distances between nodes, the queue of what happens next, who publishes when.
//!
//! Always: the same seed gives the same world; both models are run in the same one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Shortest and longest one-way delay between two nodes, microseconds: from one city to one planet.
const LATENCY_US: std::ops::RangeInclusive<u64> = 10_000..=100_000;
/// One way trips until both ends of a TCP connection with TLS 1.3 know that it is up.
pub(super) const TRIPS_TO_CONNECT: u64 = 6;
/// A node that has crashed answers nothing; a dial to it fails after so long, microseconds.
pub(super) const DIAL_TIMEOUT_US: u64 = 10_000_000;
/// A peer notices a crash by keepalive after so long, microseconds.
pub(super) const CRASH_NOTICED_US: std::ops::RangeInclusive<u64> = 10_000_000..=25_000_000;
/// Bytes that TLS, HTTP/2 and gRPC put around a frame (22 + 9 + 5). TCP and IP are left out: frames share packets.
pub(super) const FRAME_OVERHEAD_BYTES: u64 = 36;
/// Bytes of a published version.
pub(super) const PAYLOAD_BYTES: usize = 1_000;
/// Share of the nodes that crash at once, in percent.
pub(super) const CRASH_PERCENT: usize = 30;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Nodes.
    pub(crate) nodes: usize,
    /// Chooses everything that is random.
    pub(crate) seed: u64,
    /// Publishes before anything counts, while the tree is made.
    pub(crate) warm_up: usize,
    /// Publishes that are measured, and again after the crash.
    pub(crate) publishes: usize,
}

impl Plan {
    /// Publishes in all: warming up, measured, right after the crash, measured again.
    pub(super) fn messages(&self) -> usize {
        self.warm_up + 3 * self.publishes
    }
}

/// When the parts of a run begin, microseconds.
pub(super) const LINKING_US: u64 = 100_000_000;
/// Between two publishes, microseconds.
pub(super) const PUBLISH_INTERVAL_US: u64 = 700_000;
/// Rest before and after the measured parts, microseconds.
pub(super) const REST_US: u64 = 20_000_000;
/// Rest after the publishes that follow the crash, microseconds: what is not everywhere by then counts as lost.
pub(super) const HEALING_US: u64 = 180_000_000;

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    WarmUp,
    Stable,
    Crash,
    After,
}

impl Part {
    pub(super) const ALL: [Part; 4] = [Part::WarmUp, Part::Stable, Part::Crash, Part::After];

    /// First message and number of messages.
    pub(super) fn messages(self, plan: &Plan) -> std::ops::Range<usize> {
        let (warm_up, count) = (plan.warm_up, plan.publishes);
        let start = match self {
            Part::WarmUp => return 0..warm_up,
            Part::Stable => warm_up,
            Part::Crash => warm_up + count,
            Part::After => warm_up + 2 * count,
        };
        start..start + count
    }

    /// When its first message is published; the crash is one microsecond before that part.
    pub(super) fn starts_at(self, plan: &Plan) -> u64 {
        let length = |count: usize| count as u64 * PUBLISH_INTERVAL_US;
        match self {
            Part::WarmUp => LINKING_US,
            Part::Stable => LINKING_US + length(plan.warm_up) + REST_US,
            Part::Crash => Part::Stable.starts_at(plan) + length(plan.publishes) + REST_US,
            Part::After => Part::Crash.starts_at(plan) + length(plan.publishes) + HEALING_US,
        }
    }

    /// When everything of it should have arrived.
    pub(super) fn ends_at(self, plan: &Plan) -> u64 {
        match self {
            Part::WarmUp => Part::Stable.starts_at(plan),
            Part::Stable => Part::Crash.starts_at(plan) - 1,
            Part::Crash => Part::After.starts_at(plan),
            Part::After => self.starts_at(plan) + plan.publishes as u64 * PUBLISH_INTERVAL_US + REST_US,
        }
    }
}

/// Numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(super) fn within(&mut self, range: std::ops::RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// One-way delay between two nodes, microseconds; the same both ways and always.
pub(super) fn latency_us(seed: u64, a: usize, b: usize) -> u64 {
    let (low, high) = (a.min(b) as u64, a.max(b) as u64);
    Random(seed ^ mix(low << 32 | high)).within(LATENCY_US)
}

/// Who publishes each message, and who crashes: nobody who crashes publishes afterwards.
pub(super) struct Cast {
    pub(super) publishers: Vec<usize>,
    pub(super) crashes: Vec<bool>,
}

impl Cast {
    pub(super) fn new(plan: &Plan) -> Cast {
        let mut random = Random(plan.seed ^ 0xca57);
        let mut crashes = vec![false; plan.nodes];
        for _ in 0..plan.nodes * CRASH_PERCENT / 100 {
            let mut at = random.below(plan.nodes);
            while crashes[at] {
                at = random.below(plan.nodes);
            }
            crashes[at] = true;
        }
        let crash_from = Part::Crash.messages(plan).start;
        let publishers = (0..plan.messages())
            .map(|message| {
                let mut at = random.below(plan.nodes);
                while message >= crash_from && crashes[at] {
                    at = random.below(plan.nodes);
                }
                at
            })
            .collect();
        Cast { publishers, crashes }
    }
}

/// What happens when, earliest first; of two at one instant the one that was planned first.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    events: BinaryHeap<Planned<E>>,
    planned: u64,
    pub(super) now_us: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at_us: u64,
    number: u64,
    event: E,
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Planned<E> {}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_us, other.number).cmp(&(self.at_us, self.number))
    }
}

impl<E> Agenda<E> {
    pub(super) fn new() -> Agenda<E> {
        Agenda { events: BinaryHeap::new(), planned: 0, now_us: 0 }
    }

    pub(super) fn plan(&mut self, at_us: u64, event: E) {
        self.planned += 1;
        self.events.push(Planned { at_us, number: self.planned, event });
    }

    /// The next event up to this instant; the clock goes with it, and to `until_us` when there is none.
    pub(super) fn next(&mut self, until_us: u64) -> Option<E> {
        if self.events.peek().is_none_or(|planned| planned.at_us > until_us) {
            self.now_us = until_us;
            return None;
        }
        let planned = self.events.pop()?;
        self.now_us = planned.at_us;
        Some(planned.event)
    }
}
