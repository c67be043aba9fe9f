//! Delegation: which role a targets role trusts with which paths.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::fields::{self, Extra, Fields, ModelError};
use super::pattern::PathPattern;
use super::root::{RoleKeys, read_keys, write_keys};
use super::succinct::SuccinctRoles;
use crate::Sha256;
use crate::key::{Key, KeyId};
use crate::name::{RoleName, TargetPath};

/// The delegations of a targets role (TUF §4.5, `DELEGATIONS`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegations {
    /// All keys, under the ids that the file states; see [`Key::keyid`].
    pub keys: BTreeMap<KeyId, Key>,
    /// The roles, in the order in which they are searched.
    pub roles: DelegatedRoles,
    /// Unknown fields.
    pub extra: Extra,
}

/// The two ways in which roles are delegated to; one excludes the other (TAP 15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DelegatedRoles {
    /// Roles by name, with the paths of each; searched in this order.
    Listed(Vec<DelegatedRole>),
    /// Bins.
    Succinct(SuccinctRoles),
}

/// One role that is delegated to (TUF §4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegatedRole {
    /// Its name, which is not that of a top-level role.
    pub name: RoleName,
    /// Whose signatures it needs. Unknown fields of the delegation are in `keys.extra`.
    pub keys: RoleKeys,
    /// Whether a match here ends the whole search, found or not.
    pub terminating: bool,
    /// The paths it is trusted with.
    pub paths: PathSet,
}

/// The paths that a role is trusted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathSet {
    /// Patterns (`paths`).
    Patterns(Vec<PathPattern>),
    /// Prefixes of the SHA-256 of the path, in lower-case hexadecimal
    /// (`path_hash_prefixes`).
    HashPrefixes(Vec<String>),
}

impl PathSet {
    /// The first two segments that each path of the set begins with, where these stand in its patterns
    /// without wildcards: those of a project's own role are `simple/<name>` and `packages/<name>`. None where one
    /// path of the set may begin otherwise.
    pub(crate) fn folders(&self) -> Option<Vec<(&str, &str)>> {
        let PathSet::Patterns(patterns) = self else {
            return None;
        };
        let folders = patterns.iter().map(|pattern| {
            let folder = folder_of(pattern.as_str())?;
            let is_plain = |segment: &str| !segment.contains(['*', '?']);
            (is_plain(folder.0) && is_plain(folder.1)).then_some(folder)
        });
        folders.collect()
    }

    /// Whether the set holds `path`.
    pub fn contains(&self, path: &TargetPath) -> bool {
        match self {
            PathSet::Patterns(patterns) => patterns.iter().any(|p| p.matches(path.as_str())),
            PathSet::HashPrefixes(_) => {
                let digest = Sha256::of(path.as_str().as_bytes()).to_string();
                self.contains_hashed(path, &digest)
            }
        }
    }

    fn contains_hashed(&self, path: &TargetPath, digest: &str) -> bool {
        match self {
            PathSet::Patterns(patterns) => patterns.iter().any(|p| p.matches(path.as_str())),
            PathSet::HashPrefixes(prefixes) => prefixes.iter().any(|p| digest.starts_with(p)),
        }
    }
}

/// The first two segments of a path, or of a pattern for paths, if it has as many.
pub(crate) fn folder_of(path: &str) -> Option<(&str, &str)> {
    let mut segments = path.split('/');
    segments.next().zip(segments.next())
}

/// What a delegation says of one role that a path may be found in.
pub(crate) struct Candidate {
    pub(crate) name: RoleName,
    pub(crate) terminating: bool,
}

impl Delegations {
    /// The roles that are trusted with `path`, in the order in which they are searched.
    ///
    /// A bin is not terminating: TAP 15 lets the search go on behind it.
    pub(crate) fn candidates(&self, path: &TargetPath) -> Vec<Candidate> {
        match &self.roles {
            DelegatedRoles::Listed(roles) => {
                let digest = Sha256::of(path.as_str().as_bytes()).to_string();
                let trusted = roles
                    .iter()
                    .filter(|role| role.paths.contains_hashed(path, &digest));
                let candidate = |role: &DelegatedRole| Candidate {
                    name: role.name.clone(),
                    terminating: role.terminating,
                };
                trusted.map(candidate).collect()
            }
            DelegatedRoles::Succinct(bins) => {
                vec![Candidate {
                    name: bins.bin_for(path),
                    terminating: false,
                }]
            }
        }
    }

    /// Whether a match at this role ends the whole search. A bin never does (TAP 15).
    pub fn is_terminating(&self, name: &RoleName) -> bool {
        match &self.roles {
            DelegatedRoles::Listed(roles) => {
                let mut roles = roles.iter();
                roles.any(|role| role.name == *name && role.terminating)
            }
            DelegatedRoles::Succinct(_) => false,
        }
    }

    /// Whose signatures a role that is delegated to needs.
    pub fn role_keys(&self, name: &RoleName) -> Option<&RoleKeys> {
        match &self.roles {
            DelegatedRoles::Listed(roles) => {
                let role = roles.iter().find(|role| role.name == *name)?;
                Some(&role.keys)
            }
            DelegatedRoles::Succinct(bins) => Some(&bins.keys),
        }
    }

    pub(super) fn from_value(value: Value) -> Result<Self, ModelError> {
        let mut fields = Fields::of(value, "delegations")?;
        let keys = read_keys(&mut fields)?;
        let roles = match (
            fields.take_optional("roles"),
            fields.take_optional("succinct_roles"),
        ) {
            (Some(listed), None) => DelegatedRoles::Listed(read_listed(listed)?),
            (None, Some(bins)) => DelegatedRoles::Succinct(SuccinctRoles::from_value(bins)?),
            _ => {
                return Err(ModelError::ExactlyOne {
                    one: "roles",
                    other: "succinct_roles",
                });
            }
        };
        Ok(Delegations {
            keys,
            roles,
            extra: fields.rest(),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let mut object = fields::object(&self.extra);
        object.insert("keys".to_owned(), write_keys(&self.keys));
        match &self.roles {
            DelegatedRoles::Listed(roles) => {
                let roles: Vec<_> = roles.iter().map(DelegatedRole::to_value).collect();
                object.insert("roles".to_owned(), roles.into());
            }
            DelegatedRoles::Succinct(bins) => {
                object.insert("succinct_roles".to_owned(), bins.to_value());
            }
        }
        object.into()
    }
}

fn read_listed(listed: Value) -> Result<Vec<DelegatedRole>, ModelError> {
    let listed = fields::array(listed, "roles")?;
    let roles: Vec<_> = listed
        .into_iter()
        .map(DelegatedRole::from_value)
        .collect::<Result<_, _>>()?;
    let mut names = HashSet::with_capacity(roles.len());
    for role in &roles {
        if !names.insert(&role.name) {
            return Err(ModelError::DuplicateRole {
                role: role.name.clone(),
            });
        }
    }
    Ok(roles)
}

impl DelegatedRole {
    fn from_value(value: Value) -> Result<Self, ModelError> {
        let mut fields = Fields::of(value, "roles")?;
        let name: RoleName = fields
            .string("name")?
            .parse()
            .map_err(|_| ModelError::Invalid {
                field: "name",
                expected: "the name of a role",
            })?;
        if name.is_top_level() {
            return Err(ModelError::TopLevelDelegation { role: name });
        }
        let mut keys = RoleKeys::take(&mut fields)?;
        let terminating = fields.bool("terminating")?;
        let paths = match (
            fields.take_optional("paths"),
            fields.take_optional("path_hash_prefixes"),
        ) {
            (Some(patterns), None) => PathSet::Patterns(
                strings(patterns, "paths")?
                    .into_iter()
                    .map(PathPattern::from)
                    .collect(),
            ),
            (None, Some(prefixes)) => PathSet::HashPrefixes(read_prefixes(prefixes)?),
            _ => {
                return Err(ModelError::ExactlyOne {
                    one: "paths",
                    other: "path_hash_prefixes",
                });
            }
        };
        keys.extra = fields.rest();
        Ok(DelegatedRole {
            name,
            keys,
            terminating,
            paths,
        })
    }

    fn to_value(&self) -> Value {
        let mut object: Map<_, _> = fields::object(&self.keys.extra);
        object.insert("name".to_owned(), self.name.as_str().into());
        self.keys.write(&mut object);
        object.insert("terminating".to_owned(), self.terminating.into());
        match &self.paths {
            PathSet::Patterns(patterns) => {
                let patterns: Vec<_> = patterns.iter().map(PathPattern::as_str).collect();
                object.insert("paths".to_owned(), patterns.into());
            }
            PathSet::HashPrefixes(prefixes) => {
                object.insert("path_hash_prefixes".to_owned(), prefixes.clone().into());
            }
        }
        object.into()
    }
}

fn read_prefixes(value: Value) -> Result<Vec<String>, ModelError> {
    let field = "path_hash_prefixes";
    let prefixes = strings(value, field)?;
    let hexadecimal = |prefix: &String| {
        prefix.len() <= 64
            && prefix
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if !prefixes.iter().all(hexadecimal) {
        return Err(ModelError::Invalid {
            field,
            expected: "lower-case hexadecimal",
        });
    }
    Ok(prefixes)
}

fn strings(value: Value, field: &'static str) -> Result<Vec<String>, ModelError> {
    fields::array(value, field)?
        .into_iter()
        .map(|item| fields::string(item, field))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_that_no_path_of_the_set_can_leave() {
        let set = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|p| PathPattern::from(*p));
            PathSet::Patterns(patterns.collect())
        };
        let own = set(&["simple/a/*", "packages/a/*"]);
        assert_eq!(
            own.folders(),
            Some(vec![("simple", "a"), ("packages", "a")])
        );
        assert_eq!(set(&["simple/a"]).folders(), Some(vec![("simple", "a")]));
        for open in ["simple/*/*", "simple/a?/*", "s*/a/*", "simple"] {
            assert_eq!(set(&["simple/a/*", open]).folders(), None, "{open}");
        }
        assert_eq!(PathSet::HashPrefixes(vec!["a".to_owned()]).folders(), None);
    }
}
