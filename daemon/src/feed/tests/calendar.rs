//! The calendar, read back by another program's parser.

use std::collections::BTreeSet;
use std::sync::Arc;

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use icalendar::parser::{Component, read_calendar, unfold};

use super::{feed_of, get};
use crate::feed::limits::CALENDAR_EVENTS_MAX;
use crate::feed::memory::{HOSTILE, MemoryDirectory, id, rich_directory, rich_event};

/// The calendar as text; every line is checked for its length.
async fn calendar(directory: &Arc<MemoryDirectory>, query: &str) -> String {
    let got = get(&feed_of(directory), &format!("/events.ics{query}")).await;
    assert!(got.header("content-type").starts_with("text/calendar"));
    let text = got.text();
    assert!(text.ends_with("END:VCALENDAR\r\n"));
    for line in text.split("\r\n") {
        assert!(line.len() <= 75, "{line}");
        assert!(!line.contains(['\r', '\n']), "{line:?}");
    }
    unfold(&text)
}

fn property(component: &Component<'_>, name: &str) -> String {
    component.find_prop(name).map(|property| property.val.to_string()).unwrap_or_default()
}

fn parameter(component: &Component<'_>, name: &str, key: &str) -> String {
    let property = component.find_prop(name).unwrap();
    let found = property.params.iter().find(|parameter| parameter.key == key);
    found.and_then(|parameter| parameter.val.as_ref()).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn a_weekly_event_keeps_its_zone_rule_and_exceptions() {
    let directory = Arc::new(rich_directory());
    let text = calendar(&directory, "").await;
    let parsed = read_calendar(&text).unwrap();
    let zones: Vec<_> = parsed.components.iter().filter(|c| c.name == "VTIMEZONE").collect();
    assert_eq!(zones.len(), 1);
    assert_eq!(property(zones[0], "TZID"), "Europe/London");
    let events: Vec<_> = parsed.components.iter().filter(|c| c.name == "VEVENT").collect();
    assert_eq!(events.len(), 3);
    let uids: BTreeSet<String> = events.iter().map(|event| property(event, "UID")).collect();
    assert_eq!(uids, BTreeSet::from([id(Kind::EVENT, "class").to_string()]));
    let main = events[0];
    assert_eq!(property(main, "DTSTART"), "20260303T180000");
    assert_eq!(parameter(main, "DTSTART", "TZID"), "Europe/London");
    // The last moment of the last day, which is in summer time.
    assert_eq!(property(main, "RRULE"), "FREQ=WEEKLY;BYDAY=TU;UNTIL=20260630T225959Z");
    assert_eq!(property(main, "EXDATE"), "20260407T180000");
    assert_eq!(property(main, "RDATE"), "20260409T180000");
    assert_eq!(property(main, "DTSTAMP"), "20260301T093000Z");
    assert_eq!(property(main, "LAST-MODIFIED"), "20260301T092959Z");
    assert_eq!(property(main, "SEQUENCE"), "194520600");
    assert_eq!(property(main, "STATUS"), "CONFIRMED");
    assert_eq!(property(main, "ORGANIZER"), "mailto:desk@harbour.example");
    assert_eq!(property(main, "GEO"), "52.5;1.5");
    assert!(property(main, "LOCATION").contains("1 Quay Street"), "{}", property(main, "LOCATION"));
    assert!(property(main, "DESCRIPTION").contains("Last confirmed 1 March 2026"));
    assert!(text.contains("CATEGORIES:Learning\\, languages\r\n"), "{text}");
    assert_eq!(property(events[1], "RECURRENCE-ID"), "20260310T180000");
    assert_eq!(property(events[1], "DTSTART"), "20260310T190000");
    assert_eq!(property(events[1], "DTEND"), "20260310T203000");
    assert_eq!(property(events[2], "STATUS"), "CANCELLED");
    for wanted in ["NAME:", "REFRESH-INTERVAL;VALUE=DURATION:PT1H", "X-WR-CALNAME:", "VERSION:2.0"] {
        assert!(text.contains(wanted), "{wanted}");
    }
}

#[tokio::test]
async fn single_events_are_in_utc_and_days_are_days() {
    let directory = Arc::new(MemoryDirectory::default());
    let single = v1::Event {
        name: "Summer party".into(),
        start: "2026-07-04T14:00:00".into(),
        end: "2026-07-04T16:00:00".into(),
        timezone: "Europe/London".into(),
        status: v1::EventStatus::Cancelled.into(),
        ..Default::default()
    };
    directory.publish(Kind::EVENT, "party", &single);
    let days = v1::Event {
        name: "Week".into(),
        start: "2026-08-01".into(),
        end: "2026-08-08".into(),
        all_day: true,
        ..Default::default()
    };
    directory.publish(Kind::EVENT, "week", &days);
    let lost = v1::Event { start: "2026-09-01T10:00:00".into(), timezone: "Mars/Olympus".into(), ..days.clone() };
    directory.publish(Kind::EVENT, "lost", &lost);
    directory.publish(Kind::EVENT, "unreadable", &v1::Event { start: "soon".into(), ..single.clone() });
    let text = calendar(&directory, "").await;
    assert!(text.contains("DTSTART:20260704T130000Z\r\nDTEND:20260704T150000Z\r\nSTATUS:CANCELLED\r\n"), "{text}");
    assert!(text.contains("DTSTART;VALUE=DATE:20260801\r\nDTEND;VALUE=DATE:20260808\r\n"));
    assert!(text.contains("DTSTART:20260901T100000\r\n"));
    assert!(!text.contains("VTIMEZONE"));
    assert_eq!(text.matches("BEGIN:VEVENT").count(), 3);
}

#[tokio::test]
async fn a_withdrawn_event_stays_as_cancelled_with_a_higher_sequence() {
    let directory = Arc::new(rich_directory());
    directory.withdraw(id(Kind::EVENT, "class"));
    let text = calendar(&directory, "").await;
    let parsed = read_calendar(&text).unwrap();
    let event = parsed.components.iter().find(|c| c.name == "VEVENT").unwrap();
    assert_eq!(property(event, "UID"), id(Kind::EVENT, "class").to_string());
    assert_eq!(property(event, "STATUS"), "CANCELLED");
    assert_eq!(property(event, "SEQUENCE"), "194520660");
    assert!(!property(event, "DTSTART").is_empty());
}

#[tokio::test]
async fn events_that_are_long_over_are_left_out() {
    let directory = Arc::new(MemoryDirectory::default());
    let event = |start: &str, rrule: &str| v1::Event {
        name: "x".into(),
        start: start.into(),
        rrule: rrule.into(),
        timezone: "Europe/London".into(),
        ..Default::default()
    };
    directory.publish(Kind::EVENT, "old", &event("2026-01-29T10:00:00", ""));
    directory.publish(Kind::EVENT, "recent", &event("2026-01-30T10:00:00", ""));
    directory.publish(Kind::EVENT, "endless", &event("2020-01-01T10:00:00", "FREQ=WEEKLY"));
    directory.publish(Kind::EVENT, "ended", &event("2020-01-01T10:00:00", "FREQ=WEEKLY;UNTIL=20201231"));
    let text = calendar(&directory, "").await;
    let listed: Vec<bool> =
        ["old", "recent", "endless", "ended"].map(|name| text.contains(&id(Kind::EVENT, name).to_string())).to_vec();
    assert_eq!(listed, [false, true, true, false]);
}

#[tokio::test]
async fn a_calendar_can_be_narrowed_to_one_organisation_or_service() {
    let directory = Arc::new(rich_directory());
    let other = v1::Event { name: "Other".into(), start: "2026-05-01".into(), all_day: true, ..Default::default() };
    directory.publish(Kind::EVENT, "other", &other);
    let count = async |query: &str| calendar(&directory, query).await.matches("BEGIN:VEVENT").count();
    assert_eq!(count("").await, 4);
    assert_eq!(count(&format!("?organization_id={}", id(Kind::ORGANISATION, "forum"))).await, 3);
    assert_eq!(count(&format!("?service_id={}", id(Kind::SERVICE, "drop-in"))).await, 3);
    assert_eq!(count(&format!("?service_id={}", id(Kind::SERVICE, "none"))).await, 0);
    assert!(calendar(&directory, "?lang=fa").await.contains("SUMMARY:صنف انگلیسی"));
}

#[tokio::test]
async fn hostile_texts_cannot_add_lines_to_the_calendar() {
    let directory = Arc::new(rich_directory());
    let mut event = rich_event();
    for field in [
        &mut event.name,
        &mut event.description,
        &mut event.url,
        &mut event.join_url,
        &mut event.status_note,
        &mut event.terms[0].label,
        &mut event.contacts[0].email,
        &mut event.location_text,
        &mut event.occurrences[0].note,
        &mut event.rrule,
        &mut event.except_starts[0],
    ] {
        *field = HOSTILE.to_owned();
    }
    event.location = Vec::new();
    event.organiser = Vec::new();
    directory.publish(Kind::EVENT, "class", &event);
    directory.publish(Kind::EVENT, "zone", &v1::Event { timezone: "Europe/London\r\nX:y".into(), ..rich_event() });
    let text = calendar(&directory, "").await;
    assert!(!text.contains("\r\nATTENDEE") && !text.contains("\r\nX:y"), "{text}");
    let parsed = read_calendar(&text).unwrap();
    assert!(parsed.components.iter().all(|component| component.find_prop("ATTENDEE").is_none()));
    let main = parsed
        .components
        .iter()
        .find(|c| c.name == "VEVENT" && property(c, "UID") == id(Kind::EVENT, "class").to_string());
    let summary = property(main.unwrap(), "SUMMARY");
    assert!(summary.contains("</script>") && summary.contains("ATTENDEE:mailto:x@x.example"), "{summary}");
}

#[tokio::test]
async fn a_calendar_holds_its_limit_of_events_and_says_when_there_are_more() {
    let directory = Arc::new(MemoryDirectory::default());
    let event = v1::Event { name: "x".into(), start: "2026-05-01".into(), all_day: true, ..Default::default() };
    for number in 0..CALENDAR_EVENTS_MAX {
        directory.publish(Kind::EVENT, &number.to_string(), &event);
    }
    let text = calendar(&directory, "").await;
    assert_eq!(text.matches("BEGIN:VEVENT").count(), CALENDAR_EVENTS_MAX);
    assert!(!text.contains("X-FINGERPOST-WARNING"));
    directory.publish(Kind::EVENT, "one more", &event);
    let text = calendar(&directory, "").await;
    assert_eq!(text.matches("BEGIN:VEVENT").count(), CALENDAR_EVENTS_MAX);
    assert!(text.contains("X-FINGERPOST-WARNING:only the first 5000 events are listed"));
}

#[tokio::test]
async fn a_rule_that_would_keep_a_calendar_program_busy_is_only_said() {
    let directory = Arc::new(MemoryDirectory::default());
    for (name, rrule) in [("second", "FREQ=SECONDLY"), ("minute", "FREQ=DAILY;BYMINUTE=0,1,2"), ("day", "FREQ=DAILY")] {
        directory.publish(
            Kind::EVENT,
            name,
            &v1::Event { rrule: rrule.into(), occurrences: Vec::new(), ..rich_event() },
        );
    }
    let text = calendar(&directory, "").await;
    let rules: Vec<&str> = text.lines().filter(|line| line.starts_with("RRULE:") && !line.contains("YEARLY")).collect();
    assert_eq!(rules, ["RRULE:FREQ=DAILY"]);
    assert!(text.contains("Repeats: FREQ=SECONDLY"));
}
