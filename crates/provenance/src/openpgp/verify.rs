//! Whether a signature over a file was made by one of a project's certificates.
//!
//! sequoia does the verifying. It is built with `crypto-rust`, whose authors warn of operations
//! that take time depending on secrets; there are no secrets here, for nothing is signed or
//! decrypted.

use std::io;

use jiff::{SignedDuration, Timestamp};
use sequoia_openpgp::cert::amalgamation::key::ValidErasedKeyAmalgamation;
use sequoia_openpgp::cert::amalgamation::{ValidAmalgamation as _, ValidateAmalgamation as _};
use sequoia_openpgp::cert::{Cert, CertParser};
use sequoia_openpgp::packet::{Signature, key};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::parse::stream::{
    DetachedVerifierBuilder, MessageLayer, MessageStructure, VerificationError, VerificationHelper,
    VerificationResult,
};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::{self, RevocationStatus, SignatureType};
use sequoia_openpgp::{Error, KeyHandle};
use wheelmark_packaging::DetachedSignature;

use super::certificates::Certificates;
use super::fingerprint::Fingerprint;
use super::verdict::{Flaw, Verdict};

/// How far the clock of who signs may be ahead of ours: PEP 480 allows ten minutes.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// Longest words of sequoia's that are passed on, in characters.
const MAX_REASON: usize = 300;

type SigningKey<'a> = ValidErasedKeyAmalgamation<'a, key::PublicParts>;

/// Verifies signatures over `content` by `certificates`, as of `now`.
///
/// Each signature that a certificate of the set made, by its own words, has to hold, and one has
/// to be there. Those by others are passed over: a file can be signed by more people than the
/// project knows.
///
/// `content` is read once, in pieces, and never held as a whole.
///
/// # Errors
///
/// When `content` cannot be read. A signature that does not hold is no error but a [`Verdict`].
pub fn verify(
    signature: &DetachedSignature,
    certificates: &Certificates,
    content: impl io::Read + Send + Sync,
    now: Timestamp,
) -> io::Result<Verdict> {
    let policy = StandardPolicy::new();
    let latest = now.checked_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX);
    let examiner = Examiner {
        certificates: read(certificates),
        policy: &policy,
        now: time_of(now),
        found: Vec::new(),
    };
    let verifier = DetachedVerifierBuilder::from_bytes(signature.as_bytes())
        .and_then(|builder| builder.with_policy(&policy, time_of(latest), examiner));
    let mut verifier = match verifier {
        Ok(verifier) => verifier,
        Err(error) => return Ok(Verdict::Refused(unreliable(&error))),
    };
    match verifier.verify_reader(content) {
        Ok(()) => Ok(verifier.into_helper().verdict()),
        Err(error) => match error.downcast::<io::Error>() {
            Ok(error) => Err(error),
            Err(error) => Ok(Verdict::Refused(unreliable(&error))),
        },
    }
}

/// A time as OpenPGP counts it, in whole seconds up to 2106.
pub(super) fn time_of(time: Timestamp) -> types::Timestamp {
    let seconds = time.as_second().clamp(0, i64::from(u32::MAX));
    types::Timestamp::from(u32::try_from(seconds).unwrap_or_default())
}

/// The certificates as sequoia reads them. One that it does not understand makes no signature
/// good.
pub(super) fn read(certificates: &Certificates) -> Vec<Cert> {
    let data = certificates.to_bytes();
    let Ok(parser) = CertParser::from_bytes(&data) else {
        return Vec::new();
    };
    parser.filter_map(Result::ok).collect()
}

/// Looks at what sequoia finds of each signature.
struct Examiner<'a> {
    certificates: Vec<Cert>,
    policy: &'a StandardPolicy<'a>,
    now: types::Timestamp,
    found: Vec<Result<Verdict, Flaw>>,
}

impl VerificationHelper for Examiner<'_> {
    fn get_certs(&mut self, _ids: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
        Ok(self.certificates.clone())
    }

    /// Takes note, and is content: what was noted decides.
    fn check(&mut self, structure: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
        for layer in structure {
            if let MessageLayer::SignatureGroup { results } = layer {
                for result in results {
                    let examined = self.examine(result);
                    self.found.push(examined);
                }
            }
        }
        Ok(())
    }
}

impl Examiner<'_> {
    fn verdict(self) -> Verdict {
        let mut good = None;
        let mut unknown = Vec::new();
        for found in self.found {
            match found {
                Ok(verdict) => good = good.or(Some(verdict)),
                Err(Flaw::Unknown { issuers }) => unknown.extend(issuers),
                Err(flaw) => return Verdict::Refused(flaw),
            }
        }
        good.unwrap_or(Verdict::Refused(Flaw::Unknown { issuers: unknown }))
    }

    fn examine(&self, result: VerificationResult<'_>) -> Result<Verdict, Flaw> {
        let checked = result.map_err(flaw)?;
        if checked.sig.typ() != SignatureType::Binary {
            return Err(Flaw::OverText);
        }
        // sequoia has asked for the time of the signature, which its maker chooses.
        let certificate = fingerprint_of(&checked.ka);
        let today = checked.ka.with_policy(self.policy, self.now);
        let today = today.map_err(|error| unreliable(&error))?;
        demand_usable(&today)?;
        let made_at = checked
            .sig
            .signature_creation_time()
            .map(Timestamp::try_from);
        let Some(Ok(made_at)) = made_at else {
            let reason = "it does not say when it was made".to_owned();
            return Err(Flaw::Unreliable { reason });
        };
        Ok(Verdict::Good {
            certificate,
            key: Fingerprint::from_bytes(checked.ka.key().fingerprint().as_bytes()),
            made_at,
        })
    }
}

/// Whether a key could sign at the time for which it is looked at.
fn demand_usable(key: &SigningKey<'_>) -> Result<(), Flaw> {
    let certificate = fingerprint_of(key);
    if is_revoked(key) {
        return Err(Flaw::Revoked { certificate });
    }
    key.alive()
        .map_err(|error| dead(certificate.clone(), &error))?;
    if key.for_signing() {
        Ok(())
    } else {
        Err(Flaw::NotForSigning { certificate })
    }
}

fn is_revoked(key: &SigningKey<'_>) -> bool {
    let of_certificate = key.valid_cert().revocation_status();
    [of_certificate, key.revocation_status()]
        .iter()
        .any(|status| matches!(status, RevocationStatus::Revoked(_)))
}

/// The flaw of a key that is not alive.
fn dead(certificate: Fingerprint, error: &sequoia_openpgp::anyhow::Error) -> Flaw {
    match error.downcast_ref() {
        Some(Error::Expired(at)) => match Timestamp::try_from(*at) {
            Ok(at) => Flaw::Expired { certificate, at },
            Err(_) => unreliable(error),
        },
        _ => unreliable(error),
    }
}

fn flaw(error: VerificationError<'_>) -> Flaw {
    match error {
        VerificationError::MissingKey { sig } => Flaw::Unknown {
            issuers: issuers(sig),
        },
        VerificationError::BadKey { ka, error, .. } => match demand_usable(&ka) {
            Err(flaw) => flaw,
            Ok(()) => unreliable(&error),
        },
        VerificationError::BadSignature { ka, error, .. } => match error.downcast_ref() {
            Some(Error::Expired(_) | Error::NotYetLive(_)) => Flaw::NotNow {
                reason: words(&error),
            },
            Some(Error::PolicyViolation(..)) => unreliable(&error),
            _ => Flaw::Wrong {
                certificate: fingerprint_of(&ka),
            },
        },
        VerificationError::UnboundKey { error, .. }
        | VerificationError::MalformedSignature { error, .. } => unreliable(&error),
        VerificationError::UnknownSignature { sig } => unreliable(sig.error()),
        // sequoia may come to tell more apart.
        other => Flaw::Unreliable {
            reason: shortened(&other.to_string()),
        },
    }
}

fn issuers(signature: &Signature) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    for handle in signature.get_issuers() {
        // The fingerprint comes first, and ends with the key id.
        let handle = handle.to_hex();
        if !named.iter().any(|known| known.ends_with(&handle)) {
            named.push(handle);
        }
    }
    named
}

fn fingerprint_of(key: &SigningKey<'_>) -> Fingerprint {
    Fingerprint::from_bytes(key.cert().fingerprint().as_bytes())
}

fn unreliable(error: &sequoia_openpgp::anyhow::Error) -> Flaw {
    Flaw::Unreliable {
        reason: words(error),
    }
}

/// An error and its causes on one line.
fn words(error: &sequoia_openpgp::anyhow::Error) -> String {
    shortened(&format!("{error:#}"))
}

fn shortened(text: &str) -> String {
    let line = text.chars().filter(|char| !char.is_control());
    line.take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests;
