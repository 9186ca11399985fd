//! `/events.ics`: the events as one calendar to subscribe to (RFC 5545, 7986).
//!
//! In: event records. Out: a VCALENDAR in which an event keeps its UID for ever, SEQUENCE rises with each version, and what
//! was withdrawn stays as cancelled for as long as the directory remembers it.
//! Spec: `spec/10-feed.md`, section 4.5. Tested: `feed/tests/calendar.rs`, read back by another parser.

use std::collections::BTreeMap;

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::time::{DAY_MS, UnixMillis};
use fingerpost_proto::v1;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Feed;
use super::directory::{Entry, Removed};
use super::hsds::provenance::{modified_ms, publisher_name, role_name};
use super::hsds::schedule::Rule;
use super::instant::{self, Local};
use super::language::Texts;
use super::limits::{CALENDAR_EVENTS_MAX, CALENDAR_PAST_DAYS_MAX, CALENDAR_WITHDRAWN_MAX, CHUNK_RECORDS};
use super::reader::{Reader, body};
use super::reply::{Refusal, Reply};
use super::{safe, structured};
use line::{Lines, quoted};

pub(crate) mod line;
pub(crate) mod zone;

/// SEQUENCE counts seconds from here so that it fits 31 bits until 2088: 2020-01-01T00:00:00Z.
const SEQUENCE_EPOCH_SECONDS: u64 = 1_577_836_800;

/// `GET /events.ics`.
pub(crate) fn events(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let organiser = reader.ask.record("organization_id")?;
    let service = reader.ask.record("service_id")?;
    let directory = reader.directory();
    let now_ms = directory.now_ms();
    let mut zones = BTreeMap::new();
    let mut components = Lines::default();
    let (mut count, mut offset, mut cut_short) = (0, 0, false);
    'all: loop {
        let entries = reader.scan_chunk(Kind::EVENT, offset, CHUNK_RECORDS)?;
        for entry in &entries {
            let Some(event) = body::<v1::Event>(entry) else { continue };
            let wanted = |id: Option<RecordId>, found: &[u8]| id.is_none_or(|id| found == id.as_ref());
            if !wanted(organiser, &event.organiser) || !wanted(service, &event.service) || is_past(&event, now_ms) {
                continue;
            }
            let mut component = Lines::default();
            let written = if count < CALENDAR_EVENTS_MAX {
                write_event(reader, &mut component, &mut zones, entry, &event)
            } else {
                Err(Refusal::PageTooLarge)
            };
            match written {
                Ok(()) => components.append(&component),
                // A calendar has no second page: better the first events than none.
                Err(Refusal::PageTooLarge) => {
                    cut_short = true;
                    break 'all;
                }
                Err(other) => return Err(other),
            }
            count += 1;
        }
        if entries.len() < CHUNK_RECORDS {
            break;
        }
        offset += CHUNK_RECORDS;
    }
    // A withdrawal has no body: it cannot be said whose event it was, so a narrowed calendar leaves it out.
    if organiser.is_none() && service.is_none() {
        for removed in directory.removed(Kind::EVENT, CALENDAR_WITHDRAWN_MAX)? {
            write_removed(&mut components, &removed);
        }
    }
    let name = format!("{}: events", reader.network_name());
    let mut lines = Lines::default();
    lines
        .raw("BEGIN", "VCALENDAR")
        .raw("VERSION", "2.0")
        .raw("PRODID", "-//Fingerpost//Feed 1//EN")
        .raw("CALSCALE", "GREGORIAN")
        .text("NAME", &name)
        .text("X-WR-CALNAME", &name)
        .raw("SOURCE;VALUE=URI", &reader.ask.url("/events.ics"))
        .raw("REFRESH-INTERVAL;VALUE=DURATION", "PT1H")
        .raw("X-PUBLISHED-TTL", "PT1H");
    if cut_short {
        lines.text("X-FINGERPOST-WARNING", &format!("only the first {count} events are listed"));
    }
    for (name, (zone, first)) in &zones {
        zone::write(&mut lines, name, zone, *first, instant::timestamp(now_ms));
    }
    let mut text = lines.done();
    text.push_str(&components.done());
    text.push_str("END:VCALENDAR\r\n");
    let mut reply = Reply::calendar(text);
    reply.content_language = reader.content_language();
    Ok(reply)
}

/// Zones in use, each with the first instant that it must be right for.
type Zones = BTreeMap<String, (TimeZone, Timestamp)>;

/// True when a single event, or the end of a bounded rule, lies back further than the calendar reaches.
fn is_past(event: &v1::Event, now_ms: UnixMillis) -> bool {
    if !event.extra_starts.is_empty() || !event.occurrences.is_empty() {
        return false;
    }
    let last = if event.rrule.is_empty() {
        let end = if event.end.is_empty() { &event.start } else { &event.end };
        Local::parse(end).map(Local::date)
    } else {
        Rule::parse(&event.rrule).and_then(|rule| rule.get("UNTIL").and_then(until_date))
    };
    let oldest = instant::timestamp(now_ms.saturating_sub(u64::from(CALENDAR_PAST_DAYS_MAX) * DAY_MS));
    last.is_some_and(|last| last < oldest.to_zoned(TimeZone::UTC).date())
}

/// A rule by the day or longer. One by the hour or second can keep a calendar program busy for ever; it is said in words.
fn is_harmless(rule: &Rule<'_>) -> bool {
    let fine = ["BYHOUR", "BYMINUTE", "BYSECOND"].iter().all(|part| rule.get(part).is_none());
    fine && rule.get("FREQ").is_some_and(|unit| matches!(unit, "DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY"))
}

fn until_date(until: &str) -> Option<jiff::civil::Date> {
    jiff::civil::Date::strptime("%Y%m%d", until.get(..8)?).ok()
}

/// SEQUENCE of a version signed at this instant.
fn sequence(ms: UnixMillis) -> u32 {
    let seconds = (ms / 1_000).saturating_sub(SEQUENCE_EPOCH_SECONDS);
    u32::try_from(seconds).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

fn utc(ms: UnixMillis) -> String {
    utc_form(instant::timestamp(ms))
}

fn utc_form(timestamp: Timestamp) -> String {
    timestamp.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// How the times of one event are written.
struct Times {
    zone: Option<TimeZone>,
    /// The zone's name when its local times are kept; otherwise instants are written in UTC.
    local_name: Option<String>,
}

impl Times {
    fn of(event: &v1::Event) -> Times {
        let zone = instant::zone(&event.timezone);
        let repeats = !event.rrule.is_empty() || !event.extra_starts.is_empty();
        // A repeating event must keep its zone, or it moves when the clocks change.
        let local_name = (repeats && zone.is_some() && !event.all_day).then(|| event.timezone.clone());
        Times { zone, local_name }
    }

    /// A property with this local time; nothing when it cannot be read.
    fn write(&self, lines: &mut Lines, name: &str, local: Local) {
        match (local, &self.local_name, &self.zone) {
            (Local::Day(date), _, _) => {
                lines.raw(&format!("{name};VALUE=DATE"), &date.strftime("%Y%m%d").to_string());
            }
            (Local::Time(time), Some(zone), _) => {
                lines.raw(&format!("{name};TZID={zone}"), &time.strftime("%Y%m%dT%H%M%S").to_string());
            }
            (Local::Time(time), None, zone) => match zone.as_ref().and_then(|zone| local.instant(zone)) {
                Some(instant) => {
                    lines.raw(name, &utc_form(instant));
                }
                // Without a known zone it is what the clock on the wall shows.
                None => {
                    lines.raw(name, &time.strftime("%Y%m%dT%H%M%S").to_string());
                }
            },
        }
    }

    /// The rule with an UNTIL in the form that its start asks for: a date for all-day events, UTC where a zone is kept.
    fn rule(&self, text: &str, start: Local) -> Option<String> {
        let rule = Rule::parse(text).filter(is_harmless)?;
        let Some(until) = rule.get("UNTIL") else { return Some(text.trim().to_owned()) };
        let date = until_date(until)?;
        let written = match start {
            Local::Day(_) => date.strftime("%Y%m%d").to_string(),
            Local::Time(_) if until.ends_with('Z') => until.to_owned(),
            Local::Time(_) => {
                let time = until.get(9..15).and_then(|time| jiff::civil::Time::strptime("%H%M%S", time).ok());
                let last = date.to_datetime(time.unwrap_or(jiff::civil::Time::constant(23, 59, 59, 0)));
                match self.zone.as_ref().and_then(|zone| Local::Time(last).instant(zone)) {
                    Some(instant) => utc_form(instant),
                    None => last.strftime("%Y%m%dT%H%M%S").to_string(),
                }
            }
        };
        let parts = text.trim().split(';').map(|part| match part.split_once('=') {
            Some((key, _)) if key.eq_ignore_ascii_case("UNTIL") => format!("UNTIL={written}"),
            _ => part.to_owned(),
        });
        Some(parts.collect::<Vec<_>>().join(";"))
    }
}

fn write_event(
    reader: &Reader<'_>,
    lines: &mut Lines,
    zones: &mut Zones,
    entry: &Entry,
    event: &v1::Event,
) -> Result<(), Refusal> {
    let Some(start) = Local::parse(&event.start) else { return Ok(()) };
    let texts = Texts::choose(&event.language, &event.translations, &reader.ask.languages);
    let times = Times::of(event);
    if let (Some(name), Some(zone)) = (&times.local_name, &times.zone)
        && let Some(first) = start.instant(zone)
    {
        let known = zones.entry(name.clone()).or_insert_with(|| (zone.clone(), first));
        known.1 = known.1.min(first);
    }
    let place = location_text(reader, &event.location)?
        .unwrap_or_else(|| texts.get("location_text", &event.location_text).to_owned());
    let rule = times.rule(&event.rrule, start);
    let header = |lines: &mut Lines| {
        let signed_ms = entry.hlc.ms();
        lines
            .raw("BEGIN", "VEVENT")
            .raw("UID", &entry.record.to_string())
            .raw("DTSTAMP", &utc(signed_ms))
            .raw("LAST-MODIFIED", &utc(modified_ms(entry, event.modified_ms)))
            .raw("SEQUENCE", &sequence(signed_ms).to_string());
    };
    header(lines);
    times.write(lines, "DTSTART", start);
    if let Some(end) = Local::parse(&event.end).filter(|end| *end > start) {
        times.write(lines, "DTEND", end);
    }
    if let Some(rule) = &rule {
        lines.raw("RRULE", rule);
    }
    for (name, list) in [("EXDATE", &event.except_starts), ("RDATE", &event.extra_starts)] {
        for local in list.iter().filter_map(|text| Local::parse(text)) {
            times.write(lines, name, local);
        }
    }
    lines.raw("STATUS", status(event.status()));
    write_texts(reader, lines, entry, event, &texts, &place, event.rrule.is_empty() || rule.is_some())?;
    lines.raw("END", "VEVENT");
    for occurrence in &event.occurrences {
        let Some(original) = Local::parse(&occurrence.original_start) else { continue };
        let moved = Local::parse(&occurrence.start).unwrap_or(original);
        header(lines);
        times.write(lines, "RECURRENCE-ID", original);
        times.write(lines, "DTSTART", moved);
        if let Some(end) = occurrence_end(event, occurrence, start, moved) {
            times.write(lines, "DTEND", end);
        }
        let place = location_text(reader, &occurrence.location)?.unwrap_or_else(|| place.clone());
        lines
            .raw("STATUS", status(occurrence.status()))
            .text("SUMMARY", texts.get("name", &event.name))
            .text("DESCRIPTION", &occurrence.note)
            .text("LOCATION", &place)
            .raw("END", "VEVENT");
    }
    reader.note_languages(&texts);
    Ok(())
}

/// End of an occurrence: its own, or as long after its start as the event's.
fn occurrence_end(event: &v1::Event, occurrence: &v1::Occurrence, start: Local, moved: Local) -> Option<Local> {
    if let Some(end) = Local::parse(&occurrence.end) {
        return (end > moved).then_some(end);
    }
    let end = Local::parse(&event.end).filter(|end| *end > start)?;
    let length = end.time().duration_since(start.time());
    match moved {
        Local::Day(date) => date.checked_add(length).ok().map(Local::Day),
        Local::Time(time) => time.checked_add(length).ok().map(Local::Time),
    }
}

fn write_texts(
    reader: &Reader<'_>,
    lines: &mut Lines,
    entry: &Entry,
    event: &v1::Event,
    texts: &Texts<'_>,
    place: &str,
    rule_written: bool,
) -> Result<(), Refusal> {
    let publisher = publisher_name(entry);
    let confirmed = instant::date_for_people(entry.hlc.ms());
    let mut description = texts.get("description", &event.description).trim().to_owned();
    let mut add = |text: String| {
        if !description.is_empty() {
            description.push_str("\n\n");
        }
        description.push_str(&text);
    };
    if !event.status_note.trim().is_empty() {
        add(texts.get("status_note", &event.status_note).to_owned());
    }
    if event.status() == v1::EventStatus::Postponed {
        add("Postponed: the new date is not known yet.".to_owned());
    }
    if !rule_written {
        add(format!("Repeats: {}", event.rrule));
    }
    add(format!("Published by {publisher}. Last confirmed {confirmed}."));
    let organiser = reader.linked(&event.organiser, Kind::ORGANISATION)?;
    let organiser_body = organiser.as_deref().and_then(body::<v1::Organisation>);
    let organiser_name = organiser_body.as_ref().map_or(publisher.clone(), |organiser| {
        Texts::choose(&organiser.language, &organiser.translations, &reader.ask.languages)
            .get("name", &organiser.name)
            .to_owned()
    });
    let email = event
        .contacts
        .iter()
        .map(|contact| contact.email.as_str())
        .chain(organiser_body.as_ref().map(|organiser| organiser.email.as_str()))
        .find_map(safe::email);
    let address = email
        .map_or_else(|| reader.ask.url(&format!("/directory/{}", entry.record)), |email| format!("mailto:{email}"));
    let categories: Vec<&str> = event.terms.iter().map(|term| term.label.as_str()).collect();
    let url = safe::web_address(&event.url).unwrap_or_else(|| reader.ask.url(&format!("/directory/{}", entry.record)));
    lines
        .text("SUMMARY", texts.get("name", &event.name))
        .text("DESCRIPTION", &description)
        .text("LOCATION", place)
        .texts("CATEGORIES", &categories)
        .raw("URL", &url)
        .raw(&format!("ORGANIZER;CN={}", quoted(&organiser_name)), &address);
    if let Some(join) = safe::web_address(&event.join_url) {
        lines.raw("CONFERENCE;VALUE=URI;FEATURE=VIDEO", &join);
    }
    if let Some((latitude, longitude)) = position(reader, &event.location)? {
        lines.raw("GEO", &format!("{latitude};{longitude}"));
    }
    lines
        .text("X-FINGERPOST-PUBLISHER", &entry.org.to_string())
        .text("X-FINGERPOST-ROLE", role_name(event.role()))
        .raw("X-FINGERPOST-LAST-CONFIRMED", &utc(entry.hlc.ms()))
        .raw("X-FINGERPOST-LEASE-UNTIL", &utc(entry.lease_until.start_ms()));
    Ok(())
}

/// An event that is no longer there. When it was to be is forgotten with its body, so the day of its end stands in.
fn write_removed(lines: &mut Lines, removed: &Removed) {
    let day = instant::timestamp(removed.at_ms).strftime("%Y%m%d").to_string();
    lines
        .raw("BEGIN", "VEVENT")
        .raw("UID", &removed.record.to_string())
        .raw("DTSTAMP", &utc(removed.at_ms))
        .raw("LAST-MODIFIED", &utc(removed.at_ms))
        .raw("SEQUENCE", &sequence(removed.at_ms).to_string())
        .raw("DTSTART;VALUE=DATE", &day)
        .raw("STATUS", "CANCELLED")
        .raw("TRANSP", "TRANSPARENT")
        .text("SUMMARY", "Withdrawn")
        .raw("END", "VEVENT");
}

/// iCalendar has no word for postponed: such an event is not settled.
fn status(status: v1::EventStatus) -> &'static str {
    match status {
        v1::EventStatus::Cancelled => "CANCELLED",
        v1::EventStatus::Postponed => "TENTATIVE",
        _ => "CONFIRMED",
    }
}

fn location_text(reader: &Reader<'_>, id: &[u8]) -> Result<Option<String>, Refusal> {
    let Some(location) = reader.linked(id, Kind::LOCATION)?.as_deref().and_then(body::<v1::Location>) else {
        return Ok(None);
    };
    let texts = Texts::choose(&location.language, &location.translations, &reader.ask.languages);
    let mut parts = vec![texts.get("name", &location.name).to_owned()];
    if location.r#type() == v1::LocationType::Withheld {
        parts.extend(location.areas.first().map(|area| area.name.clone()));
    } else if let Some(address) = location.addresses.first() {
        parts.extend(structured::address_lines(address));
    }
    parts.retain(|part| !part.trim().is_empty());
    Ok(Some(parts.join(", ")))
}

/// Position in degrees; a withheld place has none.
fn position(reader: &Reader<'_>, id: &[u8]) -> Result<Option<(f64, f64)>, Refusal> {
    let Some(location) = reader.linked(id, Kind::LOCATION)?.as_deref().and_then(body::<v1::Location>) else {
        return Ok(None);
    };
    if location.r#type() == v1::LocationType::Withheld {
        return Ok(None);
    }
    let both = location.latitude_e7.zip(location.longitude_e7);
    Ok(both.map(|(latitude, longitude)| (f64::from(latitude) / 1e7, f64::from(longitude) / 1e7)))
}
