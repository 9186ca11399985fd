//! What the public may know of the network, taken from the node.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::network::members::Standing;
use fingerpost_proto::node::Node;

use crate::feed::directory::{Roll, Signatory};

/// The charter and the members, by OrgId.
pub(super) fn of(node: &Node) -> Roll {
    let (standings, accepted) = (node.standings(), node.accepted_and_left());
    let members = standings.iter().filter(|(_, standing)| *standing == Standing::Member).map(|(org, _)| org);
    let signatory = |org: &OrgId| Signatory {
        org: *org,
        name: node.card(org).map_or_else(String::new, |card| card.name.clone()),
        is_founder: node.charter().founders.contains(org),
        since_ms: accepted.get(org).and_then(|(accepted, _)| *accepted).map(|hlc| hlc.ms()),
        vouched_by: standings.vouched_by(org).copied().collect(),
    };
    Roll {
        network: node.network(),
        charter: node.charter().text.clone(),
        signatories: members.map(signatory).collect(),
    }
}
