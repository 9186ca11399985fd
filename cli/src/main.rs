//! `fingerpost`: publish services and events of your organisation, and see what your network shares.

use std::process::ExitCode;

use clap::Parser;
use fingerpost_cli::args::Cli;
use fingerpost_cli::{commands, core_dump};

fn main() -> ExitCode {
    if let Err(error) = core_dump::forbid() {
        eprintln!("Warning: a crash could write keys to the disk: {error}");
    }
    ExitCode::from(commands::run(Cli::parse()).code())
}
