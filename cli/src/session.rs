//! One run of the command line: where the home is, how to print, whether and how to ask.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::args::Global;
use crate::cards::Cards;
use crate::client::NodeClient;
use crate::failure::{Exit, Failure};
use crate::host::{Host, HostClient};
use crate::identity::Identity;
use crate::keys::{self, KeyPurpose};
use crate::output::Printer;
use crate::output::escape::shown_block;
use crate::settings::{self, Settings};

/// Longest line that is read from a person or a pipe, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// What every command gets.
#[derive(Clone, Debug)]
pub struct Session {
    /// Folder of keys and card.
    pub home: PathBuf,
    /// Socket of the node.
    pub socket: PathBuf,
    /// The socket was named, by an option or a setting.
    pub names_node: bool,
    /// Writes results and notes.
    pub printer: Printer,
    /// `--yes` was given.
    pub yes: bool,
    no_input: bool,
}

impl Session {
    /// Puts together what command line, environment and settings say.
    pub fn new(global: &Global, printer: Printer) -> Result<Session, Failure> {
        let home = settings::home(global.home.as_deref())?;
        let settings = Settings::load(&home)?;
        let socket = settings.socket(&home, global.node.as_deref());
        let names_node = global.node.is_some() || settings.node.is_some();
        Ok(Session { home, socket, names_node, printer, yes: global.yes, no_input: global.no_input })
    }

    /// True when there is a node on this machine to talk to: one that was named, or one that runs in the home.
    pub fn has_node(&self) -> bool {
        self.names_node || self.socket.exists()
    }

    /// Connects to the node: the own one, else the host that carries this organisation. Says what the host withholds.
    pub async fn node(&self) -> Result<NodeClient, Failure> {
        match Host::load(&self.home)?.filter(|_| !self.has_node()) {
            Some(host) => self.over(host).await,
            None => NodeClient::connect(&self.socket, &self.home).await,
        }
    }

    /// Connects to a host. Says what it withholds.
    pub async fn over(&self, host: Host) -> Result<NodeClient, Failure> {
        let client = HostClient::connect(&self.home, host).await?;
        client.complaints().iter().for_each(|line| self.printer.warning(line));
        Ok(NodeClient::over(client))
    }

    /// Connects to the node and loads who signs here, by the cards that the node knows.
    pub async fn identity(&self) -> Result<(Identity, NodeClient), Failure> {
        // What is wrong with the home itself is told also where no node runs.
        let mut cards = Cards::load(&self.home)?;
        keys::load(&self.home, KeyPurpose::Device)?;
        let node = self.node().await?;
        cards.refresh(&self.home, &node).await?;
        Ok((Identity::with(&self.home, cards)?, node))
    }

    /// True when a person sits there and may be asked.
    pub fn can_ask(&self) -> bool {
        !self.no_input && !self.printer.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a yes-or-no question; no is the default. Errors: usage, naming `flag`, when nobody can be asked.
    pub fn agree(&self, question: &str, flag: &str) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        if !self.can_ask() {
            return Err(Failure::new(Exit::Usage, format!("nobody can be asked: {question}"))
                .hint(format!("if you are sure, add {flag}")));
        }
        let answer = self.ask(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }

    /// Prints `question` and reads one line, trimmed. The caller has made sure that somebody can be asked.
    pub fn ask(&self, question: &str) -> Result<String, Failure> {
        let mut prompt = io::stderr().lock();
        let _ = write!(prompt, "{}", shown_block(question)).and_then(|()| prompt.flush());
        read_line()
    }

    /// What to do after somebody said no: nothing was changed.
    pub fn declined(&self) -> Exit {
        self.printer.note("Nothing was changed.");
        Exit::Invalid
    }
}

/// Reads one line from standard input, trimmed.
pub fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut line);
    read.map_err(|error| Failure::new(Exit::Usage, "the answer could not be read").caused_by(&error))?;
    Ok(line.trim().to_owned())
}

/// Reads a secret from standard input, wiped when dropped: one line where a person types, else everything up to its end.
/// Errors: also when the line is longer than any answer may be.
pub fn read_secret(is_typed: bool) -> Result<Zeroizing<String>, Failure> {
    // With its room taken at once the text is never copied to a larger place, which would leave it behind.
    let mut text = Zeroizing::new(String::with_capacity(ANSWER_BYTES_MAX as usize + 1));
    let mut input = io::stdin().lock().take(ANSWER_BYTES_MAX + 1);
    let read = if is_typed { input.read_line(&mut text) } else { input.read_to_string(&mut text) };
    read.map_err(|error| Failure::new(Exit::Usage, "standard input could not be read").caused_by(&error))?;
    if text.len() as u64 > ANSWER_BYTES_MAX {
        return Err(Failure::new(Exit::Usage, format!("standard input has more than {ANSWER_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::output::{Colour, Format};

    fn session(yes: bool) -> Session {
        let printer = Printer::new(Format::Table, Colour::Never);
        Session { home: "/h".into(), socket: "/h/s".into(), names_node: false, printer, yes, no_input: true }
    }

    #[test]
    fn a_question_that_cannot_be_asked_names_the_option_that_answers_it() {
        let failure = session(false).agree("Join?", "--yes").unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.json()["hint"].as_str().unwrap().contains("--yes"));
        assert!(session(true).agree("Join?", "--yes").unwrap());
    }
}
