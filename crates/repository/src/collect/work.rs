//! A collection under way: what is to be marked and swept, piece by piece.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::time::Instant;
use wheelmark_objects::{Described, Directory, ObjectPath, WriterLock};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_store::{Change, Intent, Orders, Store};
use wheelmark_tuf::{NamedTarget, RoleName, Sha256, Sha512, Visited, Walk};

use super::keep::Keep;
use super::marks::Marks;
use super::published::published;
use super::{CollectError, Collected};
use crate::channel::Followed;
use crate::listed;
use crate::record::role_and_version;
use crate::state::{LoadError, OWN_METADATA_LIMIT};

/// How long one step takes, nearly: uploads wait for it.
const STEP: Duration = Duration::from_millis(50);

/// How many rows of a journal are read at a time.
const AT_ONCE: u32 = 1_000;

/// How far the clock of the file system may be from this machine's: more than they drift apart, and
/// less than any age matters.
const MOST_APART: SignedDuration = SignedDuration::from_mins(1);

/// The largest page that is read, as the engine does.
const OWN_PAGE_LIMIT: u64 = 256 * 1024 * 1024;

/// Where a collection works.
pub(crate) struct Site<'a> {
    pub(crate) tree: &'a Directory,
    /// Without it, what would go is only counted.
    pub(crate) lock: Option<&'a WriterLock>,
    pub(crate) store: &'a Store,
    /// The operator's journal: what waits there, and the log of the snapshots that go.
    pub(crate) orders: Option<&'a Orders>,
}

/// A collection under way.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(super) keep: Keep,
    pub(super) now: Timestamp,
    /// What was written later stays.
    pub(super) before: SystemTime,
    /// The published version of every role when this began. Higher ones are not looked at.
    pub(super) current: HashMap<RoleName, u64>,
    /// The walk through the roles of the published state.
    walk: Walk,
    pub(super) marks: Marks,
    /// Roles of older states, and pages, that were gone through. Apart from the marks: what is
    /// marked for another reason is gone through all the same.
    visited: HashSet<String>,
    /// The next piece is the last one.
    pub(super) work: Vec<Work>,
    /// The last rows of the journals that were looked at.
    seen: Followed,
    /// Projects of which nothing goes.
    pub(super) spared: HashSet<ProjectName>,
    /// Projects in which a file may be about to come back.
    pub(super) coming_back: HashSet<ProjectName>,
    pub(super) collected: Collected,
}

/// A piece of work.
#[derive(Debug)]
pub(super) enum Work {
    /// Mark what the published roles name, one after the other. Each must be there.
    Walk,
    /// Mark what an old snapshot names.
    Snapshot(u64),
    /// Mark what a role of an old snapshot names.
    Role { role: RoleName, version: u64 },
    /// Mark what a page names.
    Page {
        project: ProjectName,
        sha256: Sha256,
        published: bool,
    },
    /// Find the metadata that is to go.
    Metadata,
    /// Take some of it away.
    SweepMetadata(Vec<ObjectPath>),
    /// Find the projects.
    Projects,
    /// Take away what a project has too much.
    SweepProject(ProjectName),
    /// Take away lists of what was taken from projects.
    SweepStatus,
}

/// As much of a role as is needed here.
#[derive(Deserialize)]
struct Envelope {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(default)]
    meta: HashMap<String, Listed>,
    #[serde(default)]
    targets: HashMap<String, NamedTarget>,
}

#[derive(Deserialize)]
struct Listed {
    version: u64,
}

impl Collection {
    /// Begins one, at a moment at which the tree is what `site.state` says.
    pub(crate) async fn begin(
        site: &Site<'_>,
        keep: Keep,
        now: Timestamp,
    ) -> Result<Self, CollectError> {
        if site.lock.is_some() {
            demand_one_clock(site.tree, now).await?;
        }
        // Orders may ask for a removed file that is to come back; without them nobody knows.
        let keep = match site.orders {
            Some(_) => keep,
            None => keep.with_removed(),
        };
        let set = published(site.tree).await?;
        let snapshot = set.snapshot().version;
        let mut current: HashMap<RoleName, u64> = HashMap::new();
        for (name, meta) in &set.snapshot().meta {
            let role = name
                .strip_suffix(".json")
                .and_then(|name| name.parse().ok());
            current.extend(role.map(|role| (role, meta.version)));
        }
        current.insert(RoleName::snapshot(), snapshot);
        let (mut walk, top) = set.walk();
        walk.enter(&top);
        let mut collection = Self {
            keep,
            now,
            before: keep.before(now),
            current,
            walk,
            marks: Marks::default(),
            visited: HashSet::new(),
            work: vec![Work::Projects, Work::SweepStatus, Work::Metadata],
            seen: Followed::of(set.timestamp()),
            spared: HashSet::new(),
            coming_back: HashSet::new(),
            collected: Collected::default(),
        };
        // All that is listed stays, also what no delegation leads to any more.
        for (role, version) in &collection.current {
            let path = ObjectPath::metadata(role, *version);
            collection.marks.mark(path.as_str());
        }
        let there = site.tree.described_beside(&ObjectPath::timestamp()).await?;
        let kept = collection.kept_snapshots(&there, snapshot);
        collection.collected.kept_snapshots = kept.len() as u64 + 1;
        collection.work.extend(kept.into_iter().map(Work::Snapshot));
        // The published state comes first: it is the one that has to be whole.
        collection.work.push(Work::Walk);
        collection.listed(&top)?;
        Ok(collection)
    }

    /// The snapshots before the published one that stay: the last few, and those that a reader may
    /// have begun with who is not done yet. One was current until the next one was written.
    fn kept_snapshots(&self, there: &[Described], published: u64) -> Vec<u64> {
        let mut snapshots: Vec<(u64, SystemTime)> = there
            .iter()
            .filter_map(|file| {
                let (role, version) = role_and_version(file.path.as_str())?;
                let is_one = role == RoleName::snapshot() && version <= published;
                is_one.then_some((version, file.modified))
            })
            .collect();
        snapshots.sort_unstable_by_key(|(version, _)| Reverse(*version));
        let pairs = snapshots.iter().zip(snapshots.iter().skip(1));
        let kept = pairs.enumerate().filter(|(place, ((_, followed_at), _))| {
            // The published one is the first of those that stay.
            place + 1 < self.keep.snapshots() || *followed_at >= self.before
        });
        kept.map(|(_, (_, (version, _)))| *version).collect()
    }

    /// Goes on for a moment; whether there is more to do.
    pub(crate) async fn step(&mut self, site: &Site<'_>) -> Result<bool, CollectError> {
        let end = Instant::now() + STEP;
        self.mark_pending(site).await?;
        while let Some(work) = self.work.pop() {
            match work {
                Work::Walk => self.walk(site).await?,
                Work::Snapshot(version) => self.snapshot(site, version).await?,
                Work::Role { role, version } => self.role(site, &role, version).await?,
                Work::Page {
                    project,
                    sha256,
                    published,
                } => self.page(site, project, &sha256, published).await?,
                Work::Metadata => self.metadata(site).await?,
                Work::SweepMetadata(paths) => self.sweep_metadata(site, paths).await?,
                Work::Projects => {
                    let projects = site.tree.projects().await?;
                    let projects = projects.into_iter().rev();
                    self.work.extend(projects.map(Work::SweepProject));
                }
                Work::SweepProject(project) => self.sweep_project(site, &project).await?,
                Work::SweepStatus => self.sweep_status(site).await?,
            }
            if Instant::now() >= end {
                break;
            }
        }
        self.collected.kept_objects = self.marks.count();
        Ok(!self.work.is_empty())
    }

    /// Takes note of a snapshot that is about to be written: nothing of it goes, nor of what its
    /// pages name.
    pub(crate) fn keep_what_it_names(&mut self, intent: &Intent) {
        for (path, _) in &intent.objects {
            self.marks.mark(path);
        }
        self.keep_files_of(intent);
    }

    /// Keeps the files that the pages of a snapshot name, and not what it writes itself.
    pub(crate) fn keep_files_of(&mut self, intent: &Intent) {
        self.marks.mark_files_of(intent, self.keep, self.now);
    }

    /// What was done until now.
    pub(crate) fn so_far(&self) -> &Collected {
        &self.collected
    }

    /// What was done.
    pub(crate) fn finish(mut self) -> Collected {
        self.collected.kept_objects = self.marks.count();
        self.collected
    }

    /// Marks what uploads have placed that wait for their snapshot, and spares the projects in which
    /// a file is asked to come back. An upload places its objects before its row: until that is
    /// written, their age keeps them.
    pub(super) async fn mark_pending(&mut self, site: &Site<'_>) -> Result<(), CollectError> {
        loop {
            let rows = site.store.journal_after(self.seen.journal, AT_ONCE).await?;
            let Some(last) = rows.last() else { break };
            self.seen.journal = last.seq;
            rows.iter().for_each(|row| self.pending(&row.change));
        }
        let Some(orders) = site.orders else {
            return Ok(());
        };
        loop {
            let rows = orders.after(self.seen.orders, AT_ONCE).await?;
            let Some(last) = rows.last() else { break };
            self.seen.orders = last.seq;
            rows.iter().for_each(|row| self.pending(&row.change));
        }
        Ok(())
    }

    fn pending(&mut self, change: &Change) {
        self.marks.mark_pending(change);
        // A file that was removed comes back with the objects that it had.
        let project = match change {
            // What its new files brought stands beside the row.
            Change::ProjectSigned(release) => {
                self.spared.insert(release.project.clone());
                &release.project
            }
            Change::FileAdded(file) => &file.project,
            Change::FileRestored { project, .. } => project,
            Change::FileRemoved { .. }
            | Change::FileYanked { .. }
            | Change::StatusSet { .. }
            | Change::CertificatesSet { .. }
            | Change::ClaimEnded { .. }
            | Change::RecoveryAsked(_)
            | Change::RecoveryEnded { .. }
            | Change::HashesSet { .. }
            | Change::Renewal
            | Change::Unreadable(_) => return,
        };
        self.coming_back.insert(project.clone());
    }

    /// The next role of the published state, verified.
    async fn walk(&mut self, site: &Site<'_>) -> Result<(), CollectError> {
        let Some(awaited) = self.walk.next()? else {
            return Ok(());
        };
        let fetch = awaited.fetch();
        let path = ObjectPath::metadata(&fetch.role, fetch.version);
        let bytes = site.tree.read(&path, OWN_METADATA_LIMIT).await?;
        let bytes = bytes.ok_or_else(|| missing(&path))?;
        let visited = awaited.open(&bytes)?;
        self.walk.enter(&visited);
        self.work.push(Work::Walk);
        self.listed(&visited)
    }

    /// What a published role lists.
    fn listed(&mut self, visited: &Visited) -> Result<(), CollectError> {
        for (target, info) in visited.listed() {
            let foreign = || CollectError::Foreign {
                role: visited.role().to_string(),
                target: target.as_str().to_owned(),
            };
            let sha256 = info.sha256().ok_or_else(foreign)?;
            // Objects that are named after another digest would have no mark.
            listed::of_target(info).ok_or_else(foreign)?;
            self.target(target.as_str(), sha256, info.hashes.sha512(), true);
        }
        Ok(())
    }

    /// An old snapshot. What cannot be read of its state, no reader can use either. What is listed
    /// now as well, was gone through, or nothing leads to it any more.
    async fn snapshot(&mut self, site: &Site<'_>, version: u64) -> Result<(), CollectError> {
        let path = ObjectPath::metadata(&RoleName::snapshot(), version);
        self.marks.mark(path.as_str());
        let Some(bytes) = readable(site.tree, &path, OWN_METADATA_LIMIT).await? else {
            return Ok(());
        };
        let Ok(Envelope { signed }) = serde_json::from_slice(&bytes) else {
            return Ok(());
        };
        for (name, Listed { version }) in signed.meta {
            let role = name
                .strip_suffix(".json")
                .and_then(|name| name.parse().ok());
            if let Some(role) = role
                && self.current.get(&role) != Some(&version)
            {
                self.work.push(Work::Role { role, version });
            }
        }
        Ok(())
    }

    async fn role(
        &mut self,
        site: &Site<'_>,
        role: &RoleName,
        version: u64,
    ) -> Result<(), CollectError> {
        let path = ObjectPath::metadata(role, version);
        if !self.visited.insert(path.as_str().to_owned()) {
            return Ok(());
        }
        self.marks.mark(path.as_str());
        let bytes = readable(site.tree, &path, OWN_METADATA_LIMIT).await?;
        let signed = bytes.as_deref().and_then(|bytes| {
            let envelope: Envelope = serde_json::from_slice(bytes).ok()?;
            Some(envelope.signed)
        });
        let targets = signed.map(|signed| signed.targets).unwrap_or_default();
        for (target, listed) in targets {
            let named = listed.sha256().ok_or_else(|| CollectError::Foreign {
                role: role.to_string(),
                target: target.clone(),
            })?;
            self.target(&target, named, listed.sha512(), false);
        }
        Ok(())
    }

    /// What a role lists under a path: an object that is named after its SHA-256, and after its
    /// SHA-512 where that is listed.
    fn target(&mut self, target: &str, sha256: Sha256, sha512: Option<Sha512>, published: bool) {
        let segments: Vec<&str> = target.split('/').collect();
        match segments.as_slice() {
            ["simple", project, "index.json"] => {
                if let Ok(project) = project.parse() {
                    if let Some(sha512) = &sha512 {
                        let second = ObjectPath::page_by_sha512(&project, sha512);
                        self.marks.mark(second.as_str());
                    }
                    self.work.push(Work::Page {
                        project,
                        sha256,
                        published,
                    });
                }
            }
            ["packages", project, filename] => {
                let project = project.parse::<ProjectName>().ok();
                let Some(project) = project else { return };
                let path = ObjectPath::file(&project, &sha256, filename).ok();
                let second = sha512.and_then(|sha512| {
                    ObjectPath::file_by_sha512(&project, &sha512, filename).ok()
                });
                for path in path.into_iter().chain(second) {
                    self.marks.mark(path.as_str());
                }
            }
            ["status", name] => {
                let project = name
                    .strip_suffix(".json")
                    .and_then(|name| name.parse().ok());
                let path = project.and_then(|project| ObjectPath::status(&project, &sha256).ok());
                if let Some(path) = path {
                    self.marks.mark(path.as_str());
                }
            }
            // Nothing that would be swept.
            _ => {}
        }
    }

    async fn page(
        &mut self,
        site: &Site<'_>,
        project: ProjectName,
        sha256: &Sha256,
        published: bool,
    ) -> Result<(), CollectError> {
        let path = ObjectPath::page(&project, sha256);
        if !self.visited.insert(path.as_str().to_owned()) {
            return Ok(());
        }
        self.marks.mark(path.as_str());
        let bytes = readable(site.tree, &path, OWN_PAGE_LIMIT).await?;
        let bytes = bytes.filter(|bytes| Sha256::of(bytes) == *sha256);
        let page = bytes.and_then(|bytes| ProjectPage::parse(&bytes).ok());
        match page {
            Some(page) => {
                let (keep, now) = (self.keep, self.now);
                self.marks.mark_named_by(&project, &page, keep, now);
            }
            None if published => {
                tracing::error!(%path, "this page cannot be read: nothing of its project goes");
                self.collected.unreadable.push(path.as_str().to_owned());
                self.spared.insert(project);
            }
            None => {}
        }
        Ok(())
    }
}

/// Refuses to judge by age where the clock and the file system are of two opinions.
async fn demand_one_clock(tree: &Directory, now: Timestamp) -> Result<(), CollectError> {
    let written = tree.clock().await?;
    let written = Timestamp::try_from(written).unwrap_or(Timestamp::UNIX_EPOCH);
    match now.duration_since(written).abs() <= MOST_APART {
        true => Ok(()),
        false => Err(CollectError::Clock { now, written }),
    }
}

fn missing(path: &ObjectPath) -> LoadError {
    LoadError::Missing {
        path: path.as_str().to_owned(),
    }
}

/// The bytes of an object that may be missing, or damaged, without that being an error.
async fn readable(
    tree: &Directory,
    path: &ObjectPath,
    limit: u64,
) -> Result<Option<bytes::Bytes>, CollectError> {
    match tree.read(path, limit).await {
        Ok(bytes) => Ok(bytes),
        Err(error) if crate::publish::is_lasting(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
