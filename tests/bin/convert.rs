//! Converts a real directory into files for `fingerpost import`: `convert libraries|miami SOURCE OUT`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use fingerpost_tests::convert::{libraries, miami};

/// Converts a real directory into files in the import template's layout.
#[derive(Parser)]
struct Arguments {
    /// What the source is.
    format: Format,
    /// Folder with the source tables.
    source: PathBuf,
    /// Folder for the results; created when missing.
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// UK public libraries, one CSV per council.
    Libraries,
    /// Miami's 211 directory, HSDS 1.1 tables.
    Miami,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let converted = match arguments.format {
        Format::Libraries => libraries::convert(&arguments.source, &arguments.out),
        Format::Miami => miami::convert(&arguments.source, &arguments.out),
    };
    match converted {
        Ok(converted) => {
            for warning in &converted.warnings {
                eprintln!("warning: {warning}");
            }
            let (records, rows, files) = (converted.source_records, converted.rows_written, converted.files.len());
            println!("{records} records, {rows} rows, {files} files in {}", arguments.out.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}
