//! One ceremony: a plan on the ground of what is published, and the payloads that follow.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::json;
use wheelmark_tuf::{Key, KeyId, RoleKeys, RoleName, Root, Sha256, Targets, canonical};

use crate::payload::{Content, Payload};
use crate::plan::{HolderChange, Plan, PlanError, follow};
use crate::policy::{LEAST_CUT, LEAST_GAIN, LEAST_LEFT, Policy};
use crate::recovery;
use crate::standing::Standing;
use crate::words::Words;

/// What the digest of a ceremony begins with.
const PURPOSE: &[u8] = b"wheelmark: a ceremony, form 1\n";

/// How many bytes of the digest are its name.
const ID_LEN: usize = 8;

/// The name of a ceremony: the beginning of the digest of all that it is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CeremonyId([u8; ID_LEN]);

/// The text is not the name of a ceremony.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ceremony is named by 16 hexadecimal digits")]
pub struct ParseCeremonyIdError;

/// A ceremony, with everything in it checked.
#[derive(Clone, Debug)]
pub struct Ceremony {
    standing: Standing,
    plan: Plan,
    contents: BTreeMap<RoleName, Content>,
    payloads: Vec<Payload>,
    digest: Sha256,
}

/// A plan cannot be carried out on what is published.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// The plan in itself.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The plan is another index's.
    #[error("this is a ceremony of the index {planned}, and what is published is that of {found}")]
    OtherIndex {
        /// Whose the plan is: the fingerprint of its first root.
        planned: Sha256,
        /// Whose the published metadata is.
        found: Sha256,
    },
    /// Nothing would be signed.
    #[error("the ceremony signs nothing")]
    NoRoles,
    /// A role that offline keys do not sign.
    #[error("{role} is no role that offline keys sign")]
    UnknownRole {
        /// Which.
        role: RoleName,
    },
    /// Another version than the one after the published one, or, in a recovery, than one that is raised.
    #[error("version {planned} of {role} cannot follow on version {published}, which is published")]
    Version {
        /// Which role.
        role: RoleName,
        /// The published version.
        published: u64,
        /// The version that would be signed.
        planned: u64,
    },
    /// It would hold for longer than policy allows.
    #[error(
        "{role} would hold until {expires}, longer than the {days} days that are allowed from now on (by this machine's clock it is {now})"
    )]
    BeyondPolicy {
        /// Which role.
        role: RoleName,
        /// Until when.
        expires: Timestamp,
        /// How many days it may hold.
        days: i64,
        /// What time it is here.
        now: Timestamp,
    },
    /// It would have expired already.
    #[error(
        "{role} would hold until {expires}, which is over (by this machine's clock it is {now})"
    )]
    Over {
        /// Which role.
        role: RoleName,
        /// Until when.
        expires: Timestamp,
        /// What time it is here.
        now: Timestamp,
    },
    /// It was begun in the future, or too long ago.
    #[error("the ceremony was begun {made_at}, and by this machine's clock it is {now}")]
    OtherTime {
        /// When it began.
        made_at: Timestamp,
        /// What time it is here.
        now: Timestamp,
    },
    /// It would end earlier than it does now, and soon.
    #[error(
        "{role} would hold until {expires}, shorter than what is published, {published}, and not for {days} days from now on (by this machine's clock it is {now})"
    )]
    Shorter {
        /// Which role.
        role: RoleName,
        /// The published expiry.
        published: Timestamp,
        /// The next one.
        expires: Timestamp,
        /// For how many days it has to hold all the same.
        days: i64,
        /// What time it is here.
        now: Timestamp,
    },
    /// Fewer have to sign than policy asks for.
    #[error("{role} would be signed by {threshold} holders, and the policy asks for {least}")]
    FewSign {
        /// Which role.
        role: RoleName,
        /// How many would have to sign.
        threshold: u32,
        /// How many the policy asks for.
        least: u32,
    },
    /// Fewer hold keys than policy asks for.
    #[error("there would be {count} holders, and the policy asks for {least}")]
    FewHolders {
        /// How many there would be.
        count: usize,
        /// How many the policy asks for.
        least: usize,
    },
    /// Somebody joins who is not to.
    #[error("{name} would join, and the policy does not name them")]
    Stranger {
        /// Who.
        name: String,
    },
    /// Nothing would change that is worth a signature.
    #[error(
        "{role} would stay as it is: the same keys, until {expires}, and what is published holds until {published}; from {from} on, a ceremony brings it an hour or more"
    )]
    NothingNew {
        /// Which role.
        role: RoleName,
        /// The published expiry.
        published: Timestamp,
        /// The next one.
        expires: Timestamp,
        /// When a ceremony has to begin to gain enough.
        from: Timestamp,
    },
}

/// Whose signatures a payload needs.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whether these are the keys of before the ceremony; then clients that have not followed the
    /// next root yet go by them.
    pub in_force: bool,
    /// The keys.
    pub keys: &'a BTreeMap<KeyId, Key>,
    /// Which of them count, and how many have to sign.
    pub role_keys: &'a RoleKeys,
}

impl Request<'_> {
    /// The key of that id, if its signature counts here.
    pub fn key(&self, keyid: &KeyId) -> Option<&Key> {
        let counts = self.role_keys.keyids.contains(keyid);
        self.keys
            .get(keyid)
            .filter(|key| counts && key.keyid() == keyid)
    }
}

impl Ceremony {
    /// What `plan` comes to on the ground of `standing`, by a clock that says `now`.
    ///
    /// # Errors
    ///
    /// [`CeremonyError`], for anything that no holder should sign.
    pub fn new(
        standing: Standing,
        plan: Plan,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, CeremonyError> {
        let found = standing.first_fingerprint();
        if plan.index != found {
            let planned = plan.index;
            return Err(CeremonyError::OtherIndex { planned, found });
        }
        if plan.roles.is_empty() {
            return Err(CeremonyError::NoRoles);
        }
        for (role, next) in &plan.roles {
            let role = role.clone();
            let Some((published, _)) = standing.version_and_expiry(&role) else {
                return Err(CeremonyError::UnknownRole { role });
            };
            let planned = next.version;
            let follows = match &plan.recovery {
                Some(_) if role != RoleName::root() => recovery::is_raised(published, planned),
                _ => published.checked_add(1) == Some(planned),
            };
            if !follows {
                return Err(CeremonyError::Version {
                    role,
                    published,
                    planned,
                });
            }
            let expires = next.expires;
            if expires <= now {
                return Err(CeremonyError::Over { role, expires, now });
            }
            if expires > policy.latest(&role, plan.made_at, now) {
                let days = policy.life(&role).as_hours() / 24;
                return Err(CeremonyError::BeyondPolicy {
                    role,
                    expires,
                    days,
                    now,
                });
            }
        }
        if !policy.is_under_way(plan.made_at, now) {
            let made_at = plan.made_at;
            return Err(CeremonyError::OtherTime { made_at, now });
        }
        let contents = follow(&standing, &plan)?;
        demand_difference(&standing, &plan, &contents, now)?;
        demand_people(&plan, policy)?;
        let payloads: Vec<Payload> = contents
            .iter()
            .map(|(role, content)| Payload::of(role.clone(), content))
            .collect();
        let digest = digest(&plan, &payloads);
        let ceremony = Self {
            contents: contents.into_iter().collect(),
            standing,
            plan,
            payloads,
            digest,
        };
        ceremony.demand_hands(policy)?;
        Ok(ceremony)
    }

    /// What offline keys sign is in as many hands, after the ceremony, as policy asks for.
    fn demand_hands(&self, policy: &Policy) -> Result<(), CeremonyError> {
        let below = self.next_targets().delegations.as_ref();
        let root = &self.next_root().roles;
        for role in self.standing.roles() {
            let keys = match role.as_str() {
                "root" => Some(&root.root),
                "targets" => Some(&root.targets),
                _ => below.and_then(|below| below.role_keys(&role)),
            };
            let Some(keys) = keys else { continue };
            let (threshold, count) = (keys.threshold, keys.keyids.len());
            let (least, fewest) = (policy.threshold(), policy.holders());
            if threshold < least {
                return Err(CeremonyError::FewSign {
                    role,
                    threshold,
                    least,
                });
            }
            if count < fewest {
                let least = fewest;
                return Err(CeremonyError::FewHolders { count, least });
            }
        }
        Ok(())
    }

    /// Its name.
    pub fn id(&self) -> CeremonyId {
        let mut id = [0; ID_LEN];
        id.copy_from_slice(&self.digest.0[..ID_LEN]);
        CeremonyId(id)
    }

    /// What is read aloud.
    pub fn words(&self) -> Words {
        Words::of(&self.digest)
    }

    /// The digest of all that it is about.
    pub fn digest(&self) -> &Sha256 {
        &self.digest
    }

    /// What is published.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What it is to bring.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What is signed, root first.
    pub fn payloads(&self) -> &[Payload] {
        &self.payloads
    }

    /// What is signed for a role.
    pub fn payload(&self, role: &RoleName) -> Option<&Payload> {
        self.payloads.iter().find(|payload| payload.role() == role)
    }

    /// The root after the ceremony.
    pub fn next_root(&self) -> &Root {
        match self.contents.get(&RoleName::root()) {
            Some(Content::Root(root)) => root,
            _ => self.standing.root(),
        }
    }

    /// The top-level targets after the ceremony.
    pub fn next_targets(&self) -> &Targets {
        match self.contents.get(&RoleName::targets()) {
            Some(Content::Targets(targets)) => targets,
            _ => self.standing.targets(),
        }
    }

    /// A role below root after the ceremony.
    pub fn next_role(&self, role: &RoleName) -> Option<&Targets> {
        match self.contents.get(role) {
            Some(Content::Targets(targets)) => Some(targets),
            _ => self.standing.role(role),
        }
    }

    /// Until when a role holds after the ceremony.
    pub fn next_expiry(&self, role: &RoleName) -> Option<Timestamp> {
        match self.contents.get(role) {
            Some(content) => Some(content.expires()),
            None => Some(self.standing.version_and_expiry(role)?.1),
        }
    }

    /// Whose signatures the payload of a role needs; all of these requests have to be met.
    ///
    /// `targets` needs those of before as well as those that the next root names: between the
    /// moment in which it is published and the one in which the next root is, and for as long as
    /// somebody has not followed that root, clients go by the old keys, and none must see a gap.
    pub fn requests(&self, role: &RoleName) -> Vec<Request<'_>> {
        let now = self.standing.keys_of(role);
        let next = match role.as_str() {
            "root" => {
                let root = self.next_root();
                Some((&root.keys, &root.roles.root))
            }
            "targets" => {
                let root = self.next_root();
                Some((&root.keys, &root.roles.targets))
            }
            _ => {
                let below = self.next_targets().delegations.as_ref();
                below.and_then(|below| Some((&below.keys, below.role_keys(role)?)))
            }
        };
        let is_top = role.is_top_level();
        let changed = now.map(|(_, keys)| keys) != next.map(|(_, keys)| keys);
        let request = |in_force| {
            move |(keys, role_keys)| Request {
                in_force,
                keys,
                role_keys,
            }
        };
        let in_force = now.filter(|_| is_top || !changed).map(request(true));
        let next = next.filter(|_| changed).map(request(false));
        in_force.into_iter().chain(next).collect()
    }

    /// The payloads that a signature of this key counts for.
    pub fn payloads_for(&self, keyid: &KeyId) -> Vec<&Payload> {
        let counts = |payload: &&Payload| {
            let requests = self.requests(payload.role());
            requests.iter().any(|request| request.key(keyid).is_some())
        };
        self.payloads.iter().filter(counts).collect()
    }

    /// What the holder is called to whom a key belongs: a newcomer by name, others by position as
    /// well.
    pub fn holder_of(&self, keyid: &KeyId) -> Option<String> {
        for change in &self.plan.holders {
            if let HolderChange::Replace { by, .. } | HolderChange::Add(by) = change
                && by.keyids().any(|(_, id)| id == keyid)
            {
                return Some(by.name().to_owned());
            }
        }
        if let Some(online) = &self.plan.online
            && online.key().keyid() == keyid
        {
            return Some("the next online key".to_owned());
        }
        if self.standing.root().roles.timestamp.keyids.contains(keyid) {
            return Some("the online key of now".to_owned());
        }
        let seats = self.standing.seats();
        let seat = seats
            .iter()
            .find(|seat| seat.keys.values().any(|id| id == keyid))?;
        Some(seat.called())
    }
}

/// Refuses what would change nothing: signing it has no use, and a holder who gets used to that
/// signs anything.
fn demand_difference(
    standing: &Standing,
    plan: &Plan,
    contents: &[(RoleName, Content)],
    now: Timestamp,
) -> Result<(), CeremonyError> {
    for (role, content) in contents {
        let Some((_, published)) = standing.version_and_expiry(role) else {
            continue;
        };
        let expires = content.expires();
        let gain = expires.duration_since(published);
        // A policy with fewer days, or a clock that was ahead once, must not keep anybody from
        // replacing a key; that the index is made to end soon is no ceremony's purpose.
        if gain.is_negative() && expires.duration_since(now) < LEAST_LEFT {
            return Err(CeremonyError::Shorter {
                role: role.clone(),
                published,
                expires,
                days: LEAST_LEFT.as_hours() / 24,
                now,
            });
        }
        let differs = gain >= LEAST_GAIN || gain <= -LEAST_CUT;
        let keys_differ = match content {
            Content::Root(root) => root.roles != standing.root().roles,
            // Signed by others, even where it says the same.
            Content::Targets(next) => {
                let now = standing.keys_of(role).map(|(_, keys)| keys);
                let others = next_keys_of(role, contents).is_some_and(|next| Some(next) != now);
                let delegates = |role: &Targets| role.delegations.clone();
                others || standing.role(role).map(delegates) != Some(delegates(next))
            }
        };
        if !differs && !keys_differ && plan.recovery.is_none() {
            let wait = LEAST_GAIN - gain;
            return Err(CeremonyError::NothingNew {
                role: role.clone(),
                published,
                expires,
                from: plan.made_at.saturating_add(wait).unwrap_or(plan.made_at),
            });
        }
    }
    Ok(())
}

/// Whose signatures a role below root needs by what is signed now, if that says so.
fn next_keys_of<'a>(role: &RoleName, contents: &'a [(RoleName, Content)]) -> Option<&'a RoleKeys> {
    contents.iter().find_map(|(_, content)| match content {
        Content::Root(root) if *role == RoleName::targets() => Some(&root.roles.targets),
        Content::Targets(targets) => targets.delegations.as_ref()?.role_keys(role),
        Content::Root(_) => None,
    })
}

/// Nobody joins whom policy does not let in.
fn demand_people(plan: &Plan, policy: &Policy) -> Result<(), CeremonyError> {
    for change in &plan.holders {
        if let HolderChange::Replace { by, .. } | HolderChange::Add(by) = change
            && !policy.admits(by.name())
        {
            let name = by.name().to_owned();
            return Err(CeremonyError::Stranger { name });
        }
    }
    Ok(())
}

fn digest(plan: &Plan, payloads: &[Payload]) -> Sha256 {
    let payloads: Vec<_> = payloads
        .iter()
        .map(|payload| {
            json!({
                "role": payload.role().as_str(),
                "version": payload.version(),
                "sha256": payload.sha256(),
            })
        })
        .collect();
    let all = canonical::encode(&json!({ "plan": plan.to_value(), "payloads": payloads }));
    Sha256::of(&[PURPOSE, &all].concat())
}

impl fmt::Display for CeremonyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CeremonyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CeremonyId({self})")
    }
}

impl FromStr for CeremonyId {
    type Err = ParseCeremonyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; ID_LEN];
        hex::decode_to_slice(text, &mut id).map_err(|_| ParseCeremonyIdError)?;
        Ok(Self(id))
    }
}
