//! A directory of distribution files, flat or nested.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use wheelmark_packaging::simple::Hashes;
use wheelmark_packaging::{DistributionFilename, FilenameError, ProjectName};

use super::{Scan, SourceError, local_stamp};
use crate::beneath::{Beneath, BeneathError};
use crate::listed::{Found, Listed, Place};

/// Endings of distributions that are no longer taken anywhere.
const OLD_KINDS: [&str; 6] = [".egg", ".exe", ".msi", ".rpm", ".dmg", ".deb"];

/// The files below a directory.
#[derive(Debug)]
pub(super) struct Files {
    beneath: Beneath,
    /// Directories of our own.
    ours: HashSet<PathBuf>,
}

impl Files {
    pub(super) fn open(path: &Path, ours: &[PathBuf]) -> Result<Self, SourceError> {
        let beneath = Beneath::open(path).map_err(|source| SourceError::Directory {
            path: path.to_owned(),
            source,
        })?;
        // One that is yet to be made has no other path than this.
        let ours = ours
            .iter()
            .map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
        Ok(Self {
            beneath,
            ours: ours.collect(),
        })
    }

    pub(super) fn beneath(&self) -> &Beneath {
        &self.beneath
    }

    pub(super) fn scan(&self, scan: &Scan) -> Result<(), SourceError> {
        // Links to directories are not walked: what they lead to inside is found there.
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let path = self.beneath.root().join(&folder);
            let cannot = |source| SourceError::Directory {
                path: path.clone(),
                source,
            };
            let mut entries = Vec::new();
            for entry in fs::read_dir(&path).map_err(cannot)? {
                let entry = entry.map_err(cannot)?;
                entries.push((entry.file_name(), entry.file_type().map_err(cannot)?));
            }
            // Of two files with one name, the same one comes first each time.
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            let from = folders.len();
            for (name, kind) in entries {
                if kind.is_dir() {
                    let hidden = name.as_encoded_bytes().starts_with(b".");
                    if !hidden && !self.ours.contains(&path.join(&name)) {
                        folders.push(folder.join(&name));
                    }
                } else if let Some(name) = name.to_str() {
                    self.file(scan, &folder, name)?;
                }
            }
            folders[from..].reverse();
        }
        Ok(())
    }

    /// Whether there is not even a link. One that leads nowhere may lead somewhere tomorrow, when
    /// what it leads to is mounted.
    fn is_gone(&self, relative: &Path) -> bool {
        let path = self.beneath.root().join(relative);
        fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    }

    fn file(&self, scan: &Scan, folder: &Path, name: &str) -> Result<(), SourceError> {
        let relative = folder.join(name);
        let skip = |file, why: String| {
            scan.tell(Found::Skipped {
                file,
                name: relative.display().to_string(),
                why,
            })
        };
        let filename = match parse(folder, name) {
            Ok(filename) => filename,
            Err(FilenameError::UnknownKind { .. } | FilenameError::Character { .. })
                if !OLD_KINDS.iter().any(|ending| name.ends_with(ending)) =>
            {
                return Ok(());
            }
            Err(error) => return skip(None, error.to_string()),
        };
        let project = filename.project().clone();
        if !scan.wants(&project) {
            return Ok(());
        }
        let stamped = self
            .beneath
            .file(&relative)
            .and_then(|file| Ok(local_stamp(&file)?));
        let (_, known_by, modified) = match stamped {
            Ok(stamped) => stamped,
            Err(error @ (BeneathError::LeadsOut { .. } | BeneathError::NotPlain)) => {
                return skip(Some((project, name.to_owned())), error.to_string());
            }
            // Gone since the directory was read.
            Err(error) if error.is_missing() && self.is_gone(&relative) => return Ok(()),
            Err(BeneathError::Io(error)) => {
                return scan.tell(Found::Failed {
                    project,
                    filename: name.to_owned(),
                    why: format!("it cannot be read: {error}"),
                });
            }
        };
        scan.tell(Found::File(Box::new(Listed {
            project,
            filename,
            place: Place::Local(relative.clone()),
            hashes: Hashes::new(),
            size: None,
            uploaded_at: modified.map(|time| time.min(scan.now)),
            requires_python: None,
            yanked: None,
            known_by: Some(known_by),
        })))
    }
}

/// Reads a file name, as one of the project that the directory is named after if it can be.
fn parse(folder: &Path, name: &str) -> Result<DistributionFilename, FilenameError> {
    let project = folder
        .file_name()
        .and_then(|folder| folder.to_str())
        .and_then(|folder| folder.parse::<ProjectName>().ok());
    if let Some(project) = project
        && let Ok(filename) = DistributionFilename::parse_for(&project, name)
    {
        return Ok(filename);
    }
    DistributionFilename::parse(name)
}
