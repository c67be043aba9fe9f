//! Trusted publishers: machines of others that may upload to a project, and keep no secret of ours.
//!
//! A publisher is an identity that an issuer of identity tokens vouches for: a workflow of a
//! repository, an account of a robot. What the claims of a token have to be is the server's to
//! judge; here it is a text. A publisher that may upload is also a user, whose name follows from the
//! identity, and maintainer of the projects that list it: so its tokens are tokens like others, and
//! end when the user is disabled or no longer a maintainer.

mod exchange;
mod uploads;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use wheelmark_packaging::ProjectName;

use crate::audit::{self, Actor, AuditAction, AuditEntry};
use crate::role::{self, Role};
use crate::{Store, StoreError, UserName, text};

pub use exchange::{Exchange, ExchangeError, Exchanged, MintedToken, Passed};
pub use uploads::UploadedFile;

/// A publisher that is to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPublisher {
    /// The user that uploads for it.
    pub id: UserName,
    /// The project that lists it.
    pub project: ProjectName,
    /// Whose word it is that counts.
    pub issuer: String,
    /// What finds it among those of its issuer.
    pub place: String,
    /// What the claims of its tokens have to be.
    pub identity: String,
    /// The number of its account at the issuer, where that is known already.
    pub account: Option<String>,
    /// Whether its tokens are exchanged; otherwise it may vouch for files that others upload.
    pub may_upload: bool,
    /// For a project that does not exist yet.
    pub pending: Option<Pending>,
    /// What it is called in the audit log.
    pub shown: String,
}

/// What becomes of a project that does not exist before its publisher is first used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Whose it will be.
    pub owner: UserName,
    /// When the name is given up.
    pub until: Timestamp,
}

/// A publisher that a project lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherRow {
    /// The user that uploads for it.
    pub id: UserName,
    /// The project.
    pub project: ProjectName,
    /// Whose word it is that counts.
    pub issuer: String,
    /// What the claims of its tokens have to be.
    pub identity: String,
    /// The number of its account at the issuer, once it is known.
    pub account: Option<String>,
    /// Whether its tokens are exchanged.
    pub may_upload: bool,
    /// Where its project does not exist yet.
    pub pending: Option<Pending>,
    /// Since when it is listed.
    pub created_at: Timestamp,
    /// When a token of it was exchanged last.
    pub last_used_at: Option<Timestamp>,
}

/// Why nothing was changed about a publisher.
#[derive(Debug, thiserror::Error)]
pub enum PublisherError {
    /// The project lists it.
    #[error("{project} lists this publisher already")]
    Exists {
        /// The project.
        project: ProjectName,
    },
    /// There is no such project, and it was not said whose it is to be.
    #[error("there is no project {project} yet")]
    NoProject {
        /// The project.
        project: ProjectName,
    },
    /// The project is there by now, and not theirs.
    #[error("there is a project {project} already, and {owner} does not own it")]
    Taken {
        /// The project.
        project: ProjectName,
        /// Whose it was to be.
        owner: UserName,
    },
    /// There is no such user.
    #[error("there is no user named {name}")]
    NoUser {
        /// The name.
        name: UserName,
    },
    /// The project lists no such publisher.
    #[error("{project} has no publisher {id}")]
    Missing {
        /// The project.
        project: ProjectName,
        /// The publisher.
        id: UserName,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for PublisherError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

/// A query for [`PublisherRow`]s, whose columns [`read`] names.
macro_rules! publisher_rows {
    ($rest:literal) => {
        concat!(
            "SELECT id, project, issuer, identity, account, may_upload, owner, pending_until, \
             created_at, last_used_at FROM publisher ",
            $rest
        )
    };
}
use publisher_rows;

fn read(row: &SqliteRow) -> Result<PublisherRow, StoreError> {
    let text_of = |column| row.try_get::<Option<&str>, _>(column);
    let owner = text::parse_optional("user name", text_of("owner")?)?;
    let until = text::parse_optional("time", text_of("pending_until")?)?;
    Ok(PublisherRow {
        id: text::parse("user name", row.try_get("id")?)?,
        project: text::parse("project name", row.try_get("project")?)?,
        issuer: row.try_get("issuer")?,
        identity: row.try_get("identity")?,
        account: row.try_get("account")?,
        may_upload: row.try_get("may_upload")?,
        pending: owner
            .zip(until)
            .map(|(owner, until)| Pending { owner, until }),
        created_at: text::parse("time", row.try_get("created_at")?)?,
        last_used_at: text::parse_optional("time", text_of("last_used_at")?)?,
    })
}

impl Store {
    /// Lists a publisher for a project. Whether the project exists: otherwise the publisher makes it
    /// when it is first used.
    ///
    /// # Errors
    ///
    /// [`PublisherError::Exists`]; [`PublisherError::NoProject`] where the project does not exist and
    /// it is not said whose it will be, or the publisher may not upload; [`PublisherError::NoUser`].
    pub async fn add_publisher(
        &self,
        publisher: &NewPublisher,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, PublisherError> {
        let project = &publisher.project;
        let mut transaction = self.write().await?;
        let exists = role::exists(&mut transaction, project).await?;
        let pending = match (exists, &publisher.pending) {
            (true, Some(Pending { owner, .. }))
                if role::role_of(&mut transaction, project, owner).await? != Some(Role::Owner) =>
            {
                return Err(PublisherError::Taken {
                    project: project.clone(),
                    owner: owner.clone(),
                });
            }
            (true, _) => None,
            (false, Some(pending)) if publisher.may_upload => Some(pending),
            (false, _) => {
                let project = project.clone();
                return Err(PublisherError::NoProject { project });
            }
        };
        if let Some(Pending { owner, .. }) = pending
            && !is_user(&mut transaction, owner).await?
        {
            let name = owner.clone();
            return Err(PublisherError::NoUser { name });
        }
        // What was never used in its time is as good as gone, and so is what waited for a project
        // that was made by others.
        sqlx::query(
            "DELETE FROM publisher WHERE project = ? AND pending_until IS NOT NULL \
             AND (? OR pending_until <= ?)",
        )
        .bind(project.as_str())
        .bind(exists)
        .bind(at.to_string())
        .execute(&mut *transaction)
        .await?;
        // Who is known already is known by the number that it had.
        let known = account_of(&mut transaction, &publisher.id).await?;
        let added = sqlx::query(
            "INSERT INTO publisher (id, project, issuer, place, identity, account, may_upload, \
             owner, pending_until, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(publisher.id.as_str())
        .bind(project.as_str())
        .bind(publisher.issuer.as_str())
        .bind(publisher.place.as_str())
        .bind(publisher.identity.as_str())
        .bind(publisher.account.as_deref().or(known.as_deref()))
        .bind(publisher.may_upload)
        .bind(pending.map(|pending| pending.owner.as_str()))
        .bind(pending.map(|pending| pending.until.to_string()))
        .bind(at.to_string())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if added == 0 {
            let project = project.clone();
            return Err(PublisherError::Exists { project });
        }
        if publisher.may_upload {
            add_user(&mut transaction, &publisher.id, at).await?;
        }
        if publisher.may_upload && exists {
            maintain(&mut transaction, project, &publisher.id, at).await?;
        }
        let entry = AuditEntry::new(at, by.clone(), AuditAction::PublisherAdded)
            .in_project(project)
            .of(publisher.id.as_str())
            .saying(publisher.shown.as_str());
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(exists)
    }

    /// Takes a publisher from a project: whatever the project lists under this name. Its tokens end
    /// where no project lists it any more.
    ///
    /// # Errors
    ///
    /// [`PublisherError::Missing`] if the project lists no such publisher.
    pub async fn remove_publisher(
        &self,
        project: &ProjectName,
        id: &UserName,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), PublisherError> {
        let mut transaction = self.write().await?;
        let removed = sqlx::query("DELETE FROM publisher WHERE project = ? AND id = ?")
            .bind(project.as_str())
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        if removed == 0 {
            return Err(PublisherError::Missing {
                project: project.clone(),
                id: id.clone(),
            });
        }
        sqlx::query("DELETE FROM role WHERE project = ? AND person = ? AND role = 'maintainer'")
            .bind(project.as_str())
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "UPDATE token SET revoked_at = ? WHERE person = ? AND revoked_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM publisher WHERE publisher.id = ? AND may_upload)",
        )
        .bind(at.to_string())
        .bind(id.as_str())
        .bind(id.as_str())
        .execute(&mut *transaction)
        .await?;
        let entry = AuditEntry::new(at, by.clone(), AuditAction::PublisherRemoved)
            .in_project(project)
            .of(id.as_str());
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Takes a publisher from every project, and ends its tokens: all at once. Whose it was.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn revoke_publisher(
        &self,
        id: &UserName,
        by: &Actor,
        at: Timestamp,
    ) -> Result<Vec<ProjectName>, StoreError> {
        let mut transaction = self.write().await?;
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT project FROM publisher WHERE id = ? ORDER BY project",
        )
        .bind(id.as_str())
        .fetch_all(&mut *transaction)
        .await?;
        let projects: Vec<ProjectName> = names
            .iter()
            .map(|name| text::parse("project name", name))
            .collect::<Result<_, _>>()?;
        sqlx::query("DELETE FROM role WHERE person = ? AND role = 'maintainer' AND project IN (SELECT project FROM publisher WHERE id = ?)")
            .bind(id.as_str())
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM publisher WHERE id = ?")
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE token SET revoked_at = ? WHERE person = ? AND revoked_at IS NULL")
            .bind(at.to_string())
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        for project in &projects {
            let entry = AuditEntry::new(at, by.clone(), AuditAction::PublisherRemoved)
                .in_project(project)
                .of(id.as_str())
                .saying("revoked everywhere");
            audit::append(&mut transaction, &entry).await?;
        }
        transaction.commit().await?;
        Ok(projects)
    }

    /// All publishers by project and age; where one is named, its own.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn publishers(
        &self,
        project: Option<&ProjectName>,
    ) -> Result<Vec<PublisherRow>, StoreError> {
        let query = match project {
            None => sqlx::query(publisher_rows!("ORDER BY project, created_at, identity")),
            Some(project) => sqlx::query(publisher_rows!(
                "WHERE project = ? ORDER BY project, created_at, identity"
            ))
            .bind(project.as_str()),
        };
        let rows = query.fetch_all(&mut *self.reader().await?).await?;
        rows.iter().map(read).collect()
    }

    /// Whether any project lists a publisher whose tokens this issuer makes and are exchanged.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn knows_issuer(&self, issuer: &str) -> Result<bool, StoreError> {
        let known = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM publisher WHERE issuer = ? AND may_upload)",
        )
        .bind(issuer)
        .fetch_one(&mut *self.reader().await?)
        .await?;
        Ok(known)
    }

    /// The publishers whose tokens are exchanged and that a token of this issuer and place can be
    /// of; those that were never used in their time are not among them.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn publishers_at(
        &self,
        issuer: &str,
        place: &str,
        now: Timestamp,
    ) -> Result<Vec<PublisherRow>, StoreError> {
        let rows = sqlx::query(publisher_rows!(
            "WHERE issuer = ? AND place = ? AND may_upload ORDER BY project, identity"
        ))
        .bind(issuer)
        .bind(place)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let mut rows: Vec<PublisherRow> = rows.iter().map(read).collect::<Result<_, _>>()?;
        rows.retain(|row| {
            row.pending
                .as_ref()
                .is_none_or(|pending| pending.until > now)
        });
        Ok(rows)
    }
}

/// The number of an identity's account, as it was seen first, whatever project listed it then.
async fn account_of(
    connection: &mut SqliteConnection,
    id: &UserName,
) -> Result<Option<String>, StoreError> {
    let known: Option<String> = sqlx::query_scalar(
        "SELECT coalesce((SELECT account FROM publisher WHERE id = ? AND account IS NOT NULL LIMIT 1), \
         (SELECT account FROM publisher_account WHERE id = ?))",
    )
    .bind(id.as_str())
    .bind(id.as_str())
    .fetch_one(connection)
    .await?;
    Ok(known)
}

async fn is_user(connection: &mut SqliteConnection, name: &UserName) -> Result<bool, StoreError> {
    let known = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM person WHERE name = ?)")
        .bind(name.as_str())
        .fetch_one(connection)
        .await?;
    Ok(known)
}

async fn add_user(
    connection: &mut SqliteConnection,
    id: &UserName,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO person (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(id.as_str())
        .bind(at.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the publisher's user a maintainer, unless it is something already.
async fn maintain(
    connection: &mut SqliteConnection,
    project: &ProjectName,
    id: &UserName,
    at: Timestamp,
) -> Result<(), StoreError> {
    if role::role_of(connection, project, id).await?.is_none() {
        role::grant(connection, project, id, Role::Maintainer, at).await?;
    }
    Ok(())
}
