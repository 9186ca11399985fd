//! The crate `iroh-docs` on the same records and changes: two stores in memory, messages as postcard writes them.
//!
//! One namespace, one author for each organisation, one key for each record. Its messages carry the entries themselves:
//! what each changed entry takes once is counted as version, all else as bookkeeping. Its processor time contains two
//! signatures for each entry, and its store.

use iroh_docs::store::Store;
use iroh_docs::{Author, NamespaceSecret, Replica, SyncOutcome};

use super::measure::{ASKER, Costs, Heap, thread_time, timed};
use crate::Failure;
use crate::population::{Population, Subject, bytes};

/// How a replica names the other one; it only remembers it.
const PEERS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// Costs of the first sync, into an empty asker, then of each set of changes.
pub(super) fn run(
    population: &Population,
    count: usize,
    changes: &[&[Subject]],
) -> Result<(Costs, Vec<Costs>), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let namespace = NamespaceSecret::from_bytes(&bytes("namespace", 0));
    let authors: Vec<Author> =
        (0..population.organisations.len()).map(|number| Author::from_bytes(&bytes("author", number))).collect();
    let (mut holder_store, mut asker_store) = (Store::memory(), Store::memory());
    {
        let mut holder = holder_store.new_replica(namespace.clone())?;
        for number in 0..count {
            runtime.block_on(insert(&mut holder, &authors, population.subject(number, count)))?;
        }
        holder_store.close_replica(namespace.id());
    }
    let first = key(population.subject(0, count));
    let entry = holder_store.get_exact(namespace.id(), authors[0].id(), first, false)?.ok_or("an entry is missing")?;
    let entry_bytes = postcard::to_stdvec(&entry)?.len() as u64;
    asker_store.import_namespace(namespace.clone().into())?;
    let (mut asker, mut holder) =
        (asker_store.open_replica(&namespace.id())?, holder_store.open_replica(&namespace.id())?);
    let costs = runtime.block_on(sync(&mut asker, &mut holder))?;
    let initial = without_entries(costs, count as u64, entry_bytes)?;
    let mut all = Vec::with_capacity(changes.len());
    for subjects in changes {
        for subject in *subjects {
            runtime.block_on(insert(&mut holder, &authors, *subject))?;
        }
        let costs = runtime.block_on(sync(&mut asker, &mut holder))?;
        all.push(without_entries(costs, subjects.len() as u64, entry_bytes)?);
    }
    Ok((initial, all))
}

/// 16 bytes, as a record id has.
fn key(subject: Subject) -> [u8; 16] {
    let mut key = [0; 16];
    let digest = bytes(&format!("record {}", subject.organisation), subject.record);
    key.copy_from_slice(&digest[..16]);
    key
}

async fn insert(replica: &mut Replica<'_>, authors: &[Author], subject: Subject) -> Result<(), Failure> {
    let content = format!("{subject:?}");
    replica.hash_and_insert(key(subject), &authors[subject.organisation], content).await?;
    Ok(())
}

fn without_entries(costs: Costs, entries: u64, entry_bytes: u64) -> Result<Costs, Failure> {
    let version_bytes = entries * entry_bytes;
    let [asker, holder] = costs.bookkeeping_bytes;
    let rest = holder.checked_sub(version_bytes).ok_or("iroh-docs sent less than the changed entries")?;
    Ok(Costs { bookkeeping_bytes: [asker, rest], version_bytes: [0, version_bytes], ..costs })
}

/// Until neither has anything to say.
async fn sync<'a>(asker: &mut Replica<'a>, holder: &mut Replica<'a>) -> Result<Costs, Failure> {
    let mut costs = Costs::default();
    let mut outcomes = [SyncOutcome::default(), SyncOutcome::default()];
    let heap = Heap::watch();
    let (first, time) = timed(|| asker.sync_initial_message());
    costs.everything[ASKER] += time;
    let mut message = Some(first?);
    let mut from = ASKER;
    while let Some(sent) = message {
        let to = 1 - from;
        costs.frames += 1;
        costs.bookkeeping_bytes[from] += postcard::to_stdvec(&sent)?.len() as u64;
        let before = thread_time();
        let replica = if to == ASKER { &mut *asker } else { &mut *holder };
        message = replica.sync_process_message(sent, PEERS[from], &mut outcomes[to]).await?;
        costs.everything[to] += thread_time().saturating_sub(before);
        from = to;
    }
    costs.round_trips_to_know = costs.frames as f64 / 2.0;
    costs.round_trips_to_have = Some(costs.round_trips_to_know);
    costs.bookkeeping = costs.everything;
    Ok(Costs { heap_bytes: heap.risen(), ..costs })
}
