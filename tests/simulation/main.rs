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
