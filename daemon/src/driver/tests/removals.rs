//! Readers of change lists hear of what the node lets go.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::time::DAY_MS;

use super::*;
use crate::catalogue::Removal;
use crate::feed::directory::{Change, Directory, Lookup, Removed};
use crate::store::{self, Durability};

impl Rig {
    fn changes(&self) -> Vec<Change> {
        self.driver.catalogue.changes(Kind::SERVICE, 0, 100).unwrap()
    }

    fn say(&mut self, kind: Kind, body: &[u8]) {
        let record = statement_record_id(&self.org, kind, None);
        let envelope = self.sign(&key(2), kind, record, body);
        let (reply, _) = oneshot::channel();
        self.run(Command::Publish { envelopes: vec![envelope], reply });
    }

    /// Until the signatures of what was published are checked.
    fn published_record(&mut self) -> RecordId {
        let envelope = self.service();
        let record = SignedVersion::read(envelope.clone()).unwrap().header().record;
        let (reply, mut outcomes) = oneshot::channel();
        self.run(Command::Publish { envelopes: vec![envelope], reply });
        while outcomes.try_recv().is_err() {
            let command = self.commands.take().unwrap();
            self.run(command);
        }
        record
    }

    fn leave(&mut self) {
        self.say(Kind::LEAVE, &v1::Leave { reason: "we close".into() }.encode_to_vec());
    }
}

fn removed(change: &Change) -> Removed {
    match change {
        Change::Removed(removed) => *removed,
        Change::Updated(entry) => panic!("{} is live", entry.record),
    }
}

#[test]
fn what_an_organisation_published_is_listed_as_removed_when_it_leaves() {
    let mut rig = Rig::new();
    let record = rig.published_record();
    let before = rig.changes()[0].arrival();
    let listed = rig.listed();
    rig.leave();
    let changes = rig.changes();
    let gone = removed(&changes[0]);
    assert_eq!((changes.len(), gone.record, gone.kind), (1, record, Kind::SERVICE));
    assert!(gone.arrival > before, "a reader that has the record is told");
    assert!(matches!(rig.driver.catalogue.record(&record), Ok(Lookup::Gone { kind: Kind::SERVICE })));
    assert_eq!(rig.listed(), listed - 1);
    let counts = rig.driver.catalogue.counts(Audience::Public);
    assert_eq!((counts.live, counts.withdrawn, counts.lapsed), (0, 0, 0));
    // Its text is gone from the store.
    let arrival = rig.driver.reader.arrivals(Audience::Public, Some(Kind::SERVICE), 0, 10).unwrap()[0];
    let row = rig.driver.reader.get(&arrival.slot).unwrap().unwrap();
    assert_eq!(Removal::read(&row.envelope).unwrap().record, record);
}

#[test]
fn a_removal_is_listed_after_a_restart_from_the_rows_and_from_the_checkpoint() {
    let mut rig = Rig::new();
    let record = rig.published_record();
    rig.leave();
    let number = rig.changes()[0].arrival();
    rig.driver.restore(None).unwrap();
    assert_eq!((removed(&rig.changes()[0]).record, rig.changes()[0].arrival()), (record, number));
    let index = index::write(rig.driver.node.as_ref().unwrap(), &rig.driver.catalogue);
    rig.driver.restore(Some(index)).unwrap();
    assert_eq!((removed(&rig.changes()[0]).record, rig.changes()[0].arrival()), (record, number));
    assert!(matches!(rig.driver.catalogue.record(&record), Ok(Lookup::Gone { .. })));
}

#[test]
fn a_removal_is_cleared_up_when_it_was_listed_long_enough_and_not_before() {
    let mut rig = Rig::new();
    rig.published_record();
    rig.leave();
    rig.driver.clear_removals();
    assert_eq!(rig.changes().len(), 1);
    let arrival = rig.driver.reader.arrivals(Audience::Public, Some(Kind::SERVICE), 0, 10).unwrap()[0];
    let old = Removal { record: RecordId([9; 16]), at_ms: clock::now_ms() - 31 * DAY_MS };
    let envelope = old.write();
    let vid = fingerpost_proto::id::Vid::of_envelope(&envelope);
    let put = store::Operation::Put { slot: arrival.slot, kind: Kind::SERVICE, vid, envelope, own: false };
    rig.driver.store.commit(vec![put], Durability::Now).unwrap();
    rig.driver.catalogue.put_removal(arrival.slot, Kind::SERVICE, &old);
    rig.driver.clear_removals();
    assert!(rig.changes().is_empty());
    assert_eq!(rig.driver.reader.get(&arrival.slot).unwrap(), None);
}

#[test]
fn a_record_that_comes_back_takes_the_place_of_its_removal() {
    let mut rig = Rig::new();
    let record = rig.published_record();
    rig.leave();
    let gone_at = removed(&rig.changes()[0]).arrival;
    let body = v1::Acceptance { charter: rig.network.0.to_vec(), ..Default::default() }.encode_to_vec();
    // Later than the leave by its clock.
    std::thread::sleep(Duration::from_millis(2));
    rig.say(Kind::ACCEPTANCE, &body);
    rig.published = 0;
    assert_eq!(rig.published_record(), record, "the same record again");
    let changes = rig.changes();
    assert!(matches!(&changes[..], [Change::Updated(entry)] if entry.record == record && entry.arrival > gone_at));
    assert!(matches!(rig.driver.catalogue.record(&record), Ok(Lookup::Live(_))));
}

#[test]
fn a_node_does_not_block_its_own_organisation_and_no_more_than_the_limit() {
    use super::super::blocking::BLOCKED_MAX;
    let mut rig = Rig::new();
    let own = rig.org;
    assert!(rig.driver.block(own, false).unwrap_err().contains("cannot block itself"));
    let stranger = |n: usize| OrgId(std::array::from_fn(|i| n.to_be_bytes()[i % 8]));
    for n in 1..=BLOCKED_MAX {
        assert_eq!(rig.driver.block(stranger(n), false), Ok(true), "{n}");
    }
    assert!(rig.driver.block(stranger(BLOCKED_MAX + 1), false).unwrap_err().contains("1024"));
    assert_eq!(rig.driver.block(stranger(1), false), Ok(false), "it is blocked already");
    assert_eq!(rig.driver.block(stranger(1), true), Ok(true));
    assert_eq!(rig.driver.block(stranger(BLOCKED_MAX + 1), false), Ok(true));
    rig.driver.restore(None).unwrap();
    assert_eq!(rig.driver.blocked.len(), BLOCKED_MAX, "the list is there after a restart");
}
