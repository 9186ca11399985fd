//! Two heads of one moment become a proof, once, which everybody comes to know.

#![allow(clippy::unwrap_used)]

use ed25519_dalek::{Signer, SigningKey};

use super::super::witnessing::{LOSING_HEADS_CHECKED_MAX, PROOFS_WAITING_MAX, WITNESS_WAIT_MS_MAX};
use super::super::*;
use super::heads::head_of;
use super::world::{NOW, World};
use crate::head::{Cover, Head};
use crate::time::UnixHour;
use crate::version::{Header, SignedVersion};

const LIAR: usize = 2;

/// A head of the liar over so many records.
fn said(world: &World, count: u64) -> SignedVersion {
    let at = Hlc::new(NOW, 0);
    head_of(world, LIAR, at, 7, &Cover { from: Cover::from_hour(at), count, root: [1; 32] })
}

fn two_witnesses() -> World {
    let mut world = World::new(3);
    (0..2).for_each(|node| world.nodes[node].sign_heads(node as u32));
    world
}

/// Every node ticks until whoever is to sign has signed.
fn wait(world: &mut World) {
    for _ in 0..WITNESS_WAIT_MS_MAX / 1_000 + 1 {
        world.now += 1_000;
        (0..3).for_each(|node| world.run(node, Input::Tick));
    }
    world.settle();
}

fn accused(world: &World, node: usize) -> Vec<(OrgId, [u8; 32])> {
    world.nodes[node].equivocations().map(|proven| (proven.org, proven.device)).collect()
}

fn proofs(world: &World, node: usize) -> usize {
    world.stores[node].values().filter(|(version, _)| version.header().kind == Kind::EQUIVOCATION).count()
}

#[test]
fn who_meets_two_heads_of_one_moment_publishes_the_proof_and_everybody_comes_to_know_it_also_after_a_restart() {
    let mut world = two_witnesses();
    let (one, other) = (said(&world, 4), said(&world, 5));
    world.publish(0, vec![one]);
    world.publish(1, vec![other]);
    world.link(0, 1);
    world.link(1, LIAR);
    world.settle();
    wait(&mut world);
    let liar = (world.orgs[LIAR].id, world.orgs[LIAR].node.verifying_key().to_bytes());
    for node in 0..3 {
        assert_eq!(accused(&world, node), [liar], "node {node}");
        assert_eq!(proofs(&world, node), 1, "one witness is enough");
    }
    let is_told = |(node, output): &&(usize, Output)| {
        *node == 0 && matches!(output, Output::Notice(Notice::Equivocation { org, .. }) if *org == liar.0)
    };
    assert_eq!(world.log.iter().filter(is_told).count(), 1);
    world.cut(0, 1);
    world.restart(0);
    assert_eq!(accused(&world, 0), [liar]);
}

#[test]
fn a_head_that_loses_is_compared_too_and_a_forged_one_proves_nothing() {
    let mut world = two_witnesses();
    let (a, b) = (said(&world, 4), said(&world, 5));
    let (lower, higher) = if a.vid() < b.vid() { (a, b) } else { (b, a) };
    world.publish(0, vec![higher]);
    let mut forged = lower.envelope().to_vec();
    forged[3] ^= 1;
    world.publish(0, vec![SignedVersion::read(forged).unwrap()]);
    wait(&mut world);
    assert_eq!(accused(&world, 0), []);
    world.publish(0, vec![lower]);
    wait(&mut world);
    assert_eq!(accused(&world, 0).len(), 1);
}

#[test]
fn losing_heads_are_checked_up_to_their_limit_between_two_ticks() {
    for (forged, is_found) in [(LOSING_HEADS_CHECKED_MAX - 1, true), (LOSING_HEADS_CHECKED_MAX, false)] {
        let mut world = two_witnesses();
        let (a, b) = (said(&world, 4), said(&world, 5));
        let (lower, higher) = if a.vid() < b.vid() { (a, b) } else { (b, a) };
        let (slot, kept) = (Slot::of(higher.header()), higher.vid());
        world.publish(0, vec![higher]);
        world.run(0, Input::Tick);
        for n in 0..forged {
            let mut envelope = lower.envelope().to_vec();
            envelope[..4].copy_from_slice(&n.to_be_bytes());
            world.nodes[0].note_losing_head(&slot, &SignedVersion::read(envelope).unwrap());
        }
        assert_ne!(lower.vid(), kept);
        world.nodes[0].note_losing_head(&slot, &lower);
        wait(&mut world);
        assert_eq!(!accused(&world, 0).is_empty(), is_found, "after {forged}");
    }
}

#[test]
fn so_many_proofs_wait_and_no_more() {
    let mut world = two_witnesses();
    let network = world.network();
    for n in 0..=PROOFS_WAITING_MAX as u8 {
        let key = SigningKey::from_bytes(&[n + 100; 32]);
        let (org, device) = (OrgId([n; 32]), key.verifying_key().to_bytes());
        let head = |count| {
            let at = Hlc::new(NOW, 0);
            let header = Header {
                audience: Audience::Public,
                kind: Kind::HEAD,
                network,
                org,
                record: Head::record_id(&org, &device, Audience::Public),
                device,
                hlc: at,
                prev: [0; 8],
                lease_until: UnixHour::containing(NOW).plus_days(60),
            };
            let body = Head::body(&device, 0, 7, &Cover { from: Cover::from_hour(at), count, root: [1; 32] });
            SignedVersion::assemble(&header, &body, &key.sign(&header.signing_bytes(&body)).to_bytes()).unwrap()
        };
        world.nodes[0].compare_heads(head(1), head(2));
        assert_eq!(world.nodes[0].proofs_waiting(), (usize::from(n) + 1).min(PROOFS_WAITING_MAX));
    }
}

#[test]
fn a_proof_against_a_device_that_was_never_on_a_card_accuses_nobody() {
    let mut world = two_witnesses();
    let stranger = SigningKey::from_bytes(&[77; 32]);
    let (org, device) = (world.orgs[LIAR].id, stranger.verifying_key().to_bytes());
    let head = |count| {
        let at = Hlc::new(NOW, 0);
        let record = Head::record_id(&org, &device, Audience::Public);
        let header = Header { org, device, record, ..*said(&world, 1).header() };
        let body = Head::body(&device, 0, 7, &Cover { from: Cover::from_hour(at), count, root: [1; 32] });
        SignedVersion::assemble(&header, &body, &stranger.sign(&header.signing_bytes(&body)).to_bytes()).unwrap()
    };
    let proof = crate::equivocation::Equivocation::of(head(1), head(2)).unwrap();
    let witness = &world.orgs[0];
    let header = proof.header(&witness.id, witness.node.verifying_key().to_bytes(), Hlc::new(NOW, 1));
    let signature = witness.node.sign(&header.signing_bytes(&proof.write())).to_bytes();
    let version = SignedVersion::assemble(&header, &proof.write(), &signature).unwrap();
    let outcomes = world.publish(0, vec![version]);
    assert!(matches!(outcomes[..], [Outcome::Published { .. }]), "{outcomes:?}");
    assert_eq!((accused(&world, 0), proofs(&world, 0)), (vec![], 1));
}
