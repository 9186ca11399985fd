//! The end of a history: faults stop, clocks are set, and all honest nodes must come to agree.

use std::collections::{BTreeMap, BTreeSet};

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::network::members::Standing;
use fingerpost_proto::network::statement::Statement;
use fingerpost_proto::order::Precedence;
use fingerpost_proto::set::Slot;

use super::cast::Role;
use super::network::End;
use super::store::Disk;
use super::world::{Checked, World};

/// Between two looks at whether all agree.
const LOOK_US: u64 = 2_000_000;
/// Agreement must last so long, which is longer than any request may stay open.
const QUIET_US: u64 = 65_000_000;
/// While all agree, so many frames cross one link in that time at most: some ten times what is usual.
const QUIET_FRAMES_PER_LINK_MAX: u64 = 300;
/// And so many more for each version that a node signs meanwhile: it or its name goes over the link, an answer, and how far either
/// side has got. After a leap of all clocks every node signs a new head.
const QUIET_FRAMES_PER_VERSION: u64 = 4;
/// What a head tells to be lacking is there within so many milliseconds.
const LACKING_MS_MAX: u64 = 600_000;
/// Clocks are right within so many milliseconds: no two differ by more than nodes sign heads with.
const CLOCK_ERROR_MS_MAX: u64 = 60_000;

/// What agreement is about: the fingerprint of both sets, and every standing.
type View = ([[u8; 16]; 2], BTreeMap<OrgId, Standing>);

impl World {
    pub(super) fn settle(&mut self) -> Checked {
        self.end_faults()?;
        let begun_us = self.now_us;
        let end_us = begun_us + self.options.settling_ms_max * 1_000;
        let mut lacks = BTreeMap::new();
        loop {
            while self.disagreement().is_some() || self.network.is_behind(self.now_us + LOOK_US) {
                if self.now_us > end_us {
                    return self.no_agreement();
                }
                self.pass(LOOK_US)?;
                self.check_lacks(&mut lacks)?;
            }
            self.history.counts.settling_ms = (self.now_us - begun_us) / 1_000;
            self.quiet_frames.clear();
            let made = self.made_in_order.len();
            self.pass(QUIET_US)?;
            let made = (self.made_in_order.len() - made) as u64;
            let frames = self.quiet_frames.values().max().copied().unwrap_or(0);
            self.history.counts.quiet_frames_per_link_max = frames;
            if self.disagreement().is_none() && self.first_open_want().is_none() {
                if frames > QUIET_FRAMES_PER_LINK_MAX + made * QUIET_FRAMES_PER_VERSION {
                    return Err(format!("{frames} frames crossed one link although only {made} versions were new"));
                }
                break;
            }
            if self.now_us > end_us {
                return self.no_agreement();
            }
        }
        for number in 0..self.machines.len() {
            self.check_rows(number)?;
            self.check_acknowledged_everywhere(number)?;
        }
        for number in self.agreeing().collect::<Vec<_>>() {
            if !self.machines[number].store.unaudited().is_empty() {
                return Err(format!("n{number} never checked what it took for a head"));
            }
            self.check_completeness(number)?;
            self.check_revocation(number)?;
            self.check_admissions(number)?;
        }
        Ok(())
    }

    fn pass(&mut self, duration_us: u64) -> Checked {
        let until_us = self.now_us + duration_us;
        while self.now_us < until_us {
            self.step()?;
        }
        Ok(())
    }

    fn end_faults(&mut self) -> Checked {
        self.history.line(self.now_us, None, || "faults end; clocks are set".to_owned());
        self.is_settling = true;
        self.unblock();
        self.network.slowness.iter_mut().for_each(|slowness| *slowness = 1);
        self.network.queue_bytes_max = 8 << 20;
        for number in 0..self.machines.len() {
            let ahead_ms = self.fault_random.around_zero(CLOCK_ERROR_MS_MAX);
            self.set_clock(number, ahead_ms);
            let machine = &mut self.machines[number];
            machine.dies_at_commit = false;
            if machine.store.disk == Disk::Dead && machine.node.is_some() {
                self.crash(number, false);
            }
            self.machines[number].store.disk = Disk::Good;
            if self.is_set_up(number) {
                self.start(number)?;
            }
        }
        Ok(())
    }

    /// A newcomer's machines run from the moment it is told that it has joined; it may become a member later than that.
    fn is_set_up(&self, number: usize) -> bool {
        let machine = &self.machines[number];
        !matches!(self.cast.organisations[machine.org].role, Role::Newcomer(_)) || !machine.entry.is_empty()
    }

    fn view(&self, number: usize) -> Option<View> {
        let node = self.machines[number].node.as_ref()?;
        let fingerprints = Audience::ALL.map(|audience| node.set(audience).total().fingerprint());
        Some((fingerprints, node.standings().iter().map(|(org, standing)| (*org, standing)).collect()))
    }

    /// Honest machines of organisations that machine 0 takes for members. Its organisation is an honest founder's.
    fn agreeing(&self) -> impl Iterator<Item = usize> {
        let node = self.machines[0].node.as_ref();
        (0..self.machines.len()).filter(move |number| {
            let machine = &self.machines[*number];
            let org = &self.cast.organisations[machine.org].id;
            let is_expected = machine.is_honest() && self.is_set_up(*number);
            is_expected && node.is_some_and(|node| node.standing(org) == Standing::Member)
        })
    }

    /// The first machine that sees something else than machine 0 does.
    fn disagreement(&self) -> Option<usize> {
        // Fingerprints first: they are cheap, and differ while anything is on its way.
        let Some(first) = &self.machines[0].node else { return Some(0) };
        let totals = Audience::ALL.map(|audience| first.set(audience).total());
        let differs = |number: &usize| {
            let Some(node) = &self.machines[*number].node else { return true };
            Audience::ALL.map(|audience| node.set(audience).total()) != totals
        };
        if let Some(number) = self.agreeing().find(differs) {
            return Some(number);
        }
        let view = self.view(0);
        self.agreeing().find(|number| self.view(*number) != view)
    }

    fn no_agreement(&mut self) -> Checked {
        let Some(number) = self.disagreement() else {
            return Err(format!("a request between honest nodes stays open: {:?}", self.first_open_want()));
        };
        let nodes = [0, number].map(|number| self.machines[number].node.as_ref());
        let [Some(reference), Some(node)] = nodes else { return Err(format!("n{number} does not run")) };
        let counts = |node: &fingerpost_proto::node::Node| Audience::ALL.map(|audience| node.set(audience).len());
        let rows = [0, number].map(|number| self.machines[number].store.rows());
        let slots: BTreeSet<&Slot> = rows.iter().flat_map(|rows| rows.keys()).collect();
        let mut differences = Vec::new();
        for slot in slots {
            let pair = rows.map(|rows| rows.get(slot).map(|row| row.version.vid()));
            if pair[0] != pair[1] {
                let words = rows.map(|rows| {
                    rows.get(slot).map_or_else(|| "nothing".to_owned(), |row| super::driver::describe(&row.version))
                });
                differences.push(format!("n0 has {}; n{number} has {}", words[0], words[1]));
            }
        }
        let count = differences.len();
        differences.truncate(5);
        Err(format!(
            "P4: no agreement within {} s: n0 has {:?} entries, n{number} has {:?} and {} links; standings equal: {}; {count} \
             differences: {}; true time {} ms; links of n{number}: {:?}",
            self.options.settling_ms_max / 1_000,
            counts(reference),
            counts(node),
            self.machines[number].links.len(),
            reference.standings().iter().eq(node.standings().iter()),
            differences.join("; "),
            self.true_ms(),
            self.machines[number].links.keys().map(|peer| self.cast.numbers[peer]).collect::<Vec<_>>(),
        ))
    }

    /// A request between honest machines on a living link, without an answer.
    fn first_open_want(&self) -> Option<(usize, usize, u64)> {
        let is_live = |link: usize| self.network.links[link].ends == [End::Open; 2];
        self.open_wants.iter().find(|(link, ..)| is_live(*link)).copied()
    }

    /// When all agree, everybody can tell by heads that what honest organisations published is complete.
    fn check_completeness(&self, number: usize) -> Checked {
        let Some(node) = &self.machines[number].node else { return Ok(()) };
        for other in self.agreeing() {
            let org = self.machines[other].org;
            let id = self.cast.organisations[org].id;
            let known = node.completeness(Audience::Public, &id);
            if known.is_none_or(|known| known.lacking_since.is_some() || known.complete_as_of != Some(known.head)) {
                return Err(format!("P14: n{number} cannot tell that o{org} is complete, although it is: {known:?}"));
            }
        }
        Ok(())
    }

    /// P14: what a head tells to be lacking is soon there, whoever withholds it. `lacks`: which machine lacks records of which
    /// organisation, and since when.
    fn check_lacks(&mut self, lacks: &mut BTreeMap<(usize, usize), u64>) -> Checked {
        let honest: Vec<usize> = self.agreeing().collect();
        for number in honest.iter().copied() {
            let Some(node) = &self.machines[number].node else { continue };
            for org in honest.iter().map(|other| self.machines[*other].org) {
                let known = node.completeness(Audience::Public, &self.cast.organisations[org].id);
                if known.is_none_or(|known| known.lacking_since.is_none()) {
                    lacks.remove(&(number, org));
                    continue;
                }
                let since_us = *lacks.entry((number, org)).or_insert(self.now_us);
                let lasted_ms = (self.now_us - since_us) / 1_000;
                self.history.counts.lacking_ms_max = self.history.counts.lacking_ms_max.max(lasted_ms);
                if lasted_ms > LACKING_MS_MAX {
                    return Err(format!("P14: n{number} has known for {lasted_ms} ms that it lacks records of o{org}"));
                }
            }
        }
        Ok(())
    }

    /// P15: nobody is a member for whom fewer participants speak than the charter wants, by what this machine's store has.
    ///
    /// Counts anew and generously: an invitation speaks for its claimant even when another claims it.
    fn check_admissions(&self, number: usize) -> Checked {
        let Some(node) = &self.machines[number].node else { return Ok(()) };
        let charter = &self.cast.charter;
        let mut voices: BTreeMap<OrgId, BTreeSet<OrgId>> = BTreeMap::new();
        let mut signatories: BTreeSet<OrgId> = BTreeSet::new();
        for row in self.machines[number].store.rows().values().filter(|row| !row.version.is_withdrawal()) {
            let from = row.version.header().org;
            match Statement::read(&row.version) {
                Ok(Statement::Vouch(subject)) => {
                    voices.entry(subject).or_default().insert(from);
                }
                Ok(Statement::Acceptance(invitation)) => {
                    signatories.insert(from);
                    voices.entry(from).or_default().extend(invitation.map(|invitation| invitation.inviter));
                }
                _ => {}
            }
        }
        let mut participants = charter.founders.clone();
        loop {
            let speaks = |voices: &BTreeSet<OrgId>| voices.intersection(&participants).count();
            let is_in = |org: &&OrgId| {
                voices.get(org).is_some_and(|voices| speaks(voices) >= charter.text.vouches_needed as usize)
            };
            let more: Vec<OrgId> = signatories.difference(&participants).filter(is_in).copied().collect();
            if more.is_empty() {
                break;
            }
            participants.extend(more);
        }
        let mut members = node.standings().iter().filter(|(_, standing)| *standing == Standing::Member);
        match members.find(|(org, _)| !participants.contains(org)) {
            None => Ok(()),
            Some((org, _)) => {
                let number_of = self.cast.org_numbers.get(org).copied().unwrap_or_default();
                Err(format!("P15: n{number} takes o{number_of} for a member, for whom too few participants speak"))
            }
        }
    }

    /// What one machine acknowledged is at all of them, or something later is.
    fn check_acknowledged_everywhere(&self, number: usize) -> Checked {
        if !self.machines[number].is_honest() {
            return Ok(());
        }
        let reference = &self.machines[0];
        let Some(node) = &reference.node else { return Err("n0 does not run".to_owned()) };
        for (slot, wanted) in &self.machines[number].watch.acknowledged {
            let Some(made) = self.made.get(&wanted.vid) else { continue };
            let org = made.header().org;
            let was_always_in = !self.script.was_out(self.cast.org_numbers[&org]);
            let is_excused = made.header().kind.is_content() && self.is_past(wanted) || self.is_stolen(made);
            let found: Option<Precedence> = reference.store.get(slot).map(super::store::Row::precedence);
            if was_always_in
                && !is_excused
                && node.standing(&org) == Standing::Member
                && found.is_none_or(|found| found < *wanted)
            {
                return Err(format!("P5: {} was acknowledged by n{number} and is lost", super::driver::describe(made)));
            }
        }
        Ok(())
    }
}
