//! Networks of real processes on loopback: the wiring of node, command line, links, feed and disk.

#![allow(clippy::unwrap_used)]

mod admin;
mod devices;
mod heads;
mod hosting;
mod importing;
mod joining;
mod link;
mod membership;
mod mirrors;
mod outages;
mod process;
mod public_outputs;
mod readers;
mod redacting;
mod spreading;
