//! Stops and starves the store, and a daemon that publishes, on real file systems. Counts: `FINGERPOST_KILLS`,
//! `FINGERPOST_POWER_CUTS` for the store, `FINGERPOST_DAEMON_KILLS`, `FINGERPOST_DAEMON_POWER_CUTS` for the daemon.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use fingerpost_tests::crash::{Tally, Workload};

mod daemon;
mod disk_full;
mod kill_nine;
mod power_cut;

/// Runs `check` with the commands of the store's own writer.
fn with_store_writer<T>(check: impl FnOnce(&Workload<'_>) -> T) -> T {
    let writer = || Command::new(env!("CARGO_BIN_EXE_store-writer"));
    let write = |home: &Path| {
        let mut command = writer();
        command.arg("write").arg(home);
        command
    };
    let verify = |home: &Path, last: u64| {
        let mut command = writer();
        command.arg("verify").arg(home).arg(last.to_string());
        command
    };
    check(&Workload { write: &write, verify: &verify })
}

fn rounds(variable: &str, usually: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}

fn assert_kept(tally: &Tally, what: &str, steps: &str) {
    eprintln!(
        "{what}: {} rounds, {} productive, {} {steps} acknowledged, {} bad",
        tally.rounds,
        tally.productive,
        tally.acknowledged,
        tally.bad.len()
    );
    assert!(tally.bad.is_empty(), "{:#?}", tally.bad);
    assert!(tally.acknowledged > 0, "nothing was ever acknowledged: the test tested nothing");
}
