//! What the store holds of an index's chain, for people to look at.

use serde_json::Value;
use wheelmark_tuf::{Sha256, root_fingerprint};

use super::{TrustError, TrustedIndex};

/// A role as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleState {
    /// Its version.
    pub version: u64,
    /// When it ends, as it says itself.
    pub expires: String,
}

/// The chain as it stands in the store: verified when it was put there, and perhaps expired
/// since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainState {
    /// The trusted root.
    pub root: RoleState,
    /// The sha256 of its canonical signed part.
    pub root_fingerprint: Sha256,
    /// The last timestamp.
    pub timestamp: Option<RoleState>,
    /// The last snapshot.
    pub snapshot: Option<RoleState>,
}

impl TrustedIndex {
    /// A root that the chain went through or ends with, byte for byte.
    pub(crate) fn followed_root(&self, version: u64) -> Result<Option<Vec<u8>>, TrustError> {
        if let Some(root) = self.read(&root_file(version))? {
            return Ok(Some(root));
        }
        // What trust began with is not among those that were followed.
        let newest = self.stored_root()?;
        let is_it = role(&newest).is_some_and(|root| root.version == version);
        Ok(is_it.then_some(newest))
    }

    /// The trusted root, byte for byte: what a chain of any copy has to begin with.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or the user's trust and the system's contradict each other.
    pub fn trusted_root(&self) -> Result<Vec<u8>, TrustError> {
        self.root()
    }

    /// The fingerprint of a root of an earlier version that the chain went through.
    pub(super) fn passed_root(&self, version: u64) -> Result<Option<Sha256>, TrustError> {
        let root = self.read(&root_file(version))?;
        Ok(root.and_then(|root| root_fingerprint(&root).ok()))
    }

    /// Whether a root of this fingerprint is among those that the chain went through.
    ///
    /// # Errors
    ///
    /// When the trust store cannot be read.
    pub fn has_passed(&self, fingerprint: &Sha256) -> Result<bool, TrustError> {
        let first = self.record().first_root_version;
        for version in (first..self.state()?.root.version).rev() {
            if self.passed_root(version)?.as_ref() == Some(fingerprint) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads what is stored of the chain.
    ///
    /// # Errors
    ///
    /// When the root is missing or damaged.
    pub fn state(&self) -> Result<ChainState, TrustError> {
        let root = self.stored_root()?;
        let damaged = || TrustError::Record {
            path: self.directory().join("root.json"),
            problem: "it is not a root".to_owned(),
        };
        let cached = self.cached()?;
        Ok(ChainState {
            root_fingerprint: root_fingerprint(&root).map_err(|_| damaged())?,
            root: role(&root).ok_or_else(damaged)?,
            timestamp: cached.timestamp.as_deref().and_then(role),
            snapshot: cached.snapshot.as_deref().and_then(role),
        })
    }
}

/// Where a root stays that was followed.
pub(super) fn root_file(version: u64) -> String {
    format!("roots/{version}.json")
}

pub(super) fn role(bytes: &[u8]) -> Option<RoleState> {
    let parsed: Value = serde_json::from_slice(bytes).ok()?;
    let signed = parsed.get("signed")?;
    Some(RoleState {
        version: signed.get("version")?.as_u64()?,
        expires: signed.get("expires")?.as_str()?.to_owned(),
    })
}
