//! Organisations that publish more than their network's charter allows.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::*;
use super::world::*;
use crate::kind::Kind;
use crate::order::Precedence;
use crate::set::SetKey;
use crate::time::DAY_MS;
use crate::v1;
use crate::v1::frame::Content;

const RECORDS_MAX: usize = 4;

/// The charter lets every organisation have so many records in each set.
fn limited(count: u8, records_max: usize) -> World {
    let mut world = World::empty(count);
    world.charter.text.records_max = records_max as u32;
    world.welcome();
    world
}

/// Brings versions to a node, one frame each, as if a peer pushed them.
fn push(world: &mut World, node: usize, from: usize, versions: &[SignedVersion]) {
    let peer = world.peer(from);
    for version in versions {
        let frame = versions_frames(0, [version.envelope().to_vec()], false).remove(0);
        world.run(node, Input::Received { peer, frame });
    }
}

fn keys(node: &Node) -> Vec<SetKey> {
    let first = SetKey::first_of(crate::kind::Class::Record, &OrgId([0; 32]));
    node.set(Audience::Public).range(&first, None).map(|(key, _)| key).collect()
}

fn key_of(version: &SignedVersion) -> SetKey {
    Slot::of(version.header()).key
}

/// So many records of the first organisation, by ascending key.
fn records(world: &World, count: usize) -> Vec<SignedVersion> {
    let mut records: Vec<SignedVersion> = (0..count).map(|n| world.service(0, &format!("r{n}"), "R", 0)).collect();
    records.sort_by_key(key_of);
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn more_records_than_the_quota_give_the_same_set_in_any_order_and_nothing_older_returns(
        made in prop::collection::vec((0u8..12, 1u64..20, any::<bool>()), 1..40),
        keys in prop::collection::vec(any::<u32>(), 40),
    ) {
        let mut world = limited(2, RECORDS_MAX);
        let network = world.network();
        let mut versions: Vec<SignedVersion> = made.iter().map(|(record, later_ms, is_withdrawn)| {
            let (name, at) = (format!("r{record}"), Hlc::new(NOW + later_ms, 0));
            if *is_withdrawn {
                world.orgs[0].withdrawal(network, &name, at)
            } else {
                world.orgs[0].service(network, &name, "R", at)
            }
        }).collect();
        let mut winners: BTreeMap<SetKey, Precedence> = BTreeMap::new();
        for version in &versions {
            let winner = winners.entry(key_of(version)).or_insert_with(|| Precedence::of(version));
            *winner = Precedence::of(version).max(*winner);
        }
        let expected: BTreeMap<SetKey, Vid> = winners.iter().take(RECORDS_MAX).map(|(key, won)| (*key, won.vid)).collect();
        let mut order: Vec<usize> = (0..versions.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        versions = order.into_iter().map(|at| versions[at].clone()).collect();
        let peer = world.peer(0);
        world.greet(1, peer, false);
        for version in versions {
            push(&mut world, 1, 0, &[version]);
            prop_assert!(super::quota::keys(&world.nodes[1]).len() <= RECORDS_MAX);
        }
        let held: BTreeMap<SetKey, Vid> = world.stores[1].iter()
            .filter(|(_, (version, _))| version.header().kind == Kind::SERVICE)
            .map(|(slot, (version, _))| (slot.key, version.vid()))
            .collect();
        prop_assert_eq!(&held, &expected);
        prop_assert_eq!(super::quota::keys(&world.nodes[1]), expected.into_keys().collect::<Vec<_>>());
    }
}

#[test]
fn a_batch_that_displaces_its_own_records_leaves_set_store_and_neighbours_with_the_same() {
    let mut world = limited(3, RECORDS_MAX);
    world.link(1, 2);
    let peer = world.peer(0);
    world.greet(1, peer, false);
    let mut versions = records(&world, 3 * RECORDS_MAX);
    versions.reverse();
    let envelopes: Vec<Vec<u8>> = versions.iter().map(|version| version.envelope().to_vec()).collect();
    world.run(1, Input::Received { peer, frame: versions_frames(0, envelopes, false).remove(0) });
    world.settle();
    versions.reverse();
    let lowest: Vec<SetKey> = versions[..RECORDS_MAX].iter().map(key_of).collect();
    for node in 1..3 {
        assert_eq!(keys(&world.nodes[node]), lowest, "node {node}");
        let stored: Vec<SetKey> =
            world.stores[node].keys().map(|slot| slot.key).filter(|key| lowest.contains(key)).collect();
        assert_eq!((stored, world.stores[node].len()), (lowest.clone(), world.nodes[node].set(Audience::Public).len()));
    }
}

#[test]
fn honest_nodes_to_which_a_member_tells_different_surpluses_agree_and_do_not_ask_for_more_again_and_again() {
    let mut world = limited(3, RECORDS_MAX);
    // The first organisation's node knows no quota.
    let unlimited =
        Charter { text: v1::Charter { records_max: 0, ..world.charter.text.clone() }, ..world.charter.clone() };
    world.nodes[0] = Node::new(unlimited, world.peer(0), 77);
    for (version, lapsed) in world.stores[0].values() {
        world.nodes[0].restore(version.clone(), *lapsed);
    }
    world.nodes[0].restored();
    let versions = records(&world, 10 * RECORDS_MAX);
    for half in [0, 1] {
        let told = versions.iter().rev().skip(half).step_by(2).cloned().collect();
        world.publish(0, told);
        world.link(0, half + 1);
        world.settle();
        world.cut(0, half + 1);
    }
    world.link(1, 2);
    world.settle();
    let lowest: Vec<SetKey> = versions[..RECORDS_MAX].iter().map(key_of).collect();
    assert_eq!((keys(&world.nodes[1]), keys(&world.nodes[2])), (lowest.clone(), lowest));
    assert!(world.nodes[1].links().all(|link| link.in_sync));
    world.link(0, 1);
    world.settle();
    world.log.clear();
    (0..600).for_each(|_| world.tick(1_000));
    assert!(world.is_linked(0, 1), "{:?}", world.disconnected);
    let begins_comparison = |output: &Output| {
        matches!(output, Output::Send { frame, .. }
            if matches!(read_frame(frame), Ok(Content::Reconcile(request)) if request.round == 0))
    };
    let begun = world.log.iter().filter(|(node, output)| *node == 1 && begins_comparison(output)).count();
    // Two in a minute at the most: one after the longest delay, and one now and then.
    assert!((1..=20).contains(&begun), "{begun} comparisons in ten minutes");
    assert_eq!(keys(&world.nodes[1]).len(), RECORDS_MAX);
}

#[test]
fn an_admin_hears_of_the_quota_before_anything_is_displaced_and_withdrawing_makes_no_room() {
    let mut world = limited(1, RECORDS_MAX);
    let versions = records(&world, RECORDS_MAX + 1);
    // The last to come would have the lowest key.
    assert_eq!(names(&world.publish(0, versions[1..].to_vec())), vec!["published"; RECORDS_MAX]);
    let outcomes = world.publish(0, versions[..1].to_vec());
    let [Outcome::Rejected(reject)] = &outcomes[..] else { panic!("{outcomes:?}") };
    let expected =
        Reject::OverQuota { org: world.orgs[0].id, audience: Audience::Public, held: RECORDS_MAX, max: RECORDS_MAX };
    assert_eq!(reject, &expected);
    assert!(reject.to_string().contains("has 4 public records, this network's charter allows 4"), "{reject}");
    assert!(!reject.is_breach());
    let held: Vec<SetKey> = versions[1..].iter().map(key_of).collect();
    assert_eq!(keys(&world.nodes[0]), held);
    let withdrawals = (0..=RECORDS_MAX).map(|n| format!("r{n}"));
    let withdrawals: Vec<SignedVersion> = withdrawals
        .map(|name| world.orgs[0].withdrawal(world.network(), &name, Hlc::new(NOW + 1, 0)))
        .filter(|version| held.contains(&key_of(version)))
        .collect();
    assert_eq!(names(&world.publish(0, withdrawals)), vec!["published"; RECORDS_MAX]);
    assert_eq!(names(&world.publish(0, versions[..1].to_vec())), ["over-quota"]);
    world.tick(401 * DAY_MS + DAY_MS);
    assert_eq!(keys(&world.nodes[0]), []);
    assert_eq!(names(&world.publish(0, vec![world.service(0, "new", "New", 0)])), ["published"]);
}

#[test]
fn a_batch_of_an_admin_is_taken_up_to_the_quota_and_the_rest_is_refused() {
    let mut world = limited(1, RECORDS_MAX);
    let versions = records(&world, RECORDS_MAX + 2);
    let outcomes = world.publish(0, versions);
    assert_eq!(names(&outcomes), [vec!["published"; RECORDS_MAX], vec!["over-quota"; 2]].concat());
}

#[test]
fn a_record_as_long_as_the_charter_allows_is_taken_and_one_byte_more_is_a_breach() {
    let mut world = World::empty(1);
    let version = world.service(0, "long", &"x".repeat(900), 0);
    let length = version.envelope().len();
    for (max, expected) in [(length, "published"), (length - 1, "version-too-long")] {
        world.charter.text.version_bytes_max = max as u32;
        world.stores[0].clear();
        world.welcome();
        let outcomes = world.publish(0, vec![version.clone()]);
        assert_eq!(names(&outcomes), [expected]);
        if let Outcome::Rejected(reject) = &outcomes[0] {
            assert!(reject.is_breach());
        }
    }
    world.charter.text.version_bytes_max = 1;
    world.welcome();
    let withdrawal = world.orgs[0].withdrawal(world.network(), "long", Hlc::new(NOW, 0));
    assert_eq!(names(&world.publish(0, vec![withdrawal])), ["published"], "a withdrawal has no body");
}

#[test]
fn more_versions_than_a_days_wait_and_withdrawals_do_not_whatever_the_clock_does() {
    let mut world = limited(1, 1);
    let max = allowance::VERSIONS_PER_DAY_MIN;
    let edits: Vec<SignedVersion> = (0..=max).map(|n| world.service(0, "busy", "B", n)).collect();
    let (last, before) = edits.split_last().unwrap();
    for edit in before {
        assert_eq!(names(&world.publish(0, vec![edit.clone()])), ["published"]);
    }
    let refused = |world: &mut World| match &world.publish(0, vec![last.clone()])[..] {
        [Outcome::Rejected(Reject::TooManyToday { wait_ms, max: found, .. })] if *found == max => *wait_ms,
        outcomes => panic!("{outcomes:?}"),
    };
    let wait_ms = refused(&mut world);
    assert_eq!(wait_ms, DAY_MS.div_ceil(max));
    // Back by a minute, as a clock that is set right.
    world.tick(1_000);
    world.now -= 60_000;
    world.run(0, Input::Tick);
    assert!(refused(&mut world) <= wait_ms);
    world.tick(wait_ms.min(9_000));
    (0..10).for_each(|_| world.tick(9_000));
    assert_eq!(names(&world.publish(0, vec![last.clone()])), ["published"]);
    let withdrawal = world.orgs[0].withdrawal(world.network(), "busy", Hlc::new(NOW + 2 * max, 0));
    assert_eq!(names(&world.publish(0, vec![withdrawal])), ["published"]);
}

#[test]
fn what_a_store_holds_beyond_the_quota_leaves_when_the_node_starts() {
    let mut world = World::new(1);
    let versions = records(&world, RECORDS_MAX + 3);
    world.publish(0, versions.clone());
    let stored: Vec<SignedVersion> = world.stores[0].values().map(|(version, _)| version.clone()).collect();
    world.charter.text.records_max = RECORDS_MAX as u32;
    let mut node = Node::new(world.charter.clone(), world.peer(0), 5);
    stored.into_iter().for_each(|version| node.restore(version, false));
    let outputs = node.restored();
    assert_eq!(keys(&node), versions[..RECORDS_MAX].iter().map(key_of).collect::<Vec<_>>());
    let forgotten: Vec<SetKey> = outputs
        .iter()
        .flat_map(|output| match output {
            Output::Persist { operations, .. } => operations.clone(),
            _ => Vec::new(),
        })
        .map(|operation| match operation {
            Operation::Forget { slot } => slot.key,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(forgotten, versions[RECORDS_MAX..].iter().map(key_of).collect::<Vec<_>>());
}
