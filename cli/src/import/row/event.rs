//! An event row.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1::{self, Attendance, EventStatus};
use jiff::ToSpan as _;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::super::column::Column;
use super::super::recurrence::{self, First};
use super::super::reference::{Slot, Target};
use super::super::{DraftBody, cell, date, term};
use super::{Row, location, service};

const TRANSLATABLE: [(Column, &str); 2] = [(Column::Name, "name"), (Column::Description, "description")];

const STATUSES: [(&str, EventStatus); 8] = [
    ("scheduled", EventStatus::Scheduled),
    ("cancelled", EventStatus::Cancelled),
    ("postponed", EventStatus::Postponed),
    ("rescheduled", EventStatus::Rescheduled),
    ("canceled", EventStatus::Cancelled),
    ("confirmed", EventStatus::Scheduled),
    ("active", EventStatus::Scheduled),
    ("moved", EventStatus::Rescheduled),
];

const ATTENDANCES: [(&str, Attendance); 7] = [
    ("in-person", Attendance::InPerson),
    ("online", Attendance::Online),
    ("mixed", Attendance::Mixed),
    ("offline", Attendance::InPerson),
    ("face to face", Attendance::InPerson),
    ("virtual", Attendance::Online),
    ("hybrid", Attendance::Mixed),
];

pub(super) fn read(row: &mut Row<'_, '_>) {
    let name = row.name();
    let inline = location::read_inline(row, &name, Slot::Location);
    let common = row.common(&TRANSLATABLE);
    let status_column = if row.peek(Column::EventStatus).is_some() { Column::EventStatus } else { Column::Status };
    let (languages, interpretation) = service::languages(row);
    let mut description = row.text(Column::Description);
    if !interpretation.is_empty() {
        // An event has no field of its own for it.
        description = format!("{description}\n\n{interpretation}").trim().to_owned();
    }
    let mut body = v1::Event {
        local_id: common.local_id.clone(),
        language: common.language,
        translations: common.translations,
        role: common.role,
        assurer_email: common.assurer_email,
        source_url: common.source_url,
        name,
        description,
        status: row.choice(status_column, &STATUSES).unwrap_or_default().into(),
        attendance: row.choice(Column::Attendance, &ATTENDANCES).unwrap_or_default().into(),
        join_url: row.url(Column::JoinUrl),
        url: row.url(Column::Url),
        booking_url: row.url(Column::BookingUrl),
        languages,
        terms: row.list(Column::Topics, term::terms),
        capacity_maximum: row.check(Column::Capacity, |text, findings| cell::number(text, 1, 1_000_000, findings)),
        ..Default::default()
    };
    let contact = v1::Contact { email: row.email(Column::Email), phones: row.phones(), ..Default::default() };
    if contact != v1::Contact::default() {
        body.contacts.push(contact);
    }
    cost(row, &mut body);
    times(row, &mut body);
    if inline.is_none() {
        row.one_only(Column::Location, "location");
        row.refer(Column::Location, Slot::Location, Kind::LOCATION);
    }
    row.one_only(Column::Service, "service");
    row.refer(Column::Service, Slot::Service, Kind::SERVICE);
    row.one_only(Column::Organisation, "organisation");
    if row.raw(Column::Organisation).is_some() {
        row.refer(Column::Organisation, Slot::Organisation, Kind::ORGANISATION);
    } else {
        row.refer_to(Some(Column::Organisation), Slot::Organisation, Kind::ORGANISATION, Target::DefaultOrganisation);
    }
    row.refer_common(Kind::EVENT);
    row.push(common.local_id, DraftBody::Event(Box::new(body)));
}

fn cost(row: &mut Row<'_, '_>, body: &mut v1::Event) {
    let country = row.country.clone();
    let cost = row.check(Column::Cost, |text, findings| term::cost(text, country.as_deref(), findings));
    body.is_free = row.check(Column::IsFree, cell::boolean);
    match (cost, body.is_free) {
        (Some((_, true)), Some(false)) => {
            row.error(Column::IsFree, "no", "but the cost says free", "correct one of the two");
        }
        (Some((cost, false)), Some(true)) if !cost.amount.is_empty() => {
            row.error(
                Column::IsFree,
                "yes",
                format!("but the cost is {} {}", cost.amount, cost.currency),
                "correct one of the two",
            );
        }
        (Some((_, true)), None) => body.is_free = Some(true),
        (Some((_, true)), Some(true)) | (None, _) => {}
        (Some((cost, false)), _) => body.costs.push(cost),
    }
}

/// Start, end, zone, repetition and exceptions.
fn times(row: &mut Row<'_, '_>, body: &mut v1::Event) {
    let default_zone = row.context().default_timezone.clone();
    let named = row.check(Column::Timezone, date::zone);
    let (zone_name, zone) = named.unwrap_or_else(|| {
        let zone = TimeZone::get(&default_zone).unwrap_or(TimeZone::UTC);
        (default_zone, zone)
    });
    if row.raw(Column::Start).is_none() {
        row.error(Column::Start, "", "nothing says when it begins", "write date and time like 2027-03-31 14:30");
        return;
    }
    let start = row.check(Column::Start, |text, findings| date::date_time(text, &zone, findings));
    let Some((start_date, start_time)) = start else { return };
    let all_day = row.check(Column::AllDay, cell::boolean);
    let start_time = match (all_day, start_time) {
        (Some(true), _) => None,
        (Some(false), None) => {
            let found = row.peek(Column::Start).unwrap_or_default();
            row.error(Column::Start, found, "the time is missing, and all_day says no", "add the time, like 14:30");
            return;
        }
        (None, None) => {
            let found = row.peek(Column::Start).unwrap_or_default();
            row.warn(
                Column::Start,
                found,
                "there is no time, so it is read as all day",
                "add the time, or write yes in all_day",
            );
            None
        }
        (_, Some(time)) => Some(time),
    };
    body.all_day = start_time.is_none();
    body.start = text(start_date, start_time);
    if let Some(time) = start_time {
        body.timezone = zone_name;
        row.check(Column::Start, |text, findings| {
            date::check_clock_change(start_date.to_datetime(time), &zone, text, findings);
            Some(())
        });
    }
    end(row, body, start_date, start_time, &zone);
    let first = First { date: start_date, time: start_time, zone: &zone };
    let rule = row.check(Column::Repeat, |text, findings| recurrence::rule(text, &first, findings));
    body.rrule = rule.unwrap_or_default();
    for (column, starts) in [(Column::Except, &mut body.except_starts), (Column::Extra, &mut body.extra_starts)] {
        *starts = row.list(column, |cell_text, findings| {
            let entries = cell::list(cell_text, findings).into_iter();
            let read = entries.filter_map(|entry| date::date_time(entry, &zone, findings));
            // A date alone means the usual time on that day.
            read.map(|(date, time)| text(date, start_time.map(|usual| time.unwrap_or(usual)))).collect()
        });
    }
    if body.rrule.is_empty() && !body.except_starts.is_empty() && row.peek(Column::Repeat).is_none() {
        let found = row.peek(Column::Except).unwrap_or_default();
        row.warn(
            Column::Except,
            found,
            "the event does not repeat, so there is nothing to leave out",
            "fill in repeat, or empty this cell",
        );
    }
}

/// The end: a date and time, a time on the day of the start, or for all-day events the last day.
fn end(row: &mut Row<'_, '_>, body: &mut v1::Event, start_date: Date, start_time: Option<Time>, zone: &TimeZone) {
    let end = row.check(Column::End, |text, findings| match date::parse_time(text) {
        Some(time) if start_time.is_some() => Some((start_date, Some(time))),
        _ => date::date_time(text, zone, findings),
    });
    let (Some((end_date, end_time)), Some(found)) = (end, row.peek(Column::End)) else { return };
    match (start_time, end_time) {
        (Some(_), None) => row.error(Column::End, found, "the time is missing", "add the time, like 16:30"),
        (Some(start_time), Some(end_time)) => {
            if end_date.to_datetime(end_time) <= start_date.to_datetime(start_time) {
                row.error(Column::End, found, "it ends before it begins, or at once", "correct the start or the end");
            }
            body.end = text(end_date, Some(end_time));
        }
        (None, _) => {
            if end_date < start_date {
                row.error(Column::End, found, "it ends before it begins", "correct the start or the end");
            }
            // People write the last day; the record keeps the day after it, as calendars do.
            match end_date.checked_add(1.day()) {
                Ok(after) => body.end = text(after, None),
                Err(_) => row.error(Column::End, found, "too far ahead", "correct the year"),
            }
        }
    }
}

/// `YYYY-MM-DDTHH:MM:SS`, or `YYYY-MM-DD`.
fn text(date: Date, time: Option<Time>) -> String {
    match time {
        Some(time) => format!("{date}T{}", time.strftime("%H:%M:%S")),
        None => date.to_string(),
    }
}
