//! The journal: versions accepted for publication here, kept outside the engine because no peer may have them yet.
//!
//! In: own versions kept and removed, in batches, before the engine gets them. Out: at opening, the entries still current.
//! Always: frames are appended and checked one by one, a batch torn by a power cut is cut off whole, and a damaged frame
//! costs only itself. Envelopes are enciphered under keys in `journal.keys`, separate from the engine's, so that
//! losing one key file loses no published version. Format: `daemon/STORE.md`, section 6.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::ENVELOPE_BYTES_MAX;
use fingerpost_proto::set::{SetKey, Slot};

use super::StoreError;
use super::home::{Home, failed, owner_only, sync_folder};
use super::keys::{Key, KeyFile, apply_key, read_key};

const MAGIC: [u8; 4] = *b"FPJ1";
/// `magic(4) payload_bytes(4) check(16)`
const FRAME_HEAD_BYTES: usize = 24;
/// `tag(1) audience(1) slot key(16) arrival(8)`
const REMOVED_BYTES: usize = 26;
/// The above and `kind(2) key_place(4) vid(16)`, in front of the enciphered envelope.
const KEPT_BYTES: usize = REMOVED_BYTES + 22;
const PAYLOAD_BYTES_MAX: usize = KEPT_BYTES + ENVELOPE_BYTES_MAX;

const TAG_KEPT: u8 = 1;
const TAG_REMOVED: u8 = 2;
/// Added to the tag of the last frame of a batch.
const TAG_LAST: u8 = 0x80;

/// The journal is rewritten when it is larger than this and mostly superseded.
const REWRITE_BYTES_MIN: u64 = 1 << 20;

/// What is known of a current entry without reading its envelope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) arrival: u64,
    pub(super) vid: Vid,
    key_place: u32,
    offset: u64,
    frame_bytes: u32,
}

/// One change to append.
pub(super) enum Change<'a> {
    /// This version was accepted.
    Kept { slot: Slot, kind: Kind, arrival: u64, vid: Vid, envelope: &'a [u8] },
    /// Whatever the journal holds for the slot is void.
    Removed { slot: Slot, arrival: u64 },
}

/// What was found when the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalState {
    /// Versions accepted here that are still current.
    pub entries: u64,
    /// Bytes at the end that a power cut had left unfinished; they were never acknowledged.
    pub torn_bytes: u64,
    /// Bytes elsewhere that are damaged. Anything but 0 means that the disk lost data it had confirmed.
    pub damaged_bytes: u64,
}

/// The open journal.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    keys: KeyFile,
    keys_path: PathBuf,
    end: u64,
    live_bytes: u64,
    entries: HashMap<Slot, Entry>,
    /// Places of keys whose entries are void once the engine's replacement is durable.
    erasures: Vec<u32>,
    unsynced: bool,
    /// A redaction came in: not even the bytes of what is void are to stay.
    is_purged: bool,
}

impl Journal {
    /// Opens or creates the journal and cuts a torn end off. `current` says of each entry whether it still counts; the
    /// keys of the others are erased.
    pub(super) fn open(
        home: &Home,
        mut current: impl FnMut(&Slot, &Entry) -> Result<bool, StoreError>,
    ) -> Result<(Journal, JournalState), StoreError> {
        let path = home.path("journal");
        let unfinished = home.path("journal.new");
        if unfinished.exists() {
            fs::remove_file(&unfinished).map_err(failed("remove", &unfinished))?;
        }
        let mut options = owner_only();
        let file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed("open", &path))?;
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        let mut scan = Scan::default();
        scan.read(&bytes);
        if scan.end < bytes.len() as u64 {
            file.set_len(scan.end).map_err(failed("cut", &path))?;
        }
        file.sync_all().map_err(failed("sync", &path))?;
        sync_folder(&home.folder)?;
        let keys_path = home.path("journal.keys");
        let keys_file = options.open(&keys_path).map_err(failed("open", &keys_path))?;
        let mut entries = HashMap::new();
        for (slot, entry) in scan.entries {
            // A place may serve another entry since: only an entry that deciphers has a say on its key.
            let frame = &bytes[entry.offset as usize..][..entry.frame_bytes as usize];
            let key = read_key(&keys_file, entry.key_place, &keys_path)?;
            if decipher(&key, frame, &entry).is_some() && current(&slot, &entry)? {
                entries.insert(slot, entry);
            }
        }
        let (keys, _) = KeyFile::open(keys_path.clone(), entries.values().map(|entry| entry.key_place))?;
        sync_folder(&home.folder)?;
        let torn_bytes = bytes.len() as u64 - scan.end;
        let state = JournalState { entries: entries.len() as u64, torn_bytes, damaged_bytes: scan.damaged_bytes };
        let live_bytes: u64 = entries.values().map(|entry| u64::from(entry.frame_bytes)).sum();
        let end = scan.end;
        // The power may have gone before the file was written anew for a redaction.
        let is_purged = live_bytes < end && entries.values().any(|entry| entry.kind == Kind::REDACTION);
        Ok((
            Journal {
                file,
                path,
                keys,
                keys_path,
                end,
                live_bytes,
                entries,
                erasures: Vec::new(),
                unsynced: false,
                is_purged,
            },
            state,
        ))
    }

    /// Current entries in the order of their arrival.
    pub(super) fn entries(&self) -> Vec<(Slot, Entry)> {
        let mut entries: Vec<_> = self.entries.iter().map(|(slot, entry)| (*slot, *entry)).collect();
        entries.sort_by_key(|(slot, entry)| (entry.arrival, *slot));
        entries
    }

    /// The envelope of an entry; `None` when it was erased or is damaged.
    pub(super) fn envelope(&self, entry: &Entry) -> Result<Option<Vec<u8>>, StoreError> {
        let key = read_key(&self.keys.shared(), entry.key_place, &self.keys_path)?;
        let mut frame = vec![0; entry.frame_bytes as usize];
        self.file.read_exact_at(&mut frame, entry.offset).map_err(failed("read", &self.path))?;
        Ok(decipher(&key, &frame, entry))
    }

    /// Appends a batch. It counts only once all of it is there. Durable after [`Journal::sync`].
    pub(super) fn append(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        let mut frames = Vec::new();
        let mut written = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            let last = if index + 1 == changes.len() { TAG_LAST } else { 0 };
            let start = frames.len();
            let entry = match change {
                Change::Kept { slot, kind, arrival, vid, envelope } => {
                    self.is_purged |= *kind == Kind::REDACTION;
                    let (key_place, key) = self.keys.take()?;
                    frames.extend(frame_start(TAG_KEPT | last, slot, *arrival));
                    frames.extend(kind.0.to_be_bytes());
                    frames.extend(key_place.to_be_bytes());
                    frames.extend(vid.0);
                    let body = frames.len();
                    frames.extend_from_slice(envelope);
                    apply_key(&key, &mut frames[body..]);
                    let (offset, frame_bytes) = (self.end + start as u64, (frames.len() - start) as u32);
                    Some(Entry { kind: *kind, arrival: *arrival, vid: *vid, key_place, offset, frame_bytes })
                }
                Change::Removed { slot, arrival } => {
                    frames.extend(frame_start(TAG_REMOVED | last, slot, *arrival));
                    None
                }
            };
            finish_frame(&mut frames[start..]);
            written.push((change.slot(), entry));
        }
        self.file.write_all_at(&frames, self.end).map_err(failed("append to", &self.path))?;
        self.end += frames.len() as u64;
        self.unsynced = true;
        for (slot, entry) in written {
            self.supersede(&slot);
            if let Some(entry) = entry {
                self.live_bytes += u64::from(entry.frame_bytes);
                self.entries.insert(slot, entry);
            }
        }
        Ok(())
    }

    /// Number of entries that count.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, slot: &Slot) -> bool {
        self.entries.contains_key(slot)
    }

    /// Voids the entry for `slot` unless it is for this version.
    pub(super) fn keep_only(&mut self, slot: &Slot, vid: Option<Vid>) {
        if self.entries.get(slot).is_some_and(|entry| Some(entry.vid) != vid) {
            self.supersede(slot);
        }
    }

    /// Voids the entry for `slot`, if there is one: its key goes at the next [`Journal::erase`].
    fn supersede(&mut self, slot: &Slot) {
        if let Some(entry) = self.entries.remove(slot) {
            self.live_bytes -= u64::from(entry.frame_bytes);
            self.erasures.push(entry.key_place);
        }
    }

    /// Puts everything appended on stable storage.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if self.unsynced {
            self.file.sync_data().map_err(failed("sync", &self.path))?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Erases void entries, and rewrites the file when most of it is void or something was redacted. To be called once the engine is
    /// durable.
    pub(super) fn erase(&mut self, home: &Home) -> Result<(), StoreError> {
        self.keys.erase(&mut self.erasures)?;
        if self.is_purged || self.end > REWRITE_BYTES_MIN && self.live_bytes < self.end / 2 {
            self.rewrite(home)?;
            self.is_purged = false;
        }
        Ok(())
    }

    fn rewrite(&mut self, home: &Home) -> Result<(), StoreError> {
        let new_path = home.path("journal.new");
        let mut options = owner_only();
        let options = options.read(true).write(true).create(true).truncate(true);
        let new = options.open(&new_path).map_err(failed("create", &new_path))?;
        let mut kept = self.entries();
        let mut end = 0;
        for (_, entry) in &mut kept {
            let mut frame = vec![0; entry.frame_bytes as usize];
            self.file.read_exact_at(&mut frame, entry.offset).map_err(failed("read", &self.path))?;
            frame[FRAME_HEAD_BYTES] |= TAG_LAST;
            finish_frame(&mut frame);
            new.write_all_at(&frame, end).map_err(failed("write", &new_path))?;
            entry.offset = end;
            end += frame.len() as u64;
        }
        new.sync_all().map_err(failed("sync", &new_path))?;
        fs::rename(&new_path, &self.path).map_err(failed("rename", &new_path))?;
        sync_folder(&home.folder)?;
        self.file = new;
        self.end = end;
        self.entries = kept.into_iter().collect();
        Ok(())
    }
}

fn decipher(key: &Key, frame: &[u8], entry: &Entry) -> Option<Vec<u8>> {
    let mut envelope = frame.get(FRAME_HEAD_BYTES + KEPT_BYTES..)?.to_vec();
    apply_key(key, &mut envelope);
    (Vid::of_envelope(&envelope) == entry.vid).then_some(envelope)
}

impl Change<'_> {
    fn slot(&self) -> Slot {
        match self {
            Change::Kept { slot, .. } | Change::Removed { slot, .. } => *slot,
        }
    }
}

/// The head, still without length and check, and the part that all payloads share.
fn frame_start(tag: u8, slot: &Slot, arrival: u64) -> Vec<u8> {
    let mut bytes = vec![0; FRAME_HEAD_BYTES];
    bytes.push(tag);
    bytes.push(slot.audience.number());
    bytes.extend(slot.key.0);
    bytes.extend(arrival.to_be_bytes());
    bytes
}

fn finish_frame(frame: &mut [u8]) {
    let (head, payload) = frame.split_at_mut(FRAME_HEAD_BYTES);
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&(payload.len() as u32).to_be_bytes());
    head[8..].copy_from_slice(&check(payload));
}

fn check(payload: &[u8]) -> [u8; 16] {
    let mut check = [0; 16];
    check.copy_from_slice(&blake3::hash(payload).as_bytes()[..16]);
    check
}

/// Payload of the frame at the start of `bytes`, if there is a whole and undamaged one.
fn read_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (wanted, rest) = rest.split_first_chunk()?;
    let length = u32::from_be_bytes(*length) as usize;
    if *magic != MAGIC || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..length)?;
    (check(payload) == *wanted).then_some(payload)
}

/// What reading the whole file leaves.
#[derive(Default)]
struct Scan {
    entries: HashMap<Slot, Entry>,
    /// Frames of a batch whose last frame was not seen yet.
    open: Vec<(Slot, Option<Entry>)>,
    /// Where the last whole batch ends.
    end: u64,
    damaged_bytes: u64,
}

impl Scan {
    fn read(&mut self, bytes: &[u8]) {
        let mut offset = 0;
        // Damage counts as such only when a whole frame follows it; otherwise it is the torn end.
        let mut damaged = 0;
        while offset < bytes.len() {
            let Some(payload) = read_frame(&bytes[offset..]) else {
                let next = bytes[offset + 1..].windows(4).position(|window| window == MAGIC);
                let Some(skipped) = next.map(|position| position + 1) else { break };
                damaged += skipped as u64;
                offset += skipped;
                continue;
            };
            self.damaged_bytes += std::mem::take(&mut damaged);
            let frame_bytes = FRAME_HEAD_BYTES + payload.len();
            self.read_payload(payload, offset as u64, frame_bytes as u32);
            offset += frame_bytes;
        }
    }

    fn read_payload(&mut self, payload: &[u8], offset: u64, frame_bytes: u32) {
        let Some((tag, slot, entry)) = parse_payload(payload, offset, frame_bytes) else {
            // Checked bytes that this code does not understand: kept in the file, without meaning here.
            self.damaged_bytes += u64::from(frame_bytes);
            return;
        };
        self.open.push((slot, entry));
        if tag & TAG_LAST != 0 {
            for (slot, entry) in self.open.drain(..) {
                match entry {
                    Some(entry) => self.entries.insert(slot, entry),
                    None => self.entries.remove(&slot),
                };
            }
            self.end = offset + u64::from(frame_bytes);
        }
    }
}

fn parse_payload(payload: &[u8], offset: u64, frame_bytes: u32) -> Option<(u8, Slot, Option<Entry>)> {
    let (tag, rest) = payload.split_first()?;
    let (audience, rest) = rest.split_first()?;
    let (key, rest) = rest.split_first_chunk()?;
    let (arrival, rest) = rest.split_first_chunk()?;
    let arrival = u64::from_be_bytes(*arrival);
    let slot = Slot { audience: Audience::from_number(u32::from(*audience))?, key: SetKey(*key) };
    let entry = match tag & !TAG_LAST {
        TAG_REMOVED => None,
        TAG_KEPT => {
            let (kind, rest) = rest.split_first_chunk()?;
            let (key_place, rest) = rest.split_first_chunk()?;
            let kind = Kind(u16::from_be_bytes(*kind));
            let (key_place, vid) = (u32::from_be_bytes(*key_place), Vid(*rest.first_chunk()?));
            Some(Entry { kind, arrival, vid, key_place, offset, frame_bytes })
        }
        _ => return None,
    };
    Some((*tag, slot, entry))
}
