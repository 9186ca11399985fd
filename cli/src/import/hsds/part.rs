//! The parts of HSDS records: phones, contacts, schedules, costs and the like.

use fingerpost_proto::v1;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::problem::Findings;
use super::super::recurrence::{self, First};
use super::super::{cell, contact, country, date, hours, language, term};
use super::field::{Item, Mapper};

pub(super) fn phones(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Phone> {
    let country = mapper.context().default_country.clone();
    let fix_lost_zero = mapper.context().fix_phones;
    mapper.each(item, "phones", "phone", |mapper, phone| {
        let number = mapper.check(phone, "number", |text, findings| {
            contact::phone_number(text, country.as_deref(), fix_lost_zero, findings)
        });
        let (languages, _) = languages(mapper, phone);
        let phone = v1::Phone {
            number: number.unwrap_or_default(),
            description: mapper.line(phone, "description"),
            languages: languages.into_iter().map(|language| language.tag).collect(),
            r#type: mapper.line(phone, "type"),
            extension: mapper.line(phone, "extension"),
        };
        (!phone.number.is_empty()).then_some(phone)
    })
}

pub(super) fn contacts(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Contact> {
    mapper.each(item, "contacts", "contact", |mapper, contact| {
        let contact = v1::Contact {
            title: mapper.line(contact, "title"),
            name: mapper.line(contact, "name"),
            department: mapper.line(contact, "department"),
            email: mapper.email(contact, "email"),
            phones: phones(mapper, contact),
        };
        (contact != v1::Contact::default()).then_some(contact)
    })
}

pub(super) fn identifiers(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Identifier> {
    mapper.each(item, "organization_identifiers", "organization_identifier", |mapper, identifier| {
        let identifier = v1::Identifier {
            scheme: mapper.line(identifier, "identifier_scheme"),
            value: mapper.line(identifier, "identifier"),
            r#type: mapper.line(identifier, "identifier_type"),
        };
        (!identifier.value.is_empty()).then_some(identifier)
    })
}

pub(super) fn links(mapper: &mut Mapper<'_, '_>, item: &Item<'_>, key: &'static str) -> Vec<v1::Link> {
    mapper.each(item, key, "url", |mapper, link| {
        let link = v1::Link { url: mapper.url(link, "url"), label: mapper.line(link, "label") };
        (!link.url.is_empty()).then_some(link)
    })
}

/// Languages with a tag, and the texts of those without.
pub(super) fn languages(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> (Vec<v1::Language>, Vec<String>) {
    let mut others = Vec::new();
    let languages = mapper.each(item, "languages", "language", |mapper, entry| {
        let (code, name) = (entry.plain("code").unwrap_or_default(), mapper.line(entry, "name"));
        let note = mapper.line(entry, "note");
        match language::tag(&code).or_else(|| language::tag(&name)) {
            Some(tag) => Some(v1::Language { tag, note }),
            None => {
                let text = if name.is_empty() { code } else { name };
                mapper.warn(entry, "name", &text, "not a language known here; kept as text with the interpretation");
                others.extend(Some(text).filter(|text| !text.is_empty()));
                None
            }
        }
    });
    (languages, others)
}

pub(super) fn costs(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Cost> {
    mapper.each(item, "cost_options", "cost_option", |mapper, cost| {
        let amount = mapper.check(cost, "amount", |text, findings| {
            if term::is_amount(text) { Some(text.to_owned()) } else { findings.error(text, "not an amount", "") }
        });
        let currency = mapper.check(cost, "currency", |text, findings| {
            let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
            if is_code { Some(text.to_uppercase()) } else { findings.error(text, "not an ISO 4217 currency", "") }
        });
        let cost = v1::Cost {
            option: mapper.line(cost, "option"),
            currency: currency.unwrap_or_default(),
            amount: amount.unwrap_or_default(),
            description: mapper.line(cost, "amount_description"),
            valid_from: date_text(mapper.date(cost, "valid_from")),
            valid_to: date_text(mapper.date(cost, "valid_to")),
        };
        (cost != v1::Cost::default()).then_some(cost)
    })
}

pub(super) fn areas(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Area> {
    mapper.each(item, "service_areas", "service_area", |mapper, area| {
        let name = mapper.line(area, "name");
        let uri = mapper.url(area, "uri");
        let is_geojson = area.plain("extent_type").is_none_or(|kind| kind.eq_ignore_ascii_case("geojson"));
        let geojson = mapper.check(area, "extent", |text, findings| {
            let is_object = serde_json::from_str::<Value>(text).is_ok_and(|value| value.get("type").is_some());
            if is_geojson && is_object {
                cell::text(text, findings)
            } else {
                findings.error(text, "not a GeoJSON geometry", "")
            }
        });
        let name = if name.is_empty() { mapper.line(area, "description") } else { name };
        let area = v1::Area { name, uri, geojson: geojson.unwrap_or_default() };
        (area != v1::Area::default()).then_some(area)
    })
}

/// Taxonomy terms out of the attributes.
pub(super) fn terms(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Term> {
    mapper.each(item, "attributes", "attribute", |mapper, attribute| {
        let mut term = mapper
            .nested(attribute, "taxonomy_term", "taxonomy_term", |mapper, term| {
                let scheme =
                    mapper.nested(term, "taxonomy_detail", "taxonomy", |mapper, taxonomy| mapper.url(taxonomy, "uri"));
                v1::Term {
                    scheme_uri: scheme.unwrap_or_default(),
                    code: mapper.line(term, "code"),
                    label: mapper.line(term, "name"),
                    description: mapper.line(term, "description"),
                }
            })
            .unwrap_or_default();
        if term.label.is_empty() {
            term.label = mapper.line(attribute, "label");
        }
        if term.label.is_empty() {
            term.label = mapper.line(attribute, "value");
        }
        (!term.label.is_empty()).then_some(term)
    })
}

pub(super) fn capacities(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Capacity> {
    let number = |text: &str, findings: &mut Findings| cell::number(text, 0, u32::MAX, findings);
    mapper.each(item, "capacities", "service_capacity", |mapper, capacity| {
        let unit = mapper.nested(capacity, "unit", "unit", |mapper, unit| mapper.line(unit, "name"));
        let updated = mapper.check(capacity, "updated", |text, findings| match text.parse::<jiff::Timestamp>() {
            Ok(instant) => u64::try_from(instant.as_millisecond()).ok(),
            Err(_) => findings.error(text, "not a date and time with its offset", ""),
        });
        Some(v1::Capacity {
            unit: unit.unwrap_or_default(),
            available: mapper.check(capacity, "available", number).unwrap_or_default(),
            maximum: mapper.check(capacity, "maximum", number).unwrap_or_default(),
            updated_ms: updated.unwrap_or_default(),
        })
    })
}

pub(super) fn accessibility(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Accessibility> {
    mapper.each(item, "accessibility", "accessibility", |mapper, access| {
        let access = v1::Accessibility {
            description: mapper.line(access, "description"),
            details: mapper.line(access, "details"),
            url: mapper.url(access, "url"),
        };
        (access != v1::Accessibility::default()).then_some(access)
    })
}

pub(super) fn addresses(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Address> {
    mapper.each(item, "addresses", "address", |mapper, address| {
        let mut body = v1::Address {
            attention: mapper.line(address, "attention"),
            line_1: mapper.line(address, "address_1"),
            line_2: mapper.line(address, "address_2"),
            city: mapper.line(address, "city"),
            region: mapper.line(address, "region"),
            state_province: mapper.line(address, "state_province"),
            postal_code: mapper.line(address, "postal_code"),
            ..Default::default()
        };
        let is_empty = body == v1::Address::default();
        body.country = mapper.check(address, "country", country::country).unwrap_or_default();
        body.r#type = match address.plain("address_type").unwrap_or_default().as_str() {
            "postal" => "postal".into(),
            "physical" | "" => String::new(),
            other => {
                mapper.warn(address, "address_type", other, "not physical or postal; it is read as physical");
                String::new()
            }
        };
        (!is_empty).then_some(body)
    })
}

pub(super) fn schedules(mapper: &mut Mapper<'_, '_>, item: &Item<'_>) -> Vec<v1::Schedule> {
    let default_timezone = mapper.context().default_timezone.clone();
    mapper.each(item, "schedules", "schedule", |mapper, schedule| {
        let starts_on = mapper.date(schedule, "dtstart");
        // A number of hours cannot say when the clocks change; it is listed among the fields left out.
        let is_zone = schedule.plain("timezone").is_some_and(|zone| zone.contains('/'));
        let timezone = is_zone.then(|| mapper.check(schedule, "timezone", date::zone)).flatten();
        let (opens_at, closes_at) = times(mapper, schedule);
        let mut body = v1::Schedule {
            opens_at,
            closes_at,
            rrule: rule(mapper, schedule, starts_on),
            starts_on: date_text(starts_on),
            valid_from: date_text(mapper.date(schedule, "valid_from")),
            valid_to: date_text(mapper.date(schedule, "valid_to")),
            description: mapper.text(schedule, "description"),
            notes: mapper.text(schedule, "notes"),
            link: mapper.url(schedule, "schedule_link"),
            attending_type: mapper.line(schedule, "attending_type"),
            ..Default::default()
        };
        let is_empty = body == v1::Schedule::default();
        body.timezone = timezone.map_or_else(|| default_timezone.clone(), |(name, _)| name);
        (!is_empty).then_some(body)
    })
}

/// Opening and closing time; both are left out with a warning when they make no opening.
fn times(mapper: &mut Mapper<'_, '_>, schedule: &Item<'_>) -> (String, String) {
    let mut time = |key: &'static str| {
        mapper.check(schedule, key, |text, findings| {
            // "10:00:00Z" and "10:00+01:00" are local times with an offset that says nothing more.
            let local = text.trim_end_matches('Z');
            let local = local.get(..local.find('+').unwrap_or(local.len())).unwrap_or(local);
            match hours::clock(local) {
                Some((minutes, true)) => Some(minutes),
                _ => findings.error(text, "not a time of day", ""),
            }
        })
    };
    let (opens, closes) = (time("opens_at"), time("closes_at"));
    let closes = closes.map(|minutes| if minutes == 0 { 1_440 } else { minutes });
    let text = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    match (opens, closes) {
        (Some(opens), Some(closes)) if opens >= closes => {
            let found = format!("{}-{}", text(opens), text(closes));
            mapper.warn(schedule, "closes_at", &found, "closes before it opens; both times are left out");
            (String::new(), String::new())
        }
        (opens, closes) => (opens.map(text).unwrap_or_default(), closes.map(text).unwrap_or_default()),
    }
}

/// The repetition. Where the whole rule is not valid, its frequency and weekdays are tried alone.
fn rule(mapper: &mut Mapper<'_, '_>, schedule: &Item<'_>, starts_on: Option<Date>) -> String {
    let days = match schedule.take("byday") {
        Some(Value::Array(days)) => days.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
        _ => schedule.plain("byday").unwrap_or_default(),
    };
    let part = |key: &str, value: Option<String>| {
        value.map(|value| format!(";{key}={}", value.replace([' ', ';', '='], ""))).unwrap_or_default()
    };
    let frequency = schedule.plain("freq").or_else(|| (!days.is_empty()).then(|| "WEEKLY".to_owned()));
    let until = mapper.date(schedule, "until").map(|date| date.strftime("%Y%m%d").to_string());
    let rest = [
        part("BYMONTHDAY", schedule.plain("bymonthday")),
        part("WKST", schedule.plain("wkst")),
        part("UNTIL", until.clone()),
        part("COUNT", schedule.plain("count").filter(|_| until.is_none())),
    ]
    .concat();
    let Some(frequency) = frequency else { return String::new() };
    let base = format!(
        "FREQ={}{}{}",
        frequency.replace([';', '='], ""),
        part("INTERVAL", schedule.plain("interval").filter(|interval| interval != "1")),
        part("BYDAY", Some(days).filter(|days| !days.is_empty()))
    );
    let first = First { date: starts_on.unwrap_or(Date::constant(1970, 1, 1)), time: None, zone: &TimeZone::UTC };
    let whole = format!("{base}{rest}");
    let read = |text: &str| recurrence::rule(text, &first, &mut Findings::default());
    let (full, short) = (read(&whole), read(&base));
    match (full, short) {
        (Some(rule), _) => rule,
        (None, Some(rule)) => {
            mapper.warn(schedule, "freq", &whole, format!("not a rule that calendars understand; read as {rule}"));
            rule
        }
        (None, None) => {
            mapper.warn(schedule, "freq", &whole, "not a rule that calendars understand");
            String::new()
        }
    }
}

fn date_text(date: Option<Date>) -> String {
    date.map(|date| date.to_string()).unwrap_or_default()
}
