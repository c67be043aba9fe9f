//! `POST /api/v2/signingCert`: a certificate for whomever a token names.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{PublicKeyData, SignatureAlgorithm};
use serde::Deserialize;
use serde_json::json;

use super::{Services, refused};
use crate::der::members;
use crate::log::pem;
use crate::sigstore::Making;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    credentials: Option<Credentials>,
    certificate_signing_request: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    oidc_identity_token: String,
}

/// The key of somebody else.
struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// `SubjectPublicKeyInfo` up to the point, for a point on P-256 (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

pub(super) async fn signing_cert(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    Json(request): Json<Request>,
) -> Response {
    // The token may stand in a header, too.
    let header = headers.get("authorization");
    let header = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = request.credentials.map(|given| given.oidc_identity_token);
    let Some(token) = token.or_else(|| header.map(str::to_owned)) else {
        return refused(
            StatusCode::UNAUTHORIZED,
            "There was an error processing the credentials",
        );
    };
    let now = (services.now)();
    let mut found = Err("the issuer of the token is not configured".to_owned());
    for issuer in &services.issuers {
        if issuer.made(&token) {
            found = issuer.signer(&token, now).await;
        }
    }
    let signer = match found {
        Ok(signer) => signer,
        Err(why) => {
            let message = format!("There was an error processing the identity token: {why}");
            return refused(StatusCode::UNAUTHORIZED, &message);
        }
    };
    let Some(key) = key_of(&request.certificate_signing_request) else {
        return refused(
            StatusCode::BAD_REQUEST,
            "The certificate signing request could not be verified",
        );
    };
    let certificate = services.sigstore.certify(&signer, &key, &Making::at(now));
    let chain = [
        pem(&certificate),
        pem(&services.sigstore.authority_certificate),
    ];
    let body = json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": chain } } });
    Json(body).into_response()
}

/// The key that a request for a certificate is for, if whoever asks has it (RFC 2986).
fn key_of(request: &str) -> Option<PublicKey> {
    let request = String::from_utf8(STANDARD.decode(request).ok()?).ok()?;
    let inside = request
        .trim()
        .strip_prefix("-----BEGIN CERTIFICATE REQUEST-----")?
        .strip_suffix("-----END CERTIFICATE REQUEST-----")?;
    let digits: String = inside.split_ascii_whitespace().collect();
    let request = STANDARD.decode(digits).ok()?;
    let [info, _algorithm, signature] = members(&request)?.try_into().ok()?;
    let key = *members(info)?.get(2)?;
    let point = key.strip_prefix(&P256)?;
    // A bit string begins with the number of bits that are left over.
    let signature = signature.strip_prefix(&[3])?;
    let signature = &signature[signature.iter().position(|byte| *byte == 0)? + 1..];
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
    key.verify(info, signature).ok()?;
    Some(PublicKey(point.to_vec()))
}

/// The key of a certificate that this authority made, as a point.
pub(super) fn key_of_certificate(certificate: &[u8]) -> Option<Vec<u8>> {
    let signed = *members(certificate)?.first()?;
    let key = members(signed)?
        .into_iter()
        .find_map(|part| part.strip_prefix(&P256))?;
    Some(key.to_vec())
}
