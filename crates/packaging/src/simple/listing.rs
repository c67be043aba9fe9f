//! What an index that is not ours lists, read entry by entry.
//!
//! [`ProjectPage::parse`](super::ProjectPage::parse) refuses a page for one bad entry, since a
//! signed page has none. Pages that others made have every kind, and one bad entry must not hide
//! the good ones beside it: it is passed over, and said.

mod anchors;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

use self::anchors::{Anchor, Document};
use super::json::{self, JsonError, Members};
use super::{Hashes, MAX_LIST_LEN, MAX_PAGE_FILES, MAX_PAGE_LEN, PageFile, Yanked};
use crate::{DistributionFilename, ProjectName};

/// Most projects of one list: some times those of the largest public index.
pub const MAX_LISTED_PROJECTS: usize = 4_000_000;

/// A project's page as another index shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The files of the project, in the page's order; each name once. [`PageFile::url`] is as it
    /// stands there: relative to [`Listing::base`], or to the page.
    pub files: Vec<PageFile>,
    /// The entries that were passed over.
    pub skipped: Vec<Skipped>,
    /// What relative URLs are relative to, where the page says it (`<base href>`).
    pub base: Option<String>,
    /// Whether it says itself that it is a page of the simple API. An error page that was sent as
    /// a success does not.
    pub declared: bool,
    /// Whether it comes to its end, as far as that can be seen: an HTML page may have been cut
    /// off anywhere.
    pub whole: bool,
}

/// The list of projects as another index shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The projects, each once.
    pub projects: Vec<Named>,
    /// The entries that were passed over.
    pub skipped: Vec<Skipped>,
    /// What relative links are relative to, where the list says it (`<base href>`).
    pub base: Option<String>,
    /// Whether it comes to its end, as far as that can be seen: an HTML list may have been cut
    /// off anywhere.
    pub whole: bool,
}

/// A project of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: ProjectName,
    /// Where the list says that its page is. In JSON it does not.
    pub link: Option<String>,
}

/// An entry that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// What it is called there, which can be any text.
    pub name: String,
    /// Why it cannot be taken.
    pub why: String,
}

/// Why bytes are not a page at all.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// Not JSON of the right form.
    #[error("it cannot be read")]
    Json(#[from] JsonError),
    /// Longer than the limit for its kind.
    #[error("a document of {length} bytes is too long, at most {limit} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// More entries than the limit for its kind.
    #[error("it has more than {limit} entries")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// It is the page of another project.
    #[error("it is the page of `{}`", found.escape_debug())]
    OtherProject {
        /// The name that it gives.
        found: String,
    },
}

impl Listing {
    /// Reads the JSON form (PEP 691), any version 1.x, of the page of `project`.
    ///
    /// # Errors
    ///
    /// If it is no JSON page of that project; never for an entry.
    pub fn from_json(project: &ProjectName, bytes: &[u8]) -> Result<Listing, ListingError> {
        let mut page = Members::of(json::parse(bytes, MAX_PAGE_LEN)?, "page")?;
        page.take_meta()?;
        let name = page.need_string("name")?;
        if name.parse::<ProjectName>().as_ref() != Ok(project) {
            return Err(ListingError::OtherProject { found: name });
        }
        let entries = page
            .take_array("files")?
            .ok_or(JsonError::Missing { member: "files" })?;
        if entries.len() > MAX_PAGE_FILES {
            return Err(ListingError::TooMany {
                limit: MAX_PAGE_FILES,
            });
        }
        let mut taken = Taken::default();
        for entry in entries {
            let read = Members::of(entry, "files").and_then(|mut entry| {
                let filename = entry.need_string("filename")?;
                Ok((filename, entry))
            });
            match read {
                Err(error) => taken.skip(String::new(), error),
                Ok((filename, entry)) => {
                    match DistributionFilename::parse_for(project, &filename) {
                        Err(error) => taken.skip(filename, error),
                        Ok(parsed) => match PageFile::take(parsed, entry) {
                            Err(error) => taken.skip(filename, error),
                            Ok(file) => taken.file(file),
                        },
                    }
                }
            }
        }
        Ok(Listing {
            files: taken.files,
            skipped: taken.skipped,
            base: None,
            declared: true,
            whole: true,
        })
    }

    /// Reads the HTML form (PEP 503 and those after it) of the page of `project`: its links.
    ///
    /// Whatever is no link to a file passes for decoration; what looks like a distribution and
    /// is none of this project is passed over and said.
    ///
    /// # Errors
    ///
    /// If it is too long or has too many links. Any text is an HTML page, if perhaps without links.
    pub fn from_html(project: &ProjectName, bytes: &[u8]) -> Result<Listing, ListingError> {
        let document = Document::read(bytes, MAX_PAGE_LEN, MAX_PAGE_FILES)?;
        let mut taken = Taken::default();
        for anchor in document.anchors {
            let Some(filename) = last_segment(&anchor.href) else {
                continue;
            };
            match DistributionFilename::parse_for(project, &filename) {
                Ok(parsed) => taken.file(file(project, parsed, anchor)),
                Err(crate::FilenameError::UnknownKind { .. }) => {}
                Err(error) => taken.skip(filename, error),
            }
        }
        Ok(Listing {
            files: taken.files,
            skipped: taken.skipped,
            base: document.base,
            declared: document.declared,
            whole: document.whole,
        })
    }
}

impl Names {
    /// Reads the JSON form of the list of projects (PEP 691), any version 1.x.
    ///
    /// # Errors
    ///
    /// If it is no list; never for an entry.
    pub fn from_json(bytes: &[u8]) -> Result<Names, ListingError> {
        let mut list = Members::of(json::parse(bytes, MAX_LIST_LEN)?, "list")?;
        list.take_meta()?;
        let entries = list
            .take_array("projects")?
            .ok_or(JsonError::Missing { member: "projects" })?;
        let mut taken = TakenNames::default();
        for entry in entries {
            match Members::of(entry, "projects").and_then(|mut entry| entry.need_string("name")) {
                Err(error) => taken.skip(String::new(), error),
                Ok(name) => match name.parse() {
                    Err(error) => taken.skip(name, error),
                    Ok(name) => taken.add(name, None)?,
                },
            }
        }
        taken.names.whole = true;
        Ok(taken.names)
    }

    /// Reads the HTML form of the list of projects (PEP 503): the links that lead to a directory
    /// below the list, or whose text is a project's name.
    ///
    /// # Errors
    ///
    /// If it is too long or has too many links.
    pub fn from_html(bytes: &[u8]) -> Result<Names, ListingError> {
        let document = Document::read(bytes, MAX_LIST_LEN, MAX_LISTED_PROJECTS)?;
        let mut taken = TakenNames::default();
        for anchor in document.anchors {
            let path = anchor.href.split(['?', '#']).next().unwrap_or_default();
            let folder = path.strip_suffix('/');
            let segment = folder
                .unwrap_or(path)
                .rsplit('/')
                .next()
                .unwrap_or_default();
            let Ok(segment) = percent_decode_str(segment).decode_utf8() else {
                continue;
            };
            let text = anchor.text.trim();
            // `../`, `?C=N;O=D`, a home page: no entries.
            if matches!(segment.as_ref(), "" | "." | "..") {
                continue;
            }
            let named: Option<ProjectName> = match (segment.parse::<ProjectName>(), folder) {
                (Ok(name), Some(_)) => Some(name),
                (Ok(name), None) if text.parse::<ProjectName>().as_ref() == Ok(&name) => Some(name),
                _ => None,
            };
            match named {
                Some(name) => taken.add(name, Some(anchor.href))?,
                None if folder.is_some() => taken.skip(segment.into_owned(), "not a project name"),
                None => {}
            }
        }
        taken.names.base = document.base;
        taken.names.whole = document.whole;
        Ok(taken.names)
    }
}

/// What has been taken of a page.
#[derive(Default)]
struct Taken {
    files: Vec<PageFile>,
    seen: BTreeSet<String>,
    skipped: Vec<Skipped>,
}

impl Taken {
    fn file(&mut self, file: PageFile) {
        if self.seen.insert(file.filename.as_str().to_owned()) {
            self.files.push(file);
        } else {
            self.skip(
                file.filename.as_str().to_owned(),
                "it is listed a second time",
            );
        }
    }

    fn skip(&mut self, name: String, why: impl ToString) {
        let why = why.to_string();
        self.skipped.push(Skipped { name, why });
    }
}

/// What has been taken of a list.
#[derive(Default)]
struct TakenNames {
    names: Names,
    seen: BTreeSet<ProjectName>,
}

impl TakenNames {
    fn add(&mut self, name: ProjectName, link: Option<String>) -> Result<(), ListingError> {
        if self.names.projects.len() >= MAX_LISTED_PROJECTS {
            return Err(ListingError::TooMany {
                limit: MAX_LISTED_PROJECTS,
            });
        }
        if self.seen.insert(name.clone()) {
            self.names.projects.push(Named { name, link });
        }
        Ok(())
    }

    fn skip(&mut self, name: String, why: impl ToString) {
        let why = why.to_string();
        self.names.skipped.push(Skipped { name, why });
    }
}

/// The name that a URL's path ends with, decoded; `None` where it ends with none.
fn last_segment(href: &str) -> Option<String> {
    let path = href.split(['?', '#']).next().unwrap_or_default();
    let segment = path.rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

/// A link as a file of the page.
fn file(project: &ProjectName, filename: DistributionFilename, anchor: Anchor) -> PageFile {
    let (url, fragment) = anchor.href.split_once('#').unwrap_or((&anchor.href, ""));
    let mut file = PageFile::new(project, filename, digests(fragment));
    file.url = url.to_owned();
    file.requires_python = anchor
        .requires_python
        .filter(|range| !range.trim().is_empty());
    file.yanked = match anchor.yanked {
        None => Yanked::No,
        Some(reason) if reason.is_empty() => Yanked::Yes,
        Some(reason) => Yanked::Because(reason),
    };
    file.core_metadata = anchor.core_metadata.and_then(|value| match value.as_str() {
        "false" => None,
        stated => Some(digests(stated)),
    });
    file
}

/// The digests of a URL's fragment, `algorithm=digest`. What is none is left out.
fn digests(fragment: &str) -> Hashes {
    let mut hashes = Hashes::new();
    for (algorithm, digest) in fragment.split('&').filter_map(|pair| pair.split_once('=')) {
        // A word that is no digest is `egg=…` or the like.
        hashes.insert(algorithm, &digest.to_ascii_lowercase()).ok();
    }
    hashes
}
