//! The store's folder: its files, its format marker, its lock, and how they are made durable.
//!
//! In: a path. Out: a [`Home`], of which there is at most one at a time for a folder, in any process.
//! Always: the folder is readable by its owner alone; the marker is replaced whole or not at all.
//! Files and format: `daemon/STORE.md`, sections 1 and 2.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// Format that this code writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
/// Segment size of new stores. Smaller ones make the engine spill large values into files that it never syncs.
pub(super) const SEGMENT_BYTES: usize = 8 << 20;

/// The folder, locked.
pub(super) struct Home {
    pub(super) folder: PathBuf,
    /// Held open for its lock, which ends with it.
    _lock: File,
}

/// What the format marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// The engine's segment size: fixed when its files are created.
    pub(super) segment_bytes: usize,
    /// Random number of this store; its engine has a copy.
    pub(super) identity: u64,
}

impl Home {
    /// Creates the folder if need be and takes its lock. Errors: [`StoreError::InUse`].
    pub(super) fn lock(folder: &Path) -> Result<Home, StoreError> {
        if !folder.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create", folder))?;
            if let Some(parent) = folder.parent() {
                sync_folder(parent)?;
            }
        }
        let path = folder.join("lock");
        let lock = owner_only().read(true).append(true).create(true).open(&path).map_err(failed("open", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Home { folder: folder.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path }),
            Err(error) => Err(StoreError::Io { what: "lock", path, source: error.into() }),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The marker; `None` in a new folder. Errors: [`StoreError::NewerFormat`], [`StoreError::BadMarker`].
    pub(super) fn marker(&self) -> Result<Option<Marker>, StoreError> {
        let path = self.path("format");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(StoreError::BadMarker { path, why: "it is not text".to_owned() });
            }
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let missing = |name: &str| StoreError::BadMarker { path: path.clone(), why: format!("no valid line `{name}`") };
        let format = value("fingerpost-store").and_then(|value| value.parse().ok());
        let found = format.ok_or_else(|| missing("fingerpost-store"))?;
        if found > FORMAT {
            return Err(StoreError::NewerFormat { path, found, known: FORMAT });
        }
        let segment_bytes = value("segment_bytes").and_then(|value| value.parse().ok());
        let identity = value("identity").and_then(|value| u64::from_str_radix(value, 16).ok());
        Ok(Some(Marker {
            segment_bytes: segment_bytes.ok_or_else(|| missing("segment_bytes"))?,
            identity: identity.ok_or_else(|| missing("identity"))?,
        }))
    }

    /// Replaces the marker, durably.
    pub(super) fn write_marker(&self, marker: Marker) -> Result<(), StoreError> {
        let Marker { segment_bytes, identity } = marker;
        let text = format!("fingerpost-store {FORMAT}\nsegment_bytes {segment_bytes}\nidentity {identity:016x}\n");
        let (path, new) = (self.path("format"), self.path("format.new"));
        let mut file =
            owner_only().write(true).create(true).truncate(true).open(&new).map_err(failed("create", &new))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("rename", &new))?;
        sync_folder(&self.folder)
    }
}

/// Options for a file that only its owner may read.
pub(super) fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    // A relative path of one part has the empty path as its parent.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|file| file.sync_all()).map_err(failed("sync", folder))
}

/// Turns an I/O error into one that names what was tried and where.
pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}

/// Eight random bytes.
pub(super) fn random_number() -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::NoEntropy { why: error.to_string() })?;
    Ok(u64::from_le_bytes(bytes))
}
