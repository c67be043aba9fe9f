//! What came through a publisher: what has to be looked at when its account was stolen.

use jiff::Timestamp;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use crate::{Store, StoreError, TokenId, UserName, text};

/// A file that was uploaded with a token of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedFile {
    /// Its project.
    pub project: ProjectName,
    /// Its name.
    pub filename: String,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256,
    /// When it was received.
    pub uploaded_at: Timestamp,
    /// The token.
    pub token: TokenId,
    /// Whether a snapshot has taken it away.
    pub removed: bool,
}

impl Store {
    /// The files that were uploaded with the tokens of a user at `since` or later, oldest first; where
    /// a project is named, its own. Also those that were removed since.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn uploads_by(
        &self,
        user: &UserName,
        project: Option<&ProjectName>,
        since: Timestamp,
    ) -> Result<Vec<UploadedFile>, StoreError> {
        type Columns = (String, String, String, String, String, bool);
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT file.project, filename, sha256, uploaded_at, uploaded_by, removed \
             FROM file JOIN token ON token.id = file.uploaded_by \
             WHERE token.person = ? AND file.project = coalesce(?, file.project)",
        )
        .bind(user.as_str())
        .bind(project.map(ProjectName::as_str))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut files = Vec::new();
        for (project, filename, sha256, uploaded_at, token, removed) in rows {
            let uploaded_at = text::parse("upload time", &uploaded_at)?;
            if uploaded_at < since {
                continue;
            }
            files.push(UploadedFile {
                project: text::parse("project name", &project)?,
                filename,
                sha256: text::parse("sha256", &sha256)?,
                uploaded_at,
                token: TokenId::stored(&token),
                removed,
            });
        }
        files.sort_by(|one, other| {
            let times = one.uploaded_at.cmp(&other.uploaded_at);
            times.then_with(|| one.filename.cmp(&other.filename))
        });
        Ok(files)
    }
}
