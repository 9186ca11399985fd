//! What an admin has set once: where the home is and which node to talk to.
//!
//! Order: command line, environment, `admin.toml` in the home, built-in. Documented: `cli/README.md`, "Settings".

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::{Exit, Failure};

/// Environment variable that names the home.
pub const HOME_VARIABLE: &str = "FINGERPOST_HOME";
/// File with settings in a home.
pub const SETTINGS_FILE: &str = "admin.toml";
/// A node's socket in its home.
pub const SOCKET_FILE: &str = "admin.sock";

/// Contents of `admin.toml`. A name that is not known is an error, because it is usually a misspelling.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Socket of the node, absolute or relative to the home.
    pub node: Option<PathBuf>,
}

impl Settings {
    /// Reads `admin.toml`; a missing file is an empty one.
    pub fn load(home: &Path) -> Result<Settings, Failure> {
        let path = home.join(SETTINGS_FILE);
        let broken = |cause: String| {
            Failure::new(Exit::Usage, format!("{} cannot be read", path.display()))
                .because(cause)
                .hint("its only setting is: node = \"/path/to/admin.sock\"")
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| broken(error.message().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(error) => Err(broken(error.to_string())),
        }
    }

    /// The socket to use: `flag`, else the setting, else the one in the home.
    pub fn socket(&self, home: &Path, flag: Option<&Path>) -> PathBuf {
        match (flag, &self.node) {
            (Some(flag), _) => flag.to_owned(),
            (None, Some(node)) => home.join(node),
            (None, None) => home.join(SOCKET_FILE),
        }
    }
}

/// The home to use: `flag` (which clap fills from the environment as well), else `~/.fingerpost`.
pub fn home(flag: Option<&Path>) -> Result<PathBuf, Failure> {
    match flag {
        Some(flag) => Ok(flag.to_owned()),
        None => std::env::home_dir()
            .filter(|home| !home.as_os_str().is_empty())
            .map(|home| home.join(".fingerpost"))
            .ok_or_else(|| {
                Failure::new(Exit::Usage, "this account has no home folder")
                    .hint(format!("say where to keep keys: --home DIR or {HOME_VARIABLE}=DIR"))
            }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_flag_goes_before_the_setting_and_the_setting_before_the_home() {
        let home = Path::new("/h");
        let none = Settings::default();
        let some = Settings { node: Some("/run/node.sock".into()) };
        let relative = Settings { node: Some("node.sock".into()) };
        assert_eq!(none.socket(home, None), Path::new("/h/admin.sock"));
        assert_eq!(some.socket(home, None), Path::new("/run/node.sock"));
        assert_eq!(relative.socket(home, None), Path::new("/h/node.sock"));
        assert_eq!(some.socket(home, Some(Path::new("x"))), Path::new("x"));
    }

    #[test]
    fn a_misspelt_setting_is_an_error_and_a_missing_file_is_not() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Settings::load(home.path()).unwrap(), Settings::default());
        std::fs::write(home.path().join(SETTINGS_FILE), "nod = \"x\"").unwrap();
        assert_eq!(Settings::load(home.path()).unwrap_err().exit(), Exit::Usage);
        std::fs::write(home.path().join(SETTINGS_FILE), "node = \"x\"").unwrap();
        assert_eq!(Settings::load(home.path()).unwrap().node, Some("x".into()));
    }
}
