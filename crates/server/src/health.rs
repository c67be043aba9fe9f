//! Whether the server can do its work.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use wheelmark_store::{Seq, Store};

use crate::problem::{Problem, chain};

/// 200 when the database answers, 503 when it does not.
pub(crate) async fn healthz(State(store): State<Store>) -> Response {
    match store.outcome(Seq(0)).await {
        Ok(_) => {
            let fresh = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
            ([fresh], "ok\n").into_response()
        }
        Err(error) => {
            tracing::error!(error = chain(&error), "the database does not answer");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not ready",
                "the database does not answer",
            )
            .into_response()
        }
    }
}
