//! Who is in follows from what was said, not from when it came.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use prost::Message;

use super::super::*;
use super::world::*;
use crate::kind::Kind;
use crate::network::statement::statement_record_id;
use crate::v1;

/// Milliseconds between two statements of one organisation.
const STEP_MS: u64 = 1_000;

impl Org {
    fn says(&self, network: NetworkId, kind: Kind, subject: Option<&OrgId>, at: Hlc, body: &[u8]) -> SignedVersion {
        self.sign(&self.device, network, kind, statement_record_id(&self.id, kind, subject), at, body)
    }

    fn vouch(&self, network: NetworkId, subject: &OrgId, at: Hlc) -> SignedVersion {
        let body = v1::Vouch { subject: subject.0.to_vec(), reason: String::new() }.encode_to_vec();
        self.says(network, Kind::VOUCH, Some(subject), at, &body)
    }

    fn objection(&self, network: NetworkId, subject: &OrgId, at: Hlc) -> SignedVersion {
        let body = v1::Objection { subject: subject.0.to_vec(), reason: "why".into() }.encode_to_vec();
        self.says(network, Kind::OBJECTION, Some(subject), at, &body)
    }
}

#[test]
fn an_organisation_is_let_in_by_vouches_alone() {
    let mut world = World::new(2);
    let (network, newcomer) = (world.network(), Org::new(50));
    let outcomes = world.publish(0, vec![newcomer.card_version(network), newcomer.acceptance(network, None)]);
    let is_waiting = |outcome: &Outcome| matches!(outcome, Outcome::Rejected(why) if why.name() == "not-a-member");
    assert!(outcomes.iter().all(is_waiting), "{outcomes:?}");
    assert_eq!(world.nodes[0].standing(&newcomer.id), Standing::Stranger);
    let vouch = world.orgs[1].vouch(network, &newcomer.id, Hlc::new(NOW, 9));
    assert_eq!(world.publish(0, vec![vouch]), [Outcome::Published { concurrent: false }]);
    assert_eq!(world.nodes[0].standing(&newcomer.id), Standing::Member);
    // What it said while it was a stranger is in the set now, and reaches who had never heard of it.
    world.link(0, 1);
    world.settle();
    world.assert_equal();
    assert_eq!(world.nodes[1].standing(&newcomer.id), Standing::Member);
}

#[test]
fn a_vouch_for_one_who_accepts_later_waits_for_it() {
    let mut world = World::new(2);
    let (network, newcomer) = (world.network(), Org::new(50));
    let vouch = world.orgs[1].vouch(network, &newcomer.id, Hlc::new(NOW, 9));
    world.publish(0, vec![vouch]);
    assert_eq!(world.nodes[0].standing(&newcomer.id), Standing::Stranger);
    world.publish(0, vec![newcomer.card_version(network), newcomer.acceptance(network, None)]);
    assert_eq!(world.nodes[0].standing(&newcomer.id), Standing::Member);
}

#[test]
fn an_inviter_puts_out_whom_it_invited_by_taking_its_vouch_back() {
    let mut world = World::new(3);
    let (network, invited) = (world.network(), world.orgs[2].id);
    assert_eq!(world.nodes[0].standings().invited_by(&invited), Some(&world.orgs[0].id));
    let back = world.orgs[0].says(network, Kind::VOUCH, Some(&invited), Hlc::new(NOW, 9), b"");
    world.publish(0, vec![back]);
    assert_eq!(world.nodes[0].standing(&invited), Standing::Claimant);
    let restored = {
        let mut node = Node::new(world.charter.clone(), world.peer(0), 0);
        world.stores[0].values().for_each(|(version, lapsed)| node.restore(version.clone(), *lapsed));
        node.restored();
        node
    };
    assert_eq!(restored.standing(&invited), Standing::Claimant, "also after a restart");
}

/// One thing that one of five organisations says: (who, what, about whom, when).
type Said = (usize, u8, usize, u64);

fn statement(orgs: &[Org], network: NetworkId, (who, what, whom, step): Said) -> Option<SignedVersion> {
    let at = Hlc::new(NOW + step * STEP_MS, who as u16 + 2);
    let (org, subject) = (&orgs[who], &orgs[whom].id);
    let is_about_another = who != whom;
    match what {
        0 | 1 if is_about_another => Some(org.vouch(network, subject, at)),
        2 if is_about_another => Some(org.says(network, Kind::VOUCH, Some(subject), at, b"")),
        3 if is_about_another => Some(org.objection(network, subject, at)),
        4 if is_about_another => Some(org.says(network, Kind::OBJECTION, Some(subject), at, b"")),
        5 => Some(org.says(network, Kind::LEAVE, None, at, &v1::Leave { reason: "x".into() }.encode_to_vec())),
        6 => {
            let body = v1::Acceptance { charter: network.0.to_vec(), ..Default::default() }.encode_to_vec();
            Some(org.says(network, Kind::ACCEPTANCE, None, at, &body))
        }
        _ => None,
    }
}

/// A node that hears the statements one by one, in this order, until it hears nothing new. A node forgets what strangers
/// said; in a network those who still have it say it again.
fn told(charter: &Charter, versions: &[SignedVersion]) -> Node {
    let mut node = Node::new(charter.clone(), public(&Org::new(99).node), 0);
    for _ in 0..4 {
        for version in versions {
            let envelopes = vec![version.envelope().to_vec()];
            node.handle(NOW + 100 * STEP_MS, Input::Published { ticket: 0, envelopes });
        }
    }
    node
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_same_statements_give_the_same_standings_in_any_order(
        said in prop::collection::vec((0usize..5, 0u8..7, 0usize..5, 1u64..20), 0..20),
        keys in prop::collection::vec(any::<u32>(), 40),
    ) {
        let orgs: Vec<Org> = (1..=5).map(Org::new).collect();
        let charter = charter(&[&orgs[0], &orgs[1]]);
        let network = charter.network;
        let mut versions = Vec::new();
        for org in &orgs {
            let inviter = (org.id == orgs[4].id).then_some(&orgs[0]);
            versions.extend([org.card_version(network), org.acceptance(network, inviter)]);
        }
        versions.extend(said.iter().filter_map(|said| statement(&orgs, network, *said)));
        let node = told(&charter, &versions);
        let mut order: Vec<usize> = (0..versions.len()).collect();
        order.sort_by_key(|at| keys[*at]);
        let shuffled: Vec<SignedVersion> = order.into_iter().map(|at| versions[at].clone()).collect();
        let other = told(&charter, &shuffled);
        prop_assert_eq!(node.standings(), other.standings());
        prop_assert_eq!(node.set(Audience::Public).total(), other.set(Audience::Public).total());
    }
}
