//! The catalogue after the index has gone back to an earlier state: its rows say what is signed again.
//!
//! Whoever had the index in their hands may have written here what they liked, and changes that were
//! dropped stand here as published. So what a project's rows say of files, states, certificates and claims
//! is taken from its signed page. Users, tokens, owners and maintainers stay: nothing that is signed says
//! who they are.

use sqlx::SqliteConnection;
use wheelmark_packaging::ProjectName;

use crate::intent::fenced;
use crate::{Fence, IntentError, NewFile, RebuiltClaim, RebuiltProject, Seq, Store, StoreError};
use crate::{release, serial, text};

impl Store {
    /// Lets the rows of `projects` say what their signed pages say, and takes away the files and claims of
    /// those that are `gone`; a project without files keeps its row, and so its owners. `through` is the
    /// position up to which the journal is followed, `serial` the serial number of the snapshot, which has the
    /// version `snapshot_version`. What stands in the rows now is not believed to be anything: not even text.
    ///
    /// Doing it again is right. It is durable with the next flush.
    ///
    /// # Errors
    ///
    /// [`IntentError::Fenced`] if the lease was taken over. Nothing is changed then.
    pub async fn put_right(
        &self,
        fence: Fence,
        (through, serial): (Seq, Seq),
        snapshot_version: u64,
        projects: &[RebuiltProject],
        gone: &[ProjectName],
    ) -> Result<(), IntentError> {
        let mut connection = self.deferring().await?;
        let mut transaction = fenced(&mut connection, fence).await?;
        let position = position(&mut transaction, through, snapshot_version).await?;
        for project in projects {
            put_project(&mut transaction, project, serial, position).await?;
        }
        for project in gone {
            for statement in [
                "DELETE FROM file WHERE project = ? AND (published OR removed)",
                "UPDATE project SET status = 'active', status_reason = NULL, certificates = NULL, \
                 signature_required = 0 WHERE name = ?",
            ] {
                sqlx::query(statement)
                    .bind(project.as_str())
                    .execute(&mut *transaction)
                    .await?;
            }
            release::ended(&mut transaction, project).await?;
            serial::raise(&mut transaction, project, serial).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// A row of the journal that was followed, for the files that none has brought. Whoever had the catalogue may
/// have emptied it: then there is one more, of which nothing comes.
async fn position(
    transaction: &mut SqliteConnection,
    through: Seq,
    snapshot_version: u64,
) -> Result<i64, StoreError> {
    let last = text::number(through.0.max(1));
    let known: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM journal WHERE seq <= ?")
        .bind(last)
        .fetch_one(&mut *transaction)
        .await?;
    if let Some(known) = known {
        return Ok(known);
    }
    sqlx::query("INSERT INTO journal (seq, change) VALUES (?, '')")
        .bind(last)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO outcome (seq, snapshot_version) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(last)
        .bind(text::number(snapshot_version))
        .execute(&mut *transaction)
        .await?;
    Ok(last)
}

async fn put_project(
    transaction: &mut SqliteConnection,
    project: &RebuiltProject,
    serial: Seq,
    position: i64,
) -> Result<(), StoreError> {
    let (armored, required) = match &project.certificates {
        Some(certificates) => (Some(certificates.armored.as_str()), certificates.required),
        None => (None, false),
    };
    sqlx::query(
        "INSERT INTO project (name, created_at, serial, status, status_reason, certificates, \
         signature_required) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET \
         serial = max(serial, excluded.serial), status = excluded.status, \
         status_reason = excluded.status_reason, certificates = excluded.certificates, \
         signature_required = excluded.signature_required",
    )
    .bind(project.name.as_str())
    .bind(project.created_at.to_string())
    .bind(text::number(serial.0))
    .bind(project.status.status.as_str())
    .bind(project.status.reason.as_deref())
    .bind(armored)
    .bind(required)
    .execute(&mut *transaction)
    .await?;
    // Those that wait in the journal are answered by their rows there.
    let known: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT CAST(filename AS BLOB), CAST(sha256 AS BLOB) FROM file \
         WHERE project = ? AND (published OR removed)",
    )
    .bind(project.name.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    for (filename, sha256) in known {
        let is_it = |(file, _): &(NewFile, bool)| {
            file.filename.as_bytes() == filename && file.sha256.to_string().as_bytes() == sha256
        };
        if !project.files.iter().any(is_it) {
            sqlx::query("DELETE FROM file WHERE project = ? AND CAST(filename AS BLOB) = ?")
                .bind(project.name.as_str())
                .bind(filename)
                .execute(&mut *transaction)
                .await?;
        }
    }
    for (file, removed) in &project.files {
        put_file(transaction, file, *removed, position).await?;
    }
    // A claim that stands keeps its rows: whose its keys are is registered there.
    match &project.claim {
        Some(claim) => put_claim(transaction, &project.name, claim, position).await,
        None => release::ended(transaction, &project.name).await,
    }
}

async fn put_file(
    transaction: &mut SqliteConnection,
    file: &NewFile,
    removed: bool,
    position: i64,
) -> Result<(), StoreError> {
    let signature = file.gpg_signature.map(|found| found.sha256.to_string());
    let provenance = file.provenance_sha256.map(|found| found.to_string());
    sqlx::query(
        "INSERT INTO file (seq, project, filename, sha256, size, uploaded_at, uploaded_by, \
         published, removed, yanked, back_signed, gpg_signature_sha256, provenance_sha256) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (project, filename) DO UPDATE SET sha256 = excluded.sha256, \
         size = excluded.size, published = excluded.published, removed = excluded.removed, \
         yanked = excluded.yanked, back_signed = excluded.back_signed, \
         gpg_signature_sha256 = excluded.gpg_signature_sha256, \
         provenance_sha256 = excluded.provenance_sha256",
    )
    .bind(position)
    .bind(file.project.as_str())
    .bind(&file.filename)
    .bind(file.sha256.to_string())
    .bind(text::number(file.size))
    .bind(file.uploaded_at.to_string())
    .bind(&file.uploaded_by)
    .bind(!removed)
    .bind(removed)
    .bind(&file.yanked)
    .bind(file.back_signed)
    .bind(signature)
    .bind(provenance)
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

async fn put_claim(
    transaction: &mut SqliteConnection,
    project: &ProjectName,
    claim: &RebuiltClaim,
    seq: i64,
) -> Result<(), StoreError> {
    // Whoever claimed it has registered the first key.
    let person = claim.keys.first().map_or("", |(_, user)| user.as_str());
    sqlx::query(
        "INSERT INTO claim (project, person, seq, claimed_at, published) VALUES (?, ?, ?, ?, 1) \
         ON CONFLICT (project) DO UPDATE SET claimed_at = excluded.claimed_at, published = 1",
    )
    .bind(project.as_str())
    .bind(person)
    .bind(seq)
    .bind(claim.claimed_at.to_string())
    .execute(&mut *transaction)
    .await?;
    let known: Vec<String> =
        sqlx::query_scalar("SELECT keyid FROM developer_key WHERE project = ?")
            .bind(project.as_str())
            .fetch_all(&mut *transaction)
            .await?;
    for keyid in known {
        if !claim.keys.iter().any(|(named, _)| *named == keyid) {
            sqlx::query("DELETE FROM developer_key WHERE keyid = ? AND project = ?")
                .bind(keyid)
                .bind(project.as_str())
                .execute(&mut *transaction)
                .await?;
        }
    }
    for (keyid, user) in &claim.keys {
        sqlx::query(
            "INSERT INTO developer_key (keyid, project, person, seq) VALUES (?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(keyid)
        .bind(project.as_str())
        .bind(user)
        .bind(seq)
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}
