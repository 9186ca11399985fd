//! Organisations with their keys, and nodes with stores in memory that talk over links without delay.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ed25519_dalek::{Signer, SigningKey};
use prost::Message;

use super::super::*;
use crate::id::RecordId;
use crate::key::{Domain, PublicKey};
use crate::kind::Kind;
use crate::network::card::card_record_id;
use crate::network::invite::Invitation;
use crate::network::statement::statement_record_id;
use crate::set::SetKey;
use crate::v1;
use crate::v1::frame::Content;
use crate::version::{Header, lease_until_max};

pub(super) const NOW: UnixMillis = 1_790_000_000_000;

pub(super) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap()
}

/// An organisation with its keys; the node key is derived from the same seed.
pub(super) struct Org {
    pub(super) root: SigningKey,
    pub(super) device: SigningKey,
    pub(super) node: SigningKey,
    pub(super) card: Vec<u8>,
    pub(super) id: OrgId,
}

impl Org {
    pub(super) fn new(seed: u8) -> Org {
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

    pub(super) fn sign(
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

    pub(super) fn card_version(&self, network: NetworkId) -> SignedVersion {
        let record = card_record_id(&self.id, &self.card);
        self.sign(&self.root, network, Kind::CARD, record, Hlc::new(NOW, 0), &self.card)
    }

    pub(super) fn acceptance(&self, network: NetworkId, inviter: Option<&Org>) -> SignedVersion {
        let mut acceptance = v1::Acceptance { charter: network.0.to_vec(), ..Default::default() };
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

    pub(super) fn service(&self, network: NetworkId, local_id: &str, name: &str, at: Hlc) -> SignedVersion {
        let record = RecordId::derive(&self.id, Kind::SERVICE, Audience::Public, local_id);
        let body = v1::Service { local_id: local_id.into(), name: name.into(), ..Default::default() }.encode_to_vec();
        self.sign(&self.device, network, Kind::SERVICE, record, at, &body)
    }

    pub(super) fn withdrawal(&self, network: NetworkId, local_id: &str, at: Hlc) -> SignedVersion {
        let record = RecordId::derive(&self.id, Kind::SERVICE, Audience::Public, local_id);
        self.sign(&self.device, network, Kind::SERVICE, record, at, b"")
    }
}

pub(super) fn charter(founders: &[&Org]) -> Charter {
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

/// An audit that waits: of which node, its ticket, and what is to be checked.
pub(super) type WaitingAudit = (usize, u64, Vec<(Slot, PublicKey)>);

/// Nodes with stores in memory, joined by links without delay. Everything that a driver does, and nothing else.
pub(super) struct World {
    pub(super) now: UnixMillis,
    pub(super) charter: Charter,
    pub(super) orgs: Vec<Org>,
    pub(super) nodes: Vec<Node>,
    pub(super) stores: Vec<BTreeMap<Slot, (SignedVersion, bool)>>,
    pub(super) links: Vec<(usize, usize)>,
    pub(super) published: Vec<Vec<Outcome>>,
    pub(super) disconnected: Vec<(usize, usize, String)>,
    pub(super) log: Vec<(usize, Output)>,
    pub(super) cursors: Vec<Vec<(Peer, Audience, LogPlace)>>,
    /// Versions that the driver sends in one answer.
    pub(super) answer_versions_max: usize,
    /// Organisations that are kept as vouched for, by node.
    pub(super) vouched: Vec<BTreeSet<OrgId>>,
    /// Audits that no driver has done yet, where they are not done at once.
    pub(super) audits: Option<Vec<WaitingAudit>>,
}

impl World {
    /// The first organisation founds the network; the others are invited by it. Nobody is linked.
    pub(super) fn new(count: u8) -> World {
        let mut world = World::empty(count);
        world.welcome();
        world
    }

    /// The same before the nodes were made and anybody joined: [`World::welcome`] does it.
    pub(super) fn empty(count: u8) -> World {
        let orgs: Vec<Org> = (1..=count).map(Org::new).collect();
        let charter = charter(&[&orgs[0]]);
        World {
            now: NOW,
            charter,
            stores: vec![BTreeMap::new(); orgs.len()],
            cursors: vec![Vec::new(); orgs.len()],
            answer_versions_max: 1_000,
            vouched: vec![BTreeSet::new(); orgs.len()],
            audits: None,
            orgs,
            nodes: Vec::new(),
            links: Vec::new(),
            published: Vec::new(),
            disconnected: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Makes the nodes and tells them of all organisations.
    pub(super) fn welcome(&mut self) {
        let node = |(org, seed): (&Org, u64)| Node::new(self.charter.clone(), public(&org.node), seed);
        self.nodes = self.orgs.iter().zip(0..).map(node).collect();
        let network = self.network();
        let mut welcome = vec![self.orgs[0].card_version(network), self.orgs[0].acceptance(network, None)];
        for org in &self.orgs[1..] {
            welcome.extend([org.card_version(network), org.acceptance(network, Some(&self.orgs[0]))]);
        }
        for node in 0..self.nodes.len() {
            self.publish(node, welcome.clone());
        }
    }

    pub(super) fn network(&self) -> NetworkId {
        self.charter.network
    }

    pub(super) fn peer(&self, node: usize) -> Peer {
        public(&self.orgs[node].node)
    }

    pub(super) fn node_of(&self, peer: &Peer) -> usize {
        (0..self.orgs.len()).find(|node| self.peer(*node) == *peer).unwrap()
    }

    pub(super) fn publish(&mut self, node: usize, versions: Vec<SignedVersion>) -> Vec<Outcome> {
        let envelopes = versions.iter().map(|version| version.envelope().to_vec()).collect();
        self.published.clear();
        self.run(node, Input::Published { ticket: 0, envelopes });
        self.published.pop().unwrap()
    }

    pub(super) fn link(&mut self, a: usize, b: usize) {
        self.links.push((a, b));
        let (peer_a, peer_b) = (self.peer(a), self.peer(b));
        self.run_all([
            (b, Input::Connected { peer: peer_a, outbound: false }),
            (a, Input::Connected { peer: peer_b, outbound: true }),
        ]);
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        self.links.retain(|link| *link != (a, b) && *link != (b, a));
        let (peer_a, peer_b) = (self.peer(a), self.peer(b));
        self.run(a, Input::Disconnected { peer: peer_b });
        self.run(b, Input::Disconnected { peer: peer_a });
    }

    /// A link of a node to a peer that says what the test has it say. Nothing that follows is performed.
    pub(super) fn greet(&mut self, node: usize, peer: Peer, outbound: bool) -> Vec<Output> {
        let network = self.network().0.to_vec();
        let hello = v1::Hello { level: 1, level_min: 1, network, clock_ms: self.now, ..Default::default() };
        let mut outputs = self.nodes[node].handle(self.now, Input::Connected { peer, outbound });
        outputs.extend(self.receive(node, peer, Content::Hello(hello)));
        outputs
    }

    /// What a node does with a frame. Nothing of it is performed.
    pub(super) fn receive(&mut self, node: usize, peer: Peer, content: Content) -> Vec<Output> {
        self.nodes[node].handle(self.now, Input::Received { peer, frame: write_frame(content) })
    }

    /// Builds a node anew from its store, under another name of its log. Its links must be cut.
    pub(super) fn restart(&mut self, node: usize) {
        let seed = self.nodes[node].next_ticket.wrapping_add(1_000);
        self.nodes[node] = Node::new(self.charter.clone(), self.peer(node), seed);
        for (version, lapsed) in self.stores[node].values() {
            self.nodes[node].restore(version.clone(), *lapsed);
        }
        for (peer, audience, place) in &self.cursors[node] {
            self.nodes[node].restore_cursor(*peer, *audience, *place);
        }
        self.vouched[node].iter().for_each(|org| self.nodes[node].restore_vouched(*org));
        self.nodes[node].restored();
    }

    /// What a driver answers to an audit.
    pub(super) fn audited(&self, node: usize, ticket: u64, slots: &[(Slot, PublicKey)]) -> Input {
        let row = |(slot, key): &(Slot, PublicKey)| Some((self.stores[node].get(slot)?.0.clone(), *key));
        Input::verified(ticket, slots.iter().filter_map(row).collect())
    }

    pub(super) fn is_linked(&self, a: usize, b: usize) -> bool {
        self.links.contains(&(a, b)) || self.links.contains(&(b, a))
    }

    pub(super) fn run(&mut self, node: usize, input: Input) {
        self.run_all([(node, input)]);
    }

    pub(super) fn run_all<const N: usize>(&mut self, inputs: [(usize, Input); N]) {
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

    pub(super) fn perform(&mut self, node: usize, output: Output, queue: &mut VecDeque<(usize, Input)>) {
        let me = self.peer(node);
        match output {
            Output::Verify { ticket, versions } => queue.push_back((node, Input::verified(ticket, versions))),
            Output::Audit { ticket, slots } => match &mut self.audits {
                Some(audits) => audits.push((node, ticket, slots)),
                None => queue.push_back((node, self.audited(node, ticket, &slots))),
            },
            Output::Persist { operations, .. } => {
                for operation in operations {
                    let store = &mut self.stores[node];
                    match operation {
                        Operation::Put { slot, envelope, .. } => {
                            store.insert(slot, (SignedVersion::read(envelope).unwrap(), false));
                        }
                        Operation::Lapse { slot, has_lapsed } => store.get_mut(&slot).unwrap().1 = has_lapsed,
                        Operation::Forget { slot } => drop(store.remove(&slot)),
                        Operation::Cursors { places } => self.cursors[node] = places,
                        Operation::Vouched { org } => assert!(self.vouched[node].insert(org)),
                        Operation::Audited { org } => assert!(self.vouched[node].remove(&org)),
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
            Output::SendVersions { to, want, slots, more } => {
                let other = self.node_of(&to);
                let store = &self.stores[node];
                let fit = slots.len().min(self.answer_versions_max);
                let envelopes: Vec<Vec<u8>> = slots[..fit]
                    .iter()
                    .filter_map(|slot| store.get(slot))
                    .map(|(version, _)| version.envelope().to_vec())
                    .collect();
                for frame in versions_frames(want, envelopes, more || fit < slots.len()) {
                    queue.push_back((other, Input::Received { peer: me, frame }));
                }
            }
            Output::Disconnect { peer, message, .. } => {
                let other = self.node_of(&peer);
                self.links.retain(|link| *link != (node, other) && *link != (other, node));
                self.disconnected.push((node, other, message));
                queue.push_back((other, Input::Disconnected { peer: me }));
            }
            Output::Sign { header, body } => {
                let signature = self.orgs[node].node.sign(&header.signing_bytes(&body)).to_bytes();
                let version = SignedVersion::assemble(&header, &body, &signature).unwrap();
                queue.push_back((node, Input::Signed { envelope: version.envelope().to_vec() }));
            }
            Output::Published { outcomes, .. } => self.published.push(outcomes),
            Output::Close { peer } => {
                let other = self.node_of(&peer);
                self.links.retain(|link| *link != (node, other) && *link != (other, node));
            }
            Output::Processed { .. } | Output::Dial { .. } | Output::Notice(_) => {}
        }
    }

    pub(super) fn tick(&mut self, later_ms: u64) {
        self.now += later_ms;
        for node in 0..self.nodes.len() {
            self.run(node, Input::Tick);
        }
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..10 {
            self.tick(1_500);
        }
    }

    pub(super) fn assert_equal(&self) {
        for (node, store) in self.nodes.iter().zip(&self.stores) {
            assert_eq!(node.set(Audience::Public).len(), store.len(), "index and store agree");
        }
        let roots: Vec<_> = self.nodes.iter().map(|node| node.set(Audience::Public).total()).collect();
        assert!(roots.windows(2).all(|pair| pair[0] == pair[1]), "{roots:?}");
    }

    pub(super) fn name_at(&self, node: usize, org: usize, local_id: &str) -> Option<String> {
        let record = RecordId::derive(&self.orgs[org].id, Kind::SERVICE, Audience::Public, local_id);
        let slot = Slot { audience: Audience::Public, key: SetKey::derive(Kind::SERVICE, &self.orgs[org].id, &record) };
        let (version, lapsed) = self.stores[node].get(&slot)?;
        if version.is_withdrawal() || *lapsed {
            return None;
        }
        Some(v1::Service::decode(version.body()).unwrap().name)
    }

    pub(super) fn service(&self, org: usize, local_id: &str, name: &str, later_ms: u64) -> SignedVersion {
        self.orgs[org].service(self.network(), local_id, name, Hlc::new(self.now + later_ms, 0))
    }
}

pub(super) fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::Published { .. } => "published",
        Outcome::Duplicate => "duplicate",
        Outcome::Superseded => "superseded",
        Outcome::Rejected(why) => why.name(),
    };
    outcomes.iter().map(name).collect()
}
