//! Generates the gRPC client stubs of a node's services; the messages come from `fingerpost-proto`.
//!
//! The server stubs beside them are compiled into the tests only, which play the node.

use std::path::PathBuf;

const SCHEMAS: [&str; 3] = ["fingerpost/v1/admin.proto", "fingerpost/v1/host.proto", "fingerpost/v1/peer.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../proto/schema");
    let descriptors = protox::compile(SCHEMAS, ["../proto/schema"])?;
    let stubs = || {
        tonic_prost_build::configure().build_transport(false).extern_path(".fingerpost.v1", "::fingerpost_proto::v1")
    };
    stubs().build_server(false).compile_fds(descriptors.clone())?;
    let servers = PathBuf::from(std::env::var("OUT_DIR")?).join("server");
    std::fs::create_dir_all(&servers)?;
    stubs().build_client(false).out_dir(servers).compile_fds(descriptors)?;
    Ok(())
}
