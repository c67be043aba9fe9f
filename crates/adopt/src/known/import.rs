//! The first import: what belongs to it, and whether it is over.

use sqlx::{Sqlite, Transaction};
use wheelmark_packaging::ProjectName;

use super::{Known, KnownError, Remember};

impl Known {
    /// Writes down that the first import could not read this: it still counts as part of it. The
    /// empty name stands for the whole project.
    pub(crate) async fn owe(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<(), KnownError> {
        if !self.was_there_before(project, filename).await? {
            return Ok(());
        }
        sqlx::query("INSERT INTO owed (project, filename) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(project.as_str())
            .bind(filename)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Whether a file that is new now is part of the first import.
    pub(crate) async fn was_there_before(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<bool, KnownError> {
        if !self.imported {
            let begun: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM chosen WHERE project = ?)")
                    .bind(project.as_str())
                    .fetch_one(&self.pool)
                    .await?;
            if !begun {
                return Ok(true);
            }
        }
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM owed WHERE project = ? AND filename IN ('', ?))",
        )
        .bind(project.as_str())
        .bind(filename)
        .fetch_one(&self.pool)
        .await?)
    }

    /// Writes down that projects were gone through to their end: nothing is owed of any as a
    /// whole.
    pub(crate) async fn settle_projects(&self, projects: &[ProjectName]) -> Result<(), KnownError> {
        let owed: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM owed)")
            .fetch_one(&self.pool)
            .await?;
        if !owed {
            return Ok(());
        }
        for project in projects {
            sqlx::query("DELETE FROM owed WHERE project = ? AND filename = ''")
                .bind(project.as_str())
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// Writes down that the first import is over: that of the whole source, or of the `chosen`
    /// projects where some were.
    pub(crate) async fn finish_import(&self, chosen: &[ProjectName]) -> Result<(), KnownError> {
        if chosen.is_empty() && !self.imported {
            sqlx::query("UPDATE state SET imported = 1")
                .execute(&self.pool)
                .await?;
        }
        if !self.imported {
            for project in chosen {
                sqlx::query("INSERT INTO chosen (project) VALUES (?) ON CONFLICT DO NOTHING")
                    .bind(project.as_str())
                    .execute(&self.pool)
                    .await?;
            }
        }
        Ok(())
    }
}

/// Writes down that these files are signed, and owed no more.
pub(super) async fn settle_files(
    transaction: &mut Transaction<'_, Sqlite>,
    files: &[Remember],
) -> Result<(), KnownError> {
    let owed: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM owed)")
        .fetch_one(&mut **transaction)
        .await?;
    for file in files.iter().filter(|_| owed) {
        sqlx::query("DELETE FROM owed WHERE project = ? AND filename = ?")
            .bind(file.project.as_str())
            .bind(&file.filename)
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
