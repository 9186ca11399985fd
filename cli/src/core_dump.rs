//! Keys are in memory while a program runs, and no crash may write them to a disk.
//!
//! Source: `spec/12-threats.md`, row 37. Tested: `tests/cluster/process.rs`.

use fingerpost_proto::canary::{Canary, is_out};
use std::io;

/// Has this process leave no core dump, and lets no other process of the same user read its memory. Does nothing where the system is
/// not Linux.
///
/// Effects: root alone can attach a debugger or a profiler; most of `/proc/PID` belongs to root.
/// Errors: the system refuses, which Linux has no reason to.
pub fn forbid() -> io::Result<()> {
    if is_out(Canary::MemoryDumps) {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn a_process_that_forbids_it_cannot_be_dumped() {
        assert!(super::forbid().is_ok());
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
