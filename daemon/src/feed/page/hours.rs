//! Opening times as a table of the week, and whatever does not fit one as sentences.

use fingerpost_proto::v1;

use crate::feed::hsds::schedule::Rule;
use crate::feed::language::{Text, Texts};

/// Names of the days, from Monday.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// One row of the table.
pub(super) struct Day {
    pub(super) name: &'static str,
    pub(super) times: String,
}

/// The opening times of a service, or of one of its places.
pub(super) struct Hours {
    pub(super) heading: String,
    pub(super) days: Vec<Day>,
    pub(super) others: Vec<Text>,
}

/// The table of these schedules; `None` when there are none.
pub(super) fn hours(heading: String, schedules: &[v1::Schedule], texts: &Texts<'_>) -> Option<Hours> {
    if schedules.is_empty() {
        return None;
    }
    let mut times: [Vec<String>; 7] = Default::default();
    let mut others = Vec::new();
    for schedule in schedules {
        let limited = !schedule.valid_from.is_empty() || !schedule.valid_to.is_empty();
        let weekdays = Rule::parse(&schedule.rrule).and_then(|rule| rule.weekdays(&schedule.starts_on));
        match weekdays {
            // Hours of one season would mislead in a table that seems to hold all year.
            Some(weekdays) if !limited => {
                for (day, _) in weekdays.iter().enumerate().filter(|(_, on)| **on) {
                    times[day].push(span(schedule));
                }
            }
            _ => others.push(plain_english(sentence(schedule))),
        }
        for text in [&schedule.description, &schedule.notes] {
            if !text.trim().is_empty() {
                others.push(texts.plain(text));
            }
        }
        if !schedule.except_dates.is_empty() && weekdays.is_some() && !limited {
            others.push(plain_english(format!("Not on {}.", schedule.except_dates.join(", "))));
        }
    }
    let any = times.iter().any(|times| !times.is_empty());
    let days = DAYS.iter().zip(&mut times).filter(|_| any).map(|(name, times)| {
        times.sort();
        Day { name, times: if times.is_empty() { "Closed".to_owned() } else { times.join(", ") } }
    });
    Some(Hours { heading, days: days.collect(), others })
}

fn plain_english(text: String) -> Text {
    Text { text, language: "en".to_owned() }
}

fn span(schedule: &v1::Schedule) -> String {
    match (schedule.opens_at.as_str(), schedule.closes_at.as_str()) {
        ("00:00", "24:00") => "all day".to_owned(),
        ("", "") => "open".to_owned(),
        (opens, "") => format!("from {opens}"),
        ("", closes) => format!("until {closes}"),
        (opens, closes) => format!("{opens} to {closes}"),
    }
}

fn sentence(schedule: &v1::Schedule) -> String {
    let mut parts = Vec::new();
    let rule = Rule::parse(&schedule.rrule);
    let days = rule.as_ref().and_then(|rule| rule.weekdays(&schedule.starts_on));
    match (days, schedule.rrule.is_empty()) {
        (Some(days), _) => {
            let names: Vec<&str> = DAYS.iter().zip(days).filter(|(_, on)| *on).map(|(name, _)| *name).collect();
            parts.push(names.join(", "));
        }
        (None, true) => parts.push(schedule.starts_on.clone()),
        (None, false) => {
            parts.push(rule.as_ref().map_or_else(|| schedule.rrule.clone(), |rule| in_words(rule, &schedule.rrule)));
        }
    }
    parts.push(span(schedule));
    if !schedule.valid_from.is_empty() {
        parts.push(format!("from {}", schedule.valid_from));
    }
    if !schedule.valid_to.is_empty() {
        parts.push(format!("until {}", schedule.valid_to));
    }
    parts.retain(|part| !part.is_empty());
    if !schedule.except_dates.is_empty() {
        parts.push(format!("not on {}", schedule.except_dates.join(", ")));
    }
    parts.join(", ")
}

/// A rule for people where it is one of the common ones; the rule itself otherwise.
pub(super) fn in_words(rule: &Rule<'_>, text: &str) -> String {
    let interval = rule.get("INTERVAL").and_then(|text| text.parse::<u32>().ok()).unwrap_or(1);
    let unit = match rule.get("FREQ") {
        Some("DAILY") => "day",
        Some("WEEKLY") => "week",
        Some("MONTHLY") => "month",
        Some("YEARLY") => "year",
        _ => return text.to_owned(),
    };
    let every = if interval == 1 { format!("every {unit}") } else { format!("every {interval} {unit}s") };
    let days = rule.get("BYDAY").map(|days| days.split(',').map(day_in_words).collect::<Option<Vec<_>>>());
    let complex =
        ["BYSETPOS", "BYMONTH", "BYHOUR", "BYYEARDAY", "BYWEEKNO"].iter().any(|part| rule.get(part).is_some());
    match (days, rule.get("BYMONTHDAY")) {
        _ if complex => text.to_owned(),
        (None, None) => every,
        (Some(Some(days)), None) => format!("{every} on {}", days.join(", ")),
        (None, Some(day)) if day.parse::<u8>().is_ok() => format!("{every} on day {day}"),
        _ => text.to_owned(),
    }
}

fn day_in_words(day: &str) -> Option<String> {
    let split = day.len().checked_sub(2)?;
    let (position, code) = (day.get(..split)?, day.get(split..)?);
    let index = crate::feed::hsds::schedule::WEEKDAYS.iter().position(|name| *name == code)?;
    let ordinal = match position {
        "" => return Some(DAYS[index].to_owned()),
        "1" => "first",
        "2" => "second",
        "3" => "third",
        "4" => "fourth",
        "5" => "fifth",
        "-1" => "last",
        _ => return None,
    };
    Some(format!("the {ordinal} {}", DAYS[index]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_are_said_in_words_where_that_is_exact() {
        let words = |text: &str| in_words(&Rule::parse(text).unwrap(), text);
        assert_eq!(words("FREQ=WEEKLY;BYDAY=MO,WE"), "every week on Monday, Wednesday");
        assert_eq!(words("FREQ=MONTHLY;BYDAY=2TU"), "every month on the second Tuesday");
        assert_eq!(words("FREQ=WEEKLY;INTERVAL=2"), "every 2 weeks");
        assert_eq!(words("FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1"), "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1");
    }

    #[test]
    fn two_spans_of_one_day_share_a_row() {
        let schedule = |opens: &str, closes: &str| v1::Schedule {
            opens_at: opens.into(),
            closes_at: closes.into(),
            rrule: "FREQ=WEEKLY;BYDAY=MO".into(),
            ..Default::default()
        };
        let texts = Texts::choose("en", &[], &[]);
        let hours =
            hours("Opening hours".into(), &[schedule("13:00", "16:00"), schedule("09:00", "12:00")], &texts).unwrap();
        assert_eq!(hours.days[0].times, "09:00 to 12:00, 13:00 to 16:00");
        assert_eq!(hours.days[6].times, "Closed");
    }
}
