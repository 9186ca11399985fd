//! What heads say of the sets here: whose records are complete, and whose are not. And this node's own heads.
//!
//! In: heads and records as they enter the sets, time. Out: [`Output::Sign`] for own heads, comparisons with other peers where
//! something is lacking, notices for people.
//! Always: nothing is accepted or refused because of a head; `known` lists the heads that are in the sets.
//! Spec: `spec/15-heads.md`. Tested: `node/tests/heads.rs`, the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use super::upkeep::is_ahead;
use super::{Node, Notice, Output};
use crate::canary::{Canary, is_out};
use crate::head::{Cover, HEAD_LEASE_DAYS, Head};
use crate::id::OrgId;
use crate::kind::{Audience, Class, Kind};
use crate::network::members::Standing;
use crate::set::{Entry, SetKey, Slot};
use crate::time::{Hlc, UnixHour, UnixMillis};
use crate::version::{Header, SignedVersion};

/// An own head is signed when the records have not changed for so long, in milliseconds: a batch has one head.
pub(super) const HEAD_QUIET_MS: u64 = 2_000;
/// While they go on changing, own heads are signed so often, in milliseconds.
pub(super) const HEAD_INTERVAL_MS: u64 = 30_000;
/// An own head is signed anew at this age, in milliseconds, although nothing changed: readers see that somebody is there.
pub(super) const HEAD_AGE_MS_MAX: u64 = 20 * 60 * 60 * 1_000;
/// A node without links signs heads after so long, in milliseconds. Others compare sets first: after a backup was restored they
/// lack what peers have.
pub(super) const HEAD_ALONE_MS: u64 = 600_000;
/// Entries that are compared with heads in one tick; the rest waits for the next.
pub(super) const HEAD_ENTRIES_PER_TICK: usize = 65_536;
/// Where something is lacking, sets are compared with all peers so often, in milliseconds.
pub(super) const LACKING_RETRY_MS: u64 = 60_000;
/// Records that are so much newer than their newest head ask for another one, in milliseconds: no honest signer takes so long.
pub(super) const HEAD_LATE_MS: u64 = 60 * 60 * 1_000;
/// Heads of one other copy of this node that are answered with an own one.
pub(super) const COPY_ANSWERS_MAX: u32 = 16;

/// Heads in the sets, and what was found by them.
#[derive(Debug, Default)]
pub(super) struct Heads {
    known: BTreeMap<(Audience, OrgId), Known>,
    /// To be compared with what is here.
    unchecked: BTreeSet<(Audience, OrgId)>,
    /// Where the last check ended; the next goes on there, so that nobody is passed over.
    checked_last: Option<(Audience, OrgId)>,
    lacking: BTreeSet<(Audience, OrgId)>,
    signer: Option<Signer>,
    /// Nothing is taken from admins until sets were compared.
    waits: bool,
}

#[derive(Debug, Default)]
struct Known {
    /// One of each device.
    heads: Vec<Head>,
    complete_as_of: Option<Hlc>,
    lacking_since: Option<UnixMillis>,
    /// How many versions the head counts, and how many of them were here when that began.
    lacking: (u64, u64),
    /// When sets were last compared because of it.
    compared_at: UnixMillis,
}

impl Known {
    fn newest(&self) -> Option<&Head> {
        self.heads.iter().max_by_key(|head| (head.hlc, head.vid))
    }
}

/// What this node needs to sign heads of its organisation.
#[derive(Debug)]
struct Signer {
    /// The number of the home in the upper half. The lower half is another one at each start, and after each head of this node that is
    /// gone without a later one: its clock may come again, and two heads of one clock and incarnation would accuse this node.
    incarnation: u64,
    /// By audience number: when records changed last, unless a head was asked for since.
    changed_at: [Option<UnixMillis>; 2],
    /// By audience number: another node of the organisation has signed a head that does not fit here. Two that differ for long
    /// must not answer each other at once for ever.
    differs: [bool; 2],
    /// When a head was asked for last.
    asked_at: [Option<UnixMillis>; 2],
    /// A peer's set was equal since the start.
    has_compared: [bool; 2],
    started_at: Option<UnixMillis>,
    second_copy_at: Option<Hlc>,
    set_back_at: Option<Hlc>,
    /// Incarnation of the copy that was last met, and how many of its heads were answered.
    copy_met: Option<(u64, u32)>,
    /// By audience number: a head is due although the newest one fits, for that is another copy's.
    owes_copy: [bool; 2],
}

impl Signer {
    /// A head that this node's key signed and that a peer brought: by another copy of this home, or by this one before it was
    /// set back to an older state.
    fn meet(&mut self, head: &Head, audience: Audience) -> Option<Notice> {
        if head.incarnation >> 32 == self.incarnation >> 32 {
            let next = blake3::hash(&[&self.incarnation.to_be_bytes()[..], &head.vid.0].concat());
            self.incarnation = u64::from_le_bytes(std::array::from_fn(|i| next.as_bytes()[i]));
            self.set_back_at = Some(head.hlc);
            return Some(Notice::SetBack { signed_at: head.hlc });
        }
        if self.started_at.is_none_or(|at| head.hlc.ms() <= at) {
            return None;
        }
        self.second_copy_at = Some(head.hlc);
        // The people at the other copy hear of this one by its head. That may be superseded before it is there, as two copies take
        // each other's links; so more than one head is answered, and not for ever.
        let answered = self.copy_met.filter(|(met, _)| *met == head.incarnation).map_or(0, |(_, answered)| answered);
        if answered < COPY_ANSWERS_MAX {
            self.copy_met = Some((head.incarnation, answered + 1));
            let number = usize::from(audience.number());
            (self.changed_at[number], self.owes_copy[number]) = (self.changed_at[number].or(self.started_at), true);
        }
        Some(Notice::SecondCopy { signed_at: head.hlc })
    }

    /// An own head left its set, and none came for it.
    fn lose(&mut self, slot: &Slot) {
        let next = blake3::hash(&[&self.incarnation.to_be_bytes()[..], &slot.key.0].concat());
        let next = u32::from_be_bytes(std::array::from_fn(|i| next.as_bytes()[i]));
        self.incarnation = self.incarnation >> 32 << 32 | u64::from(next);
    }
}

/// How much of an organisation's records is here, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// Clock of its newest head.
    pub head: Hlc,
    /// Clock of the newest head that fitted exactly what was here.
    pub complete_as_of: Option<Hlc>,
    /// Since when a head says that something is lacking here, or is something else.
    pub lacking_since: Option<UnixMillis>,
}

impl Node {
    /// Has this node sign heads of its organisation, from now on. `home` is a random number that its home keeps, and that
    /// is drawn anew when the home turns out to be a copy.
    pub fn sign_heads(&mut self, home: u32) {
        // The epoch of the arrival logs is another one at each start.
        let start = self.logs[0].head().epoch & u64::from(u32::MAX);
        self.heads.signer = Some(Signer {
            incarnation: u64::from(home) << 32 | start,
            changed_at: [None; 2],
            differs: [false; 2],
            asked_at: [None; 2],
            has_compared: [false; 2],
            started_at: None,
            second_copy_at: None,
            set_back_at: None,
            copy_met: None,
            owes_copy: [false; 2],
        });
    }

    /// True once [`Node::sign_heads`] was called.
    pub(super) fn signs_heads(&self) -> bool {
        self.heads.signer.is_some()
    }

    /// Has this node take nothing from its admins until it has compared its sets with a peer: its home is a copy, or was set
    /// back, and may lack what it published itself. For nodes that sign heads.
    pub fn wait_for_peers(&mut self) {
        self.heads.waits = true;
    }

    /// True from [`Node::wait_for_peers`] until then.
    pub fn waits_for_peers(&self) -> bool {
        self.heads.waits && !is_out(Canary::WaitForPeers)
    }

    /// When another copy of this node signed a head last, and when this node met a head of its own that it had lost.
    pub fn copies(&self) -> (Option<Hlc>, Option<Hlc>) {
        self.heads.signer.as_ref().map_or((None, None), |signer| (signer.second_copy_at, signer.set_back_at))
    }

    /// How much of an organisation's records of an audience is here, by its heads; `None` when it has no head here.
    pub fn completeness(&self, audience: Audience, org: &OrgId) -> Option<Completeness> {
        let known = self.heads.known.get(&(audience, *org))?;
        let head = known.newest()?.hlc;
        Some(Completeness { head, complete_as_of: known.complete_as_of, lacking_since: known.lacking_since })
    }

    /// A head came into its set: from a peer unless `is_ours`.
    pub(super) fn note_head(&mut self, version: &SignedVersion, is_ours: bool, notices: &mut Vec<Notice>) {
        let header = version.header();
        // A withdrawn head is none; other bodies were refused.
        let read = Head::read(header, version.vid(), version.body());
        let at = (header.audience, header.org);
        let known = self.heads.known.entry(at).or_default();
        let slot = Slot::of(header);
        known.heads.retain(|head| head.slot() != slot);
        if !version.is_withdrawal()
            && let Ok(head) = read
        {
            if !is_ours && head.device == *self.own.as_bytes() {
                notices.extend(self.heads.signer.as_mut().and_then(|signer| signer.meet(&head, at.0)));
            }
            known.heads.push(head);
        }
        self.heads.unchecked.insert(at);
        self.heads.forget_empty(&at);
    }

    /// A record came, or left.
    pub(super) fn note_record(&mut self, audience: Audience, org: OrgId) {
        if self.heads.known.contains_key(&(audience, org)) {
            self.heads.unchecked.insert((audience, org));
        }
        if self.own_organisation() == Some(org)
            && let Some(signer) = &mut self.heads.signer
        {
            signer.changed_at[usize::from(audience.number())] = Some(self.ticked_at);
        }
    }

    /// An entry left its set.
    pub(super) fn note_left(&mut self, slot: &Slot, entry: &Entry) {
        let org = self.devices.device(entry.device).0;
        match slot.key.class() {
            Class::Record => self.note_record(slot.audience, org),
            Class::Upkeep => {
                self.forget_witness(slot);
                let at = (slot.audience, org);
                if let Some(known) = self.heads.known.get_mut(&at) {
                    let is_own = |head: &Head| head.slot() == *slot && head.device == *self.own.as_bytes();
                    if let (true, Some(signer)) = (known.heads.iter().any(is_own), &mut self.heads.signer) {
                        signer.lose(slot);
                    }
                    known.heads.retain(|head| head.slot() != *slot);
                    self.heads.unchecked.insert(at);
                }
                self.heads.forget_empty(&at);
            }
            Class::Network => {}
        }
    }

    pub(super) fn mind_heads(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        self.check_heads(now, outputs);
        self.look_for_what_lacks(now, outputs);
        self.follow_comparisons(now);
        for audience in Audience::ALL {
            self.sign_head_if_due(now, audience, outputs);
        }
    }

    /// After a leap of the clock.
    pub(super) fn shift_heads(&mut self, shift: impl Fn(&mut UnixMillis)) {
        self.shift_witness(&shift);
        for known in self.heads.known.values_mut() {
            known.lacking_since.iter_mut().chain([&mut known.compared_at]).for_each(&shift);
        }
        if let Some(signer) = &mut self.heads.signer {
            signer.changed_at.iter_mut().chain(&mut signer.asked_at).flatten().for_each(&shift);
            signer.started_at.iter_mut().for_each(&shift);
        }
    }

    /// The newest head of an organisation for an audience.
    pub(super) fn newest_head(&self, audience: Audience, org: &OrgId) -> Option<&Head> {
        self.heads.known.get(&(audience, *org))?.newest()
    }

    /// An organisation's records of one audience, in the order of their keys.
    pub(super) fn records_of(&self, audience: Audience, org: OrgId) -> impl Iterator<Item = Entry> + '_ {
        let first = SetKey::first_of(Class::Record, &org);
        let near = self.set(audience).range(&first, None).take_while(move |(key, _)| key.0[..8] == first.0[..8]);
        near.map(|(_, entry)| entry).filter(move |entry| self.devices.device(entry.device).0 == org)
    }

    fn check_heads(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let own = self.own_organisation();
        let mut looked_at = 0;
        while looked_at < HEAD_ENTRIES_PER_TICK {
            let after = self.heads.checked_last.map_or(Unbounded, Excluded);
            let next = self.heads.unchecked.range((after, Unbounded)).next().or_else(|| self.heads.unchecked.first());
            let Some(at) = next.copied() else { break };
            self.heads.unchecked.remove(&at);
            self.heads.checked_last = Some(at);
            let (audience, org) = at;
            let Some(head) = self.heads.known.get(&at).and_then(Known::newest).cloned() else { continue };
            let mut newest = Hlc(0);
            let entries = self.records_of(audience, org).inspect(|entry| {
                looked_at += 1;
                newest = newest.max(entry.hlc);
            });
            let found = Cover::of(entries, head.cover.from, head.hlc);
            looked_at += 1;
            let is_complete = found == head.cover || is_out(Canary::HeadCover);
            // Something newer may have replaced what the head covers: its own head is on the way.
            let is_moving = newest > head.hlc && newest.ms() - head.hlc.ms() <= HEAD_LATE_MS;
            let Some(known) = self.heads.known.get_mut(&at) else { continue };
            let before = (known.complete_as_of, known.lacking_since);
            if is_complete {
                // Not the greater of two: a head that left again, for its clock was ahead, says nothing any more.
                known.complete_as_of = Some(head.hlc);
                known.lacking_since = None;
                self.heads.lacking.remove(&at);
            } else if !is_moving && known.lacking_since.is_none() {
                known.lacking_since = Some(now);
                self.heads.lacking.insert(at);
                known.lacking = (head.cover.count, found.count);
            }
            if !is_complete && let Some(signer) = self.heads.signer.as_mut().filter(|_| own == Some(org)) {
                // By another node of this organisation, which had not heard of the latest change.
                signer.differs[usize::from(audience.number())] = true;
            }
            if (known.complete_as_of, known.lacking_since) != before {
                outputs.push(Output::Notice(Notice::Completeness { org, audience }));
            }
        }
    }

    /// Whoever withholds something is not the only one who has it: all peers are asked, and another one is looked for.
    fn look_for_what_lacks(&mut self, now: UnixMillis, outputs: &mut Vec<Output>) {
        let mut due = [false; 2];
        for at in &self.heads.lacking {
            let Some(known) = self.heads.known.get_mut(at) else { continue };
            let began = known.lacking_since.unwrap_or(now);
            if now.saturating_sub(began.max(known.compared_at)) >= LACKING_RETRY_MS {
                // People are told of what did not come by itself: a head may be faster than a record.
                if known.compared_at < began {
                    let ((audience, org), (wanted, found)) = (*at, known.lacking);
                    outputs.push(Output::Notice(Notice::Lacking { org, audience, wanted, found }));
                }
                known.compared_at = now;
                due[usize::from(at.0.number())] = true;
            }
        }
        for audience in Audience::ALL.into_iter().filter(|audience| due[usize::from(audience.number())]) {
            for link in self.links.values_mut().filter(|link| link.is_greeted) {
                let compare_at = &mut link.compare_at[usize::from(audience.number())];
                *compare_at = now.min(*compare_at);
            }
            self.neighbours.seek_another(now);
        }
    }

    /// The organisation whose node this is.
    pub(super) fn own_organisation(&self) -> Option<OrgId> {
        self.trust.node_owner(&self.own)
    }

    /// Notes which sets a peer has been found to share; where there is nobody to ask, that counts as well.
    fn follow_comparisons(&mut self, now: UnixMillis) {
        let (has_links, is_only_node) = (!self.links.is_empty(), self.neighbours.network_nodes() <= 1);
        let Some(signer) = &mut self.heads.signer else { return };
        if signer.started_at.is_none() {
            // Whatever came in last may have had no head yet when the process stopped.
            signer.changed_at = [Some(now); 2];
        }
        let started_at = *signer.started_at.get_or_insert(now);
        let is_alone = is_only_node || !has_links && now.saturating_sub(started_at) >= HEAD_ALONE_MS;
        for (number, has_compared) in signer.has_compared.iter_mut().enumerate() {
            *has_compared |= is_alone || self.links.values().any(|link| link.in_sync[number] || link.is_level[number]);
        }
        self.heads.waits &= signer.has_compared != [true; 2];
    }

    fn sign_head_if_due(&mut self, now: UnixMillis, audience: Audience, outputs: &mut Vec<Output>) {
        let number = usize::from(audience.number());
        let own = self.own_organisation().filter(|org| self.standing(org) == Standing::Member);
        let device = *self.own.as_bytes();
        let is_clock_off = self.is_clock_off() == Some(true);
        let (Some(org), None) = (own, &self.read_only) else { return };
        let known = self.heads.known.get(&(audience, org));
        let previous = known.and_then(|known| known.heads.iter().find(|head| head.device == device)).cloned();
        let is_silent = audience == Audience::Members && previous.is_none();
        let Some(signer) = &mut self.heads.signer else { return };
        if !signer.has_compared[number] {
            return;
        }
        let age = |at: Option<UnixMillis>| at.map(|at| now.saturating_sub(at));
        let is_settled = age(signer.changed_at[number]).is_some_and(|age| age >= HEAD_QUIET_MS)
            || (signer.changed_at[number].is_some() || signer.differs[number])
                && age(signer.asked_at[number]).is_none_or(|age| age >= HEAD_INTERVAL_MS);
        let is_old = age(previous.as_ref().map(|head| head.hlc.ms())).is_none_or(|age| age >= HEAD_AGE_MS_MAX);
        let may_ask = age(signer.asked_at[number]).is_none_or(|age| age >= HEAD_QUIET_MS);
        if !may_ask || !(is_settled || is_old) || is_clock_off {
            return;
        }
        let incarnation = signer.incarnation;
        (signer.changed_at[number], signer.differs[number], signer.asked_at[number]) = (None, false, Some(now));
        let owes_copy = std::mem::take(&mut signer.owes_copy[number]);
        // That there are records for members is nothing that their absence should tell: no head before the first.
        if is_silent && self.records_of(audience, org).next().is_none() {
            return;
        }
        // A record that came while this clock was wrong may be far ahead: nothing is signed to follow it.
        let newest = self.records_of(audience, org).map(|entry| entry.hlc);
        let newest = newest.chain(previous.as_ref().map(|head| head.hlc)).filter(|hlc| !is_ahead(now, *hlc)).max();
        let hlc = newest.unwrap_or(Hlc(0)).next(now);
        let still_fits = |head: &Head| Cover::of(self.records_of(audience, org), head.cover.from, hlc) == head.cover;
        // Of several nodes of one organisation whoever is first signs for all.
        if !is_old
            && !owes_copy
            && self.heads.known.get(&(audience, org)).and_then(Known::newest).is_some_and(still_fits)
        {
            return;
        }
        let cover = Cover::of(self.records_of(audience, org), Cover::from_hour(hlc), hlc);
        let header = Header {
            audience,
            kind: Kind::HEAD,
            network: self.network(),
            org,
            record: Head::record_id(&org, &device, audience),
            device,
            hlc,
            prev: previous.map_or([0; 8], |head| head.vid.prefix()),
            lease_until: UnixHour::containing(hlc.ms()).plus_days(HEAD_LEASE_DAYS),
        };
        let sequence = self.trust.card(&org).map_or(0, |card| card.sequence);
        let body = Head::body(&device, sequence, incarnation, &cover);
        outputs.push(Output::Sign { header: Box::new(header), body });
    }
}

impl Heads {
    fn forget_empty(&mut self, at: &(Audience, OrgId)) {
        if self.known.get(at).is_some_and(|known| known.heads.is_empty()) {
            self.known.remove(at);
            self.unchecked.remove(at);
            self.lacking.remove(at);
        }
    }
}
