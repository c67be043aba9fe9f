//! Lock files: which files are to be installed, as other tools wrote it down.
//!
//! ```text
//!  uv.lock ──────────┐                     ┌▶ packages: project, version, index, files, hashes
//!  pylock.toml ──────┤                     │
//!  poetry.lock ──────┼─▶ LockFile::parse ──┼▶ elsewhere: trees, git, URLs, files: no index's
//!  pdm.lock ─────────┤                     │
//!  requirements.txt ─┘                     └▶ notes: what was passed over, and why
//! ```
//!
//! Nothing is looked up here, and nothing that a lock file says is believed: it is what an
//! installer would be told.

mod beside;
mod error;
mod format;
mod identities;
mod named;
mod pdm;
mod poetry;
mod pylock;
mod requirements;
mod rewrite;
mod uv;

use serde::Deserialize;
use toml::Table;

pub use self::beside::{BESIDE, Beside};
pub use self::error::LockError;
pub use self::format::LockFormat;
pub use self::identities::{
    AttestedPackage, LockedIdentity, MAX_LOCKED_IDENTITIES, with_identities,
};
pub use self::requirements::requirement_lines;
pub use self::rewrite::{NamedUrl, named_urls};
use crate::simple::Hashes;
use crate::{ProjectName, Version};

/// Longest lock file that is read, in bytes. The largest known ones, of repositories with a
/// thousand packages for every platform, have some five megabytes.
pub const MAX_LOCK_LEN: usize = 16 * 1024 * 1024;

/// Most packages of one lock file.
pub const MAX_LOCKED_PACKAGES: usize = 20_000;

/// Most files of one lock file: as many as one page may list.
pub const MAX_LOCKED_FILES: usize = crate::simple::MAX_PAGE_FILES;

/// What a lock file says is to be installed.
#[derive(Clone, Debug, PartialEq)]
pub struct LockFile {
    /// Who writes such files.
    pub format: LockFormat,
    /// The version of the format, as it stands there; requirements files have none.
    pub version: Option<String>,
    /// What comes from an index.
    pub packages: Vec<LockedPackage>,
    /// What does not.
    pub elsewhere: Vec<Elsewhere>,
    /// Of what does not, those packages that have attestation identities all the same, without files:
    /// what a URL leads to can be a file of an index.
    pub attested_elsewhere: Vec<LockedPackage>,
    /// The indexes that are named for all packages together.
    pub indexes: Vec<String>,
    /// More requirements files, as they are named: to be looked for beside this one.
    pub includes: Vec<String>,
    /// What was passed over, and why, in words.
    pub notes: Vec<String>,
}

/// One package that comes from an index.
#[derive(Clone, Debug, PartialEq)]
pub struct LockedPackage {
    /// Its project.
    pub project: ProjectName,
    /// Its version; `None` where it is not pinned to one.
    pub version: Option<Version>,
    /// The index that is named for it, as it stands there.
    pub index: Option<String>,
    /// The files of which an installer takes one.
    pub files: Vec<LockedFile>,
    /// Who may have attested its files (PEP 751, `packages.attestation-identities`); none if nobody
    /// has to have.
    pub identities: Vec<LockedIdentity>,
}

/// One file that an installer may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedFile {
    /// Its name, a plain segment; `None` where a lock file has digests alone, each of which
    /// stands for a file.
    pub filename: Option<String>,
    /// Where it is said to be.
    pub at: FilePlace,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// Its digests.
    pub hashes: Hashes,
}

/// Where a lock file says that a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilePlace {
    /// Wherever the index says.
    Index,
    /// At this URL.
    Url(String),
    /// At this path on the machine that installs.
    Path(String),
}

/// Something to install that no index answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its project, where it is named.
    pub project: Option<ProjectName>,
    /// What it is.
    pub kind: ElsewhereKind,
    /// Where it is, as it stands there.
    pub place: String,
}

/// What something is that no index answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElsewhereKind {
    /// A source tree on the machine that installs, such as the project's own.
    Tree,
    /// A repository of git or its like.
    Repository,
    /// A file at a URL of its own.
    Url,
    /// A file on the machine that installs.
    Path,
}

impl ElsewhereKind {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            ElsewhereKind::Tree => "a source tree on this machine",
            ElsewhereKind::Repository => "a repository",
            ElsewhereKind::Url => "a URL of its own",
            ElsewhereKind::Path => "a file on this machine",
        }
    }
}

impl LockFile {
    /// Reads a lock file of a known format.
    ///
    /// # Errors
    ///
    /// [`LockError`] for the first thing that it cannot mean, for a version of the format that
    /// is not known, and where a limit is exceeded.
    pub fn parse(format: LockFormat, bytes: &[u8]) -> Result<LockFile, LockError> {
        if bytes.len() > MAX_LOCK_LEN {
            return Err(LockError::TooLong {
                length: bytes.len(),
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| LockError::NotText)?;
        let lock = match format {
            LockFormat::Uv => uv::parse(table(text)?),
            LockFormat::Pylock => pylock::parse(table(text)?, text),
            LockFormat::Poetry => poetry::parse(table(text)?),
            LockFormat::Pdm => pdm::parse(table(text)?),
            LockFormat::Requirements => requirements::parse(text),
        }?;
        let count = lock.packages.len() + lock.elsewhere.len();
        if count > MAX_LOCKED_PACKAGES {
            return Err(LockError::TooManyPackages { count });
        }
        let count = lock.packages.iter().map(|package| package.files.len());
        let count = count.sum();
        if count > MAX_LOCKED_FILES {
            return Err(LockError::TooManyFiles { count });
        }
        Ok(lock)
    }

    fn empty(format: LockFormat, version: Option<String>) -> LockFile {
        LockFile {
            format,
            version,
            packages: Vec::new(),
            elsewhere: Vec::new(),
            attested_elsewhere: Vec::new(),
            indexes: Vec::new(),
            includes: Vec::new(),
            notes: Vec::new(),
        }
    }
}

fn table(text: &str) -> Result<Table, LockError> {
    text.parse()
        .map_err(|error: toml::de::Error| LockError::Toml {
            problem: error.message().to_owned(),
            line: error
                .span()
                .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count()),
        })
}

/// Reads a table whose form is known.
fn read<T: for<'de> Deserialize<'de>>(table: Table) -> Result<T, LockError> {
    table
        .try_into()
        .map_err(|error: toml::de::Error| LockError::Form {
            problem: error.message().to_owned(),
        })
}

#[cfg(test)]
mod tests;
