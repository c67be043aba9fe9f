//! Decides the next snapshot. Pure: what goes in decides what comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use wheelmark_objects::{ObjectPath, file_target, page_target};
use wheelmark_packaging::simple::{
    Hashes, MAX_PAGE_FILES, MAX_PAGE_LEN, Marks, PageFile, ProjectPage, Signed,
};
use wheelmark_packaging::{DistributionFilename, MAX_REQUIRES_PYTHON_LEN, ProjectName};
use wheelmark_store::{Change, NewFile, Seq};
use wheelmark_tuf::{RoleName, Sha256, TargetInfo, TargetPath, Targets};

use crate::gather::{Gathered, objects_of};
use crate::intent::{NamedFile, NamedPage};
use crate::lifetimes::{Lifetimes, whole_seconds};
use crate::roles::Family;
use crate::snapshot_bytes::SnapshotBytes;
use crate::state::State;

/// How far in the future an upload's time may lie (PEP 480 allows ten minutes between the
/// clocks of signer and index).
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// What the next snapshot is to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// New content of online roles, with their new versions and expiries.
    pub(crate) roles: BTreeMap<RoleName, Targets>,
    /// New pages, as the bytes that are hashed, stored and served.
    pub(crate) pages: BTreeMap<ProjectName, Vec<u8>>,
    /// The patched snapshot; `None` where only the timestamp is renewed.
    pub(crate) snapshot: Option<SnapshotBytes>,
    pub(crate) timestamp_version: u64,
    pub(crate) timestamp_expires: Timestamp,
    /// How far the journal is followed.
    pub(crate) through: Seq,
    /// What became of each pending change, in journal order.
    pub(crate) outcomes: Vec<(Seq, Decision)>,
    /// Plain names to be made once the snapshot stands.
    pub(crate) files: Vec<NamedFile>,
    pub(crate) named_pages: Vec<NamedPage>,
    /// Projects that appear for the first time.
    pub(crate) new_projects: BTreeSet<ProjectName>,
}

/// What is decided about one pending change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is part of this snapshot (or was part of an earlier one already).
    Published,
    /// It is not, and never will be.
    Refused(String),
}

/// Version numbers that must not be used again, because another file stands under them.
pub(crate) type Skipped = HashMap<RoleName, u64>;

/// Plans the next snapshot: every pending change, the roles in `due`, and what follows from them.
pub(crate) fn plan(
    state: &State,
    gathered: Gathered,
    due: &[RoleName],
    skipped: &Skipped,
    lifetimes: &Lifetimes,
    now: Timestamp,
) -> Plan {
    let Gathered {
        rows,
        mut roles,
        mut pages,
        present,
        damaged,
    } = gathered;
    let mut through = state.journal;
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut touched = BTreeSet::new();
    let mut changed: BTreeSet<RoleName> = due.iter().cloned().collect();
    let place_in_due: HashMap<&RoleName, usize> = due.iter().zip(0..).collect();
    let mut files = Vec::new();

    for row in rows {
        through = through.max(row.seq);
        let decision = match row.change {
            Change::FileRemoved { filename, .. } | Change::FileYanked { filename, .. } => {
                Decision::Refused(format!("{filename} cannot be changed by this version"))
            }
            Change::Unreadable(why) => Decision::Refused(format!("unreadable change: {why}")),
            Change::FileAdded(file) => {
                let page = pages.get(&file.project).map(|(page, _)| page);
                let examined = match damaged.get(&row.seq) {
                    Some(why) => Examined::Decided(Decision::Refused(format!(
                        "the index's own state is damaged: {why}"
                    ))),
                    None => examine(state, &file, page, &present, now),
                };
                match examined {
                    Examined::New(filename, target) => {
                        let bin = state.bin(Family::Packages, &target);
                        let content = roles.get_mut(&bin).expect("gathered with the change");
                        let info = TargetInfo::new(file.size, file.sha256);
                        let project = file.project.clone();
                        let entry = pages.entry(project.clone());
                        let (page, length) =
                            entry.or_insert_with(|| (ProjectPage::new(project.clone()), 0));
                        let named = NamedFile::of(&file);
                        let listed = page_file(file, filename, now);
                        let grown = *length + length_of(&project, &listed);
                        if content
                            .targets
                            .get(&target)
                            .is_some_and(|known| *known != info)
                        {
                            Decision::Refused(other_hash(&named.filename, &bin))
                        } else if page.files.len() >= MAX_PAGE_FILES || grown > MAX_PAGE_LEN {
                            Decision::Refused(format!(
                                "the page of {project} is full: {} files, {length} bytes",
                                page.files.len()
                            ))
                        } else {
                            content.targets.insert(target, info);
                            changed.insert(bin);
                            page.files.push(listed);
                            *length = grown;
                            files.push(named);
                            touched.insert(project);
                            Decision::Published
                        }
                    }
                    Examined::Decided(decision) => decision,
                }
            }
        };
        outcomes.push((row.seq, decision));
    }

    let mut new_pages = BTreeMap::new();
    let mut named_pages = Vec::new();
    let mut new_projects = BTreeSet::new();
    for project in touched {
        let bytes = pages[&project].0.to_json();
        let sha256 = Sha256::of(&bytes);
        let target = page_target(&project);
        let bin = state.bin(Family::Simple, &target);
        roles
            .get_mut(&bin)
            .expect("gathered with the change")
            .targets
            .insert(target, TargetInfo::new(bytes.len() as u64, sha256));
        changed.insert(bin);
        named_pages.push(NamedPage {
            project: project.clone(),
            sha256,
        });
        if !state.projects.contains(&project) {
            new_projects.insert(project.clone());
        }
        new_pages.insert(project, bytes);
    }

    let next = |role: &str, current: u64| {
        let floor = role
            .parse::<RoleName>()
            .ok()
            .and_then(|role| skipped.get(&role).copied())
            .unwrap_or(0);
        current.max(floor) + 1
    };
    roles.retain(|role, _| changed.contains(role));
    let snapshot_due = lifetimes.top_is_due(state.snapshot.expires(), now);
    let snapshot = (!roles.is_empty() || snapshot_due).then(|| {
        let mut snapshot = state.snapshot.clone();
        for (role, content) in &mut roles {
            content.version = next(role.as_str(), content.version);
            content.expires = match place_in_due.get(role) {
                Some(place) => {
                    lifetimes.of_renewed_bin(now, *place, due.len(), state.schedule.len())
                }
                None => lifetimes.online_from(now),
            };
            snapshot.set_role(role, content.version);
        }
        snapshot.set_header(
            next("snapshot", snapshot.version()),
            lifetimes.online_from(now),
        );
        snapshot
    });

    Plan {
        roles: roles.into_iter().collect(),
        pages: new_pages,
        snapshot,
        timestamp_version: next("timestamp", state.timestamp_version),
        timestamp_expires: lifetimes.online_from(now),
        through,
        outcomes,
        files,
        named_pages,
        new_projects,
    }
}

enum Examined {
    New(DistributionFilename, TargetPath),
    Decided(Decision),
}

/// Judges a new file against the signed page. The journal was written by the web process, so
/// every rule that protects what is already signed is kept here, whatever was checked before.
fn examine(
    state: &State,
    file: &NewFile,
    page: Option<&ProjectPage>,
    present: &HashMap<ObjectPath, Option<u64>>,
    now: Timestamp,
) -> Examined {
    let refuse = |why: String| Examined::Decided(Decision::Refused(why));
    let filename = match DistributionFilename::parse_for(&file.project, &file.filename) {
        Ok(filename) => filename,
        Err(error) => return refuse(format!("{}: {error}", file.filename)),
    };
    if let Some(requires) = &file.requires_python
        && (requires.len() > MAX_REQUIRES_PYTHON_LEN || requires.contains(char::is_control))
    {
        return refuse(format!(
            "the Requires-Python of {} is too long or has control characters",
            file.filename
        ));
    }
    let Ok(target) = file_target(&file.project, &file.filename) else {
        return refuse(format!("{} cannot be a target path", file.filename));
    };
    if state.is_claimed(&page_target(&file.project)) || state.is_claimed(&target) {
        return refuse(format!(
            "{} is claimed: its own keys must sign this release",
            file.project
        ));
    }
    let known = page.and_then(|page| {
        page.files
            .iter()
            .find(|known| known.filename.as_str() == file.filename)
    });
    if let Some(known) = known {
        let same = known
            .hashes
            .sha256()
            .is_some_and(|known| known.0 == file.sha256.0);
        return if same {
            Examined::Decided(Decision::Published)
        } else {
            refuse(format!(
                "{} is published with another sha256, which never changes",
                file.filename
            ))
        };
    }
    if file.uploaded_at.duration_since(now) > CLOCK_TOLERANCE {
        return refuse(format!(
            "{} has an upload time in the future: {}",
            file.filename, file.uploaded_at
        ));
    }
    for object in objects_of(file) {
        match present.get(&object) {
            Some(Some(size)) => {
                let is_file = ObjectPath::file(&file.project, &file.sha256, &file.filename)
                    .is_ok_and(|path| path == object);
                if is_file && *size != file.size {
                    return refuse(format!(
                        "{} has {size} bytes in the tree, not {}",
                        file.filename, file.size
                    ));
                }
            }
            _ => return refuse(format!("{} is not in the tree", object.as_str())),
        }
    }
    Examined::New(filename, target)
}

fn other_hash(filename: &str, bin: &RoleName) -> String {
    format!("{filename} is signed with another sha256 in {bin}, which never changes")
}

/// How many bytes a file adds to its project's page, at most.
fn length_of(project: &ProjectName, file: &PageFile) -> usize {
    let mut alone = ProjectPage::new(project.clone());
    alone.files.push(file.clone());
    alone.to_json().len()
}

fn page_file(file: NewFile, filename: DistributionFilename, now: Timestamp) -> PageFile {
    let sha256_of = |digest: Sha256| Hashes::of_sha256(digest.0);
    let mut entry = PageFile::new(&file.project, filename, sha256_of(file.sha256));
    entry.size = Some(file.size);
    entry.upload_time = Some(file.uploaded_at);
    entry.requires_python = file.requires_python;
    entry.core_metadata = file.core_metadata_sha256.map(sha256_of);
    let mut marks = Marks::new(Signed::AtUpload, whole_seconds(now));
    marks.chunks_sha256 = file.chunks_sha256.map(|digest| digest.0.into());
    entry.wheelmark = Some(marks);
    entry
}
