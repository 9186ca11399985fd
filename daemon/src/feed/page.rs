//! Plain HTML pages: start page, list with search, one record, errors. No script, nothing loaded from elsewhere.
//!
//! In: a request. Out: HTML in which every foreign text is escaped by the template and marked with its language and
//! direction. Spec: `spec/10-feed.md`, section 4.6. Tested: `feed/tests/page.rs`.

use askama::Template;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;

use super::directory::Entry;
use super::hsds::provenance::publisher_name;
use super::instant::{self, Local};
use super::language::{self, Text, Texts};
use super::limits::HTML_ENTRIES_PER_PAGE;
use super::reader::{Reader, body};
use super::reply::{Refusal, Reply};
use super::{Feed, PAGE_KINDS, safe, search};

mod hours;
mod record;

pub(crate) use record::record;

/// Characters of a description in a list.
const SUMMARY_CHARS: usize = 240;

/// One choice of a form or list of links.
struct Choice {
    name: String,
    label: String,
    chosen: bool,
    count: usize,
}

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage {
    network: String,
    licence: String,
    kinds: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage {
    network: String,
    licence: String,
    heading: &'static str,
    message: String,
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    network: String,
    licence: String,
    heading: &'static str,
    words: String,
    kinds: Vec<Choice>,
    languages: Vec<Choice>,
    summary: String,
    warning: String,
    entries: Vec<Listed>,
    keep_language: String,
    previous: String,
    next: String,
}

/// One record in a list.
struct Listed {
    id: String,
    title: Text,
    summary: Text,
    warning: String,
    when: String,
    publisher: String,
    confirmed: String,
}

pub(super) fn rendered(reader: &Reader<'_>, page: &impl Template) -> Result<Reply, Refusal> {
    let html = page.render().map_err(|error| Refusal::Rendering { reason: error.to_string() })?;
    let mut reply = Reply::html(html);
    reply.content_language = reader.content_language();
    reply.vary = "Accept, Accept-Language";
    Ok(reply)
}

/// The licence as a link target.
pub(super) fn licence(reader: &Reader<'_>) -> String {
    safe::web_address(&reader.directory().licence_url()).unwrap_or_else(|| "/".to_owned())
}

/// The start page.
pub(crate) fn start(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let kind = |(kind, name, label): &(Kind, &str, &str)| Choice {
        name: (*name).to_owned(),
        label: (*label).to_owned(),
        chosen: false,
        count: reader.directory().count(*kind),
    };
    let page = StartPage {
        network: reader.network_name(),
        licence: licence(reader),
        kinds: PAGE_KINDS.iter().map(kind).collect(),
    };
    rendered(reader, &page)
}

/// A page that says why there is no other.
pub(crate) fn refused(reader: &Reader<'_>, refusal: Refusal) -> Reply {
    let status = refusal.status();
    let heading = match status.as_u16() {
        404 => "Not found",
        410 => "No longer there",
        400 | 414 => "That did not work",
        405 => "Not possible here",
        _ => "Not available at the moment",
    };
    let page =
        RefusedPage { network: reader.network_name(), licence: licence(reader), heading, message: refusal.message() };
    match rendered(reader, &page) {
        Ok(reply) => Reply { status, cache_control: "no-store", ..reply },
        Err(_) => refusal.into_json_reply(),
    }
}

/// `GET /directory`.
pub(crate) fn list(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let ask = reader.ask;
    let kind_name = ask.text("kind")?.unwrap_or(PAGE_KINDS[0].1);
    let Some(&(kind, kind_name, heading)) = PAGE_KINDS.iter().find(|(_, name, _)| *name == kind_name) else {
        let found = kind_name.chars().take(100).collect();
        return Err(Refusal::Parameter { name: "kind", found, wanted: "service, event, organisation or location" });
    };
    let words = ask.words("q")?;
    let language = ask.text("language")?.unwrap_or_default().to_ascii_lowercase();
    if !language.is_empty() && !language::is_tag(&language) {
        return Err(Refusal::Parameter { name: "language", found: language, wanted: "a language tag like en or ar" });
    }
    let number = ask.page_number()?;
    let offset = (number - 1).saturating_mul(HTML_ENTRIES_PER_PAGE);
    let mut warning = String::new();
    let (total, entries) = if words.is_empty() && language.is_empty() {
        (reader.directory().count(kind), reader.page(kind, offset, HTML_ENTRIES_PER_PAGE)?)
    } else {
        let found = search::scan(reader, kind, |entry| passes(entry, &words, &language))?;
        if found.cut_short {
            warning = search::cut_short_warning();
        }
        let mut entries = Vec::new();
        for id in found.ids.iter().skip(offset).take(HTML_ENTRIES_PER_PAGE) {
            entries.extend(reader.linked(id.as_ref(), kind)?.map(|entry| (*entry).clone()));
        }
        (found.ids.len(), entries)
    };
    let link = |page: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("kind", kind_name);
        for (name, value) in [("q", ask.text("q")?), ("language", ask.text("language")?), ("lang", ask.text("lang")?)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &page.to_string());
        Ok::<String, Refusal>(format!("/directory?{}", query.finish()))
    };
    let page = ListPage {
        network: reader.network_name(),
        licence: licence(reader),
        heading,
        words: safe::line(ask.text("q")?.unwrap_or_default()),
        kinds: PAGE_KINDS
            .iter()
            .map(|(_, name, label)| Choice {
                name: (*name).to_owned(),
                label: (*label).to_owned(),
                chosen: *name == kind_name,
                count: 0,
            })
            .collect(),
        languages: language::NAMES
            .iter()
            .map(|(tag, name)| Choice {
                name: (*tag).to_owned(),
                label: (*name).to_owned(),
                chosen: *tag == language,
                count: 0,
            })
            .collect(),
        summary: summary(total, offset, entries.len()),
        warning,
        entries: entries.iter().filter_map(|entry| listed(reader, entry)).collect(),
        keep_language: ask.text("lang")?.map(|tag| format!("?lang={tag}")).unwrap_or_default(),
        previous: if number > 1 && total > 0 { link(number - 1)? } else { String::new() },
        next: if offset + entries.len() < total && !entries.is_empty() { link(number + 1)? } else { String::new() },
    };
    rendered(reader, &page)
}

fn summary(total: usize, offset: usize, shown: usize) -> String {
    match (total, shown) {
        (0, _) => "Nothing found.".to_owned(),
        (_, 0) => format!("{total} found; this page is beyond the last."),
        _ => format!("{} to {} of {total}.", offset + 1, offset + shown),
    }
}

fn passes(entry: &Entry, words: &[String], language: &str) -> bool {
    let (has_words, languages) = match entry.kind {
        Kind::SERVICE => body::<v1::Service>(entry).map(|service| {
            let spoken = service.languages.iter().map(|l| l.tag.clone());
            (
                search::service_has(&service, words),
                spoken.chain(written(&service.language, &service.translations)).collect(),
            )
        }),
        Kind::EVENT => body::<v1::Event>(entry).map(|event| {
            let spoken = event.languages.iter().map(|l| l.tag.clone());
            (search::event_has(&event, words), spoken.chain(written(&event.language, &event.translations)).collect())
        }),
        Kind::ORGANISATION => body::<v1::Organisation>(entry).map(|organisation| {
            let written = written(&organisation.language, &organisation.translations);
            (search::organisation_has(&organisation, words), written.collect())
        }),
        Kind::LOCATION => body::<v1::Location>(entry).map(|location| {
            let written = written(&location.language, &location.translations);
            (search::location_has(&location, words), written.collect())
        }),
        _ => None,
    }
    .unwrap_or((false, Vec::<String>::new()));
    let wanted =
        |tag: &String| tag.eq_ignore_ascii_case(language) || language::primary(tag).eq_ignore_ascii_case(language);
    has_words && (language.is_empty() || languages.iter().any(wanted))
}

fn written<'a>(own: &'a str, translations: &'a [v1::Translation]) -> impl Iterator<Item = String> + 'a {
    let own = if own.is_empty() { language::LANGUAGE_DEFAULT } else { own };
    std::iter::once(own.to_owned()).chain(translations.iter().map(|translation| translation.language.clone()))
}

fn listed(reader: &Reader<'_>, entry: &Entry) -> Option<Listed> {
    let wanted = &reader.ask.languages;
    let mut warning = String::new();
    let mut when = String::new();
    let (title, summary) = match entry.kind {
        Kind::SERVICE => {
            let service = body::<v1::Service>(entry)?;
            warning = record::service_warning(service.status()).to_owned();
            let texts = Texts::choose(&service.language, &service.translations, wanted);
            reader.note_languages(&texts);
            (texts.text("name", &service.name), texts.text("description", &service.description))
        }
        Kind::EVENT => {
            let event = body::<v1::Event>(entry)?;
            warning = record::event_warning(event.status()).to_owned();
            when = Local::parse(&event.start).map(Local::for_people).unwrap_or_default();
            let texts = Texts::choose(&event.language, &event.translations, wanted);
            (texts.text("name", &event.name), texts.text("description", &event.description))
        }
        Kind::ORGANISATION => {
            let organisation = body::<v1::Organisation>(entry)?;
            let texts = Texts::choose(&organisation.language, &organisation.translations, wanted);
            (texts.text("name", &organisation.name), texts.text("description", &organisation.description))
        }
        Kind::LOCATION => {
            let location = body::<v1::Location>(entry)?;
            let texts = Texts::choose(&location.language, &location.translations, wanted);
            (texts.text("name", &location.name), texts.text("description", &location.description))
        }
        _ => return None,
    };
    Some(Listed {
        id: entry.record.to_string(),
        title: or_id(title, entry),
        summary: shortened(summary),
        warning,
        when,
        publisher: publisher_name(entry),
        confirmed: instant::date_for_people(entry.hlc.ms()),
    })
}

/// A link must have a text to be followed.
fn or_id(mut title: Text, entry: &Entry) -> Text {
    if title.is_empty() {
        title.text = entry.record.to_string();
    }
    title
}

fn shortened(mut text: Text) -> Text {
    if let Some((end, _)) = text.text.char_indices().nth(SUMMARY_CHARS) {
        text.text.truncate(end);
        text.text.push('…');
    }
    text
}
