//! A JSON object that leaves out what is not known: HSDS knows no null and the UK profile no empty values.

use fingerpost_proto::id::RecordId;
use serde_json::{Map, Value};

use crate::feed::safe;

/// Builds one object.
#[derive(Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    /// An object with this `id`.
    pub(crate) fn with_id(id: RecordId) -> Object {
        Object(Map::from_iter([("id".to_owned(), Value::String(id.to_string()))]))
    }

    /// Adds the text unless it is blank.
    pub(crate) fn text(mut self, key: &str, text: &str) -> Object {
        if !text.trim().is_empty() {
            self.0.insert(key.to_owned(), Value::String(text.to_owned()));
        }
        self
    }

    /// Adds the id.
    pub(crate) fn id(self, key: &str, id: RecordId) -> Object {
        self.text(key, &id.to_string())
    }

    /// Adds the id in these bytes, if it is one.
    pub(crate) fn linked_id(self, key: &str, id: &[u8]) -> Object {
        match RecordId::from_slice(id) {
            Some(id) => self.id(key, id),
            None => self,
        }
    }

    /// Adds the web address if it is one.
    pub(crate) fn url(self, key: &str, url: &str) -> Object {
        self.text(key, &safe::web_address(url).unwrap_or_default())
    }

    /// Adds the e-mail address if it is one.
    pub(crate) fn email(self, key: &str, email: &str) -> Object {
        self.text(key, safe::email(email).unwrap_or_default())
    }

    /// Adds the value if there is one.
    pub(crate) fn value(mut self, key: &str, value: Option<impl Into<Value>>) -> Object {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Adds the list unless it is empty.
    pub(crate) fn list(mut self, key: &str, values: Vec<Value>) -> Object {
        if !values.is_empty() {
            self.0.insert(key.to_owned(), Value::Array(values));
        }
        self
    }

    /// True when nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object as a JSON value.
    pub(crate) fn done(self) -> Value {
        Value::Object(self.0)
    }
}
