//! Kills at random moments.

use fingerpost_tests::crash::kill_nine;
use tempfile::TempDir;

use super::{assert_kept, rounds, with_store_writer};

#[test]
fn no_kill_loses_an_acknowledged_version_or_keeps_a_superseded_one() {
    let home = TempDir::new().unwrap();
    let tally = with_store_writer(|store| kill_nine(store, home.path(), rounds("FINGERPOST_KILLS", 12), 1)).unwrap();
    assert_kept(&tally, "kill -9", "batches");
}
