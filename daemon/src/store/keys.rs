//! Erasure keys: every stored envelope is enciphered under a key of its own, and erasing it is erasing the key.
//!
//! The engine and the journal leave old bytes behind on the disk; this file is overwritten in place.
//! In: requests for fresh keys, numbers of keys to erase. Out: keys that are on stable storage before anyone uses them.
//! Always: a key enciphers one envelope only (so the nonce can be zero); a key that nothing refers to is zero after
//! the next opening. Nothing here authenticates: the vid of the deciphered bytes does.
//! Design: `daemon/STORE.md`, section 5; `spec/decisions/0003-erasure-by-key.md`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use zeroize::{Zeroize, Zeroizing};

use super::StoreError;
use super::home::{failed, owner_only};

/// Length of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Keys made and synced ahead of use: one sync for so many stored versions.
const READY_KEYS_MAX: usize = 1_024;
/// The file grows by so many places at once.
const GROWTH_PLACES: u32 = 4_096;

/// One key. Overwritten in memory when dropped.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// What opening found in a key file.
pub(super) struct KeysFound {
    /// Keys that nothing referred to, erased now.
    pub(super) erased: u64,
    /// Places that are referred to and hold no key. No power cut does this: either file went back in time.
    pub(super) lost: u64,
}

/// The file of keys, for the one who writes it.
pub(super) struct KeyFile {
    file: Arc<File>,
    path: PathBuf,
    places: u32,
    /// Places that hold zeros, highest first, so that the lowest is taken next.
    free: Vec<u32>,
    /// Keys on stable storage that nothing uses yet, highest place first.
    ready: Vec<(u32, Key)>,
}

impl KeyFile {
    /// Opens or creates the file and erases every key whose place is not in `used`.
    pub(super) fn open(path: PathBuf, used: impl Iterator<Item = u32>) -> Result<(KeyFile, KeysFound), StoreError> {
        let mut options = owner_only();
        let file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed("open", &path))?;
        let bytes = file.metadata().map_err(failed("measure", &path))?.len();
        let mut places = u32::try_from(bytes / KEY_BYTES as u64).unwrap_or(u32::MAX);
        let mut in_use = vec![false; places as usize];
        for place in used {
            // A place beyond the end is a lost key: its version is found damaged when it is read. It must not be given
            // to another version, or it would go with this one.
            if place >= places {
                places = place.saturating_add(1);
                in_use.resize(places as usize, false);
            }
            in_use[place as usize] = true;
        }
        if offset(places) > bytes {
            file.set_len(offset(places)).and_then(|()| file.sync_all()).map_err(failed("extend", &path))?;
        }
        let mut keys = KeyFile { file: Arc::new(file), path, places, free: Vec::new(), ready: Vec::new() };
        let (stale, lost) = keys.compare(&in_use)?;
        keys.free = (0..places).rev().filter(|place| !in_use[*place as usize]).collect();
        keys.overwrite(&stale)?;
        Ok((keys, KeysFound { erased: stale.len() as u64, lost }))
    }

    /// Places with a key that nothing uses, and the number of places in use without a key.
    fn compare(&self, in_use: &[bool]) -> Result<(Vec<u32>, u64), StoreError> {
        let (mut stale, mut lost) = (Vec::new(), 0);
        let mut block = Zeroizing::new(vec![0; 1024 * KEY_BYTES]);
        for first in (0..self.places).step_by(1024) {
            let count = (self.places - first).min(1024) as usize;
            let bytes = &mut block[..count * KEY_BYTES];
            self.file.read_exact_at(bytes, offset(first)).map_err(failed("read", &self.path))?;
            for (place, key) in (first..).zip(bytes.chunks_exact(KEY_BYTES)) {
                match (in_use[place as usize], key.iter().any(|byte| *byte != 0)) {
                    (false, true) => stale.push(place),
                    (true, false) => lost += 1,
                    _ => {}
                }
            }
        }
        Ok((stale, lost))
    }

    /// For readers: see [`read_key`].
    pub(super) fn shared(&self) -> Arc<File> {
        self.file.clone()
    }

    /// A key that is on stable storage and that nothing else uses, and its place.
    pub(super) fn take(&mut self) -> Result<(u32, Key), StoreError> {
        if self.ready.is_empty() {
            self.refill()?;
        }
        self.ready.pop().ok_or_else(|| StoreError::Stopped { why: "no places left for erasure keys".to_owned() })
    }

    fn refill(&mut self) -> Result<(), StoreError> {
        if self.free.is_empty() {
            self.grow()?;
        }
        let mut fresh = Vec::with_capacity(READY_KEYS_MAX);
        while fresh.len() < READY_KEYS_MAX {
            let Some(place) = self.free.pop() else { break };
            let mut key = Key::default();
            getrandom::fill(&mut *key).map_err(|error| StoreError::NoEntropy { why: error.to_string() })?;
            fresh.push((place, key));
        }
        self.write_runs(fresh.iter().map(|(place, key)| (*place, &**key)))?;
        self.file.sync_data().map_err(failed("sync", &self.path))?;
        fresh.reverse();
        self.ready = fresh;
        Ok(())
    }

    fn grow(&mut self) -> Result<(), StoreError> {
        let grown = self.places.saturating_add(GROWTH_PLACES);
        let zeros = vec![0; (grown - self.places) as usize * KEY_BYTES];
        self.file.write_all_at(&zeros, offset(self.places)).map_err(failed("extend", &self.path))?;
        self.file.sync_all().map_err(failed("sync", &self.path))?;
        self.free.extend((self.places..grown).rev());
        self.places = grown;
        Ok(())
    }

    /// Places with a key that something uses, ascending.
    pub(super) fn used(&self) -> Vec<u32> {
        let mut is_used = vec![true; self.places as usize];
        for place in self.free.iter().copied().chain(self.ready.iter().map(|(place, _)| *place)) {
            is_used[place as usize] = false;
        }
        (0..self.places).filter(|place| is_used[*place as usize]).collect()
    }

    /// Overwrites these keys, durably. What they enciphered is unreadable from then on.
    pub(super) fn erase(&mut self, places: &mut Vec<u32>) -> Result<(), StoreError> {
        places.sort_unstable();
        self.overwrite(places)?;
        self.free.extend(places.drain(..).rev());
        Ok(())
    }

    fn overwrite(&mut self, places: &[u32]) -> Result<(), StoreError> {
        if places.is_empty() {
            return Ok(());
        }
        self.write_runs(places.iter().map(|place| (*place, &[0; KEY_BYTES])))?;
        self.file.sync_data().map_err(failed("sync", &self.path))
    }

    /// Writes keys, given in order of place, with one call for each run of neighbours.
    fn write_runs<'a>(&self, keys: impl Iterator<Item = (u32, &'a [u8; KEY_BYTES])>) -> Result<(), StoreError> {
        let write = |first: u32, run: &[u8]| match run {
            [] => Ok(()),
            run => self.file.write_all_at(run, offset(first)).map_err(failed("write", &self.path)),
        };
        let mut run = Zeroizing::new(Vec::new());
        let mut first = 0;
        for (place, key) in keys {
            let next = first + (run.len() / KEY_BYTES) as u32;
            if place != next {
                write(first, &run)?;
                run.zeroize();
                first = place;
            }
            run.extend_from_slice(key);
        }
        write(first, &run)
    }
}

/// The key in this place; zeros where there is none.
pub(super) fn read_key(file: &File, place: u32, path: &Path) -> Result<Key, StoreError> {
    let mut key = Key::default();
    match file.read_exact_at(&mut *key, offset(place)) {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Key::default()),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Enciphers or deciphers `bytes` in place.
pub(super) fn apply_key(key: &Key, bytes: &mut [u8]) {
    let mut cipher = ChaCha20::new((&**key).into(), &[0; 12].into());
    cipher.apply_keystream(bytes);
}

fn offset(place: u32) -> u64 {
    u64::from(place) * KEY_BYTES as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_erased_key_is_zero_and_its_neighbours_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (mut keys, _) = KeyFile::open(path.clone(), [].into_iter()).unwrap();
        let taken: Vec<_> = (0..3).map(|_| keys.take().unwrap()).collect();
        keys.erase(&mut vec![taken[1].0]).unwrap();
        let read = |place| read_key(&keys.file, place, &path).unwrap();
        assert_eq!(*read(taken[1].0), [0; KEY_BYTES]);
        assert_eq!(*read(taken[0].0), *taken[0].1);
        assert_eq!(*read(taken[2].0), *taken[2].1);
    }

    #[test]
    fn opening_erases_every_key_that_nothing_refers_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (mut keys, _) = KeyFile::open(path.clone(), [].into_iter()).unwrap();
        let (kept, key) = keys.take().unwrap();
        drop(keys);
        let (keys, found) = KeyFile::open(path.clone(), [kept].into_iter()).unwrap();
        assert_eq!((found.lost, found.erased), (0, READY_KEYS_MAX as u64 - 1));
        let bytes = std::fs::read(&path).unwrap();
        let filled: Vec<_> = bytes.chunks(KEY_BYTES).filter(|key| **key != [0; KEY_BYTES]).collect();
        assert_eq!(filled, [&key[..]]);
        assert!(!keys.free.contains(&kept));
    }

    #[test]
    fn a_place_beyond_the_end_reads_as_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (keys, found) = KeyFile::open(path.clone(), [7].into_iter()).unwrap();
        assert_eq!(found.lost, 1);
        assert_eq!(*read_key(&keys.file, 7, &path).unwrap(), [0; KEY_BYTES]);
    }
}
