//! What the neighbours always do, each limit with its neighbour.

mod room;

use std::sync::Arc;

use super::super::candidates::{Candidate, Candidates};
use super::super::tests::{org, peer};
use super::history::HISTORIES_MAX;
use super::*;

const NOW: UnixMillis = 1_800_000_000_000;

/// Node 0 among `others` nodes, each of an organisation of its own.
fn among(others: u32) -> Neighbours {
    among_orgs(others, others)
}

fn among_orgs(others: u32, orgs: u32) -> Neighbours {
    let mut neighbours = Neighbours::new(peer(0), 42);
    neighbours.set_candidates(candidates(others, orgs));
    neighbours
}

fn candidates(others: u32, orgs: u32) -> Arc<Candidates> {
    let node = |number| Candidate { peer: peer(number), org: org(number % orgs), is_dialable: true };
    Arc::new(Candidates::new((1..=others).map(node), 1))
}

fn dials(actions: &[Action]) -> Vec<Peer> {
    let dial = |action: &Action| match action {
        Action::Dial { peer } => Some(*peer),
        _ => None,
    };
    actions.iter().filter_map(dial).collect()
}

fn dropped(actions: &[Action]) -> Vec<(Peer, DropReason)> {
    let drop = |action: &Action| match action {
        Action::Drop { peer, why, .. } => Some((*peer, *why)),
        _ => None,
    };
    actions.iter().filter_map(drop).collect()
}

/// Ticks once a second; every dial succeeds, every drop is carried out. Returns all actions.
fn run(neighbours: &mut Neighbours, from: UnixMillis, seconds: u64) -> Vec<Action> {
    let mut all = Vec::new();
    for second in 0..seconds {
        let now = from + second * 1_000;
        let actions = neighbours.tick(now, true);
        dials(&actions).into_iter().for_each(|peer| neighbours.connected(now, peer, true));
        dropped(&actions).iter().for_each(|(peer, _)| neighbours.disconnected(now, peer, Ended::Dropped));
        all.extend(actions);
    }
    all
}

fn outbound(neighbours: &Neighbours) -> Vec<Peer> {
    neighbours.links.iter().filter(|(_, link)| link.outbound).map(|(peer, _)| *peer).collect()
}

#[test]
fn up_to_thirty_other_nodes_are_all_linked_and_of_thirty_one_only_some() {
    let mut mesh = among(FULL_MESH_MAX as u32);
    run(&mut mesh, NOW, 60);
    assert!(mesh.is_mesh() && mesh.links.len() == FULL_MESH_MAX);
    let mut overlay = among(FULL_MESH_MAX as u32 + 1);
    run(&mut overlay, NOW, 60);
    assert!(!overlay.is_mesh());
    assert_eq!(overlay.links.len(), OUTBOUND_LINKS_WANTED);
}

#[test]
fn a_network_that_shrinks_a_little_stays_an_overlay() {
    let mut neighbours = among(31);
    neighbours.set_candidates(candidates(FULL_MESH_AGAIN as u32, 25));
    assert!(!neighbours.is_mesh());
    neighbours.set_candidates(candidates(FULL_MESH_AGAIN as u32 - 1, 24));
    assert!(neighbours.is_mesh());
    neighbours.set_candidates(candidates(30, 30));
    assert!(neighbours.is_mesh());
}

#[test]
fn the_own_key_on_a_card_is_no_node_to_link_to() {
    let mut neighbours = Neighbours::new(peer(1), 42);
    neighbours.set_candidates(candidates(FULL_MESH_MAX as u32 + 1, 31));
    assert!(neighbours.is_mesh(), "thirty others");
    run(&mut neighbours, NOW, 60);
    assert!(!neighbours.links.contains_key(&peer(1)));
    assert_eq!(neighbours.network_nodes(), 31);
}

#[test]
fn dials_under_way_are_four_at_most() {
    let mut neighbours = among(20);
    assert_eq!(dials(&neighbours.tick(NOW, true)).len(), DIALS_AT_ONCE_MAX);
    assert_eq!(dials(&neighbours.tick(NOW + 1_000, true)), []);
    let first = *neighbours.dialling.keys().next().expect("four are dialled");
    neighbours.connected(NOW + 1_000, first, true);
    assert_eq!(dials(&neighbours.tick(NOW + 1_000, true)).len(), 1);
}

#[test]
fn a_dial_that_is_never_answered_is_given_up() {
    let mut neighbours = among(1);
    assert_eq!(dials(&neighbours.tick(NOW, true)), [peer(1)]);
    assert_eq!(dials(&neighbours.tick(NOW + DIAL_WAIT_MS_MAX, true)), []);
    neighbours.tick(NOW + DIAL_WAIT_MS_MAX + 1, true);
    assert_eq!(dials(&neighbours.tick(NOW + DIAL_WAIT_MS_MAX + 2_000, true)), [peer(1)]);
}

#[test]
fn pauses_between_dials_double_up_to_a_minute() {
    let mut neighbours = among(1);
    let (mut now, mut pauses) = (NOW, Vec::new());
    let mut failed_at = None;
    while pauses.len() < 12 {
        if let [dialled] = dials(&neighbours.tick(now, true))[..] {
            pauses.extend(failed_at.map(|at: UnixMillis| now - at));
            neighbours.dial_failed(now, &dialled, DialFailure::Unreachable);
            failed_at = Some(now);
        }
        now += 250;
    }
    for (number, pause) in pauses.iter().enumerate() {
        let middle = (PAUSE_MS_MIN << number).min(PAUSE_MS_MAX);
        assert!((middle * 3 / 4..=middle * 5 / 4 + 250).contains(pause), "pause {number} is {pause} ms");
    }
}

#[test]
fn a_peer_that_refuses_is_asked_again_much_later() {
    let mut neighbours = among(1);
    neighbours.tick(NOW, true);
    neighbours.dial_failed(NOW, &peer(1), DialFailure::Refused);
    assert_eq!(dials(&neighbours.tick(NOW + REFUSED_PAUSE_MS_MIN * 3 / 4 - 1, true)), []);
    assert_eq!(dials(&neighbours.tick(NOW + REFUSED_PAUSE_MS_MIN * 5 / 4, true)), [peer(1)]);
}

#[test]
fn a_link_that_held_a_minute_begins_with_short_pauses_again() {
    let mut neighbours = among(1);
    for _ in 0..8 {
        neighbours.connected(NOW, peer(1), true);
        neighbours.disconnected(NOW + HELD_MS_MIN - 1, &peer(1), Ended::Lost);
    }
    assert!(dials(&neighbours.tick(NOW + HELD_MS_MIN + 10_000, true)).is_empty());
    neighbours.connected(NOW, peer(1), true);
    neighbours.disconnected(NOW + HELD_MS_MIN, &peer(1), Ended::Lost);
    assert_eq!(dials(&neighbours.tick(NOW + HELD_MS_MIN + 2_000, true)), [peer(1)]);
}

#[test]
fn who_is_turned_away_for_a_link_that_it_does_not_have_waits_before_it_dials_again() {
    let mut neighbours = among(1);
    neighbours.tick(NOW, true);
    neighbours.connected(NOW, peer(1), true);
    neighbours.disconnected(NOW, &peer(1), Ended::Replaced);
    assert_eq!(dials(&neighbours.tick(NOW + PAUSE_MS_MIN * 3 / 4 - 1, true)), []);
    assert_eq!(dials(&neighbours.tick(NOW + PAUSE_MS_MIN * 5 / 4, true)), [peer(1)]);
}

#[test]
fn a_lost_outbound_link_is_replaced_at_once() {
    let mut neighbours = among(100);
    run(&mut neighbours, NOW, 10);
    let lost = outbound(&neighbours)[0];
    neighbours.disconnected(NOW + 10_000, &lost, Ended::Lost);
    let dialled = dials(&neighbours.tick(NOW + 10_000, true));
    assert_eq!(dialled.len(), 1);
    assert_ne!(dialled[0], lost);
}

#[test]
fn a_victim_that_all_hostile_nodes_dial_keeps_mostly_honest_outbound_links() {
    const NODES: u32 = 200;
    let is_hostile = |found: &Peer| (1..=NODES * 3 / 10).any(|number| peer(number) == *found);
    let (mut hostile, mut all_hostile) = (0, 0);
    for seed in 0..100 {
        let mut victim = among(NODES);
        victim.random = Random::new(seed);
        for number in 1..=NODES * 3 / 10 {
            victim.connected(NOW, peer(number), false);
        }
        let mut now = NOW;
        for _ in 0..1_800 {
            now += 1_000;
            for action in victim.tick(now, true) {
                match action {
                    Action::Dial { peer } => victim.connected(now, peer, true),
                    Action::Drop { peer, .. } => victim.disconnected(now, &peer, Ended::Dropped),
                    Action::Shuffle { .. } => {}
                }
            }
            // Hostile neighbours name their like, honest ones name anybody.
            if now.is_multiple_of(300_000) {
                let linked: Vec<Peer> = victim.links.keys().copied().collect();
                for from in linked {
                    let share = if is_hostile(&from) { NODES * 3 / 10 } else { NODES };
                    let named: Vec<Peer> =
                        (0..SHUFFLE_PEERS_MAX).map(|_| peer(1 + victim.random.below(share as usize) as u32)).collect();
                    victim.shuffled(now, &from, &named);
                }
            }
        }
        let found = outbound(&victim).iter().filter(|found| is_hostile(found)).count();
        hostile += found;
        all_hostile += usize::from(found >= OUTBOUND_LINKS_WANTED);
    }
    let share = hostile as f64 / (100 * OUTBOUND_LINKS_WANTED) as f64;
    assert!(share < 0.45, "{share} of the outbound links are hostile");
    assert!(all_hostile <= 5, "{all_hostile} of 100 victims are surrounded");
}

#[test]
fn an_outbound_link_is_exchanged_about_every_ten_minutes_and_never_given_up_first() {
    let mut neighbours = among(100);
    run(&mut neighbours, NOW, 60);
    let mut fewest = usize::MAX;
    let mut exchanged = 0;
    for second in 60..6_060 {
        let actions = run(&mut neighbours, NOW + second * 1_000, 1);
        exchanged += dropped(&actions).iter().filter(|(_, why)| *why == DropReason::Surplus).count();
        fewest = fewest.min(outbound(&neighbours).len());
    }
    assert_eq!(fewest, OUTBOUND_LINKS_WANTED);
    assert!((6..=20).contains(&exchanged), "{exchanged} in 100 minutes");
}

#[test]
fn two_halves_that_were_apart_for_long_are_linked_again() {
    let mut neighbours = among(100);
    run(&mut neighbours, NOW, 60);
    // While apart, this node was only linked to the lower half.
    let lower = |found: &Peer| (1..=50).any(|number| peer(number) == *found);
    let mut now = NOW + 60_000;
    while !outbound(&neighbours).iter().all(&lower) {
        let upper = outbound(&neighbours).into_iter().find(|found| !lower(found)).expect("one is in the upper half");
        neighbours.disconnected(now, &upper, Ended::Lost);
        for dialled in dials(&neighbours.tick(now, true)) {
            if lower(&dialled) {
                neighbours.connected(now, dialled, true);
            } else {
                neighbours.dial_failed(now, &dialled, DialFailure::Unreachable);
            }
        }
        now += 1_000;
    }
    run(&mut neighbours, now + 3_600_000, 7_200);
    assert!(!outbound(&neighbours).iter().all(lower), "no link across after two hours");
}

#[test]
fn who_misbehaves_is_dropped_shut_out_and_forgiven() {
    let mut neighbours = among(1);
    neighbours.connected(NOW, peer(1), false);
    neighbours.misbehaved(NOW, &peer(1), POINTS_MAX - 1);
    assert_eq!(dropped(&neighbours.tick(NOW, true)), []);
    neighbours.misbehaved(NOW, &peer(1), 1);
    assert_eq!(dropped(&neighbours.tick(NOW, true)), [(peer(1), DropReason::Misbehaved)]);
    neighbours.disconnected(NOW, &peer(1), Ended::Dropped);
    assert!(!neighbours.is_welcome(NOW + 60_000, &peer(1)));
    assert_eq!(dials(&neighbours.tick(NOW + 60_000, true)), []);
    assert!(neighbours.is_welcome(NOW + 1_200_000, &peer(1)));
    assert_eq!(dials(&neighbours.tick(NOW + 1_200_000, true)), [peer(1)]);
}

#[test]
fn only_members_named_in_a_shuffle_count_and_no_more_than_sixteen() {
    let mut neighbours = among(100);
    neighbours.connected(NOW, peer(1), true);
    let mut named: Vec<Peer> = vec![peer(500)];
    named.extend((2..=SHUFFLE_PEERS_MAX as u32 + 1).map(peer));
    neighbours.shuffled(NOW, &peer(1), &named);
    let is_alive = |number| neighbours.histories.get(&peer(number)).is_some_and(|history| history.is_alive(NOW));
    assert!(!is_alive(500) && is_alive(SHUFFLE_PEERS_MAX as u32) && !is_alive(SHUFFLE_PEERS_MAX as u32 + 1));
}

#[test]
fn a_neighbour_that_dialled_this_node_chooses_none_of_its_links() {
    let mut neighbours = among(100);
    neighbours.connected(NOW, peer(1), false);
    neighbours.shuffled(NOW, &peer(1), &[peer(2)]);
    assert!(neighbours.histories.get(&peer(2)).is_none());
    neighbours.connected(NOW, peer(3), true);
    neighbours.shuffled(NOW, &peer(3), &[peer(4)]);
    neighbours.shuffled(NOW + 1_000, &peer(3), &[peer(5)]);
    assert!(neighbours.histories.get(&peer(4)).is_some());
    assert!(neighbours.histories.get(&peer(5)).is_none(), "too soon after the last");
}

#[test]
fn a_shuffle_names_links_and_sixteen_at_most() {
    let mut neighbours = among(30);
    let actions = run(&mut neighbours, NOW, 1_000);
    let shuffles: Vec<(Peer, Vec<Peer>)> = actions
        .into_iter()
        .filter_map(|action| match action {
            Action::Shuffle { to, peers } => Some((to, peers)),
            _ => None,
        })
        .collect();
    assert!((3..=5).contains(&shuffles.len()), "{} in 1,000 s", shuffles.len());
    assert!(shuffles.iter().all(|(to, peers)| peers.len() <= SHUFFLE_PEERS_MAX && !peers.contains(to)));
}

#[test]
fn everyone_is_reached_when_all_who_are_up_are_linked() {
    let mut neighbours = among(3);
    neighbours.tick(NOW, true);
    neighbours.connected(NOW, peer(1), true);
    neighbours.connected(NOW, peer(2), false);
    assert!(!neighbours.reaches_everyone(NOW), "3 may be up");
    neighbours.dial_failed(NOW, &peer(3), DialFailure::Unreachable);
    assert!(neighbours.reaches_everyone(NOW), "3 is down");
    neighbours.shuffled(NOW, &peer(1), &[peer(3)]);
    assert!(!neighbours.reaches_everyone(NOW), "3 is linked to 1");
    neighbours.connected(NOW, peer(3), true);
    assert!(neighbours.reaches_everyone(NOW));
}

#[test]
fn introduced_nodes_are_dialled_first_and_are_thirty_two_at_most() {
    let mut neighbours = among(100);
    for number in 0..INTRODUCED_MAX as u32 {
        assert!(neighbours.introduce(peer(200 + number)));
    }
    assert!(!neighbours.introduce(peer(200 + INTRODUCED_MAX as u32)));
    assert!(neighbours.introduce(peer(200)), "again");
    let dialled = dials(&neighbours.tick(NOW, true));
    assert!(dialled.iter().all(|dialled| neighbours.introduced.contains(dialled)), "{dialled:?}");
    dialled.iter().for_each(|peer| neighbours.connected(NOW, *peer, true));
    run(&mut neighbours, NOW, 20);
    assert!(neighbours.introduced.iter().all(|peer| neighbours.links.contains_key(peer)), "each is dialled");
}

#[test]
fn histories_are_4096_at_most_and_those_with_points_stay() {
    let mut histories = Histories::default();
    for number in 0..HISTORIES_MAX as u32 {
        histories.at(peer(number)).alive_at = Some(NOW);
    }
    histories.at(peer(7)).add_points(NOW, 10);
    assert_eq!(histories.len(), HISTORIES_MAX);
    histories.at(peer(HISTORIES_MAX as u32)).alive_at = Some(NOW);
    assert_eq!(histories.len(), HISTORIES_MAX);
    assert!(histories.get(&peer(7)).is_some() && histories.get(&peer(HISTORIES_MAX as u32)).is_some());
}

#[test]
fn a_clock_that_leaps_back_stops_nothing_for_long() {
    let mut neighbours = among(100);
    run(&mut neighbours, NOW, 60);
    for lost in outbound(&neighbours) {
        neighbours.disconnected(NOW + 60_000, &lost, Ended::Lost);
    }
    let past = NOW - 30 * 86_400_000;
    run(&mut neighbours, past, 5);
    assert_eq!(outbound(&neighbours).len(), OUTBOUND_LINKS_WANTED);
}

#[test]
fn the_same_seed_dials_the_same_nodes_and_another_seed_others() {
    let dialled = |seed| {
        let mut neighbours = among(100);
        neighbours.random = Random::new(seed);
        run(&mut neighbours, NOW, 60);
        outbound(&neighbours)
    };
    assert_eq!(dialled(1), dialled(1));
    assert_ne!(dialled(1), dialled(2));
}
