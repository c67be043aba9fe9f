//! What became of a journal row.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use wheelmark_packaging::ProjectName;

use crate::journal::MAX_CHANGE_LEN;
use crate::signals::OUTCOME_POLL;
use crate::{Change, Seq, Store, StoreError, release, serial, text};

/// What became of a journal row. It is said once and does not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A snapshot with the change in it is out.
    Published {
        /// The version of that snapshot.
        snapshot_version: u64,
    },
    /// The snapshot process refused the change.
    Refused {
        /// Why, for the person who asked for it.
        reason: String,
    },
}

impl Outcome {
    /// The columns that hold it: the snapshot's version, or why it was refused.
    pub(crate) fn columns(&self) -> (Option<i64>, Option<&str>) {
        match self {
            Self::Published { snapshot_version } => (Some(text::number(*snapshot_version)), None),
            Self::Refused { reason } => (None, Some(reason)),
        }
    }
}

/// Reads what [`Outcome::columns`] wrote.
pub(crate) fn read_outcome(
    seq: Seq,
    row: (Option<i64>, Option<String>),
) -> Result<Outcome, StoreError> {
    match row {
        (_, Some(reason)) => Ok(Outcome::Refused { reason }),
        (Some(version), None) => Ok(Outcome::Published {
            snapshot_version: text::unsigned("snapshot version", version)?,
        }),
        (None, None) => Err(StoreError::Invalid {
            what: "outcome",
            value: seq.to_string(),
        }),
    }
}

impl Store {
    /// What became of a journal row; none while it is pending.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn outcome(&self, seq: Seq) -> Result<Option<Outcome>, StoreError> {
        let row: Option<(Option<i64>, Option<String>)> =
            sqlx::query_as("SELECT snapshot_version, refused FROM outcome WHERE seq = ?")
                .bind(text::number(seq.0))
                .fetch_optional(&mut *self.reader().await?)
                .await?;
        row.map(|row| read_outcome(seq, row)).transpose()
    }

    /// The version of the newest snapshot that an answer speaks of; 0 where there is none.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn newest_snapshot(&self) -> Result<u64, StoreError> {
        let version: i64 =
            sqlx::query_scalar("SELECT coalesce(max(snapshot_version), 0) FROM outcome")
                .fetch_one(&mut *self.reader().await?)
                .await?;
        text::unsigned("snapshot version", version)
    }

    /// The journal rows behind `after` that were refused, oldest first, with the reasons.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn refusals(&self, after: Seq) -> Result<Vec<(Seq, String)>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT seq, refused FROM outcome WHERE seq > ? AND refused IS NOT NULL ORDER BY seq",
        )
        .bind(text::number(after.0))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let rows = rows.into_iter();
        rows.map(|(seq, reason)| Ok((Seq(text::unsigned("journal position", seq)?), reason)))
            .collect()
    }

    /// Waits for the outcome of a journal row, for at most `timeout`; none when it is still
    /// pending then.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn wait(&self, seq: Seq, timeout: Duration) -> Result<Option<Outcome>, StoreError> {
        // Subscribed before looking, so that what is recorded in between is not missed.
        let mut settled = self.signals().settled.subscribe();
        if let Some(outcome) = self.outcome(seq).await? {
            return Ok(Some(outcome));
        }
        let waiting = async {
            loop {
                tokio::select! {
                    // The sender lives in this store, so it cannot have gone.
                    _ = settled.changed() => {}
                    () = tokio::time::sleep(OUTCOME_POLL) => {}
                }
                if let Some(outcome) = self.outcome(seq).await? {
                    return Ok(Some(outcome));
                }
            }
        };
        tokio::time::timeout(timeout, waiting)
            .await
            .unwrap_or(Ok(None))
    }
}

/// Writes outcomes, and what follows from them for the catalogue, inside `transaction`. `serial`
/// is that of the snapshot that they came with.
///
/// A row that already has an outcome keeps it. A published change is made in the catalogue; a
/// refused file's row goes, so that its name is free for a better upload, unless it is published
/// or was so before it was removed.
pub(crate) async fn settle(
    transaction: &mut SqliteConnection,
    outcomes: &[(Seq, Outcome)],
    serial: Seq,
) -> Result<(), StoreError> {
    for (seq, outcome) in outcomes {
        let seq = text::number(seq.0);
        let (version, refused) = outcome.columns();
        // Where it is written, the change that it is about comes back with it.
        let written: Option<(Option<Vec<u8>>,)> = sqlx::query_as(
            "INSERT INTO outcome (seq, snapshot_version, refused) VALUES (?, ?, ?) \
             ON CONFLICT DO NOTHING RETURNING (SELECT CAST(change AS BLOB) FROM journal \
             WHERE journal.seq = outcome.seq AND octet_length(change) <= ?)",
        )
        .bind(seq)
        .bind(version)
        .bind(refused)
        .bind(MAX_CHANGE_LEN)
        .fetch_all(&mut *transaction)
        .await?
        .pop();
        let Some((stored,)) = written else {
            continue;
        };
        match outcome {
            Outcome::Published { .. } => {
                let change = stored.as_deref().map(Change::read);
                catalogue(transaction, seq, change, serial).await?;
            }
            Outcome::Refused { .. } => {
                sqlx::query("DELETE FROM file WHERE seq = ? AND NOT published AND NOT removed")
                    .bind(seq)
                    .execute(&mut *transaction)
                    .await?;
                // Whatever the row says, or whether it can be read at all.
                release::refused(transaction, seq).await?;
            }
        }
    }
    Ok(())
}

/// Makes a published change in the catalogue.
async fn catalogue(
    transaction: &mut SqliteConnection,
    seq: i64,
    change: Option<Change>,
    serial: Seq,
) -> Result<(), StoreError> {
    match change {
        // By position: a row that somebody else appended to the journal brings no file.
        Some(change @ Change::FileAdded(_)) => {
            // Both in one message to the thread of the connection.
            sqlx::query(
                "UPDATE project SET serial = max(serial, ?) WHERE name = ?; \
                 UPDATE file SET published = 1, removed = 0 WHERE seq = ?",
            )
            .bind(text::number(serial.0))
            .bind(change.project().map(ProjectName::as_str))
            .bind(seq)
            .execute(&mut *transaction)
            .await?;
            Ok(())
        }
        Some(Change::ProjectSigned(signed)) => {
            release::published(transaction, seq, &signed, serial).await
        }
        Some(change) => follow(transaction, &change, serial).await,
        None => Ok(()),
    }
}

/// Makes a published change to what is there in the catalogue.
pub(crate) async fn follow(
    transaction: &mut SqliteConnection,
    change: &Change,
    serial: Seq,
) -> Result<(), StoreError> {
    if let Some(project) = change.project() {
        serial::raise(transaction, project, serial).await?;
    }
    let query = match change {
        Change::FileRemoved {
            project, filename, ..
        } => sqlx::query(
            "UPDATE file SET published = 0, removed = 1 WHERE project = ? AND filename = ?",
        )
        .bind(project.as_str())
        .bind(filename),
        Change::FileRestored { project, filename } => sqlx::query(
            "UPDATE file SET published = 1, removed = 0 WHERE project = ? AND filename = ?",
        )
        .bind(project.as_str())
        .bind(filename),
        Change::FileYanked {
            project,
            filename,
            yanked,
        } => sqlx::query("UPDATE file SET yanked = ? WHERE project = ? AND filename = ?")
            .bind(yanked)
            .bind(project.as_str())
            .bind(filename),
        Change::StatusSet {
            project,
            status,
            reason,
        } => sqlx::query("UPDATE project SET status = ?, status_reason = ? WHERE name = ?")
            .bind(status)
            .bind(reason)
            .bind(project.as_str()),
        Change::CertificatesSet {
            project,
            certificates,
            required,
            ..
        } => sqlx::query(
            "UPDATE project SET certificates = ?, signature_required = ? WHERE name = ?",
        )
        .bind(certificates)
        .bind(required)
        .bind(project.as_str()),
        Change::ClaimEnded { project } => return release::ended(transaction, project).await,
        Change::FileAdded(_)
        | Change::ProjectSigned(_)
        | Change::RecoveryAsked(_)
        | Change::RecoveryEnded { .. }
        | Change::HashesSet { .. }
        | Change::Renewal
        | Change::Unreadable(_) => return Ok(()),
    };
    query.execute(&mut *transaction).await?;
    Ok(())
}
