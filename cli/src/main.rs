//! Fingerpost.
fn main() {}
