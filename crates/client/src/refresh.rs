//! Feeds the state machines of `wheelmark_tuf` from the network and from the trust store.

use url::Url;
use wheelmark_tuf::{Effect, Limits, Refresh, RefreshError, TrustedSet};

use crate::index::IndexUrls;
use crate::remote::{FetchError, Remote};
use crate::trust::{TrustError, TrustedIndex};

/// Why the chain of an index could not be brought up to date. Whatever was verified before
/// the failure has been kept, so that a later refresh goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RefreshFailure {
    /// A metadata file could not be fetched.
    #[error("the index's metadata could not be fetched")]
    Fetch(#[from] FetchError),
    /// A metadata file was refused.
    #[error("{path} failed verification")]
    Refused {
        /// The file, relative to the metadata URL.
        path: String,
        /// Where it came from.
        url: Url,
        /// What the check says.
        #[source]
        source: RefreshError,
    },
    /// The trusted root in the trust store is unusable, or the answers never end.
    #[error("what is stored about {index} is unusable")]
    Stored {
        /// The index.
        index: Url,
        /// What the check says.
        #[source]
        source: RefreshError,
    },
    /// The trust store could not be read or written.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Brings the chain of a trusted index up to date (TUF §5.3–5.6), from `now` on which every
/// expiry is judged. Other processes that do the same wait.
///
/// # Errors
///
/// [`RefreshFailure`] names the file that failed.
pub(crate) async fn refresh(
    index: &TrustedIndex,
    remote: &Remote,
    now: jiff::Timestamp,
) -> Result<TrustedSet, RefreshFailure> {
    let lock = index.lock().await?;
    let root = index.root()?;
    let machine = Refresh::new(&root, index.cached()?, now, Limits::default())
        .map_err(|source| stored(index.urls(), source))?;
    let set = drive(machine, index.urls(), remote, |effect| index.apply(&effect)).await?;
    drop(lock);
    Ok(set)
}

/// Runs a refresh to its end; every effect is handed out before the next request.
pub(crate) async fn drive(
    mut machine: Refresh,
    urls: &IndexUrls,
    remote: &Remote,
    mut apply: impl FnMut(Effect) -> Result<(), TrustError>,
) -> Result<TrustedSet, RefreshFailure> {
    while let Some(need) = machine.need().cloned() {
        let url = urls.metadata_url(&need.path);
        tracing::debug!(%url, "asking for metadata");
        let answer = remote.get(&url, need.max_len).await?;
        let (next, effects) =
            machine
                .supply(answer.map(Vec::from))
                .map_err(|source| RefreshFailure::Refused {
                    path: need.path,
                    url,
                    source,
                })?;
        for effect in effects {
            apply(effect)?;
        }
        machine = next;
    }
    machine.finish().map_err(|source| stored(urls, source))
}

fn stored(urls: &IndexUrls, source: RefreshError) -> RefreshFailure {
    RefreshFailure::Stored {
        index: urls.simple().clone(),
        source,
    }
}
