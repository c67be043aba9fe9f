//! Whose a project is: its owners and its maintainers.

use std::fmt;

use jiff::Timestamp;
use sqlx::{Connection as _, SqliteConnection};
use wheelmark_packaging::ProjectName;

use crate::audit::{self, Actor, AuditAction, AuditEntry};
use crate::{Store, StoreError, UserName, text};

/// What somebody is to a project. Both may upload; owners are those to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It is theirs.
    Owner,
    /// They work on it.
    Maintainer,
}

impl Role {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Maintainer => "maintainer",
        }
    }

    fn read(name: &str) -> Result<Self, StoreError> {
        match name {
            "owner" => Ok(Self::Owner),
            "maintainer" => Ok(Self::Maintainer),
            _ => Err(StoreError::Invalid {
                what: "role",
                value: name.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Somebody's part in a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserName,
    /// As what.
    pub role: Role,
    /// Since when.
    pub granted_at: Timestamp,
}

/// Why nothing was changed about a project's people.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// A project of this name exists.
    #[error("there is a project {project} already")]
    ProjectExists {
        /// The project.
        project: ProjectName,
    },
    /// There is no such project.
    #[error("there is no project {project}")]
    NoProject {
        /// The project.
        project: ProjectName,
    },
    /// There is no such user.
    #[error("there is no user named {name}")]
    NoUser {
        /// The name.
        name: UserName,
    },
    /// They are not what they should cease to be.
    #[error("{user} is no {role} of {project}")]
    NotMember {
        /// The project.
        project: ProjectName,
        /// Who.
        user: UserName,
        /// What they are not.
        role: Role,
    },
    /// Nobody would be left.
    #[error("{user} is the only owner of {project}")]
    LastOwner {
        /// The project.
        project: ProjectName,
        /// Who.
        user: UserName,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RoleError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

impl Store {
    /// Gives a name to a user before there are any files: the project is theirs from now on.
    ///
    /// # Errors
    ///
    /// [`RoleError::ProjectExists`], also where it has no owner; [`RoleError::NoUser`].
    pub async fn create_project(
        &self,
        project: &ProjectName,
        owner: &UserName,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), RoleError> {
        let mut transaction = self.write().await?;
        demand_user(&mut transaction, owner).await?;
        let added = sqlx::query(
            "INSERT INTO project (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(project.as_str())
        .bind(at.to_string())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        if added == 0 {
            return Err(RoleError::ProjectExists {
                project: project.clone(),
            });
        }
        grant(&mut transaction, project, owner, Role::Owner, at).await?;
        let entry = AuditEntry::new(at, by.clone(), AuditAction::ProjectCreated)
            .in_project(project)
            .saying(format!("for {owner}"));
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes a user owner or maintainer of a project, whatever they were before. Whether that
    /// changed anything.
    ///
    /// # Errors
    ///
    /// [`RoleError::NoProject`], [`RoleError::NoUser`]; [`RoleError::LastOwner`] where the only
    /// owner would become a maintainer.
    pub async fn grant_role(
        &self,
        project: &ProjectName,
        user: &UserName,
        role: Role,
        by: &Actor,
        at: Timestamp,
    ) -> Result<bool, RoleError> {
        let mut transaction = self.write().await?;
        demand_project(&mut transaction, project).await?;
        demand_user(&mut transaction, user).await?;
        let before = role_of(&mut transaction, project, user).await?;
        if before == Some(role) {
            return Ok(false);
        }
        if before == Some(Role::Owner) {
            demand_another_owner(&mut transaction, project, user).await?;
        }
        grant(&mut transaction, project, user, role, at).await?;
        let entry = AuditEntry::new(at, by.clone(), AuditAction::RoleGranted)
            .in_project(project)
            .of(user.as_str())
            .saying(role.as_str());
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes a role from a user.
    ///
    /// # Errors
    ///
    /// [`RoleError::NoProject`]; [`RoleError::NotMember`] if they do not have that role;
    /// [`RoleError::LastOwner`] if nobody else owns the project.
    pub async fn revoke_role(
        &self,
        project: &ProjectName,
        user: &UserName,
        role: Role,
        by: &Actor,
        at: Timestamp,
    ) -> Result<(), RoleError> {
        let mut transaction = self.write().await?;
        demand_project(&mut transaction, project).await?;
        if role_of(&mut transaction, project, user).await? != Some(role) {
            return Err(RoleError::NotMember {
                project: project.clone(),
                user: user.clone(),
                role,
            });
        }
        if role == Role::Owner {
            demand_another_owner(&mut transaction, project, user).await?;
        }
        sqlx::query("DELETE FROM role WHERE project = ? AND person = ?")
            .bind(project.as_str())
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        let entry = AuditEntry::new(at, by.clone(), AuditAction::RoleRevoked)
            .in_project(project)
            .of(user.as_str())
            .saying(role.as_str());
        audit::append(&mut transaction, &entry).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The owners and maintainers of a project, owners first; none if there is no such project.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn members(&self, project: &ProjectName) -> Result<Option<Vec<Member>>, StoreError> {
        let mut reader = self.reader().await?;
        let mut reader = reader.begin().await?;
        if !exists(&mut reader, project).await? {
            return Ok(None);
        }
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT person, role, granted_at FROM role WHERE project = ? \
             ORDER BY role = 'maintainer', person",
        )
        .bind(project.as_str())
        .fetch_all(&mut *reader)
        .await?;
        let rows = rows.into_iter();
        let members = rows.map(|(user, role, granted_at)| {
            Ok(Member {
                user: text::parse("user name", &user)?,
                role: Role::read(&role)?,
                granted_at: text::parse("time", &granted_at)?,
            })
        });
        members.collect::<Result<_, StoreError>>().map(Some)
    }

    /// Every project on record, by name, with how many published files it has; also those that
    /// have none yet.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn all_projects(&self) -> Result<Vec<(ProjectName, u64)>, StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT name, (SELECT count(*) FROM file WHERE file.project = project.name AND published) \
             FROM project ORDER BY name",
        )
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.iter()
            .map(|(name, files)| {
                let files = text::unsigned("number of files", *files)?;
                Ok((text::parse("project name", name)?, files))
            })
            .collect()
    }
}

/// Whether there is a project of this name.
pub(crate) async fn exists(
    connection: &mut SqliteConnection,
    project: &ProjectName,
) -> Result<bool, StoreError> {
    let known = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM project WHERE name = ?)")
        .bind(project.as_str())
        .fetch_one(connection)
        .await?;
    Ok(known)
}

/// What a user is to a project.
pub(crate) async fn role_of(
    connection: &mut SqliteConnection,
    project: &ProjectName,
    user: &UserName,
) -> Result<Option<Role>, StoreError> {
    let role: Option<String> =
        sqlx::query_scalar("SELECT role FROM role WHERE project = ? AND person = ?")
            .bind(project.as_str())
            .bind(user.as_str())
            .fetch_optional(connection)
            .await?;
    role.as_deref().map(Role::read).transpose()
}

/// Writes a role down, in place of the one that was there.
pub(crate) async fn grant(
    connection: &mut SqliteConnection,
    project: &ProjectName,
    user: &UserName,
    role: Role,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO role (project, person, role, granted_at) VALUES (?, ?, ?, ?) \
         ON CONFLICT (project, person) \
         DO UPDATE SET role = excluded.role, granted_at = excluded.granted_at",
    )
    .bind(project.as_str())
    .bind(user.as_str())
    .bind(role.as_str())
    .bind(at.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

async fn demand_project(
    connection: &mut SqliteConnection,
    project: &ProjectName,
) -> Result<(), RoleError> {
    if exists(connection, project).await? {
        return Ok(());
    }
    Err(RoleError::NoProject {
        project: project.clone(),
    })
}

async fn demand_user(connection: &mut SqliteConnection, name: &UserName) -> Result<(), RoleError> {
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM person WHERE name = ?)")
        .bind(name.as_str())
        .fetch_one(connection)
        .await?;
    if known {
        return Ok(());
    }
    Err(RoleError::NoUser { name: name.clone() })
}

async fn demand_another_owner(
    connection: &mut SqliteConnection,
    project: &ProjectName,
    user: &UserName,
) -> Result<(), RoleError> {
    let another: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM role WHERE project = ? AND role = 'owner' AND person <> ?)",
    )
    .bind(project.as_str())
    .bind(user.as_str())
    .fetch_one(connection)
    .await?;
    if another {
        return Ok(());
    }
    Err(RoleError::LastOwner {
        project: project.clone(),
        user: user.clone(),
    })
}
