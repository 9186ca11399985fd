//! Weekday columns become schedules: days with the same opening share one.

use fingerpost_proto::v1;

use super::super::column::Column;
use super::super::hours::Opening;
use super::super::{date, hours};
use super::Row;

/// The schedules of a row; reads the weekday, validity, exception, note and time zone columns.
pub(super) fn schedules(row: &mut Row<'_, '_>) -> Vec<v1::Schedule> {
    let mut days: Vec<(Opening, Vec<&str>)> = Vec::new();
    for (column, code) in Column::WEEKDAYS {
        for opening in row.check(column, hours::openings).unwrap_or_default() {
            match days.iter_mut().find(|(known, _)| *known == opening) {
                Some((_, codes)) => codes.push(code),
                None => days.push((opening, vec![code])),
            }
        }
    }
    let timezone = row.check(Column::Timezone, date::zone).map(|(name, _)| name);
    let timezone = timezone.unwrap_or_else(|| row.context().default_timezone.clone());
    let valid_from = row.check(Column::HoursValidFrom, date::date);
    let valid_to = row.check(Column::HoursValidTo, date::date);
    if let (Some(from), Some(to)) = (valid_from, valid_to)
        && from > to
    {
        row.error(
            Column::HoursValidTo,
            &to.to_string(),
            format!("before the hours begin on {from}"),
            "swap or correct them",
        );
    }
    let except_dates: Vec<String> = row.list(Column::Except, date::dates).iter().map(ToString::to_string).collect();
    let notes = row.text(Column::HoursNotes);
    if days.is_empty() && notes.is_empty() {
        let dates = [Column::HoursValidFrom, Column::HoursValidTo, Column::Except];
        for column in dates {
            if let Some(text) = row.peek(column) {
                row.warn(column, text, "there are no opening hours that this could limit", "write hours, or delete it");
            }
        }
        return Vec::new();
    }
    let text = |date: Option<jiff::civil::Date>| date.map(|date| date.to_string()).unwrap_or_default();
    let schedule = |opens_at, closes_at, rrule, notes| v1::Schedule {
        opens_at,
        closes_at,
        rrule,
        valid_from: text(valid_from),
        valid_to: text(valid_to),
        timezone: timezone.clone(),
        except_dates: except_dates.clone(),
        notes,
        ..Default::default()
    };
    if days.is_empty() {
        return vec![schedule(String::new(), String::new(), String::new(), notes)];
    }
    let mut notes = Some(notes);
    days.into_iter()
        .map(|(opening, codes)| {
            let (opens_at, closes_at) = opening.texts();
            // The notes are about all hours; one copy is enough.
            let rrule = format!("FREQ=WEEKLY;BYDAY={}", codes.join(","));
            schedule(opens_at, closes_at, rrule, notes.take().unwrap_or_default())
        })
        .collect()
}
