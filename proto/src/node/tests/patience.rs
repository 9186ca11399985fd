//! How long a node waits for its peers, and when it does something again.

#![allow(clippy::unwrap_used)]

use super::super::link::Session;
use super::super::peering::{CLOCK_DIFFERENCE_MS_MAX, MEMBERSHIP_WAIT_MS};
use super::super::pulling::{COMPARE_DELAY_MS_MAX, COMPARE_DELAY_MS_MIN, TURN_MS, TURN_VERSIONS_MIN};
use super::super::tick::{ANSWER_WAIT_MS_MAX, COMPARE_INTERVAL_MS, HELLO_WAIT_MS_MAX, LEAP_MS_MIN, PING_INTERVAL_MS};
use super::super::*;
use super::world::*;
use crate::set::SetKey;
use crate::sync::write_pairs;
use crate::v1;
use crate::v1::frame::Content;

/// With what code node 0 parts from a peer when its clock shows this.
fn parting(world: &mut World, now: UnixMillis) -> Option<v1::ByeCode> {
    world.nodes[0].handle(now, Input::Tick).iter().find_map(|output| match output {
        Output::Disconnect { code, .. } => Some(*code),
        _ => None,
    })
}

/// How many frames of a kind node 0 sends when its clock shows this.
fn frames_at(world: &mut World, now: UnixMillis, is_it: fn(&Content) -> bool) -> usize {
    let outputs = world.nodes[0].handle(now, Input::Tick);
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Send { frame, .. } => Some(read_frame(frame).unwrap()),
        _ => None,
    });
    frames.filter(is_it).count()
}

#[test]
fn a_peer_that_does_not_say_hello_within_10_s_loses_its_link() {
    for (later_ms, parted) in [(HELLO_WAIT_MS_MAX, None), (HELLO_WAIT_MS_MAX + 1, Some(v1::ByeCode::TooSlow))] {
        let mut world = World::new(2);
        let peer = world.peer(1);
        world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false });
        assert_eq!(parting(&mut world, NOW + later_ms), parted, "{later_ms} ms");
    }
}

#[test]
fn a_peer_that_does_not_answer_a_want_a_fetch_or_a_session_within_60_s_loses_its_link() {
    let want = |world: &mut World, peer: Peer| {
        world.greet(0, peer, false);
        let pairs = write_pairs(&[(SetKey([7; 16]), Vid([7; 16]))]);
        world.receive(0, peer, Content::Offer(v1::Offer { pairs, ..Default::default() }));
    };
    let fetch = |world: &mut World, peer: Peer| {
        world.greet(0, peer, false);
        let link = world.nodes[0].links.get_mut(&peer).unwrap();
        link.fetch(Audience::Public, [(SetKey::default(), None)]);
        assert!(link.next_request(NOW, |_, _| true).is_some());
    };
    let session = |world: &mut World, peer: Peer| {
        world.greet(0, peer, true);
        assert!(world.nodes[0].links[&peer].session.is_some());
    };
    let asks: [fn(&mut World, Peer); 3] = [want, fetch, session];
    for ask in asks {
        for (later_ms, parted) in [(ANSWER_WAIT_MS_MAX, None), (ANSWER_WAIT_MS_MAX + 1, Some(v1::ByeCode::TooSlow))] {
            let mut world = World::new(2);
            let peer = world.peer(1);
            ask(&mut world, peer);
            assert_eq!(parting(&mut world, NOW + later_ms), parted, "{later_ms} ms");
        }
    }
}

#[test]
fn a_key_that_belongs_to_no_member_after_60_s_loses_its_link() {
    for (later_ms, parted) in [(MEMBERSHIP_WAIT_MS, None), (MEMBERSHIP_WAIT_MS + 1, Some(v1::ByeCode::NotAMember))] {
        let mut world = World::new(2);
        let stranger = public(&Org::new(99).node);
        world.greet(0, stranger, false);
        assert_eq!(parting(&mut world, NOW + later_ms), parted, "{later_ms} ms");
        let mut world = World::new(2);
        let member = world.peer(1);
        world.greet(0, member, false);
        assert_eq!(parting(&mut world, NOW + later_ms), None, "a member's key stays");
    }
}

#[test]
fn a_clock_that_moves_by_more_than_10_s_between_two_ticks_makes_nobody_late() {
    for (step_ms, parted) in [(LEAP_MS_MIN, Some(v1::ByeCode::TooSlow)), (LEAP_MS_MIN + 1, None)] {
        let mut world = World::new(2);
        let peer = world.peer(1);
        world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false });
        assert_eq!(parting(&mut world, NOW + 5_000), None);
        assert_eq!(parting(&mut world, NOW + 5_000 + step_ms), parted, "{step_ms} ms");
    }
}

#[test]
fn pings_are_30_s_apart() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let is_ping = |content: &Content| matches!(content, Content::Ping(_));
    assert_eq!(frames_at(&mut world, NOW, is_ping), 1);
    world.receive(0, peer, Content::Pong(v1::Ping { nonce: NOW, clock_ms: NOW }));
    // In steps that are no leaps.
    for later_ms in [10_000, 20_000, PING_INTERVAL_MS - 1] {
        assert_eq!(frames_at(&mut world, NOW + later_ms, is_ping), 0, "{later_ms} ms");
    }
    assert_eq!(frames_at(&mut world, NOW + PING_INTERVAL_MS, is_ping), 1);
}

#[test]
fn progress_is_told_once_a_second_at_most() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let is_progress = |content: &Content| matches!(content, Content::Progress(_));
    assert_eq!(frames_at(&mut world, NOW, is_progress), 0, "nothing has changed");
    world.nodes[0].logs[0].push(SetKey([7; 16]));
    let interval_ms = super::super::catching_up::PROGRESS_INTERVAL_MS;
    assert_eq!(frames_at(&mut world, NOW + interval_ms - 1, is_progress), 0);
    assert_eq!(frames_at(&mut world, NOW + interval_ms, is_progress), 1);
}

#[test]
fn a_difference_of_clocks_is_told_to_people_beyond_two_minutes() {
    for (ahead_ms, is_told) in [CLOCK_DIFFERENCE_MS_MAX, -CLOCK_DIFFERENCE_MS_MAX]
        .map(|max| [(max, false), (max + max.signum(), true)])
        .concat()
    {
        let mut world = World::new(2);
        let (peer, network) = (world.peer(1), world.network().0.to_vec());
        world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false });
        let clock_ms = NOW.checked_add_signed(ahead_ms).unwrap();
        let hello = v1::Hello { level: 1, level_min: 1, network, clock_ms, ..Default::default() };
        let outputs = world.receive(0, peer, Content::Hello(hello));
        let notice = Output::Notice(Notice::ClockDiffers { peer, ahead_ms });
        assert_eq!(outputs.contains(&notice), is_told, "{ahead_ms} ms");
    }
}

#[test]
fn of_two_peers_a_single_wrong_clock_contradicts_nobody_and_two_do() {
    const DAY_MS: i64 = 86_400_000;
    for (ahead, wanted) in [
        (&[][..], None),
        (&[DAY_MS], Some(DAY_MS)),
        (&[0, DAY_MS], Some(0)),
        (&[0, -DAY_MS], Some(0)),
        (&[DAY_MS, DAY_MS + 1], Some(DAY_MS)),
        (&[-DAY_MS - 1, -DAY_MS], Some(-DAY_MS)),
        (&[0, DAY_MS, DAY_MS], Some(DAY_MS)),
        (&[-DAY_MS, 0, 5, DAY_MS], Some(0)),
    ] {
        let mut world = World::new(5);
        let network = world.network().0.to_vec();
        for (number, ahead_ms) in ahead.iter().enumerate() {
            let peer = world.peer(number + 1);
            world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false });
            let clock_ms = NOW.checked_add_signed(*ahead_ms).unwrap();
            let hello = v1::Hello { level: 1, level_min: 1, network: network.clone(), clock_ms, ..Default::default() };
            world.receive(0, peer, Content::Hello(hello));
        }
        assert_eq!(world.nodes[0].clock_ahead_ms(), wanted, "{ahead:?}");
    }
}

#[test]
fn sets_are_compared_with_somebody_every_60_to_300_s() {
    let world = World::new(1);
    let pauses: Vec<u64> = (0..1_000)
        .map(|seed| {
            let mut node = Node::new(world.charter.clone(), world.peer(0), seed);
            node.handle(NOW, Input::Tick);
            node.compare_next_at - NOW
        })
        .collect();
    assert!(pauses.iter().all(|pause| COMPARE_INTERVAL_MS.contains(pause)));
    let (shortest, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*shortest < 65_000 && *longest > 295_000, "{shortest} to {longest}");
}

#[test]
fn while_sessions_find_differences_the_pauses_between_them_double_from_1_s_to_60_s() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, true);
    let audience = Audience::Public;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let node = &mut world.nodes[0];
        let session = Session {
            id: 1,
            audience,
            outstanding: 0,
            requests: 1,
            found_difference: true,
            head: 0,
            left: 0,
            active_at: NOW,
        };
        node.links.get_mut(&peer).unwrap().session = Some(session);
        node.end_session(NOW, peer, &mut Vec::new());
        pauses.push(node.links[&peer].compare_at[0] - NOW);
    }
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    assert_eq!((pauses[0], pauses[7]), (COMPARE_DELAY_MS_MIN, COMPARE_DELAY_MS_MAX));
}

#[test]
fn a_peer_keeps_its_turn_for_30_s_and_longer_with_64_new_versions() {
    for (later_ms, brought, is_over) in [
        (TURN_MS, 0, false),
        (TURN_MS + 1, 0, true),
        (TURN_MS + 1, TURN_VERSIONS_MIN - 1, true),
        (TURN_MS + 1, TURN_VERSIONS_MIN, false),
    ] {
        let mut world = World::new(3);
        let (first, second) = (world.peer(1), world.peer(2));
        world.greet(0, first, false);
        world.greet(0, second, false);
        let node = &mut world.nodes[0];
        assert!(node.may_pull(NOW, Audience::Public, first));
        assert!(!node.may_pull(NOW, Audience::Public, second));
        node.links.get_mut(&first).unwrap().accepted_versions += brought;
        assert_eq!(node.may_pull(NOW + later_ms, Audience::Public, second), is_over, "{brought} in {later_ms} ms");
    }
}
