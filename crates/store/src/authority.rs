//! Who may upload to which project.

use std::net::IpAddr;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row as _, SqliteConnection};
use wheelmark_packaging::ProjectName;

use crate::audit::{self, AuditAction, AuditEntry};
use crate::database::immediately;
use crate::token::TokenStanding;
use crate::{
    Admission, Bearer, Ended, KeptObject, NewFile, Role, Scope, Store, StoreError, UserName,
    admission, kept, role,
};

/// Why a file is not taken from somebody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token ended while its upload was under way.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// The token is not on record any more.
    #[error("this index does not know the token any more")]
    Unknown,
    /// The token is not for uploading.
    #[error("the token is for reading alone")]
    ReadOnly,
    /// The token is for another project.
    #[error("the token is for uploads to {only} alone, not to {project}")]
    OtherProject {
        /// The project that it is for.
        only: ProjectName,
        /// The one that was asked for.
        project: ProjectName,
        /// Whose token it is.
        user: UserName,
    },
    /// The token is for other projects.
    #[error("the token is for uploads to {} alone, not to {project}", names(only))]
    NotOneOf {
        /// The projects that it is for.
        only: Vec<ProjectName>,
        /// The one that was asked for.
        project: ProjectName,
    },
    /// The project is somebody else's.
    #[error("{user} is neither owner nor maintainer of {project}")]
    NotMember {
        /// Who.
        user: UserName,
        /// Of what.
        project: ProjectName,
    },
}

fn names(projects: &[ProjectName]) -> String {
    let names: Vec<&str> = projects.iter().map(ProjectName::as_str).collect();
    names.join(", ")
}

/// Why a file was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// Its uploader may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for AdmitError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

/// What a file that is admitted means for its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is the first one: the project becomes the uploader's.
    First,
    /// The project is known, and the uploader may.
    Known,
}

impl Store {
    /// Whether somebody may upload to a project, as it is at this moment. [`Store::admit_from`]
    /// asks once more.
    ///
    /// # Errors
    ///
    /// [`AdmitError::Denied`] if not.
    pub async fn demand_uploader(
        &self,
        bearer: &Bearer,
        project: &ProjectName,
        now: Timestamp,
    ) -> Result<(), AdmitError> {
        let mut reader = self.reader().await?;
        examine(&mut reader, bearer, project, now).await?;
        Ok(())
    }

    /// Records a file as [`Store::admit`] does, if its uploader may: whether they may, the file,
    /// the journal row and a row of the audit log are one transaction. Who uploads the first file
    /// of a project becomes its owner in it; of several at the same time, one does.
    ///
    /// It is durable with the next flush: that of the snapshot that takes the file in
    /// ([`Store::record_intent`]), or [`Store::flush`]. Whoever says before that it was recorded has
    /// to flush.
    ///
    /// # Errors
    ///
    /// [`AdmitError::Denied`] if they may not; nothing is recorded then. See also [`Store::admit`].
    pub async fn admit_from(
        &self,
        file: NewFile,
        bearer: &Bearer,
        address: Option<IpAddr>,
    ) -> Result<Admission, AdmitError> {
        self.admit_keeping(file, &[], bearer, address).await
    }

    /// Records a file as [`Store::admit_from`] does, and with it the objects of it that are in the
    /// tree and may not be on the disk: the snapshot process writes them again after a power
    /// failure.
    ///
    /// # Errors
    ///
    /// See [`Store::admit_from`].
    pub async fn admit_keeping(
        &self,
        file: NewFile,
        objects: &[KeptObject],
        bearer: &Bearer,
        address: Option<IpAddr>,
    ) -> Result<Admission, AdmitError> {
        let (project, at) = (file.project.clone(), file.uploaded_at);
        let mut connection = self.deferring().await?;
        let mut transaction = immediately(&mut connection).await?;
        let standing = examine(&mut transaction, bearer, &project, at).await?;
        let entry = AuditEntry::new(at, bearer.actor(), AuditAction::UploadAccepted)
            .in_project(&project)
            .of(file.filename.as_str())
            .from_address(address)
            .saying(format!("sha256 {}", file.sha256));
        let admission = admission::admit(&mut transaction, file).await?;
        if let Admission::Recorded(seq) = admission {
            if standing == Standing::First {
                role::grant(&mut transaction, &project, bearer.user(), Role::Owner, at).await?;
                let entry = AuditEntry::new(at, bearer.actor(), AuditAction::RoleGranted)
                    .in_project(&project)
                    .of(bearer.user().as_str())
                    .from_address(address)
                    .saying("owner, by the first upload");
                audit::append(&mut transaction, &entry).await?;
            }
            // In one message to the thread of the connection.
            let mut rows = QueryBuilder::new("");
            kept::push(&mut rows, seq, objects);
            audit::push(&mut rows, &entry);
            rows.build().execute(&mut *transaction).await?;
            transaction.commit().await?;
            self.signals().admitted.notify_one();
        }
        Ok(admission)
    }
}

/// Whether somebody may upload to a project that is there.
pub(crate) async fn demand_member(
    connection: &mut SqliteConnection,
    bearer: &Bearer,
    project: &ProjectName,
    now: Timestamp,
) -> Result<(), AdmitError> {
    examine(connection, bearer, project, now).await?;
    Ok(())
}

async fn examine(
    connection: &mut SqliteConnection,
    bearer: &Bearer,
    project: &ProjectName,
    now: Timestamp,
) -> Result<Standing, AdmitError> {
    // One question: in an upload it is asked twice.
    let row = sqlx::query(
        "SELECT person.name AS user, scope, token.project AS only_project, expires_at, \
         last_used_at, revoked_at, disabled_at, \
         EXISTS (SELECT 1 FROM project WHERE project.name = ?) AS is_known, \
         EXISTS (SELECT 1 FROM role WHERE role.project = ? AND role.person = ?) AS is_member \
         FROM token JOIN person ON person.name = token.person WHERE id = ?",
    )
    .bind(project.as_str())
    .bind(project.as_str())
    .bind(bearer.user().as_str())
    .bind(bearer.id().as_str())
    .fetch_optional(connection)
    .await?;
    let row = row.ok_or(Denied::Unknown)?;
    let standing = TokenStanding::read(&row)?;
    if let Some(ended) = standing.ended(bearer.id(), now) {
        return Err(Denied::Ended(ended).into());
    }
    let any_project = match bearer.scope() {
        Scope::Read => return Err(Denied::ReadOnly.into()),
        Scope::UploadTo(only) if only != project => {
            return Err(Denied::OtherProject {
                only: only.clone(),
                project: project.clone(),
                user: bearer.user().clone(),
            }
            .into());
        }
        Scope::UploadToSeveral(these) if !these.contains(project) => {
            return Err(Denied::NotOneOf {
                only: these.clone(),
                project: project.clone(),
            }
            .into());
        }
        Scope::Upload | Scope::UploadTo(_) | Scope::UploadToSeveral(_) => false,
        Scope::Admin => true,
    };
    if !row.try_get::<bool, _>("is_known")? {
        return Ok(Standing::First);
    }
    if any_project || row.try_get("is_member")? {
        return Ok(Standing::Known);
    }
    Err(Denied::NotMember {
        user: bearer.user().clone(),
        project: project.clone(),
    }
    .into())
}
