//! What each read error is to HTTP.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_RANGE, HeaderValue};

use super::Problem;
use crate::read_error::ReadError;

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match &error {
            ReadError::Absent { .. } => {
                Problem::new(StatusCode::NOT_FOUND, "Not found", error.to_string())
            }
            ReadError::NoProject { .. } => {
                Problem::new(StatusCode::NOT_FOUND, "No such project", error.to_string())
                    .hint("see /simple/ for the projects of this index")
            }
            ReadError::Method => Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                error.to_string(),
            )
            .hint("files are uploaded by POST to /legacy/"),
            ReadError::Range { len } => {
                let mut problem = Problem::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "Range not satisfiable",
                    error.to_string(),
                );
                if let Ok(range) = HeaderValue::try_from(format!("bytes */{len}")) {
                    problem.headers.insert(CONTENT_RANGE, range);
                }
                problem
            }
            ReadError::Object(_)
            | ReadError::Io(_)
            | ReadError::Page(_)
            | ReadError::List(_)
            | ReadError::Metadata(_)
            | ReadError::Recovery(_)
            | ReadError::Bulletin(_) => Problem::internal("reading the tree", &error),
            ReadError::Store(_) => Problem::internal("asking the catalogue", &error),
            ReadError::Busy => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", error.to_string())
                    .hint("ask again in some seconds")
                    .retry_after_seconds("5")
            }
            ReadError::Stopped => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Shutting down",
                error.to_string(),
            )
            .retry_after_seconds("5"),
        }
    }
}

impl IntoResponse for ReadError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
