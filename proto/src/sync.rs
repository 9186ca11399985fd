//! Reconciliation: two nodes find out which versions each one lacks.
//!
//! Stateless on the answering side: [`answer`] is a function of the set and one frame's ranges.
//! Spec: `spec/07-sync.md`, section 5. Tested: below and `spec/vectors/ranges_*.json`.

mod digest;
mod keys;
mod range;

pub use digest::{Digest, ShortFingerprint, digest, short_fingerprint};
pub use keys::{KeyListError, read_keys, read_pairs, write_keys, write_pairs};
pub use range::{Range, RangeContent, RangeError, read_ranges, write_ranges};

use crate::id::Vid;
use crate::limits::{COMPARED_ENTRIES_PER_RANGE_MAX, DIGESTS_PER_RANGE_MAX, OFFERS_PER_ANSWER_MAX, RANGE_FAN_OUT};
use crate::set::{Bound, Index, SetKey, Walk, shortest_between};

/// A record and its winning version, as one side tells the other.
pub type Pair = (SetKey, Vid);

/// Part of the key space: lower bound, inclusive; upper bound, exclusive, `None` for the end.
pub type Span = (SetKey, Option<SetKey>);

/// Which end of a session answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Began the session, to learn what it lacks.
    Initiator,
    /// Answers requests from its set alone.
    Responder,
}

/// What follows from a peer's ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Own view of the same span, to send back; empty when nothing is open.
    pub ranges: Vec<Range>,
    /// Pairs that this side has and the peer lacks or has in another version.
    pub offers: Vec<Pair>,
    /// Spans of which this side holds nothing and the peer something: lower bound, and upper bound unless it is the end.
    pub fetches: Vec<Span>,
    /// The sets differ somewhere in what was compared.
    pub differs: bool,
    /// Own entries that were digested for this: work beyond that of the ranges.
    pub digested: usize,
}

/// The first range of a session that is to find out whether sets differ: everything, by its fingerprint.
pub fn opening(index: &Index) -> Vec<Range> {
    vec![Range { upper: None, content: RangeContent::Fingerprint(index.total().fingerprint()) }]
}

/// The first ranges of a session about sets that are known to differ: what the answer to an [`opening`] would be.
pub fn opening_of_differing(index: &Index, session: u64) -> Vec<Range> {
    if index.is_empty() {
        return opening(index);
    }
    view(&mut Walk::new(index), session, &index.bound(Some(SetKey::default())), &index.bound(None))
}

/// Compares a peer's ranges with the own set.
///
/// `session` is its number, `lower` the lower bound of the first range. The work is bounded by the number of ranges, which
/// the caller limits.
pub fn answer(index: &Index, side: Side, session: u64, lower: SetKey, ranges: &[Range]) -> Answer {
    let mut answer = Answer::default();
    // Neighbours share a bound, and bounds are what costs.
    let mut last: Option<Bound> = None;
    let mut walk = Walk::new(index);
    let mut from = lower;
    for range in ranges {
        let span = (from, range.upper);
        let bounds = |last: Option<Bound>| {
            let known = last.filter(|last| last.key == Some(from));
            (known.unwrap_or_else(|| index.bound(Some(from))), index.bound(range.upper))
        };
        match &range.content {
            RangeContent::Skip => skip(&mut answer.ranges, range.upper),
            RangeContent::Fetching => {
                answer.differs = true;
                skip(&mut answer.ranges, range.upper);
            }
            RangeContent::Fingerprint(fingerprint) => {
                let (lower, upper) = bounds(last);
                let own = upper.since(&lower);
                last = Some(upper);
                if own.fingerprint() == *fingerprint {
                    skip(&mut answer.ranges, range.upper);
                } else if own.count == 0 {
                    answer.fetch(span);
                } else {
                    answer.ranges.extend(view(&mut walk, session, &lower, &upper));
                }
            }
            RangeContent::ShortFingerprint(fingerprint) => {
                // One more than the peer can have here tells that the sides differ.
                let own = walk.through(&from, range.upper.as_ref(), DIGESTS_PER_RANGE_MAX + 1);
                if own.is_empty() {
                    answer.fetch(span);
                } else if own.len() > DIGESTS_PER_RANGE_MAX {
                    let (lower, upper) = bounds(last);
                    answer.ranges.extend(view(&mut walk, session, &lower, &upper));
                } else if short_fingerprint(session, own) == *fingerprint {
                    skip(&mut answer.ranges, range.upper);
                } else {
                    answer.digested += own.len();
                    answer.ranges.push(told(session, range.upper, own.iter()));
                }
            }
            RangeContent::Digests(theirs) => match digested(&mut walk, session, span, &mut answer) {
                Some(own) => compare(side, own, theirs, span, &mut answer),
                // Far more than they have: finding out where they have nothing is cheaper than telling all of it.
                None => {
                    let (lower, upper) = bounds(last);
                    answer.ranges.extend(view(&mut walk, session, &lower, &upper));
                }
            },
            RangeContent::Lacking(theirs) => {
                answer.differs = true;
                let lacking = digested(&mut walk, session, span, &mut answer);
                let lacking = lacking.into_iter().flatten().filter(|(own, _)| theirs.contains(own));
                answer.offer(lacking.map(|(_, pair)| pair));
                skip(&mut answer.ranges, range.upper);
            }
        }
        match range.upper {
            Some(upper) => from = upper,
            None => break,
        }
    }
    while answer.ranges.last().is_some_and(|last| last.content == RangeContent::Skip) {
        answer.ranges.pop();
    }
    answer.differs |= !(answer.ranges.is_empty() && answer.offers.is_empty());
    answer
}

impl Answer {
    fn fetch(&mut self, span: Span) {
        self.fetches.push(span);
        self.ranges.push(Range { upper: span.1, content: RangeContent::Fetching });
    }

    fn offer(&mut self, pairs: impl Iterator<Item = Pair>) {
        self.offers.extend(pairs.take(OFFERS_PER_ANSWER_MAX.saturating_sub(self.offers.len())));
    }
}

/// Compares all entries of the other side in a span with the own ones.
///
/// Where each side has something that the other has not, it is first settled what the initiator lacks: most differences are
/// two versions of one record, and the older one is not worth telling.
fn compare(side: Side, own: Vec<(Digest, Pair)>, theirs: &[Digest], span: Span, answer: &mut Answer) {
    if own.is_empty() && !theirs.is_empty() {
        answer.fetch(span);
        return;
    }
    let only_theirs: Vec<Digest> =
        theirs.iter().filter(|digest| !own.iter().any(|(own, _)| own == *digest)).copied().collect();
    let mut only_own = own.into_iter().filter(|(own, _)| !theirs.contains(own)).map(|(_, pair)| pair).peekable();
    if !only_theirs.is_empty() && (side == Side::Initiator || only_own.peek().is_none()) {
        answer.ranges.push(Range { upper: span.1, content: RangeContent::Lacking(only_theirs) });
    } else {
        answer.offer(only_own);
        skip(&mut answer.ranges, span.1);
    }
}

/// Own entries of a span with their digests; `None` when there are too many to list.
fn digested(
    walk: &mut Walk<'_>,
    session: u64,
    (from, upper): Span,
    answer: &mut Answer,
) -> Option<Vec<(Digest, Pair)>> {
    let own = walk.through(&from, upper.as_ref(), COMPARED_ENTRIES_PER_RANGE_MAX + 1);
    let own: Vec<_> = own.iter().map(|pair| (digest(session, &pair.1), *pair)).collect();
    answer.digested += own.len();
    (own.len() <= COMPARED_ENTRIES_PER_RANGE_MAX).then_some(own)
}

/// At most [`DIGESTS_PER_RANGE_MAX`] own entries, told by their digests.
fn told<'a>(session: u64, upper: Option<SetKey>, own: impl Iterator<Item = &'a Pair>) -> Range {
    let digests = own.map(|(_, vid)| digest(session, vid)).collect();
    Range { upper, content: RangeContent::Digests(digests) }
}

/// Own entries between two bounds, at least one: digests of a few, else parts with their fingerprints.
fn view(walk: &mut Walk<'_>, session: u64, lower: &Bound, upper: &Bound) -> Vec<Range> {
    let count = upper.since(lower).count as usize;
    if count <= DIGESTS_PER_RANGE_MAX * RANGE_FAN_OUT {
        let own = walk.through(&lower.key.unwrap_or_default(), upper.key.as_ref(), count + 1);
        return match count {
            0..=DIGESTS_PER_RANGE_MAX => vec![told(session, upper.key, own.iter())],
            _ => short_parts(session, own, upper.key),
        };
    }
    let mut from = *lower;
    let mut ranges = Vec::with_capacity(RANGE_FAN_OUT);
    for to in walk.index().split(lower, upper, RANGE_FAN_OUT) {
        let fingerprint = to.since(&std::mem::replace(&mut from, to)).fingerprint();
        ranges.push(Range { upper: to.key, content: RangeContent::Fingerprint(fingerprint) });
    }
    ranges
}

/// [`RANGE_FAN_OUT`] parts of at least as many and at most [`DIGESTS_PER_RANGE_MAX`] times as many entries, each with its
/// short fingerprint.
fn short_parts(session: u64, own: &[Pair], upper: Option<SetKey>) -> Vec<Range> {
    let start = |part: usize| part * own.len() / RANGE_FAN_OUT;
    let part = |part: usize| {
        let (first, next) = (start(part), start(part + 1));
        let upper = own.get(next).map_or(upper, |(key, _)| Some(shortest_between(&own[next - 1].0, key)));
        let fingerprint = short_fingerprint(session, &own[first..next]);
        Range { upper, content: RangeContent::ShortFingerprint(fingerprint) }
    };
    (0..RANGE_FAN_OUT).map(part).collect()
}

/// Those of the offered pairs that this side lacks or has in another version.
pub fn wanted<'a>(index: &'a Index, offered: &'a [Pair]) -> impl Iterator<Item = Pair> + 'a {
    offered.iter().filter(|(key, vid)| index.get(key).is_none_or(|entry| entry.vid != *vid)).copied()
}

/// Neighbouring ranges without work become one.
fn skip(ranges: &mut Vec<Range>, upper: Option<SetKey>) {
    match ranges.last_mut() {
        Some(last) if last.content == RangeContent::Skip => last.upper = upper,
        _ => ranges.push(Range { upper, content: RangeContent::Skip }),
    }
}

#[cfg(test)]
mod tests;
