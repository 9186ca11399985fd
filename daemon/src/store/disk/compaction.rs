//! Rewriting the engine's files in key order, which gives dead space back.
//!
//! In: the open engine, while no commit runs. Out: the same entries in new files.
//! Always: one whole engine is on the disk at every moment; [`finish`] completes or undoes what a power cut interrupted.

use std::fs;
use std::path::Path;
use std::sync::PoisonError;

use super::SledStore;
use crate::store::engine::Engine;
use crate::store::home::{Home, failed, sync_folder};
use crate::store::{StoreError, space};

/// Entries copied at once.
const ENTRIES_PER_FETCH: usize = 256;
/// What a fresh copy occupies, in envelope bytes: 3.1 was measured.
const COPY_FACTOR: u64 = 4;

impl SledStore {
    /// Errors: [`StoreError::DiskFull`] when a second copy would not fit.
    pub(super) fn check_space_for_copy(&self) -> Result<(), StoreError> {
        let free_bytes = space::free_bytes(&self.home.folder)?;
        let needed_bytes = self.options.reserve_bytes + self.live_bytes * COPY_FACTOR + self.rows * 512;
        if free_bytes < needed_bytes { Err(StoreError::DiskFull { free_bytes, needed_bytes }) } else { Ok(()) }
    }

    pub(super) fn rewrite_engine(&mut self) -> Result<(), StoreError> {
        let (current, copy, old) =
            (self.home.path("engine"), self.home.path("engine.compact"), self.home.path("engine.old"));
        remove_folder(&copy)?;
        let open = |folder: &Path| Engine::open(folder, self.marker.segment_bytes, self.options.cache_bytes);
        let new = open(&copy)?;
        let mut first = vec![0];
        loop {
            let entries = self.shared.with_engine(|engine| engine.range(&first, &[0xff], ENTRIES_PER_FETCH))?;
            for (key, value) in &entries {
                new.insert(key, value)?;
            }
            let Some((key, _)) = entries.last() else { break };
            first = [key, &[0][..]].concat();
        }
        new.flush()?;
        new.close();
        // Readers wait from here to the end.
        let mut engine = self.shared.engine.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engine.take() {
            engine.close();
        }
        fs::rename(&current, &old).map_err(failed("rename", &current))?;
        fs::rename(&copy, &current).map_err(failed("rename", &copy))?;
        sync_folder(&self.home.folder)?;
        *engine = Some(open(&current)?);
        drop(engine);
        remove_folder(&old)?;
        sync_folder(&self.home.folder)
    }
}

/// Brings a folder in which a rewrite was interrupted back to one engine.
pub(super) fn finish(home: &Home) -> Result<(), StoreError> {
    let (current, copy, old) = (home.path("engine"), home.path("engine.compact"), home.path("engine.old"));
    if !current.exists() && old.exists() {
        // The old one is only renamed once the copy is complete and synced.
        let whole = if copy.exists() { &copy } else { &old };
        fs::rename(whole, &current).map_err(failed("rename", whole))?;
        sync_folder(&home.folder)?;
    }
    remove_folder(&copy)?;
    remove_folder(&old)
}

fn remove_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed("remove", folder))?;
    }
    Ok(())
}
