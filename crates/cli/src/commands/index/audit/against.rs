//! The index against another copy of itself: a backup, a directory, a mirror.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use wheelmark_mirror::{
    Audit, AuditOptions, Chain, CopyScope, Depth, DirectoryPlace, Everything, Listed, Place, Scope,
    Tally, WebPlace, audit, audit_directory, follow, survey,
};
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};
use wheelmark_repository::CLAIMED;
use wheelmark_tuf::{RoleName, Sha256, Visited};

use super::damage::{Damage, Kind};
use super::state::State;
use crate::anchor::copy_at;
use crate::commands::verify::progress::Progress;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::remote::remote;

/// What the last entry of a backup is called.
const MANIFEST: &str = "backup.json";

/// More findings than this are counted and not listed.
const MOST: usize = 100_000;

/// What the index is held against.
pub(crate) enum Other {
    Tree(PathBuf),
    Url(String),
}

impl Other {
    /// Reads what a person named.
    pub(crate) fn named(text: &str) -> anyhow::Result<Self> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.to_owned()));
        }
        let path = Path::new(text);
        for tree in [path.to_owned(), path.join("repository")] {
            if tree.join("metadata").is_dir() {
                return Ok(Self::Tree(tree));
            }
        }
        let error = anyhow!("{text} is no copy of an index");
        let hint = match path.is_file() || path.join(MANIFEST).exists() {
            true => "a backup of one file is unpacked first: mkdir B && tar -xf FILE -C B",
            false => "name a backup, a directory with metadata/ in it, or a URL",
        };
        Err(error).hint(hint)
    }
}

/// Compares, and says what was read of the other one.
pub(super) async fn compare(
    text: &str,
    other: Other,
    ours: &State,
    context: &Context,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<Option<(Audit, Option<Added>)>> {
    let Some(chain) = ours.chain.clone() else {
        return Ok(None);
    };
    let (root, place) = (ours.root.clone(), ours.place.root().to_owned());
    let name = text.to_owned();
    let now = context.clock.now();
    let tally = Arc::new(Tally::default());
    let remote = match &other {
        Other::Url(_) => Some(remote(context)?),
        Other::Tree(_) => None,
    };
    let progress = Progress::of(text, tally.clone());
    let compared = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let ours = Side {
            place: &DirectoryPlace::new(&place, 1, None),
            chain: &chain,
        };
        let mut damage = Vec::new();
        let (audit, added) = match (&other, remote) {
            (Other::Tree(path), _) => {
                let path = path.canonicalize()?;
                let threads = std::thread::available_parallelism().map_or(1, Into::into);
                let theirs = DirectoryPlace::new(&path, threads, None);
                let scope = CopyScope::of(&path).unwrap_or_default();
                let scope: &dyn Scope = match &scope {
                    Some(scope) => scope,
                    None => &Everything,
                };
                let options = AuditOptions {
                    now,
                    listed: MOST,
                    scope,
                    tally: &tally,
                };
                let (audit, _) = audit_directory(&theirs, &root, &options);
                let added = both(&ours, &theirs, &root, &name, &mut damage)?;
                (audit, added)
            }
            (Other::Url(url), Some(remote)) => {
                let copy = copy_at(url, None)?;
                let theirs = WebPlace::new(copy.metadata, copy.targets, remote, Depth::Lengths);
                let options = AuditOptions {
                    now,
                    listed: MOST,
                    scope: &Everything,
                    tally: &tally,
                };
                let audit = audit(&theirs, &root, &options);
                let added = both(&ours, &theirs, &root, &name, &mut damage)?;
                (audit, added)
            }
            (Other::Url(_), None) => unreachable!("made above"),
        };
        let found = audit
            .findings
            .iter()
            .map(|found| Damage::of(found).at(&name));
        damage.extend(found);
        Ok((audit, added, damage))
    });
    let (audit, added, found) = compared.await??;
    drop(progress);
    damage.extend(found);
    Ok(Some((audit, added)))
}

/// A place whose chain holds.
struct Side<'a, P> {
    place: &'a P,
    chain: &'a Chain,
}

/// What a state signs for, and by which files.
pub(super) struct Contents {
    /// Every role: its version and the SHA-256 of its file.
    roles: BTreeMap<RoleName, (u64, Sha256)>,
    /// Every distribution file, and who signs for it.
    files: HashMap<(ProjectName, String), (Sha256, By)>,
    /// Every page.
    pub(super) pages: BTreeMap<ProjectName, Sha256>,
    /// What is taken away from claimed projects.
    pub(super) lists: BTreeMap<ProjectName, Sha256>,
}

/// Who signs for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The online key alone.
    Online,
    /// The project's people, whom the online key has made its people: claimed, not yet sealed.
    Claimed,
    /// The project's people, sealed with the offline keys.
    Sealed,
}

/// The files that the index has and an older state of it has not. Whoever has the online key can have added
/// those that it signs for: nothing is wrong with their signatures.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// Those that the online key signs for alone.
    pub(super) online: u64,
    /// Those of claims that it has made.
    pub(super) claimed: u64,
    /// Those of projects whose claims are sealed.
    pub(super) sealed: u64,
    /// Some of the first two.
    pub(super) some: Vec<String>,
}

impl Added {
    fn of(mine: &Contents, other: &Contents) -> Self {
        let mut added = Self::default();
        for (key, (_, by)) in &mine.files {
            if other.files.contains_key(key) {
                continue;
            }
            match by {
                By::Online => added.online += 1,
                By::Claimed => added.claimed += 1,
                By::Sealed => {
                    added.sealed += 1;
                    continue;
                }
            }
            added.some.push(format!("packages/{}/{}", key.0, key.1));
        }
        added.some.sort();
        added.some.truncate(MOST);
        added
    }

    pub(super) fn count(&self) -> u64 {
        self.online + self.claimed + self.sealed
    }
}

/// Puts two states beside each other; what came since, where the other one is not newer.
fn both<P: Place>(
    ours: &Side<'_, DirectoryPlace>,
    theirs: &P,
    root: &[u8],
    name: &str,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<Option<Added>> {
    let Ok(chain) = follow(theirs, root, Timestamp::UNIX_EPOCH) else {
        // The audit of it has told why.
        return Ok(None);
    };
    let (our_set, their_set) = (&ours.chain.set, &chain.set);
    let (our_time, their_time) = (our_set.timestamp().version, their_set.timestamp().version);
    if their_time > our_time {
        damage.push(Damage::new(
            Kind::RolledBack,
            ObjectPath::timestamp().as_str(),
            &format!("timestamp {their_time} or later: {name} has it"),
            &format!(
                "timestamp {our_time}, of snapshot {}",
                our_set.snapshot().version
            ),
        ));
    }
    for version in 1..=our_set.root().version.min(their_set.root().version) {
        let file = RoleName::root().versioned_file_name(version);
        let limit = wheelmark_tuf::limits::MAX_ROOT_LENGTH;
        let mine = ours.place.metadata(&file, limit);
        let other = theirs.metadata(&file, limit);
        if let (Ok(Some(mine)), Ok(Some(other))) = (mine, other) {
            same(
                &format!("metadata/{file}"),
                &Sha256::of(&mine),
                &Sha256::of(&other),
                name,
                damage,
            );
        }
    }
    let mine = contents(ours.place, ours.chain).context("the index could not be gone through")?;
    let other =
        contents(theirs, &chain).with_context(|| format!("{name} could not be gone through"))?;
    for (role, (version, sha256)) in &other.roles {
        if let Some((own, own_sha256)) = mine.roles.get(role)
            && own == version
        {
            let path = match *role == RoleName::timestamp() {
                true => ObjectPath::timestamp(),
                false => ObjectPath::metadata(role, *version),
            };
            same(path.as_str(), own_sha256, sha256, name, damage);
        }
    }
    for ((project, filename), (sha256, _)) in &other.files {
        let path = format!("packages/{project}/{filename}");
        match mine.files.get(&(project.clone(), filename.clone())) {
            Some((own, _)) => same(&path, own, sha256, name, damage),
            None if their_time <= our_time
                && !is_remembered(ours, &mine, project, filename, sha256) =>
            {
                damage.push(Damage::new(
                    Kind::Vanished,
                    &path,
                    &format!("sha256 {sha256}, as {name} has it, or that it was removed"),
                    "the index neither lists it nor remembers it",
                ));
            }
            None => {}
        }
    }
    Ok((their_time <= our_time).then(|| Added::of(&mine, &other)))
}

/// Tells of two digests of what should be one thing.
fn same(path: &str, own: &Sha256, other: &Sha256, name: &str, damage: &mut Vec<Damage>) {
    if own != other {
        damage.push(Damage::new(
            Kind::Differs,
            path,
            &format!("sha256 {other}, as {name} has it"),
            &format!("sha256 {own}"),
        ));
    }
}

/// Whether our page says of a file that it was removed, or is withheld.
fn is_remembered(
    ours: &Side<'_, DirectoryPlace>,
    mine: &Contents,
    project: &ProjectName,
    filename: &str,
    sha256: &Sha256,
) -> bool {
    let page = mine.pages.get(project).and_then(|page| {
        let path = ObjectPath::page(project, page);
        let bytes = ours
            .place
            .object(&path, MAX_PAGE_LEN as u64)
            .ok()
            .flatten()?;
        ProjectPage::parse(&bytes).ok()
    });
    let Some(page) = page else { return false };
    let removed = page
        .wheelmark
        .removed
        .get(filename)
        .map(|removed| &removed.entry);
    let mut withheld = page.wheelmark.withheld.iter();
    let entry = removed.or_else(|| withheld.find(|file| file.filename.as_str() == filename));
    let digest = entry.and_then(|entry| entry.sha256());
    digest.is_some_and(|digest| Sha256(digest.into()) == *sha256)
}

/// Goes through a state. What cannot be read is left out.
pub(super) fn contents<P: Place>(place: &P, chain: &Chain) -> anyhow::Result<Contents> {
    let mut contents = Contents {
        roles: BTreeMap::new(),
        files: HashMap::new(),
        pages: BTreeMap::new(),
        lists: BTreeMap::new(),
    };
    let set = &chain.set;
    // As they were verified: the timestamp of now may be the next one.
    for (role, _, bytes) in &chain.files {
        let version = match role {
            role if *role == RoleName::timestamp() => set.timestamp().version,
            role if *role == RoleName::snapshot() => set.snapshot().version,
            _ => set.targets().version,
        };
        contents
            .roles
            .insert(role.clone(), (version, Sha256::of(bytes)));
    }
    let mut sealed = HashSet::new();
    // One that cannot be had was told of by the audit.
    survey(place, set, |role| {
        let by = by(role.visited, &mut sealed);
        if let Some((fetch, bytes)) = role.file {
            let known = (fetch.version, Sha256::of(bytes));
            contents.roles.insert(fetch.role.clone(), known);
        }
        for (path, info) in role.visited.listed() {
            match Listed::of(path, info) {
                Listed::Page {
                    project, sha256, ..
                } => drop(contents.pages.insert(project, sha256)),
                Listed::File {
                    project,
                    filename,
                    sha256,
                    ..
                } => {
                    contents.files.insert((project, filename), (sha256, by));
                }
                Listed::Status {
                    project, sha256, ..
                } => drop(contents.lists.insert(project, sha256)),
                Listed::Other(_) => {}
            }
        }
        anyhow::Ok(())
    })?;
    Ok(contents)
}

/// Who signs what a role lists; `sealed` are the projects' roles below `claimed`, and what they delegate to.
fn by(visited: &Visited, sealed: &mut HashSet<RoleName>) -> By {
    let (role, delegator) = (visited.role(), visited.delegator());
    if !role.is_of_project() {
        return By::Online;
    }
    let is_sealed = delegator.is_some_and(|from| from.as_str() == CLAIMED || sealed.contains(from));
    match is_sealed {
        true => {
            sealed.insert(role.clone());
            By::Sealed
        }
        false => By::Claimed,
    }
}
