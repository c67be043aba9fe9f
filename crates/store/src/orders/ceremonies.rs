//! What ceremonies have brought: metadata that offline keys have signed, on its way into the tree.
//!
//! It lies beside the orders, where no web process writes. Nothing here is believed: the snapshot
//! process verifies it as clients will.

use jiff::Timestamp;
use sqlx::Connection as _;

use super::{Orders, position};
use crate::outcome::read_outcome;
use crate::{Outcome, Seq, StoreError, text};

/// The metadata of a ceremony that waits for the snapshot process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedIn {
    /// Its position.
    pub seq: Seq,
    /// The name of the ceremony.
    pub name: String,
    /// The metadata files: name in the tree's `metadata` folder, and bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What became of the wish to take a ceremony back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBack {
    /// It is not published any more.
    Back,
    /// The snapshot process has it, and publishes it.
    TooLate,
    /// It is published.
    Published,
    /// Nothing waits under that name.
    NotThere,
}

impl Orders {
    /// Hands in what a ceremony has brought; it is on the disk when this returns. `by` is for
    /// people: who did it.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn hand_in(
        &self,
        name: &str,
        files: &[(String, Vec<u8>)],
        at: Timestamp,
        by: &str,
    ) -> Result<Seq, StoreError> {
        let mut transaction = self.database.write().await?;
        let seq = sqlx::query("INSERT INTO ceremony (name, asked_at, asked_by) VALUES (?, ?, ?)")
            .bind(name)
            .bind(at.to_string())
            .bind(by)
            .execute(&mut *transaction)
            .await?
            .last_insert_rowid();
        for (name, bytes) in files {
            sqlx::query("INSERT INTO ceremony_file (seq, name, bytes) VALUES (?, ?, ?)")
                .bind(seq)
                .bind(name.as_str())
                .bind(bytes.as_slice())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        position(seq)
    }

    /// The oldest that waits.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn handed_in(&self) -> Result<Option<HandedIn>, StoreError> {
        let mut reader = self.database.reader().await?;
        // As a rule there is nothing, and this is asked in every turn.
        let is_there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM ceremony \
             WHERE snapshot_version IS NULL AND refused IS NULL)",
        )
        .fetch_one(&mut *reader)
        .await?;
        if !is_there {
            return Ok(None);
        }
        let mut transaction = reader.begin().await?;
        let row: Option<(i64, String)> = sqlx::query_as(
            "SELECT seq, name FROM ceremony \
             WHERE snapshot_version IS NULL AND refused IS NULL ORDER BY seq LIMIT 1",
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((seq, name)) = row else {
            return Ok(None);
        };
        let files =
            sqlx::query_as("SELECT name, bytes FROM ceremony_file WHERE seq = ? ORDER BY name")
                .bind(seq)
                .fetch_all(&mut *transaction)
                .await?;
        let seq = position(seq)?;
        Ok(Some(HandedIn { seq, name, files }))
    }

    /// Says what became of it, and when. One that has an answer keeps it. For the snapshot process.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full. Doing it again is right.
    pub async fn answer_ceremony(
        &self,
        seq: Seq,
        outcome: &Outcome,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (version, refused) = outcome.columns();
        let mut transaction = self.database.write().await?;
        sqlx::query(
            "UPDATE ceremony SET snapshot_version = ?, refused = ?, answered_at = ? \
             WHERE seq = ? AND snapshot_version IS NULL AND refused IS NULL",
        )
        .bind(version)
        .bind(refused)
        .bind(at.to_string())
        .bind(text::number(seq.0))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Those that wait: their names, and when they were handed in.
    ///
    /// # Errors
    ///
    /// When the database fails or holds something else.
    pub async fn waiting_ceremonies(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT name, asked_at FROM ceremony \
             WHERE snapshot_version IS NULL AND refused IS NULL ORDER BY seq",
        )
        .fetch_all(&mut *self.database.reader().await?)
        .await?;
        let rows = rows.into_iter();
        rows.map(|(name, at)| Ok((name, text::parse("time", &at)?)))
            .collect()
    }

    /// When the ceremony was published that brought a metadata file, if that was written down.
    ///
    /// # Errors
    ///
    /// When the database fails or holds something else.
    pub async fn published_at(&self, file: &str) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<String> = sqlx::query_scalar(
            "SELECT max(ceremony.answered_at) FROM ceremony \
             JOIN ceremony_file ON ceremony_file.seq = ceremony.seq \
             WHERE ceremony_file.name = ? AND ceremony.snapshot_version IS NOT NULL",
        )
        .bind(file)
        .fetch_one(&mut *self.database.reader().await?)
        .await?;
        at.map(|at| text::parse("time", &at)).transpose()
    }

    /// What became of it; none while it waits.
    ///
    /// # Errors
    ///
    /// When the database fails, or it was never handed in.
    pub async fn ceremony_outcome(&self, seq: Seq) -> Result<Option<Outcome>, StoreError> {
        let row: (Option<i64>, Option<String>) =
            sqlx::query_as("SELECT snapshot_version, refused FROM ceremony WHERE seq = ?")
                .bind(text::number(seq.0))
                .fetch_one(&mut *self.database.reader().await?)
                .await?;
        match row {
            (None, None) => Ok(None),
            row => read_outcome(seq, row).map(Some),
        }
    }

    /// Says that it is about to be recorded; whether it still waits. For the snapshot process: from
    /// then on it is published, by this one or by the next.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full. Doing it again is right.
    pub async fn take_up(&self, seq: Seq) -> Result<bool, StoreError> {
        let mut transaction = self.database.write().await?;
        let done = sqlx::query(
            "UPDATE ceremony SET taken_up = 1 \
             WHERE seq = ? AND snapshot_version IS NULL AND refused IS NULL",
        )
        .bind(text::number(seq.0))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Takes back what waits under the name of a ceremony.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn take_back(&self, name: &str, why: &str) -> Result<TakenBack, StoreError> {
        let mut transaction = self.database.write().await?;
        let (published, taken_up): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE snapshot_version IS NOT NULL), \
             count(*) FILTER (WHERE taken_up AND snapshot_version IS NULL AND refused IS NULL) \
             FROM ceremony WHERE name = ?",
        )
        .bind(name)
        .fetch_one(&mut *transaction)
        .await?;
        if published > 0 {
            return Ok(TakenBack::Published);
        }
        if taken_up > 0 {
            return Ok(TakenBack::TooLate);
        }
        let done = sqlx::query(
            "UPDATE ceremony SET refused = ? \
             WHERE name = ? AND snapshot_version IS NULL AND refused IS NULL",
        )
        .bind(why)
        .bind(name)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(match done.rows_affected() {
            0 => TakenBack::NotThere,
            _ => TakenBack::Back,
        })
    }
}
