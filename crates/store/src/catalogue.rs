//! The catalogue: which files there are, as far as the write side knows.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use crate::{Seq, Store, StoreError, text};

/// A file that was received and checked, ready to be published.
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
    /// The OpenPGP signature that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpg_signature: Option<FileSignature>,
    /// The SHA-256 of its provenance (PEP 740).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance_sha256: Option<Sha256>,
    /// The id of the token that uploaded it.
    pub uploaded_by: String,
    /// Whether it was there before the index was first signed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back_signed: bool,
    /// Whether it is yanked from the start (PEP 592), with the reason; an empty one is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
}

/// An OpenPGP signature that stands beside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSignature {
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub length: u64,
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
    /// The journal row that brought it, or brought it back.
    pub seq: Seq,
    /// How far it has come.
    pub state: FileState,
    /// Whether it is yanked (PEP 592), with the reason; an empty one is none.
    pub yanked: Option<String>,
    /// Whether it was there before the index was first signed.
    pub back_signed: bool,
    /// The SHA-256 of the OpenPGP signature that came with it.
    pub gpg_signature_sha256: Option<Sha256>,
    /// The SHA-256 of its provenance.
    pub provenance_sha256: Option<Sha256>,
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileState {
    /// Its journal row waits for a snapshot.
    Pending,
    /// A snapshot has listed it, and none has taken it away since.
    Published,
    /// A snapshot has taken it away. The same bytes may come back under its name, others not.
    Removed,
}

/// A query for [`FileRow`]s, whose columns [`read`] names.
macro_rules! file_rows {
    ($rest:literal) => {
        concat!(
            "SELECT project, filename, sha256, size, uploaded_at, uploaded_by, seq, \
             EXISTS (SELECT 1 FROM outcome WHERE outcome.seq = file.seq) AS settled, \
             removed, yanked, back_signed, gpg_signature_sha256, provenance_sha256 FROM file ",
            $rest
        )
    };
}

fn read(row: &SqliteRow) -> Result<FileRow, StoreError> {
    let text_of = |column| row.try_get::<&str, _>(column);
    let digest_of = |column| -> Result<Option<Sha256>, StoreError> {
        text::parse_optional("sha256", row.try_get(column)?)
    };
    Ok(FileRow {
        project: text::parse("project name", text_of("project")?)?,
        filename: row.try_get("filename")?,
        sha256: text::parse("sha256", text_of("sha256")?)?,
        size: text::unsigned("size", row.try_get("size")?)?,
        uploaded_at: text::parse("upload time", text_of("uploaded_at")?)?,
        uploaded_by: row.try_get("uploaded_by")?,
        seq: Seq(text::unsigned("journal position", row.try_get("seq")?)?),
        state: match (row.try_get("settled")?, row.try_get("removed")?) {
            (false, _) => FileState::Pending,
            (true, false) => FileState::Published,
            (true, true) => FileState::Removed,
        },
        yanked: row.try_get("yanked")?,
        back_signed: row.try_get("back_signed")?,
        gpg_signature_sha256: digest_of("gpg_signature_sha256")?,
        provenance_sha256: digest_of("provenance_sha256")?,
    })
}

impl Store {
    /// The catalogue's row for a file, published or not, removed or not.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn file(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<FileRow>, StoreError> {
        sqlx::query(file_rows!("WHERE project = ? AND filename = ?"))
            .bind(project.as_str())
            .bind(filename)
            .fetch_optional(&mut *self.reader().await?)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// The rows of the catalogue by project and name, at most `limit` of them: the first ones,
    /// or those behind `after`. Rows that come or change meanwhile are seen or not, as their
    /// names lie.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn files(
        &self,
        after: Option<(&ProjectName, &str)>,
        limit: u32,
    ) -> Result<Vec<FileRow>, StoreError> {
        // No project has the empty name.
        let (project, filename) =
            after.map_or(("", ""), |(project, name)| (project.as_str(), name));
        let rows = sqlx::query(file_rows!(
            "WHERE (project, filename) > (?, ?) ORDER BY project, filename LIMIT ?"
        ))
        .bind(project)
        .bind(filename)
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter().map(read).collect()
    }

    /// How many bytes the files of a project have together, pending ones included and removed ones
    /// not.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn project_size(&self, project: &ProjectName) -> Result<u64, StoreError> {
        let size: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(size), 0) FROM file WHERE project = ? AND NOT removed",
        )
        .bind(project.as_str())
        .fetch_one(&mut *self.reader().await?)
        .await?;
        text::unsigned("size", size)
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
        .fetch_all(&mut *self.reader().await?)
        .await?;
        names
            .iter()
            .map(|name| text::parse("project name", name))
            .collect()
    }
}
