//! What is counted in a run of a model, and what comes of it.

use super::world::{Part, Plan};

/// Counts of a run.
#[derive(Debug)]
pub(super) struct Tally {
    nodes: usize,
    published_at_us: Vec<u64>,
    publishers: Vec<usize>,
    /// By message, then node: when it came first, 0 for never.
    arrived_at_us: Vec<Vec<u64>>,
    hops: Vec<Vec<u8>>,
    copies: Vec<Vec<u16>>,
    /// By node, sent so far.
    payload_bytes: Vec<u64>,
    control_bytes: Vec<u64>,
    /// Both of these at the beginning and end of each part, all nodes together.
    marks: Vec<(u64, u64)>,
}

/// What one part of a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// Nodes that should have got every message.
    pub(crate) nodes: usize,
    /// Share of (message, node) that arrived, 1 for all.
    pub(crate) reached: f64,
    /// Network hops of the farthest node.
    pub(crate) hops_max: u8,
    /// Network hops, 99 of 100.
    pub(crate) hops_p99: u8,
    /// Network hops, mean.
    pub(crate) hops_mean: f64,
    /// Copies received per node and message.
    pub(crate) copies: f64,
    /// From publishing to the last node, milliseconds, worst message.
    pub(crate) everywhere_ms_max: f64,
    /// The same, median message.
    pub(crate) everywhere_ms_p50: f64,
    /// Bytes of versions sent per node and message, with what is around them.
    pub(crate) payload_bytes: f64,
    /// All other bytes sent per node and message.
    pub(crate) control_bytes: f64,
}

impl Tally {
    pub(super) fn new(plan: &Plan) -> Tally {
        let messages = plan.messages();
        Tally {
            nodes: plan.nodes,
            published_at_us: vec![0; messages],
            publishers: vec![0; messages],
            arrived_at_us: vec![vec![0; plan.nodes]; messages],
            hops: vec![vec![0; plan.nodes]; messages],
            copies: vec![vec![0; plan.nodes]; messages],
            payload_bytes: vec![0; plan.nodes],
            control_bytes: vec![0; plan.nodes],
            marks: Vec::new(),
        }
    }

    pub(super) fn published(&mut self, now_us: u64, message: usize, node: usize) {
        self.published_at_us[message] = now_us;
        self.publishers[message] = node;
        self.arrived_at_us[message][node] = now_us;
    }

    /// True when it is here.
    pub(super) fn is_at(&self, message: usize, node: usize) -> bool {
        self.arrived_at_us[message][node] != 0
    }

    /// Hops that it took to here.
    pub(super) fn hops_to(&self, message: usize, node: usize) -> u8 {
        self.hops[message][node]
    }

    /// A copy came. True when it is the first.
    pub(super) fn copy(&mut self, now_us: u64, message: usize, node: usize, hops: u8) -> bool {
        let is_first = !self.is_at(message, node);
        self.received(message, node);
        self.arrived(now_us, message, node, hops);
        is_first
    }

    /// A copy came, first or not.
    pub(super) fn received(&mut self, message: usize, node: usize) {
        self.copies[message][node] = self.copies[message][node].saturating_add(1);
    }

    /// It came for the first time.
    pub(super) fn arrived(&mut self, now_us: u64, message: usize, node: usize, hops: u8) {
        if !self.is_at(message, node) {
            self.arrived_at_us[message][node] = now_us;
            self.hops[message][node] = hops;
        }
    }

    pub(super) fn sent_payload(&mut self, node: usize, bytes: u64) {
        self.payload_bytes[node] += bytes;
    }

    pub(super) fn sent_control(&mut self, node: usize, bytes: u64) {
        self.control_bytes[node] += bytes;
    }

    /// A part begins or ends.
    pub(super) fn mark(&mut self) {
        self.marks.push((self.payload_bytes.iter().sum(), self.control_bytes.iter().sum()));
    }

    /// Control bytes sent by all nodes so far.
    pub(super) fn control_bytes(&self) -> u64 {
        self.control_bytes.iter().sum()
    }

    /// What a part came to among the nodes for which `is_alive`. Mark the beginning and end of every part, in order.
    pub(super) fn summary(&self, plan: &Plan, part: Part, is_alive: impl Fn(usize) -> bool) -> Summary {
        let alive: Vec<usize> = (0..self.nodes).filter(|node| is_alive(*node)).collect();
        let messages = part.messages(plan);
        let pairs = (messages.len() * (alive.len() - 1)) as f64;
        let (mut reached, mut copies, mut hops, mut everywhere_ms) = (0_usize, 0_u64, Vec::new(), Vec::new());
        for message in messages.clone() {
            let mut last_us = 0;
            for node in alive.iter().copied().filter(|node| *node != self.publishers[message]) {
                copies += u64::from(self.copies[message][node]);
                if self.is_at(message, node) {
                    reached += 1;
                    hops.push(self.hops[message][node]);
                    last_us = last_us.max(self.arrived_at_us[message][node] - self.published_at_us[message]);
                }
            }
            everywhere_ms.push(last_us as f64 / 1_000.0);
        }
        hops.sort_unstable();
        everywhere_ms.sort_by(f64::total_cmp);
        let at =
            |percent: usize| hops.get((hops.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
        let place = Part::ALL.iter().position(|other| *other == part).unwrap_or(0);
        let (from, to) = (self.marks[2 * place], self.marks[2 * place + 1]);
        let per_node = |bytes: u64| bytes as f64 / (messages.len() * alive.len()) as f64;
        Summary {
            nodes: alive.len(),
            reached: reached as f64 / pairs,
            hops_max: at(100),
            hops_p99: at(99),
            hops_mean: hops.iter().map(|hops| f64::from(*hops)).sum::<f64>() / hops.len().max(1) as f64,
            copies: copies as f64 / pairs,
            everywhere_ms_max: everywhere_ms.last().copied().unwrap_or(0.0),
            everywhere_ms_p50: everywhere_ms.get(everywhere_ms.len() / 2).copied().unwrap_or(0.0),
            payload_bytes: per_node(to.0 - from.0),
            control_bytes: per_node(to.1 - from.1),
        }
    }
}
