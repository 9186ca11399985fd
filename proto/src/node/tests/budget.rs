//! What a peer may have compared.

#![allow(clippy::unwrap_used)]

use super::super::link::COMPARED_RANGES_BURST;
use super::super::reconciling::DIGESTED_PER_RANGE;
use super::super::*;
use super::world::*;
use crate::set::SetKey;
use crate::sync::{Range, RangeContent, opening, write_ranges};
use crate::v1;
use crate::v1::frame::Content;

/// A link of node 0 to a peer whose budget is used up but for so many ranges.
fn with_budget(left: usize) -> (World, Peer) {
    let mut world = World::new(2);
    let peer = world.peer(1);
    world.greet(0, peer, false);
    assert!(use_up(&mut world, &peer, COMPARED_RANGES_BURST as usize - left));
    (world, peer)
}

fn use_up(world: &mut World, peer: &Peer, ranges: usize) -> bool {
    world.nodes[0].links.get_mut(peer).unwrap().may_compare(NOW, ranges)
}

/// Whether node 0 breaks off for want of budget.
fn breaks_off(outputs: &[Output]) -> bool {
    let is_it = |output: &Output| matches!(output, Output::Disconnect { message, .. } if message.contains("budget"));
    outputs.iter().any(is_it)
}

fn request(ranges: &[Range]) -> Content {
    let ranges = write_ranges(SetKey::default(), ranges);
    Content::Reconcile(v1::Reconcile { session: 9, ranges, ..Default::default() })
}

#[test]
fn a_request_of_as_many_ranges_as_are_left_is_answered_and_one_of_more_is_a_breach() {
    for open in [1, 2, 128] {
        let range = |at: u8| {
            let upper = SetKey(std::array::from_fn(|i| if i == 0 { at } else { 0 }));
            Range { upper: Some(upper), content: RangeContent::Fingerprint([9; 16]) }
        };
        let ranges: Vec<Range> = (1..=open).map(range).collect();
        for (left, is_broken) in [(usize::from(open), false), (usize::from(open) - 1, true)] {
            let (mut world, peer) = with_budget(left);
            assert_eq!(breaks_off(&world.receive(0, peer, request(&ranges))), is_broken, "{open} of {left}");
        }
    }
}

#[test]
fn a_catch_up_costs_one_and_each_arrival_that_it_passes() {
    for passed in [0, 3] {
        for (left, is_broken) in [(passed + 1, false), (passed, true)] {
            let (mut world, peer) = with_budget(left);
            let head = world.nodes[0].logs[0].head();
            let since = head.sequence - passed as u64;
            let catch_up = v1::CatchUp { audience: 0, want: 1, epoch: head.epoch, since };
            assert_eq!(
                breaks_off(&world.receive(0, peer, Content::CatchUp(catch_up))),
                is_broken,
                "{passed} of {left}"
            );
        }
    }
}

#[test]
fn an_answer_costs_its_ranges_and_one_for_32_entries_that_are_digested() {
    let digested = DIGESTED_PER_RANGE;
    for (entries, cost) in [(digested - 1, 0), (digested, 1), (2 * digested - 1, 1), (2 * digested, 2)] {
        let (mut world, peer) = with_budget(COMPARED_RANGES_BURST as usize);
        // Two cards and two acceptances are in the set.
        let versions = (4..entries).map(|n| world.service(0, &format!("s{n}"), "x", 0)).collect();
        world.publish(0, versions);
        assert_eq!(world.nodes[0].set(Audience::Public).len(), entries);
        let lists = Range { upper: None, content: RangeContent::Digests(vec![[9; 4]]) };
        let outputs = world.receive(0, peer, request(&[lists]));
        assert!(!breaks_off(&outputs));
        // The range itself, and digests: there is nothing to answer but offers.
        let left = COMPARED_RANGES_BURST as usize - 1 - cost;
        assert!(use_up(&mut world, &peer, left), "{entries} entries cost no more than {cost}");
        assert!(!use_up(&mut world, &peer, 1), "{entries} entries cost {cost}");
    }
}

#[test]
fn what_is_the_same_costs_its_one_range() {
    let (mut world, peer) = with_budget(1);
    let whole = opening(world.nodes[0].set(Audience::Public));
    assert!(!breaks_off(&world.receive(0, peer, request(&whole))));
    assert!(!use_up(&mut world, &peer, 1));
}
