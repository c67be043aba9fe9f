//! Taking in a file: the legacy upload form that twine and uv speak.
//!
//! `Uploader::of` → `receive` (stream to a temporary file, hashing) → `check` (what is it, and is it
//! what the form says?) → `record` (objects, then the journal row) → `wait` (for its snapshot).
//! Until the journal row is written, an upload that ends for whatever reason leaves nothing.
//!
//! A small file is not flushed to the disk here, and its journal row is not, either: both are with
//! the record of the snapshot that takes them in, which is made durable before anybody is told.

mod attested;
mod certified;
mod check;
mod error;
mod form;
mod gates;
mod names;
mod note;
mod placed;
mod receive;
mod record;
mod recovery;
mod release;
mod sink;
mod source;
mod staging;
mod uploader;

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};
use http::request::Parts;
use hyper::ext::ReasonPhrase;
use serde::Serialize;
use tracing::Instrument as _;
use wheelmark_store::{Outcome, Seq};

use crate::app::Publishing;
use crate::pace::Pace;
use crate::problem::Problem;
#[cfg(test)]
pub(crate) use error::Digest;
pub(crate) use error::Mismatch;
use error::UploadError;
pub(crate) use gates::Gates;
pub(crate) use names::NewNames;
use record::Recorded;
use source::Source;
use uploader::Uploader;

pub(crate) use recovery::{ask as ask_recovery, delay as recovery_delay, end as end_recovery};
pub(crate) use release::{release, stage};
pub(crate) use staging::{
    Folder, StagingError, file as staged_file, list as staged, one as staged_one, resume,
    sign as sign_staged, withdraw as withdraw_staged,
};

pub use note::{TakeBackError, take_back_cut_off};
pub use receive::{MAX_FIELDS, MAX_FORM_LEN, MAX_VALUE_LEN};
pub use source::MAX_HEADERS_LEN;
pub use staging::{
    MAX_STAGED_FILES, MAX_STAGED_LEN, MAX_STAGED_PER_USER, MAX_STAGED_RELEASES, STAGED_FOR,
};
pub use wheelmark_objects::{CHUNK_LEN, CHUNKS_ABOVE};

pub(crate) use error::UploadError as Error;

/// How much of a refused upload is still read, in bytes: an uploader that sends on while the
/// answer comes would otherwise see a broken connection in place of the reason.
pub const DRAIN_BYTES: u64 = 256 * 1024 * 1024;

/// How long a refused upload is still read.
pub const DRAIN_TIME: Duration = Duration::from_secs(20);

/// What an uploader is told about a file that is published.
#[derive(Debug, Serialize)]
struct Published {
    filename: String,
    sha256: String,
    snapshot_version: u64,
}

/// What an uploader is told about a file that waits for somebody who signs for its project.
#[derive(Debug, Serialize)]
struct Staged {
    title: &'static str,
    detail: String,
    filename: String,
    sha256: String,
    state: &'static str,
}

/// What has become of a file.
enum Taken {
    Published(Published),
    Staged(Staged),
}

impl IntoResponse for Taken {
    fn into_response(self) -> Response {
        match self {
            Self::Published(published) => Json(published).into_response(),
            Self::Staged(staged) => {
                // What twine shows, if asked to show something.
                let reason = format!("{}: {}", staged.title, staged.detail);
                let mut response = (StatusCode::ACCEPTED, Json(staged)).into_response();
                if let Ok(reason) = ReasonPhrase::try_from(reason.into_bytes()) {
                    response.extensions_mut().insert(reason);
                }
                response
            }
        }
    }
}

/// Takes in one file.
pub(crate) async fn upload(State(publishing): State<Publishing>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let source = Source::new(body);
    let outcome = answer(&publishing, &parts, &source).await;
    match outcome {
        Ok(taken) => taken.into_response(),
        Err(problem) => {
            // Who asked for leave to send has not begun, unless we began to read.
            if !parts.headers.contains_key(EXPECT) || source.was_read() {
                source.drain(DRAIN_BYTES, DRAIN_TIME).await;
            }
            problem.into_response()
        }
    }
}

async fn answer(publishing: &Publishing, parts: &Parts, source: &Source) -> Result<Taken, Problem> {
    let uploader = Uploader::of(publishing, parts).await.map_err(refused)?;
    let received = match receive(publishing, &parts.headers, source).await {
        Ok(received) => received,
        Err(error) => {
            uploader.note_refusal(publishing, &error).await;
            return Err(refused(error));
        }
    };
    // From here on nobody needs the connection: what was begun is finished, and what becomes of it
    // is written down, also if the uploader has left.
    let publishing = publishing.clone();
    let finishing = async move {
        match publish(&publishing, received, &uploader).await {
            Ok(taken) => Ok(taken),
            Err(error) => {
                uploader.note_refusal(&publishing, &error).await;
                Err(refused(error))
            }
        }
    };
    let task = tokio::spawn(finishing.in_current_span());
    match task.await {
        Ok(taken) => taken,
        Err(_) => Err(refused(UploadError::Stopped)),
    }
}

/// What the uploader is told; the log has it, too.
fn refused(error: UploadError) -> Problem {
    let problem = Problem::from(error);
    tracing::info!(
        status = problem.status().as_u16(),
        ?problem,
        "refused an upload"
    );
    problem
}

async fn receive(
    publishing: &Publishing,
    headers: &HeaderMap,
    source: &Source,
) -> Result<receive::Received, UploadError> {
    let boundary = boundary(headers)?;
    let mut limit = publishing.limits.file_len;
    // What is announced to be shorter than any project's limit can be taken in without looking for
    // the longest of them. Which project it is for is not known yet.
    if announced(headers).is_none_or(|len| len > limit) {
        let longest = publishing.store.longest_file_limit().await?;
        limit = limit.max(longest.unwrap_or_default());
    }
    refuse_at_once_if_too_long(headers, limit)?;
    let incoming = publishing.tree.incoming();
    receive::receive(source, boundary, incoming, limit, Pace::default()).await
}

async fn publish(
    publishing: &Publishing,
    received: receive::Received,
    uploader: &Uploader,
) -> Result<Taken, UploadError> {
    let claimed = check::claims(received, publishing.leeway)?;
    let filename = claimed.filename.to_string();
    let sha256 = claimed.content.sha256.to_string();
    let version = claimed.filename.version().to_string();
    uploader.uploads(&claimed.project, &filename);
    let project = claimed.project.clone();
    let seq = match record::record(publishing, claimed, uploader).await? {
        Recorded::At(seq) => seq,
        Recorded::Staged => {
            return Ok(Taken::Staged(Staged {
                title: "Not published yet",
                detail: format!(
                    "{project} is claimed, and {filename} waits for somebody who signs for it: \
                     wheelmark release adopt {project}=={version} --signer URI"
                ),
                filename,
                sha256,
                state: "unsigned",
            }));
        }
    };
    let snapshot_version = published(publishing, seq).await?;
    tracing::info!(filename, %seq, snapshot_version, "published a file");
    Ok(Taken::Published(Published {
        filename,
        sha256,
        snapshot_version,
    }))
}

async fn published(publishing: &Publishing, seq: Seq) -> Result<u64, UploadError> {
    let waited = publishing.limits.publish_timeout;
    match publishing.store.wait(seq, waited).await? {
        Some(Outcome::Published { snapshot_version }) => Ok(snapshot_version),
        Some(Outcome::Refused { reason }) => Err(UploadError::Refused { reason }),
        None => {
            // It is said to be recorded, and no snapshot has seen to it that it is.
            publishing.store.flush().await?;
            Err(UploadError::NotPublishedYet { seq, waited })
        }
    }
}

fn boundary(headers: &HeaderMap) -> Result<String, UploadError> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or(UploadError::NotAForm)?;
    multer::parse_boundary(content_type).map_err(|_| UploadError::NotAForm)
}

/// The length of the whole form, where it is said.
fn announced(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    value.parse().ok()
}

fn refuse_at_once_if_too_long(headers: &HeaderMap, limit: u64) -> Result<(), UploadError> {
    match announced(headers) {
        Some(len) if len > limit.saturating_add(MAX_FORM_LEN) => {
            Err(UploadError::FileTooLong { limit })
        }
        _ => Ok(()),
    }
}
