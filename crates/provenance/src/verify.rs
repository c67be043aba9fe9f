//! The one place where an attestation becomes something to go by.
//!
//! A [`Verified`] can be made only in this module. It says who made the attestation; whether that
//! is the right one is for [`Identity::matches`], against a publisher that the caller trusts.

mod attested;
mod refusal;

use std::ops::Deref;

use jiff::Timestamp;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;

pub use self::attested::{Attested, LogEntry};
pub use self::refusal::{ProvenanceRefusal, Refusal, UploadRefusal, chain};
use crate::attestation::{Attestation, MAX_ATTESTATIONS};
use crate::identity::Identity;
use crate::provenance::Provenance;
use crate::publisher::Publisher;
use crate::roots::TrustedRoots;
use crate::statement;

/// A value whose evidence was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Verified<T> {
    /// Gives up the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Checks one attestation of one file: what it says, that it was signed with the certificate's
/// key, that a trusted authority issued the certificate, and that the logs recorded both.
///
/// It does not ask who made it. Anybody can have a certificate of Sigstore's public instance: the
/// answer is worth something once its identity is compared with the one that is expected.
pub fn verify(
    file: &DistributionFilename,
    sha256: &Sha256Hex,
    attestation: &Attestation,
    roots: &TrustedRoots,
    now: Timestamp,
) -> Result<Verified<Attested>, Refusal> {
    let predicate = statement::about(attestation.statement(), file, sha256)?;
    let entry = attestation.entry();
    if entry.integrated > now {
        return Err(Refusal::FromTheFuture {
            integrated: entry.integrated,
            now,
        });
    }
    let (root, proof) = roots.judge(attestation, sha256.0)?;
    Ok(Verified(Attested {
        file: file.clone(),
        sha256: *sha256,
        predicate,
        identity: proof.identity,
        log: LogEntry {
            index: entry.index,
            log: entry.log,
            integrated: proof.integrated,
        },
        root: root.to_owned(),
    }))
}

/// Checks what came with an upload: all of it, or nothing.
///
/// At most one attestation of each predicate (as PyPI takes them), each made by one of the
/// publishers that may speak for the project.
pub fn verify_upload(
    file: &DistributionFilename,
    sha256: &Sha256Hex,
    attestations: &[Attestation],
    allowed: &[Publisher],
    roots: &TrustedRoots,
    now: Timestamp,
) -> Result<Vec<Verified<Attested>>, UploadRefusal> {
    if attestations.is_empty() {
        return Err(UploadRefusal::None);
    }
    if attestations.len() > MAX_ATTESTATIONS {
        return Err(UploadRefusal::TooMany {
            count: attestations.len(),
            most: MAX_ATTESTATIONS,
        });
    }
    let mut verified: Vec<Verified<Attested>> = Vec::new();
    for (attestation, position) in attestations.iter().zip(1..) {
        let attested = verify(file, sha256, attestation, roots, now)
            .map_err(|refusal| UploadRefusal::Attestation { position, refusal })?;
        let predicate = attested.predicate();
        if verified.iter().any(|other| other.predicate() == predicate) {
            return Err(UploadRefusal::Twice { predicate });
        }
        if allowed
            .iter()
            .all(|publisher| attested.identity().matches(publisher).is_err())
        {
            return Err(UploadRefusal::Publisher {
                position,
                identity: Box::new(attested.into_inner().identity),
                allowed: allowed.to_vec(),
            });
        }
        verified.push(attested);
    }
    Ok(verified)
}

/// Checks all that an index has of a file: all of it, or nothing. What comes back is never empty.
///
/// Each attestation has to be by the publisher that the index states for it, too: an index that
/// contradicts its own evidence is in error or lying. Its word adds nothing to what the
/// certificates prove, so two things are not asked for: the environment, where a certificate does
/// not have it (PyPI does not compare it, and older certificates lack it), and a publisher of a
/// kind that is not known here.
pub fn verify_provenance(
    file: &DistributionFilename,
    sha256: &Sha256Hex,
    provenance: &Provenance,
    roots: &TrustedRoots,
    now: Timestamp,
) -> Result<Vec<Verified<Attested>>, ProvenanceRefusal> {
    let mut verified = Vec::new();
    for bundle in provenance.bundles() {
        for attestation in &bundle.attestations {
            let position = verified.len() + 1;
            let attested = verify(file, sha256, attestation, roots, now)
                .map_err(|refusal| ProvenanceRefusal::Attestation { position, refusal })?;
            agrees(attested.identity(), &bundle.publisher, position)?;
            verified.push(attested);
        }
    }
    if verified.is_empty() {
        return Err(ProvenanceRefusal::None);
    }
    Ok(verified)
}

/// Whether an index states the publisher that a certificate proves.
fn agrees(
    identity: &Identity,
    stated: &Publisher,
    position: usize,
) -> Result<(), ProvenanceRefusal> {
    if matches!(stated, Publisher::Unknown(_)) {
        return Ok(());
    }
    let compared = if identity.claims().environment.is_none() {
        identity.matches(&stated.without_environment())
    } else {
        identity.matches(stated)
    };
    compared.map_err(|mismatch| ProvenanceRefusal::Publisher {
        position,
        stated: Box::new(stated.clone()),
        mismatch,
    })
}
