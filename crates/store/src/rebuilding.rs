//! A catalogue that is made anew, out of what is signed.
//!
//! Every file gets a row of the journal that lies behind the snapshot process: its position was
//! followed long ago, and nothing comes of it. What is uploaded next stands behind all of them. A
//! release brings several files with one row: where there are more files than positions, the last
//! ones share the last.

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
    /// Who signs for it, where its own people do.
    pub claim: Option<RebuiltClaim>,
}

/// A claim as the signed delegation to the project has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuiltClaim {
    /// Since when it is claimed.
    pub claimed_at: Timestamp,
    /// The ids of the keys, each with the user that it is registered for.
    pub keys: Vec<(String, String)>,
}

/// Why a catalogue could not be made anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is something in it.
    #[error("the catalogue is not empty")]
    NotEmpty,
    /// The signed state says that nothing was ever uploaded, and there are files.
    #[error("there are files, and the signed state has followed no change")]
    NoPosition,
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
    /// The last position that was given.
    last: u64,
    files: u64,
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
            files: 0,
        })
    }
}

impl Rebuilding {
    /// Takes in a project with all its files.
    ///
    /// # Errors
    ///
    /// [`RebuildError::NoPosition`], and when the database fails.
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
        match project.claim {
            Some(claim) => self.claim(&project.name, &claim).await,
            None => Ok(()),
        }
    }

    /// That a project is claimed, by whom, and whose its keys are.
    async fn claim(
        &mut self,
        project: &ProjectName,
        claim: &RebuiltClaim,
    ) -> Result<(), RebuildError> {
        // Whoever claimed it has registered the first key.
        let person = claim.keys.first().map_or("", |(_, user)| user.as_str());
        let seq = text::number(self.last);
        sqlx::query(
            "INSERT INTO claim (project, person, seq, claimed_at, published) VALUES (?, ?, ?, ?, 1)",
        )
        .bind(project.as_str())
        .bind(person)
        .bind(seq)
        .bind(claim.claimed_at.to_string())
        .execute(&mut *self.transaction)
        .await?;
        for (keyid, user) in &claim.keys {
            sqlx::query(
                "INSERT INTO developer_key (keyid, project, person, seq) VALUES (?, ?, ?, ?) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(keyid)
            .bind(project.as_str())
            .bind(user)
            .bind(seq)
            .execute(&mut *self.transaction)
            .await?;
        }
        Ok(())
    }

    /// A position for the next file, with a row of the journal where there is one left for it.
    async fn position(&mut self, file: &NewFile) -> Result<i64, RebuildError> {
        if self.last >= self.journal.0 {
            return match self.last {
                0 => Err(RebuildError::NoPosition),
                last => Ok(text::number(last)),
            };
        }
        self.last += 1;
        let seq = text::number(self.last);
        let change = Change::FileAdded(file.clone());
        sqlx::query("INSERT INTO journal (seq, change) VALUES (?, ?)")
            .bind(seq)
            .bind(change.to_text()?)
            .execute(&mut *self.transaction)
            .await?;
        sqlx::query("INSERT INTO outcome (seq, snapshot_version) VALUES (?, ?)")
            .bind(seq)
            .bind(text::number(self.snapshot_version))
            .execute(&mut *self.transaction)
            .await?;
        Ok(seq)
    }

    async fn file(&mut self, file: NewFile, removed: bool) -> Result<(), RebuildError> {
        let seq = self.position(&file).await?;
        self.files += 1;
        sqlx::query(
            "INSERT INTO file (seq, project, filename, sha256, size, uploaded_at, uploaded_by, \
             published, removed, yanked, back_signed, gpg_signature_sha256, provenance_sha256) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
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
        .bind(file.provenance_sha256.map(|sha256| sha256.to_string()))
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
        Ok(self.files)
    }
}
