//! Case `initial`: how fast does an empty node get a million records from another one, and what is that beside the bare work?
//!
//! Two processes of `fingerpostd` on loopback over mutual TLS, records of about 1 KB of 256 organisations, all founders.
//! The holder's store is written before; the time begins with the asker's first connection and ends when both report
//! equal sets. A relay between them counts bytes. The roofline is measured in the same run, on the same disk.
//!
//! With `--kills N` the asker of a second sync is killed N times at random moments, and must end equal.

use std::thread;
use std::time::{Duration, Instant};

use fingerpost_proto::limits::FOUNDERS_MAX;
use fingerpost_proto::set::Slot;
use fingerpost_proto::time::HOUR_MS;
use fingerpost_proto::version::SignedVersion;
use fingerpost_tests::cluster::{Node, short_folder};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::figure::Figure;
use crate::population::{Population, bytes};

mod homes;
pub(crate) mod process;
pub(crate) mod proxy;
mod roofline;

use proxy::Proxy;

const CASE: &str = "initial";
/// Records.
const RECORDS: usize = 1_000_000;
/// Share of the roofline that the sync is to reach.
const SHARE_LEAST: f64 = 0.60;
/// Bytes on the wire for each byte that cannot be avoided.
const WIRE_RATIO_MOST: f64 = 1.15;
/// Memory of each daemon, in MiB.
const MEMORY_MIB_MOST: f64 = 500.0;
/// Bodies that are compressed together for the wire's lower bound: as many as a frame of versions holds.
const COMPRESSED_TOGETHER_BYTES: usize = 240 * 1_024;
/// Of each version these bytes cannot be compressed: signature and record id.
const INCOMPRESSIBLE_BYTES: usize = 64 + 16;
/// Between two looks at the asker.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// A sync that brings nothing for so long has failed.
const STANDSTILL_MAX: Duration = Duration::from_secs(180);

/// Runs the case. `count` replaces the number of records.
pub(crate) fn run(count: Option<usize>, kills: u32) -> Result<Vec<Figure>, Failure> {
    let records = count.unwrap_or(RECORDS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (mut holder, holder_key) = homes::holder()?;
    let proxy = Proxy::start(holder.peer_address().ok_or("a holder that does not listen")?)?;
    let (mut asker, asker_key) = homes::asker(&holder_key, &proxy)?;
    let now = fingerpost_daemon::clock::now_ms();
    let node_keys = [holder_key.public(), asker_key.public()];
    let population = Population::new(FOUNDERS_MAX, &node_keys, now - 1_000 * HOUR_MS)?;
    let spread = |number: usize| now - (1 + number as u64 % 900) * HOUR_MS;
    eprintln!("signing {records} records");
    let mut versions = population.services(records, spread)?;
    versions.sort_by_cached_key(|version| Slot::of(version.header()));
    let mut entries = population.entries()?;
    entries.sort_by_cached_key(|version| Slot::of(version.header()));

    eprintln!("measuring the roofline");
    let wire_least = wire_least(&versions)?;
    let devices = population.devices()?;
    let measure_roofline = || -> Result<f64, Failure> {
        let folder = short_folder()?;
        roofline::run(&folder.path().join("store"), &versions, &devices)
    };
    let roofline_before = measure_roofline()?;
    eprintln!("roofline: {roofline_before:.0} records/s; filling the holder's store");
    homes::enter(&runtime, &mut holder, &population, 0)?;
    homes::fill(holder.home(), entries.iter().chain(&versions))?;
    homes::enter(&runtime, &mut asker, &population, 1)?;
    let start = Instant::now();
    homes::start(&mut holder)?;
    let restored = start.elapsed();
    eprintln!("the holder started in {restored:.1?}; syncing");
    let held = homes::state(&runtime, &holder)?.1;
    if (held as usize) < records {
        return Err(format!("the holder has {held} of {records} records").into());
    }

    let (up_before, down_before) = proxy.bytes();
    let holder_process = holder.process_id().ok_or("the holder does not run")?;
    let holder_time = process::processor_time(holder_process)?;
    homes::start(&mut asker)?;
    let ended = wait_until_equal(&runtime, &asker, &holder)?;
    let start = proxy.first_connection().ok_or("the asker never dialled")?;
    let seconds = ended.saturating_duration_since(start).as_secs_f64();
    let asker_process = asker.process_id().ok_or("the asker does not run")?;
    let (up, down) = proxy.bytes();
    let wire = (up - up_before + down - down_before) as f64;
    let holder_time = process::processor_time(holder_process)? - holder_time;
    let holder_kib = process::memory_kib_max(holder_process)?;
    let (asker_kib, asker_time) = (process::memory_kib_max(asker_process)?, process::processor_time(asker_process)?);
    asker.kill_nine();
    holder.terminate()?;
    let start = Instant::now();
    homes::start(&mut holder)?;
    let restarted = start.elapsed();
    eprintln!("synced in {seconds:.1} s; measuring the roofline again");
    // The bound is the better of two: what else this machine does must not lower it.
    let roofline = measure_roofline()?.max(roofline_before);
    drop(versions);
    let rate = records as f64 / seconds;
    let mut figures = vec![
        figure("records per second", "records/s", rate).beside("roofline", roofline),
        figure("share of the roofline", "ratio", rate / roofline).at_least(SHARE_LEAST),
        figure("time until equal", "s", seconds),
        figure("bytes on the wire, both ways", "B", wire),
        figure("of them to the holder", "B", (up - up_before) as f64),
        figure(
            "bytes on the wire over compressed bodies, signatures and record ids",
            "ratio",
            wire / wire_least as f64,
        )
        .at_most(WIRE_RATIO_MOST),
        figure("greatest resident memory, holder", "MiB", holder_kib as f64 / 1_024.0).at_most(MEMORY_MIB_MOST),
        figure("greatest resident memory, asker", "MiB", asker_kib as f64 / 1_024.0).at_most(MEMORY_MIB_MOST),
        figure("processor time, holder", "s", holder_time.as_secs_f64()),
        figure("processor time, asker", "s", asker_time.as_secs_f64()),
        figure("start of the holder with all records, every row read", "s", restored.as_secs_f64()),
        figure("start of the holder after a clean stop", "s", restarted.as_secs_f64()),
    ];
    if kills > 0 {
        figures.push(killed(&runtime, &mut asker, &population, &holder, kills, seconds)?);
    }
    Ok(figures)
}

fn figure(measure: impl Into<String>, unit: &'static str, ours: f64) -> Figure {
    Figure::new(CASE, measure, unit, ours)
}

/// What a sync of these versions must carry: bodies, compressed as well as frames of their size can be (zstd, level 3), and
/// of each version what is random.
fn wire_least(versions: &[SignedVersion]) -> Result<usize, Failure> {
    let mut total = versions.len() * INCOMPRESSIBLE_BYTES;
    let mut together = Vec::with_capacity(COMPRESSED_TOGETHER_BYTES);
    for version in versions {
        if together.len() + version.body().len() > COMPRESSED_TOGETHER_BYTES {
            total += zstd::bulk::compress(&together, 3)?.len();
            together.clear();
        }
        together.extend_from_slice(version.body());
    }
    Ok(total + zstd::bulk::compress(&together, 3)?.len())
}

/// Returns the moment when the asker reported the set that the holder has, which may sign heads meanwhile. Errors: also when nothing
/// moves any more.
fn wait_until_equal(runtime: &Runtime, asker: &Node, holder: &Node) -> Result<Instant, Failure> {
    let (mut last, mut moved_at) = (0, Instant::now());
    loop {
        let (state, wanted) = (homes::state(runtime, asker)?, homes::state(runtime, holder)?);
        if state == wanted {
            return Ok(Instant::now());
        }
        if state.1 != last {
            (last, moved_at) = (state.1, Instant::now());
        }
        if moved_at.elapsed() > STANDSTILL_MAX {
            return Err(format!("the asker stands still at {} of {} versions", state.1, wanted.1).into());
        }
        thread::sleep(LOOK_PAUSE);
    }
}

/// A second sync, into an empty store, whose asker is killed at random. The time is that of everything, restarts included.
fn killed(
    runtime: &Runtime,
    asker: &mut Node,
    population: &Population,
    holder: &Node,
    kills: u32,
    seconds: f64,
) -> Result<Figure, Failure> {
    std::fs::remove_dir_all(asker.home().join("store"))?;
    homes::enter(runtime, asker, population, 1)?;
    eprintln!("syncing again with {kills} kills");
    let start = Instant::now();
    let mut reached = Vec::new();
    for kill in 0..kills {
        homes::start(asker)?;
        // On average so long that the kills spread over the whole sync.
        let random = bytes("kill", kill as usize);
        let share = f64::from(u16::from_le_bytes([random[0], random[1]])) / f64::from(u16::MAX);
        thread::sleep(Duration::from_secs_f64(share * 2.0 * seconds / f64::from(kills)));
        reached.push(homes::state(runtime, asker)?.1);
        asker.kill_nine();
    }
    homes::start(asker)?;
    wait_until_equal(runtime, asker, holder)?;
    eprintln!("versions at each kill: {reached:?}");
    Ok(figure(format!("time until equal with {kills} kills -9 of the asker"), "s", start.elapsed().as_secs_f64()))
}
