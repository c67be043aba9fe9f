//! Where files are written before they get their name in the tree.
//!
//! Each [`Directory`](super::Directory) has a directory of its own under `.incoming` and holds an
//! operating-system lock on it. So what belongs to a living process can be told from what a dead
//! one left, without knowing any process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::error::{ObjectError, OpenError};
use super::folders::FOLDER_FLAGS;

const INCOMING: &str = ".incoming";

/// Nobody but the writer has business with unfinished files.
const PRIVATE_FOLDER: Mode = Mode::from_raw_mode(0o700);
const PRIVATE_FILE: Mode = Mode::from_raw_mode(0o600);

/// One process's directory for unfinished files.
#[derive(Debug)]
pub(super) struct Incoming {
    path: PathBuf,
    all: OwnedFd,
    own: File,
    written: AtomicU64,
    /// Whether the file system was found to have no copies on write.
    no_reflinks: AtomicBool,
}

impl Incoming {
    /// Makes a directory that no other process has.
    pub(super) fn open(root: &Path, root_fd: &OwnedFd) -> Result<Incoming, OpenError> {
        let all_path = root.join(INCOMING);
        let cannot = |action: &'static str| {
            let path = all_path.clone();
            move |source: io::Error| OpenError::Io {
                action,
                path,
                source,
            }
        };
        match rustix::fs::mkdirat(root_fd, INCOMING, PRIVATE_FOLDER) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(cannot("create")(errno.into())),
        }
        let all = rustix::fs::openat(root_fd, INCOMING, FOLDER_FLAGS, Mode::empty())
            .map_err(|errno| cannot("open")(errno.into()))?;
        loop {
            let path = tempfile::Builder::new()
                .prefix("w")
                .tempdir_in(&all_path)
                .map_err(cannot("create a directory in"))?
                .keep();
            // A cleaner may take the directory before it is locked: then make another.
            match File::open(&path) {
                Ok(own) => {
                    own.lock().map_err(cannot("lock a directory in"))?;
                    if fs::exists(&path).map_err(cannot("look into"))? {
                        let written = AtomicU64::new(0);
                        return Ok(Incoming {
                            path,
                            all,
                            own,
                            written,
                            no_reflinks: AtomicBool::new(false),
                        });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot("open a directory in")(error)),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself.
    pub(super) fn own(&self) -> &File {
        &self.own
    }

    /// Opens a file in it for reading.
    pub(super) fn reopen(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.own, name, flags, Mode::empty()).map(File::from)
    }

    pub(super) fn has_no_reflinks(&self) -> bool {
        self.no_reflinks.load(Ordering::Relaxed)
    }

    pub(super) fn note_no_reflinks(&self) {
        self.no_reflinks.store(true, Ordering::Relaxed);
    }

    /// Makes an empty file that is removed again when the value is dropped.
    pub(super) fn create(&self) -> Result<(Unfinished<'_>, File), ObjectError> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = format!("object-{number}");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.own, &name, flags, PRIVATE_FILE)
            .map_err(ObjectError::os("create", self.path.join(&name)))?;
        let unfinished = Unfinished {
            incoming: self,
            name,
        };
        Ok((unfinished, File::from(file)))
    }

    /// Gives an unfinished file a second name of the same kind; `None` where the file system has
    /// no such names.
    pub(super) fn link(
        &self,
        first: &Unfinished<'_>,
    ) -> Result<Option<Unfinished<'_>>, ObjectError> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let name = format!("object-{number}");
        match rustix::fs::linkat(&self.own, first.name(), &self.own, &name, AtFlags::empty()) {
            Ok(()) => Ok(Some(Unfinished {
                incoming: self,
                name,
            })),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => Ok(None),
            Err(errno) => Err(ObjectError::os("create", self.path.join(&name))(errno)),
        }
    }

    /// The files whose name begins with `prefix` in directories whose lock nobody holds.
    pub(super) fn abandoned(&self, root: &Path, prefix: &str) -> Result<Vec<PathBuf>, ObjectError> {
        let all_path = root.join(INCOMING);
        let mut found = Vec::new();
        let cannot = || ObjectError::io("list", &all_path);
        for entry in fs::read_dir(&all_path).map_err(cannot())? {
            let entry = entry.map_err(cannot())?;
            let path = entry.path();
            if path == self.path || !entry.file_type().map_err(cannot())?.is_dir() {
                continue;
            }
            match named_in_unlocked(&path, prefix) {
                Ok(files) => found.extend(files),
                // Its owner, or a cleaner, was faster; or it is another user's.
                Err(error) if is_no_business(&error) => {}
                Err(error) => return Err(ObjectError::io("list", path)(error)),
            }
        }
        found.sort();
        Ok(found)
    }

    /// Removes the directories whose lock nobody holds, and stray files.
    pub(super) fn clean(&self, root: &Path) -> Result<usize, ObjectError> {
        let all_path = root.join(INCOMING);
        let cannot = |action| ObjectError::io(action, &all_path);
        let mut removed = 0;
        for entry in fs::read_dir(&all_path).map_err(cannot("list"))? {
            let entry = entry.map_err(cannot("list"))?;
            let path = entry.path();
            if path == self.path {
                continue;
            }
            let gone = if entry.file_type().map_err(cannot("look into"))?.is_dir() {
                remove_unlocked(&path)
            } else {
                fs::remove_file(&path).map(|()| true)
            };
            match gone {
                Ok(true) => removed += 1,
                Ok(false) => {}
                // Its owner, or another cleaner, was faster; or it is another user's, who cleans up.
                Err(error) if is_no_business(&error) => {}
                Err(error) => return Err(ObjectError::io("remove", path)(error)),
            }
        }
        Ok(removed)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Only if it is empty; else, and if this fails, the next cleaning sees to it.
        if let Some(name) = self.path.file_name() {
            rustix::fs::unlinkat(&self.all, name, AtFlags::REMOVEDIR).ok();
        }
    }
}

/// Whether what could not be looked into or removed is gone, or another user's.
fn is_no_business(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

/// Removes a directory with all that is in it if nobody holds its lock.
fn remove_unlocked(path: &Path) -> io::Result<bool> {
    let folder = rustix::fs::open(path, FOLDER_FLAGS, Mode::empty()).map(File::from)?;
    match folder.try_lock() {
        Ok(()) => fs::remove_dir_all(path).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The files with a name that begins with `prefix`, none if somebody holds the directory's lock.
fn named_in_unlocked(path: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let folder = rustix::fs::open(path, FOLDER_FLAGS, Mode::empty()).map(File::from)?;
    match folder.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Vec::new()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// A file that has no place in the tree yet.
#[derive(Debug)]
pub(super) struct Unfinished<'incoming> {
    incoming: &'incoming Incoming,
    name: String,
}

impl Unfinished<'_> {
    pub(super) fn folder(&self) -> &File {
        &self.incoming.own
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self) -> PathBuf {
        self.incoming.path.join(&self.name)
    }

    /// The name under which the file stays, for whoever removes it from now on.
    pub(super) fn into_name(mut self) -> String {
        std::mem::take(&mut self.name)
    }

    /// Says that the temporary name is gone: the file was renamed.
    pub(super) fn settled(mut self) {
        self.name.clear();
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // If this fails, the next cleaning sees to it.
            rustix::fs::unlinkat(&self.incoming.own, &self.name, AtFlags::empty()).ok();
        }
    }
}
