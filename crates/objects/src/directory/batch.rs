//! Writing objects from memory, one or a hundred thousand.
//!
//! All contents are flushed before the first object gets its name, so a power failure in between
//! cannot leave a name with half an object, which create-only writing could never repair. Few
//! objects are flushed one by one; many by one flush of the whole file system for the contents
//! and one for the names.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::error::ObjectError;
use super::incoming::Unfinished;
use super::placing::{rename_new, vanished};
use super::reading::{holds_same, open};
use super::{Creation, OBJECT_MODE, Tree};
use crate::ObjectPath;

/// From this many objects on, the whole file system is flushed instead of each object. It is three
/// to six times faster for thousands, but then also waits for what other programs have written.
const FLUSH_TOGETHER_FROM: usize = 256;

/// Elsewhere a flush of the whole file system may return before anything is written, and tells of
/// no error.
pub(super) const CAN_FLUSH_TOGETHER: bool = cfg!(target_os = "linux");

/// More threads than this do not make a file system faster.
const MAX_THREADS: usize = 4;

/// Fewer objects than this are not worth a thread.
const MIN_PER_THREAD: usize = 16;

/// Whether an object that is there stays or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Create,
    Replace,
}

/// Writes the objects durably and says for each, in order, how.
pub(super) fn write(
    tree: &Tree,
    objects: &[(ObjectPath, Bytes)],
    rule: Rule,
    flush: &Flush,
) -> Result<Vec<Creation>, ObjectError> {
    let written = in_parallel(objects, |(path, bytes)| {
        if rule == Rule::Create && is_there(tree, path, bytes)? {
            return Ok(None);
        }
        write_one(tree, bytes, flush).map(Some)
    })?;
    flush.everything(tree)?;

    let mut named: Vec<(&(ObjectPath, Bytes), Option<Unfinished<'_>>)> =
        objects.iter().zip(written).collect();
    let created = in_parallel_mut(&mut named, |((path, bytes), unfinished)| {
        match unfinished.take() {
            Some(unfinished) => name_one(tree, path, bytes, unfinished, rule),
            None => Ok(Creation::AlreadySame),
        }
    })?;

    flush.names(tree, objects.iter().map(|(path, _)| path))?;
    Ok(created)
}

/// How contents and names are made durable.
pub(super) enum Flush {
    Each,
    /// With a descriptor of its own, so that the flush reports errors from now on and not those
    /// that others had long ago.
    Together(OwnedFd),
    /// Not now: whoever asked for this can write everything again until it was flushed.
    Later,
}

impl Flush {
    pub(super) fn new(tree: &Tree, count: usize) -> Result<Flush, ObjectError> {
        if CAN_FLUSH_TOGETHER && count >= FLUSH_TOGETHER_FROM {
            tree.open_root().map(Flush::Together)
        } else {
            Ok(Flush::Each)
        }
    }

    /// For what is flushed by [`flush_file_system`] later, where that can be relied on.
    pub(super) fn later() -> Flush {
        if CAN_FLUSH_TOGETHER {
            Flush::Later
        } else {
            Flush::Each
        }
    }

    /// Makes the names of objects durable, or that they are gone: each directory once.
    pub(super) fn names<'a>(
        &self,
        tree: &Tree,
        paths: impl Iterator<Item = &'a ObjectPath>,
    ) -> Result<(), ObjectError> {
        match self {
            Flush::Together(_) | Flush::Later => self.everything(tree),
            Flush::Each => {
                let folders: BTreeMap<&str, &ObjectPath> =
                    paths.map(|path| (path.split().0, path)).collect();
                for path in folders.into_values() {
                    let folder = tree.folder(path)?.ok_or_else(|| vanished(tree, path))?;
                    tree.flush_folder(path, &folder)?;
                }
                Ok(())
            }
        }
    }

    /// Flushes a file's contents, unless everything is flushed together later.
    pub(super) fn contents(&self, file: &File) -> std::io::Result<()> {
        match self {
            Flush::Each => file.sync_all(),
            Flush::Together(_) | Flush::Later => Ok(()),
        }
    }

    pub(super) fn everything(&self, tree: &Tree) -> Result<(), ObjectError> {
        match self {
            Flush::Each | Flush::Later => Ok(()),
            Flush::Together(fd) => flush_file_system(tree, fd),
        }
    }
}

/// Makes everything durable that stands on the tree's file system, of which `fd` is an open
/// file: errors count from when it was opened.
pub(super) fn flush_file_system(tree: &Tree, fd: &OwnedFd) -> Result<(), ObjectError> {
    #[cfg(target_os = "linux")]
    let flushed = rustix::fs::syncfs(fd);
    #[cfg(not(target_os = "linux"))]
    let flushed = {
        let _ = fd;
        rustix::fs::sync();
        Ok(())
    };
    flushed.map_err(ObjectError::os("flush the file system of", &tree.root))
}

fn is_there(tree: &Tree, path: &ObjectPath, bytes: &Bytes) -> Result<bool, ObjectError> {
    let Some(there) = open(tree, path)? else {
        return Ok(false);
    };
    if holds_same(tree, path, there, bytes.as_ref(), bytes.len() as u64)? {
        Ok(true)
    } else {
        Err(ObjectError::Different { path: path.clone() })
    }
}

fn write_one<'tree>(
    tree: &'tree Tree,
    bytes: &Bytes,
    flush: &Flush,
) -> Result<Unfinished<'tree>, ObjectError> {
    let (unfinished, file) = write_contents(tree, bytes)?;
    let cannot = ObjectError::io("flush", unfinished.path());
    flush.contents(&file).map_err(cannot)?;
    Ok(unfinished)
}

/// Writes contents without a name and without a flush.
pub(super) fn write_contents<'tree>(
    tree: &'tree Tree,
    bytes: &Bytes,
) -> Result<(Unfinished<'tree>, File), ObjectError> {
    let (unfinished, mut file) = tree.incoming.create()?;
    let cannot = |action| ObjectError::io(action, unfinished.path());
    file.write_all(bytes).map_err(cannot("write"))?;
    // Whatever the umask is.
    let mode = Permissions::from_mode(OBJECT_MODE.as_raw_mode());
    file.set_permissions(mode)
        .map_err(cannot("set the mode of"))?;
    Ok((unfinished, file))
}

fn name_one(
    tree: &Tree,
    path: &ObjectPath,
    bytes: &Bytes,
    unfinished: Unfinished<'_>,
    rule: Rule,
) -> Result<Creation, ObjectError> {
    let folder = tree.make_folder(path)?;
    let name = path.split().1;
    let renamed = match rule {
        Rule::Create => rename_new(unfinished.folder(), unfinished.name(), &folder, name),
        Rule::Replace => {
            rustix::fs::renameat(unfinished.folder(), unfinished.name(), &folder, name)
        }
    };
    match renamed {
        Ok(()) => {
            unfinished.settled();
            Ok(Creation::Created)
        }
        // Someone else was faster.
        Err(Errno::EXIST) if rule == Rule::Create => match is_there(tree, path, bytes)? {
            true => Ok(Creation::AlreadySame),
            false => Err(vanished(tree, path)),
        },
        Err(Errno::ISDIR) => Err(ObjectError::NotPlain { path: path.clone() }),
        Err(errno) => Err(ObjectError::os("create", tree.root.join(path.as_str()))(
            errno,
        )),
    }
}

pub(super) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, ObjectError> + Sync,
) -> Result<Vec<R>, ObjectError> {
    let mut items: Vec<&T> = items.iter().collect();
    in_parallel_mut(&mut items, |item| work(item))
}

/// Does the work for every item on a few threads; the results are in the order of the items.
pub(super) fn in_parallel_mut<T: Send, R: Send>(
    items: &mut [T],
    work: impl Fn(&mut T) -> Result<R, ObjectError> + Sync,
) -> Result<Vec<R>, ObjectError> {
    if items.len() < 2 * MIN_PER_THREAD {
        return items.iter_mut().map(work).collect();
    }
    // Asked for only where it matters: the system answers out of several files.
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = cores
        .clamp(2, MAX_THREADS)
        .min(items.len() / MIN_PER_THREAD);
    let share = items.len().div_ceil(threads);
    let work = &work;
    std::thread::scope(|scope| {
        let running: Vec<_> = items
            .chunks_mut(share)
            .map(|part| {
                scope.spawn(move || part.iter_mut().map(work).collect::<Result<Vec<R>, _>>())
            })
            .collect();
        let mut results = Vec::new();
        for thread in running {
            match thread.join() {
                Ok(part) => results.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(results)
    })
}
