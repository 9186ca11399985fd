//! What must hold after every event, whatever happened. Messages begin with the promise of `spec/12-threats.md`, where there is one.
//!
//! | checked | when |
//! |---|---|
//! | an acknowledged version is on stable storage | at the answer |
//! | it is still there, or a later one is | at each start of the process |
//! | nothing older than what a store held takes its slot; nothing too old is taken; nothing is forgotten early | at each change |
//! | nothing is stored that was not signed by its publisher's device | at each change |
//! | nor, where a device's revocation is stored, what that device signed | at each change, and in the end |
//! | no more records of one organisation are stored than the charter allows; an honest one is never refused for it | at each change |
//! | no row is shown whose lease is over by the machine's clock | after each tick |
//! | the index's total is the sum over the store's rows | after each event that changes either |
//! | index and store agree row by row, and hold members' content only | every 20 s |
//! | what a node confirms to have erased is replaced on stable storage | at each receipt |
//! | and nothing older is ever stored there again | at each change |
//! | members' versions go to nodes of members only | at each sending |
//! | what a head vouched for goes to nobody before it is audited | at each answer |
//! | nobody is dialled more than 30 times a minute | at each dial |
//! | an honest node never accuses an honest node of a breach | at each Bye and each refusal |
//! | nobody is said to have told two truths but liars | at each first proof |

use std::collections::BTreeMap;

use fingerpost_proto::kind::{Audience, Class};
use fingerpost_proto::limits::CLOCK_AHEAD_MS_MAX;
use fingerpost_proto::network::members::Standing;
use fingerpost_proto::node::{Outcome, Peer, Reject, read_compressed, read_frame};
use fingerpost_proto::order::Precedence;
use fingerpost_proto::redaction::Receipt;
use fingerpost_proto::set::{SetKey, Slot, Summary};
use fingerpost_proto::sync::{RangeContent, read_ranges};
use fingerpost_proto::time::{Hlc, UnixHour, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::v1::frame::Content;
use fingerpost_proto::version::{SignedVersion, forget_at};
use std::rc::Rc;

use super::driver::describe;
use super::store::{Disk, Row, Store};
use super::world::{Checked, World};

/// What is remembered of one machine to judge it by.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The greatest that each slot's store has held and not rightly forgotten.
    guard: BTreeMap<Slot, Precedence>,
    /// What was answered to be published, and not rightly forgotten since.
    pub(super) acknowledged: BTreeMap<Slot, Precedence>,
    /// The clock below which nothing may come back to a place, by this machine's own word.
    confirmed: BTreeMap<Slot, Hlc>,
    totals: [Option<Summary>; 2],
}

impl Watch {
    /// A process starts: it knows what its disk knows.
    pub(super) fn begin(&mut self, store: &Store) {
        self.guard = store.rows().iter().map(|(slot, row)| (*slot, row.precedence())).collect();
        self.totals = [None; 2];
    }

    /// Yesterday's disk is back: what it does not have was lost by people.
    pub(super) fn excuse_lost(&mut self, store: &Store) {
        self.acknowledged.retain(|slot, wanted| store.get(slot).is_some_and(|row| row.precedence() >= *wanted));
        self.confirmed.clear();
    }
}

/// A process dials one other so often in a minute at most.
const DIALS_PER_MINUTE_MAX: u32 = 30;

/// Number of the field that a frame's content stands in.
fn content_field(frame: &[u8]) -> u8 {
    frame.first().map_or(0, |tag| tag >> 3)
}

const VERSIONS: u8 = 3;
const RECONCILE: u8 = 4;
const OFFER: u8 = 5;
const WANT: u8 = 6;
const CATCH_UP: u8 = 9;
const ARRIVALS: u8 = 10;
const TAKE: u8 = 11;
const FETCH: u8 = 12;
const PROGRESS: u8 = 13;
const COMPRESSED: u8 = 14;

/// Liars who are no members ask about members' records under numbers from here on, so that an answer shows.
pub(super) const PRYING_WANT_MIN: u64 = 1 << 40;

/// Envelopes and number of a `Versions` frame, compressed or not.
pub(super) fn read_versions(content: Content) -> Option<v1::Versions> {
    match content {
        Content::Versions(versions) => Some(versions),
        Content::Compressed(compressed) => read_compressed(&compressed).ok(),
        _ => None,
    }
}

/// An answer made of nothing but skipped ranges tells nothing.
fn says_nothing(reconcile: &v1::Reconcile) -> bool {
    let lower = SetKey::from_slice(&reconcile.lower).unwrap_or_default();
    let is_reply = reconcile.round % 2 == 1;
    let ranges = read_ranges(lower, &reconcile.ranges, is_reply);
    is_reply && ranges.is_ok_and(|ranges| ranges.iter().all(|range| range.content == RangeContent::Skip))
}

impl World {
    pub(super) fn check_put(&mut self, number: usize, now: UnixMillis, slot: Slot, row: &Row) -> Checked {
        let version = &row.version;
        let failed = |promise: &str, what: &str| Err(format!("{promise}: n{number} {what}: {}", describe(version)));
        if self.forged.contains(&version.vid()) {
            return failed("P1", "stores a forged version");
        }
        if version.forget_at().is_some_and(|forget_at| forget_at <= now) {
            return failed("P6", "takes a version that is too old");
        }
        if self.machines[number].watch.confirmed.get(&slot).is_some_and(|clock| row.version.header().hlc < *clock) {
            return failed("P6", "stores what it had confirmed to be erased");
        }
        let found = row.precedence();
        let guard = &mut self.machines[number].watch.guard;
        if guard.get(&slot).is_some_and(|known| *known > found) {
            return failed("P7", "goes back to an older version");
        }
        guard.insert(slot, found);
        self.check_quota(number, &slot)?;
        let still = self.machines[number].store.get(&slot).map(|row| row.version.vid());
        if self.is_stolen(version) && self.holds_revocation(number) && still == Some(version.vid()) {
            return failed("P10", "takes what a revoked device signed");
        }
        Ok(())
    }

    /// P11: a set holds no more records of one organisation than the charter says.
    fn check_quota(&self, number: usize, slot: &Slot) -> Checked {
        let max = self.cast.charter.text.records_max as usize;
        if max == 0 || slot.key.class() != Class::Record {
            return Ok(());
        }
        let held = self.of_one_organisation(number, slot).count();
        if held > max {
            let audience = slot.audience;
            return Err(format!(
                "P11: n{number} holds {held} {audience} records of one organisation, and {max} are allowed"
            ));
        }
        Ok(())
    }

    /// The places of a store that are of the organisation of this one, in the order of their keys.
    fn of_one_organisation(&self, number: usize, slot: &Slot) -> impl Iterator<Item = Slot> {
        let (mut first, mut last) = (*slot, *slot);
        first.key.0[8..].fill(0);
        last.key.0[8..].fill(0xff);
        self.machines[number].store.rows().range(first..=last).map(|(slot, _)| *slot)
    }

    /// Whether as many records of its organisation as are allowed stand before this place.
    fn is_displaced(&self, number: usize, slot: &Slot) -> bool {
        let max = self.cast.charter.text.records_max as usize;
        max > 0
            && slot.key.class() == Class::Record
            && self.of_one_organisation(number, slot).take_while(|other| other < slot).count() >= max
    }

    /// A node signs that it has erased something: whatever stands there is the named version or a later one, and durable.
    pub(super) fn check_receipt(&mut self, number: usize, receipt: &SignedVersion) -> Checked {
        let read = Receipt::read(receipt.header(), receipt.body());
        let Receipt { erasures, .. } = read.map_err(|error| format!("n{number} signs no receipt: {error}"))?;
        self.history.counts.receipts += 1;
        for erasure in erasures {
            // What a revoked device signed goes, and what it replaced may show again: `spec/05-network.md`, section 1.2.
            let named = self.made.get(&erasure.replaced_by).filter(|named| !self.is_stolen(named));
            let Some(named) = named else { continue };
            let (slot, clock) = (Slot::of(named.header()), named.header().hlc);
            let machine = &mut self.machines[number];
            // What was forgotten, for its organisation left or its time was over, is gone as well.
            let row = machine.store.get(&slot);
            if row.is_some_and(|row| row.version.header().hlc < clock) || !machine.store.is_durable(&slot) {
                let found = row.map(|row| describe(&row.version)).unwrap_or_default();
                return Err(format!("P6: n{number} confirms to have erased what it still has: {found}"));
            }
            // A place that was forgotten, by a clock that was wrong or because its organisation was out for a while, is no
            // bar to what a liar kept of it: open in `spec/12-threats.md`, P6.
            if row.is_some() {
                machine.watch.confirmed.insert(slot, clock);
            }
        }
        Ok(())
    }

    /// A node hears the first proof against a device: it is a liar's, or that of a machine that lost what it had sent.
    pub(super) fn check_accusation(&mut self, number: usize, device: &[u8; 32]) -> Checked {
        self.history.counts.accusations += 1;
        self.history
            .line(self.now_us, Some(number), || format!("hears of two truths by {:02x}{:02x}", device[0], device[1]));
        let accused = self.machines.iter().position(|machine| machine.key.as_bytes() == device);
        accused.filter(|accused| self.machines[*accused].is_honest()).map_or(Ok(()), |accused| {
            Err(format!("P14: n{number} hears that n{accused} said two things, and it is honest"))
        })
    }

    pub(super) fn check_lapse(&mut self, number: usize, now: UnixMillis, row: &Row) -> Checked {
        let is_over = row.version.header().lease_until <= UnixHour::containing(now);
        if is_over != row.lapsed || row.version.is_withdrawal() {
            let what = if row.lapsed { "lapses too early" } else { "lets a lease run again that is over" };
            return Err(format!("n{number} {what}: {}", describe(&row.version)));
        }
        Ok(())
    }

    pub(super) fn check_forget(&mut self, number: usize, now: UnixMillis, slot: Slot, row: &Row) -> Checked {
        let header = row.version.header();
        let is_displaced = self.is_displaced(number, &slot);
        let is_revoked = self.is_stolen(&row.version) && self.holds_revocation(number);
        let is_due = row.version.forget_at().is_some_and(|forget_at| forget_at <= now);
        let machine = &mut self.machines[number];
        let standing = machine.node.as_ref().map(|node| node.standing(&header.org)).unwrap_or_default();
        let is_out = standing != Standing::Member && header.kind.is_content() || standing == Standing::Stranger;
        // Upkeep of a clock that everybody would refuse may go when it is found out.
        let is_ahead = header.kind.is_upkeep() && header.hlc.ms() > now + CLOCK_AHEAD_MS_MAX;
        self.history.counts.displaced += u64::from(is_displaced && !is_due && !is_out);
        if !is_due && !is_out && !is_ahead && !is_displaced && !is_revoked {
            return Err(format!("P6: n{number} forgets too early: {}", describe(&row.version)));
        }
        machine.watch.guard.remove(&slot);
        machine.watch.acknowledged.remove(&slot);
        machine.watch.confirmed.remove(&slot);
        Ok(())
    }

    pub(super) fn check_leases(&mut self, number: usize) -> Checked {
        let now = UnixHour::containing(self.clock(number));
        let machine = &self.machines[number];
        if machine.store.disk == Disk::Dead || machine.node.is_none() {
            return Ok(());
        }
        match machine.store.earliest_lease() {
            Some((lease, slot)) if *lease <= now => {
                let row = machine.store.get(slot).map(|row| describe(&row.version)).unwrap_or_default();
                Err(format!("n{number} shows a record whose lease is over: {row}"))
            }
            _ => Ok(()),
        }
    }

    /// The total of each set is the sum over the store's rows.
    pub(super) fn check_totals(&mut self, number: usize) -> Checked {
        let machine = &mut self.machines[number];
        let Some(node) = &machine.node else { return Ok(()) };
        if machine.store.disk == Disk::Dead {
            return Ok(());
        }
        for audience in Audience::ALL {
            let at = usize::from(audience.number());
            let total = node.set(audience).total();
            let is_unchanged = machine.watch.totals[at] == Some(total) && !machine.store.take_changed(audience);
            if is_unchanged {
                continue;
            }
            machine.store.take_changed(audience);
            machine.watch.totals[at] = Some(total);
            if total.fingerprint() != machine.store.fingerprint(audience) {
                return Err(format!(
                    "n{number}: the total of the {audience} set is not the sum over the store: {} entries, {} rows",
                    total.count,
                    machine.store.rows().keys().filter(|slot| slot.audience == audience).count()
                ));
            }
        }
        Ok(())
    }

    /// Index and store agree row by row.
    pub(super) fn check_rows(&mut self, number: usize) -> Checked {
        let machine = &self.machines[number];
        let Some(node) = &machine.node else { return Ok(()) };
        if machine.store.disk == Disk::Dead {
            return Ok(());
        }
        self.history.counts.full_checks += 1;
        for audience in Audience::ALL {
            let entries = node.set(audience).range(&SetKey::default(), None).map(|(key, entry)| (key, entry.vid));
            let rows = machine.store.rows().iter().filter(|(slot, _)| slot.audience == audience);
            if !entries.eq(rows.map(|(slot, row)| (slot.key, row.version.vid()))) {
                return Err(format!("n{number}: the {audience} set does not list what the store has"));
            }
        }
        for row in machine.store.rows().values() {
            let header = row.version.header();
            let standing = node.standing(&header.org);
            let is_welcome =
                if header.kind.is_content() { standing == Standing::Member } else { standing != Standing::Stranger };
            if !is_welcome {
                return Err(format!("P15: n{number} keeps what is not a member's: {}", describe(&row.version)));
            }
        }
        Ok(())
    }

    /// An admin is told what became of versions.
    pub(super) fn answered(&mut self, number: usize, versions: &[Rc<SignedVersion>], outcomes: &[Outcome]) -> Checked {
        if versions.len() != outcomes.len() {
            return Err(format!("n{number} answers {} of {} versions", outcomes.len(), versions.len()));
        }
        for (version, outcome) in versions.iter().zip(outcomes) {
            self.history.line(self.now_us, Some(number), || format!("answers {outcome:?} to {}", describe(version)));
            match outcome {
                Outcome::Published { .. } | Outcome::Duplicate => {}
                Outcome::Rejected(why @ Reject::OverQuota { .. }) if self.machines[number].is_honest() => {
                    return Err(format!("P11: n{number} refuses an honest organisation's own record: {why}"));
                }
                Outcome::Superseded | Outcome::Rejected(_) => continue,
            }
            self.history.counts.acknowledged += 1;
            let (slot, wanted) = (Slot::of(version.header()), Precedence::of(version));
            let machine = &mut self.machines[number];
            let is_there = machine.store.get(&slot).is_some_and(|row| row.precedence() >= wanted);
            if !is_there || !machine.store.is_durable(&slot) {
                return Err(format!("P5: n{number} answers {outcome:?} before it is durable: {}", describe(version)));
            }
            machine.watch.acknowledged.insert(slot, wanted);
        }
        Ok(())
    }

    /// What was acknowledged survived.
    pub(super) fn check_acknowledged(&self, number: usize) -> Checked {
        let machine = &self.machines[number];
        for (slot, wanted) in &machine.watch.acknowledged {
            if machine.store.get(slot).is_none_or(|row| row.precedence() < *wanted) {
                return Err(format!("P5: n{number} lost version {}, which it had acknowledged", wanted.vid));
            }
        }
        Ok(())
    }

    pub(super) fn check_sending(&self, number: usize, peer: &Peer, frame: &[u8]) -> Checked {
        let tells = matches!(
            content_field(frame),
            VERSIONS | COMPRESSED | RECONCILE | OFFER | CATCH_UP | ARRIVALS | FETCH | PROGRESS
        );
        if !tells || !self.machines[number].is_honest() || self.takes_for_member(number, peer) {
            return Ok(());
        }
        let members = u32::from(Audience::Members.number());
        let is_leak = match read_frame(frame) {
            Ok(content @ (Content::Versions(_) | Content::Compressed(_))) => {
                let versions = read_versions(content).unwrap_or_default();
                let version = |envelope: &Vec<u8>| SignedVersion::read(envelope.clone()).ok();
                let mut versions = versions.envelopes.iter().filter_map(version);
                versions.any(|version| version.header().audience == Audience::Members)
            }
            Ok(Content::Reconcile(reconcile)) => reconcile.audience == members && !says_nothing(&reconcile),
            Ok(Content::Offer(offer)) => offer.audience == members,
            Ok(Content::CatchUp(catch_up)) => catch_up.audience == members,
            Ok(Content::Fetch(fetch)) => fetch.audience == members,
            Ok(Content::Progress(progress)) => progress.audience == members,
            Ok(Content::Arrivals(arrivals)) => arrivals.want >= PRYING_WANT_MIN && !arrivals.stale,
            _ => false,
        };
        self.leak(number, peer, is_leak, || super::driver::describe_frame(frame))
    }

    pub(super) fn check_answering(&self, number: usize, peer: &Peer, slots: &[Slot]) -> Checked {
        let is_leak = self.machines[number].is_honest()
            && slots.iter().any(|slot| slot.audience == Audience::Members)
            && !self.takes_for_member(number, peer);
        let store = &self.machines[number].store;
        let is_unaudited = |slot: &&Slot| {
            let row = store.get(slot).filter(|row| row.version.header().kind.class() == Class::Record);
            row.is_some_and(|row| {
                slot.audience == Audience::Public && store.unaudited().contains(&row.version.header().org)
            })
        };
        // A dead disk does not take the note that an audit has ended.
        let is_noted = self.machines[number].is_honest() && store.disk != Disk::Dead;
        if let Some(slot) = slots.iter().find(is_unaudited).filter(|_| is_noted) {
            return Err(format!("n{number} passes on what it has not checked: {slot:?}"));
        }
        self.leak(number, peer, is_leak, || "versions that were asked for".to_owned())
    }

    fn leak(&self, number: usize, peer: &Peer, is_leak: bool, what: impl FnOnce() -> String) -> Checked {
        if !is_leak {
            return Ok(());
        }
        let to = self.cast.numbers[peer];
        Err(format!("P13: n{number} tells n{to}, no member's node, of members' records: {}", what()))
    }

    pub(super) fn check_parting(&mut self, number: usize, peer: &Peer, code: v1::ByeCode, message: &str) -> Checked {
        let other = self.cast.numbers[peer];
        if code != v1::ByeCode::Breach || !self.machines[number].is_honest() {
            return Ok(());
        }
        if self.machines[other].is_honest() {
            return Err(format!("P12: n{number} accuses n{other} of a breach, and both are honest: {message}"));
        }
        self.history.counts.breaches_of_byzantine += 1;
        Ok(())
    }

    pub(super) fn check_dialling(&mut self, number: usize, to: usize) -> Checked {
        // By the calendar: when all clocks leap by hours, all pauses are over.
        let now_ms = self.true_ms();
        let (since_ms, count) = self.machines[number].dials.entry(to).or_insert((now_ms, 0));
        if now_ms - *since_ms > 60_000 {
            (*since_ms, *count) = (now_ms, 0);
        }
        *count += 1;
        if *count > DIALS_PER_MINUTE_MAX {
            return Err(format!("n{number} dials n{to} more than {DIALS_PER_MINUTE_MAX} times a minute"));
        }
        Ok(())
    }

    pub(super) fn check_rejection(&self, number: usize, from: usize, why: &Reject) -> Checked {
        if why.is_breach() && self.machines[number].is_honest() && self.machines[from].is_honest() {
            return Err(format!(
                "P12: n{number} finds that n{from} sent what no honest node sends, and both are honest: {why}"
            ));
        }
        Ok(())
    }

    /// Follows requests between honest machines, so that none is left open.
    pub(super) fn note_delivery(&mut self, from: usize, to: usize, link: usize, frame: &[u8]) {
        if !self.is_settling || !self.machines[from].is_honest() || !self.machines[to].is_honest() {
            return;
        }
        let is_answer = matches!(content_field(frame), VERSIONS | COMPRESSED | ARRIVALS)
            && self.open_wants.range((link, to, 0)..=(link, to, u64::MAX)).next().is_some();
        if !is_answer && !matches!(content_field(frame), WANT | FETCH | CATCH_UP | TAKE) {
            return;
        }
        let Ok(content) = read_frame(frame) else { return };
        let asked = match &content {
            Content::Want(want) => Some(want.want),
            Content::Fetch(fetch) => Some(fetch.want),
            Content::CatchUp(catch_up) => Some(catch_up.want),
            Content::Take(take) => Some(take.want),
            _ => None,
        };
        self.open_wants.extend(asked.map(|want| (link, from, want)));
        let answered = match content {
            Content::Arrivals(arrivals) => Some(arrivals.want),
            content => read_versions(content).filter(|versions| versions.last).map(|versions| versions.want),
        };
        if let Some(want) = answered {
            self.open_wants.remove(&(link, to, want));
        }
    }

    /// A version may be kept no longer than this by anybody.
    pub(super) fn is_past(&self, wanted: &Precedence) -> bool {
        forget_at(wanted.hlc) <= self.true_ms() + 200_000
    }
}
