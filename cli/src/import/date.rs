//! Dates, times and zones as people write them.
//!
//! Always: nothing is guessed. A date that could be read in two ways is an error that asks which is meant.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::problem::Findings;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Earliest and latest year of a date in a directory.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2200;

/// A date without a time.
pub(super) fn date(text: &str, findings: &mut Findings) -> Option<Date> {
    // A spreadsheet may add midnight to a date.
    let plain = text.trim();
    let plain = ["T00:00:00", " 00:00:00", " 00:00"].iter().find_map(|end| plain.strip_suffix(end)).unwrap_or(plain);
    parse_date(plain).map_err(|(reason, fix)| findings.error::<()>(text, reason, fix)).ok()
}

/// A list of dates.
pub(super) fn dates(text: &str, findings: &mut Findings) -> Vec<Date> {
    super::cell::list(text, findings).into_iter().filter_map(|entry| date(entry, findings)).collect()
}

/// A date with or without a time of day. A time with `Z` or an offset is converted to `zone`.
pub(super) fn date_time(text: &str, zone: &TimeZone, findings: &mut Findings) -> Option<(Date, Option<Time>)> {
    let plain = text.trim();
    if let Ok(instant) = plain.parse::<jiff::Timestamp>() {
        let local = instant.to_zoned(zone.clone()).datetime();
        return check_year(local.date(), text, findings).map(|date| (date, Some(local.time())));
    }
    let (date_text, time_text) = split_time(plain);
    let date = parse_date(date_text).map_err(|(reason, fix)| findings.error::<()>(text, reason, fix)).ok()?;
    match time_text {
        None => Some((date, None)),
        Some(time_text) => match parse_time(time_text) {
            Some(time) => Some((date, Some(time))),
            None => {
                findings.error(text, format!("{time_text:?} is not a time of day"), "write it like 2027-03-31 14:30")
            }
        },
    }
}

fn check_year(date: Date, text: &str, findings: &mut Findings) -> Option<Date> {
    if YEARS.contains(&date.year()) {
        return Some(date);
    }
    findings.error(text, format!("the year {} cannot be meant", date.year()), "write the year in four digits")
}

/// Cuts `2027-03-31T14:30`, `31 March 2027 at 2pm` and the like into date and time.
fn split_time(text: &str) -> (&str, Option<&str>) {
    if let Some((date, time)) = text.split_once('T')
        && date.ends_with(|char: char| char.is_ascii_digit())
    {
        return (date, Some(time));
    }
    for word in [" at ", ", "] {
        if let Some((date, time)) = text.rsplit_once(word)
            && parse_time(time).is_some()
        {
            return (date, Some(time));
        }
    }
    // The time is the last word, or the last two ("2 pm").
    for (at, _) in text.match_indices(' ') {
        let time = text[at..].trim();
        if (time.contains(':') || time.to_ascii_lowercase().ends_with('m')) && parse_time(time).is_some() {
            return (text[..at].trim_end_matches([',', ' ']), Some(time));
        }
    }
    (text, None)
}

/// `YYYY-MM-DD`, `31 March 2027`, `March 31, 2027`, or numbers that can be read in one way only.
fn parse_date(text: &str) -> Result<Date, (String, String)> {
    let wrong = |reason: &str| Err((reason.to_owned(), "write the date like 2027-03-31".to_owned()));
    if text.len() > 60 {
        return wrong("not a date");
    }
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split([' ', ',', '/', '.', '-', '\u{a0}']).filter(|word| !word.is_empty()).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| weekday(word).is_none() && *word != "of").collect();
    let [a, b, c] = words[..] else {
        if words.len() == 2 && words.iter().any(|word| month(word).is_some()) {
            return wrong("the year is missing");
        }
        return wrong("not a date");
    };
    let number = |word: &str| {
        let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        (digits.len() <= 4 && !digits.is_empty()).then(|| digits.parse::<i16>().ok()).flatten()
    };
    let is_year = |word: &str| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    let (year, month_number, day) = if is_year(a) {
        (number(a), month(b).or_else(|| number(b)), number(c))
    } else if !is_year(c) {
        return wrong("the year is not written in four digits");
    } else if let Some(named) = month(b) {
        (number(c), Some(named), number(a))
    } else if let Some(named) = month(a) {
        (number(c), Some(named), number(b))
    } else {
        match (number(a), number(b), number(c)) {
            (Some(day), Some(month), year) if day > 12 || day == month => (year, Some(month), Some(day)),
            (Some(month), Some(day), year) if day > 12 => (year, Some(month), Some(day)),
            (Some(first), Some(second), Some(year)) => {
                let reason = "could be read with the day first or the month first".to_owned();
                let fix = format!(
                    "write {year}-{second:02}-{first:02} if {first} is the day, {year}-{first:02}-{second:02} if it is the month"
                );
                return Err((reason, fix));
            }
            _ => return wrong("not a date"),
        }
    };
    let date = (|| {
        let (month, day) = (i8::try_from(month_number?).ok()?, i8::try_from(day?).ok()?);
        Date::new(year?, month, day).ok()
    })();
    match date {
        Some(date) if YEARS.contains(&date.year()) => Ok(date),
        Some(_) => wrong("that year cannot be meant"),
        None => wrong("there is no such day in the calendar"),
    }
}

fn month(word: &str) -> Option<i16> {
    if word.len() < 3 || !word.is_ascii() {
        return None;
    }
    let word = if word == "sept" { "sep" } else { word };
    let index = MONTHS.iter().position(|month| *month == word || month[..3] == *word)?;
    i16::try_from(index + 1).ok()
}

/// RFC 5545 code of an English weekday, whole or short, singular or plural. `word` is in lower case.
pub(super) fn weekday(word: &str) -> Option<&'static str> {
    Some(match word.trim_end_matches('.') {
        "mon" | "monday" | "mondays" | "mo" => "MO",
        "tue" | "tues" | "tuesday" | "tuesdays" | "tu" => "TU",
        "wed" | "weds" | "wednesday" | "wednesdays" | "we" => "WE",
        "thu" | "thur" | "thurs" | "thursday" | "thursdays" | "th" => "TH",
        "fri" | "friday" | "fridays" | "fr" => "FR",
        "sat" | "saturday" | "saturdays" | "sa" => "SA",
        "sun" | "sunday" | "sundays" | "su" => "SU",
        _ => return None,
    })
}

/// A time of day that can be read in one way: `14:30`, `14.30`, `2pm`, `2:30 pm`, `noon`, `midnight` (00:00).
pub(super) fn parse_time(text: &str) -> Option<Time> {
    match super::hours::clock(text)? {
        (minutes, true) if minutes < 24 * 60 => {
            Time::new(i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?, 0, 0).ok()
        }
        _ => None,
    }
}

/// An IANA zone by its name.
pub(super) fn zone(text: &str, findings: &mut Findings) -> Option<(String, TimeZone)> {
    let name = text.trim();
    // "BST", "GMT+1" and offsets do not say when the clocks change.
    let zone = name.contains('/').then(|| TimeZone::get(name).ok()).flatten();
    match zone.or_else(|| (name == "UTC").then_some(TimeZone::UTC)) {
        Some(zone) => {
            let canonical = zone.iana_name().unwrap_or(name).to_owned();
            Some((canonical, zone))
        }
        None => findings.error(text, "not a time zone", "write an IANA name such as Europe/London"),
    }
}

/// Warns when this local time does not exist or exists twice, because the clocks change.
pub(super) fn check_clock_change(local: DateTime, zone: &TimeZone, text: &str, findings: &mut Findings) {
    if zone.to_ambiguous_timestamp(local).is_ambiguous() {
        findings.warn(
            text,
            "the clocks change at that hour, so the time is missing or happens twice",
            "check the time",
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let mut findings = Findings::default();
        match date_time(text, &TimeZone::get("Europe/London").unwrap(), &mut findings) {
            Some((date, time)) => Ok(format!("{date} {}", time.map(|t| t.to_string()).unwrap_or_default())),
            None => Err(findings.0.remove(0).fix),
        }
    }

    #[test]
    fn a_date_with_one_reading_is_read() {
        for (text, wanted) in [
            ("2027-03-31", "2027-03-31 "),
            ("2027-03-31T14:30", "2027-03-31 14:30:00"),
            ("2027-03-31 14:30:00", "2027-03-31 14:30:00"),
            ("2027-07-31T12:00:00Z", "2027-07-31 13:00:00"),
            ("31 March 2027", "2027-03-31 "),
            ("Wednesday 31st March 2027 at 2pm", "2027-03-31 14:00:00"),
            ("Mar 31, 2027, 2:30 pm", "2027-03-31 14:30:00"),
            ("31/03/2027 09:05", "2027-03-31 09:05:00"),
            ("3/31/2027", "2027-03-31 "),
            ("05/05/2027", "2027-05-05 "),
        ] {
            assert_eq!(read(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn an_ambiguous_date_asks_which_is_meant() {
        let fix = read("03/04/2027").unwrap_err();
        assert_eq!(fix, "write 2027-04-03 if 3 is the day, 2027-03-04 if it is the month");
    }

    #[test]
    fn a_date_without_year_or_out_of_the_calendar_is_refused() {
        for text in ["Sept 23rd", "31/03/27", "2027-02-29", "0001-05-29", "soon", "2027-13-01", "2027-03-31 25:00", ""]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_zone_is_an_iana_name() {
        let mut findings = Findings::default();
        assert_eq!(zone("Europe/London", &mut findings).unwrap().0, "Europe/London");
        for text in ["BST", "GMT+1", "+01:00", "Europe/Nowhere"] {
            assert!(zone(text, &mut findings).is_none(), "{text}");
        }
    }
}
