//! The walk through all delegated roles: what a copy, or a check of one, has to know.
//!
//! ```text
//!  TrustedSet ─▶ Walk ──next──▶ Awaited ──open(bytes)──▶ Visited ──enter──▶ Walk
//!                  many at once   │                         │
//!                                 ▼                         ▼
//!                           fetched anywhere          its targets, as far as the
//!                                                     delegations cover them
//! ```
//!
//! Where [`crate::Lookup`] goes to the few roles that may know of one path, this goes to all of
//! them, with the same checks: the delegator's keys, the version in the snapshot, the stated
//! name, the expiry. A role that is delegated to and not listed in the snapshot is an error
//! here as well: whoever walks wants to know that nothing is hidden.
//!
//! A role is visited once for each way that leads to it, since the way decides which paths it
//! is trusted with. In an index's tree of roles there is one way to each.
//!
//! What was visited is not kept. The memory of a walk is that of the delegations that it has
//! not exhausted and of those that end a search.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::fresh::RoleError;
use crate::lookup::{RoleFetch, open_delegated, open_though_expired, role_fetch};
use crate::model::{DelegatedRoles, MetaFile, TargetInfo, Targets, folder_of};
use crate::name::{RoleName, TargetPath};
use crate::trusted::TrustedSet;
use crate::verify::Verified;

/// Why a walk cannot be completed.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The file of a role was not accepted.
    #[error("{role}, to which {delegator} delegates, is refused")]
    Refused {
        /// Whose keys it was checked with.
        delegator: RoleName,
        /// Whose file it is.
        role: RoleName,
        /// Why.
        #[source]
        reason: RoleError,
    },
    /// The snapshot does not list a role that is delegated to.
    #[error("{delegator} delegates to {role}, which the snapshot does not list")]
    NotInSnapshot {
        /// Who delegates.
        delegator: RoleName,
        /// To whom.
        role: RoleName,
    },
    /// A role is delegated to over more steps than a search would take.
    #[error("{role} is delegated to over more than {limit} steps")]
    TooDeep {
        /// The role.
        role: RoleName,
        /// How many steps are taken.
        limit: usize,
    },
    /// There are more roles than one walk visits.
    #[error("more than {limit} roles are delegated to")]
    TooManyRoles {
        /// How many one walk visits.
        limit: usize,
    },
}

/// A walk under way.
#[derive(Debug)]
pub struct Walk {
    set: TrustedSet,
    /// The delegations that are not exhausted; the next one last.
    open: Vec<Cursor>,
    handed_out: usize,
    outstanding: usize,
    barriers: Barriers,
}

/// How far the delegations of one role were followed.
#[derive(Debug)]
struct Cursor {
    origin: Arc<Origin>,
    next: u64,
}

/// A role that delegates, and how the walk came to it.
#[derive(Debug)]
struct Origin {
    role: RoleName,
    targets: Arc<Verified<Targets>>,
    /// The delegation that led to it; none for the top-level targets.
    from: Option<Delegation>,
}

impl Origin {
    /// This role and those that led to it, the top-level targets last.
    fn chain(&self) -> impl Iterator<Item = &RoleName> {
        std::iter::successors(Some(self), |origin| Some(&*origin.from.as_ref()?.origin))
            .map(|origin| &origin.role)
    }
}

/// One delegation: the so-manieth of a role.
#[derive(Debug, Clone)]
struct Delegation {
    origin: Arc<Origin>,
    number: u64,
}

/// A terminating delegation: a search for a path that it covers goes to nothing behind it.
#[derive(Debug)]
struct Barrier {
    order: Vec<u64>,
    delegation: Delegation,
}

/// The first two segments of paths.
type Folder = (Box<str>, Box<str>);

/// All of them, so that those are found that may cover a path: there is one for each claimed project,
/// and every target is asked about.
#[derive(Debug, Default)]
struct Barriers {
    /// Those whose paths all begin with one of some pairs of segments, by each of these.
    of_folders: HashMap<Folder, Vec<Arc<Barrier>>>,
    others: Vec<Arc<Barrier>>,
}

impl Barriers {
    fn add(&mut self, barrier: Barrier) {
        let barrier = Arc::new(barrier);
        let Some(folders) = barrier.delegation.folders() else {
            self.others.push(barrier);
            return;
        };
        for folder in folders {
            let known = self.of_folders.entry(folder).or_default();
            known.push(Arc::clone(&barrier));
        }
    }

    /// Those that may cover `path`: none of the rest does.
    fn near(&self, path: &TargetPath) -> impl Iterator<Item = &Barrier> {
        let folder = folder_of(path.as_str());
        let folder: Option<Folder> = folder.map(|(first, second)| (first.into(), second.into()));
        let known = folder.and_then(|folder| self.of_folders.get(&folder));
        let known = known.into_iter().flatten();
        known.chain(&self.others).map(|barrier| &**barrier)
    }
}

impl Delegation {
    /// Whether this delegation and all that lead to it cover `path`.
    fn covers(&self, path: &TargetPath) -> bool {
        let delegations = self.origin.targets.delegations.as_ref();
        let here = delegations.is_some_and(|delegations| match &delegations.roles {
            DelegatedRoles::Listed(roles) => usize::try_from(self.number)
                .ok()
                .and_then(|number| roles.get(number))
                .is_some_and(|role| role.paths.contains(path)),
            DelegatedRoles::Succinct(bins) => u64::from(bins.index_for(path)) == self.number,
        });
        here && self
            .origin
            .from
            .as_ref()
            .is_none_or(|from| from.covers(path))
    }

    /// The folders that every path of this delegation lies in, where its patterns say so.
    fn folders(&self) -> Option<Vec<Folder>> {
        let below = self.origin.targets.delegations.as_ref()?;
        let DelegatedRoles::Listed(roles) = &below.roles else {
            return None;
        };
        let role = roles.get(usize::try_from(self.number).ok()?)?;
        let folders = role.paths.folders()?.into_iter();
        Some(
            folders
                .map(|(first, second)| (first.into(), second.into()))
                .collect(),
        )
    }

    /// The numbers of all delegations down to this one: smaller is searched earlier.
    fn order(&self) -> Vec<u64> {
        let mut order = match &self.origin.from {
            Some(from) => from.order(),
            None => Vec::new(),
        };
        order.push(self.number);
        order
    }
}

/// A role that the walk came to, and whose file is needed.
#[derive(Debug, Clone)]
pub struct Awaited {
    set: TrustedSet,
    delegation: Delegation,
    meta: MetaFile,
    fetch: RoleFetch,
}

impl Awaited {
    /// What to fetch.
    pub fn fetch(&self) -> &RoleFetch {
        &self.fetch
    }

    /// Verifies the role's file, wherever it comes from. Another copy of it may be tried after
    /// one that was refused.
    ///
    /// # Errors
    ///
    /// [`WalkError::Refused`] when it is not accepted.
    pub fn open(&self, bytes: &[u8]) -> Result<Visited, WalkError> {
        let delegating = &self.delegation.origin.targets;
        let role = &self.fetch.role;
        self.visited(open_delegated(
            &self.set, delegating, role, &self.meta, bytes,
        ))
    }

    /// Verifies the role's file for a copy, where a project's own role may have expired.
    ///
    /// Its people renew it, and nobody else can. A reader that comes to it refuses that project; a
    /// copy that refused it, too, would withhold everything else. Every other check is as in
    /// [`Awaited::open`], and so is this one for the roles that the index itself signs. Whether
    /// it has expired, [`Visited::ended`] says.
    ///
    /// # Errors
    ///
    /// [`WalkError::Refused`] when it is not accepted.
    pub fn open_for_copy(&self, bytes: &[u8]) -> Result<Visited, WalkError> {
        let role = &self.fetch.role;
        if !role.is_of_project() {
            return self.open(bytes);
        }
        let delegating = &self.delegation.origin.targets;
        self.visited(open_though_expired(
            &self.set, delegating, role, &self.meta, bytes,
        ))
    }

    fn visited(&self, opened: Result<Verified<Targets>, RoleError>) -> Result<Visited, WalkError> {
        let RoleFetch {
            delegator, role, ..
        } = &self.fetch;
        let targets = opened.map_err(|reason| WalkError::Refused {
            delegator: delegator.clone(),
            role: role.clone(),
            reason,
        })?;
        let expires = targets.expires;
        Ok(Visited {
            role: role.clone(),
            targets: Arc::new(targets),
            from: Some(self.delegation.clone()),
            ended: (expires <= self.set.started_at()).then_some(expires),
        })
    }
}

/// A role whose metadata was verified.
#[derive(Debug, Clone)]
pub struct Visited {
    role: RoleName,
    targets: Arc<Verified<Targets>>,
    from: Option<Delegation>,
    ended: Option<Timestamp>,
}

impl Visited {
    /// The role.
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// Who delegates to it; none for the top-level targets.
    pub fn delegator(&self) -> Option<&RoleName> {
        Some(&self.from.as_ref()?.origin.role)
    }

    /// Its metadata. Not everything that it lists counts: see [`Visited::listed`].
    pub fn metadata(&self) -> &Verified<Targets> {
        &self.targets
    }

    /// Since when readers refuse it, because it has expired: of a project's own role that was
    /// [opened for a copy](Awaited::open_for_copy) alone.
    pub fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    /// The targets that it lists and that its delegations cover. What it lists beside them is
    /// nothing to anybody (TUF §5.6.7: no search for such a path comes here).
    pub fn listed(&self) -> impl Iterator<Item = (&TargetPath, &TargetInfo)> {
        let listed = self.targets.targets.iter();
        listed.filter(|(path, _)| self.covers(path))
    }

    /// Whether the delegations that led here cover `path`.
    pub fn covers(&self, path: &TargetPath) -> bool {
        self.from.as_ref().is_none_or(|from| from.covers(path))
    }

    /// Where the role stands in the order of a search: of two that list a path, the one with
    /// the smaller order answers for it.
    pub fn order(&self) -> Vec<u64> {
        self.from
            .as_ref()
            .map(Delegation::order)
            .unwrap_or_default()
    }
}

impl Walk {
    pub(crate) fn new(set: TrustedSet) -> Self {
        Walk {
            set,
            open: Vec::new(),
            handed_out: 0,
            outstanding: 0,
            barriers: Barriers::default(),
        }
    }

    /// Begins: the top-level targets are visited without being fetched. They are to be
    /// [entered](Walk::enter) like every other role.
    pub(crate) fn begin(set: TrustedSet) -> (Self, Visited) {
        let top = Visited {
            role: RoleName::targets(),
            targets: set.shared_targets(),
            from: None,
            ended: None,
        };
        let mut walk = Walk::new(set);
        walk.outstanding = 1;
        (walk, top)
    }

    /// The next role whose file is needed. `None` where there is none as yet: roles that were
    /// handed out and not entered may lead to more, and [`Walk::is_complete`] says whether
    /// there are any such.
    ///
    /// # Errors
    ///
    /// When a role is delegated to that the snapshot does not list, or there are too many, or
    /// they lead too deep.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` is no end: entering a role may lead to more"
    )]
    pub fn next(&mut self) -> Result<Option<Awaited>, WalkError> {
        while let Some(cursor) = self.open.last_mut() {
            let origin = Arc::clone(&cursor.origin);
            let number = cursor.next;
            let Some(role) = delegated(&origin.targets, number) else {
                self.open.pop();
                continue;
            };
            cursor.next += 1;
            // A search does not come to a role twice, so a circle leads to nothing new.
            if origin.chain().any(|before| *before == role) {
                continue;
            }
            let limits = self.set.limits();
            // This also bounds how far `covers` and dropping a chain recurse.
            if origin.chain().count() > limits.delegations {
                let limit = limits.delegations;
                return Err(WalkError::TooDeep { role, limit });
            }
            self.handed_out += 1;
            if self.handed_out > limits.walked_roles {
                let limit = limits.walked_roles;
                return Err(WalkError::TooManyRoles { limit });
            }
            let Some(meta) = self.set.snapshot().role(&role) else {
                let delegator = origin.role.clone();
                return Err(WalkError::NotInSnapshot { delegator, role });
            };
            self.outstanding += 1;
            return Ok(Some(Awaited {
                fetch: role_fetch(&self.set, &origin.role, &role, meta),
                meta: meta.clone(),
                set: self.set.clone(),
                delegation: Delegation { origin, number },
            }));
        }
        Ok(None)
    }

    /// Goes on to the roles that a visited one delegates to.
    pub fn enter(&mut self, visited: &Visited) {
        self.outstanding = self.outstanding.saturating_sub(1);
        let Some(delegations) = &visited.targets.delegations else {
            return;
        };
        let origin = Arc::new(Origin {
            role: visited.role.clone(),
            targets: Arc::clone(&visited.targets),
            from: visited.from.clone(),
        });
        if let DelegatedRoles::Listed(roles) = &delegations.roles {
            let terminating = (0..).zip(roles).filter(|(_, role)| role.terminating);
            for (number, _) in terminating {
                let delegation = Delegation {
                    origin: Arc::clone(&origin),
                    number,
                };
                let order = delegation.order();
                self.barriers.add(Barrier { order, delegation });
            }
        }
        self.open.push(Cursor { origin, next: 0 });
    }

    /// Goes by a role that was handed out: the caller knows from elsewhere that it is as it
    /// was when its metadata was last verified, and that it delegates to nobody.
    pub fn pass_by(&mut self, awaited: Awaited) {
        drop(awaited);
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Whether every role was visited.
    pub fn is_complete(&self) -> bool {
        self.outstanding == 0 && self.open.is_empty()
    }

    /// Whether a search for `path` comes to this role, unless one before it lists the path:
    /// its delegations cover it, and no terminating delegation before them does (TUF
    /// §5.6.7.2). The answer is final once the walk is complete.
    pub fn reaches(&self, visited: &Visited, path: &TargetPath) -> bool {
        visited.covers(path) && self.reaches_at(&visited.order(), path)
    }

    /// The same for a role of this [order](Visited::order) whose delegations cover `path`, for
    /// whoever did not keep the role.
    pub fn reaches_at(&self, order: &[u64], path: &TargetPath) -> bool {
        let stops = |barrier: &Barrier| {
            barrier.order.as_slice() < order
                && !order.starts_with(&barrier.order)
                && barrier.delegation.covers(path)
        };
        !self.barriers.near(path).any(stops)
    }
}

/// The so-manieth role that a role delegates to.
fn delegated(targets: &Targets, number: u64) -> Option<RoleName> {
    match &targets.delegations.as_ref()?.roles {
        DelegatedRoles::Listed(roles) => {
            let number = usize::try_from(number).ok()?;
            Some(roles.get(number)?.name.clone())
        }
        DelegatedRoles::Succinct(bins) => (number < bins.count()).then(|| bins.bin(number)),
    }
}
