//! The metadata of one repository in a flat directory: `root.json`, `timestamp.json`, …
//! and delegated roles under their percent-encoded names, byte for byte as received.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use wheelmark_tuf::{CacheName, Cached, Effect, RoleName, VerifyError, verify_trusted_root};

/// Why a metadata directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataDirError {
    /// A file or the directory could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is no trusted root to begin with.
    #[error("{} holds no trusted root", path.display())]
    NoRoot {
        /// The directory.
        path: PathBuf,
    },
    /// What was given as a trusted root is none.
    #[error("the file is not a root that can be trusted")]
    BadRoot(#[source] VerifyError),
    /// Trust has begun already, with another root.
    #[error("{} holds a trusted root already", path.display())]
    HasRoot {
        /// The directory.
        path: PathBuf,
    },
}

/// A directory with the metadata of one repository, and the lock that keeps others out.
#[derive(Debug)]
pub struct MetadataDir {
    directory: PathBuf,
    /// Held until this is dropped: two refreshes at once could undo each other's floor.
    _lock: File,
}

impl MetadataDir {
    /// Opens the directory, made if it is not there, and waits for whoever is using it.
    ///
    /// # Errors
    ///
    /// When it cannot be made or locked.
    pub fn open(directory: &Path) -> Result<Self, MetadataDirError> {
        fs::create_dir_all(directory).map_err(|e| failed("create", directory, e))?;
        let path = directory.join(".lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|e| failed("lock", &path, e))?;
        Ok(MetadataDir {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// Begins trust with a root file that the caller trusts.
    ///
    /// # Errors
    ///
    /// When the file is not a root signed by its own threshold, or another root is trusted
    /// already.
    pub fn begin(&self, root: Vec<u8>) -> Result<(), MetadataDirError> {
        verify_trusted_root(&root).map_err(MetadataDirError::BadRoot)?;
        match self.read(&CacheName::Root)? {
            Some(trusted) if trusted == root => Ok(()),
            Some(_) => Err(MetadataDirError::HasRoot {
                path: self.directory.clone(),
            }),
            None => self.apply(&Effect::Persist {
                file: CacheName::Root,
                bytes: root,
            }),
        }
    }

    pub(super) fn root(&self) -> Result<Vec<u8>, MetadataDirError> {
        let root = self.read(&CacheName::Root)?;
        root.ok_or_else(|| MetadataDirError::NoRoot {
            path: self.directory.clone(),
        })
    }

    pub(super) fn cached(&self) -> Result<Cached, MetadataDirError> {
        Ok(Cached {
            floors: Vec::new(),
            timestamp: self.read(&CacheName::Timestamp)?,
            snapshot: self.read(&CacheName::Snapshot)?,
            targets: self.read(&CacheName::Targets)?,
        })
    }

    /// What is kept under a name. Two delegators of one role share a file here: whoever
    /// uses it verifies it for the delegator at hand.
    pub(super) fn read(&self, name: &CacheName) -> Result<Option<Vec<u8>>, MetadataDirError> {
        let path = self.path_of(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            // A name too long for a file system was never kept.
            Err(e) if e.kind() == io::ErrorKind::InvalidFilename => Ok(None),
            Err(e) => Err(failed("read", &path, e)),
        }
    }

    /// Does what the state machine asks for: atomically, and durably.
    pub(super) fn apply(&self, effect: &Effect) -> Result<(), MetadataDirError> {
        match effect {
            Effect::Persist { file, bytes } => {
                let path = self.path_of(file);
                self.replace(&path, bytes)
                    .map_err(|e| failed("write", &path, e))
            }
            Effect::Forget { file } => {
                let path = self.path_of(file);
                match fs::remove_file(&path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => {
                        Err(failed("remove", &path, e))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut draft = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempfile_in(&self.directory)?;
        draft.write_all(bytes)?;
        draft.as_file().sync_all()?;
        draft.persist(path).map_err(|e| e.error)?;
        #[cfg(unix)]
        File::open(&self.directory)?.sync_all()?;
        Ok(())
    }

    fn path_of(&self, name: &CacheName) -> PathBuf {
        let file = match name {
            CacheName::Root => RoleName::root().file_name(),
            CacheName::Timestamp => RoleName::timestamp().file_name(),
            CacheName::Snapshot => RoleName::snapshot().file_name(),
            CacheName::Targets => RoleName::targets().file_name(),
            CacheName::Delegated { role, .. } => delegated_file_name(role),
        };
        self.directory.join(file)
    }
}

/// The file of a delegated role. It may not be called like a top-level role, and not even
/// where a file system takes `Root.json` for `root.json`.
fn delegated_file_name(role: &RoleName) -> String {
    let file = role.file_name();
    let like_top_level = [
        "root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
    ]
    .iter()
    .any(|name| file.eq_ignore_ascii_case(name));
    if like_top_level {
        format!("%{file}")
    } else {
        file
    }
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> MetadataDirError {
    MetadataDirError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_delegated_role_never_takes_the_place_of_a_top_level_one() {
        let check = |role: &str, file: &str| {
            assert_eq!(delegated_file_name(&role.parse().unwrap()), file);
        };
        check("simple-0f", "simple-0f.json");
        check("../root", "..%2Froot.json");
        check("Root", "%Root.json");
        check("TARGETS", "%TARGETS.json");
    }

    #[test]
    fn trust_begins_once_and_with_a_root() {
        let place = tempfile::tempdir().unwrap();
        let directory = MetadataDir::open(&place.path().join("new")).unwrap();
        assert!(matches!(
            directory.root(),
            Err(MetadataDirError::NoRoot { .. })
        ));
        assert!(matches!(
            directory.begin(b"<html>".to_vec()),
            Err(MetadataDirError::BadRoot(_))
        ));
        assert!(matches!(
            directory.root(),
            Err(MetadataDirError::NoRoot { .. })
        ));
    }

    #[test]
    fn what_is_kept_is_replaced_and_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let directory = MetadataDir::open(place.path()).unwrap();
        let file = CacheName::Timestamp;
        for bytes in [b"one".to_vec(), b"two".to_vec()] {
            let effect = Effect::Persist {
                file: file.clone(),
                bytes: bytes.clone(),
            };
            directory.apply(&effect).unwrap();
            assert_eq!(directory.read(&file).unwrap(), Some(bytes));
        }
        let left: Vec<_> = fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 2, "the file and the lock, not {left:?}");
        for _ in 0..2 {
            directory
                .apply(&Effect::Forget { file: file.clone() })
                .unwrap();
            assert_eq!(directory.read(&file).unwrap(), None);
        }
    }
}
