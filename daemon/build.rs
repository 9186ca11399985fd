//! Generates the gRPC service stubs (the messages come from `fingerpost-proto`) and the list of the demo's files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    list_city()?;
    println!("cargo:rerun-if-changed=../proto/schema");
    let schemas = ["fingerpost/v1/peer.proto", "fingerpost/v1/host.proto", "fingerpost/v1/admin.proto"];
    let descriptors = protox::compile(schemas, ["../proto/schema"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .extern_path(".fingerpost.v1.Frame", "crate::link::RawFrame")
        .extern_path(".fingerpost.v1", "::fingerpost_proto::v1")
        .compile_fds(descriptors)?;
    Ok(())
}

/// Writes an array of (name, text) with every CSV file in `demo/`, in the order of their names.
fn list_city() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        files.push(entry?.path());
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "csv")) {
        let name = file.file_stem().and_then(|name| name.to_str()).ok_or("a file name of the demo is not a word")?;
        writeln!(list, "    ({name:?}, include_str!({:?})),", file.display().to_string())?;
    }
    list.push_str("]\n");
    std::fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("city.rs"), list)?;
    Ok(())
}
