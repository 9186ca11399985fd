//! Nodes that hear of cards, content and statements in different orders come to hold the same.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use prost::Message;

use super::super::*;
use super::cards::{device, key};
use super::world::*;
use crate::v1;

/// Devices that cards may list: seeds of their keys. 2 is that of the first card, whose seed is another.
const DEVICES: [u8; 3] = [70, 71, 72];

/// One card that one of the keys makes: (after which, by whom, which devices it lists, who is retired at which step).
type Step = (prop::sample::Index, u8, [bool; 3], Option<(usize, u64)>);

fn at(step: u64) -> Hlc {
    Hlc::new(NOW + step * 1_000, 0)
}

/// Cards of the second organisation of a world, each after any earlier one, by root key or recovery key; the acceptance is
/// upheld by every other one.
fn cards(world: &World, plan: &[Step]) -> Vec<SignedVersion> {
    let (network, org) = (world.network(), &world.orgs[1]);
    let upheld = org.acceptance(network, Some(&world.orgs[0])).vid().0.to_vec();
    let (mut versions, mut bodies) = (Vec::new(), vec![org.card.clone()]);
    for (number, (before, signer, listed, retired)) in plan.iter().enumerate() {
        let signer = if *signer == 0 { key(99) } else { org.root.clone() };
        let before = before.get(&bodies).clone();
        let (version, body) = org.next_card(network, &before, &signer, |card| {
            card.devices = DEVICES
                .iter()
                .zip(listed)
                .filter(|(_, is_listed)| **is_listed)
                .map(|(seed, _)| device(&key(*seed)))
                .collect();
            card.devices.push(device(&org.device));
            if let Some((which, step)) = retired {
                let which = which % card.devices.len();
                card.devices[which].retired_at = at(*step).0;
            }
            card.upheld = if number % 2 == 0 { vec![upheld.clone()] } else { Vec::new() };
            card.nonce = vec![number as u8; 16];
        });
        versions.push(version);
        bodies.push(body);
    }
    versions
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let retired = prop::option::of((0usize..4, 1u64..20));
    prop::collection::vec((any::<prop::sample::Index>(), 0u8..4, any::<[bool; 3]>(), retired), 1..6)
}

fn said(world: &World, content: &[(usize, u8, u64)]) -> Vec<SignedVersion> {
    let (network, org) = (world.network(), &world.orgs[1]);
    let version = |(number, (by, record, step)): (usize, &(usize, u8, u64))| {
        let signer = DEVICES.get(*by).map_or_else(|| org.device.clone(), |seed| key(*seed));
        org.service_by(&signer, network, &format!("record-{record}"), &format!("state {number}"), at(*step))
    };
    content.iter().enumerate().map(version).collect()
}

/// A world whose second organisation has the recovery key 99.
fn world(count: u8) -> World {
    let mut world = World::empty(count);
    let mut card = v1::OrgCard::decode(world.orgs[1].card.as_slice()).unwrap();
    card.recovery_digest = blake3::hash(public(&key(99)).as_bytes()).as_bytes().to_vec();
    world.orgs[1].card = card.encode_to_vec();
    world.orgs[1].id = OrgId::of_genesis_card(&world.orgs[1].card);
    world.welcome();
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_node_that_hears_everything_ends_equal_in_any_order(
        plan in steps(),
        content in prop::collection::vec((0usize..4, 0u8..3, 1u64..20), 0..12),
        keys in prop::collection::vec(any::<u32>(), 20),
    ) {
        let mut world = world(2);
        let mut versions = cards(&world, &plan);
        versions.extend(said(&world, &content));
        // Its own acceptance may have left with a card that did not uphold it.
        versions.push(world.orgs[1].acceptance(world.network(), Some(&world.orgs[0])));
        versions.push(world.orgs[1].card_version(world.network()));
        world.now += 60_000;
        let mut order: Vec<usize> = (0..versions.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        for node in 0..2 {
            for _ in 0..8 {
                for at in 0..versions.len() {
                    let version = versions[if node == 0 { at } else { order[at] }].clone();
                    world.publish(node, vec![version]);
                }
            }
        }
        world.assert_equal();
        prop_assert_eq!(world.nodes[0].standings(), world.nodes[1].standings());
        prop_assert_eq!(
            world.nodes[0].succession(&world.orgs[1].id),
            world.nodes[1].succession(&world.orgs[1].id)
        );
        world.restart(0);
        world.assert_equal();
    }

    #[test]
    fn nodes_that_hear_different_parts_in_different_orders_end_equal_once_they_are_linked(
        plan in steps(),
        content in prop::collection::vec((0usize..4, 0u8..3, 1u64..20), 0..12),
        keys in prop::collection::vec(any::<u32>(), 20),
        who in prop::collection::vec(0usize..3, 20),
    ) {
        let mut world = world(3);
        let mut versions = cards(&world, &plan);
        versions.extend(said(&world, &content));
        world.now += 60_000;
        let mut order: Vec<usize> = (0..versions.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        let (early, late) = order.split_at(order.len() / 2);
        for at in early {
            world.publish(who[*at], vec![versions[*at].clone()]);
        }
        // Nodes 0 and 2: a card may part them from node 1, whose organisation it is.
        world.link(0, 2);
        world.link(1, 0);
        for at in late {
            world.publish(who[*at], vec![versions[*at].clone()]);
        }
        for _ in 0..30 {
            world.tick(10_000);
        }
        let total = |node: usize| world.nodes[node].set(Audience::Public).total();
        prop_assert_eq!(total(0), total(2));
        prop_assert_eq!(world.nodes[0].standings(), world.nodes[2].standings());
        if world.is_linked(0, 1) {
            prop_assert_eq!(total(0), total(1));
        }
    }
}
