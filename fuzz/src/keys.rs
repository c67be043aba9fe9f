//! Keys that everybody may know.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use wheelmark_tuf::{Key, Signature, assemble};

/// An Ed25519 key made from one number.
pub struct Signer {
    pub key: Key,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub fn new(number: u8) -> Signer {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(&[number; 32]).expect("any 32 bytes are a seed");
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .expect("a public key has 32 bytes");
        Signer {
            key: Key::ed25519(public),
            pair,
        }
    }

    /// The signature over a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// A metadata file with this signed part, signed by `signers`.
    pub fn file(signed: &[u8], signers: &[&Signer]) -> Vec<u8> {
        let sign = |signer: &&Signer| Signature {
            keyid: signer.key.keyid().clone(),
            sig: signer.sign(signed),
        };
        assemble(signed, &signers.iter().map(sign).collect::<Vec<_>>())
    }
}
