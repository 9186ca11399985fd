//! `receipts`: which nodes have confirmed that they erased what was redacted.

use std::collections::BTreeSet;
use std::time::Duration;

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::v1::{ConfirmationState, ReceiptsRequest, RedactionState};
use serde_json::{Value, json};

use crate::args::ReceiptsArgs;
use crate::cards::Cards;
use crate::client::NodeClient;
use crate::failure::{Exit, Failure};
use crate::output::moment::{count, now_ms, relative, rfc3339};
use crate::output::{Colour, Format, Printer};
use crate::session::Session;

/// Between two looks with `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// What no receipt can say.
pub(super) const COPIES: &str = "receipts speak for the nodes of this network only: what readers, search engines or other programs copied before cannot be \
     called back; web caches in front of a feed may serve old pages for up to an hour";

pub(super) async fn run(session: &Session, args: ReceiptsArgs) -> Result<Exit, Failure> {
    let mut session = session.clone();
    if args.json {
        session.printer = Printer::new(Format::Json, Colour::Never);
    }
    let mut cards = Cards::load(&session.home)?;
    let node = session.node().await?;
    cards.refresh(&session.home, &node).await?;
    let org = cards.effective().org;
    let mut shown = None;
    loop {
        let redactions = wanted(&node, &org, args.record.as_deref()).await?;
        let progress: Vec<(Vec<u8>, BTreeSet<Vec<u8>>)> = redactions.iter().map(confirmed).collect();
        let is_complete = redactions.iter().all(|redaction| redaction.nodes.iter().all(is_confirmed));
        if shown.as_ref() != Some(&progress) {
            show(&session, &redactions)?;
            shown = Some(progress);
        }
        if !args.watch || is_complete {
            break;
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
    Ok(Exit::Done)
}

fn is_confirmed(node: &ConfirmationState) -> bool {
    node.erased_ms > 0
}

fn confirmed(redaction: &RedactionState) -> (Vec<u8>, BTreeSet<Vec<u8>>) {
    let nodes = redaction.nodes.iter().filter(|node| is_confirmed(node)).map(|node| node.node_key.clone());
    (redaction.replaced_by.clone(), nodes.collect())
}

/// The organisation's open redactions, or the one that is named. Errors: none has this name.
async fn wanted(node: &NodeClient, org: &OrgId, named: Option<&str>) -> Result<Vec<RedactionState>, Failure> {
    let request = ReceiptsRequest { organisation: org.0.to_vec(), ..Default::default() };
    let mut redactions = node.receipts(request).await?;
    if let Some(name) = named {
        redactions.retain(|redaction| is_named(org, redaction, name));
        if redactions.is_empty() {
            return Err(Failure::new(Exit::Invalid, format!("no open redaction is called {name:?}"))
                .hint("see all of them: fingerpost receipts; they are open for 60 days"));
        }
    }
    Ok(redactions)
}

/// By record id, the first 8 or more characters of it, local id or kind:local-id, also when the content is gone.
fn is_named(org: &OrgId, redaction: &RedactionState, name: &str) -> bool {
    let (Some(record), Some(audience)) =
        (RecordId::from_slice(&redaction.record), Audience::from_number(redaction.audience))
    else {
        return false;
    };
    let kind = kind(redaction);
    let local_id = match name.split_once(':') {
        Some((of, rest)) if Kind::from_name(of) == Some(kind) => rest,
        _ => name,
    };
    let is_start = name.len() >= 8 && record.to_string().starts_with(&name.to_ascii_lowercase());
    is_start || RecordId::derive(org, kind, audience, local_id) == record
}

fn kind(redaction: &RedactionState) -> Kind {
    Kind(u16::try_from(redaction.kind).unwrap_or_default())
}

fn record(redaction: &RedactionState) -> String {
    RecordId::from_slice(&redaction.record).map(|record| record.to_string()).unwrap_or_default()
}

fn audience(redaction: &RedactionState) -> &'static str {
    Audience::from_number(redaction.audience).map_or("unknown", Audience::name)
}

fn show(session: &Session, redactions: &[RedactionState]) -> Result<(), Failure> {
    let objects: Vec<Value> = redactions.iter().map(object).collect();
    session.printer.object("receipts/1", json!({ "redactions": objects }))?;
    if redactions.is_empty() {
        session.printer.note("Nothing was redacted in the last 60 days.");
        return Ok(());
    }
    let now = now_ms();
    for redaction in redactions {
        print(session, redaction, now)?;
    }
    session.printer.warning(COPIES);
    Ok(())
}

fn object(redaction: &RedactionState) -> Value {
    let node = |node: &ConfirmationState| {
        json!({
            "node_key": hex(&node.node_key),
            "organisation": hex(&node.organisation),
            "name": node.name,
            "confirmed": is_confirmed(node),
            "erased": (node.erased_ms > 0).then(|| rfc3339(node.erased_ms)).flatten(),
            "last_heard": (node.last_heard_ms > 0).then(|| rfc3339(node.last_heard_ms)).flatten(),
            "this_node": node.is_this,
        })
    };
    json!({
        "record": record(redaction),
        "kind": kind(redaction).to_string(),
        "audience": audience(redaction),
        "replaced_by": hex(&redaction.replaced_by),
        "ordered": rfc3339(redaction.ordered_ms),
        "ends": rfc3339(redaction.ends_ms),
        "changed_since": redaction.changed_since,
        "confirmed": redaction.nodes.iter().filter(|node| is_confirmed(node)).count(),
        "of": redaction.nodes.len(),
        "nodes": redaction.nodes.iter().map(node).collect::<Vec<_>>(),
    })
}

fn print(session: &Session, redaction: &RedactionState, now: u64) -> Result<(), Failure> {
    let (done, open): (Vec<_>, Vec<_>) = redaction.nodes.iter().partition(|node| is_confirmed(node));
    let organisations: BTreeSet<&[u8]> = redaction.nodes.iter().map(|node| node.organisation.as_slice()).collect();
    let what = if redaction.withdrawn { "withdrawn" } else { "fields removed" };
    let (kind, record, of) = (kind(redaction), record(redaction), audience(redaction));
    session
        .printer
        .line(&format!("Redaction     {kind} {record}, {of}, {what}, {}", relative(redaction.ordered_ms, now)))?;
    session.printer.line(&format!(
        "Confirmed     {} of {} of {}",
        done.len(),
        count(redaction.nodes.len(), "node"),
        count(organisations.len(), "organisation")
    ))?;
    if redaction.changed_since {
        session.printer.warning("the record was published anew after the redaction: see that it does not say it again");
    }
    let is_last = |node: &ConfirmationState| match (node.is_this, node.last_heard_ms) {
        (true, _) => "this node".to_owned(),
        (_, 0) => "never".to_owned(),
        (_, heard) => relative(heard, now),
    };
    let mut rows = Vec::new();
    for node in open.into_iter().chain(done) {
        let state =
            if is_confirmed(node) { format!("erased {}", relative(node.erased_ms, now)) } else { "not yet".to_owned() };
        rows.push(vec![node.name.clone(), hex(&node.node_key).chars().take(16).collect(), state, is_last(node)]);
    }
    session.printer.table(&["organisation", "node", "confirmed", "last heard"], &rows)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
