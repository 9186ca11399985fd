//! A frame as the bytes that came: decoding is the node's business, after it looked at the size.

use prost::DecodeError;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType};

/// Serialised `Frame`, passed through gRPC as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawFrame(Vec<u8>);

impl RawFrame {
    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for RawFrame {
    fn from(bytes: Vec<u8>) -> RawFrame {
        RawFrame(bytes)
    }
}

impl prost::Message for RawFrame {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        buffer.put_slice(&self.0);
    }

    /// Takes everything, whatever it is.
    fn merge(&mut self, mut buffer: impl Buf) -> Result<(), DecodeError> {
        self.0.reserve(buffer.remaining());
        while buffer.has_remaining() {
            let chunk = buffer.chunk();
            self.0.extend_from_slice(chunk);
            let length = chunk.len();
            buffer.advance(length);
        }
        Ok(())
    }

    /// Not used: [`RawFrame::merge`] takes whole messages. Skips the field, as for one that is not known.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, tag, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use prost::Message;

    use super::*;

    #[test]
    fn whatever_bytes_come_are_the_bytes_that_go_on() {
        for bytes in [vec![], vec![0xff; 100], b"\x0a\x02hi".to_vec()] {
            assert_eq!(RawFrame::decode(bytes.as_slice()).unwrap().into_bytes(), bytes);
            assert_eq!(RawFrame::from(bytes.clone()).encode_to_vec(), bytes);
        }
    }
}
