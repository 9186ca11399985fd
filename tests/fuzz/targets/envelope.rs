//! libFuzzer's door to `fingerpost_fuzz::envelope`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::envelope::run(bytes));
