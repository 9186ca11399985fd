//! The home of a read-only mirror: which nodes it gets the public set from.
//!
//! In: mirror codes, pasted by the operator. Out: a file in the home that makes it a mirror's from then on, and its node key.
//! Always: the home of a node that is no mirror is never turned into one; all codes are for one network.
//! Spec: `spec/06-link.md`, section 9.

use std::path::{Path, PathBuf};
use std::{fs, io};

use fingerpost_proto::id::NetworkId;
use fingerpost_proto::key::PublicKey;
use fingerpost_proto::limits::INVITE_CODE_CHARS_MAX;
use fingerpost_proto::network::mirror_code::{MirrorCode, MirrorCodeError};
use fingerpost_proto::overlay::neighbours::INTRODUCED_MAX;

use crate::daemon::{STORE_FOLDER, StartError, prepare_home};
use crate::transport::NodeKey;

/// File of the codes in the home, one a line.
pub const MIRROR_FILE: &str = "mirror.code";
/// Sources of one mirror. One is enough; each more brings every version once more.
pub const MIRROR_SOURCES_MAX: usize = 8;

const _: () = assert!(MIRROR_SOURCES_MAX <= INTRODUCED_MAX);

/// Why a home is no mirror's.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// A code that is none.
    #[error(transparent)]
    Code(#[from] MirrorCodeError),
    /// Not a number of codes that can be used.
    #[error("found {found} mirror codes; 1 to {MIRROR_SOURCES_MAX} can be used, one for each source")]
    Count {
        /// Codes found.
        found: usize,
    },
    /// Codes of different networks.
    #[error("the codes are for two networks, {one} and {other}; a mirror serves one")]
    TwoNetworks {
        /// The first code's.
        one: NetworkId,
        /// Another code's.
        other: NetworkId,
    },
    /// A member's home.
    #[error(
        "{} is the home of a node already; a mirror needs a home of its own: choose another --home", path.display()
    )]
    NotAMirror {
        /// The home.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The home or its node key cannot be used.
    #[error(transparent)]
    Home(Box<StartError>),
}

/// Where a mirror gets the public set from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSources {
    /// What is mirrored.
    pub network: NetworkId,
    /// 1 to [`MIRROR_SOURCES_MAX`], each of another node.
    pub sources: Vec<MirrorCode>,
}

impl MirrorSources {
    /// Reads codes. Two of one node are one: the later counts.
    pub fn read<'a>(codes: impl IntoIterator<Item = &'a str>) -> Result<MirrorSources, MirrorError> {
        let mut sources: Vec<MirrorCode> = Vec::new();
        for code in codes {
            let code = MirrorCode::decode(code)?;
            sources.retain(|source| source.node_key != code.node_key);
            sources.push(code);
            if sources.len() > MIRROR_SOURCES_MAX {
                return Err(MirrorError::Count { found: sources.len() });
            }
        }
        let Some(network) = sources.first().map(|source| source.network) else {
            return Err(MirrorError::Count { found: 0 });
        };
        if let Some(other) = sources.iter().find(|source| source.network != network) {
            return Err(MirrorError::TwoNetworks { one: network, other: other.network });
        }
        Ok(MirrorSources { network, sources })
    }

    /// The sources of the mirror whose home this is; `None` when it is no mirror's.
    pub fn load(home: &Path) -> Result<Option<MirrorSources>, MirrorError> {
        let path = home.join(MIRROR_FILE);
        let most = (MIRROR_SOURCES_MAX * (INVITE_CODE_CHARS_MAX + 1)) as u64;
        let fault = |source| MirrorError::File { path: path.clone(), source };
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error)),
            Ok(file) if file.len() > most => return Err(MirrorError::Code(MirrorCodeError::NotAMirrorCode)),
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(fault)?;
        MirrorSources::read(text.lines().filter(|line| !line.trim().is_empty())).map(Some)
    }

    /// Makes `home` a mirror's with these sources, instead of those that it had, and returns its node key. Nothing is dialled.
    pub fn prepare(home: &Path, codes: &[String]) -> Result<(PublicKey, MirrorSources), MirrorError> {
        let sources = MirrorSources::read(codes.iter().map(String::as_str))?;
        prepare_home(home).map_err(|error| MirrorError::Home(Box::new(error)))?;
        let path = home.join(MIRROR_FILE);
        if let Some(before) = MirrorSources::load(home)? {
            if before.network != sources.network {
                return Err(MirrorError::TwoNetworks { one: before.network, other: sources.network });
            }
        } else if ["org.card", STORE_FOLDER].iter().any(|file| home.join(file).exists()) {
            return Err(MirrorError::NotAMirror { path: home.to_owned() });
        }
        let key = NodeKey::load_or_create(home).map_err(|error| MirrorError::Home(Box::new(error.into())))?;
        let lines: String = sources.sources.iter().map(|source| source.encode() + "\n").collect();
        fs::write(&path, lines).map_err(|source| MirrorError::File { path, source })?;
        Ok((key.public(), sources))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ed25519_dalek::SigningKey;

    use super::*;

    fn code(node: u8, network: u8) -> String {
        let key = SigningKey::from_bytes(&[node; 32]).verifying_key();
        let node_key = PublicKey::from_bytes(key.as_bytes()).unwrap();
        let addresses = vec![format!("node{node}.example:7474")];
        MirrorCode { network: NetworkId([network; 32]), node_key, addresses }.encode()
    }

    #[test]
    fn a_home_becomes_a_mirrors_once_for_one_network_and_keeps_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("mirror");
        assert!(MirrorSources::load(&home).unwrap().is_none());
        let (key, _) = MirrorSources::prepare(&home, &[code(1, 9)]).unwrap();
        let (again, sources) = MirrorSources::prepare(&home, &[code(2, 9), code(3, 9), code(2, 9)]).unwrap();
        assert_eq!((key, sources.sources.len()), (again, 2));
        assert_eq!(MirrorSources::load(&home).unwrap(), Some(sources));
        let other = MirrorSources::prepare(&home, &[code(1, 8)]).unwrap_err();
        assert!(matches!(other, MirrorError::TwoNetworks { .. }), "{other}");
    }

    #[test]
    fn the_home_of_a_node_is_never_turned_into_a_mirrors() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("node");
        prepare_home(&home).unwrap();
        fs::write(home.join("org.card"), "x").unwrap();
        let refused = MirrorSources::prepare(&home, &[code(1, 9)]).unwrap_err();
        assert!(matches!(refused, MirrorError::NotAMirror { .. }), "{refused}");
        assert!(!home.join(MIRROR_FILE).exists());
    }

    #[test]
    fn a_mirror_has_up_to_eight_sources_of_one_network() {
        let codes = |count: u8| -> Vec<String> { (1..=count).map(|n| code(n, 9)).collect() };
        let read = |codes: &[String]| MirrorSources::read(codes.iter().map(String::as_str));
        let most = MIRROR_SOURCES_MAX as u8;
        assert_eq!(read(&codes(most)).unwrap().sources.len(), MIRROR_SOURCES_MAX);
        assert!(matches!(read(&codes(most + 1)), Err(MirrorError::Count { .. })));
        assert!(matches!(read(&[]), Err(MirrorError::Count { found: 0 })));
        assert!(matches!(read(&[code(1, 9), code(2, 8)]), Err(MirrorError::TwoNetworks { .. })));
    }
}
