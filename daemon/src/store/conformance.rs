//! What every store must do, run over the one on a disk and the one in memory.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::limits::ENVELOPE_BYTES_MAX;
use fingerpost_proto::set::SetKey;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Options for tests: little cache, no ballast.
pub(super) fn small(folder: &std::path::Path) -> DiskOptions {
    DiskOptions { cache_bytes: 4 << 20, ballast_bytes: 0, ..DiskOptions::new(folder.join("store")) }
}

pub(super) fn slot(number: u8) -> Slot {
    Slot { audience: Audience::Public, key: SetKey([number; 16]) }
}

pub(super) fn put(slot: Slot, envelope: &[u8], own: bool) -> Operation {
    Operation::Put { slot, kind: Kind::SERVICE, vid: Vid::of_envelope(envelope), envelope: envelope.to_vec(), own }
}

fn over_both(check: impl Fn(&mut dyn Store)) {
    check(&mut MemoryStore::new(1));
    let folder = TempDir::new().unwrap();
    check(&mut SledStore::open(small(folder.path())).unwrap().0);
}

fn all_rows(store: &dyn Store) -> Vec<(Slot, Result<Row, StoreError>)> {
    let mut rows = Vec::new();
    let mut visit = |slot, row| {
        rows.push((slot, row));
        ControlFlow::Continue(())
    };
    store.reader().rows(&mut visit).unwrap();
    rows
}

fn arrivals(store: &dyn Store, kind: Option<Kind>, after: u64) -> Vec<(u64, Slot)> {
    let arrivals = store.reader().arrivals(Audience::Public, kind, after, 1_000).unwrap();
    arrivals.into_iter().map(|arrival| (arrival.number, arrival.slot)).collect()
}

#[test]
fn what_is_put_is_read_back_with_a_rising_number() {
    over_both(|store| {
        let operations = vec![put(slot(2), b"two", true), put(slot(1), b"one", false)];
        let numbers = store.commit(operations, Durability::Now).unwrap();
        assert!(numbers[0] < numbers[1]);
        let row = store.reader().get(&slot(2)).unwrap().unwrap();
        assert_eq!((&row.envelope[..], row.own, row.lapsed, Some(row.arrival)), (&b"two"[..], true, false, numbers[0]));
        assert_eq!(store.reader().get(&slot(3)).unwrap(), None);
        let slots: Vec<_> = all_rows(store).into_iter().map(|(slot, _)| slot).collect();
        assert_eq!(slots, [slot(1), slot(2)], "rows come in slot order");
        assert_eq!(store.reader().last_arrival(Audience::Public), numbers[1].unwrap());
        assert_eq!((store.usage().unwrap().rows, store.usage().unwrap().live_bytes), (2, 6));
    });
}

#[test]
fn a_replaced_version_has_one_arrival_and_it_is_the_last() {
    over_both(|store| {
        store.commit(vec![put(slot(1), b"a", false), put(slot(2), b"b", false)], Durability::WithinASecond).unwrap();
        let numbers = store.commit(vec![put(slot(1), b"c", false)], Durability::WithinASecond).unwrap();
        let found = arrivals(store, None, 0);
        assert_eq!(found.iter().map(|(_, slot)| *slot).collect::<Vec<_>>(), [slot(2), slot(1)]);
        assert_eq!(Some(found[1].0), numbers[0]);
        assert_eq!(arrivals(store, Some(Kind::SERVICE), 0), found);
        assert_eq!(arrivals(store, Some(Kind::EVENT), 0), []);
        assert_eq!(arrivals(store, None, found[0].0), found[1..]);
        assert_eq!(arrivals(store, None, u64::MAX), []);
        assert_eq!(store.reader().arrivals(Audience::Public, None, 0, 1).unwrap().len(), 1);
    });
}

#[test]
fn a_record_that_changes_kind_leaves_the_feed_of_the_old_kind() {
    over_both(|store| {
        store.commit(vec![put(slot(1), b"a", false)], Durability::Now).unwrap();
        let envelope = b"b".to_vec();
        let vid = Vid::of_envelope(&envelope);
        let event = Operation::Put { slot: slot(1), kind: Kind::EVENT, vid, envelope, own: false };
        store.commit(vec![event], Durability::Now).unwrap();
        assert_eq!(arrivals(store, Some(Kind::SERVICE), 0), []);
        assert_eq!(arrivals(store, Some(Kind::EVENT), 0).len(), 1);
    });
}

#[test]
fn a_lapse_keeps_the_version_under_a_new_number() {
    over_both(|store| {
        let first = store.commit(vec![put(slot(1), b"a", true)], Durability::Now).unwrap()[0];
        let numbers = store.commit(vec![lapse(1, true), lapse(9, true)], Durability::Now).unwrap();
        assert!(numbers[0] > first);
        assert_eq!(numbers[1], None, "there is nothing to lapse in an empty slot");
        let row = store.reader().get(&slot(1)).unwrap().unwrap();
        assert_eq!((row.lapsed, &row.envelope[..], row.own), (true, &b"a"[..], true));
        let listed = store.reader().arrivals(Audience::Public, None, 0, 9).unwrap();
        assert!(listed.len() == 1 && listed[0].lapsed);
        let again = store.commit(vec![lapse(1, false)], Durability::Now).unwrap();
        assert!(again[0] > numbers[0], "readers of the order must learn of it");
        assert!(!store.reader().get(&slot(1)).unwrap().unwrap().lapsed);
        store.commit(vec![put(slot(1), b"b", true)], Durability::Now).unwrap();
        assert!(!store.reader().get(&slot(1)).unwrap().unwrap().lapsed, "a new version has a new lease");
    });
}

#[test]
fn a_forgotten_slot_is_empty_and_has_no_arrival() {
    over_both(|store| {
        store.commit(vec![put(slot(1), b"a", true)], Durability::Now).unwrap();
        store
            .commit(vec![Operation::Forget { slot: slot(1) }, Operation::Forget { slot: slot(2) }], Durability::Now)
            .unwrap();
        assert_eq!(store.reader().get(&slot(1)).unwrap(), None);
        assert_eq!(arrivals(store, None, 0), []);
        assert_eq!(store.usage().unwrap().rows, 0);
    });
}

#[test]
fn operations_of_one_commit_see_each_other() {
    over_both(|store| {
        let operations = vec![
            put(slot(1), b"a", true),
            put(slot(1), b"b", false),
            lapse(1, true),
            put(slot(2), b"c", false),
            Operation::Forget { slot: slot(2) },
            put(slot(3), b"d", false),
            put(slot(3), b"e", true),
        ];
        store.commit(operations, Durability::Now).unwrap();
        let rows: Vec<_> = all_rows(store).into_iter().map(|(slot, row)| (slot, row.unwrap())).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[0].1.envelope[..], rows[0].1.lapsed), (&b"b"[..], true));
        assert_eq!(&rows[1].1.envelope[..], b"e");
        assert_eq!(arrivals(store, None, 0).len(), 2);
    });
}

#[test]
fn audiences_are_numbered_and_listed_apart() {
    over_both(|store| {
        let members = Slot { audience: Audience::Members, key: SetKey([1; 16]) };
        store.commit(vec![put(members, b"secret", false)], Durability::Now).unwrap();
        assert_eq!(
            store.reader().last_arrival(Audience::Public),
            0,
            "public numbers tell nothing about members' records"
        );
        assert_eq!(arrivals(store, None, 0), []);
        assert_eq!(store.reader().get(&slot(1)).unwrap(), None);
        assert!(store.reader().get(&members).unwrap().is_some());
    });
}

#[test]
fn named_values_are_kept_replaced_and_removed() {
    over_both(|store| {
        let name = || "cursor/1".to_owned();
        store.commit(vec![Operation::PutMeta { name: name(), value: vec![1] }], Durability::Now).unwrap();
        store.commit(vec![Operation::PutMeta { name: name(), value: vec![2] }], Durability::Now).unwrap();
        assert_eq!(store.reader().meta("cursor/1").unwrap(), Some(vec![2]));
        assert_eq!(store.reader().meta("cursor").unwrap(), None);
        store.commit(vec![Operation::RemoveMeta { name: name() }], Durability::Now).unwrap();
        assert_eq!(store.reader().meta("cursor/1").unwrap(), None);
    });
}

#[test]
fn each_limit_holds_and_one_more_is_refused_without_any_change() {
    over_both(|store| {
        let commit = |store: &mut dyn Store, operation| store.commit(vec![operation], Durability::WithinASecond);
        commit(store, put(slot(1), &vec![7; ENVELOPE_BYTES_MAX], true)).unwrap();
        let refused = commit(store, put(slot(2), &vec![7; ENVELOPE_BYTES_MAX + 1], false)).unwrap_err();
        assert!(matches!(refused, StoreError::EnvelopeTooLarge { .. }) && refused.is_refusal());
        let meta = |name: usize, value: usize| Operation::PutMeta { name: "n".repeat(name), value: vec![0; value] };
        commit(store, meta(META_NAME_BYTES_MAX, META_VALUE_BYTES_MAX)).unwrap();
        assert!(commit(store, meta(META_NAME_BYTES_MAX + 1, 1)).unwrap_err().is_refusal());
        assert!(commit(store, meta(1, META_VALUE_BYTES_MAX + 1)).unwrap_err().is_refusal());
        let many = |count: usize| vec![Operation::RemoveMeta { name: String::new() }; count];
        store.commit(many(BATCH_OPERATIONS_MAX), Durability::WithinASecond).unwrap();
        assert!(store.commit(many(BATCH_OPERATIONS_MAX + 1), Durability::WithinASecond).unwrap_err().is_refusal());
        let value = |bytes: usize| Operation::PutMeta { name: "v".to_owned(), value: vec![0; bytes] };
        let mut full = vec![value(META_VALUE_BYTES_MAX); BATCH_BYTES_MAX / META_VALUE_BYTES_MAX];
        store.commit(full.clone(), Durability::WithinASecond).unwrap();
        full.push(value(1));
        assert!(store.commit(full, Durability::WithinASecond).unwrap_err().is_refusal());
        let wrong = vec![put(slot(3), b"fine", false), wrong_vid()];
        assert!(matches!(store.commit(wrong, Durability::Now), Err(StoreError::WrongVid { .. })));
        assert_eq!(store.usage().unwrap().rows, 1);
        store.sync().unwrap();
    });
}

fn wrong_vid() -> Operation {
    let vid = Vid::of_envelope(b"other");
    Operation::Put { slot: slot(4), kind: Kind::EVENT, vid, envelope: b"this".to_vec(), own: false }
}

#[test]
fn a_visitor_may_stop_and_may_read_other_slots() {
    over_both(|store| {
        store.commit((1..=9).map(|n| put(slot(n), &[n], false)).collect(), Durability::Now).unwrap();
        let reader = store.reader();
        let mut seen = 0;
        let mut visit = |_, _| {
            seen += 1;
            assert!(reader.get(&slot(9)).unwrap().is_some());
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        store.reader().rows(&mut visit).unwrap();
        assert_eq!(seen, 3);
    });
}

#[test]
fn compaction_changes_nothing_that_can_be_read() {
    over_both(|store| {
        for round in 0..20_u8 {
            let operations = (0..100).map(|n| put(slot(n), &[n, round], n % 2 == 0)).collect();
            store.commit(operations, Durability::WithinASecond).unwrap();
        }
        let read = |store: &dyn Store| all_rows(store).into_iter().map(|(s, r)| (s, r.unwrap())).collect::<Vec<_>>();
        let (before, order, reader) = (read(store), arrivals(store, None, 0), store.reader());
        store.compact().unwrap();
        assert_eq!(read(store), before);
        assert_eq!(arrivals(store, None, 0), order);
        assert!(reader.get(&slot(5)).unwrap().is_some(), "readers from before go on");
        store.commit(vec![put(slot(5), b"after", true)], Durability::Now).unwrap();
        assert_eq!(reader.get(&slot(5)).unwrap().unwrap().envelope, b"after");
    });
}

#[test]
fn a_crash_of_the_twin_loses_only_what_was_not_synced() {
    let mut store = MemoryStore::new(1);
    store.commit(vec![put(slot(1), b"a", false)], Durability::Now).unwrap();
    store.commit(vec![put(slot(2), b"b", false)], Durability::WithinASecond).unwrap();
    let lost = store.commit(vec![put(slot(3), b"c", false)], Durability::WithinASecond).unwrap()[0].unwrap();
    assert_eq!(store.faults().unsynced_commits(), 2);
    let mut store = store.crash(1, false);
    assert!(store.reader().get(&slot(1)).unwrap().is_some() && store.reader().get(&slot(2)).unwrap().is_some());
    assert_eq!(store.reader().get(&slot(3)).unwrap(), None);
    let next = store.commit(vec![put(slot(4), b"d", false)], Durability::Now).unwrap()[0].unwrap();
    assert!(next > lost, "the number of a lost row is not given again");
}

#[test]
fn the_twin_damages_fills_and_fails_on_demand() {
    let mut store = MemoryStore::new(1);
    let faults = store.faults();
    store.commit(vec![put(slot(1), b"a", false)], Durability::Now).unwrap();
    faults.damage(slot(1));
    assert!(matches!(store.reader().get(&slot(1)), Err(StoreError::Damaged { slot: s }) if s == slot(1)));
    assert!(matches!(all_rows(&store)[..], [(_, Err(StoreError::Damaged { .. }))]));
    store.commit(vec![put(slot(1), b"a", false)], Durability::Now).unwrap();
    assert!(store.reader().get(&slot(1)).unwrap().is_some(), "a damaged row is healed by putting it again");
    faults.free_bytes(Some(1));
    assert!(matches!(
        store.commit(vec![put(slot(2), b"bb", false)], Durability::Now),
        Err(StoreError::DiskFull { .. })
    ));
    faults.free_bytes(None);
    let torn = [put(slot(5), b"e", false), put(slot(6), b"f", false)];
    store.commit(torn.to_vec(), Durability::WithinASecond).unwrap();
    let mut store = store.crash(0, true);
    assert!(store.reader().get(&slot(5)).unwrap().is_some() && store.reader().get(&slot(6)).unwrap().is_none());
    store.faults().fail();
    assert!(matches!(store.sync(), Err(StoreError::Stopped { .. })));
}

/// A step of the property test.
#[derive(Clone, Debug)]
enum Step {
    Commit {
        changes: Vec<Change>,
        durable: bool,
    },
    Sync,
    Compact,
    Restart,
    /// Memory only: a power cut that keeps this many commits.
    Crash {
        kept: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Put { slot: u8, body: u16, own: bool },
    Lapse { slot: u8, has_lapsed: bool },
    Forget { slot: u8 },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        5 => (0..12_u8, any::<u16>(), any::<bool>()).prop_map(|(slot, body, own)| Change::Put { slot, body, own }),
        1 => (0..12_u8, any::<bool>()).prop_map(|(slot, has_lapsed)| Change::Lapse { slot, has_lapsed }),
        2 => (0..12_u8).prop_map(|slot| Change::Forget { slot }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (prop::collection::vec(change(), 0..8), any::<bool>())
            .prop_map(|(changes, durable)| Step::Commit { changes, durable }),
        2 => Just(Step::Sync),
        1 => Just(Step::Compact),
        2 => Just(Step::Restart),
        2 => (0..4_usize).prop_map(|kept| Step::Crash { kept }),
    ]
}

fn lapse(number: u8, has_lapsed: bool) -> Operation {
    Operation::Lapse { slot: slot(number), has_lapsed }
}

type Model = BTreeMap<Slot, (Vec<u8>, bool)>;

fn operation(change: Change, model: &mut Model) -> Operation {
    match change {
        Change::Put { slot: number, body, own } => {
            let envelope = vec![body as u8; usize::from(body % 3_000)];
            model.insert(slot(number), (envelope.clone(), false));
            put(slot(number), &envelope, own)
        }
        Change::Lapse { slot: number, has_lapsed } => {
            model.entry(slot(number)).and_modify(|row| row.1 = has_lapsed);
            lapse(number, has_lapsed)
        }
        Change::Forget { slot: number } => {
            model.remove(&slot(number));
            Operation::Forget { slot: slot(number) }
        }
    }
}

/// Rows are those of the model; the arrival order lists each once and never gives a number again.
fn check_against(store: &dyn Store, model: &Model) {
    let rows: Model =
        all_rows(store).into_iter().map(|(s, row)| (s, row.map(|row| (row.envelope, row.lapsed)).unwrap())).collect();
    assert_eq!(&rows, model);
    let listed = store.reader().arrivals(Audience::Public, None, 0, 1_000).unwrap();
    assert_eq!(listed.len(), model.len());
    for arrival in &listed {
        let row = store.reader().get(&arrival.slot).unwrap().unwrap();
        assert_eq!((row.arrival, row.vid, row.lapsed), (arrival.number, arrival.vid, arrival.lapsed));
    }
    assert!(listed.is_sorted_by_key(|arrival| arrival.number));
    assert_eq!(store.usage().unwrap().rows, model.len() as u64);
    assert_eq!(
        store.usage().unwrap().live_bytes,
        model.values().map(|(envelope, _)| envelope.len() as u64).sum::<u64>()
    );
}

fn run<S: Store>(mut store: S, steps: &[Step], restart: impl Fn(S) -> S, crash: impl Fn(S, usize) -> S, disk: bool) {
    let mut model = Model::new();
    // Models from the last durable one on, one for each commit after it.
    let mut history = vec![model.clone()];
    let mut greatest = 0;
    for step in steps {
        match step {
            Step::Commit { changes, durable } => {
                let operations = changes.iter().map(|change| operation(*change, &mut model)).collect();
                let durability = if *durable { Durability::Now } else { Durability::WithinASecond };
                for number in store.commit(operations, durability).unwrap().into_iter().flatten() {
                    assert!(number > greatest, "{number} was given out after {greatest}");
                    greatest = number;
                }
                if *durable {
                    history.clear();
                }
                history.push(model.clone());
            }
            Step::Sync => {
                store.sync().unwrap();
                history = vec![model.clone()];
            }
            Step::Compact => {
                store.compact().unwrap();
                history = vec![model.clone()];
            }
            Step::Restart => {
                store = restart(store);
                history = vec![model.clone()];
            }
            Step::Crash { .. } if disk => continue,
            Step::Crash { kept } => {
                store = crash(store, *kept);
                let kept = (*kept).min(history.len() - 1);
                model = history[kept].clone();
                history = vec![model.clone()];
            }
        }
        check_against(&store, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_twin_agrees_with_a_model_across_crashes(steps in prop::collection::vec(step(), 1..60)) {
        let restart = |mut store: MemoryStore| { store.sync().unwrap(); store };
        run(MemoryStore::new(1), &steps, restart, |store, kept| store.crash(kept, false), false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_agrees_with_a_model_across_restarts(steps in prop::collection::vec(step(), 1..40)) {
        let folder = TempDir::new().unwrap();
        let open = || {
            let (store, opened) = SledStore::open(small(folder.path())).unwrap();
            assert_eq!((opened.replayed, opened.journaled, opened.set_aside), (0, 0, None));
            store
        };
        run(open(), &steps, |store| { drop(store); open() }, |store, _| store, true);
    }
}
