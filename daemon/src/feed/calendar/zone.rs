//! Time zones in a calendar: the VTIMEZONE that a TZID must have.
//!
//! In: a zone of the tz database and the first instant that matters. Out: its observances. Changes that come back every
//! year on the same weekday become a rule; others are listed one by one for ten years ahead.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

use super::line::Lines;
use crate::feed::limits::ZONE_TRANSITIONS_MAX;

/// How far ahead changes are looked up.
const YEARS_AHEAD: i64 = 10;

/// Changes of the clocks that are alike: the same offsets before and after, and the same name.
type Observance = (i32, i32, bool, String);

/// Writes the VTIMEZONE of `zone`, right for every instant from `first` on, as seen from `now`.
pub(crate) fn write(lines: &mut Lines, name: &str, zone: &TimeZone, first: Timestamp, now: Timestamp) {
    lines.raw("BEGIN", "VTIMEZONE").raw("TZID", name);
    // One change before the first instant says what is in force there.
    let since = first.checked_sub((400 * 24).hours()).unwrap_or(Timestamp::MIN);
    let until = now.max(first).checked_add((YEARS_AHEAD * 366 * 24).hours()).unwrap_or(Timestamp::MAX);
    let mut groups: BTreeMap<Observance, Vec<DateTime>> = BTreeMap::new();
    let mut before = zone.to_offset(since);
    for transition in zone.following(since).take_while(|t| t.timestamp() < until).take(ZONE_TRANSITIONS_MAX) {
        let after = transition.offset();
        // The onset is written in the local time that the clocks showed before.
        let onset = before.to_datetime(transition.timestamp());
        let key = (before.seconds(), after.seconds(), transition.dst().is_dst(), transition.abbreviation().to_owned());
        groups.entry(key).or_default().push(onset);
        before = after;
    }
    if groups.is_empty() {
        let info = zone.to_offset_info(first);
        observance(
            lines,
            &(before.seconds(), before.seconds(), false, info.abbreviation().to_owned()),
            &[DateTime::constant(1970, 1, 1, 0, 0, 0, 0)],
        );
    }
    for (key, onsets) in &groups {
        observance(lines, key, onsets);
    }
    lines.raw("END", "VTIMEZONE");
}

fn observance(lines: &mut Lines, (from, to, dst, name): &Observance, onsets: &[DateTime]) {
    let Some(first) = onsets.first() else { return };
    let component = if *dst { "DAYLIGHT" } else { "STANDARD" };
    lines
        .raw("BEGIN", component)
        .raw("DTSTART", &first.strftime("%Y%m%dT%H%M%S").to_string())
        .raw("TZOFFSETFROM", &offset(*from))
        .raw("TZOFFSETTO", &offset(*to))
        .text("TZNAME", name);
    if let Some(rule) = yearly_rule(onsets) {
        lines.raw("RRULE", &rule);
    } else {
        for onset in &onsets[1..] {
            lines.raw("RDATE", &onset.strftime("%Y%m%dT%H%M%S").to_string());
        }
    }
    lines.raw("END", component);
}

/// `FREQ=YEARLY;…` when every onset is in the same month on the same weekday of it, at the same time, year after year.
fn yearly_rule(onsets: &[DateTime]) -> Option<String> {
    let first = onsets.first()?;
    if onsets.len() < 3 {
        return None;
    }
    let yearly = onsets.windows(2).all(|pair| pair[1].year() == pair[0].year() + 1);
    let alike =
        onsets.iter().all(|o| o.month() == first.month() && o.time() == first.time() && o.weekday() == first.weekday());
    if !yearly || !alike {
        return None;
    }
    let week = |o: &DateTime| (o.day() - 1) / 7 + 1;
    let position = if onsets.iter().all(|o| o.day() + 7 > o.days_in_month()) {
        -1
    } else if onsets.iter().all(|o| week(o) == week(first)) {
        week(first)
    } else {
        return None;
    };
    let day = crate::feed::hsds::schedule::WEEKDAYS[usize::try_from(first.weekday().to_monday_zero_offset()).ok()?];
    Some(format!("FREQ=YEARLY;BYMONTH={};BYDAY={position}{day}", first.month()))
}

/// `+0100`, with seconds where a historic zone has them.
fn offset(seconds: i32) -> String {
    let seconds = Offset::from_seconds(seconds).map_or(0, Offset::seconds);
    let sign = if seconds < 0 { '-' } else { '+' };
    let total = seconds.unsigned_abs();
    let (hours, minutes, rest) = (total / 3_600, total / 60 % 60, total % 60);
    if rest == 0 { format!("{sign}{hours:02}{minutes:02}") } else { format!("{sign}{hours:02}{minutes:02}{rest:02}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn zone(name: &str) -> String {
        let mut lines = Lines::default();
        let at = "2026-03-01T00:00:00Z".parse().unwrap();
        write(&mut lines, name, &TimeZone::get(name).unwrap(), at, at);
        lines.done().replace("\r\n", "\n")
    }

    #[test]
    fn london_changes_on_the_last_sundays_of_march_and_october() {
        let text = zone("Europe/London");
        assert!(
            text.contains("TZOFFSETFROM:+0000\nTZOFFSETTO:+0100\nTZNAME:BST\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "TZOFFSETFROM:+0100\nTZOFFSETTO:+0000\nTZNAME:GMT\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\n"
            ),
            "{text}"
        );
        assert!(text.contains("DTSTART:20250330T010000\n"), "{text}");
    }

    #[test]
    fn new_york_changes_on_the_second_and_first_sunday() {
        let text = zone("America/New_York");
        assert!(text.contains("BYMONTH=3;BYDAY=2SU") && text.contains("BYMONTH=11;BYDAY=1SU"), "{text}");
    }

    #[test]
    fn a_zone_without_changes_has_one_observance() {
        let text = zone("Asia/Kolkata");
        assert_eq!(text.matches("BEGIN:STANDARD").count(), 1);
        assert!(text.contains("TZOFFSETFROM:+0530\nTZOFFSETTO:+0530\n"), "{text}");
    }

    #[test]
    fn irregular_changes_are_listed_within_the_limit() {
        let text = zone("Africa/Casablanca");
        assert!(text.contains("RDATE:"), "{text}");
        assert!(text.matches("RDATE:").count() < ZONE_TRANSITIONS_MAX);
    }
}
