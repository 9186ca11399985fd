//! A vector file and the values in it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of `spec/vectors`.
pub(crate) struct Vectors {
    name: &'static str,
    cases: Vec<Value>,
}

pub(crate) fn spec(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec").join(name)
}

impl Vectors {
    pub(crate) fn read(name: &'static str) -> Vectors {
        let path = spec("vectors").join(format!("{name}.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file: Value = serde_json::from_str(&text).unwrap();
        let cases = file["cases"].as_array().unwrap().clone();
        assert!(!cases.is_empty(), "{name} has no cases");
        for case in &cases {
            assert!(case["why"].as_str().is_some_and(|why| !why.is_empty()), "{name}: {} says why", case["name"]);
            assert_eq!(name.ends_with("_invalid"), case["error"].is_string(), "{name}: {}", case["name"]);
        }
        Vectors { name, cases }
    }

    /// Runs a check that panics, and says which case it was.
    pub(crate) fn each(&self, check: impl Fn(&Value)) {
        for case in &self.cases {
            let name = format!("{}: {}", self.name, case["name"]);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case)));
            if outcome.is_err() {
                panic!("{name} ({})", case["why"]);
            }
        }
    }

    /// Every case is accepted.
    pub(crate) fn each_accepted(&self, check: impl Fn(&Value) -> Result<(), String>) {
        self.each(|case| assert_eq!(check(case), Ok(())));
    }

    /// Every case is refused with the error that it names; with its detail or field, where it has one, behind a colon.
    pub(crate) fn each_refused(&self, check: impl Fn(&Value) -> Result<(), String>) {
        self.each(|case| {
            let more = case["detail"].as_str().or(case["field"].as_str());
            let error = case["error"].as_str().unwrap();
            let expected = more.map_or_else(|| error.to_owned(), |more| format!("{error}: {more}"));
            assert_eq!(check(case), Err(expected));
        });
    }
}

/// The text in a field.
pub(crate) fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("{field} is a text"))
}

/// The number in a field.
pub(crate) fn number(case: &Value, field: &str) -> u64 {
    case[field].as_u64().unwrap_or_else(|| panic!("{field} is a number"))
}

/// The list in a field.
pub(crate) fn list<'a>(case: &'a Value, field: &str) -> &'a [Value] {
    case[field].as_array().unwrap_or_else(|| panic!("{field} is a list"))
}

/// The bytes in a field.
pub(crate) fn bytes(case: &Value, field: &str) -> Vec<u8> {
    bytes_of(&case[field])
}

/// Hexadecimal text, or a list of such texts and `{repeat, times}`.
pub(crate) fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => unhex(text),
        Value::Array(parts) => parts.iter().flat_map(bytes_of).collect(),
        Value::Object(_) => unhex(text(value, "repeat")).repeat(number(value, "times") as usize),
        other => panic!("{other} is no bytes"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(
        text.len() % 2 == 0 && !text.bytes().any(|byte| byte.is_ascii_uppercase()),
        "lower-case hexadecimal: {text}"
    );
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a fixed length.
pub(crate) fn fixed<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    bytes(case, field).try_into().unwrap_or_else(|_| panic!("{field} has {N} bytes"))
}
