//! What stays in a slot whose record this node no longer keeps: that it is gone, for readers of change lists.
//!
//! In: a record that leaves the store because its publisher left or was put out, or because it is forgotten soon after it
//! lapsed. Out: 32 bytes that take the version's place in the store and get an arrival number of their own.
//! Always: they are no envelope, which is longer, and name nothing but the record id and the time.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::time::{DAY_MS, UnixMillis};

/// How long a removal stays listed, in milliseconds. Spec: at least seven days (`spec/10-feed.md`, section 7).
pub(crate) const REMOVALS_KEPT_MS: u64 = 30 * DAY_MS;

const MARK: &[u8; 8] = b"removed\n";

/// A record that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    /// The record.
    pub(crate) record: RecordId,
    /// When it went.
    pub(crate) at_ms: UnixMillis,
}

impl Removal {
    /// `mark(8) record(16) at_ms(8)`
    pub(crate) fn write(&self) -> Vec<u8> {
        [&MARK[..], &self.record.0, &self.at_ms.to_be_bytes()].concat()
    }

    /// `None` for an envelope.
    pub(crate) fn read(bytes: &[u8]) -> Option<Removal> {
        let (record, at_ms) = bytes.strip_prefix(MARK)?.split_first_chunk::<16>()?;
        Some(Removal { record: RecordId(*record), at_ms: u64::from_be_bytes(at_ms.try_into().ok()?) })
    }

    /// True when nobody needs to be told any more.
    pub(crate) fn is_over(at_ms: UnixMillis, now: UnixMillis) -> bool {
        at_ms.saturating_add(REMOVALS_KEPT_MS) < now
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_proto::version::SignedVersion;

    use super::*;

    #[test]
    fn a_removal_reads_back_and_is_never_taken_for_an_envelope() {
        let removal = Removal { record: RecordId([7; 16]), at_ms: 1_790_000_000_000 };
        let bytes = removal.write();
        assert_eq!(Removal::read(&bytes), Some(removal));
        assert!(SignedVersion::read(bytes.clone()).is_err());
        assert_eq!(Removal::read(&bytes[..31]), None);
        assert_eq!(Removal::read(&[bytes, vec![0]].concat()), None);
    }

    #[test]
    fn a_removal_is_over_a_millisecond_after_its_time() {
        assert!(!Removal::is_over(5, 5 + REMOVALS_KEPT_MS));
        assert!(Removal::is_over(5, 6 + REMOVALS_KEPT_MS));
    }
}
