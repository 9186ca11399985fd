//! Reconciliation over a link: requests are answered from the set alone, replies lead to further requests.
//!
//! Always: the answering side keeps nothing; what a peer may have compared is bounded by its link's budget.
//! Spec: `spec/07-sync.md`, section 6. Tested: `node/tests/`, `spec/vectors/exchange_valid.json`.

use super::frame::{Breach, write_frame};
use super::output::Output;
use super::peering::audience;
use super::{Node, Peer};
use crate::canary::{Canary, is_out};
use crate::kind::Audience;
use crate::limits::{DIRECT_VERSIONS_MAX, OFFER_PAIRS_MAX, OPEN_RANGES_PER_REQUEST_MAX, ROUNDS_MAX};
use crate::set::{SetKey, Slot};
use crate::sync::{Range, RangeContent, Side, answer, read_ranges, write_keys, write_ranges};
use crate::time::UnixMillis;
use crate::v1;
use crate::v1::frame::Content;

/// Entries whose digests take as much work as comparing a range.
pub(super) const DIGESTED_PER_RANGE: usize = 32;
/// Requests of one session. Finding a million differences takes some 600; a peer whose replies ask for more is playing.
pub(super) const SESSION_REQUESTS_MAX: usize = 4_096;

impl Node {
    pub(super) fn on_reconcile(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        frame: &v1::Reconcile,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Breach> {
        let is_reply = frame.round % 2 == 1;
        if frame.round >= ROUNDS_MAX {
            return Err(Breach::Rounds { found: frame.round, max: ROUNDS_MAX });
        }
        let lower = lower_bound(&frame.lower)?;
        let is_closing = is_reply && frame.ranges.is_empty();
        let ranges = if is_closing { Vec::new() } else { read_ranges(lower, &frame.ranges, is_reply)? };
        let audience = if is_reply {
            let session = self.links.get_mut(&peer).and_then(|link| link.session.as_mut());
            let Some(session) = session.filter(|session| session.id == frame.session) else { return Ok(()) };
            session.active_at = now;
            session.outstanding = session.outstanding.saturating_sub(1);
            session.audience
        } else {
            audience(frame.audience)?
        };
        if !self.shares(&peer, audience) && !is_reply {
            // A range that says nothing: without any, the sets would be taken for equal.
            let nothing = [Range { upper: None, content: RangeContent::Skip }];
            outputs
                .push(Output::Send { to: vec![peer], frame: reply(frame.session, frame.round + 1, lower, &nothing) });
            return Ok(());
        }
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        let open = ranges.iter().filter(|range| range.content != RangeContent::Skip).count();
        if !link.may_compare(now, open) {
            return Err(Breach::Budget { found: open });
        }
        let side = if is_reply { Side::Initiator } else { Side::Responder };
        let mut answer = answer(self.set(audience), side, frame.session, lower, &ranges);
        if let Some(link) = self.links.get_mut(&peer) {
            // Known only now; what this is more than what is left counts against nobody.
            link.may_compare(now, answer.ranges.len() + answer.digested / DIGESTED_PER_RANGE);
        }
        if self.is_mirror || !self.shares(&peer, audience) {
            answer.offers.clear();
        }
        if !is_reply && (1..=DIRECT_VERSIONS_MAX).contains(&answer.offers.len()) {
            // Whoever began the session did so to get them.
            let slots = answer.offers.drain(..).map(|(key, _)| Slot { audience, key }).collect();
            outputs.push(Output::SendVersions { to: peer, want: frame.session, slots, more: false });
        }
        for pairs in answer.offers.chunks(OFFER_PAIRS_MAX) {
            let keys = write_keys(pairs.iter().map(|(key, _)| key));
            let offer = v1::Offer { audience: audience.number().into(), keys, ..Default::default() };
            outputs.push(Output::Send { to: vec![peer], frame: write_frame(Content::Offer(offer)) });
        }
        if !answer.fetches.is_empty()
            && self.may_pull(now, audience, peer)
            && let Some(link) = self.links.get_mut(&peer)
        {
            link.fetch(audience, std::mem::take(&mut answer.fetches));
        }
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        if is_reply {
            // Whoever does not share this audience yet says nothing, not even that the sets are equal.
            let says_nothing = !is_closing && ranges.iter().all(|range| range.content == RangeContent::Skip);
            if let Some(session) = &mut link.session {
                session.found_difference |= answer.differs || says_nothing;
            }
            self.ask_on(now, peer, frame, lower, answer.ranges, outputs)?;
        } else {
            // Anything less says nothing about the sets as a whole.
            let is_of_all = matches!(&ranges[..], [Range { upper: None, content: RangeContent::Fingerprint(_) }]);
            if is_of_all && lower == SetKey::default() {
                let number = usize::from(audience.number());
                link.in_sync[number] = !answer.differs;
                if !answer.differs {
                    self.make_up(peer, audience, self.logs[number].head().sequence);
                }
            }
            let frame = reply(frame.session, frame.round + 1, lower, &answer.ranges);
            outputs.push(Output::Send { to: vec![peer], frame });
        }
        self.ask_for_more(now, peer, outputs);
        Ok(())
    }

    /// Sends what a reply left open as requests of the next round, without waiting between them.
    fn ask_on(
        &mut self,
        now: UnixMillis,
        peer: Peer,
        answered: &v1::Reconcile,
        lower: SetKey,
        ranges: Vec<Range>,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Breach> {
        let Some(session) = self.links.get_mut(&peer).and_then(|link| link.session.as_mut()) else { return Ok(()) };
        let requests = requests(lower, ranges);
        let round = answered.round + 1;
        let found = session.requests as usize + requests.len();
        if found > SESSION_REQUESTS_MAX && !is_out(Canary::SessionEnd) {
            return Err(Breach::TooMany { what: "requests in a session", found, max: SESSION_REQUESTS_MAX });
        }
        if round < ROUNDS_MAX {
            session.outstanding += requests.len() as u32;
            session.requests = found as u32;
            for (from, ranges) in requests {
                let frame = request(session.audience, session.id, round, from, &ranges);
                outputs.push(Output::Send { to: vec![peer], frame });
            }
        }
        if session.outstanding == 0 {
            self.end_session(now, peer, outputs);
        }
        Ok(())
    }
}

/// Cuts open ranges into requests, each with its lower bound; what is not open is left out at both ends.
fn requests(lower: SetKey, ranges: Vec<Range>) -> Vec<(SetKey, Vec<Range>)> {
    let mut requests: Vec<(SetKey, Vec<Range>)> = Vec::new();
    let (mut from, mut start) = (lower, lower);
    let (mut batch, mut closed): (Vec<Range>, Vec<Range>) = Default::default();
    let mut open = 0;
    for range in ranges {
        let upper = range.upper;
        // What is being fetched needs no answer.
        if matches!(range.content, RangeContent::Skip | RangeContent::Fetching) {
            match closed.last_mut() {
                Some(last) => last.upper = upper,
                None => closed.push(Range { upper, content: RangeContent::Skip }),
            }
        } else {
            if batch.is_empty() {
                (start, closed) = (from, Vec::new());
            }
            batch.append(&mut closed);
            batch.push(range);
            open += 1;
            if open == OPEN_RANGES_PER_REQUEST_MAX {
                requests.push((start, std::mem::take(&mut batch)));
                open = 0;
            }
        }
        from = upper.unwrap_or(from);
    }
    if !batch.is_empty() {
        requests.push((start, batch));
    }
    requests
}

/// Reads the inclusive lower bound: at most 16 bytes, the rest of the key is zero.
pub(super) fn lower_bound(bytes: &[u8]) -> Result<SetKey, Breach> {
    let mut key = [0; SetKey::BYTES];
    match key.get_mut(..bytes.len()) {
        Some(head) => head.copy_from_slice(bytes),
        None => return Err(Breach::Bound { found: bytes.len() }),
    }
    Ok(SetKey(key))
}

/// A request.
pub(super) fn request(audience: Audience, session: u64, round: u32, lower: SetKey, ranges: &[Range]) -> Vec<u8> {
    let ranges = write_ranges(lower, ranges);
    let (audience, lower) = (audience.number().into(), without_zeros(&lower));
    write_frame(Content::Reconcile(v1::Reconcile { audience, session, round, lower, ranges }))
}

/// A reply. Its audience is that of the session, and without ranges there is nothing to have a lower bound.
fn reply(session: u64, round: u32, lower: SetKey, ranges: &[Range]) -> Vec<u8> {
    let (ranges, lower) = match ranges {
        [] => (Vec::new(), Vec::new()),
        ranges => (write_ranges(lower, ranges), without_zeros(&lower)),
    };
    write_frame(Content::Reconcile(v1::Reconcile { audience: 0, session, round, lower, ranges }))
}

fn without_zeros(key: &SetKey) -> Vec<u8> {
    let length = key.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    key.0[..length].to_vec()
}
