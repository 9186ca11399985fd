//! Where the binaries under test are: in the target folder of the test that runs.
//!
//! Cargo builds only the binaries of the tests' own crate, and says nothing when those of other crates are old. So under
//! `cargo test` and `cargo run` the first use in each process runs `cargo build` for the two, in the same profile: a
//! moment when nothing changed. Without cargo around, what lies beside the test executable is taken as it is, and built
//! only when it is missing. [`FOLDER_VARIABLE`] names another folder, whose binaries are taken as they are.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};

/// Environment variable that names a folder with the two binaries to test.
pub const FOLDER_VARIABLE: &str = "FINGERPOST_BINARIES";

/// Paths of the two binaries.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `fingerpostd`.
    pub daemon: PathBuf,
    /// `fingerpost`.
    pub cli: PathBuf,
}

/// Why there are no binaries to test.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no fingerpostd and fingerpost in {}: {reason}; build them: cargo build --workspace", folder.display())]
pub struct BinariesError {
    folder: PathBuf,
    reason: String,
}

impl Binaries {
    /// Finds the binaries, or builds them.
    pub fn find() -> Result<Binaries, BinariesError> {
        static FOUND: OnceLock<Result<Binaries, BinariesError>> = OnceLock::new();
        FOUND.get_or_init(Binaries::find_once).clone()
    }

    fn find_once() -> Result<Binaries, BinariesError> {
        if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
            return Binaries::in_folder(Path::new(&folder));
        }
        let own = std::env::current_exe()
            .map_err(|error| BinariesError { folder: PathBuf::new(), reason: error.to_string() })?;
        // Test executables lie in `<target>/<profile>/deps`, other binaries in `<target>/<profile>`.
        let parent = own.parent().unwrap_or(Path::new("."));
        let folder = if parent.ends_with("deps") { parent.parent().unwrap_or(parent) } else { parent };
        let fault = |reason: String| BinariesError { folder: folder.to_owned(), reason };
        if std::env::var_os("CARGO").is_some() || Binaries::in_folder(folder).is_err() {
            // Cargo has locks of its own; this one keeps processes from asking it all at once.
            let lock = File::create(folder.join("fingerpost-tests.lock")).map_err(|error| fault(error.to_string()))?;
            flock(&lock, FlockOperation::LockExclusive).map_err(|error| fault(error.to_string()))?;
            build(folder).map_err(fault)?;
        }
        Binaries::in_folder(folder)
    }

    fn in_folder(folder: &Path) -> Result<Binaries, BinariesError> {
        let path = |name: &str| {
            let fault = |error: std::io::Error| BinariesError { folder: folder.to_owned(), reason: error.to_string() };
            fs::canonicalize(folder.join(name)).map_err(fault)
        };
        Ok(Binaries { daemon: path("fingerpostd")?, cli: path("fingerpost")? })
    }
}

fn build(folder: &Path) -> Result<(), String> {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = folder.parent().ok_or("the test executable is in no target folder")?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells this process about the tests' crate would look like a change to build scripts of dependencies.
    for (name, _) in std::env::vars_os() {
        let is_about_package = name.to_str().is_some_and(|name| {
            ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_CRATE_"].iter().any(|prefix| name.starts_with(prefix))
        });
        if is_about_package || name == "OUT_DIR" {
            command.env_remove(name);
        }
    }
    let status = command
        .args(["build", "--quiet", "-p", "fingerpost-daemon", "-p", "fingerpost-cli", "--bins", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("cargo build ended with {status}")) }
}
