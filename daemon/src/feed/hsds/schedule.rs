//! Opening times as HSDS schedules, and the recurrence rule they are read from.
//!
//! HSDS knows only WEEKLY and MONTHLY. A daily rule becomes weekly on all days; any other rule is kept as text and, for
//! programs, in `x_fingerpost`. Spec: `spec/10-feed.md`, section 4.3.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::v1;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::object::Object;
use crate::feed::instant;

/// The days of a week in the order of RFC 5545.
pub(crate) const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// A recurrence rule as a list of parts; the parts are not checked against each other.
pub(crate) struct Rule<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Rule<'a> {
    /// Splits `"FREQ=WEEKLY;BYDAY=MO,WE"`; `None` when there is no frequency or something that no rule contains.
    pub(crate) fn parse(text: &'a str) -> Option<Rule<'a>> {
        let text = text.trim();
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"=;,+-".contains(&b)) {
            return None;
        }
        let parts: Option<Vec<_>> =
            text.split(';').filter(|part| !part.is_empty()).map(|part| part.split_once('=')).collect();
        let rule = Rule(parts?);
        rule.get("FREQ").is_some().then_some(rule)
    }

    /// The value of a part.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty()).map(|(_, value)| *value)
    }

    /// True when every part is among these.
    fn only(&self, names: &[&str]) -> bool {
        self.0.iter().all(|(key, _)| names.iter().any(|name| key.eq_ignore_ascii_case(name)))
    }

    fn interval(&self) -> u32 {
        self.get("INTERVAL").and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// Days of the week on which a simple weekly or daily rule falls, as bits from Monday; `None` for other rules.
    pub(crate) fn weekdays(&self, starts_on: &str) -> Option<[bool; 7]> {
        if self.interval() != 1 || !self.only(&["FREQ", "INTERVAL", "BYDAY", "UNTIL", "WKST"]) {
            return None;
        }
        let days = match (self.get("FREQ")?, self.get("BYDAY")) {
            ("DAILY", None) => return Some([true; 7]),
            ("WEEKLY" | "DAILY", Some(days)) => days.to_owned(),
            ("WEEKLY", None) => {
                let monday_based = instant::Local::parse(starts_on)?.date().weekday().to_monday_zero_offset();
                WEEKDAYS[usize::try_from(monday_based).ok()?].to_owned()
            }
            _ => return None,
        };
        let mut set = [false; 7];
        for day in days.split(',') {
            set[WEEKDAYS.iter().position(|name| *name == day)?] = true;
        }
        Some(set)
    }
}

/// `schedules` of a record; `path` tells several lists of one record apart.
pub(crate) fn schedules(owner: RecordId, path: &str, schedules: &[v1::Schedule]) -> Vec<Value> {
    let each = |(index, schedule): (usize, &v1::Schedule)| one(owner.part(&format!("{path}/{index}")), schedule);
    schedules.iter().enumerate().map(each).collect()
}

fn one(id: RecordId, schedule: &v1::Schedule) -> Value {
    let rule = Rule::parse(&schedule.rrule);
    let expressed = rule.as_ref().and_then(express);
    let rule_lost = expressed.is_none() && !schedule.rrule.trim().is_empty();
    let description = match (schedule.description.trim().is_empty(), rule_lost) {
        (_, false) => schedule.description.clone(),
        (true, true) => format!("Repeats by the rule {}", schedule.rrule),
        (false, true) => format!("{} (repeats by the rule {})", schedule.description, schedule.rrule),
    };
    let mut notes = schedule.notes.clone();
    if !schedule.except_dates.is_empty() {
        let gap = if notes.is_empty() { "" } else { " " };
        notes = format!("{notes}{gap}Not on {}.", schedule.except_dates.join(", "));
    }
    // Without a rule it happens once, on its first date.
    let once = if schedule.rrule.trim().is_empty() { schedule.starts_on.as_str() } else { "" };
    let or =
        |stated: &str, otherwise: &str| if stated.trim().is_empty() { otherwise.to_owned() } else { stated.to_owned() };
    let exact = Object::default()
        .text("rrule", &schedule.rrule)
        .text("timezone", &schedule.timezone)
        .text("closes_at", if schedule.closes_at == "24:00" { "24:00" } else { "" })
        .list("except_dates", schedule.except_dates.iter().map(|date| Value::from(date.as_str())).collect());
    let object = Object::with_id(id)
        .text("opens_at", &schedule.opens_at)
        // 24:00 is no time of day to most readers.
        .text("closes_at", if schedule.closes_at == "24:00" { "23:59" } else { &schedule.closes_at })
        .text("dtstart", &schedule.starts_on)
        .text("valid_from", &or(&schedule.valid_from, once))
        .text("valid_to", &or(&schedule.valid_to, once))
        .value("timezone", fixed_offset_hours(&schedule.timezone))
        .text("description", &description)
        .text("notes", &notes)
        .url("schedule_link", &schedule.link)
        .text("attending_type", &schedule.attending_type)
        .value("x_fingerpost", (!exact.is_empty()).then(|| exact.done()));
    match (expressed, rule) {
        (Some(repeat), Some(rule)) => object
            .text("freq", repeat.freq)
            .value("interval", repeat.interval)
            .text("byday", &repeat.byday)
            .text("bymonthday", rule.get("BYMONTHDAY").unwrap_or_default())
            .text("until", &rule.get("UNTIL").map(until).unwrap_or_default())
            .value("count", rule.get("COUNT").and_then(|count| count.parse::<u32>().ok()))
            .text("wkst", rule.get("WKST").filter(|day| WEEKDAYS.contains(day)).unwrap_or_default()),
        _ => object,
    }
    .done()
}

/// A rule in the words of HSDS.
struct Repeat {
    freq: &'static str,
    interval: Option<u32>,
    byday: String,
}

fn express(rule: &Rule<'_>) -> Option<Repeat> {
    let interval = rule.interval();
    let byday = rule.get("BYDAY").unwrap_or_default();
    match rule.get("FREQ")? {
        "DAILY"
            if interval == 1
                && rule.get("COUNT").is_none()
                && rule.only(&["FREQ", "INTERVAL", "BYDAY", "UNTIL", "WKST"]) =>
        {
            let byday = if byday.is_empty() { WEEKDAYS.join(",") } else { byday.to_owned() };
            Some(Repeat { freq: "WEEKLY", interval: Some(1), byday })
        }
        "WEEKLY" if rule.only(&["FREQ", "INTERVAL", "BYDAY", "UNTIL", "COUNT", "WKST"]) => {
            Some(Repeat { freq: "WEEKLY", interval: Some(interval), byday: byday.to_owned() })
        }
        "MONTHLY" if rule.only(&["FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYSETPOS", "UNTIL", "COUNT", "WKST"]) => {
            // "the second Tuesday" has two spellings; HSDS knows the one without BYSETPOS.
            let byday = match rule.get("BYSETPOS") {
                None => byday.to_owned(),
                Some(position) if WEEKDAYS.contains(&byday) && position.parse::<i8>().is_ok() => {
                    format!("{position}{byday}")
                }
                Some(_) => return None,
            };
            Some(Repeat { freq: "MONTHLY", interval: Some(interval), byday })
        }
        _ => None,
    }
}

/// The date of an UNTIL value: `2026-03-01` of `20260301T090000Z`.
fn until(text: &str) -> String {
    match (text.get(0..4), text.get(4..6), text.get(6..8)) {
        (Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => String::new(),
    }
}

/// HSDS gives a zone as a number of hours. Only a zone whose clocks do not change has one.
fn fixed_offset_hours(zone: &str) -> Option<f64> {
    let zone: TimeZone = instant::zone(zone)?;
    // The zone rules that are in force now are the ones that a reader of a schedule needs.
    let since = jiff::Timestamp::from_second(1_767_225_600).ok()?;
    if zone.following(since).next().is_some() {
        return None;
    }
    Some(f64::from(zone.to_offset(since).seconds()) / 3_600.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn render(rrule: &str) -> Value {
        let schedule = v1::Schedule { rrule: rrule.into(), opens_at: "09:00".into(), ..Default::default() };
        one(RecordId::default(), &schedule)
    }

    #[test]
    fn a_daily_rule_becomes_weekly_on_all_days() {
        assert_eq!(render("FREQ=DAILY")["freq"], "WEEKLY");
        assert_eq!(render("FREQ=DAILY")["byday"], "MO,TU,WE,TH,FR,SA,SU");
    }

    #[test]
    fn the_second_tuesday_is_expressed_in_both_spellings() {
        assert_eq!(render("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2")["byday"], "2TU");
        assert_eq!(render("FREQ=MONTHLY;BYDAY=2TU")["byday"], "2TU");
        assert_eq!(render("FREQ=MONTHLY;BYMONTHDAY=15;INTERVAL=2")["interval"], 2);
    }

    #[test]
    fn a_rule_that_hsds_cannot_express_is_kept_as_text() {
        for rule in [
            "FREQ=YEARLY;BYMONTH=12",
            "FREQ=DAILY;INTERVAL=2",
            "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1",
            "FREQ=HOURLY",
            "every day",
        ] {
            let schedule = render(rule);
            assert!(schedule.get("freq").is_none(), "{rule}");
            assert!(schedule["description"].as_str().unwrap().contains(rule), "{rule}");
            assert_eq!(schedule["x_fingerpost"]["rrule"], rule);
        }
    }

    #[test]
    fn only_a_zone_whose_clocks_do_not_change_has_an_offset() {
        assert_eq!(fixed_offset_hours("Asia/Kolkata"), Some(5.5));
        assert_eq!(fixed_offset_hours("Europe/London"), None);
        assert_eq!(fixed_offset_hours("Mars/Olympus"), None);
    }

    #[test]
    fn weekdays_are_read_from_weekly_and_daily_rules_only() {
        let days = |rule: &str| Rule::parse(rule).and_then(|rule| rule.weekdays("2026-03-04"));
        assert_eq!(days("FREQ=WEEKLY;BYDAY=MO,SU"), Some([true, false, false, false, false, false, true]));
        assert_eq!(days("FREQ=WEEKLY"), Some([false, false, true, false, false, false, false]));
        assert_eq!(days("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO"), None);
        assert_eq!(days("FREQ=MONTHLY;BYDAY=MO"), None);
    }
}
