//! Public keys, their ids, and the verification of one signature.

mod rsa;

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::model::fields::{Fields, ModelError};
use crate::shown::Shown;
use crate::{Sha256, canonical};

/// The id under which metadata refers to a key.
///
/// As it stands in metadata it is only a claim; [`Key::keyid`] is computed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for KeyId {
    fn from(id: String) -> Self {
        KeyId(id)
    }
}

/// For messages: it is anybody's text. [`KeyId::as_str`] is the id itself.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(&self.0).fmt(f)
    }
}

/// A public key as metadata states it (TUF §4.2, `KEY`), unknown fields included.
///
/// A key of an unknown type, or one that cannot be read, is a `Key` that verifies
/// nothing: it does not spoil the file it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    object: Value,
    keyid: KeyId,
    public: PublicKey,
}

/// The key itself, in the one encoding of it that we accept, so that equal keys are equal
/// bytes: this is what "one signature for each key" is counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PublicKey {
    /// The 32 bytes of RFC 8032.
    Ed25519([u8; 32]),
    /// The uncompressed point of P-256, 65 bytes.
    EcdsaP256([u8; 65]),
    /// `SubjectPublicKeyInfo` of an RSA key, DER, with nothing in it that could be written another
    /// way.
    RsaPss(Vec<u8>),
    /// Nothing we can verify with.
    Unusable,
}

/// The signature does not verify, whatever the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl Key {
    /// An Ed25519 key from its 32 bytes.
    pub fn ed25519(public: [u8; 32]) -> Self {
        Key::new(
            json!({
                "keytype": "ed25519",
                "keyval": {"public": hex::encode(public)},
                "scheme": "ed25519",
            }),
            PublicKey::Ed25519(public),
        )
    }

    /// A key object out of metadata.
    ///
    /// # Errors
    ///
    /// When `keytype`, `scheme` or `keyval` is missing or of the wrong type. A key that is
    /// well-formed and of no use is not an error.
    pub fn from_value(object: Value) -> Result<Self, ModelError> {
        let mut fields = Fields::of(object.clone(), "key")?;
        let keytype = fields.string("keytype")?;
        let scheme = fields.string("scheme")?;
        let keyval = Fields::of(fields.take("keyval")?, "keyval")?.rest();
        let public = match keyval.get("public") {
            Some(Value::String(text)) => PublicKey::read(&keytype, &scheme, text),
            _ => None,
        };
        Ok(Key::new(object, public.unwrap_or(PublicKey::Unusable)))
    }

    fn new(object: Value, public: PublicKey) -> Self {
        let keyid = KeyId(Sha256::of(&canonical::encode(&object)).to_string());
        Key {
            object,
            keyid,
            public,
        }
    }

    /// The id of the key: the SHA-256 of its canonical form, unknown fields included,
    /// computed here and never taken from metadata (TUF §4.2, `KEYID`).
    pub fn keyid(&self) -> &KeyId {
        &self.keyid
    }

    /// Whether it can verify something, and its object has the members that TUF asks for and no
    /// others: `keytype`, `scheme`, and `keyval` with `public` alone.
    pub fn is_plain(&self) -> bool {
        let own = ["keytype", "scheme", "keyval"];
        let members = self.object.as_object();
        let is_own = members.is_some_and(|object| object.keys().all(|name| own.contains(&&**name)));
        let values = self.object["keyval"].as_object();
        let is_public = values.is_some_and(|object| object.keys().all(|name| name == "public"));
        is_own && is_public && self.public != PublicKey::Unusable
    }

    /// The key object as metadata states it.
    pub fn to_value(&self) -> Value {
        self.object.clone()
    }

    /// Checks one signature over `message`: Ed25519, ECDSA P-256 with SHA-256 (DER) or
    /// RSA-PSS with SHA-256 and a salt of 32 bytes.
    ///
    /// # Errors
    ///
    /// When the signature is not this key's over this message, or the key is of no use.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let verified = match &self.public {
            PublicKey::Ed25519(public) => {
                UnparsedPublicKey::new(&ED25519, public).verify(message, signature)
            }
            PublicKey::EcdsaP256(public) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public).verify(message, signature)
            }
            PublicKey::RsaPss(public) => {
                UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public).verify(message, signature)
            }
            PublicKey::Unusable => return Err(BadSignature),
        };
        verified.map_err(|_| BadSignature)
    }

    /// Whether this is the same key, however its object is written: two such objects have two ids,
    /// and what one signs verifies with the other. A key that is of no use is none.
    pub fn is_same_key(&self, other: &Key) -> bool {
        self.public == other.public && self.public != PublicKey::Unusable
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// `SubjectPublicKeyInfo` up to the point, for an uncompressed point on P-256 (RFC 5480).
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl PublicKey {
    /// `keytype` and `scheme` as TUF §4.2 lists them; `ecdsa-sha2-nistp256` is the older
    /// name of the type `ecdsa`.
    fn read(keytype: &str, scheme: &str, public: &str) -> Option<Self> {
        match (keytype, scheme) {
            ("ed25519", "ed25519") => {
                let mut key = [0; 32];
                hex::decode_to_slice(public, &mut key).ok()?;
                Some(PublicKey::Ed25519(key))
            }
            ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
                let info = read_pem(public)?;
                let point = info.strip_prefix(&P256_SPKI_PREFIX)?;
                Some(PublicKey::EcdsaP256(point.try_into().ok()?))
            }
            ("rsa", "rsassa-pss-sha256") => {
                let info = read_pem(public)?;
                rsa::is_canonical(&info).then_some(PublicKey::RsaPss(info))
            }
            _ => None,
        }
    }
}

/// The DER inside one `PUBLIC KEY` block (RFC 7468).
fn read_pem(text: &str) -> Option<Vec<u8>> {
    let body = text
        .trim()
        .strip_prefix("-----BEGIN PUBLIC KEY-----")?
        .strip_suffix("-----END PUBLIC KEY-----")?;
    let digits: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD
        .decode(digits)
        .ok()
}
