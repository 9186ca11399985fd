//! Compression of `Versions` messages on a link, with a dictionary that every node has.
//!
//! Pure. In: a serialised `Versions`, or the content of a `Compressed` frame. Out: the other one.
//! Always: nothing is allocated for a payload before its stated size was found to be allowed, and never more than that;
//! a frame gives exactly the stated number of bytes or an error.
//! Spec: `spec/dictionary/README.md`. Tested: `compression/tests.rs`, `tests/compression`.

use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe;

use crate::canary::{Canary, is_out};
use crate::limits::FRAME_BYTES_MAX;

mod header;
#[cfg(test)]
mod tests;

use header::FrameHeader;

/// Number of the dictionary, for the field `dictionary` of a `Compressed` frame.
pub const DICTIONARY: u32 = 1;
/// The same dictionary's id inside of zstd frames. The range from 32,768 is free for private use (RFC 8878, section 6).
pub const DICTIONARY_ID: u32 = 0xF901;
/// The dictionary in zstd's format (RFC 8878, section 5). `train-dictionary` in `tests/` makes it.
pub const DICTIONARY_BYTES: &[u8] = include_bytes!("../../spec/dictionary/versions-1.zdict");

/// A payload of fewer bytes is sent as it is: a withdrawal is mostly hashes and keys, and they do not shrink.
pub const COMPRESS_BYTES_MIN: usize = 256;
/// The compressed form must be smaller by one part in so many, or the work of the other side is not worth it.
pub const COMPRESS_SAVING_MIN: usize = 16;
/// Largest window that a frame may ask for, in bytes: that of the largest payload.
pub const WINDOW_BYTES_MAX: u64 = FRAME_BYTES_MAX as u64;
/// zstd's level. Measured in `spec/dictionary/README.md`; the receiver does not depend on it.
const LEVEL: i32 = 3;

/// Prepared once per process: digesting takes longer than compressing one record.
static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY_BYTES, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY_BYTES));

/// Why the content of a `Compressed` frame is not taken. All of them are breaches: no honest node sends such a frame.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CompressionError {
    /// A dictionary that this level does not have.
    #[error("dictionary {found} is not known here; this level has dictionary {DICTIONARY} only")]
    UnknownDictionary {
        /// Number stated beside the data.
        found: u32,
    },
    /// The payload would be larger than the caller allows. Nothing was allocated.
    #[error("a payload of {found} bytes is announced, the limit is {max}")]
    PayloadTooLarge {
        /// Bytes stated beside the data.
        found: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The data does not begin with a zstd frame.
    #[error("the data does not begin with a zstd frame")]
    NotZstd,
    /// The data ends within the frame's header.
    #[error("the data ends within the header of the zstd frame")]
    HeaderCut,
    /// The reserved bit of the header is set.
    #[error("the zstd frame uses a reserved bit of its header")]
    ReservedBit,
    /// The frame has a checksum; signatures say more.
    #[error("the zstd frame has a checksum, which is not allowed here")]
    Checksum,
    /// The frame was made with another dictionary, or with none.
    #[error("the zstd frame names dictionary id {found}, expected {DICTIONARY_ID}")]
    OtherDictionaryId {
        /// Id in the frame; 0 when it names none.
        found: u32,
    },
    /// The frame does not say how large its content is.
    #[error("the zstd frame does not state the size of its content")]
    NoContentSize,
    /// Frame and message disagree about the size.
    #[error("the zstd frame states a content of {found} bytes, the message says {stated}")]
    ContentSizeDiffers {
        /// Bytes that the frame states.
        found: u64,
        /// Bytes stated beside the data.
        stated: usize,
    },
    /// The frame asks for more memory than any payload needs.
    #[error("the zstd frame asks for a window of {found} bytes, the limit is {WINDOW_BYTES_MAX}")]
    WindowTooLarge {
        /// Bytes that the frame asks for.
        found: u64,
    },
    /// The data is cut off, or its blocks are no blocks.
    #[error("the zstd frame is cut off or its blocks are damaged")]
    FrameCut,
    /// Something follows the first frame, be it another frame.
    #[error("{found} bytes follow the zstd frame")]
    TrailingBytes {
        /// Bytes after the frame.
        found: usize,
    },
    /// The blocks do not give the stated content.
    #[error("the zstd frame does not give the {stated} bytes that it states")]
    Corrupt {
        /// Bytes stated.
        stated: usize,
    },
}

/// Compresses a serialised `Versions` into one zstd frame, or gives `None` when it should be sent as it is: smaller than
/// [`COMPRESS_BYTES_MIN`], larger than any frame, or not smaller by one part in [`COMPRESS_SAVING_MIN`] afterwards.
///
/// Makes its working memory anew each time. That costs some 10 µs, a fraction of checking one signature; keeping it would
/// cost about a megabyte in every node of a simulation. Source: `spec/dictionary/README.md`, section 2.
pub fn compress(payload: &[u8]) -> Option<Vec<u8>> {
    if !(COMPRESS_BYTES_MIN..=FRAME_BYTES_MAX).contains(&payload.len()) {
        return None;
    }
    let frame = Compressor::with_prepared_dictionary(&ENCODER).ok()?.compress(payload).ok()?;
    let worthwhile_bytes_max = payload.len() - payload.len() / COMPRESS_SAVING_MIN;
    (frame.len() <= worthwhile_bytes_max).then_some(frame)
}

/// Gives the payload of a `Compressed` frame.
///
/// `dictionary`, `payload_bytes` and `frame` are the message's three fields as they came; `payload_bytes_max` is what the
/// caller can take. Allocates `payload_bytes` at most, and only once the header agrees with what is stated.
/// Errors: [`CompressionError`], each a breach. Source: `spec/dictionary/README.md`, section 2.
pub fn decompress(
    dictionary: u32,
    payload_bytes: usize,
    frame: &[u8],
    payload_bytes_max: usize,
) -> Result<Vec<u8>, CompressionError> {
    if dictionary != DICTIONARY {
        return Err(CompressionError::UnknownDictionary { found: dictionary });
    }
    if payload_bytes > payload_bytes_max && !is_out(Canary::StatedSize) {
        return Err(CompressionError::PayloadTooLarge { found: payload_bytes, max: payload_bytes_max });
    }
    FrameHeader::read(frame)?.check(payload_bytes)?;
    // Only walks over the headers of blocks. The decoder itself would go on into further frames.
    let frame_bytes = zstd_safe::find_frame_compressed_size(frame).map_err(|_| CompressionError::FrameCut)?;
    let trailing_bytes = frame.len().saturating_sub(frame_bytes);
    if trailing_bytes > 0 {
        return Err(CompressionError::TrailingBytes { found: trailing_bytes });
    }
    let corrupt = CompressionError::Corrupt { stated: payload_bytes };
    let mut payload = Vec::with_capacity(payload_bytes);
    let mut decompressor = Decompressor::with_prepared_dictionary(&DECODER).map_err(|_| corrupt)?;
    // Writes into the capacity of `payload` and never makes it larger.
    decompressor.decompress_to_buffer(frame, &mut payload).map_err(|_| corrupt)?;
    if payload.len() == payload_bytes { Ok(payload) } else { Err(corrupt) }
}
