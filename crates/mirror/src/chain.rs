//! The chain of a place, from a root that is trusted to the top-level targets.
//!
//! A refresh as every client makes it, without memory: what was seen elsewhere does not help one
//! place or harm another.

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_tuf::{
    Cached, Limits, Refresh, RefreshError, RoleName, Sha256, TrustedSet, root_fingerprint,
};

use crate::place::{Place, PlaceError};

/// Why a place has no chain that can be gone by.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A file could not be read or fetched.
    #[error("{path} could not be had")]
    Place {
        /// The file, relative to the metadata.
        path: String,
        /// Why.
        #[source]
        source: Box<PlaceError>,
    },
    /// A file is missing or refused.
    #[error("{path} is refused")]
    Refused {
        /// The file, relative to the metadata.
        path: String,
        /// What the check says.
        #[source]
        source: Box<RefreshError>,
    },
    /// The root to begin with is unusable.
    #[error("the trusted root cannot be used")]
    Root(#[source] Box<RefreshError>),
    /// No root of the place has the fingerprint.
    #[error("none of the {walked} roots here has the fingerprint {fingerprint}")]
    NoSuchRoot {
        /// What was asked for.
        fingerprint: Sha256,
        /// How many there are.
        walked: u64,
    },
}

/// A chain that holds, with its files as they were received.
#[derive(Clone, Debug)]
pub struct Chain {
    /// What it comes to.
    pub set: TrustedSet,
    /// Every root behind the one to begin with, in order.
    pub roots: Vec<Bytes>,
    /// The timestamp, the snapshot and the top-level targets, by the names they were asked by.
    pub files: Vec<(RoleName, String, Bytes)>,
}

/// How far a chain was gone when it ended.
#[derive(Debug)]
pub struct Broken {
    /// Why it ended.
    pub error: ChainError,
    /// Every root behind the one to begin with.
    pub roots: Vec<Bytes>,
    /// The top-level roles that were accepted before it ended.
    pub files: Vec<(RoleName, String, Bytes)>,
}

/// Goes from `root` to the state of a place; every expiry is judged as of `as_of`.
///
/// # Errors
///
/// [`Broken`], with what was accepted before.
pub fn follow(place: &impl Place, root: &[u8], as_of: Timestamp) -> Result<Chain, Box<Broken>> {
    let (mut roots, mut files) = (Vec::new(), Vec::new());
    match drive(place, root, as_of, &mut roots, &mut files) {
        Ok(set) => Ok(Chain { set, roots, files }),
        Err(error) => Err(Box::new(Broken {
            error,
            roots,
            files,
        })),
    }
}

fn drive(
    place: &impl Place,
    root: &[u8],
    as_of: Timestamp,
    roots: &mut Vec<Bytes>,
    files: &mut Vec<(RoleName, String, Bytes)>,
) -> Result<TrustedSet, ChainError> {
    let begun = Refresh::new(root, Cached::default(), as_of, Limits::default());
    let mut machine = begun.map_err(|error| ChainError::Root(Box::new(error)))?;
    while let (Some(need), Some(sought)) = (machine.need().cloned(), machine.sought()) {
        let answer = place.metadata(&need.path, need.max_len);
        let answer = answer.map_err(|source| ChainError::Place {
            path: need.path.clone(),
            source: Box::new(source),
        })?;
        let supplied = machine.supply(answer.clone().map(Vec::from));
        (machine, _) = supplied.map_err(|source| ChainError::Refused {
            path: need.path.clone(),
            source: Box::new(source),
        })?;
        match answer {
            Some(bytes) if sought == RoleName::root() => roots.push(bytes),
            Some(bytes) => files.push((sought, need.path, bytes)),
            None => {}
        }
    }
    machine
        .finish()
        .map_err(|error| ChainError::Root(Box::new(error)))
}

/// The root of a place that has this fingerprint: what somebody trusts who knows nothing else.
///
/// # Errors
///
/// [`ChainError::NoSuchRoot`], and when the place cannot be read.
pub fn root_of_fingerprint(place: &impl Place, fingerprint: &Sha256) -> Result<Bytes, ChainError> {
    let limits = Limits::default();
    let mut walked = 0;
    for version in 1..=u64::from(limits.root_rotations) {
        let path = RoleName::root().versioned_file_name(version);
        let found = place.metadata(&path, limits.root_length);
        let Some(root) = found.map_err(|source| ChainError::Place {
            path,
            source: Box::new(source),
        })?
        else {
            break;
        };
        walked = version;
        if root_fingerprint(&root).is_ok_and(|found| found == *fingerprint) {
            return Ok(root);
        }
    }
    Err(ChainError::NoSuchRoot {
        fingerprint: *fingerprint,
        walked,
    })
}
