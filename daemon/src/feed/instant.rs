//! Instants and dates as the feed writes them: RFC 3339 with milliseconds, calendar dates, iCalendar forms.

use fingerpost_proto::time::UnixMillis;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// The instant; a time beyond year 9999 becomes the last one that can be written.
pub(crate) fn timestamp(ms: UnixMillis) -> Timestamp {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}

/// `2026-03-01T09:30:00.000Z`.
pub(crate) fn rfc3339(ms: UnixMillis) -> String {
    format!("{:.3}", timestamp(ms))
}

/// `2026-03-01`, in UTC.
pub(crate) fn date(ms: UnixMillis) -> String {
    timestamp(ms).to_zoned(TimeZone::UTC).date().to_string()
}

/// `1 March 2026`, in UTC, for people.
pub(crate) fn date_for_people(ms: UnixMillis) -> String {
    timestamp(ms).strftime("%-d %B %Y").to_string()
}

/// `1 March 2026, 09:30 UTC`, for people.
pub(crate) fn time_for_people(ms: UnixMillis) -> String {
    timestamp(ms).strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// A local date or date-time of a record: `"YYYY-MM-DD"` or `"YYYY-MM-DDTHH:MM:SS"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Local {
    Day(Date),
    Time(DateTime),
}

impl Local {
    /// Reads the text; `None` when it is neither form.
    pub(crate) fn parse(text: &str) -> Option<Local> {
        if text.len() == 10 {
            return text.parse().ok().map(Local::Day);
        }
        // A zone or an offset after the time would be silently dropped by the parser; records never carry one.
        if text.len() > 19 {
            return None;
        }
        text.parse().ok().map(Local::Time)
    }

    /// The calendar date.
    pub(crate) fn date(self) -> Date {
        match self {
            Local::Day(date) => date,
            Local::Time(time) => time.date(),
        }
    }

    /// Midnight for a day.
    pub(crate) fn time(self) -> DateTime {
        match self {
            Local::Day(date) => date.at(0, 0, 0, 0),
            Local::Time(time) => time,
        }
    }

    /// The instant in `zone`; a time that the clocks skip moves forward, one that happens twice is the first.
    pub(crate) fn instant(self, zone: &TimeZone) -> Option<Timestamp> {
        self.time().to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
    }

    /// `2026-03-01`, or with the offset of `zone`: `2026-03-01T09:30:00+00:00`.
    pub(crate) fn iso(self, zone: Option<&TimeZone>) -> String {
        match (self, zone) {
            (Local::Day(date), _) => date.to_string(),
            (Local::Time(time), None) => time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            (Local::Time(time), Some(zone)) => match time.to_zoned(zone.clone()) {
                Ok(zoned) => zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
                Err(_) => time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            },
        }
    }

    /// `Sunday 1 March 2026, 09:30`, for people.
    pub(crate) fn for_people(self) -> String {
        match self {
            Local::Day(date) => date.strftime("%A %-d %B %Y").to_string(),
            Local::Time(time) => time.strftime("%A %-d %B %Y, %H:%M").to_string(),
        }
    }
}

/// The named IANA zone; `None` when it is empty or not known here.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    if name.is_empty() { None } else { TimeZone::get(name).ok() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_instant_is_written_with_milliseconds_and_z() {
        assert_eq!(rfc3339(1_772_357_400_005), "2026-03-01T09:30:00.005Z");
        assert_eq!(date(1_772_357_400_005), "2026-03-01");
        assert_eq!(date_for_people(1_772_357_400_005), "1 March 2026");
    }

    #[test]
    fn an_instant_beyond_all_calendars_does_not_panic() {
        assert!(rfc3339(u64::MAX).starts_with("9999-12-30T"));
    }

    #[test]
    fn a_local_time_takes_the_offset_of_its_zone_on_that_day() {
        let london = zone("Europe/London").unwrap();
        let local = |text| Local::parse(text).unwrap().iso(Some(&london));
        assert_eq!(local("2026-01-05T10:00:00"), "2026-01-05T10:00:00+00:00");
        assert_eq!(local("2026-07-05T10:00:00"), "2026-07-05T10:00:00+01:00");
        assert_eq!(local("2026-07-05"), "2026-07-05");
        assert_eq!(Local::parse("next Tuesday"), None);
        assert_eq!(Local::parse("2026-07-05T10:00:00Z"), None);
    }
}
