//! The audit log: who did what, when, to which project, from where. Rows are only added.
//!
//! What changes something writes its row in the same transaction, so that neither is there without
//! the other. How many attempts of strangers are written down is for the server to bound.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};
use wheelmark_packaging::ProjectName;

use crate::{Store, StoreError, TokenId, UserName, text};

/// Longest subject and longest detail that is kept, in bytes: a file's name, a line of reason.
pub const MAX_AUDIT_TEXT_LEN: usize = 500;

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody with a token.
    Bearer {
        /// Whose it is.
        user: UserName,
        /// Which one.
        token: TokenId,
    },
    /// Whoever ran a command on the data directory, by their account on the machine.
    Operator {
        /// The account.
        account: String,
    },
    /// Nobody that is known.
    Stranger,
}

/// Gives each action its stored name, once.
macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AuditAction {
            $($(#[doc = $doc])+ $variant,)+
            /// Something that a later version of this program writes down.
            Unknown,
        }

        impl AuditAction {
            /// Its name in the log.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Unknown => "unknown",
                }
            }

            fn read(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    _ => Self::Unknown,
                }
            }
        }
    };
}

actions! {
    /// A file was taken in.
    UploadAccepted = "upload-accepted",
    /// Somebody with a good token was refused a file.
    UploadRefused = "upload-refused",
    /// A credential was refused.
    AccessRefused = "access-refused",
    /// A user was added.
    UserAdded = "user-added",
    /// A user's tokens are taken no more.
    UserDisabled = "user-disabled",
    /// A user's tokens are taken again.
    UserEnabled = "user-enabled",
    /// A token was made.
    TokenCreated = "token-created",
    /// A token was ended.
    TokenRevoked = "token-revoked",
    /// A project's name was given to somebody before it had files.
    ProjectCreated = "project-created",
    /// A user became owner or maintainer of a project.
    RoleGranted = "role-granted",
    /// A user is no longer owner or maintainer of a project.
    RoleRevoked = "role-revoked",
    /// Reading was opened to everybody, or closed.
    AccessChanged = "access-changed",
    /// A file was to be removed.
    FileRemoved = "file-removed",
    /// A file that was removed was to come back.
    FileRestored = "file-restored",
    /// A file was to be yanked.
    FileYanked = "file-yanked",
    /// A file was to be yanked no longer.
    FileUnyanked = "file-unyanked",
    /// Other hashes of files were to be listed.
    HashesChanged = "hashes-changed",
    /// What the online key signs was to be signed anew.
    RolesRenewed = "roles-renewed",
    /// A project's status was to change.
    StatusChanged = "status-changed",
    /// A project's OpenPGP certificates were to change.
    CertificatesChanged = "certificates-changed",
    /// A project trusts a publisher from now on.
    PublisherAdded = "publisher-added",
    /// A project trusts a publisher no longer.
    PublisherRemoved = "publisher-removed",
    /// A publisher's identity token was exchanged for an upload token.
    TokenExchanged = "token-exchanged",
    /// An identity token was not exchanged.
    ExchangeRefused = "exchange-refused",
    /// A user claimed a project: its own people sign for it from then on.
    ProjectClaimed = "project-claimed",
    /// The people of a claimed project handed over to other keys.
    ProjectKeysChanged = "project-keys-changed",
    /// An owner said that a project's keys are lost, and others asked to take their place.
    RecoveryAsked = "recovery-asked",
    /// Nobody asks for that any more.
    RecoveryEnded = "recovery-ended",
    /// Other keys took the place of those that were lost.
    ProjectRecovered = "project-recovered",
    /// A claim was to end.
    ClaimEnded = "claim-ended",
    /// A release that a project's own people have signed was taken in.
    ReleaseAccepted = "release-accepted",
    /// A release waits for the signatures of others.
    ReleaseStaged = "release-staged",
    /// Somebody signed a release that waits.
    ReleaseSigned = "release-signed",
    /// A release, or a file, waits no longer: somebody has taken it back.
    StagedWithdrawn = "staged-withdrawn",
    /// A file that nobody has signed waits for the people of its project.
    FileStaged = "file-staged",
}

impl fmt::Display for AuditAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: AuditAction,
    /// To which project.
    pub project: Option<ProjectName>,
    /// To which file, user or token.
    pub subject: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
    /// What else there is to say.
    pub detail: Option<String>,
}

impl AuditEntry {
    /// An entry without particulars.
    pub fn new(at: Timestamp, actor: Actor, action: AuditAction) -> Self {
        Self {
            at,
            actor,
            action,
            project: None,
            subject: None,
            address: None,
            detail: None,
        }
    }

    /// The same, about a file, a user or a token.
    #[must_use]
    pub fn of(self, subject: impl Into<String>) -> Self {
        Self {
            subject: Some(subject.into()),
            ..self
        }
    }

    /// The same, about a project.
    #[must_use]
    pub fn in_project(self, project: &ProjectName) -> Self {
        Self {
            project: Some(project.clone()),
            ..self
        }
    }

    /// The same, from an address.
    #[must_use]
    pub fn from_address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// The same, with something more to say.
    #[must_use]
    pub fn saying(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place: later rows have higher ones, and none is given twice.
    pub number: u64,
    /// What it says.
    pub entry: AuditEntry,
}

/// A query for [`AuditRow`]s, whose columns [`read`] names.
macro_rules! audit_rows {
    ($rest:literal) => {
        concat!(
            "SELECT number, at, person, token, account, action, project, subject, address, detail \
             FROM audit ",
            $rest
        )
    };
}

fn read(row: &SqliteRow) -> Result<AuditRow, StoreError> {
    let text_of = |column| row.try_get::<Option<&str>, _>(column);
    let actor = match (text_of("person")?, text_of("token")?, text_of("account")?) {
        (Some(user), Some(token), _) => Actor::Bearer {
            user: text::parse("user name", user)?,
            token: TokenId::stored(token),
        },
        (_, _, Some(account)) => Actor::Operator {
            account: account.to_owned(),
        },
        _ => Actor::Stranger,
    };
    Ok(AuditRow {
        number: text::unsigned("number", row.try_get("number")?)?,
        entry: AuditEntry {
            at: text::parse("time", row.try_get("at")?)?,
            actor,
            action: AuditAction::read(row.try_get("action")?),
            project: text::parse_optional("project name", text_of("project")?)?,
            subject: row.try_get("subject")?,
            address: text::parse_optional("address", text_of("address")?)?,
            detail: row.try_get("detail")?,
        },
    })
}

impl Store {
    /// Adds a row to the log.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.audit_all(std::slice::from_ref(entry)).await
    }

    /// Adds rows to the log, all of them or none.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn audit_all(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for entry in entries {
            append(&mut transaction, entry).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The rows behind number `after`, oldest first, at most `limit` of them; where a project is
    /// named, its own.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn audit_after(
        &self,
        after: u64,
        project: Option<&ProjectName>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let query = match project {
            None => sqlx::query(audit_rows!("WHERE number > ? ORDER BY number LIMIT ?"))
                .bind(text::number(after)),
            Some(project) => sqlx::query(audit_rows!(
                "WHERE number > ? AND project = ? ORDER BY number LIMIT ?"
            ))
            .bind(text::number(after))
            .bind(project.as_str()),
        };
        let rows = query
            .bind(limit)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The last rows, oldest first, at most `limit` of them; where a project is named, its own.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn audit_last(
        &self,
        project: Option<&ProjectName>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let query = match project {
            None => sqlx::query(audit_rows!("ORDER BY number DESC LIMIT ?")),
            Some(project) => sqlx::query(audit_rows!(
                "WHERE project = ? ORDER BY number DESC LIMIT ?"
            ))
            .bind(project.as_str()),
        };
        let rows = query
            .bind(limit)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.iter().rev().map(read).collect()
    }
}

/// Adds a row inside the transaction of what it is about.
pub(crate) async fn append(
    connection: &mut SqliteConnection,
    entry: &AuditEntry,
) -> Result<(), StoreError> {
    let mut statement = QueryBuilder::new("");
    push(&mut statement, entry);
    statement.build().execute(connection).await?;
    Ok(())
}

/// Says how a row is added, as a statement that can follow on others.
pub(crate) fn push(statements: &mut QueryBuilder<Sqlite>, entry: &AuditEntry) {
    let (person, token, account) = match &entry.actor {
        Actor::Bearer { user, token } => (Some(user.as_str()), Some(token.as_str()), None),
        Actor::Operator { account } => (None, None, Some(account.as_str())),
        Actor::Stranger => (None, None, None),
    };
    let at = entry.at.to_string();
    let address = entry.address.map(|address| address.to_string());
    let columns = [
        Some(at.as_str()),
        person,
        token,
        account,
        Some(entry.action.as_str()),
        entry.project.as_ref().map(ProjectName::as_str),
        entry.subject.as_deref().map(short),
        address.as_deref(),
        entry.detail.as_deref().map(short),
    ];
    statements.push(
        "INSERT INTO audit (at, person, token, account, action, project, subject, address, \
         detail) ",
    );
    statements.push_values([columns], |mut row, columns| {
        for column in columns {
            row.push_bind(column);
        }
    });
}

/// The beginning of a text that others may have chosen.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_AUDIT_TEXT_LEN)]
}
