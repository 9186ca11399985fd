//! Broadcast: over which links a version is pushed, over which it is only announced.
//!
//! In: links, versions that were accepted, came again or were announced, time. Out: [`Spread`]s, prunes and [`Graft`]s.
//! Always: a version that was accepted is pushed or announced over every allowed link whose peer is not known to hold
//! it; a link is pruned only for a copy that came round in the tree, never for one that took a short cut.
//! Spec: `spec/11-dissemination.md`, section 3. Tested: `broadcast/tests.rs`.
//!
//! Eager links of all nodes together form one tree, which every version follows whoever published it (after PlumTree,
//! Leitao et al., 2007). A tree alone is deep. So a version is also flooded over the first few links, to so many nodes that it
//! costs a small share of the network, and enters the tree in all those places at once. Every entry makes a *branch* with
//! a random number; where two branches meet, copies are in vain, but nothing is wrong with the tree. Where a
//! branch meets itself there is a cycle, and the link that closes it becomes lazy.

mod missing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use super::random::Random;
use crate::id::Vid;
use crate::limits::LINKS_MAX;
use crate::node::Peer;
use crate::time::UnixMillis;
use missing::Missing;

/// Versions whose spread is remembered, so that a second copy can be judged: about 400 KB.
pub const RECENT_IDS_MAX: usize = 4_096;
/// An announced version that has not come by itself is asked for after so long, milliseconds: more than it takes through the
/// tree, less than a person notices.
pub const GRAFT_AFTER_MS: u64 = 500;
/// Versions in one `Graft`.
pub const GRAFT_IDS_MAX: usize = 256;
/// A flood may reach one in so many of the network's nodes.
pub const FLOOD_PART: usize = 16;
/// Steps of a flood, whatever a publisher says.
pub const FLOOD_LEVELS_MAX: u32 = 8;

const _: () = assert!(LINKS_MAX <= 64, "holders are bits of a word");

/// How a pushed copy travels; goes with it on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From the publisher's node to all others: nobody has to pass it on.
    Direct,
    /// Through the tree.
    Tree {
        /// Steps for which it is still to be flooded.
        levels: u32,
        /// Branch of the tree; 0 over a link outside of it: the receiver begins a branch.
        branch: u32,
    },
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

/// Pushes of one accepted version that share their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// What the frame says.
    pub route: Route,
    /// Receivers; not empty.
    pub to: Vec<Peer>,
}

/// Where an accepted version goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// At once, with the version; at most two.
    pub pushes: Vec<Push>,
    /// With the next batch, the name only. Leave out who is known to hold it by then ([`Broadcast::is_known_to`]).
    pub announce: Vec<Peer>,
}

/// A request for announced versions. The link is eager from now on, on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graft {
    /// Who announced them.
    pub peer: Peer,
    /// What is missing, at most [`GRAFT_IDS_MAX`]; may be empty, which only makes the link eager.
    pub ids: Vec<Vid>,
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
    /// Branch on which it came; 0 when it came otherwise.
    branch: u32,
}

/// One node's part in spreading versions.
#[derive(Clone, Debug)]
pub struct Broadcast {
    links: BTreeMap<Peer, Link>,
    nodes: usize,
    recent: BTreeMap<Vid, Recent>,
    recent_order: VecDeque<Vid>,
    missing: Missing,
    /// Links that were made eager because another went down.
    repairs: Vec<Peer>,
    random: Random,
}

impl Broadcast {
    /// Without links. `seed` as for [`Neighbours::new`](super::Neighbours::new), but another.
    pub fn new(seed: u64) -> Broadcast {
        Broadcast {
            links: BTreeMap::new(),
            nodes: 0,
            recent: BTreeMap::new(),
            recent_order: VecDeque::new(),
            missing: Missing::default(),
            repairs: Vec::new(),
            random: Random::new(seed),
        }
    }

    /// Tells how many nodes the network has; decides how far versions are flooded.
    pub fn set_network_nodes(&mut self, nodes: usize) {
        self.nodes = nodes;
    }

    /// A greeted link. It is eager until it brings something in vain. False when there are [`LINKS_MAX`] already: then it is not used.
    pub fn link_up(&mut self, peer: Peer) -> bool {
        self.link_down(&peer);
        let used = self.links.values().fold(0_u64, |used, link| used | 1 << link.number);
        let number = used.trailing_ones();
        if number as usize >= LINKS_MAX {
            return false;
        }
        self.links.insert(peer, Link { number, is_eager: true });
        true
    }

    /// The link is down. When it was in the tree, a lazy one takes its place; [`Broadcast::tick`] tells its peer.
    pub fn link_down(&mut self, peer: &Peer) {
        let Some(link) = self.links.remove(peer) else { return };
        self.repairs.retain(|repaired| repaired != peer);
        let bit = 1 << link.number;
        for recent in self.recent.values_mut() {
            recent.holders &= !bit;
            recent.first = recent.first.filter(|first| *first != link.number);
        }
        self.missing.forget_link(link.number);
        if link.is_eager {
            self.repair();
        }
    }

    /// A version was accepted. `may_have` tells which peers it may go to at all.
    pub fn accepted(&mut self, now: UnixMillis, source: Source, id: Vid, may_have: impl Fn(&Peer) -> bool) -> Spread {
        let (announcers, was_asked) = self.missing.remove(now, &id);
        let from = match &source {
            Source::Published { .. } => None,
            Source::Pushed { from, .. } | Source::Pulled { from } => Some(*from),
        };
        let first = from.and_then(|from| self.links.get(&from)).map(|link| link.number);
        let holders = announcers | first.map_or(0, |first| 1 << first);
        let own_levels = self.flood_levels();
        let (levels, branch) = match source {
            Source::Published { reaches_everyone: true } => return self.push_directly(id, may_have),
            Source::Published { .. } => (own_levels, self.fresh_branch()),
            Source::Pushed { route: Route::Direct, .. } => return self.announce_only(id, holders, first, may_have),
            Source::Pushed { from, route: Route::Tree { levels, branch } } => {
                let levels = levels.min(own_levels);
                match branch {
                    0 => (levels, self.fresh_branch()),
                    branch => {
                        self.set_eager(&from, true);
                        (levels, branch)
                    }
                }
            }
            // Whoever is behind this node in the tree is likely to wait for it as well.
            Source::Pulled { .. } if was_asked => (0, self.fresh_branch()),
            // The neighbours find it in the same way, each by itself.
            Source::Pulled { .. } => return self.announce_only(id, holders, first, may_have),
        };
        let (mut tree, mut aside, mut announce) = (Vec::new(), Vec::new(), Vec::new());
        for (peer, link) in &self.links {
            match () {
                () if holders & (1 << link.number) != 0 || !may_have(peer) => {}
                () if link.is_eager => tree.push(*peer),
                () if levels > 0 => aside.push(*peer),
                () => announce.push(*peer),
            }
        }
        let known_to = tree.iter().chain(&aside);
        let holders =
            known_to.filter_map(|peer| self.links.get(peer)).fold(holders, |all, link| all | 1 << link.number);
        self.remember(id, Recent { holders, first, branch });
        let levels = levels.saturating_sub(1);
        let mut pushes = vec![
            Push { route: Route::Tree { levels, branch }, to: tree },
            Push { route: Route::Tree { levels, branch: 0 }, to: aside },
        ];
        pushes.retain(|push| !push.to.is_empty());
        Spread { pushes, announce }
    }

    /// A version was pushed that is here already. True: tell `from` by `Prune` that it is to announce from now on.
    pub fn duplicate(&mut self, from: &Peer, id: &Vid, route: Route) -> bool {
        let Some(number) = self.links.get(from).map(|link| link.number) else { return false };
        let Some(recent) = self.recent.get_mut(id) else { return false };
        recent.holders |= 1 << number;
        let Route::Tree { branch, .. } = route else { return false };
        if branch == 0 || branch != recent.branch || recent.first == Some(number) {
            return false;
        }
        self.set_eager(from, false);
        true
    }

    /// A version was announced that is *not* here. What is here may be noted with [`Broadcast::held_by`].
    pub fn announced(&mut self, now: UnixMillis, from: &Peer, id: Vid) {
        if let Some(link) = self.links.get(from) {
            self.missing.announced(now, link.number, id);
        }
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

    /// A peer wants announcements only.
    pub fn pruned(&mut self, from: &Peer) {
        self.set_eager(from, false);
        if self.eager().next().is_none() {
            self.repair();
        }
    }

    /// A peer wants pushes; what it asked for is the node's to send.
    pub fn grafted(&mut self, from: &Peer) {
        self.set_eager(from, true);
    }

    /// What to ask for now, about twice in [`GRAFT_AFTER_MS`].
    pub fn tick(&mut self, now: UnixMillis) -> Vec<Graft> {
        if self.repairs.is_empty() && self.missing.is_empty() {
            return Vec::new();
        }
        let peers: BTreeMap<u32, Peer> = self.links.iter().map(|(peer, link)| (link.number, *peer)).collect();
        let mut grafts = Vec::new();
        for (number, ids) in self.missing.due(now) {
            let Some(peer) = peers.get(&number).copied() else { continue };
            self.set_eager(&peer, true);
            self.repairs.retain(|repaired| *repaired != peer);
            grafts.extend(ids.chunks(GRAFT_IDS_MAX).map(|ids| Graft { peer, ids: ids.to_vec() }));
        }
        grafts.extend(self.repairs.drain(..).map(|peer| Graft { peer, ids: Vec::new() }));
        grafts
    }

    /// Announced versions that were asked for and did not come, by peer, since the last call. Worth points, for honest
    /// peers hold what they announce; but a version may have been replaced meanwhile.
    pub fn unanswered(&mut self) -> Vec<(Peer, u32)> {
        let unanswered = self.missing.take_unanswered();
        let count = |(peer, link): (&Peer, &Link)| Some((*peer, *unanswered.get(&link.number)?));
        self.links.iter().filter_map(count).collect()
    }

    /// Links in the tree.
    pub fn eager(&self) -> impl Iterator<Item = &Peer> {
        self.links.iter().filter(|(_, link)| link.is_eager).map(|(peer, _)| peer)
    }

    fn push_directly(&mut self, id: Vid, may_have: impl Fn(&Peer) -> bool) -> Spread {
        let to: Vec<Peer> = self.links.keys().filter(|peer| may_have(peer)).copied().collect();
        let holders = to.iter().filter_map(|peer| self.links.get(peer)).fold(0, |all, link| all | 1 << link.number);
        self.remember(id, Recent { holders, first: None, branch: 0 });
        let pushes = if to.is_empty() { Vec::new() } else { vec![Push { route: Route::Direct, to }] };
        Spread { pushes, announce: Vec::new() }
    }

    fn announce_only(&mut self, id: Vid, holders: u64, first: Option<u32>, may_have: impl Fn(&Peer) -> bool) -> Spread {
        self.remember(id, Recent { holders, first, branch: 0 });
        let lacks = |(peer, link): &(&Peer, &Link)| holders & (1 << link.number) == 0 && may_have(peer);
        let announce = self.links.iter().filter(lacks).map(|(peer, _)| *peer).collect();
        Spread { pushes: Vec::new(), announce }
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

    fn set_eager(&mut self, peer: &Peer, is_eager: bool) {
        if let Some(link) = self.links.get_mut(peer) {
            link.is_eager = is_eager;
        }
    }

    /// Makes a random lazy link eager.
    fn repair(&mut self) {
        let lazy: Vec<Peer> = self.links.iter().filter(|(_, link)| !link.is_eager).map(|(peer, _)| *peer).collect();
        let Some(chosen) = lazy.get(self.random.below(lazy.len())).copied() else { return };
        self.set_eager(&chosen, true);
        self.repairs.push(chosen);
    }

    /// Steps for which a version is flooded: as many as reach [`FLOOD_PART`] of the network at most.
    fn flood_levels(&self) -> u32 {
        let (mut levels, mut reached, mut next) = (0, 0, self.links.len());
        while levels < FLOOD_LEVELS_MAX && next > 0 && reached + next <= self.nodes / FLOOD_PART {
            reached += next;
            next *= self.links.len().saturating_sub(1);
            levels += 1;
        }
        levels
    }

    /// A number that is not 0.
    fn fresh_branch(&mut self) -> u32 {
        (self.random.next() as u32).max(1)
    }
}
