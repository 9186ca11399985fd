//! Generates the gRPC service stubs; the messages come from `fingerpost-proto`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../proto/schema");
    let schemas = ["fingerpost/v1/peer.proto", "fingerpost/v1/admin.proto"];
    let descriptors = protox::compile(schemas, ["../proto/schema"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .extern_path(".fingerpost.v1.Frame", "crate::link::RawFrame")
        .extern_path(".fingerpost.v1", "::fingerpost_proto::v1")
        .compile_fds(descriptors)?;
    Ok(())
}
