//! What can be asked of a file.

use std::fmt;

use super::age::Age;
use crate::chain::Chain;
use crate::openpgp::Fingerprint;
use crate::publisher::Publisher;

/// One thing that is asked of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// `chain`: who signs for it, at least.
    Chain(Chain),
    /// `min-age`: how long it has been there, at least.
    MinAge(Age),
    /// `back-signed`: whether it may have been there before its index was first signed.
    BackSigned(BackSigned),
    /// `attested-by`: an attestation by one of these.
    AttestedBy(Vec<Publisher>),
    /// `openpgp`: an OpenPGP signature by one of these certificates.
    OpenPgp(Vec<Fingerprint>),
}

/// What becomes of files that were there before their index was first signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackSigned {
    /// They are as good as others.
    Accept,
    /// They are refused.
    Refuse,
}

/// The kinds of demands; of each kind one rule of a file decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DemandKind {
    /// `chain`
    Chain,
    /// `min-age`
    MinAge,
    /// `back-signed`
    BackSigned,
    /// `attested-by`
    AttestedBy,
    /// `openpgp`
    OpenPgp,
}

impl DemandKind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [
        Self::Chain,
        Self::MinAge,
        Self::BackSigned,
        Self::AttestedBy,
        Self::OpenPgp,
    ];

    /// The key in a file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::MinAge => "min-age",
            Self::BackSigned => "back-signed",
            Self::AttestedBy => "attested-by",
            Self::OpenPgp => "openpgp",
        }
    }
}

impl Demand {
    /// Its kind.
    pub fn kind(&self) -> DemandKind {
        match self {
            Self::Chain(_) => DemandKind::Chain,
            Self::MinAge(_) => DemandKind::MinAge,
            Self::BackSigned(_) => DemandKind::BackSigned,
            Self::AttestedBy(_) => DemandKind::AttestedBy,
            Self::OpenPgp(_) => DemandKind::OpenPgp,
        }
    }
}

impl BackSigned {
    /// The words for it in a file, with what each means.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("accept", Self::Accept), ("refuse", Self::Refuse)];
}

impl fmt::Display for Demand {
    /// As it is written in a file, nearly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.kind().key();
        match self {
            Self::Chain(chain) => write!(f, "{key} = \"{chain}\""),
            Self::MinAge(age) => write!(f, "{key} = \"{age}\""),
            Self::BackSigned(word) => {
                let written = BackSigned::WORDS.iter().find(|(_, known)| known == word);
                write!(f, "{key} = \"{}\"", written.map_or("", |(name, _)| name))
            }
            Self::AttestedBy(publishers) => {
                let all: Vec<String> = publishers.iter().map(|p| format!("\"{p}\"")).collect();
                write!(f, "{key} = [{}]", all.join(", "))
            }
            Self::OpenPgp(fingerprints) => {
                let all: Vec<String> = fingerprints.iter().map(|f| format!("\"{f}\"")).collect();
                write!(f, "{key} = [{}]", all.join(", "))
            }
        }
    }
}
