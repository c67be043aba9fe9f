//! Connections that are lent and come back.
//!
//! They stand in for a pool of sqlx's where much is asked. Such a pool sends a message to the thread
//! of a connection after each use, from a task of its own, to learn whether it is still there: that
//! costs as much as most questions do.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a connection counts as sound. One whose thread has ended is replaced within that time.
const SOUND_FOR: Duration = Duration::from_secs(1);

/// A few connections to one database, each opened when it is first needed.
#[derive(Clone, Debug)]
pub(crate) struct Connections(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: SqliteConnectOptions,
    idle: Mutex<VecDeque<Known>>,
    places: Arc<Semaphore>,
    most: u32,
}

/// A connection, and when it was last known to be sound.
#[derive(Debug)]
struct Known {
    connection: SqliteConnection,
    sound_at: Instant,
}

/// A connection that comes back when it is dropped. What was begun on it and is not committed has
/// been asked to be rolled back by then, and the thread of a connection goes by the order of what
/// it is asked.
#[derive(Debug)]
pub(crate) struct Lent {
    /// None only while it is dropped.
    known: Option<Known>,
    from: Arc<Inner>,
    _place: OwnedSemaphorePermit,
}

impl Connections {
    /// Opens the first of at most `most` connections.
    pub(crate) async fn open(options: SqliteConnectOptions, most: u32) -> sqlx::Result<Self> {
        let connections = Self(Arc::new(Inner {
            options,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(most as usize)),
            most,
        }));
        drop(connections.lend().await?);
        Ok(connections)
    }

    /// Lends a connection; waits where all are lent.
    pub(crate) async fn lend(&self) -> sqlx::Result<Lent> {
        let Self(inner) = self;
        let place = Arc::clone(&inner.places).acquire_owned().await;
        let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        // The one that was used last: what it has cached is at hand.
        let idle = inner.idle().pop_back();
        let known = match idle {
            Some(known) if known.sound_at.elapsed() < SOUND_FOR => known,
            Some(mut known) => match known.connection.ping().await {
                Ok(()) => Known::now(known.connection),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the database is replaced");
                    Known::now(inner.options.connect().await?)
                }
            },
            None => Known::now(inner.options.connect().await?),
        };
        Ok(Lent {
            known: Some(known),
            from: Arc::clone(inner),
            _place: place,
        })
    }

    /// Closes the connections once all have come back; none is lent any more.
    pub(crate) async fn close(&self) {
        let Self(inner) = self;
        let all = inner.places.acquire_many(inner.most).await;
        inner.places.close();
        let idle = std::mem::take(&mut *inner.idle());
        for known in idle {
            if let Err(error) = known.connection.close().await {
                tracing::debug!(%error, "a connection to the database was gone already");
            }
        }
        drop(all);
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Known>> {
        // Every change is complete in itself.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn now(connection: SqliteConnection) -> Self {
        Self {
            connection,
            sound_at: Instant::now(),
        }
    }
}

impl Deref for Lent {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        let known = self.known.as_ref();
        &known.expect("it is there until it is dropped").connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        let known = self.known.as_mut();
        &mut known.expect("it is there until it is dropped").connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // The place is given back after this, so whoever gets it finds the connection.
        let known = self.known.take();
        self.from.idle().extend(known);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    async fn of(most: u32) -> (tempfile::TempDir, Connections) {
        let home = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(home.path().join("a.sqlite"))
            .create_if_missing(true);
        let connections = Connections::open(options, most).await.unwrap();
        (home, connections)
    }

    #[tokio::test]
    async fn what_is_dropped_before_it_is_committed_is_not_done() {
        let (_home, connections) = of(1).await;
        let mut lent = connections.lend().await.unwrap();
        let mut transaction = lent.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("CREATE TABLE t (n)")
            .execute(&mut *transaction)
            .await
            .unwrap();
        drop(transaction);
        drop(lent);
        let mut lent = connections.lend().await.unwrap();
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master")
            .fetch_one(&mut *lent)
            .await
            .unwrap();
        assert_eq!(tables, 0);
        lent.begin_with("BEGIN IMMEDIATE").await.unwrap();
    }

    #[tokio::test]
    async fn one_waits_until_another_comes_back_and_none_is_lent_after_the_end() {
        let (_home, connections) = of(2).await;
        let (first, second) = (connections.lend().await, connections.lend().await);
        let third = tokio::spawn({
            let connections = connections.clone();
            async move { connections.lend().await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first.unwrap());
        third.await.unwrap().unwrap();
        drop(second.unwrap());
        assert_eq!(connections.0.idle().len(), 2, "each came back");
        connections.close().await;
        assert!(matches!(
            connections.lend().await,
            Err(sqlx::Error::PoolClosed)
        ));
    }
}
