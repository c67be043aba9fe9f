//! What others need to believe it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::json;

use crate::key::Key;

/// `trusted_root.json`.
pub(crate) fn trusted_root(
    authority: &[u8],
    certificates: &Key,
    log: &Key,
    from: Timestamp,
) -> String {
    let valid = json!({ "start": from.to_string() });
    let a_log = |url: &str, key: &Key| {
        json!({
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": STANDARD.encode(key.public()),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": valid,
            },
            "logId": { "keyId": STANDARD.encode(key.id()) },
        })
    };
    let root = json!({
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [a_log("https://rekor.private.invalid", log)],
        "certificateAuthorities": [{
            "subject": { "organization": "wheelmark tests", "commonName": "a private authority, for tests" },
            "uri": "https://fulcio.private.invalid",
            "certChain": { "certificates": [{ "rawBytes": STANDARD.encode(authority) }] },
            "validFor": valid,
        }],
        "ctlogs": [a_log("https://ctfe.private.invalid", certificates)],
        "timestampAuthorities": [],
    });
    format!("{root:#}\n")
}
