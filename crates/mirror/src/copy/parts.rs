//! Large files on their way: kept half done, so that the next run goes on where this one ended.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tempfile::{NamedTempFile, TempPath};
use wheelmark_client::{CHUNK_LEN, ChunkList, Failure};
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_tuf::Sha256;

use super::assembly::Assembly;
use super::error::CopyError;
use super::fetch::{Failed, Shared, Wanted, failed_file, hashes_of};

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
    fn open(&self, object: &ObjectPath) -> io::Result<(PathBuf, File)> {
        let key = Sha256::of(object.as_str().as_bytes());
        let known = self.left().remove(&key);
        let path = known.unwrap_or_else(|| self.folder.join(name_of(&key)));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path)?;
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

impl Shared {
    /// Fetches a file that is too large for memory. It gets its name only when its digest holds.
    pub(super) async fn large_file(
        &self,
        file: &Wanted<'_>,
        path: ObjectPath,
        chunks: Option<ChunkList>,
    ) -> Result<(), Failed> {
        let (part, opened) = self.parts.open(&path).map_err(cannot("make"))?;
        let assembly = Assembly::of_part(opened, file.size, chunks).await;
        let mut assembly = assembly.map_err(cannot("read"))?;
        self.assemble(file, &path, &mut assembly).await?;
        let whole = assembly.into_file().map_err(cannot("place"))?;
        if let Some(expected) = file.sha512 {
            let again = whole.try_clone().map_err(cannot("read"))?;
            let (_, found) = hashes_of(again).await?;
            if found != expected {
                let (expected, found) = (Box::new(expected), Box::new(found));
                return Err(failed_file(
                    file,
                    Failure::AlteredSha512 { expected, found },
                ));
            }
        }
        let part = TempPath::try_from_path(part).map_err(cannot("place"))?;
        let whole = NamedTempFile::from_parts(whole, part);
        self.writer.put_file(path, whole).await?;
        Ok(())
    }

    async fn assemble(
        &self,
        file: &Wanted<'_>,
        path: &ObjectPath,
        assembly: &mut Assembly,
    ) -> Result<(), Failed> {
        let mut haul = self.upstream.haul(path, &file.sha256, file.size);
        // Of what was there before, and of whoever sent the rest.
        let mut recalled = assembly.length() > 0;
        loop {
            while assembly.length() < file.size {
                let wanted = CHUNK_LEN.min(file.size - assembly.length()) as usize;
                let mut piece = Bytes::new();
                while piece.len() < wanted {
                    let step = self.pace.step(wanted);
                    let came = haul
                        .go_on(assembly.length(), &mut piece, wanted, step)
                        .await;
                    let came = came.map_err(|failure| failed_file(file, failure))?;
                    self.came(came as u64).await;
                }
                if assembly.takes(&piece) {
                    assembly.add(piece).await.map_err(cannot("write"))?;
                } else {
                    haul.refused(Failure::Chunk {
                        number: assembly.length() / CHUNK_LEN + 1,
                        count: file.size.div_ceil(CHUNK_LEN),
                    });
                }
            }
            let (expected, found) = (file.sha256, assembly.digest());
            if found == expected {
                return Ok(());
            }
            if assembly.keep_what_holds().await.map_err(cannot("read"))? {
                haul = self.upstream.haul(path, &file.sha256, file.size);
                continue;
            }
            assembly.begin_anew().map_err(cannot("write"))?;
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
