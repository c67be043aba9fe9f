//! A project's page, verified.

use std::sync::Arc;

use wheelmark_objects::{ObjectPath, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_PAGE_LEN, PageFile, ProjectPage, TakenAway};
use wheelmark_provenance::Chain;
use wheelmark_tuf::{Found, RoleName, Sha256, Sha512, Target};

use crate::chain::chain_of;
use crate::claims::{Claim, claim_in, weigh};
use crate::index::Location;
use crate::refusal::{Failure, Refusal, Subject};
use crate::sources::{Sources, Wanted};
use crate::taken_away::Taken;
use crate::trust::{TrustedIndex, Under};
use crate::view::View;

/// A project's page, whose name and files are the project's. Its bytes are those that a role signs
/// for, unless it is [`Chain::Unsigned`]: then it is what the index showed. Where the project's own
/// people sign, what the index takes away is taken away already.
#[derive(Debug)]
pub struct VerifiedPage {
    content: Arc<PageContent>,
    /// The page as it was signed, and what was taken away from it, where anything was.
    taken: Option<(Arc<PageContent>, Arc<Taken>)>,
    signed_by: Option<(RoleName, u64)>,
    chain: Chain,
    claim: Option<Claim>,
    /// The state of the index that it was verified under, of one that is signed.
    under: Option<Under>,
}

/// What the bytes of a digest say.
#[derive(Debug)]
pub(crate) struct PageContent {
    pub(crate) sha256: Sha256,
    /// Where it was listed, too, when the bytes were verified.
    sha512: Option<Sha512>,
    page: ProjectPage,
}

impl VerifiedPage {
    /// What the page says, without what the index takes away.
    #[must_use]
    pub fn page(&self) -> &ProjectPage {
        &self.content.page
    }

    /// The page as it was signed: what is signed next is built on it, and nothing is installed by it.
    #[must_use]
    pub fn as_signed(&self) -> &ProjectPage {
        &self.signed_content().page
    }

    /// What the index takes away from the page, where its list says anything.
    #[must_use]
    pub fn taken_away(&self) -> Option<&TakenAway> {
        self.taken.as_ref().map(|(_, taken)| &taken.list)
    }

    /// The digest of what the page says: that of its bytes, unless something is taken away. For a
    /// page that several indexes agree on, one that changes with the page of any of them.
    #[must_use]
    pub fn sha256(&self) -> &Sha256 {
        &self.content.sha256
    }

    /// The digest of the page's bytes, as a role signs for them.
    #[must_use]
    pub fn signed_sha256(&self) -> &Sha256 {
        &self.signed_content().sha256
    }

    fn signed_content(&self) -> &Arc<PageContent> {
        self.taken
            .as_ref()
            .map_or(&self.content, |(signed, _)| signed)
    }

    /// The role that signs for the page, if one does.
    #[must_use]
    pub fn role(&self) -> Option<&RoleName> {
        self.signed_by.as_ref().map(|(role, _)| role)
    }

    /// That role's version.
    #[must_use]
    pub fn role_version(&self) -> Option<u64> {
        self.signed_by.as_ref().map(|(_, version)| *version)
    }

    /// A page that nobody signs for.
    pub(crate) fn unsigned(sha256: Sha256, page: ProjectPage) -> Self {
        Self {
            content: Arc::new(PageContent {
                sha256,
                sha512: None,
                page,
            }),
            taken: None,
            signed_by: None,
            chain: Chain::Unsigned,
            claim: None,
            under: None,
        }
    }

    /// Who signed for it.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Who signed for one of its files: for one that was taken over when the project was claimed, and
    /// that nobody compared, it is the index that did.
    #[must_use]
    pub fn chain_of(&self, filename: &str) -> Chain {
        let entry = self.content.page.file(filename);
        match entry.is_some_and(PageFile::is_adopted) {
            true => self.chain.min(Chain::IndexSigned),
            false => self.chain,
        }
    }

    /// Whose keys sign for the project, where its own people do.
    #[must_use]
    pub fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// The same page with less on it, under a digest of the caller's own.
    pub(crate) fn derived(&self, sha256: Sha256, page: ProjectPage) -> Self {
        Self {
            content: Arc::new(PageContent {
                sha256,
                sha512: self.content.sha512,
                page,
            }),
            taken: self.taken.clone(),
            signed_by: self.signed_by.clone(),
            chain: self.chain,
            claim: self.claim.clone(),
            under: self.under,
        }
    }

    /// The same page, as vouched for by less.
    pub(crate) fn with_chain(self, chain: Chain) -> Self {
        Self { chain, ..self }
    }

    /// What the role signs for.
    pub(crate) fn content(&self) -> Arc<PageContent> {
        self.signed_content().clone()
    }

    /// The list of what is taken away, where there is one.
    pub(crate) fn taken(&self) -> Option<Arc<Taken>> {
        self.taken.as_ref().map(|(_, taken)| taken.clone())
    }

    /// Why a file that the project's people have published is not to be had.
    pub(crate) fn why_taken(&self, filename: &str) -> Option<Failure> {
        let (signed, taken) = self.taken.as_ref()?;
        let file = signed.page.file(filename)?;
        let state = taken.list.state.as_ref();
        let state = state.filter(|_| taken.list.is_quarantined());
        let (at, reason) = match (taken.list.withdrawn(file), state) {
            (Some(file), _) => (file.at, &file.reason),
            (None, Some(state)) => (state.at, &state.reason),
            (None, None) => return None,
        };
        let (is_all, reason) = (state.is_some(), reason.clone().unwrap_or_default());
        Some(Failure::TakenAway { is_all, at, reason })
    }

    pub(crate) fn signed_by(&self) -> Option<(RoleName, u64)> {
        self.signed_by.clone()
    }

    /// The state of the index that it was verified under; none where nobody signs.
    pub(crate) fn under(&self) -> Option<Under> {
        self.under
    }
}

impl View {
    /// Fetches and verifies the page of a project; `None` when no role signs for one.
    pub(crate) async fn fetch_page(
        &self,
        project: &ProjectName,
        index: &TrustedIndex,
        sources: &Arc<Sources>,
    ) -> Result<Option<VerifiedPage>, Refusal> {
        let refuse = |failure, signed_by| Refusal {
            subject: Subject::Page(project.clone()),
            failure,
            signed_by,
            index: Some(self.index().clone()),
        };
        let searched = self.search(&page_target(project), index, sources).await;
        let search = searched.map_err(|failure| refuse(failure, None))?;
        let claim = claim_in(search.trail());
        let found = search
            .finish()
            .map_err(|error| refuse(Failure::Role(error), None))?;
        let claim = match found {
            Found::Target(_) => claim,
            Found::Absent { .. } => None,
        };
        self.demand_claim(project, index, claim.as_ref())
            .await
            .map_err(|failure| refuse(failure, None))?;
        let target = match found {
            Found::Target(target) => target,
            Found::Absent { .. } => return Ok(None),
        };
        let signed_by = Some((target.role.clone(), target.role_version));
        let refuse = |failure| refuse(failure, signed_by.clone());
        let signed = self
            .content_of(&target, project, index, sources)
            .await
            .map_err(refuse)?;
        let taken = match &claim {
            Some(_) => {
                let taken = self.taken_away(project, index, sources);
                taken.await.map_err(refuse)?
            }
            // What the index signs itself says already what it took away.
            None => None,
        };
        let (content, taken) = match taken {
            Some(taken) => (Arc::new(without(&signed, &taken)), Some((signed, taken))),
            None => (signed, None),
        };
        Ok(Some(VerifiedPage {
            content,
            taken,
            signed_by,
            chain: chain_of(
                target
                    .via
                    .iter()
                    .map(|(role, _)| role)
                    .chain([&target.role]),
            ),
            claim,
            under: Some(self.under()),
        }))
    }

    /// Holds who signs for a project against who did before, and remembers it.
    async fn demand_claim(
        &self,
        project: &ProjectName,
        index: &TrustedIndex,
        found: Option<&Claim>,
    ) -> Result<(), Failure> {
        let known = index.seen_claim(project).map_err(Failure::KeptClaim)?;
        let under = self.under();
        let done = match weigh(known.as_ref(), found)? {
            // What cannot be remembered would be a first look the next time as well.
            Some(next) => index.remember_found(project, next, under).await,
            // A recovery of the index has taken the project's seal away.
            None if known.is_some() && found.is_none() => index.forget_gone(project, under).await,
            None => Ok(()),
        };
        done.map_err(Failure::KeptClaim)
    }

    async fn content_of(
        &self,
        target: &Target,
        project: &ProjectName,
        index: &TrustedIndex,
        sources: &Arc<Sources>,
    ) -> Result<Arc<PageContent>, Failure> {
        let limit = MAX_PAGE_LEN as u64;
        if target.length > limit {
            return Err(Failure::PageTooLarge {
                length: target.length,
                limit,
            });
        }
        let Some(sha256) = target.sha256() else {
            return Err(Failure::Unspecified { lacking: "sha256" });
        };
        let sha512 = target.hashes.sha512();
        let before = self.read_before(project, &sha256);
        let is_verified = |known: &Option<Sha512>| sha512.is_none() || *known == sha512;
        if let Some(content) = before.filter(|content| is_verified(&content.sha512)) {
            return Ok(content);
        }
        let demand_all = |bytes: &[u8]| {
            demand(bytes, &sha256)?;
            demand_sha512(bytes, sha512.as_ref())
        };
        let kept = index.kept_page(project);
        if let Some(kept) = kept.filter(|kept| demand_all(kept).is_ok()) {
            return content(&kept, project, sha256, sha512);
        }
        let location = if self.set().root().consistent_snapshot {
            Location::Object(ObjectPath::page(project, &sha256))
        } else {
            Location::Target(target.path.clone())
        };
        let what = Subject::Page(project.clone()).to_string();
        let length = target.length;
        let bytes = sources
            .object(what, &location, Wanted::Page { length }, |bytes| {
                demand_all(&bytes)?;
                Ok(bytes)
            })
            .await?;
        let content = content(&bytes, project, sha256, sha512)?;
        // The page is verified whether or not its copy can be kept.
        if let Err(error) = index.keep_page(project, &bytes) {
            tracing::warn!(%error, "the page could not be kept");
        }
        Ok(content)
    }
}

/// The page without what was taken away, under a digest that changes with either.
fn without(signed: &PageContent, taken: &Taken) -> PageContent {
    let both = format!("{}\n{}", signed.sha256, taken.sha256);
    PageContent {
        sha256: Sha256::of(both.as_bytes()),
        sha512: signed.sha512,
        page: taken.list.apply(&signed.page),
    }
}

/// Reads bytes that have the digest.
fn content(
    bytes: &[u8],
    project: &ProjectName,
    sha256: Sha256,
    sha512: Option<Sha512>,
) -> Result<Arc<PageContent>, Failure> {
    let page = ProjectPage::parse(bytes)?;
    if page.name != *project {
        return Err(Failure::PageOfOther { said: page.name });
    }
    Ok(Arc::new(PageContent {
        sha256,
        sha512,
        page,
    }))
}

/// Demands that bytes are the signed ones.
pub(crate) fn demand(bytes: &[u8], expected: &Sha256) -> Result<(), Failure> {
    let found = Sha256::of(bytes);
    if found != *expected {
        return Err(Failure::Altered {
            expected: *expected,
            found,
        });
    }
    Ok(())
}

/// Demands it of their SHA-512 as well, where that is signed.
pub(crate) fn demand_sha512(bytes: &[u8], expected: Option<&Sha512>) -> Result<(), Failure> {
    expected.map_or(Ok(()), |expected| {
        demand_same_sha512(Sha512::of(bytes), *expected)
    })
}

/// Demands that a SHA-512 is the signed one.
pub(crate) fn demand_same_sha512(found: Sha512, expected: Sha512) -> Result<(), Failure> {
    if found == expected {
        return Ok(());
    }
    let (expected, found) = (Box::new(expected), Box::new(found));
    Err(Failure::AlteredSha512 { expected, found })
}
