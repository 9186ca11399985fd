//! Broadcast: over which links a version is pushed, over which it is only announced.
//!
//! In: links, versions that were accepted, came again or were announced, time. Out: [`Spread`]s, prunes and [`Signal`]s.
//! Always: a version that was accepted is pushed or announced over every allowed link whose peer is not known to hold
//! it; a link over which a second copy came becomes lazy, but never the one that brought the first.
//! Spec: `spec/11-dissemination.md`, section 4. Tested: `broadcast/tests.rs`.
//!
//! Eager links of all nodes together form one tree, which every version follows whoever published it; the others only
//! announce, and where the tree is torn what was announced is asked for (after PlumTree, Leitao et al., 2007). Left to itself
//! such a tree becomes deep: in it wins who is first, and many short hops are often first. So once a minute one node sends
//! a *beat* over all links, each node takes the link on which it is nearest to that node as its parent, and the tree is as
//! flat as the links allow.

mod beat;
mod missing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::neighbours::{FULL_MESH_MAX, OUTBOUND_LINKS_WANTED};
use super::random::Random;
use crate::id::Vid;
use crate::kind::Audience;
use crate::limits::LINKS_MAX;
use crate::node::Peer;
use crate::set::{SetKey, Slot};
use crate::time::UnixMillis;
pub use beat::{BEAT_HOPS_MAX, BEAT_INTERVAL_MS, Beat};
use beat::{FORMER_MS, Relation, Shape};
use missing::Missing;

/// Versions whose spread is remembered, so that a second copy can be judged: about 400 KB.
pub const RECENT_IDS_MAX: usize = 4_096;
/// An announced version that has not come by itself is asked for after so long, milliseconds: more than it takes through the
/// tree, less than a person notices.
pub const GRAFT_AFTER_MS: u64 = 500;
/// Versions in one graft.
pub const GRAFT_IDS_MAX: usize = 256;

const _: () = assert!(LINKS_MAX <= 64, "holders are bits of a word");

/// How a pushed copy travels; goes with it on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From the publisher's node to all others: nobody has to pass it on.
    Direct,
    /// Through the tree: from eager link to eager link.
    Tree,
}

/// Where an accepted version came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Handed in here. `reaches_everyone` as [`Neighbours::reaches_everyone`](super::Neighbours::reaches_everyone) says.
    Published {
        /// Every node that is up is linked to this one.
        reaches_everyone: bool,
    },
    /// A push.
    Pushed {
        /// Who pushed it.
        from: Peer,
        /// As the frame said.
        route: Route,
    },
    /// The answer to a graft, or found by comparison or catch-up.
    Pulled {
        /// Who sent it.
        from: Peer,
    },
}

impl Source {
    /// Who sent it; `None` when it was handed in here.
    pub fn from(self) -> Option<Peer> {
        match self {
            Source::Published { .. } => None,
            Source::Pushed { from, .. } | Source::Pulled { from } => Some(from),
        }
    }
}

/// Where an accepted version goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Get it at once.
    pub push: Vec<Peer>,
    /// What the frames for them say.
    pub route: Route,
    /// Get its name only, with the next batch. Leave out who is known to hold it by then ([`Broadcast::is_known_to`]).
    pub announce: Vec<Peer>,
}

/// A version that a peer announced, and where it says that it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announced {
    /// The version.
    pub vid: Vid,
    /// Its place: it is asked for by that.
    pub slot: Slot,
}

impl Announced {
    /// Not after any other of this version.
    fn first_of(vid: Vid) -> Announced {
        Announced { vid, slot: Slot { audience: Audience::Public, key: SetKey::default() } }
    }
}

/// A frame that keeps the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asks for announced versions. The link is eager from now on, on both sides.
    Graft {
        /// Receiver.
        to: Peer,
        /// What is missing, of one audience, at most [`GRAFT_IDS_MAX`]; may be empty, which only makes the link eager.
        missing: Vec<Announced>,
    },
    /// The link is lazy from now on, on both sides.
    Prune {
        /// Receiver.
        to: Peer,
    },
    /// Tells how far the root of the tree is.
    Beat {
        /// Receivers.
        to: Vec<Peer>,
        /// What the frame says.
        beat: Beat,
    },
}

#[derive(Clone, Debug)]
struct Link {
    /// Bit that stands for it; no other link has it.
    number: u32,
    is_eager: bool,
}

#[derive(Clone, Debug)]
struct Recent {
    /// Links whose peers are known to hold it.
    holders: u64,
    /// The link that brought it.
    first: Option<u32>,
}

/// One node's part in spreading versions.
#[derive(Clone, Debug)]
pub struct Broadcast {
    links: BTreeMap<Peer, Link>,
    /// Of the network.
    nodes: usize,
    recent: BTreeMap<Vid, Recent>,
    recent_order: VecDeque<Vid>,
    missing: Missing,
    /// Links that were made eager here and whose peers do not know it yet.
    repairs: BTreeSet<Peer>,
    own: Peer,
    shape: Shape,
    /// The parent until lately, and when it was left.
    former: Option<(Peer, UnixMillis)>,
    random: Random,
}

impl Broadcast {
    /// Without links. `seed` as for [`Neighbours::new`](super::Neighbours::new), but another.
    pub fn new(own: Peer, seed: u64) -> Broadcast {
        Broadcast {
            own,
            shape: Shape::default(),
            former: None,
            links: BTreeMap::new(),
            nodes: 0,
            recent: BTreeMap::new(),
            recent_order: VecDeque::new(),
            missing: Missing::default(),
            repairs: BTreeSet::new(),
            random: Random::new(seed),
        }
    }

    /// Tells how many nodes the network has ([`Neighbours::network_nodes`](super::Neighbours::network_nodes)): beats are for those that
    /// are no full mesh.
    pub fn set_network_nodes(&mut self, nodes: usize) {
        self.nodes = nodes;
    }

    /// A greeted link. In the overlay it is lazy unless it is the first; else it is eager until it brings something in vain.
    /// False when there are [`LINKS_MAX`] already: then it is not used.
    pub fn link_up(&mut self, peer: Peer) -> bool {
        self.link_down(&peer);
        let used = self.links.values().fold(0_u64, |used, link| used | 1 << link.number);
        let number = used.trailing_ones();
        if number as usize >= LINKS_MAX {
            return false;
        }
        let is_eager = !self.has_beats() || self.eager().next().is_none();
        self.links.insert(peer, Link { number, is_eager });
        if is_eager && self.has_beats() {
            self.repairs.insert(peer);
        }
        true
    }

    /// The link is down. When it led to the parent, or was the last one in the tree, another takes its place;
    /// [`Broadcast::tick`] tells its peer.
    pub fn link_down(&mut self, peer: &Peer) {
        let Some(link) = self.links.remove(peer) else { return };
        self.repairs.remove(peer);
        let bit = 1 << link.number;
        for recent in self.recent.values_mut() {
            recent.holders &= !bit;
            recent.first = recent.first.filter(|first| *first != link.number);
        }
        self.missing.forget_link(link.number);
        let lazy = self.links.values().filter(|link| !link.is_eager).fold(0, |lazy, link| lazy | 1 << link.number);
        let parent = self.shape.forget_link(link.number, lazy);
        let parent = self.links.iter().find(|(_, link)| Some(link.number) == parent).map(|(peer, _)| *peer);
        match parent {
            Some(parent) => self.make_eager(parent),
            None if link.is_eager && self.eager().next().is_none() => self.repair(),
            None => {}
        }
    }

    /// A version was accepted. `may_have` tells which peers it may go to at all.
    pub fn accepted(&mut self, now: UnixMillis, source: Source, id: Vid, may_have: impl Fn(&Peer) -> bool) -> Spread {
        let (announcers, was_asked) = self.missing.remove(now, &id);
        let from = source.from();
        let first = from.and_then(|from| self.links.get(&from)).map(|link| link.number);
        let holders = announcers | first.map_or(0, |first| 1 << first);
        let (to_all, to_eager, route) = match source {
            Source::Published { reaches_everyone: true } => (true, true, Route::Direct),
            Source::Published { .. } => (false, true, Route::Tree),
            Source::Pushed { route: Route::Direct, .. } => (false, false, Route::Direct),
            Source::Pushed { from, route: Route::Tree } => {
                self.set_eager(&from, true);
                (false, true, Route::Tree)
            }
            // Whoever is behind this node in the tree is likely to wait for what this one had to ask for. What a
            // comparison found, the neighbours find in the same way, each by itself.
            Source::Pulled { .. } => (false, was_asked, Route::Tree),
        };
        let mut spread = Spread { push: Vec::new(), route, announce: Vec::new() };
        let mut holders = holders;
        for (peer, link) in &self.links {
            let bit = 1 << link.number;
            if holders & bit != 0 || !may_have(peer) {
                continue;
            }
            if to_all || (to_eager && link.is_eager) {
                spread.push.push(*peer);
                holders |= bit;
            } else {
                spread.announce.push(*peer);
            }
        }
        self.remember(id, Recent { holders, first });
        spread
    }

    /// A version was pushed that is here already, so there is a ring of links. Returns whom to tell by `Prune` that it is to
    /// announce from now on: `from`, unless that would cut the tree that the last beat drew. For the parent it is the peer that
    /// was faster, and for what may be a child nobody: it sees the ring as well, and knows which of its links is too much.
    pub fn duplicate(&mut self, now: UnixMillis, from: &Peer, id: &Vid, route: Route) -> Option<Peer> {
        let Link { number, is_eager } = *self.links.get(from)?;
        let recent = self.recent.get_mut(id)?;
        recent.holders |= 1 << number;
        if route != Route::Tree || recent.first == Some(number) {
            return None;
        }
        let first = recent.first;
        let faster = self.links.iter().find(|(_, link)| Some(link.number) == first).map(|(peer, _)| *peer);
        let lazy = match (self.shape.relation(number), faster) {
            (Relation::Farther, _) if is_eager => return None,
            (Relation::Parent, Some(faster)) if self.shape.spare_parent(now) => faster,
            _ => *from,
        };
        self.set_eager(&lazy, false);
        Some(lazy)
    }

    /// A version was announced that is *not* here. What is here may be noted with [`Broadcast::held_by`].
    pub fn announced(&mut self, now: UnixMillis, from: &Peer, announced: Announced) {
        if let Some(link) = self.links.get(from) {
            // Of those who wait for one version, the first that asks for it also hands it on to the others.
            let wait_ms = GRAFT_AFTER_MS / 2 + self.random.next() % GRAFT_AFTER_MS;
            self.missing.announced(now, link.number, announced, wait_ms);
        }
    }

    /// Peers who announced something that has not come yet.
    pub fn awaited_from(&self) -> BTreeSet<Peer> {
        self.peers_of(self.missing.awaited_from())
    }

    /// Peers who announced something that is not waited for any more, since this was last asked: sets must tell.
    pub fn take_given_up(&mut self) -> BTreeSet<Peer> {
        let given_up = self.missing.take_given_up();
        self.peers_of(given_up)
    }

    fn peers_of(&self, numbers: u64) -> BTreeSet<Peer> {
        let is_in = |link: &Link| numbers >> link.number & 1 == 1;
        self.links.iter().filter(|(_, link)| is_in(link)).map(|(peer, _)| *peer).collect()
    }

    /// A peer said that it holds a version that is here as well.
    pub fn held_by(&mut self, peer: &Peer, id: &Vid) {
        if let (Some(link), Some(recent)) = (self.links.get(peer), self.recent.get_mut(id)) {
            recent.holders |= 1 << link.number;
        }
    }

    /// True when this peer is known to hold this version: announcing it would be in vain.
    pub fn is_known_to(&self, peer: &Peer, id: &Vid) -> bool {
        let (Some(link), Some(recent)) = (self.links.get(peer), self.recent.get(id)) else { return false };
        recent.holders & (1 << link.number) != 0
    }

    /// A peer wants announcements only. When it is the parent there is a ring, and this node was faster in it than the parent's own:
    /// it asks again for pushes, and leaves the other links over which it may have been. Returns whom to tell so by `Prune`.
    pub fn pruned(&mut self, now: UnixMillis, from: &Peer) -> Vec<Peer> {
        self.set_eager(from, false);
        let mut others = Vec::new();
        if let Some(link) = self.links.get(from)
            && self.shape.relation(link.number) == Relation::Parent
            && self.shape.spare_parent(now)
        {
            self.make_eager(*from);
            let near = self.shape.near();
            let is_other =
                |(peer, link): &(&Peer, &Link)| *peer != from && link.is_eager && near & 1 << link.number != 0;
            others = self.links.iter().filter(is_other).map(|(peer, _)| *peer).collect();
            others.iter().for_each(|other| self.set_eager(other, false));
        }
        if self.eager().next().is_none() {
            self.repair();
        }
        others
    }

    /// A peer wants pushes; what it asked for is the node's to send.
    pub fn grafted(&mut self, from: &Peer) {
        self.set_eager(from, true);
    }

    /// A peer said how far the root of the tree is, which must be a node of a member.
    /// Returns whom to tell what in turn.
    pub fn beat(&mut self, now: UnixMillis, from: &Peer, beat: Beat) -> Option<(Vec<Peer>, Beat)> {
        let number = self.links.get(from)?.number;
        if beat.root == self.own || !self.has_beats() {
            return None;
        }
        let beat = self.shape.heard(now, number, beat)?;
        let to = self.links.keys().filter(|peer| *peer != from).copied().collect();
        Some((to, beat))
    }

    /// What to send now. Call it at least twice in [`GRAFT_AFTER_MS`]. `wants_free` tells how many more requests may be open
    /// on a link: each graft is one, and what there is no room for waits.
    pub fn tick(&mut self, now: UnixMillis, wants_free: impl Fn(&Peer) -> usize) -> Vec<Signal> {
        let mut signals = Vec::new();
        if self.has_beats() && !self.links.is_empty() {
            let is_poor = self.links.len() < 2 * OUTBOUND_LINKS_WANTED;
            if let Some(beat) = self.shape.lead(now, self.own, is_poor, &mut self.random) {
                signals.push(Signal::Beat { to: self.links.keys().copied().collect(), beat });
            }
            self.settle(now, &mut signals);
        }
        if !self.missing.is_empty() || !self.repairs.is_empty() {
            self.graft(now, wants_free, &mut signals);
        }
        signals
    }

    /// Asks for what is missing, and tells the peers of other links that were made eager.
    fn graft(&mut self, now: UnixMillis, wants_free: impl Fn(&Peer) -> usize, signals: &mut Vec<Signal>) {
        let peers: BTreeMap<u32, Peer> = self.links.iter().map(|(peer, link)| (link.number, *peer)).collect();
        let mut free: BTreeMap<u32, usize> = peers.iter().map(|(number, peer)| (*number, wants_free(peer))).collect();
        for (number, due) in self.missing.due(now, &mut free) {
            let Some(peer) = peers.get(&number).copied() else { continue };
            self.set_eager(&peer, true);
            self.repairs.remove(&peer);
            for audience in Audience::ALL {
                let of_audience = |announced: &&Announced| announced.slot.audience == audience;
                let due: Vec<Announced> = due.iter().filter(of_audience).copied().collect();
                let grafts = due.chunks(GRAFT_IDS_MAX).map(|due| Signal::Graft { to: peer, missing: due.to_vec() });
                signals.extend(grafts);
            }
        }
        for (number, peer) in &peers {
            if free.get(number).is_some_and(|free| *free > 0) && self.repairs.remove(peer) {
                signals.push(Signal::Graft { to: *peer, missing: Vec::new() });
            }
        }
    }

    /// True shortly before the tree is drawn anew, and when there is none: a link that is given up now is missed by nobody for long.
    /// At another time all behind it would have longer ways until the next beat; so they would while a beat goes round, for it
    /// may just have come that way.
    pub fn is_before_beat(&self, now: UnixMillis) -> bool {
        !self.has_beats() || self.shape.awaits_beat(now)
    }

    /// Links in the tree.
    pub fn eager(&self) -> impl Iterator<Item = &Peer> {
        self.links.iter().filter(|(_, link)| link.is_eager).map(|(peer, _)| peer)
    }

    fn remember(&mut self, id: Vid, recent: Recent) {
        if self.recent.insert(id, recent).is_none() {
            self.recent_order.push_back(id);
        }
        if self.recent_order.len() > RECENT_IDS_MAX
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    /// Takes its place in the tree that the last beat drew: one parent, and no other link to a node that is as near.
    fn settle(&mut self, now: UnixMillis, signals: &mut Vec<Signal>) {
        if let Some((former, left_at)) = self.former
            && now.abs_diff(left_at) >= FORMER_MS
        {
            self.former = None;
            if let Some(link) = self.links.get_mut(&former)
                && link.is_eager
                && self.shape.relation(link.number) == Relation::Other
            {
                link.is_eager = false;
                self.repairs.remove(&former);
                signals.push(Signal::Prune { to: former });
            }
        }
        let Some(place) = self.shape.place(now) else { return };
        for (peer, link) in &mut self.links {
            let is_parent = place.parent == Some(link.number);
            // Whoever is farther than this node may be its child, and says so itself if it is not.
            let is_former = place.former == Some(link.number);
            if is_former {
                self.former = Some((*peer, now));
            }
            let is_other = !is_parent && !is_former && place.near & (1 << link.number) != 0;
            if is_parent {
                // Told with each beat: the link may be lazy at the other end by frames that crossed.
                self.repairs.insert(*peer);
                link.is_eager = true;
            } else if is_other && link.is_eager {
                signals.push(Signal::Prune { to: *peer });
                self.repairs.remove(peer);
                link.is_eager = false;
            }
        }
    }

    /// Beats are for networks in which not everybody is linked to everybody.
    fn has_beats(&self) -> bool {
        self.nodes > FULL_MESH_MAX
    }

    fn set_eager(&mut self, peer: &Peer, is_eager: bool) {
        if let Some(link) = self.links.get_mut(peer) {
            link.is_eager = is_eager;
        }
        if !is_eager {
            self.repairs.remove(peer);
        }
    }

    /// Makes a random lazy link eager.
    fn repair(&mut self) {
        let lazy: Vec<Peer> = self.links.iter().filter(|(_, link)| !link.is_eager).map(|(peer, _)| *peer).collect();
        if let Some(chosen) = lazy.get(self.random.below(lazy.len())).copied() {
            self.make_eager(chosen);
        }
    }

    /// Makes a link eager and has its peer told.
    fn make_eager(&mut self, peer: Peer) {
        self.set_eager(&peer, true);
        self.repairs.insert(peer);
    }
}
