//! Putting the right bytes into the place of damaged ones.
//!
//! An object that never changes is named after the SHA-256 of its bytes, so one that has others
//! is damage: a file that was shared by a hard link and written to in place, a failing disk. What
//! it is to be needs nobody's word but its name's.

use std::fs::File;

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::Tree;
use super::batch::Flush;
use super::copying::copy;
use super::error::ObjectError;
use super::incoming::Unfinished;
use super::lock::Held;
use crate::ObjectPath;

/// Writes the object `path` anew with the bytes of `good`, under its own name and, where there
/// is one, under its second name.
pub(super) fn mend(
    tree: &Tree,
    lock: &Held,
    path: &ObjectPath,
    second: Option<&ObjectPath>,
    mut good: File,
) -> Result<(), ObjectError> {
    lock.check(tree)?;
    let wrong = || ObjectError::Different { path: path.clone() };
    path.sha256().ok_or_else(wrong)?;
    if let Some(second) = second.filter(|second| !second.kind().is_second_name()) {
        return Err(ObjectError::NotReplaceable {
            path: second.clone(),
        });
    }
    let written = copy(tree, path, &mut good, &Flush::Each)?.ok_or_else(wrong)?;
    // The second name first: as long as the object itself is damaged, this is done again.
    if let Some(second) = second {
        let folder = tree.make_folder(second)?;
        let another = match tree.incoming.link(&written)? {
            Some(linked) => linked,
            None => copy(tree, path, &mut good, &Flush::Each)?.ok_or_else(wrong)?,
        };
        rename_over(tree, another, second, &folder)?;
        tree.flush_folder(second, &folder)?;
    }
    let folder = tree.make_folder(path)?;
    rename_over(tree, written, path, &folder)?;
    tree.flush_folder(path, &folder)
}

fn rename_over(
    tree: &Tree,
    written: Unfinished<'_>,
    path: &ObjectPath,
    folder: &OwnedFd,
) -> Result<(), ObjectError> {
    match rustix::fs::renameat(written.folder(), written.name(), folder, path.split().1) {
        Ok(()) => {
            written.settled();
            Ok(())
        }
        Err(Errno::ISDIR) => Err(ObjectError::NotPlain { path: path.clone() }),
        Err(errno) => Err(ObjectError::os("replace", tree.root.join(path.as_str()))(
            errno,
        )),
    }
}
