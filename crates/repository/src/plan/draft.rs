//! A project's page while changes are made to it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    BoundCertificates, MAX_PAGE_FILES, MAX_PAGE_LEN, PageFile, ProjectPage, ProjectStatus, Removed,
    Status, TakenAway, Yanked,
};

/// What a page has besides its files, removed files and versions, in bytes, at most. Its members
/// and their names; the project's name is at most 200 bytes long.
const FRAME_LEN: usize = 512;

/// How much of a page what remains of removed files may take: the rest stays for files. That is
/// some 25,000 removed files of one project.
const MAX_REMOVED_LEN: usize = MAX_PAGE_LEN / 4;
const MAX_REMOVED_FILES: usize = MAX_PAGE_FILES / 4;

/// How much of a page its project's state may take: its reason has 2,000 bytes, each of which can
/// need an escape. It has this room to itself, so that no page is too full for a quarantine.
const MAX_STATUS_LEN: usize = 8 * 1024;

/// How much of a page what binds its project's certificates may take: a digest and a length. Room
/// to itself as well.
const MAX_CERTIFICATES_LEN: usize = 512;

/// How much of a page everything else may take.
const MAX_LISTED_LEN: usize =
    MAX_PAGE_LEN - MAX_REMOVED_LEN - MAX_STATUS_LEN - MAX_CERTIFICATES_LEN;

/// A page without its files, which stand beside it by name: a page can have a hundred thousand,
/// and a snapshot can bring it as many changes.
#[derive(Debug)]
pub(super) struct Draft {
    page: ProjectPage,
    files: BTreeMap<String, PageFile>,
    /// Those of a quarantined project.
    withheld: BTreeMap<String, PageFile>,
    /// Whether there is such a page, in what is signed or with a change that was made.
    known: bool,
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
                None => Draft::new(project),
            })
    }

    /// Has a project's page begin without what is taken away from it.
    pub(super) fn take_away(&mut self, project: &ProjectName, list: &TakenAway) {
        if let Some(draft) = self.drafts.remove(project) {
            self.drafts.insert(project.clone(), draft.without(list));
        } else if let Some((page, _)) = self.signed.remove(project) {
            let page = list.apply(&page);
            let length = page.to_json().len();
            self.signed.insert(project.clone(), (page, length));
        }
    }

    /// Whether a project's page was changed.
    pub(super) fn is_touched(&self, project: &ProjectName) -> bool {
        let draft = self.drafts.get(project);
        draft.is_some_and(|draft| draft.touched)
    }

    /// The pages that were changed.
    pub(super) fn touched(self) -> impl Iterator<Item = ProjectPage> {
        let touched = self.drafts.into_values().filter(|draft| draft.touched);
        touched.map(Draft::into_page)
    }
}

impl Draft {
    fn new(project: &ProjectName) -> Self {
        let mut draft = Self::of_page(ProjectPage::new(project.clone()), FRAME_LEN);
        draft.known = false;
        draft
    }

    /// The same page without what is taken away from it.
    fn without(self, list: &TakenAway) -> Self {
        let (known, touched) = (self.known, self.touched);
        let page = list.apply(&self.into_page());
        let length = page.to_json().len();
        Self {
            known,
            touched,
            ..Self::of_page(page, length)
        }
    }

    fn of_page(mut page: ProjectPage, length: usize) -> Self {
        let by_name = |files: Vec<PageFile>| {
            let named = files.into_iter();
            named
                .map(|file| (file.filename.as_str().to_owned(), file))
                .collect()
        };
        let files = by_name(std::mem::take(&mut page.files));
        let withheld = by_name(std::mem::take(&mut page.wheelmark.withheld));
        // A page that was parsed lists every version there; they follow from the files (PEP 700).
        page.versions.clear();
        // Without the commas, so that what is left for the files is no less than they have.
        let removed = page.wheelmark.removed.values();
        let removed_len = removed.map(Removed::json_len).sum();
        Self {
            page,
            files,
            withheld,
            known: true,
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

    /// Whether there is such a page.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// The state of the project.
    pub(super) fn status(&self) -> &Status {
        let status = self.page.project_status.as_ref();
        status.map_or(&Status::Active, |status| &status.status)
    }

    /// Why the project takes no files, if it takes none.
    pub(super) fn closed(&self) -> Option<String> {
        let status = self.page.project_status.as_ref()?;
        if status.status.takes_uploads() {
            return None;
        }
        let (project, word) = (&self.page.name, status.status.as_str());
        Some(match &status.reason {
            Some(reason) => format!("{project} is {word} and takes no files: {reason}"),
            None => format!("{project} is {word} and takes no files"),
        })
    }

    /// Puts the project into a state. That of a page that says nothing is `active`.
    pub(super) fn set_status(&mut self, status: ProjectStatus) {
        let status = Some(status).filter(|status| *status != ProjectStatus::default());
        if self.page.project_status != status {
            self.page.project_status = status;
            self.touched = true;
        }
    }

    /// What binds the project's certificates, if it has any.
    pub(super) fn certificates(&self) -> Option<&BoundCertificates> {
        self.page.wheelmark.certificates.as_ref()
    }

    /// Binds other certificates, or none.
    pub(super) fn bind_certificates(&mut self, bound: Option<BoundCertificates>) {
        self.page.wheelmark.certificates = bound;
        self.touched = true;
    }

    /// The files that the page lists.
    pub(super) fn files(&self) -> impl Iterator<Item = &PageFile> {
        self.files.values()
    }

    /// Takes other entries for files that it lists, as far as there is room, and those entries. The
    /// page counts as changed also where they are none.
    pub(super) fn relist(&mut self, entries: Vec<PageFile>) -> Vec<PageFile> {
        self.touched = true;
        let mut relisted = Vec::with_capacity(entries.len());
        for entry in entries {
            let Some(file) = self.files.get_mut(entry.filename.as_str()) else {
                continue;
            };
            let grown = (self.length + entry.json_len()).saturating_sub(file.json_len());
            if grown > MAX_LISTED_LEN {
                continue;
            }
            self.length = grown;
            *file = entry.clone();
            relisted.push(entry);
        }
        relisted
    }

    /// Takes all files from the list and keeps their entries; their names.
    pub(super) fn withhold(&mut self) -> Vec<String> {
        self.touched = true;
        let names = self.files.keys().cloned().collect();
        self.withheld.append(&mut self.files);
        names
    }

    /// The entries of a quarantined project's files.
    pub(super) fn withheld(&self) -> impl Iterator<Item = &PageFile> {
        self.withheld.values()
    }

    /// Lists again what was withheld; the entries.
    pub(super) fn release(&mut self) -> Vec<PageFile> {
        self.touched = true;
        let entries = self.withheld.values().cloned().collect();
        self.files.append(&mut self.withheld);
        entries
    }

    /// Lists a file, which takes its name back if it was taken away.
    pub(super) fn add(&mut self, file: PageFile) -> Result<(), Full> {
        let grown = self.length + listed_len(&file);
        if self.files.len() + self.withheld.len() >= MAX_PAGE_FILES || grown > MAX_LISTED_LEN {
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
        self.known = true;
        self.touched = true;
        Ok(())
    }

    /// Takes a file away that is listed, or withheld, and remembers its entry; whether it was
    /// there. An entry without a SHA-256, which no index writes, stays: nothing could come back
    /// for it.
    pub(super) fn remove(
        &mut self,
        filename: &str,
        removed_at: Timestamp,
    ) -> Result<bool, FullOfRemoved> {
        let listed = self.files.get(filename);
        let listed = listed.or_else(|| self.withheld.get(filename));
        let Some(entry) = listed.filter(|file| file.sha256().is_some()) else {
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
        self.withheld.remove(filename);
        self.removed_len = grown;
        self.length = self.length.saturating_sub(listed_len);
        self.touched = true;
        Ok(true)
    }

    /// Yanks a file that is listed, or withheld, or makes it an ordinary one again; whether it was
    /// there.
    pub(super) fn yank(&mut self, filename: &str, yanked: Yanked) -> Result<bool, Full> {
        let listed = self.files.get_mut(filename);
        let Some(file) = listed.or_else(|| self.withheld.get_mut(filename)) else {
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
        page.wheelmark.withheld = self.withheld.into_values().collect();
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
