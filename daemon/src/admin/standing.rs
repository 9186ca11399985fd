//! Who is in the network, and why: for admins.

use std::collections::HashMap;

use fingerpost_proto::id::OrgId;
use fingerpost_proto::kind::{Audience, Class, Kind};
use fingerpost_proto::network::members::{Missing, Standing, Way, Weight};
use fingerpost_proto::network::statement::statement_record_id;
use fingerpost_proto::node::Node;
use fingerpost_proto::set::{SetKey, Slot};
use fingerpost_proto::v1;
use fingerpost_proto::version::SignedVersion;
use prost::Message;
use tokio::sync::oneshot;
use tonic::Status;

use super::{AdminService, no_network, stopped};
use crate::catalogue::Catalogue;
use crate::driver::{Command, View};

fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Stranger => "stranger",
        Standing::Claimant => "claimant",
        Standing::Participant => "participant",
        Standing::Member => "member",
    }
}

fn weight(weight: Weight) -> &'static str {
    match weight {
        Weight::Counts => "counts",
        Weight::NotAParticipant => "not-a-participant",
        Weight::TakenBack => "taken-back",
        Weight::ClaimedTwice => "claimed-twice",
    }
}

/// Every organisation with a standing.
pub(super) fn members(view: &View<'_>) -> Vec<v1::MemberState> {
    let Some(node) = view.node else { return Vec::new() };
    let mut records: HashMap<_, u64> = HashMap::new();
    for audience in Audience::ALL {
        for (key, _) in
            node.set(audience).range(&Default::default(), None).filter(|(key, _)| key.class() == Class::Record)
        {
            let slot = Slot { audience, key };
            if let Some((org, _)) = node.winner(&slot) {
                *records.entry(org).or_default() += 1;
            }
        }
    }
    let (standings, said) = (node.standings(), node.accepted_and_left());
    let state = |(org, standing): (&OrgId, Standing)| {
        let card = node.card(org);
        let (accepted, left) = said.get(org).copied().unwrap_or_default();
        let of = |audience| node.completeness(audience, org);
        let lacking_since = Audience::ALL.into_iter().filter_map(of).filter_map(|known| known.lacking_since).min();
        let known = of(Audience::Public);
        v1::MemberState {
            organisation: org.0.to_vec(),
            name: card.map_or_else(String::new, |card| card.name.clone()),
            founder: node.charter().founders.contains(org),
            member: standing == Standing::Member,
            records: records.get(org).copied().unwrap_or(0),
            endpoints: card.map_or_else(Vec::new, |card| card.endpoints.clone()),
            vouched_by: standings.vouched_by(org).map(|org| org.0.to_vec()).collect(),
            standing: name(standing).to_owned(),
            accepted_ms: accepted.map_or(0, |hlc| hlc.ms()),
            left: left.is_some(),
            objected_by: standings.objected_by(org).map(|org| org.0.to_vec()).collect(),
            blocked: view.blocked.contains_key(org),
            head_ms: known.map_or(0, |known| known.head.ms()),
            complete_ms: known.and_then(|known| known.complete_as_of).map_or(0, |at| at.ms()),
            lacking_since_ms: lacking_since.unwrap_or(0),
            invited_by: standings.invited_by(org).map_or_else(Vec::new, |org| org.0.to_vec()),
        }
    };
    standings.iter().map(state).collect()
}

/// Answers `Why`. Errors: an id that is none; no network.
pub(super) async fn why(service: &AdminService, request: v1::WhyRequest) -> Result<v1::WhyReply, Status> {
    let org = org(&request.organisation)?;
    let reply = service.driver.look(move |view| view.node.map(|node| explained(view, node, &org))).await;
    let mut reply = reply.map_err(stopped)?.ok_or_else(no_network)?;
    for (kind, heard) in [(Kind::VOUCH, &mut reply.vouches), (Kind::OBJECTION, &mut reply.objections)] {
        heard.iter_mut().for_each(|heard| quote(&service.catalogue, kind, &org, heard));
    }
    Ok(reply)
}

/// Answers `Block`. Errors: an id that is none; why the driver does not.
pub(super) async fn block(service: &AdminService, request: v1::BlockRequest) -> Result<v1::BlockReply, Status> {
    let (org, lift) = (org(&request.organisation)?, request.lift);
    let (reply, answer) = oneshot::channel();
    service.driver.send(Command::Block { org, lift, reply }).await.map_err(stopped)?;
    let answer = answer.await.map_err(|_| stopped(crate::driver::Stopped))?;
    answer.map(|changed| v1::BlockReply { changed }).map_err(Status::failed_precondition)
}

pub(super) fn org(bytes: &[u8]) -> Result<OrgId, Status> {
    OrgId::from_slice(bytes).ok_or_else(|| Status::invalid_argument("an OrgId has 32 bytes"))
}

fn explained(view: &View<'_>, node: &Node, org: &OrgId) -> v1::WhyReply {
    let explanation = node.explain(org);
    let called = |org: &OrgId| node.card(org).map_or_else(String::new, |card| card.name.clone());
    let first = SetKey::first_of(Class::Record, org);
    let mut records = 0;
    for audience in Audience::ALL {
        let keys = node.set(audience).range(&first, None).map(|(key, _)| key);
        let near = keys.take_while(|key| key.0[..8] == first.0[..8]);
        records +=
            near.filter(|key| node.winner(&Slot { audience, key: *key }).is_some_and(|(by, _)| by == *org)).count();
    }
    let mut reply = v1::WhyReply {
        name: called(org),
        standing: name(explanation.standing).to_owned(),
        founder: explanation.is_founder,
        accepted_ms: explanation.accepted.map_or(0, |hlc| hlc.ms()),
        left_ms: explanation.left.map_or(0, |hlc| hlc.ms()),
        vouches_needed: explanation.vouches_needed,
        objections_needed: explanation.objections_needed,
        rivals: explanation.rivals.iter().map(|rival| rival.0.to_vec()).collect(),
        blocked_ms: view.blocked.get(org).copied().unwrap_or(0),
        records: records as u64,
        ..Default::default()
    };
    let proven = node.equivocations().filter(|proven| proven.org == *org);
    reply.equivocations = proven
        .map(|proven| v1::EquivocationState {
            device: proven.device.to_vec(),
            at_ms: proven.hlc.ms(),
            witness: proven.witness.0.to_vec(),
            witness_name: called(&proven.witness),
        })
        .collect();
    let heard = |by: &OrgId, way: Way, counts: Weight| v1::HeardState {
        organisation: by.0.to_vec(),
        name: called(by),
        by_invitation: way == Way::Invitation,
        weight: weight(counts).to_owned(),
        ..Default::default()
    };
    reply.vouches = explanation.vouches.iter().map(|vouch| heard(&vouch.by, vouch.way, vouch.weight)).collect();
    let objections = explanation.objections.iter();
    reply.objections = objections.map(|objection| heard(&objection.by, Way::Direct, objection.weight)).collect();
    for missing in explanation.missing() {
        match missing {
            Missing::Acceptance => reply.lacks_acceptance = true,
            Missing::Vouches(count) => reply.lacks_vouches = count,
            Missing::Return => reply.lacks_return = true,
            Missing::Objections(count) => reply.objections_beyond = count,
        }
    }
    reply
}

/// When it was said, and in which words, if the statement is in the store. What strangers say is not.
fn quote(catalogue: &Catalogue, kind: Kind, subject: &OrgId, heard: &mut v1::HeardState) {
    let Some(by) = OrgId::from_slice(&heard.organisation).filter(|_| !heard.by_invitation) else { return };
    let record = statement_record_id(&by, kind, Some(subject));
    let slot = Slot { audience: Audience::Public, key: SetKey::derive(kind, &by, &record) };
    let Ok(Some(row)) = catalogue.row(&slot) else { return };
    let Ok(version) = SignedVersion::read(row.envelope) else { return };
    heard.said_ms = version.header().hlc.ms();
    // Both messages have the same shape.
    heard.reason = v1::Vouch::decode(version.body()).map(|said| said.reason).unwrap_or_default();
}
