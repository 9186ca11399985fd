//! Who is a member: a pure function of the charter and the current signed statements.
//!
//! In: cards and statements, in any order. Out: the [`Standing`] of every organisation.
//! Always: the same statements give the same standings, whatever the order in which they came.
//! Spec: `spec/05-network.md`, section 5. Tested: below, by property.

use std::collections::{BTreeMap, BTreeSet};

use super::charter::Charter;
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
    /// (who objects, to whom).
    pub objections: BTreeSet<(OrgId, OrgId)>,
}

/// Standing of every organisation that has one; all others are strangers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    standings: BTreeMap<OrgId, Standing>,
    vouched_by: BTreeMap<OrgId, BTreeSet<OrgId>>,
}

impl Standings {
    /// Evaluates the rule of the charter.
    ///
    /// P is the least set that holds the founders and every signatory vouched for by at least `vouches_needed`
    /// organisations in P. Members are P without those who left and those objected to by at least `objections_needed`
    /// organisations of P. An invitation counts as its inviter's vouch unless two organisations claim its key.
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
        for (org, accepted) in &statements.acceptances {
            match accepted.invitation {
                Some(invitation) if claims.get(&invitation).is_some_and(|orgs| orgs.len() == 1) => {
                    vouchers.entry(*org).or_default().insert(invitation.0);
                }
                _ => {}
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
                if *missing == 0 && statements.acceptances.contains_key(subject) && participants.insert(*subject) {
                    fresh.push(*subject);
                }
            }
        }
        let mut standings: BTreeMap<OrgId, Standing> = BTreeMap::new();
        for (_, claimants) in claims.iter().filter(|((inviter, _), _)| participants.contains(inviter)) {
            for org in claimants.iter().take(CLAIMANTS_PER_INVITATION_MAX) {
                standings.insert(*org, Standing::Claimant);
            }
        }
        let mut objectors: BTreeMap<OrgId, usize> = BTreeMap::new();
        for (_, to) in statements.objections.iter().filter(|(from, _)| participants.contains(from)) {
            *objectors.entry(*to).or_default() += 1;
        }
        for org in &participants {
            let objections = objectors.get(org).copied().unwrap_or(0);
            let left = statements
                .leaves
                .get(org)
                .is_some_and(|leave| statements.acceptances.get(org).is_none_or(|accepted| accepted.hlc <= *leave));
            let is_member = !left && objections < charter.objections_needed as usize;
            standings.insert(*org, if is_member { Standing::Member } else { Standing::Participant });
        }
        Standings { standings, vouched_by: vouchers }
    }

    /// Standing of one organisation.
    pub fn of(&self, org: &OrgId) -> Standing {
        self.standings.get(org).copied().unwrap_or_default()
    }

    /// Every organisation that is not a stranger.
    pub fn iter(&self) -> impl Iterator<Item = (&OrgId, Standing)> {
        self.standings.iter().map(|(org, standing)| (org, *standing))
    }

    /// Who vouches for an organisation, by statement or invitation.
    pub fn vouched_by(&self, org: &OrgId) -> impl Iterator<Item = &OrgId> {
        self.vouched_by.get(org).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::v1;

    fn org(n: u8) -> OrgId {
        OrgId([n; 32])
    }

    fn key(seed: u8) -> PublicKey {
        PublicKey::from_bytes(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
    }

    fn charter(vouches_needed: u32, objections_needed: u32) -> Charter {
        let charter = v1::Charter {
            name: "City".into(),
            founders: vec![vec![1; 32], vec![2; 32]],
            vouches_needed,
            objections_needed,
            lease_days_default: 180,
            lease_days_max: 400,
            nonce: vec![0; 16],
            ..Default::default()
        };
        Charter::read(&charter.encode_to_vec()).unwrap()
    }

    fn accept(statements: &mut Statements, n: u8, invitation: Option<(u8, u8)>) {
        let invitation = invitation.map(|(inviter, seed)| (org(inviter), key(seed)));
        statements.acceptances.insert(org(n), Accepted { hlc: Hlc(10), invitation });
    }

    #[test]
    fn founders_are_members_and_an_invited_signatory_joins() {
        let mut statements = Statements::default();
        accept(&mut statements, 3, Some((1, 50)));
        let standings = Standings::evaluate(&charter(1, 2), &statements);
        assert_eq!(standings.of(&org(1)), Standing::Member);
        assert_eq!(standings.of(&org(3)), Standing::Member);
        assert_eq!(standings.of(&org(4)), Standing::Stranger);
    }

    #[test]
    fn an_invitation_by_a_stranger_counts_for_nothing() {
        let mut statements = Statements::default();
        accept(&mut statements, 3, Some((9, 50)));
        assert_eq!(Standings::evaluate(&charter(1, 2), &statements).of(&org(3)), Standing::Stranger);
    }

    #[test]
    fn two_strangers_who_vouch_for_each_other_stay_outside() {
        let mut statements = Statements::default();
        accept(&mut statements, 3, None);
        accept(&mut statements, 4, None);
        statements.vouches.extend([(org(3), org(4)), (org(4), org(3))]);
        let standings = Standings::evaluate(&charter(1, 2), &statements);
        assert_eq!((standings.of(&org(3)), standings.of(&org(4))), (Standing::Stranger, Standing::Stranger));
    }

    #[test]
    fn a_key_claimed_by_two_organisations_counts_for_neither_until_the_inviter_vouches() {
        let mut statements = Statements::default();
        accept(&mut statements, 3, Some((1, 50)));
        accept(&mut statements, 4, Some((1, 50)));
        let standings = Standings::evaluate(&charter(1, 2), &statements);
        assert_eq!((standings.of(&org(3)), standings.of(&org(4))), (Standing::Claimant, Standing::Claimant));
        statements.vouches.insert((org(1), org(4)));
        let standings = Standings::evaluate(&charter(1, 2), &statements);
        assert_eq!((standings.of(&org(3)), standings.of(&org(4))), (Standing::Claimant, Standing::Member));
    }

    #[test]
    fn a_strangers_own_invitation_over_the_same_key_harms_nobody() {
        let mut statements = Statements::default();
        accept(&mut statements, 3, Some((1, 50)));
        accept(&mut statements, 9, Some((8, 50)));
        let standings = Standings::evaluate(&charter(1, 2), &statements);
        assert_eq!((standings.of(&org(3)), standings.of(&org(9))), (Standing::Member, Standing::Stranger));
    }

    #[test]
    fn of_many_claimants_of_one_key_the_two_lowest_are_kept() {
        let mut statements = Statements::default();
        (3..9).for_each(|n| accept(&mut statements, n, Some((1, 50))));
        let standings = Standings::evaluate(&charter(1, 2), &statements);
        let kept: Vec<u8> = (3..9).filter(|n| standings.of(&org(*n)) == Standing::Claimant).collect();
        assert_eq!(kept, [3, 4]);
    }

    #[test]
    fn two_vouches_are_needed_where_the_charter_says_so() {
        let mut statements = Statements::default();
        accept(&mut statements, 3, Some((1, 50)));
        assert_eq!(Standings::evaluate(&charter(2, 2), &statements).of(&org(3)), Standing::Claimant);
        statements.vouches.insert((org(2), org(3)));
        assert_eq!(Standings::evaluate(&charter(2, 2), &statements).of(&org(3)), Standing::Member);
    }

    #[test]
    fn a_founder_can_be_put_out_and_those_it_vouched_for_stay() {
        let mut statements = Statements::default();
        accept(&mut statements, 3, Some((1, 50)));
        statements.objections.insert((org(2), org(1)));
        assert_eq!(Standings::evaluate(&charter(1, 2), &statements).of(&org(1)), Standing::Member);
        statements.objections.insert((org(3), org(1)));
        let standings = Standings::evaluate(&charter(1, 2), &statements);
        assert_eq!((standings.of(&org(1)), standings.of(&org(3))), (Standing::Participant, Standing::Member));
    }

    #[test]
    fn objections_by_strangers_count_for_nothing() {
        let mut statements = Statements::default();
        statements.objections.extend((10..30).map(|n| (org(n), org(1))));
        assert_eq!(Standings::evaluate(&charter(1, 1), &statements).of(&org(1)), Standing::Member);
    }

    #[test]
    fn who_left_is_no_member_until_it_accepts_again() {
        let mut statements = Statements::default();
        accept(&mut statements, 3, Some((1, 50)));
        statements.leaves.insert(org(3), Hlc(20));
        assert_eq!(Standings::evaluate(&charter(1, 2), &statements).of(&org(3)), Standing::Participant);
        statements.leaves.insert(org(3), Hlc(5));
        assert_eq!(Standings::evaluate(&charter(1, 2), &statements).of(&org(3)), Standing::Member);
    }

    /// The rule as the specification words it, by brute force.
    fn reference(charter: &Charter, statements: &Statements) -> BTreeSet<OrgId> {
        let mut participants = charter.founders.clone();
        loop {
            let fresh: Vec<OrgId> = statements
                .acceptances
                .keys()
                .filter(|org| !participants.contains(org))
                .filter(|org| {
                    let vouches =
                        participants.iter().filter(|from| statements.vouches.contains(&(**from, **org))).count();
                    vouches >= charter.vouches_needed as usize
                })
                .copied()
                .collect();
            if fresh.is_empty() {
                return participants;
            }
            participants.extend(fresh);
        }
    }

    proptest! {
        #[test]
        fn the_evaluator_finds_the_least_fixpoint(
            vouches in prop::collection::btree_set((1u8..12, 1u8..12), 0..40),
            signatories in prop::collection::btree_set(3u8..12, 0..9),
            needed in 1u32..3,
        ) {
            let mut statements = Statements::default();
            signatories.iter().for_each(|n| accept(&mut statements, *n, None));
            statements.vouches = vouches.iter().filter(|(a, b)| a != b).map(|(a, b)| (org(*a), org(*b))).collect();
            let charter = charter(needed, 200);
            let standings = Standings::evaluate(&charter, &statements);
            let members: BTreeSet<OrgId> =
                standings.iter().filter(|(_, standing)| *standing == Standing::Member).map(|(org, _)| *org).collect();
            prop_assert_eq!(members, reference(&charter, &statements));
        }
    }
}
