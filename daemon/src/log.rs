//! The daemon's log: one line for each event, whatever other people's words are in it.
//!
//! In: the configuration. Out: lines on standard error, so that standard output stays free for what a command was asked for.
//! Always: an event is one line; no control character, direction override or invisible character reaches it, so that
//! nobody can forge a line or act on the terminal of who reads it. There are no colours: they would be such characters.

use fingerpost_proto::canary::{Canary, is_out};
use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};
use fingerpost_cli::output::escape::{shown, shown_json};

/// Starts to log for this process. Errors: what is wrong with the filter, or that logging was started before.
pub fn start(log: &LogConfig) -> Result<(), String> {
    let subscriber = subscriber(log, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|error| format!("logging cannot start: {error}"))
}

fn subscriber<W>(log: &LogConfig, writer: W) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, String>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| format!("log.level {:?} in fingerpostd.toml is no filter: {error}", log.level))?;
    let format = log.format;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    let builder = builder.with_writer(OneLine { writer, format });
    Ok(match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().finish()),
    })
}

/// Makes writers that make one harmless line of what is written to them at once. An event is written at once.
struct OneLine<W> {
    writer: W,
    format: LogFormat,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { writer: self.writer.make_writer(), format: self.format }
    }
}

struct Line<W> {
    writer: W,
    format: LogFormat,
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let safe = match self.format {
            _ if is_out(Canary::LogText) => line.to_owned(),
            LogFormat::Text => shown(line).into_owned(),
            LogFormat::Json => shown_json(line),
        };
        self.writer.write_all(format!("{safe}\n").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use fingerpost_cli::output::escape::is_dangerous;

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: [&str; 9] = [
        "a\nERROR the store is gone",
        "a\r\nb\rc",
        "\x1b[2J\x1b]0;title\x07",
        "\u{9b}31m\u{85}x",
        "\u{202e}txt.exe\u{2066}\u{2069}",
        "\u{2028}\u{2029}\u{feff}",
        "\u{e0041}\u{0}\u{8}\u{7f}",
        "{\"level\":\"ERROR\"}",
        "مركز اللاجئين",
    ];

    fn logged(format: LogFormat) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = LogConfig { format, ..LogConfig::default() };
        let subscriber = subscriber(&log, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for text in HOSTILE {
                tracing::warn!(field = text, shown = %text, debug = ?text, "{text}");
                tracing::info!("{text}");
                tracing::error!(error = %io::Error::other(text), "an error");
            }
        });
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_event_is_one_line_without_dangerous_characters_whatever_is_in_it() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = logged(format);
            assert_eq!(log.lines().count(), 3 * HOSTILE.len(), "{format:?}: {log}");
            let found = log.chars().find(|character| is_dangerous(*character) && *character != '\n');
            assert_eq!(found, None, "{format:?}: {log}");
            assert!(log.contains("مركز اللاجئين"), "ordinary text is left alone: {log}");
        }
    }

    #[test]
    fn a_json_line_still_says_the_same_text() {
        let lines = logged(LogFormat::Json);
        let events: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
        for (event, text) in events.chunks(3).zip(HOSTILE) {
            for (field, event) in [("field", &event[0]), ("shown", &event[0]), ("message", &event[1])] {
                assert_eq!(event["fields"][field], text, "{field}");
            }
        }
    }

    #[test]
    fn a_filter_that_is_none_is_refused_by_its_key() {
        let log = LogConfig { level: "=&".to_owned(), ..LogConfig::default() };
        let refused = subscriber(&log, io::sink).err().unwrap();
        assert!(refused.contains("log.level") && refused.contains("fingerpostd.toml"), "{refused}");
    }
}
