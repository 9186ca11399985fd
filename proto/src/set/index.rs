//! Ordered index of a set with additive sums, so that the fingerprint of any range is cheap.
//!
//! Entries stand in sorted chunks; each chunk keeps the sum of its elements. An update touches one chunk, a range
//! costs two partial chunks and one addition per whole chunk between them.
//! Always: the total is the sum over all entries.

use super::key::SetKey;
use crate::id::Vid;
use crate::order::Precedence;
use crate::time::Hlc;

/// Entries in one chunk before it is cut in two.
const CHUNK_ENTRIES_MAX: usize = 512;

/// What is known of a slot's winning version without reading its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the winning version.
    pub vid: Vid,
    /// Its clock.
    pub hlc: Hlc,
    /// Number of its device key in the node's table.
    pub device: u32,
}

impl Entry {
    /// Its precedence, given the device key behind the number.
    pub fn precedence(&self, device: [u8; 32]) -> Precedence {
        Precedence { hlc: self.hlc, device, vid: self.vid }
    }
}

/// Sum of the elements of a range modulo 2^256, and their number. Elements are BLAKE3 of key and vid, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    sum: [u64; 4],
    /// Number of entries.
    pub count: u64,
}

impl Summary {
    /// First 16 bytes of BLAKE3 of the sum (32 bytes, little-endian) and the count (8 bytes, little-endian).
    pub fn fingerprint(&self) -> [u8; 16] {
        let mut bytes = [0; 40];
        for (part, limb) in bytes.chunks_exact_mut(8).zip(self.sum.iter().chain([&self.count])) {
            part.copy_from_slice(&limb.to_le_bytes());
        }
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
        fingerprint
    }

    fn of(key: &SetKey, vid: &Vid) -> Summary {
        let mut element = [0; 32];
        element[..16].copy_from_slice(&key.0);
        element[16..].copy_from_slice(&vid.0);
        let digest = blake3::hash(&element);
        let mut sum = [0; 4];
        for (limb, bytes) in sum.iter_mut().zip(digest.as_bytes().chunks_exact(8)) {
            let mut little = [0; 8];
            little.copy_from_slice(bytes);
            *limb = u64::from_le_bytes(little);
        }
        Summary { sum, count: 1 }
    }

    fn add(&mut self, other: &Summary) {
        let mut carry = false;
        for (limb, more) in self.sum.iter_mut().zip(other.sum) {
            let (sum, first) = limb.overflowing_add(more);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first | second);
        }
        self.count += other.count;
    }

    fn subtract(&mut self, other: &Summary) {
        let mut borrow = false;
        for (limb, less) in self.sum.iter_mut().zip(other.sum) {
            let (difference, first) = limb.overflowing_sub(less);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (difference, first | second);
        }
        self.count -= other.count;
    }
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    entries: Vec<(SetKey, Entry)>,
    summary: Summary,
}

impl Chunk {
    fn summarise(&mut self) {
        self.summary = Summary::default();
        self.entries.iter().for_each(|(key, entry)| self.summary.add(&Summary::of(key, &entry.vid)));
    }
}

/// The winning versions of one audience.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Ascending; none empty.
    chunks: Vec<Chunk>,
    total: Summary,
}

/// Bounds of a range: lower inclusive, upper exclusive, `None` for the end of the key space.
type Bounds = (SetKey, Option<SetKey>);

impl Index {
    /// An empty set.
    pub fn new() -> Index {
        Index::default()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.total.count as usize
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.total.count == 0
    }

    /// Sum over all entries.
    pub fn total(&self) -> Summary {
        self.total
    }

    /// The entry at `key`.
    pub fn get(&self, key: &SetKey) -> Option<&Entry> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        chunk.entries.binary_search_by(|(at, _)| at.cmp(key)).ok().map(|i| &chunk.entries[i].1)
    }

    /// Puts an entry and returns the one it replaces.
    pub fn insert(&mut self, key: SetKey, entry: Entry) -> Option<Entry> {
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        let at = self.chunk_of(&key);
        let chunk = &mut self.chunks[at];
        let element = Summary::of(&key, &entry.vid);
        let replaced = match chunk.entries.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(i) => {
                let old = std::mem::replace(&mut chunk.entries[i].1, entry);
                let gone = Summary::of(&key, &old.vid);
                chunk.summary.subtract(&gone);
                self.total.subtract(&gone);
                Some(old)
            }
            Err(i) => {
                chunk.entries.insert(i, (key, entry));
                None
            }
        };
        chunk.summary.add(&element);
        self.total.add(&element);
        if chunk.entries.len() > CHUNK_ENTRIES_MAX {
            // Loading in key order fills the last chunk; cutting there at its end keeps all chunks full.
            let is_appending =
                at + 1 == self.chunks.len() && self.chunks[at].entries.last().is_some_and(|(last, _)| *last == key);
            let chunk = &mut self.chunks[at];
            let half = if is_appending { CHUNK_ENTRIES_MAX } else { CHUNK_ENTRIES_MAX / 2 };
            let mut upper = Chunk { entries: chunk.entries.split_off(half), summary: Summary::default() };
            upper.summarise();
            chunk.summary.subtract(&upper.summary);
            self.chunks.insert(at + 1, upper);
        }
        replaced
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &SetKey) -> Option<Entry> {
        let at = self.chunk_of(key);
        let chunk = self.chunks.get_mut(at)?;
        let i = chunk.entries.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        let (_, entry) = chunk.entries.remove(i);
        let gone = Summary::of(key, &entry.vid);
        chunk.summary.subtract(&gone);
        self.total.subtract(&gone);
        if chunk.entries.is_empty() {
            self.chunks.remove(at);
        }
        Some(entry)
    }

    /// Sum over `lower <= key < upper`.
    pub fn summary(&self, lower: &SetKey, upper: Option<&SetKey>) -> Summary {
        let mut summary = Summary::default();
        let is_below = |key: &SetKey| upper.is_none_or(|upper| key < upper);
        for chunk in self.chunks.iter().skip(self.chunk_of(lower)) {
            let (Some((first, _)), Some((last, _))) = (chunk.entries.first(), chunk.entries.last()) else { continue };
            if !is_below(first) {
                break;
            }
            if first >= lower && is_below(last) {
                summary.add(&chunk.summary);
                continue;
            }
            let from = chunk.entries.partition_point(|(key, _)| key < lower);
            let to = chunk.entries.partition_point(|(key, _)| is_below(key));
            chunk.entries[from..to.max(from)]
                .iter()
                .for_each(|(key, entry)| summary.add(&Summary::of(key, &entry.vid)));
        }
        summary
    }

    /// Entries with `lower <= key < upper`, ascending.
    pub fn range<'a>(
        &'a self,
        lower: &SetKey,
        upper: Option<&'a SetKey>,
    ) -> impl Iterator<Item = (&'a SetKey, &'a Entry)> + 'a {
        let lower = *lower;
        self.chunks
            .iter()
            .skip(self.chunk_of(&lower))
            .flat_map(|chunk| &chunk.entries)
            .skip_while(move |(key, _)| *key < lower)
            .take_while(move |(key, _)| upper.is_none_or(|upper| key < upper))
            .map(|(key, entry)| (key, entry))
    }

    /// Cuts a range into at most `parts` ranges of about equal numbers of entries.
    ///
    /// The bounds are the shortest prefixes that tell neighbours apart. Returns one range when there is less than two
    /// entries.
    pub fn split(&self, lower: &SetKey, upper: Option<&SetKey>, parts: usize) -> Vec<Bounds> {
        let count = self.summary(lower, upper).count as usize;
        let parts = parts.min(count).max(1);
        let start = self.rank(lower);
        let mut bounds = Vec::with_capacity(parts);
        let mut from = *lower;
        for part in 1..parts {
            let rank = start + part * count / parts;
            let (Some(before), Some(first)) = (self.at_rank(rank - 1), self.at_rank(rank)) else { continue };
            let to = shortest_between(before, first);
            bounds.push((from, Some(to)));
            from = to;
        }
        bounds.push((from, upper.copied()));
        bounds
    }

    fn chunk_of(&self, key: &SetKey) -> usize {
        let after = self.chunks.partition_point(|chunk| chunk.entries.first().is_some_and(|(first, _)| first <= key));
        after.saturating_sub(1)
    }

    /// Number of entries below `key`.
    fn rank(&self, key: &SetKey) -> usize {
        let at = self.chunk_of(key);
        let before: usize = self.chunks[..at.min(self.chunks.len())].iter().map(|chunk| chunk.entries.len()).sum();
        before + self.chunks.get(at).map_or(0, |chunk| chunk.entries.partition_point(|(other, _)| other < key))
    }

    fn at_rank(&self, mut rank: usize) -> Option<&SetKey> {
        for chunk in &self.chunks {
            match chunk.entries.get(rank) {
                Some((key, _)) => return Some(key),
                None => rank -= chunk.entries.len(),
            }
        }
        None
    }
}

/// The shortest prefix of `upper`, filled up with zeros, that is greater than `lower`.
fn shortest_between(lower: &SetKey, upper: &SetKey) -> SetKey {
    let common = lower.0.iter().zip(&upper.0).take_while(|(a, b)| a == b).count();
    let mut key = [0; 16];
    let length = (common + 1).min(16);
    key[..length].copy_from_slice(&upper.0[..length]);
    SetKey(key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(n: u16) -> SetKey {
        let mut key = [0; 16];
        key[..2].copy_from_slice(&n.to_be_bytes());
        SetKey(key)
    }

    fn entry(vid: u8) -> Entry {
        Entry { vid: Vid([vid; 16]), hlc: Hlc(0), device: 0 }
    }

    fn sum_of(model: &BTreeMap<SetKey, Entry>) -> Summary {
        let mut summary = Summary::default();
        model.iter().for_each(|(key, entry)| summary.add(&Summary::of(key, &entry.vid)));
        summary
    }

    #[test]
    fn the_same_entries_give_the_same_fingerprint_whatever_their_order_of_arrival() {
        let (mut up, mut down) = (Index::new(), Index::new());
        (0..2_000).for_each(|n| {
            up.insert(key(n), entry(1));
        });
        (0..2_000).rev().for_each(|n| {
            down.insert(key(n), entry(1));
        });
        assert_eq!(up.total().fingerprint(), down.total().fingerprint());
        assert_eq!(up.len(), 2_000);
        down.insert(key(5), entry(2));
        assert_ne!(up.total().fingerprint(), down.total().fingerprint());
    }

    #[test]
    fn loading_in_key_order_leaves_full_chunks() {
        let mut index = Index::new();
        (0..10_240).for_each(|n| {
            index.insert(key(n), entry(1));
        });
        assert_eq!(index.chunks.len(), 10_240 / CHUNK_ENTRIES_MAX);
    }

    #[test]
    fn a_split_covers_its_range_with_parts_of_about_equal_size() {
        let mut index = Index::new();
        (0..3_000).for_each(|n| {
            index.insert(key(n * 3), entry(1));
        });
        let parts = index.split(&key(300), Some(&key(6_000)), 16);
        assert_eq!(parts.len(), 16);
        assert_eq!((parts[0].0, parts[15].1), (key(300), Some(key(6_000))));
        assert!(parts.windows(2).all(|pair| pair[0].1 == Some(pair[1].0)));
        let counts: Vec<u64> = parts.iter().map(|(from, to)| index.summary(from, to.as_ref()).count).collect();
        assert_eq!(counts.iter().sum::<u64>(), 1_900);
        assert!(counts.iter().all(|count| (118..=119).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_a_sorted_map(
            steps in prop::collection::vec((0u16..1_500, 0u8..4, prop::bool::weighted(0.7)), 0..3_000),
            (a, b) in (0u16..1_500, 0u16..1_500),
        ) {
            let (mut index, mut model) = (Index::new(), BTreeMap::new());
            for (n, vid, is_insert) in steps {
                if is_insert {
                    prop_assert_eq!(index.insert(key(n), entry(vid)), model.insert(key(n), entry(vid)));
                } else {
                    prop_assert_eq!(index.remove(&key(n)), model.remove(&key(n)));
                }
            }
            prop_assert_eq!(index.total(), sum_of(&model));
            let (lower, upper) = (key(a.min(b)), key(a.max(b)));
            let inside: BTreeMap<SetKey, Entry> = model.range(lower..upper).map(|(key, entry)| (*key, *entry)).collect();
            prop_assert_eq!(index.summary(&lower, Some(&upper)), sum_of(&inside));
            prop_assert!(index.range(&lower, Some(&upper)).eq(inside.iter()));
            let parts = index.split(&lower, Some(&upper), 16);
            let total: u64 = parts.iter().map(|(from, to)| index.summary(from, to.as_ref()).count).sum();
            prop_assert_eq!(total as usize, inside.len());
        }
    }
}
