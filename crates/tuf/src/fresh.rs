//! The checks that every role below root has in common.

use jiff::Timestamp;

use crate::hashes::HashError;
use crate::key::{Key, KeyId};
use crate::model::{MetaFile, Role, RoleKeys, Targets};
use crate::name::RoleName;
use crate::shown::Shown;
use crate::verify::{Verified, VerifyError, verify};

use std::collections::BTreeMap;

/// A file to ask the metadata server for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// Relative to the metadata URL; one segment, percent-encoded.
    pub path: String,
    /// More bytes than this are refused: stop reading there.
    pub max_len: u64,
}

/// What a client keeps between two refreshes, by what it was verified as.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CacheName {
    /// The latest root.
    Root,
    /// The latest timestamp: the rollback floor, even when it has expired.
    Timestamp,
    /// The latest snapshot.
    Snapshot,
    /// The latest top-level targets.
    Targets,
    /// A delegated role, as verified with the keys of one delegator.
    Delegated {
        /// Who delegates.
        delegator: RoleName,
        /// To whom.
        role: RoleName,
    },
}

/// What the driver does to its cache, at once and in order.
///
/// Effects come only with a step that succeeded: an error leaves the cache as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keep these bytes, in place of what was there.
    Persist {
        /// What they were verified as.
        file: CacheName,
        /// The file, byte for byte as it was received.
        bytes: Vec<u8>,
    },
    /// Delete what is there, if anything.
    Forget {
        /// What it was verified as.
        file: CacheName,
    },
}

/// Why an answer was not accepted for a role.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// Longer than metadata states or our limits allow.
    #[error("it has {found} bytes, more than {limit}")]
    TooLong {
        /// The most that is accepted.
        limit: u64,
        /// What came.
        found: u64,
    },
    /// Not of the length that metadata states.
    #[error("it has {found} bytes, not {expected}")]
    Length {
        /// The length that metadata states.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Not the bytes that metadata states.
    #[error("it is not the file that was announced")]
    Hash(#[from] HashError),
    /// Not signed as it should be, or not metadata of this role.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// Validly signed, and another version than was asked for.
    #[error("it has version {found}, not {expected}")]
    Version {
        /// The version that was asked for.
        expected: u64,
        /// The version that came.
        found: u64,
    },
    /// Validly signed, and by its own word the metadata of another role.
    #[error("it is the metadata of {}", Shown(.stated))]
    OtherRole {
        /// The role that it says it is.
        stated: String,
    },
    /// No longer valid at the start of the refresh (TUF §5.1).
    #[error("it expired at {expires}")]
    Expired {
        /// From when on it is not valid.
        expires: Timestamp,
    },
}

/// The most bytes to accept for a file that `meta` describes.
pub(crate) fn max_len(meta: &MetaFile, limit: u64) -> u64 {
    meta.length.map_or(limit, |length| length.min(limit))
}

pub(crate) fn check_len(bytes: &[u8], limit: u64) -> Result<(), RoleError> {
    let found = bytes.len() as u64;
    if found > limit {
        return Err(RoleError::TooLong { limit, found });
    }
    Ok(())
}

/// Expiry is against the fixed start of the refresh; to expire at it is to be expired.
pub(crate) fn check_expiry(role: &impl Role, started_at: Timestamp) -> Result<(), RoleError> {
    if role.expires() <= started_at {
        return Err(RoleError::Expired {
            expires: role.expires(),
        });
    }
    Ok(())
}

/// Where metadata says which role it is, it must be the one that was asked for.
pub(crate) fn check_stated_role(targets: &Targets, role: &RoleName) -> Result<(), RoleError> {
    match targets.stated_role() {
        Some(stated) if stated != role.as_str() => Err(RoleError::OtherRole {
            stated: stated.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// What a delegator and the one who announces the version say of a role.
pub(crate) struct Expected<'a> {
    pub(crate) meta: &'a MetaFile,
    pub(crate) limit: u64,
    pub(crate) keys: &'a BTreeMap<KeyId, Key>,
    pub(crate) role_keys: &'a RoleKeys,
}

impl Expected<'_> {
    /// Accepts the bytes of a role whose version was announced: length and hashes first,
    /// before anything is parsed, then signatures, then the version (TUF §5.5.2–5.5.4,
    /// §5.6.2–5.6.4). Rollback and expiry are for the caller.
    pub(crate) fn open<T: Role>(&self, bytes: &[u8]) -> Result<Verified<T>, RoleError> {
        check_len(bytes, max_len(self.meta, self.limit))?;
        let found = bytes.len() as u64;
        if let Some(expected) = self.meta.length.filter(|&expected| expected != found) {
            return Err(RoleError::Length { expected, found });
        }
        if let Some(hashes) = &self.meta.hashes {
            hashes.check(bytes)?;
        }
        let role: Verified<T> = verify(bytes, self.keys, self.role_keys)?;
        if role.version() != self.meta.version {
            let (expected, found) = (self.meta.version, role.version());
            return Err(RoleError::Version { expected, found });
        }
        Ok(role)
    }
}
