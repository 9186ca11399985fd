//! libFuzzer's door to `fingerpost_fuzz::page`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::page::run(bytes));
