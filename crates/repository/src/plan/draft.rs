//! A project's page while changes are made to it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    MAX_PAGE_FILES, MAX_PAGE_LEN, PageFile, ProjectPage, Removed, Yanked,
};

/// What a page has besides its files, removed files and versions, in bytes, at most. Its members
/// and their names; the project's name is at most 200 bytes long.
const FRAME_LEN: usize = 512;

/// How much of a page what remains of removed files may take: the rest stays for files. That is
/// some 25,000 removed files of one project.
const MAX_REMOVED_LEN: usize = MAX_PAGE_LEN / 4;
const MAX_REMOVED_FILES: usize = MAX_PAGE_FILES / 4;

/// How much of a page everything else may take.
const MAX_LISTED_LEN: usize = MAX_PAGE_LEN - MAX_REMOVED_LEN;

/// A page without its files, which stand beside it by name: a page can have a hundred thousand,
/// and a snapshot can bring it as many changes.
#[derive(Debug)]
pub(super) struct Draft {
    page: ProjectPage,
    files: BTreeMap<String, PageFile>,
    /// How long the page will be in bytes without what remains of removed files, at most.
    length: usize,
    /// How long what remains of removed files will be, at most.
    removed_len: usize,
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

/// The page cannot remember one more removed file.
#[derive(Debug, thiserror::Error)]
#[error(
    "the page of {project} remembers as many removed files as it can: {files}, in {length} bytes; \
     yank this one instead"
)]
pub(super) struct FullOfRemoved {
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
        // Without the commas, so that what is left for the files is no less than they have.
        let removed = page.wheelmark.removed.values();
        let removed_len = removed.map(Removed::json_len).sum();
        Self {
            page,
            files: files
                .into_iter()
                .map(|file| (file.filename.as_str().to_owned(), file))
                .collect(),
            length: length.saturating_sub(removed_len),
            removed_len,
            touched: false,
        }
    }

    /// The file of this name, if the page lists it.
    pub(super) fn file(&self, filename: &str) -> Option<&PageFile> {
        self.files.get(filename)
    }

    /// The entry that the file of this name had, if it was taken away.
    pub(super) fn removed(&self, filename: &str) -> Option<&PageFile> {
        Some(&self.page.wheelmark.removed.get(filename)?.entry)
    }

    /// Lists a file, which takes its name back if it was taken away.
    pub(super) fn add(&mut self, file: PageFile) -> Result<(), Full> {
        let grown = self.length + listed_len(&file);
        if self.files.len() >= MAX_PAGE_FILES || grown > MAX_LISTED_LEN {
            return Err(Full {
                project: self.page.name.clone(),
                files: self.files.len(),
                length: self.length,
            });
        }
        let filename = file.filename.as_str().to_owned();
        if let Some(removed) = self.page.wheelmark.removed.remove(&filename) {
            self.removed_len = self.removed_len.saturating_sub(removed.json_len());
        }
        self.files.insert(filename, file);
        self.length = grown;
        self.touched = true;
        Ok(())
    }

    /// Takes a listed file away and remembers its entry; whether it was listed. An entry without
    /// a SHA-256, which no index writes, stays: nothing could come back for it.
    pub(super) fn remove(
        &mut self,
        filename: &str,
        removed_at: Timestamp,
    ) -> Result<bool, FullOfRemoved> {
        let listed = self.files.get(filename);
        let Some(entry) = listed.filter(|file| file.hashes.sha256().is_some()) else {
            return Ok(false);
        };
        let listed_len = entry.json_len();
        let removed = Removed {
            entry: entry.clone(),
            removed_at,
            extra: BTreeMap::new(),
        };
        let removed_files = &mut self.page.wheelmark.removed;
        let grown = self.removed_len + removed.json_len() + 1;
        if removed_files.len() >= MAX_REMOVED_FILES || grown > MAX_REMOVED_LEN {
            return Err(FullOfRemoved {
                project: self.page.name.clone(),
                files: removed_files.len(),
                length: self.removed_len,
            });
        }
        removed_files.insert(filename.to_owned(), removed);
        self.files.remove(filename);
        self.removed_len = grown;
        self.length = self.length.saturating_sub(listed_len);
        self.touched = true;
        Ok(true)
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
        if grown > MAX_LISTED_LEN {
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

#[cfg(test)]
mod tests;
