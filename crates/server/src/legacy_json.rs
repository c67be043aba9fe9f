//! `/pypi/<project>/json`: what bandersnatch mirrors by, with the serial number of the project.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::Version;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};
use wheelmark_store::Seq;

use crate::app::{Mirroring, Reading};
use crate::documents::Key;
use crate::read_error::ReadError;
use crate::shelf::{Held, blocking};
use crate::simple::{moved, named};
use crate::tree::{JSON, Label, NO_CACHE, answer};

/// The serial of the document, as mirrors of PyPI expect it.
pub(crate) const SERIAL: HeaderName = HeaderName::from_static("x-pypi-last-serial");

const LABEL: Label = Label {
    content_type: JSON,
    cache_control: NO_CACHE,
    vary: "Accept-Encoding",
};

/// The document of a project.
pub(crate) async fn project(
    State(reading): State<Reading>,
    State(mirroring): State<Mirroring>,
    raw: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let (name, raw) = named(raw, &uri)?;
    if name.as_str() != raw {
        return Ok(moved(&format!("../{name}/json")));
    }
    let key = Key {
        project: name,
        version: None,
    };
    let absent = ReadError::NoProject { name: raw };
    let (document, serial) = document(&reading, &mirroring, key).await?;
    let document = document.ok_or(absent)?;
    Ok(numbered(answer(&document, &headers, &LABEL).await?, serial))
}

/// The document of one version.
pub(crate) async fn release(
    State(reading): State<Reading>,
    State(mirroring): State<Mirroring>,
    raw: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let (raw, version) = match raw {
        Ok(Path((raw, version))) => (Ok(Path(raw)), version),
        Err(rejection) => (Err(rejection), String::new()),
    };
    let (name, raw) = named(raw, &uri)?;
    let absent = || ReadError::Absent {
        path: uri.path().to_owned(),
    };
    let version: Version = version.parse().map_err(|_| absent())?;
    if name.as_str() != raw {
        return Ok(moved(&format!("../../{name}/{version}/json")));
    }
    let key = Key {
        project: name,
        version: Some(version),
    };
    let (document, serial) = document(&reading, &mirroring, key).await?;
    let document = document.ok_or_else(absent)?;
    Ok(numbered(answer(&document, &headers, &LABEL).await?, serial))
}

/// The document for `key`, with the serial that it has at least; none where the page has no such
/// version.
async fn document(
    reading: &Reading,
    mirroring: &Mirroring,
    key: Key,
) -> Result<(Option<Arc<Held>>, Seq), ReadError> {
    let absent = || ReadError::NoProject {
        name: key.project.to_string(),
    };
    // The serial first: see `serials`.
    let serial = mirroring.serials.of(&key.project).await?;
    let serial = serial.ok_or_else(absent)?;
    let make = async |serial: Seq| {
        let path = ObjectPath::simple_json(&key.project);
        let page = reading.shelf.get(&reading.tree, &path, MAX_PAGE_LEN as u64);
        let page = page.await?.ok_or_else(absent)?;
        let version = key.version.clone();
        blocking(move || {
            let page = ProjectPage::parse(&page.into_bytes()?)?;
            let rendered = match version {
                None => Some(page.to_legacy_json(serial.0)),
                Some(version) => page.release_to_legacy_json(&version, serial.0),
            };
            Ok(rendered.map(|bytes| Arc::new(Held::new(Bytes::from(bytes)))))
        })
        .await
    };
    mirroring.documents.get(key.clone(), serial, make).await
}

/// The response with its serial, changed or not.
pub(crate) fn numbered(mut response: Response, serial: Seq) -> Response {
    let headers = response.headers_mut();
    headers.insert(SERIAL, HeaderValue::from(serial.0));
    response
}
