//! What a peer may have a node do for nothing, and what of one organisation it may push.

#![allow(clippy::unwrap_used)]

use super::super::allowance::{PUSHED_STATEMENTS_BURST, PUSHED_VERSIONS_BURST, STATEMENTS_PER_DAY, Share};
use super::super::burden::{BURDEN_BURST, BURDEN_PER_SECOND, Burden, FRAME_BURDEN, LINK_BURDEN};
use super::super::*;
use super::world::*;
use crate::kind::Kind;
use crate::limits::VERSIONS_PER_FRAME_MAX;
use crate::network::statement::statement_record_id;
use crate::time::DAY_MS;
use crate::v1;
use crate::v1::frame::Content;

/// Leaves so much of a peer's budget.
fn leave(world: &mut World, node: usize, peer: Peer, units: u64) {
    world.nodes[node].burdens = burden::Burdens::default();
    world.nodes[node].burdens.add(NOW, peer, Burden::Frames, BURDEN_BURST - units).unwrap();
}

fn ping(world: &mut World, peer: Peer) -> Vec<Output> {
    world.receive(0, peer, Content::Ping(v1::Ping { nonce: 1, clock_ms: NOW }))
}

/// What the peer is told when its link ends.
fn said(outputs: &[Output]) -> Option<&str> {
    outputs.iter().find_map(|output| match output {
        Output::Disconnect { code: v1::ByeCode::Breach, message, .. } => Some(message.as_str()),
        _ => None,
    })
}

fn frame_of(versions: &[SignedVersion], want: u64) -> Vec<u8> {
    let mut frames = versions_frames(want, versions.iter().map(|version| version.envelope().to_vec()), false);
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

#[test]
fn a_peer_that_sends_for_nothing_is_cut_with_a_reason_after_its_last_unit_and_shut_out_for_a_while() {
    for (left, is_cut) in [(FRAME_BURDEN, false), (FRAME_BURDEN - 1, true)] {
        let mut world = World::new(2);
        let peer = world.peer(1);
        world.greet(0, peer, false);
        leave(&mut world, 0, peer, left);
        let outputs = ping(&mut world, peer);
        assert_eq!(said(&outputs).is_some(), is_cut, "{left} units left");
        assert_eq!(world.nodes[0].links.contains_key(&peer), !is_cut);
        if is_cut {
            let message = said(&outputs).unwrap();
            assert!(message.contains("frames without versions") && message.contains("more slowly"), "{message}");
            let again = world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false });
            assert!(said(&again).unwrap().contains("half an hour"), "one flood shuts out");
            let later = world.nodes[0].handle(NOW + DAY_MS, Input::Connected { peer, outbound: false });
            assert_eq!(said(&later), None, "and not for ever");
        }
    }
}

#[test]
fn the_budget_is_the_keys_whatever_links_it_opens_and_fills_with_time() {
    let mut world = World::new(3);
    let (peer, other) = (world.peer(1), world.peer(2));
    world.greet(0, other, false);
    leave(&mut world, 0, peer, LINK_BURDEN);
    assert_eq!(said(&world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false })), None);
    assert!(said(&world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false })).is_some());
    assert_eq!(said(&ping(&mut world, other)), None, "another's budget is its own");
    let mut burdens = burden::Burdens::default();
    burdens.add(NOW, peer, Burden::Known, BURDEN_BURST).unwrap();
    burdens.add(NOW + 1_000, peer, Burden::Known, BURDEN_PER_SECOND).unwrap();
    burdens.settle(NOW + 1_000);
    assert_eq!(burdens.len(), 1);
    burdens.settle(NOW + 1_000 + 1_000 * BURDEN_BURST / BURDEN_PER_SECOND);
    assert_eq!(burdens.len(), 0, "who owes nothing takes no memory");
}

#[test]
fn versions_that_nobody_asked_for_cost_when_they_are_no_news_and_nothing_when_they_are_new() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let version = world.service(1, "a", "A", 0);
    leave(&mut world, 0, peer, 1);
    world.run(0, Input::Received { peer, frame: frame_of(std::slice::from_ref(&version), 0) });
    world.run(0, Input::Received { peer, frame: frame_of(std::slice::from_ref(&version), 0) });
    assert!(world.nodes[0].links.contains_key(&peer), "new, and once more: its last unit");
    // A number that answers no request makes no difference.
    world.run(0, Input::Received { peer, frame: frame_of(&[version], 77) });
    assert!(!world.nodes[0].links.contains_key(&peer));
}

#[test]
fn what_a_node_asked_for_costs_its_peer_nothing_whatever_comes_of_it() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let versions: Vec<SignedVersion> = (0..3).map(|n| world.service(1, &format!("s{n}"), "S", 0)).collect();
    world.run(0, Input::Received { peer, frame: frame_of(&versions, 0) });
    leave(&mut world, 0, peer, 0);
    let lacking = |versions: &[SignedVersion]| {
        let slots = versions.iter().map(|version| Slot::of(version.header()).key);
        slots.map(|key| (key, link::Lacking::OtherThan(None))).collect()
    };
    let want = world.nodes[0].links.get_mut(&peer).unwrap().open_want(NOW, Audience::Public, lacking(&versions[..2]));
    // All of them are here already.
    world.run(0, Input::Received { peer, frame: frame_of(&versions[..2], want) });
    assert!(world.nodes[0].links.contains_key(&peer));
    let want = world.nodes[0].links.get_mut(&peer).unwrap().open_want(NOW, Audience::Public, lacking(&versions[..2]));
    world.run(0, Input::Received { peer, frame: frame_of(&versions, want) });
    assert!(!world.nodes[0].links.contains_key(&peer), "more than was asked for is not asked for");
}

/// Three times what a burst takes, in frames as large as may be.
fn flood(world: &World, count: u64) -> Vec<Vec<SignedVersion>> {
    let versions: Vec<SignedVersion> = (0..count).map(|n| world.service(1, &format!("s{n}"), "S", 0)).collect();
    versions.chunks(VERSIONS_PER_FRAME_MAX / 2).map(<[SignedVersion]>::to_vec).collect()
}

#[test]
fn of_one_organisation_as_much_is_pushed_as_its_limit_says_and_the_rest_is_asked_for_later() {
    let mut world = World::new(3);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let used = PUSHED_VERSIONS_BURST - 2;
    let org = world.orgs[1].id;
    (0..used).for_each(|_| world.nodes[0].allowances.use_one(NOW, org, Share::Pushed));
    let before = world.nodes[0].set(Audience::Public).len();
    let versions: Vec<SignedVersion> = (0..3).map(|n| world.service(1, &format!("s{n}"), "S", 0)).collect();
    world.run(0, Input::Received { peer, frame: frame_of(&versions, 0) });
    assert_eq!(world.nodes[0].set(Audience::Public).len() - before, 2);
    let link = &world.nodes[0].links[&peer];
    assert_eq!(link.compare_at[0], NOW + spreading::COMPARE_AFTER_DROP_MS);
    let refused = |output: &Output| match output {
        Output::Notice(Notice::Rejected { why, .. }) => Some((why.name(), why.is_breach())),
        _ => None,
    };
    let refusals: Vec<_> = world.log.iter().filter_map(|(_, output)| refused(output)).collect();
    assert_eq!(refusals, [("too-many-at-once", false)]);
    // Neither a withdrawal of the same organisation waits, nor what another publishes, nor what was asked for.
    let withdrawal = world.orgs[1].withdrawal(world.network(), "s0", Hlc::new(NOW + 5, 0));
    let other = world.service(2, "b", "B", 0);
    world.run(0, Input::Received { peer, frame: frame_of(&[withdrawal.clone(), other.clone()], 0) });
    for version in [&withdrawal, &other] {
        let winner = world.nodes[0].winner(&Slot::of(version.header())).map(|(_, entry)| entry.vid);
        assert_eq!(winner, Some(version.vid()));
    }
    let key = Slot::of(versions[2].header()).key;
    let lacking = [(key, link::Lacking::OtherThan(None))].into();
    let want = world.nodes[0].links.get_mut(&peer).unwrap().open_want(NOW, Audience::Public, lacking);
    world.run(0, Input::Received { peer, frame: frame_of(&versions[2..], want) });
    let (_, asked) = world.nodes[0].winner(&Slot::of(versions[2].header())).unwrap();
    assert_eq!(asked.vid, versions[2].vid());
}

#[test]
fn a_forged_version_uses_nothing_up_of_the_organisation_that_it_names() {
    let mut world = World::new(2);
    let (peer, org) = (world.peer(1), world.orgs[1].id);
    world.greet(0, peer, false);
    (1..PUSHED_VERSIONS_BURST).for_each(|_| world.nodes[0].allowances.use_one(NOW, org, Share::Pushed));
    let version = world.service(1, "a", "A", 0);
    let mut forged = version.envelope().to_vec();
    forged[0] ^= 1;
    world.run(0, Input::Received { peer, frame: frame_of(&[SignedVersion::read(forged).unwrap()], 0) });
    world.run(0, Input::Received { peer, frame: frame_of(std::slice::from_ref(&version), 0) });
    assert!(world.nodes[0].winner(&Slot::of(version.header())).is_some());
}

#[test]
fn statements_of_one_organisation_are_taken_up_to_their_limits_and_cards_always() {
    for (share, limit, name) in [
        (Share::PushedStatements, PUSHED_STATEMENTS_BURST, "too-many-at-once"),
        (Share::DayStatements, STATEMENTS_PER_DAY, "too-many-today"),
    ] {
        for (used, is_taken) in [(limit - 1, true), (limit, false)] {
            let mut world = World::new(3);
            let (peer, org) = (world.peer(1), world.orgs[1].id);
            world.greet(0, peer, false);
            world.nodes[0].allowances = Allowances::new(None);
            (0..used).for_each(|_| world.nodes[0].allowances.use_one(NOW, org, share));
            let record = statement_record_id(&org, Kind::ACCEPTANCE, None);
            let body = v1::Acceptance { charter: world.network().0.to_vec(), ..Default::default() };
            let body = prost::Message::encode_to_vec(&body);
            let (key, network) = (&world.orgs[1].device, world.network());
            let newer = world.orgs[1].sign(key, network, Kind::ACCEPTANCE, record, Hlc::new(NOW + 9, 0), &body);
            world.log.clear();
            world.run(0, Input::Received { peer, frame: frame_of(std::slice::from_ref(&newer), 0) });
            let refused = world.log.iter().find_map(|(_, output)| match output {
                Output::Notice(Notice::Rejected { why, .. }) => Some(why.name()),
                _ => None,
            });
            assert_eq!(refused, (!is_taken).then_some(name), "{share:?} after {used}");
        }
    }
    assert_eq!(Share::of_day(&World::new(1).orgs[0].card_version(NetworkId([0; 32]))), None);
}

#[test]
fn a_directory_of_ten_thousand_records_is_synced_at_once_and_a_flood_of_them_is_pushed_at_its_pace() {
    const COUNT: u64 = 10_000;
    let mut world = World::new(2);
    let frames = flood(&world, COUNT);
    // The second node published all of it while it was alone.
    for versions in &frames {
        world.publish(1, versions.clone());
    }
    world.log.clear();
    world.link(0, 1);
    world.settle();
    assert_eq!(world.nodes[0].set(Audience::Public).len(), world.nodes[1].set(Audience::Public).len());
    assert_eq!(world.disconnected, []);
    assert!(!world.log.iter().any(|(_, output)| matches!(output, Output::Notice(Notice::Rejected { .. }))));
    let (now, peers) = (world.now, [world.peer(0), world.peer(1)]);
    for (node, other) in [(0, 1), (1, 0)] {
        let owed = world.nodes[node].burdens.owed(now, &peers[other]);
        assert!(owed < BURDEN_BURST / 100, "{owed} units for syncing {COUNT} records");
    }
    // A node to which the same is pushed takes a part of it now.
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let before = world.nodes[0].set(Audience::Public).len();
    for versions in &frames {
        world.run(0, Input::Received { peer, frame: frame_of(versions, 0) });
    }
    assert_eq!((world.nodes[0].set(Audience::Public).len() - before) as u64, PUSHED_VERSIONS_BURST);
    assert!(world.nodes[0].links.contains_key(&peer), "nobody is cut for an import");
}
