//! Runs histories of the simulator: `sim --seeds 0..100 --nodes 50`, or one again: `sim --seed 7 --nodes 50 --replay`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use fingerpost_tests::simulation::{Options, Recording, run, sweep};

/// Networks of real nodes under one virtual clock, with every fault there is.
#[derive(Parser)]
struct Arguments {
    /// Seeds to run, the end excluded: 0..2000.
    #[arg(long, value_parser = seeds, conflicts_with = "seed")]
    seeds: Option<std::ops::Range<u64>>,
    /// One seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Machines in each history.
    #[arg(long, default_value_t = 50)]
    nodes: usize,
    /// Virtual hours with acts and faults; a twelfth when not given.
    #[arg(long)]
    hours: Option<f64>,
    /// Prints every event of the one seed.
    #[arg(long, requires = "seed")]
    replay: bool,
}

fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let wrong = || format!("{text:?} is not a range of seeds; write 0..100");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let (start, end) = (start.parse().map_err(|_| wrong())?, end.parse().map_err(|_| wrong())?);
    if start < end { Ok(start..end) } else { Err(wrong()) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let adjust = |options: &mut Options| {
        if let Some(hours) = arguments.hours {
            options.active_ms = (hours * 3_600_000.0) as u64;
        }
    };
    let nodes = arguments.nodes;
    if let Some(seed) = arguments.seed.filter(|_| arguments.replay) {
        let mut options = Options::drawn(seed, nodes);
        adjust(&mut options);
        options.recording = Recording::Print;
        return match run(options) {
            Ok(report) => {
                println!("everything held; hash {:016x}\n{}", report.hash, report.counts);
                ExitCode::SUCCESS
            }
            Err(failure) => {
                println!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    let seeds = match (arguments.seeds, arguments.seed) {
        (Some(seeds), _) => seeds,
        (None, Some(seed)) => seed..seed + 1,
        (None, None) => 0..100,
    };
    let started = Instant::now();
    let total = seeds.end - seeds.start;
    let swept = sweep(seeds, nodes, adjust, |done| {
        if done.is_multiple_of((total / 50).max(1)) {
            eprintln!("{done} of {total} histories of {nodes} nodes, {:.0} s", started.elapsed().as_secs_f64());
        }
    });
    println!(
        "{} of {total} histories of {nodes} nodes held, in {:.1} s\n{}",
        swept.passed,
        started.elapsed().as_secs_f64(),
        swept.counts
    );
    let Some(failure) = swept.failure else { return ExitCode::SUCCESS };
    failure.lines.iter().for_each(|line| println!("{line}"));
    println!("FAILED: {failure}");
    let hours = arguments.hours.map_or_else(String::new, |hours| format!(" --hours {hours}"));
    println!(
        "again: cargo run --release -p fingerpost-tests --bin sim -- --seed {} --nodes {nodes}{hours} --replay",
        failure.seed
    );
    ExitCode::FAILURE
}
