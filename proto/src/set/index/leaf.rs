//! A leaf of the index: a few dozen neighbouring entries, packed.
//!
//! An entry takes 38 bytes, and each run of entries whose keys begin with the same eight bytes takes 9 more. Both lists are
//! exactly as long as what is in them, so a leaf wastes nothing; an update copies it.
//! Always: keys ascend; no run is empty; the runs' lengths add up to the number of entries.

use std::ops;

use super::super::entry::Entry;
use super::super::key::SetKey;
use super::super::summary::Summary;
use crate::id::Vid;
use crate::time::Hlc;

/// Entries in a leaf before it is cut in two. Above this, hashing part of a leaf for the sum of a range gets slow; below
/// it, what a leaf costs besides its entries gets large.
pub(super) const LEAF_ENTRIES_MAX: usize = 64;

/// Leading bytes of a key that are stored once for a run: class and organisation.
const PREFIX_BYTES: usize = 8;

/// Of the hours of a lease, which are below it: the lease has run out.
const HAS_LAPSED: u16 = 1 << 15;

/// All of an entry but the beginning of its key, as bytes without padding.
#[derive(Clone, Copy, Debug)]
struct Packed {
    key_end: [u8; 8],
    vid: [u8; 16],
    hlc: [u8; 8],
    device: [u8; 4],
    lease_hours: [u8; 2],
}

/// So many entries in a row have keys that begin like this.
#[derive(Clone, Copy, Debug)]
struct Run {
    prefix: [u8; PREFIX_BYTES],
    length: u8,
}

const _: () = assert!(size_of::<Packed>() == 38 && size_of::<Run>() == 9, "no padding");
const _: () = assert!(LEAF_ENTRIES_MAX < u8::MAX as usize, "the length of a run fits, in an overfull leaf, too");

impl Packed {
    fn new(key_end: [u8; 8], entry: Entry) -> Packed {
        let lapsed = if entry.has_lapsed { HAS_LAPSED } else { 0 };
        Packed {
            key_end,
            vid: entry.vid.0,
            hlc: entry.hlc.0.to_ne_bytes(),
            device: entry.device.to_ne_bytes(),
            lease_hours: (entry.lease_hours & !HAS_LAPSED | lapsed).to_ne_bytes(),
        }
    }

    fn entry(&self) -> Entry {
        let lease = u16::from_ne_bytes(self.lease_hours);
        Entry {
            vid: Vid(self.vid),
            hlc: Hlc(u64::from_ne_bytes(self.hlc)),
            device: u32::from_ne_bytes(self.device),
            lease_hours: lease & !HAS_LAPSED,
            has_lapsed: lease & HAS_LAPSED != 0,
        }
    }

    fn key(&self, prefix: &[u8; PREFIX_BYTES]) -> SetKey {
        let mut key = [0; SetKey::BYTES];
        key[..PREFIX_BYTES].copy_from_slice(prefix);
        key[PREFIX_BYTES..].copy_from_slice(&self.key_end);
        SetKey(key)
    }
}

fn parts(key: &SetKey) -> ([u8; PREFIX_BYTES], [u8; 8]) {
    let (mut prefix, mut end) = ([0; PREFIX_BYTES], [0; 8]);
    prefix.copy_from_slice(&key.0[..PREFIX_BYTES]);
    end.copy_from_slice(&key.0[PREFIX_BYTES..]);
    (prefix, end)
}

/// Some neighbouring entries. Positions count from 0 and must be below [`Leaf::len`] where an entry is meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    packed: Box<[Packed]>,
    runs: Box<[Run]>,
}

impl Leaf {
    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    /// Where the key is, or where it would have to be put.
    pub(super) fn find(&self, key: &SetKey) -> Result<usize, usize> {
        let (prefix, end) = parts(key);
        let mut start = 0;
        for run in &self.runs {
            let next = start + usize::from(run.length);
            if run.prefix == prefix {
                let found = self.packed[start..next].binary_search_by(|packed| packed.key_end.cmp(&end));
                return found.map(|at| start + at).map_err(|at| start + at);
            }
            if run.prefix > prefix {
                break;
            }
            start = next;
        }
        Err(start)
    }

    /// Where the entries below a key end, from a position on. Reads entry after entry: what a search jumps over is read next
    /// anyhow, and memory is faster in order.
    pub(super) fn end_of(&self, from: usize, upper: &SetKey) -> usize {
        let (prefix, end) = parts(upper);
        let mut start = 0;
        for run in &self.runs {
            let next = start + usize::from(run.length);
            if run.prefix >= prefix {
                let below = |packed: &&Packed| run.prefix == prefix && packed.key_end < end;
                let from = start.max(from);
                return from + self.packed[from..next.max(from)].iter().take_while(below).count();
            }
            start = next;
        }
        start.max(from)
    }

    pub(super) fn entry(&self, at: usize) -> Entry {
        self.packed[at].entry()
    }

    pub(super) fn key(&self, at: usize) -> Option<SetKey> {
        self.entries(at).next().map(|(key, _)| key)
    }

    /// Entries from a position on, ascending.
    pub(super) fn entries(&self, from: usize) -> LeafEntries<'_> {
        let (mut runs, mut start) = (self.runs.iter(), 0);
        for run in runs.by_ref() {
            let next = start + usize::from(run.length);
            if next > from {
                return LeafEntries { packed: self.packed[from..].iter(), runs, prefix: run.prefix, left: next - from };
            }
            start = next;
        }
        LeafEntries::default()
    }

    /// Adds keys and vids of the entries at these positions, ascending.
    pub(super) fn pairs(&self, positions: ops::Range<usize>, pairs: &mut Vec<(SetKey, Vid)>) {
        let mut start = 0;
        for run in &self.runs {
            let next = start + usize::from(run.length);
            let within = positions.start.max(start)..positions.end.min(next);
            // Written straight into the list: one entry after the other by value, through an iterator, takes three times as long.
            let packed = self.packed.get(within).unwrap_or_default();
            pairs.extend(packed.iter().map(|packed| (packed.key(&run.prefix), Vid(packed.vid))));
            if next >= positions.end {
                break;
            }
            start = next;
        }
    }

    /// Sum over the entries at these positions. Costs one hash for each.
    pub(super) fn summary(&self, positions: ops::Range<usize>) -> Summary {
        let mut summary = Summary::default();
        for (key, entry) in self.entries(positions.start).take(positions.len()) {
            summary.add(&Summary::of(&key, &entry.vid));
        }
        summary
    }

    /// Puts a new entry where [`Leaf::find`] did not find its key.
    pub(super) fn insert(&mut self, at: usize, key: &SetKey, entry: Entry) {
        let (prefix, end) = parts(key);
        change(&mut self.packed, |packed| {
            packed.reserve_exact(1);
            packed.insert(at, Packed::new(end, entry));
        });
        let place = self.runs.partition_point(|run| run.prefix < prefix);
        match self.runs.get_mut(place).filter(|run| run.prefix == prefix) {
            Some(run) => run.length += 1,
            None => change(&mut self.runs, |runs| {
                runs.reserve_exact(1);
                runs.insert(place, Run { prefix, length: 1 });
            }),
        }
    }

    /// Replaces the entry of a key that is there.
    pub(super) fn replace(&mut self, at: usize, entry: Entry) {
        let packed = &mut self.packed[at];
        *packed = Packed::new(packed.key_end, entry);
    }

    pub(super) fn remove(&mut self, at: usize) {
        let mut place = 0;
        let mut next = 0;
        for (number, run) in self.runs.iter().enumerate() {
            next += usize::from(run.length);
            if next > at {
                place = number;
                break;
            }
        }
        change(&mut self.packed, |packed| _ = packed.remove(at));
        self.runs[place].length -= 1;
        if self.runs[place].length == 0 {
            change(&mut self.runs, |runs| _ = runs.remove(place));
        }
    }

    /// Cuts off the entries from a position on.
    pub(super) fn split_off(&mut self, at: usize) -> Leaf {
        let mut upper = Leaf::default();
        let mut upper_runs = Vec::new();
        let mut start = 0;
        change(&mut self.runs, |runs| {
            runs.retain_mut(|run| {
                let next = start + usize::from(run.length);
                let above = next.saturating_sub(at.max(start));
                if above > 0 {
                    upper_runs.push(Run { length: above as u8, ..*run });
                }
                run.length -= above as u8;
                start = next;
                run.length > 0
            });
        });
        change(&mut self.packed, |packed| upper.packed = packed.split_off(at).into_boxed_slice());
        upper.runs = upper_runs.into_boxed_slice();
        upper
    }

    /// Takes in the entries of a leaf whose keys are all greater.
    pub(super) fn append(&mut self, upper: Leaf) {
        change(&mut self.packed, |packed| {
            packed.reserve_exact(upper.packed.len());
            packed.extend_from_slice(&upper.packed);
        });
        change(&mut self.runs, |runs| {
            runs.reserve_exact(upper.runs.len());
            for run in &upper.runs {
                match runs.last_mut() {
                    Some(last) if last.prefix == run.prefix => last.length += run.length,
                    _ => runs.push(*run),
                }
            }
        });
    }
}

/// Changes a list that is kept without spare room.
fn change<T>(list: &mut Box<[T]>, change: impl FnOnce(&mut Vec<T>)) {
    let mut growable = std::mem::take(list).into_vec();
    change(&mut growable);
    *list = growable.into_boxed_slice();
}

/// Entries of one leaf, ascending.
#[derive(Clone, Debug, Default)]
pub(super) struct LeafEntries<'a> {
    packed: std::slice::Iter<'a, Packed>,
    runs: std::slice::Iter<'a, Run>,
    prefix: [u8; PREFIX_BYTES],
    left: usize,
}

impl Iterator for LeafEntries<'_> {
    type Item = (SetKey, Entry);

    fn next(&mut self) -> Option<(SetKey, Entry)> {
        let packed = self.packed.next()?;
        if self.left == 0 {
            let run = self.runs.next()?;
            (self.prefix, self.left) = (run.prefix, run.length.into());
        }
        self.left -= 1;
        Some((packed.key(&self.prefix), packed.entry()))
    }
}
