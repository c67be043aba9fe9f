//! Pages of the simple API on disk, and the files that they lead to.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Url;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{Listing, ListingError, MAX_PAGE_LEN};

use super::{Scan, SourceError, local_stamp};
use crate::beneath::{Beneath, BeneathError};
use crate::listed::{Found, Listed, Place};

/// What a project's page is called, the best first.
const PAGES: [(&str, PageForm); 4] = [
    ("index.v1_json", PageForm::Json),
    ("index.json", PageForm::Json),
    ("index.html", PageForm::Html),
    ("index.v1_html", PageForm::Html),
];

/// The address under which links of pages are resolved. Nothing is asked there.
const HOST: &str = "http://tree.invalid/";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageForm {
    Json,
    Html,
}

/// What has the name of a project, the best first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Folder {
    /// A directory with a page, or with something that is called like one.
    Pages,
    /// The file system does not say what there is.
    Unread(String),
    /// A directory without a page, or a link that leads nowhere.
    Hollow(String),
}

/// The directories of projects.
#[derive(Debug, Default)]
struct Folders {
    found: Vec<(ProjectName, Folder, PathBuf)>,
    /// Why there may be more of them.
    short: Option<String>,
}

impl Folder {
    /// Looks at an entry of a directory; `None` if it is no directory, or gone by now.
    fn look(path: &Path) -> Option<Self> {
        let unread = |error| {
            Some(Self::Unread(format!(
                "its directory cannot be read: {error}"
            )))
        };
        match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => return None,
            Ok(_) => {}
            Err(error) if error.kind() != ErrorKind::NotFound => return unread(error),
            Err(_) => {
                fs::symlink_metadata(path).ok()?;
                let why = "its directory is a link that leads nowhere";
                return Some(Self::Hollow(why.to_owned()));
            }
        }
        for (name, _) in PAGES {
            // A link to a page that is not there now is a sign of one all the same.
            match fs::symlink_metadata(path.join(name)) {
                Ok(_) => return Some(Self::Pages),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return unread(error),
            }
        }
        Some(Self::Hollow("its directory has no page".to_owned()))
    }
}

/// A directory as a web server would serve it.
#[derive(Debug)]
pub(super) struct Tree {
    beneath: Beneath,
    /// The directory with the pages, relative to the root; empty if it is the root.
    simple: PathBuf,
}

impl Tree {
    /// Finds the pages: in `web/simple` (bandersnatch), in `simple`, or in the directory itself.
    /// `None` where there are none.
    pub(super) fn find(path: &Path) -> Result<Option<Self>, SourceError> {
        let cannot = |source| SourceError::Directory {
            path: path.to_owned(),
            source,
        };
        let path = path.canonicalize().map_err(cannot)?;
        let is_simple = path.ends_with("simple");
        // Its pages lead to files beside it. What else is above is nobody's business.
        let above = path
            .parent()
            .filter(|above| is_simple && above.join("packages").is_dir());
        let places = [
            Some((path.join("web"), "simple")),
            Some((path.clone(), "simple")),
            above.map(|above| (above.to_owned(), "simple")),
            // Without that name, only where it has a list of projects as well.
            (is_simple || has_page(&path)).then(|| (path.clone(), "")),
        ];
        for (root, simple) in places.into_iter().flatten() {
            if has_pages(&root.join(simple)).map_err(cannot)? {
                return Ok(Some(Self {
                    beneath: Beneath::open(&root).map_err(cannot)?,
                    simple: PathBuf::from(simple),
                }));
            }
        }
        Ok(None)
    }

    pub(super) fn beneath(&self) -> &Beneath {
        &self.beneath
    }

    pub(super) fn scan(&self, scan: &Scan) -> Result<(), SourceError> {
        let mut folders = Folders::default();
        self.folders(&self.simple, 0, &mut folders)?;
        let Folders { mut found, short } = folders;
        found.retain(|(project, ..)| scan.wants(project));
        found.sort();
        found.dedup_by(|later, first| later.0 == first.0);
        let names = found.iter().map(|(project, ..)| project.clone()).collect();
        scan.tell(Found::Projects { names, short })?;
        for (project, folder, path) in found {
            match folder {
                Folder::Pages => self.project(scan, &project, &path)?,
                Folder::Unread(why) => scan.tell(Found::Unread { project, why })?,
                Folder::Hollow(why) => scan.tell(Found::Hollow { project, why })?,
            }
        }
        Ok(())
    }

    /// The directories of projects. bandersnatch can put them below their first letter.
    fn folders(
        &self,
        below: &Path,
        depth: usize,
        folders: &mut Folders,
    ) -> Result<(), SourceError> {
        let path = self.beneath.root().join(below);
        let cannot = |source| SourceError::Directory {
            path: path.clone(),
            source,
        };
        for entry in fs::read_dir(&path).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let (name, folder) = (entry.file_name(), below.join(entry.file_name()));
            let Some(name) = name.to_str() else { continue };
            if name.starts_with('.') {
                continue;
            }
            let kind = Folder::look(&entry.path());
            if depth == 0 && name.chars().count() == 1 {
                match kind {
                    Some(Folder::Hollow(_)) if entry.path().is_dir() => {
                        self.folders(&folder, 1, folders)?;
                    }
                    // Below a letter there may be any number of projects.
                    Some(Folder::Hollow(_) | Folder::Unread(_)) => {
                        let why = format!("the directory `{name}` cannot be looked into");
                        folders.short = Some(why);
                    }
                    Some(Folder::Pages) | None => {}
                }
            }
            if let (Some(kind), Ok(project)) = (kind, name.parse()) {
                folders.found.push((project, kind, folder));
            }
        }
        Ok(())
    }

    fn project(
        &self,
        scan: &Scan,
        project: &ProjectName,
        folder: &Path,
    ) -> Result<(), SourceError> {
        let (listing, base, cut) = match self.page(project, folder) {
            Ok(read) => read,
            Err(why) => {
                let project = project.clone();
                return scan.tell(Found::Unread { project, why });
            }
        };
        let doubtful = listing.files.is_empty() && !listing.declared;
        for skipped in skipped(project, &listing) {
            scan.tell(skipped)?;
        }
        for file in listing.files {
            let name = file.filename.to_string();
            let url = file.url.clone();
            let found = match local(&base, &url) {
                None => Found::Skipped {
                    file: Some((project.clone(), name.clone())),
                    name,
                    why: format!("its link `{}` leads nowhere", url.escape_debug()),
                },
                Some(path) => {
                    let listed = Listed::of_page(project, file, Place::Local(path.clone()));
                    self.file(scan, listed, &path, &url)
                }
            };
            scan.tell(found)?;
        }
        let project = project.clone();
        scan.tell(match cut {
            _ if doubtful => Found::Doubtful(project),
            Some(why) => Found::Cut { project, why },
            None => Found::Read(project),
        })
    }

    fn file(&self, scan: &Scan, mut listed: Listed, path: &Path, url: &str) -> Found {
        let stamped = self
            .beneath
            .file(path)
            .and_then(|file| Ok(local_stamp(&file)?));
        match stamped {
            Ok((_, known_by, modified)) => {
                let digest = listed.hashes.get("sha256").unwrap_or_default();
                listed.known_by = Some(format!("{known_by} {digest}"));
                let uploaded_at = listed.uploaded_at.or(modified);
                listed.uploaded_at = uploaded_at.map(|time| time.min(scan.now));
                Found::File(Box::new(listed))
            }
            Err(error @ (BeneathError::LeadsOut { .. } | BeneathError::NotPlain)) => {
                Found::Skipped {
                    name: listed.filename.to_string(),
                    file: Some((listed.project, listed.filename.to_string())),
                    why: error.to_string(),
                }
            }
            Err(error) => Found::Failed {
                project: listed.project,
                filename: listed.filename.to_string(),
                why: if error.is_missing() {
                    format!(
                        "the page links to `{}`, which is not in the tree",
                        url.escape_debug()
                    )
                } else {
                    error.to_string()
                },
            },
        }
    }

    /// Reads the best page that can be read, and what its links are relative to; and why there may
    /// be more than it lists.
    fn page(
        &self,
        project: &ProjectName,
        folder: &Path,
    ) -> Result<(Listing, Url, Option<String>), String> {
        let none = "it has no page";
        let mut why = none.to_owned();
        for (name, form) in PAGES {
            let file = match self.beneath.file(&folder.join(name)) {
                Ok(file) => file,
                Err(error) if error.is_missing() => continue,
                Err(error) => {
                    why = format!("{name}: {error}");
                    continue;
                }
            };
            let bytes = match read(file) {
                Ok(bytes) => bytes,
                Err(error) => {
                    why = format!("{name} cannot be read: {error}");
                    continue;
                }
            };
            let listing: Result<Listing, ListingError> = match form {
                PageForm::Json => Listing::from_json(project, &bytes),
                PageForm::Html => Listing::from_html(project, &bytes),
            };
            match listing {
                Ok(listing) => {
                    let base = base(folder, listing.base.as_deref())
                        .ok_or_else(|| format!("{name} has a base that is no URL"))?;
                    let cut = if !listing.whole {
                        Some(format!("{name} seems to be cut off"))
                    } else if why != none {
                        Some(format!("{name} stands in for a better page: {why}"))
                    } else {
                        None
                    };
                    return Ok((listing, base, cut));
                }
                Err(error) => why = format!("{name}: {}", chain(&error)),
            }
        }
        Err(why)
    }
}

/// The entries of a page that were passed over. One that is also listed as it should be is no
/// file that is missing.
pub(super) fn skipped(project: &ProjectName, listing: &Listing) -> Vec<Found> {
    let listed: BTreeSet<&str> = match listing.skipped.is_empty() {
        true => BTreeSet::new(),
        false => listing
            .files
            .iter()
            .map(|file| file.filename.as_str())
            .collect(),
    };
    let skipped = listing.skipped.iter().map(|skipped| {
        let missing = !listed.contains(skipped.name.as_str());
        Found::Skipped {
            file: missing.then(|| (project.clone(), skipped.name.clone())),
            name: format!("{project}: {}", skipped.name),
            why: skipped.why.clone(),
        }
    });
    skipped.collect()
}

/// What the links of a page in `folder` are relative to.
fn base(folder: &Path, stated: Option<&str>) -> Option<Url> {
    let mut url = Url::parse(HOST).ok()?;
    {
        let mut segments = url.path_segments_mut().ok()?;
        segments.pop_if_empty();
        for segment in folder {
            segments.push(segment.to_str()?);
        }
        segments.push("");
    }
    match stated {
        Some(stated) => url.join(stated).ok(),
        None => Some(url),
    }
}

/// The path that a link leads to, as a web server on the tree would look for it. A link to
/// another host is looked for here, too: mirrors write their own address into their pages.
fn local(base: &Url, link: &str) -> Option<PathBuf> {
    let url = base.join(link).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let mut path = PathBuf::new();
    for segment in url.path_segments()? {
        let segment = percent_decode_str(segment).decode_utf8().ok()?;
        if matches!(segment.as_ref(), "" | ".." | ".") || segment.contains(['/', '\0']) {
            return None;
        }
        path.push(segment.as_ref());
    }
    Some(path)
}

fn read(file: fs::File) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to be refused for it.
    file.take(MAX_PAGE_LEN as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn has_page(folder: &Path) -> bool {
    PAGES.iter().any(|(name, _)| folder.join(name).exists())
}

/// Whether a directory of a directory has a page. One is enough, and a few thousand that have
/// none are enough to know.
fn has_pages(path: &Path) -> std::io::Result<bool> {
    const LOOKED_AT: usize = 10_000;
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries.take(LOOKED_AT) {
        let entry = entry?;
        if !entry.path().is_dir() {
            continue;
        }
        if has_page(&entry.path()) {
            return Ok(true);
        }
        let letter = entry.file_name().len() == 1;
        if letter
            && fs::read_dir(entry.path())?
                .flatten()
                .take(100)
                .any(|below| has_page(&below.path()))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said.push_str(": ");
        said.push_str(&cause.to_string());
        source = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    #[test]
    fn links_lead_where_a_web_server_would_look() {
        let check = |stated: Option<&str>, link: &str, expect: Option<&str>| {
            let base = base(Path::new("simple/flask"), stated).unwrap();
            assert_eq!(local(&base, link), expect.map(PathBuf::from), "{link}");
        };
        check(
            None,
            "../../packages/ab/cd/f.whl#sha256=0",
            Some("packages/ab/cd/f.whl"),
        );
        check(None, "f.whl", Some("simple/flask/f.whl"));
        check(None, "/pool/f.whl?x", Some("pool/f.whl"));
        check(
            None,
            "https://mirror.example/packages/f%2B1.whl",
            Some("packages/f+1.whl"),
        );
        check(Some("../../pool/"), "f.whl", Some("pool/f.whl"));
        // No number of steps up leads further than to the root.
        check(None, "../../../../../etc/f.whl", Some("etc/f.whl"));
        check(None, "%2e%2e/%2e%2e/%2e%2e/%2e%2e/f.whl", Some("f.whl"));
        check(None, "..%2f..%2f..%2fetc/f.whl", None);
        check(None, "a%00b/f.whl", None);
        check(None, "file:///etc/f.whl", None);
        check(None, "a//f.whl", None);
        check(None, "pool/", None);
    }
}
