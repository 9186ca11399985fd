//! Instants as people and scripts read them.

use fingerpost_proto::time::{DAY_MS, HOUR_MS, UnixMillis};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const MINUTE_MS: u64 = 60_000;

/// This machine's clock, Unix milliseconds.
pub fn now_ms() -> UnixMillis {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

fn timestamp(ms: UnixMillis) -> Option<Timestamp> {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

/// `2026-11-22` in this machine's time zone; `-` for 0 or an impossible instant.
pub fn date(ms: UnixMillis) -> String {
    local(ms, "%Y-%m-%d")
}

/// `2026-11-22 17:04:09` in this machine's time zone; `-` for 0 or an impossible instant.
pub fn date_time(ms: UnixMillis) -> String {
    local(ms, "%Y-%m-%d %H:%M:%S")
}

fn local(ms: UnixMillis, format: &str) -> String {
    match timestamp(ms).filter(|_| ms > 0) {
        Some(timestamp) => timestamp.to_zoned(TimeZone::system()).strftime(format).to_string(),
        None => "-".to_owned(),
    }
}

/// `2026-11-22T17:04:09Z` for JSON; `None` for 0 or an impossible instant.
pub fn rfc3339(ms: UnixMillis) -> Option<String> {
    timestamp(ms).filter(|_| ms > 0).map(|timestamp| timestamp.to_string())
}

/// A length of time in one unit: `9 s`, `14 min`, `3 h`, `12 days`.
pub fn span(ms: u64) -> String {
    match ms {
        0..MINUTE_MS => format!("{} s", ms / 1_000),
        MINUTE_MS..HOUR_MS => format!("{} min", ms / MINUTE_MS),
        HOUR_MS..DAY_MS => format!("{} h", ms / HOUR_MS),
        _ => match ms / DAY_MS {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        },
    }
}

/// `14 min ago`, or `in 12 days` for an instant to come.
pub fn relative(ms: UnixMillis, now: UnixMillis) -> String {
    if ms > now { format!("in {}", span(ms - now)) } else { format!("{} ago", span(now - ms)) }
}

/// A difference of two clocks: `+1.2 s`, `-0.4 s`, `0.0 s`.
pub fn difference(ms: i64) -> String {
    match ms as f64 / 1_000.0 {
        small if small.abs() < 0.05 => "0.0 s".to_owned(),
        seconds => format!("{seconds:+.1} s"),
    }
}

/// A size in bytes in one unit: `812 B`, `3.4 KiB`, `61.0 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1_024.0;
    let mut unit = 0;
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// `1 service`, `14 services`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_the_largest_unit_that_fits() {
        assert_eq!(span(0), "0 s");
        assert_eq!(span(MINUTE_MS - 1), "59 s");
        assert_eq!(span(MINUTE_MS), "1 min");
        assert_eq!(span(HOUR_MS), "1 h");
        assert_eq!(span(DAY_MS), "1 day");
        assert_eq!(span(12 * DAY_MS + HOUR_MS), "12 days");
    }

    #[test]
    fn an_impossible_instant_is_a_dash_and_not_a_panic() {
        assert_eq!(date(u64::MAX), "-");
        assert_eq!(date_time(0), "-");
        assert_eq!(rfc3339(u64::MAX), None);
        assert_eq!(rfc3339(1_790_000_000_000).as_deref(), Some("2026-09-21T14:13:20Z"));
    }

    #[test]
    fn a_difference_of_clocks_has_a_sign_unless_it_is_nothing() {
        assert_eq!(difference(-49), "0.0 s");
        assert_eq!(difference(1_250), "+1.2 s");
        assert_eq!(difference(-400), "-0.4 s");
    }

    #[test]
    fn a_size_is_told_in_binary_units() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_024), "1.0 KiB");
        assert_eq!(bytes(64 * 1_024 * 1_024), "64.0 MiB");
        assert_eq!(count(1, "service"), "1 service");
        assert_eq!(count(0, "service"), "0 services");
    }
}
