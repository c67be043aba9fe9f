//! The library that checks what Sigstore signs. No other module names it: each of its minor
//! releases changes what it looks like.
//!
//! It checks the certificate's chain at the time that the log states, that a certificate log
//! recorded it, the log's promise, proof and checkpoint, that the log recorded this very
//! signature, and the signature over the statement, which has to name the file's digest.

use jiff::Timestamp;
use sigstore_crypto::{KeyAlgorithm, SubjectAltName};
use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_types::{
    Bundle, CanonicalizedBody, CertificateContent, CheckpointData, DerCertificate, DsseEnvelope,
    DsseSignature, InclusionPromise, InclusionProof, KeyId, KindVersion, LogId, LogIndex, LogKeyId,
    MediaType, PayloadBytes, Sha256Hash, SignatureBytes, SignatureContent, SignedTimestamp,
    TransparencyLogEntry, VerificationMaterial, VerificationMaterialContent,
};
use sigstore_verify::{Error, VerificationPolicy, Verifier};

use crate::attestation::Attestation;
use crate::identity::{Claims, Identity, Subject};
use crate::roots::RootError;

/// The media type of the bundles that are made and read here.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The type of what is signed: an in-toto statement.
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The trusted root of Sigstore's public instance, as the library has it.
pub(crate) const PUBLIC_GOOD_ROOT: &str = SIGSTORE_PRODUCTION_TRUSTED_ROOT;

/// What checks signatures, certificates and log entries.
pub(crate) trait Judge {
    /// Whether this log's word is worth anything here.
    fn knows(&self, log: &[u8; 32]) -> bool;

    /// Checks everything about an attestation but what its statement says of the file besides the
    /// digest, and who made it.
    fn judge(&self, attestation: &Attestation, sha256: [u8; 32]) -> Result<Proof, Flaw>;
}

/// What an attestation proves.
pub(crate) struct Proof {
    /// Who made it.
    pub(crate) identity: Identity,
    /// When the log recorded it.
    pub(crate) integrated: Timestamp,
}

/// What is wrong with the evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The signature is not over this statement by this certificate's key.
    #[error("the signature does not hold: {reason}")]
    Signature {
        /// In the library's words.
        reason: String,
    },
    /// The statement is not about these bytes.
    #[error("the statement is not about this file: {reason}")]
    File {
        /// In the library's words.
        reason: String,
    },
    /// No trusted authority issued the certificate, or it was not valid then, or no certificate
    /// log recorded it.
    #[error("the certificate does not hold: {reason}")]
    Certificate {
        /// In the library's words.
        reason: String,
    },
    /// The log did not record it, or not this.
    #[error("the entry of the transparency log does not hold: {reason}")]
    Log {
        /// In the library's words.
        reason: String,
    },
    /// Nothing trustworthy dates it.
    #[error("its time does not hold: {reason}")]
    Time {
        /// In the library's words.
        reason: String,
    },
    /// A key of another kind than the one that Sigstore's clients use.
    #[error("it was signed with a key of the kind {algorithm}, and ECDSA P-256 is needed")]
    Key {
        /// The kind.
        algorithm: String,
    },
    /// A certificate that does not say who it is of.
    #[error("its certificate names no {what}")]
    Nobody {
        /// What is missing: the subject or the issuer.
        what: &'static str,
    },
    /// Malformed, or of a form that is not known.
    #[error("it cannot be verified: {reason}")]
    Unsupported {
        /// In the library's words.
        reason: String,
    },
}

/// One instance of Sigstore: its authorities and its logs.
pub(crate) struct Sigstore {
    logs: Vec<[u8; 32]>,
    verifier: Verifier,
}

impl Sigstore {
    /// From the contents of a `trusted_root.json`, whose length is bounded.
    pub(crate) fn new(json: &[u8]) -> Result<Sigstore, RootError> {
        let unusable = |reason: String| RootError::Unusable { reason };
        let text = std::str::from_utf8(json).map_err(|error| unusable(error.to_string()))?;
        let root = TrustedRoot::from_json(text).map_err(|error| unusable(error.to_string()))?;
        for (missing, what) in [
            (root.tlogs.is_empty(), "transparency log"),
            (root.ctlogs.is_empty(), "certificate log"),
            (
                root.certificate_authorities.is_empty(),
                "certificate authority",
            ),
        ] {
            if missing {
                return Err(RootError::Without { what });
            }
        }
        let logs = root
            .tlogs
            .iter()
            .filter_map(|log| log.log_id.key_id.as_bytes().try_into().ok())
            .collect();
        let verifier = Verifier::new(&root).map_err(|error| unusable(error.to_string()))?;
        Ok(Sigstore { logs, verifier })
    }
}

impl Judge for Sigstore {
    fn knows(&self, log: &[u8; 32]) -> bool {
        self.logs.contains(log)
    }

    fn judge(&self, attestation: &Attestation, sha256: [u8; 32]) -> Result<Proof, Flaw> {
        let bundle = bundle(attestation)?;
        // Anybody: who it is, is decided by the caller, from what comes out.
        let policy = VerificationPolicy::any_identity();
        let verified = self
            .verifier
            .verify(Sha256Hash::new(sha256), &bundle, &policy)?;
        let certificate = verified.certificate().ok_or(Flaw::Nobody { what: "key" })?;
        if certificate.key_algorithm != KeyAlgorithm::EcdsaP256 {
            return Err(Flaw::Key {
                algorithm: format!("{:?}", certificate.key_algorithm),
            });
        }
        let subject = match verified.identity() {
            Some(SubjectAltName::Email(email)) => Subject::Email(email.clone()),
            Some(SubjectAltName::Uri(uri)) => Subject::Uri(uri.clone()),
            _ => return Err(Flaw::Nobody { what: "subject" }),
        };
        let issuer = verified
            .issuer()
            .ok_or(Flaw::Nobody { what: "issuer" })?
            .to_owned();
        let integrated = verified.integrated_time().ok_or_else(|| Flaw::Time {
            reason: "the log does not vouch for one".to_owned(),
        })?;
        let said = certificate.ci_claims.clone();
        let claims = Claims {
            repository: said.source_repository_uri,
            repository_id: said.source_repository_identifier,
            owner: said.source_repository_owner_uri,
            owner_id: said.source_repository_owner_identifier,
            git_ref: said.source_repository_ref,
            digest: said.source_repository_digest,
            workflow: said.build_config_uri,
            workflow_digest: said.build_config_digest,
            environment: said.deployment_environment,
            trigger: said.build_trigger,
            run: said.run_invocation_uri,
            runner: said.runner_environment,
            visibility: said.source_repository_visibility_at_signing,
            token_subject: said.token_subject,
        };
        Ok(Proof {
            identity: Identity::new(subject, issuer, claims),
            integrated,
        })
    }
}

/// The bundle that an attestation stands for (PEP 740, *Attestation verification*).
fn bundle(attestation: &Attestation) -> Result<Bundle, Flaw> {
    let entry = attestation.entry();
    let index = |number: u64| LogIndex::new(number).map_err(unsupported);
    let proof = InclusionProof::new(
        index(entry.leaf)?,
        Sha256Hash::new(entry.tree_root),
        entry.tree_size,
        entry.hashes.iter().copied().map(Sha256Hash::new).collect(),
        CheckpointData::new(entry.checkpoint.as_str()).map_err(|error| Flaw::Log {
            reason: error.to_string(),
        })?,
    );
    let entry = TransparencyLogEntry::new(
        index(entry.index)?,
        LogId::new(LogKeyId::new(entry.log.to_vec())),
        KindVersion::DsseV001,
        CanonicalizedBody::new(entry.body.clone()),
    )
    .with_integrated_time(entry.integrated)
    .with_inclusion_promise(InclusionPromise::new(SignedTimestamp::new(
        entry.promise.clone(),
    )))
    .with_inclusion_proof(proof);
    let certificate = DerCertificate::new(attestation.certificate().to_vec());
    let content = VerificationMaterialContent::Certificate(CertificateContent::new(certificate));
    let envelope = DsseEnvelope::new(
        PAYLOAD_TYPE,
        PayloadBytes::new(attestation.statement().to_vec()),
        DsseSignature::new(
            SignatureBytes::new(attestation.signature().to_vec()),
            KeyId::default(),
        ),
    );
    Ok(Bundle::new(
        MediaType::Bundle0_3,
        VerificationMaterial::new(content).with_tlog_entries(vec![entry]),
        SignatureContent::DsseEnvelope(envelope),
    ))
}

fn unsupported(error: impl std::fmt::Display) -> Flaw {
    Flaw::Unsupported {
        reason: error.to_string(),
    }
}

impl From<Error> for Flaw {
    fn from(error: Error) -> Flaw {
        let reason = error.to_string();
        match error {
            Error::SignatureInvalid(_) => Flaw::Signature { reason },
            Error::ArtifactMismatch(_) | Error::UnsupportedArtifact(_) => Flaw::File { reason },
            Error::Certificate(_) => Flaw::Certificate { reason },
            Error::TransparencyLog(_) => Flaw::Log { reason },
            Error::Timestamp(_) => Flaw::Time { reason },
            _ => Flaw::Unsupported { reason },
        }
    }
}
