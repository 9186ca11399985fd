use proptest::prelude::*;

use super::*;
use crate::limits::{OPEN_RANGES_PER_REQUEST_MAX, RANGES_PER_FRAME_MAX};
use crate::set::Entry;
use crate::time::Hlc;

fn key(n: u32) -> SetKey {
    let mut key = [0; 16];
    key[..16].copy_from_slice(&blake3::hash(&n.to_be_bytes()).as_bytes()[..16]);
    SetKey(key)
}

fn index(items: impl IntoIterator<Item = (u32, u8)>) -> Index {
    let mut index = Index::new();
    for (n, vid) in items {
        index.insert(key(n), Entry { vid: Vid([vid; 16]), hlc: Hlc(0), device: 0, lease_hours: 0 });
    }
    index
}

/// Runs a session between two sets and returns (wants of a, wants of b, frames).
fn session(a: &Index, b: &Index) -> (Vec<Pair>, Vec<Pair>, usize) {
    let (mut wants_a, mut wants_b, mut frames) = (Vec::new(), Vec::new(), 0);
    let mut ranges = opening(a);
    let mut is_b = true;
    while !ranges.is_empty() {
        frames += 1;
        assert!(frames < 20, "the session must end");
        let bytes = write_ranges(SetKey::default(), &ranges);
        let received = read_ranges(SetKey::default(), &bytes, true).expect("own ranges are readable");
        let (own, other) = if is_b { (b, a) } else { (a, b) };
        let answer = answer(own, SetKey::default(), &received);
        let (wants, others) = if is_b { (&mut wants_b, &mut wants_a) } else { (&mut wants_a, &mut wants_b) };
        wants.extend(answer.wants);
        others.extend(wanted(other, &answer.offers));
        for (lower, upper) in answer.fetches {
            wants.extend(other.range(&lower, upper.as_ref()).map(|(key, entry)| (key, entry.vid)));
        }
        ranges = answer.ranges;
        is_b = !is_b;
    }
    (wants_a, wants_b, frames)
}

#[test]
fn equal_sets_need_one_frame() {
    let a = index((0..5_000).map(|n| (n, 1)));
    assert_eq!(session(&a, &a.clone()), (vec![], vec![], 1));
}

#[test]
fn an_empty_set_wants_everything() {
    let a = index((0..1_000).map(|n| (n, 1)));
    let (wants_a, wants_b, _) = session(&a, &Index::new());
    assert_eq!((wants_a.len(), wants_b.len()), (0, 1_000));
}

#[test]
fn ranges_are_accepted_at_the_limits_and_refused_beyond() {
    let ranges = |number: u32, content: RangeContent| -> Vec<u8> {
        let list: Vec<Range> = (1..=number)
            .map(|n| {
                let mut bound = [0; 16];
                bound[..4].copy_from_slice(&n.to_be_bytes());
                Range { upper: Some(SetKey(bound)), content: content.clone() }
            })
            .collect();
        write_ranges(SetKey::default(), &list)
    };
    let fingerprint = RangeContent::Fingerprint([0; 16]);
    let read = |bytes: &[u8], is_reply| read_ranges(SetKey::default(), bytes, is_reply).map(|ranges| ranges.len());
    let open = OPEN_RANGES_PER_REQUEST_MAX as u32;
    assert_eq!(read(&ranges(open, fingerprint.clone()), false), Ok(open as usize));
    assert!(matches!(read(&ranges(open + 1, fingerprint.clone()), false), Err(RangeError::TooMany { .. })));
    let all = RANGES_PER_FRAME_MAX as u32;
    assert_eq!(read(&ranges(all, fingerprint.clone()), true), Ok(all as usize));
    assert!(matches!(read(&ranges(all + 1, fingerprint), true), Err(RangeError::TooMany { .. })));
}

#[test]
fn the_reply_to_the_largest_request_with_gaps_stays_within_the_limits() {
    let index = index((0..257 * 40).map(|n| (n, 1)));
    let keys: Vec<SetKey> = index.range(&SetKey::default(), None).map(|(key, _)| key).collect();
    let request: Vec<Range> = (0..257)
        .map(|block| {
            let is_open = block % 2 == 1;
            let content = RangeContent::Fingerprint([0; 16]);
            let upper = keys.get((block + 1) * 40).copied();
            Range { upper, content: if is_open { content } else { RangeContent::Skip } }
        })
        .collect();
    let request = read_ranges(SetKey::default(), &write_ranges(SetKey::default(), &request), false)
        .expect("128 open ranges are allowed");
    let reply = answer(&index, SetKey::default(), &request).ranges;
    assert_eq!(reply.len(), 128 * RANGE_FAN_OUT + 129);
    assert!(
        read_ranges(SetKey::default(), &write_ranges(SetKey::default(), &reply), true).is_ok_and(|read| read == reply)
    );
}

#[test]
fn bounds_and_items_that_do_not_ascend_are_refused() {
    let bound = |n: u8| Some(SetKey([n; 16]));
    let skip = |upper| Range { upper, content: RangeContent::Skip };
    let read = |ranges: &[Range]| read_ranges(SetKey([1; 16]), &write_ranges(SetKey([1; 16]), ranges), false);
    assert_eq!(read(&[skip(bound(3)), skip(bound(2))]), Err(RangeError::Order));
    assert_eq!(read(&[skip(bound(1))]), Err(RangeError::Order));
    assert_eq!(read(&[skip(None), skip(bound(2))]), Err(RangeError::Order));
    let items = |keys: &[u8]| Range {
        upper: bound(5),
        content: RangeContent::Items(keys.iter().map(|n| (SetKey([*n; 16]), Vid([0; 16]))).collect()),
    };
    assert!(read(&[items(&[1, 4])]).is_ok());
    for bad in [&[0][..], &[5], &[2, 2], &[3, 2]] {
        assert_eq!(read(&[items(bad)]), Err(RangeError::Items), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_session_finds_every_difference_and_nothing_else(
        common in 0u32..3_000,
        only_a in prop::collection::btree_set(10_000u32..20_000, 0..60),
        only_b in prop::collection::btree_set(20_000u32..30_000, 0..60),
        changed in prop::collection::btree_set(0u32..3_000, 0..60),
    ) {
        let a = index((0..common).map(|n| (n, 1)).chain(only_a.iter().map(|n| (*n, 1))));
        let vid = |n: u32| if changed.contains(&n) { 2 } else { 1 };
        let b = index((0..common).map(|n| (n, vid(n))).chain(only_b.iter().map(|n| (*n, 1))));
        let (wants_a, wants_b, frames) = session(&a, &b);
        let keys = |list: &[Pair]| list.iter().map(|(key, _)| *key).collect::<std::collections::BTreeSet<_>>();
        // A changed record is asked for by the side that received the list; the answer brings out which one is newer.
        let changed: std::collections::BTreeSet<SetKey> = changed.iter().filter(|n| **n < common).map(|n| key(*n)).collect();
        let both: std::collections::BTreeSet<SetKey> = keys(&wants_a).union(&keys(&wants_b)).copied().collect();
        let expected: std::collections::BTreeSet<SetKey> =
            only_a.iter().chain(&only_b).map(|n| key(*n)).chain(changed.iter().copied()).collect();
        prop_assert_eq!(both, expected);
        prop_assert!(keys(&wants_a).is_superset(&only_b.iter().map(|n| key(*n)).collect()));
        prop_assert!(keys(&wants_b).is_superset(&only_a.iter().map(|n| key(*n)).collect()));
        prop_assert!(frames <= 10);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_ranges(SetKey::default(), &bytes, false);
    }
}

#[test]
fn an_answer_offers_up_to_its_limit_and_leaves_the_rest_to_the_next_session() {
    let max = crate::limits::OFFERS_PER_ANSWER_MAX as u32;
    for (count, offered) in [(max, max), (max + 1, max)] {
        let own = index((0..count).map(|n| (n, 1)));
        let empty = [Range { upper: None, content: RangeContent::Items(Vec::new()) }];
        assert_eq!(answer(&own, SetKey::default(), &empty).offers.len(), offered as usize);
    }
}
