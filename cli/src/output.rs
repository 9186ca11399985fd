//! What the command line prints: tables or JSON on standard output, notes and hints on standard error.
//!
//! Always: whatever other people wrote is made harmless before it reaches a terminal ([`escape`]); JSON output is one
//! object with a `schema` name and version; notes never mix with it. Documented: `cli/README.md`, "Output".

pub mod escape;
pub mod fields;
pub mod moment;

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, TableStyle, presets};
use serde_json::Value;

use crate::failure::{Exit, Failure};
use escape::{shown, shown_block, shown_json};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns and plain sentences.
    #[default]
    Table,
    /// One JSON object; stable, see the README.
    Json,
}

/// When colour is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Not at all.
    Never,
}

/// Writes results and notes in the chosen format.
#[derive(Clone, Debug)]
pub struct Printer {
    format: Format,
    colour: bool,
}

impl Printer {
    /// A printer for this format; colour only when standard error is a terminal and nobody forbade it.
    pub fn new(format: Format, colour: Colour) -> Printer {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Printer { format, colour: colour == Colour::Auto && !forbidden && io::stderr().is_terminal() }
    }

    /// True when results are JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints one or more lines of text as a result; nothing in JSON format.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        if self.is_json() {
            return Ok(());
        }
        write_result(&format!("{}\n", shown_block(text)))
    }

    /// Prints a text of ours as it is, whatever the format: a template, a script.
    pub fn raw(&self, text: &str) -> Result<(), Failure> {
        write_result(text)
    }

    /// Prints an object as the result; nothing in table format.
    pub fn object(&self, schema: &str, mut value: Value) -> Result<(), Failure> {
        if !self.is_json() {
            return Ok(());
        }
        if let Value::Object(fields) = &mut value {
            fields.insert("schema".to_owned(), Value::from(schema));
        }
        write_result(&format!("{}\n", shown_json(&format!("{value:#}"))))
    }

    /// Prints rows under a header; nothing in JSON format. Every cell is made harmless.
    pub fn table(&self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        if self.is_json() {
            return Ok(());
        }
        write_result(&table(header, rows, None))
    }

    /// A remark beside the result, on standard error; nothing in JSON format.
    pub fn note(&self, text: &str) {
        if !self.is_json() {
            self.complain("", text);
        }
    }

    /// A remark that needs attention, on standard error; nothing in JSON format.
    pub fn warning(&self, text: &str) {
        if !self.is_json() {
            self.complain(&self.paint("Warning:", "33"), text);
        }
    }

    /// The next useful command, on standard error; nothing in JSON format.
    pub fn next(&self, command: &str) {
        if !self.is_json() {
            self.complain(&self.paint("Next:", "36"), command);
        }
    }

    /// Prints why the command failed, on standard error, in the chosen format.
    pub fn failure(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        if self.is_json() {
            return self.complain("", &shown_json(&failure.json().to_string()));
        }
        for (head, text) in failure.lines() {
            let colour = if head == "Error:" { "1;31" } else { "1" };
            self.complain(&self.paint(head, colour), text);
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// One line: a break in somebody else's words must not begin a line that looks like ours.
    fn complain(&self, head: &str, text: &str) {
        let gap = if head.is_empty() { "" } else { " " };
        // Standard error may be closed; that is no reason to fail.
        let _ = writeln!(io::stderr().lock(), "{head}{gap}{}", shown(text));
    }
}

fn write_result(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::reader_gone(),
        _ => Failure::new(Exit::Partial, "the result could not be written").caused_by(&error),
    })
}

/// Lays out rows in columns two spaces apart, header first, without trailing blanks. `width` in columns; `None`: the
/// terminal's, or unlimited when there is none.
pub fn table(header: &[&str], rows: &[Vec<String>], width: Option<u16>) -> String {
    const STYLE: TableStyle = presets::NOTHING;
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    }
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_table_lines_up_and_keeps_hostile_cells_on_their_line() {
        let rows = vec![
            vec!["drop-in".to_owned(), "Drop in\x1b[2J\nERROR all gone".to_owned()],
            vec!["x".to_owned(), "\u{202e}evil".to_owned()],
        ];
        let text = table(&["id", "name"], &rows, None);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
        assert!(text.starts_with("ID       NAME\n"), "{text}");
        assert!(text.contains("drop-in  Drop in\\u{1b}[2J\\nERROR all gone"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_wraps_cells_and_loses_nothing() {
        let rows = vec![vec!["a".to_owned(), "one two three four five six seven".to_owned()]];
        let text = table(&["id", "name"], &rows, Some(20));
        for word in ["one", "two", "three", "four", "five", "six", "seven"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
