//! `redact RECORD`: something must vanish everywhere, now.

use serde_json::json;

use super::outcome;
use crate::args::RedactArgs;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::agreed_network;
use crate::output::fields;
use crate::output::moment::now_ms;
use crate::publish::{Desk, Holdings};
use crate::session::Session;
use fingerpost_proto::id::RecordId;

pub(super) async fn run(session: &Session, args: RedactArgs) -> Result<Exit, Failure> {
    let (identity, node) = session.identity().await?;
    let charter = agreed_network(&session.home, &node.status().await?.network)?;
    let desk = Desk::open(&node, &identity, &charter, now_ms()).await?;
    let chosen = desk.holdings().select(std::slice::from_ref(&args.id))?;
    let Some(record) = chosen.first() else { return Ok(session.declined()) };
    let mut planner = desk.planner();
    if args.fields.is_empty() {
        planner.withdraw(record);
    } else {
        planner.replace(record, without(desk.holdings(), record, &args.fields)?);
    }
    let plan = planner.finish();
    if let Some(problem) = plan.problems.first() {
        return Err(Failure::new(Exit::Invalid, format!("the record is not valid without {}", args.fields.join(", ")))
            .because(problem.reason.clone())
            .hint(format!("redact all of it: fingerpost redact {record} --urgent")));
    }
    if !args.urgent {
        session.printer.note(
            "A redaction is for what must not be seen: it goes before everything else, every node erases the old text at once \
             and signs a receipt. What is merely over or wrong: fingerpost withdraw, or correct it and import it again.",
        );
        outcome::list_changes(session, &plan)?;
        if !session.agree("Redact it at every node now?", "--urgent")? {
            return Ok(session.declined());
        }
    }
    let ordered = desk.redact(&node, record, plan.changes.first()).await?;
    session.printer.object(
        "redact/1",
        json!({
            "record": record.to_string(),
            "kind": ordered.kind.to_string(),
            "audience": ordered.audience.name(),
            "fields": args.fields,
            "replaced_by": ordered.replaced_by.to_string(),
        }),
    )?;
    let what = if args.fields.is_empty() { "the whole record".to_owned() } else { args.fields.join(", ") };
    session.printer.line(&format!("Redacted      {} {record}: {what}", ordered.kind))?;
    session.printer.warning(
        "it is still in the spreadsheet or program that you publish from: remove it there, or the next import publishes it again",
    );
    session.printer.warning(super::receipts::COPIES);
    session.printer.next(&format!("fingerpost receipts {record} --watch"));
    Ok(Exit::Done)
}

/// The record's newest body without these fields and their translations. Errors: usage, when it does not state one of them;
/// those that it does are named.
fn without(holdings: &Holdings, record: &RecordId, names: &[String]) -> Result<Vec<u8>, Failure> {
    let current = holdings.get(record).filter(|current| current.body.is_some());
    let current = current.ok_or_else(|| {
        Failure::new(Exit::Invalid, format!("{record} is withdrawn; it has no fields any more"))
            .hint(format!("to have every node confirm that: fingerpost redact {record} --urgent"))
    })?;
    let (kind, body) = (current.version.header().kind, current.version.body());
    let stated = fields::names(kind, body);
    if let Some(unknown) = names.iter().find(|name| !stated.contains(name)) {
        return Err(Failure::new(Exit::Usage, format!("the record states no field {unknown:?}"))
            .because(format!("its fields: {}", stated.join(", ")))
            .hint("name whole fields, such as --field addresses; see them: fingerpost show RECORD"));
    }
    fields::without(kind, body, names)
        .ok_or_else(|| Failure::new(Exit::Invalid, format!("the body of {record} cannot be read")))
}
