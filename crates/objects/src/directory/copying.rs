//! Copying a file into the tree, with a look at what is copied.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use super::batch::Flush;
use super::error::ObjectError;
use super::incoming::Unfinished;
use super::{OBJECT_MODE, Tree};
use crate::{ContentHasher, ObjectPath};

const COPIED_AT_ONCE: usize = 256 * 1024;

/// A copy of `source` without a name yet; `None` if `path` is named after the SHA-256 of other
/// bytes.
pub(super) fn copy<'tree>(
    tree: &'tree Tree,
    path: &ObjectPath,
    source: &mut File,
    flush: &Flush,
) -> Result<Option<Unfinished<'tree>>, ObjectError> {
    let cannot = |action| ObjectError::io(action, tree.root.join(path.as_str()));
    let (unfinished, mut file) = tree.incoming.create()?;
    source.rewind().map_err(cannot("read the file for"))?;
    let mut hasher = ContentHasher::new();
    let mut buffer = vec![0; COPIED_AT_ONCE];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cannot("read the file for")(error)),
        };
        hasher.update(&buffer[..read]);
        file.write_all(&buffer[..read]).map_err(cannot("write"))?;
    }
    if path
        .sha256()
        .is_some_and(|named| named != hasher.finish().sha256)
    {
        return Ok(None);
    }
    let mode = Permissions::from_mode(OBJECT_MODE.as_raw_mode());
    file.set_permissions(mode)
        .map_err(cannot("set the mode of"))?;
    flush.contents(&file).map_err(cannot("flush"))?;
    Ok(Some(unfinished))
}
