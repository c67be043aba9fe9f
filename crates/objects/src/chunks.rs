//! Hashing a file on its way into the tree, with its chunk list.
//!
//! A list is the 32-byte SHA-256 of each piece of [`CHUNK_LEN`] bytes, one after the other, the
//! last piece shorter (`docs/layout.md`, *Files, core metadata, chunk lists*).

use bytes::Bytes;
use wheelmark_tuf::{Sha256, Sha256Hasher};

/// Length of the pieces that a chunk list has the digests of, in bytes. The last one is shorter.
pub const CHUNK_LEN: u64 = 1024 * 1024;

/// Files longer than this have a chunk list, in bytes.
pub const CHUNKS_ABOVE: u64 = 4 * 1024 * 1024;

/// Hashes one file that comes in pieces of any length.
#[derive(Clone, Debug, Default)]
pub struct ContentHasher {
    len: u64,
    whole: Sha256Hasher,
    chunk: Sha256Hasher,
    in_chunk: u64,
    list: Vec<u8>,
}

/// What a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The file's length in bytes.
    pub len: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Its chunk list, if it is long enough to have one.
    pub chunks: Option<Bytes>,
}

impl ContentHasher {
    /// A hasher that has seen nothing yet.
    pub fn new() -> ContentHasher {
        ContentHasher::default()
    }

    /// Takes in the next piece.
    pub fn update(&mut self, mut piece: &[u8]) {
        self.len += piece.len() as u64;
        self.whole.update(piece);
        while !piece.is_empty() {
            let room = usize::try_from(CHUNK_LEN - self.in_chunk).unwrap_or(usize::MAX);
            let (now, later) = piece.split_at(room.min(piece.len()));
            self.chunk.update(now);
            self.in_chunk += now.len() as u64;
            piece = later;
            if self.in_chunk == CHUNK_LEN {
                self.end_chunk();
            }
        }
    }

    /// How many bytes have come.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none have come.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The digests of everything that came.
    pub fn finish(mut self) -> Hashed {
        if self.in_chunk > 0 {
            self.end_chunk();
        }
        Hashed {
            len: self.len,
            sha256: self.whole.finish(),
            chunks: (self.len > CHUNKS_ABOVE).then(|| Bytes::from(self.list)),
        }
    }

    fn end_chunk(&mut self) {
        let chunk = std::mem::take(&mut self.chunk).finish();
        self.list.extend_from_slice(chunk.as_bytes());
        self.in_chunk = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(len: u64, pieces: usize) {
        let file: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let mut hasher = ContentHasher::new();
        for piece in file.chunks(pieces) {
            hasher.update(piece);
        }
        let hashed = hasher.finish();
        assert_eq!((hashed.len, hashed.sha256), (len, Sha256::of(&file)));
        let list: Vec<u8> = file
            .chunks(CHUNK_LEN as usize)
            .flat_map(|chunk| Sha256::of(chunk).0)
            .collect();
        let expected = (len > CHUNKS_ABOVE).then_some(list);
        assert_eq!(hashed.chunks.map(Vec::from), expected, "{len} in {pieces}");
    }

    #[test]
    fn lists_do_not_depend_on_the_pieces() {
        check(0, 1);
        check(1000, 7);
        check(CHUNKS_ABOVE, 65_536);
        check(CHUNKS_ABOVE + 1, 65_537);
        check(5 * CHUNK_LEN, CHUNK_LEN as usize);
        check(5 * CHUNK_LEN + 5, 3 * CHUNK_LEN as usize + 1);
    }
}
