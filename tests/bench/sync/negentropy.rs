//! The crate `negentropy` on the same change: range-based reconciliation of (time, id), as its users have it.
//!
//! A newer version of a record is a new element and the end of the old one. Frames are as long as they get. Only ids are
//! exchanged; asking for versions by id (32 bytes each) and sending them is not counted, which is in its favour.

use fingerpost_proto::version::SignedVersion;
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use sha2::{Digest, Sha256};

use super::measure::{ASKER, Costs, HOLDER, Heap, timed};
use super::ours::Versions;
use crate::Failure;

/// An ordered set of one side, content only.
pub(super) fn elements(versions: &Versions) -> Result<NegentropyStorageVector, Failure> {
    let mut elements = NegentropyStorageVector::new();
    for envelope in versions.iter() {
        let version = SignedVersion::read(envelope.clone())?;
        if version.header().kind.is_content() {
            let id: [u8; 32] = Sha256::digest(version.vid().0).into();
            // Whole seconds, as in Nostr.
            elements.insert(version.header().hlc.ms() / 1_000, Id::from_byte_array(id))?;
        }
    }
    elements.seal()?;
    Ok(elements)
}

/// The asker begins. Errors: also when it does not learn of exactly `changes` elements.
pub(super) fn reconcile(sets: [&NegentropyStorageVector; 2], changes: usize) -> Result<Costs, Failure> {
    let mut costs = Costs::default();
    let heap = Heap::watch();
    let mut asker = Negentropy::borrowed(sets[ASKER], 0)?;
    let mut holder = Negentropy::borrowed(sets[HOLDER], 0)?;
    let (mut have, mut need) = (Vec::new(), Vec::new());
    let (first, time) = timed(|| asker.initiate());
    costs.bookkeeping[ASKER] += time;
    let mut next = Some(first?);
    while let Some(question) = next {
        costs.bookkeeping_bytes[ASKER] += question.len() as u64;
        let (answer, time) = timed(|| holder.reconcile(&question));
        let answer = answer?;
        costs.bookkeeping[HOLDER] += time;
        costs.bookkeeping_bytes[HOLDER] += answer.len() as u64;
        let (following, time) = timed(|| asker.reconcile_with_ids(&answer, &mut have, &mut need));
        costs.bookkeeping[ASKER] += time;
        costs.frames += 2;
        costs.round_trips_to_know += 1.0;
        next = following?;
    }
    if need.len() != changes {
        return Err(format!("negentropy found {} of {changes} changes", need.len()).into());
    }
    Ok(Costs { heap_bytes: heap.risen(), ..costs })
}
