//! The way back of a project whose keys are all lost: `/_/projects/<project>/recovery`.
//!
//! ```text
//! POST: the request that all new keys have signed ─▶ one row of the journal ─▶ the public notice
//! DELETE ─▶ one row more ─▶ no notice        GET ─▶ how long a notice has to stand
//! ```
//!
//! What recovers the project when the notice has stood for long enough is a release, and comes as one.
//! That a key is whose who asks is looked at here, and by the snapshot process once more.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HeaderValue};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::Instrument as _;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{ClaimedKey, NewClaim, NewRecovery, ReleasedBy};
use wheelmark_tuf::{RecoveryRequest, RoleName};

use super::error::UploadError;
use super::uploader::Uploader;
use super::{published, refused};
use crate::app::Publishing;
use crate::problem::{Problem, chain};
use crate::tree::NO_CACHE;

/// Longest request that is read, in bytes: sixteen keys with their signatures.
const MAX_REQUEST_LEN: usize = 64 * 1024;

/// How long one may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// What whoever asks sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    /// The signed request.
    request: Value,
    /// The users whose keys they are, by the keys' ids; those of whoever sends it are not named.
    #[serde(default)]
    maintainers: BTreeMap<String, String>,
}

/// What they are told.
#[derive(Serialize)]
struct Told {
    project: ProjectName,
    /// For how long a notice has to stand, in seconds.
    delay: u64,
    /// The snapshot since which everybody sees it, or sees it no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_version: Option<u64>,
}

/// `GET /_/projects/<project>/recovery`
pub(crate) async fn delay(
    State(publishing): State<Publishing>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let telling = async {
        let (project, uploader) = who(&publishing, &project, &parts).await?;
        let now = publishing.clock.now();
        let store = &publishing.store;
        store
            .demand_recoverer(&project, &[], &uploader.bearer, now)
            .await?;
        Ok::<_, UploadError>(told(&publishing, project, None))
    };
    match telling.await {
        Ok(answer) => answer,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// `POST /_/projects/<project>/recovery`
pub(crate) async fn ask(
    State(publishing): State<Publishing>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    change(publishing, project, request, true).await
}

/// `DELETE /_/projects/<project>/recovery`
pub(crate) async fn end(
    State(publishing): State<Publishing>,
    Path(project): Path<String>,
    request: Request,
) -> Response {
    change(publishing, project, request, false).await
}

async fn change(
    publishing: Publishing,
    project: String,
    request: Request,
    is_asked: bool,
) -> Response {
    let (parts, body) = request.into_parts();
    // From here on nobody needs the connection, as with an upload.
    let changing = async move {
        let (project, uploader) = who(&publishing, &project, &parts).await?;
        let changed = match is_asked {
            true => asked(&publishing, &project, body, &uploader).await,
            false => ended(&publishing, &project, &uploader).await,
        };
        match changed {
            Ok(version) => Ok(told(&publishing, project, Some(version))),
            Err(error) => {
                uploader.note_refusal(&publishing, &error).await;
                Err(error)
            }
        }
    };
    let changed = tokio::spawn(changing.in_current_span()).await;
    match changed.unwrap_or(Err(UploadError::Stopped)) {
        Ok(answer) => answer,
        Err(error) => refused(error).into_response(),
    }
}

async fn who(
    publishing: &Publishing,
    project: &str,
    parts: &Parts,
) -> Result<(ProjectName, Uploader), UploadError> {
    let uploader = Uploader::of(publishing, parts).await?;
    let project: ProjectName = project.parse().map_err(UploadError::Name)?;
    uploader.uploads(&project, "");
    Ok((project, uploader))
}

fn told(publishing: &Publishing, project: ProjectName, snapshot_version: Option<u64>) -> Response {
    let told = Told {
        project,
        delay: publishing.limits.recovery_delay.as_secs(),
        snapshot_version,
    };
    let headers = [(CACHE_CONTROL, HeaderValue::from_static(NO_CACHE))];
    (headers, Json(told)).into_response()
}

async fn asked(
    publishing: &Publishing,
    project: &ProjectName,
    body: Body,
    uploader: &Uploader,
) -> Result<u64, UploadError> {
    let malformed = |what: String| UploadError::MalformedRelease { what };
    let store = &publishing.store;
    let now = publishing.clock.now();
    store
        .demand_recoverer(project, &[], &uploader.bearer, now)
        .await?;
    let bytes = tokio::time::timeout(REQUEST_TIME, to_bytes(body, MAX_REQUEST_LEN)).await;
    let bytes: Bytes = match bytes {
        Ok(bytes) => bytes.map_err(|_| malformed("it is too long, or broke off".to_owned()))?,
        Err(_) => {
            let waited = REQUEST_TIME;
            return Err(UploadError::Stalled { waited });
        }
    };
    let stated: Stated =
        serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    let role = RoleName::of_project(project.as_str());
    let role = role.map_err(|error| malformed(error.to_string()))?;
    let file = stated.request.to_string();
    let request = RecoveryRequest::read(file.as_bytes(), &role);
    let request = request.map_err(|error| malformed(chain(&error)))?;
    let sender = uploader.bearer.user().as_str();
    let keys = request.to.keys().iter().map(|(id, key)| {
        let maintainer = stated.maintainers.get(id.as_str());
        ClaimedKey {
            keyid: id.as_str().to_owned(),
            key: key.to_value(),
            maintainer: maintainer.map_or(sender, String::as_str).to_owned(),
        }
    });
    let wanted = NewClaim {
        keys: keys.collect(),
        threshold: request.to.threshold(),
    };
    let recovery = NewRecovery {
        project: project.clone(),
        request: stated.request,
        by: sender.to_owned(),
    };
    let seq = store
        .ask_recovery(recovery, &wanted, by(publishing, uploader))
        .await?;
    published(publishing, seq).await
}

async fn ended(
    publishing: &Publishing,
    project: &ProjectName,
    uploader: &Uploader,
) -> Result<u64, UploadError> {
    let store = &publishing.store;
    let seq = store
        .end_recovery(project, by(publishing, uploader))
        .await?;
    published(publishing, seq).await
}

fn by<'a>(publishing: &Publishing, uploader: &'a Uploader) -> ReleasedBy<'a> {
    ReleasedBy {
        bearer: &uploader.bearer,
        address: uploader.from.0,
        at: publishing.clock.now(),
    }
}
