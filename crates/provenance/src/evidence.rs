//! Whatever somebody has in a file: a provenance object, attestations, or a Sigstore bundle.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;

use crate::attestation::{Attestation, AttestationError, read};
use crate::provenance::{MAX_PROVENANCE_LEN, Provenance};
use crate::roots::TrustedRoots;
use crate::verify::{Attested, ProvenanceRefusal, Verified, verify, verify_provenance};

/// What is said of a file, in one of the forms that tools write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A provenance object, as indexes serve them.
    Provenance(Provenance),
    /// An attestation, a list of some, or a Sigstore bundle, as publishers make them.
    Attestations(Vec<Attestation>),
}

/// By which member one form is told from another.
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    attestation_bundles: Option<IgnoredAny>,
    #[serde(default, rename = "mediaType")]
    media_type: Option<IgnoredAny>,
}

impl Evidence {
    /// Reads any of them.
    pub fn parse(json: &[u8]) -> Result<Evidence, AttestationError> {
        let begins_list = json
            .iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .is_some_and(|byte| *byte == b'[');
        if begins_list {
            return Attestation::parse_list(json).map(Evidence::Attestations);
        }
        let form: Form = read(json, MAX_PROVENANCE_LEN)?;
        if form.attestation_bundles.is_some() {
            return Provenance::parse(json).map(Evidence::Provenance);
        }
        let one = if form.media_type.is_some() {
            Attestation::from_bundle(json)?
        } else {
            Attestation::parse(json)?
        };
        Ok(Evidence::Attestations(vec![one]))
    }

    /// Checks all of it, as [`verify_provenance`] does: all of it, or nothing, and never empty.
    pub fn verify(
        &self,
        file: &DistributionFilename,
        sha256: &Sha256Hex,
        roots: &TrustedRoots,
        now: Timestamp,
    ) -> Result<Vec<Verified<Attested>>, ProvenanceRefusal> {
        match self {
            Evidence::Provenance(provenance) => {
                verify_provenance(file, sha256, provenance, roots, now)
            }
            Evidence::Attestations(attestations) => {
                let verified = attestations.iter().zip(1..).map(|(attestation, position)| {
                    verify(file, sha256, attestation, roots, now)
                        .map_err(|refusal| ProvenanceRefusal::Attestation { position, refusal })
                });
                verified.collect()
            }
        }
    }
}
