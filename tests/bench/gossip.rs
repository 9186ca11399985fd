//! Case `gossip`: over how many hops, in how many copies and with how many bytes does a version reach everybody?
//!
//! 1. A model of 10 to 10,000 nodes that run the product's overlay, beside one of the same nodes that run the protocol of
//!    `iroh-gossip`: same delays, same publishes, same crash of 30 % of the nodes at once.
//! 2. What a node sends in a day without publishes, among 30 and among 1,000, in the model.
//! 3. A hundred real nodes in this process, on loopback.
//!
//! `--count` replaces the number of measured publishes.

mod fleet;
mod iroh;
mod model;
mod plot;
mod tally;
mod world;

use std::path::Path;
use std::time::Instant;

use crate::Failure;
use crate::figure::Figure;
use iroh::IrohModel;
use model::{Model, Outcome};
use plot::Panel;
use tally::Summary;
use world::Plan;

const CASE: &str = "gossip";
const PEER: &str = "iroh-gossip 0.101";
/// Sizes of the modelled networks.
const NODES: [usize; 4] = [10, 100, 1_000, 10_000];
/// Sizes for which the idle cost is measured.
const IDLE_NODES: [usize; 2] = [30, 1_000];
/// Measured publishes of each part.
const PUBLISHES: usize = 30;
/// Publishes before them.
const WARM_UP: usize = 20;
/// Real nodes.
const REAL_NODES: usize = 100;
/// Measured publishes at the real nodes.
const REAL_PUBLISHES: usize = 200;
/// Hops to the farthest node, at any size.
const HOPS_MAX: f64 = 10.0;
/// Copies per node and message when stable.
const COPIES_MAX: f64 = 1.3;
/// Chooses the invented world.
const SEED: u64 = 20_260_101;

/// Runs the case. `count` replaces the number of publishes.
pub(crate) fn run(count: Option<usize>, plot: Option<&Path>) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    let mut runs = Vec::new();
    for nodes in NODES {
        let plan = Plan { nodes, seed: SEED, warm_up: WARM_UP, publishes: count.unwrap_or(PUBLISHES) };
        let start = Instant::now();
        let ours = Model::new(plan).run();
        let ours_seconds = start.elapsed().as_secs_f64();
        let theirs = IrohModel::new(plan).run();
        eprintln!("{nodes} nodes: {ours_seconds:.1} s, {PEER}: {:.1} s", start.elapsed().as_secs_f64() - ours_seconds);
        figures.extend(compare(nodes, &ours, &theirs));
        runs.push((nodes, ours, theirs));
    }
    for nodes in IDLE_NODES {
        let plan = Plan { nodes, seed: SEED, warm_up: 0, publishes: 0 };
        let idle = Model::new(plan).idle();
        let figure =
            |what: &str, bytes: f64| Figure::new(CASE, format!("{nodes} nodes, idle: {what}"), "MB/day", bytes / 1e6);
        figures.push(figure("frames sent by a node", idle.frames));
        figures.push(figure("keepalive of HTTP/2 sent by a node", idle.keepalive));
    }
    let publishes = count.unwrap_or(REAL_PUBLISHES);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    figures.extend(runtime.block_on(fleet::run(REAL_NODES, publishes))?);
    if let Some(path) = plot {
        plot::write(path, "A version spreads: 10 to 10,000 nodes in a model", &panels(&runs))?;
    }
    Ok(figures)
}

fn compare(nodes: usize, ours: &Outcome, theirs: &Outcome) -> Vec<Figure> {
    let beside = |part: &str, measure: &str, unit, value: fn(&Summary) -> f64, a: &Summary, b: &Summary| {
        Figure::new(CASE, format!("{nodes} nodes, {part}: {measure}"), unit, value(a)).beside(PEER, value(b))
    };
    let lost = |summary: &Summary| (1.0 - summary.reached) * 100.0;
    let hops = |summary: &Summary| f64::from(summary.hops_max);
    let (a, b) = (&ours.stable, &theirs.stable);
    let mut figures = vec![
        Figure::new(CASE, format!("{nodes} nodes: links per node, mean"), "links", ours.links)
            .beside(PEER, theirs.links),
        beside(
            "first publishes",
            "copies per node and message",
            "copies",
            |s| s.copies,
            &ours.warm_up,
            &theirs.warm_up,
        ),
        beside("stable", "hops, farthest", "hops", hops, a, b).at_most(HOPS_MAX),
        beside("stable", "hops, p99", "hops", |s| f64::from(s.hops_p99), a, b),
        beside("stable", "hops, mean", "hops", |s| s.hops_mean, a, b),
        beside("stable", "copies per node and message", "copies", |s| s.copies, a, b).at_most(COPIES_MAX),
        beside("stable", "nodes not reached", "%", lost, a, b).at_most(0.0),
        beside("stable", "everywhere, median", "ms", |s| s.everywhere_ms_p50, a, b),
        beside("stable", "everywhere, worst", "ms", |s| s.everywhere_ms_max, a, b),
        beside("stable", "sent per node and message, versions", "bytes", |s| s.payload_bytes, a, b),
        beside("stable", "sent per node and message, all else", "bytes", |s| s.control_bytes, a, b),
    ];
    for (part, a, b) in
        [("30 % crash", &ours.crash, &theirs.crash), ("three minutes later", &ours.after, &theirs.after)]
    {
        figures.push(beside(part, "survivors not reached", "%", lost, a, b).at_most(0.0));
        figures.push(beside(part, "everywhere, worst", "ms", |s| s.everywhere_ms_max, a, b));
        figures.push(beside(part, "hops, farthest", "hops", hops, a, b));
        figures.push(beside(part, "copies per node and message", "copies", |s| s.copies, a, b));
    }
    figures
}

fn panels(runs: &[(usize, Outcome, Outcome)]) -> Vec<Panel> {
    let panel = |title: &str, target: Option<f64>, value: fn(&Outcome) -> f64| {
        let curve = |of: fn(&(usize, Outcome, Outcome)) -> Outcome| {
            runs.iter().map(|run| (run.0 as f64, value(&of(run)))).collect::<Vec<(f64, f64)>>()
        };
        let curves = vec![("Fingerpost".to_owned(), curve(|run| run.1)), (PEER.to_owned(), curve(|run| run.2))];
        Panel { title: title.to_owned(), curves, target }
    };
    vec![
        panel("Hops to the farthest node", Some(HOPS_MAX), |run| f64::from(run.stable.hops_max)),
        panel("Copies per node and message", Some(COPIES_MAX), |run| run.stable.copies),
        panel("Everywhere after, ms (worst)", None, |run| run.stable.everywhere_ms_max),
        panel("Bytes sent per node and message", None, |run| run.stable.payload_bytes + run.stable.control_bytes),
        panel("Of these not versions", None, |run| run.stable.control_bytes),
        panel("After 30 % crash: everywhere, ms (worst)", None, |run| run.crash.everywhere_ms_max),
    ]
}
