//! A copy of a test index, and a reader that verifies all of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt as _;
use sha2_of_files::sha256_of;
use wheelmark_client::{Beginning, IndexUrls, Mirror, Remote, Turn, Upstream, add_trust};
use wheelmark_mirror::{
    Copy, CopyError, CopyFolder, CopyOptions, Listed, LocalTree, Outcome, inventory,
};
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_tuf::{Cached, Clock, Sha256};

use crate::index::TestIndex;
use wheelmark_testing::Web;

/// Where a copy is made, and from where.
pub(crate) struct Copier {
    pub(crate) directory: PathBuf,
    pub(crate) web: Web,
    pub(crate) options: CopyOptions,
    /// Further sources, by the base of their tree.
    pub(crate) from: Vec<String>,
    /// What trust begins with, if not the fingerprint of the first root.
    pub(crate) root: Option<Vec<u8>>,
    clock: Arc<dyn Clock>,
    fingerprint: Sha256,
}

impl Copier {
    pub(crate) async fn of(index: &TestIndex, name: &str) -> Self {
        Self {
            directory: index.beside(name),
            web: Web::serve(index.root()).await,
            options: CopyOptions::default(),
            from: Vec::new(),
            root: None,
            clock: index.clock.clone(),
            fingerprint: index.fingerprint,
        }
    }

    /// Opens the copy as a new process would.
    pub(crate) async fn open(&self) -> Result<Copy, CopyError> {
        let place = CopyFolder::open(&self.directory).await?;
        let patience = wheelmark_client::Patience {
            silence: std::time::Duration::from_secs(2),
            start: std::time::Duration::from_secs(2),
            ..wheelmark_client::Patience::default()
        };
        let remote = Remote::with_patience("test", patience).unwrap();
        let mirrors = self
            .from
            .iter()
            .map(|base| Mirror::new(Some(base), None, None, Turn::After).unwrap());
        let mirrors = mirrors.collect();
        let urls = IndexUrls::new(&self.web.simple(), None, None).unwrap();
        let trusted = match place.trust().find(urls.simple()).unwrap() {
            Some(trusted) => trusted,
            None => {
                let beginning = match self.root.clone() {
                    Some(bytes) => Beginning::Root {
                        bytes,
                        from: PathBuf::from("root.json"),
                    },
                    None => Beginning::Fingerprint(self.fingerprint),
                };
                let now = self.clock.now();
                add_trust(place.trust(), &remote, urls, beginning, now)
                    .await
                    .unwrap()
            }
        };
        let upstream = Upstream::with_mirrors(trusted, mirrors, remote);
        Copy::new(place, upstream, self.options.clone(), self.clock.clone()).await
    }

    /// One run, as a new process.
    pub(crate) async fn run(&self) -> Result<Outcome, CopyError> {
        self.open().await?.run().await
    }

    /// Everything that readers find in the copy, verified.
    pub(crate) async fn contents(&self, index: &TestIndex) -> Contents {
        contents(&self.directory, index).await
    }
}

/// What a reader finds: the snapshot's version, and by project the files that are there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) snapshot: u64,
    pub(crate) projects: BTreeMap<String, Vec<String>>,
}

impl Contents {
    pub(crate) fn files(&self) -> Vec<&str> {
        self.projects
            .values()
            .flatten()
            .map(String::as_str)
            .collect()
    }
}

/// Reads a tree as a client does: every role, every page, and every file that is there. Whatever
/// is not as it was signed fails the test; a file that is not there is left out.
pub(crate) async fn contents(directory: &Path, index: &TestIndex) -> Contents {
    let tree = LocalTree::new(Directory::open(directory).await.unwrap());
    let set = tree
        .refresh(&index.first_root(), Cached::default(), index.clock.now())
        .await
        .unwrap();
    let roles: Vec<_> = inventory(&set, &tree, 4).try_collect().await.unwrap();
    let mut projects = BTreeMap::new();
    for role in &roles {
        for (path, info) in role.visited.listed() {
            if let Listed::Page {
                project, sha256, ..
            } = Listed::of(path, info)
                && let Some(files) = files_of(directory, &project, &sha256)
            {
                projects.insert(project.to_string(), files);
            }
        }
    }
    Contents {
        snapshot: set.snapshot().version,
        projects,
    }
}

/// The files of a page that are there, and as they were signed; `None` without the page.
fn files_of(directory: &Path, project: &ProjectName, sha256: &Sha256) -> Option<Vec<String>> {
    let page = directory.join(ObjectPath::page(project, sha256).as_str());
    let bytes = std::fs::read(page).ok()?;
    assert_eq!(Sha256::of(&bytes), *sha256, "the page of {project}");
    let page = ProjectPage::parse(&bytes).unwrap();
    let mut files = Vec::new();
    for file in &page.files {
        let name = file.filename.as_str();
        let digest = |hex: wheelmark_packaging::simple::Sha256Hex| Sha256(hex.into());
        let sha256 = digest(file.hashes.sha256().unwrap());
        let path = directory.join(ObjectPath::file(project, &sha256, name).unwrap().as_str());
        if !path.exists() {
            continue;
        }
        assert_eq!(sha256_of(&path), sha256, "{name}");
        if let Some(metadata) = file
            .core_metadata
            .as_ref()
            .and_then(|hashes| hashes.sha256())
        {
            let metadata = digest(metadata);
            let path = ObjectPath::file_metadata(project, &metadata, name).unwrap();
            assert_eq!(
                sha256_of(&directory.join(path.as_str())),
                metadata,
                "{name}"
            );
        }
        if let Some(chunks) = file
            .wheelmark
            .as_ref()
            .and_then(|marks| marks.chunks_sha256)
        {
            let chunks = digest(chunks);
            let path = ObjectPath::chunks(project, &chunks, name).unwrap();
            assert_eq!(sha256_of(&directory.join(path.as_str())), chunks, "{name}");
        }
        let marks = file.wheelmark.as_ref();
        if let Some(signature) = marks.and_then(|marks| marks.gpg_sig) {
            let sha256 = digest(signature.sha256);
            let path = ObjectPath::signature(project, &sha256, name).unwrap();
            assert_eq!(sha256_of(&directory.join(path.as_str())), sha256, "{name}");
        }
        files.push(name.to_owned());
    }
    files.sort();
    Some(files)
}

mod sha2_of_files {
    use std::path::Path;

    use wheelmark_tuf::Sha256;

    pub(super) fn sha256_of(path: &Path) -> Sha256 {
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Sha256::of(&bytes)
    }
}

/// The unsigned side of a copy: every project of the list, with the files that its page links to,
/// each of which is there under its plain name.
pub(crate) fn plain(directory: &Path) -> BTreeMap<String, Vec<String>> {
    let read = |path: &str| std::fs::read(directory.join(path)).unwrap();
    let list = wheelmark_packaging::simple::ProjectList::parse(&read("simple/index.json")).unwrap();
    let mut projects = BTreeMap::new();
    for project in list.projects {
        let name = project.name;
        let page = ProjectPage::parse(&read(&format!("simple/{name}/index.json"))).unwrap();
        let html = String::from_utf8(read(&format!("simple/{name}/index.html"))).unwrap();
        let mut files = Vec::new();
        for file in &page.files {
            let filename = file.filename.as_str();
            assert!(html.contains(filename), "{filename}");
            let bytes = read(&format!("packages/{name}/{filename}"));
            let sha256: [u8; 32] = file.hashes.sha256().unwrap().into();
            assert_eq!(Sha256::of(&bytes).0, sha256, "{filename}");
            if file.core_metadata.is_some() {
                read(&format!("packages/{name}/{filename}.metadata"));
            }
            if file.has_signature() {
                read(&format!("packages/{name}/{filename}.asc"));
            }
            files.push(filename.to_owned());
        }
        files.sort();
        projects.insert(name.to_string(), files);
    }
    projects
}
