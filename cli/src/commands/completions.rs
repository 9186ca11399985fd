//! `completions SHELL`: the script that makes the shell complete commands and options.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::{Exit, Failure};
use crate::output::Printer;

pub(super) fn run(printer: &Printer, shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fingerpost", &mut script);
    printer.raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
