//! Shards: how a list of claims is split by the first letters of projects' names when it grows.
//!
//! ```text
//! recently-claimed ─▶ project-flask · project-pip · project-py · project-pyyaml
//!
//! recently-claimed ─▶ recently-claimed-f   simple/f*/*      ─▶ project-flask
//!                  ├▶ recently-claimed-p   simple/p/*       ─▶ (the project p alone)
//!                  ├▶ recently-claimed-pi  simple/pi*/*     ─▶ project-pip
//!                  └▶ recently-claimed-py  simple/py*/*     ─▶ project-py · project-pyyaml
//! ```
//!
//! A list is a role that delegates to the roles of projects (PEP 480, *claimed* and
//! *recently-claimed*). Clients read 5,000,000 bytes of a role, and whoever looks for one project
//! fetches all of its list. So a list that has grown delegates to shards instead, and each of these to
//! the projects whose names begin as its own does. A shard that has grown in its turn keeps the one
//! project that is called like its prefix, and leaves the others to shards with one letter more. All
//! of them stand in the list itself, side by side: a search goes through two roles however many there
//! are. No two cover one name, and whatever is not there yet is made when a project needs it.
//!
//! The delegations to shards do not end a search; those to projects do. So what no shard knows is
//! looked for behind the list, as before. A shard that the snapshot does not list is an error, as
//! every role is.

use std::collections::BTreeMap;

use crate::key::{Key, KeyId};
use crate::model::{DelegatedRole, DelegatedRoles, Delegations, PathPattern, PathSet, RoleKeys};
use crate::name::{ParseRoleNameError, RoleName};

/// Bytes of a list or a shard of it beyond which it is split, unless an index says otherwise: some
/// thousand claims. Ours: a fresh client fetches that much to see whether one project is claimed.
pub const SPLIT_CLAIMS_ABOVE: usize = 512 * 1024;

/// The longest prefix of a shard: projects' names are not longer.
const MAX_PREFIX_LEN: usize = 200;

/// Which names a shard covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// All that begin with its prefix.
    Beginning,
    /// Its prefix alone: the others have shards of their own.
    Exactly,
}

impl RoleName {
    /// The shard of `list` for projects whose names begin with `prefix`: `LIST-PREFIX`.
    ///
    /// # Errors
    ///
    /// When no name of a project begins like that.
    pub fn of_shard(list: &Self, prefix: &str) -> Result<Self, ParseRoleNameError> {
        let name: RoleName = format!("{list}-{prefix}", list = list.as_str()).parse()?;
        match name.shard_of(list) {
            Some(_) => Ok(name),
            None => Err(ParseRoleNameError),
        }
    }

    /// The prefix, where this is the name of a shard of `list`. It says what the role is called, and
    /// not that `list` delegates to it.
    pub fn shard_of(&self, list: &Self) -> Option<&str> {
        let prefix = self
            .as_str()
            .strip_prefix(list.as_str())?
            .strip_prefix('-')?;
        let mut letters = prefix.bytes();
        let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let begins = letters.next().is_some_and(is_alphanumeric);
        let goes_on = letters.all(|b| is_alphanumeric(b) || b == b'-');
        let is_prefix = begins && goes_on && prefix.len() <= MAX_PREFIX_LEN;
        // Normalised names have no two hyphens in a row (PEP 503).
        (is_prefix && !prefix.contains("--")).then_some(prefix)
    }
}

impl DelegatedRole {
    /// The delegation of `list` to a shard that `keys` sign.
    ///
    /// # Errors
    ///
    /// When no name of a project begins with `prefix`.
    pub fn shard(
        list: &RoleName,
        prefix: &str,
        covers: Covers,
        keys: RoleKeys,
    ) -> Result<Self, ParseRoleNameError> {
        Ok(Self {
            name: RoleName::of_shard(list, prefix)?,
            keys,
            terminating: false,
            paths: paths(prefix, covers),
        })
    }

    /// The prefix and what it covers, where this is a delegation of `list` to a shard in the one form
    /// in which an index writes it.
    pub fn as_shard(&self, list: &RoleName) -> Option<(&str, Covers)> {
        let prefix = self.name.shard_of(list)?;
        let covers = [Covers::Beginning, Covers::Exactly];
        let mut covers = covers.into_iter();
        let covers = covers.find(|covers| self.paths == paths(prefix, *covers))?;
        (!self.terminating && self.keys.extra.is_empty()).then_some((prefix, covers))
    }
}

fn paths(prefix: &str, covers: Covers) -> PathSet {
    let star = match covers {
        Covers::Beginning => "*",
        Covers::Exactly => "",
    };
    let paths = ["simple", "packages"].map(|below| format!("{below}/{prefix}{star}/*"));
    PathSet::Patterns(paths.into_iter().map(PathPattern::from).collect())
}

/// Which shards a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shards(BTreeMap<String, Covers>);

impl Shards {
    /// Those that `list` delegates to; none where it delegates to projects itself.
    pub fn of(list: &RoleName, below: &Delegations) -> Option<Self> {
        let DelegatedRoles::Listed(roles) = &below.roles else {
            return None;
        };
        let shards = roles.iter().filter_map(|role| {
            let (prefix, covers) = role.as_shard(list)?;
            Some((prefix.to_owned(), covers))
        });
        let shards: BTreeMap<_, _> = shards.collect();
        (!shards.is_empty()).then_some(Self(shards))
    }

    /// The prefix of the shard that covers a project of this name. Where there is none yet, it is the
    /// prefix of the one that has to be made, which covers all that begin with it.
    pub fn prefix_for<'a>(&self, project: &'a str) -> &'a str {
        let ends = project.char_indices().skip(1).map(|(end, _)| end);
        let mut prefixes = ends.map(|end| &project[..end]);
        let leaves = |prefix: &&str| self.0.get(*prefix) != Some(&Covers::Exactly);
        prefixes.find(leaves).unwrap_or(project)
    }
}

/// Takes out of a list, or of its shard for `prefix`, what shards with one letter more are to hold; by
/// their prefixes. What stays is the project that is called `prefix`, and what is no project's.
///
/// `prefix` is empty for a list that has no shards yet.
pub fn split_claims(below: &mut Delegations, prefix: &str) -> BTreeMap<String, Delegations> {
    let mut shards: BTreeMap<String, Delegations> = BTreeMap::new();
    let DelegatedRoles::Listed(roles) = &mut below.roles else {
        return shards;
    };
    let mut left = Vec::new();
    for role in std::mem::take(roles) {
        let next = role.name.project().and_then(|project| {
            let rest = project.strip_prefix(prefix)?;
            let letter = rest.chars().next()?;
            Some(&project[..prefix.len() + letter.len_utf8()])
        });
        let Some(next) = next else {
            left.push(role);
            continue;
        };
        let shard = shards
            .entry(next.to_owned())
            .or_insert_with(|| Delegations {
                keys: BTreeMap::new(),
                roles: DelegatedRoles::Listed(Vec::new()),
                extra: BTreeMap::new(),
            });
        shard.keys.extend(keys_of(&below.keys, &role));
        if let DelegatedRoles::Listed(roles) = &mut shard.roles {
            roles.push(role);
        }
    }
    let named: BTreeMap<KeyId, Key> = left
        .iter()
        .flat_map(|role| keys_of(&below.keys, role).collect::<Vec<_>>())
        .collect();
    below.keys = named;
    *roles = left;
    shards
}

fn keys_of<'a>(
    known: &'a BTreeMap<KeyId, Key>,
    role: &'a DelegatedRole,
) -> impl Iterator<Item = (KeyId, Key)> + 'a {
    let ids = role.keys.keyids.iter();
    ids.filter_map(|id| Some((id.clone(), known.get(id)?.clone())))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::name::TargetPath;

    fn list() -> RoleName {
        "recently-claimed".parse().unwrap()
    }

    fn claim(project: &str, key: &Key) -> DelegatedRole {
        let paths = ["simple", "packages"].map(|below| format!("{below}/{project}/*"));
        DelegatedRole {
            name: RoleName::of_project(project).unwrap(),
            keys: RoleKeys::new([key], 1),
            terminating: true,
            paths: PathSet::Patterns(paths.into_iter().map(PathPattern::from).collect()),
        }
    }

    fn listed(below: &Delegations) -> &[DelegatedRole] {
        match &below.roles {
            DelegatedRoles::Listed(roles) => roles,
            DelegatedRoles::Succinct(_) => &[],
        }
    }

    /// Splits as an index does, until no list has more than `most` projects: the shards, with what they
    /// cover and hold.
    fn partition(
        projects: &BTreeSet<String>,
        most: usize,
    ) -> BTreeMap<String, (Covers, Delegations)> {
        let key = Key::ed25519([7; 32]);
        let roles = projects
            .iter()
            .map(|project| claim(project, &key))
            .collect();
        let mut top = Delegations {
            keys: BTreeMap::from([(key.keyid().clone(), key)]),
            roles: DelegatedRoles::Listed(roles),
            extra: BTreeMap::new(),
        };
        let mut shards = BTreeMap::new();
        let mut open: Vec<_> = split_claims(&mut top, "").into_iter().collect();
        assert!(listed(&top).is_empty() && top.keys.is_empty());
        while let Some((prefix, mut below)) = open.pop() {
            let mut covers = Covers::Beginning;
            if listed(&below).len() > most {
                covers = Covers::Exactly;
                open.extend(split_claims(&mut below, &prefix));
            }
            shards.insert(prefix, (covers, below));
        }
        shards
    }

    /// PEP 503: lower-case letters and digits, with single hyphens between them.
    const NAME: &str = "[a-c0-1]{1,2}(-?[a-c0]{1,2}){0,3}";

    proptest! {
        /// Whatever a list was split for, every name has one shard, and the projects that were there
        /// are in theirs.
        #[test]
        fn shards_partition_the_names(
            projects in proptest::collection::btree_set(NAME, 1..30),
            others in proptest::collection::vec("[a-z0-9]{1,2}(-?[a-z0-9]{1,3}){0,3}", 1..20),
            most in 1_usize..6,
        ) {
            let shards = partition(&projects, most);
            let keys = RoleKeys::new([&Key::ed25519([8; 32])], 1);
            let delegated: Vec<DelegatedRole> = shards
                .iter()
                .map(|(prefix, (covers, _))| {
                    DelegatedRole::shard(&list(), prefix, *covers, keys.clone()).unwrap()
                })
                .collect();
            for (role, (prefix, (covers, _))) in delegated.iter().zip(&shards) {
                prop_assert_eq!(role.as_shard(&list()), Some((prefix.as_str(), *covers)));
                prop_assert!(!role.is_claim());
            }
            let below = Delegations {
                keys: BTreeMap::new(),
                roles: DelegatedRoles::Listed(delegated.clone()),
                extra: BTreeMap::new(),
            };
            let known = Shards::of(&list(), &below).unwrap();
            for project in projects.iter().chain(&others) {
                for path in [format!("simple/{project}/index.json"), format!("packages/{project}/x")] {
                    let path: TargetPath = path.parse().unwrap();
                    let covering = delegated.iter().filter(|role| role.paths.contains(&path));
                    let covering: Vec<&str> =
                        covering.map(|role| role.name.shard_of(&list()).unwrap()).collect();
                    let prefix = known.prefix_for(project);
                    match shards.contains_key(prefix) {
                        true => prop_assert_eq!(&covering, &[prefix], "{}", project),
                        // One that is made now covers it, and nothing that another one does.
                        false => {
                            prop_assert!(covering.is_empty(), "{project}: {covering:?}");
                            prop_assert!(project.starts_with(prefix));
                            let made = shards.keys().filter(|other| other.starts_with(prefix));
                            prop_assert_eq!(made.count(), 0);
                        }
                    }
                }
            }
            for project in &projects {
                let (_, below) = &shards[known.prefix_for(project)];
                let role = listed(below).iter().find(|role| role.name.project() == Some(project));
                prop_assert!(below.keys.contains_key(&role.unwrap().keys.keyids[0]));
            }
            let held: usize = shards.values().map(|(_, below)| listed(below).len()).sum();
            prop_assert_eq!(held, projects.len());
            let fits = |(_, below): &(Covers, Delegations)| listed(below).len() <= most;
            prop_assert!(shards.values().all(fits));
        }
    }

    #[test]
    fn only_the_beginnings_of_names_are_shards() {
        for prefix in ["p", "py", "py-", "py-t", "0"] {
            let name = RoleName::of_shard(&list(), prefix).unwrap();
            assert_eq!(name.as_str(), format!("recently-claimed-{prefix}"));
            assert_eq!(name.shard_of(&list()), Some(prefix));
            assert_eq!(name.shard_of(&"claimed".parse().unwrap()), None);
            assert_eq!(name.project(), None);
        }
        let long = "a".repeat(201);
        for prefix in ["", "-", "-p", "P", "p*", "p/", "p--y", "ä", &long] {
            assert!(RoleName::of_shard(&list(), prefix).is_err(), "{prefix}");
        }
    }

    #[test]
    fn what_an_index_does_not_write_is_no_shard() {
        let keys = RoleKeys::new([&Key::ed25519([8; 32])], 1);
        let good = DelegatedRole::shard(&list(), "p", Covers::Beginning, keys).unwrap();
        let refused = |change: &dyn Fn(&mut DelegatedRole)| {
            let mut role = good.clone();
            change(&mut role);
            assert_eq!(role.as_shard(&list()), None, "{role:?}");
        };
        refused(&|role| role.terminating = true);
        refused(&|role| role.paths = paths("q", Covers::Beginning));
        refused(&|role| role.name = "recently-claimed-q".parse().unwrap());
        refused(&|role| drop(role.keys.extra.insert("more".to_owned(), 1.into())));
        assert_eq!(good.as_shard(&"claimed".parse().unwrap()), None);
    }
}
