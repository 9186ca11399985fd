//! What a listener has done since it started, for metrics, and how often it may say so in the log.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lines about refused and failed connections per minute; strangers must not be able to fill a disk with logs.
pub(super) const LINES_PER_MINUTE_MAX: u32 = 60;

/// Running counters of one listener. Read them with [`ListenerCounters::counts`].
#[derive(Debug)]
pub struct ListenerCounters {
    pub(super) accepted: AtomicU64,
    pub(super) admitted: AtomicU64,
    pub(super) refused_key: AtomicU64,
    pub(super) refused_limit: AtomicU64,
    pub(super) handshake_failures: AtomicU64,
    pub(super) handshake_timeouts: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    pub(super) cut: AtomicU64,
    lines: Mutex<(Instant, u32)>,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerCounts {
    /// TCP connections accepted, whatever became of them.
    pub accepted: u64,
    /// Of these, connections handed on after a complete handshake.
    pub admitted: u64,
    /// Refused in the handshake: the key is not admitted.
    pub refused_key: u64,
    /// Closed because a limit was reached: connections, pending handshakes, per address or per key.
    pub refused_limit: u64,
    /// Handshakes that failed in any other way: no TLS 1.3, no certificate, no proof of the key, no `h2`.
    pub handshake_failures: u64,
    /// Handshakes that were not complete at their deadline.
    pub handshake_timeouts: u64,
    /// Errors of `accept` itself, such as too many open files.
    pub accept_errors: u64,
    /// Open connections cut because their key is no longer admitted.
    pub cut: u64,
}

impl ListenerCounters {
    pub(super) fn new() -> ListenerCounters {
        ListenerCounters {
            accepted: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            refused_key: AtomicU64::new(0),
            refused_limit: AtomicU64::new(0),
            handshake_failures: AtomicU64::new(0),
            handshake_timeouts: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            lines: Mutex::new((Instant::now(), 0)),
        }
    }

    /// The counters now. They are read one by one, so their sums may be a connection apart.
    pub fn counts(&self) -> ListenerCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ListenerCounts {
            accepted: read(&self.accepted),
            admitted: read(&self.admitted),
            refused_key: read(&self.refused_key),
            refused_limit: read(&self.refused_limit),
            handshake_failures: read(&self.handshake_failures),
            handshake_timeouts: read(&self.handshake_timeouts),
            accept_errors: read(&self.accept_errors),
            cut: read(&self.cut),
        }
    }

    /// Whether one more line about a stranger may be logged at `now`.
    pub(super) fn may_log(&self, now: Instant) -> bool {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(lines.0) >= Duration::from_secs(60) {
            *lines = (now, 0);
        }
        lines.1 = lines.1.saturating_add(1);
        lines.1 <= LINES_PER_MINUTE_MAX
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_sixty_lines_and_the_next_one_has_sixty_again() {
        let counters = ListenerCounters::new();
        let start = Instant::now();
        let allowed = |now| (0..2 * LINES_PER_MINUTE_MAX).filter(|_| counters.may_log(now)).count();
        assert_eq!(allowed(start), LINES_PER_MINUTE_MAX as usize);
        assert_eq!(allowed(start + Duration::from_secs(59)), 0);
        assert_eq!(allowed(start + Duration::from_secs(61)), LINES_PER_MINUTE_MAX as usize);
    }
}
