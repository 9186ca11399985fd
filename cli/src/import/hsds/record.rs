//! Organisations, services and locations of HSDS become bodies.

use fingerpost_proto::kind::{Audience, Kind};
use fingerpost_proto::v1::{self, LocationType, ServiceStatus};
use serde_json::Value;

use super::super::problem::{Findings, Severity};
use super::super::reference::{Pending, Reference, Slot, Target};
use super::super::{Draft, DraftBody, Place, Reading, cell, column, country, row};
use super::field::{Item, Mapper, Unknown};
use super::{Class, Record, part};

/// Maps one record into `reading.pending`, or rejects it.
pub(super) fn read(record: &Record, place: Place, path: String, reading: &mut Reading<'_>, unknown: &mut Unknown) {
    let mut mapper = Mapper { place, path, reading, unknown, has_error: false };
    let item = Item::new(record.class.name(), &record.object);
    let mut references = Vec::new();
    let local_id = local_id(&mut mapper, &item, &record.id);
    let (kind, mut body) = match record.class {
        Class::Organization => {
            (Kind::ORGANISATION, DraftBody::Organisation(Box::new(organisation(&mut mapper, &item, &mut references))))
        }
        Class::Location => (Kind::LOCATION, DraftBody::Location(Box::new(location(&mut mapper, &item)))),
        // Links and taxonomies were taken apart before.
        Class::Service | Class::ServiceAtLocation | Class::Taxonomy => {
            (Kind::SERVICE, DraftBody::Service(Box::new(service(&mut mapper, &item, &mut references))))
        }
    };
    mapper.finish(&item);
    let language = mapper.context().default_language.clone();
    match &mut body {
        DraftBody::Organisation(body) => (body.local_id, body.language) = (local_id.clone(), language),
        DraftBody::Service(body) => (body.local_id, body.language) = (local_id.clone(), language),
        DraftBody::Location(body) => (body.local_id, body.language) = (local_id.clone(), language),
        DraftBody::Event(body) => (body.local_id, body.language) = (local_id.clone(), language),
    }
    if mapper.has_error {
        mapper.reading.rejected_ids.insert((kind, local_id));
        mapper.reading.rejected.insert(mapper.place);
        return;
    }
    let lease_days = mapper.context().default_lease_days;
    let place = mapper.place;
    let draft = Draft { kind, audience: Audience::Public, local_id, lease_days, body, place };
    mapper.reading.pending.push(Pending { draft, has_derived_id: false, references });
}

fn local_id(mapper: &mut Mapper<'_, '_>, item: &Item<'_>, id: &str) -> String {
    let mut findings = Findings::default();
    match row::local_id(id, &mut findings) {
        Some(id) => id,
        None => {
            let reason = findings.0.pop().map(|finding| finding.reason).unwrap_or_default();
            mapper.say(item, "id", id, reason, "give it a shorter id, best a UUID", Severity::Error);
            id.to_owned()
        }
    }
}

fn name(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> String {
    let name = mapper.line(item, "name");
    if name.is_empty() {
        mapper.say(item, "name", "", "it has no name".into(), "give it a name at the source", Severity::Error);
    }
    name
}

fn refer(references: &mut Vec<Reference>, slot: Slot, kind: Kind, id: Option<String>, column: &str) {
    if let Some(id) = id {
        let column = Some(column.to_owned());
        references.push(Reference { slot, kind, target: Target::Own(id), column, cell: None });
    }
}

fn organisation(mapper: &mut Mapper<'_, '_>, item: &Item<'_>, references: &mut Vec<Reference>) -> v1::Organisation {
    let column = mapper.path.clone();
    refer(references, Slot::Parent, Kind::ORGANISATION, item.plain("parent_organization_id"), &column);
    if let Some(Value::Array(ids)) = item.take("locations") {
        for id in ids.iter().filter_map(Value::as_str).take(fingerpost_proto::limits::LIST_ENTRIES_MAX) {
            refer(references, Slot::Location, Kind::LOCATION, Some(id.to_owned()), &column);
        }
    }
    v1::Organisation {
        name: name(mapper, item),
        alternate_name: mapper.line(item, "alternate_name"),
        description: mapper.text(item, "description"),
        website: if item.plain("website").is_some() { mapper.url(item, "website") } else { mapper.url(item, "url") },
        email: mapper.email(item, "email"),
        phones: part::phones(mapper, item),
        contacts: part::contacts(mapper, item),
        identifiers: part::identifiers(mapper, item),
        logo_url: mapper.url(item, "logo"),
        uri: mapper.url(item, "uri"),
        additional_links: part::links(mapper, item, "additional_websites"),
        legal_status: mapper.line(item, "legal_status"),
        year_founded: mapper
            .check(item, "year_incorporated", |text, findings| cell::number(text, 800, 2_200, findings))
            .unwrap_or_default(),
        terms: part::terms(mapper, item),
        ..Default::default()
    }
}

fn service(mapper: &mut Mapper<'_, '_>, item: &Item<'_>, references: &mut Vec<Reference>) -> v1::Service {
    let column = mapper.path.clone();
    match item.plain("organization_id") {
        Some(id) => refer(references, Slot::Organisation, Kind::ORGANISATION, Some(id), &column),
        None => references.push(Reference {
            slot: Slot::Organisation,
            kind: Kind::ORGANISATION,
            target: Target::DefaultOrganisation,
            column: Some(column.clone()),
            cell: None,
        }),
    }
    let locations = mapper.each(item, "service_at_locations", "service_at_location", |mapper, link| {
        let Some(id) = link.plain("location_id") else {
            mapper.warn(link, "location", "", "it names no location");
            return None;
        };
        let body = v1::ServiceLocation {
            location: Vec::new(),
            description: mapper.text(link, "description"),
            schedules: part::schedules(mapper, link),
            phones: part::phones(mapper, link),
        };
        Some((id, body))
    });
    for (index, (id, _)) in locations.iter().enumerate() {
        refer(references, Slot::ServiceLocation(index), Kind::LOCATION, Some(id.clone()), &column);
    }
    let (languages, others) = part::languages(mapper, item);
    let mut interpretation_services = mapper.text(item, "interpretation_services");
    for other in others {
        let between = if interpretation_services.is_empty() { "" } else { "; " };
        interpretation_services = format!("{interpretation_services}{between}{other}");
    }
    let age = |text: &str, findings: &mut Findings| cell::number(text, 0, 130, findings);
    let fees = mapper.text(item, "fees_description");
    v1::Service {
        name: name(mapper, item),
        alternate_name: mapper.line(item, "alternate_name"),
        description: mapper.text(item, "description"),
        status: status(mapper, item).into(),
        url: mapper.url(item, "url"),
        email: mapper.email(item, "email"),
        alert: mapper.text(item, "alert"),
        application_process: mapper.text(item, "application_process"),
        fees_description: if fees.is_empty() { mapper.text(item, "fees") } else { fees },
        costs: part::costs(mapper, item),
        eligibility_description: mapper.text(item, "eligibility_description"),
        minimum_age: mapper.check(item, "minimum_age", age),
        maximum_age: mapper.check(item, "maximum_age", age),
        languages,
        interpretation_services,
        phones: part::phones(mapper, item),
        contacts: part::contacts(mapper, item),
        schedules: part::schedules(mapper, item),
        service_areas: part::areas(mapper, item),
        terms: part::terms(mapper, item),
        required_documents: mapper.each(item, "required_documents", "required_document", |mapper, document| {
            Some(mapper.line(document, "document")).filter(|text| !text.is_empty())
        }),
        locations: locations.into_iter().map(|(_, body)| body).collect(),
        capacities: part::capacities(mapper, item),
        wait_time: mapper.line(item, "wait_time"),
        accreditations: mapper.text(item, "accreditations"),
        licenses: mapper.text(item, "licenses"),
        additional_links: part::links(mapper, item, "additional_urls"),
        funding: mapper.each(item, "funding", "funding", |mapper, funding| {
            Some(mapper.line(funding, "source")).filter(|text| !text.is_empty())
        }),
        assurer_email: mapper.email(item, "assurer_email"),
        ..Default::default()
    }
}

fn status(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> ServiceStatus {
    let text = item.plain("status").unwrap_or_default();
    match column::plain(&text).as_str() {
        "active" => ServiceStatus::Active,
        "inactive" => ServiceStatus::Inactive,
        "defunct" => ServiceStatus::Defunct,
        "temporarilyclosed" => ServiceStatus::TemporarilyClosed,
        _ => {
            let reason = "not one of active, inactive, defunct, temporarily closed; it is read as active".to_owned();
            mapper.say(item, "status", &text, reason, "correct it at the source", Severity::Warning);
            ServiceStatus::Unspecified
        }
    }
}

fn location(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> v1::Location {
    let mut addresses = part::addresses(mapper, item);
    let country = addresses.first().map(|address| address.country.clone()).unwrap_or_default();
    for address in &mut addresses {
        let mut findings = Findings::default();
        country::check_postcode(&address.postal_code, &country, &mut findings);
        for finding in findings.0.into_iter().filter(|finding| !finding.found.is_empty()) {
            mapper.say(item, "addresses", &finding.found, finding.reason, &finding.fix, Severity::Warning);
        }
    }
    let (latitude_e7, longitude_e7) = coordinates(mapper, item);
    let mut body = v1::Location {
        name: mapper.line(item, "name"),
        alternate_name: mapper.line(item, "alternate_name"),
        description: mapper.text(item, "description"),
        addresses,
        latitude_e7,
        longitude_e7,
        external_identifier: mapper.line(item, "external_identifier"),
        external_identifier_type: mapper.line(item, "external_identifier_type"),
        transportation: mapper.text(item, "transportation"),
        accessibility: part::accessibility(mapper, item),
        phones: part::phones(mapper, item),
        url: mapper.url(item, "url"),
        schedules: part::schedules(mapper, item),
        ..Default::default()
    };
    body.r#type = location_type(mapper, item, &body).into();
    body
}

/// The type. A place that may be secret and does not say so is an error, as in the CSV template.
fn location_type(mapper: &mut Mapper<'_, '_>, item: &Item<'_>, body: &v1::Location) -> LocationType {
    let text = item.plain("location_type").unwrap_or_default();
    let has_place = !body.addresses.is_empty() || body.latitude_e7.is_some();
    match column::plain(&text).as_str() {
        "physical" => LocationType::Physical,
        "postal" => LocationType::Postal,
        "virtual" => LocationType::Virtual,
        "withheld" | "redacted" | "confidential" | "hidden" => {
            let carries = has_place
                || !(body.external_identifier.is_empty() && body.transportation.is_empty() && body.url.is_empty());
            if carries {
                let reason =
                    "the place is withheld, but address, coordinates, identifier, link or directions are given";
                mapper.say(item, "location_type", &text, reason.into(), "take them out at the source", Severity::Error);
            }
            LocationType::Withheld
        }
        "" => {
            let phrase = [&body.name, &body.alternate_name, &body.description]
                .into_iter()
                .find_map(|text| row::secret_phrase_in(text));
            if let Some(phrase) = phrase {
                let reason = format!("says \"{phrase}\", and nothing says whether the place may be known");
                mapper.say(item, "location_type", "", reason, "say physical or withheld", Severity::Error);
            } else if !has_place {
                let reason = "there is no address, and nothing says what kind of place it is".to_owned();
                mapper.say(item, "location_type", "", reason, "say physical, postal or virtual", Severity::Error);
            } else {
                let reason = "missing; it is read as physical, because there is an address".to_owned();
                mapper.say(item, "location_type", "", reason, "say physical, postal or virtual", Severity::Warning);
            }
            LocationType::Physical
        }
        _ => {
            let reason = "not one of physical, postal, virtual".to_owned();
            mapper.say(item, "location_type", &text, reason, "correct it at the source", Severity::Error);
            LocationType::Unspecified
        }
    }
}

/// Both coordinates or none.
fn coordinates(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> (Option<i32>, Option<i32>) {
    let latitude = mapper.check(item, "latitude", |text, findings| cell::degrees_e7(text, 90, findings));
    let longitude = mapper.check(item, "longitude", |text, findings| cell::degrees_e7(text, 180, findings));
    match (latitude, longitude) {
        (Some(0), Some(0)) => {
            mapper.warn(item, "latitude", "0, 0", "this point is in the sea off Africa");
            (None, None)
        }
        (Some(_), Some(_)) | (None, None) => (latitude, longitude),
        (Some(_), None) | (None, Some(_)) => {
            mapper.warn(
                item,
                "latitude",
                "",
                "one of latitude and longitude is missing or wrong, so both are left out",
            );
            (None, None)
        }
    }
}
