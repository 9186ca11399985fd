//! All stories, as a test: `cargo test` prints the lines of those that failed. One by one: `tests/README.md`.

use std::sync::Mutex;

use fingerpost_tests::scenarios::{AT_ONCE_DEFAULT, chosen, play};

#[test]
fn every_story_of_real_processes_ends_as_it_is_told() {
    let failed = Mutex::new(Vec::new());
    play(chosen(&[]), AT_ONCE_DEFAULT, |ending| {
        println!("{ending}");
        if ending.outcome.is_err() {
            failed.lock().expect("no story panics here").push(ending.to_string());
        }
    });
    let failed = failed.into_inner().expect("no story panics here");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
