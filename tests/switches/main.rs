//! Defences are taken out, one at a time: the test that a row of the threat page names must go red, and only then.
//!
//! Each test runs in a process of its own, which learns by a variable what is out, and hands it on to the processes that it starts.
//! Takes minutes, and builds everything once more with the feature `canaries`: not part of `cargo test --workspace`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use fingerpost_proto::canary::{Canary, VARIABLE};
use fingerpost_tests::cluster::FOLDER_VARIABLE;
use table::{SWITCHES, Switch, WITHOUT_SWITCH};

/// Tests that run at once.
const AT_ONCE: usize = 2;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Rows of the tables of promises and attacks: first cell, and the whole line.
fn rows(page: &str) -> BTreeMap<&str, &str> {
    let is_number = |cell: &&str| cell.trim_start_matches('P').starts_with(|first: char| first.is_ascii_digit());
    page.lines()
        .filter_map(|line| {
            let cell = line.strip_prefix("| ")?.split(" |").next().filter(is_number)?;
            Some((cell, line))
        })
        .collect()
}

#[test]
fn every_attack_and_promise_has_a_switch_whose_test_its_row_names_or_says_why_not() {
    let page = std::fs::read_to_string(root().join("spec/12-threats.md")).unwrap();
    let rows = rows(&page);
    assert_eq!(rows.len(), 18 + 40, "42 attacks, of which three share a row, and 18 promises: {:?}", rows.keys());
    for Switch { against, test, .. } in SWITCHES {
        for row in *against {
            let line = rows.get(row).unwrap_or_else(|| panic!("no row {row}"));
            assert!(line.contains(&format!("`{test}`")), "row {row} does not name {test}");
        }
    }
    let with: BTreeSet<&str> = SWITCHES.iter().flat_map(|switch| switch.against).copied().collect();
    let without: BTreeSet<&str> = WITHOUT_SWITCH.iter().map(|(row, _)| *row).collect();
    let missing: Vec<&&str> = rows.keys().filter(|row| with.contains(**row) == without.contains(**row)).collect();
    assert!(missing.is_empty(), "either a switch or a reason: {missing:?}");
    let simulated = Canary::SIMULATED.into_iter();
    let used: Vec<Canary> = SWITCHES.iter().map(|switch| switch.canary).chain(simulated).collect();
    let unused: Vec<&Canary> = Canary::ALL.iter().filter(|canary| !used.contains(canary)).collect();
    assert!(unused.is_empty(), "nothing notices {unused:?}");
}

/// Builds the workspace with switches. Returns the test programs by target, and the folder of the binaries.
fn build(binaries: &Path) -> BTreeMap<String, PathBuf> {
    let cargo = |subcommand: &[&str]| -> String {
        let mut command = Command::new(env!("CARGO"));
        command.args(subcommand).args(["--locked", "--workspace", "--features", "fingerpost-tests/canaries"]);
        command.args(["--message-format", "json-render-diagnostics"]).current_dir(root()).stderr(Stdio::inherit());
        let output = command.output().unwrap();
        assert!(output.status.success(), "cargo {subcommand:?}: {}", output.status);
        String::from_utf8(output.stdout).unwrap()
    };
    let artifacts = |said: &str| -> Vec<serde_json::Value> {
        let messages = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        messages.filter(|message| message["executable"].is_string()).collect()
    };
    let executable = |artifact: &serde_json::Value| PathBuf::from(artifact["executable"].as_str().unwrap());
    for artifact in artifacts(&cargo(&["build", "--bins"])) {
        let path = executable(&artifact);
        std::fs::copy(&path, binaries.join(path.file_name().unwrap())).unwrap();
    }
    let tests = artifacts(&cargo(&["test", "--no-run"]));
    let tests = tests.iter().filter(|artifact| artifact["profile"]["test"] == true);
    let named = tests.filter(|artifact| artifact["target"]["kind"] != serde_json::json!(["bin"]));
    named.map(|artifact| (artifact["target"]["name"].as_str().unwrap().to_owned(), executable(artifact))).collect()
}

/// Runs one test, with a rule out.
fn run(program: &Path, binaries: &Path, test: &str, without: Option<Canary>) -> Output {
    let mut command = Command::new(program);
    // Where cargo would run it.
    let folder = match program.file_name().unwrap().to_string_lossy() {
        name if name.starts_with("fingerpost_") => name.split(['_', '-']).nth(1).unwrap().to_owned(),
        _ => "tests".to_owned(),
    };
    command.current_dir(root().join(folder)).arg(test).env_remove("CARGO").env(FOLDER_VARIABLE, binaries);
    match without {
        Some(canary) => command.env(VARIABLE, format!("{canary:?}")),
        None => command.env_remove(VARIABLE),
    };
    command.output().unwrap()
}

/// What is wrong with a switch; nothing when its test is green with the rule and red without.
fn fault(switch: &Switch, program: &Path, binaries: &Path) -> Option<String> {
    let (canary, test) = (switch.canary, switch.test);
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let with = said(&run(program, binaries, test, None));
    if !with.contains("test result: ok. 1 passed;") {
        return Some(format!("{test} is not green with everything in place:\n{with}"));
    }
    let without = said(&run(program, binaries, test, Some(canary)));
    let is_red = without.contains("test result: FAILED. 0 passed; 1 failed;");
    (!is_red).then(|| format!("{test} does not notice that {canary:?} is out:\n{without}"))
}

#[test]
fn each_test_is_green_with_its_defence_and_red_without_it() {
    let binaries = tempfile::tempdir().unwrap();
    let programs = build(binaries.path());
    let wanted = std::env::var("FINGERPOST_SWITCH").unwrap_or_default();
    let queue: Vec<&Switch> =
        SWITCHES.iter().filter(|switch| wanted.is_empty() || format!("{:?}", switch.canary) == wanted).collect();
    let (queue, faults) = (Mutex::new(queue.into_iter().rev().collect::<Vec<_>>()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(switch) = queue.lock().unwrap().pop() else { return };
                    let since = Instant::now();
                    let program = programs.get(switch.target).expect("a test program of the workspace");
                    let fault = fault(switch, program, binaries.path());
                    let verdict = if fault.is_some() { "NOT NOTICED" } else { "noticed" };
                    println!("{:?}: {verdict}, {:.1} s, {}", switch.canary, since.elapsed().as_secs_f64(), switch.test);
                    faults.lock().unwrap().extend(fault);
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
