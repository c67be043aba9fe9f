//! Writing without flushes, for whoever can write everything again.
//!
//! The snapshot process records what it is about to write, durably, and keeps the record until the
//! whole file system was flushed. So what it writes here need not wait for the disk: a power
//! failure may leave objects out, or names with a part of their contents or none, and all of them
//! are [restored](Replayable::restore_all) from the record.
//!
//! Where no flush of the whole file system can be relied on, everything here is flushed at once.

use std::sync::Arc;

use bytes::Bytes;
use rustix::fd::OwnedFd;

use super::batch::{self, Flush, Rule, flush_file_system};
use super::error::ObjectError;
use super::restoring::{self, Restored};
use super::{Creation, Directory, WriterLock, demand_replaceable, demand_second_names, naming};
use crate::ObjectPath;

/// A tree whose writer keeps a durable record of what it writes, until a
/// [flush](Replayable::flush) that began afterwards has returned. Clones share it.
#[derive(Clone, Debug)]
pub struct Replayable {
    directory: Directory,
    /// Opened before anything is written: a flush through it tells of every error since then,
    /// also of one that the system met while it wrote something out by itself.
    file_system: Arc<OwnedFd>,
}

impl Directory {
    /// The tree, to be written to without flushes by whoever keeps a record.
    ///
    /// # Errors
    ///
    /// When the root of the tree cannot be opened.
    pub fn replayable(&self) -> Result<Replayable, ObjectError> {
        Ok(Replayable {
            directory: self.clone(),
            file_system: Arc::new(self.tree.open_root()?),
        })
    }
}

impl Replayable {
    /// The tree itself.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Makes everything durable that was written until now.
    ///
    /// # Errors
    ///
    /// When the file system fails, now or since this value was made.
    pub async fn flush(&self) -> Result<(), ObjectError> {
        let file_system = Arc::clone(&self.file_system);
        self.directory
            .elsewhere(move |tree| flush_file_system(tree, &file_system))
            .await
    }

    /// Creates objects that are named after the SHA-256 of their bytes, and says how for each, in
    /// the order given. What stands under such a name with other bytes is damage, or what a power
    /// failure left, and is replaced.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Different`] if one is not named after its bytes; nothing is done then.
    pub async fn create_named(
        &self,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<Vec<Creation>, ObjectError> {
        self.directory
            .blocking(move |tree| restoring::create_named(tree, &objects))
            .await
    }

    /// Overwrites objects, as [`Directory::replace_all`] does: a reader sees the old bytes or the
    /// new ones.
    ///
    /// # Errors
    ///
    /// See [`Directory::replace`].
    pub async fn replace_all(
        &self,
        lock: &WriterLock,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<(), ObjectError> {
        demand_replaceable(&objects)?;
        let lock = lock.share();
        self.directory
            .blocking(move |tree| {
                lock.check(tree)?;
                batch::write(tree, &objects, Rule::Replace, &Flush::later()).map(|_| ())
            })
            .await
    }

    /// Gives objects second names, as [`Directory::link_all`] does.
    ///
    /// # Errors
    ///
    /// None of a single link: those are among the results.
    pub async fn link_all(
        &self,
        links: Vec<(ObjectPath, ObjectPath)>,
    ) -> Result<Vec<Result<Creation, ObjectError>>, ObjectError> {
        self.directory
            .blocking(move |tree| naming::link_all(tree, &links, &Flush::later()))
            .await
    }

    /// Takes second names away, as [`Directory::unname_all`] does.
    ///
    /// # Errors
    ///
    /// See [`Directory::unname_all`].
    pub async fn unname_all(
        &self,
        lock: &WriterLock,
        paths: Vec<ObjectPath>,
    ) -> Result<(), ObjectError> {
        demand_second_names(&paths)?;
        let lock = lock.share();
        self.directory
            .blocking(move |tree| {
                lock.check(tree)?;
                naming::unname_all(tree, &paths, &Flush::later()).map(|_| ())
            })
            .await
    }

    /// Sees to it that objects which were written before are there with their bytes, and says for
    /// each, in the order given, what was found. What a power failure left of one is replaced;
    /// other bytes are not.
    ///
    /// # Errors
    ///
    /// When the file system fails; [`ObjectError::LockLost`] as for [`Directory::replace`].
    pub async fn restore_all(
        &self,
        lock: &WriterLock,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<Vec<Restored>, ObjectError> {
        let lock = lock.share();
        self.directory
            .blocking(move |tree| {
                lock.check(tree)?;
                restoring::restore_all(tree, &objects)
            })
            .await
    }

    /// Writes objects anew that are known to have been written before with these bytes, whatever
    /// stands in their places: what can be read may be in memory alone, after the disk has failed.
    ///
    /// # Errors
    ///
    /// See [`Replayable::restore_all`].
    pub async fn rewrite_all(
        &self,
        lock: &WriterLock,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<(), ObjectError> {
        let lock = lock.share();
        self.directory
            .blocking(move |tree| {
                lock.check(tree)?;
                restoring::rewrite_all(tree, &objects)
            })
            .await
    }

    /// The same for objects that are named after the SHA-256 of their bytes, for which nobody's
    /// word is needed.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Different`] if one is not named after its bytes; nothing is done then.
    pub async fn rewrite_named(
        &self,
        objects: Vec<(ObjectPath, Bytes)>,
    ) -> Result<(), ObjectError> {
        self.directory
            .blocking(move |tree| restoring::rewrite_named(tree, &objects))
            .await
    }

    /// Takes those second names away that are not the very files of their objects, so that they can
    /// be given again. `links` are objects and their second names.
    ///
    /// # Errors
    ///
    /// See [`Replayable::restore_all`].
    pub async fn clear_others(
        &self,
        lock: &WriterLock,
        links: Vec<(ObjectPath, ObjectPath)>,
    ) -> Result<(), ObjectError> {
        let lock = lock.share();
        self.directory
            .blocking(move |tree| {
                lock.check(tree)?;
                restoring::clear_others(tree, &links)
            })
            .await
    }
}
