//! `members`: the organisations of the network, and who vouches for them.

use fingerpost_proto::id::OrgId;
use fingerpost_proto::v1;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::moment::count;
use crate::session::Session;

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
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
            })
        })
        .collect();
    session.printer.object("members/1", json!({ "members": objects }))?;
    if members.is_empty() {
        session.printer.note("The node is in no network yet.");
        session.printer.next("fingerpost join CODE; or fingerpost network create --name … --purpose …");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|member| {
            let vouchers: Vec<String> = member.vouched_by.iter().map(|org| name_of(&members, org)).collect();
            vec![
                member.name.clone(),
                short(&member.organisation),
                standing(member).to_owned(),
                member.records.to_string(),
                vouchers.join(", "),
                member.endpoints.join(" "),
            ]
        })
        .collect();
    session.printer.table(&["organisation", "id", "standing", "records", "vouched for by", "node"], &rows)?;
    let inside = members.iter().filter(|member| member.member).count();
    session.printer.note(&format!("{}, {} waiting or out", count(inside, "member"), members.len() - inside));
    Ok(Exit::Done)
}

fn standing(member: &v1::MemberState) -> &'static str {
    match (member.member, member.founder) {
        (true, true) => "founder",
        (true, false) => "member",
        (false, _) => "not a member",
    }
}

fn name_of(members: &[v1::MemberState], org: &[u8]) -> String {
    let named = members.iter().find(|member| member.organisation == org && !member.name.is_empty());
    named.map_or_else(|| short(org), |member| member.name.clone())
}

fn short(org: &[u8]) -> String {
    OrgId::from_slice(org).map_or_else(|| "?".to_owned(), |org| org.short())
}
