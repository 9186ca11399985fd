//! Frames as bytes: reading with limits, writing.
//!
//! Spec: `spec/06-link.md`, section 2.

use prost::Message;

use crate::canary::{Canary, is_out};
use crate::compression::{self, CompressionError};
use crate::key::SIGNATURE_BYTES;
use crate::limits::{FRAME_BYTES_MAX, VERSIONS_FRAME_BYTES_MAX, VERSIONS_PER_FRAME_MAX};
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
    /// Larger than a frame may be by the length before it, so that the transport did not read it.
    #[error("a frame has at most {max} bytes: {said}")]
    NotRead {
        /// Bytes allowed.
        max: usize,
        /// What the transport said.
        said: String,
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
    /// An audience number without meaning, or one that is not shared on this link.
    #[error("audience {found} is not shared on this link")]
    Audience {
        /// Number found.
        found: u32,
    },
    /// Ranges that break their rules.
    #[error("ranges: {0}")]
    Ranges(#[from] crate::sync::RangeError),
    /// Pairs or keys that break their rules.
    #[error("{what}: {reason}")]
    Keys {
        /// Name of the list.
        what: &'static str,
        /// The rule.
        reason: crate::sync::KeyListError,
    },
    /// Hints that break their rules.
    #[error("hints: {reason}")]
    Hints {
        /// The rule.
        reason: String,
    },
    /// A bound of more than 16 bytes.
    #[error("a bound has at most 16 bytes, found {found}")]
    Bound {
        /// Bytes found.
        found: usize,
    },
    /// A compressed frame that breaks its rules.
    #[error("compressed: {0}")]
    Compressed(#[from] CompressionError),
    /// Not one signature for each envelope of a compressed frame.
    #[error("compressed: {found} bytes of signatures for {envelopes} envelopes; 64 each are needed")]
    Signatures {
        /// Bytes found.
        found: usize,
        /// Envelopes found.
        envelopes: usize,
    },
    /// More to compare than any set of honest nodes asks for.
    #[error("the budget for comparing sets is used up; this frame asks for {found} more ranges")]
    Budget {
        /// Ranges asked for.
        found: usize,
    },
    /// A session that does not end.
    #[error("reconciliation in round {found}; rounds are below {max}")]
    Rounds {
        /// Round found.
        found: u32,
        /// Rounds allowed.
        max: u32,
    },
    /// A mirror that says something.
    #[error("this node's operator allowed your key as a read-only mirror, which sends no versions")]
    MirrorSpeaks,
    /// More work than any honest node causes, that came to nothing.
    #[error(
        "too much for nothing: {found} {what} in a short time; send what is new here or asked for, and the rest more slowly"
    )]
    Flood {
        /// What most of the work was for.
        what: &'static str,
        /// How many of them.
        found: u64,
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
    if bytes.len() > FRAME_BYTES_MAX && !is_out(Canary::FrameSize) {
        return Err(Breach::FrameTooLarge { found: bytes.len(), max: FRAME_BYTES_MAX });
    }
    let frame = v1::Frame::decode(bytes).map_err(|error| Breach::Unreadable { reason: error.to_string() })?;
    frame.content.ok_or_else(|| Breach::Unreadable { reason: "it has no content that this level knows".to_owned() })
}

/// Writes a frame.
pub fn write_frame(content: Content) -> Vec<u8> {
    v1::Frame { content: Some(content) }.encode_to_vec()
}

/// Writes a frame of versions, compressed where that pays.
fn write_versions(versions: v1::Versions) -> Vec<u8> {
    write_frame(write_compressed(&versions).map_or(Content::Versions(versions), Content::Compressed))
}

/// Compresses versions; `None` when that would not pay. Signatures go beside: they are random bytes between texts, and cost the texts
/// more than themselves when they are compressed together.
pub fn write_compressed(versions: &v1::Versions) -> Option<v1::Compressed> {
    let mut signatures = Vec::with_capacity(versions.envelopes.len() * SIGNATURE_BYTES);
    let mut envelopes = Vec::with_capacity(versions.envelopes.len());
    for envelope in &versions.envelopes {
        let (signature, rest) = envelope.split_at_checked(SIGNATURE_BYTES)?;
        signatures.extend_from_slice(signature);
        envelopes.push(rest.to_vec());
    }
    let v1::Versions { want, last, more, route, .. } = *versions;
    let payload = v1::Versions { envelopes, want, last, more, route }.encode_to_vec();
    let data = compression::compress(&payload)?;
    let (dictionary, payload_bytes) = (compression::DICTIONARY, payload.len() as u32);
    Some(v1::Compressed { dictionary, payload_bytes, data, signatures })
}

/// Reads what was compressed. Errors: [`Breach`].
pub fn read_compressed(frame: &v1::Compressed) -> Result<v1::Versions, Breach> {
    let payload_bytes = frame.payload_bytes as usize;
    let payload = compression::decompress(frame.dictionary, payload_bytes, &frame.data, FRAME_BYTES_MAX)?;
    let versions = v1::Versions::decode(payload.as_slice());
    let mut versions = versions.map_err(|error| Breach::Unreadable { reason: error.to_string() })?;
    let (signatures, rest) = frame.signatures.as_chunks::<SIGNATURE_BYTES>();
    if signatures.len() != versions.envelopes.len() || !rest.is_empty() {
        return Err(Breach::Signatures { found: frame.signatures.len(), envelopes: versions.envelopes.len() });
    }
    for (envelope, signature) in versions.envelopes.iter_mut().zip(signatures) {
        *envelope = [signature.as_slice(), envelope].concat();
    }
    Ok(versions)
}

/// Cuts envelopes into `Versions` frames, each within the limits. The last one says so, and whether there is `more`; there
/// is always one.
pub fn versions_frames(want: u64, envelopes: impl IntoIterator<Item = Vec<u8>>, more: bool) -> Vec<Vec<u8>> {
    cut(v1::Versions { want, ..Default::default() }, envelopes, more)
}

/// The same for versions that are pushed.
pub(super) fn versions_frames_on_route(envelopes: Vec<Vec<u8>>, route: Option<v1::Route>) -> Vec<Vec<u8>> {
    cut(v1::Versions { route, ..Default::default() }, envelopes, false)
}

fn cut(empty: v1::Versions, envelopes: impl IntoIterator<Item = Vec<u8>>, more: bool) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut batch = empty.clone();
    let mut bytes = 0;
    for envelope in envelopes {
        let is_full =
            bytes + envelope.len() > VERSIONS_FRAME_BYTES_MAX || batch.envelopes.len() >= VERSIONS_PER_FRAME_MAX;
        if is_full && !batch.envelopes.is_empty() {
            let full = std::mem::replace(&mut batch, empty.clone());
            frames.push(write_versions(full));
            bytes = 0;
        }
        bytes += envelope.len();
        batch.envelopes.push(envelope);
    }
    (batch.last, batch.more) = (true, more);
    frames.push(write_versions(batch));
    frames
}
