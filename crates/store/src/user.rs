//! The people of an index. They have no passwords: tokens are their only secrets.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::audit::{self, Actor, AuditAction, AuditEntry};
use crate::{Store, StoreError, TOKEN_PREFIX, text};

/// Longest name of a user, in bytes.
pub const MAX_USER_NAME_LEN: usize = 64;

/// The name of a user: lowercase letters, digits, `.`, `_` and `-`, with a letter or digit first.
/// It does not begin as tokens do, so that none is ever taken for a name and written down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

impl UserName {
    /// The user that the first run makes: whoever runs the index.
    pub fn operator() -> Self {
        Self("operator".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no user's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{}` is no name for a user: lowercase letters, digits, `.`, `_` and `-`, at most \
     {MAX_USER_NAME_LEN}, with a letter or digit first, and not {TOKEN_PREFIX}, as tokens begin",
    text.escape_debug()
)]
pub struct UserNameError {
    /// The text, as far as it can be shown.
    pub text: String,
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let any = |b: u8| first(b) || matches!(b, b'.' | b'_' | b'-');
        if text.starts_with(TOKEN_PREFIX) {
            let text = format!("{TOKEN_PREFIX}…");
            return Err(UserNameError { text });
        }
        let good = text.len() <= MAX_USER_NAME_LEN
            && text.bytes().next().is_some_and(first)
            && text.bytes().all(any);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            let text = text.chars().take(MAX_USER_NAME_LEN).collect();
            Err(UserNameError { text })
        }
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Their name.
    pub name: UserName,
    /// Since when they are a user.
    pub created_at: Timestamp,
    /// Since when none of their tokens is taken, if that is so.
    pub disabled_at: Option<Timestamp>,
}

/// Why nothing was changed about a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// A user of this name exists.
    #[error("a user named {name} exists")]
    Exists {
        /// The name.
        name: UserName,
    },
    /// There is no such user.
    #[error("there is no user named {name}")]
    Missing {
        /// The name.
        name: UserName,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for UserError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    ///
    /// [`UserError::Exists`] if the name is taken, also by a user who is disabled.
    pub async fn add_user(
        &self,
        name: &UserName,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), UserError> {
        let mut transaction = self.write().await?;
        let added = sqlx::query(
            "INSERT INTO person (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(name.as_str())
        .bind(at.to_string())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if added == 0 {
            return Err(UserError::Exists { name: name.clone() });
        }
        let entry = AuditEntry::new(at, by.clone(), AuditAction::UserAdded).of(name.as_str());
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Disables a user, so that none of their tokens is taken from now on, or enables them again.
    /// Whether that changed anything.
    ///
    /// # Errors
    ///
    /// [`UserError::Missing`] if there is no such user.
    pub async fn set_user_disabled(
        &self,
        name: &UserName,
        disabled: bool,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, UserError> {
        let mut transaction = self.write().await?;
        let is: Option<bool> =
            sqlx::query_scalar("SELECT disabled_at IS NOT NULL FROM person WHERE name = ?")
                .bind(name.as_str())
                .fetch_optional(&mut *transaction)
                .await?;
        let is = is.ok_or_else(|| UserError::Missing { name: name.clone() })?;
        if is == disabled {
            return Ok(false);
        }
        sqlx::query("UPDATE person SET disabled_at = ? WHERE name = ?")
            .bind(disabled.then(|| at.to_string()))
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await?;
        let action = if disabled {
            AuditAction::UserDisabled
        } else {
            AuditAction::UserEnabled
        };
        let entry = AuditEntry::new(at, by.clone(), action).of(name.as_str());
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whether there is such a user, disabled or not.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn has_user(&self, name: &UserName) -> Result<bool, StoreError> {
        let known = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM person WHERE name = ?)");
        Ok(known
            .bind(name.as_str())
            .fetch_one(&mut *self.reader().await?)
            .await?)
    }

    /// All users, by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        let rows: Vec<(String, String, Option<String>)> =
            sqlx::query_as("SELECT name, created_at, disabled_at FROM person ORDER BY name")
                .fetch_all(&mut *self.reader().await?)
                .await?;
        rows.into_iter()
            .map(|(name, created_at, disabled_at)| {
                Ok(UserRow {
                    name: text::parse("user name", &name)?,
                    created_at: text::parse("time", &created_at)?,
                    disabled_at: text::parse_optional("time", disabled_at.as_deref())?,
                })
            })
            .collect()
    }
}
