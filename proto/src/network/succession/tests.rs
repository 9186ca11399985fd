//! One answer for the same cards, whatever the order in which they came.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::id::OrgId;
use crate::v1;

const ORG: OrgId = OrgId([5; 32]);

fn key(seed: u8) -> PublicKey {
    PublicKey::from_bytes(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes()).unwrap()
}

/// Keys 1 and 2 are root keys, 3 is the recovery key.
fn first() -> OrgCard {
    read(v1::OrgCard { nonce: vec![0; 16], ..body() })
}

fn body() -> v1::OrgCard {
    v1::OrgCard {
        root_keys: [1, 2].map(|seed| key(seed).as_bytes().to_vec()).to_vec(),
        recovery_digest: blake3::hash(key(3).as_bytes()).as_bytes().to_vec(),
        devices: vec![v1::Device { key: key(4).as_bytes().to_vec(), roles: vec![1], ..Default::default() }],
        name: "Forum".into(),
        nonce: vec![0; 16],
        ..Default::default()
    }
}

fn read(card: v1::OrgCard) -> OrgCard {
    OrgCard::read_any(&ORG, &card.encode_to_vec()).unwrap()
}

/// The card after `before` that this key signs; `nonce` tells one key's cards apart.
fn after(before: &OrgCard, signer: u8, nonce: u8) -> OrgCard {
    changed(before, signer, nonce, |_| {})
}

fn changed(before: &OrgCard, signer: u8, nonce: u8, change: impl Fn(&mut v1::OrgCard)) -> OrgCard {
    let mut card = v1::OrgCard {
        sequence: before.sequence + 1,
        previous: before.digest.to_vec(),
        signed_by: key(signer).as_bytes().to_vec(),
        nonce: vec![nonce; 16],
        ..body()
    };
    change(&mut card);
    read(card)
}

fn taken(cards: &[&OrgCard]) -> Succession {
    let mut succession = Succession::default();
    for card in cards {
        succession.take((*card).clone()).unwrap();
    }
    succession
}

fn effective(cards: &[&OrgCard]) -> CardDigest {
    taken(cards).effective().unwrap().digest
}

#[test]
fn a_successor_signed_by_a_root_key_of_the_card_before_counts() {
    let first = first();
    let (second, third) = (after(&first, 1, 1), after(&after(&first, 1, 1), 2, 2));
    assert_eq!(effective(&[&first]), first.digest);
    assert_eq!(effective(&[&first, &second, &third]), third.digest);
}

#[test]
fn a_key_that_the_card_before_does_not_list_cannot_sign_its_successor() {
    let first = first();
    let mut succession = taken(&[&first]);
    let refused = Err(SuccessionError::Signer { signer: key(4) });
    assert_eq!(succession.take(after(&first, 4, 1)), refused, "a device key");
    // A root key that only the new card lists, and one that it no longer lists.
    let second = changed(&first, 1, 1, |card| card.root_keys = vec![key(9).as_bytes().to_vec()]);
    succession.take(second.clone()).unwrap();
    assert!(succession.take(after(&first, 9, 1)).is_err());
    assert!(succession.take(after(&second, 1, 1)).is_err());
    assert_eq!(succession.take(after(&second, 9, 1)).unwrap().0, Bearing::Counts);
}

#[test]
fn a_sequence_is_one_more_than_that_of_the_card_before() {
    let first = first();
    let skipped = changed(&first, 1, 1, |card| card.sequence = 2);
    let refused = taken(&[&first]).take(skipped);
    assert_eq!(refused, Err(SuccessionError::Sequence { found: 2, expected: 1 }));
}

#[test]
fn of_two_successors_the_recovery_key_wins_over_root_keys_and_the_first_root_key_over_the_second() {
    let first = first();
    let [recovered, by_first, by_second] = [3, 1, 2].map(|signer| after(&first, signer, 7));
    assert_eq!(effective(&[&first, &by_second, &by_first]), by_first.digest);
    assert_eq!(effective(&[&first, &by_first, &by_second]), by_first.digest);
    for cards in [[&first, &recovered, &by_first], [&first, &by_first, &recovered]] {
        let succession = taken(&cards);
        assert_eq!(succession.effective().unwrap().digest, recovered.digest);
        assert_eq!(
            succession.forks().map(|(won, lost)| (won.digest, lost.digest)).collect::<Vec<_>>(),
            [(recovered.digest, by_first.digest)]
        );
    }
}

#[test]
fn of_two_successors_by_one_key_the_lower_digest_wins() {
    let first = first();
    let (a, b) = (after(&first, 1, 1), after(&first, 1, 2));
    let lower = a.digest.min(b.digest);
    assert_eq!((effective(&[&first, &a, &b]), effective(&[&first, &b, &a])), (lower, lower));
}

#[test]
fn after_a_recovery_nothing_that_followed_the_card_before_matters() {
    let first = first();
    let stolen = after(&first, 1, 1);
    let deep = after(&stolen, 1, 2);
    let recovered = changed(&first, 3, 3, |card| card.root_keys = vec![key(9).as_bytes().to_vec()]);
    let mut succession = taken(&[&first, &stolen, &deep]);
    assert_eq!(succession.take(recovered.clone()), Ok((Bearing::Counts, vec![deep.digest])));
    assert_eq!(succession.effective().unwrap().digest, recovered.digest);
    // The thief goes on, on its own branch and beside the recovery: neither counts.
    assert_eq!(succession.take(after(&stolen, 2, 5)).unwrap().0, Bearing::Loses);
    assert_eq!(succession.take(after(&deep, 1, 5)).unwrap().0, Bearing::Waits);
    assert!(succession.take(after(&recovered, 1, 5)).is_err());
    assert_eq!(succession.effective().unwrap().digest, recovered.digest);
}

#[test]
fn a_recovery_on_a_later_card_is_undone_by_a_key_of_an_earlier_one() {
    // Why a recovery is signed on the earliest card that its phrase fits.
    let first = first();
    let second = after(&first, 2, 1);
    let recovered = after(&second, 3, 2);
    let rewritten = after(&first, 1, 3);
    assert_eq!(effective(&[&first, &second, &recovered, &rewritten]), rewritten.digest);
    let recovered = after(&first, 3, 2);
    assert_eq!(effective(&[&first, &second, &rewritten, &recovered]), recovered.digest);
}

#[test]
fn of_many_cards_that_lost_the_best_is_kept() {
    let first = first();
    let mut rivals: Vec<OrgCard> = (0..6).map(|nonce| after(&first, 2, nonce)).collect();
    let winner = after(&first, 1, 0);
    let cards: Vec<&OrgCard> = [&first, &winner].into_iter().chain(&rivals).collect();
    let succession = taken(&cards);
    rivals.sort_by_key(|card| card.digest);
    assert_eq!(succession.forks().map(|(_, lost)| lost.digest).collect::<Vec<_>>(), [rivals[0].digest]);
}

#[test]
fn a_device_that_only_earlier_cards_list_is_revoked() {
    let first = first();
    let second = changed(&first, 1, 1, |card| card.devices[0].key = key(8).as_bytes().to_vec());
    let succession = taken(&[&first, &second]);
    assert!(succession.has_revoked(key(4).as_bytes()));
    assert!(!succession.has_revoked(key(8).as_bytes()) && !succession.has_revoked(key(7).as_bytes()));
}

/// The rule as the specification words it, over a set of cards.
fn reference(cards: &[OrgCard]) -> (Vec<CardDigest>, BTreeSet<CardDigest>) {
    let mut current = &cards[0];
    let (mut chain, mut evidence) = (vec![current.digest], BTreeSet::new());
    loop {
        let mut children: BTreeMap<Rank, &OrgCard> = BTreeMap::new();
        for card in cards.iter().filter(|card| card.origin.is_some_and(|origin| origin.previous == current.digest)) {
            children.extend(Rank::of(card, current).ok().map(|rank| (rank, card)));
        }
        let mut best = children.into_values();
        let Some(next) = best.next() else { return (chain, evidence) };
        evidence.extend(best.next().map(|card| card.digest));
        chain.push(next.digest);
        current = next;
    }
}

/// Tells cards in this order, those that wait again and again, as the quarantine does.
fn told(cards: &[OrgCard], order: &[usize]) -> Succession {
    let mut succession = Succession::default();
    for _ in 0..cards.len() {
        for at in order {
            let _ = succession.take(cards[*at].clone());
        }
    }
    succession
}

/// Cards of one organisation: each follows an earlier one of the list, signed by any key, root keys changing.
fn any_cards() -> impl Strategy<Value = Vec<OrgCard>> {
    prop::collection::vec((any::<prop::sample::Index>(), 1u8..6, 0u8..3, 1u8..4), 0..14).prop_map(|plan| {
        let mut cards = vec![first()];
        for (before, signer, nonce, root) in plan {
            let before = before.get(&cards).clone();
            cards.push(changed(&before, signer, nonce, |card| {
                card.root_keys = [root, root + 1].map(|seed| key(seed).as_bytes().to_vec()).to_vec();
            }));
        }
        cards
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn the_same_cards_give_the_same_chain_and_evidence_in_any_order(
        cards in any_cards(), keys in prop::collection::vec(any::<u32>(), 15), first_few in 0usize..15,
    ) {
        let mut order: Vec<usize> = (0..cards.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        // Any part of them first, and all that it leads to, then everything.
        let mut succession = told(&cards, &order[..first_few.min(order.len())]);
        for _ in 0..cards.len() {
            for at in &order {
                let _ = succession.take(cards[*at].clone());
            }
        }
        let (chain, evidence) = reference(&cards);
        prop_assert_eq!(succession.chain().iter().map(|card| card.digest).collect::<Vec<_>>(), chain);
        prop_assert_eq!(succession.forks().map(|(_, rival)| rival.digest).collect::<BTreeSet<_>>(), evidence);
    }

    #[test]
    fn what_one_node_keeps_is_enough_for_another_to_come_to_the_same(
        cards in any_cards(), split in prop::collection::vec(any::<bool>(), 15),
    ) {
        // Two nodes hear different halves, then tell each other only what they keep.
        let half = |side: bool| -> Vec<usize> {
            (0..cards.len()).filter(|at| *at == 0 || split[*at] == side).collect()
        };
        let (mut a, mut b) = (told(&cards, &half(true)), told(&cards, &half(false)));
        for _ in 0..cards.len() {
            let kept = |from: &Succession| -> Vec<OrgCard> {
                from.chain().iter().chain(from.forks().map(|(_, rival)| rival)).cloned().collect()
            };
            let (of_a, of_b) = (kept(&a), kept(&b));
            of_b.into_iter().for_each(|card| drop(a.take(card)));
            of_a.into_iter().for_each(|card| drop(b.take(card)));
        }
        prop_assert_eq!(a, b);
    }

    #[test]
    fn what_is_reported_as_dropped_is_what_is_no_longer_kept(
        cards in any_cards(), keys in prop::collection::vec(any::<u32>(), 15),
    ) {
        let mut order: Vec<usize> = (0..cards.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        let (mut succession, mut kept) = (Succession::default(), BTreeSet::new());
        for at in order.iter().chain(&order) {
            let Ok((bearing, dropped)) = succession.take(cards[*at].clone()) else { continue };
            if matches!(bearing, Bearing::Counts | Bearing::Rivals) {
                kept.insert(cards[*at].digest);
            }
            for digest in dropped {
                prop_assert!(kept.remove(&digest));
            }
            let now = succession.chain().iter().chain(succession.forks().map(|(_, rival)| rival));
            prop_assert_eq!(now.map(|card| card.digest).collect::<BTreeSet<_>>(), kept.clone());
        }
    }
}
