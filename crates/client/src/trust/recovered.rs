//! What the index's recovery after a break-in undoes of what is kept here, and what was said of it:
//! `recovery.json`.
//!
//! ```text
//! targets, verified ─▶ IndexRecovery ─▶ as remembered: nothing to do
//!                                   └▶ another ─▶ claims, identities: forgotten ─▶ recovery.json
//! ```
//!
//! Whoever had the index's online key could have this client remember what nobody else would believe
//! later: keys of their own for a project that nobody had claimed, an identity of their own as the one
//! that attests to it. Such a memory keeps the project's own people out after the index was repaired. So
//! the statement of a recovery, which only the offline keys can make, is done once: it is written down
//! when everything that follows from it was done, and a run that was killed before begins again.
//!
//! A file that the disk has damaged is put aside, and the statement is taken in once more: nobody's
//! install waits for that. What was seen since is forgotten again with it, as a client has it that begins
//! now; what a person has compared by hand, and what is sealed, stays.
//!
//! What stands here of a statement keeps older states of the index from being remembered: see
//! [`Under`].

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{IndexRecovery, IndexRecoveryError, Sha256, TrustedSet};

use super::{Durability, TrustError, TrustedIndex, io};
use crate::claims::SeenClaim;

/// The version of the file that this program writes and reads.
const FORMAT: u32 = 1;

const FILE: &str = "recovery.json";

/// Where a damaged one is put, for people to look at.
const ASIDE: &str = "recovery.json.damaged";

/// For how long people are told of a recovery again whenever something is refused.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A recovery of the index, as this client has taken it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Recovered {
    /// Which statement it is.
    pub digest: Sha256,
    /// The version of the root under which it was seen first.
    pub root: u64,
    /// When the index was recovered, by its offline keys' word.
    pub at: Timestamp,
    /// The last moment at which the index was known to be good, by the same word.
    pub since: Timestamp,
    /// What happened, for people: plain lines.
    pub bulletin: String,
    /// When this client took it in, by its own clock.
    pub noticed: Timestamp,
    /// When a person was told, by the same clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
    /// The projects of which it is forgotten who signs for them.
    #[serde(default)]
    pub claims: Vec<ProjectName>,
    /// The projects of which it is forgotten who attests to them, or a part of that.
    #[serde(default)]
    pub identities: Vec<ProjectName>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    recovery: Recovered,
}

/// Why what stands in the file is none that this program can go by.
enum Flaw {
    /// It is not as any program has written it.
    Damaged(String),
    /// Another version of this program has written it, and knows more.
    Format(u32),
}

/// The state of the index that something was seen under, as far as it matters after a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Under {
    root: u64,
    statement: Option<Sha256>,
}

impl Under {
    /// That of a verified state.
    pub(crate) fn of(set: &TrustedSet) -> Self {
        Self {
            root: set.root().version,
            statement: IndexRecovery::of(set.targets())
                .ok()
                .flatten()
                .map(|statement| statement.digest()),
        }
    }
}

impl Recovered {
    /// Whether people are to be told: once, and again as long as it may be why something is `refused`.
    /// Whoever began to trust the index later has lost nothing by it, and is told in the second case alone.
    #[must_use]
    pub fn is_news(&self, trusted_since: Timestamp, refused: bool, now: Timestamp) -> bool {
        let knew_before = trusted_since < self.at;
        let from = match knew_before {
            true => self.noticed,
            false => self.at,
        };
        let is_recent = now.duration_since(from) < TOLD_FOR;
        (knew_before && self.told.is_none()) || (refused && is_recent)
    }
}

impl TrustedIndex {
    /// The last recovery of the index that was taken in here, if there was one.
    ///
    /// # Errors
    ///
    /// When it cannot be read: what was forgotten would be forgotten anew, and what was seen since with it.
    pub fn recovered(&self) -> Result<Option<Recovered>, TrustError> {
        let problem = match self.read_recovered()? {
            None => return Ok(None),
            Some(Ok(recovered)) => return Ok(Some(recovered)),
            Some(Err(Flaw::Damaged(problem))) => {
                format!(
                    "{problem}; the next refresh puts it aside, and takes the recovery in again"
                )
            }
            Some(Err(Flaw::Format(other))) => format!(
                "its format is {other}, and this program knows {FORMAT}: use the newer wheelmark that has written it"
            ),
        };
        let path = self.directory().join(FILE);
        Err(TrustError::Record { path, problem })
    }

    fn read_recovered(&self) -> Result<Option<Result<Recovered, Flaw>>, TrustError> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let Some(bytes) = self.read(FILE)? else {
            return Ok(None);
        };
        let damaged = |error: serde_json::Error| Flaw::Damaged(error.to_string());
        let form: Result<Form, _> = serde_json::from_slice(&bytes).map_err(damaged);
        Ok(Some(match form {
            Err(flaw) => Err(flaw),
            Ok(Form { format: FORMAT }) => serde_json::from_slice(&bytes)
                .map(|written: Written| written.recovery)
                .map_err(damaged),
            Ok(Form { format }) => Err(Flaw::Format(format)),
        }))
    }

    /// Puts a damaged file aside, if there is one. The lock is held.
    fn put_damaged_aside(&self) -> Result<(), TrustError> {
        let Some(Err(Flaw::Damaged(problem))) = self.read_recovered()? else {
            return Ok(());
        };
        let [path, aside] = [FILE, ASIDE].map(|name| self.directory().join(name));
        tracing::warn!(
            problem,
            "{} is damaged, and lies in {} now: what is forgotten after a recovery of {} is forgotten once more",
            path.display(),
            aside.display(),
            self.urls().simple()
        );
        std::fs::rename(&path, &aside).map_err(|error| io("move", &path, error))
    }

    /// Remembers that a person was told of a recovery.
    ///
    /// # Errors
    ///
    /// When it cannot be locked, read or written, or trust has ended meanwhile.
    pub async fn mark_told(&self, digest: &Sha256, now: Timestamp) -> Result<(), TrustError> {
        let _lock = self.lock().await?;
        match self.recovered()? {
            Some(known) if known.digest == *digest && known.told.is_none() => {
                self.put_recovered(Recovered {
                    told: Some(now),
                    ..known
                })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn put_recovered(&self, recovery: Recovered) -> Result<(), TrustError> {
        let written = Written {
            format: FORMAT,
            recovery,
        };
        let text =
            serde_json::to_vec_pretty(&written).expect("strings and numbers can always be written");
        self.write(FILE, &text, Durability::Synced)
    }

    /// Does what follows from the statement that a verified state carries, if it is another one than was
    /// taken in before. The lock is held.
    pub(crate) fn take_in_recovery(
        &self,
        set: &TrustedSet,
        now: Timestamp,
    ) -> Result<(), TrustError> {
        self.put_damaged_aside()?;
        match IndexRecovery::of(set.targets()) {
            Ok(None) => Ok(()),
            Ok(Some(statement)) => self.take_in(&statement, set.root().version, now),
            Err(error) => {
                warn_of_unreadable(self, &error);
                Ok(())
            }
        }
    }

    pub(super) fn take_in(
        &self,
        statement: &IndexRecovery,
        root: u64,
        now: Timestamp,
    ) -> Result<(), TrustError> {
        let digest = statement.digest();
        if self
            .recovered()?
            .is_some_and(|known| known.digest == digest)
        {
            return Ok(());
        }
        let recovery = Recovered {
            digest,
            root,
            at: statement.at,
            since: statement.since,
            bulletin: statement.bulletin.clone(),
            noticed: now,
            told: None,
            claims: self.forget_claims(statement, &digest)?,
            identities: self.forget_identities(statement.since)?,
        };
        if self.record().trusted_since < recovery.at {
            tracing::warn!(
                "{} was recovered on {} after a break-in: who signs for {} projects and who attests to {} is forgotten here (wheelmark trust show)",
                self.urls().simple(),
                recovery.at,
                recovery.claims.len(),
                recovery.identities.len()
            );
        }
        self.put_recovered(recovery)
    }

    /// Forgets the claims that no offline key has vouched for, unless they go on or a person has compared
    /// their keys. Of the others, the versions that were seen and that there was a seal count no more.
    fn forget_claims(
        &self,
        statement: &IndexRecovery,
        digest: &Sha256,
    ) -> Result<Vec<ProjectName>, TrustError> {
        let mut forgotten = Vec::new();
        for project in self.claimed_projects()? {
            let claim = match self.seen_claim(&project) {
                Ok(Some(claim)) => claim,
                Ok(None) => continue,
                // Whoever asks for the project is told of it, and nobody else is kept waiting.
                Err(error) => {
                    tracing::warn!(%error, "what is kept of {project} stays as it is");
                    continue;
                }
            };
            let goes_on = claim.sealed || claim.goes_on(&project, statement);
            if goes_on || claim.by_hand {
                let marked = SeenClaim {
                    recovered: Some(*digest),
                    cleared: !goes_on,
                    ..claim
                };
                self.put_claim(&project, marked)?;
            } else {
                self.drop_claim(&project)?;
                forgotten.push(project);
            }
        }
        Ok(forgotten)
    }

    /// Forgets who attests to projects, as far as it was seen since.
    fn forget_identities(&self, since: Timestamp) -> Result<Vec<ProjectName>, TrustError> {
        let mut forgotten = Vec::new();
        for project in self.attested_projects()? {
            let mut remembered = match self.remembered(&project) {
                Ok(remembered) => remembered,
                Err(error) => {
                    tracing::warn!(%error, "what is kept of {project} stays as it is");
                    continue;
                }
            };
            if remembered.forget_since(since) {
                self.write_remembered(&project, remembered)?;
                forgotten.push(project);
            }
        }
        Ok(forgotten)
    }

    /// Whether something was seen under a state of the index from before its recovery: another run may
    /// still go by that for an hour, and nothing that it sees is remembered. The lock is held.
    pub(super) fn is_overtaken(&self, under: Under) -> Result<bool, TrustError> {
        let known = self.recovered()?;
        Ok(known
            .is_some_and(|known| under.statement != Some(known.digest) && under.root < known.root))
    }
}

fn warn_of_unreadable(index: &TrustedIndex, error: &IndexRecoveryError) {
    tracing::warn!(
        %error,
        "{} says something of a recovery that this program cannot read; nothing is forgotten",
        index.urls().simple()
    );
}

#[cfg(test)]
mod tests;
