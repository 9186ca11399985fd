//! Peers that break the specification.

#![allow(clippy::unwrap_used)]

use prost::Message;

use super::super::*;
use super::world::*;
use crate::limits::FETCH_KEYS_MAX;
use crate::set::SetKey;
use crate::v1;
use crate::v1::frame::Content;

#[test]
fn a_peer_that_sends_an_oversized_or_unreadable_frame_loses_its_link_with_the_reason() {
    let mut world = World::new(2);
    let me = world.peer(0);
    for (frame, reason) in
        [(vec![0; crate::limits::FRAME_BYTES_MAX + 1], "a frame of 262145 bytes"), (vec![0xff; 10], "cannot be read")]
    {
        world.link(0, 1);
        world.disconnected.clear();
        world.run(1, Input::Received { peer: me, frame });
        assert!(world.disconnected[0].2.contains(reason), "{:?}", world.disconnected);
    }
    let largest = v1::Frame { content: Some(v1::frame::Content::Ping(v1::Ping::default())) };
    let mut frame = largest.encode_to_vec();
    // An unknown field fills the frame up to the limit: it is skipped.
    let filler = crate::limits::FRAME_BYTES_MAX - frame.len() - 5;
    frame.extend([0xfa, 0x01]);
    prost::encode_length_delimiter(filler, &mut frame).unwrap();
    frame.resize(crate::limits::FRAME_BYTES_MAX, 0);
    world.link(0, 1);
    world.disconnected.clear();
    world.run(1, Input::Received { peer: me, frame });
    assert!(world.disconnected.is_empty(), "{:?}", world.disconnected);
}

#[test]
fn one_bad_version_among_many_does_not_hold_up_the_others() {
    let mut world = World::new(2);
    world.link(0, 1);
    let me = world.peer(0);
    let changed = |at: usize| {
        let mut envelope = world.service(0, "bad", "Bad", 0).envelope().to_vec();
        envelope[at] ^= 1;
        envelope
    };
    // No version at all, and one whose signature does not hold.
    let bad = [vec![7; 300], changed(10)];
    for (position, bad) in [0, 50, 99].into_iter().flat_map(|position| bad.iter().map(move |bad| (position, bad))) {
        let name = |n| format!("p{position}-{n}-{}", bad.len());
        let good: Vec<_> = (0..99).map(|n| world.service(0, &name(n), "Good", 0)).collect();
        let mut envelopes: Vec<Vec<u8>> = good.iter().map(|version| version.envelope().to_vec()).collect();
        envelopes.insert(position, bad.clone());
        let before = world.nodes[1].set(Audience::Public).len();
        world.run(1, Input::Received { peer: me, frame: versions_frames(0, envelopes, false).remove(0) });
        assert_eq!(world.nodes[1].set(Audience::Public).len(), before + 99);
    }
    assert!(world.is_linked(0, 1));
}

#[test]
fn a_goodbye_ends_the_link_and_is_not_answered() {
    let mut world = World::new(2);
    world.link(0, 1);
    let me = world.peer(0);
    let bye = v1::Bye { code: v1::ByeCode::Shutdown.into(), message: "closing".into() };
    let frame = write_frame(v1::frame::Content::Bye(bye));
    let outputs = world.nodes[1].handle(NOW, Input::Received { peer: me, frame });
    assert!(outputs.contains(&Output::Close { peer: me }));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Send { .. } | Output::Disconnect { .. })));
    assert_eq!(world.nodes[1].links().count(), 0);
}

#[test]
fn a_frame_beyond_the_last_round_is_a_breach() {
    for (round, good) in [(0, true), (14, true), (15, true), (16, false)] {
        let mut world = World::new(2);
        world.link(0, 1);
        let me = world.peer(0);
        let ranges =
            crate::sync::write_ranges(SetKey::default(), &crate::sync::opening(world.nodes[0].set(Audience::Public)));
        let lower = vec![0; 16];
        let request = v1::Reconcile { audience: 0, session: 9, round, lower, ranges };
        world.run(1, Input::Received { peer: me, frame: write_frame(v1::frame::Content::Reconcile(request)) });
        assert_eq!(world.is_linked(0, 1), good, "round {round}: {:?}", world.disconnected);
    }
}

#[test]
fn a_frame_of_versions_is_accepted_at_its_number_of_envelopes_and_a_breach_beyond() {
    for (count, good) in
        [(crate::limits::VERSIONS_PER_FRAME_MAX, true), (crate::limits::VERSIONS_PER_FRAME_MAX + 1, false)]
    {
        let mut world = World::new(2);
        world.link(0, 1);
        let me = world.peer(0);
        let known = world.orgs[0].card_version(world.network()).envelope().to_vec();
        // The same short envelope many times, so that the frame's own size is not what is refused.
        let short = known[..200.min(known.len())].to_vec();
        let versions = v1::Versions { envelopes: vec![short; count], want: 0, last: true, ..Default::default() };
        let outputs = world.nodes[1]
            .handle(NOW, Input::Received { peer: me, frame: write_frame(v1::frame::Content::Versions(versions)) });
        let breach = outputs.iter().any(
            |output| matches!(output, Output::Disconnect { message, .. } if message.contains("envelopes in a frame")),
        );
        assert_eq!(!breach, good, "{count}");
    }
}

#[test]
fn a_peer_of_another_level_is_told_to_upgrade_and_parted_from() {
    // Level and least level that the peer speaks, and whether this node speaks one of them.
    for (level, level_min, is_spoken) in [(1, 1, true), (2, 1, true), (2, 2, false), (0, 0, false)] {
        let mut world = World::new(2);
        let (me, network) = (world.peer(0), world.network().0.to_vec());
        let hello = v1::Hello { level, level_min, network, clock_ms: NOW, ..Default::default() };
        let node = &mut world.nodes[1];
        node.handle(NOW, Input::Connected { peer: me, outbound: true });
        let frame = write_frame(v1::frame::Content::Hello(hello));
        let outputs = node.handle(NOW, Input::Received { peer: me, frame });
        let said = outputs.iter().find_map(|output| match output {
            Output::Disconnect { message, .. } => Some(message.as_str()),
            _ => None,
        });
        assert_eq!(said.is_none(), is_spoken, "{level} {level_min}: {said:?}");
        assert!(said.is_none_or(|said| said.contains("upgrade the older side")), "{said:?}");
    }
}

#[test]
fn a_peer_whose_replies_never_stop_asking_loses_its_link() {
    let mut world = World::new(2);
    let me = world.peer(0);
    let hello = v1::Hello {
        level: 1,
        level_min: 1,
        network: world.network().0.to_vec(),
        clock_ms: NOW,
        sets: vec![v1::SetSummary { audience: 0, fingerprint: vec![9; 16], count: 9, ..Default::default() }],
        ..Default::default()
    };
    let content = crate::sync::RangeContent::Fingerprint([1; 16]);
    let ranges = crate::sync::write_ranges(SetKey::default(), &[crate::sync::Range { upper: None, content }]);
    let node = &mut world.nodes[1];
    node.handle(NOW, Input::Connected { peer: me, outbound: true });
    node.handle(NOW, Input::Received { peer: me, frame: write_frame(v1::frame::Content::Hello(hello)) });
    for replies in 1..5_000 {
        let lower = vec![0; 16];
        let reply = v1::Reconcile { audience: 0, session: 1, round: 1, lower, ranges: ranges.clone() };
        let outputs = node.handle(
            NOW + replies * 2_000,
            Input::Received { peer: me, frame: write_frame(v1::frame::Content::Reconcile(reply)) },
        );
        if outputs.iter().any(
            |output| matches!(output, Output::Disconnect { message, .. } if message.contains("requests in a session")),
        ) {
            assert_eq!(replies, 4_096, "one request follows from each reply, after the first request");
            return;
        }
    }
    panic!("the session never ends");
}

#[test]
fn a_clock_that_leaps_stops_no_ping_and_drops_no_link() {
    for leap_ms in [-100 * 86_400_000i64, 100 * 86_400_000] {
        let mut world = World::new(2);
        world.link(0, 1);
        world.settle();
        // A request that is never answered, and a ping that is.
        let peer = world.peer(1);
        let now = world.now;
        world.nodes[0].links.get_mut(&peer).unwrap().open_want(now, Audience::Public, Default::default());
        world.now = now.checked_add_signed(leap_ms).unwrap();
        world.log.clear();
        (0..58).for_each(|_| world.tick(1_000));
        assert!(world.is_linked(0, 1), "{:?}", world.disconnected);
        let is_ping = |output: &Output| {
            matches!(output, Output::Send { frame, .. }
                if matches!(read_frame(frame), Ok(v1::frame::Content::Ping(_))))
        };
        let pings = world.log.iter().filter(|(node, output)| *node == 0 && is_ping(output)).count();
        assert!((1..=2).contains(&pings), "{pings} pings in a minute");
        (0..5).for_each(|_| world.tick(1_000));
        assert!(!world.is_linked(0, 1), "who does not answer within a minute is still parted from");
    }
}

#[test]
fn a_node_keeps_64_links_and_says_goodbye_to_one_more() {
    let mut world = World::new(1);
    let node = &mut world.nodes[0];
    let peer = |number: u8| public(&ed25519_dalek::SigningKey::from_bytes(&[number; 32]));
    let goodbyes = |outputs: &[Output]| -> Vec<(Peer, v1::ByeCode)> {
        let goodbye = |output: &Output| match output {
            Output::Disconnect { peer, code, .. } => Some((*peer, *code)),
            _ => None,
        };
        outputs.iter().filter_map(goodbye).collect()
    };
    for number in 0..crate::limits::LINKS_MAX as u8 {
        let outputs = node.handle(NOW, Input::Connected { peer: peer(number), outbound: false });
        assert_eq!(goodbyes(&outputs), []);
    }
    let one_more = peer(crate::limits::LINKS_MAX as u8);
    let outputs = node.handle(NOW, Input::Connected { peer: one_more, outbound: false });
    assert_eq!(goodbyes(&outputs), [(one_more, v1::ByeCode::Elsewhere)]);
    assert_eq!(node.links().count(), crate::limits::LINKS_MAX);
}

#[test]
fn a_check_that_ends_after_its_link_was_replaced_does_not_count_for_the_new_one() {
    let mut world = World::new(2);
    let me = world.peer(0);
    world.link(0, 1);
    let pushed = |world: &World, name: &str| {
        let version = world.service(0, name, "New", 0);
        let frame = versions_frames(0, [version.envelope().to_vec()], false).remove(0);
        Input::Received { peer: me, frame }
    };
    let ticket_of = |outputs: Vec<Output>| {
        outputs.into_iter().find_map(|output| match output {
            Output::Verify { ticket, versions } => Some((ticket, versions)),
            _ => None,
        })
    };
    let old = pushed(&world, "old");
    let (ticket, versions) = ticket_of(world.nodes[1].handle(NOW, old)).unwrap();
    world.link(0, 1);
    let new = pushed(&world, "new");
    let later = ticket_of(world.nodes[1].handle(NOW, new)).unwrap();
    let outputs = world.nodes[1].handle(NOW, Input::verified(ticket, versions));
    assert!(outputs.contains(&Output::Processed { peer: me }), "its permit is given back");
    assert_eq!(world.nodes[1].links[&me].in_work, 1);
    world.nodes[1].handle(NOW, Input::verified(later.0, later.1));
    assert_eq!(world.nodes[1].links[&me].in_work, 0);
}

/// Node 0 with entries at so many places, made up, and a link to a peer.
fn with_entries(count: u64) -> (World, Peer) {
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let mut key = [1; 16];
    for number in world.nodes[0].set(Audience::Public).len() as u64..count {
        key[8..].copy_from_slice(&number.to_be_bytes());
        let entry = crate::set::Entry { vid: Vid([1; 16]), hlc: Hlc(0), device: 0, lease_hours: 0, has_lapsed: false };
        world.nodes[0].set_mut(Audience::Public).insert(SetKey(key), entry);
    }
    (world, peer)
}

#[test]
fn a_fetch_is_answered_up_to_4096_keys_and_then_with_more() {
    for (count, has_more) in [(FETCH_KEYS_MAX, false), (FETCH_KEYS_MAX + 1, true)] {
        let (mut world, peer) = with_entries(count as u64);
        let fetch = v1::Fetch { audience: 0, want: 7, lower: Vec::new(), upper: None };
        let outputs = world.receive(0, peer, Content::Fetch(fetch));
        let Some(Output::SendVersions { slots, more, .. }) = outputs.first() else { panic!("{outputs:?}") };
        assert_eq!((slots.len(), *more), (FETCH_KEYS_MAX, has_more), "{count} entries");
    }
}

#[test]
fn a_peer_that_opens_more_wants_than_four_is_answered_all_of_them_in_order() {
    let mut world = World::new(2);
    world.link(0, 1);
    let key = world.nodes[1].set(Audience::Public).range(&SetKey::default(), None).next().unwrap().0;
    let peer = world.peer(0);
    let wants = 1..=2 * crate::limits::WANTS_OPEN_MAX as u64;
    let answered = wants.clone().flat_map(|want| {
        let keys = crate::sync::write_keys([&key]);
        world.receive(1, peer, Content::Want(v1::Want { audience: 0, want, keys, graft: false }))
    });
    let number = |output| match output {
        Output::SendVersions { want, .. } => Some(want),
        Output::Disconnect { message, .. } => panic!("{message}"),
        _ => None,
    };
    assert_eq!(answered.filter_map(number).collect::<Vec<_>>(), wants.collect::<Vec<_>>());
}

#[test]
fn envelopes_are_cut_into_frames_by_number_and_by_bytes() {
    let frames = |envelopes: Vec<Vec<u8>>| versions_frames(1, envelopes, false).len();
    for (count, expected) in
        [(crate::limits::VERSIONS_PER_FRAME_MAX, 1), (crate::limits::VERSIONS_PER_FRAME_MAX + 1, 2)]
    {
        assert_eq!(frames(vec![vec![7; 200]; count]), expected, "{count} envelopes");
    }
    let largest = vec![7; crate::limits::ENVELOPE_BYTES_MAX];
    let left = crate::limits::VERSIONS_FRAME_BYTES_MAX - 3 * largest.len();
    for (last, expected) in [(left, 1), (left + 1, 2)] {
        let envelopes = vec![largest.clone(), largest.clone(), largest.clone(), vec![7; last]];
        assert_eq!(frames(envelopes), expected, "{last} bytes beside three of the largest");
    }
}

#[test]
fn the_seventh_breach_in_ten_minutes_shuts_a_peer_out() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    for breaches in 1..=7 {
        world.greet(0, peer, false);
        world.nodes[0].handle(NOW, Input::Received { peer, frame: vec![0xff; 10] });
        let outputs = world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false });
        let is_out = outputs.iter().any(|output| matches!(output, Output::Disconnect { .. }));
        assert_eq!(is_out, breaches == 7, "after {breaches}");
    }
}

#[test]
fn a_peer_whose_breach_ended_a_link_is_dialled_again_as_late_as_after_a_refusal() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    let is_dialled = |outputs: Vec<Output>| outputs.contains(&Output::Dial { peer });
    let outputs = world.nodes[0].handle(NOW, Input::Introduced { peer });
    assert!(is_dialled(outputs) || is_dialled(world.nodes[0].handle(NOW, Input::Tick)));
    world.greet(0, peer, true);
    let mut dialled = is_dialled(world.nodes[0].handle(NOW, Input::Received { peer, frame: vec![0xff; 10] }));
    for second in 1..=20 {
        dialled |= is_dialled(world.nodes[0].handle(NOW + second * 1_000, Input::Tick));
    }
    assert!(!dialled, "within 20 s");
    assert!((21..=60).any(|second| is_dialled(world.nodes[0].handle(NOW + second * 1_000, Input::Tick))));
}
