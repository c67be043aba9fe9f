//! The proof that an index has signed two different things as one version of a role.
//!
//! ```text
//!  a root that is trusted ─▶ roots of the evidence ─▶ one root for both sightings
//!                                                        │
//!            files of one sighting ─▶ Refresh, at its time, down to the role ─▶ signed part ┐
//!            files of the other    ─▶ Refresh, at its time, down to the role ─▶ signed part ┴▶ differ?
//! ```
//!
//! An evidence is written by somebody whom nobody has to believe. It holds everything that two
//! clients received, and counts only where a client that goes through each of the two, with the
//! checks of every refresh, comes to trust the same version of the same role with two contents.
//! What is compared is what is signed: other signatures, or another way of writing the same JSON,
//! are no contradiction.
//!
//! Some rules go beyond those of a client, so that nothing holds against an honest index. Both
//! sightings count under one and the same root, because versions may begin anew with new keys;
//! and by the same way of delegations with the same keys at every step, because that is so below
//! the root as well, and because whoever signs for one project could otherwise call a role of
//! their own by the name of the index's. For the same reason a role `project-a` leads to roles
//! `project-a.*` alone. And metadata of a targets role must state which role it is: without that,
//! two roles that share a key could be passed off as one.

mod file;
mod files;
mod way;

use jiff::Timestamp;

use crate::envelope::{Envelope, EnvelopeError};
use crate::fresh::RoleError;
use crate::key::KeyId;
use crate::limits::Limits;
use crate::lookup::open_delegated;
use crate::model::{OWN_MEMBER, Root};
use crate::name::RoleName;
use crate::refresh::{Cached, Refresh, RefreshError};
use crate::sha256::Sha256;
use crate::shown::Shown;
use crate::verify::{Verified, VerifyError, verify_next_root, verify_trusted_root};

use self::files::Files;
use self::way::Step;

pub use file::{EvidenceFormatError, MAX_EVIDENCE_LENGTH};

/// Everything that is needed to see that an index has signed two things as one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The role that has two contents.
    pub role: RoleName,
    /// The version of both.
    pub version: u64,
    /// Root files of consecutive versions. The last one is the one that both sightings count
    /// under; a reader has to trust one of them, or the one before the first.
    pub roots: Vec<Vec<u8>>,
    /// The two contents, each with all that led to it.
    pub sightings: [Sighting; 2],
}

/// What one client received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Who served it. Nothing proves this.
    pub source: String,
    /// When; every expiry is judged by it. Nothing proves this.
    pub at: Timestamp,
    /// For a delegated role: the roles that lead to it, from `targets` down to its delegator.
    pub via: Vec<RoleName>,
    /// Each file by the path that a client asks for, as it was received: from the timestamp down
    /// to the role, and nothing else. For root, the root file alone.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A contradiction that was verified: both sides of it are signed. Made by
/// [`Evidence::verify`] alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    role: RoleName,
    version: u64,
    root_version: u64,
    via: Vec<RoleName>,
    keyids: Vec<KeyId>,
    signed: [Sha256; 2],
}

impl Equivocation {
    /// The role.
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// The version that exists twice.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version of the root under which both count.
    pub fn root_version(&self) -> u64 {
        self.root_version
    }

    /// For a delegated role: the roles that lead to it, from `targets` down to its delegator.
    pub fn via(&self) -> &[RoleName] {
        &self.via
    }

    /// The ids of the keys that speak for the role, in both sightings.
    pub fn keyids(&self) -> &[KeyId] {
        &self.keyids
    }

    /// The SHA-256 of the canonical signed part of each, which are different.
    pub fn signed(&self) -> &[Sha256; 2] {
        &self.signed
    }
}

/// Why an evidence proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The root to begin with is unusable.
    #[error("the root that was given is unusable")]
    GivenRoot(#[source] VerifyError),
    /// The evidence's roots do not follow each other.
    #[error("root number {position} of the evidence does not follow from the one before it")]
    Roots {
        /// Which, counted from 1.
        position: usize,
        /// Why.
        #[source]
        reason: RoleError,
    },
    /// The root that was given has nothing to do with those of the evidence.
    #[error("the evidence has another root of version {version} than was given")]
    OtherRoot {
        /// The version of both.
        version: u64,
    },
    /// The root that was given is of a time that the evidence does not reach.
    #[error("the root that was given has version {given}, the evidence's are {first} to {last}")]
    OutOfReach {
        /// The version of the root that was given.
        given: u64,
        /// The version of the evidence's first root.
        first: u64,
        /// The version of its last one.
        last: u64,
    },
    /// A sighting lacks a file that a client needs on the way to the role.
    #[error("the sighting at {} lacks {}", Shown(.source_name), Shown(.path))]
    Lacking {
        /// Whose sighting.
        source_name: String,
        /// The path of the file.
        path: String,
    },
    /// No client would have accepted a file of a sighting.
    #[error("what is said to be seen at {} is refused", Shown(.source_name))]
    Refused {
        /// Whose sighting.
        source_name: String,
        /// Why.
        #[source]
        reason: RefreshError,
    },
    /// The roles of `via` do not lead to the role.
    #[error("at {}, nothing delegates to {role} that may do so", Shown(.source_name))]
    NotDelegated {
        /// Whose sighting.
        source_name: String,
        /// The role that nobody delegates to.
        role: RoleName,
    },
    /// The two sightings come to the role by different ways.
    #[error("the two sightings come to {role} by different roles")]
    OtherWay {
        /// The role.
        role: RoleName,
    },
    /// Other keys speak for a role in the one than in the other.
    #[error(
        "the keys of {role} are others in one sighting than in the other: its versions may have begun anew"
    )]
    OtherKeys {
        /// The role whose keys were changed, on the way to the one that has two contents.
        role: RoleName,
    },
    /// A file that has no part in the proof.
    #[error("the sighting at {} holds {}, which proves nothing", Shown(.source_name), Shown(.path))]
    Unused {
        /// Whose sighting.
        source_name: String,
        /// The path of the file.
        path: String,
    },
    /// The file is of another version than the evidence claims.
    #[error("what was seen at {} has version {found}, not {claimed}", Shown(.source_name))]
    OtherVersion {
        /// Whose sighting.
        source_name: String,
        /// The version that the evidence claims.
        claimed: u64,
        /// The version of the file.
        found: u64,
    },
    /// A targets role that does not state its name could be another role's file.
    #[error("what was seen at {} does not state that it is {role}", Shown(.source_name))]
    NotStated {
        /// Whose sighting.
        source_name: String,
        /// The role that it should state.
        role: RoleName,
    },
    /// What is signed is the same: no contradiction.
    #[error("both sightings have the same signed content of {role} version {version}")]
    SameContent {
        /// The role.
        role: RoleName,
        /// The version of both.
        version: u64,
    },
}

/// The SHA-256 of what is signed in a metadata file: the same for every way of writing it down
/// and for every set of signatures. It says what the file is, not that it is good.
///
/// # Errors
///
/// When the bytes are not a metadata file.
pub fn signed_digest(bytes: &[u8]) -> Result<Sha256, EnvelopeError> {
    Ok(Sha256::of(&Envelope::open(bytes)?.canonical))
}

impl Evidence {
    /// Verifies the evidence with nothing but a trusted root.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`] says at which of the rules it fails.
    pub fn verify(&self, root: &[u8]) -> Result<Equivocation, EvidenceError> {
        let chain = self.chain()?;
        let followed = self.anchor(root, &chain)?;
        let [one, other] = &self.sightings;
        if one.via != other.via {
            return Err(EvidenceError::OtherWay {
                role: self.role.clone(),
            });
        }
        let via = one.via.clone();
        let (one, way) = self.follow(root, followed, one)?;
        let (other, other_way) = self.follow(root, followed, other)?;
        if let Some((step, _)) = way.iter().zip(&other_way).find(|(a, b)| a != b) {
            return Err(EvidenceError::OtherKeys {
                role: step.role.clone(),
            });
        }
        if one == other {
            return Err(EvidenceError::SameContent {
                role: self.role.clone(),
                version: self.version,
            });
        }
        let last = chain.last();
        let keyids = match way.last() {
            Some(step) => step.keyids.clone(),
            None => last.map_or_else(Vec::new, |root| self.top_level_keyids(root)),
        };
        Ok(Equivocation {
            role: self.role.clone(),
            version: self.version,
            root_version: last.map_or(0, |root| root.version),
            via,
            keyids,
            signed: [one, other],
        })
    }

    /// The keys of a role that is not delegated to.
    fn top_level_keyids(&self, root: &Root) -> Vec<KeyId> {
        let roles = &root.roles;
        let keys = [
            (RoleName::root(), &roles.root),
            (RoleName::timestamp(), &roles.timestamp),
            (RoleName::snapshot(), &roles.snapshot),
            (RoleName::targets(), &roles.targets),
        ];
        let of_role = keys.iter().find(|(name, _)| *name == self.role);
        of_role.map_or_else(Vec::new, |(_, keys)| keys.keyids.clone())
    }

    /// The evidence's own roots: the first on its own word, each other one on the word of the
    /// one before it as well.
    fn chain(&self) -> Result<Vec<Verified<Root>>, EvidenceError> {
        let mut chain: Vec<Verified<Root>> = Vec::new();
        for (place, bytes) in self.roots.iter().enumerate() {
            let opened = match chain.last() {
                None => verify_trusted_root(bytes).map_err(RoleError::from),
                Some(last) => verify_next_root(last, bytes)
                    .map_err(RoleError::from)
                    .and_then(|next| {
                        let (expected, found) = (last.version.saturating_add(1), next.version);
                        if found == expected {
                            return Ok(next);
                        }
                        Err(RoleError::Version { expected, found })
                    }),
            };
            chain.push(opened.map_err(|reason| EvidenceError::Roots {
                position: place + 1,
                reason,
            })?);
        }
        Ok(chain)
    }

    /// Where the given root stands in the chain: how many of the evidence's roots a client that
    /// trusts it has behind it.
    fn anchor(&self, given: &[u8], chain: &[Verified<Root>]) -> Result<usize, EvidenceError> {
        let root = verify_trusted_root(given).map_err(EvidenceError::GivenRoot)?;
        let (Some(first), Some(last)) = (chain.first(), chain.last()) else {
            return Err(EvidenceError::OutOfReach {
                given: root.version,
                first: 0,
                last: 0,
            });
        };
        let (first, last) = (first.version, last.version);
        let version = root.version;
        if version.checked_add(1) == Some(first) {
            // Whether the first one follows from it, the refresh says.
            return Ok(0);
        }
        if version < first || version > last {
            return Err(EvidenceError::OutOfReach {
                given: version,
                first,
                last,
            });
        }
        let place = usize::try_from(version - first).unwrap_or(usize::MAX);
        let same = self.roots.get(place).is_some_and(|theirs| {
            matches!((signed_digest(theirs), signed_digest(given)), (Ok(a), Ok(b)) if a == b)
        });
        if !same {
            return Err(EvidenceError::OtherRoot { version });
        }
        Ok(place + 1)
    }

    /// Goes the way of a client that saw one of the two, and gives back the digest of what it
    /// came to trust as this version of the role, and the delegations that led there.
    fn follow(
        &self,
        root: &[u8],
        followed: usize,
        sighting: &Sighting,
    ) -> Result<(Sha256, Vec<Step>), EvidenceError> {
        let refused = |reason| EvidenceError::Refused {
            source_name: sighting.source.clone(),
            reason,
        };
        let mut files = Files::of(sighting);
        let begun = Refresh::new(root, Cached::default(), sighting.at, Limits::default());
        let mut machine = begun.map_err(refused)?;
        for root in self.roots.iter().skip(followed) {
            (machine, _) = machine.supply(Some(root.clone())).map_err(refused)?;
        }
        if self.role != RoleName::root() {
            (machine, _) = machine.supply(None).map_err(refused)?;
        }
        let reached = loop {
            let (Some(need), Some(sought)) = (machine.need().cloned(), machine.sought()) else {
                break None;
            };
            let bytes = files.take(&need.path)?;
            let (next, _) = machine.supply(Some(bytes.to_vec())).map_err(refused)?;
            machine = next;
            if sought == self.role {
                break Some(bytes);
            }
        };
        let (bytes, way) = match reached {
            Some(bytes) if sighting.via.is_empty() => (bytes, Vec::new()),
            Some(_) => return Err(not_delegated(sighting, &self.role)),
            None => self.descend(machine, sighting, &mut files)?,
        };
        files.demand_exhausted()?;
        Ok((self.content(sighting, bytes)?, way))
    }

    /// From the top-level targets down to a delegated role.
    fn descend<'a>(
        &self,
        machine: Refresh,
        sighting: &'a Sighting,
        files: &mut Files<'a>,
    ) -> Result<(&'a [u8], Vec<Step>), EvidenceError> {
        let source_name = || sighting.source.clone();
        let refused = |reason| EvidenceError::Refused {
            source_name: source_name(),
            reason,
        };
        let set = machine.finish().map_err(refused)?;
        let mut delegator = set.shared_targets();
        let below = sighting.via.iter().skip(1).chain([&self.role]);
        let mut way: Vec<Step> = Vec::new();
        let mut last = None;
        if sighting.via.first() != Some(&RoleName::targets()) {
            return Err(not_delegated(sighting, &self.role));
        }
        for role in below {
            let from = way
                .last()
                .map_or_else(RoleName::targets, |s| s.role.clone());
            let delegations = delegator.delegations.as_ref();
            let step = delegations.and_then(|delegations| Step::from(&from, delegations, role));
            way.push(step.ok_or_else(|| not_delegated(sighting, role))?);
            let Some(meta) = set.snapshot().role(role) else {
                return Err(refused(RefreshError::NotInSnapshot { role: role.clone() }));
            };
            let path = crate::trusted::file_name(set.root(), role, meta.version);
            let bytes = files.take(&path)?;
            let opened = open_delegated(&set, &delegator, role, meta, bytes).map_err(|reason| {
                refused(RefreshError::Refused {
                    role: role.clone(),
                    reason,
                })
            })?;
            delegator = std::sync::Arc::new(opened);
            last = Some(bytes);
        }
        let bytes = last.ok_or_else(|| not_delegated(sighting, &self.role))?;
        Ok((bytes, way))
    }

    /// What was reached must be the version that is claimed, and say which role it is.
    fn content(&self, sighting: &Sighting, bytes: &[u8]) -> Result<Sha256, EvidenceError> {
        let opened = Envelope::open(bytes).map_err(|error| EvidenceError::Refused {
            source_name: sighting.source.clone(),
            reason: RefreshError::Refused {
                role: self.role.clone(),
                reason: RoleError::Verify(error.into()),
            },
        })?;
        let found = opened.signed["version"].as_u64().unwrap_or(0);
        if found != self.version {
            return Err(EvidenceError::OtherVersion {
                source_name: sighting.source.clone(),
                claimed: self.version,
                found,
            });
        }
        let typed_by_name = [
            RoleName::root(),
            RoleName::timestamp(),
            RoleName::snapshot(),
        ];
        if !typed_by_name.contains(&self.role) {
            let stated = opened.signed[OWN_MEMBER]["role"].as_str();
            if stated != Some(self.role.as_str()) {
                return Err(EvidenceError::NotStated {
                    source_name: sighting.source.clone(),
                    role: self.role.clone(),
                });
            }
        }
        Ok(Sha256::of(&opened.canonical))
    }
}

fn not_delegated(sighting: &Sighting, role: &RoleName) -> EvidenceError {
    EvidenceError::NotDelegated {
        source_name: sighting.source.clone(),
        role: role.clone(),
    }
}
