//! Large files: verified piece by piece while they pass.
//!
//! With a chunk list nothing leaves before its chunk's digest holds. Without one, everything
//! but the last chunk leaves unverified, and the last one only when the whole file's digest
//! holds: whoever receives it can never complete a bad file.

use std::sync::Arc;

use bytes::Bytes;
use wheelmark_tuf::Sha256Hasher;

use crate::chunks::{CHUNK_LEN, ChunkList, chunk_count};
use crate::file::SignedFile;
use crate::range::ByteRange;
use crate::refusal::{Failure, Refusal};
use crate::remote::Download;

/// The passage of one file, or of a part of it.
pub(crate) struct Passage {
    file: SignedFile,
    download: Download,
    chunks: Option<ChunkList>,
    /// Present when the whole file passes, so that its digest is checked as well.
    hasher: Option<Sha256Hasher>,
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
    /// `download` stands at the start of the first chunk of `wanted`.
    pub(crate) fn new(
        file: SignedFile,
        download: Download,
        chunks: Option<ChunkList>,
        wanted: ByteRange,
    ) -> Self {
        let whole = wanted.start() == 0 && wanted.end() == file.size();
        Self {
            hasher: whole.then(Sha256Hasher::new),
            next: wanted.start() / CHUNK_LEN,
            file,
            download,
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
        match self.verified_chunk(start).await {
            Ok(chunk) => {
                self.next += 1;
                let from = self.wanted.start().saturating_sub(start) as usize;
                let to = (self.wanted.end() - start).min(chunk.len() as u64) as usize;
                Ok(Some(chunk.slice(from..to)))
            }
            Err(failure) => Err(self.file.refuse(failure)),
        }
    }

    async fn verified_chunk(&mut self, start: u64) -> Result<Bytes, Failure> {
        let size = self.file.size();
        let length = CHUNK_LEN.min(size - start);
        let chunk = self.download.take(length as usize).await?;
        if (chunk.len() as u64) < length {
            return Err(Failure::Length {
                expected: size,
                found: start + chunk.len() as u64,
            });
        }
        if let Some(chunks) = &self.chunks
            && !chunks.matches(self.next, &chunk)
        {
            return Err(Failure::Chunk {
                number: self.next + 1,
                count: chunk_count(size),
            });
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
            if start + length == size {
                let found = hasher.clone().finish();
                if found != *self.file.sha256() {
                    return Err(Failure::Altered {
                        expected: *self.file.sha256(),
                        found,
                    });
                }
            }
        }
        Ok(chunk)
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
