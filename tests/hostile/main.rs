//! Bytes and texts that nobody honest would write: what is done with them, and what becomes of them in every output.
//!
//! Bytes: all seeds of the fuzz targets, and some thousand changed ones. Seeds for a fuzzer are written with
//! `FINGERPOST_SEEDS=FOLDER cargo test -p fingerpost-tests --test hostile seeds`; see `tests/README.md`, "Fuzzing".

#![allow(clippy::unwrap_used)]

#[allow(unreachable_pub)]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;
mod replay;
mod seeds;
mod showing;
mod texts;
// What it checks of whole files is for `conformance`.
#[allow(dead_code)]
#[path = "../conformance/vector.rs"]
mod vector;
