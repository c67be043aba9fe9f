//! Claims (PEP 480): which of them go over to the offline key, and from which its word is taken back.
//!
//! ```text
//! recently-claimed, as the online key signed it ─▶ Claims ─┐
//! the roles of projects, as their people signed them ──────┤
//!                                                          ├─ in_claimed ─▶ what claimed says next
//! ClaimChanges: which projects, how old at least ──────────┘
//! ```
//!
//! A sealed project whose people have handed over to other keys is a third thing ([`handed_over`]): there
//! the online key says nothing, since the sealed keys themselves say who comes next.
//!
//! What the online key says of a claim is taken over as it is, or not at all: a delegation that is not
//! in the form in which an index writes one, or whose keys are the index's own, is signed by nobody.
//! Since when the keys stand is the online key's word, too; whoever seals claims is told so.

mod handed_over;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wheelmark_tuf::{
    ClaimMarks, DelegatedRole, DelegatedRoles, Delegations, Key, KeyId, OWN_MEMBER, Role as _,
    RoleName, Targets, Verified, VerifyError, canonical, verify,
};

pub use self::handed_over::HandedOver;
use crate::ceremony::Ceremony;
use crate::plan::PlanError;
use crate::standing::{Published, Standing, StandingError};

/// The role that the online key signs, and that says whose claims wait.
const RECENTLY_CLAIMED: &str = "recently-claimed";

/// The role that the offline key signs.
pub(crate) const CLAIMED: &str = "claimed";

/// The most claims that one ceremony seals: the roles of all of them travel with it.
pub const MOST_SEALED: usize = 1_000;

/// The longest `claimed` that a ceremony makes by sealing, in bytes: clients read
/// [`wheelmark_tuf::limits::MAX_TARGETS_LENGTH`] of a role, and it is not split. The rest is for
/// signatures, and for keys that come in later.
const MAX_CLAIMED_LEN: usize = 4_500_000;

/// The longest `_wheelmark` of a delegation, in bytes: dates, and the names of some people.
const MAX_MARKS_LEN: usize = 16 * 1024;

/// What a ceremony changes about claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimChanges {
    /// The roles of the projects whose claims the offline key takes over.
    pub seal: BTreeSet<RoleName>,
    /// The roles of sealed projects whose people have handed over to other keys, which the offline key
    /// takes over.
    pub take_over: BTreeSet<RoleName>,
    /// For how long the keys of each of them have to have stood unchanged when the ceremony began.
    pub older_than: SignedDuration,
    /// Those whose claims it gives back to the online key.
    pub unseal: BTreeSet<RoleName>,
}

/// The same, as a plan says it: by the names of projects.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StoredClaims {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seal: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    take_over: Vec<String>,
    /// In seconds.
    #[serde(default)]
    older_than: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unseal: Vec<String>,
}

/// A project's claim, as one of the two lists has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The project's role.
    pub role: RoleName,
    /// The ids of the keys, with the users that they are registered for, as the index says.
    pub keys: Vec<(KeyId, Option<String>)>,
    /// How many of them have to sign.
    pub threshold: u32,
    /// Since when, as far as it says so.
    pub marks: ClaimMarks,
}

impl Claim {
    fn of(role: &DelegatedRole) -> Self {
        let own = role.keys.extra.get(OWN_MEMBER);
        let maintainers = own.and_then(|own| own.get("maintainers"));
        let of = |id: &KeyId| Some(maintainers?.get(id.as_str())?.as_str()?.to_owned());
        let keys = role.keys.keyids.iter();
        Self {
            role: role.name.clone(),
            keys: keys.map(|id| (id.clone(), of(id))).collect(),
            threshold: role.keys.threshold,
            marks: ClaimMarks::of(&role.keys),
        }
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        self.role.project().unwrap_or_else(|| self.role.as_str())
    }
}

/// What cannot become of claims.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// A name that no project has.
    #[error("{} is not the name of a project", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// More than anybody would review.
    #[error("a ceremony seals at most {MOST_SEALED} claims")]
    TooMany,
    /// What clients read of `claimed` would be full.
    #[error(
        "claimed would have {length} bytes, and {MAX_CLAIMED_LEN} are the most with which clients read it: seal fewer claims"
    )]
    Full {
        /// How many it would have.
        length: usize,
    },
    /// The plan names a project twice.
    #[error("{project} is named twice")]
    Twice {
        /// Which project.
        project: String,
    },
    /// Nobody has claimed the project.
    #[error("{project} does not wait to be sealed: the online key delegates to nobody for it")]
    NotPending {
        /// Which project.
        project: String,
    },
    /// The project is sealed already.
    #[error("{project} is sealed already")]
    Sealed {
        /// Which project.
        project: String,
    },
    /// The project is not sealed.
    #[error("{project} is not sealed")]
    NotSealed {
        /// Which project.
        project: String,
    },
    /// The sealed keys are those that sign.
    #[error(
        "the people of {project} have handed over to no other keys than those that are sealed: nothing leads on from them"
    )]
    NotHandedOver {
        /// Which project.
        project: String,
    },
    /// The keys that came in have not signed the role.
    #[error("the role of {project} is not signed by those to whom its people have handed over")]
    NotByThem {
        /// Which project.
        project: String,
        /// How few have.
        source: VerifyError,
    },
    /// The role of the project did not come along.
    #[error("the role of {project} is missing: without it nobody sees which version it has")]
    NoRole {
        /// Which project.
        project: String,
    },
    /// The keys have not stood long enough.
    #[error(
        "the keys of {project} stand unchanged since {since}, and not for the {} hours that are asked for", older_than.as_hours()
    )]
    TooYoung {
        /// Which project.
        project: String,
        /// Since when.
        since: Timestamp,
        /// For how long they have to.
        older_than: SignedDuration,
    },
    /// Nothing says since when.
    #[error("nothing says since when the keys of {project} stand")]
    NoAge {
        /// Which project.
        project: String,
    },
    /// The online key says more than that.
    #[error("the claim of {project} is not in the form in which an index writes one: {what}")]
    Foreign {
        /// Which project.
        project: String,
        /// What is not.
        what: &'static str,
    },
    /// A project would be signed for by the index.
    #[error("the key {keyid} of {project} is one of the index's own")]
    KeyOfIndex {
        /// Which project.
        project: String,
        /// Which key.
        keyid: KeyId,
    },
}

impl ClaimChanges {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.seal.is_empty() && self.take_over.is_empty() && self.unseal.is_empty()
    }

    pub(crate) fn read(stored: Option<StoredClaims>) -> Result<Self, ClaimsError> {
        let Some(stored) = stored else {
            return Ok(Self::default());
        };
        if stored.seal.len().saturating_add(stored.take_over.len()) > MOST_SEALED {
            return Err(ClaimsError::TooMany);
        }
        let roles = |names: Vec<String>| {
            let mut roles = BTreeSet::new();
            for name in names {
                let role = RoleName::of_project(&name);
                let role = role.map_err(|_| ClaimsError::Name { name: name.clone() })?;
                if !roles.insert(role) {
                    return Err(ClaimsError::Twice { project: name });
                }
            }
            Ok(roles)
        };
        Ok(Self {
            seal: roles(stored.seal)?,
            take_over: roles(stored.take_over)?,
            older_than: SignedDuration::from_secs(stored.older_than.into()),
            unseal: roles(stored.unseal)?,
        })
    }

    pub(crate) fn to_stored(&self) -> Option<StoredClaims> {
        let names = |roles: &BTreeSet<RoleName>| {
            let names = roles.iter().filter_map(RoleName::project);
            names.map(str::to_owned).collect()
        };
        let seconds = u32::try_from(self.older_than.as_secs()).unwrap_or(u32::MAX);
        (!self.is_empty()).then(|| StoredClaims {
            seal: names(&self.seal),
            take_over: names(&self.take_over),
            older_than: seconds,
            unseal: names(&self.unseal),
        })
    }
}

/// What the online key says of claims, and the roles of projects, as far as they came along.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    recently: Option<Verified<Targets>>,
    /// Its shards, if it has any: all of them.
    shards: BTreeMap<RoleName, Verified<Targets>>,
    projects: BTreeMap<RoleName, Verified<Targets>>,
}

impl Claims {
    /// Verifies what came along: `recently-claimed` by the key that `targets` names, its shards by those
    /// that it names itself, and each project's role by the keys that it is delegated to.
    pub(crate) fn verify(
        published: &Published,
        targets: &Targets,
        claimed: Option<&Targets>,
    ) -> Result<Self, StandingError> {
        let mut claims = Self::default();
        let name: RoleName = RECENTLY_CLAIMED.parse().expect("a role's name");
        if let Some(bytes) = published.roles.get(&name) {
            let below = targets.delegations.as_ref();
            let by = below.and_then(|below| Some((below, below.role_keys(&name)?)));
            let (below, keys) = by.ok_or(StandingError::Foreign)?;
            let role = open(&name, verify(bytes, &below.keys, keys))?;
            claims.shards = shards(published, &name, &role)?;
            claims.recently = Some(role);
        }
        let by = claimed.into_iter().chain(claims.lists());
        let by: Vec<&Delegations> = by.filter_map(|role| role.delegations.as_ref()).collect();
        let mut projects = BTreeMap::new();
        for (name, bytes) in &published.roles {
            if name.project().is_none() {
                continue;
            }
            let mut by = by.iter();
            let keys = by.find_map(|below| Some((&below.keys, below.role_keys(name)?)));
            let role = name.clone();
            let (known, keys) = keys.ok_or(StandingError::Stray { role })?;
            projects.insert(name.clone(), open(name, verify(bytes, known, keys))?);
        }
        claims.projects = projects;
        Ok(claims)
    }

    /// The version of a role that came along.
    pub(crate) fn version(&self, role: &RoleName) -> Option<u64> {
        match role.as_str() {
            RECENTLY_CLAIMED => Some(self.recently.as_ref()?.version),
            _ => {
                let known = self.projects.get(role).or_else(|| self.shards.get(role));
                Some(known?.version)
            }
        }
    }

    /// What the online key says of claims: `recently-claimed`, and its shards.
    fn lists(&self) -> impl Iterator<Item = &Targets> {
        let shards = self.shards.values();
        let lists = self.recently.iter().chain(shards);
        lists.map(|list| &**list)
    }
}

/// The shards of a list, each verified by the keys that the list names. All of them have to be there:
/// what is not seen cannot be told from what does not wait.
fn shards(
    published: &Published,
    list: &RoleName,
    top: &Targets,
) -> Result<BTreeMap<RoleName, Verified<Targets>>, StandingError> {
    let mut shards = BTreeMap::new();
    let Some(below) = &top.delegations else {
        return Ok(shards);
    };
    for delegated in listed(Some(top)) {
        if delegated.as_shard(list).is_none() {
            continue;
        }
        let name = &delegated.name;
        let role = name.clone();
        let bytes = published.roles.get(name);
        let bytes = bytes.ok_or(StandingError::Missing { role })?;
        let shard = open(name, verify(bytes, &below.keys, &delegated.keys))?;
        shards.insert(name.clone(), shard);
    }
    Ok(shards)
}

fn open(
    name: &RoleName,
    role: Result<Verified<Targets>, VerifyError>,
) -> Result<Verified<Targets>, StandingError> {
    let named = || name.clone();
    let role = role.map_err(|source| StandingError::Role {
        role: named(),
        source,
    })?;
    match role.stated_role() {
        Some(stated) if stated == name.as_str() => Ok(role),
        _ => Err(StandingError::OtherRole { role: named() }),
    }
}

impl Standing {
    /// The claims that wait to be sealed, as the online key says, by project; none where its word did
    /// not come along.
    pub fn waiting(&self) -> Option<Vec<Claim>> {
        self.claims().recently.as_ref()?;
        let sealed = self.sealed();
        let is_sealed = |claim: &Claim| sealed.iter().any(|sealed| sealed.role == claim.role);
        let mut waiting = claims_in(self.claims().lists());
        // What is no project's role, whoever wrote it there, is nothing that could be sealed.
        waiting.retain(|claim| claim.role.project().is_some() && !is_sealed(claim));
        Some(waiting)
    }

    /// The same, and nobody where its word did not come along.
    pub fn pending(&self) -> Vec<Claim> {
        self.waiting().unwrap_or_default()
    }

    /// The delegations of the claims that wait, as far as they are in the one form that there is.
    pub(crate) fn waiting_roles(&self) -> Option<Vec<&DelegatedRole>> {
        self.claims().recently.as_ref()?;
        let sealed = listed(self.claimed()).iter().map(|role| &role.name);
        let sealed: BTreeSet<&RoleName> = sealed.collect();
        let lists = self.claims().lists();
        let waiting = lists.flat_map(|list| listed(Some(list)));
        let waiting = waiting.filter(|role| role.is_claim() && !sealed.contains(&role.name));
        Some(waiting.collect())
    }

    /// The claims that an offline key vouches for, by project.
    pub fn sealed(&self) -> Vec<Claim> {
        claims_in(self.claimed().into_iter())
    }

    /// What `claimed` says now.
    pub(crate) fn claimed(&self) -> Option<&Targets> {
        let claimed = CLAIMED.parse().ok();
        claimed.and_then(|claimed| self.role(&claimed))
    }

    /// Every key with which the index signs something itself.
    fn index_keys(&self) -> impl Iterator<Item = &Key> {
        let families = ["simple", "packages"].into_iter();
        let families = families.filter_map(|name| self.role(&name.parse().ok()?));
        let below = std::iter::once(self.targets()).chain(families);
        let below = below.filter_map(|role| role.delegations.as_ref());
        let below = below.flat_map(|below| below.keys.values());
        self.root().keys.values().chain(below)
    }
}

impl Ceremony {
    /// The claims that an offline key vouches for after the ceremony, by project.
    pub(crate) fn sealed_then(&self) -> Vec<Claim> {
        let claimed = CLAIMED.parse().ok();
        let claimed = claimed.and_then(|claimed| self.next_role(&claimed));
        claims_in(claimed.into_iter())
    }
}

/// The claims that lists have, by project.
fn claims_in<'a>(lists: impl Iterator<Item = &'a Targets>) -> Vec<Claim> {
    let roles = lists.flat_map(|list| listed(Some(list)));
    let mut claims: Vec<Claim> = roles.map(Claim::of).collect();
    claims.sort_by(|one, other| one.role.cmp(&other.role));
    claims
}

fn listed(role: Option<&Targets>) -> &[DelegatedRole] {
    let below = role.and_then(|role| role.delegations.as_ref());
    match below.map(|below| &below.roles) {
        Some(DelegatedRoles::Listed(roles)) => roles,
        Some(DelegatedRoles::Succinct(_)) | None => &[],
    }
}

/// Lets `claimed` say what is planned: the claims that it takes over stand at the end, in the order of
/// their names, and nothing else moves.
pub(crate) fn in_claimed(
    standing: &Standing,
    changes: &ClaimChanges,
    made_at: Timestamp,
    next: &mut Targets,
) -> Result<(), PlanError> {
    if changes.is_empty() {
        return Ok(());
    }
    let below = next.delegations.get_or_insert_with(|| Delegations {
        keys: BTreeMap::new(),
        roles: DelegatedRoles::Listed(Vec::new()),
        extra: BTreeMap::new(),
    });
    let DelegatedRoles::Listed(roles) = &mut below.roles else {
        return Err(PlanError::Foreign);
    };
    for name in &changes.unseal {
        let before = roles.len();
        roles.retain(|role| role.name != *name);
        let project = || project_of(name);
        if changes.seal.contains(name) || changes.take_over.contains(name) {
            return Err(ClaimsError::Twice { project: project() }.into());
        }
        if roles.len() == before {
            return Err(ClaimsError::NotSealed { project: project() }.into());
        }
    }
    for name in &changes.take_over {
        let project = || project_of(name);
        let sealed = roles.iter_mut().find(|role| role.name == *name);
        let sealed = sealed.ok_or_else(|| ClaimsError::NotSealed { project: project() })?;
        let (role, keys) = handed_over::taken_over(standing, sealed, changes.older_than, made_at)?;
        *sealed = role;
        for key in keys {
            below.keys.insert(key.keyid().clone(), key);
        }
    }
    for name in &changes.seal {
        let project = || project_of(name);
        if roles.iter().any(|role| role.name == *name) {
            return Err(ClaimsError::Sealed { project: project() }.into());
        }
        let (role, keys) = pending(standing, name, changes.older_than, made_at)?;
        let own = standing.claims().projects.get(name);
        let own = own.ok_or_else(|| ClaimsError::NoRole { project: project() })?;
        demand_present(name, role, own)?;
        let floor = own.version;
        for key in keys {
            below.keys.insert(key.keyid().clone(), key);
        }
        roles.push(role.sealed(floor, made_at));
    }
    let named: BTreeSet<&KeyId> = roles.iter().flat_map(|role| &role.keys.keyids).collect();
    below.keys.retain(|id, _| named.contains(id));
    // Found out now, and not when everybody has signed.
    let length = next.to_canonical().len();
    if length > MAX_CLAIMED_LEN && !changes.seal.is_empty() {
        return Err(ClaimsError::Full { length }.into());
    }
    Ok(())
}

/// The keys that are sealed are those to which the project's people have handed over last.
fn demand_present(
    name: &RoleName,
    role: &DelegatedRole,
    own: &Verified<Targets>,
) -> Result<(), ClaimsError> {
    let foreign = |what| ClaimsError::Foreign {
        project: project_of(name),
        what,
    };
    let handovers = own.handovers(name);
    let handovers = handovers.map_err(|_| foreign("its handovers do not hold"))?;
    let ids = role.keys.keyids.iter();
    let ids: BTreeSet<String> = ids.map(|id| id.as_str().to_owned()).collect();
    match handovers.reached() {
        Some(reached) if !reached.is(&ids, role.keys.threshold) => {
            Err(foreign("its people have handed over to other keys"))
        }
        _ => Ok(()),
    }
}

/// The claim that is taken over, with its keys.
fn pending<'a>(
    standing: &'a Standing,
    name: &RoleName,
    older_than: SignedDuration,
    made_at: Timestamp,
) -> Result<(&'a DelegatedRole, Vec<Key>), ClaimsError> {
    let project = || project_of(name);
    let mut lists = standing.claims().lists();
    let found = lists.find_map(|list| {
        let role = listed(Some(list)).iter().find(|role| role.name == *name)?;
        Some((list, role))
    });
    let (list, role) = found.ok_or_else(|| ClaimsError::NotPending { project: project() })?;
    let since = ClaimMarks::of(&role.keys).unchanged_since();
    let since = since.ok_or_else(|| ClaimsError::NoAge { project: project() })?;
    if made_at.duration_since(since) < older_than {
        return Err(ClaimsError::TooYoung {
            project: project(),
            since,
            older_than,
        });
    }
    let foreign = |what| ClaimsError::Foreign {
        project: project(),
        what,
    };
    if !role.is_claim() {
        return Err(foreign("its paths, or what it says besides"));
    }
    let own = role.keys.extra.values().map(canonical::encode);
    if own.map(|own| own.len()).sum::<usize>() > MAX_MARKS_LEN {
        return Err(foreign("it says more than anybody would read"));
    }
    let (ids, threshold) = (&role.keys.keyids, role.keys.threshold);
    if threshold == 0 || threshold as usize > ids.len() {
        return Err(foreign("so many of its keys cannot sign"));
    }
    let known = list.delegations.as_ref();
    let mut keys: Vec<Key> = Vec::with_capacity(ids.len());
    for id in ids {
        // Under an id of its own choice a key could take the place of another project's.
        let key = known.and_then(|known| known.keys.get(id));
        let key = key.filter(|key| key.is_plain() && key.keyid() == id);
        let key = key.ok_or_else(|| foreign("a key is not there under its own id"))?;
        if keys.iter().any(|other| other.is_same_key(key)) {
            return Err(foreign("one key counts twice"));
        }
        if standing.index_keys().any(|other| other.is_same_key(key)) {
            return Err(ClaimsError::KeyOfIndex {
                project: project(),
                keyid: id.clone(),
            });
        }
        keys.push(key.clone());
    }
    Ok((role, keys))
}

fn project_of(role: &RoleName) -> String {
    role.project().unwrap_or_else(|| role.as_str()).to_owned()
}
