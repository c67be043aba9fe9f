//! What members of a project ask about what waits, and do with it.

use std::fs::File;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tracing::Instrument as _;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{AuditAction, Bearer, NewClaim, NewKeys, ReleaseDenied, ReleaseError, Scope};

use super::folder::{Kind, Staged};
use super::signed::Sent;
use super::{PIECE_LEN, StagingError, Told, add_signature, all_of, note, open, told_of};
use crate::app::Publishing;
use crate::client_address::From;
use crate::problem::Problem;
use crate::tree::NO_CACHE;
use crate::upload::error::UploadError;
use crate::upload::refused;
use crate::upload::uploader::Uploader;

/// Longest signature object that is read, in bytes.
const MAX_SIGNATURE_OBJECT_LEN: usize = 16 * 1024;

/// How long one may take to arrive.
const OBJECT_TIME: std::time::Duration = std::time::Duration::from_secs(10);

/// A signature as TUF metadata states it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedSignature {
    keyid: String,
    sig: String,
    /// That over the handover, where what waits brings one.
    #[serde(default)]
    handover: Option<String>,
}

/// All that waits in a project.
#[derive(Serialize)]
struct All {
    staged: Vec<Told>,
}

/// Something that waits, with all that is to be signed.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    told: Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<Stated>,
    /// With the signatures that count, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

#[derive(Serialize)]
struct Stated {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<NewClaim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<NewKeys>,
}

/// A member of a project, who may look at what waits there.
async fn member(
    publishing: &Publishing,
    project: &str,
    parts: &Parts,
) -> Result<(ProjectName, Bearer), UploadError> {
    let from = From::of(&parts.extensions);
    let bearer = publishing.door.bearer(&parts.headers, from).await?;
    let project: ProjectName = project.parse().map_err(UploadError::Name)?;
    let now = publishing.clock.now();
    let asking = publishing.store.demand_uploader(&bearer, &project, now);
    asking.await?;
    Ok((project, bearer))
}

fn answered(answer: Result<Response, UploadError>) -> Response {
    match answer {
        Ok(mut answer) => {
            let headers = answer.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_CACHE));
            answer
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

/// `GET /_/projects/<project>/staged`
pub(crate) async fn list(
    State(publishing): State<Publishing>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let listing = async {
        let (project, _) = member(&publishing, &project, &parts).await?;
        let staged = all_of(&publishing, &project).await?;
        Ok(Json(All { staged }).into_response())
    };
    answered(listing.await)
}

/// `GET /_/projects/<project>/staged/<id>`
pub(crate) async fn one(
    State(publishing): State<Publishing>,
    Path((project, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let reading = async {
        let (project, _) = member(&publishing, &project, &parts).await?;
        let staged = find(&publishing, &project, &id).await?;
        Ok(Json(whole(&publishing, &staged).await?).into_response())
    };
    answered(reading.await)
}

async fn find(
    publishing: &Publishing,
    project: &ProjectName,
    id: &str,
) -> Result<Staged, UploadError> {
    let (folder, now) = (publishing.folder()?, publishing.clock.now());
    Ok(folder.find(project, id, now).await?)
}

async fn whole(publishing: &Publishing, staged: &Staged) -> Result<Whole, UploadError> {
    if staged.kind == Kind::File {
        return Ok(Whole {
            told: told_of(publishing, staged).await?,
            release: None,
            metadata: None,
            page: None,
        });
    }
    let opened = open(publishing, staged).await?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    Ok(Whole {
        told: opened.told(staged),
        release: Some(Stated {
            claim: staged.claim.clone(),
            keys: staged.keys.clone(),
        }),
        metadata: text(opened.signed.shown()),
        page: text(opened.page),
    })
}

/// `GET /_/projects/<project>/staged/<id>/files/<name>`
pub(crate) async fn file(
    State(publishing): State<Publishing>,
    Path((project, id, name)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let reading = async {
        let (project, _) = member(&publishing, &project, &parts).await?;
        let staged = find(&publishing, &project, &id).await?;
        let number = staged.files.iter().position(|file| file.filename == name);
        let absent = || StagingError::Absent {
            id: format!("{id}/{name}"),
        };
        let number = number.ok_or_else(absent)?;
        let file = publishing.folder()?.open(&staged.id, number).await?;
        streamed(file).map_err(|error| StagingError::Io(error).into())
    };
    answered(reading.await)
}

/// A file as an answer, piece by piece.
fn streamed(file: File) -> std::io::Result<Response> {
    let len = file.metadata()?.len();
    let file = tokio::fs::File::from_std(file).take(len);
    let pieces = futures::stream::try_unfold(file, async |mut file| {
        let mut piece = bytes::BytesMut::with_capacity(PIECE_LEN);
        let read = file.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (piece.freeze(), file)))
    });
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (CONTENT_LENGTH, HeaderValue::from(len)),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// `POST /_/projects/<project>/staged/<id>/signatures`
pub(crate) async fn sign(
    State(publishing): State<Publishing>,
    Path((project, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let uploader = match Uploader::of(&publishing, &parts).await {
        Ok(uploader) => uploader,
        Err(error) => return refused(error).into_response(),
    };
    // From here on nobody needs the connection, as with an upload.
    let signing = async move {
        let signed = signed(&publishing, &project, &id, body, &parts, &uploader).await;
        if let Err(error) = &signed {
            uploader.note_refusal(&publishing, error).await;
        }
        signed
    };
    let signed = tokio::spawn(signing.in_current_span()).await;
    match signed.unwrap_or(Err(UploadError::Stopped)) {
        Ok(answer) => answered(Ok(answer)),
        Err(error) => refused(error).into_response(),
    }
}

async fn signed(
    publishing: &Publishing,
    project: &str,
    id: &str,
    body: Body,
    parts: &Parts,
    uploader: &Uploader,
) -> Result<Response, UploadError> {
    let (project, _) = member(publishing, project, parts).await?;
    uploader.uploads(&project, id);
    let bytes = tokio::time::timeout(OBJECT_TIME, to_bytes(body, MAX_SIGNATURE_OBJECT_LEN)).await;
    let bytes: Bytes = match bytes {
        Ok(bytes) => bytes.map_err(|_| StagingError::Malformed {
            what: "it is too long, or broke off".to_owned(),
        })?,
        Err(_) => {
            return Err(UploadError::Stalled {
                waited: OBJECT_TIME,
            });
        }
    };
    let stated: StatedSignature =
        serde_json::from_slice(&bytes).map_err(|error| StagingError::Malformed {
            what: error.to_string(),
        })?;
    let staged = find(publishing, &project, id).await?;
    let is_pipeline = matches!(
        uploader.bearer.scope(),
        Scope::UploadTo(_) | Scope::UploadToSeveral(_)
    );
    if staged.claim.is_some() && is_pipeline {
        return Err(ReleaseError::Release(ReleaseDenied::ProjectToken).into());
    }
    if staged.keys.is_some() {
        // Not with what lies in the settings of a pipeline, as when it came.
        let (by, keys) = (&uploader.bearer, staged.keys.as_ref());
        let now = publishing.clock.now();
        let asking = publishing
            .store
            .demand_releaser(&project, None, keys, by, now);
        asking.await?;
    }
    if staged.kind == Kind::File {
        return Err(StagingError::Malformed {
            what: "a file waits for a release that lists it, and not for signatures".to_owned(),
        }
        .into());
    }
    let sent = Sent {
        keyid: &stated.keyid,
        sig: &stated.sig,
        handover: stated.handover.as_deref(),
    };
    add_signature(publishing, &staged, sent, uploader).await
}

/// `DELETE /_/projects/<project>/staged/<id>`
pub(crate) async fn withdraw(
    State(publishing): State<Publishing>,
    Path((project, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let withdrawing = async {
        let uploader = Uploader::of(&publishing, &parts).await?;
        let (project, _) = member(&publishing, &project, &parts).await?;
        // Not while it is on its way.
        let _gate = publishing.folder()?.pass(&project, &id).await;
        let staged = find(&publishing, &project, &id).await?;
        publishing.folder()?.remove(&staged.id).await?;
        note(
            &publishing,
            &uploader,
            &staged,
            AuditAction::StagedWithdrawn,
            &[],
        )
        .await?;
        Ok(http::StatusCode::NO_CONTENT.into_response())
    };
    answered(withdrawing.await)
}
