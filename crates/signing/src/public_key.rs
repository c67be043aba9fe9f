//! Public keys as tokens, agents and services give them, made into those of metadata.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey, RSA_PSS_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wheelmark_tuf::{Key, Signature};

use crate::SignError;
use crate::der::{self, ED25519_INFO_PREFIX, P256_SCALAR_LEN, RSA_ALGORITHM};

const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";

/// How many characters a line of PEM has (RFC 7468, §2).
const PEM_LINE: usize = 64;

/// The form of a signature, which follows from the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// RSA-PSS with SHA-256 and a salt of 32 bytes.
    RsaPss,
}

/// A public key whose private half is in somebody else's keeping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    key: Key,
}

/// Something is not a public key that metadata can be signed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Neither form of a public key's file.
    #[error("it is neither a public key in PEM (`{PEM_BEGIN}`) nor the JSON of a key in metadata")]
    Form,
    /// A key of another kind.
    #[error(
        "it is a public key, but not Ed25519, ECDSA on P-256 or RSA of 2048 to 8192 bits, which metadata is signed with"
    )]
    Algorithm,
}

impl PublicKey {
    /// An Ed25519 key from its 32 bytes.
    pub(crate) fn ed25519(public: [u8; 32]) -> Self {
        Self {
            algorithm: Algorithm::Ed25519,
            key: Key::ed25519(public),
        }
    }

    /// An uncompressed point on P-256.
    pub(crate) fn p256(point: &[u8; 65]) -> Result<Self, PublicKeyError> {
        Self::of_info(&der::p256_info(point))
    }

    /// An RSA key from its numbers, big-endian.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, PublicKeyError> {
        Self::of_info(&der::rsa_info(modulus, exponent))
    }

    /// Reads a public key: PEM as `openssl pkey -pubout` writes it, or the JSON of a key as it
    /// stands in metadata.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError`], also for a key that metadata is never signed with.
    pub fn read(text: &str) -> Result<Self, PublicKeyError> {
        let text = text.trim();
        if text.starts_with('{') {
            let object = serde_json::from_str(text).map_err(|_| PublicKeyError::Form)?;
            return Self::of_foreign(&object);
        }
        Self::of_pem(text)
    }

    /// The key in an object that somebody else wrote. It is made anew, so that one key has one id, and
    /// so that nothing else of the object, a private half for one, is published with it.
    fn of_foreign(object: &Value) -> Result<Self, PublicKeyError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let public = text(&object["keyval"]["public"]).ok_or(PublicKeyError::Form)?;
        let scheme = text(&object["scheme"]).ok_or(PublicKeyError::Form)?;
        let read = match scheme.as_str() {
            "ed25519" => {
                let mut key = [0; 32];
                hex::decode_to_slice(&public, &mut key).map_err(|_| PublicKeyError::Algorithm)?;
                Self::ed25519(key)
            }
            "ecdsa-sha2-nistp256" | "rsassa-pss-sha256" => Self::of_pem(public.trim())?,
            _ => return Err(PublicKeyError::Algorithm),
        };
        match read.key.to_value()["scheme"] == object["scheme"] {
            true => Ok(read),
            false => Err(PublicKeyError::Algorithm),
        }
    }

    fn of_pem(text: &str) -> Result<Self, PublicKeyError> {
        let body = text
            .strip_prefix(PEM_BEGIN)
            .and_then(|rest| rest.strip_suffix(PEM_END))
            .ok_or(PublicKeyError::Form)?;
        let digits: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let info = STANDARD.decode(digits).map_err(|_| PublicKeyError::Form)?;
        Self::of_info(&info)
    }

    /// Which kind of key it is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key as metadata states it.
    pub fn key(&self) -> &Key {
        &self.key
    }

    fn of_info(info: &[u8]) -> Result<Self, PublicKeyError> {
        if let Some(public) = info.strip_prefix(&ED25519_INFO_PREFIX) {
            let public = public.try_into().map_err(|_| PublicKeyError::Algorithm)?;
            return Ok(Self::ed25519(public));
        }
        let is_rsa = info
            .windows(RSA_ALGORITHM.len())
            .take(8)
            .any(|part| part == RSA_ALGORITHM);
        let (algorithm, keytype, scheme) = match is_rsa {
            true => (Algorithm::RsaPss, "rsa", "rsassa-pss-sha256"),
            false => (Algorithm::EcdsaP256, "ecdsa", "ecdsa-sha2-nistp256"),
        };
        if !is_sound(algorithm, info) {
            return Err(PublicKeyError::Algorithm);
        }
        let object = json!({
            "keytype": keytype,
            "keyval": { "public": pem(info) },
            "scheme": scheme,
        });
        let key = Key::from_value(object).map_err(|_| PublicKeyError::Form)?;
        // A key that nothing verifies with is the same as none, itself included.
        match key.is_same_key(&key) {
            true => Ok(Self { algorithm, key }),
            false => Err(PublicKeyError::Algorithm),
        }
    }

    /// Makes what a foreign signer answered the signature that metadata needs, and verifies it.
    ///
    /// An ECDSA signature may come as DER, or as two numbers of 32 bytes, which is how tokens and
    /// some services write it.
    pub(crate) fn accept(&self, message: &[u8], answer: &[u8]) -> Result<Signature, SignError> {
        let keyid = self.key.keyid().clone();
        let is_ours = |sig: &[u8]| self.key.verify(message, sig).is_ok();
        if is_ours(answer) {
            let sig = answer.to_vec();
            return Ok(Signature { keyid, sig });
        }
        if self.algorithm == Algorithm::EcdsaP256 && answer.len() == 2 * P256_SCALAR_LEN {
            let (r, s) = answer.split_at(P256_SCALAR_LEN);
            if let Some(sig) = der::ecdsa_signature(r, s).filter(|sig| is_ours(sig)) {
                return Ok(Signature { keyid, sig });
            }
        }
        Err(SignError::Wrong { keyid })
    }
}

/// Whether the library that verifies can read the key: that a point is on its curve, for one.
fn is_sound(algorithm: Algorithm, info: &[u8]) -> bool {
    match algorithm {
        Algorithm::Ed25519 => true,
        Algorithm::EcdsaP256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, info).is_ok(),
        Algorithm::RsaPss => ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, info).is_ok(),
    }
}

fn pem(info: &[u8]) -> String {
    let mut text = format!("{PEM_BEGIN}\n");
    for (at, digit) in STANDARD.encode(info).chars().enumerate() {
        if at > 0 && at % PEM_LINE == 0 {
            text.push('\n');
        }
        text.push(digit);
    }
    text.push('\n');
    text.push_str(PEM_END);
    text.push('\n');
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
