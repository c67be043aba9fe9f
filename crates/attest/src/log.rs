//! The transparency log (Rekor, API version 1): what is signed is recorded for everybody to see.
//!
//! Version 2 of the log dates nothing and needs a timestamp besides, for which PEP 740 has no place.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wheelmark_provenance::{Attestation, AttestationError};

use crate::envelope::envelope;
use crate::pem;
use crate::service::{Answer, Service, ServiceError};

/// Where entries are.
const PATH: &str = "/api/v1/log/entries";

/// How long the name of an entry is, in hexadecimal digits: its hash, with the number of a tree
/// before it where a log has several.
const NAME_LENS: [usize; 2] = [64, 80];

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The log does not take what it was given.
    #[error("the transparency log refuses the entry")]
    Refused(#[source] ServiceError),
    /// It gave no answer that could be used.
    #[error("the transparency log did not record it, as far as it told")]
    Service(#[from] ServiceError),
    /// It answered with something that makes no attestation.
    #[error("what the transparency log answered makes no attestation")]
    Attestation(#[from] AttestationError),
}

/// An entry as version 1 of the API gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    body: String,
    integrated_time: u64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: Verification,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    inclusion_proof: Proof,
    signed_entry_timestamp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

/// A statement with what was made of it.
pub(crate) struct Signed<'a> {
    pub(crate) statement: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// In DER.
    pub(crate) certificate: &'a [u8],
}

/// Has a signed statement recorded, and makes it an attestation.
///
/// The same may be sent twice: a log that has it already says where.
pub(crate) async fn record(
    service: &Service,
    signed: &Signed<'_>,
) -> Result<Attestation, RecordError> {
    let proposed = json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": { "proposedContent": {
            "envelope": envelope(signed.statement, signed.signature),
            "verifiers": [STANDARD.encode(pem::write(pem::CERTIFICATE, signed.certificate))],
        } },
    });
    let answer = service
        .post(PATH, Bytes::from(proposed.to_string()))
        .await?;
    let entry = match answer.status {
        StatusCode::CONFLICT => {
            let name = answer.location.as_deref().and_then(name_of);
            let name = name.ok_or_else(|| ServiceError::Useless {
                place: service.place(),
                reason: "says that it has this entry, and not where",
            })?;
            let answer = service.get(&format!("{PATH}/{name}")).await?;
            only_entry(service, &answer)?
        }
        _ => only_entry(service, &answer)?,
    };
    attestation(service, signed, &entry)
}

/// The name of the entry that an address leads to. The address itself is not followed.
fn name_of(location: &str) -> Option<&str> {
    let name = location.rsplit('/').next()?;
    let fits = NAME_LENS.contains(&name.len()) && name.bytes().all(|c| c.is_ascii_hexdigit());
    fits.then_some(name)
}

fn only_entry(service: &Service, answer: &Answer) -> Result<Entry, RecordError> {
    if answer.status == StatusCode::BAD_REQUEST {
        return Err(RecordError::Refused(service.refused(answer)));
    }
    if !answer.status.is_success() {
        return Err(service.refused(answer).into());
    }
    let entries: BTreeMap<String, Entry> =
        serde_json::from_slice(&answer.body).map_err(|source| ServiceError::Malformed {
            place: service.place(),
            source,
        })?;
    let count = entries.len();
    match entries.into_values().next() {
        Some(entry) if count == 1 => Ok(entry),
        _ => Err(ServiceError::Useless {
            place: service.place(),
            reason: "has not exactly one entry",
        }
        .into()),
    }
}

/// PEP 740's form of all of it, in which the log's entry is as protobuf has it.
fn attestation(
    service: &Service,
    signed: &Signed<'_>,
    entry: &Entry,
) -> Result<Attestation, RecordError> {
    let of_hex = |digits: &str| -> Result<String, ServiceError> {
        let bytes = hex::decode(digits).map_err(|_| ServiceError::Useless {
            place: service.place(),
            reason: "has something else where hexadecimal digits should be",
        })?;
        Ok(STANDARD.encode(bytes))
    };
    let proof = &entry.verification.inclusion_proof;
    let hashes: Vec<Value> = proof
        .hashes
        .iter()
        .map(|hash| Ok(Value::from(of_hex(hash)?)))
        .collect::<Result<_, ServiceError>>()?;
    let attestation = json!({
        "version": 1,
        "verification_material": {
            "certificate": STANDARD.encode(signed.certificate),
            "transparency_entries": [{
                "logIndex": entry.log_index.to_string(),
                "logId": { "keyId": of_hex(&entry.log_id)? },
                "kindVersion": { "kind": "dsse", "version": "0.0.1" },
                "integratedTime": entry.integrated_time.to_string(),
                "inclusionPromise": {
                    "signedEntryTimestamp": entry.verification.signed_entry_timestamp,
                },
                "inclusionProof": {
                    "logIndex": proof.log_index.to_string(),
                    "rootHash": of_hex(&proof.root_hash)?,
                    "treeSize": proof.tree_size.to_string(),
                    "hashes": hashes,
                    "checkpoint": { "envelope": proof.checkpoint },
                },
                "canonicalizedBody": entry.body,
            }],
        },
        "envelope": {
            "statement": STANDARD.encode(signed.statement),
            "signature": STANDARD.encode(signed.signature),
        },
    });
    Ok(Attestation::parse(attestation.to_string().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn only_the_name_is_taken_of_an_address() {
        let short = "0a".repeat(32);
        let long = "0a".repeat(40);
        for name in [&short, &long] {
            assert_eq!(
                name_of(&format!("/api/v1/log/entries/{name}")),
                Some(name.as_str())
            );
            assert_eq!(
                name_of(&format!("https://evil.example/{name}")),
                Some(name.as_str())
            );
        }
        for wrong in [
            "",
            "/",
            &short[1..],
            "..%2f..",
            &format!("/{short}?x"),
            &"g".repeat(64),
        ] {
            assert_eq!(name_of(wrong), None, "{wrong}");
        }
    }
}
