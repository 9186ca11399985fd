//! Rings of eager links, and which link of one is given up.

use super::super::beat::{EXCHANGE_MS, FORMER_MS, PARENT_SPARED_MAX, SPARED_MS};
use super::*;

/// A node two links from the root: 1 is its parent, 2 as far as it, 3 one link farther.
fn placed() -> Broadcast {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 3);
    for (from, hops) in [(1, 2), (2, 3), (3, 4)] {
        broadcast.beat(NOW, &peer(from), Beat { root: peer(9), sequence: minute, hops });
    }
    broadcast.tick(NOW + 2_000, wants_free);
    assert_eq!(sorted(eager(&broadcast)), peers([1, 3]));
    broadcast
}

/// The next beat, in which `from` is nearest.
fn beat_again(broadcast: &mut Broadcast, now: UnixMillis, from: u32) -> Vec<Signal> {
    let beat = Beat { root: peer(9), sequence: now / BEAT_INTERVAL_MS, hops: 2 };
    broadcast.beat(now, &peer(from), beat);
    broadcast.tick(now + 2_000, wants_free)
}

fn prunes(signals: &[Signal]) -> Vec<Peer> {
    let prune = |signal: &Signal| match signal {
        Signal::Prune { to } => Some(*to),
        _ => None,
    };
    signals.iter().filter_map(prune).collect()
}

#[test]
fn when_the_parent_is_second_the_link_that_was_first_becomes_lazy() {
    let mut broadcast = placed();
    broadcast.accepted(NOW, pushed(2), id(1), |_| true);
    assert_eq!(broadcast.duplicate(NOW, &peer(1), &id(1), Route::Tree), Some(peer(2)));
    assert_eq!(sorted(eager(&broadcast)), peers([1, 3]));
}

#[test]
fn a_repetition_from_what_may_be_a_child_changes_nothing_while_the_link_is_eager() {
    let mut broadcast = placed();
    broadcast.accepted(NOW, pushed(1), id(1), |_| true);
    assert_eq!(broadcast.duplicate(NOW, &peer(3), &id(1), Route::Tree), None);
    assert_eq!(sorted(eager(&broadcast)), peers([1, 3]));
    broadcast.pruned(NOW, &peer(3));
    assert_eq!(
        broadcast.duplicate(NOW, &peer(3), &id(1), Route::Tree),
        Some(peer(3)),
        "the peer does not know that it is lazy"
    );
}

#[test]
fn who_is_pruned_by_its_parent_asks_again_and_leaves_links_to_others_as_near() {
    let mut broadcast = placed();
    broadcast.grafted(&peer(2));
    assert_eq!(broadcast.pruned(NOW, &peer(1)), peers([2]));
    assert_eq!(sorted(eager(&broadcast)), peers([1, 3]));
    assert_eq!(grafts(&broadcast.tick(NOW + 3_000, wants_free)), [(peer(1), vec![])]);
    assert_eq!(broadcast.pruned(NOW, &peer(3)), []);
    assert_eq!(eager(&broadcast), peers([1]), "others are not asked again");
}

#[test]
fn a_parent_is_spared_in_so_many_seconds_between_two_beats_and_no_more() {
    let mut broadcast = placed();
    let second = |broadcast: &mut Broadcast, number: u32, now: UnixMillis| {
        broadcast.accepted(now, pushed(2), id(number), |_| true);
        broadcast.duplicate(now, &peer(1), &id(number), Route::Tree)
    };
    let at = |seconds: u32| NOW + 3_000 + u64::from(seconds) * SPARED_MS;
    for number in 1..=PARENT_SPARED_MAX {
        assert_eq!(second(&mut broadcast, 10 * number, at(number)), Some(peer(2)));
        assert_eq!(second(&mut broadcast, 10 * number + 1, at(number + 1) - 1), Some(peer(2)), "of the same second");
    }
    assert_eq!(second(&mut broadcast, 1, at(PARENT_SPARED_MAX + 1)), Some(peer(1)), "it is always late");
    assert_eq!(sorted(eager(&broadcast)), peers([2, 3]));
    let now = NOW + BEAT_INTERVAL_MS;
    beat_again(&mut broadcast, now, 1);
    assert_eq!(second(&mut broadcast, 2, now + 3_000), Some(peer(2)), "a beat forgives");
}

#[test]
fn with_each_beat_the_parent_is_asked_for_pushes() {
    let mut broadcast = placed();
    let signals = beat_again(&mut broadcast, NOW + BEAT_INTERVAL_MS, 1);
    assert_eq!(grafts(&signals), [(peer(1), vec![])]);
}

#[test]
fn a_former_parent_goes_on_until_the_new_one_knows_and_is_pruned_then() {
    let mut broadcast = placed();
    let now = NOW + BEAT_INTERVAL_MS;
    broadcast.beat(now, &peer(2), Beat { root: peer(9), sequence: now / BEAT_INTERVAL_MS, hops: 1 });
    broadcast.beat(now, &peer(1), Beat { root: peer(9), sequence: now / BEAT_INTERVAL_MS, hops: 2 });
    let signals = broadcast.tick(now + 2_000, wants_free);
    assert_eq!((grafts(&signals), prunes(&signals)), (vec![(peer(2), vec![])], vec![]));
    assert_eq!(prunes(&broadcast.tick(now + 2_000 + FORMER_MS - 1, wants_free)), []);
    assert!(eager(&broadcast).contains(&peer(1)));
    assert_eq!(prunes(&broadcast.tick(now + 2_000 + FORMER_MS, wants_free)), [peer(1)]);
    assert!(!eager(&broadcast).contains(&peer(1)));
}

#[test]
fn who_loses_its_parent_takes_a_lazy_peer_one_link_farther_for_that_is_no_child() {
    let mut broadcast = placed();
    broadcast.link_down(&peer(2));
    broadcast.pruned(NOW, &peer(3));
    broadcast.tick(NOW + 3_000, wants_free);
    broadcast.link_down(&peer(1));
    assert_eq!(eager(&broadcast), [peer(3)]);
    assert_eq!(broadcast.shape.relation(broadcast.links[&peer(3)].number), Relation::Parent);
}

#[test]
fn nobody_who_may_be_behind_this_node_becomes_its_parent() {
    let minute = NOW / BEAT_INTERVAL_MS;
    let mut broadcast = node(40, 2);
    broadcast.beat(NOW, &peer(1), Beat { root: peer(9), sequence: minute, hops: 2 });
    broadcast.beat(NOW, &peer(2), Beat { root: peer(9), sequence: minute, hops: 4 });
    broadcast.link_down(&peer(1));
    broadcast.tick(NOW + 2_000, wants_free);
    assert_eq!(broadcast.shape.relation(broadcast.links[&peer(2)].number), Relation::Farther);
}

#[test]
fn links_are_exchanged_shortly_before_a_beat_and_when_none_comes() {
    let mut broadcast = placed();
    assert!(!broadcast.is_before_beat(NOW));
    assert!(!broadcast.is_before_beat(NOW + BEAT_INTERVAL_MS - EXCHANGE_MS - 1));
    assert!(broadcast.is_before_beat(NOW + BEAT_INTERVAL_MS - EXCHANGE_MS));
    assert!(broadcast.is_before_beat(NOW + 2 * BEAT_INTERVAL_MS), "it is late");
    let now = NOW + BEAT_INTERVAL_MS;
    beat_again(&mut broadcast, now, 1);
    assert!(!broadcast.is_before_beat(now + 2_000));
    assert!(node(40, 3).is_before_beat(NOW), "none ever came");
    assert!(node(20, 3).is_before_beat(NOW), "a mesh has no tree");
}
