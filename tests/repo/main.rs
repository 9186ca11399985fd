//! Rules about the repository itself, held by tests instead of memory.

mod supply;

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies in the repository").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `folder` with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found
}

/// Crates that do what `proto` must not: run tasks, talk, store, draw random numbers.
const IMPURE_CRATES: [&str; 14] = [
    "tokio",
    "tonic",
    "sled",
    "rand",
    "rand_core",
    "getrandom",
    "mio",
    "hyper",
    "h2",
    "socket2",
    "async-trait",
    "futures",
    "rustix",
    "libc",
];

/// Words of the standard library that reach outside the program.
const IMPURE_WORDS: [&str; 14] = [
    "SystemTime",
    "Instant::now",
    "std::fs",
    "std::net",
    "std::env",
    "std::io::stdin",
    "std::process",
    "std::thread",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
    "File::open",
    "thread_rng",
    "OsRng",
];

/// The one line of `proto/src/canary.rs`, which ordinary builds leave out, that reads a variable.
const READS_WHAT_IS_OUT: &str = "    let named = std::env::var(VARIABLE).unwrap_or_default();\n";

fn impure_words(text: &str) -> Vec<&'static str> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    IMPURE_WORDS.into_iter().filter(|word| code.iter().any(|line| line.contains(word))).collect()
}

fn impure_crates(tree: &str) -> Vec<&'static str> {
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    IMPURE_CRATES.into_iter().filter(|name| names.contains(name)).collect()
}

#[test]
fn the_protocol_crate_reads_no_clock_file_socket_or_random_number() {
    for path in files(&root().join("proto/src"), "rs") {
        // What is out is read from the environment, in builds for tests only.
        let text = read(&path).replace(READS_WHAT_IS_OUT, "");
        let found = impure_words(&text);
        assert!(found.is_empty(), "{} uses {found:?}", path.display());
    }
}

#[test]
fn the_protocol_crate_depends_on_nothing_that_does_more_than_compute() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "fingerpost-proto", "--edges", "normal", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    assert!(tree.contains("ed25519-dalek"), "the tree was read: {tree}");
    let found = impure_crates(&tree);
    assert!(found.is_empty(), "fingerpost-proto depends on {found:?}");
}

#[test]
fn the_purity_check_finds_what_it_looks_for() {
    assert_eq!(impure_words("let now = std::time::SystemTime::now();"), ["SystemTime"]);
    assert_eq!(impure_words("// std::fs would be wrong here"), Vec::<&str>::new());
    assert_eq!(impure_crates("tokio v1.54.1\nprost v0.14.6\n"), ["tokio"]);
}

#[test]
fn the_top_level_holds_what_the_design_says_and_nothing_else() {
    let mut found: Vec<String> = std::fs::read_dir(root())
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    found.sort();
    assert_eq!(found, ["Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "cli", "daemon", "proto", "spec", "tests"]);
}

#[test]
fn no_file_has_a_name_that_tells_nobody_what_is_inside() {
    const EMPTY_NAMES: [&str; 8] = ["util", "utils", "helper", "helpers", "misc", "common", "manager", "stuff"];
    for folder in ["proto", "daemon", "cli", "tests"] {
        for path in files(&root().join(folder), "rs") {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            assert!(!EMPTY_NAMES.contains(&stem.as_str()), "{}", path.display());
        }
    }
}

#[test]
fn every_relative_link_in_the_documents_leads_somewhere() {
    let mut documents = vec![root().join("README.md")];
    for folder in ["spec", "cli", "daemon", "tests", "proto"] {
        documents.extend(files(&root().join(folder), "md"));
    }
    for document in documents {
        let text = read(&document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let path = document.parent().expect("a file has a folder").join(target);
            assert!(path.exists(), "{} links to {target}, which is not there", document.display());
        }
    }
}

/// Names in backquotes that can only be those of tests: longer than a field's, and without capitals or blanks.
fn named_tests(page: &str) -> Vec<&str> {
    let is_test = |word: &&str| {
        word.len() >= 24 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    page.split('`').skip(1).step_by(2).filter(is_test).collect()
}

#[test]
fn every_test_that_the_threat_page_names_exists() {
    let page = read(&root().join("spec/12-threats.md"));
    let named = named_tests(&page);
    assert!(named.len() > 60, "the page was read: {} names", named.len());
    let sources: String = ["proto", "daemon", "cli", "tests"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), "rs"))
        .map(|path| read(&path))
        .collect();
    for name in named {
        let is_there = sources.contains(&format!("#[test]\nfn {name}("))
            || sources.contains(&format!("#[test]\n    fn {name}("))
            || sources.contains(&format!("async fn {name}("));
        assert!(is_there, "no test is called {name}");
    }
    assert_eq!(named_tests("`a` b `c_test_that_nobody_has_written` `Not_one`"), ["c_test_that_nobody_has_written"]);
}
