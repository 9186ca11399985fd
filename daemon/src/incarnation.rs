//! Which copy of a home this is: a random number in the file `incarnation`, beside where that file was made.
//!
//! A home that was copied, or restored from a backup, has the file at another place on the disk, and draws a new number: so two
//! copies never pass for one. Format: `daemon/STORE.md`, section 10. Source: `spec/15-heads.md`, section 4.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// File name in the home.
const FILE: &str = "incarnation";
/// First line of the file.
const TITLE: &str = "fingerpost-incarnation 1";

/// The incarnation of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incarnation {
    /// Random; the upper half of what heads say.
    pub(crate) number: u32,
    /// There was a file, made elsewhere: the home is a copy, or was restored.
    pub(crate) is_copy: bool,
}

impl Incarnation {
    /// Reads the home's incarnation. Writes `drawn`, which must be random, when there is none or it belongs to another copy.
    ///
    /// Errors: the home cannot be read or written.
    pub(crate) fn load_or_draw(home: &Path, drawn: u32) -> io::Result<Incarnation> {
        let path = home.join(FILE);
        let is_copy = match File::open(&path) {
            Ok(file) => {
                let place = place(&file)?;
                let text = io::read_to_string(&file)?;
                if let Some(number) = number_made_at(&text, &place) {
                    return Ok(Incarnation { number, is_copy: false });
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        // Written beside and renamed, which leaves a file where it is on the disk.
        let draft = home.join(format!("{FILE}.new"));
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let place = place(&file)?;
        file.write_all(format!("{TITLE}\nnumber {drawn:08x}\nplace {place}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(home)?.sync_all()?;
        Ok(Incarnation { number: drawn, is_copy })
    }
}

/// Where a file is: its number on the disk, and when it was made there, as far as the file system tells. Numbers are used again.
fn place(file: &File) -> io::Result<String> {
    let about = file.metadata()?;
    let made = about.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    Ok(format!("{}-{}", about.ino(), made.map_or(0, |made| made.as_nanos())))
}

fn number_made_at(text: &str, place: &str) -> Option<u32> {
    let mut lines = text.lines();
    let is_ours = lines.next() == Some(TITLE);
    let number = lines.next()?.strip_prefix("number ")?;
    let was_made_at = lines.next()?.strip_prefix("place ")?;
    (is_ours && was_made_at == place).then(|| u32::from_str_radix(number, 16).ok()).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_home_keeps_its_incarnation_and_a_copy_of_it_draws_its_own() {
        let (home, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let load = |at: &Path, drawn| Incarnation::load_or_draw(at, drawn).unwrap();
        assert_eq!(load(home.path(), 1), Incarnation { number: 1, is_copy: false });
        assert_eq!(load(home.path(), 2), Incarnation { number: 1, is_copy: false });
        fs::copy(home.path().join(FILE), copy.path().join(FILE)).unwrap();
        assert_eq!(load(copy.path(), 3), Incarnation { number: 3, is_copy: true });
        assert_eq!(load(copy.path(), 4), Incarnation { number: 3, is_copy: false });
        assert_eq!(load(home.path(), 5), Incarnation { number: 1, is_copy: false });
    }

    #[test]
    fn a_restored_file_draws_anew_and_a_moved_home_does_not() {
        let parent = tempfile::tempdir().unwrap();
        let (home, moved) = (parent.path().join("home"), parent.path().join("moved"));
        fs::create_dir(&home).unwrap();
        let load = |at: &Path, drawn| Incarnation::load_or_draw(at, drawn).unwrap();
        load(&home, 1);
        let backup = fs::read(home.join(FILE)).unwrap();
        fs::rename(&home, &moved).unwrap();
        assert_eq!(load(&moved, 2), Incarnation { number: 1, is_copy: false });
        fs::remove_file(moved.join(FILE)).unwrap();
        fs::write(moved.join(FILE), backup).unwrap();
        assert_eq!(load(&moved, 3), Incarnation { number: 3, is_copy: true });
    }

    #[test]
    fn an_unreadable_file_counts_as_that_of_another_copy() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE), "something else").unwrap();
        assert_eq!(Incarnation::load_or_draw(home.path(), 7).unwrap(), Incarnation { number: 7, is_copy: true });
    }
}
