//! Reading one file: what its bytes are, whether they are those that its source states, and what
//! the file says about itself.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;
use wheelmark_client::MAX_FILE_LEN;
use wheelmark_objects::{ContentHasher, Directory, Hashed, ObjectPath, Stamp};
use wheelmark_packaging::{
    DistributionFilename, MAX_REQUIRES_PYTHON_LEN, SdistFormat, inspect::core_metadata,
};
use wheelmark_tuf::Sha256;

use crate::beneath::BeneathError;
use crate::digests::{Mismatch, Stated};
use crate::known::{Row, State};
use crate::listed::{Listed, Place};
use crate::report::Progress;
use crate::source::{NotFetched, Source, local_stamp};

/// How much is read and hashed at a time, in bytes.
const PIECE_LEN: usize = 1024 * 1024;

/// How many times longer an archive that cannot be read is taken for one that is yet to be whole.
const WHOLE_AFTER: u32 = 60;

/// A file whose bytes are known.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) listed: Listed,
    /// What was known of it before.
    pub(crate) row: Option<Row>,
    pub(crate) hashed: Hashed,
    pub(crate) body: Body,
    /// Its core metadata, for wheels.
    pub(crate) metadata: Option<Bytes>,
    pub(crate) requires_python: Option<String>,
    /// Why it does not say about itself what a distribution says.
    pub(crate) odd: Option<String>,
    pub(crate) uploaded_at: Option<Timestamp>,
}

/// Where the bytes are.
#[derive(Debug)]
pub(crate) enum Body {
    /// In the source's file, as long as it has this stamp.
    Local(Stamp),
    /// In a file of ours.
    Temporary(NamedTempFile),
    /// In the tree.
    Present,
}

/// What reading a file came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Prepared(Box<Prepared>),
    /// It is as it was, by what its server says.
    Unchanged(Listed, Row),
    Failed(Listed, ReadError),
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Beneath(#[from] BeneathError),
    #[error("it was written to while it was read")]
    Changed,
    #[error("it has {found} bytes, its source states {stated}")]
    Size { stated: u64, found: u64 },
    #[error("it is longer than the {MAX_FILE_LEN} bytes that clients take")]
    TooLong,
    #[error(transparent)]
    Digest(#[from] Mismatch),
    #[error("it is empty")]
    Empty,
    #[error("it was written to a moment ago, and may not be whole yet")]
    Settling,
    #[error("it is no whole archive, and may be still on its way: {why}")]
    NotWhole { why: String },
    #[error("it is no archive of its kind, and its source states no digest")]
    NoArchive,
    #[error(transparent)]
    Fetch(#[from] NotFetched),
    #[error("it cannot be read or written")]
    Io(#[from] io::Error),
    #[error("stopped")]
    Stopped,
}

impl ReadError {
    /// Whether the disk that takes it in is full.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Io(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge))
    }
}

/// How files are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Whatever is known of them.
    pub(crate) rehash: bool,
    /// How long a local file without a stated digest has to be left alone before it is signed.
    pub(crate) settle: Duration,
    /// The time of the pass.
    pub(crate) now: Timestamp,
}

/// Reads one file.
pub(crate) async fn read(
    source: Source,
    tree: Arc<Directory>,
    listed: Listed,
    row: Option<Row>,
    how: How,
    progress: Arc<Progress>,
) -> Outcome {
    let mut listed = listed;
    let read = match listed.place.clone() {
        Place::Local(_) => {
            // A file that was signed has a digest to be held against.
            let signed = row.as_ref().is_some_and(|row| row.state == State::Signed);
            let settle = if signed { Duration::ZERO } else { how.settle };
            let how = How { settle, ..how };
            local(source, listed.clone(), (how, signed), progress.clone()).await
        }
        Place::Remote(url) => {
            if listed.known_by.is_none()
                && let Some(index) = source.index()
            {
                listed.known_by = index.look(&url).await;
                if let Some(row) = &row
                    && !how.rehash
                    && listed.known_by.is_some()
                    && [&row.known_by, &row.kept_by].contains(&&listed.known_by)
                {
                    return Outcome::Unchanged(listed, row.clone());
                }
            }
            remote(source, &tree, &listed, how, &progress).await
        }
    };
    progress.file_read();
    match read {
        Ok(read) => Outcome::Prepared(Box::new(Prepared {
            hashed: read.hashed,
            body: read.body,
            metadata: read.said.metadata,
            requires_python: read.said.requires_python,
            odd: read.said.odd,
            uploaded_at: listed.uploaded_at.or(read.modified),
            listed,
            row,
        })),
        Err(error) => Outcome::Failed(listed, error),
    }
}

struct Read {
    hashed: Hashed,
    body: Body,
    said: Said,
    modified: Option<Timestamp>,
}

async fn local(
    source: Source,
    listed: Listed,
    (how, signed): (How, bool),
    progress: Arc<Progress>,
) -> Result<Read, ReadError> {
    blocking(move || {
        let (Some(beneath), Place::Local(path)) = (source.beneath(), &listed.place) else {
            return Err(ReadError::Stopped);
        };
        let mut file = beneath.file(path)?;
        let unstated = Stated::of(&listed.hashes).is_empty();
        let quiet = if unstated {
            quiet_for(&file, how.now)?
        } else {
            Duration::MAX
        };
        if quiet < how.settle {
            return Err(ReadError::Settling);
        }
        let (stamp, _, modified) = local_stamp(&file)?;
        let hashed = hash(&mut file, &listed, &progress)?;
        if unstated && !signed && !is_archive(&mut file, &listed.filename)? {
            return Err(ReadError::NoArchive);
        }
        let said = look_inside(&mut file, &listed)?;
        if let Some(why) = &said.odd
            && quiet < how.settle * WHOLE_AFTER
        {
            return Err(ReadError::NotWhole { why: why.clone() });
        }
        if Stamp::of(&file)? != stamp {
            return Err(ReadError::Changed);
        }
        Ok(Read {
            hashed,
            body: Body::Local(stamp),
            said,
            modified,
        })
    })
    .await
}

async fn remote(
    source: Source,
    tree: &Directory,
    listed: &Listed,
    how: How,
    progress: &Arc<Progress>,
) -> Result<Read, ReadError> {
    // To read everything again is to ask the source again.
    if !how.rehash
        && let Some(read) = present(tree, listed, progress).await?
    {
        return Ok(read);
    }
    let (Some(index), Place::Remote(url)) = (source.index(), &listed.place) else {
        return Err(ReadError::Stopped);
    };
    if listed.size.is_some_and(|size| size > MAX_FILE_LEN) {
        return Err(ReadError::TooLong);
    }
    let mut stated = Stated::of(&listed.hashes);
    let unstated = stated.is_empty();
    let (mut taking, mut fetched) = (Taking::begin(tree).await?, 0);
    let mut modified = None;
    let mut failures = 0;
    loop {
        let came = async {
            let mut arriving = index.fetch(url, fetched).await?;
            modified = arriving.last_modified.as_deref().and_then(http_date);
            loop {
                let piece = arriving.next(PIECE_LEN).await.map_err(NotFetched::Fetch)?;
                if piece.is_empty() {
                    return Ok(());
                }
                fetched += piece.len() as u64;
                if fetched > MAX_FILE_LEN {
                    return Err(ReadError::TooLong);
                }
                progress.bytes(piece.len() as u64);
                stated.update(&piece);
                taking.take(piece).await?;
            }
        };
        match came.await {
            Ok(()) => break,
            Err(ReadError::Fetch(error)) => {
                failures += 1;
                let Some(pause) = error.pause_before(failures) else {
                    return Err(error.into());
                };
                tracing::debug!(%url, error = %error, "fetching on");
                tokio::time::sleep(pause).await;
                if unstated {
                    // Nothing would tell whether the rest is that of the same file.
                    (taking, fetched) = (Taking::begin(tree).await?, 0);
                }
            }
            Err(error) => return Err(error),
        }
    }
    let listed = listed.clone();
    blocking(move || {
        let (file, hasher) = taking.0.ok_or(ReadError::Stopped)?;
        let hashed = hasher.finish();
        check(&listed, &hashed, stated)?;
        let mut opened = file.reopen()?;
        if unstated && !is_archive(&mut opened, &listed.filename)? {
            return Err(ReadError::NoArchive);
        }
        let said = look_inside(&mut opened, &listed)?;
        Ok(Read {
            hashed,
            body: Body::Temporary(file),
            said,
            modified,
        })
    })
    .await
}

/// A file on its way to the disk; nothing once writing it has failed.
struct Taking(Option<(NamedTempFile, ContentHasher)>);

impl Taking {
    async fn begin(tree: &Directory) -> Result<Self, ReadError> {
        let incoming = tree.incoming().to_owned();
        let file = blocking(move || {
            let mut builder = tempfile::Builder::new();
            Ok(builder.prefix("fetch-").tempfile_in(incoming)?)
        });
        Ok(Self(Some((file.await?, ContentHasher::new()))))
    }

    /// Writes and hashes, away from the async threads.
    async fn take(&mut self, piece: Bytes) -> Result<(), ReadError> {
        let (mut file, mut hasher) = self.0.take().ok_or(ReadError::Stopped)?;
        let written = blocking(move || {
            file.write_all(&piece)?;
            hasher.update(&piece);
            Ok((file, hasher))
        });
        self.0 = Some(written.await?);
        Ok(())
    }
}

/// What was fetched already, by a pass that did not come to its end.
async fn present(
    tree: &Directory,
    listed: &Listed,
    progress: &Arc<Progress>,
) -> Result<Option<Read>, ReadError> {
    let Some(stated) = listed.hashes.sha256() else {
        return Ok(None);
    };
    let path = ObjectPath::file(
        &listed.project,
        &Sha256(*stated.as_bytes()),
        listed.filename.as_str(),
    );
    let Ok(path) = path else { return Ok(None) };
    let Ok(Some(object)) = tree.open_object(&path).await else {
        return Ok(None);
    };
    let (listed, progress) = (listed.clone(), progress.clone());
    let read = blocking(move || {
        let mut file = object.file;
        let hashed = hash(&mut file, &listed, &progress)?;
        let said = look_inside(&mut file, &listed)?;
        Ok(Read {
            hashed,
            body: Body::Present,
            said,
            modified: None,
        })
    })
    .await;
    // What is there may be damaged: then it is fetched, and found to be in the way.
    Ok(read.ok())
}

/// Hashes a whole file and compares it with what its source states.
fn hash(file: &mut File, listed: &Listed, progress: &Progress) -> Result<Hashed, ReadError> {
    let mut hasher = ContentHasher::new();
    let mut stated = Stated::of(&listed.hashes);
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(PIECE_LEN);
    let mut buffer = vec![0; len.clamp(1, PIECE_LEN)];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        hasher.update(&buffer[..read]);
        stated.update(&buffer[..read]);
        progress.bytes(read as u64);
    }
    let hashed = hasher.finish();
    check(listed, &hashed, stated)?;
    Ok(hashed)
}

fn check(listed: &Listed, hashed: &Hashed, stated: Stated) -> Result<(), ReadError> {
    if let Some(size) = listed.size
        && size != hashed.len
    {
        return Err(ReadError::Size {
            stated: size,
            found: hashed.len,
        });
    }
    if hashed.len > MAX_FILE_LEN {
        return Err(ReadError::TooLong);
    }
    if hashed.len == 0 {
        return Err(ReadError::Empty);
    }
    Ok(stated.check(&hashed.sha256)?)
}

/// What a file says about itself, as far as it can be read.
#[derive(Default)]
struct Said {
    metadata: Option<Bytes>,
    requires_python: Option<String>,
    odd: Option<String>,
}

/// Reads a wheel's core metadata, and what Python versions a source distribution is for where its
/// source does not say. A file that cannot be read so was there before these rules, and is no
/// worse for it.
fn look_inside(file: &mut File, listed: &Listed) -> Result<Said, ReadError> {
    file.rewind()?;
    let reader = BufReader::new(&*file);
    let mut said = Said::default();
    let range = match &listed.filename {
        DistributionFilename::Wheel(_) => match core_metadata(reader, &listed.filename) {
            Ok(inspected) => {
                said.metadata = Some(Bytes::from(inspected.metadata_bytes));
                inspected.metadata.requires_python
            }
            Err(error) => {
                said.odd = Some(error.to_string());
                listed.requires_python.clone()
            }
        },
        DistributionFilename::Sdist(_) if listed.requires_python.is_some() => {
            listed.requires_python.clone()
        }
        DistributionFilename::Sdist(_) => match core_metadata(reader, &listed.filename) {
            Ok(inspected) => inspected.metadata.requires_python,
            Err(error) => {
                said.odd = Some(error.to_string());
                None
            }
        },
    };
    said.requires_python = range.and_then(|range| {
        // One line, as pages have it.
        let range = range.split_whitespace().collect::<Vec<_>>().join(" ");
        let fits = range.len() <= MAX_REQUIRES_PYTHON_LEN && !range.contains(char::is_control);
        if !fits {
            said.odd = Some("its Requires-Python is too long or has control characters".into());
        }
        (fits && !range.is_empty()).then_some(range)
    });
    Ok(said)
}

/// How long before `now`, the time of the pass, a file was written to last, or its name, mode or
/// times were changed. One that was changed since waits for the next pass.
fn quiet_for(file: &File, now: Timestamp) -> io::Result<Duration> {
    use std::os::unix::fs::MetadataExt as _;
    let quiet = now.as_second().saturating_sub(file.metadata()?.ctime());
    Ok(Duration::from_secs(u64::try_from(quiet).unwrap_or(0)))
}

/// Whether a file begins as archives of its kind do.
fn is_archive(file: &mut File, filename: &DistributionFilename) -> io::Result<bool> {
    let begin: &[u8] = match filename {
        DistributionFilename::Wheel(_) => b"PK",
        DistributionFilename::Sdist(sdist) => match sdist.format() {
            SdistFormat::Zip => b"PK",
            SdistFormat::TarGz => b"\x1f\x8b",
            SdistFormat::TarBz2 => b"BZh",
            SdistFormat::TarXz => b"\xfd7zXZ\0",
        },
    };
    let mut found = Vec::new();
    file.rewind()?;
    file.take(begin.len() as u64).read_to_end(&mut found)?;
    Ok(found == begin)
}

/// A time as HTTP has it.
fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    zoned.ok()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(ReadError::Stopped),
    }
}
