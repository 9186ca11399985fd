//! An organisation from which a device was stolen, and what it does about it.

use std::rc::Rc;

use fingerpost_proto::kind::Kind;
use fingerpost_proto::set::Slot;
use fingerpost_proto::time::Hlc;
use fingerpost_proto::time::UnixHour;
use fingerpost_proto::version::SignedVersion;

use super::cast::Role;
use super::random::Random;
use super::world::{Checked, Event, World};

/// Between two looks at whether the revocation is where it was handed in.
const LOOK_US: u64 = 10_000_000;

/// The second device of an honest founder is in wrong hands.
#[derive(Debug)]
pub(super) struct Theft {
    pub(super) org: usize,
    key: [u8; 32],
    /// The card without it, from the moment it is signed.
    card: Option<Rc<SignedVersion>>,
    /// Cards without it that the own node refused. Who saw one may spread it all the same.
    refused: Vec<Rc<SignedVersion>>,
}

impl World {
    /// Chooses a victim. Returns when it notices, in virtual microseconds; `None` in histories without a theft.
    pub(super) fn plan_theft(&mut self) -> Option<u64> {
        if !self.options.rules.has_theft {
            return None;
        }
        let mut random = Random::new(self.options.seed.rotate_left(32));
        let is_fit = |org: &usize| {
            let organisation = &self.cast.organisations[*org];
            organisation.role == Role::Founder && !organisation.is_byzantine
        };
        let victims: Vec<usize> = (0..self.cast.organisations.len()).filter(is_fit).collect();
        let org = *random.pick(&victims)?;
        let key = self.cast.organisations[org].devices[1].verifying_key().to_bytes();
        self.script.theft = Some(Theft { org, key, card: None, refused: Vec::new() });
        Some(random.below(self.options.active_ms * 800))
    }

    /// Signs the card without the stolen device, hands it in until it stays, and signs anew what that device had signed.
    pub(super) fn revoke(&mut self) -> Checked {
        self.after(LOOK_US, Event::Revoke);
        let Some(org) = self.script.theft.as_ref().map(|theft| theft.org) else { return Ok(()) };
        let up = |number: &usize| self.machines[*number].node.is_some();
        let Some(machine) = self.cast.organisations[org].machines.iter().copied().find(up) else { return Ok(()) };
        if let Some(card) = self.revocation_at(machine) {
            self.set_revocation(Some(card));
            return Ok(());
        }
        let signed = self.script.theft.as_ref().and_then(|theft| theft.card.clone());
        let is_first = signed.is_none();
        let card = match signed {
            Some(card) => card,
            None if self.is_settling => return Ok(()),
            None => {
                let Some(hlc) = self.next_hlc(machine, None) else { return Ok(()) };
                let card = self.cast.revocation(org, hlc);
                self.make(card)
            }
        };
        // People forget some: those leave all the same.
        let is_lost = |version: &&Rc<SignedVersion>| {
            let is_remembered = version.vid().0[0].is_multiple_of(2);
            version.header().kind == Kind::SERVICE && self.is_stolen(version) && is_remembered
        };
        let rows = self.machines[machine].store.rows().values();
        let lost: Vec<Rc<SignedVersion>> = rows.map(|row| &row.version).filter(is_lost).map(Rc::clone).collect();
        self.set_revocation(Some(Rc::clone(&card)));
        self.publish(machine, vec![card])?;
        if self.holds_revocation(machine) {
            self.history.counts.revocations += u64::from(is_first);
            return self.sign_again(machine, org, lost);
        }
        if is_first {
            // Refused, for a clock or a disk: another will be signed.
            if let Some(theft) = &mut self.script.theft {
                theft.refused.extend(theft.card.take());
            }
        }
        Ok(())
    }

    fn set_revocation(&mut self, card: Option<Rc<SignedVersion>>) {
        if let Some(theft) = &mut self.script.theft {
            theft.card = card;
        }
    }

    /// What a revoked device had signed, by the other one: the older versions could come back in its place.
    fn sign_again(&mut self, machine: usize, org: usize, lost: Vec<Rc<SignedVersion>>) -> Checked {
        let Some(mut hlc) = self.next_hlc(machine, None) else { return Ok(()) };
        if self.is_settling || lost.is_empty() {
            return Ok(());
        }
        let mut versions = Vec::new();
        for version in lost {
            let header = version.header();
            let key = &self.cast.organisations[org].devices[0];
            let lease = header.lease_until.max(UnixHour(UnixHour::containing(hlc.ms()).0 + 1));
            let what = (header.audience, header.kind);
            let again = self.cast.sign(org, key, what, header.record, hlc, [0; 8], lease, version.body());
            versions.push(self.make(again));
            hlc = Hlc(hlc.0 + 1);
        }
        self.publish(machine, versions)
    }

    /// The device that somebody of this organisation signs with.
    pub(super) fn device(&mut self, org: usize) -> usize {
        let drawn = self.random.index(2);
        if self.has_revoked(org) { 0 } else { drawn }
    }

    pub(super) fn has_revoked(&self, org: usize) -> bool {
        self.script.theft.as_ref().is_some_and(|theft| theft.org == org && theft.card.is_some())
    }

    /// Whether a device signed this version that its organisation has revoked, or will.
    pub(super) fn is_stolen(&self, version: &SignedVersion) -> bool {
        self.script.theft.as_ref().is_some_and(|theft| theft.key == version.header().device)
    }

    /// Whether this machine's store has a card that revokes the stolen device.
    pub(super) fn holds_revocation(&self, machine: usize) -> bool {
        self.revocation_at(machine).is_some()
    }

    fn revocation_at(&self, machine: usize) -> Option<Rc<SignedVersion>> {
        let theft = self.script.theft.as_ref()?;
        let store = &self.machines[machine].store;
        let mut signed = theft.card.iter().chain(&theft.refused);
        signed.find(|card| store.get(&Slot::of(card.header())).is_some()).cloned()
    }

    /// P10: nothing counts that a revoked device signed.
    pub(super) fn check_revocation(&self, number: usize) -> Checked {
        let Some(Theft { org, card: Some(_), .. }) = &self.script.theft else { return Ok(()) };
        if !self.holds_revocation(number) {
            return Err(format!("P10: n{number} has not heard that o{org} revoked a device"));
        }
        match self.machines[number].store.rows().values().find(|row| self.is_stolen(&row.version)) {
            None => Ok(()),
            Some(row) => {
                let found = super::driver::describe(&row.version);
                Err(format!("P10: n{number} still has what a revoked device of o{org} signed: {found}"))
            }
        }
    }
}
