//! The node key: the Ed25519 key that is a node's identity on links, and its file.
//!
//! In: the daemon's home directory. Out: [`NodeKey`].
//! Always: the file is read only when nobody but its owner can read it; a key that was returned is on stable storage;
//! an existing file is never replaced. In memory the key is wiped when dropped.
//! File: PEM of a PKCS#8 version 1 private key, so that `openssl pkey -in node.key -text` can show it.
//! Spec: `spec/06-link.md`, section 1.2.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;
pub(super) use fingerpost_cli::transport::tls::public_half;
use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::key::PublicKey;
use zeroize::Zeroizing;

/// Name of the key file in a daemon's home.
pub const NODE_KEY_FILE: &str = "node.key";

/// Largest key file that is read, in bytes; a proper one has about 120.
const FILE_BYTES_MAX: usize = 4096;
/// Permission bits that let group or others at a file.
const MODE_FOREIGN: u32 = 0o077;
/// DER of a PKCS#8 version 1 Ed25519 private key, up to its 32 bytes of seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why there is no node key.
#[derive(Debug, thiserror::Error)]
pub enum NodeKeyError {
    /// The home directory lets others in.
    #[error("{} has mode {mode:04o}, others must not enter the directory of a private key; run: chmod 700 {}", path.display(), path.display())]
    DirectoryTooOpen {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file lets others read or write it.
    #[error("{} has mode {mode:04o}, but it holds a private key; run: chmod 600 {} (if somebody else may have read it, delete it: the daemon makes a new key, and the organisation's card must name that one)", path.display(), path.display())]
    FileTooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no key in the format that this daemon writes.
    #[error("{} is not an Ed25519 private key (PKCS#8 in PEM): {what}; restore it from a backup, or delete it and the daemon makes a new key", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What was found instead; never a part of the content.
        what: &'static str,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness for a new key: {0}")]
    Randomness(getrandom::Error),
}

/// A node's key on links. Wiped from memory when dropped; printing it shows the public half.
pub struct NodeKey {
    signing: SigningKey,
    public: PublicKey,
}

impl NodeKey {
    /// Reads `node.key` in `home`, or makes it (mode 0600) when there is none.
    ///
    /// `home` must exist with mode 0700 or tighter. Errors: [`NodeKeyError`]; nothing is changed then.
    pub fn load_or_create(home: &Path) -> Result<NodeKey, NodeKeyError> {
        let directory = fs::metadata(home).map_err(fault("look at", home))?;
        let mode = directory.mode() & 0o7777;
        if mode & MODE_FOREIGN != 0 {
            return Err(NodeKeyError::DirectoryTooOpen { path: home.to_owned(), mode });
        }
        let path = home.join(NODE_KEY_FILE);
        match NodeKey::read(&path) {
            Err(NodeKeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                NodeKey::create(home, &path)?;
                // Read back what is there now: another process may have been first, and then its key counts.
                NodeKey::read(&path)
            }
            read => read,
        }
    }

    /// The public half: the node's name on links.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The private half, for signing what the node signs itself.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    fn read(path: &Path) -> Result<NodeKey, NodeKeyError> {
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = OpenOptions::new().read(true).custom_flags(no_follow).open(path).map_err(fault("open", path))?;
        // The mode of what was opened, not of what the name may point to a moment later.
        let metadata = file.metadata().map_err(fault("look at", path))?;
        if !metadata.is_file() {
            return Err(NodeKeyError::NotAKey { path: path.to_owned(), what: "it is no regular file" });
        }
        let mode = metadata.mode() & 0o7777;
        if mode & MODE_FOREIGN != 0 && !is_out(Canary::KeyFileMode) {
            return Err(NodeKeyError::FileTooOpen { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(vec![0; FILE_BYTES_MAX + 1]);
        let length = read_up_to(&mut file, &mut text).map_err(fault("read", path))?;
        let seed = parse_pem(&text[..length]).map_err(|what| NodeKeyError::NotAKey { path: path.to_owned(), what })?;
        let signing = SigningKey::from_bytes(&seed);
        let public = public_half(&signing);
        Ok(NodeKey { signing, public })
    }

    /// Writes a new key beside its place and moves it there, unless another one got there first.
    fn create(home: &Path, path: &Path) -> Result<(), NodeKeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(NodeKeyError::Randomness)?;
        // Temporary files are made with mode 0600 before anything is in them.
        let mut file = tempfile::Builder::new()
            .prefix(".node.key-")
            .tempfile_in(home)
            .map_err(fault("make a file for the new key in", home))?;
        file.write_all(render_pem(&seed).as_bytes()).map_err(fault("write", file.path()))?;
        file.as_file().sync_all().map_err(fault("write", file.path()))?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fault("make", path)(error.error)),
        }
        File::open(home).and_then(|directory| directory.sync_all()).map_err(fault("sync", home))
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKey({})", self.public)
    }
}

fn fault<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> NodeKeyError + use<'a> {
    let path = path.to_owned();
    move |source| NodeKeyError::Io { action, path, source }
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn render_pem(seed: &[u8; 32]) -> Zeroizing<String> {
    let der = Zeroizing::new([PKCS8_PREFIX.as_slice(), seed].concat());
    let body = Zeroizing::new(BASE64.encode(&*der));
    Zeroizing::new(format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", *body))
}

fn parse_pem(text: &[u8]) -> Result<Zeroizing<[u8; 32]>, &'static str> {
    if text.len() > FILE_BYTES_MAX {
        return Err("it is too long");
    }
    let text = std::str::from_utf8(text).map_err(|_| "it is not text")?.trim();
    let body = text
        .strip_prefix(PEM_BEGIN)
        .and_then(|rest| rest.strip_suffix(PEM_END))
        .ok_or("the lines BEGIN PRIVATE KEY and END PRIVATE KEY are not its first and last")?;
    let der = Zeroizing::new(BASE64.decode(body.trim()).map_err(|_| "its middle line is not Base64")?);
    let seed = der.strip_prefix(&PKCS8_PREFIX).ok_or("it holds another kind of key")?;
    seed.try_into().map(Zeroizing::new).map_err(|_| "the key in it has not 32 bytes")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        set_mode(home.path(), 0o700);
        home
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_new_key_is_private_and_is_read_back_the_same() {
        let home = home();
        let made = NodeKey::load_or_create(home.path()).unwrap();
        let path = home.path().join(NODE_KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(NodeKey::load_or_create(home.path()).unwrap().public(), made.public());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn the_file_of_the_specification_s_example_key_is_what_is_written_and_read() {
        let example = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n\
            -----END PRIVATE KEY-----\n";
        assert_eq!(*render_pem(&[1; 32]), example);
        assert_eq!(*parse_pem(example.as_bytes()).unwrap(), [1; 32]);
    }

    #[test]
    fn two_homes_have_two_keys() {
        let (one, two) = (home(), home());
        let (one, two) = (NodeKey::load_or_create(one.path()), NodeKey::load_or_create(two.path()));
        assert_ne!(one.unwrap().public(), two.unwrap().public());
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_the_command_that_helps() {
        let home = home();
        NodeKey::load_or_create(home.path()).unwrap();
        let path = home.path().join(NODE_KEY_FILE);
        for mode in [0o640, 0o604, 0o620, 0o601] {
            set_mode(&path, mode);
            let error = NodeKey::load_or_create(home.path()).unwrap_err();
            assert!(matches!(error, NodeKeyError::FileTooOpen { mode: found, .. } if found == mode), "{error}");
            assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
        for mode in [0o600, 0o400] {
            set_mode(&path, mode);
            NodeKey::load_or_create(home.path()).unwrap();
        }
    }

    #[test]
    fn a_home_that_others_can_enter_is_refused_with_the_command_that_helps() {
        let home = home();
        for mode in [0o750, 0o705, 0o711] {
            set_mode(home.path(), mode);
            let error = NodeKey::load_or_create(home.path()).unwrap_err();
            assert!(matches!(error, NodeKeyError::DirectoryTooOpen { mode: found, .. } if found == mode), "{error}");
            assert!(error.to_string().contains("chmod 700"), "{error}");
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_left_alone() {
        let home = home();
        NodeKey::load_or_create(home.path()).unwrap();
        let path = home.path().join(NODE_KEY_FILE);
        let good = fs::read_to_string(&path).unwrap();
        let long = good.replace('\n', &"\n".repeat(FILE_BYTES_MAX));
        for bad in ["", "secret", &good[..good.len() - 4], &good.replacen("MC4C", "MC4D", 1), &long] {
            fs::write(&path, bad).unwrap();
            let error = NodeKey::load_or_create(home.path()).unwrap_err();
            assert!(matches!(error, NodeKeyError::NotAKey { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn a_key_file_behind_a_symbolic_link_is_refused() {
        let (home, elsewhere) = (home(), home());
        NodeKey::load_or_create(elsewhere.path()).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join(NODE_KEY_FILE), home.path().join(NODE_KEY_FILE)).unwrap();
        assert!(matches!(NodeKey::load_or_create(home.path()), Err(NodeKeyError::Io { .. })));
    }

    #[test]
    fn a_key_is_printed_without_its_secret() {
        let home = home();
        let key = NodeKey::load_or_create(home.path()).unwrap();
        assert_eq!(format!("{key:?}"), format!("NodeKey({})", key.public()));
    }

    #[test]
    fn many_starts_at_once_agree_on_one_key() {
        let home = home();
        let keys: Vec<PublicKey> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| NodeKey::load_or_create(home.path()).unwrap().public())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
