//! The tree as a directory of a local file system.
//!
//! An object is written under a name of its own in `.incoming`, flushed, and then given its real
//! name by an operation that fails if that name exists. All of it goes through directory
//! descriptors and never follows a symbolic link below the root, so that nobody who can write
//! into a part of the tree can redirect what is written into another.

mod batch;
mod copying;
mod delivery;
mod error;
mod folders;
mod incoming;
mod lock;
mod mending;
mod naming;
mod placing;
mod reading;
mod removing;
mod replayable;
mod restoring;
mod seen;
mod sweeping;
mod taking;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use rustix::fd::OwnedFd;
use rustix::fs::Mode;
use tempfile::NamedTempFile;
use wheelmark_packaging::ProjectName;

pub use self::delivery::{Delivery, Named, Ready, Staged, Unsettled};
pub use self::error::{LockError, ObjectError, OpenError};
pub use self::lock::WriterLock;
pub use self::reading::OpenObject;
pub use self::replayable::Replayable;
pub use self::restoring::Restored;
pub use self::seen::Seen;
pub use self::sweeping::{Described, Swept};
pub use self::taking::{Manner, Outside, OutsideFile, Sharing, Stamp, TakenIn};

use self::batch::{Flush, Rule};
use self::folders::DurableFolders;
use self::incoming::Incoming;
use crate::ObjectPath;

/// Mode of every object: a web server that runs as another user can read it.
const OBJECT_MODE: Mode = Mode::from_raw_mode(0o644);

/// Mode of every directory in the tree.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// A published tree in a directory of a local file system.
///
/// Clones share one tree. Blocking work is done on tokio's blocking threads, unless it is
/// [inline](Directory::inline); a call whose future
/// is dropped may still be carried out to its end.
#[derive(Clone, Debug)]
pub struct Directory {
    tree: Arc<Tree>,
    /// Whether work is done on the thread that asks for it.
    inline: bool,
}

/// What all clones of a [`Directory`] share.
#[derive(Debug)]
struct Tree {
    root: PathBuf,
    root_fd: OwnedFd,
    durable: DurableFolders,
    incoming: Incoming,
}

/// How the creation of an object succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Creation {
    /// It was not there and is now.
    Created,
    /// It was there already, with the same bytes.
    AlreadySame,
}

impl Directory {
    /// Opens the tree in `root`, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if `root` cannot be created, is not a directory or cannot be written to.
    pub async fn open(root: &Path) -> Result<Directory, OpenError> {
        let root = root.to_owned();
        let stopped = root.clone();
        let opened = on_blocking_thread(move || Tree::open(&root)).await;
        let tree = opened.unwrap_or(Err(OpenError::Stopped { root: stopped }))?;
        Ok(Directory {
            tree: Arc::new(tree),
            inline: false,
        })
    }

    /// The same tree, for a process that does one thing after the other: work is done on the thread
    /// that asks for it. To hand it to another thread and to wait for that one costs more than most
    /// of it.
    #[must_use]
    pub fn inline(self) -> Directory {
        Directory {
            inline: true,
            ..self
        }
    }

    /// Takes the lock that allows replacing objects, for as long as the value lives.
    ///
    /// It is a lock of the operating system on the file `.lock` in the root: it ends with the
    /// process at the latest, and whoever finds the file finds nothing to clean up.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if another process, or another part of this one, has it.
    pub async fn lock(&self) -> Result<WriterLock, LockError> {
        let tree = Arc::clone(&self.tree);
        on_blocking_thread(move || WriterLock::take(&tree))
            .await
            .unwrap_or_else(|Stopped| {
                Err(LockError::Stopped {
                    root: self.tree.root.clone(),
                })
            })
    }

    /// Creates an object.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Different`] if it is there with other bytes.
    pub async fn create(&self, path: &ObjectPath, bytes: Bytes) -> Result<Creation, ObjectError> {
        let object = [(path.clone(), bytes)];
        let created = self
            .blocking(move |tree| batch::write(tree, &object, Rule::Create, &Flush::Each))
            .await?;
        Ok(created.first().copied().unwrap_or(Creation::Created))
    }

    /// Creates many objects, and says how for each, in the order given.
    ///
    /// The contents of all of them are durable before the first gets its name. If this fails,
    /// some may have been created and others not; doing it again with the same objects is right.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Different`] if one is there with other bytes.
    pub async fn create_all(
        &self,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<Vec<Creation>, ObjectError> {
        self.blocking(move |tree| {
            let flush = Flush::new(tree, objects.len())?;
            batch::write(tree, &objects, Rule::Create, &flush)
        })
        .await
    }

    /// Overwrites an object, or creates it. A reader sees the old bytes or the new ones.
    ///
    /// # Errors
    ///
    /// [`ObjectError::NotReplaceable`] if its [`Kind`](crate::Kind) may not be overwritten, and
    /// [`ObjectError::LockLost`] if `lock` is not the one that protects this tree now.
    pub async fn replace(
        &self,
        lock: &WriterLock,
        path: &ObjectPath,
        bytes: Bytes,
    ) -> Result<(), ObjectError> {
        self.replace_all(lock, vec![(path.clone(), bytes)]).await
    }

    /// Overwrites many objects, each as [`Directory::replace`] does, in no particular order.
    pub async fn replace_all(
        &self,
        lock: &WriterLock,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<(), ObjectError> {
        demand_replaceable(&objects)?;
        // The lock is held until the blocking work is done, even if this future is dropped.
        let lock = lock.share();
        self.blocking(move |tree| {
            lock.check(tree)?;
            let flush = Flush::new(tree, objects.len())?;
            batch::write(tree, &objects, Rule::Replace, &flush).map(|_| ())
        })
        .await
    }

    /// Gives a file from [`Directory::incoming`] its place in the tree.
    ///
    /// The temporary name is gone afterwards, whatever the outcome.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Different`] if the object is there with other bytes.
    pub async fn place(
        &self,
        path: &ObjectPath,
        file: NamedTempFile,
    ) -> Result<Creation, ObjectError> {
        let path = path.clone();
        self.blocking(move |tree| placing::place(tree, &path, file))
            .await
    }

    /// Takes in many files that lie elsewhere, each under its object's name, and says for each, in
    /// the order given, what became of it.
    ///
    /// All contents are durable before the first gets its name. A file that is shared by a hard
    /// link stays open to whoever can write to it outside: readers notice, by its hash. If this
    /// fails, some may have been taken in and others not; doing it again is right.
    ///
    /// # Errors
    ///
    /// When the file system fails, or is full. What is wrong with one file is in its
    /// [`TakenIn`].
    pub async fn take_in(
        &self,
        files: Vec<Outside>,
        sharing: Sharing,
    ) -> Result<Vec<TakenIn>, ObjectError> {
        self.blocking(move |tree| taking::take_in(tree, files, sharing))
            .await
    }

    /// Gives the object `from` the second name `to`.
    ///
    /// It is a hard link; where the file system has none, or forbids this one, it is a copy.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Missing`] if `from` is not there, [`ObjectError::Different`] if `to` is
    /// there with other bytes.
    pub async fn link(&self, from: &ObjectPath, to: &ObjectPath) -> Result<Creation, ObjectError> {
        let linked = self.link_all(vec![(from.clone(), to.clone())]).await?;
        linked
            .into_iter()
            .next()
            .unwrap_or(Err(ObjectError::Stopped))
    }

    /// Gives many objects their second names, and says for each, in the order given, what
    /// [`Directory::link`] would: one that fails keeps none of the others from its name.
    ///
    /// # Errors
    ///
    /// When the names could not be made durable. Doing it again is right.
    pub async fn link_all(
        &self,
        links: Vec<(ObjectPath, ObjectPath)>,
    ) -> Result<Vec<Result<Creation, ObjectError>>, ObjectError> {
        self.blocking(move |tree| {
            let flush = Flush::new(tree, links.len())?;
            naming::link_all(tree, &links, &flush)
        })
        .await
    }

    /// Takes plain names away. The objects themselves stay, and can get their names again; a name
    /// that is not there is no error.
    ///
    /// # Errors
    ///
    /// [`ObjectError::NotReplaceable`] if one is no second name (see
    /// [`Kind::is_second_name`](crate::Kind::is_second_name)), and nothing is done then;
    /// [`ObjectError::LockLost`] as for [`Directory::replace`].
    pub async fn unname_all(
        &self,
        lock: &WriterLock,
        paths: Vec<ObjectPath>,
    ) -> Result<(), ObjectError> {
        demand_second_names(&paths)?;
        let lock = lock.share();
        self.blocking(move |tree| {
            lock.check(tree)?;
            let flush = Flush::new(tree, paths.len())?;
            naming::unname_all(tree, &paths, &flush).map(|_| ())
        })
        .await
    }

    /// Writes an object anew that no longer has the bytes after which it is named, or is gone, and
    /// its second name as well where one is given. A reader sees the old bytes or the new ones.
    ///
    /// `good` is a file of anybody, and is copied: nobody else can write to what comes of it.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Different`] if `good` has not the bytes after which the object is named, or
    /// the object is of a kind that is not named so; [`ObjectError::NotReplaceable`] if `second`
    /// is no second name; [`ObjectError::LockLost`] as for [`Directory::replace`].
    pub async fn mend(
        &self,
        lock: &WriterLock,
        path: &ObjectPath,
        second: Option<&ObjectPath>,
        good: std::fs::File,
    ) -> Result<(), ObjectError> {
        let (lock, path, second) = (lock.share(), path.clone(), second.cloned());
        self.blocking(move |tree| mending::mend(tree, &lock, &path, second.as_ref(), good))
            .await
    }

    /// Takes objects of any kind away, and says how many were there. For a copy of a tree, whose
    /// keeper knows that no valid state names them any more.
    ///
    /// Nothing may be created in the same directories meanwhile: one that is left empty goes, too.
    ///
    /// # Errors
    ///
    /// [`ObjectError::LockLost`] if `lock` is not the one that protects this tree now.
    pub async fn remove_all(
        &self,
        lock: &WriterLock,
        paths: Vec<ObjectPath>,
    ) -> Result<usize, ObjectError> {
        let lock = lock.share();
        self.blocking(move |tree| {
            lock.check(tree)?;
            removing::remove(tree, &paths)
        })
        .await
    }

    /// Takes one object away that is not what it must be, so that another can have its name. Its
    /// directory stays, and whoever creates objects in it meanwhile is not disturbed. It is gone
    /// for good only with the next flush.
    ///
    /// # Errors
    ///
    /// [`ObjectError::LockLost`] if `lock` is not the one that protects this tree now.
    pub async fn discard(&self, lock: &WriterLock, path: &ObjectPath) -> Result<(), ObjectError> {
        let (lock, path) = (lock.share(), path.clone());
        self.blocking(move |tree| {
            lock.check(tree)?;
            naming::unname(tree, &path).map(|_| ())
        })
        .await
    }

    /// The objects in the directory of `path`, sorted; that one itself need not be there.
    pub async fn beside(&self, path: &ObjectPath) -> Result<Vec<ObjectPath>, ObjectError> {
        let path = path.clone();
        self.blocking(move |tree| removing::beside(tree, &path))
            .await
    }

    /// The same, with the length of each and the time at which it was written.
    pub async fn described_beside(&self, path: &ObjectPath) -> Result<Vec<Described>, ObjectError> {
        let path = path.clone();
        self.blocking(move |tree| sweeping::describe(tree, &path))
            .await
    }

    /// What the file system says that the time is: it can be another machine's.
    pub async fn clock(&self) -> Result<SystemTime, ObjectError> {
        self.blocking(sweeping::clock).await
    }

    /// Takes objects of any kind away that were written before `before`, and says which went. For
    /// whoever publishes, and knows that no state that is kept names them.
    ///
    /// Others may create objects in the same directories meanwhile: those stay. Nothing is flushed:
    /// what comes back by a power failure is swept once more.
    ///
    /// # Errors
    ///
    /// [`ObjectError::LockLost`] if `lock` is not the one that protects this tree now.
    pub async fn sweep(
        &self,
        lock: &WriterLock,
        paths: Vec<ObjectPath>,
        before: SystemTime,
    ) -> Result<Swept, ObjectError> {
        let lock = lock.share();
        self.blocking(move |tree| {
            lock.check(tree)?;
            sweeping::sweep(tree, &paths, before)
        })
        .await
    }

    /// The projects that have a directory anywhere in the tree.
    pub async fn projects(&self) -> Result<BTreeSet<ProjectName>, ObjectError> {
        self.blocking(removing::projects).await
    }

    /// The bytes of an object, `None` if it is not there.
    ///
    /// # Errors
    ///
    /// [`ObjectError::TooLarge`] if it has more than `max_len` bytes.
    pub async fn read(
        &self,
        path: &ObjectPath,
        max_len: u64,
    ) -> Result<Option<Bytes>, ObjectError> {
        let path = path.clone();
        self.blocking(move |tree| reading::read(tree, &path, max_len))
            .await
    }

    /// An object opened for reading, `None` if it is not there.
    pub async fn open_object(&self, path: &ObjectPath) -> Result<Option<OpenObject>, ObjectError> {
        let path = path.clone();
        self.blocking(move |tree| reading::open(tree, &path)).await
    }

    /// The same on the thread that asks, for a server that is asked for the same objects again and
    /// again: to open what the system has at hand takes less than to hand it to another thread.
    ///
    /// # Errors
    ///
    /// As [`Directory::open_object`].
    pub fn open_object_here(&self, path: &ObjectPath) -> Result<Option<OpenObject>, ObjectError> {
        reading::open(&self.tree, path)
    }

    /// Whether the object at `path` is the very file, in the very state, that was opened before. It
    /// takes one look, on the thread that asks.
    pub fn is_as_seen(&self, path: &ObjectPath, seen: &Seen) -> bool {
        seen::is_as_seen(&self.tree, path, seen)
    }

    /// The length of an object in bytes, `None` if it is not there.
    pub async fn size(&self, path: &ObjectPath) -> Result<Option<u64>, ObjectError> {
        Ok(self.open_object(path).await?.map(|object| object.len))
    }

    /// Whether an object is there.
    pub async fn exists(&self, path: &ObjectPath) -> Result<bool, ObjectError> {
        Ok(self.size(path).await?.is_some())
    }

    /// The root of the tree, absolute.
    pub fn root(&self) -> &Path {
        &self.tree.root
    }

    /// Where the file of an object is, or would be, on this machine.
    ///
    /// For messages and for other programs; what opens this name follows symbolic links.
    pub fn local_path(&self, path: &ObjectPath) -> PathBuf {
        self.tree.root.join(path.as_str())
    }

    /// A directory for files that are to be placed in the tree, on the same file system.
    ///
    /// It belongs to this value and its clones alone, and stands under `.incoming` in the root,
    /// which is not to be served.
    pub fn incoming(&self) -> &Path {
        self.tree.incoming.path()
    }

    /// The files whose name begins with `prefix` that processes that are gone left in their
    /// [`incoming`](Self::incoming) directory; [`clean_incoming`](Self::clean_incoming) removes
    /// them.
    pub async fn abandoned(&self, prefix: &'static str) -> Result<Vec<PathBuf>, ObjectError> {
        self.blocking(move |tree| tree.incoming.abandoned(&tree.root, prefix))
            .await
    }

    /// Removes what processes that are gone left under `.incoming`, and says how many entries
    /// that were. What living processes have there is left alone.
    pub async fn clean_incoming(&self) -> Result<usize, ObjectError> {
        self.blocking(|tree| tree.incoming.clean(&tree.root)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        if self.inline {
            return work(&self.tree);
        }
        self.elsewhere(work).await
    }

    /// Does work that takes long on another thread in any case.
    async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, ObjectError> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let tree = Arc::clone(&self.tree);
        on_blocking_thread(move || work(&tree))
            .await
            .unwrap_or(Err(ObjectError::Stopped))
    }
}

fn demand_replaceable(objects: &[(ObjectPath, Bytes)]) -> Result<(), ObjectError> {
    let mut paths = objects.iter().map(|(path, _)| path);
    match paths.find(|path| !path.kind().is_replaceable()) {
        Some(path) => Err(ObjectError::NotReplaceable { path: path.clone() }),
        None => Ok(()),
    }
}

fn demand_second_names(paths: &[ObjectPath]) -> Result<(), ObjectError> {
    match paths.iter().find(|path| !path.kind().is_second_name()) {
        Some(path) => Err(ObjectError::NotReplaceable { path: path.clone() }),
        None => Ok(()),
    }
}

/// The runtime shut down before it began the work.
struct Stopped;

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stopped> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Stopped),
        },
    }
}
