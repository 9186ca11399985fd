//! Spreading what was accepted over the links that the overlay chooses, and minding those links.
//!
//! In: versions that entered the set, news of peers, time. Out: pushes, announcements, grafts, prunes, dials, goodbyes.
//! Always: each allowed link is pushed or announced everything that enters the set, except to who brought it, or is marked
//! as not told.
//! Spec: `spec/11-dissemination.md`. Tested: `node/tests/spreading.rs`, `overlay/`, `bench gossip`.

use std::collections::BTreeMap;

use super::frame::{Breach, versions_frames_on_route, write_frame};
use super::link::{Lacking, Link};
use super::output::Output;
use super::peering::offer;
use super::{Node, Peer};
use crate::id::{OrgId, Vid};
use crate::key::PublicKey;
use crate::kind::Audience;
use crate::limits::OFFER_PAIRS_MAX;
use crate::overlay::neighbours::POINTS_MAX;
use crate::overlay::{Action, Announced, Beat, Candidate, DropReason, Ended, Route, Signal, Source, Spread};
use crate::set::{SetKey, Slot};
use crate::sync::{KeyListError, Pair, write_keys};
use crate::time::UnixMillis;
use crate::v1;
use crate::v1::frame::Content;

/// Announcements that wait on one link for the next tick. More are dropped; sets are compared instead.
pub(super) const ANNOUNCEMENTS_MAX: usize = 4_096;
/// After announcements were dropped, sets are compared so soon, in milliseconds.
pub(super) const COMPARE_AFTER_DROP_MS: u64 = 5_000;
/// Points of a peer that broke the specification: the seventh breach in ten minutes shuts it out.
const BREACH_POINTS: u32 = 16;

/// A version that entered a set.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) source: Option<Source>,
    pub(super) slot: Slot,
    pub(super) vid: Vid,
    pub(super) envelope: Vec<u8>,
    /// Pushed over all links at once.
    pub(super) goes_first: bool,
}

/// What waits to be announced.
#[derive(Debug, Default)]
pub(super) struct News {
    waiting: BTreeMap<(Peer, Audience), BTreeMap<SetKey, Vid>>,
}

impl Node {
    /// Pushes newly accepted versions over the links of the tree, and notes them to be announced over the others.
    pub(super) fn spread(&mut self, now: UnixMillis, accepted: Vec<Accepted>, outputs: &mut Vec<Output>) {
        type Group = (Vec<Peer>, Route, Vec<Vec<u8>>);
        self.spread_to_mirrors(now, &accepted, outputs);
        let mut group: Option<Group> = None;
        let is_mirror = self.is_mirror;
        for Accepted { source, slot, vid, envelope, goes_first } in accepted {
            let links = &self.links;
            let may_have = |peer: &Peer| {
                let is_told = |link: &Link| !is_mirror && !link.is_mirror && link.is_greeted;
                let is_shared = |link: &Link| slot.audience == Audience::Public || link.org.is_some();
                links.get(peer).is_some_and(|link| is_told(link) && is_shared(link))
            };
            let Spread { mut push, mut route, mut announce } = match source {
                Some(source) => self.broadcast.accepted(now, source, vid, may_have),
                None => {
                    let announce = links.keys().filter(|peer| may_have(peer)).copied().collect();
                    Spread { push: Vec::new(), route: Route::Tree, announce }
                }
            };
            if goes_first {
                // Whoever gets it does the same, so that no node has to pass it on along the tree, and no link leaves it.
                push.append(&mut announce);
                push.iter().for_each(|peer| self.broadcast.held_by(peer, &vid));
                route = Route::Direct;
            }
            for peer in announce {
                self.announce(now, peer, slot, vid);
            }
            for peer in &push {
                if let Some(link) = self.links.get_mut(peer) {
                    link.sent_versions += 1;
                }
            }
            match &mut group {
                _ if push.is_empty() => {}
                Some((to, group_route, envelopes)) if *to == push && *group_route == route => envelopes.push(envelope),
                _ => send_group(group.replace((push, route, vec![envelope])), outputs),
            }
        }
        send_group(group, outputs);
    }

    pub(super) fn announce(&mut self, now: UnixMillis, peer: Peer, slot: Slot, vid: Vid) {
        let waiting = self.news.waiting.entry((peer, slot.audience)).or_default();
        waiting.insert(slot.key, vid);
        if waiting.len() > ANNOUNCEMENTS_MAX {
            waiting.clear();
            self.leave_out(now, peer, slot.audience);
        }
    }

    /// Something that is in our log is not told to the peer: it will be found by comparison.
    pub(super) fn leave_out(&mut self, now: UnixMillis, peer: Peer, audience: Audience) {
        let number = usize::from(audience.number());
        let Some(link) = self.links.get_mut(&peer) else { return };
        (link.told[number], link.left_out[number]) = (None, self.logs[number].head().sequence);
        link.compare_at[number] = link.compare_at[number].min(now.saturating_add(COMPARE_AFTER_DROP_MS));
    }

    /// The peer's set was found equal to ours as it was when our log ended at `head`: what was left out before, it holds.
    pub(super) fn make_up(&mut self, peer: Peer, audience: Audience, head: u64) {
        let number = usize::from(audience.number());
        if let Some(link) = self.links.get_mut(&peer).filter(|link| link.told[number].is_none())
            && link.left_out[number] <= head
        {
            // Not said yet: the next Progress says up to where.
            link.told[number] = Some(0);
        }
    }

    /// A peer holds these versions, or announces them.
    pub(super) fn on_held(&mut self, now: UnixMillis, peer: Peer, audience: Audience, pairs: &[Pair], is_news: bool) {
        for (key, vid) in pairs {
            self.note_held(vid, peer);
            let is_here = self.set(audience).get(key).is_some_and(|entry| entry.vid == *vid);
            if is_here {
                self.broadcast.held_by(&peer, vid);
            } else if is_news {
                self.broadcast.announced(now, &peer, Announced { vid: *vid, slot: Slot { audience, key: *key } });
            }
        }
    }

    /// A version was pushed that is here: a link does not belong into the tree, perhaps this one.
    pub(super) fn on_duplicate(
        &mut self,
        now: UnixMillis,
        from: Peer,
        vid: &Vid,
        route: Route,
        outputs: &mut Vec<Output>,
    ) {
        outputs.extend(self.broadcast.duplicate(now, &from, vid, route).map(prune));
    }

    /// Sends announcements that wait, and asks for what was announced and did not come.
    pub(super) fn mind_news(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        for ((peer, audience), pairs) in std::mem::take(&mut self.news.waiting) {
            let pairs: Vec<Pair> =
                pairs.into_iter().filter(|(_, vid)| !self.broadcast.is_known_to(&peer, vid)).collect();
            if self.links.contains_key(&peer) {
                for pairs in pairs.chunks(OFFER_PAIRS_MAX) {
                    outputs.push(Output::Send { to: vec![peer], frame: offer(audience, pairs, true) });
                }
            }
        }
        let links = &self.links;
        for signal in self.broadcast.tick(now, |peer| links.get(peer).map_or(0, Link::wants_free)) {
            match signal {
                Signal::Graft { to, missing } => self.graft(now, to, &missing, outputs),
                Signal::Prune { to } => outputs.push(prune(to)),
                Signal::Beat { to, beat } => outputs.push(Output::Send { to, frame: write_beat(&beat) }),
            }
        }
    }

    fn graft(&mut self, now: UnixMillis, peer: Peer, missing: &[Announced], outputs: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let audience = missing.first().map_or(Audience::Public, |announced| announced.slot.audience);
        let lacking: BTreeMap<SetKey, Lacking> =
            missing.iter().map(|announced| (announced.slot.key, Lacking::Version(announced.vid))).collect();
        let keys = write_keys(lacking.keys());
        let want = link.open_want(now, audience, lacking);
        let frame =
            write_frame(Content::Want(v1::Want { audience: audience.number().into(), want, keys, graft: true }));
        outputs.push(Output::Send { to: vec![peer], frame });
    }

    /// Members changed: tells the overlay whom this node may be linked to.
    pub(super) fn choose_candidates(&mut self) {
        let nodes = self.member_nodes().map(|(peer, org, endpoints): (PublicKey, OrgId, &[String])| Candidate {
            peer,
            org,
            is_dialable: !endpoints.is_empty(),
        });
        // A mirror knows of nobody but who was introduced to it.
        let nodes: Vec<Candidate> = nodes.filter(|_| !self.is_mirror).collect();
        self.neighbours.choose_candidates(nodes);
        self.broadcast.set_network_nodes(self.neighbours.network_nodes());
    }

    /// Dials, drops and shuffles as the overlay wants.
    pub(super) fn mind_links(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        for action in self.neighbours.tick(now, self.broadcast.is_before_beat(now)) {
            match action {
                Action::Dial { peer } => outputs.push(Output::Dial { peer }),
                Action::Shuffle { to, peers } => outputs.push(Output::Send { to: vec![to], frame: neighbours(&peers) }),
                Action::Drop { peer, why, instead } => {
                    if !instead.is_empty() {
                        outputs.push(Output::Send { to: vec![peer], frame: neighbours(&instead) });
                    }
                    let code = match why {
                        DropReason::Crowded | DropReason::Surplus => v1::ByeCode::Elsewhere,
                        DropReason::Misbehaved => v1::ByeCode::Breach,
                    };
                    self.part(now, peer, code, why.to_string(), outputs);
                }
            }
        }
    }

    pub(super) fn on_neighbours(&mut self, now: UnixMillis, peer: Peer, frame: &v1::Neighbours) -> Result<(), Breach> {
        let (keys, rest) = frame.keys.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(Breach::Keys { what: "Neighbours", reason: KeyListError::Truncated });
        }
        if keys.len() > crate::overlay::neighbours::SHUFFLE_PEERS_MAX {
            let (found, max) = (keys.len(), crate::overlay::neighbours::SHUFFLE_PEERS_MAX);
            return Err(Breach::TooMany { what: "keys in Neighbours", found, max });
        }
        let peers: Vec<Peer> = keys.iter().filter_map(|key| self.neighbours.candidate(key)).collect();
        self.neighbours.shuffled(now, &peer, &peers);
        Ok(())
    }

    pub(super) fn on_beat(&mut self, now: UnixMillis, peer: Peer, beat: &v1::Beat, outputs: &mut Vec<Output>) {
        let Some(root) = self.neighbours.candidate(&beat.root) else { return };
        let beat = Beat { root, sequence: beat.sequence, hops: beat.hops };
        if let Some((to, beat)) = self.broadcast.beat(now, &peer, beat) {
            outputs.push(Output::Send { to, frame: write_beat(&beat) });
        }
    }

    /// Forgets a link that is down, or is about to be closed.
    pub(super) fn unlink(&mut self, now: UnixMillis, peer: &Peer, how: Ended) -> Option<Link> {
        let link = self.links.remove(peer)?;
        self.neighbours.disconnected(now, peer, how);
        self.broadcast.link_down(peer);
        self.news.waiting.retain(|(other, _), _| other != peer);
        // A later link to the same peer begins anew.
        self.turns = self.turns.map(|turn| turn.filter(|turn| turn.peer != *peer));
        Some(link)
    }

    /// Says why and closes.
    pub(super) fn part(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        code: v1::ByeCode,
        message: String,
        outputs: &mut Vec<Output>,
    ) {
        let how = match code {
            v1::ByeCode::TooSlow | v1::ByeCode::Shutdown => Ended::Lost,
            // Whoever breaks the rules is dialled as slowly as it would dial: at once, it would break them again.
            v1::ByeCode::WrongNetwork
            | v1::ByeCode::IncompatibleLevel
            | v1::ByeCode::NotAMember
            | v1::ByeCode::Breach => Ended::Refused,
            _ => Ended::Dropped,
        };
        self.unlink(now, &peer, how);
        outputs.push(Output::Disconnect { peer, code, message });
    }

    /// Closes a link whose peer broke the specification.
    pub(super) fn break_off(&mut self, now: UnixMillis, peer: Peer, breach: &Breach, outputs: &mut Vec<Output>) {
        // A flood leaves no doubt: each one shuts out, and the next for longer.
        let points = if matches!(breach, Breach::Flood { .. }) { POINTS_MAX } else { BREACH_POINTS };
        self.neighbours.misbehaved(now, &peer, points);
        self.part(now, peer, v1::ByeCode::Breach, breach.to_string(), outputs);
    }

    /// How a link ended whose peer said goodbye.
    pub(super) fn farewell(code: v1::ByeCode) -> Ended {
        match code {
            v1::ByeCode::Duplicate => Ended::Replaced,
            v1::ByeCode::Elsewhere => Ended::Elsewhere,
            v1::ByeCode::WrongNetwork
            | v1::ByeCode::IncompatibleLevel
            | v1::ByeCode::Breach
            | v1::ByeCode::NotAMember => Ended::Refused,
            v1::ByeCode::Unspecified | v1::ByeCode::Shutdown | v1::ByeCode::TooSlow => Ended::Lost,
        }
    }
}

fn send_group(group: Option<(Vec<Peer>, Route, Vec<Vec<u8>>)>, outputs: &mut Vec<Output>) {
    let Some((to, route, envelopes)) = group else { return };
    for frame in versions_frames_on_route(envelopes, Some(write_route(route))) {
        outputs.push(Output::Send { to: to.clone(), frame });
    }
}

fn neighbours(peers: &[Peer]) -> Vec<u8> {
    let keys = peers.iter().flat_map(|peer| *peer.as_bytes()).collect();
    write_frame(Content::Neighbours(v1::Neighbours { keys }))
}

pub(super) fn prune(to: Peer) -> Output {
    Output::Send { to: vec![to], frame: write_frame(Content::Prune(v1::Prune {})) }
}

fn write_beat(beat: &Beat) -> Vec<u8> {
    let Beat { root, sequence, hops } = *beat;
    write_frame(Content::Beat(v1::Beat { root: root.as_bytes().to_vec(), sequence, hops }))
}

fn write_route(route: Route) -> v1::Route {
    v1::Route { direct: route == Route::Direct }
}

pub(super) fn read_route(route: &v1::Route) -> Route {
    if route.direct { Route::Direct } else { Route::Tree }
}
