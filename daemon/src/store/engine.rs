//! The storage engine: sled 0.34.7, used in the one way that was found to survive power cuts. No sled type leaves this file.
//!
//! In: keys and values, applied in batches. Out: values, ranges in key order.
//! Always: after [`Engine::flush`] everything applied before it is on stable storage; a batch is whole or absent; a panic of
//! the engine is an error here. Recipe and reasons: `daemon/STORE.md`, section 4. Tested: `tests/faults`.

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::StoreError;
use super::home::{failed, sync_folder};

/// How long a closed engine may take to let go of its file.
const RELEASE_WAIT_MAX: Duration = Duration::from_secs(30);

/// The open engine.
pub(super) struct Engine {
    tree: sled::Db,
    /// Our own handle on the engine's file: its flush does not reach the disk.
    file: File,
    folder: PathBuf,
}

/// Bytes owned by the engine.
pub(super) struct Bytes(sled::IVec);

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Engine {
    /// Opens or creates the engine's files. Errors: [`StoreError::EngineDamaged`], also when the engine panicked.
    pub(super) fn open(folder: &Path, segment_bytes: usize, cache_bytes: u64) -> Result<Engine, StoreError> {
        await_release(folder)?;
        remove_unfinished_snapshots(folder)?;
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::LowSpace)
            .segment_size(segment_bytes);
        let tree = guarded(folder, || config.open())?;
        for name in ["conf", "db", "blobs"] {
            let path = folder.join(name);
            File::open(&path).and_then(|file| file.sync_all()).map_err(failed("sync", &path))?;
        }
        sync_folder(folder)?;
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
        let path = folder.join("db");
        let file = File::open(&path).map_err(failed("open", &path))?;
        Ok(Engine { tree, file, folder: folder.to_owned() })
    }

    /// Writes what is left and lets go. The engine panics here when its disk has gone; nothing acknowledged depends on it.
    pub(super) fn close(self) {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(self.tree)));
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(guarded(&self.folder, || self.tree.get(key))?.map(Bytes))
    }

    /// Applies all of `changes` at once; `None` removes.
    pub(super) fn apply(
        &self,
        changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        guarded(&self.folder, || self.tree.apply_batch(batch))
    }

    /// Adds one entry. In key order this is several times faster than batches; not atomic with anything.
    pub(super) fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        guarded(&self.folder, || self.tree.insert(key, value)).map(|_| ())
    }

    /// Puts everything applied so far on stable storage.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        guarded(&self.folder, || self.tree.flush())?;
        self.file.sync_data().map_err(failed("sync", &self.folder.join("db")))
    }

    /// At most `count` entries with keys in `[first, end)`, in order.
    pub(super) fn range(&self, first: &[u8], end: &[u8], count: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let entries = || self.tree.range(first..end).take(count).collect::<sled::Result<Vec<_>>>();
        let entries = guarded(&self.folder, entries)?;
        Ok(entries.into_iter().map(|(key, value)| (Bytes(key), Bytes(value))).collect())
    }

    /// Files in the engine's `blobs` folder. There must be none: they are never synced.
    pub(super) fn stray_blobs(&self) -> u64 {
        fs::read_dir(self.folder.join("blobs")).map_or(0, |entries| entries.count() as u64)
    }
}

/// Waits until an engine that this process closed has let go of its file: its threads do so some time after the drop.
/// The lock on the store's folder keeps every other process away.
fn await_release(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("db");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("open", &path)(error)),
    };
    let start = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(_) if start.elapsed() > RELEASE_WAIT_MAX => return Err(StoreError::InUse { path }),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// A snapshot that was being written when the power went stops the engine from opening; it is only a short cut.
fn remove_unfinished_snapshots(folder: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", folder)(error)),
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("snap.") && name.to_string_lossy().ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(failed("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Runs a call into the engine. It panics on some damaged files; its state is not used again after that.
fn guarded<T>(folder: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => {
            // The engine reports what it cannot parse as I/O errors of these kinds.
            match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::Other => {
                    Err(StoreError::EngineDamaged { why: error.to_string() })
                }
                _ => Err(failed("engine", folder)(error)),
            }
        }
        Ok(Err(error)) => Err(StoreError::EngineDamaged { why: error.to_string() }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(StoreError::EngineDamaged { why: format!("it panicked: {}", text.unwrap_or("without a message")) })
        }
    }
}
