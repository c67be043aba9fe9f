//! Reads everything a plan needs, so that planning itself is pure.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wheelmark_objects::{Directory, ObjectError, ObjectPath, file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    MAX_PROVENANCE_LEN, MAX_TAKEN_AWAY_LEN, PageFile, ProjectPage, TakenAway,
};
use wheelmark_provenance::Provenance;
use wheelmark_store::{
    Change, ListedHashes, MAX_RELEASE_METADATA_LEN, NewFile, ReleaseParts, SignedRelease,
};
use wheelmark_tuf::{Handovers, RoleName, Sha256, Sha256Hasher, Sha512, Sha512Hasher, Targets};

use crate::channel::{Pending, Place};
use crate::handed::Handed;
use crate::listed;
use crate::plan::{MAX_RELEASED_FILES, MOST_PASSED_OVER, Skipped, TakenDraft, demand_signed};
use crate::publish::is_lasting;
use crate::roles::{self, Family, STATUS, role_name};
use crate::state::{LoadError, State};

/// The largest page the engine reads of itself.
const OWN_PAGE_LIMIT: u64 = 256 * 1024 * 1024;

/// How much of a file is in memory while it is hashed.
const READ_AT_ONCE: usize = 256 * 1024;

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

/// Reads what a change of a claimed project needs besides: the page that its own people have signed,
/// and what is taken away from it.
async fn need_claimed(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
    change: &Change,
) -> Result<(), LoadError> {
    let is_about_it = match change {
        Change::FileRemoved { .. }
        | Change::FileRestored { .. }
        | Change::FileYanked { .. }
        | Change::StatusSet { .. }
        | Change::ClaimEnded { .. }
        | Change::RecoveryAsked(_)
        | Change::RecoveryEnded { .. } => state.delegation_of(project).is_some(),
        // A release reads it once its signatures hold.
        Change::ProjectSigned(_)
        | Change::FileAdded(_)
        | Change::CertificatesSet { .. }
        | Change::HashesSet { .. }
        | Change::Renewal
        | Change::Unreadable(_) => false,
    };
    if !is_about_it {
        return Ok(());
    }
    need_taken(state, tree, gathered, project).await?;
    if let Change::FileRestored { filename, .. } = change {
        let page = gathered.pages.get(project).map(|(page, _)| page);
        let file = page.and_then(|page| page.file(filename));
        let objects = file.map(|file| objects_of_entry(project, file));
        need_objects(tree, gathered, objects.unwrap_or_default()).await?;
    }
    Ok(())
}

/// Reads what is taken away from a project, by the hash that `status` signed.
async fn need_taken(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
) -> Result<(), LoadError> {
    if gathered.taken.contains_key(project) {
        return Ok(());
    }
    need_role(state, tree, gathered, &role_name(STATUS)).await?;
    let signed = match state.delegation_of(project) {
        Some(_) => need_own_page(state, tree, gathered, project).await?,
        None => None,
    };
    let differs = || LoadError::ListDiffers {
        project: project.to_string(),
    };
    let list = match state.taken_away.get(project) {
        None => TakenAway::nothing(project.clone()),
        Some(sha256) => {
            let path = ObjectPath::status(project, sha256).map_err(|_| differs())?;
            let bytes = tree.read(&path, MAX_TAKEN_AWAY_LEN as u64).await?;
            let bytes = bytes.ok_or_else(|| LoadError::Missing {
                path: path.as_str().to_owned(),
            })?;
            if Sha256::of(&bytes) != *sha256 {
                return Err(differs());
            }
            TakenAway::parse(&bytes, project).map_err(|_| differs())?
        }
    };
    let draft = TakenDraft::new(list, signed);
    gathered.taken.insert(project.clone(), draft);
    Ok(())
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

/// Reads what a release needs: the page that is published, by the project's own role or by the
/// bins, and which objects of its new files are there.
async fn need_release(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    place: Place,
    (release, parts): (&SignedRelease, Option<ReleaseParts>),
    (skipped, now): (&Skipped, Timestamp),
) -> Result<(), LoadError> {
    let Some(ReleaseParts { metadata, page }) = parts else {
        return Ok(());
    };
    let project = &release.project;
    let taken = taken_versions(state, tree, project, &metadata).await?;
    let versions = (skipped, &taken);
    let is_signed = demand_signed(state, versions, release, &metadata, &page, now).is_ok();
    // Whoever is in the web process can write what they like there: what nobody has signed is refused
    // without being read.
    if !is_signed {
        let (read, before) = (Err("it was not read".to_owned()), None);
        let incoming = Incoming {
            metadata,
            page,
            read,
            before,
            taken,
            handovers: Handovers::default(),
        };
        gathered.releases.insert(place, incoming);
        return Ok(());
    }
    // Also of a claim: its files may be some that nobody has seen for a while.
    need_taken(state, tree, gathered, project).await?;
    let mut handovers = Handovers::default();
    if state.delegation_of(project).is_some() {
        handovers = handovers_of(state, tree, project).await?;
    } else {
        need_project(state, tree, gathered, project).await?;
    }
    if release.claim.is_some() || release.keys.is_some() || release.recovers.is_some() {
        need_lists(state, tree, gathered, project).await?;
    }
    let before = gathered.pages.get(project).map(|(page, _)| page.clone());
    let read = ProjectPage::parse(&page).map_err(|error| error.to_string());
    if let Ok(read) = &read {
        let known: HashSet<&str> = before
            .iter()
            .flat_map(|page| page.files.iter())
            .map(|file| file.filename.as_str())
            .collect();
        let new = read.files.iter();
        let new = new.filter(|file| !known.contains(file.filename.as_str()));
        // More are refused, whatever is there.
        let new = new.take(MAX_RELEASED_FILES);
        let objects = new.flat_map(|entry| objects_of_entry(project, entry));
        need_objects(tree, gathered, objects.collect()).await?;
    }
    gathered.releases.insert(
        place,
        Incoming {
            metadata,
            page,
            read,
            before,
            taken,
            handovers,
        },
    );
    Ok(())
}

/// The versions right behind the published one of a project's role under which the tree has another
/// file than this one. Nobody has published it: the snapshot does not list that version. So it is what
/// somebody else has put there who can write to the tree.
async fn taken_versions(
    state: &State,
    tree: &Directory,
    project: &ProjectName,
    metadata: &[u8],
) -> Result<BTreeSet<u64>, LoadError> {
    let role = roles::project_role(project);
    let published = state.snapshot.role_version(&role).unwrap_or(0);
    let mut taken = BTreeSet::new();
    for version in (1..=MOST_PASSED_OVER).map(|step| published.saturating_add(step)) {
        let path = ObjectPath::metadata(&role, version);
        let is_taken = match tree.read(&path, MAX_RELEASE_METADATA_LEN as u64).await {
            Ok(None) => false,
            // What a crash has left of this very release is written again.
            Ok(Some(bytes)) => bytes != metadata,
            // One that cannot be read is none of this index's either.
            Err(error) if is_lasting(&error) || error.is_denied() => true,
            Err(error) => return Err(error.into()),
        };
        if !is_taken {
            break;
        }
        taken.insert(version);
    }
    Ok(taken)
}

/// Reads what a project needs that goes back into the bins: its page, and all bins that list it.
async fn need_returned(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
) -> Result<(), LoadError> {
    need_lists(state, tree, gathered, project).await?;
    let bin = state.bin(Family::Simple, &page_target(project));
    need_role(state, tree, gathered, &bin).await?;
    if state.delegation_of(project).is_some() {
        need_own_page(state, tree, gathered, project).await?;
    }
    let page = gathered.pages.get(project);
    let files = page.into_iter().flat_map(|(page, _)| page.files.iter());
    let bins: BTreeSet<RoleName> = files
        .filter_map(|file| file_target(project, file.filename.as_str()).ok())
        .map(|target| state.bin(Family::Packages, &target))
        .collect();
    for bin in bins {
        need_role(state, tree, gathered, &bin).await?;
    }
    Ok(())
}

/// Reads the page of a claimed project by the hash that its own role signed, which is given back.
async fn need_own_page(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
) -> Result<Option<Sha256>, LoadError> {
    let role = roles::project_role(project);
    let targets = state.role(tree, &role).await?;
    if !gathered.pages.contains_key(project) {
        let page = read_page(tree, project, &role, &targets).await?;
        gathered
            .pages
            .extend(page.map(|page| (project.clone(), page)));
    }
    let info = targets.targets.get(&page_target(project));
    Ok(info.and_then(|info| info.sha256()))
}

/// The handovers that a claimed project's role carries, as it was published.
async fn handovers_of(
    state: &State,
    tree: &Directory,
    project: &ProjectName,
) -> Result<Handovers, LoadError> {
    let role = roles::project_role(project);
    let targets = state.role(tree, &role).await?;
    // Of what was verified: the newest one's signatures may stand beside it.
    let read = targets.handovers(&role);
    read.map_err(|source| LoadError::Handovers {
        role: role.to_string(),
        source: Box::new(source),
    })
}

/// The SHA-512 of an object, if its bytes have the SHA-256 that it is named after.
pub(crate) async fn sha512_of(
    tree: &Directory,
    path: &ObjectPath,
) -> Result<Option<Sha512>, LoadError> {
    let object = match tree.open_object(path).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(None),
        Err(error) if is_lasting(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let hashed = tokio::task::spawn_blocking(move || {
        let mut file = object.file;
        let (mut sha256, mut sha512) = (Sha256Hasher::new(), Sha512Hasher::new());
        let mut piece = vec![0; READ_AT_ONCE];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok((sha256.finish(), sha512.finish())),
                read => {
                    sha256.update(&piece[..read]);
                    sha512.update(&piece[..read]);
                }
            }
        }
    });
    let hashed: std::io::Result<_> = hashed.await.unwrap_or_else(|error| Err(error.into()));
    let (sha256, sha512) = hashed.map_err(|source| LoadError::File {
        path: path.as_str().to_owned(),
        source,
    })?;
    Ok((path.sha256() == Some(sha256)).then_some(sha512))
}

/// What is wrong with a provenance that an upload placed, if anything is; one that is not there is
/// told of with the other objects.
///
/// Who made its attestations is not asked. Whom a project trusts stands in the catalogue, which the
/// web process writes: whoever has taken that over would be believed anyway, and readers go by
/// whom they trust themselves.
async fn flaw_of(tree: &Directory, path: &ObjectPath) -> Result<Option<String>, LoadError> {
    let bytes = match tree.read(path, MAX_PROVENANCE_LEN as u64).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(ObjectError::TooLarge { .. } | ObjectError::NotPlain { .. }) => {
            return Ok(Some(format!("{path} is too long, or no file")));
        }
        Err(error) => return Err(error.into()),
    };
    if Some(Sha256::of(&bytes)) != path.sha256() {
        return Ok(Some(format!(
            "{path} is something else than it is named for"
        )));
    }
    Ok(Provenance::parse(&bytes)
        .err()
        .map(|error| format!("{path} is no provenance: {error}")))
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

/// A file that has to be read before its entry can list what it is to.
pub(crate) fn unread(
    project: &ProjectName,
    entry: &PageFile,
    listed: ListedHashes,
) -> Option<ObjectPath> {
    if !listed.sha512() || listed::sha512_of(entry).is_some() {
        return None;
    }
    let sha256 = Sha256(entry.sha256()?.into());
    ObjectPath::file(project, &sha256, entry.filename.as_str()).ok()
}

/// Reads files for their SHA-512.
async fn need_sha512(
    tree: &Directory,
    gathered: &mut Gathered,
    files: impl IntoIterator<Item = ObjectPath>,
) -> Result<(), LoadError> {
    for path in files {
        if !gathered.sha512.contains_key(&path)
            && let Some(sha512) = sha512_of(tree, &path).await?
        {
            gathered.sha512.insert(path, sha512);
        }
    }
    Ok(())
}

/// Looks which of the objects are in the tree.
async fn need_objects(
    tree: &Directory,
    gathered: &mut Gathered,
    objects: Vec<ObjectPath>,
) -> Result<(), LoadError> {
    for object in objects {
        if let Entry::Vacant(place) = gathered.present.entry(object) {
            let size = tree.size(place.key()).await?;
            place.insert(size);
        }
    }
    Ok(())
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

/// The objects that an upload placed in the tree before it was written to the journal.
pub(crate) fn objects_of(file: &NewFile) -> Vec<ObjectPath> {
    let (project, name) = (&file.project, file.filename.as_str());
    let mut objects = Vec::new();
    objects.extend(ObjectPath::file(project, &file.sha256, name).ok());
    if let Some(sha256) = &file.core_metadata_sha256 {
        objects.extend(ObjectPath::file_metadata(project, sha256, name).ok());
    }
    if let Some(sha256) = &file.chunks_sha256 {
        objects.extend(ObjectPath::chunks(project, sha256, name).ok());
    }
    if let Some(signature) = &file.gpg_signature {
        objects.extend(ObjectPath::signature(project, &signature.sha256, name).ok());
    }
    objects.extend(provenance_of(file));
    objects
}

/// The provenance that an upload placed in the tree, if it has one.
pub(crate) fn provenance_of(file: &NewFile) -> Option<ObjectPath> {
    let sha256 = file.provenance_sha256.as_ref()?;
    ObjectPath::provenance(&file.project, sha256, &file.filename).ok()
}

/// The objects of a file that a page lists, or listed.
pub fn objects_of_entry(project: &ProjectName, entry: &PageFile) -> Vec<ObjectPath> {
    let name = entry.filename.as_str();
    let own = |sha256: wheelmark_packaging::simple::Sha256Hex| Sha256(*sha256.as_bytes());
    let core_metadata = entry.core_metadata.as_ref();
    let marks = entry.wheelmark.as_ref();
    let file = entry.sha256().map(own);
    let metadata = core_metadata.and_then(|hashes| hashes.sha256()).map(own);
    let chunks = marks.and_then(|marks| marks.chunks_sha256).map(own);
    let signature = marks.and_then(|marks| marks.gpg_sig);
    let signature = signature.map(|signature| own(signature.sha256));
    let provenance = marks.and_then(|marks| marks.provenance_sha256).map(own);
    let mut objects = Vec::new();
    objects.extend(file.and_then(|digest| ObjectPath::file(project, &digest, name).ok()));
    objects
        .extend(metadata.and_then(|digest| ObjectPath::file_metadata(project, &digest, name).ok()));
    objects.extend(chunks.and_then(|digest| ObjectPath::chunks(project, &digest, name).ok()));
    objects.extend(signature.and_then(|digest| ObjectPath::signature(project, &digest, name).ok()));
    objects
        .extend(provenance.and_then(|digest| ObjectPath::provenance(project, &digest, name).ok()));
    objects
}

/// Reads the lists that say whose keys sign for a project, as far as the online key signs them.
async fn need_lists(
    state: &State,
    tree: &Directory,
    gathered: &mut Gathered,
    project: &ProjectName,
) -> Result<(), LoadError> {
    for list in state.claims.lists_for(project) {
        need_role(state, tree, gathered, &list).await?;
    }
    Ok(())
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
