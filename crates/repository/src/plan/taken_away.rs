//! What the index takes away from claimed projects, in place of changing pages that are not its own.

use jiff::Timestamp;
use wheelmark_objects::MAX_STATUS_PROJECT_LEN;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    MAX_TAKEN_AWAY_FILES, MAX_TAKEN_AWAY_LEN, PageFile, Sha256Hex, Status, TakenAway, TakenFile,
    TakenState, Yanked,
};
use wheelmark_tuf::Sha256;

use super::changes::{Changes, not_listed};
use super::entry::one_line;
use super::judge;
use super::release::{Accepted, LONGEST_UNNOTED, Refusal};
use crate::intent::NamedFile;
use crate::lifetimes::whole_seconds;

/// How much of a list is left for the project's state: no list is too full for a quarantine.
const STATE_LEN: usize = 16 * 1024;

/// What an entry of a list has besides its name and its reason, in bytes, at most.
const ENTRY_LEN: usize = 256;

/// A list while changes are made to it.
#[derive(Debug)]
pub(crate) struct TakenDraft {
    list: TakenAway,
    /// The digest of the signed page that it is about; none of a project that claims just now.
    page: Option<Sha256>,
    /// How long it is in bytes, at most.
    length: usize,
    touched: bool,
}

impl TakenDraft {
    /// What was signed last: the list, and the digest of the page that the project signed.
    pub(crate) fn new(list: TakenAway, page: Option<Sha256>) -> Self {
        Self {
            length: list.to_json().len(),
            list,
            page,
            touched: false,
        }
    }

    /// The list as it is now.
    pub(super) fn list(&self) -> &TakenAway {
        &self.list
    }

    /// Whether it says something else than what was signed last.
    pub(super) fn is_touched(&self) -> bool {
        self.touched
    }

    /// The digest of the signed page that it is about; none of a project that claims just now.
    pub(super) fn page(&self) -> Option<Sha256> {
        self.page
    }

    /// The list for a change that takes less away, or sets a state: there is room for that.
    pub(super) fn edit(&mut self) -> &mut TakenAway {
        self.touched = true;
        &mut self.list
    }

    /// The same for one more entry, of a name and a reason, unless the list is full.
    fn add(&mut self, entries: usize, name: &str, reason: &str) -> Result<&mut TakenAway, String> {
        // A reason has no control characters: each of its bytes needs one escape at most.
        let grown = self.length + ENTRY_LEN + name.len() + 2 * reason.len();
        demand_short(&self.list.project)?;
        if entries >= MAX_TAKEN_AWAY_FILES || grown > MAX_TAKEN_AWAY_LEN - STATE_LEN {
            return Err(format!(
                "the list of what is taken away from {} is full: quarantine the project, or end its claim",
                self.list.project
            ));
        }
        self.length = grown;
        Ok(self.edit())
    }

    /// Has readers count a file's age from `since`, because nobody saw it before.
    pub(super) fn see_since(&mut self, filename: &str, since: Timestamp) -> Result<(), String> {
        let entries = self.list.visible_since.len();
        let list = self.add(entries, filename, "")?;
        let known = list.visible_since.entry(filename.to_owned());
        let known = known.or_insert(since);
        *known = since.max(*known);
        Ok(())
    }
}

/// Refuses a project whose name has no room in the name of a list: it was claimed before that was asked.
pub(super) fn demand_short(project: &ProjectName) -> Result<(), String> {
    match project.as_str().len() > MAX_STATUS_PROJECT_LEN {
        true => Err(format!(
            "the name of {project} is too long for a list of what is taken away: end its claim first"
        )),
        false => Ok(()),
    }
}

impl Changes<'_> {
    /// Whether a project's own people sign for it, and still do in the next snapshot.
    pub(super) fn is_claimed(&self, project: &ProjectName) -> bool {
        !self.returned.contains(project) && judge::unclaimed_project(self.state, project).is_err()
    }

    /// The list of a claimed project.
    pub(super) fn taken_from(&mut self, project: &ProjectName) -> &mut TakenDraft {
        let nothing = || TakenDraft::new(TakenAway::nothing(project.clone()), None);
        self.taken.entry(project.clone()).or_insert_with(nothing)
    }

    /// A file as the project's people have signed it, with its digest.
    fn signed_file(
        &mut self,
        project: &ProjectName,
        filename: &str,
    ) -> Option<(PageFile, Sha256Hex)> {
        let file = self.pages.of(project).file(filename)?.clone();
        let sha256 = file.sha256()?;
        Some((file, sha256))
    }

    /// Whether a project's release can bring files while this is taken away from it.
    pub(super) fn demand_open(
        &mut self,
        project: &ProjectName,
        accepted: &Accepted,
    ) -> Result<(), Refusal> {
        let state = self.taken_from(project).list.state.as_ref();
        let closed = state.filter(|state| !state.status.takes_uploads());
        match closed.filter(|_| !accepted.new.is_empty()) {
            Some(state) => Err(Refusal::Closed {
                status: state.status.as_str().to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Says of files that were signed a while ago that nobody saw them until now.
    pub(super) fn see_since(
        &mut self,
        project: &ProjectName,
        accepted: &Accepted,
    ) -> Result<(), Refusal> {
        let now = self.now;
        for file in &accepted.new {
            let signed_at = file.wheelmark.as_ref().map(|marks| marks.signed_at);
            if signed_at.is_some_and(|at| now.duration_since(at) > LONGEST_UNNOTED) {
                let draft = self.taken_from(project);
                draft
                    .see_since(file.filename.as_str(), whole_seconds(now))
                    .map_err(|_| Refusal::ListFull)?;
            }
        }
        Ok(())
    }

    pub(super) fn withdraw(
        &mut self,
        project: &ProjectName,
        filename: &str,
        reason: Option<&str>,
    ) -> Result<(), String> {
        let Some((file, sha256)) = self.signed_file(project, filename) else {
            let was_removed = self.pages.of(project).removed(filename).is_some();
            return was_removed
                .then_some(())
                .ok_or_else(|| not_listed(filename));
        };
        let at = whole_seconds(self.now);
        let draft = self.taken_from(project);
        if draft.list.withdrawn(&file).is_some() {
            return Ok(());
        }
        let reason = reason.map(one_line).unwrap_or_default();
        let list = draft.add(draft.list.withdrawn.len(), filename, &reason)?;
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        let taken = TakenFile { sha256, at, reason };
        list.withdrawn.insert(filename.to_owned(), taken);
        let name = (project.clone(), filename.to_owned());
        self.names.insert(name, None);
        Ok(())
    }

    /// Ends the withdrawal of a file, which stands on the project's page as it did.
    pub(super) fn give_back(
        &mut self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<(), String> {
        let Some((file, _)) = self.signed_file(project, filename) else {
            return Err(match self.pages.of(project).removed(filename) {
                Some(_) => format!(
                    "{filename} was removed before {project} was claimed, and stands on its page as \
                     removed: its own keys must sign its return"
                ),
                None => format!("{} was not removed", filename.escape_debug()),
            });
        };
        let draft = self.taken_from(project);
        if draft.list.withdrawn(&file).is_none() {
            return Ok(());
        }
        if draft.list.is_quarantined() {
            return Err(format!("{project} is quarantined: it lists no files"));
        }
        judge::complete(project, &file, &self.present)?;
        self.taken_from(project).edit().withdrawn.remove(filename);
        self.name_again(project, &file);
        Ok(())
    }

    pub(super) fn yank_signed(
        &mut self,
        project: &ProjectName,
        filename: &str,
        yanked: Option<&str>,
    ) -> Result<(), String> {
        let found = self.signed_file(project, filename);
        let draft = self.taken_from(project);
        let found = found.filter(|(file, _)| draft.list.withdrawn(file).is_none());
        let Some((file, sha256)) = found else {
            return Err(not_listed(filename));
        };
        if file.yanked != Yanked::No {
            return Err(format!(
                "{filename} is yanked on the page that {project}'s own people have signed: their keys \
                 must sign this change"
            ));
        }
        let Some(reason) = yanked.map(one_line) else {
            if draft.list.yanked(&file).is_some() {
                draft.edit().yanked.remove(filename);
            }
            return Ok(());
        };
        let at = whole_seconds(self.now);
        let draft = self.taken_from(project);
        let known = draft.list.yanked(&file);
        let at = known.map_or(at, |known| known.at);
        let list = draft.add(draft.list.yanked.len(), filename, &reason)?;
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        let taken = TakenFile { sha256, at, reason };
        list.yanked.insert(filename.to_owned(), taken);
        Ok(())
    }

    pub(super) fn set_signed_status(
        &mut self,
        project: &ProjectName,
        status: Status,
        reason: Option<String>,
    ) -> Result<(), String> {
        let page = self.pages.of(project);
        if !page.is_known() {
            return Err(format!("{project} is not in the index"));
        }
        let own = page.status().clone();
        let files: Vec<PageFile> = page.files().cloned().collect();
        demand_short(project)?;
        let at = whole_seconds(self.now);
        let before = self.taken_from(project).list.clone();
        // A state that the page has already, or a heavier one, is its people's to change. To what the
        // index itself has made of it, that is the way back.
        let is_lighter = own != Status::Active && !status.is_heavier_than(&own);
        if is_lighter && before.state.is_none() {
            return Err(format!(
                "the page that {project}'s own people have signed says {}: their keys must sign this change",
                own.as_str()
            ));
        }
        let state = TakenState { status, at, reason };
        let state = Some(state).filter(|state| state.status != Status::Active && !is_lighter);
        let said = |state: &Option<TakenState>| {
            let state = state.as_ref();
            state.map(|state| (state.status.clone(), state.reason.clone()))
        };
        if said(&before.state) == said(&state) {
            return Ok(());
        }
        let draft = self.taken_from(project);
        draft.edit().state = state;
        let is_quarantined = draft.list.is_quarantined();
        for file in files {
            if before.withdrawn(&file).is_some() {
                continue;
            }
            match (before.is_quarantined(), is_quarantined) {
                (false, true) => {
                    let name = (project.clone(), file.filename.as_str().to_owned());
                    self.names.insert(name, None);
                }
                (true, false) => self.name_again(project, &file),
                (_, _) => {}
            }
        }
        Ok(())
    }

    fn name_again(&mut self, project: &ProjectName, file: &PageFile) {
        let name = (project.clone(), file.filename.as_str().to_owned());
        let named = NamedFile::of(project, file);
        self.names.insert(name, named);
    }
}
