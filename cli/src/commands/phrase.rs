//! Showing recovery words, and seeing that they were written down.

use crate::failure::{Exit, Failure};
use crate::recovery::{RecoveryPhrase, WORDS_ASKED};
use crate::session::Session;

/// Times a wrong recovery word may be typed.
const ATTEMPTS_MAX: usize = 3;

/// Prints the words and, when somebody sits there, sees that two of them were written down.
pub(super) fn show_phrase(session: &Session, phrase: &RecoveryPhrase) -> Result<(), Failure> {
    session.printer.line("Recovery words. Write them on paper now: they are shown once and kept nowhere.\n")?;
    for line in phrase.lines() {
        session.printer.line(&format!("    {line}"))?;
    }
    session
        .printer
        .line("\nWhoever has them can take over the organisation; without them a lost key cannot be replaced.\n")?;
    if session.yes || !session.can_ask() {
        return Ok(());
    }
    for position in WORDS_ASKED {
        let mut attempts = 0;
        while !phrase.is_word(position, &session.ask(&format!("Type word {position} from your paper: "))?) {
            attempts += 1;
            if attempts == ATTEMPTS_MAX {
                return Err(Failure::new(Exit::Usage, format!("word {position} was not typed; nothing was kept"))
                    .hint("run the command again, with paper at hand; the words will be new"));
            }
            session.printer.note("That is another word.");
        }
    }
    Ok(())
}
