//! `show ID`: everything about one record.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use super::record::{Record, find_organisation};
use crate::args::ShowArgs;
use crate::cards::Cards;
use crate::client::{Admin, NodeClient};
use crate::failure::{Exit, Failure};
use crate::identity::agreed_network;
use crate::output::escape::{shown, shown_block};
use crate::output::fields;
use crate::output::moment::{count, date_time, now_ms};
use crate::publish::Holdings;
use crate::session::Session;

pub(super) async fn run(session: &Session, args: ShowArgs) -> Result<Exit, Failure> {
    let node = session.node().await?;
    let records = find(session, &node, &args.id, args.org.as_deref()).await?;
    let now = now_ms();
    let objects: Vec<Value> = records.iter().map(|record| object(record, now)).collect();
    session.printer.object("show/1", json!({ "versions": objects }))?;
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            session.printer.line("")?;
        }
        print(session, record, now)?;
    }
    Ok(Exit::Done)
}

/// The record that a text names, of `org` or of this home's organisation: a version for each place that it has. Errors: invalid,
/// when the node has none.
pub(super) async fn find(
    session: &Session,
    node: &NodeClient,
    id: &str,
    org: Option<&str>,
) -> Result<Vec<Record>, Failure> {
    let request = request(session, node, id, org).await?;
    let records: Vec<Record> = node.show(request).await?.into_iter().map(Record::of).collect::<Result<_, _>>()?;
    if records.is_empty() {
        return Err(Failure::new(Exit::Invalid, format!("the node has no record {id:?}"))
            .hint("see what there is: fingerpost list; it may not have arrived yet: fingerpost status"));
    }
    Ok(records)
}

async fn request(
    session: &Session,
    node: &NodeClient,
    id: &str,
    org: Option<&str>,
) -> Result<v1::ShowRequest, Failure> {
    if let Ok(record) = id.parse::<RecordId>() {
        return Ok(v1::ShowRequest { record_id: record.0.to_vec(), ..Default::default() });
    }
    if let Some(org) = org {
        let organisation = find_organisation(node, org).await?.0.to_vec();
        return Ok(v1::ShowRequest { organisation, local_id: id.to_owned(), ..Default::default() });
    }
    let mut cards = Cards::load(&session.home)?;
    cards.refresh(&session.home, node).await?;
    let card = cards.effective();
    let network = agreed_network(&session.home, &node.status().await?.network)?.network;
    let all = v1::ListRequest {
        organisation: card.org.0.to_vec(),
        include_withdrawn: true,
        include_lapsed: true,
        ..Default::default()
    };
    let holdings = Holdings::of(node.entries(all).await?, card, &network);
    let record = holdings.select(&[id.to_owned()])?;
    let record_id = record.first().map(|record| record.0.to_vec()).unwrap_or_default();
    Ok(v1::ShowRequest { record_id, ..Default::default() })
}

fn object(record: &Record, now: u64) -> Value {
    let mut object = record.json(now);
    let header = record.version.header();
    if let Value::Object(members) = &mut object {
        let body =
            (!record.version.is_withdrawal()).then(|| fields::json(record.kind(), record.version.body())).flatten();
        members.insert("device".to_owned(), fields_hex(&header.device).into());
        members.insert("network".to_owned(), header.network.to_string().into());
        members.insert("arrival".to_owned(), record.arrival.into());
        members.insert("bytes".to_owned(), record.version.envelope().len().into());
        members.insert("body".to_owned(), body.unwrap_or(Value::Null));
    }
    object
}

fn fields_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn print(session: &Session, record: &Record, now: u64) -> Result<(), Failure> {
    let header = record.version.header();
    let body = fields::json(record.kind(), record.version.body());
    let role = body.as_ref().and_then(|body| body["role"].as_str()).unwrap_or("role not stated").to_owned();
    let publisher = if record.publisher_name.is_empty() { "unknown" } else { &record.publisher_name };
    let mut lines = vec![
        format!("Record        {}", header.record),
        format!("Kind          {}, for {}", header.kind, header.audience),
        format!("Publisher     {} ({}), {role}", shown(publisher), header.org.short()),
        format!("State         {}", record.state_words(now)),
        format!("Confirmed     {}", date_time(record.confirmed_ms())),
    ];
    if let Some(ends) = record.lease_ends_ms() {
        lines.push(format!("Lease ends    {}", date_time(ends)));
    }
    lines.push(format!("Version       {}, {} bytes", record.version.vid(), record.version.envelope().len()));
    lines.push(format!(
        "Held by       {} besides this node, as far as it knows",
        count(record.held_by as usize, "peer")
    ));
    lines.iter().try_for_each(|line| session.printer.line(line))?;
    if record.version.is_withdrawal() {
        return Ok(());
    }
    session.printer.line("")?;
    for (path, text) in fields::lines(record.kind(), record.version.body()) {
        // Texts keep their line breaks; the indent keeps them apart from lines of ours.
        let text = shown_block(&text).replace('\n', "\n    ");
        let text = if path == "modified_ms" { date_time(text.parse().unwrap_or(0)) } else { text };
        session.printer.line(&format!("  {path}: {text}"))?;
    }
    Ok(())
}
