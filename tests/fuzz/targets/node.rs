//! libFuzzer's door to `fingerpost_fuzz::node`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fingerpost_fuzz::node::run(bytes));
