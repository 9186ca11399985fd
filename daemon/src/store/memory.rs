//! The store's twin in memory, which can lose, tear, corrupt and be full.
//!
//! Same promises as the one on disk, for tests and the simulator. Faults are switched on through [`MemoryFaults`];
//! [`MemoryStore::crash`] is a power cut followed by a restart.
//! Always: what was synced survives a crash; of what was not, a prefix of whole commits survives, unless a torn last
//! commit is asked for. Tested: `store/conformance.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::set::Slot;

use super::{
    ARRIVALS_PER_CALL_MAX, Arrival, Durability, Operation, Row, Store, StoreError, StoreReader, Usage,
    check_operations, operation_bytes,
};

#[derive(Clone, Default)]
struct Content {
    rows: BTreeMap<Slot, Row>,
    order: BTreeMap<(Audience, u64), Slot>,
    meta: BTreeMap<String, Vec<u8>>,
}

impl Content {
    /// Numbers come from outside, since a crash must not give them again.
    fn apply(&mut self, operation: &Operation, last_arrivals: &mut [u64; 2]) -> Option<u64> {
        match operation {
            Operation::Put { slot, kind, vid, envelope, own } => {
                self.remove(slot);
                let arrival = next(last_arrivals, slot.audience);
                let envelope = envelope.clone();
                self.order.insert((slot.audience, arrival), *slot);
                let row = Row { kind: *kind, arrival, lapsed: false, own: *own, vid: *vid, envelope };
                self.rows.insert(*slot, row);
                Some(arrival)
            }
            Operation::Lapse { slot, has_lapsed } => {
                let mut row = self.remove(slot)?;
                row.arrival = next(last_arrivals, slot.audience);
                row.lapsed = *has_lapsed;
                self.order.insert((slot.audience, row.arrival), *slot);
                let arrival = row.arrival;
                self.rows.insert(*slot, row);
                Some(arrival)
            }
            Operation::Forget { slot } => {
                self.remove(slot);
                None
            }
            Operation::PutMeta { name, value } => {
                self.meta.insert(name.clone(), value.clone());
                None
            }
            Operation::RemoveMeta { name } => {
                self.meta.remove(name);
                None
            }
        }
    }

    fn remove(&mut self, slot: &Slot) -> Option<Row> {
        let row = self.rows.remove(slot)?;
        self.order.remove(&(slot.audience, row.arrival));
        Some(row)
    }
}

fn next(last_arrivals: &mut [u64; 2], audience: Audience) -> u64 {
    let last = &mut last_arrivals[usize::from(audience.number())];
    *last += 1;
    *last
}

/// What is visible, what would survive a power cut, and the faults that are switched on.
#[derive(Default)]
struct State {
    epoch: u64,
    visible: Content,
    durable: Content,
    /// Each with the last arrival numbers before it.
    unsynced: Vec<([u64; 2], Vec<Operation>)>,
    last_arrivals: [u64; 2],
    damaged: BTreeSet<Slot>,
    free_bytes: Option<u64>,
    failing: bool,
}

/// A [`Store`] in memory.
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

/// Switches faults of one [`MemoryStore`] on and off, from any thread.
#[derive(Clone)]
pub struct MemoryFaults {
    state: Arc<Mutex<State>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Every change below is complete before the guard goes, so a poisoned state is still a whole one.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// An empty store whose arrival order has this number.
    pub fn new(epoch: u64) -> MemoryStore {
        MemoryStore { state: Arc::new(Mutex::new(State { epoch, ..State::default() })) }
    }

    /// The switches for its faults.
    pub fn faults(&self) -> MemoryFaults {
        MemoryFaults { state: self.state.clone() }
    }

    /// A power cut and a restart: of the commits that were not synced, the first `kept` survive. With `torn`, so does the
    /// first half of the next one, which no healthy disk does. Readers of the old store go on reading its last state.
    pub fn crash(self, kept: usize, torn: bool) -> MemoryStore {
        let state = locked(&self.state);
        let mut content = state.durable.clone();
        for (index, (before, operations)) in state.unsynced.iter().enumerate() {
            let count = match index {
                index if index < kept => operations.len(),
                index if index == kept && torn => operations.len() / 2,
                _ => break,
            };
            let mut arrivals = *before;
            for operation in &operations[..count] {
                content.apply(operation, &mut arrivals);
            }
        }
        let damaged = state.damaged.iter().filter(|slot| content.rows.contains_key(slot)).copied().collect();
        let after = State {
            epoch: state.epoch,
            visible: content.clone(),
            durable: content,
            unsynced: Vec::new(),
            // Numbers of lost commits stay lost: a reader may hold them as its cursor.
            last_arrivals: state.last_arrivals,
            damaged,
            free_bytes: state.free_bytes,
            failing: false,
        };
        MemoryStore { state: Arc::new(Mutex::new(after)) }
    }
}

impl MemoryFaults {
    /// The bytes kept for `slot` rot: reading it says [`StoreError::Damaged`] until it is put again.
    pub fn damage(&self, slot: Slot) {
        locked(&self.state).damaged.insert(slot);
    }

    /// From now on the disk has this many bytes left; `None` for no limit. Commits with more are refused.
    pub fn free_bytes(&self, free_bytes: Option<u64>) {
        locked(&self.state).free_bytes = free_bytes;
    }

    /// The next commit or sync fails with an I/O error and the store stops, as after a dying disk.
    pub fn fail(&self) {
        locked(&self.state).failing = true;
    }

    /// Commits that a power cut could lose now.
    pub fn unsynced_commits(&self) -> usize {
        locked(&self.state).unsynced.len()
    }
}

impl State {
    fn check_running(&self) -> Result<(), StoreError> {
        if self.failing {
            return Err(StoreError::Stopped { why: "a fault was asked for".to_owned() });
        }
        Ok(())
    }

    fn row(&self, slot: &Slot) -> Result<Option<Row>, StoreError> {
        if self.damaged.contains(slot) {
            return Err(StoreError::Damaged { slot: *slot });
        }
        Ok(self.visible.rows.get(slot).cloned())
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, operations: Vec<Operation>, durability: Durability) -> Result<Vec<Option<u64>>, StoreError> {
        check_operations(&operations)?;
        let mut state = locked(&self.state);
        state.check_running()?;
        let needed_bytes: u64 = operations.iter().map(|operation| operation_bytes(operation) as u64).sum();
        if let Some(free_bytes) = state.free_bytes {
            if needed_bytes > free_bytes {
                return Err(StoreError::DiskFull { free_bytes, needed_bytes });
            }
            state.free_bytes = Some(free_bytes - needed_bytes);
        }
        let before = state.last_arrivals;
        let State { visible, last_arrivals, damaged, .. } = &mut *state;
        let mut arrivals = Vec::with_capacity(operations.len());
        for operation in &operations {
            if let Operation::Put { slot, .. } | Operation::Forget { slot } = operation {
                damaged.remove(slot);
            }
            arrivals.push(visible.apply(operation, last_arrivals));
        }
        state.unsynced.push((before, operations));
        if durability == Durability::Now {
            state.durable = state.visible.clone();
            state.unsynced.clear();
        }
        Ok(arrivals)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let mut state = locked(&self.state);
        state.check_running()?;
        if !state.unsynced.is_empty() {
            state.durable = state.visible.clone();
            state.unsynced.clear();
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<Usage, StoreError> {
        self.sync()?;
        self.usage()
    }

    fn keep_index(&mut self, _: Vec<u8>) {}

    fn usage(&self) -> Result<Usage, StoreError> {
        let state = locked(&self.state);
        let live_bytes = state.visible.rows.values().map(|row| row.envelope.len() as u64).sum();
        Ok(Usage {
            rows: state.visible.rows.len() as u64,
            live_bytes,
            disk_bytes: live_bytes,
            free_bytes: state.free_bytes.unwrap_or(u64::MAX),
            ..Usage::default()
        })
    }

    fn reader(&self) -> Arc<dyn StoreReader> {
        Arc::new(MemoryReader { state: self.state.clone() })
    }
}

struct MemoryReader {
    state: Arc<Mutex<State>>,
}

impl StoreReader for MemoryReader {
    fn get(&self, slot: &Slot) -> Result<Option<Row>, StoreError> {
        let row = locked(&self.state).row(slot)?;
        match row {
            Some(row) if Vid::of_envelope(&row.envelope) != row.vid => Err(StoreError::Damaged { slot: *slot }),
            row => Ok(row),
        }
    }

    fn rows(&self, visit: &mut dyn FnMut(Slot, Result<Row, StoreError>) -> ControlFlow<()>) -> Result<(), StoreError> {
        // Not under the lock: the visitor may read other slots.
        let slots: Vec<Slot> = locked(&self.state).visible.rows.keys().copied().collect();
        for slot in slots {
            let row = match self.get(&slot) {
                Ok(None) => continue,
                Ok(Some(row)) => Ok(row),
                Err(error) => Err(error),
            };
            if visit(slot, row).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn arrivals(
        &self,
        audience: Audience,
        kind: Option<Kind>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let state = locked(&self.state);
        let range = state.visible.order.range((audience, first)..=(audience, u64::MAX));
        let arrival = |(&(_, number), slot): (&(Audience, u64), &Slot)| {
            let row = state.visible.rows.get(slot)?;
            Some(Arrival { number, slot: *slot, kind: row.kind, lapsed: row.lapsed, vid: row.vid })
        };
        let wanted = |arrival: &Arrival| kind.is_none_or(|kind| kind == arrival.kind);
        Ok(range.filter_map(arrival).filter(wanted).take(limit.min(ARRIVALS_PER_CALL_MAX)).collect())
    }

    fn last_arrival(&self, audience: Audience) -> u64 {
        locked(&self.state).last_arrivals[usize::from(audience.number())]
    }

    fn epoch(&self) -> u64 {
        locked(&self.state).epoch
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(locked(&self.state).visible.meta.get(name).cloned())
    }
}
