//! What a node does by itself as time passes.

use super::link::Link;
use super::output::{Operation, Output};
use super::peering::MEMBERSHIP_WAIT_MS;
use super::{Node, Peer, write_frame};
use crate::id::OrgId;
use crate::kind::{Audience, Class};
use crate::set::{Entry, SetKey, Slot};
use crate::time::{UnixHour, UnixMillis};
use crate::v1;
use crate::v1::frame::Content;

/// A want or session without progress for so long costs the peer its link, in milliseconds.
pub(super) const ANSWER_WAIT_MS_MAX: u64 = 60_000;
/// Between two pings on a link, in milliseconds.
pub(super) const PING_INTERVAL_MS: u64 = 30_000;
/// Sets are compared with one random peer at the least and at the most so often, in milliseconds.
pub(super) const COMPARE_INTERVAL_MS: std::ops::Range<u64> = 60_000..300_000;
/// Slots that are listed because a version was past a deadline when it came. With more of them all entries are searched:
/// that takes no memory, and little longer.
pub(super) const OVERDUE_SLOTS_MAX: usize = 1_024;
/// A clock that moves by more than this between two ticks was set, or the machine slept, in milliseconds.
pub(super) const LEAP_MS_MIN: u64 = 10_000;
/// A link is given so long to say Hello, in milliseconds.
pub(super) const HELLO_WAIT_MS_MAX: u64 = 10_000;

impl Node {
    pub(super) fn on_tick(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        self.follow_leap(now);
        self.pass_deadlines(now, outputs);
        let due = self.quarantine.due(now);
        self.retry(now, due, outputs);
        self.mind_held(now, outputs);
        self.part_from_the_silent(now, outputs);
        self.ping(now, outputs);
        self.compare_with_someone(now);
        self.mind_links(now, outputs);
        self.mind_news(now, outputs);
        self.pull_where_due(now, outputs);
        self.note_progress(now, outputs);
        self.mind_upkeep(now, outputs);
    }

    /// After a leap of the clock intervals go on where they were: nobody waited for as long as the leap.
    fn follow_leap(&mut self, now: UnixMillis) {
        let before = std::mem::replace(&mut self.ticked_at, now);
        if before == 0 || now.abs_diff(before) <= LEAP_MS_MIN {
            return;
        }
        let shift = |at: &mut UnixMillis| *at = (*at + now).saturating_sub(before);
        self.links.values_mut().flat_map(Link::instants).for_each(shift);
        // Until the next ping tells: the peers' clocks have not leapt.
        let leap_ms = i64::try_from(i128::from(now) - i128::from(before)).unwrap_or(0);
        let offsets = self.links.values_mut().filter_map(|link| link.clock_ahead_ms.as_mut());
        offsets.for_each(|ahead_ms| *ahead_ms = ahead_ms.saturating_sub(leap_ms));
        self.turns.iter_mut().flatten().map(|turn| &mut turn.renewed_at).for_each(shift);
        shift(&mut self.progress_noted_at);
        self.shift_heads(shift);
        self.is_clock_confirmed = false;
        self.redactions.instants().for_each(shift);
        self.allowances.instants().for_each(shift);
        self.burdens.instants().for_each(shift);
    }

    /// Has a version looked at in the next tick although its hour has been searched.
    pub(super) fn note_overdue(&mut self, slot: Slot) {
        if self.overdue.len() < OVERDUE_SLOTS_MAX {
            self.overdue.push(slot);
        } else {
            self.searched_in = None;
        }
    }

    /// Deadlines are whole hours, so all entries are looked at once in each hour: about 35 ms of one core for a million
    /// (`bench index` measures it). A list of deadlines would take more memory than the sets.
    fn pass_deadlines(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let hour = UnixHour::containing(now);
        // A clock that leapt, forward or back, is in another hour, too.
        let slots = if self.searched_in.replace(hour) == Some(hour) {
            std::mem::take(&mut self.overdue)
        } else {
            self.overdue.clear();
            self.allowances.settle(now);
            self.burdens.settle(now);
            self.past_deadline(hour)
        };
        let mut operations = Vec::new();
        for slot in slots {
            let Some(entry) = self.set(slot.audience).get(&slot.key) else { continue };
            if !is_past_deadline(&slot.key, &entry, hour) {
                continue;
            }
            let has_lapsed = entry.has_lapsed_by(hour);
            if has_lapsed != entry.has_lapsed {
                self.set_mut(slot.audience).set_lapsed(&slot.key, has_lapsed);
                operations.push(Operation::Lapse { slot, has_lapsed });
            }
            if entry.is_forgotten_by(hour) {
                self.take_out(&slot);
                operations.push(Operation::Forget { slot });
            }
        }
        if !operations.is_empty() {
            outputs.push(Output::Persist { operations, durable: false });
        }
    }

    fn past_deadline(&self, hour: UnixHour) -> Vec<Slot> {
        let first_of_content = SetKey::first_of(Class::Upkeep, &OrgId([0; 32]));
        let mut slots = Vec::new();
        for audience in Audience::ALL {
            let entries = self.set(audience).range(&first_of_content, None);
            let past = entries.filter(|(key, entry)| is_past_deadline(key, entry, hour));
            slots.extend(past.map(|(key, _)| Slot { audience, key }));
        }
        slots
    }

    fn part_from_the_silent(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let mut parting: Vec<(Peer, v1::ByeCode, &str)> = Vec::new();
        for (peer, link) in &self.links {
            let age_ms = now.saturating_sub(link.connected_at);
            let waits_since = link.oldest_request();
            if !link.is_greeted && age_ms > HELLO_WAIT_MS_MAX {
                parting.push((*peer, v1::ByeCode::TooSlow, "no Hello within 10 s"));
            } else if waits_since.is_some_and(|since| now.saturating_sub(since) > ANSWER_WAIT_MS_MAX) {
                parting.push((*peer, v1::ByeCode::TooSlow, "no answer to a request within 60 s"));
            } else if link.org.is_none() && !link.is_mirror && age_ms > MEMBERSHIP_WAIT_MS {
                parting.push((*peer, v1::ByeCode::NotAMember, "this key belongs to no member that is known here"));
            }
        }
        for (peer, code, message) in parting {
            self.part(now, peer, code, message.to_owned(), outputs);
        }
    }

    fn ping(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        for (peer, link) in self.links.iter_mut().filter(|(_, link)| link.is_greeted) {
            let is_due = link.ping_sent_at.is_none_or(|sent_at| now.saturating_sub(sent_at) >= PING_INTERVAL_MS);
            if is_due && now.saturating_sub(link.pinged_at) >= PING_INTERVAL_MS {
                (link.ping_sent_at, link.pinged_at) = (Some(now), now);
                let ping = Content::Ping(v1::Ping { nonce: now, clock_ms: now });
                outputs.push(Output::Send { to: vec![*peer], frame: write_frame(ping) });
            }
        }
    }

    /// Now and then compares sets with a random peer, whatever the pushes may have missed.
    fn compare_with_someone(&mut self, now: UnixMillis) {
        let span_ms = COMPARE_INTERVAL_MS.end - COMPARE_INTERVAL_MS.start;
        // A clock that leapt back must not stop comparisons for as long as it leapt.
        let is_far_off = self.compare_next_at > now.saturating_add(COMPARE_INTERVAL_MS.end);
        if self.compare_next_at <= now && self.compare_next_at != 0 {
            let asked = self.links.iter().filter(|(_, link)| link.is_greeted && !link.is_mirror);
            let greeted: Vec<Peer> = asked.map(|(peer, _)| *peer).collect();
            if !greeted.is_empty() {
                let chosen = self.random_below(greeted.len() as u64) as usize;
                if let Some(link) = self.links.get_mut(&greeted[chosen]) {
                    link.compare_at = link.compare_at.map(|at| at.min(now));
                }
            }
        }
        if self.compare_next_at <= now || is_far_off {
            self.compare_next_at = now + COMPARE_INTERVAL_MS.start + self.random_below(span_ms);
        }
    }
}

/// True when the lease has run out since it was last looked at, or runs again because the clock was ahead then, or when the
/// version may be forgotten by the beginning of this hour. Network kinds have no deadlines.
pub(super) fn is_past_deadline(key: &SetKey, entry: &Entry, hour: UnixHour) -> bool {
    key.is_content() && (entry.has_lapsed_by(hour) != entry.has_lapsed || entry.is_forgotten_by(hour))
}
