//! The operator's journal: what whoever runs the index asks of the snapshot process.
//!
//! It is a database of its own, which the web process cannot open where the two run as different
//! users. So the snapshot process can tell by the place of a change who asks for it: what takes
//! files away, yanks them or sets a project's status is obeyed from here alone.

mod ceremonies;
mod collections;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::database::{Database, Schema};
use crate::outcome::read_outcome;
use crate::{Change, JournalRow, OpenError, Outcome, Seq, StoreError, text};

pub use ceremonies::{HandedIn, TakenBack};
pub use collections::{CollectionState, LoggedSnapshot};

/// The operator's journal ("WMRO").
const SCHEMA: Schema = Schema {
    application_id: 0x574d_524f,
    migrations: &[
        include_str!("orders/0001_orders.sql"),
        include_str!("orders/0002_ceremonies.sql"),
        include_str!("orders/0003_taken_up.sql"),
        include_str!("orders/0004_collections.sql"),
        include_str!("orders/0005_answered_at.sql"),
    ],
};

/// Connections that only read: few ask.
const READERS: u32 = 1;

/// What the orders are told that a snapshot process passed over, because the file is older than
/// what it has signed.
const PASSED_OVER: &str = "the signed state is ahead of this journal: ask for it once more";

/// A handle on the operator's journal; clones share connections.
#[derive(Clone, Debug)]
pub struct Orders {
    database: Arc<Database>,
}

impl Orders {
    /// Opens the database at `path`, and creates it if it is not there.
    ///
    /// # Errors
    ///
    /// [`OpenError::Newer`] if a later version of Wheelmark has written it.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let database = Database::open(path, &SCHEMA, READERS).await?;
        Ok(Self {
            database: Arc::new(database),
        })
    }

    /// Asks for changes: a row for each, all of them or none, on the disk when this returns.
    /// `by` is for people: who asked.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn ask_all(
        &self,
        changes: &[Change],
        at: Timestamp,
        by: &str,
    ) -> Result<Vec<Seq>, StoreError> {
        let mut transaction = self.database.write().await?;
        let mut asked = Vec::with_capacity(changes.len());
        for change in changes {
            let seq =
                sqlx::query(r#"INSERT INTO "order" (change, asked_at, asked_by) VALUES (?, ?, ?)"#)
                    .bind(change.to_text()?)
                    .bind(at.to_string())
                    .bind(by)
                    .execute(&mut *transaction)
                    .await?
                    .last_insert_rowid();
            asked.push(position(seq)?);
        }
        transaction.commit().await?;
        Ok(asked)
    }

    /// The rows behind `after`, oldest first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// Only when the database fails: a row that does not parse is [`Change::Unreadable`].
    pub async fn after(&self, after: Seq, limit: u32) -> Result<Vec<JournalRow>, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            r#"SELECT seq, CAST(change AS BLOB) FROM "order" WHERE seq > ? ORDER BY seq LIMIT ?"#,
        )
        .bind(text::number(after.0))
        .bind(limit)
        .fetch_all(&mut *self.database.reader().await?)
        .await?;
        let rows = rows.into_iter();
        rows.map(|(seq, change)| {
            Ok(JournalRow {
                seq: position(seq)?,
                change: Change::read(&change),
            })
        })
        .collect()
    }

    /// The last position that was ever given out; 0 if there was none.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn end(&self) -> Result<Seq, StoreError> {
        let end: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'order'")
                .fetch_optional(&mut *self.database.reader().await?)
                .await?;
        position(end.unwrap_or(0))
    }

    /// What became of an order; none while it is pending.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn outcome(&self, seq: Seq) -> Result<Option<Outcome>, StoreError> {
        let row: Option<(Option<i64>, Option<String>)> =
            sqlx::query_as("SELECT snapshot_version, refused FROM outcome WHERE seq = ?")
                .bind(text::number(seq.0))
                .fetch_optional(&mut *self.database.reader().await?)
                .await?;
        row.map(|row| read_outcome(seq, row)).transpose()
    }

    /// What became of the orders from `first` to `last`, as far as it is known, in their order.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn outcomes(&self, first: Seq, last: Seq) -> Result<Vec<(Seq, Outcome)>, StoreError> {
        let rows: Vec<(i64, Option<i64>, Option<String>)> = sqlx::query_as(
            "SELECT seq, snapshot_version, refused FROM outcome \
             WHERE seq BETWEEN ? AND ? ORDER BY seq",
        )
        .bind(text::number(first.0))
        .bind(text::number(last.0))
        .fetch_all(&mut *self.database.reader().await?)
        .await?;
        let rows = rows.into_iter();
        rows.map(|(seq, version, refused)| {
            let seq = position(seq)?;
            Ok((seq, read_outcome(seq, (version, refused))?))
        })
        .collect()
    }

    /// Records what became of orders. One that has an outcome keeps it. For the snapshot process,
    /// which is one at a time.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full. Doing it again is right.
    pub async fn settle(&self, outcomes: &[(Seq, Outcome)]) -> Result<(), StoreError> {
        let mut transaction = self.database.write().await?;
        for (seq, outcome) in outcomes {
            let (version, refused) = outcome.columns();
            // An order that is not there any more needs no answer.
            sqlx::query(
                r#"INSERT INTO outcome (seq, snapshot_version, refused)
                   SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM "order" WHERE seq = ?)
                   ON CONFLICT DO NOTHING"#,
            )
            .bind(text::number(seq.0))
            .bind(version)
            .bind(refused)
            .bind(text::number(seq.0))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Sees to it that what is asked from now on stands behind `signed`, the position that the
    /// signed state has come to, and that nobody waits for an answer at or before it, where nothing
    /// is taken up any more. Both are so by themselves, unless this file is older than that state,
    /// or a new one: then what waits there is answered that it has to be asked for anew. To be
    /// called when what was recorded is settled.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn go_on_behind(&self, signed: Seq) -> Result<(), StoreError> {
        let mut transaction = self.database.write().await?;
        let last = text::number(signed.0);
        sqlx::query(
            r#"INSERT INTO outcome (seq, refused) SELECT seq, ? FROM "order"
               WHERE seq <= ? AND seq NOT IN (SELECT seq FROM outcome)"#,
        )
        .bind(PASSED_OVER)
        .bind(last)
        .execute(&mut *transaction)
        .await?;
        // A row that comes and goes takes all positions up to its own.
        let end: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'order'")
                .fetch_optional(&mut *transaction)
                .await?;
        if end.unwrap_or(0) < last {
            sqlx::query(
                r#"INSERT INTO "order" (seq, change, asked_at, asked_by) VALUES (?, '', '', '')"#,
            )
            .bind(last)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(r#"DELETE FROM "order" WHERE seq = ?"#)
                .bind(last)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Closes the connections once their work is done. Handles that are left report errors.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

fn position(seq: i64) -> Result<Seq, StoreError> {
    Ok(Seq(text::unsigned("position of an order", seq)?))
}
