//! What a change of a claimed project needs: the page that its own people have signed, what is taken away
//! from it, the lists that say whose keys sign for it, and a release as it came in.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath, file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_TAKEN_AWAY_LEN, ProjectPage, TakenAway};
use wheelmark_store::{Change, MAX_RELEASE_METADATA_LEN, ReleaseParts, SignedRelease};
use wheelmark_tuf::{Handovers, RoleName, Sha256};

use crate::channel::Place;
use crate::plan::{MAX_RELEASED_FILES, MOST_PASSED_OVER, Skipped, TakenDraft, demand_signed};
use crate::publish::is_lasting;
use crate::roles::{self, Family, STATUS, role_name};
use crate::state::{LoadError, State};

use super::objects::{need_objects, objects_of_entry};
use super::{Gathered, Incoming, need_project, need_role, read_page};

/// Reads what a change of a claimed project needs besides: the page that its own people have signed,
/// and what is taken away from it.
pub(super) async fn need_claimed(
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

/// Reads what a release needs: the page that is published, by the project's own role or by the
/// bins, and which objects of its new files are there.
pub(super) async fn need_release(
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
pub(super) async fn need_returned(
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
