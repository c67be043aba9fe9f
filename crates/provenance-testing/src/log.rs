//! The transparency log (Rekor, version 1): a tree of one leaf, made anew for every entry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::key::{Key, sha256};

/// What the log's checkpoints begin with.
const ORIGIN: &str = "rekor.private.invalid - 1";

/// What the log records of a signed statement.
pub(crate) fn body(statement: &[u8], signature: &[u8], certificate: &[u8]) -> String {
    let signature = STANDARD.encode(signature);
    let verifier = STANDARD.encode(pem(certificate));
    let envelope = json!({
        "payload": STANDARD.encode(statement),
        "payloadType": crate::sigstore::PAYLOAD_TYPE,
        "signatures": [{ "sig": signature }],
    });
    let envelope = hex::encode(sha256(envelope.to_string().as_bytes()));
    let payload = hex::encode(sha256(statement));
    // Canonical JSON, by hand: members in order, nothing between them.
    format!(
        r#"{{"apiVersion":"0.0.1","kind":"dsse","spec":{{"envelopeHash":{{"algorithm":"sha256","value":"{envelope}"}},"payloadHash":{{"algorithm":"sha256","value":"{payload}"}},"signatures":[{{"signature":"{signature}","verifier":"{verifier}"}}]}}}}"#
    )
}

/// The entry for a body, as protobuf's JSON.
pub(crate) fn entry(log: &Key, body: &str, index: u64, integrated: Timestamp) -> Value {
    let seconds = integrated.as_second();
    let encoded = STANDARD.encode(body);
    let id = hex::encode(log.id());
    let promised = format!(
        r#"{{"body":"{encoded}","integratedTime":{seconds},"logID":"{id}","logIndex":{index}}}"#
    );
    let root = sha256(&[&[0], body.as_bytes()].concat());
    let note = format!("{ORIGIN}\n1\n{}\n", STANDARD.encode(root));
    let signature = [&log.id()[..4], &log.sign(note.as_bytes())].concat();
    let (name, _) = ORIGIN.split_once(' ').expect("a name and a number");
    let checkpoint = format!("{note}\n— {name} {}\n", STANDARD.encode(signature));
    json!({
        "logIndex": index.to_string(),
        "logId": { "keyId": STANDARD.encode(log.id()) },
        "kindVersion": { "kind": "dsse", "version": "0.0.1" },
        "integratedTime": seconds.to_string(),
        "inclusionPromise": {
            "signedEntryTimestamp": STANDARD.encode(log.sign(promised.as_bytes())),
        },
        "inclusionProof": {
            "logIndex": "0",
            "rootHash": STANDARD.encode(root),
            "treeSize": "1",
            "hashes": [],
            "checkpoint": { "envelope": checkpoint },
        },
        "canonicalizedBody": encoded,
    })
}

/// A certificate as text, in lines of 64 characters.
fn pem(certificate: &[u8]) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
