//! The authority (Fulcio, API version 2): a certificate for whomever a token names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use wheelmark_provenance::MAX_CERTIFICATE_LEN;
use zeroize::Zeroizing;

use crate::identity_token::IdentityToken;
use crate::key::{Key, KeyError};
use crate::pem;
use crate::service::{Service, ServiceError};

/// Where it is asked for one.
const PATH: &str = "/api/v2/signingCert";

/// Most certificates of an answer: the authority's chains have three, and RFC 5280 knows no limit.
pub const MAX_CHAIN: usize = 10;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The authority does not take the token: another issuer, audience or time, or a wrong signature.
    #[error("the authority refuses this identity token")]
    Refused(#[source] ServiceError),
    /// It gave no answer that could be used.
    #[error("the authority gave no certificate")]
    Service(#[from] ServiceError),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    credentials: Credentials<'a>,
    certificate_signing_request: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    oidc_identity_token: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    signed_certificate_embedded_sct: Option<Chained>,
}

#[derive(Deserialize)]
struct Chained {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// Asks for a certificate, in DER.
///
/// The token stands in the request's body: what is on the way logs headers more readily.
pub(crate) async fn certify(
    service: &Service,
    token: &IdentityToken,
    key: &Key,
) -> Result<Vec<u8>, CertificateError> {
    let request = Request {
        credentials: Credentials {
            oidc_identity_token: token.text(),
        },
        certificate_signing_request: STANDARD.encode(pem::write(pem::REQUEST, &key.request()?)),
    };
    let answer = service.post(PATH, secret_json(&request)).await?;
    if is_about_the_token(answer.status) {
        return Err(CertificateError::Refused(service.refused(&answer)));
    }
    if !answer.status.is_success() {
        return Err(service.refused(&answer).into());
    }
    let issued: Issued =
        serde_json::from_slice(&answer.body).map_err(|source| ServiceError::Malformed {
            place: service.place(),
            source,
        })?;
    let useless = |reason| ServiceError::Useless {
        place: service.place(),
        reason,
    };
    let chain = issued.signed_certificate_embedded_sct.ok_or_else(|| {
        useless("has no certificate in which a certificate log's word stands, as readers need it")
    })?;
    let certificates = chain.chain.certificates;
    if certificates.len() > MAX_CHAIN {
        return Err(useless("has more certificates than a chain needs").into());
    }
    let first = certificates.first();
    let first = first.and_then(|text| pem::read(pem::CERTIFICATE, text));
    let certificate = first.filter(|certificate| certificate.len() <= MAX_CERTIFICATE_LEN);
    let certificate = certificate.ok_or_else(|| useless("has no certificate that can be read"))?;
    // The verification would find it as well: by then it would stand in the log.
    let public = key.public();
    if !certificate.windows(public.len()).any(|part| part == public) {
        return Err(useless("is a certificate for another key").into());
    }
    Ok(certificate)
}

/// Whether an answer is about what was shown: everything else is about the way or the service.
fn is_about_the_token(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    )
}

/// JSON whose bytes are overwritten when they go, for what has a secret in it.
fn secret_json(value: &impl Serialize) -> Bytes {
    /// Room for a token of the greatest length: growing would leave copies behind.
    const ROOM: usize = 2 * crate::identity_token::MAX_TOKEN_LEN;
    let mut json = Zeroizing::new(Vec::with_capacity(ROOM));
    serde_json::to_writer(&mut *json, value).expect("strings can always be written");
    Bytes::from_owner(json)
}
