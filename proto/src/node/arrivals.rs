//! Arrival log: in which order versions entered a set, so that a peer which knows an earlier place can be told what is new.
//!
//! In: keys as they enter. Out: keys since a place, and the bytes in which peers are told of them.
//! Always: disposable and in memory; its name (epoch) is new at each start, so that a place in an older log is never
//! taken for one in this. Correctness never rests on it.
//! Spec: `spec/07-sync.md`, section 5. Tested: below, `node/tests/catching_up.rs`.

use std::collections::{BTreeSet, VecDeque};

use super::Breach;
use crate::id::Vid;
use crate::limits::HINTS_PER_ARRIVALS_MAX;
use crate::set::SetKey;

/// Arrivals that are remembered for each audience: 1 MiB. A peer that missed more compares sets.
pub(super) const ARRIVALS_KEPT_MAX: usize = 65_536;

/// A place in somebody's arrival log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// Which log.
    pub epoch: u64,
    /// Number of arrivals before this place.
    pub sequence: u64,
}

#[derive(Debug)]
pub(super) struct ArrivalLog {
    epoch: u64,
    /// Arrivals that are no longer remembered.
    dropped: u64,
    keys: VecDeque<SetKey>,
}

impl ArrivalLog {
    pub(super) fn new(epoch: u64) -> ArrivalLog {
        ArrivalLog { epoch, dropped: 0, keys: VecDeque::new() }
    }

    /// The place after the last arrival.
    pub(super) fn head(&self) -> LogPlace {
        LogPlace { epoch: self.epoch, sequence: self.dropped + self.keys.len() as u64 }
    }

    pub(super) fn push(&mut self, key: SetKey) {
        if self.keys.len() == ARRIVALS_KEPT_MAX {
            self.keys.pop_front();
            self.dropped += 1;
        }
        self.keys.push_back(key);
    }

    /// Different keys that arrived after a place, at most `keys_max`, ascending, and the place up to which they answer.
    /// `None` for a place that this log does not have, or no longer.
    pub(super) fn since(&self, place: LogPlace, keys_max: usize) -> Option<(Vec<SetKey>, LogPlace)> {
        let head = self.head();
        if place.epoch != self.epoch || place.sequence < self.dropped || place.sequence > head.sequence {
            return None;
        }
        let (mut keys, mut sequence) = (BTreeSet::new(), place.sequence);
        for key in self.keys.range((place.sequence - self.dropped) as usize..) {
            if keys.len() == keys_max && !keys.contains(key) {
                break;
            }
            keys.insert(*key);
            sequence += 1;
        }
        Some((keys.into_iter().collect(), LogPlace { epoch: self.epoch, sequence }))
    }
}

/// Bytes of a vid in a hint.
const HINTED_VID_BYTES: usize = 4;
/// Bytes of a hint within its group.
const HINT_BYTES: usize = 8 + HINTED_VID_BYTES;

/// A key with the first four bytes of its vid: enough to guess whether a version is here already. A wrong guess shows when
/// fingerprints are compared at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) key: SetKey,
    pub(super) vid_prefix: [u8; HINTED_VID_BYTES],
}

impl Hint {
    pub(super) fn of(key: SetKey, vid: &Vid) -> Hint {
        Hint { key, vid_prefix: std::array::from_fn(|i| vid.0[i]) }
    }
}

/// Writes hints, ascending: for each first half of keys that they share, these eight bytes, the number of hints (one
/// byte, a full one is followed by another group), and of each the second half of the key and the prefix of the vid.
pub(super) fn write_hints(hints: &[Hint]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hints.len() * 13);
    for same_half in hints.chunk_by(|a, b| a.key.0[..8] == b.key.0[..8]) {
        for group in same_half.chunks(usize::from(u8::MAX)) {
            bytes.extend_from_slice(&group[0].key.0[..8]);
            bytes.push(group.len() as u8);
            for hint in group {
                bytes.extend_from_slice(&hint.key.0[8..]);
                bytes.extend_from_slice(&hint.vid_prefix);
            }
        }
    }
    bytes
}

/// Reads hints; they ascend and are at most [`HINTS_PER_ARRIVALS_MAX`].
pub(super) fn read_hints(mut bytes: &[u8]) -> Result<Vec<Hint>, Breach> {
    let breach = |reason: &str| Breach::Hints { reason: reason.to_owned() };
    let mut hints: Vec<Hint> = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let [half @ .., count] = head;
        let group = rest.split_at_checked(usize::from(*count) * HINT_BYTES).ok_or_else(|| breach("they end early"))?;
        bytes = group.1;
        if *count == 0 {
            return Err(breach("a group of none"));
        }
        if hints.len() + usize::from(*count) > HINTS_PER_ARRIVALS_MAX {
            let found = hints.len() + usize::from(*count);
            return Err(Breach::TooMany { what: "hints in Arrivals", found, max: HINTS_PER_ARRIVALS_MAX });
        }
        for record in group.0.as_chunks::<HINT_BYTES>().0 {
            let mut key = [0; SetKey::BYTES];
            key[..8].copy_from_slice(half);
            key[8..].copy_from_slice(&record[..8]);
            let vid_prefix = std::array::from_fn(|i| record[8 + i]);
            if hints.last().is_some_and(|last| last.key.0 >= key) {
                return Err(breach("their keys do not ascend"));
            }
            hints.push(Hint { key: SetKey(key), vid_prefix });
        }
    }
    if bytes.is_empty() { Ok(hints) } else { Err(breach("they end early")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn key(n: u64) -> SetKey {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&n.to_be_bytes());
        SetKey(key)
    }

    fn place(sequence: u64) -> LogPlace {
        LogPlace { epoch: 7, sequence }
    }

    #[test]
    fn a_log_tells_what_arrived_after_a_place_once_and_up_to_where() {
        let mut log = ArrivalLog::new(7);
        [5, 3, 5, 9].into_iter().for_each(|n| log.push(key(n)));
        assert_eq!(log.since(place(0), 10), Some((vec![key(3), key(5), key(9)], place(4))));
        assert_eq!(log.since(place(1), 10), Some((vec![key(3), key(5), key(9)], place(4))));
        assert_eq!(log.since(place(4), 10), Some((vec![], place(4))));
        // At the limit of two keys a third is left for later, but a known one is passed.
        assert_eq!(log.since(place(0), 2), Some((vec![key(3), key(5)], place(3))));
    }

    #[test]
    fn a_place_in_another_log_or_ahead_or_no_longer_remembered_is_stale() {
        let mut log = ArrivalLog::new(7);
        for n in 0..ARRIVALS_KEPT_MAX as u64 {
            log.push(key(n));
        }
        assert!(log.since(place(0), 1).is_some());
        assert_eq!(log.since(LogPlace { epoch: 8, sequence: 0 }, 1), None);
        assert_eq!(log.since(place(ARRIVALS_KEPT_MAX as u64 + 1), 1), None);
        log.push(key(0));
        assert_eq!(log.since(place(0), 1), None);
        assert!(log.since(place(1), 1).is_some());
    }

    #[test]
    fn hints_are_read_at_their_limit_and_refused_beyond() {
        let hints = |count: u64| -> Vec<u8> {
            write_hints(&(0..count).map(|n| Hint { key: key(n), vid_prefix: [1; 4] }).collect::<Vec<_>>())
        };
        let max = HINTS_PER_ARRIVALS_MAX as u64;
        assert_eq!(read_hints(&hints(max)).unwrap().len(), HINTS_PER_ARRIVALS_MAX);
        assert!(matches!(read_hints(&hints(max + 1)), Err(Breach::TooMany { .. })));
        assert!(matches!(read_hints(&hints(2)[..20]), Err(Breach::Hints { .. })));
        assert!(matches!(read_hints(&[0; 9]), Err(Breach::Hints { .. })));
        let twice = [hints(1), hints(1)].concat();
        assert!(matches!(read_hints(&twice), Err(Breach::Hints { .. })));
    }

    proptest! {
        #[test]
        fn hints_read_back_as_they_were_written(
            keys in prop::collection::btree_map((0u64..4, any::<u64>()), any::<[u8; 4]>(), 0..900)
        ) {
            let hint = |((half, record), vid_prefix): ((u64, u64), [u8; 4])| {
                let mut key = key(half);
                key.0[8..].copy_from_slice(&record.to_be_bytes());
                Hint { key, vid_prefix }
            };
            let hints: Vec<Hint> = keys.into_iter().map(hint).collect();
            prop_assert_eq!(read_hints(&write_hints(&hints)).unwrap(), hints);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_hints(&bytes);
        }
    }
}
