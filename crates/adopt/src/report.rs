//! What a pass found and did.

use std::sync::atomic::{AtomicU64, Ordering};

use wheelmark_objects::Manner;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

/// Most names of one kind that a report keeps. All are counted.
pub const MOST_NAMES: usize = 10_000;

/// What a pass found and did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many of what.
    pub counts: Counts,
    /// Names under which the source shows other bytes than were signed.
    pub conflicts: Vec<Conflict>,
    /// Files that could not be had, and are tried again by the next pass.
    pub failed: Vec<Named>,
    /// Projects that could not be read, and were left as they were.
    pub unread: Vec<Named>,
    /// What cannot be a file of its project, and was left out.
    pub skipped: Vec<Named>,
    /// Files that were signed without core metadata, or without knowing their Python versions.
    pub odd: Vec<Named>,
    /// Files whose bytes in the tree were not those that were signed, and are again; with the
    /// place that had them.
    pub mended: Vec<Named>,
    /// Files that not everybody could read where they were, and can in the tree; with their place.
    pub made_public: Vec<Named>,
    /// Files that the snapshot process refused.
    pub refused: Vec<Named>,
    /// Names given to be decided on that no conflict had.
    pub undecided: Vec<String>,
}

/// How many of what a pass found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each says what it counts by its name, in files if nothing else"
)]
pub struct Counts {
    pub projects: u64,
    pub listed: u64,
    pub unchanged: u64,
    pub back_signed: u64,
    pub signed_at_discovery: u64,
    pub removed: u64,
    pub yank_changes: u64,
    pub withdrawn: u64,
    pub kept: u64,
    pub conflicts: u64,
    pub failed: u64,
    pub unread_projects: u64,
    pub skipped: u64,
    pub odd: u64,
    pub mended: u64,
    pub made_public: u64,
    pub refused: u64,
    pub linked: u64,
    pub reflinked: u64,
    pub copied: u64,
    pub bytes_read: u64,
}

/// A name under which the source shows other bytes than were signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The project.
    pub project: ProjectName,
    /// The file name.
    pub filename: String,
    /// The SHA-256 of what was signed.
    pub signed: Sha256,
    /// The SHA-256 of what the source shows now.
    pub found: Sha256,
    /// Where the source shows it.
    pub place: String,
    /// Whether the tree still has the bytes that were signed. A file that is linked and was
    /// written to in place has not.
    pub signed_bytes_are_here: bool,
    /// Whether the file is off the index, since the source did not have it any more.
    pub was_removed: bool,
    /// Whether the source shows the name more than once.
    pub stands_twice: bool,
}

/// A name, and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// What is to be said.
    pub why: String,
}

/// How far a pass has come, for those who watch it.
#[derive(Debug, Default)]
pub struct Progress {
    projects: AtomicU64,
    projects_listed: AtomicU64,
    files: AtomicU64,
    files_read: AtomicU64,
    bytes_read: AtomicU64,
    files_admitted: AtomicU64,
}

/// A moment of [`Progress`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Projects gone through.
    pub projects: u64,
    /// Projects of the source; 0 where it has no list.
    pub projects_listed: u64,
    /// Files that the source lists, as far as it was gone through.
    pub files: u64,
    /// Files read and hashed.
    pub files_read: u64,
    /// Bytes read and hashed.
    pub bytes_read: u64,
    /// Files handed over to be signed.
    pub files_admitted: u64,
}

impl Progress {
    /// How far it is now.
    pub fn now(&self) -> Moment {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Moment {
            projects: read(&self.projects),
            projects_listed: read(&self.projects_listed),
            files: read(&self.files),
            files_read: read(&self.files_read),
            bytes_read: read(&self.bytes_read),
            files_admitted: read(&self.files_admitted),
        }
    }

    pub(crate) fn lists(&self, projects: usize) {
        self.projects_listed
            .store(projects as u64, Ordering::Relaxed);
    }

    pub(crate) fn project(&self) {
        self.projects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn file_read(&self) {
        self.files_read.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn admitted(&self, files: u64) {
        self.files_admitted.fetch_add(files, Ordering::Relaxed);
    }
}

impl Counts {
    pub(crate) fn manner(&mut self, manner: Manner) {
        match manner {
            Manner::Linked => self.linked += 1,
            Manner::Reflinked => self.reflinked += 1,
            Manner::Copied => self.copied += 1,
            Manner::Moved | Manner::Present => {}
        }
    }
}

impl Report {
    pub(crate) fn failed(&mut self, name: String, why: String) {
        self.counts.failed += 1;
        keep(&mut self.failed, name, why);
    }

    pub(crate) fn unread(&mut self, project: &ProjectName, why: String) {
        self.counts.unread_projects += 1;
        keep(&mut self.unread, project.to_string(), why);
    }

    pub(crate) fn skipped(&mut self, name: String, why: String) {
        self.counts.skipped += 1;
        keep(&mut self.skipped, name, why);
    }

    pub(crate) fn odd(&mut self, name: String, why: String) {
        self.counts.odd += 1;
        keep(&mut self.odd, name, why);
    }

    pub(crate) fn mended(&mut self, name: String, place: String) {
        self.counts.mended += 1;
        keep(&mut self.mended, name, place);
    }

    pub(crate) fn made_public(&mut self, name: String, place: String) {
        self.counts.made_public += 1;
        keep(&mut self.made_public, name, place);
    }

    pub(crate) fn refused(&mut self, name: String, why: String) {
        self.counts.refused += 1;
        keep(&mut self.refused, name, why);
    }

    pub(crate) fn conflict(&mut self, conflict: Conflict) {
        self.counts.conflicts += 1;
        if self.conflicts.len() < MOST_NAMES {
            self.conflicts.push(conflict);
        }
    }
}

fn keep(names: &mut Vec<Named>, name: String, why: String) {
    if names.len() < MOST_NAMES {
        names.push(Named { name, why });
    }
}
