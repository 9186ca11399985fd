//! Case `heads`: an empty node gets a million records, once by its organisations' heads, once by every signature.
//!
//! The holder serves one version whose signature does not hold, under an honest head. Both newcomers are real nodes, on the same
//! records and frames, in this process and on one thread, without transport and disk. Processor time is what the newcomer
//! takes: for checking versions (bodies, signatures, and the hashes that heads are compared with), for everything up to the moment at which
//! its set is whole, and then for the audit of what was taken for a head, which a start by signatures does not need.
//!
//! Always: both end with the same set, which is the holder's without the forged version.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use fingerpost_proto::head::Cover;
use fingerpost_proto::id::Vid;
use fingerpost_proto::kind::{Audience, Class};
use fingerpost_proto::limits::FOUNDERS_MAX;
use fingerpost_proto::network::charter::Charter;
use fingerpost_proto::node::{
    Input, Node, Notice, Operation, Output, Peer, read_compressed, read_frame, versions_frames,
};
use fingerpost_proto::set::{Entry, SetKey, Slot, Summary};
use fingerpost_proto::time::{DAY_MS, Hlc, UnixMillis};
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::SignedVersion;

use crate::Failure;
use crate::figure::Figure;
use crate::population::{Population, key, public};
use crate::sync::measure::timed;

const CASE: &str = "heads";
/// Records.
const RECORDS: usize = 1_000_000;
/// Records of one organisation.
const RECORDS_PER_ORGANISATION: usize = 100;
/// When the measured nodes live.
const NOW: UnixMillis = 1_790_000_000_000;
/// First versions were signed during so many days.
const DAYS: u64 = 300;
/// An answer to one request is cut off after so many bytes, as the daemon's driver does.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Seconds within which a newcomer must have everything.
const SECONDS_MAX: u64 = 600;
/// A start by heads takes at most a part in so many of the processor time.
const TIMES_LESS: f64 = 5.0;

/// What there is to get.
struct Held {
    charter: Charter,
    versions: BTreeMap<Slot, Vec<u8>>,
    peers: [Peer; 2],
    forged: Vid,
    /// Of the set without the forged version.
    total: Summary,
}

/// What a start took.
#[derive(Default)]
struct Taken {
    checks: Duration,
    everything: Duration,
    audit: Duration,
    wall: Duration,
    audit_wall: Duration,
    refused: u64,
    audited: usize,
}

/// Runs the case. `count` replaces the number of records.
pub(crate) fn run(count: Option<usize>) -> Result<Vec<Figure>, Failure> {
    let records = count.unwrap_or(RECORDS);
    let held = hold(records)?;
    let by_signatures = start(&held, false)?;
    let by_heads = start(&held, true)?;
    let (reading, hashing) = (reading(&held)?, hashing(&held)?);
    let seconds = |measure: &str, of: fn(&Taken) -> Duration| {
        let (ours, other) = (of(&by_heads).as_secs_f64(), of(&by_signatures).as_secs_f64());
        Figure::new(CASE, measure, "s", ours).beside("by signatures", other)
    };
    let times = |measure: &str, of: fn(&Taken) -> Duration| {
        let less = of(&by_signatures).as_secs_f64() / of(&by_heads).as_secs_f64();
        Figure::new(CASE, measure, "times", less).at_least(TIMES_LESS)
    };
    Ok(vec![
        seconds("processor, checking versions before the set is whole", |taken| taken.checks),
        times("the same, times less", |taken| taken.checks),
        seconds("processor, everything until the set is whole", |taken| taken.everything),
        times("the same, times less", |taken| taken.everything),
        seconds("time until the set is whole, one thread", |taken| taken.wall),
        seconds("processor, the audit after it", |taken| taken.audit),
        seconds("time until everything is checked, one thread", |taken| taken.wall + taken.audit_wall),
        Figure::new(CASE, "versions that the audit checked", "versions", by_heads.audited as f64),
        Figure::new(CASE, "of it, reading frames and naming versions", "s", reading.as_secs_f64()),
        Figure::new(CASE, "of it, hashing what heads cover, once", "s", hashing.as_secs_f64()),
        Figure::new(CASE, "forged versions refused", "versions", by_heads.refused as f64)
            .at_least(1.0)
            .beside("by signatures", by_signatures.refused as f64),
    ])
}

/// A set with heads of all organisations, of which one covers a version that is served with another signature.
fn hold(records: usize) -> Result<Held, Failure> {
    let organisations = (records / RECORDS_PER_ORGANISATION).max(FOUNDERS_MAX + 1);
    let peers = [public(&key("node key", 0))?, public(&key("node key", 1))?];
    let population = Population::new(organisations, &peers, NOW - (DAYS + 1) * DAY_MS)?;
    let spread = |number: usize| NOW - (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (DAYS * DAY_MS) - 1;
    let services = population.services(records, spread)?;
    let mut versions = BTreeMap::new();
    let mut put = |version: &SignedVersion| versions.insert(Slot::of(version.header()), version.envelope().to_vec());
    population.entries()?.iter().for_each(|version| drop(put(version)));
    let each = records.div_ceil(organisations).max(1);
    for (number, services) in services.chunks(each).enumerate() {
        put(&population.head(number, services, Hlc::new(NOW, 0))?);
        services.iter().for_each(|version| drop(put(version)));
    }
    let victim = &services[records / 2];
    let mut envelope = victim.envelope().to_vec();
    envelope[10] ^= 1;
    let (slot, forged) = (Slot::of(victim.header()), Vid::of_envelope(&envelope));
    versions.insert(slot, envelope);
    let charter = population.charter.clone();
    let mut set = holder(&charter, peers[1], &versions)?.set(Audience::Public).clone();
    set.remove(&slot.key);
    Ok(Held { charter, versions, peers, forged, total: set.total() })
}

fn holder(charter: &Charter, own: Peer, versions: &BTreeMap<Slot, Vec<u8>>) -> Result<Node, Failure> {
    let mut node = Node::new(charter.clone(), own, 1);
    for envelope in versions.values() {
        node.restore(SignedVersion::read(envelope.clone())?, false);
    }
    node.restored();
    Ok(node)
}

/// A newcomer and the holder, and what is under way to each.
struct Pair<'a> {
    held: &'a Held,
    nodes: [Node; 2],
    frames: VecDeque<(usize, Vec<u8>)>,
    /// What the newcomer stored.
    stored: BTreeMap<Slot, Vid>,
    audits: VecDeque<Output>,
    is_auditing: bool,
    taken: Taken,
    now: UnixMillis,
}

const NEWCOMER: usize = 0;
const HOLDER: usize = 1;

fn start(held: &Held, by_heads: bool) -> Result<Taken, Failure> {
    let mut newcomer = Node::new(held.charter.clone(), held.peers[NEWCOMER], 2);
    if by_heads {
        newcomer.start_by_heads();
    }
    let nodes = [newcomer, holder(&held.charter, held.peers[HOLDER], &held.versions)?];
    let (frames, stored, audits) = (VecDeque::new(), BTreeMap::new(), VecDeque::new());
    let mut pair =
        Pair { held, nodes, frames, stored, audits, is_auditing: false, taken: Taken::default(), now: NOW + 1_000 };
    let began = Instant::now();
    pair.introduce()?;
    let is_whole = |pair: &Pair| pair.nodes[NEWCOMER].set(Audience::Public).total() == held.total;
    for _ in 0..SECONDS_MAX {
        if is_whole(&pair) {
            break;
        }
        pair.pass_second()?;
    }
    if !is_whole(&pair) {
        let count = pair.nodes[NEWCOMER].set(Audience::Public).len();
        return Err(format!("the newcomer has {count} versions after {SECONDS_MAX} s, not all that hold").into());
    }
    pair.taken.wall = began.elapsed();
    pair.is_auditing = true;
    let began = Instant::now();
    while let Some(audit) = pair.audits.pop_front() {
        pair.audit(audit)?;
    }
    pair.taken.audit_wall = began.elapsed();
    let is_stored =
        |(key, entry): (SetKey, Entry)| pair.stored.get(&Slot { audience: Audience::Public, key }) == Some(&entry.vid);
    let set = pair.nodes[NEWCOMER].set(Audience::Public);
    let is_same =
        is_whole(&pair) && set.len() == pair.stored.len() && set.range(&SetKey::default(), None).all(is_stored);
    if !is_same || pair.nodes[NEWCOMER].unaudited() > 0 || pair.taken.refused == 0 {
        return Err("the newcomer does not end as it should".into());
    }
    Ok(pair.taken)
}

impl Pair<'_> {
    fn introduce(&mut self) -> Result<(), Failure> {
        let [newcomer, holder] = self.held.peers;
        // The holder knows the newcomer's organisation; the newcomer knows nobody.
        self.handle(NEWCOMER, Input::Introduced { peer: holder })?;
        self.handle(HOLDER, Input::Connected { peer: newcomer, outbound: false })?;
        self.handle(NEWCOMER, Input::Connected { peer: holder, outbound: true })?;
        self.run()
    }

    fn pass_second(&mut self) -> Result<(), Failure> {
        self.now += 1_000;
        self.handle(NEWCOMER, Input::Tick)?;
        self.handle(HOLDER, Input::Tick)?;
        self.run()
    }

    fn run(&mut self) -> Result<(), Failure> {
        while let Some((to, frame)) = self.frames.pop_front() {
            self.handle(to, Input::Received { peer: self.held.peers[1 - to], frame })?;
        }
        Ok(())
    }

    fn handle(&mut self, which: usize, input: Input) -> Result<(), Failure> {
        let (outputs, time) = timed(|| self.nodes[which].handle(self.now, input));
        self.charge(which, time);
        outputs.into_iter().try_for_each(|output| self.perform(which, output))
    }

    fn charge(&mut self, which: usize, time: Duration) {
        match which {
            HOLDER => {}
            _ if self.is_auditing => self.taken.audit += time,
            _ => self.taken.everything += time,
        }
    }

    fn perform(&mut self, which: usize, output: Output) -> Result<(), Failure> {
        match output {
            Output::Verify { ticket, versions } => {
                let (input, time) = timed(|| Input::verified(ticket, versions));
                self.charge(which, time);
                self.taken.checks += time;
                self.handle(which, input)?;
            }
            audit @ Output::Audit { .. } => self.audits.push_back(audit),
            Output::Persist { operations, .. } if which == NEWCOMER => {
                for operation in operations {
                    match operation {
                        Operation::Put { vid, .. } if vid == self.held.forged => {
                            return Err("the newcomer stored the forged version".into());
                        }
                        Operation::Put { slot, vid, .. } => drop(self.stored.insert(slot, vid)),
                        Operation::Forget { slot } => drop(self.stored.remove(&slot)),
                        _ => {}
                    }
                }
            }
            Output::Send { frame, .. } => self.frames.push_back((1 - which, frame)),
            Output::SendVersions { want, slots, mut more, .. } if which == HOLDER => {
                let mut envelopes = Vec::with_capacity(slots.len());
                let mut bytes = 0;
                for envelope in slots.iter().filter_map(|slot| self.held.versions.get(slot)) {
                    if bytes >= ANSWER_BYTES_MAX {
                        more = true;
                        break;
                    }
                    bytes += envelope.len();
                    envelopes.push(envelope.clone());
                }
                self.frames.extend(versions_frames(want, envelopes, more).into_iter().map(|frame| (NEWCOMER, frame)));
            }
            Output::Disconnect { message, .. } => return Err(format!("a link ended: {message}").into()),
            // Statements may come before the cards that bear them out: they wait, or come again.
            Output::Notice(Notice::Rejected { why, .. }) if which == NEWCOMER => {
                self.taken.refused += u64::from(why.name() == "bad-signature");
            }
            _ => {}
        }
        Ok(())
    }

    /// What the daemon does with an audit: the bytes come from its store.
    fn audit(&mut self, audit: Output) -> Result<(), Failure> {
        let Output::Audit { ticket, slots } = audit else { return Ok(()) };
        let mut versions = Vec::with_capacity(slots.len());
        for (slot, key) in slots {
            let envelope = self.held.versions.get(&slot).ok_or("an audit of what nobody has")?.clone();
            versions.push((SignedVersion::read(envelope)?, key));
        }
        self.taken.audited += versions.len();
        let (input, time) = timed(|| Input::verified(ticket, versions));
        self.charge(NEWCOMER, time);
        self.handle(NEWCOMER, input)
    }
}

/// Decoding the frames that bring everything, and reading header and name of each version: what no way can do without.
fn reading(held: &Held) -> Result<Duration, Failure> {
    let envelopes: Vec<&Vec<u8>> = held.versions.values().collect();
    let mut time = Duration::ZERO;
    for part in envelopes.chunks(2_000) {
        let frames = versions_frames(1, part.iter().map(|envelope| (*envelope).clone()), false);
        let (read, took) = timed(|| -> Result<usize, Failure> {
            let mut count = 0;
            for frame in &frames {
                let versions = match read_frame(frame)? {
                    Content::Compressed(compressed) => read_compressed(&compressed)?,
                    Content::Versions(versions) => versions,
                    _ => return Err("no versions in a frame of versions".into()),
                };
                for envelope in versions.envelopes {
                    count += usize::from(SignedVersion::read(envelope)?.header().kind.is_content());
                }
            }
            Ok(count)
        });
        read?;
        time += took;
    }
    Ok(time)
}

/// Hashing what every head covers.
fn hashing(held: &Held) -> Result<Duration, Failure> {
    let node = holder(&held.charter, held.peers[HOLDER], &held.versions)?;
    let records: Vec<(SetKey, Entry)> = node
        .set(Audience::Public)
        .range(&SetKey::default(), None)
        .filter(|(key, _)| key.class() == Class::Record)
        .collect();
    let at = Hlc::new(NOW, 0);
    let ((), time) = timed(|| {
        for organisation in records.chunk_by(|(one, _), (other, _)| one.0[..8] == other.0[..8]) {
            let entries = organisation.iter().map(|(_, entry)| *entry);
            std::hint::black_box(Cover::of(entries, Cover::from_hour(at), at));
        }
    });
    Ok(time)
}
