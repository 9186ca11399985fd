#![allow(clippy::unwrap_used)]
use clap::CommandFactory;

use super::*;
use crate::failure::Exit;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

#[test]
fn the_command_tree_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_shows_examples_before_options_and_every_exit_code() {
    let help = Cli::command().render_long_help().to_string();
    assert!(help.find("Examples:").unwrap() < help.find("Usage:").unwrap(), "{help}");
    for exit in Exit::ALL {
        assert!(help.contains(&format!("\n  {}  ", exit.code())), "{exit:?} is not in the help");
    }
    for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "network") {
        assert!(command.get_before_help().is_some(), "{} has no example", command.get_name());
    }
}

#[test]
fn the_readme_documents_every_command_and_exit_code() {
    let readme = include_str!("../../README.md");
    for exit in Exit::ALL {
        assert!(readme.contains(&format!("| {} | `{}` |", exit.code(), exit.name())), "{exit:?}");
    }
    for command in Cli::command().get_subcommands() {
        assert!(readme.contains(&format!("### {}", command.get_name())), "{}", command.get_name());
    }
}

#[test]
fn the_version_names_the_protocol_level() {
    let version = Cli::command().render_version();
    assert!(version.contains(&format!("protocol level {}", fingerpost_proto::PROTOCOL_LEVEL)), "{version}");
}

#[test]
fn options_of_every_command_may_stand_before_or_after_it() {
    let before = parse("fingerpost --home /x -o json status").unwrap();
    let after = parse("fingerpost status --home /x -o json").unwrap();
    assert_eq!(before.global.home, after.global.home);
    assert_eq!((before.global.output, after.global.output), (Format::Json, Format::Json));
}

#[test]
fn confirm_wants_exactly_one_way_to_choose() {
    assert!(parse("fingerpost confirm a b").is_ok());
    assert!(parse("fingerpost confirm --all").is_ok());
    assert!(parse("fingerpost confirm --due 30").is_ok());
    for wrong in ["fingerpost confirm", "fingerpost confirm a --all", "fingerpost confirm --all --due 3"] {
        assert_eq!(parse(wrong).unwrap_err().exit_code(), i32::from(Exit::Usage.code()), "{wrong}");
    }
}

#[test]
fn numbers_are_accepted_at_their_limits_and_refused_beyond() {
    assert!(parse("fingerpost invite --count 100 --expires-days 365").is_ok());
    assert!(parse("fingerpost invite --count 101").is_err());
    assert!(parse("fingerpost invite --count 0").is_err());
    assert!(parse("fingerpost invite --expires-days 366").is_err());
    assert!(parse("fingerpost import a.csv --confirm 3").is_err(), "a count without --withdraw-missing");
    assert!(parse("fingerpost init --name x --hosted --endpoint a:1").is_err());
}
