//! What this user trusts: one directory for each index, readable by its owner alone.
//!
//! ```text
//! HOME/indexes/<host-and-path>-<hash of the URL>/
//!   index.toml              the index's URLs and how trust began
//!   root.json               the newest root, byte for byte as received
//!   roots/<version>.json    every root that was followed
//!   handed-over.json        what trust began with, where it was handed over
//!   timestamp.json snapshot.json targets.json
//!   delegated/<delegator>/<role>.json
//!   pages/<project>.json    the last page that was verified, byte for byte
//!   identities/<project>.json  who attests to the project, as it was seen before
//!   claims/<project>.json   whose keys sign for the project, as it was seen before
//!   recovery.json           the index's last recovery after a break-in, and what it undid here
//! HOME/indexes/.signed-<…>  the index was trusted by its keys once
//! HOME/indexes/.lock-<…>    held while trust begins or ends, or the chain is brought up to date
//! ```
//!
//! The lock is outside of what it guards, so that it stays the same when trust ends and
//! begins anew. Whoever still holds an index of the time before writes nothing more: every
//! write compares the record.
//!
//! What a rollback could be hidden by losing (the roots, `timestamp.json`, `snapshot.json`,
//! `targets.json`, the record) is a new file, flushed and renamed into place before it is gone
//! by. A page takes the place of an older one in the same way, but is not flushed. Half of one, as
//! a kill can leave it, is taken for none: it is fetched again, and the page that stands in for one
//! that failed is then above every version.
//! `delegated/` holds copies of what can be had again: they are written over, and a run that is
//! killed may leave half of one. Whatever is read back is verified again before it counts, except
//! `root.json`: it is the trust, which is why nobody else may write here. The names on a page that
//! cannot be verified any more are only ever shown.

mod beginning;
mod cache;
mod claimed;
mod configured;
mod handed_over;
mod lock;
mod record;
mod recovered;
mod remembered;
mod replaced;
mod reviewed;
mod state;
mod system;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;
use wheelmark_tuf::Sha256;

use crate::index::{IndexUrls, directory_name};
use crate::mirror::Mirror;

pub use configured::NotUsed;
pub use handed_over::{HandedOver, HandedOverError, SystemIndex};
pub use record::{Began, IndexRecord};
pub use recovered::Recovered;
pub(crate) use recovered::Under;
pub use replaced::Carried;
pub use state::{ChainState, RoleState};
pub use system::{demand_guarded, read_guarded, system_indexes};

const RECORD: &str = "index.toml";

/// Why the trust store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file or directory could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Others can read or write what only the owner may.
    #[error("{} is open to other users of this machine", path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the system's that others than its administrator could have written.
    #[error("{} cannot be relied on: {problem}", path.display())]
    Unguarded {
        /// The file or directory.
        path: PathBuf,
        /// Who could have written it.
        problem: String,
    },
    /// A user's own trust in an index has nothing to do with the system's.
    #[error(
        "{} says that {index} has the root {system} in version {version}, and {known}",
        file.display()
    )]
    Conflict {
        /// The index's simple URL.
        index: Box<Url>,
        /// The system's file.
        file: PathBuf,
        /// The version of its root.
        version: u64,
        /// That root's fingerprint.
        system: Sha256,
        /// What the user's store knows of that version.
        known: String,
    },
    /// An index's record is damaged or of a later version of this program.
    #[error("{} cannot be understood: {problem}", path.display())]
    Record {
        /// The record's file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Trust in this index has begun already.
    #[error("{index} is trusted already, since {since}")]
    AlreadyTrusted {
        /// The index's simple URL.
        index: Url,
        /// Since when.
        since: jiff::Timestamp,
    },
    /// Trust in this index has ended since it was looked up, or has begun anew.
    #[error("trust in {index} has ended or begun anew since this run started; start it again")]
    BegunAnew {
        /// The index's simple URL.
        index: Url,
    },
    /// Another process holds the lock for too long.
    #[error("another wheelmark process has held {} for {} s", path.display(), waited.as_secs())]
    Busy {
        /// The lock's file.
        path: PathBuf,
        /// How long this process waited.
        waited: std::time::Duration,
    },
}

/// All indexes that a user trusts. Cheap to make; every method reads the directory.
#[derive(Clone, Debug)]
pub struct TrustStore {
    indexes: PathBuf,
    system: Vec<Arc<SystemIndex>>,
}

impl TrustStore {
    /// Opens the store below a user's data directory, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// [`TrustError::Exposed`] when other users may enter it, and when it cannot be made.
    pub fn open(home: &Path) -> Result<Self, TrustError> {
        let indexes = home.join("indexes");
        create_private(&indexes)?;
        demand_private(&indexes)?;
        Ok(Self {
            indexes,
            system: Vec::new(),
        })
    }

    /// The index of this simple URL, if it is trusted.
    ///
    /// # Errors
    ///
    /// When its record cannot be read.
    pub fn find(&self, simple: &Url) -> Result<Option<TrustedIndex>, TrustError> {
        let directory = self.indexes.join(directory_name(simple));
        if !directory.join(RECORD).exists() {
            return Ok(None);
        }
        let found = self.load(directory)?.filter(TrustedIndex::is_chosen);
        if let Some(index) = &found {
            index.demand_agreement()?;
        }
        Ok(found)
    }

    /// What is kept of an index. Trust that came from the system ends when the system takes it
    /// back, and what is kept of it stays for the case that it comes again.
    fn load(&self, directory: PathBuf) -> Result<Option<TrustedIndex>, TrustError> {
        let mut index = TrustedIndex::load(directory)?;
        index.system = self.system_of(index.urls().simple());
        let ended = index.system.is_none() && index.record.began == Began::System;
        Ok((!ended).then_some(index))
    }

    /// Every trusted index, ordered by URL. One about which the user's trust and the system's
    /// contradict each other is among them, and nothing is read by it: see
    /// [`TrustedIndex::demand_agreement`].
    ///
    /// # Errors
    ///
    /// When the directory or a record cannot be read.
    pub fn list(&self) -> Result<Vec<TrustedIndex>, TrustError> {
        let mut found = Vec::new();
        for directory in self.directories()? {
            found.extend(self.load(directory)?.filter(TrustedIndex::is_chosen));
        }
        found.sort_by(|a, b| a.urls().simple().cmp(b.urls().simple()));
        Ok(found)
    }

    /// The directories that hold a record, whatever it says.
    fn directories(&self) -> Result<Vec<PathBuf>, TrustError> {
        let entries = fs::read_dir(&self.indexes).map_err(|e| io("read", &self.indexes, e))?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| io("read", &self.indexes, e))?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !hidden && entry.path().join(RECORD).exists() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

/// One trusted index: its record and the directory that holds its chain.
#[derive(Clone, Debug)]
pub struct TrustedIndex {
    directory: PathBuf,
    record: IndexRecord,
    /// The record as it was written.
    text: Arc<str>,
    /// What the system says of the same index.
    system: Option<Arc<SystemIndex>>,
}

impl TrustedIndex {
    fn load(directory: PathBuf) -> Result<Self, TrustError> {
        demand_private(&directory)?;
        let path = directory.join(RECORD);
        let text = fs::read_to_string(&path).map_err(|e| io("read", &path, e))?;
        let record =
            IndexRecord::parse(&text).map_err(|problem| TrustError::Record { path, problem })?;
        Ok(Self {
            directory,
            record,
            text: text.into(),
            system: None,
        })
    }

    /// How trust began, and where the index is.
    #[must_use]
    pub fn record(&self) -> &IndexRecord {
        &self.record
    }

    /// Whether the index is signed, which is what the person said when it was added.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.record.is_signed()
    }

    /// Whether the person, or their system, said that it is to be used.
    fn is_chosen(&self) -> bool {
        self.record.began != Began::Configured
    }

    /// Adds a mirror behind those that are there; `false` when it is there already.
    ///
    /// # Errors
    ///
    /// When the record cannot be locked, read or written, or trust has ended meanwhile.
    pub async fn add_mirror(&mut self, mirror: Mirror) -> Result<bool, TrustError> {
        self.change_mirrors(|mirrors| {
            let new = !mirrors.iter().any(|known| known.is_at(&mirror));
            if new {
                mirrors.push(mirror);
            }
            new
        })
        .await
    }

    /// Removes a mirror; `false` when it is not there.
    ///
    /// # Errors
    ///
    /// As [`TrustedIndex::add_mirror`].
    pub async fn remove_mirror(&mut self, mirror: &Mirror) -> Result<bool, TrustError> {
        self.change_mirrors(|mirrors| {
            let before = mirrors.len();
            mirrors.retain(|known| !known.is_at(mirror));
            mirrors.len() < before
        })
        .await
    }

    /// Changes the mirrors on record, as they stand on disk, and says whether anything changed.
    async fn change_mirrors(
        &mut self,
        change: impl FnOnce(&mut Vec<Mirror>) -> bool,
    ) -> Result<bool, TrustError> {
        let _lock = self.lock().await?;
        let Self {
            mut record, text, ..
        } = Self::load(self.directory.clone())?;
        self.text = text;
        let mut mirrors = record.urls.mirrors().to_vec();
        let changed = change(&mut mirrors);
        record.urls = record.urls.with_mirrors(mirrors);
        if changed {
            self.text = record.to_toml().into();
            self.write(RECORD, self.text.as_bytes(), Durability::Synced)?;
        }
        self.record = record;
        Ok(changed)
    }

    /// The system's file that makes everybody trust this index, if there is one.
    #[must_use]
    pub fn system_file(&self) -> Option<&Path> {
        Some(&self.system.as_ref()?.file)
    }

    /// Where the index is.
    #[must_use]
    pub fn urls(&self) -> &IndexUrls {
        &self.record.urls
    }

    /// The directory that holds the chain.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn write(&self, name: &str, bytes: &[u8], durability: Durability) -> Result<(), TrustError> {
        let path = self.directory.join(name);
        let parent = path.parent().unwrap_or(&self.directory);
        let write = || match durability {
            Durability::Synced => replace(&path, parent, bytes, durability),
            Durability::Whole => match create(&path, |file| file.write_all(bytes)) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    replace(&path, parent, bytes, durability)
                }
                created => created,
            },
            Durability::Cached => put(&path, bytes),
        };
        let written = match write() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.create_below(parent)?;
                write()
            }
            written => written,
        };
        written.map_err(|e| io("write", &path, e))?;
        if durability == Durability::Synced {
            sync_directory(parent)?;
        }
        Ok(())
    }

    /// Refuses to go on when the index on disk is not the one that was looked up.
    fn demand_current(&self) -> Result<(), TrustError> {
        let is_current = match self.read(RECORD)? {
            None => false,
            // As a rule nobody has touched it.
            Some(written) if *written == *self.text.as_bytes() => {
                demand_private(&self.directory)?;
                true
            }
            Some(_) => {
                let there = Self::load(self.directory.clone())?;
                there.record.same_trust(&self.record)
            }
        };
        if is_current {
            return Ok(());
        }
        Err(TrustError::BegunAnew {
            index: self.record.urls.simple().clone(),
        })
    }

    /// Makes the directories down to this one, but never the index's own: if that is gone,
    /// trust has ended.
    fn create_below(&self, path: &Path) -> Result<(), TrustError> {
        if path == self.directory {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_below(parent)?;
        }
        match private_builder().create(path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(io("create", path, e)),
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, TrustError> {
        let path = self.directory.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io("read", &path, e)),
        }
    }
}

/// Whether a write must survive a power cut. The rollback floor must; what is merely a
/// copy of something that can be fetched again need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Synced,
    /// May be lost to a power cut, but does not take the old one's place before all of it is
    /// there. Where there was none, half of the new one is found for a moment.
    Whole,
    Cached,
}

/// Puts a new file in the place of the old one: whoever reads finds one or the other.
fn replace(
    path: &Path,
    parent: &Path,
    bytes: &[u8],
    durability: Durability,
) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".tmp-")
        .tempfile_in(parent)?;
    file.write_all(bytes)?;
    if durability == Durability::Synced {
        file.as_file().sync_all()?;
    }
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Writes to the file itself. There are hundreds of these in a run, and whoever reads half of one
/// finds that out: it is verified again.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::File::options();
    private(options.create(true).truncate(true))
        .open(path)?
        .write_all(bytes)
}

/// Writes a file that is not there yet, and leaves none that is not whole.
fn create(
    path: &Path,
    fill: impl FnOnce(&mut fs::File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut file = private(fs::File::options().create_new(true)).open(path)?;
    let filled = fill(&mut file);
    if filled.is_err() {
        // If this fails as well, half of a file is taken for none.
        fs::remove_file(path).ok();
    }
    filled
}

fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.write(true)
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> TrustError {
    TrustError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

fn create_private(path: &Path) -> Result<(), TrustError> {
    private_builder()
        .recursive(true)
        .create(path)
        .map_err(|e| io("create", path, e))
}

fn private_builder() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// A new directory of a random name that only the owner may enter.
pub(crate) fn private_temporary(
    prefix: &str,
    parent: &Path,
) -> Result<tempfile::TempDir, std::io::Error> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir_in(parent)
}

#[cfg(unix)]
fn demand_private(path: &Path) -> Result<(), TrustError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)
        .map_err(|e| io("read", path, e))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(TrustError::Exposed {
            path: path.to_owned(),
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn demand_private(_: &Path) -> Result<(), TrustError> {
    Ok(())
}

fn sync_directory(path: &Path) -> Result<(), TrustError> {
    #[cfg(unix)]
    fs::File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|e| io("write in", path, e))?;
    #[cfg(not(unix))]
    let _: &Path = path;
    Ok(())
}

#[cfg(test)]
mod tests;
