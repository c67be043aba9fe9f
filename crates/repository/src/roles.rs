//! The roles of an index, the order in which they are asked, and what each may speak for.
//!
//! ```text
//! targets ─▶ claimed ─▶ project-<name> · recently-claimed ─▶ project-<name> · simple ─▶ simple-<bin> · packages ─▶ packages-<bin> · status
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{ClaimedKey, NewClaim};
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, Key, KeyId, KeySet, OWN_MEMBER, PathPattern,
    PathSet, RoleKeys, RoleName, TargetPath,
};

pub use wheelmark_tuf::{BinForm, Bins, BinsError, MOST_BINS};

/// Projects claimed by their developers, delegated with an offline key (PEP 480, *claimed*).
pub const CLAIMED: &str = "claimed";
/// Projects claimed since the last ceremony, delegated with the online key (PEP 480,
/// *recently-claimed*).
pub const RECENTLY_CLAIMED: &str = "recently-claimed";
/// Delegates every simple page of unclaimed projects to bins (PEP 458, *bins*).
pub const SIMPLE: &str = "simple";
/// Delegates every file of unclaimed projects to bins (PEP 458, *bins*).
pub const PACKAGES: &str = "packages";
/// What the index takes away from claimed projects.
pub const STATUS: &str = "status";

/// How the role of a claimed project begins; its name follows.
const PROJECT_PREFIX: &str = "project-";

/// The role by which a project's own people sign.
pub fn project_role(project: &ProjectName) -> RoleName {
    role_name(&format!("{PROJECT_PREFIX}{project}"))
}

/// The project whose own role this is.
pub fn project_of_role(role: &RoleName) -> Option<ProjectName> {
    role.as_str().strip_prefix(PROJECT_PREFIX)?.parse().ok()
}

/// The delegation to a project's own role: all of its paths and no others, and nobody else is asked
/// for them.
pub(crate) fn claim(
    project: &ProjectName,
    keys: &[Key],
    claim: &NewClaim,
    at: Timestamp,
) -> DelegatedRole {
    let mut role_keys = RoleKeys::new(keys, claim.threshold);
    let maintainers: serde_json::Map<String, serde_json::Value> = claim
        .keys
        .iter()
        .map(|key| (key.keyid.clone(), key.maintainer.as_str().into()))
        .collect();
    let own = json!({ "claimed-at": at.to_string(), "maintainers": maintainers });
    role_keys.extra.insert(OWN_MEMBER.to_owned(), own);
    let paths = [
        format!("simple/{project}/*"),
        format!("packages/{project}/*"),
    ];
    DelegatedRole {
        name: project_role(project),
        keys: role_keys,
        terminating: true,
        paths: PathSet::Patterns(paths.into_iter().map(PathPattern::from).collect()),
    }
}

/// The same delegation with other keys; whose those are that come in is in `added`.
pub(crate) fn handed_over(
    delegated: &DelegatedRole,
    to: &KeySet,
    added: &[ClaimedKey],
    at: Timestamp,
) -> DelegatedRole {
    let mut role = delegated.clone();
    let known = delegated.keys.extra.get(OWN_MEMBER);
    let known = known.and_then(|own| own.get("maintainers"));
    let name = |id: &KeyId| {
        let new = added.iter().find(|key| key.keyid == id.as_str());
        let new = new.map(|key| key.maintainer.as_str());
        new.or_else(|| known?.get(id.as_str())?.as_str())
    };
    let maintainers: serde_json::Map<String, serde_json::Value> = to
        .keys()
        .keys()
        .filter_map(|id| Some((id.as_str().to_owned(), name(id)?.into())))
        .collect();
    let extra = std::mem::take(&mut role.keys.extra);
    role.keys = to.role_keys();
    role.keys.extra = extra;
    let own = role.keys.extra.entry(OWN_MEMBER.to_owned()).or_default();
    if !own.is_object() {
        *own = json!({});
    }
    own["maintainers"] = maintainers.into();
    own["keys-since"] = at.to_string().into();
    role
}

/// The same delegation with the keys that take the place of those that were lost.
pub(crate) fn recovered(
    delegated: &DelegatedRole,
    keys: &[Key],
    recovers: &NewClaim,
    at: Timestamp,
) -> Option<DelegatedRole> {
    let to = KeySet::new(keys.iter().cloned(), recovers.threshold).ok()?;
    Some(handed_over(delegated, &to, &recovers.keys, at))
}

/// One of the two families of bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Simple pages: `simple/<project>/index.json`.
    Simple,
    /// Distribution files: `packages/<project>/<file>`.
    Packages,
}

impl Family {
    /// Both, in the order in which `targets` delegates to them.
    pub const ALL: [Self; 2] = [Self::Simple, Self::Packages];

    /// The name of the role that delegates to the bins; also the prefix of the bins' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => SIMPLE,
            Self::Packages => PACKAGES,
        }
    }
}

/// The bins of an index that says nothing about it. Each project that a client installs costs it
/// the project's bin, so an install of many projects fetches nearly all there are: 200 projects
/// lie in 61 of 64 bins, and in 139 of 256. A bin of 64 stays as small as one of PyPI's 16,384
/// (46 pages, some 3 kB compressed) up to about 3,000 projects.
pub const USUAL_BINS: u32 = 64;

/// The delegations of `targets`: all five exist from the first ceremony, so that `targets`,
/// whose keys are offline, need not change when the first project is claimed. A role that
/// `offline` does not name is signed by the online key alone.
pub(crate) fn top_delegations(
    offline: &BTreeMap<&'static str, (Vec<Key>, RoleKeys)>,
    online: &Key,
) -> Delegations {
    let mut keys = BTreeMap::from([(online.keyid().clone(), online.clone())]);
    for key in offline.values().flat_map(|(keys, _)| keys) {
        keys.insert(key.keyid().clone(), key.clone());
    }
    let role = |name: &'static str, patterns: &[&str], terminating: bool| DelegatedRole {
        name: role_name(name),
        keys: match offline.get(name) {
            Some((_, keys)) => keys.clone(),
            None => RoleKeys::new([online], 1),
        },
        terminating,
        paths: PathSet::Patterns(patterns.iter().map(|p| PathPattern::from(*p)).collect()),
    };
    let both = ["simple/*/*", "packages/*/*"];
    Delegations {
        keys,
        roles: DelegatedRoles::Listed(vec![
            role(CLAIMED, &both, false),
            role(RECENTLY_CLAIMED, &both, false),
            role(SIMPLE, &both[..1], true),
            role(PACKAGES, &both[1..], true),
            role(STATUS, &["status/*"], true),
        ]),
        extra: BTreeMap::new(),
    }
}

/// A role name that the program itself wrote down.
pub(crate) fn role_name(name: &str) -> RoleName {
    name.parse().expect("the index's own role names are valid")
}

/// The bin that answers for a path, under the delegations of its family's role.
pub(crate) fn bin_for(delegations: &Delegations, path: &TargetPath) -> Option<RoleName> {
    match &delegations.roles {
        DelegatedRoles::Succinct(succinct) => Some(succinct.bin_for(path)),
        DelegatedRoles::Listed(roles) => roles
            .iter()
            .find(|role| role.paths.contains(path))
            .map(|role| role.name.clone()),
    }
}

/// The names of all bins under the delegations of a family's role.
pub(crate) fn bins_of(delegations: &Delegations) -> Vec<RoleName> {
    match &delegations.roles {
        DelegatedRoles::Succinct(succinct) => succinct.bins().collect(),
        DelegatedRoles::Listed(roles) => roles.iter().map(|role| role.name.clone()).collect(),
    }
}

/// The keys under which `delegations` name a role.
pub(crate) fn keys_of<'a>(delegations: &'a Delegations, role: &RoleName) -> Option<&'a RoleKeys> {
    match &delegations.roles {
        DelegatedRoles::Listed(roles) => roles.iter().find(|r| r.name == *role).map(|r| &r.keys),
        DelegatedRoles::Succinct(succinct) => role
            .as_str()
            .strip_prefix(succinct.name_prefix())
            .is_some_and(|bin| bin.starts_with('-'))
            .then_some(&succinct.keys),
    }
}
