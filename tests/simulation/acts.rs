//! What people do: publish, edit, withdraw, try again, join, leave, object.

use std::rc::Rc;

use fingerpost_proto::kind::Audience;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::limits::CLOCK_AHEAD_MS_MAX;
use fingerpost_proto::network::members::Standing;
use fingerpost_proto::node::Input;
use fingerpost_proto::set::SetKey;
use fingerpost_proto::set::Slot;
use fingerpost_proto::time::{Hlc, UnixHour, UnixMillis};
use fingerpost_proto::version::SignedVersion;

use super::cast::{BEGIN_MS, Cast, Record, Role};
use super::random::Random;
use super::revoking::Theft;
use super::world::{Checked, Event, World};

/// Signing tools refuse when the node's clock differs by more from theirs.
const SIGNER_DIFFERENCE_MS_MAX: u64 = 120_000;
const DAY_MS: u64 = 86_400_000;
const HOURS_PER_LEASE_MAX: u64 = 9_600;

/// What people remember.
#[derive(Debug)]
pub(super) struct Script {
    is_in: Vec<bool>,
    /// Left, or was put out, at some time: what it published may be gone for good.
    was_out: Vec<bool>,
    /// Objections that stand, as (from, to).
    objections: Vec<(usize, usize)>,
    records: Vec<Record>,
    /// Difference of each organisation's laptops from the true time, in milliseconds.
    laptop_ahead_ms: Vec<i64>,
    /// Published somewhere lately; may be tried again at another machine.
    last: Option<(usize, Vec<Rc<SignedVersion>>)>,
    names: u64,
    pub(super) theft: Option<Theft>,
}

impl Script {
    pub(super) fn new(cast: &Cast, random: &mut Random) -> Script {
        let count = cast.organisations.len();
        Script {
            is_in: vec![false; count],
            was_out: vec![false; count],
            objections: Vec::new(),
            records: Vec::new(),
            laptop_ahead_ms: (0..count).map(|_| random.around_zero(50_000)).collect(),
            last: None,
            names: 0,
            theft: None,
        }
    }

    pub(super) fn set_in(&mut self, org: usize, is_in: bool) {
        self.is_in[org] = is_in;
        self.was_out[org] |= !is_in;
    }

    pub(super) fn was_out(&self, org: usize) -> bool {
        self.was_out[org]
    }

    /// A record of the organisation from which a device was stolen.
    pub(super) fn record_of_victim(&self, random: &mut Random) -> Option<Record> {
        let victim = self.theft.as_ref()?.org;
        let records: Vec<&Record> = self.records.iter().filter(|record| record.org == victim).collect();
        random.pick(&records).map(|record| (*record).clone())
    }

    /// Whether an organisation may have one more record in a set; it counts all that it ever began.
    fn has_room(&self, org: usize, audience: Audience, records_max: usize) -> bool {
        let is_there = |record: &&Record| record.org == org && record.audience == audience;
        records_max == 0 || self.records.iter().filter(is_there).count() < records_max
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("State {}", self.names)
    }
}

impl World {
    /// Records that are there when the history begins.
    pub(super) fn opening_records(&mut self) -> Vec<Rc<SignedVersion>> {
        let mut versions = Vec::new();
        for org in 0..self.cast.organisations.len() {
            if !self.script.is_in[org] {
                continue;
            }
            for _ in 0..self.random.within(1..5) {
                let record = self.new_record(org);
                let signed_ms = BEGIN_MS - self.random.below(200 * DAY_MS);
                let lease = UnixHour::containing(signed_ms).plus_days(self.random.within(201..400) as u32);
                let name = self.script.name();
                let version = self.cast.content(&record, 0, Hlc::new(signed_ms, 0), [0; 8], lease, Some(&name));
                versions.push(self.make(version));
            }
        }
        versions
    }

    /// A record that was not there before, or, where the quota is used up, one that was.
    fn new_record(&mut self, org: usize) -> Record {
        let audience = if self.random.percent(70) { Audience::Public } else { Audience::Members };
        let records_max = self.cast.charter.text.records_max as usize;
        if !self.script.has_room(org, audience, records_max) {
            let is_old = |record: &&Record| record.org == org && record.audience == audience;
            let old: Vec<&Record> = self.script.records.iter().filter(is_old).collect();
            if let Some(record) = self.random.pick(&old) {
                return (*record).clone();
            }
        }
        let record = self.cast.record(org, audience, format!("r{}", self.script.records.len()));
        self.script.records.push(record.clone());
        record
    }

    pub(super) fn act(&mut self) -> Checked {
        if self.is_settling {
            return Ok(());
        }
        let wait_us = self.random.below(self.options.act_pause_ms * 2_000);
        self.after(wait_us, Event::Act);
        if self.options.faults.memberships && self.random.percent(8) {
            return self.change_memberships();
        }
        let members: Vec<usize> = (0..self.script.is_in.len()).filter(|org| self.script.is_in[*org]).collect();
        let Some(org) = self.random.pick(&members).copied() else { return Ok(()) };
        let Some(machine) = self.up_machine(org) else { return Ok(()) };
        match self.random.below(100) {
            0..30 => self.publish_changes(machine, 1, 100, 0),
            30..65 => self.publish_changes(machine, 1, 0, 0),
            65..75 => self.publish_changes(machine, 1, 0, 100),
            75..80 => self.redact(machine),
            80..88 => {
                let count = self.random.within(1..self.options.burst_max + 1);
                self.publish_changes(machine, count, 60, 20)
            }
            88..95 => self.edit_at_once(org, machine),
            _ => self.try_again(),
        }
    }

    /// A machine of this organisation whose process runs.
    fn up_machine(&mut self, org: usize) -> Option<usize> {
        let machines = &self.cast.organisations[org].machines;
        let up: Vec<usize> = machines.iter().copied().filter(|number| self.machines[*number].node.is_some()).collect();
        self.random.pick(&up).copied()
    }

    /// What a signer at this machine signs with; `None` when it refuses, for its clock and the node's differ.
    pub(super) fn signing_clock(&mut self, machine: usize) -> Option<UnixMillis> {
        let org = self.machines[machine].org;
        let laptop = self.true_ms().saturating_add_signed(self.script.laptop_ahead_ms[org]);
        let node = self.clock(machine);
        if node.abs_diff(laptop) <= SIGNER_DIFFERENCE_MS_MAX {
            return Some(laptop);
        }
        // Some sign on the very machine, and nobody tells them.
        let is_near = node.abs_diff(self.true_ms()) <= CLOCK_AHEAD_MS_MAX;
        (is_near && self.random.percent(50)).then_some(node)
    }

    pub(super) fn next_hlc(&mut self, machine: usize, known: Option<Hlc>) -> Option<Hlc> {
        let now = self.signing_clock(machine)?;
        let newest = self.machines[machine].node.as_ref()?.hlc_max();
        let hlc = newest.max(known.unwrap_or_default()).next(now);
        (hlc.ms() <= now + CLOCK_AHEAD_MS_MAX).then_some(hlc)
    }

    /// Publishes `count` changes in one request: new records, withdrawals, and edits otherwise.
    fn publish_changes(&mut self, machine: usize, count: u64, new_percent: u64, withdrawal_percent: u64) -> Checked {
        let org = self.machines[machine].org;
        let Some(mut hlc) = self.next_hlc(machine, None) else { return Ok(()) };
        let mut versions = Vec::new();
        for _ in 0..count {
            let is_new = self.random.percent(new_percent);
            let own: Vec<usize> =
                (0..self.script.records.len()).filter(|at| self.script.records[*at].org == org).collect();
            let record = match self.random.pick(&own).copied() {
                Some(at) if !is_new => self.script.records[at].clone(),
                _ => self.new_record(org),
            };
            let is_withdrawal = self.random.percent(withdrawal_percent);
            let device = self.device(org);
            versions.push(self.state(machine, &record, device, hlc, is_withdrawal));
            hlc = Hlc(hlc.0 + 1);
        }
        self.publish(machine, versions)
    }

    /// Something must vanish: its withdrawal, or an edit, and the redaction that names it.
    fn redact(&mut self, machine: usize) -> Checked {
        let org = self.machines[machine].org;
        let own: Vec<usize> = (0..self.script.records.len()).filter(|at| self.script.records[*at].org == org).collect();
        let Some(at) = self.random.pick(&own).copied() else { return Ok(()) };
        let record = self.script.records[at].clone();
        let Some(hlc) = self.next_hlc(machine, None) else { return Ok(()) };
        let is_withdrawal = self.random.percent(70);
        let (device, other) = (self.device(org), self.device(org));
        let version = self.state(machine, &record, device, hlc, is_withdrawal);
        let redaction = self.cast.redaction(org, other, Hlc(hlc.0 + 1), &version);
        let redaction = self.make(redaction);
        self.history.counts.redactions += 1;
        self.publish(machine, vec![version, redaction])
    }

    /// The next state of a record as its signer at this machine sees it.
    fn state(
        &mut self,
        machine: usize,
        record: &Record,
        device: usize,
        hlc: Hlc,
        is_withdrawal: bool,
    ) -> Rc<SignedVersion> {
        let key = SetKey::derive(Kind::SERVICE, &self.cast.organisations[record.org].id, &record.id);
        let known = self.machines[machine].store.get(&Slot { audience: record.audience, key });
        let prev = known.map_or([0; 8], |row| row.version.vid().prefix());
        let hours = if self.random.percent(40) {
            1 + self.random.below(72)
        } else {
            self.random.within(24..HOURS_PER_LEASE_MAX)
        };
        let lease = UnixHour(UnixHour::containing(hlc.ms()).0 + hours as u32);
        let name = self.script.name();
        self.history.counts.withdrawals += u64::from(is_withdrawal);
        let version = self.cast.content(record, device, hlc, prev, lease, (!is_withdrawal).then_some(&name));
        self.make(version)
    }

    /// Two people edit one record in the same millisecond, perhaps at two machines.
    fn edit_at_once(&mut self, org: usize, machine: usize) -> Checked {
        let Some(other) = self.up_machine(org) else { return Ok(()) };
        let own: Vec<usize> = (0..self.script.records.len()).filter(|at| self.script.records[*at].org == org).collect();
        let Some(at) = self.random.pick(&own).copied() else { return Ok(()) };
        let record = self.script.records[at].clone();
        let Some(hlc) = self.next_hlc(machine, None) else { return Ok(()) };
        let is_withdrawal = self.random.percent(30);
        let first = self.state(machine, &record, 0, hlc, is_withdrawal);
        let second = self.state(other, &record, usize::from(!self.has_revoked(org)), hlc, false);
        self.publish(machine, vec![first])?;
        self.publish(other, vec![second])
    }

    /// Hands the last versions in once more, at any machine of their organisation.
    fn try_again(&mut self) -> Checked {
        let Some((org, versions)) = self.script.last.clone() else { return Ok(()) };
        match self.up_machine(org) {
            Some(machine) if self.script.is_in[org] => self.publish(machine, versions),
            _ => Ok(()),
        }
    }

    pub(super) fn publish(&mut self, number: usize, versions: Vec<Rc<SignedVersion>>) -> Checked {
        let count = versions.len();
        self.history.counts.publishes += count as u64;
        self.history.line(self.now_us, Some(number), || {
            format!("is handed {count} versions: {}", super::driver::describe(&versions[0]))
        });
        if versions[0].header().kind.is_content() {
            self.script.last = Some((self.machines[number].org, versions.clone()));
        }
        let envelopes = versions.iter().map(|version| version.envelope().to_vec()).collect();
        let machine = &mut self.machines[number];
        machine.next_ticket += 1;
        let ticket = machine.next_ticket;
        machine.asked.insert(ticket, versions);
        self.handle(number, Input::Published { ticket, envelopes })
    }

    fn change_memberships(&mut self) -> Checked {
        let orgs: Vec<usize> = (1..self.script.is_in.len()).collect();
        let newcomers: Vec<usize> =
            orgs.iter().copied().filter(|org| !self.script.is_in[*org] && !self.script.was_out[*org]).collect();
        match self.random.below(10) {
            0..6 => {
                let newcomer = self.random.pick(&newcomers).copied();
                let role = newcomer.map(|org| self.cast.organisations[org].role);
                match (newcomer, role) {
                    (Some(org), Some(Role::Newcomer(inviter))) => self.join(org, inviter),
                    _ => self.leave_or_return(&orgs),
                }
            }
            6..8 => self.leave_or_return(&orgs),
            _ => self.object_or_forgive(&orgs),
        }
    }

    /// The inviter's node admits a newcomer, whose machines then start.
    fn join(&mut self, org: usize, inviter: usize) -> Checked {
        if !self.script.is_in[inviter] || self.cast.organisations[inviter].is_byzantine {
            return Ok(());
        }
        let Some(machine) = self.up_machine(inviter) else { return Ok(()) };
        let Some(hlc) = self.next_hlc(machine, None) else { return Ok(()) };
        let acceptance = self.cast.acceptance(org, Some(inviter), hlc);
        let card = self.cast.card(org);
        let entry = vec![self.make(card), self.make(acceptance)];
        self.publish(machine, entry.clone())?;
        if !self.is_member_at(machine, org) {
            return Ok(());
        }
        self.history.counts.joins += 1;
        self.script.set_in(org, true);
        for number in self.cast.organisations[org].machines.clone() {
            self.machines[number].entry = entry.clone();
            self.machines[number].inviter = Some(machine);
            self.start(number)?;
        }
        Ok(())
    }

    fn is_member_at(&self, machine: usize, org: usize) -> bool {
        let node = self.machines[machine].node.as_ref();
        node.is_some_and(|node| node.standing(&self.cast.organisations[org].id) == Standing::Member)
    }

    fn leave_or_return(&mut self, orgs: &[usize]) -> Checked {
        let Some(org) = self.random.pick(orgs).copied() else { return Ok(()) };
        if matches!(self.cast.organisations[org].role, Role::Founder | Role::Outsider) {
            return Ok(());
        }
        let Some(machine) = self.up_machine(org) else { return Ok(()) };
        if self.script.is_in[org] {
            let Some(hlc) = self.next_hlc(machine, None) else { return Ok(()) };
            let leave = self.cast.leave(org, hlc);
            let leave = self.make(leave);
            self.publish(machine, vec![leave])?;
            if !self.is_member_at(machine, org) {
                self.history.counts.leaves += 1;
                self.script.set_in(org, false);
            }
            return Ok(());
        }
        if !self.script.was_out[org] || self.script.objections.iter().any(|(_, to)| *to == org) {
            return Ok(());
        }
        let Some(inviter) = self.up_machine(0) else { return Ok(()) };
        let Some(hlc) = self.next_hlc(inviter, None) else { return Ok(()) };
        let acceptance = self.cast.acceptance(org, Some(0), hlc);
        let acceptance = self.make(acceptance);
        self.publish(inviter, vec![Rc::clone(&acceptance)])?;
        if self.is_member_at(inviter, org) {
            self.history.counts.joins += 1;
            self.script.set_in(org, true);
            self.publish(machine, vec![acceptance])?;
        }
        Ok(())
    }

    /// Two members object to a third, or take it back.
    fn object_or_forgive(&mut self, orgs: &[usize]) -> Checked {
        let standing = self.script.objections.clone();
        if self.random.percent(50) && !standing.is_empty() {
            for (from, to) in standing {
                self.object(from, to, true)?;
            }
            return Ok(());
        }
        let is_fit = |org: &usize| self.script.is_in[*org] && !self.cast.organisations[*org].is_byzantine;
        let objectors: Vec<usize> = (0..self.script.is_in.len()).filter(is_fit).collect();
        let target = self.random.pick(orgs).copied();
        let pair = [self.random.pick(&objectors).copied(), self.random.pick(&objectors).copied()];
        let (Some(to), [Some(one), Some(two)]) = (target, pair) else { return Ok(()) };
        let is_founder = self.cast.organisations[to].role == Role::Founder;
        if is_founder || !self.script.is_in[to] || one == two || to == one || to == two {
            return Ok(());
        }
        self.object(one, to, false)?;
        self.object(two, to, false)
    }

    fn object(&mut self, from: usize, to: usize, is_withdrawn: bool) -> Checked {
        let Some(machine) = self.up_machine(from) else { return Ok(()) };
        let Some(hlc) = self.next_hlc(machine, None) else { return Ok(()) };
        self.history.counts.objections += 1;
        let objection = self.cast.objection(from, to, hlc, is_withdrawn);
        let objection = self.make(objection);
        self.publish(machine, vec![objection])?;
        self.script.objections.retain(|pair| *pair != (from, to));
        if is_withdrawn {
            // People do not ask at how many nodes it has arrived.
            if !self.script.objections.iter().any(|(_, other)| *other == to) {
                self.script.set_in(to, true);
            }
        } else {
            self.script.objections.push((from, to));
            self.script.set_in(to, false);
        }
        Ok(())
    }
}
