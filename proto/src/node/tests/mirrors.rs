//! Read-only mirrors: what they get, and that nothing else crosses their links.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use ed25519_dalek::{Signer, SigningKey};
use prost::Message;

use super::super::peering::MEMBERSHIP_WAIT_MS;
use super::super::*;
use super::world::*;
use crate::id::RecordId;
use crate::kind::Kind;
use crate::limits::MIRRORS_MAX;
use crate::set::SetKey;
use crate::v1;
use crate::v1::frame::Content;
use crate::version::{Header, lease_until_max};

/// A members' record of an organisation.
fn secret(world: &World, org: usize, local_id: &str) -> SignedVersion {
    let org = &world.orgs[org];
    let at = Hlc::new(world.now, 7);
    let header = Header {
        audience: Audience::Members,
        kind: Kind::SERVICE,
        network: world.network(),
        org: org.id,
        record: RecordId::derive(&org.id, Kind::SERVICE, Audience::Members, local_id),
        device: org.device.verifying_key().to_bytes(),
        hlc: at,
        prev: [0; 8],
        lease_until: lease_until_max(at),
    };
    let body = v1::Service { local_id: local_id.into(), name: "Night line".into(), ..Default::default() };
    let body = body.encode_to_vec();
    SignedVersion::assemble(&header, &body, &org.device.sign(&header.signing_bytes(&body)).to_bytes()).unwrap()
}

/// A node of nobody, which mirrors; its number in the world.
fn add_mirror(world: &mut World) -> usize {
    world.orgs.push(Org::new(200));
    world.stores.push(Default::default());
    world.cursors.push(Vec::new());
    let mirror = world.orgs.len() - 1;
    world.nodes.push(Node::new_mirror(world.charter.clone(), world.peer(mirror), 77));
    mirror
}

fn allow(world: &mut World, node: usize, keys: impl IntoIterator<Item = Peer>) {
    let keys = keys.into_iter().collect();
    world.run(node, Input::Mirrors { keys });
}

/// Everything that node 0 does towards a mirror while it edits, withdraws, loses the mirror and gets it back; and the world after.
/// With `is_secretive`, there are members' records from before, more come while the mirror is linked and while it is away, one
/// goes, and a member that brings them comes and goes.
fn story(is_secretive: bool) -> (Vec<(UnixMillis, Output)>, World, usize) {
    let mut world = World::new(2);
    let mirror = add_mirror(&mut world);
    let peer = world.peer(mirror);
    let whisper = |world: &mut World, org: usize, names: &[&str]| {
        let versions: Vec<SignedVersion> = names.iter().map(|name| secret(world, org, name)).collect();
        if is_secretive {
            assert!(
                names.is_empty()
                    || world
                        .publish(org, versions)
                        .iter()
                        .all(|outcome| { matches!(outcome, Outcome::Published { .. }) })
            );
        }
    };
    let mut sent = Vec::new();
    let mut note = |world: &mut World| {
        let concerns = |output: &Output| match output {
            Output::Send { to, .. } => to.contains(&peer),
            Output::SendVersions { to, .. } => *to == peer,
            Output::Disconnect { peer: other, .. } | Output::Processed { peer: other } => *other == peer,
            _ => false,
        };
        let log = std::mem::take(&mut world.log);
        let now = world.now;
        sent.extend(log.into_iter().filter(|(node, output)| *node == 0 && concerns(output)).map(|(_, output)| {
            let output = match output {
                Output::Send { frame, .. } => Output::Send { to: vec![peer], frame },
                other => other,
            };
            (now, output)
        }));
    };
    whisper(&mut world, 0, &["before"]);
    let first = vec![world.service(0, "open", "Open", 0), world.service(0, "gone", "Gone", 0)];
    world.publish(0, first);
    world.link(1, 0);
    world.settle();
    allow(&mut world, 0, [peer]);
    world.link(mirror, 0);
    note(&mut world);
    for _ in 0..10 {
        world.tick(1_500);
        note(&mut world);
    }
    assert_eq!(world.name_at(mirror, 0, "open").as_deref(), Some("Open"), "what was there before");
    whisper(&mut world, 0, &["while linked", "and another"]);
    whisper(&mut world, 1, &["of the other"]);
    note(&mut world);
    // News at once, without a tick.
    let news = world.service(1, "news", "News", 10);
    world.publish(1, vec![news]);
    assert_eq!(world.name_at(mirror, 1, "news").as_deref(), Some("News"));
    let withdrawal = world.orgs[0].withdrawal(world.network(), "gone", Hlc::new(world.now + 20, 0));
    world.publish(0, vec![withdrawal]);
    assert_eq!(world.name_at(mirror, 0, "gone"), None);
    note(&mut world);
    world.tick(1_500);
    note(&mut world);
    world.cut(mirror, 0);
    note(&mut world);
    whisper(&mut world, 1, &["while away"]);
    let missed = vec![world.service(0, "missed", "Missed", 30), world.service(0, "open", "Edited", 30)];
    world.publish(0, missed);
    world.tick(1_500);
    world.link(mirror, 0);
    for _ in 0..300 {
        world.tick(1_500);
        note(&mut world);
    }
    assert_eq!(world.name_at(mirror, 0, "missed").as_deref(), Some("Missed"), "what it was away for");
    assert_eq!(world.name_at(mirror, 0, "open").as_deref(), Some("Edited"));
    (sent, world, mirror)
}

#[test]
fn no_frame_to_a_mirror_differs_in_content_number_or_time_for_what_is_there_for_members() {
    let (with, world, mirror) = story(true);
    assert!(world.nodes[0].set(Audience::Members).len() >= 5, "there is something to keep secret");
    assert_eq!(world.nodes[mirror].set(Audience::Members).len(), 0);
    let public = |node: usize| world.nodes[node].set(Audience::Public).total();
    assert_eq!(public(mirror), public(0));
    let (without, ..) = story(false);
    assert_eq!(with.len(), without.len());
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with, without);
    }
    let mut kinds = BTreeSet::new();
    for (_, output) in with {
        let Output::Send { frame, .. } = output else {
            if let Output::SendVersions { slots, .. } = output {
                assert!(slots.iter().all(|slot| slot.audience == Audience::Public));
            }
            continue;
        };
        let all_public = |envelopes: &[Vec<u8>]| {
            envelopes
                .iter()
                .all(|envelope| SignedVersion::read(envelope.clone()).unwrap().header().audience == Audience::Public)
        };
        match read_frame(&frame).unwrap() {
            Content::Hello(hello) => {
                assert_eq!(hello.sets.iter().map(|set| set.audience).collect::<Vec<_>>(), [0]);
                kinds.insert("hello");
            }
            Content::Versions(versions) => assert!(all_public(&versions.envelopes)),
            Content::Compressed(frame) => assert!(all_public(&read_compressed(&frame).unwrap().envelopes)),
            Content::Reconcile(frame) => assert!(frame.round % 2 == 1, "a source only answers"),
            Content::Offer(offer) => assert_eq!(offer.audience, 0),
            Content::Progress(progress) => {
                assert_eq!(progress.audience, 0);
                kinds.insert("progress");
            }
            Content::Arrivals(arrivals) => {
                assert!(!arrivals.stale);
                kinds.insert("arrivals");
            }
            Content::Ping(_) | Content::Pong(_) | Content::Bye(_) => {}
            other => panic!("{other:?} has no place on a link to a mirror"),
        }
    }
    assert_eq!(kinds, BTreeSet::from(["hello", "progress", "arrivals"]), "the story has it all");
}

/// Frames that outputs send to a peer.
fn sent_to(outputs: &[Output], peer: Peer) -> Vec<Content> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send { to, frame } if to.contains(&peer) => Some(read_frame(frame).unwrap()),
        _ => None,
    });
    sent.collect()
}

#[test]
fn what_a_mirror_asks_for_of_the_members_set_is_answered_as_if_there_were_none() {
    let mut world = World::new(1);
    let version = secret(&world, 0, "night");
    let slot = Slot::of(version.header());
    world.publish(0, vec![version]);
    let peer = public(&SigningKey::from_bytes(&[90; 32]));
    allow(&mut world, 0, [peer]);
    world.greet(0, peer, false);
    let all = crate::sync::Range { upper: None, content: crate::sync::RangeContent::Fingerprint([0; 16]) };
    let ranges = crate::sync::write_ranges(SetKey::default(), &[all]);
    let keys = crate::sync::write_keys([&slot.key]);
    let epoch = world.nodes[0].logs[1].head().epoch;
    let mut said = Vec::new();
    for content in [
        Content::Want(v1::Want { audience: 1, want: 1, keys, graft: true }),
        Content::Fetch(v1::Fetch { audience: 1, want: 2, lower: Vec::new(), upper: None }),
        Content::CatchUp(v1::CatchUp { audience: 1, want: 3, epoch, since: 0 }),
        Content::Reconcile(v1::Reconcile { audience: 1, session: 4, ranges, ..Default::default() }),
    ] {
        let outputs = world.receive(0, peer, content);
        assert!(!outputs.iter().any(|output| matches!(output, Output::SendVersions { .. })), "{outputs:?}");
        said.extend(sent_to(&outputs, peer));
    }
    let [Content::Versions(want), Content::Versions(fetch), Content::Arrivals(arrivals), Content::Reconcile(reply)] =
        &said[..]
    else {
        panic!("{said:?}")
    };
    assert!(want.envelopes.is_empty() && fetch.envelopes.is_empty() && want.last && fetch.last && !fetch.more);
    assert!(arrivals.stale && arrivals.through == 0 && arrivals.fingerprint.is_empty());
    assert_eq!(reply.ranges, [0x80], "one skip to the end");
}

#[test]
fn what_a_mirror_tells_is_not_heard_and_a_version_from_it_ends_its_link() {
    let mut world = World::new(2);
    let peer = public(&SigningKey::from_bytes(&[90; 32]));
    allow(&mut world, 0, [peer]);
    let version = world.service(0, "a", "A", 0);
    let (vid, head) = (version.vid(), Slot::of(version.header()));
    world.publish(0, vec![version]);
    world.greet(0, peer, false);
    let news = world.service(1, "b", "B", 0);
    let lacking = (Slot::of(news.header()).key, news.vid());
    let held = crate::sync::write_pairs(&[(head.key, vid)]);
    let offered = crate::sync::write_pairs(&[lacking]);
    let root = world.peer(1).as_bytes().to_vec();
    for content in [
        Content::Offer(v1::Offer { audience: 0, pairs: held, ..Default::default() }),
        Content::Offer(v1::Offer { audience: 0, pairs: offered.clone(), ..Default::default() }),
        Content::Offer(v1::Offer { audience: 0, pairs: offered, announced: true, ..Default::default() }),
        Content::Progress(v1::Progress { audience: 0, sequence: 9, consumed: 9, level: true }),
        Content::Prune(v1::Prune {}),
        Content::Neighbours(v1::Neighbours { keys: root.clone() }),
        Content::Beat(v1::Beat { root, sequence: 1, hops: 0 }),
        Content::Versions(v1::Versions { want: 5, last: true, ..Default::default() }),
    ] {
        assert_eq!(world.receive(0, peer, content), [Output::Processed { peer }]);
    }
    assert_eq!(world.nodes[0].held_by(&vid), 0, "spread is what members' nodes hold");
    // It has everything, we nothing: it is answered by the rules, and not asked.
    let lists = crate::sync::Range { upper: None, content: crate::sync::RangeContent::Digests(vec![[9; 4]]) };
    let ranges = crate::sync::write_ranges(SetKey::first_of(crate::kind::Class::Record, &OrgId([0xff; 32])), &[lists]);
    let lower = SetKey::first_of(crate::kind::Class::Record, &OrgId([0xff; 32])).0.to_vec();
    let reconcile = v1::Reconcile { audience: 0, session: 4, lower, ranges, ..Default::default() };
    let said = world.receive(0, peer, Content::Reconcile(reconcile));
    assert!(matches!(sent_to(&said, peer)[..], [Content::Reconcile(_)]), "{said:?}");
    for later in [0, 1_500, 400_000] {
        world.now += later;
        let outputs = world.nodes[0].handle(world.now, Input::Tick);
        let asked = sent_to(&outputs, peer).into_iter().find(|content| {
            matches!(content, Content::Want(_) | Content::Fetch(_) | Content::CatchUp(_) | Content::Reconcile(_))
        });
        assert_eq!(asked, None, "a mirror is never asked");
    }
    let frame = versions_frames(0, [news.envelope().to_vec()], false).remove(0);
    let outputs = world.nodes[0].handle(world.now, Input::Received { peer, frame });
    let ended = |output: &Output| matches!(output, Output::Disconnect { code: v1::ByeCode::Breach, .. });
    assert!(outputs.iter().any(ended), "{outputs:?}");
    assert_eq!(world.name_at(0, 1, "b"), None);
}

#[test]
fn a_mirror_stays_while_it_is_allowed_and_is_cut_at_once_when_it_is_not() {
    let mut world = World::new(2);
    let keys: Vec<Peer> = (1..=MIRRORS_MAX as u8 + 1).map(|n| public(&SigningKey::from_bytes(&[n; 32]))).collect();
    let mut keys: Vec<Peer> = keys.into_iter().collect::<BTreeSet<Peer>>().into_iter().collect();
    allow(&mut world, 0, keys.clone());
    for key in &keys {
        world.greet(0, *key, false);
    }
    // One more than the limit is nobody's key.
    let too_many = keys.pop().unwrap();
    let is_mirror = |world: &World, key: &Peer| world.nodes[0].links.get(key).is_some_and(|link| link.is_mirror);
    assert!(keys.iter().all(|key| is_mirror(&world, key)) && !is_mirror(&world, &too_many));
    world.now += MEMBERSHIP_WAIT_MS + 1;
    let outputs = world.nodes[0].handle(world.now, Input::Tick);
    let parted = |outputs: &[Output]| -> Vec<Peer> {
        let parted = outputs.iter().filter_map(|output| match output {
            Output::Disconnect { peer, code: v1::ByeCode::NotAMember, .. } => Some(*peer),
            _ => None,
        });
        parted.collect()
    };
    assert_eq!(parted(&outputs), [too_many]);
    let forbidden = keys.pop().unwrap();
    let left: BTreeSet<Peer> = keys.iter().copied().collect();
    let outputs = world.nodes[0].handle(world.now, Input::Mirrors { keys: left });
    assert_eq!(parted(&outputs), [forbidden]);
    assert_eq!(world.nodes[0].links.len(), keys.len());
    // They take no place of a member's node: the overlay does not know them.
    assert_eq!(world.nodes[0].broadcast.eager().count(), 0);
}

#[test]
fn a_key_that_comes_onto_a_members_card_is_no_mirrors_any_more() {
    let mut world = World::new(2);
    let network = world.network();
    let newcomer = Org::new(60);
    let peer = public(&newcomer.node);
    allow(&mut world, 0, [peer]);
    world.greet(0, peer, false);
    let envelopes = [newcomer.card_version(network), newcomer.acceptance(network, Some(&world.orgs[0]))];
    let envelopes = envelopes.map(|version| version.envelope().to_vec()).to_vec();
    let outputs = world.nodes[0].handle(NOW, Input::Published { ticket: 1, envelopes });
    let ended = |output: &Output| matches!(output, Output::Disconnect { code: v1::ByeCode::Elsewhere, .. });
    assert!(outputs.iter().any(ended), "{outputs:?}");
    let outputs = world.greet(0, peer, false);
    let hello = sent_to(&outputs, peer).into_iter().find_map(|content| match content {
        Content::Hello(hello) => Some(hello),
        _ => None,
    });
    assert_eq!(hello.unwrap().sets.len(), 2, "the operator's word takes nothing from a member");
}

#[test]
fn a_mirror_takes_nothing_from_admins_keeps_no_members_record_and_tells_nobody_anything() {
    let mut world = World::new(2);
    let mirror = add_mirror(&mut world);
    let own = world.service(0, "own", "Own", 0);
    assert_eq!(names(&world.publish(mirror, vec![own])), ["read-only"]);
    assert_eq!(world.nodes[mirror].set(Audience::Public).len(), 0);
    let peer = world.peer(mirror);
    allow(&mut world, 0, [peer]);
    allow(&mut world, 1, [peer]);
    world.link(mirror, 0);
    world.settle();
    let version = world.service(0, "a", "A", 0);
    world.publish(0, vec![version]);
    world.settle();
    // The second source lacks what the mirror has by then, and is not told.
    world.link(mirror, 1);
    world.settle();
    assert_eq!(world.name_at(mirror, 0, "a").as_deref(), Some("A"));
    assert_eq!(world.name_at(1, 0, "a"), None);
    assert!(world.is_linked(mirror, 0) && world.is_linked(mirror, 1));
    // A source that takes it for a member's node pushes something that a mirror must not have.
    let night = secret(&world, 0, "night");
    let pair = (Slot::of(night.header()).key, night.vid());
    let source = world.peer(0);
    let frame = versions_frames(0, [night.envelope().to_vec()], false).remove(0);
    world.run(mirror, Input::Received { peer: source, frame });
    assert_eq!(world.nodes[mirror].set(Audience::Members).len(), 0);
    let pairs = crate::sync::write_pairs(&[pair]);
    let offer = v1::Offer { audience: 1, pairs, ..Default::default() };
    assert_eq!(world.receive(mirror, source, Content::Offer(offer)), [Output::Processed { peer: source }]);
    for (node, output) in &world.log {
        let Output::Send { frame, .. } = output else {
            assert!(*node != mirror || !matches!(output, Output::SendVersions { .. }), "{output:?}");
            continue;
        };
        if *node == mirror {
            match read_frame(frame).unwrap() {
                Content::Hello(hello) => assert_eq!(hello.sets.len(), 1),
                Content::Reconcile(frame) => assert_eq!(frame.audience, 0),
                Content::Want(_) | Content::Fetch(_) | Content::CatchUp(_) | Content::Take(_) => {}
                Content::Ping(_) | Content::Pong(_) => {}
                other => panic!("a mirror said {other:?}"),
            }
        }
    }
}

#[test]
fn a_mirror_dials_its_sources_and_no_other_node_whatever_the_cards_say() {
    let mut world = World::new(1);
    let mut dialable = Org::new(61);
    let mut card = v1::OrgCard::decode(dialable.card.as_slice()).unwrap();
    card.endpoints = vec!["node.example:7474".to_owned()];
    dialable.card = card.encode_to_vec();
    dialable.id = OrgId::of_genesis_card(&dialable.card);
    let network = world.network();
    let welcome = vec![dialable.card_version(network), dialable.acceptance(network, Some(&world.orgs[0]))];
    world.publish(0, welcome);
    let mirror = add_mirror(&mut world);
    let (peer, source) = (world.peer(mirror), world.peer(0));
    allow(&mut world, 0, [peer]);
    world.run(mirror, Input::Introduced { peer: source });
    world.link(mirror, 0);
    world.settle();
    assert_eq!(world.nodes[mirror].standing(&dialable.id), Standing::Member);
    let dials = |world: &World, of: usize| -> Vec<Peer> {
        let dials = world.log.iter().filter_map(|(node, output)| match output {
            Output::Dial { peer } if *node == of => Some(*peer),
            _ => None,
        });
        dials.collect()
    };
    assert_eq!(dials(&world, mirror), [source]);
    assert!(dials(&world, 0).contains(&public(&dialable.node)), "a member's node does dial it");
}
