//! One verified state of an index, and what was found out under it.
//!
//! A view lives as long as its snapshot is used. Pages and verdicts belong to it, so that a
//! new snapshot begins without the old one's verdicts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use url::Url;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{Effect, Found, Lookup, RoleFetch, RoleName, Sha256, TargetPath, TrustedSet};

use crate::index::metadata_below;
use crate::page::{PageContent, VerifiedPage};
use crate::refusal::{Failure, Refusal, Subject};
use crate::sources::{Part, Sources};
use crate::taken_away::Taken;
use crate::trust::{TrustedIndex, Under};

/// Pages kept in memory; beyond it the memory starts anew.
const PAGES_KEPT: usize = 512;

/// What a request for a page ended with: a page, nothing of that name, or a verdict.
pub(crate) type PageOutcome = Result<Option<Arc<VerifiedPage>>, Arc<Refusal>>;

/// A cell that the first request for a page fills and all others wait for.
pub(crate) type PageCell = Arc<OnceCell<PageOutcome>>;

#[derive(Debug)]
pub(crate) struct View {
    set: TrustedSet,
    under: Under,
    /// The index's simple URL.
    index: Url,
    read_before: HashMap<ProjectName, Arc<PageContent>>,
    taken_before: HashMap<ProjectName, Arc<Taken>>,
    pages: Mutex<HashMap<ProjectName, PageCell>>,
    verdicts: Mutex<HashMap<Subject, Arc<Refusal>>>,
    gates: Mutex<HashMap<(RoleName, RoleName), Gate>>,
}

/// Held by whoever fetches a role, so that others wait for it and do not fetch it, too.
type Gate = Arc<tokio::sync::Mutex<()>>;

impl View {
    pub(crate) fn new(set: TrustedSet, index: Url) -> Self {
        Self {
            under: Under::of(&set),
            set,
            index,
            read_before: HashMap::new(),
            taken_before: HashMap::new(),
            pages: Mutex::default(),
            verdicts: Mutex::default(),
            gates: Mutex::default(),
        }
    }

    /// A view of a newer refresh. The contents of pages stay at hand, but every page is looked
    /// up anew, since its role may have changed or expired. Verdicts go, so that what was
    /// repaired is seen.
    pub(crate) fn renewed(&self, set: TrustedSet) -> Self {
        let (mut read, mut taken) = (self.read_before.clone(), self.taken_before.clone());
        for (project, cell) in held(&self.pages).iter() {
            if let Some(Ok(Some(page))) = cell.get() {
                read.insert(project.clone(), page.content());
                taken.extend(page.taken().map(|taken| (project.clone(), taken)));
            }
        }
        if read.len() > PAGES_KEPT {
            read.clear();
            taken.clear();
        }
        Self {
            read_before: read,
            taken_before: taken,
            ..Self::new(set, self.index.clone())
        }
    }

    /// The page of this digest, if it was read under an earlier state.
    pub(crate) fn read_before(
        &self,
        project: &ProjectName,
        sha256: &Sha256,
    ) -> Option<Arc<PageContent>> {
        let content = self.read_before.get(project)?;
        (content.sha256 == *sha256).then(|| content.clone())
    }

    /// The list of this digest, if it was read under an earlier state.
    pub(crate) fn taken_before(
        &self,
        project: &ProjectName,
        sha256: &Sha256,
    ) -> Option<Arc<Taken>> {
        let taken = self.taken_before.get(project)?;
        (taken.sha256 == *sha256).then(|| taken.clone())
    }

    pub(crate) fn index(&self) -> &Url {
        &self.index
    }

    pub(crate) fn set(&self) -> &TrustedSet {
        &self.set
    }

    /// Which state it is, for what is remembered of it.
    pub(crate) fn under(&self) -> Under {
        self.under
    }

    /// From when on the state is no longer valid: its first top-level role to expire.
    pub(crate) fn expires(&self) -> jiff::Timestamp {
        let set = &self.set;
        set.root()
            .expires
            .min(set.timestamp().expires)
            .min(set.snapshot().expires)
            .min(set.targets().expires)
    }

    pub(crate) fn page_cell(&self, project: &ProjectName) -> PageCell {
        let mut pages = held(&self.pages);
        if pages.len() >= PAGES_KEPT && !pages.contains_key(project) {
            pages.clear();
        }
        pages.entry(project.clone()).or_default().clone()
    }

    /// The verdict that an earlier request for the same thing ended with.
    pub(crate) fn verdict(&self, subject: &Subject) -> Option<Arc<Refusal>> {
        held(&self.verdicts).get(subject).cloned()
    }

    /// Turns a failure into a refusal, and remembers it if it is final.
    pub(crate) fn refuse(
        &self,
        subject: Subject,
        failure: Failure,
        signed_by: Option<(RoleName, u64)>,
    ) -> Arc<Refusal> {
        let refusal = Arc::new(Refusal {
            subject,
            failure,
            signed_by,
            index: Some(self.index.clone()),
        });
        if refusal.is_verdict() {
            held(&self.verdicts).insert(refusal.subject.clone(), refusal.clone());
        }
        refusal
    }

    /// The search for a target as far as it comes with the roles that were verified already.
    pub(crate) fn search_so_far(&self, path: &TargetPath) -> Lookup {
        self.set.lookup(path)
    }

    /// Searches the delegations for a target (TUF §5.6.7).
    pub(crate) async fn find(
        &self,
        path: &TargetPath,
        index: &TrustedIndex,
        sources: &Arc<Sources>,
    ) -> Result<Found, Failure> {
        let search = self.search(path, index, sources).await?;
        search.finish().map_err(Failure::Role)
    }

    /// The same search, which has come to its end. Roles come from the cache where its copy
    /// verifies, otherwise from a source; one request fetches a role for all that wait.
    pub(crate) async fn search(
        &self,
        path: &TargetPath,
        index: &TrustedIndex,
        sources: &Arc<Sources>,
    ) -> Result<Lookup, Failure> {
        let mut lookup = self.set.lookup(path);
        loop {
            let Some(need) = lookup.need().cloned() else {
                return Ok(lookup);
            };
            let gate = held(&self.gates)
                .entry((need.delegator.clone(), need.role.clone()))
                .or_default()
                .clone();
            let _fetching = gate.lock().await;
            // Whoever held the gate before has verified the role for everyone.
            if lookup.look_again() {
                continue;
            }
            if let Some(bytes) = cached(index, &need.delegator, &need.role)
                && lookup.restore(&bytes)
            {
                continue;
            }
            for effect in fetch_role(&mut lookup, &need, sources).await? {
                // The role is verified whether or not its copy can be kept.
                if let Err(error) = index.apply(&effect) {
                    tracing::warn!(%error, "the role could not be cached");
                }
            }
        }
    }
}

/// Has a delegated role from the first source whose copy the search takes in.
async fn fetch_role(
    lookup: &mut Lookup,
    need: &RoleFetch,
    sources: &Arc<Sources>,
) -> Result<Vec<Effect>, Failure> {
    let path = &need.fetch.path;
    let mut asking = sources.ask(Part::Metadata, path.clone());
    while let Some((metadata, haste)) = asking.next() {
        let url = metadata_below(&metadata, path);
        tracing::debug!(%url, "asking for metadata");
        let fetched = sources.remote().fetch(&url, need.fetch.max_len, haste);
        match asking.waiting(fetched).await {
            Ok(Some(bytes)) => match lookup.supply(Vec::from(bytes)) {
                Ok(effects) => return Ok(effects),
                Err(error) => asking.failed(Failure::Role(error)),
            },
            Ok(None) => asking.failed(Failure::RoleMissing {
                role: need.role.clone(),
                version: need.version,
            }),
            Err(error) => asking.failed(error.into()),
        }
    }
    Err(Failure::of_all(asking.tried()))
}

fn cached(index: &TrustedIndex, delegator: &RoleName, role: &RoleName) -> Option<Vec<u8>> {
    index.delegated(delegator, role).unwrap_or_else(|error| {
        tracing::warn!(%error, "the cached role could not be read");
        None
    })
}

/// The map, whether or not a thread that held it panicked: every change to one is complete.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
