//! Reads a whole signing log, and says what it proves.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use jiff::Timestamp;
use wheelmark_tuf::{RoleName, Sha256};

use super::{Follows, Head, Lines, SignedRole, files};

/// What a signing log holds, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The first entry that is there, and when it was written.
    pub first: Option<(u64, Timestamp)>,
    /// The last one.
    pub last: Option<(Head, Timestamp)>,
    /// Where the log begins, or goes on after entries were lost, with the time of that entry.
    pub follows: Vec<(u64, Timestamp, Follows)>,
    /// What is wrong, in the order of the log.
    pub flaws: Vec<Flaw>,
    /// Those of the heads that were asked for that are in the log, with their numbers.
    pub found: BTreeMap<Sha256, u64>,
    /// Those of the roles that were asked for that were signed so.
    pub signed: BTreeSet<RoleName>,
}

/// Something that an append-only log does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A line that is no entry, or has no end, behind this entry.
    NoEntry {
        /// The last entry before it; 0 where there is none.
        after: u64,
    },
    /// Entries are not there.
    Missing {
        /// The last entry before them.
        after: u64,
        /// The first one behind them.
        before: u64,
    },
    /// An entry does not name the one before it: one of the two was written later.
    Rewritten {
        /// The later one.
        entry: u64,
    },
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoEntry { after } => write!(f, "behind entry {after} stands what is no entry"),
            Self::Missing { after, before } => {
                write!(f, "the entries between {after} and {before} are not there")
            }
            Self::Rewritten { entry } => write!(
                f,
                "entry {entry} does not follow on the one before it: what stands there was rewritten"
            ),
        }
    }
}

impl Survey {
    /// Reads the log in `folder`, looks for `heads` in it, and for what is `published`.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    pub fn of(
        folder: &Path,
        heads: &BTreeSet<Sha256>,
        published: &BTreeMap<RoleName, SignedRole>,
    ) -> io::Result<Self> {
        let mut survey = Self::default();
        let mut at = Head::NONE;
        for (_, path) in files(folder)? {
            for line in Lines::of(&path)? {
                let line = line?;
                let (Some(head), Some(entry)) = (line.head(), &line.entry) else {
                    survey.flaws.push(Flaw::NoEntry { after: at.number });
                    continue;
                };
                // The files before the first one that is here may have been moved elsewhere.
                let is_first = survey.first.is_none();
                if !is_first && entry.previous != at.sha256 {
                    survey.flaws.push(match entry.number > at.number + 1 {
                        true => Flaw::Missing {
                            after: at.number,
                            before: entry.number,
                        },
                        false => Flaw::Rewritten {
                            entry: entry.number,
                        },
                    });
                } else if !is_first && entry.number <= at.number {
                    let entry = entry.number;
                    survey.flaws.push(Flaw::Rewritten { entry });
                }
                at = head;
                survey.first.get_or_insert((entry.number, entry.time));
                survey.last = Some((head, entry.time));
                if let Some(follows) = entry.follows {
                    survey.follows.push((entry.number, entry.time, follows));
                }
                if heads.contains(&head.sha256) {
                    survey.found.insert(head.sha256, head.number);
                }
                for (role, signed) in &entry.signed {
                    if published.get(role) == Some(signed) {
                        survey.signed.insert(role.clone());
                    }
                }
            }
        }
        Ok(survey)
    }
}
