//! Converters: real directories, as their publishers export them, become files in the import template's layout.
//!
//! Always: every source row becomes exactly one row of its kind; a value that the template has no form for is moved into a
//! text column or counted in [`Converted::warnings`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub mod libraries;
pub mod miami;

/// What a conversion wrote.
#[derive(Debug, Default)]
pub struct Converted {
    /// The files, in order of their names.
    pub files: Vec<PathBuf>,
    /// Records in the source: organisations, services, locations.
    pub source_records: u64,
    /// Rows written, the headers not counted.
    pub rows_written: u64,
    /// Values that were moved or left out.
    pub warnings: Vec<String>,
}

/// Why a conversion stopped.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: csv::Error,
    },
    /// A folder cannot be listed or made.
    #[error("{path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// One source row by its header names.
type SourceRow = BTreeMap<String, String>;

/// One row of the template by its column names.
type TemplateRow = BTreeMap<&'static str, String>;

/// All rows of a source table.
fn read_table(path: &Path) -> Result<Vec<SourceRow>, ConvertError> {
    let error = |source| ConvertError::File { path: path.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(error)?;
    let header = reader.headers().map_err(error)?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(error)?;
        let cells = header.iter().zip(record.iter());
        rows.push(cells.map(|(name, cell)| (name.trim().to_owned(), cell.trim().to_owned())).collect());
    }
    Ok(rows)
}

/// Writes rows under a header of all columns that occur.
fn write_table(path: &Path, rows: &[TemplateRow]) -> Result<(), ConvertError> {
    let error = |source| ConvertError::File { path: path.to_owned(), source };
    let mut columns: Vec<&str> = vec!["kind", "id", "name"];
    let others: std::collections::BTreeSet<&str> = rows.iter().flat_map(|row| row.keys().copied()).collect();
    columns.extend(others.into_iter().filter(|column| !["kind", "id", "name"].contains(column)));
    let mut writer = csv::Writer::from_path(path).map_err(error)?;
    writer.write_record(&columns).map_err(error)?;
    for row in rows {
        writer.write_record(columns.iter().map(|column| row.get(column).map_or("", String::as_str))).map_err(error)?;
    }
    writer.flush().map_err(|source| ConvertError::Folder { path: path.to_owned(), source })
}

fn make_folder(path: &Path) -> Result<(), ConvertError> {
    std::fs::create_dir_all(path).map_err(|source| ConvertError::Folder { path: path.to_owned(), source })
}

/// The value of a source column, empty when there is none.
fn value<'r>(row: &'r SourceRow, column: &str) -> &'r str {
    row.get(column).map_or("", String::as_str)
}

/// An entry of a list cell: the separator must not be in it.
fn entry(text: &str) -> String {
    text.replace([';', '\n', '\r'], ", ").trim().to_owned()
}

/// A row with the columns that have content.
fn template_row<const N: usize>(cells: [(&'static str, String); N]) -> TemplateRow {
    cells.into_iter().filter(|(_, text)| !text.trim().is_empty()).collect()
}

/// The folder with real data beside the repository; `None`, said aloud, where there is none.
pub fn shared_data(folder: &str) -> Option<PathBuf> {
    let named = std::env::var_os("FINGERPOST_SHARED").map(PathBuf::from);
    let start = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let beside = start.ancestors().map(|folder| folder.join("shared")).find(|folder| folder.join("data").is_dir());
    let found = named.or(beside).map(|shared| shared.join("data").join(folder)).filter(|path| path.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: no shared/data/{folder}; set FINGERPOST_SHARED to the folder that holds data/");
    }
    found
}
