//! Why an attestation is not gone by.

use std::error::Error;

use jiff::Timestamp;
use wheelmark_packaging::simple::Sha256Hex;

use crate::identity::{Identity, Mismatch};
use crate::publisher::Publisher;
use crate::roots::PUBLIC_GOOD;
use crate::sigstore::Flaw;
use crate::statement::{Predicate, StatementError};

/// Why one attestation proves nothing about a file.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It says something else.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The log dates it after now.
    #[error("the log recorded it at {integrated}, and now it is {now}")]
    FromTheFuture {
        /// When the log says that it recorded it.
        integrated: Timestamp,
        /// The time that the caller goes by.
        now: Timestamp,
    },
    /// No trusted root has the log that it names.
    #[error("it is recorded in the log {}, which no trusted root knows", Sha256Hex(*log))]
    UnknownLog {
        /// The log, by the SHA-256 of its key.
        log: [u8; 32],
    },
    /// A company's own Sigstore vouches for somebody of a public service, and Sigstore's public
    /// instance is believed beside it.
    #[error("{root} vouches for somebody of {issuer}, for whom {PUBLIC_GOOD} speaks here")]
    NotItsIssuer {
        /// The trusted root.
        root: String,
        /// The service.
        issuer: String,
    },
    /// Signature, certificate or log entry do not hold.
    #[error("what {root} would have to vouch for does not hold")]
    Evidence {
        /// The trusted root that knows the log.
        root: String,
        /// What is wrong.
        #[source]
        flaw: Flaw,
    },
}

impl Refusal {
    /// What it can mean, and what to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Refusal::Statement(
                StatementError::OtherFile { .. } | StatementError::OtherBytes { .. },
            ) => {
                "the attestation is of another file, or the file was changed after it was attested"
            }
            Refusal::Statement(_) => {
                "an attestation is an in-toto statement about one wheel or source distribution, of \
                 the type publish/v1 or SLSA provenance v1"
            }
            Refusal::FromTheFuture { .. } => "look whether this machine's clock is right",
            Refusal::UnknownLog { .. } => {
                "Sigstore may have a newer log: `wheelmark trust sigstore refresh` asks it; if a \
                 Sigstore of your own made it, name its trusted_root.json"
            }
            Refusal::NotItsIssuer { .. } => {
                "somebody may have broken into that Sigstore: do not use the file; if it is meant to \
                 certify jobs of that service, believe it alone"
            }
            Refusal::Evidence {
                flaw: Flaw::Time { .. } | Flaw::Log { .. },
                ..
            } => {
                "the attestation was changed, or never held, or this machine's clock is wrong: do not \
                 use the file on its word"
            }
            Refusal::Evidence { .. } => {
                "the attestation was changed, or never held: do not use the file on its word"
            }
        }
    }
}

/// Why what came with an upload is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadRefusal {
    /// Nothing came.
    #[error("there is no attestation")]
    None,
    /// More than one of each predicate.
    #[error("there are {count} attestations, at most {most} are taken")]
    TooMany {
        /// How many came.
        count: usize,
        /// How many may.
        most: usize,
    },
    /// One of them does not hold.
    #[error("attestation {position} proves nothing about this file")]
    Attestation {
        /// Which, counted from 1.
        position: usize,
        /// Why not.
        #[source]
        refusal: Refusal,
    },
    /// Two say the same kind of thing.
    #[error("there are two attestations of the type {predicate}")]
    Twice {
        /// Which kind.
        predicate: Predicate,
    },
    /// One of them was made by somebody who may not speak for the project.
    #[error("attestation {position} was made by {identity}, who may not attest for this project")]
    Publisher {
        /// Which, counted from 1.
        position: usize,
        /// Who made it.
        identity: Box<Identity>,
        /// Who may.
        allowed: Vec<Publisher>,
    },
}

/// Why what an index has of a file is not gone by.
#[derive(Debug, thiserror::Error)]
pub enum ProvenanceRefusal {
    /// There is nothing in it.
    #[error("there is no attestation in it")]
    None,
    /// One of its attestations does not hold.
    #[error("attestation {position} proves nothing about this file")]
    Attestation {
        /// Which, counted from 1 through all publishers.
        position: usize,
        /// Why not.
        #[source]
        refusal: Refusal,
    },
    /// One of them was made by somebody else than it states.
    #[error("attestation {position} is said to be by {stated}, and is not")]
    Publisher {
        /// Which, counted from 1 through all publishers.
        position: usize,
        /// Whom the provenance object states.
        stated: Box<Publisher>,
        /// What the certificate has against that.
        #[source]
        mismatch: Mismatch,
    },
}

/// An error with its causes, on one line: what to tell where only one line can be told.
pub fn chain(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        told.push_str(": ");
        told.push_str(&next.to_string());
        cause = next.source();
    }
    told
}

impl ProvenanceRefusal {
    /// What it can mean, and what to do.
    pub fn hint(&self) -> &'static str {
        match self {
            ProvenanceRefusal::None => "ask whoever published the file for an attestation",
            ProvenanceRefusal::Attestation { refusal, .. } => refusal.hint(),
            ProvenanceRefusal::Publisher { .. } => {
                "the index contradicts its own evidence: do not use the file on its word"
            }
        }
    }
}
