//! Ranges as bytes.
//!
//! Each range is a mode byte (the lower seven bits the mode, the highest set when it reaches to the end of the key space),
//! the upper bound as a key relative to the bound before it (absent at the end), and the mode's content. Modes: 0 nothing;
//! 1 fingerprint (16 bytes); 2 digests of all entries; 3 nothing is held here, all of it is being fetched; 4 digests of
//! entries that are lacking here; 5 short fingerprint (8 bytes). Digests are their number (1 byte), then 4 bytes for each.
//! Spec: `spec/07-sync.md`, section 5.1.

use super::digest::{Digest, ShortFingerprint};
use super::keys::{KeyListError, read_key, take, write_key};
use crate::canary::{Canary, is_out};
use crate::limits::{DIGESTS_PER_RANGE_MAX, OPEN_RANGES_PER_REQUEST_MAX, RANGES_PER_FRAME_MAX};
use crate::set::SetKey;

const MODE_SKIP: u8 = 0;
const MODE_FINGERPRINT: u8 = 1;
const MODE_DIGESTS: u8 = 2;
const MODE_FETCHING: u8 = 3;
const MODE_LACKING: u8 = 4;
const MODE_SHORT_FINGERPRINT: u8 = 5;
/// The range reaches to the end of the key space.
const TO_THE_END: u8 = 0x80;

/// One side's view of the keys from the previous range's upper bound up to this one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Exclusive; `None` is the end of the key space.
    pub upper: Option<SetKey>,
    /// The view.
    pub content: RangeContent,
}

/// What a range says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeContent {
    /// Nothing to do.
    Skip,
    /// Compare with this: [`Summary::fingerprint`](crate::set::Summary::fingerprint).
    Fingerprint([u8; 16]),
    /// Compare the few entries here with this: [`short_fingerprint`](super::short_fingerprint).
    ShortFingerprint(ShortFingerprint),
    /// All entries by their digests, in order of their keys.
    Digests(Vec<Digest>),
    /// The sender holds nothing here and fetches, or is fetching, all of it.
    Fetching,
    /// Of the receiver's digests, those that stand for nothing here.
    Lacking(Vec<Digest>),
}

/// Why bytes are not acceptable ranges. The sender broke the specification.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RangeError {
    /// They end in the middle of a range.
    #[error("the ranges end early")]
    Truncated,
    /// A bound or key of more than 16 bytes.
    #[error("a bound or key has 16 bytes, found {found}")]
    BoundLength {
        /// Length found.
        found: u8,
    },
    /// A mode without meaning.
    #[error("range mode {found} is not known")]
    Mode {
        /// Mode found.
        found: u8,
    },
    /// Bounds must ascend, and nothing may follow the end of the key space.
    #[error("the upper bounds do not ascend")]
    Order,
    /// More ranges than a frame may hold.
    #[error("more than {max} ranges in a frame")]
    TooMany {
        /// Ranges allowed.
        max: usize,
    },
    /// More digests than a range may list.
    #[error("a range lists {found} digests, at most {max} are allowed")]
    TooManyDigests {
        /// Digests found.
        found: usize,
        /// Digests allowed.
        max: usize,
    },
    /// No range at all.
    #[error("a frame without ranges")]
    Empty,
}

/// Writes ranges in order; the first starts at `lower`.
pub fn write_ranges(lower: SetKey, ranges: &[Range]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut from = lower;
    for range in ranges {
        let mode = match &range.content {
            RangeContent::Skip => MODE_SKIP,
            RangeContent::Fingerprint(_) => MODE_FINGERPRINT,
            RangeContent::ShortFingerprint(_) => MODE_SHORT_FINGERPRINT,
            RangeContent::Digests(_) => MODE_DIGESTS,
            RangeContent::Fetching => MODE_FETCHING,
            RangeContent::Lacking(_) => MODE_LACKING,
        };
        match &range.upper {
            Some(upper) => {
                bytes.push(mode);
                write_key(&mut bytes, &from, upper);
            }
            None => bytes.push(mode | TO_THE_END),
        }
        match &range.content {
            RangeContent::Skip | RangeContent::Fetching => {}
            RangeContent::Fingerprint(fingerprint) => bytes.extend_from_slice(fingerprint),
            RangeContent::ShortFingerprint(fingerprint) => bytes.extend_from_slice(fingerprint),
            RangeContent::Digests(digests) | RangeContent::Lacking(digests) => {
                bytes.push(digests.len() as u8);
                bytes.extend_from_slice(digests.as_flattened());
            }
        }
        from = range.upper.unwrap_or(from);
    }
    bytes
}

/// Reads ranges that start at `lower`. At most [`RANGES_PER_FRAME_MAX`], or in a frame that asks for a reply at most
/// [`OPEN_RANGES_PER_REQUEST_MAX`] that are not [`RangeContent::Skip`].
pub fn read_ranges(lower: SetKey, mut bytes: &[u8], is_reply: bool) -> Result<Vec<Range>, RangeError> {
    let mut ranges = Vec::new();
    let (mut from, mut open, mut is_finished) = (lower, 0, false);
    while !bytes.is_empty() {
        if is_finished {
            return Err(RangeError::Order);
        }
        let [mode] = take(&mut bytes)?;
        let upper = if mode & TO_THE_END == 0 { Some(read_key(&mut bytes, &from)?) } else { None };
        if upper.is_some_and(|upper| upper <= from) && !is_out(Canary::Ranges) {
            return Err(RangeError::Order);
        }
        let content = match mode & !TO_THE_END {
            MODE_SKIP => RangeContent::Skip,
            MODE_FINGERPRINT => RangeContent::Fingerprint(take(&mut bytes)?),
            MODE_DIGESTS => RangeContent::Digests(read_digests(&mut bytes)?),
            MODE_FETCHING => RangeContent::Fetching,
            MODE_LACKING => RangeContent::Lacking(read_digests(&mut bytes)?),
            MODE_SHORT_FINGERPRINT => RangeContent::ShortFingerprint(take(&mut bytes)?),
            found => return Err(RangeError::Mode { found }),
        };
        open += usize::from(content != RangeContent::Skip);
        ranges.push(Range { upper, content });
        if ranges.len() > RANGES_PER_FRAME_MAX && !is_out(Canary::Ranges) {
            return Err(RangeError::TooMany { max: RANGES_PER_FRAME_MAX });
        }
        if !is_reply && open > OPEN_RANGES_PER_REQUEST_MAX && !is_out(Canary::Ranges) {
            return Err(RangeError::TooMany { max: OPEN_RANGES_PER_REQUEST_MAX });
        }
        match upper {
            Some(upper) => from = upper,
            None => is_finished = true,
        }
    }
    if ranges.is_empty() { Err(RangeError::Empty) } else { Ok(ranges) }
}

fn read_digests(bytes: &mut &[u8]) -> Result<Vec<Digest>, RangeError> {
    let [count] = take(bytes)?;
    let found = usize::from(count);
    if found > DIGESTS_PER_RANGE_MAX {
        return Err(RangeError::TooManyDigests { found, max: DIGESTS_PER_RANGE_MAX });
    }
    (0..found).map(|_| Ok(take(bytes)?)).collect()
}

impl From<KeyListError> for RangeError {
    fn from(error: KeyListError) -> RangeError {
        match error {
            KeyListError::Length { found } => RangeError::BoundLength { found },
            KeyListError::Truncated | KeyListError::Order | KeyListError::TooMany { .. } => RangeError::Truncated,
        }
    }
}
