//! Writes the vectors of `spec/vectors` from fixed seeds, and proves that the committed files are fresh.
//!
//! Bless: `FINGERPOST_BLESS=1 cargo test -p fingerpost-tests --test vectors`, then read the difference before committing.
//! Always: the same files on every machine; no clock, no randomness. What they mean: `spec/README.md`, section 5.

#![allow(clippy::unwrap_used)]

mod cards;
mod cast;
mod equivocations;
mod exchange;
mod frames;
mod heads;
mod ids;
mod keys;
mod members;
mod merge;
mod network;
#[path = "../conformance/pair.rs"]
mod pair;
mod quotas;
mod receipt;
mod records;
mod redactions;
mod sets;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// One vector file before it is written: name without `.json`, section of the specification, cases.
struct File {
    name: &'static str,
    about: &'static str,
    cases: Vec<Value>,
}

fn file(name: &'static str, about: &'static str, cases: Vec<Value>) -> File {
    File { name, about, cases }
}

/// A case: `name` and `why` first, then what it holds.
fn case(name: &str, why: &str, content: Value) -> Value {
    let mut case = json!({ "name": name, "why": why });
    for (key, value) in content.as_object().unwrap() {
        case[key] = value.clone();
    }
    case
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes for a vector: hexadecimal, with runs of more than 96 equal bytes written as `{repeat, times}`.
fn bytes(bytes: impl AsRef<[u8]>) -> Value {
    const RUN: usize = 96;
    let bytes = bytes.as_ref();
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() > RUN {
            if !plain.is_empty() {
                parts.push(json!(hex(std::mem::take(&mut plain))));
            }
            parts.push(json!({ "repeat": hex([run[0]]), "times": run.len() }));
        } else {
            plain.extend_from_slice(run);
        }
    }
    if parts.is_empty() {
        return json!(hex(plain));
    }
    if !plain.is_empty() {
        parts.push(json!(hex(plain)));
    }
    Value::Array(parts)
}

fn files() -> Vec<File> {
    [
        ids::files(),
        keys::files(),
        versions::files(),
        records::files(),
        redactions::files(),
        merge::files(),
        receipt::files(),
        network::files(),
        cards::files(),
        members::files(),
        sets::files(),
        frames::files(),
        heads::files(),
        equivocations::files(),
        exchange::files(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors")
}

#[test]
fn the_committed_vectors_are_what_the_generator_writes() {
    let is_blessing = std::env::var_os("FINGERPOST_BLESS").is_some();
    let mut names = Vec::new();
    for File { name, about, cases } in files() {
        let path = folder().join(format!("{name}.json"));
        names.push(format!("{name}.json"));
        let fresh = json!({ "about": about, "cases": cases });
        if is_blessing {
            fs::write(&path, serde_json::to_string_pretty(&fresh).unwrap() + "\n").unwrap();
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let committed: Value = serde_json::from_str(&text).unwrap();
        assert!(committed == fresh, "{name}.json is not fresh; bless it (see the head of tests/vectors/main.rs)");
    }
    let mut present: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    present.sort();
    names.sort();
    assert_eq!(present, names, "files of spec/vectors");
}
