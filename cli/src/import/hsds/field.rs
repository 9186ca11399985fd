//! Reading the fields of one JSON object while remembering which were read.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use fingerpost_proto::limits::LIST_ENTRIES_MAX;
use serde_json::Value;

use super::super::problem::{Findings, Severity, excerpt};
use super::super::{ImportContext, Place, Reading, cell, contact, date};
use super::{Object, problem};

/// Fields without a home: (owner, field) to how often, and where first.
pub(super) type Unknown = BTreeMap<(&'static str, String), (u64, String)>;

/// Distinct unknown fields that are told apart; a hostile file could invent millions.
const UNKNOWN_MAX: usize = 500;

/// A JSON object under its HSDS name.
pub(super) struct Item<'v> {
    pub(super) name: &'static str,
    object: &'v Object,
    taken: RefCell<BTreeSet<&'static str>>,
}

impl<'v> Item<'v> {
    pub(super) fn new(name: &'static str, object: &'v Object) -> Item<'v> {
        Item { name, object, taken: RefCell::default() }
    }

    /// The value of a field that is not null; marks it as read.
    pub(super) fn take(&self, key: &'static str) -> Option<&'v Value> {
        self.taken.borrow_mut().insert(key);
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// The value of a field as text.
    pub(super) fn plain(&self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) if text.trim().is_empty() => None,
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Array(_) | Value::Object(_) | Value::Null => None,
        }
    }
}

/// One record while it is mapped.
pub(super) struct Mapper<'m, 'c> {
    pub(super) place: Place,
    /// `service 1234`, for problems.
    pub(super) path: String,
    pub(super) reading: &'m mut Reading<'c>,
    pub(super) unknown: &'m mut Unknown,
    pub(super) has_error: bool,
}

impl<'c> Mapper<'_, 'c> {
    pub(super) fn context(&self) -> &'c ImportContext {
        self.reading.context
    }

    pub(super) fn say(
        &mut self,
        item: &Item<'_>,
        key: &str,
        found: &str,
        reason: String,
        fix: &str,
        severity: Severity,
    ) {
        self.has_error |= severity == Severity::Error;
        let column = format!("{}: {}.{key}", self.path, item.name);
        self.reading.problems.push(problem(&self.place, &column, excerpt(found), reason, fix, severity));
    }

    pub(super) fn warn(&mut self, item: &Item<'_>, key: &str, found: &str, reason: impl Into<String>) {
        self.say(item, key, found, reason.into(), "it is left out; correct it at the source", Severity::Warning);
    }

    /// Runs a check over a text or number. What it refuses is left out with a warning.
    pub(super) fn check<T>(
        &mut self,
        item: &Item<'_>,
        key: &'static str,
        check: impl FnOnce(&str, &mut Findings) -> Option<T>,
    ) -> Option<T> {
        let Some(text) = item.plain(key) else {
            if let Some(value @ (Value::Array(_) | Value::Object(_))) = item.take(key) {
                self.warn(item, key, &value.to_string(), "not a single value");
            }
            return None;
        };
        let mut findings = Findings::default();
        let value = check(&cell::readable(&text, &mut findings), &mut findings);
        for finding in findings.0 {
            match finding.severity {
                Severity::Error => self.warn(item, key, &finding.found, finding.reason),
                Severity::Warning => {
                    self.say(item, key, &finding.found, finding.reason, &finding.fix, Severity::Warning);
                }
            }
        }
        value
    }

    pub(super) fn line(&mut self, item: &Item<'_>, key: &'static str) -> String {
        self.check(item, key, cell::line).unwrap_or_default()
    }

    pub(super) fn text(&mut self, item: &Item<'_>, key: &'static str) -> String {
        self.check(item, key, cell::text).unwrap_or_default()
    }

    pub(super) fn url(&mut self, item: &Item<'_>, key: &'static str) -> String {
        self.check(item, key, contact::url).unwrap_or_default()
    }

    pub(super) fn email(&mut self, item: &Item<'_>, key: &'static str) -> String {
        self.check(item, key, contact::email).unwrap_or_default()
    }

    pub(super) fn date(&mut self, item: &Item<'_>, key: &'static str) -> Option<jiff::civil::Date> {
        self.check(item, key, |text, findings| date::date(text.get(..10).unwrap_or(text), findings))
    }

    /// A nested object.
    pub(super) fn nested<T>(
        &mut self,
        item: &Item<'_>,
        key: &'static str,
        name: &'static str,
        map: impl FnOnce(&mut Self, &Item<'_>) -> T,
    ) -> Option<T> {
        let Value::Object(object) = item.take(key)? else { return None };
        let nested = Item::new(name, object);
        let value = map(self, &nested);
        self.finish(&nested);
        Some(value)
    }

    /// A list of objects, at most [`LIST_ENTRIES_MAX`].
    pub(super) fn each<T>(
        &mut self,
        item: &Item<'_>,
        key: &'static str,
        name: &'static str,
        mut map: impl FnMut(&mut Self, &Item<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = item.take(key) else { return Vec::new() };
        let Value::Array(entries) = value else {
            self.warn(item, key, &value.to_string(), "not a list");
            return Vec::new();
        };
        if entries.len() > LIST_ENTRIES_MAX {
            let reason = format!("{} entries, the limit is {LIST_ENTRIES_MAX}; the first are kept", entries.len());
            self.warn(item, key, "", reason);
        }
        let mut values = Vec::new();
        for entry in entries.iter().take(LIST_ENTRIES_MAX) {
            let Value::Object(object) = entry else {
                self.warn(item, key, &entry.to_string(), "not an object");
                continue;
            };
            let nested = Item::new(name, object);
            values.extend(map(self, &nested));
            self.finish(&nested);
        }
        values
    }

    /// Counts the fields of `item` that nothing has read. Ids only tie HSDS objects together.
    pub(super) fn finish(&mut self, item: &Item<'_>) {
        let taken = item.taken.borrow();
        for (key, value) in item.object {
            let is_tie = key == "id" || key.ends_with("_id") || key == "link_type" || key == "link_entity";
            let is_empty = match value {
                Value::Null => true,
                Value::String(text) => text.trim().is_empty(),
                Value::Array(entries) => entries.is_empty(),
                Value::Object(object) => object.is_empty(),
                Value::Bool(_) | Value::Number(_) => false,
            };
            if is_tie || is_empty || taken.contains(key.as_str()) {
                continue;
            }
            let known = (item.name, excerpt(key));
            let known = if self.unknown.len() < UNKNOWN_MAX || self.unknown.contains_key(&known) {
                known
            } else {
                (item.name, "(other fields)".to_owned())
            };
            self.unknown.entry(known).or_insert_with(|| (0, self.path.clone())).0 += 1;
        }
    }
}
