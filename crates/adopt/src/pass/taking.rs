//! What becomes of each thing that was found: it is remembered, signed, or told.

use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::compare::Event;
use super::{Pass, PassError};
use crate::content::{Outcome, Prepared, ReadError};
use crate::known::{Remember, Row, State};
use crate::listed::Listed;
use crate::report::Conflict;
use crate::source::chain;

impl Pass {
    pub(super) async fn take(&mut self, event: Event) -> Result<(), PassError> {
        match event {
            Event::Projects(names) => self.demand_most_is_listed(&names).await?,
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
            Event::Skipped { name, why } => self.report.skipped(name, why),
            Event::Failed {
                project,
                filename,
                why,
            } => self.failed(&project, &filename, why).await?,
            Event::Unchanged { listed, row } => self.unchanged(*listed, row, false).await?,
            Event::OtherDigest { listed, row, found } => {
                self.conflict(&listed, row, found).await?;
            }
            // Replaced by what it came to.
            Event::ToRead(..) => {}
            Event::Broke(error) => return Err(error.into()),
            Event::Was(outcome) => match *outcome {
                Outcome::Unchanged(listed, row) => self.unchanged(listed, row, false).await?,
                Outcome::Prepared(prepared) => self.prepared(*prepared).await?,
                Outcome::Failed(listed, error) => self.unreadable(&listed, error).await?,
            },
        }
        Ok(())
    }

    /// A file that has the bytes that were signed. `touched`: it looks different all the same.
    async fn unchanged(
        &mut self,
        listed: Listed,
        mut row: Row,
        touched: bool,
    ) -> Result<(), PassError> {
        self.report.counts.listed += 1;
        match row.state {
            State::Withdrawn => {}
            State::Signed if row.kept_over.is_some() && !touched => self.report.counts.kept += 1,
            State::Removed | State::Signed => self.report.counts.unchanged += 1,
        }
        let yank_changed = row.state == State::Signed && row.yanked != listed.yanked;
        if yank_changed {
            let (project, filename) = (&listed.project, listed.filename.as_str());
            let yanked = listed.yanked.clone();
            if let Some(_seq) = self.store.set_yanked(project, filename, yanked).await? {
                self.asked += 1;
                self.report.counts.yank_changes += 1;
            }
        }
        if yank_changed || touched {
            row.yanked = listed.yanked;
            row.known_by = listed.known_by;
            if touched {
                row.kept_over = None;
            }
            self.touched.push(Remember {
                project: listed.project,
                filename: listed.filename.to_string(),
                row,
                seq: None,
            });
        }
        Ok(())
    }

    async fn prepared(&mut self, prepared: Prepared) -> Result<(), PassError> {
        let found = prepared.hashed.sha256;
        match prepared.row.clone() {
            Some(row) if row.state == State::Withdrawn => {
                self.report.counts.listed += 1;
                Ok(())
            }
            Some(row) if row.sha256 != found => self.conflict(&prepared.listed, row, found).await,
            Some(row) if row.state == State::Signed => {
                self.unchanged(prepared.listed, row, true).await
            }
            _ => match self.batch.add(prepared) {
                Ok(()) => {
                    self.report.counts.listed += 1;
                    Ok(())
                }
                // The same name a second time in one batch.
                Err((second, first)) if second.hashed.sha256 == first => Ok(()),
                Err((second, first)) => {
                    let row = Row {
                        sha256: first,
                        known_by: None,
                        yanked: None,
                        state: State::Signed,
                        kept_over: None,
                    };
                    self.conflict(&second.listed, row, found).await
                }
            },
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
        if row.kept_over == Some(found) {
            self.report.counts.kept += 1;
            return Ok(());
        }
        if self.is_kept(project, filename) {
            self.report.counts.kept += 1;
            self.touched.push(Remember {
                project: project.clone(),
                filename: filename.to_owned(),
                row: Row {
                    known_by: listed.known_by.clone(),
                    kept_over: Some(found),
                    ..row
                },
                seq: None,
            });
            return Ok(());
        }
        let here = self.has_signed_bytes(project, filename, row.sha256).await;
        self.report.conflict(Conflict {
            project: project.clone(),
            filename: filename.to_owned(),
            signed: row.sha256,
            found,
            place: listed.shown_place(),
            signed_bytes_are_here: here,
        });
        Ok(())
    }

    async fn has_signed_bytes(
        &self,
        project: &ProjectName,
        filename: &str,
        signed: Sha256,
    ) -> bool {
        let Ok(path) = ObjectPath::file(project, &signed, filename) else {
            return false;
        };
        let Ok(Some(object)) = self.tree.open_object(&path).await else {
            return false;
        };
        let hashing = tokio::task::spawn_blocking(move || {
            let mut hasher = wheelmark_objects::ContentHasher::new();
            let mut file = object.file;
            let mut buffer = vec![0; 1 << 20];
            loop {
                match std::io::Read::read(&mut file, &mut buffer) {
                    Ok(0) => return Some(hasher.finish().sha256),
                    Ok(read) => hasher.update(&buffer[..read]),
                    Err(_) => return None,
                }
            }
        });
        hashing.await.ok().flatten() == Some(signed)
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
