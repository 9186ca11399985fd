//! What an operator must know of copies of the node, and of records that are not here.
//!
//! Source: heads, `spec/15-heads.md`.

use std::collections::BTreeSet;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::Audience;
use fingerpost_proto::node::Node;

use crate::feed::instant;

/// Organisations that are named before the rest is counted.
const LACKING_NAMED_MAX: usize = 3;
/// The same of those that said two things of one moment.
const EQUIVOCATING_NAMED_MAX: usize = 3;

/// Copies of this node's home.
pub(super) fn of_copies(node: &Node) -> Vec<String> {
    let mut warnings = Vec::new();
    if node.waits_for_peers() {
        warnings.push(
            "this home is a copy or was restored from a backup: nothing can be published before it has compared with \
             another node; fingerpost peers shows whether one is reached"
                .to_owned(),
        );
    }
    let (second_copy, set_back) = node.copies();
    if let Some(at) = second_copy {
        warnings.push(format!(
            "another copy of this node is at work with the same node key (seen {}): stop one of the two for good",
            instant::time_for_people(at.ms())
        ));
    }
    if let Some(at) = set_back {
        warnings.push(format!(
            "this home was set back to a state before {}; what it had lost comes from other nodes",
            instant::time_for_people(at.ms())
        ));
    }
    warnings
}

/// Organisations of which a device said two things of one moment.
pub(super) fn of_equivocations(node: &Node) -> Vec<String> {
    let accused: BTreeSet<OrgId> = node.equivocations().map(|proven| proven.org).collect();
    let mut warnings: Vec<String> = accused
        .iter()
        .take(EQUIVOCATING_NAMED_MAX)
        .map(|org| {
            let name = node.card(org).map_or_else(|| org.short(), |card| card.name.clone());
            format!(
                "a device of {name} has signed two different counts of its records for one moment: fingerpost why {} says \
                 which, and what to do",
                org.short()
            )
        })
        .collect();
    if let Some(more) = accused.len().checked_sub(EQUIVOCATING_NAMED_MAX).filter(|more| *more > 0) {
        warnings.push(format!("so it is with {more} more"));
    }
    warnings
}

/// Organisations whose records are not all here.
pub(super) fn of_what_lacks(node: &Node) -> Vec<String> {
    let since = |org: &OrgId| {
        let known = Audience::ALL.into_iter().filter_map(|audience| node.completeness(audience, org));
        known.filter_map(|known| known.lacking_since).min().map(|since| (*org, since))
    };
    let lacking: Vec<_> = node.standings().iter().filter_map(|(org, _)| since(org)).collect();
    let named = lacking.iter().take(LACKING_NAMED_MAX).map(|(org, since)| {
        let name = node.card(org).map_or_else(|| org.short(), |card| card.name.clone());
        let since = instant::time_for_people(*since);
        format!("records of {name} are missing or out of date here since {since}; other nodes are asked each minute")
    });
    let mut warnings: Vec<String> = named.collect();
    if let Some(more) = lacking.len().checked_sub(LACKING_NAMED_MAX).filter(|more| *more > 0) {
        warnings.push(format!("so it is with {more} more; fingerpost members names them"));
    }
    warnings
}
