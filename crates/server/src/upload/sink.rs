//! Where an uploaded file goes: a temporary file, or memory if it is small; hashed on the way.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use blake2::Blake2b;
use blake2::digest::Digest as _;
use blake2::digest::consts::U32;
use bytes::{Bytes, BytesMut};
use md5::Md5;
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;
use wheelmark_objects::{ContentHasher, Hashed};
use wheelmark_tuf::Sha256;

use super::error::UploadError;

/// How much is written at a time, in bytes.
const PIECE_LEN: usize = 1024 * 1024;

/// A file with more bytes than this goes to the disk while it is looked at.
const IN_MEMORY: usize = 256 * 1024;

/// What so many bytes cost, hashed with three functions, is not worth another thread.
const HASHED_AT_ONCE: usize = 32 * 1024;

/// Where a file is that has arrived whole. Dropped, it is gone.
#[derive(Debug)]
pub(super) enum Body {
    Memory(Bytes),
    File(NamedTempFile),
}

/// A file that has arrived whole.
#[derive(Debug)]
pub(super) struct Content {
    /// The name that the form gives it, unchecked.
    pub(super) stated_name: String,
    pub(super) body: Body,
    pub(super) len: u64,
    pub(super) sha256: Sha256,
    /// Lowercase hex.
    pub(super) blake2b_256: String,
    /// Lowercase hex.
    pub(super) md5: String,
    /// The SHA-256 of each chunk, concatenated, if the file is long enough to have a list.
    pub(super) chunks: Option<Bytes>,
}

impl Content {
    /// The same, with its bytes in a temporary file.
    pub(super) async fn on_disk(self, directory: &Path) -> Result<Content, UploadError> {
        let Body::Memory(bytes) = self.body else {
            return Ok(self);
        };
        let directory = directory.to_owned();
        let file = blocking(move || {
            let mut file = tempfile::Builder::new()
                .prefix("upload-")
                .tempfile_in(directory)?;
            file.write_all(&bytes)?;
            Ok(file)
        });
        let body = Body::File(file.await?);
        Ok(Content { body, ..self })
    }
}

/// Takes the pieces of one file in; holds one piece in memory at most.
pub(super) struct Sink {
    directory: PathBuf,
    pending: BytesMut,
    writer: Writer,
    limit: u64,
}

struct Writer {
    /// None as long as nothing was written.
    file: Option<NamedTempFile>,
    content: ContentHasher,
    blake2b_256: Blake2b<U32>,
    md5: Md5,
}

impl Sink {
    /// A sink for a file of at most `limit` bytes, with its temporary file in `directory`.
    pub(super) fn new(directory: &Path, limit: u64) -> Sink {
        Sink {
            directory: directory.to_owned(),
            pending: BytesMut::new(),
            writer: Writer {
                file: None,
                content: ContentHasher::new(),
                blake2b_256: Blake2b::new(),
                md5: Md5::new(),
            },
            limit,
        }
    }

    pub(super) async fn take(mut self, mut piece: Bytes) -> Result<Sink, UploadError> {
        let len = self.writer.content.len() + (self.pending.len() + piece.len()) as u64;
        if len > self.limit {
            return Err(UploadError::FileTooLong { limit: self.limit });
        }
        while self.pending.len() + piece.len() >= PIECE_LEN {
            let rest = piece.split_off(PIECE_LEN - self.pending.len());
            self.pending.extend_from_slice(&piece);
            piece = rest;
            let chunk = std::mem::take(&mut self.pending).freeze();
            self.writer = self.writer.write(chunk, &self.directory).await?;
        }
        self.pending.extend_from_slice(&piece);
        Ok(self)
    }

    pub(super) async fn finish(self, stated_name: String) -> Result<Content, UploadError> {
        let (mut writer, last) = (self.writer, self.pending.freeze());
        let small = writer.file.is_none() && last.len() <= IN_MEMORY;
        if small {
            writer = writer.hash(last.clone()).await?;
        } else if !last.is_empty() {
            writer = writer.write(last.clone(), &self.directory).await?;
        }
        let body = match writer.file {
            Some(file) => Body::File(file),
            None => Body::Memory(last),
        };
        let Hashed {
            len,
            sha256,
            chunks,
        } = writer.content.finish();
        Ok(Content {
            stated_name,
            body,
            len,
            sha256,
            blake2b_256: hex::encode(writer.blake2b_256.finalize()),
            md5: hex::encode(writer.md5.finalize()),
            chunks,
        })
    }
}

impl Writer {
    /// Hashes and writes one chunk, away from the async threads.
    async fn write(mut self, chunk: Bytes, directory: &Path) -> Result<Writer, UploadError> {
        let directory = directory.to_owned();
        blocking(move || {
            let mut file = match self.file.take() {
                Some(file) => file,
                None => tempfile::Builder::new()
                    .prefix("upload-")
                    .tempfile_in(directory)?,
            };
            file.write_all(&chunk)?;
            self.file = Some(file);
            self.update(&chunk);
            Ok(self)
        })
        .await
    }

    /// Hashes one chunk.
    async fn hash(mut self, chunk: Bytes) -> Result<Writer, UploadError> {
        if chunk.len() <= HASHED_AT_ONCE {
            self.update(&chunk);
            return Ok(self);
        }
        blocking(move || {
            self.update(&chunk);
            Ok(self)
        })
        .await
    }

    fn update(&mut self, chunk: &[u8]) {
        self.content.update(chunk);
        self.blake2b_256.update(chunk);
        self.md5.update(chunk);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, UploadError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(UploadError::Incoming),
        Err(_) => Err(UploadError::Stopped),
    }
}
