//! How tokens are made, listed and ended.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use wheelmark_tuf::Sha256;

use super::{NewToken, Scope, TokenError, TokenId, TokenRow, finder};
use crate::audit::{self, Actor, AuditAction, AuditEntry};
use crate::{Store, StoreError, UserName, text};

impl Store {
    /// Adds the token that the first run makes: the operator's, for everything. The operator
    /// becomes a user with it.
    ///
    /// # Errors
    ///
    /// [`TokenError::Exists`] if the id is taken.
    pub async fn add_operator_token(
        &self,
        id: &str,
        secret_sha256: Sha256,
        at: Timestamp,
        note: &str,
    ) -> Result<(), TokenError> {
        let user = UserName::operator();
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO person (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(user.as_str())
            .bind(at.to_string())
            .execute(&mut *transaction)
            .await?;
        let token = NewToken {
            id: id.to_owned(),
            user,
            scope: Scope::Admin,
            secret_sha256,
            expires_at: None,
            note: note.to_owned(),
        };
        insert(&mut transaction, &token, at).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Adds a token of a user.
    ///
    /// # Errors
    ///
    /// [`TokenError::Exists`] if the id is taken, [`TokenError::NoUser`] if there is no such user.
    pub async fn create_token(
        &self,
        token: &NewToken,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), TokenError> {
        let mut transaction = self.write().await?;
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM person WHERE name = ?)")
            .bind(token.user.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        if !known {
            return Err(TokenError::NoUser {
                name: token.user.clone(),
            });
        }
        insert(&mut transaction, token, at).await?;
        let entry = AuditEntry {
            project: token.scope.project().cloned(),
            ..AuditEntry::new(at, by.clone(), AuditAction::TokenCreated)
                .of(token.id.as_str())
                .saying(format!("for {}: {}", token.user, token.scope))
        };
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends a token for good. Whether it was not ended already.
    ///
    /// # Errors
    ///
    /// [`TokenError::Missing`] if there is none of this name.
    pub async fn revoke_token(
        &self,
        id: &str,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, TokenError> {
        let mut transaction = self.write().await?;
        let row: Option<(String, bool)> =
            sqlx::query_as("SELECT person, revoked_at IS NOT NULL FROM token WHERE id = ?")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
        let (user, revoked) = row.ok_or_else(|| TokenError::Missing { id: id.to_owned() })?;
        if revoked {
            return Ok(false);
        }
        sqlx::query("UPDATE token SET revoked_at = ? WHERE id = ?")
            .bind(at.to_string())
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let entry = AuditEntry::new(at, by.clone(), AuditAction::TokenRevoked)
            .of(id)
            .saying(format!("of {user}"));
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// All tokens, by user and age.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        type Columns = (
            String,
            String,
            String,
            Option<String>,
            String,
            Option<String>,
            Option<String>,
            Option<String>,
            String,
        );
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT id, person, scope, project, created_at, expires_at, last_used_at, revoked_at, \
             note FROM token ORDER BY person, created_at, id",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let rows = rows.into_iter();
        rows.map(
            |(id, user, scope, project, created, expires, used, revoked, note)| {
                Ok(TokenRow {
                    id: TokenId(id),
                    user: text::parse("user name", &user)?,
                    scope: Scope::read(&scope, project.as_deref())?,
                    created_at: text::parse("time", &created)?,
                    expires_at: text::parse_optional("time", expires.as_deref())?,
                    last_used_at: text::parse_optional("time", used.as_deref())?,
                    revoked_at: text::parse_optional("time", revoked.as_deref())?,
                    note,
                })
            },
        )
        .collect()
    }
}

/// Writes a token down.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    token: &NewToken,
    at: Timestamp,
) -> Result<(), TokenError> {
    let digest = token.secret_sha256.to_string();
    let added = sqlx::query(
        "INSERT INTO token (id, person, scope, project, finder, secret_sha256, created_at, \
         expires_at, note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(token.id.as_str())
    .bind(token.user.as_str())
    .bind(token.scope.name())
    .bind(token.scope.projects_text())
    .bind(finder(&digest))
    .bind(digest.as_str())
    .bind(at.to_string())
    .bind(token.expires_at.map(|at| at.to_string()))
    .bind(token.note.as_str())
    .execute(connection)
    .await?
    .rows_affected();
    if added == 0 {
        return Err(TokenError::Exists {
            id: token.id.clone(),
        });
    }
    Ok(())
}
