//! A catalogue that is made anew, out of what is signed.
//!
//! Every file gets a row of the journal that lies behind the snapshot process: its position was
//! followed long ago, and nothing comes of it. What is uploaded next stands behind all of them.

use jiff::Timestamp;
use sqlx::{Sqlite, Transaction};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectStatus;

use crate::{Change, NewFile, ProjectCertificates, Seq, Store, StoreError, text};

/// A project as its signed page has it.
#[derive(Clone, Debug)]
pub struct RebuiltProject {
    /// Its name.
    pub name: ProjectName,
    /// When its first file came.
    pub created_at: Timestamp,
    /// What state it is in.
    pub status: ProjectStatus,
    /// The OpenPGP certificates that it has registered.
    pub certificates: Option<ProjectCertificates>,
    /// Its files, and whether each was removed.
    pub files: Vec<(NewFile, bool)>,
}

/// Why a catalogue could not be made anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is something in it.
    #[error("the catalogue is not empty")]
    NotEmpty,
    /// The signed state says that fewer files were ever uploaded than there are.
    #[error("there are more files than the {journal} changes that the signed state has followed")]
    TooMany {
        /// The position of the journal in the signed timestamp.
        journal: Seq,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RebuildError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

/// A catalogue that is being made anew; nothing of it is there before [`Rebuilding::finish`].
#[derive(Debug)]
pub struct Rebuilding {
    transaction: Transaction<'static, Sqlite>,
    journal: Seq,
    serial: Seq,
    snapshot_version: u64,
    last: u64,
}

impl Store {
    /// Begins to fill an empty catalogue. `journal` is the position in the signed timestamp,
    /// `serial` the serial number of its snapshot, whose version is `snapshot_version`.
    ///
    /// # Errors
    ///
    /// [`RebuildError::NotEmpty`], and when the database fails.
    pub async fn rebuild(
        &self,
        journal: Seq,
        serial: Seq,
        snapshot_version: u64,
    ) -> Result<Rebuilding, RebuildError> {
        let mut transaction = self.write().await?;
        let rows: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM file) + (SELECT count(*) FROM journal)",
        )
        .fetch_one(&mut *transaction)
        .await?;
        if rows > 0 {
            return Err(RebuildError::NotEmpty);
        }
        Ok(Rebuilding {
            transaction,
            journal,
            serial,
            snapshot_version,
            last: 0,
        })
    }
}

impl Rebuilding {
    /// Takes in a project with all its files.
    ///
    /// # Errors
    ///
    /// [`RebuildError::TooMany`], and when the database fails.
    pub async fn take(&mut self, project: RebuiltProject) -> Result<(), RebuildError> {
        let (armored, required) = match &project.certificates {
            Some(certificates) => (Some(certificates.armored.as_str()), certificates.required),
            None => (None, false),
        };
        sqlx::query(
            "INSERT INTO project (name, created_at, serial, status, status_reason, certificates, \
             signature_required) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(project.name.as_str())
        .bind(project.created_at.to_string())
        .bind(text::number(self.serial.0))
        .bind(project.status.status.as_str())
        .bind(project.status.reason.as_deref())
        .bind(armored)
        .bind(required)
        .execute(&mut *self.transaction)
        .await?;
        for (file, removed) in project.files {
            self.file(file, removed).await?;
        }
        Ok(())
    }

    async fn file(&mut self, file: NewFile, removed: bool) -> Result<(), RebuildError> {
        let journal = self.journal;
        if self.last >= journal.0 {
            return Err(RebuildError::TooMany { journal });
        }
        self.last += 1;
        let seq = text::number(self.last);
        let change = Change::FileAdded(file);
        sqlx::query("INSERT INTO journal (seq, change) VALUES (?, ?)")
            .bind(seq)
            .bind(change.to_text()?)
            .execute(&mut *self.transaction)
            .await?;
        let Change::FileAdded(file) = change else {
            unreachable!("made above");
        };
        sqlx::query(
            "INSERT INTO outcome (seq, snapshot_version) VALUES (?, ?); \
             INSERT INTO file (seq, project, filename, sha256, size, uploaded_at, uploaded_by, \
             published, removed, yanked, back_signed, gpg_signature_sha256) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(seq)
        .bind(text::number(self.snapshot_version))
        .bind(seq)
        .bind(file.project.as_str())
        .bind(&file.filename)
        .bind(file.sha256.to_string())
        .bind(text::number(file.size))
        .bind(file.uploaded_at.to_string())
        .bind(&file.uploaded_by)
        .bind(!removed)
        .bind(removed)
        .bind(&file.yanked)
        .bind(file.back_signed)
        .bind(
            file.gpg_signature
                .map(|signature| signature.sha256.to_string()),
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Ends it, so that the next row of the journal stands behind the signed position. Says how many
    /// files there are.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full. Nothing is there then.
    pub async fn finish(mut self) -> Result<u64, RebuildError> {
        let last = text::number(self.journal.0);
        if self.last < self.journal.0 {
            // A row that comes and goes takes all positions up to its own.
            for statement in [
                "INSERT INTO journal (seq, change) VALUES (?, '')",
                "DELETE FROM journal WHERE seq = ?",
            ] {
                sqlx::query(statement)
                    .bind(last)
                    .execute(&mut *self.transaction)
                    .await?;
            }
        }
        self.transaction.commit().await?;
        Ok(self.last)
    }
}
