//! The store's SQLite database, and how it reaches the disk.

use std::path::Path;
use std::sync::Arc;

use sqlx::{Sqlite, Transaction};

use crate::connections::Lent;
use crate::database::{Database, Schema};
use crate::signals::Signals;
use crate::{OpenError, StoreError};

/// The migrations, in order; the schema number is how many have been applied.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_catalogue.sql"),
    include_str!("migrations/0002_changes.sql"),
    include_str!("migrations/0003_serials.sql"),
    include_str!("migrations/0004_people.sql"),
    include_str!("migrations/0005_status.sql"),
    include_str!("migrations/0006_project_limits.sql"),
    include_str!("migrations/0007_signatures.sql"),
    include_str!("migrations/0008_kept_records.sql"),
    include_str!("migrations/0009_certificates.sql"),
    include_str!("migrations/0010_publishers.sql"),
    include_str!("migrations/0011_provenance.sql"),
    include_str!("migrations/0012_claims.sql"),
    include_str!("migrations/0013_keys_of_claims.sql"),
];

/// The catalogue ("WMRK").
const SCHEMA: Schema = Schema {
    application_id: 0x574d_524b,
    migrations: MIGRATIONS,
};

/// Connections that only read.
const READERS: u32 = 4;

/// A handle on the database; clones share connections and wake one another.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
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
        Ok(Self {
            inner: Arc::new(Inner {
                database: Database::open(path, &SCHEMA, READERS).await?,
                signals: Signals::new(),
            }),
        })
    }

    /// Whether [`Store::open`] would bring the database at `path` up to date: an older version of
    /// Wheelmark, which may still have it open, would not understand it any more.
    ///
    /// # Errors
    ///
    /// When there is no database, or it cannot be read.
    pub async fn is_older(path: &Path) -> Result<bool, OpenError> {
        Database::is_older(path, &SCHEMA).await
    }

    /// How this handle's writer reaches the disk, as the database itself tells it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        let journal_mode = sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&self.inner.database.writer)
            .await?;
        let synchronous = sqlx::query_scalar("PRAGMA synchronous")
            .fetch_one(&self.inner.database.writer)
            .await?;
        Ok(Durability {
            journal_mode,
            synchronous,
        })
    }

    /// Closes the connections once their work is done. Handles that are left report errors.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    /// Whether something could be written now: begins a transaction and drops it.
    ///
    /// # Errors
    ///
    /// When the database fails, cannot be written to, or is held by another writer for too long.
    pub async fn try_to_write(&self) -> Result<(), StoreError> {
        Ok(self.write().await?.rollback().await?)
    }

    /// Makes everything durable that was committed until now, through this handle or any other:
    /// what [`Store::admit_from`] and [`Store::complete_intent`] leave to a later flush.
    ///
    /// # Errors
    ///
    /// [`StoreError::Flush`]: then nobody knows what is durable.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.inner.database.flush().await
    }

    /// Makes everything durable that can be read now, also where an earlier flush failed, in this
    /// process or another: for whoever takes up what stands here.
    ///
    /// # Errors
    ///
    /// [`StoreError::Flush`], also where somebody else uses the database all the time.
    pub async fn carry_over(&self) -> Result<(), StoreError> {
        self.inner.database.carry_over().await
    }

    pub(crate) async fn reader(&self) -> Result<Lent, StoreError> {
        self.inner.database.reader().await
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.inner.signals
    }

    /// Begins a transaction that holds the write lock from its first statement.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.inner.database.write().await
    }

    /// The connection whose commits are durable after the next flush.
    pub(crate) async fn deferring(&self) -> Result<Lent, StoreError> {
        self.inner.database.deferring().await
    }
}
