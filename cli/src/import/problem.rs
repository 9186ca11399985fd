//! What is wrong with a file, in words for the person who keeps it.
//!
//! In: findings about one value, attached to a place. Out: [`Problem`]s, at most [`PROBLEMS_MAX`] kept.
//! Always: `found` is short and says exactly what stood there.

use super::PROBLEMS_MAX;

/// Longest excerpt of a value in a problem, in characters.
pub(super) const FOUND_CHARS_MAX: usize = 120;

/// Whether a problem stops its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row gives no record.
    Error,
    /// The row gives a record; somebody should look.
    Warning,
}

/// One thing that is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// File name as it was given.
    pub file: String,
    /// Row as a spreadsheet counts it, the header being row 1; `None`: the whole file.
    pub row: Option<u64>,
    /// Header of the column as it stands in the file, or the path of the JSON field.
    pub column: Option<String>,
    /// The cell as a spreadsheet names it, for example `F6`.
    pub cell: Option<String>,
    /// What was found, at most 120 characters.
    pub found: String,
    /// Why that is a problem.
    pub reason: String,
    /// What to do.
    pub fix: String,
    /// Error or warning.
    pub severity: Severity,
}

/// The letter of a column, from 0: A … Z, AA …
pub(super) fn column_letter(mut index: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(b'A' + u8::try_from(index % 26).expect("a remainder of 26 fits a byte"));
        if index < 26 {
            break;
        }
        index = index / 26 - 1;
    }
    letters.iter().rev().map(|letter| char::from(*letter)).collect()
}

/// The first [`FOUND_CHARS_MAX`] characters of a value.
pub(super) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(FOUND_CHARS_MAX).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// All problems of an import.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) kept: Vec<Problem>,
    pub(super) more: u64,
}

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        if self.kept.len() < PROBLEMS_MAX {
            self.kept.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// A warning about a whole file.
    pub(super) fn warn_file(&mut self, file: &str, found: &str, reason: impl Into<String>, fix: impl Into<String>) {
        self.push(Problem {
            file: file.to_owned(),
            row: None,
            column: None,
            cell: None,
            found: excerpt(found),
            reason: reason.into(),
            fix: fix.into(),
            severity: Severity::Warning,
        });
    }
}

/// What was found about one value, before anybody knows where the value stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) found: String,
    pub(super) reason: String,
    pub(super) fix: String,
    pub(super) severity: Severity,
}

/// The findings of one check.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    /// Notes an error; gives `None` so that a check can end with it.
    pub(super) fn error<T>(&mut self, found: &str, reason: impl Into<String>, fix: impl Into<String>) -> Option<T> {
        self.push(Severity::Error, found, reason.into(), fix.into());
        None
    }

    pub(super) fn warn(&mut self, found: &str, reason: impl Into<String>, fix: impl Into<String>) {
        self.push(Severity::Warning, found, reason.into(), fix.into());
    }

    fn push(&mut self, severity: Severity, found: &str, reason: String, fix: String) {
        self.0.push(Finding { found: excerpt(found), reason, fix, severity });
    }
}
