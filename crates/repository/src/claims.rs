//! Which projects sign for themselves, found by their names.
//!
//! ```text
//! claimed · recently-claimed · their shards, as they were signed last ─put─▶ Claims ─of(project)─▶ its delegation
//! ```
//!
//! Every change that an upload brings asks whether somebody else answers for the project. With a
//! hundred thousand claims, looking through all of them for that would cost more than the rest of a
//! snapshot. So the places of the delegations are kept by project, and follow what is signed: whoever
//! puts another version of a list in replaces what the one before said, and nothing else.

use std::collections::{BTreeMap, HashMap};

use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, Key, KeyId, RoleKeys, RoleName, Shards, TargetPath,
};

use crate::roles::{self, CLAIMED, RECENTLY_CLAIMED, role_name};

/// The delegations to projects, of an offline key and of the online one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    /// What each list delegates to.
    lists: BTreeMap<RoleName, Delegations>,
    /// Where projects stand that an offline key delegates to.
    sealed: HashMap<ProjectName, Place>,
    /// Where those stand that the online key delegates to.
    recent: HashMap<ProjectName, Place>,
    /// Where something stands that is not in the form of a claim: its paths say whose it is.
    foreign: Vec<Place>,
}

/// Where a delegation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    list: RoleName,
    position: usize,
}

impl Claims {
    /// Puts what a list says now in the place of what it said.
    pub(crate) fn put(&mut self, list: &RoleName, below: Option<Delegations>) {
        self.take_out(list);
        let Some(below) = below else {
            return;
        };
        let known = match is_of_offline_key(list) {
            true => &mut self.sealed,
            false => &mut self.recent,
        };
        let place = |position| Place {
            list: list.clone(),
            position,
        };
        match &below.roles {
            DelegatedRoles::Listed(listed) => {
                known.reserve(listed.len());
                for (position, role) in listed.iter().enumerate() {
                    if let Some(project) = roles::project_of_role(&role.name) {
                        // Where it stood before may be put in later, without it.
                        known.insert(project, place(position));
                    }
                    if !role.is_claim() && role.as_shard(list).is_none() {
                        self.foreign.push(place(position));
                    }
                }
            }
            // Whatever its bins are called, the index does not answer for what they do.
            DelegatedRoles::Succinct(_) => self.foreign.push(place(0)),
        }
        self.lists.insert(list.clone(), below);
    }

    fn take_out(&mut self, list: &RoleName) {
        let Some(before) = self.lists.remove(list) else {
            return;
        };
        self.foreign.retain(|place| place.list != *list);
        let known = match is_of_offline_key(list) {
            true => &mut self.sealed,
            false => &mut self.recent,
        };
        for project in projects_in(&before) {
            if known.get(&project).is_some_and(|place| place.list == *list) {
                known.remove(&project);
            }
        }
    }

    /// What a list delegates to.
    pub(crate) fn list(&self, list: &RoleName) -> Option<&Delegations> {
        self.lists.get(list)
    }

    /// What the online key delegates to, list by list: `recently-claimed`, and its shards.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &Delegations> {
        let lists = self.lists.iter();
        lists.filter_map(|(list, below)| (!is_of_offline_key(list)).then_some(below))
    }

    /// The lists that a change of a project's claim by the online key concerns: `recently-claimed`, and
    /// the shard for the project if it is there.
    pub(crate) fn lists_for(&self, project: &ProjectName) -> Vec<RoleName> {
        let top = role_name(RECENTLY_CLAIMED);
        let below = self.lists.get(&top);
        let shards = below.and_then(|below| Shards::of(&top, below));
        let shard = shards.and_then(|shards| {
            let prefix = shards.prefix_for(project.as_str());
            RoleName::of_shard(&top, prefix).ok()
        });
        let shard = shard.filter(|shard| self.lists.contains_key(shard));
        std::iter::once(top).chain(shard).collect()
    }

    /// The delegation to a project's own role, with the keys that it names; the one by an offline
    /// key, where there are two. None for a project that nobody has claimed.
    pub(crate) fn of(&self, project: &ProjectName) -> Option<(&Delegations, &DelegatedRole)> {
        let place = self.sealed.get(project);
        self.at(place.or_else(|| self.recent.get(project))?)
    }

    /// Whether a project is delegated to with an offline key.
    pub(crate) fn is_sealed(&self, project: &ProjectName) -> bool {
        self.sealed.contains_key(project)
    }

    /// Whether somebody else than the index answers for a path of a project's.
    pub(crate) fn own(&self, project: &ProjectName, path: &TargetPath) -> bool {
        let is_foreign = |place: &Place| match self.at(place) {
            Some((_, role)) => role.paths.contains(path),
            None => true,
        };
        self.of(project).is_some() || self.foreign.iter().any(is_foreign)
    }

    /// The keys that sign a project's role, or a shard of a list.
    pub(crate) fn keys_of(&self, role: &RoleName) -> Option<(&BTreeMap<KeyId, Key>, &RoleKeys)> {
        if let Some(project) = roles::project_of_role(role) {
            let (below, delegated) = self.of(&project)?;
            return Some((&below.keys, &delegated.keys));
        }
        let tops = [CLAIMED, RECENTLY_CLAIMED].map(role_name);
        let top = tops.iter().find(|top| role.shard_of(top).is_some())?;
        let below = self.lists.get(top)?;
        Some((&below.keys, below.role_keys(role)?))
    }

    /// Every project that is delegated to; one that is in both lists comes twice.
    pub(crate) fn projects(&self) -> impl Iterator<Item = &ProjectName> {
        self.sealed.keys().chain(self.recent.keys())
    }

    fn at(&self, place: &Place) -> Option<(&Delegations, &DelegatedRole)> {
        let below = self.lists.get(&place.list)?;
        match &below.roles {
            DelegatedRoles::Listed(listed) => Some((below, listed.get(place.position)?)),
            DelegatedRoles::Succinct(_) => None,
        }
    }
}

fn is_of_offline_key(list: &RoleName) -> bool {
    let claimed = role_name(CLAIMED);
    *list == claimed || list.shard_of(&claimed).is_some()
}

/// The projects that are delegated to.
fn projects_in(below: &Delegations) -> Vec<ProjectName> {
    match &below.roles {
        DelegatedRoles::Listed(listed) => {
            let names = listed.iter().map(|role| &role.name);
            names.filter_map(roles::project_of_role).collect()
        }
        DelegatedRoles::Succinct(_) => Vec::new(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;
    use wheelmark_objects::page_target;
    use wheelmark_tuf::{Covers, PathPattern, PathSet};

    use super::*;

    fn role(name: &str, paths: &[&str]) -> DelegatedRole {
        let key = Key::ed25519([7; 32]);
        DelegatedRole {
            name: name.parse().unwrap(),
            keys: RoleKeys::new([&key], 1),
            terminating: true,
            paths: PathSet::Patterns(paths.iter().map(|path| PathPattern::from(*path)).collect()),
        }
    }

    fn claim(project: &str) -> DelegatedRole {
        let paths = [
            format!("simple/{project}/*"),
            format!("packages/{project}/*"),
        ];
        role(&format!("project-{project}"), &[&paths[0], &paths[1]])
    }

    fn list(roles: Vec<DelegatedRole>) -> Option<Delegations> {
        Some(Delegations {
            keys: BTreeMap::new(),
            roles: DelegatedRoles::Listed(roles),
            extra: BTreeMap::new(),
        })
    }

    fn name(list: &str) -> RoleName {
        list.parse().unwrap()
    }

    #[test]
    fn what_an_offline_key_says_comes_first_and_goes_with_its_list() {
        let mut claims = Claims::default();
        let project: ProjectName = "acme-tools".parse().unwrap();
        assert!(claims.of(&project).is_none() && !claims.own(&project, &page_target(&project)));
        let recently = list(vec![claim("other"), claim("acme-tools")]);
        claims.put(&name(RECENTLY_CLAIMED), recently);
        assert!(claims.of(&project).is_some() && !claims.is_sealed(&project));
        let mut sealed = claim("acme-tools");
        sealed.keys.threshold = 5;
        claims.put(&name(CLAIMED), list(vec![sealed]));
        assert_eq!(claims.of(&project).unwrap().1.keys.threshold, 5);
        claims.put(&name(CLAIMED), None);
        assert_eq!(claims.of(&project).unwrap().1.keys.threshold, 1);
        assert!(!claims.is_sealed(&project));
        claims.put(&name(RECENTLY_CLAIMED), list(vec![claim("other")]));
        assert!(!claims.own(&project, &page_target(&project)));
        assert_eq!(claims.projects().count(), 1);
    }

    /// Nothing that the index signs itself may answer for what somebody else was given, whatever the
    /// delegation looks like.
    #[test]
    fn a_delegation_in_another_form_owns_its_paths_as_well() {
        let mut claims = Claims::default();
        let (one, two) = ("one".parse().unwrap(), "two".parse().unwrap());
        let foreign = role("somebody", &["simple/o*/*"]);
        claims.put(&name(CLAIMED), list(vec![foreign]));
        assert!(claims.own(&one, &page_target(&one)) && claims.of(&one).is_none());
        assert!(!claims.own(&two, &page_target(&two)));
    }

    #[test]
    fn a_claim_that_moves_to_a_shard_is_found_in_whichever_order_the_lists_come() {
        let project: ProjectName = "acme-tools".parse().unwrap();
        let (top, shard) = (name(RECENTLY_CLAIMED), name("recently-claimed-a"));
        let keys = claim("acme-tools").keys;
        let delegated = DelegatedRole::shard(&top, "a", Covers::Beginning, keys).unwrap();
        for shard_first in [true, false] {
            let mut claims = Claims::default();
            claims.put(&top, list(vec![claim("acme-tools")]));
            assert_eq!(claims.lists_for(&project), std::slice::from_ref(&top));
            let mut next = [
                (&shard, list(vec![claim("acme-tools")])),
                (&top, list(vec![delegated.clone()])),
            ];
            if !shard_first {
                next.reverse();
            }
            for (of, below) in next {
                claims.put(of, below);
            }
            assert!(claims.of(&project).is_some());
            assert_eq!(claims.lists_for(&project), [top.clone(), shard.clone()]);
            assert!(
                claims.keys_of(&shard).is_some() && claims.keys_of(&name("claimed-a")).is_none()
            );
            // The list of shards owns nothing itself.
            let other = "another".parse().unwrap();
            assert!(!claims.own(&other, &page_target(&other)));
        }
    }

    proptest! {
        /// After any changes of the lists, what is found by name is what looking through them finds.
        #[test]
        fn the_index_follows_the_lists(
            changes in proptest::collection::vec(
                (any::<bool>(), proptest::collection::btree_set(0_u8..12, 0..8)), 1..12,
            ),
        ) {
            let mut claims = Claims::default();
            let mut lists = BTreeMap::new();
            for (is_sealed, projects) in changes {
                let of = name(if is_sealed { CLAIMED } else { RECENTLY_CLAIMED });
                let roles = projects.iter().map(|number| claim(&format!("p{number}")));
                claims.put(&of, list(roles.collect()));
                lists.insert(is_sealed, projects);
            }
            for number in 0_u8..12 {
                let project: ProjectName = format!("p{number}").parse().unwrap();
                let is_in = |of: bool| lists.get(&of).is_some_and(|known| known.contains(&number));
                prop_assert_eq!(claims.is_sealed(&project), is_in(true));
                let found = claims.of(&project).map(|(_, role)| role.name.to_string());
                let expected = is_in(true) || is_in(false);
                prop_assert_eq!(found, expected.then(|| format!("project-{project}")));
            }
        }
    }
}
