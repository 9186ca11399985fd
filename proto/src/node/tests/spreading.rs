//! Versions reach every node, in whatever order things happen.

#![allow(clippy::unwrap_used)]

use ed25519_dalek::Signer;
use prost::Message;

use super::super::*;
use super::world::*;
use crate::id::RecordId;
use crate::kind::Kind;
use crate::set::SetKey;
use crate::time::{DAY_MS, HOUR_MS};
use crate::v1;
use crate::version::Header;

#[test]
fn a_published_record_reaches_every_node() {
    let mut world = World::new(4);
    [(0, 1), (1, 2), (2, 3)].into_iter().for_each(|(a, b)| world.link(a, b));
    let version = world.service(3, "drop-in", "Drop-in", 0);
    assert_eq!(names(&world.publish(3, vec![version])), ["published"]);
    for node in 0..4 {
        assert_eq!(world.name_at(node, 3, "drop-in").as_deref(), Some("Drop-in"));
    }
    world.assert_equal();
}

#[test]
fn a_published_record_is_persisted_before_it_is_sent_and_answered() {
    let mut world = World::new(2);
    world.link(0, 1);
    world.log.clear();
    let version = world.service(0, "a", "A", 0);
    world.publish(0, vec![version]);
    let own: Vec<&Output> = world.log.iter().filter(|(node, _)| *node == 0).map(|(_, output)| output).collect();
    let at = |wanted: fn(&Output) -> bool| own.iter().position(|output| wanted(output)).unwrap();
    let persist = at(|output| matches!(output, Output::Persist { durable: true, .. }));
    assert!(persist < at(|output| matches!(output, Output::Send { .. })));
    assert!(persist < at(|output| matches!(output, Output::Published { .. })));
}

#[test]
fn a_node_that_was_away_catches_up_with_edits_and_withdrawals() {
    let mut world = World::new(3);
    world.link(0, 1);
    world.link(0, 2);
    let versions = (0..300).map(|n| world.service(0, &format!("s{n}"), "old", 0)).collect();
    world.publish(0, versions);
    world.cut(0, 2);
    let edits: Vec<_> = (0..200).map(|n| world.service(0, &format!("s{n}"), "new", 10)).collect();
    world.publish(0, edits);
    let at = Hlc::new(world.now + 20, 0);
    let gone: Vec<_> = (200..250).map(|n| world.orgs[0].withdrawal(world.network(), &format!("s{n}"), at)).collect();
    world.publish(0, gone);
    let own = world.service(2, "own", "Written offline", 0);
    world.publish(2, vec![own]);
    world.link(2, 0);
    world.settle();
    world.assert_equal();
    assert_eq!(world.name_at(2, 0, "s7").as_deref(), Some("new"));
    assert_eq!(world.name_at(2, 0, "s249"), None);
    assert_eq!(world.name_at(1, 2, "own").as_deref(), Some("Written offline"));
}

#[test]
fn nothing_withdrawn_returns_from_a_node_that_slept_for_years() {
    for days in [1, 399, 401, 800] {
        let mut world = World::new(2);
        world.link(0, 1);
        let version = world.service(0, "refuge", "Refuge", 0);
        world.publish(0, vec![version]);
        world.cut(0, 1);
        let withdrawal = world.orgs[0].withdrawal(world.network(), "refuge", Hlc::new(world.now + 5, 0));
        world.publish(0, vec![withdrawal]);
        world.now += days * DAY_MS;
        world.run(0, Input::Tick);
        world.link(1, 0);
        world.settle();
        assert_eq!(world.name_at(0, 0, "refuge"), None, "{days} days");
        world.assert_equal();
    }
}

#[test]
fn an_edit_with_a_shorter_lease_does_not_bring_its_predecessor_back_when_it_lapses() {
    let mut world = World::new(2);
    world.link(0, 1);
    let first = world.service(0, "a", "first", 0);
    world.publish(0, vec![first]);
    world.cut(0, 1);
    let record = RecordId::derive(&world.orgs[0].id, Kind::SERVICE, Audience::Public, "a");
    let at = Hlc::new(world.now + 5, 0);
    let header = Header {
        audience: Audience::Public,
        kind: Kind::SERVICE,
        network: world.network(),
        org: world.orgs[0].id,
        record,
        device: world.orgs[0].device.verifying_key().to_bytes(),
        hlc: at,
        prev: [0; 8],
        lease_until: UnixHour(UnixHour::containing(at.ms()).0 + 1),
    };
    let body = v1::Service { local_id: "a".into(), name: "second".into(), ..Default::default() }.encode_to_vec();
    let signature = world.orgs[0].device.sign(&header.signing_bytes(&body)).to_bytes();
    let second = SignedVersion::assemble(&header, &body, &signature).unwrap();
    world.publish(0, vec![second]);
    assert_eq!(world.name_at(0, 0, "a").as_deref(), Some("second"));
    world.now += 2 * HOUR_MS;
    world.run(0, Input::Tick);
    assert_eq!(world.name_at(0, 0, "a"), None, "lapsed");
    world.link(1, 0);
    world.settle();
    assert_eq!((world.name_at(0, 0, "a"), world.name_at(1, 0, "a")), (None, None));
    world.assert_equal();
}

#[test]
fn versions_that_must_not_count_are_rejected_by_name_and_the_node_goes_on() {
    let mut world = World::new(2);
    let (network, other) = (world.network(), NetworkId([9; 32]));
    let at = Hlc::new(NOW, 0);
    let good = world.service(0, "good", "Good", 0);
    let mut flipped = good.envelope().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let stranger = Org::new(99);
    // A foreign organisation's record: written by organisation 1's device under organisation 0's name.
    let foreign = {
        let forger = Org { device: world.orgs[1].device.clone(), ..Org::new(1) };
        forger.service(network, "good", "Forged", at)
    };
    let withheld = {
        let body = v1::Location {
            local_id: "refuge".into(),
            r#type: v1::LocationType::Withheld as i32,
            addresses: vec![v1::Address { line_1: "1 Secret Street".into(), ..Default::default() }],
            ..Default::default()
        };
        let record = RecordId::derive(&world.orgs[0].id, Kind::LOCATION, Audience::Public, "refuge");
        world.orgs[0].sign(&world.orgs[0].device, network, Kind::LOCATION, record, at, &body.encode_to_vec())
    };
    let moved = {
        let body = v1::Service { local_id: "other".into(), name: "x".into(), ..Default::default() }.encode_to_vec();
        let record = RecordId::derive(&world.orgs[0].id, Kind::SERVICE, Audience::Public, "good");
        world.orgs[0].sign(&world.orgs[0].device, network, Kind::SERVICE, record, at, &body)
    };
    let cases = vec![
        (SignedVersion::read(flipped).unwrap(), "bad-signature"),
        (foreign, "unknown-device"),
        (world.orgs[0].service(other, "good", "Elsewhere", at), "wrong-network"),
        (world.orgs[0].service(network, "good", "Early", Hlc::new(NOW + 600_001, 0)), "from-the-future"),
        (world.orgs[0].service(network, "good", "Old", Hlc::new(NOW - 402 * DAY_MS, 0)), "too-old"),
        (stranger.service(network, "x", "Stranger", at), "unknown-organisation"),
        (withheld, "withheld-place"),
        (moved, "record-id-mismatch"),
        (good, "published"),
    ];
    let (versions, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let outcomes = world.publish(0, versions);
    assert_eq!(names(&outcomes), expected);
}

#[test]
fn a_changed_byte_inside_a_text_is_a_bad_signature() {
    let mut world = World::new(1);
    let good = world.service(0, "good", "Name", 0);
    let mut envelope = good.envelope().to_vec();
    let at = envelope.windows(4).position(|bytes| bytes == b"Name").unwrap();
    envelope[at] = b'L';
    let outcomes = world.publish(0, vec![SignedVersion::read(envelope).unwrap()]);
    assert_eq!(names(&outcomes), ["bad-signature"]);
}

#[test]
fn a_version_dated_ahead_waits_outside_the_set_and_counts_when_it_is_due() {
    let mut world = World::new(2);
    world.link(0, 1);
    let early = world.service(0, "a", "Early", 15 * 60_000);
    let me = world.peer(0);
    let frame = versions_frames(0, [early.envelope().to_vec()], false).remove(0);
    world.run(1, Input::Received { peer: me, frame });
    assert_eq!(world.name_at(1, 0, "a"), None);
    assert_eq!(world.nodes[1].quarantined(), 1);
    assert!(world.nodes[1].hlc_max() < Hlc::new(NOW + 600_000, 0), "it does not advance the clock");
    world.tick(4 * 60_000);
    assert_eq!(world.name_at(1, 0, "a"), None);
    world.tick(61_000);
    assert_eq!(world.name_at(1, 0, "a").as_deref(), Some("Early"));
    assert_eq!(world.nodes[1].quarantined(), 0);
}

#[test]
fn what_is_published_here_is_known_to_be_held_by_the_peers_that_acknowledged_it() {
    let mut world = World::new(3);
    world.link(0, 1);
    world.link(0, 2);
    let version = world.service(0, "a", "A", 0);
    let vid = version.vid();
    world.publish(0, vec![version]);
    assert_eq!(world.nodes[0].held_by(&vid), 2);
}

#[test]
fn of_two_edits_made_at_once_the_later_shows_everywhere_and_is_called_concurrent() {
    let mut world = World::new(2);
    let first = world.service(0, "a", "first", 0);
    world.publish(0, vec![first.clone()]);
    world.publish(1, vec![first]);
    let (left, right) = (world.service(0, "a", "left", 10), world.service(0, "a", "right", 20));
    world.publish(0, vec![left]);
    world.publish(1, vec![right]);
    world.log.clear();
    world.link(0, 1);
    world.settle();
    world.assert_equal();
    assert_eq!(world.name_at(0, 0, "a").as_deref(), Some("right"));
    let is_concurrent = |(_, output): &(usize, Output)| matches!(output, Output::Notice(Notice::Concurrent { .. }));
    assert!(world.log.iter().any(is_concurrent));
}

#[test]
fn a_damaged_withdrawal_does_not_let_the_old_version_back_and_heals_from_a_peer() {
    let mut world = World::new(2);
    world.link(0, 1);
    let live = world.service(0, "a", "A", 0);
    world.publish(0, vec![live.clone()]);
    let withdrawal = world.orgs[0].withdrawal(world.network(), "a", Hlc::new(NOW, 5));
    world.publish(0, vec![withdrawal.clone()]);
    let slot = Slot::of(withdrawal.header());
    world.stores[0].remove(&slot);
    world.cut(0, 1);
    world.run(0, Input::Lost { slot });
    assert_eq!(names(&world.publish(0, vec![live])), ["superseded"]);
    assert_eq!(world.name_at(0, 0, "a"), None);
    world.link(0, 1);
    world.settle();
    world.assert_equal();
    assert!(world.stores[0][&slot].0.is_withdrawal());
}

#[test]
fn a_damaged_statement_heals_from_a_peer() {
    let mut world = World::new(2);
    let card = world.orgs[1].card_version(world.network());
    let slot = Slot::of(card.header());
    world.stores[0].remove(&slot);
    world.run(0, Input::Lost { slot });
    world.link(0, 1);
    world.settle();
    world.assert_equal();
}

#[test]
fn a_version_that_a_peer_brought_first_is_durable_before_an_admin_is_told_that_it_is_here() {
    let mut world = World::new(2);
    world.link(0, 1);
    let version = world.service(0, "a", "A", 0);
    world.publish(0, vec![version.clone()]);
    world.log.clear();
    assert_eq!(names(&world.publish(1, vec![version])), ["duplicate"]);
    let at = |wanted: fn(&Output) -> bool| world.log.iter().position(|(_, output)| wanted(output)).unwrap();
    let persist = at(|output| matches!(output, Output::Persist { durable: true, .. }));
    assert!(persist < at(|output| matches!(output, Output::Published { .. })));
}

#[test]
fn the_spread_of_the_last_10000_versions_that_were_published_here_is_followed() {
    let world = World::new(2);
    let mut node = Node::new(world.charter.clone(), world.peer(0), 0);
    let vid = |number: usize| Vid(std::array::from_fn(|i| number.to_be_bytes().get(i).copied().unwrap_or(0)));
    let publish = |node: &mut Node, number: usize| {
        node.logs[0].push(SetKey([1; 16]));
        node.follow_spread(Audience::Public, vid(number));
        node.note_held(&vid(number), world.peer(1));
    };
    (0..SPREAD_FOLLOWED_MAX).for_each(|number| publish(&mut node, number));
    assert_eq!((node.held_by(&vid(0)), node.spread.len()), (1, SPREAD_FOLLOWED_MAX));
    publish(&mut node, SPREAD_FOLLOWED_MAX);
    assert_eq!((node.held_by(&vid(0)), node.held_by(&vid(1)), node.held_by(&vid(SPREAD_FOLLOWED_MAX))), (0, 1, 1));
    let lengths = [node.spread.len(), node.spread_order.len(), node.spread_places.len()];
    assert_eq!(lengths, [SPREAD_FOLLOWED_MAX; 3]);
}
