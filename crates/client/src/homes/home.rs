//! The index that answers for a project, and what it has of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::agreement::Agreement;
use super::simple;
use crate::ahead::likely;
use crate::file::{Content, SignedFile};
use crate::guard::{Guard, HeldBack};
use crate::page::VerifiedPage;
use crate::proxy::places::Place;
use crate::range::ByteRange;
use crate::reader::Reader;
use crate::refusal::{Failure, Refusal, Subject};

/// The index that answers for a project.
#[derive(Clone, Debug)]
pub struct Home {
    pub(super) reader: Arc<Reader>,
    pub(super) agreed: Option<Agreed>,
    pub(super) guard: Option<Arc<Guard>>,
}

/// What more than one index has to say the same of.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    /// The indexes that have the project, in the order of the pages that were weighed.
    pub(super) readers: Vec<Arc<Reader>>,
    pub(super) threshold: usize,
    pub(super) what: Arc<Agreement>,
}

impl Home {
    pub(super) fn at(reader: Arc<Reader>) -> Self {
        Self {
            reader,
            agreed: None,
            guard: None,
        }
    }

    /// Whether an index answers for the project: alone, or as one of those that were weighed.
    pub(super) fn is(&self, reader: &Arc<Reader>) -> bool {
        self.weighed().any(|weighed| Arc::ptr_eq(weighed, reader))
    }

    fn weighed(&self) -> impl Iterator<Item = &Arc<Reader>> {
        let agreed = self.agreed.iter().flat_map(|agreed| &agreed.readers);
        let alone = self.agreed.is_none().then_some(&self.reader);
        alone.into_iter().chain(agreed)
    }

    /// Whether several indexes have to agree on what it has.
    #[must_use]
    pub fn is_weighed(&self) -> bool {
        self.agreed.is_some()
    }

    /// The index.
    #[must_use]
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// The project's page there; see [`Reader::page`]. Where several indexes have to agree, it
    /// lists what they agree on, and what two of them contradict each other about.
    ///
    /// # Errors
    ///
    /// As [`Reader::page`].
    pub async fn page(
        &self,
        project: &ProjectName,
    ) -> Result<Option<Arc<VerifiedPage>>, Arc<Refusal>> {
        match &self.agreed {
            Some(agreed) => Ok(Some(agreed.what.page().clone())),
            None => self.reader.page(project).await,
        }
    }

    /// The project's page as installers get it, and the files on it that the policy holds back.
    ///
    /// # Errors
    ///
    /// As [`Reader::page`].
    pub async fn offered(
        &self,
        project: &ProjectName,
    ) -> Result<Option<(Arc<VerifiedPage>, Vec<HeldBack>)>, Arc<Refusal>> {
        let page = self.page(project).await?;
        Ok(page.map(|page| match &self.guard {
            Some(guard) => guard.offered(&page),
            None => (page, Vec::new()),
        }))
    }

    /// Fetches the file that an installer is likely to ask for, if any version will do. Not where several
    /// indexes have to agree, or where nothing is signed: there it is a matter for whoever asks.
    pub(super) async fn fetch_ahead(&self, page: &VerifiedPage) {
        let alone = self.agreed.is_none() && self.reader.index().is_signed();
        let Some(likely) = likely(page.page()).filter(|_| alone) else {
            return;
        };
        let (project, filename) = (&page.page().name, likely.filename.as_str());
        // What the policy asks for is asked of whoever gets it.
        if let Ok(Some(file)) = self.reader.signed_file(project, filename).await {
            self.reader.fetch_ahead(&file).await;
        }
    }

    /// The URL by which everybody finds a file that a page lists, as lock files hold it: the one
    /// that the signed page gives it, if that is at this index, and otherwise the index's own
    /// `packages/<project>/<file>`.
    #[must_use]
    pub fn url_of(&self, page: &VerifiedPage, filename: &str) -> Option<String> {
        let page = page.page();
        let said = &page.file(filename)?.url;
        let place = Place::alone(simple(&self.reader).clone());
        Some(place.file_url(&page.name, filename, said))
    }

    /// What is signed there for a file; see [`Reader::signed_file`].
    ///
    /// # Errors
    ///
    /// As [`Reader::signed_file`]; also when several indexes have to agree on the file and do
    /// not, and when the policy asks for more than the file has.
    pub async fn signed_file(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<SignedFile>, Arc<Refusal>> {
        let Some(mut file) = self.signed(project, filename).await? else {
            return Ok(None);
        };
        if let Some(guard) = &self.guard {
            let subject = Subject::File(project.clone(), filename.to_owned());
            // The very page that says what the file is: another one may say other things of it.
            let page = match &self.agreed {
                Some(agreed) => agreed.what.page(),
                None => file.page(),
            };
            let lister = self.lister(&file);
            let admitted = match page.page().file(filename) {
                // Rare, and large.
                Some(entry) => Box::pin(guard.admit(lister, page, entry)).await,
                None => Err(Failure::Missing),
            };
            let attested = admitted.map_err(|failure| self.not_admitted(subject, failure, page))?;
            file = file.attested_as(attested);
        }
        Ok(Some(file))
    }

    /// The index that a file comes from.
    fn lister(&self, file: &SignedFile) -> &Arc<Reader> {
        let mut weighed = self.weighed();
        let lists = weighed.find(|reader| simple(reader) == file.index());
        lists.unwrap_or(&self.reader)
    }

    fn not_admitted(
        &self,
        subject: Subject,
        failure: Failure,
        page: &VerifiedPage,
    ) -> Arc<Refusal> {
        Arc::new(Refusal {
            subject,
            failure,
            signed_by: page.signed_by(),
            index: Some(simple(&self.reader).clone()),
        })
    }

    async fn signed(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<SignedFile>, Arc<Refusal>> {
        let Some(agreed) = &self.agreed else {
            return self.reader.signed_file(project, filename).await;
        };
        let subject = || Subject::File(project.clone(), filename.to_owned());
        let found = agreed.what.sha256(filename, agreed.threshold);
        let found = found.map_err(|failure| self.refuse(subject(), failure, agreed))?;
        let Some((sha256, at)) = found else {
            return Ok(None);
        };
        let file = agreed.readers[at].signed_file(project, filename).await?;
        // The index may have moved on since its page was weighed.
        if file.as_ref().is_some_and(|file| *file.sha256() != sha256) {
            let failure = Failure::TooFewIndexes {
                threshold: agreed.threshold,
                listed: 1,
            };
            return Err(self.refuse(subject(), failure, agreed));
        }
        Ok(file)
    }

    /// A file's bytes; see [`Reader::content`].
    ///
    /// # Errors
    ///
    /// As [`Reader::content`].
    pub async fn content(
        &self,
        file: &SignedFile,
        part: Option<ByteRange>,
    ) -> Result<Content, Arc<Refusal>> {
        self.lister(file).content(file, part).await
    }

    /// A file's core metadata; see [`Reader::core_metadata`]. Where several indexes have to
    /// agree, none if they do not agree on it.
    ///
    /// # Errors
    ///
    /// As [`Reader::core_metadata`], and when the policy refuses the file.
    pub async fn core_metadata(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Bytes>, Arc<Refusal>> {
        let subject = || Subject::CoreMetadata(project.clone(), filename.to_owned());
        if let Some(guard) = &self.guard {
            let page = self.page(project).await?;
            let entry = page.as_ref().and_then(|page| page.page().file(filename));
            let (Some(page), Some(entry)) = (&page, entry) else {
                return Ok(None);
            };
            guard
                .admit_metadata(page, entry)
                .map_err(|failure| self.not_admitted(subject(), failure, page))?;
        }
        let Some(agreed) = &self.agreed else {
            return self.reader.core_metadata(project, filename).await;
        };
        let found = agreed.what.sha256(filename, agreed.threshold);
        found.map_err(|failure| self.refuse(subject(), failure, agreed))?;
        let Some((sha256, at)) = agreed.what.core_metadata(filename) else {
            return Ok(None);
        };
        let bytes = agreed.readers[at].core_metadata(project, filename).await?;
        Ok(bytes.filter(|bytes| Sha256::of(bytes) == sha256))
    }

    /// A file's OpenPGP signature; see [`Reader::signature`]. Where several indexes have to agree,
    /// none if they do not agree on it.
    ///
    /// # Errors
    ///
    /// As [`Reader::signature`].
    pub async fn signature(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Bytes>, Arc<Refusal>> {
        let Some(agreed) = &self.agreed else {
            return self.reader.signature(project, filename).await;
        };
        let subject = || Subject::Signature(project.clone(), filename.to_owned());
        let found = agreed.what.sha256(filename, agreed.threshold);
        found.map_err(|failure| self.refuse(subject(), failure, agreed))?;
        let Some((sha256, at)) = agreed.what.signature(filename) else {
            return Ok(None);
        };
        let bytes = agreed.readers[at].signature(project, filename).await?;
        Ok(bytes.filter(|bytes| Sha256::of(bytes) == sha256))
    }

    fn refuse(&self, subject: Subject, failure: Failure, agreed: &Agreed) -> Arc<Refusal> {
        Arc::new(Refusal {
            subject,
            failure,
            signed_by: agreed.what.page().signed_by(),
            index: Some(simple(&self.reader).clone()),
        })
    }

    /// The names of the files that the project's last verified pages listed.
    #[must_use]
    pub fn remembered_names(&self, project: &ProjectName) -> Vec<String> {
        let names = self
            .weighed()
            .flat_map(|reader| reader.remembered_names(project));
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }
}
