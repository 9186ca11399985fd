//! `fingerpost`: publish services and events of your organisation, and see what your network shares.

use std::process::ExitCode;

use clap::Parser;
use fingerpost_cli::args::Cli;
use fingerpost_cli::commands;

fn main() -> ExitCode {
    ExitCode::from(commands::run(Cli::parse()).code())
}
