//! What another card of an organisation changes: who may publish, what leaves, who is linked.

#![allow(clippy::unwrap_used)]

use ed25519_dalek::SigningKey;
use prost::Message;

use super::super::*;
use super::world::*;
use crate::id::RecordId;
use crate::kind::Kind;
use crate::network::card::{card_record_id, upheld_name};
use crate::network::statement::{Statement, statement_record_id};
use crate::v1;

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(super) fn device(key: &SigningKey) -> v1::Device {
    v1::Device { key: public(key).as_bytes().to_vec(), roles: vec![1], ..Default::default() }
}

impl Org {
    /// The card after the one with these bytes, signed by this key, with what it changes.
    pub(super) fn next_card(
        &self,
        network: NetworkId,
        before: &[u8],
        signer: &SigningKey,
        change: impl FnOnce(&mut v1::OrgCard),
    ) -> (SignedVersion, Vec<u8>) {
        let mut card = v1::OrgCard::decode(before).unwrap();
        card.sequence += 1;
        card.previous = blake3::hash(before).as_bytes().to_vec();
        card.signed_by = public(signer).as_bytes().to_vec();
        change(&mut card);
        let card = card.encode_to_vec();
        let record = card_record_id(&self.id, &card);
        (self.sign(signer, network, Kind::CARD, record, Hlc::new(NOW, 2), &card), card)
    }

    /// A service signed by another device of the organisation.
    pub(super) fn service_by(
        &self,
        key: &SigningKey,
        network: NetworkId,
        id: &str,
        name: &str,
        at: Hlc,
    ) -> SignedVersion {
        let record = RecordId::derive(&self.id, Kind::SERVICE, Audience::Public, id);
        let body = v1::Service { local_id: id.into(), name: name.into(), ..Default::default() }.encode_to_vec();
        self.sign(key, network, Kind::SERVICE, record, at, &body)
    }
}

/// The card of the organisation's number in a world, changed.
fn next(world: &World, org: usize, change: impl FnOnce(&mut v1::OrgCard)) -> (SignedVersion, Vec<u8>) {
    let org = &world.orgs[org];
    org.next_card(world.network(), &org.card, &org.root, change)
}

fn push(world: &mut World, from: usize, to: usize, versions: &[&SignedVersion]) {
    let envelopes = versions.iter().map(|version| version.envelope().to_vec());
    let frame = versions_frames(0, envelopes, false).remove(0);
    let peer = world.peer(from);
    world.run(to, Input::Received { peer, frame });
}

#[test]
fn a_device_that_a_later_card_adds_may_publish_and_others_may_not() {
    let mut world = World::new(2);
    world.link(0, 1);
    let network = world.network();
    let (card, _) = next(&world, 1, |card| card.devices.push(device(&key(70))));
    assert_eq!(names(&world.publish(1, vec![card])), ["published"]);
    let by = |seed| world.orgs[1].service_by(&key(seed), network, "drop-in", "by a new device", Hlc::new(NOW, 5));
    let (known, unknown) = (by(70), by(71));
    assert_eq!(names(&world.publish(1, vec![unknown, known])), ["unknown-device", "published"]);
    world.settle();
    world.assert_equal();
    assert_eq!(world.name_at(0, 1, "drop-in").as_deref(), Some("by a new device"));
}

#[test]
fn what_a_revoked_device_signed_leaves_set_and_store_everywhere_also_what_it_signed_before() {
    let mut world = World::new(2);
    world.link(0, 1);
    let network = world.network();
    let (with, bytes) = next(&world, 1, |card| card.devices.push(device(&key(70))));
    world.publish(1, vec![with]);
    let stolen = |id, ms| world.orgs[1].service_by(&key(70), network, id, "stolen", Hlc::new(NOW + ms, 0));
    let (earlier, later) = (stolen("before", 0), stolen("after", 500));
    let own = world.service(1, "kept", "kept", 1);
    world.publish(1, vec![earlier.clone(), later, own]);
    world.settle();
    assert!(world.name_at(0, 1, "before").is_some() && world.name_at(0, 1, "after").is_some());
    let org = &world.orgs[1];
    let (without, _) = org.next_card(network, &bytes, &org.root, |card| drop(card.devices.pop()));
    world.publish(1, vec![without]);
    for node in 0..2 {
        assert_eq!((world.name_at(node, 1, "before"), world.name_at(node, 1, "after")), (None, None));
        assert_eq!(world.name_at(node, 1, "kept").as_deref(), Some("kept"));
    }
    world.settle();
    world.assert_equal();
    // It does not come back: neither by an admin nor by a peer, who waits for nothing.
    assert_eq!(names(&world.publish(0, vec![earlier.clone()])), ["unknown-device"]);
    push(&mut world, 1, 0, &[&earlier]);
    assert_eq!((world.name_at(0, 1, "before"), world.nodes[0].quarantined()), (None, 0));
    world.restart(0);
    assert_eq!(world.nodes[0].set(Audience::Public).total(), world.nodes[1].set(Audience::Public).total());
}

#[test]
fn a_retired_device_keeps_what_it_signed_and_signs_nothing_later() {
    let mut world = World::new(1);
    let network = world.network();
    let retired_at = Hlc::new(NOW, 100);
    let (with, bytes) = next(&world, 0, |card| card.devices.push(device(&key(70))));
    world.publish(0, vec![with]);
    let by = |id, at| world.orgs[0].service_by(&key(70), network, id, "retired", at);
    let last = by("last", retired_at);
    let (late, another) = (by("late", Hlc(retired_at.0 + 1)), by("another", retired_at));
    world.publish(0, vec![last]);
    let org = &world.orgs[0];
    let (without, _) = org.next_card(network, &bytes, &org.root, |card| card.devices[2].retired_at = retired_at.0);
    world.publish(0, vec![without]);
    assert!(world.name_at(0, 0, "last").is_some());
    assert_eq!(names(&world.publish(0, vec![late, another])), ["unknown-device", "published"]);
}

#[test]
fn a_card_waits_for_the_one_before_it_without_a_strike() {
    let mut world = World::new(2);
    world.link(0, 1);
    let network = world.network();
    let (second, bytes) = next(&world, 1, |card| card.name = "Second".into());
    let org = &world.orgs[1];
    let (third, _) = org.next_card(network, &bytes, &org.root, |card| card.name = "Third".into());
    let id = org.id;
    for _ in 0..40 {
        push(&mut world, 1, 0, &[&third]);
    }
    assert_eq!(world.nodes[0].quarantined(), 1);
    assert_eq!(world.nodes[0].card(&id).unwrap().name, "Organisation 2");
    push(&mut world, 1, 0, &[&second]);
    assert_eq!(world.nodes[0].card(&id).unwrap().name, "Third");
    assert!(world.is_linked(0, 1) && world.nodes[0].quarantined() == 0);
}

#[test]
fn cards_of_one_batch_are_taken_in_order_and_one_that_is_handed_in_alone_is_refused_by_name() {
    let mut world = World::new(1);
    let network = world.network();
    let (second, bytes) = next(&world, 0, |card| card.name = "Second".into());
    let org = &world.orgs[0];
    let (third, _) = org.next_card(network, &bytes, &org.root, |card| card.name = "Third".into());
    assert_eq!(names(&world.publish(0, vec![third.clone()])), ["unknown-predecessor"]);
    assert_eq!(names(&world.publish(0, vec![third, second])), ["published", "published"]);
    assert_eq!(world.nodes[0].card(&world.orgs[0].id).unwrap().name, "Third");
}

#[test]
fn a_version_by_a_device_that_is_on_no_card_yet_waits_for_the_card() {
    let mut world = World::new(2);
    world.link(0, 1);
    let network = world.network();
    let (card, _) = next(&world, 1, |card| card.devices.push(device(&key(70))));
    let service = world.orgs[1].service_by(&key(70), network, "drop-in", "early", Hlc::new(NOW, 5));
    let record = statement_record_id(&world.orgs[1].id, Kind::VOUCH, Some(&world.orgs[0].id));
    let vouch = v1::Vouch { subject: world.orgs[0].id.0.to_vec(), reason: String::new() }.encode_to_vec();
    let vouch = world.orgs[1].sign(&key(70), network, Kind::VOUCH, record, Hlc::new(NOW, 6), &vouch);
    push(&mut world, 1, 0, &[&service, &vouch]);
    assert_eq!((world.nodes[0].quarantined(), world.name_at(0, 1, "drop-in")), (2, None));
    push(&mut world, 1, 0, &[&card]);
    assert_eq!((world.nodes[0].quarantined(), world.name_at(0, 1, "drop-in").as_deref()), (0, Some("early")));
    assert_eq!(world.nodes[0].standings().vouched_by(&world.orgs[0].id).count(), 1);
}

#[test]
fn a_signer_that_the_card_before_does_not_list_costs_the_sender_a_strike() {
    let mut world = World::new(2);
    world.link(0, 1);
    let (network, org) = (world.network(), &world.orgs[1]);
    let (forged, _) = org.next_card(network, &org.card, &org.device, |card| card.name = "Forged".into());
    assert_eq!(names(&world.publish(0, vec![forged.clone()])), ["card-signer"]);
    for _ in 0..16 {
        push(&mut world, 1, 0, &[&forged]);
    }
    assert!(!world.is_linked(0, 1));
}

#[test]
fn of_cards_that_fork_the_winner_and_the_best_loser_are_in_the_set_and_a_peer_is_sent_the_winner() {
    let mut world = World::new(2);
    world.link(0, 1);
    let network = world.network();
    let org = &world.orgs[1];
    let fork = |name: &str| org.next_card(network, &org.card, &org.root, |card| card.name = name.into());
    let mut forks: Vec<_> = ["A", "B", "C", "D"].map(fork).into();
    forks.sort_by_key(|(_, bytes)| *blake3::hash(bytes).as_bytes());
    let before = world.nodes[0].set(Audience::Public).len();
    let name = |at: usize| v1::OrgCard::decode(forks[at].1.as_slice()).unwrap().name;
    let id = org.id;
    for (at, _) in forks.iter().enumerate().rev() {
        world.publish(0, vec![forks[at].0.clone()]);
        assert_eq!(world.nodes[0].card(&id).unwrap().name, name(at));
    }
    assert_eq!(names(&world.publish(0, vec![forks[3].0.clone(), forks[1].0.clone()])), ["superseded", "duplicate"]);
    assert_eq!(world.nodes[0].set(Audience::Public).len(), before + 2);
    let succession = world.nodes[0].succession(&id).unwrap();
    let evidence: Vec<_> = succession.forks().map(|(won, lost)| (won.name.clone(), lost.name.clone())).collect();
    assert_eq!(evidence, [(name(0), name(1))]);
    world.log.clear();
    push(&mut world, 1, 0, &[&forks[3].0]);
    let is_sent =
        |(node, output): &(usize, Output)| *node == 0 && matches!(output, Output::SendVersions { want: 0, .. });
    assert!(world.log.iter().any(is_sent));
    world.settle();
    world.assert_equal();
    world.cut(0, 1);
    world.restart(0);
    assert_eq!(world.nodes[0].set(Audience::Public).len(), before + 2);
    assert_eq!(world.nodes[0].card(&id).unwrap().name, name(0));
}

#[test]
fn an_organisation_whose_acceptance_is_not_upheld_is_out_and_one_whose_is_stays() {
    for is_upheld in [false, true] {
        let mut world = World::new(2);
        world.link(0, 1);
        let (network, id) = (world.network(), world.orgs[1].id);
        let service = world.service(1, "drop-in", "old", 1);
        world.publish(1, vec![service]);
        let acceptance = world.orgs[1].acceptance(network, Some(&world.orgs[0]));
        let (card, _) = next(&world, 1, |card| {
            card.devices[0] = device(&key(70));
            card.upheld = if is_upheld { vec![acceptance.vid().0.to_vec()] } else { Vec::new() };
        });
        world.publish(1, vec![card]);
        assert_eq!(world.nodes[1].standing(&id) == Standing::Member, is_upheld);
        assert_eq!(world.name_at(1, 1, "drop-in"), None);
        // A stranger's card reaches nobody: without its acceptance an organisation cannot even revoke.
        assert_eq!(world.name_at(0, 1, "drop-in").is_none(), is_upheld);
        assert_eq!(world.nodes[0].card(&id).unwrap().sequence, u64::from(is_upheld));
        let anew = world.orgs[1].service_by(&key(70), network, "drop-in", "new", Hlc::new(world.now, 9));
        let outcomes = world.publish(1, vec![anew]);
        assert_eq!(names(&outcomes)[0] == "published", is_upheld);
    }
}

#[test]
fn invitations_of_a_revoked_device_count_no_longer_but_those_that_the_card_upholds_do() {
    for is_upheld in [false, true] {
        let mut world = World::new(2);
        let (network, invited) = (world.network(), world.orgs[1].id);
        let acceptance = world.orgs[1].acceptance(network, Some(&world.orgs[0]));
        let Ok(Statement::Acceptance(Some(invitation))) = Statement::read(&acceptance) else { panic!() };
        assert_eq!(world.nodes[0].standing(&invited), Standing::Member);
        let (card, _) = next(&world, 0, |card| {
            card.devices[0] = device(&key(70));
            card.upheld = if is_upheld { vec![upheld_name(&invitation.signature).0.to_vec()] } else { Vec::new() };
        });
        world.publish(0, vec![card]);
        assert_eq!(world.nodes[0].standing(&invited) == Standing::Member, is_upheld);
    }
}

#[test]
fn a_node_whose_key_leaves_the_card_loses_its_links() {
    let mut world = World::new(2);
    world.link(0, 1);
    let (card, _) = next(&world, 1, |card| drop(card.devices.pop()));
    world.publish(0, vec![card]);
    assert!(!world.is_linked(0, 1));
    assert_eq!(world.nodes[0].member_nodes().count(), 1);
}

#[test]
fn a_statement_that_comes_with_the_card_takes_the_place_of_a_later_one_by_the_device_that_it_revokes() {
    let mut world = World::new(2);
    let (network, subject) = (world.network(), world.orgs[1].id);
    let (with, bytes) = next(&world, 0, |card| card.devices.push(device(&key(70))));
    world.publish(0, vec![with]);
    let org = &world.orgs[0];
    let record = statement_record_id(&org.id, Kind::OBJECTION, Some(&subject));
    let objection = v1::Objection { subject: subject.0.to_vec(), reason: "why".into() }.encode_to_vec();
    let by_thief = org.sign(&key(70), network, Kind::OBJECTION, record, Hlc::new(NOW, 900), &objection);
    let ours = org.sign(&org.device, network, Kind::OBJECTION, record, Hlc::new(NOW, 800), b"");
    let (without, _) = org.next_card(network, &bytes, &org.root, |card| drop(card.devices.pop()));
    world.publish(0, vec![by_thief]);
    assert_eq!(world.nodes[0].standings().objected_by(&subject).count(), 1);
    assert_eq!(names(&world.publish(0, vec![ours, without])), ["published", "published"]);
    assert_eq!(world.nodes[0].standings().objected_by(&subject).count(), 0);
}

#[test]
fn a_version_whose_device_is_revoked_while_its_signature_is_checked_is_not_taken() {
    let mut world = World::new(1);
    let (card, _) = next(&world, 0, |card| card.devices[0] = device(&key(70)));
    let service = world.service(0, "drop-in", "too late", 1);
    let published = Input::Published { ticket: 7, envelopes: vec![service.envelope().to_vec()] };
    let outputs = world.nodes[0].handle(NOW, published);
    let [Output::Verify { ticket, versions }] = &outputs[..] else { panic!("{outputs:?}") };
    world.publish(0, vec![card]);
    world.run(0, Input::verified(*ticket, versions.clone()));
    assert_eq!(names(&world.published[0]), ["unknown-device"]);
    assert_eq!(world.name_at(0, 0, "drop-in"), None);
}

#[test]
fn what_the_store_lost_of_a_revoked_device_does_not_keep_others_out() {
    let mut world = World::new(1);
    let network = world.network();
    let (with, bytes) = next(&world, 0, |card| card.devices.push(device(&key(70))));
    world.publish(0, vec![with]);
    let stolen = world.orgs[0].service_by(&key(70), network, "drop-in", "stolen", Hlc::new(NOW, 900));
    let slot = Slot::of(stolen.header());
    world.publish(0, vec![stolen.clone()]);
    world.run(0, Input::Lost { slot });
    world.stores[0].remove(&slot);
    let org = &world.orgs[0];
    let (without, _) = org.next_card(network, &bytes, &org.root, |card| drop(card.devices.pop()));
    world.publish(0, vec![without]);
    let ours = world.service(0, "drop-in", "ours", 0);
    assert_eq!(names(&world.publish(0, vec![stolen, ours])), ["unknown-device", "published"]);
}
