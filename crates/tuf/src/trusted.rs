//! The result of a refresh: top-level roles that are verified, fresh and consistent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::fresh::{Expected, RoleError, check_expiry, check_len, check_stated_role};
use crate::limits::Limits;
use crate::lookup::Lookup;
use crate::model::{Root, Snapshot, Targets, TimestampMetadata};
use crate::name::{RoleName, TargetPath};
use crate::refresh::{RefreshError, refused};
use crate::verify::{Verified, verify};
use crate::walk::{Visited, Walk};

/// What a client trusts from one refresh to the next. Cheap to clone; clones share what
/// their lookups have verified.
#[derive(Debug, Clone)]
pub struct TrustedSet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: Verified<Root>,
    timestamp: Verified<TimestampMetadata>,
    snapshot: Verified<Snapshot>,
    targets: Arc<Verified<Targets>>,
    started_at: Timestamp,
    limits: Limits,
    /// Whether projects' own roles count that have expired.
    takes_ended_projects: bool,
    delegated: Mutex<Delegated>,
}

/// Delegated roles by (delegator, role). The delegator is part of the key because its keys
/// are what the role was verified with: another delegator may name others.
type Delegated = HashMap<(RoleName, RoleName), Arc<Verified<Targets>>>;

impl TrustedSet {
    pub(crate) fn new(
        root: Verified<Root>,
        timestamp: Verified<TimestampMetadata>,
        snapshot: Verified<Snapshot>,
        targets: Verified<Targets>,
        started_at: Timestamp,
        limits: Limits,
    ) -> Self {
        let delegated = Mutex::default();
        let targets = Arc::new(targets);
        TrustedSet(Arc::new(Inner {
            root,
            timestamp,
            snapshot,
            targets,
            started_at,
            limits,
            takes_ended_projects: false,
            delegated,
        }))
    }

    /// The same state, in which a project's own role counts though it has expired: for the project's
    /// people, who sign the next one on what they signed last. Nobody else is to read by it: what
    /// has expired may be withheld news.
    ///
    /// What searches under either of the two verify is not shared with the other.
    pub fn dangerously_with_ended_projects(&self) -> Self {
        let Inner {
            root,
            timestamp,
            snapshot,
            targets,
            started_at,
            limits,
            ..
        } = &*self.0;
        TrustedSet(Arc::new(Inner {
            root: root.clone(),
            timestamp: timestamp.clone(),
            snapshot: snapshot.clone(),
            targets: Arc::clone(targets),
            started_at: *started_at,
            limits: *limits,
            takes_ended_projects: true,
            delegated: Mutex::default(),
        }))
    }

    /// The same index as an earlier snapshot of it has it, for whoever looks back after a break-in: both files
    /// have to be signed as `root` asks for, the newest root or an earlier one of the same chain.
    ///
    /// No timestamp says that this snapshot was ever the newest, and none can any more: somebody has to know
    /// it, by its digest or by where it was kept. [`TrustedSet::timestamp`] goes on to be that of this state. Nobody is
    /// to install by what this gives.
    ///
    /// # Errors
    ///
    /// When either is not accepted, or `targets` is not the version that the snapshot lists. That something has
    /// expired is told by when this state was begun.
    pub fn dangerously_looking_back(
        &self,
        root: Verified<Root>,
        snapshot: &[u8],
        targets: &[u8],
    ) -> Result<Self, RefreshError> {
        let Inner {
            timestamp,
            started_at,
            limits,
            ..
        } = &*self.0;
        let role = RoleName::snapshot();
        check_len(snapshot, limits.snapshot_length).map_err(refused(role.clone()))?;
        let opened = verify(snapshot, &root.keys, &root.roles.snapshot);
        let opened = opened.map_err(RoleError::from);
        let snapshot: Verified<Snapshot> = opened.map_err(refused(role.clone()))?;
        check_expiry(&*snapshot, *started_at).map_err(refused(role))?;
        let role = RoleName::targets();
        let Some(meta) = snapshot.role(&role) else {
            return Err(RefreshError::NotInSnapshot { role });
        };
        let expected = Expected {
            meta,
            limit: limits.targets_length,
            keys: &root.keys,
            role_keys: &root.roles.targets,
        };
        let opened = expected
            .open(targets)
            .and_then(|opened: Verified<Targets>| {
                check_stated_role(&opened, &role)?;
                check_expiry(&*opened, *started_at)?;
                Ok(opened)
            });
        let targets = opened.map_err(refused(role))?;
        Ok(Self::new(
            root,
            timestamp.clone(),
            snapshot,
            targets,
            *started_at,
            *limits,
        ))
    }

    /// Whether this role counts though it has expired.
    pub(crate) fn takes_ended(&self, role: &RoleName) -> bool {
        self.0.takes_ended_projects && role.is_of_project()
    }

    /// The latest root.
    pub fn root(&self) -> &Verified<Root> {
        &self.0.root
    }

    /// The latest timestamp.
    pub fn timestamp(&self) -> &Verified<TimestampMetadata> {
        &self.0.timestamp
    }

    /// The snapshot that the timestamp names.
    pub fn snapshot(&self) -> &Verified<Snapshot> {
        &self.0.snapshot
    }

    /// The top-level targets that the snapshot names.
    pub fn targets(&self) -> &Verified<Targets> {
        &self.0.targets
    }

    /// The start of the refresh, which all expiry is measured against.
    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    /// Begins the search for `path` (TUF §5.6.7).
    pub fn lookup(&self, path: &TargetPath) -> Lookup {
        Lookup::new(self.clone(), path.clone())
    }

    /// Begins a walk through all delegated roles, at the top-level targets.
    pub fn walk(&self) -> (Walk, Visited) {
        Walk::begin(self.clone())
    }

    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    pub(crate) fn shared_targets(&self) -> Arc<Verified<Targets>> {
        Arc::clone(&self.0.targets)
    }

    pub(crate) fn delegated(
        &self,
        delegator: &RoleName,
        role: &RoleName,
    ) -> Option<Arc<Verified<Targets>>> {
        let delegated = self
            .0
            .delegated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        delegated.get(&(delegator.clone(), role.clone())).cloned()
    }

    pub(crate) fn remember(
        &self,
        delegator: RoleName,
        role: RoleName,
        targets: Arc<Verified<Targets>>,
    ) {
        let mut delegated = self
            .0
            .delegated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        delegated.insert((delegator, role), targets);
    }
}

/// The name of a role's file: with its version, or without in a repository that has no
/// consistent snapshots (TUF §6.1).
pub(crate) fn file_name(root: &Root, role: &RoleName, version: u64) -> String {
    if root.consistent_snapshot {
        role.versioned_file_name(version)
    } else {
        role.file_name()
    }
}
