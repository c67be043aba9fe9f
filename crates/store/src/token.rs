//! Upload tokens: kept as digests, compared in constant time.

use std::fmt;

use jiff::Timestamp;
use subtle::ConstantTimeEq;
use wheelmark_tuf::Sha256;

use crate::{Store, StoreError};

/// What every token begins with, so that people and secret scanners recognise one.
pub const TOKEN_PREFIX: &str = "wmk_";

/// The longest text that is looked at as a token, in bytes; ours have 68.
const MAX_PRESENTED: usize = 256;

/// Hex digits of the digest that find the candidate rows.
const FINDER_DIGITS: usize = 16;

/// The name of a token, which is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a token was not added.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A token of this name exists.
    #[error("a token named {id:?} exists")]
    Exists {
        /// The name.
        id: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The text of a token made of 32 random bytes: the prefix and 64 lowercase hex digits.
pub fn format_token(secret: &[u8; 32]) -> String {
    format!("{TOKEN_PREFIX}{}", hex::encode(secret))
}

impl Store {
    /// Adds a token. `secret_sha256` is the SHA-256 of its whole text; the text itself is not
    /// kept. The `note` is for people.
    ///
    /// # Errors
    ///
    /// [`TokenError::Exists`] if the id is taken.
    pub async fn add_token(
        &self,
        id: &str,
        secret_sha256: Sha256,
        created_at: Timestamp,
        note: &str,
    ) -> Result<(), TokenError> {
        let digest = secret_sha256.to_string();
        let mut transaction = self.write().await?;
        let added = sqlx::query(
            "INSERT INTO token (id, finder, secret_sha256, created_at, note) \
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(finder(&digest))
        .bind(digest.as_str())
        .bind(created_at.to_string())
        .bind(note)
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::from)?
        .rows_affected();
        transaction.commit().await.map_err(StoreError::from)?;
        if added == 0 {
            return Err(TokenError::Exists { id: id.to_owned() });
        }
        Ok(())
    }

    /// The token that `presented` is, if it is one of ours.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn check_token(&self, presented: &str) -> Result<Option<TokenId>, StoreError> {
        if presented.len() > MAX_PRESENTED || !presented.starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        let digest = Sha256::of(presented.as_bytes()).to_string();
        let candidates: Vec<(String, String)> =
            sqlx::query_as("SELECT id, secret_sha256 FROM token WHERE finder = ?")
                .bind(finder(&digest))
                .fetch_all(self.readers())
                .await?;
        let mut found = None;
        for (id, stored) in candidates {
            if bool::from(stored.as_bytes().ct_eq(digest.as_bytes())) {
                found = Some(TokenId(id));
            }
        }
        Ok(found)
    }
}

fn finder(digest: &str) -> &str {
    digest.get(..FINDER_DIGITS).unwrap_or(digest)
}
