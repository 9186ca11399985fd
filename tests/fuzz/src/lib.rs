//! What each fuzz target does with its bytes, and what must then hold.
//!
//! In: bytes from a fuzzer or a seed. Out: nothing, or a panic that says which rule was broken.
//! Always: the same bytes do the same; no clock, no randomness, no files. Every module has one `run`.
//! Run: `tests/README.md`, "Fuzzing". The same code runs on all seeds in `tests/hostile/seeds.rs`.

pub mod body;
pub mod cast;
pub mod config;
pub mod directory;
pub mod envelope;
pub mod frame;
pub mod import;
pub mod input;
pub mod lists;
pub mod network;
pub mod node;
pub mod outputs;
pub mod page;
pub mod request;
