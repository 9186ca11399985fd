//! Tools of the tests: converters of real directories.

pub mod convert;
