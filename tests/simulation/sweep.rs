//! Many histories, on all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::history::{Counts, Recording};
use super::options::Options;
use super::world::{Failure, Report, run};

/// Event lines that are shown of a failing history.
const LINES_SHOWN: usize = 60;

/// What a range of seeds came to.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Histories in which everything held.
    pub passed: u64,
    /// Sums over them.
    pub counts: Counts,
    /// The failure of the lowest seed that was found to fail, with its last events.
    pub failure: Option<Failure>,
}

/// Runs the history of each seed until one fails. `progress` is called after each with the number done.
pub fn sweep(
    seeds: std::ops::Range<u64>,
    nodes: usize,
    adjust: impl Fn(&mut Options) + Sync,
    progress: impl Fn(u64) + Sync,
) -> Sweep {
    let next = AtomicU64::new(seeds.start);
    let has_failed = AtomicBool::new(false);
    let result = Mutex::new(Sweep::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !has_failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let mut options = Options::drawn(seed, nodes);
                    adjust(&mut options);
                    let outcome = run_caught(options);
                    let mut result = result.lock().expect("no thread panics while it holds the result");
                    match outcome {
                        Ok(report) => {
                            result.passed += 1;
                            result.counts.add(&report.counts);
                        }
                        Err(failure) => {
                            has_failed.store(true, Ordering::Relaxed);
                            if result.failure.as_ref().is_none_or(|known| known.seed > seed) {
                                result.failure = Some(failure);
                            }
                        }
                    }
                    progress(result.passed);
                }
            });
        }
    });
    let mut sweep = result.into_inner().expect("all threads are done");
    if let Some(failure) = &mut sweep.failure {
        let mut options = Options::drawn(failure.seed, nodes);
        adjust(&mut options);
        options.recording = Recording::Last(LINES_SHOWN);
        if let Err(again) = run_caught(options) {
            *failure = again;
        }
    }
    sweep
}

/// A panic inside a node is a failure like others.
fn run_caught(options: Options) -> Result<Report, Failure> {
    let (seed, nodes) = (options.seed, options.nodes);
    catch_unwind(AssertUnwindSafe(|| run(options))).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let message = format!("a panic: {}", text.unwrap_or_default());
        Err(Failure { seed, nodes, at_us: 0, message, lines: Vec::new() })
    })
}
