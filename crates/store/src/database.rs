//! A SQLite database of ours: opened, recognised, brought up to date, flushed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, Transaction};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::connections::{Connections, Lent};
use crate::{OpenError, StoreError};

/// How long a writer waits for the writer of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// `SQLITE_NOTADB`, <https://sqlite.org/rescode.html#notadb>.
const SQLITE_NOTADB: &str = "26";

/// What a database is, and how it came to be.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Marks the file as this kind of database in its header.
    pub(crate) application_id: i64,
    /// The migrations, in order; the schema number is how many have been applied.
    pub(crate) migrations: &'static [&'static str],
}

/// The connections to one database.
#[derive(Debug)]
pub(crate) struct Database {
    /// One connection: SQLite has one writer, and waiting for it here is fairer than its lock.
    /// What it commits is on the disk before the commit returns.
    pub(crate) writer: SqlitePool,
    /// One connection whose commits are in the log, in their order, and on the disk with the next
    /// flush of it: after a power failure they are there up to some point, and not beyond.
    deferring: Connections,
    log: Log,
    /// Connections that only read.
    readers: Connections,
}

impl Database {
    /// Opens the database at `path`, creates it if it is not there, and brings an older one up
    /// to date. Several processes may have it open.
    pub(crate) async fn open(
        path: &Path,
        schema: &Schema,
        readers: u32,
    ) -> Result<Self, OpenError> {
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
        migrate(&writer, path, schema).await?;
        flush_directory_entry(path.to_owned()).await?;
        let deferring = options.clone().synchronous(SqliteSynchronous::Normal);
        let deferring = Connections::open(deferring, 1).await.map_err(failed)?;
        let reading = options.pragma("query_only", "ON");
        let readers = Connections::open(reading, readers).await.map_err(failed)?;
        Ok(Self {
            writer,
            deferring,
            log: Log::of(path),
            readers,
        })
    }

    /// Whether the database at `path` has yet to be brought up to date; nothing is changed.
    pub(crate) async fn is_older(path: &Path, schema: &Schema) -> Result<bool, OpenError> {
        let failed = |source: sqlx::Error| open_error(path, source);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("query_only", "ON");
        let mut connection = options.connect().await.map_err(failed)?;
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)?;
        Ok(usize::try_from(found).is_ok_and(|found| found < schema.migrations.len()))
    }

    /// Begins a transaction that holds the write lock from its first statement, so that what
    /// it reads is still so when it writes. Dropped without `commit`, it changes nothing.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// The connection whose commits are durable after the next [`Database::flush`], or with the
    /// next commit that is. For [`immediately`].
    pub(crate) async fn deferring(&self) -> Result<Lent, StoreError> {
        Ok(self.deferring.lend().await?)
    }

    /// A connection that only reads.
    pub(crate) async fn reader(&self) -> Result<Lent, StoreError> {
        Ok(self.readers.lend().await?)
    }

    /// Makes everything durable that was committed until now, through whichever connection of
    /// whichever process. No other writer waits for it.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let flushed = if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            // A process of one thread waits for this anyway, and to hand it to another thread costs
            // as much as a quick disk does.
            self.log.flush()
        } else {
            let log = self.log.clone();
            tokio::task::spawn_blocking(move || log.flush())
                .await
                .unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)))
        };
        flushed.map_err(|source| StoreError::Flush { source })
    }

    /// Carries the whole log over into the database, and flushes both.
    ///
    /// A flush of the log that failed cannot be made good by another one: the system tells of an
    /// error once, and takes what it could not write for written. This writes all of it again, into
    /// another file.
    pub(crate) async fn carry_over(&self) -> Result<(), StoreError> {
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&self.writer)
            .await?;
        if busy != 0 {
            let source = std::io::ErrorKind::ResourceBusy.into();
            return Err(StoreError::Flush { source });
        }
        // That the log is empty now.
        self.flush().await
    }

    /// Closes the connections once their work is done.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.deferring.close().await;
        self.writer.close().await;
    }
}

/// Begins a transaction as [`Database::write`] does, on another connection.
pub(crate) async fn immediately(
    connection: &mut SqliteConnection,
) -> sqlx::Result<Transaction<'_, Sqlite>> {
    connection.begin_with("BEGIN IMMEDIATE").await
}

/// The write-ahead log, in which a transaction stands as soon as it is committed. A checkpoint
/// flushes it before it takes it over into the database, so what has left it is durable, too
/// (<https://sqlite.org/wal.html#performance_considerations>).
///
/// SQLite keeps no locks on this file, so that opening and closing it here releases none.
#[derive(Clone, Debug)]
struct Log(Arc<LogFile>);

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    /// Kept open: the file stays as long as the database is open, and a flush tells of every
    /// error since this was opened.
    file: OnceLock<File>,
}

impl Log {
    fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self(Arc::new(LogFile {
            path: path.into(),
            file: OnceLock::new(),
        }))
    }

    fn flush(&self) -> std::io::Result<()> {
        let LogFile { path, file } = &*self.0;
        let file = match file.get() {
            Some(file) => file,
            None => {
                let opened = File::open(path)?;
                // The name of a new log; SQLite sees to it where it is SQLite that flushes.
                flush_parent(path)?;
                file.get_or_init(|| opened)
            }
        };
        file.sync_data()
    }
}

/// Writes the state of the database at `from`, as it is at one moment, into a new file, while others
/// use it. The copy is on the disk when this returns.
///
/// # Errors
///
/// [`OpenError`] if there is no database, if it fails, or if `to` exists.
pub async fn copy_database(from: &Path, to: &Path) -> Result<(), OpenError> {
    let failed = |source: sqlx::Error| open_error(from, source);
    let options = SqliteConnectOptions::new()
        .filename(from)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("trusted_schema", "OFF");
    let connection = pool(1).connect_with(options).await.map_err(failed)?;
    let copied = sqlx::query("VACUUM INTO ?")
        .bind(to.to_string_lossy().into_owned())
        .execute(&connection)
        .await;
    connection.close().await;
    copied.map_err(failed)?;
    let path = to.to_owned();
    let flushed = tokio::task::spawn_blocking(move || File::open(path)?.sync_all())
        .await
        .unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
    flushed.map_err(|source| OpenError::Flush {
        path: to.to_owned(),
        source,
    })?;
    flush_directory_entry(to.to_owned()).await
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn migrate(writer: &SqlitePool, path: &Path, schema: &Schema) -> Result<(), OpenError> {
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
    if !empty && application != schema.application_id {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    let supported = u32::try_from(schema.migrations.len()).unwrap_or(u32::MAX);
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

    for (number, migration) in (1_u32..).zip(schema.migrations).skip(found as usize) {
        sqlx::raw_sql(*migration)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        tracing::info!(schema = number, "migrated the database");
    }
    // A pragma takes no bound parameters; both values are our own numbers.
    let header = format!(
        "PRAGMA application_id = {}; PRAGMA user_version = {supported};",
        schema.application_id
    );
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
        move || flush_parent(&path)
    })
    .await
    .unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
    flushed.map_err(|source| OpenError::Flush { path, source })
}

fn flush_parent(path: &Path) -> std::io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
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
