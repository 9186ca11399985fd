//! `bench CASE [--count N] [--json FILE] [--plot FILE]`: measures what the project promises, on real processes of this machine.
//!
//! Out: a table for people, and with `--json` an array of `{case, measure, unit, ours, target, peers: {name: value}}`.
//! Always: every value was measured in this run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

mod figure;
#[cfg(feature = "peers")]
mod gossip;
#[cfg(feature = "peers")]
mod heads;
mod hostile;
mod idle;
mod import;
#[cfg(feature = "peers")]
mod index;
mod initial;
mod latency;
#[cfg_attr(not(feature = "peers"), allow(dead_code))]
mod population;
mod publisher;
#[cfg(feature = "peers")]
mod sync;

use figure::Figure;

/// Why a case could not be measured.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Measures what the project promises.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// What to measure.
    case: Case,
    /// Publishes or records instead of the case's own number, for a quick look.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: Option<u32>,
    /// How often `initial` kills the receiver of a second sync.
    #[arg(long, value_name = "N", default_value_t = 0)]
    kills: u32,
    /// How long `hostile` floods, all kinds together; quiet intervals take as long again.
    #[arg(long, value_name = "N", default_value_t = hostile::SECONDS_DEFAULT, value_parser = clap::value_parser!(u32).range(16..=3_600))]
    seconds: u32,
    /// Only this kind of flood (`hostile`), for all of the time.
    #[arg(long, value_name = "KIND")]
    flood: Option<hostile::Flood>,
    /// Also write the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the curves here, as SVG (`gossip`).
    #[cfg(feature = "peers")]
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Case {
    /// From publishing on one node to the feeds of the others.
    Latency,
    /// From a spreadsheet to acknowledged records on one node.
    Import,
    /// What a member with a valid key does to others when it sends as fast as it can.
    Hostile,
    /// What two nodes say to each other to find out what one of them lacks.
    #[cfg(feature = "peers")]
    Sync,
    /// An empty node gets everything from another one.
    Initial,
    /// Many nodes while nothing happens.
    Idle,
    /// Memory and time of the index of a set.
    #[cfg(feature = "peers")]
    Index,
    /// An empty node gets everything, by heads and by signatures.
    #[cfg(feature = "peers")]
    Heads,
    /// How versions spread: 10 to 10,000 nodes in a model, 100 real ones.
    #[cfg(feature = "peers")]
    Gossip,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// This machine's clock, Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    fingerpost_cli::output::moment::now_ms()
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let count = arguments.count.map(|count| count as usize);
    let figures: Vec<Figure> = match arguments.case {
        Case::Latency => latency::run(count)?,
        Case::Import => import::run(count)?,
        Case::Idle => idle::run(count)?,
        Case::Hostile => hostile::run(arguments.seconds, arguments.flood)?,
        #[cfg(feature = "peers")]
        Case::Sync => sync::run(count)?,
        Case::Initial => initial::run(count, arguments.kills)?,
        #[cfg(feature = "peers")]
        Case::Heads => heads::run(count)?,
        #[cfg(feature = "peers")]
        Case::Index => index::run(count)?,
        #[cfg(feature = "peers")]
        Case::Gossip => gossip::run(count, arguments.plot.as_deref())?,
    };
    print!("{}", figure::table(&figures));
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_vec_pretty(&figures)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
