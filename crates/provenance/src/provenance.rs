//! Provenance objects (PEP 740): attestations of a file, by the publishers that made them.

use serde::{Deserialize, Serialize};

use crate::attestation::{self, Attestation, AttestationError, Wire, counted};
use crate::publisher::Publisher;

/// Most bytes of a provenance object: [`MAX_BUNDLES`] publishers with two attestations each.
pub const MAX_PROVENANCE_LEN: usize = 1024 * 1024;

/// Most publishers of one file's attestations. PyPI has one.
pub const MAX_BUNDLES: usize = 4;

/// Everything that was attested of one file, as an index serves it.
///
/// The publishers in it are the index's word, and no more: who made an attestation is what its
/// certificate proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    bundles: Vec<AttestationBundle>,
}

/// Attestations that one publisher made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationBundle {
    /// Who made them, as the index has it.
    pub publisher: Publisher,
    /// What was made.
    pub attestations: Vec<Attestation>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProvenance {
    version: u64,
    attestation_bundles: Vec<WireBundle>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBundle {
    publisher: Publisher,
    attestations: Vec<Wire>,
}

impl Provenance {
    /// Attestations by one publisher.
    pub fn new(publisher: Publisher, attestations: Vec<Attestation>) -> Provenance {
        Provenance::of_bundles(vec![AttestationBundle {
            publisher,
            attestations,
        }])
    }

    /// Attestations by several publishers.
    pub fn of_bundles(bundles: Vec<AttestationBundle>) -> Provenance {
        Provenance { bundles }
    }

    /// Reads a provenance object: at least one bundle, and in each one or two attestations.
    pub fn parse(json: &[u8]) -> Result<Provenance, AttestationError> {
        let wire: WireProvenance = attestation::read(json, MAX_PROVENANCE_LEN)?;
        if wire.version != 1 {
            return Err(AttestationError::Version {
                version: wire.version,
            });
        }
        match wire.attestation_bundles.len() {
            0 => return Err(AttestationError::None),
            1..=MAX_BUNDLES => {}
            count => {
                return Err(AttestationError::TooManyPublishers {
                    count,
                    most: MAX_BUNDLES,
                });
            }
        }
        let bundles = wire.attestation_bundles.into_iter().map(|bundle| {
            counted(bundle.attestations.len())?;
            Ok(AttestationBundle {
                publisher: bundle.publisher,
                attestations: bundle
                    .attestations
                    .into_iter()
                    .map(TryInto::try_into)
                    .collect::<Result<_, _>>()?,
            })
        });
        Ok(Provenance {
            bundles: bundles.collect::<Result<_, AttestationError>>()?,
        })
    }

    /// The object in compact JSON whose members have one order: the bytes to keep, to hash and to
    /// serve.
    pub fn to_json(&self) -> Vec<u8> {
        written(&WireProvenance {
            version: 1,
            attestation_bundles: self
                .bundles
                .iter()
                .map(|bundle| WireBundle {
                    publisher: bundle.publisher.clone(),
                    attestations: bundle.attestations.iter().map(Wire::from).collect(),
                })
                .collect(),
        })
    }

    /// What it holds, by publisher.
    pub fn bundles(&self) -> &[AttestationBundle] {
        &self.bundles
    }
}

/// Compact JSON of what is made of strings, numbers, and lists of such.
pub(crate) fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers can always be written")
}
