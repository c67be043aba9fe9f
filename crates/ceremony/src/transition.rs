//! What a plan changes about that which is signed online: by which key, and in how many bins.

use std::collections::BTreeMap;

use wheelmark_tuf::{
    Bins, DelegatedRoles, Delegations, Key, KeyId, RoleKeys, RoleName, Root, Targets,
    verify_trusted_root,
};

use crate::claims::CLAIMED;
use crate::plan::{Plan, PlanError};
use crate::policy::LEAST_GAIN;
use crate::standing::Standing;

impl Plan {
    /// Whether the online key or the number of bins changes.
    pub fn changes_online(&self) -> bool {
        self.online.is_some() || self.bins.is_some()
    }

    /// Leaves out what neither has to be signed for the plan's changes nor gains anything: what was
    /// renewed a moment ago.
    pub fn without_what_stays(&mut self, standing: &Standing) {
        let needed: Vec<RoleName> = standing
            .roles()
            .into_iter()
            .filter(|role| self.needs(role))
            .collect();
        self.roles.retain(|role, next| {
            let now = standing.version_and_expiry(role);
            let gains = now.is_none_or(|(_, now)| next.expires.duration_since(now) >= LEAST_GAIN);
            gains || needed.contains(role)
        });
    }

    /// Whether a role has to be signed anew because of what changes.
    pub(crate) fn needs(&self, role: &RoleName) -> bool {
        let of_key = ["root", "targets"].contains(&role.as_str()) && self.online.is_some();
        let of_bins = is_family(role) && self.changes_online();
        let of_claims = role.as_str() == CLAIMED && !self.claims.is_empty();
        self.recovery.is_some() || self.changes_keys() || of_key || of_bins || of_claims
    }
}

/// Whether a role hands out bins.
fn is_family(role: &RoleName) -> bool {
    ["simple", "packages"].contains(&role.as_str())
}

/// The next online key is the key of this index, and nobody else's.
pub(crate) fn demand_new(standing: &Standing, plan: &Plan) -> Result<(), PlanError> {
    let Some(online) = &plan.online else {
        return Ok(());
    };
    let found = standing.first_fingerprint();
    if online.index() != found {
        let named = online.index();
        return Err(PlanError::OnlineKeyOf { named, found });
    }
    let keyid = || online.key().keyid().clone();
    let same = |known: &BTreeMap<KeyId, Key>, keys: &RoleKeys| {
        let mut keys = keys.keyids.iter().filter_map(|id| known.get(id));
        keys.any(|key| key.is_same_key(online.key()))
    };
    let root = standing.root();
    if same(&root.keys, &root.roles.timestamp) {
        return Err(PlanError::SameOnlineKey { keyid: keyid() });
    }
    // One that signed once, and was replaced, may be in other hands.
    let earlier = standing.published().roots.iter();
    for earlier in earlier.filter_map(|root| verify_trusted_root(root).ok()) {
        let roles = &earlier.roles;
        let mut all = [&roles.timestamp, &roles.snapshot].into_iter();
        if all.any(|role| same(&earlier.keys, role)) {
            return Err(PlanError::OnlineKeyBefore { keyid: keyid() });
        }
    }
    for role in standing.roles() {
        let keys = standing.keys_of(&role);
        if keys.is_some_and(|(known, keys)| same(known, keys)) {
            return Err(PlanError::KeyTwice { keyid: keyid() });
        }
    }
    Ok(())
}

/// Timestamp and snapshot are the next key's.
pub(crate) fn in_root(root: &mut Root, key: &Key) {
    let keys = RoleKeys::new([key], 1);
    root.roles.timestamp = keys.clone();
    root.roles.snapshot = keys;
    root.keys.insert(key.keyid().clone(), key.clone());
    let roles = &root.roles;
    let named = [
        &roles.root,
        &roles.targets,
        &roles.snapshot,
        &roles.timestamp,
    ];
    let is_named = |id: &KeyId| named.iter().any(|role| role.keyids.contains(id));
    root.keys.retain(|id, _| is_named(id));
}

/// What `targets` delegates to the online key is the next key's.
pub(crate) fn in_targets(
    standing: &Standing,
    targets: &mut Targets,
    key: &Key,
) -> Result<(), PlanError> {
    let present = &standing.root().roles.timestamp.keyids;
    let below = targets.delegations.as_mut().ok_or(PlanError::Foreign)?;
    let DelegatedRoles::Listed(roles) = &mut below.roles else {
        return Err(PlanError::Foreign);
    };
    for role in roles.iter_mut() {
        if role.keys.keyids.iter().any(|id| present.contains(id)) {
            role.keys = RoleKeys::new([key], 1);
        }
    }
    below.keys.insert(key.keyid().clone(), key.clone());
    let is_named = |id: &KeyId| roles.iter().any(|role| role.keys.keyids.contains(id));
    below.keys.retain(|id, _| is_named(id));
    Ok(())
}

/// The bins of a family are as many as is planned, and signed by the next key.
pub(crate) fn in_family(
    role: &RoleName,
    family: &mut Targets,
    plan: &Plan,
) -> Result<(), PlanError> {
    if !is_family(role) || !plan.changes_online() {
        return Ok(());
    }
    let present = family.delegations.as_ref().ok_or(PlanError::Foreign)?;
    let bins = Bins::of(present).ok_or(PlanError::Foreign)?;
    let mut keys = present.keys.values();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err(PlanError::Foreign);
    };
    // What is changed is known to the last member, or it is not changed.
    if bins.delegations(role.as_str(), key) != *present {
        return Err(PlanError::Foreign);
    }
    let count = plan.bins.unwrap_or(bins.count());
    if plan.bins == Some(bins.count()) {
        let role = role.clone();
        return Err(PlanError::SameBins { role, count });
    }
    let key = plan.online.as_ref().map_or(key, |online| online.key());
    let next = Bins::new(count, bins.form())?.delegations(role.as_str(), key);
    family.delegations = Some(next);
    Ok(())
}

/// The keys of the bins below a role, if it has any.
pub(crate) fn keys_of_bins(delegations: &Delegations) -> Option<&RoleKeys> {
    match &delegations.roles {
        DelegatedRoles::Succinct(succinct) => Some(&succinct.keys),
        DelegatedRoles::Listed(roles) => roles.first().map(|role| &role.keys),
    }
}
