//! What the system tells of a process.

use std::fs;
use std::time::Duration;

use crate::Failure;

/// Greatest resident memory so far, in KiB.
pub(crate) fn memory_kib_max(process: u32) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|digits| digits.trim().parse().ok());
    kib.ok_or_else(|| "this system does not tell a process's greatest memory".into())
}

/// Resident memory now, in KiB.
pub(crate) fn memory_kib(process: u32) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|digits| digits.trim().parse().ok());
    kib.ok_or_else(|| "this system does not tell a process's memory".into())
}

/// Processor time of all threads so far, to a hundredth of a second.
pub(crate) fn processor_time(process: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in brackets may contain anything; state is the first field after it, times the twelfth and thirteenth.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let mut ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let (Some(Ok(user)), Some(Ok(system))) = (ticks.next(), ticks.next()) else {
        return Err("this system does not tell a process's time".into());
    };
    Ok(Duration::from_millis((user + system) * 1_000 / rustix::param::clock_ticks_per_second()))
}
