//! The Open Referral (HSDS 3.x) endpoints: lists with filters, single objects, taxonomies.
//!
//! In: a request. Out: JSON valid against HSDS 3.0, 3.1 and the UK profile 3.0.
//! Spec: `spec/10-feed.md`, sections 3 and 4. Tested: `feed/tests/hsds.rs`.

use std::collections::BTreeMap;

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use serde_json::{Value, json};

use super::Feed;
use super::directory::Entry;
use super::index::{self, Filter};
use super::reader::{Reader, body};
use super::reply::{Refusal, Reply};
use super::search;
use record::Depth;

pub(crate) mod object;
pub(crate) mod parts;
pub(crate) mod provenance;
pub(crate) mod record;
pub(crate) mod schedule;

/// Version that the UK validator looks for.
const VERSION: &str = "HSDS-UK-3.0";
const PROFILE_URL: &str = "https://docs.openreferraluk.org/en/latest/";
const OPENAPI_URL: &str = "https://raw.githubusercontent.com/OpenReferralUK/uk-profile/main/schema/openapi.json";

/// Filters of HSDS and the UK profile that are not applied.
const UNSUPPORTED: &[&str] =
    &["minimum_age", "maximum_age", "start_time", "end_time", "day", "postcode", "proximity", "format", "full_service"];

/// `GET /` for programs.
pub(crate) fn root(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let directory = reader.directory();
    let network = reader.network_name();
    let settings = &feed.settings;
    let publisher = object::Object::default()
        .text("name", if settings.publisher_name.is_empty() { &network } else { &settings.publisher_name })
        .text("identifier", &settings.publisher_identifier)
        .email("email", &settings.publisher_email)
        .url("website", &settings.publisher_website);
    let url = |path: &str| reader.ask.url(path);
    let mut reply = Reply::json(&json!({
        "version": VERSION,
        "profile": PROFILE_URL,
        "openapi_url": OPENAPI_URL,
        "description": format!("Services and events that the partners of {network} have signed."),
        "publisher": publisher.done(),
        "x_fingerpost": {
            "network": network,
            "license": directory.licence_url(),
            "services": directory.count(Kind::SERVICE),
            "organizations": directory.count(Kind::ORGANISATION),
            "locations": directory.count(Kind::LOCATION),
            "events": directory.count(Kind::EVENT),
            "directory": url("/directory"),
            "calendar": url("/events.ics"),
            "rpde": {
                "services": url("/rpde/services"),
                "events": url("/rpde/events"),
                "organizations": url("/rpde/organizations"),
                "locations": url("/rpde/locations"),
            },
        },
    }));
    reply.vary = "Accept, Accept-Language";
    Ok(reply)
}

/// One page of a list.
struct Page {
    number: usize,
    per_page: usize,
}

impl Page {
    fn read(reader: &Reader<'_>) -> Result<Page, Refusal> {
        reader.ask.refuse_unsupported(UNSUPPORTED)?;
        Ok(Page { number: reader.ask.page_number()?, per_page: reader.ask.per_page()? })
    }

    fn offset(&self) -> usize {
        (self.number - 1).saturating_mul(self.per_page)
    }

    fn of<T>(&self, all: Vec<T>) -> (usize, Vec<T>) {
        (all.len(), all.into_iter().skip(self.offset()).take(self.per_page).collect())
    }

    fn reply(&self, reader: &Reader<'_>, total: usize, contents: Vec<Value>, cut_short: bool) -> Reply {
        let pages = total.div_ceil(self.per_page);
        let mut envelope = json!({
            "total_items": total,
            "total_pages": pages,
            "page_number": self.number,
            "size": contents.len(),
            "first_page": self.number == 1,
            "last_page": self.number >= pages,
            "empty": contents.is_empty(),
            "contents": contents,
        });
        if cut_short {
            envelope["x_fingerpost"] = json!({ "warning": search::cut_short_warning() });
        }
        let mut reply = Reply::json(&envelope);
        reply.content_language = reader.content_language();
        reply
    }
}

fn depth(reader: &Reader<'_>) -> Result<Depth, Refusal> {
    let full = reader.ask.flag("full")?;
    let minimal = reader.ask.flag("minimal")?;
    Ok(match (full, minimal) {
        (_, true) => Depth::Minimal,
        (true, false) => Depth::Full,
        (false, false) => Depth::Own,
    })
}

fn filter(reader: &Reader<'_>) -> Result<Filter, Refusal> {
    Ok(Filter {
        organisation: reader.ask.record("organization_id")?,
        term: reader.ask.record("taxonomy_term_id")?,
        taxonomy: reader.ask.record("taxonomy_id")?,
        modified_after_ms: reader.ask.instant("modified_after")?,
    })
}

/// Live entries of these ids; one that has gone meanwhile is passed over.
fn entries_of(reader: &Reader<'_>, kind: Kind, ids: &[RecordId]) -> Result<Vec<Entry>, Refusal> {
    let mut entries = Vec::with_capacity(ids.len());
    for id in ids {
        match reader.record(id, kind, "record") {
            Ok(entry) => entries.push(entry),
            Err(Refusal::Gone { .. } | Refusal::NotFound { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(entries)
}

/// `GET /services`.
pub(crate) fn services(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let (page, depth, filter) = (Page::read(reader)?, depth(reader)?, filter(reader)?);
    let words = reader.ask.words("search")?;
    let directory = reader.directory();
    let mut cut_short = false;
    let (total, entries) = if !words.is_empty() {
        let found = search::scan(reader, Kind::SERVICE, |entry| {
            body::<v1::Service>(entry)
                .is_some_and(|service| index::passes(entry, &service, &filter) && search::service_has(&service, &words))
        })?;
        cut_short = found.cut_short;
        let (total, ids) = page.of(found.ids);
        (total, entries_of(reader, Kind::SERVICE, &ids)?)
    } else if filter == Filter::default() {
        (directory.count(Kind::SERVICE), reader.page(Kind::SERVICE, page.offset(), page.per_page)?)
    } else {
        let (total, ids) = feed.index.services(directory, &filter, page.offset(), page.per_page)?;
        (total, entries_of(reader, Kind::SERVICE, &ids)?)
    };
    let mut contents = Vec::with_capacity(entries.len());
    for entry in &entries {
        if let Some(service) = body::<v1::Service>(entry) {
            contents.push(record::service(reader, entry, &service, depth)?);
        }
    }
    Ok(page.reply(reader, total, contents, cut_short))
}

/// `GET /services/{id}`.
pub(crate) fn service(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let entry = reader.record(&reader.ask.record_in_path()?, Kind::SERVICE, "service")?;
    let service = readable::<v1::Service>(&entry, "service")?;
    single(reader, &record::service(reader, &entry, &service, Depth::Full)?)
}

/// `GET /organizations`.
pub(crate) fn organisations(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let (page, depth) = (Page::read(reader)?, depth(reader)?);
    reader.ask.refuse_unsupported(&["taxonomy_term_id", "taxonomy_id", "organization_id"])?;
    let words = reader.ask.words("search")?;
    let modified_after = reader.ask.instant("modified_after")?;
    let mut cut_short = false;
    let (total, entries) = if words.is_empty() && modified_after.is_none() {
        let total = reader.directory().count(Kind::ORGANISATION);
        (total, reader.page(Kind::ORGANISATION, page.offset(), page.per_page)?)
    } else {
        let found = search::scan(reader, Kind::ORGANISATION, |entry| {
            body::<v1::Organisation>(entry).is_some_and(|organisation| {
                let modified_ms = provenance::modified_ms(entry, organisation.modified_ms);
                modified_after.is_none_or(|after| modified_ms >= after)
                    && search::organisation_has(&organisation, &words)
            })
        })?;
        cut_short = found.cut_short;
        let (total, ids) = page.of(found.ids);
        (total, entries_of(reader, Kind::ORGANISATION, &ids)?)
    };
    let mut contents = Vec::with_capacity(entries.len());
    for entry in &entries {
        if let Some(organisation) = body::<v1::Organisation>(entry) {
            contents.push(record::organisation(reader, entry, &organisation, depth)?);
        }
    }
    Ok(page.reply(reader, total, contents, cut_short))
}

/// `GET /organizations/{id}`.
pub(crate) fn organisation(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let entry = reader.record(&reader.ask.record_in_path()?, Kind::ORGANISATION, "organization")?;
    let organisation = readable::<v1::Organisation>(&entry, "organization")?;
    single(reader, &record::organisation(reader, &entry, &organisation, Depth::Full)?)
}

/// `GET /service_at_locations`.
pub(crate) fn services_at_locations(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let (page, depth, filter) = (Page::read(reader)?, depth(reader)?, filter(reader)?);
    reader.ask.refuse_unsupported(&["search"])?;
    let (total, pairs) = feed.index.at_locations(reader.directory(), &filter, page.offset(), page.per_page)?;
    let mut contents = Vec::with_capacity(pairs.len());
    for (id, service) in pairs {
        if let Some(object) = at_location(reader, &id, &service, depth)? {
            contents.push(object);
        }
    }
    Ok(page.reply(reader, total, contents, false))
}

/// `GET /service_at_locations/{id}`.
pub(crate) fn service_at_location(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let missing = || Refusal::NotFound { what: "service at a location".to_owned() };
    let id = reader.ask.record_in_path()?;
    let service = feed.index.service_at(reader.directory(), &id)?.ok_or_else(missing)?;
    let object = at_location(reader, &id, &service, Depth::Full)?.ok_or_else(missing)?;
    single(reader, &object)
}

fn at_location(reader: &Reader<'_>, id: &RecordId, service: &RecordId, depth: Depth) -> Result<Option<Value>, Refusal> {
    let Some(entry) = reader.linked(service.as_ref(), Kind::SERVICE)? else { return Ok(None) };
    let Some(service) = body::<v1::Service>(&entry) else { return Ok(None) };
    for link in &service.locations {
        let Some(location) = RecordId::from_slice(&link.location) else { continue };
        if record::at_location_id(entry.record, &location) == *id {
            return Ok(record::service_at_location(reader, entry.record, link, depth)?.map(|found| found.value));
        }
    }
    Ok(None)
}

/// `GET /taxonomies`.
pub(crate) fn taxonomies(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let page = Page::read(reader)?;
    let (total, schemes) = page.of(schemes(feed, reader)?.into_values().collect());
    Ok(page.reply(reader, total, schemes.iter().map(|scheme| parts::taxonomy(scheme)).collect(), false))
}

/// `GET /taxonomies/{id}`.
pub(crate) fn taxonomy(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let id = reader.ask.record_in_path()?;
    match schemes(feed, reader)?.get(&id) {
        Some(scheme) => single(reader, &parts::taxonomy(scheme)),
        None => Err(Refusal::NotFound { what: "taxonomy".to_owned() }),
    }
}

fn schemes(feed: &Feed, reader: &Reader<'_>) -> Result<BTreeMap<RecordId, String>, Refusal> {
    let terms = feed.index.terms(reader.directory(), None)?;
    Ok(terms.iter().map(parts::scheme).map(|scheme| (parts::taxonomy_id(scheme), scheme.to_owned())).collect())
}

/// `GET /taxonomy_terms`.
pub(crate) fn taxonomy_terms(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let page = Page::read(reader)?;
    let words = reader.ask.words("search")?;
    let mut terms = feed.index.terms(reader.directory(), reader.ask.record("taxonomy_id")?)?;
    terms.retain(|term| search::term_has(term, &words));
    let (total, terms) = page.of(terms);
    Ok(page.reply(reader, total, terms.iter().map(parts::taxonomy_term).collect(), false))
}

/// `GET /taxonomy_terms/{id}`.
pub(crate) fn taxonomy_term(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let id = reader.ask.record_in_path()?;
    let terms = feed.index.terms(reader.directory(), None)?;
    match terms.iter().find(|term| parts::term_id(term) == id) {
        Some(term) => single(reader, &parts::taxonomy_term(term)),
        None => Err(Refusal::NotFound { what: "taxonomy term".to_owned() }),
    }
}

fn readable<M: prost::Message + Default>(entry: &Entry, what: &str) -> Result<M, Refusal> {
    body(entry).ok_or_else(|| Refusal::NotFound { what: format!("readable {what}") })
}

fn single(reader: &Reader<'_>, value: &Value) -> Result<Reply, Refusal> {
    let mut reply = Reply::json(value);
    reply.content_language = reader.content_language();
    Ok(reply)
}
