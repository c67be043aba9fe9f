//! Decides the next snapshot. Pure: what goes in decides what comes out.

mod draft;
mod judge;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::json;
use wheelmark_objects::{ObjectPath, page_target};
use wheelmark_packaging::simple::{Hashes, Marks, PageFile, Signed, Yanked};
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_store::{Change, NewFile, Seq};
use wheelmark_tuf::{OWN_MEMBER, RoleName, Sha256, TargetInfo, TargetPath, Targets};

use self::draft::Drafts;
use self::judge::Examined;
use crate::gather::Gathered;
use crate::intent::{GoneFile, NamedFile, NamedPage};
use crate::journal_writer::JournalWriter;
use crate::lifetimes::{Lifetimes, whole_seconds};
use crate::roles::Family;
use crate::snapshot_bytes::SnapshotBytes;
use crate::state::State;

/// Longest reason for a yank that is signed, in bytes; a longer one is cut. People read it on one
/// line of an installer's warning.
const MAX_YANK_REASON_LEN: usize = 2_000;

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
    /// Plain names to be made once the snapshot stands, and those to be taken away.
    pub(crate) files: Vec<NamedFile>,
    pub(crate) gone: Vec<GoneFile>,
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
    writer: JournalWriter,
    now: Timestamp,
) -> Plan {
    let mut through = state.journal;
    let mut outcomes = Vec::with_capacity(gathered.rows.len());
    let mut changes = Changes {
        state,
        writer,
        now,
        roles: gathered.roles,
        pages: Drafts::new(gathered.pages),
        present: gathered.present,
        changed: due.iter().cloned().collect(),
        names: BTreeMap::new(),
    };
    for row in gathered.rows {
        through = through.max(row.seq);
        let decided = match gathered.damaged.get(&row.seq) {
            Some(why) => Err(format!("the index's own state is damaged: {why}")),
            None => changes.take(row.change),
        };
        let decision = decided.unwrap_or_else(Decision::Refused);
        outcomes.push((row.seq, decision));
    }
    let Changes {
        mut roles,
        pages,
        mut changed,
        names,
        ..
    } = changes;

    let mut new_pages = BTreeMap::new();
    let mut named_pages = Vec::new();
    let mut new_projects = BTreeSet::new();
    for page in pages.touched() {
        let bytes = page.to_json();
        let project = page.name;
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
    let (mut files, mut gone) = (Vec::new(), Vec::new());
    for ((project, filename), named) in names {
        match named {
            Some(file) => files.push(file),
            None => gone.push(GoneFile { project, filename }),
        }
    }

    let place_in_due: HashMap<&RoleName, usize> = due.iter().zip(0..).collect();
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
        gone,
        named_pages,
        new_projects,
    }
}

/// The signed state while the pending changes are made to it.
struct Changes<'a> {
    state: &'a State,
    writer: JournalWriter,
    now: Timestamp,
    /// The bins that the changes need, and those due for renewal.
    roles: HashMap<RoleName, Targets>,
    pages: Drafts,
    present: HashMap<ObjectPath, Option<u64>>,
    /// Which of the bins are to be signed.
    changed: BTreeSet<RoleName>,
    /// The plain names that change: what they lead to, `None` where they go.
    names: BTreeMap<(ProjectName, String), Option<NamedFile>>,
}

impl Changes<'_> {
    /// Makes one change, or says why not. A refused change leaves everything as it was.
    fn take(&mut self, change: Change) -> Result<Decision, String> {
        match change {
            Change::Unreadable(why) => Err(format!("unreadable change: {why}")),
            Change::FileAdded(file) => self.add(file),
            Change::FileRemoved { project, filename } => self.remove(project, filename),
            Change::FileYanked {
                project,
                filename,
                yanked,
            } => self.yank(&project, &filename, yanked),
        }
    }

    fn add(&mut self, file: NewFile) -> Result<Decision, String> {
        let project = file.project.clone();
        let page = self.pages.of(&project);
        let (state, writer, now) = (self.state, self.writer, self.now);
        let examined = judge::new_file(state, writer, &file, page, &self.present, now);
        let (target, entry) = match examined {
            Examined::New(filename, target) => (target, page_file(file, filename, writer, now)),
            Examined::Back(target, entry) => (target, *entry),
            Examined::Decided(decision) => return Ok(decision),
        };
        let (bin, content) = bin_of(self.state, &mut self.roles, &target);
        let filename = entry.filename.as_str().to_owned();
        let (Some(info), Some(named)) = (target_info(&entry), NamedFile::of(&project, &entry))
        else {
            return Err(format!("{filename} is signed without its length or sha256"));
        };
        if content
            .targets
            .get(&target)
            .is_some_and(|known| known.length != info.length || known.hashes != info.hashes)
        {
            return Err(format!(
                "{filename} is signed with another sha256 in {bin}, which never changes"
            ));
        }
        page.add(entry).map_err(|full| full.to_string())?;
        content.targets.insert(target, info);
        self.changed.insert(bin);
        self.names.insert((project, filename), Some(named));
        Ok(Decision::Published)
    }

    fn remove(&mut self, project: ProjectName, filename: String) -> Result<Decision, String> {
        self.writer.to_published()?;
        let target = judge::unclaimed(self.state, &project, &filename)?;
        let page = self.pages.of(&project);
        if page.removed(&filename).is_some() {
            return Ok(Decision::Published);
        }
        let listed = page
            .remove(&filename, whole_seconds(self.now))
            .map_err(|full| full.to_string())?;
        if !listed {
            return Err(not_listed(&filename));
        }
        let (bin, content) = bin_of(self.state, &mut self.roles, &target);
        content.targets.remove(&target);
        self.changed.insert(bin);
        self.names.insert((project, filename), None);
        Ok(Decision::Published)
    }

    fn yank(
        &mut self,
        project: &ProjectName,
        filename: &str,
        yanked: Option<String>,
    ) -> Result<Decision, String> {
        self.writer.to_published()?;
        judge::unclaimed(self.state, project, filename)?;
        let listed = self
            .pages
            .of(project)
            .yank(filename, yanked_of(yanked.as_deref()))
            .map_err(|full| full.to_string())?;
        if listed {
            Ok(Decision::Published)
        } else {
            Err(not_listed(filename))
        }
    }
}

/// The bin of a file, with its content.
fn bin_of<'a>(
    state: &State,
    roles: &'a mut HashMap<RoleName, Targets>,
    target: &TargetPath,
) -> (RoleName, &'a mut Targets) {
    let bin = state.bin(Family::Packages, target);
    let content = roles.get_mut(&bin).expect("gathered with the change");
    (bin, content)
}

fn not_listed(filename: &str) -> String {
    format!("{} is not in the index", filename.escape_debug())
}

/// How a yank stands in a page: on one line and not without end, whoever gave the reason.
fn yanked_of(yanked: Option<&str>) -> Yanked {
    let Some(reason) = yanked else {
        return Yanked::No;
    };
    let line = reason.replace(char::is_control, " ");
    let cut = line.floor_char_boundary(MAX_YANK_REASON_LEN);
    match line[..cut].trim() {
        "" => Yanked::Yes,
        reason => Yanked::Because(reason.to_owned()),
    }
}

/// When the file was signed, relative to its upload.
fn signed(file: &NewFile) -> Signed {
    if file.back_signed {
        Signed::Back
    } else {
        Signed::AtUpload
    }
}

/// What a file's bin says of it. One that was signed back is marked there, too.
fn target_info(entry: &PageFile) -> Option<TargetInfo> {
    let sha256 = Sha256(*entry.hashes.sha256()?.as_bytes());
    let mut info = TargetInfo::new(entry.size?, sha256);
    if let Some(marks) = &entry.wheelmark
        && marks.signed == Signed::Back
    {
        let marks = json!({ OWN_MEMBER: {
            "signed": marks.signed.as_str(),
            "signed-at": marks.signed_at.to_string(),
        }});
        info.custom = Some(marks.into());
    }
    Some(info)
}

/// A file as its page lists it.
fn page_file(
    file: NewFile,
    filename: DistributionFilename,
    writer: JournalWriter,
    now: Timestamp,
) -> PageFile {
    let sha256_of = |digest: Sha256| Hashes::of_sha256(digest.0);
    let mut marks = Marks::new(signed(&file), whole_seconds(now));
    marks.chunks_sha256 = file.chunks_sha256.map(|digest| digest.0.into());
    let mut entry = PageFile::new(&file.project, filename, sha256_of(file.sha256));
    entry.size = Some(file.size);
    entry.upload_time = Some(writer.upload_time(file.uploaded_at, now));
    entry.requires_python = file.requires_python;
    entry.core_metadata = file.core_metadata_sha256.map(sha256_of);
    entry.yanked = yanked_of(file.yanked.as_deref());
    entry.wheelmark = Some(marks);
    entry
}
