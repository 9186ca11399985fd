//! Who counts, and what nodes tell to whom.

#![allow(clippy::unwrap_used)]

use ed25519_dalek::{Signer, SigningKey};
use prost::Message;

use super::super::*;
use super::world::*;
use crate::id::RecordId;
use crate::kind::Kind;
use crate::network::statement::statement_record_id;
use crate::set::SetKey;
use crate::v1;
use crate::version::{Header, lease_until_max};

#[test]
fn content_of_an_organisation_waits_until_its_card_and_acceptance_are_here() {
    let mut world = World::new(2);
    world.link(0, 1);
    let newcomer = Org::new(50);
    let network = world.network();
    let service = newcomer.service(network, "s", "New", Hlc::new(NOW, 5));
    let me = world.peer(0);
    let send = |world: &mut World, version: &SignedVersion| {
        let frame = versions_frames(0, [version.envelope().to_vec()], false).remove(0);
        world.run(1, Input::Received { peer: me, frame });
    };
    send(&mut world, &service);
    assert_eq!(world.nodes[1].set(Audience::Public).len(), 4);
    let acceptance = newcomer.acceptance(network, Some(&world.orgs[0]));
    send(&mut world, &acceptance);
    send(&mut world, &newcomer.card_version(network));
    assert_eq!(world.nodes[1].standing(&newcomer.id), Standing::Member);
    assert_eq!(world.nodes[1].set(Audience::Public).len(), 7);
    world.settle();
    world.assert_equal();
}

#[test]
fn a_node_restored_from_its_store_has_the_same_set_and_members() {
    let mut world = World::new(3);
    let versions = (0..50).map(|n| world.service(0, &format!("s{n}"), "x", 0)).collect();
    world.publish(0, versions);
    let mut restored = Node::new(world.charter.clone(), world.peer(0), 0);
    for (version, lapsed) in world.stores[0].values() {
        restored.restore(version.clone(), *lapsed);
    }
    assert_eq!(restored.restored(), vec![Output::Notice(Notice::MembersChanged)]);
    assert_eq!(restored.set(Audience::Public).total(), world.nodes[0].set(Audience::Public).total());
    assert_eq!(restored.standings(), world.nodes[0].standings());
}

#[test]
fn an_organisation_that_is_objected_to_leaves_the_set_with_all_it_published() {
    let mut world = World::new(4);
    world.link(0, 1);
    world.link(0, 2);
    world.link(0, 3);
    let version = world.service(3, "a", "A", 0);
    world.publish(3, vec![version]);
    let network = world.network();
    for org in [0, 1] {
        let subject = world.orgs[3].id;
        let body = v1::Objection { subject: subject.0.to_vec(), ..Default::default() }.encode_to_vec();
        let record = statement_record_id(&world.orgs[org].id, Kind::OBJECTION, Some(&subject));
        let objection =
            world.orgs[org].sign(&world.orgs[org].device, network, Kind::OBJECTION, record, Hlc::new(NOW, 9), &body);
        assert_eq!(names(&world.publish(org, vec![objection])), ["published"]);
    }
    for node in 0..3 {
        assert_eq!(world.name_at(node, 3, "a"), None);
        assert_eq!(world.nodes[node].standing(&world.orgs[3].id), Standing::Participant);
    }
    assert!(!world.is_linked(0, 3), "its node's link is closed");
}

#[test]
fn members_records_go_only_to_nodes_of_known_members() {
    let mut world = World::new(2);
    let network = world.network();
    let record = RecordId::derive(&world.orgs[1].id, Kind::SERVICE, Audience::Members, "night");
    let at = Hlc::new(NOW, 7);
    let header = Header {
        audience: Audience::Members,
        kind: Kind::SERVICE,
        network,
        org: world.orgs[1].id,
        record,
        device: world.orgs[1].device.verifying_key().to_bytes(),
        hlc: at,
        prev: [0; 8],
        lease_until: lease_until_max(at),
    };
    let body =
        v1::Service { local_id: "night".into(), name: "Night line".into(), ..Default::default() }.encode_to_vec();
    let signature = world.orgs[1].device.sign(&header.signing_bytes(&body)).to_bytes();
    let night = SignedVersion::assemble(&header, &body, &signature).unwrap();
    assert_eq!(names(&world.publish(1, vec![night.clone()])), ["published"]);
    // A key that belongs to no member, as an inviter's looks to a newcomer before the first sync.
    let unknown = public(&SigningKey::from_bytes(&[77; 32]));
    let node = &mut world.nodes[1];
    let mut sent = node.handle(NOW, Input::Connected { peer: unknown, outbound: true });
    let hello = v1::Hello { level: 1, level_min: 1, network: network.0.to_vec(), clock_ms: NOW, ..Default::default() };
    let key = SetKey::derive(Kind::SERVICE, &world.orgs[1].id, &record);
    let all = crate::sync::write_ranges(
        SetKey::default(),
        &[crate::sync::Range { upper: None, content: crate::sync::RangeContent::Fingerprint([0; 16]) }],
    );
    let lower = vec![0; 16];
    for content in [
        v1::frame::Content::Hello(hello),
        v1::frame::Content::Want(v1::Want {
            audience: 1,
            want: 1,
            keys: crate::sync::write_keys([&key]),
            graft: false,
        }),
        v1::frame::Content::Reconcile(v1::Reconcile { audience: 1, session: 1, round: 0, lower, ranges: all }),
    ] {
        sent.extend(node.handle(NOW, Input::Received { peer: unknown, frame: write_frame(content) }));
    }
    let later = Header { hlc: Hlc::new(NOW, 9), lease_until: lease_until_max(Hlc::new(NOW, 9)), ..header };
    let signature = world.orgs[1].device.sign(&later.signing_bytes(&body)).to_bytes();
    let later = SignedVersion::assemble(&later, &body, &signature).unwrap();
    for _ in 0..3 {
        sent.extend(node.handle(NOW + 1_000, Input::Tick));
    }
    let published = node.handle(NOW, Input::Published { ticket: 5, envelopes: vec![later.envelope().to_vec()] });
    for output in published {
        if let Output::Verify { ticket, versions } = output {
            sent.extend(node.handle(NOW, Input::verified(ticket, versions)));
        }
    }
    let vid = night.vid();
    let total = node.set(Audience::Members).total();
    for output in &sent {
        assert!(!matches!(output, Output::SendVersions { .. }), "{output:?}");
        if let Output::Send { frame, .. } = output {
            let holds = |bytes: &[u8]| frame.windows(bytes.len()).any(|window| window == bytes);
            assert!(!holds(b"Night line") && !holds(&vid.0) && !holds(&total.fingerprint()), "{frame:?}");
        }
    }
    assert_eq!(total.count, 1);
}

#[test]
fn a_card_that_enters_by_a_pulled_vouch_is_announced_to_who_brought_the_vouch() {
    let mut world = World::new(2);
    world.link(0, 1);
    world.settle();
    let (network, newcomer, peer) = (world.network(), Org::new(9), world.peer(0));
    let card = newcomer.card_version(network);
    // The newcomer hands in card and acceptance at the second node, which remembers them: nobody vouches yet.
    let remembered = world.publish(1, vec![card.clone(), newcomer.acceptance(network, Some(&Org::new(10)))]);
    assert_eq!(names(&remembered), ["not-a-member", "not-a-member"]);
    let record = statement_record_id(&world.orgs[0].id, Kind::VOUCH, Some(&newcomer.id));
    let body = v1::Vouch { subject: newcomer.id.0.to_vec(), ..Default::default() }.encode_to_vec();
    let vouch = world.orgs[0].sign(&world.orgs[0].device, network, Kind::VOUCH, record, Hlc::new(NOW, 3), &body);
    let pulled = versions_frames(77, vec![vouch.envelope().to_vec()], false).remove(0);
    let node = &mut world.nodes[1];
    let mut outputs = node.handle(NOW + 20_000, Input::Received { peer, frame: pulled });
    assert_eq!(node.standing(&newcomer.id), Standing::Member, "{outputs:?}");
    outputs.extend(node.handle(NOW + 21_000, Input::Tick));
    let is_told = outputs.iter().any(|output| match output {
        Output::Send { to, frame } if to.contains(&peer) => match read_frame(frame).unwrap() {
            v1::frame::Content::Offer(offer) => {
                crate::sync::read_pairs(&offer.pairs, 9).unwrap().iter().any(|(_, vid)| *vid == card.vid())
            }
            _ => false,
        },
        _ => false,
    });
    assert!(is_told, "{outputs:?}");
}

#[test]
fn a_stranger_is_remembered_with_a_few_statements_only() {
    let mut world = World::new(1);
    let stranger = Org::new(60);
    let network = world.network();
    let vouch = |n: u8| {
        let subject = OrgId([n; 32]);
        let body = v1::Vouch { subject: subject.0.to_vec(), ..Default::default() }.encode_to_vec();
        let record = statement_record_id(&stranger.id, Kind::VOUCH, Some(&subject));
        stranger.sign(&stranger.device, network, Kind::VOUCH, record, Hlc::new(NOW, 3), &body)
    };
    let mut versions = vec![stranger.card_version(network)];
    versions.extend((0..40).map(vouch));
    let outcomes = world.publish(0, versions);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Rejected(Reject::NotAMember { .. }))));
    assert_eq!(world.nodes[0].trust.remembered(&stranger.id), trust::STATEMENTS_PER_STRANGER_MAX);
}

#[test]
fn a_member_with_many_statements_is_a_member_after_a_restart() {
    let mut world = World::new(2);
    let network = world.network();
    let vouches = (0..60).map(|n| {
        let subject = OrgId([n; 32]);
        let body = v1::Vouch { subject: subject.0.to_vec(), ..Default::default() }.encode_to_vec();
        let record = statement_record_id(&world.orgs[1].id, Kind::VOUCH, Some(&subject));
        world.orgs[1].sign(&world.orgs[1].device, network, Kind::VOUCH, record, Hlc::new(NOW, 3), &body)
    });
    let vouches = vouches.collect();
    world.publish(0, vouches);
    let mut restored = Node::new(world.charter.clone(), world.peer(0), 0);
    for (version, lapsed) in world.stores[0].values() {
        restored.restore(version.clone(), *lapsed);
    }
    restored.restored();
    assert_eq!(restored.standing(&world.orgs[1].id), Standing::Member);
    assert_eq!(restored.standings(), world.nodes[0].standings());
}

#[test]
fn a_members_record_is_not_sent_in_answer_to_an_older_version_by_an_unknown_key() {
    let mut world = World::new(2);
    let at = Hlc::new(NOW, 7);
    let record = RecordId::derive(&world.orgs[1].id, Kind::SERVICE, Audience::Members, "night");
    let header = Header {
        audience: Audience::Members,
        kind: Kind::SERVICE,
        network: world.network(),
        org: world.orgs[1].id,
        record,
        device: world.orgs[1].device.verifying_key().to_bytes(),
        hlc: at,
        prev: [0; 8],
        lease_until: lease_until_max(at),
    };
    let body =
        v1::Service { local_id: "night".into(), name: "Night line".into(), ..Default::default() }.encode_to_vec();
    let signature = world.orgs[1].device.sign(&header.signing_bytes(&body)).to_bytes();
    world.publish(1, vec![SignedVersion::assemble(&header, &body, &signature).unwrap()]);
    let unknown = public(&SigningKey::from_bytes(&[77; 32]));
    let probe = Header { hlc: Hlc(1), lease_until: UnixHour(0), ..header };
    let probe = SignedVersion::assemble(&probe, b"", &[0; 64]).unwrap();
    let node = &mut world.nodes[1];
    node.handle(NOW, Input::Connected { peer: unknown, outbound: true });
    let hello =
        v1::Hello { level: 1, level_min: 1, network: header.network.0.to_vec(), clock_ms: NOW, ..Default::default() };
    node.handle(NOW, Input::Received { peer: unknown, frame: write_frame(v1::frame::Content::Hello(hello)) });
    let frame = versions_frames(0, [probe.envelope().to_vec()], false).remove(0);
    let outputs = node.handle(NOW, Input::Received { peer: unknown, frame });
    assert!(!outputs.iter().any(|output| matches!(output, Output::SendVersions { .. })), "{outputs:?}");
}

#[test]
fn who_is_no_member_and_shows_a_members_version_is_not_told_that_it_is_here() {
    let mut world = World::new(2);
    let network = world.network();
    let record = RecordId::derive(&world.orgs[0].id, Kind::SERVICE, Audience::Members, "a");
    let body = v1::Service { local_id: "a".into(), name: "A".into(), ..Default::default() }.encode_to_vec();
    let at = Hlc::new(NOW, 5);
    let header = Header {
        audience: Audience::Members,
        kind: Kind::SERVICE,
        network,
        org: world.orgs[0].id,
        record,
        device: world.orgs[0].device.verifying_key().to_bytes(),
        hlc: at,
        prev: [0; 8],
        lease_until: lease_until_max(at),
    };
    let signature = world.orgs[0].device.sign(&header.signing_bytes(&body)).to_bytes();
    let version = SignedVersion::assemble(&header, &body, &signature).unwrap();
    assert_eq!(names(&world.publish(0, vec![version.clone()])), ["published"]);
    let greet = |world: &mut World, peer: Peer| {
        let hello =
            v1::Hello { level: 1, level_min: 1, network: network.0.to_vec(), clock_ms: NOW, ..Default::default() };
        world.nodes[0].handle(NOW, Input::Connected { peer, outbound: false });
        world.nodes[0].handle(NOW, Input::Received { peer, frame: write_frame(v1::frame::Content::Hello(hello)) });
        let frame = versions_frames(0, [version.envelope().to_vec()], false).swap_remove(0);
        world.nodes[0].handle(NOW, Input::Received { peer, frame })
    };
    let is_sent = |outputs: Vec<Output>| outputs.iter().any(|output| matches!(output, Output::Send { .. }));
    let (stranger, member) = (public(&Org::new(99).node), world.peer(1));
    assert!(!is_sent(greet(&mut world, stranger)));
    assert!(is_sent(greet(&mut world, member)), "a member is told");
}

#[test]
fn who_leaves_in_a_batch_is_told_nothing_of_members_in_answer_to_it() {
    let mut world = World::new(2);
    world.link(0, 1);
    let network = world.network();
    let members = |at: Hlc, name: &str| {
        let body = v1::Service { local_id: "a".into(), name: name.into(), ..Default::default() }.encode_to_vec();
        let header = Header {
            audience: Audience::Members,
            kind: Kind::SERVICE,
            network,
            org: world.orgs[0].id,
            record: RecordId::derive(&world.orgs[0].id, Kind::SERVICE, Audience::Members, "a"),
            device: world.orgs[0].device.verifying_key().to_bytes(),
            hlc: at,
            prev: [0; 8],
            lease_until: lease_until_max(at),
        };
        let signature = world.orgs[0].device.sign(&header.signing_bytes(&body)).to_bytes();
        SignedVersion::assemble(&header, &body, &signature).unwrap()
    };
    let (older, newer) = (members(Hlc::new(NOW, 5), "A"), members(Hlc::new(NOW, 6), "B"));
    world.publish(0, vec![newer]);
    let record = statement_record_id(&world.orgs[1].id, Kind::LEAVE, None);
    let body = v1::Leave { reason: "moving".into() }.encode_to_vec();
    let leave = world.orgs[1].sign(&world.orgs[1].device, network, Kind::LEAVE, record, Hlc::new(NOW, 9), &body);
    let peer = world.peer(1);
    let send = |world: &mut World, versions: &[&SignedVersion]| {
        let envelopes = versions.iter().map(|version| version.envelope().to_vec());
        let frame = versions_frames(0, envelopes, false).remove(0);
        world.nodes[0].handle(NOW, Input::Received { peer, frame })
    };
    let is_told = |outputs: &[Output]| outputs.iter().any(|output| matches!(output, Output::SendVersions { .. }));
    assert!(is_told(&send(&mut world, &[&older])), "a member is sent the newer version");
    let outputs = send(&mut world, &[&leave, &older]);
    assert!(!is_told(&outputs));
    assert!(outputs.iter().any(|output| matches!(output, Output::Disconnect { .. })));
}

#[test]
fn a_member_whose_card_lists_anothers_node_and_no_address_does_not_keep_it_from_being_dialled() {
    let card = |org: &Org| v1::OrgCard::decode(org.card.as_slice()).unwrap();
    let renamed = |org: Org, card: v1::OrgCard| {
        let card = card.encode_to_vec();
        Org { id: OrgId::of_genesis_card(&card), card, ..org }
    };
    let (own, victim) = (Org::new(1), Org::new(2));
    let victim_card = v1::OrgCard { endpoints: vec!["victim.example:7474".into()], ..card(&victim) };
    let victim = renamed(victim, victim_card);
    for liar_comes_first in [true, false] {
        let liars = (0..=255).map(|nonce| {
            let liar = Org::new(3);
            let mut card = v1::OrgCard { nonce: vec![nonce; 16], ..card(&liar) };
            let node = public(&victim.node).as_bytes().to_vec();
            card.devices.push(v1::Device { key: node, roles: vec![2], ..Default::default() });
            renamed(liar, card)
        });
        let liar = liars.into_iter().find(|liar| (liar.id < victim.id) == liar_comes_first).unwrap();
        let charter = charter(&[&own, &victim, &liar]);
        let mut node = Node::new(charter.clone(), public(&own.node), 0);
        let cards = [&own, &victim, &liar]
            .map(|org| [org.card_version(charter.network), org.acceptance(charter.network, None)]);
        for version in cards.as_flattened() {
            node.restore(version.clone(), false);
        }
        node.restored();
        assert_eq!(node.standing(&liar.id), Standing::Member);
        let dialled = node.handle(NOW, Input::Tick);
        assert!(dialled.contains(&Output::Dial { peer: public(&victim.node) }), "{dialled:?}");
    }
}

#[test]
fn the_cards_of_256_strangers_are_remembered_and_of_more_those_with_the_lowest_ids() {
    let mut world = World::new(1);
    let network = world.network();
    let stranger = |number: usize| {
        let org = Org::new(60);
        let nonce = [number.to_be_bytes(), [0; 8]].concat();
        let card = v1::OrgCard { nonce, ..v1::OrgCard::decode(org.card.as_slice()).unwrap() }.encode_to_vec();
        Org { id: OrgId::of_genesis_card(&card), card, ..org }
    };
    let mut strangers: Vec<Org> = (0..=trust::STRANGERS_MAX).map(stranger).collect();
    strangers.sort_by_key(|org| org.id);
    let remembered = |world: &World| strangers.iter().filter(|org| world.nodes[0].card(&org.id).is_some()).count();
    let (lowest, others) = strangers.split_first().unwrap();
    for org in others {
        world.publish(0, vec![org.card_version(network)]);
    }
    assert_eq!(remembered(&world), trust::STRANGERS_MAX);
    world.publish(0, vec![lowest.card_version(network)]);
    assert_eq!(remembered(&world), trust::STRANGERS_MAX);
    assert!(world.nodes[0].card(&lowest.id).is_some());
    assert!(world.nodes[0].card(&others.last().unwrap().id).is_none());
}

#[test]
fn who_shares_no_members_records_does_not_pass_for_one_who_holds_the_same() {
    let mut world = World::new(2);
    // Node 1 knows the other one as a key of nobody, and is asked to compare what members share.
    let stranger = public(&SigningKey::from_bytes(&[77; 32]));
    world.greet(1, stranger, false);
    let ranges = crate::sync::write_ranges(SetKey::default(), &crate::sync::opening(&Index::new()));
    let request = v1::Reconcile { audience: 1, session: 1, ranges, ..Default::default() };
    let outputs = world.receive(1, stranger, v1::frame::Content::Reconcile(request));
    let [Output::Send { frame, .. }, ..] = outputs.as_slice() else { panic!("{outputs:?}") };
    // Node 0 knows it as a member, and gets that answer.
    let peer = world.peer(1);
    world.greet(0, peer, false);
    let link = world.nodes[0].links.get_mut(&peer).unwrap();
    let audience = Audience::Members;
    let (outstanding, requests, found_difference, head, active_at) = (1, 1, false, 0, NOW);
    link.session = Some(super::super::link::Session {
        id: 1,
        audience,
        outstanding,
        requests,
        found_difference,
        head,
        left: 0,
        active_at,
    });
    world.nodes[0].handle(NOW, Input::Received { peer, frame: frame.clone() });
    let link = &world.nodes[0].links[&peer];
    assert!(link.session.is_none());
    assert_eq!((link.in_sync[1], link.is_level[1]), (false, false));
    assert_eq!(link.compare_at[1], NOW + 1_000, "it may share them soon");
}
