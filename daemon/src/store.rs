//! Stable storage of a node: versions, their arrival order, and a few named values.
//!
//! In: batches of [`Operation`]s from the one committer. Out: rows, feeds of arrivals and named values, through any number of
//! [`StoreReader`]s. Two implementations of one trait: [`SledStore`] on a disk, [`MemoryStore`] with faults on demand.
//! Always: a batch is applied whole or not at all; bytes whose hash is not their vid are never handed out; an arrival
//! number is never given twice within one epoch; a superseded envelope is unreadable once its successor is durable.
//! Layout, recipe and reasons: `daemon/STORE.md`. Tested: `store/conformance.rs` over both, `tests/faults`.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::ENVELOPE_BYTES_MAX;
use fingerpost_proto::set::Slot;

mod checkpoint;
#[cfg(test)]
mod conformance;
mod disk;
mod engine;
mod home;
mod journal;
mod keys;
mod layout;
mod memory;
mod space;

pub use disk::{DiskOptions, Opened, SledStore};
pub use journal::JournalState;
pub use memory::{MemoryFaults, MemoryStore};

/// Most operations in one commit. A batch is held in memory two times while it is applied.
pub const BATCH_OPERATIONS_MAX: usize = 4_096;
/// Most bytes of envelopes and named values in one commit. Keeps a batch within a few of the engine's segments.
pub const BATCH_BYTES_MAX: usize = 32 << 20;
/// Longest name of a named value, in bytes.
pub const META_NAME_BYTES_MAX: usize = 128;
/// Largest named value, in bytes.
pub const META_VALUE_BYTES_MAX: usize = 64 * 1024;
/// Most arrivals that one call of [`StoreReader::arrivals`] returns.
pub const ARRIVALS_PER_CALL_MAX: usize = 10_000;

/// One stored version. `vid` is the hash of `envelope`: this was checked when the row was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Kind of the record.
    pub kind: Kind,
    /// The node's own number for the last change of this slot; see [`Arrival`].
    pub arrival: u64,
    /// True once the lease ran out.
    pub lapsed: bool,
    /// True for versions that were accepted for publication here, which the journal holds too.
    pub own: bool,
    /// Name of `envelope`.
    pub vid: Vid,
    /// The signed bytes, exactly as received.
    pub envelope: Vec<u8>,
}

/// An entry of the arrival order: the last change of one slot.
///
/// Numbers rise by at least one for each change, separately for each audience (so that public numbers tell nothing about
/// members' records), and have gaps. A slot occurs once, under its latest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Greater than that of every earlier change in the same audience.
    pub number: u64,
    /// The slot that changed.
    pub slot: Slot,
    /// Kind of the record.
    pub kind: Kind,
    /// True when the lease has run out.
    pub lapsed: bool,
    /// Version kept in the slot.
    pub vid: Vid,
}

/// One change. A commit applies several, in order, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Keeps this version in `slot` under a new arrival number. A version that was there is erased from the disk.
    Put {
        /// Where.
        slot: Slot,
        /// Kind of the record.
        kind: Kind,
        /// Hash of `envelope`.
        vid: Vid,
        /// At most [`ENVELOPE_BYTES_MAX`] bytes.
        envelope: Vec<u8>,
        /// Accepted for publication here: goes to the journal before anything else.
        own: bool,
    },
    /// The lease of the version in `slot` ran out, or runs again because the clock was ahead: it is kept, marked, and gets a new
    /// arrival number. Without effect on an empty slot.
    Lapse {
        /// Where.
        slot: Slot,
        /// Whether it ran out.
        has_lapsed: bool,
    },
    /// Removes the version in `slot` and its arrival, and erases it from the disk. Without effect on an empty slot.
    Forget {
        /// Where.
        slot: Slot,
    },
    /// Keeps a named value. Named values are not erasable: they must never hold envelopes or personal data.
    PutMeta {
        /// 1 to [`META_NAME_BYTES_MAX`] bytes.
        name: String,
        /// At most [`META_VALUE_BYTES_MAX`] bytes.
        value: Vec<u8>,
    },
    /// Removes a named value.
    RemoveMeta {
        /// Its name.
        name: String,
    },
}

/// When a commit has to be on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Before `commit` returns, together with every earlier commit.
    Now,
    /// At the next [`Store::sync`], which the driver calls each second. A power cut before that loses the commit whole.
    WithinASecond,
}

/// What the store takes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Versions kept.
    pub rows: u64,
    /// Bytes of the envelopes kept.
    pub live_bytes: u64,
    /// Bytes that the store's files occupy, journal and ballast included.
    pub disk_bytes: u64,
    /// Bytes that the file system has left for this process.
    pub free_bytes: u64,
    /// Commits that add versions are refused below this many free bytes.
    pub reserve_bytes: u64,
    /// Files in the engine's `blobs` folder. Anything but 0 is an alarm: such values would not survive a power cut.
    pub stray_blobs: u64,
}

impl Usage {
    /// True when a [`Store::compact`] would win back most of the disk space.
    pub fn wants_compaction(&self) -> bool {
        self.disk_bytes > 256 << 20 && self.disk_bytes / 4 > self.live_bytes
    }
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bytes kept for this slot are not those that were stored. Never served; fetch the version again and `Put` it.
    #[error("the stored version in slot {:?} ({}) is damaged; it is fetched again from other nodes", slot.key, slot.audience)]
    Damaged {
        /// Where.
        slot: Slot,
    },
    /// Refused before anything was written.
    #[error(
        "disk full: {free_bytes} bytes free, {needed_bytes} needed (reserve included); free some space, reading goes on"
    )]
    DiskFull {
        /// Free on the file system.
        free_bytes: u64,
        /// Needed for this commit, reserve included.
        needed_bytes: u64,
    },
    /// Refused before anything was written.
    #[error("envelope of {got_bytes} bytes, the limit is {max_bytes}; shorten the record")]
    EnvelopeTooLarge {
        /// Found.
        got_bytes: usize,
        /// Allowed.
        max_bytes: usize,
    },
    /// Refused before anything was written.
    #[error("the envelope for slot {:?} hashes to {found}, not to {wanted}; it was changed on its way here", slot.key)]
    WrongVid {
        /// Where it should have gone.
        slot: Slot,
        /// As given.
        wanted: Vid,
        /// As computed.
        found: Vid,
    },
    /// Refused before anything was written.
    #[error("{what}: got {got}, the limit is {max}")]
    BatchTooLarge {
        /// Which limit.
        what: &'static str,
        /// Found.
        got: usize,
        /// Allowed.
        max: usize,
    },
    /// Another process has this home open.
    #[error("{} is in use by another daemon; stop that one first, or choose another --home", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The store was written by a newer release. Nothing was changed.
    #[error("{} has store format {found}, this release reads up to {known}; upgrade fingerpostd", path.display())]
    NewerFormat {
        /// The marker file.
        path: PathBuf,
        /// Format found.
        found: u32,
        /// Newest format that this code knows.
        known: u32,
    },
    /// The format marker is not one. Nothing was changed.
    #[error("{} is not a store format marker: {why}; restore it from a backup or move the store away", path.display())]
    BadMarker {
        /// The marker file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refused. After this from `commit` or `sync`, the store must be opened again.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// The engine's files are damaged. Opening the store again sets them aside and rebuilds from the journal.
    #[error("the storage engine reports damage: {why}; restart the daemon, it rebuilds the store")]
    EngineDamaged {
        /// In the engine's words.
        why: String,
    },
    /// An earlier commit failed half way: what it did is not known until the store is opened again.
    #[error("the store stopped after an earlier failure ({why}); restart the daemon")]
    Stopped {
        /// The earlier failure.
        why: String,
    },
    /// No randomness for keys.
    #[error("the system gives no random bytes ({why}), so nothing can be stored safely")]
    NoEntropy {
        /// Its answer.
        why: String,
    },
}

impl StoreError {
    /// True when nothing was written and the store goes on working.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            StoreError::DiskFull { .. }
                | StoreError::EnvelopeTooLarge { .. }
                | StoreError::WrongVid { .. }
                | StoreError::BatchTooLarge { .. }
        )
    }
}

/// The writing side. One committer owns it.
pub trait Store: Send {
    /// Applies all `operations` in order, or none.
    ///
    /// Returns one entry for each operation: the arrival number of a `Put`, or of a `Lapse` of a filled slot; `None` for
    /// the rest. Readers see the change at once, whatever the `durability`.
    /// Errors: refusals (see [`StoreError::is_refusal`]) change nothing; after any other error the outcome is unknown and
    /// every later commit fails with [`StoreError::Stopped`] until the store is opened again.
    fn commit(&mut self, operations: Vec<Operation>, durability: Durability) -> Result<Vec<Option<u64>>, StoreError>;

    /// Makes every commit so far durable, and erases what they superseded. Cheap when nothing changed.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Rewrites the store in key order, which gives dead space back to the file system. Takes about 15 s per million rows.
    /// Readers go on meanwhile. Returns the usage after it.
    fn compact(&mut self) -> Result<Usage, StoreError>;

    /// Hands in what the next opening shall give back ([`Opened::index`]) if this is the last that happens to the store before
    /// it is closed. Must hold no envelopes and no personal data: it is not erasable.
    fn keep_index(&mut self, index: Vec<u8>);

    /// What the store takes up now.
    fn usage(&self) -> Result<Usage, StoreError>;

    /// A handle for reading, for any thread, that sees every commit.
    fn reader(&self) -> Arc<dyn StoreReader>;
}

/// The reading side. Blocking; call it from a thread that may block.
pub trait StoreReader: Send + Sync {
    /// The version in `slot`. Errors: [`StoreError::Damaged`].
    fn get(&self, slot: &Slot) -> Result<Option<Row>, StoreError>;

    /// Calls `visit` for each filled slot, in slot order, until it breaks. A damaged row is visited as
    /// [`StoreError::Damaged`], which names its slot, and the walk goes on.
    fn rows(&self, visit: &mut dyn FnMut(Slot, Result<Row, StoreError>) -> ControlFlow<()>) -> Result<(), StoreError>;

    /// Changes in `audience` with a number greater than `after`, lowest first, at most `limit` of them
    /// (and never more than [`ARRIVALS_PER_CALL_MAX`]). With `kind`, only those of that kind. Reads no envelopes.
    fn arrivals(
        &self,
        audience: Audience,
        kind: Option<Kind>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError>;

    /// Greatest arrival number given out so far in `audience`; 0 before the first.
    fn last_arrival(&self, audience: Audience) -> u64;

    /// Random number of this arrival order. It changes only when the order was lost: every cursor is void then.
    fn epoch(&self) -> u64;

    /// The named value; `None` when there is none.
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
}

/// Refuses what no store may be given. Called first by every implementation, before anything is written.
fn check_operations(operations: &[Operation]) -> Result<(), StoreError> {
    within("operations in a commit", operations.len(), BATCH_OPERATIONS_MAX)?;
    within("bytes in a commit", operations.iter().map(operation_bytes).sum(), BATCH_BYTES_MAX)?;
    for operation in operations {
        match operation {
            Operation::Put { slot, vid, envelope, .. } => {
                if envelope.len() > ENVELOPE_BYTES_MAX {
                    let got_bytes = envelope.len();
                    return Err(StoreError::EnvelopeTooLarge { got_bytes, max_bytes: ENVELOPE_BYTES_MAX });
                }
                let found = Vid::of_envelope(envelope);
                if found != *vid {
                    return Err(StoreError::WrongVid { slot: *slot, wanted: *vid, found });
                }
            }
            Operation::PutMeta { name, value } => {
                within("bytes in the name of a named value", name.len(), META_NAME_BYTES_MAX)?;
                within("bytes in a named value", value.len(), META_VALUE_BYTES_MAX)?;
            }
            Operation::Lapse { .. } | Operation::Forget { .. } | Operation::RemoveMeta { .. } => {}
        }
    }
    Ok(())
}

/// Bytes of content that an operation adds.
fn operation_bytes(operation: &Operation) -> usize {
    match operation {
        Operation::Put { envelope, .. } => envelope.len(),
        Operation::PutMeta { value, .. } => value.len(),
        Operation::Lapse { .. } | Operation::Forget { .. } | Operation::RemoveMeta { .. } => 0,
    }
}

fn within(what: &'static str, got: usize, max: usize) -> Result<(), StoreError> {
    if got > max { Err(StoreError::BatchTooLarge { what, got, max }) } else { Ok(()) }
}
