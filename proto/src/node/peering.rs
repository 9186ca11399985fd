//! Links: greeting, and what each frame leads to.
//!
//! Spec: `spec/06-link.md`, sections 2 to 8; `spec/07-sync.md`, sections 3 and 4.

use std::collections::BTreeSet;

use super::burden::{self, Burden, LINK_BURDEN};
use super::catching_up::TakenVersions;
use super::frame::{Breach, read_compressed, read_frame, write_frame};
use super::link::{Lacking, Link};
use super::output::{Notice, Output};
use super::reconciling::lower_bound;
use super::spreading::{prune, read_route};
use super::{LogPlace, Node, Peer, versions_frames};
use crate::PROTOCOL_LEVEL;
use crate::canary::{Canary, is_out};
use crate::id::Vid;
use crate::kind::Audience;
use crate::limits::{FETCH_KEYS_MAX, FRAME_BYTES_MAX, OFFER_PAIRS_MAX, VERSIONS_PER_FRAME_MAX, WANT_KEYS_MAX};
use crate::network::members::Standing;
use crate::overlay::{DropReason, Ended, Source};
use crate::set::{SetKey, Slot};
use crate::sync::{Pair, read_keys, read_pairs, wanted, write_pairs};
use crate::time::UnixMillis;
use crate::v1;
use crate::v1::frame::Content;

/// A link whose peer belongs to no member is given so long for its card to arrive, in milliseconds.
pub(super) const MEMBERSHIP_WAIT_MS: u64 = 60_000;
/// Signers refuse beyond this difference of clocks, in milliseconds.
pub(super) const CLOCK_DIFFERENCE_MS_MAX: i64 = 2 * 60 * 1_000;

impl Node {
    pub(super) fn on_connected(&mut self, now: UnixMillis, peer: Peer, outbound: bool, outputs: &mut Vec<Output>) {
        let org = self.trust.node_owner(&peer).filter(|org| self.standing(org) == Standing::Member);
        self.links_made += 1;
        let mut link = Link::new(now, self.links_made, outbound, org);
        link.is_mirror = self.is_mirror_of(&peer, outbound, org);
        let is_mirror = link.is_mirror;
        link.told = [0, 1].map(|number: usize| Some(self.logs[number].head().sequence));
        self.unlink(now, &peer, Ended::Replaced);
        self.links.insert(peer, link);
        if !is_mirror {
            self.neighbours.connected(now, peer, outbound);
        }
        if !outbound && let Err(breach) = self.burdens.add(now, peer, Burden::Links, LINK_BURDEN) {
            self.break_off(now, peer, &breach, outputs);
            return;
        }
        if !self.neighbours.is_welcome(now, &peer) {
            let message = "this node was sent too much that no honest node sends; try again in half an hour".to_owned();
            self.part(now, peer, v1::ByeCode::Breach, message, outputs);
            return;
        }
        let shared = Audience::ALL.into_iter().filter(|audience| self.shares(&peer, *audience));
        let sets = shared.map(|audience| {
            let total = self.set(audience).total();
            let head = self.logs[usize::from(audience.number())].head();
            v1::SetSummary {
                audience: audience.number().into(),
                fingerprint: total.fingerprint().to_vec(),
                count: total.count,
                log_epoch: head.epoch,
                log_sequence: head.sequence,
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
        // There may be no room: that is said after Hello.
        self.mind_links(now, outputs);
    }

    /// True when this audience's records may go to the peer: members' records go to nodes of known members only.
    ///
    /// A newcomer's link to its inviter is up before the newcomer knows who is a member: until then it asks, and gives
    /// nothing but public records. A mirror, here or there, shares public records only.
    pub(super) fn shares(&self, peer: &Peer, audience: Audience) -> bool {
        audience == Audience::Public
            || is_out(Canary::Audience)
            || (!self.is_mirror && self.links.get(peer).is_some_and(|link| link.org.is_some()))
    }

    pub(super) fn on_received(&mut self, now: UnixMillis, peer: Peer, frame: &[u8], outputs: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&peer) else {
            outputs.push(Output::Processed { peer });
            return;
        };
        link.last_seen = now;
        let handled = read_frame(frame).and_then(|content| {
            if !matches!(content, Content::Versions(_) | Content::Compressed(_)) {
                self.burdens.add(now, peer, Burden::Frames, burden::of_frame(frame.len()))?;
            }
            self.on_content(now, peer, content, outputs)
        });
        match handled {
            // Versions give their permit back when their signatures are checked.
            Ok(true) => {}
            Ok(false) => outputs.push(Output::Processed { peer }),
            Err(breach) => {
                self.break_off(now, peer, &breach, outputs);
                outputs.push(Output::Processed { peer });
            }
        }
    }

    pub(super) fn on_oversized(&mut self, now: UnixMillis, peer: Peer, said: String, outputs: &mut Vec<Output>) {
        if self.links.contains_key(&peer) {
            self.break_off(now, peer, &Breach::NotRead { max: FRAME_BYTES_MAX, said }, outputs);
        }
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
                self.unlink(now, &peer, Node::farewell(bye.code()));
                outputs.push(Output::Notice(Notice::Farewell { peer, message }));
                outputs.push(Output::Close { peer });
                self.mind_links(now, outputs);
            }
            Content::Hello(hello) if !is_greeted => self.on_hello(now, peer, &hello, outputs)?,
            Content::Hello(_) => return Err(Breach::HelloOrder { what: "Hello came twice" }),
            _ if !is_greeted => return Err(Breach::HelloOrder { what: "another frame came before Hello" }),
            content if !self.hears(&peer, &content)? => {}
            Content::Versions(versions) => {
                let found = versions.envelopes.len();
                if found > VERSIONS_PER_FRAME_MAX {
                    return Err(Breach::TooMany { what: "envelopes in a frame", found, max: VERSIONS_PER_FRAME_MAX });
                }
                if let Some(link) = self.links.get_mut(&peer) {
                    link.received_versions += versions.envelopes.len() as u64;
                }
                let head = TakenVersions { want: versions.want, is_last: versions.last, has_more: versions.more };
                let is_asked = self.links.get_mut(&peer).is_some_and(|link| link.is_asked(head.want, found));
                if !is_asked {
                    let units = burden::of_versions(versions.envelopes.iter().map(Vec::as_slice));
                    self.burdens.add(now, peer, Burden::Frames, units)?;
                }
                let source = match &versions.route {
                    Some(route) if head.want == 0 => Source::Pushed { from: peer, route: read_route(route) },
                    _ => Source::Pulled { from: peer },
                };
                let keys = self.on_versions(now, peer, versions.envelopes, source, is_asked, outputs);
                let has_dropped = self.trust.take_dropped();
                if let Some(link) = self.links.get_mut(&peer) {
                    if has_dropped && head.want != 0 {
                        link.note_cards_lacking();
                    }
                    link.on_versions(now, head.want, &keys, head.is_last, head.has_more);
                }
                self.on_taken(now, peer, &head, outputs);
                self.ask_for_more(now, peer, outputs);
                return Ok(true);
            }
            Content::Reconcile(frame) => self.on_reconcile(now, peer, &frame, outputs)?,
            Content::CatchUp(frame) => self.on_catch_up(now, peer, &frame, outputs)?,
            Content::Arrivals(frame) => self.on_arrivals(now, peer, &frame, outputs)?,
            Content::Take(frame) => self.on_take(peer, &frame, outputs)?,
            Content::Progress(frame) => self.on_progress(peer, &frame)?,
            Content::Offer(offer) => {
                let audience = audience(offer.audience)?;
                let pairs = read_pairs(&offer.pairs, OFFER_PAIRS_MAX);
                let pairs = pairs.map_err(|reason| Breach::Keys { what: "an offer", reason })?;
                self.on_held(now, peer, audience, &pairs, offer.announced);
                if offer.announced {
                    return Ok(false);
                }
                let keys = read_keys(&offer.keys, OFFER_PAIRS_MAX.saturating_sub(pairs.len()));
                let keys = keys.map_err(|reason| Breach::Keys { what: "an offer", reason })?;
                let set = self.set(audience);
                let pairs = wanted(set, &pairs).map(|(key, vid)| (key, Lacking::Version(vid)));
                let places = keys.iter().map(|key| (*key, Lacking::OtherThan(set.get(key).map(|entry| entry.vid))));
                let wants: Vec<(SetKey, Lacking)> = pairs.chain(places).collect();
                if let Some(link) = self.links.get_mut(&peer) {
                    let number = usize::from(audience.number());
                    link.is_level[number] &= link.want(audience, wants);
                }
                self.ask_for_more(now, peer, outputs);
            }
            Content::Want(want) => {
                let audience = audience(want.audience)?;
                let keys = read_keys(&want.keys, WANT_KEYS_MAX);
                let keys = keys.map_err(|reason| Breach::Keys { what: "a want", reason })?;
                if want.graft {
                    self.broadcast.grafted(&peer);
                }
                self.send_keys(peer, want.want, audience, keys, false, outputs);
            }
            Content::Fetch(fetch) => {
                let audience = audience(fetch.audience)?;
                let lower = lower_bound(&fetch.lower)?;
                let upper = fetch.upper.as_deref().map(lower_bound).transpose()?;
                let mut keys: Vec<SetKey> = self
                    .set(audience)
                    .range(&lower, upper.as_ref())
                    .take(FETCH_KEYS_MAX + 1)
                    .map(|(key, _)| key)
                    .collect();
                let has_more = keys.len() > FETCH_KEYS_MAX;
                keys.truncate(FETCH_KEYS_MAX);
                self.send_keys(peer, fetch.want, audience, keys, has_more, outputs);
            }
            Content::Compressed(frame) => {
                let versions = read_compressed(&frame)?;
                return self.on_content(now, peer, Content::Versions(versions), outputs);
            }
            Content::Prune(_) => outputs.extend(self.broadcast.pruned(now, &peer).into_iter().map(prune)),
            Content::Neighbours(frame) => self.on_neighbours(now, peer, &frame)?,
            Content::Beat(beat) => self.on_beat(now, peer, &beat, outputs),
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
            self.part(now, peer, v1::ByeCode::WrongNetwork, message, outputs);
            return Ok(());
        }
        if (hello.level_min > PROTOCOL_LEVEL || hello.level < PROTOCOL_LEVEL) && !is_out(Canary::Level) {
            let message = format!(
                "the peer speaks protocol {} to {}, this node speaks {PROTOCOL_LEVEL}; upgrade the older side",
                hello.level_min, hello.level
            );
            self.part(now, peer, v1::ByeCode::IncompatibleLevel, message, outputs);
            return Ok(());
        }
        if hello.sets.len() > Audience::ALL.len() {
            return Err(Breach::TooMany { what: "sets in Hello", found: hello.sets.len(), max: Audience::ALL.len() });
        }
        let ahead_ms = difference(hello.clock_ms, now);
        let totals = Audience::ALL.map(|audience| (audience, self.set(audience).total()));
        self.tell_what_came_since_hello(now, peer, outputs);
        let is_mirror = self.links.get(&peer).is_some_and(|link| link.is_mirror);
        if !is_mirror && !self.broadcast.link_up(peer) {
            self.part(now, peer, v1::ByeCode::Elsewhere, DropReason::Crowded.to_string(), outputs);
            return Ok(());
        }
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        link.is_greeted = true;
        link.clock_ahead_ms = Some(ahead_ms);
        for (audience, total) in totals {
            let theirs = hello.sets.iter().find(|set| set.audience == u32::from(audience.number()));
            let number = usize::from(audience.number());
            link.in_sync[number] =
                theirs.is_some_and(|set| set.fingerprint == total.fingerprint() && set.count == total.count);
            link.heard[number] = theirs.map(|set| LogPlace { epoch: set.log_epoch, sequence: set.log_sequence });
            link.is_level[number] = link.in_sync[number];
            link.differs[number] = theirs.is_some() && !link.in_sync[number];
            // The one who dialled asks for both: two who ask at once would send each other what they just received.
            if link.outbound && !link.in_sync[number] {
                link.compare_at[number] = now;
            }
        }
        if ahead_ms.abs() > CLOCK_DIFFERENCE_MS_MAX {
            outputs.push(Output::Notice(Notice::ClockDiffers { peer, ahead_ms }));
        }
        self.pull_where_due(now, outputs);
        Ok(())
    }

    /// What arrived here between our Hello and the peer's was not pushed to it: it is offered now.
    fn tell_what_came_since_hello(&mut self, now: UnixMillis, peer: Peer, outputs: &mut Vec<Output>) {
        for audience in Audience::ALL {
            if self.is_mirror || !self.shares(&peer, audience) {
                continue;
            }
            let number = usize::from(audience.number());
            let head = self.logs[number].head();
            let Some(told) = self.links.get(&peer).and_then(|link| link.told[number]) else { continue };
            let place = LogPlace { sequence: told, ..head };
            let (keys, place) = self.logs[number].since(place, OFFER_PAIRS_MAX).unwrap_or_else(|| (Vec::new(), place));
            if place != head {
                self.leave_out(now, peer, audience);
            }
            let index = self.set(audience);
            let pairs: Vec<Pair> =
                keys.into_iter().filter_map(|key| index.get(&key).map(|entry| (key, entry.vid))).collect();
            if !pairs.is_empty() {
                outputs.push(Output::Send { to: vec![peer], frame: offer(audience, &pairs, false) });
            }
        }
    }

    /// Answers a request by the versions of those keys that are here and may go to the peer.
    pub(super) fn send_keys(
        &mut self,
        peer: Peer,
        want: u64,
        audience: Audience,
        keys: Vec<SetKey>,
        more: bool,
        outputs: &mut Vec<Output>,
    ) {
        let is_shared = self.shares(&peer, audience);
        let has = |key: &SetKey| is_shared && self.set(audience).get(key).is_some();
        let slots: Vec<Slot> = keys.into_iter().filter(has).map(|key| Slot { audience, key }).collect();
        if let Some(link) = self.links.get_mut(&peer) {
            link.sent_versions += slots.len() as u64;
        }
        if slots.is_empty() {
            let frame = versions_frames(want, [], false).swap_remove(0);
            outputs.push(Output::Send { to: vec![peer], frame });
        } else {
            outputs.push(Output::SendVersions { to: peer, want, slots, more });
        }
    }

    /// Tells peers that we hold what they sent: for them it has spread.
    pub(super) fn acknowledge(&self, acknowledged: &[(Peer, Slot, Vid)], outputs: &mut Vec<Output>) {
        let mut offers: std::collections::BTreeMap<(Peer, Audience), Vec<(SetKey, Vid)>> = Default::default();
        // Whoever is no member may show us a members' version, but is not told that we hold it.
        let is_told =
            |(peer, slot, _): &&(Peer, Slot, Vid)| self.links.contains_key(peer) && self.shares(peer, slot.audience);
        if self.is_mirror {
            return;
        }
        for (peer, slot, vid) in acknowledged.iter().filter(is_told) {
            offers.entry((*peer, slot.audience)).or_default().push((slot.key, *vid));
        }
        for ((peer, audience), mut pairs) in offers {
            pairs.sort_unstable();
            pairs.dedup_by_key(|(key, _)| *key);
            for pairs in pairs.chunks(OFFER_PAIRS_MAX) {
                outputs.push(Output::Send { to: vec![peer], frame: offer(audience, pairs, false) });
            }
        }
    }

    /// Members changed: from now on nothing of the members set goes to who is out. Returns who was in before.
    pub(super) fn match_links_to_members(&mut self) -> BTreeSet<Peer> {
        let peers: Vec<Peer> = self.links.keys().copied().collect();
        let mut were_members = BTreeSet::new();
        for peer in peers {
            let org = self.trust.node_owner(&peer).filter(|org| self.standing(org) == Standing::Member);
            if let Some(link) = self.links.get_mut(&peer)
                && std::mem::replace(&mut link.org, org).is_some()
            {
                were_members.insert(peer);
            }
        }
        were_members
    }

    /// Closes the links of those who are out, and compares the members set with those who are in.
    pub(super) fn follow_members(&mut self, now: UnixMillis, were_members: &BTreeSet<Peer>, outputs: &mut Vec<Output>) {
        let peers: Vec<Peer> = self.links.keys().copied().collect();
        for peer in peers {
            let Some(link) = self.links.get_mut(&peer) else { continue };
            let (was_member, org) = (were_members.contains(&peer), link.org);
            if !was_member && org.is_some() && link.outbound && link.is_greeted {
                link.compare_at[usize::from(Audience::Members.number())] = now;
            }
            if link.is_mirror && org.is_some() {
                let message = "this key is on a member's card now: connect again as its node".to_owned();
                self.part(now, peer, v1::ByeCode::Elsewhere, message, outputs);
            }
            if was_member && org.is_none() {
                let message = "this node's key is no longer on the card of a member".to_owned();
                self.part(now, peer, v1::ByeCode::NotAMember, message, outputs);
            }
        }
    }
}

pub(super) fn offer(audience: Audience, pairs: &[Pair], announced: bool) -> Vec<u8> {
    let audience = audience.number().into();
    write_frame(Content::Offer(v1::Offer { audience, pairs: write_pairs(pairs), announced, keys: Vec::new() }))
}

pub(super) fn audience(number: u32) -> Result<Audience, Breach> {
    Audience::from_number(number).ok_or(Breach::Audience { found: number })
}

fn difference(theirs: UnixMillis, ours: UnixMillis) -> i64 {
    let difference = i128::from(theirs) - i128::from(ours);
    difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}
