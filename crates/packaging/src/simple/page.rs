//! The page of one project.

use std::collections::BTreeSet;

use pep440_rs::Version;
use serde_json::{Map, Value};

use super::file::FileError;
use super::json::{self, JsonError, Members};
use super::{API_VERSION, Extra, PageFile, PageMarks, ProjectStatus, html};
use crate::{DistributionFilename, FilenameError, NameError, ProjectName};

/// Longest accepted page, in bytes. The largest known ones, of projects that publish every night
/// for every platform, have some ten megabytes.
pub const MAX_PAGE_LEN: usize = 64 * 1024 * 1024;

/// Most files of one page.
pub const MAX_PAGE_FILES: usize = 200_000;

/// The page of one project: its files, and what is said about each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectPage {
    /// The project.
    pub name: ProjectName,
    /// Its files. Rendered sorted by version and name, whatever their order here.
    pub files: Vec<PageFile>,
    /// Entries of files that are neither wheels nor source distributions, or whose version is no
    /// version. They stay in the JSON form; installers pass them over.
    pub unrecognised: Vec<UnrecognisedFile>,
    /// Versions to list besides those of the files (PEP 700): as a rule, those that have no file.
    pub versions: BTreeSet<String>,
    /// The project's state, where the page says it (PEP 792).
    pub project_status: Option<ProjectStatus>,
    /// What this index adds under `_wheelmark`.
    pub wheelmark: PageMarks,
    /// Members of `meta` besides the version.
    pub meta: Extra,
    /// Members of the page that are not known here.
    pub extra: Extra,
}

/// An entry of a page whose file name has no meaning here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnrecognisedFile {
    /// The file name as it stands there, which can be any text.
    pub filename: String,
    /// The other members of the entry.
    pub extra: Extra,
}

/// Why bytes are not the page of a project.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Not JSON of the right form.
    #[error("the page cannot be read")]
    Json(#[from] JsonError),
    /// `name` is not a project name.
    #[error("the page's name is not a project name")]
    Name(#[source] NameError),
    /// A file of another project.
    #[error("the page of `{project}` lists a file of another project")]
    ForeignFile {
        /// The page's project.
        project: ProjectName,
        /// What is wrong with the file's name.
        source: FilenameError,
    },
    /// An entry cannot be read.
    #[error("the page's entry for `{}` cannot be read", filename.escape_debug())]
    File {
        /// The file name of the entry.
        filename: String,
        /// What is wrong with it.
        source: FileError,
    },
    /// What stands under the page's own `_wheelmark` cannot be read.
    #[error("what the page says under `_wheelmark` cannot be read")]
    Marks(#[source] FileError),
    /// A file that is listed and, at the same time, taken away.
    #[error("the page lists `{}` and says that it was removed", filename.escape_debug())]
    ListedAndRemoved {
        /// The file name.
        filename: String,
    },
    /// Two entries for one file name.
    #[error("the page lists `{}` twice", filename.escape_debug())]
    Duplicate {
        /// The file name.
        filename: String,
    },
    /// More files than [`MAX_PAGE_FILES`].
    #[error("the page lists {count} files, at most {MAX_PAGE_FILES} are allowed")]
    TooManyFiles {
        /// How many it lists.
        count: usize,
    },
}

impl ProjectPage {
    /// A page without files.
    pub fn new(name: ProjectName) -> ProjectPage {
        ProjectPage {
            name,
            files: Vec::new(),
            unrecognised: Vec::new(),
            versions: BTreeSet::new(),
            project_status: None,
            wheelmark: PageMarks::default(),
            meta: Extra::new(),
            extra: Extra::new(),
        }
    }

    /// Parses the JSON form (PEP 691), any version 1.x.
    ///
    /// Strict where a reader could be misled: no member twice, every file one of this project,
    /// no file name twice, digests well formed. Members that are not known survive.
    ///
    /// The caller compares [`ProjectPage::name`] with the project it asked for.
    pub fn parse(bytes: &[u8]) -> Result<ProjectPage, PageError> {
        let mut page = Members::of(json::parse(bytes, MAX_PAGE_LEN)?, "page")?;
        let meta = page.take_meta()?;
        let name: ProjectName = page.need_string("name")?.parse().map_err(PageError::Name)?;
        let entries = page
            .take_array("files")?
            .ok_or(JsonError::Missing { member: "files" })?;
        if entries.len() > MAX_PAGE_FILES {
            return Err(PageError::TooManyFiles {
                count: entries.len(),
            });
        }
        let mut files = Vec::with_capacity(entries.len());
        let mut unrecognised = Vec::new();
        for entry in entries {
            let mut entry = Members::of(entry, "files")?;
            let filename = entry.need_string("filename")?;
            match DistributionFilename::parse_for(&name, &filename) {
                Ok(parsed) => match PageFile::take(parsed, entry) {
                    Ok(file) => files.push(file),
                    Err(source) => return Err(PageError::File { filename, source }),
                },
                Err(source @ FilenameError::OtherProject { .. }) => {
                    return Err(PageError::ForeignFile {
                        project: name,
                        source,
                    });
                }
                Err(_) => unrecognised.push(UnrecognisedFile {
                    filename,
                    extra: entry.rest(),
                }),
            }
        }
        let mut page = ProjectPage {
            files,
            unrecognised,
            versions: take_versions(&mut page)?,
            project_status: take_status(&mut page)?,
            wheelmark: match page.take("_wheelmark") {
                Some(marks) => PageMarks::take(marks, &name).map_err(PageError::Marks)?,
                None => PageMarks::default(),
            },
            name,
            meta,
            extra: page.rest(),
        };
        let count = page.files.len() + page.unrecognised.len() + page.wheelmark.withheld.len();
        if count > MAX_PAGE_FILES {
            return Err(PageError::TooManyFiles { count });
        }
        page.sort();
        page.no_duplicates()?;
        Ok(page)
    }

    /// Renders the JSON form, version 1.4: the same model gives the same bytes.
    ///
    /// No space between tokens, members sorted, files sorted by version and then by name.
    pub fn to_json(&self) -> Vec<u8> {
        let mut page: Map<String, Value> = self.extra.clone().into_iter().collect();
        let mut meta: Map<String, Value> = self.meta.clone().into_iter().collect();
        meta.insert("api-version".to_owned(), API_VERSION.into());
        page.insert("meta".to_owned(), meta.into());
        page.insert("name".to_owned(), self.name.as_str().into());
        page.insert("versions".to_owned(), self.all_versions().into());
        match &self.project_status {
            Some(status) => drop(page.insert("project-status".to_owned(), status_value(status))),
            None => drop(page.remove("project-status")),
        }
        let mut files: Vec<&PageFile> = self.files.iter().collect();
        files.sort_by(|a, b| file_order(a, b));
        let mut others: Vec<&UnrecognisedFile> = self.unrecognised.iter().collect();
        others.sort_by(|a, b| a.filename.cmp(&b.filename));
        match self.wheelmark.to_value() {
            Some(marks) => drop(page.insert("_wheelmark".to_owned(), marks)),
            None => drop(page.remove("_wheelmark")),
        }
        let files = files.into_iter().map(PageFile::to_value);
        let others = others.into_iter().map(UnrecognisedFile::to_value);
        json::render_with_array(&page, "files", files.chain(others))
    }

    /// Renders the HTML form, version 1.4, of the files that installers can use.
    pub fn to_html(&self) -> String {
        html::page(self, &self.by_version())
    }

    /// The files that installers can use, by version and then by name.
    pub(super) fn by_version(&self) -> Vec<&PageFile> {
        let mut files: Vec<&PageFile> = self.files.iter().collect();
        files.sort_by(|a, b| file_order(a, b));
        files
    }

    /// The entry of a file.
    pub fn file(&self, filename: &str) -> Option<&PageFile> {
        self.files
            .iter()
            .find(|file| file.filename.as_str() == filename)
    }

    /// Every version: those of the files and [`ProjectPage::versions`], each once, the lowest
    /// first, normalised where PEP 440 can read them.
    pub fn all_versions(&self) -> Vec<String> {
        let of_files = self
            .files
            .iter()
            .map(|file| file.filename.version().to_string());
        let listed: BTreeSet<String> = of_files
            .chain(self.versions.iter().map(|raw| normalised(raw)))
            .collect();
        let mut listed: Vec<(Option<Version>, String)> = listed
            .into_iter()
            .map(|raw| (raw.parse().ok(), raw))
            .collect();
        listed.sort();
        // `1.0` and `1.0.0` are one version.
        listed.dedup_by(|later, first| later.0.is_some() && later.0 == first.0);
        listed.into_iter().map(|(_, raw)| raw).collect()
    }

    fn sort(&mut self) {
        self.files.sort_by(file_order);
        self.unrecognised
            .sort_by(|a, b| a.filename.cmp(&b.filename));
    }

    fn no_duplicates(&self) -> Result<(), PageError> {
        let files = self.files.iter().chain(&self.wheelmark.withheld);
        let names = files.map(|file| file.filename.as_str());
        let others = self.unrecognised.iter().map(|file| file.filename.as_str());
        let mut seen = BTreeSet::new();
        for name in names.chain(others) {
            if !seen.insert(name) {
                let filename = name.to_owned();
                return Err(PageError::Duplicate { filename });
            }
            if self.wheelmark.removed.contains_key(name) {
                let filename = name.to_owned();
                return Err(PageError::ListedAndRemoved { filename });
            }
        }
        Ok(())
    }
}

impl UnrecognisedFile {
    fn to_value(&self) -> Value {
        let mut entry: Map<String, Value> = self.extra.clone().into_iter().collect();
        entry.insert("filename".to_owned(), self.filename.as_str().into());
        Value::Object(entry)
    }
}

pub(super) fn file_order(a: &PageFile, b: &PageFile) -> std::cmp::Ordering {
    let versions = a.filename.version().cmp(b.filename.version());
    versions.then_with(|| a.filename.cmp(&b.filename))
}

fn normalised(raw: &str) -> String {
    raw.parse::<Version>()
        .map_or_else(|_| raw.to_owned(), |version| version.to_string())
}

fn take_versions(page: &mut Members) -> Result<BTreeSet<String>, JsonError> {
    let versions = page.take_array("versions")?.unwrap_or_default();
    versions
        .into_iter()
        .map(|version| match version {
            Value::String(raw) => Ok(normalised(&raw)),
            _ => Err(JsonError::Type {
                member: "versions",
                expected: "an array of strings",
            }),
        })
        .collect()
}

fn take_status(page: &mut Members) -> Result<Option<ProjectStatus>, JsonError> {
    let Some(status) = page.take("project-status") else {
        return Ok(None);
    };
    let mut status = Members::of(status, "project-status")?;
    Ok(Some(ProjectStatus {
        status: status
            .take_string("status")?
            .map_or_else(Default::default, Into::into),
        reason: status.take_string("reason")?,
        extra: status.rest(),
    }))
}

fn status_value(status: &ProjectStatus) -> Value {
    let mut members: Map<String, Value> = status.extra.clone().into_iter().collect();
    members.insert("status".to_owned(), status.status.as_str().into());
    match &status.reason {
        Some(reason) => drop(members.insert("reason".to_owned(), reason.as_str().into())),
        None => drop(members.remove("reason")),
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests;
