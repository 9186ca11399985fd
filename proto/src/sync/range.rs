//! Ranges as bytes.
//!
//! Each range is a mode byte (the lower seven bits the mode, the highest set when it reaches to the end of the key space),
//! the upper bound as a key relative to the bound before it (absent at the end), and the mode's content. Modes: 0 nothing;
//! 1 fingerprint (16 bytes); 2 number of pairs (1 byte), then key, relative to the one before, and vid of each; 3 nothing
//! is held here, all of it is being fetched.
//! Spec: `spec/07-sync.md`, section 5.1.

use super::Pair;
use super::keys::{KeyListError, read_key, take, write_key};
use crate::id::Vid;
use crate::limits::{ITEMS_PER_RANGE_MAX, OPEN_RANGES_PER_REQUEST_MAX, RANGES_PER_FRAME_MAX};
use crate::set::SetKey;

const MODE_SKIP: u8 = 0;
const MODE_FINGERPRINT: u8 = 1;
const MODE_ITEMS: u8 = 2;
const MODE_FETCHING: u8 = 3;
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
    /// All entries, ascending.
    Items(Vec<Pair>),
    /// The sender holds nothing here and fetches, or is fetching, all of it.
    Fetching,
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
    /// Items must ascend and lie inside their range.
    #[error("the items of a range do not ascend or lie outside it")]
    Items,
    /// More ranges than a frame may hold.
    #[error("more than {max} ranges in a frame")]
    TooMany {
        /// Ranges allowed.
        max: usize,
    },
    /// More items than a range may list.
    #[error("a range lists {found} items, at most {max} are allowed")]
    TooManyItems {
        /// Items found.
        found: usize,
        /// Items allowed.
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
            RangeContent::Items(_) => MODE_ITEMS,
            RangeContent::Fetching => MODE_FETCHING,
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
            RangeContent::Items(items) => {
                bytes.push(items.len() as u8);
                let mut previous = &from;
                for (key, vid) in items {
                    write_key(&mut bytes, previous, key);
                    bytes.extend_from_slice(&vid.0);
                    previous = key;
                }
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
        if upper.is_some_and(|upper| upper <= from) {
            return Err(RangeError::Order);
        }
        let content = match mode & !TO_THE_END {
            MODE_SKIP => RangeContent::Skip,
            MODE_FINGERPRINT => RangeContent::Fingerprint(take(&mut bytes)?),
            MODE_ITEMS => RangeContent::Items(read_items(&mut bytes, from, upper)?),
            MODE_FETCHING => RangeContent::Fetching,
            found => return Err(RangeError::Mode { found }),
        };
        open += usize::from(content != RangeContent::Skip);
        ranges.push(Range { upper, content });
        if ranges.len() > RANGES_PER_FRAME_MAX {
            return Err(RangeError::TooMany { max: RANGES_PER_FRAME_MAX });
        }
        if !is_reply && open > OPEN_RANGES_PER_REQUEST_MAX {
            return Err(RangeError::TooMany { max: OPEN_RANGES_PER_REQUEST_MAX });
        }
        match upper {
            Some(upper) => from = upper,
            None => is_finished = true,
        }
    }
    if ranges.is_empty() { Err(RangeError::Empty) } else { Ok(ranges) }
}

fn read_items(bytes: &mut &[u8], from: SetKey, upper: Option<SetKey>) -> Result<Vec<Pair>, RangeError> {
    let [count] = take(bytes)?;
    let found = usize::from(count);
    if found > ITEMS_PER_RANGE_MAX {
        return Err(RangeError::TooManyItems { found, max: ITEMS_PER_RANGE_MAX });
    }
    let mut items: Vec<Pair> = Vec::with_capacity(found);
    for _ in 0..found {
        let last = items.last().map(|(key, _)| *key);
        let key = read_key(bytes, &last.unwrap_or(from))?;
        let is_after = last.map_or(key >= from, |last| key > last);
        if !is_after || upper.is_some_and(|upper| key >= upper) {
            return Err(RangeError::Items);
        }
        items.push((key, Vid(take(bytes)?)));
    }
    Ok(items)
}

impl From<KeyListError> for RangeError {
    fn from(error: KeyListError) -> RangeError {
        match error {
            KeyListError::Length { found } => RangeError::BoundLength { found },
            KeyListError::Truncated | KeyListError::Order | KeyListError::TooMany { .. } => RangeError::Truncated,
        }
    }
}
