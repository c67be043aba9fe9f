//! The lease of the one snapshot process, and the fence that outlives it.

use std::fmt;

use sqlx::SqliteConnection;

use crate::{Store, StoreError, text};

/// The right to record what is published next. Each lease has a higher number than all before
/// it, and from the moment it is taken the older ones are dead, whether or not their holders
/// know. Only [`Store::acquire_lease`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(u64);

impl Fence {
    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that no counting comes to: one above it, or below none, is somebody else's, and the
/// counting begins anew. The lock on the tree keeps two processes apart even then.
const LAST_COUNTED: i64 = 1 << 53;

impl Store {
    /// Takes the lease for `holder` (a name for the log) and ends the one before it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn acquire_lease(&self, holder: &str) -> Result<Fence, StoreError> {
        let mut transaction = self.write().await?;
        let fence: i64 = sqlx::query_scalar(
            "INSERT INTO lease (id, fence, holder) VALUES (1, 1, ?) ON CONFLICT (id) DO UPDATE \
             SET fence = CASE WHEN fence BETWEEN 0 AND ? THEN fence + 1 ELSE 1 END, \
             holder = excluded.holder RETURNING fence",
        )
        .bind(holder)
        .bind(LAST_COUNTED)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Fence(text::unsigned("fence", fence)?))
    }
}

/// The number of the fence that is alive, read inside `transaction`.
pub(crate) async fn current(transaction: &mut SqliteConnection) -> Result<u64, StoreError> {
    let fence: i64 = sqlx::query_scalar("SELECT fence FROM lease WHERE id = 1")
        .fetch_one(&mut *transaction)
        .await?;
    text::unsigned("fence", fence)
}
