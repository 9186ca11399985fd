//! `members`: the organisations of the network, and who vouches for them.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use super::vouch;
use crate::failure::{Exit, Failure};
use crate::output::moment::{count, date, now_ms, rfc3339, span};
use crate::session::Session;

/// Vouchers named in a table row before the rest is counted.
const VOUCHERS_NAMED_MAX: usize = 3;
/// An organisation whose newest summary is older has not been heard of, in milliseconds: its node signs one each day.
const SILENT_MS: u64 = 48 * 3_600_000;

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    vouch::settle_where_possible(session).await;
    let members = session.node().await?.members().await?;
    let id = |bytes: &[u8]| OrgId::from_slice(bytes).map(|org| org.to_string());
    let objects: Vec<_> = members
        .iter()
        .map(|member| {
            json!({
                "organisation": id(&member.organisation),
                "name": member.name,
                "standing": standing(member),
                "founder": member.founder,
                "member": member.member,
                "records": member.records,
                "endpoints": member.endpoints,
                "vouched_by": member.vouched_by.iter().map(|org| id(org)).collect::<Vec<_>>(),
                "objected_by": member.objected_by.iter().map(|org| id(org)).collect::<Vec<_>>(),
                "since": if member.accepted_ms == 0 { Value::Null } else { json!(rfc3339(member.accepted_ms)) },
                "left": member.left,
                "blocked_here": member.blocked,
                "heard": moment(member.head_ms),
                "complete_as_of": moment(member.complete_ms),
                "incomplete_since": moment(member.lacking_since_ms),
            })
        })
        .collect();
    session.printer.object("members/1", json!({ "members": objects }))?;
    if members.is_empty() {
        session.printer.note("The node is in no network yet.");
        session.printer.next("fingerpost join CODE; or fingerpost network create --name … --purpose …");
        return Ok(Exit::Done);
    }
    let now = now_ms();
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|member| {
            vec![
                member.name.clone(),
                short(&member.organisation),
                standing_words(member),
                member.records.to_string(),
                vouchers(&members, member),
                if member.accepted_ms == 0 { "-".to_owned() } else { date(member.accepted_ms) },
                completeness(member, now),
            ]
        })
        .collect();
    session
        .printer
        .table(&["organisation", "id", "standing", "records", "vouched for by", "since", "complete here"], &rows)?;
    let inside = members.iter().filter(|member| member.member).count();
    session.printer.note(&format!("{}, {} waiting or out", count(inside, "member"), members.len() - inside));
    if members.iter().any(|member| !member.member || !member.objected_by.is_empty() || member.blocked) {
        session.printer.next("what is missing or said against one: fingerpost why ORG");
    }
    Ok(Exit::Done)
}

fn moment(ms: u64) -> Value {
    if ms == 0 { Value::Null } else { json!(rfc3339(ms)) }
}

/// How much of its records is here, by its own summaries.
fn completeness(member: &v1::MemberState, now: u64) -> String {
    match member {
        v1::MemberState { lacking_since_ms: since @ 1.., .. } => {
            format!("NO, for {}", span(now.saturating_sub(*since)))
        }
        v1::MemberState { head_ms: 0, .. } => "not known".to_owned(),
        v1::MemberState { head_ms, .. } if now.saturating_sub(*head_ms) > SILENT_MS => {
            format!("silent for {}", span(now.saturating_sub(*head_ms)))
        }
        v1::MemberState { complete_ms: 0, .. } => "not yet".to_owned(),
        v1::MemberState { complete_ms, .. } => format!("{} ago", span(now.saturating_sub(*complete_ms))),
    }
}

/// In JSON; kept from the first version of `members/1`.
fn standing(member: &v1::MemberState) -> &'static str {
    match (member.member, member.founder) {
        (true, true) => "founder",
        (true, false) => "member",
        (false, _) => "not a member",
    }
}

/// For people, with the reason when it is none of the usual.
fn standing_words(member: &v1::MemberState) -> String {
    let standing = match member.standing.as_str() {
        "participant" if member.left => "left".to_owned(),
        "participant" => format!("put out ({})", count(member.objected_by.len(), "objection")),
        "claimant" => "waiting".to_owned(),
        _ if !member.objected_by.is_empty() => {
            format!("{} ({})", standing(member), count(member.objected_by.len(), "objection"))
        }
        _ => standing(member).to_owned(),
    };
    if member.blocked { format!("{standing}, blocked here") } else { standing }
}

fn vouchers(members: &[v1::MemberState], member: &v1::MemberState) -> String {
    let mut names: Vec<String> =
        member.vouched_by.iter().take(VOUCHERS_NAMED_MAX).map(|org| name_of(members, org)).collect();
    if member.vouched_by.len() > VOUCHERS_NAMED_MAX {
        names.push(format!("{} more", member.vouched_by.len() - VOUCHERS_NAMED_MAX));
    }
    match names.as_slice() {
        [] if member.founder => "(founder)".to_owned(),
        [] => "nobody".to_owned(),
        names => names.join(", "),
    }
}

fn name_of(members: &[v1::MemberState], org: &[u8]) -> String {
    let named = members.iter().find(|member| member.organisation == org && !member.name.is_empty());
    named.map_or_else(|| short(org), |member| member.name.clone())
}

fn short(org: &[u8]) -> String {
    OrgId::from_slice(org).map_or_else(|| "?".to_owned(), |org| org.short())
}
