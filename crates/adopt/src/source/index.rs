//! An index by the URL of its simple API.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;
use wheelmark_client::{Arriving, Asked, FetchError, Remote};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{Listing, ListingError, MAX_LIST_LEN, MAX_PAGE_LEN, Names};

use super::tree::{chain, skipped};
use super::{Scan, SourceError};
use crate::listed::{Found, Listed, Place};

/// JSON where it is offered, HTML otherwise.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// How many pages are asked for at a time.
const PAGES_AT_A_TIME: usize = 8;

/// The length of a page, in bytes, up to which several are read at a time. The largest of the
/// public index have some ten times that; read, a page takes some times its length of memory.
const ORDINARY_PAGE: u64 = 4 * 1024 * 1024;

/// How often something is asked for before it counts as not to be had, with a pause before each
/// try but the first.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(9),
];

/// Hosts that a file may be handed on to, one after the other.
const MAX_HOPS: usize = 5;

/// The simple API of an index.
#[derive(Debug)]
pub(crate) struct Index {
    remote: Remote,
    /// With a final `/`.
    url: Url,
}

/// The list of projects, as it was found.
struct List {
    names: Names,
    /// Where it is.
    url: Url,
    /// What its links are relative to: its own word, which may be any URL.
    base: Url,
}

/// Why a file did not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotFetched {
    #[error("{url} is on another host, which has to be reached by https")]
    OtherHost { url: Url },
    #[error("{url} is not there")]
    Missing { url: Url },
    #[error("{url} was handed on too often")]
    TooManyHops { url: Url },
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl Index {
    /// Finds the list of projects at a URL, at `simple/` below it, or at `+simple/` (devpi).
    pub(super) async fn find(text: &str, remote: Remote) -> Result<Self, SourceError> {
        let refused = |why| SourceError::Url {
            text: without_password(text),
            why,
        };
        let mut url = Url::parse(text).map_err(|_| refused("it cannot be read"))?;
        if url.host_str().is_none() || !matches!(url.scheme(), "http" | "https") {
            return Err(refused("it has no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("names and passwords in a URL are not supported"));
        }
        url.set_fragment(None);
        url.set_query(None);
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let names_itself = ["/simple/", "/+simple/"]
            .iter()
            .any(|end| url.path().ends_with(end));
        let below = ["simple/", "+simple/"].map(|below| url.join(below));
        let mut places: Vec<Url> = Vec::new();
        if !names_itself {
            places.extend(below.into_iter().flatten());
        }
        places.push(url);
        let mut failed = None;
        for place in places {
            let index = Self {
                remote: remote.clone(),
                url: place,
            };
            match index.list().await {
                // Where the list is, and not what it says that its links are relative to.
                Ok(List { url, .. }) => return Ok(Self { remote, url }),
                // What fails at the host fails at every path.
                Err(error @ SourceError::Fetch(FetchError::Connect { .. })) => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| refused("it cannot be asked")))
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) async fn scan(&self, scan: Scan) -> Result<(), SourceError> {
        let mut short = None;
        let pages: Vec<(ProjectName, Url)> = if scan.projects.is_empty() {
            let List { names, base, .. } = self.list().await?;
            short = (!names.whole).then(|| "the list of projects seems to be cut off".to_owned());
            for skipped in names.skipped {
                let (file, name, why) = (None, skipped.name, skipped.why);
                scan.tell_async(Found::Skipped { file, name, why }).await?;
            }
            let links = names.projects.into_iter().filter_map(|named| {
                let link = named.link.and_then(|link| base.join(&link).ok());
                // A list may say where a page is, and not on which host.
                let link = link.filter(|link| link.origin() == self.url.origin());
                let page = link.or_else(|| self.page_of(&named.name))?;
                Some((named.name, page))
            });
            links.collect()
        } else {
            let pages = scan.projects.iter();
            pages
                .filter_map(|name| Some((name.clone(), self.page_of(name)?)))
                .collect()
        };
        let names = pages.iter().map(|(project, _)| project.clone()).collect();
        scan.tell_async(Found::Projects { names, short }).await?;
        let large = &Semaphore::new(1);
        // In the order in which they come: one that is large must not wait behind one that waits
        // for its turn to be.
        let mut read = futures::stream::iter(pages)
            .map(|(project, url)| async move {
                let page = self.page(&project, &url, large).await;
                (project, page)
            })
            .buffer_unordered(PAGES_AT_A_TIME);
        while let Some((project, page)) = read.next().await {
            match page {
                // The permit is held until its files are told.
                Ok((listing, base, _permit)) => self.tell(&scan, project, listing, &base).await?,
                Err(why) => scan.tell_async(Found::Unread { project, why }).await?,
            }
        }
        Ok(())
    }

    async fn tell(
        &self,
        scan: &Scan,
        project: ProjectName,
        listing: Listing,
        base: &Url,
    ) -> Result<(), SourceError> {
        let doubtful = listing.files.is_empty() && !listing.declared;
        let cut = !listing.whole;
        for skipped in skipped(&project, &listing) {
            scan.tell_async(skipped).await?;
        }
        for file in listing.files {
            let Ok(mut url) = base.join(&file.url) else {
                let name = file.filename.to_string();
                let why = format!("its link `{}` leads nowhere", file.url.escape_debug());
                let file = Some((project.clone(), name.clone()));
                scan.tell_async(Found::Skipped { file, name, why }).await?;
                continue;
            };
            url.set_fragment(None);
            let mut listed = Listed::of_page(&project, file, Place::Remote(url));
            listed.uploaded_at = listed.uploaded_at.map(|time| time.min(scan.now));
            // Any digest will do to see that a file has not changed.
            let stated = listed.hashes.get("sha256").map(|digest| ("sha256", digest));
            let stated = stated.or_else(|| listed.hashes.iter().next());
            listed.known_by = stated.map(|(algorithm, digest)| format!("{algorithm}={digest}"));
            scan.tell_async(Found::File(Box::new(listed))).await?;
        }
        scan.tell_async(match doubtful {
            true => Found::Doubtful(project),
            false if cut => Found::Cut {
                project,
                why: "its page seems to be cut off".to_owned(),
            },
            false => Found::Read(project),
        })
        .await
    }

    /// The list of projects.
    async fn list(&self) -> Result<List, SourceError> {
        let no_list = |why: String| SourceError::NoList {
            url: self.url.clone(),
            why,
        };
        let asked = self
            .ask(&self.url, MAX_LIST_LEN as u64)
            .await
            .map_err(SourceError::Fetch)?
            .ok_or_else(|| no_list("there is nothing".to_owned()))?;
        let names = if is_json(&asked) {
            Names::from_json(&asked.body)
        } else {
            Names::from_html(&asked.body)
        };
        let names = names.map_err(|error| no_list(chain(&error)))?;
        if names.projects.is_empty() && !is_json(&asked) {
            return Err(no_list("it lists no project".to_owned()));
        }
        Ok(List {
            base: base(&asked.url, names.base.as_deref()),
            url: asked.url,
            names,
        })
    }

    /// A project's page. Of those that are large, there is one at a time.
    async fn page<'a>(
        &self,
        project: &ProjectName,
        url: &Url,
        large: &'a Semaphore,
    ) -> Result<(Listing, Url, Option<SemaphorePermit<'a>>), String> {
        let mut permit = None;
        let asked = match self.ask(url, ORDINARY_PAGE).await {
            Err(FetchError::TooLarge { .. }) => {
                permit = large.acquire().await.ok();
                self.ask(url, MAX_PAGE_LEN as u64).await
            }
            asked => asked,
        };
        let asked = asked
            .map_err(|error| chain(&error))?
            .ok_or_else(|| format!("{url} is not there"))?;
        let listing: Result<Listing, ListingError> = if is_json(&asked) {
            Listing::from_json(project, &asked.body)
        } else {
            Listing::from_html(project, &asked.body)
        };
        let listing = listing.map_err(|error| format!("{url}: {}", chain(&error)))?;
        let base = base(&asked.url, listing.base.as_deref());
        Ok((listing, base, permit))
    }

    async fn ask(&self, url: &Url, limit: u64) -> Result<Option<Asked>, FetchError> {
        let mut tries = PAUSES.into_iter();
        loop {
            tokio::time::sleep(tries.next().unwrap_or_default()).await;
            match self.remote.ask(url, ACCEPT, limit).await {
                Err(error) if may_pass(&error) && tries.len() > 0 => {
                    tracing::debug!(%url, error = %error, "asking again");
                }
                done => return done,
            }
        }
    }

    /// Begins to fetch a file at its byte `from`; follows it to other hosts as far as they are
    /// reached by https.
    pub(crate) async fn fetch(&self, url: &Url, from: u64) -> Result<Arriving, NotFetched> {
        let mut at = url.clone();
        for _ in 0..=MAX_HOPS {
            self.allowed(&at)?;
            match self.remote.fetch_file(&at, from).await {
                Ok(Some(arriving)) => return Ok(arriving),
                Ok(None) => return Err(NotFetched::Missing { url: at }),
                Err(FetchError::Redirected { url, location }) => match at.join(&location) {
                    Ok(next) if !location.is_empty() => at = next,
                    _ => return Err(FetchError::Redirected { url, location }.into()),
                },
                Err(error) => return Err(error.into()),
            }
        }
        Err(NotFetched::TooManyHops { url: url.clone() })
    }

    /// What the server says about a file without sending it.
    pub(crate) async fn look(&self, url: &Url) -> Option<String> {
        self.allowed(url).ok()?;
        self.remote.look_at_file(url).await.ok().flatten()
    }

    fn allowed(&self, url: &Url) -> Result<(), NotFetched> {
        if url.scheme() == "https" || url.origin() == self.url.origin() {
            Ok(())
        } else {
            Err(NotFetched::OtherHost { url: url.clone() })
        }
    }

    fn page_of(&self, project: &ProjectName) -> Option<Url> {
        self.url.join(&format!("{project}/")).ok()
    }
}

impl NotFetched {
    /// Whether another try may do better, after how long it may.
    pub(crate) fn pause_before(&self, failures: usize) -> Option<Duration> {
        match self {
            Self::Fetch(error) if may_pass(error) => PAUSES.get(failures).copied(),
            _ => None,
        }
    }
}

/// Whether what went wrong may be over in a moment.
fn may_pass(error: &FetchError) -> bool {
    match error {
        FetchError::Connect { .. }
        | FetchError::Silent { .. }
        | FetchError::Broken { .. }
        | FetchError::TooSlow { .. }
        | FetchError::OtherRange { .. } => true,
        FetchError::Status { status, .. } => {
            status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
        }
        FetchError::Client(_)
        | FetchError::Unauthorised { .. }
        | FetchError::TooLarge { .. }
        | FetchError::Redirected { .. } => false,
    }
}

/// What the links of a document are relative to.
fn base(found: &Url, stated: Option<&str>) -> Url {
    let stated = stated.and_then(|stated| found.join(stated.trim()).ok());
    stated.unwrap_or_else(|| found.clone())
}

/// Whether a document is to be read as JSON: as its server says, or else by its first character.
fn is_json(asked: &Asked) -> bool {
    let stated = asked.content_type.as_deref().unwrap_or_default();
    let stated = stated.split(';').next().unwrap_or_default().trim();
    if stated.ends_with("json") {
        return true;
    }
    let first = asked.body.iter().find(|byte| !byte.is_ascii_whitespace());
    !stated.ends_with("html") && first == Some(&b'{')
}

/// A text that was given as a URL, without what stands before its `@`.
fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(begin), Some(at)) if begin < at => format!("{}://…{}", &text[..begin], &text[at..]),
        _ => text.to_owned(),
    }
}
