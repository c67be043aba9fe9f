//! The simple repository API (PEP 503, PEP 691): pages of projects, and the list of them.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, LOCATION};
use http::{StatusCode, Uri};
use serde::Deserialize;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    Format, MAX_LIST_LEN, MAX_PAGE_LEN, ProjectList, ProjectPage, negotiate,
};

use crate::app::{Mirroring, Reading};
use crate::legacy_json::numbered;
use crate::problem::chain;
use crate::read_error::ReadError;
use crate::shelf::{Found, Held};
use crate::tree::{Label, NO_CACHE, answer, answer_before, answer_found};

/// A page of links runs no script and loads nothing.
const LINKS_ONLY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'");

/// `?format=…` stands for the `Accept` header (PEP 691, *URL Parameter*).
#[derive(Deserialize)]
pub(crate) struct Wish {
    format: Option<String>,
}

/// The page of a project.
pub(crate) async fn project(
    State(reading): State<Reading>,
    raw: Result<Path<String>, PathRejection>,
    uri: Uri,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let (name, raw) = named(raw, &uri)?;
    if name.as_str() != raw {
        return Ok(moved(&format!("../{name}/")));
    }
    let path = ObjectPath::simple_json(&name);
    let page = reading.shelf.get(&reading.tree, &path, MAX_PAGE_LEN as u64);
    let page = page.await?.ok_or(ReadError::NoProject { name: raw })?;
    let format = format(wish, &headers);
    if !format.is_html() {
        return answer_found(page, &headers, &label(format)).await;
    }
    let response = match page {
        Found::Held(page) => {
            let html = page.html(|json| Ok(ProjectPage::parse(json)?.to_html()));
            answer(html.await?, &headers, &label(format)).await?
        }
        Found::Large(_) => {
            published(&reading, &ObjectPath::simple_html(&name), format, &headers).await?
        }
    };
    Ok(links(response))
}

/// What [`project`] answers to a request without a query for the page of `name`, as far as all of
/// it is in memory.
pub(crate) fn project_before(
    reading: &Reading,
    name: &str,
    headers: &HeaderMap,
) -> Option<Response> {
    let project: ProjectName = name.parse().ok()?;
    if project.as_str() != name {
        return None;
    }
    let path = ObjectPath::simple_json(&project);
    let page = reading.shelf.unchanged(&reading.tree, &path)?;
    let format = accepted(headers);
    match format.is_html() {
        false => answer_before(&page, headers, &label(format)),
        true => answer_before(page.html_before()?, headers, &label(format)).map(links),
    }
}

/// The page of a project, asked for without the slash at its end (PEP 503).
pub(crate) async fn project_without_slash(
    raw: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ReadError> {
    let (name, _) = named(raw, &uri)?;
    Ok(moved(&format!("{name}/")))
}

/// The list of all projects.
pub(crate) async fn list(
    State(reading): State<Reading>,
    State(mirroring): State<Mirroring>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let format = format(wish, &headers);
    if format.is_html() {
        return html_list(&reading, format, &headers).await;
    }
    numbered_list(&reading, &mirroring, &headers, &label(format)).await
}

/// The list of all projects as it stands in the tree: a copy has no serials of its own.
pub(crate) async fn plain_list(
    State(reading): State<Reading>,
    wish: Result<Query<Wish>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let format = format(wish, &headers);
    if format.is_html() {
        return html_list(&reading, format, &headers).await;
    }
    answer_found(listed(&reading).await?, &headers, &label(format)).await
}

async fn html_list(
    reading: &Reading,
    format: Format,
    headers: &HeaderMap,
) -> Result<Response, ReadError> {
    let response = match listed(reading).await? {
        Found::Held(list) => {
            let html = list.html(|json| Ok(ProjectList::parse(json)?.to_html()));
            answer(html.await?, headers, &label(format)).await?
        }
        Found::Large(_) => {
            published(reading, &ObjectPath::simple_list_html(), format, headers).await?
        }
    };
    Ok(links(response))
}

/// The list as JSON, with the serials that mirrors follow. One that is too large to keep, or with
/// a database that does not answer, is the list alone: installers can use it.
async fn numbered_list(
    reading: &Reading,
    mirroring: &Mirroring,
    headers: &HeaderMap,
    label: &Label,
) -> Result<Response, ReadError> {
    // The serials first: see `serials`.
    let serials = mirroring.serials.all().await;
    match (listed(reading).await?, serials) {
        (Found::Held(list), Ok(serials)) => {
            let (list, last) = mirroring.serials.numbered(&list, &serials).await?;
            Ok(numbered(answer(&list, headers, label).await?, last))
        }
        (list, serials) => {
            if let Err(error) = serials {
                tracing::error!(error = chain(&error), "the list goes without serials");
            }
            answer_found(list, headers, label).await
        }
    }
}

async fn listed(reading: &Reading) -> Result<Found, ReadError> {
    let path = ObjectPath::simple_list_json();
    let list = reading.shelf.get(&reading.tree, &path, MAX_LIST_LEN as u64);
    Ok(match list.await? {
        Some(list) => list,
        // Nothing was published yet.
        None => Found::Held(Held::new(Bytes::from(ProjectList::default().to_json())).into()),
    })
}

/// The list, asked for without the slash at its end.
pub(crate) async fn list_without_slash() -> Response {
    moved("simple/")
}

/// The HTML that the snapshot process left beside the JSON. It is not there from the same moment
/// on; but to render a page that is too large to keep would cost each request seconds.
async fn published(
    reading: &Reading,
    path: &ObjectPath,
    format: Format,
    headers: &HeaderMap,
) -> Result<Response, ReadError> {
    let object = reading.tree.open_object(path).await?;
    let object = object.ok_or_else(|| ReadError::Absent {
        path: format!("/{path}"),
    })?;
    answer_found(Found::Large(object), headers, &label(format)).await
}

pub(crate) fn links(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, LINKS_ONLY);
    response
}

fn label(format: Format) -> Label {
    Label {
        content_type: format.content_type(),
        cache_control: NO_CACHE,
        vary: "Accept, Accept-Encoding",
    }
}

fn format(wish: Result<Query<Wish>, QueryRejection>, headers: &HeaderMap) -> Format {
    // A query that cannot be read is no wish.
    if let Some(format) = wish.ok().and_then(|Query(wish)| wish.format) {
        return negotiate(Some(&format));
    }
    accepted(headers)
}

/// The format that the `Accept` header asks for.
fn accepted(headers: &HeaderMap) -> Format {
    let accepts: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    match accepts.as_slice() {
        [] => negotiate(None),
        [one] => negotiate(Some(one)),
        several => negotiate(Some(&several.join(","))),
    }
}

/// The project that a path segment names, with the segment itself.
pub(crate) fn named(
    raw: Result<Path<String>, PathRejection>,
    uri: &Uri,
) -> Result<(ProjectName, String), ReadError> {
    let Path(raw) = raw.map_err(|_| ReadError::Absent {
        path: uri.path().to_owned(),
    })?;
    match raw.parse() {
        Ok(name) => Ok((name, raw)),
        Err(_) => Err(ReadError::NoProject { name: raw }),
    }
}

/// A redirect by a relative reference, so that it holds under any prefix.
pub(crate) fn moved(relative: &str) -> Response {
    match HeaderValue::try_from(relative) {
        Ok(location) => (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response(),
        Err(_) => ReadError::Absent {
            path: relative.to_owned(),
        }
        .into_response(),
    }
}
