//! What a project's own people have signed: a release, or the claim that begins it all.
//!
//! ```text
//! metadata of the project's role, its page ─┐
//! the new files, placed in the tree         ├─ admit_release ─▶ one row of the journal
//! a claim: whose keys sign from now on     ─┘
//! ```
//!
//! One row brings all of it, so that it is published whole or not at all. What is checked here keeps
//! people apart: who may, whose a key is, how many projects one user may claim. Whether what was
//! signed holds is for the snapshot process to say, which goes by keys and not by these tables.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{QueryBuilder, SqliteConnection};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use crate::audit::{self, AuditAction, AuditEntry};
use crate::authority::demand_member;
use crate::database::immediately;
use crate::journal::MAX_CHANGE_LEN;
use crate::{
    AdmitError, Bearer, Change, Denied, KeptObject, NewFile, Role, Scope, Seq, Store, StoreError,
    UserName, kept, recovery, role, serial, text,
};

/// Longest metadata of a project's role, in bytes. python-tuf's client reads 5,000,000 of a targets
/// role, and signatures come on top.
pub const MAX_RELEASE_METADATA_LEN: usize = 4_000_000;

/// Longest page of a claimed project, in bytes: that of some 8,000 files. Read, it takes some twenty
/// times as much memory.
pub const MAX_RELEASE_PAGE_LEN: usize = 4 * 1024 * 1024;

/// How many projects one user may have claimed. Each is an entry in a role that every client of any
/// claimed project fetches.
pub const MAX_CLAIMS_PER_USER: u32 = 20;

/// A release that a project's own people have signed, as it was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRelease {
    /// The project.
    #[serde(with = "text")]
    pub project: ProjectName,
    /// The SHA-256 of the metadata of the project's role, which stands beside the row.
    pub metadata_sha256: Sha256,
    /// The SHA-256 of the project's page, which stands there as well.
    pub page_sha256: Sha256,
    /// When it came in.
    #[serde(with = "text")]
    pub received_at: Timestamp,
    /// Whose keys sign for the project from now on, where nobody's did until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<NewClaim>,
    /// Which keys come in and which go, where the project's people hand over to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<NewKeys>,
    /// Whose keys sign for the project from now on, where all of before are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovers: Option<NewClaim>,
}

/// Which keys come to sign for a claimed project, and which do not any more.
///
/// Whether that holds is said by the handover in the metadata, and by nothing else; this is whose the
/// keys are, which the metadata does not say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKeys {
    /// Those that come in.
    pub added: Vec<ClaimedKey>,
    /// The ids of those that go.
    pub removed: Vec<String>,
}

/// Whose keys sign for a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewClaim {
    /// The keys.
    pub keys: Vec<ClaimedKey>,
    /// How many of them have to sign.
    pub threshold: u32,
}

/// A key, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedKey {
    /// Its id.
    pub keyid: String,
    /// The key, as TUF metadata states it.
    pub key: Value,
    /// The user that it is registered for.
    pub maintainer: String,
}

/// What stands beside the row of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseParts {
    /// The signed metadata of the project's role.
    pub metadata: Vec<u8>,
    /// The project's page.
    pub page: Vec<u8>,
}

/// Who sends a release, and when: one that has waited for signatures came earlier than it is sent.
#[derive(Clone, Copy, Debug)]
pub struct ReleasedBy<'a> {
    /// Whose token it is sent with.
    pub bearer: &'a Bearer,
    /// From where.
    pub address: Option<IpAddr>,
    /// Now.
    pub at: Timestamp,
}

/// Why a release is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseDenied {
    /// Whoever sends it does not own the project.
    #[error("{user} is no owner of {project}, and owners alone can claim or recover it")]
    NotOwner {
        /// Who.
        user: UserName,
        /// Of what.
        project: ProjectName,
    },
    /// There is no such project.
    #[error("there is no project {project}")]
    NoProject {
        /// Its name.
        project: ProjectName,
    },
    /// It is claimed, or about to be.
    #[error("{project} is claimed already")]
    Claimed {
        /// The project.
        project: ProjectName,
    },
    /// The token is one that machines are given.
    #[error("a token for some projects alone cannot claim one, or change its keys")]
    ProjectToken,
    /// Another release of the project waits for its snapshot.
    #[error("another release of {project} is on its way")]
    Pending {
        /// The project.
        project: ProjectName,
    },
    /// They have claimed as many as anybody may.
    #[error("{user} has claimed {limit} projects, and nobody may claim more")]
    TooManyClaims {
        /// Who.
        user: UserName,
        /// How many that are.
        limit: u32,
    },
    /// A key is to be registered for somebody who has no part in the project.
    #[error("{user} is no member of {project}, and keys are those of members alone")]
    NotMember {
        /// Who.
        user: String,
        /// Of what.
        project: ProjectName,
    },
    /// A key is somebody else's.
    #[error("the key {keyid} is registered for another user, and a key is never shared")]
    KeyOfAnother {
        /// The key's id.
        keyid: String,
    },
    /// It says more than a row of the journal holds.
    #[error("the claim says more than a claim can: {len} bytes")]
    TooLong {
        /// How many bytes its row would have.
        len: usize,
    },
    /// A file's name is taken.
    #[error("{filename} is in the index already")]
    FileThere {
        /// The name.
        filename: String,
    },
}

/// Why a release was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Whoever sends it may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It cannot be, as things stand.
    #[error(transparent)]
    Release(#[from] ReleaseDenied),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ReleaseError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

impl From<AdmitError> for ReleaseError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Denied(denied) => Self::Denied(denied),
            AdmitError::Store(error) => Self::Store(error),
        }
    }
}

impl Store {
    /// Whether a project is claimed, as far as the catalogue knows.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn is_claimed(&self, project: &ProjectName) -> Result<bool, StoreError> {
        let claimed = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM claim WHERE project = ? AND published)",
        )
        .bind(project.as_str())
        .fetch_one(&mut *self.reader().await?)
        .await?;
        Ok(claimed)
    }

    /// Whether somebody may send this release, as it is at this moment. [`Store::admit_release`]
    /// asks once more.
    ///
    /// # Errors
    ///
    /// See [`Store::admit_release`].
    pub async fn demand_releaser(
        &self,
        project: &ProjectName,
        claim: Option<&NewClaim>,
        keys: Option<&NewKeys>,
        bearer: &Bearer,
        now: Timestamp,
    ) -> Result<(), ReleaseError> {
        let mut reader = self.reader().await?;
        examine(&mut reader, project, claim, keys, bearer, now).await
    }

    /// Records a signed release: its row of the journal, what stands beside it, the rows of its new
    /// files, the claim if it is one, and rows of the audit log, in one transaction. The objects of
    /// the files are in the tree; `kept` are those that may not be on the disk.
    ///
    /// It is durable with the next flush, as what [`Store::admit_from`] records.
    ///
    /// # Errors
    ///
    /// [`ReleaseError::Denied`], [`ReleaseError::Release`]; nothing is recorded then.
    pub async fn admit_release(
        &self,
        release: SignedRelease,
        parts: &ReleaseParts,
        files: &[NewFile],
        kept: &[KeptObject],
        by: ReleasedBy<'_>,
    ) -> Result<Seq, ReleaseError> {
        let ReleasedBy {
            bearer,
            address,
            at,
        } = by;
        let project = release.project.clone();
        let mut connection = self.deferring().await?;
        let mut transaction = immediately(&mut connection).await?;
        let (claim, keys) = (release.claim.clone(), release.keys.clone());
        let stated = (claim.as_ref(), keys.as_ref());
        examine(&mut transaction, &project, stated.0, stated.1, bearer, at).await?;
        let recovers = release.recovers.clone();
        if let Some(recovers) = &recovers {
            recovery::demand_recoverer(&mut transaction, &project, &recovers.keys, bearer, at)
                .await?;
        }
        let change = Change::ProjectSigned(release).to_text()?;
        let len = change.len();
        // A longer row is never read, and what it has registered would stay.
        if text::number(len as u64) > MAX_CHANGE_LEN {
            return Err(ReleaseDenied::TooLong { len }.into());
        }
        let seq = sqlx::query("INSERT INTO journal (change) VALUES (?)")
            .bind(change)
            .execute(&mut *transaction)
            .await?
            .last_insert_rowid();
        remove_orphans(&mut transaction).await?;
        sqlx::query("INSERT INTO release_part (seq, project, metadata, page) VALUES (?, ?, ?, ?)")
            .bind(seq)
            .bind(project.as_str())
            .bind(parts.metadata.as_slice())
            .bind(parts.page.as_slice())
            .execute(&mut *transaction)
            .await?;
        for file in files {
            add_file(&mut transaction, seq, file).await?;
        }
        if let Some(claim) = &claim {
            register(&mut transaction, seq, &project, claim, bearer, at).await?;
            let keys: Vec<&str> = claim.keys.iter().map(|key| key.keyid.as_str()).collect();
            let entry = AuditEntry::new(at, bearer.actor(), AuditAction::ProjectClaimed)
                .in_project(&project)
                .from_address(address)
                .saying(format!("{} of {}", claim.threshold, keys.join(", ")));
            audit::append(&mut transaction, &entry).await?;
        }
        if let Some(keys) = &keys {
            register_keys(&mut transaction, seq, &project, &keys.added).await?;
            let added = keys.added.iter().map(|key| key.keyid.as_str());
            let added: Vec<&str> = added.collect();
            let entry = AuditEntry::new(at, bearer.actor(), AuditAction::ProjectKeysChanged)
                .in_project(&project)
                .from_address(address)
                .saying(format!(
                    "adds [{}], removes [{}]",
                    added.join(", "),
                    keys.removed.join(", ")
                ));
            audit::append(&mut transaction, &entry).await?;
        }
        if let Some(recovers) = &recovers {
            register_keys(&mut transaction, seq, &project, &recovers.keys).await?;
            let entry = recovery::entry(AuditAction::ProjectRecovered, &project, recovers, by);
            audit::append(&mut transaction, &entry).await?;
        }
        let entry = AuditEntry::new(at, bearer.actor(), AuditAction::ReleaseAccepted)
            .in_project(&project)
            .from_address(address)
            .saying(format!("{} new files", files.len()));
        audit::append(&mut transaction, &entry).await?;
        let seq = Seq(text::unsigned("journal position", seq)?);
        if !kept.is_empty() {
            let mut rows = QueryBuilder::new("");
            kept::push(&mut rows, seq, kept);
            rows.build().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        self.signals().admitted.notify_one();
        Ok(seq)
    }

    /// What stands beside the row of a release; none where that was decided about, or is longer than
    /// anything that is taken in.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn release_parts(&self, seq: Seq) -> Result<Option<ReleaseParts>, StoreError> {
        // The lengths come from the row's header: what is too long is never in memory.
        let row: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT metadata, page FROM release_part WHERE seq = ? \
             AND octet_length(metadata) <= ? AND octet_length(page) <= ?",
        )
        .bind(text::number(seq.0))
        .bind(text::number(MAX_RELEASE_METADATA_LEN as u64))
        .bind(text::number(MAX_RELEASE_PAGE_LEN as u64))
        .fetch_optional(&mut *self.reader().await?)
        .await?;
        Ok(row.map(|(metadata, page)| ReleaseParts { metadata, page }))
    }
}

async fn examine(
    connection: &mut SqliteConnection,
    project: &ProjectName,
    claim: Option<&NewClaim>,
    keys: Option<&NewKeys>,
    bearer: &Bearer,
    now: Timestamp,
) -> Result<(), ReleaseError> {
    let project = project.clone();
    if !role::exists(connection, &project).await? {
        return Err(ReleaseDenied::NoProject { project }.into());
    }
    demand_member(connection, bearer, &project, now).await?;
    // What was decided about, or has no row, keeps nobody waiting.
    let is_pending: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM release_part WHERE project = ? \
         AND seq IN (SELECT seq FROM journal) AND seq NOT IN (SELECT seq FROM outcome))",
    )
    .bind(project.as_str())
    .fetch_one(&mut *connection)
    .await?;
    if is_pending {
        return Err(ReleaseDenied::Pending { project }.into());
    }
    let known: Option<bool> = sqlx::query_scalar("SELECT published FROM claim WHERE project = ?")
        .bind(project.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    // What lies in the settings of a pipeline is not to take a project over for good.
    let for_good = claim.is_some() || keys.is_some();
    if let Scope::UploadTo(_) | Scope::UploadToSeveral(_) = bearer.scope()
        && for_good
    {
        return Err(ReleaseDenied::ProjectToken.into());
    }
    if let Some(keys) = keys {
        demand_owners_of(connection, &project, &keys.added).await?;
    }
    let Some(claim) = claim else {
        // A catalogue that was rebuilt does not know: the snapshot process does.
        return Ok(());
    };
    if known.is_some() {
        return Err(ReleaseDenied::Claimed { project }.into());
    }
    let user = bearer.user();
    if role::role_of(connection, &project, user).await? != Some(Role::Owner) {
        let user = user.clone();
        return Err(ReleaseDenied::NotOwner { user, project }.into());
    }
    let claims: i64 = sqlx::query_scalar("SELECT count(*) FROM claim WHERE person = ?")
        .bind(user.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if claims >= i64::from(MAX_CLAIMS_PER_USER) {
        let (user, limit) = (user.clone(), MAX_CLAIMS_PER_USER);
        return Err(ReleaseDenied::TooManyClaims { user, limit }.into());
    }
    demand_owners_of(connection, &project, &claim.keys).await
}

/// Whether keys can be registered for the users that they are said to be of: members of the project,
/// and a key that is registered stays with whom it was registered for.
pub(crate) async fn demand_owners_of(
    connection: &mut SqliteConnection,
    project: &ProjectName,
    keys: &[ClaimedKey],
) -> Result<(), ReleaseError> {
    for key in keys {
        let whose: Option<String> =
            sqlx::query_scalar("SELECT person FROM developer_key WHERE keyid = ? LIMIT 1")
                .bind(&key.keyid)
                .fetch_optional(&mut *connection)
                .await?;
        if whose.is_some_and(|whose| whose != key.maintainer) {
            let keyid = key.keyid.clone();
            return Err(ReleaseDenied::KeyOfAnother { keyid }.into());
        }
        let is_member = match key.maintainer.parse::<UserName>() {
            Ok(user) => role::role_of(connection, project, &user).await?.is_some(),
            Err(_) => false,
        };
        if !is_member {
            let (user, project) = (key.maintainer.clone(), project.clone());
            return Err(ReleaseDenied::NotMember { user, project }.into());
        }
    }
    Ok(())
}

/// Removes what stands beside rows of the journal that are not there, or were decided about: what a
/// restored backup may hold, or somebody has written who can write to the database.
async fn remove_orphans(transaction: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM release_part WHERE seq NOT IN (SELECT seq FROM journal) \
         OR seq IN (SELECT seq FROM outcome)",
    )
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

async fn add_file(
    transaction: &mut SqliteConnection,
    seq: i64,
    file: &NewFile,
) -> Result<(), ReleaseError> {
    let added = sqlx::query(
        "INSERT INTO file (seq, size, uploaded_at, uploaded_by, yanked, back_signed, project, \
         filename, sha256, gpg_signature_sha256, provenance_sha256) \
         VALUES (?, ?, ?, ?, NULL, 0, ?, ?, ?, NULL, NULL) ON CONFLICT DO NOTHING",
    )
    .bind(seq)
    .bind(text::number(file.size))
    .bind(file.uploaded_at.to_string())
    .bind(&file.uploaded_by)
    .bind(file.project.as_str())
    .bind(&file.filename)
    .bind(file.sha256.to_string())
    .execute(&mut *transaction)
    .await?;
    if added.rows_affected() == 0 {
        let filename = file.filename.clone();
        return Err(ReleaseDenied::FileThere { filename }.into());
    }
    Ok(())
}

async fn register(
    transaction: &mut SqliteConnection,
    seq: i64,
    project: &ProjectName,
    claim: &NewClaim,
    bearer: &Bearer,
    at: Timestamp,
) -> Result<(), ReleaseError> {
    sqlx::query("INSERT INTO claim (project, person, seq, claimed_at) VALUES (?, ?, ?, ?)")
        .bind(project.as_str())
        .bind(bearer.user().as_str())
        .bind(seq)
        .bind(at.to_string())
        .execute(&mut *transaction)
        .await?;
    register_keys(transaction, seq, project, &claim.keys).await
}

async fn register_keys(
    transaction: &mut SqliteConnection,
    seq: i64,
    project: &ProjectName,
    keys: &[ClaimedKey],
) -> Result<(), ReleaseError> {
    for key in keys {
        sqlx::query(
            "INSERT INTO developer_key (keyid, project, person, seq) VALUES (?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&key.keyid)
        .bind(project.as_str())
        .bind(&key.maintainer)
        .bind(seq)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// Makes a published release in the catalogue.
pub(crate) async fn published(
    transaction: &mut SqliteConnection,
    seq: i64,
    release: &SignedRelease,
    serial: Seq,
) -> Result<(), StoreError> {
    serial::raise(transaction, &release.project, serial).await?;
    for statement in [
        "UPDATE file SET published = 1, removed = 0 WHERE seq = ?",
        "UPDATE claim SET published = 1 WHERE seq = ?",
        // The record of the snapshot has it by now.
        "DELETE FROM release_part WHERE seq = ?",
    ] {
        sqlx::query(statement)
            .bind(seq)
            .execute(&mut *transaction)
            .await?;
    }
    // Keys that go are free for others.
    let removed = release.keys.iter().flat_map(|keys| &keys.removed);
    for keyid in removed {
        sqlx::query("DELETE FROM developer_key WHERE keyid = ? AND project = ?")
            .bind(keyid)
            .bind(release.project.as_str())
            .execute(&mut *transaction)
            .await?;
    }
    match &release.recovers {
        Some(recovers) => recovery::recovered(transaction, &release.project, recovers).await,
        None => Ok(()),
    }
}

/// Forgets what a refused row has brought besides files: nothing, if it was no release.
pub(crate) async fn refused(
    transaction: &mut SqliteConnection,
    seq: i64,
) -> Result<(), StoreError> {
    // In one message to the thread of the connection.
    sqlx::query(
        "DELETE FROM developer_key WHERE seq = ?; \
         DELETE FROM claim WHERE seq = ? AND NOT published; \
         DELETE FROM release_part WHERE seq = ?",
    )
    .bind(seq)
    .bind(seq)
    .bind(seq)
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

/// Forgets a claim that has ended; those of its keys that no other claim names can be registered
/// anew, for whoever has them.
pub(crate) async fn ended(
    transaction: &mut SqliteConnection,
    project: &ProjectName,
) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM developer_key WHERE project = ?",
        "DELETE FROM claim WHERE project = ?",
    ] {
        sqlx::query(statement)
            .bind(project.as_str())
            .execute(&mut *transaction)
            .await?;
    }
    Ok(())
}
