//! Which index answers for a project: every project has one home.
//!
//! ```text
//! request for a project ─▶ Homes::home_of ─▶ Home ─▶ page, signed_file, content, core_metadata
//! ```

use std::sync::Arc;

use bytes::Bytes;
use wheelmark_packaging::ProjectName;

use crate::file::{Content, SignedFile};
use crate::page::VerifiedPage;
use crate::range::ByteRange;
use crate::reader::Reader;
use crate::refusal::Refusal;
use crate::sources::SourceWarning;

/// All indexes of a run, and which of them answers for which project.
#[derive(Debug)]
pub struct Homes {
    readers: Vec<Arc<Reader>>,
}

impl Homes {
    /// One index, which is every project's home.
    #[must_use]
    pub fn only(reader: Arc<Reader>) -> Self {
        Self {
            readers: vec![reader],
        }
    }

    /// Every index of the run, the first of them being the one that installers are pointed at.
    #[must_use]
    pub fn readers(&self) -> &[Arc<Reader>] {
        &self.readers
    }

    /// The index that installers are pointed at.
    #[must_use]
    pub fn first(&self) -> &Arc<Reader> {
        // `only` is the one way to make this, and it takes a reader.
        &self.readers[0]
    }

    /// What the sources of every index did wrong while others had what was asked for.
    #[must_use]
    pub fn warnings(&self) -> Vec<SourceWarning> {
        let readers = self.readers.iter();
        readers.flat_map(|reader| reader.warnings()).collect()
    }

    /// The home of a project. `asked` is the index that the installer named, by its place
    /// among [`Homes::readers`], where it named one.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the project's home cannot be told, or is not the index that was asked.
    pub async fn home_of(
        &self,
        _project: &ProjectName,
        asked: Option<usize>,
    ) -> Result<Home, Arc<Refusal>> {
        let reader = asked.and_then(|place| self.readers.get(place));
        Ok(Home {
            reader: reader.unwrap_or_else(|| self.first()).clone(),
        })
    }
}

/// The index that answers for a project.
#[derive(Clone, Debug)]
pub struct Home {
    reader: Arc<Reader>,
}

impl Home {
    /// The index.
    #[must_use]
    pub fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// The project's page there; see [`Reader::page`].
    ///
    /// # Errors
    ///
    /// As [`Reader::page`].
    pub async fn page(
        &self,
        project: &ProjectName,
    ) -> Result<Option<Arc<VerifiedPage>>, Arc<Refusal>> {
        self.reader.page(project).await
    }

    /// What is signed there for a file; see [`Reader::signed_file`].
    ///
    /// # Errors
    ///
    /// As [`Reader::signed_file`].
    pub async fn signed_file(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<SignedFile>, Arc<Refusal>> {
        self.reader.signed_file(project, filename).await
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
        self.reader.content(file, part).await
    }

    /// A file's core metadata; see [`Reader::core_metadata`].
    ///
    /// # Errors
    ///
    /// As [`Reader::core_metadata`].
    pub async fn core_metadata(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Bytes>, Arc<Refusal>> {
        self.reader.core_metadata(project, filename).await
    }

    /// The names of the files that the project's last verified page listed.
    #[must_use]
    pub fn remembered_names(&self, project: &ProjectName) -> Vec<String> {
        self.reader.remembered_names(project)
    }
}
