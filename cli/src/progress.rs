//! How far a long step has come: a bar on a terminal, else one line every five seconds, nothing beside JSON.
//!
//! Everything goes to standard error, so that results can be piped.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Printer;

/// Time between two lines when there is no terminal.
pub const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Progress of one step, counted in things done.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: usize,
    done: usize,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Bar(ProgressBar),
    Lines { printer: Printer, last: Instant },
    Nothing,
}

impl Progress {
    /// Starts counting to `total`. `what` is a verb with its object: "publishing versions".
    pub fn new(printer: &Printer, what: &'static str, total: usize) -> Progress {
        let shape = if printer.is_json() {
            Shape::Nothing
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total as u64);
            if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            Shape::Bar(bar)
        } else {
            Shape::Lines { printer: printer.clone(), last: Instant::now() }
        };
        Progress { what, total, done: 0, shape }
    }

    /// Counts nothing and prints nothing.
    pub fn silent() -> Progress {
        Progress { what: "", total: 0, done: 0, shape: Shape::Nothing }
    }

    /// `count` more are done.
    pub fn advance(&mut self, count: usize) {
        self.set(self.done + count, self.total);
    }

    /// So many of so many are done; for a total that becomes known on the way.
    pub fn set(&mut self, done: usize, total: usize) {
        (self.done, self.total) = (done, total);
        match &mut self.shape {
            Shape::Bar(bar) => {
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            Shape::Lines { printer, last } if last.elapsed() >= LINE_INTERVAL => {
                *last = Instant::now();
                printer.note(&line(self.what, done, total));
            }
            Shape::Lines { .. } | Shape::Nothing => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Shape::Bar(bar) = &self.shape {
            bar.finish_and_clear();
        }
    }
}

fn line(what: &str, done: usize, total: usize) -> String {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
    format!("{what}: {done} of {total} ({percent} %)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Colour, Format};

    #[test]
    fn a_line_says_how_many_of_how_many() {
        assert_eq!(line("publishing", 50, 200), "publishing: 50 of 200 (25 %)");
        assert_eq!(line("publishing", 0, 0), "publishing: 0 of 0 (100 %)");
    }

    #[test]
    fn nothing_is_printed_beside_json() {
        let progress = Progress::new(&Printer::new(Format::Json, Colour::Never), "publishing", 3);
        assert!(matches!(progress.shape, Shape::Nothing));
    }
}
