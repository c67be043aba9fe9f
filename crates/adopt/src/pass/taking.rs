//! What becomes of each thing that was found: it is remembered, signed, or told.

use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::compare::{Event, Looks};
use super::{Pass, PassError};
use crate::content::{Outcome, Prepared, ReadError};
use crate::known::{Remember, Row, State};
use crate::listed::Listed;
use crate::report::Conflict;
use crate::source::chain;

impl Pass {
    pub(super) async fn take(&mut self, event: Event) -> Result<(), PassError> {
        match event {
            Event::Projects { names, short } => self.listed(&names, short).await?,
            Event::Read(project) => {
                self.report.counts.projects += 1;
                self.read.push(project);
            }
            Event::Unread { project, why } => {
                self.known.see_all(&project).await?;
                self.known.owe(&project, "").await?;
                self.report.unread(&project, why);
            }
            Event::Doubtful(project) => {
                if self.known.has_files(&project).await? {
                    self.known.see_all(&project).await?;
                    let why = "its page lists nothing and does not say that it is one; an error page, perhaps";
                    self.report.unread(&project, why.to_owned());
                } else {
                    self.report.counts.projects += 1;
                }
            }
            Event::Hollow { project, why } => {
                if !self.choices.accept_loss && self.known.has_files(&project).await? {
                    self.known.see_all(&project).await?;
                    let why = format!("{why}; --accept-loss believes it");
                    self.report.unread(&project, why);
                }
            }
            Event::Cut { project, why } => self.cut(project, why).await?,
            Event::Skipped { name, why } => self.report.skipped(name, why),
            Event::Failed {
                project,
                filename,
                why,
            } => self.failed(&project, &filename, why).await?,
            Event::Unchanged { listed, row, looks } => {
                self.unchanged(*listed, row, looks).await?;
            }
            Event::OtherDigest { listed, row, found } => {
                self.conflict(&listed, row, found).await?;
            }
            // Replaced by what it came to.
            Event::ToRead(..) => {}
            Event::Broke(error) => return Err(error.into()),
            Event::Was(outcome) => match *outcome {
                Outcome::Unchanged(listed, row) => {
                    let kept = row.kept_by == listed.known_by;
                    let looks = if kept { Looks::AsKept } else { Looks::AsSigned };
                    self.unchanged(listed, row, looks).await?;
                }
                Outcome::Prepared(prepared) => self.prepared(*prepared).await?,
                Outcome::Failed(listed, error) => self.unreadable(&listed, error).await?,
            },
        }
        Ok(())
    }

    /// A project whose page may have been cut off. What it lists was followed; what it does not
    /// list is taken away only if a person says so.
    async fn cut(&mut self, project: ProjectName, why: String) -> Result<(), PassError> {
        let missing = self
            .known
            .unseen(std::slice::from_ref(&project), None, 1)
            .await?;
        match missing.first() {
            Some((_, filename)) if !self.choices.accept_loss => {
                self.known.see_all(&project).await?;
                let why =
                    format!("{why}, and {filename} is not on it; --accept-loss believes it all");
                self.report.unread(&project, why);
            }
            _ => {
                self.report.counts.projects += 1;
                self.read.push(project);
            }
        }
        Ok(())
    }

    /// A file that has the bytes that were signed, or others that a person decided against.
    async fn unchanged(
        &mut self,
        listed: Listed,
        mut row: Row,
        looks: Looks,
    ) -> Result<(), PassError> {
        self.report.counts.listed += 1;
        match row.state {
            State::Withdrawn => {}
            State::Signed if looks == Looks::AsKept => self.report.counts.kept += 1,
            State::Removed | State::Signed => self.report.counts.unchanged += 1,
        }
        let mut seq = None;
        let yank_changed = row.state == State::Signed && row.yanked != listed.yanked;
        if yank_changed {
            let (project, filename) = (&listed.project, listed.filename.as_str());
            let yanked = listed.yanked.clone();
            seq = self.store.set_yanked(project, filename, yanked).await?;
            if seq.is_some() {
                self.asked += 1;
                self.report.counts.yank_changes += 1;
            }
        }
        if yank_changed || looks == Looks::Anew {
            row.yanked = listed.yanked;
            if looks != Looks::AsKept {
                row.known_by = listed.known_by;
            }
            self.touched.push(Remember {
                project: listed.project,
                filename: listed.filename.to_string(),
                row,
                seq: seq.map(|seq| seq.0),
            });
        }
        Ok(())
    }

    async fn prepared(&mut self, mut prepared: Prepared) -> Result<(), PassError> {
        let found = prepared.hashed.sha256;
        match prepared.row.clone() {
            Some(row) if row.state == State::Withdrawn => {
                self.report.counts.listed += 1;
                return Ok(());
            }
            Some(row) if row.sha256 != found => {
                return self.conflict(&prepared.listed, row, found).await;
            }
            Some(row) => {
                if let Some(why) = self.demand_sound(&mut prepared, row.state).await? {
                    let listed = prepared.listed;
                    return self
                        .failed(&listed.project, listed.filename.as_str(), why)
                        .await;
                }
                if row.state == State::Signed {
                    if let Some(why) = self.demand_companions(&prepared).await? {
                        let listed = prepared.listed;
                        return self
                            .failed(&listed.project, listed.filename.as_str(), why)
                            .await;
                    }
                    return self.unchanged(prepared.listed, row, Looks::Anew).await;
                }
            }
            None => {}
        }
        match self.batch.add(prepared) {
            Ok(()) => {
                self.report.counts.listed += 1;
                Ok(())
            }
            // The same name a second time in one batch.
            Err((second, first)) if second.hashed.sha256 == first => Ok(()),
            Err((second, first)) => {
                let mut row = Row::signed(first, None, None);
                row.again = true;
                self.conflict(&second.listed, row, found).await
            }
        }
    }

    /// Other bytes than were signed stand under a name. They are never signed: a person decides
    /// whether the index goes on with the signed ones or without.
    pub(super) async fn conflict(
        &mut self,
        listed: &Listed,
        row: Row,
        found: Sha256,
    ) -> Result<(), PassError> {
        let (project, filename) = (&listed.project, listed.filename.as_str());
        self.report.counts.listed += 1;
        let here = match ObjectPath::file(project, &row.sha256, filename) {
            // It waits in the batch.
            _ if self.batch.has(project, filename) => true,
            Ok(path) => self.is_sound(&path, None).await,
            Err(_) => false,
        };
        let removed = row.state == State::Removed;
        let wanted = self.is_kept(project, filename) || row.kept_over == Some(found);
        let remember = |row| Remember {
            project: project.clone(),
            filename: filename.to_owned(),
            row,
            seq: None,
        };
        // There is nothing to go on with where the signed bytes are gone, or the file is.
        if wanted && here && !removed {
            self.report.counts.kept += 1;
            self.touched.push(remember(Row {
                kept_over: Some(found),
                kept_by: listed.known_by.clone(),
                ..row
            }));
            return Ok(());
        }
        if !here && row.state == State::Signed {
            // However its place looks next time, it is read again: the right bytes may be there.
            let known_by = None;
            self.touched.push(remember(Row {
                known_by,
                ..row.clone()
            }));
        }
        self.report.conflict(Conflict {
            project: project.clone(),
            filename: filename.to_owned(),
            signed: row.sha256,
            found,
            place: listed.shown_place(),
            signed_bytes_are_here: here,
            was_removed: removed,
            stands_twice: row.again,
        });
        Ok(())
    }

    async fn unreadable(&mut self, listed: &Listed, error: ReadError) -> Result<(), PassError> {
        let filename = listed.filename.to_string();
        let is_full = error.is_full();
        match error {
            ReadError::Io(source) if is_full => Err(PassError::Full { filename, source }),
            error => {
                let (place, why) = (listed.shown_place(), chain(&error));
                let why = if why.contains(&place) {
                    why
                } else {
                    format!("{why} ({place})")
                };
                self.failed(&listed.project, &filename, why).await
            }
        }
    }

    pub(super) async fn failed(
        &mut self,
        project: &ProjectName,
        filename: &str,
        why: String,
    ) -> Result<(), PassError> {
        self.known.owe(project, filename).await?;
        // However its place looks next time, it is read again.
        self.known.doubt(project, filename).await?;
        self.report.failed(filename.to_owned(), why);
        Ok(())
    }

    /// Whether a person said that a name keeps the bytes that were signed.
    fn is_kept(&mut self, project: &ProjectName, filename: &str) -> bool {
        let whole = format!("{project}/{filename}");
        let found = [filename, whole.as_str()]
            .into_iter()
            .find(|name| self.choices.keep.contains(*name));
        if let Some(name) = found {
            self.undecided.remove(name);
        }
        found.is_some()
    }
}
