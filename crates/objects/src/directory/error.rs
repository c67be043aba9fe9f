//! What can go wrong with a tree on a local file system.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::ObjectPath;

/// Why a tree could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
    /// The runtime is shutting down.
    #[error("stopped before the tree in {} was opened", root.display())]
    Stopped {
        /// The root of the tree.
        root: PathBuf,
    },
}

/// Why the right to replace objects could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Someone else has it.
    #[error("the tree in {} is being written by {}", root.display(), holder.as_deref().unwrap_or("another process"))]
    Held {
        /// The root of the tree.
        root: PathBuf,
        /// What the holder said about itself: its process number.
        holder: Option<String>,
    },
    /// The file system refused.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The file that carries the lock.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
    /// The runtime is shutting down.
    #[error("stopped before the tree in {} was locked", root.display())]
    Stopped {
        /// The root of the tree.
        root: PathBuf,
    },
}

/// Why an object could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The object is there, with other bytes than were to be written.
    #[error("{path} exists already with other contents")]
    Different {
        /// The object.
        path: ObjectPath,
    },
    /// The object that is to get a second name is not there.
    #[error("{path} does not exist")]
    Missing {
        /// The object.
        path: ObjectPath,
    },
    /// The object is longer than the reader takes.
    #[error("{path} has {length} bytes, more than the {limit} allowed")]
    TooLarge {
        /// The object.
        path: ObjectPath,
        /// Its length in bytes.
        length: u64,
        /// The reader's limit in bytes.
        limit: u64,
    },
    /// Something other than a plain file stands in the object's place, or something other than
    /// a directory on the way to it. Symbolic links are not followed.
    #[error("{path} is not a plain file in plain directories")]
    NotPlain {
        /// The object.
        path: ObjectPath,
    },
    /// An object that never changes was to be overwritten, or taken away.
    #[error("{path} is of a kind that stays as it is")]
    NotReplaceable {
        /// The object.
        path: ObjectPath,
    },
    /// The lock is that of another tree, or its file was removed or replaced since.
    #[error("the lock on the tree in {} is gone", root.display())]
    LockLost {
        /// The root of the tree.
        root: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// The file system's answer.
        source: io::Error,
    },
    /// The runtime is shutting down; nothing was done.
    #[error("stopped before the tree was touched")]
    Stopped,
}

impl ObjectError {
    /// Whether this user may not do it.
    pub fn is_denied(&self) -> bool {
        matches!(self, ObjectError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether there is no room: the file system or the quota is full, or a limit on the size of
    /// a file was reached. Nothing under the object's name was changed then.
    pub fn is_full(&self) -> bool {
        match self {
            ObjectError::Io { source, .. } => [Errno::NOSPC, Errno::DQUOT, Errno::FBIG]
                .iter()
                .any(|full| source.raw_os_error() == Some(full.raw_os_error())),
            ObjectError::Different { .. }
            | ObjectError::Missing { .. }
            | ObjectError::TooLarge { .. }
            | ObjectError::NotPlain { .. }
            | ObjectError::NotReplaceable { .. }
            | ObjectError::LockLost { .. }
            | ObjectError::Stopped => false,
        }
    }

    /// Wraps the file system's answer to `action` on `path`.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> ObjectError {
        let path = path.into();
        move |source| ObjectError::Io {
            action,
            path,
            source,
        }
    }

    /// Wraps the system's answer to `action` on `path`.
    pub(super) fn os(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(Errno) -> ObjectError {
        let wrap = ObjectError::io(action, path);
        move |errno| wrap(errno.into())
    }
}
