//! HSDS JSON (3.0, 3.1 and the UK profile) becomes drafts.
//!
//! In: a page of services, a list, or one object; what it is is found by its fields. Out: one draft per organisation,
//! service and location, each once however often it is nested; their ids become local ids.
//! Always: a value that cannot be used is left out with a warning, because the file is usually somebody else's and one bad
//! field must not hide a service; only a record without id or name, or of a place that may be secret, is rejected.
//! Fields without a home in the record format are counted and listed at the end. Tested: `hsds/tests.rs`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::encoding::not_understood;
use super::problem::{Problem, Severity, excerpt};
use super::{ImportError, Place, ROWS_MAX, Reading};

mod field;
mod part;
mod record;

type Object = Map<String, Value>;

/// How deep records may be nested in records; HSDS needs three.
const DEPTH_MAX: usize = 8;

/// What a JSON object describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Organization,
    Service,
    Location,
    ServiceAtLocation,
    Taxonomy,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Class::Organization => "organization",
            Class::Service => "service",
            Class::Location => "location",
            Class::ServiceAtLocation => "service_at_location",
            Class::Taxonomy => "taxonomy or taxonomy term",
        }
    }

    /// Told apart by fields that only one of them has.
    fn of(object: &Object) -> Option<Class> {
        let has = |keys: &[&str]| keys.iter().any(|key| object.contains_key(*key));
        let is_link = has(&["service", "service_id"]) && has(&["location", "location_id"]) && !has(&["name"]);
        if is_link {
            return Some(Class::ServiceAtLocation);
        }
        if has(&["location_type", "addresses", "latitude"]) {
            return Some(Class::Location);
        }
        if has(&["status", "organization", "organization_id", "service_at_locations", "application_process"]) {
            return Some(Class::Service);
        }
        if has(&["id"])
            && has(&["term_uri", "taxonomy", "taxonomy_detail", "parent_id", "code", "version", "taxonomy_id"])
        {
            return Some(Class::Taxonomy);
        }
        (has(&["name"]) && has(&["id"])).then_some(Class::Organization)
    }
}

/// Records found so far, each once.
#[derive(Default)]
struct Collection {
    records: Vec<Record>,
    index: BTreeMap<(Class, String), usize>,
    /// Objects that could not be collected: path and why.
    lost: Vec<(String, &'static str)>,
    /// Taxonomy objects.
    skipped: u64,
    /// Records described in two ways: (record, field), and how often.
    conflicts: BTreeMap<(usize, String), u64>,
}

/// One organisation, service or location, its copies merged.
struct Record {
    class: Class,
    id: String,
    object: Object,
    /// Further copies of it in the file.
    copies: u64,
}

/// Reads one JSON file into `reading`.
pub(super) fn read(file: &str, text: &str, reading: &mut Reading<'_>) -> Result<(), ImportError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let fix = "export it again; a CSV file must not begin with { or [";
        not_understood(file, format!("this is no valid JSON ({error})"), fix)
    })?;
    let items = items(file, value, reading)?;
    let mut collection = Collection::default();
    for (index, item) in items.into_iter().enumerate() {
        collection.add(item, &format!("[{index}]"), 0);
        let found = (collection.records.len() + collection.lost.len()) as u64;
        if found > ROWS_MAX {
            let fix = "import the pages of the list one after the other";
            return Err(ImportError::TooMany { file: file.to_owned(), found, what: "records", max: ROWS_MAX, fix });
        }
    }
    if collection.records.is_empty() && collection.lost.is_empty() && collection.skipped == 0 {
        let fix = "give services, organizations or locations as HSDS 3 JSON";
        return Err(not_understood(file, "no HSDS record in it", fix));
    }
    collection.hand_on(file, reading);
    Ok(())
}

/// The objects of a page, a list, or the one object.
fn items(file: &str, value: Value, reading: &mut Reading<'_>) -> Result<Vec<Value>, ImportError> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Object(mut page) => match page.remove("contents") {
            Some(Value::Array(items)) => {
                let total = page.get("total_items").and_then(Value::as_u64).unwrap_or(0);
                if total > items.len() as u64 {
                    let reason = format!("this page has {} of {total} items", items.len());
                    reading.problems.warn_file(file, "one page of a list", reason, "import the other pages too");
                }
                Ok(items)
            }
            _ if Class::of(&page).is_some() => Ok(vec![Value::Object(page)]),
            _ => Err(not_understood(
                file,
                format!(
                    "a JSON object with the fields {}",
                    excerpt(&page.keys().cloned().collect::<Vec<_>>().join(", "))
                ),
                "give services, organizations or locations as HSDS 3 JSON",
            )),
        },
        _ => Err(not_understood(file, "JSON that is neither a list nor an object", "give HSDS 3 JSON")),
    }
}

impl Collection {
    /// Takes an object apart; gives class and id of the record it became.
    fn add(&mut self, value: Value, path: &str, depth: usize) -> Option<(Class, String)> {
        let Value::Object(object) = value else {
            self.lost.push((path.to_owned(), "not an object"));
            return None;
        };
        let Some(class) = Class::of(&object) else {
            self.lost.push((path.to_owned(), "not recognised as an organization, service or location"));
            return None;
        };
        self.add_as(class, object, path, depth)
    }

    fn add_as(&mut self, class: Class, mut object: Object, path: &str, depth: usize) -> Option<(Class, String)> {
        if depth > DEPTH_MAX {
            self.lost.push((path.to_owned(), "nested too deeply"));
            return None;
        }
        match class {
            Class::Taxonomy => {
                self.skipped += 1;
                return None;
            }
            Class::ServiceAtLocation => {
                self.add_link(object, path, depth);
                return None;
            }
            Class::Service => {
                if let Some(Value::Object(organization)) = object.remove("organization") {
                    let nested = format!("{path}.organization");
                    if let Some((_, id)) = self.add_as(Class::Organization, organization, &nested, depth + 1) {
                        object.insert("organization_id".into(), id.into());
                    }
                }
                self.extract(&mut object, "service_at_locations", "location", Class::Location, path, depth);
            }
            Class::Organization => {
                let id = object.get("id").cloned();
                self.extract_list(&mut object, "locations", Class::Location, path, depth);
                for (index, service) in take_list(&mut object, "services").into_iter().enumerate() {
                    let nested = format!("{path}.services[{index}]");
                    let Value::Object(mut service) = service else {
                        self.lost.push((nested, "not an object"));
                        continue;
                    };
                    if let (false, Some(id)) = (service.contains_key("organization"), &id) {
                        service.entry("organization_id").or_insert(id.clone());
                    }
                    self.add_as(Class::Service, service, &nested, depth + 1);
                }
            }
            Class::Location => {}
        }
        let Some(id) = id_text(object.get("id")) else {
            self.lost.push((format!("{path} ({})", class.name()), "it has no id"));
            return None;
        };
        self.merge(class, &id, object);
        Some((class, id))
    }

    /// A link between a service and a location that stands alone: it moves into the service.
    fn add_link(&mut self, mut link: Object, path: &str, depth: usize) {
        let mut end = |collection: &mut Collection, key: &str, class: Class| match link.remove(key) {
            Some(Value::Object(object)) => {
                collection.add_as(class, object, &format!("{path}.{key}"), depth + 1).map(|(_, id)| id)
            }
            _ => id_text(link.get(&format!("{key}_id"))),
        };
        let service = end(self, "service", Class::Service);
        let location = end(self, "location", Class::Location);
        let service = service.and_then(|id| self.index.get(&(Class::Service, id)).copied());
        match (service, location) {
            (Some(service), Some(location)) => {
                link.insert("location_id".into(), location.into());
                let links = self.records[service].object.entry("service_at_locations");
                if let Value::Array(links) = links.or_insert_with(|| Value::Array(Vec::new())) {
                    add_new(links, Value::Object(link));
                }
            }
            _ => self
                .lost
                .push((format!("{path} (service_at_location)"), "its service or location is missing or has no id")),
        }
    }

    /// Moves the object under `inner` of each entry of `list` out, leaving `<inner>_id`.
    fn extract(&mut self, object: &mut Object, list: &str, inner: &str, class: Class, path: &str, depth: usize) {
        let Some(Value::Array(entries)) = object.get_mut(list) else { return };
        for (index, entry) in entries.iter_mut().enumerate() {
            let Value::Object(entry) = entry else { continue };
            if let Some(Value::Object(nested)) = entry.remove(inner)
                && let Some((_, id)) = self.add_as(class, nested, &format!("{path}.{list}[{index}].{inner}"), depth + 1)
            {
                entry.insert(format!("{inner}_id"), id.into());
            }
        }
    }

    /// Moves the entries of `list` out, leaving their ids.
    fn extract_list(&mut self, object: &mut Object, list: &str, class: Class, path: &str, depth: usize) {
        let entries = take_list(object, list);
        if entries.is_empty() {
            return;
        }
        let mut ids = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            let nested = format!("{path}.{list}[{index}]");
            match (id_text(Some(&entry)), entry) {
                (Some(id), _) => ids.push(Value::from(id)),
                (None, Value::Object(entry)) => {
                    ids.extend(self.add_as(class, entry, &nested, depth + 1).map(|(_, id)| Value::from(id)));
                }
                (None, _) => self.lost.push((nested, "neither an object nor an id")),
            }
        }
        object.insert(list.to_owned(), Value::Array(ids));
    }

    /// Adds a record, or what another copy of it knows besides.
    fn merge(&mut self, class: Class, id: &str, object: Object) {
        let Some(index) = self.index.get(&(class, id.to_owned())).copied() else {
            self.index.insert((class, id.to_owned()), self.records.len());
            self.records.push(Record { class, id: id.to_owned(), object, copies: 0 });
            return;
        };
        self.records[index].copies += 1;
        for (key, value) in object {
            match self.records[index].object.get_mut(&key) {
                None | Some(Value::Null) => {
                    self.records[index].object.insert(key, value);
                }
                Some(Value::Array(known)) => {
                    if let Value::Array(entries) = value {
                        entries.into_iter().for_each(|entry| add_new(known, entry));
                    }
                }
                Some(known) if *known == value || value.is_null() => {}
                Some(_) => *self.conflicts.entry((index, key)).or_default() += 1,
            }
        }
    }

    /// Maps every record and reports what was left out.
    fn hand_on(self, file: &str, reading: &mut Reading<'_>) {
        let mut row = 0;
        let mut unknown = BTreeMap::new();
        for (index, record) in self.records.iter().enumerate() {
            row += 1;
            reading.rows_read += 1;
            let place = Place { file: file.to_owned(), row };
            let path = format!("{} {}", record.class.name(), excerpt(&record.id));
            for ((_, key), count) in self.conflicts.range((index, String::new())..(index + 1, String::new())) {
                let reason =
                    format!("{count} other copies of this {} in the file say something else", record.class.name());
                let found = excerpt(&record.object.get(key).map(Value::to_string).unwrap_or_default());
                let fix = "the first one is kept; check which is right";
                reading.problems.push(problem(
                    &place,
                    &format!("{path}: {key}"),
                    found,
                    reason,
                    fix,
                    Severity::Warning,
                ));
            }
            // Organisations and locations are repeated by every service; a service is not.
            if record.class == Class::Service && record.copies > 0 {
                let reason =
                    format!("the file lists this service {} times; its copies are read as one", record.copies + 1);
                let fix = "give each service an id of its own, if they are different ones";
                reading.problems.push(problem(&place, &path, excerpt(&record.id), reason, fix, Severity::Warning));
            }
            record::read(record, place, path, reading, &mut unknown);
        }
        for (path, reason) in self.lost {
            row += 1;
            reading.rows_read += 1;
            let place = Place { file: file.to_owned(), row };
            let fix = "give it an id and its HSDS fields";
            reading.problems.push(problem(&place, &path, String::new(), reason.to_owned(), fix, Severity::Error));
            reading.rejected.insert(place);
        }
        if self.skipped > 0 {
            let found = format!("{} taxonomies or taxonomy terms", self.skipped);
            let reason = "they are no records of their own; terms travel with the services that use them";
            reading.problems.warn_file(file, &found, reason, "nothing");
        }
        for ((owner, key), (count, first)) in unknown {
            let found = format!("{owner}.{key}, {count} times, first in {first}");
            let reason = "records have no place for this field, so it is left out";
            reading.problems.warn_file(file, &found, reason, "nothing, or write what matters into the description");
        }
    }
}

/// An id written as text or number.
fn id_text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(id) if !id.trim().is_empty() => Some(id.trim().to_owned()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

fn take_list(object: &mut Object, key: &str) -> Vec<Value> {
    match object.remove(key) {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    }
}

/// Adds an entry that is not there yet, by its id or else by its content.
fn add_new(known: &mut Vec<Value>, entry: Value) {
    let is_same = |other: &Value| match (other.get("id"), entry.get("id")) {
        (Some(a), Some(b)) => a == b,
        _ => *other == entry,
    };
    // Longer lists are refused later; comparing on would take quadratic time.
    if known.len() <= 2 * fingerpost_proto::limits::LIST_ENTRIES_MAX && !known.iter().any(is_same) {
        known.push(entry);
    }
}

fn problem(place: &Place, column: &str, found: String, reason: String, fix: &str, severity: Severity) -> Problem {
    Problem {
        file: place.file.clone(),
        row: Some(place.row),
        column: Some(column.to_owned()),
        cell: None,
        found,
        reason,
        fix: fix.to_owned(),
        severity,
    }
}

#[cfg(test)]
mod tests;
