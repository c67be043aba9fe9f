//! An online key in a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rand::CryptoRng;
use wheelmark_tuf::{Key, Signature};
use zeroize::Zeroizing;

use crate::ed25519::{Ed25519Key, KeyFormatError};
use crate::{SignError, Signer, create_private_file};

/// No private key in PEM is longer than this, in bytes.
const MAX_KEY_FILE_LEN: u64 = 16 * 1024;

/// The permissions of group and others.
const NOT_THE_OWNERS: u32 = 0o077;

/// An Ed25519 key that was read from, or written to, a PKCS#8 PEM file.
pub struct FileKey {
    key: Ed25519Key,
    path: PathBuf,
}

/// Why a key file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateKeyError {
    /// A key is never overwritten.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot write the key file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
}

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenKeyError {
    /// There is none.
    #[error("there is no key file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner can read or write it.
    #[error(
        "the key file {} is open to others than its owner (mode {mode:04o}): run `chmod 600 {}`, and consider whether the key is still secret",
        path.display(), path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The name of a credential is one segment of a path.
    #[error("`{}` is not the name of a credential", name.escape_debug())]
    CredentialName {
        /// What was given.
        name: String,
    },
    /// It holds something else.
    #[error("{} is not a key file: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The file system refused.
    #[error("cannot read the key file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
}

impl FileKey {
    /// Makes a new key and writes it to `path`, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// [`CreateKeyError::Exists`] if anything has that name; a key is never overwritten.
    pub fn create(path: &Path, rng: &mut dyn CryptoRng) -> Result<FileKey, CreateKeyError> {
        let key = Ed25519Key::generate(rng);
        let path = path.to_owned();
        match create_private_file(&path, key.to_pem().as_bytes()) {
            Ok(()) => Ok(FileKey { key, path }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(CreateKeyError::Exists { path })
            }
            Err(source) => Err(CreateKeyError::Io { path, source }),
        }
    }

    /// Reads the key in `path`.
    ///
    /// # Errors
    ///
    /// [`OpenKeyError::TooOpen`] if group or others have any permission on the file.
    pub fn open(path: &Path) -> Result<FileKey, OpenKeyError> {
        read(path, Demand::OwnerOnly)
    }

    /// Reads the key `name` in a credential directory, such as systemd's
    /// `$CREDENTIALS_DIRECTORY`. Who may read it is the service manager's business.
    pub fn from_credentials(dir: &Path, name: &str) -> Result<FileKey, OpenKeyError> {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(OpenKeyError::CredentialName {
                name: name.to_owned(),
            });
        }
        read(&dir.join(name), Demand::Nothing)
    }

    /// Where the key is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Signer for FileKey {
    fn key(&self) -> &Key {
        self.key.key()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        self.key.sign(message)
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey")
            .field("path", &self.path)
            .field("key", &self.key)
            .finish()
    }
}

/// What is asked of the permissions of a key file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    OwnerOnly,
    Nothing,
}

fn read(path: &Path, demand: Demand) -> Result<FileKey, OpenKeyError> {
    let path = path.to_owned();
    let cannot = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => OpenKeyError::Missing { path: path.clone() },
        _ => OpenKeyError::Io {
            path: path.clone(),
            source,
        },
    };
    let file = File::open(&path).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.permissions().mode() & 0o7777;
    if demand == Demand::OwnerOnly && mode & NOT_THE_OWNERS != 0 {
        return Err(OpenKeyError::TooOpen { path, mode });
    }
    // The buffer has its final size at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_LEN as usize + 1));
    file.take(MAX_KEY_FILE_LEN + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    let format = |problem: String| OpenKeyError::Format {
        path: path.clone(),
        problem,
    };
    if bytes.len() as u64 > MAX_KEY_FILE_LEN {
        return Err(format(format!(
            "it is longer than {MAX_KEY_FILE_LEN} bytes"
        )));
    }
    let key = std::str::from_utf8(&bytes)
        .map_err(|_| KeyFormatError::NoPem)
        .and_then(Ed25519Key::from_pem)
        .map_err(|error| format(error.to_string()))?;
    Ok(FileKey { key, path })
}
