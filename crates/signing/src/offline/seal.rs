//! Encrypting a seat and opening it again.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::iter;

use age::scrypt;
use age::{DecryptError, Decryptor, EncryptError, Encryptor};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Phrase, Seat};
use crate::Ed25519Key;
use crate::ed25519::empty_seed;

/// Binary logarithm of scrypt's cost where none is asked for: 256 MiB, about a second.
pub const DEFAULT_WORK_FACTOR: u8 = 18;

/// Binary logarithm of the greatest scrypt cost that is paid to open a file: 1 GiB.
pub const MAX_WORK_FACTOR: u8 = 20;

/// No seat is longer than this when it is decrypted, in bytes.
const MAX_SEAT_LEN: u64 = 64 * 1024;

const FORMAT: &str = "wheelmark-seat-1";
const ED25519: &str = "ed25519";

/// Why a seat could not be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Outside of what can be opened again.
    #[error("the work factor {asked} is not between 1 and {MAX_WORK_FACTOR}")]
    WorkFactor {
        /// What was asked for.
        asked: u8,
    },
    /// The encryption failed.
    #[error("cannot encrypt the offline keys")]
    Encrypt(#[source] EncryptError),
    /// The encryption failed.
    #[error("cannot encrypt the offline keys")]
    Io(#[source] io::Error),
}

/// Why a seat could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// Not an age file, or one that was damaged.
    #[error("this is not an age file, or it is damaged")]
    NotAge(#[source] DecryptError),
    /// An age file for a key instead of a phrase.
    #[error("this age file is not protected by a phrase")]
    NoPhrase,
    /// The phrase opens another file.
    #[error("the phrase does not open this file")]
    WrongPhrase,
    /// Opening it would take unreasonable time and memory.
    #[error(
        "opening this file takes the work factor {required}, more than the {MAX_WORK_FACTOR} allowed"
    )]
    TooMuchWork {
        /// The work factor that the file states.
        required: u8,
    },
    /// The phrase opened it, but the contents were changed or cut off.
    #[error("the file is damaged or was cut short")]
    Damaged(#[source] io::Error),
    /// It holds something other than offline keys in a form that this version knows.
    #[error("the phrase opens the file, but it does not hold offline keys: {problem}")]
    NotASeat {
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Encrypts a seat under `phrase`.
///
/// `work_factor` is the binary logarithm of scrypt's cost, [`DEFAULT_WORK_FACTOR`] if none is
/// given; a phrase of [`Phrase::generate`] is safe with any, so tests use a small one. The salt
/// and the file key come from the operating system.
///
/// # Errors
///
/// [`SealError::WorkFactor`] for 0 and for more than [`MAX_WORK_FACTOR`].
pub fn seal(seat: &Seat, phrase: &Phrase, work_factor: Option<u8>) -> Result<Vec<u8>, SealError> {
    seal_bytes(to_json(seat)?.as_bytes(), phrase, work_factor)
}

/// Encrypts any secret under `phrase`, as [`seal`] does a seat.
///
/// # Errors
///
/// As those of [`seal`].
pub fn seal_bytes(
    secret_bytes: &[u8],
    phrase: &Phrase,
    work_factor: Option<u8>,
) -> Result<Vec<u8>, SealError> {
    let work_factor = work_factor.unwrap_or(DEFAULT_WORK_FACTOR);
    if !(1..=MAX_WORK_FACTOR).contains(&work_factor) {
        return Err(SealError::WorkFactor { asked: work_factor });
    }
    let mut recipient = scrypt::Recipient::new(secret(phrase));
    recipient.set_work_factor(work_factor);
    let encryptor = Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        .map_err(SealError::Encrypt)?;
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(SealError::Io)?;
    writer.write_all(secret_bytes).map_err(SealError::Io)?;
    writer.finish().map_err(SealError::Io)?;
    Ok(sealed)
}

/// Opens a seat.
///
/// # Errors
///
/// [`UnsealError::WrongPhrase`] if the phrase is another file's.
pub fn unseal(sealed: &[u8], phrase: &Phrase) -> Result<Seat, UnsealError> {
    from_json(&unseal_bytes(sealed, phrase)?)
}

/// Opens what [`seal_bytes`] encrypted, at most 64 KiB of it.
///
/// # Errors
///
/// [`UnsealError::WrongPhrase`] if the phrase is another file's.
pub fn unseal_bytes(sealed: &[u8], phrase: &Phrase) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
    let decryptor = Decryptor::new(sealed).map_err(UnsealError::NotAge)?;
    if !decryptor.is_scrypt() {
        return Err(UnsealError::NoPhrase);
    }
    let mut identity = scrypt::Identity::new(secret(phrase));
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let reader = decryptor
        .decrypt(iter::once(&identity as &dyn age::Identity))
        .map_err(|error| match error {
            DecryptError::DecryptionFailed
            | DecryptError::NoMatchingKeys
            | DecryptError::KeyDecryptionFailed => UnsealError::WrongPhrase,
            DecryptError::ExcessiveWork { required, .. } => UnsealError::TooMuchWork { required },
            other => UnsealError::NotAge(other),
        })?;
    // The buffer has its final size at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SEAT_LEN as usize + 1));
    reader
        .take(MAX_SEAT_LEN + 1)
        .read_to_end(&mut bytes)
        .map_err(UnsealError::Damaged)?;
    Ok(bytes)
}

fn secret(phrase: &Phrase) -> SecretString {
    SecretString::from(phrase.reveal().to_owned())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSeat {
    format: String,
    keys: BTreeMap<String, StoredKey>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    keytype: String,
    seed: String,
}

fn to_json(seat: &Seat) -> Result<Zeroizing<String>, SealError> {
    let stored_key = |(name, key): (&String, &Ed25519Key)| {
        let stored = StoredKey {
            keytype: ED25519.to_owned(),
            seed: hex::encode(key.seed()),
        };
        (name.clone(), stored)
    };
    let stored = StoredSeat {
        format: FORMAT.to_owned(),
        keys: seat.keys.iter().map(stored_key).collect(),
    };
    let mut json = Zeroizing::new(Vec::with_capacity(MAX_SEAT_LEN as usize));
    serde_json::to_writer(&mut *json, &stored).map_err(|error| SealError::Io(error.into()))?;
    String::from_utf8(std::mem::take(&mut *json))
        .map(Zeroizing::new)
        .map_err(|error| SealError::Io(io::Error::other(error.utf8_error())))
}

fn from_json(json: &[u8]) -> Result<Seat, UnsealError> {
    let not_a_seat = |problem| UnsealError::NotASeat { problem };
    // What serde says may quote the contents, so it is not passed on.
    let stored: StoredSeat =
        serde_json::from_slice(json).map_err(|_| not_a_seat("it is not the JSON of a seat"))?;
    if stored.format != FORMAT {
        return Err(not_a_seat("its format is of another version"));
    }
    let mut keys = BTreeMap::new();
    for (name, key) in stored.keys {
        if key.keytype != ED25519 {
            return Err(not_a_seat(
                "a key in it is of a type that this version does not know",
            ));
        }
        let mut seed = empty_seed();
        hex::decode_to_slice(&key.seed, seed.as_mut_slice())
            .map_err(|_| not_a_seat("the seed of a key is not 64 hexadecimal digits"))?;
        let key =
            Ed25519Key::from_seed(seed).map_err(|_| not_a_seat("a key in it is not usable"))?;
        keys.insert(name, key);
    }
    Ok(Seat { keys })
}
