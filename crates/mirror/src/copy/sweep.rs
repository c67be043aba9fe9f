//! What no state names any more: first it waits, then it goes.
//!
//! A reader may hold the state before the current one until that state's timestamp expires, and
//! an installer without verification may be in the middle of its work. So nothing goes at once,
//! and what goes is looked up first in the state of then.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use wheelmark_objects::{Kind, ObjectPath, file_target, page_target, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{Found, RoleName, Sha256, TargetPath, TrustedSet};

use super::error::CopyError;
use super::fetch::{ListRef, PageRef, Shared, Wanted, digest};
use super::seconds::seconds_of;
use super::{Observer, Step};
use crate::local::LocalTree;

/// How many objects are removed between two looks at the state.
const REMOVED_AT_ONCE: usize = 256;

impl Shared {
    /// The objects of a project that its page does not name; all of them, without a page.
    pub(super) async fn left_over(
        &self,
        project: &ProjectName,
        page: Option<PageRef>,
    ) -> Result<Vec<ObjectPath>, CopyError> {
        let needed = self.needed(project, page).await?;
        let nowhere = Sha256::of(b"");
        // Any name in each of the project's directories will do to name the directory.
        let places = [
            ObjectPath::page(project, &nowhere),
            ObjectPath::file(project, &nowhere, "x")?,
            ObjectPath::plain_file(project, "x")?,
        ];
        let mut left = Vec::new();
        // The directory of this one is that of all projects.
        let certificates = ObjectPath::plain_certificates(project);
        if !needed.contains(&certificates) && self.tree.exists(&certificates).await? {
            left.push(certificates);
        }
        for place in places {
            let there = self.tree.beside(&place).await?;
            left.extend(there.into_iter().filter(|path| !needed.contains(path)));
        }
        Ok(left)
    }

    /// What a project's page names, itself included.
    async fn needed(
        &self,
        project: &ProjectName,
        page: Option<PageRef>,
    ) -> Result<BTreeSet<ObjectPath>, CopyError> {
        let mut needed = BTreeSet::new();
        let Some(listed) = page else {
            return Ok(needed);
        };
        let sha256 = listed.sha256;
        needed.insert(ObjectPath::page(project, &sha256));
        let (_, page) = self.own_page(project, &sha256).await?;
        // What is taken away loses the names that installers know, and nothing else.
        let shown = self.shown(project, &listed, &page).await?;
        let files = self.selection.files(&page, self.now);
        let seconds = seconds_of(project, &listed, &files)?.into_iter();
        needed.extend(seconds.map(|(_, second)| second));
        if let Some(bound) = &page.wheelmark.certificates {
            needed.insert(ObjectPath::certificates(project, &digest(bound.sha256)));
            needed.insert(ObjectPath::plain_certificates(project));
        }
        for file in files {
            let Ok(file) = Wanted::of(project, file) else {
                continue;
            };
            let name = file.filename;
            let mut insert = |object: ObjectPath, plain: ObjectPath| {
                needed.insert(object);
                if shown.file(name).is_some() {
                    needed.insert(plain);
                }
            };
            insert(
                ObjectPath::file(project, &file.sha256, name)?,
                ObjectPath::plain_file(project, name)?,
            );
            if let Some(sha256) = &file.metadata {
                insert(
                    ObjectPath::file_metadata(project, sha256, name)?,
                    ObjectPath::plain_file_metadata(project, name)?,
                );
            }
            if let Some(signature) = &file.signature {
                insert(
                    ObjectPath::signature(project, &signature.sha256, name)?,
                    ObjectPath::plain_signature(project, name)?,
                );
            }
            if let Some(sha256) = &file.provenance {
                insert(
                    ObjectPath::provenance(project, sha256, name)?,
                    ObjectPath::plain_provenance(project, name)?,
                );
            }
            if let Some(sha256) = &file.chunks {
                needed.insert(ObjectPath::chunks(project, sha256, name)?);
            }
        }
        Ok(needed)
    }

    /// The metadata that a state does not name, of everything that is here.
    pub(super) async fn left_over_metadata(
        &self,
        set: &TrustedSet,
    ) -> Result<Vec<ObjectPath>, CopyError> {
        let there = self.tree.beside(&ObjectPath::timestamp()).await?;
        let named = Named::by(set);
        let left = there.into_iter().filter(|path| !named.has(path));
        Ok(left.collect())
    }

    /// Removes what is due and what the state, `set`, has no use for. What it has a use for again
    /// stays for good. Says how many objects went.
    ///
    /// Pages are gone for good before the first of their files goes: a page that is in place says
    /// that its files are, also to the run that comes after one that was cut off here.
    pub(super) async fn sweep(
        &self,
        set: &TrustedSet,
        leaving: &mut BTreeMap<ObjectPath, Timestamp>,
        observer: &Observer,
    ) -> Result<usize, CopyError> {
        let due = leaving.iter().filter(|(_, until)| **until <= self.now);
        let due = due.map(|(path, _)| path.clone());
        let (pages, others): (Vec<_>, Vec<_>) = due.partition(|path| path.kind() == Kind::Page);
        let mut removed = 0;
        // What a project whose role has expired lists stays, and what it does not list goes.
        let set = &set.dangerously_with_ended_projects();
        let named = Named::by(set);
        let mut known: Option<(ProjectName, BTreeSet<ObjectPath>)> = None;
        let batches = [&pages, &others];
        for together in batches.iter().flat_map(|all| all.chunks(REMOVED_AT_ONCE)) {
            let mut going = Vec::new();
            for path in together {
                match self.is_needed(set, &named, path, &mut known).await {
                    Ok(true) => drop(leaving.remove(path)),
                    Ok(false) => going.push(path.clone()),
                    // What cannot be told stays until it can.
                    Err(CopyError::Damaged(error)) => {
                        tracing::info!(%path, %error, "stays: its role or page cannot be read");
                    }
                    Err(error) => return Err(error),
                }
            }
            observer.see(Step::Removal);
            removed += self.tree.remove_all(&self.lock, going.clone()).await?;
            for path in going {
                leaving.remove(&path);
            }
        }
        Ok(removed)
    }

    async fn is_needed(
        &self,
        set: &TrustedSet,
        named: &Named,
        path: &ObjectPath,
        known: &mut Option<(ProjectName, BTreeSet<ObjectPath>)>,
    ) -> Result<bool, CopyError> {
        if let Some((project, sha256)) = list_of(path) {
            let listed = self.find(set, &status_target(&project)).await?;
            return Ok(listed.is_some_and(|list| list.sha256 == sha256));
        }
        let Some(project) = project_of(path) else {
            return Ok(named.has(path));
        };
        // Paths come sorted: those of a project's directory one after the other.
        let needed = match known {
            Some((of, needed)) if *of == project => needed,
            _ => {
                let page = self.page_now(set, &project).await?;
                let needed = self.needed(&project, page).await?;
                &known.insert((project.clone(), needed)).1
            }
        };
        if needed.contains(path) {
            return Ok(true);
        }
        // A file of its own right, which no page lists.
        let Some((filename, sha256)) = file_of(path).filter(|_| self.selection.is_everything())
        else {
            return Ok(false);
        };
        let target = file_target(&project, &filename)?;
        let listed = self.find(set, &target).await?;
        Ok(listed.is_some_and(|page| page.sha256 == sha256))
    }

    /// The page of a chosen project in a state that is here.
    async fn page_now(
        &self,
        set: &TrustedSet,
        project: &ProjectName,
    ) -> Result<Option<PageRef>, CopyError> {
        if !self.selection.chooses(project) {
            return Ok(None);
        }
        let page = self.find(set, &page_target(project)).await?;
        let list = self.find(set, &status_target(project)).await?;
        Ok(page.map(|page| PageRef {
            taken: list.map(|list| ListRef {
                sha256: list.sha256,
                length: list.length,
            }),
            ..page
        }))
    }

    /// Lists of what is taken away that no chosen project has.
    pub(super) async fn left_over_lists<'a>(
        &self,
        pages: impl Iterator<Item = (&'a ProjectName, &'a PageRef)>,
    ) -> Result<Vec<ObjectPath>, CopyError> {
        let mut needed = BTreeSet::new();
        let mut folder = None;
        for (project, page) in pages {
            if let Some(list) = page.taken {
                let path = ObjectPath::status(project, &list.sha256)?;
                folder = Some(path.clone());
                needed.insert(path);
            }
        }
        // Any name will do to name the folder.
        let folder = match folder {
            Some(folder) => folder,
            None => ObjectPath::status(
                &"x".parse().map_err(|_| CopyError::Stopped)?,
                &Sha256::of(b""),
            )?,
        };
        let there = self.tree.beside(&folder).await?.into_iter();
        Ok(there.filter(|path| !needed.contains(path)).collect())
    }

    /// What a state that is here says of a target.
    async fn find(
        &self,
        set: &TrustedSet,
        target: &TargetPath,
    ) -> Result<Option<PageRef>, CopyError> {
        let local = LocalTree::new(self.tree.clone());
        let found = local.find(set, target).await?;
        Ok(match found {
            Found::Target(target) => target.sha256().map(|sha256| PageRef {
                sha256,
                sha512: target.hashes.sha512(),
                length: target.length,
                taken: None,
            }),
            Found::Absent { .. } => None,
        })
    }
}

/// The metadata files that a state names, by file name. Roots are of all states.
struct Named(HashSet<String>);

impl Named {
    fn by(set: &TrustedSet) -> Self {
        let snapshot = set.snapshot();
        let listed = snapshot.meta.iter().filter_map(|(name, meta)| {
            let role: RoleName = name.strip_suffix(".json")?.parse().ok()?;
            Some(role.versioned_file_name(meta.version))
        });
        let itself = RoleName::snapshot().versioned_file_name(snapshot.version);
        Self(listed.chain([itself]).collect())
    }

    fn has(&self, path: &ObjectPath) -> bool {
        match path.kind() {
            Kind::Timestamp => true,
            Kind::Metadata => {
                let name = path.as_str().strip_prefix("metadata/").unwrap_or_default();
                name.ends_with(".root.json") || self.0.contains(name)
            }
            _ => false,
        }
    }
}

/// The project that an object belongs to.
pub(super) fn project_of(path: &ObjectPath) -> Option<ProjectName> {
    let segments: Vec<&str> = path.as_str().split('/').collect();
    match segments.as_slice() {
        ["targets", _, project, _] | ["packages" | "simple", project, _] => project.parse().ok(),
        ["keys", name] => name.strip_suffix(".asc")?.parse().ok(),
        _ => None,
    }
}

/// The project and the digest of a list of what is taken away.
fn list_of(path: &ObjectPath) -> Option<(ProjectName, Sha256)> {
    if path.kind() != Kind::Status {
        return None;
    }
    let (_, name) = path.as_str().rsplit_once('/')?;
    let (_, project) = name.strip_suffix(".json")?.split_once('.')?;
    Some((project.parse().ok()?, path.sha256()?))
}

/// The name and the digest of a distribution file that is a target.
fn file_of(path: &ObjectPath) -> Option<(String, Sha256)> {
    if path.kind() != Kind::File {
        return None;
    }
    let name = path.as_str().rsplit('/').next()?;
    let (sha256, filename) = name.split_once('.')?;
    Some((filename.to_owned(), sha256.parse().ok()?))
}
