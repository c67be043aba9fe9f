//! Attestations as PEP 740 writes them: read, bounded, and not verified yet.

mod bundle;
mod entry;

use serde::{Deserialize, Serialize};

pub(crate) use self::entry::Entry;
use crate::json::{self, Base64, Excess};

/// Most bytes of one attestation. Those on PyPI have some 10,000.
pub const MAX_ATTESTATION_LEN: usize = 128 * 1024;

/// Most attestations of one file in an upload: one of each predicate that is known, which is also
/// what PyPI takes.
pub const MAX_ATTESTATIONS: usize = 2;

/// Most bytes of an upload's list of attestations.
pub const MAX_ATTESTATIONS_LEN: usize = MAX_ATTESTATIONS * MAX_ATTESTATION_LEN + 1024;

/// Most bytes of a signed statement. A publish attestation's has some 300; SLSA provenance of
/// large builds lists what went into them, at some hundred bytes each.
pub const MAX_STATEMENT_LEN: usize = 64 * 1024;

/// Most bytes of a certificate in DER. Those of Sigstore's public CA have some 2,000.
pub const MAX_CERTIFICATE_LEN: usize = 8 * 1024;

/// Most bytes of what a log recorded: for a `dsse` entry hashes, a signature and a certificate.
pub const MAX_ENTRY_BODY_LEN: usize = 24 * 1024;

/// Most hashes of an inclusion proof: the depth of a tree whose size has 63 bits (RFC 6962,
/// section 2.1.1).
pub const MAX_PROOF_HASHES: usize = 63;

/// Most bytes of a checkpoint. Those of Sigstore's public log have some 300.
pub const MAX_CHECKPOINT_LEN: usize = 8 * 1024;

/// Most signatures of a checkpoint: the log's, and those of witnesses. Each can cost a
/// verification.
pub const MAX_CHECKPOINT_SIGNATURES: usize = 16;

/// How deep lists and objects may stand in one another. Provenance objects need ten levels; SLSA
/// statements some more.
pub const MAX_DEPTH: usize = 32;

/// One attestation: a signed statement, the certificate of the key that signed it, and where a
/// public log recorded that.
///
/// Its form is checked and its size bounded. What it says is worth nothing before
/// [`crate::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    statement: Vec<u8>,
    signature: Vec<u8>,
    certificate: Vec<u8>,
    entry: Entry,
}

/// Why bytes are no attestation, no list of them, and no provenance object.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// More bytes than it may have; nothing was parsed.
    #[error("{length} bytes are too many, at most {most} are read")]
    TooLong {
        /// How many it has.
        length: usize,
        /// How many it may have.
        most: usize,
    },
    /// Lists and objects in one another; nothing was parsed.
    #[error("its lists and objects stand more than {most} deep in one another")]
    TooDeep {
        /// How deep they may stand.
        most: usize,
    },
    /// Not JSON, or not with these members. The source says where.
    #[error("it does not have the form that it has to have")]
    Form(#[source] serde_json::Error),
    /// A version that is not known.
    #[error("it is of version {version}, and 1 is the only one known")]
    Version {
        /// What it says.
        version: u64,
    },
    /// One of its parts has more bytes than it may have.
    #[error("its {part} has {length} bytes, at most {most} are read")]
    Part {
        /// Which.
        part: &'static str,
        /// How many it has.
        length: usize,
        /// How many it may have.
        most: usize,
    },
    /// Not exactly one log entry. PEP 740 lets verifiers look at the first alone; what nobody looks
    /// at is refused here.
    #[error("it has {count} entries of a transparency log, and one is needed")]
    Entries {
        /// How many it has.
        count: usize,
    },
    /// An entry of a kind that a publish attestation does not have.
    #[error(
        "its log entry is of the kind {}/{}, and dsse/0.0.1 is needed",
        kind.escape_debug(), version.escape_debug()
    )]
    EntryKind {
        /// The kind.
        kind: String,
        /// Its version.
        version: String,
    },
    /// More hashes than a proof can have.
    #[error("its inclusion proof has {count} hashes, at most {most} can be needed")]
    ProofHashes {
        /// How many it has.
        count: usize,
        /// How many a proof can have.
        most: usize,
    },
    /// A log's checkpoint that cannot be one.
    #[error("its checkpoint {reason}")]
    Checkpoint {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A list or bundle without a single attestation.
    #[error("there is no attestation in it")]
    None,
    /// More attestations than one file may have.
    #[error("there are {count} attestations, at most {most} are taken")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// More publishers than one file may have.
    #[error("there are attestations of {count} publishers, at most {most} are read")]
    TooManyPublishers {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A Sigstore bundle of another form than `v0.3` with a signed statement.
    #[error("it is a bundle with the {member} `{}`, which is not read", given.escape_debug())]
    Bundle {
        /// Which member decides that.
        member: &'static str,
        /// What it says.
        given: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wire {
    version: u64,
    verification_material: Material,
    envelope: Envelope,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Material {
    certificate: Base64,
    transparency_entries: Vec<entry::Wire>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    statement: Base64,
    signature: Base64,
}

impl Attestation {
    /// Reads one attestation object.
    pub fn parse(json: &[u8]) -> Result<Attestation, AttestationError> {
        read::<Wire>(json, MAX_ATTESTATION_LEN)?.try_into()
    }

    /// Reads the list of attestations that comes with an upload: one or two.
    ///
    /// A person who has none leaves the field out; an empty list is refused as PyPI does it.
    pub fn parse_list(json: &[u8]) -> Result<Vec<Attestation>, AttestationError> {
        let list = read::<Vec<Wire>>(json, MAX_ATTESTATIONS_LEN)?;
        counted(list.len())?;
        list.into_iter().map(TryInto::try_into).collect()
    }

    /// Reads a Sigstore bundle (`….sigstore.json`) of version 0.3 that holds a signed statement.
    pub fn from_bundle(json: &[u8]) -> Result<Attestation, AttestationError> {
        read::<bundle::Wire>(json, MAX_ATTESTATION_LEN)?.try_into()
    }

    /// The attestation object, in compact JSON whose members have one order.
    pub fn to_json(&self) -> Vec<u8> {
        crate::provenance::written(&Wire::from(self))
    }

    /// The signed statement, as bytes.
    pub(crate) fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// The signature over the statement's envelope.
    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The certificate of the key that signed, in DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Where the log recorded it.
    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    fn of_parts(
        statement: Base64,
        signature: Base64,
        certificate: Base64,
        entries: Vec<entry::Wire>,
    ) -> Result<Attestation, AttestationError> {
        limited("statement", &statement.0, MAX_STATEMENT_LEN)?;
        limited("certificate", &certificate.0, MAX_CERTIFICATE_LEN)?;
        let [entry] =
            <[entry::Wire; 1]>::try_from(entries).map_err(|entries| AttestationError::Entries {
                count: entries.len(),
            })?;
        Ok(Attestation {
            statement: statement.0,
            signature: signature.0,
            certificate: certificate.0,
            entry: entry.try_into()?,
        })
    }
}

/// One attestation, or two.
pub(crate) fn counted(count: usize) -> Result<(), AttestationError> {
    match count {
        0 => Err(AttestationError::None),
        1..=MAX_ATTESTATIONS => Ok(()),
        _ => Err(AttestationError::TooMany {
            count,
            most: MAX_ATTESTATIONS,
        }),
    }
}

/// Parses what is short and shallow enough.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(
    json: &[u8],
    most: usize,
) -> Result<T, AttestationError> {
    json::bounded(json, most, MAX_DEPTH).map_err(|excess| match excess {
        Excess::Length => AttestationError::TooLong {
            length: json.len(),
            most,
        },
        Excess::Depth => AttestationError::TooDeep { most: MAX_DEPTH },
    })?;
    serde_json::from_slice(json).map_err(AttestationError::Form)
}

fn limited(part: &'static str, bytes: &[u8], most: usize) -> Result<(), AttestationError> {
    if bytes.len() > most {
        return Err(AttestationError::Part {
            part,
            length: bytes.len(),
            most,
        });
    }
    Ok(())
}

impl TryFrom<Wire> for Attestation {
    type Error = AttestationError;

    fn try_from(wire: Wire) -> Result<Attestation, AttestationError> {
        if wire.version != 1 {
            return Err(AttestationError::Version {
                version: wire.version,
            });
        }
        Attestation::of_parts(
            wire.envelope.statement,
            wire.envelope.signature,
            wire.verification_material.certificate,
            wire.verification_material.transparency_entries,
        )
    }
}

impl From<&Attestation> for Wire {
    fn from(attestation: &Attestation) -> Wire {
        Wire {
            version: 1,
            verification_material: Material {
                certificate: Base64(attestation.certificate.clone()),
                transparency_entries: vec![(&attestation.entry).into()],
            },
            envelope: Envelope {
                statement: Base64(attestation.statement.clone()),
                signature: Base64(attestation.signature.clone()),
            },
        }
    }
}
