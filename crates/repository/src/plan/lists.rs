//! The lists of claims that the online key signs: `recently-claimed`, and its shards.
//!
//! ```text
//! recently-claimed ─▶ project-…            until it is long: then
//! recently-claimed ─▶ recently-claimed-p ─▶ project-p…
//! ```
//!
//! Claims are added and taken out where the list of the project is by now, and what has become long is
//! split when all changes of a snapshot are made: so they move and change in one snapshot. What one row asks
//! for is done or refused whole; of what a ceremony gives back see `move_claims`.

use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{
    Covers, DelegatedRole, DelegatedRoles, Delegations, Key, Role as _, RoleKeys, RoleName, Shards,
    split_claims,
};

use super::changes::Changes;
use super::release::{self, Refusal};
use crate::genesis;
use crate::handed::Moved;
use crate::roles::{self, RECENTLY_CLAIMED, role_name};

/// Longest list that a claim may leave, in bytes: python-tuf's client reads 5,000,000 of a targets
/// role, and a renewal may add a little.
const MAX_LIST_LEN: usize = 4_500_000;

impl Changes<'_> {
    /// Changes what is delegated to a project's own role, if there is room for it.
    pub(super) fn delegate(
        &mut self,
        project: &ProjectName,
        change: impl FnOnce(&mut Delegations) -> bool,
    ) -> Result<(), Refusal> {
        let top = role_name(RECENTLY_CLAIMED);
        let list = self.list_of(project).ok_or(Refusal::Full)?;
        let before = [&top, &list].map(|list| (list.clone(), self.roles.get(list).cloned()));
        self.make_list(&top, &list);
        let below = self.roles.get_mut(&list);
        let below = below.and_then(|content| content.delegations.as_mut());
        let is_in = below.is_some_and(change);
        let fits = |list: &RoleName| {
            let content = self.roles.get(list);
            content.is_some_and(|content| content.to_canonical().len() <= MAX_LIST_LEN)
        };
        if is_in && fits(&list) && fits(&top) {
            self.changed.insert(list);
            return Ok(());
        }
        for (list, content) in before {
            match content {
                Some(content) => drop(self.roles.insert(list, content)),
                None => drop(self.roles.remove(&list)),
            }
        }
        Err(Refusal::Full)
    }

    /// Takes the delegation to a project out of its list; whether it was there.
    pub(super) fn end_delegation(&mut self, project: &ProjectName) -> bool {
        let Some(list) = self.list_of(project) else {
            return false;
        };
        let content = self.roles.get_mut(&list);
        let below = content.and_then(|content| content.delegations.as_mut());
        let is_out = below.is_some_and(|below| release::end_delegation(below, project));
        if is_out {
            self.changed.insert(list);
        }
        is_out
    }

    /// Lets the lists say what a ceremony has made of them: what an offline key has taken over is theirs
    /// no more, and what it has given back is again.
    ///
    /// What comes back was held against a limit when the ceremony was handed in (`handed::claims`), which
    /// leaves room in every list that is split in time. A list of shards that is full by itself is not
    /// asked there: a claim that finds no room then is lost, and the log says so.
    pub(super) fn move_claims(&mut self, moved: &Moved) {
        for project in &moved.sealed {
            self.end_delegation(project);
        }
        for (keys, role) in &moved.back {
            let Some(project) = roles::project_of_role(&role.name) else {
                continue;
            };
            let change =
                |below: &mut Delegations| release::delegate(below, keys.clone(), role.clone());
            if let Err(why) = self.delegate(&project, change) {
                tracing::error!(%project, %why, "a claim that a ceremony has given back is lost");
            }
        }
    }

    /// Splits the lists that have become too long for what is read of them.
    pub(super) fn split_lists(&mut self) {
        let Some(most) = self.split_above else {
            return;
        };
        let top = role_name(RECENTLY_CLAIMED);
        let is_list = |role: &&RoleName| **role == top || role.shard_of(&top).is_some();
        let mut lists: Vec<RoleName> = self.changed.iter().filter(is_list).cloned().collect();
        while let Some(list) = lists.pop() {
            let is_known = self.roles.contains_key(&top);
            let Some(content) = self.roles.get_mut(&list).filter(|_| is_known) else {
                continue;
            };
            if content.to_canonical().len() <= most {
                continue;
            }
            let Some(below) = content.delegations.as_mut() else {
                continue;
            };
            let prefix = list.shard_of(&top).unwrap_or_default();
            let parts = split_claims(below, prefix);
            if parts.is_empty() {
                continue;
            }
            if !prefix.is_empty() {
                self.cover(&top, prefix, Covers::Exactly);
            }
            tracing::info!(%list, shards = parts.len(), "a long list of claims is split");
            for (prefix, below) in parts {
                if let Some(shard) = self.cover(&top, &prefix, Covers::Beginning) {
                    self.put_list(&shard, below);
                    lists.push(shard);
                }
            }
        }
    }

    /// The list that delegates to a project, or is to.
    fn list_of(&self, project: &ProjectName) -> Option<RoleName> {
        let top = role_name(RECENTLY_CLAIMED);
        let below = self.roles.get(&top)?.delegations.as_ref()?;
        match Shards::of(&top, below) {
            None => Some(top),
            Some(shards) => RoleName::of_shard(&top, shards.prefix_for(project.as_str())).ok(),
        }
    }

    /// Makes a shard that is not there yet.
    fn make_list(&mut self, top: &RoleName, list: &RoleName) {
        let below = self.roles.get(top);
        let below = below.and_then(|content| content.delegations.as_ref());
        // One that is there and was not read is not to be replaced by an empty one.
        let is_there = below.is_none_or(|below| below.role_keys(list).is_some());
        let prefix = list.shard_of(top).map(str::to_owned);
        if let Some(prefix) = prefix.filter(|_| !is_there)
            && let Some(shard) = self.cover(top, &prefix, Covers::Beginning)
        {
            self.put_list(&shard, genesis::nobody());
        }
    }

    /// Lets the list delegate to a shard, or cover something else with one that it has.
    fn cover(&mut self, top: &RoleName, prefix: &str, covers: Covers) -> Option<RoleName> {
        let key = self.online_key()?;
        let role = DelegatedRole::shard(top, prefix, covers, RoleKeys::new([&key], 1)).ok()?;
        let below = self.roles.get_mut(top)?.delegations.as_mut()?;
        let DelegatedRoles::Listed(listed) = &mut below.roles else {
            return None;
        };
        let name = role.name.clone();
        match listed.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = role,
            None => listed.push(role),
        }
        below.keys.insert(key.keyid().clone(), key);
        self.changed.insert(top.clone());
        Some(name)
    }

    fn put_list(&mut self, list: &RoleName, below: Delegations) {
        let mut content = genesis::targets(list, self.now, Some(below));
        content.version = self.state.snapshot.role_version(list).unwrap_or(0);
        self.roles.insert(list.clone(), content);
        self.changed.insert(list.clone());
    }

    fn online_key(&self) -> Option<Key> {
        let below = self.state.targets.delegations.as_ref()?;
        below.keys.get(&self.state.signs).cloned()
    }
}

/// Lets a list delegate to its shards with this key, which signs online from now on.
pub(super) fn hand_shards_over(below: &mut Delegations, key: &Key) {
    let top = role_name(RECENTLY_CLAIMED);
    let DelegatedRoles::Listed(listed) = &mut below.roles else {
        return;
    };
    let shards = listed
        .iter_mut()
        .filter(|role| role.as_shard(&top).is_some());
    let mut any = false;
    for shard in shards {
        shard.keys = RoleKeys::new([key], 1);
        any = true;
    }
    if any {
        below.keys.insert(key.keyid().clone(), key.clone());
        release::keep_named(below);
    }
}
