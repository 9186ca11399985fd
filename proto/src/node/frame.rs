//! Frames as bytes: reading with limits, writing.
//!
//! Spec: `spec/06-link.md`, section 2.

use prost::Message;

use crate::id::Vid;
use crate::limits::{FRAME_BYTES_MAX, VERSIONS_FRAME_BYTES_MAX, VERSIONS_PER_FRAME_MAX};
use crate::set::SetKey;
use crate::sync::Pair;
use crate::v1;
use crate::v1::frame::Content;

/// How a peer broke the specification. Its link is closed with this message.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Breach {
    /// Larger than a frame may be.
    #[error("a frame of {found} bytes; at most {max} are allowed")]
    FrameTooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not a protobuf `Frame`, or one without content known here.
    #[error("a frame that cannot be read: {reason}")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// Something else before `Hello`, or `Hello` twice.
    #[error("{what}")]
    HelloOrder {
        /// What came.
        what: &'static str,
    },
    /// A list longer than allowed.
    #[error("{what}: found {found}, at most {max} are allowed")]
    TooMany {
        /// Name of the list.
        what: &'static str,
        /// Entries found.
        found: usize,
        /// Entries allowed.
        max: usize,
    },
    /// Bytes that do not divide into their elements.
    #[error("{what}: {found} bytes do not divide into elements of {element}")]
    Uneven {
        /// Name of the list.
        what: &'static str,
        /// Bytes found.
        found: usize,
        /// Bytes of one element.
        element: usize,
    },
    /// An audience number without meaning, or one that is not shared on this link.
    #[error("audience {found} is not shared on this link")]
    Audience {
        /// Number found.
        found: u32,
    },
    /// Ranges that break their rules.
    #[error("ranges: {0}")]
    Ranges(#[from] crate::sync::RangeError),
    /// A session that does not end.
    #[error("reconciliation in round {found}: requests have even rounds, replies odd ones, all below {max}")]
    Rounds {
        /// Round found.
        found: u32,
        /// Rounds allowed.
        max: u32,
    },
    /// Too many versions that no honest node would send.
    #[error("{found} versions that no honest node would have sent; the last: {last}")]
    Versions {
        /// How many.
        found: u32,
        /// Why the last one is refused.
        last: String,
    },
}

/// Reads a frame. Errors: [`Breach`].
pub fn read_frame(bytes: &[u8]) -> Result<Content, Breach> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(Breach::FrameTooLarge { found: bytes.len(), max: FRAME_BYTES_MAX });
    }
    let frame = v1::Frame::decode(bytes).map_err(|error| Breach::Unreadable { reason: error.to_string() })?;
    frame.content.ok_or_else(|| Breach::Unreadable { reason: "it has no content that this level knows".to_owned() })
}

/// Writes a frame.
pub fn write_frame(content: Content) -> Vec<u8> {
    v1::Frame { content: Some(content) }.encode_to_vec()
}

/// Cuts envelopes into `Versions` frames, each within the limits. The last one says so; there is always one.
pub fn versions_frames(want: u64, envelopes: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut batch = v1::Versions { envelopes: Vec::new(), want, last: false };
    let mut bytes = 0;
    for envelope in envelopes {
        let is_full =
            bytes + envelope.len() > VERSIONS_FRAME_BYTES_MAX || batch.envelopes.len() >= VERSIONS_PER_FRAME_MAX;
        if is_full && !batch.envelopes.is_empty() {
            let full = std::mem::replace(&mut batch, v1::Versions { envelopes: Vec::new(), want, last: false });
            frames.push(write_frame(Content::Versions(full)));
            bytes = 0;
        }
        bytes += envelope.len();
        batch.envelopes.push(envelope);
    }
    batch.last = true;
    frames.push(write_frame(Content::Versions(batch)));
    frames
}

pub(super) fn write_pairs(pairs: &[Pair]) -> Vec<u8> {
    pairs.iter().flat_map(|(key, vid)| key.0.iter().chain(&vid.0)).copied().collect()
}

pub(super) fn read_pairs(what: &'static str, bytes: &[u8], max: usize) -> Result<Vec<Pair>, Breach> {
    let elements = elements::<32>(what, bytes, max)?;
    Ok(elements
        .map(|pair| {
            let (mut key, mut vid) = ([0; 16], [0; 16]);
            key.copy_from_slice(&pair[..16]);
            vid.copy_from_slice(&pair[16..]);
            (SetKey(key), Vid(vid))
        })
        .collect())
}

pub(super) fn read_keys(what: &'static str, bytes: &[u8], max: usize) -> Result<Vec<SetKey>, Breach> {
    Ok(elements::<16>(what, bytes, max)?.map(|key| SetKey(*key)).collect())
}

fn elements<'a, const N: usize>(
    what: &'static str,
    bytes: &'a [u8],
    max: usize,
) -> Result<impl Iterator<Item = &'a [u8; N]>, Breach> {
    let (elements, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(Breach::Uneven { what, found: bytes.len(), element: N });
    }
    if elements.len() > max {
        return Err(Breach::TooMany { what, found: elements.len(), max });
    }
    Ok(elements.iter())
}
