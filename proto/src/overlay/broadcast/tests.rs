//! What the broadcast always does, each limit with its neighbour.

mod beats;
mod rings;

use super::super::tests::{announced, peer, wants_free};
use super::missing::{ASKED_IDS_MAX, MISSING_IDS_MAX, MISSING_IDS_OWED, MISSING_IDS_PER_LINK_MAX};
use super::*;

const NOW: UnixMillis = 1_800_000_000_000;
const HERE: Source = Source::Published { reaches_everyone: false };

fn id(number: u32) -> Vid {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Vid(bytes)
}

/// A node of a network of so many, with links to nodes 1 to `links`, all eager.
fn node(nodes: usize, links: u32) -> Broadcast {
    let mut broadcast = Broadcast::new(peer(0), 42);
    broadcast.set_network_nodes(nodes);
    for number in 1..=links {
        assert!(broadcast.link_up(peer(number)));
        broadcast.grafted(&peer(number));
    }
    broadcast.repairs.clear();
    broadcast
}

fn pushed(from: u32) -> Source {
    Source::Pushed { from: peer(from), route: Route::Tree }
}

fn grafts(signals: &[Signal]) -> Vec<(Peer, Vec<Vid>)> {
    let graft = |signal: &Signal| match signal {
        Signal::Graft { to, missing } => Some((*to, missing.iter().map(|announced| announced.vid).collect())),
        _ => None,
    };
    signals.iter().filter_map(graft).collect()
}

/// Peers of eager links.
fn eager(broadcast: &Broadcast) -> Vec<Peer> {
    broadcast.eager().copied().collect()
}

fn sorted(mut peers: Vec<Peer>) -> Vec<Peer> {
    peers.sort_unstable();
    peers
}

fn peers(numbers: impl IntoIterator<Item = u32>) -> Vec<Peer> {
    sorted(numbers.into_iter().map(peer).collect())
}

#[test]
fn a_version_goes_on_over_eager_links_and_is_announced_over_the_others_and_never_back() {
    let mut broadcast = node(40, 4);
    broadcast.pruned(NOW, &peer(2));
    let spread = broadcast.accepted(NOW, pushed(1), id(1), |_| true);
    assert_eq!((sorted(spread.push), spread.route, spread.announce), (peers([3, 4]), Route::Tree, vec![peer(2)]));
}

#[test]
fn what_reaches_everyone_is_passed_on_by_nobody() {
    let mut publisher = node(5, 4);
    publisher.pruned(NOW, &peer(2));
    let spread = publisher.accepted(NOW, Source::Published { reaches_everyone: true }, id(1), |_| true);
    assert_eq!((sorted(spread.push), spread.route, spread.announce), (peers(1..=4), Route::Direct, vec![]));
    let mut receiver = node(5, 4);
    let source = Source::Pushed { from: peer(1), route: Route::Direct };
    let spread = receiver.accepted(NOW, source, id(1), |_| true);
    assert_eq!((spread.push, sorted(spread.announce)), (vec![], peers(2..=4)));
}

#[test]
fn nothing_goes_to_peers_that_may_not_have_it() {
    let mut broadcast = node(1_000, 6);
    broadcast.pruned(NOW, &peer(2));
    broadcast.pruned(NOW, &peer(3));
    let allowed = |other: &Peer| *other != peer(2) && *other != peer(4);
    let spread = broadcast.accepted(NOW, HERE, id(1), allowed);
    assert_eq!((sorted(spread.push), spread.announce), (peers([1, 5, 6]), vec![peer(3)]));
}

#[test]
fn a_second_copy_makes_its_link_lazy() {
    let mut broadcast = node(40, 3);
    broadcast.accepted(NOW, pushed(1), id(1), |_| true);
    assert_eq!(broadcast.duplicate(NOW, &peer(2), &id(1), Route::Tree), Some(peer(2)));
    assert_eq!(sorted(eager(&broadcast)), peers([1, 3]));
}

#[test]
fn copies_from_who_was_first_or_that_did_not_come_through_the_tree_prune_nothing() {
    let mut broadcast = node(40, 3);
    broadcast.accepted(NOW, pushed(1), id(1), |_| true);
    assert_eq!(broadcast.duplicate(NOW, &peer(1), &id(1), Route::Tree), None);
    assert_eq!(broadcast.duplicate(NOW, &peer(2), &id(1), Route::Direct), None);
    assert_eq!(broadcast.duplicate(NOW, &peer(2), &id(2), Route::Tree), None, "not remembered");
    assert_eq!(eager(&broadcast).len(), 3);
}

#[test]
fn whoever_brings_something_first_is_in_the_tree() {
    let mut broadcast = node(40, 3);
    broadcast.pruned(NOW, &peer(2));
    broadcast.accepted(NOW, pushed(2), id(1), |_| true);
    assert_eq!(eager(&broadcast).len(), 3);
}

#[test]
fn what_was_announced_and_does_not_come_is_asked_for_once_the_wait_is_over() {
    let mut broadcast = node(40, 3);
    broadcast.pruned(NOW, &peer(2));
    broadcast.announced(NOW, &peer(2), announced(id(1)));
    assert_eq!(grafts(&broadcast.tick(NOW + GRAFT_AFTER_MS / 2 - 1, wants_free)), []);
    assert_eq!(grafts(&broadcast.tick(NOW + GRAFT_AFTER_MS * 3 / 2, wants_free)), [(peer(2), vec![id(1)])]);
    assert!(eager(&broadcast).contains(&peer(2)));
    assert_eq!(grafts(&broadcast.tick(NOW + GRAFT_AFTER_MS * 3 / 2 + 1, wants_free)), [], "it is asked for once");
}

#[test]
fn what_comes_in_time_is_not_asked_for() {
    let mut broadcast = node(40, 3);
    broadcast.announced(NOW, &peer(2), announced(id(1)));
    broadcast.accepted(NOW + 100, pushed(1), id(1), |_| true);
    assert_eq!(grafts(&broadcast.tick(NOW + 10_000, wants_free)), []);
    assert!(broadcast.is_known_to(&peer(2), &id(1)), "who announces it needs no announcement");
}

#[test]
fn an_answer_that_does_not_come_is_asked_of_the_next() {
    let mut broadcast = node(40, 3);
    broadcast.announced(NOW, &peer(2), announced(id(1)));
    broadcast.announced(NOW, &peer(3), announced(id(1)));
    let first = grafts(&broadcast.tick(NOW + 1_000, wants_free));
    let second = grafts(&broadcast.tick(NOW + 5_000, wants_free));
    assert_eq!((first[0].0, second[0].0), (peer(2), peer(3)));
    assert_eq!(grafts(&broadcast.tick(NOW + 10_000, wants_free)), [], "nobody is left");
    assert_eq!(broadcast.missing.len(), 0);
}

#[test]
fn after_four_silent_announcers_the_fifth_is_asked_or_sets_are_compared() {
    let mut broadcast = node(40, 6);
    for number in 1..=5 {
        broadcast.announced(NOW, &peer(number), announced(id(1)));
    }
    let asked = (1..=10).flat_map(|second| grafts(&broadcast.tick(NOW + second * 1_000, wants_free))).map(|(to, _)| to);
    assert_eq!(sorted(asked.collect()), peers(1..=5), "each once");
    assert_eq!(broadcast.missing.len(), 0);
}

#[test]
fn the_answer_to_a_graft_goes_on_and_what_a_comparison_found_is_only_announced() {
    let mut broadcast = node(40, 3);
    broadcast.announced(NOW, &peer(1), announced(id(1)));
    broadcast.tick(NOW + 1_000, wants_free);
    let spread = broadcast.accepted(NOW + 1_100, Source::Pulled { from: peer(1) }, id(1), |_| true);
    assert_eq!(sorted(spread.push), peers([2, 3]));
    let spread = broadcast.accepted(NOW + 1_100, Source::Pulled { from: peer(1) }, id(2), |_| true);
    assert_eq!((spread.push, sorted(spread.announce)), (vec![], peers([2, 3])));
}

#[test]
fn one_link_may_announce_1024_missing_versions_and_all_together_8192() {
    let mut broadcast = node(40, 10);
    for number in 0..=MISSING_IDS_PER_LINK_MAX as u32 {
        broadcast.announced(NOW, &peer(1), announced(id(number)));
    }
    assert_eq!(broadcast.missing.len(), MISSING_IDS_PER_LINK_MAX);
    for number in 0..=MISSING_IDS_MAX as u32 {
        broadcast.announced(NOW, &peer(2 + number % 9), announced(id(10_000 + number)));
    }
    assert_eq!(broadcast.missing.len(), MISSING_IDS_MAX);
}

#[test]
fn of_128_versions_each_link_may_be_the_first_announcer_however_full_the_table_is() {
    let mut broadcast = node(40, 10);
    for number in 0..MISSING_IDS_MAX as u32 {
        broadcast.announced(NOW, &peer(1 + number % 8), announced(id(number)));
    }
    for number in 0..=MISSING_IDS_OWED as u32 {
        broadcast.announced(NOW, &peer(9), announced(id(10_000 + number)));
    }
    assert_eq!(broadcast.missing.len(), MISSING_IDS_MAX + MISSING_IDS_OWED);
}

#[test]
fn what_is_asked_for_at_once_is_limited() {
    let mut broadcast = node(40, 10);
    for number in 0..=ASKED_IDS_MAX as u32 {
        broadcast.announced(NOW, &peer(1 + number % 2), announced(id(number)));
    }
    let asked = grafts(&broadcast.tick(NOW + 10_000, wants_free));
    assert!(asked.iter().all(|(_, ids)| ids.len() <= GRAFT_IDS_MAX));
    assert_eq!(asked.iter().map(|(_, ids)| ids.len()).sum::<usize>(), ASKED_IDS_MAX);
    broadcast.accepted(NOW + 10_010, Source::Pulled { from: asked[0].0 }, asked[0].1[0], |_| true);
    // One came, so one more may be asked for, as soon as the burst pauses.
    let more = grafts(&broadcast.tick(NOW + 10_900, wants_free));
    assert_eq!(more.iter().map(|(_, ids)| ids.len()).sum::<usize>(), 1);
}

#[test]
fn in_a_burst_that_still_brings_something_nothing_is_asked_for() {
    let mut broadcast = node(40, 3);
    for number in 0..200 {
        broadcast.announced(NOW, &peer(2), announced(id(number)));
    }
    for number in 0..20 {
        let now = NOW + 100 * u64::from(number);
        broadcast.accepted(now, pushed(1), id(number), |_| true);
        assert_eq!(grafts(&broadcast.tick(now, wants_free)), []);
    }
    assert!(!grafts(&broadcast.tick(NOW + 5_000, wants_free)).is_empty(), "it has stopped");
}

#[test]
fn versions_remembered_are_4096_at_most() {
    let mut broadcast = node(40, 1);
    for number in 0..=RECENT_IDS_MAX as u32 {
        broadcast.accepted(NOW, HERE, id(number), |_| true);
    }
    assert_eq!(broadcast.recent.len(), RECENT_IDS_MAX);
    assert!(!broadcast.is_known_to(&peer(1), &id(0)) && broadcast.is_known_to(&peer(1), &id(1)));
}

#[test]
fn links_are_64_at_most() {
    let mut broadcast = node(40, LINKS_MAX as u32);
    assert!(!broadcast.link_up(peer(LINKS_MAX as u32 + 1)));
    broadcast.link_down(&peer(5));
    assert!(broadcast.link_up(peer(LINKS_MAX as u32 + 1)));
}

#[test]
fn a_new_link_inherits_nothing_from_one_that_is_gone() {
    let mut broadcast = node(40, 3);
    broadcast.accepted(NOW, pushed(3), id(1), |_| true);
    broadcast.announced(NOW, &peer(3), announced(id(2)));
    broadcast.link_down(&peer(3));
    broadcast.link_up(peer(4));
    assert!(!broadcast.is_known_to(&peer(4), &id(1)));
    assert!(
        broadcast
            .tick(NOW + 10_000, wants_free)
            .iter()
            .all(|signal| !matches!(signal, Signal::Graft { missing, .. } if !missing.is_empty()))
    );
}

#[test]
fn a_node_that_loses_its_last_eager_link_takes_another_at_once() {
    let mut broadcast = node(40, 3);
    broadcast.pruned(NOW, &peer(2));
    broadcast.pruned(NOW, &peer(3));
    broadcast.link_down(&peer(1));
    assert_eq!(eager(&broadcast).len(), 1);
    assert_eq!(grafts(&broadcast.tick(NOW, wants_free)), [(eager(&broadcast)[0], vec![])]);
}

#[test]
fn a_node_whose_last_eager_link_is_pruned_takes_another_at_once() {
    let mut broadcast = node(40, 2);
    broadcast.pruned(NOW, &peer(1));
    broadcast.pruned(NOW, &peer(2));
    assert_eq!(eager(&broadcast).len(), 1);
}
