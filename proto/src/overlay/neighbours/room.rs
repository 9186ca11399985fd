//! Room: which links are given up when there are too many.
//!
//! Always: an outbound link is never given up for an inbound one, and never the newest outbound link.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, DropReason, INBOUND_LINKS_MAX, NEWCOMER_MS, NEWCOMERS_MAX, Neighbours, OUTBOUND_LINKS_WANTED,
    SURPLUS_INTERVAL_MS,
};
use crate::id::OrgId;
use crate::node::Peer;
use crate::time::UnixMillis;

/// Links with nodes of one organisation.
#[derive(Debug, Default)]
struct OfOrg {
    links: usize,
    /// Number and peer of the inbound ones, oldest first.
    inbound: Vec<(u64, Peer)>,
}

impl OfOrg {
    fn newest(&self) -> Option<u64> {
        self.inbound.last().map(|(number, _)| *number)
    }
}

impl Neighbours {
    /// Gives up inbound links beyond the limits: each time the newest of the organisation that has most.
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
        let mut dropped: BTreeSet<Peer> = drops(actions);
        dropped.extend(young.into_iter().take(NEWCOMERS_MAX).map(|(_, peer)| peer));
        let org_limit = self.links_per_org();
        let mut orgs: BTreeMap<Option<OrgId>, OfOrg> = BTreeMap::new();
        let mut inbound = 0;
        for (peer, link) in self.links.iter().filter(|(peer, _)| !dropped.contains(peer)) {
            let of_org = orgs.entry(link.org).or_default();
            of_org.links += 1;
            if !link.outbound {
                inbound += 1;
                of_org.inbound.push((link.number, *peer));
            }
        }
        let mut crowded = Vec::new();
        for (org, of_org) in &mut orgs {
            of_org.inbound.sort_unstable();
            // Nodes that no card lists yet may be anybody's: they only share the room.
            while org.is_some() && of_org.links > org_limit {
                let Some((_, peer)) = of_org.inbound.pop() else { break };
                crowded.push(peer);
                (of_org.links, inbound) = (of_org.links - 1, inbound - 1);
            }
        }
        while inbound > INBOUND_LINKS_MAX {
            let fullest = orgs.values_mut().max_by_key(|of_org| (of_org.inbound.len(), of_org.newest()));
            let Some((_, peer)) = fullest.and_then(|of_org| of_org.inbound.pop()) else { break };
            crowded.push(peer);
            inbound -= 1;
        }
        for peer in crowded {
            let instead = self.some_links(&peer);
            actions.push(Action::Drop { peer, why: DropReason::Crowded, instead });
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
