//! Tools of the tests: converters of real directories, crashes and power cuts.

pub mod convert;
pub mod crash;
pub mod power;
