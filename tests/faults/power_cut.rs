//! Power cuts at random moments.

use fingerpost_tests::power::{PowerRig, cut_power};

use super::{assert_kept, rounds, with_store_writer};

#[test]
fn no_power_cut_loses_an_acknowledged_version_or_keeps_a_superseded_one() {
    let mut rig = match PowerRig::new(1 << 30) {
        Ok(rig) => rig,
        Err(why) => {
            eprintln!("SKIPPED: no power cuts on this machine: {why}");
            return;
        }
    };
    let count = rounds("FINGERPOST_POWER_CUTS", 8);
    let tally = with_store_writer(|store| cut_power(store, &mut rig, count, 1)).unwrap();
    assert_kept(&tally, "power cuts", "batches");
}
