//! Why an organisation has its standing: everything that was said about it, what of that counts, and what is missing.
//!
//! In: the charter and the current statements. Out: an [`Explanation`], for people.
//! Always: its standing is the one that [`Standings::evaluate`] gives; nothing is missing exactly for members.
//! Spec: `spec/05-network.md`, section 5. Tested: `members/tests.rs`, by property.

use std::collections::BTreeSet;

use super::{Standing, Standings, Statements};
use crate::id::OrgId;
use crate::network::charter::Charter;
use crate::time::Hlc;

/// How one organisation vouches for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a statement.
    Direct,
    /// By the invitation that the other joined with.
    Invitation,
}

/// Whether a vouch or an objection counts, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It counts.
    Counts,
    /// Who says it is no participant of the network.
    NotAParticipant,
    /// The inviter took its vouch back.
    TakenBack,
    /// Another organisation claims the same invitation, so it counts for neither.
    ClaimedTwice,
}

/// A vouch for the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VouchHeard {
    /// Who vouches.
    pub by: OrgId,
    /// How.
    pub way: Way,
    /// Whether it counts.
    pub weight: Weight,
}

/// An objection to the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectionHeard {
    /// Who objects.
    pub by: OrgId,
    /// Whether it counts.
    pub weight: Weight,
}

/// What an organisation lacks to be a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It has not accepted the charter.
    Acceptance,
    /// So many more participants must vouch for it.
    Vouches(u32),
    /// It left, and must accept the charter again.
    Return,
    /// So many objections must be taken back.
    Objections(u32),
}

/// Why an organisation has its standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whose.
    pub org: OrgId,
    /// The standing.
    pub standing: Standing,
    /// Named in the charter: needs no vouch.
    pub is_founder: bool,
    /// When it accepted the charter, if it did.
    pub accepted: Option<Hlc>,
    /// When it left, if it has not come back since.
    pub left: Option<Hlc>,
    /// By OrgId, each once.
    pub vouches: Vec<VouchHeard>,
    /// Vouches that the charter asks for.
    pub vouches_needed: u32,
    /// By OrgId.
    pub objections: Vec<ObjectionHeard>,
    /// Objections that put a member out.
    pub objections_needed: u32,
    /// Others that claim the invitation it claims, by OrgId.
    pub rivals: Vec<OrgId>,
}

impl Explanation {
    /// Explains the standing of `org` by the statements. `standings` must be their evaluation.
    pub fn of(charter: &Charter, statements: &Statements, standings: &Standings, org: &OrgId) -> Explanation {
        let accepted = statements.acceptances.get(org);
        let weight = |by: &OrgId| {
            if standings.of(by) >= Standing::Participant { Weight::Counts } else { Weight::NotAParticipant }
        };
        let direct = statements.vouches.iter().filter(|(_, subject)| subject == org).map(|(by, _)| by);
        let mut vouches: Vec<VouchHeard> =
            direct.map(|by| VouchHeard { by: *by, way: Way::Direct, weight: weight(by) }).collect();
        let invitation = accepted.and_then(|accepted| accepted.invitation).filter(|(inviter, _)| inviter != org);
        let mut rivals: BTreeSet<OrgId> = BTreeSet::new();
        if let Some(invitation) = invitation {
            let same = |(_, other): &(&OrgId, &super::Accepted)| other.invitation == Some(invitation);
            let claimants = statements.acceptances.iter().filter(same).map(|(claimant, _)| *claimant);
            rivals.extend(claimants.filter(|claimant| claimant != org && *claimant != invitation.0));
            let (inviter, way) = (invitation.0, Way::Invitation);
            if !vouches.iter().any(|vouch| vouch.by == inviter) {
                let weight = match weight(&inviter) {
                    _ if statements.taken_back.contains(&(inviter, *org)) => Weight::TakenBack,
                    Weight::Counts if !rivals.is_empty() => Weight::ClaimedTwice,
                    weight => weight,
                };
                vouches.push(VouchHeard { by: inviter, way, weight });
            }
        }
        vouches.sort_by_key(|vouch| vouch.by);
        let objections = statements.objections.iter().filter(|(_, subject)| subject == org);
        Explanation {
            org: *org,
            standing: standings.of(org),
            is_founder: charter.founders.contains(org),
            accepted: accepted.map(|accepted| accepted.hlc),
            left: statements.left(org),
            vouches,
            vouches_needed: charter.vouches_needed,
            objections: objections.map(|(by, _)| ObjectionHeard { by: *by, weight: weight(by) }).collect(),
            objections_needed: charter.objections_needed,
            rivals: rivals.into_iter().collect(),
        }
    }

    /// Vouches that count.
    pub fn vouches_counted(&self) -> usize {
        self.vouches.iter().filter(|vouch| vouch.weight == Weight::Counts).count()
    }

    /// Objections that count.
    pub fn objections_counted(&self) -> usize {
        self.objections.iter().filter(|objection| objection.weight == Weight::Counts).count()
    }

    /// What it lacks to be a member; empty for members.
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        if !self.is_founder {
            if self.accepted.is_none() {
                missing.push(Missing::Acceptance);
            }
            let lacking = u64::from(self.vouches_needed).saturating_sub(self.vouches_counted() as u64);
            if lacking > 0 {
                missing.push(Missing::Vouches(u32::try_from(lacking).unwrap_or(u32::MAX)));
            }
        }
        if self.left.is_some() {
            missing.push(Missing::Return);
        }
        let counted = self.objections_counted() as u64;
        if let Some(beyond) = counted.checked_sub(u64::from(self.objections_needed)) {
            missing.push(Missing::Objections(u32::try_from(beyond.saturating_add(1)).unwrap_or(u32::MAX)));
        }
        missing
    }
}
