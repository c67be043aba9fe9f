//! The intent: what is about to be published, made durable before any of it is written.

use sqlx::{Sqlite, Transaction};

use crate::{Change, Fence, Outcome, Seq, Store, StoreError, lease, outcome, text};

/// A snapshot that is signed and about to be published. Recovery replays exactly these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The version of its snapshot.
    pub snapshot_version: u64,
    /// The version of its timestamp.
    pub timestamp_version: u64,
    /// The last journal row that it covers.
    pub through: Seq,
    /// The objects to create, in this order: path and bytes.
    pub objects: Vec<(String, Vec<u8>)>,
    /// The bytes of `timestamp.json`, written when all objects are there.
    pub timestamp: Vec<u8>,
    /// What is left to do once the timestamp is out; its form is the snapshot process's own.
    pub after: serde_json::Value,
}

/// What a published snapshot changes in the catalogue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settlement<'a> {
    /// The serial number of every project that the snapshot changed: higher than all before it.
    pub serial: Seq,
    /// What became of the journal rows.
    pub outcomes: &'a [(Seq, Outcome)],
    /// The changes that the operator's journal brought.
    pub ordered: &'a [Change],
}

/// Why an intent was not recorded or completed.
#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    /// Another snapshot process has taken the lease since.
    #[error("lease {held} has ended: another snapshot process holds lease {current}")]
    Fenced {
        /// The number of the fence that was shown.
        held: u64,
        /// The number of the one that is alive.
        current: u64,
    },
    /// An earlier intent is not completed yet; it has to be replayed first.
    #[error("snapshot {snapshot_version} is recorded but not completed")]
    Unfinished {
        /// The version of its snapshot.
        snapshot_version: u64,
    },
    /// There is no intent with this version to complete.
    #[error("no intent for snapshot {snapshot_version} is recorded")]
    NotRecorded {
        /// The version that was to be completed.
        snapshot_version: u64,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for IntentError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

impl Store {
    /// Records what is about to be published, durably, if `fence` is alive.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over, [`IntentError::Unfinished`] if an
    /// earlier intent waits. Nothing is recorded then.
    pub async fn record_intent(&self, fence: Fence, intent: &Intent) -> Result<(), IntentError> {
        let mut transaction = self.write_fenced(fence).await?;
        if let Some(snapshot_version) = recorded(&mut transaction).await? {
            return Err(IntentError::Unfinished { snapshot_version });
        }
        sqlx::query(
            "INSERT INTO intent (id, fence, snapshot_version, timestamp_version, through, \
             timestamp, after_publish) VALUES (1, ?, ?, ?, ?, ?, ?)",
        )
        .bind(text::number(fence.number()))
        .bind(text::number(intent.snapshot_version))
        .bind(text::number(intent.timestamp_version))
        .bind(text::number(intent.through.0))
        .bind(intent.timestamp.as_slice())
        .bind(intent.after.to_string())
        .execute(&mut *transaction)
        .await?;
        for (position, (path, bytes)) in (0_i64..).zip(&intent.objects) {
            sqlx::query("INSERT INTO intent_object (position, path, bytes) VALUES (?, ?, ?)")
                .bind(position)
                .bind(path.as_str())
                .bind(bytes.as_slice())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The intent that is recorded and not completed.
    ///
    /// # Errors
    ///
    /// When the database fails or holds something that is not an intent.
    pub async fn intent(&self) -> Result<Option<Intent>, StoreError> {
        // One read transaction: the row and its objects belong together.
        let mut transaction = self.readers().begin().await?;
        let row: Option<(i64, i64, i64, Vec<u8>, String)> = sqlx::query_as(
            "SELECT snapshot_version, timestamp_version, through, timestamp, after_publish \
             FROM intent",
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((snapshot_version, timestamp_version, through, timestamp, after)) = row else {
            return Ok(None);
        };
        let objects = sqlx::query_as("SELECT path, bytes FROM intent_object ORDER BY position")
            .fetch_all(&mut *transaction)
            .await?;
        Ok(Some(Intent {
            snapshot_version: text::unsigned("snapshot version", snapshot_version)?,
            timestamp_version: text::unsigned("timestamp version", timestamp_version)?,
            through: Seq(text::unsigned("journal position", through)?),
            objects,
            timestamp,
            after: text::parse("intent", &after)?,
        }))
    }

    /// Ends the intent for `snapshot_version`, records what became of the journal rows, and makes
    /// the changes of the operator's journal in the catalogue, all in one transaction. A refused
    /// file leaves the catalogue, unless it was published before.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over, [`IntentError::NotRecorded`] if
    /// this intent is not the recorded one. Nothing is changed then.
    pub async fn complete_intent(
        &self,
        fence: Fence,
        snapshot_version: u64,
        settlement: Settlement<'_>,
    ) -> Result<(), IntentError> {
        let mut transaction = self.write_fenced(fence).await?;
        if recorded(&mut transaction).await? != Some(snapshot_version) {
            return Err(IntentError::NotRecorded { snapshot_version });
        }
        outcome::settle(&mut transaction, settlement.outcomes, settlement.serial).await?;
        for change in settlement.ordered {
            outcome::follow(&mut transaction, change, settlement.serial).await?;
        }
        sqlx::raw_sql("DELETE FROM intent_object; DELETE FROM intent;")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.signals().settled.send_replace(());
        Ok(())
    }

    /// Drops whatever stands as the intent, readable or not: the journal rows that it covered stay
    /// pending. For one whose object names turned out to be taken by other bytes, and for one that
    /// the snapshot process did not record.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over.
    pub async fn clear_intent(&self, fence: Fence) -> Result<(), IntentError> {
        let mut transaction = self.write_fenced(fence).await?;
        sqlx::raw_sql("DELETE FROM intent_object; DELETE FROM intent;")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Records outcomes that need no snapshot, such as refusals alone.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over.
    pub async fn record_outcomes(
        &self,
        fence: Fence,
        outcomes: &[(Seq, Outcome)],
    ) -> Result<(), IntentError> {
        let mut transaction = self.write_fenced(fence).await?;
        let serial = outcomes.iter().map(|(seq, _)| *seq).max();
        outcome::settle(&mut transaction, outcomes, serial.unwrap_or_default()).await?;
        transaction.commit().await?;
        self.signals().settled.send_replace(());
        Ok(())
    }

    /// Begins a write that only the holder of the living fence may make.
    async fn write_fenced(
        &self,
        fence: Fence,
    ) -> Result<Transaction<'static, Sqlite>, IntentError> {
        let mut transaction = self.write().await?;
        let current = lease::current(&mut transaction).await?;
        if current == fence.number() {
            Ok(transaction)
        } else {
            Err(IntentError::Fenced {
                held: fence.number(),
                current,
            })
        }
    }
}

/// The snapshot version of the recorded intent.
async fn recorded(
    transaction: &mut Transaction<'static, Sqlite>,
) -> Result<Option<u64>, StoreError> {
    let version: Option<i64> = sqlx::query_scalar("SELECT snapshot_version FROM intent")
        .fetch_optional(&mut **transaction)
        .await?;
    version
        .map(|version| text::unsigned("snapshot version", version))
        .transpose()
}
