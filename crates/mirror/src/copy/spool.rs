//! Roles that were fetched and have no place yet: they come after the files that they vouch for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wheelmark_client::Upstream;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::{Awaited, Visited};

use super::error::CopyError;
use crate::inventory::{InventoryError, RoleSource};
use crate::local::{LocalTree, metadata_path};
use crate::pace::Pace;
use crate::progress::Progress;

/// A file without a name, so that it is gone with the process.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    spooled: Mutex<Spooled>,
}

#[derive(Debug, Default)]
struct Spooled {
    end: u64,
    /// Where in the file, and how long.
    at: BTreeMap<ObjectPath, (u64, usize)>,
}

impl Spool {
    /// An empty one on the file system of `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self, CopyError> {
        let file = tempfile::tempfile_in(folder).map_err(cannot("make"))?;
        Ok(Self {
            file,
            spooled: Mutex::default(),
        })
    }

    fn keep(&self, path: ObjectPath, bytes: &[u8]) -> io::Result<()> {
        let mut spooled = self.spooled();
        let start = spooled.end;
        self.file.write_all_at(bytes, start)?;
        spooled.end += bytes.len() as u64;
        spooled.at.insert(path, (start, bytes.len()));
        Ok(())
    }

    /// The objects that are kept, in order.
    pub(super) fn paths(&self) -> Vec<ObjectPath> {
        self.spooled().at.keys().cloned().collect()
    }

    /// One that is kept; `None` if it is not.
    pub(super) fn read(&self, path: &ObjectPath) -> Result<Option<Bytes>, CopyError> {
        let Some((start, length)) = self.spooled().at.get(path).copied() else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, start);
        read.map_err(cannot("read"))?;
        Ok(Some(bytes.into()))
    }

    fn spooled(&self) -> MutexGuard<'_, Spooled> {
        // Every change is complete in itself.
        self.spooled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cannot(doing: &'static str) -> impl FnOnce(io::Error) -> CopyError {
    move |source| CopyError::Part { doing, source }
}

/// Roles from the copy where it has them, otherwise from upstream and into the spool.
pub(super) struct Gathering<'a> {
    pub(super) local: &'a LocalTree,
    pub(super) upstream: &'a Upstream,
    pub(super) spool: &'a Spool,
    pub(super) pace: &'a Pace,
    pub(super) progress: &'a Progress,
    /// What could not be kept; the inventory has no error for it.
    pub(super) failed: &'a Mutex<Option<CopyError>>,
}

impl RoleSource for Gathering<'_> {
    async fn role(&self, awaited: &Awaited) -> Result<(Visited, Bytes), InventoryError> {
        if let Ok(here) = self.local.role(awaited).await {
            return Ok(here);
        }
        let (visited, bytes) = RoleSource::role(self.upstream, awaited).await?;
        self.progress.role(bytes.len() as u64);
        self.pace.spend(bytes.len() as u64).await;
        let kept = metadata_path(&awaited.fetch().fetch.path)
            .map_err(CopyError::from)
            .and_then(|path| self.spool.keep(path, &bytes).map_err(cannot("write")));
        if let Err(error) = kept {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
        }
        Ok((visited, bytes))
    }
}

/// Roles that are all here: in the spool, or in the copy.
pub(super) struct Gathered<'a> {
    pub(super) local: &'a LocalTree,
    pub(super) spool: &'a Spool,
}

impl RoleSource for Gathered<'_> {
    async fn role(&self, awaited: &Awaited) -> Result<(Visited, Bytes), InventoryError> {
        let spooled = metadata_path(&awaited.fetch().fetch.path)
            .ok()
            .and_then(|path| self.spool.read(&path).ok().flatten());
        if let Some(bytes) = spooled {
            return Ok((awaited.open_for_copy(&bytes)?, bytes));
        }
        RoleSource::role(self.local, awaited).await
    }
}
