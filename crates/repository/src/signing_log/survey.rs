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
    /// Whether a line behind it is being written, or was cut off.
    pub is_unfinished: bool,
    /// Where the log begins, or goes on after entries were lost, with the time of that entry.
    pub follows: Vec<(u64, Timestamp, Follows)>,
    /// What is wrong, in the order of the log.
    pub flaws: Vec<Flaw>,
    /// Those of the heads that were asked for that are in the log.
    pub found: BTreeMap<Sha256, Covered>,
    /// Those of the roles that were asked for that were signed so.
    pub signed: BTreeSet<RoleName>,
}

/// The entries that a head stands for: those that lead to it without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// The first one.
    pub from: u64,
    /// The head's own.
    pub to: u64,
}

/// Something that an append-only log does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The log does not begin where it did.
    NoBeginning {
        /// The first entry that is there.
        first: u64,
    },
    /// A file does not begin with the entry that it is called after.
    Name {
        /// The entry in its name.
        named: u64,
        /// The one that it begins with.
        begins: u64,
    },
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
            Self::NoBeginning { first } => write!(
                f,
                "it begins with entry {first}: what stood before it was moved or taken away"
            ),
            Self::Name { named, begins } => write!(
                f,
                "the file that is called after entry {named} begins with entry {begins}"
            ),
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
    /// Reads the log in `folder`, looks for `heads` in it, and for what is `published`. Files before
    /// entry `begins_with` may have been moved elsewhere.
    ///
    /// # Errors
    ///
    /// When the file system fails.
    pub fn of(
        folder: &Path,
        heads: &BTreeSet<Sha256>,
        published: &BTreeMap<RoleName, SignedRole>,
        begins_with: u64,
    ) -> io::Result<Self> {
        let mut survey = Self::default();
        let mut at = Head::NONE;
        // The first entry of those that lead to `at` without a break.
        let mut sound = 0;
        let files = files(folder)?;
        for (place, (named, path)) in files.iter().enumerate() {
            let is_last_file = place + 1 == files.len();
            let mut is_first_of_file = true;
            for line in Lines::of(path)? {
                let line = line?;
                let (Some(head), Some(entry)) = (line.head(), &line.entry) else {
                    match is_last_file && !line.has_end {
                        true => survey.is_unfinished = true,
                        false => survey.flaws.push(Flaw::NoEntry { after: at.number }),
                    }
                    continue;
                };
                let begins = entry.number;
                if std::mem::take(&mut is_first_of_file) && *named != begins {
                    let named = *named;
                    survey.flaws.push(Flaw::Name { named, begins });
                }
                let is_first = survey.first.is_none();
                let may_jump = entry.follows.is_some() && entry.number > at.number;
                let follows_on =
                    entry.previous == at.sha256 && (entry.number == at.number + 1 || may_jump);
                if is_first {
                    sound = entry.number;
                    if !follows_on && entry.number != begins_with {
                        survey.flaws.push(Flaw::NoBeginning { first: begins });
                    }
                } else if !follows_on {
                    sound = entry.number;
                    survey.flaws.push(match entry.number > at.number + 1 {
                        true => Flaw::Missing {
                            after: at.number,
                            before: entry.number,
                        },
                        false => Flaw::Rewritten { entry: begins },
                    });
                }
                at = head;
                survey.first.get_or_insert((entry.number, entry.time));
                survey.last = Some((head, entry.time));
                if let Some(follows) = entry.follows {
                    survey.follows.push((entry.number, entry.time, follows));
                }
                if heads.contains(&head.sha256) {
                    let (from, to) = (sound, head.number);
                    survey.found.insert(head.sha256, Covered { from, to });
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
