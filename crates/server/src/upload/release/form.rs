//! The form of a release, in its order: what it is, the metadata, the page, the files.
//!
//! What was signed comes first, so that whoever may not send it is told so before the files are.

use std::collections::BTreeMap;

use multer::Multipart;
use serde::Deserialize;
use serde_json::Value;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{
    MAX_RELEASE_METADATA_LEN, MAX_RELEASE_PAGE_LEN, ReleaseParts, SignedRelease,
};
use wheelmark_tuf::{Key, RoleKeys, Sha256, Targets, verify};

use super::{Way, new_claim, new_keys};
use crate::app::Publishing;
use crate::pace::Pace;
use crate::upload::error::UploadError;
use crate::upload::receive::FormParts;
use crate::upload::sink::{Body, Content, Sink};
use crate::upload::source::Source;
use crate::upload::uploader::Uploader;

/// Most files of one release; the snapshot process takes no more, either.
const MAX_FILES: usize = 256;

/// Longest statement of what a release is, in bytes: some dozens of keys.
const MAX_STATED_LEN: usize = 64 * 1024;

/// Most keys of a claim; the snapshot process takes no more, either.
const MAX_KEYS: usize = 16;

/// How many bytes of files stay in memory, all together. What is more goes to the disk while it is
/// looked at.
const MAX_IN_MEMORY: u64 = 8 * 1024 * 1024;

/// What a release says it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stated {
    /// Whose keys sign from now on, where it is a claim.
    #[serde(default)]
    pub(super) claim: Option<StatedClaim>,
    /// Which keys come in and which go, where the project hands over to others.
    #[serde(default)]
    pub(super) keys: Option<StatedChange>,
    /// Whose keys sign from now on, where all of before are lost.
    #[serde(default)]
    pub(super) recovers: Option<StatedClaim>,
}

/// Which keys are to come in and to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatedChange {
    pub(super) added: Vec<StatedKey>,
    pub(super) removed: Vec<String>,
}

/// Whose keys are to sign for a project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatedClaim {
    pub(super) keys: Vec<StatedKey>,
    pub(super) threshold: u32,
}

/// A key as TUF metadata states it, under its id.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatedKey {
    pub(super) keyid: String,
    pub(super) key: Value,
    /// The user whose it is; who sends it, where that is not said.
    #[serde(default)]
    pub(super) maintainer: Option<String>,
}

/// A release that has arrived whole.
pub(in crate::upload) struct Received {
    pub(in crate::upload) release: SignedRelease,
    pub(in crate::upload) parts: ReleaseParts,
    pub(in crate::upload) contents: Vec<Content>,
}

/// Reads the form. Files go to temporary files, which are gone again when this fails or its future is
/// dropped.
pub(super) async fn receive(
    publishing: &Publishing,
    project: &ProjectName,
    uploader: &Uploader,
    source: &Source,
    boundary: String,
    way: Way,
) -> Result<Received, UploadError> {
    let mut form = FormParts {
        multipart: Multipart::new(source.clone(), boundary),
        source,
        pace: Pace::default(),
    };
    let stated = need(&mut form, "release", MAX_STATED_LEN).await?;
    let stated: Stated =
        serde_json::from_slice(&stated).map_err(|error| UploadError::MalformedRelease {
            what: format!("the field `release`: {error}"),
        })?;
    // Asked before anything that is long.
    let now = publishing.clock.now();
    let claim = new_claim(uploader, stated.claim.as_ref());
    let recovers = new_claim(uploader, stated.recovers.as_ref());
    let keys = new_keys(uploader, &stated);
    let (by, store) = (&uploader.bearer, &publishing.store);
    store
        .demand_releaser(project, claim.as_ref(), keys.as_ref(), by, now)
        .await?;
    if let Some(recovers) = &recovers {
        store
            .demand_recoverer(project, &recovers.keys, by, now)
            .await?;
    }
    let metadata = need(&mut form, "metadata", MAX_RELEASE_METADATA_LEN).await?;
    let page = need(&mut form, "page", MAX_RELEASE_PAGE_LEN).await?;
    if let Some(claim) = &stated.claim {
        demand_keys(&claim.keys, &metadata, way)?;
    }
    if let Some(recovers) = &stated.recovers {
        if way == Way::Staged || stated.claim.is_some() || stated.keys.is_some() {
            return Err(UploadError::MalformedRelease {
                what: "a recovery waits for nobody, and registers no other keys besides".to_owned(),
            });
        }
        demand_keys(&recovers.keys, &metadata, way)?;
    }
    if let Some(change) = &stated.keys {
        let many = change.added.len().max(change.removed.len()) > MAX_KEYS;
        if many || stated.claim.is_some() {
            return Err(UploadError::MalformedRelease {
                what: "at most 16 keys come in and go, and none with a claim".to_owned(),
            });
        }
        if !change.added.is_empty() {
            demand_keys(&change.added, &metadata, way)?;
        }
    }
    let received_at = publishing.clock.now();
    let parts = ReleaseParts { metadata, page };
    let release = SignedRelease {
        project: project.clone(),
        metadata_sha256: Sha256::of(&parts.metadata),
        page_sha256: Sha256::of(&parts.page),
        received_at,
        claim,
        keys,
        recovers,
    };

    let limits = publishing.store.project_limits(project).await?;
    let file_len = limits.file_len.unwrap_or(publishing.limits.file_len);
    let (mut contents, mut in_memory) = (Vec::new(), 0);
    while let Some(mut part) = form.next().await? {
        if part.name() != Some("content") {
            return Err(UploadError::MalformedRelease {
                what: "behind the page come files, in fields named `content`".to_owned(),
            });
        }
        if contents.len() >= MAX_FILES {
            return Err(UploadError::TooManyFields { limit: MAX_FILES });
        }
        // The request itself was counted as one.
        if !contents.is_empty() {
            publishing.door.count_upload(&uploader.bearer)?;
        }
        let stated_name = part.file_name().unwrap_or_default().to_owned();
        let mut sink = Sink::new(publishing.tree.incoming(), file_len);
        while let Some(piece) = form.piece(&mut part).await? {
            sink = sink.take(piece).await?;
        }
        let mut content = sink.finish(stated_name).await?;
        if matches!(content.body, Body::Memory(_)) {
            in_memory += content.len;
            if in_memory > MAX_IN_MEMORY {
                content = content.on_disk(publishing.tree.incoming()).await?;
            }
        }
        contents.push(content);
    }
    Ok(Received {
        release,
        parts,
        contents,
    })
}

/// Whether each of these keys is one, under its own id, and has signed: so that nobody keeps others
/// from registering theirs.
///
/// One that is staged is signed by some of them, and waits for the others: it registers no key before
/// all have signed.
fn demand_keys(stated: &[StatedKey], metadata: &[u8], way: Way) -> Result<(), UploadError> {
    let malformed = |what: &str| UploadError::MalformedRelease {
        what: what.to_owned(),
    };
    if stated.is_empty() || stated.len() > MAX_KEYS {
        return Err(malformed("a claim names 1 to 16 keys"));
    }
    let mut keys = BTreeMap::new();
    for stated in stated {
        let key = Key::from_value(stated.key.clone()).ok();
        let key = key.filter(|key| key.is_plain() && key.keyid().as_str() == stated.keyid);
        let key = key.ok_or_else(|| malformed("a key that comes in is none, or has another id"))?;
        keys.insert(key.keyid().clone(), key);
    }
    if way == Way::Staged {
        return Ok(());
    }
    let all = RoleKeys::new(keys.values(), u32::try_from(keys.len()).unwrap_or(u32::MAX));
    verify::<Targets>(metadata, &keys, &all).map_err(|error| {
        malformed(&format!(
            "not every key that comes in has signed it: {error}"
        ))
    })?;
    Ok(())
}

/// The next field, which has to be this one.
async fn need(
    form: &mut FormParts<'_>,
    field: &'static str,
    limit: usize,
) -> Result<Vec<u8>, UploadError> {
    let Some(mut part) = form.next().await? else {
        return Err(UploadError::Missing { field });
    };
    if part.name() != Some(field) {
        return Err(UploadError::MalformedRelease {
            what: format!(
                "the fields come in the order release, metadata, page, content: {field} is next"
            ),
        });
    }
    let value = form.value(&mut part, limit).await?;
    let value = value.ok_or(UploadError::ValueTooLong { field, limit })?;
    Ok(value.into())
}
