//! The small nested objects of HSDS: phones, contacts, languages, costs, areas, terms, addresses and the like.
//!
//! In: parts of a body and the record they belong to. Out: JSON objects whose ids are derived from record and path.

use fingerpost_proto::id::RecordId;
use fingerpost_proto::v1;
use serde_json::Value;

use super::object::Object;
use crate::feed::instant;
use crate::feed::language;
use crate::feed::safe;

/// The scheme under which terms without one are listed.
const SCHEME_DEFAULT: &str = "urn:fingerpost:terms";

/// Objects for each part, with the id `PATH/INDEX` of `owner`.
fn each<T>(owner: RecordId, path: &str, parts: &[T], make: impl Fn(Object, RecordId, &T) -> Object) -> Vec<Value> {
    let object = |(index, part): (usize, &T)| {
        let id = owner.part(&format!("{path}/{index}"));
        make(Object::with_id(id), id, part).done()
    };
    parts.iter().enumerate().map(object).collect()
}

/// `phones`. An extension that is no number is said in the description; a phone without a number is left out.
pub(crate) fn phones(owner: RecordId, path: &str, phones: &[v1::Phone]) -> Vec<Value> {
    let numbered: Vec<&v1::Phone> = phones.iter().filter(|phone| !phone.number.trim().is_empty()).collect();
    each(owner, path, &numbered, |object, id, phone| {
        let extension: Option<u32> = phone.extension.parse().ok();
        let mut description = phone.description.clone();
        if extension.is_none() && !phone.extension.trim().is_empty() {
            let gap = if description.is_empty() { "" } else { ", " };
            description = format!("{description}{gap}extension {}", phone.extension);
        }
        object
            .text("number", &phone.number)
            .text("type", &phone.r#type)
            .text("description", &description)
            .value("extension", extension)
            .list("languages", tags(id, &phone.languages))
    })
}

fn tags(owner: RecordId, tags: &[String]) -> Vec<Value> {
    each(owner, "languages", tags, |object, _, tag| object.text("code", tag).text("name", language::name(tag)))
}

/// `languages`.
pub(crate) fn languages(owner: RecordId, languages: &[v1::Language]) -> Vec<Value> {
    each(owner, "languages", languages, |object, _, part| {
        object.text("code", &part.tag).text("name", language::name(&part.tag)).text("note", &part.note)
    })
}

/// `contacts`.
pub(crate) fn contacts(owner: RecordId, contacts: &[v1::Contact]) -> Vec<Value> {
    each(owner, "contacts", contacts, |object, id, contact| {
        object
            .text("name", &contact.name)
            .text("title", &contact.title)
            .text("department", &contact.department)
            .email("email", &contact.email)
            .list("phones", phones(id, "phones", &contact.phones))
    })
}

/// `organization_identifiers`. HSDS wants a type; the scheme stands in for it.
pub(crate) fn identifiers(owner: RecordId, identifiers: &[v1::Identifier]) -> Vec<Value> {
    let stated: Vec<&v1::Identifier> = identifiers.iter().filter(|part| !part.value.trim().is_empty()).collect();
    each(owner, "organization_identifiers", &stated, |object, _, part| {
        let kind = [&part.r#type, &part.scheme].into_iter().find(|text| !text.trim().is_empty());
        object
            .text("identifier_scheme", &part.scheme)
            .text("identifier_type", kind.map_or("identifier", String::as_str))
            .text("identifier", &part.value)
    })
}

/// `cost_options`. An amount that is no number is said in the description.
pub(crate) fn costs(owner: RecordId, service: RecordId, costs: &[v1::Cost]) -> Vec<Value> {
    each(owner, "cost_options", costs, |object, _, cost| {
        let amount = cost.amount.parse::<f64>().ok().filter(|amount| amount.is_finite());
        let mut description = cost.description.clone();
        if amount.is_none() && !cost.amount.trim().is_empty() {
            let gap = if description.is_empty() { "" } else { ", " };
            description = format!("{description}{gap}{}", cost.amount);
        }
        object
            .id("service_id", service)
            .text("option", &cost.option)
            .text("currency", &cost.currency)
            .value("amount", amount)
            .text("amount_description", &description)
            .text("valid_from", &cost.valid_from)
            .text("valid_to", &cost.valid_to)
    })
}

/// `service_areas`.
pub(crate) fn areas(owner: RecordId, path: &str, areas: &[v1::Area]) -> Vec<Value> {
    each(owner, path, areas, |object, _, area| {
        object
            .text("name", &area.name)
            .text("uri", &safe::identifier(&area.uri).unwrap_or_default())
            .text("extent", &area.geojson)
            .text("extent_type", if area.geojson.trim().is_empty() { "" } else { "geojson" })
    })
}

/// `additional_websites` and `additional_urls` (HSDS 3.1). Links that are no web address are left out.
pub(crate) fn links(owner: RecordId, path: &str, links: &[v1::Link]) -> Vec<Value> {
    let valid: Vec<&v1::Link> = links.iter().filter(|link| safe::web_address(&link.url).is_some()).collect();
    each(owner, path, &valid, |object, _, link| object.url("url", &link.url).text("label", &link.label))
}

/// `accessibility`.
pub(crate) fn accessibility(owner: RecordId, parts: &[v1::Accessibility]) -> Vec<Value> {
    each(owner, "accessibility", parts, |object, _, part| {
        object.text("description", &part.description).text("details", &part.details).url("url", &part.url)
    })
}

/// `required_documents`.
pub(crate) fn required_documents(owner: RecordId, documents: &[String]) -> Vec<Value> {
    each(owner, "required_documents", documents, |object, _, document| object.text("document", document))
}

/// `funding`.
pub(crate) fn funding(owner: RecordId, sources: &[String]) -> Vec<Value> {
    each(owner, "funding", sources, |object, _, source| object.text("source", source))
}

/// `capacities` (HSDS 3.1). One without a unit or a time is left out: 3.1 needs both.
pub(crate) fn capacities(owner: RecordId, capacities: &[v1::Capacity]) -> Vec<Value> {
    let valid: Vec<&v1::Capacity> =
        capacities.iter().filter(|part| !part.unit.trim().is_empty() && part.updated_ms > 0).collect();
    each(owner, "capacities", &valid, |object, id, part| {
        object
            .value("unit", Some(Object::with_id(id.part("unit")).text("name", &part.unit).done()))
            .value("available", Some(part.available))
            .value("maximum", (part.maximum > 0).then_some(part.maximum))
            .text("updated", &instant::rfc3339(part.updated_ms))
    })
}

/// `attributes`: one for each term, with `link_type` saying what the term is about.
pub(crate) fn attributes(owner: RecordId, link_entity: &str, link_type: &str, terms: &[v1::Term]) -> Vec<Value> {
    each(owner, &format!("attributes/{link_type}"), terms, |object, _, term| {
        object
            .id("link_id", owner)
            .text("link_entity", link_entity)
            .text("link_type", link_type)
            .id("taxonomy_term_id", term_id(term))
            .value("taxonomy_term", Some(taxonomy_term(term)))
    })
}

/// Scheme of a term.
pub(crate) fn scheme(term: &v1::Term) -> &str {
    if term.scheme_uri.trim().is_empty() { SCHEME_DEFAULT } else { &term.scheme_uri }
}

/// Id of a taxonomy: the same at every node for the same scheme.
pub(crate) fn taxonomy_id(scheme: &str) -> RecordId {
    RecordId::default().part(&format!("taxonomies/{scheme}"))
}

/// Id of a term: the same at every node for the same scheme and code (or label, where there is no code).
pub(crate) fn term_id(term: &v1::Term) -> RecordId {
    let name = if term.code.trim().is_empty() { &term.label } else { &term.code };
    taxonomy_id(scheme(term)).part(&format!("taxonomy_terms/{name}"))
}

/// `taxonomy_term`. HSDS wants a name and a description; label and code stand in for each other.
pub(crate) fn taxonomy_term(term: &v1::Term) -> Value {
    let first = |texts: [&str; 3]| texts.into_iter().find(|text| !text.trim().is_empty()).unwrap_or("term").to_owned();
    let term_uri = safe::identifier(&term.code).unwrap_or_default();
    Object::with_id(term_id(term))
        .text("code", &term.code)
        .text("name", &first([&term.label, &term.code, &term.description]))
        .text("description", &first([&term.description, &term.label, &term.code]))
        .text("taxonomy", scheme(term))
        .id("taxonomy_id", taxonomy_id(scheme(term)))
        .text("term_uri", &term_uri)
        .done()
}

/// `taxonomy`.
pub(crate) fn taxonomy(scheme: &str) -> Value {
    Object::with_id(taxonomy_id(scheme))
        .text("name", scheme)
        .text("description", scheme)
        .text("uri", &safe::identifier(scheme).unwrap_or_default())
        .done()
}

/// `addresses`: only those in which all six required fields can be filled.
pub(crate) fn addresses(owner: RecordId, addresses: &[v1::Address]) -> Vec<Value> {
    let complete: Vec<&v1::Address> = addresses.iter().filter(|part| is_complete(part)).collect();
    each(owner, "addresses", &complete, |object, _, part| {
        let country = country_code(&part.country);
        let candidates = [part.state_province.as_str(), part.region.as_str(), country_name(&country)];
        let state = candidates.into_iter().find(|text| !text.trim().is_empty()).unwrap_or(&country);
        object
            .id("location_id", owner)
            .text("attention", &part.attention)
            .text("address_1", &part.line_1)
            .text("address_2", &part.line_2)
            .text("city", &part.city)
            .text("region", &part.region)
            .text("state_province", state)
            .text("postal_code", &part.postal_code)
            .text("country", &country)
            .text("address_type", if part.r#type == "postal" { "postal" } else { "physical" })
    })
}

/// Addresses that lack a required field of HSDS, as far as they are known.
pub(crate) fn addresses_incomplete(addresses: &[v1::Address]) -> Vec<Value> {
    let incomplete = addresses.iter().filter(|part| !is_complete(part)).map(|part| {
        Object::default()
            .text("line_1", &part.line_1)
            .text("line_2", &part.line_2)
            .text("city", &part.city)
            .text("region", &part.region)
            .text("state_province", &part.state_province)
            .text("postal_code", &part.postal_code)
            .text("country", &part.country)
    });
    incomplete.filter(|object| !object.is_empty()).map(Object::done).collect()
}

fn is_complete(address: &v1::Address) -> bool {
    let stated = [&address.line_1, &address.city, &address.postal_code].iter().all(|text| !text.trim().is_empty());
    stated && country_code(&address.country).len() == 2
}

/// Two letters in upper case; empty when the text is no ISO 3166-1 code. `UK` is what people write for `GB`.
fn country_code(country: &str) -> String {
    let code = country.trim().to_ascii_uppercase();
    match code.as_str() {
        "UK" => "GB".to_owned(),
        _ if code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) => code,
        _ => String::new(),
    }
}

/// English name of a country; empty when it is not in the short table.
pub(crate) fn country_name(code: &str) -> &'static str {
    match code {
        "AT" => "Austria",
        "BE" => "Belgium",
        "CA" => "Canada",
        "CH" => "Switzerland",
        "DE" => "Germany",
        "DK" => "Denmark",
        "ES" => "Spain",
        "FR" => "France",
        "GB" => "United Kingdom",
        "GR" => "Greece",
        "IE" => "Ireland",
        "IT" => "Italy",
        "NL" => "Netherlands",
        "NO" => "Norway",
        "PL" => "Poland",
        "PT" => "Portugal",
        "SE" => "Sweden",
        "US" => "United States",
        _ => "",
    }
}
