//! Keys, made now and kept in the open.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData as _};

/// A key of an authority, a log or a signer.
pub(crate) struct Key {
    /// For certificates.
    pub(crate) pair: KeyPair,
    /// For anything else.
    signing: EcdsaKeyPair,
}

impl Key {
    /// ECDSA on P-256 with SHA-256, as all of Sigstore's.
    pub(crate) fn new() -> Key {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        Key::of_pkcs8(&pair.serialize_der())
    }

    /// ECDSA on P-384 with SHA-384.
    pub(crate) fn longer() -> Key {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key");
        let signing =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &pair.serialize_der())
                .expect("a key");
        Key { pair, signing }
    }

    /// A P-256 key that was written before.
    pub(crate) fn of_pkcs8(pkcs8: &[u8]) -> Key {
        Key {
            pair: KeyPair::try_from(pkcs8).expect("a key"),
            signing: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
                .expect("a key"),
        }
    }

    /// To be written.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        self.pair.serialize_der()
    }

    /// The public key, as `SubjectPublicKeyInfo`.
    pub(crate) fn public(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// What logs call a key: its SHA-256.
    pub(crate) fn id(&self) -> [u8; 32] {
        sha256(&self.public())
    }

    /// A signature in ASN.1.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.signing
            .sign(&SystemRandom::new(), message)
            .expect("a signature")
            .as_ref()
            .to_vec()
    }
}

/// A digest as bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes)
        .as_ref()
        .try_into()
        .expect("32 bytes")
}
