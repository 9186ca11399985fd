//! Compiles the message schemas without a system protoc and keeps the descriptor for gRPC reflection.

#![allow(clippy::disallowed_methods)] // A build script reads its environment.

use std::path::PathBuf;

use prost::Message as _;

const SCHEMAS: [&str; 7] = [
    "schema/fingerpost/v1/record.proto",
    "schema/fingerpost/v1/upkeep.proto",
    "schema/fingerpost/v1/redaction.proto",
    "schema/fingerpost/v1/network.proto",
    "schema/fingerpost/v1/peer.proto",
    "schema/fingerpost/v1/host.proto",
    "schema/fingerpost/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for schema in SCHEMAS {
        println!("cargo:rerun-if-changed={schema}");
    }
    let descriptors = protox::compile(SCHEMAS, ["schema"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new().btree_map(["."]).compile_fds(descriptors)?;
    Ok(())
}
