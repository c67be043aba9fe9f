//! Chunk lists: what makes it possible to verify a large file piece by piece.
//!
//! A list is the 32-byte SHA-256 of each piece of [`CHUNK_LEN`] bytes, one after the other, the
//! last piece shorter. The page names the list by its own SHA-256 (`docs/layout.md`).

pub use wheelmark_objects::CHUNK_LEN;
use wheelmark_tuf::Sha256;

const DIGEST: usize = 32;

/// Why a chunk list is not the list of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkListError {
    /// Its digest is not the one that the page names.
    #[error("the chunk list's sha256 is {found}, the page names {expected}")]
    Altered {
        /// What the page names.
        expected: Sha256,
        /// What was received.
        found: Sha256,
    },
    /// It has more or fewer digests than the file has chunks.
    #[error("the chunk list has {found} bytes, a file of this size needs {expected}")]
    Length {
        /// Bytes that a list for this file has.
        expected: u64,
        /// Bytes received.
        found: u64,
    },
}

/// The verified digests of a file's chunks.
#[derive(Clone, Debug)]
pub struct ChunkList {
    digests: Vec<Sha256>,
}

impl ChunkList {
    /// Checks a list against the digest that a verified page names, and against the size of
    /// its file.
    ///
    /// # Errors
    ///
    /// [`ChunkListError`] when either does not fit.
    pub fn verify(bytes: &[u8], expected: &Sha256, size: u64) -> Result<Self, ChunkListError> {
        let found = Sha256::of(bytes);
        if found != *expected {
            return Err(ChunkListError::Altered {
                expected: *expected,
                found,
            });
        }
        if bytes.len() as u64 != list_length(size) {
            return Err(ChunkListError::Length {
                expected: list_length(size),
                found: bytes.len() as u64,
            });
        }
        let (digests, _) = bytes.as_chunks::<DIGEST>();
        Ok(Self {
            digests: digests.iter().map(|digest| Sha256(*digest)).collect(),
        })
    }

    /// Whether these bytes are the chunk of this number, counted from 0.
    #[must_use]
    pub fn matches(&self, number: u64, chunk: &[u8]) -> bool {
        usize::try_from(number)
            .ok()
            .and_then(|number| self.digests.get(number))
            .is_some_and(|expected| Sha256::of(chunk) == *expected)
    }
}

/// How many chunks a file of `size` bytes has.
pub(crate) fn chunk_count(size: u64) -> u64 {
    size.div_ceil(CHUNK_LEN)
}

/// The length of the list of a file of `size` bytes.
pub(crate) fn list_length(size: u64) -> u64 {
    chunk_count(size) * DIGEST as u64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn list(file: &[u8]) -> Vec<u8> {
        file.chunks(CHUNK_LEN as usize)
            .flat_map(|chunk| Sha256::of(chunk).0)
            .collect()
    }

    #[test]
    fn a_list_knows_its_chunks() {
        let file: Vec<u8> = (0..CHUNK_LEN * 2 + 5).map(|i| (i % 251) as u8).collect();
        let bytes = list(&file);
        let chunks = ChunkList::verify(&bytes, &Sha256::of(&bytes), file.len() as u64).unwrap();
        let pieces: Vec<_> = file.chunks(CHUNK_LEN as usize).collect();
        assert_eq!(pieces.len(), 3);
        for (number, piece) in pieces.iter().enumerate() {
            assert!(chunks.matches(number as u64, piece));
            assert!(!chunks.matches(number as u64 + 1, piece));
        }
        assert!(!chunks.matches(0, &pieces[0][1..]));
        assert!(!chunks.matches(3, b""));
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused() {
        let bytes = list(&[7; 100]);
        let digest = Sha256::of(&bytes);
        assert!(ChunkList::verify(&bytes, &digest, CHUNK_LEN).is_ok());
        assert!(matches!(
            ChunkList::verify(&bytes, &digest, CHUNK_LEN + 1),
            Err(ChunkListError::Length {
                expected: 64,
                found: 32
            })
        ));
        assert!(matches!(
            ChunkList::verify(&bytes, &Sha256::of(b"other"), 100),
            Err(ChunkListError::Altered { .. })
        ));
        assert!(matches!(
            ChunkList::verify(&bytes[1..], &Sha256::of(&bytes[1..]), 100),
            Err(ChunkListError::Length { .. })
        ));
    }
}
