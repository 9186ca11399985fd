//! Catching up by the arrival log, and what happens when that does not work.

#![allow(clippy::unwrap_used)]

use super::super::catching_up::CURSORS_MAX;
use super::super::*;
use super::world::*;
use crate::limits::DIRECT_VERSIONS_MAX;
use crate::set::SetKey;
use crate::v1;
use crate::v1::frame::Content;

/// Frames that were sent since the log was cleared, with their senders.
fn sent(world: &World, is_it: impl Fn(&Content) -> bool) -> Vec<(usize, Content)> {
    let frames = world.log.iter().filter_map(|(node, output)| match output {
        Output::Send { frame, .. } => Some((*node, read_frame(frame).unwrap())),
        _ => None,
    });
    frames.filter(|(_, content)| is_it(content)).collect()
}

fn is_reconcile(content: &Content) -> bool {
    matches!(content, Content::Reconcile(_))
}

fn publish_many(world: &mut World, org: usize, count: usize, name: &str) {
    world.now += 1_000;
    let versions = (0..count).map(|n| world.service(org, &format!("s{n}"), name, n as u64)).collect();
    assert!(names(&world.publish(org, versions)).iter().all(|name| *name == "published"));
}

/// Two nodes that were in sync and have noted each other's logs; the second is away.
fn parted() -> World {
    let mut world = World::new(2);
    world.link(0, 1);
    publish_many(&mut world, 0, 3, "first");
    world.settle();
    world.assert_equal();
    world.cut(0, 1);
    world.log.clear();
    world
}

/// Node 1 asks node 0 what it missed, by the log, and is told only what the test has it told. With node 0, and what node 1 did.
fn catching_up() -> (World, Peer, Vec<Output>) {
    let mut world = parted();
    publish_many(&mut world, 0, 1, "second");
    let (peer, own, now) = (world.peer(0), world.peer(1), world.now);
    let hello = world.nodes[0].handle(now, Input::Connected { peer: own, outbound: false });
    let [Output::Send { frame, .. }] = hello.as_slice() else { panic!("{hello:?}") };
    world.nodes[1].handle(now, Input::Connected { peer, outbound: true });
    let outputs = world.nodes[1].handle(now, Input::Received { peer, frame: frame.clone() });
    (world, peer, outputs)
}

/// Number and place of the `CatchUp` among these.
fn catch_up_in(outputs: &[Output]) -> Option<(u64, u64)> {
    outputs.iter().find_map(|output| match output {
        Output::Send { frame, .. } => match read_frame(frame).unwrap() {
            Content::CatchUp(catch_up) => Some((catch_up.want, catch_up.since)),
            _ => None,
        },
        _ => None,
    })
}

#[test]
fn a_peer_that_missed_one_change_catches_up_without_comparing() {
    let mut world = parted();
    publish_many(&mut world, 0, 1, "second");
    world.log.clear();
    world.link(1, 0);
    world.assert_equal();
    assert_eq!(sent(&world, is_reconcile), []);
    assert_eq!(sent(&world, |content| matches!(content, Content::CatchUp(_))).len(), 1);
    assert!(world.nodes[1].links().all(|link| link.in_sync));
}

#[test]
fn many_missed_changes_are_hinted_at_and_taken_by_bits_and_a_cut_answer_is_continued() {
    let mut world = parted();
    world.answer_versions_max = 40;
    publish_many(&mut world, 0, 100, "second");
    world.log.clear();
    world.link(1, 0);
    world.assert_equal();
    assert_eq!(sent(&world, is_reconcile), []);
    let takes = sent(&world, |content| matches!(content, Content::Take(_)));
    assert_eq!(takes.len(), 3, "40 and 40 and 20 of them");
    assert!(takes.iter().all(|(_, take)| matches!(take, Content::Take(take) if take.wanted.len() == 13)));
}

#[test]
fn up_to_16_missed_changes_are_sent_at_once_and_more_are_hinted_at() {
    for (count, takes) in [(DIRECT_VERSIONS_MAX, 0), (DIRECT_VERSIONS_MAX + 1, 1)] {
        let mut world = parted();
        publish_many(&mut world, 0, count, "second");
        world.log.clear();
        world.link(1, 0);
        world.assert_equal();
        assert_eq!(sent(&world, |content| matches!(content, Content::Take(_))).len(), takes, "{count} changes");
    }
}

#[test]
fn a_session_sends_up_to_16_versions_at_once_and_offers_more() {
    for (count, offers) in [(DIRECT_VERSIONS_MAX, 0), (DIRECT_VERSIONS_MAX + 1, 1)] {
        let mut world = World::new(2);
        publish_many(&mut world, 0, count, "first");
        world.log.clear();
        world.link(1, 0);
        world.assert_equal();
        let found = sent(&world, |content| matches!(content, Content::Offer(offer) if !offer.keys.is_empty()));
        assert_eq!(found.len(), offers, "{count} versions");
    }
}

#[test]
fn what_the_asker_has_from_elsewhere_is_not_taken() {
    let mut world = World::new(3);
    [(0, 1), (1, 2), (0, 2)].into_iter().for_each(|(a, b)| world.link(a, b));
    world.settle();
    world.cut(0, 1);
    publish_many(&mut world, 0, 50, "over the other link");
    world.settle();
    world.cut(0, 2);
    publish_many(&mut world, 0, 20, "changed again");
    world.log.clear();
    world.link(1, 0);
    let versions = world.log.iter().filter_map(|(node, output)| match output {
        Output::SendVersions { slots, .. } if *node == 0 => Some(slots.len()),
        _ => None,
    });
    let versions: Vec<usize> = versions.collect();
    assert_eq!(versions, [20]);
}

#[test]
fn a_cursor_that_was_kept_is_used_after_a_restart_of_the_asker() {
    let mut world = parted();
    publish_many(&mut world, 0, 1, "second");
    world.restart(1);
    world.log.clear();
    world.link(1, 0);
    world.assert_equal();
    assert_eq!(sent(&world, is_reconcile), []);
}

#[test]
fn a_cursor_into_a_log_of_before_a_restart_falls_back_to_comparing() {
    let mut world = parted();
    publish_many(&mut world, 0, 1, "second");
    world.restart(0);
    world.log.clear();
    world.link(1, 0);
    world.settle();
    world.assert_equal();
    assert_eq!(sent(&world, |content| matches!(content, Content::CatchUp(_))), []);
    assert!(!sent(&world, is_reconcile).is_empty());
}

#[test]
fn a_stale_answer_or_a_lie_about_the_log_falls_back_to_comparing() {
    for lie in ["stale", "nothing new", "wrong fingerprint", "hints of what is not there"] {
        let (mut world, peer, asked) = catching_up();
        let (want, _) = catch_up_in(&asked).expect("the cursor is valid");
        let place = world.nodes[0].logs[0].head().sequence;
        let mut reply = v1::Arrivals { want, through: place, fingerprint: vec![7; 16], ..Default::default() };
        match lie {
            "stale" => reply = v1::Arrivals { want, stale: true, ..Default::default() },
            "nothing new" => (reply.through, reply.fingerprint) = (0, vec![]),
            "hints of what is not there" => reply.hints = [vec![1; 8], vec![1], vec![2; 12]].concat(),
            _ => {}
        }
        world.receive(1, peer, Content::Arrivals(reply));
        let now = world.now;
        if lie == "hints of what is not there" {
            let none = versions_frames(want, [], false).remove(0);
            world.nodes[1].handle(now, Input::Received { peer, frame: none });
        }
        (0..5).for_each(|tick| drop(world.nodes[1].handle(now + tick * 1_000, Input::Tick)));
        assert!(world.nodes[1].links.values().any(|link| link.session.is_some()), "{lie}");
    }
}

#[test]
fn an_empty_node_fetches_everything_in_key_order_and_goes_on_where_it_was_cut_off() {
    let mut world = World::new(2);
    world.answer_versions_max = 30;
    publish_many(&mut world, 0, 200, "first");
    world.log.clear();
    world.link(1, 0);
    world.settle();
    world.assert_equal();
    let fetches = sent(&world, |content| matches!(content, Content::Fetch(_)));
    let lowers: Vec<Vec<u8>> = fetches
        .iter()
        .filter_map(|(_, content)| match content {
            Content::Fetch(fetch) => Some(fetch.lower.clone()),
            _ => None,
        })
        .collect();
    assert!(lowers.len() >= 6, "{lowers:?}");
    assert!(lowers.is_sorted(), "each goes on after the last key that came");
    let wants = sent(&world, |content| matches!(content, Content::Want(_)));
    assert!(wants.len() <= 2, "what is fetched is not asked for one by one: {wants:?}");
}

/// The greeting of a node that holds what the first one does.
fn greeting(world: &World) -> Vec<u8> {
    let total = world.nodes[0].set(Audience::Public).total();
    let (fingerprint, count) = (total.fingerprint().to_vec(), total.count);
    let empty = Index::new().total().fingerprint().to_vec();
    write_frame(Content::Hello(v1::Hello {
        level: 1,
        level_min: 1,
        network: world.network().0.to_vec(),
        clock_ms: world.now,
        sets: vec![
            v1::SetSummary { audience: 0, fingerprint, count, ..Default::default() },
            v1::SetSummary { audience: 1, fingerprint: empty, ..Default::default() },
        ],
        ..Default::default()
    }))
}

/// The peer is asked for public records.
fn asks(outputs: &[Output], peer: &Peer) -> bool {
    outputs.iter().any(|output| {
        matches!(output, Output::Send { to, frame } if to.contains(peer)
            && matches!(read_frame(frame), Ok(Content::Reconcile(request)) if request.audience == 0))
    })
}

#[test]
fn only_one_peer_is_asked_at_a_time_and_one_that_brings_nothing_new_loses_its_turn_after_30_s() {
    for brings_known in [false, true] {
        let mut world = World::new(3);
        publish_many(&mut world, 0, 50, "first");
        let (silent, other, now) = (world.peer(0), world.peer(1), world.now);
        let hello = greeting(&world);
        let known = world.orgs[0].card_version(world.network()).envelope().to_vec();
        let known = versions_frames(77, vec![known; 64], false).remove(0);
        let node = &mut world.nodes[2];
        for peer in [silent, other] {
            node.handle(now, Input::Connected { peer, outbound: true });
        }
        assert!(asks(&node.handle(now, Input::Received { peer: silent, frame: hello.clone() }), &silent));
        assert!(!asks(&node.handle(now, Input::Received { peer: other, frame: hello }), &other));
        for later_ms in [5_000, 15_000, 25_000] {
            if brings_known {
                node.handle(now + later_ms, Input::Received { peer: silent, frame: known.clone() });
            }
            assert!(!asks(&node.handle(now + later_ms, Input::Tick), &other));
        }
        assert!(!asks(&node.handle(now + 29_000, Input::Tick), &other));
        assert!(asks(&node.handle(now + 31_000, Input::Tick), &other), "brings what is known: {brings_known}");
    }
}

#[test]
fn cards_come_before_content_also_when_the_asker_holds_its_own_already() {
    let mut world = World::new(20);
    for org in 0..20 {
        world.now += 1_000;
        let versions = (0..100).map(|n| world.service(org, &format!("s{n}"), "x", n)).collect();
        world.publish(0, versions);
    }
    // The founder, whose card counts from the start.
    let (network, own, other) = (world.network(), 0, 7);
    let entry = vec![world.orgs[own].card_version(network), world.orgs[own].acceptance(network, None)];
    world.stores[own].clear();
    world.nodes[own] = Node::new(world.charter.clone(), world.peer(own), 5);
    world.publish(own, entry);
    let held = world.nodes[own].set(Audience::Public).len();
    assert!(held > 0);
    world.answer_versions_max = 50;
    world.log.clear();
    world.link(own, other);
    world.settle();
    let all = world.nodes[other].set(Audience::Public);
    assert_eq!(world.nodes[own].set(Audience::Public).total(), all.total());
    let refused = world.log.iter().filter(|(_, output)| matches!(output, Output::Notice(Notice::Rejected { .. })));
    assert_eq!(refused.count(), 0);
    let received: u64 = world.nodes[own].links().map(|link| link.received_versions).sum();
    assert_eq!(received, (all.len() - held) as u64, "each of them once");
}

#[test]
fn a_turn_ends_with_its_link() {
    let mut world = World::new(2);
    publish_many(&mut world, 0, 50, "first");
    let (peer, now, hello) = (world.peer(0), world.now, greeting(&world));
    let node = &mut world.nodes[1];
    for again in 0..3 {
        node.handle(now + again, Input::Connected { peer, outbound: true });
        assert!(asks(&node.handle(now + again, Input::Received { peer, frame: hello.clone() }), &peer), "{again}");
        node.handle(now + again, Input::Disconnected { peer });
    }
}

#[test]
fn a_node_that_takes_no_writes_acknowledges_nothing() {
    for is_full in [false, true] {
        let mut world = World::new(2);
        world.link(0, 1);
        world.settle();
        world.nodes[1].set_read_only(is_full.then(|| "disk full".to_owned()));
        let version = world.service(0, "a", "A", 1);
        let vid = version.vid();
        world.publish(0, vec![version]);
        (0..5).for_each(|_| world.tick(1_000));
        assert_eq!(world.nodes[0].held_by(&vid), usize::from(!is_full));
        // Once it takes writes again it gets what it lacks, and says so.
        world.nodes[1].set_read_only(None);
        (0..400).for_each(|_| world.tick(1_000));
        assert_eq!(world.nodes[0].held_by(&vid), 1);
    }
}

#[test]
fn a_request_about_a_part_does_not_make_sets_equal() {
    let mut world = parted();
    publish_many(&mut world, 0, 1, "second");
    let (peer, now, hello) = (world.peer(0), world.now, greeting(&world));
    let node = &mut world.nodes[1];
    node.handle(now, Input::Connected { peer, outbound: false });
    node.handle(now, Input::Received { peer, frame: hello });
    let whole = crate::sync::opening(node.set(Audience::Public));
    let nothing = [crate::sync::Range { upper: None, content: crate::sync::RangeContent::Skip }];
    for (ranges, is_equal) in [(&nothing[..], false), (&whole[..], true)] {
        let ranges = crate::sync::write_ranges(SetKey::default(), ranges);
        let request = v1::Reconcile { session: 9, ranges, ..Default::default() };
        node.handle(now, Input::Received { peer, frame: write_frame(Content::Reconcile(request)) });
        assert_eq!(node.links[&peer].in_sync[0], is_equal);
    }
}

#[test]
fn a_catch_up_ends_at_its_limit_of_parts_and_sets_are_compared() {
    let (mut world, peer, mut outputs) = catching_up();
    let mut parts = 0;
    while let Some((want, since)) = catch_up_in(&outputs) {
        parts += 1;
        let reply = v1::Arrivals { want, through: since + 1, ..Default::default() };
        outputs = world.receive(1, peer, Content::Arrivals(reply));
    }
    assert_eq!(parts, super::super::catching_up::CATCH_UP_PARTS_MAX);
    assert!(asks(&outputs, &peer));
}

#[test]
fn progress_tells_the_publisher_who_holds_what_was_asked_for() {
    let mut world = parted();
    let version = world.service(0, "s0", "second", 1);
    let vid = version.vid();
    world.publish(0, vec![version]);
    assert_eq!(world.nodes[0].held_by(&vid), 0);
    world.link(1, 0);
    world.tick(1_000);
    world.tick(1_000);
    assert_eq!(world.nodes[0].held_by(&vid), 1);
}

#[test]
fn cursors_are_kept_up_to_their_limit() {
    let mut cursors = Cursors::default();
    let peer = |n: u16| {
        let seed: [u8; 32] = std::array::from_fn(|i| if i < 2 { n.to_be_bytes()[i] } else { 9 });
        public(&ed25519_dalek::SigningKey::from_bytes(&seed))
    };
    let place = LogPlace { epoch: 1, sequence: 1 };
    let linked = peer(0);
    (0..=CURSORS_MAX as u16).for_each(|n| cursors.set(peer(n), Audience::Public, place, |other| *other == linked));
    assert_eq!(cursors.take_changed().unwrap().len(), CURSORS_MAX);
    assert_eq!(cursors.get(&linked, Audience::Public), Some(place), "linked peers are not forgotten");
    assert_eq!(cursors.take_changed(), None);
}

#[test]
fn a_take_may_have_a_bit_for_each_hint_and_none_beyond() {
    for (wanted, is_good) in [
        (vec![0xff, 0xff, 0x07], true),
        (vec![0xff], true),
        (vec![0, 0, 0x08], false),
        (vec![0xff, 0xff, 0xff], false),
        (vec![0, 0, 0, 0], false),
    ] {
        let mut world = World::new(2);
        world.link(0, 1);
        let (me, network) = (world.peer(1), world.network());
        let versions: Vec<_> =
            (0..19).map(|n| world.orgs[0].service(network, &format!("s{n}"), "x", Hlc::new(NOW, n))).collect();
        world.publish(0, versions);
        let head = world.nodes[0].logs[0].head();
        let since = head.sequence - 19;
        let frames = [
            Content::CatchUp(v1::CatchUp { audience: 0, want: 9, epoch: head.epoch, since }),
            Content::Take(v1::Take { want: 9, wanted: wanted.clone() }),
        ];
        for content in frames {
            world.run(0, Input::Received { peer: me, frame: write_frame(content) });
        }
        assert_eq!(world.is_linked(0, 1), is_good, "{wanted:?}: {:?}", world.disconnected);
    }
}
