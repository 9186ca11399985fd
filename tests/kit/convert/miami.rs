//! Miami's 211 directory (HSDS 1.1 tables) becomes one template file.
//!
//! Ids are the integers of the source. Eligibility rows lost their service in the export and are only counted.

use std::collections::BTreeMap;
use std::path::Path;

use fingerpost_cli::import::hours;

use super::{
    ConvertError, Converted, SourceRow, TemplateRow, entry, make_folder, read_table, template_row, value, write_table,
};

/// Converts the tables in `source` into `out/miami.csv`. Creates `out`, overwrites the file.
pub fn convert(source: &Path, out: &Path) -> Result<Converted, ConvertError> {
    make_folder(out)?;
    let table = |name: &str| read_table(&source.join(name));
    let (organisations, services, locations) =
        (table("organizations.csv")?, table("services.csv")?, table("locations.csv")?);
    let addresses = by(table("physical_addresses.csv")?, "location_id");
    let accessibility = by(table("accessibility_for_disabilities.csv")?, "location_id");
    let service_locations = by(table("services_at_location.csv")?, "service_id");
    let schedules = by(table("regular_schedules.csv")?, "service_id");
    let languages = by(table("languages.csv")?, "service_id");
    let phones = by(table("phones.csv")?, "service_id");
    let lost = table("eligibility.csv")?.iter().filter(|row| value(row, "service_id").is_empty()).count();

    let mut warnings = vec![format!("{lost} eligibility rows name no service and are left out")];
    let rows_of = |table: &BTreeMap<String, Vec<SourceRow>>, id: &str| table.get(id).cloned().unwrap_or_default();
    let mut rows: Vec<TemplateRow> = organisations.iter().map(organisation).collect();
    for location in &locations {
        let id = value(location, "id");
        rows.push(location_row(location, &rows_of(&addresses, id), &rows_of(&accessibility, id), &mut warnings));
    }
    for service in &services {
        let id = value(service, "id");
        let mut row = service_row(service, &mut warnings);
        let list = |rows: &[SourceRow], column: &str| {
            let entries = rows.iter().flat_map(|row| prose(value(row, column)).lines().map(entry).collect::<Vec<_>>());
            entries.filter(|entry| !entry.is_empty()).collect::<Vec<_>>().join("; ")
        };
        row.insert("location", list(&rows_of(&service_locations, id), "location_id"));
        row.insert("languages", list(&rows_of(&languages, id), "language"));
        let numbers = rows_of(&phones, id).iter().map(phone).filter(|phone| !phone.is_empty()).collect::<Vec<_>>();
        row.insert("phone", numbers.join("; "));
        opening_hours(&rows_of(&schedules, id), id, &mut row, &mut warnings);
        rows.push(row);
    }
    let file = out.join("miami.csv");
    write_table(&file, &rows)?;
    Ok(Converted {
        files: vec![file],
        source_records: (organisations.len() + services.len() + locations.len()) as u64,
        rows_written: rows.len() as u64,
        warnings,
    })
}

/// The rows of a table under the id they belong to.
fn by(rows: Vec<SourceRow>, column: &str) -> BTreeMap<String, Vec<SourceRow>> {
    let mut table: BTreeMap<String, Vec<SourceRow>> = BTreeMap::new();
    for row in rows {
        table.entry(value(&row, column).to_owned()).or_default().push(row);
    }
    table
}

/// Texts carry line breaks as a backslash and an n.
fn prose(text: &str) -> String {
    text.replace("\\n", "\n").trim().to_owned()
}

fn organisation(row: &SourceRow) -> TemplateRow {
    template_row([
        ("kind", "organisation".into()),
        ("id", value(row, "id").into()),
        ("name", value(row, "name").into()),
        ("alternate_name", value(row, "alternate_name").into()),
        ("description", prose(value(row, "description"))),
        ("email", value(row, "email").into()),
        ("url", value(row, "url").into()),
        ("legal_status", value(row, "legal_status").into()),
        ("year_founded", value(row, "year_incorporated").into()),
        ("role", "compiler".into()),
    ])
}

fn location_row(
    row: &SourceRow,
    addresses: &[SourceRow],
    accessibility: &[SourceRow],
    warnings: &mut Vec<String>,
) -> TemplateRow {
    let id = value(row, "id");
    if addresses.len() > 1 {
        warnings.push(format!("location {id}: {} addresses, the first is kept", addresses.len()));
    }
    let address = |column: &str| addresses.first().map_or("", |address| value(address, column)).to_owned();
    let access: Vec<String> = accessibility
        .iter()
        .map(|row| entry(&prose(&format!("{} {}", value(row, "accessibility"), value(row, "details")))))
        .filter(|text| !text.is_empty())
        .collect();
    template_row([
        ("kind", "location".into()),
        ("id", id.into()),
        ("name", value(row, "name").into()),
        ("alternate_name", value(row, "alternate_name").into()),
        ("description", prose(value(row, "description"))),
        ("transport", prose(value(row, "transportation"))),
        ("latitude", value(row, "latitude").into()),
        ("longitude", value(row, "longitude").into()),
        ("address_1", address("address_1")),
        ("address_2", address("address_2")),
        ("city", address("city")),
        ("region", address("region")),
        ("state_province", address("state_province")),
        ("postal_code", address("postal_code")),
        ("country", "US".into()),
        ("accessibility", access.join("; ")),
    ])
}

fn service_row(row: &SourceRow, warnings: &mut Vec<String>) -> TemplateRow {
    for column in ["accreditations", "licenses"] {
        if !value(row, column).is_empty() {
            warnings.push(format!("service {}: {column} has no column in the template", value(row, "id")));
        }
    }
    template_row([
        ("kind", "service".into()),
        ("id", value(row, "id").into()),
        ("name", value(row, "name").into()),
        ("alternate_name", value(row, "alternate_name").into()),
        ("organisation", value(row, "organization_id").into()),
        ("description", prose(value(row, "description"))),
        ("url", value(row, "url").into()),
        ("email", value(row, "email").into()),
        ("status", value(row, "status").into()),
        ("interpretation", prose(value(row, "interpretation_services"))),
        ("application", prose(value(row, "application_process"))),
        ("wait_time", prose(value(row, "wait_time"))),
        ("fees", prose(value(row, "fees"))),
        ("country", "US".into()),
        ("timezone", "America/New_York".into()),
        ("role", "compiler".into()),
    ])
}

fn phone(row: &SourceRow) -> String {
    let number = entry(value(row, "number")).replace(':', " ");
    match value(row, "extension") {
        "" => number,
        extension if number.is_empty() => extension.to_owned(),
        extension => format!("{number} ext. {}", entry(extension)),
    }
}

/// Weekday cells of what can be read, and the original words of what cannot.
fn opening_hours(schedules: &[SourceRow], service: &str, row: &mut TemplateRow, warnings: &mut Vec<String>) {
    let mut notes: Vec<String> = Vec::new();
    let mut keep = |schedule: &SourceRow, reason: &str| {
        let original = prose(value(schedule, "original_text"));
        let words = if original.is_empty() {
            format!("{} {} {}", value(schedule, "weekday"), value(schedule, "opens_at"), value(schedule, "closes_at"))
        } else {
            original
        };
        warnings.push(format!("service {service}: {words:?}: {reason}; moved to hours_notes"));
        if !notes.contains(&words) {
            notes.push(words);
        }
    };
    for schedule in schedules {
        let column = match value(schedule, "weekday") {
            "Monday" => "monday",
            "Tuesday" => "tuesday",
            "Wednesday" => "wednesday",
            "Thursday" => "thursday",
            "Friday" => "friday",
            "Saturday" => "saturday",
            "Sunday" => "sunday",
            _ => {
                keep(schedule, "no weekday");
                continue;
            }
        };
        let hours = format!("{}-{}", value(schedule, "opens_at"), value(schedule, "closes_at"));
        let known = row.get(column).map_or("", String::as_str);
        let joined = if known.is_empty() || known == hours { hours.clone() } else { format!("{known}, {hours}") };
        match hours::read(&hours).and_then(|_| hours::read(&joined)) {
            Ok(_) => {
                row.insert(column, joined);
            }
            Err((reason, _)) => keep(schedule, &reason),
        }
    }
    if !notes.is_empty() {
        row.insert("hours_notes", notes.join("; "));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use fingerpost_cli::import::{self, ImportContext, Severity};
    use fingerpost_proto::id::OrgId;

    use super::*;
    use crate::convert::shared_data;

    #[test]
    fn a_schedule_that_cannot_be_read_keeps_its_words() {
        let schedule = |opens: &str, closes: &str| -> SourceRow {
            let cells =
                [("weekday", "Monday"), ("opens_at", opens), ("closes_at", closes), ("original_text", "in words")];
            cells.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
        };
        let (mut row, mut warnings) = (TemplateRow::new(), Vec::new());
        let schedules = [schedule("9:00am", "12:00pm"), schedule("1:00pm", "5:00pm"), schedule("", "")];
        opening_hours(&schedules, "1", &mut row, &mut warnings);
        assert_eq!(
            (row["monday"].as_str(), row["hours_notes"].as_str()),
            ("9:00am-12:00pm, 1:00pm-5:00pm", "in words")
        );
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn every_record_of_the_real_data_is_imported_or_listed() {
        let Some(source) = shared_data("real-directories/miami-open211") else { return };
        let out = tempfile::tempdir().unwrap();
        let converted = convert(&source, out.path()).unwrap();
        assert_eq!((converted.source_records, converted.rows_written), (1_074 + 2 * 4_089, 1_074 + 2 * 4_089));
        let context = ImportContext {
            default_country: Some("US".into()),
            default_timezone: "America/New_York".into(),
            ..ImportContext::new(OrgId([9; 32]))
        };
        let import = import::read(&converted.files, &context).unwrap();
        let mut reasons: BTreeMap<(Severity, String, String), u64> = BTreeMap::new();
        for problem in &import.problems {
            let column = problem.column.clone().unwrap_or_default();
            *reasons.entry((problem.severity, column, problem.reason.clone())).or_default() += 1;
            if problem.severity == Severity::Error {
                println!(
                    "row {}: {:?} {:?}: {}",
                    problem.row.unwrap_or_default(),
                    problem.column,
                    problem.found,
                    problem.reason
                );
            }
        }
        for ((severity, column, reason), count) in &reasons {
            println!("{count:6} {severity:?} {column}: {reason}");
        }
        println!(
            "miami: {} rows = {} drafts + {} rejected; {} problems (+{}), {} moved by the converter",
            import.rows_read,
            import.drafts.len(),
            import.rows_rejected,
            import.problems.len(),
            import.problems_more,
            converted.warnings.len()
        );
        assert_eq!(import.rows_read, converted.source_records);
        assert_eq!(import.drafts.len() as u64 + import.rows_rejected, import.rows_read);
    }
}
