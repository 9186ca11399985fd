//! Which links are dialled, kept and given up when there is not room for all.

use super::*;
use crate::limits::LINKS_MAX;

#[test]
fn inbound_links_take_no_outbound_links_place_and_beyond_their_limit_one_goes() {
    let mut neighbours = among(200);
    run(&mut neighbours, NOW, 10);
    let own = outbound(&neighbours);
    let strangers: Vec<Peer> = (1..=200).map(peer).filter(|peer| !own.contains(peer)).collect();
    for (number, stranger) in strangers.iter().take(INBOUND_LINKS_MAX).enumerate() {
        neighbours.connected(NOW + 20_000 + number as u64, *stranger, false);
    }
    assert_eq!(dropped(&neighbours.tick(NOW + 21_000, true)), []);
    let last = strangers[INBOUND_LINKS_MAX];
    neighbours.connected(NOW + 22_000, last, false);
    assert_eq!(dropped(&neighbours.tick(NOW + 22_000 + NEWCOMER_MS - 1, true)), []);
    let actions = neighbours.tick(NOW + 22_000 + NEWCOMER_MS, true);
    let [(given_up, DropReason::Crowded)] = dropped(&actions)[..] else { panic!("{actions:?}") };
    assert!(strangers[..=INBOUND_LINKS_MAX].contains(&given_up));
    let told = actions.iter().find_map(|action| match action {
        Action::Drop { instead, .. } => Some(instead.clone()),
        _ => None,
    });
    let told = told.expect("one is dropped");
    assert!(told.len() == SHUFFLE_PEERS_MAX && !told.contains(&given_up));
    assert_eq!(outbound(&neighbours), own);
}

#[test]
fn newcomers_get_time_to_learn_of_others_and_are_eight_at_most_beyond_the_limit() {
    let mut neighbours = among(200);
    for number in 1..=(INBOUND_LINKS_MAX + NEWCOMERS_MAX) as u32 {
        let at = NOW + if number > INBOUND_LINKS_MAX as u32 { 2 * NEWCOMER_MS } else { 0 };
        neighbours.connected(at, peer(number), false);
    }
    let now = NOW + 2 * NEWCOMER_MS;
    assert_eq!(dropped(&neighbours.tick(now, true)), []);
    neighbours.connected(now, peer(100), false);
    assert_eq!(dropped(&neighbours.tick(now, true)), [(peer(100), DropReason::Crowded)]);
}

#[test]
fn when_inbound_links_are_too_many_the_organisation_with_most_loses_one() {
    // Two nodes each of sixty organisations.
    let mut neighbours = among_orgs(120, 60);
    for number in 1..=INBOUND_LINKS_MAX as u32 {
        // 1 and 61 belong together; all others are alone.
        neighbours.connected(NOW + u64::from(number), peer(if number == 2 { 61 } else { number }), false);
    }
    neighbours.tick(NOW + 100, true);
    neighbours.connected(NOW + 200, peer(50), false);
    let [(given_up, DropReason::Crowded)] = dropped(&neighbours.tick(NOW + 200 + NEWCOMER_MS, true))[..] else {
        panic!()
    };
    assert!([peer(1), peer(61)].contains(&given_up));
}

#[test]
fn of_inbound_links_that_have_the_same_right_to_stay_one_is_drawn_and_not_always_the_newest() {
    let mut kept = 0;
    for seed in 0..200 {
        let mut neighbours = among(200);
        neighbours.random = Random::new(seed);
        for number in 1..=INBOUND_LINKS_MAX as u32 {
            neighbours.connected(NOW, peer(number), false);
        }
        neighbours.connected(NOW + 60_000, peer(100), false);
        let given_up = dropped(&neighbours.tick(NOW + 60_000 + NEWCOMER_MS, true));
        assert_eq!(given_up.len(), 1);
        kept += usize::from(given_up[0].0 != peer(100));
    }
    assert!((180..200).contains(&kept), "the newest was kept {kept} of 200 times");
}

#[test]
fn whoever_dials_many_times_at_once_displaces_nobody_who_is_there() {
    let mut neighbours = among(200);
    for number in 1..=INBOUND_LINKS_MAX as u32 {
        neighbours.connected(NOW, peer(number), false);
    }
    let now = NOW + 60_000;
    for number in 0..100 {
        neighbours.connected(now, peer(100 + number), false);
        for (given_up, _) in dropped(&neighbours.tick(now, true)) {
            assert!(given_up == peer(100 + number), "a newer one stays");
            neighbours.disconnected(now, &given_up, Ended::Dropped);
        }
    }
    assert_eq!(neighbours.links.values().filter(|link| link.since == NOW).count(), INBOUND_LINKS_MAX);
    assert_eq!(neighbours.links.values().filter(|link| link.since == now).count(), NEWCOMERS_MAX);
}

#[test]
fn an_organisation_gets_two_links_and_no_third_while_there_are_others() {
    let mut neighbours = among_orgs(120, 40);
    neighbours.connected(NOW, peer(1), false);
    neighbours.connected(NOW + 1, peer(41), false);
    assert_eq!(dropped(&neighbours.tick(NOW + 2, true)), []);
    neighbours.connected(NOW + 3, peer(81), false);
    assert_eq!(dropped(&neighbours.tick(NOW + 4 + NEWCOMER_MS, true)), [(peer(81), DropReason::Crowded)]);
    let mut few = among_orgs(120, 2);
    run(&mut few, NOW, 30);
    assert_eq!(few.links.len(), OUTBOUND_LINKS_WANTED, "two organisations must do");
}

#[test]
fn one_organisation_with_many_keys_gets_no_more_outbound_links_than_another() {
    let mut hostile = 0;
    for seed in 0..200 {
        let node = |number| {
            let org = if number <= 64 { org(1) } else { org(number) };
            Candidate { peer: peer(number), org, is_dialable: true }
        };
        let mut neighbours = Neighbours::new(peer(0), seed);
        neighbours.set_candidates(Arc::new(Candidates::new((1..=128).map(node), 1)));
        run(&mut neighbours, NOW, 10);
        hostile += outbound(&neighbours).iter().filter(|found| (1..=64).any(|number| peer(number) == **found)).count();
    }
    let all = 200 * OUTBOUND_LINKS_WANTED;
    assert!(hostile * 20 < all, "{hostile} of {all} links lead to the organisation that holds half of the keys");
}

/// Nodes 1 to `nodes` belong each to an organisation of its own; organisation 0, which comes before them, lists their keys,
/// and those of nodes 500 and 501, which are its own.
fn among_claimed(nodes: u32, claim_has_address: bool) -> Neighbours {
    let listed = |number, org_number, is_dialable| Candidate { peer: peer(number), org: org(org_number), is_dialable };
    let claimed = (1..=nodes).chain([500, 501]).map(|number| listed(number, 0, claim_has_address));
    let own = (1..=nodes).map(|number| listed(number, number, true));
    let mut neighbours = Neighbours::new(peer(0), 42);
    neighbours.set_candidates(Arc::new(Candidates::new(claimed.chain(own), 1)));
    neighbours
}

#[test]
fn a_node_that_another_members_card_lists_without_an_address_is_still_dialled_and_counted_to_its_own_organisation() {
    for claim_has_address in [false, true] {
        let mut neighbours = among_claimed(62, claim_has_address);
        run(&mut neighbours, NOW, 10);
        let dialled = outbound(&neighbours);
        assert_eq!(dialled.len(), OUTBOUND_LINKS_WANTED);
        let others: Vec<Peer> = (1..=62).map(peer).filter(|peer| !dialled.contains(peer)).collect();
        for other in others.iter().take(INBOUND_LINKS_MAX - 1) {
            neighbours.connected(NOW + 20_000, *other, false);
        }
        assert_eq!(
            dropped(&neighbours.tick(NOW + 20_000 + NEWCOMER_MS, true)),
            [],
            "each is alone in its organisation"
        );
        // Only who listed them all has no room left for its own.
        neighbours.connected(NOW + 40_000, peer(500), false);
        let expected = [(peer(500), DropReason::Crowded)];
        assert_eq!(dropped(&neighbours.tick(NOW + 40_000 + NEWCOMER_MS, true)), expected);
    }
}

#[test]
fn whoever_lists_the_keys_of_others_is_the_first_to_lose_an_inbound_link() {
    let listed = |number, org_number| Candidate { peer: peer(number), org: org(org_number), is_dialable: true };
    let own = (1..=60).map(|number| listed(number, number));
    let mut neighbours = Neighbours::new(peer(0), 42);
    // Organisation 99 has room for two, and two are linked: its own node, and the one that it says is its own.
    neighbours.set_candidates(Arc::new(Candidates::new(own.chain([listed(500, 99), listed(25, 99)]), 1)));
    neighbours.connected(NOW, peer(500), false);
    for number in 1..=INBOUND_LINKS_MAX as u32 - 1 {
        neighbours.connected(NOW + 1, peer(number), false);
    }
    neighbours.connected(NOW + 2, peer(25), false);
    assert_eq!(dropped(&neighbours.tick(NOW + 2 + NEWCOMER_MS, true)), [(peer(500), DropReason::Crowded)]);
}

#[test]
fn links_are_64_at_most_also_in_a_mesh_and_nobody_is_dialled_beyond() {
    let mut neighbours = among(FULL_MESH_MAX as u32);
    for number in 100..100 + LINKS_MAX as u32 - 2 {
        neighbours.connected(NOW, peer(number), false);
    }
    let dialled = dials(&neighbours.tick(NOW, true));
    assert_eq!(dialled.len(), 2);
    assert_eq!(dials(&neighbours.tick(NOW, true)), []);
    dialled.iter().for_each(|dialled| neighbours.connected(NOW, *dialled, true));
    let actions = neighbours.tick(NOW, true);
    assert_eq!((dropped(&actions), dials(&actions)), (vec![], vec![]));
    neighbours.connected(NOW, peer(200), false);
    assert_eq!(dropped(&neighbours.tick(NOW, true)), [(peer(200), DropReason::Crowded)]);
}
