//! A driver over a store in memory, whose batches the tests put together by hand.
#![allow(clippy::unwrap_used)]

use ed25519_dalek::{Signer, SigningKey};
use fingerpost_proto::id::{NetworkId, OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::network::card::card_record_id;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::node::{Reject, read_compressed, read_frame, write_frame};
use fingerpost_proto::time::{Hlc, UnixHour};
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::{Header, SignedVersion, lease_until_max};
use prost::Message;

mod floods;
mod hosting;
mod removals;
mod vouching;

use super::links::Queued;
use super::*;
use crate::incarnation::Incarnation;
use crate::store::{MemoryFaults, MemoryStore};

pub(crate) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap()
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// A driver with what surrounds it. Commands that its threads and handles send wait in `commands`.
pub(crate) struct Rig {
    pub(crate) driver: Driver,
    pub(crate) commands: Commands,
    pub(crate) handle: DriverHandle,
    faults: MemoryFaults,
    /// Those asked for by the node.
    _dials: mpsc::Receiver<Peer>,
    org: OrgId,
    network: NetworkId,
    published: u32,
}

impl Rig {
    /// A node without a network.
    pub(crate) fn without_network() -> Rig {
        let (handle, commands) = DriverHandle::new();
        let store = MemoryStore::new(1);
        let faults = store.faults();
        let (dials, dial_requests) = mpsc::channel(DIALS_MAX);
        let parts = Parts {
            catalogue: Catalogue::new(store.reader(), |_| {}),
            store: Box::new(store),
            verifier: Verifier::start(handle.clone()).unwrap(),
            admitted: AdmittedKeys::default(),
            own_key: public(&key(3)),
            signing_key: key(3),
            incarnation: Incarnation { number: 1, is_copy: false },
            dials,
            introduced: BTreeSet::new(),
            members_changed: tokio::sync::watch::channel(0).0,
            is_mirror: false,
            seed: 7,
            index: None,
        };
        let driver = Driver::new(parts).unwrap();
        let (org, network) = (OrgId([0; 32]), NetworkId([0; 32]));
        Rig { driver, commands, handle, faults, _dials: dial_requests, org, network, published: 0 }
    }

    /// A node of the only organisation of a network.
    pub(crate) fn new() -> Rig {
        let mut rig = Rig::without_network();
        let device = |seed: u8, role: i32| v1::Device {
            key: public(&key(seed)).as_bytes().to_vec(),
            roles: vec![role],
            ..Default::default()
        };
        let card = v1::OrgCard {
            root_keys: vec![public(&key(1)).as_bytes().to_vec()],
            recovery_digest: vec![0; 32],
            devices: vec![device(2, 1), device(3, 2)],
            name: "Library".into(),
            nonce: vec![1; 16],
            ..Default::default()
        }
        .encode_to_vec();
        rig.org = OrgId::of_genesis_card(&card);
        let charter = v1::Charter {
            name: "City".into(),
            founders: vec![rig.org.0.to_vec()],
            vouches_needed: 1,
            objections_needed: 2,
            lease_days_default: 180,
            lease_days_max: 400,
            nonce: vec![0; 16],
            ..Default::default()
        }
        .encode_to_vec();
        rig.network = Charter::read(&charter).unwrap().network;
        let card = rig.sign(&key(1), Kind::CARD, card_record_id(&rig.org, &card), &card);
        let record = statement_record_id(&rig.org, Kind::ACCEPTANCE, None);
        let acceptance = v1::Acceptance { charter: rig.network.0.to_vec(), ..Default::default() }.encode_to_vec();
        let acceptance = rig.sign(&key(2), Kind::ACCEPTANCE, record, &acceptance);
        rig.driver.found(&charter, vec![card, acceptance], None).unwrap();
        rig
    }

    fn sign(&self, key: &SigningKey, kind: Kind, record: RecordId, body: &[u8]) -> Vec<u8> {
        let hlc = Hlc::new(clock::now_ms(), 0);
        let header = Header {
            audience: Audience::Public,
            kind,
            network: self.network,
            org: self.org,
            record,
            device: key.verifying_key().to_bytes(),
            hlc,
            prev: [0; 8],
            lease_until: if kind.is_content() { lease_until_max(hlc) } else { UnixHour(0) },
        };
        let signature = key.sign(&header.signing_bytes(body)).to_bytes();
        SignedVersion::assemble(&header, body, &signature).unwrap().envelope().to_vec()
    }

    /// A new service of the node's own organisation.
    fn service(&mut self) -> Vec<u8> {
        self.published += 1;
        let local_id = format!("service-{}", self.published);
        let record = RecordId::derive(&self.org, Kind::SERVICE, Audience::Public, &local_id);
        let body = v1::Service { local_id, name: "Advice".into(), ..Default::default() }.encode_to_vec();
        self.sign(&key(2), Kind::SERVICE, record, &body)
    }

    /// One command by itself.
    fn run(&mut self, command: Command) {
        let mut outputs = Vec::new();
        assert!(self.driver.take(command, &mut outputs).is_none());
        self.driver.perform(outputs);
    }

    fn listed(&self) -> u64 {
        self.driver.catalogue.counts(Audience::Public).live
    }
}

#[test]
fn a_publication_is_refused_when_its_commit_fails_in_the_batch_that_turned_read_only() {
    let mut rig = Rig::new();
    let (reply, mut outcomes) = oneshot::channel();
    let envelopes = vec![rig.service()];
    rig.run(Command::Publish { envelopes, reply });
    let verified = rig.commands.take().unwrap();
    let mut outputs = Vec::new();
    rig.driver.take(verified, &mut outputs);
    assert!(outputs.iter().any(|output| matches!(output, Output::Published { .. })));
    // The look at the free space, later in the same batch.
    rig.driver.set_read_only(Some("disk full: for this test".to_owned()));
    rig.faults.fail();
    rig.driver.perform(outputs);
    let outcomes = outcomes.try_recv().unwrap();
    assert!(matches!(outcomes[..], [Outcome::Rejected(Reject::ReadOnly { .. })]), "{outcomes:?}");
    assert_eq!(rig.listed(), 0, "the feed shows nothing that is not stored");
    assert_eq!(rig.driver.node.as_ref().unwrap().set(Audience::Public).len(), 2, "card and acceptance");
}

/// The driver's end of a link that nothing reads, with what a peer would get.
struct Line {
    epoch: u64,
    frames: mpsc::Receiver<Queued>,
}

impl Line {
    /// What has left the queue so far.
    fn sent(&mut self) -> Vec<Content> {
        let queued = std::iter::from_fn(|| self.frames.try_recv().ok());
        let frames = queued.filter_map(|queued| match queued {
            Queued::Frame(frame) => Some(read_frame(&frame).unwrap()),
            Queued::Answered(_) => None,
        });
        frames.collect()
    }
}

impl Rig {
    fn up(peer: Peer, epoch: u64) -> (Command, Line) {
        let (queue, frames, _) = LinkQueue::new(epoch);
        (Command::LinkUp { peer, outbound: false, queue }, Line { epoch, frames })
    }

    /// A link over which both sides have said Hello.
    fn greeted(&mut self, peer: Peer, epoch: u64) -> Line {
        let (up, mut line) = Rig::up(peer, epoch);
        self.run(up);
        let hello = v1::Hello {
            level: 1,
            level_min: 1,
            network: self.network.0.to_vec(),
            clock_ms: clock::now_ms(),
            ..Default::default()
        };
        let hello = self.received(peer, &line, Content::Hello(hello)).unwrap();
        self.run(hello);
        line.sent();
        line
    }

    /// A frame as the reader of a link hands it in; `None` while it has to wait.
    fn received(&self, peer: Peer, line: &Line, content: Content) -> Option<Command> {
        let permit = self.handle.frames_in_work(peer).try_acquire_owned().ok()?;
        Some(Command::Received { peer, epoch: line.epoch, frame: write_frame(content), permit })
    }
}

fn versions(envelopes: Vec<Vec<u8>>) -> Content {
    Content::Versions(v1::Versions { envelopes, last: true, ..Default::default() })
}

#[test]
fn what_was_meant_for_a_link_is_not_sent_over_the_one_that_replaces_it() {
    let (mut rig, peer) = (Rig::new(), public(&key(9)));
    let mut old = rig.greeted(peer, 1);
    let ping = rig.received(peer, &old, Content::Ping(v1::Ping::default())).unwrap();
    let (up, mut new) = Rig::up(peer, 2);
    let mut outputs = Vec::new();
    rig.driver.take(ping, &mut outputs);
    rig.driver.take(up, &mut outputs);
    rig.driver.perform(outputs);
    assert!(matches!(old.sent()[..], [Content::Pong(_), Content::Bye(_)]));
    assert!(matches!(new.sent()[..], [Content::Hello(_)]), "Hello comes first on every link");
    // The end of the old link is not the end of the new one.
    let bye = rig.received(peer, &new, Content::Bye(v1::Bye::default())).unwrap();
    let (up, mut newest) = Rig::up(peer, 3);
    let mut outputs = Vec::new();
    rig.driver.take(bye, &mut outputs);
    rig.driver.take(up, &mut outputs);
    rig.driver.perform(outputs);
    assert!(rig.driver.links.is_current(&peer, 3));
    assert!(matches!(newest.sent()[..], [Content::Hello(_)]));
}

#[test]
fn reopening_a_link_gives_no_further_permits() {
    let (mut rig, peer) = (Rig::new(), public(&key(9)));
    let mut sent = 0;
    for epoch in 1..=20 {
        let line = rig.greeted_or_not(peer, epoch);
        let envelopes = vec![rig.service()];
        let Some(line) = line else { continue };
        while let Some(frame) = rig.received(peer, &line, versions(envelopes.clone())) {
            let mut outputs = Vec::new();
            rig.driver.take(frame, &mut outputs);
            sent += 1;
            // The checks are not done until the test says so.
            outputs.retain(|output| !matches!(output, Output::Verify { .. }));
            rig.driver.perform(outputs);
        }
    }
    assert_eq!(sent, limits::FRAMES_IN_WORK_MAX, "frames in work, whatever number of links they came over");
    // Each is given back once, over whichever link it came.
    rig.driver.links.close_all("end of the test");
    assert_eq!(rig.handle.frames_in_work(peer).available_permits(), limits::FRAMES_IN_WORK_MAX);
}

impl Rig {
    /// Without a permit there is no Hello, and so nothing else.
    fn greeted_or_not(&mut self, peer: Peer, epoch: u64) -> Option<Line> {
        if self.handle.frames_in_work(peer).available_permits() > 0 {
            return Some(self.greeted(peer, epoch));
        }
        self.run(Rig::up(peer, epoch).0);
        None
    }
}

impl Rig {
    /// Publishes a service of the node's own organisation.
    fn publish(&mut self) {
        let (reply, mut outcomes) = oneshot::channel();
        let envelopes = vec![self.service()];
        self.run(Command::Publish { envelopes, reply });
        let verified = self.commands.take().unwrap();
        self.run(verified);
        assert_eq!(outcomes.try_recv().unwrap(), [Outcome::Published { concurrent: false }]);
    }

    /// Sends all answers that are due, as the loop does when nothing else waits.
    fn answer(&mut self) {
        while let Some(peer) = self.driver.next_to_answer() {
            self.driver.answer_next(peer);
        }
    }

    /// Asks for everything. False when no frame of the peer's is read now.
    fn fetch(&mut self, peer: Peer, line: &Line, want: u64) -> bool {
        let fetch = v1::Fetch { audience: 0, want, lower: vec![0; 16], upper: None };
        let Some(frame) = self.received(peer, line, Content::Fetch(fetch)) else { return false };
        self.run(frame);
        true
    }
}

/// Numbers of the requests that were answered, in order.
fn answered(line: &mut Line) -> Vec<u64> {
    let want = |content| match content {
        Content::Versions(versions) => Some(versions.want),
        Content::Compressed(compressed) => read_compressed(&compressed).ok().map(|versions| versions.want),
        _ => None,
    };
    line.sent().into_iter().filter_map(want).collect()
}

#[test]
fn a_peer_that_fetches_the_same_span_again_and_again_is_held_to_its_budget() {
    let (mut rig, peer) = (Rig::new(), public(&key(9)));
    (0..4).for_each(|_| rig.publish());
    // Six rows, card and acceptance included, count as 1 KiB each: the fourth answer is the first that uses up the budget.
    rig.driver.allowances = Allowances::new(20 * 1_024, 0);
    let mut line = rig.greeted(peer, 1);
    for want in 1..=4 {
        assert!(rig.fetch(peer, &line, want));
        assert_eq!(answered(&mut line), [want]);
    }
    let waiting = (5..=100).take_while(|want| rig.fetch(peer, &line, *want)).count();
    assert_eq!(waiting, limits::FRAMES_IN_WORK_MAX, "what waits keeps its permit, so that nothing more is read");
    rig.answer();
    assert!(answered(&mut line).is_empty());
    // Another link has no other budget.
    let mut line = rig.greeted(peer, 2);
    assert!(rig.fetch(peer, &line, 200) && rig.fetch(peer, &line, 201));
    assert!(answered(&mut line).is_empty());
    // Another peer has.
    let other = public(&key(10));
    let mut others = rig.greeted(other, 3);
    assert!(rig.fetch(other, &others, 1));
    assert_eq!(answered(&mut others), [1]);
    // In time, they are answered one after the other.
    rig.driver.allowances.refill_for_test(peer, 4 * 1_024 + 1);
    rig.answer();
    assert_eq!(answered(&mut line), [200]);
    rig.driver.allowances.refill_for_test(peer, 6 * 1_024);
    rig.answer();
    assert_eq!(answered(&mut line), [201]);
    assert_eq!(rig.handle.frames_in_work(peer).available_permits(), limits::FRAMES_IN_WORK_MAX);
}

#[test]
fn the_permit_of_a_request_is_given_back_when_its_answer_has_left_the_queue() {
    let (mut rig, peer) = (Rig::new(), public(&key(9)));
    let mut line = rig.greeted(peer, 1);
    for asked in 1..=limits::ANSWERS_OWED_MAX + 1 {
        assert!(rig.fetch(peer, &line, asked as u64));
        // Some room is left, or two who wait for each other would wait for ever.
        let held = asked.min(limits::ANSWERS_OWED_MAX);
        let available = rig.handle.frames_in_work(peer).available_permits();
        assert_eq!(available, limits::FRAMES_IN_WORK_MAX - held, "after {asked}");
    }
    assert_eq!(answered(&mut line).len(), limits::ANSWERS_OWED_MAX + 1);
    assert_eq!(rig.handle.frames_in_work(peer).available_permits(), limits::FRAMES_IN_WORK_MAX);
}

#[test]
fn nothing_is_read_for_a_link_that_is_gone() {
    let (mut rig, peer) = (Rig::new(), public(&key(9)));
    rig.driver.allowances = Allowances::new(1, 0);
    let line = rig.greeted(peer, 1);
    let fetch = v1::Fetch { audience: 0, want: 1, lower: vec![0; 16], upper: None };
    let fetch = rig.received(peer, &line, Content::Fetch(fetch)).unwrap();
    let mut outputs = Vec::new();
    rig.driver.take(fetch, &mut outputs);
    rig.driver.links.drop_silently(&peer);
    rig.driver.perform(outputs);
    assert!(
        rig.driver.allowances.may_answer(Instant::now(), &peer),
        "reading a single row would have used up the budget"
    );
}

#[test]
fn an_oversized_frame_counts_like_any_breach() {
    let (mut rig, peer) = (Rig::new(), public(&key(9)));
    for epoch in 1..=7 {
        let mut line = rig.greeted(peer, epoch);
        rig.run(Command::Oversized { peer, epoch, message: "found 262145 bytes".to_owned() });
        assert!(!rig.driver.links.is_up(&peer));
        let sent = line.sent();
        let [Content::Bye(bye)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(bye.code(), v1::ByeCode::Breach);
        assert!(bye.message.contains("262144") && bye.message.contains("262145"), "{}", bye.message);
    }
    // The seventh breach shuts the peer out.
    let (up, mut line) = Rig::up(peer, 8);
    rig.run(up);
    let sent = line.sent();
    assert!(matches!(&sent[..], [Content::Bye(bye)] if bye.code() == v1::ByeCode::Breach), "{sent:?}");
}
