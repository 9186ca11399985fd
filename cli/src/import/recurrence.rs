//! Repetition: RFC 5545 rules, and plain words for the common ones.
//!
//! Out: a rule without `RRULE:` that the `rrule` crate accepts, with UNTIL in UTC for timed events and as a date for
//! all-day ones. Always: "every second Tuesday" is asked about, because half of the people mean the other thing.

use fingerpost_proto::limits::LINE_BYTES_MAX;
use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time, time};
use jiff::tz::TimeZone;

use super::date;
use super::problem::Findings;

/// The first occurrence, against which a rule is checked.
pub(super) struct First<'a> {
    pub(super) date: Date,
    /// `None`: all day.
    pub(super) time: Option<Time>,
    pub(super) zone: &'a TimeZone,
}

const EXAMPLES: &str = "write it like \"weekly on Tuesday and Thursday until 2027-03-31\", \"monthly on the first Monday\" or an RFC 5545 rule";

/// The rule that a cell means.
pub(super) fn rule(text: &str, first: &First<'_>, findings: &mut Findings) -> Option<String> {
    let plain = text.trim();
    if plain.len() > LINE_BYTES_MAX || plain.contains(|char: char| char.is_control()) {
        return findings.error(text, format!("a rule is one line of at most {LINE_BYTES_MAX} bytes"), EXAMPLES);
    }
    let upper = plain.to_uppercase();
    let rule = upper.strip_prefix("RRULE:").unwrap_or(&upper);
    let parts = if rule.contains("FREQ=") { rule_parts(rule, first) } else { words(plain, first) };
    match parts {
        Ok(parts) => check(parts, text, first, findings),
        Err((reason, fix)) => findings.error(text, reason, fix),
    }
}

type Parts = Vec<(String, String)>;
type Wrong = (String, String);

/// The parts of a written rule, UNTIL put into the form that fits the event.
fn rule_parts(rule: &str, first: &First<'_>) -> Result<Parts, Wrong> {
    let mut parts = Vec::new();
    for part in rule.split(';').filter(|part| !part.trim().is_empty()) {
        let Some((key, value)) = part.trim().split_once('=') else {
            return Err((format!("{part:?} is not NAME=VALUE"), EXAMPLES.to_owned()));
        };
        let value = if key == "UNTIL" { until_text(value, first)? } else { value.to_owned() };
        parts.push((key.to_owned(), value));
    }
    Ok(parts)
}

/// UNTIL as written in a rule: a date, a local time or a UTC time.
fn until_text(value: &str, first: &First<'_>) -> Result<String, Wrong> {
    let wrong = || (format!("UNTIL={value} is no date"), "write it like UNTIL=20270331".to_owned());
    let digits = value.trim_end_matches('Z');
    let (date_digits, time_digits) = digits.split_once('T').unwrap_or((digits, ""));
    let date = Date::strptime("%Y%m%d", date_digits).map_err(|_| wrong())?;
    if time_digits.is_empty() {
        return until(date, first).ok_or_else(wrong);
    }
    let clock = Time::strptime("%H%M%S", time_digits).map_err(|_| wrong())?;
    if first.time.is_none() {
        return Ok(date.strftime("%Y%m%d").to_string());
    }
    let zone = if value.ends_with('Z') { TimeZone::UTC } else { first.zone.clone() };
    utc_text(date.to_datetime(clock), &zone).ok_or_else(wrong)
}

/// UNTIL for the whole of a last day.
fn until(last: Date, first: &First<'_>) -> Option<String> {
    match first.time {
        None => Some(last.strftime("%Y%m%d").to_string()),
        Some(_) => utc_text(last.to_datetime(time(23, 59, 59, 0)), first.zone),
    }
}

fn utc_text(local: DateTime, zone: &TimeZone) -> Option<String> {
    let instant: Zoned = local.to_zoned(zone.clone()).ok()?;
    Some(instant.with_time_zone(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// Reads plain English words.
fn words(text: &str, first: &First<'_>) -> Result<Parts, Wrong> {
    let lower = text.to_lowercase();
    let tokens: Vec<&str> = lower.split([' ', ',', '\u{a0}']).filter(|token| !token.is_empty()).collect();
    let wrong = |token: &str| (format!("{token:?} is not understood here"), EXAMPLES.to_owned());
    let mut words = Words::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at).copied() {
        let next = tokens.get(at + 1).copied().unwrap_or_default();
        at += 1;
        if matches!(token, "until" | "till" | "to") {
            let mut findings = Findings::default();
            let last = date::date(&tokens[at..].join(" "), &mut findings);
            let last = last.ok_or_else(|| findings.0.pop().map_or_else(|| wrong(token), |f| (f.reason, f.fix)))?;
            words.until = Some(until(last, first).ok_or_else(|| wrong(token))?);
            break;
        }
        if let Some(day) = date::weekday(token) {
            words.days.push(day.to_owned());
        } else if let Some(ordinal) = ordinal(token) {
            at += words.ordinal(ordinal, token, next, at >= 2 && tokens[at - 2] == "every")?;
        } else if let Ok(number) = token.parse::<u16>() {
            at += 1;
            if number == 0 {
                return Err(wrong(token));
            }
            match next {
                "times" | "occurrences" | "sessions" => words.count = Some(number),
                "days" | "weeks" | "months" | "years" => {
                    words.interval = number;
                    words.frequency(next.trim_end_matches('s'))?;
                }
                _ => return Err(wrong(token)),
            }
        } else if token == "other" {
            words.interval = 2;
        } else if !matches!(token, "every" | "each" | "on" | "the" | "of" | "and" | "&" | "a" | "in" | "for") {
            words.frequency(token)?;
        }
    }
    words.parts().ok_or_else(|| ("does not say how often".to_owned(), EXAMPLES.to_owned()))?
}

/// What was read so far.
#[derive(Default)]
struct Words {
    frequency: Option<&'static str>,
    interval: u16,
    /// `TU`, or `1MO` after an ordinal.
    days: Vec<String>,
    month_days: Vec<i8>,
    /// An ordinal right after "every", such as "every second Tuesday".
    every_ordinal: Option<String>,
    until: Option<String>,
    count: Option<u16>,
}

impl Words {
    fn frequency(&mut self, word: &str) -> Result<(), Wrong> {
        self.frequency = Some(match word {
            "daily" | "day" => "DAILY",
            "weekly" | "week" => "WEEKLY",
            "fortnightly" | "fortnight" => {
                self.interval = 2;
                "WEEKLY"
            }
            "weekday" | "weekdays" => {
                self.days.extend(["MO", "TU", "WE", "TH", "FR"].map(str::to_owned));
                "WEEKLY"
            }
            "monthly" | "month" => "MONTHLY",
            "yearly" | "annually" | "year" => "YEARLY",
            _ => return Err((format!("{word:?} is not understood here"), EXAMPLES.to_owned())),
        });
        Ok(())
    }

    /// Reads an ordinal; gives how many further tokens it used.
    fn ordinal(&mut self, ordinal: i8, token: &str, next: &str, after_every: bool) -> Result<usize, Wrong> {
        if let Some(day) = date::weekday(next) {
            if after_every && ordinal > 1 {
                self.every_ordinal = Some(format!("{token} {next}"));
            }
            if ordinal > 5 {
                return Err((format!("no month has a {token} {next}"), EXAMPLES.to_owned()));
            }
            self.days.push(format!("{ordinal}{day}"));
            return Ok(1);
        }
        self.month_days.push(ordinal);
        Ok(usize::from(next == "day"))
    }

    fn parts(self) -> Option<Result<Parts, Wrong>> {
        let has_ordinal = self.days.iter().any(|day| day.len() > 2);
        let frequency =
            self.frequency.or(match (has_ordinal || !self.month_days.is_empty(), self.days.is_empty()) {
                (true, _) => Some("MONTHLY"),
                (false, false) => Some("WEEKLY"),
                (false, true) => None,
            })?;
        if let (Some(words), None) = (&self.every_ordinal, self.frequency) {
            let reason = format!("\"every {words}\" can mean every so many weeks, or once a month");
            let fix = format!("write \"every 2 weeks on …\" (with the number of weeks) or \"monthly on the {words}\"");
            return Some(Err((reason, fix)));
        }
        let is_monthly = matches!(frequency, "MONTHLY" | "YEARLY");
        let is_plain_monthly_day = is_monthly && self.days.iter().any(|day| day.len() == 2);
        let is_ordinal_elsewhere = !is_monthly && (has_ordinal || !self.month_days.is_empty());
        if is_plain_monthly_day || is_ordinal_elsewhere || (frequency == "DAILY" && !self.days.is_empty()) {
            let fix = "write \"monthly on the first Monday\" or \"weekly on Monday\"".to_owned();
            return Some(Err((format!("{} and these days do not go together", frequency.to_lowercase()), fix)));
        }
        let mut parts = vec![("FREQ".to_owned(), frequency.to_owned())];
        let mut push = |key: &str, value: String| parts.push((key.to_owned(), value));
        if self.interval > 1 {
            push("INTERVAL", self.interval.to_string());
        }
        if !self.days.is_empty() {
            push("BYDAY", self.days.join(","));
        }
        if !self.month_days.is_empty() {
            push("BYMONTHDAY", self.month_days.iter().map(i8::to_string).collect::<Vec<_>>().join(","));
        }
        if let Some(count) = self.count {
            push("COUNT", count.to_string());
        }
        if let Some(until) = self.until {
            push("UNTIL", until);
        }
        Some(Ok(parts))
    }
}

/// `first` to `fifth`, `1st` to `31st`, and `last` as -1.
fn ordinal(token: &str) -> Option<i8> {
    const NAMES: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];
    if token == "last" {
        return Some(-1);
    }
    if let Some(index) = NAMES.iter().position(|name| *name == token) {
        return i8::try_from(index + 1).ok();
    }
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| token.strip_suffix(end))?;
    digits.parse().ok().filter(|number| (1..=31).contains(number))
}

/// Lets the `rrule` crate judge the rule, and adds what matters in a directory.
fn check(parts: Parts, text: &str, first: &First<'_>, findings: &mut Findings) -> Option<String> {
    let value = |key: &str| parts.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    if matches!(value("FREQ"), Some("SECONDLY" | "MINUTELY" | "HOURLY")) {
        return findings.error(text, "repeats more often than daily", EXAMPLES);
    }
    // The rrule crate lets zero through, and whoever expands such a rule never ends.
    for key in ["INTERVAL", "COUNT"] {
        if value(key).is_some_and(|number| !matches!(number.parse::<u16>(), Ok(1..))) {
            return findings.error(text, format!("{key} is not a number from 1 to 65,535"), EXAMPLES);
        }
    }
    let join = |until_end: &str| {
        let text = |(key, value): &(String, String)| {
            let end = if key == "UNTIL" && !value.contains('T') { until_end } else { "" };
            format!("{key}={value}{end}")
        };
        parts.iter().map(text).collect::<Vec<_>>().join(";")
    };
    let start = first.date.to_datetime(first.time.unwrap_or(Time::midnight()));
    // All is checked in UTC: the rule's own validity does not depend on the zone, and UNTIL is in UTC already.
    let start_text = utc_text(start, first.zone).unwrap_or_else(|| start.strftime("%Y%m%dT%H%M%SZ").to_string());
    let start_text = if first.time.is_some() { start_text } else { start.strftime("%Y%m%dT%H%M%SZ").to_string() };
    let set = format!("DTSTART:{start_text}\nRRULE:{}", join("T235959Z")).parse::<rrule::RRuleSet>();
    if let Err(error) = set {
        let reason = format!("not a rule that calendars understand: {}", error.to_string().replace('\n', " "));
        return findings.error(text, reason, EXAMPLES);
    }
    if let (Some("WEEKLY"), Some(days)) = (value("FREQ"), value("BYDAY")) {
        let code = weekday_code(first.date);
        if !days.split(',').any(|day| day == code) {
            let reason = format!("the first date, {}, is not one of these days", first.date.strftime("%A %Y-%m-%d"));
            findings.warn(text, reason, "correct the start date or the days");
        }
    }
    Some(join(""))
}

/// RFC 5545 code of a date's weekday.
fn weekday_code(date: Date) -> &'static str {
    const CODES: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    CODES[usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0) % 7]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str, is_timed: bool) -> Result<(String, usize), String> {
        let zone = TimeZone::get("Europe/London").unwrap();
        let start_time = is_timed.then(|| time(10, 0, 0, 0));
        let first = First { date: jiff::civil::date(2026, 11, 24), time: start_time, zone: &zone };
        let mut findings = Findings::default();
        match rule(text, &first, &mut findings) {
            Some(rule) => Ok((rule, findings.0.len())),
            None => Err(findings.0.pop().unwrap().fix),
        }
    }

    #[test]
    fn plain_words_become_a_rule() {
        for (text, wanted) in [
            ("weekly", "FREQ=WEEKLY"),
            ("every week", "FREQ=WEEKLY"),
            ("Weekly on Tuesday and Thursday until 2027-03-31", "FREQ=WEEKLY;BYDAY=TU,TH;UNTIL=20270331T225959Z"),
            ("every Tuesday, 10 times", "FREQ=WEEKLY;BYDAY=TU;COUNT=10"),
            ("Tuesdays until 31 December 2026", "FREQ=WEEKLY;BYDAY=TU;UNTIL=20261231T235959Z"),
            ("monthly on the first Monday", "FREQ=MONTHLY;BYDAY=1MO"),
            ("last Friday of each month", "FREQ=MONTHLY;BYDAY=-1FR"),
            ("monthly on the 15th", "FREQ=MONTHLY;BYMONTHDAY=15"),
            ("every 2 weeks on Tuesday", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU"),
            ("every other Tuesday", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU"),
            ("fortnightly", "FREQ=WEEKLY;INTERVAL=2"),
            ("every weekday", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
            ("daily", "FREQ=DAILY"),
            ("monthly on the second Tuesday", "FREQ=MONTHLY;BYDAY=2TU"),
            ("every second Tuesday of the month", "FREQ=MONTHLY;BYDAY=2TU"),
        ] {
            assert_eq!(read(text, true), Ok((wanted.into(), 0)), "{text}");
        }
    }

    #[test]
    fn every_second_tuesday_is_asked_about() {
        assert!(read("every second Tuesday", true).unwrap_err().contains("monthly on the second tuesday"));
    }

    #[test]
    fn a_written_rule_is_kept_and_its_end_fits_the_event() {
        assert_eq!(
            read("RRULE:FREQ=WEEKLY;BYDAY=TU;UNTIL=20270331", true).unwrap().0,
            "FREQ=WEEKLY;BYDAY=TU;UNTIL=20270331T225959Z"
        );
        assert_eq!(read("freq=weekly;until=20270331T120000Z", false).unwrap().0, "FREQ=WEEKLY;UNTIL=20270331");
        assert_eq!(read("FREQ=MONTHLY;BYDAY=1MO", true).unwrap().0, "FREQ=MONTHLY;BYDAY=1MO");
    }

    #[test]
    fn a_start_on_another_weekday_is_a_warning() {
        assert_eq!(read("weekly on Wednesday", true), Ok(("FREQ=WEEKLY;BYDAY=WE".into(), 1)));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "sometimes",
            "FREQ=OFTEN",
            "FREQ=MINUTELY",
            "FREQ=WEEKLY;UNTIL=soon",
            "monthly on Monday",
            "every 0 weeks",
            "weekly 0 times",
            "FREQ=DAILY;INTERVAL=0",
            "weekly until",
            "weekly until 03/04/2027",
            "FREQ=WEEKLY;COUNT",
            "tenth Monday",
            "daily on Monday",
            "FREQ=WEEKLY;UNTIL=20200101",
        ] {
            assert!(read(text, true).is_err(), "{text}: {:?}", read(text, true));
        }
    }
}
