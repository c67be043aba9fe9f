//! What is known of a file when a policy is asked about it.

use std::fmt;

use jiff::Timestamp;
use wheelmark_packaging::DistributionFilename;

use crate::chain::Chain;
use crate::identity::Identity;
use crate::openpgp::Fingerprint;

/// What is known of a file, and was verified as far as its chain goes.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Its name, which says the project, the version and the kind.
    pub file: &'a DistributionFilename,
    /// Who signs for it.
    pub chain: Chain,
    /// Since when it has been there, as far as the page says it.
    pub visible_since: Option<Timestamp>,
    /// Whether it was there before its index was first signed, as far as the page says it.
    pub mark: Mark,
    /// Who attests to it.
    pub attested: Attested<'a>,
    /// Whose OpenPGP signature it has.
    pub openpgp: SignedBy,
}

/// Who attests to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attested<'a> {
    /// It was not looked at.
    NotLookedAt,
    /// Nobody: there is no provenance, or it does not hold, for this reason.
    Nobody(String),
    /// These, by verified attestations.
    By(&'a [Identity]),
}

/// When a file was signed, relative to its upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The page says nothing of it.
    None,
    /// As soon as the index had received it.
    AtUpload,
    /// It was there before its index was first signed, which was then.
    Back(Timestamp),
}

/// Whose OpenPGP signature a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// It was not looked at: nothing is asked of it, or this build cannot verify it.
    NotLookedAt,
    /// Nobody's: there is none, or it does not hold, for this reason.
    Nobody(String),
    /// These certificates', verified; there is one at least.
    Certificates(Vec<Fingerprint>),
}

/// The two kinds of distribution files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Wheels, which are installed as they are.
    Wheels,
    /// Source distributions, whose code runs while they are built.
    Sdists,
}

impl FileKind {
    /// The words for them in a file.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("wheels", Self::Wheels), ("sdists", Self::Sdists)];

    /// The kind of a file.
    pub fn of(file: &DistributionFilename) -> Self {
        match file {
            DistributionFilename::Wheel(_) => Self::Wheels,
            DistributionFilename::Sdist(_) => Self::Sdists,
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wheels => "wheels",
            Self::Sdists => "sdists",
        })
    }
}
