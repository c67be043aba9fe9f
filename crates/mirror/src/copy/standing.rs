//! Which state stands here, and how the one that is offered stands to it.

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_client::ChainFiles;
use wheelmark_objects::{ObjectError, ObjectPath};
use wheelmark_tuf::{Sha256, TrustedSet};

use super::Copy;
use super::error::CopyError;

/// The longest timestamp that is read here; a client takes none that is longer.
const MAX_TIMESTAMP_LEN: u64 = 16_384;

impl Copy {
    /// The files of the chain, which have to be those of `set`.
    pub(super) fn chain(&self, set: &TrustedSet) -> Result<ChainFiles, CopyError> {
        let chain = self.upstream.chain_files()?.ok_or(CopyError::Stopped)?;
        let is_of_set = version_of(&chain.timestamp) == Some(set.timestamp().version)
            && version_of(&chain.snapshot) == Some(set.snapshot().version)
            && version_of(&chain.targets) == Some(set.targets().version);
        if is_of_set {
            Ok(chain)
        } else {
            Err(CopyError::Stopped)
        }
    }

    /// Whether the timestamp in the tree is that of the last complete state.
    pub(super) async fn is_intact(&self) -> Result<bool, CopyError> {
        let Some(complete) = &self.state.complete else {
            return Ok(false);
        };
        let here = self.timestamp_here().await?;
        Ok(here.is_some_and(|here| Sha256::of(&here) == complete.timestamp_sha256))
    }

    async fn timestamp_here(&self) -> Result<Option<Bytes>, CopyError> {
        let path = ObjectPath::timestamp();
        match self.tree.read(&path, MAX_TIMESTAMP_LEN).await {
            Ok(read) => Ok(read),
            Err(ObjectError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Until when readers may hold what the tree shows now: by its timestamp, which a run that
    /// was killed may have put there, and by the last state that came to its end.
    pub(super) async fn in_force(&self) -> Result<Option<Timestamp>, CopyError> {
        let here = self.timestamp_here().await?;
        let here = here.and_then(|here| expiry_of(&here));
        let complete = self.state.complete.as_ref();
        Ok(here.max(complete.map(|complete| complete.expires)))
    }

    /// A state that is older than the last complete one is refused even where the trust store, which
    /// remembers as well, was lost. With new keys versions may begin anew (TUF 1.0 §5.3.11).
    pub(super) fn refuse_older(&self, set: &TrustedSet) -> Result<(), CopyError> {
        let (root, offered) = (set.root().version, set.timestamp().version);
        match &self.state.complete {
            Some(complete) if complete.root == root && offered < complete.timestamp => {
                Err(CopyError::WentBack {
                    known: complete.timestamp,
                    offered,
                })
            }
            _ => Ok(()),
        }
    }
}

/// What a metadata file states.
#[derive(serde::Deserialize)]
struct Stated<T> {
    signed: T,
}

/// The version that a metadata file states.
fn version_of(bytes: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Signed {
        version: u64,
    }
    let file: Stated<Signed> = serde_json::from_slice(bytes).ok()?;
    Some(file.signed.version)
}

/// The expiry that a metadata file states.
fn expiry_of(bytes: &[u8]) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Signed {
        expires: String,
    }
    let file: Stated<Signed> = serde_json::from_slice(bytes).ok()?;
    file.signed.expires.parse().ok()
}
