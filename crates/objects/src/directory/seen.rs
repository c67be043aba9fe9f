//! Which file had an object's name, and whether it is still the same.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{AtFlags, Stat};

use super::Tree;
use crate::ObjectPath;

/// The file that an object's name led to, and its state. Of two that are equal, the second was taken
/// of the same file, and nobody wrote to it, or gave it back its times, in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    pub(super) fn of(metadata: &Metadata) -> Seen {
        Seen {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[allow(
        clippy::unnecessary_cast,
        reason = "each system has types of its own for these; the standard library gives out these"
    )]
    fn of_stat(stat: &Stat) -> Seen {
        Seen {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            len: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// When the file was last written to: seconds since 1970, and nanoseconds.
    pub fn modified(&self) -> (i64, i64) {
        self.modified
    }
}

/// Whether the object's name leads to that file in that state now.
///
/// The directories on the way are not held against symbolic links, as they are when an object is
/// opened. Wherever the way goes, what is at its end is the file that was opened then.
pub(super) fn is_as_seen(tree: &Tree, path: &ObjectPath, seen: &Seen) -> bool {
    rustix::fs::statat(&tree.root_fd, path.as_str(), AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| Seen::of_stat(&stat) == *seen)
}
