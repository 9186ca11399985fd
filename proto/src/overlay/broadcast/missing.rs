//! Versions that were announced and have not come yet.
//!
//! Always: at most [`MISSING_IDS_MAX`] in all and [`MISSING_IDS_PER_LINK_MAX`] that one link was the first to announce, but
//! room for [`MISSING_IDS_OWED`] of each link, so that none takes the room of others; what does not fit is left to the
//! comparison of sets. A version under another key is another entry: who lies about the key keeps nobody from asking.

use std::collections::BTreeMap;

use super::{Announced, GRAFT_AFTER_MS, GRAFT_IDS_MAX};
use crate::id::Vid;
use crate::kind::Audience;
use crate::limits::LINKS_MAX;
use crate::time::UnixMillis;

/// Announced versions that are waited for: about 1 MB.
pub(super) const MISSING_IDS_MAX: usize = 8_192;
/// Of these, first announced by one link.
pub(super) const MISSING_IDS_PER_LINK_MAX: usize = MISSING_IDS_MAX / 8;
/// For so many that a link was the first to announce there is room even when others have filled the table.
pub(super) const MISSING_IDS_OWED: usize = MISSING_IDS_MAX / LINKS_MAX;
/// A graft without an answer for so long goes to another announcer, milliseconds.
const ANSWER_WAIT_MS: u64 = 1_000;
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
    was_asked: bool,
}

impl Waiting {
    /// Whom to ask next: the first announcer, or else any other.
    fn next_announcers(&self) -> impl Iterator<Item = u32> {
        let announcers = self.announcers;
        let others = (0..u64::BITS).filter(move |link| announcers & (1 << link) != 0);
        std::iter::once(self.first).filter(move |first| announcers & (1 << first) != 0).chain(others)
    }
}

/// The table.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing {
    waiting: BTreeMap<Announced, Waiting>,
    /// Number of entries by first announcer.
    by_link: BTreeMap<u32, usize>,
    /// When a missing version last came.
    progress_at: UnixMillis,
    /// Links that announced something which was given up since this was last asked, a bit each.
    given_up: u64,
}

impl Missing {
    /// `wait_ms` is how long to wait for it before asking.
    pub(super) fn announced(&mut self, now: UnixMillis, link: u32, announced: Announced, wait_ms: u64) {
        if let Some(waiting) = self.waiting.get_mut(&announced) {
            if waiting.all & (1 << link) == 0 {
                waiting.announcers |= 1 << link;
                waiting.all |= 1 << link;
            }
            return;
        }
        let of_link = self.by_link.entry(link).or_default();
        let is_full = self.waiting.len() >= MISSING_IDS_MAX && *of_link >= MISSING_IDS_OWED;
        if is_full || *of_link >= MISSING_IDS_PER_LINK_MAX {
            self.given_up |= 1 << link;
            return;
        }
        *of_link += 1;
        let bit = 1 << link;
        let waiting =
            Waiting { announcers: bit, all: bit, first: link, since: now, wait_ms, asked: None, was_asked: false };
        self.waiting.insert(announced, waiting);
    }

    /// It came. Returns who announced it, and whether it had been asked for.
    pub(super) fn remove(&mut self, now: UnixMillis, id: &Vid) -> (u64, bool) {
        let first = Announced::first_of(*id);
        let of_version = self.waiting.range(first..).take_while(|(announced, _)| announced.vid == *id);
        let came: Vec<Announced> = of_version.map(|(announced, _)| *announced).collect();
        let (mut announcers, mut was_asked) = (0, false);
        for announced in &came {
            let Some(waiting) = self.take(announced) else { continue };
            self.progress_at = now;
            announcers |= waiting.all;
            was_asked |= waiting.was_asked;
        }
        (announcers, was_asked)
    }

    pub(super) fn forget_link(&mut self, link: u32) {
        let bit = 1 << link;
        let mut gone = Vec::new();
        for (announced, waiting) in &mut self.waiting {
            waiting.announcers &= !bit;
            waiting.all &= !bit;
            // Whoever gets this number next has not been asked.
            waiting.asked = waiting.asked.filter(|(_, asked)| *asked != link);
            if waiting.all == 0 {
                gone.push(*announced);
            } else if waiting.first == link {
                waiting.first = waiting.all.trailing_zeros();
                *self.by_link.entry(waiting.first).or_default() += 1;
            }
        }
        for announced in gone {
            self.waiting.remove(&announced);
        }
        self.by_link.remove(&link);
        self.given_up &= !bit;
    }

    /// What to ask for now, by link. Links take turns, so that what one of them announced does not wait for all that another
    /// one did. `free` is the number of requests that each link has room for; what is asked for is taken from it.
    pub(super) fn due(&mut self, now: UnixMillis, free: &mut BTreeMap<u32, usize>) -> BTreeMap<u32, Vec<Announced>> {
        let is_burst = self.waiting.len() >= BURST_IDS_MIN && elapsed(self.progress_at, now) < GRAFT_AFTER_MS;
        let is_open = |waiting: &Waiting| waiting.asked.is_some_and(|(at, _)| elapsed(at, now) < ANSWER_WAIT_MS);
        let open = self.waiting.values().filter(|waiting| is_open(waiting)).count();
        let mut by_link: BTreeMap<u32, Vec<Announced>> = BTreeMap::new();
        let mut asked: BTreeMap<(u32, Audience), usize> = BTreeMap::new();
        let mut hopeless = Vec::new();
        for (announced, waiting) in &mut self.waiting {
            let wait_ms = if is_burst { BURST_WAIT_MS_MAX } else { waiting.wait_ms };
            if is_open(waiting) || elapsed(waiting.since, now) < wait_ms {
                continue;
            }
            waiting.asked = None;
            if waiting.announcers == 0 {
                hopeless.push(*announced);
                continue;
            }
            let audience = announced.slot.audience;
            let Some(link) = waiting.next_announcers().find(|link| {
                let is_begun = asked.get(&(*link, audience)).is_some_and(|asked| asked % GRAFT_IDS_MAX != 0);
                is_begun || free.get(link).is_some_and(|free| *free > 0)
            }) else {
                continue;
            };
            let asked = asked.entry((link, audience)).or_default();
            if asked.is_multiple_of(GRAFT_IDS_MAX)
                && let Some(free) = free.get_mut(&link)
            {
                *free = free.saturating_sub(1);
            }
            *asked += 1;
            by_link.entry(link).or_default().push(*announced);
        }
        for announced in hopeless {
            self.given_up |= self.take(&announced).map_or(0, |waiting| waiting.all);
        }
        take_turns(&mut by_link, ASKED_IDS_MAX.saturating_sub(open));
        for (link, due) in &by_link {
            for announced in due {
                let Some(waiting) = self.waiting.get_mut(announced) else { continue };
                waiting.announcers &= !(1 << link);
                waiting.asked = Some((now, *link));
                waiting.was_asked = true;
            }
        }
        by_link
    }

    /// Links that announced something which is still waited for, a bit each.
    pub(super) fn awaited_from(&self) -> u64 {
        self.waiting.values().fold(0, |links, waiting| links | waiting.all)
    }

    pub(super) fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn take(&mut self, announced: &Announced) -> Option<Waiting> {
        let waiting = self.waiting.remove(announced)?;
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

/// Keeps `room` entries in all: the first of each link, then the second of each, and so on.
fn take_turns(by_link: &mut BTreeMap<u32, Vec<Announced>>, mut room: usize) {
    let mut kept: BTreeMap<u32, usize> = BTreeMap::new();
    for turn in 0..by_link.values().map(Vec::len).max().unwrap_or(0) {
        for (link, _) in by_link.iter().filter(|(_, due)| due.len() > turn).take(room) {
            *kept.entry(*link).or_default() += 1;
            room -= 1;
        }
    }
    by_link.retain(|link, due| {
        due.truncate(kept.get(link).copied().unwrap_or(0));
        !due.is_empty()
    });
}

/// Milliseconds since `at`. A clock that leapt back must not make anything wait for as long as it leapt.
fn elapsed(at: UnixMillis, now: UnixMillis) -> u64 {
    now.checked_sub(at).unwrap_or(u64::MAX)
}
