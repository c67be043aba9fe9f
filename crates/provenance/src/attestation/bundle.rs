//! Sigstore's own form of an attestation: a bundle of version 0.3 with a signed statement.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Attestation, AttestationError, entry};
use crate::json::Base64;
use crate::sigstore::{MEDIA_TYPE, PAYLOAD_TYPE};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Wire {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Material {
    certificate: Certificate,
    tlog_entries: Vec<entry::Wire>,
    /// Timestamps besides the log's. They would be one more word for what the log dates; without
    /// a place in PEP 740 they are left out.
    #[serde(default)]
    #[expect(dead_code, reason = "it may be there, and nothing depends on it")]
    timestamp_verification_data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Certificate {
    raw_bytes: Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope {
    payload: Base64,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    sig: Base64,
    /// Which key: the certificate says so, and this may be empty.
    #[serde(default)]
    #[expect(dead_code, reason = "it may be there, and nothing depends on it")]
    keyid: Option<String>,
}

impl TryFrom<Wire> for Attestation {
    type Error = AttestationError;

    fn try_from(wire: Wire) -> Result<Attestation, AttestationError> {
        let other = |member, given| AttestationError::Bundle { member, given };
        if wire.media_type != MEDIA_TYPE {
            return Err(other("media type", wire.media_type));
        }
        let envelope = wire.dsse_envelope;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(other("payload type", envelope.payload_type));
        }
        let [signature] = <[Signature; 1]>::try_from(envelope.signatures)
            .map_err(|all| other("number of signatures", all.len().to_string()))?;
        Attestation::of_parts(
            envelope.payload,
            signature.sig,
            wire.verification_material.certificate.raw_bytes,
            wire.verification_material.tlog_entries,
        )
    }
}
