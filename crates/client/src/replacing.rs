//! Trust in an index that has begun anew, because too many of its root keys were lost or stolen.
//!
//! No signature can say so: whoever has the keys of before could sign it as well, and whoever has them no
//! more cannot. So it is the word of a person, who knows the new root by another way than the index, and
//! every refresh refuses until it is given. See docs/trust.md.

use jiff::Timestamp;
use url::Url;
use wheelmark_tuf::{Sha256, root_fingerprint};

use crate::adding::{AddError, Beginning, Followed, verify};
use crate::refresh::drive_from;
use crate::remote::Remote;
use crate::sources::{Sources, Warnings};
use crate::trust::{Began, Carried, RoleState, TrustError, TrustStore, TrustedIndex};

/// Why trust could not begin anew. Everything is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// There is no trust by keys that could be replaced.
    #[error("{index} is not trusted by its keys")]
    NotTrusted {
        /// The index's simple URL.
        index: Url,
    },
    /// It is the system's administrator who says which root counts.
    #[error("{index} is trusted by every user of this machine, by {}", file.display())]
    OfTheSystem {
        /// The index's simple URL.
        index: Url,
        /// The system's file.
        file: std::path::PathBuf,
    },
    /// The first answer is what a thief would give as well.
    #[error("another root has to be known by another way than the index")]
    Believed,
    /// The index goes on as it was.
    #[error(
        "the root that you trust still leads to what {index} serves: nothing is to be replaced"
    )]
    Holds {
        /// The index's simple URL.
        index: Url,
    },
    /// The root is one of those that led to the one that is trusted, or that one.
    #[error(
        "{fingerprint} is a root that trust in {index} has come through: it is at version {newest} now"
    )]
    Passed {
        /// The index's simple URL.
        index: Url,
        /// The fingerprint that was given.
        fingerprint: Sha256,
        /// The version that is trusted.
        newest: u64,
    },
    /// The new root, or the chain below it.
    #[error(transparent)]
    Add(#[from] AddError),
}

impl From<TrustError> for ReplaceError {
    fn from(error: TrustError) -> Self {
        Self::Add(error.into())
    }
}

/// How trust began anew.
#[derive(Debug)]
pub struct Replaced {
    /// The index as it is trusted now.
    pub index: TrustedIndex,
    /// The root that was trusted until now.
    pub before: RoleState,
    /// That root's fingerprint.
    pub fingerprint_before: Sha256,
    /// What stays of what was remembered.
    pub carried: Carried,
}

/// Begins anew to trust an index that is trusted already, from another root: verifies the whole chain
/// below it as of `now`, and only then puts it into the place of the one of before.
///
/// What people have said themselves stays: identities and keys that they have compared. So does who was
/// seen attesting, which the index cannot attest in anybody's place; a recovery that the new `targets`
/// states undoes of that what was seen since the break-in. All other claims, and the versions that were
/// seen, are forgotten: they were the word of the keys of before.
///
/// # Errors
///
/// [`ReplaceError`]; the store is then as it was. A root that trust has come through is refused: whoever
/// has the keys of a root of before could otherwise have people go back to it. So is any other as long as
/// the index itself, at the URLs that are trusted, serves what the root of before leads to: then somebody has
/// talked its person into this, and nothing of the index is broken.
pub async fn replace_trust(
    store: &TrustStore,
    remote: &Remote,
    simple: &Url,
    beginning: Beginning,
    now: Timestamp,
) -> Result<Replaced, ReplaceError> {
    let index = simple.clone();
    let known = store.kept(&index)?.filter(TrustedIndex::is_signed);
    let Some(known) = known else {
        return Err(ReplaceError::NotTrusted { index });
    };
    if let (Began::System, Some(file)) = (known.record().began, known.system_file()) {
        let file = file.to_owned();
        return Err(ReplaceError::OfTheSystem { index, file });
    }
    let fingerprint = match &beginning {
        Beginning::Root { bytes, .. } => root_fingerprint(bytes).ok(),
        Beginning::Fingerprint(fingerprint) => Some(*fingerprint),
        Beginning::FirstUse | Beginning::HandedOver(_) => return Err(ReplaceError::Believed),
    };
    let state = known.state()?;
    if let Some(fingerprint) = fingerprint {
        let is_first = fingerprint == known.record().first_root_fingerprint;
        if is_first || fingerprint == state.root_fingerprint || known.has_passed(&fingerprint)? {
            let newest = state.root.version;
            return Err(ReplaceError::Passed {
                index,
                fingerprint,
                newest,
            });
        }
    }
    let own = known.urls().clone().with_mirrors(Vec::new());
    let own = Sources::new(&own, remote.clone(), Warnings::All);
    if drive_from(&known, &own, now, |_| Ok(())).await.is_ok() {
        return Err(ReplaceError::Holds { index });
    }
    let urls = known.urls().clone();
    let Followed {
        record,
        root,
        effects,
        ..
    } = verify(remote, urls, beginning, now).await?;
    let (index, carried) = store.replace(&known, record, &root, &effects).await?;
    Ok(Replaced {
        index,
        before: state.root,
        fingerprint_before: state.root_fingerprint,
        carried,
    })
}
