//! The directory of a copy: the tree, the right to write to it, and what is not served.
//!
//! ```text
//! DIR/metadata/ targets/ packages/ simple/    the tree
//! DIR/.mirror/indexes/…                       a trust store of the copy's own
//! DIR/.mirror/state.json                      how far the copy is
//! DIR/.incoming/                              files on their way
//! ```
//!
//! The trust store is the copy's own, so that an older state than the last one is refused
//! whoever runs it, from wherever, and however long after.

use std::path::Path;

use wheelmark_client::TrustStore;
use wheelmark_objects::{Directory, ObjectPath, WriterLock};

use super::error::CopyError;
use super::state::StateFile;

/// What is not served.
pub(crate) const OWN_FOLDER: &str = ".mirror";

/// The directory of a copy, which nobody else writes to.
#[derive(Debug)]
pub struct CopyFolder {
    pub(super) tree: Directory,
    pub(super) lock: WriterLock,
    pub(super) state: StateFile,
    trust: TrustStore,
}

impl CopyFolder {
    /// Opens the directory, and makes what is missing.
    ///
    /// # Errors
    ///
    /// When another process writes to it, and when it cannot be written to.
    pub async fn open(directory: &Path) -> Result<Self, CopyError> {
        let tree = Directory::open(directory).await?;
        let lock = tree.lock().await?;
        let own = tree.root().join(OWN_FOLDER);
        let trust = TrustStore::open(&own)?;
        Ok(Self {
            state: StateFile::in_folder(&own),
            tree,
            lock,
            trust,
        })
    }

    /// The copy's own trust store.
    #[must_use]
    pub fn trust(&self) -> &TrustStore {
        &self.trust
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Directory {
        &self.tree
    }

    /// Whether a tree stands here already, whoever made it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) async fn holds_a_tree(&self) -> Result<bool, CopyError> {
        if self.tree.exists(&ObjectPath::timestamp()).await? {
            return Ok(true);
        }
        Ok(!self.tree.projects().await?.is_empty())
    }
}
