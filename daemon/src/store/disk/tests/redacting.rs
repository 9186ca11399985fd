//! What a redaction leaves of old versions in the journal: not even enciphered bytes.

use fingerpost_proto::kind::Kind;

use super::*;

#[test]
fn a_redaction_leaves_no_void_bytes_in_the_journal_also_when_the_power_went_before_it_was_written_anew() {
    for is_cut in [false, true] {
        let folder = TempDir::new().unwrap();
        let (mut store, _) = open(folder.path());
        store.commit(vec![put(slot(1), &body(MARKER, 1), true)], Durability::Now).unwrap();
        let journal = |store: &SledStore| fs::read(store.home.path("journal")).unwrap();
        let written = journal(&store);
        let enciphered = written[written.len() - 500..].to_vec();
        let Operation::Put { slot: place, vid, envelope, own, .. } = put(slot(2), b"order", true) else { return };
        let redaction = Operation::Put { slot: place, kind: Kind::REDACTION, vid, envelope, own };
        let durability = if is_cut { Durability::WithinASecond } else { Durability::Now };
        store.commit(vec![put(slot(1), b"withdrawn", true), redaction], durability).unwrap();
        if is_cut {
            assert!(contains(&journal(&store), &enciphered));
            kill(store);
            store = open(folder.path()).0;
            store.commit(vec![put(slot(3), b"next", true)], Durability::Now).unwrap();
        }
        assert!(!contains(&journal(&store), &enciphered), "cut: {is_cut}");
        kill(store);
        fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
        let (store, opened) = open(folder.path());
        assert_eq!((opened.replayed, opened.journal.damaged_bytes), (2 + u64::from(is_cut), 0));
        assert_eq!(store.reader().get(&slot(1)).unwrap().unwrap().envelope, b"withdrawn");
    }
}
