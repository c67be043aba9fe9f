//! A tree in a directory, read as a client reads one over HTTP: nothing in it is believed.

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectError, ObjectPath, PathError};
use wheelmark_tuf::{
    Awaited, Cached, Found, Limits, LookupError, Refresh, RefreshError, TargetPath, TrustedSet,
    Visited, WalkError,
};

/// A tree in a directory.
#[derive(Clone, Debug)]
pub struct LocalTree {
    directory: Directory,
}

/// What is wrong with metadata in a local tree.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It is not there.
    #[error("{path} is not there")]
    Missing {
        /// The object.
        path: ObjectPath,
    },
    /// It is there, and not as it was signed.
    #[error("{path} is not what was signed")]
    Altered {
        /// The object.
        path: ObjectPath,
    },
    /// The tree has no place for a file of this name.
    #[error("its file cannot be in a tree")]
    Name(#[from] PathError),
    /// It cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A delegated role was refused.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The search for a target failed.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A top-level role was refused.
    #[error("the tree's signed state cannot be used")]
    Refresh(#[from] RefreshError),
}

impl LocalTree {
    /// A tree that was opened.
    #[must_use]
    pub fn new(directory: Directory) -> Self {
        Self { directory }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Brings the chain from a trusted root to the tree's state; every expiry is judged as of
    /// `now`, and `cached` has the floors.
    ///
    /// # Errors
    ///
    /// [`LocalError`] for the first file that is missing or refused.
    pub async fn refresh(
        &self,
        root: &[u8],
        cached: Cached,
        now: Timestamp,
    ) -> Result<TrustedSet, LocalError> {
        let mut machine = Refresh::new(root, cached, now, Limits::default())?;
        while let Some(need) = machine.need().cloned() {
            let answer = self.metadata(&need.path, need.max_len).await?;
            // What is to be kept is in the tree.
            (machine, _) = machine.supply(answer.map(Vec::from))?;
        }
        Ok(machine.finish()?)
    }

    /// A delegated role that a walk has come to, verified as [for a copy](Awaited::open_for_copy),
    /// and its file.
    ///
    /// # Errors
    ///
    /// [`LocalError`] when it is missing or refused.
    pub async fn role(&self, awaited: &Awaited) -> Result<(Visited, Bytes), LocalError> {
        let fetch = &awaited.fetch().fetch;
        let Some(bytes) = self.metadata(&fetch.path, fetch.max_len).await? else {
            let path = metadata_path(&fetch.path)?;
            return Err(LocalError::Missing { path });
        };
        Ok((awaited.open_for_copy(&bytes)?, bytes))
    }

    /// What a state whose roles are here says of a target.
    ///
    /// # Errors
    ///
    /// [`LocalError`] when a role on the way is missing or refused.
    pub async fn find(&self, set: &TrustedSet, target: &TargetPath) -> Result<Found, LocalError> {
        let mut lookup = set.lookup(target);
        while let Some(need) = lookup.need().cloned() {
            let fetch = &need.fetch;
            let Some(bytes) = self.metadata(&fetch.path, fetch.max_len).await? else {
                let path = metadata_path(&fetch.path)?;
                return Err(LocalError::Missing { path });
            };
            lookup.supply(bytes.into())?;
        }
        Ok(lookup.finish()?)
    }

    async fn metadata(&self, name: &str, max_len: u64) -> Result<Option<Bytes>, LocalError> {
        Ok(self.directory.read(&metadata_path(name)?, max_len).await?)
    }
}

/// The object of a file that the core asks the metadata server for; its name is encoded already.
pub(crate) fn metadata_path(name: &str) -> Result<ObjectPath, PathError> {
    format!("metadata/{name}").parse()
}
