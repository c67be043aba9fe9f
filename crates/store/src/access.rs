//! Whether reading is open to everybody.

use jiff::Timestamp;

use crate::audit::{self, Actor, AuditAction, AuditEntry};
use crate::{Store, StoreError};

/// The setting's name.
const ACCESS: &str = "access";

/// Who may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody who can reach the index.
    #[default]
    Public,
    /// Who has a token of it.
    Private,
}

impl Access {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

impl Store {
    /// Who may read; everybody, unless it was said otherwise.
    ///
    /// # Errors
    ///
    /// When the database fails, or holds something else.
    pub async fn access(&self) -> Result<Access, StoreError> {
        let value: Option<String> = sqlx::query_scalar("SELECT value FROM setting WHERE name = ?")
            .bind(ACCESS)
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        match value.as_deref() {
            None => Ok(Access::default()),
            Some("public") => Ok(Access::Public),
            Some("private") => Ok(Access::Private),
            Some(other) => Err(StoreError::Invalid {
                what: "access",
                value: other.to_owned(),
            }),
        }
    }

    /// Says who may read from now on. Whether that changed anything.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn set_access(
        &self,
        access: Access,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.access().await.ok() == Some(access) {
            return Ok(false);
        }
        let mut transaction = self.write().await?;
        sqlx::query(
            "INSERT INTO setting (name, value) VALUES (?, ?) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(ACCESS)
        .bind(access.as_str())
        .execute(&mut *transaction)
        .await?;
        let entry =
            AuditEntry::new(at, by.clone(), AuditAction::AccessChanged).saying(access.as_str());
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
