//! A project's page, verified.

use std::sync::Arc;

use bytes::Bytes;
use wheelmark_objects::{ObjectPath, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, ProjectPage};
use wheelmark_tuf::{Found, RoleName, Sha256, Target};

use crate::chain::Chain;
use crate::refusal::{Failure, Refusal, Subject};
use crate::remote::{Download, FetchError, Remote};
use crate::trust::TrustedIndex;
use crate::view::View;

/// A project's page, whose bytes are those that a role signs for, and whose name and files
/// are the project's.
#[derive(Debug)]
pub struct VerifiedPage {
    content: Arc<PageContent>,
    role: RoleName,
    role_version: u64,
    chain: Chain,
}

/// What the bytes of a digest say.
#[derive(Debug)]
pub(crate) struct PageContent {
    pub(crate) sha256: Sha256,
    page: ProjectPage,
}

impl VerifiedPage {
    /// What the page says.
    #[must_use]
    pub fn page(&self) -> &ProjectPage {
        &self.content.page
    }

    /// The digest of the page's bytes.
    #[must_use]
    pub fn sha256(&self) -> &Sha256 {
        &self.content.sha256
    }

    /// The role that signs for the page.
    #[must_use]
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// That role's version.
    #[must_use]
    pub fn role_version(&self) -> u64 {
        self.role_version
    }

    /// Who signed for it.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    pub(crate) fn content(&self) -> Arc<PageContent> {
        self.content.clone()
    }

    pub(crate) fn signed_by(&self) -> Option<(RoleName, u64)> {
        Some((self.role.clone(), self.role_version))
    }
}

impl View {
    /// Fetches and verifies the page of a project; `None` when no role signs for one.
    pub(crate) async fn fetch_page(
        &self,
        project: &ProjectName,
        index: &TrustedIndex,
        remote: &Remote,
    ) -> Result<Option<VerifiedPage>, Refusal> {
        let refuse = |failure, signed_by| Refusal {
            subject: Subject::Page(project.clone()),
            failure,
            signed_by,
        };
        let found = self
            .find(&page_target(project), index, remote)
            .await
            .map_err(|failure| refuse(failure, None))?;
        let target = match found {
            Found::Target(target) => target,
            Found::Absent { .. } => return Ok(None),
        };
        let signed_by = Some((target.role.clone(), target.role_version));
        let refuse = |failure| refuse(failure, signed_by.clone());
        let content = self
            .content_of(&target, project, index, remote)
            .await
            .map_err(refuse)?;
        Ok(Some(VerifiedPage {
            content,
            role: target.role.clone(),
            role_version: target.role_version,
            chain: Chain::of(
                target
                    .via
                    .iter()
                    .map(|(role, _)| role)
                    .chain([&target.role]),
            ),
        }))
    }

    async fn content_of(
        &self,
        target: &Target,
        project: &ProjectName,
        index: &TrustedIndex,
        remote: &Remote,
    ) -> Result<Arc<PageContent>, Failure> {
        let limit = MAX_PAGE_LEN as u64;
        if target.length > limit {
            return Err(Failure::PageTooLarge {
                length: target.length,
                limit,
            });
        }
        let Some(sha256) = target.hashes.sha256() else {
            return Err(Failure::Unspecified { lacking: "sha256" });
        };
        if let Some(content) = self.read_before(project, &sha256) {
            return Ok(content);
        }
        let url = if self.set().root().consistent_snapshot {
            index.urls().object_url(&ObjectPath::page(project, &sha256))
        } else {
            index.urls().target_url(&target.path)
        };
        tracing::debug!(%url, "asking for a page");
        let opening = remote.open_decoded(&url);
        let bytes = fetch_exact(opening, target.length, &sha256).await?;
        let page = ProjectPage::parse(&bytes)?;
        if page.name != *project {
            return Err(Failure::PageOfOther { said: page.name });
        }
        Ok(Arc::new(PageContent { sha256, page }))
    }
}

/// Reads an object whose length and digest are known, and hands it on only if it is that.
pub(crate) async fn fetch_exact(
    opening: impl Future<Output = Result<Option<Download>, FetchError>>,
    length: u64,
    sha256: &Sha256,
) -> Result<Bytes, Failure> {
    let Some(mut download) = opening.await? else {
        return Err(Failure::Missing);
    };
    // One byte more than signed is enough to know that it is not the signed object.
    let wanted = usize::try_from(length.saturating_add(1)).unwrap_or(usize::MAX);
    let bytes = download.take(wanted).await?;
    if bytes.len() as u64 != length {
        return Err(Failure::Length {
            expected: length,
            found: bytes.len() as u64,
        });
    }
    let found = Sha256::of(&bytes);
    if found != *sha256 {
        return Err(Failure::Altered {
            expected: *sha256,
            found,
        });
    }
    Ok(bytes)
}
