//! UK public libraries: one CSV per council becomes one template file per publisher.
//!
//! A library becomes a location and a service with the same id; the council becomes the organisation.

use std::collections::BTreeSet;
use std::path::Path;

use fingerpost_cli::import::hours;

use super::{
    ConvertError, Converted, SourceRow, TemplateRow, entry, make_folder, read_table, template_row, value, write_table,
};

const WEEKDAYS: [(&str, &str); 7] = [
    ("Monday", "monday"),
    ("Tuesday", "tuesday"),
    ("Wednesday", "wednesday"),
    ("Thursday", "thursday"),
    ("Friday", "friday"),
    ("Saturday", "saturday"),
    ("Sunday", "sunday"),
];

/// Converts every CSV file in `source` into a file of the same name in `out`. Creates `out`, overwrites files in it.
pub fn convert(source: &Path, out: &Path) -> Result<Converted, ConvertError> {
    make_folder(out)?;
    let folder_error = |error| ConvertError::Folder { path: source.to_owned(), source: error };
    let mut paths = Vec::new();
    for found in std::fs::read_dir(source).map_err(folder_error)? {
        paths.push(found.map_err(folder_error)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    paths.sort();
    let mut converted = Converted::default();
    for path in paths {
        let publisher = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let libraries = read_table(&path)?;
        let rows = publisher_rows(&publisher, &libraries, &mut converted.warnings);
        let file = out.join(format!("{publisher}.csv"));
        write_table(&file, &rows)?;
        converted.source_records += 1 + 2 * libraries.len() as u64;
        converted.rows_written += rows.len() as u64;
        converted.files.push(file);
    }
    Ok(converted)
}

fn publisher_rows(publisher: &str, libraries: &[SourceRow], warnings: &mut Vec<String>) -> Vec<TemplateRow> {
    let council = libraries.first().map_or("", |row| value(row, "Local authority"));
    let mut rows = vec![template_row([
        ("kind", "organisation".into()),
        ("id", publisher.into()),
        ("name", council.into()),
        // Records of organisations must have one; the source has none.
        ("description", format!("Public libraries of {council}")),
        ("role", "owner".into()),
    ])];
    let mut ids = BTreeSet::new();
    for library in libraries {
        let id = free_id(value(library, "Library name"), &mut ids);
        rows.push(location(&id, library));
        rows.push(service(&id, publisher, library, warnings));
    }
    rows
}

fn location(id: &str, library: &SourceRow) -> TemplateRow {
    let cell = |column: &str| value(library, column).to_owned();
    let has_place = ["Address 1", "Address 2", "Address 3", "Postcode"].iter().any(|name| !cell(name).is_empty());
    template_row([
        ("kind", "location".into()),
        ("id", id.into()),
        ("name", cell("Library name")),
        ("address_1", cell("Address 1")),
        ("address_2", cell("Address 2")),
        ("city", cell("Address 3")),
        ("postal_code", cell("Postcode")),
        ("country", "GB".into()),
        ("uprn", cell("Unique property reference number")),
        // Without an address the importer asks; a library van, for instance, has none.
        ("location_type", if has_place { "physical".into() } else { String::new() }),
    ])
}

fn service(id: &str, publisher: &str, library: &SourceRow, warnings: &mut Vec<String>) -> TemplateRow {
    let cell = |column: &str| value(library, column).to_owned();
    let mut notes: Vec<String> = Vec::new();
    let mut row = template_row([
        ("kind", "service".into()),
        ("id", id.into()),
        ("name", cell("Library name")),
        ("organisation", publisher.into()),
        ("location", id.into()),
        ("url", cell("URL")),
        ("email", cell("Email address")),
        ("status", if cell("Year closed").is_empty() { "active".into() } else { "defunct".into() }),
        ("topics", "Library".into()),
    ]);
    let texts = ["Co-located with", "Notes"].map(cell).into_iter().filter(|text| !text.is_empty());
    let description = texts.collect::<Vec<_>>().join("\n");
    if !description.is_empty() {
        row.insert("description", description);
    }
    for (day, column) in WEEKDAYS {
        let staffed = cell(&format!("{day} staffed hours"));
        match hours::read(&staffed) {
            _ if staffed.is_empty() => {}
            Ok(_) => {
                row.insert(column, staffed);
            }
            Err((reason, _)) => {
                warnings.push(format!(
                    "{publisher}, {}: {day} {staffed:?}: {reason}; moved to hours_notes",
                    cell("Library name")
                ));
                notes.push(format!("{day} {staffed}"));
            }
        }
        let unstaffed = cell(&format!("{day} unstaffed hours"));
        if !unstaffed.is_empty() {
            notes.push(format!("{day} without staff {unstaffed}"));
        }
    }
    notes.extend(Some(cell("Special hours")).filter(|text| !text.is_empty()));
    if !notes.is_empty() {
        row.insert("hours_notes", notes.join("; "));
    }
    row
}

/// The name as an id; a second library of that name gets a number.
fn free_id(name: &str, ids: &mut BTreeSet<String>) -> String {
    let words = entry(name).to_lowercase();
    let words: Vec<&str> = words.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let slug = words.join("-");
    let numbered = (2_u32..).map(|number| format!("{slug}-{number}"));
    let id = std::iter::once(slug.clone()).chain(numbered).find(|id| !ids.contains(id)).unwrap_or(slug);
    ids.insert(id.clone());
    id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_cli::import::{self, ImportContext, Severity};
    use fingerpost_proto::id::OrgId;

    use super::*;
    use crate::convert::shared_data;

    #[test]
    fn hours_that_are_no_hours_become_a_note() {
        let library = |hours: &str| {
            let cells = [("Library name", "Hill"), ("Local authority", "Town"), ("Monday staffed hours", hours)];
            cells.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
        };
        let mut warnings = Vec::new();
        let rows = publisher_rows("town", &[library("09:00-17:00"), library("09:00")], &mut warnings);
        assert_eq!(
            rows.iter().map(|row| row["id"].as_str()).collect::<Vec<_>>(),
            ["town", "hill", "hill", "hill-2", "hill-2"]
        );
        assert_eq!(rows[2]["monday"], "09:00-17:00");
        assert_eq!((rows[4].get("monday"), rows[4]["hours_notes"].as_str(), warnings.len()), (None, "Monday 09:00", 1));
    }

    #[test]
    fn every_library_of_the_real_data_is_imported_or_listed() {
        let Some(source) = shared_data("real-directories/uk-public-libraries/by-publisher") else { return };
        let out = tempfile::tempdir().unwrap();
        let converted = convert(&source, out.path()).unwrap();
        assert_eq!((converted.files.len(), converted.source_records), (208, 208 + 2 * 4_231));
        assert_eq!(converted.rows_written, converted.source_records);
        let (mut drafts, mut rejected, mut errors, mut warnings) = (0, 0, 0, 0);
        for (index, file) in converted.files.iter().enumerate() {
            let context = ImportContext::new(OrgId([u8::try_from(index).unwrap(); 32]));
            let import = import::read(&[file], &context).unwrap();
            // Each row gives one draft here, so nothing can hide in a difference.
            assert_eq!(import.drafts.len() as u64 + import.rows_rejected, import.rows_read, "{}", file.display());
            drafts += import.drafts.len() as u64;
            rejected += import.rows_rejected;
            for problem in &import.problems {
                match problem.severity {
                    Severity::Error => {
                        errors += 1;
                        let row = problem.row.unwrap_or_default();
                        let name = file.file_name().unwrap().to_string_lossy();
                        println!("{name} row {row}: {:?} {:?}: {}", problem.column, problem.found, problem.reason);
                    }
                    Severity::Warning => warnings += 1,
                }
            }
        }
        println!(
            "libraries: 208 publishers, {} rows = {drafts} drafts + {rejected} rejected; {errors} errors, {warnings} warnings, {} moved by the converter",
            converted.rows_written,
            converted.warnings.len()
        );
        assert_eq!(drafts + rejected, converted.source_records);
        assert!(errors >= rejected);
    }
}
