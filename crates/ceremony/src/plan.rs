//! What a ceremony is to bring: dates, and keys that change. What is signed follows from it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wheelmark_tuf::{
    BinsError, DelegatedRoles, Key, KeyId, ParseSha256Error, RoleKeys, RoleName, Root, Sha256,
    Targets,
};

use crate::claims::{self, CLAIMED, ClaimChanges, ClaimsError, StoredClaims};
use crate::holder::{HolderError, HolderKeys};
use crate::names::{next_names, set_names};
use crate::online::{OnlineKey, OnlineKeyError};
use crate::payload::Content;
use crate::policy::Policy;
use crate::recovery::{self, Recovery, RecoveryError, StoredRecovery};
use crate::standing::Standing;
use crate::transition;

const FORMAT: &str = "wheelmark-ceremony-1";

/// No ceremony has more changes of holders than this.
const MOST_CHANGES: usize = 100;

/// The fewest root keys that sign the next root (PEP 458: `(t, n)` with `t > 1`).
const LEAST_ROOT_THRESHOLD: u32 = 2;

/// What a ceremony is to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The fingerprint of the index's first root.
    pub index: Sha256,
    /// When it began.
    pub made_at: Timestamp,
    /// The roles that are signed anew.
    pub roles: BTreeMap<RoleName, Next>,
    /// Who comes and who goes, in this order.
    pub holders: Vec<HolderChange>,
    /// How many have to sign from then on, if that changes.
    pub threshold: Option<u32>,
    /// The key that signs online from then on, if that changes.
    pub online: Option<OnlineKey>,
    /// How many bins `simple` and `packages` have each from then on, if that changes.
    pub bins: Option<u32>,
    /// Which claims the offline key takes over, and which it gives back.
    pub claims: ClaimChanges,
    /// Where the index goes back to a state of before: which one, and what is said of it.
    pub recovery: Option<Recovery>,
}

/// The next version of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its version.
    pub version: u64,
    /// From when on it is expired.
    pub expires: Timestamp,
}

/// A change among those who hold keys. Positions are those of before the ceremony, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HolderChange {
    /// Somebody's keys take the place of those at a position.
    Replace {
        /// Which position.
        seat: usize,
        /// Whose keys come.
        by: HolderKeys,
    },
    /// Somebody joins.
    Add(HolderKeys),
    /// The keys at a position go, and none take their place.
    Remove {
        /// Which position.
        seat: usize,
    },
}

/// A plan is none that can be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not the JSON of one.
    #[error("this is not the plan of a ceremony")]
    Json(#[source] serde_json::Error),
    /// Of another version.
    #[error("the plan is of a form that this version does not know")]
    Format,
    /// A date that is none.
    #[error("the plan has a date that is none")]
    Date(#[source] jiff::Error),
    /// A digest that is none.
    #[error("the plan does not name its index")]
    Index(#[source] ParseSha256Error),
    /// The name of a role that is none.
    #[error("the plan names a role that none can have")]
    Role,
    /// More changes than anybody would review.
    #[error("a ceremony changes at most {MOST_CHANGES} holders")]
    TooMany,
    /// The keys of a newcomer.
    #[error(transparent)]
    Holder(#[from] HolderError),
    /// There is nobody at that position.
    #[error("there is no holder {seat}: there are {count}")]
    NoSeat {
        /// The position that was named.
        seat: usize,
        /// How many there are.
        count: usize,
    },
    /// A position is named twice.
    #[error("holder {seat} is replaced or removed twice")]
    SeatTwice {
        /// The position.
        seat: usize,
    },
    /// The keys of the offline roles are not those of the same holders.
    #[error("{role} has {found} keys where root has {expected}: its holders cannot be told apart")]
    Uneven {
        /// Which role.
        role: RoleName,
        /// How many keys root has.
        expected: usize,
        /// How many this role has.
        found: usize,
    },
    /// A key would count for two people.
    #[error("the key {keyid} would stand for two holders, or for two roles")]
    KeyTwice {
        /// Which key.
        keyid: KeyId,
    },
    /// Two holders with one name.
    #[error("{name} would hold two seats: each holder is one person")]
    NameTwice {
        /// The name.
        name: String,
    },
    /// The threshold cannot be met, or is none.
    #[error("{threshold} of {count} keys cannot be asked for {role}")]
    Threshold {
        /// Which role.
        role: RoleName,
        /// How many would have to sign.
        threshold: u32,
        /// How many there would be.
        count: usize,
    },
    /// Root would be in the hands of one person.
    #[error("root needs the signatures of at least {LEAST_ROOT_THRESHOLD} holders")]
    OneForRoot,
    /// Where keys change, everything that they sign is signed anew.
    #[error("{role} has to be signed anew, too: what it says, or who signs it, changes")]
    NotAll {
        /// The role that is not.
        role: RoleName,
    },
    /// The next online key.
    #[error(transparent)]
    OnlineKey(#[from] OnlineKeyError),
    /// The next online key was made for another index.
    #[error("the next online key was made for the index {named}, and this is {found}")]
    OnlineKeyOf {
        /// Which index it names.
        named: Sha256,
        /// Whose ceremony this is.
        found: Sha256,
    },
    /// The online key would stay.
    #[error("{keyid} is the online key already")]
    SameOnlineKey {
        /// Which key.
        keyid: KeyId,
    },
    /// A key that was the online key once.
    #[error("{keyid} was the online key before, and was replaced: a key does not come back")]
    OnlineKeyBefore {
        /// Which key.
        keyid: KeyId,
    },
    /// Claims.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// A recovery.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The number of bins.
    #[error(transparent)]
    Bins(#[from] BinsError),
    /// The number of bins would stay.
    #[error("{role} has {count} bins already")]
    SameBins {
        /// Which role.
        role: RoleName,
        /// How many.
        count: u32,
    },
    /// The metadata cannot be understood.
    #[error("what is published does not delegate as an index does")]
    Foreign,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Stored {
    format: String,
    index: String,
    made_at: String,
    roles: BTreeMap<String, StoredNext>,
    #[serde(default)]
    holders: Vec<StoredChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threshold: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    online_key: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bins: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claims: Option<StoredClaims>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovery: Option<StoredRecovery>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredNext {
    version: u64,
    expires: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum StoredChange {
    Replace { seat: usize, by: Value },
    Add { by: Value },
    Remove { seat: usize },
}

impl Plan {
    /// A plan to sign `roles` anew for as long as `policy` allows; all offline roles where none is
    /// named.
    pub fn renewal(
        standing: &Standing,
        roles: &[RoleName],
        policy: &Policy,
        now: Timestamp,
    ) -> Plan {
        let all = standing.roles();
        let wanted = |role: &&RoleName| roles.is_empty() || roles.contains(role);
        let next = |role: &RoleName| {
            let (version, _) = standing.version_and_expiry(role)?;
            let next = Next {
                version: version.saturating_add(1),
                expires: policy.expiry(role, now),
            };
            Some((role.clone(), next))
        };
        Plan {
            index: standing.first_fingerprint(),
            made_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            roles: all.iter().filter(wanted).filter_map(next).collect(),
            holders: Vec::new(),
            threshold: None,
            online: None,
            bins: None,
            claims: ClaimChanges::default(),
            recovery: None,
        }
    }

    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// When it is none, or the keys of a newcomer are without proof.
    pub fn read(bytes: &[u8]) -> Result<Plan, PlanError> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(PlanError::Json)?;
        if stored.format != FORMAT {
            return Err(PlanError::Format);
        }
        if stored.holders.len() > MOST_CHANGES {
            return Err(PlanError::TooMany);
        }
        let mut roles = BTreeMap::new();
        for (name, next) in stored.roles {
            let name = name.parse().map_err(|_| PlanError::Role)?;
            let next = Next {
                version: next.version,
                expires: next.expires.parse().map_err(PlanError::Date)?,
            };
            roles.insert(name, next);
        }
        let holders = stored.holders.into_iter().map(|change| {
            Ok(match change {
                StoredChange::Replace { seat, by } => {
                    let by = HolderKeys::from_value(by)?;
                    HolderChange::Replace { seat, by }
                }
                StoredChange::Add { by } => HolderChange::Add(HolderKeys::from_value(by)?),
                StoredChange::Remove { seat } => HolderChange::Remove { seat },
            })
        });
        Ok(Plan {
            index: stored.index.parse().map_err(PlanError::Index)?,
            made_at: stored.made_at.parse().map_err(PlanError::Date)?,
            roles,
            holders: holders.collect::<Result<_, HolderError>>()?,
            threshold: stored.threshold,
            online: stored.online_key.map(OnlineKey::from_value).transpose()?,
            bins: stored.bins,
            claims: ClaimChanges::read(stored.claims)?,
            recovery: stored.recovery.map(Recovery::read).transpose()?,
        })
    }

    /// The plan as JSON.
    pub fn to_value(&self) -> Value {
        let roles = self.roles.iter().map(|(role, next)| {
            let next = StoredNext {
                version: next.version,
                expires: next.expires.to_string(),
            };
            (role.as_str().to_owned(), next)
        });
        let holders = self.holders.iter().map(|change| match change {
            HolderChange::Replace { seat, by } => {
                let (seat, by) = (*seat, by.to_value());
                StoredChange::Replace { seat, by }
            }
            HolderChange::Add(by) => StoredChange::Add { by: by.to_value() },
            HolderChange::Remove { seat } => StoredChange::Remove { seat: *seat },
        });
        json!(Stored {
            format: FORMAT.to_owned(),
            index: self.index.to_string(),
            made_at: self.made_at.to_string(),
            roles: roles.collect(),
            holders: holders.collect(),
            threshold: self.threshold,
            online_key: self.online.as_ref().map(OnlineKey::to_value),
            bins: self.bins,
            claims: self.claims.to_stored(),
            recovery: self.recovery.as_ref().map(Recovery::to_stored),
        })
    }

    /// Whether keys of holders or thresholds change.
    pub fn changes_keys(&self) -> bool {
        !self.holders.is_empty() || self.threshold.is_some()
    }
}

/// What each role becomes by a plan, in the order of [`Standing::roles`].
pub(crate) fn follow(
    standing: &Standing,
    plan: &Plan,
) -> Result<Vec<(RoleName, Content)>, PlanError> {
    let keys = match plan.changes_keys() {
        true => Some(next_keys(standing, plan)?),
        false => None,
    };
    transition::demand_new(standing, plan)?;
    recovery::demand_whole(plan)?;
    let online = plan.online.as_ref().map(OnlineKey::key);
    let mut contents = Vec::with_capacity(plan.roles.len());
    for role in standing.roles() {
        let Some(next) = plan.roles.get(&role) else {
            match plan.needs(&role) {
                true => return Err(PlanError::NotAll { role }),
                false => continue,
            }
        };
        let content = match (role.as_str(), standing.role(&role)) {
            ("root", _) => {
                let mut root = next_root(standing, *next, keys.as_ref());
                if plan.changes_keys() {
                    set_names(&mut root, next_names(standing, plan)?);
                }
                if let Some(online) = online {
                    transition::in_root(&mut root, online);
                }
                Content::Root(Box::new(root))
            }
            (name, Some(now)) => {
                let mut targets = now.clone();
                targets.version = next.version;
                targets.expires = next.expires;
                if let (Some(keys), "targets") = (&keys, name) {
                    delegate_to(&mut targets, keys)?;
                }
                if let (Some(online), "targets") = (online, name) {
                    transition::in_targets(standing, &mut targets, online)?;
                }
                if name == "targets" {
                    recovery::in_targets(standing, plan, &mut targets)?;
                }
                transition::in_family(&role, &mut targets, plan)?;
                if name == CLAIMED {
                    claims::in_claimed(standing, &plan.claims, plan.made_at, &mut targets)?;
                }
                Content::Targets(Box::new(targets))
            }
            (_, None) => continue,
        };
        contents.push((role, content));
    }
    Ok(contents)
}

/// The keys of an offline role after the ceremony, and how many of them sign.
type NextKeys = BTreeMap<RoleName, (Vec<Key>, u32)>;

fn next_keys(standing: &Standing, plan: &Plan) -> Result<NextKeys, PlanError> {
    let root = RoleName::root();
    let expected = standing.root().roles.root.keyids.len();
    demand_people(plan, expected)?;
    let mut next = NextKeys::new();
    for role in standing.roles() {
        let Some((known, now)) = standing.keys_of(&role) else {
            continue;
        };
        let found = now.keyids.len();
        if found != expected {
            return Err(PlanError::Uneven {
                role,
                expected,
                found,
            });
        }
        let mut keys: Vec<Option<Key>> =
            now.keyids.iter().map(|id| known.get(id).cloned()).collect();
        let mut joining = Vec::new();
        for change in &plan.holders {
            match change {
                HolderChange::Replace { seat, by } => {
                    keys[seat - 1] = Some(by.key(&role)?.clone());
                }
                HolderChange::Add(by) => joining.push(Some(by.key(&role)?.clone())),
                HolderChange::Remove { seat } => keys[seat - 1] = None,
            }
        }
        keys.extend(joining);
        let keys: Vec<Key> = keys.into_iter().flatten().collect();
        let threshold = plan.threshold.unwrap_or(now.threshold);
        let count = keys.len();
        if threshold == 0 || threshold as usize > count {
            return Err(PlanError::Threshold {
                role,
                threshold,
                count,
            });
        }
        if role == root && threshold < LEAST_ROOT_THRESHOLD {
            return Err(PlanError::OneForRoot);
        }
        next.insert(role, (keys, threshold));
    }
    demand_apart(standing, plan, &next)?;
    Ok(next)
}

/// Each position is named once and exists, and nobody comes twice.
fn demand_people(plan: &Plan, count: usize) -> Result<(), PlanError> {
    let (mut seats, mut names) = (BTreeSet::new(), BTreeSet::new());
    for change in &plan.holders {
        if let HolderChange::Replace { seat, .. } | HolderChange::Remove { seat } = change {
            let seat = *seat;
            if !(1..=count).contains(&seat) {
                return Err(PlanError::NoSeat { seat, count });
            }
            if !seats.insert(seat) {
                return Err(PlanError::SeatTwice { seat });
            }
        }
        if let HolderChange::Replace { by, .. } | HolderChange::Add(by) = change
            && !names.insert(by.name().to_lowercase())
        {
            let name = by.name().to_owned();
            return Err(PlanError::NameTwice { name });
        }
    }
    Ok(())
}

/// No key counts twice for a role, and none that comes has another role now, least of all the
/// online one, or that which is to be it.
fn demand_apart(standing: &Standing, plan: &Plan, next: &NextKeys) -> Result<(), PlanError> {
    let root = standing.root();
    let online = root.roles.timestamp.keyids.iter();
    let online = online.filter_map(|id| root.keys.get(id));
    let online = online.chain(plan.online.as_ref().map(OnlineKey::key));
    let mut taken: Vec<(&Key, &str)> = online.map(|key| (key, "online")).collect();
    for (role, (keys, _)) in next {
        let purpose = crate::holder::key_name(role);
        for (at, key) in keys.iter().enumerate() {
            let is_other =
                |(other, whose): &(&Key, &str)| other.is_same_key(key) && *whose != purpose;
            let again = keys[..at].iter().any(|before| before.is_same_key(key));
            if again || taken.iter().any(is_other) {
                let keyid = key.keyid().clone();
                return Err(PlanError::KeyTwice { keyid });
            }
        }
        taken.extend(keys.iter().map(|key| (key, purpose)));
    }
    Ok(())
}

fn next_root(standing: &Standing, next: Next, keys: Option<&NextKeys>) -> Root {
    let mut root = standing.root().clone();
    root.version = next.version;
    root.expires = next.expires;
    if let Some(keys) = keys {
        let mut all = std::mem::take(&mut root.keys);
        for (name, role) in [
            (RoleName::root(), &mut root.roles.root),
            (RoleName::targets(), &mut root.roles.targets),
        ] {
            if let Some((keys, threshold)) = keys.get(&name) {
                set_keys(role, &mut all, keys, *threshold);
            }
        }
        let roles = &root.roles;
        let named = [
            &roles.root,
            &roles.targets,
            &roles.snapshot,
            &roles.timestamp,
        ];
        all.retain(|id, _| named.iter().any(|role| role.keyids.contains(id)));
        root.keys = all;
    }
    root
}

/// Lets `targets` name the next keys of the offline roles below it.
fn delegate_to(targets: &mut Targets, next: &NextKeys) -> Result<(), PlanError> {
    let below = targets.delegations.as_mut().ok_or(PlanError::Foreign)?;
    let DelegatedRoles::Listed(roles) = &mut below.roles else {
        return Err(PlanError::Foreign);
    };
    for role in roles.iter_mut() {
        if let Some((keys, threshold)) = next.get(&role.name) {
            set_keys(&mut role.keys, &mut below.keys, keys, *threshold);
        }
    }
    let is_named = |id: &KeyId| roles.iter().any(|role| role.keys.keyids.contains(id));
    below.keys.retain(|id, _| is_named(id));
    Ok(())
}

fn set_keys(role: &mut RoleKeys, all: &mut BTreeMap<KeyId, Key>, keys: &[Key], threshold: u32) {
    role.keyids = keys.iter().map(|key| key.keyid().clone()).collect();
    role.threshold = threshold;
    all.extend(keys.iter().map(|key| (key.keyid().clone(), key.clone())));
}
