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

fn vid(n: u32, edition: u8) -> Vid {
    let mut vid = [edition; 16];
    vid[..4].copy_from_slice(&n.to_be_bytes());
    Vid(vid)
}

fn index(items: impl IntoIterator<Item = (u32, u8)>) -> Index {
    let mut index = Index::new();
    for (n, edition) in items {
        index.insert(key(n), Entry { vid: vid(n, edition), hlc: Hlc(0), device: 0, lease_hours: 0, has_lapsed: false });
    }
    index
}

/// What a session between two sets finds.
#[derive(Default)]
struct Found {
    /// Offered or fetched, to the initiator and to the responder.
    to_initiator: Vec<Pair>,
    to_responder: Vec<Pair>,
    frames: usize,
    differs: bool,
}

/// Runs a session that `a` begins with these ranges.
fn session(a: &Index, b: &Index, number: u64, mut ranges: Vec<Range>) -> Found {
    let mut found = Found::default();
    let mut side = Side::Responder;
    while !ranges.is_empty() {
        found.frames += 1;
        assert!(found.frames < 20, "the session must end");
        let bytes = write_ranges(SetKey::default(), &ranges);
        let received = read_ranges(SetKey::default(), &bytes, true).expect("own ranges are readable");
        let (own, other) = if side == Side::Responder { (b, a) } else { (a, b) };
        let answer = answer(own, side, number, SetKey::default(), &received);
        let (mine, theirs) = match side {
            Side::Responder => (&mut found.to_responder, &mut found.to_initiator),
            Side::Initiator => (&mut found.to_initiator, &mut found.to_responder),
        };
        theirs.extend(wanted(other, &answer.offers));
        for (lower, upper) in answer.fetches {
            mine.extend(other.range(&lower, upper.as_ref()).map(|(key, entry)| (key, entry.vid)));
        }
        found.differs |= answer.differs;
        ranges = answer.ranges;
        side = if side == Side::Responder { Side::Initiator } else { Side::Responder };
    }
    found
}

#[test]
fn equal_sets_need_one_frame() {
    let a = index((0..5_000).map(|n| (n, 1)));
    for ranges in [opening(&a), opening_of_differing(&a, 1)] {
        let found = session(&a, &a.clone(), 1, ranges);
        assert_eq!((found.frames, found.differs), (1, false));
        assert_eq!((found.to_initiator, found.to_responder), (vec![], vec![]));
    }
}

#[test]
fn an_empty_set_wants_everything_whoever_begins() {
    let (a, empty) = (index((0..1_000).map(|n| (n, 1))), Index::new());
    let found = session(&a, &empty, 1, opening_of_differing(&a, 1));
    assert_eq!((found.to_initiator.len(), found.to_responder.len()), (0, 1_000));
    let found = session(&empty, &a, 1, opening_of_differing(&empty, 1));
    assert_eq!((found.to_initiator.len(), found.to_responder.len()), (1_000, 0));
}

#[test]
fn one_changed_record_of_many_is_found_by_the_sixth_frame_at_the_latest() {
    let b = index((0..100_000).map(|n| (n, 1)));
    let mut a = b.clone();
    a.insert(key(77), Entry { vid: vid(77, 2), hlc: Hlc(0), device: 0, lease_hours: 0, has_lapsed: false });
    let found = session(&a, &b, 1, opening_of_differing(&a, 1));
    assert_eq!((found.to_initiator, found.to_responder), (vec![(key(77), vid(77, 1))], vec![]));
    assert!(found.frames <= 6, "{}", found.frames);
}

#[test]
fn two_entries_with_one_digest_in_a_session_have_different_ones_in_the_next() {
    let vid = Vid([1; 16]);
    let first = digest(1, &vid);
    // Found by trying: far fewer than 2^32 vids are needed for two bytes, which shows the same.
    let other = (0u32..).map(|n| Vid::from_slice(&[&n.to_be_bytes()[..], &[0; 12]].concat()).expect("16 bytes"));
    let other = other.filter(|other| digest(1, other)[..2] == first[..2]).take(8);
    let again = other.filter(|other| digest(2, other)[..2] == digest(2, &vid)[..2]);
    assert_eq!(again.count(), 0);
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
    let reply = answer(&index, Side::Responder, 1, SetKey::default(), &request).ranges;
    assert_eq!(reply.len(), 128 * RANGE_FAN_OUT + 128, "all but the gap at the end");
    assert!(
        read_ranges(SetKey::default(), &write_ranges(SetKey::default(), &reply), true).is_ok_and(|read| read == reply)
    );
}

#[test]
fn bounds_that_do_not_ascend_are_refused() {
    let bound = |n: u8| Some(SetKey([n; 16]));
    let skip = |upper| Range { upper, content: RangeContent::Skip };
    let read = |ranges: &[Range]| read_ranges(SetKey([1; 16]), &write_ranges(SetKey([1; 16]), ranges), false);
    assert!(read(&[skip(bound(2)), skip(bound(3))]).is_ok());
    assert_eq!(read(&[skip(bound(3)), skip(bound(2))]), Err(RangeError::Order));
    assert_eq!(read(&[skip(bound(1))]), Err(RangeError::Order));
    assert_eq!(read(&[skip(None), skip(bound(2))]), Err(RangeError::Order));
}

#[test]
fn digests_are_read_at_their_limit_and_refused_beyond() {
    let max = crate::limits::DIGESTS_PER_RANGE_MAX;
    for content in [RangeContent::Digests as fn(Vec<Digest>) -> RangeContent, RangeContent::Lacking] {
        let read = |count| {
            let range = Range { upper: None, content: content(vec![[7; 4]; count]) };
            read_ranges(SetKey::default(), &write_ranges(SetKey::default(), &[range]), false)
        };
        assert!(read(max).is_ok());
        assert_eq!(read(max + 1), Err(RangeError::TooManyDigests { found: max + 1, max }));
    }
}

#[test]
fn listed_digests_are_compared_with_at_most_64_own_entries_and_more_are_cut() {
    let max = crate::limits::COMPARED_ENTRIES_PER_RANGE_MAX as u32;
    let listed = [Range { upper: None, content: RangeContent::Digests(vec![[7; 4]]) }];
    let answer_of = |count: u32| {
        let own = index((0..count).map(|n| (n, 1)));
        answer(&own, Side::Responder, 1, SetKey::default(), &listed)
    };
    let (all, cut) = (answer_of(max), answer_of(max + 1));
    assert_eq!((all.offers.len(), all.ranges.len()), (max as usize, 0));
    assert_eq!((cut.offers.len(), cut.ranges.len()), (0, RANGE_FAN_OUT));
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
        let edition = |n: u32| if changed.contains(&n) { 2 } else { 1 };
        let b = index((0..common).map(|n| (n, edition(n))).chain(only_b.iter().map(|n| (*n, 1))));
        let found = session(&a, &b, 7, opening_of_differing(&a, 7));
        let keys = |list: &[Pair]| list.iter().map(|(key, _)| *key).collect::<std::collections::BTreeSet<_>>();
        let changed: std::collections::BTreeSet<SetKey> = changed.iter().filter(|n| **n < common).map(|n| key(*n)).collect();
        // The initiator learns all that it lacks, and nothing else, in one session.
        let lacking = only_b.iter().map(|n| key(*n)).chain(changed.iter().copied()).collect();
        prop_assert_eq!(keys(&found.to_initiator), lacking);
        prop_assert!(found.frames <= 12);
        // What the responder lacks may take another one, once the initiator has caught up.
        let mut a = a;
        let entry = |vid| Entry { vid, hlc: Hlc(0), device: 0, lease_hours: 0, has_lapsed: false };
        found.to_initiator.iter().for_each(|(key, vid)| _ = a.insert(*key, entry(*vid)));
        let second = session(&a, &b, 8, opening_of_differing(&a, 8));
        prop_assert!(second.to_initiator.is_empty());
        prop_assert_eq!(keys(&second.to_responder), only_a.iter().map(|n| key(*n)).collect());
        prop_assert!(keys(&found.to_responder).is_subset(&only_a.iter().map(|n| key(*n)).chain(changed).collect()));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_ranges(SetKey::default(), &bytes, false);
    }
}

#[test]
fn an_answer_offers_up_to_its_limit_and_leaves_the_rest_to_the_next_session() {
    let max = crate::limits::OFFERS_PER_ANSWER_MAX;
    for (count, offered) in [(max, max), (max + 1, max)] {
        let own = index((0..count as u32).map(|n| (n, 1)));
        let mut upper: Vec<SetKey> =
            own.range(&SetKey::default(), None).map(|(key, _)| key).step_by(50).skip(1).collect();
        upper.push(SetKey([0xff; 16]));
        let nothing = |upper: SetKey| Range { upper: Some(upper), content: RangeContent::Digests(Vec::new()) };
        let nothing: Vec<Range> = upper.into_iter().map(nothing).collect();
        let answer = answer(&own, Side::Responder, 1, SetKey::default(), &nothing);
        assert_eq!(answer.offers.len(), offered);
    }
}

#[test]
fn a_range_is_cut_into_short_fingerprints_up_to_512_entries_and_into_sums_beyond() {
    let modes = |entries: u32| {
        let set = index((0..entries).map(|n| (n, 1)));
        let parts = opening_of_differing(&set, 1);
        let is_short = |range: &Range| matches!(range.content, RangeContent::ShortFingerprint(_));
        (parts.len(), parts.iter().filter(|part| is_short(part)).count())
    };
    assert_eq!(modes(32), (1, 0), "told by digests");
    assert_eq!(modes(33), (16, 16));
    assert_eq!(modes(512), (16, 16));
    assert_eq!(modes(513), (16, 0));
}

#[test]
fn a_short_fingerprint_is_compared_with_at_most_32_own_entries() {
    let pairs = |set: &Index| Walk::new(set).through(&SetKey::default(), None, 100).to_vec();
    let many = index((0..33).map(|n| (n, 1)));
    let few = pairs(&many)[..32].to_vec();
    let compared = |own: &Index| {
        let content = RangeContent::ShortFingerprint(short_fingerprint(9, &few));
        answer(own, Side::Responder, 9, SetKey::default(), &[Range { upper: None, content }])
    };
    let mut same = many.clone();
    same.remove(&pairs(&many)[32].0);
    assert_eq!(compared(&same), Answer::default());
    let answer = compared(&many);
    assert_eq!((answer.ranges.len(), answer.differs), (16, true), "cut, though the first 32 are the same");
}

#[test]
fn a_short_fingerprint_depends_on_the_session_and_on_every_vid_and_their_order() {
    let entries = [(key(1), Vid([1; 16])), (key(2), Vid([2; 16]))];
    let of = short_fingerprint;
    let known = of(1, &entries);
    assert_ne!(known, of(2, &entries));
    assert_ne!(known, of(1, &[entries[1], entries[0]]));
    assert_ne!(known, of(1, &entries[..1]));
    assert_ne!(known, of(1, &[entries[0], (entries[1].0, Vid([3; 16]))]));
}
