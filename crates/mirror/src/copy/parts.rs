//! Large files on their way: kept half done, so that the next run goes on where this one ended.

use std::collections::HashMap;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tempfile::{NamedTempFile, TempPath};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use wheelmark_client::{CHUNK_LEN, ChunkList, Failure};
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_tuf::{Sha256, Sha256Hasher};

use super::error::CopyError;
use super::fetch::{Failed, Shared, Wanted, failed_file};

/// What the name of a part begins with; the digest of its object's path follows.
const PREFIX: &str = "part-";

/// The parts that were left, by the digest of their object's path.
#[derive(Debug)]
pub(super) struct Parts {
    folder: PathBuf,
    left: Mutex<HashMap<Sha256, PathBuf>>,
}

impl Parts {
    /// Takes over what runs that are gone have left, and removes the rest of what they left.
    pub(super) async fn take_over(tree: &Directory) -> Result<Self, CopyError> {
        let folder = tree.incoming().to_owned();
        let mut left = HashMap::new();
        for abandoned in tree.abandoned(PREFIX).await? {
            let Some(key) = key_of(&abandoned) else {
                continue;
            };
            let own = folder.join(name_of(&key));
            // What cannot be had is fetched anew.
            if std::fs::rename(&abandoned, &own).is_ok() {
                left.insert(key, own);
            }
        }
        tree.clean_incoming().await?;
        Ok(Self {
            folder,
            left: Mutex::new(left),
        })
    }

    /// Removes the parts that no file of a complete state has come of.
    pub(super) fn clear(&self) {
        let parts = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        for part in parts.filter(|part| key_of(&part.path()).is_some()) {
            if let Err(error) = std::fs::remove_file(part.path()) {
                tracing::debug!(%error, "a part was not removed");
            }
        }
    }

    /// The part of a file, empty if there was none. It stays where it is until it is placed.
    async fn open(&self, object: &ObjectPath) -> io::Result<(PathBuf, File)> {
        let key = Sha256::of(object.as_str().as_bytes());
        let known = self.left().remove(&key);
        let path = known.unwrap_or_else(|| self.folder.join(name_of(&key)));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).await?;
        Ok((path, file))
    }

    fn left(&self) -> std::sync::MutexGuard<'_, HashMap<Sha256, PathBuf>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(key: &Sha256) -> String {
    format!("{PREFIX}{key}")
}

fn key_of(path: &Path) -> Option<Sha256> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// A file being put together.
struct Assembly<'a> {
    file: File,
    hasher: Sha256Hasher,
    length: u64,
    chunks: Option<&'a ChunkList>,
    size: u64,
}

impl Assembly<'_> {
    /// Goes over what is there already, as far as it holds, and cuts off the rest.
    async fn recall(&mut self) -> io::Result<()> {
        let there = self.file.metadata().await?.len().min(self.size);
        self.file.seek(SeekFrom::Start(0)).await?;
        let mut buffer = vec![0; CHUNK_LEN as usize];
        while self.length < there {
            // The last piece before the break may be cut off.
            let wanted = CHUNK_LEN.min(self.size - self.length);
            if there - self.length < wanted {
                break;
            }
            let piece = &mut buffer[..wanted as usize];
            self.file.read_exact(piece).await?;
            if !self.holds(piece) {
                break;
            }
            self.hasher.update(piece);
            self.length += wanted;
        }
        self.file.set_len(self.length).await?;
        self.file.seek(SeekFrom::Start(self.length)).await?;
        Ok(())
    }

    /// Whether the next piece is the signed one, as far as can be told from it alone.
    fn holds(&self, piece: &[u8]) -> bool {
        let number = self.length / CHUNK_LEN;
        self.chunks
            .is_none_or(|chunks| chunks.matches(number, piece))
    }

    async fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece).await?;
        self.hasher.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }

    async fn begin_anew(&mut self) -> io::Result<()> {
        self.file.set_len(0).await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.hasher = Sha256Hasher::new();
        self.length = 0;
        Ok(())
    }
}

impl Shared {
    /// Fetches a file that is too large for memory. It gets its name only when its digest holds.
    pub(super) async fn large_file(
        &self,
        file: &Wanted<'_>,
        path: ObjectPath,
        chunks: Option<&ChunkList>,
    ) -> Result<(), Failed> {
        let opened = self.parts.open(&path).await;
        let (part, opened) = opened.map_err(cannot("make"))?;
        let mut assembly = Assembly {
            file: opened,
            hasher: Sha256Hasher::new(),
            length: 0,
            chunks,
            size: file.size,
        };
        assembly.recall().await.map_err(cannot("read"))?;
        self.assemble(file, &path, &mut assembly).await?;
        assembly.file.flush().await.map_err(cannot("write"))?;
        let whole = assembly.file.into_std().await;
        let part = TempPath::try_from_path(part).map_err(cannot("place"))?;
        let whole = NamedTempFile::from_parts(whole, part);
        self.writer.put_file(path, whole).await?;
        Ok(())
    }

    async fn assemble(
        &self,
        file: &Wanted<'_>,
        path: &ObjectPath,
        assembly: &mut Assembly<'_>,
    ) -> Result<(), Failed> {
        let mut haul = self.upstream.haul(path, &file.sha256, file.size);
        // Of what was there before, and of whoever sent the rest.
        let mut recalled = assembly.length > 0;
        loop {
            while assembly.length < file.size {
                let wanted = CHUNK_LEN.min(file.size - assembly.length) as usize;
                let mut piece = Bytes::new();
                while piece.len() < wanted {
                    let step = self.pace.step(wanted);
                    let came = haul.go_on(assembly.length, &mut piece, wanted, step).await;
                    let came = came.map_err(|failure| failed_file(file, failure))?;
                    self.came(came as u64).await;
                }
                if assembly.holds(&piece) {
                    assembly.add(&piece).await.map_err(cannot("write"))?;
                } else {
                    haul.refused(Failure::Chunk {
                        number: assembly.length / CHUNK_LEN + 1,
                        count: file.size.div_ceil(CHUNK_LEN),
                    });
                }
            }
            let (expected, found) = (file.sha256, assembly.hasher.clone().finish());
            if found == expected {
                return Ok(());
            }
            assembly.begin_anew().await.map_err(cannot("write"))?;
            let altered = Failure::Altered { expected, found };
            if std::mem::take(&mut recalled) {
                // What was left by an earlier run may be at fault.
                haul = self.upstream.haul(path, &file.sha256, file.size);
            } else if !haul.blame_and_begin_anew(&altered) {
                return Err(failed_file(file, altered));
            }
        }
    }
}

fn cannot(doing: &'static str) -> impl FnOnce(io::Error) -> Failed {
    move |source| Failed::Here(CopyError::Part { doing, source })
}
