//! What is no longer signed, or never was: removed, withdrawn, refused.

use wheelmark_packaging::ProjectName;

use super::{Known, KnownError, State, list};

impl Known {
    /// Forgets the file that a journal row brought and that was refused; the next pass tries
    /// again. Its name, if it was known.
    pub(crate) async fn forget(&self, seq: u64) -> Result<Option<(String, String)>, KnownError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        Ok(
            sqlx::query_as("DELETE FROM file WHERE seq = ? RETURNING project, filename")
                .bind(seq)
                .fetch_optional(&self.pool)
                .await?,
        )
    }

    /// The files of a name, or of `project/name`, that were not withdrawn.
    pub(crate) async fn named(&self, name: &str) -> Result<Vec<(ProjectName, String)>, KnownError> {
        let (project, filename) = match name.split_once('/') {
            Some((project, filename)) => (Some(project), filename),
            None => (None, name),
        };
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT project, filename FROM file \
             WHERE filename = ? AND project = coalesce(?, project) AND state <> 2",
        )
        .bind(filename)
        .bind(project)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(project, filename)| Ok((super::project(&project)?, filename)))
            .collect()
    }

    /// Signed files of the `wanted` projects that this pass did not see, at most `limit`; of all
    /// projects where none is wanted.
    pub(crate) async fn unseen(
        &self,
        wanted: &[ProjectName],
        limit: u32,
    ) -> Result<Vec<(ProjectName, String)>, KnownError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT project, filename FROM file WHERE state = 0 AND seen < ?1 \
             AND (?2 = '[]' OR project IN (SELECT value FROM json_each(?2))) LIMIT ?3",
        )
        .bind(self.pass)
        .bind(list(wanted))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(project, filename)| Ok((super::project(&project)?, filename)))
            .collect()
    }

    /// Writes down that a file is no longer signed.
    pub(crate) async fn set_state(
        &self,
        project: &ProjectName,
        filename: &str,
        state: State,
    ) -> Result<(), KnownError> {
        sqlx::query("UPDATE file SET state = ? WHERE project = ? AND filename = ?")
            .bind(state as i64)
            .bind(project.as_str())
            .bind(filename)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
