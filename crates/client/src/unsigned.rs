//! An index that nobody signs: its pages as they are, and of its files what can be held against them.
//!
//! ```text
//! simple/<project>/, JSON or HTML ─▶ page, `unsigned` ─▶ file, by the sha256 on the page
//! ```
//!
//! Whoever controls the index, or the way to it, decides what is on a page. What is left are the
//! digests (a file is what its page says), the map, and what the policy asks for. Nothing on a page is
//! believed that only a signature could make good: marks, chunk lists, states of the project.
//!
//! That an index is not signed is what this client was told when it was added, and never what the
//! index answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;
use url::Url;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{Listing, MAX_PAGE_LEN, PageFile, ProjectPage};
use wheelmark_tuf::Sha256;

use crate::file::{SignedFile, digest};
use crate::page::VerifiedPage;
use crate::reader::Reader;
use crate::refusal::{Failure, Refusal, Subject};
use crate::view::PageOutcome;

/// JSON where it is offered, HTML otherwise.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// Pages kept in memory; beyond it the memory starts anew.
const PAGES_KEPT: usize = 512;

/// When each page was asked for, and what came of it.
type Kept = HashMap<ProjectName, (Timestamp, Arc<OnceCell<PageOutcome>>)>;

/// The pages of an unsigned index that were read, each for as long as the state of a signed one.
#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<Kept>);

impl Pages {
    /// The cell that the first request for a page fills and all others wait for.
    fn cell(
        &self,
        project: &ProjectName,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Arc<OnceCell<PageOutcome>> {
        let mut pages = self.held();
        if let Some((since, cell)) = pages.get(project) {
            let age = now.duration_since(*since);
            if age >= SignedDuration::ZERO && age < lifetime {
                return cell.clone();
            }
        }
        if pages.len() >= PAGES_KEPT {
            pages.clear();
        }
        let cell = Arc::new(OnceCell::new());
        pages.insert(project.clone(), (now, cell.clone()));
        cell
    }

    fn held(&self) -> MutexGuard<'_, Kept> {
        // Every change is one insertion.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// The page of a project as the index shows it; `None` when it shows none.
    pub(crate) async fn unsigned_page(&self, project: &ProjectName) -> PageOutcome {
        let cell = self.unsigned.cell(project, self.now(), self.lifetime());
        let outcome = cell
            .get_or_try_init(|| async {
                match self.fetch_unsigned(project).await {
                    Ok(page) => Ok(Ok(page.map(Arc::new))),
                    // It may go well next time: the cell stays empty.
                    Err(failure) => {
                        Err(self.unsigned_refusal(Subject::Page(project.clone()), failure))
                    }
                }
            })
            .await?;
        outcome.clone()
    }

    async fn fetch_unsigned(&self, project: &ProjectName) -> Result<Option<VerifiedPage>, Failure> {
        let mut url = self.index().urls().simple().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(project.as_str()).push("");
        }
        let limit = MAX_PAGE_LEN as u64;
        let asked = self.sources.remote().ask(&url, ACCEPT, limit).await?;
        let Some(asked) = asked else {
            return Ok(None);
        };
        let is_json = asked
            .content_type
            .as_deref()
            .is_some_and(|kind| kind.contains("json"));
        let listing = if is_json {
            Listing::from_json(project, &asked.body)?
        } else {
            Listing::from_html(project, &asked.body)?
        };
        let base = listing
            .base
            .as_deref()
            .and_then(|base| asked.url.join(base).ok());
        let base = base.unwrap_or_else(|| asked.url.clone());
        let mut page = ProjectPage::new(project.clone());
        page.files = listing
            .files
            .into_iter()
            .map(|file| plain(file, &base))
            .collect();
        let bytes = page.to_json();
        // Only its names are ever used again.
        if let Err(error) = self.index.keep_page(project, &bytes) {
            tracing::warn!(%error, "the page could not be kept");
        }
        Ok(Some(VerifiedPage::unsigned(Sha256::of(&bytes), page)))
    }

    /// What a page of an unsigned index says of a file, if that is enough to hold its bytes against.
    pub(crate) async fn unsigned_file(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<SignedFile>, Arc<Refusal>> {
        let Some(page) = self.unsigned_page(project).await? else {
            return Ok(None);
        };
        let Some(entry) = page.page().file(filename) else {
            return Ok(None);
        };
        let subject = || Subject::File(project.clone(), filename.to_owned());
        let refuse = |failure| self.unsigned_refusal(subject(), failure);
        if self.options.strict {
            return Err(refuse(Failure::NoTarget));
        }
        let Some(sha256) = entry.hashes.sha256().map(digest) else {
            return Err(refuse(Failure::NoDigest));
        };
        let url = self.place(&entry.url).map_err(refuse)?;
        let size = match entry.size {
            Some(size) => size,
            None => match self.sources.remote().length_of(&url).await {
                Ok(Some(size)) => size,
                Ok(None) => return Err(refuse(Failure::NoLength)),
                Err(error) => return Err(refuse(error.into())),
            },
        };
        let index = self.index().urls().simple().clone();
        let file = SignedFile::unsigned(page.clone(), filename, sha256, size, index, url);
        file.map(Some).map_err(refuse)
    }

    /// Where a file is, if its page may send us there: at the index itself, or anywhere by https.
    pub(crate) fn place(&self, said: &str) -> Result<Url, Failure> {
        let simple = self.index().urls().simple();
        let url = Url::parse(said).ok().filter(|url| {
            let fine = url.scheme() == "https" || url.origin() == simple.origin();
            fine && url.has_host() && url.username().is_empty() && url.password().is_none()
        });
        url.ok_or_else(|| Failure::OtherPlace {
            said: said.to_owned(),
        })
    }

    /// The core metadata of a file, by the digest on the page.
    pub(crate) async fn unsigned_metadata(
        &self,
        project: &ProjectName,
        filename: &str,
        limit: u64,
    ) -> Result<Option<bytes::Bytes>, Arc<Refusal>> {
        let Some(page) = self.unsigned_page(project).await? else {
            return Ok(None);
        };
        let Some(entry) = page.page().file(filename) else {
            return Ok(None);
        };
        let Some(sha256) = entry
            .core_metadata
            .as_ref()
            .and_then(|hashes| hashes.sha256())
        else {
            return Ok(None);
        };
        let fetched = async {
            let mut url = self.place(&entry.url)?;
            url.set_path(&format!("{}.metadata", url.path()));
            let bytes = self.sources.remote().get(&url, limit).await?;
            let bytes = bytes.ok_or(Failure::Missing)?;
            crate::page::demand(&bytes, &digest(sha256))?;
            Ok(bytes)
        };
        let subject = Subject::CoreMetadata(project.clone(), filename.to_owned());
        let fetched: Result<_, Failure> = fetched.await;
        fetched
            .map(Some)
            .map_err(|failure| self.unsigned_refusal(subject, failure))
    }

    fn unsigned_refusal(&self, subject: Subject, failure: Failure) -> Arc<Refusal> {
        Arc::new(Refusal {
            subject,
            failure,
            signed_by: None,
            index: Some(self.index().urls().simple().clone()),
        })
    }
}

/// An entry with what can be held against something, and its URL as it is.
fn plain(mut file: PageFile, base: &Url) -> PageFile {
    if let Ok(url) = base.join(&file.url) {
        file.url = url.into();
    }
    if let Some(provenance) = &file.provenance {
        file.provenance = base.join(provenance).ok().map(Into::into);
    }
    // Installers take the dependencies from there: without a digest, from the file itself.
    file.core_metadata = file
        .core_metadata
        .filter(|hashes| hashes.sha256().is_some());
    file.wheelmark = None;
    file.gpg_sig = None;
    file.extra.clear();
    file
}
