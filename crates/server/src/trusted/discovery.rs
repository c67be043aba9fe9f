//! How uploaders find out that identity tokens are exchanged here, and for whom they have to be made.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::Exchanging;
use super::refusal::json_answer;
use crate::home::base_url;

/// The media type of the draft of PEP 807.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.pypi.pytp.v1+json");

/// The paths that take uploads.
const UPLOADS: [&str; 4] = ["/legacy/", "/legacy", "/", ""];

/// `GET /_/oidc/audience`.
pub(crate) async fn audience(State(exchanging): State<Exchanging>) -> Response {
    match &exchanging.how {
        Some(how) => json_answer(&json!({"audience": how.publishing.audience})),
        None => {
            let code = "not-enabled";
            let description = "this index exchanges no identity tokens";
            let document = json!({
                "message": "Trusted publishing functionality not enabled",
                "errors": [{"code": code, "description": description}],
            });
            (StatusCode::FORBIDDEN, json_answer(&document)).into_response()
        }
    }
}

/// `GET /.well-known/pytp?discover=URL`, of the draft of PEP 807: `URL` is where files would be
/// uploaded to, whole or its path.
pub(crate) async fn discover(
    State(exchanging): State<Exchanging>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = query.as_deref().and_then(discovered);
    let is_here = asked.is_some_and(|path| UPLOADS.contains(&path.as_str()));
    if exchanging.how.is_none() || !is_here {
        return StatusCode::NOT_FOUND.into_response();
    }
    let base = base_url(&exchanging.place, &headers);
    let document = json!({
        "audience-endpoint": format!("{base}/_/oidc/audience"),
        "mint-token-endpoint": format!("{base}/_/oidc/mint-token"),
    });
    let headers = [
        (CONTENT_TYPE, MEDIA_TYPE),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, document.to_string()).into_response()
}

/// The path of the URL that a query asks about.
fn discovered(query: &str) -> Option<String> {
    // As forms are written; which is what clients' libraries do.
    let base: reqwest::Url = format!("http://index.invalid/?{query}").parse().ok()?;
    let (_, asked) = base.query_pairs().find(|(name, _)| name == "discover")?;
    if asked.is_empty() || asked.starts_with('/') {
        return Some(asked.into_owned());
    }
    let url: reqwest::Url = asked.parse().ok()?;
    Some(url.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_url_is_known_by_its_path() {
        let check = |query: &str, expected: Option<&str>| {
            assert_eq!(discovered(query).as_deref(), expected, "{query}");
        };
        check(
            "discover=https%3A%2F%2Findex.example%2Flegacy%2F",
            Some("/legacy/"),
        );
        check(
            "x=1&discover=https://index.example/legacy/",
            Some("/legacy/"),
        );
        check("discover=%2Flegacy%2F", Some("/legacy/"));
        check("discover=https://index.example", Some("/"));
        check("discover=", Some(""));
        check("discover=not+a+url", None);
        check("", None);
        check("other=x", None);
    }
}
