//! What a ceremony may change about claims: which of them an offline key vouches for.
//!
//! ```text
//! claimed and recently-claimed now ─┐
//!                                   ├─ next_claims ─▶ which claims move, or refused
//! claimed as the ceremony signed it ┘
//! ```
//!
//! A claim that is new in `claimed` is the one that stands in `recently-claimed` at this moment, in the
//! one form that sealing gives it ([`DelegatedRole::sealed`]): if its keys have changed since the
//! ceremony began, or the claim has ended, nothing of the ceremony is published. One that is left out
//! goes back to where it came from, with the keys to which its people have handed over last. One that was there before can name other keys: those to which its
//! people have handed over last, by the published role of the project, in the one form that this has
//! ([`DelegatedRole::taken_over`]). All others stay as they are. So the two lists never speak of one
//! project both, and none is lost between them. In which shard of its list a claim stands is no matter
//! here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wheelmark_objects::Directory;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{
    ClaimMarks, DelegatedRole, DelegatedRoles, Delegations, Handovers, Key, KeyId, Role as _,
    RoleName, Targets,
};

use super::Refusal;
use crate::genesis;
use crate::roles::{self, CLAIMED, RECENTLY_CLAIMED, role_name};
use crate::state::{LoadError, State};

/// The most that one ceremony gives back to the online key, in bytes of its list: some 400 claims. There is
/// room for so much in each list, since one that is longer than [`MAX_SPLIT_ABOVE`] is split.
const MAX_BACK_LEN: usize = 250_000;

/// The longest list that is not split, in bytes, whatever an index says.
pub(crate) const MAX_SPLIT_ABOVE: usize = 3_500_000;

/// The claims that a ceremony moves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moved {
    /// The projects whose claims the offline key has taken over.
    pub(crate) sealed: Vec<ProjectName>,
    /// What goes back to the online key: the delegations, with their keys.
    pub(crate) back: Vec<(Vec<Key>, DelegatedRole)>,
}

impl Moved {
    /// The projects that it concerns.
    pub(crate) fn projects(&self) -> impl Iterator<Item = ProjectName> {
        let back = self.back.iter();
        let back = back.filter_map(|(_, role)| roles::project_of_role(&role.name));
        self.sealed.iter().cloned().chain(back)
    }
}

/// The handovers in the published roles of those sealed projects of which `next` says something else than
/// before. One whose role is damaged is not here.
pub(super) async fn handovers(
    state: &State,
    tree: &Directory,
    next: &Targets,
) -> Result<BTreeMap<RoleName, Handovers>, LoadError> {
    let (now, then) = (
        List::of(state.claims.list(&role_name(CLAIMED))),
        List::of(next.delegations.as_ref()),
    );
    let (Some(now), Some(then)) = (now, then) else {
        return Ok(BTreeMap::new());
    };
    let mut handovers = BTreeMap::new();
    for role in now.roles {
        if then.find(&role.name) == Some(role) {
            continue;
        }
        match state.role(tree, &role.name).await {
            Ok(own) => {
                let own = own.handovers(&role.name).ok();
                handovers.extend(own.map(|own| (role.name.clone(), own)));
            }
            Err(error) if error.is_lasting() => {
                tracing::error!(role = %role.name, error = &error as &dyn std::error::Error, "the role of a sealed project cannot be read");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(handovers)
}

/// The claims that move with a ceremony that brings this `claimed`; none where it changes no claim.
pub(super) fn next_claims(
    state: &State,
    next: &Targets,
    handovers: &BTreeMap<RoleName, Handovers>,
    at: Timestamp,
) -> Result<Option<Moved>, Refusal> {
    let changes = || Refusal::Changes {
        role: role_name(CLAIMED),
        what: "what it delegates",
    };
    if !next.targets.is_empty() {
        return Err(changes());
    }
    let claimed = state.claims.list(&role_name(CLAIMED));
    if next.delegations.as_ref() == claimed {
        return Ok(None);
    }
    let now = List::of(claimed).ok_or_else(changes)?;
    let then = List::of(next.delegations.as_ref()).ok_or_else(changes)?;
    let recent = state.claims.recent().map(|below| List::of(Some(below)));
    let recent: Option<Vec<List<'_>>> = recent.collect();
    let recent = recent.ok_or_else(changes)?;
    let waits = |name: &RoleName| {
        let mut lists = recent.iter();
        lists.find_map(|list| Some((list, list.find(name)?)))
    };
    let extra = |below: Option<&Delegations>| below.map(|below| below.extra.clone());
    if extra(next.delegations.as_ref()).unwrap_or_default() != extra(claimed).unwrap_or_default() {
        return Err(changes());
    }

    let (mut keys, mut moved) = (BTreeMap::new(), Moved::default());
    for role in then.roles {
        let from = match now.find(&role.name) {
            Some(kept) if kept == role => &now,
            Some(kept) => {
                keys.extend(demand_handed_over(state, handovers, kept, role)?);
                continue;
            }
            None => {
                let (list, waiting) = waits(&role.name).ok_or_else(|| Refusal::NotWaiting {
                    role: role.name.clone(),
                })?;
                demand_sealed(state, waiting, role)?;
                moved.sealed.extend(roles::project_of_role(&role.name));
                list
            }
        };
        keys.extend(from.keys_of(role));
    }
    // None is missing, none has another key's place, and none is there for nobody.
    if keys != *then.keys {
        return Err(changes());
    }

    for role in now.roles {
        let is_back = then.find(&role.name).is_none();
        if is_back && waits(&role.name).is_none() {
            let handovers = handovers.get(&role.name);
            let last = handovers.and_then(|handovers| handovers.from_sealed(&role.keys));
            moved.back.push(match last {
                // The keys of before have handed over, and count no longer.
                Some(last) => {
                    let role = role.taken_over(&last.to, last.made_at, last.version, at);
                    let keys = last.to.keys().values().cloned();
                    (keys.collect(), role.unsealed(at))
                }
                None => {
                    let keys = now.keys_of(role).map(|(_, key)| key);
                    (keys.collect(), role.unsealed(at))
                }
            });
        }
    }
    demand_room(&moved, next)?;
    Ok(Some(moved))
}

/// Whether there is room for what comes back: a list that is longer than an index says is split.
fn demand_room(moved: &Moved, next: &Targets) -> Result<(), Refusal> {
    let keys = moved.back.iter().flat_map(|(keys, _)| keys);
    let below = Delegations {
        keys: keys.map(|key| (key.keyid().clone(), key.clone())).collect(),
        roles: DelegatedRoles::Listed(moved.back.iter().map(|(_, role)| role.clone()).collect()),
        extra: BTreeMap::new(),
    };
    let list = role_name(RECENTLY_CLAIMED);
    let content = genesis::targets(&list, next.expires, Some(below));
    match content.to_canonical().len() <= MAX_BACK_LEN {
        true => Ok(()),
        false => Err(Refusal::NoRoom),
    }
}

/// A claim that is new in `claimed` is what waits in `recently-claimed`, sealed.
fn demand_sealed(
    state: &State,
    waiting: &DelegatedRole,
    role: &DelegatedRole,
) -> Result<(), Refusal> {
    let name = || role.name.clone();
    let marks = ClaimMarks::of(&role.keys);
    let (Some(floor), Some(at)) = (marks.floor, marks.sealed_at) else {
        return Err(Refusal::Kept { role: name() });
    };
    if waiting.sealed(floor, at) != *role || !role.is_claim() {
        return Err(Refusal::OtherClaim { role: name() });
    }
    let published = state.snapshot.role_version(&role.name).unwrap_or(0);
    if floor == 0 || floor > published {
        return Err(Refusal::Floor {
            role: name(),
            floor,
            published,
        });
    }
    Ok(())
}

/// A sealed claim that names other keys names those to which its people have handed over last; these keys.
fn demand_handed_over(
    state: &State,
    handovers: &BTreeMap<RoleName, Handovers>,
    kept: &DelegatedRole,
    role: &DelegatedRole,
) -> Result<BTreeMap<KeyId, Key>, Refusal> {
    let name = || role.name.clone();
    let marks = ClaimMarks::of(&role.keys);
    let (Some(floor), Some(at)) = (marks.floor, marks.sealed_at) else {
        return Err(Refusal::Kept { role: name() });
    };
    let last = handovers.get(&role.name);
    let last = last.and_then(|handovers| handovers.from_sealed(&kept.keys));
    let last = last.ok_or_else(|| Refusal::Kept { role: name() })?;
    if kept.taken_over(&last.to, last.made_at, floor, at) != *role {
        return Err(Refusal::OtherKeys { role: name() });
    }
    let published = state.snapshot.role_version(&role.name).unwrap_or(0);
    // The version that handed over is signed by the keys of before, too; they are to count no longer.
    if floor < last.version || floor > published {
        return Err(Refusal::Floor {
            role: name(),
            floor,
            published,
        });
    }
    Ok(last.to.keys().clone())
}

/// The claims of one role, with their keys.
struct List<'a> {
    roles: &'a [DelegatedRole],
    keys: &'a BTreeMap<KeyId, Key>,
}

/// The keys of a role that delegates to nobody.
static NO_KEYS: BTreeMap<KeyId, Key> = BTreeMap::new();

impl<'a> List<'a> {
    /// None where it delegates in a way in which no list of claims does.
    fn of(delegations: Option<&'a Delegations>) -> Option<Self> {
        let Some(delegations) = delegations else {
            return Some(Self {
                roles: &[],
                keys: &NO_KEYS,
            });
        };
        match &delegations.roles {
            DelegatedRoles::Listed(roles) => Some(Self {
                roles,
                keys: &delegations.keys,
            }),
            DelegatedRoles::Succinct(_) => None,
        }
    }

    fn find(&self, name: &RoleName) -> Option<&'a DelegatedRole> {
        self.roles.iter().find(|role| role.name == *name)
    }

    fn keys_of(&self, role: &DelegatedRole) -> impl Iterator<Item = (KeyId, Key)> {
        let ids = role.keys.keyids.iter();
        ids.filter_map(|id| Some((id.clone(), self.keys.get(id)?.clone())))
    }
}
