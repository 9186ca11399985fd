//! The checks that every body must pass, at signing and at receipt.

use super::text::{forbidden, is_language_tag, is_time_of_day, is_web_url, local_date, local_time};
use super::{Body, RecordError};
use crate::equivocation::Equivocation;
use crate::head::Head;
use crate::id::{RecordId, Vid};
use crate::kind::Kind;
use crate::limits::{
    LANGUAGE_TAG_BYTES_MAX, LINE_BYTES_MAX, LIST_ENTRIES_MAX, LOCAL_ID_BYTES_MAX, TEXT_BYTES_MAX,
    TRANSLATED_FIELDS_MAX, TRANSLATIONS_MAX, URL_BYTES_MAX,
};
use crate::redaction::{Receipt, Redaction};
use crate::v1;
use crate::version::Header;

/// Reads the body of a content version and checks it against its header and the rules of its kind.
///
/// Errors: the first [`RecordError`] in field order. Source: `spec/02-records.md`, sections 2 to 4.
pub fn check(header: &Header, bytes: &[u8]) -> Result<Body, RecordError> {
    let body = Body::decode(header.kind, bytes)?;
    local_id(header, body.local_id())?;
    match &body {
        Body::Organisation(body) => organisation(body)?,
        Body::Service(body) => service(body)?,
        Body::Location(body) => location(body)?,
        Body::Event(body) => event(body)?,
        Body::Other(kind, common) => {
            self::common(common)?;
            match *kind {
                Kind::HEAD => Head::read(header, Vid::default(), bytes).map(|_| ())?,
                Kind::REDACTION => Redaction::read(header, bytes).map(|_| ())?,
                Kind::RECEIPT => Receipt::read(header, bytes).map(|_| ())?,
                Kind::EQUIVOCATION => Equivocation::read(header, bytes).map(|_| ())?,
                _ => {}
            }
        }
    }
    Ok(body)
}

type Checked = Result<(), RecordError>;

fn local_id(header: &Header, local_id: &str) -> Checked {
    required("local_id", local_id)?;
    length("local_id", local_id, LOCAL_ID_BYTES_MAX)?;
    characters("local_id", local_id, false)?;
    let expected = RecordId::derive(&header.org, header.kind, header.audience, local_id);
    if expected == header.record {
        return Ok(());
    }
    Err(RecordError::IdMismatch { found: header.record, expected, local_id: local_id.to_owned() })
}

/// The common fields; each kind's message has them under the same names.
macro_rules! common {
    ($body:expr) => {{
        let body = $body;
        language("language", &body.language)?;
        translations(&body.translations)?;
        references("same_as", &body.same_as)?;
        references("replaces", &body.replaces)?;
        email("assurer_email", &body.assurer_email)?;
        url("source_url", &body.source_url)?;
    }};
}

fn common(body: &v1::Common) -> Checked {
    common!(body);
    Ok(())
}

fn organisation(body: &v1::Organisation) -> Checked {
    common!(body);
    required("name", &body.name)?;
    required("description", &body.description)?;
    lines(&[("name", &body.name), ("alternate_name", &body.alternate_name), ("legal_status", &body.legal_status)])?;
    text("description", &body.description)?;
    urls(&[("website", &body.website), ("logo_url", &body.logo_url), ("uri", &body.uri)])?;
    email("email", &body.email)?;
    phones("phones", &body.phones)?;
    contacts(&body.contacts)?;
    each("identifiers", &body.identifiers, |id| {
        required("identifiers.value", &id.value)?;
        lines(&[("identifiers.scheme", &id.scheme), ("identifiers.value", &id.value), ("identifiers.type", &id.r#type)])
    })?;
    reference("parent", &body.parent)?;
    links("additional_links", &body.additional_links)?;
    references("locations", &body.locations)?;
    terms("terms", &body.terms)
}

fn service(body: &v1::Service) -> Checked {
    common!(body);
    required("name", &body.name)?;
    lines(&[("name", &body.name), ("alternate_name", &body.alternate_name)])?;
    for (field, value) in [
        ("description", &body.description),
        ("rich_description", &body.rich_description),
        ("alert", &body.alert),
        ("application_process", &body.application_process),
        ("fees_description", &body.fees_description),
        ("eligibility_description", &body.eligibility_description),
        ("interpretation_services", &body.interpretation_services),
        ("wait_time", &body.wait_time),
        ("accreditations", &body.accreditations),
        ("licenses", &body.licenses),
    ] {
        text(field, value)?;
    }
    reference("organisation", &body.organisation)?;
    url("url", &body.url)?;
    email("email", &body.email)?;
    costs(&body.costs)?;
    languages(&body.languages)?;
    phones("phones", &body.phones)?;
    contacts(&body.contacts)?;
    schedules("schedules", &body.schedules)?;
    areas("service_areas", &body.service_areas)?;
    terms("terms", &body.terms)?;
    each("required_documents", &body.required_documents, |entry| text("required_documents", entry))?;
    each("locations", &body.locations, |at| {
        required_reference("locations.location", &at.location)?;
        text("locations.description", &at.description)?;
        schedules("locations.schedules", &at.schedules)?;
        phones("locations.phones", &at.phones)
    })?;
    each("capacities", &body.capacities, |capacity| line("capacities.unit", &capacity.unit))?;
    links("additional_links", &body.additional_links)?;
    each("funding", &body.funding, |entry| text("funding", entry))?;
    terms("audiences", &body.audiences)
}

fn location(body: &v1::Location) -> Checked {
    common!(body);
    if body.r#type == v1::LocationType::Unspecified as i32 {
        return Err(RecordError::Missing { field: "type".to_owned() });
    }
    if body.r#type == v1::LocationType::Withheld as i32 {
        withheld(body)?;
    }
    lines(&[
        ("name", &body.name),
        ("alternate_name", &body.alternate_name),
        ("external_identifier", &body.external_identifier),
        ("external_identifier_type", &body.external_identifier_type),
    ])?;
    text("description", &body.description)?;
    text("transportation", &body.transportation)?;
    each("addresses", &body.addresses, |address| {
        lines(&[
            ("addresses.attention", &address.attention),
            ("addresses.line_1", &address.line_1),
            ("addresses.line_2", &address.line_2),
            ("addresses.city", &address.city),
            ("addresses.region", &address.region),
            ("addresses.state_province", &address.state_province),
            ("addresses.postal_code", &address.postal_code),
            ("addresses.country", &address.country),
            ("addresses.type", &address.r#type),
        ])
    })?;
    coordinate("latitude_e7", body.latitude_e7, body.longitude_e7, 90)?;
    coordinate("longitude_e7", body.longitude_e7, body.latitude_e7, 180)?;
    each("accessibility", &body.accessibility, |entry| {
        text("accessibility.description", &entry.description)?;
        text("accessibility.details", &entry.details)?;
        url("accessibility.url", &entry.url)
    })?;
    phones("phones", &body.phones)?;
    urls(&[("url", &body.url), ("map_url", &body.map_url)])?;
    areas("areas", &body.areas)?;
    schedules("schedules", &body.schedules)
}

/// A withheld location names an area and how to get in touch, and nothing from which the place could be found.
fn withheld(body: &v1::Location) -> Checked {
    const TRANSLATABLE: [&str; 3] = ["name", "alternate_name", "description"];
    let translated_place = body
        .translations
        .iter()
        .flat_map(|translation| &translation.texts)
        .any(|text| !TRANSLATABLE.contains(&text.field.as_str()));
    let stated = [
        ("addresses", !body.addresses.is_empty()),
        ("latitude_e7", body.latitude_e7.is_some()),
        ("longitude_e7", body.longitude_e7.is_some()),
        ("external_identifier", !body.external_identifier.is_empty() || !body.external_identifier_type.is_empty()),
        ("transportation", !body.transportation.is_empty()),
        ("accessibility", !body.accessibility.is_empty()),
        ("url", !body.url.is_empty()),
        ("map_url", !body.map_url.is_empty()),
        ("source_url", !body.source_url.is_empty()),
        ("areas.geojson", body.areas.iter().any(|area| !area.geojson.is_empty())),
        ("translations", translated_place),
    ];
    match stated.into_iter().find(|(_, is_stated)| *is_stated) {
        Some((field, _)) => Err(RecordError::WithheldPlace { field: field.to_owned() }),
        None => Ok(()),
    }
}

fn event(body: &v1::Event) -> Checked {
    common!(body);
    required("name", &body.name)?;
    required("start", &body.start)?;
    lines(&[
        ("name", &body.name),
        ("timezone", &body.timezone),
        ("rrule", &body.rrule),
        ("location_text", &body.location_text),
        ("image_alt", &body.image_alt),
    ])?;
    text("description", &body.description)?;
    text("rich_description", &body.rich_description)?;
    text("status_note", &body.status_note)?;
    if !body.all_day {
        required("timezone", &body.timezone)?;
    }
    let moment = |field: &str, value: &String| {
        let wanted = if body.all_day { "a date YYYY-MM-DD" } else { "a local time YYYY-MM-DDTHH:MM:SS" };
        shape(field, value, wanted, |value| local_time(value, body.all_day).is_some())
    };
    moment("start", &body.start)?;
    moment("end", &body.end)?;
    moment("previous_start", &body.previous_start)?;
    each("except_starts", &body.except_starts, |value| moment("except_starts", value))?;
    each("extra_starts", &body.extra_starts, |value| moment("extra_starts", value))?;
    each("occurrences", &body.occurrences, |occurrence| {
        required("occurrences.original_start", &occurrence.original_start)?;
        moment("occurrences.original_start", &occurrence.original_start)?;
        moment("occurrences.start", &occurrence.start)?;
        moment("occurrences.end", &occurrence.end)?;
        text("occurrences.note", &occurrence.note)?;
        reference("occurrences.location", &occurrence.location)
    })?;
    reference("location", &body.location)?;
    reference("service", &body.service)?;
    reference("organiser", &body.organiser)?;
    urls(&[
        ("join_url", &body.join_url),
        ("url", &body.url),
        ("booking_url", &body.booking_url),
        ("image_url", &body.image_url),
    ])?;
    costs(&body.costs)?;
    languages(&body.languages)?;
    terms("terms", &body.terms)?;
    contacts(&body.contacts)
}

fn translations(list: &[v1::Translation]) -> Checked {
    count("translations", list.len(), TRANSLATIONS_MAX)?;
    for translation in list {
        required("translations.language", &translation.language)?;
        language("translations.language", &translation.language)?;
        count("translations.texts", translation.texts.len(), TRANSLATED_FIELDS_MAX)?;
        for entry in &translation.texts {
            line("translations.texts.field", &entry.field)?;
            text("translations.texts.text", &entry.text)?;
        }
    }
    Ok(())
}

fn phones(field: &str, list: &[v1::Phone]) -> Checked {
    each(field, list, |phone| {
        required(&format!("{field}.number"), &phone.number)?;
        for value in [&phone.number, &phone.description, &phone.r#type, &phone.extension] {
            line(field, value)?;
        }
        each(&format!("{field}.languages"), &phone.languages, |tag| language(field, tag))
    })
}

fn contacts(list: &[v1::Contact]) -> Checked {
    each("contacts", list, |contact| {
        lines(&[
            ("contacts.title", &contact.title),
            ("contacts.name", &contact.name),
            ("contacts.department", &contact.department),
        ])?;
        email("contacts.email", &contact.email)?;
        phones("contacts.phones", &contact.phones)
    })
}

fn schedules(field: &str, list: &[v1::Schedule]) -> Checked {
    each(field, list, |schedule| {
        for (part, value) in [("opens_at", &schedule.opens_at), ("closes_at", &schedule.closes_at)] {
            shape(&format!("{field}.{part}"), value, "a time of day HH:MM", is_time_of_day)?;
        }
        for (part, value) in
            [("starts_on", &schedule.starts_on), ("valid_from", &schedule.valid_from), ("valid_to", &schedule.valid_to)]
        {
            date(&format!("{field}.{part}"), value)?;
        }
        let except_dates = format!("{field}.except_dates");
        each(&except_dates, &schedule.except_dates, |value| date(&except_dates, value))?;
        for value in [&schedule.rrule, &schedule.timezone, &schedule.attending_type] {
            line(field, value)?;
        }
        text(field, &schedule.description)?;
        text(field, &schedule.notes)?;
        url(&format!("{field}.link"), &schedule.link)
    })
}

fn areas(field: &str, list: &[v1::Area]) -> Checked {
    each(field, list, |area| {
        line(field, &area.name)?;
        url(&format!("{field}.uri"), &area.uri)?;
        text(&format!("{field}.geojson"), &area.geojson)
    })
}

fn terms(field: &str, list: &[v1::Term]) -> Checked {
    each(field, list, |term| {
        url(&format!("{field}.scheme_uri"), &term.scheme_uri)?;
        line(field, &term.code)?;
        line(field, &term.label)?;
        text(field, &term.description)
    })
}

fn costs(list: &[v1::Cost]) -> Checked {
    each("costs", list, |cost| {
        lines(&[("costs.option", &cost.option), ("costs.currency", &cost.currency)])?;
        let is_amount = |amount: &str| {
            let (whole, cents) = amount.split_once('.').unwrap_or((amount, "0"));
            [whole, cents].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        };
        shape("costs.amount", &cost.amount, "a decimal number such as 3.50", is_amount)?;
        line("costs.amount", &cost.amount)?;
        text("costs.description", &cost.description)?;
        date("costs.valid_from", &cost.valid_from)?;
        date("costs.valid_to", &cost.valid_to)
    })
}

fn languages(list: &[v1::Language]) -> Checked {
    each("languages", list, |entry| {
        required("languages.tag", &entry.tag)?;
        language("languages.tag", &entry.tag)?;
        line("languages.note", &entry.note)
    })
}

fn links(field: &str, list: &[v1::Link]) -> Checked {
    each(field, list, |link| {
        url(field, &link.url)?;
        line(field, &link.label)
    })
}

fn coordinate(field: &str, value: Option<i32>, other: Option<i32>, degrees_max: i32) -> Checked {
    let Some(value) = value else { return Ok(()) };
    if other.is_none() {
        let wanted = "allowed alone: latitude and longitude go together";
        return Err(RecordError::Malformed { field: field.to_owned(), found: value.to_string(), wanted });
    }
    if value.unsigned_abs() > degrees_max.unsigned_abs() * 10_000_000 {
        let wanted = "within 90 degrees of latitude and 180 of longitude, times 10,000,000";
        return Err(RecordError::Malformed { field: field.to_owned(), found: value.to_string(), wanted });
    }
    Ok(())
}

fn references(field: &str, list: &[Vec<u8>]) -> Checked {
    each(field, list, |bytes| required_reference(field, bytes))
}

fn reference(field: &str, bytes: &[u8]) -> Checked {
    if bytes.is_empty() { Ok(()) } else { required_reference(field, bytes) }
}

fn required_reference(field: &str, bytes: &[u8]) -> Checked {
    if bytes.len() == 16 {
        return Ok(());
    }
    let found = format!("{} bytes", bytes.len());
    Err(RecordError::Malformed { field: field.to_owned(), found, wanted: "a record id of 16 bytes" })
}

fn each<T>(field: &str, list: &[T], check: impl Fn(&T) -> Checked) -> Checked {
    count(field, list.len(), LIST_ENTRIES_MAX)?;
    list.iter().try_for_each(check)
}

fn count(field: &str, found: usize, max: usize) -> Checked {
    if found > max { Err(RecordError::TooMany { field: field.to_owned(), found, max }) } else { Ok(()) }
}

fn required(field: &str, value: &str) -> Checked {
    if value.trim().is_empty() { Err(RecordError::Missing { field: field.to_owned() }) } else { Ok(()) }
}

fn lines(fields: &[(&str, &String)]) -> Checked {
    fields.iter().try_for_each(|(field, value)| line(field, value))
}

fn urls(fields: &[(&str, &String)]) -> Checked {
    fields.iter().try_for_each(|(field, value)| url(field, value))
}

fn line(field: &str, value: &str) -> Checked {
    length(field, value, LINE_BYTES_MAX)?;
    characters(field, value, false)
}

fn text(field: &str, value: &str) -> Checked {
    length(field, value, TEXT_BYTES_MAX)?;
    characters(field, value, true)
}

fn url(field: &str, value: &str) -> Checked {
    length(field, value, URL_BYTES_MAX)?;
    characters(field, value, false)?;
    shape(field, value, "a web address beginning with http:// or https://", is_web_url)
}

fn email(field: &str, value: &str) -> Checked {
    length(field, value, URL_BYTES_MAX)?;
    characters(field, value, false)
}

fn language(field: &str, value: &str) -> Checked {
    length(field, value, LANGUAGE_TAG_BYTES_MAX)?;
    shape(field, value, "a language tag such as en or fa-AF", is_language_tag)
}

fn date(field: &str, value: &str) -> Checked {
    shape(field, value, "a date YYYY-MM-DD", |value| local_date(value).is_some())
}

/// An empty value is "not stated" and has every shape.
fn shape(field: &str, value: &str, wanted: &'static str, has_shape: impl Fn(&str) -> bool) -> Checked {
    if value.is_empty() || has_shape(value) {
        return Ok(());
    }
    Err(RecordError::Malformed { field: field.to_owned(), found: value.chars().take(100).collect(), wanted })
}

fn length(field: &str, value: &str, max: usize) -> Checked {
    if value.len() <= max {
        return Ok(());
    }
    Err(RecordError::TooLong { field: field.to_owned(), found: value.len(), max })
}

fn characters(field: &str, value: &str, is_running_text: bool) -> Checked {
    match forbidden(value, is_running_text) {
        Some(character) => Err(RecordError::ForbiddenCharacter { field: field.to_owned(), character }),
        None => Ok(()),
    }
}
