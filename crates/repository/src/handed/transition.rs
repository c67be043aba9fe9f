//! What a ceremony may change of that by which this engine goes: who signs online, and the bins.
//!
//! Both are allowed in one form alone: what this engine would write itself, with one of its own
//! online keys and some number of bins. The next root names one key for timestamp and snapshot, which
//! has to be one that this engine has (otherwise it would lock itself out, or somebody else in); and
//! `targets`, `simple` and `packages` name that key, too, each of them signed anew in the same
//! ceremony by the offline keys that clients ask for. So nobody can take the online key's place with
//! fewer signatures than a root needs, and no role is left behind with the key of before.

use std::collections::BTreeMap;

use wheelmark_tuf::{
    Bins, DelegatedRoles, Delegations, Key, KeyId, RoleKeys, RoleName, Root, Targets,
};

use super::Refusal;
use crate::online::OnlineKeys;
use crate::roles::{Family, role_name};
use crate::state::State;

/// What changes with a ceremony for everything that is signed online.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    /// The key that signs it from then on.
    pub(crate) signs: KeyId,
    /// The delegations to bins from then on.
    pub(crate) families: BTreeMap<Family, Delegations>,
}

/// The key that the next root names for timestamp and snapshot, if it is another than before.
pub(super) fn next_key(
    state: &State,
    root: &Root,
    online: &OnlineKeys,
) -> Result<Option<Key>, Refusal> {
    let (old, new) = (&state.root.roles, &root.roles);
    let keys = |root: &Root, role: &RoleKeys| -> Vec<Option<Key>> {
        let ids = role.keyids.iter();
        ids.map(|id| root.keys.get(id).cloned()).collect()
    };
    let pairs = [
        (&old.timestamp, &new.timestamp),
        (&old.snapshot, &new.snapshot),
    ];
    let is_same = |(now, next): &(&RoleKeys, &RoleKeys)| {
        now == next && keys(&state.root, now) == keys(root, next)
    };
    if pairs.iter().all(is_same) {
        return Ok(None);
    }
    let key = new
        .timestamp
        .keyids
        .first()
        .and_then(|id| root.keys.get(id));
    let alone = key.map(|key| RoleKeys::new([key], 1));
    let is_alone = alone.is_some_and(|alone| new.timestamp == alone && new.snapshot == alone);
    match key.filter(|key| is_alone && online.keys().contains(key)) {
        Some(key) => Ok(Some(key.clone())),
        None => Err(Refusal::OnlineKey),
    }
}

/// The delegations of `targets`, with all that the online key signs in the hands of `key`.
pub(super) fn handed_over(state: &State, delegations: &Delegations, key: &Key) -> Delegations {
    let mut next = delegations.clone();
    let DelegatedRoles::Listed(roles) = &mut next.roles else {
        return next;
    };
    for role in roles.iter_mut() {
        let is_offline = state.offline.iter().any(|(name, _)| *name == role.name);
        if !is_offline {
            role.keys = RoleKeys::new([key], 1);
        }
    }
    next.keys.insert(key.keyid().clone(), key.clone());
    let is_named = |id: &KeyId| roles.iter().any(|role| role.keys.keyids.contains(id));
    next.keys.retain(|id, _| is_named(id));
    next
}

/// The next delegations of a family, if they are others than before: by `key` if the online key
/// changes, and to some number of bins.
pub(super) fn next_bins(
    state: &State,
    family: Family,
    next: &Targets,
    key: Option<&Key>,
) -> Result<Option<Delegations>, Refusal> {
    let role = role_name(family.name());
    let present = state.family(family);
    let changes = || {
        let (role, what) = (role.clone(), "what it delegates");
        Refusal::Changes { role, what }
    };
    let delegations = next.delegations.as_ref().ok_or_else(changes)?;
    if !next.targets.is_empty() {
        return Err(changes());
    }
    if key.is_none() && delegations == present {
        return Ok(None);
    }
    let key = key.or_else(|| present.keys.get(&state.signs));
    let (Some(key), Some(now), Some(then)) = (key, Bins::of(present), Bins::of(delegations)) else {
        return Err(changes());
    };
    let own = then.delegations(family.name(), key);
    match now.form() == then.form() && *delegations == own {
        true => Ok(Some(delegations.clone())),
        false => Err(changes()),
    }
}

/// What the ceremony changes for all that is signed online, if it changes anything; both families
/// go together.
pub(super) fn transition(
    state: &State,
    key: Option<&Key>,
    families: BTreeMap<Family, Delegations>,
) -> Result<Option<Transition>, Refusal> {
    if key.is_none() && families.is_empty() {
        return Ok(None);
    }
    let mut counts = families.values().map(Bins::of);
    let first = counts.next().flatten();
    if families.len() != Family::ALL.len() || counts.any(|other| other != first) {
        let lacking = Family::ALL
            .into_iter()
            .find(|of| !families.contains_key(of));
        let role: RoleName = role_name(lacking.unwrap_or(Family::Simple).name());
        let what = "who signs the bins, or how many there are, in another way than its sibling";
        return Err(Refusal::Changes { role, what });
    }
    let signs = key.map_or(&state.signs, Key::keyid).clone();
    Ok(Some(Transition { signs, families }))
}
