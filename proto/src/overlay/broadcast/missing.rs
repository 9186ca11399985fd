//! Versions that were announced and have not come yet.
//!
//! Always: at most [`MISSING_IDS_MAX`] in all and [`MISSING_IDS_PER_LINK_MAX`] that one link was the first to announce;
//! what does not fit is left to the comparison of sets.

use std::collections::BTreeMap;

use super::GRAFT_AFTER_MS;
use crate::id::Vid;
use crate::time::UnixMillis;

/// Announced versions that are waited for: about 1 MB.
pub(super) const MISSING_IDS_MAX: usize = 8_192;
/// Of these, first announced by one link: eight liars are needed to fill the table.
pub(super) const MISSING_IDS_PER_LINK_MAX: usize = MISSING_IDS_MAX / 8;
/// A graft without an answer for so long goes to another announcer, milliseconds.
const ANSWER_WAIT_MS: u64 = 1_000;
/// Announcers that are asked for one version.
const TRIES_MAX: u32 = 4;
/// Versions that are asked for and have not come; more are asked for as they come. Bounds what a burst that is merely slow
/// costs twice.
pub(super) const ASKED_IDS_MAX: usize = 1_024;
/// With so many missing a burst is under way, and as long as it brings something nothing is asked for.
const BURST_IDS_MIN: usize = 64;
/// But after so long it is, milliseconds.
const BURST_WAIT_MS_MAX: u64 = 10_000;

#[derive(Clone, Debug)]
struct Waiting {
    /// Links that announced it and were not asked yet.
    announcers: u64,
    /// All that announced it.
    all: u64,
    /// The first of them; it counts against that link's limit.
    first: u32,
    since: UnixMillis,
    wait_ms: u64,
    /// When and whom it was asked for last.
    asked: Option<(UnixMillis, u32)>,
    tries: u32,
}

/// The table.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing {
    waiting: BTreeMap<Vid, Waiting>,
    /// Number of entries by first announcer.
    by_link: BTreeMap<u32, usize>,
    /// When a missing version last came.
    progress_at: UnixMillis,
}

impl Missing {
    /// `wait_ms` is how long to wait for it before asking.
    pub(super) fn announced(&mut self, now: UnixMillis, link: u32, id: Vid, wait_ms: u64) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            if waiting.all & (1 << link) == 0 {
                waiting.announcers |= 1 << link;
                waiting.all |= 1 << link;
            }
            return;
        }
        let of_link = self.by_link.entry(link).or_default();
        if *of_link >= MISSING_IDS_PER_LINK_MAX || self.waiting.len() >= MISSING_IDS_MAX {
            return;
        }
        *of_link += 1;
        let bit = 1 << link;
        let waiting = Waiting { announcers: bit, all: bit, first: link, since: now, wait_ms, asked: None, tries: 0 };
        self.waiting.insert(id, waiting);
    }

    /// It came. Returns who announced it, and whether it had been asked for.
    pub(super) fn remove(&mut self, now: UnixMillis, id: &Vid) -> (u64, bool) {
        let Some(waiting) = self.take(id) else { return (0, false) };
        self.progress_at = now;
        (waiting.all, waiting.tries > 0)
    }

    pub(super) fn forget_link(&mut self, link: u32) {
        let bit = 1 << link;
        let mut gone = Vec::new();
        for (id, waiting) in &mut self.waiting {
            waiting.announcers &= !bit;
            waiting.all &= !bit;
            // Whoever gets this number next has not been asked.
            waiting.asked = waiting.asked.filter(|(_, asked)| *asked != link);
            if waiting.all == 0 {
                gone.push(*id);
            } else if waiting.first == link {
                waiting.first = waiting.all.trailing_zeros();
                *self.by_link.entry(waiting.first).or_default() += 1;
            }
        }
        for id in gone {
            self.waiting.remove(&id);
        }
        self.by_link.remove(&link);
    }

    /// What to ask for now, by link.
    pub(super) fn due(&mut self, now: UnixMillis) -> BTreeMap<u32, Vec<Vid>> {
        let is_burst = self.waiting.len() >= BURST_IDS_MIN && elapsed(self.progress_at, now) < GRAFT_AFTER_MS;
        let is_open = |waiting: &Waiting| waiting.asked.is_some_and(|(at, _)| elapsed(at, now) < ANSWER_WAIT_MS);
        let mut open = self.waiting.values().filter(|waiting| is_open(waiting)).count();
        let mut due: BTreeMap<u32, Vec<Vid>> = BTreeMap::new();
        let mut hopeless = Vec::new();
        for (id, waiting) in &mut self.waiting {
            let wait_ms = if is_burst { BURST_WAIT_MS_MAX } else { waiting.wait_ms };
            if is_open(waiting) || elapsed(waiting.since, now) < wait_ms {
                continue;
            }
            if waiting.announcers == 0 || waiting.tries >= TRIES_MAX {
                hopeless.push(*id);
                continue;
            }
            if open >= ASKED_IDS_MAX {
                continue;
            }
            let is_first_left = waiting.announcers & (1 << waiting.first) != 0;
            let link = if is_first_left { waiting.first } else { waiting.announcers.trailing_zeros() };
            waiting.announcers &= !(1 << link);
            waiting.asked = Some((now, link));
            waiting.tries += 1;
            open += 1;
            due.entry(link).or_default().push(*id);
        }
        for id in hopeless {
            self.take(&id);
        }
        due
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take(&mut self, id: &Vid) -> Option<Waiting> {
        let waiting = self.waiting.remove(id)?;
        if let Some(of_link) = self.by_link.get_mut(&waiting.first) {
            *of_link = of_link.saturating_sub(1);
        }
        Some(waiting)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// Milliseconds since `at`. A clock that leapt back must not make anything wait for as long as it leapt.
fn elapsed(at: UnixMillis, now: UnixMillis) -> u64 {
    now.checked_sub(at).unwrap_or(u64::MAX)
}
