//! How an index comes into the store, and how it leaves it.

use std::fs;
use std::path::{Path, PathBuf};

use url::Url;
use wheelmark_tuf::Effect;

use super::{
    Began, Durability, HandedOver, IndexRecord, RECORD, TrustError, TrustStore, TrustedIndex, io,
    lock, private_temporary, sync_directory,
};
use crate::index::{IndexUrls, directory_name};

impl TrustStore {
    /// Puts a new index into the store, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`TrustError::AlreadyTrusted`] when it is there, and when it cannot be written.
    pub(crate) async fn begin(
        &self,
        record: IndexRecord,
        root: &[u8],
        chain: &[Effect],
        handed: Option<&HandedOver>,
    ) -> Result<TrustedIndex, TrustError> {
        self.enter(record, |trusted| {
            trusted.write("root.json", root, Durability::Synced)?;
            if let Some(handed) = handed {
                trusted.take_over(handed)?;
            }
            chain.iter().try_for_each(|effect| trusted.put(effect))
        })
        .await
    }

    /// Writes down that an index is used although nobody signs it, because a person said so.
    ///
    /// # Errors
    ///
    /// [`TrustError::AlreadyTrusted`] when it is there, and when it cannot be written.
    pub async fn add_unsigned(
        &self,
        urls: IndexUrls,
        now: jiff::Timestamp,
    ) -> Result<TrustedIndex, TrustError> {
        let record = IndexRecord::unsigned(urls, Began::Unsigned, now);
        self.enter(record, |_| Ok(())).await
    }

    async fn enter(
        &self,
        record: IndexRecord,
        fill: impl FnOnce(&TrustedIndex) -> Result<(), TrustError>,
    ) -> Result<TrustedIndex, TrustError> {
        let directory = self.indexes.join(directory_name(record.urls.simple()));
        let _lock = lock::of(&directory).await?;
        self.refuse_known(record.urls.simple())?;
        self.settle(directory, record, fill)
    }

    /// Puts an index into its directory, whose lock is held.
    pub(super) fn settle(
        &self,
        directory: PathBuf,
        record: IndexRecord,
        fill: impl FnOnce(&TrustedIndex) -> Result<(), TrustError>,
    ) -> Result<TrustedIndex, TrustError> {
        let draft = self.draft(".new-")?;
        let trusted = TrustedIndex {
            directory: draft.path().to_owned(),
            text: record.to_toml().into(),
            record,
            system: None,
        };
        fill(&trusted)?;
        // What is left is of trust that the system took back, or of an index that nobody chose: who
        // attests to its projects stays known, whoever signs for it from now on.
        self.carry_identities(&directory, &trusted)?;
        self.bury(&directory)?;
        trusted.write(RECORD, trusted.text.as_bytes(), Durability::Synced)?;
        if let Err(source) = fs::rename(draft.path(), &directory) {
            self.refuse_known(trusted.record.urls.simple())?;
            return Err(io("create", &directory, source));
        }
        drop(draft.keep());
        sync_directory(&self.indexes)?;
        Ok(TrustedIndex {
            directory,
            ..trusted
        })
    }

    pub(crate) fn refuse_known(&self, simple: &Url) -> Result<(), TrustError> {
        match self.find(simple)? {
            None => Ok(()),
            Some(known) => Err(TrustError::AlreadyTrusted {
                index: simple.clone(),
                since: known.record.trusted_since,
            }),
        }
    }

    /// A directory that nobody sees as an index, and only the owner sees at all.
    pub(super) fn draft(&self, prefix: &str) -> Result<tempfile::TempDir, TrustError> {
        private_temporary(prefix, &self.indexes).map_err(|e| io("write in", &self.indexes, e))
    }

    /// Ends trust in an index and forgets all that was kept about it; `false` when there was
    /// none. Waits for whoever brings its chain up to date.
    ///
    /// # Errors
    ///
    /// When the directory cannot be locked or removed.
    pub async fn remove(&self, simple: &Url) -> Result<bool, TrustError> {
        let directory = self.indexes.join(directory_name(simple));
        let _lock = lock::of(&directory).await?;
        self.note_signed(&directory, simple)?;
        self.bury(&directory)
    }

    /// Removes what is kept of an index; `false` when there is nothing.
    pub(super) fn bury(&self, directory: &Path) -> Result<bool, TrustError> {
        if !directory.exists() {
            return Ok(false);
        }
        // Out of sight at once, so that a crash leaves no half of it behind.
        let grave = self.draft(".old-")?;
        fs::rename(directory, grave.path().join("index"))
            .map_err(|e| io("remove", directory, e))?;
        sync_directory(&self.indexes)?;
        grave.close().map_err(|e| io("remove", directory, e))?;
        Ok(true)
    }
}
