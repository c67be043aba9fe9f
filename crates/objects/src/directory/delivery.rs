//! A delivery: many objects brought into the tree, and made durable together.
//!
//! [`Directory::create_all`] is durable when it returns, which costs a flush or two for every
//! call. Whoever brings a whole tree and vouches for none of it before its end does the same in
//! steps of his own, and one flush serves thousands of objects:
//!
//! ```text
//!  stage ──▶ Staged ──flush──▶ Ready ──name──▶ Unsettled ──flush──▶ done
//!          contents are     contents are     names are          names are
//!            written          durable          given             durable
//! ```
//!
//! The types keep the rule that matters: no object gets its name before its contents are
//! durable, so that a power failure cannot leave a name with half an object. What else has to
//! come in which order is the caller's: what was named before a flush began is durable when the
//! flush has returned, and of two names that the same flush settles either may be lost.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::batch::{
    CAN_FLUSH_TOGETHER, Flush, flush_file_system, in_parallel, in_parallel_mut, write_contents,
};
use super::error::ObjectError;
use super::placing::{already_same, give_name, rename_new};
use super::{Creation, Directory, OBJECT_MODE, Tree, WriterLock};
use crate::ObjectPath;

/// Up to so many files and directories are flushed one by one; beyond it the whole file system
/// is, where that can be relied on; it also waits for what other programs have written.
const FLUSHED_ONE_BY_ONE: usize = 32;

/// Many objects on their way into one tree. Clones share it.
#[derive(Clone, Debug)]
pub struct Delivery {
    directory: Directory,
    /// Opened before anything is written: a flush through it tells of every error since then,
    /// also of one that the system met while it wrote something out by itself.
    file_system: Arc<OwnedFd>,
}

/// Objects whose contents are written. They have no names, and are gone with this value.
#[derive(Debug, Default)]
#[must_use]
pub struct Staged(Vec<Unnamed>);

/// Objects whose contents are durable, to be given their names.
#[derive(Debug, Default)]
#[must_use]
pub struct Ready(Vec<Unnamed>);

/// Names that were given and may be lost with the power, by their directories.
#[derive(Debug, Default)]
#[must_use]
pub struct Unsettled(BTreeMap<String, ObjectPath>);

/// What came of giving names.
#[derive(Debug, Default)]
#[must_use]
pub struct Named {
    /// The names that are there now.
    pub unsettled: Unsettled,
    /// Objects whose names stand already, for other bytes.
    pub different: Ready,
}

/// A file in the tree's own incoming directory, removed with this value.
#[derive(Debug)]
struct Unnamed {
    tree: Arc<Tree>,
    path: ObjectPath,
    /// Empty when the file has its place.
    file: String,
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !self.file.is_empty() {
            // If this fails, the next cleaning sees to it.
            rustix::fs::unlinkat(self.tree.incoming.own(), &self.file, AtFlags::empty()).ok();
        }
    }
}

impl Staged {
    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes further ones in.
    pub fn extend(&mut self, further: Staged) {
        self.0.extend(further.0);
    }
}

impl Ready {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The objects.
    pub fn paths(&self) -> impl Iterator<Item = &ObjectPath> {
        self.0.iter().map(|unnamed| &unnamed.path)
    }
}

impl Unsettled {
    /// Takes further ones in.
    pub fn extend(&mut self, further: Unsettled) {
        self.0.extend(further.0);
    }

    fn of<'a>(paths: impl Iterator<Item = &'a ObjectPath>) -> Self {
        let folders = paths.map(|path| (path.split().0.to_owned(), path.clone()));
        Self(folders.collect())
    }
}

impl Directory {
    /// Begins to bring many objects.
    ///
    /// # Errors
    ///
    /// When the root of the tree cannot be opened.
    pub fn delivery(&self) -> Result<Delivery, ObjectError> {
        Ok(Delivery {
            directory: self.clone(),
            file_system: Arc::new(self.tree.open_root()?),
        })
    }
}

impl Delivery {
    /// Makes everything durable that stands in the tree: also what an earlier process named and
    /// did not live to flush. Outside of Linux the system is asked for it, and nothing is promised.
    ///
    /// # Errors
    ///
    /// When the file system fails, now or since this delivery began.
    pub async fn flush_all(&self) -> Result<(), ObjectError> {
        let file_system = Arc::clone(&self.file_system);
        let flush = move |tree: &Tree| flush_file_system(tree, &file_system);
        self.directory.blocking(flush).await
    }

    /// Writes contents; the names come later.
    ///
    /// # Errors
    ///
    /// When the file system fails, or is full. Nothing of these objects stays then.
    pub async fn stage(&self, objects: Vec<(ObjectPath, Bytes)>) -> Result<Staged, ObjectError> {
        let tree = Arc::clone(&self.directory.tree);
        let written = move |_: &Tree| {
            in_parallel(&objects, |(path, bytes)| {
                let (unfinished, _) = write_contents(&tree, bytes)?;
                Ok(Unnamed {
                    tree: Arc::clone(&tree),
                    path: path.clone(),
                    file: unfinished.into_name(),
                })
            })
        };
        self.directory.blocking(written).await.map(Staged)
    }

    /// Takes a file in that was written in [`Directory::incoming`].
    ///
    /// # Errors
    ///
    /// When it lies elsewhere, or its mode cannot be set.
    pub async fn stage_file(
        &self,
        path: &ObjectPath,
        file: NamedTempFile,
    ) -> Result<Staged, ObjectError> {
        let (tree, path) = (Arc::clone(&self.directory.tree), path.clone());
        let staged = move |_: &Tree| stage_file(tree, path, file);
        self.directory.blocking(staged).await
    }

    /// Makes contents durable, and the names of `named`. Everything that was handed to it is
    /// durable when it returns.
    ///
    /// # Errors
    ///
    /// When the file system fails, now or since this delivery began; the objects are gone then.
    pub async fn flush<const N: usize>(
        &self,
        staged: [Staged; N],
        named: Unsettled,
    ) -> Result<[Ready; N], ObjectError> {
        let file_system = Arc::clone(&self.file_system);
        let flush = move |tree: &Tree| flush(tree, &file_system, staged, &named);
        self.directory.blocking(flush).await
    }

    /// Gives objects their names, unless these are taken. Other bytes under a name are no error
    /// here: they are in [`Named::different`]. The same bytes count as done.
    ///
    /// # Errors
    ///
    /// When the file system fails. Some may have their names then; doing it again is right.
    pub async fn name(&self, ready: Ready) -> Result<Named, ObjectError> {
        self.directory.blocking(move |tree| name(tree, ready)).await
    }

    /// Gives objects their names in place of whatever has them, each in one step. For those whose
    /// [`Kind`](crate::Kind) may be overwritten, and for whoever keeps a copy of a tree, has
    /// verified these bytes, and knows that what stands there is not what was signed.
    ///
    /// # Errors
    ///
    /// [`ObjectError::LockLost`] if `lock` is not the one that protects this tree now.
    pub async fn replace(&self, lock: &WriterLock, ready: Ready) -> Result<Unsettled, ObjectError> {
        // The lock is held until the blocking work is done, even if this future is dropped.
        let lock = lock.share();
        self.directory
            .blocking(move |tree| {
                lock.check(tree)?;
                replace(tree, ready)
            })
            .await
    }

    /// Gives objects their second names, as [`Directory::link_all`] does, which are durable after
    /// a flush.
    ///
    /// # Errors
    ///
    /// None of a single link: those are among the results.
    pub async fn link(
        &self,
        links: Vec<(ObjectPath, ObjectPath)>,
    ) -> Result<(Vec<Result<Creation, ObjectError>>, Unsettled), ObjectError> {
        self.directory
            .blocking(move |tree| {
                let linked = in_parallel(&links, |(from, to)| {
                    Ok(give_name(tree, from, to, &Flush::Each))
                })?;
                let done = links.iter().zip(&linked).filter(|(_, done)| done.is_ok());
                let unsettled = Unsettled::of(done.map(|((_, to), _)| to));
                Ok((linked, unsettled))
            })
            .await
    }
}

fn stage_file(
    tree: Arc<Tree>,
    path: ObjectPath,
    file: NamedTempFile,
) -> Result<Staged, ObjectError> {
    let cannot = |action| ObjectError::io(action, file.path());
    let own = file.path().parent() == Some(tree.incoming.path());
    let name = file.path().file_name().and_then(|name| name.to_str());
    let Some(name) = name.filter(|_| own).map(str::to_owned) else {
        return Err(cannot("take in")(io::Error::from(
            io::ErrorKind::InvalidInput,
        )));
    };
    rustix::fs::fchmod(file.as_file(), OBJECT_MODE)
        .map_err(|errno| cannot("set the mode of")(errno.into()))?;
    let unnamed = Unnamed {
        path,
        file: name,
        tree: Arc::clone(&tree),
    };
    // From here on the file is the other value's to remove.
    file.into_temp_path()
        .keep()
        .map_err(|kept| ObjectError::io("take in", tree.incoming.path())(kept.error))?;
    Ok(Staged(vec![unnamed]))
}

fn flush<const N: usize>(
    tree: &Tree,
    file_system: &OwnedFd,
    staged: [Staged; N],
    named: &Unsettled,
) -> Result<[Ready; N], ObjectError> {
    let contents = || staged.iter().flat_map(|staged| &staged.0);
    if CAN_FLUSH_TOGETHER && contents().count() + named.0.len() > FLUSHED_ONE_BY_ONE {
        flush_file_system(tree, file_system)?;
    } else {
        for unnamed in contents() {
            let cannot = |action| ObjectError::io(action, tree.incoming.path().join(&unnamed.file));
            let file = tree.incoming.reopen(&unnamed.file);
            let file = file.map_err(|errno| cannot("open")(errno.into()))?;
            file.sync_all().map_err(cannot("flush"))?;
        }
        for path in named.0.values() {
            // A directory may have gone since, with all that was in it.
            if let Some(folder) = tree.folder(path)? {
                tree.flush_folder(path, &folder)?;
            }
        }
    }
    Ok(staged.map(|staged| Ready(staged.0)))
}

/// The objects of each directory, which is then opened once for all of them.
fn by_folder(objects: Vec<Unnamed>) -> Vec<Vec<Unnamed>> {
    let mut folders: BTreeMap<String, Vec<Unnamed>> = BTreeMap::new();
    for unnamed in objects {
        let folder = unnamed.path.split().0.to_owned();
        folders.entry(folder).or_default().push(unnamed);
    }
    folders.into_values().collect()
}

fn name(tree: &Tree, ready: Ready) -> Result<Named, ObjectError> {
    let unsettled = Unsettled::of(ready.paths());
    let mut folders = by_folder(ready.0);
    let different = in_parallel_mut(&mut folders, |objects| {
        let mut different = Vec::new();
        let Some(first) = objects.first() else {
            return Ok(different);
        };
        let folder = tree.make_folder(&first.path)?;
        for mut unnamed in objects.drain(..) {
            let to = unnamed.path.split().1;
            match rename_new(tree.incoming.own(), &*unnamed.file, &folder, to) {
                Ok(()) => unnamed.file.clear(),
                Err(Errno::EXIST) => {
                    let path = unnamed.path.clone();
                    let ours = tree.incoming.reopen(&unnamed.file);
                    let ours = ours.map_err(ObjectError::os("read", tree.root.join(path.as_str())));
                    match already_same(tree, &folder, &path, ours?) {
                        Ok(_) => {}
                        Err(ObjectError::Different { .. }) => different.push(unnamed),
                        Err(error) => return Err(error),
                    }
                }
                Err(errno) => return Err(cannot_create(tree, &unnamed.path, errno)),
            }
        }
        Ok(different)
    })?;
    Ok(Named {
        unsettled,
        different: Ready(different.into_iter().flatten().collect()),
    })
}

fn replace(tree: &Tree, ready: Ready) -> Result<Unsettled, ObjectError> {
    let unsettled = Unsettled::of(ready.paths());
    let mut folders = by_folder(ready.0);
    in_parallel_mut(&mut folders, |objects| {
        let Some(first) = objects.first() else {
            return Ok(());
        };
        let folder = tree.make_folder(&first.path)?;
        for mut unnamed in objects.drain(..) {
            let to = unnamed.path.split().1;
            match rustix::fs::renameat(tree.incoming.own(), &*unnamed.file, &folder, to) {
                Ok(()) => unnamed.file.clear(),
                Err(errno) => return Err(cannot_create(tree, &unnamed.path, errno)),
            }
        }
        Ok(())
    })?;
    Ok(unsettled)
}

fn cannot_create(tree: &Tree, path: &ObjectPath, errno: Errno) -> ObjectError {
    match errno {
        Errno::ISDIR => ObjectError::NotPlain { path: path.clone() },
        errno => ObjectError::os("create", tree.root.join(path.as_str()))(errno),
    }
}
