//! A start by heads: what is taken for a head, what is not, and what becomes of it until it is checked.

#![allow(clippy::unwrap_used)]

use super::super::auditing::AUDITED_AT_ONCE_MAX;
use super::super::batch::Source;
use super::super::vouching::{HELD_BYTES_MAX, HELD_MS_MAX, HELD_TOTAL_BYTES_MAX, HELD_VERSIONS_MAX};
use super::super::*;
use super::cards::{device, key};
use super::heads::{cover, head_of};
use super::world::{World, names, public};
use crate::head::Cover;
use crate::key::SIGNATURE_BYTES;
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::overlay;
use crate::version::{HEADER_BYTES, Header, lease_until_max};

const PUBLIC: Audience = Audience::Public;

/// The first node holds the records of its organisation; the second is new, starts by heads and has their head already; the third
/// is new and checks every signature. Nobody is linked, and audits are not done.
fn start(versions: &[SignedVersion], covered: &[&SignedVersion]) -> World {
    let mut world = World::new(3);
    world.tick(10_000);
    hold(&mut world, 0, versions);
    let at = Hlc::new(world.now, 9);
    let head = head_of(&world, 0, at, 7, &cover(covered, at));
    world.nodes[1].start_by_heads();
    for node in 0..3 {
        assert_eq!(names(&world.publish(node, vec![head.clone()])), ["published"]);
    }
    world.audits = Some(Vec::new());
    world.log.clear();
    world
}

/// Versions that are in a node's set and store, whether or not they hold.
fn hold(world: &mut World, node: usize, versions: &[SignedVersion]) {
    for version in versions {
        world.stores[node].insert(Slot::of(version.header()), (version.clone(), false));
        world.nodes[node].restore(version.clone(), false);
    }
}

fn services(count: usize) -> Vec<SignedVersion> {
    let world = World::empty(3);
    (0..count).map(|n| world.service(0, &n.to_string(), "Drop-in", 0)).collect()
}

/// The same with a signature that does not hold.
fn forged(version: &SignedVersion) -> SignedVersion {
    let mut envelope = version.envelope().to_vec();
    envelope[3] ^= 1;
    SignedVersion::read(envelope).unwrap()
}

fn has(world: &World, node: usize, version: &SignedVersion) -> bool {
    let slot = Slot::of(version.header());
    let is_stored = world.stores[node].get(&slot).is_some_and(|(stored, _)| stored.vid() == version.vid());
    let is_listed = world.nodes[node].set(PUBLIC).get(&slot.key).is_some_and(|entry| entry.vid == version.vid());
    assert_eq!(is_stored, is_listed);
    is_stored
}

/// Records whose signatures a node had checked before it took them.
fn checked_first(world: &World, node: usize) -> usize {
    let verified = world.log.iter().filter_map(|(at, output)| match output {
        Output::Verify { versions, .. } if *at == node => Some(versions),
        _ => None,
    });
    verified.flatten().filter(|(version, _)| version.header().kind.class() == Class::Record).count()
}

/// Does the audits that wait. Returns how many versions were looked at.
fn audit(world: &mut World) -> usize {
    let mut count = 0;
    while let Some((node, ticket, slots)) = world.audits.as_mut().and_then(Vec::pop) {
        count += slots.len();
        let input = world.audited(node, ticket, &slots);
        world.run(node, input);
    }
    count
}

fn refusals(world: &World, node: usize) -> Vec<&'static str> {
    let why = |(at, output): &(usize, Output)| match output {
        Output::Notice(Notice::Rejected { why, .. }) if *at == node => Some(why.name()),
        _ => None,
    };
    world.log.iter().filter_map(why).collect()
}

#[test]
fn a_start_by_heads_ends_like_one_by_signatures_and_checks_none_before_everything_is_here() {
    let records = services(40);
    let mut world = start(&records, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    world.link(2, 0);
    world.assert_equal();
    assert_eq!((checked_first(&world, 1), checked_first(&world, 2)), (0, 40));
    assert_eq!((world.nodes[1].unaudited(), world.vouched[1].len()), (1, 1));
    assert_eq!(audit(&mut world), 40, "each is checked once");
    assert_eq!((world.nodes[1].unaudited(), world.vouched[1].len()), (0, 0));
    world.settle();
    world.assert_equal();
}

#[test]
fn a_forged_version_under_an_honest_head_is_refused_and_the_others_of_its_organisation_are_there() {
    let records = services(20);
    let mut served = records.clone();
    served[7] = forged(&served[7]);
    let mut world = start(&served, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    world.link(2, 0);
    for node in [1, 2] {
        let held: Vec<bool> = records.iter().map(|version| has(&world, node, version)).collect();
        assert_eq!(held, (0..20).map(|n| n != 7).collect::<Vec<_>>());
        assert!(!has(&world, node, &served[7]));
        assert_eq!(refusals(&world, node), ["bad-signature"]);
    }
    assert_eq!((world.nodes[1].unaudited(), world.nodes[1].held.bytes), (0, 0), "nothing was taken for the head");
}

#[test]
fn a_bad_signature_under_a_head_that_vouches_for_it_is_never_passed_on_and_is_gone_after_the_audit() {
    let mut records = services(20);
    let honest = records[7].clone();
    records[7] = forged(&honest);
    let mut world = start(&records, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    assert!(has(&world, 1, &records[7]), "the head says so");
    world.cut(1, 0);
    world.link(2, 1);
    world.settle();
    assert!(records.iter().all(|version| !has(&world, 2, version)), "nothing of it is passed on");
    // With the audit all that holds is.
    assert_eq!(audit(&mut world), 20);
    world.settle();
    world.settle();
    assert_eq!(refusals(&world, 2), [""; 0], "the forged version never came");
    for (number, version) in records.iter().enumerate() {
        assert_eq!((has(&world, 1, version), has(&world, 2, version)), (number != 7, number != 7));
    }
    let failed = |output: &Output| matches!(output, Output::Notice(Notice::AuditFailed { .. }));
    assert_eq!(world.log.iter().filter(|(at, output)| *at == 1 && failed(output)).count(), 1);
    // The version that does hold comes like any other.
    assert_eq!(names(&world.publish(1, vec![honest.clone()])), ["published"]);
    assert!(has(&world, 1, &honest));
}

#[test]
fn a_body_that_no_node_accepts_is_gone_after_the_audit_although_a_head_vouches_for_it() {
    let world = World::empty(3);
    let nameless = world.service(0, "nameless", "", 0);
    let records = [services(3), vec![nameless]].concat();
    let mut world = start(&records, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    assert!(has(&world, 1, &records[3]));
    audit(&mut world);
    assert_eq!(records.iter().map(|version| has(&world, 1, version)).collect::<Vec<_>>(), [true, true, true, false]);
}

#[test]
fn an_audit_that_a_restart_cuts_off_begins_again() {
    let mut records = services(AUDITED_AT_ONCE_MAX + 3);
    records[5] = forged(&records[5].clone());
    let mut world = start(&records, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    world.settle();
    world.cut(1, 0);
    // One part is done, the other is not.
    assert_eq!(world.audits.as_ref().unwrap().len(), 2);
    world.audits.as_mut().unwrap().remove(0);
    audit(&mut world);
    world.restart(1);
    assert_eq!(world.nodes[1].unaudited(), 1);
    world.link(2, 1);
    world.settle();
    assert!(records.iter().all(|version| !has(&world, 2, version)));
    assert!(audit(&mut world) >= records.len() - 1);
    assert!(!has(&world, 1, &records[5]) && has(&world, 1, &records[6]));
    assert_eq!((world.nodes[1].unaudited(), world.vouched[1].len()), (0, 0));
}

#[test]
fn what_the_store_loses_before_its_audit_is_checked_when_it_comes_again() {
    let mut records = services(4);
    records[2] = forged(&records[2].clone());
    let mut world = start(&records, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    let slot = Slot::of(records[2].header());
    world.stores[1].remove(&slot);
    world.run(1, Input::Lost { slot });
    world.settle();
    assert_eq!(refusals(&world, 1)[0], "bad-signature", "its name vouches for nothing");
    assert_eq!(audit(&mut world), 4);
    assert_eq!(records.iter().map(|version| has(&world, 1, version)).collect::<Vec<_>>(), [true, true, false, true]);
}

#[test]
fn what_replaces_withdraws_or_revokes_acts_on_what_is_not_audited_yet() {
    let records = services(4);
    let mut world = start(&records, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    let network = world.network();
    let withdrawal = world.orgs[0].withdrawal(network, "0", Hlc::new(world.now + 50, 0));
    // By another device: the audit was handed out under the key of what stood there before.
    let org = &world.orgs[0];
    let (card, _) = org.next_card(network, &org.card, &org.root, |card| card.devices.push(device(&key(70))));
    let edit = org.service_by(&key(70), network, "1", "Moved", Hlc::new(world.now + 50, 0));
    world.publish(0, vec![card]);
    assert_eq!(names(&world.publish(0, vec![withdrawal.clone(), edit.clone()])), ["published", "published"]);
    assert!(has(&world, 1, &withdrawal) && has(&world, 1, &edit), "news are not kept from a node that audits");
    assert_eq!(world.nodes[1].unaudited(), 1);
    assert_eq!(audit(&mut world), 4, "the audit was handed out before");
    assert!(has(&world, 1, &withdrawal) && has(&world, 1, &edit) && has(&world, 1, &records[2]));

    let mut world = start(&records, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    let org = &world.orgs[0];
    let (card, _) = org.next_card(network, &org.card, &org.root, |card| drop(card.devices.remove(0)));
    world.publish(1, vec![card]);
    assert!(records.iter().all(|version| !has(&world, 1, version)), "what a revoked device signed leaves");
    audit(&mut world);
    assert!(records.iter().all(|version| !has(&world, 1, version)));
    assert_eq!(world.nodes[1].unaudited(), 0);
}

#[test]
fn an_edit_that_its_head_does_not_cover_yet_is_checked_and_does_not_hide_the_rest() {
    let records = services(12);
    let world = World::empty(3);
    let edit = world.service(0, "new", "Night shelter", 600_000 - 1);
    let mut world = start(&[records.clone(), vec![edit.clone()]].concat(), &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    assert_eq!(checked_first(&world, 1), 1);
    assert_eq!(world.nodes[1].unaudited(), 1);
    audit(&mut world);
    assert!(records.iter().chain([&edit]).all(|version| has(&world, 1, version)));
    // A record that the head covers and that is newer here than there: nothing fits, and each is checked.
    let edited = World::empty(3).service(0, "3", "Moved", 600_000 - 1);
    let mut served = records.clone();
    served[3] = edited;
    let mut world = start(&served, &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    assert_eq!((checked_first(&world, 1), world.nodes[1].unaudited()), (12, 0));
    assert!(served.iter().all(|version| has(&world, 1, version)));
}

#[test]
fn what_waits_for_the_rest_of_its_organisation_waits_no_longer_than_its_time() {
    let records = services(3);
    let mut world = start(&[], &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    let source = from(&mut world);
    let key = public(&world.orgs[0].device);
    let now = world.now;
    assert!(world.nodes[1].hold_back(now, source, records[0].clone(), key).is_none());
    world.tick(HELD_MS_MAX - 1);
    assert!(!has(&world, 1, &records[0]));
    world.tick(1);
    assert!(has(&world, 1, &records[0]));
    assert_eq!((checked_first(&world, 1), world.nodes[1].held.bytes), (1, 0));
}

#[test]
fn a_lapsed_head_and_one_of_an_organisation_of_which_something_is_here_vouch_for_nothing() {
    let records = services(3);
    let mut world = start(&[], &records.iter().collect::<Vec<_>>());
    world.link(1, 0);
    let source = from(&mut world);
    let key = public(&world.orgs[0].device);
    let lapsed = lease_until_max(Hlc::new(world.now, 0)).start_ms();
    let kept = world.nodes[1].hold_back(lapsed, source, records[0].clone(), key);
    assert!(kept.is_some(), "its lease is over");
    hold(&mut world, 1, &records[2..]);
    let now = world.now;
    assert!(world.nodes[1].hold_back(now, source, records[0].clone(), key).is_some());
}

/// As something comes that a node asked the first one for.
fn from(world: &mut World) -> Source {
    let peer = world.peer(0);
    let link = world.nodes[1].links[&peer].number;
    Source::Peer { route: overlay::Source::Pulled { from: peer }, peer, link, is_asked: true }
}

/// A version of an organisation that is not signed.
fn version(world: &World, org: usize, number: u16, bytes: usize) -> SignedVersion {
    let org = &world.orgs[org];
    let mut record = [0; 16];
    record[..2].copy_from_slice(&number.to_be_bytes());
    let hlc = Hlc::new(world.now, number);
    let header = Header {
        audience: PUBLIC,
        kind: Kind::SERVICE,
        network: world.network(),
        org: org.id,
        record: crate::id::RecordId(record),
        device: org.device.verifying_key().to_bytes(),
        hlc,
        prev: [0; 8],
        lease_until: lease_until_max(hlc),
    };
    let body = vec![7; bytes - HEADER_BYTES - SIGNATURE_BYTES];
    SignedVersion::assemble(&header, &body, &[0; SIGNATURE_BYTES]).unwrap()
}

/// Nodes that know of a head of each of the first organisations but the second over so many versions.
fn counted(orgs: u8, count: u64) -> World {
    let mut world = World::new(orgs);
    world.nodes[1].start_by_heads();
    let at = Hlc::new(world.now, 9);
    let cover = Cover { count, ..cover(&[], at) };
    for org in (0..usize::from(orgs)).filter(|org| *org != 1) {
        let head = head_of(&world, org, at, 7, &cover);
        assert_eq!(names(&world.publish(1, vec![head])), ["published"]);
    }
    world.link(1, 0);
    world
}

#[test]
fn a_head_of_4096_versions_vouches_and_one_of_one_more_does_not() {
    let is_held = |count: usize| {
        let mut world = counted(2, count as u64);
        let (source, now) = (from(&mut world), world.now);
        let (version, key) = (version(&world, 0, 0, 300), public(&world.orgs[0].device));
        world.nodes[1].hold_back(now, source, version, key).is_none()
    };
    assert!(is_held(HELD_VERSIONS_MAX));
    assert!(!is_held(HELD_VERSIONS_MAX + 1));
}

#[test]
fn of_one_organisation_8_mib_are_held_back_and_of_all_32_and_not_one_version_more() {
    let mut world = counted(6, 4_000);
    let (source, now) = (from(&mut world), world.now);
    let each = (HELD_BYTES_MAX / ENVELOPE_BYTES_MAX) as u16;
    let hold = |world: &mut World, org: usize, number: u16, bytes: usize| {
        let (version, key) = (version(world, org, number, bytes), public(&world.orgs[org].device));
        world.nodes[1].hold_back(now, source, version, key).is_none()
    };
    for org in [0, 2, 3, 4] {
        assert!((0..each).all(|number| hold(&mut world, org, number, ENVELOPE_BYTES_MAX)));
        assert!(!hold(&mut world, org, each, 300), "organisation {org}");
    }
    assert_eq!(world.nodes[1].held.bytes, HELD_TOTAL_BYTES_MAX);
    assert!(!hold(&mut world, 5, 0, 300), "not a byte is left");
    // What is being checked takes its room until it is.
    world.nodes[1].handle(now + HELD_MS_MAX, Input::Tick);
    assert_eq!(world.nodes[1].held.bytes, HELD_TOTAL_BYTES_MAX);
    assert!(!hold(&mut world, 5, 0, 300));
}

#[test]
fn versions_up_to_the_limit_are_held_back_and_the_next_is_checked_at_once() {
    let mut world = counted(2, HELD_VERSIONS_MAX as u64);
    let (source, now, key) = (from(&mut world), world.now, public(&world.orgs[0].device));
    for number in 0..HELD_VERSIONS_MAX as u16 {
        let version = version(&world, 0, number, 300);
        assert!(world.nodes[1].hold_back(now, source, version, key).is_none());
    }
    let next = version(&world, 0, HELD_VERSIONS_MAX as u16, 300);
    assert!(world.nodes[1].hold_back(now, source, next, key).is_some());
}

#[test]
fn audits_wait_for_each_other_and_what_somebody_asks_for_goes_first() {
    let mut world = World::new(9);
    world.audits = Some(Vec::new());
    let ids: Vec<OrgId> = world.orgs.iter().map(|org| org.id).collect();
    let mut by_key: Vec<usize> = (0..9).filter(|org| *org != 1).collect();
    by_key.sort_by_key(|org| ids[*org]);
    let records: Vec<SignedVersion> = (0..9).map(|org| world.service(org, "one", "One", 0)).collect();
    for org in &by_key {
        hold(&mut world, 1, &records[*org..=*org]);
        world.nodes[1].restore_vouched(ids[*org]);
        world.vouched[1].insert(ids[*org]);
    }
    world.run(1, Input::Tick);
    let handed_out = |world: &World| -> Vec<usize> {
        let slots = world.audits.iter().flatten().flat_map(|(.., slots)| slots);
        slots.map(|(slot, _)| records.iter().position(|record| Slot::of(record.header()) == *slot).unwrap()).collect()
    };
    assert_eq!(handed_out(&world), by_key[..4], "four at a time, in the order of keys");
    let last = *by_key.last().unwrap();
    world.nodes[1].withhold_unaudited(&mut vec![Output::SendVersions {
        to: public(&world.orgs[0].node),
        want: 1,
        slots: vec![Slot::of(records[last].header())],
        more: false,
    }]);
    let (node, ticket, slots) = world.audits.as_mut().unwrap().remove(0);
    let input = world.audited(node, ticket, &slots);
    world.run(node, input);
    assert_eq!(handed_out(&world).last(), Some(&last));
    audit(&mut world);
    assert_eq!(world.nodes[1].unaudited(), 0);
}
