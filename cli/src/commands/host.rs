//! `host code | list | stop`: what the operator of a node does for organisations without one.

use fingerpost_proto::id::OrgId;
use serde_json::json;

use super::invite;
use super::record::find_organisation;
use crate::args::{HostCommand, HostStopArgs};
use crate::failure::{Exit, Failure};
use crate::output::escape::shown;
use crate::output::moment::{count, date, rfc3339};
use crate::session::Session;

pub(super) async fn run(session: &Session, command: HostCommand) -> Result<Exit, Failure> {
    match command {
        HostCommand::Code(args) => invite::run(session, args, true).await,
        HostCommand::List => list(session).await,
        HostCommand::Stop(args) => stop(session, args).await,
    }
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let reply = session.node().await?.hosted().await?;
    let organisations: Vec<_> = reply
        .organisations
        .iter()
        .map(|of| {
            json!({
                "organisation": OrgId::from_slice(&of.organisation).map(|org| org.to_string()),
                "name": of.name,
                "standing": of.standing,
                "records": of.records,
                "since": rfc3339(of.since_ms),
            })
        })
        .collect();
    session.printer.object("host-list/1", json!({ "organisations": organisations, "codes_open": reply.promised }))?;
    let row = |of: &fingerpost_proto::v1::HostedState| {
        let id = OrgId::from_slice(&of.organisation).map_or_else(String::new, |org| org.short());
        vec![of.name.clone(), id, of.standing.clone(), of.records.to_string(), date(of.since_ms)]
    };
    let rows: Vec<Vec<String>> = reply.organisations.iter().map(row).collect();
    if !rows.is_empty() {
        session.printer.table(&["organisation", "id", "standing", "records", "since"], &rows)?;
    }
    session.printer.note(&format!(
        "{} carried, {} not used yet",
        count(rows.len(), "organisation"),
        count(reply.promised as usize, "code")
    ));
    session.printer.next("carry one more: fingerpost host code; no longer: fingerpost host stop ORG");
    Ok(Exit::Done)
}

async fn stop(session: &Session, args: HostStopArgs) -> Result<Exit, Failure> {
    let node = session.node().await?;
    // It may have left the network and be on no list of members any more.
    let hosted = node.hosted().await?;
    let named = hosted.organisations.iter().find(|of| of.name == args.org);
    let org = match named.and_then(|of| OrgId::from_slice(&of.organisation)) {
        Some(org) => org,
        None => find_organisation(&node, &args.org).await?,
    };
    let name = hosted.organisations.iter().find(|of| of.organisation == org.0).map(|of| shown(&of.name).into_owned());
    let Some(name) = name else {
        return Err(Failure::new(Exit::Invalid, format!("this node does not carry {}", org.short()))
            .because("nothing was changed")
            .hint("see whom it carries: fingerpost host list"));
    };
    session.printer.line(&format!("Organisation  {name}"))?;
    session
        .printer
        .line("It can then   publish nothing over this node; with a code of another host it goes on there")?;
    session.printer.line("Its records   stay in every feed, until it changes them or their lease ends")?;
    if !session.agree(&format!("Stop carrying {name}?"), "--yes")? {
        return Ok(session.declined());
    }
    let reply = node.stop_hosting(&org).await?;
    session
        .printer
        .object("host-stop/1", json!({ "organisation": org.to_string(), "name": name, "changed": reply.changed }))?;
    session.printer.line(&format!("Stopped       {name}"))?;
    session.printer.next("tell its people, so that they can find another host; see the rest: fingerpost host list");
    Ok(Exit::Done)
}
