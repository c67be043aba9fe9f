//! Whether the index does its work: this process, and the one that keeps what is signed fresh.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};
use wheelmark_store::{Seq, StoreError};

use crate::app::Watching;
use crate::problem::{Problem, chain};

/// Least time that the published timestamp must have left. It lives a day and is renewed when
/// half of that is left; with a quarter left, renewal has failed for hours.
pub const LEAST_LEFT: SignedDuration = SignedDuration::from_hours(6);

/// Longest timestamp that is looked at, in bytes. It names one file, and has a few hundred.
const MAX_TIMESTAMP_LEN: u64 = 64 * 1024;

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
    /// Clients are about to refuse what is published.
    #[error(
        "the published timestamp expires at {expires}, and should have been renewed by now: the \
         snapshot process does not do it"
    )]
    NotRenewed { expires: Timestamp },
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

/// 200 when the database answers and what is published is fresh, 503 with the reason otherwise.
pub(crate) async fn healthz(State(watching): State<Watching>) -> Response {
    match examine(&watching).await {
        Ok(()) => {
            let fresh = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
            ([fresh], "ok\n").into_response()
        }
        Err(illness) => {
            tracing::error!(error = chain(&illness), "the index is not well");
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

async fn examine(watching: &Watching) -> Result<(), Illness> {
    let answered = watching.store.outcome(Seq(0)).await;
    answered.map_err(Illness::Database)?;
    let expires = expiry(&watching.tree).await?;
    let now = watching.clock.now();
    if expires <= now {
        Err(Illness::Expired { expires })
    } else if expires.duration_since(now) < LEAST_LEFT {
        Err(Illness::NotRenewed { expires })
    } else {
        Ok(())
    }
}

async fn expiry(tree: &Directory) -> Result<Timestamp, Illness> {
    let read = tree.read(&ObjectPath::timestamp(), MAX_TIMESTAMP_LEN).await;
    let bytes = read.map_err(Illness::Tree)?.ok_or(Illness::NoTimestamp)?;
    let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|_| Illness::Malformed)?;
    let expires = envelope.signed.expires.parse();
    expires.map_err(|_| Illness::Malformed)
}
