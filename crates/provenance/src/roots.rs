//! Whose certificates and logs are believed: Sigstore's public ones, and those of a company's own.
//!
//! They come with the program, from the operator or from the user. Never from an index.

use std::fmt;
use std::sync::Arc;

use crate::attestation::{Attestation, read};
use crate::sigstore::{self, Flaw, Judge as _, Proof, Sigstore};
use crate::verify::Refusal;

/// What Sigstore's public instance is called where it is shown.
pub const PUBLIC_GOOD: &str = "Sigstore's public instance";

/// Most bytes of a `trusted_root.json`. Sigstore's public one has some 7,000.
pub const MAX_TRUSTED_ROOT_LEN: usize = 1024 * 1024;

/// Most trusted roots at once. Each one that knows a log can cost a verification.
pub const MAX_ROOTS: usize = 16;

/// Trusted roots, each with the name that people know it by.
#[derive(Clone, Default)]
pub struct TrustedRoots(Vec<Arc<Root>>);

struct Root {
    name: String,
    sigstore: Sigstore,
}

/// Why a trusted root cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// More bytes than it may have, or lists and objects too deep in one another.
    #[error("it is not the trusted root of a Sigstore")]
    Bounds(#[source] crate::AttestationError),
    /// Not in the form of a `trusted_root.json`, or with keys that cannot be used.
    #[error("it is not the trusted root of a Sigstore: {reason}")]
    Unusable {
        /// In the library's words.
        reason: String,
    },
    /// Without what every verification needs.
    #[error("it names no {what}, and an attestation needs one")]
    Without {
        /// What is missing.
        what: &'static str,
    },
    /// More than can be asked.
    #[error("there are more than {most} trusted roots")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
}

impl TrustedRoots {
    /// Nobody is believed.
    pub fn empty() -> TrustedRoots {
        TrustedRoots::default()
    }

    /// Sigstore's public instance, as this version of the program knows it.
    pub fn public_good() -> Result<TrustedRoots, RootError> {
        TrustedRoots::empty().with(PUBLIC_GOOD, sigstore::PUBLIC_GOOD_ROOT.as_bytes())
    }

    /// One more, from the contents of a `trusted_root.json`.
    pub fn with(mut self, name: &str, json: &[u8]) -> Result<TrustedRoots, RootError> {
        if self.0.len() == MAX_ROOTS {
            return Err(RootError::TooMany { most: MAX_ROOTS });
        }
        // The form is the library's business; how much it gets to read is ours.
        read::<serde::de::IgnoredAny>(json, MAX_TRUSTED_ROOT_LEN).map_err(RootError::Bounds)?;
        self.0.push(Arc::new(Root {
            name: name.to_owned(),
            sigstore: Sigstore::new(json)?,
        }));
        Ok(self)
    }

    /// What they are called, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|root| root.name.as_str())
    }

    /// Whether nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the first of them proves that holds, and that one's name.
    ///
    /// Those alone are asked that know the log which the attestation names.
    pub(crate) fn judge(
        &self,
        attestation: &Attestation,
        sha256: [u8; 32],
    ) -> Result<(&str, Proof), Refusal> {
        let log = &attestation.entry().log;
        let mut refused: Option<(&str, Flaw)> = None;
        for root in self.0.iter().filter(|root| root.sigstore.knows(log)) {
            match root.sigstore.judge(attestation, sha256) {
                Ok(proof) => return Ok((&root.name, proof)),
                Err(flaw) => refused = refused.or(Some((&root.name, flaw))),
            }
        }
        match refused {
            Some((root, flaw)) => Err(Refusal::Evidence {
                root: root.to_owned(),
                flaw,
            }),
            None => Err(Refusal::UnknownLog { log: *log }),
        }
    }
}

impl fmt::Debug for TrustedRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
