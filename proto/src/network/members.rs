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
    /// (for whom, who vouches).
    vouched_by: BTreeSet<(OrgId, OrgId)>,
    /// (to whom, who objects).
    objected_by: BTreeSet<(OrgId, OrgId)>,
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
    ///
    /// Works on places in one sorted list of organisations: a newcomer evaluates ten thousand of them hundreds of times while they
    /// come in.
    pub fn evaluate(charter: &Charter, statements: &Statements) -> Standings {
        let Statements { acceptances, vouches, taken_back, .. } = statements;
        let mut orgs: Vec<OrgId> = charter.founders.iter().chain(acceptances.keys()).copied().collect();
        let inviters = acceptances.values().filter_map(|accepted| Some(accepted.invitation?.0));
        orgs.extend(inviters.chain(vouches.iter().flat_map(|(from, to)| [*from, *to])));
        orgs.sort_unstable();
        orgs.dedup();
        let place = |org: &OrgId| orgs.partition_point(|known| known < org);
        // By inviter and key: a stranger's own invitation over the same key must not touch a participant's.
        let mut claims: Vec<(OrgId, PublicKey, OrgId)> = Vec::new();
        for (org, accepted) in acceptances {
            let invitation = accepted.invitation.filter(|(inviter, _)| inviter != org);
            claims.extend(invitation.map(|(inviter, key)| (inviter, key, *org)));
        }
        claims.sort_unstable();
        let claims: Vec<&[(OrgId, PublicKey, OrgId)]> = claims.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
        // Who vouches for whom, by their places; and those of it that an invitation alone says.
        let places = |from: &OrgId, to: &OrgId| (place(from), place(to));
        let mut vouched: Vec<(usize, usize)> = vouches.iter().map(|(from, to)| places(from, to)).collect();
        let said = vouched.len();
        for claim in &claims {
            if let [(inviter, _, org)] = claim
                && !taken_back.contains(&(*inviter, *org))
                && !vouches.contains(&(*inviter, *org))
            {
                vouched.push(places(inviter, org));
            }
        }
        let mut invited_by = vouched[said..].to_vec();
        vouched.sort_unstable();
        // Each round looks only at those for whom a new participant vouches, so the whole is linear in the vouches.
        let has_accepted: Vec<bool> = orgs.iter().map(|org| acceptances.contains_key(org)).collect();
        let mut is_participant: Vec<bool> = orgs.iter().map(|org| charter.founders.contains(org)).collect();
        let mut missing = vec![charter.vouches_needed; orgs.len()];
        let mut fresh: Vec<usize> = (0..orgs.len()).filter(|at| is_participant[*at]).collect();
        while let Some(voucher) = fresh.pop() {
            let first = vouched.partition_point(|(from, _)| *from < voucher);
            for (_, subject) in vouched[first..].iter().take_while(|(from, _)| *from == voucher) {
                missing[*subject] = missing[*subject].saturating_sub(1);
                let is_enough = missing[*subject] == 0 || is_out(Canary::Admission);
                if is_enough && has_accepted[*subject] && !is_participant[*subject] {
                    is_participant[*subject] = true;
                    fresh.push(*subject);
                }
            }
        }
        // What strangers say depends on who was listening: it must not show.
        vouched.retain(|(from, _)| is_participant[*from]);
        invited_by.retain(|(from, _)| is_participant[*from]);
        let vouched_by = vouched.iter().map(|(from, to)| (orgs[*to], orgs[*from])).collect();
        let invited_by = invited_by.iter().map(|(from, to)| (orgs[*to], orgs[*from])).collect();
        let participant = |org: &OrgId| orgs.get(place(org)).is_some_and(|at| at == org) && is_participant[place(org)];
        let objections = statements.objections.iter().filter(|(from, _)| participant(from));
        let objected_by: BTreeSet<(OrgId, OrgId)> = objections.map(|(from, to)| (*to, *from)).collect();
        let mut standings: Vec<(OrgId, Standing)> = Vec::with_capacity(orgs.len());
        for claim in claims.iter().filter(|claim| claim.first().is_some_and(|(by, _, _)| participant(by))) {
            let claimants = claim.iter().take(CLAIMANTS_PER_INVITATION_MAX);
            standings.extend(claimants.map(|(_, _, org)| (*org, Standing::Claimant)));
        }
        let objections_needed = if is_out(Canary::ObjectionQuorum) { 1 } else { charter.objections_needed as usize };
        for (org, _) in orgs.iter().zip(&is_participant).filter(|(_, is_participant)| **is_participant) {
            let objections = about(&objected_by, org).count();
            let is_member = statements.left(org).is_none() && objections < objections_needed;
            standings.push((*org, if is_member { Standing::Member } else { Standing::Participant }));
        }
        // Of a claimant that is a participant the later entry stays.
        Standings { standings: standings.into_iter().collect(), vouched_by, objected_by, invited_by }
    }

    /// Standing of one organisation.
    pub fn of(&self, org: &OrgId) -> Standing {
        self.standings.get(org).copied().unwrap_or_default()
    }

    /// Every organisation that is not a stranger.
    pub fn iter(&self) -> impl Iterator<Item = (&OrgId, Standing)> {
        self.standings.iter().map(|(org, standing)| (org, *standing))
    }

    /// Organisations whose standing is another than `before`: organisation, standing before, standing now.
    pub fn changed_from<'a>(&'a self, before: &'a Standings) -> impl Iterator<Item = (OrgId, Standing, Standing)> + 'a {
        // Few differ, and both lists are sorted: whoever stands in both with the same standing is passed over in step.
        let (mut old, mut new) = (before.iter().peekable(), self.iter().peekable());
        std::iter::from_fn(move || {
            loop {
                let (was, is) = (old.peek().copied(), new.peek().copied());
                let org = was.iter().chain(&is).map(|(org, _)| **org).min()?;
                let was = was.filter(|(at, _)| **at == org).and_then(|_| old.next());
                let is = is.filter(|(at, _)| **at == org).and_then(|_| new.next());
                let standing = |found: Option<(&OrgId, Standing)>| found.map_or(Standing::Stranger, |found| found.1);
                if standing(was) != standing(is) {
                    return Some((org, standing(was), standing(is)));
                }
            }
        })
    }

    /// Participants that vouch for an organisation, by statement or invitation.
    pub fn vouched_by<'a>(&'a self, org: &'a OrgId) -> impl Iterator<Item = &'a OrgId> {
        about(&self.vouched_by, org)
    }

    /// Participants that object to an organisation.
    pub fn objected_by<'a>(&'a self, org: &'a OrgId) -> impl Iterator<Item = &'a OrgId> {
        about(&self.objected_by, org)
    }

    /// Who vouches for an organisation by an invitation alone, which no other organisation claims.
    pub fn invited_by(&self, org: &OrgId) -> Option<&OrgId> {
        self.invited_by.get(org)
    }
}

/// Who says something about this organisation.
fn about<'a>(said: &'a BTreeSet<(OrgId, OrgId)>, org: &'a OrgId) -> impl Iterator<Item = &'a OrgId> {
    let of_org = said.range((*org, OrgId::default())..).take_while(move |(about, _)| about == org);
    of_org.map(|(_, by)| by)
}
