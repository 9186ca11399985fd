//! Networks of real processes on loopback.

#![allow(clippy::unwrap_used)]

mod spreading;
