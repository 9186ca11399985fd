//! Beats: which node is the root of the tree, and how far it is over each link.
//!
//! Always: a beat is passed on only when it is new or comes on a shorter way, so each dies out by itself; of those that come
//! over one link at most [`BEATS_PER_LINK_MAX`] in each [`BEAT_INTERVAL_MS`]. Nothing is proved by a beat: a liar can make
//! the tree deeper or itself a parent, and what it then withholds is announced by others.

use std::collections::BTreeMap;

use super::super::random::Random;
use crate::node::Peer;
use crate::time::UnixMillis;

/// Between two beats, milliseconds. A beat costs a node some 90 bytes for each link.
pub const BEAT_INTERVAL_MS: u64 = 60_000;
/// A beat that has passed so many links is dropped. Ten times what a network of ten thousand nodes needs.
pub const BEAT_HOPS_MAX: u32 = 64;
/// A root that was not heard of for so long is gone, milliseconds.
const SILENCE_MS: u64 = BEAT_INTERVAL_MS * 3 / 2;
/// Who knows no root waits between one and seven times so long before it beats itself, and a node with few links seven times longer
/// still: it makes a deeper tree. Milliseconds.
const LEAD_AFTER_MS: u64 = 5_000;
/// A node takes its place so long after it heard of a beat first, milliseconds: other ways are known by then.
const SETTLE_MS: u64 = 1_500;
/// A parent that is one no longer goes on pushing for so long, milliseconds: the new one has heard by then that it is one.
pub(super) const FORMER_MS: u64 = 1_000;
/// Links are exchanged in so long before the next beat is due, milliseconds: enough for every node to find a moment.
pub(super) const EXCHANGE_MS: u64 = 3_000;
/// The root's clock may be ahead of the reader's by so many beats: signers refuse beyond two minutes, and a number from the future
/// hides those that the root sends until then.
pub(super) const SEQUENCE_AHEAD_MAX: u64 = 2;
/// And behind by so many.
pub(super) const SEQUENCE_BEHIND_MAX: u64 = 10;
/// Beats that come over one link and are passed on, in each [`BEAT_INTERVAL_MS`]: one, one again on a shorter way, and twice as
/// many while several nodes would be root. A liar that names ever better roots makes the network send no more.
pub(super) const BEATS_PER_LINK_MAX: u32 = 4;
/// The link to the parent stays in the tree in spite of repetitions in so many seconds between two beats: a repetition says that
/// there is a ring, and not which link of it was left over from a repair. A parent that is always late is left after these.
pub(super) const PARENT_SPARED_MAX: u32 = 8;
/// Repetitions within so long count once, milliseconds: while a batch spreads, all of it that is on its way comes twice.
pub(super) const SPARED_MS: u64 = 1_000;
/// Beats in a day; the order of roots changes daily, so that nobody can choose a key that is always first.
const BEATS_PER_DAY: u64 = 86_400_000 / BEAT_INTERVAL_MS;

/// How far the root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Node in the middle of the tree.
    pub root: Peer,
    /// Number of the beat: minutes since 1970 by the root's clock.
    pub sequence: u64,
    /// Links from the root to the receiver of this frame.
    pub hops: u32,
}

/// Where a node belongs in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Link to the parent; none for the root.
    pub(super) parent: Option<u32>,
    /// Link to the parent until now, where it is another: pushes go on over it for [`FORMER_MS`].
    pub(super) former: Option<u32>,
    /// Links, as bits, to nodes that are not farther from the root than this one.
    pub(super) near: u64,
}

/// What a peer is to this node in the tree that the last beat drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// This node gets everything over that link.
    Parent,
    /// It is farther from the root: perhaps a child, which only it knows.
    Farther,
    /// It is as near to the root as this node or nearer, or nothing is known of it.
    Other,
}

#[derive(Clone, Debug)]
struct Current {
    root: Peer,
    sequence: u64,
    /// Of this node.
    hops: u32,
    /// Of the peers, by link, with the order in which they said it.
    peers: BTreeMap<u32, (u32, usize)>,
    heard_at: UnixMillis,
    is_settled: bool,
}

/// The last beat.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    current: Option<Current>,
    /// When this node beats, if nobody better does.
    lead_at: Option<UnixMillis>,
    is_leading: bool,
    parent: Option<u32>,
    /// How often the parent may still be spared.
    spared_left: u32,
    /// Until when it is spared by what was counted already.
    spared_until: UnixMillis,
    /// Beats passed on by the link that they came over, and since when. A link that takes the number of one that is gone goes on with
    /// its count, so that nobody gets more by dialling again.
    passed: BTreeMap<u32, (UnixMillis, u32)>,
}

impl Shape {
    /// A beat came over a link. Returns what to pass on.
    pub(super) fn heard(&mut self, now: UnixMillis, link: u32, beat: Beat) -> Option<Beat> {
        let minute = now / BEAT_INTERVAL_MS;
        let is_plausible =
            beat.sequence <= minute + SEQUENCE_AHEAD_MAX && beat.sequence + SEQUENCE_BEHIND_MAX >= minute;
        if !is_plausible || beat.hops == 0 || beat.hops >= BEAT_HOPS_MAX {
            return None;
        }
        if self.is_newer(now, &beat) {
            if !self.may_pass(now, link) {
                return None;
            }
            let (root, sequence, hops) = (beat.root, beat.sequence, beat.hops);
            let peers = BTreeMap::from([(link, (hops - 1, 0))]);
            self.current = Some(Current { root, sequence, hops, peers, heard_at: now, is_settled: false });
            self.is_leading = false;
            self.lead_at = None;
            return Some(Beat { hops: hops + 1, ..beat });
        }
        let current = self.current.as_mut()?;
        if (current.root, current.sequence) != (beat.root, beat.sequence) {
            return None;
        }
        let order = current.peers.len();
        let said = current.peers.entry(link).or_insert((beat.hops - 1, order));
        said.0 = said.0.min(beat.hops - 1);
        if beat.hops >= current.hops || !self.may_pass(now, link) {
            return None;
        }
        self.current.as_mut()?.hops = beat.hops;
        Some(Beat { hops: beat.hops + 1, ..beat })
    }

    /// Counts a beat that came over this link. False when there were too many.
    fn may_pass(&mut self, now: UnixMillis, link: u32) -> bool {
        let (since, count) = self.passed.entry(link).or_insert((now, 0));
        if now.abs_diff(*since) >= BEAT_INTERVAL_MS {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= BEATS_PER_LINK_MAX
    }

    /// A beat of this node's own, when it is due.
    pub(super) fn lead(&mut self, now: UnixMillis, own: Peer, is_poor: bool, random: &mut Random) -> Option<Beat> {
        let sequence = now / BEAT_INTERVAL_MS;
        let is_silent = self.current.as_ref().is_none_or(|current| is_silent(current, now));
        if !self.is_leading && !is_silent {
            return None;
        }
        let wait_ms = LEAD_AFTER_MS * if is_poor { 8 } else { 1 };
        let lead_at = *self.lead_at.get_or_insert_with(|| now + wait_ms + random.next() % (6 * LEAD_AFTER_MS));
        let is_far_off = lead_at > now + BEAT_INTERVAL_MS;
        if lead_at > now && !is_far_off {
            return None;
        }
        self.lead_at = Some(now + BEAT_INTERVAL_MS);
        self.is_leading = true;
        let peers = BTreeMap::new();
        self.current = Some(Current { root: own, sequence, hops: 0, peers, heard_at: now, is_settled: false });
        Some(Beat { root: own, sequence, hops: 1 })
    }

    /// True when the next beat is less than [`EXCHANGE_MS`] away, or late, or none ever came.
    pub(super) fn awaits_beat(&self, now: UnixMillis) -> bool {
        self.current.as_ref().is_none_or(|current| now.abs_diff(current.heard_at) + EXCHANGE_MS >= BEAT_INTERVAL_MS)
    }

    /// This node's place, once for each beat, when the other ways are known as well.
    pub(super) fn place(&mut self, now: UnixMillis) -> Option<Place> {
        let former = self.parent;
        let current = self.current.as_mut()?;
        if current.is_settled || now.saturating_sub(current.heard_at) < SETTLE_MS {
            return None;
        }
        current.is_settled = true;
        // All of them can be farther when the link over which this distance came is gone again: they may be behind this node.
        let not_behind = current.peers.iter().filter(|(_, (hops, _))| *hops <= current.hops);
        let nearest = not_behind.min_by_key(|(link, (hops, order))| (*hops, Some(**link) != former, *order));
        self.parent = nearest.map(|(link, _)| *link).filter(|_| current.hops > 0);
        self.spared_left = PARENT_SPARED_MAX;
        let former = former.filter(|_| former != self.parent);
        Some(Place { parent: self.parent, former, near: self.near() })
    }

    /// Links, as bits, to nodes that are not farther from the root than this one.
    pub(super) fn near(&self) -> u64 {
        let Some(current) = &self.current else { return 0 };
        let near = current.peers.iter().filter(|(_, (hops, _))| *hops <= current.hops);
        near.fold(0, |near, (link, _)| near | 1 << link)
    }

    /// What the peer of a link is to this node.
    pub(super) fn relation(&self, link: u32) -> Relation {
        let is_farther = |current: &Current| current.peers.get(&link).is_some_and(|(hops, _)| *hops > current.hops);
        if self.parent == Some(link) {
            Relation::Parent
        } else if self.current.as_ref().is_some_and(is_farther) {
            Relation::Farther
        } else {
            Relation::Other
        }
    }

    /// True when the link to the parent is to stay in the tree once more. Counts.
    pub(super) fn spare_parent(&mut self, now: UnixMillis) -> bool {
        let is_counted = now < self.spared_until && self.spared_until <= now + SPARED_MS;
        if is_counted || self.spared_left == 0 {
            return is_counted;
        }
        self.spared_left -= 1;
        self.spared_until = now + SPARED_MS;
        true
    }

    /// The link is gone. Returns the new parent when it led to the old one: the nearest of those that cannot be behind this
    /// node in the tree. Whose link is in `lazy` is nobody's child over it, so such a peer may also be one link farther off.
    pub(super) fn forget_link(&mut self, link: u32, lazy: u64) -> Option<u32> {
        let was_parent = self.parent == Some(link);
        self.parent = self.parent.filter(|_| !was_parent);
        let current = self.current.as_mut()?;
        current.peers.remove(&link);
        if !was_parent {
            return None;
        }
        let may_lead = |link: u32, hops: u32| hops <= current.hops + u32::from(lazy >> link & 1 == 1);
        let not_behind = current.peers.iter().filter(|(link, (hops, _))| may_lead(**link, *hops));
        self.parent = not_behind.min_by_key(|(_, (hops, order))| (*hops, *order)).map(|(link, _)| *link);
        self.parent
    }

    fn is_newer(&self, now: UnixMillis, beat: &Beat) -> bool {
        let Some(current) = &self.current else { return true };
        if is_silent(current, now) {
            return true;
        }
        if beat.root == current.root {
            return beat.sequence > current.sequence;
        }
        let day = beat.sequence / BEATS_PER_DAY;
        rank(&beat.root, day) < rank(&current.root, day) && beat.sequence + 2 > current.sequence
    }
}

fn is_silent(current: &Current, now: UnixMillis) -> bool {
    now.abs_diff(current.heard_at) > SILENCE_MS
}

/// The lower one leads, when two would.
fn rank(root: &Peer, day: u64) -> [u8; 8] {
    let mut rank = [0; 8];
    let hash = blake3::hash(&[&root.as_bytes()[..], &day.to_be_bytes()].concat());
    rank.copy_from_slice(&hash.as_bytes()[..8]);
    rank
}
