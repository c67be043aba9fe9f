//! Taking in what a project's own people have signed: `POST /_/projects/<project>/release`.
//!
//! `form::receive` (the signed part first, then the files) → `publish`: is each file what the page
//! says of it? → objects, then one row of the journal → `published`, as an upload.
//!
//! Nothing here decides whether what was signed holds: that is the snapshot process's to say, which
//! knows whose keys count. What is looked at here is what it does not look at: who sends it, and what
//! is inside of the files.

pub(super) mod form;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::EXPECT;
use http::request::Parts;
use serde::Serialize;
use tracing::Instrument as _;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::simple::{ProjectPage, ReleasedFile};
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_store::{
    ClaimedKey, FileState, KeptObject, NewClaim, NewFile, NewKeys, ReleaseParts, ReleasedBy, Seq,
    SignedRelease,
};
use wheelmark_tuf::Sha256;

use self::form::Received;
use super::error::UploadError;
use super::note::Note;
use super::placed::{Placed, place};
use super::record::{check_classifiers, check_sum, look_inside};
use super::sink::{Body, Content};
use super::source::Source;
use super::uploader::Uploader;
use super::{DRAIN_BYTES, DRAIN_TIME, boundary, published, refused, staging};
use crate::app::Publishing;
use crate::problem::Problem;

/// What somebody is told whose release is published.
#[derive(Debug, Serialize)]
pub(super) struct Released {
    pub(super) project: ProjectName,
    pub(super) files: Vec<String>,
    pub(super) snapshot_version: u64,
}

/// What is to become of a release that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It is signed by all who have to, and is published.
    AtOnce,
    /// It waits for the signatures of others.
    Staged,
}

/// Takes in a release.
pub(crate) async fn release(
    State(publishing): State<Publishing>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    take_in(&publishing, &project, request, Way::AtOnce).await
}

/// Takes in a release that others are still to sign.
pub(crate) async fn stage(
    State(publishing): State<Publishing>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    take_in(&publishing, &project, request, Way::Staged).await
}

async fn take_in(publishing: &Publishing, project: &str, request: Request, way: Way) -> Response {
    let (parts, body) = request.into_parts();
    let source = Source::new(body);
    match answer(publishing, project, &parts, &source, way).await {
        Ok(answer) => answer,
        Err(problem) => {
            // As for an upload.
            if !parts.headers.contains_key(EXPECT) || source.was_read() {
                source.drain(DRAIN_BYTES, DRAIN_TIME).await;
            }
            problem.into_response()
        }
    }
}

async fn answer(
    publishing: &Publishing,
    project: &str,
    parts: &Parts,
    source: &Source,
    way: Way,
) -> Result<Response, Problem> {
    let uploader = Uploader::of(publishing, parts).await.map_err(refused)?;
    let received = async {
        let project: ProjectName = project.parse().map_err(UploadError::Name)?;
        uploader.uploads(&project, "");
        let boundary = boundary(&parts.headers)?;
        let received =
            form::receive(publishing, &project, &uploader, source, boundary, way).await?;
        Ok((project, received))
    };
    let (project, received) = match received.await {
        Ok(received) => received,
        Err(error) => {
            uploader.note_refusal(publishing, &error).await;
            return Err(refused(error));
        }
    };
    // From here on nobody needs the connection, as with an upload.
    let publishing = publishing.clone();
    let finishing = async move {
        let taken = match way {
            Way::AtOnce => publish(&publishing, project, received, &uploader)
                .await
                .map(|released| Json(released).into_response()),
            Way::Staged => staging::take(&publishing, project, received, &uploader).await,
        };
        match taken {
            Ok(answer) => Ok(answer),
            Err(error) => {
                uploader.note_refusal(&publishing, &error).await;
                Err(refused(error))
            }
        }
    };
    match tokio::spawn(finishing.in_current_span()).await {
        Ok(answer) => answer,
        Err(_) => Err(refused(UploadError::Stopped)),
    }
}

/// The keys that somebody wants to register.
fn new_claim(uploader: &Uploader, stated: Option<&form::StatedClaim>) -> Option<NewClaim> {
    let claim = stated?;
    Some(NewClaim {
        threshold: claim.threshold,
        keys: registered(uploader, &claim.keys),
    })
}

/// The keys that somebody wants to change.
fn new_keys(uploader: &Uploader, stated: &form::Stated) -> Option<NewKeys> {
    let change = stated.keys.as_ref()?;
    Some(NewKeys {
        added: registered(uploader, &change.added),
        removed: change.removed.clone(),
    })
}

/// Keys with whose they are: those of whoever sends them, where nothing else is said.
fn registered(uploader: &Uploader, stated: &[form::StatedKey]) -> Vec<ClaimedKey> {
    let sender = uploader.bearer.user().as_str();
    let keys = stated.iter().map(|key| ClaimedKey {
        keyid: key.keyid.clone(),
        key: key.key.clone(),
        maintainer: key.maintainer.as_deref().unwrap_or(sender).to_owned(),
    });
    keys.collect()
}

/// The entries of released files, by name, as the page has them.
fn entries(
    project: &ProjectName,
    page: &[u8],
) -> Result<BTreeMap<String, ReleasedFile>, UploadError> {
    let malformed = |what: String| UploadError::MalformedRelease { what };
    let page = ProjectPage::parse(page).map_err(|error| malformed(error.to_string()))?;
    if page.name != *project {
        return Err(malformed(format!("the page is that of {}", page.name)));
    }
    let entries = page.files.iter();
    let entries = entries.filter_map(|entry| entry.as_released(project));
    Ok(entries
        .map(|file| (file.filename.as_str().to_owned(), file))
        .collect())
}

/// Publishes a release that is signed whole.
pub(super) async fn publish(
    publishing: &Publishing,
    project: ProjectName,
    received: Received,
    uploader: &Uploader,
) -> Result<Released, UploadError> {
    let Received {
        release,
        parts,
        contents,
    } = received;
    let ready = examined(publishing, &project, &parts.page, contents).await?;
    let names = ready.iter().map(|(entry, ..)| entry.filename.to_string());
    let names: Vec<String> = names.collect();
    let seq = {
        let _gates = publishing.gates.pass_all(&project, &names).await;
        record(publishing, release, &parts, ready, uploader).await?
    };
    let snapshot_version = published(publishing, seq).await?;
    tracing::info!(%project, files = names.len(), %seq, snapshot_version, "published a release");
    Ok(Released {
        project,
        files: names,
        snapshot_version,
    })
}

/// Looks whether the files of a release are what its page says of them, and can be published.
pub(super) async fn examined(
    publishing: &Publishing,
    project: &ProjectName,
    page: &[u8],
    contents: Vec<Content>,
) -> Result<Vec<Ready>, UploadError> {
    let mut entries = entries(project, page)?;
    let mut files = Vec::with_capacity(contents.len());
    for content in contents {
        let name = &content.stated_name;
        let entry = entries.remove(name);
        let entry = entry.ok_or_else(|| UploadError::NotReleased {
            filename: name.clone(),
        })?;
        demand_same(&entry, &content)?;
        files.push((entry, content));
    }
    demand_published(publishing, project, entries).await?;
    examine(publishing, project, files).await
}

/// Whether a file is the one that the page speaks of.
fn demand_same(entry: &ReleasedFile, content: &Content) -> Result<(), UploadError> {
    let differs = |what| UploadError::NotAsReleased {
        filename: entry.filename.to_string(),
        what,
    };
    if *content.sha256.as_bytes() != *entry.sha256.as_bytes() || content.len != entry.size {
        return Err(differs("SHA-256 or length"));
    }
    let chunks = content.chunks.as_deref().map(Sha256::of);
    if chunks.map(|chunks| chunks.0.into()) != entry.chunks_sha256 {
        return Err(differs("chunk list"));
    }
    Ok(())
}

/// Whether the released files that did not come along are published as the page has them.
async fn demand_published(
    publishing: &Publishing,
    project: &ProjectName,
    left: BTreeMap<String, ReleasedFile>,
) -> Result<(), UploadError> {
    for (filename, entry) in left {
        let row = publishing.store.file(project, &filename).await?;
        // What whoever runs the index has withdrawn stands on the page that the project signs.
        let is_there = row.is_some_and(|row| {
            let is_known = matches!(row.state, FileState::Published | FileState::Removed);
            is_known && row.sha256.as_bytes() == entry.sha256.as_bytes()
        });
        if !is_there {
            return Err(UploadError::NotSent { filename });
        }
    }
    Ok(())
}

/// A file that was looked into, with its core metadata.
pub(super) type Ready = (ReleasedFile, Content, Option<Bytes>);

/// Looks into the files: each has to be what the page says of it.
async fn examine(
    publishing: &Publishing,
    project: &ProjectName,
    files: Vec<(ReleasedFile, Content)>,
) -> Result<Vec<Ready>, UploadError> {
    let standing = publishing.store.project_standing(project).await?;
    let lens: Vec<u64> = files.iter().map(|(_, content)| content.len).collect();
    check_sum(publishing, project, standing.limits, &lens).await?;
    let mut ready = Vec::with_capacity(files.len());
    for (entry, content) in files {
        if !entry.filename.is_normalised() && !publishing.leeway.older_file_names {
            return Err(UploadError::NotNormalised {
                expected: entry.filename.normalised(),
                filename: entry.filename.to_string(),
            });
        }
        let (content, inspected) = look_inside(content, &entry.filename).await?;
        check_classifiers(publishing, &inspected, &entry.filename)?;
        let metadata = match entry.filename {
            DistributionFilename::Wheel(_) => Some(Bytes::from(inspected.metadata_bytes)),
            DistributionFilename::Sdist(_) => None,
        };
        let sha256 = metadata.as_deref().map(Sha256::of);
        let differs = |what| UploadError::NotAsReleased {
            filename: entry.filename.to_string(),
            what,
        };
        if sha256.map(|sha256| sha256.0.into()) != entry.core_metadata_sha256 {
            return Err(differs("core metadata"));
        }
        if inspected.metadata.requires_python != entry.requires_python {
            return Err(differs("Requires-Python"));
        }
        ready.push((entry, content, metadata));
    }
    Ok(ready)
}

/// Places the files, and records the release.
async fn record(
    publishing: &Publishing,
    release: SignedRelease,
    parts: &ReleaseParts,
    ready: Vec<Ready>,
    uploader: &Uploader,
) -> Result<Seq, UploadError> {
    let project = release.project.clone();
    for (entry, _, _) in &ready {
        let filename = entry.filename.to_string();
        if let Some(row) = publishing.store.file(&project, &filename).await? {
            return Err(match row.state {
                FileState::Removed => UploadError::Removed { filename },
                FileState::Pending | FileState::Published => UploadError::Exists {
                    filename,
                    existing: row.sha256,
                },
            });
        }
    }
    let mut placed = Vec::with_capacity(ready.len());
    let mut new = Vec::with_capacity(ready.len());
    for (entry, content, metadata) in ready {
        new.push(NewFile {
            project: project.clone(),
            filename: entry.filename.to_string(),
            sha256: content.sha256,
            size: content.len,
            uploaded_at: entry.signed_at,
            requires_python: entry.requires_python.clone(),
            core_metadata_sha256: metadata.as_deref().map(Sha256::of),
            chunks_sha256: content.chunks.as_deref().map(Sha256::of),
            gpg_signature: None,
            provenance_sha256: None,
            uploaded_by: uploader.bearer.id().to_string(),
            back_signed: false,
            yanked: None,
        });
        match place_file(publishing, &project, &entry, content, metadata).await {
            Ok(one) => placed.push(one),
            Err(error) => {
                take_back(placed).await;
                return Err(error);
            }
        }
    }
    let kept: Vec<KeptObject> = placed
        .iter()
        .flat_map(|(placed, _)| placed.kept.iter().cloned())
        .collect();
    let by = ReleasedBy {
        bearer: &uploader.bearer,
        address: uploader.from.0,
        at: publishing.clock.now(),
    };
    let admitting = publishing
        .store
        .admit_release(release, parts, &new, &kept, by);
    match admitting.await {
        Ok(seq) => Ok(seq),
        Err(error) => {
            // Whether it was recorded is not certain, and another process may have been faster with one
            // of them: the objects go only if nobody has a row for any.
            for file in &new {
                let row = publishing.store.file(&project, &file.filename).await;
                if !matches!(row, Ok(None)) {
                    return Err(error.into());
                }
            }
            take_back(placed).await;
            Err(error.into())
        }
    }
}

/// What one file of a release has brought into the tree, and its note.
type PlacedFile = (Placed, tempfile::NamedTempFile);

async fn take_back(placed: Vec<PlacedFile>) {
    for (placed, _note) in placed {
        placed.take_back().await;
    }
}

async fn place_file(
    publishing: &Publishing,
    project: &ProjectName,
    entry: &ReleasedFile,
    content: Content,
    metadata: Option<Bytes>,
) -> Result<PlacedFile, UploadError> {
    let filename = entry.filename.as_str();
    let path = |path: Result<ObjectPath, _>| path.map_err(UploadError::Path);
    let blob = path(ObjectPath::file(project, &content.sha256, filename))?;
    let mut small = Vec::new();
    if let Some(bytes) = metadata {
        let digest = Sha256::of(&bytes);
        small.push((
            path(ObjectPath::file_metadata(project, &digest, filename))?,
            bytes,
        ));
    }
    if let Some(bytes) = content.chunks {
        let digest = Sha256::of(&bytes);
        small.push((path(ObjectPath::chunks(project, &digest, filename))?, bytes));
    }
    let mut objects: Vec<String> = small
        .iter()
        .map(|(path, _)| path.as_str().to_owned())
        .collect();
    objects.push(blob.as_str().to_owned());
    let note = Note {
        project: project.clone(),
        filename: filename.to_owned(),
        objects,
    };
    let large = match content.body {
        Body::Memory(bytes) => {
            small.push((blob, bytes));
            None
        }
        Body::File(file) => Some((blob, file)),
    };
    place(publishing, note, small, large).await
}
