//! A place that is said to hold a copy of an index: a directory, or a URL. Nothing in it is
//! believed.

mod directory;
mod record;
mod web;

use std::path::PathBuf;

use bytes::Bytes;
use wheelmark_client::FetchError;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::{Sha256, Sha512};

pub use self::directory::DirectoryPlace;
pub use self::record::{Record, RecordError};
pub use self::web::{Depth, WebPlace};

/// Why something could not be read from a place. It says nothing about what is there.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The file system.
    #[error("{} could not be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Something else than a file stands there.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// What stands there.
        path: PathBuf,
    },
    /// More bytes than it can have.
    #[error("it has more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// The network.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// What an object has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its digest.
    pub sha256: Sha256,
    /// The other one, where it is signed.
    pub sha512: Option<Sha512>,
    /// Its length, where it is signed.
    pub length: Option<u64>,
    /// The most bytes that it can have.
    pub limit: u64,
}

impl Expected {
    /// One digest for all that is expected of the bytes, to remember it by.
    pub(crate) fn both(&self) -> Sha256 {
        match &self.sha512 {
            None => self.sha256,
            Some(sha512) => Sha256::of(&[self.sha256.0.as_slice(), &sha512.0].concat()),
        }
    }
}

/// What an object was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// What was expected. `read` is how many bytes were read to know it.
    Same {
        /// Bytes.
        read: u64,
    },
    /// What was expected, as an earlier run found; it has not changed since.
    SameAsRecorded,
    /// There, with the right length; its bytes were not asked for.
    RightLength,
    /// There, and nobody says how long it is; its bytes were not asked for.
    There,
    /// Not there.
    Missing,
    /// Of another length.
    OtherLength {
        /// What it has.
        found: u64,
    },
    /// With the SHA-256 that is signed, and not the SHA-512.
    OtherSha512 {
        /// How many bytes were read.
        read: u64,
    },
    /// Of the right length, as far as it is known, with other bytes.
    OtherBytes {
        /// Their digest.
        found: Sha256,
        /// How many were read.
        read: u64,
    },
}

/// Where a copy is.
pub trait Place: Sync {
    /// How many may ask at the same time to good purpose.
    fn at_once(&self) -> usize;

    /// A metadata file by the name that a client asks for.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] when it cannot be told.
    fn metadata(&self, name: &str, limit: u64) -> Result<Option<Bytes>, PlaceError>;

    /// A small object, whole.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] when it cannot be told.
    fn object(&self, path: &ObjectPath, limit: u64) -> Result<Option<Bytes>, PlaceError>;

    /// Whether an object is what it has to be.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] when it cannot be told.
    fn check(&self, path: &ObjectPath, expected: &Expected) -> Result<Standing, PlaceError>;

    /// Whether two names are two names of one file, so that one check is enough for both.
    fn are_one(&self, one: &ObjectPath, other: &ObjectPath) -> bool;

    /// Whether the place has the unsigned names of a kind at all, so that a missing one is
    /// missing.
    fn has_plain_names(&self) -> bool;

    /// Whether it has the unsigned copies of pages.
    fn has_simple(&self) -> bool;
}
