//! Releases that wait for signatures of several people: `/_/projects/<project>/staged`.
//!
//! ```text
//! release::examined ─▶ take (Signed: whose keys?) ─▶ folder ─▶ 202
//! a signature ─▶ Signed::check ─▶ folder ─▶ enough? ─▶ go_on: files once more ─▶ release::publish
//! ```
//!
//! A release goes on as soon as enough have signed, the way of every release. What is looked at here
//! (whose signature it is, on what it was built) says whether it is worth sending; the snapshot process
//! decides. What lies in the folder is believed by nobody: when it goes on, its files are held against
//! its page as if they had just come.

mod chain;
mod change;
mod error;
mod folder;
mod going_on;
mod requests;
mod signed;
mod unsigned;

use axum::response::Response;
use jiff::SignedDuration;
use serde::Serialize;
use wheelmark_objects::page_target;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{AuditAction, AuditEntry, FileState, ReleaseParts, SignedRelease};
use wheelmark_tuf::{Sha256, TargetInfo};

use self::chain::{Published, project_role, published};
use self::change::{Change, demand_handing};
use self::folder::{KeptSignature, Kind, Staged, StagedFile};
use self::signed::{Rule, Sent, Signed, keys_of_claim};
use super::error::UploadError;
use super::release;
use super::release::form::Received;
use super::uploader::Uploader;
use crate::app::Publishing;

pub(crate) use self::error::StagingError;
pub(crate) use self::folder::Folder;
pub use self::folder::{
    MAX_STAGED_FILES, MAX_STAGED_LEN, MAX_STAGED_PER_USER, MAX_STAGED_RELEASES, STAGED_FOR,
};
pub(crate) use self::going_on::resume;
use self::going_on::settle;
pub(crate) use self::requests::{file, list, one, sign, withdraw};
pub(super) use self::unsigned::take_unsigned;

/// How far the time at which a file was signed may be from that of its receipt (PEP 480, *Uploading*).
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// How much of a file is read at a time, in bytes.
const PIECE_LEN: usize = 256 * 1024;

/// How things stand with something that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// Nobody has signed it.
    Unsigned,
    /// It is signed by fewer than have to.
    Waiting,
    /// It is signed by all who have to, and has not gone on yet.
    Signed,
    /// Another release was published since, or other keys sign now: it can never go on.
    Stale,
    /// It is published.
    Published,
}

/// What people are told about something that waits.
#[derive(Debug, Serialize)]
struct Told {
    id: Sha256,
    kind: Kind,
    project: ProjectName,
    state: State,
    received_at: String,
    ends_at: String,
    /// Who sent it.
    user: String,
    files: Vec<StagedFile>,
    #[serde(flatten)]
    signing: Option<Signing>,
}

/// Who has signed a release, and who still has to.
#[derive(Debug, Serialize)]
struct Signing {
    /// The version of the project's role that it is.
    version: u64,
    claim: bool,
    threshold: u32,
    signed: Vec<String>,
    /// Those of whom as many have to sign as are missing.
    others: Vec<String>,
    /// Which keys come and go with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
}

/// A release that waits, read.
struct Opened {
    signed: Signed,
    version: u64,
    state: State,
    page: Vec<u8>,
}

impl Opened {
    fn told(&self, staged: &Staged) -> Told {
        let signing = Signing {
            version: self.version,
            claim: staged.claim.is_some(),
            threshold: self.signed.threshold(),
            signed: self.signed.by(),
            others: self.signed.others(),
            change: self.signed.brings().map(Change::of),
        };
        Told {
            signing: Some(signing),
            ..Told::of(staged, self.state)
        }
    }
}

impl Told {
    fn of(staged: &Staged, state: State) -> Told {
        Told {
            id: staged.id,
            kind: staged.kind,
            project: staged.project.clone(),
            state,
            received_at: staged.received_at.to_string(),
            ends_at: staged.ends_at().to_string(),
            user: staged.user.clone(),
            files: staged.files.clone(),
            signing: None,
        }
    }
}

impl Publishing {
    fn folder(&self) -> Result<&Folder, StagingError> {
        self.staging.as_deref().ok_or(StagingError::Off)
    }
}

/// Takes a release that has arrived into the folder, and sends it on if it is signed by all who have
/// to.
pub(super) async fn take(
    publishing: &Publishing,
    project: ProjectName,
    received: Received,
    uploader: &Uploader,
) -> Result<Response, UploadError> {
    let folder = publishing.folder()?;
    let now = publishing.clock.now();
    let Received {
        release,
        parts,
        contents,
    } = received;
    let there = published(&publishing.tree, &project, now).await?;
    let signed = signed_of(&project, &release, &parts, &there)?;
    let id = signed.id();
    let ready = release::examined(publishing, &project, &parts.page, contents).await?;
    for (entry, ..) in &ready {
        // The snapshot process asks for it at the end; it is told at the beginning.
        if entry.signed_at.duration_since(release.received_at).abs() > CLOCK_TOLERANCE {
            return Err(StagingError::Malformed {
                what: format!("{} was signed more than ten minutes ago", entry.filename),
            }
            .into());
        }
    }
    // Without what does not count.
    let parts = ReleaseParts {
        metadata: signed.metadata(),
        ..parts
    };
    let files = ready.iter().map(|(entry, content, _)| StagedFile {
        filename: entry.filename.to_string(),
        sha256: content.sha256,
        size: content.len,
    });
    let staged = Staged {
        id,
        kind: Kind::Release,
        project: project.clone(),
        received_at: release.received_at,
        user: uploader.bearer.user().to_string(),
        token: uploader.bearer.id().to_string(),
        claim: release.claim,
        keys: release.keys,
        files: files.collect(),
        parts_len: (parts.metadata.len() + parts.page.len()) as u64,
    };
    let contents = ready.into_iter().map(|(_, content, _)| content).collect();
    if folder.add(&staged, Some(parts), contents, now).await? {
        note(
            publishing,
            uploader,
            &staged,
            AuditAction::ReleaseStaged,
            &signed.by(),
        )
        .await?;
        tracing::info!(%project, %id, "a release waits for signatures");
    } else {
        // The same release once more brings whoever has signed it this time.
        for (keyid, sig, handover) in signed.signatures() {
            let staged = folder.find(&project, &id.to_string(), now).await?;
            let handover = handover.as_deref();
            let sent = Sent {
                keyid,
                sig: &sig,
                handover,
            };
            keep_signature(publishing, &staged, sent, uploader).await?;
        }
    }
    settle(publishing, &project, &id, uploader).await
}

/// Reads what was signed, if it is the project's next version and somebody has signed it whose key
/// counts.
fn signed_of(
    project: &ProjectName,
    release: &SignedRelease,
    parts: &ReleaseParts,
    there: &Published,
) -> Result<Signed, StagingError> {
    let rule = match (&release.claim, &there.claimed) {
        (Some(claim), None) => Rule::Claim(keys_of_claim(claim)?),
        (None, Some(claimed)) => Rule::Project(project, claimed),
        (Some(_), Some(_)) => {
            return Err(StagingError::Malformed {
                what: format!("{project} is claimed already"),
            });
        }
        (None, None) => {
            let project = project.to_string();
            return Err(StagingError::NotClaimed { project });
        }
    };
    let signed = Signed::read(&parts.metadata, &[], &rule)?;
    let role = signed.role(project.as_str())?;
    let malformed = |what: &str| StagingError::Malformed {
        what: what.to_owned(),
    };
    if role.stated_role() != Some(project_role(project)?.as_str()) {
        return Err(malformed("the metadata is not that of the project's role"));
    }
    if let Rule::Claim(keys) = &rule {
        // What is signed says for which keys: the signatures are good for no other claim.
        let mut named = role.clone().into_inner();
        named.state_claim(keys);
        if named.extra != role.extra {
            return Err(malformed(
                "the metadata does not say of which keys it is a claim",
            ));
        }
    }
    let page = TargetInfo::new(parts.page.len() as u64, Sha256::of(&parts.page));
    if role.targets.get(&page_target(project)) != Some(&page) {
        return Err(malformed(
            "the metadata does not list the page that came with it",
        ));
    }
    let (version, published) = (role.version, there.version);
    if version <= published {
        return Err(StagingError::Stale { version, published });
    }
    if version > published.saturating_add(1) {
        let next = published.saturating_add(1);
        return Err(StagingError::Version { version, next });
    }
    demand_handing(release, &signed, version)?;
    Ok(signed)
}

/// Reads a release that waits, and finds out how things stand with it.
async fn open(publishing: &Publishing, staged: &Staged) -> Result<Opened, StagingError> {
    let folder = publishing.folder()?;
    let parts = folder.parts(&staged.id).await?;
    let later = folder.signatures(&staged.id).await?;
    let there = published(&publishing.tree, &staged.project, publishing.clock.now()).await?;
    // What is published already may bring what waits, which then brings nothing more.
    let is_there = there.signed == Some(staged.id);
    let rule = match (&staged.claim, &there.claimed) {
        (Some(claim), _) => Rule::Claim(keys_of_claim(claim)?),
        (None, Some(claimed)) => Rule::Project(&staged.project, claimed),
        (None, None) => {
            let project = staged.project.to_string();
            return Err(StagingError::NotClaimed { project });
        }
    };
    let signed = match Signed::read(&parts.metadata, &later, &rule) {
        Ok(signed) => signed,
        // Other handovers are published now than those that it carries on.
        Err(_) if !is_there => Signed::unfit(&parts.metadata)?,
        Err(error) => return Err(error),
    };
    // Its form was looked at when it came; under other keys than then, nobody's signature may count.
    let version = signed
        .role(staged.project.as_str())
        .map(|role| role.version);
    let state = match &version {
        _ if is_there => State::Published,
        Ok(version) if there.version.checked_add(1) != Some(*version) => State::Stale,
        Ok(_) if staged.claim.is_some() && there.claimed.is_some() => State::Stale,
        Ok(_) if signed.is_enough() => State::Signed,
        Ok(_) => State::Waiting,
        Err(_) => State::Stale,
    };
    Ok(Opened {
        version: version.unwrap_or_default(),
        signed,
        state,
        page: parts.page,
    })
}

/// Keeps a signature that has come, and sends the release on if it was the last one.
async fn add_signature(
    publishing: &Publishing,
    staged: &Staged,
    sent: Sent<'_>,
    uploader: &Uploader,
) -> Result<Response, UploadError> {
    let opened = open(publishing, staged).await?;
    if opened.state == State::Stale {
        let there = published(&publishing.tree, &staged.project, publishing.clock.now()).await?;
        return Err(StagingError::Stale {
            version: opened.version,
            published: there.version,
        }
        .into());
    }
    opened.signed.check(sent)?;
    if !opened.signed.by().iter().any(|known| known == sent.keyid) {
        keep_signature(publishing, staged, sent, uploader).await?;
    }
    settle(publishing, &staged.project, &staged.id, uploader).await
}

/// Keeps a signature that counts.
async fn keep_signature(
    publishing: &Publishing,
    staged: &Staged,
    sent: Sent<'_>,
    uploader: &Uploader,
) -> Result<(), UploadError> {
    let signature = KeptSignature {
        keyid: sent.keyid.to_owned(),
        sig: sent.sig.to_owned(),
        handover: sent.handover.map(str::to_owned),
        token: uploader.bearer.id().to_string(),
        at: publishing.clock.now(),
    };
    publishing.folder()?.sign(&staged.id, signature).await?;
    let (action, keys) = (AuditAction::ReleaseSigned, [sent.keyid.to_owned()]);
    note(publishing, uploader, staged, action, &keys).await
}

/// Everything that waits in a project. What is published waits no longer.
async fn all_of(publishing: &Publishing, project: &ProjectName) -> Result<Vec<Told>, UploadError> {
    let folder = publishing.folder()?;
    let all = folder.all(publishing.clock.now()).await?;
    let mut told = Vec::new();
    for staged in all.iter().filter(|staged| staged.project == *project) {
        let one = told_of(publishing, staged).await?;
        match one.state {
            State::Published => folder.remove(&staged.id).await?,
            _ => told.push(one),
        }
    }
    Ok(told)
}

async fn told_of(publishing: &Publishing, staged: &Staged) -> Result<Told, UploadError> {
    match staged.kind {
        Kind::Release => Ok(match open(publishing, staged).await {
            Ok(opened) => opened.told(staged),
            // Nobody signs for the project any more.
            Err(StagingError::NotClaimed { .. }) => Told::of(staged, State::Stale),
            Err(error) => return Err(error.into()),
        }),
        Kind::File => {
            let mut state = State::Unsigned;
            for file in &staged.files {
                let row = publishing
                    .store
                    .file(&staged.project, &file.filename)
                    .await?;
                if row.is_some_and(|row| row.state == FileState::Published) {
                    state = State::Published;
                }
            }
            Ok(Told::of(staged, state))
        }
    }
}

/// Writes down what somebody did with something that waits.
async fn note(
    publishing: &Publishing,
    uploader: &Uploader,
    staged: &Staged,
    action: AuditAction,
    keys: &[String],
) -> Result<(), UploadError> {
    let files = staged.files.iter().map(|file| file.filename.as_str());
    let files = files.collect::<Vec<_>>().join(", ");
    let detail = match keys {
        [] => files,
        keys => format!("by {}: {files}", keys.join(", ")),
    };
    let entry = AuditEntry::new(publishing.clock.now(), uploader.bearer.actor(), action)
        .in_project(&staged.project)
        .of(staged.id.to_string())
        .from_address(uploader.from.0)
        .saying(detail);
    Ok(publishing.store.audit(&entry).await?)
}
