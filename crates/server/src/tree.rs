//! The static tree: `metadata/`, `targets/`, `packages/` and `keys/`, each object as it is.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    VARY,
};
use http::{StatusCode, Uri};
use wheelmark_objects::{Kind, ObjectPath};
use wheelmark_packaging::simple::{
    Format, MAX_CERTIFICATES_LEN, MAX_PAGE_LEN, MAX_PROVENANCE_LEN, MAX_TAKEN_AWAY_LEN,
};

use crate::app::Reading;
use crate::encoding::Coding;
use crate::files;
use crate::read_error::ReadError;
use crate::shelf::{Form, Found, Held};

/// Longest metadata object that is served, in bytes. A snapshot of 16,384 bins has 586 kB.
pub(crate) const MAX_METADATA_OBJECT_LEN: u64 = 64 * 1024 * 1024;

/// What a name that never stands for other bytes allows: a year (RFC 8246).
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// To be asked for again each time; an unchanged one costs a 304.
pub(crate) const NO_CACHE: &str = "no-cache";

pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
/// Armoured OpenPGP certificates (RFC 3156, section 7).
const PGP_KEYS: &str = "application/pgp-keys";
const BINARY: &str = "application/octet-stream";

/// RFC 3156, section 5. Whoever saves it does not read it as text.
const SIGNATURE: &str = "application/pgp-signature";

/// The media type of provenance (PEP 740).
pub(crate) const PROVENANCE: &str = "application/vnd.pypi.integrity.v1+json";

/// Room for the fields of an answer, so that they are not moved while it is written.
pub(crate) const HEADERS: usize = 12;

/// How an object that has several forms is described.
pub(crate) struct Label {
    pub(crate) content_type: &'static str,
    pub(crate) cache_control: &'static str,
    pub(crate) vary: &'static str,
}

/// Serves one object of the tree.
pub(crate) async fn object(
    State(reading): State<Reading>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let absent = || ReadError::Absent {
        path: uri.path().to_owned(),
    };
    let path = ObjectPath::from_request(uri.path()).map_err(|_| absent())?;
    match policy(path.kind()).ok_or_else(absent)? {
        Policy::Shelved { label, max_len } => {
            let found = reading.shelf.get(&reading.tree, &path, max_len).await?;
            answer_found(found.ok_or_else(absent)?, &headers, &label).await
        }
        Policy::Streamed(content_type) => {
            let found = reading.files.get(&reading.tree, &path, u64::MAX).await?;
            match found.ok_or_else(absent)? {
                Found::Held(file) => files::held(&file, &headers, content_type, IMMUTABLE),
                Found::Large(object) => files::stream(object, &headers, content_type, IMMUTABLE),
            }
        }
    }
}

/// What [`object`] answers to a request for `path`, as far as all of it is in memory.
pub(crate) fn object_before(
    reading: &Reading,
    path: &str,
    headers: &HeaderMap,
) -> Option<Response> {
    let path = ObjectPath::from_request(path).ok()?;
    match policy(path.kind())? {
        Policy::Shelved { label, .. } => {
            let held = reading.shelf.unchanged(&reading.tree, &path)?;
            answer_before(&held, headers, &label)
        }
        Policy::Streamed(content_type) => {
            let file = reading.files.unchanged(&reading.tree, &path)?;
            files::held(&file, headers, content_type, IMMUTABLE).ok()
        }
    }
}

enum Policy {
    Shelved { label: Label, max_len: u64 },
    Streamed(&'static str),
}

/// How objects of a kind are served; none has pages of its own.
fn policy(kind: Kind) -> Option<Policy> {
    let shelved = |content_type, cache_control, max_len| {
        let vary = "Accept-Encoding";
        let label = Label {
            content_type,
            cache_control,
            vary,
        };
        Policy::Shelved { label, max_len }
    };
    Some(match kind {
        Kind::Timestamp => shelved(JSON, NO_CACHE, MAX_METADATA_OBJECT_LEN),
        Kind::Status => shelved(JSON, IMMUTABLE, MAX_TAKEN_AWAY_LEN as u64),
        Kind::Metadata => shelved(JSON, IMMUTABLE, MAX_METADATA_OBJECT_LEN),
        Kind::Page | Kind::PageBySha512 => {
            shelved(Format::Json.content_type(), IMMUTABLE, MAX_PAGE_LEN as u64)
        }
        Kind::Certificates => shelved(PGP_KEYS, IMMUTABLE, MAX_CERTIFICATES_LEN as u64),
        Kind::PlainCertificates => shelved(PGP_KEYS, NO_CACHE, MAX_CERTIFICATES_LEN as u64),
        Kind::FileMetadata | Kind::PlainFileMetadata => {
            shelved(TEXT, IMMUTABLE, wheelmark_packaging::MAX_METADATA_LEN)
        }
        Kind::File | Kind::FileBySha512 | Kind::Chunks | Kind::PlainFile => {
            Policy::Streamed(BINARY)
        }
        Kind::Signature | Kind::PlainSignature => Policy::Streamed(SIGNATURE),
        Kind::Provenance | Kind::PlainProvenance => {
            shelved(PROVENANCE, IMMUTABLE, MAX_PROVENANCE_LEN as u64)
        }
        // These have pages of their own, under `/simple/`.
        Kind::SimpleJson | Kind::SimpleHtml | Kind::SimpleListJson | Kind::SimpleListHtml => {
            return None;
        }
    })
}

/// Answers with an object in memory in the best coding that the request accepts, with another one
/// as it is: to compress it for one request alone would cost seconds.
pub(crate) async fn answer_found(
    found: Found,
    request: &HeaderMap,
    label: &Label,
) -> Result<Response, ReadError> {
    match found {
        Found::Held(held) => answer(&held, request, label).await,
        Found::Large(object) => {
            let Label {
                content_type,
                cache_control,
                vary,
            } = label;
            let mut response = files::stream(object, request, content_type, cache_control)?;
            let headers = response.headers_mut();
            headers.insert(VARY, HeaderValue::from_static(vary));
            Ok(response)
        }
    }
}

/// Answers with bytes in memory, in the best coding that the request accepts.
pub(crate) async fn answer(
    held: &Held,
    request: &HeaderMap,
    label: &Label,
) -> Result<Response, ReadError> {
    let (coding, form) = held.encoded(Coding::negotiate(request)).await?;
    Ok(answer_in(coding, form, request, label))
}

/// The same, if that coding was made already.
pub(crate) fn answer_before(held: &Held, request: &HeaderMap, label: &Label) -> Option<Response> {
    let (coding, form) = held.encoded_before(Coding::negotiate(request))?;
    Some(answer_in(coding, form, request, label))
}

fn answer_in(coding: Coding, form: &Form, request: &HeaderMap, label: &Label) -> Response {
    let Form { bytes, tag } = form;
    let not_modified = tag.as_ref().is_some_and(|tag| tag.is_held(request));

    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(label.cache_control));
    headers.insert(VARY, HeaderValue::from_static(label.vary));
    if let Some(tag) = tag {
        headers.insert(ETAG, tag.header());
    }
    if not_modified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(label.content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    if let Some(coding) = coding.header() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    *response.body_mut() = Body::from(bytes.clone());
    response
}
