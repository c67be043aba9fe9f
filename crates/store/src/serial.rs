//! Serial numbers: the last change of each project that was published, for mirrors that ask
//! what is new.
//!
//! A serial is a journal position. A snapshot takes the journal up in order and its outcomes
//! become visible together, so once a reader has seen a serial, whatever is published later
//! has a higher one.

use sqlx::{Sqlite, Transaction};
use wheelmark_packaging::ProjectName;

use crate::{Seq, Store, StoreError, text};

impl Store {
    /// The serial of a project; none if no change of it was ever published.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn serial(&self, project: &ProjectName) -> Result<Option<Seq>, StoreError> {
        let serial: Option<i64> =
            sqlx::query_scalar("SELECT serial FROM project WHERE name = ? AND serial > 0")
                .bind(project.as_str())
                .fetch_optional(self.readers())
                .await?;
        serial.map(position).transpose()
    }

    /// The projects with a serial above `after`, with it, lowest first: as they are at one
    /// moment.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn serials_after(&self, after: Seq) -> Result<Vec<(ProjectName, Seq)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT name, serial FROM project WHERE serial > ? ORDER BY serial, name",
        )
        .bind(text::number(after.0))
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|(name, serial)| Ok((text::parse("project name", &name)?, position(serial)?)))
            .collect()
    }
}

/// Makes a published change the last one of its project, inside `transaction`.
pub(crate) async fn raise(
    transaction: &mut Transaction<'static, Sqlite>,
    project: &ProjectName,
    seq: i64,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE project SET serial = max(serial, ?) WHERE name = ?")
        .bind(seq)
        .bind(project.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn position(serial: i64) -> Result<Seq, StoreError> {
    Ok(Seq(text::unsigned("journal position", serial)?))
}
