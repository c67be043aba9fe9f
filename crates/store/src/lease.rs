//! The lease of the one snapshot process, and the fence that outlives it.

use std::fmt;

use sqlx::{Sqlite, Transaction};

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

impl Store {
    /// Takes the lease for `holder` (a name for the log) and ends the one before it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn acquire_lease(&self, holder: &str) -> Result<Fence, StoreError> {
        let mut transaction = self.write().await?;
        let fence: i64 = sqlx::query_scalar(
            "UPDATE lease SET fence = fence + 1, holder = ? WHERE id = 1 RETURNING fence",
        )
        .bind(holder)
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Fence(text::unsigned("fence", fence)?))
    }
}

/// The number of the fence that is alive, read inside `transaction`.
pub(crate) async fn current(
    transaction: &mut Transaction<'static, Sqlite>,
) -> Result<u64, StoreError> {
    let fence: i64 = sqlx::query_scalar("SELECT fence FROM lease WHERE id = 1")
        .fetch_one(&mut **transaction)
        .await?;
    text::unsigned("fence", fence)
}
