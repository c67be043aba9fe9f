//! The intent: what is about to be published, made durable before any of it is written, and kept
//! until all of it is durable itself.

use sqlx::{Connection as _, QueryBuilder, Sqlite, SqliteConnection, Transaction};

use crate::database::immediately;
use crate::{Change, Fence, Outcome, Seq, Store, StoreError, lease, outcome, text};

/// How many objects of an intent are written at once.
const OBJECTS_AT_ONCE: usize = 100;

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
    /// The intent that was to be completed is not recorded, or is completed already.
    #[error("the snapshot that was published is not recorded any more")]
    NotRecorded,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for IntentError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

/// A snapshot that stands recorded.
#[derive(Debug)]
pub struct RecordedIntent {
    /// Its place: later ones have higher ones.
    pub id: IntentId,
    /// Whether it is published and settled, and kept only until its files are on the disk.
    pub completed: bool,
    /// What is recorded, unless it is no intent.
    pub intent: Result<Intent, StoreError>,
}

/// Which of the recorded intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(i64);

impl Store {
    /// Records what is about to be published, if `fence` is alive. It is durable when this returns,
    /// and so is everything that was committed before, whoever committed it.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over, [`IntentError::Unfinished`] if an
    /// earlier intent waits. Nothing is recorded then.
    pub async fn record_intent(
        &self,
        fence: Fence,
        intent: &Intent,
    ) -> Result<IntentId, IntentError> {
        let mut connection = self.deferring().await?;
        let mut transaction = immediately(&mut connection).await?;
        let (id, unfinished) = next(&mut transaction, fence).await?;
        if let Some(snapshot_version) = unfinished {
            return Err(IntentError::Unfinished { snapshot_version });
        }
        // As much as may be at once: each query is a message to the thread of the connection.
        let mut statements = QueryBuilder::new(
            "INSERT INTO intent (id, fence, snapshot_version, timestamp_version, through, \
             timestamp, after_publish) ",
        );
        statements.push_values([intent], |mut row, intent| {
            row.push_bind(id)
                .push_bind(text::number(fence.number()))
                .push_bind(text::number(intent.snapshot_version))
                .push_bind(text::number(intent.timestamp_version))
                .push_bind(text::number(intent.through.0))
                .push_bind(intent.timestamp.as_slice())
                .push_bind(intent.after.to_string());
        });
        let (first, rest) = intent
            .objects
            .split_at(OBJECTS_AT_ONCE.min(intent.objects.len()));
        if !first.is_empty() {
            statements.push("; ");
            push_objects(&mut statements, id, 0, first);
        }
        statements.build().execute(&mut *transaction).await?;
        for (number, objects) in (1..).zip(rest.chunks(OBJECTS_AT_ONCE)) {
            let mut statement = QueryBuilder::new("");
            push_objects(&mut statement, id, number * OBJECTS_AT_ONCE, objects);
            statement.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        // Without the lock on the database: others go on meanwhile, and have their rows flushed.
        self.flush().await?;
        Ok(IntentId(id))
    }

    /// The intent that is recorded and not completed.
    ///
    /// # Errors
    ///
    /// When the database fails or holds something that is not an intent.
    pub async fn intent(&self) -> Result<Option<Intent>, StoreError> {
        let recorded = self.recorded_intents().await?;
        let open = recorded.into_iter().find(|recorded| !recorded.completed);
        open.map(|recorded| recorded.intent).transpose()
    }

    /// Every intent that stands recorded, in the order in which they were recorded.
    ///
    /// # Errors
    ///
    /// When the database fails; what is no intent is told in its place.
    pub async fn recorded_intents(&self) -> Result<Vec<RecordedIntent>, StoreError> {
        type Columns = (i64, bool, i64, i64, i64, Vec<u8>, String);
        // One read transaction: the rows and their objects belong together.
        let mut reader = self.reader().await?;
        let mut transaction = reader.begin().await?;
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT id, completed, snapshot_version, timestamp_version, through, timestamp, \
             after_publish FROM intent ORDER BY id",
        )
        .fetch_all(&mut *transaction)
        .await?;
        let mut recorded = Vec::with_capacity(rows.len());
        for (id, completed, snapshot_version, timestamp_version, through, timestamp, after) in rows
        {
            let objects = sqlx::query_as(
                "SELECT path, bytes FROM intent_object WHERE intent = ? ORDER BY position",
            )
            .bind(id)
            .fetch_all(&mut *transaction)
            .await?;
            let read = || -> Result<Intent, StoreError> {
                Ok(Intent {
                    snapshot_version: text::unsigned("snapshot version", snapshot_version)?,
                    timestamp_version: text::unsigned("timestamp version", timestamp_version)?,
                    through: Seq(text::unsigned("journal position", through)?),
                    objects,
                    timestamp,
                    after: text::parse("intent", &after)?,
                })
            };
            recorded.push(RecordedIntent {
                id: IntentId(id),
                completed,
                intent: read(),
            });
        }
        Ok(recorded)
    }

    /// Ends the intent `id`, records what became of the journal rows, and makes the changes of the
    /// operator's journal in the catalogue, all in one transaction. A refused file leaves the
    /// catalogue, unless it was published before. The intent stays recorded until it is
    /// [forgotten](Store::forget_intents).
    ///
    /// It is durable with the next flush: before that, a power failure brings the intent back as
    /// one that is not completed, to be done again.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over, [`IntentError::NotRecorded`] if
    /// this intent is not recorded, or completed already. Nothing is changed then.
    pub async fn complete_intent(
        &self,
        fence: Fence,
        id: IntentId,
        settlement: Settlement<'_>,
    ) -> Result<(), IntentError> {
        let mut connection = self.deferring().await?;
        let mut transaction = immediately(&mut connection).await?;
        let completed = sqlx::query(
            "UPDATE intent SET completed = 1 WHERE id = ? AND completed = 0 \
             AND EXISTS (SELECT 1 FROM lease WHERE lease.id = 1 AND lease.fence = ?)",
        )
        .bind(id.0)
        .bind(text::number(fence.number()))
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if completed == 0 {
            demand_alive(fence, lease::current(&mut transaction).await?)?;
            return Err(IntentError::NotRecorded);
        }
        outcome::settle(&mut transaction, settlement.outcomes, settlement.serial).await?;
        for change in settlement.ordered {
            outcome::follow(&mut transaction, change, settlement.serial).await?;
        }
        transaction.commit().await?;
        self.signals().settled.send_replace(());
        Ok(())
    }

    /// Forgets the completed intents up to `last`, whose files are on the disk, and the objects that
    /// were kept for the uploads which they took in.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over.
    pub async fn forget_intents(&self, fence: Fence, last: IntentId) -> Result<(), IntentError> {
        let mut connection = self.deferring().await?;
        let mut transaction = fenced(&mut connection, fence).await?;
        sqlx::query(
            "DELETE FROM kept_object WHERE seq <= \
             (SELECT max(through) FROM intent WHERE completed AND id <= ?)",
        )
        .bind(last.0)
        .execute(&mut *transaction)
        .await?;
        delete(&mut transaction, "completed AND id <= ?", last).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Drops one intent, completed or not, readable or not: the journal rows that it covered stay
    /// as they are. For one that the snapshot process did not record, or has moved on from.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over.
    pub async fn drop_intent(&self, fence: Fence, id: IntentId) -> Result<(), IntentError> {
        self.drop_intents(fence, "id = ?", id).await
    }

    /// Drops what stands as the intent that is not completed, if there is one: the journal rows
    /// that it covered stay pending. For one whose object names turned out to be taken by other
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over.
    pub async fn clear_intent(&self, fence: Fence) -> Result<(), IntentError> {
        let every = IntentId(i64::MAX);
        self.drop_intents(fence, "NOT completed AND id <= ?", every)
            .await
    }

    async fn drop_intents(
        &self,
        fence: Fence,
        which: &'static str,
        id: IntentId,
    ) -> Result<(), IntentError> {
        let mut connection = self.deferring().await?;
        let mut transaction = fenced(&mut connection, fence).await?;
        delete(&mut transaction, which, id).await?;
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
        let mut connection = self.deferring().await?;
        let mut transaction = fenced(&mut connection, fence).await?;
        let serial = outcomes.iter().map(|(seq, _)| *seq).max();
        outcome::settle(&mut transaction, outcomes, serial.unwrap_or_default()).await?;
        transaction.commit().await?;
        self.flush().await?;
        self.signals().settled.send_replace(());
        Ok(())
    }
}

/// Begins a write that only the holder of the living fence may make.
pub(crate) async fn fenced(
    connection: &mut SqliteConnection,
    fence: Fence,
) -> Result<Transaction<'_, Sqlite>, IntentError> {
    let mut transaction = immediately(connection).await?;
    demand_alive(fence, lease::current(&mut transaction).await?)?;
    Ok(transaction)
}

/// Demands that the lease is still held by `fence`.
fn demand_alive(fence: Fence, current: u64) -> Result<(), IntentError> {
    if current == fence.number() {
        return Ok(());
    }
    Err(IntentError::Fenced {
        held: fence.number(),
        current,
    })
}

/// Says how objects of an intent are recorded, the first of them at the position `from`.
fn push_objects(
    statements: &mut QueryBuilder<Sqlite>,
    id: i64,
    from: usize,
    objects: &[(String, Vec<u8>)],
) {
    statements.push("INSERT INTO intent_object (intent, position, path, bytes) ");
    let numbered = (text::number(from as u64)..).zip(objects);
    statements.push_values(numbered, |mut row, (position, (path, bytes))| {
        row.push_bind(id)
            .push_bind(position)
            .push_bind(path.as_str())
            .push_bind(bytes.as_slice());
    });
}

/// The place of the next intent, if `fence` is alive, and the snapshot version of the one that is
/// not completed, if there is one.
async fn next(
    transaction: &mut SqliteConnection,
    fence: Fence,
) -> Result<(i64, Option<u64>), IntentError> {
    let (current, last, unfinished): (i64, i64, Option<i64>) = sqlx::query_as(
        "SELECT fence, (SELECT coalesce(max(id), 0) FROM intent), \
         (SELECT snapshot_version FROM intent WHERE NOT completed LIMIT 1) \
         FROM lease WHERE id = 1",
    )
    .fetch_one(transaction)
    .await?;
    demand_alive(fence, text::unsigned("fence", current)?)?;
    let unfinished = unfinished.map(|version| text::unsigned("snapshot version", version));
    // The highest number there is can only be somebody else's.
    let id = last.checked_add(1).ok_or_else(|| StoreError::Invalid {
        what: "intent",
        value: last.to_string(),
    })?;
    Ok((id, unfinished.transpose()?))
}

/// Deletes the intents that a condition about `id` takes.
async fn delete(
    transaction: &mut SqliteConnection,
    which: &'static str,
    id: IntentId,
) -> Result<(), StoreError> {
    let objects =
        format!("DELETE FROM intent_object WHERE intent IN (SELECT id FROM intent WHERE {which})");
    let rows = format!("DELETE FROM intent WHERE {which}");
    for statement in [objects, rows] {
        // Put together from our own words alone.
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(id.0)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}
