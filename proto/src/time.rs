//! Instants and hybrid logical clocks. Nothing here reads a clock.
//!
//! Spec: `spec/01-model.md`, section 4.

use std::fmt;

/// Milliseconds since the Unix epoch, UTC without leap seconds.
pub type UnixMillis = u64;

/// Milliseconds in one hour.
pub const HOUR_MS: u64 = 3_600_000;
/// Milliseconds in one day.
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// Hybrid logical clock: 48 bits of Unix milliseconds, then a 16-bit counter.
///
/// Orders versions of one record. Source: Kulkarni et al., "Logical Physical Clocks", 2014; `spec/01-model.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The clock with this wall time and counter. Wall time beyond 48 bits (year 10889) is cut off.
    pub fn new(ms: UnixMillis, counter: u16) -> Hlc {
        Hlc((ms << 16) | u64::from(counter))
    }

    /// Wall-clock part.
    pub fn ms(self) -> UnixMillis {
        self.0 >> 16
    }

    /// Counter part.
    pub fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The next value to sign with: later than `self`, and not before `now`. Saturates at the end of time.
    pub fn next(self, now: UnixMillis) -> Hlc {
        Hlc(self.0.saturating_add(1)).max(Hlc::new(now, 0))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.ms(), self.counter())
    }
}

/// Whole hours since the Unix epoch. Leases end on a whole hour so that a record leaves every feed together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixHour(pub u32);

impl UnixHour {
    /// The hour that contains this instant.
    pub fn containing(ms: UnixMillis) -> UnixHour {
        UnixHour(u32::try_from(ms / HOUR_MS).unwrap_or(u32::MAX))
    }

    /// First instant of the hour.
    pub fn start_ms(self) -> UnixMillis {
        u64::from(self.0) * HOUR_MS
    }

    /// This hour and `days` days more.
    pub fn plus_days(self, days: u32) -> UnixHour {
        UnixHour(self.0.saturating_add(days.saturating_mul(24)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_clock_is_later_than_the_last_and_not_before_now() {
        let last = Hlc::new(1_000, 7);
        assert_eq!(last.next(2_000), Hlc::new(2_000, 0));
        assert_eq!(last.next(500), Hlc::new(1_000, 8));
        assert_eq!(Hlc::new(1_000, u16::MAX).next(0), Hlc::new(1_001, 0));
        assert_eq!(Hlc(u64::MAX).next(0), Hlc(u64::MAX));
    }

    #[test]
    fn an_hour_starts_at_its_first_millisecond() {
        assert_eq!(UnixHour::containing(HOUR_MS - 1), UnixHour(0));
        assert_eq!(UnixHour::containing(HOUR_MS), UnixHour(1));
        assert_eq!(UnixHour(1).start_ms(), HOUR_MS);
    }
}
