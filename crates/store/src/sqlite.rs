//! The SQLite database: how it is opened, migrated and flushed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use crate::signals::Signals;
use crate::{OpenError, StoreError};

/// The migrations, in order; the schema number is how many have been applied.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_catalogue.sql"),
    include_str!("migrations/0002_changes.sql"),
    include_str!("migrations/0003_serials.sql"),
    include_str!("migrations/0004_people.sql"),
];

/// Marks the database as ours in the file's header ("WMRK").
const APPLICATION_ID: i64 = 0x574d_524b;

/// Connections that only read.
const READERS: u32 = 4;

/// How long a writer waits for the writer of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// `SQLITE_NOTADB`, <https://sqlite.org/rescode.html#notadb>.
const SQLITE_NOTADB: &str = "26";

/// A handle on the database; clones share connections and wake one another.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// One connection: SQLite has one writer, and waiting for it here is fairer than its lock.
    writer: SqlitePool,
    readers: SqlitePool,
    signals: Signals,
}

/// The two settings that decide whether a commit survives a power loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// `wal`: commits append to the write-ahead log.
    pub journal_mode: String,
    /// 2 (`FULL`): the log is flushed to the disk before a commit returns.
    pub synchronous: i64,
}

impl Store {
    /// Opens the database at `path`, creates it if it is not there, and brings an older one up
    /// to date. Several processes may have it open.
    ///
    /// # Errors
    ///
    /// [`OpenError::Newer`] if a later version of Wheelmark has written it.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source: sqlx::Error| open_error(path, source);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .pragma("trusted_schema", "OFF");

        let writer = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        migrate(&writer, path).await?;
        flush_directory_entry(path.to_owned()).await?;
        let readers = pool(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(failed)?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers,
                signals: Signals::new(),
            }),
        })
    }

    /// How this handle's writer reaches the disk, as the database itself tells it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        let journal_mode = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&self.inner.writer)
            .await?;
        let synchronous = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&self.inner.writer)
            .await?;
        Ok(Durability {
            journal_mode,
            synchronous,
        })
    }

    /// Closes the connections once their work is done. Handles that are left report errors.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// Whether something could be written now: begins a transaction and drops it.
    ///
    /// # Errors
    ///
    /// When the database fails, cannot be written to, or is held by another writer for too long.
    pub async fn try_to_write(&self) -> Result<(), StoreError> {
        Ok(self.write().await?.rollback().await?)
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.inner.signals
    }

    /// Begins a transaction that holds the write lock from its first statement, so that what
    /// it reads is still so when it writes. Dropped without `commit`, it changes nothing.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.inner.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let failed = |source: sqlx::Error| open_error(path, source);
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;

    let empty = tables == 0 && found == 0 && application == 0;
    if !empty && application != APPLICATION_ID {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    let supported = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    if found > supported {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            supported,
        });
    }
    if found == supported {
        return Ok(());
    }

    for (number, migration) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        sqlx::raw_sql(*migration)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        tracing::info!(schema = number, "migrated the database");
    }
    // A pragma takes no bound parameters; both values are our own numbers.
    let header =
        format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {supported};");
    sqlx::raw_sql(sqlx::AssertSqlSafe(header))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// SQLite flushes the file; the name of a new file lives in its directory.
async fn flush_directory_entry(path: PathBuf) -> Result<(), OpenError> {
    let flushed = tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            std::fs::File::open(parent)?.sync_all()
        }
    })
    .await
    .unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
    flushed.map_err(|source| OpenError::Flush { path, source })
}

fn open_error(path: &Path, source: sqlx::Error) -> OpenError {
    let foreign = source
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == SQLITE_NOTADB);
    let path = path.to_owned();
    if foreign {
        OpenError::Foreign { path }
    } else {
        OpenError::Database { path, source }
    }
}
