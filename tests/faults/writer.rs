//! Writes numbered batches into a store and acknowledges them, verifies what is left after a cut, and measures.
//!
//! `store-writer write HOME` | `store-writer verify HOME LAST_ACK` | `store-writer measure HOME ROWS`

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use fingerpost_daemon::store::{DiskOptions, Durability, Operation, Row, SledStore, Store, StoreError};
use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::set::{SetKey, Slot};

/// Records that the batches go round.
const RECORDS: u64 = 400;
const PUTS_PER_BATCH: u64 = 48;
const FORGETS_PER_BATCH: u64 = 6;
/// Named value that holds the number of the last batch; written with it.
const BATCH: &str = "batch";

#[derive(Parser)]
enum Arguments {
    /// Writes until it is stopped.
    Write { home: PathBuf },
    /// Checks that everything up to this batch is there and nothing else.
    Verify { home: PathBuf, last: u64 },
    /// Prints rates and sizes.
    Measure { home: PathBuf, rows: u64 },
}

fn main() -> ExitCode {
    let result = match Arguments::parse() {
        Arguments::Write { home } => write(&home),
        Arguments::Verify { home, last } => verify(&home, last),
        Arguments::Measure { home, rows } => measure(&home, rows),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn options(home: &Path) -> DiskOptions {
    DiskOptions { reserve_bytes: 16 << 20, ballast_bytes: 1 << 20, ..DiskOptions::new(home.join("store")) }
}

/// Spreads a number over all bits; the same everywhere.
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ (mixed >> 32)
}

fn record(number: u64) -> Slot {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(number).to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    Slot { audience: if number.is_multiple_of(5) { Audience::Members } else { Audience::Public }, key: SetKey(key) }
}

/// Every fourth record is published here.
fn is_own(number: u64) -> bool {
    number.is_multiple_of(4)
}

fn envelope(batch: u64, record: u64) -> Vec<u8> {
    let random = mix(batch.wrapping_mul(1_000_003) ^ record);
    let length = if random.is_multiple_of(97) { 20_000 + random % 45_000 } else { 300 + random % 1_500 };
    let mut bytes = vec![random as u8; length as usize];
    bytes[..16].copy_from_slice(&[batch.to_be_bytes(), record.to_be_bytes()].concat());
    bytes
}

fn touched(batch: u64) -> impl Iterator<Item = u64> {
    (0..PUTS_PER_BATCH + FORGETS_PER_BATCH).map(move |index| mix(batch * 64 + index) % RECORDS)
}

fn operations(batch: u64) -> Vec<Operation> {
    let mut operations: Vec<_> = touched(batch).map(|number| put(batch, number)).collect();
    for (index, number) in touched(batch).enumerate().skip(PUTS_PER_BATCH as usize) {
        operations[index] = Operation::Forget { slot: record(number) };
    }
    operations.push(Operation::PutMeta { name: BATCH.to_owned(), value: batch.to_be_bytes().to_vec() });
    operations
}

fn put(batch: u64, number: u64) -> Operation {
    let envelope = envelope(batch, number);
    let vid = Vid::of_envelope(&envelope);
    Operation::Put { slot: record(number), kind: Kind::SERVICE, vid, envelope, own: is_own(number) }
}

fn last_batch(store: &SledStore) -> Result<u64, StoreError> {
    let value = store.reader().meta(BATCH)?;
    Ok(value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes))
}

fn write(home: &Path) -> Result<(), String> {
    let (mut store, _) = SledStore::open(options(home)).map_err(|error| error.to_string())?;
    let mut batch = last_batch(&store).map_err(|error| error.to_string())?;
    loop {
        batch += 1;
        // A third of the batches is only made durable by the ones after it.
        let durability = if batch.is_multiple_of(3) { Durability::WithinASecond } else { Durability::Now };
        store.commit(operations(batch), durability).map_err(|error| error.to_string())?;
        if batch.is_multiple_of(40) {
            store.compact().map_err(|error| error.to_string())?;
        }
        if durability == Durability::Now {
            let mut out = std::io::stdout().lock();
            writeln!(out, "ack {batch}").and_then(|()| out.flush()).map_err(|error| error.to_string())?;
        }
    }
}

/// Which batch wrote each record, after so many batches.
fn model(batches: u64) -> BTreeMap<Slot, (u64, u64)> {
    let mut model = BTreeMap::new();
    for batch in 1..=batches {
        for (index, number) in touched(batch).enumerate() {
            if (index as u64) < PUTS_PER_BATCH {
                model.insert(record(number), (batch, number));
            } else {
                model.remove(&record(number));
            }
        }
    }
    model
}

fn verify(home: &Path, last: u64) -> Result<(), String> {
    let (store, opened) = SledStore::open(options(home)).map_err(|error| format!("does not open: {error}"))?;
    if let Some((path, why)) = &opened.set_aside {
        return Err(format!("set aside as {}: {why}", path.display()));
    }
    if opened.engine_missing && last > 0 {
        return Err("the engine's files are gone".to_owned());
    }
    let batch = last_batch(&store).map_err(|error| error.to_string())?;
    if batch < last {
        return Err(format!("batch {last} was acknowledged, the store is at {batch}"));
    }
    let mut expected = model(batch);
    // Batches that were cut may have reached the journal only: their own versions are there without the rest. At most
    // two are under way at once.
    let ahead = [model(batch + 1), model(batch + 2)];
    let mut wrong = Vec::new();
    let mut rows = 0;
    let mut check = |slot: Slot, row: Result<Row, StoreError>| {
        rows += 1;
        let before = expected.remove(&slot);
        let fits = |place: Option<&(u64, u64)>, row: &Row| {
            place.is_some_and(|(batch, number)| row.envelope == envelope(*batch, *number) && row.own == is_own(*number))
        };
        match row {
            Ok(row)
                if fits(before.as_ref(), &row)
                    || (row.own && ahead.iter().any(|ahead| fits(ahead.get(&slot), &row))) => {}
            Ok(row) => {
                wrong.push(format!("{slot:?}: row of {} bytes is not that of batch {before:?}", row.envelope.len()))
            }
            Err(error) => wrong.push(error.to_string()),
        }
        ControlFlow::Continue(())
    };
    store.reader().rows(&mut check).map_err(|error| error.to_string())?;
    wrong.extend(expected.iter().map(|(slot, (batch, _))| format!("{slot:?} of batch {batch} is missing")));
    if opened.replayed == 0 && opened.journaled == 0 {
        let keys = std::fs::read(home.join("store/erasure.keys")).map_err(|error| error.to_string())?;
        let live = keys.chunks(32).filter(|key| key.iter().any(|byte| *byte != 0)).count();
        if live != rows {
            wrong.push(format!("{live} keys for {rows} rows: a superseded version could still be read"));
        }
    }
    let usage = store.usage().map_err(|error| error.to_string())?;
    if usage.stray_blobs > 0 {
        wrong.push(format!("{} blob files", usage.stray_blobs));
    }
    if wrong.is_empty() {
        println!("ok: batch {batch}, {rows} rows, {} replayed", opened.replayed);
        return Ok(());
    }
    Err(format!("{} faults at batch {batch} (acknowledged {last}, {opened:?}): {}", wrong.len(), wrong[0]))
}

fn measure(home: &Path, rows: u64) -> Result<(), String> {
    let say = |error: StoreError| error.to_string();
    let (mut store, _) = SledStore::open(options(home)).map_err(say)?;
    let version = |number: u64, own: bool| {
        let mut bytes = vec![number as u8; 1_100];
        bytes[..8].copy_from_slice(&mix(number).to_be_bytes());
        let vid = Vid::of_envelope(&bytes);
        Operation::Put { slot: record(number), kind: Kind::SERVICE, vid, envelope: bytes, own }
    };
    let rate = |what: &str, count: u64, start: Instant| {
        println!("{what}: {:.0}/s", count as f64 / start.elapsed().as_secs_f64());
    };
    let start = Instant::now();
    for first in (0..rows).step_by(256) {
        let batch = (first..rows.min(first + 256)).map(|number| version(number, false)).collect();
        store.commit(batch, Durability::Now).map_err(say)?;
    }
    rate("new rows, durable batches of 256", rows, start);
    let start = Instant::now();
    for first in (0..rows).step_by(256) {
        let batch = (first..rows.min(first + 256)).map(|number| version(number, false)).collect();
        store.commit(batch, Durability::WithinASecond).map_err(say)?;
    }
    store.sync().map_err(say)?;
    rate("replaced rows, batches of 256, one sync at the end", rows, start);
    for (what, own, first) in [
        ("single durable commits, new", false, rows),
        ("single durable commits, replacing", false, rows),
        ("single durable commits, own, new", true, 2 * rows),
        ("single durable commits, own, replacing", true, 2 * rows),
    ] {
        let start = Instant::now();
        for number in first..first + 2_000 {
            store.commit(vec![version(number, own)], Durability::Now).map_err(say)?;
        }
        rate(what, 2_000, start);
    }
    let reader = store.reader();
    let start = Instant::now();
    for number in 0..20_000 {
        reader.get(&record(mix(number) % rows)).map_err(say)?;
    }
    rate("random reads", 20_000, start);
    let print_usage = |what: &str, store: &SledStore| -> Result<(), String> {
        let usage = store.usage().map_err(say)?;
        let per_row = usage.disk_bytes / usage.rows;
        println!(
            "{what}: {} rows, {} B live, {} B on disk, {per_row} B a row",
            usage.rows, usage.live_bytes, usage.disk_bytes
        );
        Ok(())
    };
    print_usage("size", &store)?;
    drop(reader);
    drop(store);
    let start = Instant::now();
    let (mut store, _) = SledStore::open(options(home)).map_err(say)?;
    println!("opening: {} ms", start.elapsed().as_millis());
    let start = Instant::now();
    let mut count = 0;
    store
        .reader()
        .rows(&mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })
        .map_err(say)?;
    rate("reading all rows in order", count, start);
    let start = Instant::now();
    store.compact().map_err(say)?;
    println!("compaction: {} ms", start.elapsed().as_millis());
    print_usage("size after it", &store)?;
    drop(store);
    let start = Instant::now();
    SledStore::open(options(home)).map_err(say)?;
    println!("opening after it: {} ms", start.elapsed().as_millis());
    Ok(())
}
