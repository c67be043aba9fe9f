//! Second names for objects: given to many at once, and taken away again.

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::batch::{Flush, in_parallel};
use super::error::ObjectError;
use super::{Creation, Tree, placing};
use crate::ObjectPath;

/// Gives every `from` the second name `to`. What becomes of one is no other's concern; an error
/// of the whole is one of making the names durable.
pub(super) fn link_all(
    tree: &Tree,
    links: &[(ObjectPath, ObjectPath)],
    flush: &Flush,
) -> Result<Vec<Result<Creation, ObjectError>>, ObjectError> {
    let linked = in_parallel(links, |(from, to)| {
        Ok(placing::give_name(tree, from, to, flush))
    })?;
    let named = links.iter().zip(&linked).filter(|(_, done)| done.is_ok());
    flush.names(tree, named.map(|((_, to), _)| to))?;
    Ok(linked)
}

/// Takes names away durably, and says how many were there. One that is not is no error.
pub(super) fn unname_all(
    tree: &Tree,
    paths: &[ObjectPath],
    flush: &Flush,
) -> Result<usize, ObjectError> {
    let gone = in_parallel(paths, |path| unname(tree, path))?;
    let count = gone.iter().filter(|gone| **gone).count();
    let gone = paths.iter().zip(gone).filter(|(_, gone)| *gone);
    flush.names(tree, gone.map(|(path, _)| path))?;
    Ok(count)
}

/// Whether there was such a name.
pub(super) fn unname(tree: &Tree, path: &ObjectPath) -> Result<bool, ObjectError> {
    let Some(folder) = tree.folder(path)? else {
        return Ok(false);
    };
    match rustix::fs::unlinkat(&folder, path.split().1, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        // What a directory is answered with differs between systems.
        Err(Errno::ISDIR | Errno::PERM) => Err(ObjectError::NotPlain { path: path.clone() }),
        Err(errno) => Err(ObjectError::os("remove", tree.root.join(path.as_str()))(
            errno,
        )),
    }
}
