//! Answers that are not a page or a file: refusals, redirects, and what is not here.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, PROXY_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::ext::ReasonPhrase;
use serde_json::{Map, Value, json};
use url::Url;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::without_controls;

use super::tunnel::OpenError;
use crate::ledger::next_elsewhere;
use crate::refusal::{Refusal, Subject};

/// The body of every answer; an error ends the connection, so that the body looks cut off.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An answer without a status of its own yet.
pub(super) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A refusal: the phrase for pip, which shows nothing else, and a problem for uv, which shows
/// the body (RFC 9457).
pub(super) fn refused(refusal: &Refusal, names_index: bool) -> Response<Body> {
    let phrase = refusal.phrase();
    let file = match &refusal.subject {
        Subject::Page(_) => None,
        Subject::File(_, file) => Some(file.clone()),
        Subject::CoreMetadata(_, file) => Some(format!("{file}.metadata")),
        Subject::Signature(_, file) => Some(format!("{file}.asc")),
    };
    let (role, role_version) = refusal.signed_by.clone().unzip();
    let signed = refusal
        .signed_by
        .as_ref()
        .map(|(role, version)| format!(" Signed for by role {role}, version {version}."))
        .unwrap_or_default();
    let index = refusal.index.as_ref().map(ToString::to_string);
    let asked = index
        .as_ref()
        .filter(|_| names_index)
        .map(|index| format!(" Asked of {index}."))
        .unwrap_or_default();
    let detail = format!(
        "{}.{signed}{asked} This can mean: {}. Next: {}.",
        refusal.what(),
        refusal.meaning(),
        refusal.next()
    );
    problem(
        refusal.status(),
        &phrase,
        json!({
            "title": format!("wheelmark refused {}", refusal.subject),
            "detail": detail,
            "project": refusal.subject.project(),
            "index": index,
            "file": file,
            "failed": refusal.what(),
            "role": role.map(|role| role.to_string()),
            "role_version": role_version,
            "meaning": refusal.meaning(),
            "next": refusal.next(),
        }),
    )
}

/// A request to anywhere but here.
pub(super) fn elsewhere(host: &str, indexes: &str, index: &Url) -> Response<Body> {
    problem(
        StatusCode::FORBIDDEN,
        &format!("wheelmark refused {host}: not the trusted index"),
        json!({
            "title": format!("wheelmark refused {host}"),
            "detail": format!(
                "only what is trusted ({indexes}) can be reached here, and {host} is not it. \
                 Next: {}.",
                next_elsewhere(host, index)
            ),
            "host": host,
        }),
    )
}

/// A host that the configuration lets through, and that could not be reached.
pub(super) fn no_tunnel(host: &str, error: &OpenError) -> Response<Body> {
    problem(
        StatusCode::FAILED_DEPENDENCY,
        &format!("wheelmark could not reach {host}"),
        json!({
            "title": format!("wheelmark could not reach {host}"),
            "detail": error.to_string(),
            "host": host,
        }),
    )
}

/// A request that does not have this run's password: from another user of this machine, or
/// from a client that waits to be asked for it.
pub(super) fn password_wanted() -> Response<Body> {
    let mut response = problem(
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        "this proxy is for one run",
        json!({
            "title": "this proxy is for one run",
            "detail": "the command of the run is given the proxy's password in its environment",
        }),
    );
    let headers = response.headers_mut();
    let wanted = HeaderValue::from_static("Basic realm=\"wheelmark\"");
    headers.insert(PROXY_AUTHENTICATE, wanted);
    response
}

/// A request for one host inside a connection to another.
pub(super) fn misdirected(host: &str) -> Response<Body> {
    problem(
        StatusCode::MISDIRECTED_REQUEST,
        &format!("this connection is for {host}"),
        json!({
            "title": "another host",
            "detail": format!("this connection was made to {host}, and the request is for another host"),
        }),
    )
}

pub(super) fn wrong_host() -> Response<Body> {
    problem(
        StatusCode::FORBIDDEN,
        "wheelmark refused this Host",
        json!({
            "title": "wheelmark refused this Host",
            "detail": "the request's Host is not the address that this proxy listens on",
        }),
    )
}

pub(super) fn method_not_allowed() -> Response<Body> {
    let mut response = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "only GET and HEAD",
        json!({ "title": "only GET and HEAD", "detail": "this proxy is for installing only" }),
    );
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// What the index does not have. An ordinary answer: installers go on.
pub(super) fn not_found() -> Response<Body> {
    problem(
        StatusCode::NOT_FOUND,
        "not on this index",
        json!({ "title": "not on this index" }),
    )
}

/// A project that no index is the home of. An ordinary answer, too.
pub(super) fn no_home(why: &str) -> Response<Body> {
    problem(
        StatusCode::NOT_FOUND,
        "not on this index",
        json!({ "title": "not on this index", "detail": why }),
    )
}

/// A path that does not begin with the identity of the index that is served here.
pub(super) fn outside(indexes: &str, served_at: &str) -> Response<Body> {
    problem(
        StatusCode::NOT_FOUND,
        &format!("not here: the index is at {served_at}"),
        json!({
            "title": "not here",
            "detail": format!("{indexes} is served at {served_at}"),
            "index_url": served_at,
        }),
    )
}

/// A page under its one spelling (PEP 503).
pub(super) fn spelling(project: &ProjectName, simple: &str) -> Response<Body> {
    let location = format!("{simple}{project}/");
    let mut response = response(StatusCode::MOVED_PERMANENTLY, "", full(""));
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn problem(status: StatusCode, phrase: &str, mut problem: Value) -> Response<Body> {
    for member in problem
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
    {
        if let Value::String(text) = member {
            *text = without_controls(text);
        }
    }
    problem["type"] = "about:blank".into();
    problem["status"] = status.as_u16().into();
    let body = full(problem.to_string());
    let mut response = response(status, "application/problem+json", body);
    let ascii: String = phrase
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
        .collect();
    if let Ok(phrase) = ReasonPhrase::try_from(ascii) {
        response.extensions_mut().insert(phrase);
    }
    response
}
