//! `block ORG`: this node does not show an organisation's records and does not link to its nodes. Nobody else is affected.

use fingerpost_proto::v1;
use serde_json::json;

use super::record::find_organisation;
use super::vouch::called;
use crate::args::BlockArgs;
use crate::failure::{Exit, Failure};
use crate::output::moment::count;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: BlockArgs) -> Result<Exit, Failure> {
    let node = session.node().await?;
    let org = find_organisation(&node, &args.org).await?;
    let before = node.why(&org).await?;
    let name = called(&before, &org);
    let records = count(usize::try_from(before.records).unwrap_or(usize::MAX), "record");
    if !args.lift && before.blocked_ms == 0 {
        session.printer.line(&format!("Organisation  {name}, {records}"))?;
        session
            .printer
            .line("This node     no longer shows its records in the feed, and does not link to its nodes")?;
        session.printer.line("Others        see no difference; to put it out everywhere: fingerpost object")?;
        if !session.agree(&format!("Block {name} at this node?"), "--yes")? {
            return Ok(session.declined());
        }
    }
    let reply = node.block(v1::BlockRequest { organisation: org.0.to_vec(), lift: args.lift }).await?;
    session.printer.object(
        "block/1",
        json!({ "organisation": org.to_string(), "name": before.name, "blocked": !args.lift, "changed": reply.changed }),
    )?;
    let said = match (args.lift, reply.changed) {
        (false, true) => format!("Blocked       {name}: {records} out of this node's feed"),
        (false, false) => format!("Blocked       {name}, as before"),
        (true, true) => format!("Lifted        {name}: {records} in this node's feed again"),
        (true, false) => format!("Not blocked   {name}; nothing was changed"),
    };
    session.printer.line(&said)?;
    session.printer.next(&format!("fingerpost why {}", org.short()));
    Ok(Exit::Done)
}
