//! `list`: records, whose they are, and until when they live.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::time::DAY_MS;
use fingerpost_proto::v1;
use serde_json::json;

use super::record::{Record, find_organisation};
use crate::args::ListArgs;
use crate::client::Admin;
use crate::failure::{Exit, Failure};
use crate::identity::load_card;
use crate::output::moment::{count, date, now_ms};
use crate::session::Session;

/// Rows of a table unless `--limit` says otherwise: more than that nobody reads on a terminal.
const TABLE_ROWS: u64 = 200;

pub(super) async fn run(session: &Session, args: ListArgs) -> Result<Exit, Failure> {
    let kind = args.kind.as_deref().map(kind).transpose()?;
    let node = session.node().await?;
    let organisation = match &args.org {
        Some(text) => Some(find_organisation(&node, text).await?),
        None if args.mine || args.due.is_some() => Some(load_card(&session.home)?.org),
        None => None,
    };
    let limit = args.limit.unwrap_or(if session.printer.is_json() { 0 } else { TABLE_ROWS });
    let request = v1::ListRequest {
        organisation: organisation.map(|org| org.0.to_vec()).unwrap_or_default(),
        kind: kind.map_or(0, |kind| kind.0.into()),
        include_withdrawn: args.withdrawn,
        // Others' lapsed records are nobody's business here; the publisher must see its own.
        include_lapsed: organisation.is_some(),
        // What is filtered here must all be fetched; one row more tells whether there are more.
        limit: if args.due.is_some() || limit == 0 { 0 } else { limit + 1 },
    };
    let mut records: Vec<Record> =
        node.entries(request).await?.into_iter().map(Record::of).collect::<Result<_, _>>()?;
    let now = now_ms();
    if let Some(days) = args.due {
        let before = now.saturating_add(u64::from(days) * DAY_MS);
        records.retain(|record| record.lease_ends_ms().is_some_and(|ends| ends <= before));
        records.sort_by_key(Record::lease_ends_ms);
    }
    let is_cut = limit > 0 && records.len() as u64 > limit;
    if is_cut {
        records.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let listed: Vec<_> = records.iter().map(|record| record.json(now)).collect();
    session.printer.object("list/1", json!({ "records": listed, "more": is_cut }))?;
    if records.is_empty() {
        session.printer.note("No record fits.");
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = records.iter().map(|record| row(record, now, organisation.is_some())).collect();
    let who = if organisation.is_some() { "local id" } else { "publisher" };
    session.printer.table(&["kind", who, "name", "confirmed", "until", "state"], &rows)?;
    match is_cut {
        true => session.printer.note(&format!("The first {limit}; all of them: --limit 0")),
        false => session.printer.note(&count(records.len(), "record")),
    }
    if args.due.is_some() {
        session.printer.next("what is still correct: fingerpost confirm ID…; what is not: fingerpost withdraw ID…");
    }
    Ok(Exit::Done)
}

fn row(record: &Record, now: u64, by_local_id: bool) -> Vec<String> {
    let header = record.version.header();
    // The name of a withdrawn record went with its body.
    let local_id = if record.local_id().is_empty() { header.record.to_string() } else { record.local_id().to_owned() };
    let publisher = if record.publisher_name.is_empty() { header.org.short() } else { record.publisher_name.clone() };
    let state = match header.audience {
        fingerpost_proto::kind::Audience::Members => format!("{}, members only", record.state_words(now)),
        fingerpost_proto::kind::Audience::Public => record.state_words(now),
    };
    vec![
        header.kind.to_string(),
        if by_local_id { local_id } else { publisher },
        record.name().to_owned(),
        date(record.confirmed_ms()),
        record.lease_ends_ms().map_or_else(|| "-".to_owned(), date),
        state,
    ]
}

fn kind(name: &str) -> Result<Kind, Failure> {
    Kind::from_name(name).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{name:?} is no kind of record"))
            .hint("the kinds are: organisation, service, location, event")
    })
}
