//! Taking in files that lie outside of the tree, many at once.
//!
//! A file is shared with its old place where the file system can: by a copy on write, which costs
//! nothing and is a file of its own; else by a hard link, which is one file with two names; else
//! it is copied. What is linked is the very file that the caller opened and hashed, whatever
//! stands under its old name by now.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Seek as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::batch::{Flush, in_parallel_mut};
use super::copying::copy;
use super::error::ObjectError;
use super::incoming::Unfinished;
use super::placing::{rename_new, vanished};
use super::reading::{holds_same, open_in};
use super::{OBJECT_MODE, Tree};
use crate::ObjectPath;

/// A file that is to become an object.
#[derive(Debug)]
pub struct Outside {
    /// The object.
    pub path: ObjectPath,
    /// The file.
    pub file: OutsideFile,
}

/// Where a file comes from.
#[derive(Debug)]
pub enum OutsideFile {
    /// A file of somebody else, opened for reading, and how it was before it was hashed.
    Theirs(File, Stamp),
    /// A file of ours in [`Directory::incoming`](super::Directory::incoming), which is moved.
    Ours(NamedTempFile),
}

/// How somebody else's file is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Shared with its old place where that is possible, else copied.
    WherePossible,
    /// Always copied.
    Never,
}

/// What tells that a file was not written to: which file it is, its length, and when its contents
/// last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

/// What became of a file that was to be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenIn {
    /// It is in the tree, and got there so.
    Here(Manner),
    /// It was written to since it was hashed, and is not in the tree.
    Changed,
    /// Other bytes stand under the object's name.
    Different,
}

/// How a file got into the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It was there already.
    Present,
    /// It was moved.
    Moved,
    /// It shares its blocks with the file outside until one of the two is written to.
    Reflinked,
    /// It is the file outside, under a second name.
    Linked,
    /// It is a copy.
    Copied,
}

impl Stamp {
    /// The stamp of an open file.
    ///
    /// # Errors
    ///
    /// When the file system does not tell.
    pub fn of(file: &File) -> io::Result<Stamp> {
        file.metadata().map(|metadata| Stamp::read(&metadata))
    }

    /// The length, and the time of the last change in seconds and nanoseconds.
    pub fn known_by(&self) -> (u64, (i64, i64)) {
        (self.len, self.modified)
    }

    fn read(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A file whose bytes are where they are to stay, without its name.
enum Ready<'tree> {
    Written(Unfinished<'tree>, Manner),
    Moving(NamedTempFile),
    Linking(File, Stamp),
    Not(TakenIn),
}

/// Takes the files in durably, and says for each, in order, what became of it.
pub(super) fn take_in(
    tree: &Tree,
    files: Vec<Outside>,
    sharing: Sharing,
) -> Result<Vec<TakenIn>, ObjectError> {
    let flush = Flush::new(tree, files.len())?;
    let mut files: Vec<(ObjectPath, Option<OutsideFile>)> = files
        .into_iter()
        .map(|outside| (outside.path, Some(outside.file)))
        .collect();
    let ready = in_parallel_mut(&mut files, |(path, file)| match file.take() {
        Some(file) => prepare(tree, path, file, sharing, &flush),
        None => Err(vanished(tree, path)),
    })?;
    flush.everything(tree)?;

    let paths: Vec<ObjectPath> = files.into_iter().map(|(path, _)| path).collect();
    let mut named: Vec<(&ObjectPath, Option<Ready<'_>>)> =
        paths.iter().zip(ready.into_iter().map(Some)).collect();
    let taken = in_parallel_mut(&mut named, |(path, ready)| match ready.take() {
        Some(ready) => name(tree, path, ready),
        None => Err(vanished(tree, path)),
    })?;

    match flush {
        Flush::Together(_) | Flush::Later => flush.everything(tree)?,
        Flush::Each => {
            let folders: BTreeMap<&str, &ObjectPath> =
                paths.iter().map(|path| (path.split().0, path)).collect();
            for path in folders.into_values() {
                if let Some(folder) = tree.folder(path)? {
                    tree.flush_folder(path, &folder)?;
                }
            }
        }
    }
    Ok(taken)
}

fn prepare<'tree>(
    tree: &'tree Tree,
    path: &ObjectPath,
    file: OutsideFile,
    sharing: Sharing,
    flush: &Flush,
) -> Result<Ready<'tree>, ObjectError> {
    let cannot = |action| ObjectError::io(action, tree.root.join(path.as_str()));
    let (mut file, stamp) = match file {
        OutsideFile::Ours(file) => {
            set_mode(file.as_file()).map_err(cannot("set the mode of"))?;
            flush.contents(file.as_file()).map_err(cannot("flush"))?;
            return Ok(Ready::Moving(file));
        }
        OutsideFile::Theirs(file, stamp) => (file, stamp),
    };
    if sharing == Sharing::WherePossible {
        if let Some(written) = reflink(tree, &file, flush).map_err(cannot("write"))? {
            return finished(tree, path, written, &file, stamp, Manner::Reflinked);
        }
        let metadata = file.metadata().map_err(cannot("look at"))?;
        // The mode is the file's, not the name's: one that others cannot read could not be
        // served, and changing it would change the file outside.
        let readable = metadata.mode() & 0o444 == 0o444;
        // Nor is one linked that everybody can write to.
        let guarded = metadata.mode() & 0o002 == 0;
        if readable && guarded && metadata.dev() == device(tree).map_err(cannot("look at"))? {
            flush.contents(&file).map_err(cannot("flush"))?;
            return Ok(Ready::Linking(file, stamp));
        }
    }
    copied(tree, path, &mut file, stamp, flush)
}

/// A copy, unless other bytes were copied than were hashed.
fn copied<'tree>(
    tree: &'tree Tree,
    path: &ObjectPath,
    file: &mut File,
    stamp: Stamp,
    flush: &Flush,
) -> Result<Ready<'tree>, ObjectError> {
    match copy(tree, path, file, flush)? {
        Some(written) => finished(tree, path, written, file, stamp, Manner::Copied),
        None => Ok(Ready::Not(TakenIn::Changed)),
    }
}

/// Looks whether what was written is what was hashed.
fn finished<'tree>(
    tree: &Tree,
    path: &ObjectPath,
    written: Unfinished<'tree>,
    source: &File,
    stamp: Stamp,
    manner: Manner,
) -> Result<Ready<'tree>, ObjectError> {
    let now =
        Stamp::of(source).map_err(ObjectError::io("look at", tree.root.join(path.as_str())))?;
    Ok(if now == stamp {
        Ready::Written(written, manner)
    } else {
        Ready::Not(TakenIn::Changed)
    })
}

fn name(tree: &Tree, path: &ObjectPath, ready: Ready<'_>) -> Result<TakenIn, ObjectError> {
    let at = || tree.root.join(path.as_str());
    if let Ready::Not(why) = ready {
        return Ok(why);
    }
    let folder = tree.make_folder(path)?;
    let to = path.split().1;
    let (named, manner, ours) = match ready {
        Ready::Not(why) => return Ok(why),
        Ready::Written(unfinished, manner) => {
            let ours = File::open(unfinished.path()).map_err(ObjectError::io("read", at()))?;
            let named = rename_new(unfinished.folder(), unfinished.name(), &folder, to);
            if named.is_ok() {
                unfinished.settled();
            }
            (named, manner, ours)
        }
        Ready::Moving(file) => {
            let ours = file.reopen().map_err(ObjectError::io("read", at()))?;
            let named = rename_new(CWD, file.path(), &folder, to);
            if named.is_ok() {
                // The temporary name is gone, so there is nothing left to remove.
                file.into_temp_path().keep().map_err(|error| {
                    ObjectError::io("forget the temporary name of", at())(error.error)
                })?;
            }
            (named, Manner::Moved, ours)
        }
        Ready::Linking(mut file, stamp) => {
            let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
            match rustix::fs::linkat(CWD, opened, &folder, to, AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => {
                    let now = Stamp::of(&file).map_err(ObjectError::io("look at", at()))?;
                    if now != stamp {
                        rustix::fs::unlinkat(&folder, to, AtFlags::empty())
                            .map_err(ObjectError::os("remove", at()))?;
                        return Ok(TakenIn::Changed);
                    }
                    (Ok(()), Manner::Linked, file)
                }
                Err(Errno::EXIST) => (Err(Errno::EXIST), Manner::Linked, file),
                // Another file system after all, or no links, not to a file of another user, or
                // too many already, or no way to name an open file.
                Err(_) => {
                    let ready = copied(tree, path, &mut file, stamp, &Flush::Each)?;
                    return name(tree, path, ready);
                }
            }
        }
    };
    match named {
        Ok(()) => Ok(TakenIn::Here(manner)),
        Err(Errno::EXIST) => settle(tree, path, ours),
        Err(errno) => Err(ObjectError::os("create", at())(errno)),
    }
}

/// Settles that the object exists already: the same file, or the same bytes, count as done.
fn settle(tree: &Tree, path: &ObjectPath, mut ours: File) -> Result<TakenIn, ObjectError> {
    let cannot = |action| ObjectError::io(action, tree.root.join(path.as_str()));
    let folder = tree.folder(path)?.ok_or_else(|| vanished(tree, path))?;
    let there = open_in(tree, &folder, path)?.ok_or_else(|| vanished(tree, path))?;
    let mine = Stamp::of(&ours).map_err(cannot("look at"))?;
    if mine == Stamp::of(&there.file).map_err(cannot("look at"))? {
        return Ok(TakenIn::Here(Manner::Present));
    }
    ours.rewind().map_err(cannot("read"))?;
    Ok(if holds_same(tree, path, there, ours, mine.len)? {
        TakenIn::Here(Manner::Present)
    } else {
        TakenIn::Different
    })
}

/// A copy that shares its blocks with `source`; `None` where the file system has none.
#[cfg(target_os = "linux")]
fn reflink<'tree>(
    tree: &'tree Tree,
    source: &File,
    flush: &Flush,
) -> io::Result<Option<Unfinished<'tree>>> {
    if tree.incoming.has_no_reflinks() {
        return Ok(None);
    }
    let (unfinished, file) = tree.incoming.create().map_err(io::Error::other)?;
    match rustix::fs::ioctl_ficlone(&file, source) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY | Errno::INVAL) => {
            tree.incoming.note_no_reflinks();
            return Ok(None);
        }
        // Another file system, or a file that cannot be shared.
        Err(Errno::XDEV | Errno::PERM | Errno::ACCESS | Errno::TXTBSY) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    set_mode(&file)?;
    flush.contents(&file)?;
    Ok(Some(unfinished))
}

#[cfg(not(target_os = "linux"))]
fn reflink<'tree>(_: &'tree Tree, _: &File, _: &Flush) -> io::Result<Option<Unfinished<'tree>>> {
    Ok(None)
}

fn set_mode(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(OBJECT_MODE.as_raw_mode()))
}

/// The file system of the tree.
fn device(tree: &Tree) -> io::Result<u64> {
    Ok(rustix::fs::fstat(&tree.root_fd)?.st_dev)
}
