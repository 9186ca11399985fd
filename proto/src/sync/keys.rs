//! Set keys as bytes: each one relative to the key before it.
//!
//! A key is a byte of two numbers, then new bytes. The upper four bits tell how many leading bytes it shares with the
//! key before it; the lower four how many new bytes follow, after which it is zero. No new bytes stands for all the rest.
//! Always: what was written reads back; lists ascend strictly.
//! Spec: `spec/07-sync.md`, section 1.1. Tested: below and `spec/vectors/ranges_*.json`, `frames_*.json`.

use super::Pair;
use crate::id::Vid;
use crate::set::SetKey;

/// Why bytes are no list of keys. The sender broke the specification.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyListError {
    /// They end in the middle of a key or vid.
    #[error("it ends early")]
    Truncated,
    /// More than 16 bytes in a key.
    #[error("a key has 16 bytes, found {found}")]
    Length {
        /// Bytes found.
        found: u8,
    },
    /// Keys must ascend.
    #[error("its keys do not ascend")]
    Order,
    /// More keys than allowed.
    #[error("it has more than {max} keys")]
    TooMany {
        /// Keys allowed.
        max: usize,
    },
}

/// Appends a key that comes after `previous`.
pub(super) fn write_key(bytes: &mut Vec<u8>, previous: &SetKey, key: &SetKey) {
    let shared = key.0.iter().zip(&previous.0).take_while(|(a, b)| a == b).count().min(15);
    let end = key.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1).max(shared + 1);
    let new = if end == SetKey::BYTES { 0 } else { end - shared };
    bytes.push((shared << 4 | new) as u8);
    bytes.extend_from_slice(&key.0[shared..end]);
}

/// Takes a key that comes after `previous` off the front.
pub(super) fn read_key(bytes: &mut &[u8], previous: &SetKey) -> Result<SetKey, KeyListError> {
    let [head] = take(bytes)?;
    let shared = usize::from(head >> 4);
    let new = match usize::from(head & 15) {
        0 => SetKey::BYTES - shared,
        new => new,
    };
    if shared + new > SetKey::BYTES {
        return Err(KeyListError::Length { found: (shared + new) as u8 });
    }
    let (fresh, rest) = bytes.split_at_checked(new).ok_or(KeyListError::Truncated)?;
    *bytes = rest;
    let mut key = [0; SetKey::BYTES];
    key[..shared].copy_from_slice(&previous.0[..shared]);
    key[shared..shared + new].copy_from_slice(fresh);
    Ok(SetKey(key))
}

pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], KeyListError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(KeyListError::Truncated)?;
    *bytes = rest;
    Ok(*head)
}

/// Writes keys, which must ascend.
pub fn write_keys<'a>(keys: impl IntoIterator<Item = &'a SetKey>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut previous = &SetKey::default();
    for key in keys {
        write_key(&mut bytes, previous, key);
        previous = key;
    }
    bytes
}

/// Reads at most `keys_max` keys.
pub fn read_keys(mut bytes: &[u8], keys_max: usize) -> Result<Vec<SetKey>, KeyListError> {
    let mut keys: Vec<SetKey> = Vec::new();
    while !bytes.is_empty() {
        let key = read_key(&mut bytes, &keys.last().copied().unwrap_or_default())?;
        if keys.last().is_some_and(|last| key <= *last) {
            return Err(KeyListError::Order);
        }
        if keys.len() == keys_max {
            return Err(KeyListError::TooMany { max: keys_max });
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Writes pairs, whose keys must ascend: each key and the 16 bytes of its vid.
pub fn write_pairs(pairs: &[Pair]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pairs.len() * 28);
    let mut previous = &SetKey::default();
    for (key, vid) in pairs {
        write_key(&mut bytes, previous, key);
        bytes.extend_from_slice(&vid.0);
        previous = key;
    }
    bytes
}

/// Reads at most `pairs_max` pairs.
pub fn read_pairs(mut bytes: &[u8], pairs_max: usize) -> Result<Vec<Pair>, KeyListError> {
    let mut pairs: Vec<Pair> = Vec::new();
    while !bytes.is_empty() {
        let last = pairs.last().map(|(key, _)| *key);
        let key = read_key(&mut bytes, &last.unwrap_or_default())?;
        if last.is_some_and(|last| key <= last) {
            return Err(KeyListError::Order);
        }
        if pairs.len() == pairs_max {
            return Err(KeyListError::TooMany { max: pairs_max });
        }
        pairs.push((key, Vid(take(&mut bytes)?)));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys of few different bytes, so that neighbours share prefixes and end in zeros.
    fn keys() -> impl Strategy<Value = BTreeMap<[u8; 16], [u8; 16]>> {
        prop::collection::btree_map(prop::array::uniform16(0u8..3), any::<[u8; 16]>(), 0..80)
    }

    proptest! {
        #[test]
        fn keys_and_pairs_read_back_as_they_were_written(map in keys()) {
            let pairs: Vec<Pair> = map.into_iter().map(|(key, vid)| (SetKey(key), Vid(vid))).collect();
            let keys: Vec<SetKey> = pairs.iter().map(|(key, _)| *key).collect();
            prop_assert_eq!(read_keys(&write_keys(&keys), keys.len()).unwrap(), keys);
            prop_assert_eq!(read_pairs(&write_pairs(&pairs), pairs.len()).unwrap(), pairs);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = (read_keys(&bytes, 8), read_pairs(&bytes, 8));
        }
    }

    #[test]
    fn neighbours_of_one_organisation_cost_nine_bytes_a_key() {
        let key = |n: u8| SetKey(std::array::from_fn(|i| if i < 8 { 7 } else { n + 1 }));
        let keys: Vec<SetKey> = (0..10).map(key).collect();
        assert_eq!(write_keys(&keys).len(), 17 + 9 * 9);
    }

    #[test]
    fn lists_are_read_at_their_limit_and_refused_beyond_or_out_of_order() {
        let keys: Vec<SetKey> = (1..=3).map(|n| SetKey([n; 16])).collect();
        assert!(read_keys(&write_keys(&keys), 3).is_ok());
        assert_eq!(read_keys(&write_keys(&keys), 2), Err(KeyListError::TooMany { max: 2 }));
        let pairs: Vec<Pair> = keys.iter().map(|key| (*key, Vid([0; 16]))).collect();
        assert!(read_pairs(&write_pairs(&pairs), 3).is_ok());
        assert_eq!(read_pairs(&write_pairs(&pairs), 2), Err(KeyListError::TooMany { max: 2 }));
        assert_eq!(read_keys(&[0x01, 5, 0x01, 5], 3), Err(KeyListError::Order));
        assert_eq!(read_keys(&[0x01, 5, 0xf2, 1, 2], 3), Err(KeyListError::Length { found: 17 }));
        assert_eq!(read_keys(&[0x03, 5], 3), Err(KeyListError::Truncated));
        assert_eq!(read_pairs(&[0x01, 5, 9], 3), Err(KeyListError::Truncated));
    }
}
