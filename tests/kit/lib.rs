//! Fingerpost.

pub mod crash;
pub mod power;
