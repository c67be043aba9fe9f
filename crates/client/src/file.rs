//! A distribution file, verified by the project's page.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use url::Url;
use wheelmark_objects::{ObjectPath, PathError, file_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, Sha256Hex};
use wheelmark_tuf::{Found, RoleName, Sha256, Sha512};

use crate::chunks::{ChunkList, list_length};
use crate::guard::AttestedAs;
use crate::index::Location;
use crate::page::{VerifiedPage, demand, demand_sha512};
use crate::range::ByteRange;
use crate::reader::Reader;
use crate::refusal::{Failure, Refusal, Subject};
use crate::sources::{Part, Wanted};
use crate::stream::Passage;
use crate::view::View;

/// Files up to this length are verified whole, in memory, before the first byte leaves.
pub const MAX_WHOLE: u64 = 4 * 1024 * 1024;

/// The largest file we fetch, in bytes: far above any distribution, and it bounds the chunk
/// list, all of which is read before the first byte leaves, to 2 MiB.
pub const MAX_FILE_LEN: u64 = 64 << 30;

/// How a file's bytes are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// All of it before the first byte leaves.
    Whole,
    /// Every chunk before it leaves, by a list that the page commits to.
    ByChunk,
    /// The page commits to no chunks: the last one is held back until the whole holds.
    LastChunkWithheld,
}

/// What a verified page, and under `--strict` the file's own target, say of a file.
#[derive(Clone, Debug)]
pub struct SignedFile(Arc<Signed>, Option<Arc<AttestedAs>>);

#[derive(Debug)]
struct Signed {
    project: ProjectName,
    filename: String,
    sha256: Sha256,
    sha512: Option<Sha512>,
    size: u64,
    chunks: Option<Sha256>,
    page: Arc<VerifiedPage>,
    own_role: Option<(RoleName, u64)>,
    index: Url,
    origin: Origin,
}

/// Where a file's entry comes from.
#[derive(Debug)]
enum Origin {
    /// A verified state of the index.
    Signed(Arc<View>),
    /// A page that nobody signs for, which says that it is there.
    Unsigned(Url),
}

impl SignedFile {
    /// Who attests to it, as far as anybody asked.
    #[must_use]
    pub fn attested(&self) -> Option<&AttestedAs> {
        self.1.as_deref()
    }

    pub(crate) fn attested_as(self, attested: Option<AttestedAs>) -> Self {
        Self(self.0, attested.map(Arc::new))
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.0.project
    }

    /// The file's name.
    #[must_use]
    pub fn filename(&self) -> &str {
        &self.0.filename
    }

    /// The signed digest.
    #[must_use]
    pub fn sha256(&self) -> &Sha256 {
        &self.0.sha256
    }

    /// The signed SHA-512, where the page lists it.
    #[must_use]
    pub fn sha512(&self) -> Option<&Sha512> {
        self.0.sha512.as_ref()
    }

    /// The signed length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The index that signs for it, by its simple URL.
    #[must_use]
    pub fn index(&self) -> &Url {
        &self.0.index
    }

    /// The page that lists it.
    #[must_use]
    pub fn page(&self) -> &VerifiedPage {
        &self.0.page
    }

    /// The role that lists the file itself, with its version, where that was asked for
    /// (`--strict`).
    #[must_use]
    pub fn own_role(&self) -> Option<&(RoleName, u64)> {
        self.0.own_role.as_ref()
    }

    /// How its bytes will be verified.
    #[must_use]
    pub fn manner(&self) -> Manner {
        if self.0.size <= MAX_WHOLE {
            Manner::Whole
        } else if self.0.chunks.is_some() {
            Manner::ByChunk
        } else {
            Manner::LastChunkWithheld
        }
    }

    /// Whether a part of the file can be verified without the rest.
    #[must_use]
    pub fn allows_ranges(&self) -> bool {
        self.manner() != Manner::LastChunkWithheld
    }

    pub(crate) fn refuse(&self, failure: Failure) -> Arc<Refusal> {
        let subject = Subject::File(self.0.project.clone(), self.0.filename.clone());
        let signed_by = self.0.page.signed_by();
        match &self.0.origin {
            Origin::Signed(view) => view.refuse(subject, failure, signed_by),
            Origin::Unsigned(_) => Arc::new(Refusal {
                subject,
                failure: match failure {
                    Failure::Altered { expected, found } => Failure::NotListed { expected, found },
                    Failure::Length { expected, found } => {
                        Failure::NotListedLength { expected, found }
                    }
                    failure => failure,
                },
                signed_by,
                index: Some(self.0.index.clone()),
            }),
        }
    }

    /// A file of a page that nobody signs for, which is at `url`.
    pub(crate) fn unsigned(
        page: Arc<VerifiedPage>,
        filename: &str,
        sha256: Sha256,
        size: u64,
        index: Url,
        url: Url,
    ) -> Result<Self, Failure> {
        if size > MAX_FILE_LEN {
            return Err(Failure::FileTooLarge {
                length: size,
                limit: MAX_FILE_LEN,
            });
        }
        Ok(Self(
            Arc::new(Signed {
                project: page.page().name.clone(),
                filename: filename.to_owned(),
                sha256,
                sha512: None,
                size,
                chunks: None,
                page,
                own_role: None,
                index,
                origin: Origin::Unsigned(url),
            }),
            None,
        ))
    }
}

/// Bytes that may be handed on.
pub enum Content {
    /// All of them, verified.
    Whole(Bytes),
    /// Pieces, each verified before it comes; an error ends it, and then the file must not
    /// look complete to whoever receives it.
    Pieces(BoxStream<'static, Result<Bytes, Arc<Refusal>>>),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Pieces(_) => f.write_str("Pieces"),
        }
    }
}

impl Reader {
    /// What is signed for a file; `None` when the project has no such file, or is not there.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the page did not verify, when the file was refused before under the
    /// same state, and under `--strict` when the file's own target does not agree.
    pub async fn signed_file(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<SignedFile>, Arc<Refusal>> {
        if !self.index.is_signed() {
            return self.unsigned_file(project, filename).await;
        }
        let subject = || Subject::File(project.clone(), filename.to_owned());
        let view = self.view(subject).await?;
        if let Some(refusal) = view.verdict(&subject()) {
            return Err(refusal);
        }
        let Some(page) = self.page_in(&view, project).await? else {
            return Ok(None);
        };
        self.signed_by_page(&view, page, filename).await
    }

    async fn signed_by_page(
        &self,
        view: &Arc<View>,
        page: Arc<VerifiedPage>,
        filename: &str,
    ) -> Result<Option<SignedFile>, Arc<Refusal>> {
        let project = page.page().name.clone();
        let Some(entry) = page.page().file(filename) else {
            let subject = Subject::File(project, filename.to_owned());
            return match page.why_taken(filename) {
                Some(why) => Err(view.refuse(subject, why, page.signed_by())),
                None => Ok(None),
            };
        };
        let refuse = |failure| {
            let subject = Subject::File(project.clone(), filename.to_owned());
            view.refuse(subject, failure, page.signed_by())
        };
        let lacking = |lacking| refuse(Failure::Unspecified { lacking });
        let Some(sha256) = entry.sha256().map(digest) else {
            return Err(lacking("sha256"));
        };
        let sha512 = entry.hashes.get("sha512");
        let mut sha512: Option<Sha512> = sha512.and_then(|digest| digest.parse().ok());
        let mut size = entry.size;
        let mut own_role = None;
        if self.options.strict || size.is_none() {
            let own = self
                .own_target(view, &project, filename)
                .await
                .map_err(&refuse)?;
            if let Some(own) = own {
                let both = own.sha512.zip(sha512);
                if own.sha256 != Some(sha256)
                    || both.is_some_and(|(own, listed)| own != listed)
                    || size.is_some_and(|size| size != own.length)
                {
                    return Err(refuse(Failure::Disagreement {
                        role: own.role,
                        version: own.version,
                    }));
                }
                size = Some(own.length);
                sha512 = sha512.or(own.sha512);
                own_role = Some((own.role, own.version));
            } else if self.options.strict {
                return Err(refuse(Failure::NoTarget));
            }
        }
        let Some(size) = size else {
            return Err(lacking("length"));
        };
        if size > MAX_FILE_LEN {
            return Err(refuse(Failure::FileTooLarge {
                length: size,
                limit: MAX_FILE_LEN,
            }));
        }
        Ok(Some(SignedFile(
            Arc::new(Signed {
                filename: filename.to_owned(),
                sha256,
                sha512,
                size,
                chunks: chunk_list(entry),
                own_role,
                index: view.index().clone(),
                origin: Origin::Signed(view.clone()),
                project,
                page,
            }),
            None,
        )))
    }

    async fn own_target(
        &self,
        view: &View,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<OwnTarget>, Failure> {
        let path = file_target(project, filename)?;
        Ok(match view.find(&path, &self.index, &self.sources).await? {
            Found::Absent { .. } => None,
            Found::Target(target) => Some(OwnTarget {
                sha256: target.sha256(),
                sha512: target.hashes.sha512(),
                length: target.length,
                role: target.role.clone(),
                version: target.role_version,
            }),
        })
    }

    /// The bytes of a file, or of a part of it, verified. A part is only for files that
    /// [allow it](SignedFile::allows_ranges); others come whole.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when they are not the signed ones or are not to be had. What fails later
    /// ends the stream with the same error.
    pub async fn content(
        &self,
        file: &SignedFile,
        part: Option<ByteRange>,
    ) -> Result<Content, Arc<Refusal>> {
        let first = self.content_of(file, part).await;
        let Err(refusal) = &first else { return first };
        if !refusal.failure.is_gone() {
            return first;
        }
        // Rare, and large.
        Box::pin(async {
            let Origin::Signed(view) = &file.0.origin else {
                return first;
            };
            let Some(newer) = self.newer_than(view).await else {
                return first;
            };
            let page = self.page_in(&newer, file.project()).await?;
            let again = match page {
                Some(page) => self.signed_by_page(&newer, page, file.filename()).await?,
                None => None,
            };
            match again {
                // A newer state that signs for the same bytes may say where they are now.
                Some(again) if again.sha256() == file.sha256() => {
                    self.content_of(&again, part).await
                }
                _ => first,
            }
        })
        .await
    }

    async fn content_of(
        &self,
        file: &SignedFile,
        part: Option<ByteRange>,
    ) -> Result<Content, Arc<Refusal>> {
        let refuse = |failure| file.refuse(failure);
        let location = location(file).map_err(|e| refuse(e.into()))?;
        let Some(all) = ByteRange::new(0, file.size()) else {
            // An empty file: its digest is all there is to check.
            return self.whole(file, &location, None).await.map_err(refuse);
        };
        if file.manner() == Manner::Whole {
            return self.whole(file, &location, part).await.map_err(refuse);
        }
        let chunks = match file.0.chunks {
            Some(digest) => Some(self.chunk_list(file, &digest).await.map_err(refuse)?),
            None => None,
        };
        let wanted = part.filter(|_| chunks.is_some()).unwrap_or(all);
        let sources = self.sources.clone();
        let mut passage = Passage::new(file.clone(), location, sources, chunks, wanted);
        // The first piece before the answer begins: most bad files then get a proper refusal.
        let first = passage.next().await?;
        let rest = stream::try_unfold(passage, |mut passage| async move {
            let piece = passage.next().await?;
            Ok(piece.map(|piece| (piece, passage)))
        });
        let first = stream::iter(first.map(Ok));
        Ok(Content::Pieces(first.chain(rest).boxed()))
    }

    async fn whole(
        &self,
        file: &SignedFile,
        location: &Location,
        part: Option<ByteRange>,
    ) -> Result<Content, Failure> {
        let bytes = match self.ahead.take(file.sha256(), file.size()).await {
            Some(fetched) => {
                let bytes = fetched?;
                // Another state may list it since.
                demand_sha512(&bytes, file.sha512())?;
                bytes
            }
            None => self.fetch_whole(file, location).await?,
        };
        Ok(Content::Whole(match part {
            Some(part) => bytes.slice(part.start() as usize..part.end() as usize),
            None => bytes,
        }))
    }

    async fn fetch_whole(&self, file: &SignedFile, location: &Location) -> Result<Bytes, Failure> {
        let length = file.size();
        let what = file.filename().to_owned();
        self.sources
            .object(what, location, Wanted::File { length }, |bytes| {
                demand(&bytes, file.sha256())?;
                demand_sha512(&bytes, file.sha512())?;
                Ok(bytes)
            })
            .await
    }

    /// Fetches a small file before it is asked for; see [`crate::ahead`]. Not where there are mirrors: what
    /// one of them does wrong is told of files that somebody wanted.
    pub(crate) async fn fetch_ahead(&self, file: &SignedFile) {
        if file.size() == 0 || self.sources.count(Part::Targets) > 1 {
            return;
        }
        let Some(mut place) = self.ahead.begin(file.sha256(), file.size()) else {
            return;
        };
        *place = Some(match location(file) {
            Ok(location) => self.fetch_whole(file, &location).await,
            Err(error) => Err(error.into()),
        });
    }

    async fn chunk_list(&self, file: &SignedFile, digest: &Sha256) -> Result<ChunkList, Failure> {
        let path = ObjectPath::chunks(file.project(), digest, file.filename())?;
        let limit = list_length(file.size());
        let what = format!("the chunk list of {}", file.filename());
        self.sources
            .object(
                what,
                &Location::Object(path),
                Wanted::ChunkList { limit },
                |bytes| Ok(ChunkList::verify(&bytes, digest, file.size())?),
            )
            .await
    }
}

fn location(file: &SignedFile) -> Result<Location, PathError> {
    let (project, filename) = (file.project(), file.filename());
    let view = match &file.0.origin {
        Origin::Signed(view) => view,
        Origin::Unsigned(url) => return Ok(Location::At(url.clone())),
    };
    Ok(if view.set().root().consistent_snapshot {
        Location::Object(ObjectPath::file(project, file.sha256(), filename)?)
    } else {
        Location::Target(file_target(project, filename)?)
    })
}

struct OwnTarget {
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
    length: u64,
    role: RoleName,
    version: u64,
}

fn chunk_list(entry: &PageFile) -> Option<Sha256> {
    entry.wheelmark.as_ref()?.chunks_sha256.map(digest)
}

pub(crate) fn digest(hex: Sha256Hex) -> Sha256 {
    Sha256(hex.into())
}
