//! What this project is built from: licences, sources, and crates that may be there once, late enough or not at all.
//!
//! The rules are in `.cargo/deny.toml`, for cargo-deny as well; this holds them without a network and without installing
//! anything. Known advisories are looked up by cargo-deny only.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{read, root};

/// Crates that advisories in the list of ignored ones are about.
const IGNORED_OF: [(&str, &str); 2] = [("RUSTSEC-2025-0057", "fxhash"), ("RUSTSEC-2024-0384", "instant")];

fn rules() -> toml::Table {
    read(&root().join(".cargo/deny.toml")).parse().expect("deny.toml is TOML")
}

/// Every package of the workspace's tree on Linux.
fn packages() -> Vec<Value> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let complaint = String::from_utf8_lossy(&metadata.stderr).into_owned();
    let metadata: Value =
        serde_json::from_slice(&metadata.stdout).unwrap_or_else(|error| panic!("{error}: {complaint}"));
    let packages = metadata["packages"].as_array().expect("packages").clone();
    assert!(packages.len() > 100, "the tree was read: {} packages", packages.len());
    packages
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// Whether one may choose licences so that all that are needed are allowed. `expression` is of SPDX: names, AND, OR, and
/// brackets; a slash is an old OR.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let answer = any_of(&words, &mut at, allowed);
    answer == Some(true) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> Option<bool> {
    let mut answer = all_of(words, at, allowed)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        answer |= all_of(words, at, allowed)?;
    }
    Some(answer)
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> Option<bool> {
    let mut answer = one_of(words, at, allowed)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        answer &= one_of(words, at, allowed)?;
    }
    Some(answer)
}

fn one_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<&str>) -> Option<bool> {
    let first = words.get(*at)?;
    *at += 1;
    if *first == "(" {
        let answer = any_of(words, at, allowed)?;
        let is_closed = words.get(*at) == Some(&")");
        *at += 1;
        return is_closed.then_some(answer);
    }
    if words.get(*at) == Some(&"WITH") {
        let name = format!("{first} WITH {}", words.get(*at + 1)?);
        *at += 2;
        return Some(allowed.contains(name.as_str()));
    }
    Some(allowed.contains(first))
}

/// `1.2.3` as numbers; what follows the numbers counts as nothing.
fn version(text: &str) -> Vec<u64> {
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// Breaches of the bans by these packages, as sentences.
fn banned(rules: &toml::Table, packages: &[(String, String)]) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, version) in packages {
        versions.entry(name).or_default().insert(version);
    }
    let bans = rules["bans"]["deny"].as_array().expect("a list of bans");
    let mut found = Vec::new();
    for ban in bans {
        let (name, least) = match ban["crate"].as_str().expect("a crate").split_once(":<") {
            Some((name, least)) => (name, Some(version(least))),
            None => (ban["crate"].as_str().expect("a crate"), None),
        };
        let Some(here) = versions.get(name) else { continue };
        let is_for_one = ban.get("deny-multiple-versions").is_some();
        if is_for_one && here.len() > 1 {
            found.push(format!("{name} is there in {} versions: {here:?}", here.len()));
        }
        let is_old = |found: &&str| least.as_ref().is_some_and(|least| version(found) < *least);
        if !is_for_one && (least.is_none() || here.iter().any(is_old)) {
            found.push(format!("{name} {here:?} is banned: {}", ban["reason"]));
        }
    }
    found
}

#[test]
fn everything_that_is_built_in_has_a_licence_that_is_allowed() {
    let rules = rules();
    let allowed: BTreeSet<&str> =
        rules["licenses"]["allow"].as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect();
    let packages = packages();
    let refused: Vec<_> = packages
        .iter()
        .filter(|package| !is_allowed(text(package, "license"), &allowed))
        .map(|package| (text(package, "name"), text(package, "license")))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    let used = |licence: &&&str| packages.iter().any(|package| text(package, "license").contains(**licence));
    let unused: Vec<_> = allowed.iter().filter(|licence| !used(licence)).collect();
    assert!(unused.is_empty(), "allowed and used by nothing: {unused:?}");
}

#[test]
fn everything_that_is_built_in_comes_from_here_or_from_the_one_registry() {
    let packages = packages();
    let sources: BTreeSet<&str> = packages.iter().filter_map(|package| package["source"].as_str()).collect();
    assert!(sources.len() == 1 && sources.iter().all(|source| source.starts_with("registry+")), "{sources:?}");
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        assert!(text(package, "name").starts_with("fingerpost-"), "{} is of this workspace", text(package, "name"));
    }
}

#[test]
fn no_banned_crate_and_no_second_version_of_a_crate_that_signs_hashes_or_sends_is_built_in() {
    let packages: Vec<(String, String)> =
        packages().iter().map(|package| (text(package, "name").into(), text(package, "version").into())).collect();
    let found = banned(&rules(), &packages);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_advisory_that_is_ignored_has_a_day_a_reason_and_a_crate_that_is_still_there() {
    let rules = rules();
    let packages = packages();
    let ignored = rules["advisories"]["ignore"].as_array().expect("a list");
    assert_eq!(ignored.len(), IGNORED_OF.len());
    for entry in ignored {
        let id = entry["id"].as_str().expect("an id");
        let (day, reason) =
            entry["reason"].as_str().expect("a reason").split_once(": ").expect("a day before the reason");
        assert!(day.len() == 10 && version(&day.replace('-', "."))[0] >= 2026, "{id}: {day}");
        assert!(reason.len() > 20, "{id}: {reason}");
        let (_, name) =
            IGNORED_OF.iter().find(|(of, _)| *of == id).unwrap_or_else(|| panic!("{id} is of which crate?"));
        assert!(packages.iter().any(|package| text(package, "name") == *name), "{name} is gone: strike {id} off");
    }
}

#[test]
fn the_supply_checks_find_what_they_look_for() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "ISC"]);
    for (expression, is) in [
        ("MIT", true),
        ("MIT/GPL-3.0", true),
        ("GPL-3.0", false),
        ("", false),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("MIT AND (GPL-3.0 OR ISC", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("ISC WITH LLVM-exception", false),
        ("MIT ISC", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), is, "{expression}");
    }
    let tree = |names: &[(&str, &str)]| -> Vec<(String, String)> {
        names.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    };
    for (bad, count) in [
        (tree(&[("openssl-sys", "0.9.1")]), 1),
        (tree(&[("h2", "0.4.15")]), 1),
        (tree(&[("h2", "0.4.16")]), 0),
        (tree(&[("h2", "0.3.99"), ("h2", "0.4.20")]), 2),
        (tree(&[("blake3", "1.8.0"), ("blake3", "1.9.0")]), 1),
        (tree(&[("blake3", "1.8.0"), ("blake3", "1.8.0")]), 0),
    ] {
        assert_eq!(banned(&rules(), &bad).len(), count, "{bad:?}");
    }
}

/// Crates whose purpose is to fetch what an address names.
const FETCHERS: [&str; 8] = ["reqwest", "ureq", "curl", "isahc", "surf", "attohttpc", "minreq", "webbrowser"];

/// What a product crate is built from on Linux, `name version features` on each line.
fn tree(package: &str) -> String {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", package, "--edges", "normal", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--format", "{p} {f}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    String::from_utf8_lossy(&tree.stdout).into_owned()
}

fn fetchers(tree: &str) -> Vec<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| FETCHERS.contains(name)).collect()
}

/// Whether the calls are built in that take a public key beside the secret one, or none at all (RUSTSEC-2022-0093).
fn has_calls_with_two_keys(tree: &str) -> bool {
    tree.lines().any(|line| line.starts_with("ed25519-dalek ") && line.contains("hazmat"))
}

#[test]
fn nothing_that_fetches_addresses_is_built_into_node_or_command_line() {
    for package in ["fingerpost-daemon", "fingerpost-cli"] {
        let tree = tree(package);
        assert!(tree.contains("rustls "), "the tree was read: {tree}");
        assert_eq!(fetchers(&tree), Vec::<&str>::new(), "{package}");
    }
    assert_eq!(fetchers("tokio v1.54.1 net\nureq v3.0.0 tls\n"), ["ureq"]);
}

#[test]
fn no_call_is_built_in_that_takes_a_public_key_beside_the_secret_one() {
    for package in ["fingerpost-proto", "fingerpost-daemon", "fingerpost-cli"] {
        let tree = tree(package);
        assert!(tree.contains("ed25519-dalek "), "the tree was read: {tree}");
        assert!(!has_calls_with_two_keys(&tree), "{package}");
    }
    assert!(has_calls_with_two_keys("ed25519-dalek v3.0.0 fast,hazmat,zeroize\n"));
}
