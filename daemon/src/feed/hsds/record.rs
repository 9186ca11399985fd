//! Services, organisations and locations as HSDS objects.
//!
//! In: an entry and its body. Out: an object valid against HSDS 3.0, 3.1 and the UK profile, whatever is missing.
//! Always: a withheld location shows no address, coordinates, identifier, link or transport, whatever the body holds.
//! Spec: `spec/10-feed.md`, section 4. Tested: `feed/tests/hsds.rs` against the published schemas.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use serde_json::Value;

use super::object::Object;
use super::parts;
use super::provenance::{PublisherName, modified_ms, origin, provenance, publisher_name};
use super::schedule::schedules;
use crate::feed::directory::Entry;
use crate::feed::instant;
use crate::feed::language::Texts;
use crate::feed::limits::LOCATIONS_PER_RECORD_MAX;
use crate::feed::reader::{Reader, body};
use crate::feed::reply::Refusal;

/// How much of a record is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Id, name, status and time of change.
    Minimal,
    /// Own fields and the organisation, no lists.
    Own,
    /// Everything, with the records it names.
    Full,
    /// Everything of its own, with the ids of the records it names: their changes have their own numbers.
    Alone,
}

/// A `service`.
pub(crate) fn service(
    reader: &Reader<'_>,
    entry: &Entry,
    service: &v1::Service,
    depth: Depth,
) -> Result<Value, Refusal> {
    let id = entry.record;
    let texts = Texts::choose(&service.language, &service.translations, wanted(reader, depth));
    let origin = origin!(service);
    let object = Object::with_id(id)
        .text("name", name_or_id(texts.get("name", &service.name), id).as_str())
        .text("status", status_name(service.status()))
        .text("last_modified", &instant::rfc3339(modified_ms(entry, service.modified_ms)));
    if depth == Depth::Minimal {
        reader.note_languages(&texts);
        return Ok(object.done());
    }
    let object = object
        .id("organization_id", organisation_id(entry, service))
        .text("alternate_name", texts.get("alternate_name", &service.alternate_name))
        .text("description", texts.get("description", &service.description))
        .url("url", &service.url)
        .email("email", &service.email)
        .text("alert", texts.get("alert", &service.alert))
        .text("application_process", texts.get("application_process", &service.application_process))
        .text("fees_description", texts.get("fees_description", &service.fees_description))
        .text("eligibility_description", texts.get("eligibility_description", &service.eligibility_description))
        .value("minimum_age", service.minimum_age)
        .value("maximum_age", service.maximum_age)
        .text("interpretation_services", texts.get("interpretation_services", &service.interpretation_services))
        .text("wait_time", texts.get("wait_time", &service.wait_time))
        .text("accreditations", texts.get("accreditations", &service.accreditations))
        .text("licenses", texts.get("licenses", &service.licenses))
        .text("assured_date", &instant::date(entry.hlc.ms()))
        .email("assurer_email", origin.assurer_email);
    let name = if depth == Depth::Alone { PublisherName::LeftOut } else { PublisherName::Shown };
    let extra = provenance(reader.ask, entry, &origin, name)
        .text("rich_description", texts.get("rich_description", &service.rich_description))
        .value("translations", (depth == Depth::Alone).then(|| translations(&service.translations)).flatten());
    let object = match depth {
        Depth::Own | Depth::Full => object.value("organization", Some(organisation_of(reader, entry, service, depth)?)),
        Depth::Minimal | Depth::Alone => object,
    };
    let object = if depth == Depth::Own { object } else { service_lists(reader, id, service, depth, object)? };
    reader.note_languages(&texts);
    Ok(object.value("x_fingerpost", Some(extra.done())).done())
}

fn service_lists(
    reader: &Reader<'_>,
    id: RecordId,
    service: &v1::Service,
    depth: Depth,
    object: Object,
) -> Result<Object, Refusal> {
    let mut areas = parts::areas(id, "service_areas", &service.service_areas);
    let mut at_locations = Vec::new();
    for link in service.locations.iter().take(LOCATIONS_PER_RECORD_MAX) {
        let Some(at_location) = service_at_location(reader, id, link, depth)? else { continue };
        areas.extend(at_location.areas);
        at_locations.push(at_location.value);
    }
    let mut attributes = parts::attributes(id, "service", "category", &service.terms);
    attributes.extend(parts::attributes(id, "service", "audience", &service.audiences));
    Ok(object
        .list("phones", parts::phones(id, "phones", &service.phones))
        .list("contacts", parts::contacts(id, &service.contacts))
        .list("languages", parts::languages(id, &service.languages))
        .list("schedules", schedules(id, "schedules", &service.schedules))
        .list("service_areas", areas)
        .list("service_at_locations", at_locations)
        .list("cost_options", parts::costs(id, id, &service.costs))
        .list("required_documents", parts::required_documents(id, &service.required_documents))
        .list("funding", parts::funding(id, &service.funding))
        .list("capacities", parts::capacities(id, &service.capacities))
        .list("additional_urls", parts::links(id, "additional_urls", &service.additional_links))
        .list("attributes", attributes))
}

/// A `service_at_location`, and the areas of a location that shows nothing else.
pub(crate) struct AtLocation {
    pub(crate) value: Value,
    areas: Vec<Value>,
}

/// Id of a service at a location.
pub(crate) fn at_location_id(service: RecordId, location: &RecordId) -> RecordId {
    service.part(&format!("service_at_locations/{location}"))
}

/// A service at one of its locations; `None` when the link names no record.
///
/// A location that is not visible here (not yet arrived, withdrawn, for members only) leaves only its id.
pub(crate) fn service_at_location(
    reader: &Reader<'_>,
    service: RecordId,
    link: &v1::ServiceLocation,
    depth: Depth,
) -> Result<Option<AtLocation>, Refusal> {
    let Some(location_id) = RecordId::from_slice(&link.location) else { return Ok(None) };
    let id = at_location_id(service, &location_id);
    let mut object = Object::with_id(id)
        .id("service_id", service)
        .id("location_id", location_id)
        .text("description", &link.description);
    let mut areas = Vec::new();
    if depth != Depth::Alone
        && let Some(entry) = reader.linked(&link.location, Kind::LOCATION)?
        && let Some(place) = body::<v1::Location>(&entry)
    {
        areas = parts::areas(id, "service_areas", &place.areas);
        object = object.value("location", Some(location(reader, &entry, &place, depth)));
    }
    if depth != Depth::Own {
        object = object
            .list("schedules", schedules(id, "schedules", &link.schedules))
            .list("phones", parts::phones(id, "phones", &link.phones))
            .list("service_areas", areas.clone());
    }
    Ok(Some(AtLocation { value: object.done(), areas }))
}

/// Id of the organisation that a service names; one made from the publisher when it names none.
pub(crate) fn organisation_id(entry: &Entry, service: &v1::Service) -> RecordId {
    RecordId::from_slice(&service.organisation).unwrap_or_else(|| {
        let mut namespace = [0; 16];
        namespace.copy_from_slice(&entry.org.0[..16]);
        RecordId(namespace).part("publisher")
    })
}

/// The nested organisation: the record it names, or one made from the publisher so that the service stays valid.
fn organisation_of(reader: &Reader<'_>, entry: &Entry, service: &v1::Service, depth: Depth) -> Result<Value, Refusal> {
    if let Some(linked) = reader.linked(&service.organisation, Kind::ORGANISATION)?
        && let Some(organisation_body) = body::<v1::Organisation>(&linked)
    {
        // Locations of the organisation would come in again from the services at them.
        let depth = if depth == Depth::Full { Depth::Alone } else { depth };
        return organisation_shown(reader, &linked, &organisation_body, depth, PublisherName::Shown);
    }
    let name = publisher_name(entry);
    let object = Object::with_id(organisation_id(entry, service))
        .text("name", &name)
        .text("description", &format!("Published by {name}. Its own entry is not in this directory."));
    Ok(object.done())
}

/// An `organization`.
pub(crate) fn organisation(
    reader: &Reader<'_>,
    entry: &Entry,
    organisation: &v1::Organisation,
    depth: Depth,
) -> Result<Value, Refusal> {
    let name = if depth == Depth::Alone { PublisherName::LeftOut } else { PublisherName::Shown };
    organisation_shown(reader, entry, organisation, depth, name)
}

fn organisation_shown(
    reader: &Reader<'_>,
    entry: &Entry,
    organisation: &v1::Organisation,
    depth: Depth,
    publisher: PublisherName,
) -> Result<Value, Refusal> {
    let id = entry.record;
    let nothing = [];
    let in_feed = publisher == PublisherName::LeftOut;
    let languages: &[String] = if in_feed { &nothing } else { &reader.ask.languages };
    let texts = Texts::choose(&organisation.language, &organisation.translations, languages);
    let origin = origin!(organisation);
    let name = name_or_id(texts.get("name", &organisation.name), id);
    let description = texts.get("description", &organisation.description);
    let object = Object::with_id(id)
        .text("name", &name)
        .text("description", if description.trim().is_empty() { &name } else { description });
    if depth == Depth::Minimal {
        reader.note_languages(&texts);
        let modified = instant::rfc3339(modified_ms(entry, organisation.modified_ms));
        return Ok(object
            .value("x_fingerpost", Some(Object::default().text("last_modified", &modified).done()))
            .done());
    }
    let extra = provenance(reader.ask, entry, &origin, publisher)
        .text("last_modified", &instant::rfc3339(modified_ms(entry, organisation.modified_ms)))
        .value("translations", in_feed.then(|| translations(&organisation.translations)).flatten());
    let object = object
        .text("alternate_name", texts.get("alternate_name", &organisation.alternate_name))
        .url("website", &organisation.website)
        .email("email", &organisation.email)
        .url("logo", &organisation.logo_url)
        .text("uri", &crate::feed::safe::identifier(&organisation.uri).unwrap_or_default())
        .text("legal_status", &organisation.legal_status)
        .value("year_incorporated", (organisation.year_founded > 0).then_some(organisation.year_founded))
        .linked_id("parent_organization_id", &organisation.parent)
        .value("x_fingerpost", Some(extra.done()));
    let object = if depth == Depth::Own {
        object
    } else {
        let mut locations = Vec::new();
        if depth == Depth::Full {
            for place in organisation.locations.iter().take(LOCATIONS_PER_RECORD_MAX) {
                if let Some(entry) = reader.linked(place, Kind::LOCATION)?
                    && let Some(place) = body::<v1::Location>(&entry)
                {
                    locations.push(location(reader, &entry, &place, depth));
                }
            }
        }
        object
            .list("phones", parts::phones(id, "phones", &organisation.phones))
            .list("contacts", parts::contacts(id, &organisation.contacts))
            .list("organization_identifiers", parts::identifiers(id, &organisation.identifiers))
            .list("additional_websites", parts::links(id, "additional_websites", &organisation.additional_links))
            .list("attributes", parts::attributes(id, "organization", "category", &organisation.terms))
            .list("locations", locations)
    };
    reader.note_languages(&texts);
    Ok(object.done())
}

/// A `location`.
pub(crate) fn location(reader: &Reader<'_>, entry: &Entry, location: &v1::Location, depth: Depth) -> Value {
    let id = entry.record;
    let texts = Texts::choose(&location.language, &location.translations, wanted(reader, depth));
    let withheld = location.r#type() == v1::LocationType::Withheld;
    let mut origin = origin!(location);
    if withheld {
        // The page about the place may name it.
        origin.source_url = "";
    }
    let publisher = if depth == Depth::Alone { PublisherName::LeftOut } else { PublisherName::Shown };
    let mut extra = provenance(reader.ask, entry, &origin, publisher)
        .text("last_modified", &instant::rfc3339(modified_ms(entry, location.modified_ms)))
        .value("withheld", withheld.then_some(true))
        .value("translations", (depth == Depth::Alone).then(|| translations(&location.translations)).flatten());
    let mut object = Object::with_id(id)
        .text("location_type", location_type_name(location.r#type()))
        .text("name", texts.get("name", &location.name))
        .text("alternate_name", texts.get("alternate_name", &location.alternate_name))
        .text("description", texts.get("description", &location.description));
    if !withheld {
        let degrees = |e7: Option<i32>| e7.map(|e7| f64::from(e7) / 1e7);
        let both = location.latitude_e7.is_some() && location.longitude_e7.is_some();
        object = object
            .value("latitude", degrees(location.latitude_e7).filter(|_| both))
            .value("longitude", degrees(location.longitude_e7).filter(|_| both))
            .text("external_identifier", &location.external_identifier)
            .text("external_identifier_type", &location.external_identifier_type)
            .text("transportation", texts.get("transportation", &location.transportation))
            .url("url", &location.url);
        extra = extra.url("map", &location.map_url);
        if depth != Depth::Own {
            object = object.list("addresses", parts::addresses(id, &location.addresses));
            extra = extra.list("addresses_incomplete", parts::addresses_incomplete(&location.addresses));
        }
    }
    if depth != Depth::Own {
        // A withheld place may say how its door opens, not where more about it can be read.
        let accessibility: Vec<v1::Accessibility> = location
            .accessibility
            .iter()
            .map(|part| v1::Accessibility {
                url: if withheld { String::new() } else { part.url.clone() },
                ..part.clone()
            })
            .collect();
        object = object
            .list("accessibility", parts::accessibility(id, &accessibility))
            .list("phones", parts::phones(id, "phones", &location.phones))
            .list("schedules", schedules(id, "schedules", &location.schedules));
        extra = extra.list("areas", parts::areas(id, "areas", &location.areas));
    }
    reader.note_languages(&texts);
    object.value("x_fingerpost", Some(extra.done())).done()
}

/// Languages in which texts are wanted. Change lists carry the publisher's own texts and all translations instead.
fn wanted<'r>(reader: &'r Reader<'_>, depth: Depth) -> &'r [String] {
    if depth == Depth::Alone { &[] } else { &reader.ask.languages }
}

/// Every translation as `{language: {field: text}}`; `None` when there are none.
pub(crate) fn translations(translations: &[v1::Translation]) -> Option<Value> {
    let each = translations.iter().fold(Object::default(), |object, translation| {
        let texts = translation.texts.iter().fold(Object::default(), |texts, text| texts.text(&text.field, &text.text));
        object.value(&translation.language, (!texts.is_empty()).then(|| texts.done()))
    });
    (!each.is_empty()).then(|| each.done())
}

fn name_or_id(name: &str, id: RecordId) -> String {
    if name.trim().is_empty() { id.to_string() } else { name.to_owned() }
}

/// `status` of HSDS.
pub(crate) fn status_name(status: v1::ServiceStatus) -> &'static str {
    match status {
        v1::ServiceStatus::Unspecified | v1::ServiceStatus::Active => "active",
        v1::ServiceStatus::Inactive => "inactive",
        v1::ServiceStatus::Defunct => "defunct",
        v1::ServiceStatus::TemporarilyClosed => "temporarily closed",
    }
}

/// `location_type` of HSDS, which has no word for a place that must not be known.
fn location_type_name(kind: v1::LocationType) -> &'static str {
    match kind {
        v1::LocationType::Unspecified | v1::LocationType::Physical => "physical",
        v1::LocationType::Postal => "postal",
        v1::LocationType::Virtual | v1::LocationType::Withheld => "virtual",
    }
}
