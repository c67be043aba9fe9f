//! A project's page, as installers get it.

use http::header::{CACHE_CONTROL, ETAG, HeaderValue, VARY};
use http::{HeaderName, Response, StatusCode, header};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{Format, ProjectPage, file_url, negotiate};

use super::answer::{self, Body, full, response};
use super::places::Place;
use super::{Asked, Desk, standin};
use crate::page::VerifiedPage;

impl Desk {
    pub(super) async fn page(&self, project: &ProjectName, asked: &Asked<'_>) -> Response<Body> {
        let accept: Vec<&str> = asked
            .headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let format = negotiate((!accept.is_empty()).then(|| accept.join(",")).as_deref());
        let (found, remembered) = match self.homes.home_of(project, asked.index()).await {
            Ok(Some(home)) => {
                let found = home.offered(project).await;
                let remembered = match &found {
                    Err(_) => home.remembered_names(project),
                    Ok(_) => Vec::new(),
                };
                (found, remembered)
            }
            Ok(None) => return answer::no_home(&self.homes.absence(project)),
            Err(refusal) => (Err(refusal), self.homes.remembered_names(project)),
        };
        match found {
            Ok(Some((page, held_back))) => {
                self.ledger.held_back(held_back);
                let mut answer = verified(&page, format, asked);
                self.not_worth_keeping(&mut answer);
                answer
            }
            Ok(None) => answer::no_home(&self.homes.absence(project)),
            Err(refusal) => {
                self.ledger.refused(&refusal);
                let page = standin::page(project, &remembered);
                with_vary(response(
                    StatusCode::OK,
                    format.content_type(),
                    render(&page, format),
                ))
            }
        }
    }
}

impl Desk {
    /// Spares installers the writing of what is small, where what they keep ends with the run:
    /// asking for it again takes as long as asking whether it still holds.
    pub(super) fn not_worth_keeping(&self, answer: &mut Response<Body>) {
        if self.entrance.is_of_one_run() {
            set(answer, CACHE_CONTROL, "no-store");
        }
    }
}

fn verified(page: &VerifiedPage, format: Format, asked: &Asked<'_>) -> Response<Body> {
    let kind = match format {
        Format::Json => "json",
        Format::Html | Format::LegacyHtml => "html",
    };
    // The rendering is ours, so its version is part of what the tag names.
    let urls = match asked.place {
        Some(_) => "real",
        None => "ours",
    };
    let version = env!("CARGO_PKG_VERSION");
    let etag = format!("\"{}-{version}-{kind}-{urls}\"", page.sha256());
    let mut answer = if asked.holds(&etag) {
        response(StatusCode::NOT_MODIFIED, "", full(""))
    } else {
        let body = render(&with_urls(page.page(), asked.place), format);
        response(StatusCode::OK, format.content_type(), body)
    };
    revalidated(&mut answer, &etag);
    with_vary(answer)
}

/// Lets a client keep an answer, if it asks each time whether it still holds.
pub(super) fn revalidated(answer: &mut Response<Body>, etag: &str) {
    set(answer, CACHE_CONTROL, "no-cache");
    set(answer, ETAG, etag);
}

fn with_vary(mut answer: Response<Body>) -> Response<Body> {
    set(&mut answer, VARY, "Accept");
    answer
}

pub(super) fn set(answer: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// The page with every file at this proxy, or at the index whose real URL was asked for.
/// Entries whose names mean nothing here are left out, since they could name any place.
fn with_urls(page: &ProjectPage, place: Option<&Place>) -> ProjectPage {
    let mut page = page.clone();
    page.unrecognised.clear();
    for file in &mut page.files {
        let name = file.filename.as_str();
        file.url = match place {
            Some(place) => place.file_url(&page.name, name, &file.url),
            None => file_url(&page.name, name),
        };
    }
    page
}

fn render(page: &ProjectPage, format: Format) -> Body {
    match format {
        Format::Json => full(page.to_json()),
        Format::Html | Format::LegacyHtml => full(page.to_html()),
    }
}
