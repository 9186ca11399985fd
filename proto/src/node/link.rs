//! What a node remembers of one link: greeting, what it asks for, how far each side knows the other's log, clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::arrivals::{Hint, LogPlace};
use crate::id::{OrgId, Vid};
use crate::kind::Audience;
use crate::limits::{WANT_KEYS_MAX, WANTS_OPEN_MAX};
use crate::set::{SetKey, Slot};
use crate::sync::Span;
use crate::time::UnixMillis;

/// Pairs that wait to be asked for on one link. What does not fit is found again by the next session.
const WANT_QUEUE_PAIRS_MAX: usize = 65_536;
/// Spans that wait to be fetched on one link: those of one reply. What does not fit is found again.
const FETCH_QUEUE_SPANS_MAX: usize = 2_304;
/// Fetches in a row that bring nothing, after which the spans that still wait are given up: whoever named them has nothing there, be
/// it that it left or that it never was. The next session finds what there is.
const EMPTY_FETCHES_MAX: u32 = 16;
/// Versions that count as asked for in the answer to a fetch or catch-up. Answers of this implementation end far below.
pub(super) const ANSWERED_VERSIONS_MAX: usize = 65_536;
/// Sessions of one link that fetch cards and no content, as long as cards have to be forgotten for want of their inviters'.
const CARD_ROUNDS_MAX: u32 = 3;
/// Ranges that a peer may have compared at once: more than twice what wholly different sets of a million take.
pub(super) const COMPARED_RANGES_BURST: u64 = 500_000;
/// Ranges that a peer may have compared each second, in the long run. About a tenth of a core.
pub(super) const COMPARED_RANGES_PER_SECOND: u64 = 20_000;

/// A reconciliation session that this node started.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) audience: Audience,
    /// Requests that are not yet answered.
    pub(super) outstanding: u32,
    /// Requests sent so far.
    pub(super) requests: u32,
    pub(super) found_difference: bool,
    /// Head of our log when it began.
    pub(super) head: u64,
    /// Versions that the replies may still bring.
    pub(super) left: usize,
    pub(super) active_at: UnixMillis,
}

/// How far a catch-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CatchUpStage {
    /// `CatchUp` is sent.
    Asked,
    /// `Take` is sent.
    Taking,
    /// Everything was taken; the peer's set then had this fingerprint.
    Ended([u8; 16]),
}

/// Catching up on the peer's arrival log.
#[derive(Debug)]
pub(super) struct CatchUp {
    pub(super) audience: Audience,
    pub(super) want: u64,
    pub(super) stage: CatchUpStage,
    /// Place up to which this part answers.
    pub(super) place: LogPlace,
    /// Of this part, in order, and which of them are still to come.
    pub(super) hints: Vec<Hint>,
    pub(super) missing: BTreeSet<SetKey>,
    /// Parts that came, this one included.
    pub(super) parts: u32,
    /// Set in the last part.
    pub(super) fingerprint: Option<[u8; 16]>,
    /// Something came since the last `Take`.
    pub(super) received: bool,
    /// Versions that the answer may still bring.
    pub(super) left: usize,
    pub(super) active_at: UnixMillis,
}

/// What is wanted of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// This version.
    Version(Vid),
    /// Whatever is there, as long as this is what is here.
    OtherThan(Option<Vid>),
}

#[derive(Debug)]
struct OpenWant {
    audience: Audience,
    lacking: BTreeMap<SetKey, Lacking>,
    received: usize,
    /// Versions that the answer may still bring.
    left: usize,
    active_at: UnixMillis,
}

/// A span that is being fetched.
#[derive(Debug)]
struct OpenFetch {
    want: u64,
    audience: Audience,
    span: Span,
    last: Option<SetKey>,
    left: usize,
    active_at: UnixMillis,
}

/// A request for versions that is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Want { want: u64, audience: Audience, keys: Vec<SetKey> },
    Fetch { want: u64, audience: Audience, span: Span },
}

#[derive(Debug)]
pub(super) struct Link {
    /// Tells it from earlier links to the same peer.
    pub(super) number: u64,
    pub(super) outbound: bool,
    pub(super) connected_at: UnixMillis,
    pub(super) is_greeted: bool,
    pub(super) org: Option<OrgId>,
    /// The peer is a read-only mirror, and stays one while this link lasts.
    pub(super) is_mirror: bool,
    pub(super) session: Option<Session>,
    pub(super) catch_up: Option<CatchUp>,
    next_id: u64,
    wanted: VecDeque<(Slot, Lacking)>,
    wanted_set: BTreeSet<Slot>,
    open: BTreeMap<u64, OpenWant>,
    fetches: VecDeque<(Audience, Span)>,
    fetch: Option<OpenFetch>,
    empty_fetches: u32,
    /// Cards came that had to be forgotten again, for those who invited their organisations were not here yet: in this session, and
    /// in how many so far.
    lacks_cards: bool,
    card_rounds: u32,
    /// Frames of versions whose signatures are being checked.
    pub(super) in_work: u32,
    /// Versions that no honest node would have sent.
    pub(super) breaches: u32,
    pub(super) clock_ahead_ms: Option<i64>,
    pub(super) round_trip_ms: Option<u64>,
    /// Of the ping that is not yet answered.
    pub(super) ping_sent_at: Option<UnixMillis>,
    pub(super) pinged_at: UnixMillis,
    pub(super) last_seen: UnixMillis,
    /// Equal at the last comparison, by audience number.
    pub(super) in_sync: [bool; 2],
    /// Known to be different, as greetings or a catch-up told, and not compared since; by audience number.
    pub(super) differs: [bool; 2],
    /// When to compare sets again, by audience number.
    pub(super) compare_at: [UnixMillis; 2],
    /// Doubles while sessions change nothing, by audience number.
    pub(super) compare_delay_ms: [u64; 2],
    /// Head of the peer's log as it last said, by audience number.
    pub(super) heard: [Option<LogPlace>; 2],
    /// Everything up to what was heard is here, or asked for.
    pub(super) is_level: [bool; 2],
    /// Something that the peer brought was not taken: only an own comparison, not the peer's word, makes this side level.
    pub(super) has_refused: [bool; 2],
    /// Catching up was tried on this link.
    pub(super) has_caught_up: [bool; 2],
    /// Head of our log as we last said (`None` while something is left out), and what we said to have consumed of theirs.
    pub(super) told: [Option<u64>; 2],
    /// Head of our log when something was last left out.
    pub(super) left_out: [u64; 2],
    pub(super) told_consumed: [u64; 2],
    /// Place in our log up to which the peer said that it holds everything.
    pub(super) acknowledged: [u64; 2],
    /// What the last `Arrivals` hinted at, so that `Take` needs a bit for each.
    pub(super) hinted: Option<(u64, Audience, Vec<SetKey>)>,
    compared_ranges_left: u64,
    compared_at: UnixMillis,
    pub(super) received_versions: u64,
    /// Those of the received ones that were put into a set.
    pub(super) accepted_versions: u64,
    pub(super) sent_versions: u64,
}

impl Link {
    pub(super) fn new(now: UnixMillis, number: u64, outbound: bool, org: Option<OrgId>) -> Link {
        Link {
            number,
            outbound,
            connected_at: now,
            is_greeted: false,
            org,
            is_mirror: false,
            session: None,
            catch_up: None,
            next_id: 0,
            wanted: VecDeque::new(),
            wanted_set: BTreeSet::new(),
            open: BTreeMap::new(),
            fetches: VecDeque::new(),
            fetch: None,
            empty_fetches: 0,
            lacks_cards: false,
            card_rounds: 0,
            in_work: 0,
            breaches: 0,
            clock_ahead_ms: None,
            round_trip_ms: None,
            ping_sent_at: None,
            pinged_at: 0,
            last_seen: now,
            in_sync: [false; 2],
            differs: [false; 2],
            compare_at: [UnixMillis::MAX; 2],
            compare_delay_ms: [0; 2],
            heard: [None; 2],
            is_level: [false; 2],
            has_refused: [false; 2],
            has_caught_up: [false; 2],
            told: [Some(0); 2],
            left_out: [0; 2],
            told_consumed: [0; 2],
            acknowledged: [0; 2],
            hinted: None,
            compared_ranges_left: COMPARED_RANGES_BURST,
            compared_at: now,
            received_versions: 0,
            accepted_versions: 0,
            sent_versions: 0,
        }
    }

    /// A number for a session or want, not used before on this link and not zero.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Queues what is to be asked for. False when some did not fit.
    pub(super) fn want(&mut self, audience: Audience, wanted: impl IntoIterator<Item = (SetKey, Lacking)>) -> bool {
        let mut all_fit = true;
        for (key, lacking) in wanted {
            let slot = Slot { audience, key };
            if self.wanted.len() >= WANT_QUEUE_PAIRS_MAX {
                all_fit = false;
            } else if self.wanted_set.insert(slot) {
                self.wanted.push_back((slot, lacking));
            }
        }
        all_fit
    }

    /// Queues spans to be fetched; neighbours become one.
    pub(super) fn fetch(&mut self, audience: Audience, spans: impl IntoIterator<Item = Span>) {
        for (lower, upper) in spans {
            let has_room = self.fetches.len() < FETCH_QUEUE_SPANS_MAX;
            match self.fetches.back_mut() {
                Some((last, (_, end))) if *last == audience && *end == Some(lower) => *end = upper,
                _ if has_room => self.fetches.push_back((audience, (lower, upper))),
                _ => {}
            }
        }
    }

    /// A session begins: what it finds is asked for.
    pub(super) fn begin_session(&mut self, session: Session) {
        (self.session, self.lacks_cards) = (Some(session), false);
    }

    /// Cards that came had to be forgotten: they are asked for again before content, which would come for nothing. The next session
    /// finds what is given up here.
    pub(super) fn note_cards_lacking(&mut self) {
        if !self.lacks_cards && self.card_rounds < CARD_ROUNDS_MAX {
            (self.lacks_cards, self.card_rounds) = (true, self.card_rounds + 1);
            self.fetches.retain(|(_, (lower, _))| !lower.is_content());
        }
    }

    /// How many more requests by keys may be open.
    pub(super) fn wants_free(&self) -> usize {
        WANTS_OPEN_MAX.saturating_sub(self.open.len())
    }

    /// The next request to send; `is_missing` says what is still worth asking for.
    pub(super) fn next_request(
        &mut self,
        now: UnixMillis,
        is_missing: impl Fn(&Slot, &Lacking) -> bool,
    ) -> Option<Request> {
        if self.wants_free() == 0 {
            return None;
        }
        let mut wanted = BTreeMap::new();
        let mut audience = None;
        while let Some((slot, lacking)) = self.wanted.front().copied() {
            if wanted.len() >= WANT_KEYS_MAX || audience.is_some_and(|audience| audience != slot.audience) {
                break;
            }
            self.wanted.pop_front();
            self.wanted_set.remove(&slot);
            if is_missing(&slot, &lacking) {
                audience = Some(slot.audience);
                wanted.insert(slot.key, lacking);
            }
        }
        if let Some(audience) = audience {
            let keys = wanted.keys().copied().collect();
            let want = self.open_want(now, audience, wanted);
            return Some(Request::Want { want, audience, keys });
        }
        if self.fetch.is_some() {
            return None;
        }
        // Lowest keys first, and no content before the session has found out which cards are lacking: content of unknown
        // publishers would come for nothing.
        let lowest = self.fetches.iter().enumerate().min_by_key(|(_, (audience, (lower, _)))| (*audience, *lower));
        let (at, (_, (lower, _))) = lowest?;
        if self.session.is_some() && lower.is_content() {
            return None;
        }
        let (audience, span) = self.fetches.remove(at)?;
        let want = self.fresh_id();
        self.fetch = Some(OpenFetch { want, audience, span, last: None, left: ANSWERED_VERSIONS_MAX, active_at: now });
        Some(Request::Fetch { want, audience, span })
    }

    /// Notes that versions are asked for and returns the number of the request.
    pub(super) fn open_want(&mut self, now: UnixMillis, audience: Audience, lacking: BTreeMap<SetKey, Lacking>) -> u64 {
        let want = self.fresh_id();
        let left = lacking.len();
        self.open.insert(want, OpenWant { audience, lacking, received: 0, left, active_at: now });
        want
    }

    /// True when so many versions that come for this request were asked for. Whoever answers with more sends them unasked.
    pub(super) fn is_asked(&mut self, want: u64, versions: usize) -> bool {
        let fetch = self.fetch.as_mut().filter(|fetch| fetch.want == want).map(|fetch| &mut fetch.left);
        let catch_up = self.catch_up.as_mut().filter(|catch_up| catch_up.want == want);
        let session = self.session.as_mut().filter(|session| session.id == want);
        let left = fetch.or(catch_up.map(|catch_up| &mut catch_up.left)).or(session.map(|session| &mut session.left));
        let Some(left) = left.or(self.open.get_mut(&want).map(|open| &mut open.left)) else { return false };
        let is_asked = versions <= *left;
        *left = left.saturating_sub(versions);
        is_asked
    }

    /// Notes what a `Versions` frame brought for a request. When it was the last one and brought less than was asked for,
    /// the rest is asked for again, unless nothing came at all.
    pub(super) fn on_versions(&mut self, now: UnixMillis, want: u64, keys: &[SetKey], is_last: bool, has_more: bool) {
        if let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.want == want) {
            fetch.active_at = now;
            fetch.last = fetch.last.max(keys.iter().max().copied());
            if is_last {
                let next = fetch.last.filter(|last| has_more && *last >= fetch.span.0).and_then(SetKey::next);
                let (audience, upper) = (fetch.audience, fetch.span.1);
                self.empty_fetches = if fetch.last.is_none() { self.empty_fetches + 1 } else { 0 };
                self.fetch = None;
                if self.empty_fetches >= EMPTY_FETCHES_MAX {
                    self.fetches.clear();
                    self.empty_fetches = 0;
                }
                let is_wanted = |next: &SetKey| !(self.lacks_cards && next.is_content());
                if let Some(next) = next.filter(is_wanted).filter(|next| upper.is_none_or(|upper| *next < upper)) {
                    self.fetches.push_front((audience, (next, upper)));
                }
            }
            return;
        }
        if let Some(catch_up) = self.catch_up.as_mut().filter(|catch_up| catch_up.want == want) {
            catch_up.active_at = now;
            for key in keys {
                catch_up.received |= catch_up.missing.remove(key);
            }
            return;
        }
        if !self.open.contains_key(&want) {
            return;
        }
        // They are answered one after the other: while one is, none of them is forgotten.
        self.open.values_mut().for_each(|open| open.active_at = now);
        let Some(open) = self.open.get_mut(&want) else { return };
        for key in keys {
            open.received += usize::from(open.lacking.remove(key).is_some());
        }
        if is_last {
            let open = self.open.remove(&want);
            if let Some(open) = open.filter(|open| open.received > 0) {
                self.want(open.audience, open.lacking);
            }
        }
    }

    /// True when nothing is asked for and everything that came is settled.
    pub(super) fn is_idle(&self) -> bool {
        self.session.is_none() && self.catch_up.is_none() && self.has_all()
    }

    /// True when all versions asked for are here and checked.
    pub(super) fn has_all(&self) -> bool {
        !self.is_asking() && self.in_work == 0
    }

    /// True while versions are asked for, or are to be.
    pub(super) fn is_asking(&self) -> bool {
        let is_open = !self.open.is_empty() || self.fetch.is_some();
        is_open || !self.wanted.is_empty() || !self.fetches.is_empty()
    }

    /// When the oldest open request last made progress.
    pub(super) fn oldest_request(&self) -> Option<UnixMillis> {
        let wants = self.open.values().map(|want| want.active_at);
        let fetch = self.fetch.as_ref().map(|fetch| fetch.active_at);
        let is_waiting = |catch_up: &&CatchUp| !matches!(catch_up.stage, CatchUpStage::Ended(_));
        let catch_up = self.catch_up.as_ref().filter(is_waiting).map(|catch_up| catch_up.active_at);
        let session = self.session.as_ref().map(|session| session.active_at);
        wants.chain(fetch).chain(catch_up).chain(session).min()
    }

    /// All instants from which something is counted.
    pub(super) fn instants(&mut self) -> impl Iterator<Item = &mut UnixMillis> {
        let compare_at = self.compare_at.iter_mut().filter(|at| **at != UnixMillis::MAX);
        let wants = self.open.values_mut().map(|want| &mut want.active_at);
        let fetch = self.fetch.iter_mut().map(|fetch| &mut fetch.active_at);
        let catch_up = self.catch_up.iter_mut().map(|catch_up| &mut catch_up.active_at);
        let session = self.session.iter_mut().map(|session| &mut session.active_at);
        let links = [&mut self.connected_at, &mut self.last_seen, &mut self.pinged_at, &mut self.compared_at];
        let links = links.into_iter().chain(&mut self.ping_sent_at);
        links.chain(compare_at).chain(wants).chain(fetch).chain(catch_up).chain(session)
    }

    /// Takes from the peer's budget of comparisons. False when it is used up.
    pub(super) fn may_compare(&mut self, now: UnixMillis, ranges: usize) -> bool {
        let elapsed_ms = now.saturating_sub(self.compared_at);
        self.compared_at = now;
        let refilled = self.compared_ranges_left.saturating_add(elapsed_ms * COMPARED_RANGES_PER_SECOND / 1_000);
        self.compared_ranges_left = refilled.min(COMPARED_RANGES_BURST);
        let is_enough = self.compared_ranges_left >= ranges as u64;
        self.compared_ranges_left = self.compared_ranges_left.saturating_sub(ranges as u64);
        is_enough
    }
}

#[cfg(test)]
mod tests;
