//! Versions that no honest node would have sent.

#![allow(clippy::unwrap_used)]

use super::super::batch::BREACHES_PER_LINK_MAX;
use super::super::*;
use super::world::*;

/// A frame of so many versions that are too short for one.
fn wrong(peer: Peer, count: u32) -> Input {
    let envelopes = (0..count).map(|_| vec![7; 100]);
    Input::Received { peer, frame: versions_frames(0, envelopes, false).remove(0) }
}

#[test]
fn the_sixteenth_strike_on_a_link_ends_it() {
    for (strikes, is_linked) in [(BREACHES_PER_LINK_MAX - 1, true), (BREACHES_PER_LINK_MAX, false)] {
        for frames in [vec![strikes], vec![1; strikes as usize]] {
            let mut world = World::new(2);
            let peer = world.peer(1);
            world.greet(0, peer, false);
            frames.into_iter().for_each(|count| drop(world.nodes[0].handle(NOW, wrong(peer, count))));
            assert_eq!(world.nodes[0].links.contains_key(&peer), is_linked, "{strikes} strikes");
        }
    }
}

#[test]
fn strikes_are_forgotten_with_their_link() {
    let mut world = World::new(2);
    let peer = world.peer(1);
    for _ in 0..2 {
        world.greet(0, peer, false);
        world.nodes[0].handle(NOW, wrong(peer, BREACHES_PER_LINK_MAX - 1));
        assert!(world.nodes[0].links.contains_key(&peer));
    }
}
