//! What is published now: the ground that a ceremony stands on.

use std::collections::BTreeMap;

use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, EnvelopeError, Key, KeyId, Role as _, RoleKeys, RoleName, Root,
    Sha256, Targets, Verified, VerifyError, root_fingerprint, verify, verify_next_root,
    verify_trusted_root,
};

use crate::claims::{CLAIMED, Claims};
use crate::names::names_in;

/// The published files that offline keys have signed, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Every root from version 1 on.
    pub roots: Vec<Vec<u8>>,
    /// `targets`, and the offline roles that it delegates to. Where claims are looked at,
    /// `recently-claimed`, which the online key signs, and roles of projects.
    pub roles: BTreeMap<RoleName, Vec<u8>>,
}

/// What is published now, verified. Whether it has expired is not asked: a ceremony is what helps.
#[derive(Clone, Debug)]
pub struct Standing {
    published: Published,
    root: Verified<Root>,
    fingerprints: Vec<Sha256>,
    targets: Verified<Targets>,
    delegated: BTreeMap<RoleName, Verified<Targets>>,
    claims: Claims,
}

/// The keys of one holder as metadata has them: those at one position of every offline role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The position, from 1.
    pub number: usize,
    /// What root says that the holder is called.
    pub name: Option<String>,
    /// The id of the key for each role.
    pub keys: BTreeMap<RoleName, KeyId>,
}

impl Seat {
    /// What the holder is called on a line: by name and position, or by position alone.
    pub fn called(&self) -> String {
        match &self.name {
            Some(name) => format!("{name}, holder {}", self.number),
            None => format!("holder {}", self.number),
        }
    }
}

/// What is published is no ground for a ceremony.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// There is no root.
    #[error("the roots begin with version 1, and there is none")]
    NoRoot,
    /// A file of a role that the ceremony needs is not there.
    #[error("the published {role} is missing")]
    Missing {
        /// Whose.
        role: RoleName,
    },
    /// A root is not what its predecessor allows.
    #[error("version {version} of root does not follow on the one before it")]
    Root {
        /// Its version.
        version: u64,
        /// What failed.
        #[source]
        source: VerifyError,
    },
    /// A root states another version than its place in the chain.
    #[error("in the place of version {expected} of root stands version {found}")]
    RootVersion {
        /// The version that belongs there.
        expected: u64,
        /// The version that stands there.
        found: u64,
    },
    /// The file of a role is not signed by those who sign that role.
    #[error("the published {role} is not what this index signed")]
    Role {
        /// Whose.
        role: RoleName,
        /// What failed.
        #[source]
        source: VerifyError,
    },
    /// A file is that of another role.
    #[error("what stands in the place of {role} does not say that it is {role}")]
    OtherRole {
        /// Whose place it is.
        role: RoleName,
    },
    /// The handovers in the role of a project do not hold.
    #[error("{role} carries handovers that do not hold")]
    Handovers {
        /// Which role.
        role: RoleName,
        /// What is wrong with them.
        #[source]
        source: wheelmark_tuf::HandoverError,
    },
    /// The role of a project came along to which nobody delegates.
    #[error("{role} came along, and nobody delegates to it")]
    Stray {
        /// Which role.
        role: RoleName,
    },
    /// A root cannot be read.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// `targets` does not delegate as an index does.
    #[error("targets does not delegate as an index does")]
    Foreign,
    /// A root that somebody trusts is not in the chain.
    #[error(
        "the root {pinned} is none of this index's roots 1 to {newest}, on which this stands (the first is {first})"
    )]
    NotPinned {
        /// The fingerprint that was pinned.
        pinned: Sha256,
        /// The version of the root in force.
        newest: u64,
        /// The fingerprint of version 1.
        first: Sha256,
    },
}

impl Standing {
    /// Verifies what is published, from the first root on.
    ///
    /// # Errors
    ///
    /// [`StandingError`] names the file that is not as the index signed it.
    pub fn verify(published: Published) -> Result<Self, StandingError> {
        let mut roots = published.roots.iter();
        let first = roots.next().ok_or(StandingError::NoRoot)?;
        let refused = |version| move |source| StandingError::Root { version, source };
        let mut root = verify_trusted_root(first).map_err(refused(1))?;
        in_place(1, &root)?;
        for (bytes, version) in roots.zip(2..) {
            root = verify_next_root(&root, bytes).map_err(refused(version))?;
            in_place(version, &root)?;
        }
        let fingerprints = published.roots.iter();
        let fingerprints = fingerprints
            .map(|root| root_fingerprint(root))
            .collect::<Result<_, _>>()?;

        let name = RoleName::targets();
        let role = |name: &RoleName, keys: &BTreeMap<KeyId, Key>, role_keys: &RoleKeys| {
            let bytes = published.roles.get(name);
            let role = name.clone();
            let bytes = bytes.ok_or(StandingError::Missing { role })?;
            let role = name.clone();
            let targets: Verified<Targets> = verify(bytes, keys, role_keys)
                .map_err(|source| StandingError::Role { role, source })?;
            let role = name.clone();
            match targets.stated_role() {
                Some(stated) if stated == name.as_str() => Ok(targets),
                _ => Err(StandingError::OtherRole { role }),
            }
        };
        let targets = role(&name, &root.keys, &root.roles.targets)?;
        let mut delegated = BTreeMap::new();
        let below = targets.delegations.as_ref().ok_or(StandingError::Foreign)?;
        for delegation in offline_delegations(&root, &targets)? {
            let metadata = role(&delegation.name, &below.keys, &delegation.keys)?;
            delegated.insert(delegation.name.clone(), metadata);
        }
        let claimed = CLAIMED.parse().ok();
        let claimed = claimed.and_then(|claimed: RoleName| delegated.get(&claimed));
        let claims = Claims::verify(&published, &targets, claimed.map(|claimed| &**claimed))?;
        Ok(Self {
            root,
            fingerprints,
            targets,
            delegated,
            claims,
            published,
        })
    }

    /// The files it was verified from.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// The root in force.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The top-level targets.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// The metadata of `targets`, or of an offline role below it.
    pub fn role(&self, name: &RoleName) -> Option<&Targets> {
        if *name == RoleName::targets() {
            return Some(&self.targets);
        }
        self.delegated.get(name).map(|role| &**role)
    }

    /// The roles that offline keys sign, root first, in the order in which clients come to them.
    pub fn roles(&self) -> Vec<RoleName> {
        let delegated = self.delegations().map(|role| role.name.clone());
        [RoleName::root(), RoleName::targets()]
            .into_iter()
            .chain(delegated)
            .collect()
    }

    /// The version of an offline role, and from when on it is expired.
    pub fn version_and_expiry(&self, role: &RoleName) -> Option<(u64, jiff::Timestamp)> {
        if *role == RoleName::root() {
            return Some((self.root.version(), self.root.expires()));
        }
        let role = self.role(role)?;
        Some((role.version(), role.expires()))
    }

    /// The version of any file that it was verified from: also of those that came along for claims.
    pub fn version(&self, role: &RoleName) -> Option<u64> {
        let offline = self.version_and_expiry(role);
        offline
            .map(|(version, _)| version)
            .or_else(|| self.claims.version(role))
    }

    /// What came along for claims.
    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whose signatures an offline role needs now.
    pub fn keys_of(&self, role: &RoleName) -> Option<(&BTreeMap<KeyId, Key>, &RoleKeys)> {
        match role.as_str() {
            "root" => Some((&self.root.keys, &self.root.roles.root)),
            "targets" => Some((&self.root.keys, &self.root.roles.targets)),
            _ => {
                let below = self.targets.delegations.as_ref()?;
                let found = self.delegations().find(|found| found.name == *role)?;
                Some((&below.keys, &found.keys))
            }
        }
    }

    /// The holders, by the position of their keys.
    pub fn seats(&self) -> Vec<Seat> {
        let mut seats: Vec<Seat> = Vec::new();
        let names = names_in(&self.root);
        for role in self.roles() {
            let keyids = self.keys_of(&role).map(|(_, keys)| keys.keyids.as_slice());
            for (at, keyid) in keyids.unwrap_or_default().iter().enumerate() {
                if seats.len() == at {
                    seats.push(Seat {
                        number: at + 1,
                        // Root is the first of the roles.
                        name: names.get(keyid).cloned(),
                        keys: BTreeMap::new(),
                    });
                }
                seats[at].keys.insert(role.clone(), keyid.clone());
            }
        }
        seats
    }

    /// The fingerprint of the first root, by which an index is known.
    pub fn first_fingerprint(&self) -> Sha256 {
        self.fingerprints[0]
    }

    /// The fingerprint of the root in force.
    pub fn newest_fingerprint(&self) -> Sha256 {
        self.fingerprints[self.fingerprints.len() - 1]
    }

    /// Whether the chain passes through a root that somebody trusts; its version.
    ///
    /// # Errors
    ///
    /// [`StandingError::NotPinned`] if it does not.
    pub fn pinned(&self, pinned: &Sha256) -> Result<u64, StandingError> {
        let found = self.fingerprints.iter().position(|root| root == pinned);
        match found {
            Some(at) => Ok(at as u64 + 1),
            None => Err(StandingError::NotPinned {
                pinned: *pinned,
                newest: self.root.version,
                first: self.first_fingerprint(),
            }),
        }
    }

    fn delegations(&self) -> impl Iterator<Item = &DelegatedRole> {
        listed(&self.targets)
            .iter()
            .filter(|role| self.delegated.contains_key(&role.name))
    }
}

fn in_place(expected: u64, root: &Root) -> Result<(), StandingError> {
    let found = root.version();
    if found == expected {
        Ok(())
    } else {
        Err(StandingError::RootVersion { expected, found })
    }
}

fn listed(targets: &Targets) -> &[DelegatedRole] {
    match targets.delegations.as_ref().map(|below| &below.roles) {
        Some(DelegatedRoles::Listed(roles)) => roles,
        Some(DelegatedRoles::Succinct(_)) | None => &[],
    }
}

/// What `targets` delegates to keys other than those that sign the timestamp.
pub(crate) fn offline_delegations<'a>(
    root: &Root,
    targets: &'a Targets,
) -> Result<Vec<&'a DelegatedRole>, StandingError> {
    let online = &root.roles.timestamp.keyids;
    let below = listed(targets);
    if below.is_empty() {
        return Err(StandingError::Foreign);
    }
    let is_offline = |role: &&DelegatedRole| !role.keys.keyids.iter().any(|id| online.contains(id));
    Ok(below.iter().filter(is_offline).collect())
}
