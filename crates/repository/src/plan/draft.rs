//! A project's page while changes are made to it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    MAX_PAGE_FILES, MAX_PAGE_LEN, PageFile, ProjectPage, Removed, Sha256Hex, Yanked,
};

/// What a page has besides its files, removed files and versions, in bytes, at most. Its members
/// and their names; the project's name is at most 200 bytes long.
const FRAME_LEN: usize = 512;

/// A page without its files, which stand beside it by name: a page can have a hundred thousand,
/// and a snapshot can bring it as many changes.
#[derive(Debug)]
pub(super) struct Draft {
    page: ProjectPage,
    files: BTreeMap<String, PageFile>,
    /// How long the page will be in bytes, at most.
    length: usize,
    touched: bool,
}

/// The page cannot take one more file.
#[derive(Debug, thiserror::Error)]
#[error("the page of {project} is full: {files} files, {length} bytes")]
pub(super) struct Full {
    project: ProjectName,
    files: usize,
    length: usize,
}

/// The pages that a snapshot touches, by project; most begin as what was signed last.
pub(super) struct Drafts {
    signed: HashMap<ProjectName, (ProjectPage, usize)>,
    drafts: BTreeMap<ProjectName, Draft>,
}

impl Drafts {
    /// `signed` holds pages with their lengths in bytes.
    pub(super) fn new(signed: HashMap<ProjectName, (ProjectPage, usize)>) -> Self {
        Self {
            signed,
            drafts: BTreeMap::new(),
        }
    }

    /// The draft of a project's page: an empty one where nothing is signed.
    pub(super) fn of(&mut self, project: &ProjectName) -> &mut Draft {
        let signed = &mut self.signed;
        self.drafts
            .entry(project.clone())
            .or_insert_with(|| match signed.remove(project) {
                Some((page, length)) => Draft::of_page(page, length),
                None => Draft::of_page(ProjectPage::new(project.clone()), FRAME_LEN),
            })
    }

    /// The pages that were changed.
    pub(super) fn touched(self) -> impl Iterator<Item = ProjectPage> {
        let touched = self.drafts.into_values().filter(|draft| draft.touched);
        touched.map(Draft::into_page)
    }
}

impl Draft {
    fn of_page(mut page: ProjectPage, length: usize) -> Self {
        let files = std::mem::take(&mut page.files);
        // A page that was parsed lists every version there; they follow from the files (PEP 700).
        page.versions.clear();
        Self {
            page,
            files: files
                .into_iter()
                .map(|file| (file.filename.as_str().to_owned(), file))
                .collect(),
            length,
            touched: false,
        }
    }

    /// The file of this name, if the page lists it.
    pub(super) fn file(&self, filename: &str) -> Option<&PageFile> {
        self.files.get(filename)
    }

    /// The SHA-256 of the file of this name, if it was taken away.
    pub(super) fn removed(&self, filename: &str) -> Option<Sha256Hex> {
        Some(self.page.wheelmark.removed.get(filename)?.sha256)
    }

    /// Lists a file, which takes its name back if it was taken away.
    pub(super) fn add(&mut self, file: PageFile) -> Result<(), Full> {
        let grown = self.length + listed_len(&file);
        if self.files.len() >= MAX_PAGE_FILES || grown > MAX_PAGE_LEN {
            return Err(Full {
                project: self.page.name.clone(),
                files: self.files.len(),
                length: self.length,
            });
        }
        let filename = file.filename.as_str().to_owned();
        self.page.wheelmark.removed.remove(&filename);
        self.files.insert(filename, file);
        self.length = grown;
        self.touched = true;
        Ok(())
    }

    /// Takes a listed file away and remembers its name and digest; whether it was listed. An
    /// entry without a SHA-256, which no index writes, stays: there would be nothing to remember.
    pub(super) fn remove(&mut self, filename: &str, removed_at: Timestamp) -> bool {
        let digest = self.file(filename).and_then(|file| file.hashes.sha256());
        let Some(sha256) = digest else {
            return false;
        };
        self.files.remove(filename);
        let removed = Removed {
            sha256,
            removed_at,
            extra: BTreeMap::new(),
        };
        // What remains of a file is shorter than its entry was, so `length` still is a bound.
        let removed_files = &mut self.page.wheelmark.removed;
        removed_files.insert(filename.to_owned(), removed);
        self.touched = true;
        true
    }

    /// Yanks a listed file, or makes it an ordinary one again; whether it was listed.
    pub(super) fn yank(&mut self, filename: &str, yanked: Yanked) -> Result<bool, Full> {
        let Some(file) = self.files.get_mut(filename) else {
            return Ok(false);
        };
        if file.yanked == yanked {
            return Ok(true);
        }
        let before = file.json_len();
        let was = std::mem::replace(&mut file.yanked, yanked);
        let grown = (self.length + file.json_len()).saturating_sub(before);
        if grown > MAX_PAGE_LEN {
            file.yanked = was;
            return Err(Full {
                project: self.page.name.clone(),
                files: self.files.len(),
                length: self.length,
            });
        }
        self.length = grown;
        self.touched = true;
        Ok(true)
    }

    fn into_page(self) -> ProjectPage {
        let mut page = self.page;
        page.files = self.files.into_values().collect();
        page
    }
}

/// How many bytes a file adds to its project's page, at most: its entry, its version between
/// quotes, and a comma after each.
fn listed_len(file: &PageFile) -> usize {
    file.json_len() + file.filename.version().to_string().len() + 4
}
