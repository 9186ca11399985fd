//! Links: greeting, frames, reconciliation, pushing.
//!
//! Spec: `spec/06-link.md`, sections 2 to 8; `spec/07-sync.md`, sections 3 to 5.

use std::collections::BTreeSet;

use super::frame::{Breach, read_frame, read_keys, read_pairs, write_frame, write_pairs};
use super::link::{Link, Session};
use super::output::{Notice, Output};
use super::{Node, Peer, versions_frames};
use crate::PROTOCOL_LEVEL;
use crate::id::Vid;
use crate::kind::Audience;
use crate::limits::{OFFER_PAIRS_MAX, OPEN_RANGES_PER_REQUEST_MAX, ROUNDS_MAX, VERSIONS_PER_FRAME_MAX, WANT_KEYS_MAX};
use crate::network::members::Standing;
use crate::set::{SetKey, Slot};
use crate::sync::{Range, RangeContent, answer, opening, read_ranges, wanted, write_ranges};
use crate::time::UnixMillis;
use crate::v1;
use crate::v1::frame::Content;

/// After a session that changed something, sets are compared again so soon, in milliseconds.
const COMPARE_DELAY_MS_MIN: u64 = 1_000;
/// The longest pause between comparisons of sets that are known to differ, in milliseconds.
const COMPARE_DELAY_MS_MAX: u64 = 60_000;
/// Requests of one session. Finding a million differences takes some 300; a peer whose replies ask for more is playing.
pub(super) const SESSION_REQUESTS_MAX: usize = 4_096;
/// A link whose peer belongs to no member is given so long for its card to arrive, in milliseconds.
pub(super) const MEMBERSHIP_WAIT_MS: u64 = 60_000;
/// Signers refuse beyond this difference of clocks, in milliseconds.
const CLOCK_DIFFERENCE_MS_MAX: i64 = 2 * 60 * 1_000;

impl Node {
    pub(super) fn on_connected(&mut self, now: UnixMillis, peer: Peer, outbound: bool, outputs: &mut Vec<Output>) {
        let org = self.trust.node_owner(&peer).filter(|org| self.standing(org) == Standing::Member);
        self.links.insert(peer, Link::new(now, outbound, org));
        let shared = Audience::ALL.into_iter().filter(|audience| self.shares(&peer, *audience));
        let sets = shared.map(|audience| {
            let total = self.set(audience).total();
            v1::SetSummary {
                audience: audience.number().into(),
                fingerprint: total.fingerprint().to_vec(),
                count: total.count,
                ..Default::default()
            }
        });
        let hello = v1::Hello {
            level: PROTOCOL_LEVEL,
            level_min: PROTOCOL_LEVEL,
            network: self.network().0.to_vec(),
            clock_ms: now,
            sets: sets.collect(),
            software: concat!("fingerpost/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        outputs.push(Output::Send { to: vec![peer], frame: write_frame(Content::Hello(hello)) });
    }

    /// True when this audience's records may go to the peer: members' records go to nodes of known members only.
    ///
    /// A newcomer's link to its inviter is up before the newcomer knows who is a member: until then it asks, and gives
    /// nothing but public records.
    pub(super) fn shares(&self, peer: &Peer, audience: Audience) -> bool {
        audience == Audience::Public || self.links.get(peer).is_some_and(|link| link.org.is_some())
    }

    pub(super) fn on_received(&mut self, now: UnixMillis, peer: Peer, frame: &[u8], outputs: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&peer) else {
            outputs.push(Output::Processed { peer });
            return;
        };
        link.last_seen = now;
        let handled = read_frame(frame).and_then(|content| self.on_content(now, peer, content, outputs));
        match handled {
            // Versions give their permit back when their signatures are checked.
            Ok(true) => {}
            Ok(false) => outputs.push(Output::Processed { peer }),
            Err(breach) => {
                self.break_off(peer, &breach, outputs);
                outputs.push(Output::Processed { peer });
            }
        }
    }

    /// Closes a link whose peer broke the specification.
    pub(super) fn break_off(&mut self, peer: Peer, breach: &Breach, outputs: &mut Vec<Output>) {
        self.part(peer, v1::ByeCode::Breach, breach.to_string(), outputs);
    }

    fn part(&mut self, peer: Peer, code: v1::ByeCode, message: String, outputs: &mut Vec<Output>) {
        self.links.remove(&peer);
        outputs.push(Output::Disconnect { peer, code, message });
    }

    /// Handles one frame. True when the frame's permit is given back later.
    fn on_content(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        content: Content,
        outputs: &mut Vec<Output>,
    ) -> Result<bool, Breach> {
        let is_greeted = self.links.get(&peer).is_some_and(|link| link.is_greeted);
        match content {
            Content::Bye(bye) => {
                let message = bye.message.chars().filter(|character| !character.is_control()).take(300).collect();
                self.links.remove(&peer);
                outputs.push(Output::Notice(Notice::Farewell { peer, message }));
                outputs.push(Output::Close { peer });
            }
            Content::Hello(hello) if !is_greeted => self.on_hello(now, peer, &hello, outputs)?,
            Content::Hello(_) => return Err(Breach::HelloOrder { what: "Hello came twice" }),
            _ if !is_greeted => return Err(Breach::HelloOrder { what: "another frame came before Hello" }),
            Content::Versions(versions) => {
                let found = versions.envelopes.len();
                if found > VERSIONS_PER_FRAME_MAX {
                    return Err(Breach::TooMany { what: "envelopes in a frame", found, max: VERSIONS_PER_FRAME_MAX });
                }
                if let Some(link) = self.links.get_mut(&peer) {
                    link.received_versions += versions.envelopes.len() as u64;
                }
                let keys = self.on_versions(now, peer, versions.envelopes, outputs);
                if let Some(link) = self.links.get_mut(&peer) {
                    link.on_versions(now, versions.want, &keys, versions.last);
                }
                self.ask_for_more(now, peer, outputs);
                return Ok(true);
            }
            Content::Reconcile(frame) => self.on_reconcile(now, peer, &frame, outputs)?,
            Content::Offer(offer) => {
                let audience = audience(offer.audience)?;
                let pairs = read_pairs("an offer", &offer.pairs, OFFER_PAIRS_MAX)?;
                let index = self.set(audience);
                let wants: Vec<_> = wanted(index, &pairs).collect();
                for (_, vid) in &pairs {
                    self.note_held(vid, peer);
                }
                if let Some(link) = self.links.get_mut(&peer) {
                    link.want(audience, wants);
                }
                self.ask_for_more(now, peer, outputs);
            }
            Content::Want(want) => {
                let audience = audience(want.audience)?;
                let keys = read_keys("a want", &want.keys, WANT_KEYS_MAX)?;
                let is_shared = self.shares(&peer, audience);
                let has = |key: &SetKey| is_shared && self.set(audience).get(key).is_some();
                let keys: BTreeSet<SetKey> = keys.into_iter().filter(has).collect();
                let slots: Vec<Slot> = keys.into_iter().map(|key| Slot { audience, key }).collect();
                if let Some(link) = self.links.get_mut(&peer) {
                    link.sent_versions += slots.len() as u64;
                }
                if slots.is_empty() {
                    let frame = versions_frames(want.want, []).swap_remove(0);
                    outputs.push(Output::Send { to: vec![peer], frame });
                } else {
                    outputs.push(Output::SendVersions { to: peer, want: want.want, slots });
                }
            }
            Content::Ping(ping) => {
                let pong = Content::Pong(v1::Ping { nonce: ping.nonce, clock_ms: now });
                outputs.push(Output::Send { to: vec![peer], frame: write_frame(pong) });
            }
            Content::Pong(pong) => {
                if let Some(link) = self.links.get_mut(&peer)
                    && let Some(sent_at) = link.ping_sent_at.take().filter(|sent_at| *sent_at == pong.nonce)
                {
                    let round_trip_ms = now.saturating_sub(sent_at);
                    link.round_trip_ms = Some(round_trip_ms);
                    link.clock_ahead_ms = Some(difference(pong.clock_ms, sent_at + round_trip_ms / 2));
                }
            }
        }
        Ok(false)
    }

    fn on_hello(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        hello: &v1::Hello,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Breach> {
        if hello.network != self.network().0 {
            let message = format!("this link is for network {}; the other side is in another one", self.network());
            self.part(peer, v1::ByeCode::WrongNetwork, message, outputs);
            return Ok(());
        }
        if hello.level_min > PROTOCOL_LEVEL || hello.level < PROTOCOL_LEVEL {
            let message = format!(
                "the peer speaks protocol {} to {}, this node speaks {PROTOCOL_LEVEL}; upgrade the older side",
                hello.level_min, hello.level
            );
            self.part(peer, v1::ByeCode::IncompatibleLevel, message, outputs);
            return Ok(());
        }
        if hello.sets.len() > Audience::ALL.len() {
            return Err(Breach::TooMany { what: "sets in Hello", found: hello.sets.len(), max: Audience::ALL.len() });
        }
        let ahead_ms = difference(hello.clock_ms, now);
        let totals = Audience::ALL.map(|audience| (audience, self.set(audience).total()));
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        link.is_greeted = true;
        link.clock_ahead_ms = Some(ahead_ms);
        for (audience, total) in totals {
            let theirs = hello.sets.iter().find(|set| set.audience == u32::from(audience.number()));
            let number = usize::from(audience.number());
            link.in_sync[number] =
                theirs.is_some_and(|set| set.fingerprint == total.fingerprint() && set.count == total.count);
            if !link.in_sync[number] && link.outbound {
                link.compare_at[number] = now;
            }
        }
        if ahead_ms.abs() > CLOCK_DIFFERENCE_MS_MAX {
            outputs.push(Output::Notice(Notice::ClockDiffers { peer, ahead_ms }));
        }
        self.compare_where_due(now, outputs);
        Ok(())
    }

    /// Starts a session on each link where one is due and none runs.
    pub(super) fn compare_where_due(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let due: Vec<(Peer, Audience)> = self
            .links
            .iter()
            .filter(|(_, link)| link.is_greeted && link.is_idle())
            .filter_map(|(peer, link)| {
                let audience = Audience::ALL
                    .into_iter()
                    .filter(|audience| self.shares(peer, *audience))
                    .find(|audience| link.compare_at[usize::from(audience.number())] <= now)?;
                Some((*peer, audience))
            })
            .collect();
        for (peer, audience) in due {
            let ranges = opening(self.set(audience));
            let Some(link) = self.links.get_mut(&peer) else { continue };
            let id = link.fresh_id();
            link.compare_at[usize::from(audience.number())] = UnixMillis::MAX;
            link.session =
                Some(Session { id, audience, outstanding: 1, requests: 1, found_difference: false, active_at: now });
            let frame = reconcile(audience, id, 0, false, SetKey::default(), &ranges);
            outputs.push(Output::Send { to: vec![peer], frame });
        }
    }

    fn on_reconcile(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        frame: &v1::Reconcile,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Breach> {
        let audience = audience(frame.audience)?;
        // Requests have even rounds, replies odd ones.
        if frame.round >= ROUNDS_MAX || (frame.round % 2 == 1) != frame.reply {
            return Err(Breach::Rounds { found: frame.round, max: ROUNDS_MAX });
        }
        let lower = SetKey::from_slice(&frame.lower);
        let lower =
            lower.ok_or(Breach::Uneven { what: "a lower bound", found: frame.lower.len(), element: SetKey::BYTES })?;
        let ranges = read_ranges(lower, &frame.ranges, frame.reply)?;
        if frame.reply {
            let session = self.links.get_mut(&peer).and_then(|link| link.session.as_mut());
            let Some(session) = session.filter(|session| session.id == frame.session && session.audience == audience)
            else {
                return Ok(());
            };
            session.active_at = now;
            session.outstanding = session.outstanding.saturating_sub(1);
        }
        if !self.shares(&peer, audience) && !frame.reply {
            // As if nothing of this audience were here.
            let nothing = vec![Range { upper: None, content: RangeContent::Skip }];
            let frame = reconcile(audience, frame.session, frame.round + 1, true, lower, &nothing);
            outputs.push(Output::Send { to: vec![peer], frame });
            return Ok(());
        }
        let mut answer = answer(self.set(audience), lower, &ranges);
        if !self.shares(&peer, audience) {
            answer.offers.clear();
        }
        for pairs in answer.offers.chunks(OFFER_PAIRS_MAX) {
            let offer = v1::Offer { audience: audience.number().into(), pairs: write_pairs(pairs) };
            outputs.push(Output::Send { to: vec![peer], frame: write_frame(Content::Offer(offer)) });
        }
        let is_difference = !answer.offers.is_empty() || !answer.wants.is_empty() || !answer.ranges.is_empty();
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        link.want(audience, answer.wants);
        if frame.reply {
            let mut requests = Vec::new();
            let mut from = lower;
            let mut batch: Vec<Range> = Vec::new();
            let mut open = 0;
            for range in answer.ranges {
                open += usize::from(range.content != RangeContent::Skip);
                let upper = range.upper;
                batch.push(range);
                if open == OPEN_RANGES_PER_REQUEST_MAX {
                    requests.push((from, std::mem::take(&mut batch)));
                    open = 0;
                    from = upper.unwrap_or(from);
                }
            }
            if open > 0 {
                requests.push((from, batch));
            }
            let round = frame.round + 1;
            let Some(session) = &mut link.session else { return Ok(()) };
            session.found_difference |= is_difference;
            if session.requests as usize + requests.len() > SESSION_REQUESTS_MAX {
                let found = session.requests as usize + requests.len();
                return Err(Breach::TooMany { what: "requests in a session", found, max: SESSION_REQUESTS_MAX });
            }
            if round < ROUNDS_MAX {
                session.outstanding += requests.len() as u32;
                session.requests += requests.len() as u32;
                for (from, ranges) in requests {
                    let frame = reconcile(audience, frame.session, round, false, from, &ranges);
                    outputs.push(Output::Send { to: vec![peer], frame });
                }
            }
            if session.outstanding == 0 {
                self.end_session(now, peer, outputs);
            }
        } else {
            if frame.round == 0 {
                link.in_sync[usize::from(audience.number())] = !is_difference;
            }
            let ranges = if answer.ranges.is_empty() {
                vec![Range { upper: None, content: RangeContent::Skip }]
            } else {
                answer.ranges
            };
            let frame = reconcile(audience, frame.session, frame.round + 1, true, lower, &ranges);
            outputs.push(Output::Send { to: vec![peer], frame });
        }
        self.ask_for_more(now, peer, outputs);
        Ok(())
    }

    /// The session's last request is answered: compare again soon if it found anything, until sets are equal.
    fn end_session(&mut self, now: UnixMillis, peer: Peer, outputs: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let Some(session) = link.session.take() else { return };
        let number = usize::from(session.audience.number());
        link.in_sync[number] = !session.found_difference;
        if session.found_difference {
            link.compare_delay_ms = (link.compare_delay_ms * 2).clamp(COMPARE_DELAY_MS_MIN, COMPARE_DELAY_MS_MAX);
            link.compare_at[number] = now.saturating_add(link.compare_delay_ms);
        } else {
            link.compare_delay_ms = 0;
            outputs.push(Output::Notice(Notice::InSync { peer, audience: session.audience }));
        }
    }

    /// Sends the next requests for versions, as many as may be open.
    pub(super) fn ask_for_more(&mut self, now: UnixMillis, peer: Peer, outputs: &mut Vec<Output>) {
        let sets = &self.sets;
        let Some(link) = self.links.get_mut(&peer) else { return };
        let is_missing = |slot: &Slot, vid: &Vid| {
            let entry = sets[usize::from(slot.audience.number())].get(&slot.key);
            entry.is_none_or(|entry| entry.vid != *vid)
        };
        while let Some((want, audience, keys)) = link.next_want(now, is_missing) {
            let keys = keys.iter().flat_map(|key| key.0).collect();
            let frame = write_frame(Content::Want(v1::Want { audience: audience.number().into(), want, keys }));
            outputs.push(Output::Send { to: vec![peer], frame });
        }
        self.compare_where_due(now, outputs);
    }

    /// Sends newly accepted versions to every greeted link except the one that each came from.
    pub(super) fn push_to_links(
        &mut self,
        accepted: Vec<(Option<Peer>, Slot, Vid, Vec<u8>)>,
        outputs: &mut Vec<Output>,
    ) {
        let mut groups: Vec<(Option<Peer>, Audience, Vec<Vec<u8>>)> = Vec::new();
        for (from, slot, _, envelope) in accepted {
            match groups.last_mut() {
                Some((last, audience, envelopes)) if *last == from && *audience == slot.audience => {
                    envelopes.push(envelope)
                }
                _ => groups.push((from, slot.audience, vec![envelope])),
            }
        }
        for (from, audience, envelopes) in groups {
            let mut to = Vec::new();
            let is_receiver = |peer: &Peer, link: &Link| {
                link.is_greeted && Some(*peer) != from && (audience == Audience::Public || link.org.is_some())
            };
            for (peer, link) in self.links.iter_mut().filter(|(peer, link)| is_receiver(peer, link)) {
                link.sent_versions += envelopes.len() as u64;
                to.push(*peer);
            }
            if to.is_empty() {
                continue;
            }
            for frame in versions_frames(0, envelopes) {
                outputs.push(Output::Send { to: to.clone(), frame });
            }
        }
    }

    /// Tells peers that we hold what they sent: for them it has spread.
    pub(super) fn acknowledge(&self, acknowledged: &[(Peer, Slot, Vid)], outputs: &mut Vec<Output>) {
        let mut offers: std::collections::BTreeMap<(Peer, Audience), Vec<(SetKey, Vid)>> = Default::default();
        // Whoever is no member may show us a members' version, but is not told that we hold it.
        let is_told =
            |(peer, slot, _): &&(Peer, Slot, Vid)| self.links.contains_key(peer) && self.shares(peer, slot.audience);
        for (peer, slot, vid) in acknowledged.iter().filter(is_told) {
            offers.entry((*peer, slot.audience)).or_default().push((slot.key, *vid));
        }
        for ((peer, audience), pairs) in offers {
            for pairs in pairs.chunks(OFFER_PAIRS_MAX) {
                let offer = v1::Offer { audience: audience.number().into(), pairs: write_pairs(pairs) };
                outputs.push(Output::Send { to: vec![peer], frame: write_frame(Content::Offer(offer)) });
            }
        }
    }

    /// Members changed: links of those who are out are closed, links of those who are in get their organisation.
    pub(super) fn match_links_to_members(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let peers: Vec<Peer> = self.links.keys().copied().collect();
        for peer in peers {
            let org = self.trust.node_owner(&peer).filter(|org| self.standing(org) == Standing::Member);
            let Some(link) = self.links.get_mut(&peer) else { continue };
            let was_member = link.org.is_some();
            link.org = org;
            if !was_member && org.is_some() && link.outbound && link.is_greeted {
                link.compare_at[usize::from(Audience::Members.number())] = now;
            }
            if was_member && org.is_none() {
                let message = "this node's organisation is no longer a member".to_owned();
                self.part(peer, v1::ByeCode::NotAMember, message, outputs);
            }
        }
    }
}

fn audience(number: u32) -> Result<Audience, Breach> {
    Audience::from_number(number).ok_or(Breach::Audience { found: number })
}

fn reconcile(audience: Audience, session: u64, round: u32, reply: bool, lower: SetKey, ranges: &[Range]) -> Vec<u8> {
    let audience = audience.number().into();
    let (lower, ranges) = (lower.0.to_vec(), write_ranges(ranges));
    write_frame(Content::Reconcile(v1::Reconcile { audience, session, round, reply, lower, ranges }))
}

fn difference(theirs: UnixMillis, ours: UnixMillis) -> i64 {
    let difference = i128::from(theirs) - i128::from(ours);
    difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}
