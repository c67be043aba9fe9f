//! Whose certificates and logs are believed: Sigstore's public ones, and those of a company's own.
//!
//! They come with the program, from the operator or from the user. Never from an index.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use crate::attestation::{Attestation, read};
use crate::identity::is_of_a_public_service;
use crate::sigstore::{self, Judge as _, Proof, Sigstore};
use crate::verify::Refusal;

/// What Sigstore's public instance is called where it is shown.
pub const PUBLIC_GOOD: &str = "Sigstore's public instance";

/// The first root of the TUF repository by which Sigstore hands out the trusted root of its public
/// instance: what everything later there follows from. It is of version 16.
pub const PUBLIC_GOOD_TUF_ROOT: &[u8] = include_bytes!("roots/sigstore-16.root.json");

/// Since when the trusted root that is built in has been what Sigstore hands out: the day on which the
/// library that brings it was published.
pub const PUBLIC_GOOD_AS_OF: Date = jiff::civil::date(2026, 10, 23);

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
    speaks_for: SpeaksFor,
}

/// Whose identities a root's authorities may certify.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SpeaksFor {
    /// Sigstore's public instance: the services that everybody uses.
    Public,
    /// A company's own: its own issuers, and those services only where the public instance is not
    /// believed beside it.
    Own,
    /// A company's own that is fed with the tokens of those services.
    Anybody,
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
        let json = sigstore::PUBLIC_GOOD_ROOT.as_bytes();
        TrustedRoots::empty().and(PUBLIC_GOOD, json, SpeaksFor::Public)
    }

    /// Sigstore's public instance, by a `trusted_root.json` that it has handed out since: one that was
    /// verified on from [`PUBLIC_GOOD_TUF_ROOT`].
    pub fn public_good_since(json: &[u8]) -> Result<TrustedRoots, RootError> {
        TrustedRoots::empty().and(PUBLIC_GOOD, json, SpeaksFor::Public)
    }

    /// The `trusted_root.json` of Sigstore's public instance that is built in.
    pub fn public_good_json() -> &'static str {
        sigstore::PUBLIC_GOOD_ROOT
    }

    /// One more, from the contents of a `trusted_root.json`: a company's own.
    ///
    /// Where Sigstore's public instance is believed as well, it does not vouch for jobs and
    /// accounts of GitHub, GitLab, Google, CircleCI and the like: else whoever breaks into a small
    /// company's authority could be any project of theirs.
    pub fn with(self, name: &str, json: &[u8]) -> Result<TrustedRoots, RootError> {
        self.and(name, json, SpeaksFor::Own)
    }

    /// One more that vouches for everybody: for an authority of one's own that certifies jobs of
    /// GitHub and the like by their tokens.
    pub fn with_for_anybody(self, name: &str, json: &[u8]) -> Result<TrustedRoots, RootError> {
        self.and(name, json, SpeaksFor::Anybody)
    }

    fn and(
        mut self,
        name: &str,
        json: &[u8],
        speaks_for: SpeaksFor,
    ) -> Result<TrustedRoots, RootError> {
        if self.0.len() == MAX_ROOTS {
            return Err(RootError::TooMany { most: MAX_ROOTS });
        }
        // The form is the library's business; how much it gets to read is ours.
        read::<serde::de::IgnoredAny>(json, MAX_TRUSTED_ROOT_LEN).map_err(RootError::Bounds)?;
        self.0.push(Arc::new(Root {
            name: name.to_owned(),
            sigstore: Sigstore::new(json)?,
            speaks_for,
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
        let mut refused: Option<Refusal> = None;
        for root in self.0.iter().filter(|root| root.sigstore.knows(log)) {
            let refusal = match root.sigstore.judge(attestation, sha256) {
                Ok(proof) if self.may_vouch(root, proof.identity.issuer()) => {
                    return Ok((&root.name, proof));
                }
                Ok(proof) => Refusal::NotItsIssuer {
                    root: root.name.clone(),
                    issuer: proof.identity.issuer().to_owned(),
                },
                Err(flaw) => Refusal::Evidence {
                    root: root.name.clone(),
                    flaw,
                },
            };
            refused = refused.or(Some(refusal));
        }
        Err(refused.unwrap_or(Refusal::UnknownLog { log: *log }))
    }

    fn may_vouch(&self, root: &Root, issuer: &str) -> bool {
        let public = |root: &Arc<Root>| root.speaks_for == SpeaksFor::Public;
        root.speaks_for != SpeaksFor::Own
            || !is_of_a_public_service(issuer)
            || !self.0.iter().any(public)
    }
}

impl fmt::Debug for TrustedRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use wheelmark_tuf::{verify_next_root, verify_trusted_root};

    use super::*;

    /// The version of Sigstore's root before the one that is built in.
    const BEFORE: &[u8] = include_bytes!("../tests/fixtures/sigstore-15.root.json");

    #[test]
    fn the_root_that_is_built_in_is_sigstores_and_follows_on_the_one_before() {
        let root = verify_trusted_root(PUBLIC_GOOD_TUF_ROOT).unwrap();
        assert_eq!((root.version, root.roles.root.threshold), (16, 3));
        let before = verify_trusted_root(BEFORE).unwrap();
        assert_eq!(before.version, 15);
        assert_eq!(
            verify_next_root(&before, PUBLIC_GOOD_TUF_ROOT).unwrap(),
            root
        );
        let changed = String::from_utf8(PUBLIC_GOOD_TUF_ROOT.to_vec()).unwrap();
        let changed = changed.replace("2027-", "2037-");
        assert!(verify_next_root(&before, changed.as_bytes()).is_err());
    }

    #[test]
    fn a_newer_public_root_is_the_public_one_and_no_companys() {
        let json = TrustedRoots::public_good_json();
        let roots = TrustedRoots::public_good_since(json.as_bytes()).unwrap();
        assert_eq!(roots.names().collect::<Vec<_>>(), [PUBLIC_GOOD]);
        assert!(roots.0[0].speaks_for == SpeaksFor::Public);
        assert!(TrustedRoots::public_good_since(b"{}").is_err());
    }
}
