//! The key of one run: made here, certified for minutes, and gone with the run.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rcgen::{CertificateParams, DistinguishedName, PublicKeyData, SignatureAlgorithm, SigningKey};

/// The library could not make or use a key, which it says nothing more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library could not make or use a key")]
pub struct KeyError;

/// An ECDSA key on P-256: what clients of Sigstore use, and the only kind that verifies here.
///
/// The private part stays inside of the library, which overwrites its memory when it goes.
pub(crate) struct Key(EcdsaKeyPair);

impl Key {
    pub(crate) fn new() -> Result<Key, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        pair.map(Key).map_err(|_| KeyError)
    }

    /// A signature in ASN.1, over the SHA-256 of the message.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.0.sign_digest(&digest(&SHA256, message));
        let signature = signature.map_err(|_| KeyError)?;
        Ok(signature.as_ref().to_vec())
    }

    /// A request for a certificate (PKCS #10), in DER. Its signature proves that whoever asks has the
    /// key; it names nobody, since the token says who it is.
    pub(crate) fn request(&self) -> Result<Vec<u8>, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(self).map_err(|_| KeyError)?;
        Ok(request.der().to_vec())
    }

    /// The public key as it stands in certificates.
    pub(crate) fn public(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Key::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_signs_and_is_nobody_elses() {
        let (key, other) = (Key::new().unwrap(), Key::new().unwrap());
        let signature = key.sign(b"a statement").unwrap();
        let holds = |key: &Key| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.der_bytes())
                .verify(b"a statement", &signature)
                .is_ok()
        };
        assert!(holds(&key) && !holds(&other));
        assert!(key.public().ends_with(key.der_bytes()));
        let (request, public) = (key.request().unwrap(), key.public());
        assert!(request.windows(public.len()).any(|part| part == public));
    }
}
