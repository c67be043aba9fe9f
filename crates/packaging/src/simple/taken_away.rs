//! What an index takes away from a project whose own people sign its page.
//!
//! ```text
//! the page, as the project signed it ─┐
//! status/<project>.json, by the index ┴─ TakenAway::apply ─▶ the page as everybody is to see it
//! ```
//!
//! The index cannot change such a page. So it keeps a list of its own beside it: files that are
//! withdrawn, yanks, a state of the whole project, later times. The list takes away and never adds:
//! no file comes by it and no digest, and what the project's own people have yanked, or put into a
//! state, stays so.

mod form;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::json::JsonError;
use super::{
    Extra, HashError, PageFile, ProjectPage, ProjectStatus, Removed, Sha256Hex, Status, Yanked,
};
use crate::ProjectName;

/// Longest list that is accepted, in bytes: as much as the page of a claimed project may have.
pub const MAX_TAKEN_AWAY_LEN: usize = 4 * 1024 * 1024;

/// Most names in one of its parts.
pub const MAX_TAKEN_AWAY_FILES: usize = 20_000;

/// Longest reason, in bytes: people read it on one line of an installer's output.
pub const MAX_TAKEN_AWAY_REASON_LEN: usize = 2_000;

/// Most keys that a notice of recovery names.
const MAX_NOTICED_KEYS: usize = 16;

/// Longest id of a key, and longest name of a user, in bytes.
const MAX_NOTICED_LEN: usize = 256;

/// What an index takes away from one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenAway {
    /// The project.
    pub project: ProjectName,
    /// Files that are not to be installed, by name.
    pub withdrawn: BTreeMap<String, TakenFile>,
    /// Files that installers should pass over (PEP 592), by name.
    pub yanked: BTreeMap<String, TakenFile>,
    /// The state of the project, where it is another than `active` (PEP 792).
    pub state: Option<TakenState>,
    /// Since when everybody sees a file, by name, where that is later than its upload.
    pub visible_since: BTreeMap<String, Timestamp>,
    /// That the project's keys are said to be lost, and others are to take their place.
    pub recovery: Option<RecoveryNotice>,
}

/// A file that is withdrawn or yanked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenFile {
    /// The SHA-256 after which the tree names the file. A file of that name with other bytes is not
    /// meant.
    pub sha256: Sha256Hex,
    /// Since when.
    pub at: Timestamp,
    /// Why, for people to read.
    pub reason: Option<String>,
}

/// The state into which an index has put a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenState {
    /// The state: one of those in which less is to be had than in `active`.
    pub status: Status,
    /// Since when.
    pub at: Timestamp,
    /// Why, for people to read.
    pub reason: Option<String>,
}

/// A public notice: an owner of the project says that its keys are lost. It changes nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryNotice {
    /// Since when it stands.
    pub since: Timestamp,
    /// The ids of the keys that are to sign for the project, without duplicates, sorted.
    pub keyids: BTreeSet<String>,
    /// How many of them are to sign.
    pub threshold: u32,
    /// The user who asked for it, as the index says.
    pub by: String,
}

/// Why bytes are not what an index takes away from a project.
#[derive(Debug, thiserror::Error)]
pub enum TakenAwayError {
    /// Not JSON of the right form.
    #[error("the list of what is taken away cannot be read")]
    Json(#[from] JsonError),
    /// A digest is malformed.
    #[error("the list of what is taken away has no digest where one has to be")]
    Hash(#[from] HashError),
    /// It is about another project.
    #[error("the list of what is taken away is that of `{}`", said.escape_debug())]
    OtherProject {
        /// The name in it.
        said: String,
    },
    /// A name that no file of the project can have.
    #[error("the list of what is taken away names `{}`, which is no file of the project", filename.escape_debug())]
    Filename {
        /// The name.
        filename: String,
    },
    /// A state by which nothing is taken away.
    #[error("`{}` is no state that takes anything away", word.escape_debug())]
    State {
        /// What it says.
        word: String,
    },
    /// A member that this version does not know. It may take something away, so that going on without
    /// it would show more than is to be seen.
    #[error("the list of what is taken away says `{}`, which this version does not know", member.escape_debug())]
    Unknown {
        /// The member.
        member: String,
    },
    /// More than there can be, or an empty text.
    #[error("`{member}` is empty, too long, or has control characters")]
    Bounds {
        /// Where.
        member: &'static str,
    },
    /// Another way to write the same.
    #[error("the list of what is taken away is not in its canonical form")]
    NotCanonical,
}

impl TakenAway {
    /// A list that takes nothing away.
    pub fn nothing(project: ProjectName) -> TakenAway {
        TakenAway {
            project,
            withdrawn: BTreeMap::new(),
            yanked: BTreeMap::new(),
            state: None,
            visible_since: BTreeMap::new(),
            recovery: None,
        }
    }

    /// Whether there is nothing to say: then no list is published.
    pub fn is_empty(&self) -> bool {
        self.withdrawn.is_empty()
            && self.yanked.is_empty()
            && self.state.is_none()
            && self.visible_since.is_empty()
            && self.recovery.is_none()
    }

    /// Whether a file is withdrawn, and why.
    pub fn withdrawn(&self, file: &PageFile) -> Option<&TakenFile> {
        taken(&self.withdrawn, file)
    }

    /// Whether the index has yanked a file, and why.
    pub fn yanked(&self, file: &PageFile) -> Option<&TakenFile> {
        taken(&self.yanked, file)
    }

    /// Whether no file of the project is to be had.
    pub fn is_quarantined(&self) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| state.status == Status::Quarantined)
    }

    /// The page of the same project with all of this taken away.
    ///
    /// What comes out is what an index would sign itself: withdrawn files stand under `removed`, those
    /// of a quarantined project under `withheld`. Each file that is left is one of the page, with the
    /// digests and the length that it had there.
    pub fn apply(&self, page: &ProjectPage) -> ProjectPage {
        debug_assert_eq!(self.project, page.name, "the list is about another project");
        let mut shown = page.clone();
        // Versions are those of the files that are left; others that the page lists stay.
        for file in &page.files {
            shown.versions.remove(&file.filename.version().to_string());
        }
        for files in [&mut shown.files, &mut shown.wheelmark.withheld] {
            let removed = &mut shown.wheelmark.removed;
            files.retain(|file| {
                let Some(taken) = self.withdrawn(file) else {
                    return true;
                };
                removed.insert(
                    file.filename.as_str().to_owned(),
                    Removed {
                        entry: file.clone(),
                        removed_at: taken.at,
                        extra: Extra::new(),
                    },
                );
                false
            });
            for file in files {
                self.lessen(file);
            }
        }
        if let Some(state) = &self.state {
            let own = shown.project_status.as_ref();
            let own = own.map_or(&Status::Active, |own| &own.status);
            if state.status.is_heavier_than(own) {
                shown.project_status = Some(ProjectStatus {
                    status: state.status.clone(),
                    reason: state.reason.clone(),
                    extra: Extra::new(),
                });
            }
        }
        if self.is_quarantined() {
            let withheld = std::mem::take(&mut shown.files);
            shown.wheelmark.withheld.extend(withheld);
            // Nobody knows whether an installer could do something with them.
            shown.unrecognised.clear();
        }
        shown
    }

    /// Yanks a file that nobody has yanked, and makes it younger.
    fn lessen(&self, file: &mut PageFile) {
        if let Some(taken) = self.yanked(file)
            && !file.yanked.is_yanked()
        {
            let reason = taken.reason.clone();
            file.yanked = reason.map_or(Yanked::Yes, Yanked::Because);
        }
        let Some(since) = self.visible_since.get(file.filename.as_str()).copied() else {
            return;
        };
        // Installers of their own go by the upload time alone.
        file.upload_time = file.upload_time.map(|time| time.max(since));
        if let Some(marks) = &mut file.wheelmark {
            let known = marks.visible_since;
            marks.visible_since = Some(known.map_or(since, |known| known.max(since)));
        }
    }
}

/// What is said of a file, if it is the one that is meant.
fn taken<'a>(named: &'a BTreeMap<String, TakenFile>, file: &PageFile) -> Option<&'a TakenFile> {
    let taken = named.get(file.filename.as_str())?;
    (file.sha256() == Some(taken.sha256)).then_some(taken)
}

#[cfg(test)]
mod tests;
