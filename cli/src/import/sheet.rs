//! A CSV text becomes rows; each row is handed on as it is read.
//!
//! Always: bounded by [`ROWS_MAX`], [`COLUMNS_MAX`] and [`CELL_BYTES_MAX`]; row numbers are those a spreadsheet shows.

use std::collections::BTreeMap;

use super::column::Column;
use super::encoding::not_understood;
use super::problem::{Problem, Severity, column_letter, excerpt};
use super::row::{self, Row};
use super::{CELL_BYTES_MAX, COLUMNS_MAX, ImportError, Place, ROWS_MAX, Reading, language};

/// Rows at the top among which the header is looked for: sheets often start with a title.
const HEADER_ROWS_MAX: u64 = 10;

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    Plain(Column),
    /// The same text in another language, by BCP 47 tag.
    Translation(Column, String),
}

/// The header of a file: for each meaning its position, and the header texts.
pub(super) struct Header {
    pub(super) positions: BTreeMap<Meaning, usize>,
    pub(super) texts: Vec<String>,
}

/// Reads one CSV file into `reading`.
pub(super) fn read(file: &str, text: &str, reading: &mut Reading<'_>) -> Result<(), ImportError> {
    // The csv crate counts lines by "\n"; old exports end them with "\r" alone.
    let text = if text.contains('\n') { std::borrow::Cow::Borrowed(text) } else { text.replace('\r', "\n").into() };
    let (text, first_row, delimiter) = delimiter(&text);
    let mut records = Records::new(text, delimiter, first_row);
    let header = header(file, &mut records, reading)?;
    let has_kind = header.positions.contains_key(&Meaning::Plain(Column::Kind));
    let mut rows = 0;
    let mut last_row_with_line_break = None;
    while let Some((number, cells)) = records.next_record(file)? {
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        rows += 1;
        if rows > ROWS_MAX {
            let fix = "split the file; several files can be given together";
            return Err(ImportError::TooMany { file: file.to_owned(), found: rows, what: "rows", max: ROWS_MAX, fix });
        }
        reading.rows_read += 1;
        last_row_with_line_break = cells.iter().any(|cell| cell.contains('\n')).then_some(number);
        let place = Place { file: file.to_owned(), row: number };
        if !has_kind {
            reading.rejected.insert(place);
            continue;
        }
        if has_oversized_cell(&place, &header, &cells, reading)
            | has_cells_beyond_header(&place, &header, &cells, reading)
        {
            reading.rejected.insert(place);
            continue;
        }
        row::read(Row::new(place, &header, &cells, reading));
    }
    // A quote that is never closed makes the rest of the file one cell; nothing else would show that rows went missing.
    if let Some(row) = last_row_with_line_break
        && text.bytes().filter(|byte| *byte == b'"').count() % 2 == 1
    {
        reading.problems.push(Problem {
            file: file.to_owned(),
            row: Some(row),
            column: None,
            cell: None,
            found: "an odd number of \" in the file".into(),
            reason: "a cell is opened with \" and never closed, so that later rows were read as part of it".into(),
            fix: "close or delete the quote; inside a cell a quote is written \"\"".into(),
            severity: Severity::Error,
        });
        reading.rejected.insert(Place { file: file.to_owned(), row });
    }
    Ok(())
}

fn has_oversized_cell(place: &Place, header: &Header, cells: &[String], reading: &mut Reading<'_>) -> bool {
    let mut found = false;
    for (index, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.len() > CELL_BYTES_MAX) {
        found = true;
        reading.problems.push(Problem {
            file: place.file.clone(),
            row: Some(place.row),
            column: header.texts.get(index).cloned(),
            cell: Some(format!("{}{}", column_letter(index), place.row)),
            found: excerpt(cell),
            reason: format!("the cell has {} bytes, the limit is {CELL_BYTES_MAX}", cell.len()),
            fix: "shorten it; if it holds other rows too, a quote before it was never closed".into(),
            severity: Severity::Error,
        });
    }
    found
}

fn has_cells_beyond_header(place: &Place, header: &Header, cells: &[String], reading: &mut Reading<'_>) -> bool {
    let beyond = cells.iter().enumerate().skip(header.texts.len()).find(|(_, cell)| !cell.trim().is_empty());
    let Some((index, cell)) = beyond else { return false };
    reading.problems.push(Problem {
        file: place.file.clone(),
        row: Some(place.row),
        column: None,
        cell: Some(format!("{}{}", column_letter(index), place.row)),
        found: excerpt(cell),
        reason: format!("the row has more cells than the header ({})", header.texts.len()),
        fix: "put texts that contain the separator in \"quotes\", or save the file from the spreadsheet again".into(),
        severity: Severity::Error,
    });
    true
}

/// Finds the separator: the text after a `sep=` line, its spreadsheet row, and the byte. Commas win a draw.
fn delimiter(text: &str) -> (&str, u64, u8) {
    let first_line = text.lines().next().unwrap_or_default();
    if let Some(byte) = first_line.strip_prefix("sep=").and_then(|rest| rest.bytes().next())
        && matches!(byte, b',' | b';' | b'\t')
    {
        return (text[first_line.len()..].trim_start_matches(['\r', '\n']), 2, byte);
    }
    let header: Vec<&str> = text.lines().take(HEADER_ROWS_MAX as usize).collect();
    let count = |wanted: u8| {
        header
            .iter()
            .map(|line| {
                let mut quoted = false;
                line.bytes()
                    .filter(|byte| {
                        quoted ^= *byte == b'"';
                        !quoted && *byte == wanted
                    })
                    .count()
            })
            .next_or_max()
    };
    let best = [b',', b';', b'\t'].into_iter().rev().max_by_key(|byte| count(*byte)).unwrap_or(b',');
    (text, 1, best)
}

/// The first line decides; where it has no separator at all (a title), the richest of the first lines.
trait NextOrMax: Iterator<Item = usize> {
    fn next_or_max(mut self) -> usize
    where
        Self: Sized,
    {
        let first = self.next().unwrap_or(0);
        if first > 0 { first } else { self.max().unwrap_or(0) }
    }
}

impl<I: Iterator<Item = usize>> NextOrMax for I {}

/// Finds the header row and what each of its columns means; unknown ones are warned about.
fn header(file: &str, records: &mut Records<'_>, reading: &mut Reading<'_>) -> Result<Header, ImportError> {
    let mut seen = Vec::new();
    while let Some((row, cells)) = records.next_record(file)? {
        if cells.len() > COLUMNS_MAX {
            let fix = "delete the empty columns at the right of the sheet";
            let found = cells.len() as u64;
            return Err(ImportError::TooMany {
                file: file.into(),
                found,
                what: "columns",
                max: COLUMNS_MAX as u64,
                fix,
            });
        }
        let known = cells.iter().filter(|cell| meaning(cell).is_ok_and(|meaning| meaning.is_some())).count();
        if known >= 2 || (known == 1 && cells.iter().filter(|cell| !cell.trim().is_empty()).count() == 1) {
            if !seen.is_empty() {
                let reason = format!("the header was found in row {row}; the rows above it were not read");
                reading.problems.warn_file(file, &seen.join(" | "), reason, "nothing, if those rows are only a title");
            }
            return Ok(header_of_row(file, row, cells, reading));
        }
        seen.extend(cells.into_iter().filter(|cell| !cell.trim().is_empty()).map(|cell| excerpt(&cell)).take(8));
        if row >= HEADER_ROWS_MAX {
            break;
        }
    }
    let found = if seen.is_empty() {
        "the file is empty".to_owned()
    } else {
        format!("no row with column names (found {:?})", excerpt(&seen.join(" | ")))
    };
    Err(not_understood(file, found, "the first row names the columns, such as kind, name, phone; see the template"))
}

fn header_of_row(file: &str, row: u64, cells: Vec<String>, reading: &mut Reading<'_>) -> Header {
    let mut positions: BTreeMap<Meaning, usize> = BTreeMap::new();
    let mut say = |index: usize, severity, found: &str, reason: String, fix: String| {
        reading.problems.push(Problem {
            file: file.to_owned(),
            row: Some(row),
            column: Some(excerpt(found)),
            cell: Some(format!("{}{row}", column_letter(index))),
            found: excerpt(found),
            reason,
            fix,
            severity,
        });
    };
    for (index, text) in cells.iter().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        match meaning(text) {
            Ok(Some(meaning)) => {
                if let Some(first) = positions.get(&meaning) {
                    let reason = format!("means the same as column {}, which is used", column_letter(*first));
                    say(index, Severity::Warning, text, reason, "delete or rename one of the two".into());
                } else {
                    positions.insert(meaning, index);
                }
            }
            Ok(None) => {
                let nearest = Column::nearest(text).map(|name| format!("rename it to \"{name}\" if that is meant; "));
                let fix = format!("{}otherwise nothing: the column is left out", nearest.unwrap_or_default());
                say(index, Severity::Warning, text, "not a column of the template".into(), fix);
            }
            Err(fix) => say(index, Severity::Warning, text, "the language of this column is not known".into(), fix),
        }
    }
    if !positions.contains_key(&Meaning::Plain(Column::Kind)) {
        let reason = "there is no column \"kind\", so that nobody can tell services from events".to_owned();
        let fix = "add a column kind with organisation, service, location or event in each row".to_owned();
        say(cells.len(), Severity::Error, "", reason, fix);
    }
    Header { positions, texts: cells }
}

/// What a header means: `Ok(None)` when it is not ours, `Err` with a fix when only its language is not understood.
fn meaning(header: &str) -> Result<Option<Meaning>, String> {
    let Some((name, language)) = header.split_once(':') else {
        return Ok(Column::of_header(header).map(Meaning::Plain));
    };
    let Some(column) = Column::of_header(name) else { return Ok(None) };
    match language::tag(language.trim()) {
        Some(tag) => Ok(Some(Meaning::Translation(column, tag))),
        None => Err(format!("write a language tag after the colon, such as {}:ar", column.name())),
    }
}

/// The records of a CSV text with their spreadsheet rows.
struct Records<'t> {
    reader: csv::Reader<&'t [u8]>,
    record: csv::ByteRecord,
    row: u64,
}

impl<'t> Records<'t> {
    fn new(text: &'t str, delimiter: u8, first_row: u64) -> Records<'t> {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(text.as_bytes());
        Records { reader, record: csv::ByteRecord::new(), row: first_row - 1 }
    }

    /// The next record and its row. Blank lines, which the reader skips, count as rows: a spreadsheet shows them.
    fn next_record(&mut self, file: &str) -> Result<Option<(u64, Vec<String>)>, ImportError> {
        let line_before = self.reader.position().line();
        let more = self.reader.read_byte_record(&mut self.record);
        if !more.map_err(|error| not_understood(file, error.to_string(), "save the file from the spreadsheet again"))? {
            return Ok(None);
        }
        let lines = self.reader.position().line().saturating_sub(line_before);
        let breaks = self.record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        self.row += 1 + lines.saturating_sub(1 + breaks);
        // Kept short of the whole record when it is absurdly wide: the caller refuses it by its length.
        let cells = self.record.iter().take(COLUMNS_MAX + 1).map(|cell| String::from_utf8_lossy(cell).into_owned());
        Ok(Some((self.row, cells.collect())))
    }
}
