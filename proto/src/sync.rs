//! Reconciliation: two nodes find out which versions each one lacks.
//!
//! Stateless on the answering side: [`answer`] is a function of the set and one frame's ranges.
//! Spec: `spec/07-sync.md`, section 5. Tested: below and `spec/vectors/ranges_*.json`.

mod keys;
mod range;

pub use keys::{KeyListError, read_keys, read_pairs, write_keys, write_pairs};
pub use range::{Range, RangeContent, RangeError, read_ranges, write_ranges};

use crate::id::Vid;
use crate::limits::{ITEMS_PER_RANGE_MAX, OFFERS_PER_ANSWER_MAX, RANGE_FAN_OUT};
use crate::set::{Index, SetKey};

/// A record and its winning version, as one side tells the other.
pub type Pair = (SetKey, Vid);

/// Part of the key space: lower bound, inclusive; upper bound, exclusive, `None` for the end.
pub type Span = (SetKey, Option<SetKey>);

/// What follows from a peer's ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Own view of the same span, to send back; empty when nothing is open.
    pub ranges: Vec<Range>,
    /// Pairs that the peer has and this side lacks or has in another version.
    pub wants: Vec<Pair>,
    /// Pairs that this side has and the peer lacks.
    pub offers: Vec<Pair>,
    /// Spans of which this side holds nothing and the peer something: lower bound, and upper bound unless it is the end.
    pub fetches: Vec<Span>,
    /// The sets differ somewhere in what was compared.
    pub differs: bool,
}

/// The first range of a session: everything, by its fingerprint.
pub fn opening(index: &Index) -> Vec<Range> {
    vec![by_fingerprint(index, &SetKey::default(), None)]
}

/// Compares a peer's ranges with the own set.
///
/// `lower` is the lower bound of the first range. The work is bounded by the number of ranges, which the caller limits.
pub fn answer(index: &Index, lower: SetKey, ranges: &[Range]) -> Answer {
    let mut answer = Answer::default();
    let mut from = lower;
    for range in ranges {
        let upper = range.upper.as_ref();
        match &range.content {
            RangeContent::Skip => skip(&mut answer.ranges, range.upper),
            RangeContent::Fetching => {
                answer.differs = true;
                skip(&mut answer.ranges, range.upper);
            }
            RangeContent::Fingerprint(fingerprint) => {
                let own = index.summary(&from, upper);
                if own.fingerprint() == *fingerprint {
                    skip(&mut answer.ranges, range.upper);
                } else if own.count == 0 {
                    answer.fetches.push((from, range.upper));
                    answer.ranges.push(Range { upper: range.upper, content: RangeContent::Fetching });
                } else if own.count <= ITEMS_PER_RANGE_MAX as u64 {
                    let items = index.range(&from, upper).map(|(key, entry)| (key, entry.vid)).collect();
                    answer.ranges.push(Range { upper: range.upper, content: RangeContent::Items(items) });
                } else {
                    let parts = index.split(&from, upper, RANGE_FAN_OUT);
                    let parts = parts.into_iter().map(|(from, to)| by_fingerprint(index, &from, to.as_ref()));
                    answer.ranges.extend(parts);
                }
            }
            RangeContent::Items(theirs) => {
                compare(index, &from, upper, theirs, &mut answer);
                skip(&mut answer.ranges, range.upper);
            }
        }
        match range.upper {
            Some(upper) => from = upper,
            None => break,
        }
    }
    if answer.ranges.iter().all(|range| range.content == RangeContent::Skip) {
        answer.ranges.clear();
    }
    answer.differs |= !(answer.ranges.is_empty() && answer.wants.is_empty() && answer.offers.is_empty());
    answer
}

/// Those of the offered pairs that this side lacks or has in another version.
pub fn wanted<'a>(index: &'a Index, offered: &'a [Pair]) -> impl Iterator<Item = Pair> + 'a {
    offered.iter().filter(|(key, vid)| index.get(key).is_none_or(|entry| entry.vid != *vid)).copied()
}

fn compare(index: &Index, lower: &SetKey, upper: Option<&SetKey>, theirs: &[Pair], answer: &mut Answer) {
    answer.wants.extend(wanted(index, theirs));
    let lacks = |key: &SetKey| theirs.binary_search_by(|(other, _)| other.cmp(key)).is_err();
    let room = OFFERS_PER_ANSWER_MAX.saturating_sub(answer.offers.len());
    let lacking = index.range(lower, upper).filter(|(key, _)| lacks(key)).map(|(key, entry)| (key, entry.vid));
    answer.offers.extend(lacking.take(room));
}

fn by_fingerprint(index: &Index, lower: &SetKey, upper: Option<&SetKey>) -> Range {
    let content = RangeContent::Fingerprint(index.summary(lower, upper).fingerprint());
    Range { upper: upper.copied(), content }
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
