//! What is announced and does not come is asked for, whoever withholds it.

#![allow(clippy::unwrap_used)]

use super::super::spreading::{ANNOUNCEMENTS_MAX, Accepted, COMPARE_AFTER_DROP_MS};
use super::super::*;
use super::world::*;
use crate::limits::{OFFER_PAIRS_MAX, WANT_KEYS_MAX, WANTS_OPEN_MAX};
use crate::set::SetKey;
use crate::sync::{Pair, read_keys, read_pairs, write_pairs};
use crate::v1;
use crate::v1::frame::Content;

fn announce(world: &mut World, peer: Peer, pairs: &[Pair]) {
    let offer = v1::Offer { audience: 0, pairs: write_pairs(pairs), announced: true, ..Default::default() };
    world.receive(0, peer, Content::Offer(offer));
}

/// Ticks of node 0 for so long. Returns whom it sent which wants.
fn run(world: &mut World, ms: u64) -> Vec<(Peer, v1::Want)> {
    let mut wants = Vec::new();
    for _ in 0..ms / 250 {
        world.now += 250;
        let outputs = world.nodes[0].handle(world.now, Input::Tick);
        wants.extend(wants_in(&outputs));
    }
    wants
}

fn wants_in(outputs: &[Output]) -> Vec<(Peer, v1::Want)> {
    let want = |output: &Output| match output {
        Output::Send { to, frame } => match read_frame(frame) {
            Ok(Content::Want(want)) => Some((to[0], want)),
            _ => None,
        },
        _ => None,
    };
    outputs.iter().filter_map(want).collect()
}

/// Whom this key was asked of, in order.
fn asked(wants: &[(Peer, v1::Want)], key: SetKey) -> Vec<Peer> {
    let has_key = |want: &v1::Want| read_keys(&want.keys, 256).unwrap().contains(&key);
    wants.iter().filter(|(_, want)| want.graft && has_key(want)).map(|(peer, _)| *peer).collect()
}

fn pair_of(version: &SignedVersion) -> Pair {
    (Slot::of(version.header()).key, version.vid())
}

/// Versions that do not exist. Those with lower numbers are looked at first.
fn invented(numbers: std::ops::Range<u32>) -> Vec<Pair> {
    let bytes = |number: u32| std::array::from_fn(|at| number.to_be_bytes().get(at).copied().unwrap_or(0));
    numbers.map(|number| (SetKey(bytes(number)), Vid(bytes(number)))).collect()
}

#[test]
fn what_the_first_announcer_withholds_is_asked_of_the_next_by_its_key() {
    let mut world = World::new(3);
    let (first, second) = (world.peer(1), world.peer(2));
    world.greet(0, first, false);
    world.greet(0, second, false);
    let pair = pair_of(&world.service(1, "a", "A", 0));
    announce(&mut world, first, &[pair]);
    announce(&mut world, second, &[pair]);
    let wants = run(&mut world, 3_000);
    assert_eq!(asked(&wants, pair.0), [first, second]);
}

#[test]
fn a_liar_that_announces_a_version_under_another_key_does_not_keep_it_from_being_asked_for() {
    let mut world = World::new(3);
    let (liar, honest) = (world.peer(1), world.peer(2));
    world.greet(0, liar, false);
    world.greet(0, honest, false);
    let (key, vid) = pair_of(&world.service(1, "a", "A", 0));
    announce(&mut world, liar, &[(SetKey::default(), vid)]);
    announce(&mut world, honest, &[(key, vid)]);
    assert_eq!(asked(&run(&mut world, 3_000), key), [honest]);
}

#[test]
fn one_peers_announcements_displace_nobody_elses() {
    let mut world = World::new(3);
    let (liar, honest) = (world.peer(1), world.peer(2));
    world.greet(0, liar, false);
    world.greet(0, honest, false);
    for number in 0..17 {
        announce(&mut world, liar, &invented(number * OFFER_PAIRS_MAX as u32..(number + 1) * OFFER_PAIRS_MAX as u32));
    }
    run(&mut world, 1_000);
    let pair = pair_of(&world.service(1, "a", "A", 0));
    announce(&mut world, honest, &[pair]);
    let mut wants = Vec::new();
    for number in 0..10 {
        announce(&mut world, liar, &invented(number * 1_000..number * 1_000 + OFFER_PAIRS_MAX as u32));
        wants.extend(run(&mut world, 250));
    }
    assert_eq!(asked(&wants, pair.0), [honest]);
}

/// A peer offers so many versions, and half a minute later announces one. Returns how often it was asked for anything before,
/// after, and once it had answered the first want.
fn requests(offered: usize) -> (usize, usize, usize) {
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let offer = v1::Offer {
        audience: 0,
        pairs: write_pairs(&invented(0..offered as u32)),
        announced: false,
        ..Default::default()
    };
    let wants = wants_in(&world.receive(0, peer, Content::Offer(offer)));
    let pair = pair_of(&world.service(1, "a", "A", 0));
    announce(&mut world, peer, &[pair]);
    let more = run(&mut world, 5_000);
    let answer = v1::Versions { want: wants[0].1.want, last: true, ..Default::default() };
    world.receive(0, peer, Content::Versions(answer));
    let all = more.iter().cloned().chain(run(&mut world, 2_000)).collect::<Vec<_>>();
    assert_eq!(asked(&all, pair.0), [peer]);
    (wants.len(), more.len(), all.len())
}

#[test]
fn grafts_and_wants_together_are_four_at_most() {
    assert_eq!(requests(3 * WANT_KEYS_MAX), (3, 1, 1));
    assert_eq!(requests(4 * WANT_KEYS_MAX), (4, 0, 1), "the graft waits until there is room");
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    announce(&mut world, peer, &invented(0..OFFER_PAIRS_MAX as u32));
    assert_eq!(run(&mut world, 10_000).len(), WANTS_OPEN_MAX);
}

#[test]
fn a_version_that_is_only_announced_is_not_acknowledged() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    let own = world.nodes[0].set(Audience::Public).total();
    let set = v1::SetSummary {
        fingerprint: own.fingerprint().to_vec(),
        count: own.count,
        log_epoch: 5,
        log_sequence: 3,
        ..Default::default()
    };
    let hello = v1::Hello {
        level: 1,
        level_min: 1,
        network: world.network().0.to_vec(),
        clock_ms: NOW,
        sets: vec![set],
        ..Default::default()
    };
    world.nodes[0].handle(world.now, Input::Connected { peer, outbound: false });
    world.receive(0, peer, Content::Hello(hello));
    let consumed = |world: &World| world.nodes[0].cursors.get(&peer, Audience::Public).map(|place| place.sequence);
    run(&mut world, 1_500);
    assert_eq!(consumed(&world), Some(3));
    let version = world.service(1, "a", "A", 0);
    announce(&mut world, peer, &[pair_of(&version)]);
    world.receive(0, peer, Content::Progress(v1::Progress { sequence: 4, ..Default::default() }));
    let wants = run(&mut world, 1_250);
    assert_eq!(consumed(&world), Some(3), "it has not come");
    let want = wants.iter().find(|(_, want)| want.graft).unwrap().1.want;
    let frame = versions_frames(want, [version.envelope().to_vec()], false).remove(0);
    world.run(0, Input::Received { peer, frame });
    run(&mut world, 1_500);
    assert_eq!(consumed(&world), Some(4));
    // What never comes is given up, and only a comparison can tell that nothing is missing.
    let other = pair_of(&world.service(1, "b", "B", 0));
    announce(&mut world, peer, &[other]);
    world.receive(0, peer, Content::Progress(v1::Progress { sequence: 5, ..Default::default() }));
    run(&mut world, 10_000);
    assert_eq!(consumed(&world), Some(4));
}

/// So many versions enter the set of node 0 for which its links are told.
fn enter(world: &mut World, count: usize) {
    let node = &mut world.nodes[0];
    let accepted = invented(0..count as u32).into_iter().map(|(key, vid)| {
        node.logs[0].push(key);
        Accepted {
            source: None,
            slot: Slot { audience: Audience::Public, key },
            vid,
            envelope: Vec::new(),
            goes_first: false,
        }
    });
    let accepted = accepted.collect();
    node.spread(world.now, accepted, &mut Vec::new());
}

#[test]
fn up_to_4096_versions_wait_to_be_announced_and_of_more_the_peer_is_told_by_comparison() {
    for (count, is_told) in [(ANNOUNCEMENTS_MAX, true), (ANNOUNCEMENTS_MAX + 1, false)] {
        let mut world = World::new(2);
        let peer = world.peer(1);
        world.greet(0, peer, false);
        enter(&mut world, count);
        let mut outputs = world.nodes[0].handle(NOW + 250, Input::Tick);
        let offers = outputs.drain(..).filter_map(|output| match output {
            Output::Send { frame, .. } => match read_frame(&frame) {
                Ok(Content::Offer(offer)) => Some(read_pairs(&offer.pairs, OFFER_PAIRS_MAX).unwrap().len()),
                _ => None,
            },
            _ => None,
        });
        assert_eq!(offers.sum::<usize>(), if is_told { count } else { 0 });
        assert_eq!(world.nodes[0].links[&peer].told[0].is_some(), is_told);
        for (later_ms, is_compared) in [(COMPARE_AFTER_DROP_MS - 1, false), (COMPARE_AFTER_DROP_MS, !is_told)] {
            world.nodes[0].handle(NOW + later_ms, Input::Tick);
            assert_eq!(world.nodes[0].links[&peer].session.is_some(), is_compared, "{count} after {later_ms} ms");
        }
    }
}

/// Node 1 fetches so many records from node 2, and has node 0 to announce them to.
fn flooded(count: u64) -> World {
    let mut world = World::new(3);
    world.link(0, 1);
    world.settle();
    let versions = (0..count).map(|n| world.service(2, &format!("s{n}"), "x", n % 1_000)).collect();
    world.publish(2, versions);
    world.link(1, 2);
    world
}

#[test]
fn a_peer_misses_nothing_of_a_flood_that_was_not_announced_and_is_told_again_once_sets_are_equal() {
    let mut world = flooded(ANNOUNCEMENTS_MAX as u64 + 10);
    let (flooded, peer) = (world.peer(1), world.peer(0));
    assert_eq!(world.nodes[1].links[&peer].told[0], None);
    world.settle();
    world.assert_equal();
    let head = world.nodes[1].logs[0].head().sequence;
    assert_eq!(world.nodes[1].links[&peer].told[0], Some(head));
    assert_eq!(
        world.nodes[0].cursors.get(&flooded, Audience::Public).unwrap().sequence,
        head,
        "it says that it has all"
    );
    assert_eq!(world.nodes[1].links[&peer].acknowledged[0], head);
    // What comes later is told as ever.
    let version = world.service(1, "later", "A", 60_000);
    world.publish(1, vec![version]);
    world.tick(1_000);
    assert_eq!(world.nodes[1].links[&peer].told[0], Some(head + 1));
}

#[test]
fn what_was_left_out_after_a_comparison_began_is_not_made_up_for_by_it() {
    for (is_late, is_told) in [(false, true), (true, false)] {
        let mut world = World::new(2);
        let peer = world.peer(1);
        // Who dialled compares at once, the other one after what was left out.
        world.greet(0, peer, is_late);
        enter(&mut world, ANNOUNCEMENTS_MAX + 1);
        world.nodes[0].handle(NOW + COMPARE_AFTER_DROP_MS, Input::Tick);
        let session = world.nodes[0].links[&peer].session.as_ref().unwrap().id;
        let equal = v1::Reconcile { session, round: 1, ..Default::default() };
        world.receive(0, peer, Content::Reconcile(equal));
        let link = &world.nodes[0].links[&peer];
        assert_eq!((link.in_sync[0], link.told[0].is_some()), (true, is_told));
    }
}

#[test]
fn of_what_comes_between_two_hellos_4096_versions_are_offered_and_more_are_left_to_comparison() {
    for (count, is_told) in [(OFFER_PAIRS_MAX, true), (OFFER_PAIRS_MAX + 1, false)] {
        let mut world = World::new(2);
        let (peer, network) = (world.peer(1), world.network().0.to_vec());
        world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false });
        enter(&mut world, count);
        let hello = v1::Hello { level: 1, level_min: 1, network, clock_ms: NOW, ..Default::default() };
        world.receive(0, peer, Content::Hello(hello));
        let link = &world.nodes[0].links[&peer];
        assert_eq!(link.told[0].is_some(), is_told, "{count} versions");
        assert_eq!(link.compare_at[0] == NOW + COMPARE_AFTER_DROP_MS, !is_told);
    }
}
