//! Content lines of iCalendar (RFC 5545, section 3.1): escaping, parameters, folding by octets.
//!
//! Written here because the `icalendar` crate's writer keeps carriage returns, folds in quadratic time, and adds a random
//! UID to every time zone; its parser checks this output in the tests.

use crate::feed::safe;
use fingerpost_proto::canary::{Canary, is_out};

/// Longest line, in octets, without its end.
const LINE_OCTETS_MAX: usize = 75;

/// A calendar text under construction.
#[derive(Default)]
pub(crate) struct Lines(String);

impl Lines {
    /// Writes a line whose value is safe as it stands: a date, a number, a keyword, a checked URI.
    pub(crate) fn raw(&mut self, name: &str, value: &str) -> &mut Lines {
        self.fold(&format!("{name}:{}", safe::line(value)));
        self
    }

    /// Writes a TEXT value; nothing when it is blank.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Lines {
        if !value.trim().is_empty() {
            self.fold(&format!("{name}:{}", escape(value)));
        }
        self
    }

    /// Writes a list of TEXT values; nothing when it is empty.
    pub(crate) fn texts(&mut self, name: &str, values: &[&str]) -> &mut Lines {
        let escaped: Vec<String> =
            values.iter().filter(|value| !value.trim().is_empty()).map(|value| escape(value)).collect();
        if !escaped.is_empty() {
            self.fold(&format!("{name}:{}", escaped.join(",")));
        }
        self
    }

    /// Writes the line in pieces of at most 75 octets, never inside a character.
    fn fold(&mut self, line: &str) {
        let mut room = LINE_OCTETS_MAX;
        for c in line.chars() {
            if c.len_utf8() > room {
                self.0.push_str("\r\n ");
                room = LINE_OCTETS_MAX - 1;
            }
            room -= c.len_utf8();
            self.0.push(c);
        }
        self.0.push_str("\r\n");
    }

    /// Adds all lines of another text.
    pub(crate) fn append(&mut self, other: &Lines) {
        self.0.push_str(&other.0);
    }

    /// The whole text.
    pub(crate) fn done(self) -> String {
        self.0
    }
}

/// A TEXT value: separators escaped, line ends as `\n`, other control characters dropped.
fn escape(text: &str) -> String {
    if is_out(Canary::CalendarText) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut characters = text.trim_end().chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\r' => {
                // CRLF is one line end, and a lone CR is one too.
                if characters.peek() != Some(&'\n') {
                    out.push_str("\\n");
                }
            }
            '\n' | '\u{2028}' | '\u{2029}' | '\u{85}' => out.push_str("\\n"),
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

/// A parameter value in quotes; quotes inside it cannot be written and become apostrophes.
pub(crate) fn quoted(value: &str) -> String {
    format!("\"{}\"", safe::line(value).replace('"', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_75_octets_and_no_character_is_cut() {
        let mut lines = Lines::default();
        lines.text("DESCRIPTION", &"مركز المجتمع ".repeat(40));
        let text = lines.done();
        assert!(text.split("\r\n").all(|line| line.len() <= LINE_OCTETS_MAX));
        assert_eq!(
            text.replace("\r\n ", "").trim_end(),
            format!("DESCRIPTION:{}", "مركز المجتمع ".repeat(40)).trim_end()
        );
        let mut exact = Lines::default();
        exact.raw("X", &"a".repeat(LINE_OCTETS_MAX - 2)).raw("X", &"a".repeat(LINE_OCTETS_MAX - 1));
        assert_eq!(exact.done().split("\r\n").map(str::len).collect::<Vec<_>>(), [75, 75, 2, 0]);
    }

    #[test]
    fn a_text_cannot_start_a_new_property() {
        let mut lines = Lines::default();
        lines.text("SUMMARY", "a\r\nATTENDEE:x\rB\u{85}C\0;,\\").raw("RRULE", "FREQ=DAILY\r\nX:y");
        assert_eq!(lines.done(), "SUMMARY:a\\nATTENDEE:x\\nB\\nC\\;\\,\\\\\r\nRRULE:FREQ=DAILY  X:y\r\n");
        assert_eq!(quoted("a\"b\r\nc:d"), "\"a'b  c:d\"");
    }
}
