//! Nodes that may be linked to: those on members' cards.
//!
//! In: key, organisation and whether there is an address, for each key on a card. Out: lookups, and random draws that give
//! each organisation the same chance, however many keys it has on its card.
//! Always: sorted by organisation; a key that several cards list is one node of each of these organisations, with an address
//! if any of them has one, for nobody proves that a key on its card is its own; at most [`CANDIDATES_MAX`] entries, which nobody
//! can choose who does not know the seed.
//! Spec: `spec/11-dissemination.md`, section 3. Tested: below.

use super::random::Random;
use crate::id::OrgId;
use crate::node::Peer;

/// Node keys on cards that are considered, the rest is left out by lot: six times the largest network that was tried, about
/// 10 MB.
pub const CANDIDATES_MAX: usize = 65_536;

/// One node on a member's card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its node key.
    pub peer: Peer,
    /// Whose card lists it.
    pub org: OrgId,
    /// An address is known. A node without one only dials.
    pub is_dialable: bool,
}

/// All nodes of members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// By organisation, those with an address first, then by key.
    listed: Vec<Candidate>,
    /// Key and place in `listed`, by key.
    by_peer: Vec<(Peer, u32)>,
    /// First place and number of nodes with an address, for each organisation that lists one.
    dialable: Vec<(u32, u32)>,
    orgs: usize,
    nodes: usize,
}

impl Candidates {
    /// Collects what cards list. `seed` decides what is left out of too many; it must be secret, and the same as long as links are to
    /// last.
    pub fn new(listed: impl IntoIterator<Item = Candidate>, seed: u64) -> Candidates {
        let mut listed: Vec<Candidate> = listed.into_iter().collect();
        listed.sort_unstable_by_key(|entry| (entry.peer, entry.org));
        for entries in listed.chunk_by_mut(|a, b| a.peer == b.peer) {
            let is_dialable = entries.iter().any(|entry| entry.is_dialable);
            entries.iter_mut().for_each(|entry| entry.is_dialable = is_dialable);
        }
        listed.dedup();
        leave_out(&mut listed, seed);
        listed.sort_unstable_by_key(|entry| (entry.org, !entry.is_dialable, entry.peer));
        let mut by_peer: Vec<(Peer, u32)> = listed.iter().zip(0..).map(|(entry, at)| (entry.peer, at)).collect();
        by_peer.sort_unstable();
        let nodes = by_peer.chunk_by(|(a, _), (b, _)| a == b).count();
        let mut dialable = Vec::new();
        let mut orgs = 0;
        let mut start = 0;
        for group in listed.chunk_by(|a, b| a.org == b.org) {
            let count = group.iter().filter(|entry| entry.is_dialable).count() as u32;
            if count > 0 {
                dialable.push((start, count));
            }
            start += group.len() as u32;
            orgs += 1;
        }
        Candidates { listed, by_peer, dialable, orgs, nodes }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes == 0
    }

    /// Number of organisations.
    pub fn orgs(&self) -> usize {
        self.orgs
    }

    /// The node whose key these bytes are, if a card lists it. Spares the check of a key, for those of cards are checked.
    pub fn with_key(&self, bytes: &[u8]) -> Option<Peer> {
        let at = self.by_peer.binary_search_by(|(peer, _)| peer.as_bytes().as_slice().cmp(bytes)).ok()?;
        self.by_peer.get(at).map(|(peer, _)| *peer)
    }

    /// True when a card lists this key.
    pub fn contains(&self, peer: &Peer) -> bool {
        self.orgs_of(peer).next().is_some()
    }

    /// Organisations whose cards list this key.
    pub fn orgs_of<'a>(&'a self, peer: &'a Peer) -> impl Iterator<Item = OrgId> + 'a {
        let start = self.by_peer.partition_point(|(other, _)| other < peer);
        let entries = self.by_peer.iter().skip(start).take_while(move |(other, _)| other == peer);
        entries.filter_map(|(_, at)| self.listed.get(*at as usize)).map(|entry| entry.org)
    }

    /// All nodes, each once, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate> {
        let nodes = self.by_peer.chunk_by(|(a, _), (b, _)| a == b);
        nodes.filter_map(|entries| self.listed.get(entries.first()?.1 as usize))
    }

    /// A node with an address: first an organisation is drawn, then one of its nodes.
    pub(super) fn draw(&self, random: &mut Random) -> Option<&Candidate> {
        let (start, count) = *self.dialable.get(random.below(self.dialable.len()))?;
        self.listed.get(start as usize + random.below(count as usize))
    }
}

/// Leaves out what is too much, by lot: one key of each organisation stays before a second one of any does.
///
/// Were it by their ids, whoever made enough of them until they came first would be all that is left. An entry draws the same lot
/// each time, so that one that comes or goes moves no others.
fn leave_out(listed: &mut Vec<Candidate>, seed: u64) {
    if listed.len() <= CANDIDATES_MAX {
        return;
    }
    let lot = |entry: &Candidate| {
        let hash = blake3::hash(&[&seed.to_be_bytes(), entry.org.0.as_slice(), entry.peer.as_bytes()].concat());
        u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]))
    };
    let mut drawn: Vec<(u32, u64, Candidate)> = listed.drain(..).map(|entry| (0, lot(&entry), entry)).collect();
    drawn.sort_unstable_by_key(|(_, lot, entry)| (entry.org, *lot));
    for of_org in drawn.chunk_by_mut(|(.., a), (.., b)| a.org == b.org) {
        of_org.iter_mut().zip(0..).for_each(|((turn, ..), at)| *turn = at);
    }
    drawn.sort_unstable_by_key(|(turn, lot, _)| (*turn, *lot));
    listed.extend(drawn.into_iter().take(CANDIDATES_MAX).map(|(.., entry)| entry));
}

#[cfg(test)]
mod tests {
    use super::super::tests::{org, peer};
    use super::*;

    fn candidate(number: u32, org_number: u32, is_dialable: bool) -> Candidate {
        Candidate { peer: peer(number), org: org(org_number), is_dialable }
    }

    #[test]
    fn every_organisation_is_drawn_as_often_as_the_others_however_many_keys_it_has() {
        let many = (0..60).map(|number| candidate(number, 1, true));
        let few = [candidate(100, 2, true), candidate(101, 3, true)];
        let candidates = Candidates::new(many.chain(few), 1);
        let mut random = Random::new(1);
        let drawn = (0..3_000).filter_map(|_| candidates.draw(&mut random)).filter(|node| node.org == org(1)).count();
        assert!((800..1_200).contains(&drawn), "{drawn} of 3,000");
    }

    #[test]
    fn a_node_without_an_address_is_known_and_never_drawn() {
        let candidates = Candidates::new([candidate(1, 1, false), candidate(2, 1, true), candidate(3, 2, false)], 1);
        let mut random = Random::new(1);
        assert!((0..100).all(|_| candidates.draw(&mut random).is_some_and(|node| node.peer == peer(2))));
        assert_eq!((candidates.len(), candidates.orgs()), (3, 2));
        assert!(candidates.contains(&peer(3)) && !candidates.contains(&peer(4)));
        assert_eq!(Candidates::default().draw(&mut random), None);
    }

    #[test]
    fn a_node_is_found_by_the_bytes_of_its_key_and_bytes_that_no_card_lists_find_none() {
        let candidates = Candidates::new([candidate(1, 1, true), candidate(1, 2, true), candidate(2, 2, true)], 1);
        assert_eq!(candidates.with_key(peer(1).as_bytes()), Some(peer(1)));
        let (known, unknown) = (peer(1), peer(3));
        let not_listed = [&unknown.as_bytes()[..], &known.as_bytes()[..31], &[], &[1; 40]];
        assert!(not_listed.into_iter().all(|bytes| candidates.with_key(bytes).is_none()));
    }

    #[test]
    fn a_key_on_two_cards_is_one_node_of_both_with_an_address_if_either_has_one() {
        for (first, second) in [(false, true), (true, false)] {
            let candidates = Candidates::new([candidate(1, 7, first), candidate(1, 3, second)], 1);
            assert_eq!((candidates.len(), candidates.iter().count(), candidates.orgs()), (1, 1, 2));
            assert_eq!(candidates.orgs_of(&peer(1)).collect::<Vec<_>>(), [org(3), org(7)]);
            assert!(candidates.iter().all(|node| node.is_dialable));
            let mut random = Random::new(1);
            let drawn: Vec<OrgId> = (0..50).filter_map(|_| candidates.draw(&mut random)).map(|node| node.org).collect();
            assert!(drawn.len() == 50 && drawn.contains(&org(3)) && drawn.contains(&org(7)));
        }
    }

    #[test]
    fn a_key_that_one_card_lists_twice_is_listed_once() {
        let candidates = Candidates::new([candidate(1, 7, true), candidate(1, 7, true)], 1);
        assert_eq!((candidates.len(), candidates.orgs_of(&peer(1)).count()), (1, 1));
    }

    /// So many organisations that list one key, the same one.
    fn orgs_with_one_key(count: usize) -> impl Iterator<Item = Candidate> {
        (0..count as u32).map(|number| candidate(0, number, true))
    }

    #[test]
    fn of_one_entry_too_many_the_seed_decides_which_is_left_out() {
        assert_eq!(Candidates::new(orgs_with_one_key(CANDIDATES_MAX), 1).orgs(), CANDIDATES_MAX);
        let left_out = |seed: u64| {
            let kept = Candidates::new(orgs_with_one_key(CANDIDATES_MAX + 1), seed);
            assert_eq!((kept.orgs(), kept.listed.len()), (CANDIDATES_MAX, CANDIDATES_MAX));
            let is_kept = |number: &u32| kept.listed.binary_search_by_key(&org(*number), |entry| entry.org).is_ok();
            (0..=CANDIDATES_MAX as u32).find(|number| !is_kept(number))
        };
        let some: Vec<Option<u32>> = (1..5).map(left_out).collect();
        assert!(some.windows(2).all(|pair| pair[0] != pair[1]), "{some:?}");
        assert_eq!(left_out(1), some[0], "the same seed decides alike");
    }

    #[test]
    fn an_organisation_with_many_keys_leaves_room_for_one_of_each_other() {
        let others = CANDIDATES_MAX - 6;
        // Whether its id comes first or last.
        for number in [0, u32::MAX] {
            let many = (1..=64).map(|key| candidate(key, number, true));
            let others = (1..=others as u32).map(|number| candidate(0, number, true));
            let kept = Candidates::new(many.chain(others), 1);
            assert_eq!((kept.orgs(), kept.listed.len()), (CANDIDATES_MAX - 5, CANDIDATES_MAX));
            assert_eq!(kept.listed.iter().filter(|entry| entry.org == org(number)).count(), 6);
        }
    }

    #[test]
    fn a_key_that_is_listed_again_and_again_takes_one_place() {
        let again = std::iter::repeat_n(candidate(1, 1, true), CANDIDATES_MAX);
        assert_eq!(Candidates::new(again.chain([candidate(2, 1, true), candidate(3, 2, true)]), 1).len(), 3);
    }
}
