//! What is known of a project as a whole: whether it is there, how large it is, and how large it
//! may become.

use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{ProjectStatus, Status};

use crate::{Store, StoreError, text};

/// What one project is allowed, in bytes. `None` where it is what the index allows every project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProjectLimits {
    /// Longest file.
    pub file_len: Option<u64>,
    /// All files together.
    pub total_len: Option<u64>,
}

/// A project with limits of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitedProject {
    /// The project, which need not exist.
    pub project: ProjectName,
    /// Its limits.
    pub limits: ProjectLimits,
}

/// What an upload has to know of a project as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectStanding {
    /// Whether it has ever had a file, or was made without one.
    pub is_known: bool,
    /// Its state, as a snapshot has published it last; active for one that is not there.
    pub status: ProjectStatus,
    /// What the operator allows it.
    pub limits: ProjectLimits,
}

impl Store {
    /// Where a project stands at this moment.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn project_standing(
        &self,
        project: &ProjectName,
    ) -> Result<ProjectStanding, StoreError> {
        type Columns = (Option<String>, Option<String>, Option<i64>, Option<i64>);
        let (status, reason, file_len, total_len): Columns = sqlx::query_as(
            "SELECT status, status_reason, file_len, total_len FROM (SELECT ? AS wanted) \
             LEFT JOIN project ON project.name = wanted \
             LEFT JOIN project_limit ON project_limit.project = wanted",
        )
        .bind(project.as_str())
        .fetch_one(&mut *self.reader().await?)
        .await?;
        Ok(ProjectStanding {
            is_known: status.is_some(),
            status: status.map_or_else(ProjectStatus::default, |status| ProjectStatus {
                status: Status::from(status),
                reason,
                ..ProjectStatus::default()
            }),
            limits: limits((file_len, total_len))?,
        })
    }

    /// Another project whose name looks like this one (see [`ProjectName::likeness`]).
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn project_like(
        &self,
        project: &ProjectName,
    ) -> Result<Option<ProjectName>, StoreError> {
        let found: Option<String> = sqlx::query_scalar(
            "SELECT name FROM project WHERE name <> ? AND \
             replace(replace(replace(replace(name, '-', ''), 'l', '1'), 'i', '1'), 'o', '0') = ? \
             ORDER BY name LIMIT 1",
        )
        .bind(project.as_str())
        .bind(project.likeness())
        .fetch_optional(&mut *self.reader().await?)
        .await?;
        found
            .map(|name| text::parse("project name", &name))
            .transpose()
    }

    /// What the operator allows one project.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn project_limits(&self, project: &ProjectName) -> Result<ProjectLimits, StoreError> {
        let row: Option<(Option<i64>, Option<i64>)> =
            sqlx::query_as("SELECT file_len, total_len FROM project_limit WHERE project = ?")
                .bind(project.as_str())
                .fetch_optional(&mut *self.reader().await?)
                .await?;
        row.map_or(Ok(ProjectLimits::default()), limits)
    }

    /// The longest file that any project with a limit of its own may have.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn longest_file_limit(&self) -> Result<Option<u64>, StoreError> {
        let longest: Option<i64> = sqlx::query_scalar("SELECT max(file_len) FROM project_limit")
            .fetch_one(&mut *self.reader().await?)
            .await?;
        longest
            .map(|longest| text::unsigned("size", longest))
            .transpose()
    }

    /// Sets what one project is allowed; limits that are all `None` take it off the list.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_project_limits(
        &self,
        project: &ProjectName,
        limits: ProjectLimits,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM project_limit WHERE project = ?")
            .bind(project.as_str())
            .execute(&mut *transaction)
            .await?;
        if limits != ProjectLimits::default() {
            sqlx::query(
                "INSERT INTO project_limit (project, file_len, total_len) VALUES (?, ?, ?)",
            )
            .bind(project.as_str())
            .bind(limits.file_len.map(text::number))
            .bind(limits.total_len.map(text::number))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Every project with limits of its own, by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn limited_projects(&self) -> Result<Vec<LimitedProject>, StoreError> {
        let rows: Vec<(String, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT project, file_len, total_len FROM project_limit ORDER BY project",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.into_iter()
            .map(|(project, file_len, total_len)| {
                Ok(LimitedProject {
                    project: text::parse("project name", &project)?,
                    limits: limits((file_len, total_len))?,
                })
            })
            .collect()
    }
}

fn limits((file_len, total_len): (Option<i64>, Option<i64>)) -> Result<ProjectLimits, StoreError> {
    let read = |len: Option<i64>| len.map(|len| text::unsigned("size", len)).transpose();
    Ok(ProjectLimits {
        file_len: read(file_len)?,
        total_len: read(total_len)?,
    })
}
