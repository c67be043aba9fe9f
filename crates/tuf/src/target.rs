//! A file that metadata vouches for, and the check of its content.

use std::fmt;

use serde_json::Value;

use crate::Sha256;
use crate::hashes::{HashError, Hashes, Hashing};
use crate::model::own_sha256;
use crate::name::{RoleName, TargetPath};

/// What the role that answers for a path says of the file there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The path it was looked up by.
    pub path: TargetPath,
    /// The length of the content in bytes.
    pub length: u64,
    /// The hashes of the content.
    pub hashes: Hashes,
    /// What the publisher adds, opaque here.
    pub custom: Option<Value>,
    /// The role that says so.
    pub role: RoleName,
    /// The version of that role.
    pub role_version: u64,
    /// The roles that delegated on the way, with their versions: from `targets` down to the
    /// delegator of `role`. Empty where `role` is `targets` itself.
    pub via: Vec<(RoleName, u64)>,
}

/// The content is not the one that metadata vouches for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// More bytes than the file has; seen as soon as the first of them arrives.
    #[error("the content of {path} is longer than {length} bytes")]
    TooLong {
        /// The target's path.
        path: TargetPath,
        /// The length that metadata states.
        length: u64,
    },
    /// Fewer bytes than the file has.
    #[error("the content of {path} ends after {found} of {length} bytes")]
    TooShort {
        /// The target's path.
        path: TargetPath,
        /// The length that metadata states.
        length: u64,
        /// The length of the content.
        found: u64,
    },
    /// The length is right and the content is not.
    #[error("the content of {path} is not what {role} has signed")]
    Content {
        /// The target's path.
        path: TargetPath,
        /// The role that vouches for the file.
        role: RoleName,
        /// Which hash does not hold.
        #[source]
        source: HashError,
    },
}

impl Target {
    /// Whether `content` is the file (TUF §5.7).
    ///
    /// # Errors
    ///
    /// When the length or a hash does not hold, or no hash can be checked.
    pub fn check(&self, content: &[u8]) -> Result<(), TargetError> {
        let mut hasher = self.hasher()?;
        hasher.update(content)?;
        hasher.finish()
    }

    /// Begins a check of content that arrives in pieces.
    ///
    /// # Errors
    ///
    /// When metadata states no hash that can be checked.
    pub fn hasher(&self) -> Result<TargetHasher<'_>, TargetError> {
        let hashing = Hashing::new(&self.hashes).map_err(|source| self.refuse(source))?;
        Ok(TargetHasher {
            target: self,
            hashing,
            seen: 0,
        })
    }

    /// The name of the object under consistent snapshots: `dir/HASH.FILENAME`, by the
    /// SHA-256 where it is listed (TUF §6.1).
    pub fn hash_named(&self) -> String {
        self.path.with_prefix(self.hashes.name())
    }

    /// The SHA-256 after which an index of Wheelmark's names the object: the one that is listed, or
    /// else the one that it states beside the hashes.
    pub fn sha256(&self) -> Option<Sha256> {
        let listed = self.hashes.sha256();
        listed.or_else(|| own_sha256(self.custom.as_ref()?))
    }

    fn refuse(&self, source: HashError) -> TargetError {
        TargetError::Content {
            path: self.path.clone(),
            role: self.role.clone(),
            source,
        }
    }
}

/// Checks content piece by piece: the length at once, the hashes at the end.
#[derive(Clone)]
pub struct TargetHasher<'a> {
    target: &'a Target,
    hashing: Hashing,
    seen: u64,
}

impl TargetHasher<'_> {
    /// Takes in the next piece.
    ///
    /// # Errors
    ///
    /// When the content is now longer than the file.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), TargetError> {
        self.seen = self.seen.saturating_add(piece.len() as u64);
        if self.seen > self.target.length {
            return Err(TargetError::TooLong {
                path: self.target.path.clone(),
                length: self.target.length,
            });
        }
        self.hashing.update(piece);
        Ok(())
    }

    /// Whether everything that was taken in is the file.
    ///
    /// # Errors
    ///
    /// When the content is too short, or a hash does not hold.
    pub fn finish(self) -> Result<(), TargetError> {
        let Target { path, length, .. } = self.target;
        if self.seen != *length {
            let (path, length, found) = (path.clone(), *length, self.seen);
            return Err(if found < length {
                TargetError::TooShort {
                    path,
                    length,
                    found,
                }
            } else {
                TargetError::TooLong { path, length }
            });
        }
        self.hashing
            .finish()
            .map_err(|source| self.target.refuse(source))
    }
}

impl fmt::Debug for TargetHasher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TargetHasher({}, {} of {} bytes)",
            self.target.path, self.seen, self.target.length
        )
    }
}
