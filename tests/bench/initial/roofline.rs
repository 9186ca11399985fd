//! The bare work: one process that reads the same envelopes, checks bodies and signatures on all cores, and writes them to
//! a store of the same kind in commits of the same size. No node, no link, no feed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fingerpost_daemon::store::{DiskOptions, Durability, Operation, SledStore, Store};
use fingerpost_proto::id::OrgId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::record;
use fingerpost_proto::set::Slot;
use fingerpost_proto::version::SignedVersion;

use crate::Failure;

/// Envelopes that a thread takes at once: about as many as a frame has.
const TAKEN_AT_ONCE: usize = 192;
/// Changes in one commit, as the daemon's driver makes them.
const OPERATIONS_PER_COMMIT: usize = 2_048;
/// Checked parts that wait for the writer.
const WAITING_MAX: usize = 16;
/// The driver syncs relayed versions so often.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

type Checked = Result<Vec<Operation>, String>;

/// Versions per second. `devices` are the keys with which the organisations sign.
pub(super) fn run(
    folder: &Path,
    versions: &[SignedVersion],
    devices: &HashMap<OrgId, PublicKey>,
) -> Result<f64, Failure> {
    let (mut store, _) = SledStore::open(DiskOptions::new(folder))?;
    let start = Instant::now();
    let parts = Mutex::new(versions.chunks(TAKEN_AT_ONCE));
    thread::scope(|scope| -> Result<(), Failure> {
        let (sender, checked) = mpsc::sync_channel::<Checked>(WAITING_MAX);
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (sender, parts) = (sender.clone(), &parts);
            scope.spawn(move || {
                loop {
                    let part = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(part) = part else { return };
                    if sender.send(part.iter().map(|version| check(version.envelope(), devices)).collect()).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut batch = Vec::new();
        let mut synced = Instant::now();
        for part in checked {
            batch.extend(part?);
            if batch.len() >= OPERATIONS_PER_COMMIT {
                store.commit(std::mem::take(&mut batch), Durability::WithinASecond)?;
            }
            if synced.elapsed() >= SYNC_INTERVAL {
                store.sync()?;
                synced = Instant::now();
            }
        }
        store.commit(batch, Durability::Now)?;
        Ok(())
    })?;
    Ok(versions.len() as f64 / start.elapsed().as_secs_f64())
}

fn check(envelope: &[u8], devices: &HashMap<OrgId, PublicKey>) -> Result<Operation, String> {
    let version = SignedVersion::read(envelope.to_vec()).map_err(|error| error.to_string())?;
    let header = *version.header();
    record::check(&header, version.body()).map_err(|error| error.to_string())?;
    let key = devices.get(&header.org).ok_or("a publisher without a key")?;
    version.check_signature(key).map_err(|error| error.to_string())?;
    let (slot, vid) = (Slot::of(&header), version.vid());
    Ok(Operation::Put { slot, kind: header.kind, vid, envelope: envelope.to_vec(), own: false })
}
