//! What is remembered of single peers, linked or not: failures, misbehaviour, when they were last heard of.
//!
//! Always: at most [`HISTORIES_MAX`] peers; those with points are the last to be forgotten.

use std::collections::BTreeMap;

use super::super::random::Random;
use super::{POINTS_FORGIVEN, POINTS_MAX};
use crate::node::Peer;
use crate::time::UnixMillis;

/// Peers that are remembered: about 400 KB.
pub(super) const HISTORIES_MAX: usize = 4_096;
/// Time in which points halve, milliseconds.
const POINTS_HALF_LIFE_MS: u64 = 600_000;
/// Pauses double so often at most.
const FAILURES_MAX: u32 = 10;

#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// In a row.
    pub(super) failures: u32,
    /// Not dialled before.
    next_at: UnixMillis,
    /// The pause that ends at `next_at`, to notice a clock that leapt back.
    pause_ms: u64,
    points: u32,
    points_at: UnixMillis,
    is_shut_out: bool,
    pub(super) alive_at: Option<UnixMillis>,
}

impl History {
    /// Waits from now on: `min_ms` doubled for every failure before, up to `max_ms`, a quarter more or less.
    pub(super) fn pause(&mut self, now: UnixMillis, min_ms: u64, max_ms: u64, random: &mut Random) {
        self.pause_ms = random.around((min_ms << self.failures.min(FAILURES_MAX)).min(max_ms), 4);
        self.next_at = now + self.pause_ms;
        self.failures = (self.failures + 1).min(FAILURES_MAX);
    }

    pub(super) fn may_dial(&self, now: UnixMillis) -> bool {
        let is_waiting = self.next_at > now && self.next_at - now <= self.pause_ms;
        !is_waiting && !self.is_shut_out(now)
    }

    pub(super) fn is_alive(&self, now: UnixMillis) -> bool {
        self.alive_at.is_some_and(|at| now.saturating_sub(at) < super::ALIVE_MS)
    }

    pub(super) fn add_points(&mut self, now: UnixMillis, points: u32) {
        self.points = self.points_left(now).saturating_add(points);
        self.points_at = now;
        self.is_shut_out = self.is_shut_out(now) || self.points >= POINTS_MAX;
    }

    /// True when the peer is shut out; forgets that it was when few enough points are left.
    pub(super) fn check_points(&mut self, now: UnixMillis) -> bool {
        self.is_shut_out = self.is_shut_out(now);
        self.is_shut_out
    }

    pub(super) fn is_shut_out(&self, now: UnixMillis) -> bool {
        self.is_shut_out && self.points_left(now) >= POINTS_FORGIVEN
    }

    fn points_left(&self, now: UnixMillis) -> u32 {
        let halvings = now.saturating_sub(self.points_at) / POINTS_HALF_LIFE_MS;
        self.points.checked_shr(halvings.min(64) as u32).unwrap_or(0)
    }

    /// What would be lost: points weigh most, then pauses that are not over, then news.
    fn weight(&self) -> (u32, UnixMillis, Option<UnixMillis>) {
        (self.points, self.next_at, self.alive_at)
    }
}

/// Histories by peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Histories(BTreeMap<Peer, History>);

impl Histories {
    pub(super) fn get(&self, peer: &Peer) -> Option<&History> {
        self.0.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &Peer) -> Option<&mut History> {
        self.0.get_mut(peer)
    }

    /// The history of this peer, begun if need be; the lightest other is forgotten when there are too many.
    pub(super) fn at(&mut self, peer: Peer) -> &mut History {
        if self.0.len() >= HISTORIES_MAX && !self.0.contains_key(&peer) {
            let lightest = self.0.iter().min_by_key(|(_, history)| history.weight()).map(|(peer, _)| *peer);
            lightest.and_then(|peer| self.0.remove(&peer));
        }
        self.0.entry(peer).or_default()
    }

    pub(super) fn retain(&mut self, mut is_wanted: impl FnMut(&Peer) -> bool) {
        self.0.retain(|peer, _| is_wanted(peer));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
