//! libFuzzer's door to `fingerpost_fuzz::import`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::import::run(bytes));
