//! Indexes that the system's administrator makes everybody trust.
//!
//! ```text
//! /etc/wheelmark/indexes/*.json ─▶ trusted by every command, each user's store keeps the chain
//! ```
//!
//! The files say where trust begins, and what nothing older than is accepted; the chain that
//! follows from there is each user's own. Whoever can write them decides what all users trust,
//! so they and their directories are used only if nobody else can.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use wheelmark_tuf::Sha256;

use super::handed_over::{HandedOver, SystemIndex};
use super::{Began, IndexRecord, RECORD, TrustError, TrustStore, TrustedIndex, io};
use super::{Durability, directory_name};
use super::{private_temporary, sync_directory};

/// Reads the files of a directory; none if it is not there.
///
/// # Errors
///
/// When one cannot be read or used, or others than `owners` could have written it.
pub fn system_indexes(directory: &Path, owners: &[u32]) -> Result<Vec<SystemIndex>, TrustError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io("read", directory, e)),
    };
    // Whoever can write above it can put another one in its place.
    for directory in directory.parent().into_iter().chain([directory]) {
        demand_guarded(directory, owners)?;
    }
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| io("read", directory, e))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    let read = files.into_iter().map(|file| {
        let text = read_guarded(&file, owners)?;
        let handed = HandedOver::parse(&text).map_err(|error| TrustError::Record {
            path: file.clone(),
            problem: error.to_string(),
        })?;
        Ok(SystemIndex { file, handed })
    });
    read.collect()
}

/// Reads a file that nobody but `owners` could have written. What is looked at and what is read
/// are one and the same, whatever happens to the name meanwhile.
///
/// # Errors
///
/// [`TrustError::Unguarded`], and when it cannot be read.
pub fn read_guarded(path: &Path, owners: &[u32]) -> Result<String, TrustError> {
    let read = |e| io("read", path, e);
    let mut file = fs::File::open(path).map_err(read)?;
    demand_owned(path, &file.metadata().map_err(read)?, owners)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(read)?;
    Ok(text)
}

/// Refuses a file or directory that another user than `owners` has, or that others can write.
///
/// # Errors
///
/// [`TrustError::Unguarded`], and when it cannot be looked at.
pub fn demand_guarded(path: &Path, owners: &[u32]) -> Result<(), TrustError> {
    let metadata = fs::metadata(path).map_err(|e| io("read", path, e))?;
    demand_owned(path, &metadata, owners)
}

#[cfg(unix)]
fn demand_owned(path: &Path, metadata: &fs::Metadata, owners: &[u32]) -> Result<(), TrustError> {
    use std::os::unix::fs::MetadataExt as _;
    let problem = if !owners.contains(&metadata.uid()) {
        format!("user {} owns it", metadata.uid())
    } else if metadata.mode() & 0o022 != 0 {
        "others than its owner can write it".to_owned()
    } else {
        return Ok(());
    };
    Err(TrustError::Unguarded {
        path: path.to_owned(),
        problem,
    })
}

/// There are no such owners here.
#[cfg(not(unix))]
fn demand_owned(_: &Path, _: &fs::Metadata, _: &[u32]) -> Result<(), TrustError> {
    Ok(())
}

impl TrustStore {
    /// The same store, with the indexes of the system trusted besides. Those that it does not
    /// know yet begin in it; nothing is asked for over the network.
    ///
    /// # Errors
    ///
    /// When one cannot be written.
    pub fn with_system(
        mut self,
        system: Vec<SystemIndex>,
        now: jiff::Timestamp,
    ) -> Result<Self, TrustError> {
        self.system = system.into_iter().map(Arc::new).collect();
        for index in self.system.clone() {
            let directory = self.indexes.join(directory_name(index.simple()));
            // That pip or uv is configured for it does not keep it unsigned.
            let begins = match directory.join(RECORD).exists() {
                false => true,
                true => {
                    let known = TrustedIndex::load(directory.clone())?;
                    !known.is_chosen() || known.is_another_than(&index)?
                }
            };
            if begins {
                self.seed(&index.handed, &directory, now)?;
            }
        }
        Ok(self)
    }

    /// Puts an index into the store as the system hands it over, whole or not at all.
    fn seed(
        &self,
        handed: &HandedOver,
        directory: &Path,
        now: jiff::Timestamp,
    ) -> Result<(), TrustError> {
        let draft = private_temporary(".new-", &self.indexes)
            .map_err(|e| io("write in", &self.indexes, e))?;
        let record = IndexRecord {
            urls: handed.urls().clone(),
            began: Began::System,
            trusted_since: now,
            first_root_version: handed.root_version(),
            first_root_fingerprint: *handed.root_fingerprint(),
        };
        let index = TrustedIndex {
            directory: draft.path().to_owned(),
            text: record.to_toml().into(),
            record,
            system: None,
        };
        index.write("root.json", handed.root(), Durability::Synced)?;
        index.take_over_claims(handed)?;
        index.write(RECORD, index.text.as_bytes(), Durability::Synced)?;
        if directory.join(RECORD).exists() {
            self.carry_identities(directory, &index)?;
            let before = TrustedIndex::load(directory.to_owned())?;
            if before.is_of_the_system() {
                index.carry(&before)?;
                self.note_signed(directory, before.urls().simple())?;
            }
            self.bury(directory)?;
        }
        match fs::rename(draft.path(), directory) {
            Ok(()) => drop(draft.keep()),
            // Another process was faster, and began with the same.
            Err(_) if directory.join(RECORD).exists() => {}
            Err(e) => return Err(io("create", directory, e)),
        }
        sync_directory(&self.indexes)
    }

    /// What the system says of an index, if it says anything.
    pub(super) fn system_of(&self, simple: &url::Url) -> Option<Arc<SystemIndex>> {
        let mut system = self.system.iter();
        system.find(|index| index.simple() == simple).cloned()
    }
}

impl TrustedIndex {
    /// Refuses an index about which the user's trust and the system's contradict each other.
    ///
    /// # Errors
    ///
    /// [`TrustError::Conflict`], and when what is stored cannot be read.
    pub fn demand_agreement(&self) -> Result<(), TrustError> {
        match &self.system {
            Some(system) => self.agree_with(system),
            None => Ok(()),
        }
    }

    /// Holds the own trust in an index against what the system says: one root has to lead to
    /// the other. Where the system's is the newer one, the next refresh tells.
    pub(super) fn agree_with(&self, system: &SystemIndex) -> Result<(), TrustError> {
        let handed = &system.handed;
        let version = handed.root_version();
        let conflict = |known: Option<Sha256>| TrustError::Conflict {
            index: Box::new(self.urls().simple().clone()),
            file: system.file.clone(),
            version,
            known: match known {
                Some(fingerprint) => format!("your own root of that version is {fingerprint}"),
                None => format!(
                    "your own trust began with version {}, and whether that follows from it \
                     cannot be told here",
                    self.record.first_root_version
                ),
            },
            system: *handed.root_fingerprint(),
        };
        let now = self.state()?;
        if version > now.root.version {
            return Ok(());
        }
        let known = if version == now.root.version {
            Some(now.root_fingerprint)
        } else if version == self.record.first_root_version {
            Some(self.record.first_root_fingerprint)
        } else {
            self.passed_root(version)?
        };
        if known.as_ref() == Some(handed.root_fingerprint()) {
            return Ok(());
        }
        Err(conflict(known))
    }
}
