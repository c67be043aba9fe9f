//! What changes for those who read the tree by name: pages, plain names, the list of projects.

use std::collections::{BTreeMap, BTreeSet};

use wheelmark_objects::{Kind, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_tuf::{Sha256, claim_digest};

use super::merge::Merged;
use super::naming::strays;
use super::side::Side;
use super::{FileOf, GoBackError, Outlook};
use crate::gather::objects_of_entry;
use crate::handed::Raised;
use crate::intent::{GoneFile, NamedCertificates, NamedFile, NamedPage};
use crate::listed::SecondName;
use crate::plan::Plan;
use crate::roles;
use crate::state::State;

/// What is to be named anew, and what has to be there for it.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pages: Vec<NamedPage>,
    files: Vec<NamedFile>,
    gone: Vec<GoneFile>,
    certificates: Vec<NamedCertificates>,
    seconds: Vec<SecondName>,
    gone_projects: Vec<ProjectName>,
    new_projects: BTreeSet<ProjectName>,
    /// The objects of all files that are listed by pages that change, with their lengths.
    needed: Vec<(ObjectPath, Option<u64>)>,
    pub(crate) outlook: Outlook,
}

/// Finds what changes between the present state and what is to be.
pub(crate) async fn differences(
    good: Side<'_>,
    present: Side<'_>,
    merged: &Merged,
    raised: &Raised,
) -> Result<Differences, GoBackError> {
    let now = present.shown().await.map_err(|error| {
        let error: crate::publish::PublishError = error.into();
        GoBackError::Publish(error)
    })?;
    let mut found = Differences::default();
    found.outlook.named = merged.named;
    for (project, shown) in &merged.shown {
        let is_same = now.get(project) == Some(shown);
        // Who signs for it stands in the catalogue as well.
        if is_same && claim(present.state, project) == claim(&merged.state, project) {
            continue;
        }
        if !now.contains_key(project) {
            found.new_projects.insert(project.clone());
        }
        let (page, second) = merged.seen(good, present, project, shown).await?;
        found.seconds.extend(second);
        found.pages.push(NamedPage {
            project: project.clone(),
            sha256: shown.page,
            taken_away: shown.taken_away,
        });
        let bound = page.wheelmark.certificates.as_ref();
        found.certificates.push(NamedCertificates {
            project: project.clone(),
            sha256: bound.map(|bound| Sha256(bound.sha256.into())),
        });
        found.files(present, merged, project, &page).await?;
        if !is_same {
            found.outlook.projects.push(project.clone());
        }
    }
    for project in now.keys().filter(|name| !merged.shown.contains_key(*name)) {
        let page = ProjectPage::new(project.clone());
        found.files(present, merged, project, &page).await?;
        found.certificates.push(NamedCertificates {
            project: project.clone(),
            sha256: None,
        });
        found.gone_projects.push(project.clone());
    }
    found.claims(present, merged, raised);
    Ok(found)
}

impl Differences {
    /// Notes what becomes of the files of a project.
    async fn files(
        &mut self,
        present: Side<'_>,
        merged: &Merged,
        project: &ProjectName,
        page: &ProjectPage,
    ) -> Result<(), GoBackError> {
        let next = by_name(page);
        for entry in &page.files {
            self.files.extend(NamedFile::of(project, entry));
            for object in objects_of_entry(project, entry) {
                let length = (object.kind() == Kind::File)
                    .then_some(entry.size)
                    .flatten();
                self.needed.push((object, length));
            }
        }
        if merged.state.listed.sha512() {
            let named = page.files.iter();
            self.seconds
                .extend(named.filter_map(|file| SecondName::of_file(project, file)));
        }
        let listed: BTreeSet<&str> = next.keys().map(String::as_str).collect();
        self.gone
            .extend(strays(present.tree, project, &listed).await?);
        // What is damaged now is told of by its names alone.
        let now = present.seen(project).await.ok().flatten();
        let now = now.as_ref().map(by_name).unwrap_or_default();
        let differs = |one: &BTreeMap<String, [u8; 32]>, other: &BTreeMap<String, [u8; 32]>| {
            let names = one.iter();
            let names = names.filter(|(name, sha256)| other.get(*name) != Some(sha256));
            names
                .map(|(name, sha256)| FileOf {
                    project: project.clone(),
                    filename: name.clone(),
                    sha256: Sha256(*sha256),
                })
                .collect::<Vec<_>>()
        };
        self.outlook.gone_files.extend(differs(&now, &next));
        self.outlook.back_files.extend(differs(&next, &now));
        Ok(())
    }

    fn claims(&mut self, present: Side<'_>, merged: &Merged, raised: &Raised) {
        let now = present.state.claims.projects();
        let now = now.filter(|project| merged.state.delegation_of(project).is_none());
        let ended: BTreeSet<ProjectName> = now.chain(raised.ended()).cloned().collect();
        self.outlook.ended_claims = ended.into_iter().collect();
        let own = merged.state.claims.projects();
        let back = own.filter(|project| {
            let role = roles::project_role(project);
            let version = |state: &State| state.snapshot.role_version(&role);
            version(present.state) > version(&merged.state)
        });
        let back: BTreeSet<ProjectName> = back.cloned().collect();
        self.outlook.own_roles_back = back.into_iter().collect();
        let offline = merged.state.offline.iter().map(|(role, _)| role);
        let offline = offline.filter(|role| {
            let version = |state: &State| state.snapshot.role_version(role);
            version(present.state) > version(&merged.state)
        });
        self.outlook.offline_back = offline.cloned().collect();
        self.outlook.gone_projects.clone_from(&self.gone_projects);
    }

    /// Whether everything that changed pages list is in the tree by now; the first that is not.
    pub(crate) async fn lost(&self, present: Side<'_>) -> Result<Option<ObjectPath>, GoBackError> {
        for (path, length) in &self.needed {
            let size = present.tree.size(path).await?;
            if size.is_none() || length.is_some() && size != *length {
                return Ok(Some(path.clone()));
            }
        }
        Ok(None)
    }

    /// Lets a plan name all of this.
    pub(crate) fn name_in(self, plan: &mut Plan) -> Outlook {
        plan.goes_back = true;
        plan.named_pages = self.pages;
        plan.files = self.files;
        plan.gone = self.gone;
        plan.named_certificates = self.certificates;
        plan.seconds.extend(self.seconds);
        plan.gone_projects = self.gone_projects;
        plan.new_projects = self.new_projects;
        self.outlook
    }
}

/// Whose signatures count for a project, if it signs for itself.
fn claim(state: &State, project: &ProjectName) -> Option<Sha256> {
    let (_, role) = state.delegation_of(project)?;
    Some(claim_digest(&role.keys))
}

fn by_name(page: &ProjectPage) -> BTreeMap<String, [u8; 32]> {
    let files = page.files.iter().filter_map(|file: &PageFile| {
        let sha256 = file.sha256()?;
        Some((file.filename.as_str().to_owned(), *sha256.as_bytes()))
    });
    files.collect()
}
