//! What the public may see, by record id: the index behind the HTTP feed.
//!
//! In: each change of the public set, as the driver commits it. Out: a [`Directory`](crate::feed::directory::Directory)
//! that reads bodies from the store when a page needs them.
//! Always: only live, unlapsed content of the public audience is listed; each record id belongs to the slot that
//! proved it by its local id.

mod held;
mod removal;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::node::Completeness;
use fingerpost_proto::set::Slot;
use fingerpost_proto::time::UnixMillis;
use fingerpost_proto::version::SignedVersion;

use crate::clock;
use crate::feed::directory::{Change, Directory, DirectoryError, Entry, Lookup, Removed, Roll};
use crate::store::{Row, StoreError, StoreReader};

use held::Record;
pub(crate) use removal::Removal;

/// Shared by the driver, which writes, and the feed, which reads.
#[derive(Clone)]
pub(crate) struct Catalogue {
    shared: Arc<Shared>,
}

struct Shared {
    reader: Arc<dyn StoreReader>,
    lost: Box<dyn Fn(Slot) + Send + Sync>,
    listing: RwLock<Listing>,
    generation: AtomicU64,
}

#[derive(Default)]
struct Listing {
    /// Live records of each kind, by record id.
    live: BTreeMap<Kind, BTreeMap<RecordId, Slot>>,
    /// Record id of each live slot.
    records: HashMap<Slot, (Kind, RecordId)>,
    /// Withdrawn or lapsed.
    gone: HashMap<RecordId, Kind>,
    /// Content slots that are not in `records`: withdrawn and lapsed ones, and all of members, for the operator's counts.
    states: HashMap<Slot, State>,
    counts: [Counts; 2],
    publisher_names: HashMap<OrgId, String>,
    roll: Option<Arc<Roll>>,
    /// How much of each publisher's public records is here, by its heads.
    completeness: HashMap<OrgId, Completeness>,
    /// Publishers that this node does not show, and since when.
    blocked: BTreeMap<OrgId, UnixMillis>,
    /// Publishers whose records are not all checked.
    held_back: held::HeldBack,
}

/// One thing that the catalogue knows, for writing all of it down and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// A public record.
    Live { slot: Slot, kind: Kind, record: RecordId },
    /// Public once.
    Gone { kind: Kind, record: RecordId },
    /// A slot with a withdrawal.
    Withdrawn { slot: Slot },
    /// A slot with a version whose lease is over.
    Lapsed { slot: Slot },
    /// A slot with a members' record.
    LiveOfMembers { slot: Slot },
    /// A slot with a public record that this node does not show.
    Hidden { slot: Slot },
    /// A slot with a [`Removal`].
    Removed { slot: Slot, at_ms: UnixMillis },
}

#[derive(Clone, Copy)]
enum State {
    Live,
    /// Live, of a publisher that this node does not show.
    Hidden,
    Withdrawn,
    Lapsed,
    /// Nothing is kept but that it is gone, since this instant.
    Removed(UnixMillis),
}

/// How many content records of an audience are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) live: u64,
    pub(crate) withdrawn: u64,
    pub(crate) lapsed: u64,
}

impl Counts {
    /// `None`: such slots are not counted, the set does not hold them.
    fn of(&mut self, state: State) -> Option<&mut u64> {
        match state {
            State::Live | State::Hidden => Some(&mut self.live),
            State::Withdrawn => Some(&mut self.withdrawn),
            State::Lapsed => Some(&mut self.lapsed),
            State::Removed(_) => None,
        }
    }
}

impl Listing {
    /// Notes what a slot is; `None`: nothing any more. Those with a place in `records` must be put there beside.
    fn set_state(&mut self, slot: Slot, state: Option<State>) {
        let listed = self.records.contains_key(&slot).then_some(State::Live);
        let before = match state {
            Some(State::Live) if held::is_public(&slot) => self.states.remove(&slot),
            Some(state) => self.states.insert(slot, state),
            None => self.states.remove(&slot),
        };
        let before = listed.or(before);
        let counts = &mut self.counts[usize::from(slot.audience.number())];
        if let Some(count) = before.and_then(|before| counts.of(before)) {
            *count -= 1;
        }
        if let Some(count) = state.and_then(|state| counts.of(state)) {
            *count += 1;
        }
    }

    fn remove(&mut self, slot: &Slot) {
        if let Some((kind, record)) = self.records.remove(slot)
            && let Some(records) = self.live.get_mut(&kind)
        {
            records.remove(&record);
        }
    }

    fn slot(&self, record: &RecordId) -> Option<Slot> {
        self.live.values().find_map(|records| records.get(record)).copied()
    }
}

impl Catalogue {
    /// `lost` is told of rows that turn out to be damaged; it must not block.
    pub(crate) fn new(reader: Arc<dyn StoreReader>, lost: impl Fn(Slot) + Send + Sync + 'static) -> Catalogue {
        let (listing, generation, lost) = (RwLock::default(), AtomicU64::new(1), Box::new(lost));
        Catalogue { shared: Arc::new(Shared { reader, lost, listing, generation }) }
    }

    /// A version now wins its slot.
    pub(crate) fn put(&self, slot: Slot, version: &SignedVersion, lapsed: bool) {
        let header = version.header();
        if header.kind.class() != Class::Record {
            return;
        }
        let is_withdrawal = version.is_withdrawal();
        let record = Record { org: header.org, kind: header.kind, id: header.record, is_withdrawal, lapsed };
        let mut listing = self.write();
        if !listing.held_back.keep(slot, record) {
            listing.list(slot, record);
        }
    }

    /// The lease of a slot's record ran out.
    pub(crate) fn lapse(&self, slot: &Slot) {
        if slot.key.class() != Class::Record {
            return;
        }
        let mut listing = self.write();
        if listing.held_back.lapse(slot) {
            return;
        }
        listing.set_state(*slot, Some(State::Lapsed));
        if let Some((kind, record)) = listing.records.get(slot).copied() {
            listing.gone.insert(record, kind);
        }
        listing.remove(slot);
    }

    /// Nothing is kept of a slot any more.
    pub(crate) fn forget(&self, slot: &Slot) {
        let mut listing = self.write();
        listing.held_back.forget(slot);
        listing.set_state(*slot, None);
        if let Some((kind, record)) = listing.records.get(slot).copied() {
            listing.gone.insert(record, kind);
        }
        listing.remove(slot);
    }

    /// A removal now stands in the slot.
    pub(crate) fn put_removal(&self, slot: Slot, kind: Kind, removal: &Removal) {
        let mut listing = self.write();
        listing.set_state(slot, Some(State::Removed(removal.at_ms)));
        listing.remove(&slot);
        // Another organisation may claim the same record id; whoever proved it keeps it.
        if listing.slot(&removal.record).is_none() {
            listing.gone.insert(removal.record, kind);
        }
    }

    /// Slots of removals that nobody needs to be told of any more, at most `limit`.
    pub(crate) fn removals_over(&self, now: UnixMillis, limit: usize) -> Vec<Slot> {
        let is_over = |state: &State| matches!(state, State::Removed(at_ms) if Removal::is_over(*at_ms, now));
        let listing = self.read();
        listing.states.iter().filter(|(_, state)| is_over(state)).map(|(slot, _)| *slot).take(limit).collect()
    }

    /// Publishers that are not shown from now on. What is listed must be put again after it.
    pub(crate) fn set_blocked(&self, blocked: BTreeMap<OrgId, UnixMillis>) {
        self.write().blocked = blocked;
    }

    /// Calls `visit` for all that is known.
    pub(crate) fn each_listed(&self, mut visit: impl FnMut(Listed)) {
        let listing = self.read();
        for (slot, (kind, record)) in &listing.records {
            visit(Listed::Live { slot: *slot, kind: *kind, record: *record });
        }
        for (record, kind) in &listing.gone {
            visit(Listed::Gone { kind: *kind, record: *record });
        }
        for (slot, state) in &listing.states {
            let slot = *slot;
            visit(match state {
                State::Live => Listed::LiveOfMembers { slot },
                State::Withdrawn => Listed::Withdrawn { slot },
                State::Lapsed => Listed::Lapsed { slot },
                State::Hidden => Listed::Hidden { slot },
                State::Removed(at_ms) => Listed::Removed { slot, at_ms: *at_ms },
            });
        }
    }

    /// Takes in what [`Catalogue::each_listed`] told. The catalogue must be empty.
    pub(crate) fn list_all(&self, all: impl Iterator<Item = Listed>) {
        let mut listing = self.write();
        for listed in all {
            match listed {
                Listed::Live { slot, kind, record } => {
                    listing.set_state(slot, Some(State::Live));
                    listing.live.entry(kind).or_default().insert(record, slot);
                    listing.records.insert(slot, (kind, record));
                }
                Listed::Gone { kind, record } => drop(listing.gone.insert(record, kind)),
                Listed::Withdrawn { slot } => listing.set_state(slot, Some(State::Withdrawn)),
                Listed::Lapsed { slot } => listing.set_state(slot, Some(State::Lapsed)),
                Listed::LiveOfMembers { slot } => listing.set_state(slot, Some(State::Live)),
                Listed::Hidden { slot } => listing.set_state(slot, Some(State::Hidden)),
                Listed::Removed { slot, at_ms } => listing.set_state(slot, Some(State::Removed(at_ms))),
            }
        }
    }

    /// How many records of an audience are live, withdrawn and lapsed.
    pub(crate) fn counts(&self, audience: Audience) -> Counts {
        self.read().counts[usize::from(audience.number())]
    }

    /// The slot of a live public record.
    pub(crate) fn slot(&self, record: &RecordId) -> Option<Slot> {
        self.read().slot(record)
    }

    /// Names of publishers, by card, and what the public may know of the network.
    pub(crate) fn set_network(&self, publishers: HashMap<OrgId, String>, roll: Roll) {
        let mut listing = self.write();
        listing.publisher_names = publishers;
        listing.roll = Some(Arc::new(roll));
    }

    /// How much of a publisher's public records is here.
    pub(crate) fn set_completeness(&self, org: OrgId, completeness: Option<Completeness>) {
        let mut listing = self.write();
        match completeness {
            Some(completeness) => drop(listing.completeness.insert(org, completeness)),
            None => drop(listing.completeness.remove(&org)),
        }
    }

    /// Makes room for so many public records at once: growing step by step takes half as much again for a while.
    pub(crate) fn reserve(&self, records: usize) {
        self.write().records.reserve(records);
    }

    /// Forgets everything, before the node is built again from the store.
    pub(crate) fn clear(&self) {
        *self.write() = Listing::default();
    }

    /// Name of an organisation by its card; empty when unknown.
    pub(crate) fn publisher_name(&self, org: &OrgId) -> String {
        self.read().publisher_names.get(org).cloned().unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Listing> {
        self.shared.listing.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Listing> {
        self.shared.generation.fetch_add(1, Ordering::Relaxed);
        self.shared.listing.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A row by its slot. A damaged one counts as absent: it is on its way from other nodes.
    pub(crate) fn row(&self, slot: &Slot) -> Result<Option<Row>, DirectoryError> {
        match self.shared.reader.get(slot) {
            Err(StoreError::Damaged { slot }) => {
                (self.shared.lost)(slot);
                Ok(None)
            }
            row => row.map_err(|error| DirectoryError { reason: error.to_string() }),
        }
    }

    /// The entry in a slot, if it may be shown.
    fn entry(&self, slot: &Slot) -> Result<Option<Entry>, DirectoryError> {
        if self.is_held_back(slot) {
            return Ok(None);
        }
        let Some(row) = self.row(slot)? else { return Ok(None) };
        let arrival = row.arrival;
        let lapsed = row.lapsed;
        let Ok(version) = SignedVersion::read(row.envelope) else { return Ok(None) };
        let header = version.header();
        if !held::is_public(slot) || version.is_withdrawal() || lapsed || self.is_blocked(&header.org) {
            return Ok(None);
        }
        Ok(Some(Entry {
            record: header.record,
            org: header.org,
            kind: header.kind,
            hlc: header.hlc,
            lease_until: header.lease_until,
            vid: version.vid(),
            arrival,
            publisher_name: self.publisher_name(&header.org),
            body: version.body().to_vec(),
            envelope: version.envelope().to_vec(),
        }))
    }

    fn removed_row(&self, slot: &Slot) -> Result<Option<Removed>, DirectoryError> {
        let Some(row) = self.row(slot)? else { return Ok(None) };
        let (kind, arrival, lapsed) = (row.kind, row.arrival, row.lapsed);
        let (record, at_ms) = match Removal::read(&row.envelope) {
            Some(removal) => (removal.record, removal.at_ms),
            None => {
                let Ok(version) = SignedVersion::read(row.envelope) else { return Ok(None) };
                let header = version.header();
                let blocked_at = self.read().blocked.get(&header.org).copied();
                let at_ms = match blocked_at {
                    _ if lapsed => header.lease_until.start_ms(),
                    _ if version.is_withdrawal() => header.hlc.ms(),
                    Some(since_ms) => since_ms,
                    None => return Ok(None),
                };
                (header.record, at_ms)
            }
        };
        // A withdrawal proves no local id: it must not take another organisation's live record out of a reader's copy.
        if self.read().slot(&record).is_some_and(|live| live != *slot) {
            return Ok(None);
        }
        Ok(Some(Removed { record, kind, arrival, at_ms }))
    }

    fn is_blocked(&self, org: &OrgId) -> bool {
        self.read().blocked.contains_key(org)
    }
}

impl Directory for Catalogue {
    fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> UnixMillis {
        clock::now_ms()
    }

    fn network_name(&self) -> String {
        self.read().roll.as_ref().map_or_else(String::new, |roll| roll.charter.name.clone())
    }

    fn licence_url(&self) -> String {
        self.read().roll.as_ref().map_or_else(String::new, |roll| roll.charter.licence_url.clone())
    }

    fn roll(&self) -> Option<Arc<Roll>> {
        self.read().roll.clone()
    }

    fn completeness(&self, org: &OrgId) -> Option<Completeness> {
        let listing = self.read();
        listing.completeness.get(org).copied().filter(|_| !listing.is_held_back(org))
    }

    fn count(&self, kind: Kind) -> usize {
        self.read().live.get(&kind).map_or(0, BTreeMap::len)
    }

    fn page(&self, kind: Kind, offset: usize, limit: usize) -> Result<Vec<Entry>, DirectoryError> {
        let slots: Vec<Slot> = {
            let listing = self.read();
            listing.live.get(&kind).into_iter().flat_map(BTreeMap::values).skip(offset).take(limit).copied().collect()
        };
        let mut entries = Vec::with_capacity(slots.len());
        for slot in slots {
            entries.extend(self.entry(&slot)?);
        }
        Ok(entries)
    }

    fn record(&self, id: &RecordId) -> Result<Lookup, DirectoryError> {
        let slot = self.read().slot(id);
        if let Some(slot) = slot
            && let Some(entry) = self.entry(&slot)?
        {
            return Ok(Lookup::Live(Box::new(entry)));
        }
        let gone = self.read().gone.get(id).copied();
        Ok(gone.map_or(Lookup::Unknown, |kind| Lookup::Gone { kind }))
    }

    fn changes(&self, kind: Kind, after: u64, limit: usize) -> Result<Vec<Change>, DirectoryError> {
        let mut changes = Vec::new();
        let mut after = after;
        // A few arrivals lead to no change (a withdrawal that proves nothing): go on until the page is full.
        while changes.len() < limit {
            let arrivals = self
                .shared
                .reader
                .arrivals(Audience::Public, Some(kind), after, limit - changes.len())
                .map_err(|error| DirectoryError { reason: error.to_string() })?;
            let Some(last) = arrivals.last() else { break };
            after = last.number;
            for arrival in arrivals {
                // Readers come again; whatever they passed over they would never hear of.
                if self.is_held_back(&arrival.slot) {
                    return Ok(changes);
                }
                // The row may have changed since: its later arrival is listed further on.
                if let Some(entry) = self.entry(&arrival.slot)?.filter(|entry| entry.arrival == arrival.number) {
                    changes.push(Change::Updated(Box::new(entry)));
                } else if let Some(removed) = self.removed_row(&arrival.slot)? {
                    changes.extend((removed.arrival == arrival.number).then_some(Change::Removed(removed)));
                }
            }
        }
        Ok(changes)
    }

    fn removed(&self, kind: Kind, limit: usize) -> Result<Vec<Removed>, DirectoryError> {
        let mut removed = Vec::new();
        let (mut after, step) = (0, 1_000);
        loop {
            let arrivals = self
                .shared
                .reader
                .arrivals(Audience::Public, Some(kind), after, step)
                .map_err(|error| DirectoryError { reason: error.to_string() })?;
            let Some(last) = arrivals.last() else { break };
            after = last.number;
            let is_live = |slot: &Slot| self.read().records.contains_key(slot);
            let is_gone = |slot: &Slot| !is_live(slot) && !self.is_held_back(slot);
            for arrival in arrivals.iter().filter(|arrival| is_gone(&arrival.slot)) {
                removed.extend(self.removed_row(&arrival.slot)?);
            }
        }
        removed.reverse();
        removed.truncate(limit);
        Ok(removed)
    }
}
