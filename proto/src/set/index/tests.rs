use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use proptest::prelude::*;

use super::leaf::LEAF_ENTRIES_MAX;
use super::subtree::CHILDREN_MAX;
use super::*;
use crate::id::Vid;
use crate::time::Hlc;

type Model = BTreeMap<SetKey, Entry>;

fn key(n: u32) -> SetKey {
    let mut key = [0; 16];
    key[..4].copy_from_slice(&n.to_be_bytes());
    SetKey(key)
}

/// A key like those of records: many with the same beginning.
fn clustered(n: u32, cluster: u32) -> SetKey {
    let mut key = [0; 16];
    key[0] = 1;
    key[4..8].copy_from_slice(&(n / cluster).to_be_bytes());
    key[8..].copy_from_slice(&blake3::hash(&n.to_be_bytes()).as_bytes()[..8]);
    SetKey(key)
}

fn entry(n: u8) -> Entry {
    let wide = u64::from(n).wrapping_mul(0x0102_0304_0506_0708);
    Entry {
        vid: Vid([n; 16]),
        hlc: Hlc(wide),
        device: wide as u32,
        lease_hours: wide as u16 & 0x3fff,
        has_lapsed: n.is_multiple_of(3),
    }
}

fn filled(keys: impl IntoIterator<Item = SetKey>) -> Index {
    let mut index = Index::new();
    keys.into_iter().for_each(|key| assert_eq!(index.insert(key, entry(1)), None));
    index
}

fn sum_of<'a>(entries: impl IntoIterator<Item = (&'a SetKey, &'a Entry)>) -> Summary {
    let mut summary = Summary::default();
    entries.into_iter().for_each(|(key, entry)| summary.add(&Summary::of(key, &entry.vid)));
    summary
}

/// Checks what always holds of the tree and returns its depth.
fn check(child: &Child, upper: Option<&SetKey>, is_root: bool, is_last: bool) -> usize {
    let length = child.subtree.len();
    let is_exempt = is_root || is_last;
    assert!(length <= child.subtree.len_max(), "{length} parts");
    assert!(is_exempt || length >= child.subtree.len_max() / 2, "{length} parts");
    assert!(is_root || length > 0, "an empty part was left");
    match &child.subtree {
        Subtree::Leaf(leaf) => {
            let entries: Vec<(SetKey, Entry)> = leaf.entries(0).collect();
            assert_eq!(entries.len(), length);
            assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0), "keys ascend");
            assert!(entries.iter().all(|(key, _)| *key >= child.lower && upper.is_none_or(|upper| key < upper)));
            assert_eq!(sum_of(entries.iter().map(|(key, entry)| (key, entry))), child.summary);
            0
        }
        Subtree::Fork(children) => {
            assert!(children.capacity() == length, "spare room for {}", children.capacity() - length);
            assert!(!is_root || length > 1, "a fork without a choice at the root");
            let mut sum = Summary::default();
            let mut depths = BTreeSet::new();
            for (at, part) in children.iter().enumerate() {
                sum.add(&part.summary);
                let is_last = is_last && at + 1 == length;
                depths.insert(check(part, children.get(at + 1).map(|next| &next.lower).or(upper), false, is_last));
            }
            assert_eq!(sum, child.summary);
            assert_eq!(children[0].lower, child.lower);
            assert_eq!(depths.len(), 1, "every leaf is equally deep");
            1 + depths.first().expect("not empty")
        }
    }
}

fn assert_agree(index: &Index, model: &Model) {
    check(&index.root, None, true, true);
    assert_eq!(index.root.lower, SetKey::default());
    assert_eq!(index.total(), sum_of(model));
    assert_eq!((index.len(), index.is_empty()), (model.len(), model.is_empty()));
    assert!(index.range(&SetKey::default(), None).eq(model.iter().map(|(key, entry)| (*key, *entry))));
}

/// Compares everything that can be asked about a range.
fn assert_agree_on(index: &Index, model: &Model, lower: &SetKey, upper: Option<&SetKey>, parts: usize) {
    let end = upper.map_or(Bound::Unbounded, |upper| Bound::Excluded(*upper));
    let is_empty = upper.is_some_and(|upper| upper <= lower);
    let inside: Model = match is_empty {
        true => Model::new(),
        false => model.range((Bound::Included(*lower), end)).map(|(key, entry)| (*key, *entry)).collect(),
    };
    assert_eq!(index.summary(lower, upper), sum_of(&inside));
    assert!(index.range(lower, upper).eq(inside.iter().map(|(key, entry)| (*key, *entry))));
    let rank = model.range(..*lower).count();
    assert_eq!(index.at_rank(rank), model.range(*lower..).next().map(|(key, _)| *key));
    assert_eq!(index.get(lower), model.get(lower).copied());
    if is_empty {
        return;
    }
    let start = index.bound(Some(*lower));
    let split = index.split(&start, &index.bound(upper.copied()), parts);
    assert_eq!(split.last().expect("one part").key, upper.copied());
    assert_eq!(split.len(), parts.min(inside.len()).max(1));
    let mut counts = Vec::new();
    let mut from = start;
    for to in split {
        let summary = to.since(&from);
        assert_eq!(summary, index.summary(&from.key.expect("not the end"), to.key.as_ref()));
        counts.push(summary.count);
        from = to;
    }
    assert_eq!(counts.iter().sum::<u64>() as usize, inside.len());
    let (least, most) = (counts.iter().min().expect("one part"), counts.iter().max().expect("one part"));
    assert!(most - least <= 1, "parts of {counts:?}");
}

#[test]
fn the_same_entries_give_the_same_fingerprint_whatever_their_order_of_arrival() {
    let up = filled((0..2_000).map(key));
    let mut down = filled((0..2_000).rev().map(key));
    assert_eq!(up.total().fingerprint(), down.total().fingerprint());
    assert_eq!(up.len(), 2_000);
    down.insert(key(5), entry(2));
    assert_ne!(up.total().fingerprint(), down.total().fingerprint());
}

#[test]
fn loading_in_key_order_leaves_full_leaves_and_forks() {
    let level = LEAF_ENTRIES_MAX * CHILDREN_MAX;
    let index = filled((0..3 * level as u32).map(key));
    let Subtree::Fork(children) = &index.root.subtree else { panic!("a fork") };
    assert_eq!(children.iter().map(|child| child.summary.count as usize).collect::<Vec<_>>(), [level; 3]);
    assert_eq!(check(&index.root, None, true, true), 2);
}

#[test]
fn a_split_covers_its_range_with_parts_of_equal_size() {
    let index = filled((0..3_000).map(|n| key(n * 3)));
    let (start, end) = (index.bound(Some(key(300))), index.bound(Some(key(6_000))));
    let bounds = [vec![start], index.split(&start, &end, 16)].concat();
    assert_eq!(bounds.len(), 17);
    assert_eq!(bounds[16].key, Some(key(6_000)));
    assert!(bounds.is_sorted_by_key(|bound| bound.key));
    let counts: Vec<u64> = bounds.windows(2).map(|pair| pair[1].since(&pair[0]).count).collect();
    assert_eq!(counts.iter().sum::<u64>(), 1_900);
    assert!(counts.iter().all(|count| (118..=119).contains(count)), "{counts:?}");
}

#[test]
fn noting_that_a_lease_ran_out_changes_neither_sum_nor_anything_else() {
    let mut index = filled((0..500).map(key));
    let before = index.total();
    assert!(index.set_lapsed(&key(77), true));
    assert!(!index.set_lapsed(&key(500), true));
    assert_eq!(index.total(), before);
    assert_eq!(index.get(&key(77)), Some(Entry { has_lapsed: true, ..entry(1) }));
    assert!(index.range(&SetKey::default(), None).filter(|(_, entry)| entry.has_lapsed).count() == 1);
}

#[test]
fn a_thousand_organisations_come_and_go_in_any_order() {
    for (cluster, step) in [(100, 1), (100, 7_919), (1, 7_919), (20_000, 104_729)] {
        let keys: Vec<SetKey> = (0..20_000u32).map(|n| clustered(n * step % 20_000, cluster)).collect();
        let (mut index, mut model) = (Index::new(), Model::new());
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(index.insert(*key, entry(n as u8)), model.insert(*key, entry(n as u8)));
        }
        assert_agree(&index, &model);
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(index.remove(key), model.remove(key));
            if n % 4_999 == 0 {
                assert_agree(&index, &model);
            }
        }
        assert_agree(&index, &model);
        assert_eq!(index.total(), Summary::default());
    }
}

#[test]
fn the_least_and_the_greatest_key_can_be_held() {
    let mut index = filled((1..5_000).map(key));
    for end in [SetKey([0; 16]), SetKey([0xff; 16])] {
        assert_eq!(index.insert(end, entry(9)), None);
        assert_eq!(index.get(&end), Some(entry(9)));
    }
    assert_eq!(index.summary(&SetKey([0xff; 16]), None).count, 1);
    assert_eq!((index.at_rank(5_000), index.at_rank(5_001)), (Some(SetKey([0xff; 16])), None));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32, u8),
    Remove(u32),
    /// So many keys from here on, in order.
    PutMany(u32, u32),
    RemoveMany(u32, u32),
    SetLapsed(u32, bool),
}

const KEYS: u32 = 6_000;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..KEYS, any::<u8>()).prop_map(|(n, vid)| Step::Put(n, vid)),
        3 => (0..KEYS).prop_map(Step::Remove),
        1 => (0..KEYS, 0u32..700).prop_map(|(n, count)| Step::PutMany(n, count)),
        1 => (0..KEYS, 0u32..700).prop_map(|(n, count)| Step::RemoveMany(n, count)),
        1 => (0..KEYS, any::<bool>()).prop_map(|(n, lapsed)| Step::SetLapsed(n, lapsed)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_index_agrees_with_a_sorted_map(
        steps in prop::collection::vec(step(), 0..400),
        cluster in prop::option::of(prop::sample::select(vec![1u32, 3, 50, 2_000])),
        ranges in prop::collection::vec((0..KEYS, prop::option::of(0..KEYS), 1usize..40), 8),
        is_emptied in any::<bool>(),
    ) {
        let key = |n: u32| cluster.map_or(key(n), |cluster| clustered(n, cluster));
        let (mut index, mut model) = (Index::new(), Model::new());
        for step in steps {
            match step {
                Step::Put(n, vid) => prop_assert_eq!(index.insert(key(n), entry(vid)), model.insert(key(n), entry(vid))),
                Step::Remove(n) => prop_assert_eq!(index.remove(&key(n)), model.remove(&key(n))),
                Step::PutMany(n, count) => (n..n + count).for_each(|n| {
                    assert_eq!(index.insert(key(n), entry(1)), model.insert(key(n), entry(1)));
                }),
                Step::RemoveMany(n, count) => (n..n + count).for_each(|n| {
                    assert_eq!(index.remove(&key(n)), model.remove(&key(n)));
                }),
                Step::SetLapsed(n, lapsed) => {
                    let found = model.get_mut(&key(n)).map(|entry| entry.has_lapsed = lapsed);
                    prop_assert_eq!(index.set_lapsed(&key(n), lapsed), found.is_some());
                }
            }
        }
        assert_agree(&index, &model);
        for (lower, upper, parts) in ranges {
            let upper = upper.map(key);
            let is_ordered = upper.is_none_or(|upper| key(lower) <= upper);
            let (lower, upper) = if is_ordered { (key(lower), upper) } else { (upper.unwrap_or_default(), Some(key(lower))) };
            assert_agree_on(&index, &model, &lower, upper.as_ref(), parts);
        }
        if is_emptied {
            for (n, key) in model.keys().copied().collect::<Vec<_>>().into_iter().enumerate() {
                prop_assert_eq!(index.remove(&key), model.remove(&key));
                if n % 500 == 0 {
                    assert_agree(&index, &model);
                }
            }
            assert_agree(&index, &model);
        }
    }
}

#[test]
fn a_range_that_ends_before_it_starts_is_empty() {
    let index = filled((0..1_000).map(key));
    assert_eq!(index.summary(&key(600), Some(&key(300))), Summary::default());
    assert_eq!(index.range(&key(600), Some(&key(300))).count(), 0);
}

#[test]
fn a_walk_gives_what_a_search_for_each_span_gives() {
    let mut set = Index::new();
    for n in 0..1_000u32 {
        set.insert(clustered(n, 40), entry(n as u8));
    }
    let pair = |(key, entry): (SetKey, Entry)| (key, entry.vid);
    let all: Vec<_> = set.range(&SetKey::default(), None).map(pair).collect();
    let places = [0, 5, 5, 20, 21, 90, 91, 200, 263, 264, 265, 900, 999];
    for most in [0, 1, 15, 64, 1_000] {
        for step in [1, 2, 5] {
            let mut walk = Walk::new(&set);
            for bounds in places.windows(2).step_by(step) {
                let (lower, upper) = (all[bounds[0]].0, all[bounds[1]].0);
                let searched: Vec<_> = set.range(&lower, Some(&upper)).take(most).map(pair).collect();
                assert_eq!(walk.through(&lower, Some(&upper), most), searched, "{most} of each, every {step}.");
            }
            assert_eq!(walk.through(&all[999].0, None, most), &all[999..][..most.min(1)]);
            assert_eq!(walk.through(&all[998].0, None, most).len(), most.min(2), "backwards");
        }
    }
    assert_eq!(Walk::new(&Index::new()).through(&SetKey::default(), None, 9), []);
}
