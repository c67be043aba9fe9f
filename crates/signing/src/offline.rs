//! The offline keys: one file for each custodian, encrypted under a phrase.
//!
//! The file is in the age format with a scrypt recipient, so `age --decrypt custodian-1.age`
//! opens it as well. Inside is JSON:
//!
//! ```text
//! {"format":"wheelmark-seat-1","keys":{"root":{"keytype":"ed25519","seed":"<64 hex digits>"},…}}
//! ```

mod locked;
mod phrase;
mod seal;

use std::collections::BTreeMap;
use std::fmt;

use rand::CryptoRng;

pub use self::locked::{
    Identity, Lock, LockError, ParseIdentityError, ParseRecipientError, Recipient, Unlock,
    UnlockError, lock_bytes, unlock_bytes,
};
pub use self::phrase::{Phrase, PhraseError};
pub use self::seal::{
    DEFAULT_WORK_FACTOR, MAX_WORK_FACTOR, SealError, UnsealError, seal, seal_bytes, unseal,
    unseal_bytes,
};

use crate::{Ed25519Key, HeldKey, Signer};

/// The keys that each custodian holds, one for each role that is signed offline.
pub const SEAT_KEYS: [&str; 4] = ["bins", "claimed", "root", "targets"];

/// The private keys of one custodian, by name.
pub struct Seat {
    keys: BTreeMap<String, Ed25519Key>,
}

/// A seat does not hold the key that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this seat has no key named `{name}`, it has {}", held.join(", "))]
pub struct NoSuchKey {
    /// The name that was asked for.
    pub name: String,
    /// The names of the keys that it holds.
    pub held: Vec<String>,
}

/// A seat with a new key for each name in [`SEAT_KEYS`].
pub fn generate_seat(rng: &mut dyn CryptoRng) -> Seat {
    generate_seat_for(&SEAT_KEYS, rng)
}

/// A seat with a new key for each of `names`: for a holder who has the others elsewhere.
pub fn generate_seat_for(names: &[&str], rng: &mut dyn CryptoRng) -> Seat {
    let keys = names.iter();
    let keys = keys.map(|name| ((*name).to_owned(), Ed25519Key::generate(rng)));
    Seat {
        keys: keys.collect(),
    }
}

impl Seat {
    /// The key of that name.
    pub fn signer(&self, name: &str) -> Result<&dyn Signer, NoSuchKey> {
        match self.keys.get(name) {
            Some(key) => Ok(key),
            None => Err(NoSuchKey {
                name: name.to_owned(),
                held: self.keys.keys().cloned().collect(),
            }),
        }
    }

    /// All of its keys, by name.
    pub fn into_keys(self) -> impl Iterator<Item = HeldKey> {
        self.keys.into_iter().map(|(label, key)| HeldKey {
            label,
            signer: Box::new(key),
        })
    }

    /// The names of the keys that it holds, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("keys", &self.keys).finish()
    }
}
