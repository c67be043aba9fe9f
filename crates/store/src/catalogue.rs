//! The catalogue: which files exist, and how a new one is admitted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use crate::{Change, Seq, Store, StoreError, text};

/// A file that was uploaded and checked, ready to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    /// The project it belongs to, normalised.
    #[serde(with = "text")]
    pub project: ProjectName,
    /// Its name, as uploaded.
    pub filename: String,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// When it was received.
    #[serde(with = "text")]
    pub uploaded_at: Timestamp,
    /// `Requires-Python` of its core metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// The SHA-256 of its core metadata (PEP 658).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_metadata_sha256: Option<Sha256>,
    /// The SHA-256 of its chunk list, for a large file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks_sha256: Option<Sha256>,
    /// The id of the token that uploaded it.
    pub uploaded_by: String,
}

/// What became of a file that asked to be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is new; its journal row is durable.
    Recorded(Seq),
    /// The same bytes are there under this name; the journal row that brought them.
    Same(Seq),
    /// Other bytes are there under this name; nothing was changed.
    Different {
        /// The SHA-256 of what is there.
        existing: Sha256,
    },
}

/// A file in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// The project it belongs to.
    pub project: ProjectName,
    /// Its name.
    pub filename: String,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// When it was received.
    pub uploaded_at: Timestamp,
    /// The id of the token that uploaded it.
    pub uploaded_by: String,
    /// The journal row that brought it.
    pub seq: Seq,
    /// Whether a snapshot has listed it.
    pub published: bool,
}

impl Store {
    /// Records an uploaded file: its project's row, its own row and its journal row, in one
    /// transaction that is on the disk when this returns. Among several that ask for one name
    /// at the same time, one is recorded.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full. Nothing is recorded then, unless the disk
    /// failed while it confirmed the commit: [`Store::file`] tells.
    pub async fn admit(&self, file: NewFile) -> Result<Admission, StoreError> {
        let project = file.project.to_string();
        let mut transaction = self.write().await?;
        let existing: Option<(String, i64)> =
            sqlx::query_as("SELECT sha256, seq FROM file WHERE project = ? AND filename = ?")
                .bind(&project)
                .bind(&file.filename)
                .fetch_optional(&mut *transaction)
                .await?;
        if let Some((sha256, seq)) = existing {
            let existing: Sha256 = text::parse("sha256", &sha256)?;
            return Ok(if existing == file.sha256 {
                Admission::Same(Seq(text::unsigned("journal position", seq)?))
            } else {
                Admission::Different { existing }
            });
        }

        let uploaded_at = file.uploaded_at.to_string();
        let sha256 = file.sha256.to_string();
        let (filename, size) = (file.filename.clone(), text::number(file.size));
        let uploaded_by = file.uploaded_by.clone();
        let change = serde_json::to_string(&Change::FileAdded(file)).map_err(|source| {
            StoreError::Encode {
                what: "journal row",
                source,
            }
        })?;
        sqlx::query("INSERT INTO project (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(&project)
            .bind(&uploaded_at)
            .execute(&mut *transaction)
            .await?;
        let seq = sqlx::query("INSERT INTO journal (change) VALUES (?)")
            .bind(change)
            .execute(&mut *transaction)
            .await?
            .last_insert_rowid();
        sqlx::query(
            "INSERT INTO file (project, filename, sha256, size, uploaded_at, uploaded_by, seq) \
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(project)
        .bind(filename)
        .bind(sha256)
        .bind(size)
        .bind(uploaded_at)
        .bind(uploaded_by)
        .bind(seq)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.signals().admitted.notify_one();
        Ok(Admission::Recorded(Seq(text::unsigned(
            "journal position",
            seq,
        )?)))
    }

    /// The catalogue's row for a file, published or not.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn file(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<FileRow>, StoreError> {
        type Row = (String, i64, String, String, i64, bool);
        let row: Option<Row> = sqlx::query_as(
            "SELECT sha256, size, uploaded_at, uploaded_by, seq, published FROM file \
             WHERE project = ? AND filename = ?",
        )
        .bind(project.to_string())
        .bind(filename)
        .fetch_optional(self.readers())
        .await?;
        let Some((sha256, size, uploaded_at, uploaded_by, seq, published)) = row else {
            return Ok(None);
        };
        Ok(Some(FileRow {
            project: project.clone(),
            filename: filename.to_owned(),
            sha256: text::parse("sha256", &sha256)?,
            size: text::unsigned("size", size)?,
            uploaded_at: text::parse("upload time", &uploaded_at)?,
            uploaded_by,
            seq: Seq(text::unsigned("journal position", seq)?),
            published,
        }))
    }

    /// The projects that have a published file, by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn projects(&self) -> Result<Vec<ProjectName>, StoreError> {
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM project WHERE EXISTS \
             (SELECT 1 FROM file WHERE file.project = project.name AND published) ORDER BY name",
        )
        .fetch_all(self.readers())
        .await?;
        names
            .iter()
            .map(|name| text::parse("project name", name))
            .collect()
    }
}
