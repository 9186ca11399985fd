//! Nodes that may be linked to: those on members' cards.
//!
//! In: key, organisation and whether there is an address, of each. Out: lookups, and random draws that give each
//! organisation the same chance, however many keys it has on its card.
//! Always: sorted by organisation; no key twice; at most [`CANDIDATES_MAX`].
//! Spec: `spec/11-dissemination.md`, section 2. Tested: below.

use super::random::Random;
use crate::id::OrgId;
use crate::node::Peer;

/// Nodes that are considered, the rest is left out: six times the largest network that was tried, about 10 MB.
pub const CANDIDATES_MAX: usize = 65_536;

/// One node of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its node key.
    pub peer: Peer,
    /// Whose node it is.
    pub org: OrgId,
    /// An address is known. A node without one only dials.
    pub is_dialable: bool,
}

/// All nodes of members but the own one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// By organisation, those with an address first, then by key.
    nodes: Vec<Candidate>,
    /// Key and place in `nodes`, by key.
    by_peer: Vec<(Peer, u32)>,
    /// First place and number of nodes with an address, for each organisation that has one.
    dialable: Vec<(u32, u32)>,
    orgs: usize,
}

impl Candidates {
    /// Collects nodes. A key that comes again is counted to the organisation that came first with it.
    pub fn new(nodes: impl IntoIterator<Item = Candidate>) -> Candidates {
        let mut nodes: Vec<Candidate> = nodes.into_iter().take(CANDIDATES_MAX).collect();
        // Stable: of equal keys the first stays.
        nodes.sort_by_key(|node| node.peer);
        nodes.dedup_by_key(|node| node.peer);
        nodes.sort_by_key(|node| (node.org, !node.is_dialable, node.peer));
        let mut by_peer: Vec<(Peer, u32)> = nodes.iter().zip(0..).map(|(node, at)| (node.peer, at)).collect();
        by_peer.sort_unstable();
        let mut dialable = Vec::new();
        let mut orgs = 0;
        let mut start = 0;
        for group in nodes.chunk_by(|a, b| a.org == b.org) {
            let count = group.iter().filter(|node| node.is_dialable).count() as u32;
            if count > 0 {
                dialable.push((start, count));
            }
            start += group.len() as u32;
            orgs += 1;
        }
        Candidates { nodes, by_peer, dialable, orgs }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Number of organisations.
    pub fn orgs(&self) -> usize {
        self.orgs
    }

    /// The node with this key.
    pub fn get(&self, peer: &Peer) -> Option<&Candidate> {
        let at = self.by_peer.binary_search_by_key(peer, |(peer, _)| *peer).ok()?;
        self.nodes.get(self.by_peer[at].1 as usize)
    }

    /// All nodes, by organisation.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.nodes.iter()
    }

    /// A node with an address: first an organisation is drawn, then one of its nodes.
    pub(super) fn draw(&self, random: &mut Random) -> Option<&Candidate> {
        let (start, count) = *self.dialable.get(random.below(self.dialable.len()))?;
        self.nodes.get(start as usize + random.below(count as usize))
    }
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
        let candidates = Candidates::new(many.chain(few));
        let mut random = Random::new(1);
        let drawn = (0..3_000).filter_map(|_| candidates.draw(&mut random)).filter(|node| node.org == org(1)).count();
        assert!((800..1_200).contains(&drawn), "{drawn} of 3,000");
    }

    #[test]
    fn a_node_without_an_address_is_known_and_never_drawn() {
        let candidates = Candidates::new([candidate(1, 1, false), candidate(2, 1, true), candidate(3, 2, false)]);
        let mut random = Random::new(1);
        assert!((0..100).all(|_| candidates.draw(&mut random).is_some_and(|node| node.peer == peer(2))));
        assert_eq!((candidates.len(), candidates.orgs()), (3, 2));
        assert_eq!(candidates.get(&peer(3)), Some(&candidate(3, 2, false)));
        assert_eq!(candidates.get(&peer(4)), None);
        assert_eq!(Candidates::default().draw(&mut random), None);
    }

    #[test]
    fn a_key_on_two_cards_is_one_node_of_the_organisation_that_came_first() {
        let candidates = Candidates::new([candidate(1, 7, true), candidate(1, 3, true)]);
        assert_eq!(candidates.len(), 1);
        assert_eq!(candidates.get(&peer(1)), Some(&candidate(1, 7, true)));
    }

    #[test]
    fn nodes_beyond_the_limit_are_left_out() {
        let node = |at: usize| candidate(u32::from(at + 1 > CANDIDATES_MAX), 1, true);
        assert_eq!(Candidates::new((0..CANDIDATES_MAX).map(node)).len(), 1);
        // Only the one beyond has another key.
        assert_eq!(Candidates::new((0..=CANDIDATES_MAX).map(node)).len(), 1);
        assert_eq!(Candidates::new((1..=CANDIDATES_MAX).map(node)).len(), 2);
    }
}
