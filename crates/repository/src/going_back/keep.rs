//! What is kept of what came since, project by project.
//!
//! Nothing is believed here but what the two states have signed. A release of a project's own people holds
//! by the keys that the last good state names (and by those to which these have handed over), so that keys
//! which only the stolen key vouched for bring nothing in.

use std::collections::{BTreeMap, BTreeSet};

use wheelmark_objects::{ObjectPath, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage, Removed, Status, TakenAway};
use wheelmark_tuf::{Sha256, Targets, Verified, verify};

use super::merge::{Merged, page_in};
use super::side::{Side, page_of};
use super::{GoBackError, Kept};
use crate::handed::said;
use crate::listed;
use crate::roles;
use crate::snapshot_bytes::RoleFile;
use crate::state::OWN_METADATA_LIMIT;

/// Keeps what is said of a project that signs for itself.
pub(super) async fn own(
    merged: &mut Merged,
    good: Side<'_>,
    present: Side<'_>,
    project: &ProjectName,
    kept: &BTreeSet<Kept>,
) -> Result<(), GoBackError> {
    if kept.contains(&Kept::Release) {
        release(merged, good, present, project).await?;
    }
    let is_owned = present.state.delegation_of(project).is_some();
    if !is_owned && kept.iter().any(|kept| *kept != Kept::Release) {
        let why = "it signs for itself again, and what the index says of it now is the page of one that does not";
        return Err(refused(project, why));
    }
    let nothing = || TakenAway::nothing(project.clone());
    let now = present.list(project).await?.unwrap_or_else(nothing);
    let then = good.list(project).await?.unwrap_or_else(nothing);
    let mut list = then.clone();
    for kept in kept {
        match kept {
            Kept::Release => {}
            Kept::Status => list.state.clone_from(&now.state),
            Kept::TakenAway => {
                list.recovery.clone_from(&now.recovery);
                list.visible_since.clone_from(&now.visible_since);
            }
            Kept::File(name) => {
                of_now(&mut list.withdrawn, &now.withdrawn, name);
                of_now(&mut list.yanked, &now.yanked, name);
                of_now(&mut list.visible_since, &now.visible_since, name);
            }
            Kept::Page | Kept::Certificates => {
                let why = "it signs for itself, and the index does not sign its page";
                return Err(refused(project, why));
            }
        }
    }
    if list != then {
        merged.put_list(project, &list);
    }
    Ok(())
}

/// Takes over what one of the lists says of a name now.
fn of_now<T: Clone>(list: &mut BTreeMap<String, T>, now: &BTreeMap<String, T>, name: &str) {
    match now.get(name) {
        Some(said) => drop(list.insert(name.to_owned(), said.clone())),
        None => drop(list.remove(name)),
    }
}

/// Keeps what a project's own people have signed since.
async fn release(
    merged: &mut Merged,
    good: Side<'_>,
    present: Side<'_>,
    project: &ProjectName,
) -> Result<(), GoBackError> {
    let role = roles::project_role(project);
    let no = |why: &str| refused(project, why);
    let file = present.state.snapshot.role(&role);
    let file = file.ok_or_else(|| no("no role of its own is published"))?;
    let before = merged.state.snapshot.role(&role);
    if before == Some(file) {
        return Ok(());
    }
    if before.is_some_and(|before| before.version >= file.version) {
        return Err(no("its own role has no later version than it had"));
    }
    let path = ObjectPath::metadata(&role, file.version);
    let bytes = present.tree.read(&path, OWN_METADATA_LIMIT).await?;
    let bytes = bytes.ok_or_else(|| no("its own role is not in the tree"))?;
    let sha256 = Sha256::of(&bytes);
    if file.sha256.is_some_and(|listed| listed != sha256) {
        return Err(no("its own role is not the one that is published"));
    }
    let signs = merged.state.keys_of(&role);
    let (keys, role_keys) = signs.ok_or_else(|| no("nobody signs for it"))?;
    let by_whom = "its own role is not signed by the keys that the last good state names";
    let targets: Verified<Targets> = verify(&bytes, keys, role_keys)
        .map_err(|error| no(&format!("{by_whom}: {}", said(&error))))?;
    let handovers = targets.handovers(&role);
    let handovers = handovers.map_err(|error| no(&said(&error)))?;
    if let Some(reached) = handovers.reached() {
        let by_last: Result<Verified<Targets>, _> =
            verify(&bytes, reached.keys(), &reached.role_keys());
        by_last.map_err(|error| no(&format!("{by_whom}: {}", said(&error))))?;
    }
    let is_role = targets.stated_role() == Some(role.as_str()) && targets.version == file.version;
    if !is_role || targets.delegations.is_some() {
        return Err(no("its own role is that of another"));
    }
    let (next, page) = signed_page(present, project, &targets).await?;
    if before.is_some() {
        demand_all_of_before(good, project, &next).await?;
    }
    let file = RoleFile::of_others(file.version, &bytes);
    merged.state.snapshot.set_role(&role, file);
    merged.released.insert(project.clone(), page);
    Ok(())
}

/// The page that a project's role lists, with its digest; the role lists nothing else than this page does.
async fn signed_page(
    present: Side<'_>,
    project: &ProjectName,
    targets: &Targets,
) -> Result<(ProjectPage, Sha256), GoBackError> {
    let no = |why: &str| refused(project, why);
    let sha256 = page_of(targets, project).ok_or_else(|| no("its own role lists no page"))?;
    let path = ObjectPath::page(project, &sha256);
    let bytes = present.tree.read(&path, OWN_METADATA_LIMIT).await?;
    let bytes = bytes.filter(|bytes| Sha256::of(bytes) == sha256);
    let bytes = bytes.ok_or_else(|| no("its page is not in the tree as it was signed"))?;
    let page = ProjectPage::parse(&bytes).map_err(|error| no(&said(&error)))?;
    let lists = listed::targets_of_page(&page, &bytes);
    match page.name == *project && lists.as_ref() == Some(&targets.targets) {
        true => Ok((page, sha256)),
        false => Err(no("its own role lists something else than its page")),
    }
}

/// Whether all files of the last good page are there with their bytes: a release adds to what was there.
async fn demand_all_of_before(
    good: Side<'_>,
    project: &ProjectName,
    next: &ProjectPage,
) -> Result<(), GoBackError> {
    let role = roles::project_role(project);
    let before = good.state.role(good.tree, &role).await;
    let before = before.map_err(GoBackError::LastGood)?;
    let page = page_target(project);
    let files = before.targets.iter().filter(|(path, _)| **path != page);
    for (path, info) in files {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        let then = info.sha256();
        let now = next.file(name).and_then(PageFile::sha256);
        if now.map(|now| Sha256(*now.as_bytes())) != then {
            let why = format!("{name} had other bytes, or is there no more");
            return Err(refused(project, &why));
        }
    }
    Ok(())
}

/// What a page says of a name.
#[derive(Clone)]
enum Slot {
    /// A file that it lists, or withholds.
    File(Box<PageFile>),
    /// One that was removed.
    Removed(Box<Removed>),
}

impl Slot {
    fn entry(&self) -> &PageFile {
        match self {
            Self::File(entry) => entry,
            Self::Removed(removed) => &removed.entry,
        }
    }

    /// Whether it is fetched from where an index has it: plain installers go where the page says.
    fn is_where_it_belongs(&self, project: &ProjectName) -> bool {
        let entry = self.entry();
        let own = PageFile::new(project, entry.filename.clone(), entry.hashes.clone());
        entry.url == own.url
    }

    fn sha256(&self) -> Option<[u8; 32]> {
        self.entry().sha256().map(|sha256| *sha256.as_bytes())
    }
}

/// Keeps what the page of a project says that the index signs for.
pub(super) async fn page(
    merged: &mut Merged,
    good: Side<'_>,
    present: Side<'_>,
    project: &ProjectName,
    kept: &BTreeSet<Kept>,
) -> Result<(), GoBackError> {
    let now = present.seen(project).await?;
    let Some(now) = now else {
        return Err(refused(project, "it has no page now"));
    };
    // That of a claim that has just ended is in neither state's bins.
    let then = match merged.pages.get(project) {
        Some(bytes) => ProjectPage::parse(bytes).ok(),
        None => page_in(good, project).await?,
    };
    let is_new = then.is_none();
    let mut page = then
        .clone()
        .unwrap_or_else(|| ProjectPage::new(project.clone()));
    let slots_now = slots(&now);
    let mut slots = slots(&page);
    for kept in kept {
        match kept {
            // Of a page that was not there, it is the page alone that is kept, and nothing that it says.
            Kept::Page if is_new => {}
            Kept::Page => {
                page.meta.clone_from(&now.meta);
                page.extra.clone_from(&now.extra);
                page.unrecognised.clone_from(&now.unrecognised);
                page.wheelmark.extra.clone_from(&now.wheelmark.extra);
            }
            Kept::Status => page.project_status.clone_from(&now.project_status),
            Kept::Certificates => {
                page.wheelmark
                    .certificates
                    .clone_from(&now.wheelmark.certificates);
            }
            Kept::File(name) => keep_file(project, &mut slots, name, slots_now.get(name))?,
            Kept::Release => {
                for (name, slot) in &slots_now {
                    keep_file(project, &mut slots, name, Some(slot))?;
                }
            }
            Kept::TakenAway => {
                let why = "it does not sign for itself, and nothing is taken away from it beside its page";
                return Err(refused(project, why));
            }
        }
    }
    fill(&mut page, slots);
    merged.put_page(project, then.as_ref(), page)
}

fn keep_file(
    project: &ProjectName,
    slots: &mut BTreeMap<String, Slot>,
    name: &str,
    now: Option<&Slot>,
) -> Result<(), GoBackError> {
    let no = |why: &str| refused(project, &format!("{}: {why}", name.escape_debug()));
    let Some(now) = now else {
        return Err(no("the page does not know it now"));
    };
    if !now.is_where_it_belongs(project) {
        return Err(no("its URL is none that an index writes"));
    }
    match (slots.get(name).map(Slot::sha256), now.sha256()) {
        (_, None) => return Err(no("it has no sha256")),
        (Some(then), now) if then != now => {
            return Err(no(
                "it had other bytes in the last good state, and the bytes of a name never change",
            ));
        }
        _ => {}
    }
    slots.insert(name.to_owned(), now.clone());
    Ok(())
}

fn slots(page: &ProjectPage) -> BTreeMap<String, Slot> {
    let files = page.files.iter().chain(&page.wheelmark.withheld);
    let files = files.map(|file| {
        let name = file.filename.as_str().to_owned();
        (name, Slot::File(Box::new(file.clone())))
    });
    let removed = page.wheelmark.removed.iter();
    let removed =
        removed.map(|(name, removed)| (name.clone(), Slot::Removed(Box::new(removed.clone()))));
    files.chain(removed).collect()
}

/// Lists the files of a page, or withholds them, as its state says.
fn fill(page: &mut ProjectPage, slots: BTreeMap<String, Slot>) {
    let (mut files, mut removed) = (Vec::new(), BTreeMap::new());
    for (name, slot) in slots {
        match slot {
            Slot::File(entry) => files.push(*entry),
            Slot::Removed(gone) => drop(removed.insert(name, *gone)),
        }
    }
    let status = page.project_status.as_ref().map(|status| &status.status);
    let withholds = status == Some(&Status::Quarantined);
    (page.files, page.wheelmark.withheld) = match withholds {
        true => (Vec::new(), files),
        false => (files, Vec::new()),
    };
    page.wheelmark.removed = removed;
}

fn refused(project: &ProjectName, why: &str) -> GoBackError {
    GoBackError::Keep {
        project: project.clone(),
        why: why.to_owned(),
    }
}
