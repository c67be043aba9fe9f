//! What a text that somebody presents as a token is.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use subtle::ConstantTimeEq;
use wheelmark_tuf::Sha256;

use super::{Bearer, Checked, Ended, LAST_USED_STEP, Scope, TOKEN_PREFIX, TokenId, finder};
use crate::database::immediately;
use crate::{Store, StoreError, UserName, text};

/// The longest text that is looked at as a token, in bytes; ours have 68.
const MAX_PRESENTED: usize = 256;

impl Store {
    /// What `presented` is at this moment, if it is one of ours.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn check_token(
        &self,
        presented: &str,
        now: Timestamp,
    ) -> Result<Checked, StoreError> {
        if presented.len() > MAX_PRESENTED || !presented.starts_with(TOKEN_PREFIX) {
            return Ok(Checked::Unknown);
        }
        let digest = Sha256::of(presented.as_bytes()).to_string();
        let candidates = sqlx::query(
            "SELECT id, secret_sha256, person.name AS user, scope, project AS only_project, \
             expires_at, last_used_at, revoked_at, disabled_at, \
             EXISTS (SELECT 1 FROM publisher WHERE publisher.id = person.name) AS of_publisher \
             FROM token JOIN person ON person.name = token.person WHERE finder = ?",
        )
        .bind(finder(&digest))
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut found = None;
        for row in &candidates {
            let stored: &str = row.try_get("secret_sha256")?;
            if bool::from(stored.as_bytes().ct_eq(digest.as_bytes())) {
                found = Some(row);
            }
        }
        let Some(row) = found else {
            return Ok(Checked::Unknown);
        };
        let (id, standing) = (TokenId(row.try_get("id")?), Standing::read(row)?);
        if let Some(ended) = standing.ended(&id, now) {
            return Ok(Checked::Ended(ended));
        }
        Ok(Checked::Good(Bearer {
            id,
            user: standing.user,
            scope: standing.scope,
            is_publisher: row.try_get("of_publisher")?,
            last_used_at: standing.last_used_at,
        }))
    }

    /// Whoever has the token of this name, if it is good at this moment: for what was begun with it,
    /// and is finished later.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn bearer_of(&self, id: &str, now: Timestamp) -> Result<Option<Bearer>, StoreError> {
        let row = sqlx::query(
            "SELECT person.name AS user, scope, project AS only_project, expires_at, \
             last_used_at, revoked_at, disabled_at, \
             EXISTS (SELECT 1 FROM publisher WHERE publisher.id = person.name) AS of_publisher \
             FROM token JOIN person ON person.name = token.person WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(&mut *self.reader().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (id, standing) = (TokenId::stored(id), Standing::read(&row)?);
        if standing.ended(&id, now).is_some() {
            return Ok(None);
        }
        Ok(Some(Bearer {
            id,
            user: standing.user,
            scope: standing.scope,
            is_publisher: row.try_get("of_publisher")?,
            last_used_at: standing.last_used_at,
        }))
    }

    /// Notes that a token was used, unless a use not long before is on record. It is durable with
    /// the next flush.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn note_use(&self, bearer: &Bearer, now: Timestamp) -> Result<(), StoreError> {
        // Of many who found it old at the same time, one writes.
        let long_ago = now.checked_sub(LAST_USED_STEP).unwrap_or(now);
        let mut connection = self.deferring().await?;
        let mut transaction = immediately(&mut connection).await?;
        sqlx::query(
            "UPDATE token SET last_used_at = ? \
             WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)",
        )
        .bind(now.to_string())
        .bind(bearer.id().as_str())
        .bind(long_ago.to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// What is on record about a token.
pub(crate) struct Standing {
    user: UserName,
    scope: Scope,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    disabled_at: Option<Timestamp>,
}

impl Standing {
    /// Reads the columns of a token and its person.
    pub(crate) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        let text_of = |column| row.try_get::<Option<&str>, _>(column);
        Ok(Self {
            user: text::parse("user name", row.try_get("user")?)?,
            scope: Scope::read(row.try_get("scope")?, text_of("only_project")?)?,
            expires_at: text::parse_optional("time", text_of("expires_at")?)?,
            last_used_at: text::parse_optional("time", text_of("last_used_at")?)?,
            revoked_at: text::parse_optional("time", text_of("revoked_at")?)?,
            disabled_at: text::parse_optional("time", text_of("disabled_at")?)?,
        })
    }

    /// Why the token is not good at this moment.
    pub(crate) fn ended(&self, id: &TokenId, now: Timestamp) -> Option<Ended> {
        let (id, user) = (id.clone(), self.user.clone());
        if let Some(at) = self.revoked_at {
            return Some(Ended::Revoked { id, user, at });
        }
        if let Some(at) = self.disabled_at {
            return Some(Ended::Disabled { id, user, at });
        }
        let over = self.expires_at.filter(|at| *at <= now)?;
        Some(Ended::Expired { id, user, at: over })
    }
}
