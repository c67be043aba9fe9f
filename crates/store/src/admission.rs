//! How a new file is admitted: all that concerns it, in one transaction.

use sqlx::SqliteConnection;
use wheelmark_tuf::Sha256;

use crate::{Change, NewFile, Seq, Store, StoreError, text};

/// What became of a file that asked to be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is new, and this is its journal row.
    Recorded(Seq),
    /// The same bytes are there under this name; the journal row that brought them.
    Same(Seq),
    /// Other bytes are there under this name; nothing was changed.
    Different {
        /// The SHA-256 of what is there.
        existing: Sha256,
    },
}

impl Store {
    /// Records a file: its project's row, its own row and its journal row, in one transaction
    /// that is on the disk when this returns. Among several that ask for one name at the same
    /// time, one is recorded. A file that was removed comes back with the same bytes alone.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full. Nothing is recorded then, unless the disk
    /// failed while it confirmed the commit: [`Store::file`] tells.
    pub async fn admit(&self, file: NewFile) -> Result<Admission, StoreError> {
        let mut transaction = self.write().await?;
        let admission = admit(&mut transaction, file).await?;
        if let Admission::Recorded(_) = admission {
            transaction.commit().await?;
            self.signals().admitted.notify_one();
        }
        Ok(admission)
    }

    /// Records many files in one transaction, so that they cost one flush of the disk and are
    /// recorded all or not at all. The answers stand in the order of the files.
    ///
    /// # Errors
    ///
    /// See [`Store::admit`].
    pub async fn admit_all(&self, files: Vec<NewFile>) -> Result<Vec<Admission>, StoreError> {
        let mut transaction = self.write().await?;
        let mut admissions = Vec::with_capacity(files.len());
        for file in files {
            admissions.push(admit(&mut transaction, file).await?);
        }
        transaction.commit().await?;
        self.signals().admitted.notify_one();
        Ok(admissions)
    }
}

/// Records a file inside `transaction`.
pub(crate) async fn admit(
    transaction: &mut SqliteConnection,
    file: NewFile,
) -> Result<Admission, StoreError> {
    let known: Option<(String, i64, bool)> = sqlx::query_as(
        "SELECT sha256, seq, \
         removed AND EXISTS (SELECT 1 FROM outcome WHERE outcome.seq = file.seq) FROM file WHERE project = ? AND filename = ?",
    )
    .bind(file.project.as_str())
    .bind(&file.filename)
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some((sha256, seq, gone)) = &known {
        let existing: Sha256 = text::parse("sha256", sha256)?;
        if existing != file.sha256 {
            return Ok(Admission::Different { existing });
        }
        if !gone {
            let seq = text::unsigned("journal position", *seq)?;
            return Ok(Admission::Same(Seq(seq)));
        }
    }

    let uploaded_at = file.uploaded_at.to_string();
    let change = Change::FileAdded(file);
    let stored = change.to_text()?;
    let Change::FileAdded(file) = change else {
        unreachable!("made above");
    };
    // All in one message to the thread of the connection. Of these tables the journal alone counts
    // its rows, so its number stays the last one.
    let row = if known.is_some() {
        // It stays removed until a snapshot has it again, with the signature that it had.
        sqlx::query(
            "INSERT INTO journal (change) VALUES (?); \
             UPDATE file SET seq = last_insert_rowid(), size = ?, uploaded_at = ?, \
             uploaded_by = ?, yanked = ?, back_signed = ? WHERE project = ? AND filename = ?",
        )
        .bind(stored)
    } else {
        sqlx::query(
            "INSERT INTO journal (change) VALUES (?); \
             INSERT INTO project (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING; \
             INSERT INTO file (seq, size, uploaded_at, uploaded_by, yanked, back_signed, project, \
             filename, sha256, gpg_signature_sha256, provenance_sha256) \
             VALUES (last_insert_rowid(), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(stored)
        .bind(file.project.as_str())
        .bind(&uploaded_at)
    };
    let written = row
        .bind(text::number(file.size))
        .bind(uploaded_at)
        .bind(&file.uploaded_by)
        .bind(&file.yanked)
        .bind(file.back_signed)
        .bind(file.project.as_str())
        .bind(&file.filename)
        .bind(file.sha256.to_string())
        .bind(
            file.gpg_signature
                .map(|signature| signature.sha256.to_string()),
        )
        .bind(file.provenance_sha256.map(|sha256| sha256.to_string()))
        .execute(&mut *transaction)
        .await?;
    let seq = text::unsigned("journal position", written.last_insert_rowid())?;
    Ok(Admission::Recorded(Seq(seq)))
}
