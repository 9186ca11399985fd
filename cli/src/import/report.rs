//! Problem reports: a table for the terminal, and a CSV for colleagues. JSON is the problems' own serialisation.
//!
//! Always: nothing that stood in a file can act on the reader's terminal or spreadsheet.

use fingerpost_proto::canary::{Canary, is_out};
use std::collections::HashMap;
use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};

use super::{Import, Problem, Severity};
use crate::output::escape::is_dangerous;

/// Groups of problems shown in the terminal.
pub const GROUPS_MAX: usize = 50;
/// Rows named in one group.
const ROWS_NAMED_MAX: usize = 5;

/// A whole report as JSON: `rows_read`, `rows_rejected`, `records`, `problems_more`, `problems`.
#[derive(Debug, serde::Serialize)]
pub struct Report<'a> {
    /// Data rows found.
    pub rows_read: u64,
    /// Rows without a record.
    pub rows_rejected: u64,
    /// Records ready to be published.
    pub records: u64,
    /// Problems found beyond those listed.
    pub problems_more: u64,
    /// The problems.
    pub problems: &'a [Problem],
}

impl<'a> Report<'a> {
    /// The report of an import.
    pub fn of(import: &'a Import) -> Report<'a> {
        Report {
            rows_read: import.rows_read,
            rows_rejected: import.rows_rejected,
            records: import.drafts.len() as u64,
            problems_more: import.problems_more,
            problems: &import.problems,
        }
    }
}

/// Equal problems of one column in several rows.
struct Group<'a> {
    first: &'a Problem,
    rows: Vec<String>,
    count: usize,
}

/// Returns the problems as a table of at most `width` columns, errors first, equal ones joined.
///
/// Shows the first [`GROUPS_MAX`] groups and says how many more there are. Ends with the counts.
pub fn table(import: &Import, width: u16) -> String {
    let groups = groups(&import.problems);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(40));
    table.set_header(["", "WHERE", "FOUND", "PROBLEM", "FIX"]);
    for group in groups.iter().take(GROUPS_MAX) {
        let problem = group.first;
        table.add_row([
            match problem.severity {
                Severity::Error => "error".to_owned(),
                Severity::Warning => "warning".to_owned(),
            },
            group.place(),
            printable(&problem.found),
            printable(&problem.reason),
            printable(&problem.fix),
        ]);
    }
    let mut text = if groups.is_empty() { String::new() } else { format!("{table}\n") };
    let shown: usize = groups.iter().take(GROUPS_MAX).map(|group| group.count).sum();
    let more = (import.problems.len() - shown) as u64 + import.problems_more;
    if more > 0 {
        text.push_str(&format!("… and {more} more problems; a report file lists them all\n"));
    }
    let report = Report::of(import);
    text.push_str(&format!(
        "{} rows read, {} rejected, {} records ready\n",
        report.rows_read, report.rows_rejected, report.records
    ));
    text
}

fn groups(problems: &[Problem]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: HashMap<(&str, Option<&str>, &str, Severity), usize> = HashMap::new();
    for problem in problems {
        let key = (problem.file.as_str(), problem.column.as_deref(), problem.reason.as_str(), problem.severity);
        let index = *known.entry(key).or_insert_with(|| {
            groups.push(Group { first: problem, rows: Vec::new(), count: 0 });
            groups.len() - 1
        });
        let group = &mut groups[index];
        group.count += 1;
        if group.rows.len() < ROWS_NAMED_MAX {
            group.rows.extend(problem.cell.clone().or(problem.row.map(|row| format!("row {row}"))));
        }
    }
    groups.sort_by_key(|group| group.first.severity);
    groups
}

impl Group<'_> {
    /// File, column and cells: `list.csv phone F6, F9 and 3 more`.
    fn place(&self) -> String {
        let more = self.count - self.rows.len().min(self.count);
        let more = if more > 0 && !self.rows.is_empty() { format!(" and {more} more") } else { String::new() };
        let column = self.first.column.as_deref().unwrap_or_default();
        let place = format!("{} {column} {}{more}", self.first.file, self.rows.join(", "));
        printable(&place.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Control and direction-changing characters made visible: a terminal would obey them.
fn printable(text: &str) -> String {
    let is_unsafe = |char: char| is_dangerous(char) || matches!(char, '\u{200e}' | '\u{200f}');
    let mut printable = String::new();
    for char in text.chars() {
        match char {
            '\n' | '\t' => printable.push(' '),
            char if is_unsafe(char) => printable.extend(char.escape_unicode()),
            char => printable.push(char),
        }
    }
    printable
}

/// Writes the problems as CSV for a spreadsheet. Cells that a spreadsheet would run as a formula begin with `'`; characters
/// that nobody sees are spelt out.
///
/// Errors: those of `out`. A last line says how many problems were not kept.
pub fn write_csv(import: &Import, out: impl Write) -> Result<(), csv::Error> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["severity", "file", "row", "column", "cell", "found", "reason", "fix"])?;
    for problem in &import.problems {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let row = problem.row.map(|row| row.to_string()).unwrap_or_default();
        let column = problem.column.as_deref().unwrap_or_default();
        let cell = problem.cell.as_deref().unwrap_or_default();
        let cells = [severity, &problem.file, &row, column, cell, &problem.found, &problem.reason, &problem.fix];
        writer.write_record(cells.map(guarded))?;
    }
    if import.problems_more > 0 {
        let more = format!("and {} more", import.problems_more);
        writer.write_record(["", "", "", "", "", "", more.as_str(), ""])?;
    }
    writer.flush()?;
    Ok(())
}

/// A cell as text, with unseen characters spelt out. Spreadsheets take one that begins with certain characters for a formula.
fn guarded(text: &str) -> String {
    let starts =
        |text: &str| text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%', '＝', '＋', '－', '＠']);
    let shown = printable(text);
    if (starts(text) || starts(text.trim_start())) && !is_out(Canary::Formulas) { format!("'{shown}") } else { shown }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problem(row: u64, found: &str, reason: &str, severity: Severity) -> Problem {
        Problem {
            file: "list.csv".into(),
            row: Some(row),
            column: Some("phone".into()),
            cell: Some(format!("F{row}")),
            found: found.into(),
            reason: reason.into(),
            fix: "correct it".into(),
            severity,
        }
    }

    fn import(problems: Vec<Problem>) -> Import {
        Import { problems, rows_read: 9, rows_rejected: 2, ..Import::default() }
    }

    #[test]
    fn errors_come_first_and_equal_problems_share_a_line() {
        let mut problems = vec![problem(2, "a", "odd", Severity::Warning)];
        problems.extend((3..13).map(|row| problem(row, "b", "wrong", Severity::Error)));
        let text = table(&import(problems), 200);
        assert!(text.find("wrong").unwrap() < text.find("odd").unwrap(), "{text}");
        assert!(text.contains("F3, F4, F5, F6, F7 and 5 more"), "{text}");
        assert_eq!(text.matches("wrong").count(), 1);
        assert!(text.ends_with("9 rows read, 2 rejected, 0 records ready\n"), "{text}");
    }

    #[test]
    fn fifty_groups_are_shown_and_the_rest_is_counted() {
        let problems =
            |count: u64| (0..count).map(|i| problem(i, "x", &format!("reason {i}"), Severity::Error)).collect();
        assert!(!table(&import(problems(50)), 200).contains("more"));
        assert!(table(&import(problems(51)), 200).contains("and 1 more"));
    }

    #[test]
    fn a_file_cannot_act_on_the_terminal() {
        let text = table(&import(vec![problem(2, "\u{1b}[2J\u{202e}x", "bad\u{7}", Severity::Error)]), 200);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{text:?}");
    }

    #[test]
    fn a_formula_does_not_survive_into_the_csv_report() {
        let found = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "plain"];
        let problems = found.iter().map(|found| problem(2, found, "wrong", Severity::Error)).collect();
        let mut out = Vec::new();
        write_csv(&import(problems), &mut out).unwrap();
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let cells: Vec<String> = reader.records().map(|record| record.unwrap()[5].to_owned()).collect();
        assert_eq!(cells.len(), found.len());
        assert!(cells[..7].iter().all(|cell| cell.starts_with('\'')), "{cells:?}");
        assert_eq!(cells[7], "plain");
    }

    #[test]
    fn the_json_report_has_the_counts_and_every_problem() {
        let import = import(vec![problem(2, "a", "odd", Severity::Warning)]);
        let json = serde_json::to_value(Report::of(&import)).unwrap();
        assert_eq!((json["rows_read"].as_u64(), json["problems"][0]["severity"].as_str()), (Some(9), Some("warning")));
    }
}
