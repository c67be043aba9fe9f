//! Garbage collections that were asked for, and the log of the snapshots that went.

use jiff::Timestamp;
use wheelmark_tuf::Sha256;

use super::{Orders, position};
use crate::{Seq, StoreError, text};

/// How a collection stands that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectionState {
    /// It waits, or is under way and this far.
    Waiting(Option<String>),
    /// It is done; what it did.
    Done(String),
    /// It could not be done, for this reason.
    Failed(String),
}

/// A snapshot that was collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedSnapshot {
    /// Its version.
    pub version: u64,
    /// The SHA-256 of its file.
    pub sha256: Sha256,
    /// The length of its file in bytes.
    pub length: u64,
    /// When it expired.
    pub expires: Timestamp,
}

impl Orders {
    /// Asks for a collection that keeps what `keep` says. `by` is for people: who asked.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn ask_to_collect(
        &self,
        keep: &str,
        at: Timestamp,
        by: &str,
    ) -> Result<Seq, StoreError> {
        let mut transaction = self.database.write().await?;
        let seq = sqlx::query("INSERT INTO collection (keep, asked_at, asked_by) VALUES (?, ?, ?)")
            .bind(keep)
            .bind(at.to_string())
            .bind(by)
            .execute(&mut *transaction)
            .await?
            .last_insert_rowid();
        transaction.commit().await?;
        position(seq)
    }

    /// The oldest collection that waits: its position, and what it is to keep.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn collection_asked(&self) -> Result<Option<(Seq, String)>, StoreError> {
        let row: Option<(i64, String)> = sqlx::query_as(
            "SELECT seq, keep FROM collection WHERE done IS NULL AND failed IS NULL \
             ORDER BY seq LIMIT 1",
        )
        .fetch_optional(&mut *self.database.reader().await?)
        .await?;
        row.map(|(seq, keep)| Ok((position(seq)?, keep)))
            .transpose()
    }

    /// When a collection was asked for last.
    ///
    /// # Errors
    ///
    /// When the database fails or holds something else.
    pub async fn last_collection_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<String> =
            sqlx::query_scalar("SELECT asked_at FROM collection ORDER BY seq DESC LIMIT 1")
                .fetch_optional(&mut *self.database.reader().await?)
                .await?;
        at.map(|at| text::parse("time", &at)).transpose()
    }

    /// Says how a collection stands. One that is over stays as it is. For whoever collects.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full. Doing it again is right.
    pub async fn tell_of_collection(
        &self,
        seq: Seq,
        state: &CollectionState,
    ) -> Result<(), StoreError> {
        let (progress, done, failed) = match state {
            CollectionState::Waiting(progress) => (progress.as_deref(), None, None),
            CollectionState::Done(done) => (None, Some(done.as_str()), None),
            CollectionState::Failed(why) => (None, None, Some(why.as_str())),
        };
        let mut transaction = self.database.write().await?;
        sqlx::query(
            "UPDATE collection SET progress = ?, done = ?, failed = ? \
             WHERE seq = ? AND done IS NULL AND failed IS NULL",
        )
        .bind(progress)
        .bind(done)
        .bind(failed)
        .bind(text::number(seq.0))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// How a collection stands.
    ///
    /// # Errors
    ///
    /// When the database fails, or it was never asked for.
    pub async fn collection(&self, seq: Seq) -> Result<CollectionState, StoreError> {
        let row: (Option<String>, Option<String>, Option<String>) =
            sqlx::query_as("SELECT progress, done, failed FROM collection WHERE seq = ?")
                .bind(text::number(seq.0))
                .fetch_one(&mut *self.database.reader().await?)
                .await?;
        Ok(match row {
            (_, Some(done), _) => CollectionState::Done(done),
            (_, _, Some(why)) => CollectionState::Failed(why),
            (progress, None, None) => CollectionState::Waiting(progress),
        })
    }

    /// Writes snapshots down that are about to go; those that are there stay as they are. It is on
    /// the disk when this returns.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full. Doing it again is right.
    pub async fn log_snapshots(&self, snapshots: &[LoggedSnapshot]) -> Result<(), StoreError> {
        let mut transaction = self.database.write().await?;
        for snapshot in snapshots {
            sqlx::query(
                "INSERT INTO snapshot (version, sha256, length, expires) VALUES (?, ?, ?, ?) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(text::number(snapshot.version))
            .bind(snapshot.sha256.to_string())
            .bind(text::number(snapshot.length))
            .bind(snapshot.expires.to_string())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The snapshots that were written down, by version.
    ///
    /// # Errors
    ///
    /// When the database fails or holds something else.
    pub async fn logged_snapshots(&self) -> Result<Vec<LoggedSnapshot>, StoreError> {
        let rows: Vec<(i64, String, i64, String)> = sqlx::query_as(
            "SELECT version, sha256, length, expires FROM snapshot ORDER BY version",
        )
        .fetch_all(&mut *self.database.reader().await?)
        .await?;
        let rows = rows.into_iter();
        rows.map(|(version, sha256, length, expires)| {
            Ok(LoggedSnapshot {
                version: text::unsigned("snapshot version", version)?,
                sha256: text::parse("sha256", &sha256)?,
                length: text::unsigned("length", length)?,
                expires: text::parse("expiry", &expires)?,
            })
        })
        .collect()
    }
}
