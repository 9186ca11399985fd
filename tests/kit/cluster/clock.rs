//! A time of day of its own for one node and its commands, which the test sets while they run.
//!
//! The programs under test are not changed: a small C library that is loaded before theirs adds a number of seconds, which
//! lies in a file, to the machine's time. Needs the C compiler that building Fingerpost needs as well.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::ClusterError;

const SOURCE: &str = include_str!("clock.c");
/// Names the file to the library.
const VARIABLE: &str = "FINGERPOST_TEST_CLOCK";

/// The clock of one machine.
#[derive(Debug)]
pub(super) struct Clock {
    path: PathBuf,
    file: File,
    library: PathBuf,
}

impl Clock {
    /// A clock that agrees with the machine's, kept in a file at `path`.
    pub(super) fn new(path: PathBuf) -> Result<Clock, ClusterError> {
        static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| build().map_err(|error| error.to_string())).clone();
        let library =
            library.map_err(|reason| ClusterError::Refused { name: "a clock of its own".to_owned(), reason })?;
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path);
        let file = file.map_err(ClusterError::system(path.display().to_string()))?;
        let clock = Clock { path, file, library };
        clock.set_ahead(0)?;
        Ok(clock)
    }

    /// Puts it so many seconds ahead of the machine's; behind, when negative.
    pub(super) fn set_ahead(&self, seconds: i64) -> Result<(), ClusterError> {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).map_err(ClusterError::system(self.path.display().to_string()))
    }

    /// Has a program live by it.
    pub(super) fn rule(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env(VARIABLE, &self.path);
    }
}

/// Compiles the library beside the running test, which lies in the target folder.
fn build() -> std::io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().unwrap_or(Path::new("."));
    let library = folder.join("fingerpost-tests-clock.so");
    let (source, draft) = ("clock.c", format!("clock-{}.so", std::process::id()));
    let work = tempfile::tempdir()?;
    fs::write(work.path().join(source), SOURCE)?;
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(folder.join(&draft))
        .arg(source)
        .current_dir(work.path())
        .status()?;
    if !status.success() {
        return Err(std::io::Error::other(format!("cc, which makes a clock for tests, ended with {status}")));
    }
    fs::rename(folder.join(draft), &library)?;
    Ok(library)
}
