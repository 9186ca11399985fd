//! Text search and other filters that need the bodies: a bounded walk over the records of one kind.
//!
//! Always: at most [`SCAN_RECORDS_MAX`] records are read, and the answer says when there were more.

use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;

use super::directory::Entry;
use super::limits::{CHUNK_RECORDS, SCAN_RECORDS_MAX};
use super::reader::Reader;
use super::reply::Refusal;

/// What a walk found.
pub(crate) struct Found {
    /// Ids of the records that passed, ascending.
    pub(crate) ids: Vec<RecordId>,
    /// True when records were left unread.
    pub(crate) cut_short: bool,
}

/// Ids of the visible records of `kind` that pass, by record id.
pub(crate) fn scan(reader: &Reader<'_>, kind: Kind, passes: impl Fn(&Entry) -> bool) -> Result<Found, Refusal> {
    let mut ids = Vec::new();
    let records_max = if is_out(Canary::SearchBound) { usize::MAX } else { SCAN_RECORDS_MAX };
    for offset in (0..records_max).step_by(CHUNK_RECORDS) {
        let entries = reader.scan_chunk(kind, offset, CHUNK_RECORDS)?;
        ids.extend(entries.iter().filter(|entry| passes(entry)).map(|entry| entry.record));
        if entries.len() < CHUNK_RECORDS {
            return Ok(Found { ids, cut_short: false });
        }
    }
    Ok(Found { ids, cut_short: reader.directory().count(kind) > SCAN_RECORDS_MAX })
}

/// Said with a result that is not complete.
pub(crate) fn cut_short_warning() -> String {
    format!("only the first {SCAN_RECORDS_MAX} records were searched")
}

/// True when every word occurs somewhere in the texts, in any language. Words are in lower case.
fn all_words(words: &[String], texts: &[&str], terms: &[v1::Term], translations: &[v1::Translation]) -> bool {
    if words.is_empty() {
        return true;
    }
    let mut all = texts.join("\n");
    for text in terms.iter().map(|term| &term.label).chain(translations.iter().flat_map(|t| &t.texts).map(|t| &t.text))
    {
        all.push('\n');
        all.push_str(text);
    }
    let all = all.to_lowercase();
    words.iter().all(|word| all.contains(word.as_str()))
}

/// True when the service has every word.
pub(crate) fn service_has(service: &v1::Service, words: &[String]) -> bool {
    let texts = [
        service.name.as_str(),
        &service.alternate_name,
        &service.description,
        &service.eligibility_description,
        &service.application_process,
        &service.alert,
    ];
    let terms: Vec<v1::Term> = service.terms.iter().chain(&service.audiences).cloned().collect();
    all_words(words, &texts, &terms, &service.translations)
}

/// True when the organisation has every word.
pub(crate) fn organisation_has(organisation: &v1::Organisation, words: &[String]) -> bool {
    let texts = [organisation.name.as_str(), &organisation.alternate_name, &organisation.description];
    all_words(words, &texts, &organisation.terms, &organisation.translations)
}

/// True when the event has every word.
pub(crate) fn event_has(event: &v1::Event, words: &[String]) -> bool {
    let texts = [event.name.as_str(), &event.description, &event.location_text];
    all_words(words, &texts, &event.terms, &event.translations)
}

/// True when the location has every word.
pub(crate) fn location_has(location: &v1::Location, words: &[String]) -> bool {
    let mut texts = vec![location.name.as_str(), &location.alternate_name, &location.description];
    if location.r#type() != v1::LocationType::Withheld {
        texts.extend(location.addresses.iter().flat_map(|a| [a.line_1.as_str(), &a.city, &a.postal_code]));
    }
    texts.extend(location.areas.iter().map(|area| area.name.as_str()));
    all_words(words, &texts, &[], &location.translations)
}

/// True when the term has every word.
pub(crate) fn term_has(term: &v1::Term, words: &[String]) -> bool {
    all_words(words, &[&term.label, &term.code, &term.description], &[], &[])
}
