//! The keys on a token: found, read and made.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::{TokenError, TokenUri};
use crate::public_key::{Algorithm, PublicKey, PublicKeyError};

/// The most private keys that are looked at.
const MOST_KEYS: usize = 256;

/// The OID of P-256, as `CKA_EC_PARAMS` has it (RFC 5480, §2.1.1.1).
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The OID of Ed25519 (RFC 8410, §3).
const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

/// The name of Ed25519 that PKCS#11 v3.0 allows in place of the OID: a printable string.
const ED25519_NAME: &[u8] = b"\x13\x0cedwards25519";

/// How long the modulus of a new RSA key is, in bits.
const RSA_BITS: u64 = 3072;

/// The public exponent of a new RSA key: 65537.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// A private key on a token, with its public half.
pub(super) struct Found {
    pub(super) handle: ObjectHandle,
    pub(super) label: String,
    pub(super) public: PublicKey,
}

/// What a token is asked about, and by what name messages call it.
pub(super) struct Objects<'a> {
    pub(super) session: &'a Session,
    pub(super) token: &'a str,
}

impl Objects<'_> {
    /// Every private key that the URI may mean, read or with the reason why it is of no use.
    pub(super) fn private_keys(
        &self,
        uri: &TokenUri,
    ) -> Result<Vec<Result<Found, TokenError>>, TokenError> {
        let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        if let Some(label) = &uri.object {
            template.push(Attribute::Label(label.as_bytes().to_vec()));
        }
        if let Some(id) = &uri.id {
            template.push(Attribute::Id(id.clone()));
        }
        let handles = self.find(&template)?;
        if handles.len() > MOST_KEYS {
            return Err(TokenError::ManyKeys {
                token: self.token.to_owned(),
                most: MOST_KEYS,
            });
        }
        handles
            .into_iter()
            .map(|handle| self.read(handle))
            .collect()
    }

    /// Outer errors are those of the token, inner ones those of one key.
    fn read(&self, handle: ObjectHandle) -> Result<Result<Found, TokenError>, TokenError> {
        let wanted = [
            AttributeType::Label,
            AttributeType::Id,
            AttributeType::KeyType,
            AttributeType::AlwaysAuthenticate,
        ];
        let (mut label, mut id, mut kind, mut always_asks) = (Vec::new(), Vec::new(), None, false);
        for attribute in self.attributes(handle, &wanted)? {
            match attribute {
                Attribute::Label(value) => label = value,
                Attribute::Id(value) => id = value,
                Attribute::KeyType(value) => kind = Some(value),
                Attribute::AlwaysAuthenticate(value) => always_asks = value,
                _ => {}
            }
        }
        let token = || self.token.to_owned();
        let shown = String::from_utf8_lossy(&label).into_owned();
        if always_asks {
            return Ok(Err(TokenError::AlwaysAsks {
                token: token(),
                label: shown,
            }));
        }
        let Some(public) = self.public_half(kind, id, label)? else {
            return Ok(Err(TokenError::NoPublicKey {
                token: token(),
                label: shown,
            }));
        };
        Ok(match self.public_key(public, kind)? {
            Ok(public) => Ok(Found {
                handle,
                label: shown,
                public,
            }),
            Err(source) => Err(TokenError::PublicKey {
                token: token(),
                label: shown,
                source,
            }),
        })
    }

    /// The public key with the private one's id; without an id, the one with its label. That they
    /// belong together shows when a signature is verified.
    fn public_half(
        &self,
        kind: Option<KeyType>,
        id: Vec<u8>,
        label: Vec<u8>,
    ) -> Result<Option<ObjectHandle>, TokenError> {
        let mut template = vec![Attribute::Class(ObjectClass::PUBLIC_KEY)];
        template.extend(kind.map(Attribute::KeyType));
        template.push(match id.is_empty() {
            true => Attribute::Label(label),
            false => Attribute::Id(id),
        });
        Ok(match self.find(&template)?.as_slice() {
            [one] => Some(*one),
            _ => None,
        })
    }

    fn public_key(
        &self,
        handle: ObjectHandle,
        kind: Option<KeyType>,
    ) -> Result<Result<PublicKey, PublicKeyError>, TokenError> {
        let wanted: &[AttributeType] = match kind {
            Some(KeyType::RSA) => &[AttributeType::Modulus, AttributeType::PublicExponent],
            Some(KeyType::EC | KeyType::EC_EDWARDS) => {
                &[AttributeType::EcParams, AttributeType::EcPoint]
            }
            _ => return Ok(Err(PublicKeyError::Algorithm)),
        };
        let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
        let (mut curve, mut point) = (Vec::new(), Vec::new());
        for attribute in self.attributes(handle, wanted)? {
            match attribute {
                Attribute::Modulus(value) => modulus = value,
                Attribute::PublicExponent(value) => exponent = value,
                Attribute::EcParams(value) => curve = value,
                Attribute::EcPoint(value) => point = value,
                _ => {}
            }
        }
        Ok(match kind {
            Some(KeyType::RSA) => PublicKey::rsa(&modulus, &exponent),
            _ => on_curve(&curve, &point),
        })
    }

    /// Makes a key that never leaves the token.
    pub(super) fn make(
        &self,
        label: &str,
        id: &[u8],
        algorithm: Algorithm,
    ) -> Result<(), TokenError> {
        let (mechanism, kind, sizes) = match algorithm {
            Algorithm::Ed25519 => (
                Mechanism::EccEdwardsKeyPairGen,
                KeyType::EC_EDWARDS,
                vec![Attribute::EcParams(ED25519.to_vec())],
            ),
            Algorithm::EcdsaP256 => (
                Mechanism::EccKeyPairGen,
                KeyType::EC,
                vec![Attribute::EcParams(P256.to_vec())],
            ),
            Algorithm::RsaPss => (
                Mechanism::RsaPkcsKeyPairGen,
                KeyType::RSA,
                vec![
                    Attribute::ModulusBits(RSA_BITS.into()),
                    Attribute::PublicExponent(RSA_EXPONENT.to_vec()),
                ],
            ),
        };
        let common = [
            Attribute::Token(true),
            Attribute::KeyType(kind),
            Attribute::Label(label.as_bytes().to_vec()),
            Attribute::Id(id.to_vec()),
        ];
        let mut public = common.to_vec();
        public.extend([Attribute::Private(false), Attribute::Verify(true)]);
        public.extend(sizes);
        let mut private = common.to_vec();
        private.extend([
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ]);
        match self
            .session
            .generate_key_pair(&mechanism, &public, &private)
        {
            Ok(_) => Ok(()),
            Err(Error::Pkcs11(RvError::MechanismInvalid | RvError::FunctionNotSupported, _)) => {
                Err(TokenError::CannotMake {
                    token: self.token.to_owned(),
                    kind: name(algorithm),
                })
            }
            Err(error) => Err(self.failed("make a key", &error)),
        }
    }

    fn find(&self, template: &[Attribute]) -> Result<Vec<ObjectHandle>, TokenError> {
        self.session
            .find_objects(template)
            .map_err(|error| self.failed("look for its keys", &error))
    }

    fn attributes(
        &self,
        handle: ObjectHandle,
        wanted: &[AttributeType],
    ) -> Result<Vec<Attribute>, TokenError> {
        self.session
            .get_attributes(handle, wanted)
            .map_err(|error| self.failed("describe a key", &error))
    }

    fn failed(&self, doing: &'static str, error: &Error) -> TokenError {
        TokenError::of(self.token, doing, error)
    }
}

/// What an algorithm is called.
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::EcdsaP256 => "ECDSA on P-256",
        Algorithm::RsaPss => "RSA",
    }
}

/// What a token makes new keys with.
pub(super) fn maker(algorithm: Algorithm) -> MechanismType {
    match algorithm {
        Algorithm::Ed25519 => MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
        Algorithm::EcdsaP256 => MechanismType::ECC_KEY_PAIR_GEN,
        Algorithm::RsaPss => MechanismType::RSA_PKCS_KEY_PAIR_GEN,
    }
}

/// A point as tokens state it: an octet string in DER as the standard wants it, or as it is.
fn on_curve(curve: &[u8], point: &[u8]) -> Result<PublicKey, PublicKeyError> {
    let bare = |length: u8| match point {
        [0x04, stated, bare @ ..] if *stated == length && bare.len() == usize::from(length) => bare,
        _ => point,
    };
    if curve == ED25519 || curve == ED25519_NAME {
        let public = bare(32).try_into();
        return Ok(PublicKey::ed25519(
            public.map_err(|_| PublicKeyError::Algorithm)?,
        ));
    }
    if curve == P256 {
        let point = bare(65).try_into();
        return PublicKey::p256(point.map_err(|_| PublicKeyError::Algorithm)?);
    }
    Err(PublicKeyError::Algorithm)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_with_and_without_its_wrapping() {
        let bare = [7_u8; 32];
        let wrapped = [&[0x04, 32][..], &bare].concat();
        let key = on_curve(&ED25519, &bare).unwrap();
        assert_eq!(on_curve(&ED25519, &wrapped).unwrap(), key);
        assert_eq!(on_curve(ED25519_NAME, &wrapped).unwrap(), key);
        for (curve, point) in [
            (&ED25519[..], &bare[1..]),
            (&P256, &bare),
            (&P256, &[4; 65]),
            (b"\x06\x05\x2b\x81\x04\x00\x22", &[4; 97]),
        ] {
            assert_eq!(on_curve(curve, point), Err(PublicKeyError::Algorithm));
        }
    }
}
