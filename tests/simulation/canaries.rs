//! Rules of the protocol are taken out, one at a time: the simulator must notice each of them.
//!
//! One test, because a rule is out for the whole process.

use fingerpost_proto::canary::{Canary, take_out};
use fingerpost_tests::simulation::sweep;

const NODES: usize = 12;
/// A rule that is out shows within so many histories.
const SEEDS_MAX: u64 = 60;

#[test]
fn every_rule_that_is_taken_out_makes_a_history_fail_and_none_fails_with_all_of_them() {
    for canary in Canary::SIMULATED {
        take_out(Some(canary));
        let swept = sweep(0..SEEDS_MAX, NODES, |_| {}, |_| {});
        take_out(None);
        let failure = swept.failure.unwrap_or_else(|| panic!("{SEEDS_MAX} histories hold without {canary:?}"));
        println!("without {canary:?}, after {} good histories: {failure}", swept.passed);
    }
    // More of these are run elsewhere.
    let swept = sweep(0..10, NODES, |_| {}, |_| {});
    assert_eq!(swept.failure.map(|failure| failure.to_string()), None);
}
