//! `/src/<project>/`: source archives and their OpenPGP signatures, for the tools of distributions.
//!
//! It says nothing that the project's page does not say. Debian's `uscan` makes the address of a
//! signature by adding `.asc` to that of the archive, which does not work with the links of the
//! simple API: they end in `#sha256=…`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use http::header::HeaderMap;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};

use crate::app::Reading;
use crate::read_error::ReadError;
use crate::shelf::{Found, Held, blocking};
use crate::simple::{links, moved, named};
use crate::tree::{Label, NO_CACHE, answer};

const LABEL: Label = Label {
    content_type: "text/html; charset=utf-8",
    cache_control: NO_CACHE,
    vary: "Accept-Encoding",
};

/// The source archives of a project.
pub(crate) async fn project(
    State(reading): State<Reading>,
    raw: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ReadError> {
    let (name, raw) = named(raw, &uri)?;
    if name.as_str() != raw {
        return Ok(moved(&format!("../{name}/")));
    }
    let path = ObjectPath::simple_json(&name);
    let page = reading.shelf.get(&reading.tree, &path, MAX_PAGE_LEN as u64);
    let response = match page.await?.ok_or(ReadError::NoProject { name: raw })? {
        Found::Held(page) => {
            let listing = page.sources(render).await?;
            answer(listing, &headers, &LABEL).await?
        }
        // Too large to be kept, so it is made anew each time: one at a time for everybody.
        Found::Large(object) => {
            // It ends with the work, which goes on if the asker leaves.
            let turn = Arc::clone(&reading.rendering).lock_owned().await;
            let listing = blocking(move || {
                let _turn = turn;
                let page = Found::Large(object).into_bytes()?;
                Ok(Held::new(render(&page)?.into()))
            });
            answer(&listing.await?, &headers, &LABEL).await?
        }
    };
    Ok(links(response))
}

/// The same, asked for without the slash at its end.
pub(crate) async fn project_without_slash(
    raw: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, ReadError> {
    let (name, _) = named(raw, &uri)?;
    Ok(moved(&format!("{name}/")))
}

fn render(page: &[u8]) -> Result<String, ReadError> {
    Ok(ProjectPage::parse(page)?.to_sources_html())
}
