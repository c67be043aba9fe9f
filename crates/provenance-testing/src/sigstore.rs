//! All of it together.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rcgen::PublicKeyData;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wheelmark_provenance::{Predicate, Publisher};

use crate::key::Key;
use crate::log::Recorded;
use crate::signer::Signer;
use crate::{authority, log, root};

/// What is signed: an in-toto statement.
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// An authority, its certificate log, and a transparency log.
pub struct PrivateSigstore {
    authority: Key,
    certificates: Key,
    pub(crate) log: Key,
    from: Timestamp,
    pub(crate) authority_certificate: Vec<u8>,
}

/// Which key a signer signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256: what clients of Sigstore use.
    P256,
    /// ECDSA on P-384: what we refuse.
    P384,
}

/// How an attestation is made. What [`Making::at`] gives is in order; each part can be made wrong.
#[derive(Clone, Debug)]
pub struct Making {
    /// When the log records it.
    pub integrated: Timestamp,
    /// When the certificate begins to be valid.
    pub certified: Timestamp,
    /// For how long it is.
    pub lifetime: Duration,
    /// Whether the certificate log recorded it.
    pub recorded: bool,
    /// The signer's key.
    pub key: KeyKind,
    /// The entry's number in the log.
    pub index: u64,
}

impl Making {
    /// A certificate of that second, valid for ten minutes, and an entry ten seconds later.
    pub fn at(time: Timestamp) -> Making {
        Making {
            integrated: time + SignedDuration::from_secs(10),
            certified: time,
            lifetime: Duration::from_mins(10),
            recorded: true,
            key: KeyKind::P256,
            index: 4711,
        }
    }
}

/// As it is kept in a file.
#[derive(Serialize, Deserialize)]
struct Kept {
    authority: String,
    certificates: String,
    log: String,
    from: Timestamp,
    authority_certificate: String,
}

impl PrivateSigstore {
    /// New keys, valid from a time.
    pub fn new(from: Timestamp) -> PrivateSigstore {
        let authority = Key::new();
        let from = Timestamp::from_second(from.as_second()).expect("a time");
        PrivateSigstore {
            authority_certificate: authority::root(&authority, from),
            authority,
            certificates: Key::new(),
            log: Key::new(),
            from,
        }
    }

    /// The keys, to be kept.
    pub fn to_json(&self) -> String {
        let kept = Kept {
            authority: STANDARD.encode(self.authority.pkcs8()),
            certificates: STANDARD.encode(self.certificates.pkcs8()),
            log: STANDARD.encode(self.log.pkcs8()),
            from: self.from,
            authority_certificate: STANDARD.encode(&self.authority_certificate),
        };
        serde_json::to_string_pretty(&kept).expect("strings can be written")
    }

    /// One whose keys were kept.
    pub fn from_json(json: &str) -> serde_json::Result<PrivateSigstore> {
        let kept: Kept = serde_json::from_str(json)?;
        let bytes = |text: &str| STANDARD.decode(text).expect("base64");
        let key = |text: &str| Key::of_pkcs8(&bytes(text));
        Ok(PrivateSigstore {
            authority: key(&kept.authority),
            certificates: key(&kept.certificates),
            log: key(&kept.log),
            from: kept.from,
            authority_certificate: bytes(&kept.authority_certificate),
        })
    }

    /// The contents of `trusted_root.json`.
    pub fn trusted_root(&self) -> String {
        root::trusted_root(
            &self.authority_certificate,
            &self.certificates,
            &self.log,
            self.from,
        )
    }

    /// The same authority, with another transparency log: what it records, nobody believes who has
    /// [`PrivateSigstore::trusted_root`].
    #[must_use]
    pub fn with_another_log(self) -> PrivateSigstore {
        PrivateSigstore {
            log: Key::new(),
            ..self
        }
    }

    /// The same, with another certificate log.
    #[must_use]
    pub fn with_another_certificate_log(self) -> PrivateSigstore {
        PrivateSigstore {
            certificates: Key::new(),
            ..self
        }
    }

    /// The same logs, with another authority.
    #[must_use]
    pub fn with_another_authority(self) -> PrivateSigstore {
        let authority = Key::new();
        PrivateSigstore {
            authority_certificate: authority::root(&authority, self.from),
            authority,
            ..self
        }
    }

    /// An attestation of a file, as PEP 740's JSON.
    pub fn attest(
        &self,
        signer: &Signer,
        name: &str,
        sha256: &[u8; 32],
        predicate: Predicate,
        making: &Making,
    ) -> Value {
        let statement = statement(name, sha256, predicate);
        self.attest_statement(signer, statement.to_string().as_bytes(), making)
    }

    /// A certificate for somebody's key, in DER.
    pub(crate) fn certify(
        &self,
        signer: &Signer,
        key: &impl PublicKeyData,
        making: &Making,
    ) -> Vec<u8> {
        let Self {
            authority,
            certificates,
            ..
        } = self;
        authority::certify(authority, self.from, certificates, signer, key, making)
    }

    /// An attestation of whatever is to be said.
    pub fn attest_statement(&self, signer: &Signer, statement: &[u8], making: &Making) -> Value {
        let key = match making.key {
            KeyKind::P256 => Key::new(),
            KeyKind::P384 => Key::longer(),
        };
        let certificate = self.certify(signer, &key.pair, making);
        let signature = key.sign(&covered(statement));
        let envelope = log::envelope(statement, &signature);
        let body = log::body(&envelope, statement, &signature, &certificate);
        let recorded = Recorded::alone(&self.log, &body, making.index, making.integrated);
        json!({
            "version": 1,
            "verification_material": {
                "certificate": STANDARD.encode(&certificate),
                "transparency_entries": [recorded.as_protobuf()],
            },
            "envelope": {
                "statement": STANDARD.encode(statement),
                "signature": STANDARD.encode(&signature),
            },
        })
    }
}

/// A statement about a file.
pub fn statement(name: &str, sha256: &[u8; 32], predicate: Predicate) -> Value {
    let said = match predicate {
        Predicate::Publish => Value::Null,
        Predicate::Slsa => json!({
            "buildDefinition": {
                "buildType": "https://example.invalid/build",
                "externalParameters": {},
            },
            "runDetails": { "builder": { "id": "https://example.invalid/builder" } },
        }),
    };
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": name, "digest": { "sha256": hex::encode(sha256) } }],
        "predicateType": predicate.uri(),
        "predicate": said,
    })
}

/// PEP 740's provenance object.
pub fn provenance(publisher: &Publisher, attestations: &[Value]) -> Value {
    json!({
        "version": 1,
        "attestation_bundles": [{ "publisher": publisher, "attestations": attestations }],
    })
}

/// What a signature covers (DSSE's pre-authentication encoding).
pub(crate) fn covered(statement: &[u8]) -> Vec<u8> {
    let mut covered = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        statement.len()
    )
    .into_bytes();
    covered.extend(statement);
    covered
}
