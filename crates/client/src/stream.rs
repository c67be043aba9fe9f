//! Large files: verified piece by piece while they pass.
//!
//! With a chunk list nothing leaves before its chunk's digest holds. Without one, everything
//! but the last chunk leaves unverified, and the last one only when the whole file's digest
//! holds: whoever receives it can never complete a bad file.
//!
//! Where a source breaks off or sends a chunk that is not the signed one, the next source
//! goes on from that chunk.

use std::sync::Arc;

use bytes::Bytes;
use wheelmark_tuf::{Sha256Hasher, Sha512, Sha512Hasher};

use crate::chunks::{CHUNK_LEN, ChunkList, chunk_count};
use crate::file::SignedFile;
use crate::index::Location;
use crate::page::demand_same_sha512;
use crate::range::ByteRange;
use crate::refusal::{Failure, Refusal};
use crate::remote::Download;
use crate::sources::{Asking, Part, Sources};

/// The passage of one file, or of a part of it.
pub(crate) struct Passage {
    file: SignedFile,
    location: Location,
    sources: Arc<Sources>,
    asking: Asking<Failure>,
    /// From the source that is asked now, standing at the start of the next chunk.
    download: Option<Download>,
    /// Whether that source has sent a chunk already.
    delivered: bool,
    chunks: Option<ChunkList>,
    /// Present when the whole file passes, so that its digest is checked as well.
    hasher: Option<Sha256Hasher>,
    /// Where a SHA-512 is signed as well.
    sha512: Option<(Sha512Hasher, Sha512)>,
    /// The sources of all chunks that went by without a digest of their own.
    unverified_from: Vec<usize>,
    wanted: ByteRange,
    next: u64,
}

/// The part of a file that must be fetched so that every chunk of `wanted` is whole.
pub(crate) fn whole_chunks(wanted: ByteRange, size: u64) -> ByteRange {
    let start = wanted.start() / CHUNK_LEN * CHUNK_LEN;
    let end = wanted
        .end()
        .div_ceil(CHUNK_LEN)
        .saturating_mul(CHUNK_LEN)
        .min(size);
    ByteRange::new(start, end).unwrap_or(wanted)
}

impl Passage {
    /// Nothing is asked for yet.
    pub(crate) fn new(
        file: SignedFile,
        location: Location,
        sources: Arc<Sources>,
        chunks: Option<ChunkList>,
        wanted: ByteRange,
    ) -> Self {
        let whole = wanted.start() == 0 && wanted.end() == file.size();
        Self {
            hasher: whole.then(Sha256Hasher::new),
            sha512: file.sha512().map(|listed| (Sha512Hasher::new(), *listed)),
            next: wanted.start() / CHUNK_LEN,
            asking: sources.ask_for(
                Part::Targets,
                file.filename().to_owned(),
                Some(*file.sha256()),
            ),
            unverified_from: Vec::new(),
            download: None,
            delivered: false,
            location,
            sources,
            file,
            chunks,
            wanted,
        }
    }

    /// The next bytes of the wanted range; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Arc<Refusal>> {
        let start = self.next * CHUNK_LEN;
        if start >= self.wanted.end() {
            return Ok(None);
        }
        match self.chunk_of_any_source(start).await {
            Ok(chunk) => {
                self.next += 1;
                let from = self.wanted.start().saturating_sub(start) as usize;
                let to = (self.wanted.end() - start).min(chunk.len() as u64) as usize;
                Ok(Some(chunk.slice(from..to)))
            }
            Err(failure) => Err(self.file.refuse(failure)),
        }
    }

    /// The chunk at `start`, which may leave, from this source or the next ones.
    async fn chunk_of_any_source(&mut self, start: u64) -> Result<Bytes, Failure> {
        loop {
            let chunk = match self.download.take() {
                Some(download) => self.chunk_of(download, start).await,
                None => match self.open_next(start).await {
                    None => return Err(Failure::of_all(self.asking.tried())),
                    Some(Ok(download)) => self.chunk_of(download, start).await,
                    Some(Err(failure)) => Err(failure),
                },
            };
            match chunk {
                Ok(chunk) => {
                    self.delivered = true;
                    return self.checked_whole(start, chunk);
                }
                Err(failure) => {
                    // Whoever failed at an earlier chunk may well have this one.
                    if std::mem::take(&mut self.delivered) {
                        self.asking = self.asking.renewed();
                    }
                    self.asking.failed(failure);
                }
            }
        }
    }

    /// Asks the next source for everything from `start` on; `None` when all were asked.
    async fn open_next(&mut self, start: u64) -> Option<Result<Download, Failure>> {
        let (targets, haste) = self.asking.next()?;
        let url = self.location.below(&targets);
        let size = self.file.size();
        let rest = ByteRange::new(start, whole_chunks(self.wanted, size).end());
        let range = rest.filter(|rest| rest.length() < size);
        tracing::debug!(%url, start, "asking for a file");
        let opened = self.sources.remote().open(&url, range, haste);
        Some(match self.asking.waiting(opened).await {
            Ok(Some(download)) => Ok(download),
            Ok(None) => Err(Failure::Missing),
            Err(error) => Err(error.into()),
        })
    }

    /// Takes the chunk at `start` out of a download, and keeps the download if the chunk is
    /// as it was signed, as far as can be told from it alone.
    async fn chunk_of(&mut self, mut download: Download, start: u64) -> Result<Bytes, Failure> {
        let size = self.file.size();
        let length = CHUNK_LEN.min(size - start);
        let taken = download.take(length as usize);
        let chunk = self.asking.waiting(taken).await?;
        if (chunk.len() as u64) < length {
            return Err(Failure::Length {
                expected: size,
                found: start + chunk.len() as u64,
            });
        }
        match &self.chunks {
            Some(chunks) if !chunks.matches(self.next, &chunk) => {
                return Err(Failure::Chunk {
                    number: self.next + 1,
                    count: chunk_count(size),
                });
            }
            Some(_) => {}
            None => {
                let source = self.asking.asked();
                let from = &mut self.unverified_from;
                from.extend(source.filter(|source| !from.contains(source)));
            }
        }
        self.download = Some(download);
        Ok(chunk)
    }

    /// Lets the file's last chunk go only if the whole is what was signed. There is no other
    /// source to go on with: what is wrong may have left already.
    fn checked_whole(&mut self, start: u64, chunk: Bytes) -> Result<Bytes, Failure> {
        let Some(hasher) = &mut self.hasher else {
            return Ok(chunk);
        };
        hasher.update(&chunk);
        if let Some((hasher, _)) = &mut self.sha512 {
            hasher.update(&chunk);
        }
        if self.file.size() - start > chunk.len() as u64 {
            return Ok(chunk);
        }
        let (expected, found) = (*self.file.sha256(), hasher.clone().finish());
        if found == expected {
            return match &self.sha512 {
                Some((hasher, expected)) => {
                    demand_same_sha512(hasher.clone().finish(), *expected).map(|()| chunk)
                }
                None => Ok(chunk),
            };
        }
        let altered = Failure::Altered { expected, found };
        let may_still_come = match self.unverified_from[..] {
            // The chunks are the listed ones, and the whole is not the signed one.
            [] => false,
            [source] => self.asking.blame(source, &altered),
            // Which of them it was cannot be told. One broke off and is asked later from now
            // on, so that another one sends all of it the next time.
            _ => true,
        };
        if may_still_come {
            return Err(Failure::AlteredSoFar { expected, found });
        }
        Err(altered)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_chunks_of_a_range_cover_it(start in 0u64..5 * CHUNK_LEN, length in 1u64..3 * CHUNK_LEN, rest in 0u64..CHUNK_LEN) {
            let wanted = ByteRange::new(start, start + length).unwrap();
            let size = wanted.end() + rest;
            let fetched = whole_chunks(wanted, size);
            prop_assert!(fetched.start() <= wanted.start() && wanted.end() <= fetched.end());
            prop_assert!(fetched.start().is_multiple_of(CHUNK_LEN));
            prop_assert!(fetched.end().is_multiple_of(CHUNK_LEN) || fetched.end() == size);
            prop_assert!(wanted.start() - fetched.start() < CHUNK_LEN);
            prop_assert!(fetched.end() - wanted.end() < CHUNK_LEN);
        }
    }
}
