//! Case `hostile`: what does a member with a valid key do to a node, and to the others, when it sends as fast as it can?
//!
//! Three nodes in processes of their own, all linked, and for each kind of flood a member of its own that links to the first of
//! them by a client of this process. Quiet and flooded intervals take turns; all the time the first two nodes publish, and the
//! time until each version is in the other's feed is taken. Ratios are of the same run: whatever else goes on on this machine hits
//! both kinds of intervals.

mod flood;
mod member;
mod probe;

use std::thread;
use std::time::{Duration, Instant};

use fingerpost_tests::cluster::{Cluster, Node, Publisher, service, wait_until};

use crate::Failure;
use crate::figure::Figure;
use crate::initial::process::{memory_kib, processor_time};
pub(crate) use flood::Flood;
use flood::Sent;
use member::Member;
use probe::{Probe, percentile_ms};

const CASE: &str = "hostile";
/// Nodes that are not hostile.
const NODES: usize = 3;
/// Seconds of all floods together, unless told otherwise.
pub(crate) const SECONDS_DEFAULT: u32 = 60;
/// Records of the first node before anything begins: what requests can ask for.
const RECORDS: usize = 4_000;
/// The node may take so much more memory than at rest.
const MEMORY_MIB_MAX: f64 = 64.0;
/// Others' versions may take so many times as long as in the quiet intervals of the run.
const RATIO_MAX: f64 = 2.0;
/// Nobody notices less, in milliseconds: a ratio counts as met below it.
const UNNOTICED_MS: f64 = 50.0;
/// Seen from the node that is flooded.
const WAYS: [&str; 2] = ["from it", "to it"];
/// Between a flood and the next quiet interval: what was begun comes to its end.
const REST: Duration = Duration::from_secs(1);
/// Between two looks at the node's memory.
const MEMORY_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for the network to stand.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// What one kind of flood did.
struct Done {
    flood: Flood,
    sent: Sent,
    memory_kib: u64,
    processor: f64,
    quiet: (Instant, Instant),
    flooded: (Instant, Instant),
    log_bytes: u64,
}

/// Runs the case. `seconds`: of all floods together; there are as many quiet ones besides.
pub(crate) fn run(seconds: u32, only: Option<Flood>) -> Result<Vec<Figure>, Failure> {
    let floods = only.map_or_else(|| Flood::ALL.to_vec(), |flood| vec![flood]);
    let mut cluster = Cluster::found(NODES)?;
    let mut publisher = Publisher::open(&cluster.nodes[0], &cluster.nodes[0])?;
    let text = "come in and ask ".repeat(50);
    let records: Vec<_> = (0..RECORDS).map(|n| service(&format!("held-{n}"), &format!("{n} {text}"))).collect();
    for part in records.chunks(500) {
        publisher.publish(part)?;
    }
    drop(publisher);
    let mut members = Vec::new();
    for (number, _) in floods.iter().enumerate() {
        let mut node = Node::start(&format!("Member {number}"))?;
        node.ok(&["init", "--name", node.name(), "--yes"])?;
        node.join(&cluster.nodes[0].invite()?)?;
        let everybody = (NODES + number + 1) as u64;
        let nodes = &cluster.nodes;
        let is_known = || {
            Ok(nodes.iter().map(Node::status).collect::<Result<Vec<_>, _>>()?.iter().all(|s| s.members == everybody))
        };
        wait_until(WAIT_MAX, is_known).map_err(|error| format!("member {number} is not known: {error}"))?;
        node.kill_nine();
        members.push(node);
    }
    cluster.wait_until_equal(WAIT_MAX)?;
    let victim = &cluster.nodes[0];
    let process = victim.process_id().ok_or("the first node does not run")?;
    let interval = Duration::from_secs_f64(f64::from(seconds) / floods.len() as f64);
    let probe = Probe::start(&cluster.nodes[0], &cluster.nodes[1])?;
    thread::sleep(2 * REST);

    let idle_kib = memory_kib(process)?;
    let mut results = Vec::new();
    for (flood, home) in floods.into_iter().zip(&members) {
        let member = Member::open(home, victim)?;
        let material = flood.prepare(&member, interval)?;
        let began = Instant::now();
        thread::sleep(interval);
        let quiet = (began, Instant::now());
        let (log_before, time_before) = (victim.log().len() as u64, processor_time(process)?);
        let began = Instant::now();
        let running = thread::spawn(move || flood.run(&member, material, began + interval));
        let mut memory_max = 0;
        while !running.is_finished() {
            memory_max = memory_max.max(memory_kib(process)?);
            thread::sleep(MEMORY_INTERVAL);
        }
        let flooded = (began, Instant::now());
        let sent = running.join().map_err(|_| "a flood panicked")??;
        let processor = (processor_time(process)? - time_before).as_secs_f64() / (flooded.1 - flooded.0).as_secs_f64();
        let log_bytes = victim.log().len() as u64 - log_before;
        eprintln!("{}: {}", flood.name(), sent.summary());
        results.push(Done { flood, sent, memory_kib: memory_max, processor, quiet, flooded, log_bytes });
        thread::sleep(REST);
    }
    let samples = probe.stop()?;
    for node in &mut cluster.nodes {
        if let Some(status) = node.exit_status()? {
            return Err(format!("{} ended with {status}", node.name()).into());
        }
    }
    let mut figures = Vec::new();
    let (mut quiet_all, mut flooded_all) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let growth = |kib: u64| (kib as f64 - idle_kib as f64) / 1_024.0;
    for done in &results {
        let figure = |measure: String, unit: &'static str, value: f64| {
            Figure::new(CASE, format!("{}: {measure}", done.flood.name()), unit, value)
        };
        figures.push(figure("memory of the node over idle".to_owned(), "MiB", growth(done.memory_kib)));
        for (way, samples) in samples.iter().enumerate() {
            let within = |(from, until): (Instant, Instant)| -> Vec<Duration> {
                samples.iter().filter(|(at, _)| *at >= from && *at < until).map(|(_, took)| *took).collect()
            };
            let (quiet, flooded) = (within(done.quiet), within(done.flooded));
            for (percent, label) in [(50, "p50"), (99, "p99")] {
                let (before, during) = (percentile_ms(&quiet, percent), percentile_ms(&flooded, percent));
                let measure = format!("published {}, visible, {label} of {}", WAYS[way], flooded.len());
                figures.push(figure(measure, "ms", during).beside("quiet", before));
            }
            quiet_all[way].extend(quiet);
            flooded_all[way].extend(flooded);
        }
        for (measure, unit, value) in [
            ("sent", "MB", done.sent.bytes as f64 / 1e6),
            ("sent", "frames", done.sent.frames as f64),
            ("cut with a reason", "times", done.sent.cuts() as f64),
            ("not let in", "times", done.sent.not_let_in as f64),
            ("processor of the node", "cores", done.processor),
            ("logged by the node", "KB", done.log_bytes as f64 / 1e3),
        ] {
            figures.push(figure(measure.to_owned(), unit, value));
        }
    }
    let worst = results.iter().map(|result| growth(result.memory_kib)).fold(f64::MIN, f64::max);
    figures.push(Figure::new(CASE, "idle memory of the node", "MiB", idle_kib as f64 / 1_024.0));
    figures.push(Figure::new(CASE, "all floods: memory of the node over idle", "MiB", worst).at_most(MEMORY_MIB_MAX));
    for (way, direction) in WAYS.into_iter().enumerate() {
        let quiet = percentile_ms(&quiet_all[way], 99);
        let flooded = percentile_ms(&flooded_all[way], 99);
        let halves: [Vec<Duration>; 2] =
            [0, 1].map(|half| quiet_all[way].iter().skip(half).step_by(2).copied().collect());
        let noise = percentile_ms(&halves[0], 99) / percentile_ms(&halves[1], 99);
        let measure = format!("all floods: published {direction}, visible, p99 of {}", flooded_all[way].len());
        let most = (RATIO_MAX * quiet).max(UNNOTICED_MS);
        figures.push(Figure::new(CASE, measure, "ms", flooded).at_most(most).beside("quiet", quiet));
        let measure = format!("all floods: published {direction}, p99 over that of quiet intervals");
        figures
            .push(Figure::new(CASE, measure, "times", flooded / quiet).beside("quiet halves", noise.max(1.0 / noise)));
    }
    // Where no link is opened nothing can be said: a socket at a limit is closed without a word.
    let is_silent = |done: &&Done| done.sent.links > 0 && done.sent.not_let_in > 0 && done.sent.cuts() == 0;
    let silent = results.iter().filter(|done| done.flood != Flood::Connections).filter(is_silent).count();
    figures.push(Figure::new(CASE, "floods that ended without a reason", "kinds", silent as f64).at_most(0.0));
    for result in &results {
        for (reason, count) in &result.sent.reasons {
            println!("{}: {count} x {reason}", result.flood.name());
        }
    }
    Ok(figures)
}
