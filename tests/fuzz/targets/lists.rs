//! libFuzzer's door to `fingerpost_fuzz::lists`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::lists::run(bytes));
