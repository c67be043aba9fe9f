//! One run: from the index's state to the same state here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use wheelmark_objects::{ObjectPath, Unsettled};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{Sha256, TrustedSet};

use super::error::CopyError;
use super::fetch::{Belief, Holding, PageRef, Shared, Wanted};
use super::gather::{Plan, gather, held_before, unlisted_files, versions_of};
use super::parts::Parts;
use super::state::Complete;
use super::sweep::project_of;
use super::tasks::Tasks;
use super::writer::Writer;
use super::{Copy, Outcome, Step};
use crate::progress::Phase;

/// How often a run begins again with a newer state when the index took away what the one before
/// named.
const ATTEMPTS: usize = 5;

/// Projects under way at a time, for each object that is fetched at a time: those that wait for
/// something keep nobody from fetching.
const PROJECTS_PER_JOB: usize = 4;

/// What stands in the place of a selection while pages of several are here.
const SEVERAL: &str = "several selections";

/// The same, while something is here that nobody has verified yet.
pub(super) const UNVERIFIED: &str = "not verified";

impl Copy {
    /// Brings the copy up to date.
    ///
    /// # Errors
    ///
    /// [`CopyError`]. Readers then have the last complete state, or, if the error came after the
    /// timestamp was put in place, the new one.
    pub async fn run(&mut self) -> Result<Outcome, CopyError> {
        self.progress.begin();
        self.end_publishing().await?;
        let mut failed: Option<(Tried, CopyError)> = None;
        for _ in 0..ATTEMPTS {
            self.progress.enter(Phase::Refreshing);
            let now = self.clock.now();
            let set = self.upstream.refresh(now).await?;
            let state = Tried::of(&set);
            if let Some((tried, error)) = failed.take()
                && !state.may_do_after(tried, &error)
            {
                return Err(error);
            }
            match self.bring_to(&set, now).await {
                Err(error) if error.is_gone() => failed = Some((state, error)),
                ended => return ended,
            }
        }
        Err(CopyError::Restless { attempts: ATTEMPTS })
    }

    async fn bring_to(&mut self, set: &TrustedSet, now: Timestamp) -> Result<Outcome, CopyError> {
        let selection = self.options.selection.as_of(now);
        let chain = self.chain(set)?;
        let timestamp_sha256 = Sha256::of(&chain.timestamp);
        self.refuse_older(set)?;
        let intact = self.is_intact().await?;
        // Pages of another selection may have come since, and names may have gone.
        let pages_are_its = self.state.pages_for.as_deref() == Some(&*selection);
        let complete = self.state.complete.clone().filter(|complete| {
            intact && pages_are_its && !self.reads_everything() && complete.selection == selection
        });
        let shared = self.shared(now, &selection).await?;
        if let Some(complete) = &complete
            && complete.timestamp_sha256 == timestamp_sha256
        {
            return self.stay(shared, set, complete.clone()).await;
        }
        self.promise(&selection)?;
        // What an earlier process has named may not have survived yet, and is relied on from here.
        shared.delivery.flush_all().await?;
        self.progress.enter(Phase::Listing);
        let earlier = match &complete {
            Some(complete) => versions_of(&self.tree, complete.snapshot).await,
            None => None,
        };
        let targets = chain.targets.clone();
        let plan = gather(&shared, set, &targets, earlier, self.options.jobs).await?;
        let shared = Arc::new(shared);
        self.progress.enter(Phase::Fetching);
        let (fetched, mut named) = self.fetch_until_it_ends(&shared, set, &plan).await?;
        named.extend(self.second_names(&shared, set, &plan).await?);
        self.progress.enter(Phase::Publishing);
        let in_force = self.in_force().await?;
        self.publish(&shared, set, chain, &plan.spool, named)
            .await?;
        let until = self.until(self.clock.now(), in_force);
        self.progress.enter(Phase::Tidying);
        self.name(&shared, &plan).await?;
        let (projects, held) = self
            .count(&shared, &plan, complete.as_ref(), fetched)
            .await?;
        self.see_off(&shared, set, &plan, until).await?;
        self.state.complete = Some(Complete {
            timestamp: set.timestamp().version,
            timestamp_sha256,
            snapshot: set.snapshot().version,
            root: set.root().version,
            expires: set.timestamp().expires,
            copied: self.clock.now(),
            selection: selection.clone(),
            rules: self.options.selection.to_toml(),
            projects,
            files: held.files,
            bytes: held.bytes,
            ended: plan.ended.clone(),
        });
        self.state.pages_for = Some(selection);
        self.state.publishing = None;
        self.unknown = false;
        self.save()?;
        shared.parts.clear();
        let removed = self.sweep(&shared, set).await?;
        self.outcome(true, &plan, removed)
    }

    /// The index's state is the one that is here: only what is due goes.
    async fn stay(
        &mut self,
        shared: Shared,
        set: &TrustedSet,
        complete: Complete,
    ) -> Result<Outcome, CopyError> {
        self.progress.enter(Phase::Tidying);
        let removed = self.sweep(&shared, set).await?;
        Ok(Outcome {
            complete,
            changed: false,
            projects_changed: 0,
            projects_gone: 0,
            removed: removed as u64,
            leaving: self.state.leaving.len() as u64,
            others: 0,
            warnings: self.upstream.warnings(),
        })
    }

    fn outcome(&self, changed: bool, plan: &Plan, removed: usize) -> Result<Outcome, CopyError> {
        let complete = self.state.complete.clone().ok_or(CopyError::Stopped)?;
        Ok(Outcome {
            complete,
            changed,
            projects_changed: plan.changed.len() as u64,
            projects_gone: plan.gone.len() as u64,
            removed: removed as u64,
            leaving: self.state.leaving.len() as u64,
            others: plan.others,
            warnings: self.upstream.warnings(),
        })
    }

    /// Whether nothing that is here is believed.
    fn reads_everything(&self) -> bool {
        self.options.check || self.unknown
    }

    async fn shared(&self, now: Timestamp, selection: &str) -> Result<Shared, CopyError> {
        let belief = if self.reads_everything() {
            Belief::Nothing
        } else if self
            .state
            .pages_for
            .as_deref()
            .is_none_or(|of| of == selection)
        {
            Belief::Pages
        } else {
            Belief::Files
        };
        let delivery = self.tree.delivery()?;
        Ok(Shared {
            tree: self.tree.clone(),
            lock: Arc::clone(&self.lock),
            delivery: delivery.clone(),
            upstream: self.upstream.clone(),
            selection: self.options.selection.clone(),
            belief,
            now,
            writer: Writer::start(delivery, self.observer.clone()),
            parts: Parts::take_over(&self.tree).await?,
            jobs: Semaphore::new(self.pace.streams(self.options.jobs.max(1))),
            pace: Arc::clone(&self.pace),
            progress: Arc::clone(&self.progress),
        })
    }

    /// Writes down, before the first page is placed, for which selection pages that are in place
    /// have their files. A page of before may be another selection's, and then none counts.
    fn promise(&mut self, selection: &str) -> Result<(), CopyError> {
        let promised = match self.state.pages_for.as_deref() {
            // Whoever comes after a run that ends early begins anew with it.
            _ if self.reads_everything() => UNVERIFIED,
            None => selection,
            Some(of) if of == selection => selection,
            Some(_) => SEVERAL,
        };
        if self.state.pages_for.as_deref() != Some(promised) {
            self.state.pages_for = Some(promised.to_owned());
            self.save()?;
        }
        Ok(())
    }

    pub(super) fn save(&self) -> Result<(), CopyError> {
        self.observer.see(Step::State);
        Ok(self.file.write(&self.state)?)
    }

    /// Fetches everything that is lacking, and says what is here of what has changed. However it
    /// ends, what came has its name, and is here for the next run; the names may not be durable
    /// yet.
    ///
    /// Upstream has as long as its state is valid: beyond that nobody could use it. Whoever sends
    /// slowly enough would hold a run for ever.
    async fn fetch_until_it_ends(
        &self,
        shared: &Arc<Shared>,
        set: &TrustedSet,
        plan: &Plan,
    ) -> Result<(Holding, Unsettled), CopyError> {
        let expires = set.timestamp().expires;
        let left = expires.duration_since(self.clock.now());
        let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
        let fetching = tokio::time::timeout(left, self.fetch(shared, plan));
        let fetched = fetching.await;
        let mut named = shared.writer.all_named().await?;
        let expired = || CopyError::Expired { expires };
        let fetched = fetched.map_err(|_| expired())??;
        if self.options.selection.is_everything() {
            let left = expires.duration_since(self.clock.now());
            let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
            let fetching = tokio::time::timeout(left, self.fetch_unlisted(shared, set, plan));
            let unlisted = fetching.await;
            named.extend(shared.writer.all_named().await?);
            unlisted.map_err(|_| expired())??;
        }
        if expires <= self.clock.now() {
            return Err(expired());
        }
        Ok((fetched, named))
    }

    /// Fetches every project that has changed, and says what is here of them.
    async fn fetch(&self, shared: &Arc<Shared>, plan: &Plan) -> Result<Holding, CopyError> {
        self.progress.want_pages(plan.changed.len() as u64);
        let at_once = self.options.jobs.max(1) * PROJECTS_PER_JOB;
        let mut tasks = Tasks::new();
        for project in &plan.changed {
            let Some(page) = plan.pages.get(project).copied() else {
                continue;
            };
            // What is here of it was counted before.
            let is_counted = plan.relisted.contains(project);
            let (shared, project) = (Arc::clone(shared), project.clone());
            let fetching = async move {
                let held = shared.project(&project, page).await?;
                Ok(if is_counted { Holding::default() } else { held })
            };
            tasks.begin(at_once, fetching).await?;
            if tasks.has_failed_enough() {
                break;
            }
        }
        tasks.end().await
    }

    async fn fetch_unlisted(
        &self,
        shared: &Arc<Shared>,
        set: &TrustedSet,
        plan: &Plan,
    ) -> Result<(), CopyError> {
        let at_once = self.options.jobs.max(1) * PROJECTS_PER_JOB;
        let mut tasks = Tasks::new();
        unlisted_files(
            shared,
            set,
            plan,
            async |project, filename, sha256, size| {
                let path = ObjectPath::file(&project, &sha256, &filename)?;
                if self.tree.size(&path).await? == Some(size) {
                    return Ok(());
                }
                let shared = Arc::clone(shared);
                let file = async move {
                    let wanted = Wanted {
                        project: &project,
                        filename: &filename,
                        sha256,
                        sha512: None,
                        size,
                        chunks: None,
                        metadata: None,
                        signature: None,
                        provenance: None,
                    };
                    shared.file(&wanted).await?;
                    Ok(Holding::default())
                };
                tasks.begin(at_once, file).await
            },
        )
        .await?;
        tasks.end().await?;
        Ok(())
    }

    /// How much is here now: what was here before, less what went, and what came.
    async fn count(
        &self,
        shared: &Arc<Shared>,
        plan: &Plan,
        before: Option<&Complete>,
        fetched: Holding,
    ) -> Result<(u64, Holding), CopyError> {
        let projects = plan.pages.len() as u64;
        if plan.changed.len() == plan.pages.len() {
            return Ok((projects, fetched));
        }
        if let Some(before) = before
            && let Some((_, went)) = held_before(shared, plan).await
        {
            let changed =
                |then: u64, went: u64, came: u64| then.checked_sub(went)?.checked_add(came);
            let files = changed(before.files, went.files, fetched.files);
            let bytes = changed(before.bytes, went.bytes, fetched.bytes);
            if let (Some(files), Some(bytes)) = (files, bytes) {
                return Ok((projects, Holding { files, bytes }));
            }
        }
        let mut held = Holding::default();
        for (project, page) in &plan.pages {
            let holding = shared.holding(project, &page.sha256).await?;
            held.files += holding.files;
            held.bytes += holding.bytes;
        }
        Ok((projects, held))
    }

    /// Writes down what no state names from now on.
    async fn see_off(
        &mut self,
        shared: &Arc<Shared>,
        set: &TrustedSet,
        plan: &Plan,
        until: Timestamp,
    ) -> Result<(), CopyError> {
        let mut left = plan.superseded.clone();
        if let Some(complete) = &self.state.complete
            && complete.snapshot != set.snapshot().version
        {
            let snapshot = wheelmark_tuf::RoleName::snapshot();
            left.push(ObjectPath::metadata(&snapshot, complete.snapshot));
        }
        if shared.belief == Belief::Nothing || !plan.is_difference {
            left = shared.left_over_metadata(set).await?;
            left.extend(shared.left_over_lists(plan.pages.iter()).await?);
        }
        let mut projects: Vec<(&ProjectName, Option<PageRef>)> = Vec::new();
        let changed = plan.changed.iter();
        projects.extend(changed.map(|project| (project, plan.pages.get(project).copied())));
        projects.extend(plan.gone.iter().map(|project| (project, None)));
        for (project, page) in projects {
            left.extend(shared.left_over(project, page).await?);
        }
        let mut leaving: BTreeMap<ObjectPath, Timestamp> = std::mem::take(&mut self.state.leaving);
        // What came back and left again is needed until the state that had it last has ended.
        let left: BTreeSet<ObjectPath> = left.into_iter().collect();
        let changed: BTreeSet<&ProjectName> = plan.changed.iter().collect();
        leaving.retain(|path, _| {
            left.contains(path)
                || project_of(path).is_none_or(|project| !changed.contains(&project))
        });
        for path in left {
            leaving.entry(path).or_insert(until);
        }
        self.state.leaving = leaving;
        Ok(())
    }

    /// Removes what is due.
    async fn sweep(&mut self, shared: &Shared, set: &TrustedSet) -> Result<usize, CopyError> {
        let due = self
            .state
            .leaving
            .values()
            .any(|until| *until <= shared.now);
        if !due {
            return Ok(0);
        }
        let leaving = &mut self.state.leaving;
        let removed = shared.sweep(set, leaving, &self.observer).await;
        self.save()?;
        removed
    }
}

/// A state that a run has tried to come to.
#[derive(Clone, Copy)]
struct Tried {
    timestamp: u64,
    snapshot: u64,
}

impl Tried {
    fn of(set: &TrustedSet) -> Self {
        Self {
            timestamp: set.timestamp().version,
            snapshot: set.snapshot().version,
        }
    }

    /// Whether this state may be reached where the earlier one was not. What was not to be had then
    /// is wanted by every timestamp of the same snapshot.
    fn may_do_after(self, earlier: Self, error: &CopyError) -> bool {
        match error {
            CopyError::Expired { .. } => self.timestamp > earlier.timestamp,
            _ => self.snapshot > earlier.snapshot,
        }
    }
}
