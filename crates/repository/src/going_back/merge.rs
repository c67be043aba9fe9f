//! What is to be: the last good state, with what is kept of what came since.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wheelmark_objects::{ObjectPath, file_target, page_target, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage, TakenAway};
use wheelmark_tuf::{RoleName, Sha256, TargetInfo, Targets};

use super::dropped::name_dropped;
use super::keep;
use super::side::{Shown, Side, drop_list, page_of, shown_in};
use super::{GoBackError, Kept};
use crate::handed::Raised;
use crate::listed::{SecondName, conforms, page_target_of};
use crate::plan::{end_delegation, target_info};
use crate::roles::{self, Family, STATUS, role_name};
use crate::state::{LoadError, OWN_METADATA_LIMIT, State};

/// What is to be, before it is signed.
#[derive(Debug)]
pub(crate) struct Merged {
    /// The last good state, with the claims and the projects' own roles that go on.
    pub(crate) state: State,
    /// The content of every role that the online key signs, under the names of the last good state.
    pub(crate) roles: HashMap<RoleName, Targets>,
    /// Pages that neither state has.
    pub(crate) pages: BTreeMap<ProjectName, Vec<u8>>,
    /// Lists of what is taken away that neither state has.
    pub(crate) lists: BTreeMap<ProjectName, Vec<u8>>,
    /// Projects whose own role is the one that is published now, with the digest of its page.
    pub(crate) released: BTreeMap<ProjectName, Sha256>,
    /// What is shown of every project.
    pub(crate) shown: BTreeMap<ProjectName, Shown>,
    /// How many files the pages name as dropped.
    pub(crate) named: usize,
}

/// Puts together what is to be. `roles` are all that the online key signs in the last good state.
pub(crate) async fn merge(
    good: Side<'_>,
    present: Side<'_>,
    roles: HashMap<RoleName, Targets>,
    raised: &Raised,
    kept: &BTreeMap<ProjectName, BTreeSet<Kept>>,
) -> Result<Merged, GoBackError> {
    let mut merged = Merged {
        state: good.state.clone(),
        roles,
        pages: BTreeMap::new(),
        lists: BTreeMap::new(),
        released: BTreeMap::new(),
        shown: BTreeMap::new(),
        named: 0,
    };
    for project in raised.ended() {
        merged.end_claim(good, project).await?;
    }
    for (project, kept) in kept {
        match merged.state.delegation_of(project) {
            Some(_) => keep::own(&mut merged, good, present, project, kept).await?,
            None => keep::page(&mut merged, good, present, project, kept).await?,
        }
    }
    merged.shown = merged.all_shown(good).await?;
    merged.named = name_dropped(&mut merged, good, present, raised.statement()).await?;
    Ok(merged)
}

impl Merged {
    /// Lets the index answer for a project again: its page and its files stand in the bins as everybody saw
    /// them, and neither the lists of claims nor `status` speak of it.
    async fn end_claim(
        &mut self,
        good: Side<'_>,
        project: &ProjectName,
    ) -> Result<(), GoBackError> {
        let page = good.seen(project).await?;
        for list in self.state.claims.lists_for(project) {
            let Some(content) = self.roles.get_mut(&list) else {
                continue;
            };
            if let Some(below) = content.delegations.as_mut()
                && end_delegation(below, project)
            {
                self.state.claims.put(&list, Some(below.clone()));
            }
        }
        if let Some(status) = self.roles.get_mut(&role_name(STATUS)) {
            drop_list(status, project);
        }
        self.state.taken_away.remove(project);
        match page {
            Some(page) => self.put_page(project, None, page),
            None => Ok(()),
        }
    }

    /// Lists a page and its files in the bins, in the place of the page `before`.
    pub(super) fn put_page(
        &mut self,
        project: &ProjectName,
        before: Option<&ProjectPage>,
        mut page: ProjectPage,
    ) -> Result<(), GoBackError> {
        let keep = |why: String| GoBackError::Keep {
            project: project.clone(),
            why,
        };
        // They follow from the files (PEP 700).
        page.versions.clear();
        let bytes = page.to_json();
        if let Err(error) = ProjectPage::parse(&bytes) {
            return Err(keep(format!("the page would be none: {error}")));
        }
        let by_name = |page: &ProjectPage| -> BTreeMap<String, PageFile> {
            let files = page.files.iter();
            files
                .map(|file| (file.filename.as_str().to_owned(), file.clone()))
                .collect()
        };
        let (was, is) = (before.map(by_name).unwrap_or_default(), by_name(&page));
        for name in was.keys().filter(|name| !is.contains_key(*name)) {
            if let Ok(target) = file_target(project, name) {
                let bin = self.state.bin(Family::Packages, &target);
                let content = self.roles.get_mut(&bin);
                content.and_then(|content| content.targets.remove(&target));
            }
        }
        for (name, entry) in &is {
            if was.get(name) == Some(entry) {
                continue;
            }
            let target = file_target(project, name).map_err(|error| keep(error.to_string()))?;
            let info = target_info(entry)
                .ok_or_else(|| keep(format!("{name} is without its length or its sha256")))?;
            let bin = self.state.bin(Family::Packages, &target);
            if let Some(content) = self.roles.get_mut(&bin) {
                content.targets.insert(target, info);
            }
        }
        let listed = self.state.listed;
        let conforms = page.files.iter().all(|file| conforms(file, listed));
        let (info, _) = page_target_of(project, &bytes, listed, conforms);
        let target = page_target(project);
        let bin = self.state.bin(Family::Simple, &target);
        if let Some(content) = self.roles.get_mut(&bin) {
            content.targets.insert(target, info);
        }
        self.pages.insert(project.clone(), bytes);
        Ok(())
    }

    /// Signs another list of what is taken away from a project that signs for itself.
    pub(super) fn put_list(&mut self, project: &ProjectName, list: &TakenAway) {
        let Some(status) = self.roles.get_mut(&role_name(STATUS)) else {
            return;
        };
        if list.is_empty() {
            drop_list(status, project);
            self.state.taken_away.remove(project);
            return;
        }
        let bytes = list.to_json();
        let sha256 = Sha256::of(&bytes);
        let info = TargetInfo::new(bytes.len() as u64, sha256);
        status.targets.insert(status_target(project), info);
        self.state.taken_away.insert(project.clone(), sha256);
        self.lists.insert(project.clone(), bytes);
    }

    /// What is shown of every project from then on.
    async fn all_shown(&self, good: Side<'_>) -> Result<BTreeMap<ProjectName, Shown>, GoBackError> {
        let bins = roles::bins_of(self.state.family(Family::Simple));
        let bins = bins.iter().filter_map(|bin| self.roles.get(bin));
        let mut shown = shown_in(bins);
        for project in self.state.claims.projects() {
            let page = match self.released.get(project) {
                Some(page) => Some(*page),
                None => own_page(good, project).await?,
            };
            let taken_away = self.state.taken_away.get(project).copied();
            match page {
                Some(page) => drop(shown.insert(project.clone(), Shown { page, taken_away })),
                None => drop(shown.remove(project)),
            }
        }
        Ok(shown)
    }

    /// The page of a project as everybody sees it from then on, from whichever tree has it, and the second
    /// name of what was signed of it.
    pub(super) async fn seen(
        &self,
        good: Side<'_>,
        present: Side<'_>,
        project: &ProjectName,
        shown: &Shown,
    ) -> Result<(ProjectPage, Option<SecondName>), GoBackError> {
        let differs = || {
            GoBackError::LastGood(LoadError::PageDiffers {
                project: project.to_string(),
                role: good.role_of(project).to_string(),
            })
        };
        let path = ObjectPath::page(project, &shown.page);
        let bytes = match self.pages.get(project) {
            Some(bytes) => bytes.clone(),
            None => object(good, present, &path, &shown.page)
                .await?
                .ok_or_else(differs)?,
        };
        let page = ProjectPage::parse(&bytes).map_err(|_| differs())?;
        let (_, second) = page_target_of(project, &bytes, self.state.listed, true);
        let Some(sha256) = &shown.taken_away else {
            return Ok((page, second));
        };
        let path = ObjectPath::status(project, sha256).map_err(|_| differs())?;
        let list = match self.lists.get(project) {
            Some(list) => Some(list.clone()),
            None => object(good, present, &path, sha256).await?,
        };
        let list = list.and_then(|list| TakenAway::parse(&list, project).ok());
        let differs = LoadError::ListDiffers {
            project: project.to_string(),
        };
        let list = list.ok_or(GoBackError::LastGood(differs))?;
        Ok((list.apply(&page), second))
    }
}

/// The bytes of an object that is named after them, from whichever tree has it.
async fn object(
    good: Side<'_>,
    present: Side<'_>,
    path: &ObjectPath,
    sha256: &Sha256,
) -> Result<Option<Vec<u8>>, GoBackError> {
    for tree in [good.tree, present.tree] {
        let bytes = tree.read(path, OWN_METADATA_LIMIT).await?;
        if let Some(bytes) = bytes.filter(|bytes| Sha256::of(bytes) == *sha256) {
            return Ok(Some(bytes.to_vec()));
        }
    }
    Ok(None)
}

/// The digest of the page that a project's own role lists; none where the last good state has no such role
/// that could be read, and readers refuse the project anyway.
async fn own_page(good: Side<'_>, project: &ProjectName) -> Result<Option<Sha256>, GoBackError> {
    let role = roles::project_role(project);
    match good.state.role(good.tree, &role).await {
        Ok(own) => Ok(page_of(&own, project)),
        Err(error) if error.is_lasting() => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(%role, error, "the role of a project cannot be read in the last good state");
            Ok(None)
        }
        Err(error) => Err(GoBackError::LastGood(error)),
    }
}

/// The page of a project in one of the states, as it was signed.
pub(super) async fn page_in(
    side: Side<'_>,
    project: &ProjectName,
) -> Result<Option<ProjectPage>, GoBackError> {
    side.page(project).await.map_err(GoBackError::LastGood)
}
