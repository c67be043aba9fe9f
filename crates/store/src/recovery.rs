//! The way back of a project whose keys are all lost, as far as the catalogue has a part in it.
//!
//! ```text
//! RecoveryAsked ─▶ the notice, for everybody to see ─ the index's delay ─▶ a release that recovers
//! RecoveryEnded, or anything signed by the keys of before ─▶ no notice
//! ```
//!
//! What is checked here is who may ask. Whether the request holds, whether it stood for long enough, and
//! with which keys, is for the snapshot process to say.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::SqliteConnection;
use wheelmark_packaging::ProjectName;

use crate::audit::{self, AuditAction, AuditEntry};
use crate::authority::demand_member;
use crate::database::immediately;
use crate::journal::{MAX_CHANGE_LEN, append};
use crate::release::demand_owners_of;
use crate::{
    Bearer, Change, ClaimedKey, NewClaim, ReleaseDenied, ReleaseError, ReleasedBy, Role, Scope,
    Seq, Store, StoreError, role, text,
};

/// Keys that ask to sign for a project whose own are lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRecovery {
    /// The project.
    #[serde(with = "text")]
    pub project: ProjectName,
    /// The request, as every one of the keys has signed it.
    pub request: Value,
    /// The user who asks, as the web process says.
    pub by: String,
}

impl Store {
    /// Whether somebody may ask for this, or take it back, as it is at this moment: an owner of the
    /// project, and not with a token for it alone.
    ///
    /// # Errors
    ///
    /// [`ReleaseError::Denied`], [`ReleaseError::Release`].
    pub async fn demand_recoverer(
        &self,
        project: &ProjectName,
        keys: &[ClaimedKey],
        bearer: &Bearer,
        now: Timestamp,
    ) -> Result<(), ReleaseError> {
        let mut reader = self.reader().await?;
        demand_recoverer(&mut reader, project, keys, bearer, now).await
    }

    /// Records that keys ask to sign for a project, and who asked: a row of the journal and one of the
    /// audit log, in one transaction.
    ///
    /// # Errors
    ///
    /// As [`Store::demand_recoverer`]; nothing is recorded then.
    pub async fn ask_recovery(
        &self,
        recovery: NewRecovery,
        wanted: &NewClaim,
        by: ReleasedBy<'_>,
    ) -> Result<Seq, ReleaseError> {
        let project = recovery.project.clone();
        let change = Change::RecoveryAsked(recovery);
        let entry = entry(AuditAction::RecoveryAsked, &project, wanted, by);
        self.record_recovery(&project, &change, &wanted.keys, &entry, by)
            .await
    }

    /// Records that nobody asks for that any more.
    ///
    /// # Errors
    ///
    /// As [`Store::demand_recoverer`]; nothing is recorded then.
    pub async fn end_recovery(
        &self,
        project: &ProjectName,
        by: ReleasedBy<'_>,
    ) -> Result<Seq, ReleaseError> {
        let change = Change::RecoveryEnded {
            project: project.clone(),
        };
        let entry = AuditEntry::new(by.at, by.bearer.actor(), AuditAction::RecoveryEnded)
            .in_project(project)
            .from_address(by.address);
        self.record_recovery(project, &change, &[], &entry, by)
            .await
    }

    async fn record_recovery(
        &self,
        project: &ProjectName,
        change: &Change,
        keys: &[ClaimedKey],
        entry: &AuditEntry,
        by: ReleasedBy<'_>,
    ) -> Result<Seq, ReleaseError> {
        let len = change.to_text()?.len();
        if text::number(len as u64) > MAX_CHANGE_LEN {
            return Err(ReleaseDenied::TooLong { len }.into());
        }
        let mut connection = self.deferring().await?;
        let mut transaction = immediately(&mut connection).await?;
        demand_recoverer(&mut transaction, project, keys, by.bearer, by.at).await?;
        let seq = append(&mut transaction, change).await?;
        audit::append(&mut transaction, entry).await?;
        transaction.commit().await?;
        self.signals().admitted.notify_one();
        Ok(seq)
    }
}

/// Whether somebody may take a project over for good, with keys that can be registered.
pub(crate) async fn demand_recoverer(
    connection: &mut SqliteConnection,
    project: &ProjectName,
    keys: &[ClaimedKey],
    bearer: &Bearer,
    now: Timestamp,
) -> Result<(), ReleaseError> {
    let project = project.clone();
    if !role::exists(connection, &project).await? {
        return Err(ReleaseDenied::NoProject { project }.into());
    }
    demand_member(connection, bearer, &project, now).await?;
    if let Scope::UploadTo(_) | Scope::UploadToSeveral(_) = bearer.scope() {
        return Err(ReleaseDenied::ProjectToken.into());
    }
    let user = bearer.user();
    if role::role_of(connection, &project, user).await? != Some(Role::Owner) {
        let user = user.clone();
        return Err(ReleaseDenied::NotOwner { user, project }.into());
    }
    demand_owners_of(connection, &project, keys).await
}

/// What the audit log says of it.
pub(crate) fn entry(
    action: AuditAction,
    project: &ProjectName,
    wanted: &NewClaim,
    by: ReleasedBy<'_>,
) -> AuditEntry {
    let keys = wanted.keys.iter().map(|key| key.keyid.as_str());
    let keys: Vec<&str> = keys.collect();
    AuditEntry::new(by.at, by.bearer.actor(), action)
        .in_project(project)
        .from_address(by.address)
        .saying(format!("{} of {}", wanted.threshold, keys.join(", ")))
}

/// Frees the keys that were lost, for whoever may find them.
pub(crate) async fn recovered(
    transaction: &mut SqliteConnection,
    project: &ProjectName,
    recovers: &NewClaim,
) -> Result<(), StoreError> {
    let keys: Vec<Value> = recovers
        .keys
        .iter()
        .map(|key| key.keyid.as_str().into())
        .collect();
    sqlx::query(
        "DELETE FROM developer_key WHERE project = ? \
         AND keyid NOT IN (SELECT value FROM json_each(?))",
    )
    .bind(project.as_str())
    .bind(Value::from(keys).to_string())
    .execute(&mut *transaction)
    .await?;
    Ok(())
}
