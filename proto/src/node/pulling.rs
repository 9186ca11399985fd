//! Whose turn it is to be asked for what is missing, and how: by its arrival log, by comparing sets, by fetching spans.
//!
//! Always: for each audience at most one peer is asked at a time, so that nothing is fetched twice; a peer that brings
//! nothing loses the turn.
//! Spec: `spec/07-sync.md`, section 3. Tested: `node/tests/`, the simulator in `tests/simulation`.

use super::link::{ANSWERED_VERSIONS_MAX, CatchUp, CatchUpStage, Lacking, Request, Session};
use super::output::{Notice, Output};
use super::reconciling::request;
use super::{Node, Peer, write_frame};
use crate::canary::{Canary, is_out};
use crate::kind::Audience;
use crate::set::{SetKey, Slot};
use crate::sync::{opening, opening_of_differing, write_keys};
use crate::time::UnixMillis;
use crate::v1;
use crate::v1::frame::Content;

/// A peer that brought less than [`TURN_VERSIONS_MIN`] versions that were lacking in so long lets others have their turn, in
/// milliseconds.
pub(super) const TURN_MS: u64 = 30_000;
/// Versions that renew a turn.
pub(super) const TURN_VERSIONS_MIN: u64 = 64;
/// After a session that changed something, sets are compared again so soon, in milliseconds.
pub(super) const COMPARE_DELAY_MS_MIN: u64 = 1_000;
/// The longest pause between comparisons of sets that are known to differ, in milliseconds.
pub(super) const COMPARE_DELAY_MS_MAX: u64 = 60_000;

/// The one peer that is asked for an audience.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) peer: Peer,
    pub(super) renewed_at: UnixMillis,
    /// What it had brought by then.
    versions: u64,
}

impl Node {
    /// Begins to ask wherever that is due and nobody else is being asked.
    pub(super) fn pull_where_due(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        for audience in Audience::ALL {
            let number = usize::from(audience.number());
            if self.turn_holder(now, audience).is_some() {
                continue;
            }
            let is_due = |peer: &Peer, link: &super::Link| {
                let is_due =
                    link.is_greeted && link.is_idle() && link.compare_at[number] <= now && !is_out(Canary::CatchUp);
                is_due && !link.is_mirror && self.shares(peer, audience)
            };
            let due = self.links.iter().filter(|(peer, link)| is_due(peer, link));
            let Some(peer) = due.min_by_key(|(_, link)| link.compare_at[number]).map(|(peer, _)| *peer) else {
                continue;
            };
            self.take_turn(now, audience, peer);
            self.start_pull(now, peer, audience, outputs);
        }
    }

    fn start_pull(&mut self, now: UnixMillis, peer: Peer, audience: Audience, outputs: &mut Vec<Output>) {
        let number = usize::from(audience.number());
        let known = self.cursors.get(&peer, audience);
        let Some(link) = self.links.get_mut(&peer) else { return };
        link.compare_at[number] = UnixMillis::MAX;
        let is_news = |place: &super::LogPlace| {
            link.heard[number].is_some_and(|heard| heard.epoch == place.epoch && heard.sequence > place.sequence)
        };
        let since = known.filter(is_news).filter(|_| !link.has_caught_up[number] && !link.is_level[number]);
        if let Some(since) = since {
            self.catch_up(now, peer, audience, since, 1, outputs);
            return;
        }
        let (set, head) = (&self.sets[number], self.logs[number].head().sequence);
        let Some(link) = self.links.get_mut(&peer) else { return };
        let id = link.fresh_id();
        // The first session after a difference was heard of goes into it; later ones first look whether any is left.
        let differs = std::mem::take(&mut link.differs[number]);
        let ranges = if differs { opening_of_differing(set, id) } else { opening(set) };
        link.begin_session(Session {
            id,
            audience,
            outstanding: 1,
            requests: 1,
            found_difference: differs,
            head,
            left: ANSWERED_VERSIONS_MAX,
            active_at: now,
        });
        let frame = request(audience, id, 0, SetKey::default(), &ranges);
        outputs.push(Output::Send { to: vec![peer], frame });
    }

    /// The session's last request is answered: compare again soon if it found anything, until sets are equal.
    pub(super) fn end_session(&mut self, now: UnixMillis, peer: Peer, outputs: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let Some(session) = link.session.take() else { return };
        let number = usize::from(session.audience.number());
        link.in_sync[number] = !session.found_difference;
        if session.found_difference {
            let delay_ms = &mut link.compare_delay_ms[number];
            *delay_ms = (*delay_ms * 2).clamp(COMPARE_DELAY_MS_MIN, COMPARE_DELAY_MS_MAX);
            link.compare_at[number] = now.saturating_add(*delay_ms);
        } else {
            link.compare_delay_ms[number] = 0;
            (link.is_level[number], link.has_refused[number]) = (true, false);
            self.make_up(peer, session.audience, session.head);
            outputs.push(Output::Notice(Notice::InSync { peer, audience: session.audience }));
        }
    }

    /// Sends the next requests, as many as may be open; when nothing is left to ask, ends the peer's turn.
    pub(super) fn ask_for_more(&mut self, now: UnixMillis, peer: Peer, outputs: &mut Vec<Output>) {
        let sets = &self.sets;
        let Some(link) = self.links.get_mut(&peer) else { return };
        let is_missing = |slot: &Slot, lacking: &Lacking| {
            let own = sets[usize::from(slot.audience.number())].get(&slot.key).map(|entry| entry.vid);
            match lacking {
                Lacking::Version(vid) => own != Some(*vid),
                Lacking::OtherThan(vid) => own == *vid,
            }
        };
        while let Some(request) = link.next_request(now, is_missing) {
            let content = match request {
                Request::Want { want, audience, keys } => {
                    let (audience, keys) = (audience.number().into(), write_keys(&keys));
                    Content::Want(v1::Want { audience, want, keys, graft: false })
                }
                Request::Fetch { want, audience, span: (lower, upper) } => {
                    let (lower, upper) = (lower.0.to_vec(), upper.map(|upper| upper.0.to_vec()));
                    Content::Fetch(v1::Fetch { audience: audience.number().into(), want, lower, upper })
                }
            };
            outputs.push(Output::Send { to: vec![peer], frame: write_frame(content) });
        }
        if self.links.get(&peer).is_some_and(|link| !link.is_asking() && link.session.is_none()) {
            self.settle_all_held(now, peer, outputs);
        }
        self.end_catch_up(now, peer, outputs);
        if self.links.get(&peer).is_some_and(super::Link::is_idle) {
            self.turns = self.turns.map(|turn| turn.filter(|turn| turn.peer != peer));
        }
        self.pull_where_due(now, outputs);
    }

    /// After a catch-up whose versions are all checked, sets are equal, or are compared.
    fn end_catch_up(&mut self, now: UnixMillis, peer: Peer, outputs: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&peer).filter(|link| link.has_all()) else { return };
        let Some(CatchUp { audience, stage: CatchUpStage::Ended(fingerprint), place, .. }) = link.catch_up else {
            return;
        };
        let number = usize::from(audience.number());
        link.catch_up = None;
        link.is_level[number] = !link.has_refused[number];
        if link.heard[number].is_none_or(|heard| heard.epoch == place.epoch && heard.sequence < place.sequence) {
            link.heard[number] = Some(place);
        }
        let is_equal = self.sets[number].total().fingerprint() == fingerprint;
        (link.in_sync[number], link.differs[number]) = (is_equal, !is_equal);
        if is_equal {
            (link.is_level[number], link.has_refused[number]) = (true, false);
            self.make_up(peer, audience, self.logs[number].head().sequence);
            outputs.push(Output::Notice(Notice::InSync { peer, audience }));
        } else {
            // News may be on its way in either direction: it gets a moment.
            link.compare_at[number] = link.compare_at[number].min(now.saturating_add(COMPARE_DELAY_MS_MIN));
        }
    }

    /// Gives the turn to a peer unless another one has it; never to a mirror.
    pub(super) fn may_pull(&mut self, now: UnixMillis, audience: Audience, peer: Peer) -> bool {
        if self.links.get(&peer).is_some_and(|link| link.is_mirror) {
            return false;
        }
        match self.turn_holder(now, audience) {
            Some(holder) => holder == peer,
            None => {
                self.take_turn(now, audience, peer);
                true
            }
        }
    }

    fn take_turn(&mut self, now: UnixMillis, audience: Audience, peer: Peer) {
        let versions = self.links.get(&peer).map_or(0, |link| link.accepted_versions);
        self.turns[usize::from(audience.number())] = Some(Turn { peer, renewed_at: now, versions });
    }

    /// Who has the turn, if it still counts.
    fn turn_holder(&mut self, now: UnixMillis, audience: Audience) -> Option<Peer> {
        let turn = self.turns[usize::from(audience.number())].as_mut()?;
        let received = self.links.get(&turn.peer)?.accepted_versions;
        if now.abs_diff(turn.renewed_at) > TURN_MS {
            if received - turn.versions.min(received) < TURN_VERSIONS_MIN {
                return None;
            }
            (turn.renewed_at, turn.versions) = (now, received);
        }
        Some(turn.peer)
    }
}
