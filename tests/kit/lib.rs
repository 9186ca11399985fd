//! Tools of the tests: converters of real directories, clusters of real processes and stories played with them, crashes and power cuts.

pub mod cluster;
pub mod convert;
pub mod crash;
pub mod http;
pub mod power;
pub mod samples;
#[path = "../scenarios/scenarios.rs"]
pub mod scenarios;
#[path = "../simulation/simulation.rs"]
pub mod simulation;
