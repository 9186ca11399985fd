//! OpenActive RPDE 1.0: ordered lists of changes, removals included, so that a harvester stays exact.
//!
//! In: `afterChangeNumber`. Out: at most [`RPDE_ITEMS_PER_PAGE`] items and the URL of what follows them.
//! Always: an item carries nothing of another record and no name from a card, so whatever changes inside `data` has a
//! new change number. Spec: `spec/10-feed.md`, section 7. Tested: `feed/tests/rpde.rs`.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use super::Feed;
use super::directory::{Change, Entry};
use super::hsds::record::{self, Depth};
use super::limits::{CHANGE_NUMBER_MAX, CHUNK_RECORDS, RPDE_ITEMS_PER_PAGE, RPDE_PAGE_BODY_BYTES_MAX};
use super::reader::{Reader, body};
use super::reply::{Refusal, Reply};
use super::structured;

/// Pages before the last never change except by losing items that changed again.
const CACHE_PAGE: &str = "public, max-age=3600";
/// The last page grows with the next change.
const CACHE_LAST_PAGE: &str = "public, max-age=8";

/// `GET /rpde/services`.
pub(crate) fn services(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    list(reader, Kind::SERVICE, "/rpde/services", "service")
}

/// `GET /rpde/events`.
pub(crate) fn events(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    list(reader, Kind::EVENT, "/rpde/events", "event")
}

/// `GET /rpde/organizations`.
pub(crate) fn organisations(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    list(reader, Kind::ORGANISATION, "/rpde/organizations", "organization")
}

/// `GET /rpde/locations`.
pub(crate) fn locations(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    list(reader, Kind::LOCATION, "/rpde/locations", "location")
}

fn list(reader: &Reader<'_>, kind: Kind, path: &str, kind_name: &str) -> Result<Reply, Refusal> {
    let wanted = "a change number from 0 to 9007199254740991, as given in next";
    let after = reader.ask.number("afterChangeNumber", 0, CHANGE_NUMBER_MAX, wanted)?.unwrap_or(0);
    let changes = changes(reader, kind, after)?;
    let last = changes.last().map_or(after, Change::arrival);
    let items: Result<Vec<Value>, Refusal> = changes.iter().map(|change| item(reader, change, kind_name)).collect();
    // The number 0 is never written: "from the beginning" is the URL without a number.
    let next =
        if last == 0 { reader.ask.url(path) } else { reader.ask.url(&format!("{path}?afterChangeNumber={last}")) };
    let mut reply = Reply::json(&json!({
        "next": next,
        "items": items?,
        "license": reader.directory().licence_url(),
    }));
    reply.cache_control = if changes.is_empty() { CACHE_LAST_PAGE } else { CACHE_PAGE };
    reply.vary = "";
    Ok(reply)
}

/// The changes of one page: read in pieces, so that a page of the largest bodies stays small.
fn changes(reader: &Reader<'_>, kind: Kind, after: u64) -> Result<Vec<Change>, Refusal> {
    let mut page: Vec<Change> = Vec::new();
    let mut body_bytes = 0;
    while page.len() < RPDE_ITEMS_PER_PAGE {
        let after = page.last().map_or(after, Change::arrival);
        let piece = reader.changes(kind, after, CHUNK_RECORDS.min(RPDE_ITEMS_PER_PAGE - page.len()))?;
        if piece.is_empty() {
            break;
        }
        for change in piece {
            if let Change::Updated(entry) = &change {
                body_bytes += entry.body.len();
            }
            if body_bytes > RPDE_PAGE_BODY_BYTES_MAX && !page.is_empty() {
                return Ok(page);
            }
            page.push(change);
        }
    }
    Ok(page)
}

fn item(reader: &Reader<'_>, change: &Change, kind_name: &str) -> Result<Value, Refusal> {
    let (record, arrival) = match change {
        Change::Updated(entry) => (entry.record, entry.arrival),
        Change::Removed(removed) => (removed.record, removed.arrival),
    };
    let mut item = json!({ "id": record.to_string(), "kind": kind_name, "modified": arrival, "state": "deleted" });
    if let Change::Updated(entry) = change
        && let Some(data) = data(reader, entry)?
    {
        item["state"] = Value::from("updated");
        item["data"] = data;
    }
    Ok(item)
}

/// The record by itself; `None` when its body cannot be read, which is the same as not having it.
fn data(reader: &Reader<'_>, entry: &Entry) -> Result<Option<Value>, Refusal> {
    Ok(match entry.kind {
        Kind::SERVICE => match body::<v1::Service>(entry) {
            Some(service) => Some(record::service(reader, entry, &service, Depth::Alone)?),
            None => None,
        },
        Kind::ORGANISATION => match body::<v1::Organisation>(entry) {
            Some(organisation) => Some(record::organisation(reader, entry, &organisation, Depth::Alone)?),
            None => None,
        },
        Kind::LOCATION => {
            body::<v1::Location>(entry).map(|place| record::location(reader, entry, &place, Depth::Alone))
        }
        Kind::EVENT => body::<v1::Event>(entry).map(|event| structured::event_alone(reader, entry, &event)),
        _ => None,
    })
}
