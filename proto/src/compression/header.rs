//! The header of a zstd frame, read before anything is given to the decoder.
//!
//! In: bytes of a frame. Out: what it asks for. Always: reads 18 bytes at most, allocates nothing.
//! Spec: RFC 8878, section 3.1.1.1. Tested: `compression/tests.rs`.

use super::{CompressionError, DICTIONARY_ID, WINDOW_BYTES_MAX};

/// First bytes of a zstd frame.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// What a frame asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Memory to look back in, in bytes.
    window_bytes: u64,
    /// 0: none.
    dictionary_id: u32,
    content_bytes: Option<u64>,
    has_checksum: bool,
}

impl FrameHeader {
    pub(super) fn read(frame: &[u8]) -> Result<FrameHeader, CompressionError> {
        let rest = frame.strip_prefix(&MAGIC).ok_or(CompressionError::NotZstd)?;
        let (&descriptor, mut rest) = rest.split_first().ok_or(CompressionError::HeaderCut)?;
        if descriptor & 0b1000 != 0 {
            return Err(CompressionError::ReservedBit);
        }
        let is_single_segment = descriptor & 0b10_0000 != 0;
        let window_bytes = if is_single_segment { None } else { Some(window_bytes(take(&mut rest, 1)?)) };
        let dictionary_id = take(&mut rest, [0, 1, 2, 4][usize::from(descriptor & 0b11)])?;
        let content_bytes = match descriptor >> 6 {
            0 if is_single_segment => Some(take(&mut rest, 1)?),
            0 => None,
            1 => Some(take(&mut rest, 2)? + 256),
            2 => Some(take(&mut rest, 4)?),
            _ => Some(take(&mut rest, 8)?),
        };
        Ok(FrameHeader {
            // A single segment is decoded into the result itself.
            window_bytes: window_bytes.or(content_bytes).unwrap_or(0),
            dictionary_id: u32::try_from(dictionary_id).unwrap_or(u32::MAX),
            content_bytes,
            has_checksum: descriptor & 0b100 != 0,
        })
    }

    /// Errors: the first rule that the frame breaks, when its content should have `payload_bytes`.
    pub(super) fn check(&self, payload_bytes: usize) -> Result<(), CompressionError> {
        if self.has_checksum {
            return Err(CompressionError::Checksum);
        }
        if self.dictionary_id != DICTIONARY_ID {
            return Err(CompressionError::OtherDictionaryId { found: self.dictionary_id });
        }
        let found = self.content_bytes.ok_or(CompressionError::NoContentSize)?;
        if found != payload_bytes as u64 {
            return Err(CompressionError::ContentSizeDiffers { found, stated: payload_bytes });
        }
        if self.window_bytes > WINDOW_BYTES_MAX {
            return Err(CompressionError::WindowTooLarge { found: self.window_bytes });
        }
        Ok(())
    }
}

/// The next `count` bytes, 8 at most, as a number: zstd's are little-endian.
fn take(rest: &mut &[u8], count: usize) -> Result<u64, CompressionError> {
    let (bytes, after) = rest.split_at_checked(count).ok_or(CompressionError::HeaderCut)?;
    *rest = after;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// The size that a window descriptor stands for: a power of two from 1 KiB on, plus eighths of it.
fn window_bytes(descriptor: u64) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * (descriptor & 0b111)
}
