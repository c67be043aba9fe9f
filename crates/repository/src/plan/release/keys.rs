//! Whose keys sign for a project: those of a claim, and those to whom they hand over.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use wheelmark_packaging::ProjectName;
use wheelmark_store::{ClaimedKey, MAX_USER_NAME_LEN, NewClaim, SignedRelease};
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, Handovers, Key, KeyId, KeySet, RoleKeys, Targets,
    Verified, canonical,
};

use super::{MAX_CLAIMED_KEYS, Refusal, demand_recent, open};
use crate::lifetimes::whole_seconds;
use crate::roles;
use crate::state::State;

/// How many bytes the keys of one project have at most: all clients fetch those of all projects. Ten
/// RSA keys of 4096 bits, or any number of others.
const MAX_KEYS_LEN: usize = 8 * 1024;

/// How long a handover may be under way: one that was signed and did not get in is not kept for later.
const LONGEST_HANDING: SignedDuration = SignedDuration::from_hours(1);

/// The same where its signatures stand beside the metadata, and had to be waited for. It is of use in the
/// one version alone that it names, with metadata that the same people have signed. It is less than for
/// releases: whose keys sign is not to follow from what was signed weeks ago. Where the project is sealed,
/// everybody signs within the hour.
const LONGEST_WAITING: SignedDuration = SignedDuration::from_hours(5 * 24);

/// The keys of a claim, if a project can have them.
pub(super) fn keys_of(state: &State, claim: &NewClaim) -> Result<Vec<Key>, Refusal> {
    let count = claim.keys.len();
    if count == 0 || count > MAX_CLAIMED_KEYS {
        return Err(Refusal::Keys { count });
    }
    let threshold = claim.threshold;
    if threshold == 0 || threshold as usize > count {
        return Err(Refusal::Threshold { threshold, count });
    }
    let mut keys: Vec<Key> = Vec::with_capacity(count);
    for stated in &claim.keys {
        let keyid = || stated.keyid.clone();
        let key = Key::from_value(stated.key.clone())
            .ok()
            .filter(|key| key.is_plain() && key.keyid().as_str() == stated.keyid)
            .ok_or_else(|| Refusal::Key { keyid: keyid() })?;
        if keys.iter().any(|other| other.is_same_key(&key)) {
            return Err(Refusal::KeyTwice { keyid: keyid() });
        }
        keys.push(key);
    }
    demand_suitable(state, keys.iter(), &claim.keys)?;
    Ok(keys)
}

/// Whether keys can sign for a project, with the names of those whose they are.
pub(in crate::plan) fn demand_suitable<'a>(
    state: &State,
    keys: impl Iterator<Item = &'a Key>,
    named: &[ClaimedKey],
) -> Result<(), Refusal> {
    let mut len = 0;
    for key in keys {
        len += canonical::encode(&key.to_value()).len();
        // Whoever signs for the index could sign for the project, too.
        if state.index_keys().any(|other| other.is_same_key(key)) {
            let keyid = key.keyid().as_str().to_owned();
            return Err(Refusal::KeyOfIndex { keyid });
        }
    }
    let is_long = |key: &ClaimedKey| key.maintainer.len() > MAX_USER_NAME_LEN;
    if len > MAX_KEYS_LEN || named.iter().any(is_long) {
        return Err(Refusal::KeysTooLong);
    }
    Ok(())
}

/// What the project is delegated to from now on, where its metadata brings a handover more than the
/// published version. All handovers in it hold; this says whether they are the right ones.
///
/// That one more is signed by a threshold of those who signed until now, and by every key that comes
/// in, and so is the metadata that brings it: nobody registers a key that they do not have, and nobody
/// is put in the place of others without a word from them.
pub(super) fn demand_handed(
    state: &State,
    release: &SignedRelease,
    targets: &Verified<Targets>,
    metadata: &[u8],
    published: &Handovers,
    now: Timestamp,
) -> Result<Option<(Vec<Key>, DelegatedRole)>, Refusal> {
    let role = roles::project_role(&release.project);
    let handovers = targets.handovers(&role)?;
    let (handover, stated) = match (handovers.beyond(published)?, &release.keys) {
        (None, None) => return Ok(None),
        (Some(handover), Some(stated)) => (handover, stated),
        _ => return Err(Refusal::Registered),
    };
    let Some((delegations, delegated)) = state.delegation_of(&release.project) else {
        return Err(Refusal::NotClaimed);
    };
    let present = match published.reached() {
        Some(reached) => Some(reached.clone()),
        None => KeySet::delegated(delegations, &role),
    };
    let (from, to) = (&handover.from, &handover.to);
    if present.as_ref() != Some(from) {
        return Err(Refusal::FromOthers);
    }
    // What was signed once and did not get in is not kept for later.
    if handover.version != targets.version {
        return Err(Refusal::HandoverVersion);
    }
    // A ceremony counts from then for how long the keys of a sealed project stand, and nobody else says
    // when it was.
    let longest = match handovers.is_beside() && !state.is_sealed(&release.project) {
        true => LONGEST_WAITING,
        false => LONGEST_HANDING,
    };
    demand_recent("its handover", handover.made_at, now, longest)?;
    let added = handover.added();
    let ids = |keys: Vec<&Key>| -> Vec<String> {
        let keys = keys.into_iter();
        keys.map(|key| key.keyid().as_str().to_owned()).collect()
    };
    let mut named: Vec<String> = stated.added.iter().map(|key| key.keyid.clone()).collect();
    let mut gone = stated.removed.clone();
    named.sort_unstable();
    gone.sort_unstable();
    if named != ids(added.clone()) || gone != ids(from.beyond(to)) {
        return Err(Refusal::Registered);
    }
    demand_suitable(state, to.keys().values(), &stated.added)?;
    open(metadata, from.keys(), &from.role_keys())?;
    if !added.is_empty() {
        let all = u32::try_from(added.len()).unwrap_or(u32::MAX);
        open(metadata, to.keys(), &RoleKeys::new(added, all))?;
    }
    let keys: Vec<Key> = to.keys().values().cloned().collect();
    let delegation = roles::handed_over(delegated, to, &stated.added, whole_seconds(now));
    Ok(Some((keys, delegation)))
}

/// Adds a claim to what a list delegates to.
pub(in crate::plan) fn delegate(
    delegations: &mut Delegations,
    keys: Vec<Key>,
    role: DelegatedRole,
) -> bool {
    let DelegatedRoles::Listed(roles) = &mut delegations.roles else {
        return false;
    };
    delegations
        .keys
        .extend(keys.into_iter().map(|key| (key.keyid().clone(), key)));
    roles.push(role);
    true
}

/// Puts another delegation in the place of a project's, and takes out the keys that nobody names any
/// more; whether it was there.
pub(in crate::plan) fn replace(
    delegations: &mut Delegations,
    keys: Vec<Key>,
    role: DelegatedRole,
) -> bool {
    let DelegatedRoles::Listed(listed) = &mut delegations.roles else {
        return false;
    };
    let Some(known) = listed.iter_mut().find(|known| known.name == role.name) else {
        return false;
    };
    *known = role;
    let by_id = keys.into_iter().map(|key| (key.keyid().clone(), key));
    delegations.keys.extend(by_id);
    keep_named(delegations);
    true
}

/// Takes a project out of what a list delegates to, with the keys that nobody else has;
/// whether it was there.
pub(crate) fn end_delegation(delegations: &mut Delegations, project: &ProjectName) -> bool {
    let DelegatedRoles::Listed(listed) = &mut delegations.roles else {
        return false;
    };
    let (before, name) = (listed.len(), roles::project_role(project));
    listed.retain(|role| role.name != name);
    let is_out = listed.len() < before;
    keep_named(delegations);
    is_out
}

/// Takes out the keys that no role needs.
pub(in crate::plan) fn keep_named(delegations: &mut Delegations) {
    let DelegatedRoles::Listed(listed) = &delegations.roles else {
        return;
    };
    let named = listed.iter().flat_map(|role| &role.keys.keyids);
    let named: HashSet<&KeyId> = named.collect();
    delegations.keys.retain(|id, _| named.contains(id));
}
