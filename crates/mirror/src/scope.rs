//! What a copy says that it was meant to have.

use std::collections::HashSet;
use std::path::Path;

use jiff::Timestamp;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;

use crate::audit::Scope;
use crate::copy::{OWN_FOLDER, StateError, StateFile};
use crate::selection::Selection;

/// The selection that a copy was made with, as the copy itself remembers it. Nobody has signed
/// that: whoever can write to the copy can say that anything was left out.
#[derive(Clone, Debug)]
pub struct CopyScope {
    selection: Selection,
    copied: Timestamp,
}

impl CopyScope {
    /// What the copy in `directory` remembers; none where it was meant to have everything.
    ///
    /// # Errors
    ///
    /// [`StateError`] when its memory cannot be read.
    pub fn of(directory: &Path) -> Result<Option<Self>, StateError> {
        let file = StateFile::in_folder(&directory.join(OWN_FOLDER));
        let Some(complete) = file.read()?.and_then(|state| state.complete) else {
            return Ok(None);
        };
        let selection = Selection::parse(&complete.rules);
        let selection = selection.map_err(|error| file.damaged(error.to_string()))?;
        Ok((!selection.is_everything()).then_some(Self {
            selection,
            copied: complete.copied,
        }))
    }

    /// The selection, in one line.
    #[must_use]
    pub fn description(&self) -> String {
        self.selection.description()
    }
}

impl Scope for CopyScope {
    fn has_project(&self, project: &ProjectName) -> bool {
        self.selection.chooses(project)
    }

    fn files<'a>(&self, page: &'a ProjectPage) -> Option<HashSet<&'a str>> {
        let files = self.selection.files(page, self.copied).into_iter();
        Some(files.map(|file| file.filename.as_str()).collect())
    }
}
