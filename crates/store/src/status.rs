//! What state a project is in (PEP 792), as far as the write side knows.

use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{ProjectStatus, Status};

use crate::{Store, StoreError};

impl Store {
    /// The state of a project that a snapshot has published last; active for one that is not
    /// there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn project_status(&self, project: &ProjectName) -> Result<ProjectStatus, StoreError> {
        let row: Option<(String, Option<String>)> =
            sqlx::query_as("SELECT status, status_reason FROM project WHERE name = ?")
                .bind(project.as_str())
                .fetch_optional(self.readers())
                .await?;
        Ok(
            row.map_or_else(ProjectStatus::default, |(status, reason)| ProjectStatus {
                status: Status::from(status),
                reason,
                ..ProjectStatus::default()
            }),
        )
    }
}
