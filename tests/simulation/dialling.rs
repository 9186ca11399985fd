//! Whom a machine dials, and when: as the daemon does. The one place to change when nodes choose by themselves.

use std::collections::BTreeMap;

use fingerpost_proto::node::Peer;

/// Attempts under way at once.
const DIALS_AT_ONCE_MAX: usize = 4;
const PAUSE_MIN_US: u64 = 1_000_000;
const PAUSE_MAX_US: u64 = 60_000_000;

#[derive(Clone, Copy, Debug)]
struct Dial {
    pause_us: u64,
    next_at_us: u64,
    is_under_way: bool,
    up_since_us: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Dialler {
    /// Chooses the order of candidates.
    seed: u64,
    links_wanted: usize,
    dials: BTreeMap<usize, Dial>,
}

impl Dialler {
    pub(super) fn new(seed: u64, links_wanted: usize) -> Dialler {
        Dialler { seed, links_wanted, dials: BTreeMap::new() }
    }

    /// Machines to dial now. `wanted` are the ones known from cards and invites, `linked` says which are linked.
    pub(super) fn due(
        &mut self,
        now_us: u64,
        wanted: impl Iterator<Item = usize>,
        links: usize,
        linked: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let mut busy = self.dials.values().filter(|dial| dial.is_under_way).count();
        let mut room = self.links_wanted.saturating_sub(links);
        if room == 0 || busy >= DIALS_AT_ONCE_MAX {
            return Vec::new();
        }
        let order = |machine: &usize| {
            (*machine as u64 + 1).wrapping_mul(self.seed | 1).rotate_left(29).wrapping_mul(0x9e37_79b9)
        };
        let mut wanted: Vec<usize> = wanted.filter(|machine| !linked(*machine)).collect();
        wanted.sort_by_key(order);
        wanted.dedup();
        let mut due = Vec::new();
        for machine in wanted {
            if busy >= DIALS_AT_ONCE_MAX || room == 0 {
                break;
            }
            let fresh = Dial { pause_us: PAUSE_MIN_US, next_at_us: 0, is_under_way: false, up_since_us: None };
            let dial = self.dials.entry(machine).or_insert(fresh);
            if !dial.is_under_way && dial.up_since_us.is_none() && dial.next_at_us <= now_us {
                dial.is_under_way = true;
                (busy, room) = (busy + 1, room - 1);
                due.push(machine);
            }
        }
        due
    }

    /// An attempt came to nothing.
    pub(super) fn failed(&mut self, now_us: u64, machine: usize) {
        if let Some(dial) = self.dials.get_mut(&machine) {
            dial.is_under_way = false;
            dial.pause_us = (dial.pause_us * 2).min(PAUSE_MAX_US);
            dial.next_at_us = now_us + dial.pause_us;
        }
    }

    pub(super) fn succeeded(&mut self, now_us: u64, machine: usize) {
        if let Some(dial) = self.dials.get_mut(&machine) {
            dial.is_under_way = false;
            dial.up_since_us = Some(now_us);
        }
    }

    /// A link that was dialled ended. One that held counts as success; one that ended at once must not lead to a storm.
    pub(super) fn ended(&mut self, now_us: u64, machine: usize) {
        if let Some(dial) = self.dials.get_mut(&machine)
            && let Some(since_us) = dial.up_since_us.take()
        {
            let held = now_us - since_us > PAUSE_MAX_US;
            dial.pause_us = if held { PAUSE_MIN_US } else { (dial.pause_us * 2).min(PAUSE_MAX_US / 6) };
            dial.next_at_us = now_us + dial.pause_us;
        }
    }

    /// The process starts anew.
    pub(super) fn reset(&mut self) {
        self.dials.clear();
    }
}

/// What a machine would like to be linked to: nodes of members, and its inviter while it knows nobody else.
pub(super) fn wanted(
    members: &[Peer],
    own: &Peer,
    inviter: Option<usize>,
    numbers: &BTreeMap<Peer, usize>,
) -> Vec<usize> {
    let mut wanted: Vec<usize> =
        members.iter().filter(|key| *key != own).filter_map(|key| numbers.get(key)).copied().collect();
    if wanted.is_empty() {
        wanted.extend(inviter);
    }
    wanted
}
