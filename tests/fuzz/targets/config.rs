//! libFuzzer's door to `fingerpost_fuzz::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::config::run(bytes));
