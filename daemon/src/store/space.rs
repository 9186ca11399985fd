//! Room on the disk: what is free, and a ballast that can be thrown off.
//!
//! The engine cannot be opened on a full disk and must never meet one, so commits are refused while there is still room.
//! The ballast is real blocks kept for the day when something else filled the disk: thrown off, they let the store open
//! for reading. Tested: `tests/faults`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::home::{failed, owner_only};

/// Bytes of ballast, and its file.
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(super) fn new(path: PathBuf, bytes: u64) -> Ballast {
        Ballast { path, bytes }
    }

    /// Gives the ballast's blocks to whoever needs them. True when there were any.
    pub(super) fn release(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }

    /// Takes ballast in when there is none and `reserve_bytes` stay free. A failure only means no ballast yet.
    pub(super) fn restore(&self, reserve_bytes: u64) {
        if self.bytes == 0 || self.path.exists() {
            return;
        }
        let Some(folder) = self.path.parent() else { return };
        if free_bytes(folder).is_ok_and(|free| free > reserve_bytes + 2 * self.bytes) {
            let written = self.write();
            if written.is_err() {
                self.release();
            }
        }
    }

    fn write(&self) -> std::io::Result<()> {
        let mut file = owner_only().write(true).create(true).truncate(true).open(&self.path)?;
        // Not zeros: some file systems keep no blocks for those.
        let block = [0xb5; 64 * 1024];
        let mut left = self.bytes;
        while left > 0 {
            let count = left.min(block.len() as u64);
            file.write_all(&block[..count as usize])?;
            left -= count;
        }
        file.sync_all()
    }
}

/// Bytes that this process may still write on the file system of `folder`.
pub(super) fn free_bytes(folder: &Path) -> Result<u64, StoreError> {
    let stat = rustix::fs::statvfs(folder).map_err(|error| failed("measure", folder)(error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that the files below `folder` occupy. Files that vanish meanwhile count as nothing.
pub(super) fn occupied_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let occupied = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => occupied_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(occupied).sum()
}
