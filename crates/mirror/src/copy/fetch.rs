//! One project: its files, what belongs to them, and last its page.
//!
//! A page gets its name in the tree when all its files have theirs, durably (`writer`). So a page
//! that is there says that its files are, and whoever was interrupted goes on behind the last page.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use wheelmark_client::{ChunkList, Failure, MAX_FILE_LEN, MAX_WHOLE, Upstream};
use wheelmark_objects::{Delivery, Directory, ObjectError, ObjectPath, WriterLock};
use wheelmark_packaging::simple::{
    BoundCertificates, MAX_CERTIFICATES_LEN, MAX_PAGE_LEN, MAX_PROVENANCE_LEN, MAX_TAKEN_AWAY_LEN,
    PageFile, ProjectPage, Sha256Hex, TakenAway,
};
use wheelmark_packaging::{MAX_METADATA_LEN, MAX_SIGNATURE_LEN, ProjectName};
use wheelmark_tuf::{Sha256, Sha256Hasher, Sha512, Sha512Hasher};

use super::error::CopyError;
use super::parts::Parts;
use super::writer::Writer;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::selection::Selection;

/// The length of a chunk list for each byte of its file, and room for one chunk more: 32 bytes
/// for each MiB (`docs/layout.md`).
const CHUNKS_PER_BYTE: u64 = 32 * 1024;

/// What is believed of what is in the tree already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Belief {
    /// A page that is there has its files.
    Pages,
    /// A file that is there with its length is the right one.
    Files,
    /// Nothing: everything is read and hashed.
    Nothing,
}

/// What all tasks of a run share.
pub(super) struct Shared {
    pub(super) tree: Directory,
    pub(super) lock: Arc<WriterLock>,
    pub(super) delivery: Delivery,
    pub(super) upstream: Upstream,
    pub(super) selection: Selection,
    pub(super) belief: Belief,
    pub(super) now: Timestamp,
    pub(super) writer: Writer,
    pub(super) parts: Parts,
    pub(super) jobs: Semaphore,
    pub(super) pace: Arc<Pace>,
    pub(super) progress: Arc<Progress>,
}

/// A project's page, as a role lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageRef {
    pub(super) sha256: Sha256,
    /// Where it is listed.
    pub(super) sha512: Option<Sha512>,
    pub(super) length: u64,
    /// What the index takes away from it, where its list is a signed one.
    pub(super) taken: Option<ListRef>,
}

/// What the index takes away from a project, as `status` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListRef {
    pub(super) sha256: Sha256,
    pub(super) length: u64,
}

/// What is here of a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Holding {
    pub(super) fn of(files: &[&PageFile]) -> Self {
        Self {
            files: files.len() as u64,
            bytes: files.iter().filter_map(|file| file.size).sum(),
        }
    }
}

/// Why something of a project is not here.
#[derive(Debug)]
pub(super) enum Failed {
    /// No source has it as it was signed.
    Upstream(String, Box<Failure>),
    /// The fault is here.
    Here(CopyError),
}

impl From<CopyError> for Failed {
    fn from(error: CopyError) -> Self {
        Self::Here(error)
    }
}

impl From<ObjectError> for Failed {
    fn from(error: ObjectError) -> Self {
        Self::Here(error.into())
    }
}

/// A file as its page or its own target describes it.
pub(super) struct Wanted<'a> {
    pub(super) project: &'a ProjectName,
    pub(super) filename: &'a str,
    pub(super) sha256: Sha256,
    /// Where it is listed.
    pub(super) sha512: Option<Sha512>,
    pub(super) size: u64,
    pub(super) chunks: Option<Sha256>,
    pub(super) metadata: Option<Sha256>,
    pub(super) signature: Option<Signature>,
    pub(super) provenance: Option<Sha256>,
}

/// A file's OpenPGP signature, as the page describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub(super) sha256: Sha256,
    length: u64,
}

impl<'a> Wanted<'a> {
    /// What a page says of a file.
    pub(super) fn of(project: &'a ProjectName, file: &'a PageFile) -> Result<Self, Failed> {
        let filename = file.filename.as_str();
        let lacking = |lacking| {
            Failed::Upstream(
                filename.to_owned(),
                Box::new(Failure::Unspecified { lacking }),
            )
        };
        let marks = file.wheelmark.as_ref();
        let listed = marks.and_then(|marks| marks.chunks_sha256);
        let signature = marks.and_then(|marks| marks.gpg_sig);
        let metadata = file
            .core_metadata
            .as_ref()
            .and_then(|hashes| hashes.sha256());
        Ok(Self {
            project,
            filename,
            sha512: file
                .hashes
                .get("sha512")
                .and_then(|digest| digest.parse().ok()),
            sha256: file.sha256().map(digest).ok_or_else(|| lacking("sha256"))?,
            size: file.size.ok_or_else(|| lacking("length"))?,
            chunks: listed.map(digest),
            metadata: metadata.map(digest),
            signature: signature.map(|signature| Signature {
                sha256: digest(signature.sha256),
                length: signature.length,
            }),
            provenance: marks.and_then(|marks| marks.provenance_sha256).map(digest),
        })
    }
}

pub(super) fn digest(hex: Sha256Hex) -> Sha256 {
    Sha256(hex.into())
}

impl Shared {
    /// Makes sure that a project is here, its page last.
    pub(super) async fn project(
        &self,
        project: &ProjectName,
        page: PageRef,
    ) -> Result<Holding, Failed> {
        let limit = MAX_PAGE_LEN as u64;
        if page.length > limit {
            let length = page.length;
            let too_large = Failure::PageTooLarge { length, limit };
            return Err(failed_page(project, too_large));
        }
        let path = ObjectPath::page(project, &page.sha256);
        let found = self.read_here(&path, &page.sha256, limit).await?;
        let found = found.filter(|bytes| bytes.len() as u64 == page.length);
        let is_listed =
            |bytes: &Bytes| page.sha512.is_none_or(|listed| Sha512::of(bytes) == listed);
        let found = found.filter(is_listed);
        let here = found.is_some();
        let bytes = match found {
            Some(bytes) => bytes,
            None => {
                let _turn = self.turn().await?;
                let fetched = self
                    .upstream
                    .page(&path, &page.sha256, page.sha512.as_ref(), page.length)
                    .await;
                let fetched = fetched.map_err(|failure| failed_page(project, failure))?;
                self.came(fetched.len() as u64).await;
                fetched
            }
        };
        let parsed = parse(&bytes, project).map_err(|failure| failed_page(project, failure))?;
        if let Some(list) = page.taken {
            self.list(project, list).await?;
        }
        let files = self.selection.files(&parsed, self.now);
        // Asked for whatever is believed: a version before this one took the page without them.
        if let Some(bound) = &parsed.wheelmark.certificates {
            self.certificates(project, bound).await?;
        }
        if !(here && self.belief == Belief::Pages) {
            let wanted: Vec<Wanted<'_>> = files
                .iter()
                .map(|file| Wanted::of(project, file))
                .collect::<Result<_, _>>()?;
            // All are tried, so that what can be had is here for the next run.
            let tried = join_all(wanted.iter().map(|file| self.file(file))).await;
            tried.into_iter().collect::<Result<(), Failed>>()?;
        }
        if !here {
            self.writer.put_page(path, bytes).await?;
        }
        self.progress.page();
        Ok(Holding::of(&files))
    }

    /// Makes sure that a file and what belongs to it are here, or on their way to the writer.
    pub(super) async fn file(&self, file: &Wanted<'_>) -> Result<(), Failed> {
        if file.size > MAX_FILE_LEN {
            let (length, limit) = (file.size, MAX_FILE_LEN);
            return Err(failed_file(file, Failure::FileTooLarge { length, limit }));
        }
        if let Some(sha256) = file.metadata {
            let path = ObjectPath::file_metadata(file.project, &sha256, file.filename);
            let path = path.map_err(CopyError::from)?;
            let what = format!("{}.metadata", file.filename);
            self.companion(path, &sha256, MAX_METADATA_LEN, what)
                .await?;
        }
        let mut chunks = None;
        if let Some(sha256) = file.chunks {
            let path = ObjectPath::chunks(file.project, &sha256, file.filename);
            let path = path.map_err(CopyError::from)?;
            let limit = file.size / CHUNKS_PER_BYTE + 32;
            let what = format!("the chunk list of {}", file.filename);
            let bytes = self.companion(path, &sha256, limit, what.clone()).await?;
            let list = ChunkList::verify(&bytes, &sha256, file.size);
            chunks = Some(list.map_err(|error| Failed::Upstream(what, Box::new(error.into())))?);
        }
        if let Some(Signature { sha256, length }) = file.signature {
            let path = ObjectPath::signature(file.project, &sha256, file.filename);
            let path = path.map_err(CopyError::from)?;
            let what = format!("{}.asc", file.filename);
            let limit = MAX_SIGNATURE_LEN as u64;
            if length > limit {
                let too_long = Failure::FileTooLarge { length, limit };
                return Err(Failed::Upstream(what, Box::new(too_long)));
            }
            self.companion(path, &sha256, length, what).await?;
        }
        if let Some(sha256) = file.provenance {
            let path = ObjectPath::provenance(file.project, &sha256, file.filename);
            let path = path.map_err(CopyError::from)?;
            let what = format!("{}.provenance", file.filename);
            self.companion(path, &sha256, MAX_PROVENANCE_LEN as u64, what)
                .await?;
        }
        let path = ObjectPath::file(file.project, &file.sha256, file.filename);
        let path = path.map_err(CopyError::from)?;
        if !self.here(&path, file).await? {
            let _turn = self.turn().await?;
            if file.size <= MAX_WHOLE {
                let fetched = self
                    .upstream
                    .file(&path, &file.sha256, file.sha512.as_ref(), file.size)
                    .await;
                let bytes = fetched.map_err(|failure| failed_file(file, failure))?;
                self.came(bytes.len() as u64).await;
                self.writer.put(path, bytes).await?;
            } else {
                self.large_file(file, path, chunks).await?;
            }
            self.progress.fetched_file();
        }
        self.progress.file();
        Ok(())
    }

    /// Makes sure that the certificates of a project are here.
    async fn certificates(
        &self,
        project: &ProjectName,
        bound: &BoundCertificates,
    ) -> Result<(), Failed> {
        let sha256 = digest(bound.sha256);
        let path = ObjectPath::certificates(project, &sha256);
        let what = format!("the certificates of {project}");
        let limit = bound.size.min(MAX_CERTIFICATES_LEN as u64);
        self.companion(path, &sha256, limit, what).await?;
        Ok(())
    }

    /// Makes sure that what the index takes away from a project is here. Its files are copied all the
    /// same: the project's own role signs for them.
    async fn list(&self, project: &ProjectName, list: ListRef) -> Result<(), Failed> {
        let what = || format!("what is taken away from {project}");
        let limit = MAX_TAKEN_AWAY_LEN as u64;
        if list.length > limit {
            let length = list.length;
            let too_large = Failure::PageTooLarge { length, limit };
            return Err(Failed::Upstream(what(), Box::new(too_large)));
        }
        let path = ObjectPath::status(project, &list.sha256).map_err(CopyError::from)?;
        let bytes = self
            .companion(path, &list.sha256, list.length, what())
            .await?;
        TakenAway::parse(&bytes, project)
            .map_err(|error| Failed::Upstream(what(), Box::new(error.into())))?;
        Ok(())
    }

    /// Core metadata, a chunk list, a signature, certificates or what is taken away: their bytes.
    async fn companion(
        &self,
        path: ObjectPath,
        sha256: &Sha256,
        limit: u64,
        what: String,
    ) -> Result<Bytes, Failed> {
        // Small, so it is always read, also where its length is signed.
        if let Some(bytes) = self.read_here(&path, sha256, limit).await? {
            return Ok(bytes);
        }
        let _turn = self.turn().await?;
        let fetched = self.upstream.companion(&path, sha256, limit).await;
        let bytes = fetched.map_err(|failure| Failed::Upstream(what, Box::new(failure)))?;
        self.came(bytes.len() as u64).await;
        self.writer.put(path, bytes.clone()).await?;
        Ok(bytes)
    }

    /// The bytes of a small object, if it is here as it was signed. What is not is taken away.
    async fn read_here(
        &self,
        path: &ObjectPath,
        sha256: &Sha256,
        limit: u64,
    ) -> Result<Option<Bytes>, Failed> {
        // In a first copy nothing is here, and to see that takes no other thread.
        if self.tree.open_object_here(path)?.is_none() {
            return Ok(None);
        }
        match self.tree.read(path, limit).await {
            Ok(Some(bytes)) if Sha256::of(&bytes) == *sha256 => return Ok(Some(bytes)),
            Ok(None) => {}
            Ok(Some(_)) | Err(ObjectError::TooLarge { .. }) => {
                tracing::warn!(%path, "is not what was signed, and is fetched again");
                self.tree.discard(&self.lock, path).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    }

    /// Whether an object is here, as far as this run believes what it sees. What is not as it
    /// must be is taken away.
    async fn here(&self, path: &ObjectPath, file: &Wanted<'_>) -> Result<bool, Failed> {
        let Some(object) = self.tree.open_object_here(path)? else {
            return Ok(false);
        };
        let mut right = object.len == file.size;
        if right && self.belief == Belief::Nothing {
            right = match file.sha512 {
                Some(sha512) => hashes_of(object.file).await? == (file.sha256, sha512),
                None => hash_of(object.file).await? == file.sha256,
            };
        }
        if !right {
            tracing::warn!(%path, "is not what was signed, and is fetched again");
            self.tree.discard(&self.lock, path).await?;
        }
        Ok(right)
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Failed> {
        let turn = self.jobs.acquire().await;
        turn.map_err(|_| Failed::Here(CopyError::Stopped))
    }

    pub(super) async fn came(&self, bytes: u64) {
        self.progress.bytes(bytes);
        self.pace.spend(bytes).await;
    }
}

/// Reads a project's page, which has to be that project's.
pub(super) fn parse(bytes: &[u8], project: &ProjectName) -> Result<ProjectPage, Failure> {
    let page = ProjectPage::parse(bytes)?;
    if page.name != *project {
        return Err(Failure::PageOfOther { said: page.name });
    }
    Ok(page)
}

fn failed_page(project: &ProjectName, failure: Failure) -> Failed {
    Failed::Upstream(format!("the page of {project}"), Box::new(failure))
}

pub(super) fn failed_file(file: &Wanted<'_>, failure: Failure) -> Failed {
    Failed::Upstream(file.filename.to_owned(), Box::new(failure))
}

/// The digest of a whole file.
pub(super) async fn hash_of(file: std::fs::File) -> Result<Sha256, CopyError> {
    let mut hasher = Sha256Hasher::new();
    let hashed = tokio::task::spawn_blocking(move || {
        read_through(file, |piece| hasher.update(piece))?;
        Ok(hasher.finish())
    });
    ended(hashed.await)
}

/// Both digests of a whole file.
pub(super) async fn hashes_of(file: std::fs::File) -> Result<(Sha256, Sha512), CopyError> {
    let (mut sha256, mut sha512) = (Sha256Hasher::new(), Sha512Hasher::new());
    let hashed = tokio::task::spawn_blocking(move || {
        read_through(file, |piece| {
            sha256.update(piece);
            sha512.update(piece);
        })?;
        Ok((sha256.finish(), sha512.finish()))
    });
    ended(hashed.await)
}

fn read_through(mut file: std::fs::File, mut each: impl FnMut(&[u8])) -> std::io::Result<()> {
    use std::io::{Read as _, Seek as _};
    file.rewind()?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => each(&buffer[..read]),
        }
    }
}

fn ended<T>(hashed: Result<std::io::Result<T>, tokio::task::JoinError>) -> Result<T, CopyError> {
    let hashed = hashed.map_err(|_| CopyError::Stopped)?;
    hashed.map_err(|source| CopyError::Part {
        doing: "read",
        source,
    })
}
