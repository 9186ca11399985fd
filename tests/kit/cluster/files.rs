//! Homes as files: looked through, copied, put back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ClusterError;

/// Files below a folder in whose bytes the text is.
pub fn files_holding(folder: &Path, text: &str) -> Result<Vec<PathBuf>, ClusterError> {
    let mut found = Vec::new();
    look(folder, text.as_bytes(), &mut found).map_err(ClusterError::system(folder.display().to_string()))?;
    Ok(found)
}

fn look(folder: &Path, text: &[u8], found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            look(&path, text, found)?;
        } else if path.is_file() && fs::read(&path)?.windows(text.len()).any(|bytes| bytes == text) {
            found.push(path);
        }
    }
    Ok(())
}

/// Copies a home as a backup program does, modes included, over what is there: everything but sockets and the
/// configuration, which says where to listen.
pub fn copy_home(from: &Path, to: &Path) -> Result<(), ClusterError> {
    copy(from, to).map_err(ClusterError::system(format!("a copy of {}", from.display())))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() {
            copy(&entry.path(), &to.join(&name))?;
        } else if kind.is_file() && name != "fingerpostd.toml" {
            // Beside and renamed: a restored file lies elsewhere on the disk than the one that it replaces.
            let draft = to.join("restored");
            fs::copy(entry.path(), &draft)?;
            fs::rename(draft, to.join(&name))?;
        }
    }
    Ok(())
}

/// Puts a folder of a home back as it was: what came since is gone.
pub fn restore_folder(backup: &Path, folder: &Path) -> Result<(), ClusterError> {
    let restored = || -> io::Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        copy(backup, folder)
    };
    restored().map_err(ClusterError::system(folder.display().to_string()))
}
