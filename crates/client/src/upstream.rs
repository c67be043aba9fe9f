//! An index for whoever copies it: everything that its state signs for, from whichever of its
//! sources has it.
//!
//! What [`crate::Reader`] is to one installation, this is to a copy. It keeps nothing but the
//! chain of the trust store, decides nothing about what to fetch, and hands out only bytes that
//! were verified; except in a [`Haul`], whose pieces are verified by who takes them.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::{Awaited, Limits, RoleName, Sha256, Sha512, TrustedSet, Visited};

use crate::index::{Location, metadata_below};
use crate::mirror::Mirror;
use crate::page::{demand, demand_sha512};
use crate::range::ByteRange;
use crate::refresh::{RefreshFailure, refresh};
use crate::refusal::Failure;
use crate::remote::{Download, Haste, Remote};
use crate::sources::{Asking, Part, SourceWarning, Sources, Wanted, Warnings};
use crate::trust::{TrustError, TrustedIndex};

/// The sources of one trusted index. Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    index: TrustedIndex,
    sources: Arc<Sources>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let index = self.index.urls().simple().as_str();
        f.debug_struct("Upstream").field("index", &index).finish()
    }
}

/// The files of the chain as they were received, of the last refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFiles {
    /// The timestamp.
    pub timestamp: Bytes,
    /// The snapshot that it names.
    pub snapshot: Bytes,
    /// The top-level targets that this names.
    pub targets: Bytes,
}

impl Upstream {
    /// Nothing is asked for yet.
    #[must_use]
    pub fn new(index: TrustedIndex, remote: Remote) -> Self {
        Self::with_mirrors(index, Vec::new(), remote)
    }

    /// The same with further mirrors besides those on the index's record.
    ///
    /// Nothing is asked for yet.
    #[must_use]
    pub fn with_mirrors(index: TrustedIndex, further: Vec<Mirror>, remote: Remote) -> Self {
        let known = index.urls().mirrors().iter().cloned();
        let mut mirrors: Vec<Mirror> = known.collect();
        for mirror in further {
            if !mirrors.iter().any(|known| known.is_at(&mirror)) {
                mirrors.push(mirror);
            }
        }
        let urls = index.urls().clone().with_mirrors(mirrors);
        let sources = Sources::new(&urls, remote, Warnings::Recent);
        Self { index, sources }
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &TrustedIndex {
        &self.index
    }

    /// What its sources did wrong while others had what was asked for.
    #[must_use]
    pub fn warnings(&self) -> Vec<SourceWarning> {
        self.sources.warnings()
    }

    /// Brings the chain up to date; every expiry is judged as of `now`.
    ///
    /// # Errors
    ///
    /// [`RefreshFailure`] names the file that failed, and what each source did.
    pub async fn refresh(&self, now: Timestamp) -> Result<TrustedSet, RefreshFailure> {
        refresh(&self.index, &self.sources, now).await
    }

    /// The files of the chain that the last refresh ended with; `None` where one is missing.
    ///
    /// # Errors
    ///
    /// When the trust store cannot be read.
    pub fn chain_files(&self) -> Result<Option<ChainFiles>, TrustError> {
        let cached = self.index.cached()?;
        let files = (cached.timestamp, cached.snapshot, cached.targets);
        Ok(match files {
            (Some(timestamp), Some(snapshot), Some(targets)) => Some(ChainFiles {
                timestamp: timestamp.into(),
                snapshot: snapshot.into(),
                targets: targets.into(),
            }),
            _ => None,
        })
    }

    /// The roots that the trust store has followed, by version, byte for byte, the one that is
    /// trusted now among them.
    ///
    /// # Errors
    ///
    /// When the trust store cannot be read.
    pub fn followed_roots(&self, newest: u64) -> Result<Vec<(u64, Bytes)>, TrustError> {
        let mut roots = Vec::new();
        for version in (1..=newest).rev() {
            match self.index.followed_root(version)? {
                Some(root) => roots.push((version, Bytes::from(root))),
                None => break,
            }
        }
        roots.reverse();
        Ok(roots)
    }

    /// A root of before trust began, as the index itself says. Nothing vouches for it, so none of
    /// the index's mirrors is asked. `None` where the index does not have it.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub async fn unverified_root(&self, version: u64) -> Result<Option<Bytes>, Failure> {
        let path = RoleName::root().versioned_file_name(version);
        let url = metadata_below(self.index.urls().metadata(), &path);
        let limit = Limits::default().root_length;
        let fetched = self
            .sources
            .remote()
            .fetch(&url, limit, Haste::NoOtherSource);
        Ok(fetched.await?)
    }

    /// A delegated role that a walk has come to, verified as [for a copy](Awaited::open_for_copy),
    /// and its file.
    ///
    /// # Errors
    ///
    /// [`Failure`] when no source has it as it must be.
    pub async fn role(&self, awaited: &Awaited) -> Result<(Visited, Bytes), Failure> {
        let need = awaited.fetch();
        let path = &need.fetch.path;
        let mut asking = self.sources.ask(Part::Metadata, path.clone());
        while let Some((metadata, haste)) = asking.next() {
            let url = metadata_below(&metadata, path);
            tracing::debug!(%url, "asking for metadata");
            let fetched = self.sources.remote().fetch(&url, need.fetch.max_len, haste);
            match asking.waiting(fetched).await {
                Ok(Some(bytes)) => match awaited.open_for_copy(&bytes) {
                    Ok(visited) => return Ok((visited, bytes)),
                    Err(error) => asking.failed(Failure::Walk(error)),
                },
                Ok(None) => asking.failed(Failure::RoleMissing {
                    role: need.role.clone(),
                    version: need.version,
                }),
                Err(error) => asking.failed(error.into()),
            }
        }
        Err(Failure::of_all(asking.tried()))
    }

    /// A page, whole, with these digests and this length.
    ///
    /// # Errors
    ///
    /// [`Failure`] when no source has it.
    pub async fn page(
        &self,
        path: &ObjectPath,
        sha256: &Sha256,
        sha512: Option<&Sha512>,
        length: u64,
    ) -> Result<Bytes, Failure> {
        let wanted = Wanted::Page { length };
        self.whole(path, sha256, sha512, wanted).await
    }

    /// A file, whole and in memory, with these digests and this length.
    ///
    /// # Errors
    ///
    /// [`Failure`] when no source has it.
    pub async fn file(
        &self,
        path: &ObjectPath,
        sha256: &Sha256,
        sha512: Option<&Sha512>,
        length: u64,
    ) -> Result<Bytes, Failure> {
        let wanted = Wanted::File { length };
        self.whole(path, sha256, sha512, wanted).await
    }

    /// What belongs to a file, core metadata or a chunk list, of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`Failure`] when no source has it.
    pub async fn companion(
        &self,
        path: &ObjectPath,
        sha256: &Sha256,
        limit: u64,
    ) -> Result<Bytes, Failure> {
        let wanted = Wanted::CoreMetadata { limit };
        self.whole(path, sha256, None, wanted).await
    }

    async fn whole(
        &self,
        path: &ObjectPath,
        sha256: &Sha256,
        sha512: Option<&Sha512>,
        wanted: Wanted,
    ) -> Result<Bytes, Failure> {
        let location = Location::Object(path.clone());
        self.sources
            .object(path.to_string(), &location, wanted, |bytes| {
                demand(&bytes, sha256)?;
                demand_sha512(&bytes, sha512)?;
                Ok(bytes)
            })
            .await
    }

    /// A file that is too large for memory, piece by piece.
    #[must_use]
    pub fn haul(&self, path: &ObjectPath, sha256: &Sha256, length: u64) -> Haul {
        Haul {
            asking: self
                .sources
                .ask_for(Part::Targets, path.to_string(), Some(*sha256)),
            sources: self.sources.clone(),
            location: Location::Object(path.clone()),
            length,
            download: None,
        }
    }
}

/// A large file on its way, from one source after the other. Nothing of it is verified here:
/// whoever takes the pieces checks them, and says so where they are not what was signed.
pub struct Haul {
    sources: Arc<Sources>,
    asking: Asking<Failure>,
    location: Location,
    length: u64,
    download: Option<Download>,
}

impl std::fmt::Debug for Haul {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Haul")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Haul {
    /// Goes on with a piece of `length` bytes at `start`, by at most `step` of them, and says how
    /// many came: from the source that sent the piece before it, or else from the next one that
    /// has it. All of a piece is of one source: where one fails, `piece` begins anew.
    ///
    /// # Errors
    ///
    /// [`Failure`] when every source was asked, with what each did.
    pub async fn go_on(
        &mut self,
        start: u64,
        piece: &mut Bytes,
        length: usize,
        step: usize,
    ) -> Result<usize, Failure> {
        loop {
            let wanted = step.clamp(1, length - piece.len());
            let taken = match &mut self.download {
                Some(download) => {
                    let taken = download.take(wanted);
                    self.asking.waiting(taken).await.map_err(Failure::from)
                }
                None => match self.open_next(start).await {
                    None => return Err(Failure::of_all(self.asking.tried())),
                    Some(Ok(download)) => {
                        *piece = Bytes::new();
                        self.download = Some(download);
                        continue;
                    }
                    Some(Err(failure)) => Err(failure),
                },
            };
            match taken {
                Ok(taken) if taken.len() == wanted => {
                    // As a rule there is one step, and nothing to be put together.
                    *piece = match piece.is_empty() {
                        true => taken,
                        false => [piece.as_ref(), taken.as_ref()].concat().into(),
                    };
                    return Ok(wanted);
                }
                Ok(taken) => {
                    let found = start + (piece.len() + taken.len()) as u64;
                    let expected = self.length;
                    self.refused(Failure::Length { expected, found });
                }
                Err(failure) => self.refused(failure),
            }
        }
    }

    /// The source's last piece was not what was signed: the next one is asked from now on.
    pub fn refused(&mut self, failure: Failure) {
        self.download = None;
        self.asking.failed(failure);
    }

    /// Begins anew with all sources, the one that sent the last piece as the last of them: for
    /// when the whole turns out at its end not to be what was signed. Whether there is one that
    /// has not been found to alter this file.
    pub fn blame_and_begin_anew(&mut self, failure: &Failure) -> bool {
        self.download = None;
        let Some(source) = self.asking.asked() else {
            return false;
        };
        let left = self.asking.blame(source, failure);
        if left {
            self.asking = self.asking.renewed();
        }
        left
    }

    async fn open_next(&mut self, start: u64) -> Option<Result<Download, Failure>> {
        let (targets, haste) = self.asking.next()?;
        let url = self.location.below(&targets);
        let rest = ByteRange::new(start, self.length).filter(|_| start > 0);
        tracing::debug!(%url, start, "asking for a file");
        let opened = self.sources.remote().open(&url, rest, haste);
        Some(match self.asking.waiting(opened).await {
            Ok(Some(download)) => Ok(download),
            Ok(None) => Err(Failure::Missing),
            Err(error) => Err(error.into()),
        })
    }
}
