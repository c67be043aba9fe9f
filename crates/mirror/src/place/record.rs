//! What earlier runs verified of a tree, so that nobody has to read it again.
//!
//! One line for each object: its digest, and what the file system said of the file when it had
//! been read. A run that was killed leaves whole lines and perhaps a torn one, which counts for
//! nothing. The record belongs to whoever verifies and lies in their own cache: nothing in the
//! tree can change it. The time of a file's last change of any kind (`ctime`) is part of it,
//! which nobody can set back who does not administer the file system. So resuming trusts the
//! file system; a run from scratch does not.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::Sha256;

/// How many lines are written before they are handed to the system.
const FLUSHED_AFTER: u64 = 256;

/// A file that was changed so few seconds before the run, or later, is read again the next time:
/// it may be changed once more without its times showing it. Who has it mapped into memory can
/// write to a page of it until the system has written that page out, which it does after 30
/// seconds (Linux, `vm.dirty_expire_centisecs`), looking every 5.
const SETTLED_AFTER: i64 = 120;

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the record {} cannot be {doing}", path.display())]
pub struct RecordError {
    /// What was tried.
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub source: io::Error,
}

/// What the file system says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn write(&self) -> String {
        let Self {
            device,
            inode,
            size,
            modified,
            changed,
        } = self;
        format!(
            "{device} {inode} {size} {}.{:09} {}.{:09}",
            modified.0, modified.1, changed.0, changed.1
        )
    }
}

/// What is known of the objects of one tree, and what is learned.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    /// When the run began, in seconds.
    began: i64,
    known: HashMap<Short, Short>,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    file: BufWriter<File>,
    since_flush: u64,
}

impl Record {
    /// Opens the record at `path`, or begins one, for a run that begins `now`. `from_scratch`
    /// begins anew whatever is there.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when it cannot be read or written.
    pub fn open(path: &Path, now: Timestamp, from_scratch: bool) -> Result<Self, RecordError> {
        let failed = |doing| {
            move |source| RecordError {
                doing,
                path: path.to_owned(),
                source,
            }
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("made"))?;
        }
        let mut known = HashMap::new();
        if !from_scratch && let Ok(file) = File::open(path) {
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(failed("read"))?;
                // Bytes that are no text are a torn line.
                if let Some((path, fact)) = str::from_utf8(&line).ok().and_then(read_line) {
                    known.insert(path, fact);
                }
            }
        }
        let mut options = File::options();
        options.create(true).write(true);
        let mut file = if from_scratch {
            options.truncate(true).open(path)
        } else {
            options.truncate(false).append(true).open(path)
        }
        .map_err(failed("written"))?;
        // Whatever was torn ends here.
        file.write_all(b"\n").map_err(failed("written"))?;
        Ok(Self {
            path: path.to_owned(),
            began: now.as_second(),
            known,
            writer: Mutex::new(Writer {
                file: BufWriter::new(file),
                since_flush: 0,
            }),
        })
    }

    /// Whether an earlier run found this object, in this very file, to have this digest.
    pub(super) fn knows(&self, path: &ObjectPath, stamp: &Stamp, sha256: &Sha256) -> bool {
        let fact = hashed(&line(path, stamp, sha256));
        self.known.get(&hashed(path.as_str())) == Some(&fact)
    }

    /// Writes down that it is so. A line that cannot be written costs the next run some time.
    pub(super) fn verified(&self, path: &ObjectPath, stamp: &Stamp, sha256: &Sha256) {
        if stamp.changed.0.saturating_add(SETTLED_AFTER) >= self.began {
            return;
        }
        let mut writer = self.writer();
        let line = line(path, stamp, sha256);
        if let Err(error) = writeln!(writer.file, "{line}") {
            tracing::debug!(%error, path = %self.path.display(), "the record was not written");
        }
        writer.since_flush += 1;
        if writer.since_flush >= FLUSHED_AFTER {
            writer.since_flush = 0;
            if let Err(error) = writer.file.flush() {
                tracing::debug!(%error, path = %self.path.display(), "the record was not written");
            }
        }
    }

    /// Hands everything to the system.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.writer().file.flush()
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that says it all, and what it says it of.
fn line(path: &ObjectPath, stamp: &Stamp, sha256: &Sha256) -> String {
    format!("{sha256} {} {path}", stamp.write())
}

/// The hashes of a whole line's path and of the line itself.
fn read_line(line: &str) -> Option<(Short, Short)> {
    let path = line.rsplit_once(' ')?.1;
    let whole = line.split(' ').count() == 7 && line.split(' ').next()?.len() == 64;
    whole.then(|| (hashed(path), hashed(line)))
}

/// Half of a SHA-256: whoever writes into the tree chooses the paths, and must not find two that
/// are taken for one.
type Short = [u8; 16];

fn hashed(text: &str) -> Short {
    let digest = Sha256::of(text.as_bytes()).0;
    let mut short = Short::default();
    short.copy_from_slice(&digest[..16]);
    short
}
