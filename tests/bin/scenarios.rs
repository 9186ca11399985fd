//! Plays stories with real processes: `scenarios` all of them, `scenarios 07 nat` those whose names contain a word.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use fingerpost_tests::scenarios::{AT_ONCE_DEFAULT, STORIES, chosen, play};

/// Stories of what happens to people's computers, played with real processes on this machine.
#[derive(Parser)]
struct Arguments {
    /// Words that names of stories contain; without any, all are played.
    names: Vec<String>,
    /// Stories that are played at the same time.
    #[arg(long, default_value_t = AT_ONCE_DEFAULT, value_parser = clap::value_parser!(u64).range(1..=32))]
    at_once: u64,
    /// Prints names and sentences, and plays nothing.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        STORIES.iter().for_each(|story| println!("{:<28} {}", story.name, story.says));
        return ExitCode::SUCCESS;
    }
    let stories = chosen(&arguments.names);
    if stories.is_empty() {
        eprintln!("Error: no story is called {}; see them: scenarios --list", arguments.names.join(" or "));
        return ExitCode::from(2);
    }
    let (count, begin) = (stories.len(), Instant::now());
    let failed = play(stories, arguments.at_once, |ending| println!("{ending}"));
    println!("{} of {count} stories ended as told, in {:.0} s", count - failed, begin.elapsed().as_secs_f64());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
