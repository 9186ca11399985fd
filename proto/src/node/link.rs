//! What a node remembers of one link: greeting, reconciliation session, open wants, clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::{OrgId, Vid};
use crate::kind::Audience;
use crate::limits::{WANT_KEYS_MAX, WANTS_OPEN_MAX};
use crate::set::{SetKey, Slot};
use crate::time::UnixMillis;

/// Pairs that wait to be asked for on one link. What does not fit is found again by the next session.
const WANT_QUEUE_PAIRS_MAX: usize = 65_536;

/// A reconciliation session that this node started.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) audience: Audience,
    /// Requests that are not yet answered.
    pub(super) outstanding: u32,
    /// Requests sent so far.
    pub(super) requests: u32,
    pub(super) found_difference: bool,
    pub(super) active_at: UnixMillis,
}

#[derive(Debug)]
struct OpenWant {
    audience: Audience,
    pairs: BTreeMap<SetKey, Vid>,
    received: usize,
    active_at: UnixMillis,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) outbound: bool,
    pub(super) connected_at: UnixMillis,
    pub(super) is_greeted: bool,
    pub(super) org: Option<OrgId>,
    pub(super) session: Option<Session>,
    next_id: u64,
    wanted: VecDeque<(Slot, Vid)>,
    wanted_set: BTreeSet<Slot>,
    open: BTreeMap<u64, OpenWant>,
    /// Versions that no honest node would have sent.
    pub(super) breaches: u32,
    pub(super) clock_ahead_ms: Option<i64>,
    pub(super) round_trip_ms: Option<u64>,
    /// Of the ping that is not yet answered.
    pub(super) ping_sent_at: Option<UnixMillis>,
    pub(super) pinged_at: UnixMillis,
    pub(super) last_seen: UnixMillis,
    /// Equal at the last comparison, by audience number.
    pub(super) in_sync: [bool; 2],
    /// When to compare sets again, by audience number.
    pub(super) compare_at: [UnixMillis; 2],
    /// Doubles while sessions change nothing.
    pub(super) compare_delay_ms: u64,
    pub(super) received_versions: u64,
    pub(super) sent_versions: u64,
}

impl Link {
    pub(super) fn new(now: UnixMillis, outbound: bool, org: Option<OrgId>) -> Link {
        Link {
            outbound,
            connected_at: now,
            is_greeted: false,
            org,
            session: None,
            next_id: 0,
            wanted: VecDeque::new(),
            wanted_set: BTreeSet::new(),
            open: BTreeMap::new(),
            breaches: 0,
            clock_ahead_ms: None,
            round_trip_ms: None,
            ping_sent_at: None,
            pinged_at: 0,
            last_seen: now,
            in_sync: [false; 2],
            compare_at: [UnixMillis::MAX; 2],
            compare_delay_ms: 0,
            received_versions: 0,
            sent_versions: 0,
        }
    }

    /// A number for a session or want, not used before on this link and not zero.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn want(&mut self, audience: Audience, pairs: impl IntoIterator<Item = (SetKey, Vid)>) {
        for (key, vid) in pairs {
            let slot = Slot { audience, key };
            if self.wanted.len() < WANT_QUEUE_PAIRS_MAX && self.wanted_set.insert(slot) {
                self.wanted.push_back((slot, vid));
            }
        }
    }

    /// The next request to send, as (want id, audience, keys); `is_missing` says what is still worth asking for.
    pub(super) fn next_want(
        &mut self,
        now: UnixMillis,
        is_missing: impl Fn(&Slot, &Vid) -> bool,
    ) -> Option<(u64, Audience, Vec<SetKey>)> {
        if self.open.len() >= WANTS_OPEN_MAX {
            return None;
        }
        let mut pairs = BTreeMap::new();
        let mut audience = None;
        while let Some((slot, vid)) = self.wanted.front().copied() {
            if pairs.len() >= WANT_KEYS_MAX || audience.is_some_and(|audience| audience != slot.audience) {
                break;
            }
            self.wanted.pop_front();
            self.wanted_set.remove(&slot);
            if is_missing(&slot, &vid) {
                audience = Some(slot.audience);
                pairs.insert(slot.key, vid);
            }
        }
        let audience = audience?;
        let id = self.fresh_id();
        let keys = pairs.keys().copied().collect();
        self.open.insert(id, OpenWant { audience, pairs, received: 0, active_at: now });
        Some((id, audience, keys))
    }

    /// Notes what a `Versions` frame brought for a want. When it was the last one and brought less than was asked for,
    /// the rest is asked for again, unless nothing came at all.
    pub(super) fn on_versions(&mut self, now: UnixMillis, want: u64, keys: &[SetKey], last: bool) {
        if !self.open.contains_key(&want) {
            return;
        }
        // They are answered one after the other: while one is, none of them is forgotten.
        self.open.values_mut().for_each(|open| open.active_at = now);
        let Some(open) = self.open.get_mut(&want) else { return };
        for key in keys {
            open.received += usize::from(open.pairs.remove(key).is_some());
        }
        if last {
            let open = self.open.remove(&want);
            if let Some(open) = open.filter(|open| open.received > 0) {
                self.want(open.audience, open.pairs);
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.open.is_empty() && self.session.is_none()
    }

    /// When the oldest open want last made progress.
    pub(super) fn oldest_want(&self) -> Option<UnixMillis> {
        self.open.values().map(|want| want.active_at).min()
    }
}
