//! Who is a member: a pure function of the charter and the current signed statements.
//!
//! In: cards and statements, in any order. Out: the [`Standing`] of every organisation.
//! Always: the same statements give the same standings, whatever the order in which they came.
//! Spec: `spec/05-network.md`, section 5. Tested: `members/tests.rs`, by property.

mod explanation;
#[cfg(test)]
mod tests;

pub use explanation::{Explanation, Missing, ObjectionHeard, VouchHeard, Way, Weight};

use std::collections::{BTreeMap, BTreeSet};

use super::charter::Charter;
use crate::canary::{Canary, is_out};
use crate::id::OrgId;
use crate::key::PublicKey;
use crate::time::Hlc;

/// Organisations that claim one invitation and are kept as evidence. The lowest OrgIds are kept, the same everywhere.
pub const CLAIMANTS_PER_INVITATION_MAX: usize = 2;

/// What an organisation may do in a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Unknown to the network: nothing of it is in the set.
    #[default]
    Stranger,
    /// Holds an invitation of a participant but is not in (vouches are missing, or another organisation claims the same
    /// key): its card and statements are in the set, so that others can see and decide.
    Claimant,
    /// Vouched for once, but left or objected to: card and statements are in the set, content is not.
    Participant,
    /// All that it publishes is in the set.
    Member,
}

/// An organisation's acceptance of the charter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// When it was signed.
    pub hlc: Hlc,
    /// Inviter and one-time key of an invitation whose signature and claim were checked.
    pub invitation: Option<(OrgId, PublicKey)>,
}

/// The current statements of a network: for each place the winning one, those that were taken back left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements {
    /// Acceptance by organisation.
    pub acceptances: BTreeMap<OrgId, Accepted>,
    /// When an organisation left.
    pub leaves: BTreeMap<OrgId, Hlc>,
    /// (who vouches, for whom).
    pub vouches: BTreeSet<(OrgId, OrgId)>,
    /// (who took a vouch back, for whom): an invitation of the first counts no longer for the second. Never in `vouches`, too.
    pub taken_back: BTreeSet<(OrgId, OrgId)>,
    /// (who objects, to whom).
    pub objections: BTreeSet<(OrgId, OrgId)>,
}

impl Statements {
    /// When the organisation left, if it has not accepted the charter again since.
    pub fn left(&self, org: &OrgId) -> Option<Hlc> {
        let leave = self.leaves.get(org)?;
        self.acceptances.get(org).is_none_or(|accepted| accepted.hlc <= *leave).then_some(*leave)
    }
}

/// Standing of every organisation that has one; all others are strangers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    standings: BTreeMap<OrgId, Standing>,
    vouched_by: BTreeMap<OrgId, BTreeSet<OrgId>>,
    objected_by: BTreeMap<OrgId, BTreeSet<OrgId>>,
    /// Who is vouched for by an invitation alone, with its inviter.
    invited_by: BTreeMap<OrgId, OrgId>,
}

impl Standings {
    /// Evaluates the rule of the charter.
    ///
    /// P is the least set that holds the founders and every signatory vouched for by at least `vouches_needed`
    /// organisations in P. Members are P without those who left and those objected to by at least `objections_needed`
    /// organisations of P. An invitation counts as its inviter's vouch unless two organisations claim its key, or the inviter
    /// has taken a vouch for that organisation back.
    pub fn evaluate(charter: &Charter, statements: &Statements) -> Standings {
        let mut claims: BTreeMap<(OrgId, PublicKey), BTreeSet<OrgId>> = BTreeMap::new();
        for (org, accepted) in &statements.acceptances {
            // By inviter and key: a stranger's own invitation over the same key must not touch a participant's.
            if let Some(invitation) = accepted.invitation.filter(|(inviter, _)| inviter != org) {
                claims.entry(invitation).or_default().insert(*org);
            }
        }
        let mut vouchers: BTreeMap<OrgId, BTreeSet<OrgId>> = BTreeMap::new();
        for (from, to) in &statements.vouches {
            vouchers.entry(*to).or_default().insert(*from);
        }
        let mut invited_by: BTreeMap<OrgId, OrgId> = BTreeMap::new();
        for (org, accepted) in &statements.acceptances {
            let sole = accepted.invitation.filter(|claim| claims.get(claim).is_some_and(|orgs| orgs.iter().eq([org])));
            if let Some((inviter, _)) = sole.filter(|(inviter, _)| !statements.taken_back.contains(&(*inviter, *org)))
                && vouchers.entry(*org).or_default().insert(inviter)
            {
                invited_by.insert(*org, inviter);
            }
        }
        // Each round looks only at those for whom a new participant vouches, so the whole is linear in the vouches.
        let mut vouched_for: BTreeMap<OrgId, Vec<OrgId>> = BTreeMap::new();
        for (to, from) in &vouchers {
            from.iter().for_each(|from| vouched_for.entry(*from).or_default().push(*to));
        }
        let mut participants = charter.founders.clone();
        let mut missing: BTreeMap<OrgId, u32> = BTreeMap::new();
        let mut fresh: Vec<OrgId> = participants.iter().copied().collect();
        while let Some(voucher) = fresh.pop() {
            for subject in vouched_for.get(&voucher).into_iter().flatten() {
                let missing = missing.entry(*subject).or_insert(charter.vouches_needed);
                *missing = missing.saturating_sub(1);
                let is_enough = *missing == 0 || is_out(Canary::Admission);
                if is_enough && statements.acceptances.contains_key(subject) && participants.insert(*subject) {
                    fresh.push(*subject);
                }
            }
        }
        // What strangers say depends on who was listening: it must not show.
        for voices in vouchers.values_mut() {
            voices.retain(|voucher| participants.contains(voucher));
        }
        vouchers.retain(|_, voices| !voices.is_empty());
        invited_by.retain(|_, inviter| participants.contains(inviter));
        let mut standings: BTreeMap<OrgId, Standing> = BTreeMap::new();
        for (_, claimants) in claims.iter().filter(|((inviter, _), _)| participants.contains(inviter)) {
            for org in claimants.iter().take(CLAIMANTS_PER_INVITATION_MAX) {
                standings.insert(*org, Standing::Claimant);
            }
        }
        let mut objected_by: BTreeMap<OrgId, BTreeSet<OrgId>> = BTreeMap::new();
        for (from, to) in statements.objections.iter().filter(|(from, _)| participants.contains(from)) {
            objected_by.entry(*to).or_default().insert(*from);
        }
        for org in &participants {
            let objections = objected_by.get(org).map_or(0, BTreeSet::len);
            let is_member = statements.left(org).is_none() && objections < charter.objections_needed as usize;
            standings.insert(*org, if is_member { Standing::Member } else { Standing::Participant });
        }
        Standings { standings, vouched_by: vouchers, objected_by, invited_by }
    }

    /// Standing of one organisation.
    pub fn of(&self, org: &OrgId) -> Standing {
        self.standings.get(org).copied().unwrap_or_default()
    }

    /// Every organisation that is not a stranger.
    pub fn iter(&self) -> impl Iterator<Item = (&OrgId, Standing)> {
        self.standings.iter().map(|(org, standing)| (org, *standing))
    }

    /// Participants that vouch for an organisation, by statement or invitation.
    pub fn vouched_by(&self, org: &OrgId) -> impl Iterator<Item = &OrgId> {
        self.vouched_by.get(org).into_iter().flatten()
    }

    /// Participants that object to an organisation.
    pub fn objected_by(&self, org: &OrgId) -> impl Iterator<Item = &OrgId> {
        self.objected_by.get(org).into_iter().flatten()
    }

    /// Who vouches for an organisation by an invitation alone, which no other organisation claims.
    pub fn invited_by(&self, org: &OrgId) -> Option<&OrgId> {
        self.invited_by.get(org)
    }
}
