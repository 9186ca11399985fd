//! Reading a store on a disk, from any thread, while the committer goes on.
//!
//! Always: no row is handed out whose envelope does not hash to its vid. Tested: `store/conformance.rs`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::set::Slot;

use super::Shared;
use crate::store::keys::{apply_key, read_key};
use crate::store::layout::{self, Head, StoredArrival};
use crate::store::{ARRIVALS_PER_CALL_MAX, Arrival, Row, StoreError, StoreReader};

/// Rows fetched at once. The engine is not held while they are visited.
const ROWS_PER_FETCH: usize = 128;
/// Versions that may replace each other while one is being read.
const ATTEMPTS_MAX: usize = 16;

/// A handle for reading.
pub(super) struct DiskReader {
    pub(super) shared: Arc<Shared>,
}

impl Shared {
    /// Reads and checks one row.
    pub(super) fn row(&self, slot: &Slot) -> Result<Option<Row>, StoreError> {
        let mut before = None;
        for _ in 0..ATTEMPTS_MAX {
            let Some(value) = self.with_engine(|engine| engine.get(&layout::row_key(slot)))? else { return Ok(None) };
            let Some((head, enciphered)) = Head::read_row(&value) else { break };
            if let Some(row) = self.decipher(head, enciphered)? {
                return Ok(Some(row));
            }
            // The committer may have replaced the row and erased its key between the two reads: it is damaged only if
            // it is still the same row.
            if before.replace(head) == Some(head) {
                break;
            }
        }
        Err(StoreError::Damaged { slot: *slot })
    }

    /// `None` when the bytes are not those that were stored.
    fn decipher(&self, head: Head, enciphered: &[u8]) -> Result<Option<Row>, StoreError> {
        let key = read_key(&self.keys, head.key_place, &self.keys_path)?;
        let mut envelope = enciphered.to_vec();
        apply_key(&key, &mut envelope);
        let Head { kind, arrival, lapsed, own, vid, .. } = head;
        let row = Row { kind, arrival, lapsed, own, vid, envelope };
        let is_whole = Vid::of_envelope(&row.envelope) == row.vid || is_out(Canary::RowProof);
        Ok(is_whole.then_some(row))
    }
}

impl StoreReader for DiskReader {
    fn get(&self, slot: &Slot) -> Result<Option<Row>, StoreError> {
        self.shared.row(slot)
    }

    fn rows(&self, visit: &mut dyn FnMut(Slot, Result<Row, StoreError>) -> ControlFlow<()>) -> Result<(), StoreError> {
        let (first, end) = layout::ROWS;
        let mut first = first.to_vec();
        loop {
            let fetched = self.shared.with_engine(|engine| engine.range(&first, &end, ROWS_PER_FETCH))?;
            for (key, value) in &fetched {
                let Some(slot) = layout::slot_of_row_key(key) else { continue };
                let whole = match Head::read_row(value) {
                    Some((head, enciphered)) => self.shared.decipher(head, enciphered)?,
                    None => None,
                };
                let row = match whole {
                    Some(row) => Ok(row),
                    // Replaced since it was fetched, or damaged: a fresh look tells.
                    None => match self.shared.row(&slot) {
                        Ok(None) => continue,
                        Ok(Some(row)) => Ok(row),
                        Err(error @ StoreError::Damaged { .. }) => Err(error),
                        Err(error) => return Err(error),
                    },
                };
                if visit(slot, row).is_break() {
                    return Ok(());
                }
            }
            match fetched.last() {
                Some((key, _)) if fetched.len() == ROWS_PER_FETCH => first = [key, &[0][..]].concat(),
                _ => return Ok(()),
            }
        }
    }

    fn arrivals(
        &self,
        audience: Audience,
        kind: Option<Kind>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        let from = after.saturating_add(1);
        if from == u64::MAX {
            return Ok(Vec::new());
        }
        let limit = limit.min(ARRIVALS_PER_CALL_MAX);
        // The greatest number itself is never given out, so an end that excludes it loses nothing.
        let fetched = self.shared.with_engine(|engine| match kind {
            Some(kind) => {
                let key = |number| layout::kind_arrival_key(audience, kind, number);
                engine.range(&key(from), &key(u64::MAX), limit)
            }
            None => {
                let key = |number| layout::arrival_key(audience, number);
                engine.range(&key(from), &key(u64::MAX), limit)
            }
        })?;
        Ok(fetched.iter().filter_map(|(key, value)| Some(StoredArrival::read(key, value)?.arrival)).collect())
    }

    fn last_arrival(&self, audience: Audience) -> u64 {
        self.shared.last_arrival(audience).load(Ordering::Relaxed)
    }

    fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.shared.with_engine(|engine| engine.get(&layout::meta_key(name)))?.map(|value| value.to_vec()))
    }
}
