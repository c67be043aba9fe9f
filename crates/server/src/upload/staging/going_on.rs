//! What is signed by all who have to goes on, the way of every release.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{ReleaseParts, SignedRelease};
use wheelmark_tuf::Sha256;

use super::error::StagingError;
use super::folder::{Kind, Staged};
use super::{Opened, PIECE_LEN, State, open};
use crate::app::Publishing;
use crate::problem::chain as told;
use crate::upload::error::UploadError;
use crate::upload::release::form::Received;
use crate::upload::release::{self, Released};
use crate::upload::sink::Sink;
use crate::upload::uploader::Uploader;

/// Sends a release on if it is signed by all who have to; what is to be said of it.
pub(super) async fn settle(
    publishing: &Publishing,
    project: &ProjectName,
    id: &Sha256,
    uploader: &Uploader,
) -> Result<Response, UploadError> {
    let folder = publishing.folder()?;
    // Of two who sign last at the same time, one sends it.
    let _gate = folder.pass(project, &id.to_string()).await;
    let now = publishing.clock.now();
    let staged = folder.find(project, &id.to_string(), now).await?;
    let opened = open(publishing, &staged).await?;
    match opened.state {
        State::Signed => {
            let released = go_on(publishing, &staged, &opened, uploader).await?;
            return Ok(Json(Gone::published(id, released)).into_response());
        }
        State::Published => folder.remove(id).await?,
        State::Waiting | State::Unsigned | State::Stale => {}
    }
    let told = opened.told(&staged);
    Ok((StatusCode::ACCEPTED, Json(told)).into_response())
}

/// What somebody is told whose signature was the last one.
#[derive(Serialize)]
struct Gone {
    id: Sha256,
    state: State,
    #[serde(flatten)]
    released: Released,
}

impl Gone {
    fn published(id: &Sha256, released: Released) -> Gone {
        Gone {
            id: *id,
            state: State::Published,
            released,
        }
    }
}

/// Publishes a release that has all its signatures, as one that has just come; then it waits no longer.
async fn go_on(
    publishing: &Publishing,
    staged: &Staged,
    opened: &Opened,
    uploader: &Uploader,
) -> Result<Released, UploadError> {
    let folder = publishing.folder()?;
    let metadata = opened.signed.metadata();
    let mut contents = Vec::with_capacity(staged.files.len());
    for (number, file) in staged.files.iter().enumerate() {
        let opened = folder.open(&staged.id, number).await?;
        let mut opened = tokio::fs::File::from_std(opened);
        let mut sink = Sink::new(publishing.tree.incoming(), file.size);
        loop {
            use tokio::io::AsyncReadExt as _;
            let mut piece = bytes::BytesMut::with_capacity(PIECE_LEN);
            if opened
                .read_buf(&mut piece)
                .await
                .map_err(StagingError::Io)?
                == 0
            {
                break;
            }
            sink = sink.take(piece.freeze()).await?;
        }
        contents.push(sink.finish(file.filename.clone()).await?);
    }
    let parts = ReleaseParts {
        page: opened.page.clone(),
        metadata,
    };
    let received = Received {
        release: SignedRelease {
            project: staged.project.clone(),
            metadata_sha256: Sha256::of(&parts.metadata),
            page_sha256: Sha256::of(&parts.page),
            received_at: staged.received_at,
            claim: staged.claim.clone(),
            keys: staged.keys.clone(),
            recovers: None,
        },
        parts,
        contents,
    };
    // A claim is an owner's to make: it is made in the name of who has sent it.
    let sender = match &staged.claim {
        None => None,
        Some(_) => Some(sender_of(publishing, staged).await?),
    };
    let uploader = sender.as_ref().unwrap_or(uploader);
    let released = release::publish(publishing, staged.project.clone(), received, uploader).await?;
    if let Err(error) = folder.remove(&staged.id).await {
        // It is seen to be published by the next who looks.
        tracing::warn!(id = %staged.id, error = told(&error), "a published release stays behind");
    }
    Ok(released)
}

/// Who has sent something, if the token that they did it with is good still.
async fn sender_of(publishing: &Publishing, staged: &Staged) -> Result<Uploader, UploadError> {
    let now = publishing.clock.now();
    let bearer = publishing.store.bearer_of(&staged.token, now).await?;
    let bearer = bearer.ok_or_else(|| StagingError::SenderGone {
        user: staged.user.clone(),
    })?;
    Ok(Uploader::resumed(bearer))
}

/// Goes on with what was signed by all who have to when the process ended.
pub(crate) async fn resume(publishing: Publishing) {
    let Some(folder) = &publishing.staging else {
        return;
    };
    let all = match folder.all(publishing.clock.now()).await {
        Ok(all) => all,
        Err(error) => {
            tracing::error!(
                error = told(&error),
                "what waits for signatures cannot be read"
            );
            return;
        }
    };
    for staged in all.iter().filter(|staged| staged.kind == Kind::Release) {
        if let Err(error) = resume_one(&publishing, staged).await {
            let (id, project) = (staged.id, &staged.project);
            tracing::warn!(%id, %project, error = told(&error), "a release that is signed waits on");
        }
    }
}

async fn resume_one(publishing: &Publishing, staged: &Staged) -> Result<(), UploadError> {
    let folder = publishing.folder()?;
    if open(publishing, staged).await?.state != State::Signed {
        return Ok(());
    }
    // In the name of who signed last; their token has to be good still.
    let last = folder.signatures(&staged.id).await?.pop();
    let token = last.map_or_else(|| staged.token.clone(), |last| last.token);
    let bearer = publishing
        .store
        .bearer_of(&token, publishing.clock.now())
        .await?;
    let Some(bearer) = bearer else {
        tracing::info!(id = %staged.id, "the token that signed last has ended: another signature sends it on");
        return Ok(());
    };
    let uploader = Uploader::resumed(bearer);
    settle(publishing, &staged.project, &staged.id, &uploader).await?;
    Ok(())
}
