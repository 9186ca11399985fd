//! Stopping a process at a random moment, and asking afterwards whether it kept its word.
//!
//! In: a [`Workload`], which is a command that acknowledges numbered steps and a command that checks them. Out: a [`Tally`].
//! The same loop serves `kill -9` and power cuts: they differ in what happens at the moment of the cut.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// How to start the process that is stopped, and the one that checks.
pub struct Workload<'a> {
    /// Works in the given home and prints `ack N` once step N is on stable storage; steps are numbered upwards.
    pub write: &'a dyn Fn(&Path) -> Command,
    /// Exits with 0 when everything up to the given step is there, and says on stdout what is wrong otherwise.
    pub verify: &'a dyn Fn(&Path, u64) -> Command,
}

/// What a run of rounds came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Rounds done.
    pub rounds: u32,
    /// Greatest acknowledged step.
    pub acknowledged: u64,
    /// Rounds in which a step was acknowledged.
    pub productive: u32,
    /// One text for each round after which something was missing, wrong or did not open.
    pub bad: Vec<String>,
}

/// Delays before the cuts: pseudo-random, the same for the same seed.
pub struct Delays(u64);

impl Delays {
    /// Starts at `seed`.
    pub fn new(seed: u64) -> Delays {
        Delays(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Up to 400 ms; every sixth time up to 25 ms, which is still inside the opening.
    pub fn next(&mut self, round: u32) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let limit_us = if round.is_multiple_of(6) { 25_000 } else { 400_000 };
        Duration::from_micros(self.0 % limit_us)
    }
}

/// Starts the writer, waits, cuts, and returns the last step it acknowledged (0 for none).
///
/// `cut` must leave no process behind: it kills the child, or takes its disk away and then kills it.
pub fn write_until_cut(mut writer: Command, delay: Duration, cut: impl FnOnce(&mut Child)) -> std::io::Result<u64> {
    let mut child = writer.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    // Taken just above as a pipe; without it there is nothing to read.
    let acknowledgements = child.stdout.take().map(|stdout| thread::spawn(|| last_acknowledged(stdout)));
    thread::sleep(delay);
    cut(&mut child);
    child.wait()?;
    let last = acknowledgements.and_then(|reader| reader.join().ok());
    Ok(last.unwrap_or(0))
}

fn last_acknowledged(stdout: ChildStdout) -> u64 {
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    // A line cut in the middle was not an acknowledgement to anyone, and its number could look smaller, never greater.
    lines.filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).max().unwrap_or(0)
}

/// Runs the verifier. `None` when all is well; otherwise what it said.
pub fn complaint(mut verifier: Command) -> std::io::Result<Option<String>> {
    let output = verifier.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(None);
    }
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(2_000).collect::<String>();
    Ok(Some(format!("{}: {} {}", output.status, said(&output.stdout), said(&output.stderr))))
}

impl Tally {
    /// Adds one round: `last` is what it acknowledged, `complaint` what the verifier said.
    pub fn add(&mut self, last: u64, complaint: Option<String>) {
        self.rounds += 1;
        self.productive += u32::from(last > self.acknowledged);
        self.acknowledged = self.acknowledged.max(last);
        if let Some(complaint) = complaint {
            self.bad.push(format!("round {}: {complaint}", self.rounds));
        }
    }
}

/// Kills the writer with SIGKILL `rounds` times in one home, and verifies after each.
pub fn kill_nine(workload: &Workload<'_>, home: &Path, rounds: u32, seed: u64) -> std::io::Result<Tally> {
    let (mut tally, mut delays) = (Tally::default(), Delays::new(seed));
    for round in 1..=rounds {
        let kill = |child: &mut Child| {
            // It may have ended by itself; the verifier finds out what is missing then.
            let _ = child.kill();
        };
        let last = write_until_cut((workload.write)(home), delays.next(round), kill)?;
        let last = last.max(tally.acknowledged);
        tally.add(last, complaint((workload.verify)(home, last))?);
    }
    Ok(tally)
}
