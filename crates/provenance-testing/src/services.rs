//! Authority and log over HTTP, as a company would run them.
//!
//! They speak what Fulcio (API version 2) and Rekor (version 1) speak, as far as clients that attest
//! need it, and are as strict: tokens are verified with their issuer's keys, signatures before they
//! are recorded.

mod authority;
mod issuer;
mod log;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::json;

pub use self::issuer::{Issuer, IssuerKind, TestIssuer};
use crate::log::Tree;
use crate::sigstore::PrivateSigstore;

/// The audience of the tokens that authorities take.
pub(crate) const AUDIENCE: &str = "sigstore";

/// The number of entries that the log has in trees of before: indexes within the tree and within the
/// log are two things.
const BEFORE: u64 = 4000;

/// An authority and a transparency log.
pub struct Services {
    sigstore: PrivateSigstore,
    issuers: Vec<Issuer>,
    entries: Mutex<Entries>,
    now: fn() -> Timestamp,
}

#[derive(Default)]
struct Entries {
    tree: Tree,
    each: Vec<Entry>,
}

struct Entry {
    body: String,
    integrated: Timestamp,
}

impl Services {
    /// The services of a Sigstore, which take the tokens of these issuers.
    pub fn new(sigstore: PrivateSigstore, issuers: Vec<Issuer>) -> Services {
        Services {
            sigstore,
            issuers,
            entries: Mutex::default(),
            now: Timestamp::now,
        }
    }

    /// With another clock.
    #[must_use]
    pub fn at(self, now: fn() -> Timestamp) -> Services {
        Services { now, ..self }
    }

    /// How many entries the log has.
    pub fn recorded(&self) -> usize {
        self.entries().each.len()
    }

    /// What answers requests.
    pub fn router(self: &Arc<Services>) -> Router {
        Router::new()
            .route("/api/v2/signingCert", post(authority::signing_cert))
            .route("/api/v1/log/entries", post(log::create))
            .route("/api/v1/log/entries/{name}", get(log::read))
            .with_state(Arc::clone(self))
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error as both services tell it.
fn refused(status: StatusCode, message: &str) -> Response {
    let body = Json(json!({ "code": status.as_u16(), "message": message }));
    (status, body).into_response()
}
