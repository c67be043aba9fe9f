//! What is no longer signed, or never was: removed, withdrawn, refused.

use wheelmark_packaging::ProjectName;

use super::{Known, KnownError, State, list};

impl Known {
    /// The file whose last change is this journal row.
    pub(crate) async fn changed_by(
        &self,
        seq: u64,
    ) -> Result<Option<(ProjectName, String)>, KnownError> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT project, filename FROM file WHERE seq = ?")
                .bind(number(seq))
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(project, filename)| Ok((super::project(&project)?, filename)))
            .transpose()
    }

    /// Goes back to how a file stands after its last change was refused, so that the next pass
    /// asks again: `None` where it is not there at all.
    pub(crate) async fn go_back(
        &self,
        project: &ProjectName,
        filename: &str,
        stands: Option<(State, Option<String>)>,
    ) -> Result<(), KnownError> {
        let query = match stands {
            None => sqlx::query("DELETE FROM file WHERE project = ? AND filename = ?"),
            Some((state, yanked)) => sqlx::query(
                "UPDATE file SET state = ?, yanked = ?, seq = NULL \
                 WHERE project = ? AND filename = ?",
            )
            .bind(state as i64)
            .bind(yanked),
        };
        query
            .bind(project.as_str())
            .bind(filename)
            .execute(&self.pool)
            .await?;
        Ok(())
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

    /// Signed files of the `wanted` projects that this pass did not see, in the order of their
    /// names, at most `limit`: the first ones, or those behind `after`. Of all projects where none
    /// is wanted.
    pub(crate) async fn unseen(
        &self,
        wanted: &[ProjectName],
        after: Option<&(ProjectName, String)>,
        limit: u32,
    ) -> Result<Vec<(ProjectName, String)>, KnownError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT project, filename FROM file WHERE state = 0 AND seen < ?1 \
             AND (?2 = '[]' OR project IN (SELECT value FROM json_each(?2))) \
             AND (project, filename) > (?4, ?5) ORDER BY project, filename LIMIT ?3",
        )
        .bind(self.pass)
        .bind(list(wanted))
        .bind(limit)
        .bind(after.map_or("", |(project, _)| project.as_str()))
        .bind(after.map_or("", |(_, filename)| filename.as_str()))
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(project, filename)| Ok((super::project(&project)?, filename)))
            .collect()
    }

    /// Writes down that a file is about to be taken off the index.
    pub(crate) async fn take_away(
        &self,
        project: &ProjectName,
        filename: &str,
        state: State,
    ) -> Result<(), KnownError> {
        sqlx::query("UPDATE file SET state = ?, asking = 1 WHERE project = ? AND filename = ?")
            .bind(state as i64)
            .bind(project.as_str())
            .bind(filename)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Writes down that this was asked for, by which journal row if one was needed.
    pub(crate) async fn asked(
        &self,
        project: &ProjectName,
        filename: &str,
        seq: Option<u64>,
    ) -> Result<(), KnownError> {
        sqlx::query(
            "UPDATE file SET asking = 0, seq = coalesce(?, seq) WHERE project = ? AND filename = ?",
        )
        .bind(seq.map(number))
        .bind(project.as_str())
        .bind(filename)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The files that were about to be taken off the index when a pass was cut off.
    pub(crate) async fn half_asked(&self) -> Result<Vec<(ProjectName, String)>, KnownError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT project, filename FROM file WHERE asking = 1")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter()
            .map(|(project, filename)| Ok((super::project(&project)?, filename)))
            .collect()
    }
}

/// A journal position as the database holds it.
fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
