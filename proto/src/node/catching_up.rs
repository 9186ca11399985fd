//! Catching up on a peer's arrival log, and letting peers catch up on ours.
//!
//! In: `CatchUp`, `Arrivals`, `Take`, `Progress` frames. Out: the same, and versions.
//! Always: what this decides is only what is asked for sooner; a wrong place, a lie or a forged hint leaves sets that
//! differ, which comparison finds.
//! Spec: `spec/07-sync.md`, section 5. Tested: `node/tests/catching_up.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::arrivals::{Hint, LogPlace, read_hints, write_hints};
use super::frame::{Breach, versions_frames, write_frame};
use super::link::{ANSWERED_VERSIONS_MAX, CatchUp, CatchUpStage};
use super::output::{Operation, Output};
use super::peering::audience;
use super::{Node, Peer};
use crate::kind::Audience;
use crate::limits::{DIRECT_VERSIONS_MAX, HINTS_PER_ARRIVALS_MAX};
use crate::set::{SetKey, Slot};
use crate::time::UnixMillis;
use crate::v1;
use crate::v1::frame::Content;

/// Peers whose places are remembered, for both audiences together. Those who are not linked go first.
pub(super) const CURSORS_MAX: usize = 1_024;

/// Parts of one catch-up: sixteen times what this node's own log can make. A log that goes on for longer is compared instead.
pub(super) const CATCH_UP_PARTS_MAX: u32 = 128;

/// Between two looks at what changed, in milliseconds.
pub(super) const PROGRESS_INTERVAL_MS: u64 = 1_000;

/// How far this node has consumed its peers' logs. Kept in the store, so that a restart need not compare.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    places: BTreeMap<(Peer, Audience), LogPlace>,
    is_changed: bool,
}

impl Cursors {
    pub(super) fn get(&self, peer: &Peer, audience: Audience) -> Option<LogPlace> {
        self.places.get(&(*peer, audience)).copied()
    }

    /// Notes a place. `is_linked` tells who must not be forgotten for it.
    pub(super) fn set(&mut self, peer: Peer, audience: Audience, place: LogPlace, is_linked: impl Fn(&Peer) -> bool) {
        if self.places.insert((peer, audience), place) == Some(place) {
            return;
        }
        self.is_changed = true;
        if self.places.len() > CURSORS_MAX {
            let other = self.places.keys().find(|(other, _)| !is_linked(other)).copied();
            self.places.remove(&other.unwrap_or((peer, audience)));
        }
    }

    fn forget(&mut self, peer: &Peer, audience: Audience) {
        self.is_changed |= self.places.remove(&(*peer, audience)).is_some();
    }

    /// All places, if they changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> Option<Vec<(Peer, Audience, LogPlace)>> {
        let all = || self.places.iter().map(|((peer, audience), place)| (*peer, *audience, *place)).collect();
        std::mem::take(&mut self.is_changed).then(all)
    }
}

impl Node {
    pub(super) fn catch_up(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        audience: Audience,
        place: LogPlace,
        parts: u32,
        outputs: &mut Vec<Output>,
    ) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let want = link.fresh_id();
        link.has_caught_up[usize::from(audience.number())] = true;
        link.catch_up = Some(CatchUp {
            audience,
            want,
            stage: CatchUpStage::Asked,
            place,
            parts,
            hints: Vec::new(),
            missing: BTreeSet::new(),
            fingerprint: None,
            received: false,
            left: ANSWERED_VERSIONS_MAX,
            active_at: now,
        });
        let (audience, epoch, since) = (audience.number().into(), place.epoch, place.sequence);
        let frame = write_frame(Content::CatchUp(v1::CatchUp { audience, want, epoch, since }));
        outputs.push(Output::Send { to: vec![peer], frame });
    }

    /// A peer asks what arrived here since a place in our log.
    pub(super) fn on_catch_up(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        frame: &v1::CatchUp,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Breach> {
        let audience = audience(frame.audience)?;
        let number = usize::from(audience.number());
        let place = LogPlace { epoch: frame.epoch, sequence: frame.since };
        let arrived = self.logs[number].since(place, HINTS_PER_ARRIVALS_MAX).filter(|_| self.shares(&peer, audience));
        let mut reply = v1::Arrivals { want: frame.want, ..Default::default() };
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        let cost = arrived.as_ref().map_or(1, |(_, up_to)| (up_to.sequence - place.sequence) as usize + 1);
        if !link.may_compare(now, cost) {
            return Err(Breach::Budget { found: cost });
        }
        if let Some((keys, up_to)) = arrived {
            let index = &self.sets[number];
            let hints: Vec<Hint> =
                keys.iter().filter_map(|key| index.get(key).map(|entry| Hint::of(*key, &entry.vid))).collect();
            let is_all = up_to == self.logs[number].head();
            reply.through = up_to.sequence;
            if is_all {
                reply.fingerprint = index.total().fingerprint().to_vec();
            }
            let keys: Vec<SetKey> = hints.iter().map(|hint| hint.key).collect();
            if is_all && hints.len() <= DIRECT_VERSIONS_MAX {
                if !keys.is_empty() {
                    let slots = keys.into_iter().map(|key| Slot { audience, key }).collect();
                    outputs.push(Output::SendVersions { to: peer, want: frame.want, slots, more: false });
                }
            } else {
                reply.hints = write_hints(&hints);
                link.hinted = Some((frame.want, audience, keys));
            }
        } else {
            reply.stale = true;
        }
        outputs.push(Output::Send { to: vec![peer], frame: write_frame(Content::Arrivals(reply)) });
        Ok(())
    }

    /// A peer takes some of what the last `Arrivals` hinted at.
    pub(super) fn on_take(&mut self, peer: Peer, frame: &v1::Take, outputs: &mut Vec<Output>) -> Result<(), Breach> {
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        let hinted = link.hinted.as_ref().filter(|(want, ..)| *want == frame.want);
        let Some((_, audience, keys)) = hinted else {
            let frame = versions_frames(frame.want, [], false).swap_remove(0);
            outputs.push(Output::Send { to: vec![peer], frame });
            return Ok(());
        };
        let last = frame.wanted.last().map_or(0, |last| 8 - last.leading_zeros() as usize);
        let is_longer = frame.wanted.len() > keys.len().div_ceil(8);
        let found = if is_longer { frame.wanted.len() * 8 } else { frame.wanted.len().saturating_sub(1) * 8 + last };
        if found > keys.len() {
            let max = keys.len();
            return Err(Breach::TooMany { what: "bits in Take", found, max });
        }
        let is_taken = |i: usize| frame.wanted.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
        let taken = keys.iter().enumerate().filter(|(i, _)| is_taken(*i)).map(|(_, key)| *key);
        let (audience, keys): (Audience, Vec<SetKey>) = (*audience, taken.collect());
        self.send_keys(peer, frame.want, audience, keys, false, outputs);
        Ok(())
    }

    pub(super) fn on_arrivals(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        frame: &v1::Arrivals,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Breach> {
        let hints = read_hints(&frame.hints)?;
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        let is_asked = |catch_up: &&mut CatchUp| catch_up.want == frame.want && catch_up.stage == CatchUpStage::Asked;
        let Some(catch_up) = link.catch_up.as_mut().filter(is_asked) else { return Ok(()) };
        let number = usize::from(catch_up.audience.number());
        let fingerprint: Option<[u8; 16]> = frame.fingerprint.as_slice().try_into().ok();
        let is_endless = catch_up.parts >= CATCH_UP_PARTS_MAX || frame.through <= catch_up.place.sequence;
        let is_stuck = fingerprint.is_none() && is_endless;
        if frame.stale || is_stuck {
            self.cursors.forget(&peer, catch_up.audience);
            link.catch_up = None;
            (link.compare_at[number], link.differs[number]) = (now, true);
            self.ask_for_more(now, peer, outputs);
            return Ok(());
        }
        let index = &self.sets[number];
        let is_here = |hint: &&Hint| index.get(&hint.key).is_some_and(|entry| Hint::of(hint.key, &entry.vid) == **hint);
        catch_up.missing = hints.iter().filter(|hint| !is_here(hint)).map(|hint| hint.key).collect();
        (catch_up.hints, catch_up.fingerprint) = (hints, fingerprint);
        catch_up.place.sequence = frame.through;
        catch_up.active_at = now;
        self.take_or_go_on(now, peer, outputs);
        Ok(())
    }

    /// The versions of a `Take` are all here, or as many as fit into one answer.
    pub(super) fn on_taken(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        versions: &TakenVersions,
        outputs: &mut Vec<Output>,
    ) {
        let Some(catch_up) = self.links.get_mut(&peer).and_then(|link| link.catch_up.as_mut()) else { return };
        if catch_up.want != versions.want || catch_up.stage != CatchUpStage::Taking || !versions.is_last {
            return;
        }
        if !(versions.has_more && catch_up.received) {
            // What did not come is no longer held there.
            catch_up.missing.clear();
        }
        self.take_or_go_on(now, peer, outputs);
    }

    fn take_or_go_on(&mut self, now: UnixMillis, peer: Peer, outputs: &mut Vec<Output>) {
        let Some(catch_up) = self.links.get_mut(&peer).and_then(|link| link.catch_up.as_mut()) else { return };
        if !catch_up.missing.is_empty() {
            let mut wanted = vec![0; catch_up.hints.len().div_ceil(8)];
            for (i, hint) in catch_up.hints.iter().enumerate() {
                wanted[i / 8] |= u8::from(catch_up.missing.contains(&hint.key)) << (i % 8);
            }
            (catch_up.stage, catch_up.received) = (CatchUpStage::Taking, false);
            let frame = write_frame(Content::Take(v1::Take { want: catch_up.want, wanted }));
            outputs.push(Output::Send { to: vec![peer], frame });
        } else if let Some(fingerprint) = catch_up.fingerprint {
            catch_up.stage = CatchUpStage::Ended(fingerprint);
            self.ask_for_more(now, peer, outputs);
        } else {
            let (audience, place, parts) = (catch_up.audience, catch_up.place, catch_up.parts + 1);
            self.catch_up(now, peer, audience, place, parts, outputs);
        }
    }

    /// A peer says how far it has told us of its log, and how far it holds ours.
    pub(super) fn on_progress(&mut self, peer: Peer, frame: &v1::Progress) -> Result<(), Breach> {
        let audience = audience(frame.audience)?;
        let number = usize::from(audience.number());
        let head = self.logs[number].head().sequence;
        // A newcomer is told of the members' log before it knows that it talks to a member.
        let is_shared = self.shares(&peer, audience);
        let Some(link) = self.links.get_mut(&peer).filter(|_| is_shared) else { return Ok(()) };
        if let Some(heard) = &mut link.heard[number] {
            heard.sequence = heard.sequence.max(frame.sequence);
        }
        if frame.level && !link.has_refused[number] {
            (link.in_sync[number], link.is_level[number]) = (true, true);
        }
        let (before, held) = (link.acknowledged[number], frame.consumed.min(head));
        if held <= before {
            return Ok(());
        }
        link.acknowledged[number] = held;
        let news = (audience, before + 1)..=(audience, held);
        let held: Vec<_> = self.spread_places.range(news).map(|(_, vid)| *vid).collect();
        held.iter().for_each(|vid| self.note_held(vid, peer));
        Ok(())
    }

    /// Once a second: notes and keeps how far peers' logs are consumed, and tells peers how far they were told of ours.
    /// Announcements that wait must have been sent.
    pub(super) fn note_progress(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        if now.abs_diff(self.progress_noted_at) < PROGRESS_INTERVAL_MS {
            return;
        }
        self.progress_noted_at = now;
        for peer in self.broadcast.take_given_up() {
            self.note_not_held(&peer);
        }
        let awaited = self.broadcast.awaited_from();
        let linked: BTreeSet<Peer> = self.links.keys().copied().collect();
        for (peer, link) in &self.links {
            for audience in Audience::ALL {
                let number = usize::from(audience.number());
                let has_all = link.is_level[number] && link.is_idle() && !awaited.contains(peer);
                if let Some(heard) = link.heard[number].filter(|_| has_all) {
                    self.cursors.set(*peer, audience, heard, |peer| linked.contains(peer));
                }
            }
        }
        if let Some(places) = self.cursors.take_changed() {
            outputs.push(Output::Persist { operations: vec![Operation::Cursors { places }], durable: false });
        }
        if self.is_mirror {
            return;
        }
        let heads = [0, 1].map(|number: usize| self.logs[number].head().sequence);
        for (peer, link) in self.links.iter_mut().filter(|(_, link)| link.is_greeted) {
            for audience in Audience::ALL {
                let number = usize::from(audience.number());
                let place = self.cursors.get(peer, audience);
                let is_of_this_log = |place: &LogPlace| link.heard[number].is_some_and(|h| h.epoch == place.epoch);
                let consumed = place.filter(is_of_this_log).map_or(0, |place| place.sequence);
                let is_shared = audience == Audience::Public || link.org.is_some();
                // Where something was left out, only what is consumed is told.
                let sequence = link.told[number].map_or(0, |_| heads[number]);
                let is_told = link.told[number].is_none_or(|told| told == sequence);
                if !is_shared || (is_told && link.told_consumed[number] == consumed) {
                    continue;
                }
                link.told[number] = link.told[number].map(|_| sequence);
                link.told_consumed[number] = consumed;
                let audience = audience.number().into();
                let level = link.in_sync[number];
                let frame = write_frame(Content::Progress(v1::Progress { audience, sequence, consumed, level }));
                outputs.push(Output::Send { to: vec![*peer], frame });
            }
        }
    }
}

/// The head of a `Versions` frame.
pub(super) struct TakenVersions {
    pub(super) want: u64,
    pub(super) is_last: bool,
    pub(super) has_more: bool,
}
