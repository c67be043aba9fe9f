//! The way to a delegated role, and whose word it is: the same in both sightings.
//!
//! Whoever writes an evidence chooses the way. So a role that somebody else delegated to under
//! the same name, or one whose keys were changed between the two, must not pass for the one.

use crate::key::{Key, KeyId};
use crate::model::{DelegatedRoles, Delegations};
use crate::name::{OF_PROJECT, RoleName};

/// Whose signatures a role needs, as its delegator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) role: RoleName,
    pub(super) keyids: Vec<KeyId>,
    threshold: u32,
    /// The keys themselves: an id is what the delegator calls a key.
    keys: Vec<Option<Key>>,
}

impl Step {
    /// The step from a role to one that it delegates to; `None` where it does not, or may not.
    pub(super) fn from(
        delegator: &RoleName,
        delegations: &Delegations,
        role: &RoleName,
    ) -> Option<Self> {
        if !delegates(delegations, role) || !is_within_its_project(delegator, role) {
            return None;
        }
        let needed = delegations.role_keys(role)?;
        let mut keyids = needed.keyids.clone();
        keyids.sort();
        let key = |keyid: &KeyId| delegations.keys.get(keyid).cloned();
        Some(Self {
            role: role.clone(),
            threshold: needed.threshold,
            keys: keyids.iter().map(key).collect(),
            keyids,
        })
    }
}

/// Whether a role of this name is delegated to.
fn delegates(delegations: &Delegations, role: &RoleName) -> bool {
    match &delegations.roles {
        DelegatedRoles::Listed(roles) => roles.iter().any(|listed| listed.name == *role),
        DelegatedRoles::Succinct(bins) => {
            let number = role
                .as_str()
                .rsplit_once('-')
                .and_then(|(_, number)| u64::from_str_radix(number, 16).ok());
            number.is_some_and(|number| number < bins.count() && bins.bin(number) == *role)
        }
    }
}

/// Whether a delegation stays among the roles of its project: the owner of `project-a` may name
/// `project-a.builds`, and nothing that is the index's or another project's.
fn is_within_its_project(delegator: &RoleName, role: &RoleName) -> bool {
    let Some(project) = delegator.as_str().strip_prefix(OF_PROJECT) else {
        return true;
    };
    let project = project.split('.').next().unwrap_or_default();
    let inside = role
        .as_str()
        .strip_prefix(OF_PROJECT)
        .and_then(|rest| rest.strip_prefix(project))
        .and_then(|rest| rest.strip_prefix('.'));
    inside.is_some_and(|rest| !rest.is_empty())
}
