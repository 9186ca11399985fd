//! The tables of the specification against the source that they describe.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::vector::spec;

fn source(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto").join(name)).unwrap()
}

fn page(name: &str) -> String {
    fs::read_to_string(spec(name)).unwrap()
}

/// Rows of the tables of a page, as cells without backquotes.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-")).map(cells).collect()
}

/// Constants that are numbers or products of numbers: name and value.
fn constants(source: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for line in source.lines() {
        let line = line.trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let Some((name, rest)) = line.strip_prefix("const ").and_then(|rest| rest.split_once(": ")) else { continue };
        let Some((_, value)) = rest.trim_end_matches(';').split_once(" = ") else { continue };
        let factors: Option<Vec<u64>> = value.split(" * ").map(|factor| factor.replace('_', "").parse().ok()).collect();
        if let Some(factors) = factors {
            found.insert(name.to_owned(), factors.iter().product());
        }
    }
    found
}

/// Every constant of these files stands in the table with its value, and the table has no others.
pub(crate) fn limits() {
    const FILES: &[&str] = &[
        "src/compression.rs",
        "src/equivocation.rs",
        "src/head.rs",
        "src/limits.rs",
        "src/node.rs",
        "src/node/allowance.rs",
        "src/node/arrivals.rs",
        "src/node/auditing.rs",
        "src/node/batch.rs",
        "src/node/burden.rs",
        "src/node/catching_up.rs",
        "src/node/heads.rs",
        "src/node/intake.rs",
        "src/node/link.rs",
        "src/node/peering.rs",
        "src/node/pulling.rs",
        "src/node/quarantine.rs",
        "src/node/reconciling.rs",
        "src/node/redacting.rs",
        "src/node/spreading.rs",
        "src/node/tick.rs",
        "src/node/trust.rs",
        "src/node/vouching.rs",
        "src/node/witnessing.rs",
        "src/network/members.rs",
        "src/lib.rs",
        "../daemon/src/driver/limits.rs",
    ];
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for file in FILES {
        expected.extend(constants(&source(file)).into_iter().map(|(name, value)| (name, value.to_string())));
    }
    // The only limit that is a range.
    assert!(source("src/node/tick.rs").contains("COMPARE_INTERVAL_MS: std::ops::Range<u64> = 60_000..300_000;"));
    expected.insert("COMPARE_INTERVAL_MS".to_owned(), "60000 to 300000".to_owned());
    let table: BTreeMap<String, String> = rows(&page("08-limits.md"))
        .into_iter()
        .filter(|row| row.len() >= 4 && row[0] != "name")
        .map(|row| (row[0].clone(), row[1].replace(',', "")))
        .collect();
    assert_eq!(table, expected, "left: spec/08-limits.md, right: the source");
}

/// Every stable name stands in the table with whose fault it is, and every one that vectors can show has a vector.
pub(crate) fn errors() {
    let source = source("src/node/reject.rs");
    let names: BTreeSet<String> = source
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(',').rsplit_once("=> \""))
        .map(|(_, name)| name.trim_end_matches('"').to_owned())
        .collect();
    assert!(names.len() > 25, "{names:?}");
    let page = page("09-errors.md");
    let section = page.split("\n## ").find(|section| section.starts_with("1.")).unwrap();
    let table: BTreeSet<String> =
        rows(section).into_iter().map(|row| row[0].clone()).filter(|name| name != "name").collect();
    assert_eq!(table, names, "left: spec/09-errors.md, right: the source");
    let mut shown = BTreeSet::new();
    for entry in fs::read_dir(spec("vectors")).unwrap() {
        let file: Value = serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        shown.extend(
            file["cases"].as_array().unwrap().iter().filter_map(|case| case["error"].as_str().map(str::to_owned)),
        );
    }
    let hidden: Vec<&String> = names.difference(&shown).collect();
    assert_eq!(
        hidden,
        ["quarantine-full", "read-only", "too-many-at-once", "too-many-today"],
        "names without a vector"
    );
}

pub(crate) fn words() {
    let quoted = |text: &str| -> Vec<String> { text.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
    let words = quoted(source("src/network/words.rs").split_once("= [").unwrap().1);
    assert_eq!(words.len(), 256);
    let page = page("05-network.md");
    let block = page.split("```words\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(block.split_whitespace().collect::<Vec<_>>(), words);
}

/// Message, number, name, type as `package.Message.number name type` of every field of the signed schemas.
pub(crate) fn fields() {
    let mut expected = BTreeSet::new();
    for (schema, pages) in [
        ("schema/fingerpost/v1/record.proto", &["02-records.md"][..]),
        ("schema/fingerpost/v1/redaction.proto", &["13-redaction.md"]),
        ("schema/fingerpost/v1/upkeep.proto", &["15-heads.md"]),
        ("schema/fingerpost/v1/network.proto", &["05-network.md"]),
        ("schema/fingerpost/v1/peer.proto", &["05-network.md", "06-link.md", "07-sync.md", "11-dissemination.md"]),
    ] {
        let pages: String = pages.iter().map(|name| page(name)).collect();
        let mut message = String::new();
        for line in source(schema).lines() {
            if let Some(name) = line.strip_prefix("message ") {
                message = name.split_whitespace().next().unwrap().to_owned();
            }
            let line = line.trim();
            let Some((declaration, number)) = line.strip_suffix(';').and_then(|line| line.split_once(" = ")) else {
                continue;
            };
            let Ok(number) = number.parse::<u32>() else { continue };
            let mut parts: Vec<&str> = declaration.split_whitespace().collect();
            // Lines with one word are values of an enumeration.
            if parts.len() < 2 {
                assert!(pages.contains(&format!("`{}`", parts[0])), "{} is in the specification", parts[0]);
                continue;
            }
            let name = parts.pop().unwrap();
            let row = format!("| {number} | `{name}` | {} |", parts.join(" "));
            let section = section_of(&pages, &message);
            assert!(section.is_some_and(|section| section.contains(&row)), "{message}: {row}");
            expected.insert(row);
        }
    }
    assert!(expected.len() > 150);
}

/// The text behind the bold name of a message up to the next one.
fn section_of<'a>(pages: &'a str, message: &str) -> Option<&'a str> {
    let (_, rest) = pages.split_once(&format!("**`{message}`**"))?;
    Some(rest.split("\n**`").next().unwrap_or(rest))
}

pub(crate) fn files() {
    let readme = page("README.md");
    for folder in [spec("vectors"), spec("")] {
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name != "README.md" && name.contains('.') {
                assert!(
                    readme.contains(&format!("`{}`", name.trim_end_matches(".json"))),
                    "{name} is in spec/README.md"
                );
            }
        }
    }
}

/// Every block of bytes that a page shows stands in a vector.
pub(crate) fn examples() {
    let vectors: String = fs::read_dir(spec("vectors"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let mut shown = 0;
    for entry in fs::read_dir(spec("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = fs::read_to_string(&path).unwrap();
        for block in page.split("```hex\n").skip(1) {
            let bytes: String = block.split("```").next().unwrap().split_whitespace().collect();
            assert!(vectors.contains(&bytes), "{}: {bytes}", path.display());
            shown += 1;
        }
    }
    assert!(shown > 20);
}
