//! Whether the index does its work: `/healthz` says that this process lives, `/readyz` that it can
//! serve what clients accept and take uploads in, which takes the snapshot process as well.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_store::{Seq, StoreError};

use crate::app::Watching;
use crate::problem::{Problem, chain};

/// Least time that the published timestamp has left if all is well. It lives a day and is renewed
/// when half of that is left; with a quarter left, renewal has failed for hours.
pub const LEAST_LEFT: SignedDuration = SignedDuration::from_hours(6);

/// Longest timestamp that is looked at, in bytes. It names one file, and has a few hundred.
pub(crate) const MAX_TIMESTAMP_LEN: u64 = 64 * 1024;

/// Why the index is not well.
#[derive(Debug, thiserror::Error)]
enum Illness {
    /// The database could not be asked.
    #[error("the database does not answer")]
    Database(#[source] StoreError),
    /// The tree could not be read.
    #[error("the published tree cannot be read")]
    Tree(#[source] ObjectError),
    /// Nothing was ever published.
    #[error("the published tree has no timestamp")]
    NoTimestamp,
    /// The timestamp is no JSON with a date in it.
    #[error("the published timestamp cannot be read")]
    Malformed,
    /// Clients refuse what is published.
    #[error("the published timestamp expired at {expires}: the snapshot process does not renew it")]
    Expired { expires: Timestamp },
    /// Uploads could not be recorded.
    #[error("the database cannot be written to")]
    Journal(#[source] StoreError),
    /// Uploads could not be kept.
    #[error("the folder for uploads cannot be written to")]
    Incoming(#[source] io::Error),
    /// The work was stopped.
    #[error("the server is shutting down")]
    Stopped,
}

/// What is read of the timestamp. Nobody relies on it here, so its signature is not looked at.
#[derive(Deserialize)]
struct Envelope {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    expires: String,
}

/// When it was last seen that uploads can be written, so that asking often costs little.
#[derive(Default)]
pub(crate) struct Writable {
    seen: tokio::sync::Mutex<Option<Instant>>,
}

/// How long that is believed.
const WRITABLE_FOR: Duration = Duration::from_secs(1);

const FRESH: (HeaderName, HeaderValue) = (CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// 200 as long as this process answers.
pub(crate) async fn healthz() -> Response {
    ([FRESH], "ok\n").into_response()
}

/// 200 when what is published is valid and uploads can be taken in, 503 with the reason otherwise.
pub(crate) async fn readyz(State(watching): State<Watching>) -> Response {
    match examine(&watching).await {
        Ok(left) if left < LEAST_LEFT => {
            tracing::error!(%left, "the published timestamp should have been renewed by now");
            let late = "ok, but the published timestamp should have been renewed by now: the \
                        snapshot process does not do it\n";
            ([FRESH], late).into_response()
        }
        Ok(_) => ([FRESH], "ok\n").into_response(),
        Err(illness) => {
            tracing::error!(error = chain(&illness), "the index is not ready");
            // Without the causes: those may speak of paths.
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not ready",
                illness.to_string(),
            )
            .into_response()
        }
    }
}

/// How long clients will accept what is published.
async fn examine(watching: &Watching) -> Result<SignedDuration, Illness> {
    let answered = watching.store.outcome(Seq(0)).await;
    answered.map_err(Illness::Database)?;
    let expires = expiry(&watching.tree).await?;
    let now = watching.clock.now();
    if expires <= now {
        return Err(Illness::Expired { expires });
    }
    can_write(watching).await?;
    Ok(expires.duration_since(now))
}

async fn can_write(watching: &Watching) -> Result<(), Illness> {
    let mut seen = watching.writable.seen.lock().await;
    if seen.is_some_and(|seen| seen.elapsed() < WRITABLE_FOR) {
        return Ok(());
    }
    *seen = None;
    let writing = watching.store.try_to_write().await;
    writing.map_err(Illness::Journal)?;
    let incoming = watching.tree.incoming().to_owned();
    let made = spawn_blocking(move || {
        let mut file = tempfile::tempfile_in(incoming)?;
        // A full disk has room for an empty file.
        file.write_all(&[0; 4096])
    });
    made.await
        .map_err(|_| Illness::Stopped)?
        .map_err(Illness::Incoming)?;
    *seen = Some(Instant::now());
    Ok(())
}

async fn expiry(tree: &Directory) -> Result<Timestamp, Illness> {
    let read = tree.read(&ObjectPath::timestamp(), MAX_TIMESTAMP_LEN).await;
    let bytes = read.map_err(Illness::Tree)?.ok_or(Illness::NoTimestamp)?;
    let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|_| Illness::Malformed)?;
    let expires = envelope.signed.expires.parse();
    expires.map_err(|_| Illness::Malformed)
}
