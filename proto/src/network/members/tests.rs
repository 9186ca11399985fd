//! Standings and their explanation, by example and by property.
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
                let vouches = participants.iter().filter(|from| statements.vouches.contains(&(**from, **org))).count();
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

#[test]
fn an_inviter_takes_back_what_its_invitation_said() {
    let mut statements = Statements::default();
    accept(&mut statements, 3, Some((1, 50)));
    statements.taken_back.insert((org(1), org(3)));
    let standings = Standings::evaluate(&charter(1, 2), &statements);
    assert_eq!(standings.of(&org(3)), Standing::Claimant);
    assert_eq!(standings.vouched_by(&org(3)).count(), 0);
    // A vouch of another makes up for it.
    statements.vouches.insert((org(2), org(3)));
    assert_eq!(Standings::evaluate(&charter(1, 2), &statements).of(&org(3)), Standing::Member);
}

#[test]
fn an_invitation_is_told_apart_from_a_vouch_until_the_inviter_vouches_itself() {
    let mut statements = Statements::default();
    accept(&mut statements, 3, Some((1, 50)));
    assert_eq!(Standings::evaluate(&charter(1, 2), &statements).invited_by(&org(3)), Some(&org(1)));
    statements.vouches.insert((org(1), org(3)));
    assert_eq!(Standings::evaluate(&charter(1, 2), &statements).invited_by(&org(3)), None);
}

fn explained(charter: &Charter, statements: &Statements, n: u8) -> Explanation {
    let standings = Standings::evaluate(charter, statements);
    Explanation::of(charter, statements, &standings, &org(n))
}

#[test]
fn an_explanation_names_every_vouch_and_objection_and_says_which_count() {
    let mut statements = Statements::default();
    accept(&mut statements, 3, Some((1, 50)));
    statements.vouches.extend([(org(2), org(3)), (org(9), org(3))]);
    statements.objections.extend([(org(1), org(3)), (org(9), org(3))]);
    let explanation = explained(&charter(3, 1), &statements, 3);
    let heard: Vec<_> = explanation.vouches.iter().map(|vouch| (vouch.by.0[0], vouch.way, vouch.weight)).collect();
    let (direct, invited) = (Way::Direct, Way::Invitation);
    assert_eq!(
        heard,
        [(1, invited, Weight::Counts), (2, direct, Weight::Counts), (9, direct, Weight::NotAParticipant)]
    );
    let against: Vec<_> = explanation.objections.iter().map(|said| (said.by.0[0], said.weight)).collect();
    assert_eq!(against, [(1, Weight::Counts), (9, Weight::NotAParticipant)]);
    assert_eq!(explanation.missing(), [Missing::Vouches(1), Missing::Objections(1)]);
}

#[test]
fn an_explanation_tells_a_stranger_what_it_lacks() {
    let mut statements = Statements::default();
    statements.vouches.insert((org(1), org(3)));
    assert_eq!(explained(&charter(2, 2), &statements, 3).missing(), [Missing::Acceptance, Missing::Vouches(1)]);
}

#[test]
fn an_explanation_names_the_rivals_for_one_invitation_and_what_was_taken_back() {
    let mut statements = Statements::default();
    accept(&mut statements, 3, Some((1, 50)));
    accept(&mut statements, 4, Some((1, 50)));
    let explanation = explained(&charter(1, 2), &statements, 3);
    assert_eq!(explanation.rivals, [org(4)]);
    assert_eq!(explanation.vouches[0].weight, Weight::ClaimedTwice);
    statements.taken_back.insert((org(1), org(3)));
    assert_eq!(explained(&charter(1, 2), &statements, 3).vouches[0].weight, Weight::TakenBack);
}

#[test]
fn who_left_is_told_to_accept_again() {
    let mut statements = Statements::default();
    accept(&mut statements, 3, Some((1, 50)));
    statements.leaves.insert(org(3), Hlc(20));
    let explanation = explained(&charter(1, 2), &statements, 3);
    assert_eq!((explanation.left, explanation.missing()), (Some(Hlc(20)), vec![Missing::Return]));
}

/// Organisations in properties: 1 and 2 are the founders.
const ORGS: std::ops::Range<u8> = 1..10;

fn pairs(count: usize) -> impl Strategy<Value = BTreeSet<(OrgId, OrgId)>> {
    let pair = (ORGS, ORGS).prop_filter("nobody speaks of itself", |(from, to)| from != to);
    prop::collection::btree_set(pair.prop_map(|(from, to)| (org(from), org(to))), 0..count)
}

/// Anything that organisations may have said, invitations and leaves included.
fn anything_said() -> impl Strategy<Value = Statements> {
    let invitation = prop::option::of((ORGS, 50u8..53));
    let acceptances = prop::collection::btree_map(ORGS, (0u64..30, invitation), 0..9);
    let leaves = prop::collection::btree_map(ORGS, 0u64..30, 0..4);
    (acceptances, leaves, pairs(30), pairs(10), pairs(10)).prop_map(
        |(acceptances, leaves, vouches, taken_back, objections)| {
            let accepted = |(hlc, invitation): (u64, Option<(u8, u8)>)| Accepted {
                hlc: Hlc(hlc),
                invitation: invitation.map(|(inviter, seed)| (org(inviter), key(seed))),
            };
            Statements {
                acceptances: acceptances.into_iter().map(|(n, said)| (org(n), accepted(said))).collect(),
                leaves: leaves.into_iter().map(|(n, hlc)| (org(n), Hlc(hlc))).collect(),
                taken_back: taken_back.difference(&vouches).copied().collect(),
                vouches,
                objections,
            }
        },
    )
}

fn of_standing(standings: &Standings, least: Standing) -> BTreeSet<OrgId> {
    standings.iter().filter(|(_, standing)| *standing >= least).map(|(org, _)| *org).collect()
}

proptest! {
    #[test]
    fn outsiders_who_vouch_for_each_other_in_any_circle_stay_outside(
        vouches in prop::collection::btree_set((3u8..12, 3u8..12), 0..60),
        signatories in prop::collection::btree_set(3u8..12, 0..9),
        seeds in prop::collection::btree_map(3u8..12, (3u8..12, 50u8..53), 0..9),
    ) {
        let mut statements = Statements::default();
        signatories.iter().for_each(|n| accept(&mut statements, *n, seeds.get(n).copied()));
        statements.vouches = vouches.iter().filter(|(a, b)| a != b).map(|(a, b)| (org(*a), org(*b))).collect();
        let charter = charter(1, 2);
        let standings = Standings::evaluate(&charter, &statements);
        prop_assert_eq!(of_standing(&standings, Standing::Claimant), charter.founders);
    }

    #[test]
    fn one_more_objection_never_makes_a_member_and_moves_no_participant(
        said in anything_said(), objector in ORGS, subject in ORGS, needed in (1u32..3, 1u32..4),
    ) {
        let charter = charter(needed.0, needed.1);
        let before = Standings::evaluate(&charter, &said);
        let mut more = said;
        more.objections.insert((org(objector), org(subject)));
        let after = Standings::evaluate(&charter, &more);
        let members = |standings| of_standing(standings, Standing::Member);
        prop_assert!(members(&after).is_subset(&members(&before)));
        let participants = |standings| of_standing(standings, Standing::Participant);
        prop_assert_eq!(participants(&after), participants(&before));
    }

    #[test]
    fn what_changed_between_two_evaluations_is_named_once_and_nothing_else(
        before in anything_said(), after in anything_said(), needed in (1u32..4, 1u32..4),
    ) {
        let evaluated = |said| Standings::evaluate(&charter(needed.0, needed.1), said);
        let (before, after) = (evaluated(&before), evaluated(&after));
        let everybody = (0..=u8::MAX).map(org).map(|org| (org, before.of(&org), after.of(&org)));
        let expected: Vec<(OrgId, Standing, Standing)> = everybody.filter(|(_, was, is)| was != is).collect();
        prop_assert_eq!(after.changed_from(&before).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_more_vouch_never_removes_a_participant(
        said in anything_said(), voucher in ORGS, subject in ORGS, needed in (1u32..4, 1u32..4),
    ) {
        let charter = charter(needed.0, needed.1);
        let before = Standings::evaluate(&charter, &said);
        let mut more = said;
        more.vouches.insert((org(voucher), org(subject)));
        more.taken_back.remove(&(org(voucher), org(subject)));
        let after = Standings::evaluate(&charter, &more);
        let participants = |standings| of_standing(standings, Standing::Participant);
        prop_assert!(participants(&before).is_subset(&participants(&after)));
    }

    #[test]
    fn an_explanation_agrees_with_the_standing(said in anything_said(), needed in (1u32..4, 1u32..4)) {
        let charter = charter(needed.0, needed.1);
        let standings = Standings::evaluate(&charter, &said);
        for n in ORGS {
            let explanation = Explanation::of(&charter, &said, &standings, &org(n));
            prop_assert_eq!(explanation.standing, standings.of(&org(n)));
            let missing = explanation.missing();
            prop_assert_eq!(missing.is_empty(), explanation.standing == Standing::Member, "{:?}", &explanation);
            let is_vouched_for = !missing.iter().any(|missing| matches!(missing, Missing::Acceptance | Missing::Vouches(_)));
            prop_assert_eq!(is_vouched_for, explanation.standing >= Standing::Participant, "{:?}", &explanation);
            prop_assert_eq!(explanation.vouches_counted(), standings.vouched_by(&org(n)).count());
            prop_assert_eq!(explanation.objections_counted(), standings.objected_by(&org(n)).count());
        }
    }
}
