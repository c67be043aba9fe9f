//! What an audit comes to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use wheelmark_tuf::{RoleName, TrustedSet};

use super::tally::{Counts, Tally};
use crate::findings::{Finding, Findings, Trouble};

/// Stale roles that are listed; all of them are counted.
const LISTED: usize = 20;

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn as_text_if_any<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

/// What was found in a copy.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// The state that the copy has; none where it has no chain that can be gone by.
    pub heads: Option<Heads>,
    /// What is expired now of the roles that the index signs.
    pub stale: Stale,
    /// Projects' own roles that have expired: readers refuse those projects, and nothing else.
    pub ended: Stale,
    /// Projects with a page.
    pub projects: u64,
    /// What was gone through.
    pub counts: Counts,
    /// How many findings there are, by kind.
    pub totals: BTreeMap<Trouble, u64>,
    /// The findings, up to the limit that was set.
    pub findings: Vec<Finding>,
    /// Folders that could not be listed.
    pub unreadable_folders: u64,
    /// Of a tree, the folders for installers that verify nothing which it does not have at all.
    pub lacking: Vec<&'static str>,
}

/// The top-level roles of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Heads {
    /// The version of root.
    pub root: u64,
    /// The version of the timestamp.
    pub timestamp: u64,
    /// When the timestamp ends.
    #[serde(serialize_with = "as_text")]
    pub timestamp_expires: Timestamp,
    /// The version of the snapshot.
    pub snapshot: u64,
    /// The version of the top-level targets.
    pub targets: u64,
}

impl Heads {
    /// Those of a state.
    #[must_use]
    pub fn of(set: &TrustedSet) -> Self {
        Self {
            root: set.root().version,
            timestamp: set.timestamp().version,
            timestamp_expires: set.timestamp().expires,
            snapshot: set.snapshot().version,
            targets: set.targets().version,
        }
    }
}

/// Roles that have expired.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stale {
    /// How many.
    pub count: u64,
    /// Since when the first of them is expired.
    #[serde(serialize_with = "as_text_if_any")]
    pub since: Option<Timestamp>,
    /// Some of them.
    pub roles: Vec<StaleRole>,
}

/// A role that has expired.
#[derive(Clone, Debug, Serialize)]
pub struct StaleRole {
    /// Its name.
    pub role: String,
    /// When it expired.
    #[serde(serialize_with = "as_text")]
    pub expired: Timestamp,
}

impl Stale {
    pub(super) fn add(&mut self, role: &RoleName, expired: Timestamp) {
        self.count += 1;
        self.since = Some(self.since.map_or(expired, |since| since.min(expired)));
        if self.roles.len() < LISTED {
            self.roles.push(StaleRole {
                role: role.to_string(),
                expired,
            });
        }
    }
}

/// What lies in a tree and is named by nothing that is signed now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Unnamed {
    /// Metadata of other versions.
    pub metadata: u64,
    /// Pages of other versions.
    pub pages: u64,
    /// Files, core metadata and chunk lists.
    pub files: u64,
    /// Plain names, which installers that verify nothing can find.
    pub plain_names: u64,
    /// Unsigned copies of pages, which installers that verify nothing can find.
    pub unsigned_copies: u64,
    /// Files that no tree has.
    pub foreign: u64,
    /// Some of them.
    pub some: Vec<String>,
    /// How many folders could not be listed.
    pub unreadable_folders: u64,
    /// Some of them.
    pub unreadable: Vec<String>,
}

impl Unnamed {
    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.metadata
            + self.pages
            + self.files
            + self.plain_names
            + self.unsigned_copies
            + self.foreign
    }
}

impl Audit {
    pub(super) fn of(
        set: &TrustedSet,
        findings: Findings,
        tally: &Tally,
        (stale, ended): (Stale, Stale),
        projects: u64,
    ) -> Self {
        let (findings, totals) = findings.finish();
        Self {
            heads: Some(Heads::of(set)),
            stale,
            ended,
            projects,
            counts: tally.counts(),
            totals,
            findings,
            unreadable_folders: 0,
            lacking: Vec::new(),
        }
    }

    pub(super) fn without_a_chain(findings: Findings, tally: &Tally) -> Self {
        let (findings, totals) = findings.finish();
        Self {
            heads: None,
            stale: Stale::default(),
            ended: Stale::default(),
            projects: 0,
            counts: tally.counts(),
            totals,
            findings,
            unreadable_folders: 0,
            lacking: Vec::new(),
        }
    }

    /// How many findings there are.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.totals.values().sum()
    }

    /// Whether everything that is signed for is there, and is what was signed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.heads.is_some() && self.totals.is_empty()
    }

    /// Whether readers accept the state now, be it without some projects whose own role has
    /// [ended](Audit::ended).
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.heads.is_some() && self.stale.count == 0
    }
}
