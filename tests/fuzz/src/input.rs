//! Bytes taken from the front, for targets whose bytes are a list of things to do.

/// What is left of the bytes of one run.
#[derive(Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All of them.
    pub fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes(bytes)
    }

    /// The next byte; `None` at the end.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next byte as a place in a list of `length`; `None` at the end or without a list.
    pub fn index(&mut self, length: usize) -> Option<usize> {
        self.byte().map(usize::from)?.checked_rem(length)
    }

    /// Two bytes, big-endian.
    pub fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// Two bytes of length, then as many bytes, or as many as there are.
    pub fn part(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.number()?).min(self.0.len());
        let (part, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(part)
    }
}
