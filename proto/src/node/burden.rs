//! What a peer may have this node do for nothing: a budget of work for each key, whatever links it opens.
//!
//! In: what came of what a peer sent, and when. Out: whether its budget holds.
//! Always: what was asked for, and what was new and good, costs nothing, so that whoever brings a million records is never
//! held up; nobody else's budget is touched; memory holds only peers whose budget is not full.
//! Spec: `spec/06-link.md`, section 8. Tested: `node/tests/burden.rs`.

use std::collections::BTreeMap;

use super::frame::Breach;
use super::input::Peer;
use crate::canary::{Canary, is_out};
use crate::time::UnixMillis;

/// Units of work for nothing that a peer may cause at once. A unit takes some 10 µs of one core: two seconds.
pub(super) const BURDEN_BURST: u64 = 200_000;
/// The same each second in the long run: a twentieth of a core.
pub(super) const BURDEN_PER_SECOND: u64 = 5_000;
/// Of a frame without versions: it is read, and may have to be answered.
pub(super) const FRAME_BURDEN: u64 = 3;
/// Such a frame costs one unit more for each so many bytes: lists of keys and ranges are looked up one by one.
pub(super) const FRAME_BYTES_PER_BURDEN: usize = 1_024;
/// Versions that nobody asked for cost one unit for each so many bytes of them, and one each if they lead to nothing: they are hashed.
pub(super) const VERSIONS_BYTES_PER_BURDEN: usize = 8_192;
/// Of a version that nobody asked for, whose signature holds, and for which there is no room.
pub(super) const VERIFIED_BURDEN: u64 = 6;
/// Of a link that the peer opens: a handshake, a greeting, a summary.
pub(super) const LINK_BURDEN: u64 = 300;

/// What work was done for nothing with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Burden {
    /// Frames without versions.
    Frames,
    /// Versions that nobody had asked for, and that were refused.
    Refused,
    /// Versions that nobody had asked for, and that were here already, or newer ones.
    Known,
    /// Links.
    Links,
}

impl Burden {
    fn plural(self) -> &'static str {
        match self {
            Burden::Frames => "frames without versions",
            Burden::Refused => "versions that nobody had asked for and that were refused",
            Burden::Known => "versions that nobody had asked for and that were no news",
            Burden::Links => "links",
        }
    }
}

/// What one peer has used of its budget.
#[derive(Clone, Debug)]
struct Used {
    /// Thousandths of a unit.
    owed: u64,
    at: UnixMillis,
    /// Units and number of things, by what they were.
    by: BTreeMap<Burden, (u64, u64)>,
}

impl Used {
    fn owed_at(&self, now: UnixMillis) -> u64 {
        self.owed.saturating_sub(now.saturating_sub(self.at).saturating_mul(BURDEN_PER_SECOND))
    }
}

/// Budgets by peer.
#[derive(Debug, Default)]
pub(super) struct Burdens {
    peers: BTreeMap<Peer, Used>,
}

impl Burdens {
    /// Takes work for nothing from a peer's budget. Errors: there is not so much left; the budget is full again then.
    pub(super) fn add(&mut self, now: UnixMillis, peer: Peer, what: Burden, units: u64) -> Result<(), Breach> {
        let used = self.peers.entry(peer).or_insert(Used { owed: 0, at: now, by: BTreeMap::new() });
        let owed = used.owed_at(now);
        if owed == 0 {
            used.by.clear();
        }
        (used.owed, used.at) = (owed.saturating_add(units.saturating_mul(1_000)), now);
        let (sum, count) = used.by.entry(what).or_default();
        (*sum, *count) = (sum.saturating_add(units), *count + 1);
        if used.owed <= BURDEN_BURST * 1_000 || is_out(Canary::Burden) {
            return Ok(());
        }
        let most = used.by.iter().max_by_key(|(_, (units, _))| *units);
        let (what, found) = most.map_or((what, 1), |(what, (_, count))| (*what, *count));
        // Whoever is cut is shut out for a while: what it did is paid for.
        self.peers.remove(&peer);
        Err(Breach::Flood { what: what.plural(), found })
    }

    /// Drops what is paid back.
    pub(super) fn settle(&mut self, now: UnixMillis) {
        self.peers.retain(|_, used| used.owed_at(now) > 0);
    }

    /// When each was last charged: moves with a clock that leaps.
    pub(super) fn instants(&mut self) -> impl Iterator<Item = &mut UnixMillis> {
        self.peers.values_mut().map(|used| &mut used.at)
    }

    /// Units that a peer has used.
    #[cfg(test)]
    pub(super) fn owed(&self, now: UnixMillis, peer: &Peer) -> u64 {
        self.peers.get(peer).map_or(0, |used| used.owed_at(now) / 1_000)
    }

    /// Number of peers that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }
}

/// Units of a frame without versions.
pub(super) fn of_frame(bytes: usize) -> u64 {
    FRAME_BURDEN + (bytes / FRAME_BYTES_PER_BURDEN) as u64
}

/// Units of a frame of versions that nobody asked for, whatever they lead to.
pub(super) fn of_versions<'a>(envelopes: impl Iterator<Item = &'a [u8]>) -> u64 {
    let (count, bytes) = envelopes.fold((0, 0), |(count, bytes), envelope| (count + 1, bytes + envelope.len()));
    if count == 0 { FRAME_BURDEN } else { (bytes / VERSIONS_BYTES_PER_BURDEN) as u64 }
}
