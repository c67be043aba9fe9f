//! One verified state of an index, as far as two of them are compared by it.
//!
//! Of each role its version and its file's digest, of each delegation whose signatures it asks for, and of
//! each page and file a digest. Contents are looked at later, and of those pages alone that differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, Handovers, RoleKeys, RoleName, Root, Sha256,
    Snapshot, Visited,
};

use crate::plan::{ClaimKeys, Signer, VersionedFile};

/// The role whose delegations an offline key signs.
const CLAIMED: &str = "claimed";

/// The role whose delegations the online key signs.
const RECENTLY_CLAIMED: &str = "recently-claimed";

/// An object that a state signs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The digest after which the tree names it.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub length: u64,
    /// Who signs it.
    pub by: Signer,
}

/// A verified state of an index.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) snapshot: u64,
    /// The version of every role that the snapshot lists, by the name there.
    pub(crate) versions: BTreeMap<String, u64>,
    /// The file of every role that was read.
    pub(crate) files: BTreeMap<RoleName, VersionedFile>,
    /// Whose signatures each top-level role needs.
    pub(crate) top: BTreeMap<RoleName, Keys>,
    /// Delegations by who delegates and to whom, but those to projects and to shards of claims.
    pub(crate) delegations: BTreeMap<RoleName, BTreeMap<String, Delegated>>,
    pub(crate) claims: BTreeMap<ProjectName, Claim>,
    pub(crate) pages: BTreeMap<ProjectName, Signed>,
    pub(crate) lists: BTreeMap<ProjectName, Signed>,
    pub(crate) targets: HashMap<(ProjectName, Box<str>), Signed>,
    pub(crate) unreadable: BTreeMap<RoleName, String>,
    /// What changed hands in projects' own roles.
    pub(crate) handovers: BTreeMap<ProjectName, Handovers>,
}

/// Whose signatures a role needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) keyids: BTreeSet<String>,
    pub(crate) threshold: u32,
}

/// A delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delegated {
    pub(crate) keys: Keys,
    pub(crate) terminating: bool,
    /// The paths, in words.
    pub(crate) paths: String,
}

/// That a project signs for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) sealed: bool,
    pub(crate) keys: Keys,
}

impl Keys {
    fn of(keys: &RoleKeys) -> Self {
        let ids = keys.keyids.iter().map(|id| id.as_str().to_owned());
        Self {
            keyids: ids.collect(),
            threshold: keys.threshold,
        }
    }

    pub(crate) fn of_claim(&self) -> ClaimKeys {
        ClaimKeys {
            keyids: self.keyids.iter().cloned().collect(),
            threshold: self.threshold,
        }
    }
}

impl State {
    /// A state of which the roles below `targets` are to be [added](Self::visit).
    #[must_use]
    pub fn new(root: &Root, snapshot: &Snapshot) -> Self {
        let top = [
            (RoleName::root(), &root.roles.root),
            (RoleName::timestamp(), &root.roles.timestamp),
            (RoleName::snapshot(), &root.roles.snapshot),
            (RoleName::targets(), &root.roles.targets),
        ];
        let versions = snapshot.meta.iter();
        Self {
            snapshot: snapshot.version,
            versions: versions
                .map(|(name, meta)| (name.clone(), meta.version))
                .collect(),
            files: BTreeMap::new(),
            top: top.map(|(role, keys)| (role, Keys::of(keys))).into(),
            delegations: BTreeMap::new(),
            claims: BTreeMap::new(),
            pages: BTreeMap::new(),
            lists: BTreeMap::new(),
            targets: HashMap::new(),
            unreadable: BTreeMap::new(),
            handovers: BTreeMap::new(),
        }
    }

    /// Takes in the file of a role that was read and verified.
    pub fn file(&mut self, role: &RoleName, file: VersionedFile) {
        self.files.insert(role.clone(), file);
    }

    /// Takes in whom a role delegates to. Roles are to come in the order of a search: of two that delegate to
    /// one project, the first one's word holds.
    pub fn visit(&mut self, visited: &Visited) {
        let role = visited.role();
        if let Some(project) = own_project(role)
            && let Ok(handovers) = visited.metadata().handovers(role)
            && !handovers.is_empty()
        {
            self.handovers.insert(project, handovers);
        }
        let Some(below) = &visited.metadata().delegations else {
            return;
        };
        match &below.roles {
            DelegatedRoles::Listed(roles) => {
                for delegated in roles {
                    self.delegated(role, delegated, below);
                }
            }
            DelegatedRoles::Succinct(bins) => {
                let delegated = Delegated {
                    keys: Keys::of(&bins.keys),
                    terminating: false,
                    paths: format!("{} bins", bins.count()),
                };
                let name = format!("{}-*", bins.name_prefix());
                self.under(role).insert(name, delegated);
            }
        }
    }

    fn delegated(&mut self, by: &RoleName, to: &DelegatedRole, below: &Delegations) {
        let list = [CLAIMED, RECENTLY_CLAIMED].into_iter();
        let mut list = list.filter_map(|name| name.parse::<RoleName>().ok());
        let list = list.find(|list| by == list || by.shard_of(list).is_some());
        if let Some(list) = list {
            // One in another form is no claim: it is told of as what it is.
            if let Some(project) = own_project(&to.name).filter(|_| to.is_claim()) {
                let claim = Claim {
                    sealed: list.as_str() == CLAIMED,
                    keys: Keys::of(&to.keys),
                };
                self.claims.entry(project).or_insert(claim);
                return;
            }
            if to.as_shard(&list).is_some() {
                // Shards come with the claims in them. Whose signatures they need is told of once.
                let shards = Delegated {
                    keys: Keys::of(&to.keys),
                    terminating: false,
                    paths: "shards".to_owned(),
                };
                self.under(by).insert(format!("{list}-*"), shards);
                return;
            }
        }
        let mut delegated = Delegated {
            keys: Keys::of(&to.keys),
            terminating: to.terminating,
            paths: paths(to),
        };
        // Bins by lists of prefixes: all of them have the keys of the family, or it is told of.
        let family = format!("{by}-");
        let is_bin = to.name.as_str().starts_with(&family);
        let name = match is_bin {
            false => to.name.as_str().to_owned(),
            true => {
                let own = self.delegations.get(by);
                let usual = format!("{by}-*");
                let same = own.and_then(|own| own.get(&usual));
                let DelegatedRoles::Listed(all) = &below.roles else {
                    return;
                };
                delegated.paths = format!("{} bins", all.len());
                match same.is_none_or(|same| same.keys == delegated.keys) {
                    true => usual,
                    false => to.name.as_str().to_owned(),
                }
            }
        };
        self.under(by).insert(name, delegated);
    }

    fn under(&mut self, by: &RoleName) -> &mut BTreeMap<String, Delegated> {
        self.delegations.entry(by.clone()).or_default()
    }

    /// Takes in a role that is delegated to and that cannot be had as it was signed, with the reason. Nothing
    /// is known of what it lists.
    pub fn unreadable(&mut self, role: &RoleName, why: &str) {
        self.unreadable.insert(role.clone(), why.to_owned());
    }

    /// Takes in the page of a project. Of two, the first one holds.
    pub fn page(&mut self, project: ProjectName, page: Signed) {
        self.pages.entry(project).or_insert(page);
    }

    /// Takes in what is taken away from a project. Of two lists, the first one holds.
    pub fn list(&mut self, project: ProjectName, list: Signed) {
        self.lists.entry(project).or_insert(list);
    }

    /// Takes in a distribution file. Of two of one name, the first one holds.
    pub fn target(&mut self, project: ProjectName, filename: String, file: Signed) {
        let key = (project, filename.into_boxed_str());
        self.targets.entry(key).or_insert(file);
    }

    /// Every page that the state signs for, by project.
    pub fn pages(&self) -> impl Iterator<Item = (&ProjectName, &Signed)> {
        self.pages.iter()
    }

    /// Every list of what is taken away, by project.
    pub fn lists(&self) -> impl Iterator<Item = (&ProjectName, &Signed)> {
        self.lists.iter()
    }

    /// Whether the file of a role was taken in.
    #[must_use]
    pub fn has_read(&self, role: &RoleName) -> bool {
        self.files.contains_key(role)
    }

    /// How many distribution files there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.targets.len()
    }
}

/// The project whose own role this is.
fn own_project(role: &RoleName) -> Option<ProjectName> {
    role.as_str().strip_prefix("project-")?.parse().ok()
}

fn paths(role: &DelegatedRole) -> String {
    match &role.paths {
        wheelmark_tuf::PathSet::Patterns(patterns) => {
            let patterns: Vec<&str> = patterns.iter().map(|pattern| pattern.as_str()).collect();
            patterns.join(", ")
        }
        wheelmark_tuf::PathSet::HashPrefixes(prefixes) => prefixes.join(", "),
    }
}
