//! The store on a disk: engine, journal and erasure keys, moved together.
//!
//! In: commits from one committer. Out: see [`Store`].
//! Always, whenever the power goes: what was acknowledged as durable is there after the next opening, and what it
//! superseded is not. Order of steps and why: `daemon/STORE.md`, section 5. Tested: `store/conformance.rs`, `tests/faults`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::set::Slot;

use super::checkpoint::Checkpoint;
use super::engine::Engine;
use super::home::{Home, Marker, random_number};
use super::journal::{Change, Journal};
use super::keys::{KeyFile, apply_key};
use super::layout::{self, Head};
use super::space::{self, Ballast};
use super::{Durability, Operation, Store, StoreError, StoreReader, Usage, check_operations, operation_bytes};

mod compaction;
mod opening;
mod reader;
#[cfg(test)]
mod tests;

pub use opening::Opened;
use reader::DiskReader;

/// Arrival numbers claimed at once: one sync for so many. After a crash the rest of a claim is never used.
const CLAIM_NUMBERS: u64 = 16_384;
/// Bytes that an operation may take on the disk besides its envelope.
const OPERATION_BYTES: u64 = 512;
/// How often an envelope may be written before dead space is used again.
const WRITE_FACTOR: u64 = 3;

/// Where the store is and what it may use.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The store's own folder, usually `HOME/store`. Created when absent.
    pub folder: PathBuf,
    /// Memory for the engine's cache. The process grows by up to 180 MB more at a million rows.
    pub cache_bytes: u64,
    /// Commits that add versions are refused when less than this would stay free.
    pub reserve_bytes: u64,
    /// Size of the file that is thrown off to open a store on a full disk; 0 for none.
    pub ballast_bytes: u64,
}

impl DiskOptions {
    /// 32 MiB of cache, 64 MiB of reserve, 16 MiB of ballast.
    pub fn new(folder: impl Into<PathBuf>) -> DiskOptions {
        DiskOptions { folder: folder.into(), cache_bytes: 32 << 20, reserve_bytes: 64 << 20, ballast_bytes: 16 << 20 }
    }
}

/// What committer and readers share.
struct Shared {
    /// `None` once the store is closed. The committer alone replaces it.
    engine: RwLock<Option<Engine>>,
    keys: Arc<std::fs::File>,
    keys_path: PathBuf,
    /// Written when the engine reports damage, so that the next opening looks at all of it.
    suspicion_path: PathBuf,
    last_arrivals: [AtomicU64; 2],
    epoch: u64,
}

impl Shared {
    fn with_engine<T>(&self, call: impl FnOnce(&Engine) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        match &*engine {
            Some(engine) => call(engine).inspect_err(|error| {
                if let StoreError::EngineDamaged { why } = error {
                    // Without the note the damage is met again later, and noted then.
                    let _ = std::fs::write(&self.suspicion_path, why);
                }
            }),
            None => Err(StoreError::Stopped { why: "it was closed".to_owned() }),
        }
    }

    fn last_arrival(&self, audience: Audience) -> &AtomicU64 {
        &self.last_arrivals[usize::from(audience.number())]
    }
}

/// A [`Store`] on a disk.
pub struct SledStore {
    shared: Arc<Shared>,
    keys: KeyFile,
    journal: Journal,
    ballast: Ballast,
    options: DiskOptions,
    marker: Marker,
    /// Greatest numbers that may be given out without a new claim, by audience.
    claimed: [u64; 2],
    rows: u64,
    live_bytes: u64,
    /// Places of keys whose versions are superseded as soon as the engine is durable.
    erasures: Vec<u32>,
    unsynced: bool,
    /// For the checkpoint; gone with the next commit.
    index: Option<Vec<u8>>,
    stopped: Option<String>,
    /// Last, so that the lock goes after everything else is closed.
    home: Home,
}

/// A commit while it is put together.
#[derive(Default)]
struct Draft<'a> {
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Rows as this commit leaves them: later operations on the same slot see these.
    rows: HashMap<Slot, Option<(Head, Vec<u8>)>>,
    journal: Vec<Change<'a>>,
    arrivals: Vec<Option<u64>>,
}

impl SledStore {
    fn check_running(&self) -> Result<(), StoreError> {
        match &self.stopped {
            Some(why) => Err(StoreError::Stopped { why: why.clone() }),
            None => Ok(()),
        }
    }

    /// Remembers a failure: what it left behind is only known after opening again.
    fn stop_on_error<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            self.stopped = Some(error.to_string());
        }
        result
    }

    /// The engine must not meet a full disk: it does not open on one.
    fn check_space(&self, operations: &[Operation]) -> Result<(), StoreError> {
        let mut added_bytes = 0;
        let mut reserve_bytes = self.options.reserve_bytes / 2;
        for operation in operations {
            added_bytes += operation_bytes(operation) as u64 * WRITE_FACTOR + OPERATION_BYTES;
            // Removing may use half of the reserve, or nobody could remove anything from a full disk.
            if matches!(operation, Operation::Put { .. } | Operation::PutMeta { .. }) {
                reserve_bytes = self.options.reserve_bytes;
            }
        }
        let free_bytes = space::free_bytes(&self.home.folder)?;
        let needed_bytes = added_bytes + reserve_bytes;
        if free_bytes < needed_bytes { Err(StoreError::DiskFull { free_bytes, needed_bytes }) } else { Ok(()) }
    }

    /// Claims arrival numbers, durably, before the first of them is seen: a reader may keep it as its cursor, and the
    /// row that carried it may be lost in a power cut.
    fn claim_numbers(&mut self, operations: &[Operation]) -> Result<(), StoreError> {
        let mut claims = Vec::new();
        for audience in Audience::ALL {
            let takes_number = |operation: &&Operation| match operation {
                Operation::Put { slot, .. } | Operation::Lapse { slot, .. } => slot.audience == audience,
                _ => false,
            };
            let count = operations.iter().filter(takes_number).count() as u64;
            let last = self.shared.last_arrival(audience).load(Ordering::Relaxed);
            let claimed = &mut self.claimed[usize::from(audience.number())];
            if last + count > *claimed {
                *claimed = last + count.max(CLAIM_NUMBERS);
                claims.push((layout::ceiling_key(audience).to_vec(), Some(claimed.to_be_bytes().to_vec())));
            }
        }
        if claims.is_empty() {
            return Ok(());
        }
        self.shared.with_engine(|engine| engine.apply(claims).and_then(|()| engine.flush()))
    }

    fn next_arrival(&self, audience: Audience) -> u64 {
        self.shared.last_arrival(audience).fetch_add(1, Ordering::Relaxed) + 1
    }

    fn draft<'a>(&mut self, operations: &'a [Operation]) -> Result<Draft<'a>, StoreError> {
        let mut draft = Draft::default();
        for operation in operations {
            let arrival = match operation {
                Operation::Put { slot, kind, vid, envelope, own } => {
                    Some(self.draft_put(&mut draft, *slot, (*kind, *vid, *own), envelope)?)
                }
                Operation::Lapse { slot, has_lapsed } => self.draft_lapse(&mut draft, *slot, *has_lapsed)?,
                Operation::Forget { slot } => {
                    self.draft_forget(&mut draft, *slot)?;
                    None
                }
                Operation::PutMeta { name, value } => {
                    draft.changes.insert(layout::meta_key(name), Some(value.clone()));
                    None
                }
                Operation::RemoveMeta { name } => {
                    draft.changes.insert(layout::meta_key(name), None);
                    None
                }
            };
            draft.arrivals.push(arrival);
        }
        Ok(draft)
    }

    fn draft_put<'a>(
        &mut self,
        draft: &mut Draft<'a>,
        slot: Slot,
        (kind, vid, own): (Kind, Vid, bool),
        envelope: &'a [u8],
    ) -> Result<u64, StoreError> {
        let mut journaled = own;
        if let Some((old, _)) = self.take_row(draft, &slot)? {
            self.erasures.push(old.key_place);
            // The same version coming back from a peer does not end its place in the journal.
            journaled |= old.own && old.vid == vid;
        }
        let arrival = self.next_arrival(slot.audience);
        let (key_place, key) = self.keys.take()?;
        let mut enciphered = envelope.to_vec();
        apply_key(&key, &mut enciphered);
        self.set_row(draft, slot, Head { kind, arrival, lapsed: false, own: journaled, key_place, vid }, enciphered);
        if own {
            draft.journal.push(Change::Kept { slot, kind, arrival, vid, envelope });
        }
        Ok(arrival)
    }

    fn draft_lapse(&mut self, draft: &mut Draft<'_>, slot: Slot, has_lapsed: bool) -> Result<Option<u64>, StoreError> {
        let Some((old, enciphered)) = self.take_row(draft, &slot)? else { return Ok(None) };
        let arrival = self.next_arrival(slot.audience);
        self.set_row(draft, slot, Head { arrival, lapsed: has_lapsed, ..old }, enciphered);
        Ok(Some(arrival))
    }

    fn draft_forget(&mut self, draft: &mut Draft<'_>, slot: Slot) -> Result<(), StoreError> {
        if let Some((old, _)) = self.take_row(draft, &slot)? {
            self.erasures.push(old.key_place);
            // Without this an opening after a power cut could take the entry for a row that the engine lost.
            if old.own {
                draft.journal.push(Change::Removed { slot, arrival: old.arrival });
            }
        }
        Ok(())
    }

    /// Takes the row out of the slot, as far as `draft` is concerned.
    fn take_row(&mut self, draft: &mut Draft<'_>, slot: &Slot) -> Result<Option<(Head, Vec<u8>)>, StoreError> {
        let row = match draft.rows.insert(*slot, None) {
            Some(row) => row,
            None => {
                let value = self.shared.with_engine(|engine| engine.get(&layout::row_key(slot)))?;
                value.and_then(|value| Head::read_row(&value).map(|(head, enciphered)| (head, enciphered.to_vec())))
            }
        };
        if let Some((head, enciphered)) = &row {
            self.rows -= 1;
            self.live_bytes -= enciphered.len() as u64;
            draft.changes.insert(layout::row_key(slot).to_vec(), None);
            draft.changes.insert(layout::arrival_key(slot.audience, head.arrival).to_vec(), None);
            draft.changes.insert(layout::kind_arrival_key(slot.audience, head.kind, head.arrival).to_vec(), None);
        }
        Ok(row)
    }

    fn set_row(&mut self, draft: &mut Draft<'_>, slot: Slot, head: Head, enciphered: Vec<u8>) {
        self.rows += 1;
        self.live_bytes += enciphered.len() as u64;
        let arrival = head.write_arrival(&slot, enciphered.len());
        let kind_key = layout::kind_arrival_key(slot.audience, head.kind, head.arrival);
        draft.changes.insert(layout::arrival_key(slot.audience, head.arrival).to_vec(), Some(arrival.clone()));
        draft.changes.insert(kind_key.to_vec(), Some(arrival));
        draft.changes.insert(layout::row_key(&slot).to_vec(), Some(head.write_row(&enciphered)));
        draft.rows.insert(slot, Some((head, enciphered)));
    }

    fn apply(&mut self, operations: &[Operation], durability: Durability) -> Result<Vec<Option<u64>>, StoreError> {
        self.claim_numbers(operations)?;
        let draft = self.draft(operations)?;
        if !draft.journal.is_empty() {
            self.journal.append(&draft.journal)?;
            // Before the engine has it: what the engine loses is then still here.
            if durability == Durability::Now {
                self.journal.sync()?;
            }
        }
        self.shared.with_engine(|engine| engine.apply(draft.changes))?;
        for (slot, row) in &draft.rows {
            self.journal.keep_only(slot, row.as_ref().filter(|(head, _)| head.own).map(|(head, _)| head.vid));
        }
        self.unsynced = true;
        if durability == Durability::Now {
            self.make_durable()?;
        }
        Ok(draft.arrivals)
    }

    /// Journal, engine, and only then the keys of what they superseded.
    fn make_durable(&mut self) -> Result<(), StoreError> {
        self.journal.sync()?;
        self.shared.with_engine(Engine::flush)?;
        self.unsynced = false;
        self.keys.erase(&mut self.erasures)?;
        self.journal.erase(&self.home)
    }

    /// Syncs, gives back unused arrival numbers, and writes the checkpoint.
    fn close(&mut self) -> Result<(), StoreError> {
        self.check_running()?;
        self.make_durable()?;
        let unused = Audience::ALL.map(|audience| {
            let last = self.shared.last_arrival(audience).load(Ordering::Relaxed);
            (layout::ceiling_key(audience).to_vec(), Some(last.to_be_bytes().to_vec()))
        });
        let number = random_number()?;
        let unused = unused.into_iter().chain([(layout::CHECKPOINT_KEY.to_vec(), Some(number.to_be_bytes().to_vec()))]);
        self.shared.with_engine(|engine| engine.apply(unused).and_then(|()| engine.flush()))?;
        let Some(index) = self.index.take() else { return Ok(()) };
        let last_arrivals = Audience::ALL.map(|audience| self.shared.last_arrival(audience).load(Ordering::Relaxed));
        let (rows, live_bytes, places) = (self.rows, self.live_bytes, self.keys.used());
        let journaled = self.journal.len() as u64;
        Checkpoint { rows, live_bytes, last_arrivals, journaled, places, index }.write(&self.home, number)
    }
}

impl Store for SledStore {
    fn commit(&mut self, operations: Vec<Operation>, durability: Durability) -> Result<Vec<Option<u64>>, StoreError> {
        self.check_running()?;
        self.index = None;
        check_operations(&operations)?;
        self.check_space(&operations)?;
        let result = self.apply(&operations, durability);
        self.stop_on_error(result)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.check_running()?;
        self.ballast.restore(self.options.reserve_bytes);
        if !self.unsynced {
            return Ok(());
        }
        let result = self.make_durable();
        self.stop_on_error(result)
    }

    fn compact(&mut self) -> Result<Usage, StoreError> {
        self.sync()?;
        self.check_space_for_copy()?;
        let result = self.rewrite_engine();
        self.stop_on_error(result)?;
        self.usage()
    }

    fn keep_index(&mut self, index: Vec<u8>) {
        self.index = Some(index);
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        Ok(Usage {
            rows: self.rows,
            live_bytes: self.live_bytes,
            disk_bytes: space::occupied_bytes(&self.home.folder),
            free_bytes: space::free_bytes(&self.home.folder)?,
            reserve_bytes: self.options.reserve_bytes,
            stray_blobs: self.shared.with_engine(|engine| Ok(engine.stray_blobs()))?,
        })
    }

    fn reader(&self) -> Arc<dyn StoreReader> {
        Arc::new(DiskReader { shared: self.shared.clone() })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // A failure here loses nothing that was acknowledged; the next opening repeats what is left undone.
        let _ = self.close();
        if let Some(engine) = self.shared.engine.write().unwrap_or_else(PoisonError::into_inner).take() {
            engine.close();
        }
    }
}
