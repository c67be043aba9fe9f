//! Serial numbers: the last change of each project that was published, for mirrors that ask
//! what is new.
//!
//! All changes of one snapshot have the same serial, which the snapshot process says. It rises
//! with each snapshot that takes in a change, and what a snapshot changes becomes visible
//! together, so once a reader has seen a serial, whatever is published later has a higher one.
//! A position in the journal would not do: an order is not among them, and an upload that was
//! there before it can be published after it.

use sqlx::SqliteConnection;
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
                .fetch_optional(&mut *self.reader().await?)
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
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.into_iter()
            .map(|(name, serial)| Ok((text::parse("project name", &name)?, position(serial)?)))
            .collect()
    }
}

/// Makes a published change the last one of its project, inside `transaction`.
pub(crate) async fn raise(
    transaction: &mut SqliteConnection,
    project: &ProjectName,
    serial: Seq,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE project SET serial = max(serial, ?) WHERE name = ?")
        .bind(text::number(serial.0))
        .bind(project.as_str())
        .execute(&mut *transaction)
        .await?;
    Ok(())
}

fn position(serial: i64) -> Result<Seq, StoreError> {
    Ok(Seq(text::unsigned("serial number", serial)?))
}
