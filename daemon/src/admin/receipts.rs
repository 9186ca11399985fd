//! Which nodes have confirmed a redaction, and which have not yet.

use std::collections::BTreeMap;

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::node::Node;
use fingerpost_proto::redaction::{Receipt, Redaction};
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_proto::time::{UnixHour, UnixMillis};
use fingerpost_proto::v1;
use fingerpost_proto::version::{Header, SignedVersion};
use tonic::Status;

use super::{AdminService, no_network, stopped};
use crate::clock;

/// A member's node.
struct Member {
    key: PublicKey,
    org: OrgId,
    name: String,
    /// By the link to it; 0: there is none.
    last_seen: UnixMillis,
}

/// Open redactions of a publisher, or of all, the newest first. Errors: an id that is none; no network; the store.
pub(super) async fn receipts(
    service: &AdminService,
    request: v1::ReceiptsRequest,
) -> Result<Vec<v1::RedactionState>, Status> {
    let org = read("an OrgId has 32 bytes", &request.organisation, OrgId::from_slice)?;
    let record = read("a record id has 16 bytes", &request.record, RecordId::from_slice)?;
    let looked = service.driver.look(|view| view.node.map(|node| (members(node), upkeep(node)))).await;
    let (members, slots) = looked.map_err(stopped)?.ok_or_else(no_network)?;
    let this_hour = UnixHour::containing(clock::now_ms());
    let (mut redactions, mut erased) = (Vec::new(), BTreeMap::new());
    let mut heard: BTreeMap<[u8; 32], UnixMillis> = BTreeMap::new();
    for slot in slots {
        let row = service.catalogue.row(&slot).map_err(|error| Status::data_loss(error.to_string()))?;
        let Some(version) = row.and_then(|row| SignedVersion::read(row.envelope).ok()) else { continue };
        let header = *version.header();
        if let (Kind::REDACTION, Ok(redaction)) = (header.kind, Redaction::read(&header, version.body())) {
            let is_wanted = org.is_none_or(|org| org == header.org) && record.is_none_or(|id| id == redaction.record);
            if is_wanted && header.lease_until > this_hour {
                redactions.push((header, redaction));
            }
        } else if let (Kind::RECEIPT, Ok(receipt)) = (header.kind, Receipt::read(&header, version.body())) {
            let last = heard.entry(receipt.node).or_default();
            *last = header.hlc.ms().max(*last);
            for erasure in receipt.erasures {
                let what = (erasure.org, erasure.record, erasure.replaced_by, header.audience.number());
                erased.insert((receipt.node, header.org, what), erasure.erased_ms);
            }
        }
    }
    redactions.sort_by_key(|(header, _)| std::cmp::Reverse(header.hlc));
    let state = |(header, redaction): (Header, Redaction)| {
        let place = redaction.place(&header.org, header.audience);
        let row = service.catalogue.row(&place).ok().flatten();
        let now = row.and_then(|row| SignedVersion::read(row.envelope).ok());
        let confirmation = |member: &Member| {
            let what = (header.org, redaction.record, redaction.replaced_by, header.audience.number());
            let key = *member.key.as_bytes();
            v1::ConfirmationState {
                node_key: key.to_vec(),
                organisation: member.org.0.to_vec(),
                name: member.name.clone(),
                erased_ms: erased.get(&(key, member.org, what)).copied().unwrap_or(0),
                last_heard_ms: member.last_seen.max(heard.get(&key).copied().unwrap_or(0)),
                is_this: key == service.about.node_key,
            }
        };
        v1::RedactionState {
            organisation: header.org.0.to_vec(),
            publisher_name: service.catalogue.publisher_name(&header.org),
            record: redaction.record.0.to_vec(),
            kind: redaction.kind.0.into(),
            audience: header.audience.number().into(),
            replaced_by: redaction.replaced_by.0.to_vec(),
            ordered_ms: header.hlc.ms(),
            ends_ms: header.lease_until.start_ms(),
            changed_since: now.as_ref().is_some_and(|now| now.header().hlc > redaction.clock),
            withdrawn: now.is_some_and(|now| now.is_withdrawal()),
            nodes: members.iter().map(confirmation).collect(),
        }
    };
    Ok(redactions.into_iter().map(state).collect())
}

/// `None` for no bytes. Errors: invalid argument, in these words.
fn read<T>(rule: &str, bytes: &[u8], from: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    from(bytes).map(Some).ok_or_else(|| Status::invalid_argument(rule.to_owned()))
}

fn members(node: &Node) -> Vec<Member> {
    let seen: BTreeMap<PublicKey, UnixMillis> = node.links().map(|link| (link.peer, link.last_seen)).collect();
    let name = |org: &OrgId| node.card(org).map_or_else(String::new, |card| card.name.clone());
    let member = |(key, org, _): (PublicKey, OrgId, &[String])| Member {
        key,
        org,
        name: name(&org),
        last_seen: seen.get(&key).copied().unwrap_or(0),
    };
    node.member_nodes().map(member).collect()
}

/// Places of all upkeep.
fn upkeep(node: &Node) -> Vec<Slot> {
    let [first, end] = [Class::Upkeep, Class::Record].map(|class| SetKey::first_of(class, &OrgId([0; 32])));
    let slots = |audience| node.set(audience).range(&first, Some(&end)).map(move |(key, _)| Slot { audience, key });
    Audience::ALL.into_iter().flat_map(slots).collect()
}
