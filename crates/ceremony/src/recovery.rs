//! The ceremony of the day after a break-in: the index goes back to the last state that is known to be good.
//!
//! ```text
//! last good state ─▶ Standing ─┐
//!                              ├─ Ceremony::new ─▶ root N+1: another online key
//! Recovery: since, bulletin ───┘                   the others: last good version + RECOVERY_RAISE
//!                                                  targets: the statement of the recovery
//! ```
//!
//! Such a ceremony stands on the last good state and not on the present one, so what a thief has signed since
//! is in nobody's way. It replaces the online key (PEP 458, "In the Event of a Key Compromise"), raises the version of every
//! other role above all that was published, and lets `targets` say which claims go on that no offline key
//! vouches for ([`IndexRecovery`]): those of the last good state, with their keys. All of that follows from
//! what travels along, and each holder's program computes it again.
//!
//! What nothing proves to a holder is that this state is the last good one. Its date and the digest of
//! its snapshot are shown, and are part of what is read aloud.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wheelmark_tuf::{
    BulletinError, IndexRecovery, RECOVERY_RAISE, RoleName, Sha256, Targets, check_bulletin,
    claim_digest,
};

use crate::ceremony::Ceremony;
use crate::online::OnlineKey;
use crate::plan::Plan;
use crate::standing::Standing;

/// The longest statement that a ceremony makes, in bytes of its canonical form: clients read
/// [`wheelmark_tuf::limits::MAX_TARGETS_LENGTH`] of `targets`. Room for some 40,000 claims.
const MAX_STATEMENT_LEN: usize = 4_000_000;

/// How many of the claims that go on are named to people.
const SHOWN_CLAIMS: usize = 40;

/// That a ceremony brings the index back to a state of before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Since when something may have happened that the last good state does not have, in whole seconds.
    pub since: Timestamp,
    /// The version of the snapshot of the last good state.
    pub snapshot_version: u64,
    /// The SHA-256 of its file, signatures included.
    pub snapshot_sha256: Sha256,
    /// What people are told: plain lines ([`check_bulletin`]).
    pub bulletin: String,
    /// The roles of projects whose claim the last good state has and does not go on: it ended since, and
    /// stays ended.
    pub ended: BTreeSet<RoleName>,
}

/// A ceremony cannot recover the index so.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The bulletin.
    #[error(transparent)]
    Bulletin(#[from] BulletinError),
    /// A date that is none.
    #[error("the recovery has a date that is none")]
    Date(#[source] jiff::Error),
    /// The ceremony would have begun before the last good state.
    #[error("the ceremony began {made_at}, before the last good state of {since}")]
    Dates {
        /// When it began.
        made_at: Timestamp,
        /// Of when the last good state is.
        since: Timestamp,
    },
    /// The online key would stay.
    #[error(
        "a recovery puts another online key in the place of the present one: clients forget what was signed with a key when root does not name it any more"
    )]
    SameOnlineKey,
    /// Something else would change, too.
    #[error(
        "a recovery changes {what} in no case: hold another ceremony for that, once it is published"
    )]
    Besides {
        /// What.
        what: &'static str,
    },
    /// The list of claims of the last good state did not come along.
    #[error("what the last good state says of claims is missing")]
    NoClaims,
    /// A name that no project has.
    #[error("{} is not the name of a project", name.escape_debug())]
    Name {
        /// The name.
        name: String,
    },
    /// A project is named twice.
    #[error("{project} is named twice")]
    Twice {
        /// Which.
        project: String,
    },
    /// A claim is to end that there is not.
    #[error(
        "the claim of {project} cannot end: in the last good state there is none that is claimed, not yet sealed"
    )]
    NotWaiting {
        /// Which project.
        project: String,
    },
    /// More claims than clients would read.
    #[error(
        "the claims that go on would take {length} bytes of targets, and {MAX_STATEMENT_LEN} are the most with which clients read it"
    )]
    TooLong {
        /// How many bytes.
        length: usize,
    },
}

/// The same, as a plan says it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StoredRecovery {
    since: String,
    snapshot: StoredSnapshot,
    bulletin: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ended: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSnapshot {
    version: u64,
    sha256: Sha256,
}

impl Recovery {
    pub(crate) fn read(stored: StoredRecovery) -> Result<Self, RecoveryError> {
        let mut ended = BTreeSet::new();
        for name in stored.ended {
            let role = RoleName::of_project(&name);
            let role = role.map_err(|_| RecoveryError::Name { name: name.clone() })?;
            if !ended.insert(role) {
                return Err(RecoveryError::Twice { project: name });
            }
        }
        Ok(Self {
            since: stored.since.parse().map_err(RecoveryError::Date)?,
            snapshot_version: stored.snapshot.version,
            snapshot_sha256: stored.snapshot.sha256,
            bulletin: stored.bulletin,
            ended,
        })
    }

    pub(crate) fn to_stored(&self) -> StoredRecovery {
        let ended = self.ended.iter().filter_map(RoleName::project);
        StoredRecovery {
            since: self.since.to_string(),
            snapshot: StoredSnapshot {
                version: self.snapshot_version,
                sha256: self.snapshot_sha256,
            },
            bulletin: self.bulletin.clone(),
            ended: ended.map(str::to_owned).collect(),
        }
    }

    /// The statement that `targets` carries then.
    fn statement(
        &self,
        standing: &Standing,
        made_at: Timestamp,
    ) -> Result<IndexRecovery, RecoveryError> {
        let waiting = standing.waiting_roles().ok_or(RecoveryError::NoClaims)?;
        for role in &self.ended {
            if !waiting.iter().any(|waiting| waiting.name == *role) {
                let project = role.project().unwrap_or_else(|| role.as_str()).to_owned();
                return Err(RecoveryError::NotWaiting { project });
            }
        }
        let goes_on = waiting
            .iter()
            .filter(|role| !self.ended.contains(&role.name));
        // Clients that were away during an earlier recovery forget what they took since that one's break-in.
        let earlier = IndexRecovery::of(standing.targets()).ok().flatten();
        let since = earlier.map_or(self.since, |earlier| earlier.since.min(self.since));
        let claims = goes_on.filter_map(|role| {
            let project = role.name.project()?.to_owned();
            Some((project, claim_digest(&role.keys)))
        });
        Ok(IndexRecovery {
            at: made_at,
            since,
            bulletin: self.bulletin.clone(),
            claims: claims.collect(),
            extra: BTreeMap::new(),
        })
    }
}

impl Plan {
    /// Makes a renewal of all roles the ceremony of a recovery, with a key that has never signed: every
    /// version but that of root is [`RECOVERY_RAISE`] above the last good one, and passes over those for
    /// which `is_taken` says that a file stands there already.
    pub fn recover(
        &mut self,
        recovery: Recovery,
        online: OnlineKey,
        mut is_taken: impl FnMut(&RoleName, u64) -> bool,
    ) {
        for (role, next) in &mut self.roles {
            if *role == RoleName::root() {
                continue;
            }
            // A renewal is one above what is published.
            let published = next.version.saturating_sub(1);
            let raised = raised(published);
            let free = raised
                .into_iter()
                .flatten()
                .find(|version| !is_taken(role, *version));
            next.version = free.unwrap_or(u64::MAX);
        }
        self.online = Some(online);
        self.recovery = Some(recovery);
    }
}

/// The versions that a recovery can give to a role of which the last good state has this one.
fn raised(published: u64) -> Option<std::ops::RangeInclusive<u64>> {
    let first = published.checked_add(RECOVERY_RAISE)?;
    Some(first..=first.checked_add(RECOVERY_RAISE)?)
}

/// Whether a recovery can give that version to a role, on the ground of the last good one.
pub(crate) fn is_raised(published: u64, planned: u64) -> bool {
    raised(published).is_some_and(|raised| raised.contains(&planned))
}

/// A recovery is whole, and brings nothing else.
pub(crate) fn demand_whole(plan: &Plan) -> Result<(), RecoveryError> {
    let Some(recovery) = &plan.recovery else {
        return Ok(());
    };
    check_bulletin(&recovery.bulletin)?;
    let (made_at, since) = (plan.made_at, recovery.since);
    if since > made_at {
        return Err(RecoveryError::Dates { made_at, since });
    }
    if plan.online.is_none() {
        return Err(RecoveryError::SameOnlineKey);
    }
    if plan.bins.is_some() {
        let what = "the number of bins";
        return Err(RecoveryError::Besides { what });
    }
    if !plan.claims.is_empty() {
        let what = "which claims are sealed";
        return Err(RecoveryError::Besides { what });
    }
    Ok(())
}

/// Lets `targets` say it.
pub(crate) fn in_targets(
    standing: &Standing,
    plan: &Plan,
    targets: &mut Targets,
) -> Result<(), RecoveryError> {
    let Some(recovery) = &plan.recovery else {
        return Ok(());
    };
    let statement = recovery.statement(standing, plan.made_at)?;
    let length = wheelmark_tuf::canonical::encode(&statement.to_value()).len();
    if length > MAX_STATEMENT_LEN {
        return Err(RecoveryError::TooLong { length });
    }
    statement.state(targets);
    Ok(())
}

impl Ceremony {
    /// What `targets` says of the last recovery after this ceremony, if there ever was one.
    pub fn recovery_statement(&self) -> Option<IndexRecovery> {
        IndexRecovery::of(self.next_targets()).ok().flatten()
    }

    /// What a recovery has `targets` say, in lines for people.
    pub(crate) fn changes_of_recovery(&self, changes: &mut Vec<String>) {
        let (Some(recovery), Some(said)) = (&self.plan().recovery, self.recovery_statement())
        else {
            return;
        };
        changes.push(format!(
            "the index goes back to the state of {}, with version {} of snapshot and the digest {}",
            recovery.since, recovery.snapshot_version, recovery.snapshot_sha256
        ));
        changes.push(format!(
            "clients forget what they took on first use since {}",
            said.since
        ));
        changes.push(match said.claims.len() {
            0 => "clients forget every claim that is claimed, not yet sealed".to_owned(),
            count => format!(
                "clients forget every claim that is claimed, not yet sealed, but for these {count}, with the keys that they had then"
            ),
        });
        for (project, digest) in said.claims.iter().take(SHOWN_CLAIMS) {
            changes.push(format!("  {project} (keys {digest})"));
        }
        let left = said.claims.len().saturating_sub(SHOWN_CLAIMS);
        if left > 0 {
            changes.push(format!("  and {left} more, in the payload of targets"));
        }
        for role in &recovery.ended {
            if let Some(project) = role.project() {
                changes.push(format!("  {project} is claimed no longer"));
            }
        }
        changes.push("everybody is told:".to_owned());
        changes.extend(said.bulletin.lines().map(|line| format!("  | {line}")));
    }

    /// What everybody is to know of a recovery before they sign.
    pub(crate) fn caution_of_recovery(&self) -> Option<String> {
        let recovery = self.plan().recovery.as_ref()?;
        Some(format!(
            "this brings the index back from a break-in. What was published after {} counts only as far as whoever runs the index keeps it: that this is the last good state, and not one in which somebody was in already, nothing here proves. Ask what it goes by; if you have signed a ceremony since then that is to stay, do not sign this one",
            recovery.since
        ))
    }
}
