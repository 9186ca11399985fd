//! The node: decides what is accepted, kept, sent and asked for.
//!
//! Pure. In: [`Input`]s with the time. Out: [`Output`]s, performed in order.
//! Always: the sets list exactly the versions handed out as [`Operation::Put`] and not since forgotten; only versions of
//! organisations with standing are in them that were verified, or that a head vouched for until they are; a version is persisted
//! before anything that relies on it.
//! Spec: `spec/06-link.md`, `spec/07-sync.md`. Tested: `node/tests.rs`, the simulator in `tests/simulation`.

mod allowance;
mod arrivals;
mod auditing;
mod batch;
mod burden;
mod catching_up;
mod frame;
mod heads;
mod input;
mod intake;
mod link;
mod mirroring;
mod output;
mod peering;
mod pulling;
mod quarantine;
mod quota;
mod reconciling;
mod redacting;
mod reject;
mod spreading;
mod tick;
mod trust;
mod upkeep;
mod verified;
mod vouching;
mod witnessing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use arrivals::LogPlace;
pub use frame::{Breach, read_compressed, read_frame, versions_frames, write_compressed, write_frame};
pub use heads::Completeness;
pub use input::{Input, Peer};
pub use output::{Notice, Operation, Outcome, Output};
pub use reject::Reject;
pub use verified::{Bringer, Unverified, VerifiedVersion};
pub use witnessing::Proven;

use crate::id::{NetworkId, OrgId, Vid};
use crate::kind::{Audience, Class, Kind};
use crate::network::card::OrgCard;
use crate::network::charter::Charter;
use crate::network::members::{Explanation, Standing, Standings};
use crate::network::statement::Statement;
use crate::network::succession::Succession;
use crate::order::Precedence;
use crate::overlay::{Broadcast, Ended, Neighbours};
use crate::set::{Entry, Index, Slot};
use crate::time::{Hlc, UnixHour, UnixMillis};
use crate::version::SignedVersion;
use allowance::{Allowances, versions_per_day};
use arrivals::ArrivalLog;
use burden::Burdens;
use catching_up::Cursors;
use intake::PendingSource;
use link::Link;
use pulling::Turn;
use quarantine::Quarantine;
use spreading::News;
use trust::Trust;

/// Versions published here whose spread is followed.
const SPREAD_FOLLOWED_MAX: usize = 10_000;

/// One node of one network.
#[derive(Debug)]
pub struct Node {
    own: Peer,
    trust: Trust,
    sets: [Index; 2],
    /// Order of arrival, by audience number.
    logs: [ArrivalLog; 2],
    cursors: Cursors,
    /// Who is being asked for what is missing, by audience number.
    turns: [Option<Turn>; 2],
    neighbours: Neighbours,
    broadcast: Broadcast,
    news: News,
    heads: heads::Heads,
    witness: witnessing::Witness,
    /// Most peers have agreed with the clock since it leapt last, or since the start.
    is_clock_confirmed: bool,
    redactions: redacting::Redactions,
    held: vouching::Held,
    audits: auditing::Audits,
    devices: DeviceTable,
    links: BTreeMap<Peer, Link>,
    links_made: u64,
    quarantine: Quarantine,
    allowances: Allowances,
    burdens: Burdens,
    /// What the store lost: only that version or a later one may take the slot again.
    lost: BTreeMap<Slot, Precedence>,
    /// The sets were last searched for deadlines in this hour; `None`: they have to be at the next tick.
    searched_in: Option<UnixHour>,
    /// What was past a deadline when it came, after that search. At most [`tick::OVERDUE_SLOTS_MAX`].
    overdue: Vec<Slot>,
    pending: BTreeMap<u64, PendingSource>,
    next_ticket: u64,
    hlc_max: Hlc,
    /// Which peers are known to hold a version that was published here, oldest first.
    spread: BTreeMap<Vid, Vec<Peer>>,
    spread_order: std::collections::VecDeque<(Vid, (Audience, u64))>,
    /// The same versions by their place in the arrival log.
    spread_places: BTreeMap<(Audience, u64), Vid>,
    random: u64,
    compare_next_at: UnixMillis,
    /// When the last tick was; 0 before the first.
    ticked_at: UnixMillis,
    progress_noted_at: UnixMillis,
    read_only: Option<String>,
    /// A read-only mirror itself: it keeps the public set, and tells nobody anything.
    is_mirror: bool,
    /// Keys of mirrors that this node's operator allows.
    mirrors: BTreeSet<Peer>,
}

/// Publishers' devices by number, so that an index entry needs four bytes for one.
#[derive(Debug, Default)]
struct DeviceTable {
    devices: Vec<(OrgId, [u8; 32])>,
    numbers: HashMap<(OrgId, [u8; 32]), u32>,
}

impl DeviceTable {
    fn number(&mut self, org: OrgId, device: [u8; 32]) -> u32 {
        *self.numbers.entry((org, device)).or_insert_with(|| {
            self.devices.push((org, device));
            (self.devices.len() - 1) as u32
        })
    }

    fn device(&self, number: u32) -> &(OrgId, [u8; 32]) {
        &self.devices[number as usize]
    }
}

/// State of one link, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// The other node.
    pub peer: Peer,
    /// Whose node it is, when known.
    pub org: Option<OrgId>,
    /// True when this node dialled.
    pub outbound: bool,
    /// Since when.
    pub connected_at: UnixMillis,
    /// When the last frame came.
    pub last_seen: UnixMillis,
    /// Its clock minus ours, milliseconds, once known.
    pub clock_ahead_ms: Option<i64>,
    /// Round trip of the last ping, milliseconds.
    pub round_trip_ms: Option<u64>,
    /// All sets that are shared on it were equal at the last comparison.
    pub in_sync: bool,
    /// The peer is a read-only mirror: it gets the public set and is not heard.
    pub is_mirror: bool,
    /// Versions that came over it.
    pub received_versions: u64,
    /// Versions that went over it.
    pub sent_versions: u64,
}

impl Node {
    /// A node with empty sets, known to others by the key `own`. `seed` chooses the jitter of its periodic work, the first
    /// ticket, the name of its arrival logs and whom it is linked to: it must be secret and another one at each start.
    pub fn new(charter: Charter, own: Peer, seed: u64) -> Node {
        let epoch = blake3::hash(&[b"arrival log".as_slice(), &seed.to_be_bytes()].concat());
        let epoch = u64::from_le_bytes(std::array::from_fn(|i| epoch.as_bytes()[i]));
        let records_max = charter.text.records_max as usize;
        let versions_per_day = (records_max > 0).then(|| versions_per_day(records_max));
        Node {
            own,
            trust: Trust::new(charter),
            sets: [Index::new(), Index::new()],
            logs: [ArrivalLog::new(epoch), ArrivalLog::new(epoch)],
            cursors: Cursors::default(),
            turns: [None; 2],
            neighbours: Neighbours::new(own, epoch ^ seed),
            broadcast: Broadcast::new(own, !epoch),
            news: News::default(),
            heads: heads::Heads::default(),
            witness: witnessing::Witness::default(),
            is_clock_confirmed: false,
            redactions: redacting::Redactions::default(),
            held: vouching::Held::default(),
            audits: auditing::Audits::default(),
            devices: DeviceTable::default(),
            links: BTreeMap::new(),
            links_made: 0,
            quarantine: Quarantine::default(),
            allowances: Allowances::new(versions_per_day),
            burdens: Burdens::default(),
            lost: BTreeMap::new(),
            searched_in: None,
            overdue: Vec::new(),
            pending: BTreeMap::new(),
            next_ticket: seed,
            hlc_max: Hlc(0),
            spread: BTreeMap::new(),
            spread_order: std::collections::VecDeque::new(),
            spread_places: BTreeMap::new(),
            random: seed,
            compare_next_at: 0,
            ticked_at: 0,
            progress_noted_at: 0,
            read_only: None,
            is_mirror: false,
            mirrors: BTreeSet::new(),
        }
    }

    /// As [`Node::new`], for a read-only mirror (`spec/06-link.md`, section 9): whatever members' cards say of its key, it keeps
    /// the public set alone, links to nobody but who is introduced to it, takes nothing from admins and offers nothing.
    pub fn new_mirror(charter: Charter, own: Peer, seed: u64) -> Node {
        Node { is_mirror: true, ..Node::new(charter, own, seed) }
    }

    /// Takes in a version from the own store, checked when it was first accepted. Call for every row in slot order, public
    /// set first, then [`Node::restored`].
    pub fn restore(&mut self, version: SignedVersion, lapsed: bool) {
        let slot = Slot::of(version.header());
        self.enter(slot, &version, lapsed);
        if version.header().kind == Kind::HEAD {
            self.note_head(&version, true, &mut Vec::new());
        }
        self.follow_witness(slot, &version, &mut Vec::new());
        self.follow_redaction(slot, &version);
        if !version.header().kind.is_content()
            && let Ok(statement) = Statement::read_again(&version)
        {
            self.trust.learn(version, statement, true);
        }
    }

    /// As [`Node::restore`], for a record of which only this is kept: its entry, publisher and device key.
    /// `entry.device` is disregarded.
    pub fn restore_entry(&mut self, slot: Slot, entry: Entry, org: OrgId, device: [u8; 32]) {
        let device = self.devices.number(org, device);
        self.enter_entry(slot, Entry { device, ..entry });
    }

    /// Publishers with their device keys, by the number that entries name.
    pub fn devices(&self) -> &[(OrgId, [u8; 32])] {
        &self.devices.devices
    }

    /// Takes in how far a peer's log was consumed, as kept by the last [`Operation::Cursors`].
    pub fn restore_cursor(&mut self, peer: Peer, audience: Audience, place: LogPlace) {
        self.cursors.set(peer, audience, place, |_| false);
    }

    /// Ends restoring: evaluates who is a member. Returns what no longer belongs into the sets.
    pub fn restored(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.trust.settle_stored();
        self.settle(0, &mut outputs);
        self.restore_quotas(&mut outputs);
        self.choose_candidates();
        outputs
    }

    /// Handles one input. `now` is this node's wall clock; it may leap.
    pub fn handle(&mut self, now: UnixMillis, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        match input {
            Input::Connected { peer, outbound } => self.on_connected(now, peer, outbound, &mut outputs),
            Input::Disconnected { peer } => {
                self.unlink(now, &peer, Ended::Lost);
                self.mind_links(now, &mut outputs);
                self.pull_where_due(now, &mut outputs);
            }
            Input::DialFailed { peer, why } => {
                self.neighbours.dial_failed(now, &peer, why);
                self.mind_links(now, &mut outputs);
            }
            Input::Introduced { peer } => {
                self.neighbours.introduce(peer);
                self.mind_links(now, &mut outputs);
            }
            Input::Mirrors { keys } => self.set_mirrors(now, keys, &mut outputs),
            Input::Received { peer, frame } => self.on_received(now, peer, &frame, &mut outputs),
            Input::Oversized { peer, message } => self.on_oversized(now, peer, message, &mut outputs),
            Input::Published { ticket, envelopes } => self.on_published(now, ticket, envelopes, &mut outputs),
            Input::Signed { envelope } => self.on_signed(now, envelope, &mut outputs),
            Input::Verified { ticket, versions } => self.on_verified(now, ticket, versions, &mut outputs),
            Input::Lost { slot } => self.on_lost(now, slot),
            Input::Tick => self.on_tick(now, &mut outputs),
        }
        self.audit_on(&mut outputs);
        self.withhold_unaudited(&mut outputs);
        outputs
    }

    /// Refuses all versions from now on with this reason, or takes them again with `None`.
    pub fn set_read_only(&mut self, reason: Option<String>) {
        self.read_only = reason;
    }

    /// True for a read-only mirror.
    pub fn is_mirror(&self) -> bool {
        self.is_mirror
    }

    /// Why versions are refused, if they are.
    pub fn read_only(&self) -> Option<&str> {
        self.read_only.as_deref()
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.trust.charter().network
    }

    /// The charter.
    pub fn charter(&self) -> &Charter {
        self.trust.charter()
    }

    /// The set of an audience.
    pub fn set(&self, audience: Audience) -> &Index {
        &self.sets[usize::from(audience.number())]
    }

    /// Who wins a slot: publisher and entry.
    pub fn winner(&self, slot: &Slot) -> Option<(OrgId, Entry)> {
        let entry = self.set(slot.audience).get(&slot.key)?;
        Some((self.devices.device(entry.device).0, entry))
    }

    /// Standing of an organisation.
    pub fn standing(&self, org: &OrgId) -> Standing {
        self.trust.standing(org)
    }

    /// Standing of all organisations that have one.
    pub fn standings(&self) -> &Standings {
        self.trust.standings()
    }

    /// Why an organisation has its standing. Looks at all statements: for people, not for loops.
    pub fn explain(&self, org: &OrgId) -> Explanation {
        self.trust.explain(org)
    }

    /// When each organisation accepted the charter, and when who left did so.
    pub fn accepted_and_left(&self) -> BTreeMap<OrgId, (Option<Hlc>, Option<Hlc>)> {
        self.trust.accepted_and_left()
    }

    /// The card of an organisation that counts.
    pub fn card(&self, org: &OrgId) -> Option<&OrgCard> {
        self.trust.card(org)
    }

    /// All cards of an organisation that matter: those that count, one after the other, and forks.
    pub fn succession(&self, org: &OrgId) -> Option<&Succession> {
        self.trust.succession(org)
    }

    /// Transport keys of members' nodes with their organisation and endpoints.
    pub fn member_nodes(&self) -> impl Iterator<Item = (Peer, OrgId, &[String])> {
        let members = self.trust.cards().filter(|card| self.standing(&card.org) == Standing::Member);
        members.flat_map(|card| card.node_keys().map(|key| (key, card.org, card.endpoints.as_slice())))
    }

    /// Newest clock of any accepted version.
    pub fn hlc_max(&self) -> Hlc {
        self.hlc_max
    }

    /// Versions that are set aside.
    pub fn quarantined(&self) -> usize {
        self.quarantine.len()
    }

    /// Links, by peer.
    pub fn links(&self) -> impl Iterator<Item = LinkState> + '_ {
        self.links.iter().map(|(peer, link)| LinkState {
            peer: *peer,
            org: link.org,
            outbound: link.outbound,
            connected_at: link.connected_at,
            last_seen: link.last_seen,
            clock_ahead_ms: link.clock_ahead_ms,
            round_trip_ms: link.round_trip_ms,
            in_sync: link.in_sync[0] && (link.in_sync[1] || link.is_mirror || self.is_mirror),
            is_mirror: link.is_mirror,
            received_versions: link.received_versions,
            sent_versions: link.sent_versions,
        })
    }

    /// Median of the peers' clocks minus this node's, milliseconds; of two in the middle the one nearer to this node's, so that of
    /// two peers a single wrong clock contradicts nobody. `None` without a greeted link.
    pub fn clock_ahead_ms(&self) -> Option<i64> {
        let peers = self.links.values().filter(|link| !link.is_mirror);
        let mut offsets: Vec<i64> = peers.filter_map(|link| link.clock_ahead_ms).collect();
        offsets.sort_unstable();
        let middle = offsets.get(offsets.len().saturating_sub(1) / 2..=offsets.len() / 2)?;
        middle.iter().copied().min_by_key(|offset| offset.unsigned_abs())
    }

    /// Number of peers known to hold a version that was published here.
    pub fn held_by(&self, vid: &Vid) -> usize {
        self.spread.get(vid).map_or(0, Vec::len)
    }

    /// Puts a version into its set and notes if a deadline has already passed. Returns the entry that it replaces.
    fn enter(&mut self, slot: Slot, version: &SignedVersion, lapsed: bool) -> Option<Entry> {
        let header = version.header();
        let device = self.devices.number(header.org, header.device);
        let mut entry = Entry::of(header, version.vid(), device);
        entry.has_lapsed = lapsed;
        self.enter_entry(slot, entry)
    }

    fn enter_entry(&mut self, slot: Slot, entry: Entry) -> Option<Entry> {
        let replaced = self.set_mut(slot.audience).insert(slot.key, entry);
        self.hlc_max = self.hlc_max.max(entry.hlc);
        if slot.key.class() == Class::Record {
            self.note_record(slot.audience, self.devices.device(entry.device).0);
        }
        if self.searched_in.is_some_and(|hour| tick::is_past_deadline(&slot.key, &entry, hour)) {
            self.note_overdue(slot);
        }
        replaced
    }

    /// Takes whatever is there out of its set.
    fn take_out(&mut self, slot: &Slot) -> Option<Entry> {
        let entry = self.set_mut(slot.audience).remove(&slot.key)?;
        self.note_left(slot, &entry);
        Some(entry)
    }

    fn set_mut(&mut self, audience: Audience) -> &mut Index {
        &mut self.sets[usize::from(audience.number())]
    }

    /// A number below `bound`, from the seed (splitmix64).
    fn random_below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.random;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % bound.max(1)
    }

    /// Follows who holds a version that was published here and is the last in its arrival log.
    fn follow_spread(&mut self, audience: Audience, vid: Vid) {
        let place = (audience, self.logs[usize::from(audience.number())].head().sequence);
        if self.spread.insert(vid, Vec::new()).is_none() {
            self.spread_order.push_back((vid, place));
            self.spread_places.insert(place, vid);
        }
        if self.spread_order.len() > SPREAD_FOLLOWED_MAX
            && let Some((oldest, place)) = self.spread_order.pop_front()
        {
            self.spread.remove(&oldest);
            self.spread_places.remove(&place);
        }
    }
}
