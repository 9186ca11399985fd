//! Room: which links are given up when there are too many.
//!
//! Always: an outbound link is never given up for an inbound one, and never the newest outbound link; what an organisation
//! writes on its card takes no room from another one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, DropReason, INBOUND_LINKS_MAX, LINKS_PER_ORG_MAX, NEWCOMER_MS, NEWCOMERS_MAX, Neighbours,
    OUTBOUND_LINKS_WANTED, SURPLUS_INTERVAL_MS,
};
use crate::id::OrgId;
use crate::limits::LINKS_MAX;
use crate::node::Peer;
use crate::time::UnixMillis;

/// Number of links by organisation whose card lists the node at the other end; `None`: no card does.
type LinksByOrg = BTreeMap<Option<OrgId>, usize>;

impl Neighbours {
    /// Links by organisation. One that several organisations list is counted to each of them.
    pub(super) fn links_by_org(&self) -> LinksByOrg {
        self.count(self.links.keys())
    }

    /// True when one of the organisations that list this node has fewer links than it may have. Whoever lists the keys of
    /// others fills its own room with them, never theirs.
    pub(super) fn has_room(&self, links_by_org: &LinksByOrg, peer: &Peer) -> bool {
        self.fewest(links_by_org, peer) < self.links_per_org()
    }

    /// [`LINKS_PER_ORG_MAX`], or more where there are too few organisations for all links.
    fn links_per_org(&self) -> usize {
        let all = OUTBOUND_LINKS_WANTED + INBOUND_LINKS_MAX;
        all.div_ceil(self.candidates.orgs().max(1)).max(LINKS_PER_ORG_MAX)
    }

    fn count<'a>(&self, peers: impl IntoIterator<Item = &'a Peer>) -> LinksByOrg {
        let mut links = LinksByOrg::new();
        for peer in peers {
            self.listed_by(peer).into_iter().for_each(|org| *links.entry(org).or_default() += 1);
        }
        links
    }

    fn listed_by(&self, peer: &Peer) -> Vec<Option<OrgId>> {
        let orgs: Vec<Option<OrgId>> = self.candidates.orgs_of(peer).map(Some).collect();
        if orgs.is_empty() { vec![None] } else { orgs }
    }

    /// Links of that organisation among those that list this node which has fewest.
    fn fewest(&self, links_by_org: &LinksByOrg, peer: &Peer) -> usize {
        let counts = self.listed_by(peer).into_iter().map(|org| links_by_org.get(&org).copied().unwrap_or(0));
        counts.min().unwrap_or(0)
    }

    /// Gives up the newest links beyond [`LINKS_MAX`], whoever dialled: all tables of links have room for so many.
    pub(super) fn keep_to_links_max(&mut self, actions: &mut Vec<Action>) {
        let dropped = drops(actions);
        let kept = self.links.iter().filter(|(peer, _)| !dropped.contains(*peer));
        let mut kept: Vec<(u64, Peer)> = kept.map(|(peer, link)| (link.number, *peer)).collect();
        kept.sort_unstable();
        for (_, peer) in kept.into_iter().skip(LINKS_MAX) {
            let instead = self.some_links(&peer);
            actions.push(Action::Drop { peer, why: DropReason::Crowded, instead });
        }
    }

    /// Gives up inbound links beyond the limits: of one organisation's the newest; of all one at random of the organisation that
    /// has most, so that those who came first do not hold all places for ever. Newcomers beyond their number displace nobody.
    pub(super) fn make_room(&mut self, now: UnixMillis, actions: &mut Vec<Action>) {
        let mut young: Vec<(u64, Peer)> = self
            .links
            .iter()
            .filter(|(_, link)| !link.outbound && link.since <= now && now - link.since < NEWCOMER_MS)
            .map(|(peer, link)| (link.number, *peer))
            .collect();
        young.sort_unstable();
        // They are looked at again when they are older.
        self.may_be_crowded = !young.is_empty();
        let mut exempt: BTreeSet<Peer> = drops(actions);
        exempt.extend(young.iter().take(NEWCOMERS_MAX).map(|(_, peer)| *peer));
        let counted = || self.links.iter().filter(|(peer, _)| !exempt.contains(*peer));
        let mut inbound: Vec<(u64, Peer)> =
            counted().filter(|(_, link)| !link.outbound).map(|(peer, link)| (link.number, *peer)).collect();
        inbound.sort_unstable();
        let mut crowded = Vec::new();
        let mut links_by_org = self.count(counted().map(|(peer, _)| peer));
        let limit = self.links_per_org();
        let mut kept = Vec::new();
        for (number, peer) in inbound.into_iter().rev() {
            // Nodes that no card lists yet may be anybody's: they only share the room.
            if self.candidates.contains(&peer) && self.fewest(&links_by_org, &peer) > limit {
                self.uncount(&mut links_by_org, &peer);
                crowded.push(peer);
            } else {
                kept.push((number, peer));
            }
        }
        let mut inbound_by_org = self.count(kept.iter().map(|(_, peer)| peer));
        while kept.len() > INBOUND_LINKS_MAX {
            let newcomer = kept.iter().position(|inbound| young.contains(inbound));
            let fullness: Vec<usize> = kept.iter().map(|(_, peer)| self.fewest(&inbound_by_org, peer)).collect();
            let most = fullness.iter().max().copied().unwrap_or(0);
            let fullest: Vec<usize> = (0..kept.len()).filter(|at| fullness[*at] == most).collect();
            let (_, peer) = kept.remove(newcomer.unwrap_or(fullest[self.random.below(fullest.len())]));
            self.uncount(&mut inbound_by_org, &peer);
            crowded.push(peer);
        }
        for peer in crowded {
            let instead = self.some_links(&peer);
            actions.push(Action::Drop { peer, why: DropReason::Crowded, instead });
        }
    }

    fn uncount(&self, links_by_org: &mut LinksByOrg, peer: &Peer) {
        for org in self.listed_by(peer) {
            if let Some(links) = links_by_org.get_mut(&org) {
                *links = links.saturating_sub(1);
            }
        }
    }

    /// Gives up one outbound link at random, but not the newest, when there are more than wanted.
    pub(super) fn give_up_surplus(&mut self, now: UnixMillis, actions: &mut Vec<Action>) {
        if self.outbound() <= OUTBOUND_LINKS_WANTED {
            return;
        }
        let dropped: BTreeSet<Peer> = drops(actions);
        let mut outbound: Vec<(u64, Peer)> = self
            .links
            .iter()
            .filter(|(peer, link)| link.outbound && !self.introduced.contains(*peer) && !dropped.contains(*peer))
            .map(|(peer, link)| (link.number, *peer))
            .collect();
        let is_pausing = self.surplus_at > now && self.surplus_at - now <= SURPLUS_INTERVAL_MS;
        if outbound.len() <= OUTBOUND_LINKS_WANTED || is_pausing {
            return;
        }
        outbound.sort_unstable();
        outbound.pop();
        let (_, peer) = outbound[self.random.below(outbound.len())];
        let instead = self.some_links(&peer);
        actions.push(Action::Drop { peer, why: DropReason::Surplus, instead });
        self.is_swapping = false;
        self.surplus_at = now + SURPLUS_INTERVAL_MS;
    }
}

/// Peers whose links are given up already.
fn drops(actions: &[Action]) -> BTreeSet<Peer> {
    let dropped = |action: &Action| match action {
        Action::Drop { peer, .. } => Some(*peer),
        _ => None,
    };
    actions.iter().filter_map(dropped).collect()
}
