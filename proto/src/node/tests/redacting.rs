//! Redactions go first, and nodes confirm what they have erased, not before.

#![allow(clippy::unwrap_used)]

use super::super::redacting::{RECEIPT_DELAY_MS, RECEIPT_LOOK_MS, URGENT_PER_HOUR_MAX};
use super::super::*;
use super::world::*;
use crate::id::RecordId;
use crate::kind::Kind;
use crate::limits::{RECEIPT_ERASURES_MAX, REDACTION_LEASE_DAYS_MAX};
use crate::network::statement::statement_record_id;
use crate::redaction::{Erasure, Receipt, Redaction};
use crate::set::SetKey;
use crate::sync::write_keys;
use crate::time::{DAY_MS, UnixHour};
use crate::v1;
use crate::v1::frame::Content;
use crate::version::Header;
use ed25519_dalek::{Signer, SigningKey};
use prost::Message;

/// To whom, and which envelopes.
type Pushed = (Vec<Peer>, Vec<Vec<u8>>);

/// Long enough for a receipt of a small network to be signed.
const RECEIPT_WAIT_MS: u64 = RECEIPT_DELAY_MS + RECEIPT_LOOK_MS + 1_000;

fn record(world: &World, org: usize, local_id: &str) -> RecordId {
    RecordId::derive(&world.orgs[org].id, Kind::SERVICE, Audience::Public, local_id)
}

fn redaction_by(world: &World, org: usize, key: &SigningKey, audience: Audience, of: &SignedVersion) -> SignedVersion {
    let header = of.header();
    let redaction = Redaction { record: header.record, kind: header.kind, replaced_by: of.vid(), clock: header.hlc };
    let hlc = Hlc(header.hlc.0 + 1);
    let header = Header {
        audience,
        kind: Kind::REDACTION,
        record: Redaction::id_for(&world.orgs[org].id, audience, &header.record),
        device: key.verifying_key().to_bytes(),
        hlc,
        lease_until: UnixHour::containing(hlc.ms()).plus_days(REDACTION_LEASE_DAYS_MAX),
        ..*header
    };
    let body = redaction.write();
    SignedVersion::assemble(&header, &body, &key.sign(&header.signing_bytes(&body)).to_bytes()).unwrap()
}

fn redaction(world: &World, org: usize, of: &SignedVersion) -> SignedVersion {
    redaction_by(world, org, &world.orgs[org].device, Audience::Public, of)
}

/// A withdrawal of what an organisation published, and its redaction.
fn urgent(world: &World, org: usize, local_id: &str) -> Vec<SignedVersion> {
    let withdrawal = world.orgs[org].withdrawal(world.network(), local_id, Hlc::new(world.now + 5, 0));
    let redaction = redaction(world, org, &withdrawal);
    vec![withdrawal, redaction]
}

fn receipt_of(world: &World, at: usize, node: usize, audience: Audience) -> Option<Receipt> {
    let (org, key) = (&world.orgs[node].id, world.peer(node));
    let slot = Slot { audience, key: SetKey::derive(Kind::RECEIPT, org, &Receipt::id_of(org, audience, &key)) };
    let (version, _) = world.stores[at].get(&slot)?;
    Some(Receipt::read(version.header(), version.body()).unwrap())
}

fn confirmed(world: &World, at: usize, node: usize) -> Vec<RecordId> {
    let receipt = receipt_of(world, at, node, Audience::Public);
    receipt.map_or_else(Vec::new, |receipt| receipt.erasures.iter().map(|erasure| erasure.record).collect())
}

fn wait_for_receipts(world: &mut World) {
    for _ in 0..10 {
        world.tick(RECEIPT_WAIT_MS / 5);
    }
}

#[test]
fn every_node_that_erased_confirms_it_and_the_one_that_was_away_once_it_is_back() {
    let mut world = World::new(3);
    [(0, 1), (1, 2), (0, 2)].into_iter().for_each(|(a, b)| world.link(a, b));
    let version = world.service(0, "refuge", "12 Mill Lane", 0);
    world.publish(0, vec![version]);
    world.cut(0, 2);
    world.cut(1, 2);
    world.tick(1_000);
    let versions = urgent(&world, 0, "refuge");
    assert_eq!(names(&world.publish(0, versions)), ["published", "published"]);
    wait_for_receipts(&mut world);
    let refuge = record(&world, 0, "refuge");
    assert_eq!([0, 1, 2].map(|node| confirmed(&world, 0, node)), [vec![refuge], vec![refuge], vec![]]);
    world.link(2, 0);
    wait_for_receipts(&mut world);
    assert_eq!([0, 1].map(|at| confirmed(&world, at, 2)), [vec![refuge], vec![refuge]]);
    world.assert_equal();
}

#[test]
fn a_receipt_is_asked_for_right_after_everything_was_made_durable() {
    let mut world = World::new(2);
    world.link(0, 1);
    let version = world.service(0, "refuge", "12 Mill Lane", 0);
    world.publish(0, vec![version]);
    let versions = urgent(&world, 0, "refuge");
    world.publish(0, versions);
    world.log.clear();
    wait_for_receipts(&mut world);
    let outputs: Vec<&Output> = world.log.iter().filter(|(node, _)| *node == 1).map(|(_, output)| output).collect();
    let sign = outputs.iter().position(|output| matches!(output, Output::Sign { .. })).unwrap();
    assert!(matches!(outputs[sign - 1], Output::Persist { durable: true, .. }), "{:?}", outputs[sign - 1]);
    let own = world.log.iter().filter_map(|(_, output)| match output {
        Output::Persist { operations, .. } => Some(operations),
        _ => None,
    });
    assert!(
        !own.flatten().any(|operation| matches!(operation, Operation::Put { own: true, .. })),
        "no receipt is journalled"
    );
}

#[test]
fn nothing_is_confirmed_while_the_place_still_holds_an_older_version() {
    let mut world = World::new(2);
    world.link(0, 1);
    let version = world.service(0, "refuge", "12 Mill Lane", 0);
    world.publish(0, vec![version]);
    let versions = urgent(&world, 0, "refuge");
    // The other node gets the redaction alone.
    world.cut(0, 1);
    world.publish(1, versions[1..].to_vec());
    wait_for_receipts(&mut world);
    assert_eq!(confirmed(&world, 1, 1), []);
    world.publish(1, versions[..1].to_vec());
    wait_for_receipts(&mut world);
    assert_eq!(confirmed(&world, 1, 1), [record(&world, 0, "refuge")]);
}

#[test]
fn what_a_redaction_names_is_asked_for_from_whoever_brought_the_redaction() {
    let mut world = World::new(2);
    let version = world.service(0, "refuge", "12 Mill Lane", 0);
    let versions = urgent(&world, 0, "refuge");
    world.publish(1, vec![version]);
    let peer = world.peer(0);
    world.greet(1, peer, true);
    let envelopes = vec![versions[1].envelope().to_vec()];
    let pushed = v1::Versions { envelopes, route: Some(v1::Route::default()), last: true, ..Default::default() };
    for output in world.receive(1, peer, Content::Versions(pushed)) {
        if let Output::Verify { ticket, versions } = output {
            world.run(1, Input::verified(ticket, versions));
        }
    }
    world.log.clear();
    world.tick(1_000);
    let wanted = world.log.iter().any(|(node, output)| match output {
        Output::Send { frame, .. } if *node == 1 => match read_frame(frame) {
            Ok(Content::Want(want)) => want.keys == write_keys([&Slot::of(versions[0].header()).key]),
            _ => false,
        },
        _ => false,
    });
    assert!(wanted);
}

#[test]
fn a_later_version_counts_as_the_named_one_and_a_redaction_for_another_audience_orders_nothing() {
    let mut world = World::new(1);
    let withdrawal = world.orgs[0].withdrawal(world.network(), "refuge", Hlc::new(world.now, 0));
    let later = world.service(0, "refuge", "ring us", 10);
    let for_members = redaction_by(&world, 0, &world.orgs[0].device, Audience::Members, &withdrawal);
    let versions = vec![redaction(&world, 0, &withdrawal), for_members, later];
    assert_eq!(names(&world.publish(0, versions)), ["published"; 3]);
    wait_for_receipts(&mut world);
    assert_eq!(confirmed(&world, 0, 0), [record(&world, 0, "refuge")]);
    assert_eq!(receipt_of(&world, 0, 0, Audience::Members), None);
}

#[test]
fn a_redaction_signed_by_a_nodes_key_is_refused() {
    let mut world = World::new(1);
    let withdrawal = world.orgs[0].withdrawal(world.network(), "refuge", Hlc::new(world.now, 0));
    let forged = redaction_by(&world, 0, &world.orgs[0].node, Audience::Public, &withdrawal);
    assert_eq!(names(&world.publish(0, vec![forged])), ["unknown-device"]);
}

#[test]
fn a_node_without_membership_confirms_nothing() {
    let mut world = World::new(2);
    // Its card names no node.
    let stranger = SigningKey::from_bytes(&[77; 32]);
    let mut node = Node::new(world.charter.clone(), public(&stranger), 9);
    world.link(0, 1);
    let versions = urgent(&world, 0, "refuge");
    world.publish(0, versions);
    for (version, lapsed) in world.stores[0].values() {
        node.restore(version.clone(), *lapsed);
    }
    node.restored();
    let outputs: Vec<Output> = (0..20).flat_map(|n| node.handle(world.now + n * 1_000, Input::Tick)).collect();
    assert!(!outputs.iter().any(|output| matches!(output, Output::Sign { .. })));
}

#[test]
fn a_restart_forgets_no_redaction_and_confirms_nothing_twice() {
    let mut world = World::new(1);
    let versions = urgent(&world, 0, "refuge");
    world.publish(0, versions);
    world.restart(0);
    wait_for_receipts(&mut world);
    let receipt = receipt_of(&world, 0, 0, Audience::Public).unwrap();
    assert_eq!(receipt.erasures.len(), 1);
    world.restart(0);
    world.log.clear();
    wait_for_receipts(&mut world);
    assert!(!world.log.iter().any(|(_, output)| matches!(output, Output::Sign { .. })));
    // After sixty days the redaction and what was said of it mean nothing any more.
    world.tick(u64::from(REDACTION_LEASE_DAYS_MAX) * DAY_MS);
    wait_for_receipts(&mut world);
    assert!(!world.log.iter().any(|(_, output)| matches!(output, Output::Sign { .. })));
}

#[test]
fn what_was_confirmed_of_an_organisation_that_left_is_confirmed_no_more() {
    let mut world = World::new(3);
    world.link(1, 2);
    let versions = urgent(&world, 0, "refuge");
    world.publish(1, versions);
    wait_for_receipts(&mut world);
    assert_eq!(confirmed(&world, 1, 1), [record(&world, 0, "refuge")]);
    let (org, network) = (&world.orgs[0], world.network());
    let place = statement_record_id(&org.id, Kind::LEAVE, None);
    let at = Hlc::new(world.now, 0);
    let body = v1::Leave { reason: "x".into() }.encode_to_vec();
    let leave = org.sign(&org.device, network, Kind::LEAVE, place, at, &body);
    // Back at once, and with it only what a node has that was away: the older version.
    let back = org.sign(&org.device, network, Kind::LEAVE, place, Hlc::new(world.now, 1), b"");
    let old = org.service(network, "refuge", "12 Mill Lane", Hlc::new(NOW - 1_000, 0));
    world.publish(1, vec![leave]);
    assert!(world.stores[1].values().all(|(version, _)| version.header().kind != Kind::REDACTION), "all of it left");
    world.publish(1, vec![back, old]);
    wait_for_receipts(&mut world);
    assert_eq!(world.name_at(1, 0, "refuge").as_deref(), Some("12 Mill Lane"));
    assert_eq!(confirmed(&world, 1, 1), []);
}

#[test]
fn a_receipt_is_full_at_its_limit_and_makes_room_at_the_cost_of_who_has_the_most() {
    let mut world = World::new(2);
    world.link(0, 1);
    let lone = urgent(&world, 1, "refuge");
    world.publish(1, lone);
    let mut names = Vec::new();
    for n in 0..RECEIPT_ERASURES_MAX {
        world.now += 1;
        let local_id = format!("s{n}");
        let versions = urgent(&world, 0, &local_id);
        world.publish(0, versions);
        names.push(record(&world, 0, &local_id));
        if n + 2 == RECEIPT_ERASURES_MAX {
            wait_for_receipts(&mut world);
            assert_eq!(confirmed(&world, 0, 0).len(), RECEIPT_ERASURES_MAX);
        }
    }
    wait_for_receipts(&mut world);
    let found = confirmed(&world, 0, 0);
    assert_eq!(found.len(), RECEIPT_ERASURES_MAX);
    assert!(found.contains(&record(&world, 1, "refuge")), "the other's stays");
    assert!(!found.contains(&names[0]) && found.contains(&names[1]), "the oldest of the many goes");
    world.log.clear();
    wait_for_receipts(&mut world);
    assert!(!world.log.iter().any(|(_, output)| matches!(output, Output::Sign { .. })), "it comes to rest");
}

#[test]
fn a_redaction_and_what_it_names_go_before_others_and_over_every_link_up_to_the_limit_of_an_hour() {
    // More nodes than are all linked to each other.
    let mut world = World::empty(40);
    world.nodes = vec![Node::new(world.charter.clone(), public(&world.orgs[0].node), 1)];
    let network = world.network();
    let mut welcome = vec![world.orgs[0].card_version(network), world.orgs[0].acceptance(network, None)];
    for org in &world.orgs[1..] {
        welcome.extend([org.card_version(network), org.acceptance(network, Some(&world.orgs[0]))]);
    }
    world.publish(0, welcome);
    let [eager, lazy] = [world.peer(1), world.peer(2)];
    for peer in [eager, lazy] {
        world.greet(0, peer, false);
    }
    world.receive(0, lazy, Content::Prune(v1::Prune {}));
    let usual = world.service(0, "usual", "Usual", 0);
    let pushed = |world: &mut World, versions: Vec<SignedVersion>| -> Vec<Pushed> {
        world.log.clear();
        let envelopes = versions.iter().map(|version| version.envelope().to_vec()).collect();
        let mut inputs = vec![Input::Published { ticket: 1, envelopes }];
        let mut found = Vec::new();
        while let Some(input) = inputs.pop() {
            for output in world.nodes[0].handle(world.now, input) {
                match output {
                    Output::Verify { ticket, versions } => inputs.push(Input::verified(ticket, versions)),
                    Output::Send { to, frame } => match read_frame(&frame).unwrap() {
                        Content::Versions(versions) => found.push((to, versions.envelopes)),
                        Content::Compressed(frame) => found.push((to, read_compressed(&frame).unwrap().envelopes)),
                        _ => {}
                    },
                    _ => {}
                }
            }
        }
        found
    };
    let urgent_versions = urgent(&world, 0, "refuge");
    let envelope = |version: &SignedVersion| version.envelope().to_vec();
    let batch = vec![usual.clone(), urgent_versions[1].clone(), urgent_versions[0].clone()];
    let found = pushed(&mut world, batch);
    let mut all = vec![eager, lazy];
    all.sort();
    assert_eq!(found[0], (all.clone(), vec![envelope(&urgent_versions[0]), envelope(&urgent_versions[1])]));
    assert_eq!(found[1], (vec![eager], vec![envelope(&usual)]));
    for n in 1..URGENT_PER_HOUR_MAX / 2 {
        world.now += 1;
        let versions = urgent(&world, 0, &format!("s{n}"));
        assert_eq!(pushed(&mut world, versions)[0].0, all, "{n}");
    }
    world.now += 1;
    let beyond = urgent(&world, 0, "beyond");
    assert_eq!(pushed(&mut world, beyond)[0].0, [eager], "what is beyond travels as usual");
}

#[test]
fn an_own_receipt_that_does_not_hold_any_more_is_signed_anew() {
    let mut world = World::new(1);
    let version = world.service(0, "refuge", "12 Mill Lane", 0);
    world.publish(0, vec![version.clone()]);
    let versions = urgent(&world, 0, "refuge");
    world.publish(0, versions.clone());
    wait_for_receipts(&mut world);
    assert_eq!(confirmed(&world, 0, 0).len(), 1);
    // Yesterday's disk is back, and redaction and receipt come from others before what the redaction names.
    let slot = Slot::of(version.header());
    world.stores[0].insert(slot, (version, false));
    world.restart(0);
    wait_for_receipts(&mut world);
    assert_eq!(confirmed(&world, 0, 0), []);
    let erasures: Vec<Erasure> = receipt_of(&world, 0, 0, Audience::Public).unwrap().erasures;
    assert!(erasures.is_empty());
}
