//! Opening a store on a disk, whatever state the last run left it in.
//!
//! In: a folder. Out: a store in which everything acknowledged is readable, and an account of what had to be done for it.
//! Always: damaged engine files are moved aside, never deleted; nothing is moved because the disk is full.
//! What to do about each case: `daemon/STORE.md`, section 8. Tested: `store/disk/tests.rs`, `tests/faults`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fingerpost_proto::kind::Audience;
use fingerpost_proto::set::Slot;

use super::{DiskOptions, Shared, SledStore, compaction};
use crate::store::checkpoint::Checkpoint;
use crate::store::engine::Engine;
use crate::store::home::{Home, Marker, SEGMENT_BYTES, failed, owner_only, random_number, sync_folder};
use crate::store::journal::{Entry, Journal, JournalState};
use crate::store::keys::KeyFile;
use crate::store::layout::{self, Head, StoredArrival};
use crate::store::space::{self, Ballast};
use crate::store::{Durability, Operation, Store, StoreError};

/// Entries fetched at once while the arrival order is read.
const ENTRIES_PER_FETCH: usize = 4_096;
/// Versions taken back from the journal in one commit.
const REPLAY_OPERATIONS: usize = 256;
/// Below this the engine is not asked to open without the ballast's room.
const OPENING_BYTES: u64 = 12 << 20;
/// After this, what was set aside can no longer be read: it holds versions that were withdrawn since.
const SET_ASIDE_READABLE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What opening found and did. To be told to the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The folder was new.
    pub created: bool,
    /// The engine's files were damaged or gone: where they are now and why. The store was rebuilt from the journal,
    /// has a new epoch, and lacks what only other nodes can give.
    pub set_aside: Option<(PathBuf, String)>,
    /// The engine's files were gone altogether; the rest as for `set_aside`.
    pub engine_missing: bool,
    /// Own versions put back from the journal.
    pub replayed: u64,
    /// Own versions put back into the journal.
    pub journaled: u64,
    /// The journal.
    pub journal: JournalState,
    /// Keys erased because nothing refers to them: of superseded versions, and ones made ahead of use.
    pub keys_erased: u64,
    /// Rows whose key is gone, which read as damaged: the engine or the key file went back to an older state (damage to
    /// the end of the engine's file does that, without an error). The epoch is new.
    pub keys_lost: u64,
    /// The disk is so full that commits are refused: reading works, publishing does not.
    pub disk_full: bool,
    /// The ballast was thrown off to open at all.
    pub ballast_released: bool,
    /// What was handed in with [`Store::keep_index`] before a clean stop, if nothing happened since.
    pub index: Option<Vec<u8>>,
    /// Stores that were set aside, now or earlier, and are still there.
    pub set_aside_present: Vec<PathBuf>,
}

/// What the arrival order says about the rows.
#[derive(Default)]
struct Index {
    epoch: u64,
    places: Vec<u32>,
    own: Vec<Slot>,
    rows: u64,
    live_bytes: u64,
    last_arrivals: [u64; 2],
    /// As the checkpoint said, which does not list `own`: entries that the journal must have.
    journaled: Option<u64>,
}

impl SledStore {
    /// Opens or creates the store in `options.folder`.
    ///
    /// Errors: [`StoreError::InUse`], [`StoreError::NewerFormat`], [`StoreError::BadMarker`] and [`StoreError::DiskFull`]
    /// (no room even without the ballast) leave everything as it was.
    pub fn open(options: DiskOptions) -> Result<(SledStore, Opened), StoreError> {
        let home = Home::lock(&options.folder)?;
        let ballast = Ballast::new(home.path("ballast"), options.ballast_bytes);
        let mut opened = Opened::default();
        let found = home.marker()?;
        if space::free_bytes(&home.folder)? < OPENING_BYTES {
            opened.ballast_released = ballast.release();
        }
        compaction::finish(&home)?;
        let marker = match found {
            Some(marker) if home.path("engine").exists() => marker,
            found => {
                opened.created = found.is_none() && !home.path("engine").exists();
                opened.engine_missing = found.is_some();
                erase_if_present(&home.path("erasure.keys"))?;
                new_marker(&home)?
            }
        };
        let (engine, index, marker) = open_or_rebuild(&home, &options, marker, &ballast, &mut opened)?;
        let (mut store, orphans) = assemble(home, options, ballast, marker, engine, index, &mut opened)?;
        store.replay(orphans, &mut opened)?;
        if opened.replayed > 0 || opened.keys_lost > 0 {
            opened.index = None;
        }
        opened.set_aside_present = expire_set_aside(&store.home.folder)?;
        store.ballast.restore(store.options.reserve_bytes);
        opened.disk_full |= space::free_bytes(&store.home.folder)? < store.options.reserve_bytes;
        Ok((store, opened))
    }

    /// Puts `missing` back into the rows, from the journal, and own rows that the journal lacks back into that.
    fn replay(
        &mut self,
        (missing, unjournaled): (Vec<(Slot, Entry)>, Vec<Slot>),
        opened: &mut Opened,
    ) -> Result<(), StoreError> {
        let mut operations = Vec::new();
        for (slot, entry) in missing {
            if let Some(envelope) = self.journal.envelope(&entry)? {
                operations.push(Operation::Put { slot, kind: entry.kind, vid: entry.vid, envelope, own: true });
                opened.replayed += 1;
            }
        }
        for slot in unjournaled {
            if let Ok(Some(row)) = self.shared.row(&slot) {
                operations.push(Operation::Put {
                    slot,
                    kind: row.kind,
                    vid: row.vid,
                    envelope: row.envelope,
                    own: true,
                });
                opened.journaled += 1;
            }
        }
        while !operations.is_empty() {
            let batch = operations.drain(..operations.len().min(REPLAY_OPERATIONS)).collect();
            match self.commit(batch, Durability::Now) {
                Ok(_) => {}
                // They stay in the journal and come back when there is room.
                Err(StoreError::DiskFull { .. }) => {
                    opened.disk_full = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn new_marker(home: &Home) -> Result<Marker, StoreError> {
    let marker = Marker { segment_bytes: SEGMENT_BYTES, identity: random_number()? };
    home.write_marker(marker)?;
    Ok(marker)
}

fn open_or_rebuild(
    home: &Home,
    options: &DiskOptions,
    marker: Marker,
    ballast: &Ballast,
    opened: &mut Opened,
) -> Result<(Engine, Index, Marker), StoreError> {
    let mut checkpoint = Checkpoint::take(home)?;
    let mut index_kept = None;
    let mut open = |marker: Marker| {
        let engine = Engine::open(&home.path("engine"), marker.segment_bytes, options.cache_bytes)?;
        let epoch = check_epoch(&engine, home, marker)?;
        let is_suspect = suspicion_path(home).exists();
        let number = engine.get(layout::CHECKPOINT_KEY)?;
        let is_of_engine = |(found, _): &(u64, Checkpoint)| number.as_deref() == Some(&found.to_be_bytes()[..]);
        let index = match checkpoint.take().filter(is_of_engine) {
            Some((_, checkpoint)) if !is_suspect => {
                let Checkpoint { rows, live_bytes, last_arrivals, journaled, places, index } = checkpoint;
                index_kept = Some(index);
                Index { epoch, places, own: Vec::new(), rows, live_bytes, last_arrivals, journaled: Some(journaled) }
            }
            _ => Index { epoch, ..read_index(&engine)? },
        };
        if is_suspect {
            read_everything(&engine)?;
        }
        Ok((engine, index, marker))
    };
    let first = open(marker);
    let Err(error) = first else {
        remove_if_present(&suspicion_path(home))?;
        opened.index = index_kept;
        return first;
    };
    // The engine reports a full disk in many ways. It must not be taken for damage.
    let free_bytes = space::free_bytes(&home.folder)?;
    if free_bytes < OPENING_BYTES {
        opened.ballast_released |= ballast.release();
    } else if !matches!(error, StoreError::EngineDamaged { .. }) {
        return Err(error);
    }
    forget_engine_settings(home)?;
    let why = match open(marker) {
        Err(StoreError::EngineDamaged { why }) => why,
        result => return result,
    };
    let free_bytes = space::free_bytes(&home.folder)?;
    if free_bytes < OPENING_BYTES {
        return Err(StoreError::DiskFull { free_bytes, needed_bytes: OPENING_BYTES });
    }
    // The new identity first: if the power goes before the next line, the old engine is not taken for this store's.
    let marker = new_marker(home)?;
    let path = set_aside(home)?;
    remove_if_present(&suspicion_path(home))?;
    opened.set_aside = Some((path, why));
    // Every key is of a version that went with the engine, and the copy is made.
    erase_if_present(&home.path("erasure.keys"))?;
    open(marker)
}

/// Returns the epoch. An engine whose file was wiped opens as an empty one without a word: it must still know whose it is.
fn check_epoch(engine: &Engine, home: &Home, marker: Marker) -> Result<u64, StoreError> {
    let found = engine.get(layout::EPOCH_KEY)?;
    let numbers = found.as_deref().and_then(|value| Some((value.first_chunk::<8>()?, value.last_chunk::<8>()?)));
    match numbers {
        Some((identity, epoch)) if *identity == marker.identity.to_be_bytes() => Ok(u64::from_be_bytes(*epoch)),
        Some(_) => Err(StoreError::EngineDamaged { why: "it belongs to another store (restored in part?)".to_owned() }),
        // The key file is made after this: without it no opening was ever completed, and nothing acknowledged.
        None if opened_before(home) => {
            Err(StoreError::EngineDamaged { why: "it has lost everything, without reporting an error".to_owned() })
        }
        None => new_epoch(engine, marker),
    }
}

fn new_epoch(engine: &Engine, marker: Marker) -> Result<u64, StoreError> {
    let epoch = random_number()?;
    let value = [marker.identity.to_be_bytes(), epoch.to_be_bytes()].concat();
    engine.apply([(layout::EPOCH_KEY.to_vec(), Some(value))])?;
    engine.flush()?;
    Ok(epoch)
}

fn opened_before(home: &Home) -> bool {
    home.path("erasure.keys").exists()
}

/// Makes the engine write its settings again. They are the same for every store but for the segment size, which the
/// marker has, so damage there need not cost the whole store.
fn forget_engine_settings(home: &Home) -> Result<(), StoreError> {
    let settings = home.path("engine/conf");
    match fs::rename(&settings, home.path("engine/conf.before")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("rename", &settings)(error)),
        _ => Ok(()),
    }
}

fn suspicion_path(home: &Home) -> PathBuf {
    home.path("suspicion")
}

fn remove_if_present(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Reads the arrival order: which keys are in use, how much there is.
fn read_index(engine: &Engine) -> Result<Index, StoreError> {
    let mut index = Index::default();
    for audience in Audience::ALL {
        let last = &mut index.last_arrivals[usize::from(audience.number())];
        if let Some(ceiling) = engine.get(&layout::ceiling_key(audience))? {
            *last = (*ceiling).try_into().map_or(0, u64::from_be_bytes);
        }
        let mut from = 0;
        loop {
            let (first, end) = (layout::arrival_key(audience, from), layout::arrival_key(audience, u64::MAX));
            let fetched = engine.range(&first, &end, ENTRIES_PER_FETCH)?;
            for (key, value) in &fetched {
                let Some(stored) = StoredArrival::read(key, value) else {
                    return Err(StoreError::EngineDamaged { why: "an arrival entry has the wrong length".to_owned() });
                };
                index.places.push(stored.key_place);
                index.rows += 1;
                index.live_bytes += u64::from(stored.envelope_bytes);
                if stored.own {
                    index.own.push(stored.arrival.slot);
                }
                *last = stored.arrival.number.max(*last);
                from = stored.arrival.number + 1;
            }
            if fetched.len() < ENTRIES_PER_FETCH {
                break;
            }
        }
    }
    Ok(index)
}

/// Makes the engine look at all of its pages.
fn read_everything(engine: &Engine) -> Result<(), StoreError> {
    let mut first = vec![0];
    loop {
        let fetched = engine.range(&first, &[0xff], 512)?;
        let Some((key, _)) = fetched.last() else { return Ok(()) };
        first = [key, &[0][..]].concat();
    }
}

type Orphans = (Vec<(Slot, Entry)>, Vec<Slot>);

/// Puts the parts together. Returns also what engine and journal lack of each other.
fn assemble(
    home: Home,
    options: DiskOptions,
    ballast: Ballast,
    marker: Marker,
    engine: Engine,
    index: Index,
    opened: &mut Opened,
) -> Result<(SledStore, Orphans), StoreError> {
    let keys_path = home.path("erasure.keys");
    let (keys, found) = KeyFile::open(keys_path.clone(), index.places.into_iter())?;
    opened.keys_erased = found.erased;
    opened.keys_lost = found.lost;
    // The engine may have gone back to an older state, and with it the claimed arrival numbers.
    let epoch = if found.lost > 0 { new_epoch(&engine, marker)? } else { index.epoch };
    let mut shared = Shared {
        engine: RwLock::new(Some(engine)),
        keys: keys.shared(),
        keys_path,
        suspicion_path: suspicion_path(&home),
        last_arrivals: index.last_arrivals.map(AtomicU64::new),
        epoch,
    };
    let mut missing = Vec::new();
    let mut claimed = index.last_arrivals;
    let (journal, state) = Journal::open(&home, |slot, entry| {
        // Numbers in a journal that outlived its engine must not be given again, or "newer" loses its meaning there.
        let claimed = &mut claimed[usize::from(slot.audience.number())];
        *claimed = entry.arrival.max(*claimed);
        let relation = relation(&shared, slot, entry)?;
        if relation == Relation::Missing {
            missing.push((*slot, *entry));
        }
        Ok(relation != Relation::Superseded)
    })?;
    opened.journal = state;
    missing.sort_by_key(|(slot, entry)| (entry.arrival, *slot));
    shared.last_arrivals = claimed.map(AtomicU64::new);
    let own = match index.journaled {
        Some(journaled) if journaled != journal.len() as u64 => shared.with_engine(read_index)?.own,
        _ => index.own,
    };
    let unjournaled = own.into_iter().filter(|slot| !journal.contains(slot)).collect();
    let store = SledStore {
        shared: Arc::new(shared),
        keys,
        journal,
        ballast,
        options,
        marker,
        claimed,
        rows: index.rows,
        live_bytes: index.live_bytes,
        erasures: Vec::new(),
        unsynced: false,
        index: None,
        stopped: None,
        home,
    };
    Ok((store, (missing, unjournaled)))
}

/// How a journal entry stands to the row in its slot.
#[derive(PartialEq, Eq)]
enum Relation {
    /// The row is this version, whole.
    Stored,
    /// The row is a later one.
    Superseded,
    /// The row is absent, older or damaged.
    Missing,
}

fn relation(shared: &Shared, slot: &Slot, entry: &Entry) -> Result<Relation, StoreError> {
    let value = shared.with_engine(|engine| engine.get(&layout::row_key(slot)))?;
    let head = value.and_then(|value| Some(Head::read_row(&value)?.0));
    match head {
        Some(head) if head.vid == entry.vid => match shared.row(slot) {
            Ok(_) => Ok(Relation::Stored),
            Err(StoreError::Damaged { .. }) => Ok(Relation::Missing),
            Err(error) => Err(error),
        },
        Some(head) if head.arrival > entry.arrival => Ok(Relation::Superseded),
        _ => Ok(Relation::Missing),
    }
}

/// Moves the engine's files out of the way, with the keys of the versions in them.
fn set_aside(home: &Home) -> Result<PathBuf, StoreError> {
    let engine = home.path("engine");
    let name = home.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut candidates = (seconds..).map(|seconds| home.folder.with_file_name(format!("{name}.corrupt-{seconds}")));
    let aside = candidates.find(|path| !path.exists()).unwrap_or_else(|| home.folder.with_file_name("corrupt"));
    let keys = home.path("erasure.keys");
    if keys.exists() {
        fs::copy(&keys, engine.join("erasure.keys")).map_err(failed("copy", &keys))?;
    }
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o700)).map_err(failed("protect", &engine))?;
    fs::rename(&engine, &aside).map_err(failed("set aside", &engine))?;
    sync_folder(&home.folder)?;
    sync_folder(home.folder.parent().unwrap_or(Path::new(".")))?;
    Ok(aside)
}

/// Lists what was set aside and erases the keys in what is older than [`SET_ASIDE_READABLE`].
fn expire_set_aside(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let Some(parent) = folder.parent() else { return Ok(Vec::new()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let prefix = format!("{}.corrupt-", folder.file_name().unwrap_or_default().to_string_lossy());
    let mut present = Vec::new();
    for entry in fs::read_dir(parent).map_err(failed("read", parent))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(seconds) = name.strip_prefix(&prefix).and_then(|seconds| seconds.parse().ok()) else { continue };
        let age = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap_or_default();
        let keys = entry.path().join("erasure.keys");
        if age > SET_ASIDE_READABLE {
            erase_if_present(&keys)?;
        }
        present.push(entry.path());
    }
    present.sort();
    Ok(present)
}

/// Overwrites a file with zeros and removes it.
fn erase_if_present(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Ok(());
    }
    let erase = || {
        let mut file = owner_only().write(true).open(path)?;
        let zeros = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX)];
        file.write_all(&zeros)?;
        file.sync_all()?;
        fs::remove_file(path)
    };
    erase().map_err(failed("erase", path))
}
