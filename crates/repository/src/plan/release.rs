//! Judges what a project's own people have signed (PEP 480, *Uploading* and *Transactions*).
//!
//! ```text
//! keys: those of the delegation, or of the claim ─┐
//! metadata of the project's role                  ├─ judge ─▶ Accepted, or refused whole
//! its page · the page before it, as it was signed ┘
//! ```
//!
//! The row came through the web process, and so did everything beside it: what counts here is what
//! the project's keys have signed, held against the index's own last signed state. A release adds
//! files to the page before it and changes nothing else. It is refused as a whole, or part of the
//! snapshot as a whole.

mod keys;
mod recovery;
mod refusal;

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use wheelmark_objects::{CHUNKS_ABOVE, Kind, MAX_STATUS_PROJECT_LEN, ObjectPath, page_target};
use wheelmark_packaging::simple::{PageFile, ProjectPage, RecoveryNotice, ReleasedFile};
use wheelmark_packaging::{MAX_REQUIRES_PYTHON_LEN, ProjectName};
use wheelmark_store::SignedRelease;
use wheelmark_tuf::{
    DelegatedRole, Key, KeyId, KeySet, MAX_SET_KEYS, Role as _, RoleKeys, RoleName, Sha256,
    TargetInfo, Targets, Verified, is_plain_file, verify,
};

pub(crate) use self::keys::end_delegation;
pub(super) use self::keys::{delegate, demand_suitable, keep_named, replace};
use self::keys::{demand_handed, keys_of};
pub(super) use self::refusal::Refusal;
use super::Skipped;
use crate::gather::{Incoming, objects_of_entry};
use crate::journal_writer::CLOCK_TOLERANCE;
use crate::lifetimes::whole_seconds;
use crate::listed;
use crate::roles;
use crate::state::State;

/// Most new files of one release. The largest of public indexes have a hundred or two: a wheel for
/// each platform and version of Python.
pub(crate) const MAX_RELEASED_FILES: usize = 256;

/// How many versions of a project's role are looked at that others have taken. More than a mishap
/// leaves there, and whoever can plant one can plant any number.
pub(crate) const MOST_PASSED_OVER: u64 = 8;

/// Most keys that sign for one project.
pub(crate) const MAX_CLAIMED_KEYS: usize = MAX_SET_KEYS;

/// For how long a project's role holds at most, a year and some days for those who renew it once a
/// year. Whoever took over the index could show it to clients for as long.
pub(crate) const MAX_PROJECT_LIFE: SignedDuration = SignedDuration::from_hours(400 * 24);

/// For how long it holds at least. A role that has ended keeps copies of the whole index from being
/// made, so that nobody is to let one end from one day to the next.
pub(crate) const MIN_PROJECT_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long a release may be under way between its receipt and the snapshot that takes it in: until
/// the last of those who have to sign has looked at it, holidays included. The time of receipt is the
/// web process's word. What it is worth to whoever has taken that process over is nothing: readers
/// count the age of files from [`LONGEST_UNNOTED`] on from when everybody saw them.
const LONGEST_STAGED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// For how long after their signing files come without it being noted since when everybody sees them.
/// This is how far the time of receipt can be used to pass new files for older ones.
pub(super) const LONGEST_UNNOTED: SignedDuration = SignedDuration::from_hours(1);

/// How far apart the time at which a claim takes files over may lie from its receipt: somebody
/// compares files meanwhile, and is asked.
const LONGEST_CLAIMING: SignedDuration = SignedDuration::from_hours(1);

/// A release that holds.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The project's role.
    pub(super) role: RoleName,
    /// Its new version.
    pub(super) version: u64,
    /// Its bytes, as they were signed.
    pub(super) metadata: Vec<u8>,
    /// The bytes of the project's page.
    pub(super) page: Vec<u8>,
    /// The files that come with it.
    pub(super) new: Vec<PageFile>,
    /// Those that were there before.
    pub(super) before: Vec<PageFile>,
    /// Whose keys sign for the project from now on, where it is a claim.
    pub(super) claim: Option<(Vec<Key>, DelegatedRole)>,
    /// What it is delegated to from now on, where those who signed hand over to others, or others take
    /// the place of keys that were lost. Nothing where an offline key has delegated: a ceremony changes
    /// that.
    pub(super) handed: Option<(Vec<Key>, DelegatedRole)>,
}

/// Judges a release of `project` on `state`; nothing of the project has changed in this snapshot.
pub(super) fn judge(
    state: &State,
    skipped: &Skipped,
    release: &SignedRelease,
    incoming: &Incoming,
    present: &HashMap<ObjectPath, Option<u64>>,
    recovery: (Option<&RecoveryNotice>, Option<SignedDuration>),
    now: Timestamp,
) -> Result<Accepted, Refusal> {
    let project = &release.project;
    let role = roles::project_role(project);
    let Incoming {
        metadata,
        page,
        read,
        before,
        taken,
        handovers,
    } = incoming;
    let targets = demand_signed(state, (skipped, taken), release, metadata, page, now)?;
    let claim = match &release.claim {
        None => None,
        Some(claim) => {
            let keys = keys_of(state, claim)?;
            let delegation = roles::claim(project, &keys, claim, whole_seconds(now));
            Some((keys, delegation))
        }
    };

    let read = read.as_ref().map_err(|why| Refusal::Page(why.clone()))?;
    let before_files = demand_page(project, page, read, before.as_ref())?;
    let expected = listed::targets_of_page(read, page).ok_or(Refusal::Unspecified)?;
    if targets.targets != expected {
        return Err(Refusal::targets(&targets.targets, &expected));
    }
    let takes_over = claim.is_some() || release.recovers.is_some();
    let new = demand_files(release, read, before_files, takes_over, present, now)?;
    if let Some(before) = before {
        demand_open(before, !new.is_empty())?;
    }
    let handed = match &release.recovers {
        Some(recovers) => {
            if !new.is_empty() {
                let what = "it has new files";
                return Err(Refusal::MoreThanRecovery { what });
            }
            let noticed = recovery::demand_noticed(state, release, recovers, recovery, now)?;
            Some(noticed)
        }
        None => demand_handed(state, release, &targets, metadata, handovers, now)?,
    };
    if handed.is_some() && !new.is_empty() {
        return Err(Refusal::FilesAndKeys);
    }
    let handed = handed.filter(|_| !state.is_sealed(project));
    Ok(Accepted {
        role,
        version: targets.version,
        metadata: metadata.clone(),
        page: page.clone(),
        new,
        before: before_files.to_vec(),
        claim,
        handed,
    })
}

/// Whether the project's keys have signed this page as the project's next: everything that can be said
/// without reading the page. `versions` are those that were skipped of any role, and those of the
/// project's under which other files stand in the tree.
pub(crate) fn demand_signed(
    state: &State,
    versions: (&Skipped, &BTreeSet<u64>),
    release: &SignedRelease,
    metadata: &[u8],
    page: &[u8],
    now: Timestamp,
) -> Result<Verified<Targets>, Refusal> {
    for (bytes, stated, what) in [
        (metadata, release.metadata_sha256, "metadata"),
        (page, release.page_sha256, "page"),
    ] {
        if Sha256::of(bytes) != stated {
            return Err(Refusal::Altered { what });
        }
    }
    demand_recent("its receipt", release.received_at, now, LONGEST_STAGED)?;
    let project_role = roles::project_role(&release.project);
    let known = state.delegation_of(&release.project);
    let targets = match (&release.claim, known) {
        _ if release.recovers.is_some() => recovery::demand_signed(state, release, metadata)?,
        (Some(_), Some(_)) => return Err(Refusal::Claimed),
        (None, None) => return Err(Refusal::NotClaimed),
        (None, Some((delegations, role))) => {
            let targets = open(metadata, &delegations.keys, &role.keys)?;
            // Whoever goes by the delegation believes it, and whoever follows the handovers does.
            let handovers = targets.handovers(&project_role)?;
            if let Some(reached) = handovers.reached() {
                open(metadata, reached.keys(), &reached.role_keys())?;
            }
            targets
        }
        (Some(claim), None) => {
            let length = release.project.as_str().len();
            if length > MAX_STATUS_PROJECT_LEN {
                return Err(Refusal::NameTooLong { length });
            }
            let keys = keys_of(state, claim)?;
            if release.keys.is_some() {
                return Err(Refusal::Registered);
            }
            // Each of them signs the first version: nobody registers a key that they do not have.
            let all = RoleKeys::new(&keys, u32::try_from(keys.len()).unwrap_or(u32::MAX));
            let by_id = keys.iter().map(|key| (key.keyid().clone(), key.clone()));
            let targets = open(metadata, &by_id.collect(), &all)?;
            if !targets.handovers(&project_role)?.is_empty() {
                return Err(Refusal::HandoverInClaim);
            }
            targets
        }
    };
    let claim = match &release.claim {
        None => None,
        Some(claim) => Some(KeySet::new(keys_of(state, claim)?, claim.threshold)?),
    };
    demand_role(state, versions, (&project_role, claim), &targets, now)?;
    let is_beside = targets.handovers(&project_role)?.is_beside();
    if !is_plain_file(metadata, is_beside) {
        return Err(Refusal::Beside);
    }
    let path = page_target(&release.project);
    let info = TargetInfo::new(page.len() as u64, Sha256::of(page));
    match targets.targets.get(&path) {
        Some(listed) if *listed == info => Ok(targets),
        Some(_) => Err(Refusal::Target { path }),
        None => Err(Refusal::NoTarget { path }),
    }
}

/// Opens the metadata of a project's role with the keys that count.
fn open(
    metadata: &[u8],
    keys: &std::collections::BTreeMap<KeyId, Key>,
    role: &RoleKeys,
) -> Result<Verified<Targets>, Refusal> {
    verify(metadata, keys, role).map_err(Refusal::Signatures)
}

/// Whether the metadata is the next version of the project's role, and of nothing else.
fn demand_role(
    state: &State,
    versions: (&Skipped, &BTreeSet<u64>),
    (role, claim): (&RoleName, Option<KeySet>),
    targets: &Verified<Targets>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let stated = targets.stated_role();
    if stated != Some(role.as_str()) {
        return Err(Refusal::OtherRole {
            role: role.clone(),
            stated: stated.map(str::to_owned),
        });
    }
    demand_next(state, versions, role, targets.version)?;
    let expires = targets.expires();
    if expires <= now {
        return Err(Refusal::Expired { expires });
    }
    let life = expires.duration_since(now);
    if life > MAX_PROJECT_LIFE {
        return Err(Refusal::TooLong { expires });
    }
    if life < MIN_PROJECT_LIFE {
        return Err(Refusal::TooShort { expires });
    }
    if targets.delegations.is_some() {
        return Err(Refusal::Delegates);
    }
    let mut named = targets.clone().into_inner();
    named.extra.clear();
    named.state_role(role);
    named.restate_handovers(&targets.handovers(role)?);
    // Whoever signed a claim of some keys has signed for no others. One that says nothing of them was
    // signed where all of its keys were.
    if let Some(claim) = claim.filter(|_| targets.states_claim()) {
        named.state_claim(&claim);
    }
    if targets.extra != named.extra {
        return Err(Refusal::MoreThanRole);
    }
    Ok(())
}

/// Whether this is the version that the role has next: the one behind the published one (PEP 480), or,
/// where other files stand under that and those behind it, the first that is free.
///
/// Clients take any version above the one that they know, if it is the one that the snapshot states
/// (TUF 1.0 §5.5.5, §5.6.4). Nothing is passed over for nothing: versions would run out.
fn demand_next(
    state: &State,
    (skipped, taken): (&Skipped, &BTreeSet<u64>),
    role: &RoleName,
    found: u64,
) -> Result<(), Refusal> {
    let published = state.snapshot.role_version(role).unwrap_or(0);
    let next = published.saturating_add(1);
    let skipped = skipped.get(role).copied().unwrap_or(0);
    let free = (next.max(skipped.saturating_add(1))..).find(|version| !taken.contains(version));
    match free.unwrap_or(u64::MAX) {
        free if free == found => Ok(()),
        free if (next..free).contains(&found) => {
            let version = found;
            Err(Refusal::Occupied { version, free })
        }
        next => Err(Refusal::Version { found, next }),
    }
}

/// Whether the page is the one before with other files, in the form in which pages are signed; the
/// files of the one before.
fn demand_page<'a>(
    project: &ProjectName,
    bytes: &[u8],
    read: &ProjectPage,
    before: Option<&'a ProjectPage>,
) -> Result<&'a [PageFile], Refusal> {
    if read.name != *project {
        let found = read.name.clone();
        return Err(Refusal::OtherProject { found });
    }
    let mut expected = before
        .cloned()
        .unwrap_or_else(|| ProjectPage::new(project.clone()));
    expected.files.clone_from(&read.files);
    // What is listed besides follows from the files (PEP 700).
    expected.versions.clear();
    if expected.to_json() != bytes {
        return Err(Refusal::MoreThanFiles);
    }
    Ok(before.map_or(&[], |before| &before.files))
}

/// Whether a project takes what is signed for it.
fn demand_open(before: &ProjectPage, has_new: bool) -> Result<(), Refusal> {
    let status = before.project_status.clone().unwrap_or_default();
    if !status.status.takes_uploads() {
        return Err(Refusal::Closed {
            status: status.status.as_str().to_owned(),
        });
    }
    let certificates = before.wheelmark.certificates.as_ref();
    if has_new && certificates.is_some_and(|bound| bound.required) {
        return Err(Refusal::SignatureRequired);
    }
    Ok(())
}

/// Whether all files of the page before are there as they were, and the others are new ones whose
/// objects are in the tree; the new ones.
fn demand_files(
    release: &SignedRelease,
    page: &ProjectPage,
    before: &[PageFile],
    is_claim: bool,
    present: &HashMap<ObjectPath, Option<u64>>,
    now: Timestamp,
) -> Result<Vec<PageFile>, Refusal> {
    let mut entries: HashMap<&str, &PageFile> = page
        .files
        .iter()
        .map(|file| (file.filename.as_str(), file))
        .collect();
    for known in before {
        let filename = known.filename.as_str();
        let Some(entry) = entries.remove(filename) else {
            let filename = filename.to_owned();
            return Err(Refusal::Missing { filename });
        };
        let is_same = entry == known || is_claim && is_adopted(entry, known, release.received_at);
        if !is_same {
            let filename = filename.to_owned();
            return Err(Refusal::Changed { filename });
        }
    }
    if entries.len() > MAX_RELEASED_FILES {
        let count = entries.len();
        return Err(Refusal::TooManyFiles { count });
    }
    let mut new: Vec<PageFile> = entries.into_values().cloned().collect();
    new.sort_by(|one, other| one.filename.as_str().cmp(other.filename.as_str()));
    for entry in &new {
        demand_new(release, entry, present, now)?;
    }
    Ok(new)
}

/// Whether an entry is what it was, taken over when the claim was received.
fn is_adopted(entry: &PageFile, known: &PageFile, received_at: Timestamp) -> bool {
    let marks = entry.wheelmark.as_ref();
    let Some(at) = marks.and_then(|marks| marks.adopted_at) else {
        return false;
    };
    received_at.duration_since(at).abs() <= LONGEST_CLAIMING
        && !known.is_adopted()
        && known.adopted(at).as_ref() == Some(entry)
}

fn demand_new(
    release: &SignedRelease,
    entry: &PageFile,
    present: &HashMap<ObjectPath, Option<u64>>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let filename = || entry.filename.as_str().to_owned();
    let Some(ReleasedFile {
        size,
        signed_at,
        requires_python,
        chunks_sha256,
        ..
    }) = entry.as_released(&release.project)
    else {
        let filename = filename();
        return Err(Refusal::Entry { filename });
    };
    if requires_python.is_some_and(|requires| {
        requires.len() > MAX_REQUIRES_PYTHON_LEN || requires.contains(char::is_control)
    }) || chunks_sha256.is_some() != (size > CHUNKS_ABOVE)
    {
        let filename = filename();
        return Err(Refusal::Entry { filename });
    }
    // PEP 480: within ten minutes of its receipt.
    let apart = signed_at.duration_since(release.received_at).abs();
    if apart > CLOCK_TOLERANCE {
        let (filename, received_at) = (filename(), release.received_at);
        return Err(Refusal::UploadTime {
            filename,
            signed_at,
            received_at,
        });
    }
    demand_recent("a file's upload time", signed_at, now, LONGEST_STAGED)?;
    for object in objects_of_entry(&release.project, entry) {
        let stated = (object.kind() == Kind::File).then_some(size);
        match present.get(&object) {
            Some(Some(found)) if stated.is_none_or(|stated| stated == *found) => {}
            _ => {
                let path = object.as_str().to_owned();
                return Err(Refusal::NotInTheTree { path });
            }
        }
    }
    Ok(())
}

/// Whether something happened just now: not in the future, and not long ago.
pub(super) fn demand_recent(
    what: &'static str,
    at: Timestamp,
    now: Timestamp,
    most: SignedDuration,
) -> Result<(), Refusal> {
    let since = now.duration_since(at);
    if since > most.saturating_add(CLOCK_TOLERANCE) || since < -CLOCK_TOLERANCE {
        return Err(Refusal::Time { what, at, now });
    }
    Ok(())
}
