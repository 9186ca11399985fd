//! Ranges as bytes.
//!
//! Each range is: length of the upper bound (1 byte, 0 to 16; 0 means the end of the key space), that many bytes of
//! the bound (the rest of it is zero), a mode byte, and the mode's content. Modes: 0 nothing; 1 fingerprint (16 bytes)
//! and count (8 bytes, big-endian); 2 number of pairs (1 byte), then key (16 bytes) and vid (16 bytes) of each.
//! Spec: `spec/07-sync.md`, section 5.1.

use super::Pair;
use crate::id::Vid;
use crate::limits::{ITEMS_PER_RANGE_MAX, OPEN_RANGES_PER_REQUEST_MAX, RANGES_PER_FRAME_MAX};
use crate::set::SetKey;

const MODE_SKIP: u8 = 0;
const MODE_FINGERPRINT: u8 = 1;
const MODE_ITEMS: u8 = 2;

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
    /// Compare with this.
    Fingerprint {
        /// [`Summary::fingerprint`](crate::set::Summary::fingerprint).
        fingerprint: [u8; 16],
        /// Number of entries.
        count: u64,
    },
    /// All entries, ascending.
    Items(Vec<Pair>),
}

/// Why bytes are not acceptable ranges. The sender broke the specification.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RangeError {
    /// They end in the middle of a range.
    #[error("the ranges end early")]
    Truncated,
    /// A bound of more than 16 bytes.
    #[error("an upper bound has at most 16 bytes, found {found}")]
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

/// Writes ranges in order.
pub fn write_ranges(ranges: &[Range]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for range in ranges {
        let bound: &[u8] = range.upper.as_ref().map_or(&[], |key| &key.0);
        let length = bound.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.push(length as u8);
        bytes.extend_from_slice(&bound[..length]);
        match &range.content {
            RangeContent::Skip => bytes.push(MODE_SKIP),
            RangeContent::Fingerprint { fingerprint, count } => {
                bytes.push(MODE_FINGERPRINT);
                bytes.extend_from_slice(fingerprint);
                bytes.extend_from_slice(&count.to_be_bytes());
            }
            RangeContent::Items(items) => {
                bytes.push(MODE_ITEMS);
                bytes.push(items.len() as u8);
                for (key, vid) in items {
                    bytes.extend_from_slice(&key.0);
                    bytes.extend_from_slice(&vid.0);
                }
            }
        }
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
        let [length] = take(&mut bytes)?;
        if length > 16 {
            return Err(RangeError::BoundLength { found: length });
        }
        let mut bound = [0; 16];
        let prefix = bytes.split_at_checked(length.into()).ok_or(RangeError::Truncated)?;
        bound[..length.into()].copy_from_slice(prefix.0);
        bytes = prefix.1;
        let upper = (length > 0).then_some(SetKey(bound));
        if upper.is_some_and(|upper| upper <= from) {
            return Err(RangeError::Order);
        }
        let [mode] = take(&mut bytes)?;
        let content = match mode {
            MODE_SKIP => RangeContent::Skip,
            MODE_FINGERPRINT => {
                let fingerprint = take(&mut bytes)?;
                RangeContent::Fingerprint { fingerprint, count: u64::from_be_bytes(take(&mut bytes)?) }
            }
            MODE_ITEMS => RangeContent::Items(read_items(&mut bytes, from, upper)?),
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
        let (key, vid) = (SetKey(take(bytes)?), Vid(take(bytes)?));
        let is_after = items.last().map_or(key >= from, |(last, _)| key > *last);
        if !is_after || upper.is_some_and(|upper| key >= upper) {
            return Err(RangeError::Items);
        }
        items.push((key, vid));
    }
    Ok(items)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], RangeError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(RangeError::Truncated)?;
    *bytes = rest;
    Ok(*head)
}
