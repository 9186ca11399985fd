#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};

use ed25519_dalek::{Signer, SigningKey};
use prost::Message;

use super::*;
use crate::id::RecordId;
use crate::key::{Domain, PublicKey};
use crate::kind::Kind;
use crate::network::card::card_record_id;
use crate::network::invite::Invitation;
use crate::network::statement::statement_record_id;
use crate::time::{DAY_MS, HOUR_MS};
use crate::v1;
use crate::version::{Header, lease_until_max};

const NOW: UnixMillis = 1_790_000_000_000;

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap()
}

/// An organisation with its keys; the node key is derived from the same seed.
struct Org {
    root: SigningKey,
    device: SigningKey,
    node: SigningKey,
    card: Vec<u8>,
    id: OrgId,
}

impl Org {
    fn new(seed: u8) -> Org {
        let key = |n: u8| SigningKey::from_bytes(&std::array::from_fn(|i| if i == 0 { n } else { seed }));
        let (root, device, node) = (key(1), key(2), key(3));
        let card = v1::OrgCard {
            root_keys: vec![public(&root).as_bytes().to_vec()],
            recovery_digest: vec![0; 32],
            devices: vec![
                v1::Device { key: public(&device).as_bytes().to_vec(), roles: vec![1], ..Default::default() },
                v1::Device { key: public(&node).as_bytes().to_vec(), roles: vec![2], ..Default::default() },
            ],
            name: format!("Organisation {seed}"),
            nonce: vec![seed; 16],
            ..Default::default()
        }
        .encode_to_vec();
        Org { id: OrgId::of_genesis_card(&card), root, device, node, card }
    }

    fn sign(
        &self,
        key: &SigningKey,
        network: NetworkId,
        kind: Kind,
        record: RecordId,
        at: Hlc,
        body: &[u8],
    ) -> SignedVersion {
        let is_leased = kind.is_content() && !body.is_empty();
        let header = Header {
            audience: Audience::Public,
            kind,
            network,
            org: self.id,
            record,
            device: key.verifying_key().to_bytes(),
            hlc: at,
            prev: [0; 8],
            lease_until: if is_leased { lease_until_max(at) } else { UnixHour(0) },
        };
        SignedVersion::assemble(&header, body, &key.sign(&header.signing_bytes(body)).to_bytes()).unwrap()
    }

    fn card_version(&self, network: NetworkId) -> SignedVersion {
        let record = card_record_id(&self.id, &self.card);
        self.sign(&self.root, network, Kind::CARD, record, Hlc::new(NOW, 0), &self.card)
    }

    fn acceptance(&self, network: NetworkId, inviter: Option<&Org>) -> SignedVersion {
        let mut acceptance = v1::Acceptance::default();
        if let Some(inviter) = inviter {
            let one_time = SigningKey::from_bytes(&std::array::from_fn(|i| self.id.0[i] ^ inviter.id.0[i]));
            let expires = UnixHour::containing(NOW).plus_days(14);
            let message = Invitation::signing_message(&network, &inviter.id, &public(&one_time), expires);
            let invitation = Invitation {
                inviter: inviter.id,
                device: inviter.device.verifying_key().to_bytes(),
                one_time_key: public(&one_time),
                expires,
                signature: inviter.device.sign(&Domain::Invitation.signing_bytes(&message)).to_bytes(),
            };
            let claim = Invitation::claim_message(&network, &self.id, &public(&one_time));
            acceptance.claim = one_time.sign(&Domain::Claim.signing_bytes(&claim)).to_bytes().to_vec();
            acceptance.invitation = Some(invitation.message());
        }
        let record = statement_record_id(&self.id, Kind::ACCEPTANCE, None);
        self.sign(&self.device, network, Kind::ACCEPTANCE, record, Hlc::new(NOW, 1), &acceptance.encode_to_vec())
    }

    fn service(&self, network: NetworkId, local_id: &str, name: &str, at: Hlc) -> SignedVersion {
        let record = RecordId::derive(&self.id, Kind::SERVICE, Audience::Public, local_id);
        let body = v1::Service { local_id: local_id.into(), name: name.into(), ..Default::default() }.encode_to_vec();
        self.sign(&self.device, network, Kind::SERVICE, record, at, &body)
    }

    fn withdrawal(&self, network: NetworkId, local_id: &str, at: Hlc) -> SignedVersion {
        let record = RecordId::derive(&self.id, Kind::SERVICE, Audience::Public, local_id);
        self.sign(&self.device, network, Kind::SERVICE, record, at, b"")
    }
}

fn charter(founders: &[&Org]) -> Charter {
    let mut ids: Vec<Vec<u8>> = founders.iter().map(|org| org.id.0.to_vec()).collect();
    ids.sort();
    let charter = v1::Charter {
        name: "City".into(),
        founders: ids,
        vouches_needed: 1,
        objections_needed: 2,
        lease_days_default: 180,
        lease_days_max: 400,
        nonce: vec![0; 16],
        ..Default::default()
    };
    Charter::read(&charter.encode_to_vec()).unwrap()
}

/// Nodes with stores in memory, joined by links without delay. Everything that a driver does, and nothing else.
struct World {
    now: UnixMillis,
    charter: Charter,
    orgs: Vec<Org>,
    nodes: Vec<Node>,
    stores: Vec<BTreeMap<Slot, (SignedVersion, bool)>>,
    links: Vec<(usize, usize)>,
    published: Vec<Vec<Outcome>>,
    disconnected: Vec<(usize, usize, String)>,
    log: Vec<(usize, Output)>,
}

impl World {
    /// The first organisation founds the network; the others are invited by it. Nobody is linked.
    fn new(count: u8) -> World {
        let orgs: Vec<Org> = (1..=count).map(Org::new).collect();
        let charter = charter(&[&orgs[0]]);
        let nodes = (0..orgs.len()).map(|i| Node::new(charter.clone(), i as u64)).collect();
        let mut world = World {
            now: NOW,
            charter,
            stores: vec![BTreeMap::new(); orgs.len()],
            orgs,
            nodes,
            links: Vec::new(),
            published: Vec::new(),
            disconnected: Vec::new(),
            log: Vec::new(),
        };
        let network = world.network();
        let mut welcome = vec![world.orgs[0].card_version(network), world.orgs[0].acceptance(network, None)];
        for org in &world.orgs[1..] {
            welcome.extend([org.card_version(network), org.acceptance(network, Some(&world.orgs[0]))]);
        }
        for node in 0..world.nodes.len() {
            world.publish(node, welcome.clone());
        }
        world
    }

    fn network(&self) -> NetworkId {
        self.charter.network
    }

    fn peer(&self, node: usize) -> Peer {
        public(&self.orgs[node].node)
    }

    fn node_of(&self, peer: &Peer) -> usize {
        (0..self.orgs.len()).find(|node| self.peer(*node) == *peer).unwrap()
    }

    fn publish(&mut self, node: usize, versions: Vec<SignedVersion>) -> Vec<Outcome> {
        let envelopes = versions.iter().map(|version| version.envelope().to_vec()).collect();
        self.published.clear();
        self.run(node, Input::Published { ticket: 0, envelopes });
        self.published.pop().unwrap()
    }

    fn link(&mut self, a: usize, b: usize) {
        self.links.push((a, b));
        let (peer_a, peer_b) = (self.peer(a), self.peer(b));
        self.run_all([
            (b, Input::Connected { peer: peer_a, outbound: false }),
            (a, Input::Connected { peer: peer_b, outbound: true }),
        ]);
    }

    fn cut(&mut self, a: usize, b: usize) {
        self.links.retain(|link| *link != (a, b) && *link != (b, a));
        let (peer_a, peer_b) = (self.peer(a), self.peer(b));
        self.run(a, Input::Disconnected { peer: peer_b });
        self.run(b, Input::Disconnected { peer: peer_a });
    }

    fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links.contains(&(a, b)) || self.links.contains(&(b, a))
    }

    fn run(&mut self, node: usize, input: Input) {
        self.run_all([(node, input)]);
    }

    fn run_all<const N: usize>(&mut self, inputs: [(usize, Input); N]) {
        let mut queue = VecDeque::from(inputs);
        let mut steps = 0;
        while let Some((node, input)) = queue.pop_front() {
            steps += 1;
            assert!(steps < 200_000, "the nodes never come to rest");
            for output in self.nodes[node].handle(self.now, input) {
                self.log.push((node, output.clone()));
                self.perform(node, output, &mut queue);
            }
        }
    }

    fn perform(&mut self, node: usize, output: Output, queue: &mut VecDeque<(usize, Input)>) {
        let me = self.peer(node);
        match output {
            Output::Verify { ticket, versions } => queue.push_back((node, Input::verified(ticket, versions))),
            Output::Persist { operations, .. } => {
                for operation in operations {
                    let store = &mut self.stores[node];
                    match operation {
                        Operation::Put { slot, envelope, .. } => {
                            store.insert(slot, (SignedVersion::read(envelope).unwrap(), false));
                        }
                        Operation::Lapse { slot } => store.get_mut(&slot).unwrap().1 = true,
                        Operation::Forget { slot } => drop(store.remove(&slot)),
                    }
                }
            }
            Output::Send { to, frame } => {
                for peer in to {
                    let other = self.node_of(&peer);
                    if self.is_linked(node, other) {
                        queue.push_back((other, Input::Received { peer: me, frame: frame.clone() }));
                    }
                }
            }
            Output::SendVersions { to, want, slots } => {
                let other = self.node_of(&to);
                let store = &self.stores[node];
                let envelopes: Vec<Vec<u8>> = slots
                    .iter()
                    .filter_map(|slot| store.get(slot))
                    .map(|(version, _)| version.envelope().to_vec())
                    .collect();
                for frame in versions_frames(want, envelopes) {
                    queue.push_back((other, Input::Received { peer: me, frame }));
                }
            }
            Output::Disconnect { peer, message, .. } => {
                let other = self.node_of(&peer);
                self.links.retain(|link| *link != (node, other) && *link != (other, node));
                self.disconnected.push((node, other, message));
                queue.push_back((other, Input::Disconnected { peer: me }));
            }
            Output::Published { outcomes, .. } => self.published.push(outcomes),
            Output::Close { peer } => {
                let other = self.node_of(&peer);
                self.links.retain(|link| *link != (node, other) && *link != (other, node));
            }
            Output::Processed { .. } | Output::Notice(_) => {}
        }
    }

    fn tick(&mut self, later_ms: u64) {
        self.now += later_ms;
        for node in 0..self.nodes.len() {
            self.run(node, Input::Tick);
        }
    }

    fn settle(&mut self) {
        for _ in 0..10 {
            self.tick(1_500);
        }
    }

    fn assert_equal(&self) {
        for (node, store) in self.nodes.iter().zip(&self.stores) {
            assert_eq!(node.set(Audience::Public).len(), store.len(), "index and store agree");
        }
        let roots: Vec<_> = self.nodes.iter().map(|node| node.set(Audience::Public).total()).collect();
        assert!(roots.windows(2).all(|pair| pair[0] == pair[1]), "{roots:?}");
    }

    fn name_at(&self, node: usize, org: usize, local_id: &str) -> Option<String> {
        let record = RecordId::derive(&self.orgs[org].id, Kind::SERVICE, Audience::Public, local_id);
        let slot = Slot { audience: Audience::Public, key: SetKey::derive(Kind::SERVICE, &self.orgs[org].id, &record) };
        let (version, lapsed) = self.stores[node].get(&slot)?;
        if version.is_withdrawal() || *lapsed {
            return None;
        }
        Some(v1::Service::decode(version.body()).unwrap().name)
    }

    fn service(&self, org: usize, local_id: &str, name: &str, later_ms: u64) -> SignedVersion {
        self.orgs[org].service(self.network(), local_id, name, Hlc::new(self.now + later_ms, 0))
    }
}

fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::Published { .. } => "published",
        Outcome::Duplicate => "duplicate",
        Outcome::Superseded => "superseded",
        Outcome::Rejected(why) => why.name(),
    };
    outcomes.iter().map(name).collect()
}

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
        let frame = versions_frames(0, [version.envelope().to_vec()]).swap_remove(0);
        world.nodes[0].handle(NOW, Input::Received { peer, frame })
    };
    let is_sent = |outputs: Vec<Output>| outputs.iter().any(|output| matches!(output, Output::Send { .. }));
    let (stranger, member) = (public(&Org::new(99).node), world.peer(1));
    assert!(!is_sent(greet(&mut world, stranger)));
    assert!(is_sent(greet(&mut world, member)), "a member is told");
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
    let frame = versions_frames(0, [early.envelope().to_vec()]).remove(0);
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
fn content_of_an_organisation_waits_until_its_card_and_acceptance_are_here() {
    let mut world = World::new(2);
    world.link(0, 1);
    let newcomer = Org::new(50);
    let network = world.network();
    let service = newcomer.service(network, "s", "New", Hlc::new(NOW, 5));
    let me = world.peer(0);
    let send = |world: &mut World, version: &SignedVersion| {
        let frame = versions_frames(0, [version.envelope().to_vec()]).remove(0);
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
fn a_peer_that_sends_an_oversized_or_unreadable_frame_loses_its_link_with_the_reason() {
    let mut world = World::new(2);
    let me = world.peer(0);
    for (frame, reason) in
        [(vec![0; crate::limits::FRAME_BYTES_MAX + 1], "a frame of 262145 bytes"), (vec![0xff; 10], "cannot be read")]
    {
        world.link(0, 1);
        world.disconnected.clear();
        world.run(1, Input::Received { peer: me, frame });
        assert!(world.disconnected[0].2.contains(reason), "{:?}", world.disconnected);
    }
    let largest = v1::Frame { content: Some(v1::frame::Content::Ping(v1::Ping::default())) };
    let mut frame = largest.encode_to_vec();
    // An unknown field fills the frame up to the limit: it is skipped.
    let filler = crate::limits::FRAME_BYTES_MAX - frame.len() - 5;
    frame.extend([0xfa, 0x01]);
    prost::encode_length_delimiter(filler, &mut frame).unwrap();
    frame.resize(crate::limits::FRAME_BYTES_MAX, 0);
    world.link(0, 1);
    world.disconnected.clear();
    world.run(1, Input::Received { peer: me, frame });
    assert!(world.disconnected.is_empty(), "{:?}", world.disconnected);
}

#[test]
fn one_bad_version_among_many_does_not_hold_up_the_others() {
    let mut world = World::new(2);
    world.link(0, 1);
    let me = world.peer(0);
    for position in [0, 50, 99] {
        let good: Vec<_> = (0..99).map(|n| world.service(0, &format!("p{position}-{n}"), "Good", 0)).collect();
        let mut envelopes: Vec<Vec<u8>> = good.iter().map(|version| version.envelope().to_vec()).collect();
        envelopes.insert(position, vec![7; 300]);
        let before = world.nodes[1].set(Audience::Public).len();
        world.run(1, Input::Received { peer: me, frame: versions_frames(0, envelopes).remove(0) });
        assert_eq!(world.nodes[1].set(Audience::Public).len(), before + 99);
    }
    assert!(world.is_linked(0, 1));
}

#[test]
fn a_node_restored_from_its_store_has_the_same_set_and_members() {
    let mut world = World::new(3);
    let versions = (0..50).map(|n| world.service(0, &format!("s{n}"), "x", 0)).collect();
    world.publish(0, versions);
    let mut restored = Node::new(world.charter.clone(), 0);
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
    let all = crate::sync::write_ranges(&[crate::sync::Range {
        upper: None,
        content: crate::sync::RangeContent::Fingerprint { fingerprint: [0; 16], count: 9 },
    }]);
    let lower = vec![0; 16];
    for content in [
        v1::frame::Content::Hello(hello),
        v1::frame::Content::Want(v1::Want { audience: 1, want: 1, keys: key.0.to_vec() }),
        v1::frame::Content::Reconcile(v1::Reconcile {
            audience: 1,
            session: 1,
            round: 0,
            reply: false,
            lower,
            ranges: all,
        }),
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
fn a_goodbye_ends_the_link_and_is_not_answered() {
    let mut world = World::new(2);
    world.link(0, 1);
    let me = world.peer(0);
    let bye = v1::Bye { code: v1::ByeCode::Shutdown.into(), message: "closing".into() };
    let frame = write_frame(v1::frame::Content::Bye(bye));
    let outputs = world.nodes[1].handle(NOW, Input::Received { peer: me, frame });
    assert!(outputs.contains(&Output::Close { peer: me }));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Send { .. } | Output::Disconnect { .. })));
    assert_eq!(world.nodes[1].links().count(), 0);
}

#[test]
fn a_request_of_an_odd_round_or_beyond_the_last_is_a_breach() {
    for (round, reply, good) in
        [(0, false, true), (14, false, true), (15, false, false), (16, false, false), (2, true, false)]
    {
        let mut world = World::new(2);
        world.link(0, 1);
        let me = world.peer(0);
        let ranges = crate::sync::write_ranges(&crate::sync::opening(world.nodes[0].set(Audience::Public)));
        let lower = vec![0; 16];
        let request = v1::Reconcile { audience: 0, session: 9, round, reply, lower, ranges };
        world.run(1, Input::Received { peer: me, frame: write_frame(v1::frame::Content::Reconcile(request)) });
        assert_eq!(world.is_linked(0, 1), good, "round {round}, reply {reply}: {:?}", world.disconnected);
    }
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
    let mut restored = Node::new(world.charter.clone(), 0);
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
    let frame = versions_frames(0, [probe.envelope().to_vec()]).remove(0);
    let outputs = node.handle(NOW, Input::Received { peer: unknown, frame });
    assert!(!outputs.iter().any(|output| matches!(output, Output::SendVersions { .. })), "{outputs:?}");
}

#[test]
fn a_frame_of_versions_is_accepted_at_its_number_of_envelopes_and_a_breach_beyond() {
    for (count, good) in
        [(crate::limits::VERSIONS_PER_FRAME_MAX, true), (crate::limits::VERSIONS_PER_FRAME_MAX + 1, false)]
    {
        let mut world = World::new(2);
        world.link(0, 1);
        let me = world.peer(0);
        let known = world.orgs[0].card_version(world.network()).envelope().to_vec();
        // The same short envelope many times, so that the frame's own size is not what is refused.
        let short = known[..200.min(known.len())].to_vec();
        let versions = v1::Versions { envelopes: vec![short; count], want: 0, last: true };
        let outputs = world.nodes[1]
            .handle(NOW, Input::Received { peer: me, frame: write_frame(v1::frame::Content::Versions(versions)) });
        let breach = outputs.iter().any(
            |output| matches!(output, Output::Disconnect { message, .. } if message.contains("envelopes in a frame")),
        );
        assert_eq!(!breach, good, "{count}");
    }
}

#[test]
fn a_peer_whose_replies_never_stop_asking_loses_its_link() {
    let mut world = World::new(2);
    let me = world.peer(0);
    let hello = v1::Hello {
        level: 1,
        level_min: 1,
        network: world.network().0.to_vec(),
        clock_ms: NOW,
        sets: vec![v1::SetSummary { audience: 0, fingerprint: vec![9; 16], count: 9, ..Default::default() }],
        ..Default::default()
    };
    let ranges: Vec<crate::sync::Range> = (1..=2_000u32)
        .map(|n| {
            let mut bound = [0; 16];
            bound[..4].copy_from_slice(&n.to_be_bytes());
            let content = crate::sync::RangeContent::Fingerprint { fingerprint: [1; 16], count: 1 };
            crate::sync::Range { upper: Some(SetKey(bound)), content }
        })
        .collect();
    let ranges = crate::sync::write_ranges(&ranges);
    let node = &mut world.nodes[1];
    node.handle(NOW, Input::Connected { peer: me, outbound: true });
    node.handle(NOW, Input::Received { peer: me, frame: write_frame(v1::frame::Content::Hello(hello)) });
    for replies in 1..1_000 {
        let lower = vec![0; 16];
        let reply = v1::Reconcile { audience: 0, session: 1, round: 1, reply: true, lower, ranges: ranges.clone() };
        let outputs =
            node.handle(NOW, Input::Received { peer: me, frame: write_frame(v1::frame::Content::Reconcile(reply)) });
        if outputs.iter().any(
            |output| matches!(output, Output::Disconnect { message, .. } if message.contains("requests in a session")),
        ) {
            assert_eq!(replies, 256, "16 requests follow from each reply, after the first request");
            return;
        }
    }
    panic!("the session never ends");
}
