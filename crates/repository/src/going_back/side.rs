//! One of the two states, with the tree that it lies in.

use std::collections::BTreeMap;

use wheelmark_objects::{Directory, page_target, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{ProjectPage, TakenAway};
use wheelmark_tuf::{RoleName, Sha256, TargetPath, Targets};

use crate::gather::read_page;
use crate::publish::{self, PublishError};
use crate::roles::{self, Family};
use crate::state::{LoadError, State};

/// A state, and where its objects are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) tree: &'a Directory,
    pub(crate) state: &'a State,
}

/// What everybody sees of a project: its page, and what is taken away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) page: Sha256,
    pub(crate) taken_away: Option<Sha256>,
}

impl Side<'_> {
    /// Every project with what is shown of it. What lies in a role that is damaged is not shown to
    /// anybody, and is not here.
    pub(crate) async fn shown(&self) -> Result<BTreeMap<ProjectName, Shown>, LoadError> {
        let mut bins = Vec::new();
        for bin in roles::bins_of(self.state.family(Family::Simple)) {
            bins.extend(self.unless_damaged(&bin).await?);
        }
        let mut shown = shown_in(bins.iter());
        let owned: Vec<ProjectName> = self.state.claims.projects().cloned().collect();
        for project in owned {
            let role = self.unless_damaged(&roles::project_role(&project)).await?;
            let page = role.and_then(|role| page_of(&role, &project));
            let taken_away = self.state.taken_away.get(&project).copied();
            match page {
                Some(page) => drop(shown.insert(project, Shown { page, taken_away })),
                None => drop(shown.remove(&project)),
            }
        }
        Ok(shown)
    }

    async fn unless_damaged(&self, role: &RoleName) -> Result<Option<Targets>, LoadError> {
        match self.state.role(self.tree, role).await {
            Ok(content) => Ok(Some(content.into_inner())),
            Err(error) if error.is_lasting() => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(%role, error, "a role of the published state is damaged");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The role that answers for a project's page.
    pub(crate) fn role_of(&self, project: &ProjectName) -> RoleName {
        match self.state.delegation_of(project) {
            Some(_) => roles::project_role(project),
            None => self.state.bin(Family::Simple, &page_target(project)),
        }
    }

    /// A project's page as it was signed.
    pub(crate) async fn page(
        &self,
        project: &ProjectName,
    ) -> Result<Option<ProjectPage>, LoadError> {
        let role = self.role_of(project);
        let targets = self.state.role(self.tree, &role).await?;
        let page = read_page(self.tree, project, &role, &targets).await?;
        Ok(page.map(|(page, _)| page))
    }

    /// What is taken away from a project that signs for itself.
    pub(crate) async fn list(
        &self,
        project: &ProjectName,
    ) -> Result<Option<TakenAway>, PublishError> {
        let sha256 = self.state.taken_away.get(project);
        let owned = self.state.delegation_of(project).is_some();
        match sha256.filter(|_| owned) {
            Some(sha256) => Ok(Some(publish::taken_away(self.tree, project, sha256).await?)),
            None => Ok(None),
        }
    }

    /// The page as everybody sees it.
    pub(crate) async fn seen(
        &self,
        project: &ProjectName,
    ) -> Result<Option<ProjectPage>, PublishError> {
        let Some(page) = self.page(project).await? else {
            return Ok(None);
        };
        Ok(Some(match self.list(project).await? {
            Some(list) => list.apply(&page),
            None => page,
        }))
    }
}

/// The pages that bins list.
pub(crate) fn shown_in<'a>(
    bins: impl Iterator<Item = &'a Targets>,
) -> BTreeMap<ProjectName, Shown> {
    let targets = bins.flat_map(|bin| &bin.targets);
    let pages = targets.filter_map(|(path, info)| {
        let page = info.sha256()?;
        let taken_away = None;
        Some((project_of_page(path)?, Shown { page, taken_away }))
    });
    pages.collect()
}

fn project_of_page(path: &TargetPath) -> Option<ProjectName> {
    let project = path.as_str().strip_prefix("simple/")?;
    project.strip_suffix("/index.json")?.parse().ok()
}

/// The digest of a project's page in a role.
pub(crate) fn page_of(targets: &Targets, project: &ProjectName) -> Option<Sha256> {
    targets.targets.get(&page_target(project))?.sha256()
}

/// Takes the list of a project out of `status`.
pub(crate) fn drop_list(status: &mut Targets, project: &ProjectName) {
    status.targets.remove(&status_target(project));
}
