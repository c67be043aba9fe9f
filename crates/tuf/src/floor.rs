//! What a client was told that others have seen before its own first refresh.
//!
//! A floor is to a fresh client what a cached timestamp is to one that has been here before:
//! an older state than that is a rollback, however validly it is signed. It is tied to the root
//! that it was seen under. The chain has to pass through that root; and once the keys of
//! timestamp or snapshot are others than that root's, the versions count no more, as those of
//! the cached files do not (TUF §5.3.11).

use std::collections::BTreeMap;

use crate::envelope::root_fingerprint;
use crate::fresh::RoleError;
use crate::model::{Root, Snapshot};
use crate::name::RoleName;
use crate::refresh::{RefreshError, refused, rotated};
use crate::sha256::Sha256;
use crate::verify::{Verified, VerifyError, verify_trusted_root};

/// A root, and the versions that were seen under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// The root that was trusted, byte for byte.
    pub root: Vec<u8>,
    /// The versions of timestamp, of snapshot, and of roles that snapshot lists.
    pub versions: BTreeMap<RoleName, u64>,
}

/// A floor whose root was read.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    root: Verified<Root>,
    fingerprint: Sha256,
    versions: BTreeMap<RoleName, u64>,
}

impl Standing {
    pub(crate) fn new(floor: Floor) -> Result<Self, RefreshError> {
        let root = verify_trusted_root(&floor.root)
            .map_err(RoleError::from)
            .map_err(refused(RoleName::root()))?;
        Ok(Self {
            fingerprint: fingerprint(&floor.root)?,
            root,
            versions: floor.versions,
        })
    }

    /// Whether a root of the chain is the one that was seen, if it has that one's version.
    pub(crate) fn check_root(&self, version: u64, bytes: &[u8]) -> Result<(), RefreshError> {
        if version != self.root.version {
            return Ok(());
        }
        let found = fingerprint(bytes)?;
        if found == self.fingerprint {
            return Ok(());
        }
        Err(RefreshError::OtherRoot {
            version,
            expected: self.fingerprint,
            found,
        })
    }

    /// Whether the last root of the chain is as new as the one that was seen.
    pub(crate) fn check_last_root(&self, last: &Root) -> Result<(), RefreshError> {
        if last.version >= self.root.version {
            return Ok(());
        }
        Err(RefreshError::Rollback {
            role: RoleName::root().to_string(),
            trusted: self.root.version,
            offered: last.version,
        })
    }

    /// Whether the versions still count under this root.
    pub(crate) fn counts_under(&self, root: &Root) -> bool {
        let (then, now) = (&self.root.roles, &root.roles);
        !rotated(&then.timestamp, &now.timestamp) && !rotated(&then.snapshot, &now.snapshot)
    }

    /// Whether a timestamp, and the snapshot that it names, are as new as what was seen.
    pub(crate) fn check_timestamp(&self, version: u64, snapshot: u64) -> Result<(), RefreshError> {
        self.check(&RoleName::timestamp(), version)?;
        self.check(&RoleName::snapshot(), snapshot)
    }

    /// Whether every role that was seen is listed, and as new as it was.
    pub(crate) fn check_snapshot(&self, snapshot: &Snapshot) -> Result<(), RefreshError> {
        let apart = [
            RoleName::timestamp(),
            RoleName::snapshot(),
            RoleName::root(),
        ];
        for role in self.versions.keys().filter(|role| !apart.contains(role)) {
            let Some(meta) = snapshot.role(role) else {
                return Err(RefreshError::Vanished {
                    role: role.to_string(),
                });
            };
            self.check(role, meta.version)?;
        }
        Ok(())
    }

    fn check(&self, role: &RoleName, offered: u64) -> Result<(), RefreshError> {
        match self.versions.get(role) {
            Some(&trusted) if offered < trusted => Err(RefreshError::Rollback {
                role: role.to_string(),
                trusted,
                offered,
            }),
            _ => Ok(()),
        }
    }
}

fn fingerprint(root: &[u8]) -> Result<Sha256, RefreshError> {
    root_fingerprint(root)
        .map_err(|error| RoleError::from(VerifyError::from(error)))
        .map_err(refused(RoleName::root()))
}
