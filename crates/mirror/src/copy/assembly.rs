//! A large file being put together, piece by piece, in a part that outlives the run.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use wheelmark_client::{CHUNK_LEN, ChunkList, PAGE_LEN};
use wheelmark_tuf::{Sha256, Sha256Hasher};

/// What there is of a file.
///
/// The digest of the whole decides whether it is the file. The digests of its chunks tell, where
/// it is not, how much of it is right. Hashing every byte twice would be the larger part of a
/// copy's work, so the chunks are looked at only when there is a reason: something was left by an
/// earlier run, or the whole has turned out to be wrong once.
pub(super) struct Assembly {
    file: Arc<File>,
    hasher: Sha256Hasher,
    length: u64,
    size: u64,
    chunks: Option<Arc<ChunkList>>,
    looks_at_chunks: bool,
}

impl Assembly {
    /// Goes on with what the part holds, as far as its chunks are right.
    pub(super) async fn of_part(
        part: File,
        size: u64,
        chunks: Option<ChunkList>,
    ) -> io::Result<Self> {
        let mut assembly = Self {
            file: Arc::new(part),
            hasher: Sha256Hasher::new(),
            length: 0,
            size,
            chunks: chunks.map(Arc::new),
            looks_at_chunks: false,
        };
        assembly.recall().await?;
        Ok(assembly)
    }

    /// How many bytes there are, from the first on.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The digest of all that is there.
    pub(super) fn digest(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// The part itself, for when it is whole.
    pub(super) fn into_file(self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Whether the next piece, a whole chunk, is the signed one, as far as that is looked at.
    pub(super) fn takes(&self, piece: &[u8]) -> bool {
        !self.looks_at_chunks || holds(self.chunks.as_deref(), self.length, piece)
    }

    pub(super) async fn add(&mut self, piece: Bytes) -> io::Result<()> {
        let (file, mut hasher) = (Arc::clone(&self.file), self.hasher.clone());
        let (start, length) = (self.length, piece.len() as u64);
        let added = tokio::task::spawn_blocking(move || {
            write(&file, start, &piece)?;
            hasher.update(&piece);
            Ok::<_, io::Error>(hasher)
        });
        self.hasher = added.await.map_err(io::Error::other)??;
        self.length += length;
        Ok(())
    }

    /// The whole is not what was signed. Keeps what is right of it, if chunks can tell and were
    /// not looked at; from then on they are. Whether anything was found to be wrong that way.
    pub(super) async fn keep_what_holds(&mut self) -> io::Result<bool> {
        if self.looks_at_chunks || self.chunks.is_none() {
            return Ok(false);
        }
        self.looks_at_chunks = true;
        self.recall().await?;
        Ok(self.length < self.size)
    }

    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        (self.hasher, self.length) = (Sha256Hasher::new(), 0);
        self.cut_off()
    }

    /// Goes over what is there already, as far as it holds, and cuts off the rest.
    async fn recall(&mut self) -> io::Result<()> {
        let (file, chunks, size) = (Arc::clone(&self.file), self.chunks.clone(), self.size);
        let recalled =
            tokio::task::spawn_blocking(move || what_holds(&file, size, chunks.as_deref()));
        (self.hasher, self.length) = recalled.await.map_err(io::Error::other)??;
        self.cut_off()
    }

    fn cut_off(&self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        (&*self.file).seek(SeekFrom::Start(self.length))?;
        Ok(())
    }
}

/// Writes a piece of a part.
///
/// Whole chunks go to the disk past the system's own memory, where that can be had: nobody is about
/// to read them, to copy them there costs as much as to hash them, and all of them would wait for
/// the flush at the end.
fn write(file: &File, start: u64, piece: &[u8]) -> io::Result<()> {
    if is_whole_blocks(start, piece) && go_past_memory(file, true) {
        let written = file.write_all_at(piece, start);
        // Whoever reads the part or writes the rest of it is not bound to blocks.
        go_past_memory(file, false);
        match written {
            // This file system wants larger blocks, or none at all.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            written => return written,
        }
    }
    file.write_all_at(piece, start)
}

/// What a disk demands of what goes to it directly: a place, a length and an address that are
/// multiples of its blocks. Hardly any has larger ones.
fn is_whole_blocks(start: u64, piece: &[u8]) -> bool {
    start.is_multiple_of(PAGE_LEN as u64)
        && piece.len().is_multiple_of(PAGE_LEN)
        && piece.as_ptr().addr().is_multiple_of(PAGE_LEN)
}

/// Whether what is written from now on goes past the system's memory, if that was wanted.
#[cfg(target_os = "linux")]
fn go_past_memory(file: &File, wanted: bool) -> bool {
    use rustix::fs::{OFlags, fcntl_setfl};
    let flags = if wanted {
        OFlags::DIRECT
    } else {
        OFlags::empty()
    };
    fcntl_setfl(file, flags).is_ok() && wanted
}

#[cfg(not(target_os = "linux"))]
fn go_past_memory(_: &File, _: bool) -> bool {
    false
}

/// The digest and the length of the whole chunks at the beginning of a part that are right.
fn what_holds(
    mut file: &File,
    size: u64,
    chunks: Option<&ChunkList>,
) -> io::Result<(Sha256Hasher, u64)> {
    let there = file.metadata()?.len().min(size);
    file.seek(SeekFrom::Start(0))?;
    let (mut hasher, mut length) = (Sha256Hasher::new(), 0);
    let mut buffer = vec![0; CHUNK_LEN as usize];
    while length < there {
        // The last piece before a break may be cut off.
        let wanted = CHUNK_LEN.min(size - length);
        if there - length < wanted {
            break;
        }
        let piece = &mut buffer[..wanted as usize];
        file.read_exact(piece)?;
        if !holds(chunks, length, piece) {
            break;
        }
        hasher.update(piece);
        length += wanted;
    }
    Ok((hasher, length))
}

/// Whether the piece that begins at `start` is the signed one, as far as can be told from it alone.
fn holds(chunks: Option<&ChunkList>, start: u64, piece: &[u8]) -> bool {
    chunks.is_none_or(|chunks| chunks.matches(start / CHUNK_LEN, piece))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[tokio::test]
    async fn pieces_that_go_past_memory_and_others_make_one_file() {
        let part = tempfile::tempfile().unwrap();
        let chunk = CHUNK_LEN as usize;
        let lengths = [chunk, chunk, 100, chunk, 7];
        let size = lengths.iter().sum::<usize>();
        let mut assembly = Assembly::of_part(part, size as u64, None).await.unwrap();
        let mut expected = Vec::new();
        for (number, length) in (1..).zip(lengths) {
            // At the beginning of a page, as what is fetched.
            let room = vec![number; length + PAGE_LEN];
            let ahead = room.as_ptr().align_offset(PAGE_LEN);
            let piece = Bytes::from(room).slice(ahead..ahead + length);
            let start = assembly.length();
            assert_eq!(is_whole_blocks(start, &piece), number < 3);
            expected.extend_from_slice(&piece);
            assembly.add(piece).await.unwrap();
        }
        assert_eq!(assembly.digest(), Sha256::of(&expected));
        let mut written = vec![0; size];
        let file = assembly.into_file().unwrap();
        file.read_exact_at(&mut written, 0).unwrap();
        assert_eq!(file.metadata().unwrap().len(), size as u64);
        assert!(written == expected);
    }
}
