//! A client of any TUF repository: no index, no trust store, no packages.
//!
//! ```text
//!  metadata directory ◀──effects── Refresh, Lookup ◀──bytes── remote ◀── metadata URL
//!                                        │
//!                                        ▼
//!  target directory ◀──checked── Verified<Target> ◀──pieces── remote ◀── targets URL
//! ```
//!
//! It decides nothing itself: `wheelmark_tuf` does. What it adds is a flat directory for
//! metadata, one for targets, and HTTP.

mod metadata_dir;
mod target_dir;

use std::path::{Path, PathBuf};

use url::Url;
use wheelmark_tuf::{
    Found, Limits, LookupError, Refresh, RefreshError, RoleName, Target, TargetError, TargetPath,
    TrustedSet, Verified,
};

use crate::index::{UrlError, base_url};
use crate::remote::{FetchError, Haste, Remote};

pub use metadata_dir::{MetadataDir, MetadataDirError};
pub use target_dir::TargetDirError;

use target_dir::TargetDir;

/// Bytes taken from the network at a time.
const PIECE: usize = 256 * 1024;

/// Why a repository could not be used.
#[derive(Debug, thiserror::Error)]
pub enum GeneralError {
    /// A URL that was given cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The metadata directory could not be used.
    #[error(transparent)]
    MetadataDir(#[from] MetadataDirError),
    /// The target directory could not be used.
    #[error(transparent)]
    TargetDir(#[from] TargetDirError),
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The metadata is not acceptable. Everything verified before is kept.
    #[error("the repository's metadata is refused")]
    Refresh(#[from] RefreshError),
    /// The search for a target came to no answer.
    #[error("the search for {path} came to no answer")]
    Lookup {
        /// What was searched for.
        path: TargetPath,
        /// Why there is no answer.
        #[source]
        source: LookupError,
    },
    /// The server does not have a role that the snapshot lists.
    #[error("version {version} of {role} is missing from the repository")]
    RoleMissing {
        /// The role.
        role: RoleName,
        /// The version that the snapshot lists.
        version: u64,
    },
    /// No role that is trusted with the path lists it.
    #[error("there is no target {path}; asked: {}", names(asked))]
    NoTarget {
        /// What was searched for.
        path: TargetPath,
        /// The roles that were asked, in order.
        asked: Vec<RoleName>,
    },
    /// The server does not have a target that is listed.
    #[error("{url} is missing from the repository")]
    TargetMissing {
        /// Where it should be.
        url: Url,
    },
    /// The content is not what was signed; nothing of it is kept.
    #[error("the answer of {url} is refused")]
    Content {
        /// Where it came from.
        url: Url,
        /// What is wrong with it.
        #[source]
        source: TargetError,
    },
}

fn names(roles: &[RoleName]) -> String {
    let names: Vec<_> = roles.iter().map(RoleName::as_str).collect();
    names.join(", ")
}

/// A target on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is.
    pub file: PathBuf,
    /// What metadata says of it.
    pub target: Verified<Target>,
    /// Whether it was there already and nothing was fetched.
    pub was_there: bool,
}

/// A repository whose metadata has been brought up to date.
#[derive(Debug)]
pub struct GeneralClient {
    metadata: MetadataDir,
    metadata_url: Url,
    remote: Remote,
    set: TrustedSet,
}

impl GeneralClient {
    /// Brings the top-level metadata in a directory up to date (TUF §5.3–5.6), with all
    /// expiry judged at `now`. Other processes that use the directory wait.
    ///
    /// # Errors
    ///
    /// When the directory holds no root, a file cannot be fetched or is refused. What was
    /// accepted before stays in the directory.
    pub async fn refresh(
        metadata: MetadataDir,
        metadata_url: &str,
        remote: Remote,
        now: jiff::Timestamp,
    ) -> Result<Self, GeneralError> {
        let metadata_url = base_url(metadata_url)?;
        let mut refresh = Refresh::new(
            &metadata.root()?,
            metadata.cached()?,
            now,
            Limits::default(),
        )?;
        while let Some(need) = refresh.need().cloned() {
            let url = below(&metadata_url, &need.path);
            tracing::debug!(%url, "asking for metadata");
            let answer = remote.get(&url, need.max_len).await?;
            let (next, effects) = refresh.supply(answer.map(Vec::from))?;
            for effect in &effects {
                metadata.apply(effect)?;
            }
            refresh = next;
        }
        let set = refresh.finish()?;
        Ok(GeneralClient {
            metadata,
            metadata_url,
            remote,
            set,
        })
    }

    /// What the refresh established.
    #[must_use]
    pub fn trusted(&self) -> &TrustedSet {
        &self.set
    }

    /// Searches the delegations for a target (TUF §5.6.7).
    ///
    /// # Errors
    ///
    /// When a role on the way is missing or refused, or nobody lists the target.
    pub async fn find(&self, path: &TargetPath) -> Result<Verified<Target>, GeneralError> {
        let no_answer = |source| GeneralError::Lookup {
            path: path.clone(),
            source,
        };
        let mut lookup = self.set.lookup(path);
        while let Some(need) = lookup.need().cloned() {
            if let Some(bytes) = self.metadata.read(&need.cache_name())?
                && lookup.restore(&bytes)
            {
                continue;
            }
            let url = below(&self.metadata_url, &need.fetch.path);
            tracing::debug!(%url, "asking for metadata");
            let Some(bytes) = self.remote.get(&url, need.fetch.max_len).await? else {
                return Err(GeneralError::RoleMissing {
                    role: need.role,
                    version: need.version,
                });
            };
            for effect in lookup.supply(Vec::from(bytes)).map_err(no_answer)? {
                // The role is verified whether or not its copy can be kept.
                if let Err(error) = self.metadata.apply(&effect) {
                    tracing::warn!(%error, role = %need.role, "the role could not be kept");
                }
            }
        }
        match lookup.finish().map_err(no_answer)? {
            Found::Target(target) => Ok(target),
            Found::Absent { asked } => Err(GeneralError::NoTarget {
                path: path.clone(),
                asked,
            }),
        }
    }

    /// Has a target in a directory: where a file is there already and is the right one,
    /// nothing is fetched (TUF §5.7). The file gets its name only once it is whole and
    /// checked.
    ///
    /// # Errors
    ///
    /// As [`GeneralClient::find`], and when the content is missing, refused or cannot be
    /// written.
    pub async fn download(
        &self,
        path: &TargetPath,
        targets_url: &str,
        directory: &Path,
    ) -> Result<Kept, GeneralError> {
        let targets_url = base_url(targets_url)?;
        let target = self.find(path).await?;
        let directory = TargetDir::open(directory)?;
        let file = directory.path_of(path)?;
        if directory.holds(&target)? {
            return Ok(Kept {
                file,
                target,
                was_there: true,
            });
        }
        let url = if self.set.root().consistent_snapshot {
            target_below(&targets_url, &target.hash_named())
        } else {
            target_below(&targets_url, path.as_str())
        };
        let refused = |source| GeneralError::Content {
            url: url.clone(),
            source,
        };
        let mut hasher = target.hasher().map_err(refused)?;
        tracing::debug!(%url, "asking for a target");
        let Some(mut body) = self.remote.open(&url, None, Haste::NoOtherSource).await? else {
            return Err(GeneralError::TargetMissing { url });
        };
        let mut draft = directory.draft()?;
        loop {
            let piece = body.take(PIECE).await?;
            if piece.is_empty() {
                break;
            }
            hasher.update(&piece).map_err(refused)?;
            draft.write(&piece)?;
        }
        hasher.finish().map_err(refused)?;
        draft.keep_as(&file)?;
        Ok(Kept {
            file,
            target,
            was_there: false,
        })
    }
}

/// The URL of a metadata file; its name is percent-encoded already.
fn below(base: &Url, encoded: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{encoded}", base.path()));
    url
}

/// The URL of a target, whose path is not encoded yet.
fn target_below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn names_stay_below_their_base() {
        let base = base_url("http://a.example/repo").unwrap();
        for (name, url) in [
            ("1.root.json", "http://a.example/repo/1.root.json"),
            ("1...%2Fx.json", "http://a.example/repo/1...%2Fx.json"),
            ("..%2Fx.json", "http://a.example/repo/..%2Fx.json"),
            ("1.%3F.json", "http://a.example/repo/1.%3F.json"),
        ] {
            assert_eq!(below(&base, name).as_str(), url);
        }
        for (path, url) in [
            ("dir/ab.x", "http://a.example/repo/dir/ab.x"),
            ("dir/a b?#%2e", "http://a.example/repo/dir/a%20b%3F%23%252e"),
        ] {
            assert_eq!(target_below(&base, path).as_str(), url);
        }
    }
}
