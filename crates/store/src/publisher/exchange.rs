//! An identity token exchanged for an upload token: once, and all of it in one transaction.

use std::net::IpAddr;

use jiff::Timestamp;
use sqlx::SqliteConnection;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::{Pending, PublisherRow, account_of, add_user, is_user, maintain, publisher_rows, read};
use crate::audit::{self, Actor, AuditAction, AuditEntry};
use crate::role::{self, Role};
use crate::token;
use crate::{NewToken, Scope, Store, StoreError, TokenError, TokenId, UserName};

/// An identity token that the server has verified, and the publishers whose claims it has.
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// What tells it from all others of its issuer.
    pub digest: Sha256,
    /// When it cannot be presented any more.
    pub until: Timestamp,
    /// The number of the account that it is of, where the issuer says it.
    pub account: Option<&'a str>,
    /// The publishers that it is of.
    pub publishers: &'a [PublisherRow],
    /// What is to be given for it.
    pub token: MintedToken,
    /// What the token says about where it comes from, for the audit log.
    pub shown: &'a str,
}

/// The upload token that is to be.
#[derive(Clone, Debug)]
pub struct MintedToken {
    /// What its name ends in.
    pub distinct: String,
    /// The SHA-256 of its whole text; the text itself is not kept.
    pub secret_sha256: Sha256,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// What was given for an identity token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The upload token.
    pub token: TokenId,
    /// The user that it is of.
    pub user: UserName,
    /// The projects that it uploads to.
    pub projects: Vec<ProjectName>,
    /// Those of them that were made with it.
    pub made: Vec<ProjectName>,
}

/// Why a publisher whose claims are right was passed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Passed {
    /// It is listed no longer.
    #[error("it was removed from {project} in this moment")]
    Removed {
        /// The project.
        project: ProjectName,
    },
    /// The account of that name is another one.
    #[error(
        "the account has the number {presented}, and {project} trusts the one with the number \
         {listed}, which had this name before"
    )]
    OtherAccount {
        /// The project.
        project: ProjectName,
        /// The number that the project lists.
        listed: String,
        /// The number in the token.
        presented: String,
    },
    /// The project was made by somebody else meanwhile.
    #[error("{project} was made by somebody else before this publisher was first used")]
    Taken {
        /// The project.
        project: ProjectName,
    },
}

/// Why an identity token was not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It was exchanged before.
    #[error("it was exchanged before")]
    Replayed,
    /// None of its publishers may.
    #[error("none of its publishers may upload")]
    Passed(Vec<Passed>),
    /// The user that uploads for it was disabled.
    #[error("the user {user}, who uploads for it, is disabled")]
    Disabled {
        /// The user.
        user: UserName,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ExchangeError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

impl Store {
    /// Gives an upload token for an identity token: for the projects of its publishers, and no
    /// others. A project that does not exist yet is made. Of two who present the same identity
    /// token, one gets something.
    ///
    /// # Errors
    ///
    /// [`ExchangeError::Replayed`], [`ExchangeError::Passed`], [`ExchangeError::Disabled`]: then
    /// nothing was changed, and nothing is remembered.
    pub async fn exchange(
        &self,
        exchange: &Exchange<'_>,
        address: Option<IpAddr>,
        at: Timestamp,
    ) -> Result<Exchanged, ExchangeError> {
        let mut transaction = self.write().await?;
        remember(&mut transaction, exchange, at).await?;
        let mut user: Option<UserName> = None;
        let (mut projects, mut made, mut passed) = (Vec::new(), Vec::new(), Vec::new());
        for listed in exchange.publishers {
            // One identity has one name, whatever projects list it.
            if user.as_ref().is_some_and(|user| *user != listed.id)
                || projects.contains(&listed.project)
            {
                continue;
            }
            match take_up(&mut transaction, listed, exchange.account, at).await? {
                Ok(was_made) => {
                    user = Some(listed.id.clone());
                    projects.push(listed.project.clone());
                    made.extend(was_made.then(|| listed.project.clone()));
                }
                Err(why) => passed.push(why),
            }
        }
        let Some(user) = user else {
            return Err(ExchangeError::Passed(passed));
        };
        let disabled: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM person WHERE name = ? AND disabled_at IS NOT NULL)",
        )
        .bind(user.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        if disabled {
            return Err(ExchangeError::Disabled { user });
        }
        let token = mint(&mut transaction, exchange, &user, &projects, address, at).await?;
        for project in &made {
            let entry = AuditEntry::new(at, token.actor.clone(), AuditAction::ProjectCreated)
                .in_project(project)
                .from_address(address)
                .saying("by the first use of its publisher");
            audit::append(&mut transaction, &entry).await?;
        }
        transaction.commit().await?;
        Ok(Exchanged {
            token: token.id,
            user,
            projects,
            made,
        })
    }

    /// Ends the upload token of this text if it was given for an identity token. Whether it was.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn burn(&self, presented: &str, at: Timestamp) -> Result<bool, StoreError> {
        let crate::Checked::Good(bearer) = self.check_token(presented, at).await? else {
            return Ok(false);
        };
        let mut transaction = self.write().await?;
        let burnt = sqlx::query(
            "UPDATE token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL \
             AND EXISTS (SELECT 1 FROM publisher WHERE publisher.id = token.person)",
        )
        .bind(at.to_string())
        .bind(bearer.id().as_str())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        transaction.commit().await?;
        Ok(burnt > 0)
    }
}

/// Writes down that an identity token was presented, and forgets those that cannot be any more.
async fn remember(
    connection: &mut SqliteConnection,
    exchange: &Exchange<'_>,
    at: Timestamp,
) -> Result<(), ExchangeError> {
    sqlx::query("DELETE FROM exchanged WHERE until < ?")
        .bind(at.as_second())
        .execute(&mut *connection)
        .await?;
    let new = sqlx::query(
        "INSERT INTO exchanged (issuer, digest, until) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(exchange.issuer)
    .bind(exchange.digest.to_string())
    .bind(exchange.until.as_second())
    .execute(connection)
    .await?
    .rows_affected();
    if new == 0 {
        return Err(ExchangeError::Replayed);
    }
    Ok(())
}

/// Uses a publisher, as it stands at this moment; whether its project was made with it.
async fn take_up(
    connection: &mut SqliteConnection,
    listed: &PublisherRow,
    account: Option<&str>,
    at: Timestamp,
) -> Result<Result<bool, Passed>, StoreError> {
    let project = &listed.project;
    let row = sqlx::query(publisher_rows!(
        "WHERE project = ? AND issuer = ? AND identity = ? AND may_upload"
    ))
    .bind(project.as_str())
    .bind(listed.issuer.as_str())
    .bind(listed.identity.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let row = row.as_ref().map(read).transpose()?;
    let removed = || Passed::Removed {
        project: project.clone(),
    };
    let Some(row) = row else {
        return Ok(Err(removed()));
    };
    // The number that the identity had first counts for all that list it, also later.
    let known = match row.account.clone() {
        Some(known) => Some(known),
        None => account_of(connection, &row.id).await?,
    };
    if let (Some(known), presented) = (&known, account)
        && presented != Some(known.as_str())
    {
        return Ok(Err(Passed::OtherAccount {
            project: project.clone(),
            listed: known.clone(),
            presented: presented.unwrap_or("none").to_owned(),
        }));
    }
    let mut made = false;
    if let Some(Pending { owner, until }) = &row.pending {
        if *until <= at || !is_user(connection, owner).await? {
            return Ok(Err(removed()));
        }
        let added = sqlx::query(
            "INSERT INTO project (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(project.as_str())
        .bind(at.to_string())
        .execute(&mut *connection)
        .await?
        .rows_affected();
        if added == 0 {
            return Ok(Err(Passed::Taken {
                project: project.clone(),
            }));
        }
        made = true;
        role::grant(connection, project, owner, Role::Owner, at).await?;
        add_user(connection, &row.id, at).await?;
        maintain(connection, project, &row.id, at).await?;
    }
    if known.is_none() && account.is_some() {
        sqlx::query(
            "INSERT INTO publisher_account (id, account) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(row.id.as_str())
        .bind(account)
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query(
        "UPDATE publisher SET last_used_at = ?, account = coalesce(account, ?), owner = NULL, \
         pending_until = NULL WHERE project = ? AND issuer = ? AND identity = ?",
    )
    .bind(at.to_string())
    .bind(account)
    .bind(project.as_str())
    .bind(listed.issuer.as_str())
    .bind(listed.identity.as_str())
    .execute(connection)
    .await?;
    Ok(Ok(made))
}

/// A token that was made.
struct Minted {
    id: TokenId,
    actor: Actor,
}

async fn mint(
    connection: &mut SqliteConnection,
    exchange: &Exchange<'_>,
    user: &UserName,
    projects: &[ProjectName],
    address: Option<IpAddr>,
    at: Timestamp,
) -> Result<Minted, ExchangeError> {
    let scope = match projects {
        [one] => Scope::UploadTo(one.clone()),
        several => Scope::UploadToSeveral(several.to_vec()),
    };
    let new = NewToken {
        id: format!("{user}-{}", exchange.token.distinct),
        user: user.clone(),
        scope,
        secret_sha256: exchange.token.secret_sha256,
        expires_at: Some(exchange.token.expires_at),
        note: exchange.shown.to_owned(),
    };
    match token::insert(connection, &new, at).await {
        Ok(()) => {}
        Err(TokenError::Store(error)) => return Err(error.into()),
        // Whoever draws the same name twice has a broken source of randomness.
        Err(TokenError::Exists { id } | TokenError::Missing { id }) => {
            return Err(StoreError::Invalid {
                what: "name of a new token",
                value: id,
            }
            .into());
        }
        Err(TokenError::NoUser { name }) => {
            return Err(StoreError::Invalid {
                what: "user of a new token",
                value: name.to_string(),
            }
            .into());
        }
    }
    let minted = Minted {
        id: TokenId::stored(&new.id),
        actor: Actor::Bearer {
            user: user.clone(),
            token: TokenId::stored(&new.id),
        },
    };
    for project in projects {
        let entry = AuditEntry::new(at, minted.actor.clone(), AuditAction::TokenExchanged)
            .in_project(project)
            .of(new.id.as_str())
            .from_address(address)
            .saying(exchange.shown);
        audit::append(connection, &entry).await?;
    }
    Ok(minted)
}
