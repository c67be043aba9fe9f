//! What a state of the index signs for, and how that differs from what is here.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures::StreamExt as _;
use serde::Deserialize;
use wheelmark_objects::{Directory, ObjectPath, page_target, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{
    Limits, NamedTarget, RoleName, Sha256, Sha512, TargetPath, TrustedSet, Visited, Walk,
};

use super::error::CopyError;
use super::fetch::{Holding, ListRef, PageRef, Shared};
use super::spool::{Gathered, Gathering, Spool};
use super::state::EndedRole;
use crate::inventory::{Inventory, inventory};
use crate::listed::{Listed, is_of_project};
use crate::local::LocalTree;

/// How many roles are asked for at a time, at least: they are small.
const ROLES_AT_ONCE: usize = 16;

/// What is to be done to come to a state of the index.
pub(super) struct Plan {
    /// The pages of all chosen projects.
    pub(super) pages: BTreeMap<ProjectName, PageRef>,
    /// Those of them that are new or another one than before.
    pub(super) changed: Vec<ProjectName>,
    /// Those of them whose page is the one before, and from which something else is taken away.
    pub(super) relisted: BTreeSet<ProjectName>,
    /// Projects that were here and are not chosen or not there any more.
    pub(super) gone: BTreeSet<ProjectName>,
    /// The pages that the last complete state had of changed and gone projects.
    pub(super) before: BTreeMap<ProjectName, Sha256>,
    /// Roles whose version the last complete state did not have.
    pub(super) changed_roles: BTreeSet<RoleName>,
    /// Metadata of the last complete state that this one does not name.
    pub(super) superseded: Vec<ObjectPath>,
    /// Whether this is what differs from the last complete state, and not all of a state.
    pub(super) is_difference: bool,
    /// Targets that this version does not copy.
    pub(super) others: u64,
    /// Projects' own roles that have expired.
    pub(super) ended: Vec<EndedRole>,
    pub(super) spool: Spool,
}

/// The roles of an earlier state, by version.
pub(super) type Versions = BTreeMap<String, u64>;

/// What is read of metadata that this copy has verified before, to see what has changed. Nothing
/// is decided by it but what need not be looked at again.
#[derive(Deserialize)]
struct Before<T> {
    signed: T,
}

#[derive(Deserialize)]
struct SnapshotBefore {
    meta: BTreeMap<String, VersionBefore>,
}

#[derive(Deserialize)]
struct VersionBefore {
    version: u64,
}

#[derive(Deserialize)]
struct RoleBefore {
    targets: BTreeMap<String, NamedTarget>,
    #[serde(default)]
    delegations: serde_json::Value,
}

/// The same of the file that a role has now.
#[derive(Deserialize)]
struct DelegationsNow {
    #[serde(default)]
    delegations: serde_json::Value,
}

async fn read_before<T: for<'de> Deserialize<'de>>(
    tree: &Directory,
    path: &ObjectPath,
    limit: u64,
) -> Option<T> {
    let bytes = tree.read(path, limit).await.ok()??;
    let parsed: Before<T> = serde_json::from_slice(&bytes).ok()?;
    Some(parsed.signed)
}

/// The versions that a snapshot of this copy lists; `None` where it cannot be read any more.
pub(super) async fn versions_of(tree: &Directory, snapshot: u64) -> Option<Versions> {
    let path = ObjectPath::metadata(&RoleName::snapshot(), snapshot);
    let limit = Limits::default().snapshot_length;
    let read: SnapshotBefore = read_before(tree, &path, limit).await?;
    let versions = read.meta.into_iter();
    Some(versions.map(|(name, meta)| (name, meta.version)).collect())
}

/// What a role of an earlier state said.
async fn role_before(tree: &Directory, role: &RoleName, version: u64) -> Option<RoleBefore> {
    let path = ObjectPath::metadata(role, version);
    read_before(tree, &path, Limits::default().targets_length).await
}

/// Whether a role delegates as it did before.
fn delegates_as(before: &RoleBefore, bytes: &[u8]) -> bool {
    let now: Option<Before<DelegationsNow>> = serde_json::from_slice(bytes).ok();
    now.is_some_and(|now| now.signed.delegations == before.delegations)
}

/// What is found out role by role.
struct Findings<'a> {
    shared: &'a Shared,
    /// The last complete state, if what is here of it can be relied on.
    earlier: Option<Versions>,
    /// By project: where its page stands in the order of a search, the page, and whether the project's
    /// own people sign it.
    pages: BTreeMap<ProjectName, (Vec<u64>, PageRef, bool)>,
    /// By project: the same of what is taken away from it.
    lists: BTreeMap<ProjectName, (Vec<u64>, ListRef)>,
    /// What was taken away, of roles that changed.
    lists_before: BTreeMap<ProjectName, Sha256>,
    /// Projects that such a role lists now, or did.
    touched_lists: BTreeSet<ProjectName>,
    /// Of roles that changed: the projects that they list now.
    touched: BTreeSet<ProjectName>,
    /// Of roles that changed: the pages that they listed.
    before: BTreeMap<ProjectName, Sha256>,
    /// What was listed beside it, or in its place.
    before_sha512: BTreeMap<ProjectName, Sha512>,
    changed_roles: BTreeSet<RoleName>,
    /// Why the difference of two roles does not tell what changed for a reader.
    unclear: Option<&'static str>,
    others: u64,
    ended: Vec<EndedRole>,
}

impl Findings<'_> {
    /// `bytes` is the file of the role.
    async fn take(&mut self, visited: &Visited, bytes: &[u8]) {
        let role = visited.role();
        self.ended.extend(visited.ended().map(|expired| EndedRole {
            role: role.as_str().to_owned(),
            expired,
        }));
        let version = visited.metadata().version;
        let name = role.meta_name();
        let earlier = self.earlier.as_ref().map(|earlier| earlier.get(&name));
        let earlier = earlier.map(Option::<&u64>::copied);
        let changed = earlier.flatten() != Some(version);
        if changed {
            self.changed_roles.insert(role.clone());
            if let Some(earlier) = earlier {
                self.compare(role, earlier, bytes).await;
            }
        }
        for (path, info) in visited.listed() {
            match Listed::of(path, info) {
                Listed::Page {
                    project,
                    sha256,
                    sha512,
                    length,
                } if self.shared.selection.chooses(&project) => {
                    if changed {
                        self.touched.insert(project.clone());
                    }
                    let found = (
                        visited.order(),
                        PageRef {
                            sha256,
                            sha512,
                            length,
                            taken: None,
                        },
                        is_of_project(role),
                    );
                    match self.pages.entry(project) {
                        Entry::Vacant(none) => drop(none.insert(found)),
                        Entry::Occupied(mut best) => {
                            self.unclear = Some("two roles list one page");
                            if found.0 < best.get().0 {
                                best.insert(found);
                            }
                        }
                    }
                }
                Listed::Status {
                    project,
                    sha256,
                    length,
                } if self.shared.selection.chooses(&project) => {
                    if changed {
                        self.touched_lists.insert(project.clone());
                    }
                    let found = (visited.order(), ListRef { sha256, length });
                    let best = self.lists.get(&project);
                    if best.is_none_or(|best| found.0 < best.0) {
                        self.lists.insert(project, found);
                    }
                }
                Listed::Page { .. } | Listed::File { .. } | Listed::Status { .. } => {}
                Listed::Other(_) => self.others += 1,
            }
        }
    }

    /// Holds a role that changed against what it was in the earlier state.
    async fn compare(&mut self, role: &RoleName, earlier: Option<u64>, bytes: &[u8]) {
        let Some(version) = earlier else {
            self.unclear = Some("there is a new role");
            return;
        };
        let Some(before) = role_before(&self.shared.tree, role, version).await else {
            self.unclear = Some("an earlier role is not here any more");
            return;
        };
        if !delegates_as(&before, bytes) {
            self.unclear = Some("a role delegates otherwise than before");
        }
        for (path, target) in before.targets {
            if let (Some(project), Some(sha256)) = (list_of(&path), target.sha256()) {
                self.touched_lists.insert(project.clone());
                self.lists_before.insert(project, sha256);
            }
            if let (Some(project), Some(sha256)) = (project_of(&path), target.sha256()) {
                if let Some(sha512) = target.sha512() {
                    self.before_sha512.insert(project.clone(), sha512);
                }
                let twice = self.before.insert(project, sha256).is_some();
                if twice {
                    self.unclear = Some("two roles listed one page");
                }
            }
        }
    }

    /// What a search finds, and what of it has changed.
    fn conclude(mut self, walk: &Walk) -> Found {
        self.lists
            .retain(|project, (order, _)| walk.reaches_at(order, &status_target(project)));
        self.pages.retain(|project, (order, ..)| {
            // Behind the first role that lists a page, nothing else is asked for it: so it is
            // this one that a search has to come to.
            walk.reaches_at(order, &page_target(project))
        });
        let mut moved = self.before.keys().filter(|project| {
            self.pages.contains_key(*project) && !self.touched.contains(*project)
        });
        if moved.next().is_some() {
            self.unclear = Some("a page is listed by another role than before");
        }
        let pages: BTreeMap<ProjectName, PageRef> = self
            .pages
            .into_iter()
            .map(|(project, (_, page, is_own))| {
                // The index says itself what it takes away from the others.
                let list = self.lists.get(&project).filter(|_| is_own);
                let taken = list.map(|(_, list)| *list);
                (project, PageRef { taken, ..page })
            })
            .collect();
        let mut before = self.before;
        let before_sha512 = self.before_sha512;
        let mut earlier = self.earlier;
        if let Some(why) = self.unclear.filter(|_| earlier.is_some()) {
            tracing::info!(why, "everything that is here is gone through");
            earlier = None;
            before.clear();
        }
        let is_new = |project: &ProjectName| {
            let page = pages.get(project);
            page.is_some_and(|page| {
                before.get(project) != Some(&page.sha256)
                    || before_sha512.get(project) != page.sha512.as_ref()
            })
        };
        let (mut relisted, mut lists_gone) = (BTreeSet::new(), Vec::new());
        for project in self.touched_lists {
            let was = self.lists_before.get(&project);
            let is = pages.get(&project).and_then(|page| page.taken);
            if was == is.as_ref().map(|list| &list.sha256) {
                continue;
            }
            lists_gone.extend(was.and_then(|was| ObjectPath::status(&project, was).ok()));
            if pages.contains_key(&project) {
                relisted.insert(project);
            }
        }
        let changed: Vec<ProjectName> = match earlier {
            Some(_) => {
                let new: BTreeSet<ProjectName> = self.touched.into_iter().filter(is_new).collect();
                relisted.retain(|project| !new.contains(project));
                new.into_iter().chain(relisted.iter().cloned()).collect()
            }
            None => {
                relisted.clear();
                pages.keys().cloned().collect()
            }
        };
        Found {
            pages,
            changed,
            relisted,
            lists_gone,
            before,
            earlier,
            changed_roles: self.changed_roles,
            others: self.others,
            ended: self.ended,
        }
    }
}

/// What a state signs for, and what of it is different.
struct Found {
    pages: BTreeMap<ProjectName, PageRef>,
    changed: Vec<ProjectName>,
    relisted: BTreeSet<ProjectName>,
    /// Lists of what was taken away that are no more.
    lists_gone: Vec<ObjectPath>,
    before: BTreeMap<ProjectName, Sha256>,
    /// The earlier state, if the difference to it is what was found.
    earlier: Option<Versions>,
    changed_roles: BTreeSet<RoleName>,
    others: u64,
    ended: Vec<EndedRole>,
}

/// The project whose page a target path is.
fn project_of(path: &str) -> Option<ProjectName> {
    let path: TargetPath = path.parse().ok()?;
    let mut segments = path.segments();
    let is_page = segments.next() == Some("simple");
    let project = segments.next().filter(|_| is_page)?;
    project.parse().ok()
}

/// The project whose list of what is taken away a target path is.
fn list_of(path: &str) -> Option<ProjectName> {
    let name = path.strip_prefix("status/")?.strip_suffix(".json")?;
    name.parse().ok()
}

/// Goes through all roles of a state; what is not here of them is fetched and kept aside. `targets`
/// is the file of the top-level targets.
pub(super) async fn gather(
    shared: &Shared,
    set: &TrustedSet,
    targets: &[u8],
    earlier: Option<Versions>,
    at_once: usize,
) -> Result<Plan, CopyError> {
    let local = LocalTree::new(shared.tree.clone());
    let spool = Spool::new(shared.tree.incoming())?;
    let failed = Mutex::new(None);
    let source = Gathering {
        local: &local,
        upstream: &shared.upstream,
        spool: &spool,
        pace: &shared.pace,
        progress: &shared.progress,
        failed: &failed,
    };
    let mut findings = Findings {
        shared,
        earlier,
        pages: BTreeMap::new(),
        lists: BTreeMap::new(),
        lists_before: BTreeMap::new(),
        touched_lists: BTreeSet::new(),
        touched: BTreeSet::new(),
        before: BTreeMap::new(),
        before_sha512: BTreeMap::new(),
        changed_roles: BTreeSet::new(),
        unclear: None,
        others: 0,
        ended: Vec::new(),
    };
    let mut roles = Inventory::new(set, &source, at_once.max(ROLES_AT_ONCE));
    while let Some(role) = roles.next().await? {
        let bytes = role.bytes.as_deref().unwrap_or(targets);
        findings.take(&role.visited, bytes).await;
        let kept = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = kept {
            return Err(error);
        }
    }
    let Found {
        pages,
        changed,
        relisted,
        lists_gone,
        before,
        earlier,
        changed_roles,
        others,
        mut ended,
    } = findings.conclude(&roles.into_walk());
    // They come as they were fetched.
    ended.sort();
    let mut gone: BTreeSet<ProjectName> = before
        .keys()
        .filter(|project| !pages.contains_key(*project))
        .cloned()
        .collect();
    if earlier.is_none() {
        // Whatever is here, from whenever.
        let here = shared.tree.projects().await?.into_iter();
        gone.extend(here.filter(|project| !pages.contains_key(project)));
    }
    let mut superseded = superseded(set, earlier.as_ref());
    superseded.extend(lists_gone);
    Ok(Plan {
        superseded,
        pages,
        changed,
        relisted,
        gone,
        before,
        changed_roles,
        is_difference: earlier.is_some(),
        others,
        ended,
        spool,
    })
}

/// The metadata of an earlier state that a state does not name any more.
fn superseded(set: &TrustedSet, earlier: Option<&Versions>) -> Vec<ObjectPath> {
    let named = &set.snapshot().meta;
    let old = earlier.into_iter().flatten().filter(|(name, version)| {
        named
            .get(*name)
            .is_none_or(|meta| meta.version != **version)
    });
    old.filter_map(|(name, version)| {
        let role: RoleName = name.strip_suffix(".json")?.parse().ok()?;
        Some(ObjectPath::metadata(&role, *version))
    })
    .collect()
}

/// Files that a role signs for and no page lists: they are copied where everything is.
pub(super) async fn unlisted_files(
    shared: &Shared,
    set: &TrustedSet,
    plan: &Plan,
    mut each: impl AsyncFnMut(ProjectName, String, Sha256, u64) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let local = LocalTree::new(shared.tree.clone());
    let source = Gathered {
        local: &local,
        spool: &plan.spool,
    };
    let mut roles = std::pin::pin!(inventory(set, &source, 1));
    while let Some(role) = roles.next().await {
        let visited = role?.visited;
        if !plan.changed_roles.contains(visited.role()) {
            continue;
        }
        for (path, info) in visited.listed() {
            if let Listed::File {
                project,
                filename,
                sha256,
                length,
            } = Listed::of(path, info)
            {
                each(project, filename, sha256, length).await?;
            }
        }
    }
    Ok(())
}

/// What the last complete state held of the projects that have changed or are gone; `None` where
/// a page of then cannot be read any more.
pub(super) async fn held_before(shared: &Shared, plan: &Plan) -> Option<(u64, Holding)> {
    let mut projects = 0;
    let mut held = Holding::default();
    for (project, sha256) in &plan.before {
        let is_as_it_was = plan
            .pages
            .get(project)
            .is_some_and(|page| page.sha256 == *sha256);
        if is_as_it_was || !shared.selection.chooses(project) {
            continue;
        }
        let holding = shared.holding(project, sha256).await.ok()?;
        projects += 1;
        held.files += holding.files;
        held.bytes += holding.bytes;
    }
    Some((projects, held))
}
