//! libFuzzer's door to `fingerpost_fuzz::network`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::network::run(bytes));
