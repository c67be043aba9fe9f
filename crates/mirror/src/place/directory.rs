//! A tree in a directory, read without writing anything into it.

use std::collections::VecDeque;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::OFlags;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::{Sha256, Sha256Hasher, Sha512Hasher};

use super::record::{Record, Stamp};
use super::{Expected, Place, PlaceError, Standing};
use crate::local::metadata_path;

/// How much is read at once. Larger pieces are hashed no faster; smaller ones cost more calls.
const PIECE: usize = 512 * 1024;

/// A tree in a directory. Symbolic links are followed, as a web server would: what counts is
/// what is handed out under a name, and nothing is written.
#[derive(Debug)]
pub struct DirectoryPlace {
    root: PathBuf,
    threads: usize,
    record: Option<Record>,
    has_plain_names: bool,
    has_simple: bool,
    left_out: Option<String>,
}

impl DirectoryPlace {
    /// The tree in `root`, read by so many threads. With a record, what an earlier run verified
    /// and nobody has changed since is not read again.
    #[must_use]
    pub fn new(root: &Path, threads: usize, record: Option<Record>) -> Self {
        Self {
            threads: threads.max(1),
            has_plain_names: root.join("packages").is_dir(),
            has_simple: root.join("simple").is_dir(),
            root: root.to_owned(),
            record,
            left_out: None,
        }
    }

    /// The same without one metadata file, by the name that a client asks for: such as one that lies in the
    /// place of the next root, and that root's keys have not signed.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.left_out = Some(name.to_owned());
        self
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Flushes the record, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn keep_record(&self) -> std::io::Result<()> {
        self.record.as_ref().map_or(Ok(()), Record::flush)
    }

    /// Every file in the tree, by its path relative to the root; hidden names are passed over.
    /// What cannot be listed is handed out as an error and passed over.
    pub fn files(&self) -> impl Iterator<Item = Result<String, PlaceError>> + '_ {
        let mut folders = VecDeque::from([String::new()]);
        let mut found: VecDeque<Result<String, PlaceError>> = VecDeque::new();
        std::iter::from_fn(move || {
            loop {
                if let Some(found) = found.pop_front() {
                    return Some(found);
                }
                let folder = folders.pop_front()?;
                if let Err(error) = self.list(&folder, &mut folders, &mut found) {
                    found.push_back(Err(error));
                }
            }
        })
    }

    fn list(
        &self,
        folder: &str,
        folders: &mut VecDeque<String>,
        found: &mut VecDeque<Result<String, PlaceError>>,
    ) -> Result<(), PlaceError> {
        let path = self.root.join(folder);
        let unreadable = |source| PlaceError::Io {
            path: path.clone(),
            source,
        };
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let inside = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            // A link to a folder is not followed: it may lead anywhere, this folder included.
            if entry.file_type().map_err(unreadable)?.is_dir() {
                folders.push_back(inside);
            } else {
                found.push_back(Ok(inside));
            }
        }
        Ok(())
    }

    fn at(&self, path: &ObjectPath) -> PathBuf {
        self.root.join(path.as_str())
    }

    fn open(&self, path: &ObjectPath) -> Result<Option<(File, Metadata)>, PlaceError> {
        let at = self.at(path);
        let mut options = File::options();
        // A named pipe in a file's place must not hold us up.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        options.read(true).custom_flags(flags);
        let file = match options.open(&at) {
            Ok(file) => file,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(PlaceError::Io { path: at, source }),
        };
        let metadata = file.metadata().map_err(|source| PlaceError::Io {
            path: at.clone(),
            source,
        })?;
        if !metadata.is_file() {
            return Err(PlaceError::NotAFile { path: at });
        }
        Ok(Some((file, metadata)))
    }

    fn digest(
        &self,
        path: &ObjectPath,
        file: &mut File,
        mut sha512: Option<&mut Sha512Hasher>,
    ) -> Result<(Sha256, u64), PlaceError> {
        let failed = |source| PlaceError::Io {
            path: self.at(path),
            source,
        };
        with_buffer(|buffer| {
            let mut hasher = Sha256Hasher::new();
            let mut length = 0;
            loop {
                match file.read(buffer) {
                    Ok(0) => return Ok((hasher.finish(), length)),
                    Ok(read) => {
                        hasher.update(&buffer[..read]);
                        if let Some(sha512) = &mut sha512 {
                            sha512.update(&buffer[..read]);
                        }
                        length += read as u64;
                    }
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        })
    }
}

/// One buffer for each thread, kept from one file to the next.
fn with_buffer<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(PIECE, 0);
        work(buffer)
    })
}

impl Place for DirectoryPlace {
    fn at_once(&self) -> usize {
        self.threads
    }

    fn metadata(&self, name: &str, limit: u64) -> Result<Option<Bytes>, PlaceError> {
        match metadata_path(name) {
            _ if self.left_out.as_deref() == Some(name) => Ok(None),
            Ok(path) => self.object(&path, limit),
            // A tree has no place for a file of this name.
            Err(_) => Ok(None),
        }
    }

    fn object(&self, path: &ObjectPath, limit: u64) -> Result<Option<Bytes>, PlaceError> {
        let Some((file, metadata)) = self.open(path)? else {
            return Ok(None);
        };
        let too_long = PlaceError::TooLong { limit };
        if metadata.len() > limit {
            return Err(too_long);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        let read = read.map_err(|source| PlaceError::Io {
            path: self.at(path),
            source,
        })?;
        if read as u64 > limit {
            return Err(too_long);
        }
        Ok(Some(bytes.into()))
    }

    fn check(&self, path: &ObjectPath, expected: &Expected) -> Result<Standing, PlaceError> {
        let Some((mut file, metadata)) = self.open(path)? else {
            return Ok(Standing::Missing);
        };
        let length = metadata.len();
        if expected.length.is_some_and(|expected| expected != length) || length > expected.limit {
            return Ok(Standing::OtherLength { found: length });
        }
        let stamp = Stamp::of(&metadata);
        if let Some(record) = &self.record
            && record.knows(path, &stamp, &expected.both())
        {
            return Ok(Standing::SameAsRecorded);
        }
        let mut sha512 = expected.sha512.map(|listed| (Sha512Hasher::new(), listed));
        let hasher = sha512.as_mut().map(|(hasher, _)| hasher);
        let (found, read) = self.digest(path, &mut file, hasher)?;
        if found != expected.sha256 {
            return Ok(Standing::OtherBytes { found, read });
        }
        if sha512.is_some_and(|(hasher, listed)| hasher.finish() != listed) {
            return Ok(Standing::OtherSha512 { read });
        }
        if let Some(record) = &self.record {
            record.verified(path, &stamp, &expected.both());
        }
        Ok(Standing::Same { read })
    }

    fn are_one(&self, one: &ObjectPath, other: &ObjectPath) -> bool {
        let identity = |path| {
            let metadata = fs::metadata(self.at(path)).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        matches!((identity(one), identity(other)), (Some(a), Some(b)) if a == b)
    }

    fn has_plain_names(&self) -> bool {
        self.has_plain_names
    }

    fn has_simple(&self) -> bool {
        self.has_simple
    }
}
