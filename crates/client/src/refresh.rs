//! Feeds the state machine of a refresh from the sources of an index and from the trust store.
//!
//! ```text
//!  root         asked of all sources; the first valid next one counts, until none has one
//!  timestamp    asked of all sources; the newest valid one counts, then the next newest
//!  snapshot,    by version, from one source after the other
//!  targets
//! ```
//!
//! Every answer goes into a copy of the machine, which is dropped if the machine refuses it.
//! So a source can cost time, and nothing else.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;
use wheelmark_tuf::{
    Effect, Limits, Refresh, RefreshError, RoleError, RoleName, TrustedSet, VerifyError,
};

use crate::index::metadata_below;
use crate::refusal::with_causes;
use crate::remote::FetchError;
use crate::sources::{Answer, Answers, Blame, Fault, Part, Sources, Tried};
use crate::trust::{TrustError, TrustedIndex};

/// Why the chain of an index could not be brought up to date. What was verified before the
/// failure has been kept where the index has no other source, so that a later refresh goes on
/// from there.
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
    /// Of several sources none had what was needed.
    #[error("no source has {what} as it must be: {}", Listed(.tried))]
    EverySource {
        /// What was needed.
        what: String,
        /// Each source that was asked, and what it did.
        tried: Vec<(String, RefreshFailure)>,
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

impl RefreshFailure {
    fn of_all(what: &str, mut tried: Tried<Self>) -> Self {
        match tried.len() {
            1 => tried.remove(0).1,
            _ => Self::EverySource {
                what: what.to_owned(),
                tried,
            },
        }
    }

    /// Whether something that was answered was refused, and not only nothing answered.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::EverySource { tried, .. } => tried.iter().any(|(_, e)| e.is_refusal()),
            Self::Fetch(_) | Self::Stored { .. } | Self::Trust(_) => false,
        }
    }
}

impl RefreshFailure {
    /// Whether somebody speaks for the index without the keys that are trusted: a root, or a timestamp,
    /// that these have not signed. That is what a thief looks like, and an index that has lost its root
    /// keys and begins anew: no signature tells the two apart.
    #[must_use]
    pub fn is_by_other_keys(&self) -> bool {
        match self {
            Self::Refused { source, .. } => match source {
                RefreshError::OtherRoot { .. } => true,
                RefreshError::Refused { role, reason } => {
                    let begins = [RoleName::root(), RoleName::timestamp()].contains(role);
                    begins && matches!(reason, RoleError::Verify(VerifyError::Threshold { .. }))
                }
                RefreshError::Rollback { role, .. } => role == RoleName::root().as_str(),
                _ => false,
            },
            Self::EverySource { tried, .. } => tried.iter().any(|(_, e)| e.is_by_other_keys()),
            Self::Fetch(_) | Self::Stored { .. } | Self::Trust(_) => false,
        }
    }
}

impl Blame for RefreshFailure {
    fn fault(&self) -> Fault {
        match self {
            Self::Fetch(_) => Fault::Unavailable,
            Self::Refused { source, .. } => match source {
                RefreshError::Absent { .. } => Fault::Lacking,
                RefreshError::TooManyRoots { .. } => Fault::NotItsOwn,
                RefreshError::Rollback { role, .. } if is_timestamp(role) => Fault::Behind,
                _ => Fault::Bad,
            },
            Self::EverySource { .. } | Self::Stored { .. } | Self::Trust(_) => Fault::NotItsOwn,
        }
    }

    fn is_impatience(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.is_impatience())
    }
}

fn is_timestamp(role: &str) -> bool {
    role == RoleName::timestamp().as_str()
}

/// Every source, and what it did.
pub(crate) struct Listed<'a, E>(pub(crate) &'a [(String, E)]);

impl<E: std::error::Error + 'static> fmt::Display for Listed<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (source, error)) in self.0.iter().enumerate() {
            let sign = if place == 0 { "" } else { "; " };
            write!(f, "{sign}{source}: {}", with_causes(error))?;
        }
        Ok(())
    }
}

/// Brings the chain of a trusted index up to date (TUF §5.3–5.6), from `now` on which every
/// expiry is judged. Other processes that do the same wait.
///
/// # Errors
///
/// [`RefreshFailure`] names the file that failed, and every source that was asked for it.
pub(crate) async fn refresh(
    index: &TrustedIndex,
    sources: &Arc<Sources>,
    now: Timestamp,
) -> Result<TrustedSet, RefreshFailure> {
    let lock = index.lock().await?;
    sources.begin(now);
    let apply = |effect: Effect| index.apply(&effect);
    let set = match drive_from(index, sources, now, apply).await {
        // What the administrator says where no chain leads from one root to the other.
        Err(failure) if failure.is_refusal() && index.take_up_the_systems_root()? => {
            drive_from(index, sources, now, apply).await?
        }
        driven => driven?,
    };
    // Before anything is read by it.
    index.take_in_recovery(&set, now)?;
    drop(lock);
    Ok(set)
}

/// Runs a refresh of what is trusted and kept of an index.
pub(crate) async fn drive_from(
    index: &TrustedIndex,
    sources: &Arc<Sources>,
    now: Timestamp,
    apply: impl FnMut(Effect) -> Result<(), TrustError>,
) -> Result<TrustedSet, RefreshFailure> {
    let root = index.root()?;
    let machine = Refresh::new(&root, index.cached()?, now, Limits::default())
        .map_err(|source| stored(index.urls().simple(), source))?;
    drive(machine, sources, apply).await
}

/// Runs a refresh to its end; every effect is handed out in order.
pub(crate) async fn drive(
    machine: Refresh,
    sources: &Arc<Sources>,
    mut apply: impl FnMut(Effect) -> Result<(), TrustError>,
) -> Result<TrustedSet, RefreshFailure> {
    let machine = follow_roots(machine, sources, &mut apply).await?;
    let Some(mut timestamps) = Timestamps::ask(machine, sources) else {
        return Err(stored(sources.index(), RefreshError::OutOfTurn));
    };
    // A timestamp becomes the floor for all that come. So where there is another source to
    // fall back on, now or the next time, it does so only when its snapshot is to be had as
    // well: otherwise whoever shows us a new timestamp alone could keep us from every install.
    let only = sources.count(Part::Metadata) == 1;
    let mut offers = timestamps.offered().await?;
    let mut failed = None;
    loop {
        for offer in offers {
            let mut held = Vec::new();
            let keep = |effect| {
                if only {
                    return apply(effect);
                }
                held.push(effect);
                Ok(())
            };
            match complete(offer.machine, offer.effects, sources, keep).await {
                Ok(set) => {
                    let newest = timestamps.newest;
                    if offer.version < newest {
                        sources.warn(format!(
                            "version {newest} of the index's state is known, but nobody has all \
                             of it; version {} is used",
                            offer.version
                        ));
                    }
                    held.into_iter().try_for_each(apply)?;
                    return Ok(set);
                }
                Err(failure @ (RefreshFailure::Trust(_) | RefreshFailure::Stored { .. })) => {
                    return Err(failure);
                }
                Err(failure) => {
                    failed.get_or_insert(failure);
                }
            }
        }
        if !timestamps.may_come() {
            break;
        }
        offers = timestamps.late().await;
    }
    let none = || stored(sources.index(), RefreshError::OutOfTurn);
    Err(failed.unwrap_or_else(none))
}

/// TUF §5.3, until no source has a valid next root. One that says there is none may be wrong,
/// and one that offers a bad one stands in nobody's way.
async fn follow_roots(
    mut machine: Refresh,
    sources: &Sources,
    apply: &mut impl FnMut(Effect) -> Result<(), TrustError>,
) -> Result<Refresh, RefreshFailure> {
    while machine.sought() == Some(RoleName::root()) {
        let effects;
        (machine, effects) = next_root(machine, sources).await?;
        for effect in effects {
            apply(effect)?;
        }
    }
    Ok(machine)
}

async fn next_root(
    machine: Refresh,
    sources: &Sources,
) -> Result<(Refresh, Vec<Effect>), RefreshFailure> {
    let Some(need) = machine.need() else {
        return Err(stored(sources.index(), RefreshError::OutOfTurn));
    };
    let path = need.path.clone();
    let mut answers = sources.ask_all(&path, need.max_len);
    let mut tried = Tracked::new(sources, &path);
    let mut absent = None;
    while let Some(Answer { source, url, sent }) = answers.next(absent.is_some()).await {
        match sent {
            Ok(None) => absent = Some(url),
            Ok(Some(bytes)) => match machine.clone().supply(Some(bytes.into())) {
                Ok(step) => return Ok(step),
                Err(source_said) => tried.failed(source, refused(&path, url, source_said)),
            },
            Err(error) => tried.failed(source, error.into()),
        }
    }
    match absent {
        Some(url) => machine
            .supply(None)
            .map_err(|source| refused(&path, url, source)),
        None => Err(tried.take_failure()),
    }
}

/// A timestamp that verified, and the refresh that goes by it.
struct Offer {
    version: u64,
    expires: Timestamp,
    source: Option<usize>,
    machine: Refresh,
    effects: Vec<Effect>,
}

impl Offer {
    fn new(source: Option<usize>, machine: Refresh, effects: Vec<Effect>) -> Option<Self> {
        let timestamp = machine.timestamp()?;
        Some(Self {
            version: timestamp.version,
            expires: timestamp.expires,
            source,
            machine,
            effects,
        })
    }
}

/// TUF §5.4 for several sources: what can be gone by, the newest first. The timestamp that is
/// trusted already is the last resort where the sources are behind it; an index without
/// mirrors has no reason to be, and is refused.
struct Timestamps<'a> {
    machine: Refresh,
    sources: &'a Sources,
    path: String,
    answers: Answers,
    tried: Tracked<'a>,
    /// The newest version that is known, and every one that was offered.
    newest: u64,
    versions: BTreeSet<u64>,
}

impl<'a> Timestamps<'a> {
    /// `None` when it is not the timestamp's turn.
    fn ask(machine: Refresh, sources: &'a Sources) -> Option<Self> {
        let need = machine.need()?;
        let (path, limit) = (need.path.clone(), need.max_len);
        Some(Self {
            answers: sources.ask_all(&path, limit),
            tried: Tracked::new(sources, &path),
            newest: 0,
            versions: BTreeSet::new(),
            machine,
            sources,
            path,
        })
    }

    /// What is offered until the grace is over.
    async fn offered(&mut self) -> Result<Vec<Offer>, RefreshFailure> {
        let (mut offers, heard) = self.hear(false).await;
        for late in self.answers.late() {
            let path = &self.path;
            let what = format!("{path}: no answer yet when another source had answered");
            // Next time it is waited for again: what is quick may be what is old.
            self.sources.note(*late, Part::Metadata, Fault::Late, &what);
        }
        if heard
            && self.sources.count(Part::Metadata) > 1
            && let Ok(kept) = self.machine.clone().keep_timestamp()
        {
            offers.extend(Offer::new(None, kept, Vec::new()));
        }
        if offers.is_empty() {
            return Err(self.tried.take_failure());
        }
        Ok(self.ordered(offers))
    }

    /// Whether a source has not answered yet.
    fn may_come(&self) -> bool {
        self.answers.are_pending()
    }

    /// What else is offered, by those that were too late for the others.
    async fn late(&mut self) -> Vec<Offer> {
        let (offers, _) = self.hear(true).await;
        self.ordered(offers)
    }

    /// Of one version, the first that came; a stable sort keeps it first.
    fn ordered(&mut self, mut offers: Vec<Offer>) -> Vec<Offer> {
        offers.sort_by_key(|offer| std::cmp::Reverse(offer.version));
        offers.retain(|offer| self.versions.insert(offer.version));
        offers
    }

    /// What can be gone by of the answers, and whether any was a timestamp at all.
    async fn hear(&mut self, to_the_end: bool) -> (Vec<Offer>, bool) {
        let sources = self.sources;
        let mut offers: Vec<Offer> = Vec::new();
        let mut older = Vec::new();
        while let Some(Answer { source, url, sent }) = {
            let enough = !to_the_end && !offers.is_empty();
            self.answers.next(enough).await
        } {
            let answer = match sent {
                Ok(answer) => answer.map(Vec::from),
                Err(error) => {
                    self.tried.failed(source, error.into());
                    continue;
                }
            };
            match self.machine.clone().supply(answer.clone()) {
                Ok((next, effects)) => offers.extend(Offer::new(Some(source), next, effects)),
                Err(error) => {
                    if let RefreshError::Rollback {
                        role,
                        trusted,
                        offered,
                    } = &error
                        && is_timestamp(role)
                    {
                        let until = answer.as_deref().and_then(expiry);
                        older.push((source, *offered, until));
                        self.newest = self.newest.max(*trusted);
                    }
                    self.tried.failed(source, refused(&self.path, url, error));
                }
            }
        }
        let newest = offers.iter().map(|offer| offer.version).max();
        self.newest = self.newest.max(newest.unwrap_or(0));
        for (source, offered, until) in &older {
            note_behind(sources, *source, *offered, self.newest, *until);
        }
        for offer in &offers {
            let Some(source) = offer.source else { continue };
            if offer.version < self.newest {
                note_behind(
                    sources,
                    source,
                    offer.version,
                    self.newest,
                    Some(offer.expires),
                );
            } else {
                sources.caught_up(source);
            }
        }
        let heard = !offers.is_empty() || !older.is_empty();
        (offers, heard)
    }
}

fn note_behind(sources: &Sources, source: usize, has: u64, known: u64, until: Option<Timestamp>) {
    let until = until.map_or(String::new(), |until| format!(", valid until {until}"));
    let what = format!("is behind: its state is version {has}{until}; version {known} is known");
    sources.note(source, Part::Metadata, Fault::Behind, &what);
}

/// Until when a timestamp says it is valid; for a warning.
fn expiry(bytes: &[u8]) -> Option<Timestamp> {
    let parsed: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    parsed["signed"]["expires"].as_str()?.parse().ok()
}

/// TUF §5.5–5.6: what the timestamp and the snapshot name, by version.
async fn complete(
    mut machine: Refresh,
    mut effects: Vec<Effect>,
    sources: &Arc<Sources>,
    mut keep: impl FnMut(Effect) -> Result<(), TrustError>,
) -> Result<TrustedSet, RefreshFailure> {
    loop {
        for effect in effects {
            keep(effect)?;
        }
        let Some(need) = machine.need().cloned() else {
            let finished = machine.finish();
            return finished.map_err(|source| stored(sources.index(), source));
        };
        let mut asking = sources.ask(Part::Metadata, need.path.clone());
        (machine, effects) = loop {
            let Some((metadata, haste)) = asking.next() else {
                return Err(RefreshFailure::of_all(&need.path, asking.tried()));
            };
            let url = metadata_below(&metadata, &need.path);
            tracing::debug!(%url, "asking for metadata");
            let fetched = sources.remote().fetch(&url, need.max_len, haste);
            match asking.waiting(fetched).await {
                Err(error) => asking.failed(error.into()),
                Ok(answer) => match machine.clone().supply(answer.map(Vec::from)) {
                    Ok(step) => break step,
                    Err(source) => asking.failed(refused(&need.path, url, source)),
                },
            }
        };
    }
}

/// What sources that were asked at once did.
struct Tracked<'a> {
    sources: &'a Sources,
    path: String,
    tried: Tried<RefreshFailure>,
}

impl<'a> Tracked<'a> {
    fn new(sources: &'a Sources, path: &str) -> Self {
        Self {
            sources,
            path: path.to_owned(),
            tried: Vec::new(),
        }
    }

    fn failed(&mut self, source: usize, failure: RefreshFailure) {
        // That a source is behind is told with what is known instead.
        if failure.fault() != Fault::Behind {
            let what = format!("{}: {}", self.path, with_causes(&failure));
            let fault = failure.fault();
            self.sources.note(source, Part::Metadata, fault, &what);
        }
        let name = self.sources.name(source).to_owned();
        self.tried.push((name, failure));
    }

    fn take_failure(&mut self) -> RefreshFailure {
        RefreshFailure::of_all(&self.path, std::mem::take(&mut self.tried))
    }
}

fn refused(path: &str, url: Url, source: RefreshError) -> RefreshFailure {
    RefreshFailure::Refused {
        path: path.to_owned(),
        url,
        source,
    }
}

fn stored(index: &Url, source: RefreshError) -> RefreshFailure {
    RefreshFailure::Stored {
        index: index.clone(),
        source,
    }
}
