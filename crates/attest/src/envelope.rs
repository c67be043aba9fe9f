//! What is said of a file, and what a signature over it covers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::Predicate;

/// What is signed: an in-toto statement.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A publish attestation's statement about one file (PEP 740; PyPI, publish attestation v1), under
/// the very name that the file has.
pub(crate) fn statement(file: &DistributionFilename, sha256: &Sha256Hex) -> Vec<u8> {
    let said = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": file.as_str(), "digest": { "sha256": sha256.to_string() } }],
        "predicateType": Predicate::Publish.uri(),
        "predicate": null,
    });
    said.to_string().into_bytes()
}

/// What a signature covers (DSSE's pre-authentication encoding).
pub(crate) fn covered(statement: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        statement.len()
    );
    [head.as_bytes(), statement].concat()
}

/// Statement and signature together, as logs take them.
pub(crate) fn envelope(statement: &[u8], signature: &[u8]) -> String {
    let envelope = json!({
        "payload": STANDARD.encode(statement),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{ "keyid": "", "sig": STANDARD.encode(signature) }],
    });
    envelope.to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_about_one_file_by_its_own_name() {
        let file = DistributionFilename::parse("Demo-1.0.tar.gz").unwrap();
        let said = statement(&file, &Sha256Hex([7; 32]));
        let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(said["subject"].as_array().unwrap().len(), 1);
        assert_eq!(said["subject"][0]["name"], "Demo-1.0.tar.gz");
        assert_eq!(said["subject"][0]["digest"]["sha256"], "07".repeat(32));
        assert!(said["predicate"].is_null());
    }

    #[test]
    fn a_signature_covers_type_and_statement_with_their_lengths() {
        assert_eq!(
            covered(b"{}"),
            b"DSSEv1 28 application/vnd.in-toto+json 2 {}"
        );
    }
}
