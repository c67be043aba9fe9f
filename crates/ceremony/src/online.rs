//! The public half of the next online key, with the proof that the index has the private one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wheelmark_tuf::{Key, ModelError, ParseSha256Error, Sha256, Signature, canonical};

use crate::words::Words;

const FORMAT: &str = "wheelmark-online-key-1";

/// What the proof begins with. TUF metadata begins with `{`: a proof is never a signature of it.
const PURPOSE: &[u8] = b"wheelmark: the next online key of an index, form 1\n";

/// The key that is to sign online, and of which index. It has signed both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineKey {
    index: Sha256,
    key: Key,
    proof: Vec<u8>,
}

/// A file is not the public half of an online key.
#[derive(Debug, thiserror::Error)]
pub enum OnlineKeyError {
    /// Not the JSON of one.
    #[error("this is not the file of an online key's public half")]
    Json(#[source] serde_json::Error),
    /// Of another version.
    #[error("the file of the online key is of a form that this version does not know")]
    Format,
    /// A digest that is none.
    #[error("the file of the online key does not name its index")]
    Index(#[source] ParseSha256Error),
    /// A key that cannot be read.
    #[error("the online key cannot be read")]
    Key(#[source] ModelError),
    /// Nobody has shown that the private half is there.
    #[error("nothing proves that the index has the private half of the online key")]
    NoProof,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    index: String,
    key: Value,
    proof: String,
}

/// What the key signs to show that its private half is there; `index` is the fingerprint of the
/// index's first root.
pub fn online_proof_message(index: &Sha256, key: &Key) -> Vec<u8> {
    let stated = json!({ "index": index, "key": key.to_value() });
    [PURPOSE, &canonical::encode(&stated)].concat()
}

impl OnlineKey {
    /// The next online key of an index; `proof` is its signature over [`online_proof_message`].
    ///
    /// # Errors
    ///
    /// [`OnlineKeyError::NoProof`] when it is not.
    pub fn new(index: Sha256, key: Key, proof: Signature) -> Result<Self, OnlineKeyError> {
        let proof = proof.sig;
        Self { index, key, proof }.checked()
    }

    /// The key and its index as words, to be read aloud in the place of a long id.
    pub fn words(&self) -> Words {
        Words::of(&Sha256::of(&online_proof_message(&self.index, &self.key)))
    }

    /// Reads the file of an online key's public half.
    ///
    /// # Errors
    ///
    /// When it is no such file, or the key is without proof.
    pub fn read(bytes: &[u8]) -> Result<Self, OnlineKeyError> {
        let value = serde_json::from_slice(bytes).map_err(OnlineKeyError::Json)?;
        Self::from_value(value)
    }

    /// Reads what [`OnlineKey::to_value`] gave.
    ///
    /// # Errors
    ///
    /// As those of [`OnlineKey::read`].
    pub fn from_value(value: Value) -> Result<Self, OnlineKeyError> {
        let stored: Stored = serde_json::from_value(value).map_err(OnlineKeyError::Json)?;
        if stored.format != FORMAT {
            return Err(OnlineKeyError::Format);
        }
        let index = stored.index.parse().map_err(OnlineKeyError::Index)?;
        let key = Key::from_value(stored.key).map_err(OnlineKeyError::Key)?;
        // What is not hexadecimal proves nothing.
        let proof = hex::decode(stored.proof).unwrap_or_default();
        Self { index, key, proof }.checked()
    }

    fn checked(self) -> Result<Self, OnlineKeyError> {
        let message = online_proof_message(&self.index, &self.key);
        match self.key.verify(&message, &self.proof) {
            Ok(()) => Ok(self),
            Err(_) => Err(OnlineKeyError::NoProof),
        }
    }

    /// The file of the key, as JSON.
    pub fn to_value(&self) -> Value {
        json!(Stored {
            format: FORMAT.to_owned(),
            index: self.index.to_string(),
            key: self.key.to_value(),
            proof: hex::encode(&self.proof),
        })
    }

    /// The fingerprint of the first root of the index whose key it is to be.
    pub fn index(&self) -> Sha256 {
        self.index
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }
}
