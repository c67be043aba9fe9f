//! The published tree as one timestamp has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use tokio::runtime::Handle;
use wheelmark_objects::{Directory, Kind, MAX_SHA512_FILENAME_LEN, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{Hashes, ListedProject, ProjectList, ProjectPage, TakenAway};
use wheelmark_tuf::{NamedTarget, RoleName, Sha256, Sha512};

use super::TREE;
use super::destination::Destination;

/// Digests of objects, by project.
type Listing = BTreeMap<ProjectName, Sha256>;

/// A timestamp, with what it leads to. It is the index's own, so its signatures are not looked
/// at here: `wheelmark verify` does.
#[derive(Clone, Debug)]
pub(super) struct Published {
    bytes: Vec<u8>,
    pub(super) timestamp_version: u64,
    pub(super) snapshot_version: u64,
    /// The version of every role below the timestamp.
    roles: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Envelope {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    version: u64,
    #[serde(default)]
    meta: BTreeMap<String, Listed>,
    #[serde(default)]
    targets: BTreeMap<String, NamedTarget>,
}

#[derive(Deserialize)]
struct Listed {
    version: u64,
}

fn parse(path: &Path) -> anyhow::Result<(Vec<u8>, Signed)> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let envelope: Envelope =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
    Ok((bytes, envelope.signed))
}

fn at(tree: &Path, role: &RoleName, version: u64) -> std::path::PathBuf {
    tree.join(ObjectPath::metadata(role, version).as_str())
}

impl Published {
    pub(super) fn read(tree: &Path) -> anyhow::Result<Published> {
        let path = tree.join(ObjectPath::timestamp().as_str());
        let (bytes, timestamp) = parse(&path)?;
        let listed = timestamp.meta.get("snapshot.json");
        let snapshot_version = listed
            .ok_or_else(|| anyhow!("{} names no snapshot", path.display()))?
            .version;
        let (_, snapshot) = parse(&at(tree, &RoleName::snapshot(), snapshot_version))?;
        let mut roles: BTreeMap<String, u64> = snapshot
            .meta
            .into_iter()
            .filter_map(|(file, Listed { version })| {
                Some((file.strip_suffix(".json")?.to_owned(), version))
            })
            .collect();
        roles.insert("snapshot".to_owned(), snapshot_version);
        Ok(Published {
            bytes,
            timestamp_version: timestamp.version,
            snapshot_version,
            roles,
        })
    }

    /// Copies what the timestamp leads to, and everything else that was uploaded, and at the end
    /// the timestamp.
    pub(super) fn copy(&self, tree: &Tree, copy: &mut dyn Destination) -> anyhow::Result<()> {
        let from = tree.root();
        // First the files: pages speak of them.
        folder(tree, "targets", copy)?;
        self.metadata(tree, copy)?;
        copy.flush()?;
        // The other names of all that, in the state of this timestamp, and nothing of a later one.
        let (pages, lists) = self.pages(from)?;
        for (project, sha256) in &pages {
            names(from, project, sha256, lists.get(project), copy)?;
        }
        copy.keep_only(&format!("{TREE}/keys"), &certificates_of(from))?;
        self.without_others(&pages, copy)?;
        copy.flush()?;
        copy.write(&format!("{TREE}/{}", ObjectPath::timestamp()), &self.bytes)
    }

    /// Metadata up to the versions of this timestamp: a restored index signs the next ones anew.
    fn metadata(&self, tree: &Tree, copy: &mut dyn Destination) -> anyhow::Result<()> {
        for (name, version) in &self.roles {
            let Ok(role) = name.parse::<RoleName>() else {
                continue;
            };
            let path = ObjectPath::metadata(&role, *version);
            if !tree.object(&path, copy)? {
                return Err(anyhow!("{path} is not there"));
            }
        }
        for version in 1.. {
            let path = ObjectPath::metadata(&RoleName::root(), version);
            if !tree.object(&path, copy)? {
                break;
            }
        }
        Ok(())
    }

    /// The signed page of every project, and what is taken away from those that sign for themselves.
    fn pages(&self, tree: &Path) -> anyhow::Result<(Listing, Listing)> {
        let (mut pages, mut lists) = (BTreeMap::new(), BTreeMap::new());
        for (name, version) in &self.roles {
            let Ok(role) = name.parse::<RoleName>() else {
                continue;
            };
            let (_, signed) = parse(&at(tree, &role, *version))?;
            for (path, target) in signed.targets {
                let list = path
                    .strip_prefix("status/")
                    .and_then(|rest| rest.strip_suffix(".json"));
                if let (Some(project), Some(sha256)) = (list, target.sha256()) {
                    lists.insert(project.parse()?, sha256);
                }
                let project = path
                    .strip_prefix("simple/")
                    .and_then(|rest| rest.strip_suffix("/index.json"));
                if let Some(project) = project {
                    let sha256 = target.sha256();
                    let sha256 =
                        sha256.ok_or_else(|| anyhow!("{name} lists {path} without a SHA-256"))?;
                    pages.insert(project.parse()?, sha256);
                }
            }
        }
        Ok((pages, lists))
    }

    /// Takes the names away that are of another state, and writes the list of projects.
    fn without_others(
        &self,
        pages: &BTreeMap<ProjectName, Sha256>,
        copy: &mut dyn Destination,
    ) -> anyhow::Result<()> {
        let projects: BTreeSet<String> = pages.keys().map(ProjectName::to_string).collect();
        copy.keep_only(&format!("{TREE}/packages"), &projects)?;
        let listed = |name: &ProjectName| ListedProject {
            name: name.clone(),
            extra: BTreeMap::new(),
        };
        let list = ProjectList {
            projects: pages.keys().map(listed).collect(),
            ..ProjectList::default()
        };
        let (json, html) = (
            ObjectPath::simple_list_json(),
            ObjectPath::simple_list_html(),
        );
        let mut beside = projects;
        for path in [&json, &html] {
            beside.extend(path.as_str().strip_prefix("simple/").map(str::to_owned));
        }
        copy.keep_only(&format!("{TREE}/simple"), &beside)?;
        copy.write(&named(&json), &list.to_json())?;
        copy.write(&named(&html), list.to_html().as_bytes())
    }
}

/// The names of the certificates that are served. Those that are served no more leave the backup.
fn certificates_of(tree: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(tree.join("keys")).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).collect()
}

/// The tree that is backed up. The web process's user can write to parts of it, so nothing in it
/// is opened but by [`Directory`], which follows no link.
pub(super) struct Tree {
    directory: Directory,
    runtime: Handle,
}

impl Tree {
    pub(super) async fn open(root: &Path) -> anyhow::Result<Tree> {
        Ok(Tree {
            directory: Directory::open(root).await?,
            runtime: Handle::current(),
        })
    }

    fn root(&self) -> &Path {
        self.directory.root()
    }

    /// Copies an object; says whether it is there.
    fn object(&self, path: &ObjectPath, copy: &mut dyn Destination) -> anyhow::Result<bool> {
        let open = self.runtime.block_on(self.directory.open_object(path));
        match open.with_context(|| format!("{path} cannot be read"))? {
            Some(open) => {
                copy.object(open, &self.directory.local_path(path), &named(path))?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// Copies every object below a folder. What has another name than an object can have, or is no
/// plain file, is none of the index's: it is told of, and left.
fn folder(tree: &Tree, name: &str, copy: &mut dyn Destination) -> anyhow::Result<()> {
    let at = tree.root().join(name);
    let entries = match fs::read_dir(&at) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("{} cannot be read", at.display()))?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        let below = entry.file_name();
        let below = below.to_str().filter(|below| !below.starts_with('.'));
        let Some(below) = below.map(|below| format!("{name}/{below}")) else {
            continue;
        };
        if kind.is_dir() {
            folder(tree, &below, copy)?;
            continue;
        }
        match ObjectPath::from_request(&below) {
            // Given with the other second names.
            Ok(path) if matches!(path.kind(), Kind::PageBySha512 | Kind::FileBySha512) => {}
            // One that is not there any more was taken back by its upload.
            Ok(path) if kind.is_file() => drop(tree.object(&path, copy)?),
            _ => tracing::warn!(
                path = below,
                "left out of the backup: it is no object of the tree"
            ),
        }
    }
    Ok(())
}

/// The name of an object in a backup.
fn named(path: &ObjectPath) -> String {
    format!("{TREE}/{path}")
}

/// The names by SHA-512 that a page and its files can have.
fn seconds(
    project: &ProjectName,
    sha256: &Sha256,
    signed: &[u8],
    page: &ProjectPage,
) -> anyhow::Result<Vec<(ObjectPath, ObjectPath)>> {
    let mut seconds = vec![(
        ObjectPath::page(project, sha256),
        ObjectPath::page_by_sha512(project, &Sha512::of(signed)),
    )];
    for file in &page.files {
        let filename = file.filename.as_str();
        let sha512 = file.hashes.get("sha512").map(str::parse::<Sha512>);
        if let (Some(sha256), Some(Ok(sha512))) = (file.sha256(), sha512)
            && filename.len() <= MAX_SHA512_FILENAME_LEN
        {
            seconds.push((
                ObjectPath::file(project, &Sha256(sha256.into()), filename)?,
                ObjectPath::file_by_sha512(project, &sha512, filename)?,
            ));
        }
    }
    Ok(seconds)
}

/// The unsigned copies of a page, and the second names of it and of its files.
fn names(
    tree: &Path,
    project: &ProjectName,
    sha256: &Sha256,
    list: Option<&Sha256>,
    copy: &mut dyn Destination,
) -> anyhow::Result<()> {
    if list.is_none() && copy.has_names(project, sha256) {
        return Ok(());
    }
    let signed = fs::read(tree.join(ObjectPath::page(project, sha256).as_str()))
        .with_context(|| format!("the page of {project} is not there"))?;
    let page =
        ProjectPage::parse(&signed).with_context(|| format!("the page of {project} is damaged"))?;
    let (shown, page) = match list {
        None => (signed.clone(), page.clone()),
        Some(list) => {
            let damaged = || format!("what is taken away from {project} is damaged");
            let path = ObjectPath::status(project, list)?;
            let bytes = fs::read(tree.join(path.as_str())).with_context(damaged)?;
            let list = TakenAway::parse(&bytes, project).with_context(damaged)?;
            let page = list.apply(&page);
            (page.to_json(), page)
        }
    };
    if list.is_some() && copy.has_names(project, &Sha256::of(&shown)) {
        return Ok(());
    }
    for (object, second) in seconds(project, sha256, &signed, &page)? {
        if tree.join(second.as_str()).is_file() {
            copy.second_name(&named(&object), &named(&second))?;
        }
    }
    let mut kept = BTreeSet::new();
    for file in &page.files {
        let filename = file.filename.as_str();
        let mut second_name = |object: ObjectPath, plain: ObjectPath| {
            let name = plain.as_str().rsplit('/').next().unwrap_or_default();
            kept.insert(name.to_owned());
            copy.second_name(&named(&object), &named(&plain))
        };
        if let Some(sha256) = file.sha256() {
            second_name(
                ObjectPath::file(project, &Sha256(sha256.into()), filename)?,
                ObjectPath::plain_file(project, filename)?,
            )?;
        }
        if let Some(sha256) = file.core_metadata.as_ref().and_then(Hashes::sha256) {
            second_name(
                ObjectPath::file_metadata(project, &Sha256(sha256.into()), filename)?,
                ObjectPath::plain_file_metadata(project, filename)?,
            )?;
        }
        let marks = file.wheelmark.as_ref();
        if let Some(signature) = marks.and_then(|marks| marks.gpg_sig) {
            second_name(
                ObjectPath::signature(project, &Sha256(signature.sha256.into()), filename)?,
                ObjectPath::plain_signature(project, filename)?,
            )?;
        }
        if let Some(sha256) = marks.and_then(|marks| marks.provenance_sha256) {
            second_name(
                ObjectPath::provenance(project, &Sha256(sha256.into()), filename)?,
                ObjectPath::plain_provenance(project, filename)?,
            )?;
        }
    }
    // What was removed since the last backup has lost its name.
    copy.keep_only(&format!("{TREE}/packages/{project}"), &kept)?;
    if let Some(bound) = &page.wheelmark.certificates {
        let object = ObjectPath::certificates(project, &Sha256(bound.sha256.into()));
        let certificates = fs::read(tree.join(object.as_str()))
            .with_context(|| format!("the certificates of {project} are not there"))?;
        copy.write(
            &named(&ObjectPath::plain_certificates(project)),
            &certificates,
        )?;
    }
    copy.write(
        &named(&ObjectPath::simple_html(project)),
        page.to_html().as_bytes(),
    )?;
    // The copy of the page last: it says that the names are there.
    copy.write(&named(&ObjectPath::simple_json(project)), &shown)
}
