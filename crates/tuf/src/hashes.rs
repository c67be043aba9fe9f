//! The digests that metadata states for a file, and the check against them.

use std::collections::BTreeMap;

use aws_lc_rs::digest;

use crate::shown::Shown;
use crate::{Sha256, Sha512};

/// What metadata states about the content of a file: digests by algorithm, at least one
/// (TUF §4.4, §4.5, `HASHES`).
///
/// `sha256` and `sha512` are checked, both where both are listed. Others are kept and not
/// checked; they never suffice alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashes(
    /// By the names of the algorithms. There is one as a rule, and a bin holds a thousand files:
    /// a map for each would be most of what a bin takes in memory.
    Box<[(Box<str>, Box<str>)]>,
);

/// The stated hashes do not hold, or cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The content is not what was stated.
    #[error("the {algorithm} of the content is {found}, not {expected}")]
    Mismatch {
        /// `sha256` or `sha512`.
        algorithm: &'static str,
        /// The digest that metadata states.
        expected: String,
        /// The digest of the content.
        found: String,
    },
    /// Only algorithms that we do not compute are listed.
    #[error("no supported hash among {}", Shown(&listed.join(", ")))]
    Unsupported {
        /// The algorithms that are listed.
        listed: Vec<String>,
    },
}

impl Hashes {
    /// One SHA-256.
    pub fn sha256_only(digest: Sha256) -> Self {
        Hashes([("sha256".into(), digest.to_string().into())].into())
    }

    /// What is given of the two.
    pub fn listed(sha256: Option<Sha256>, sha512: Option<Sha512>) -> Option<Self> {
        let sha256 = sha256.map(|digest| ("sha256".into(), digest.to_string().into()));
        let sha512 = sha512.map(|digest| ("sha512".into(), digest.to_string().into()));
        let listed: Box<[_]> = sha256.into_iter().chain(sha512).collect();
        (!listed.is_empty()).then_some(Hashes(listed))
    }

    /// The hashes as stated; `None` where there are none, or where a `sha256` or `sha512`
    /// is not lower-case hexadecimal of its length.
    pub fn new(stated: BTreeMap<String, String>) -> Option<Self> {
        let well_formed = |name: &str, digits: usize| {
            stated.get(name).is_none_or(|digest| {
                digest.len() == digits
                    && digest
                        .bytes()
                        .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            })
        };
        let valid = !stated.is_empty() && well_formed("sha256", 64) && well_formed("sha512", 128);
        let stated = stated.into_iter();
        valid.then(|| {
            Hashes(
                stated
                    .map(|(name, digest)| (name.into(), digest.into()))
                    .collect(),
            )
        })
    }

    /// The hashes by algorithm, in hexadecimal.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(algorithm, digest)| (&**algorithm, &**digest))
    }

    /// The digest for `algorithm`, in hexadecimal.
    pub fn get(&self, algorithm: &str) -> Option<&str> {
        self.iter()
            .find(|(name, _)| *name == algorithm)
            .map(|(_, digest)| digest)
    }

    /// The SHA-256, where it is listed.
    pub fn sha256(&self) -> Option<Sha256> {
        self.get("sha256")?.parse().ok()
    }

    /// The SHA-512, where it is listed.
    pub fn sha512(&self) -> Option<Sha512> {
        self.get("sha512")?.parse().ok()
    }

    /// The digest that names the object under consistent snapshots: the SHA-256, else the
    /// SHA-512, else the first that is listed.
    pub fn name(&self) -> &str {
        self.get("sha256")
            .or_else(|| self.get("sha512"))
            .or_else(|| self.iter().next().map(|(_, digest)| digest))
            .unwrap_or_default()
    }

    /// Whether `content` is what the hashes state.
    ///
    /// # Errors
    ///
    /// When a supported hash differs, or none is supported.
    pub fn check(&self, content: &[u8]) -> Result<(), HashError> {
        let mut hashing = Hashing::new(self)?;
        hashing.update(content);
        hashing.finish()
    }
}

/// Hashes content that arrives in pieces and compares at the end.
#[derive(Clone)]
pub(crate) struct Hashing(Vec<(&'static str, String, digest::Context)>);

impl Hashing {
    pub(crate) fn new(stated: &Hashes) -> Result<Self, HashError> {
        let supported = [("sha256", &digest::SHA256), ("sha512", &digest::SHA512)];
        let checks: Vec<_> = supported
            .into_iter()
            .filter_map(|(name, algorithm)| {
                Some((
                    name,
                    stated.get(name)?.to_owned(),
                    digest::Context::new(algorithm),
                ))
            })
            .collect();
        if checks.is_empty() {
            return Err(HashError::Unsupported {
                listed: stated.iter().map(|(name, _)| name.to_owned()).collect(),
            });
        }
        Ok(Hashing(checks))
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        for (_, _, context) in &mut self.0 {
            context.update(piece);
        }
    }

    pub(crate) fn finish(self) -> Result<(), HashError> {
        for (algorithm, expected, context) in self.0 {
            let found = hex::encode(context.finish());
            if found != expected {
                return Err(HashError::Mismatch {
                    algorithm,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }
}
