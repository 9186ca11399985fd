//! The page of one record.

use askama::Template;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;

use super::hours::{Hours, hours, in_words};
use super::{Choice, licence, or_id, rendered};
use crate::feed::directory::{Entry, Lookup};
use crate::feed::hsds::provenance::publisher_name;
use crate::feed::hsds::schedule::Rule;
use crate::feed::index::Filter;
use crate::feed::instant::{self, Local};
use crate::feed::language::{self, Text, Texts};
use crate::feed::limits::{HTML_ENTRIES_PER_PAGE, LOCATIONS_PER_RECORD_MAX};
use crate::feed::reader::{Reader, body};
use crate::feed::reply::{Refusal, Reply};
use crate::feed::{Feed, completeness, safe, structured};

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage {
    network: String,
    licence: String,
    id: String,
    kind: &'static str,
    title: Text,
    translations: Vec<Choice>,
    warnings: Vec<Text>,
    sections: Vec<Section>,
    hours: Vec<Hours>,
    publisher: String,
    role: &'static str,
    completeness: String,
    confirmed: String,
    lease_until: String,
    source: String,
    structured: String,
}

struct Section {
    heading: &'static str,
    lines: Vec<Line>,
}

/// A text, or a link when it has a target.
struct Line {
    text: Text,
    href: String,
    outside: bool,
    note: String,
}

impl Line {
    fn text(text: Text) -> Line {
        Line { text, href: String::new(), outside: false, note: String::new() }
    }

    fn link(href: String, text: Text, outside: bool) -> Line {
        Line { text, href, outside, note: String::new() }
    }
}

/// What the kinds fill in.
struct Draft<'a> {
    texts: Texts<'a>,
    title: Text,
    warnings: Vec<Text>,
    sections: Vec<Section>,
    hours: Vec<Hours>,
    role: v1::Role,
    source: String,
    structured: Option<serde_json::Value>,
    own_language: &'a str,
    translations: &'a [v1::Translation],
}

impl<'a> Draft<'a> {
    fn new(reader: &Reader<'_>, own_language: &'a str, translations: &'a [v1::Translation]) -> Draft<'a> {
        Draft {
            texts: Texts::choose(own_language, translations, &reader.ask.languages),
            title: Text::default(),
            warnings: Vec::new(),
            sections: Vec::new(),
            hours: Vec::new(),
            role: v1::Role::Unspecified,
            source: String::new(),
            structured: None,
            own_language,
            translations,
        }
    }

    fn section(&mut self, heading: &'static str, lines: Vec<Line>) {
        if !lines.is_empty() {
            self.sections.push(Section { heading, lines });
        }
    }

    fn field(&mut self, heading: &'static str, field: &str, plain: &'a str) {
        let text = self.texts.text(field, plain);
        if !text.is_empty() {
            self.section(heading, vec![Line::text(text)]);
        }
    }

    fn plain(&self, text: &str) -> Line {
        Line::text(self.texts.plain(text))
    }

    fn phones(&self, phones: &[v1::Phone]) -> Vec<Line> {
        let one = |phone: &v1::Phone| {
            let languages: Vec<&str> = phone.languages.iter().map(|tag| language::name(tag)).collect();
            let mut notes = vec![phone.description.clone(), languages.join(", ")];
            if !phone.extension.is_empty() {
                notes.insert(0, format!("extension {}", phone.extension));
            }
            notes.retain(|note| !note.trim().is_empty());
            let note = notes.join(", ");
            match safe::telephone_link(&phone.number) {
                Some(href) => Line { note, ..Line::link(href, self.texts.plain(&phone.number), false) },
                None => self.plain(&format!("{} {note}", phone.number)),
            }
        };
        phones.iter().map(one).collect()
    }

    fn email(&self, address: &str) -> Option<Line> {
        // "%" starts an escape and "?" the headers of a mail link.
        let email = safe::email(address)?;
        let href = format!("mailto:{}", email.replace('%', "%25").replace('?', "%3F").replace('&', "%26"));
        Some(Line::link(href, self.texts.plain(email), false))
    }

    fn website(&self, url: &str) -> Option<Line> {
        Some(Line::link(safe::web_address(url)?, self.texts.plain(url.trim()), true))
    }

    fn contacts(&self, contacts: &[v1::Contact]) -> Vec<Line> {
        let mut lines = Vec::new();
        for contact in contacts {
            let mut names = vec![contact.title.as_str(), &contact.name, &contact.department];
            names.retain(|name| !name.trim().is_empty());
            if !names.is_empty() {
                lines.push(self.plain(&names.join(", ")));
            }
            lines.extend(self.phones(&contact.phones));
            lines.extend(self.email(&contact.email));
        }
        lines
    }
}

/// `GET /directory/{id}`.
pub(crate) fn record(feed: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let entry = match reader.directory().record(&reader.ask.record_in_path()?)? {
        Lookup::Live(entry) => entry,
        Lookup::Gone { kind } => return Err(Refusal::Gone { kind }),
        Lookup::Unknown => return Err(Refusal::NotFound { what: "entry".to_owned() }),
    };
    let missing = || Refusal::NotFound { what: "readable entry".to_owned() };
    match entry.kind {
        Kind::SERVICE => {
            let service = body::<v1::Service>(&entry).ok_or_else(missing)?;
            finish(reader, &entry, service_draft(reader, &entry, &service)?)
        }
        Kind::EVENT => {
            let event = body::<v1::Event>(&entry).ok_or_else(missing)?;
            finish(reader, &entry, event_draft(reader, &entry, &event)?)
        }
        Kind::ORGANISATION => {
            let organisation = body::<v1::Organisation>(&entry).ok_or_else(missing)?;
            finish(reader, &entry, organisation_draft(feed, reader, &entry, &organisation)?)
        }
        Kind::LOCATION => {
            let location = body::<v1::Location>(&entry).ok_or_else(missing)?;
            finish(reader, &entry, location_draft(reader, &location))
        }
        _ => Err(missing()),
    }
}

fn finish(reader: &Reader<'_>, entry: &Entry, draft: Draft<'_>) -> Result<Reply, Refusal> {
    let own = if draft.own_language.is_empty() { language::LANGUAGE_DEFAULT } else { draft.own_language };
    let languages = std::iter::once(own).chain(draft.translations.iter().map(|t| t.language.as_str()));
    let choices: Vec<Choice> = languages
        .filter(|tag| language::is_tag(tag))
        .map(|tag| Choice { name: tag.to_owned(), label: language::name(tag).to_owned(), chosen: false, count: 0 })
        .collect();
    reader.note_languages(&draft.texts);
    let page = RecordPage {
        network: reader.network_name(),
        licence: licence(reader),
        id: entry.record.to_string(),
        kind: match entry.kind {
            Kind::SERVICE => "Service",
            Kind::EVENT => "Event",
            Kind::ORGANISATION => "Organisation",
            _ => "Place",
        },
        title: or_id(draft.title, entry),
        translations: if choices.len() > 1 { choices } else { Vec::new() },
        warnings: draft.warnings,
        sections: draft.sections,
        hours: draft.hours,
        publisher: publisher_name(entry),
        role: match draft.role {
            v1::Role::Owner => "who run it",
            v1::Role::Assurer => "who checked it with those who run it",
            v1::Role::Compiler => "who collected it; those who run it have not checked it",
            v1::Role::Unspecified => "",
        },
        completeness: completeness::words(reader.directory(), &entry.org),
        confirmed: instant::date_for_people(entry.hlc.ms()),
        lease_until: instant::date_for_people(entry.lease_until.start_ms()),
        source: safe::web_address(&draft.source).unwrap_or_default(),
        structured: draft.structured.as_ref().map(structured::script_safe).unwrap_or_default(),
    };
    rendered(reader, &page)
}

fn english(text: &str) -> Text {
    Text { text: text.to_owned(), language: "en".to_owned() }
}

/// What a reader must see first about a service; empty when it is active.
pub(super) fn service_warning(status: v1::ServiceStatus) -> &'static str {
    match status {
        v1::ServiceStatus::Unspecified | v1::ServiceStatus::Active => "",
        v1::ServiceStatus::Inactive => "Not running at the moment",
        v1::ServiceStatus::Defunct => "Closed for good",
        v1::ServiceStatus::TemporarilyClosed => "Temporarily closed",
    }
}

/// What a reader must see first about an event; empty when it goes ahead as planned.
pub(super) fn event_warning(status: v1::EventStatus) -> &'static str {
    match status {
        v1::EventStatus::Unspecified | v1::EventStatus::Scheduled => "",
        v1::EventStatus::Cancelled => "Cancelled",
        v1::EventStatus::Postponed => "Postponed: no new date yet",
        v1::EventStatus::Rescheduled => "Moved to another time",
    }
}

fn service_draft<'a>(reader: &Reader<'_>, entry: &Entry, service: &'a v1::Service) -> Result<Draft<'a>, Refusal> {
    let mut draft = Draft::new(reader, &service.language, &service.translations);
    draft.role = service.role();
    draft.source = service.source_url.clone();
    draft.title = draft.texts.text("name", &service.name);
    draft.structured = Some(structured::service(reader, entry, service)?);
    let status = service_warning(service.status());
    draft.warnings =
        [english(status), draft.texts.text("alert", &service.alert)].into_iter().filter(|t| !t.is_empty()).collect();
    draft.field("", "description", &service.description);
    let mut contact = draft.phones(&service.phones);
    contact.extend(draft.email(&service.email));
    contact.extend(draft.website(&service.url));
    contact.extend(draft.contacts(&service.contacts));
    draft.section("Contact", contact);
    draft.field("How to get it", "application_process", &service.application_process);
    draft.field("Who it is for", "eligibility_description", &service.eligibility_description);
    let ages = match (service.minimum_age, service.maximum_age) {
        (None, None) => String::new(),
        (Some(least), None) => format!("From {least} years"),
        (None, Some(most)) => format!("Up to {most} years"),
        (Some(least), Some(most)) => format!("{least} to {most} years"),
    };
    if !ages.is_empty() {
        draft.section("Ages", vec![Line::text(english(&ages))]);
    }
    draft.field("Cost", "fees_description", &service.fees_description);
    let documents = service.required_documents.iter().map(|document| draft.plain(document)).collect();
    draft.section("What to bring", documents);
    let languages = service.languages.iter().map(|l| {
        let gap = if l.note.is_empty() { "" } else { ": " };
        Line::text(english(&format!("{}{gap}{}", language::name(&l.tag), l.note)))
    });
    draft.section("Languages spoken", languages.collect());
    draft.field("Interpreters", "interpretation_services", &service.interpretation_services);
    draft.field("Waiting time", "wait_time", &service.wait_time);
    let areas = service.service_areas.iter().filter(|area| !area.name.is_empty()).map(|area| draft.plain(&area.name));
    let areas = areas.collect();
    draft.section("Where it helps", areas);
    draft.hours.extend(hours("Opening hours".to_owned(), &service.schedules, &draft.texts));
    for link in service.locations.iter().take(LOCATIONS_PER_RECORD_MAX) {
        let Some(linked) = reader.linked(&link.location, Kind::LOCATION)? else { continue };
        let Some(location) = body::<v1::Location>(&linked) else { continue };
        let mut lines = place_lines(reader, &linked, &location);
        lines.extend(draft.phones(&link.phones));
        if !link.description.is_empty() {
            lines.push(draft.plain(&link.description));
        }
        draft.section("Where", lines);
        let heading = format!("Opening hours: {}", location.name);
        draft.hours.extend(hours(heading, &link.schedules, &draft.texts));
    }
    let organisation = organisation_line(reader, &service.organisation)?;
    draft.section("Provided by", organisation.into_iter().collect());
    Ok(draft)
}

fn event_draft<'a>(reader: &Reader<'_>, entry: &Entry, event: &'a v1::Event) -> Result<Draft<'a>, Refusal> {
    let mut draft = Draft::new(reader, &event.language, &event.translations);
    draft.role = event.role();
    draft.source = event.source_url.clone();
    draft.title = draft.texts.text("name", &event.name);
    draft.structured = Some(structured::event(reader, entry, event)?);
    let status = event_warning(event.status());
    draft.warnings = [english(status), draft.texts.text("status_note", &event.status_note)]
        .into_iter()
        .filter(|t| !t.is_empty())
        .collect();
    let when = |text: &str| Local::parse(text).map(Local::for_people).unwrap_or_default();
    let mut times = vec![when(&event.start)];
    if !event.end.is_empty() && !event.all_day {
        times.push(format!("until {}", when(&event.end)));
    }
    if !event.all_day && !event.timezone.is_empty() {
        times.push(format!("({})", event.timezone));
    }
    if !event.rrule.is_empty() {
        let words = Rule::parse(&event.rrule).map_or_else(|| event.rrule.clone(), |rule| in_words(&rule, &event.rrule));
        times.push(format!("Repeats {words}"));
    }
    for occurrence in &event.occurrences {
        let change = match event_warning(occurrence.status()) {
            "" if occurrence.start.is_empty() => "changed".to_owned(),
            "" => format!("moved to {}", when(&occurrence.start)),
            warning => warning.to_lowercase(),
        };
        times.push(format!("{}: {change}. {}", when(&occurrence.original_start), occurrence.note));
    }
    let times = times.iter().filter(|text| !text.is_empty());
    let times = times.map(|text| Line::text(english(text)));
    draft.section("When", times.collect());
    draft.field("", "description", &event.description);
    match reader.linked(&event.location, Kind::LOCATION)? {
        Some(linked) => {
            if let Some(location) = body::<v1::Location>(&linked) {
                draft.section("Where", place_lines(reader, &linked, &location));
            }
        }
        None => draft.field("Where", "location_text", &event.location_text),
    }
    let online = draft.website(&event.join_url);
    draft.section("Take part online", online.into_iter().collect());
    let booking = draft.website(&event.booking_url);
    draft.section("Book", booking.into_iter().collect());
    let website = draft.website(&event.url);
    draft.section("More", website.into_iter().collect());
    let contacts = draft.contacts(&event.contacts);
    draft.section("Contact", contacts);
    draft.section("Held by", organisation_line(reader, &event.organiser)?.into_iter().collect());
    if let Some(linked) = reader.linked(&event.service, Kind::SERVICE)?
        && let Some(service) = body::<v1::Service>(&linked)
    {
        let texts = Texts::choose(&service.language, &service.translations, &reader.ask.languages);
        let link = Line::link(format!("/directory/{}", linked.record), texts.text("name", &service.name), false);
        draft.section("Part of", vec![link]);
    }
    Ok(draft)
}

fn organisation_draft<'a>(
    feed: &Feed,
    reader: &Reader<'_>,
    entry: &Entry,
    organisation: &'a v1::Organisation,
) -> Result<Draft<'a>, Refusal> {
    let mut draft = Draft::new(reader, &organisation.language, &organisation.translations);
    draft.role = organisation.role();
    draft.source = organisation.source_url.clone();
    draft.title = draft.texts.text("name", &organisation.name);
    draft.field("", "description", &organisation.description);
    let mut contact = draft.phones(&organisation.phones);
    contact.extend(draft.email(&organisation.email));
    contact.extend(draft.website(&organisation.website));
    contact.extend(draft.contacts(&organisation.contacts));
    draft.section("Contact", contact);
    for place in organisation.locations.iter().take(LOCATIONS_PER_RECORD_MAX) {
        let Some(linked) = reader.linked(place, Kind::LOCATION)? else { continue };
        if let Some(location) = body::<v1::Location>(&linked) {
            draft.section("Where", place_lines(reader, &linked, &location));
        }
    }
    let filter = Filter { organisation: Some(entry.record), ..Filter::default() };
    let (total, services) = feed.index.services(reader.directory(), &filter, 0, HTML_ENTRIES_PER_PAGE)?;
    let mut lines = Vec::new();
    for id in services {
        let Some(linked) = reader.linked(id.as_ref(), Kind::SERVICE)? else { continue };
        if let Some(service) = body::<v1::Service>(&linked) {
            let texts = Texts::choose(&service.language, &service.translations, &reader.ask.languages);
            lines.push(Line::link(format!("/directory/{id}"), texts.text("name", &service.name), false));
        }
    }
    if total > HTML_ENTRIES_PER_PAGE {
        lines.push(draft.plain(&format!("and {} more", total - HTML_ENTRIES_PER_PAGE)));
    }
    draft.section("Services", lines);
    Ok(draft)
}

fn location_draft<'a>(reader: &Reader<'_>, location: &'a v1::Location) -> Draft<'a> {
    let mut draft = Draft::new(reader, &location.language, &location.translations);
    let withheld = location.r#type() == v1::LocationType::Withheld;
    draft.role = location.role();
    draft.title = draft.texts.text("name", &location.name);
    draft.field("", "description", &location.description);
    let lines = address_lines(location).iter().map(|line| draft.plain(line)).collect();
    draft.section("Where", lines);
    if !withheld {
        draft.source = location.source_url.clone();
        draft.field("How to get there", "transportation", &location.transportation);
        let links = [&location.url, &location.map_url].into_iter().filter_map(|url| draft.website(url)).collect();
        draft.section("More", links);
    }
    let access =
        location.accessibility.iter().map(|part| draft.plain(&part.description)).filter(|line| !line.text.is_empty());
    let access = access.collect();
    draft.section("Accessibility", access);
    let phones = draft.phones(&location.phones);
    draft.section("Contact", phones);
    draft.hours.extend(hours("Opening hours".to_owned(), &location.schedules, &draft.texts));
    draft
}

/// Address lines; for a withheld place only what it says about its area.
fn address_lines(location: &v1::Location) -> Vec<String> {
    if location.r#type() == v1::LocationType::Withheld {
        let mut lines: Vec<String> =
            location.areas.iter().map(|area| area.name.clone()).filter(|name| !name.is_empty()).collect();
        lines.push("The address is not published. Ask by telephone.".to_owned());
        return lines;
    }
    location.addresses.iter().map(|address| structured::address_lines(address).join(", ")).collect()
}

fn place_lines(reader: &Reader<'_>, entry: &Entry, location: &v1::Location) -> Vec<Line> {
    let texts = Texts::choose(&location.language, &location.translations, &reader.ask.languages);
    let name = or_id(texts.text("name", &location.name), entry);
    let mut lines = vec![Line::link(format!("/directory/{}", entry.record), name, false)];
    lines.extend(address_lines(location).iter().map(|line| Line::text(texts.plain(line))));
    reader.note_languages(&texts);
    lines
}

fn organisation_line(reader: &Reader<'_>, id: &[u8]) -> Result<Option<Line>, Refusal> {
    let Some(linked) = reader.linked(id, Kind::ORGANISATION)? else { return Ok(None) };
    let Some(organisation) = body::<v1::Organisation>(&linked) else { return Ok(None) };
    let texts = Texts::choose(&organisation.language, &organisation.translations, &reader.ask.languages);
    let name = or_id(texts.text("name", &organisation.name), &linked);
    Ok(Some(Line::link(format!("/directory/{}", linked.record), name, false)))
}
