//! What bringing two sets together costs: bytes, frames, round trips, processor time, memory.

use std::time::Duration;

use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};

/// The asker, which lacks something, dials; the holder has it.
pub(super) const ASKER: usize = 0;
/// See [`ASKER`].
pub(super) const HOLDER: usize = 1;

/// Costs of one session. Pairs are asker, holder.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Costs {
    /// Payload bytes sent by each side that are neither changed versions nor greetings.
    pub(super) bookkeeping_bytes: [u64; 2],
    /// Payload bytes of the versions that were sent, as they were on the wire.
    pub(super) version_bytes: [u64; 2],
    /// Messages, greetings excluded.
    pub(super) frames: u64,
    /// From the first message after the greeting until the asker knows what it lacks.
    pub(super) round_trips_to_know: f64,
    /// Until it has it; `None` where nothing is sent.
    pub(super) round_trips_to_have: Option<f64>,
    /// Links that a node ended for what the other said, and that were dialled again.
    pub(super) links_lost: u32,
    /// Processor time for finding out what differs.
    pub(super) bookkeeping: [Duration; 2],
    /// Processor time for everything: also reading, checking and entering versions, signatures included.
    pub(super) everything: [Duration; 2],
    /// Greatest heap above what was there before, both sides and what was under way between them.
    pub(super) heap_bytes: u64,
}

impl Costs {
    /// Bytes both ways without the changed versions.
    pub(super) fn bookkeeping_total(&self) -> f64 {
        self.bookkeeping_bytes.iter().sum::<u64>() as f64
    }
}

/// Runs `work` and returns the processor time that this thread took for it.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = thread_time();
    let result = work();
    (result, thread_time().saturating_sub(before))
}

/// Processor time of this thread so far.
pub(super) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Greatest heap above the heap at [`Heap::watch`].
pub(super) struct Heap {
    before: usize,
}

impl Heap {
    pub(super) fn watch() -> Heap {
        PeakAlloc.reset_peak_usage();
        Heap { before: PeakAlloc.current_usage() }
    }

    pub(super) fn risen(&self) -> u64 {
        PeakAlloc.peak_usage().saturating_sub(self.before) as u64
    }
}
