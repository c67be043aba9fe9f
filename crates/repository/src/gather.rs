//! Reads everything a plan needs, so that planning itself is pure.

mod claimed;
mod objects;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wheelmark_objects::{Directory, ObjectPath, file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_store::{Change, NewFile, ReleaseParts};
use wheelmark_tuf::{Handovers, RoleName, Sha256, Sha512, Targets};

use crate::channel::{Pending, Place};
use crate::handed::Handed;
use crate::plan::{Skipped, TakenDraft};
use crate::roles::Family;
use crate::state::{LoadError, State};

use claimed::{need_claimed, need_release, need_returned};
pub use objects::objects_of_entry;
use objects::{flaw_of, need_objects, need_sha512};
pub(crate) use objects::{objects_of, provenance_of, sha512_of, unread};

/// The largest page the engine reads of itself.
const OWN_PAGE_LIMIT: u64 = 256 * 1024 * 1024;

/// The pending changes and the parts of the signed state that they touch.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Pending changes, oldest first in each journal.
    pub(crate) rows: Vec<Pending>,
    /// The bins they touch, and those due for renewal.
    pub(crate) roles: HashMap<RoleName, Targets>,
    /// The pages they touch, with their lengths in bytes; a project that has no page yet is not
    /// here.
    pub(crate) pages: HashMap<ProjectName, (ProjectPage, usize)>,
    /// What is taken away from the claimed projects that they touch.
    pub(crate) taken: HashMap<ProjectName, TakenDraft>,
    /// Which of the uploaded objects are really in the tree.
    pub(crate) present: HashMap<ObjectPath, Option<u64>>,
    /// What is wrong with the provenance of new files, as far as it can be seen without knowing whom
    /// to believe.
    pub(crate) flaws: HashMap<ObjectPath, String>,
    /// Below which URL provenance is served, if pages are to link to it.
    pub(crate) provenance_below: Option<Arc<str>>,
    /// Changes that need something of the index's own that cannot be read.
    pub(crate) damaged: HashMap<Place, String>,
    /// The SHA-512 of files that are to list it and do not yet, which were compared with their
    /// SHA-256 on the way.
    pub(crate) sha512: HashMap<ObjectPath, Sha512>,
    /// Projects whose pages are to list other hashes than they do: all that this needs is here.
    pub(crate) relist: Vec<ProjectName>,
    /// What projects' own people have signed.
    pub(crate) releases: HashMap<Place, Incoming>,
    /// Whether projects can be claimed.
    pub(crate) takes_claims: bool,
    /// Beyond how many bytes a list of claims is split; never, where nothing is said.
    pub(crate) split_above: Option<usize>,
    /// For how long a notice stands before other keys take the place of lost ones, where they can.
    pub(crate) recovery_delay: Option<SignedDuration>,
    /// What a ceremony has brought.
    pub(crate) handed: Option<Handed>,
}

/// A release as it came in, with what it is held against.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The bytes of the project's role.
    pub(crate) metadata: Vec<u8>,
    /// The bytes of its page.
    pub(crate) page: Vec<u8>,
    /// The page, or why it is none.
    pub(crate) read: Result<ProjectPage, String>,
    /// The page that is published, whoever signed it.
    pub(crate) before: Option<ProjectPage>,
    /// The next versions of the project's role under which other files stand in the tree.
    pub(crate) taken: BTreeSet<u64>,
    /// The handovers that the published version of the project's role carries.
    pub(crate) handovers: Handovers,
}

/// Reads what `rows` and the roles in `due` need; `parts` are what stands beside the rows of releases.
///
/// Something of the index's own that is damaged concerns the changes that need it, and no others:
/// it is noted in [`Gathered::damaged`]. A damaged role is taken out of `due`, since nothing can
/// be signed on the ground of it. Errors are what may pass: the file system failing.
pub(crate) async fn gather(
    state: &State,
    tree: &Directory,
    rows: Vec<Pending>,
    mut parts: HashMap<Place, ReleaseParts>,
    skipped: &Skipped,
    now: Timestamp,
    due: &mut Vec<RoleName>,
) -> Result<Gathered, LoadError> {
    let mut gathered = Gathered::default();
    let mut sound = Vec::with_capacity(due.len());
    for role in due.drain(..) {
        match need_role(state, tree, &mut gathered, &role).await {
            Ok(()) => sound.push(role),
            Err(error) if error.is_lasting() => tracing::error!(
                %role,
                error = &error as &dyn std::error::Error,
                "this role cannot be renewed; restore it from a backup or a mirror"
            ),
            Err(error) => return Err(error),
        }
    }
    *due = sound;
    for row in &rows {
        let needed = match row.change.project() {
            Some(project) => need_claimed(state, tree, &mut gathered, project, &row.change).await,
            None => Ok(()),
        };
        if !note(&mut gathered, row, needed)? {
            continue;
        }
        let needed = match &row.change {
            Change::FileAdded(file) => need_new(state, tree, &mut gathered, file).await,
            Change::FileRemoved {
                project, filename, ..
            } => need_listed(state, tree, &mut gathered, project, filename).await,
            Change::FileYanked { project, .. } => {
                need_page(state, tree, &mut gathered, project).await
            }
            Change::FileRestored { project, filename } => {
                need_removed(state, tree, &mut gathered, project, filename).await
            }
            Change::CertificatesSet { project, .. } => {
                need_page(state, tree, &mut gathered, project).await
            }
            Change::StatusSet { project, .. } => {
                need_released(state, tree, &mut gathered, project).await
            }
            Change::ProjectSigned(release) => {
                let come = (release, parts.remove(&row.place));
                need_release(state, tree, &mut gathered, row.place, come, (skipped, now)).await
            }
            Change::ClaimEnded { project } => {
                need_returned(state, tree, &mut gathered, project).await
            }
            // What these need was read above.
            Change::RecoveryAsked(_) | Change::RecoveryEnded { .. } => continue,
            Change::HashesSet { .. } | Change::Renewal | Change::Unreadable(_) => continue,
        };
        note(&mut gathered, row, needed)?;
    }
    gathered.rows = rows;
    Ok(gathered)
}

/// Whether all that a change needs was read. What is damaged of the index's own is noted.
fn note(
    gathered: &mut Gathered,
    row: &Pending,
    needed: Result<(), LoadError>,
) -> Result<bool, LoadError> {
    match needed {
        Ok(()) => Ok(true),
        Err(error) if error.is_lasting() => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, change = %row.place, "the index's own state is damaged");
            gathered.damaged.insert(row.place, error.to_string());
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Reads what one new file needs.
async fn need_new(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    file: &NewFile,
) -> Result<(), LoadError> {
    // One that comes back comes as it was signed, with the objects that it had then.
    need_removed(state, tree, gathered, &file.project, &file.filename).await?;
    need_objects(tree, gathered, objects_of(file)).await?;
    let page = gathered.pages.get(&file.project).map(|(page, _)| page);
    let is_new = page.is_none_or(|page| page.file(&file.filename).is_none());
    if is_new
        && state.listed.sha512()
        && let Ok(path) = ObjectPath::file(&file.project, &file.sha256, &file.filename)
        && let Some(sha512) = sha512_of(tree, &path).await?
    {
        gathered.sha512.insert(path, sha512);
    }
    if let Some(path) = provenance_of(file)
        && let Some(flaw) = flaw_of(tree, &path).await?
    {
        gathered.flaws.insert(path, flaw);
    }
    Ok(())
}

/// Reads what a file needs that comes back, if it is one that was taken away.
async fn need_removed(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
    filename: &str,
) -> Result<(), LoadError> {
    need_listed(state, tree, gathered, project, filename).await?;
    let page = gathered.pages.get(project).map(|(page, _)| page);
    match page.and_then(|page| page.wheelmark.removed.get(filename)) {
        Some(removed) => {
            let objects = objects_of_entry(project, &removed.entry);
            let unread = unread(project, &removed.entry, state.listed);
            need_objects(tree, gathered, objects).await?;
            need_sha512(tree, gathered, unread).await
        }
        None => Ok(()),
    }
}

/// Reads the page of a project and the bins of all its files, and looks for the objects of those
/// that are withheld.
pub(crate) async fn need_project(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
) -> Result<(), LoadError> {
    need_page(state, tree, gathered, project).await?;
    let Some((page, _)) = gathered.pages.get(project) else {
        return Ok(());
    };
    let files = page.files.iter().chain(&page.wheelmark.withheld);
    let bins: BTreeSet<RoleName> = files
        .filter_map(|file| file_target(project, file.filename.as_str()).ok())
        .map(|target| state.bin(Family::Packages, &target))
        .collect();
    let withheld = page.wheelmark.withheld.iter();
    let objects = withheld.flat_map(|entry| objects_of_entry(project, entry));
    let objects: Vec<ObjectPath> = objects.collect();
    for bin in bins {
        need_role(state, tree, gathered, &bin).await?;
    }
    need_objects(tree, gathered, objects).await
}

/// Reads what a project needs whose files may come back.
async fn need_released(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
) -> Result<(), LoadError> {
    need_project(state, tree, gathered, project).await?;
    let page = gathered.pages.get(project).map(|(page, _)| page);
    let withheld = page.map(|page| page.wheelmark.withheld.iter());
    let withheld = withheld.into_iter().flatten();
    let unread: Vec<ObjectPath> = withheld
        .filter_map(|entry| unread(project, entry, state.listed))
        .collect();
    need_sha512(tree, gathered, unread).await
}

/// Reads the page and the bins that speak of a file, or would.
async fn need_listed(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
    filename: &str,
) -> Result<(), LoadError> {
    if let Ok(target) = file_target(project, filename) {
        let bin = state.bin(Family::Packages, &target);
        need_role(state, tree, gathered, &bin).await?;
    }
    need_page(state, tree, gathered, project).await
}

async fn need_role(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    role: &RoleName,
) -> Result<(), LoadError> {
    if !gathered.roles.contains_key(role) {
        gathered
            .roles
            .insert(role.clone(), state.role(tree, role).await?.into_inner());
    }
    Ok(())
}

/// Reads a project's page by the hash that its bin signed, and by no other road.
async fn need_page(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
) -> Result<(), LoadError> {
    let bin = state.bin(Family::Simple, &page_target(project));
    need_role(state, tree, gathered, &bin).await?;
    if gathered.pages.contains_key(project) {
        return Ok(());
    }
    let page = read_page(tree, project, &bin, &gathered.roles[&bin]).await?;
    gathered
        .pages
        .extend(page.map(|page| (project.clone(), page)));
    Ok(())
}

/// Reads the page that a role lists, with its length in bytes; none if it lists none.
pub(crate) async fn read_page(
    tree: &Directory,
    project: &ProjectName,
    role: &RoleName,
    targets: &Targets,
) -> Result<Option<(ProjectPage, usize)>, LoadError> {
    let Some(info) = targets.targets.get(&page_target(project)) else {
        return Ok(None);
    };
    let differs = || LoadError::PageDiffers {
        project: project.to_string(),
        role: role.to_string(),
    };
    let sha256: Sha256 = info.sha256().ok_or_else(differs)?;
    let path = ObjectPath::page(project, &sha256);
    let bytes = tree
        .read(&path, OWN_PAGE_LIMIT)
        .await?
        .ok_or_else(|| LoadError::Missing {
            path: path.as_str().to_owned(),
        })?;
    if Sha256::of(&bytes) != sha256 || bytes.len() as u64 != info.length {
        return Err(differs());
    }
    let page = ProjectPage::parse(&bytes).map_err(|_| differs())?;
    Ok(Some((page, bytes.len())))
}
