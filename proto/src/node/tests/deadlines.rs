//! When a node lets versions lapse and forgets them.

#![allow(clippy::unwrap_used)]

use ed25519_dalek::Signer;
use prost::Message;

use super::super::*;
use super::world::*;
use crate::id::RecordId;
use crate::kind::Kind;
use crate::node::tick::OVERDUE_SLOTS_MAX;
use crate::time::{DAY_MS, HOUR_MS};
use crate::v1;
use crate::version::Header;

/// A service whose lease ends so many hours after the hour of its clock.
fn leased(world: &World, local_id: &str, at: Hlc, hours: u32) -> SignedVersion {
    let org = &world.orgs[0];
    let header = Header {
        audience: Audience::Public,
        kind: Kind::SERVICE,
        network: world.network(),
        org: org.id,
        record: RecordId::derive(&org.id, Kind::SERVICE, Audience::Public, local_id),
        device: org.device.verifying_key().to_bytes(),
        hlc: at,
        prev: [0; 8],
        lease_until: UnixHour(UnixHour::containing(at.ms()).0 + hours),
    };
    let body = v1::Service { local_id: local_id.into(), name: "x".into(), ..Default::default() }.encode_to_vec();
    SignedVersion::assemble(&header, &body, &org.device.sign(&header.signing_bytes(&body)).to_bytes()).unwrap()
}

/// What the node did to records by itself, oldest first: `L`apse, let `R`un again, or `F`orget.
fn done(world: &mut World) -> String {
    let operations = world.log.drain(..).filter_map(|(_, output)| match output {
        Output::Persist { operations, .. } => Some(operations),
        _ => None,
    });
    operations
        .flatten()
        .filter_map(|operation| match operation {
            Operation::Lapse { has_lapsed, .. } => Some(if has_lapsed { 'L' } else { 'R' }),
            Operation::Forget { .. } => Some('F'),
            _ => None,
        })
        .collect()
}

/// What the node does by itself when its clock shows this.
fn tick_at(world: &mut World, now: UnixMillis) -> String {
    done(world);
    world.now = now;
    world.run(0, Input::Tick);
    done(world)
}

#[test]
fn a_version_lapses_once_in_the_hour_in_which_its_lease_ends_and_is_forgotten_after_its_retention() {
    let mut world = World::new(1);
    let version = leased(&world, "a", Hlc::new(NOW, 5), 3);
    let (ends, forgotten) = (version.header().lease_until.start_ms(), version.forget_at().unwrap());
    let network_versions = world.nodes[0].set(Audience::Public).len();
    world.publish(0, vec![version]);
    let total = world.nodes[0].set(Audience::Public).total();
    for (now, expected) in
        [(NOW, ""), (ends - 1, ""), (ends, "L"), (ends + 1, ""), (ends + HOUR_MS, ""), (forgotten - 1, "")]
    {
        assert_eq!(tick_at(&mut world, now), expected, "{} ms from the end of the lease", now as i64 - ends as i64);
        assert_eq!(world.nodes[0].set(Audience::Public).total(), total, "a lapsed version stays in its set");
    }
    assert_eq!(tick_at(&mut world, forgotten), "F");
    assert_eq!(world.nodes[0].set(Audience::Public).len(), network_versions, "network kinds are kept");
    assert_eq!(tick_at(&mut world, forgotten + HOUR_MS), "");
}

#[test]
fn a_version_that_lapsed_by_a_clock_that_leapt_shows_again_when_it_is_set_right() {
    let mut world = World::new(1);
    let versions = vec![leased(&world, "a", Hlc::new(NOW, 5), 3), leased(&world, "b", Hlc::new(NOW, 6), 300)];
    world.publish(0, versions);
    let leaps = [
        (NOW, "", Some("x")),
        (NOW + 10 * HOUR_MS, "L", None),
        (NOW + 11 * HOUR_MS, "", None),
        (NOW, "R", Some("x")),
        (NOW + 10 * HOUR_MS, "L", None),
        (NOW + 500 * HOUR_MS, "L", None),
    ];
    for (now, expected, shown) in leaps {
        assert_eq!(tick_at(&mut world, now), expected);
        assert_eq!(world.name_at(0, 0, "a").as_deref(), shown);
    }
    let mut restored = Node::new(world.charter.clone(), world.peer(0), 0);
    world.stores[0].values().for_each(|(version, lapsed)| restored.restore(version.clone(), *lapsed));
    world.nodes[0] = restored;
    assert_eq!(tick_at(&mut world, NOW), "RR", "also after a restart in between");
}

#[test]
fn a_version_that_comes_after_its_lease_lapses_at_the_next_tick() {
    let mut world = World::new(1);
    assert_eq!(tick_at(&mut world, NOW), "");
    let late = leased(&world, "a", Hlc::new(NOW - 5 * HOUR_MS, 0), 3);
    assert_eq!(names(&world.publish(0, vec![late])), ["published"]);
    assert_eq!(world.name_at(0, 0, "a").as_deref(), Some("x"));
    assert_eq!(tick_at(&mut world, NOW + 1), "L");
    assert_eq!(world.name_at(0, 0, "a"), None);
    assert_eq!(tick_at(&mut world, NOW + 2), "");
}

#[test]
fn an_edit_between_its_coming_and_the_tick_is_not_let_lapse_for_its_predecessor() {
    let mut world = World::new(1);
    tick_at(&mut world, NOW);
    let late = leased(&world, "a", Hlc::new(NOW - 5 * HOUR_MS, 0), 3);
    let edit = leased(&world, "a", Hlc::new(NOW - 5 * HOUR_MS, 1), 30);
    world.publish(0, vec![late]);
    world.publish(0, vec![edit]);
    assert_eq!(tick_at(&mut world, NOW + 1), "");
    assert_eq!(world.name_at(0, 0, "a").as_deref(), Some("x"));
}

#[test]
fn a_withdrawal_does_not_lapse_and_a_leap_over_both_deadlines_lapses_and_forgets() {
    let mut world = World::new(1);
    let version = leased(&world, "a", Hlc::new(NOW, 5), 3);
    let withdrawal = world.orgs[0].withdrawal(world.network(), "b", Hlc::new(NOW, 5));
    world.publish(0, vec![version, withdrawal]);
    let done = tick_at(&mut world, NOW + 500 * DAY_MS);
    assert_eq!((done.matches('L').count(), done.matches('F').count()), (1, 2), "{done}");
}

#[test]
fn overdue_versions_up_to_the_limit_are_listed_and_with_more_all_are_searched() {
    for (count, is_listed) in [(OVERDUE_SLOTS_MAX, true), (OVERDUE_SLOTS_MAX + 1, false)] {
        let mut world = World::new(1);
        tick_at(&mut world, NOW);
        let late =
            (0..count).map(|n| leased(&world, &format!("s{n}"), Hlc::new(NOW - 5 * HOUR_MS, 0), 3)).collect::<Vec<_>>();
        world.publish(0, late);
        assert_eq!(world.nodes[0].overdue.len(), OVERDUE_SLOTS_MAX);
        assert_eq!(world.nodes[0].searched_in.is_some(), is_listed);
        assert_eq!(tick_at(&mut world, NOW + 1), "L".repeat(count));
        assert_eq!(tick_at(&mut world, NOW + 2), "");
    }
}

#[test]
fn a_restored_version_lapses_unless_it_had_before() {
    let mut world = World::new(1);
    let versions = vec![leased(&world, "a", Hlc::new(NOW, 5), 3), leased(&world, "b", Hlc::new(NOW, 6), 5)];
    world.publish(0, versions);
    assert_eq!(tick_at(&mut world, NOW + 3 * HOUR_MS), "L");
    let mut restored = Node::new(world.charter.clone(), world.peer(0), 0);
    world.stores[0].values().for_each(|(version, lapsed)| restored.restore(version.clone(), *lapsed));
    restored.restored();
    world.nodes[0] = restored;
    assert_eq!(tick_at(&mut world, NOW + 5 * HOUR_MS), "L");
}

#[test]
fn a_card_has_no_deadline_however_old_it_is_when_it_comes() {
    let mut world = World::new(1);
    let welcome: Vec<SignedVersion> = world.stores[0].values().map(|(version, _)| version.clone()).collect();
    world.nodes[0] = Node::new(world.charter.clone(), world.peer(0), 0);
    assert_eq!(tick_at(&mut world, NOW + 500 * DAY_MS), "");
    let count = welcome.len();
    world.publish(0, welcome);
    assert_eq!(tick_at(&mut world, NOW + 500 * DAY_MS + 1), "");
    assert_eq!(world.nodes[0].set(Audience::Public).len(), count);
}

#[test]
fn a_version_that_grows_too_old_while_its_signature_is_checked_is_refused() {
    for (later_ms, good) in [(0, true), (401 * DAY_MS + HOUR_MS, false)] {
        let mut world = World::new(1);
        let version = world.service(0, "a", "A", 0);
        let device = public(&world.orgs[0].device);
        let publish = Input::Published { ticket: 0, envelopes: vec![version.envelope().to_vec()] };
        let outputs = world.nodes[0].handle(world.now, publish);
        let [Output::Verify { ticket, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
        let verified = Input::verified(*ticket, vec![(version, device)]);
        let outputs = world.nodes[0].handle(world.now + later_ms, verified);
        let is_taken = outputs.iter().any(|output| matches!(output, Output::Persist { .. }));
        assert_eq!(is_taken, good, "{later_ms} ms later");
    }
}
