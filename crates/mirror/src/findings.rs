//! What does not hold, told so that a person can do something about it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use wheelmark_tuf::without_controls;

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What is wrong, in kinds.
    pub trouble: Trouble,
    /// The object, relative to the tree; or the role.
    pub path: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: &'static str,
}

impl Finding {
    /// A finding; texts of others lose what a terminal would obey.
    #[must_use]
    pub fn new(trouble: Trouble, path: &str, expected: &str, found: &str) -> Self {
        Self {
            trouble,
            path: without_controls(path),
            expected: without_controls(expected),
            found: without_controls(found),
            advice: trouble.advice(),
        }
    }
}

/// What can be wrong with an object, in kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Metadata that is missing or refused.
    Metadata,
    /// Something that is signed for is not there.
    Missing,
    /// It is there, and is not what was signed.
    Altered,
    /// It could not be read or fetched.
    Unreadable,
    /// What is signed contradicts itself.
    Contradiction,
    /// A file has no plain name.
    PlainMissing,
    /// A plain name has other bytes than the signed file.
    PlainDiffers,
    /// An unsigned copy of a page, or the list of projects, is missing or not what is signed.
    CopyDiffers,
}

impl Trouble {
    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Metadata => {
                "readers refuse everything behind it: copy this file from the index again"
            }
            Self::Missing => "copy it from the index again, by its name with the hash",
            Self::Altered => {
                "remove it and copy it from the index again; look for a failing disk, or somebody who can write here"
            }
            Self::Unreadable => "see that it can be read, and verify again",
            Self::Contradiction => "tell whoever runs the index: its own roles do not agree",
            Self::PlainMissing => {
                "installers without verification will not find it: link the plain name to the file under targets/"
            }
            Self::PlainDiffers => {
                "installers without verification get other bytes: remove it and link it to the file under targets/"
            }
            Self::CopyDiffers => {
                "installers without verification see another state: write it anew from the signed page"
            }
        }
    }
}

/// Findings as they come in, from many threads: counted without end, kept up to a limit.
#[derive(Debug)]
pub(crate) struct Findings {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    kept: Vec<Finding>,
    counts: BTreeMap<Trouble, u64>,
}

impl Findings {
    pub(crate) fn up_to(limit: usize) -> Self {
        Self {
            limit,
            held: Mutex::default(),
        }
    }

    pub(crate) fn add(&self, finding: Finding) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held.counts.entry(finding.trouble).or_default() += 1;
        if held.kept.len() < self.limit {
            held.kept.push(finding);
        }
    }

    /// More of a kind, beyond those that are listed.
    pub(crate) fn count(&self, trouble: Trouble, more: u64) {
        if more > 0 {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            *held.counts.entry(trouble).or_default() += more;
        }
    }

    /// Whether there was any of a kind.
    pub(crate) fn any(&self, trouble: Trouble) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.counts.contains_key(&trouble)
    }

    /// Those that were kept, sorted, and how many there were of each kind.
    pub(crate) fn finish(self) -> (Vec<Finding>, BTreeMap<Trouble, u64>) {
        let Held { mut kept, counts } = self
            .held
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        kept.sort();
        (kept, counts)
    }
}
