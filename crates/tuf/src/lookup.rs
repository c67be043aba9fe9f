//! The search for one target through the delegations (TUF §5.6.7).
//!
//! Pre-order and lazy: a role is fetched only when the search comes to it. Three rules
//! keep it honest. A role counts with the keys of the delegator that the search came
//! through. A delegation that matches and is terminating ends the *whole* search behind its
//! own subtree, on every level. And a role that is delegated to but not listed in the
//! snapshot, or whose file is not acceptable, ends the search with an error: it is never
//! taken for "not here", because that would let someone hide it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::fresh::{
    CacheName, Effect, Expected, Fetch, RoleError, check_expiry, check_stated_role, max_len,
};
use crate::model::{MetaFile, Targets};
use crate::name::{RoleName, TargetPath};
use crate::target::Target;
use crate::trusted::{TrustedSet, file_name};
use crate::verify::{Verified, VerifyError};

/// A delegated role that the search needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFetch {
    /// Who delegates; together with `role` the name in the cache.
    pub delegator: RoleName,
    /// To whom.
    pub role: RoleName,
    /// The version that the snapshot lists.
    pub version: u64,
    /// The file to fetch, unless the cache has that version.
    pub fetch: Fetch,
}

impl RoleFetch {
    /// What the file is kept as.
    pub fn cache_name(&self) -> CacheName {
        CacheName::Delegated {
            delegator: self.delegator.clone(),
            role: self.role.clone(),
        }
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The file, as the first role in the search order that lists it describes it.
    Target(Verified<Target>),
    /// No role that is trusted with the path lists it.
    Absent {
        /// The roles that were asked, in order.
        asked: Vec<RoleName>,
    },
}

/// A role that a search came to and found verified.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Who delegates to it; none for the top-level targets.
    pub delegator: Option<RoleName>,
    /// The role.
    pub role: RoleName,
    /// Its metadata.
    pub targets: Arc<Verified<Targets>>,
}

/// Why a search ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
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
    /// More roles would have to be asked than one search asks.
    #[error("the search for {path} leads through more than {limit} delegated roles")]
    TooManyDelegations {
        /// What was searched for.
        path: TargetPath,
        /// How many roles one search asks.
        limit: usize,
    },
    /// The caller asked for the result while a role was still needed, or supplied one that
    /// was not.
    #[error("the search was driven out of turn")]
    OutOfTurn,
}

/// What to ask for to get a delegated role.
pub(crate) fn role_fetch(
    set: &TrustedSet,
    delegator: &RoleName,
    role: &RoleName,
    meta: &MetaFile,
) -> RoleFetch {
    RoleFetch {
        delegator: delegator.clone(),
        role: role.clone(),
        version: meta.version,
        fetch: Fetch {
            path: file_name(set.root(), role, meta.version),
            max_len: max_len(meta, set.limits().targets_length),
        },
    }
}

/// The checks of a delegated role: as for the top-level targets, with the keys of its
/// delegator (TUF §5.6). `meta` is what the snapshot says of it.
pub(crate) fn open_delegated(
    set: &TrustedSet,
    delegator: &Targets,
    role: &RoleName,
    meta: &MetaFile,
    bytes: &[u8],
) -> Result<Verified<Targets>, RoleError> {
    let targets = open_though_expired(set, delegator, role, meta, bytes)?;
    if !set.takes_ended(role) {
        check_expiry(&*targets, set.started_at())?;
    }
    Ok(targets)
}

/// The same checks but that of the expiry: what a reader refuses, and a copy may have to hold.
pub(crate) fn open_though_expired(
    set: &TrustedSet,
    delegator: &Targets,
    role: &RoleName,
    meta: &MetaFile,
    bytes: &[u8],
) -> Result<Verified<Targets>, RoleError> {
    let delegations = delegator.delegations.as_ref();
    let Some((keys, role_keys)) = delegations.and_then(|d| Some((&d.keys, d.role_keys(role)?)))
    else {
        // Nobody could sign for it. A search or a walk comes here only by a delegation.
        let (threshold, valid) = (1, 0);
        return Err(VerifyError::Threshold { threshold, valid }.into());
    };
    let expected = Expected {
        meta,
        limit: set.limits().targets_length,
        keys,
        role_keys,
    };
    let targets = expected.open(bytes)?;
    check_stated_role(&targets, role)?;
    Ok(targets)
}

/// A search under way.
#[derive(Debug)]
pub struct Lookup {
    set: TrustedSet,
    path: TargetPath,
    /// What is still to be visited; the next one last.
    pending: Vec<Pending>,
    /// What was visited, in order; `targets` first.
    trail: Vec<Visit>,
    visited: HashSet<RoleName>,
    state: State,
}

/// A delegation that matches the path.
#[derive(Debug)]
struct Pending {
    role: RoleName,
    origin: Arc<Origin>,
}

/// Where a delegation stands. Shared by all that match there: a delegator may list
/// thousands, with as many keys.
#[derive(Debug)]
struct Origin {
    delegator: RoleName,
    targets: Arc<Verified<Targets>>,
    /// From `targets` down to the delegator.
    via: Vec<(RoleName, u64)>,
}

#[derive(Debug)]
enum State {
    Needs(Pending, MetaFile, RoleFetch),
    Found(Verified<Target>),
    Absent,
    Failed(LookupError),
}

impl Lookup {
    pub(crate) fn new(set: TrustedSet, path: TargetPath) -> Self {
        let targets = set.shared_targets();
        let mut lookup = Lookup {
            set,
            path,
            pending: Vec::new(),
            trail: Vec::new(),
            visited: HashSet::new(),
            state: State::Absent,
        };
        lookup.visit(RoleName::targets(), targets, Vec::new());
        lookup
    }

    /// What is searched for.
    pub fn path(&self) -> &TargetPath {
        &self.path
    }

    /// The roles that the search came to so far, in order: all verified, whether or not they
    /// had an answer. The first is the top-level targets.
    pub fn trail(&self) -> &[Visit] {
        &self.trail
    }

    /// The role that is needed next; `None` when the search is over.
    pub fn need(&self) -> Option<&RoleFetch> {
        match &self.state {
            State::Needs(_, _, fetch) => Some(fetch),
            _ => None,
        }
    }

    /// Takes in the file that [`Lookup::need`] asks for and goes on. Gives back what is to
    /// be done to the cache.
    ///
    /// # Errors
    ///
    /// When the file is not accepted. The search stays where it was and may be given
    /// another copy of the same file, for example from another mirror; there is no going
    /// on without it.
    pub fn supply(&mut self, bytes: Vec<u8>) -> Result<Vec<Effect>, LookupError> {
        let file = self.accept(&bytes)?;
        Ok(vec![Effect::Persist { file, bytes }])
    }

    /// Offers what the cache holds for [`Lookup::need`]. It is verified like any other
    /// file. Whether it was accepted; if not, the search stays where it was.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        self.accept(bytes).is_ok()
    }

    /// Goes on with [`Lookup::need`] if another search under the same state has verified it meanwhile, as
    /// far as that leads. Whether it did; if not, the search stays where it was.
    pub fn look_again(&mut self) -> bool {
        let State::Needs(pending, ..) = &self.state else {
            return false;
        };
        let known = self.set.delegated(&pending.origin.delegator, &pending.role);
        let Some(known) = known else { return false };
        if let State::Needs(pending, ..) = std::mem::replace(&mut self.state, State::Absent) {
            self.visit(pending.role, known, pending.origin.via.clone());
        }
        true
    }

    /// What was found.
    ///
    /// # Errors
    ///
    /// When a role is still needed, or the search came to a role that the snapshot does not
    /// list, or to more roles than one search asks.
    pub fn finish(self) -> Result<Found, LookupError> {
        match self.state {
            State::Found(target) => Ok(Found::Target(target)),
            State::Absent => Ok(Found::Absent {
                asked: self.trail.into_iter().map(|visit| visit.role).collect(),
            }),
            State::Failed(error) => Err(error),
            State::Needs(..) => Err(LookupError::OutOfTurn),
        }
    }

    fn accept(&mut self, bytes: &[u8]) -> Result<CacheName, LookupError> {
        let State::Needs(pending, meta, fetch) = &self.state else {
            return Err(LookupError::OutOfTurn);
        };
        let targets = self
            .open(pending, meta, bytes)
            .map_err(|reason| LookupError::Refused {
                delegator: pending.origin.delegator.clone(),
                role: pending.role.clone(),
                reason,
            })?;
        let (file, targets) = (fetch.cache_name(), Arc::new(targets));
        if let State::Needs(pending, ..) = std::mem::replace(&mut self.state, State::Absent) {
            self.set.remember(
                pending.origin.delegator.clone(),
                pending.role.clone(),
                Arc::clone(&targets),
            );
            self.visit(pending.role, targets, pending.origin.via.clone());
        }
        Ok(file)
    }

    fn open(
        &self,
        pending: &Pending,
        meta: &MetaFile,
        bytes: &[u8],
    ) -> Result<Verified<Targets>, RoleError> {
        open_delegated(
            &self.set,
            &pending.origin.targets,
            &pending.role,
            meta,
            bytes,
        )
    }

    /// Asks a verified role for the path, and goes on to those it delegates to.
    fn visit(
        &mut self,
        role: RoleName,
        targets: Arc<Verified<Targets>>,
        via: Vec<(RoleName, u64)>,
    ) {
        self.trail.push(Visit {
            delegator: via.last().map(|(delegator, _)| delegator.clone()),
            role: role.clone(),
            targets: Arc::clone(&targets),
        });
        if let Some(target) = targets.target(&self.path, &role, &via) {
            self.state = State::Found(target);
            return;
        }
        self.descend(role, targets, via);
        self.advance();
    }

    /// Puts the matching delegations of a role before everything else that is pending; a
    /// terminating one replaces it.
    fn descend(
        &mut self,
        role: RoleName,
        targets: Arc<Verified<Targets>>,
        mut via: Vec<(RoleName, u64)>,
    ) {
        let Some(delegations) = &targets.delegations else {
            return;
        };
        let candidates = delegations.candidates(&self.path);
        via.push((role.clone(), targets.version));
        let origin = Arc::new(Origin {
            delegator: role,
            targets,
            via,
        });
        let mut children = Vec::new();
        for candidate in candidates {
            children.push(Pending {
                role: candidate.name,
                origin: Arc::clone(&origin),
            });
            if candidate.terminating {
                self.pending.clear();
                break;
            }
        }
        self.pending.extend(children.into_iter().rev());
    }

    /// Moves on to the next role: one that is known already, or one to be fetched.
    fn advance(&mut self) {
        while let Some(pending) = self.pending.pop() {
            // Visited by name: a name has one file, and the path is the same. This also
            // ends cycles.
            if !self.visited.insert(pending.role.clone()) {
                continue;
            }
            let limit = self.set.limits().delegations;
            if self.visited.len() > limit {
                let path = self.path.clone();
                self.state = State::Failed(LookupError::TooManyDelegations { path, limit });
                return;
            }
            let Some(meta) = self.set.snapshot().role(&pending.role) else {
                let (delegator, role) = (pending.origin.delegator.clone(), pending.role);
                self.state = State::Failed(LookupError::NotInSnapshot { delegator, role });
                return;
            };
            if let Some(known) = self.set.delegated(&pending.origin.delegator, &pending.role) {
                return self.visit(pending.role, known, pending.origin.via.clone());
            }
            let fetch = role_fetch(&self.set, &pending.origin.delegator, &pending.role, meta);
            let meta = meta.clone();
            self.state = State::Needs(pending, meta, fetch);
            return;
        }
        self.state = State::Absent;
    }
}
