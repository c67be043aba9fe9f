//! Giving a finished file its name: the step after which readers see it.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::batch::Flush;
use super::error::ObjectError;
use super::reading::{OpenObject, holds_same, open_in};
use super::{Creation, OBJECT_MODE, Tree};
use crate::ObjectPath;

pub(super) fn place(
    tree: &Tree,
    path: &ObjectPath,
    file: NamedTempFile,
) -> Result<Creation, ObjectError> {
    let cannot = |action| ObjectError::io(action, file.path());
    let mode = Permissions::from_mode(OBJECT_MODE.as_raw_mode());
    file.as_file()
        .set_permissions(mode)
        .map_err(cannot("set the mode of"))?;
    file.as_file().sync_all().map_err(cannot("flush"))?;
    let folder = tree.make_folder(path)?;
    let creation = match rename_new(CWD, file.path(), &folder, path.split().1) {
        Ok(()) => {
            // The temporary name is gone, so there is nothing left to remove.
            file.into_temp_path().keep().map_err(|error| {
                ObjectError::io(
                    "forget the temporary name of",
                    tree.root.join(path.as_str()),
                )(error.error)
            })?;
            Creation::Created
        }
        Err(Errno::EXIST) => {
            let ours = file.reopen().map_err(cannot("read"))?;
            already_same(tree, &folder, path, ours)?
        }
        Err(errno) => {
            return Err(ObjectError::os("create", tree.root.join(path.as_str()))(
                errno,
            ));
        }
    };
    tree.flush_folder(path, &folder)?;
    Ok(creation)
}

/// Gives the object `from` the name `to`, which is durable once its directory is flushed.
pub(super) fn give_name(
    tree: &Tree,
    from: &ObjectPath,
    to: &ObjectPath,
    flush: &Flush,
) -> Result<Creation, ObjectError> {
    let missing = || ObjectError::Missing { path: from.clone() };
    let from_folder = tree.folder(from)?.ok_or_else(missing)?;
    let to_folder = tree.make_folder(to)?;
    let (from_name, to_name) = (from.split().1, to.split().1);
    // Without flags a symbolic link in the place of `from` is not followed; it is refused here.
    let source = open_in(tree, &from_folder, from)?.ok_or_else(missing)?;
    match rustix::fs::linkat(
        &from_folder,
        from_name,
        &to_folder,
        to_name,
        AtFlags::empty(),
    ) {
        Ok(()) => Ok(Creation::Created),
        Err(Errno::EXIST) => already_same(tree, &to_folder, to, source.file),
        Err(Errno::NOENT) => Err(missing()),
        // No links here, or not to a file of another user, or too many already.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
            copy(tree, &to_folder, to, source, flush)
        }
        Err(errno) => Err(ObjectError::os("link", tree.root.join(to.as_str()))(errno)),
    }
}

fn copy(
    tree: &Tree,
    folder: &OwnedFd,
    to: &ObjectPath,
    mut source: OpenObject,
    flush: &Flush,
) -> Result<Creation, ObjectError> {
    let (unfinished, mut file) = tree.incoming.create()?;
    let cannot = |action| ObjectError::io(action, unfinished.path());
    io::copy(&mut source.file, &mut file).map_err(cannot("write"))?;
    let mode = Permissions::from_mode(OBJECT_MODE.as_raw_mode());
    file.set_permissions(mode)
        .map_err(cannot("set the mode of"))?;
    flush.contents(&file).map_err(cannot("flush"))?;
    match rename_new(unfinished.folder(), unfinished.name(), folder, to.split().1) {
        Ok(()) => {
            unfinished.settled();
            Ok(Creation::Created)
        }
        Err(Errno::EXIST) => {
            let ours = File::open(unfinished.path()).map_err(cannot("read"))?;
            already_same(tree, folder, to, ours)
        }
        Err(errno) => Err(ObjectError::os("create", tree.root.join(to.as_str()))(
            errno,
        )),
    }
}

/// Settles that `path` exists already: the same file, or the same bytes, count as done.
pub(super) fn already_same(
    tree: &Tree,
    folder: &OwnedFd,
    path: &ObjectPath,
    ours: File,
) -> Result<Creation, ObjectError> {
    let look = |file: &File| {
        let looked = file.metadata();
        looked.map_err(ObjectError::io("look at", tree.root.join(path.as_str())))
    };
    let there = match open_in(tree, folder, path)? {
        Some(there) => there,
        None => return Err(vanished(tree, path)),
    };
    let (mine, theirs) = (look(&ours)?, look(&there.file)?);
    // Two names of one file need not be read.
    let is_one = (mine.dev(), mine.ino()) == (theirs.dev(), theirs.ino());
    if is_one || holds_same(tree, path, there, ours, mine.len())? {
        Ok(Creation::AlreadySame)
    } else {
        Err(ObjectError::Different { path: path.clone() })
    }
}

/// The error for an object that existed a moment ago and does not any more.
pub(super) fn vanished(tree: &Tree, path: &ObjectPath) -> ObjectError {
    ObjectError::os("find again", tree.root.join(path.as_str()))(Errno::NOENT)
}

/// Renames without overwriting: fails with `EEXIST` if the new name is taken.
pub(super) fn rename_new(
    from: impl AsFd,
    from_name: impl rustix::path::Arg + Copy,
    to: impl AsFd,
    to_name: &str,
) -> Result<(), Errno> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&from, from_name, &to, to_name, flags) {
            // This file system cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return done,
        }
    }
    rustix::fs::linkat(&from, from_name, &to, to_name, AtFlags::empty())?;
    // Both names are whole; the temporary one is an entry too many at worst.
    rustix::fs::unlinkat(&from, from_name, AtFlags::empty())
}
