//! How an error is told: a status, a reason phrase and a problem document (RFC 9457).

mod admitting;
mod reading;
mod staging;
mod uploading;

use std::borrow::Cow;
use std::error::Error;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, StatusCode};
use hyper::ext::ReasonPhrase;
use serde_json::json;

use crate::request_id::RequestId;

/// Longest reason phrase that is sent, in bytes.
const MAX_REASON_LEN: usize = 400;

/// An error as a person at the other end gets to see it.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    hint: Option<Cow<'static, str>>,
    headers: HeaderMap,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            status,
            title,
            detail: detail.into(),
            hint: None,
            headers: HeaderMap::new(),
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    fn header(mut self, name: HeaderName, value: &'static str) -> Problem {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    fn authenticate(self) -> Problem {
        self.header(WWW_AUTHENTICATE, "Basic realm=\"wheelmark\"")
    }

    fn retry_after_seconds(self, seconds: &'static str) -> Problem {
        self.header(RETRY_AFTER, seconds)
    }

    fn retry_after(mut self, seconds: u64) -> Problem {
        self.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    /// An error of ours: the log has the details, the other end has not.
    pub(crate) fn internal(doing: &'static str, error: &(dyn Error + 'static)) -> Problem {
        tracing::error!(error = chain(error), "{doing} failed");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The index failed",
            format!("{doing} failed; the log of the index says why"),
        )
        .hint("tell the people who run this index")
    }

    /// No room, on whichever disk.
    pub(crate) fn full(error: &(dyn Error + 'static)) -> Problem {
        tracing::error!(error = chain(error), "the disk is full");
        Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "The index has no room left",
            "its disk is full; nothing of this upload was kept",
        )
        .hint("tell the people who run this index, and upload again later")
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong and what to do about it, as one text: uploaders show nothing else.
    fn told(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.detail),
            None => self.detail.clone(),
        }
    }

    /// Title, detail and hint in printable ASCII, short enough for one line. Where there is not
    /// enough room, the detail is cut: what to do is said in whole.
    fn reason(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("; {}", ascii(hint)));
        let hint = hint.unwrap_or_default();
        let mut reason = ascii(&format!("{}: {}", self.title, self.detail));
        let room = MAX_REASON_LEN.saturating_sub(hint.len());
        if reason.len() > room {
            reason.truncate(room.saturating_sub(3));
            reason.push_str("...");
        }
        reason.push_str(&hint);
        reason.truncate(MAX_REASON_LEN);
        reason
    }
}

/// Printable ASCII, with a `?` for everything else.
fn ascii(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == ' ' || c.is_ascii_graphic() {
                c
            } else {
                '?'
            }
        })
        .collect()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut document = json!({
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.told(),
        });
        if let Some(hint) = &self.hint {
            document["hint"] = hint.as_ref().into();
        }
        if let Some(id) = RequestId::current() {
            document["request_id"] = id.as_str().into();
        }
        let reason = ReasonPhrase::try_from(self.reason().into_bytes()).ok();
        let mut response = Response::new(Body::from(document.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        // A root that does not exist yet must be seen as soon as it does.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(reason) = reason {
            response.extensions_mut().insert(reason);
        }
        response
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line_of_ascii() {
        let problem = Problem::new(
            StatusCode::BAD_REQUEST,
            "Bad",
            "über\r\nSet-Cookie: x\0\u{7f} end",
        );
        assert_eq!(problem.reason(), "Bad: ?ber??Set-Cookie: x?? end");
        let hinted = Problem::new(StatusCode::BAD_REQUEST, "Bad", "ü".repeat(10_000))
            .hint("do it otherwise");
        assert_eq!(hinted.reason().len(), MAX_REASON_LEN);
        assert!(hinted.reason().ends_with("?...; do it otherwise"));
        let long = Problem::new(StatusCode::BAD_REQUEST, "Bad", "ü".repeat(10_000));
        assert_eq!(long.reason().len(), MAX_REASON_LEN);
        assert!(ReasonPhrase::try_from(long.reason().into_bytes()).is_ok());
    }
}
