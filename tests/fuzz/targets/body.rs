//! libFuzzer's door to `fingerpost_fuzz::body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::body::run(bytes));
