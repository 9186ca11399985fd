//! Private keys in files, and signing with them.
//!
//! In: a folder that only its owner may open. Out: a [`Signer`]. Always: a key file is complete or absent, is never
//! overwritten, has mode 0600 in a folder of mode 0700, and is refused when anybody else could read it; secret bytes
//! are wiped from memory when dropped. Spec: `spec/05-network.md`, section 1 says what each key may sign.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use fingerpost_proto::canary::{Canary, is_out};
use fingerpost_proto::key::{Domain, KeyError, PublicKey, SIGNATURE_BYTES};
use fingerpost_proto::version::{Header, SignedVersion, VersionError};
use zeroize::{Zeroize, Zeroizing};

use crate::failure::{Exit, Failure};
use crate::transport::{TlsError, TlsIdentity};

/// Name of the folder of keys in a home.
pub const KEYS_FOLDER: &str = "keys";
/// File with the key that signs the next card.
pub const ROOT_KEY_FILE: &str = "root.key";
/// File with the key that signs records.
pub const DEVICE_KEY_FILE: &str = "device.key";
/// A key file is one short line; more is not read.
const KEY_FILE_BYTES_MAX: u64 = 256;
/// Keys of one purpose that are set aside in one home; each is a recovery.
const KEYS_ASIDE_MAX: u32 = 100;
const KEY_FILE_PREFIX: &str = "fingerpost-key-1";

/// Why a key cannot be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// No such file.
    #[error("there is no key at {path}")]
    Missing {
        /// The file looked for.
        path: PathBuf,
    },
    /// Others could read or change it.
    #[error("{path} has mode {mode:04o}; others could read it")]
    TooOpen {
        /// File or folder.
        path: PathBuf,
        /// Mode found.
        mode: u32,
        /// Mode that would be right.
        wanted: u32,
    },
    /// Belongs to another account.
    #[error("{path} belongs to user {owner}, this command runs as user {user}")]
    NotOurs {
        /// File or folder.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
        /// Our number.
        user: u32,
    },
    /// Not a key file, or for another purpose.
    #[error("{path} is not a {purpose} key file of this software")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Purpose wanted.
        purpose: KeyPurpose,
    },
    /// A key is there already.
    #[error("{path} exists already; a key is never overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The key is unfit: practically impossible for a fresh one.
    #[error("{path} holds a key that no node would accept")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
    /// The system gave no randomness.
    #[error("the system gave no random bytes for a new key")]
    Randomness,
    /// Reading or writing failed.
    #[error("{path} cannot be read or written")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Failure {
        let exit = if matches!(error, KeyFileError::Exists { .. }) { Exit::Conflict } else { Exit::Permission };
        let hint = match &error {
            KeyFileError::Missing { .. } => Some("make an identity first: fingerpost init --name NAME".to_owned()),
            KeyFileError::TooOpen { path, wanted, .. } => Some(format!("run: chmod {wanted:o} {}", path.display())),
            KeyFileError::NotOurs { .. } => Some("run this command as the account that made the key".to_owned()),
            KeyFileError::Malformed { .. } => Some("restore the file from your backup".to_owned()),
            KeyFileError::Exists { .. } => Some("use another --home to make a second identity".to_owned()),
            _ => None,
        };
        let failure = Failure::new(exit, "the private key cannot be used").caused_by(&error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What a key signs. Written into its file, so that two files cannot be mixed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// The organisation's next card.
    Root,
    /// Records and statements.
    Device,
}

impl KeyPurpose {
    fn name(self) -> &'static str {
        match self {
            KeyPurpose::Root => "root",
            KeyPurpose::Device => "device",
        }
    }

    /// Where the key of this purpose lies in a home.
    pub fn path(self, home: &Path) -> PathBuf {
        let file = match self {
            KeyPurpose::Root => ROOT_KEY_FILE,
            KeyPurpose::Device => DEVICE_KEY_FILE,
        };
        home.join(KEYS_FOLDER).join(file)
    }
}

impl std::fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// 32 secret bytes, wiped when dropped: the seed of an Ed25519 key.
pub type Seed = Zeroizing<[u8; 32]>;

/// Draws a seed from the system's randomness.
pub fn fresh_seed() -> Result<Seed, KeyFileError> {
    let mut seed = Seed::default();
    getrandom::fill(seed.as_mut_slice()).map_err(|_| KeyFileError::Randomness)?;
    Ok(seed)
}

/// A private key that signs; wiped when dropped.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

impl Signer {
    /// The key with this seed. Errors: [`KeyError`] when no node would accept it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Signer, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let public = PublicKey::from_bytes(key.verifying_key().as_bytes())?;
        Ok(Signer { key, public })
    }

    /// Its public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What this key shows when it dials: a certificate of its own. TLS never signs what one of our domains begins with.
    pub fn tls_identity(&self) -> Result<TlsIdentity, TlsError> {
        TlsIdentity::new(&self.key)
    }

    /// Signs `message` for one purpose.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign(&domain.signing_bytes(message)).to_bytes()
    }

    /// Signs a version. Errors: [`VersionError`] when header and body are not a version that anyone could accept.
    pub fn sign_version(&self, header: &Header, body: &[u8]) -> Result<SignedVersion, VersionError> {
        SignedVersion::assemble(header, body, &self.key.sign(&header.signing_bytes(body)).to_bytes())
    }
}

/// Keeps a new key in its file in `home`, durable before this returns.
///
/// Makes the folder with mode 0700 when it is missing. Errors: [`KeyFileError::Exists`] when there is a key already.
pub fn keep(home: &Path, purpose: KeyPurpose, seed: &Seed) -> Result<(), KeyFileError> {
    let path = purpose.path(home);
    let folder = home.join(KEYS_FOLDER);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| KeyFileError::Io { path, source }
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io(&folder))?;
    check_private(&folder, 0o700)?;
    let mut text = Zeroizing::new(format!("{KEY_FILE_PREFIX} {} ", purpose.name()));
    seed.iter().for_each(|byte| {
        let digits = [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
        text.extend(digits);
    });
    text.push('\n');
    // A complete file under a name of its own, then a link under the final name: a link never replaces a file, so two
    // commands at once cannot overwrite each other's key, and a power cut leaves a whole key or none.
    let draft = folder.join(format!(".{}.{}.new", purpose.name(), std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let linked = written.and_then(|()| fs::hard_link(&draft, &path));
    let _ = fs::remove_file(&draft);
    linked.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.clone() },
        _ => KeyFileError::Io { path: path.clone(), source },
    })?;
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(io(&folder))
}

/// Moves the key of this purpose, if there is one, to a name beside it that is free: `device.key.old-1`. Nothing is deleted, for whoever
/// replaces a key may need the old one when it was the wrong day to do so.
pub fn set_aside(home: &Path, purpose: KeyPurpose) -> Result<(), KeyFileError> {
    let path = purpose.path(home);
    let io = |source| KeyFileError::Io { path: path.clone(), source };
    if !path.try_exists().map_err(io)? {
        return Ok(());
    }
    for number in 1..=KEYS_ASIDE_MAX {
        let aside = path.with_extension(format!("key.old-{number}"));
        match fs::hard_link(&path, &aside) {
            Ok(()) => return fs::remove_file(&path).map_err(io),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
    }
    Err(KeyFileError::Exists { path: path.with_extension(format!("key.old-{KEYS_ASIDE_MAX}")) })
}

/// Loads the key of this purpose from `home`. Errors: [`KeyFileError`]; nothing is changed on disk.
pub fn load(home: &Path, purpose: KeyPurpose) -> Result<Signer, KeyFileError> {
    let path = purpose.path(home);
    let io = |source| KeyFileError::Io { path: path.clone(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyFileError::Missing { path }),
        Err(error) => return Err(io(error)),
    };
    check_private(&home.join(KEYS_FOLDER), 0o700)?;
    check_metadata(&path, &file.metadata().map_err(io)?, 0o600)?;
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize));
    let malformed = || KeyFileError::Malformed { path: path.clone(), purpose };
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => malformed(),
        _ => io(error),
    })?;
    let seed = parse(&text, purpose).ok_or_else(malformed)?;
    Signer::from_seed(&seed).map_err(|source| KeyFileError::Unfit { path: path.clone(), source })
}

fn parse(text: &str, purpose: KeyPurpose) -> Option<Seed> {
    let mut words = text.split_ascii_whitespace();
    let prefix = words.next() == Some(KEY_FILE_PREFIX) && words.next() == Some(purpose.name());
    let digits = words.next().filter(|digits| prefix && digits.len() == 64)?;
    if words.next().is_some() {
        return None;
    }
    let mut seed = Seed::default();
    for (byte, pair) in seed.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let mut value = [0; 2];
        for (value, digit) in value.iter_mut().zip(pair) {
            *value = char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())?;
        }
        *byte = value[0] * 16 + value[1];
        value.zeroize();
    }
    Some(seed)
}

fn check_private(path: &Path, wanted: u32) -> Result<(), KeyFileError> {
    let metadata = fs::metadata(path).map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
    check_metadata(path, &metadata, wanted)
}

fn check_metadata(path: &Path, metadata: &fs::Metadata, wanted: u32) -> Result<(), KeyFileError> {
    let (mode, owner, user) = (metadata.mode() & 0o777, metadata.uid(), rustix::process::geteuid().as_raw());
    if mode & 0o077 != 0 && !is_out(Canary::KeyFileMode) {
        return Err(KeyFileError::TooOpen { path: path.to_owned(), mode, wanted });
    }
    // Root may use a service account's keys; the other way round the file could not be read at all.
    if owner != user && user != 0 {
        return Err(KeyFileError::NotOurs { path: path.to_owned(), owner, user });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn home_with_key() -> (tempfile::TempDir, Seed) {
        let home = tempfile::tempdir().unwrap();
        let seed = fresh_seed().unwrap();
        keep(home.path(), KeyPurpose::Device, &seed).unwrap();
        (home, seed)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_kept_key_is_loaded_again_and_signs_what_its_public_key_verifies() {
        let (home, seed) = home_with_key();
        let signer = load(home.path(), KeyPurpose::Device).unwrap();
        assert_eq!(signer.public(), Signer::from_seed(&seed).unwrap().public());
        let signature = signer.sign(Domain::Claim, b"message");
        assert!(signer.public().verify(Domain::Claim, b"message", &signature).is_ok());
        assert!(signer.public().verify(Domain::Version, b"message", &signature).is_err());
    }

    #[test]
    fn a_key_file_is_readable_by_its_owner_only_and_leaves_no_draft() {
        let (home, _) = home_with_key();
        let path = KeyPurpose::Device.path(home.path());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_others_could_read_is_refused_with_the_command_that_repairs_it() {
        let (home, _) = home_with_key();
        let path = KeyPurpose::Device.path(home.path());
        for mode in [0o640, 0o604, 0o660, 0o644] {
            set_mode(&path, mode);
            let error = load(home.path(), KeyPurpose::Device).unwrap_err();
            assert!(matches!(error, KeyFileError::TooOpen { .. }), "{mode:o}");
            let failure = Failure::from(error);
            assert_eq!(failure.exit(), Exit::Permission);
            assert!(failure.json()["hint"].as_str().unwrap().contains("chmod 600 "));
        }
        set_mode(&path, 0o400);
        assert!(load(home.path(), KeyPurpose::Device).is_ok());
        set_mode(path.parent().unwrap(), 0o755);
        let error = load(home.path(), KeyPurpose::Device).unwrap_err();
        assert!(matches!(error, KeyFileError::TooOpen { wanted: 0o700, .. }));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let (home, seed) = home_with_key();
        let again = keep(home.path(), KeyPurpose::Device, &fresh_seed().unwrap());
        assert!(matches!(again, Err(KeyFileError::Exists { .. })));
        let signer = load(home.path(), KeyPurpose::Device).unwrap();
        assert_eq!(signer.public(), Signer::from_seed(&seed).unwrap().public());
    }

    #[test]
    fn keys_are_set_aside_up_to_100_times_and_none_is_lost() {
        let (home, _) = home_with_key();
        for _ in 0..KEYS_ASIDE_MAX {
            set_aside(home.path(), KeyPurpose::Device).unwrap();
            assert!(matches!(load(home.path(), KeyPurpose::Device), Err(KeyFileError::Missing { .. })));
            keep(home.path(), KeyPurpose::Device, &fresh_seed().unwrap()).unwrap();
        }
        assert!(matches!(set_aside(home.path(), KeyPurpose::Device), Err(KeyFileError::Exists { .. })));
        assert!(load(home.path(), KeyPurpose::Device).is_ok(), "the one in use stays");
        let files: Vec<_> = fs::read_dir(home.path().join(KEYS_FOLDER)).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), KEYS_ASIDE_MAX as usize + 1);
        assert!(files.iter().all(|file| file.metadata().unwrap().mode() & 0o777 == 0o600));
        set_aside(home.path(), KeyPurpose::Root).unwrap();
    }

    #[test]
    fn a_missing_foreign_cut_or_overlong_file_is_no_key() {
        let (home, _) = home_with_key();
        assert!(matches!(load(home.path(), KeyPurpose::Root), Err(KeyFileError::Missing { .. })));
        let path = KeyPurpose::Device.path(home.path());
        let good = fs::read_to_string(&path).unwrap();
        let bad = [
            String::new(),
            good.replace("device", "root"),
            good[..good.len() - 2].to_owned(),
            good.replace('\n', "0\n"),
            format!("{good} more"),
            good.replace("fingerpost-key-1", "fingerpost-key-2"),
            "\u{fffd}".repeat(400),
        ];
        for text in bad {
            fs::write(&path, text).unwrap();
            let error = load(home.path(), KeyPurpose::Device).unwrap_err();
            assert!(matches!(error, KeyFileError::Malformed { .. }), "{error}");
        }
    }

    #[test]
    fn a_signer_does_not_print_its_secret() {
        let seed = Seed::new([7; 32]);
        let text = format!("{:?}", Signer::from_seed(&seed).unwrap());
        assert!(!text.contains(&"07".repeat(32)), "{text}");
    }
}
