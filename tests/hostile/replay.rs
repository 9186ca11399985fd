//! Every fuzz target on its seeds, and on seeds that were changed at a few places.
//!
//! This is no fuzzing: it takes seconds, and holds what fuzzing found.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::fuzz;
use crate::seeds;

/// Changed seeds for each target. A node's history takes a hundred times as long as a frame.
const CHANGED: usize = 1_500;
const CHANGED_SLOW: usize = 60;

/// Name, what it does, and its seeds.
type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

const TARGETS: [Target; 10] = [
    ("envelope", fuzz::envelope::run, seeds::envelopes),
    ("body", fuzz::body::run, seeds::bodies),
    ("network", fuzz::network::run, seeds::network),
    ("frame", fuzz::frame::run, seeds::frames),
    ("lists", fuzz::lists::run, seeds::lists),
    ("node", fuzz::node::run, seeds::histories),
    ("import", fuzz::import::run, seeds::files),
    ("request", fuzz::request::run, seeds::requests),
    ("page", fuzz::page::run, seeds::bodies),
    ("config", fuzz::config::run, seeds::configs),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Inputs that once broke a rule.
fn findings(target: &str) -> Vec<Vec<u8>> {
    let Ok(files) = fs::read_dir(folder().join("findings").join(target)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs one input; says which when it breaks a rule.
fn try_one(name: &str, run: fn(&[u8]), bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
        let hex: String = bytes.iter().take(2_000).map(|byte| format!("{byte:02x}")).collect();
        panic!("target {name} broke a rule on {} bytes: {hex}", bytes.len());
    }
}

#[test]
fn every_seed_and_every_past_finding_keeps_the_rules_of_its_target() {
    for (name, run, seeds) in TARGETS {
        let seeds = seeds();
        assert!(seeds.len() >= 8, "{name} has {} seeds", seeds.len());
        findings(name).iter().chain(&seeds).for_each(|bytes| try_one(name, run, bytes));
    }
}

#[test]
fn changed_seeds_keep_the_rules_of_their_target() {
    for (name, run, seeds) in TARGETS {
        let seeds = seeds();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % bound.max(1) as u64) as usize
        };
        let count = if matches!(name, "node" | "page" | "request") { CHANGED_SLOW } else { CHANGED };
        for _ in 0..count {
            let mut bytes = seeds[below(seeds.len())].clone();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                match below(4) {
                    0 if at < bytes.len() => bytes[at] ^= 1 << below(8),
                    1 => bytes.truncate(at),
                    2 => bytes.insert(at, below(256) as u8),
                    _ => {
                        let other = &seeds[below(seeds.len())];
                        bytes.extend_from_slice(&other[below(other.len())..]);
                    }
                }
            }
            try_one(name, run, &bytes);
        }
    }
}

/// Not a test of anything: writes the seeds where a fuzzer finds them, when it is told a folder.
#[test]
fn seeds_are_written_when_a_folder_is_named() {
    let Some(folder) = std::env::var_os("FINGERPOST_SEEDS") else { return };
    // Tests run in the folder of their crate; people name folders from the top.
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, _, seeds) in TARGETS {
        let folder = top.join(&folder).join(name);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds().iter().chain(&findings(name)).enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), seed).unwrap();
        }
    }
}

/// The targets here and those that a fuzzer is told of are the same.
#[test]
fn every_target_has_its_program() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let mut declared: Vec<&str> =
        manifest.split("[[bin]]\nname = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    declared.sort_unstable();
    let mut known: Vec<&str> = TARGETS.iter().map(|(name, ..)| *name).collect();
    known.sort_unstable();
    assert_eq!(declared, known);
    for name in known {
        let program = fs::read_to_string(folder().join(format!("targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("fingerpost_fuzz::{name}::run")), "{name}");
    }
}
