//! Directories: walked one at a time without following links, made durable once.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::error::{ObjectError, OpenError};
use super::incoming::Incoming;
use super::{FOLDER_MODE, Tree};
use crate::ObjectPath;

/// How a directory is opened: itself, never what a symbolic link in its place points to.
pub(super) const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// How many directories are remembered as durable; beyond it they are flushed again.
const REMEMBERED_FOLDERS: usize = 100_000;

/// What a directory has that two users add to, each of whom can take away its own alone.
const SHARED_FOLDER: Mode = Mode::WGRP.union(Mode::SGID).union(Mode::SVTX);

/// The directories whose own entry in their parent is known to survive a power failure.
///
/// That a directory is there does not tell: another thread may have made it a moment ago, or a
/// process that was killed since. So each is flushed into its parent once by every process.
#[derive(Debug, Default)]
pub(super) struct DurableFolders(Mutex<HashSet<String>>);

impl DurableFolders {
    fn contains(&self, folder: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(folder)
    }

    /// The directory may go, and one that is made in its place is another one.
    pub(super) fn forget(&self, folder: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(folder);
    }

    fn insert(&self, folder: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_FOLDERS {
            known.clear();
        }
        known.insert(folder.to_owned());
    }
}

impl Tree {
    /// Opens the tree in `root`, creating what is missing.
    pub(super) fn open(root: &Path) -> Result<Tree, OpenError> {
        let cannot = |action: &'static str| {
            let path = root.to_owned();
            move |source| OpenError::Io {
                action,
                path,
                source,
            }
        };
        if !fs::exists(root).map_err(cannot("look for"))? {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(root)
                .map_err(cannot("create"))?;
            let made = rustix::fs::open(root, FOLDER_FLAGS, Mode::empty())
                .map_err(|e| cannot("open")(e.into()))?;
            rustix::fs::fchmod(&made, FOLDER_MODE)
                .map_err(|e| cannot("set the mode of")(e.into()))?;
        }
        let root = root.canonicalize().map_err(cannot("resolve"))?;
        let root_fd = rustix::fs::open(&root, FOLDER_FLAGS, Mode::empty())
            .map_err(|e| cannot("open")(e.into()))?;
        if let Some(parent) = root.parent() {
            fs::File::open(parent)
                .and_then(|parent| parent.sync_all())
                .or_else(|error| match error.kind() {
                    // Not ours to read: then we did not make the root either.
                    std::io::ErrorKind::PermissionDenied => Ok(()),
                    _ => Err(error),
                })
                .map_err(cannot("flush the directory of"))?;
        }
        let incoming = Incoming::open(&root, &root_fd)?;
        Ok(Tree {
            root,
            root_fd,
            durable: DurableFolders::default(),
            incoming,
        })
    }

    /// Opens the directory of an object, `None` if it is not there.
    pub(super) fn folder(&self, path: &ObjectPath) -> Result<Option<OwnedFd>, ObjectError> {
        self.walk(path, Missing::Tell)
    }

    /// Opens the directory of an object, making what is missing on the way.
    ///
    /// What was made is durable only after [`Tree::flush_folder`] or a flush of everything.
    pub(super) fn make_folder(&self, path: &ObjectPath) -> Result<OwnedFd, ObjectError> {
        let made = self.walk(path, Missing::Make)?;
        made.ok_or_else(|| {
            ObjectError::os("create the directory of", self.root.join(path.as_str()))(Errno::NOENT)
        })
    }

    /// Makes the entries of the directory `folder` durable, and the directory itself.
    pub(super) fn flush_folder(&self, path: &ObjectPath, fd: &OwnedFd) -> Result<(), ObjectError> {
        let (folder, _) = path.split();
        rustix::fs::fsync(fd).map_err(ObjectError::os("flush", self.root.join(folder)))?;
        for (end, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
            let ancestor = &folder[..end];
            if self.durable.contains(ancestor) {
                continue;
            }
            let parent = ancestor.rsplit_once('/').map_or("", |(parent, _)| parent);
            let fd = self.open_ancestor(parent, path)?;
            rustix::fs::fsync(&fd).map_err(ObjectError::os("flush", self.root.join(parent)))?;
            self.durable.insert(ancestor);
        }
        Ok(())
    }

    /// Opens the directory `folder` on the way to `path`; the empty one is the root.
    fn open_ancestor(&self, folder: &str, path: &ObjectPath) -> Result<OwnedFd, ObjectError> {
        let segments = folder.split('/').filter(|segment| !segment.is_empty());
        let mut fd = self.open_root()?;
        for segment in segments {
            fd = self
                .enter(&fd, segment, path)?
                .ok_or_else(|| ObjectError::os("open", self.root.join(folder))(Errno::NOENT))?;
        }
        Ok(fd)
    }

    fn walk(&self, path: &ObjectPath, missing: Missing) -> Result<Option<OwnedFd>, ObjectError> {
        let (folder, _) = path.split();
        if let Some(entered) = self.open_at_once(folder, FOLDER_FLAGS) {
            return Ok(Some(entered));
        }
        let mut at: Option<OwnedFd> = None;
        for segment in folder.split('/') {
            let parent = at.as_ref().unwrap_or(&self.root_fd);
            let entered = match (self.enter(parent, segment, path)?, missing) {
                (Some(entered), _) => entered,
                (None, Missing::Tell) => return Ok(None),
                (None, Missing::Make) => self.make(parent, segment, path)?,
            };
            at = Some(entered);
        }
        at.map_or_else(|| self.open_root(), Ok).map(Some)
    }

    fn make(
        &self,
        parent: &OwnedFd,
        segment: &str,
        path: &ObjectPath,
    ) -> Result<OwnedFd, ObjectError> {
        let cannot = |action| ObjectError::os(action, self.root.join(path.split().0));
        // Where two users add what is theirs, both do so in the folders that either makes.
        let above = rustix::fs::fstat(parent).map_err(cannot("look above"))?;
        let above = Mode::from_raw_mode(above.st_mode);
        let mode = match above.contains(SHARED_FOLDER) {
            true => FOLDER_MODE | SHARED_FOLDER,
            false => FOLDER_MODE,
        };
        match rustix::fs::mkdirat(parent, segment, mode) {
            // Another thread or process was faster.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(cannot("create")(errno)),
        }
        let Some(made) = self.enter(parent, segment, path)? else {
            return Err(cannot("open")(Errno::NOENT));
        };
        // Whatever the umask is. A directory of another user has the mode already.
        match rustix::fs::fchmod(&made, mode) {
            Ok(()) | Err(Errno::PERM) => Ok(made),
            Err(errno) => Err(cannot("set the mode of")(errno)),
        }
    }

    /// Opens what is in the tree in one step, if it is there and the system can do it without
    /// following any link. Where it does not work, [`Tree::enter`] tells why.
    #[cfg(target_os = "linux")]
    pub(super) fn open_at_once(&self, path: &str, flags: OFlags) -> Option<OwnedFd> {
        use rustix::fs::ResolveFlags;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root_fd, path, flags, Mode::empty(), beneath).ok()
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn open_at_once(&self, _: &str, _: OFlags) -> Option<OwnedFd> {
        None
    }

    fn enter(
        &self,
        parent: impl AsFd,
        segment: &str,
        path: &ObjectPath,
    ) -> Result<Option<OwnedFd>, ObjectError> {
        match rustix::fs::openat(parent, segment, FOLDER_FLAGS, Mode::empty()) {
            Ok(entered) => Ok(Some(entered)),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(ObjectError::NotPlain { path: path.clone() }),
            Err(errno) => Err(ObjectError::os("open", self.root.join(path.split().0))(
                errno,
            )),
        }
    }

    /// Opens one of the directories that hold those of projects, `None` if it is not there.
    pub(super) fn open_family(&self, family: &str) -> Result<Option<OwnedFd>, ObjectError> {
        let mut at = self.open_root()?;
        for segment in family.split('/') {
            at = match rustix::fs::openat(&at, segment, FOLDER_FLAGS, Mode::empty()) {
                Ok(entered) => entered,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => {
                    return Err(ObjectError::os("open", self.root.join(family))(errno));
                }
            };
        }
        Ok(Some(at))
    }

    pub(super) fn open_root(&self) -> Result<OwnedFd, ObjectError> {
        rustix::fs::openat(&self.root_fd, ".", FOLDER_FLAGS, Mode::empty())
            .map_err(ObjectError::os("open", &self.root))
    }
}

/// What to do about a directory that is not there.
#[derive(Clone, Copy)]
enum Missing {
    Tell,
    Make,
}
