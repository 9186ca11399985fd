//! What a clean stop leaves for the next opening, so that it need not read every row.
//!
//! One file, `checkpoint`, good for one opening: it is taken away, durably, before anything can change. It counts only for the
//! engine that carries its number, which is a fresh one each time; without it, or when it does not fit, all rows are read.
//! Always: no envelope and no text is in it; hashes, keys of slots and numbers only.
//! Layout: `daemon/STORE.md`, section 9. Tested: below, `store/disk/tests.rs`.

use std::fs::{self, File};
use std::io::{self, Read, Write};

use super::StoreError;
use super::home::{Home, failed, owner_only, sync_folder};

const NAME: &str = "checkpoint";
const MAGIC: &[u8; 24] = b"fingerpost-checkpoint 1\n";
const HASH_BYTES: usize = 32;
/// A larger file is none of ours: ten million rows take half of it.
const CHECKPOINT_BYTES_MAX: u64 = 2 << 30;

/// Everything that opening would otherwise count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) rows: u64,
    pub(super) live_bytes: u64,
    pub(super) last_arrivals: [u64; 2],
    /// Entries of the journal. With another number rows are looked at for what the journal lacks.
    pub(super) journaled: u64,
    /// Places of erasure keys that rows use, ascending.
    pub(super) places: Vec<u32>,
    /// What whoever uses the store wants back.
    pub(super) index: Vec<u8>,
}

impl Checkpoint {
    /// Writes the file, whole or not at all.
    pub(super) fn write(&self, home: &Home, number: u64) -> Result<(), StoreError> {
        let (path, new) = (home.path(NAME), home.path("checkpoint.new"));
        let mut bytes = Vec::with_capacity(self.index.len() + self.places.len() / 4 + 256);
        bytes.extend_from_slice(MAGIC);
        let [first, second] = self.last_arrivals;
        for value in [number, self.rows, self.live_bytes, first, second, self.journaled] {
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        let places = self.places.last().map_or(0, |last| *last as usize / 8 + 1);
        bytes.extend_from_slice(&(places as u64).to_be_bytes());
        let from = bytes.len();
        bytes.resize(from + places, 0);
        for place in &self.places {
            bytes[from + *place as usize / 8] |= 1 << (place % 8);
        }
        bytes.extend_from_slice(&self.index);
        bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
        let mut file =
            owner_only().write(true).create(true).truncate(true).open(&new).map_err(failed("create", &new))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("rename", &new))?;
        sync_folder(&home.folder)
    }

    /// Takes the file away and gives what it says, with its number. `None` without one, or when it is damaged.
    pub(super) fn take(home: &Home) -> Result<Option<(u64, Checkpoint)>, StoreError> {
        let path = home.path(NAME);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", &path)(error)),
        };
        let mut bytes = Vec::new();
        let length = file.metadata().map_err(failed("look at", &path))?.len();
        if length <= CHECKPOINT_BYTES_MAX {
            bytes.reserve_exact(length as usize);
            file.read_to_end(&mut bytes).map_err(failed("read", &path))?;
        }
        fs::remove_file(&path).map_err(failed("remove", &path))?;
        sync_folder(&home.folder)?;
        Ok(Checkpoint::read(bytes))
    }

    fn read(mut bytes: Vec<u8>) -> Option<(u64, Checkpoint)> {
        let content = bytes.len().checked_sub(HASH_BYTES)?;
        if blake3::hash(&bytes[..content]).as_bytes()[..] != bytes[content..] {
            return None;
        }
        let rest = bytes[..content].strip_prefix(MAGIC)?;
        let (numbers, rest) = rest.split_first_chunk::<56>()?;
        let mut numbers = numbers.as_chunks::<8>().0.iter().map(|number| u64::from_be_bytes(*number));
        let mut next = || numbers.next();
        let (number, rows, live_bytes) = (next()?, next()?, next()?);
        let last_arrivals = [next()?, next()?];
        let journaled = next()?;
        let bitmap = rest.get(..usize::try_from(next()?).ok()?)?;
        let is_used = |place: &u32| bitmap[*place as usize / 8] >> (place % 8) & 1 == 1;
        let places = (0..u32::try_from(bitmap.len() * 8).ok()?).filter(is_used).collect();
        let index_at = MAGIC.len() + 56 + bitmap.len();
        bytes.truncate(content);
        bytes.drain(..index_at);
        Some((number, Checkpoint { rows, live_bytes, last_arrivals, journaled, places, index: bytes }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::conformance::{put, slot, small};
    use crate::store::{Durability, SledStore, Store};

    fn checkpoint() -> Checkpoint {
        let places = vec![0, 3, 8, 4_000];
        Checkpoint { rows: 4, live_bytes: 99, last_arrivals: [7, 8], journaled: 2, places, index: b"index".to_vec() }
    }

    #[test]
    fn what_is_written_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::lock(folder.path()).unwrap();
        assert_eq!(Checkpoint::take(&home).unwrap(), None);
        for written in [checkpoint(), Checkpoint::default()] {
            written.write(&home, 77).unwrap();
            assert_eq!(Checkpoint::take(&home).unwrap(), Some((77, written)));
            assert_eq!(Checkpoint::take(&home).unwrap(), None);
        }
    }

    #[test]
    fn a_damaged_or_cut_file_counts_for_nothing_and_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::lock(folder.path()).unwrap();
        checkpoint().write(&home, 77).unwrap();
        let whole = fs::read(home.path(NAME)).unwrap();
        let cuts = (0..whole.len()).map(|length| whole[..length].to_vec());
        let flips = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        for bytes in cuts.chain(flips) {
            fs::write(home.path(NAME), bytes).unwrap();
            assert_eq!(Checkpoint::take(&home).unwrap(), None);
            assert!(!home.path(NAME).exists());
        }
    }

    #[test]
    fn what_was_handed_in_before_a_clean_stop_comes_back_once_and_only_if_nothing_happened_since() {
        let folder = tempfile::tempdir().unwrap();
        let open = || SledStore::open(small(folder.path())).unwrap();
        let (mut store, opened) = open();
        assert_eq!(opened.index, None);
        store.commit(vec![put(slot(1), b"a", true), put(slot(2), b"b", false)], Durability::Now).unwrap();
        store.keep_index(b"first".to_vec());
        let usage = store.usage().unwrap();
        drop(store);

        let (store, opened) = open();
        assert_eq!(opened.index.as_deref(), Some(&b"first"[..]));
        let found = store.usage().unwrap();
        assert_eq!((found.rows, found.live_bytes, opened.keys_lost), (usage.rows, usage.live_bytes, 0));
        assert_eq!(&store.reader().get(&slot(2)).unwrap().unwrap().envelope[..], b"b");
        drop(store);
        let (mut store, opened) = open();
        assert_eq!(opened.index, None, "it is good for one opening");
        store.keep_index(b"second".to_vec());
        store.commit(vec![put(slot(3), b"c", false)], Durability::WithinASecond).unwrap();
        drop(store);
        let (store, opened) = open();
        assert_eq!((opened.index, store.usage().unwrap().rows), (None, 3), "a commit came after it");
    }

    #[test]
    fn a_checkpoint_of_another_stop_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (home, other) = (folder.path().join("home"), folder.path().join("other"));
        let open = || SledStore::open(small(&home)).unwrap();
        let (mut store, _) = open();
        store.commit(vec![put(slot(1), b"a", false)], Durability::Now).unwrap();
        store.keep_index(b"old".to_vec());
        drop(store);
        fs::copy(home.join("store/checkpoint"), &other).unwrap();
        let (mut store, _) = open();
        store.commit(vec![put(slot(2), b"b", false)], Durability::Now).unwrap();
        store.keep_index(b"new".to_vec());
        drop(store);
        fs::copy(&other, home.join("store/checkpoint")).unwrap();
        let (store, opened) = open();
        assert_eq!((opened.index, store.usage().unwrap().rows), (None, 2));
        assert!(store.reader().get(&slot(2)).unwrap().is_some());
    }

    #[test]
    fn own_versions_come_back_into_a_journal_that_was_lost_although_there_is_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let open = || SledStore::open(small(folder.path())).unwrap();
        let (mut store, _) = open();
        store.commit(vec![put(slot(1), b"a", true), put(slot(2), b"b", false)], Durability::Now).unwrap();
        store.keep_index(b"index".to_vec());
        drop(store);
        fs::remove_file(folder.path().join("store/journal")).unwrap();
        let (_, opened) = open();
        assert_eq!(opened.journaled, 1);
    }
}
