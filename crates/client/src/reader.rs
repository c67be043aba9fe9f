//! Reads one trusted index: every answer verified, or a refusal that says why not.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{Clock, RoleName};

use crate::ahead::Ahead;
use crate::index::metadata_below;
use crate::page::VerifiedPage;
use crate::refresh::{RefreshFailure, refresh};
use crate::refusal::{Failure, Refusal, Subject};
use crate::remote::{FetchError, Haste, Remote};
use crate::sources::{SourceWarning, Sources, Warnings};
use crate::trust::TrustedIndex;
use crate::unsigned::Pages;
use crate::view::View;

/// How old a daemon lets its view become before it asks for a newer one. An answer of a few
/// hundred bytes, when there is nothing new.
pub const REFRESH_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

/// How long a failed refresh answers for those that ask in the meantime.
pub const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// How old the view of a run may become. Long enough that an installation sees one state,
/// and not so long that a build of a day never hears of a file that was withdrawn.
pub const RUN_VIEW_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// When a reader asks the index for a newer state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Once, at the beginning: a run sees one state. Again only if the index no longer has
    /// what that state signs for (PEP 458: retry with the latest snapshot), if the state has
    /// expired, or if it is older than [`RUN_VIEW_LIFETIME`].
    Once,
    /// Whenever the state has expired or is older than [`REFRESH_INTERVAL`].
    Periodic,
}

/// How to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderOptions {
    /// When to ask for a newer state.
    pub freshness: Freshness,
    /// Whether a file needs a target of its own that agrees with the page.
    pub strict: bool,
}

/// Reads one trusted index. Shared by all requests of a run.
pub struct Reader {
    pub(crate) index: TrustedIndex,
    pub(crate) sources: Arc<Sources>,
    pub(crate) options: ReaderOptions,
    pub(crate) unsigned: Pages,
    pub(crate) ahead: Ahead,
    clock: Arc<dyn Clock>,
    /// Held during a refresh, so that those who come meanwhile wait for it and share it.
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    view: Option<Arc<View>>,
    refreshed: Option<Timestamp>,
    failed: Option<(Timestamp, Arc<RefreshFailure>)>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let index = self.index.urls().simple().as_str();
        f.debug_struct("Reader")
            .field("index", &index)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Makes a reader; nothing is fetched yet.
    #[must_use]
    pub fn new(
        index: TrustedIndex,
        remote: Remote,
        clock: Arc<dyn Clock>,
        options: ReaderOptions,
    ) -> Self {
        // A run tells of them at its end, a daemon at any time.
        let warnings = match options.freshness {
            Freshness::Once => Warnings::All,
            Freshness::Periodic => Warnings::Recent,
        };
        Self {
            sources: Sources::new(index.urls(), remote, warnings),
            index,
            options,
            unsigned: Pages::default(),
            ahead: Ahead::default(),
            clock,
            current: Mutex::default(),
        }
    }

    /// The index that is read.
    #[must_use]
    pub fn index(&self) -> &TrustedIndex {
        &self.index
    }

    /// What the index's mirrors, or its own URLs, did wrong while others had what was asked
    /// for; each kind of thing once for each source.
    #[must_use]
    pub fn warnings(&self) -> Vec<SourceWarning> {
        self.sources.warnings()
    }

    /// Brings the state up to date now, and returns its snapshot's version; of an index that is not
    /// signed there is no state, and the answer is 0.
    ///
    /// # Errors
    ///
    /// [`RefreshFailure`], which may be shared with requests that waited for the same refresh.
    pub async fn refresh(&self) -> Result<u64, Arc<RefreshFailure>> {
        if !self.index.is_signed() {
            return Ok(0);
        }
        let mut current = self.current.lock().await;
        let view = self.renew(&mut current).await?;
        Ok(view.set().snapshot().version)
    }

    /// The version in which the snapshot lists a role, whether or not anybody delegates to it.
    ///
    /// # Errors
    ///
    /// [`RefreshFailure`], as [`Reader::refresh`].
    pub async fn listed_version(
        &self,
        role: &RoleName,
    ) -> Result<Option<u64>, Arc<RefreshFailure>> {
        let mut current = self.current.lock().await;
        let view = match &current.view {
            Some(view) => view.clone(),
            None => self.renew(&mut current).await?,
        };
        Ok(view.set().snapshot().role(role).map(|meta| meta.version))
    }

    /// The first version of a role behind this one under which the index itself shows no file, of
    /// the next `most`; `None` where there are files under all of them. Nothing of it is verified, nor
    /// need it be: a version that is passed over is gone, and that is all.
    ///
    /// # Errors
    ///
    /// [`FetchError`], when the index cannot be asked.
    pub async fn free_version(
        &self,
        role: &RoleName,
        behind: u64,
        most: u64,
    ) -> Result<Option<u64>, FetchError> {
        let metadata = self.index.urls().metadata();
        for version in (1..=most).filter_map(|step| behind.checked_add(step)) {
            let url = metadata_below(metadata, &role.versioned_file_name(version));
            let fetching = self.sources.remote().fetch(&url, 1, Haste::NoOtherSource);
            match fetching.await {
                Ok(None) => return Ok(Some(version)),
                Ok(Some(_)) | Err(FetchError::TooLarge { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The page of a project; `None` when the index has no such project.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the page, or anything above it, did not verify or is not to be had.
    pub async fn page(
        &self,
        project: &ProjectName,
    ) -> Result<Option<Arc<VerifiedPage>>, Arc<Refusal>> {
        if !self.index.is_signed() {
            return self.unsigned_page(project).await;
        }
        let subject = || Subject::Page(project.clone());
        let view = self.view(subject).await?;
        self.page_in(&view, project).await
    }

    /// The page of a project as its own people sign the next one on it: though what they signed
    /// last may have expired, which every reader refuses. Everything else is as with
    /// [`Reader::page`], the keys and the version that are remembered of the project included.
    ///
    /// # Errors
    ///
    /// [`Refusal`], as [`Reader::page`].
    pub async fn page_to_build_on(
        &self,
        project: &ProjectName,
    ) -> Result<Option<Arc<VerifiedPage>>, Arc<Refusal>> {
        if !self.index.is_signed() {
            return self.unsigned_page(project).await;
        }
        let view = self.view(|| Subject::Page(project.clone())).await?;
        let set = view.set().dangerously_with_ended_projects();
        let alone = View::new(set, view.index().clone());
        let page = alone.fetch_page(project, &self.index, &self.sources);
        Ok(Box::pin(page).await.map_err(Arc::new)?.map(Arc::new))
    }

    pub(crate) async fn page_in(
        &self,
        view: &Arc<View>,
        project: &ProjectName,
    ) -> Result<Option<Arc<VerifiedPage>>, Arc<Refusal>> {
        let first = self.page_under(view, project).await;
        match first {
            Err(refusal) if refusal.failure.is_gone() => match self.newer_than(view).await {
                Some(newer) => self.page_under(&newer, project).await,
                None => Err(refusal),
            },
            other => other,
        }
    }

    async fn page_under(
        &self,
        view: &View,
        project: &ProjectName,
    ) -> Result<Option<Arc<VerifiedPage>>, Arc<Refusal>> {
        let cell = view.page_cell(project);
        let outcome = cell
            .get_or_try_init(|| async {
                // As a rule the page is there already.
                let fetching = view.fetch_page(project, &self.index, &self.sources);
                match Box::pin(fetching).await {
                    Ok(page) => Ok(Ok(page.map(Arc::new))),
                    Err(refusal) => {
                        let refusal = Arc::new(refusal);
                        tracing::info!(%refusal, "refused");
                        // What is no verdict may go well next time: the cell stays empty.
                        if refusal.is_verdict() {
                            Ok(Err(refusal))
                        } else {
                            Err(refusal)
                        }
                    }
                }
            })
            .await?;
        outcome.clone()
    }

    /// The names of the files that the project's last verified page listed, on this machine.
    #[must_use]
    pub fn remembered_names(&self, project: &ProjectName) -> Vec<String> {
        self.index.remembered_names(project)
    }

    /// The state to answer from; refreshed if it is due.
    pub(crate) async fn view(
        &self,
        subject: impl FnOnce() -> Subject,
    ) -> Result<Arc<View>, Arc<Refusal>> {
        let mut current = self.current.lock().await;
        let lifetime = self.lifetime();
        if let (Some(view), Some(refreshed)) = (&current.view, current.refreshed)
            && self.within(refreshed, lifetime)
            && self.clock.now() < view.expires()
        {
            return Ok(view.clone());
        }
        self.renew(&mut current).await.map_err(|failure| {
            Arc::new(Refusal {
                subject: subject(),
                failure: Failure::Refresh(failure),
                signed_by: None,
                index: Some(self.index.urls().simple().clone()),
            })
        })
    }

    pub(crate) fn lifetime(&self) -> SignedDuration {
        match self.options.freshness {
            Freshness::Once => RUN_VIEW_LIFETIME,
            Freshness::Periodic => REFRESH_INTERVAL,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A state newer than the given one, if there is any to be had.
    pub(crate) async fn newer_than(&self, view: &Arc<View>) -> Option<Arc<View>> {
        let version = view.set().snapshot().version;
        let mut current = self.current.lock().await;
        let asked_just_now = current
            .refreshed
            .is_some_and(|refreshed| self.within(refreshed, RETRY_AFTER));
        if !asked_just_now && let Err(error) = self.renew(&mut current).await {
            tracing::info!(%error, "no newer state is to be had");
            return None;
        }
        let newest = current.view.as_ref()?;
        (newest.set().snapshot().version > version).then(|| newest.clone())
    }

    async fn renew(&self, current: &mut Current) -> Result<Arc<View>, Arc<RefreshFailure>> {
        if let Some((at, failure)) = &current.failed
            && self.within(*at, RETRY_AFTER)
        {
            return Err(failure.clone());
        }
        let now = self.clock.now();
        // Rare and large: in a box of its own it takes no room in every request.
        match Box::pin(refresh(&self.index, &self.sources, now)).await {
            Ok(set) => {
                let view = Arc::new(match &current.view {
                    Some(old) => old.renewed(set),
                    None => View::new(set, self.index.urls().simple().clone()),
                });
                current.view = Some(view.clone());
                current.refreshed = Some(now);
                current.failed = None;
                Ok(view)
            }
            Err(failure) => {
                let failure = Arc::new(failure);
                current.failed = Some((self.clock.now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// Whether less than `span` has passed since `then`; a clock that went back has no answer,
    /// and that is a no.
    fn within(&self, then: Timestamp, span: SignedDuration) -> bool {
        let passed = self.clock.now().duration_since(then);
        passed >= SignedDuration::ZERO && passed < span
    }
}
