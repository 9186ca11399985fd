//! libFuzzer's door to `fingerpost_fuzz::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::request::run(bytes));
