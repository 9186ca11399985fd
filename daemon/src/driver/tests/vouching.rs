//! What was taken for its organisation's head is shown to nobody before it is checked, also after a restart.

use fingerpost_proto::node::Operation;
use fingerpost_proto::set::Slot;

use super::*;
use crate::feed::directory::{Directory, Lookup};

impl Rig {
    fn vouch(&mut self, version: &SignedVersion) {
        let (header, envelope) = (version.header(), version.envelope().to_vec());
        let (slot, kind, vid) = (Slot::of(header), header.kind, version.vid());
        let put = Operation::Put { slot, kind, vid, envelope, own: false };
        let operations = vec![Operation::Vouched { org: header.org }, put];
        self.driver.perform(vec![Output::Persist { operations, durable: false }]);
    }

    fn persist(&mut self, operation: Operation) {
        self.driver.perform(vec![Output::Persist { operations: vec![operation], durable: false }]);
    }

    /// Records that lists, pages and change lists show.
    fn shown(&self, version: &SignedVersion) -> [usize; 4] {
        let (catalogue, kind) = (&self.driver.catalogue, Kind::SERVICE);
        let is_known = !matches!(catalogue.record(&version.header().record), Ok(Lookup::Unknown));
        let page = catalogue.page(kind, 0, 10).unwrap().len();
        let listed = catalogue.changes(kind, 0, 10).unwrap().len() + catalogue.removed(kind, 10).unwrap().len();
        [catalogue.count(kind), page, listed, usize::from(is_known)]
    }

    /// Takes what the threads have checked, until nothing waits for its audit.
    fn finish_audits(&mut self) {
        for _ in 0..10_000 {
            if self.driver.node.as_ref().unwrap().unaudited() == 0 {
                return;
            }
            match self.commands.try_take() {
                Some((command, _)) => self.run(command),
                None => std::thread::sleep(std::time::Duration::from_millis(1)),
            }
        }
        panic!("an audit does not end");
    }

    fn a_service(&mut self) -> SignedVersion {
        SignedVersion::read(self.service()).unwrap()
    }
}

#[test]
fn what_a_head_vouched_for_is_shown_once_it_is_audited_and_not_before_also_after_a_restart() {
    let mut rig = Rig::new();
    let service = rig.a_service();
    rig.vouch(&service);
    assert_eq!(rig.shown(&service), [0; 4]);
    rig.driver.restore(None).unwrap();
    assert_eq!(rig.shown(&service), [0; 4]);
    assert_eq!(rig.driver.node.as_ref().unwrap().unaudited(), 1, "the node goes on with it");
    // The audit: the row is read, checked on another thread, and listed.
    rig.run(Command::Tick);
    rig.finish_audits();
    assert_eq!(rig.shown(&service), [1; 4]);
    assert_eq!(rig.listed(), 1);
    rig.driver.restore(None).unwrap();
    assert_eq!((rig.shown(&service), rig.driver.node.as_ref().unwrap().unaudited()), ([1; 4], 0));
}

#[test]
fn what_fails_its_audit_leaves_without_a_trace_in_the_feed() {
    let mut rig = Rig::new();
    let mut envelope = rig.service();
    envelope[9] ^= 1;
    let forged = SignedVersion::read(envelope).unwrap();
    rig.vouch(&forged);
    rig.driver.restore(None).unwrap();
    rig.run(Command::Tick);
    rig.finish_audits();
    assert_eq!(rig.shown(&forged), [0; 4]);
    assert_eq!(rig.driver.reader.get(&Slot::of(forged.header())).unwrap(), None);
    assert_eq!(rig.driver.node.as_ref().unwrap().unaudited(), 0);
}

#[test]
fn a_change_list_ends_before_what_is_not_audited_and_goes_on_from_there() {
    let mut rig = Rig::new();
    let (held, lapsed) = (rig.a_service(), rig.a_service());
    rig.vouch(&held);
    rig.vouch(&lapsed);
    rig.persist(Operation::Lapse { slot: Slot::of(lapsed.header()), has_lapsed: true });
    assert!(rig.driver.catalogue.changes(Kind::SERVICE, 0, 10).unwrap().is_empty());
    rig.persist(Operation::Audited { org: held.header().org });
    assert_eq!(rig.driver.catalogue.changes(Kind::SERVICE, 0, 10).unwrap().len(), 2, "one shown, one gone");
    let counts = rig.driver.catalogue.counts(Audience::Public);
    assert_eq!((counts.live, counts.lapsed), (1, 1));
    assert_eq!(rig.driver.catalogue.count(Kind::SERVICE), 1);
}
