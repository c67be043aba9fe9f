//! Reading objects, and comparing what is there with what was to be written.

use std::fs::File;
use std::io::{self, Read};

use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Tree;
use super::error::ObjectError;
use super::seen::Seen;
use crate::ObjectPath;

const COMPARED_AT_ONCE: usize = 64 * 1024;

/// An object that was opened.
#[derive(Debug)]
pub struct OpenObject {
    /// The file, at its beginning. Only its own name is not a symbolic link or another special
    /// file: it is a plain file.
    pub file: File,
    /// Its length in bytes. It does not change, except for the kinds that may be replaced, whose
    /// open file keeps the old bytes.
    pub len: u64,
    /// Which file it is, in the state in which it was opened.
    pub seen: Seen,
}

// NONBLOCK: a named pipe in the object's place must not hold us up.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

pub(super) fn open(tree: &Tree, path: &ObjectPath) -> Result<Option<OpenObject>, ObjectError> {
    if let Some(file) = tree.open_at_once(path.as_str(), FLAGS) {
        return looked_at(tree, file.into(), path).map(Some);
    }
    match tree.folder(path)? {
        Some(folder) => open_in(tree, &folder, path),
        None => Ok(None),
    }
}

/// Opens the object `path` in its directory.
pub(super) fn open_in(
    tree: &Tree,
    folder: &OwnedFd,
    path: &ObjectPath,
) -> Result<Option<OpenObject>, ObjectError> {
    let file = match rustix::fs::openat(folder, path.split().1, FLAGS, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(ObjectError::NotPlain { path: path.clone() }),
        Err(errno) => {
            return Err(ObjectError::os("open", tree.root.join(path.as_str()))(
                errno,
            ));
        }
    };
    looked_at(tree, file, path).map(Some)
}

/// An object whose file is open, if that is a plain file.
fn looked_at(tree: &Tree, file: File, path: &ObjectPath) -> Result<OpenObject, ObjectError> {
    let metadata = file
        .metadata()
        .map_err(ObjectError::io("look at", tree.root.join(path.as_str())))?;
    if !metadata.is_file() {
        return Err(ObjectError::NotPlain { path: path.clone() });
    }
    Ok(OpenObject {
        file,
        len: metadata.len(),
        seen: Seen::of(&metadata),
    })
}

pub(super) fn read(
    tree: &Tree,
    path: &ObjectPath,
    max_len: u64,
) -> Result<Option<Bytes>, ObjectError> {
    let Some(OpenObject { file, len, .. }) = open(tree, path)? else {
        return Ok(None);
    };
    let too_large = |length| ObjectError::TooLarge {
        path: path.clone(),
        length,
        limit: max_len,
    };
    if len > max_len {
        return Err(too_large(len));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    let read = file
        .take(max_len.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(ObjectError::io("read", tree.root.join(path.as_str())))?;
    if read as u64 > max_len {
        return Err(too_large(read as u64));
    }
    Ok(Some(Bytes::from(bytes)))
}

/// Whether the object has exactly the `expected_len` bytes that `expected` yields.
pub(super) fn holds_same(
    tree: &Tree,
    path: &ObjectPath,
    object: OpenObject,
    expected: impl Read,
    expected_len: u64,
) -> Result<bool, ObjectError> {
    if object.len != expected_len {
        return Ok(false);
    }
    same_bytes(object.file, expected)
        .map_err(ObjectError::io("compare", tree.root.join(path.as_str())))
}

fn same_bytes(mut one: impl Read, mut other: impl Read) -> io::Result<bool> {
    let mut left = vec![0; COMPARED_AT_ONCE];
    let mut right = vec![0; COMPARED_AT_ONCE];
    loop {
        let read = fill(&mut one, &mut left)?;
        if fill(&mut other, &mut right)? != read || left[..read] != right[..read] {
            return Ok(false);
        }
        if read < COMPARED_AT_ONCE {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the source has ended.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
