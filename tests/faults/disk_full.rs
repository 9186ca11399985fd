//! Full disks.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use fingerpost_daemon::store::{DiskOptions, Durability, Operation, SledStore, Store, StoreError};
use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_tests::power::SmallDisk;

fn slot(number: u32) -> Slot {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&number.to_be_bytes());
    Slot { audience: Audience::Public, key: SetKey(key) }
}

fn put(number: u32, own: bool) -> Operation {
    let envelope = vec![number as u8; 60_000];
    Operation::Put { slot: slot(number), kind: Kind::EVENT, vid: Vid::of_envelope(&envelope), envelope, own }
}

fn open(disk: &Path) -> Result<(SledStore, fingerpost_daemon::store::Opened), StoreError> {
    let options = DiskOptions::new(disk.join("store"));
    SledStore::open(DiskOptions { cache_bytes: 4 << 20, reserve_bytes: 32 << 20, ballast_bytes: 16 << 20, ..options })
}

/// Writes until not one byte more goes in, as another program would.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    while file.write_all(&[1]).is_ok() {}
}

#[test]
fn a_full_disk_stops_publishing_and_nothing_else_and_passes_by_itself() {
    let disk = match SmallDisk::new(160 << 20) {
        Ok(disk) => disk,
        Err(why) => {
            eprintln!("SKIPPED: no small disks on this machine: {why}");
            return;
        }
    };
    let (mut store, _) = open(disk.path()).unwrap();
    let mut count = 0;
    let refused = loop {
        let batch = (count..count + 8).map(|number| put(number, number.is_multiple_of(7))).collect();
        match store.commit(batch, Durability::Now) {
            Ok(_) => count += 8,
            Err(refused) => break refused,
        }
        assert!(count < 10_000);
    };
    assert!(matches!(refused, StoreError::DiskFull { free_bytes, needed_bytes } if free_bytes < needed_bytes));
    let all_there = |store: &SledStore, from: u32| {
        (from..count)
            .all(|number| store.reader().get(&slot(number)).unwrap().is_some_and(|row| row.envelope[0] == number as u8))
    };
    assert!(all_there(&store, 0), "reading goes on");
    store.commit(vec![Operation::Forget { slot: slot(0) }], Durability::Now).expect("removing works on a full disk");
    drop(store);

    let rubbish = disk.path().join("rubbish");
    fill(&rubbish);
    let (mut store, opened) = open(disk.path()).expect("the ballast makes room to open");
    assert!(opened.disk_full && opened.ballast_released && opened.set_aside.is_none(), "{opened:?}");
    assert!(all_there(&store, 1));
    assert!(matches!(store.commit(vec![put(0, true)], Durability::Now), Err(StoreError::DiskFull { .. })));
    drop(store);
    fill(&disk.path().join("more rubbish"));
    match open(disk.path()) {
        Err(StoreError::DiskFull { .. } | StoreError::Io { .. }) => {}
        Ok((_, opened)) => assert!(opened.set_aside.is_none(), "a full disk is not damage"),
        Err(error) => panic!("{error}"),
    }

    std::fs::remove_file(rubbish).unwrap();
    std::fs::remove_file(disk.path().join("more rubbish")).unwrap();
    let (mut store, opened) = open(disk.path()).unwrap();
    assert!(opened.set_aside.is_none() && all_there(&store, 1));
    // Forgetting takes room too, in a file that only grows: it works within the reserve, and wins nothing back here.
    store.commit(vec![Operation::Forget { slot: slot(1) }], Durability::Now).unwrap();
    eprintln!("{count} versions of 60 kB fitted; {:?}", store.usage().unwrap());
}
