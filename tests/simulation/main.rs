//! The share of the simulator that every run of the tests has. More: `tests/README.md`.

use fingerpost_tests::simulation::{Options, run, sweep};

fn all_hold(seeds: std::ops::Range<u64>, nodes: usize) {
    let swept = sweep(seeds, nodes, |_| {}, |_| {});
    if let Some(failure) = swept.failure {
        let lines = failure.lines.join("\n");
        panic!(
            "{lines}\n{failure}\nagain: cargo run --release -p fingerpost-tests --bin sim -- --seed {} --nodes {nodes} --replay",
            failure.seed
        );
    }
}

#[test]
fn forty_histories_of_twelve_nodes_keep_every_promise() {
    all_hold(0..40, 12);
}

#[test]
fn four_histories_of_fifty_nodes_keep_every_promise() {
    all_hold(1_000..1_004, 50);
}

#[test]
fn one_seed_is_one_history() {
    let hash = |seed| run(Options::drawn(seed, 12)).map(|report| report.hash).expect("everything holds");
    assert_eq!(hash(7), hash(7));
    assert_ne!(hash(7), hash(8));
}

/// What a file of `tests/regressions` says on the line that begins so.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[test]
fn histories_that_failed_once_hold() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let number = |name| field(&text, name).and_then(|value| value.parse::<u64>().ok());
        let (Some(seed), Some(nodes)) = (number("seed:"), number("nodes:")) else {
            panic!("{} names no seed and nodes", path.display());
        };
        let mut options = Options::drawn(seed, nodes as usize);
        if let Some(hours) = field(&text, "hours:") {
            options.active_ms = (hours.parse::<f64>().expect("a number of hours") * 3_600_000.0) as u64;
        }
        if let Err(failure) = run(options) {
            panic!("{}: {failure}", path.display());
        }
        replayed += 1;
    }
    assert!(replayed > 0, "there are histories to replay");
}
