//! Beats: who is the root, and what of them is passed on.

use super::super::beat::{BEATS_PER_LINK_MAX, SEQUENCE_AHEAD_MAX, SEQUENCE_BEHIND_MAX};
use super::*;

fn beat(root: u32, sequence: u64, hops: u32) -> Beat {
    Beat { root: peer(root), sequence, hops }
}

fn settled(broadcast: &mut Broadcast, now: UnixMillis) -> Vec<Peer> {
    broadcast.tick(now + 10_000, wants_free);
    sorted(eager(broadcast))
}

#[test]
fn after_a_beat_the_nearest_is_the_parent_and_others_as_near_are_lazy() {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 4);
    broadcast.beat(NOW, &peer(1), beat(9, minute, 4));
    broadcast.beat(NOW, &peer(2), beat(9, minute, 3));
    broadcast.beat(NOW, &peer(3), beat(9, minute, 4));
    broadcast.beat(NOW, &peer(4), beat(9, minute, 5));
    // This node is 3 hops away; 4 is 4 hops away and may be its child.
    assert_eq!(settled(&mut broadcast, NOW), peers([2, 4]));
}

#[test]
fn who_loses_its_parent_takes_the_next_nearest_and_nobody_who_may_be_its_child() {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 4);
    broadcast.beat(NOW, &peer(1), beat(9, minute, 3));
    broadcast.beat(NOW, &peer(2), beat(9, minute, 4));
    broadcast.beat(NOW, &peer(3), beat(9, minute, 3));
    broadcast.beat(NOW, &peer(4), beat(9, minute, 5));
    assert_eq!(settled(&mut broadcast, NOW), peers([1, 4]));
    broadcast.link_down(&peer(1));
    assert_eq!(grafts(&broadcast.tick(NOW + 10_001, wants_free)), [(peer(3), vec![])]);
    broadcast.link_down(&peer(3));
    assert_eq!(grafts(&broadcast.tick(NOW + 10_002, wants_free)), [(peer(2), vec![])]);
    broadcast.link_down(&peer(2));
    assert_eq!(grafts(&broadcast.tick(NOW + 10_003, wants_free)), [], "4 may be behind this node");
    assert_eq!(eager(&broadcast), [peer(4)]);
}

#[test]
fn a_beat_is_passed_on_when_it_is_new_or_came_on_a_shorter_way() {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 3);
    let passed = |passed: Option<(Vec<Peer>, Beat)>| passed.map(|(to, beat)| (sorted(to), beat.hops));
    assert_eq!(passed(broadcast.beat(NOW, &peer(1), beat(9, minute, 4))), Some((peers([2, 3]), 5)));
    assert_eq!(passed(broadcast.beat(NOW, &peer(2), beat(9, minute, 4))), None);
    assert_eq!(passed(broadcast.beat(NOW, &peer(3), beat(9, minute, 2))), Some((peers([1, 2]), 3)));
    assert_eq!(passed(broadcast.beat(NOW, &peer(1), beat(9, minute - 1, 1))), None, "an old one");
}

#[test]
fn beats_of_this_node_of_other_times_and_from_too_far_are_not_passed_on() {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 2);
    assert_eq!(broadcast.beat(NOW, &peer(1), beat(9, minute + SEQUENCE_AHEAD_MAX + 1, 1)), None);
    assert_eq!(broadcast.beat(NOW, &peer(1), beat(9, minute - SEQUENCE_BEHIND_MAX - 1, 1)), None);
    assert_eq!(broadcast.beat(NOW, &peer(1), beat(9, minute, BEAT_HOPS_MAX)), None);
    assert_eq!(broadcast.beat(NOW, &peer(1), beat(9, minute, 0)), None);
    assert_eq!(broadcast.beat(NOW, &peer(1), beat(0, minute, 1)), None, "this node's own");
    assert!(broadcast.beat(NOW, &peer(1), beat(9, minute - SEQUENCE_BEHIND_MAX, BEAT_HOPS_MAX - 1)).is_some());
    assert!(broadcast.beat(NOW, &peer(1), beat(9, minute + SEQUENCE_AHEAD_MAX, 1)).is_some());
}

#[test]
fn who_hears_no_beat_beats_itself_and_stops_when_a_better_one_does() {
    let mut broadcast = node(40, 2);
    let beats = |broadcast: &mut Broadcast, from: UnixMillis, seconds: u64| -> usize {
        let at = |second| from + second * 1_000;
        let is_beat = |signal: &Signal| matches!(signal, Signal::Beat { .. });
        (0..seconds)
            .map(|second| broadcast.tick(at(second), wants_free).iter().filter(|signal| is_beat(signal)).count())
            .sum()
    };
    assert!(beats(&mut broadcast, NOW, 300) >= 4);
    let now = NOW + 300_000;
    let better = (1..50).find(|root| broadcast.beat(now, &peer(1), beat(*root, now / BEAT_INTERVAL_MS, 3)).is_some());
    assert!(better.is_some(), "one of 49 ranks before node 0");
    assert_eq!(beats(&mut broadcast, now, 60), 0);
    assert!(beats(&mut broadcast, now + 60_000, 300) > 0, "the better one has fallen silent");
}

#[test]
fn up_to_thirty_nodes_nobody_beats() {
    let mut broadcast = node(FULL_MESH_MAX, 3);
    assert!((0..300).all(|second| broadcast.tick(NOW + second * 1_000, wants_free).is_empty()));
}

/// Nodes 1 to `count` in the order in which each is a better root than the one before.
fn better_and_better(count: u32, day: u64) -> Vec<u32> {
    let rank = |root: &u32| blake3::hash(&[&peer(*root).as_bytes()[..], &day.to_be_bytes()].concat());
    let mut roots: Vec<u32> = (1..=count).collect();
    roots.sort_by_key(|root| std::cmp::Reverse(rank(root).as_bytes()[..8].to_vec()));
    roots
}

#[test]
fn a_peer_that_names_a_better_root_again_and_again_is_passed_on_a_few_times_a_minute() {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 3);
    let roots = better_and_better(60, minute / 1_440);
    let mut passed = |now: UnixMillis, from: u32, roots: &[u32]| {
        let is_passed =
            |root: &&u32| broadcast.beat(now, &peer(from), beat(**root, now / BEAT_INTERVAL_MS, 3)).is_some();
        roots.iter().filter(is_passed).count()
    };
    assert_eq!(passed(NOW, 1, &roots[..20]), BEATS_PER_LINK_MAX as usize);
    assert_eq!(passed(NOW + BEAT_INTERVAL_MS - 1, 1, &roots[20..40]), 0);
    assert_eq!(passed(NOW + BEAT_INTERVAL_MS - 1, 2, &roots[40..42]), 2, "others are heard");
    assert_eq!(passed(NOW + BEAT_INTERVAL_MS, 1, &roots[42..]), BEATS_PER_LINK_MAX as usize);
}

#[test]
fn whoever_dials_again_may_not_name_more_roots() {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 3);
    let roots = better_and_better(60, minute / 1_440);
    let mut passed = 0;
    for root in roots {
        passed += usize::from(broadcast.beat(NOW, &peer(1), beat(root, minute, 3)).is_some());
        broadcast.link_down(&peer(1));
        broadcast.link_up(peer(1));
    }
    assert_eq!(passed, BEATS_PER_LINK_MAX as usize);
}

#[test]
fn a_beat_from_the_future_does_not_silence_its_root() {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 3);
    assert!(broadcast.beat(NOW, &peer(1), beat(9, minute, 1)).is_some());
    let forged = beat(9, minute + SEQUENCE_AHEAD_MAX, 1);
    assert!(broadcast.beat(NOW + 1, &peer(2), forged).is_some());
    let at = |minutes: u64| NOW + minutes * BEAT_INTERVAL_MS;
    assert!(broadcast.beat(at(1), &peer(1), beat(9, minute + 1, 1)).is_none(), "it looks old");
    // After ninety seconds without a newer one, the root is believed again although its number is not higher.
    assert!(broadcast.beat(at(2), &peer(1), beat(9, minute + 2, 1)).is_some());
    assert!(broadcast.beat(at(3), &peer(1), beat(9, minute + 3, 1)).is_some());
}
