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

/// Node 1 pushes these to node 0, which asks for their signatures to be checked. Returns how that ends.
fn checked(world: &mut World, versions: &[SignedVersion]) -> Input {
    let peer = world.peer(1);
    let frame = versions_frames(0, versions.iter().map(|version| version.envelope().to_vec()), false).remove(0);
    let outputs = world.nodes[0].handle(NOW, Input::Received { peer, frame });
    let verify = outputs.into_iter().find_map(|output| match output {
        Output::Verify { ticket, versions } => Some(Input::verified(ticket, versions)),
        _ => None,
    });
    verify.unwrap()
}

#[test]
fn a_wrong_signature_that_came_over_an_old_link_is_no_strike_on_the_new_one() {
    for is_replaced in [false, true] {
        let mut world = World::new(2);
        let peer = world.peer(1);
        let forged = |n: u32| {
            let mut envelope = world.service(1, &format!("s{n}"), "x", 0).envelope().to_vec();
            envelope[0] ^= 1;
            SignedVersion::read(envelope).unwrap()
        };
        let forged: Vec<SignedVersion> = (0..BREACHES_PER_LINK_MAX).map(forged).collect();
        world.greet(0, peer, false);
        let end = checked(&mut world, &forged);
        if is_replaced {
            world.greet(0, peer, false);
        }
        let outputs = world.nodes[0].handle(NOW, end);
        let notices = outputs.iter().filter(|output| matches!(output, Output::Notice(Notice::Rejected { .. })));
        assert_eq!(notices.count(), forged.len(), "people are told in any case");
        assert_eq!(world.nodes[0].links.get(&peer).map(|link| link.breaches), is_replaced.then_some(0));
    }
}

#[test]
fn a_version_that_came_over_an_old_link_is_taken_and_nothing_is_said_of_it_over_the_new_one() {
    for is_replaced in [false, true] {
        let mut world = World::new(2);
        let peer = world.peer(1);
        world.greet(0, peer, false);
        let version = world.service(1, "a", "A", 0);
        let end = checked(&mut world, std::slice::from_ref(&version));
        if is_replaced {
            world.greet(0, peer, false);
        }
        let outputs = world.nodes[0].handle(NOW, end);
        assert!(world.nodes[0].winner(&Slot::of(version.header())).is_some());
        let is_sent = outputs.iter().any(|output| matches!(output, Output::Send { .. } | Output::SendVersions { .. }));
        assert_eq!(is_sent, !is_replaced, "{outputs:?}");
        assert_eq!(world.nodes[0].links[&peer].accepted_versions, u64::from(!is_replaced));
    }
}
