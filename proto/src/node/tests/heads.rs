//! Heads: when they are signed, and what they tell.

#![allow(clippy::unwrap_used)]

use super::super::heads::{
    COPY_ANSWERS_MAX, HEAD_AGE_MS_MAX, HEAD_ALONE_MS, HEAD_ENTRIES_PER_TICK, HEAD_INTERVAL_MS, HEAD_LATE_MS,
    HEAD_QUIET_MS, LACKING_RETRY_MS,
};
use super::super::*;
use super::world::{NOW, World, names};
use crate::head::{Cover, Head};
use crate::set::SetKey;
use crate::v1::frame::Content;
use crate::version::{Header, lease_until_max};
use ed25519_dalek::{Signer, SigningKey};

const PUBLIC: Audience = Audience::Public;
/// An incarnation of another copy of the first node's home.
const COPY: u64 = 8 << 32;

/// The home that an incarnation tells.
fn home(incarnation: u64) -> u64 {
    incarnation >> 32
}

/// Two nodes that are linked; the first signs heads.
fn pair() -> World {
    let mut world = World::new(2);
    world.nodes[0].sign_heads(7);
    world.link(0, 1);
    world.settle();
    world
}

fn heads(world: &World, node: usize) -> Vec<Head> {
    let versions = world.stores[node].values().map(|(version, _)| version);
    let heads = versions.filter(|version| version.header().kind == Kind::HEAD);
    heads.map(|version| Head::read(version.header(), version.vid(), version.body()).unwrap()).collect()
}

fn asked_to_sign(world: &mut World) -> usize {
    let count = world.log.iter().filter(|(_, output)| matches!(output, Output::Sign { .. })).count();
    world.log.clear();
    count
}

/// A head of the first organisation as its node would sign it.
fn head(world: &World, at: Hlc, incarnation: u64, cover: &Cover) -> SignedVersion {
    head_of(world, 0, at, incarnation, cover)
}

pub(super) fn head_of(world: &World, org: usize, at: Hlc, incarnation: u64, cover: &Cover) -> SignedVersion {
    let org = &world.orgs[org];
    head_by(world, &org.node, org.id, at, incarnation, cover)
}

fn head_by(world: &World, key: &SigningKey, org: OrgId, at: Hlc, incarnation: u64, cover: &Cover) -> SignedVersion {
    let device = key.verifying_key().to_bytes();
    let header = Header {
        audience: PUBLIC,
        kind: Kind::HEAD,
        network: world.network(),
        org,
        record: Head::record_id(&org, &device, PUBLIC),
        device,
        hlc: at,
        prev: [0; 8],
        lease_until: lease_until_max(at),
    };
    let body = Head::body(&device, 0, incarnation, cover);
    SignedVersion::assemble(&header, &body, &key.sign(&header.signing_bytes(&body)).to_bytes()).unwrap()
}

fn entry(version: &SignedVersion) -> Entry {
    Entry::of(version.header(), version.vid(), 0)
}

/// What a node that holds these records would sign.
pub(super) fn cover(versions: &[&SignedVersion], at: Hlc) -> Cover {
    let mut entries: Vec<(SetKey, Entry)> =
        versions.iter().map(|version| (Slot::of(version.header()).key, entry(version))).collect();
    entries.sort_by_key(|(key, _)| *key);
    Cover::of(entries.into_iter().map(|(_, entry)| entry), Cover::from_hour(at), at)
}

fn lacking(world: &World, node: usize) -> usize {
    let is_lacking = |output: &Output| matches!(output, Output::Notice(Notice::Lacking { .. }));
    world.log.iter().filter(|(at, output)| *at == node && is_lacking(output)).count()
}

fn completeness(world: &World, node: usize) -> Option<Completeness> {
    world.nodes[node].completeness(PUBLIC, &world.orgs[0].id)
}

#[test]
fn a_nodes_head_comes_after_its_records_and_tells_others_that_all_is_here() {
    let mut world = pair();
    let first = completeness(&world, 1).unwrap();
    assert_eq!(first.complete_as_of, Some(first.head), "no records are complete, too");
    let service = world.service(0, "drop-in", "Drop-in", 0);
    world.publish(0, vec![service]);
    world.settle();
    let second = completeness(&world, 1).unwrap();
    assert!(second.head > first.head);
    assert_eq!((second.complete_as_of, second.lacking_since), (Some(second.head), None));
    assert_eq!(heads(&world, 1)[0].cover.count, 1);
    world.assert_equal();
}

#[test]
fn a_batch_of_changes_has_one_head_and_changes_that_go_on_have_one_each_half_minute() {
    let mut world = pair();
    asked_to_sign(&mut world);
    for n in 0..10 {
        let service = world.service(0, &n.to_string(), "Service", n);
        world.publish(0, vec![service]);
        world.tick(100);
    }
    assert_eq!(asked_to_sign(&mut world), 0, "it goes on");
    world.tick(HEAD_QUIET_MS);
    assert_eq!(asked_to_sign(&mut world), 1);
    for n in 0..60 {
        let service = world.service(0, "busy", &n.to_string(), 0);
        world.publish(0, vec![service]);
        world.tick(1_000);
    }
    let expected = 60_000 / HEAD_INTERVAL_MS as usize;
    assert!((1..=expected + 1).contains(&asked_to_sign(&mut world)));
}

#[test]
fn two_nodes_of_an_organisation_that_differ_for_long_sign_one_head_each_half_minute() {
    let mut world = pair();
    asked_to_sign(&mut world);
    for n in 0..20 {
        let at = Hlc::new(world.now, n);
        let other = world.service(0, "held back", "Here", 0);
        let org = &world.orgs[0];
        let by_other = head_by(&world, &org.device, org.id, at, 8, &cover(&[&other], at));
        assert_eq!(names(&world.publish(0, vec![by_other])), ["published"]);
        world.tick(1_500);
        world.tick(1_500);
    }
    let expected = 60_000 / HEAD_INTERVAL_MS as usize;
    assert!((1..=expected + 1).contains(&asked_to_sign(&mut world)));
}

#[test]
fn a_head_is_signed_anew_before_a_day_has_passed() {
    let mut world = pair();
    let before = completeness(&world, 1).unwrap().head;
    asked_to_sign(&mut world);
    for _ in 0..HEAD_AGE_MS_MAX / 600_000 + 2 {
        // The clock does not leap: the ticks between are left out.
        let later = world.now + 600_000;
        world.nodes.iter_mut().for_each(|node| node.ticked_at = later);
        world.tick(600_000);
    }
    assert_eq!(asked_to_sign(&mut world), 1);
    assert!(completeness(&world, 1).unwrap().head > before);
}

#[test]
fn no_head_is_signed_before_sets_were_compared_and_alone_only_after_ten_minutes() {
    let mut world = World::new(2);
    world.nodes[0].sign_heads(7);
    let service = world.service(0, "drop-in", "Drop-in", 0);
    world.publish(0, vec![service]);
    for _ in 0..HEAD_ALONE_MS / 5_000 {
        world.tick(5_000);
    }
    assert_eq!(asked_to_sign(&mut world), 0);
    world.tick(5_000);
    assert_eq!(asked_to_sign(&mut world), 1);
}

#[test]
fn no_head_is_signed_with_a_clock_that_peers_contradict_and_what_came_of_a_wrong_clock_is_dropped() {
    const YEAR_MS: u64 = 365 * 24 * crate::time::HOUR_MS;
    let mut world = pair();
    asked_to_sign(&mut world);
    let change = |world: &mut World, n: u64| {
        let service = world.service(0, "drop-in", "Drop-in", n);
        world.publish(0, vec![service]);
    };
    change(&mut world, 1);
    // Only this node's clock leaps. Its peer answers pings with its own.
    world.now += YEAR_MS;
    (0..20).for_each(|_| world.run(0, Input::Tick));
    assert_eq!(asked_to_sign(&mut world), 0);
    // Alone it cannot know; when the clock is set right and a peer agrees, what it signed goes.
    world.cut(0, 1);
    for _ in 0..HEAD_ALONE_MS / 5_000 + 2 {
        world.now += 5_000;
        world.run(0, Input::Tick);
    }
    let signed = heads(&world, 0);
    assert!(signed.iter().any(|head| head.hlc.ms() > NOW + YEAR_MS), "{signed:?}");
    world.now -= YEAR_MS;
    world.link(0, 1);
    world.settle();
    assert!(heads(&world, 0).iter().all(|head| head.hlc.ms() < NOW + YEAR_MS));
    let told = completeness(&world, 1).unwrap();
    assert_eq!(told.complete_as_of, Some(told.head));
    world.assert_equal();
}

#[test]
fn a_head_for_members_comes_with_the_first_record_for_members() {
    let mut world = pair();
    let heads_for_members = |world: &World| heads(world, 1).iter().filter(|head| head.audience != PUBLIC).count();
    assert_eq!(heads_for_members(&world), 0);
    let org = &world.orgs[0];
    let record = crate::id::RecordId::derive(&org.id, Kind::SERVICE, Audience::Members, "quiet");
    let body = prost::Message::encode_to_vec(&crate::v1::Service {
        local_id: "quiet".into(),
        name: "Quiet".into(),
        ..Default::default()
    });
    let at = Hlc::new(world.now, 0);
    let header = Header {
        audience: Audience::Members,
        kind: Kind::SERVICE,
        network: world.network(),
        org: org.id,
        record,
        device: org.device.verifying_key().to_bytes(),
        hlc: at,
        prev: [0; 8],
        lease_until: lease_until_max(at),
    };
    let version =
        SignedVersion::assemble(&header, &body, &org.device.sign(&header.signing_bytes(&body)).to_bytes()).unwrap();
    world.publish(0, vec![version]);
    world.settle();
    assert_eq!(heads_for_members(&world), 1);
    let told = world.nodes[1].completeness(Audience::Members, &world.orgs[0].id).unwrap();
    assert_eq!(told.complete_as_of, Some(told.head));
}

#[test]
fn a_record_that_a_relay_withholds_or_rolls_back_is_noticed_and_looked_for_at_all_peers() {
    for is_rolled_back in [false, true] {
        let mut world = World::new(3);
        let (old, new) = (world.service(0, "drop-in", "Old", 0), world.service(0, "drop-in", "New", 1));
        world.tick(10_000);
        let at = Hlc::new(world.now, 0);
        let head = head(&world, at, 7, &cover(&[&new], at));
        if is_rolled_back {
            world.publish(2, vec![old]);
        }
        world.publish(2, vec![head]);
        world.link(1, 2);
        world.settle();
        let told = completeness(&world, 2).unwrap();
        assert_eq!((told.complete_as_of, told.lacking_since.is_some()), (None, true));
        assert_eq!(lacking(&world, 2), 0, "a head may be faster than its records");
        (0..=3 * LACKING_RETRY_MS / 5_000).for_each(|_| world.tick(5_000));
        assert_eq!(lacking(&world, 2), 1, "it is said once");
        // Whoever has it brings it at the next comparison with all.
        world.publish(1, vec![new]);
        (0..=LACKING_RETRY_MS / 5_000).for_each(|_| world.tick(5_000));
        let told = completeness(&world, 2).unwrap();
        assert_eq!((told.complete_as_of, told.lacking_since), (Some(at), None));
    }
}

#[test]
fn where_something_lacks_sets_are_compared_with_every_peer_within_a_minute() {
    let mut world = World::new(4);
    (1..4).for_each(|other| world.link(0, other));
    world.settle();
    let at = Hlc::new(world.now, 0);
    let missing = world.service(0, "drop-in", "New", 0);
    let head = head(&world, at, 7, &cover(&[&missing], at));
    world.publish(0, vec![head]);
    world.settle();
    world.log.clear();
    (0..LACKING_RETRY_MS / 5_000).for_each(|_| world.tick(5_000));
    let is_request = |frame: &[u8]| matches!(read_frame(frame), Ok(Content::Reconcile(asked)) if asked.round == 0);
    let asked: std::collections::BTreeSet<Peer> = world
        .log
        .iter()
        .filter_map(|(node, output)| match output {
            Output::Send { to, frame } if *node == 0 && is_request(frame) => Some(to.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(asked.len(), 3);
}

#[test]
fn records_newer_than_the_head_make_nobody_doubt_for_an_hour() {
    let mut world = World::new(2);
    let (old, new) = (world.service(0, "a", "Old", 0), world.service(0, "a", "New", 2_000));
    let at = Hlc::new(NOW + 1_000, 0);
    let head = head(&world, at, 7, &cover(&[&old], at));
    world.publish(1, vec![new, head.clone()]);
    world.settle();
    assert_eq!(completeness(&world, 1).unwrap().lacking_since, None);
    assert_eq!(lacking(&world, 1), 0);
    // Whoever serves a head that is much too old holds the newer one back.
    world.now += 2 * HEAD_LATE_MS;
    let newer = world.service(0, "a", "Newer", 0);
    world.publish(1, vec![newer]);
    world.tick(1_000);
    assert!(completeness(&world, 1).unwrap().lacking_since.is_some());
    (0..=LACKING_RETRY_MS / 5_000).for_each(|_| world.tick(5_000));
    assert_eq!(lacking(&world, 1), 1);
}

#[test]
fn a_head_that_is_withdrawn_tells_nothing() {
    let mut world = pair();
    world.cut(0, 1);
    let device = world.orgs[0].node.verifying_key().to_bytes();
    let record = Head::record_id(&world.orgs[0].id, &device, PUBLIC);
    let at = Hlc::new(world.now + 1, 0);
    let org = &world.orgs[0];
    let gone = org.sign(&org.device, world.network(), Kind::HEAD, record, at, b"");
    assert_eq!(names(&world.publish(1, vec![gone])), ["published"]);
    assert_eq!(completeness(&world, 1), None);
}

#[test]
fn a_head_that_has_left_again_leaves_no_date_behind() {
    let mut world = World::new(2);
    let service = world.service(0, "a", "Here", 0);
    let (early, late) = (Hlc::new(NOW + 1_000, 0), Hlc::new(NOW + 2_000, 0));
    let org = &world.orgs[0];
    let by_node = head(&world, early, 7, &cover(&[&service], early));
    let by_other = head_by(&world, &org.device, org.id, late, 8, &cover(&[&service], late));
    let record = by_other.header().record;
    let gone = org.sign(&org.device, world.network(), Kind::HEAD, record, Hlc(late.0 + 1), b"");
    world.publish(1, vec![service, by_node, by_other]);
    world.tick(250);
    assert_eq!(completeness(&world, 1).unwrap().complete_as_of, Some(late));
    world.publish(1, vec![gone]);
    world.tick(250);
    let told = completeness(&world, 1).unwrap();
    assert_eq!((told.head, told.complete_as_of), (early, Some(early)));
}

#[test]
fn what_heads_told_is_known_again_after_a_restart() {
    let mut world = pair();
    let service = world.service(0, "drop-in", "Drop-in", 0);
    world.publish(0, vec![service]);
    world.settle();
    let before = completeness(&world, 1);
    world.cut(0, 1);
    world.restart(1);
    world.tick(250);
    assert_eq!(completeness(&world, 1), before);
}

#[test]
fn a_head_of_another_node_of_the_organisation_that_lacks_the_latest_change_is_followed_by_one_that_fits() {
    let mut world = pair();
    let service = world.service(0, "drop-in", "Drop-in", 0);
    world.publish(0, vec![service]);
    world.settle();
    // Signed by the publishing device, as another node would: over nothing.
    let at = Hlc::new(world.now, 0);
    let org = &world.orgs[0];
    let device = org.device.verifying_key().to_bytes();
    let body = Head::body(&device, 0, 9, &cover(&[], at));
    let record = Head::record_id(&org.id, &device, PUBLIC);
    let late = org.sign(&org.device, world.network(), Kind::HEAD, record, at, &body);
    world.publish(1, vec![late]);
    assert!(completeness(&world, 1).unwrap().head == at);
    // The node has signed one itself just now.
    (0..=HEAD_INTERVAL_MS / 1_000).for_each(|_| world.tick(1_000));
    let told = completeness(&world, 1).unwrap();
    assert!(told.head > at && told.complete_as_of == Some(told.head), "{told:?}");
}

#[test]
fn a_start_brings_a_head_only_when_the_last_one_no_longer_fits() {
    let mut world = pair();
    for (n, expected) in [(0, 0), (1, 1)] {
        for n in 0..n {
            let service = world.service(0, "drop-in", "Drop-in", n);
            world.publish(0, vec![service]);
        }
        world.cut(0, 1);
        world.restart(0);
        world.nodes[0].sign_heads(7);
        asked_to_sign(&mut world);
        world.link(0, 1);
        world.settle();
        assert_eq!(asked_to_sign(&mut world), expected);
    }
    let told = completeness(&world, 1).unwrap();
    assert_eq!(told.complete_as_of, Some(told.head));
}

#[test]
fn a_second_copy_of_a_node_is_noticed_by_its_head_and_named() {
    let mut world = pair();
    world.tick(60_000);
    let at = Hlc::new(world.now, 0);
    let by_the_copy = head(&world, at, COPY, &cover(&[], at));
    world.publish(1, vec![by_the_copy]);
    world.settle();
    let is_told = |(node, output): &(usize, Output)| {
        *node == 0 && matches!(output, Output::Notice(Notice::SecondCopy { signed_at }) if *signed_at == at)
    };
    assert_eq!(world.log.iter().filter(|told| is_told(told)).count(), 1);
}

#[test]
fn who_meets_heads_of_another_copy_of_itself_answers_up_to_the_limit_although_they_fit_so_that_both_are_told() {
    let mut world = pair();
    world.tick(60_000);
    world.settle();
    asked_to_sign(&mut world);
    for round in 0..COPY_ANSWERS_MAX + 2 {
        let at = Hlc::new(world.now, 0);
        let by_the_copy = head(&world, at, COPY, &cover(&[], at));
        world.publish(1, vec![by_the_copy]);
        world.settle();
        (0..40).for_each(|_| world.tick(1_000));
        world.settle();
        let newest = heads(&world, 1).into_iter().max_by_key(|head| head.hlc).unwrap();
        let (wanted, by) = if round < COPY_ANSWERS_MAX { (1, 7) } else { (0, 8) };
        assert_eq!((asked_to_sign(&mut world), home(newest.incarnation)), (wanted, by), "round {round}");
    }
}

#[test]
fn a_node_that_was_set_back_meets_its_own_head_and_signs_as_another_copy_from_then_on() {
    let mut world = pair();
    let before = heads(&world, 1)[0].incarnation;
    world.cut(0, 1);
    world.stores[0].retain(|_, (version, _)| version.header().kind != Kind::HEAD);
    world.restart(0);
    world.nodes[0].sign_heads(7);
    world.log.clear();
    world.link(0, 1);
    world.settle();
    let is_told = |output: &Output| matches!(output, Output::Notice(Notice::SetBack { .. }));
    assert_eq!(world.log.iter().filter(|(node, output)| *node == 0 && is_told(output)).count(), 1);
    let service = world.service(0, "drop-in", "Drop-in", 0);
    world.publish(0, vec![service]);
    world.settle();
    assert_ne!(home(heads(&world, 1)[0].incarnation), home(before));
}

#[test]
fn each_start_signs_under_another_incarnation_of_the_same_home() {
    let mut world = pair();
    let before = heads(&world, 1)[0].incarnation;
    world.cut(0, 1);
    world.restart(0);
    world.nodes[0].sign_heads(7);
    world.link(0, 1);
    world.settle();
    let service = world.service(0, "drop-in", "Drop-in", 0);
    world.publish(0, vec![service]);
    (0..4).for_each(|_| world.tick(1_000));
    world.settle();
    let after = heads(&world, 1)[0].incarnation;
    assert_eq!((home(before), home(after)), (7, 7));
    assert_ne!(before, after);
}

#[test]
fn a_clock_that_comes_again_after_a_head_was_dropped_comes_under_another_incarnation() {
    const YEAR_MS: u64 = 365 * 24 * crate::time::HOUR_MS;
    let mut world = pair();
    let network = world.network();
    let service = |world: &World, name: &str, at: u64| world.orgs[0].service(network, name, name, Hlc::new(at, 0));
    // Somebody's clock is five minutes ahead: the head follows the record.
    let ahead = service(&world, "ahead", NOW + 300_000);
    world.publish(0, vec![ahead]);
    (0..4).for_each(|_| world.tick(1_000));
    world.settle();
    let first = heads(&world, 0)[0].clone();
    // Alone and a year ahead the node signs another one over one record more, and drops it when it is told the time.
    world.cut(0, 1);
    world.now += YEAR_MS;
    let earlier = service(&world, "earlier", NOW + 10_000);
    world.publish(0, vec![earlier]);
    for _ in 0..HEAD_ALONE_MS / 5_000 + 2 {
        world.now += 5_000;
        world.run(0, Input::Tick);
    }
    assert!(heads(&world, 0)[0].hlc.ms() > NOW + YEAR_MS);
    world.now = NOW + 20_000;
    world.link(0, 1);
    world.settle();
    (0..4).for_each(|_| world.tick(1_000));
    world.settle();
    let again = heads(&world, 0)[0].clone();
    assert_eq!((again.hlc, home(again.incarnation)), (first.hlc, 7));
    assert_ne!((again.cover.count, again.incarnation), (first.cover.count, first.incarnation));
    assert_ne!(again.incarnation, first.incarnation);
}

#[test]
fn a_copied_home_takes_records_of_its_admins_once_it_has_compared_with_a_peer_and_not_before() {
    let mut world = pair();
    world.cut(0, 1);
    world.nodes[0].wait_for_peers();
    let service = world.service(0, "drop-in", "Drop-in", 0);
    let refused = world.publish(0, vec![service.clone()]);
    assert!(matches!(refused[..], [Outcome::Rejected(Reject::ReadOnly { .. })]), "{refused:?}");
    world.link(0, 1);
    world.settle();
    let taken = world.publish(0, vec![service]);
    assert!(matches!(taken[..], [Outcome::Published { .. }]), "{taken:?}");
}

#[test]
fn so_many_entries_are_compared_with_heads_in_one_tick_and_the_rest_in_the_next() {
    for (each, in_first_tick) in [(HEAD_ENTRIES_PER_TICK / 2 - 1, 2), (HEAD_ENTRIES_PER_TICK, 1)] {
        let mut world = World::new(2);
        let at = Hlc::new(NOW, 0);
        for org in 0..2 {
            let (id, device) = (world.orgs[org].id, world.orgs[org].device.verifying_key().to_bytes());
            let mut all = BTreeMap::new();
            for n in 0..each as u32 {
                let record = crate::id::RecordId(std::array::from_fn(|i| n.to_be_bytes()[i % 4]));
                let slot = Slot { audience: PUBLIC, key: SetKey::derive(Kind::SERVICE, &id, &record) };
                let entry = Entry { vid: Vid(record.0), hlc: at, device: 0, lease_hours: 9_600, has_lapsed: false };
                world.nodes[1].restore_entry(slot, entry, id, device);
                all.insert(slot.key, entry);
            }
            let head = head_of(&world, org, at, 7, &Cover::of(all.into_values(), Cover::from_hour(at), at));
            world.publish(1, vec![head]);
        }
        let is_checked = |world: &World, org: usize| {
            world.nodes[1].completeness(PUBLIC, &world.orgs[org].id).unwrap().complete_as_of.is_some()
        };
        world.run(1, Input::Tick);
        assert_eq!((0..2).filter(|org| is_checked(&world, *org)).count(), in_first_tick);
        world.run(1, Input::Tick);
        assert!((0..2).all(|org| is_checked(&world, org)));
    }
}
