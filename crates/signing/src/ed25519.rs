//! An Ed25519 private key in memory, and the PEM file it is written to.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use wheelmark_tuf::{Key, Signature};
use zeroize::Zeroizing;

use crate::{SignError, Signer};

/// Length of the seed that an Ed25519 key is made from, in bytes (RFC 8032, §5.1.5).
pub(crate) const SEED_LEN: usize = 32;

/// What stands before the seed in a PKCS#8 version 1 document (RFC 8410, §7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// An Ed25519 private key. Its secret is wiped from memory when it is dropped.
pub struct Ed25519Key {
    seed: Seed,
    pair: Ed25519KeyPair,
    public: Key,
}

/// A seed that stays in one place, so that moving the key leaves no copies behind.
pub(crate) type Seed = Box<Zeroizing<[u8; SEED_LEN]>>;

/// Why bytes are not a key that this program can sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyFormatError {
    #[error("it does not hold exactly one `{PEM_BEGIN}` … `{PEM_END}` block")]
    NoPem,
    #[error("the key in it is encrypted")]
    Encrypted,
    #[error("the text between the PEM lines is not base64")]
    Base64,
    #[error("the key in it is not an Ed25519 key as `openssl genpkey -algorithm ed25519` makes it")]
    NotEd25519,
}

impl Ed25519Key {
    /// A new key out of `rng`.
    pub fn generate(rng: &mut dyn CryptoRng) -> Ed25519Key {
        let mut seed = empty_seed();
        rng.fill_bytes(seed.as_mut_slice());
        #[expect(clippy::expect_used, reason = "every 32 bytes are a seed")]
        Ed25519Key::from_seed(seed).expect("32 bytes are an Ed25519 seed")
    }

    /// The key that `seed` makes.
    pub(crate) fn from_seed(seed: Seed) -> Result<Ed25519Key, KeyFormatError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
            .map_err(|_| KeyFormatError::NotEd25519)?;
        let public: [u8; 32] = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| KeyFormatError::NotEd25519)?;
        Ok(Ed25519Key {
            seed,
            pair,
            public: Key::ed25519(public),
        })
    }

    pub(crate) fn seed(&self) -> &[u8; SEED_LEN] {
        &self.seed
    }

    /// Reads a PKCS#8 private key in PEM (RFC 7468, §10); text around the block is ignored.
    pub(crate) fn from_pem(text: &str) -> Result<Ed25519Key, KeyFormatError> {
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(KeyFormatError::Encrypted);
        }
        let (_, rest) = text.split_once(PEM_BEGIN).ok_or(KeyFormatError::NoPem)?;
        let (body, after) = rest.split_once(PEM_END).ok_or(KeyFormatError::NoPem)?;
        if after.contains(PEM_BEGIN) || body.contains(PEM_BEGIN) {
            return Err(KeyFormatError::NoPem);
        }
        let mut digits = Zeroizing::new(String::with_capacity(body.len()));
        digits.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
        let der = Zeroizing::new(
            STANDARD
                .decode(digits.as_bytes())
                .map_err(|_| KeyFormatError::Base64)?,
        );
        let bytes: &[u8; SEED_LEN] = der
            .strip_prefix(&PKCS8_PREFIX)
            .and_then(|seed| seed.try_into().ok())
            .ok_or(KeyFormatError::NotEd25519)?;
        let mut seed = empty_seed();
        seed.copy_from_slice(bytes);
        Ed25519Key::from_seed(seed)
    }

    /// The key as a PKCS#8 version 1 document in PEM, as `openssl genpkey` writes it.
    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new([0; PKCS8_PREFIX.len() + SEED_LEN]);
        let (prefix, seed) = der.split_at_mut(PKCS8_PREFIX.len());
        prefix.copy_from_slice(&PKCS8_PREFIX);
        seed.copy_from_slice(self.seed());
        let body = Zeroizing::new(STANDARD.encode(der.as_slice()));
        Zeroizing::new([PEM_BEGIN, "\n", &body, "\n", PEM_END, "\n"].concat())
    }
}

/// 32 zero bytes to be filled with a secret in place.
pub(crate) fn empty_seed() -> Seed {
    Box::new(Zeroizing::new([0; SEED_LEN]))
}

impl Signer for Ed25519Key {
    fn key(&self) -> &Key {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        let keyid = self.public.keyid().clone();
        match self.pair.try_sign(message) {
            Ok(signature) => Ok(Signature {
                keyid,
                sig: signature.as_ref().to_vec(),
            }),
            Err(error) => Err(SignError::Failed {
                keyid,
                source: Box::new(error),
            }),
        }
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyid = self.public.keyid();
        f.debug_struct("Ed25519Key")
            .field("keyid", keyid)
            .finish_non_exhaustive()
    }
}
