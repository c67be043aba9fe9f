//! The public keys of a holder, with the proof that they hold the private ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wheelmark_tuf::{Key, KeyId, ModelError, RoleName, Sha256, Signature, canonical};

use crate::words::Words;

const FORMAT: &str = "wheelmark-holder-1";

/// What the proof begins with. TUF metadata begins with `{`: a proof is never a signature of it.
const PURPOSE: &[u8] = b"wheelmark: the keys of a holder, form 1\n";

/// The longest name of a holder, in characters.
const MAX_NAME_LEN: usize = 60;

/// What a holder has keys for: exactly these.
const KEY_NAMES: [&str; 4] = ["bins", "claimed", "root", "targets"];

/// The keys that one holder signs with, by the name that their file has them under, and the proof of
/// possession: each key has signed the name and all the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderKeys {
    name: String,
    keys: BTreeMap<String, Key>,
    proofs: BTreeMap<String, Vec<u8>>,
}

/// A file is not the public keys of a holder.
#[derive(Debug, thiserror::Error)]
pub enum HolderError {
    /// Not the JSON of one.
    #[error("this is not the file of a holder's public keys")]
    Json(#[source] serde_json::Error),
    /// Of another version.
    #[error("the file of a holder's keys is of a form that this version does not know")]
    Format,
    /// A key that cannot be read.
    #[error("the key for {name} cannot be read")]
    Key {
        /// What it is for.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ModelError,
    },
    /// The name cannot be shown on a line, or would be taken for a position.
    #[error(
        "the name of a holder has 1 to {MAX_NAME_LEN} characters, no control characters, and does not begin with `holder`"
    )]
    Name,
    /// More keys than a holder has, or fewer, or others.
    #[error("a holder has keys for {}, and for nothing else", KEY_NAMES.join(", "))]
    KeyNames,
    /// Nobody has shown that they hold the private key.
    #[error("nothing proves that {holder} holds the private key for {name}")]
    NoProof {
        /// The holder's name.
        holder: String,
        /// What the key is for.
        name: String,
    },
    /// One key for two purposes: the theft of one would be that of both.
    #[error("{holder} has the same key for {name} and for another role")]
    SameKey {
        /// The holder's name.
        holder: String,
        /// What the key is for.
        name: String,
    },
    /// There is no key for a role.
    #[error("{holder} has no key for {name}")]
    Lacking {
        /// The holder's name.
        holder: String,
        /// What it would be for.
        name: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    name: String,
    keys: BTreeMap<String, Value>,
    proofs: BTreeMap<String, String>,
}

/// The name under which a holder's file has the key for a role.
pub fn key_name(role: &RoleName) -> &str {
    match role.as_str() {
        "simple" | "packages" => "bins",
        other => other,
    }
}

/// What each key of a holder signs to show that its private half is there.
pub fn proof_message(name: &str, keys: &BTreeMap<String, Key>) -> Vec<u8> {
    let keys: serde_json::Map<String, Value> = keys
        .iter()
        .map(|(name, key)| (name.clone(), key.to_value()))
        .collect();
    let stated = canonical::encode(&json!({ "name": name, "keys": keys }));
    [PURPOSE, &stated].concat()
}

impl HolderKeys {
    /// The keys of a holder; `proofs` are the signatures over [`proof_message`].
    ///
    /// # Errors
    ///
    /// When a proof is missing or wrong, or a key is there twice.
    pub fn new(
        name: &str,
        keys: BTreeMap<String, Key>,
        proofs: BTreeMap<String, Signature>,
    ) -> Result<Self, HolderError> {
        let proofs = proofs.into_iter();
        let holder = Self {
            name: name.to_owned(),
            keys,
            proofs: proofs.map(|(name, proof)| (name, proof.sig)).collect(),
        };
        holder.checked()
    }

    /// Reads the file of a holder's public keys.
    ///
    /// # Errors
    ///
    /// When it is no such file, or a key in it is without proof.
    pub fn read(bytes: &[u8]) -> Result<Self, HolderError> {
        let stored: Stored = serde_json::from_slice(bytes).map_err(HolderError::Json)?;
        Self::of(stored)
    }

    /// Reads what [`HolderKeys::to_value`] gave.
    ///
    /// # Errors
    ///
    /// As those of [`HolderKeys::read`].
    pub fn from_value(value: Value) -> Result<Self, HolderError> {
        let stored: Stored = serde_json::from_value(value).map_err(HolderError::Json)?;
        Self::of(stored)
    }

    fn of(stored: Stored) -> Result<Self, HolderError> {
        if stored.format != FORMAT {
            return Err(HolderError::Format);
        }
        demand_key_names(stored.keys.keys())?;
        let mut keys = BTreeMap::new();
        for (name, key) in stored.keys {
            let key = Key::from_value(key).map_err(|source| {
                let name = name.clone();
                HolderError::Key { name, source }
            })?;
            keys.insert(name, key);
        }
        let proofs = stored.proofs.into_iter();
        let holder = Self {
            name: stored.name,
            keys,
            // What is not hexadecimal proves nothing.
            proofs: proofs
                .filter_map(|(name, proof)| Some((name, hex::decode(proof).ok()?)))
                .collect(),
        };
        holder.checked()
    }

    fn checked(self) -> Result<Self, HolderError> {
        if !is_name(&self.name) {
            return Err(HolderError::Name);
        }
        demand_key_names(self.keys.keys())?;
        let message = proof_message(&self.name, &self.keys);
        let mut seen: Vec<&Key> = Vec::with_capacity(self.keys.len());
        for (name, key) in &self.keys {
            let proof = self.proofs.get(name);
            let (holder, name) = (self.name.clone(), name.clone());
            if seen.iter().any(|seen| seen.is_same_key(key)) {
                return Err(HolderError::SameKey { holder, name });
            }
            seen.push(key);
            let is_proved = proof.is_some_and(|proof| key.verify(&message, proof).is_ok());
            if !is_proved {
                return Err(HolderError::NoProof { holder, name });
            }
        }
        Ok(self)
    }

    /// The file of these keys, as JSON.
    pub fn to_value(&self) -> Value {
        let keys = self.keys.iter();
        let proofs = self.proofs.iter();
        let stored = Stored {
            format: FORMAT.to_owned(),
            name: self.name.clone(),
            keys: keys
                .map(|(name, key)| (name.clone(), key.to_value()))
                .collect(),
            proofs: proofs
                .map(|(name, proof)| (name.clone(), hex::encode(proof)))
                .collect(),
        };
        json!(stored)
    }

    /// What the holder is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name and all the keys as words, to be read aloud in the place of four long ids. They are
    /// 128 bits of a digest of what every key has signed: nobody makes keys of their own to fit.
    pub fn words(&self) -> Words {
        Words::of(&Sha256::of(&proof_message(&self.name, &self.keys)))
    }

    /// The ids of the keys, by what they are for.
    pub fn keyids(&self) -> impl Iterator<Item = (&str, &KeyId)> {
        let keys = self.keys.iter();
        keys.map(|(name, key)| (name.as_str(), key.keyid()))
    }

    /// The key for a role.
    ///
    /// # Errors
    ///
    /// [`HolderError::Lacking`] if there is none.
    pub fn key(&self, role: &RoleName) -> Result<&Key, HolderError> {
        let name = key_name(role);
        self.keys.get(name).ok_or_else(|| HolderError::Lacking {
            holder: self.name.clone(),
            name: name.to_owned(),
        })
    }
}

/// Whether a holder can be called so: on one line, and not as if it were a position.
pub(crate) fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    let is_shown = !name.contains(char::is_control) && name.trim() == name;
    let is_position = name.to_lowercase().starts_with("holder");
    (1..=MAX_NAME_LEN).contains(&length) && is_shown && !is_position
}

fn demand_key_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), HolderError> {
    match names.map(String::as_str).eq(KEY_NAMES) {
        true => Ok(()),
        false => Err(HolderError::KeyNames),
    }
}
