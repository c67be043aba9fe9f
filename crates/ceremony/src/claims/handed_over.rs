//! Sealed projects whose people have handed over to other keys: `claimed` takes these over.
//!
//! ```text
//! claimed: the keys that were sealed ─▶ handovers in the role of the project ─▶ the keys of today ─▶ claimed
//! ```
//!
//! The index is not asked. The sealed keys say themselves who comes after them, one set after the
//! other, and the version of the role that says so is signed by the last ones, too.

use jiff::{SignedDuration, Timestamp};
use wheelmark_tuf::{
    DelegatedRole, HandoverError, Key, KeySet, RoleName, Targets, Verified, VerifyError, verify,
};

use super::{Claim, ClaimsError, listed, open, project_of};
use crate::standing::{Standing, StandingError};

/// Keys that a ceremony takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandedOver {
    /// The claim as it is sealed now.
    pub before: Claim,
    /// The claim as it is sealed then.
    pub after: Claim,
    /// When those before handed over last, as they have signed.
    pub since: Timestamp,
}

/// To whom the people of a sealed project have handed over.
struct Reached {
    keys: KeySet,
    since: Timestamp,
    /// The version of the role that was seen: none below it counts.
    floor: u64,
}

impl Standing {
    /// Whether the people of a sealed project have handed over to keys that `claimed` does not name;
    /// `bytes` are the published role of the project, which need not have come along.
    ///
    /// # Errors
    ///
    /// When these are not what the sealed keys have signed.
    pub fn handed_over(
        &self,
        name: &RoleName,
        bytes: &[u8],
        made_at: Timestamp,
    ) -> Result<Option<HandedOver>, StandingError> {
        let sealed = listed(self.claimed())
            .iter()
            .find(|role| role.name == *name);
        let below = self.claimed().and_then(|role| role.delegations.as_ref());
        let (Some(sealed), Some(below)) = (sealed, below) else {
            let role = name.clone();
            return Err(StandingError::Stray { role });
        };
        let own = open(name, verify(bytes, &below.keys, &sealed.keys))?;
        let reached = reached(sealed, &own, bytes).map_err(|broken| {
            let role = name.clone();
            match broken {
                Broken::Handovers(source) => StandingError::Handovers { role, source },
                Broken::Unsigned(source) => StandingError::Role { role, source },
            }
        });
        let Some(reached) = reached? else {
            return Ok(None);
        };
        let (before, since) = (Claim::of(sealed), reached.since);
        let after = Claim::of(&reached.role(sealed, made_at));
        Ok(Some(HandedOver {
            before,
            after,
            since,
        }))
    }
}

/// Why nothing can be said of them.
enum Broken {
    /// They do not hold.
    Handovers(HandoverError),
    /// The keys that came in last have not signed the role.
    Unsigned(VerifyError),
}

impl Reached {
    fn role(&self, sealed: &DelegatedRole, made_at: Timestamp) -> DelegatedRole {
        sealed.taken_over(&self.keys, self.since, self.floor, made_at)
    }
}

/// The keys to which the handovers in a project's role lead from those that are sealed. They have to
/// have signed this version of it, as well.
fn reached(
    sealed: &DelegatedRole,
    own: &Verified<Targets>,
    bytes: &[u8],
) -> Result<Option<Reached>, Broken> {
    let handovers = own.handovers(&sealed.name).map_err(Broken::Handovers)?;
    let Some(last) = handovers.from_sealed(&sealed.keys) else {
        return Ok(None);
    };
    verify::<Targets>(bytes, last.to.keys(), &last.to.role_keys()).map_err(Broken::Unsigned)?;
    Ok(Some(Reached {
        keys: last.to.clone(),
        since: last.made_at,
        floor: own.version,
    }))
}

/// What `claimed` says of a sealed project from then on, with its keys.
pub(super) fn taken_over(
    standing: &Standing,
    sealed: &DelegatedRole,
    older_than: SignedDuration,
    made_at: Timestamp,
) -> Result<(DelegatedRole, Vec<Key>), ClaimsError> {
    let name = &sealed.name;
    let project = || project_of(name);
    let own = standing.claims().projects.get(name);
    let bytes = standing.published().roles.get(name);
    let (Some(own), Some(bytes)) = (own, bytes) else {
        return Err(ClaimsError::NoRole { project: project() });
    };
    let reached = reached(sealed, own, bytes).map_err(|broken| match broken {
        Broken::Handovers(_) => ClaimsError::Foreign {
            project: project(),
            what: "its handovers do not hold",
        },
        Broken::Unsigned(source) => ClaimsError::NotByThem {
            project: project(),
            source,
        },
    });
    let reached = reached?;
    let reached = reached.ok_or_else(|| ClaimsError::NotHandedOver { project: project() })?;
    let since = reached.since;
    if made_at.duration_since(since) < older_than {
        return Err(ClaimsError::TooYoung {
            project: project(),
            since,
            older_than,
        });
    }
    let keys: Vec<Key> = reached.keys.keys().values().cloned().collect();
    let is_of_index = |key: &&Key| standing.index_keys().any(|other| other.is_same_key(key));
    if let Some(key) = keys.iter().find(is_of_index) {
        return Err(ClaimsError::KeyOfIndex {
            project: project(),
            keyid: key.keyid().clone(),
        });
    }
    Ok((reached.role(sealed, made_at), keys))
}
