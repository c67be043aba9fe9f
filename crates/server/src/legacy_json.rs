//! `/pypi/<project>/json`: what bandersnatch mirrors by, with the serial number of the project.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};
use wheelmark_packaging::{ProjectName, Version};
use wheelmark_store::Seq;

use crate::app::{Mirroring, Reading};
use crate::read_error::ReadError;
use crate::shelf::{Found, Held, blocking};
use crate::simple::{moved, named};
use crate::tree::{JSON, Label, NO_CACHE, answer};

/// The serial of the document, as mirrors of PyPI expect it.
pub(crate) const SERIAL: HeaderName = HeaderName::from_static("x-pypi-last-serial");

/// How many pages are turned into documents at once. The largest take seconds and hundreds of
/// megabytes, and whoever mirrors asks for each once after it has changed.
pub(crate) const RENDERED_AT_ONCE: usize = 4;

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
    let (page, serial) = page_of(&reading, &mirroring, &name).await?;
    let render = move |page: ProjectPage| Ok(page.to_legacy_json(serial.0));
    let document = rendered(&mirroring.rendering, page, render).await?;
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
    let (page, serial) = page_of(&reading, &mirroring, &name).await?;
    let path = uri.path().to_owned();
    let render = move |page: ProjectPage| {
        page.release_to_legacy_json(&version, serial.0)
            .ok_or(ReadError::Absent { path })
    };
    let document = rendered(&mirroring.rendering, page, render).await?;
    Ok(numbered(answer(&document, &headers, &LABEL).await?, serial))
}

/// The project's page, with the serial that it has at least.
async fn page_of(
    reading: &Reading,
    mirroring: &Mirroring,
    name: &ProjectName,
) -> Result<(Found, Seq), ReadError> {
    let absent = || ReadError::NoProject {
        name: name.to_string(),
    };
    // The serial first: see `serials`.
    let serial = mirroring.serials.of(name).await?.ok_or_else(absent)?;
    let path = ObjectPath::simple_json(name);
    let page = reading.shelf.get(&reading.tree, &path, MAX_PAGE_LEN as u64);
    Ok((page.await?.ok_or_else(absent)?, serial))
}

async fn rendered(
    rendering: &Semaphore,
    page: Found,
    render: impl FnOnce(ProjectPage) -> Result<Vec<u8>, ReadError> + Send + 'static,
) -> Result<Arc<Held>, ReadError> {
    let _turn = rendering.acquire().await.map_err(|_| ReadError::Stopped)?;
    blocking(move || {
        let page = ProjectPage::parse(&page.into_bytes()?)?;
        Ok(Arc::new(Held::new(Bytes::from(render(page)?))))
    })
    .await
}

/// The response with its serial, changed or not.
pub(crate) fn numbered(mut response: Response, serial: Seq) -> Response {
    let headers = response.headers_mut();
    headers.insert(SERIAL, HeaderValue::from(serial.0));
    response
}
