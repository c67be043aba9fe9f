//! The right to overwrite, as a lock of the operating system.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::Tree;
use super::error::{LockError, ObjectError};

const LOCK: &str = ".lock";

/// More than any holder writes about itself.
const MAX_HOLDER_LEN: u64 = 200;

/// The right to replace objects of one tree. It ends when the last of its clones is dropped.
#[derive(Clone, Debug)]
pub struct WriterLock(Arc<Held>);

/// The locked file. Closing it releases the lock.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    path: PathBuf,
}

impl WriterLock {
    pub(super) fn take(tree: &Tree) -> Result<WriterLock, LockError> {
        let path = tree.root.join(LOCK);
        let cannot = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file =
                rustix::fs::openat(&tree.root_fd, LOCK, flags, Mode::from_raw_mode(0o644))
                    .map(File::from)
                    .map_err(|errno| cannot(errno.into()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held {
                        root: tree.root.clone(),
                        holder: holder(&mut file),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(cannot(error)),
            }
            let held = Held {
                file,
                path: path.clone(),
            };
            // Someone may have removed the file between opening and locking it.
            if held.is_current().map_err(cannot)? {
                held.sign().map_err(cannot)?;
                return Ok(WriterLock(Arc::new(held)));
            }
        }
    }

    /// The lock for a piece of work that must not outlive it.
    pub(super) fn share(&self) -> Arc<Held> {
        Arc::clone(&self.0)
    }
}

impl Held {
    /// Checks that this lock still is the one that protects `tree`.
    pub(super) fn check(&self, tree: &Tree) -> Result<(), ObjectError> {
        let current = self.path == tree.root.join(LOCK)
            && self
                .is_current()
                .map_err(ObjectError::io("look at", &self.path))?;
        if current {
            Ok(())
        } else {
            Err(ObjectError::LockLost {
                root: tree.root.clone(),
            })
        }
    }

    fn is_current(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Leaves a word for whoever finds the lock taken.
    fn sign(&self) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        writeln!(file, "process {}", std::process::id())
    }
}

/// What the holder wrote about itself, as far as it is fit to be shown.
fn holder(file: &mut File) -> Option<String> {
    let mut said = String::new();
    file.rewind().ok()?;
    file.take(MAX_HOLDER_LEN).read_to_string(&mut said).ok()?;
    let said = said.trim();
    let plain = !said.is_empty() && !said.contains(char::is_control);
    plain.then(|| said.to_owned())
}
