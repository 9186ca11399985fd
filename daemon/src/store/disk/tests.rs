//! What only a disk can get wrong: erasure, damage, power cuts between two steps, other processes, other formats.

#![allow(clippy::unwrap_used)]

mod redacting;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use fingerpost_proto::id::Vid;
use tempfile::TempDir;

use super::*;
use crate::store::conformance::{put, slot, small};

const MARKER: &[u8] = b"THE-WOMAN-LIVES-AT-12-MILL-LANE";

fn body(marker: &[u8], number: u8) -> Vec<u8> {
    [marker, &[number], &[b'.'; 900]].concat()
}

fn open(folder: &Path) -> (SledStore, Opened) {
    SledStore::open(small(folder)).unwrap()
}

/// True when `needle` is in any file below `folder`.
fn found(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() { found(&path, needle) } else { contains(&fs::read(&path).unwrap(), needle) }
    })
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The key that enciphers the row in `slot`, and its place.
fn row_key(store: &SledStore, slot: &Slot) -> (u32, Vec<u8>) {
    let value = store.shared.with_engine(|engine| engine.get(&layout::row_key(slot))).unwrap().unwrap();
    let place = Head::read_row(&value).unwrap().0.key_place;
    (place, key_at(&store.home.path("erasure.keys"), place))
}

fn key_at(path: &Path, place: u32) -> Vec<u8> {
    let mut key = vec![0; 32];
    fs::File::open(path).unwrap().read_exact_at(&mut key, u64::from(place) * 32).unwrap();
    key
}

/// Leaves the folder as a kill would: nothing of closing is done.
fn kill(mut store: SledStore) {
    store.stopped = Some("killed".to_owned());
}

/// Copies a folder as it is, which is what a power cut leaves when everything written so far survives.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), &target).map(|_| ()).unwrap()
        }
    }
}

fn flip_bit(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset).unwrap();
}

#[test]
fn no_body_is_on_the_disk_as_plain_bytes_and_a_superseded_one_has_no_key_any_more() {
    for own in [true, false] {
        let folder = TempDir::new().unwrap();
        let (mut store, _) = open(folder.path());
        store.commit(vec![put(slot(1), &body(MARKER, 1), own)], Durability::Now).unwrap();
        let (place, key) = row_key(&store, &slot(1));
        assert_ne!(key, [0; 32]);
        let journal_keys = fs::read(store.home.path("journal.keys")).unwrap();
        let withdrawal = b"withdrawn".to_vec();
        store.commit(vec![put(slot(1), &withdrawal, own)], Durability::WithinASecond).unwrap();
        assert_eq!(key_at(&store.home.path("erasure.keys"), place), key, "kept until the replacement is durable");
        store.sync().unwrap();
        assert!(!found(folder.path(), MARKER));
        assert!(!found(folder.path(), &key), "the key of a superseded body is nowhere");
        assert_eq!(key_at(&store.home.path("erasure.keys"), place), [0; 32]);
        if own {
            let keys = fs::read(store.home.path("journal.keys")).unwrap();
            let gone = journal_keys.chunks(32).zip(keys.chunks(32)).filter(|(old, new)| old != new && **new == [0; 32]);
            assert_eq!(gone.count(), 1, "the journal's key of the superseded body is zero");
        }
        assert_eq!(store.reader().get(&slot(1)).unwrap().unwrap().envelope, withdrawal);
    }
}

#[test]
fn the_engine_leaves_superseded_bytes_behind_which_is_why_keys_are_erased() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    let batch = |text: &[u8]| (0..100).map(|n| put(slot(n), &body(text, n), false)).collect();
    store.commit(batch(b"old"), Durability::Now).unwrap();
    let enciphered = |n| {
        let value = store.shared.with_engine(|engine| engine.get(&layout::row_key(&slot(n)))).unwrap().unwrap();
        <[u8; 16]>::try_from(&value[layout::HEAD_BYTES..][..16]).unwrap()
    };
    let old: std::collections::HashSet<_> = (0..100).map(enciphered).collect();
    for round in 0..10_u8 {
        store.commit(batch(&[round]), Durability::Now).unwrap();
    }
    let bytes = fs::read(store.home.path("engine/db")).unwrap();
    let left: std::collections::HashSet<_> = bytes.windows(16).filter(|window| old.contains(*window)).collect();
    eprintln!("{} of 100 bodies that were replaced ten times are still in the engine's file", left.len());
    assert!(!left.is_empty(), "if the engine erases by itself, decision 0003 can be looked at again");
}

#[test]
fn a_forgotten_body_has_no_key_any_more_in_engine_or_journal() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(1), &body(MARKER, 1), true)], Durability::Now).unwrap();
    let (_, key) = row_key(&store, &slot(1));
    store.commit(vec![Operation::Forget { slot: slot(1) }], Durability::Now).unwrap();
    assert!(!found(folder.path(), &key) && !found(folder.path(), MARKER));
    kill(store);
    let (store, opened) = open(folder.path());
    assert_eq!((opened.journal.entries, opened.replayed), (0, 0));
    assert_eq!(store.reader().get(&slot(1)).unwrap(), None);
}

#[test]
fn keys_that_a_power_cut_left_behind_are_erased_at_the_next_opening() {
    let (folder, cut) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(1), &body(MARKER, 1), true)], Durability::Now).unwrap();
    let (_, key) = row_key(&store, &slot(1));
    // The state in which the replacement is durable and its predecessor's key not yet erased.
    store.apply(&[put(slot(1), b"new", true)], Durability::WithinASecond).unwrap();
    store.journal.sync().unwrap();
    store.shared.with_engine(Engine::flush).unwrap();
    copy(folder.path(), cut.path());
    assert!(found(cut.path(), &key));
    let (store, opened) = open(cut.path());
    assert!(!found(cut.path(), &key));
    assert!(opened.keys_erased > 0);
    assert_eq!(store.reader().get(&slot(1)).unwrap().unwrap().envelope, b"new");
}

#[test]
fn own_versions_survive_the_loss_of_the_engine() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    let epoch = store.reader().epoch();
    let own: Vec<_> = (0..50).map(|n| put(slot(n), &body(b"own", n), true)).collect();
    store.commit(own, Durability::Now).unwrap();
    store.commit(vec![put(slot(99), &body(b"other", 1), false)], Durability::Now).unwrap();
    store.commit(vec![put(slot(7), &body(b"newer", 7), true)], Durability::Now).unwrap();
    store.commit(vec![put(slot(8), &body(b"relayed", 8), false)], Durability::Now).unwrap();
    store.commit(vec![Operation::Forget { slot: slot(9) }], Durability::Now).unwrap();
    let last = store.reader().last_arrival(Audience::Public);
    kill(store);
    fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
    let (store, opened) = open(folder.path());
    assert!(opened.engine_missing);
    assert_eq!(opened.replayed, 48, "all but the one from elsewhere and the forgotten one");
    let read = |n| store.reader().get(&slot(n)).unwrap().map(|row| row.envelope);
    assert_eq!(read(1), Some(body(b"own", 1)));
    assert_eq!(read(7), Some(body(b"newer", 7)));
    assert_eq!((read(8), read(9), read(99)), (None, None, None));
    assert_ne!(store.reader().epoch(), epoch, "cursors into the lost order are void");
    let first = store.reader().arrivals(Audience::Public, None, 0, 1).unwrap()[0].number;
    assert!(first >= last - 2, "numbers go on after those that the journal knows");
}

#[test]
fn an_engine_that_does_not_open_is_set_aside_and_rebuilt_from_the_journal() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit((0..50).map(|n| put(slot(n), &body(b"own", n), true)).collect(), Durability::Now).unwrap();
    drop(store);
    let db = folder.path().join("store/engine/db");
    fs::write(&db, vec![0xaa; fs::metadata(&db).unwrap().len() as usize]).unwrap();
    let (store, opened) = open(folder.path());
    let (aside, why) = opened.set_aside.unwrap();
    assert!(aside.join("db").exists() && aside.join("erasure.keys").exists() && !why.is_empty());
    assert_eq!(opened.replayed, 50);
    assert_eq!(opened.set_aside_present, std::slice::from_ref(&aside));
    assert_eq!(store.reader().get(&slot(3)).unwrap().unwrap().envelope, body(b"own", 3));
    drop(store);
    let old = aside.with_file_name("store.corrupt-1000");
    fs::rename(&aside, &old).unwrap();
    let (_, opened) = open(folder.path());
    assert_eq!((opened.set_aside, opened.replayed), (None, 0));
    assert!(
        old.join("db").exists() && !old.join("erasure.keys").exists(),
        "what is set aside is unreadable after 30 days"
    );
}

#[test]
fn an_engine_that_was_emptied_is_noticed() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    let epoch = store.reader().epoch();
    store.commit(vec![put(slot(1), b"own", true), put(slot(2), b"other", false)], Durability::Now).unwrap();
    drop(store);
    fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
    fs::create_dir(folder.path().join("store/engine")).unwrap();
    let (store, opened) = open(folder.path());
    assert!(opened.set_aside.is_some() && opened.replayed == 1);
    assert_ne!(store.reader().epoch(), epoch);
}

#[test]
fn damaged_settings_of_the_engine_cost_nothing() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(2), b"other", false)], Durability::Now).unwrap();
    drop(store);
    fs::write(folder.path().join("store/engine/conf"), b"rubbish where the settings were").unwrap();
    let (store, opened) = open(folder.path());
    assert_eq!(opened.set_aside, None);
    assert!(store.reader().get(&slot(2)).unwrap().is_some());
}

#[test]
fn no_flipped_bit_is_ever_served_and_no_own_version_is_lost_to_one() {
    let master = TempDir::new().unwrap();
    let (mut store, _) = open(master.path());
    for batch in 0..6_u8 {
        let versions = (0..30).map(|n| put(slot(n), &body(&[batch], n), n < 10)).collect();
        store.commit(versions, Durability::Now).unwrap();
    }
    drop(store);
    let epoch = open(master.path()).0.reader().epoch();
    let length = fs::metadata(master.path().join("store/engine/db")).unwrap().len();
    let (mut damaged, mut set_aside, mut gone_back) = (0, 0, 0);
    for round in 0..24_u64 {
        let folder = TempDir::new().unwrap();
        copy(master.path(), folder.path());
        // Spread over the file by a fixed multiplier, so that a failure can be repeated.
        flip_bit(&folder.path().join("store/engine/db"), (round * 2_654_435_761 + 97) % length);
        for _ in 0..2 {
            let (store, opened) = open(folder.path());
            set_aside += u32::from(opened.set_aside.is_some());
            gone_back += u32::from(opened.keys_lost > 0);
            let intact = opened.set_aside.is_none() && opened.keys_lost == 0;
            assert_eq!(store.reader().epoch() == epoch, intact, "round {round}: a lost order has a new epoch");
            let mut seen = 0;
            let walked = store.reader().rows(&mut |slot, row| {
                match row {
                    Ok(row) => assert_eq!(row.envelope, body(&[5], slot.key.0[0])),
                    Err(StoreError::Damaged { .. }) => damaged += 1,
                    Err(error) => panic!("{error}"),
                }
                seen += u32::from(slot.key.0[0] < 10);
                std::ops::ControlFlow::Continue(())
            });
            if walked.is_ok() {
                assert_eq!(seen, 10, "round {round}: own versions are all there");
                break;
            }
            assert!(matches!(walked, Err(StoreError::EngineDamaged { .. })), "{walked:?}");
        }
    }
    eprintln!("24 flipped bits: {damaged} damaged rows reported, {set_aside} stores set aside, {gone_back} gone back");
}

#[test]
fn a_row_whose_key_is_gone_is_damaged_and_its_own_version_comes_back_from_the_journal() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(1), &body(b"own", 1), true), put(slot(2), b"other", false)], Durability::Now).unwrap();
    let keys = store.home.path("erasure.keys");
    OpenOptions::new().write(true).open(&keys).unwrap().set_len(0).unwrap();
    assert!(matches!(store.reader().get(&slot(1)), Err(StoreError::Damaged { .. })));
    drop(store);
    let (store, opened) = open(folder.path());
    assert_eq!((opened.replayed, opened.keys_lost), (1, 2));
    assert_eq!(store.reader().get(&slot(1)).unwrap().unwrap().envelope, body(b"own", 1));
    assert!(matches!(store.reader().get(&slot(2)), Err(StoreError::Damaged { .. })));
}

#[test]
fn own_versions_go_back_into_a_journal_that_was_lost() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit((0..5).map(|n| put(slot(n), &body(b"own", n), n < 3)).collect(), Durability::Now).unwrap();
    drop(store);
    for name in ["journal", "journal.keys"] {
        fs::remove_file(folder.path().join("store").join(name)).unwrap();
    }
    assert_eq!(open(folder.path()).1.journaled, 3);
    fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
    assert_eq!(open(folder.path()).1.replayed, 3);
}

#[test]
fn a_torn_end_of_the_journal_is_cut_and_a_damaged_middle_costs_one_frame() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    for n in 0..5 {
        store.commit(vec![put(slot(n), &body(b"own", n), true)], Durability::Now).unwrap();
    }
    kill(store);
    let path = folder.path().join("store/journal");
    let length = fs::metadata(&path).unwrap().len();
    flip_bit(&path, length / 2);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 3).unwrap();
    fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
    let (store, opened) = open(folder.path());
    assert_eq!(opened.journal.torn_bytes, length / 5 - 3);
    assert_eq!(opened.journal.damaged_bytes, length / 5);
    assert_eq!(opened.replayed, 3);
    assert!(store.reader().get(&slot(0)).unwrap().is_some());
}

#[test]
fn a_batch_torn_in_the_journal_does_not_count_at_all() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(1), &body(b"own", 1), true)], Durability::Now).unwrap();
    let path = folder.path().join("store/journal");
    let before = fs::metadata(&path).unwrap().len();
    store
        .commit(vec![put(slot(2), &body(b"own", 2), true), put(slot(3), &body(b"own", 3), true)], Durability::Now)
        .unwrap();
    kill(store);
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
    let (_, opened) = open(folder.path());
    assert_eq!((opened.replayed, opened.journal.torn_bytes), (1, length - before - 1));
}

#[test]
fn a_journal_that_is_mostly_superseded_is_rewritten() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(1), &body(b"kept", 1), true)], Durability::Now).unwrap();
    for round in 0..40_u8 {
        store.commit(vec![put(slot(2), &vec![round; 60_000], true)], Durability::Now).unwrap();
    }
    let length = fs::metadata(store.home.path("journal")).unwrap().len();
    assert!(length < 1_300_000, "{length} bytes for two entries");
    kill(store);
    fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
    let (store, opened) = open(folder.path());
    assert_eq!((opened.replayed, opened.journal.damaged_bytes), (2, 0));
    assert_eq!(store.reader().get(&slot(2)).unwrap().unwrap().envelope, vec![39; 60_000]);
}

#[test]
fn a_version_that_comes_back_from_a_peer_stays_in_the_journal() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(1), b"own", true)], Durability::Now).unwrap();
    store.commit(vec![put(slot(1), b"own", false)], Durability::Now).unwrap();
    assert!(store.reader().get(&slot(1)).unwrap().unwrap().own);
    drop(store);
    fs::remove_dir_all(folder.path().join("store/engine")).unwrap();
    assert_eq!(open(folder.path()).1.replayed, 1);
}

#[test]
fn numbers_rise_across_a_restart_and_across_a_kill() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    let one =
        |store: &mut SledStore| store.commit(vec![put(slot(1), b"x", false)], Durability::WithinASecond).unwrap()[0];
    let first = one(&mut store);
    drop(store);
    let (mut store, _) = open(folder.path());
    assert_eq!(Some(store.reader().last_arrival(Audience::Public)), first, "nothing is skipped after a clean end");
    let second = one(&mut store);
    assert!(second > first);
    kill(store);
    let (mut store, _) = open(folder.path());
    assert!(Some(store.reader().last_arrival(Audience::Public)) >= second);
    assert!(one(&mut store) > second);
}

#[test]
fn a_home_has_one_daemon_at_a_time() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open(folder.path());
    assert!(matches!(SledStore::open(small(folder.path())), Err(StoreError::InUse { .. })));
    drop(store);
    assert!(SledStore::open(small(folder.path())).is_ok());
}

#[test]
fn a_newer_format_and_a_broken_marker_are_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    let path = folder.path().join("store/format");
    let text = fs::read_to_string(&path).unwrap();
    let newer = text.replace("fingerpost-store 1", "fingerpost-store 2");
    fs::write(&path, &newer).unwrap();
    let refused = SledStore::open(small(folder.path())).err().unwrap();
    assert!(matches!(refused, StoreError::NewerFormat { found: 2, known: 1, .. }));
    assert!(refused.to_string().contains("upgrade fingerpostd"));
    fs::write(&path, "fingerpost-store 1\n").unwrap();
    assert!(matches!(SledStore::open(small(folder.path())), Err(StoreError::BadMarker { .. })));
    fs::write(&path, text).unwrap();
    assert!(!open(folder.path()).1.created);
}

#[test]
fn an_interrupted_compaction_leaves_a_whole_store() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(1), b"x", false)], Durability::Now).unwrap();
    drop(store);
    let path = |name: &str| folder.path().join("store").join(name);
    // Cut while copying; between the two renames; before the old files were removed.
    fs::create_dir(path("engine.compact")).unwrap();
    let check = || {
        let (store, opened) = open(folder.path());
        assert!(!opened.engine_missing && store.reader().get(&slot(1)).unwrap().is_some());
        assert!(!path("engine.compact").exists() && !path("engine.old").exists());
    };
    check();
    copy(&path("engine"), &path("engine.compact"));
    fs::rename(path("engine"), path("engine.old")).unwrap();
    check();
    copy(&path("engine"), &path("engine.old"));
    check();
}

#[test]
fn compaction_gives_space_back() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    for round in 0..30_u8 {
        let versions = (0..40).map(|n| put(slot(n), &vec![round; 30_000], false)).collect();
        store.commit(versions, Durability::Now).unwrap();
    }
    let before = store.usage().unwrap();
    let after = store.compact().unwrap();
    assert_eq!((before.rows, before.live_bytes), (after.rows, after.live_bytes));
    assert!(after.disk_bytes < before.disk_bytes, "{} after {}", after.disk_bytes, before.disk_bytes);
    assert_eq!(after.stray_blobs, 0, "values of this size stay in the engine's one file");
}

#[test]
fn the_largest_envelopes_leave_no_blob_files() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    for batch in 0..4 {
        let version = |n: u8| put(slot(batch * 40 + n), &vec![n; 64 * 1024], false);
        store.commit((0..40).map(version).collect(), Durability::Now).unwrap();
    }
    assert_eq!(store.usage().unwrap().stray_blobs, 0);
}

#[test]
fn readers_never_see_damage_while_versions_are_replaced() {
    let folder = TempDir::new().unwrap();
    let (mut store, _) = open(folder.path());
    store.commit(vec![put(slot(1), b"0", false)], Durability::Now).unwrap();
    let reader = store.reader();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reading = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut reads = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let row = reader.get(&slot(1)).unwrap().unwrap();
                assert_eq!(Vid::of_envelope(&row.envelope), row.vid);
                reads += 1;
            }
            reads
        }
    });
    for round in 0..300_u32 {
        store.commit(vec![put(slot(1), &round.to_be_bytes(), false)], Durability::Now).unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(reading.join().unwrap() > 0);
}
