//! One history: the clock, the queue of events, all machines and the lines between them.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::rc::Rc;

use fingerpost_proto::id::Vid;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::node::{Input, Node, Peer, Unverified, VerifiedVersion};
use fingerpost_proto::set::Slot;
use fingerpost_proto::time::{Hlc, UnixMillis};
use fingerpost_proto::version::SignedVersion;

use super::acts::Script;
use super::byzantine::Byzantine;
use super::cast::{BEGIN_MS, Cast, Role};
use super::faults::Undo;
use super::history::{Counts, History};
use super::invariants::Watch;
use super::machine::Machine;
use super::network::Network;
use super::options::Options;
use super::random::Random;
use super::store::{Row, Rows, Store};

/// Between two ticks of a machine.
const TICK_US: u64 = 1_000_000;

/// An invariant that did not hold, in words.
pub(super) type Checked = Result<(), String>;

/// A history in which everything held.
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened, by number.
    pub counts: Counts,
    /// Over every event.
    pub hash: u64,
}

/// A history in which something did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which history.
    pub seed: u64,
    /// Among how many machines.
    pub nodes: usize,
    /// Virtual microseconds since the beginning.
    pub at_us: u64,
    /// What did not hold.
    pub message: String,
    /// The last events, if they were recorded.
    pub lines: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Failure { seed, nodes, at_us, message, .. } = self;
        write!(f, "seed {seed} with {nodes} nodes, after {:.6} s: {message}", *at_us as f64 / 1_000_000.0)
    }
}

#[derive(Debug)]
pub(super) enum Event {
    /// A machine's second has passed.
    Tick(usize),
    /// Something may have arrived at the far end of this wire.
    Deliver { link: usize, wire: usize },
    /// Signatures were checked.
    Verified { machine: usize, incarnation: u64, ticket: u64, versions: Vec<Result<VerifiedVersion, Unverified>> },
    /// An attempt to dial comes to something or nothing.
    Dialled { from: usize, to: usize, incarnation: u64 },
    /// The dialler learns that its link is up.
    Opened { link: usize },
    /// Keepalive looks at a link.
    Keepalive { link: usize },
    /// Somebody publishes, joins, leaves.
    Act,
    /// An organisation sees to the device that was stolen from it.
    Revoke,
    /// Something breaks.
    Fault,
    /// Something is whole again.
    Undo(Undo),
    /// A machine keeps a copy of its disk.
    Snapshot(usize),
}

struct Queued {
    at_us: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Queued) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Queued) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    /// The earliest is the greatest; of one instant, the first queued.
    fn cmp(&self, other: &Queued) -> std::cmp::Ordering {
        (other.at_us, other.sequence).cmp(&(self.at_us, self.sequence))
    }
}

pub(super) struct World {
    pub(super) options: Options,
    pub(super) cast: Cast,
    pub(super) machines: Vec<Machine>,
    pub(super) network: Network,
    pub(super) history: History,
    pub(super) script: Script,
    /// Versions that were ever made, honest or forged. Looked up only.
    pub(super) made: HashMap<Vid, Rc<SignedVersion>>,
    /// The same in order of making.
    pub(super) made_in_order: Vec<Rc<SignedVersion>>,
    pub(super) forged: BTreeSet<Vid>,
    /// Requests between honest machines that are not answered yet: link, asker, number.
    pub(super) open_wants: BTreeSet<(usize, usize, u64)>,
    /// Frames that honest machines sent each other over each link since all agreed. What a slow line still delivers is older.
    pub(super) quiet_frames: BTreeMap<usize, u64>,
    checked: HashMap<(Vid, PublicKey), Result<VerifiedVersion, Unverified>>,
    queue: BinaryHeap<Queued>,
    sequence: u64,
    pub(super) now_us: u64,
    /// How far all clocks have leapt.
    pub(super) calendar_ms: u64,
    /// No more acts and faults; only agreement is awaited.
    pub(super) is_settling: bool,
    pub(super) random: Random,
    pub(super) fault_random: Random,
    verify_random: Random,
}

/// Lives through the history of these options.
pub fn run(options: Options) -> Result<Report, Failure> {
    let mut world = World::new(options);
    match world.live() {
        Ok(()) => Ok(Report { counts: world.history.counts, hash: world.history.hash() }),
        Err(message) => {
            let World { options, history, now_us, .. } = world;
            let lines = history.into_lines();
            Err(Failure { seed: options.seed, nodes: options.nodes, at_us: now_us, message, lines })
        }
    }
}

impl World {
    fn new(options: Options) -> World {
        let mut random =
            Random::new(options.seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(options.nodes as u64));
        let cast = Cast::new(&mut random, &options);
        let network = Network::new(options.nodes, &options, random.fork());
        let mut world = World {
            history: History::new(options.recording),
            script: Script::new(&cast, &mut random),
            made: HashMap::new(),
            made_in_order: Vec::new(),
            forged: BTreeSet::new(),
            open_wants: BTreeSet::new(),
            quiet_frames: BTreeMap::new(),
            checked: HashMap::new(),
            queue: BinaryHeap::new(),
            sequence: 0,
            now_us: 0,
            calendar_ms: 0,
            is_settling: false,
            fault_random: random.fork(),
            verify_random: random.fork(),
            machines: Vec::new(),
            random,
            network,
            cast,
            options,
        };
        world.set_up();
        world
    }

    /// A network that has been running for a while: members hold the cards, acceptances and some records.
    fn set_up(&mut self) {
        let mut rows = Rows::new();
        for org in 0..self.cast.organisations.len() {
            let (inviter, is_in) = match self.cast.organisations[org].role {
                Role::Founder => (None, true),
                Role::Invited(inviter) => (Some(inviter), true),
                Role::Newcomer(_) | Role::Outsider => continue,
            };
            let acceptance = self.cast.acceptance(org, inviter, Hlc::new(BEGIN_MS, 1));
            for version in [self.cast.card(org), acceptance] {
                let version = self.make(version);
                rows.insert(Slot::of(version.header()), Row { version, lapsed: false });
            }
            self.script.set_in(org, is_in);
        }
        for vouch in self.second_vouches() {
            rows.insert(Slot::of(vouch.header()), Row { version: vouch, lapsed: false });
        }
        for version in self.opening_records() {
            rows.insert(Slot::of(version.header()), Row { version, lapsed: false });
        }
        let public: Rows = rows
            .iter()
            .filter(|(_, row)| !row.version.header().kind.is_content())
            .map(|(slot, row)| (*slot, row.clone()))
            .collect();
        for number in 0..self.options.nodes {
            let (org, key) = self.cast.machines[number];
            let organisation = &self.cast.organisations[org];
            let (role, is_byzantine) = (organisation.role, organisation.is_byzantine);
            let rows = match role {
                Role::Founder | Role::Invited(_) => rows.clone(),
                Role::Newcomer(_) => Rows::new(),
                Role::Outsider => public.clone(),
            };
            let byzantine = is_byzantine.then(|| Byzantine::new(&mut self.random, &self.cast, self.options.active_ms));
            self.history.counts.byzantine_nodes += u64::from(is_byzantine);
            let machine = Machine {
                key,
                org,
                node: None,
                store: Store::new(rows, Vec::new(), BTreeSet::new()),
                links: BTreeMap::new(),
                members: Vec::new(),
                admitted: BTreeSet::new(),
                dials: BTreeMap::new(),
                incarnation: 0,
                builds: 0,
                clock_ahead_ms: 0,
                read_only: None,
                dies_at_commit: false,
                entry: Vec::new(),
                inviter: None,
                snapshot: None,
                byzantine,
                watch: Watch::default(),
                asked: BTreeMap::new(),
                next_ticket: 0,
            };
            self.machines.push(machine);
            if role == Role::Outsider {
                let card = self.cast.card(org);
                let acceptance = self.cast.acceptance(org, Some(org), Hlc::new(BEGIN_MS, 1));
                self.machines[number].entry = vec![self.make(card), self.make(acceptance)];
            }
        }
        for number in 0..self.options.nodes {
            if !matches!(self.cast.organisations[self.machines[number].org].role, Role::Newcomer(_)) {
                let wait_us = self.random.below(TICK_US);
                self.after(wait_us, Event::Undo(Undo::Start(number)));
            }
            let wait_us = self.random.below(TICK_US);
            self.after(wait_us, Event::Tick(number));
            let wait_us = self.random.below(self.options.active_ms * 1_000 / 2);
            self.after(wait_us, Event::Snapshot(number));
        }
        self.after(2_000_000, Event::Act);
        self.after(5_000_000, Event::Fault);
        if let Some(wait_us) = self.plan_theft() {
            self.after(wait_us, Event::Revoke);
        }
    }

    /// Where the charter wants two vouches, two founders speak for everybody who is, or will be, invited.
    fn second_vouches(&mut self) -> Vec<Rc<SignedVersion>> {
        if self.cast.charter.text.vouches_needed < 2 {
            return Vec::new();
        }
        let role = |org: &usize| self.cast.organisations[*org].role;
        let orgs = 0..self.cast.organisations.len();
        let founders = orgs.clone().filter(|org| role(org) == Role::Founder).take(2);
        let pairs: Vec<(usize, usize)> = founders
            .flat_map(|founder| orgs.clone().map(move |org| (founder, org)))
            .filter(|(_, org)| matches!(role(org), Role::Invited(_) | Role::Newcomer(_)))
            .collect();
        let hlc = Hlc::new(BEGIN_MS, 1);
        pairs.into_iter().map(|(founder, org)| self.make(self.cast.vouch(founder, org, hlc))).collect()
    }

    fn live(&mut self) -> Checked {
        let active_us = self.options.active_ms * 1_000;
        while self.now_us < active_us {
            self.step()?;
        }
        self.settle()?;
        self.history.counts.virtual_ms = self.now_us / 1_000;
        self.history.counts.calendar_ms = self.now_us / 1_000 + self.calendar_ms;
        Ok(())
    }

    /// Takes the next event.
    pub(super) fn step(&mut self) -> Checked {
        let Some(Queued { at_us, sequence, event }) = self.queue.pop() else {
            return Err("the simulator has nothing more to do".to_owned());
        };
        self.now_us = at_us;
        self.history.counts.events += 1;
        self.history.note(&[at_us, sequence]);
        match event {
            Event::Tick(machine) => {
                self.after(TICK_US, Event::Tick(machine));
                self.tick(machine)
            }
            Event::Deliver { link, wire } => self.deliver(link, wire),
            Event::Verified { machine, incarnation, ticket, versions } => {
                if self.machines[machine].incarnation != incarnation {
                    return Ok(());
                }
                self.history.line(at_us, Some(machine), || format!("signatures checked: {}", versions.len()));
                self.handle(machine, Input::Verified { ticket, versions })
            }
            Event::Dialled { from, to, incarnation } => self.dialled(from, to, incarnation),
            Event::Opened { link } => self.connect(link, 0),
            Event::Keepalive { link } => self.keepalive(link),
            Event::Act => self.act(),
            Event::Revoke => self.revoke(),
            Event::Fault => self.fault(),
            Event::Undo(undo) => self.undo(undo),
            Event::Snapshot(machine) => {
                // What a backup takes is what is on the disk.
                let store = &self.machines[machine].store;
                if store.unsynced() == 0 {
                    let snapshot = (store.rows().clone(), store.cursors().clone(), store.unaudited().clone());
                    self.machines[machine].snapshot = Some(snapshot);
                }
                Ok(())
            }
        }
    }

    pub(super) fn after(&mut self, wait_us: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Queued { at_us: self.now_us + wait_us, sequence: self.sequence, event });
    }

    /// Wall time as it truly is.
    pub(super) fn true_ms(&self) -> UnixMillis {
        BEGIN_MS + self.calendar_ms + self.now_us / 1_000
    }

    /// Wall time as a machine sees it.
    pub(super) fn clock(&self, machine: usize) -> UnixMillis {
        self.true_ms().saturating_add_signed(self.machines[machine].clock_ahead_ms)
    }

    pub(super) fn peer(&self, machine: usize) -> Peer {
        self.machines[machine].key
    }

    /// Puts a version on record. Everything that machines may ever hold is made by somebody.
    pub(super) fn make(&mut self, version: Rc<SignedVersion>) -> Rc<SignedVersion> {
        self.history.note(&[u64::from_le_bytes(version.vid().prefix())]);
        self.made.insert(version.vid(), Rc::clone(&version));
        self.made_in_order.push(Rc::clone(&version));
        version
    }

    /// Checks signatures for a machine, each really but only once in a history; the answer takes a while.
    pub(super) fn verify(&mut self, machine: usize, ticket: u64, versions: Vec<(SignedVersion, PublicKey)>) {
        let mut checked = Vec::with_capacity(versions.len());
        for (version, key) in versions {
            let known = self.checked.entry((version.vid(), key)).or_insert_with(|| {
                self.history.counts.signatures += 1;
                VerifiedVersion::verify(version.clone(), &key)
            });
            checked.push(known.clone());
        }
        let verify_us_max = self.options.verify_us_max;
        let slow_us = if self.verify_random.percent(2) { 2_000_000 } else { verify_us_max };
        let wait_us = 50 * checked.len() as u64 + self.verify_random.below(slow_us);
        let incarnation = self.machines[machine].incarnation;
        self.after(wait_us, Event::Verified { machine, incarnation, ticket, versions: checked });
    }

    /// A node with the rows of its store, as the daemon builds it at each start.
    pub(super) fn build(&mut self, number: usize) -> Checked {
        let machine = &mut self.machines[number];
        machine.builds += 1;
        let seed = (self.options.seed << 20) ^ ((number as u64) << 48) ^ (machine.builds << 32);
        let mut node = Node::new(self.cast.charter.clone(), machine.key, seed);
        node.sign_heads(number as u32);
        node.start_by_heads();
        for row in machine.store.rows().values() {
            node.restore(SignedVersion::clone(&row.version), row.lapsed);
        }
        for (peer, audience, place) in machine.store.cursors() {
            node.restore_cursor(*peer, *audience, *place);
        }
        machine.store.unaudited().iter().for_each(|org| node.restore_vouched(*org));
        let outputs = node.restored();
        node.set_read_only(machine.read_only.map(str::to_owned));
        machine.node = Some(node);
        machine.watch.begin(&machine.store);
        self.refresh_members(number);
        self.perform(number, outputs)?;
        if let Some(inviter) = self.machines[number].inviter {
            let peer = self.peer(inviter);
            self.handle(number, Input::Introduced { peer })?;
        }
        let entry: Vec<Vec<u8>> =
            self.machines[number].entry.iter().map(|version| version.envelope().to_vec()).collect();
        if entry.is_empty() {
            return Ok(());
        }
        self.handle(number, Input::Published { ticket: u64::MAX, envelopes: entry })
    }
}
