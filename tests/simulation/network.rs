//! Lines between machines: ordered streams with latency, bandwidth and bounded queues, that stall, break and fall silent.
//!
//! A link has two ends and two wires; wire `i` carries what end `i` sends. What is under way when a link is cut is lost.

use std::collections::VecDeque;
use std::rc::Rc;

use super::random::Random;

/// Frames that may wait for a peer, as in the daemon.
const QUEUE_FRAMES_MAX: usize = 4_096;
/// Frames of one peer that are being worked on, as in the daemon.
pub(super) const FRAMES_IN_WORK_MAX: usize = 8;
/// Keepalive ends a link that carries nothing for so long.
pub(super) const KEEPALIVE_US: u64 = 25_000_000;
/// A dialler gives up after so long.
pub(super) const DIAL_WAIT_US: u64 = 10_000_000;

pub(super) type Frame = Rc<Vec<u8>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The machine has not been told yet.
    Opening,
    Open,
    Closed,
}

#[derive(Debug)]
struct Parcel {
    arrives_us: u64,
    frame: Frame,
}

#[derive(Debug)]
pub(super) struct Wire {
    queue: VecDeque<Parcel>,
    bytes: usize,
    free_at_us: u64,
    last_arrival_us: u64,
    /// Frames that the receiver has taken and not yet done with.
    pub(super) in_work: usize,
    /// The sender has said its last; when the queue is empty the receiver sees the end.
    is_ended: bool,
    pub(super) is_scheduled: bool,
    latency_us: u64,
    bytes_per_second: u64,
}

#[derive(Debug)]
pub(super) struct Link {
    /// The dialler first.
    pub(super) machines: [usize; 2],
    pub(super) ends: [End; 2],
    pub(super) wires: [Wire; 2],
}

/// What the receiving end of a wire sees next.
pub(super) enum Next {
    Frame(Frame),
    /// Look again then.
    At(u64),
    /// The sender is gone.
    End,
    Nothing,
}

impl Wire {
    fn new(latency_us: u64, bytes_per_second: u64, now_us: u64) -> Wire {
        Wire {
            queue: VecDeque::new(),
            bytes: 0,
            free_at_us: now_us,
            last_arrival_us: now_us,
            in_work: 0,
            is_ended: false,
            is_scheduled: false,
            latency_us,
            bytes_per_second,
        }
    }

    /// Queues a frame. False when the queue is full.
    fn push(&mut self, frame: Frame, now_us: u64, bytes_max: usize, factor: u64, random: &mut Random) -> bool {
        if self.bytes + frame.len() > bytes_max || self.queue.len() >= QUEUE_FRAMES_MAX {
            return false;
        }
        self.bytes += frame.len();
        let sending_us = frame.len() as u64 * 1_000_000 * factor / self.bytes_per_second;
        self.free_at_us = self.free_at_us.max(now_us) + sending_us;
        let jitter_us = random.below(self.latency_us / 4 + 1);
        // A stream keeps its order, whatever the packets do.
        let arrives_us = (self.free_at_us + self.latency_us + jitter_us).max(self.last_arrival_us);
        self.last_arrival_us = arrives_us;
        self.queue.push_back(Parcel { arrives_us, frame });
        true
    }

    /// When the receiver's end should look at this wire next; `None` when nothing is coming.
    pub(super) fn looks_at_us(&self, now_us: u64) -> Option<u64> {
        match self.queue.front() {
            Some(parcel) => Some(parcel.arrives_us.max(now_us)),
            None => self.is_ended.then(|| (now_us + self.latency_us).max(self.last_arrival_us)),
        }
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}

#[derive(Debug)]
pub(super) struct Network {
    pub(super) links: Vec<Link>,
    /// From when on nothing gets from one machine to another.
    blocked: Vec<Vec<Option<u64>>>,
    /// A machine's own line takes so many times as long.
    pub(super) slowness: Vec<u64>,
    pub(super) queue_bytes_max: usize,
    latency_us_max: u64,
    bytes_per_second: u64,
    random: Random,
}

impl Network {
    pub(super) fn new(nodes: usize, options: &super::Options, random: Random) -> Network {
        Network {
            links: Vec::new(),
            blocked: vec![vec![None; nodes]; nodes],
            slowness: vec![1; nodes],
            queue_bytes_max: options.queue_bytes_max,
            latency_us_max: options.latency_us_max,
            bytes_per_second: options.bytes_per_second,
            random,
        }
    }

    /// A latency for one way between any two machines.
    pub(super) fn latency_us(&mut self) -> u64 {
        // Most lines are short, a few are long.
        let draws = [self.random.below(self.latency_us_max), self.random.below(self.latency_us_max)];
        200 + draws[0].min(draws[1])
    }

    pub(super) fn open(&mut self, dialler: usize, to: usize, now_us: u64) -> usize {
        let latency_us = self.latency_us();
        let wire = || Wire::new(latency_us, self.bytes_per_second, now_us);
        let wires = [wire(), wire()];
        self.links.push(Link { machines: [dialler, to], ends: [End::Opening; 2], wires });
        self.links.len() - 1
    }

    pub(super) fn is_blocked(&self, from: usize, to: usize) -> bool {
        self.blocked[from][to].is_some()
    }

    pub(super) fn is_cut(&self, a: usize, b: usize) -> bool {
        self.is_blocked(a, b) || self.is_blocked(b, a)
    }

    /// Since when two machines have not been able to talk.
    pub(super) fn cut_since(&self, a: usize, b: usize) -> Option<u64> {
        let both = [self.blocked[a][b], self.blocked[b][a]];
        both.into_iter().flatten().min()
    }

    pub(super) fn block(&mut self, from: usize, to: usize, now_us: u64) {
        self.blocked[from][to].get_or_insert(now_us);
    }

    pub(super) fn unblock_all(&mut self) {
        self.blocked.iter_mut().flatten().for_each(|since| *since = None);
    }

    /// Links with an end that is not closed.
    pub(super) fn live(&self) -> impl Iterator<Item = usize> + '_ {
        let is_live = |link: &Link| link.ends.iter().any(|end| *end != End::Closed);
        self.links.iter().enumerate().filter(move |(_, link)| is_live(link)).map(|(number, _)| number)
    }

    /// Which end of a link a machine has.
    pub(super) fn end_of(&self, link: usize, machine: usize) -> usize {
        usize::from(self.links[link].machines[0] != machine)
    }

    /// Queues a frame at an end. False when the queue is full.
    pub(super) fn send(&mut self, link: usize, end: usize, frame: Frame, now_us: u64) -> bool {
        let Link { machines, wires, .. } = &mut self.links[link];
        let factor = self.slowness[machines[0]].max(self.slowness[machines[1]]);
        wires[end].push(frame, now_us, self.queue_bytes_max, factor, &mut self.random)
    }

    /// Whether a line that was slow still has to deliver what was queued then: something that arrives after this instant.
    pub(super) fn is_behind(&self, after_us: u64) -> bool {
        let is_read = |link: &Link, wire: usize| link.ends[1 - wire] != End::Closed;
        let arrives_us = |link: &Link, wire: usize| link.wires[wire].queue.back().map_or(0, |parcel| parcel.arrives_us);
        let wires = self.links.iter().flat_map(|link| [(link, 0), (link, 1)]);
        wires.into_iter().any(|(link, wire)| is_read(link, wire) && arrives_us(link, wire) > after_us)
    }

    /// Closes one end: what it has queued still arrives, unless the line is cut; it reads nothing more.
    pub(super) fn close(&mut self, link: usize, end: usize) {
        let link = &mut self.links[link];
        link.ends[end] = End::Closed;
        link.wires[end].is_ended = true;
        link.wires[1 - end].clear();
    }

    /// What is queued at an end is lost.
    pub(super) fn lose_queue(&mut self, link: usize, end: usize) {
        self.links[link].wires[end].clear();
    }

    /// Looks at the head of a wire's queue and takes it if it has arrived.
    pub(super) fn next(&mut self, link: usize, wire: usize, now_us: u64) -> Next {
        let Link { machines, ends, wires } = &mut self.links[link];
        let is_blocked = self.blocked[machines[wire]][machines[1 - wire]].is_some();
        let wire_at = &mut wires[wire];
        match ends[1 - wire] {
            End::Closed => {
                wire_at.clear();
                return Next::Nothing;
            }
            End::Opening => return Next::Nothing,
            End::Open if is_blocked || wire_at.in_work >= FRAMES_IN_WORK_MAX => return Next::Nothing,
            End::Open => {}
        }
        match wire_at.queue.front() {
            None if wire_at.is_ended => Next::End,
            None => Next::Nothing,
            Some(parcel) if parcel.arrives_us > now_us => Next::At(parcel.arrives_us),
            Some(_) => {
                let Some(parcel) = wire_at.queue.pop_front() else { return Next::Nothing };
                wire_at.bytes -= parcel.frame.len();
                wire_at.in_work += 1;
                Next::Frame(parcel.frame)
            }
        }
    }
}
