//! Neighbours: which nodes to be linked to.
//!
//! In: candidates, links that come and go, failed dials, misbehaviour, what neighbours tell, time. Out: [`Action`]s.
//! Always: whom this node dials is drawn by a secret seed among members, never chosen by others; inbound links take no
//! outbound link's place; one attempt at a time for a peer; at most [`LINKS_MAX`] links.
//! Spec: `spec/11-dissemination.md`, section 3. Tested: `neighbours/tests.rs`.

mod history;
mod room;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::candidates::{Candidate, Candidates};
use super::random::Random;
use crate::canary::{Canary, is_out};
use crate::limits::LINKS_MAX;
use crate::node::Peer;
use crate::time::UnixMillis;
use history::Histories;

/// Up to so many other known nodes, a node is linked to all of them.
pub const FULL_MESH_MAX: usize = 30;
/// Beyond [`FULL_MESH_MAX`] the overlay is kept until the number falls below this, so that one member who comes and goes
/// does not make everybody dial and hang up.
pub const FULL_MESH_AGAIN: usize = 25;
/// Links that a node of the overlay dials by its own choice; others dial as many to it on average. With twelve links ten
/// thousand nodes are within five hops of one in the middle; with eight some are seven away.
pub const OUTBOUND_LINKS_WANTED: usize = 8;
/// Inbound links of a node of the overlay. Enough when five of six nodes can only dial.
pub const INBOUND_LINKS_MAX: usize = 24;
/// Links with nodes of one organisation, as long as there are others to link to.
pub const LINKS_PER_ORG_MAX: usize = 2;
/// Attempts under way at once.
pub const DIALS_AT_ONCE_MAX: usize = 4;
/// Nodes that are dialled although no card lists them, from invites and the configuration: more than an operator names, and with
/// all of them linked there is room for the links of the overlay.
pub const INTRODUCED_MAX: usize = 32;
/// Keys in one `Neighbours` frame.
pub const SHUFFLE_PEERS_MAX: usize = 16;

/// First pause after a failed dial or a lost link; doubles to [`PAUSE_MS_MAX`]; milliseconds.
pub const PAUSE_MS_MIN: u64 = 1_000;
/// Longest such pause, milliseconds.
pub const PAUSE_MS_MAX: u64 = 60_000;
/// First pause after a peer turned this node away; doubles to [`REFUSED_PAUSE_MS_MAX`]; milliseconds.
pub const REFUSED_PAUSE_MS_MIN: u64 = 30_000;
/// Longest such pause, milliseconds. Cards may be on their way, so it is never given up.
pub const REFUSED_PAUSE_MS_MAX: u64 = 600_000;
/// A dial without an answer for so long has failed, milliseconds. Twice what a dialler takes for all addresses.
const DIAL_WAIT_MS_MAX: u64 = 180_000;
/// A link that held so long was a good one: pauses begin anew, milliseconds.
const HELD_MS_MIN: u64 = 60_000;
/// A node is taken to be alive so long after it was heard of, milliseconds: four shuffles.
const ALIVE_MS: u64 = 1_200_000;
/// Between two shuffles, milliseconds, a quarter more or less.
const SHUFFLE_INTERVAL_MS: u64 = 300_000;
/// Between two exchanges of an outbound link for a new one, milliseconds, half more or less.
const SWAP_INTERVAL_MS: u64 = 600_000;
/// Between two links that are given up because there are too many, milliseconds.
const SURPLUS_INTERVAL_MS: u64 = 1_000;
/// Draws in the search for a node to dial; what is not found is looked for again at the next tick.
const DRAWS_MAX: usize = 128;
/// An inbound link is not given up for want of room before this time, milliseconds: whoever is new to the network knows no
/// other node, and learns on it whom else to dial.
pub const NEWCOMER_MS: u64 = 15_000;
/// Inbound links beyond the limits that may be so young; more of them are given up at once.
pub const NEWCOMERS_MAX: usize = 8;
/// Points at which a peer is shut out. They halve every ten minutes.
pub const POINTS_MAX: u32 = 100;
/// A peer that was shut out may come back below so many points.
pub const POINTS_FORGIVEN: u32 = 50;

const _: () = assert!(INTRODUCED_MAX + OUTBOUND_LINKS_WANTED + INBOUND_LINKS_MAX <= LINKS_MAX);
const _: () = assert!(FULL_MESH_MAX + INTRODUCED_MAX <= LINKS_MAX);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial this node. Comes back as [`Neighbours::connected`] or [`Neighbours::dial_failed`].
    Dial {
        /// Whom.
        peer: Peer,
    },
    /// Close this link, after a `Neighbours` frame with `instead` unless that is empty. Comes back as
    /// [`Neighbours::disconnected`] with [`Ended::Dropped`].
    Drop {
        /// Whose link.
        peer: Peer,
        /// Why.
        why: DropReason,
        /// Nodes that it may dial instead; at most [`SHUFFLE_PEERS_MAX`].
        instead: Vec<Peer>,
    },
    /// Send a `Neighbours` frame.
    Shuffle {
        /// Receiver.
        to: Peer,
        /// Nodes that this one is linked to; at most [`SHUFFLE_PEERS_MAX`].
        peers: Vec<Peer>,
    },
}

/// Why a link is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Too many inbound links, or too many of that organisation.
    #[error("this node has no room for another link; try the nodes that it named")]
    Crowded,
    /// More outbound links than wanted.
    #[error("this node has found another link and ends this one; nothing is wrong")]
    Surplus,
    /// Too many points.
    #[error("this node has been sent too much that no honest node sends; it accepts links again after a while")]
    Misbehaved,
}

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It broke, was silent or slow, or the other node stopped: dialled again soon.
    Lost,
    /// The other side has no room or no use for it.
    Elsewhere,
    /// The other side wants none with this node: no member, another network, a breach.
    Refused,
    /// Another link between the two nodes takes its place.
    Replaced,
    /// Closed by this side.
    Dropped,
}

/// How a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialFailure {
    /// Nobody there, or no time.
    Unreachable,
    /// The other side does not admit this node's key, or showed another key than its card.
    Refused,
}

#[derive(Clone, Debug)]
struct Link {
    outbound: bool,
    since: UnixMillis,
    /// Later links have higher ones, whatever the clock says.
    number: u64,
    /// When its last `Neighbours` frame counted.
    shuffled_at: Option<UnixMillis>,
}

/// Whom one node is linked to and would like to be.
#[derive(Clone, Debug)]
pub struct Neighbours {
    own: Peer,
    candidates: Arc<Candidates>,
    is_mesh: bool,
    links: BTreeMap<Peer, Link>,
    next_number: u64,
    dialling: BTreeMap<Peer, UnixMillis>,
    histories: Histories,
    introduced: BTreeSet<Peer>,
    started_at: Option<UnixMillis>,
    shuffle_at: UnixMillis,
    swap_at: UnixMillis,
    is_swapping: bool,
    surplus_at: UnixMillis,
    /// Links or members changed since room was last made.
    may_be_crowded: bool,
    random: Random,
    /// Decides which of too many candidates are left out.
    lots: u64,
}

impl Neighbours {
    /// Without candidates and links. `seed` must be secret and differ at each start.
    pub fn new(own: Peer, seed: u64) -> Neighbours {
        Neighbours {
            own,
            candidates: Arc::default(),
            is_mesh: true,
            links: BTreeMap::new(),
            next_number: 0,
            dialling: BTreeMap::new(),
            histories: Histories::default(),
            introduced: BTreeSet::new(),
            started_at: None,
            shuffle_at: 0,
            swap_at: 0,
            is_swapping: false,
            surplus_at: 0,
            may_be_crowded: false,
            random: Random::new(seed),
            lots: Random::new(!seed).next(),
        }
    }

    /// Members changed: this is what their cards list now. As [`Neighbours::set_candidates`].
    pub fn choose_candidates(&mut self, listed: impl IntoIterator<Item = Candidate>) {
        self.set_candidates(Arc::new(Candidates::new(listed, self.lots)));
    }

    /// Members changed. Links of nodes that are no longer candidates stay until their owner closes them.
    pub fn set_candidates(&mut self, candidates: Arc<Candidates>) {
        self.candidates = candidates;
        self.may_be_crowded = true;
        let others = self.others();
        self.is_mesh = others <= if self.is_mesh { FULL_MESH_MAX } else { FULL_MESH_AGAIN - 1 };
        let (candidates, introduced) = (&self.candidates, &self.introduced);
        self.histories.retain(|peer| candidates.contains(peer) || introduced.contains(peer));
    }

    /// A node to dial whatever the cards say. False when there are [`INTRODUCED_MAX`] already.
    pub fn introduce(&mut self, peer: Peer) -> bool {
        let has_room = self.introduced.len() < INTRODUCED_MAX || self.introduced.contains(&peer);
        if has_room && peer != self.own {
            self.introduced.insert(peer);
        }
        has_room
    }

    /// What the present neighbours tell is not enough: begins to exchange one of them now. Where all are linked to all there is
    /// no other.
    pub fn seek_another(&mut self, now: UnixMillis) {
        self.swap_at = now;
    }

    /// A link is up. One to the same peer is replaced.
    pub fn connected(&mut self, now: UnixMillis, peer: Peer, outbound: bool) {
        self.dialling.remove(&peer);
        self.histories.at(peer).alive_at = Some(now);
        self.next_number += 1;
        let link = Link { outbound, since: now, number: self.next_number, shuffled_at: None };
        self.links.insert(peer, link);
        self.may_be_crowded = true;
    }

    /// A link is down. Call [`Neighbours::tick`] next: a lost outbound link is replaced at once.
    pub fn disconnected(&mut self, now: UnixMillis, peer: &Peer, how: Ended) {
        let Some(link) = self.links.remove(peer) else { return };
        let history = self.histories.at(*peer);
        history.alive_at = Some(now);
        if now.saturating_sub(link.since) >= HELD_MS_MIN {
            history.failures = 0;
        }
        match how {
            // The other side may take a dead link for a living one, and turn this away until it notices.
            Ended::Lost | Ended::Replaced => history.pause(now, PAUSE_MS_MIN, PAUSE_MS_MAX, &mut self.random),
            Ended::Elsewhere | Ended::Refused => {
                history.pause(now, REFUSED_PAUSE_MS_MIN, REFUSED_PAUSE_MS_MAX, &mut self.random);
            }
            Ended::Dropped => {}
        }
    }

    /// A dial that was asked for came to nothing.
    pub fn dial_failed(&mut self, now: UnixMillis, peer: &Peer, why: DialFailure) {
        if self.dialling.remove(peer).is_none() || self.links.contains_key(peer) {
            return;
        }
        let history = self.histories.at(*peer);
        match why {
            DialFailure::Unreachable => {
                history.alive_at = None;
                history.pause(now, PAUSE_MS_MIN, PAUSE_MS_MAX, &mut self.random);
            }
            DialFailure::Refused => {
                history.pause(now, REFUSED_PAUSE_MS_MIN, REFUSED_PAUSE_MS_MAX, &mut self.random);
            }
        }
    }

    /// A peer did what no honest node does. At [`POINTS_MAX`] it is shut out until few enough are left.
    pub fn misbehaved(&mut self, now: UnixMillis, peer: &Peer, points: u32) {
        self.histories.at(*peer).add_points(now, points);
    }

    /// A `Neighbours` frame: nodes that `from` is linked to. Strangers in it, more than [`SHUFFLE_PEERS_MAX`], and what
    /// comes too often are passed over. In the overlay only those count whom this node chose to ask.
    pub fn shuffled(&mut self, now: UnixMillis, from: &Peer, peers: &[Peer]) {
        let Some(link) = self.links.get_mut(from) else { return };
        let is_early = link.shuffled_at.is_some_and(|at| at <= now && now - at < SHUFFLE_INTERVAL_MS / 2);
        if is_early || !(link.outbound || self.is_mesh) {
            return;
        }
        link.shuffled_at = Some(now);
        for peer in peers.iter().take(SHUFFLE_PEERS_MAX) {
            if *peer != self.own && self.candidates.contains(peer) {
                self.histories.at(*peer).alive_at = Some(now);
            }
        }
    }

    /// What to do now. Cheap: call it each second and after each input.
    ///
    /// `may_exchange`: losing a link does little harm at this moment ([`Broadcast::is_before_beat`]).
    ///
    /// [`Broadcast::is_before_beat`]: super::Broadcast::is_before_beat
    pub fn tick(&mut self, now: UnixMillis, may_exchange: bool) -> Vec<Action> {
        if self.started_at.is_none() {
            self.started_at = Some(now);
            self.shuffle_at = now + self.random.below(SHUFFLE_INTERVAL_MS as usize) as u64;
            self.swap_at = now + self.random.around(SWAP_INTERVAL_MS, 2);
        }
        let mut actions = Vec::new();
        self.give_up_silent_dials(now);
        self.shut_out(now, &mut actions);
        self.keep_to_links_max(&mut actions);
        if !self.is_mesh {
            if std::mem::take(&mut self.may_be_crowded) {
                self.make_room(now, &mut actions);
            }
            if may_exchange {
                self.give_up_surplus(now, &mut actions);
            }
        }
        self.dial(now, &mut actions);
        self.shuffle(now, &mut actions);
        actions
    }

    /// True when few enough nodes are known to be linked to all of them.
    pub fn is_mesh(&self) -> bool {
        self.is_mesh
    }

    /// True when every node that seems to be alive is linked to this one: then a push over all links needs no help.
    pub fn reaches_everyone(&self, now: UnixMillis) -> bool {
        let settled = self.started_at.is_some_and(|at| now.saturating_sub(at) > PAUSE_MS_MAX);
        let is_reached = |peer: &Peer| {
            let may_be_up = || match self.histories.get(peer) {
                Some(history) => history.failures == 0 || history.is_alive(now),
                None => !settled,
            };
            *peer == self.own || self.links.contains_key(peer) || !may_be_up()
        };
        self.is_mesh && !self.links.is_empty() && self.candidates.iter().all(|node| is_reached(&node.peer))
    }

    /// The node with this key, if a member's card lists it.
    pub fn candidate(&self, key: &[u8]) -> Option<Peer> {
        self.candidates.with_key(key)
    }

    /// Number of nodes in the network as far as this one knows, itself included.
    pub fn network_nodes(&self) -> usize {
        self.others() + 1
    }

    /// True when this node may be dialled or let in: it was not shut out. For the listener.
    pub fn is_welcome(&self, now: UnixMillis, peer: &Peer) -> bool {
        self.histories.get(peer).is_none_or(|history| !history.is_shut_out(now))
    }

    fn others(&self) -> usize {
        self.candidates.len() - usize::from(self.candidates.contains(&self.own))
    }

    fn outbound(&self) -> usize {
        self.links.values().filter(|link| link.outbound).count()
    }

    fn give_up_silent_dials(&mut self, now: UnixMillis) {
        let is_silent = |since: &UnixMillis| *since > now || now - since > DIAL_WAIT_MS_MAX;
        let silent: Vec<Peer> =
            self.dialling.iter().filter(|(_, since)| is_silent(since)).map(|(peer, _)| *peer).collect();
        for peer in silent {
            self.dial_failed(now, &peer, DialFailure::Unreachable);
        }
    }

    fn shut_out(&mut self, now: UnixMillis, actions: &mut Vec<Action>) {
        for peer in self.links.keys() {
            if self.histories.get_mut(peer).is_some_and(|history| history.check_points(now)) {
                actions.push(Action::Drop { peer: *peer, why: DropReason::Misbehaved, instead: Vec::new() });
            }
        }
    }

    fn dial(&mut self, now: UnixMillis, actions: &mut Vec<Action>) {
        let mut wanted: Vec<Peer> = self.introduced.iter().filter(|peer| self.may_dial(now, peer)).copied().collect();
        if self.is_mesh {
            let dialable = self.candidates.iter().filter(|node| node.is_dialable && self.may_dial(now, &node.peer));
            let mut all: Vec<Peer> = dialable.map(|node| node.peer).collect();
            for at in (1..all.len()).rev() {
                all.swap(at, self.random.below(at + 1));
            }
            wanted.extend(all);
        }
        for peer in wanted.into_iter().take(self.dials_free()) {
            if self.dialling.insert(peer, now).is_none() {
                actions.push(Action::Dial { peer });
            }
        }
        if !self.is_mesh {
            self.dial_some(now, actions);
        }
    }

    /// How many more nodes may be dialled now.
    fn dials_free(&self) -> usize {
        let links_free = LINKS_MAX.saturating_sub(self.links.len());
        DIALS_AT_ONCE_MAX.min(links_free).saturating_sub(self.dialling.len())
    }

    /// Keeps up the wanted number of outbound links, and one more while one of them is to be exchanged.
    fn dial_some(&mut self, now: UnixMillis, actions: &mut Vec<Action>) {
        let outbound = self.outbound();
        if self.swap_at <= now || self.swap_at - now > 2 * SWAP_INTERVAL_MS {
            self.is_swapping = outbound >= OUTBOUND_LINKS_WANTED;
            self.swap_at = now + self.random.around(SWAP_INTERVAL_MS, 2);
        }
        let wanted = OUTBOUND_LINKS_WANTED + usize::from(self.is_swapping);
        while outbound + self.dialling.len() < wanted && self.dials_free() > 0 {
            let Some(peer) = self.find(now, true).or_else(|| self.find(now, false)) else { break };
            self.dialling.insert(peer, now);
            actions.push(Action::Dial { peer });
        }
    }

    /// A node to dial: the better of two that are drawn, a node that was lately heard of being better than one that was not.
    /// Hints choose between two at most, so that liars among the neighbours gain little.
    fn find(&mut self, now: UnixMillis, other_orgs: bool) -> Option<Peer> {
        let links_by_org = self.links_by_org();
        let mut first: Option<Peer> = None;
        for _ in 0..DRAWS_MAX {
            let drawn = *self.candidates.draw(&mut self.random)?;
            if !self.may_dial(now, &drawn.peer) || (other_orgs && !self.has_room(&links_by_org, &drawn.peer)) {
                continue;
            }
            let is_alive = self.histories.get(&drawn.peer).is_some_and(|history| history.is_alive(now));
            match first {
                None if is_alive => return Some(drawn.peer),
                None => first = Some(drawn.peer),
                Some(_) if is_out(Canary::LinkDraw) && !is_alive => {}
                Some(_) if is_alive => return Some(drawn.peer),
                Some(first) => return Some(first),
            }
        }
        first
    }

    fn may_dial(&self, now: UnixMillis, peer: &Peer) -> bool {
        *peer != self.own
            && !self.links.contains_key(peer)
            && !self.dialling.contains_key(peer)
            && self.histories.get(peer).is_none_or(|history| history.may_dial(now))
    }

    fn shuffle(&mut self, now: UnixMillis, actions: &mut Vec<Action>) {
        let is_far_off = self.shuffle_at > now.saturating_add(2 * SHUFFLE_INTERVAL_MS);
        if self.shuffle_at > now && !is_far_off {
            return;
        }
        self.shuffle_at = now + self.random.around(SHUFFLE_INTERVAL_MS, 4);
        let Some(to) = self.links.keys().nth(self.random.below(self.links.len())).copied() else { return };
        let peers = self.some_links(&to);
        if !peers.is_empty() {
            actions.push(Action::Shuffle { to, peers });
        }
    }

    /// Some of the linked nodes, for `reader`, which knows itself. Only candidates: others could not dial the rest.
    fn some_links(&mut self, reader: &Peer) -> Vec<Peer> {
        let is_named = |peer: &&Peer| *peer != reader && self.candidates.contains(peer);
        let mut peers: Vec<Peer> = self.links.keys().filter(is_named).copied().collect();
        while peers.len() > SHUFFLE_PEERS_MAX {
            peers.swap_remove(self.random.below(peers.len()));
        }
        peers
    }
}
