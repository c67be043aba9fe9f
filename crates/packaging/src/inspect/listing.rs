//! The entries of an archive, checked against each other.

use std::collections::BTreeMap;

use super::InspectError;
use super::limits::{MAX_ENTRIES, MAX_PATHS_LEN};
use super::path;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    /// With its unpacked length in bytes.
    File(u64),
    Symlink,
    /// A second name of a file that came before it.
    HardLink,
}

/// Every path of an archive, without a `/` at its end.
#[derive(Default)]
pub(super) struct Listing {
    entries: BTreeMap<String, Kind>,
    count: u64,
    paths_len: u64,
}

impl Listing {
    /// Adds an entry, whose path is checked; returns the path as it is listed.
    pub(super) fn add(&mut self, raw: &[u8], kind: Kind) -> Result<String, InspectError> {
        self.count += 1;
        if self.count > MAX_ENTRIES {
            return Err(InspectError::TooManyEntries);
        }
        self.paths_len = self.paths_len.saturating_add(raw.len() as u64);
        if self.paths_len > MAX_PATHS_LEN {
            return Err(InspectError::PathsTooLong);
        }
        let path = path::check(raw)?;
        let path = path.strip_suffix('/').unwrap_or(path).to_owned();
        match self.entries.insert(path.clone(), kind) {
            None => Ok(path),
            Some(Kind::Directory) if kind == Kind::Directory => Ok(path),
            Some(_) => Err(InspectError::Conflict { path }),
        }
    }

    /// Checks that nothing lies beneath a path that is not a directory. Call once all are added.
    pub(super) fn check_nesting(&self) -> Result<(), InspectError> {
        for path in self.entries.keys() {
            let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            for parent in parents {
                if self
                    .entries
                    .get(parent)
                    .is_some_and(|kind| *kind != Kind::Directory)
                {
                    return Err(InspectError::Conflict {
                        path: parent.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Checks that no two files are one where case does not count, as on Windows and macOS:
    /// there, one of them would be written over the other.
    pub(super) fn check_case(&self) -> Result<(), InspectError> {
        let files = self.entries.iter();
        let files = files.filter(|(_, kind)| **kind != Kind::Directory);
        let mut folded: BTreeMap<String, &str> = BTreeMap::new();
        for (path, _) in files {
            if let Some(other) = folded.insert(path.to_lowercase(), path) {
                return Err(InspectError::Case {
                    first: other.to_owned(),
                    second: path.clone(),
                });
            }
        }
        for path in self.entries.keys() {
            let lower = path.to_lowercase();
            let parents = lower.match_indices('/').map(|(at, _)| &lower[..at]);
            if let Some(file) = parents.filter_map(|parent| folded.get(parent)).next() {
                return Err(InspectError::Case {
                    first: (*file).to_owned(),
                    second: path.clone(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn kind(&self, path: &str) -> Option<Kind> {
        self.entries.get(path).copied()
    }

    /// Whether an ordinary file is there, or a link to something.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.kind(path).is_some_and(|kind| kind != Kind::Directory)
    }

    /// Every ordinary file with its length, sorted by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.entries.iter().filter_map(|(path, kind)| match kind {
            Kind::File(length) => Some((path.as_str(), *length)),
            Kind::Directory | Kind::Symlink | Kind::HardLink => None,
        })
    }

    /// Every path, sorted.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}
