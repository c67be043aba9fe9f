//! The OpenPGP certificates of a project, as far as the write side knows.

use wheelmark_packaging::ProjectName;

use crate::{Store, StoreError};

/// What a project registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectCertificates {
    /// The armoured text of its certificates, as it is served.
    pub armored: String,
    /// Whether a new file needs a signature by one of them.
    pub required: bool,
}

impl Store {
    /// The certificates that a snapshot has published last for a project; none for most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn project_certificates(
        &self,
        project: &ProjectName,
    ) -> Result<Option<ProjectCertificates>, StoreError> {
        let row: Option<(String, bool)> = sqlx::query_as(
            "SELECT certificates, signature_required FROM project \
             WHERE name = ? AND certificates IS NOT NULL",
        )
        .bind(project.as_str())
        .fetch_optional(&mut *self.reader().await?)
        .await?;
        Ok(row.map(|(armored, required)| ProjectCertificates { armored, required }))
    }
}
