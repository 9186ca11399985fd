//! schema.org objects (JSON-LD) for events and services.
//!
//! In: an entry and its body. Out: JSON; absolute http(s) URLs only, dates with their offset.
//! [`script_safe`] makes it fit to stand in a page. Spec: `spec/10-feed.md`, section 4.4.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::directory::Entry;
use super::hsds::object::Object;
use super::hsds::parts;
use super::hsds::provenance::{PublisherName, origin, provenance};
use super::hsds::record::translations;
use super::hsds::schedule::Rule;
use super::instant::{self, Local};
use super::language::Texts;
use super::reader::{Reader, body};
use super::reply::Refusal;
use super::safe;

/// schema.org's names of the days, from Monday.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// JSON text that cannot end a script element, whatever strings it holds.
pub(crate) fn script_safe(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

/// An event by itself, for change lists: other records by their ids, every translation.
pub(crate) fn event_alone(reader: &Reader<'_>, entry: &Entry, event: &v1::Event) -> Value {
    let texts = Texts::choose(&event.language, &event.translations, &[]);
    let reference = |id: &[u8], kind: &str| {
        let object = Object::default().text("@type", kind).linked_id("identifier", id);
        let url = fingerpost_proto::id::RecordId::from_slice(id).map(|id| reader.ask.url(&format!("/directory/{id}")));
        url.map(|url| object.text("@id", &url).done())
    };
    let origin = origin!(event);
    let extra = provenance(reader.ask, entry, &origin, PublisherName::LeftOut)
        .text("rich_description", &event.rich_description)
        .text("rrule", &event.rrule)
        .text("timezone", &event.timezone)
        .linked_id("service_id", &event.service)
        .value("translations", translations(&event.translations));
    let place = reference(&event.location, "Place");
    let organiser = reference(&event.organiser, "Organization");
    own(reader, entry, event, &texts, place)
        .value("organizer", organiser)
        .value("x_fingerpost", Some(extra.done()))
        .done()
}

/// An event with its place and organiser, for a page about it.
pub(crate) fn event(reader: &Reader<'_>, entry: &Entry, event: &v1::Event) -> Result<Value, Refusal> {
    let texts = Texts::choose(&event.language, &event.translations, &reader.ask.languages);
    let place = match reader.linked(&event.location, Kind::LOCATION)? {
        Some(linked) => body::<v1::Location>(&linked).map(|place| self::place(reader, &place)),
        None => None,
    };
    let organiser = organisation(reader, &event.organiser)?;
    Ok(own(reader, entry, event, &texts, place).value("organizer", organiser).done())
}

fn own(reader: &Reader<'_>, entry: &Entry, event: &v1::Event, texts: &Texts<'_>, place: Option<Value>) -> Object {
    let zone = instant::zone(&event.timezone);
    let when = |text: &str| Local::parse(text).map(|local| local.iso(zone.as_ref())).unwrap_or_default();
    let status = match event.status() {
        v1::EventStatus::Unspecified | v1::EventStatus::Scheduled => "EventScheduled",
        v1::EventStatus::Cancelled => "EventCancelled",
        v1::EventStatus::Postponed => "EventPostponed",
        v1::EventStatus::Rescheduled => "EventRescheduled",
    };
    let attendance = match event.attendance() {
        v1::Attendance::Unspecified | v1::Attendance::InPerson => "OfflineEventAttendanceMode",
        v1::Attendance::Online => "OnlineEventAttendanceMode",
        v1::Attendance::Mixed => "MixedEventAttendanceMode",
    };
    let keywords: Vec<Value> =
        event.terms.iter().filter(|term| !term.label.is_empty()).map(|term| Value::from(term.label.as_str())).collect();
    let languages: Vec<Value> = event.languages.iter().map(|language| Value::from(language.tag.as_str())).collect();
    Object::default()
        .text("@context", "https://schema.org")
        .text("@type", "Event")
        .text("@id", &reader.ask.url(&format!("/directory/{}", entry.record)))
        .text("identifier", &entry.record.to_string())
        .text("name", texts.get("name", &event.name))
        .text("description", texts.get("description", &event.description))
        .text("startDate", &when(&event.start))
        .text("endDate", &when(&event.end))
        .text("previousStartDate", &when(&event.previous_start))
        .text("eventStatus", &format!("https://schema.org/{status}"))
        .text("eventAttendanceMode", &format!("https://schema.org/{attendance}"))
        .value("location", event_location(event, texts, place))
        .value("eventSchedule", event_schedule(event, zone.as_ref()))
        .url("url", &event.url)
        .value("image", safe::web_address(&event.image_url))
        .value("isAccessibleForFree", event.is_free)
        .list("offers", offers(event))
        .list("inLanguage", languages)
        .list("keywords", keywords)
        .value("maximumAttendeeCapacity", event.capacity_maximum)
        .value("remainingAttendeeCapacity", event.capacity_available)
}

fn event_location(event: &v1::Event, texts: &Texts<'_>, place: Option<Value>) -> Option<Value> {
    let text = texts.get("location_text", &event.location_text);
    let place =
        place.or_else(|| (!text.trim().is_empty()).then(|| json!({ "@type": "Place", "name": text, "address": text })));
    let online = (event.attendance() == v1::Attendance::Online || event.attendance() == v1::Attendance::Mixed)
        .then(|| safe::web_address(&event.join_url).or_else(|| safe::web_address(&event.url)))
        .flatten()
        .map(|url| json!({ "@type": "VirtualLocation", "url": url }));
    match (place, online) {
        (Some(place), Some(online)) => Some(Value::Array(vec![place, online])),
        (place, online) => place.or(online),
    }
}

fn event_schedule(event: &v1::Event, zone: Option<&TimeZone>) -> Option<Value> {
    let rule = Rule::parse(&event.rrule)?;
    let start = Local::parse(&event.start)?;
    let interval = rule.get("INTERVAL").and_then(|text| text.parse::<u32>().ok()).unwrap_or(1);
    let unit = match rule.get("FREQ")? {
        "DAILY" => "D",
        "WEEKLY" => "W",
        "MONTHLY" => "M",
        "YEARLY" => "Y",
        _ => return None,
    };
    let weekdays = rule.weekdays(&event.start).unwrap_or_default();
    let days: Vec<Value> = DAYS
        .iter()
        .zip(weekdays)
        .filter(|(_, on)| *on)
        .map(|(day, _)| Value::from(format!("https://schema.org/{day}")))
        .collect();
    let except = event.except_starts.iter().filter_map(|text| Local::parse(text)).map(|local| local.iso(zone).into());
    let object = Object::default()
        .text("@type", "Schedule")
        .text("repeatFrequency", &format!("P{interval}{unit}"))
        .text("startDate", &start.date().to_string())
        .text("scheduleTimezone", &event.timezone)
        .list("byDay", days)
        .list("exceptDate", except.collect());
    let object = match start {
        Local::Time(time) => object.text("startTime", &time.strftime("%H:%M:%S").to_string()),
        Local::Day(_) => object,
    };
    Some(object.done())
}

fn offers(event: &v1::Event) -> Vec<Value> {
    let booking = safe::web_address(&event.booking_url).unwrap_or_default();
    let costs = event.costs.iter().filter(|cost| cost.amount.parse::<f64>().is_ok_and(f64::is_finite)).map(|cost| {
        Object::default()
            .text("@type", "Offer")
            .text("name", &cost.option)
            .text("price", &cost.amount)
            .text("priceCurrency", &cost.currency)
            .text("url", &booking)
            .done()
    });
    let mut offers: Vec<Value> = costs.collect();
    if offers.is_empty() && !booking.is_empty() {
        offers.push(Object::default().text("@type", "Offer").text("url", &booking).done());
    }
    offers
}

/// A service with its provider.
pub(crate) fn service(reader: &Reader<'_>, entry: &Entry, service: &v1::Service) -> Result<Value, Refusal> {
    let texts = Texts::choose(&service.language, &service.translations, &reader.ask.languages);
    let areas = service.service_areas.iter().map(|area| area.name.as_str()).filter(|name| !name.is_empty());
    let opening = service.schedules.iter().filter_map(opening_hours);
    let contact = Object::default()
        .text("@type", "ServiceChannel")
        .url("serviceUrl", &service.url)
        .list(
            "availableLanguage",
            service.languages.iter().map(|language| Value::from(language.tag.as_str())).collect(),
        )
        .value(
            "servicePhone",
            service.phones.first().map(|phone| json!({ "@type": "ContactPoint", "telephone": phone.number })),
        );
    let object = Object::default()
        .text("@context", "https://schema.org")
        .text("@type", "Service")
        .text("@id", &reader.ask.url(&format!("/directory/{}", entry.record)))
        .text("identifier", &entry.record.to_string())
        .text("name", texts.get("name", &service.name))
        .text("description", texts.get("description", &service.description))
        .url("url", &service.url)
        .list("areaServed", areas.map(Value::from).collect())
        .list("hoursAvailable", opening.collect())
        .value("availableChannel", Some(contact.done()))
        .value("provider", organisation(reader, &service.organisation)?);
    Ok(object.done())
}

fn opening_hours(schedule: &v1::Schedule) -> Option<Value> {
    let weekdays = Rule::parse(&schedule.rrule)?.weekdays(&schedule.starts_on)?;
    let days: Vec<Value> = DAYS
        .iter()
        .zip(weekdays)
        .filter(|(_, on)| *on)
        .map(|(day, _)| Value::from(format!("https://schema.org/{day}")))
        .collect();
    let object = Object::default()
        .text("@type", "OpeningHoursSpecification")
        .list("dayOfWeek", days)
        .text("opens", &schedule.opens_at)
        .text("closes", if schedule.closes_at == "24:00" { "23:59" } else { &schedule.closes_at })
        .text("validFrom", &schedule.valid_from)
        .text("validThrough", &schedule.valid_to);
    Some(object.done())
}

fn organisation(reader: &Reader<'_>, id: &[u8]) -> Result<Option<Value>, Refusal> {
    let Some(linked) = reader.linked(id, Kind::ORGANISATION)? else { return Ok(None) };
    let Some(organisation) = body::<v1::Organisation>(&linked) else { return Ok(None) };
    let texts = Texts::choose(&organisation.language, &organisation.translations, &reader.ask.languages);
    let object = Object::default()
        .text("@type", "Organization")
        .text("@id", &reader.ask.url(&format!("/directory/{}", linked.record)))
        .text("name", texts.get("name", &organisation.name))
        .url("url", &organisation.website)
        .email("email", &organisation.email);
    Ok(Some(object.done()))
}

/// A `Place`; a withheld one has no address and no position.
fn place(reader: &Reader<'_>, location: &v1::Location) -> Value {
    let texts = Texts::choose(&location.language, &location.translations, &reader.ask.languages);
    let object = Object::default().text("@type", "Place").text("name", texts.get("name", &location.name));
    if location.r#type() == v1::LocationType::Withheld {
        let area = location.areas.first().map(|area| area.name.as_str()).unwrap_or_default();
        return object.text("address", area).done();
    }
    let address = location.addresses.first().map(|address| {
        let street: Vec<&str> =
            [address.line_1.as_str(), &address.line_2].into_iter().filter(|line| !line.is_empty()).collect();
        Object::default()
            .text("@type", "PostalAddress")
            .text("streetAddress", &street.join(", "))
            .text("addressLocality", &address.city)
            .text("addressRegion", if address.region.is_empty() { &address.state_province } else { &address.region })
            .text("postalCode", &address.postal_code)
            .text("addressCountry", &address.country)
            .done()
    });
    let position = location.latitude_e7.zip(location.longitude_e7).map(|(latitude, longitude)| {
        json!({
            "@type": "GeoCoordinates",
            "latitude": f64::from(latitude) / 1e7,
            "longitude": f64::from(longitude) / 1e7,
        })
    });
    object.value("address", address).value("geo", position).done()
}

/// Lines of an address for people.
pub(crate) fn address_lines(address: &v1::Address) -> Vec<String> {
    let country = parts::country_name(&address.country.to_ascii_uppercase());
    let country = if country.is_empty() { address.country.as_str() } else { country };
    [
        address.attention.as_str(),
        &address.line_1,
        &address.line_2,
        &address.city,
        &address.region,
        &address.state_province,
        &address.postal_code,
        country,
    ]
    .into_iter()
    .filter(|line| !line.trim().is_empty())
    .map(str::to_owned)
    .collect()
}
