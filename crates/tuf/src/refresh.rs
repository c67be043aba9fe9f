//! The client workflow for the top-level roles, as a state machine without IO.
//!
//! ```text
//!  Root ──(absent)──▶ Timestamp ──▶ Snapshot ──▶ Targets ──▶ TrustedSet
//!  ▲  │                              └─ skipped where the cached one still holds ─┘
//!  └──┘ one version at a time
//! ```
//!
//! The driver asks [`Refresh::need`], fetches, hands the answer to [`Refresh::supply`] and
//! applies the [`Effect`]s, until nothing is needed. A step either advances the machine or
//! ends the refresh with an error that leaves the cache as it was, so that a later refresh
//! begins from there (TUF §5).

use jiff::Timestamp;

use crate::floor::{Floor, Standing};
use crate::fresh::{
    CacheName, Effect, Expected, Fetch, RoleError, check_expiry, check_len, max_len,
};
use crate::limits::Limits;
use crate::model::{RoleKeys, Root, Snapshot, Targets, TimestampMetadata};
use crate::name::RoleName;
use crate::sha256::Sha256;
use crate::shown::Shown;
use crate::trusted::TrustedSet;
use crate::verify::{Verified, verify, verify_next_root, verify_trusted_root};

/// What the client kept of the last refresh; any of it may be missing, old or damaged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cached {
    /// The file kept as [`CacheName::Timestamp`].
    pub timestamp: Option<Vec<u8>>,
    /// The file kept as [`CacheName::Snapshot`].
    pub snapshot: Option<Vec<u8>>,
    /// The file kept as [`CacheName::Targets`].
    pub targets: Option<Vec<u8>>,
    /// What was handed over with the trust: states older than these are rollbacks.
    pub floors: Vec<Floor>,
}

/// Why a refresh ended without a trusted set.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// A file was not accepted.
    #[error("{role} is refused")]
    Refused {
        /// Whose file it is.
        role: RoleName,
        /// Why.
        #[source]
        reason: RoleError,
    },
    /// An older version than the one that is already trusted is offered.
    #[error("{} goes back from version {trusted} to {offered}", Shown(.role))]
    Rollback {
        /// Which role would go back; for a role that snapshot lists, its name there.
        role: String,
        /// The version that is trusted.
        trusted: u64,
        /// The version that is offered.
        offered: u64,
    },
    /// The chain does not pass through a root that was handed over.
    #[error("root version {version} is another one than was handed over: {found}, not {expected}")]
    OtherRoot {
        /// The version of both.
        version: u64,
        /// The fingerprint of the root that was handed over.
        expected: Sha256,
        /// The fingerprint of the root of the chain.
        found: Sha256,
    },
    /// A role that the trusted snapshot lists is gone from the new one (TUF §5.5.5).
    #[error("{} has vanished from the snapshot", Shown(.role))]
    Vanished {
        /// The role's name in the snapshot.
        role: String,
    },
    /// A file that must be there is not.
    #[error("{role} is missing from the repository")]
    Absent {
        /// Whose file it is.
        role: RoleName,
        /// The path that was asked for.
        path: String,
    },
    /// The snapshot does not list the top-level targets.
    #[error("the snapshot does not list {role}")]
    NotInSnapshot {
        /// Which role is not listed.
        role: RoleName,
    },
    /// There are more new roots than one refresh follows. Those that were followed are
    /// kept, and the next refresh goes on behind them.
    #[error("more than {limit} new versions of root")]
    TooManyRoots {
        /// How many one refresh follows.
        limit: u32,
    },
    /// The caller asked for the result while a file was still needed, or supplied one that
    /// was not.
    #[error("the refresh was driven out of turn")]
    OutOfTurn,
}

pub(crate) fn refused(role: RoleName) -> impl FnOnce(RoleError) -> RefreshError {
    move |reason| RefreshError::Refused { role, reason }
}

/// A refresh under way. A copy of it may be given another source's answer.
#[derive(Debug, Clone)]
pub struct Refresh {
    root: Verified<Root>,
    cached: Cached,
    floors: Vec<Standing>,
    started_at: Timestamp,
    limits: Limits,
    stage: Stage,
    need: Option<Fetch>,
}

/// What is being fetched, and what has been accepted so far.
#[derive(Debug, Clone)]
enum Stage {
    Root {
        followed: u32,
    },
    Timestamp {
        floor: Option<Verified<TimestampMetadata>>,
    },
    Snapshot {
        timestamp: Verified<TimestampMetadata>,
        floor: Option<Verified<Snapshot>>,
    },
    Targets {
        timestamp: Verified<TimestampMetadata>,
        snapshot: Verified<Snapshot>,
    },
    Done(TrustedSet),
}

impl Refresh {
    /// Begins a refresh with a trusted root.
    ///
    /// `root` is trusted because of where it comes from; only its own signatures are
    /// checked, and its expiry does not matter (TUF §5.2). `started_at` is the time that
    /// every expiry of this refresh, and of the lookups after it, is measured against
    /// (TUF §5.1).
    ///
    /// # Errors
    ///
    /// When `root` is malformed or not signed by its own threshold.
    pub fn new(
        root: &[u8],
        mut cached: Cached,
        started_at: Timestamp,
        limits: Limits,
    ) -> Result<Refresh, RefreshError> {
        let bytes = root;
        let root = verify_trusted_root(bytes)
            .map_err(RoleError::from)
            .map_err(refused(RoleName::root()))?;
        let floors = std::mem::take(&mut cached.floors).into_iter();
        let floors: Vec<Standing> = floors.map(Standing::new).collect::<Result<_, _>>()?;
        for floor in &floors {
            floor.check_root(root.version, bytes)?;
        }
        let need = Some(next_root(&root, limits));
        Ok(Refresh {
            root,
            cached,
            floors,
            started_at,
            limits,
            stage: Stage::Root { followed: 0 },
            need,
        })
    }

    /// The file to fetch next; `None` when the refresh is complete.
    pub fn need(&self) -> Option<&Fetch> {
        self.need.as_ref()
    }

    /// Whose file [`Refresh::need`] asks for.
    pub fn sought(&self) -> Option<RoleName> {
        match self.stage {
            Stage::Root { .. } => Some(RoleName::root()),
            Stage::Timestamp { .. } => Some(RoleName::timestamp()),
            Stage::Snapshot { .. } => Some(RoleName::snapshot()),
            Stage::Targets { .. } => Some(RoleName::targets()),
            Stage::Done(_) => None,
        }
    }

    /// The timestamp that this refresh goes by, once one was accepted.
    pub fn timestamp(&self) -> Option<&TimestampMetadata> {
        match &self.stage {
            Stage::Root { .. } | Stage::Timestamp { .. } => None,
            Stage::Snapshot { timestamp, .. } | Stage::Targets { timestamp, .. } => Some(timestamp),
            Stage::Done(set) => Some(set.timestamp()),
        }
    }

    /// Goes on with the timestamp that is trusted already, as if a source had offered just
    /// that version: for a client of several sources, all of which are behind it.
    ///
    /// # Errors
    ///
    /// When it has expired, when there is none, and when no timestamp is needed.
    pub fn keep_timestamp(self) -> Result<Refresh, RefreshError> {
        let Refresh {
            root,
            cached,
            floors,
            started_at,
            limits,
            stage,
            ..
        } = self;
        let Stage::Timestamp { floor: Some(floor) } = stage else {
            return Err(RefreshError::OutOfTurn);
        };
        check_expiry(&*floor, started_at).map_err(refused(RoleName::timestamp()))?;
        let step = Step {
            root,
            cached,
            floors,
            started_at,
            limits,
        };
        step.seek_snapshot(floor)
    }

    /// Takes in the answer to [`Refresh::need`]: the bytes, or `None` where the server has
    /// no such file (404 or 403). Gives back the machine, one step on, and what is to be
    /// done to the cache.
    ///
    /// # Errors
    ///
    /// When the answer is not accepted. The refresh is over then, and the cache untouched
    /// by this step.
    pub fn supply(self, answer: Option<Vec<u8>>) -> Result<(Refresh, Vec<Effect>), RefreshError> {
        let Refresh {
            root,
            cached,
            floors,
            started_at,
            limits,
            stage,
            need,
        } = self;
        let Some(fetch) = need else {
            return Err(RefreshError::OutOfTurn);
        };
        let step = Step {
            root,
            cached,
            floors,
            started_at,
            limits,
        };
        match (stage, answer) {
            (Stage::Root { followed }, Some(bytes)) => step.follow_root(followed, bytes),
            (Stage::Root { .. }, None) => step.settle_root().map(without_effects),
            (Stage::Timestamp { floor }, Some(bytes)) => step.accept_timestamp(floor, bytes),
            (Stage::Snapshot { timestamp, floor }, Some(bytes)) => {
                step.accept_snapshot(timestamp, floor, bytes)
            }
            (
                Stage::Targets {
                    timestamp,
                    snapshot,
                },
                Some(bytes),
            ) => step.accept_targets(timestamp, snapshot, bytes),
            (Stage::Timestamp { .. }, None) => Err(absent(RoleName::timestamp(), fetch)),
            (Stage::Snapshot { .. }, None) => Err(absent(RoleName::snapshot(), fetch)),
            (Stage::Targets { .. }, None) => Err(absent(RoleName::targets(), fetch)),
            (Stage::Done(_), _) => Err(RefreshError::OutOfTurn),
        }
    }

    /// The trusted set, once nothing more is needed.
    ///
    /// # Errors
    ///
    /// When a file is still needed.
    pub fn finish(self) -> Result<TrustedSet, RefreshError> {
        match self.stage {
            Stage::Done(set) => Ok(set),
            _ => Err(RefreshError::OutOfTurn),
        }
    }
}

fn absent(role: RoleName, fetch: Fetch) -> RefreshError {
    RefreshError::Absent {
        role,
        path: fetch.path,
    }
}

fn without_effects(refresh: Refresh) -> (Refresh, Vec<Effect>) {
    (refresh, Vec::new())
}

fn persist(file: CacheName, bytes: Vec<u8>) -> Vec<Effect> {
    vec![Effect::Persist { file, bytes }]
}

fn next_root(root: &Root, limits: Limits) -> Fetch {
    let path = RoleName::root().versioned_file_name(root.version.saturating_add(1));
    Fetch {
        path,
        max_len: limits.root_length,
    }
}

/// Whether other keys speak for a role now (TUF §5.3.11).
pub(crate) fn rotated(old: &RoleKeys, new: &RoleKeys) -> bool {
    old.keyids.len() != new.keyids.len() || old.keyids.iter().any(|id| !new.keyids.contains(id))
}

/// A refresh between two stages.
struct Step {
    root: Verified<Root>,
    cached: Cached,
    floors: Vec<Standing>,
    started_at: Timestamp,
    limits: Limits,
}

impl Step {
    fn at(self, stage: Stage, need: Option<Fetch>) -> Refresh {
        let Step {
            root,
            cached,
            floors,
            started_at,
            limits,
        } = self;
        Refresh {
            root,
            cached,
            floors,
            started_at,
            limits,
            stage,
            need,
        }
    }

    fn complete(
        self,
        timestamp: Verified<TimestampMetadata>,
        snapshot: Verified<Snapshot>,
        targets: Verified<Targets>,
    ) -> Refresh {
        let root = self.root.clone();
        let set = TrustedSet::new(
            root,
            timestamp,
            snapshot,
            targets,
            self.started_at,
            self.limits,
        );
        self.at(Stage::Done(set), None)
    }

    /// The name of a role's file: with its version, or without in a repository that has no
    /// consistent snapshots (TUF §6.1).
    fn file_name(&self, role: &RoleName, version: u64) -> String {
        crate::trusted::file_name(&self.root, role, version)
    }

    /// TUF §5.3.3–5.3.8: one more root.
    fn follow_root(
        mut self,
        followed: u32,
        bytes: Vec<u8>,
    ) -> Result<(Refresh, Vec<Effect>), RefreshError> {
        if followed >= self.limits.root_rotations {
            return Err(RefreshError::TooManyRoots {
                limit: self.limits.root_rotations,
            });
        }
        let expected = self.root.version.saturating_add(1);
        let accept = || {
            check_len(&bytes, self.limits.root_length)?;
            let next = verify_next_root(&self.root, &bytes)?;
            if next.version != expected {
                return Err(RoleError::Version {
                    expected,
                    found: next.version,
                });
            }
            Ok(next)
        };
        let next = accept().map_err(refused(RoleName::root()))?;
        for floor in &self.floors {
            floor.check_root(next.version, &bytes)?;
        }

        // TUF §5.3.11 forgets after the last root. We do it together with the root that
        // rotated the keys: were a later step to fail, nobody could tell any more that the
        // cached files are from before. The other order, root first, could be cut in two.
        let mut effects = Vec::new();
        let (old, new) = (&self.root.roles, &next.roles);
        if rotated(&old.timestamp, &new.timestamp) || rotated(&old.snapshot, &new.snapshot) {
            self.cached.timestamp = None;
            self.cached.snapshot = None;
            effects.push(Effect::Forget {
                file: CacheName::Timestamp,
            });
            effects.push(Effect::Forget {
                file: CacheName::Snapshot,
            });
        }
        effects.push(Effect::Persist {
            file: CacheName::Root,
            bytes,
        });

        self.root = next;
        let need = next_root(&self.root, self.limits);
        Ok((
            self.at(
                Stage::Root {
                    followed: followed + 1,
                },
                Some(need),
            ),
            effects,
        ))
    }

    /// TUF §5.3.9–5.3.11: there is no newer root; this one must not have expired.
    fn settle_root(mut self) -> Result<Refresh, RefreshError> {
        check_expiry(&*self.root, self.started_at).map_err(refused(RoleName::root()))?;
        for floor in &self.floors {
            floor.check_last_root(&self.root)?;
        }
        self.floors.retain(|floor| floor.counts_under(&self.root));
        let floor = self
            .cached
            .timestamp
            .take()
            .and_then(|bytes| verify(&bytes, &self.root.keys, &self.root.roles.timestamp).ok())
            // What was seen before the floor was handed over.
            .filter(|cached| self.check_floors(cached).is_ok());
        let need = Fetch {
            path: "timestamp.json".to_owned(),
            max_len: self.limits.timestamp_length,
        };
        Ok(self.at(Stage::Timestamp { floor }, Some(need)))
    }

    /// TUF §5.4.2–5.4.5. The floor may have expired: it bars older versions all the same.
    fn accept_timestamp(
        self,
        floor: Option<Verified<TimestampMetadata>>,
        bytes: Vec<u8>,
    ) -> Result<(Refresh, Vec<Effect>), RefreshError> {
        let accept = || {
            check_len(&bytes, self.limits.timestamp_length)?;
            Ok(verify(&bytes, &self.root.keys, &self.root.roles.timestamp)?)
        };
        let offered: Verified<TimestampMetadata> =
            accept().map_err(refused(RoleName::timestamp()))?;
        self.check_floors(&offered)?;

        let (timestamp, effects) = match floor {
            // Equal is "nothing new": the one we have stays, whatever this one says.
            Some(floor) if offered.version == floor.version => (floor, Vec::new()),
            floor => {
                if let Some(floor) = floor {
                    check_no_rollback("timestamp", floor.version, offered.version)?;
                    let (trusted, offered) = (floor.snapshot.version, offered.snapshot.version);
                    check_no_rollback("snapshot.json", trusted, offered)?;
                }
                (offered, persist(CacheName::Timestamp, bytes))
            }
        };
        check_expiry(&*timestamp, self.started_at).map_err(refused(RoleName::timestamp()))?;
        Ok((self.seek_snapshot(timestamp)?, effects))
    }

    fn check_floors(&self, timestamp: &TimestampMetadata) -> Result<(), RefreshError> {
        let (version, snapshot) = (timestamp.version, timestamp.snapshot.version);
        let mut floors = self.floors.iter();
        floors.try_for_each(|floor| floor.check_timestamp(version, snapshot))
    }

    /// What the timestamp and root say of the snapshot.
    fn expected_snapshot<'a>(&'a self, timestamp: &'a TimestampMetadata) -> Expected<'a> {
        Expected {
            meta: &timestamp.snapshot,
            limit: self.limits.snapshot_length,
            keys: &self.root.keys,
            role_keys: &self.root.roles.snapshot,
        }
    }

    /// Goes on with the cached snapshot where it is the one that is wanted (TUF §5.5.1);
    /// otherwise it is the floor for the one to fetch.
    fn seek_snapshot(
        mut self,
        timestamp: Verified<TimestampMetadata>,
    ) -> Result<Refresh, RefreshError> {
        let cached = self.cached.snapshot.take();
        let wanted = cached.as_deref().and_then(|bytes| {
            let snapshot: Verified<Snapshot> =
                self.expected_snapshot(&timestamp).open(bytes).ok()?;
            check_expiry(&*snapshot, self.started_at).ok()?;
            let mut floors = self.floors.iter();
            floors
                .try_for_each(|floor| floor.check_snapshot(&snapshot))
                .ok()?;
            Some(snapshot)
        });
        if let Some(snapshot) = wanted {
            return self.seek_targets(timestamp, snapshot);
        }
        let floor = cached
            .and_then(|bytes| verify(&bytes, &self.root.keys, &self.root.roles.snapshot).ok());
        let meta = &timestamp.snapshot;
        let need = Fetch {
            path: self.file_name(&RoleName::snapshot(), meta.version),
            max_len: max_len(meta, self.limits.snapshot_length),
        };
        Ok(self.at(Stage::Snapshot { timestamp, floor }, Some(need)))
    }

    /// TUF §5.5.2–5.5.7.
    fn accept_snapshot(
        self,
        timestamp: Verified<TimestampMetadata>,
        floor: Option<Verified<Snapshot>>,
        bytes: Vec<u8>,
    ) -> Result<(Refresh, Vec<Effect>), RefreshError> {
        let snapshot: Verified<Snapshot> = self
            .expected_snapshot(&timestamp)
            .open(&bytes)
            .map_err(refused(RoleName::snapshot()))?;
        for floor in &self.floors {
            floor.check_snapshot(&snapshot)?;
        }
        if let Some(floor) = floor {
            check_no_rollback("snapshot", floor.version, snapshot.version)?;
            for (role, trusted) in &floor.meta {
                match snapshot.meta.get(role) {
                    None => return Err(RefreshError::Vanished { role: role.clone() }),
                    Some(offered) => check_no_rollback(role, trusted.version, offered.version)?,
                }
            }
        }
        check_expiry(&*snapshot, self.started_at).map_err(refused(RoleName::snapshot()))?;
        let refresh = self.seek_targets(timestamp, snapshot)?;
        Ok((refresh, persist(CacheName::Snapshot, bytes)))
    }

    /// Goes on with the cached top-level targets where they are the ones that are wanted.
    fn seek_targets(
        mut self,
        timestamp: Verified<TimestampMetadata>,
        snapshot: Verified<Snapshot>,
    ) -> Result<Refresh, RefreshError> {
        let cached = self.cached.targets.take();
        let wanted = cached.and_then(|bytes| self.open_targets(&snapshot, &bytes).ok());
        if let Some(targets) = wanted {
            return Ok(self.complete(timestamp, snapshot, targets));
        }
        let role = RoleName::targets();
        let Some(meta) = snapshot.role(&role) else {
            return Err(RefreshError::NotInSnapshot { role });
        };
        let need = Fetch {
            path: self.file_name(&role, meta.version),
            max_len: max_len(meta, self.limits.targets_length),
        };
        Ok(self.at(
            Stage::Targets {
                timestamp,
                snapshot,
            },
            Some(need),
        ))
    }

    fn open_targets(
        &self,
        snapshot: &Snapshot,
        bytes: &[u8],
    ) -> Result<Verified<Targets>, RefreshError> {
        let role = RoleName::targets();
        let Some(meta) = snapshot.role(&role) else {
            return Err(RefreshError::NotInSnapshot { role });
        };
        let expected = Expected {
            meta,
            limit: self.limits.targets_length,
            keys: &self.root.keys,
            role_keys: &self.root.roles.targets,
        };
        let targets: Verified<Targets> =
            expected.open(bytes).map_err(refused(RoleName::targets()))?;
        check_expiry(&*targets, self.started_at).map_err(refused(RoleName::targets()))?;
        Ok(targets)
    }

    /// TUF §5.6.2–5.6.6.
    fn accept_targets(
        self,
        timestamp: Verified<TimestampMetadata>,
        snapshot: Verified<Snapshot>,
        bytes: Vec<u8>,
    ) -> Result<(Refresh, Vec<Effect>), RefreshError> {
        let targets = self.open_targets(&snapshot, &bytes)?;
        let refresh = self.complete(timestamp, snapshot, targets);
        Ok((refresh, persist(CacheName::Targets, bytes)))
    }
}

fn check_no_rollback(role: &str, trusted: u64, offered: u64) -> Result<(), RefreshError> {
    if offered < trusted {
        return Err(RefreshError::Rollback {
            role: role.to_owned(),
            trusted,
            offered,
        });
    }
    Ok(())
}
