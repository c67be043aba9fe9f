//! How trust in an index begins: by a root file, by a fingerprint, or by first use.

use std::collections::VecDeque;
use std::path::PathBuf;

use url::Url;
use wheelmark_tuf::{
    Cached, Effect, Limits, Refresh, RefreshError, RoleName, Sha256, root_fingerprint,
};

use crate::index::{IndexUrls, metadata_below};
use crate::mirror::Mirror;
use crate::refresh::{RefreshFailure, drive, drive_from};
use crate::remote::{FetchError, Haste, Remote};
use crate::sources::{Sources, Warnings};
use crate::trust::{Began, HandedOver, IndexRecord, TrustError, TrustStore, TrustedIndex};

/// What the user knows about an index before the first answer.
#[derive(Clone, Debug)]
pub enum Beginning {
    /// A root, byte for byte, from a channel that the user trusts.
    Root {
        /// The file's bytes.
        bytes: Vec<u8>,
        /// Where it was, for messages.
        from: PathBuf,
    },
    /// The sha256 of a root's canonical signed part.
    Fingerprint(Sha256),
    /// Nothing: the first answer is believed. Over https only, or from this very machine.
    FirstUse,
    /// What somebody else who trusts the index handed over.
    HandedOver(Box<HandedOver>),
}

/// Why trust could not begin. Nothing is stored then.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// First use over plain http.
    #[error("first use needs https, and {url} is not")]
    NotHttps {
        /// The URL that is not https.
        url: Url,
    },
    /// The given file is not a root.
    #[error("{} is not a usable root", from.display())]
    NotARoot {
        /// Where it was.
        from: PathBuf,
        /// What the check says.
        #[source]
        source: RefreshError,
    },
    /// The index has no first root.
    #[error("{url} is not there")]
    NoRoot {
        /// Where it was looked for.
        url: Url,
    },
    /// No root of the index has the given fingerprint.
    #[error("none of the {walked} roots at {metadata} has the fingerprint {fingerprint}")]
    NoSuchRoot {
        /// What was asked for.
        fingerprint: Sha256,
        /// The metadata URL.
        metadata: Url,
        /// How many roots there were.
        walked: u64,
    },
    /// The root with the given fingerprint is unusable.
    #[error("the root at {url} is unusable")]
    BadRoot {
        /// Where it was.
        url: Url,
        /// What the check says.
        #[source]
        source: RefreshError,
    },
    /// A root could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The chain below the root does not hold.
    #[error(transparent)]
    Refresh(#[from] RefreshFailure),
    /// The trust store could not be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Begins to trust an index: finds the first root, verifies the whole chain below it as of
/// `now`, and only then puts the index into the store.
///
/// # Errors
///
/// [`AddError`]; the store is then as it was.
pub async fn add_trust(
    store: &TrustStore,
    remote: &Remote,
    urls: IndexUrls,
    beginning: Beginning,
    now: jiff::Timestamp,
) -> Result<TrustedIndex, AddError> {
    store.refuse_known(urls.simple())?;
    let Followed {
        record,
        root,
        effects,
        handed,
    } = verify(remote, urls, beginning, now).await?;
    Ok(store
        .begin(record, &root, &effects, handed.as_deref())
        .await?)
}

/// A chain that holds, and what it begins with.
pub(crate) struct Followed {
    pub(crate) record: IndexRecord,
    pub(crate) root: Vec<u8>,
    pub(crate) effects: Vec<Effect>,
    handed: Option<Box<HandedOver>>,
}

/// Finds the first root and verifies the whole chain below it. Nothing is kept of it.
pub(crate) async fn verify(
    remote: &Remote,
    urls: IndexUrls,
    beginning: Beginning,
    now: jiff::Timestamp,
) -> Result<Followed, AddError> {
    let limits = Limits::default();
    let mut cached = Cached::default();
    let mut handed = None;
    let (root, began, from) = match beginning {
        Beginning::HandedOver(given) => {
            let (root, url) = (given.root().to_vec(), urls.metadata().clone());
            cached.floors.push(given.floor());
            handed = Some(given);
            (root, Began::HandedOver, Origin::Url(url))
        }
        Beginning::Root { bytes, from } => (bytes, Began::RootFile, Origin::File(from)),
        Beginning::Fingerprint(fingerprint) => {
            let (url, bytes) = walk_anywhere(&urls, remote, &limits, fingerprint).await?;
            (bytes, Began::Fingerprint, Origin::Url(url))
        }
        Beginning::FirstUse => {
            if !urls.all_https_or_loopback() {
                return Err(AddError::NotHttps {
                    url: first_plain(&urls),
                });
            }
            let url = urls.metadata_url("1.root.json");
            let Some(bytes) = remote.get(&url, limits.root_length).await? else {
                return Err(AddError::NoRoot { url });
            };
            let began = if urls.all_https() {
                Began::FirstUse
            } else {
                Began::FirstUseOverLoopbackHttp
            };
            (Vec::from(bytes), began, Origin::Url(url))
        }
    };
    let machine = match Refresh::new(&root, cached, now, limits) {
        Ok(machine) => machine,
        Err(source) => {
            return Err(match from {
                Origin::File(from) => AddError::NotARoot { from, source },
                Origin::Url(url) => AddError::BadRoot { url, source },
            });
        }
    };
    let (first_root_version, first_root_fingerprint) =
        identity(&root).expect("a root that was verified has a version and a signed part");
    let mut effects = Vec::new();
    let sources = Sources::new(&urls, remote.clone(), Warnings::All);
    drive(machine, &sources, |effect| {
        effects.push(effect);
        Ok(())
    })
    .await?;
    let record = IndexRecord {
        urls,
        began,
        trusted_since: whole_seconds(now),
        first_root_version,
        first_root_fingerprint,
    };
    Ok(Followed {
        record,
        root,
        effects,
        handed,
    })
}

/// What a mirror was found to have.
#[derive(Debug)]
pub enum MirrorState {
    /// A chain that verifies and is as new as what is known here, or newer.
    Current {
        /// The version of its timestamp.
        version: u64,
    },
    /// A genuine state that is older than the one known here.
    Behind {
        /// The version of its timestamp.
        version: u64,
        /// The version that is known here.
        known: u64,
    },
    /// Nothing that can be told: it has no metadata, and pages and files are verified when they
    /// are asked for.
    TargetsAlone,
    /// It could not be reached, or broke off.
    Down(RefreshFailure),
    /// What it has does not verify.
    Bad(RefreshFailure),
}

/// Looks at what a mirror of a trusted index has, as of `now`. Nothing is kept of it.
///
/// # Errors
///
/// [`RefreshFailure`] when what is trusted here cannot be read.
pub async fn check_mirror(
    index: &TrustedIndex,
    mirror: &Mirror,
    remote: &Remote,
    now: jiff::Timestamp,
) -> Result<MirrorState, RefreshFailure> {
    if let Some(targets) = mirror.targets() {
        // Whether anybody is there: any answer will do.
        if let Err(
            error @ (FetchError::Connect { .. }
            | FetchError::Silent { .. }
            | FetchError::Broken { .. }
            | FetchError::Client(_)),
        ) = remote.get(targets, LISTING).await
        {
            return Ok(MirrorState::Down(error.into()));
        }
    }
    if mirror.metadata().is_none() {
        return Ok(MirrorState::TargetsAlone);
    }
    let sources = Sources::only_mirror(index.urls().simple(), mirror, remote.clone());
    match drive_from(index, &sources, now, |_| Ok(())).await {
        Ok(set) => Ok(MirrorState::Current {
            version: set.timestamp().version,
        }),
        Err(RefreshFailure::Refused {
            source:
                RefreshError::Rollback {
                    role,
                    trusted,
                    offered,
                },
            ..
        }) if role == RoleName::timestamp().as_str() => Ok(MirrorState::Behind {
            version: offered,
            known: trusted,
        }),
        Err(failure @ RefreshFailure::Fetch(_)) => Ok(MirrorState::Down(failure)),
        Err(failure @ (RefreshFailure::Stored { .. } | RefreshFailure::Trust(_))) => Err(failure),
        Err(failure) => Ok(MirrorState::Bad(failure)),
    }
}

/// What is read of an answer that only shows that somebody is there.
const LISTING: u64 = 64 * 1024;

/// What a person reads needs no more.
fn whole_seconds(now: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// The version and the fingerprint of a root.
fn identity(root: &[u8]) -> Option<(u64, Sha256)> {
    let fingerprint = root_fingerprint(root).ok()?;
    let parsed: serde_json::Value = serde_json::from_slice(root).ok()?;
    Some((parsed["signed"]["version"].as_u64()?, fingerprint))
}

enum Origin {
    File(PathBuf),
    Url(Url),
}

/// Walks the roots of one source after the other until one has the fingerprint. If none has,
/// what the first one did is the reason. Those that were only slow while another one was left
/// are asked again, and may take their time.
async fn walk_anywhere(
    urls: &IndexUrls,
    remote: &Remote,
    limits: &Limits,
    fingerprint: Sha256,
) -> Result<(Url, Vec<u8>), AddError> {
    let mirrors = urls.mirrors().iter().filter_map(Mirror::metadata);
    let mut left: VecDeque<&Url> = std::iter::once(urls.metadata()).chain(mirrors).collect();
    let mut slow = VecDeque::new();
    let mut first = None;
    loop {
        let (source, haste) = match left.pop_front() {
            Some(source) if !left.is_empty() => (source, Haste::AnotherSource),
            Some(source) => (source, Haste::NoOtherSource),
            None => match slow.pop_front() {
                Some(source) => (source, Haste::NoOtherSource),
                None => break,
            },
        };
        let error = match walk(source, remote, limits, fingerprint, haste).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        tracing::info!(%source, %error, "the root was not found there");
        let impatient = matches!(&error, AddError::Fetch(error) if error.is_impatience());
        if impatient && haste == Haste::AnotherSource {
            slow.push_back(source);
        }
        first.get_or_insert(error);
    }
    Err(first.unwrap_or_else(|| AddError::NoRoot {
        url: urls.metadata_url("1.root.json"),
    }))
}

/// Walks the roots from version 1 until one has the fingerprint. Those before it are not
/// believed in any way: trust starts at the one that was asked for.
async fn walk(
    metadata: &Url,
    remote: &Remote,
    limits: &Limits,
    fingerprint: Sha256,
    haste: Haste,
) -> Result<(Url, Vec<u8>), AddError> {
    let mut walked = 0;
    for version in 1..=u64::from(limits.root_rotations) {
        let url = metadata_below(metadata, &format!("{version}.root.json"));
        let Some(bytes) = remote.fetch(&url, limits.root_length, haste).await? else {
            if version == 1 {
                return Err(AddError::NoRoot { url });
            }
            break;
        };
        walked = version;
        if root_fingerprint(&bytes).is_ok_and(|found| found == fingerprint) {
            return Ok((url, Vec::from(bytes)));
        }
    }
    Err(AddError::NoSuchRoot {
        fingerprint,
        metadata: metadata.clone(),
        walked,
    })
}

fn first_plain(urls: &IndexUrls) -> Url {
    [urls.simple(), urls.metadata(), urls.targets()]
        .into_iter()
        .find(|url| url.scheme() != "https")
        .unwrap_or(urls.simple())
        .clone()
}
